// Trees as text: YAML for people, JSON for programs.
#pragma once

#include <functional>
#include <string>

#include "profile/node.h"

namespace sandbox {

// A YAML document in block style. Dollars are doubled, so that no variable is put in when it is read back.
[[nodiscard]] std::string print_yaml(const Node& node);
// The same with a comment behind each value: what `comment` says of the node.
[[nodiscard]] std::string print_yaml(const Node& node, const std::function<std::string(const Node&)>& comment);
// One value on one line: a scalar, a list of scalars, an empty map.
[[nodiscard]] std::string print_yaml_line(const Node& node);
// JSON, indented by two; ends with a newline. Plain scalars are written as they are.
[[nodiscard]] std::string print_json(const Node& node);

}  // namespace sandbox
