// What has to be written to the groups of a running sandbox when its limits change.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "plan/limits.h"

namespace sandbox {

// The settings of `after` that `before` does not have in this form, and for what `after` no longer has, the value that stands for no
// limit. An error for what has none: it can only be left out at the next start.
[[nodiscard]] Result<std::vector<Setting>> limit_changes(const Limits& before, const Limits& after);

// What one setting of a file is about: its device, interface or adapter, for files that have a line for each. Empty for the others.
[[nodiscard]] std::string subject_of(const Setting& setting);
// The value that means no limit; nothing for a file of which that is not known.
[[nodiscard]] std::optional<std::string> no_limit_of(const Setting& setting);

}  // namespace sandbox
