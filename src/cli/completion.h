// Scripts with which shells complete the command line: verbs, options, names of sandboxes, profiles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sandbox {

struct VerbWords {
    std::string name, what;
    std::vector<std::string> options;  // "--name"
    enum class Takes { nothing, sandboxes, profiles } takes = Takes::nothing;
};

// For "bash", "zsh" or "fish"; empty for another shell.
[[nodiscard]] std::string completion_script(std::string_view shell, const std::vector<VerbWords>& verbs);

}  // namespace sandbox
