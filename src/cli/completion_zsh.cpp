// Completion for zsh: a function of the completion system, which can be on fpath as _sandbox or be sourced.
#include "base/text.h"
#include "cli/completion.h"

namespace sandbox {
namespace {

constexpr std::string_view helpers = R"zsh(
_sandbox_sandboxes() {
    local -a names=(${(f)"$(sandbox ps -q 2>/dev/null)"})
    _wanted sandboxes expl 'sandbox' compadd "$@" -a names
}

_sandbox_named_profiles() {
    local -a names=(${(f)"$(sandbox profiles -q 2>/dev/null)"})
    _wanted profiles expl 'profile' compadd "$@" -a names
}

_sandbox_profiles() { _alternative 'profiles:profile:_sandbox_named_profiles' 'files:profile:_files -g "*.y(a|)ml(-.)"' }

_sandbox_either() { _alternative 'sandboxes:sandbox:_sandbox_sandboxes' 'profiles:profile:_sandbox_profiles' }

_sandbox_copies() {
    [[ $PREFIX == *:* ]] && return 1
    _alternative 'sandboxes:sandbox:_sandbox_sandboxes -qS ":"' 'files:file:_files'
}

_sandbox_verbs() { _describe -t verbs verb sandbox_verbs }
_sandbox_keys() { _describe -t keys key sandbox_keys -S '' }
_sandbox_limits() { _describe -t keys limit sandbox_limits -S '' }
)zsh";

constexpr std::string_view completer_begins = R"zsh(
_sandbox() {
    local curcontext=$curcontext expl verb=$words[2] dashes
    local -a sandbox_verbs sandbox_keys sandbox_limits
    _sandbox_describe
    if ((CURRENT == 2)); then
        [[ $PREFIX == -* ]] || { _sandbox_verbs; return }
)zsh";

constexpr std::string_view completer_goes_on = R"zsh(        return
    fi
    # After "--": a command.
    dashes=${words[(i)--]}
    if ((dashes < CURRENT)); then
        shift $dashes words
        ((CURRENT -= dashes))
        _normal
        return
    fi
    shift words
    ((CURRENT--))
    curcontext=${curcontext%:*}-$verb:
    case $verb in
)zsh";

constexpr std::string_view completer_ends = R"zsh(    esac
}

if [[ $funcstack[1] == _sandbox ]]; then
    _sandbox "$@"
else
    compdef _sandbox sandbox
fi
)zsh";

std::string quoted(std::string_view text) { return shell_quoted(text, "'\\''"); }

// In a description or message of _arguments and _describe.
std::string escaped(std::string_view text, std::string_view special) {
    std::string out;
    for (const char c : text) {
        if (special.find(c) != special.npos) out += '\\';
        out += c;
    }
    return out;
}

std::string action(const Takes& takes, const CommandWords& words) {
    if (takes.kind == "nothing") return " ";
    if (takes.kind == "files") return "_files";
    if (takes.kind == "values") return cat("(", takes.values, ")");
    if (takes.kind == "signals") return cat("(", join(words.signals, " "), ")");
    return cat("_sandbox_", takes.kind);
}

// As _arguments wants it: with a value in the same word or the next.
std::string option_name(const OptionWords& option, const std::string& name) {
    return option.placeholder.empty() ? name : cat(name, name.starts_with("--") ? '=' : '+');
}

// One argument of _arguments: '(-d --detach)'{-d,--detach}'[in the background]', --result='[...]:FILE:_files'.
std::string option_argument(const OptionWords& option, const CommandWords& words) {
    std::string rest = cat("[", escaped(option.what, "[]\\:"), "]");
    if (!option.placeholder.empty()) rest += cat(":", escaped(option.placeholder, ":\\"), ":", action(option.takes, words));
    std::string names;
    for (const std::string& name : option.names) names += cat(names.empty() ? "" : ",", option_name(option, name));
    if (option.names.size() > 1) names = cat("{", names, "}");
    const std::string apart = option.repeated ? "*" : option.names.size() > 1 ? cat("(", join(option.names, " "), ")") : std::string();
    return cat(apart.empty() ? "" : quoted(apart), names, quoted(rest));
}

std::string arguments(const std::vector<OptionWords>& options, const std::vector<PlaceWords>& places, const CommandWords& words) {
    std::string out = "_arguments -s";
    for (const OptionWords& option : options) out += cat(" \\\n                ", option_argument(option, words));
    for (const PlaceWords& place : places)
        out += cat(" \\\n                ",
                   quoted(cat(place.many ? "*:" : ":", escaped(place.placeholder, ":\\"), ":", action(place.takes, words))));
    return out + "\n";
}

std::string described(std::string_view name, const std::vector<KeyWords>& keys) {
    std::string out = cat("    ", name, "=(\n");
    for (const KeyWords& key : keys) out += cat("        ", quoted(cat(escaped(key.path, ":\\"), ":", key.what)), "\n");
    return out + "    )\n";
}

}  // namespace

std::string zsh_completion(const CommandWords& words) {
    std::vector<KeyWords> verbs;
    for (const VerbWords& verb : words.verbs) verbs.push_back({verb.name, verb.what});
    std::string out = "#compdef sandbox\n# Completion of sandbox(1) for zsh, written by sandbox completion zsh\n\n_sandbox_describe() {\n";
    out += cat(described("sandbox_verbs", verbs), described("sandbox_keys", words.keys), described("sandbox_limits", words.limits), "}\n");
    out += cat(helpers, completer_begins, "        ", arguments(words.options, {}, words), completer_goes_on);
    for (const VerbWords& verb : words.verbs)
        out += cat("        ", verb.name, ")\n            ", arguments(verb.options, verb.places, words), "            ;;\n");
    return out + std::string(completer_ends);
}

}  // namespace sandbox
