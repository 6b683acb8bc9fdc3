// Fills HostFacts by trying. A launch asks only for what its profile needs; `doctor` asks for everything.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "host/facts.h"

namespace sandbox {

struct ProbeRequest {
    bool everything = false;               // doctor; includes the path "/"
    bool mounts = false;                   // HostFacts::mounts and root_entries
    bool overlay = false;                  // overlay features
    bool user_namespace = false;           // limits, switches, subordinate ids, helpers
    bool cgroups = false;                  // HostFacts::cgroups and the manager of the tree
    bool cgroup_files = false;             // with what a group there has, and what processors may be given out
    bool lxcfs = false;                    // whether lxcfs runs
    bool passwd = false;                   // passwd and group of the sandbox's root
    bool network = false;                  // interfaces, their addresses, routes, the packet filter
    bool names = false;                    // HostFacts::resolver
    std::vector<WantedPort> wanted_ports;  // for HostFacts::busy_ports
    std::vector<std::string> link_kinds;   // for HostFacts::link_kinds: asked of the kernel, none is made
    std::vector<std::string> paths;        // absolute host paths for HostFacts::paths
    std::vector<std::string> idmap_paths;  // those of `paths` whose `idmappable` is wanted
    std::vector<std::string> disk_paths;   // for HostFacts::disks
    std::vector<std::string> upper_paths;  // those of `paths` whose `locked` and `exposed` are wanted
    // The root of the sandbox for root_paths, passwd and group: one directory (rootfs.path, "/" for host), or the layers
    // of an overlay, top first (a whiteout or the first hit decides). Empty: a root without files of its own.
    std::vector<std::string> root_layers;
    std::vector<std::string> root_paths;  // inside paths
};

// Never fails for something that is merely missing: that is what the facts say.
[[nodiscard]] Result<HostFacts> probe(const ProbeRequest& request);

// The facts as JSON and back: `sandbox doctor --json` and the fixtures of tests.
[[nodiscard]] std::string facts_to_json(const HostFacts& facts);
[[nodiscard]] Result<HostFacts> facts_from_json(std::string_view text);

// One line of `sandbox doctor`.
struct Finding {
    enum class State { ok, missing, limited } state = State::ok;
    std::string what;    // "user namespaces"
    std::string detail;  // "at most 96365"
    std::string advice;  // what to change; empty when ok
};
[[nodiscard]] std::vector<Finding> diagnose(const HostFacts& facts);

// One mount of /proc/self/mountinfo, escapes resolved (proc_pid_mountinfo(5)).
struct MountInfo {
    int id = 0, parent = 0;
    std::string root, target, options, filesystem, source, super_options;
};
// Lines that are not of the format are left out.
[[nodiscard]] std::vector<MountInfo> parse_mountinfo(std::string_view text);

}  // namespace sandbox
