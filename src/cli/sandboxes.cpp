#include "cli/sandboxes.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/text.h"
#include "cli/cli.h"
#include "exec/control.h"
#include "kernel/process.h"

namespace sandbox {
namespace {

tl::unexpected<Error> no_such(StateRoot* root, const std::string& name) {
    std::vector<std::string> names;
    if (root)
        if (auto all = root->names()) names = std::move(*all);
    const auto near = nearest(name, std::vector<std::string_view>(names.begin(), names.end()));
    return fail(cat("there is no sandbox ", quote(printable(name))),
                near ? cat("did you mean ", quote(*near), "?") : "sandbox ps lists them");
}

Result<Found> look(StateRoot& root, const std::string& name) {
    auto seen = root.look(name);
    if (!seen) return pass(seen);
    if (!seen->directory) return no_such(&root, name);
    Found found;
    found.folder = std::move(seen->directory);
    found.alive = seen->alive;
    if (auto status = read_status(found.folder.get())) found.status = std::move(*status);
    found.status.name = name;
    if (!found.alive && found.status.phase != SandboxPhase::stopped) found.status.phase = SandboxPhase::crashed;
    return found;
}

// A supervisor is asked again for so long: 2 s.
constexpr int most_looks = 400;
constexpr useconds_t between_looks = 5000;

Result<Found> only_living(const std::string& name, Result<Found> found) {
    if (!found || found->alive) return found;
    if (found->status.phase == SandboxPhase::stopped)
        return fail(cat("sandbox ", quote(name), " is stopped"), cat("sandbox start ", name, " starts it again"));
    return fail(cat("sandbox ", quote(name), " has crashed: its supervisor is gone"), "sandbox gc cleans up");
}

}  // namespace

Result<Found> find_sandbox(const std::string& name) {
    auto root = open_state(false);
    if (!root) return pass(root);
    if (!root->valid()) {
        if (!valid_name(name)) return fail(cat(quote(printable(name)), " is not a name of a sandbox"), "sandbox ps lists them");
        return no_such(nullptr, name);
    }
    return look(*root, name);
}

Result<std::vector<Found>> all_sandboxes() {
    std::vector<Found> out;
    auto root = open_state(false);
    if (!root) return pass(root);
    if (!root->valid()) return out;
    auto names = root->names();
    if (!names) return pass(names);
    for (const std::string& name : *names)
        if (auto found = look(*root, name)) out.push_back(std::move(*found));
    return out;
}

Result<Found> find_settled(const std::string& name) {
    auto found = find_sandbox(name);
    for (int looks = 0; looks < most_looks && found && found->alive && found->status.phase == SandboxPhase::creating; ++looks) {
        usleep(between_looks);
        found = find_sandbox(name);
    }
    return found;
}

Result<Found> find_living(const std::string& name) { return only_living(name, find_settled(name)); }

Result<std::string> ask_sandbox(const std::string& name, std::string_view request) {
    // A supervisor that is just coming has no socket yet, and one that is just going has none any more: then its lock tells soon.
    for (int looks = 0; looks < most_looks; ++looks) {
        auto found = only_living(name, find_sandbox(name));
        if (!found) return pass(found);
        auto answer = ask_supervisor(found->folder.get(), request);
        if (answer) return answer;
        const int number = answer.error().number;
        if (number != ENOENT && number != ECONNREFUSED && number != ECONNRESET) return answer;
        usleep(between_looks);
    }
    return fail(cat("the supervisor of sandbox ", quote(name), " does not answer"), "look whether it is stopped (SIGSTOP), then try again");
}

Status keep_profile(const Found& found) {
    if (faccessat(found.folder.get(), "profile.yaml", F_OK, AT_SYMLINK_NOFOLLOW) == 0) return {};
    auto answer = ask_sandbox(found.status.name, "profile");
    return answer ? Status() : pass(answer);
}

std::optional<PayloadProcess> find_payload(const SandboxStatus& status) {
    if (status.init <= 0) return std::nullopt;
    PayloadProcess out;
    out.init = status.init;
    out.init_pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, status.init, 0)));
    if (!out.init_pidfd || start_time(status.init) != status.init_start) return std::nullopt;
    out.pid = status.init;
    if (status.payload == 0) return out;
    // The payload is the child of init that has this number in the innermost namespace (proc_pid_status(5), NSpid).
    const std::string list = cat("/proc/", status.init, "/task/", status.init, "/children");
    const Fd file(open(list.c_str(), O_RDONLY | O_CLOEXEC));
    char buffer[65536];
    const ssize_t size = file ? read(file.get(), buffer, sizeof buffer) : 0;
    for (const std::string_view word : split(std::string_view(buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0))), ' ')) {
        const auto child = parse_int(trim(word));
        if (!child) continue;
        const Fd about(open(cat("/proc/", *child, "/status").c_str(), O_RDONLY | O_CLOEXEC));
        char text[4096];
        const ssize_t length = about ? read(about.get(), text, sizeof text) : 0;
        for (const std::string_view line : split(std::string_view(text, static_cast<std::size_t>(std::max<ssize_t>(length, 0))), '\n'))
            if (line.starts_with("NSpid:") && parse_int(trim(line.substr(line.rfind('\t') + 1))) == status.payload) {
                out.pid = static_cast<pid_t>(*child);
                return out;
            }
    }
    return std::nullopt;
}

Result<Inside> open_inside(const SandboxStatus& status) {
    const auto ended = [&status] {
        return fail(cat("sandbox ", quote(status.name), " has just ended"), "sandbox ps lists those that run");
    };
    Inside inside;
    inside.init.reset(static_cast<int>(syscall(SYS_pidfd_open, status.init, 0)));
    if (!inside.init) return ended();
    inside.root.reset(open(cat("/proc/", status.init, "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const int number = errno;
    // Looked at after the opening: what has this number now had it then.
    if (start_time(status.init) != status.init_start) return ended();
    if (!inside.root)
        return fail_errno(cat("the root directory of sandbox ", quote(status.name)), number,
                          number == EACCES || number == EPERM ? "only who started the sandbox can look into it, and root" : "");
    return inside;
}

std::string short_age(std::int64_t nanoseconds) {
    const std::int64_t seconds = std::max<std::int64_t>(nanoseconds, 0) / 1'000'000'000;
    if (seconds < 60) return cat(seconds, "s");
    if (seconds < 3600) return cat(seconds / 60, "min");
    if (seconds < 2 * 86400) return cat(seconds / 3600, "h");
    return cat(seconds / 86400, "d");
}

std::string in_columns(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (widths.size() <= i) widths.push_back(0);
            widths[i] = std::max(widths[i], row[i].size());
        }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += printable(row[i]);
            if (i + 1 < row.size()) line.append(widths[i] - std::min(widths[i], row[i].size()) + 2, ' ');
        }
        out += line + "\n";
    }
    return out;
}

std::string format_time(std::int64_t nanoseconds) {
    const std::time_t seconds = nanoseconds / 1'000'000'000;
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

}  // namespace sandbox
