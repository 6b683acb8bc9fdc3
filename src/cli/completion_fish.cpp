// Completion for fish.
#include "base/text.h"
#include "cli/completion.h"

namespace sandbox {
namespace {

constexpr std::string_view helpers = R"fish(
function __sandbox_wants_verb
    test (count (commandline -opc)) = 1
end

# Whether the words are of this verb, and not yet of a command after "--".
function __sandbox_at --argument-names verb
    set -l words (commandline -opc)
    test "$words[2]" = "$verb"; and not contains -- -- $words[2..]
end

# Whether the word from number first to number last of the verb's own is due. The rest are its options that take a value.
function __sandbox_place --argument-names verb first last
    __sandbox_at $verb; or return
    set -l place 1
    set -l skip no
    for word in (commandline -opc)[3..]
        if test $skip = yes
            set skip no
        else if contains -- $word $argv[4..]
            set skip yes
        else if not string match -q -- '-?*' $word
            set place (math $place + 1)
        end
    end
    test $skip = no -a $place -ge $first -a $place -le $last
end

function __sandbox_wants_command
    set -l words (commandline -opc)
    contains -- -- $words[2..]
end

function __sandbox_command
    set -l words (commandline -opc) (commandline -ct)
    set -l dashes (contains -i -- -- $words)
    complete -C (string join ' ' -- (string escape -- $words[(math $dashes + 1)..-2]) $words[-1])
end

function __sandbox_sandboxes
    sandbox ps -q 2>/dev/null
end

function __sandbox_profiles
    sandbox profiles -q 2>/dev/null
    __fish_complete_path (commandline -ct) | string match -r '^[^\t]*(?:/|\.ya?ml)(?:\t.*)?$'
end

function __sandbox_either
    __sandbox_sandboxes
    __sandbox_profiles
end

function __sandbox_copies
    string match -q '*:*' -- (commandline -ct); and return
    string replace -r '$' ':' -- (__sandbox_sandboxes)
    __fish_complete_path (commandline -ct)
end
)fish";

std::string quoted(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') out += '\\';
        out += c;
    }
    return shell_quoted(out, "\\'");
}

// A function that prints words with their descriptions.
std::string printer(std::string_view name, const std::vector<KeyWords>& words) {
    std::string out = cat("function ", name, "\n    printf '%s\\t%s\\n'");
    for (const KeyWords& word : words) out += cat(" \\\n        ", quoted(word.path), " ", quoted(word.what));
    return out + "\nend\n";
}

std::string offers(const Takes& takes) {
    if (takes.kind == "nothing") return {};
    if (takes.kind == "files") return " -F";
    if (takes.kind == "values") return cat(" -a ", quoted(takes.values));
    return cat(" -a '(__sandbox_", takes.kind, ")'");
}

std::string option_line(std::string_view when, const OptionWords& option) {
    std::string out = cat("complete -c sandbox -n ", quoted(when));
    for (const std::string& name : option.names) out += name.starts_with("--") ? cat(" -l ", name.substr(2)) : cat(" -s ", name.substr(1));
    if (!option.placeholder.empty()) out += cat(option.takes.kind == "files" ? " -r" : " -x", offers(option.takes));
    return cat(out, " -d ", quoted(option.what), "\n");
}

std::string verb_lines(const VerbWords& verb) {
    std::string out, valued;
    for (const OptionWords& option : verb.options) {
        out += option_line(cat("__sandbox_at ", verb.name), option);
        if (!option.placeholder.empty()) valued += cat(" ", join(option.names, " "));
    }
    for (std::size_t i = 0; i < verb.places.size(); ++i) {
        const PlaceWords& place = verb.places[i];
        if (place.takes.kind == "nothing") continue;
        const std::string when = cat("__sandbox_place ", verb.name, " ", i + 1, " ", place.many ? 9999 : i + 1, valued);
        out += cat("complete -c sandbox -n ", quoted(when), offers(place.takes), "\n");
    }
    return out;
}

}  // namespace

std::string fish_completion(const CommandWords& words) {
    std::vector<KeyWords> verbs;
    for (const VerbWords& verb : words.verbs) verbs.push_back({verb.name, verb.what});
    std::string out = "# Completion of sandbox(1) for fish, written by sandbox completion fish\n\n";
    out += cat(printer("__sandbox_verbs", verbs), printer("__sandbox_keys", words.keys), printer("__sandbox_limits", words.limits));
    out += cat("function __sandbox_signals\n    string split ' ' ", quoted(join(words.signals, " ")), "\nend\n", helpers);
    out += "\ncomplete -c sandbox -f\ncomplete -c sandbox -n __sandbox_wants_verb -a '(__sandbox_verbs)'\n";
    out += "complete -c sandbox -n __sandbox_wants_command -a '(__sandbox_command)'\n";
    for (const OptionWords& option : words.options) out += option_line("__sandbox_wants_verb", option);
    for (const VerbWords& verb : words.verbs) out += verb_lines(verb);
    return out;
}

}  // namespace sandbox
