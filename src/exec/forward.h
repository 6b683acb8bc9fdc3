// Published ports on the host's side: listening sockets, and the process that carries what comes to them into the sandbox.
//
// A socket is opened before anything else is done for the sandbox and so reserves the port; what comes from outside to an
// explicit address is sent on by the packet filter and never gets here (kernel/nft.h). The process that forwards is a copy of the
// launcher without its descriptors, in the host's network namespace, with no privileges, and ends with the launcher.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip.h"

namespace sandbox {

struct HeldPort {
    IpAddress address;  // on the host; v6 sockets are v6 only
    std::uint16_t port = 0;
    bool udp = false;
    Fd socket;
};

// Listens (tcp) or binds (udp). An error names address, port, protocol, the kernel's reason, and who has it if that can be seen.
[[nodiscard]] Result<HeldPort> hold_port(const IpAddress& address, std::uint16_t port, bool udp);

// Where a held port leads: into the sandbox.
struct Forward {
    int socket = -1;  // of the HeldPort
    bool udp = false;
    IpAddress to;
    std::uint16_t to_port = 0;
};

// Starts the process. It ends when `life` (the reading end of a pipe, or a socket) sees the end of file, as it does when the
// launcher ends in any way. Returns its pid. The caller has one thread; the child closes every other descriptor.
[[nodiscard]] Result<pid_t> start_forwarder(const std::vector<Forward>& forwards, int life);

}  // namespace sandbox
