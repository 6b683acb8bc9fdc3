// Completion for bash. It puts words that readline has cut at "=" and ":" together by itself, so that it works with the
// package bash-completion and without it.
#include "base/text.h"
#include "cli/completion.h"

namespace sandbox {
namespace {

constexpr std::string_view join_words = R"bash(
# words, cword and cur as they were typed: COMP_WORDS is cut at "=" and ":". tail: what is typed since the last cut.
_sandbox_read_line() {
    local rest=$COMP_LINE word i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == 0)) || [[ $rest == [[:blank:]]* ]]; then
            words+=("$word")
        else
            words[-1]+=$word
        fi
        rest=${rest#"${rest%%[![:blank:]]*}"}
        rest=${rest#"$word"}
    done
    cword=$((${#words[@]} - 1)) cur=${words[-1]} tail=$word
    [[ $tail == [=:] ]] && tail=
}
)bash";

constexpr std::string_view offers = R"bash(
# Those of the words after the first that begin with it.
_sandbox_offer() {
    local begin=$1 word
    shift
    for word; do [[ $word == "$begin"* ]] && COMPREPLY+=("$word"); done
}

_sandbox_offer_lines() {
    local -a lines
    mapfile -t lines
    _sandbox_offer "$1" "${lines[@]}"
}

_sandbox_offer_files() {
    compopt -o filenames 2>/dev/null
    _sandbox_offer_lines "$1" < <(compgen "${@:2}" -- "$1")
}

# What a word of the kind $1 can be that begins with $2.
_sandbox_offer_kind() {
    case $1 in
        sandboxes) _sandbox_offer_lines "$2" < <(sandbox ps -q 2>/dev/null) ;;
        profiles)
            _sandbox_offer_lines "$2" < <(sandbox profiles -q 2>/dev/null)
            _sandbox_offer_files "$2" -f -X '!*.yaml'
            _sandbox_offer_files "$2" -f -X '!*.yml'
            _sandbox_offer_files "$2" -d
            ;;
        either)
            _sandbox_offer_kind sandboxes "$2"
            _sandbox_offer_kind profiles "$2"
            ;;
        copies)
            [[ $2 == *:* ]] && return
            _sandbox_offer_files "$2" -f
            local files=${#COMPREPLY[@]}
            _sandbox_offer_lines "$2" < <(sandbox ps -q 2>/dev/null | sed 's/$/:/')
            ((${#COMPREPLY[@]} > files)) && compopt -o nospace 2>/dev/null
            ;;
        files) _sandbox_offer_files "$2" -f ;;
        keys | limits)
            compopt -o nospace 2>/dev/null
            if [[ $1 == keys ]]; then _sandbox_offer "$2" $_sandbox_keys; else _sandbox_offer "$2" $_sandbox_limits; fi
            ;;
        signals) _sandbox_offer "${2#SIG}" $_sandbox_signals ;;
        verbs) _sandbox_offer "$2" $_sandbox_verbs ;;
        nothing) ;;
        *) _sandbox_offer "$2" $1 ;;
    esac
}
)bash";

constexpr std::string_view completer = R"bash(
# After "--" at $1 of COMP_WORDS: a command.
_sandbox_complete_command() {
    if declare -F _command_offset >/dev/null; then
        _command_offset $(($1 + 1))
    elif ((COMP_CWORD == $1 + 1)); then
        _sandbox_offer_files "$cur" -c
        _sandbox_offer_files "$cur" -f
    else
        _sandbox_offer_files "$cur" -f
    fi
}

# The kind of word that is due, from what comes after the verb.
_sandbox_find_kind() {
    local i place=0
    for ((i = 2; i < cword; i++)); do
        case ${words[i]} in
            --*=*) ;;
            -?*)
                [[ ${values[${words[i]}]} ]] || continue
                ((++i == cword)) && kind=${values[${words[i - 1]}]}
                ;;
            *) ((++place)) ;;
        esac
    done
    if [[ $kind ]]; then
        return
    elif [[ $cur == --*=* ]]; then
        kind=${values[${cur%%=*}]-nothing} begin=${cur#*=}
    elif [[ $cur == -* ]]; then
        kind=$options
    else
        local -a kinds
        IFS=, read -ra kinds <<<"$places"
        [[ $many ]] && ((place >= ${#kinds[@]})) && place=$((${#kinds[@]} - 1))
        kind=${kinds[place]-nothing}
    fi
}

_sandbox() {
    local words cword cur tail i kind= begin options= places= many= IFS=$' \t\n'
    local -A values=()
    local -a fitting=()
    COMPREPLY=()
    _sandbox_read_line
    begin=$cur
    if ((cword == 1)); then
        _sandbox_offer "$cur" $_sandbox_verbs
        [[ $cur == -* ]] && _sandbox_offer "$cur" $_sandbox_options
        return 0
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] && { _sandbox_complete_command $i; return 0; }
    done
    _sandbox_describe "${words[1]}"
    _sandbox_find_kind
    _sandbox_offer_kind "$kind" "$begin"
    # Readline replaces only what comes after the last cut.
    local typed=${begin%"$tail"}
    for i in "${!COMPREPLY[@]}"; do
        [[ ${COMPREPLY[i]} != "$typed" ]] && fitting+=("${COMPREPLY[i]#"$typed"}")
    done
    COMPREPLY=("${fitting[@]}")
    return 0
}

complete -F _sandbox sandbox
)bash";

std::string kind_of(const Takes& takes) { return takes.kind == "values" ? takes.values : takes.kind; }

std::string option_names(const std::vector<OptionWords>& options) {
    std::string out;
    for (const OptionWords& option : options)
        for (const std::string& name : option.names) out += cat(out.empty() ? "" : " ", name);
    return out;
}

std::string describe_verb(const VerbWords& verb) {
    std::string values, places;
    bool many = false;
    for (const OptionWords& option : verb.options)
        for (const std::string& name : option.names)
            if (!option.placeholder.empty())
                values += cat(values.empty() ? "" : " ", "[", name, "]=", shell_quoted(kind_of(option.takes), ""));
    for (const PlaceWords& place : verb.places) {
        places += cat(places.empty() ? "" : ",", kind_of(place.takes));
        many = place.many;
    }
    std::string out = cat("        ", verb.name, ")\n            options='", option_names(verb.options), "'\n");
    if (!values.empty()) out += cat("            values=(", values, ")\n");
    if (!places.empty()) out += cat("            places='", places, "'\n");
    if (many) out += "            many=yes\n";
    return out + "            ;;\n";
}

template <class Items, class Text>
std::string list(std::string_view name, const Items& items, Text text) {
    std::string out = cat(name, "='");
    for (const auto& item : items) out += cat(out.back() == '\'' ? "" : " ", text(item));
    return out + "'\n";
}

}  // namespace

std::string bash_completion(const CommandWords& words) {
    const auto name = [](const VerbWords& verb) { return verb.name; };
    const auto path = [](const KeyWords& key) { return key.path; };
    const auto same = [](const std::string& text) { return text; };
    std::string out = "# Completion of sandbox(1) for bash, written by sandbox completion bash\n\n";
    out += list("_sandbox_verbs", words.verbs, name);
    out += cat("_sandbox_options='", option_names(words.options), "'\n");
    out += list("_sandbox_keys", words.keys, path) + list("_sandbox_limits", words.limits, path);
    out += list("_sandbox_signals", words.signals, same);
    out += "\n# What the verb $1 takes.\n_sandbox_describe() {\n    case $1 in\n";
    for (const VerbWords& verb : words.verbs) out += describe_verb(verb);
    return cat(out, "    esac\n}\n", join_words, offers, completer);
}

}  // namespace sandbox
