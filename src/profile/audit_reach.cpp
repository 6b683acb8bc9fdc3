// Network, shares of the machine, process and lifecycle: what a payload reaches, uses up and leaves behind.

#include <algorithm>

#include "base/text.h"
#include "profile/audit_parts.h"
#include "profile/language.h"

namespace sandbox::auditing {
namespace {

// ---- network

Readings read_network(const Profile& p) {
    const At<NetworkMode>& mode = p.network.mode;
    const auto opens = [&mode](int percent, std::string means) {
        return one({percent, std::move(means), mode.at, "network: {mode: none}, or bridge with an egress list"});
    };
    switch (*mode) {
        case NetworkMode::none: break;
        case NetworkMode::bridge: return opens(20, "a link to the host and to other sandboxes on the bridge");
        case NetworkMode::macvlan:
        case NetworkMode::ipvlan: return opens(40, "a machine of its own in the host's network");
        case NetworkMode::container: return opens(40, "the network of another sandbox, with what listens there");
        case NetworkMode::path: return opens(60, cat("the network ", printable(*p.network.path)));
        case NetworkMode::host: return opens(100, "the host's network, with what listens on its 127.0.0.1 and its abstract sockets");
    }
    return one({0, "no network but its own loopback", mode.at});
}

Readings read_egress(const Profile& p) {
    const Network& n = p.network;
    const Egress& egress = n.egress;
    const Position at = egress.mode.at.known() ? egress.mode.at : n.mode.at;
    if (*n.mode == NetworkMode::none) return one({0, "nothing can be reached", at});
    if (!n.is_own() || *egress.mode == EgressMode::allow)
        return one({100, "everything that the network reaches can be reached, to send data there too", at,
                    "network: {egress: {default: deny, allow: [...]}}"});
    if (egress.allow.empty()) return one({0, "nothing can be reached; what asks is answered", at});
    const auto is_wide = [](const EgressRule& rule) { return rule.to.prefix * 4 < rule.to.address.width(); };
    const bool wide = std::ranges::any_of(egress.allow, is_wide);
    return one({wide ? 80 : 30, cat(egress.allow.size(), wide ? " rules let out, one of them to most of the internet" : " rules let out"),
                egress.allow.front().at, "fewer and narrower rules, with ports", "network.egress.allow"});
}

Readings read_ports(const Profile& p) {
    Readings out;
    for (std::size_t i = 0; i < p.network.ports.size(); ++i) {
        const Port& port = p.network.ports[i];
        const bool here = !port.host_ip || port.host_ip->is_loopback(), any = port.host_ip && port.host_ip->is_any();
        const std::string number = cat(port.host_port, port.count > 1 ? cat("-", port.host_port + port.count - 1) : "");
        out.push_back({here  ? 20
                       : any ? 100
                             : 70,
                       cat("port ", number, " of the host, for ",
                           here  ? "its own programs"
                           : any ? "everybody who reaches it"
                                 : cat("who reaches ", to_text(*port.host_ip))),
                       port.at, here ? "remove it" : "publish it on 127.0.0.1", cat("network.ports[", i, "]")});
    }
    if (out.empty()) return one({0, "no ports are published"});
    return out;
}

// ---- shares of the machine

bool is_uncounted(const Profile& p) { return *p.cgroup.manager == CgroupManager::none; }

Readings read_memory(const Profile& p) {
    const auto& max = p.resources.memory.max;
    if (max && **max != no_limit && !is_uncounted(p)) return one({0, cat("at most ", format_size(**max)), max->at});
    return one({100, "all of the machine's memory", max ? max->at : Position(), "resources: {memory: {max: 512Mi}}"});
}
Readings read_swap(const Profile& p) {
    const At<std::uint64_t>& swap = p.resources.memory.swap;
    if (*swap == 0 && !is_uncounted(p)) return one({0, "not swapped", swap.at});
    const bool all = *swap == no_limit || is_uncounted(p);
    return one({all ? 100 : 50, all ? "all of the machine's swap" : cat(format_size(*swap), " of swap"), swap.at,
                "resources: {memory: {swap: 0}}"});
}
Readings read_pids(const Profile& p) {
    const At<std::uint64_t>& pids = p.resources.pids;
    constexpr std::uint64_t many = 4096;  // enough for every program, and an eighth of what a kernel has at least
    if (*pids == no_limit || is_uncounted(p))
        return one({100, "as many processes as the machine has room for", pids.at, "resources: {pids: 512}"});
    return one({*pids > many ? 40 : 0, cat("at most ", *pids, " processes"), pids.at, "resources: {pids: 512}"});
}
Readings read_cpu(const Profile& p) {
    const CpuLimits& c = p.resources.cpu;
    const bool limited = (c.limit && **c.limit != no_limit) || c.quota;
    const Position at = c.limit ? c.limit->at : c.quota ? c.quota->at : c.weight ? c.weight->at : Position();
    if (limited && !is_uncounted(p)) return one({0, "a part of the processors", at});
    if (*c.idle && !is_uncounted(p))
        return one({20, "the processors when nobody else wants them", c.idle.at, "resources: {cpu: {limit: 1}}"});
    return one({100, "all processors", at, "resources: {cpu: {limit: 1}}"});
}
Readings read_io(const Profile& p) {
    const IoLimits& io = p.resources.io;
    if ((!io.devices.empty() || io.weight) && !is_uncounted(p))
        return one({0, "a share of the disks", io.weight ? io.weight->at : io.devices.front().at});
    return one({100, "all that the disks can do", {}, "resources: {io: {weight: 50}}"});
}
Readings read_time(const Profile& p) {
    const Lifecycle& l = p.lifecycle;
    if (l.timeout) return one({0, cat("ends after ", format_duration(**l.timeout)), l.timeout->at});
    if (l.cpu_time)
        return one(
            {20, cat("ends after ", format_duration(**l.cpu_time), " of processor time"), l.cpu_time->at, "lifecycle: {timeout: 1h}"});
    return one({100, "runs without end", {}, "lifecycle: {timeout: 1h}, unless it is a service"});
}
Readings read_core(const Profile& p) {
    const auto core = std::ranges::find(p.ulimits, std::string_view("core"), &Ulimit::name);
    if (core != p.ulimits.end() && core->hard == 0) return one({0, "no core dumps", core->at});
    const bool given = core != p.ulimits.end();
    return one({given && core->soft == 0 ? 60 : 100, "core dumps, which the host's core_pattern may give to a program of its root",
                given ? core->at : Position(), "ulimits: {core: 0}", given ? "ulimits.core" : ""});
}
Readings read_priority(const Profile& p) {
    const Process& process = p.process;
    if (process.scheduler && (**process.scheduler == SchedulerPolicy::fifo || **process.scheduler == SchedulerPolicy::rr))
        return one({100, "runs before every ordinary process", process.scheduler->at, "process: {scheduler: other}", "process.scheduler"});
    if (process.io_class && **process.io_class == IoClass::realtime)
        return one({100, "its disk access goes before everybody's", process.io_class->at, "remove it", "process.io_priority"});
    if (process.nice && **process.nice < 0)
        return one({60, "more of the processor than others", process.nice->at, "process: {nice: 0}", "process.nice"});
    if (*process.oom_score_adj < 0)
        return one({60, "others are killed first when memory runs out", process.oom_score_adj.at, "process: {oom_score_adj: 0}",
                    "process.oom_score_adj"});
    return one({0, "as other processes"});
}

// ---- control groups and settings of the kernel

Readings read_manager(const Profile& p) {
    const At<CgroupManager>& manager = p.cgroup.manager;
    if (is_uncounted(p)) return one({100, "no control group: nothing of it is limited or counted", manager.at, "cgroup: {manager: auto}"});
    return one({0, "control groups of its own", manager.at});
}
Readings read_delegate(const Profile& p) {
    if (*p.cgroup.delegate) return one({100, "its control group is its own to change", p.cgroup.delegate.at, "cgroup: {delegate: false}"});
    return one({0, "its control group cannot be changed from inside", p.cgroup.delegate.at});
}
Readings read_raw(const Profile& p) {
    Readings out;
    const auto add = [&out](const TextMap& files, std::string_view version) {
        for (const auto& [file, value] : files)
            out.push_back({100, cat("written as it is: ", printable(*value)), value.at, "the key of resources that says it",
                           cat("cgroup.raw.", version, ".", printable(file))});
    };
    add(p.cgroup.raw_v1, "v1");
    add(p.cgroup.raw_v2, "v2");
    if (out.empty()) return one({0, "nothing is written to control groups unchecked"});
    return out;
}
Readings read_sysctl(const Profile& p) {
    Readings out;
    for (const auto& [name, value] : p.sysctl)
        out.push_back(
            {100, cat("is ", printable(*value), " in its own namespaces"), value.at, "remove it", cat("sysctl.", printable(name))});
    if (out.empty()) return one({0, "the kernel's settings are the usual"});
    return out;
}

// ---- process

bool names_secret(std::string_view name) {
    const std::string word = lower(name);
    for (const std::string_view part : {"token", "secret", "passw", "key", "credential", "auth", "dbus", "agent"})
        if (word.find(part) != std::string::npos) return true;
    return false;
}

Readings read_environment(const Profile& p) {
    Readings out;
    const Environment& e = p.process.environment;
    for (std::size_t i = 0; i < e.inherit.size(); ++i) {
        const bool all = e.inherit[i]->find_first_not_of('*') == std::string::npos;
        out.push_back(
            {all ? 100 : 40,
             cat(all ? "all of the caller's variables" : "the caller's variables that fit: ", all ? "" : printable(*e.inherit[i])),
             e.inherit[i].at, "name the variables that are needed", cat("process.environment.inherit[", i, "]")});
    }
    for (const EnvironmentEntry& entry : e.entries)
        if (!entry.value)
            out.push_back({names_secret(entry.name) ? 60 : 10,
                           cat("the caller's ", printable(entry.name)),
                           {},
                           "give a value, or a file",
                           cat("process.environment.", printable(entry.name))});
    if (out.empty()) return one({0, "nothing of the caller's environment"});
    return out;
}
Readings read_descriptors(const Profile& p) {
    Readings out;
    for (std::size_t i = 0; i < p.process.pass_fds.size(); ++i)
        out.push_back({100, cat("descriptor ", *p.process.pass_fds[i], " of the caller, whatever it leads to"), p.process.pass_fds[i].at,
                       "remove it", cat("process.pass_fds[", i, "]")});
    if (out.empty()) return one({0, "no descriptors but the three standard ones"});
    return out;
}

// ---- lifecycle

Readings read_hooks(const Profile& p) {
    Readings out;
    const auto add = [&out](const std::vector<Hook>& hooks, std::string_view name) {
        for (std::size_t i = 0; i < hooks.size(); ++i)
            if (*hooks[i].where == HookPlace::host)
                out.push_back({100, "a command on the host, outside of the sandbox", hooks[i].at, "where: sandbox, or remove it",
                               cat("lifecycle.hooks.", name, "[", i, "]")});
    };
    add(p.lifecycle.hooks.prepare, "prepare");
    add(p.lifecycle.hooks.started, "started");
    add(p.lifecycle.hooks.stopped, "stopped");
    if (out.empty()) return one({0, "no commands on the host"});
    return out;
}
Readings read_restart(const Profile& p) {
    const Restart& r = p.lifecycle.restart;
    if (*r.policy == RestartPolicy::no) return one({0, "not started again", r.policy.at});
    if (*r.max > 0)
        return one({40, cat("started again ", *r.max, " times at most: an attack has more than one attempt"), r.policy.at,
                    "lifecycle: {restart: {policy: \"no\"}}"});
    return one({100, "started again without end: an attack has any number of attempts", r.policy.at, "lifecycle: {restart: {max: 5}}"});
}
Readings read_logging(const Profile& p) {
    const At<LogDriver>& driver = p.logging.driver;
    if (*driver == LogDriver::none) return one({100, "nothing is left of what it wrote", driver.at, "logging: {driver: file}"});
    return one({0, "what it writes is logged", driver.at});
}

constexpr Rule reach[] = {
    {"network.mode", 8, "network.mode", read_network},
    {"network.egress", 4, "network.egress", read_egress},
    {"network.ports", 3, "network.ports", read_ports},
    {"resources.memory", 3, "resources.memory.max", read_memory},
    {"resources.swap", 1, "resources.memory.swap", read_swap},
    {"resources.pids", 4, "resources.pids", read_pids},
    {"resources.cpu", 2, "resources.cpu.limit", read_cpu},
    {"resources.io", 1, "resources.io", read_io},
    {"lifecycle.timeout", 1, "lifecycle.timeout", read_time},
    {"ulimits.core", 2, "ulimits", read_core},
    {"process.priority", 3, "process", read_priority},
    {"cgroup.manager", 3, "cgroup.manager", read_manager},
    {"cgroup.delegate", 2, "cgroup.delegate", read_delegate},
    {"cgroup.raw", 2, "cgroup.raw", read_raw},
    {"sysctl", 1, "sysctl", read_sysctl},
    {"process.environment", 4, "process.environment", read_environment},
    {"process.pass_fds", 5, "process.pass_fds", read_descriptors},
    {"lifecycle.hooks", 6, "lifecycle.hooks", read_hooks},
    {"lifecycle.restart", 1, "lifecycle.restart", read_restart},
    {"logging", 1, "logging.driver", read_logging},
};

}  // namespace

std::span<const Rule> reach_rules() { return reach; }

}  // namespace sandbox::auditing
