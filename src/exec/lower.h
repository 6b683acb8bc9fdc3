// The sandbox side of a plan as the flat program that the child interprets.
#pragma once

#include <string>

#include "base/error.h"
#include "host/facts.h"
#include "plan/plan.h"

namespace sandbox {

// What is in a file of the host that a profile names; an error if it is no regular file or larger than 16 MiB.
[[nodiscard]] Result<std::string> read_input(const std::string& path);

// The program's bytes, ready for a memfd. Reads what steps name on the host (contents of files, a seccomp profile) and
// compiles the filter: everything that could fail fails here, before the first effect. `sync_at` makes the child stop
// and ask before that step (tests); no_step: never.
constexpr std::size_t no_step = ~std::size_t(0);
[[nodiscard]] Result<std::string> lower_plan(const Plan& plan, const HostFacts& facts, std::size_t sync_at = no_step);

}  // namespace sandbox
