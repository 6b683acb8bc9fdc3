// A plan's host-side steps in order, what there is before them, and everything back.
#include "exec/launch_steps.h"

#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/text.h"
#include "exec/garbage.h"

namespace sandbox {
namespace {

// What is named on the host carries it: nobody else's can be mistaken for this run's.
std::string random_id() {
    std::uint32_t number = 0;
    while (getrandom(&number, sizeof number, 0) != sizeof number) {
    }
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (int shift = 28; shift >= 0; shift -= 4) out += digits[number >> shift & 15];
    return out;
}

}  // namespace

Status Launch::carry_out() {
    for (index_ = 0; index_ < plan_.steps.size(); ++index_) {
        const Step& step = plan_.steps[index_];
        if (options_.verbose) std::fprintf(stderr, "%s: %s\n", step.id.c_str(), printable(step.text).c_str());
        if (step.side == Side::sandbox) continue;
        if (auto go = watch(Moment::before); !go) return go;
        auto done = std::visit([this](const auto& action) { return this->run(action); }, step.action);
        if (!done && step.optional) {
            skipped_.push_back(cat(step.id, ": ", done.error().message));
            continue;
        }
        if (!done) return explain(step, std::move(done.error()));
        if (auto go = watch(Moment::done); !go) return go;
        if (interrupted()) return fail(cat("interrupted at ", step.id));
    }
    return {};
}

Result<Outcome> Launch::supervise() {
    // A detached one has it from the beginning.
    static const std::function<std::string()> kept_already;
    const bool later = !plan_.supervision.detached && !plan_.supervision.joins && presence_.status.restarts == 0;
    Supervised what{plan_,        child_,  socket_.get(), std::move(pumps_), options_.watch,
                    skipped_,     groups_, presence_,     announce_,         later ? options_.effective : kept_already,
                    joined_.get()};
    return sandbox::supervise(what);
}

std::vector<std::string> Launch::take_back(bool everything, bool again) {
    std::vector<std::string> problems;
    socket_.reset();
    if (!again) presence_.kept_network.reset();
    network_.let_go(presence_.kept_network.has_value());
    // Our own locks would keep what we made from being removed. The ids are leased again only when init is gone too.
    slots_.clear();
    shared_groups_.clear();
    groups_.clear();
    root_upper_.reset();
    presence_.status.upper_descriptor = -1;
    if (journal_)
        replay(*journal_, problems, everything);
    else if (presence_.has_begun())
        replay(presence_.folder(), problems, everything);
    if (terminal_before_ && tcsetattr(0, TCSADRAIN, &*terminal_before_) != 0)
        problems.push_back(cat("give the terminal its settings back: ", errno_text(errno)));
    terminal_before_.reset();
    if (child_.pid > 0) waitpid(child_.pid, nullptr, 0);
    return problems;
}

Recorder Launch::recorder() { return {*journal_, plan_.steps[index_], index_, options_.watch}; }

tl::unexpected<Error> Launch::explain(const Step& step, Error error) {
    error.message = cat("step ", printable(step.id), ": ", error.message);
    if (!error.at.known()) error.at = step.origin;
    return tl::unexpected<Error>(std::move(error));
}

bool Launch::interrupted() {
    sigset_t pending;
    if (sigpending(&pending) != 0) return false;
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
        if (sigismember(&pending, signal)) return true;
    return false;
}

Status Launch::run(const step::CreateState&) {
    id_ = random_id();
    const bool again = presence_.has_begun(), taken_over = options_.state && *options_.state;
    if (again) {
        presence_.begin_again(id_);
    } else {
        auto state = taken_over ? Result<SandboxState>(std::move(**options_.state)) : create_state(root_, plan_.name);
        if (!state) return pass(state);
        if (taken_over) options_.state->reset();
        const int folder = state->directory();
        unlinkat(folder, "limits", 0);  // they are in the profile that it is started from
        if (!taken_over) {
            auto journal = Journal::create(folder);
            if (!journal) {
                static_cast<void>(root_.remove(std::move(*state)));
                return pass(journal);
            }
            journal_.emplace(std::move(*journal));
        }
        if (auto begun = presence_.begin(std::move(*state), id_); !begun) return begun;
    }
    if (!journal_) {
        auto journal = Journal::begin_again(presence_.folder());
        if (!journal) return pass(journal);
        journal_.emplace(std::move(*journal));
    }
    network_.begin(plan_.name, id_, presence_.addresses);
    if (plan_.supervision.detached && !again && options_.effective)
        return replace_file(presence_.folder(), "profile.yaml", options_.effective());
    return {};
}

Variables Launch::hook_variables() const { return {{"SANDBOX_NAME", plan_.name}, {"SANDBOX_ID", id_}}; }

Status Launch::run(const step::RunHook& s) {
    presence_.tell_step(s.timeout);
    return run_helper(s.command, hook_variables(), s.timeout);
}

Status Launch::run(const step::ArmHook& s) {
    Recorder r = recorder();
    return arm_hook(r, s.command, hook_variables(), s.timeout);
}

}  // namespace sandbox
