// Connections that the host's packet filter keeps in mind (conntrack(8)).
#pragma once

#include <vector>

#include "base/error.h"
#include "base/ip.h"
#include "kernel/nft.h"

namespace sandbox {

// UDP knows no end: a client that keeps its port would be sent on for minutes to whoever had the published port before. What is kept
// of clients of these ports, and leads into one of the networks, is forgotten, so that the next datagram goes by the rules there are.
[[nodiscard]] Status forget_flows(const std::vector<PortRule>& ports, const std::vector<IpNetwork>& into);

}  // namespace sandbox
