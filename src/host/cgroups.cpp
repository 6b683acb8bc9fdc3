#include "host/cgroups.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace sandbox {
namespace {

std::string controller_name(std::string_view kernel_name) { return kernel_name == "blkio" ? "io" : std::string(kernel_name); }

struct Known {
    std::string name;
    bool attached;  // to a v1 hierarchy, mounted or not
};

// "name hierarchy groups enabled"; a controller that the kernel's command line switched off is as good as absent.
std::vector<Known> parse_proc_cgroups(std::string_view text) {
    std::vector<Known> known;
    for (const std::string_view line : split(text, '\n')) {
        if (line.starts_with('#')) continue;
        const auto fields = words_in(line, '\t');
        if (fields.size() == 4 && fields[3] == "1") known.push_back({controller_name(fields[0]), fields[1] != "0"});
    }
    return known;
}

// In the unified tree without being listed there: part of its core, or attached to programs (devices).
bool is_implicit(std::string_view controller) {
    static constexpr std::array<std::string_view, 4> names{"freezer", "cpuacct", "perf_event", "devices"};
    return std::find(names.begin(), names.end(), controller) != names.end();
}

}  // namespace

CgroupFacts arrange_cgroups(const std::vector<MountInfo>& mounts, std::string_view proc_cgroups, std::string_view offered) {
    CgroupFacts facts;
    const auto known = parse_proc_cgroups(proc_cgroups);
    bool unified = false, separate = false;
    for (const Known& controller : known) facts.controllers[controller.name] = CgroupVersion::absent;
    for (const MountInfo& mount : mounts) unified = unified || mount.filesystem == "cgroup2";
    if (unified) {
        for (const Known& controller : known)
            if (!controller.attached && is_implicit(controller.name)) facts.controllers[controller.name] = CgroupVersion::v2;
        for (const std::string_view name : words_in(trim(offered), ' ')) facts.controllers[std::string(name)] = CgroupVersion::v2;
    }
    for (const MountInfo& mount : mounts) {
        if (mount.filesystem != "cgroup") continue;
        // Whole words: "cpu" is not "cpuacct", and "rw", "xattr" and "name=systemd" are no controllers.
        for (const std::string_view option : words_in(mount.super_options, ',')) {
            const auto controller = facts.controllers.find(controller_name(option));
            if (controller == facts.controllers.end()) continue;
            controller->second = CgroupVersion::v1;
            separate = true;
        }
    }
    facts.layout = unified && separate ? "hybrid" : unified ? "v2" : separate ? "v1" : "none";
    return facts;
}

}  // namespace sandbox
