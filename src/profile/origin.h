// Where the values of an effective profile come from.
#pragma once

#include <string>
#include <vector>

#include "profile/load.h"

namespace sandbox {

// One value of the effective profile: "resources.memory.max", "mounts[/tmp].size". An item of a list is named by its target or path
// where it has one.
struct EffectiveValue {
    std::string key;
    std::string value;   // as YAML on one line
    std::string origin;  // "web.yaml:12", "--set", "default"
};

[[nodiscard]] std::vector<EffectiveValue> effective_values(const Loaded& loaded);

// profile_to_yaml with the origin of each value in a comment behind it.
[[nodiscard]] std::string profile_with_origins(const Loaded& loaded);

}  // namespace sandbox
