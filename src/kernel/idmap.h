// The id maps of a user namespace (user_namespaces(7)).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/error.h"

namespace sandbox {

struct IdMapLine {
    std::uint32_t inside = 0, outside = 0, count = 0;
};

// Writes the maps of a process that waits in a new user namespace. `deny_setgroups` is what the kernel wants of an
// unprivileged writer before it takes a gid map.
[[nodiscard]] Status write_id_maps(pid_t pid, const std::vector<IdMapLine>& uid, const std::vector<IdMapLine>& gid, bool deny_setgroups);

// The same through newuidmap(1) and newgidmap(1), which give an ordinary user its subordinate ids.
[[nodiscard]] Status write_id_maps_by_helpers(pid_t pid, const std::vector<IdMapLine>& uid, const std::vector<IdMapLine>& gid);

// For as long as it lives, what the caller makes on file systems belongs to these ids, with all its capabilities kept
// (setfsuid(2) drops some). An overlay remembers who mounted it and creates as that: over id-mapped layers it must be
// somebody who has an id there.
class ActingAs {
   public:
    ActingAs(std::uint32_t uid, std::uint32_t gid);
    ~ActingAs();
    ActingAs(const ActingAs&) = delete;
    ActingAs& operator=(const ActingAs&) = delete;
    // False when the kernel did not take the ids.
    [[nodiscard]] bool valid() const { return valid_; }

   private:
    int uid_, gid_;
    bool valid_;
};

}  // namespace sandbox
