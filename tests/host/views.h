// What the functional tests share: short profiles, and lists out of the probe's answers.
#pragma once

#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "harness.h"
#include "snapshot.h"

namespace harness {

using Names = std::vector<std::string>;

// A profile whose root is the probe's tree.
inline std::string in_tree(std::string_view rest = {}) { return sandbox::cat("version: 1\nrootfs: {path: @PROBE_TREE@}\n", rest); }
inline std::string in_busybox(std::string_view rest = {}) { return sandbox::cat("version: 1\nrootfs: {path: @BUSYBOX@}\n", rest); }

inline Names names_of(const Json& list) { return list.is_array() ? list.get<Names>() : Names{"not a list: " + list.dump()}; }

// The last mount on `target` in the probe's `mounts`, or null.
inline Json mount_at(const Json& mounts, std::string_view target) {
    Json found;
    for (const Json& mount : mounts)
        if (mount["target"] == target) found = mount;
    return found;
}

// Whether this root can make control groups here, in cgroup v1 or v2.
inline bool has_groups() {
    return access("/sys/fs/cgroup/pids/cgroup.procs", W_OK) == 0 || access("/sys/fs/cgroup/cgroup.subtree_control", W_OK) == 0;
}

}  // namespace harness
