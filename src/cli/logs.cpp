// sandbox logs, events

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <deque>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/sandboxes.h"
#include "exec/presence.h"
#include "state/events.h"

namespace sandbox {
namespace {

// The time as log lines begin with it, or so long ago ("10m"), in the form of the lines: text compares as times do.
std::optional<std::string> since_text(const std::string& words) {
    if (words.empty()) return std::string();
    if (const auto ago = parse_duration(words)) return format_time(wall_clock() - *ago);
    std::tm parts{};
    for (const char* form : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"})
        if (const char* end = strptime(words.c_str(), form, &parts); end && (!*end || std::string_view(end) == "Z"))
            return format_time(static_cast<std::int64_t>(timegm(&parts)) * 1'000'000'000);
    return std::nullopt;
}

enum class LineForm { text, timed, json };

// One line of a log file to the stream that it was written to.
void show_line(std::string_view line, LineForm form) {
    const bool times = form == LineForm::timed;
    const auto first = line.find(' '), second = line.find(' ', first + 1), third = line.find(' ', second + 1);
    if (third == std::string_view::npos) return;
    const bool error = line.substr(first + 1, second - first - 1) == "stderr", whole = line[second + 1] == 'F';
    if (form == LineForm::json) {
        const nlohmann::ordered_json json{
            {"time", line.substr(0, first)}, {"stream", error ? "stderr" : "stdout"}, {"text", line.substr(third + 1)}, {"whole", whole}};
        return write_out(json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
    }
    const std::string text = cat(times ? cat(line.substr(0, first), " ") : std::string(), line.substr(third + 1), whole ? "\n" : "");
    error ? write_err(text) : write_out(text);
}

std::vector<std::string> files_of(const std::string& folder) {
    std::vector<std::string> out;
    for (int number = 999; number >= 1; --number)
        if (const std::string path = cat(folder, "/log.", number); access(path.c_str(), F_OK) == 0) out.push_back(path);
    out.push_back(folder + "/log");
    return out;
}

class Reader {
   public:
    Reader(std::string since, LineForm form, std::int64_t tail) : since_(std::move(since)), form_(form), tail_(tail) {}

    // What has come since the last call, line by line; what is no whole line yet waits.
    void read_on(int file) {
        char buffer[65536];
        ssize_t size;
        while ((size = read(file, buffer, sizeof buffer)) > 0) {
            rest_.append(buffer, static_cast<std::size_t>(size));
            std::size_t begin = 0;
            for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', begin)) {
                take(std::string_view(rest_).substr(begin, end - begin));
                begin = end + 1;
            }
            rest_.erase(0, begin);
        }
    }
    // The lines that `tail` has kept; from now on lines are shown at once.
    void catch_up() {
        for (const std::string& line : last_) show_line(line, form_);
        last_.clear();
        tail_ = -1;
    }

   private:
    void take(std::string_view line) {
        if (!since_.empty() && line.substr(0, since_.size() - 1) < since_.substr(0, since_.size() - 1)) return;
        if (tail_ < 0) return show_line(line, form_);
        last_.emplace_back(line);
        if (last_.size() > static_cast<std::size_t>(tail_)) last_.pop_front();
    }
    std::string since_, rest_;
    LineForm form_;
    std::int64_t tail_;
    std::deque<std::string> last_;
};

bool is_at(int file, const std::string& path) {
    struct stat ours {};
    struct stat there {};
    return fstat(file, &ours) == 0 && stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

// Until the sandbox's supervisor is gone, over every rotation.
int follow(const std::string& name, const std::string& folder, Fd file, Reader& reader) {
    const Fd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    const std::string path = folder + "/log";
    if (!watch || inotify_add_watch(watch.get(), folder.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) < 0)
        return exit_launcher;
    while (true) {
        if (file) reader.read_on(file.get());
        if (!file || !is_at(file.get(), path)) {
            Fd next(open(path.c_str(), O_RDONLY | O_CLOEXEC));
            if (next) {
                if (file) reader.read_on(file.get());
                file = std::move(next);
                continue;
            }
        }
        auto found = find_sandbox(name);
        if (!found || !found->alive) {
            if (file) reader.read_on(file.get());
            return 0;
        }
        pollfd polls[2] = {{watch.get(), POLLIN, 0}, {1, 0, 0}};
        if (poll(polls, 2, 500) > 0 && (polls[1].revents & (POLLERR | POLLHUP))) return 0;
        char events[4096];
        while (read(watch.get(), events, sizeof events) > 0) {
        }
    }
}

int logs_of_journal(const std::string& name, const LogFlags& flags) {
    std::vector<std::string> words{"journalctl", "--no-pager", "-o", "cat", cat("SANDBOX_NAME=", name)};
    if (flags.follow) words.emplace_back("-f");
    if (flags.times) words[3] = "short-iso";
    if (flags.json) words[3] = "json";
    if (flags.tail >= 0) words.push_back(cat("-n", flags.tail));
    const auto since = since_text(flags.since);
    if (since && !since->empty()) words.push_back(cat("--since=", since->substr(0, 10), " ", since->substr(11, 8), " UTC"));
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    execvp("journalctl", argv.data());
    print(Error{cat("journalctl: ", errno_text(errno)), "the logs are in systemd's journal, which its own program reads", errno, {}, {}});
    return exit_launcher;
}

}  // namespace

int verb_logs(const std::string& name, const LogFlags& flags) {
    auto found = find_sandbox(name);
    if (!found) return print(found.error()), exit_launcher;
    const auto since = since_text(flags.since);
    if (!since) {
        print(Error{cat(quote(printable(flags.since)), " is neither a time nor a length of time"),
                    "write 10m, 2h30m, 2026-11-25 or 2026-11-25T08:30:00 (UTC)",
                    0,
                    {},
                    {}});
        return exit_launcher;
    }
    if (found->status.log_driver == "journald") return logs_of_journal(name, flags);
    if (found->status.logs.empty()) {
        const bool none = found->status.log_driver == "none";
        print(Error{cat("sandbox ", quote(name), none ? " keeps no logs" : " has no logs: it writes where it was started"),
                    none ? "its profile says logging: {driver: none}" : "only a detached sandbox (up -d) is logged",
                    0,
                    {},
                    {}});
        return exit_launcher;
    }
    const LineForm form = flags.json ? LineForm::json : flags.times ? LineForm::timed : LineForm::text;
    Reader reader(*since, form, flags.tail);
    Fd last;
    for (const std::string& path : files_of(found->status.logs)) {
        Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (file) reader.read_on(file.get());
        last = std::move(file);
    }
    reader.catch_up();
    return flags.follow ? follow(name, found->status.logs, std::move(last), reader) : 0;
}

namespace {

std::string event_line(const nlohmann::ordered_json& json) {
    std::string line = cat(format_time(json.value("time", std::int64_t(0))), " ", json.value("name", std::string()), " ",
                           json.value("event", std::string()));
    for (const auto& [key, value] : json.items())
        if (key != "time" && key != "name" && key != "event") line += cat(" ", key, "=", value.get<std::string>());
    return printable(line) + "\n";
}

}  // namespace

int verb_events(const std::vector<std::string>& names, bool json) {
    auto root = open_state(true);
    if (!root) return print(root.error()), exit_launcher;
    sigset_t ends;
    sigemptyset(&ends);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, signal);
    sigprocmask(SIG_BLOCK, &ends, nullptr);
    const Fd signals(signalfd(-1, &ends, SFD_CLOEXEC));
    {
        auto listener = EventListener::open(root->descriptor());
        if (!listener) return print(listener.error()), exit_launcher;
        while (true) {
            pollfd polls[3] = {{listener->descriptor(), POLLIN, 0}, {signals.get(), POLLIN, 0}, {1, 0, 0}};
            if (poll(polls, 3, -1) < 0) continue;
            if (polls[1].revents || (polls[2].revents & (POLLERR | POLLHUP))) break;
            for (std::string text = listener->next(); !text.empty(); text = listener->next()) {
                const auto event = nlohmann::ordered_json::parse(text, nullptr, false);
                if (event.is_discarded()) continue;
                if (!names.empty() && std::ranges::find(names, event.value("name", std::string())) == names.end()) continue;
                write_out(json ? text + "\n" : event_line(event));
            }
        }
    }
    static_cast<void>(root->remove_if_unused());
    return 0;
}

}  // namespace sandbox
