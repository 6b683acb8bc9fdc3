// sandbox up, run

#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cli.h"
#include "exec/garbage.h"
#include "exec/launch.h"
#include "state/status.h"

namespace sandbox {
namespace {

// Beside the file and then in its place: a reader never sees half of it, and a link at the name is replaced, not followed.
Status write_result(const std::string& path, const Outcome& o) {
    const std::string text = outcome_to_json(o), beside = cat(path, ".", getpid(), ".new");
    const Fd file(open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file) return fail_errno(cat("--result ", quote(path)), errno);
    if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || rename(beside.c_str(), path.c_str()) != 0) {
        const int error = errno;
        unlink(beside.c_str());
        return fail_errno(cat("--result ", quote(path)), error);
    }
    return {};
}

int finish(const Outcome& outcome, const LaunchFlags& flags) {
    std::string out;
    if (!flags.quiet)
        for (const std::string& line : outcome.skipped) out += cat("sandbox: left out: ", printable(line), "\n");
    for (const std::string& problem : outcome.problems) out += cat("sandbox: while cleaning up: ", printable(problem), "\n");
    write_err(out);
    return outcome.exit_code;
}

// The launcher failed; what there is to say has been said.
Outcome failed(int code = exit_launcher) {
    Outcome outcome;
    outcome.exit_code = code;
    return outcome;
}

// Where log files go: file-hierarchy(7) for root, XDG_STATE_HOME for a user.
std::string log_folder() {
    if (geteuid() == 0) return "/var/log/sandbox";
    const char *state = std::getenv("XDG_STATE_HOME"), *home = std::getenv("HOME");
    if (state && *state == '/') return cat(state, "/sandbox/log");
    return cat(home && *home == '/' ? home : "/tmp", "/.local/state/sandbox/log");
}

// What the caller's environment decides is decided now: the next start may have another caller.
void settle_environment(Profile& profile, const CallerContext& caller) {
    Environment settled;
    const auto add = [&settled](const std::string& name, const Text& value) {
        std::erase_if(settled.entries, [&name](const EnvironmentEntry& e) { return e.name == name; });
        settled.entries.push_back({name, value});
    };
    for (const std::string& entry : caller.environment) {
        const auto equals = entry.find('=');
        if (equals == std::string::npos) continue;
        const std::string name = entry.substr(0, equals);
        for (const Text& glob : profile.process.environment.inherit)
            if (fnmatch(glob->c_str(), name.c_str(), 0) == 0) add(name, entry.substr(equals + 1));
        for (const EnvironmentEntry& wanted : profile.process.environment.entries)
            if (!wanted.value && wanted.name == name) add(name, entry.substr(equals + 1));
    }
    for (const EnvironmentEntry& entry : profile.process.environment.entries)
        if (entry.value) add(entry.name, *entry.value);
    profile.process.environment = std::move(settled);
}

struct Prepared {
    Loaded loaded;
    HostFacts facts;
    Plan plan;
    CallerContext caller;
};

// Looks at the host and plans; what there is to say has been said.
std::optional<Prepared> prepare_loaded(Loaded loaded, const LaunchFlags& flags) {
    Profile& profile = loaded.profile;
    Result<HostFacts> facts;
    if (loaded.decoded) facts = examine(loaded);
    if (!flags.quiet || has_errors(loaded.diagnostics)) print(loaded.diagnostics, loaded.sources);
    if (!facts) return print(facts.error(), loaded.sources), std::nullopt;
    if (has_errors(loaded.diagnostics)) return std::nullopt;

    CallerContext caller = caller_context();
    if (flags.detach) {
        caller.detached = true;
        caller.hold = flags.hold;
        caller.log_folder = log_folder();
        for (bool& terminal : caller.terminal) terminal = false;
        settle_environment(profile, caller);
    }
    Plan plan = make_plan(profile, *facts, caller);
    return Prepared{std::move(loaded), std::move(*facts), std::move(plan), std::move(caller)};
}

// Everything before the first effect; what there is to say has been said.
std::optional<Prepared> prepare(const ProfileOptions& options, const LaunchFlags& flags) {
    auto loaded = load(options);
    if (!loaded) return print(loaded.error()), std::nullopt;
    if (flags.terminal) loaded->profile.process.tty = Switch::on;
    if (flags.no_terminal) loaded->profile.process.tty = Switch::off;
    // First of all: what a dead launcher left could look like part of the host.
    if (!has_errors(loaded->diagnostics)) clean_leftovers(flags.quiet);
    return prepare_loaded(std::move(*loaded), flags);
}

Outcome carry_out(Prepared& prepared, const std::string& profile, const LaunchFlags& flags, std::optional<SandboxState>* state,
                  int announce) {
    auto root = open_state(true);
    if (!root) return print(root.error(), prepared.loaded.sources), failed();
    Notify notify(flags.detach ? NotifyAddress() : flags.notify);
    if (auto told = notify.begin(); !told && !flags.quiet)
        write_err(cat("sandbox: NOTIFY_SOCKET ", quote(flags.notify.socket), ": ", told.error().message,
                      ": the service manager hears nothing of the sandbox\n"));
    LaunchOptions how;
    how.verbose = flags.verbose;
    how.profile = profile;
    how.effective = [&prepared] {
        Profile settled = prepared.loaded.profile;
        settle_environment(settled, prepared.caller);
        return profile_to_yaml(settled);
    };
    how.state = state;
    how.announce = announce;
    how.notify = &notify;
    auto outcome = run_sandbox(prepared.plan, prepared.facts, *root, how);
    if (outcome) {
        outcome->skipped.insert(outcome->skipped.begin(), prepared.plan.left_out.begin(), prepared.plan.left_out.end());
        return std::move(*outcome);
    }
    print(outcome.error(), prepared.loaded.sources);
    static_cast<void>(root->remove_if_unused());
    return failed(exit_code_of(outcome.error()));
}

// Passes the wish to end on to the one that is launching.
int wait_for_launch(const Fd& announced, pid_t supervisor) {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&ends, signal);
    const Fd signals(signalfd(-1, &ends, SFD_CLOEXEC));
    while (true) {
        pollfd polls[2] = {{announced.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
        if (poll(polls, 2, -1) < 0) continue;
        if (polls[1].revents) {
            signalfd_siginfo information{};
            static_cast<void>(!read(signals.get(), &information, sizeof information));
            kill(supervisor, SIGTERM);
        }
        if (!polls[0].revents) continue;
        char word[16];
        if (read(announced.get(), word, sizeof word) > 0) return 0;
        int status = 0;
        while (waitpid(supervisor, &status, 0) < 0 && errno == EINTR) {
        }
        return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : exit_launcher;
    }
}

// The supervisor is a process of its own in a session of its own; the caller waits until the command runs, and hears its errors.
int launch_detached(Prepared& prepared, const std::string& profile, const LaunchFlags& flags, std::optional<SandboxState>* state) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return print(Error{cat("pipe: ", errno_text(errno)), {}, errno, {}, {}}), exit_launcher;
    Fd announced(ends[0]), announce(ends[1]);
    sigset_t caught, before;
    sigemptyset(&caught);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&caught, signal);
    sigprocmask(SIG_BLOCK, &caught, &before);
    const pid_t supervisor = fork();
    if (supervisor < 0) return print(Error{cat("fork: ", errno_text(errno)), {}, errno, {}, {}}), exit_launcher;
    if (supervisor == 0) {
        announced.reset();
        setsid();
        const Outcome outcome = carry_out(prepared, profile, flags, state, announce.release());
        if (!flags.result.empty()) static_cast<void>(write_result(flags.result, outcome).has_value());
        _exit(outcome.exit_code == 0 ? 0 : outcome.exit_code);
    }
    announce.reset();
    if (state) state->reset();
    const int code = wait_for_launch(announced, supervisor);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    if (code == 0 && !flags.quiet) write_out(prepared.plan.name + "\n");
    return code;
}

}  // namespace

int exit_code_of(const Error& error) {
    if (!error.message.starts_with("process.command:")) return exit_launcher;
    return error.number == ENOENT || error.number == ENOTDIR ? exit_not_found : exit_not_executable;
}

void clean_leftovers(bool quiet) {
    auto root = open_state(false);
    if (!root || !root->valid()) return;
    auto cleaned = collect_garbage(*root);
    if (!cleaned) return;
    std::string out;
    if (!quiet)
        for (const std::string& line : cleaned->removed)
            out += cat("sandbox: cleaned what a killed launcher left: ", printable(line), "\n");
    for (const std::string& line : cleaned->problems) out += cat("sandbox: cannot clean ", printable(line), "\n");
    write_err(out);
}

Outcome run_loaded(Loaded loaded, const std::string& profile, const LaunchFlags& flags) {
    auto prepared = prepare_loaded(std::move(loaded), flags);
    Outcome outcome = prepared ? carry_out(*prepared, profile, flags, nullptr, -1) : failed();
    static_cast<void>(finish(outcome, flags));
    return outcome;
}

int verb_up(const ProfileOptions& options, const LaunchFlags& flags) {
    auto prepared = prepare(options, flags);
    if (flags.detach) return prepared ? launch_detached(*prepared, options.profile, flags, nullptr) : exit_launcher;
    const Outcome outcome = prepared ? carry_out(*prepared, options.profile, flags, nullptr, -1) : failed();
    if (!flags.result.empty())
        if (auto written = write_result(flags.result, outcome); !written) print(written.error());
    return finish(outcome, flags);
}

int start_again(const std::string& name) {
    auto root = open_state(false);
    if (!root) return print(root.error()), exit_launcher;
    auto seen = root->look(name);
    if (!seen || !seen->directory)
        return print(seen ? Error{cat("there is no sandbox ", quote(name)), {}, 0, {}, {}} : seen.error()), exit_launcher;
    const auto status = read_status(seen->directory.get());
    ProfileOptions options;
    options.profile = cat(root->path(), "/", name, "/profile.yaml");
    options.name = name;
    LaunchFlags flags;
    flags.detach = flags.quiet = true;
    auto prepared = prepare(options, flags);
    if (!prepared) return exit_launcher;
    auto state = root->take_over(name);
    if (!state) return print(state.error()), exit_launcher;
    if (state->directory() < 0) {
        print(Error{cat("sandbox ", quote(name), " is in use by another command"), "try again", 0, {}, {}});
        return exit_launcher;
    }
    std::optional<SandboxState> taken(std::move(*state));
    return launch_detached(*prepared, status ? status->profile : options.profile, flags, &taken);
}

}  // namespace sandbox
