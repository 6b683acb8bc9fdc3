#include "cli/completion.h"

#include "base/text.h"

namespace sandbox {
namespace {

std::string names_of(const std::vector<VerbWords>& verbs) {
    std::string out;
    for (const VerbWords& verb : verbs) out += cat(out.empty() ? "" : " ", verb.name);
    return out;
}

// "stop|kill": the verbs that take such words.
std::string pattern_of(const std::vector<VerbWords>& verbs, VerbWords::Takes takes) {
    std::string out;
    for (const VerbWords& verb : verbs)
        if (verb.takes == takes) out += cat(out.empty() ? "" : "|", verb.name);
    return out;
}

// What follows "--" is a command, completed as commands are.
std::string bash_script(const std::vector<VerbWords>& verbs) {
    std::string out =
        cat("_sandbox() {\n"
            "    local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words= word\n"
            "    COMPREPLY=()\n"
            "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
            "        COMPREPLY=($(compgen -W \"",
            names_of(verbs),
            "\" -- \"$cur\"))\n"
            "        return\n"
            "    fi\n"
            "    for word in \"${COMP_WORDS[@]:2:COMP_CWORD-2}\"; do\n"
            "        [ \"$word\" = -- ] && { COMPREPLY=($(compgen -c -f -- \"$cur\")); return; }\n"
            "    done\n"
            "    case $cur in\n"
            "    -*)\n"
            "        case $verb in\n");
    for (const VerbWords& verb : verbs) out += cat("        ", verb.name, ") words=\"", join(verb.options, " "), "\" ;;\n");
    out +=
        cat("        esac\n"
            "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
            "        return\n"
            "        ;;\n"
            "    esac\n"
            "    case $verb in\n"
            "    ",
            pattern_of(verbs, VerbWords::Takes::sandboxes),
            ") COMPREPLY=($(compgen -W \"$(sandbox ps -q 2>/dev/null)\" -- \"$cur\")) ;;\n"
            "    ",
            pattern_of(verbs, VerbWords::Takes::profiles),
            ") COMPREPLY=($(compgen -d -- \"$cur\") $(compgen -f -X '!*.y?(a)ml' -- \"$cur\")) ;;\n"
            "    help) COMPREPLY=($(compgen -W \"",
            names_of(verbs),
            "\" -- \"$cur\")) ;;\n"
            "    esac\n"
            "}\n");
    return out;
}

std::string quoted_for_fish(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    return out + "'";
}

std::string fish_script(const std::vector<VerbWords>& verbs) {
    std::string out = "complete -c sandbox -f\n";
    for (const VerbWords& verb : verbs) {
        out += cat("complete -c sandbox -n __fish_use_subcommand -a ", verb.name, " -d ", quoted_for_fish(verb.what), "\n");
        const std::string seen = cat("complete -c sandbox -n '__fish_seen_subcommand_from ", verb.name, "'");
        for (const std::string& option : verb.options)
            if (option.starts_with("--")) out += cat(seen, " -l ", option.substr(2), "\n");
        if (verb.takes == VerbWords::Takes::sandboxes) out += cat(seen, " -a '(sandbox ps -q 2>/dev/null)'\n");
        if (verb.takes == VerbWords::Takes::profiles) out += cat(seen, " -F\n");
    }
    return out;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<VerbWords>& verbs) {
    const std::string registered = "complete -o filenames -F _sandbox sandbox\n";
    if (shell == "bash") return cat("shopt -s extglob\n", bash_script(verbs), registered);
    if (shell == "zsh")
        return cat("autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n", bash_script(verbs), registered);
    if (shell == "fish") return fish_script(verbs);
    return {};
}

}  // namespace sandbox
