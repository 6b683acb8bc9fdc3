// The name servers that the host asks, and which of them a sandbox can.
#pragma once

#include <string>
#include <string_view>

#include "host/facts.h"

namespace sandbox {

// What resolv.conf(5) says; servers with a zone (link-local ones of one link) are left out. `loopback` gets those that are the
// host's own.
struct ResolverText {
    std::vector<IpAddress> servers, loopback;
    std::vector<std::string> search, options;
};
[[nodiscard]] ResolverText parse_resolver(std::string_view text);

// Reads /etc/resolv.conf beneath `root` (empty: the host), and where only a stub on loopback is named there, the file of the program
// behind it.
[[nodiscard]] ResolverFact find_resolver(const std::string& root);

}  // namespace sandbox
