#include "exec/presence.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <ctime>

#include "base/text.h"
#include "profile/names.h"
#include "state/events.h"

namespace sandbox {

std::int64_t wall_clock() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * std::int64_t(1'000'000'000) + now.tv_nsec;
}

Presence::Presence(StateRoot& root, const Plan& plan, std::string profile, Notify* notify) : root_(root), plan_(plan), notify_(notify) {
    const Supervision& s = plan.supervision;
    status.name = plan.name;
    status.detached = s.detached;
    status.profile = std::move(profile);
    status.network = s.network;
    status.own_pid_namespace = s.own_pid_namespace;
    status.upper = s.upper;
    status.lower = s.lower;
    status.stop_signal = signal_name(s.stop_signal);
    status.supervisor = getpid();
    status.created = wall_clock();
    if (s.health) status.health = "starting";
    if (s.detached)
        status.log_driver = *s.logging.driver == LogDriver::file ? "file" : *s.logging.driver == LogDriver::journald ? "journald" : "none";
}

Status Presence::begin(SandboxState state, const std::string& id) {
    state_.emplace(std::move(state));
    status.id = id;
    auto control = ControlServer::open(folder());
    if (!control) return pass(control);
    control_.emplace(std::move(*control));
    // In the foreground the first thing there is to say is that the command runs.
    if (status.detached)
        if (auto written = write_status(folder(), status); !written) return written;
    tell("create");
    return {};
}

void Presence::begin_again(const std::string& id) {
    status.id = id;
    status.groups.clear();
    status.ended = 0;
    ++status.restarts;
    enter(SandboxPhase::creating, "restart", {{"restarts", std::to_string(status.restarts)}});
}

bool Presence::folder_is_gone() const {
    struct stat info {};
    return !state_ || fstat(folder(), &info) != 0 || info.st_nlink == 0;
}

SandboxState Presence::give_folder() {
    SandboxState state = std::move(*state_);
    state_.reset();
    return state;
}

void Presence::close_folder() {
    unlinkat(folder(), "control", 0);
    state_.reset();
}

void Presence::tell(std::string event, std::vector<std::pair<std::string, std::string>> details) const {
    if (silent) return;
    emit_event(root_.descriptor(), {wall_clock(), status.name, std::move(event), std::move(details)});
}

std::string Presence::in_words() const {
    std::string words(phase_name(status.phase));
    if (!status.health.empty()) words += cat(", health: ", status.health);
    if (status.restarts > 0) words += cat(", restarts: ", status.restarts);
    return words;
}

void Presence::save() {
    if (notify_ && status.phase == SandboxPhase::running)
        notify_->running(in_words());
    else if (notify_)
        notify_->status(in_words());
    auto written = write_status(folder(), status);
    if (!written && trouble_.empty()) trouble_ = cat("status: ", written.error().message);
}

void Presence::keep_profile(const std::string& effective) {
    if (!state_ || effective.empty()) return;
    auto written = replace_file(folder(), "profile.yaml", effective);
    if (!written && trouble_.empty()) trouble_ = cat("profile.yaml: ", written.error().message);
}

void Presence::enter(SandboxPhase phase, std::string event, std::vector<std::pair<std::string, std::string>> details) {
    status.phase = phase;
    if (state_) save();
    if (!event.empty()) tell(std::move(event), std::move(details));
}

// After the grace everything is killed and taken back: that takes a moment, and hooks what they are given.
void Presence::tell_stopping() {
    if (!notify_) return;
    std::int64_t longest = plan_.supervision.grace + 60'000'000'000;
    for (const Step& step : plan_.steps)
        if (const auto* hook = std::get_if<step::ArmHook>(&step.action)) longest += hook->timeout;
    notify_->stopping(longest);
}

void Presence::tell_end(const std::string& how) {
    if (notify_) notify_->status(printable(how));
}

void Presence::tell_step(std::int64_t longest) {
    if (notify_) notify_->extend(longest + 60'000'000'000);
}

void Presence::beat() {
    if (notify_) notify_->beat();
}

Status Presence::open_log(const std::string& folder) {
    const Logging& logging = plan_.supervision.logging;
    auto log = Log::open({*logging.driver == LogDriver::journald, folder, *logging.max_size, *logging.max_files, status.name});
    if (!log) return pass(log);
    log_.emplace(std::move(*log));
    status.logs = folder;
    return {};
}

void Presence::hear_last() {
    if (!control_) return;
    for (const ControlServer::Request& request : control_->receive()) {
        remove_asked = remove_asked || request.text == "down";
        if (request.text == "wait" || request.text == "stop" || request.text == "down")
            control_->hold(request.client);
        else
            control_->answer(request.client, error_answer({cat("sandbox ", quote(status.name), " has just ended"), {}, 0, {}, {}}));
    }
}

void Presence::answer_end(std::string_view text) {
    if (control_) control_->answer_waiting(text);
}

bool Presence::pause_before_restart(std::int64_t nanoseconds) {
    const Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    itimerspec when{};
    when.it_value.tv_sec = nanoseconds / 1'000'000'000;
    when.it_value.tv_nsec = std::max<long>(nanoseconds % 1'000'000'000, 1);
    timerfd_settime(timer.get(), 0, &when, nullptr);
    sigset_t ends;
    sigemptyset(&ends);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) sigaddset(&ends, signal);
    const Fd signals(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
    while (true) {
        std::vector<pollfd> polls{{timer.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}, {watchdog(), POLLIN, 0}};
        if (control_) control_->add_to(polls);
        if (poll(polls.data(), polls.size(), -1) < 0) continue;
        if (polls[1].revents) return false;
        if (polls[2].revents) beat();
        if (control_)
            for (const ControlServer::Request& request : control_->receive()) {
                if (request.text == "stop" || request.text == "down") {
                    stop_asked = true;
                    remove_asked = remove_asked || request.text == "down";
                }
                if (request.text == "wait" || stop_asked)
                    control_->hold(request.client);
                else
                    control_->answer(
                        request.client,
                        error_answer(
                            {cat("sandbox ", quote(status.name), " is restarting"), "ask again when it runs, or stop it", 0, {}, {}}));
            }
        if (stop_asked) return false;
        if (polls[0].revents) return true;
    }
}

}  // namespace sandbox
