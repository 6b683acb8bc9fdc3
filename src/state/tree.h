// Folders seen through descriptors: what is in one, and emptying one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sandbox {

struct FolderEntry {
    std::string name;
    unsigned char type = 0;  // DT_DIR, DT_REG, ...; DT_UNKNOWN where the file system does not say
};

// Everything in the folder but "." and "..", in no order. Moves the position of the descriptor.
[[nodiscard]] Result<std::vector<FolderEntry>> list_folder(int folder);

// Deletes what is in the folder, except an entry called `keep` at its top. Never follows a link, never leaves the file
// system, stops at a mount point. Trees of any depth: three descriptors at most. After an error the rest is still
// there, perhaps moved up to the top, and another call goes on with it.
Status empty_folder(int folder, std::string_view keep = {});

}  // namespace sandbox
