// A root tree of a test's own, which it may fill and spoil, and whose owner is whoever launches.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "views.h"
#include "ways.h"

namespace harness {

class OwnTree {
   public:
    OwnTree() {
        for (const char* name : {"proc", "sys", "dev", "etc", "mnt", "work"}) place_.make(sandbox::cat("root/", name));
        place_.make("root/tmp", 01777);
        std::filesystem::copy_file(probe_binary(), root() + "/sandbox-probe");
    }
    // Beside the tree there is room for sources: `place()` is on the host, `root()` becomes "/".
    [[nodiscard]] const TempDir& place() const { return place_; }
    [[nodiscard]] std::string root() const { return place_ / "root"; }
    // The key of the profile; what follows inside its braces begins with a comma.
    [[nodiscard]] std::string as_root(std::string_view more = {}) const { return sandbox::cat("rootfs: {path: ", root(), more, "}\n"); }

   private:
    const TempDir place_;
};

}  // namespace harness
