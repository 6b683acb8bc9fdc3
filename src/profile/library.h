// Where a profile's parents come from. The profile part itself never touches the system: whoever loads gives it a library.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace sandbox {

// How far a place is trusted that a file comes from.
enum class ProfileTier {
    named,   // the user named the file: not looked at
    own,     // the user's own folder
    system,  // a folder that only root may write to
};

// One file of the language: a profile, a parent, a drop-in.
struct ProfileFile {
    std::string name;       // as messages call it: its path, "<standard input>"
    std::string text;       // at most 1 MiB; anything may be in it
    std::string directory;  // absolute; relative paths in it start here
    ProfileTier tier = ProfileTier::named;
};

struct FoundProfile {
    ProfileFile file;
    std::vector<ProfileFile> drop_ins;  // merged over it in this order
};

class ProfileLibrary {
   public:
    virtual ~ProfileLibrary() = default;
    // What `word` of an `extends` means in `from`: a path (it begins with '/', './' or '../', or ends in .yaml or .yml) from that
    // file's folder, else a name. An error when it is missing, cannot be read or must not be trusted.
    [[nodiscard]] virtual Result<FoundProfile> find(const std::string& word, const ProfileFile& from) = 0;
};

}  // namespace sandbox
