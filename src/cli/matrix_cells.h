// The cells of a matrix: which are chosen, and what is wrong with them on this host, before any of them runs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "cli/library.h"
#include "profile/matrix.h"

namespace sandbox {

// Everything of which cells are made. The library and the request are kept, as each cell is loaded from them again.
struct MatrixSource {
    InstalledProfiles library;
    LoadRequest request;
    Draft draft;
    std::string name;  // of the profile
    Matrix matrix;
    bool untrusted = false;

    [[nodiscard]] Loaded load(const MatrixCell& cell) const;
};

// Reads the profile and expands its matrix. Nothing when there is a mistake, which has been said. The cells point into the source.
[[nodiscard]] std::optional<std::vector<MatrixCell>> read_cells(const ProfileOptions& options, MatrixSource& source);

// --cell, --only and --skip: the cells that are named, have one of the values of each axis named, and none of those to skip; --shard i/n:
// every n-th of them. An error when a word means nothing, or no cell is left.
[[nodiscard]] Result<std::vector<MatrixCell>> choose_cells(std::vector<MatrixCell> cells, const MatrixFlags& flags);

// Cells that are checked one after the other, as they are asked for: each against this host, and all against each other. A mistake
// that several cells have is told once.
class CellCheck {
   public:
    // Without `host` only what is the same on every host is looked at.
    explicit CellCheck(const MatrixSource& source, bool host = true) : source_(source), host_(host) {}

    // The cell's profile; it may have errors.
    Result<Loaded> check(const MatrixCell& cell);
    // Prints what was found: each mistake with the cells that have it, and where their patches are written. False when there are errors.
    [[nodiscard]] bool report() const;

    struct Mistake {
        Diagnostic diagnostic;
        Sources sources;
        const MatrixCell* cell;  // the first that has it
        std::size_t more = 0;    // others
    };
    [[nodiscard]] const std::vector<Mistake>& mistakes() const { return mistakes_; }

   private:
    struct KnownHost {
        FactNeeds needs;
        HostFacts facts;
    };

    Result<const HostFacts*> facts_for(const Profile& profile);
    void check_upper(Loaded& loaded, const MatrixCell& cell);
    void collect(const Loaded& loaded, const MatrixCell& cell);

    const MatrixSource& source_;
    bool host_;
    std::vector<KnownHost> known_;
    std::vector<Mistake> mistakes_;
    std::map<std::string, const MatrixCell*> uppers_;
};

}  // namespace sandbox
