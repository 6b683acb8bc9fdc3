// What a profile that came with somebody's source tree may not ask for (--untrusted).
#pragma once

#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "profile/profile.h"

namespace sandbox {

struct UntrustedContext {
    std::string directory;           // the profile's own folder: the one place of the host that it may show and write
    std::vector<std::string> homes;  // folders that belong to people, absolute: /home, /root, the caller's own
};

// E0150 for each key that reaches the host beyond the folder of the profile: hooks, the host's namespaces and network, privileges on
// top of the default, devices, fences taken down, files of people, the caller's environment. It is the effective profile that
// is looked at, so that a trusted parent cannot be used as a lever.
void check_untrusted(const Profile& profile, const UntrustedContext& context, Diagnostics& out);

}  // namespace sandbox
