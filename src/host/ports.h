// Ports of the host that a sandbox is to publish.
#pragma once

#include <optional>
#include <string>

#include "host/facts.h"

namespace sandbox {

// Takes the port as a launch would, and gives it back. Nothing: it can be had.
[[nodiscard]] std::optional<BusyPort> try_port(const WantedPort& wanted);

// Who listens on it (udp: is bound to it), or what listens on every address of its family, in the caller's network namespace:
// "nginx (process 4711)"; empty if that cannot be seen. Walks /proc: only where something is wrong already.
[[nodiscard]] std::string holder_of(const WantedPort& wanted);

}  // namespace sandbox
