// Defaults that depend on other values.
#pragma once

#include "profile/profile.h"

namespace sandbox {

// The host name from the name, the work directory from the upper one, a namespace that another key implies.
void complete_profile(Profile& profile);

}  // namespace sandbox
