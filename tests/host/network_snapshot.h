// The part of a snapshot that belongs to the network namespace of the test: links, addresses, routes, neighbours that somebody has set,
// packet filter, switches, listening sockets.
#pragma once

#include <map>
#include <string>

namespace harness {

inline constexpr const char* network_sections[] = {"network", "nftables", "network settings", "listening"};
void add_network(std::map<std::string, std::map<std::string, std::string>>& sections);

}  // namespace harness
