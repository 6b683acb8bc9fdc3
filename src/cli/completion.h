// Scripts with which shells complete the command line: verbs, options, values, names of sandboxes, profiles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace sandbox {

// What a word of the command line can be.
struct Takes {
    std::string kind = "nothing";  // sandboxes, profiles, either (of the two), copies, files, folders, keys, limits, signals, verbs, values
    std::string values;            // of the kind "values": "bash zsh fish"
};

struct OptionWords {
    std::vector<std::string> names;  // "-d", "--detach"
    std::string what, placeholder;   // without a placeholder it is a flag
    Takes takes;
    bool repeated = false;
};

struct PlaceWords {
    std::string placeholder;
    Takes takes;
    bool many = false;
};

struct VerbWords {
    std::string name, what;
    std::vector<OptionWords> options;
    std::vector<PlaceWords> places;
};

struct KeyWords {
    std::string path, what;  // "resources.memory.max="
};

// All that a script knows.
struct CommandWords {
    std::vector<VerbWords> verbs;
    std::vector<OptionWords> options;    // before a verb
    std::vector<KeyWords> keys, limits;  // of --set, and of --set of update
    std::vector<std::string> signals;
};

[[nodiscard]] CommandWords command_words(const CLI::App& app);

// For "bash", "zsh" or "fish"; empty for another shell.
[[nodiscard]] std::string completion_script(std::string_view shell, const CommandWords& words);

// One file each.
[[nodiscard]] std::string bash_completion(const CommandWords& words);
[[nodiscard]] std::string zsh_completion(const CommandWords& words);
[[nodiscard]] std::string fish_completion(const CommandWords& words);

// 'text', with what stands for a quote inside.
[[nodiscard]] std::string shell_quoted(std::string_view text, std::string_view quote_inside);

}  // namespace sandbox
