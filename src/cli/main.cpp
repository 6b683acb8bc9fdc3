// Wiring: words of the command line to verbs.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/text.h"
#include "cli/cli.h"

namespace {

using namespace sandbox;

struct Words {
    ProfileOptions profile;
    LaunchFlags launch;
    std::vector<std::string> profiles, set;
    std::string doctor_profile, help_verb;
    bool json = false, manual = false, quiet = false;
};

void add_profile(CLI::App& verb, Words& w, bool command) {
    verb.add_option("profile", w.profile.profile, "a file, a name on the search path, or - for standard input")
        ->required()
        ->type_name("PROFILE");
    verb.add_option("--name", w.profile.name, "call the sandbox NAME")->type_name("NAME");
    verb.add_option("--set", w.profile.set, "set a key or a variable: key.path=value")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false)
        ->take_all();
    if (command) verb.footer("What follows -- replaces the profile's command.");
}

void add_up(CLI::App& app, Words& w, int& code, const std::string& name) {
    const bool unique = name == "run";
    CLI::App* verb = app.add_subcommand(name, unique ? "as up, under a name of its own" : "start a sandbox and become its exit code");
    add_profile(*verb, w, true);
    verb->add_flag("--tty", w.launch.terminal, "give the command a terminal");
    verb->add_flag("--no-tty", w.launch.no_terminal, "give the command no terminal")->excludes("--tty");
    verb->add_option("--result", w.launch.result, "write how it ended to FILE, as JSON")->type_name("FILE");
    verb->add_flag("-q,--quiet", w.launch.quiet, "say nothing but errors");
    verb->add_flag("-v,--verbose", w.launch.verbose, "say each step as it happens");
    verb->callback([&w, &code, unique] {
        if (unique && w.profile.name.empty()) w.profile.name = cat("run-", getpid());
        code = verb_up(w.profile, w.launch);
    });
}

void add_look(CLI::App& app, Words& w, int& code) {
    CLI::App* validate = app.add_subcommand("validate", "show every mistake of profiles");
    validate->add_option("profile", w.profiles, "files, names, or -")->required()->type_name("PROFILE");
    validate->add_option("--set", w.set, "set a key or a variable")->type_name("KEY=VALUE")->allow_extra_args(false)->take_all();
    validate->add_flag("--json", w.json, "as JSON");
    validate->callback([&] { code = verb_validate(w.profiles, w.set, w.json); });

    CLI::App* plan = app.add_subcommand("plan", "show the steps of a launch, with their origin and undo");
    add_profile(*plan, w, true);
    plan->add_flag("--json", w.json, "as JSON");
    plan->callback([&] { code = verb_plan(w.profile, w.json); });

    CLI::App* config = app.add_subcommand("config", "print the complete effective profile");
    add_profile(*config, w, true);
    config->callback([&] { code = verb_config(w.profile); });

    CLI::App* schema = app.add_subcommand("schema", "print the JSON Schema of profiles");
    schema->add_flag("--man", w.manual, "print the reference of all keys as manual page text instead");
    schema->callback([&] { code = verb_schema(w.manual); });

    CLI::App* doctor = app.add_subcommand("doctor", "show what this host can do, and what to change");
    doctor->add_option("profile", w.doctor_profile, "what this profile would lack")->type_name("PROFILE");
    doctor->add_flag("--json", w.json, "the facts as JSON");
    doctor->callback([&] { code = verb_doctor(w.doctor_profile, w.json); });

    CLI::App* gc = app.add_subcommand("gc", "clean what killed launchers left");
    gc->add_flag("-q,--quiet", w.quiet, "say nothing but errors");
    gc->callback([&] { code = verb_gc(w.quiet); });

    app.add_subcommand("version", "print the version")->callback([] { write_out("sandbox " SANDBOX_VERSION "\n"); });
    CLI::App* help = app.add_subcommand("help", "help for a verb");
    help->add_option("verb", w.help_verb, "one of the verbs")->type_name("VERB");
    help->callback([&] {
        // app.help() would give the help of the verb that was parsed, which is this one.
        if (w.help_verb.empty()) return write_out(app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal));
        const auto found = app.get_subcommands([&w](const CLI::App* verb) { return verb->get_name() == w.help_verb; });
        if (found.empty()) throw CLI::ValidationError("help", cat("there is no verb ", quote(w.help_verb)));
        write_out(found.front()->help(app.get_name()));
    });
}

// Verbs of the command line's contract that this version does not have yet.
constexpr std::string_view later_verbs[] = {"create",  "start",  "profiles", "new",  "audit", "ps",     "ls",        "inspect", "top",
                                            "stats",   "events", "logs",     "exec", "stop",  "kill",   "pause",     "wait",    "resume",
                                            "restart", "down",   "update",   "cp",   "diff",  "matrix", "completion"};

// What is wrong with the verb itself; empty when nothing is.
std::string verb_mistake(const CLI::App& app, const std::string& verb) {
    if (verb.empty() || verb.starts_with('-')) return {};
    std::vector<std::string_view> names;
    std::vector<std::string> known;
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) known.push_back(sub->get_name());
    if (std::ranges::find(known, verb) != known.end()) return {};
    if (std::ranges::find(later_verbs, verb) != std::end(later_verbs)) return cat(quote(verb), " is not supported yet by this version");
    names.assign(known.begin(), known.end());
    const auto near = nearest(verb, names);
    return cat("there is no verb ", quote(verb), near ? cat("; did you mean ", quote(*near), "?") : std::string());
}

// Everything after the first "--" is the command's, untouched.
std::vector<std::string> take_command(std::vector<std::string>& words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] != "--") continue;
        std::vector<std::string> command(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
        words.resize(i);
        return command;
    }
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    Words w;
    int code = 0;
    w.profile.command = take_command(words);
    CLI::App app{"Runs programs in sandboxes that a YAML profile describes.", "sandbox"};
    app.require_subcommand(1);
    app.set_version_flag("--version", "sandbox " SANDBOX_VERSION);
    app.failure_message(CLI::FailureMessage::simple);
    // A launch pays for every option that is declared: only the verb that is asked for is, unless it is none of these.
    const std::string verb = words.empty() ? std::string() : words.front();
    const bool launch = verb == "up" || verb == "run";
    if (launch) add_up(app, w, code, verb);
    if (!launch) {
        for (const char* name : {"up", "run"}) add_up(app, w, code, name);
        add_look(app, w, code);
    }
    if (const std::string mistake = verb_mistake(app, verb); !mistake.empty()) {
        write_err(cat("sandbox: ", mistake, "\n  hint: sandbox help\n"));
        return exit_launcher;
    }
    std::reverse(words.begin(), words.end());
    try {
        app.parse(words);
    } catch (const CLI::Success& asked) {
        app.exit(asked);
        return 0;
    } catch (const CLI::ParseError& error) {
        write_err(cat("sandbox: ", error.what(), "\n  hint: sandbox help, or sandbox help VERB\n"));
        return exit_launcher;
    }
    return code;
}
