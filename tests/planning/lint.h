// What is true of every plan, whatever the profile and the host: for the unit tests and the fuzzer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plan/plan.h"

namespace sandbox {

// The rules that a plan breaks, a line each; empty for a plan that is well-formed.
[[nodiscard]] std::vector<std::string> lint(const Plan& plan, const Sources& sources);

// The same for the child's program: sizes, offsets and slots in range, every string ended, the ops in an order that
// the child can run.
[[nodiscard]] std::vector<std::string> lint_program(std::string_view bytes);

}  // namespace sandbox
