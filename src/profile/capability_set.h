// What the capability keys of a profile add up to.
#pragma once

#include <cstdint>

#include "profile/profile.h"

namespace sandbox {

// The 15 of `base: default`, one bit for each number.
[[nodiscard]] std::uint64_t default_capabilities();
// base, with `drop` taken away and `add` put on top: what the payload may have. `all` is every capability that this
// program knows; the plan cuts it to what the kernel has.
[[nodiscard]] std::uint64_t capability_set(const Capabilities& capabilities);

}  // namespace sandbox
