// sandbox up, run

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cli.h"
#include "exec/launch.h"

namespace sandbox {
namespace {

// Beside the file and then in its place: a reader never sees half of it, and a link at the name is replaced, not followed.
Status write_result(const std::string& path, const Outcome& o) {
    const nlohmann::ordered_json json{{"reason", o.reason},
                                      {"exit_code", o.exit_code},
                                      {"signal", o.signal},
                                      {"wall_s", o.wall_s},
                                      {"user_s", o.user_s},
                                      {"system_s", o.system_s},
                                      {"memory_peak_bytes", o.memory_peak_bytes},
                                      {"pids_peak", o.pids_peak ? nlohmann::ordered_json(*o.pids_peak) : nullptr},
                                      {"oom_kills", o.oom_kills ? nlohmann::ordered_json(*o.oom_kills) : nullptr},
                                      {"skipped", o.skipped}};
    const std::string text = json.dump(2) + "\n", beside = cat(path, ".", getpid(), ".new");
    const Fd file(open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file) return fail_errno(cat("--result ", quote(path)), errno);
    if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || rename(beside.c_str(), path.c_str()) != 0) {
        const int error = errno;
        unlink(beside.c_str());
        return fail_errno(cat("--result ", quote(path)), error);
    }
    return {};
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

int exit_code_of(const Error& error) {
    if (!error.message.starts_with("process.command:")) return exit_launcher;
    return error.number == ENOENT || error.number == ENOTDIR ? exit_not_found : exit_not_executable;
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

Outcome launch(const ProfileOptions& options, const LaunchFlags& flags) {
    auto loaded = load(options);
    if (!loaded) return print(loaded.error()), failed();
    Profile& profile = loaded->profile;
    if (flags.terminal) profile.process.tty = Switch::on;
    if (flags.no_terminal) profile.process.tty = Switch::off;

    // First of all: what a dead launcher left could look like part of the host.
    if (!has_errors(loaded->diagnostics)) clean_leftovers(flags.quiet);

    Result<HostFacts> facts;
    if (loaded->decoded) facts = examine(*loaded);
    if (!flags.quiet || has_errors(loaded->diagnostics)) print(loaded->diagnostics, loaded->sources);
    if (!facts) return print(facts.error(), loaded->sources), failed();
    if (has_errors(loaded->diagnostics)) return failed();

    const Plan plan = make_plan(profile, *facts, caller_context());
    auto root = open_state(true);
    if (!root) return print(root.error(), loaded->sources), failed();
    LaunchOptions how;
    how.verbose = flags.verbose;
    auto outcome = run_sandbox(plan, *facts, *root, how);
    if (outcome) {
        outcome->skipped.insert(outcome->skipped.begin(), plan.left_out.begin(), plan.left_out.end());
        return std::move(*outcome);
    }
    print(outcome.error(), loaded->sources);
    static_cast<void>(root->remove_if_unused());
    return failed(exit_code_of(outcome.error()));
}

}  // namespace

int verb_up(const ProfileOptions& options, const LaunchFlags& flags) {
    const Outcome outcome = launch(options, flags);
    if (!flags.result.empty())
        if (auto written = write_result(flags.result, outcome); !written) print(written.error());
    return finish(outcome, flags);
}

}  // namespace sandbox
