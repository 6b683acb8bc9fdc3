// Standard streams, terminal and passed descriptors of the payload.

#include <algorithm>

#include "plan/context.h"

namespace sandbox {
namespace {

bool wants_terminal(const Context& c) {
    const auto& tty = c.caller.terminal;
    switch (*c.profile.process.tty) {
        case Switch::on: return true;
        case Switch::off: return false;
        case Switch::automatic: break;
    }
    return has_terminals(c.profile) && (tty[0] || tty[1] || tty[2]);
}

void open_terminal(Context& c) {
    const Profile& p = c.profile;
    c.terminal = c.slot();
    c.plan.supervision.terminal = true;
    c.plan.supervision.raw_terminal = c.caller.terminal[0] && *p.process.stdin_mode == StdinMode::automatic;
    if (c.plan.supervision.raw_terminal)
        c.before.push_back(host_step("terminal.raw", p.process.tty.at, "set the caller's terminal to raw input",
                                     "give it its settings back", step::RawTerminal{}));
    c.setup.push_back(sandbox_step("terminal", p.process.tty.at, "open a terminal of the sandbox's own",
                                   step::OpenTerminal{c.terminal, c.user.uid, c.caller.size}));
    if (*p.dev.mode == DevMode::minimal && !c.joins) {
        c.setup.push_back(sandbox_step("target:/dev/console", {}, "make /dev/console",
                                       step::MakeFile{"/dev/console", {}, {}, 0600, 0, 0, false, no_slot}));
        c.setup.push_back(sandbox_step("console", {}, "show the terminal as /dev/console", step::ShowConsole{c.terminal}));
    }
}

Slot input_pipe(Context& c) {
    const Slot slot = c.sent_slot();
    c.before.push_back(
        host_step("stdin", c.profile.process.stdin_mode.at, "standard input comes through a pipe", {}, step::InputPipe{slot}));
    return slot;
}

Slot standard_input(Context& c) {
    const Process& process = c.profile.process;
    const Position at = process.stdin_mode.at;
    switch (*process.stdin_mode) {
        case StdinMode::automatic:
            if (!c.caller.detached) break;
            [[fallthrough]];
        case StdinMode::null: {
            const Slot slot = c.sent_slot();
            c.before.push_back(host_step("stdin", at, "standard input is empty", {}, step::NullDescriptor{slot}));
            return slot;
        }
        case StdinMode::file: {
            const Slot slot = c.sent_slot();
            c.before.push_back(
                host_step("stdin", at, cat("standard input is ", *process.stdin_file), {}, step::OpenFile{slot, *process.stdin_file}));
            return slot;
        }
        case StdinMode::pipe:
            if (c.caller.detached) break;
            return input_pipe(c);
    }
    if (c.terminal != no_slot && (c.caller.terminal[0] || *process.tty == Switch::on)) {
        c.plan.supervision.reads_terminal = true;
        return c.terminal;
    }
    const Slot slot = c.sent_slot();
    if (c.caller.detached) {
        c.before.push_back(host_step("stdin", at, "standard input is empty", {}, step::NullDescriptor{slot}));
        return slot;
    }
    if (c.caller.terminal[0]) {
        c.before.push_back(host_step("stdin", at, "standard input comes through a pipe", {}, step::InputPipe{slot}));
        return slot;
    }
    c.before.push_back(host_step("stdin", at, "standard input is the caller's", {}, step::CallerDescriptor{slot, 0}));
    return slot;
}

Slot logged_output(Context& c, int number, const char* name) {
    const Slot slot = c.sent_slot();
    if (*c.profile.logging.driver == LogDriver::none)
        c.before.push_back(host_step(name, c.profile.logging.driver.at, cat(name, " is thrown away"), {}, step::NullDescriptor{slot}));
    else
        c.before.push_back(host_step(name, c.profile.logging.driver.at, cat(name, " goes to the log"), {}, step::LogPipe{slot, number}));
    return slot;
}

// A path of the caller's making: not the profile's, so it has no place there.
void plan_log(Context& c) {
    if (!c.caller.detached || *c.profile.logging.driver != LogDriver::file) return;
    const std::string folder = cat(c.caller.log_folder, "/", c.plan.name);
    c.before.push_back(host_step("log.create", c.profile.logging.driver.at, cat("make the folder of log files ", folder),
                                 "remove it with the sandbox", step::MakeLogFolder{folder}));
}

Slot standard_output(Context& c, int number, const char* name) {
    if (c.caller.detached && c.terminal != no_slot) return c.terminal;
    if (c.caller.detached) return logged_output(c, number, name);
    // The caller's terminal itself is never handed in: what holds it can read its keys (and push some, TIOCSTI).
    if (c.terminal != no_slot && (c.caller.terminal[number] || *c.profile.process.tty == Switch::on)) return c.terminal;
    const Slot slot = c.sent_slot();
    if (c.caller.terminal[number]) {
        c.before.push_back(host_step(name, {}, cat(name, " goes through a pipe"), {}, step::OutputPipe{slot, number}));
        return slot;
    }
    c.before.push_back(host_step(name, {}, cat(name, " is the caller's"), {}, step::CallerDescriptor{slot, number}));
    return slot;
}

}  // namespace

bool has_terminals(const Profile& profile) {
    if (!is_private(profile.namespaces.mount)) return false;
    if (*profile.dev.mode != DevMode::none) return true;
    return std::ranges::any_of(profile.mounts, [](const Mount& m) { return *m.target == "/dev/pts" || *m.target == "/dev"; });
}

void plan_streams(Context& c) {
    plan_log(c);
    if (wants_terminal(c)) open_terminal(c);
    step::PlaceDescriptors place;
    place.places.emplace_back(standard_input(c), 0);
    place.places.emplace_back(standard_output(c, 1, "stdout"), 1);
    place.places.emplace_back(standard_output(c, 2, "stderr"), 2);
    std::string text = "standard streams";
    for (const auto& number : c.profile.process.pass_fds) {
        const Slot slot = c.sent_slot();
        c.before.push_back(host_step(cat("pass:", *number), number.at, cat("pass descriptor ", *number), {},
                                     step::CallerDescriptor{slot, static_cast<int>(*number)}));
        place.places.emplace_back(slot, static_cast<int>(*number));
        text += cat(", ", *number);
    }
    if (c.caller.hold) c.payload.push_back(sandbox_step("hold", {}, "wait for sandbox start", step::Hold{}));
    if (c.profile.process.init)
        c.payload.push_back(sandbox_step("init", {}, "start the payload's process; this one stays as init", step::StartPayload{}));
    c.plan.supervision.init = c.profile.process.init;
    c.payload.push_back(sandbox_step("session", {},
                                     c.terminal == no_slot ? "start a session without a terminal" : "start a session on the new terminal",
                                     step::NewSession{c.terminal}));
    c.payload.push_back(sandbox_step("descriptors", {}, cat("keep ", text, " and close everything else"), std::move(place)));
    c.payload.push_back(sandbox_step("working-dir", c.profile.process.working_dir.at, cat("change to ", *c.profile.process.working_dir),
                                     step::WorkingDirectory{*c.profile.process.working_dir}));
}

}  // namespace sandbox
