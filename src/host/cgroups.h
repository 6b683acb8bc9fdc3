// Which controller is in which hierarchy.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/probe.h"

namespace sandbox {

struct CgroupFacts {
    std::map<std::string, CgroupVersion> controllers;  // v2 names: "io" stands for v1's blkio too
    std::string layout;                                // "v1", "v2", "hybrid", "none"
};

// From the mounts, the text of /proc/cgroups, and the text of the unified tree's cgroup.controllers (empty without one).
[[nodiscard]] CgroupFacts arrange_cgroups(const std::vector<MountInfo>& mounts, std::string_view proc_cgroups, std::string_view offered);

}  // namespace sandbox
