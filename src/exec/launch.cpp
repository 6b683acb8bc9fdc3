#include "exec/launch.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>

#include "base/text.h"
#include "exec/launch_steps.h"

namespace sandbox {
namespace {

void block_signals() {
    sigset_t all;
    sigfillset(&all);
    for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&all, fatal);
    sigprocmask(SIG_SETMASK, &all, nullptr);
}

// Hundreds of layers need as many descriptors. The plan gives the payload the caller's limit back.
void raise_descriptor_limit(std::uint32_t slots) {
    rlimit limit{};
    if (slots < many_slots || getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

constexpr std::int64_t longest_backoff = 120'000'000'000;  // nanoseconds
constexpr double long_enough_s = 10;                       // after a run of so many seconds the pauses begin anew

bool wants_restart(const Restart& restart, const Outcome& outcome, const Presence& presence) {
    if (presence.stop_asked) return false;
    if (presence.restart_asked) return true;
    if (*restart.policy == RestartPolicy::no) return false;
    if (*restart.policy == RestartPolicy::on_failure && outcome.exit_code == 0) return false;
    return *restart.max == 0 || presence.status.restarts < *restart.max;
}

// Nobody waits any more who could be told: it is in the log, and the sandbox has ended with the launcher's exit code.
Outcome failed_restart(Presence& presence, const Error& error) {
    if (presence.log()) presence.log()->write(LogStream::err, cat("[sandbox: it could not be started again: ", error.message, "]\n"));
    return {};
}

std::string end_of(const Outcome& outcome) { return cat("exit ", outcome.exit_code); }

// The folder is removed, or stays with how it ended; then whoever waits is told. With problems it stays as it is: sandbox gc goes on.
void leave(Presence& presence, StateRoot& root, const Plan& plan, const Result<Outcome>& outcome, bool stays,
           std::vector<std::string>& problems) {
    if (!presence.has_begun()) return;
    if (outcome) {
        presence.status.reason = outcome->reason;
        presence.status.exit_code = outcome->exit_code;
        presence.status.signal = outcome->signal;
        presence.status.ended = wall_clock();
    }
    if (presence.log()) presence.log()->flush();
    presence.hear_last();
    stays = stays && !presence.remove_asked;
    if (stays && problems.empty()) {
        if (auto written = replace_file(presence.folder(), "result.json", outcome_to_json(*outcome)); !written)
            problems.push_back(written.error().message);
        presence.enter(SandboxPhase::stopped, "die", {{"reason", outcome->reason}, {"exit_code", std::to_string(outcome->exit_code)}});
        // Whoever is told asks next for the lock.
        presence.close_folder();
    } else {
        if (outcome) presence.tell("die", {{"reason", outcome->reason}, {"exit_code", std::to_string(outcome->exit_code)}});
        if (problems.empty()) {
            // What was kept so far goes too, if the end was asked for while it waited to be restarted.
            replay(presence.folder(), problems, true);
            if (auto removed = root.remove(presence.give_folder()); !removed) problems.push_back(removed.error().message);
            presence.tell("remove");
        } else {
            problems.push_back(cat("the record stays in ", root.path(), "/", plan.name, ": correct the cause, then run sandbox gc"));
            presence.close_folder();
        }
    }
    presence.answer_end(outcome ? end_of(*outcome) : error_answer(outcome.error()));
}

}  // namespace

Result<Outcome> run_sandbox(const Plan& plan, const HostFacts& facts, StateRoot& root, const LaunchOptions& options) {
    auto program = lower_plan(plan, facts, options.sync_at);
    if (!program) return pass(program);
    block_signals();
    raise_descriptor_limit(plan.slots);
    // What a payload with root's ids in the host's process namespace could read of us, it shall not (proc_pid(5)).
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    Presence presence(root, plan, options.profile, options.notify);
    Fd announce(options.announce);
    std::int64_t backoff = *plan.supervision.restart.backoff;
    while (true) {
        Launch launch(plan, root, presence, options, announce, *program, facts.overlay_layer_fds);
        auto carried = launch.carry_out();
        Result<Outcome> outcome = carried ? launch.supervise() : Result<Outcome>(pass(carried));
        if (!outcome && plan.supervision.detached && presence.status.restarts > 0) outcome = failed_restart(presence, outcome.error());
        const bool again = outcome && wants_restart(plan.supervision.restart, *outcome, presence);
        if (!again) presence.tell_stopping();
        const bool stays = outcome && plan.supervision.detached && !presence.remove_asked && !presence.folder_is_gone();
        auto problems = launch.take_back(!stays && !again, again);
        if (again && problems.empty()) {
            presence.enter(SandboxPhase::restarting, "die",
                           {{"reason", outcome->reason}, {"exit_code", std::to_string(outcome->exit_code)}});
            if (outcome->wall_s >= long_enough_s) backoff = *plan.supervision.restart.backoff;
            // Who asks for it does not want to wait.
            const bool go_on = presence.pause_before_restart(presence.restart_asked ? 0 : backoff);
            backoff = std::min(backoff * 2, longest_backoff);
            presence.restart_asked = false;
            if (go_on) continue;
        }
        leave(presence, root, plan, outcome, stays, problems);
        presence.tell_end(outcome ? cat("ended: ", outcome->reason, ", exit code ", outcome->exit_code) : outcome.error().message);
        launch.finish_apart();
        if (outcome)
            outcome->problems = std::move(problems);
        else
            outcome.error().also = std::move(problems);
        return outcome;
    }
}

Result<Outcome> run_in_sandbox(const Plan& plan, const HostFacts& facts, StateRoot& root) {
    auto program = lower_plan(plan, facts);
    if (!program) return pass(program);
    block_signals();
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    Presence presence(root, plan, {});
    presence.silent = true;
    const LaunchOptions options;
    Fd nobody;
    Launch launch(plan, root, presence, options, nobody, *program, facts.overlay_layer_fds);
    auto carried = launch.carry_out();
    Result<Outcome> outcome = carried ? launch.supervise() : Result<Outcome>(pass(carried));
    auto problems = launch.take_back(true, false);
    if (outcome)
        outcome->problems = std::move(problems);
    else
        outcome.error().also = std::move(problems);
    return outcome;
}

}  // namespace sandbox
