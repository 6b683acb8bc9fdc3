// Trials: features of the kernel that are found by using them once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/fd.h"

namespace sandbox {

// Tries id-mapped mounts. The user namespace they need is made once, at the first question, and kept for the life of the
// object; the process that made it is gone by then.
class IdmapTrial {
   public:
    // `allowed` false: the caller may not make id-mapped mounts, every answer is no and nothing is tried.
    explicit IdmapTrial(bool allowed) : allowed_(allowed) {}

    // Whether what `path` (O_PATH) refers to can be mounted with mapped ids. Asked once for each mount of the host.
    [[nodiscard]] bool accepts(int path);
    // Whether a fresh tmpfs can be (Linux 6.3).
    [[nodiscard]] bool accepts_tmpfs();

   private:
    [[nodiscard]] bool ready();
    [[nodiscard]] bool map(int tree);

    bool allowed_;
    bool tried_ = false;
    Fd user_namespace_;
    std::map<std::uint64_t, bool> answers_;  // by mount id
};

// Runs `work` in a child with new user and mount namespaces and returns what it returns (0 to 254); nothing if there is no
// such child. `work` must make plain system calls only: the child is a copy of this process between fork and exec.
[[nodiscard]] std::optional<int> try_in_user_namespace(int (*work)());

}  // namespace sandbox
