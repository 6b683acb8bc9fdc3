// What `sandbox doctor` says about a host: the table of contents is at the end.
#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/text.h"
#include "host/probe.h"

namespace sandbox {
namespace {

using State = Finding::State;
using Findings = std::vector<Finding>;

bool has(const HostFacts& facts, int capability) { return (facts.capabilities >> capability & 1) != 0; }

// Whether id-mapped mounts, leased id ranges and device nodes are this caller's to have.
bool is_administrator(const HostFacts& facts) { return facts.initial_user_namespace && has(facts, CAP_SYS_ADMIN); }

// How a switch is set now and kept set.
std::string set_sysctl(std::string_view key, std::string_view value) {
    return cat("sudo sysctl -w ", key, "=", value, " (to keep it: echo '", key, "=", value, "' | sudo tee /etc/sysctl.d/60-sandbox.conf)");
}

void judge_kernel(const HostFacts& facts, Findings& out) {
    out.push_back({State::ok, "kernel", cat("Linux ", printable(facts.release), " on ", printable(facts.machine)), ""});
    out.push_back({State::ok, "shared kernel",
                   "every sandbox runs on this kernel: a setting that is not of a namespace, a module or a fault of the kernel is shared "
                   "by all",
                   ""});
}

void judge_namespaces(const HostFacts& facts, Findings& out) {
    struct Type {
        std::string_view name, since, option;
    };
    static constexpr std::array<Type, 8> types{{{"mount", "2.4.19", ""},
                                                {"pid", "2.6.24", "CONFIG_PID_NS"},
                                                {"ipc", "2.6.19", "CONFIG_IPC_NS"},
                                                {"uts", "2.6.19", "CONFIG_UTS_NS"},
                                                {"cgroup", "4.6", "CONFIG_CGROUPS"},
                                                {"user", "3.8", "CONFIG_USER_NS"},
                                                {"time", "5.6", "CONFIG_TIME_NS"},
                                                {"net", "2.6.29", "CONFIG_NET_NS"}}};
    for (const Type& type : types) {
        const auto found = facts.namespaces.find(std::string(type.name));
        const std::string what = cat(type.name, " namespace");
        if (found != facts.namespaces.end() && found->second) {
            out.push_back({State::ok, what, "available", ""});
            continue;
        }
        const std::string kernel = cat("a kernel from Linux ", type.since, type.option.empty() ? "" : " with ", type.option);
        const std::string key = type.name == "net" ? "network.mode" : cat("namespaces.", type.name);
        out.push_back({State::missing, what, cat("this kernel has none (Linux ", type.since, " brought it)"),
                       cat("run ", kernel, ", or share the host's: ", key, ": host")});
    }
}

void judge_user_namespaces(const HostFacts& facts, Findings& out) {
    const std::string what = "user namespaces";
    if (facts.userns_restricted) {
        const bool apparmor = facts.userns_restriction == "kernel.apparmor_restrict_unprivileged_userns";
        out.push_back({State::missing, what, cat(facts.userns_restriction, apparmor ? "=1" : "=0", " forbids them to ordinary users"),
                       cat(apparmor ? "sudo apparmor_parser -r /etc/apparmor.d/sandbox (the profile that comes with the launcher, for "
                                      "/usr/bin/sandbox); or "
                                    : "",
                           set_sysctl(facts.userns_restriction, apparmor ? "0" : "1"))});
    } else if (facts.max_user_namespaces <= 0) {
        out.push_back({State::missing, what, "user.max_user_namespaces=0 allows none, not even to root",
                       set_sysctl("user.max_user_namespaces", "15000")});
    } else {
        out.push_back({State::ok, what, cat("at most ", facts.max_user_namespaces), ""});
    }
}

std::uint64_t total(const std::vector<FactRange>& ranges) {
    std::uint64_t sum = 0;
    for (const FactRange& range : ranges) sum += range.count;
    return sum;
}

// A command that adds what is missing; `usermod` knows names only.
std::string add_ranges(const HostFacts& facts, bool uids, bool gids) {
    constexpr std::string_view first = "100000", last = "165535", count = "65536";
    std::string command;
    if (!facts.user.empty()) {
        command = "sudo usermod";
        if (uids) command += cat(" --add-subuids ", first, "-", last);
        if (gids) command += cat(" --add-subgids ", first, "-", last);
        command += cat(" ", printable(facts.user));
    } else {
        const std::string files = cat(uids ? " /etc/subuid" : "", gids ? " /etc/subgid" : "");
        command = cat("echo '", facts.uid, ":", first, ":", count, "' | sudo tee -a", files);
    }
    return cat(command, " (another range if some line of these files has this one)");
}

void judge_subordinate_ids(const HostFacts& facts, Findings& out) {
    const std::string what = "subordinate ids";
    if (is_administrator(facts)) {
        out.push_back({State::ok, what, "not needed: root leases a range for each sandbox", ""});
        return;
    }
    constexpr std::uint64_t enough = 65536;
    const std::uint64_t uids = total(facts.subuid), gids = total(facts.subgid);
    const std::string detail = cat(uids, " user ids and ", gids, " group ids");
    if (uids >= enough && gids >= enough)
        out.push_back({State::ok, what, detail, ""});
    else
        out.push_back({State::limited, what, cat(detail, ": a sandbox has the one own id where there is no range"),
                       add_ranges(facts, uids < enough, gids < enough)});
}

void judge_map_helpers(const HostFacts& facts, Findings& out) {
    const std::string what = "newuidmap and newgidmap";
    if (facts.newuidmap && facts.newgidmap) {
        out.push_back({State::ok, what, "installed", ""});
    } else if (is_administrator(facts)) {
        out.push_back({State::ok, what, "not installed, and not needed by root", ""});
    } else {
        const std::string_view which = facts.newuidmap ? "newgidmap is" : facts.newgidmap ? "newuidmap is" : "both are";
        out.push_back({State::limited, what, cat(which, " missing or not set-user-id root: subordinate ids cannot be used"),
                       "install the package uidmap (sudo apt install uidmap; shadow-utils elsewhere)"});
    }
}

void judge_privileges(const HostFacts& facts, Findings& out) {
    const std::string who = facts.user.empty() ? cat("uid ", facts.uid) : cat(printable(facts.user), " (uid ", facts.uid, ")");
    if (!facts.initial_user_namespace)
        out.push_back({State::limited, "caller", cat(who, " inside a user namespace"),
                       "start outside of it for device nodes, id-mapped mounts and ids that are not mapped here"});
    else if (facts.capabilities == 0)
        out.push_back({State::ok, "caller", cat(who, ", an ordinary user: every sandbox gets a user namespace"), ""});
    else
        out.push_back({State::ok, "caller", who, ""});
}

// Only for callers that have some: an ordinary user misses all of them, and is not expected to have any.
void judge_capabilities(const HostFacts& facts, Findings& out) {
    struct Need {
        int number;
        std::string_view name, meaning;
    };
    static constexpr std::array<Need, 9> needs{
        {{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "no namespaces and mounts without a user namespace"},
         {CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", "hard limits cannot be raised, process.oom_score_adj cannot be lowered"},
         {CAP_NET_ADMIN, "CAP_NET_ADMIN", "no interfaces, addresses and rules on the host's side"},
         {CAP_SETUID, "CAP_SETUID", "the user ids of a sandbox cannot be chosen"},
         {CAP_SETGID, "CAP_SETGID", "the group ids of a sandbox cannot be chosen"},
         {CAP_SETPCAP, "CAP_SETPCAP", "the bounding set cannot be reduced"},
         {CAP_MKNOD, "CAP_MKNOD", "device nodes cannot be made, the host's are bound instead"},
         {CAP_SYS_NICE, "CAP_SYS_NICE", "nice values cannot be lowered, no real-time scheduling"},
         {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "namespaces of other users' processes cannot be joined"}}};
    if (facts.capabilities == 0) return;
    bool complete = true;
    for (const Need& need : needs) {
        if (has(facts, need.number)) continue;
        complete = false;
        const bool bounded = (facts.bounding >> need.number & 1) == 0;
        out.push_back({State::limited, cat("capability ", need.name), cat("missing: ", need.meaning),
                       bounded
                           ? cat("it is not in the bounding set: whatever started this session took it away (a container needs --cap-add ",
                                 need.name.substr(4), ", a systemd unit CapabilityBoundingSet=)")
                           : cat("start with it, as root does")});
    }
    if (complete) out.push_back({State::ok, "capabilities", "all that a launch uses", ""});
}

void judge_mounting(const HostFacts& facts, Findings& out) {
    if (facts.new_mount_api)
        out.push_back({State::ok, "mount calls", "fsopen, open_tree, move_mount, mount_setattr, openat2", ""});
    else
        out.push_back({State::missing, "mount calls", "fsopen, open_tree, move_mount, mount_setattr or openat2 is missing",
                       "run Linux 5.12 or later; in a container, let its seccomp filter allow them"});
    const auto judge_fresh = [&](bool mountable, std::string_view what, std::string_view where, std::string_view instead) {
        if (mountable)
            out.push_back({State::ok, cat("fresh ", what), "can be mounted in a user namespace", ""});
        else
            out.push_back({State::limited, cat("fresh ", what),
                           cat("mounts hide parts of ", where, ": the kernel refuses a new one in a user namespace"),
                           std::string(instead)});
    };
    judge_fresh(facts.proc_mountable, "proc", "/proc",
                "proc: {mode: inherit}, or start where nothing is mounted below /proc (in a container, unmask it)");
    judge_fresh(facts.sysfs_mountable, "sysfs", "/sys", "start where nothing is mounted below /sys, or leave sysfs out");
}

void judge_overlay(const HostFacts& facts, Findings& out) {
    if (!facts.overlay) {
        out.push_back({State::missing, "overlay", "this kernel or caller cannot make one", "sudo modprobe overlay (CONFIG_OVERLAY_FS)"});
        return;
    }
    if (facts.overlay_layer_fds)
        out.push_back({State::ok, "overlay", "up to 500 layers, by descriptor", ""});
    else
        out.push_back({State::ok, "overlay", "up to 500 layers, by name", ""});
    if (facts.overlay_userns)
        out.push_back({State::ok, "overlay in user namespaces", "available", ""});
    else
        out.push_back({State::limited, "overlay in user namespaces", "only root can mount one", "run Linux 5.11 or later"});
}

void judge_idmapped_mounts(const HostFacts& facts, Findings& out) {
    const std::string what = "id-mapped mounts";
    if (!is_administrator(facts)) {
        out.push_back({State::limited, what, "only for CAP_SYS_ADMIN in the initial user namespace",
                       "start as root to have files appear as the sandbox's own"});
        return;
    }
    std::vector<std::string> without;
    const auto root = facts.paths.find("/");
    if (root != facts.paths.end() && !root->second.idmappable) without.push_back(cat("/ (", root->second.filesystem, ")"));
    for (const MountFact& mount : facts.mounts)
        if (!mount.idmappable) without.push_back(cat(printable(mount.target), " (", printable(mount.filesystem), ")"));
    if (!facts.tmpfs_idmap) without.emplace_back("tmpfs (from Linux 6.3)");
    if (without.empty())
        out.push_back({State::ok, what, "on every file system seen", ""});
    else
        out.push_back({State::limited, what, cat("not on ", join(without, ", ")),
                       "keep roots and layers on a file system that has them (ext4, xfs, btrfs), or id_map: host"});
}

void judge_security(const HostFacts& facts, Findings& out) {
    out.push_back(facts.seccomp
                      ? Finding{State::ok, "seccomp", "filters available", ""}
                      : Finding{State::missing, "seccomp", "this kernel has no filters", "run a kernel with CONFIG_SECCOMP_FILTER"});
    out.push_back(facts.landlock_abi > 0
                      ? Finding{State::ok, "Landlock", cat("ABI ", facts.landlock_abi), ""}
                      : Finding{State::missing, "Landlock", "not in this kernel or not switched on",
                                "run Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK, and landlock in lsm= of its command line"});
    // The file is in securityfs, which need not be mounted; none is no fault.
    out.push_back({State::ok, "security modules",
                   facts.lsm.empty() ? "none to be seen in /sys/kernel/security/lsm" : printable(join(facts.lsm, ", ")), ""});
    const bool apparmor = std::find(facts.lsm.begin(), facts.lsm.end(), "apparmor") != facts.lsm.end();
    out.push_back(apparmor ? Finding{State::ok, "AppArmor", "active", ""}
                           : Finding{State::limited, "AppArmor", "not in this kernel or not switched on: security.apparmor cannot be had",
                                     "run a kernel with CONFIG_SECURITY_APPARMOR, and apparmor in lsm= of its command line; profiles "
                                     "without that key work without"});
    out.push_back(facts.keyring ? Finding{State::ok, "keyring", "a new session keyring for each sandbox", ""}
                                : Finding{State::missing, "keyring", "this kernel has none",
                                          "security: {keyring: inherit}, or a kernel with CONFIG_KEYS"});
    if (!facts.legacy_tiocsti) {
        out.push_back({State::ok, "TIOCSTI", "characters cannot be pushed into a terminal", ""});
        return;
    }
    const bool has_switch = facts.major > 6 || (facts.major == 6 && facts.minor >= 2);
    out.push_back({State::limited, "TIOCSTI", "programs that share a terminal can push characters into it (a sandbox has its own terminal)",
                   has_switch ? set_sysctl("dev.tty.legacy_tiocsti", "0") : "Linux 6.2 brought the switch dev.tty.legacy_tiocsti"});
}

// What to do about a controller that no mounted tree offers.
std::string enable_controller(const HostFacts& facts, std::string_view controller) {
    constexpr std::string_view otherwise = "; profiles that limit nothing of it work without";
    if (controller == "memory") return cat("boot with cgroup_enable=memory, or run a kernel with CONFIG_MEMCG", otherwise);
    if (!facts.controllers.contains(std::string(controller))) return cat("run a kernel that has the controller ", controller, otherwise);
    if (facts.cgroup_layout == "v2")
        return controller.starts_with("net_") ? cat("none: it is of the v1 layout only", otherwise)
                                              : cat("let the parent of this tree pass it on: +", controller,
                                                    " in its cgroup.subtree_control (a systemd unit: Delegate=yes)", otherwise);
    const std::string_view name = controller == "io" ? "blkio" : controller;
    const std::string place = cat("/sys/fs/cgroup/", name);
    return cat("sudo mkdir -p ", place, " && sudo mount -t cgroup -o ", name, " none ", place, otherwise);
}

void judge_cgroups(const HostFacts& facts, Findings& out) {
    if (facts.cgroup_layout.empty() || facts.cgroup_layout == "none")
        out.push_back({State::missing, "cgroups", "no controller is mounted: nothing can be limited",
                       "mount the unified tree: sudo mount -t cgroup2 none /sys/fs/cgroup"});
    else
        out.push_back({State::ok, "cgroups", cat(facts.cgroup_layout, " layout"), ""});
    std::map<std::string, CgroupVersion> controllers = facts.controllers;
    for (const char* expected : {"memory", "cpu", "cpuset", "pids", "io", "devices", "freezer"})
        controllers.try_emplace(expected, CgroupVersion::absent);
    for (const auto& [name, version] : controllers) {
        const std::string what = cat("cgroup controller ", printable(name));
        if (version == CgroupVersion::absent)
            out.push_back({State::limited, what, "absent", enable_controller(facts, name)});
        else
            out.push_back({State::ok, what, version == CgroupVersion::v1 ? "v1" : "v2", ""});
    }
}

void judge_limits(const HostFacts& facts, Findings& out) {
    constexpr std::uint64_t enough = 4096;
    if (facts.nofile_hard >= enough)
        out.push_back({State::ok, "open files", cat("hard limit ", facts.nofile_hard), ""});
    else
        out.push_back({State::limited, "open files",
                       cat("hard limit ", facts.nofile_hard, ": an overlay of many layers needs a descriptor each"),
                       cat("raise it: ulimit -Hn ", enough, " as root, LimitNOFILE= of the unit, or /etc/security/limits.conf")});
}

void judge_link_kinds(const HostFacts& facts, Findings& out) {
    struct Kind {
        std::string_view name, option, user;
    };
    static constexpr std::array<Kind, 5> kinds{{{"veth", "CONFIG_VETH", "network.mode bridge"},
                                                {"bridge", "CONFIG_BRIDGE", "network.mode bridge"},
                                                {"macvlan", "CONFIG_MACVLAN", "network.mode macvlan"},
                                                {"ipvlan", "CONFIG_IPVLAN", "network.mode ipvlan"},
                                                {"dummy", "CONFIG_DUMMY", ""}}};
    if (facts.link_kinds.empty()) {
        out.push_back({State::limited, "link kinds", "not known: there was no network namespace to try them in",
                       "see net namespace and user namespaces above, or ask as root"});
        return;
    }
    for (const Kind& kind : kinds) {
        const auto found = facts.link_kinds.find(std::string(kind.name));
        const std::string what = cat("link kind ", kind.name);
        if (found != facts.link_kinds.end() && found->second)
            out.push_back({State::ok, what, "available", ""});
        else
            out.push_back({kind.user.empty() ? State::limited : State::missing, what,
                           cat("this kernel has none: ", kind.user.empty() ? "no network.mode needs it" : cat("needed by ", kind.user)),
                           cat("sudo modprobe ", kind.name, ", or run a kernel with ", kind.option)});
    }
}

void judge_nftables(const HostFacts& facts, Findings& out) {
    if (facts.nftables)
        out.push_back({State::ok, "nftables", "available", ""});
    else if (facts.nftables_error == EPERM)
        out.push_back({State::limited, "nftables", "not known: only who may change it may ask", "ask as root"});
    else
        out.push_back({State::missing, "nftables",
                       cat(facts.nftables_error == EOPNOTSUPP ? "this kernel has none" : errno_text(facts.nftables_error),
                           ": needed by network.mode bridge"),
                       "sudo modprobe nf_tables, or run a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET"});
}

void judge_network(const HostFacts& facts, Findings& out) {
    if (facts.net_admin)
        out.push_back({State::ok, "network", "links, addresses and routes can be made here", ""});
    else
        out.push_back({State::limited, "network",
                       "links cannot be made in this network namespace: needed by network.mode bridge, macvlan and ipvlan",
                       "run as root (CAP_NET_ADMIN where the network namespace belongs)"});
    if (facts.ipv6)
        out.push_back({State::ok, "IPv6", "available", ""});
    else
        out.push_back({State::limited, "IPv6", "this kernel has none, or it is switched off: sandboxes get no IPv6 addresses",
                       set_sysctl("net.ipv6.conf.all.disable_ipv6", "0")});
}

// What a sandbox gets as its name servers, and why it is not what /etc/resolv.conf says.
void judge_resolver(const HostFacts& facts, Findings& out) {
    const ResolverFact& resolver = facts.resolver;
    const std::string stub = resolver.stub.empty() ? "" : cat(printable(resolver.stub), " of /etc/resolv.conf answers only this host");
    if (resolver.servers.empty()) {
        out.push_back({State::limited, "name servers", stub.empty() ? "/etc/resolv.conf names none" : cat(stub, ", and there is no other"),
                       "name those that sandboxes shall ask in the profile: network.dns.servers"});
        return;
    }
    std::vector<std::string> servers;
    for (const IpAddress& server : resolver.servers) servers.push_back(to_text(server));
    out.push_back({State::ok, "name servers",
                   cat(join(servers, ", "), " (", printable(resolver.source), stub.empty() ? "" : cat("; ", stub), ")"), ""});
}

void list_interfaces(const HostFacts& facts, Findings& out) {
    std::vector<std::string> interfaces;
    for (const InterfaceFact& interface : facts.interfaces)
        interfaces.push_back(cat(printable(interface.name), " (", printable(interface.kind), interface.kind.empty() ? "" : ", ",
                                 interface.up ? "up" : "down", ")"));
    out.push_back({State::ok, "interfaces", interfaces.empty() ? "none" : join(interfaces, ", "), ""});
}

}  // namespace

std::vector<Finding> diagnose(const HostFacts& facts) {
    Findings out;
    judge_kernel(facts, out);
    judge_privileges(facts, out);
    judge_capabilities(facts, out);
    judge_limits(facts, out);
    judge_namespaces(facts, out);
    judge_user_namespaces(facts, out);
    judge_subordinate_ids(facts, out);
    judge_map_helpers(facts, out);
    judge_mounting(facts, out);
    judge_overlay(facts, out);
    judge_idmapped_mounts(facts, out);
    judge_security(facts, out);
    judge_cgroups(facts, out);
    judge_link_kinds(facts, out);
    judge_nftables(facts, out);
    judge_network(facts, out);
    judge_resolver(facts, out);
    list_interfaces(facts, out);
    return out;
}

}  // namespace sandbox
