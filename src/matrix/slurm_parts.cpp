#include "matrix/slurm_parts.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <utility>

#include "base/text.h"

namespace sandbox::slurm {
namespace {

constexpr std::uint32_t most_tasks = 4'000'001;  // the largest MaxArraySize (slurm.conf(5))

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t most) {
    const auto number = parse_int(text);
    if (!number || *number < 0 || static_cast<std::uint64_t>(*number) > most) return std::nullopt;
    return static_cast<std::uint64_t>(*number);
}

// "4-7,9%2", "0-9:3": numbers and ranges; what stands behind the percent sign is how many may run at once.
std::optional<std::vector<std::uint32_t>> parse_indices(std::string_view text) {
    std::vector<std::uint32_t> out;
    text = text.substr(0, text.find('%'));
    for (std::string_view part : split(text, ',')) {
        std::uint64_t step = 1;
        if (const auto colon = part.find(':'); colon != std::string_view::npos) {
            const auto number = parse_number(part.substr(colon + 1), most_tasks);
            if (!number || *number == 0) return std::nullopt;
            step = *number;
            part = part.substr(0, colon);
        }
        const auto dash = part.find('-');
        const auto first = parse_number(part.substr(0, dash), most_tasks - 1);
        const auto last = dash == std::string_view::npos ? first : parse_number(part.substr(dash + 1), most_tasks - 1);
        if (!first || !last || *first > *last) return std::nullopt;
        if (out.size() + (*last - *first) / step >= most_tasks) return std::nullopt;
        for (std::uint64_t index = *first; index <= *last; index += step) out.push_back(static_cast<std::uint32_t>(index));
    }
    return out;
}

// The value of " Key=" in a line of scontrol. The first one counts: what users name stands behind the fields that are asked for,
// and spaces in values are written as underscores.
std::string_view field(std::string_view line, std::string_view key) {
    const std::string wanted = cat(key, "=");
    for (std::size_t at = 0; (at = line.find(wanted, at)) != std::string_view::npos; ++at) {
        if (at > 0 && line[at - 1] != ' ') continue;
        const std::string_view value = line.substr(at + wanted.size());
        return value.substr(0, value.find(' '));
    }
    return {};
}

std::string_view unless_null(std::string_view value) { return value == "(null)" || value == "None" ? std::string_view() : value; }

bool upper(char c) { return c >= 'A' && c <= 'Z'; }

// "PartitionTimeLimit", "Nodes_required": lower-case words; "QOSMaxJobs": "qos max jobs".
std::string in_words(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool before_lower = i + 1 < text.size() && text[i + 1] >= 'a' && text[i + 1] <= 'z';
        const bool begins =
            i > 0 && upper(text[i]) && std::isalpha(static_cast<unsigned char>(text[i - 1])) && (!upper(text[i - 1]) || before_lower);
        if (begins) out += ' ';
        out += text[i] == '_' ? ' ' : text[i];
    }
    return printable(lower(out));
}

}  // namespace

std::optional<JobIds> parse_job_ids(std::string_view text) {
    const auto underscore = text.find('_');
    const auto job = parse_number(text.substr(0, underscore), std::numeric_limits<std::uint32_t>::max());
    if (!job) return std::nullopt;
    if (underscore == std::string_view::npos) return JobIds{*job, true, {}};
    std::string_view list = text.substr(underscore + 1);
    if (list.starts_with('[')) {
        if (!list.ends_with(']')) return std::nullopt;
        list = list.substr(1, list.size() - 2);
    }
    auto tasks = parse_indices(list);
    if (!tasks) return std::nullopt;
    return JobIds{*job, false, std::move(*tasks)};
}

Result<std::vector<QueueLine>> parse_queue(std::string_view text) {
    std::vector<QueueLine> out;
    for (const std::string_view line : split(text, '\n')) {
        // "CLUSTER: name" stands above the list of another cluster.
        if (trim(line).empty() || line.starts_with("CLUSTER: ")) continue;
        std::array<std::string_view, 4> parts;
        std::string_view rest = line;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            const auto bar = i + 1 < parts.size() ? rest.find('|') : std::string_view::npos;
            if (i + 1 < parts.size() && bar == std::string_view::npos) return fail(cat("cannot read ", quote(line)));
            parts[i] = trim(rest.substr(0, bar));
            rest = bar == std::string_view::npos ? std::string_view() : rest.substr(bar + 1);
        }
        auto ids = parse_job_ids(parts[0]);
        if (!ids || parts[1].empty()) return fail(cat("cannot read ", quote(line)));
        out.push_back({std::move(*ids), std::string(parts[1]), std::string(parts[2]), std::string(parts[3])});
    }
    return out;
}

Phase phase_of(std::string_view state) {
    constexpr std::array<std::string_view, 10> over = {"BOOT_FAIL", "CANCELLED",     "COMPLETED", "DEADLINE", "FAILED",
                                                       "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",  "TIMEOUT"};
    constexpr std::array<std::string_view, 5> running = {"RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING"};
    if (std::find(over.begin(), over.end(), state) != over.end()) return Phase::over;
    if (std::find(running.begin(), running.end(), state) != running.end()) return Phase::running;
    if (state == "COMPLETING" || state == "STAGE_OUT") return Phase::leaving;
    return Phase::waiting;  // PENDING, CONFIGURING, REQUEUED and its kinds; and what a later Slurm has, until it leaves the queue
}

std::vector<JobDetails> parse_details(std::string_view text) {
    std::vector<JobDetails> out;
    for (const std::string_view line : split(text, '\n')) {
        const auto job = parse_number(field(line, "ArrayJobId"), std::numeric_limits<std::uint32_t>::max());
        const auto task = parse_number(field(line, "ArrayTaskId"), most_tasks);  // of those that wait it is a list
        if (!job || !task) continue;
        JobDetails details;
        details.job = *job;
        details.task = static_cast<std::uint32_t>(*task);
        details.state = field(line, "JobState");
        details.reason = unless_null(field(line, "Reason"));
        details.node = unless_null(field(line, "BatchHost"));
        const std::string_view ended = field(line, "ExitCode");
        const auto colon = ended.find(':');
        details.exit_code = parse_int(ended.substr(0, colon)).value_or(0);
        if (colon != std::string_view::npos) details.signal = parse_int(ended.substr(colon + 1)).value_or(0);
        out.push_back(std::move(details));
    }
    return out;
}

std::optional<std::uint32_t> parse_max_array_size(std::string_view text) {
    for (const std::string_view line : split(text, '\n')) {
        const auto equals = line.find('=');
        if (equals == std::string_view::npos || trim(line.substr(0, equals)) != "MaxArraySize") continue;
        const auto number = parse_number(trim(line.substr(equals + 1)), most_tasks);
        if (number) return static_cast<std::uint32_t>(*number);
    }
    return std::nullopt;
}

std::optional<Submitted> parse_submitted(std::string_view text) {
    text = trim(text);
    const auto semicolon = text.find(';');
    const auto job = parse_number(text.substr(0, semicolon), std::numeric_limits<std::uint32_t>::max());
    if (!job || *job == 0) return std::nullopt;
    return Submitted{*job, semicolon == std::string_view::npos ? std::string() : std::string(text.substr(semicolon + 1))};
}

std::vector<std::string> words_for(const CellNeeds& needs) {
    constexpr std::uint64_t mebibyte = 1024 * 1024, for_launcher = 16;
    constexpr std::int64_t minute = 60'000'000'000, to_begin_and_end = 2;  // a stop takes its grace, and a node its time
    std::vector<std::string> out;
    if (needs.memory > 0)
        out.push_back(cat("--mem=", needs.memory / mebibyte + (needs.memory % mebibyte != 0 ? 1 : 0) + for_launcher, "M"));
    if (needs.processors > 0) out.push_back(cat("--cpus-per-task=", needs.processors / 1000 + (needs.processors % 1000 != 0 ? 1 : 0)));
    if (needs.time > 0) out.push_back(cat("--time=", needs.time / minute + (needs.time % minute != 0 ? 1 : 0) + to_begin_and_end));
    return out;
}

bool takes_over(std::string_view option) {
    constexpr std::array<std::string_view, 4> long_options = {"--array", "--wait", "--wrap", "--test-only"};
    const std::string_view name = option.substr(0, option.find('='));
    if (std::find(long_options.begin(), long_options.end(), name) != long_options.end()) return true;
    return option.starts_with("-a") || option.starts_with("-W");
}

std::string job_name(std::string_view name) {
    std::string out(name);
    for (char& c : out)
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
    return out.empty() ? "sandbox" : out;
}

std::string shell_quote(std::string_view text) {
    std::string out = "'";
    for (const char c : text)
        if (c == '\'')
            out += "'\\''";
        else
            out += c;
    return out + "'";
}

std::string array_script(std::string_view folder) {
    // Few nodes have a session of the user's; the launchers of one user on a node have to agree on a folder, which each of them checks.
    constexpr std::string_view runtime_folder =
        "if [ \"$(id -u)\" != 0 ] && [ ! -w \"${XDG_RUNTIME_DIR:-/run/user/$(id -u)}\" ]; then\n"
        "    XDG_RUNTIME_DIR=/dev/shm/sandbox-$(id -u)\n"
        "    mkdir -m 0700 \"$XDG_RUNTIME_DIR\" 2>/dev/null\n"
        "    export XDG_RUNTIME_DIR\n"
        "fi\n";
    return cat("#!/bin/sh\nfolder=", shell_quote(folder), "\n[ -r \"$folder/$SLURM_ARRAY_TASK_ID\" ] || exit ", exit_no_folder,
               "\n[ ! -e \"$folder/stop\" ] || exit ", exit_stopped, "\n", runtime_folder, ". \"$folder/$SLURM_ARRAY_TASK_ID\"\n");
}

std::string task_script(const CellTask& task, std::string_view command) {
    // A task that was requeued finds what its last run left.
    return cat("rm -f ", shell_quote(task.result), "\nprintf '%s\\n' \"${SLURMD_NODENAME:-$(uname -n)}\" >", shell_quote(node_path(task)),
               "\nexec ", shell_quote(command), " up --name ", shell_quote(task.name), " --result ", shell_quote(task.result), " ",
               shell_quote(profile_path(task)), " </dev/null >", shell_quote(task.log), " 2>&1\n");
}

std::string profile_path(const CellTask& task) { return cat(task.folder, "/profile.yaml"); }
std::string node_path(const CellTask& task) { return cat(task.folder, "/node"); }

std::string why_no_result(const JobDetails& details, std::string_view folder, std::string_view command) {
    const std::string& state = details.state;
    const std::string node = details.node.empty() ? std::string("a node") : cat("the node ", printable(details.node));
    const bool ran = !details.node.empty();
    if (state == "NODE_FAIL") return cat(node, " failed");
    if (state == "BOOT_FAIL") return cat(node, " did not boot");
    if (state == "CANCELLED") return ran ? cat("cancelled on ", node) : std::string("cancelled before it began");
    if (state == "TIMEOUT") return cat("the job had no time left on ", node);
    if (state == "OUT_OF_MEMORY") return cat("the job was out of memory on ", node);
    if (state == "PREEMPTED") return cat("another job took its place on ", node);
    if (state == "DEADLINE") return "its deadline passed before it began";
    if (details.exit_code == exit_stopped) return "cancelled before it began";
    if (details.exit_code == exit_no_folder)
        return cat(node, " does not see ", printable(folder), ": it has to be on a file system that the nodes share");
    if (details.exit_code == 126 || details.exit_code == 127)
        return cat(node, " cannot run ", printable(command), ": the launcher has to be installed there too");
    if (details.signal != 0) return cat("killed by signal ", details.signal, " on ", node);
    if (details.exit_code != 0) return cat("the job ended with exit code ", details.exit_code, " on ", node, " and left no result");
    const std::string reason = in_words(details.reason);
    if (state.empty()) return "the job has left the queue without a result";
    return cat("the job is ", in_words(state), " on ", node, " and left no result", reason.empty() ? std::string() : cat(": ", reason));
}

std::string launcher_words(std::string_view log) {
    std::string_view last, error;
    for (const std::string_view line : split(log, '\n')) {
        if (trim(line).empty()) continue;
        last = line;
        // "error: words", "error[E0203]: words"
        const auto at = line.find("error");
        const auto colon = at == std::string_view::npos ? at : line.find(": ", at);
        if (colon == std::string_view::npos) continue;
        const std::string_view code = line.substr(at + 5, colon - at - 5);
        if (code.empty() || (code.starts_with('[') && code.find(']') == code.size() - 1)) error = line.substr(colon + 2);
    }
    return printable(trim(error.empty() ? last : error));
}

std::string reason_in_words(std::string_view reason) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 14> known = {{
        {"", "slurm has not looked at it yet"},
        {"None", "slurm has not looked at it yet"},
        {"Resources", "nothing is free"},
        {"Priority", "other jobs go first"},
        {"Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
         "the nodes are down, drained or reserved"},
        {"BadConstraints", "no node has what is asked for"},
        {"BeginTime", "the time to begin has not come"},
        {"Cleaning", "the last run is being cleared away"},
        {"JobArrayTaskLimit", "as many of the array run as may"},
        {"JobHeldUser", "held (scontrol release)"},
        {"JobHeldAdmin", "held by an administrator"},
        {"PartitionDown", "the partition is down"},
        {"PartitionInactive", "the partition is inactive"},
        {"PartitionTimeLimit", "the partition allows less time"},
    }};
    for (const auto& [theirs, ours] : known)
        if (reason == theirs) return std::string(ours);
    constexpr std::string_view unavailable = "ReqNodeNotAvail";
    if (reason.starts_with(unavailable)) {
        const auto colon = reason.find(':');
        const std::string_view nodes = colon == std::string_view::npos ? std::string_view() : trim(reason.substr(colon + 1));
        return nodes.empty() || nodes == "NONE" ? std::string("the nodes are not available")
                                                : cat("nodes are not available: ", printable(nodes));
    }
    return in_words(reason);
}

std::string one_line(std::string_view errors) {
    constexpr std::size_t most = 3;
    std::vector<std::string> lines;
    for (std::string_view line : split(errors, '\n')) {
        line = trim(line);
        // "sbatch: error: words", "slurm_load_jobs error: words", "sbatch: fatal: words"
        for (const std::string_view mark : {"error: ", "fatal: "})
            if (const auto at = line.find(mark); at != std::string_view::npos && at < 24) line = line.substr(at + mark.size());
        std::string words = printable(line);
        if (words.empty() || (!lines.empty() && lines.back() == words)) continue;
        lines.push_back(std::move(words));
    }
    // Of many lines, the last ones say what came of it.
    if (lines.size() > most) lines.erase(lines.begin(), lines.end() - most);
    return join(lines, "; ");
}

}  // namespace sandbox::slurm
