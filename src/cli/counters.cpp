#include "cli/counters.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "host/names.h"
#include "host/read.h"

namespace sandbox {
namespace {

using Json = nlohmann::ordered_json;

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0": what waiting for a resource has cost (Documentation/accounting/psi.rst).
Json pressure_in(const GroupSet::Member& unified, const char* file) {
    const auto text = read_group(unified.folder.get(), file);
    if (!text) return nullptr;
    Json json = Json::object();
    for (const std::string_view line : split(*text, '\n')) {
        const auto words = split(line, ' ');
        for (std::size_t i = 1; i < words.size(); ++i) {
            const auto equals = words[i].find('=');
            if (equals == std::string_view::npos) continue;
            const Json number = Json::parse(words[i].substr(equals + 1), nullptr, false);
            if (number.is_number()) json[std::string(words[0])][std::string(words[i].substr(0, equals))] = number;
        }
    }
    return json;
}

// v1 has no pressure of a group, and the host's is another matter.
Json pressure_of(const GroupSet& groups) {
    const auto unified = std::ranges::find_if(groups.members(), &GroupSet::Member::v2);
    if (unified == groups.members().end()) return nullptr;
    return {{"cpu", pressure_in(*unified, "cpu.pressure")},
            {"memory", pressure_in(*unified, "memory.pressure")},
            {"io", pressure_in(*unified, "io.pressure")}};
}

std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> out;
    const std::string tasks = cat("/proc/", pid, "/task");
    const Fd folder(open(tasks.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return out;
    for (const std::string& task : read_names(folder.get(), 65536).value_or(std::vector<std::string>())) {
        const std::string list = read_file(cat(tasks, "/", task, "/children").c_str(), 1U << 20).value_or("");
        for (const std::string_view word : split(list, ' '))
            if (const auto child = parse_int(trim(word))) out.push_back(static_cast<pid_t>(*child));
    }
    return out;
}

}  // namespace

GroupSet open_groups(const SandboxStatus& status) {
    GroupSet groups;
    for (const GroupRecord& record : status.groups) {
        Fd folder(open(record.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (folder) groups.add({record.v2, record.controllers, record.path, std::move(folder)});
    }
    return groups;
}

Json number_or_null(const std::optional<std::uint64_t>& number) { return number ? Json(*number) : Json(nullptr); }

Json counters_of(const GroupSet& groups) {
    return {{"cpu_time_ns", number_or_null(groups.cpu_time())},
            {"memory_bytes", number_or_null(groups.memory_now())},
            {"memory_limit_bytes", number_or_null(groups.memory_limit())},
            {"memory_peak_bytes", number_or_null(groups.memory_peak())},
            {"swap_bytes", number_or_null(groups.swap_now())},
            {"oom_kills", number_or_null(groups.oom_kills())},
            {"pids", number_or_null(groups.pids_now())},
            {"pids_limit", number_or_null(groups.pids_limit())},
            {"pids_peak", number_or_null(groups.pids_peak())},
            {"pids_denied", number_or_null(groups.pids_denied())},
            {"io_read_bytes", number_or_null(groups.io_read())},
            {"io_written_bytes", number_or_null(groups.io_written())},
            {"pressure", pressure_of(groups)}};
}

std::string as_text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

ProcessStatus process_status(pid_t pid) {
    ProcessStatus out;
    const auto text = read_file(cat("/proc/", pid, "/status").c_str());
    if (!text) return out;
    for (const std::string_view line : split(*text, '\n'))
        if (const auto colon = line.find(':'); colon != std::string_view::npos)
            out.emplace(line.substr(0, colon), trim(line.substr(colon + 1)));
    return out;
}

std::vector<std::int64_t> numbers_inside(const ProcessStatus& status) {
    std::vector<std::int64_t> out;
    const auto line = status.find("NSpid");
    if (line == status.end()) return out;
    for (const std::string_view word : split(line->second, '\t'))
        if (const auto number = parse_int(word)) out.push_back(*number);
    if (out.size() > 1) out.erase(out.begin());
    return out;
}

std::optional<std::uint64_t> namespace_inode(const std::string& process, const std::string& kind) {
    const std::string link = read_link(AT_FDCWD, cat("/proc/", process, "/ns/", kind).c_str());
    const auto open = link.find(":[");
    if (open == std::string::npos || !link.ends_with("]")) return std::nullopt;
    const auto number = parse_int(std::string_view(link).substr(open + 2, link.size() - open - 3));
    return number ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

std::vector<FactRange> id_map_of(pid_t pid, const char* file) {
    // There the file shows the map towards the namespace above, which says nothing about ids here.
    if (namespace_inode(std::to_string(pid), "user") == namespace_inode("self", "user")) return {{0, 0, 4294967295}};
    return parse_id_map(read_file(cat("/proc/", pid, "/", file).c_str()).value_or(""));
}

std::vector<pid_t> processes_of(const SandboxStatus& status, const GroupSet& groups) {
    std::vector<pid_t> out;
    for (const GroupSet::Member& member : groups.members()) {
        const auto more = processes_of(member.folder.get());
        out.insert(out.end(), more.begin(), more.end());
    }
    const auto payload = find_payload(status);
    if (groups.empty() && payload) {
        out.push_back(payload->init);
        for (std::size_t i = 0; i < out.size(); ++i)
            for (const pid_t child : children_of(out[i])) out.push_back(child);
    }
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

}  // namespace sandbox
