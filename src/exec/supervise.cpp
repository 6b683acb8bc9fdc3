#include "exec/supervise.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>

#include "base/text.h"
#include "exec/advice.h"
#include "exec/channel.h"
#include "exec/duties.h"

namespace sandbox {

Fd caller_stream(int number, bool input) {
    Fd copy(fcntl(number, F_DUPFD_CLOEXEC, 3));
    if (!copy || !isatty(copy.get())) return copy;
    // Opened anew, waiting for it can be switched off without changing the caller's own descriptor.
    Fd own(open(cat("/proc/self/fd/", copy.get()).c_str(), (input ? O_RDONLY : O_WRONLY) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    return own ? std::move(own) : std::move(copy);
}

namespace {

double seconds(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }

double now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

Fd make_timer() { return Fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)); }

void arm(const Fd& timer, std::int64_t nanoseconds) {
    itimerspec when{};
    when.it_value.tv_sec = nanoseconds / 1'000'000'000;
    when.it_value.tv_nsec = nanoseconds % 1'000'000'000;
    if (nanoseconds <= 0) when.it_value.tv_nsec = 1;
    timerfd_settime(timer.get(), 0, &when, nullptr);
}

class Supervisor {
   public:
    explicit Supervisor(Supervised& what) : w_(what), started_(now()) {}

    Result<Outcome> run() {
        sigset_t all;
        sigfillset(&all);
        for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&all, fatal);
        signals_.reset(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
        grace_ = make_timer();
        timeout_ = make_timer();
        if (!signals_ || !grace_ || !timeout_) return fail_errno("signalfd, timerfd", errno);
        if (auto watched = watch_memory(); !watched) return pass(watched);
        w_.presence.status.init = w_.child.pid;
        w_.presence.status.init_start = start_time(w_.child.pid);
        while (!ended_) {
            if (auto turned = turn(); !turned) return pass(turned);
        }
        drain();
        return finish();
    }

   private:
    // Waits for one round of events.
    Status turn() {
        std::vector<pollfd> polls{{w_.child.pidfd.get(), POLLIN, 0},  {socket_open_ ? w_.socket : -1, POLLIN, 0},
                                  {signals_.get(), POLLIN, 0},        {grace_.get(), POLLIN, 0},
                                  {timeout_.get(), POLLIN, 0},        {oom_.get(), POLLIN, 0},
                                  {processor_.get(), POLLIN, 0},      {w_.sandbox, POLLIN, 0},
                                  {w_.presence.watchdog(), POLLIN, 0}};
        duties_.add_to(polls);
        const std::size_t control = polls.size();
        if (w_.presence.control()) w_.presence.control()->add_to(polls);
        const std::size_t fixed = polls.size();
        for (const Pump& pump : w_.pumps) {
            polls.push_back({pump.waiting.size() < 65536 ? pump.from.get() : -1, POLLIN, 0});
            polls.push_back({pump.waiting.empty() ? -1 : pump.to.get(), POLLOUT, 0});
        }
        if (poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) return fail_errno("poll", errno);
        if (polls[1].revents)
            if (auto obeyed = read_records(); !obeyed) return obeyed;
        if (polls[2].revents) read_signals();
        if (polls[3].revents) kill_tree();
        if (polls[4].revents) time_out();
        if (polls[5].revents) see_memory();
        if (polls[6].revents) look_at_processor();
        if (polls[7].revents) end_with_sandbox();
        if (polls[8].revents) w_.presence.beat();
        if (duties_.turn()) fail_duty();
        if (std::any_of(polls.begin() + static_cast<std::ptrdiff_t>(control), polls.begin() + static_cast<std::ptrdiff_t>(fixed),
                        [](const pollfd& p) { return p.revents != 0; }))
            hear_requests();
        for (std::size_t i = 0; i < w_.pumps.size() && fixed + 2 * i + 1 < polls.size(); ++i)
            move_bytes(w_.pumps[i], polls[fixed + 2 * i].revents, polls[fixed + 2 * i + 1].revents);
        if (!polls[0].revents) return {};
        read_counts();
        ended_ = true;
        return {};
    }

    // ---- what the child says

    Status read_records() {
        bool over = false;
        while (auto received = receive_record(w_.socket, over))
            if (auto obeyed = obey(*received); !obeyed) return obeyed;
        if (over) socket_open_ = false;
        return {};
    }

    Status obey(ReceivedRecord& received) {
        const Record& r = received.record;
        const Step* step = r.step < w_.plan.steps.size() ? &w_.plan.steps[r.step] : nullptr;
        switch (r.kind) {
            case RecordKind::failed: return step_failure(step, r);
            case RecordKind::skipped:
                if (step) w_.skipped.push_back(cat(step->id, ": ", errno_text(r.error)));
                return {};
            case RecordKind::terminal: take_terminal(std::move(received.descriptor)); return {};
            case RecordKind::at_sync:
                if (w_.watch && *w_.watch)
                    if (auto go = (*w_.watch)(r.step, Moment::before); !go) return go;
                return send_record(w_.socket, {RecordKind::go, 0, 0, 0});
            case RecordKind::held: hold(); return {};
            case RecordKind::ready: begin(); return {};
            case RecordKind::running: run_on(r.detail); return {};
            case RecordKind::exec_failed: return command_failure(w_.plan, r.error);
            case RecordKind::exited: payload_ended(r.detail); return {};
            case RecordKind::go:
            case RecordKind::signal: break;
        }
        return {};
    }

    // The command's time begins with it: a busy machine's launch does not use it up.
    void begin() {
        ready_ = true;
        if (w_.plan.supervision.timeout > 0) arm(timeout_, w_.plan.supervision.timeout);
        // Without init nobody says that exec has succeeded; it is next.
        if (!w_.plan.supervision.init) run_on(0);
    }

    // `sandbox create`: everything is made. A further run of it does not wait again.
    void hold() {
        if (w_.presence.status.restarts > 0 || w_.presence.stop_asked) return release_held();
        held_ = true;
        w_.presence.enter(SandboxPhase::created, {});
        announce("created");
    }
    void release_held() {
        held_ = false;
        static_cast<void>(send_record(w_.socket, {RecordKind::go, 0, 0, 0}));
    }

    void run_on(pid_t payload) {
        SandboxStatus& status = w_.presence.status;
        status.payload = payload;
        status.started = wall_clock();
        w_.presence.enter(SandboxPhase::running, "start", {{"pid", std::to_string(status.init)}});
        announce("running");
        if (w_.plan.supervision.detached) shrink();
        for (const std::size_t client : starters_) w_.presence.control()->answer(client, "ok");
        starters_.clear();
        watch_processor();
        duties_.begin();
    }

    // What the launch has used goes back to the system: this process stays as long as the sandbox.
    static void shrink() { malloc_trim(0); }

    // Whoever has started it in the background goes on; from here on nothing of the caller's is held.
    void announce(std::string_view what) {
        if (!w_.announce) return;
        const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
        for (int stream = 0; stream < 3; ++stream) dup2(null.get(), stream);
        static_cast<void>(!chdir("/"));
        static_cast<void>(!write(w_.announce.get(), what.data(), what.size()));
        w_.announce.reset();
    }

    // A namespace of processes takes us along; what lives in the host's would stay.
    void end_with_sandbox() {
        w_.sandbox = -1;
        kill_tree();
    }

    // ---- limits that somebody has to watch

    // cgroup v1 tells by an eventfd that a group is out of memory (memory.rst, "OOM Control").
    Status watch_memory() {
        const Supervision& s = w_.plan.supervision;
        const GroupSet::Member* memory = w_.groups.find("memory");
        if (!memory || memory->v2 || (!s.oom_group && !s.oom_pause)) return {};
        oom_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        const Fd file(openat(memory->folder.get(), "memory.oom_control", O_RDONLY | O_CLOEXEC));
        if (!oom_ || !file) return fail_errno("memory.oom_control", errno);
        return write_group(memory->folder.get(), "cgroup.event_control", cat(oom_.get(), " ", file.get()));
    }

    void see_memory() {
        std::uint64_t count = 0;
        if (read(oom_.get(), &count, sizeof count) != sizeof count) return;
        w_.presence.tell("oom");
        if (w_.plan.supervision.oom_group) {
            out_of_memory_ = true;
            kill_tree();
        } else {
            w_.presence.enter(SandboxPhase::paused, "pause", {{"reason", "oom"}});
        }
    }

    // So many processors cannot use up what is left any sooner: then it is looked at again.
    void watch_processor() {
        if (w_.plan.supervision.cpu_time <= 0) return;
        processor_ = make_timer();
        look_at_processor();
    }

    void look_at_processor() {
        std::uint64_t count = 0;
        static_cast<void>(!read(processor_.get(), &count, sizeof count));
        const auto used = static_cast<std::int64_t>(w_.groups.cpu_time().value_or(0));
        const std::int64_t left = w_.plan.supervision.cpu_time - used;
        if (left <= 0) {
            arm(timeout_, 0);
            return;
        }
        constexpr std::int64_t shortest = 5'000'000;
        arm(processor_, std::max(left / std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)), shortest));
    }

    // ---- what other commands ask for

    void hear_requests() {
        for (const ControlServer::Request& request : w_.presence.control()->receive()) hear(request);
    }

    void hear(const ControlServer::Request& request) {
        ControlServer& control = *w_.presence.control();
        const auto words = split(request.text, ' ');
        const std::string_view verb = words.front();
        if (verb == "wait") return control.hold(request.client);
        // In the foreground it is not written before somebody needs it: most commands end before.
        if (verb == "profile") {
            if (w_.effective) w_.presence.keep_profile(w_.effective());
            return control.answer(request.client, "ok");
        }
        if (verb == "stop" || verb == "down") {
            w_.presence.remove_asked = w_.presence.remove_asked || verb == "down";
            control.hold(request.client);
            return end_for_good();
        }
        if (verb == "restart" && w_.plan.supervision.detached && ready_) {
            w_.presence.restart_asked = true;
            control.answer(request.client, "ok");
            return end_run();
        }
        if (verb == "start" && held_) {
            // Answered when the command runs, or with why it does not.
            control.hold(request.client);
            starters_.push_back(request.client);
            return release_held();
        }
        Status done = verb == "start"                       ? Status(refuse("started"))
                      : verb == "pause"                     ? pause()
                      : verb == "resume"                    ? resume()
                      : verb == "kill" && words.size() == 3 ? kill_with(words[1], words[2] == "all")
                      : verb == "restart"                   ? Status(refuse("restarted"))
                                                            : Status(fail(cat("the supervisor does not know ", quote(request.text))));
        control.answer(request.client, done ? std::string("ok") : error_answer(done.error()));
    }

    [[nodiscard]] tl::unexpected<Error> refuse(std::string_view wanted) const {
        const SandboxStatus& status = w_.presence.status;
        return fail(cat("sandbox ", quote(status.name), " is ", phase_name(status.phase), ", so it cannot be ", wanted),
                    status.phase == SandboxPhase::created  ? cat("sandbox start ", status.name, " starts its command")
                    : status.phase == SandboxPhase::paused ? cat("sandbox resume ", status.name, " lets it go on")
                                                           : std::string());
    }

    Status pause() {
        if (w_.presence.status.phase != SandboxPhase::running) return refuse("paused");
        if (auto frozen = w_.groups.freeze(); !frozen) return frozen;
        w_.presence.enter(SandboxPhase::paused, "pause");
        return {};
    }

    Status resume() {
        if (w_.presence.status.phase != SandboxPhase::paused) return refuse("resumed");
        if (auto thawed = w_.groups.thaw(); !thawed) return thawed;
        w_.presence.enter(SandboxPhase::running, "resume");
        return {};
    }

    Status kill_with(std::string_view number, bool all) {
        const auto signal = parse_int(number);
        if (!signal || *signal < 1 || *signal > 64) return fail("there is no such signal");
        if (!ready_) return refuse("sent a signal");
        tell(static_cast<int>(*signal), all);
        // A frozen process takes its death only when it goes on.
        if (*signal == SIGKILL && w_.presence.status.phase == SandboxPhase::paused) return resume();
        return {};
    }

    void end_for_good() {
        w_.presence.stop_asked = true;
        end_run();
        w_.presence.tell_stopping();
    }

    void end_run() {
        if (w_.presence.status.phase == SandboxPhase::paused) static_cast<void>(resume());
        stop();
    }

    void fail_duty() {
        w_.skipped.push_back(duties_.failure());
        w_.presence.stop_asked = true;
        kill_tree();
    }

    // ---- signals and time

    void read_signals() {
        signalfd_siginfo info{};
        while (read(signals_.get(), &info, sizeof info) == sizeof info) handle(static_cast<int>(info.ssi_signo));
    }

    void handle(int signal) {
        switch (signal) {
            case SIGCHLD:
            case SIGPIPE:
            case SIGTTIN:
            case SIGTTOU: return;
            case SIGWINCH:
                if (!terminal_) break;
                return copy_size();
            case SIGTSTP: suspend(); return;
            case SIGTERM: end_for_good(); return;
            default: break;
        }
        if (!ready_ && (signal == SIGINT || signal == SIGHUP || signal == SIGQUIT)) return kill_tree();
        tell(signal, false);
    }

    void tell(int signal, bool all) {
        if (w_.plan.supervision.init)
            static_cast<void>(send_record(w_.socket, {RecordKind::signal, static_cast<std::uint32_t>(signal), 0, all ? 1 : 0}));
        else
            syscall(SYS_pidfd_send_signal, w_.child.pidfd.get(), signal, nullptr, 0);
    }

    // The stop signal, and after the grace the kernel's.
    void stop() {
        if (!ready_) return kill_tree();
        tell(w_.plan.supervision.stop_signal, w_.plan.supervision.stop_all);
        arm(grace_, w_.plan.supervision.grace);
    }

    void time_out() {
        std::uint64_t count = 0;
        static_cast<void>(!read(timeout_.get(), &count, sizeof count));
        timed_out_ = true;
        stop();
    }

    // With its first process a process-id namespace ends; in the host's, init ends its descendants when we hang up.
    void kill_tree() {
        std::uint64_t count = 0;
        static_cast<void>(!read(grace_.get(), &count, sizeof count));
        if (!w_.plan.supervision.own_pid_namespace && w_.plan.supervision.init && !hung_up_) {
            hung_up_ = true;
            shutdown(w_.socket, SHUT_WR);
            arm(grace_, 2'000'000'000);
            return;
        }
        syscall(SYS_pidfd_send_signal, w_.child.pidfd.get(), SIGKILL, nullptr, 0);
    }

    // Ctrl-Z in front of the launcher: the sandbox stops too, and goes on with us.
    void suspend() {
        tell(SIGSTOP, true);
        termios raw{};
        const bool own = w_.plan.supervision.raw_terminal && tcgetattr(0, &raw) == 0;
        kill(getpid(), SIGSTOP);
        if (own && tcgetpgrp(0) == getpgrp()) tcsetattr(0, TCSADRAIN, &raw);
        copy_size();
        tell(SIGCONT, true);
    }

    // ---- terminal

    void take_terminal(Fd master) {
        terminal_ = std::move(master);
        copy_size();
        fcntl(terminal_.get(), F_SETFL, O_NONBLOCK);
        const auto again = [this] { return Fd(fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 3)); };
        if (w_.plan.supervision.detached) {
            Pump pump{again(), Fd(), {}, false};
            pump.log = w_.presence.log();
            if (!pump.log) pump.to.reset(open("/dev/null", O_WRONLY | O_CLOEXEC));
            w_.pumps.push_back(std::move(pump));
            return;
        }
        const int screen = isatty(1) ? 1 : isatty(2) ? 2 : isatty(0) ? 0 : 1;
        w_.pumps.push_back({again(), caller_stream(screen, false), {}, false});
        if (w_.plan.supervision.reads_terminal) w_.pumps.push_back({caller_stream(0, true), again(), {}, true});
    }

    void copy_size() {
        winsize size{};
        if (!terminal_) return;
        for (const int fd : {0, 1, 2})
            if (ioctl(fd, TIOCGWINSZ, &size) == 0) {
                ioctl(terminal_.get(), TIOCSWINSZ, &size);
                return;
            }
    }

    // ---- bytes

    static void move_bytes(Pump& pump, short readable, short writable) {
        char buffer[4096];
        if (readable) {
            const ssize_t size = read(pump.from.get(), buffer, sizeof buffer);
            if (size > 0 && pump.log) {
                pump.log->write(pump.stream, {buffer, static_cast<std::size_t>(size)});
            } else if (size > 0) {
                pump.waiting.append(buffer, static_cast<std::size_t>(size));
            } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
                pump.from.reset();
                if (pump.terminal_input) pump.waiting.push_back('\x04');
            }
        }
        if (writable) write_some(pump);
        if (!pump.from && pump.waiting.empty()) pump.to.reset();
    }

    // No more than what poll(2) promises room for.
    static void write_some(Pump& pump) {
        const ssize_t size = write(pump.to.get(), pump.waiting.data(), std::min<std::size_t>(pump.waiting.size(), 4096));
        if (size > 0)
            pump.waiting.erase(0, static_cast<std::size_t>(size));
        else if (errno != EAGAIN && errno != EINTR) {
            pump.waiting.clear();  // nobody reads any more
            pump.from.reset();
        }
    }

    // What the payload wrote before it ended is still on its way; it is bounded by the pipes' and the terminal's size.
    void drain() {
        bool over = false;
        while (auto received = receive_record(w_.socket, over)) {
            if (received->record.kind == RecordKind::exited) payload_status_ = received->record.detail;
            if (auto obeyed = obey(*received); !obeyed && !failure_) failure_ = std::move(obeyed.error());
        }
        for (Pump& pump : w_.pumps) {
            if (pump.terminal_input || (!pump.to && !pump.log)) continue;
            char buffer[4096];
            while (pump.from) {
                pollfd ready{pump.from.get(), POLLIN, 0};
                const ssize_t size = poll(&ready, 1, 0) > 0 ? read(pump.from.get(), buffer, sizeof buffer) : 0;
                if (size <= 0) break;
                if (pump.log) {
                    pump.log->write(pump.stream, {buffer, static_cast<std::size_t>(size)});
                    continue;
                }
                pump.waiting.append(buffer, static_cast<std::size_t>(size));
            }
            while (!pump.waiting.empty()) {
                pollfd room{pump.to.get(), POLLOUT, 0};
                if (poll(&room, 1, 1000) <= 0) break;
                write_some(pump);
            }
        }
    }

    // ---- the end

    Result<Outcome> finish() {
        if (failure_) return tl::unexpected<Error>(std::move(*failure_));
        int status = 0;
        rusage usage{};
        while (wait4(w_.child.pid, &status, 0, &usage) < 0 && errno == EINTR) {
        }
        w_.child.pid = -1;
        if (payload_status_)
            status = *payload_status_;
        else if (ready_ && (hung_up_ || w_.plan.supervision.joins))
            status = SIGKILL;  // nobody was left to say how the command has ended
        else if (!ready_)
            return fail(cat("the sandbox ended before its command ran",
                            WIFSIGNALED(status) ? cat(": killed by signal ", WTERMSIG(status)) : std::string()),
                        "look for an out-of-memory report in the kernel log");
        Outcome outcome;
        outcome.wall_s = now() - started_;
        outcome.user_s = seconds(usage.ru_utime);
        outcome.system_s = seconds(usage.ru_stime);
        outcome.memory_peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
        outcome.skipped = std::move(w_.skipped);
        if (WIFSIGNALED(status)) {
            outcome.reason = "signal";
            outcome.signal = WTERMSIG(status);
            outcome.exit_code = 128 + outcome.signal;
        } else {
            outcome.reason = "exit";
            outcome.exit_code = WEXITSTATUS(status);
        }
        if (timed_out_) {
            outcome.reason = "timeout";
            outcome.exit_code = 124;
        }
        count(outcome);
        return outcome;
    }

    // Init is still there; when the last process of a scope has gone, systemd removes the groups in it and what they have counted.
    void payload_ended(int status) {
        payload_status_ = status;
        if (!w_.plan.supervision.scope) return;
        read_counts();
        shutdown(w_.socket, SHUT_WR);
    }

    // What a group that is gone does not say any more stays as it was.
    void read_counts() {
        const auto keep = [](std::optional<std::uint64_t>& kept, std::optional<std::uint64_t> now) { kept = now ? now : kept; };
        const GroupSet& groups = w_.groups;
        keep(counts_.memory_peak, groups.memory_peak());
        keep(counts_.pids_peak, groups.pids_peak());
        keep(counts_.oom_kills, groups.oom_kills());
        keep(counts_.pids_denied, groups.pids_denied());
    }

    // A payload that failed after a fork was denied, or after a process of it was killed for want of memory, has failed of that, as far as
    // anybody can tell.
    void count(Outcome& outcome) const {
        outcome.memory_peak_bytes = counts_.memory_peak.value_or(outcome.memory_peak_bytes);
        outcome.pids_peak = counts_.pids_peak;
        outcome.oom_kills = counts_.oom_kills;
        if (outcome.reason == "timeout" || outcome.exit_code == 0) return;
        if (outcome.oom_kills.value_or(0) > 0 || out_of_memory_)
            outcome.reason = "oom";
        else if (outcome.reason == "exit" && counts_.pids_denied.value_or(0) > 0)
            outcome.reason = "pids";
    }

    struct Counts {
        std::optional<std::uint64_t> memory_peak, pids_peak, oom_kills, pids_denied;
    };

    Supervised& w_;
    double started_;
    Duties duties_{w_.plan, w_.presence};
    Fd signals_, grace_, timeout_, terminal_, oom_, processor_;
    std::vector<std::size_t> starters_;
    bool held_ = false, out_of_memory_ = false;
    bool socket_open_ = true, ended_ = false, ready_ = false, timed_out_ = false, hung_up_ = false;
    std::optional<int> payload_status_;
    Counts counts_;
    std::optional<Error> failure_;

    static Status step_failure(const Step* step, const Record& record) {
        if (!step) return fail(cat("the sandbox could not be set up: ", errno_text(record.error)));
        Error error{cat("step ", printable(step->id), " (", printable(step->text), "): ", errno_text(record.error)),
                    advice_for(*step, record.error),
                    record.error,
                    step->origin,
                    {}};
        return tl::unexpected<Error>(std::move(error));
    }
};

}  // namespace

Result<Outcome> supervise(Supervised& what) { return Supervisor(what).run(); }

}  // namespace sandbox
