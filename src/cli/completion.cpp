// What a shell needs to know about the command line, taken from its declaration.
#include "cli/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/text.h"
#include "profile/load.h"
#include "profile/names.h"

namespace sandbox {
namespace {

// "tap|junit|json": the values themselves.
bool lists_values(std::string_view placeholder) {
    return placeholder.find('|') != placeholder.npos &&
           placeholder.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-|") == placeholder.npos;
}

Takes takes_of(const CLI::App& verb, const std::string& placeholder, bool positional) {
    if (lists_values(placeholder)) {
        std::string values = placeholder;
        std::ranges::replace(values, '|', ' ');
        return {"values", values};
    }
    if (placeholder == "PROFILE") return {"profiles", {}};
    if (placeholder == "NAME|PROFILE") return {"either", {}};
    if (placeholder == "NAME" && positional) return {"sandboxes", {}};  // --name NAME is a new one
    if (placeholder == "FROM" || placeholder == "TO") return {"copies", {}};
    if (placeholder == "FILE") return {"files", {}};
    if (placeholder == "KEY=VALUE") return {verb.get_name() == "update" ? "limits" : "keys", {}};
    if (placeholder == "SIGNAL") return {"signals", {}};
    if (placeholder == "VERB") return {"verbs", {}};
    return {};
}

OptionWords words_of(const CLI::App& verb, const CLI::Option& option) {
    OptionWords out;
    for (const std::string& name : option.get_snames()) out.names.push_back(cat("-", name));
    for (const std::string& name : option.get_lnames()) out.names.push_back(cat("--", name));
    out.what = lower(option.get_description().substr(0, 1)) + option.get_description().substr(1);
    if (option.get_items_expected_max() == 0) return out;
    out.placeholder = option.get_type_name();
    out.takes = takes_of(verb, out.placeholder, false);
    out.repeated = option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
    return out;
}

VerbWords words_of(const CLI::App& verb) {
    VerbWords out{verb.get_name(), verb.get_description(), {}, {}};
    for (const CLI::Option* option : verb.get_options()) {
        if (option->get_positional()) {
            const std::string placeholder = option->get_type_name();
            out.places.push_back({placeholder, takes_of(verb, placeholder, true), option->get_items_expected_max() > 1});
        } else {
            out.options.push_back(words_of(verb, *option));
        }
    }
    return out;
}

}  // namespace

CommandWords command_words(const CLI::App& app) {
    CommandWords out;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) out.verbs.push_back(words_of(*verb));
    for (const CLI::Option* option : app.get_options()) out.options.push_back(words_of(app, *option));
    for (const SettableKey& key : settable_keys()) {
        out.keys.push_back({key.path, std::string(key.doc)});
        if (key.path.starts_with("resources.") || key.path.starts_with("cgroup.raw.")) out.limits.push_back(out.keys.back());
    }
    for (const std::string_view name : signal_names()) out.signals.emplace_back(name);
    return out;
}

std::string completion_script(std::string_view shell, const CommandWords& words) {
    if (shell == "bash") return bash_completion(words);
    if (shell == "zsh") return zsh_completion(words);
    if (shell == "fish") return fish_completion(words);
    return {};
}

std::string shell_quoted(std::string_view text, std::string_view quote_inside) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'')
            out += quote_inside;
        else
            out += c;
    }
    return out + "'";
}

}  // namespace sandbox
