#include <fcntl.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "host/cgroups.h"
#include "host/parts.h"
#include "host/read.h"

namespace sandbox {

void probe_cgroups(HostFacts& facts, const std::vector<MountInfo>& mounts) {
    const auto unified = std::find_if(mounts.begin(), mounts.end(), [](const MountInfo& mount) { return mount.filesystem == "cgroup2"; });
    std::string offered;
    if (unified != mounts.end()) offered = read_file(cat(unified->target, "/cgroup.controllers").c_str()).value_or("");
    const CgroupFacts found = arrange_cgroups(mounts, read_file("/proc/cgroups").value_or(""), offered);
    facts.controllers = found.controllers;
    facts.cgroup_layout = found.layout;
}

}  // namespace sandbox
