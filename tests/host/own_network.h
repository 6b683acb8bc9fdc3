// Networks of a test's own: the test program becomes a host with nothing but loopback, and machines around it are further network
// namespaces. Sockets stay in the namespace in which they were opened, so that one program is all ends of every connection.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/ip.h"
#include "base/text.h"
#include "harness.h"

namespace harness {

inline Fd this_network() { return Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

inline void enter_network(int name_space) {
    if (setns(name_space, CLONE_NEWNET) != 0) throw std::runtime_error("cannot enter a network namespace");
}

// The calling process is in another network namespace until the end of the scope.
class InNetwork {
   public:
    explicit InNetwork(const Fd& name_space) : before_(this_network()) { enter_network(name_space.get()); }
    InNetwork(const InNetwork&) = delete;
    InNetwork& operator=(const InNetwork&) = delete;
    ~InNetwork() { enter_network(before_.get()); }

   private:
    Fd before_;
};

// A fresh network namespace with loopback up, which ends with its last descriptor, socket and process.
inline Fd new_network() {
    const Fd before = this_network();
    if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error("cannot make a network namespace");
    Fd made = this_network();
    const bool up = run({"ip", "link", "set", "lo", "up"}).ok();
    enter_network(before.get());
    if (!up) throw std::runtime_error("cannot put loopback up");
    return made;
}

// The answer of `ip -json ARGUMENTS` in the current network; null if it failed.
inline Json ip_json(Words arguments) {
    arguments.insert(arguments.begin(), {"ip", "-details", "-json"});
    const Ended ended = run(arguments);
    return ended.ok() ? Json::parse(ended.out.empty() ? "[]" : ended.out) : Json();
}

inline sandbox::IpAddress ip(std::string_view text) { return sandbox::parse_ip(text).value(); }
inline sandbox::IpNetwork network(std::string_view text) { return sandbox::parse_ip_network(text).value(); }

struct Endpoint {
    sockaddr_storage address{};
    socklen_t size = 0;
    Endpoint() = default;
    Endpoint(std::string_view text, std::uint16_t port) {
        const sandbox::IpAddress from = ip(text);
        if (from.is_v4()) {
            auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
            *v4 = {AF_INET, htons(port), {}, {}};
            memcpy(&v4->sin_addr, from.bytes.data(), 4);
            size = sizeof *v4;
        } else {
            auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons(port);
            memcpy(&v6->sin6_addr, from.bytes.data(), 16);
            size = sizeof *v6;
        }
    }
    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }
    [[nodiscard]] std::string host() const {
        char text[INET6_ADDRSTRLEN] = "";
        const void* bytes = address.ss_family == AF_INET
                                ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(&address)->sin_addr)
                                : &reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
        return inet_ntop(address.ss_family, bytes, text, sizeof text) ? text : "";
    }
    [[nodiscard]] int family() const { return address.ss_family; }
};

inline bool readable(int fd, milliseconds timeout = milliseconds(5000)) {
    pollfd one{fd, POLLIN, 0};
    return poll(&one, 1, static_cast<int>(timeout.count())) > 0;
}

// A socket of a network, bound; for TCP it listens.
inline Fd bound(const Fd& where, int type, const Endpoint& at) {
    const InNetwork in(where);
    Fd socket(::socket(at.family(), type | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(socket.get(), at.get(), at.size) != 0) throw std::runtime_error(sandbox::cat("cannot bind: ", strerror(errno)));
    if (type == SOCK_STREAM && listen(socket.get(), 16) != 0) throw std::runtime_error("cannot listen");
    return socket;
}

struct Connection {
    Fd socket;
    int error = 0;             // errno; ETIMEDOUT when nothing comes back
    bool asked_again = false;  // the first packet was not answered in the second that TCP waits for that
};

// TCP's own count, which does not depend on how busy the machine is: tcp(7), TCP_INFO.
inline bool has_asked_again(const Fd& socket) {
    tcp_info told{};
    socklen_t size = sizeof told;
    return getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &told, &size) != 0 || told.tcpi_total_retrans > 0;
}

inline Connection connect_to(const Fd& where, const Endpoint& to, milliseconds timeout = milliseconds(5000)) {
    const InNetwork in(where);
    Connection out{Fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
    if (connect(out.socket.get(), to.get(), to.size) == 0) return out;
    if (errno != EINPROGRESS) {
        out.error = errno;
        return out;
    }
    pollfd one{out.socket.get(), POLLOUT, 0};
    socklen_t size = sizeof out.error;
    if (poll(&one, 1, static_cast<int>(timeout.count())) <= 0)
        out.error = ETIMEDOUT;
    else
        getsockopt(out.socket.get(), SOL_SOCKET, SO_ERROR, &out.error, &size);
    out.asked_again = has_asked_again(out.socket);
    return out;
}

// Who connected to a listening socket: the address as the listener sees it; "nobody" within the time.
inline std::string accepted(const Fd& listener) {
    Endpoint from;
    from.size = sizeof from.address;
    if (!readable(listener.get())) return "nobody";
    const Fd connection(accept4(listener.get(), from.get(), &from.size, SOCK_CLOEXEC));
    return connection ? from.host() : strerror(errno);
}

// Connects from `where` to `to`, and says whom `listener` then sees; or the error in words.
inline std::string seen_by(const Fd& listener, const Fd& where, const Endpoint& to) {
    const Connection made = connect_to(where, to);
    return made.error != 0 ? strerror(made.error) : accepted(listener);
}

// /proc/sys/net is the one of the current network.
inline void set_sysctl(const std::string& name, std::string_view value) {
    const Fd file(open(("/proc/sys/" + name).c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || write(file.get(), value.data(), value.size()) < 0) throw std::runtime_error("cannot set " + name);
}

inline void forward_packets() {
    set_sysctl("net/ipv4/ip_forward", "1");
    set_sysctl("net/ipv6/conf/all/forwarding", "1");
}

// The test program is a host of its own, and comes back at the end.
class OwnNetwork : public ::testing::Test {
   protected:
    void SetUp() override {
        REQUIRE_OR_SKIP(is_root(), "needs root");
        REQUIRE_OR_SKIP(command_exists("ip"), "needs ip of iproute2");
        before = this_network();
        host = new_network();
        enter_network(host.get());
    }
    void TearDown() override {
        if (before) enter_network(before.get());
    }
    Fd before, host;
};

}  // namespace harness
