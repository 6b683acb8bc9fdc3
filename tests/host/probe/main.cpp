// sandbox-probe VERB...: runs the verbs in their order and prints one JSON object; 64 for a verb that it does not know.
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "probe.h"

namespace probe {

std::string errno_name(int number) {
    if (number == 0) return "ok";
    const char* name = strerrorname_np(number);
    return name != nullptr ? name : std::to_string(number);
}

std::string outcome(long result) { return result == -1 ? errno_name(errno) : "ok"; }

std::optional<std::string> read_file(const std::string& path, std::size_t limit) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return std::nullopt;
    std::string text;
    char buffer[16384];
    while (text.size() < limit) {
        const ssize_t got = read(fd, buffer, std::min(sizeof buffer, limit - text.size()));
        if (got < 0) {
            const int number = errno;
            close(fd);
            errno = number;
            return std::nullopt;
        }
        if (got == 0) break;
        text.append(buffer, static_cast<std::size_t>(got));
    }
    close(fd);
    return text;
}

std::string read_link(const std::string& path) {
    char buffer[4096];
    const ssize_t size = readlink(path.c_str(), buffer, sizeof buffer);
    return size < 0 ? std::string() : std::string(buffer, static_cast<std::size_t>(size));
}

std::map<std::string, std::string> process_status(const std::string& pid) {
    std::map<std::string, std::string> fields;
    const auto text = read_file("/proc/" + pid + "/status");
    if (!text) return fields;
    std::size_t start = 0;
    while (start < text->size()) {
        const std::size_t end = std::min(text->find('\n', start), text->size());
        const std::string line = text->substr(start, end - start);
        const std::size_t colon = line.find(':');
        if (colon != std::string::npos) {
            const std::size_t value = line.find_first_not_of(" \t", colon + 1);
            fields[line.substr(0, colon)] = value == std::string::npos ? "" : line.substr(value);
        }
        start = end + 1;
    }
    return fields;
}

long number(const std::string& text) {
    long value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) throw Usage{"not a number: '" + text + "'"};
    return value;
}

int signal_number(const std::string& text) {
    const std::string plain = text.starts_with("SIG") ? text.substr(3) : text;
    for (int signal = 1; signal < SIGRTMIN; ++signal) {
        const char* name = sigabbrev_np(signal);
        if (name != nullptr && plain == name) return signal;
    }
    const long value = number(plain);
    if (value < 0 || value > SIGRTMAX) throw Usage{"not a signal: '" + text + "'"};
    return static_cast<int>(value);
}

std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    return name != nullptr ? std::string("SIG") + name : std::to_string(signal);
}

void say(const Json& json) {
    const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    std::size_t done = 0;
    while (done < line.size()) {
        const ssize_t wrote = write(STDOUT_FILENO, line.data() + done, line.size() - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) _exit(74);
        done += static_cast<std::size_t>(wrote);
    }
}

}  // namespace probe

namespace {

int refuse(const std::string& message) {
    const std::string line = "sandbox-probe: " + message + "\n";
    if (write(STDERR_FILENO, line.data(), line.size()) < 0) return 74;
    return 64;
}

}  // namespace

int main(int argc, char** argv) {
    probe::Verbs verbs;
    probe::add_identity(verbs);
    probe::add_files(verbs);
    probe::add_calls(verbs);
    probe::add_processes(verbs);
    probe::add_hogs(verbs);
    probe::add_terminal(verbs);

    struct Call {
        const probe::Verb* verb;
        std::string word, argument;
    };
    std::vector<Call> calls;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const std::size_t colon = word.find(':');
        const auto found = verbs.find(word.substr(0, colon));
        if (found == verbs.end()) return refuse("unknown verb '" + word + "'");
        calls.push_back({&found->second, word, colon == std::string::npos ? "" : word.substr(colon + 1)});
    }
    probe::Json seen = probe::Json::object();
    try {
        for (const Call& call : calls) {
            // What ends the probe itself comes after everything else has been printed.
            if (call.word.starts_with("exit:") || call.word.starts_with("kill:")) probe::say(seen);
            seen[call.word] = (*call.verb)(call.argument);
        }
    } catch (const probe::Usage& usage) {
        return refuse(usage.message);
    }
    probe::say(seen);
    return 0;
}
