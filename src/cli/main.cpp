// Wiring: words of the command line to verbs.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <span>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/completion.h"
#include "cli/help.h"

namespace {

using namespace sandbox;

struct Words {
    ProfileOptions profile;
    LaunchFlags launch;
    std::vector<std::string> profiles, set;
    std::string doctor_profile, help_verb, shell, name, signal = "KILL";
    std::vector<std::string> names;
    LogFlags logs;
    bool all = false, no_stream = false;
    ExecFlags exec;
    AuditFlags audit;
    MatrixFlags matrix;
    std::string from, to;
    bool json = false, manual = false, no_host = false, quiet = false, origin = false;
    std::vector<std::string> parents;
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
    verb.add_flag("--untrusted", w.profile.untrusted, "refuse what reaches the host beyond the profile's own folder");
    if (command) verb.footer("What follows -- replaces the profile's command.");
}

void add_up(CLI::App& app, Words& w, int& code, const std::string& name) {
    const bool unique = name == "run";
    CLI::App* verb = app.add_subcommand(name, unique ? "as up, under a name of its own" : "start a sandbox and become its exit code");
    add_profile(*verb, w, true);
    verb->add_flag("--tty", w.launch.terminal, "give the command a terminal");
    verb->add_flag("--no-tty", w.launch.no_terminal, "give the command no terminal")->excludes("--tty");
    if (!unique) verb->add_flag("-d,--detach", w.launch.detach, "leave it running in the background, and print its name");
    verb->add_option("--result", w.launch.result, "write how it ended to FILE, as JSON")->type_name("FILE");
    verb->add_flag("-q,--quiet", w.launch.quiet, "say nothing but errors");
    verb->add_flag("-v,--verbose", w.launch.verbose, "say each step as it happens")->excludes("--quiet");
    verb->callback([&w, &code, unique] {
        if (unique && w.profile.name.empty()) w.profile.name = cat("run-", getpid());
        code = verb_up(w.profile, w.launch);
    });
}

void add_look(CLI::App& app, Words& w, int& code) {
    CLI::App* validate = app.add_subcommand("validate", "show every mistake of profiles");
    validate->add_option("profile", w.profiles, "files, names, or -")->required()->type_name("PROFILE");
    validate->add_flag("--untrusted", w.profile.untrusted, "refuse what reaches the host beyond the profile's own folder");
    validate->add_option("--set", w.profile.set, "set a key or a variable")->type_name("KEY=VALUE")->allow_extra_args(false)->take_all();
    validate->add_flag("--json", w.json, "as JSON");
    validate->add_flag("--no-host", w.no_host, "only mistakes that are the same on every host");
    validate->callback([&] { code = verb_validate(w.profiles, w.profile, !w.no_host, w.json); });

    CLI::App* plan = app.add_subcommand("plan", "show the steps of a launch, with their origin and undo");
    add_profile(*plan, w, true);
    plan->add_flag("--json", w.json, "as JSON");
    plan->callback([&] { code = verb_plan(w.profile, w.json); });

    CLI::App* config = app.add_subcommand("config", "print the complete effective profile");
    add_profile(*config, w, true);
    config->add_flag("--origin", w.origin, "with the file and line of each value");
    config->add_flag("--json", w.json, "a list of keys with their values and origins, as JSON");
    config->callback([&] { code = verb_config(w.profile, w.origin, w.json); });

    CLI::App* schema = app.add_subcommand("schema", "print the JSON Schema of profiles");
    schema->add_flag("--man", w.manual, "print the reference of all keys as manual page text instead");
    schema->callback([&] { code = verb_schema(w.manual); });

    CLI::App* doctor = app.add_subcommand("doctor", "show what this host can do, and what to change");
    doctor->add_option("profile", w.doctor_profile, "what this profile would lack")->type_name("PROFILE");
    doctor->add_flag("--json", w.json, "the facts as JSON");
    doctor->callback([&] { code = verb_doctor(w.doctor_profile, w.json); });

    CLI::App* gc = app.add_subcommand("gc", "clean what killed launchers left");
    gc->add_flag("-q,--quiet", w.quiet, "say nothing but errors");
    gc->add_flag("--json", w.json, "as JSON");
    gc->callback([&] { code = verb_gc(w.quiet, w.json); });

    app.add_subcommand("version", "print the version")->callback([] { write_out("sandbox " SANDBOX_VERSION "\n"); });
    CLI::App* help = app.add_subcommand("help", "help for a verb");
    help->add_option("verb", w.help_verb, "one of the verbs")->type_name("VERB");
    help->callback([&] {
        // app.help() would give the help of the verb that was parsed, which is this one.
        if (w.help_verb.empty()) return write_out(app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal));
        const auto found = app.get_subcommands([&w](const CLI::App* verb) { return verb->get_name() == w.help_verb; });
        write_out(found.front()->help(app.get_name()));
    });
}

void add_installed(CLI::App& app, Words& w, int& code) {
    CLI::App* profiles = app.add_subcommand("profiles", "list the profiles on the search path");
    profiles->add_flag("--json", w.json, "as JSON");
    profiles->add_flag("-q,--quiet", w.quiet, "names that up takes only");
    profiles->callback([&] { code = verb_profiles(w.json, w.quiet); });

    CLI::App* fresh = app.add_subcommand("new", "write a commented profile to start from, and print its path");
    fresh->add_option("profile", w.profile.profile, "a name, the path of a file, or - for standard output")
        ->required()
        ->type_name("NAME|PATH");
    fresh->add_option("--extends", w.parents, "build on PROFILE")->type_name("PROFILE")->allow_extra_args(false)->take_all();
    fresh->footer("What follows -- becomes the profile's command.");
    fresh->callback([&] { code = verb_new(w.profile.profile, w.parents, w.profile.command); });

    CLI::App* audit = app.add_subcommand("audit", "score what a profile or a sandbox opens, line by line");
    audit->add_option("profile", w.profile.profile, "a sandbox, or a profile: a file, a name on the search path, or -")
        ->required()
        ->type_name("NAME|PROFILE");
    audit->add_option("--set", w.profile.set, "set a key or a variable")->type_name("KEY=VALUE")->allow_extra_args(false)->take_all();
    audit->add_option("--threshold", w.audit.threshold, "exit with 1 when the exposure is above N, 0.0 to 10.0")->type_name("N");
    audit->add_flag("-a,--all", w.audit.all, "what is closed as well");
    audit->add_flag("--json", w.audit.json, "all of it, as JSON");
    audit->callback([&] { code = verb_audit(w.profile, w.audit); });

    CLI::App* diff = app.add_subcommand("diff-profiles", "show in which values two effective profiles differ");
    diff->add_option("a", w.from, "a profile")->required()->type_name("PROFILE");
    diff->add_option("b", w.to, "another")->required()->type_name("PROFILE");
    diff->add_option("--set", w.set, "set a key or a variable in both")->type_name("KEY=VALUE")->allow_extra_args(false)->take_all();
    diff->callback([&] { code = verb_diff_profiles(w.from, w.to, w.set); });
}

void add_matrix(CLI::App& app, Words& w, int& code) {
    CLI::App* matrix = app.add_subcommand("matrix", "run the cells of a profile's matrix, and report on them");
    add_profile(*matrix, w, true);
    MatrixFlags& m = w.matrix;
    const auto words = [&](const char* name, std::vector<std::string>& to, const char* what, const char* type) {
        matrix->add_option(name, to, what)->type_name(type)->allow_extra_args(false)->take_all();
    };
    words("--only", m.only, "only cells with this value of the axis; of several values one is enough", "AXIS=VALUE");
    words("--skip", m.skip, "no cells with this value of the axis", "AXIS=VALUE");
    words("--cell", m.cells, "only this cell, by its name", "NAME");
    matrix->add_option("--shard", m.shard, "the I-th of N parts of the cells")->type_name("I/N");
    matrix->add_flag("--list", m.list, "print the cells and their effective profiles; run nothing");
    matrix->add_flag("--plan", m.plan, "print the plan of each cell; run nothing")->excludes("--list");
    matrix->add_option("-j,--jobs", m.jobs, "run so many cells at a time; default: one for each processor")->type_name("N");
    matrix->add_flag("--fit", m.fit, "and not more than this machine has memory for, by their limits");
    matrix->add_flag("--fail-fast", m.fail_fast, "end all with the first that does not pass");
    matrix->add_option("--retry", m.retry, "try a cell that does not pass up to N times more; then it is flaky, not passed")
        ->type_name("N");
    matrix->add_option("--repeat", m.repeat, "run each cell N times")->type_name("N");
    matrix->add_flag("--shuffle", m.shuffle, "in an order of chance, and say its seed");
    matrix->add_option("--seed", m.seed, "in the order of this seed")->type_name("SEED");
    matrix->add_flag("--resume", m.resume, "only what has not passed the last time");
    matrix->add_option("--output", m.output, "keep logs and results in DIR")->type_name("DIR");
    words("--report", m.reports, "tap, junit, json, md or html; to standard output, or to FILE", "FORMAT[=FILE]");
    matrix->add_option("--engine", m.engine, "where cells run: local, the default, or slurm")->type_name("ENGINE");
    words("--slurm-option", m.slurm, "a further word for sbatch", "WORD");
    matrix->add_flag("-q,--quiet", m.quiet, "say nothing but what did not pass; with --list only names");
    matrix->callback([&] { code = verb_matrix(w.profile, m); });
}

void add_names(CLI::App& verb, Words& w, bool required) {
    CLI::Option* names = verb.add_option("name", w.names, "names of sandboxes")->type_name("NAME");
    if (required) names->required();
}

void add_manage(CLI::App& app, Words& w, int& code) {
    CLI::App* create = app.add_subcommand("create", "make a sandbox and leave its command to be started");
    add_profile(*create, w, true);
    create->add_flag("-q,--quiet", w.launch.quiet, "say nothing but errors");
    create->callback([&] {
        w.launch.detach = w.launch.hold = true;
        code = verb_up(w.profile, w.launch);
    });
    const auto steer = [&app, &w, &code](const char* name, const char* what, int (*verb)(const std::vector<std::string>&)) {
        CLI::App* sub = app.add_subcommand(name, what);
        add_names(*sub, w, true);
        sub->callback([&w, &code, verb] { code = verb(w.names); });
    };
    steer("start", "start what was created, or what has stopped", verb_start);
    steer("stop", "ask to end, then kill after the profile's grace", verb_stop);
    steer("restart", "stop, then start", verb_restart);
    steer("pause", "let nothing of it run", verb_pause);
    steer("resume", "let it go on", verb_resume);
    CLI::App* wait = app.add_subcommand("wait", "wait for its end; print and return its exit code");
    add_names(*wait, w, true);
    wait->add_flag("--json", w.json, "as JSON, with the reason");
    wait->callback([&] { code = verb_wait(w.names, w.json); });
    CLI::App* kill = app.add_subcommand("kill", "send a signal to the command");
    add_names(*kill, w, true);
    kill->add_option("-s,--signal", w.signal, "a name or number, default KILL")->type_name("SIGNAL");
    kill->add_flag("--all", w.all, "to every process");
    kill->callback([&] { code = verb_kill(w.names, w.signal, w.all); });
    CLI::App* down = app.add_subcommand("down", "stop and remove");
    add_names(*down, w, false);
    down->add_flag("--all", w.all, "every sandbox of the caller");
    down->callback([&] { code = verb_down(w.names, w.all); });
    for (const char* name : {"ps", "ls"}) {
        CLI::App* ps = app.add_subcommand(name, "list sandboxes");
        ps->add_flag("--json", w.json, "as JSON");
        ps->add_flag("-q,--quiet", w.quiet, "names only");
        ps->callback([&] { code = verb_ps(w.json, w.quiet); });
    }
    CLI::App* logs = app.add_subcommand("logs", "show what a detached sandbox has written");
    logs->add_option("name", w.name, "its name")->type_name("NAME")->required();
    logs->add_flag("-f,--follow", w.logs.follow, "and what it writes from now on");
    logs->add_flag("-t,--timestamps", w.logs.times, "with the time of each line");
    logs->add_flag("--json", w.logs.json, "one JSON object a line: time, stream, text");
    logs->add_option("--since", w.logs.since, "from a time on (2026-11-25T08:30:00), or so long ago (10m)")->type_name("TIME");
    logs->add_option("--tail", w.logs.tail, "only the last N lines")->type_name("N");
    logs->callback([&] { code = verb_logs(w.name, w.logs); });
    CLI::App* events = app.add_subcommand("events", "show what happens to sandboxes, as it happens");
    add_names(*events, w, false);
    events->add_flag("--json", w.json, "one JSON object a line");
    events->callback([&] { code = verb_events(w.names, w.json); });
}

void add_measure(CLI::App& app, Words& w, int& code) {
    CLI::App* inspect = app.add_subcommand("inspect", "show everything about a sandbox, as JSON");
    inspect->add_option("name", w.name, "its name")->type_name("NAME")->required();
    inspect->add_flag("--json", w.json, "as JSON, which it is always");
    inspect->callback([&] { code = verb_inspect(w.name); });
    CLI::App* stats = app.add_subcommand("stats", "show what sandboxes use, each second");
    add_names(*stats, w, false);
    stats->add_flag("--no-stream", w.no_stream, "once");
    stats->add_flag("--json", w.json, "every counter, as JSON");
    stats->callback([&] { code = verb_stats(w.names, !w.no_stream, w.json); });
    CLI::App* top = app.add_subcommand("top", "list the processes of a sandbox");
    top->add_option("name", w.name, "its name")->type_name("NAME")->required();
    top->add_flag("--json", w.json, "as JSON");
    top->callback([&] { code = verb_top(w.name, w.json); });
    CLI::App* update = app.add_subcommand("update", "change the limits of a running sandbox");
    update->add_option("name", w.name, "its name")->type_name("NAME")->required();
    update->add_option("--set", w.set, "set a limit: resources.memory.max=1Gi")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false)
        ->take_all();
    update->callback([&] { code = verb_update(w.name, w.set); });
}

void add_enter(CLI::App& app, Words& w, int& code) {
    CLI::App* exec = app.add_subcommand("exec", "run a command inside a living sandbox");
    exec->add_option("name", w.name, "its name")->type_name("NAME")->required();
    exec->add_option("-u,--user", w.exec.user, "as another user: a name or id, with :GROUP if need be")->type_name("USER");
    exec->add_option("-e,--env", w.exec.environment, "set a variable: NAME=VALUE; NAME alone passes the caller's value on")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false)
        ->take_all();
    exec->add_option("-w,--workdir", w.exec.working_dir, "in another directory")->type_name("DIR");
    exec->add_flag("--tty", w.exec.terminal, "give the command a terminal");
    exec->add_flag("--no-tty", w.exec.no_terminal, "give the command no terminal")->excludes("--tty");
    exec->footer("What follows -- is the command.");
    exec->callback([&w, &code] {
        w.exec.command = w.profile.command;
        code = verb_exec(w.name, w.exec);
    });
    CLI::App* cp = app.add_subcommand("cp", "copy files into a living sandbox, or out of it");
    cp->add_option("from", w.from, "NAME:PATH of a sandbox, or a path of the host")->type_name("FROM")->required();
    cp->add_option("to", w.to, "the same; one of the two is of a sandbox")->type_name("TO")->required();
    cp->callback([&w, &code] { code = verb_cp(w.from, w.to); });
    CLI::App* diff = app.add_subcommand("diff", "show what a sandbox has changed in its overlay");
    diff->add_option("name", w.name, "its name")->type_name("NAME")->required();
    diff->add_flag("--json", w.json, "as JSON");
    diff->callback([&w, &code] { code = verb_diff(w.name, w.json); });
}

void add_completion(CLI::App& app, Words& w, int& code) {
    CLI::App* completion = app.add_subcommand("completion", "print a script with which a shell completes verbs, options and names");
    completion->add_option("shell", w.shell, "the shell")->type_name("bash|zsh|fish")->required();
    completion->callback([&] {
        const std::string script = completion_script(w.shell, command_words(app));
        if (!script.empty()) return write_out(script);
        write_err(cat("sandbox: error: there is no completion for ", quote(printable(w.shell)), "\n  hint: bash, zsh or fish\n"));
        code = exit_launcher;
    });
}

bool takes_command(std::string_view verb) {
    return verb == "up" || verb == "run" || verb == "plan" || verb == "config" || verb == "create" || verb == "exec" || verb == "new" ||
           verb == "matrix";
}

// What is wrong with the command line, and what to do about it.
struct Mistake {
    std::string text, hint;
};

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known, std::string_view otherwise) {
    const auto near = nearest(word, std::vector<std::string_view>(known.begin(), known.end()));
    return near ? cat("did you mean ", quote(*near), "?") : std::string(otherwise);
}

std::optional<Mistake> verb_mistake(const CLI::App& app, const std::string& verb) {
    std::vector<std::string> known;
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) known.push_back(sub->get_name());
    if (std::ranges::find(known, verb) != known.end()) return {};
    return Mistake{cat("there is no verb ", quote(printable(verb))), did_you_mean(verb, known, "sandbox help lists the verbs")};
}

Mistake unknown_option(const CLI::App& verb, const std::string& option) {
    std::vector<std::string> known;
    for (const CLI::Option* each : verb.get_options())
        for (const std::string& name : each->get_lnames()) known.push_back(cat("--", name));
    const std::string of = verb.get_parent() ? cat(" of ", verb.get_name()) : std::string();
    const std::string help =
        verb.get_parent() ? cat("sandbox help ", verb.get_name(), " lists them") : std::string("sandbox help lists them");
    return {cat("there is no option ", quote(printable(option)), of), did_you_mean(option, known, help)};
}

// Whether the word is one of flags in one letter each, "-qv".
bool is_row_of_flags(const CLI::App& verb, const std::string& word) {
    if (word.size() < 3 || word[1] == '-') return false;
    return std::all_of(word.begin() + 1, word.end(), [&verb](char letter) {
        const CLI::Option* flag = verb.get_option_no_throw(std::string{'-', letter});
        return flag && flag->get_items_expected_max() == 0;
    });
}

// Looks at the words after a verb before the library does: it knows neither what is meant nor what comes later.
std::optional<Mistake> word_mistake(const CLI::App& verb, std::span<const std::string> words) {
    long room = 0;
    for (const CLI::Option* each : verb.get_options())
        if (each->get_positional()) room += each->get_items_expected_max();
    const std::string help = cat("sandbox help ", verb.get_name());
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word.size() < 2 || word[0] != '-') {
            if (--room < 0)
                return Mistake{cat(quote(printable(word)), " is one word too many for ", verb.get_name()),
                               takes_command(verb.get_name()) ? "the words of a command come after --" : help};
            continue;
        }
        const auto equals = word.starts_with("--") ? word.find('=') : std::string::npos;
        const std::string name = word.substr(0, equals);
        const CLI::Option* option = verb.get_option_no_throw(name);
        if (!option) {
            if (is_row_of_flags(verb, word)) continue;
            return unknown_option(verb, name);
        }
        const bool flag = option->get_items_expected_max() == 0;
        if (flag && equals != std::string::npos) return Mistake{cat(quote(name), " takes no value"), help};
        const bool empty = equals != std::string::npos && equals + 1 == word.size();
        if (!flag && (empty || (equals == std::string::npos && ++i == words.size())))
            return Mistake{cat(quote(name), " needs a value: ", option->get_type_name()), help};
    }
    return {};
}

std::optional<Mistake> find_mistake(const CLI::App& app, const std::vector<std::string>& words, bool command) {
    if (words.empty()) return Mistake{"a verb is missing", "sandbox help lists the verbs; sandbox up PROFILE starts a sandbox"};
    const std::string& verb = words.front();
    if (verb.starts_with('-')) return app.get_option_no_throw(verb) ? std::nullopt : std::optional(unknown_option(app, verb));
    if (auto mistake = verb_mistake(app, verb)) return mistake;
    if (verb == "help" && words.size() > 1 && !words[1].starts_with('-'))
        if (auto mistake = verb_mistake(app, words[1])) return mistake;
    if (command && !takes_command(verb)) return Mistake{cat(verb, " takes no command after --"), cat("sandbox help ", verb)};
    return word_mistake(*app.get_subcommand(verb), std::span(words).subspan(1));
}

int refuse(const Mistake& mistake) {
    write_err(cat("sandbox: error: ", mistake.text, "\n  hint: ", mistake.hint, "\n"));
    return exit_launcher;
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
    w.launch.notify = take_notify_address();
    int code = 0;
    const bool command = std::ranges::find(words, "--") != words.end();
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
        add_installed(app, w, code);
        add_manage(app, w, code);
        add_matrix(app, w, code);
        add_completion(app, w, code);
        add_measure(app, w, code);
        add_enter(app, w, code);
    }
    add_help_texts(app);
    if (const auto mistake = find_mistake(app, words, command)) return refuse(*mistake);
    std::reverse(words.begin(), words.end());
    try {
        app.parse(words);
    } catch (const CLI::Success& asked) {
        app.exit(asked);
        return 0;
    } catch (const CLI::RequiredError&) {
        if (verb == "audit")
            return refuse({"audit needs a NAME or a PROFILE", "a sandbox, a file, a name on the search path, or - for standard input"});
        if (verb == "new") return refuse({"new needs a NAME", "of the profile to write: a name, ./FILE.yaml, or - for standard output"});
        for (const CLI::Option* each : app.get_subcommand(verb)->get_options())
            if (each->get_required() && each->get_type_name() != "PROFILE")
                return refuse({cat(verb, verb == "cp" ? " needs FROM and TO" : " needs a NAME"),
                               verb == "cp" ? "one of them is NAME:PATH" : "sandbox ps lists them"});
        return refuse({cat(verb, " needs a PROFILE"), "a file, a name on the search path, or - for standard input"});
    } catch (const CLI::ParseError& error) {
        return refuse({lower(error.what()), cat("sandbox help ", verb)});
    }
    return code;
}
