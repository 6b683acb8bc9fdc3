#include "exec/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::size_t longest_message = 8192;

// By the descriptor of the folder: its path may be longer than a socket's name can be, and may have changed.
sockaddr_un address_in(int folder) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = cat("/proc/self/fd/", folder, "/control");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

Fd seqpacket() { return Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)); }

}  // namespace

Result<ControlServer> ControlServer::open(int folder) {
    ControlServer server;
    server.listener_ = seqpacket();
    const sockaddr_un address = address_in(folder);
    unlinkat(folder, "control", 0);
    const mode_t before = umask(0177);
    const bool bound = server.listener_ && bind(server.listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const int number = errno;
    umask(before);
    if (!bound) return fail_errno("make the control socket", number);
    if (listen(server.listener_.get(), 64) != 0) return fail_errno("listen on the control socket", errno);
    fcntl(server.listener_.get(), F_SETFL, O_NONBLOCK);
    return server;
}

void ControlServer::add_to(std::vector<pollfd>& polls) const {
    polls.push_back({listener_.get(), POLLIN, 0});
    for (const Client& client : clients_) polls.push_back({client.socket.get(), static_cast<short>(client.waiting ? 0 : POLLIN), 0});
}

std::vector<ControlServer::Request> ControlServer::receive() {
    while (true) {
        Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) break;
        clients_.push_back({next_++, std::move(socket)});
    }
    std::vector<Request> requests;
    char buffer[longest_message];
    std::erase_if(clients_, [&](Client& client) {
        const ssize_t size = recv(client.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (size < 0) return errno != EAGAIN && errno != EINTR;
        if (size == 0) return true;
        if (!client.waiting) requests.push_back({client.number, std::string(buffer, static_cast<std::size_t>(size))});
        return false;
    });
    return requests;
}

void ControlServer::answer(std::size_t number, std::string_view text) {
    std::erase_if(clients_, [&](const Client& client) {
        if (client.number != number) return false;
        static_cast<void>(!send(client.socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
        return true;
    });
}

void ControlServer::hold(std::size_t number) {
    for (Client& client : clients_)
        if (client.number == number) client.waiting = true;
}

void ControlServer::answer_waiting(std::string_view text) {
    std::vector<std::size_t> numbers;
    for (const Client& client : clients_)
        if (client.waiting) numbers.push_back(client.number);
    for (const std::size_t number : numbers) answer(number, text);
}

std::string error_answer(const Error& error) { return cat("error\n", error.message, "\n", error.hint); }

Result<std::string> ask_supervisor(int folder, std::string_view request) {
    const Fd socket = seqpacket();
    const sockaddr_un address = address_in(folder);
    if (!socket || connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno("ask the supervisor", errno);
    if (send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return fail_errno("ask the supervisor", errno);
    char buffer[longest_message];
    ssize_t size;
    do size = recv(socket.get(), buffer, sizeof buffer, 0);
    while (size < 0 && errno == EINTR);
    if (size < 0) return fail_errno("hear the supervisor", errno);
    if (size == 0) return fail_errno("hear the supervisor", ECONNRESET);
    const std::string_view answer(buffer, static_cast<std::size_t>(size));
    if (!answer.starts_with("error\n")) return std::string(answer);
    const auto lines = split(answer, '\n');
    return fail(std::string(lines.size() > 1 ? lines[1] : ""), std::string(lines.size() > 2 ? lines[2] : ""));
}

}  // namespace sandbox
