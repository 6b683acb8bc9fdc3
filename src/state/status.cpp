#include "state/status.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/text.h"

namespace sandbox {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 7> phases{"creating", "created", "running", "paused", "restarting", "stopped", "crashed"};
constexpr std::size_t largest_file = 4U << 20;

// One list of the members, walked in both directions.
template <class S, class Visit>
void visit_members(S& s, Visit&& visit) {
    visit("name", s.name);
    visit("id", s.id);
    visit("detached", s.detached);
    visit("profile", s.profile);
    visit("network", s.network);
    visit("health", s.health);
    visit("created", s.created);
    visit("started", s.started);
    visit("ended", s.ended);
    visit("supervisor", s.supervisor);
    visit("init", s.init);
    visit("init_start", s.init_start);
    visit("payload", s.payload);
    visit("own_pid_namespace", s.own_pid_namespace);
    visit("restarts", s.restarts);
    visit("logs", s.logs);
    visit("log_driver", s.log_driver);
    visit("upper", s.upper);
    visit("upper_descriptor", s.upper_descriptor);
    visit("lower", s.lower);
    visit("stop_signal", s.stop_signal);
    visit("reason", s.reason);
    visit("exit_code", s.exit_code);
    visit("signal", s.signal);
}

template <class P, class Visit>
void visit_port(P& p, Visit&& visit) {
    visit("host_ip", p.host_ip);
    visit("host_port", p.host_port);
    visit("count", p.count);
    visit("port", p.port);
    visit("protocol", p.protocol);
}

template <class N, class Visit>
void visit_network(N& n, Visit&& visit) {
    visit("bridge", n.bridge);
    visit("host_link", n.host_link);
    visit("host_link_index", n.host_link_index);
    visit("host_network", n.host_network);
    visit("interface", n.interface);
    visit("mac", n.mac);
    visit("addresses", n.addresses);
    visit("gateway", n.gateway);
    visit("table", n.table);
    visit("of", n.of);
    visit("parent", n.parent);
}

Json network_to_json(const NetworkRecord& network) {
    Json json = Json::object();
    visit_network(network, [&json](const char* key, const auto& value) { json[key] = value; });
    json["ports"] = Json::array();
    for (const PortRecord& port : network.ports)
        visit_port(port, [&one = json["ports"].emplace_back(Json::object())](const char* key, const auto& value) { one[key] = value; });
    return json;
}

NetworkRecord network_from_json(const Json& json) {
    NetworkRecord network;
    visit_network(network, [&json](const char* key, auto& value) { json.at(key).get_to(value); });
    for (const Json& port : json.at("ports"))
        visit_port(network.ports.emplace_back(), [&port](const char* key, auto& value) { port.at(key).get_to(value); });
    return network;
}

std::string port_range(std::uint16_t first, std::uint16_t count) { return count <= 1 ? cat(first) : cat(first, '-', first + count - 1); }

}  // namespace

std::string port_to_text(const PortRecord& port) {
    const bool v6 = port.host_ip.find(':') != std::string::npos;
    return cat(v6 ? "[" : "", port.host_ip, v6 ? "]:" : ":", port_range(port.host_port, port.count), "->",
               port_range(port.port, port.count), '/', port.protocol);
}

std::string_view phase_name(SandboxPhase phase) { return phases[static_cast<std::size_t>(phase)]; }

std::string status_to_json(const SandboxStatus& status) {
    Json json{{"phase", phase_name(status.phase)}};
    visit_members(status, [&json](const char* key, const auto& value) { json[key] = value; });
    Json groups = Json::array();
    for (const GroupRecord& group : status.groups)
        groups.push_back({{"controllers", group.controllers}, {"path", group.path}, {"v2", group.v2}});
    json["groups"] = std::move(groups);
    if (status.network_details) json["network_details"] = network_to_json(*status.network_details);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<SandboxStatus> status_from_json(const std::string& text) {
    SandboxStatus status;
    try {
        const Json json = Json::parse(text);
        const auto phase = std::find(phases.begin(), phases.end(), json.at("phase").get<std::string>());
        if (phase == phases.end()) return fail("the status names an unknown phase");
        status.phase = static_cast<SandboxPhase>(phase - phases.begin());
        visit_members(status, [&json](const char* key, auto& value) { json.at(key).get_to(value); });
        for (const Json& group : json.at("groups"))
            status.groups.push_back({group.at("controllers").get<std::vector<std::string>>(), group.at("path"), group.at("v2")});
        if (json.contains("network_details")) status.network_details = network_from_json(json["network_details"]);
    } catch (const nlohmann::json::exception&) {
        return fail("the status file is damaged", "sandbox gc cleans up what nobody supervises");
    }
    return status;
}

Status replace_file(int folder, const std::string& name, std::string_view text) {
    const std::string beside = cat(name, ".new");
    const Fd file(openat(folder, beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail_errno(cat("make ", beside), errno);
    ssize_t size;
    do size = write(file.get(), text.data(), text.size());
    while (size < 0 && errno == EINTR);
    if (size == static_cast<ssize_t>(text.size()) && renameat(folder, beside.c_str(), folder, name.c_str()) == 0) return {};
    const int number = size >= 0 && size < static_cast<ssize_t>(text.size()) ? ENOSPC : errno;
    unlinkat(folder, beside.c_str(), 0);
    return fail_errno(cat("write ", name), number, number == ENOSPC ? "make room on the file system of the state directory" : "");
}

Result<std::string> read_file_in(int folder, const std::string& name) {
    const Fd file(openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return fail_errno(name, errno);
    std::string text;
    char buffer[8192];
    ssize_t size;
    while ((size = read(file.get(), buffer, sizeof buffer)) > 0 && text.size() < largest_file)
        text.append(buffer, static_cast<std::size_t>(size));
    if (size < 0) return fail_errno(name, errno);
    return text;
}

Status write_status(int folder, const SandboxStatus& status) { return replace_file(folder, "status", status_to_json(status)); }

Status write_limits(int folder, const std::vector<LimitRecord>& limits) {
    Json json = Json::array();
    for (const LimitRecord& limit : limits) json.push_back({limit.controller, limit.file, limit.value});
    return replace_file(folder, "limits", json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<std::vector<LimitRecord>> read_limits(int folder) {
    std::vector<LimitRecord> limits;
    const auto text = read_file_in(folder, "limits");
    if (!text && text.error().number == ENOENT) return limits;
    if (!text) return tl::unexpected<Error>(text.error());
    try {
        for (const Json& limit : Json::parse(*text)) limits.push_back({limit.at(0), limit.at(1), limit.at(2)});
    } catch (const nlohmann::json::exception&) {
        return fail("the file of updated limits is damaged", "start the sandbox again");
    }
    return limits;
}

Result<SandboxStatus> read_status(int folder) {
    auto text = read_file_in(folder, "status");
    if (!text) return pass(text);
    return status_from_json(*text);
}

}  // namespace sandbox
