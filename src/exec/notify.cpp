#include "exec/notify.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::int64_t per_microsecond = 1000;

std::string take(const char* name) {
    const char* value = std::getenv(name);
    std::string out = value ? value : "";
    unsetenv(name);
    return out;
}

// 0: it is no address that unix(7) knows.
socklen_t fill(sockaddr_un& address, std::string_view name) {
    address.sun_family = AF_UNIX;
    if (name.size() < 2 || name.size() >= sizeof address.sun_path || (name.front() != '/' && name.front() != '@')) return 0;
    std::memcpy(address.sun_path, name.data(), name.size());
    const bool abstract = name.front() == '@';
    if (abstract) address.sun_path[0] = '\0';
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1));
}

std::string extension(std::int64_t nanoseconds) { return cat("EXTEND_TIMEOUT_USEC=", nanoseconds / per_microsecond); }

}  // namespace

NotifyAddress take_notify_address() {
    NotifyAddress out;
    out.socket = take("NOTIFY_SOCKET");
    const auto interval = parse_int(take("WATCHDOG_USEC"));
    const std::string process = take("WATCHDOG_PID");
    const bool meant = process.empty() || process == std::to_string(getpid());
    constexpr std::int64_t longest = INT64_MAX / per_microsecond;
    if (interval && *interval > 0 && *interval <= longest && meant) out.watchdog = *interval * per_microsecond;
    return out;
}

Notify::Notify(NotifyAddress address) : address_(std::move(address)) {}

Status Notify::begin() {
    if (address_.socket.empty()) return {};
    socket_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    // A manager that hangs may hold up the sandbox for a moment, not for ever.
    const timeval patience{5, 0};
    if (socket_) setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (auto sent = send("STATUS=setting up"); !sent) {
        socket_.reset();
        return sent;
    }
    if (address_.watchdog == 0) return {};
    // Twice in each interval, as sd_watchdog_enabled(3) recommends.
    timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    const std::int64_t half = address_.watchdog / 2;
    itimerspec when{};
    when.it_value = when.it_interval = {half / 1'000'000'000, half % 1'000'000'000};
    timerfd_settime(timer_.get(), 0, &when, nullptr);
    return {};
}

Status Notify::send(const std::string& message) {
    sockaddr_un address{};
    const socklen_t size = fill(address, address_.socket);
    if (size == 0) return fail("it is neither a path nor an abstract name", "sd_notify(3) has what it can be");
    if (!socket_) return fail_errno("socket", errno);
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    while (sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL, name, size) < 0)
        if (errno != EINTR) return fail_errno("send", errno);
    return {};
}

void Notify::status(const std::string& words) {
    if (!socket_ || words == words_) return;
    words_ = words;
    static_cast<void>(send(cat("STATUS=", words)));
}

void Notify::running(const std::string& words) {
    if (ready_) return status(words);
    ready_ = true;
    words_ = words;
    if (socket_) static_cast<void>(send(cat("READY=1\nSTATUS=", words)));
}

void Notify::stopping(std::int64_t longest) {
    if (!socket_ || std::exchange(stopping_, true)) return;
    words_ = "stopping";
    static_cast<void>(send(cat("STOPPING=1\nSTATUS=stopping\n", extension(longest))));
}

void Notify::extend(std::int64_t longest) {
    if (socket_) static_cast<void>(send(extension(longest)));
}

void Notify::beat() {
    std::uint64_t count = 0;
    if (read(timer_.get(), &count, sizeof count) == sizeof count) static_cast<void>(send("WATCHDOG=1"));
}

}  // namespace sandbox
