// sandbox inspect

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/counters.h"
#include "profile/names.h"

namespace sandbox {
namespace {

using Json = nlohmann::ordered_json;

Json time_or_null(std::int64_t nanoseconds) { return nanoseconds ? Json(format_time(nanoseconds)) : Json(nullptr); }
Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

// ---- what the supervisor says

Json status_as_json(const SandboxStatus& s) {
    const bool ended = s.phase == SandboxPhase::stopped;
    Json json{{"name", s.name}, {"id", text_or_null(s.id)}, {"state", phase_name(s.phase)}, {"health", text_or_null(s.health)}};
    json["detached"] = s.detached;
    json["profile"] = text_or_null(s.profile);
    json["network"] = text_or_null(s.network);
    json["created"] = time_or_null(s.created);
    json["started"] = time_or_null(s.started);
    json["ended"] = time_or_null(s.ended);
    json["restarts"] = s.restarts;
    json["reason"] = text_or_null(s.reason);
    json["exit_code"] = ended ? Json(s.exit_code) : Json(nullptr);
    json["signal"] = ended && s.signal ? Json(signal_name(s.signal)) : Json(nullptr);
    json["stop_signal"] = text_or_null(s.stop_signal);
    return json;
}

Json port_as_json(const PortRecord& port) {
    return {{"text", port_to_text(port)}, {"host_ip", port.host_ip}, {"host_port", port.host_port},
            {"count", port.count},        {"port", port.port},       {"protocol", port.protocol}};
}

Json network_as_json(const NetworkRecord& network) {
    Json json{{"interface", text_or_null(network.interface)}, {"mac", text_or_null(network.mac)}};
    json["addresses"] = network.addresses;
    json["gateway"] = network.gateway;
    json["bridge"] = text_or_null(network.bridge);
    json["host_link"] = text_or_null(network.host_link);
    json["host_link_index"] = network.host_link_index ? Json(network.host_link_index) : Json(nullptr);
    json["host_network"] = network.host_network;
    json["parent"] = text_or_null(network.parent);
    json["of"] = text_or_null(network.of);
    json["table"] = text_or_null(network.table);
    json["ports"] = Json::array();
    for (const PortRecord& port : network.ports) json["ports"].push_back(port_as_json(port));
    return json;
}

// ---- what the kernel says about its processes

Json process_as_json(pid_t pid) {
    const ProcessStatus status = process_status(pid);
    if (status.empty()) return nullptr;
    return {{"pid", pid}, {"pids_inside", numbers_inside(status)}};
}

struct NamespaceKind {
    const char *file, *name, *option;  // option: of nsenter(1)
};
constexpr std::array<NamespaceKind, 8> kinds{{{"user", "user", "--user"},
                                              {"mnt", "mount", "--mount"},
                                              {"pid", "pid", "--pid"},
                                              {"ipc", "ipc", "--ipc"},
                                              {"uts", "uts", "--uts"},
                                              {"cgroup", "cgroup", "--cgroup"},
                                              {"time", "time", "--time"},
                                              {"net", "network", "--net"}}};

bool is_ours(pid_t pid, const char* kind) { return namespace_inode(std::to_string(pid), kind) == namespace_inode("self", kind); }

Json namespaces_of(pid_t pid) {
    Json json = Json::object();
    for (const NamespaceKind& kind : kinds) {
        const auto inode = namespace_inode(std::to_string(pid), kind.file);
        if (inode) json[kind.name] = {{"inode", *inode}, {"host", is_ours(pid, kind.file)}};
    }
    return json;
}

// Into what is not the caller's own already. nsenter enters a user namespace first, and becomes its root.
std::string nsenter_command(pid_t pid) {
    std::string out = cat("nsenter --target ", pid);
    for (const NamespaceKind& kind : kinds)
        if (namespace_inode(std::to_string(pid), kind.file) && !is_ours(pid, kind.file)) out += cat(" ", kind.option);
    return out;
}

Json map_as_json(const std::vector<FactRange>& map) {
    Json json = Json::array();
    for (const FactRange& range : map) json.push_back({{"inside", range.inside}, {"outside", range.outside}, {"count", range.count}});
    return json;
}

std::uint64_t bits_in(const ProcessStatus& status, std::string_view key) {
    const auto line = status.find(key);
    return line == status.end() ? 0 : std::strtoull(line->second.c_str(), nullptr, 16);
}

Json capabilities_in(const ProcessStatus& status, std::string_view key) {
    const std::uint64_t bits = bits_in(status, key);
    const auto names = capability_names();
    Json json = Json::array();
    for (std::size_t i = 0; i < 64; ++i)
        if (bits >> i & 1) json.push_back(i < names.size() ? std::string(names[i]) : std::to_string(i));
    return json;
}

// One bit for each signal, the first of them signal 1 (proc_pid_status(5)).
Json signals_in(const ProcessStatus& status, std::string_view key) {
    const std::uint64_t bits = bits_in(status, key);
    Json json = Json::array();
    for (int signal = 1; signal <= 64; ++signal)
        if (bits >> (signal - 1) & 1) json.push_back(std::string(signal_name(signal)));
    return json;
}

Json seccomp_in(const ProcessStatus& status) {
    const auto line = status.find("Seccomp");
    if (line == status.end()) return nullptr;
    return line->second == "2" ? "filter" : line->second == "1" ? "strict" : "none";
}

void add_payload(Json& json, pid_t pid) {
    const ProcessStatus status = process_status(pid);
    json["namespaces"] = namespaces_of(pid);
    json["uid_map"] = map_as_json(id_map_of(pid, "uid_map"));
    json["gid_map"] = map_as_json(id_map_of(pid, "gid_map"));
    json["capabilities"] = {{"inheritable", capabilities_in(status, "CapInh")},
                            {"permitted", capabilities_in(status, "CapPrm")},
                            {"effective", capabilities_in(status, "CapEff")},
                            {"bounding", capabilities_in(status, "CapBnd")},
                            {"ambient", capabilities_in(status, "CapAmb")}};
    json["seccomp"] = seccomp_in(status);
    const auto privileges = status.find("NoNewPrivs");
    json["no_new_privileges"] = privileges == status.end() ? Json(nullptr) : Json(privileges->second == "1");
    json["signals_caught"] = signals_in(status, "SigCgt");
}

// ---- its control groups

// What limits in a group; each kernel and version has some of them.
constexpr const char* limit_files[] = {"memory.limit_in_bytes",
                                       "memory.memsw.limit_in_bytes",
                                       "memory.soft_limit_in_bytes",
                                       "memory.swappiness",
                                       "memory.oom_control",
                                       "memory.max",
                                       "memory.high",
                                       "memory.low",
                                       "memory.swap.max",
                                       "memory.oom.group",
                                       "cpu.shares",
                                       "cpu.cfs_period_us",
                                       "cpu.cfs_quota_us",
                                       "cpu.cfs_burst_us",
                                       "cpu.weight",
                                       "cpu.max",
                                       "cpu.max.burst",
                                       "cpu.idle",
                                       "cpuset.cpus",
                                       "cpuset.mems",
                                       "cpuset.cpus.effective",
                                       "cpuset.mems.effective",
                                       "pids.max",
                                       "blkio.weight",
                                       "blkio.weight_device",
                                       "blkio.bfq.weight",
                                       "blkio.bfq.weight_device",
                                       "blkio.throttle.read_bps_device",
                                       "blkio.throttle.write_bps_device",
                                       "blkio.throttle.read_iops_device",
                                       "blkio.throttle.write_iops_device",
                                       "io.weight",
                                       "io.bfq.weight",
                                       "io.max",
                                       "rdma.max",
                                       "net_cls.classid",
                                       "net_prio.ifpriomap"};

Json limits_in(const GroupSet::Member& member) {
    Json json = Json::object();
    for (const char* file : limit_files)
        if (const auto text = read_group(member.folder.get(), file)) json[file] = std::string(trim(*text));
    return json;
}

Json groups_as_json(const SandboxStatus& status, const GroupSet& groups) {
    Json json = Json::array();
    for (const GroupRecord& record : status.groups) {
        const auto member = std::ranges::find(groups.members(), record.path, &GroupSet::Member::path);
        const bool there = member != groups.members().end();
        json.push_back({{"version", record.v2 ? 2 : 1},
                        {"controllers", record.controllers},
                        {"path", record.path},
                        {"limits", there ? limits_in(*member) : Json(nullptr)}});
    }
    return json;
}

// ---- all of it

Json everything(const Found& found) {
    const SandboxStatus& s = found.status;
    const auto payload = found.alive ? find_payload(s) : std::nullopt;
    Json json = status_as_json(s);
    json["supervisor"] = found.alive && s.supervisor ? process_as_json(s.supervisor) : Json(nullptr);
    json["init"] = payload ? process_as_json(payload->init) : Json(nullptr);
    json["payload"] = payload ? process_as_json(payload->pid) : Json(nullptr);
    if (payload)
        add_payload(json, payload->pid);
    else
        for (const char* key : {"namespaces", "uid_map", "gid_map", "capabilities", "seccomp", "no_new_privileges", "signals_caught"})
            json[key] = nullptr;
    const GroupSet groups = open_groups(s);
    json["groups"] = groups_as_json(s, groups);
    json["usage"] = groups.empty() ? Json(nullptr) : counters_of(groups);
    json["overlay"] = s.lower.empty() && s.upper.empty() ? Json(nullptr) : Json{{"lower", s.lower}, {"upper", text_or_null(s.upper)}};
    json["network_details"] = s.network_details ? network_as_json(*s.network_details) : Json(nullptr);
    json["logs"] = s.log_driver.empty() ? Json(nullptr) : Json{{"driver", s.log_driver}, {"folder", text_or_null(s.logs)}};
    json["nsenter"] = payload ? Json(nsenter_command(payload->pid)) : Json(nullptr);
    return json;
}

}  // namespace

int verb_inspect(const std::string& name) {
    auto found = find_settled(name);
    if (!found) return print(found.error()), exit_launcher;
    write_out(as_text(everything(*found)));
    return 0;
}

}  // namespace sandbox
