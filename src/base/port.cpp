#include "base/port.h"

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace sandbox {

socklen_t set_address(SocketAddress& to, const IpAddress& address, std::uint16_t port) {
    std::memset(&to, 0, sizeof to);
    if (address.is_v4()) {
        to.v4.sin_family = AF_INET;
        to.v4.sin_port = htons(port);
        std::memcpy(&to.v4.sin_addr, address.bytes.data(), address.size());
        return sizeof to.v4;
    }
    to.v6.sin6_family = AF_INET6;
    to.v6.sin6_port = htons(port);
    std::memcpy(&to.v6.sin6_addr, address.bytes.data(), address.size());
    return sizeof to.v6;
}

std::string port_text(const IpAddress& address, std::uint16_t port, bool udp) {
    const char* protocol = udp ? "/udp" : "/tcp";
    return address.is_v4() ? cat(to_text(address), ":", port, protocol) : cat("[", to_text(address), "]:", port, protocol);
}

Fd listen_on(const IpAddress& address, std::uint16_t port, bool udp) {
    const int family = address.is_v4() ? AF_INET : AF_INET6;
    Fd socket(::socket(family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return socket;
    const int on = 1;
    bool done = family == AF_INET || ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    // What a former listener's connections leave behind (TIME_WAIT) is no reason to refuse a port. For udp the same option would
    // share the port with whoever sets it too.
    if (!udp) done = done && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    SocketAddress where;
    const socklen_t length = set_address(where, address, port);
    done = done && ::bind(socket.get(), &where.any, length) == 0 && (udp || ::listen(socket.get(), SOMAXCONN) == 0);
    if (done) return socket;
    const int why = errno;
    socket.reset();
    errno = why;
    return socket;
}

}  // namespace sandbox
