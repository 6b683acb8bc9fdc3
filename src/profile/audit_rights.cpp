// Namespaces, ids, capabilities, system calls: what stands between a payload and the kernel.

#include <linux/capability.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "profile/audit_parts.h"
#include "profile/capability_set.h"
#include "profile/names.h"

namespace sandbox::auditing {
namespace {

// ---- namespaces

Readings read_namespace(const Namespace& ns, std::string_view name, std::string_view host) {
    const std::string cure = cat("namespaces: {", name, ": private}");
    if (*ns.mode == NamespaceMode::private_) return one({0, "its own", ns.mode.at});
    if (*ns.mode == NamespaceMode::path) return one({60, cat("shared with those in ", printable(*ns.path)), ns.mode.at, cure});
    return one({100, std::string(host), ns.mode.at, cure});
}

Readings read_mount_namespace(const Profile& p) {
    return read_namespace(p.namespaces.mount, "mount", "the host's tree and mounts, as they are");
}
Readings read_pid_namespace(const Profile& p) {
    return read_namespace(p.namespaces.pid, "pid", "the host's processes can be seen, and signalled where the ids allow");
}
Readings read_ipc_namespace(const Profile& p) {
    return read_namespace(p.namespaces.ipc, "ipc", "the host's shared memory, semaphores and message queues");
}
Readings read_uts_namespace(const Profile& p) {
    return read_namespace(p.namespaces.uts, "uts", "the host's name, which may be changed with SYS_ADMIN");
}
Readings read_cgroup_namespace(const Profile& p) {
    return read_namespace(p.namespaces.cgroup, "cgroup", "the names of the host's control groups can be seen");
}
Readings read_time_namespace(const Profile& p) {
    return read_namespace(p.namespaces.time, "time", "the host's clocks since its start: how long it runs can be seen");
}

// ---- ids

constexpr std::uint32_t first_id_of_nobody = 65536;  // below are those of the host's users and services

Readings read_ranges(const IdMap& map) {
    Reading worst{0, "ids of its own, which are nobody's on the host", map.mode.at};
    for (const auto* ranges : {&map.uid, &map.gid})
        for (const At<IdRange>& range : *ranges) {
            if (range->count == 0 || range->outside >= first_id_of_nobody) continue;
            const int percent = range->outside == 0 ? 70 : 30;
            if (percent <= worst.percent) continue;
            worst = {percent,
                     range->outside == 0
                         ? cat("the host's root is id ", range->inside, " inside: files of root can be had where they are in reach")
                         : cat("ids of the host's users from ", range->outside, " on are used inside"),
                     range.at, "id_map: auto"};
        }
    return one(std::move(worst));
}

Readings read_id_map(const Profile& p) {
    const At<NamespaceMode>& user = p.namespaces.user.mode;
    const Position at = p.id_map.mode.at.known() ? p.id_map.mode.at : user.at;
    if (*user == NamespaceMode::path)
        return one({80, cat("the ids of the user namespace ", printable(*p.namespaces.user.path)), user.at, "namespaces: {user: private}"});
    if (!has_own_ids(p)) return one({100, "no user namespace: its ids are the host's, its root is the host's root", at, "id_map: auto"});
    if (*p.id_map.mode == IdMapMode::ranges) return read_ranges(p.id_map);
    if (*p.id_map.mode == IdMapMode::caller)
        return one({40, "the caller's own id is used inside: its files can be had where they are in reach", at, "id_map: auto"});
    return one({0, "ids of its own", at});
}

Readings read_user(const Profile& p) {
    if (!runs_as_root(p)) return one({0, cat("the command is user ", printable(*p.process.user)), p.process.user.at});
    if (has_own_ids(p))
        return one(
            {30, "the command is root inside, of a user namespace of its own", p.process.user.at, "process: {user: \"65534:65534\"}"});
    return one({100, "the command is the host's root", p.process.user.at, "process: {user: \"65534:65534\"}, or id_map: auto"});
}

// ---- capabilities

// What a capability is worth: `weight` where it holds for the host itself, and how much of that is left in a user namespace of
// its own (capabilities(7), user_namespaces(7)): the kernel's code that it opens, and what belongs to the sandbox.
struct CapabilityRule {
    int number;
    int weight;
    int own_percent;
    std::string_view means;
};
constexpr std::array dangerous = {
    CapabilityRule{CAP_SYS_ADMIN, 10, 40, "mounts, namespaces, quotas and much else of the kernel"},
    CapabilityRule{CAP_SYS_MODULE, 10, 5, "loads code into the kernel"},
    CapabilityRule{CAP_SYS_RAWIO, 10, 5, "reads and writes the machine's memory and ports"},
    CapabilityRule{CAP_BPF, 8, 10, "loads BPF programs into the kernel"},
    CapabilityRule{CAP_SYS_PTRACE, 8, 20, "looks into other processes and changes them"},
    CapabilityRule{CAP_DAC_READ_SEARCH, 7, 10, "reads every file, and opens files by handle, outside of its root too"},
    CapabilityRule{CAP_NET_ADMIN, 7, 50, "changes links, routes and packet filters of its network"},
    CapabilityRule{CAP_MAC_ADMIN, 7, 5, "changes the rules of the security modules"},
    CapabilityRule{CAP_MAC_OVERRIDE, 6, 5, "is not bound by the rules of a security module"},
    CapabilityRule{CAP_AUDIT_CONTROL, 6, 5, "turns the kernel's auditing off"},
    CapabilityRule{CAP_SYS_BOOT, 6, 5, "restarts the machine, or another kernel"},
    CapabilityRule{CAP_CHECKPOINT_RESTORE, 5, 20, "chooses process ids, and reads what links of /proc lead to"},
    CapabilityRule{CAP_PERFMON, 5, 10, "measures other processes and the kernel"},
    CapabilityRule{CAP_SYS_TIME, 5, 5, "sets the machine's clock"},
    CapabilityRule{CAP_MKNOD, 5, 5, "makes device nodes"},
    CapabilityRule{CAP_SYS_RESOURCE, 4, 10, "goes beyond limits and quotas"},
    CapabilityRule{CAP_SYSLOG, 4, 10, "reads the kernel's messages and addresses"},
    CapabilityRule{CAP_IPC_OWNER, 4, 10, "uses every shared memory of its ipc namespace"},
    CapabilityRule{CAP_NET_RAW, 3, 40, "sends and reads raw packets, also under other addresses"},
    CapabilityRule{CAP_SYS_NICE, 3, 10, "takes the processor from others"},
    CapabilityRule{CAP_SYS_PACCT, 3, 5, "turns process accounting on and off"},
    CapabilityRule{CAP_SYS_TTY_CONFIG, 3, 10, "reconfigures and hangs up terminals"},
    CapabilityRule{CAP_LINUX_IMMUTABLE, 3, 5, "changes files that are marked as unchangeable"},
    CapabilityRule{CAP_AUDIT_READ, 2, 10, "reads the audit log"},
    CapabilityRule{CAP_IPC_LOCK, 2, 30, "locks memory without limit"},
    CapabilityRule{CAP_BLOCK_SUSPEND, 2, 10, "keeps the machine from sleeping"},
};

constexpr int highest_weight() {
    int out = 0;
    for (const CapabilityRule& rule : dangerous) out = std::max(out, rule.weight);
    return out;
}
static_assert(highest_weight() == 10);

// Where it was asked for, and how to be rid of it.
Reading origin_of(const Capabilities& c, int number) {
    const std::string name(capability_names()[static_cast<std::size_t>(number)]);
    for (std::size_t i = 0; i < c.add.size(); ++i)
        if (*c.add[i] == number)
            return {0, "", c.add[i].at, cat("remove ", name, " from capabilities.add"), cat("capabilities.add[", i, "]")};
    return {0, "", c.base.at, cat("capabilities: {drop: [", name, "]}"), "capabilities.base"};
}

Readings read_dangerous_capabilities(const Profile& p) {
    const std::uint64_t set = capability_set(p.capabilities);
    const bool own = has_own_ids(p);
    Readings out;
    for (const CapabilityRule& rule : dangerous) {
        const std::string name(capability_names()[static_cast<std::size_t>(rule.number)]);
        if ((set >> rule.number & 1) == 0) {
            out.push_back({0, cat(name, " is not there: ", rule.means), p.capabilities.base.at, "", "", rule.weight});
            continue;
        }
        Reading reading = origin_of(p.capabilities, rule.number);
        reading.percent = own ? rule.own_percent : 100;
        reading.means = cat(name, own ? ", in its own user namespace: " : ", for the host itself: ", rule.means);
        reading.weight = rule.weight;
        out.push_back(std::move(reading));
    }
    return out;
}

bool is_dangerous(std::size_t number) {
    return std::ranges::any_of(dangerous, [number](const CapabilityRule& r) { return static_cast<std::size_t>(r.number) == number; });
}

// What a program of a system of its own needs now and then, on its own files and ids.
Readings read_ordinary_capabilities(const Profile& p) {
    const std::uint64_t set = capability_set(p.capabilities);
    std::vector<std::string> names;
    int all = 0;
    for (std::size_t i = 0; i < capability_names().size(); ++i) {
        if (is_dangerous(i)) continue;
        ++all;
        if (set >> i & 1) names.emplace_back(capability_names()[i]);
    }
    if (names.empty()) return one({0, "none of those for files, ids and ports", p.capabilities.base.at});
    const int given = static_cast<int>(names.size());
    return one({(has_own_ids(p) ? 20 : 100) * given / all,
                cat(has_own_ids(p) ? "in its own user namespace: " : "for the host itself: ", join(names, " ")), p.capabilities.base.at,
                "capabilities: {base: none, add: [...]} with those that are needed"});
}

// Root gets them in each program that it runs; another user only those that are ambient.
Readings read_ambient(const Profile& p) {
    const Capabilities& c = p.capabilities;
    const bool some = capability_set(c) != 0 && (runs_as_root(p) || c.ambient_auto || !c.ambient.empty());
    const Position at = c.ambient.empty() ? c.base.at : c.ambient.front().at;
    if (!some) return one({0, "no program that is run has capabilities", at});
    return one({100, "every program that is run has the capabilities", at,
                runs_as_root(p) ? "capabilities: {base: none}" : "capabilities: {ambient: []}"});
}

// ---- system calls

Readings read_no_new_privileges(const Profile& p) {
    if (p.security.no_new_privileges) return one({0, "nothing that is run gains privileges"});
    return one({100, "set-user-ID programs and file capabilities give privileges", {}, "security: {no_new_privileges: true}"});
}

Readings read_filter(const Profile& p) {
    const Seccomp& s = p.security.seccomp;
    if (*s.profile == "none")
        return one({100, "no filter: every system call of the kernel", s.profile.at, "security: {seccomp: {profile: default}}"});
    if (*s.action == SeccompAction::log)
        return one({100, "calls that the filter refuses are made all the same, and logged", s.action.at,
                    "security: {seccomp: {action: errno}}", "security.seccomp.action"});
    if (*s.profile != "default")
        return one({40, cat("the filter of ", printable(*s.profile), ", which is not looked into here"), s.profile.at,
                    "security: {seccomp: {profile: default, allow: [...]}}"});
    return one({0, "the default filter", s.profile.at});
}

struct CallRule {
    std::string_view names;  // calls and groups, with a blank before and after each
    int weight;
    std::string_view means;
};
constexpr CallRule calls_beyond_default[] = {
    {" @module init_module finit_module delete_module create_module ", 9, "kernel modules"},
    {" @privileged @known ", 9, "what only a host's administrator does"},
    {" @raw-io ioperm iopl ", 8, "the machine's ports"},
    {" @reboot reboot kexec_load kexec_file_load ", 7, "restart of the machine, or another kernel"},
    {" bpf ", 7, "programs that run in the kernel"},
    {" @mount mount umount umount2 fsopen fsconfig fsmount fspick move_mount mount_setattr open_tree open_tree_attr pivot_root ", 6,
     "mounting, with the kernel's file systems behind it"},
    {" unshare clone clone3 setns ", 6, "new namespaces, user namespaces among them, with all of the kernel that these open"},
    {" @debug perf_event_open ", 5, "measuring and tracing, a way out of sandboxes more than once"},
    {" @aio io_uring_setup io_uring_enter io_uring_register ", 5, "io_uring, which does calls past the filter"},
    {" @system-service ", 5, "io_uring, keyrings and userfaultfd, among calls that are open already"},
    {" open_by_handle_at ", 5, "files by handle, beyond the root"},
    {" ptrace process_vm_readv process_vm_writev process_madvise kcmp ", 4, "looking into other processes"},
    {" userfaultfd ", 4, "holding the kernel up in the middle of a copy"},
    {" @swap swapon swapoff acct quotactl quotactl_fd ", 4, "accounting, quotas and swap of the host"},
    {" @clock settimeofday clock_settime adjtimex clock_adjtime ", 4, "setting clocks"},
    {" @obsolete @cpu-emulation uselib ustat modify_ldt vm86 vm86old ", 4, "old parts of the kernel that few look after"},
    {" @keyring add_key keyctl request_key ", 3, "the kernel's keyrings"},
    {" chroot syslog vhangup sethostname setdomainname fanotify_init ", 3, "a call for administrators"},
};
constexpr CallRule any_call{"", 2, "a call that the default filter refuses, or knows already"};

const CallRule& rule_of(std::string_view name) {
    const std::string word = cat(" ", name, " ");
    for (const CallRule& rule : calls_beyond_default)
        if (rule.names.find(word) != std::string_view::npos) return rule;
    return any_call;
}

Readings read_allowed_calls(const Profile& p) {
    const std::vector<Text>& allow = p.security.seccomp.allow;
    if (allow.empty()) return one({0, "no call beyond the filter", p.security.seccomp.profile.at});
    Readings out;
    for (std::size_t i = 0; i < allow.size(); ++i) {
        const CallRule& rule = rule_of(*allow[i]);
        out.push_back({100, cat(printable(*allow[i]), ": ", rule.means), allow[i].at, "remove it, or allow single calls of a group",
                       cat("security.seccomp.allow[", i, "]"), rule.weight});
    }
    return out;
}

Readings read_keyring(const Profile& p) {
    if (p.security.new_keyring) return one({0, "an empty session keyring"});
    return one({100, "the caller's session keyring, with its keys", {}, "security: {keyring: new}"});
}

Readings read_policy(const Profile& p) {
    if (!p.warn_unsupported) return one({0, "what a host cannot honour stops the launch"});
    return one({100, "protections that a host cannot honour are left out with a warning", {}, "policy: {unsupported: error}"});
}

constexpr Rule rights[] = {
    {"namespaces.mount", 10, "namespaces.mount", read_mount_namespace},
    {"namespaces.pid", 7, "namespaces.pid", read_pid_namespace},
    {"namespaces.ipc", 5, "namespaces.ipc", read_ipc_namespace},
    {"namespaces.uts", 2, "namespaces.uts", read_uts_namespace},
    {"namespaces.cgroup", 3, "namespaces.cgroup", read_cgroup_namespace},
    {"namespaces.time", 1, "namespaces.time", read_time_namespace},
    {"id_map", 8, "id_map", read_id_map},
    {"process.user", 4, "process.user", read_user},
    {"capabilities.dangerous", 10, "capabilities", read_dangerous_capabilities},
    {"capabilities.ordinary", 5, "capabilities", read_ordinary_capabilities},
    {"capabilities.ambient", 1, "capabilities.ambient", read_ambient},
    {"security.no_new_privileges", 6, "security.no_new_privileges", read_no_new_privileges},
    {"security.seccomp.filter", 8, "security.seccomp.profile", read_filter},
    {"security.seccomp.allow", 9, "security.seccomp.allow", read_allowed_calls},
    {"security.keyring", 3, "security.keyring", read_keyring},
    {"policy.unsupported", 3, "policy.unsupported", read_policy},
};

}  // namespace

std::span<const Rule> rights_rules() { return rights; }

}  // namespace sandbox::auditing
