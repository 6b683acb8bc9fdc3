// Standard streams, descriptors and the terminal.
#include "exec/launch_steps.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"

namespace sandbox {

Status Launch::run(const step::CallerDescriptor& s) {
    Fd copy(fcntl(s.number, F_DUPFD_CLOEXEC, 3));
    if (!copy && s.number < 3) return run(step::NullDescriptor{s.slot});  // the caller runs without it
    if (!copy) return fail_errno(cat("descriptor ", s.number), errno, "open it in the caller, or leave it out of process.pass_fds");
    slot(s.slot) = std::move(copy);
    return {};
}

Status Launch::run(const step::NullDescriptor& s) {
    slot(s.slot).reset(open("/dev/null", O_RDWR | O_CLOEXEC));
    return slot(s.slot) ? Status() : fail_errno("/dev/null", errno);
}

Result<std::pair<Fd, Fd>> Launch::make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", errno);
    return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Status Launch::run(const step::InputPipe& s) {
    auto pipe = make_pipe();
    if (!pipe) return pass(pipe);
    slot(s.slot) = std::move(pipe->first);
    pumps_.push_back({caller_stream(0, true), std::move(pipe->second), {}, false});
    return {};
}

Status Launch::run(const step::OutputPipe& s) {
    auto pipe = make_pipe();
    if (!pipe) return pass(pipe);
    slot(s.slot) = std::move(pipe->second);
    pumps_.push_back({std::move(pipe->first), caller_stream(s.number, false), {}, false});
    return {};
}

Status Launch::run(const step::MakeLogFolder& s) {
    if (presence_.log()) return {};
    Recorder r = recorder();
    if (auto made = make_log_folder(r, s.path); !made) return made;
    return presence_.open_log(s.path);
}

Status Launch::run(const step::LogPipe& s) {
    if (!presence_.log())
        if (auto opened = presence_.open_log({}); !opened) return opened;
    auto pipe = make_pipe();
    if (!pipe) return pass(pipe);
    slot(s.slot) = std::move(pipe->second);
    Pump pump{std::move(pipe->first), Fd(), {}, false};
    pump.log = presence_.log();
    pump.stream = s.number == 2 ? LogStream::err : LogStream::out;
    pumps_.push_back(std::move(pump));
    return {};
}

Status Launch::run(const step::RawTerminal&) {
    if (plan_.supervision.joins) return borrow_terminal();
    Recorder r = recorder();
    return make_terminal_raw(r);
}

Status Launch::borrow_terminal() {
    termios settings{};
    if (tcgetpgrp(0) != getpgrp()) return {};
    if (tcgetattr(0, &settings) != 0) return fail_errno("the caller's terminal", errno);
    termios raw = settings;
    cfmakeraw(&raw);
    if (tcsetattr(0, TCSADRAIN, &raw) != 0) return fail_errno("set the caller's terminal to raw input", errno);
    terminal_before_ = settings;
    return {};
}

}  // namespace sandbox
