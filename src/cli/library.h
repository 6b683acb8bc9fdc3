// The installed profiles: where they lie, what is found under a name, and who may have written it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "profile/library.h"

namespace sandbox {

// A folder in which profiles are looked for by name.
struct ProfilePlace {
    std::string path;  // absolute
    ProfileTier tier = ProfileTier::system;
};

// First hit wins: the user's own, the administrator's, the local ones, the distribution's.
[[nodiscard]] std::vector<ProfilePlace> profile_places();

// "web", or one folder deep, "base/service": what a profile may be called on the search path.
[[nodiscard]] bool valid_library_name(const std::string& name);
// Whether an argument is a path and no name: it has a slash or ends in .yaml or .yml.
[[nodiscard]] bool is_profile_path(const std::string& word);
// The last part without .yaml or .yml.
[[nodiscard]] std::string profile_stem(const std::string& path);
// The folder in which a path lies, absolute.
[[nodiscard]] std::string folder_of(const std::string& path);
[[nodiscard]] std::string working_directory();
// Empty when it is not set.
[[nodiscard]] std::string environment(const char* name);

// A file that was looked at on the search path.
struct InstalledFile {
    std::string path;
    ProfileTier tier = ProfileTier::system;
};

class InstalledProfiles : public ProfileLibrary {
   public:
    InstalledProfiles() : places_(profile_places()) {}
    explicit InstalledProfiles(std::vector<ProfilePlace> places) : places_(std::move(places)) {}

    [[nodiscard]] const std::vector<ProfilePlace>& places() const { return places_; }

    // The profile of that name with its drop-ins, which are those of all places: the system's in name order, then the user's.
    // Of two with one name only that of the earlier place counts; one that is empty, or /dev/null, hides it.
    [[nodiscard]] Result<FoundProfile> find_name(const std::string& name) { return find_below(name, 0, {}); }
    // A parent. For a file that the user named by its path a name is looked for beside it, then on the search path. A profile that
    // extends its own name means the one that it stands before on the search path.
    [[nodiscard]] Result<FoundProfile> find(const std::string& word, const ProfileFile& from) override;

    // All the files of one name, the one that counts first.
    [[nodiscard]] std::vector<InstalledFile> files_of(const std::string& name) const;
    // The drop-ins of one name in the order in which they are merged.
    [[nodiscard]] Result<std::vector<InstalledFile>> drop_ins_of(const std::string& name) const;
    // Reads a file and looks at who may write to it.
    [[nodiscard]] static Result<ProfileFile> read(const InstalledFile& file);

   private:
    std::vector<ProfilePlace> places_;

    // The profile of that name in the first place but `first` that has one; `beside` is one more folder to think of when it is missing.
    [[nodiscard]] Result<FoundProfile> find_below(const std::string& name, std::size_t first, const std::string& beside);
    [[nodiscard]] tl::unexpected<Error> refuse_missing(const std::string& name, bool another, const std::string& beside) const;
    [[nodiscard]] std::string nearest_name(const std::string& name, const std::string& beside) const;
    [[nodiscard]] Result<FoundProfile> find_path(const std::string& path, const ProfileFile& from);
};

}  // namespace sandbox
