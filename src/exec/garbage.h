// What a launcher that was killed left.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "state/directory.h"

namespace sandbox {

// The folder of a new sandbox; what a killed one left under its name is taken back first.
[[nodiscard]] Result<SandboxState> create_state(StateRoot& root, const std::string& name);

// Whether the sandbox runs, or has stopped in good order and waits to be started again or removed.
[[nodiscard]] bool is_at_rest(StateRoot& root, const std::string& name);

// What a launcher that was killed left, taken back. Lines for the user: what was removed; problems.
struct Cleaned {
    std::vector<std::string> removed;
    std::vector<std::string> problems;
};
[[nodiscard]] Result<Cleaned> collect_garbage(StateRoot& root);

}  // namespace sandbox
