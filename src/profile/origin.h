// Where the values of an effective profile come from.
#pragma once

#include <string>
#include <string_view>
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

// Where a key such as "mounts[2].suid" was written; not known for a default. A short spelling is one place for all that it says.
[[nodiscard]] Position written_at(const Loaded& loaded, std::string_view key);

// "web.yaml:12", "--set", "default": what came from the command line has no lines.
[[nodiscard]] std::string describe_origin(const Sources& sources, Position at);

// profile_to_yaml with the origin of each value in a comment behind it.
[[nodiscard]] std::string profile_with_origins(const Loaded& loaded);

}  // namespace sandbox
