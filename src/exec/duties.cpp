#include "exec/duties.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"

namespace sandbox {

Duties::Duties(const Plan& plan, Presence& presence) : plan_(plan), presence_(presence) {}

void Duties::begin() {
    if (plan_.supervision.hooks.started.empty() && !plan_.supervision.health) return;
    timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    next_hook();
}

void Duties::add_to(std::vector<pollfd>& polls) const {
    polls.push_back({timer_.get(), POLLIN, 0});
    polls.push_back({helper_ ? helper_->descriptor() : -1, POLLIN, 0});
}

void Duties::arm(std::int64_t nanoseconds) const {
    itimerspec when{};
    when.it_value.tv_sec = nanoseconds / 1'000'000'000;
    when.it_value.tv_nsec = nanoseconds % 1'000'000'000;
    if (nanoseconds == 0) when.it_value.tv_nsec = 1;
    timerfd_settime(timer_.get(), 0, &when, nullptr);
}

Variables Duties::variables() const {
    return {{"SANDBOX_NAME", plan_.name}, {"SANDBOX_ID", presence_.status.id}, {"SANDBOX_PID", std::to_string(presence_.status.init)}};
}

// As `sandbox exec` runs it.
std::vector<std::string> Duties::inside(const std::vector<Text>& command) const {
    std::vector<std::string> argv{"/proc/self/exe", "exec", "--no-tty", plan_.name, "--"};
    for (const Text& word : command) argv.push_back(*word);
    return argv;
}

void Duties::next_hook() {
    const auto& hooks = plan_.supervision.hooks.started;
    if (hook_ == hooks.size()) return begin_checking();
    const Hook& hook = hooks[hook_];
    std::vector<std::string> argv = inside(hook.command);
    if (*hook.where == HookPlace::host) argv.erase(argv.begin(), argv.begin() + 5);
    auto helper = Helper::start(argv, variables(), false);
    if (!helper) {
        failure_ = cat("lifecycle.hooks.started[", hook_, "]: ", helper.error().message);
        return;
    }
    helper_.emplace(std::move(*helper));
    arm(*hook.timeout);
}

void Duties::begin_checking() {
    if (!plan_.supervision.health) return;
    checking_ = true;
    arm(*plan_.supervision.health->interval);
}

void Duties::check() {
    auto helper = Helper::start(inside(plan_.supervision.health->command), variables(), true);
    if (!helper) return judge(false);
    helper_.emplace(std::move(*helper));
    arm(*plan_.supervision.health->timeout);
}

void Duties::judge(bool well) {
    const Healthcheck& health = *plan_.supervision.health;
    const bool starting = wall_clock() - presence_.status.started < *health.start_period;
    failures_ = well ? 0 : starting ? failures_ : failures_ + 1;
    const std::string before = presence_.status.health;
    if (well) presence_.status.health = "healthy";
    if (failures_ >= *health.retries) presence_.status.health = "unhealthy";
    if (presence_.status.health != before) {
        presence_.save();
        presence_.tell("health", {{"health", presence_.status.health}});
    }
    arm(*health.interval);
}

bool Duties::turn() {
    if (!timer_) return false;
    if (!failure_.empty()) return true;
    std::uint64_t count = 0;
    const bool late = read(timer_.get(), &count, sizeof count) == sizeof count;
    const auto status = helper_ ? helper_->status() : std::nullopt;
    if (helper_ && !status && !late) return false;
    if (checking_) {
        if (!helper_) {
            // A paused sandbox is neither well nor ill.
            if (late && presence_.status.phase == SandboxPhase::running)
                check();
            else if (late)
                arm(*plan_.supervision.health->interval);
            return false;
        }
        helper_.reset();
        judge(status && *status == 0);
        return false;
    }
    if (!helper_) return false;
    if (!status || *status != 0)
        failure_ =
            cat("lifecycle.hooks.started[", hook_, "]: ", status ? describe_wait_status(*status) : std::string("it has not ended in time"));
    helper_.reset();
    if (!failure_.empty()) return true;
    ++hook_;
    next_hook();
    return !failure_.empty();
}

}  // namespace sandbox
