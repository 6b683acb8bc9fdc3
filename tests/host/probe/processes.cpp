// Other processes, signals, orphans, and the sockets and queues that processes share.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "probe.h"

namespace probe {
namespace {

std::vector<int> pids() {
    std::vector<int> found;
    DIR* stream = opendir("/proc");
    if (stream == nullptr) return found;
    while (const dirent* entry = readdir(stream)) {
        const std::string name = entry->d_name;
        if (name.find_first_not_of("0123456789") == std::string::npos) found.push_back(static_cast<int>(number(name)));
    }
    closedir(stream);
    std::sort(found.begin(), found.end());
    return found;
}

Json processes(const std::string&) {
    Json seen = Json::array();
    for (const int pid : pids()) {
        const auto status = process_status(std::to_string(pid));
        if (status.empty()) continue;  // gone since the directory was read
        seen.push_back(
            {{"pid", pid}, {"ppid", number(status.at("PPid"))}, {"name", status.at("Name")}, {"state", status.at("State").substr(0, 1)}});
    }
    return seen;
}

Json self(const std::string&) {
    Json seen = {{"pid", getpid()}, {"ppid", getppid()}, {"pgid", getpgid(0)}, {"sid", getsid(0)}, {"NSpid", Json::array()}};
    const auto status = process_status("self");
    if (status.count("NSpid") == 0) return seen;
    std::istringstream numbers(status.at("NSpid"));
    for (int pid = 0; numbers >> pid;) seen["NSpid"].push_back(pid);
    return seen;
}

Json command_line(const std::string& pid) {
    const auto text = read_file("/proc/" + (pid.empty() ? "self" : pid) + "/cmdline");
    if (!text) return {{"error", errno_name(errno)}};
    Json words = Json::array();
    for (std::size_t start = 0; start < text->size();) {
        const std::size_t end = std::min(text->find('\0', start), text->size());
        words.push_back(text->substr(start, end - start));
        start = end + 1;
    }
    return words;
}

long milliseconds() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

long zombie_count() {
    long count = 0;
    for (const int pid : pids()) {
        const auto status = process_status(std::to_string(pid));
        if (status.count("State") != 0 && status.at("State").starts_with("Z")) ++count;
    }
    return count;
}

// Forks a child whose own child is an orphan as soon as the first has been collected. The orphan learns that by the end
// of `orphaned` and then does what `then` says. Returns its pid, or -1.
pid_t make_orphan(const std::function<void()>& then) {
    int orphaned[2], told[2];
    if (pipe2(orphaned, O_CLOEXEC) != 0) return -1;
    if (pipe2(told, O_CLOEXEC) != 0) return -1;
    const pid_t middle = fork();
    if (middle == 0) {
        const pid_t orphan = fork();
        if (orphan == 0) {
            close(orphaned[1]);
            close(told[0]);
            close(told[1]);
            char byte = 0;
            while (read(orphaned[0], &byte, 1) < 0 && errno == EINTR) {
            }
            close(orphaned[0]);
            then();
            _exit(0);
        }
        _exit(write(told[1], &orphan, sizeof orphan) == sizeof orphan && orphan > 0 ? 0 : 1);
    }
    close(told[1]);
    pid_t pid = -1;
    if (middle > 0) {
        if (read(told[0], &pid, sizeof pid) != sizeof pid) pid = -1;
        while (waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
    close(told[0]);
    close(orphaned[0]);
    close(orphaned[1]);
    return pid;
}

// zombies:N[,MS]: makes N orphans that end at once, in 10 s at most; when all have ended, waits up to MS (5000) for PID 1 to collect them.
Json zombies(const std::string& argument) {
    const std::size_t comma = argument.find(',');
    const long wanted = number(argument.substr(0, comma)), patience = comma == argument.npos ? 5000 : number(argument.substr(comma + 1));
    int alive[2];
    if (pipe2(alive, O_CLOEXEC) != 0) return errno_name(errno);
    // Where PID 1 is slower than this, its limit of processes is met for a moment: there is room again when it collects.
    constexpr long longest = 10000;
    const long begun = milliseconds();
    long made = 0;
    while (made < wanted && milliseconds() - begun < longest)
        if (make_orphan([] {}) > 0)
            ++made;
        else
            poll(nullptr, 0, 1);
    close(alive[1]);
    char byte = 0;
    while (read(alive[0], &byte, 1) < 0 && errno == EINTR) {
    }  // every orphan held the other end
    close(alive[0]);
    const long start = milliseconds();
    long left = zombie_count();
    while (left > 0 && milliseconds() - start < patience) {
        poll(nullptr, 0, 2);
        left = zombie_count();
    }
    return {{"made", made}, {"left", left}, {"waited_ms", milliseconds() - start}};
}

// Orphans that stay until they are killed.
Json spawn_orphans(const std::string& argument) {
    Json made = Json::array();
    for (long i = number(argument); i > 0; --i) {
        made.push_back(make_orphan([] {
            while (true) pause();
        }));
    }
    return made;
}

// Orphans that ignore every signal that can be ignored.
Json spawn_stubborn(const std::string& argument) {
    Json made = Json::array();
    for (long i = number(argument); i > 0; --i) {
        made.push_back(make_orphan([] {
            for (int signal = 1; signal <= SIGRTMAX; ++signal) ::signal(signal, SIG_IGN);
            while (true) pause();
        }));
    }
    return made;
}

volatile sig_atomic_t caught = 0;

void note(int signal) { caught = signal; }

// Says {"ready":true} once the handler is in place, then waits for the signal.
Json wait_signal(const std::string& argument) {
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    struct sigaction action {};
    action.sa_handler = note;
    sigfillset(&action.sa_mask);
    std::istringstream words(argument);
    sigset_t open_set = before;
    for (std::string word; std::getline(words, word, ',');) {
        const int signal = signal_number(word);
        if (sigaction(signal, &action, nullptr) != 0) return errno_name(errno);
        sigdelset(&open_set, signal);
    }
    caught = 0;
    say({{"ready", true}});
    while (caught == 0) sigsuspend(&open_set);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    return signal_name(caught);
}

// Says {"ready":true} and reads standard input to its end.
Json hold(const std::string&) {
    say({{"ready", true}});
    std::string text;
    char buffer[4096];
    while (true) {
        const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return {{"text", text}, {"error", errno_name(errno)}};
        if (got == 0) return {{"text", text}};
        text.append(buffer, static_cast<std::size_t>(got));
    }
}

Json connect_to(const std::string& name, bool abstract) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (name.size() + 1 >= sizeof address.sun_path) throw Usage{"socket name too long"};
    memcpy(address.sun_path + (abstract ? 1 : 0), name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return "socket:" + errno_name(errno);
    const std::string result = outcome(connect(fd, reinterpret_cast<sockaddr*>(&address), size));
    close(fd);
    return result;
}

// tcp:ADDRESS:PORT, the port after the last colon: how connecting ends, within two seconds.
Json connect_by_tcp(const std::string& argument) {
    const std::size_t colon = argument.rfind(':');
    if (colon == argument.npos) throw Usage{"expected ADDRESS:PORT, not '" + argument + "'"};
    const std::string address = argument.substr(0, colon);
    const auto port = htons(static_cast<std::uint16_t>(number(argument.substr(colon + 1))));
    sockaddr_in v4{AF_INET, port, {}, {}};
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = port;
    const bool is_v4 = inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) != 1) throw Usage{"not an address: '" + address + "'"};
    const auto* to = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
    const int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    std::string result = fd < 0 ? "socket:" + errno_name(errno) : outcome(connect(fd, to, is_v4 ? sizeof v4 : sizeof v6));
    if (result == "EINPROGRESS") {
        pollfd wait{fd, POLLOUT, 0};
        int error = ETIMEDOUT;
        socklen_t size = sizeof error;
        if (poll(&wait, 1, 2000) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        result = errno_name(error);
    }
    if (fd >= 0) close(fd);
    return result;
}

// A datagram from 127.0.0.1 to itself.
Json loopback(const std::string&) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return "socket:" + errno_name(errno);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    std::string result = outcome(bind(fd, plain, size));
    if (result == "ok") result = outcome(getsockname(fd, plain, &size));
    if (result == "ok") result = outcome(sendto(fd, "x", 1, 0, plain, size));
    pollfd wait{fd, POLLIN, 0};
    if (result == "ok") result = poll(&wait, 1, 2000) == 1 ? "ok" : "ETIMEDOUT";
    close(fd);
    return result;
}

Json links(const std::string&) {
    Json seen = Json::object();
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct if_nameindex* list = if_nameindex();
    for (auto* entry = list; entry != nullptr && entry->if_index != 0; ++entry) {
        ifreq request{};
        strncpy(request.ifr_name, entry->if_name, IFNAMSIZ - 1);
        const bool up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
        seen[entry->if_name] = {{"index", entry->if_index}, {"up", up}};
    }
    if_freenameindex(list);
    close(fd);
    return seen;
}

Json sysv_ipc(const std::string&) {
    Json seen = Json::object();
    for (const std::string kind : {"msg", "sem", "shm"}) {
        const auto text = read_file("/proc/sysvipc/" + kind);
        seen[kind] = text ? Json(std::max<long>(0, std::count(text->begin(), text->end(), '\n') - 1)) : Json(errno_name(errno));
    }
    return seen;
}

Json queue(const std::string& name) {
    const mqd_t descriptor = mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600, nullptr);
    if (descriptor == static_cast<mqd_t>(-1)) return errno_name(errno);
    mq_close(descriptor);
    return "ok";
}

// exec:PROGRAM ARGUMENT...: the errno of execve, or how the program ended.
Json execute(const std::string& line) {
    std::vector<std::string> words;
    std::istringstream stream(line);
    for (std::string word; stream >> word;) words.push_back(word);
    if (words.empty()) throw Usage{"exec needs a program"};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    int failed[2];
    if (pipe2(failed, O_CLOEXEC) != 0) return errno_name(errno);
    const pid_t child = fork();
    if (child < 0) return "fork:" + errno_name(errno);
    if (child == 0) {
        execv(argv[0], argv.data());
        const int number = errno;
        _exit(write(failed[1], &number, sizeof number) == sizeof number ? 126 : 127);
    }
    close(failed[1]);
    int number = 0, status = 0;
    const bool executed = read(failed[0], &number, sizeof number) != sizeof number;
    close(failed[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!executed) return errno_name(number);
    return WIFSIGNALED(status) ? Json("signal:" + signal_name(WTERMSIG(status))) : Json(WEXITSTATUS(status));
}

Json print(int stream, const std::string& text) {
    const std::string line = text + "\n";
    return outcome(write(stream, line.data(), line.size()));
}

Json print_lines(const std::string& count) {
    for (long i = 0; i < number(count); ++i) print(STDOUT_FILENO, "line " + std::to_string(i));
    return count;
}

}  // namespace

void add_processes(Verbs& verbs) {
    verbs["print"] = [](const std::string& text) { return print(STDOUT_FILENO, text); };
    verbs["print-error"] = [](const std::string& text) { return print(STDERR_FILENO, text); };
    verbs["print-lines"] = print_lines;
    verbs["ignore"] = [](const std::string& name) { return outcome(signal(signal_number(name), SIG_IGN) == SIG_ERR ? -1 : 0); };
    verbs["procs"] = processes;
    verbs["pid"] = verbs["ppid"] = self;
    verbs["cmdline"] = command_line;
    verbs["proc-status"] = [](const std::string& pid) { return Json(process_status(pid.empty() ? "self" : pid)); };
    verbs["zombies"] = zombies;
    verbs["spawn-orphans"] = spawn_orphans;
    verbs["spawn-stubborn"] = spawn_stubborn;
    verbs["wait-signal"] = wait_signal;
    verbs["hold"] = hold;
    verbs["connect"] = [](const std::string& path) { return connect_to(path, false); };
    verbs["abstract"] = [](const std::string& name) { return connect_to(name, true); };
    verbs["tcp"] = connect_by_tcp;
    verbs["lo"] = verbs["loopback"] = loopback;
    verbs["links"] = links;
    verbs["sysvipc"] = sysv_ipc;
    verbs["make-msgqueue"] = [](const std::string&) { return Json(outcome(msgget(IPC_PRIVATE, 0600 | IPC_CREAT))); };
    verbs["mqueue"] = queue;
    verbs["exec"] = execute;
    verbs["signal-pid"] = [](const std::string& argument) {  // PID=SIGNAL
        const std::size_t equals = argument.find('=');
        if (equals == std::string::npos) throw Usage{"expected PID=SIGNAL"};
        return Json(outcome(::kill(static_cast<pid_t>(number(argument.substr(0, equals))), signal_number(argument.substr(equals + 1)))));
    };
    verbs["exit"] = [](const std::string& code) -> Json { _exit(static_cast<int>(number(code))); };
    verbs["kill"] = [](const std::string& signal) { return Json(outcome(::kill(getpid(), signal_number(signal)))); };
}

}  // namespace probe
