// sandbox top

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/counters.h"
#include "host/read.h"

namespace sandbox {
namespace {

using Json = nlohmann::ordered_json;

struct Line {
    pid_t pid = 0;
    std::int64_t inside = 0;           // innermost
    std::optional<std::int64_t> user;  // inside; nothing: it has no id there
    std::string state;                 // one letter (proc_pid_stat(5))
    std::int64_t cpu_ticks = 0, threads = 0;
    std::uint64_t resident = 0;  // bytes
    std::string command;
};

std::optional<std::int64_t> id_inside(pid_t pid, std::int64_t outside) {
    for (const FactRange& range : id_map_of(pid, "uid_map"))
        if (outside >= range.outside && outside - range.outside < range.count) return outside - range.outside + range.inside;
    return std::nullopt;
}

std::string command_of(pid_t pid, const ProcessStatus& status) {
    std::string words = read_file(cat("/proc/", pid, "/cmdline").c_str()).value_or("");
    while (words.ends_with('\0')) words.pop_back();
    std::ranges::replace(words, '\0', ' ');
    const auto name = status.find("Name");
    return !words.empty() ? words : cat("[", name == status.end() ? "" : name->second, "]");
}

std::int64_t field(const std::vector<std::string_view>& fields, std::size_t number) {
    return number < fields.size() ? parse_int(fields[number]).value_or(0) : 0;
}

std::string line_of(const ProcessStatus& status, std::string_view key) {
    const auto line = status.find(key);
    return line == status.end() ? std::string() : line->second.substr(0, line->second.find_first_of("\t "));
}

// Nothing when it has gone meanwhile.
std::optional<Line> look_at(pid_t pid) {
    const auto stat = read_file(cat("/proc/", pid, "/stat").c_str());
    const ProcessStatus status = process_status(pid);
    const auto name_end = stat ? stat->rfind(')') : std::string::npos;
    if (name_end == std::string::npos || status.empty()) return std::nullopt;
    // Its name may hold anything; what follows the last parenthesis begins with field 3.
    const auto fields = split(std::string_view(*stat).substr(std::min(name_end + 2, stat->size())), ' ');
    Line line;
    line.pid = pid;
    const auto numbers = numbers_inside(status);
    line.inside = numbers.empty() ? pid : numbers.back();
    line.user = id_inside(pid, parse_int(line_of(status, "Uid")).value_or(-1));
    line.state = fields.empty() ? "?" : std::string(fields[0]);
    line.cpu_ticks = field(fields, 14 - 3) + field(fields, 15 - 3);
    line.threads = field(fields, 20 - 3);
    line.resident = static_cast<std::uint64_t>(parse_int(line_of(status, "VmRSS")).value_or(0)) * 1024;
    line.command = command_of(pid, status);
    return line;
}

double seconds(std::int64_t ticks) { return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK)); }

std::string short_time(std::int64_t ticks) {
    const std::int64_t rate = sysconf(_SC_CLK_TCK), whole = ticks / rate, part = ticks % rate * 100 / rate;
    const auto two = [](std::int64_t n) { return cat(n < 10 ? "0" : "", n); };
    return cat(whole / 60, ":", two(whole % 60), ".", two(part));
}

Json as_json(const Line& line) {
    return {{"pid", line.pid},         {"pid_inside", line.inside},        {"uid", line.user ? Json(*line.user) : Json(nullptr)},
            {"state", line.state},     {"cpu_s", seconds(line.cpu_ticks)}, {"rss_bytes", line.resident},
            {"threads", line.threads}, {"command", line.command}};
}

}  // namespace

int verb_top(const std::string& name, bool json) {
    auto found = find_living(name);
    if (!found) return print(found.error()), exit_launcher;
    Json list = Json::array();
    std::vector<std::vector<std::string>> rows{{"PID", "INSIDE", "USER", "STATE", "TIME", "RSS", "THREADS", "COMMAND"}};
    for (const pid_t pid : processes_of(found->status, open_groups(found->status))) {
        const auto line = look_at(pid);
        if (!line) continue;
        list.push_back(as_json(*line));
        rows.push_back({std::to_string(pid), std::to_string(line->inside), line->user ? std::to_string(*line->user) : "-", line->state,
                        short_time(line->cpu_ticks), rounded_size(line->resident), std::to_string(line->threads), line->command});
    }
    write_out(json ? as_text(list) : in_columns(rows));
    return 0;
}

}  // namespace sandbox
