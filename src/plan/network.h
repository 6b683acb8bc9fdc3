// What the parts of a plan must agree on about the network.
#pragma once

#include <string>
#include <vector>

#include "plan/context.h"

namespace sandbox {

// Whether the sandbox has a link of its own to somewhere else.
[[nodiscard]] bool makes_link(const Profile& profile);
// Whether what it sends is filtered: then its link is no port of the bridge, and the host passes its packets on.
[[nodiscard]] bool is_confined(const Profile& profile);
// Whether the packet filter sends on what comes to a published port.
[[nodiscard]] bool sends_on(const Profile& profile);
[[nodiscard]] AddressWish wish_for(const Profile& profile, IpFamily family);
// The address of the bridge itself in its subnet: its own where it was found with one, else the first.
[[nodiscard]] IpAddress bridge_address(const IpNetwork& subnet, const Profile& profile, const HostFacts& facts);
// What listens on the host for the published ports; the host's ::1 only where there is IPv6.
[[nodiscard]] std::vector<PortSocket> port_sockets(const Profile& profile, bool ipv6);
// Whether /etc/resolv.conf, hosts and hostname are the launcher's.
[[nodiscard]] bool shows_names(const Profile& profile);
// Those of them that the profile itself does not put there or cover.
[[nodiscard]] std::vector<std::string> shown_names(const Profile& profile);
// Where the profile asks for them.
[[nodiscard]] Position place_of_names(const Profile& profile);
[[nodiscard]] const SandboxFact* find_sandbox_fact(const HostFacts& facts, const std::string& name);

void check_network_on_host(const Profile& profile, const HostFacts& facts, Diagnostics& out);

}  // namespace sandbox
