// Addresses as the socket calls take them, and sockets that listen on a port of this machine.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/ip.h"

namespace sandbox {

union SocketAddress {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
};
// Fills `to` and returns the length of what is used.
socklen_t set_address(SocketAddress& to, const IpAddress& address, std::uint16_t port);

// "127.0.0.1:8080/tcp", "[::1]:53/udp"
[[nodiscard]] std::string port_text(const IpAddress& address, std::uint16_t port, bool udp);

// A socket that listens (tcp) or is bound (udp), non-blocking and close-on-exec; v6 ones are v6 only. Invalid: see errno.
[[nodiscard]] Fd listen_on(const IpAddress& address, std::uint16_t port, bool udp);

}  // namespace sandbox
