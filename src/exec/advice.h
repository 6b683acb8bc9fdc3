// What to do about a step that the kernel refused inside the sandbox.
#pragma once

#include "base/error.h"
#include "plan/plan.h"

namespace sandbox {

// A hint for a sandbox-side step and an errno; empty when nothing better is known than the reason itself.
[[nodiscard]] std::string advice_for(const Step& step, int number);

// Exec failed: the command's position, its name, and where it was looked for. The error's number is the errno.
[[nodiscard]] tl::unexpected<Error> command_failure(const Plan& plan, int number);

}  // namespace sandbox
