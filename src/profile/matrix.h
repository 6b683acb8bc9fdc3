// The cells of a profile's `matrix`: which there are, and the profile of each. Pure.
//
// The combinations of all axes, the last axis varying fastest; `exclude` takes those away that have all its values; `include` then
// adds its patch to every combination that has all its values, or makes one cell more where there is none (as GitHub Actions do it).
// When there is no axis, the entries of `include` are the cells.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "profile/load.h"
#include "profile/profile.h"

namespace sandbox {

constexpr std::size_t most_cells = 10'000;
// Of a cell whose profile has no lifecycle.timeout: a cell that never ends would keep all from ending.
constexpr std::int64_t cell_time_limit = 3'600'000'000'000;  // nanoseconds

struct MatrixCell {
    std::string name;                                         // of its sandbox: the profile's and its values, "web-host-overlay"
    std::vector<std::pair<std::string, std::string>> values;  // axis, value; an included cell may lack axes
    std::vector<const MatrixRule*> includes;                  // whose patches it takes; of the matrix
};

// "ids=host, root=plain"
[[nodiscard]] std::string cell_label(const MatrixCell& cell);

// The names of the axes, those that only include entries name last.
[[nodiscard]] std::vector<std::string> matrix_axes(const Matrix& matrix);

// All cells, or nothing and diagnostics (E0163..E0166); a warning (E0167) for an exclude that takes nothing away. `name` is the
// profile's; the cells point into `matrix`.
[[nodiscard]] std::optional<std::vector<MatrixCell>> expand_matrix(const Matrix& matrix, const std::string& name, Diagnostics& out);

// The profile of one cell: the draft's, with each axis as a variable of its name ('-' as '_'), then the patches of its values in the
// order of the axes, then those of include; what is on the command line comes last, as for any profile. It has no matrix of its own.
[[nodiscard]] Loaded load_cell(const Draft& draft, const Matrix& matrix, const MatrixCell& cell, LoadRequest request);

// Where the patches of a cell are written, in the order in which they are merged.
[[nodiscard]] std::vector<Position> patches_of(const Matrix& matrix, const MatrixCell& cell);

// Two cells that write to one upper directory (E0168); `other` is the cell that has it already.
void refuse_shared_upper(const Profile& profile, const MatrixCell& cell, const MatrixCell& other, Diagnostics& out);

}  // namespace sandbox
