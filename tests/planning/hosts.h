// Hosts that do not exist, for planning without a machine.
#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"

namespace sandbox {

// The hosts there are: files in tests/planning/hosts without their ".json".
[[nodiscard]] std::vector<std::string> host_names();

// The facts of one of them. What a profile needs to know and the file does not say is made up by a rule: a path of the
// host is a directory, or what its ending says (.txt .conf .json .sh: a file); below /proc and /run/netns it is a file, below /dev it is a
// character device; below /missing it is absent. In the sandbox's root the usual folders of a distribution are there. `folder` is where
// tests/planning/hosts is. passwd and group are there when they are asked for.
[[nodiscard]] HostFacts host_facts(const std::string& folder, const std::string& host, const FactNeeds& needs);

}  // namespace sandbox
