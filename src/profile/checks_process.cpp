// The process and its life: what fits together.
#include <algorithm>

#include "base/text.h"
#include "profile/checks.h"

namespace sandbox {
namespace {

void check_command(const Profile& profile, Report& report) {
    const auto& command = profile.process.command;
    if (report.failed("process.command") || report.failed("process")) {
        if (command.empty()) return;
    }
    if (command.empty())
        return report.error("E0320", report.document(), "process.command", "there is no command",
                            "add 'process: {command: [/bin/sh]}', or '-- ARGV' on the command line");
    if (command.front()->empty() && !report.failed("process.command"))
        report.error("E0320", command.front().at.known() ? command.front().at : report.document(), "process.command[0]",
                     "the program has no name", "the first word of the command is a path or a name on PATH");
}

void check_scheduler(const Profile& profile, Report& report) {
    const Process& process = profile.process;
    if (!process.scheduler || report.failed("process.scheduler")) return;
    const bool realtime = **process.scheduler == SchedulerPolicy::fifo || **process.scheduler == SchedulerPolicy::rr;
    if (realtime && process.scheduler_priority == 0)
        report.error("E0415", process.scheduler->at, "process.scheduler", "fifo and rr need a priority",
                     "write {policy: fifo, priority: 1}; 1 is the lowest, 99 the highest");
    if (!realtime && process.scheduler_priority != 0)
        report.error("E0415", process.scheduler->at, "process.scheduler", "only fifo and rr have a priority", "use 'nice' for the others");
}

void check_descriptors(const Profile& profile, Report& report) {
    const auto& numbers = profile.process.pass_fds;
    for (std::size_t i = 0; i < numbers.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (*numbers[i] == *numbers[j] && *numbers[i] != 0) {
                report.error("E0415", numbers[i].at, cat("process.pass_fds[", i, "]"),
                             cat("descriptor ", *numbers[i], " is in the list already"), "keep one of the two");
                break;
            }
}

void check_lifecycle(const Profile& profile, Report& report) {
    const auto& timeout = profile.lifecycle.timeout;
    if (timeout && **timeout == 0 && !report.failed("lifecycle.timeout"))
        report.error("E0304", timeout->at, "lifecycle.timeout", "no time at all", "give a time such as 60s, or remove the key");
    const auto& cpu_time = profile.lifecycle.cpu_time;
    if (cpu_time && **cpu_time == 0)
        report.error("E0304", cpu_time->at, "lifecycle.cpu_time", "no time at all", "give a time such as 60s, or remove the key");
}

void check_health(const Profile& profile, Report& report) {
    const auto& health = profile.lifecycle.healthcheck;
    if (!health) return;
    if (health->command.empty() && !report.failed("lifecycle.healthcheck"))
        report.error("E0320", health->at, "lifecycle.healthcheck.command", "there is no command",
                     "name a program of the sandbox, such as [curl, -f, localhost]");
    if (*health->interval <= 0)
        report.error("E0304", health->interval.at, "lifecycle.healthcheck.interval", "no time at all", "give a time such as 30s");
    if (*health->timeout <= 0)
        report.error("E0304", health->timeout.at, "lifecycle.healthcheck.timeout", "no time at all", "give a time such as 30s");
}

void check_hooks(const std::vector<Hook>& hooks, const std::string& key, bool inside_exists, Report& report) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        const std::string path = cat("lifecycle.hooks.", key, "[", i, "]");
        const Hook& hook = hooks[i];
        if (hook.command.empty() && !report.failed(path))
            report.error("E0320", hook.at, path, "there is no command", "name a program and its arguments");
        if (*hook.timeout <= 0) report.error("E0304", hook.timeout.at, cat(path, ".timeout"), "no time at all", "give a time such as 30s");
        if (*hook.where == HookPlace::sandbox && !inside_exists)
            report.error("E0424", hook.where.at, cat(path, ".where"), "there is no sandbox at that moment",
                         "run it on the host, or as a started hook");
    }
}

void check_all_hooks(const Profile& profile, Report& report) {
    check_hooks(profile.lifecycle.hooks.prepare, "prepare", false, report);
    check_hooks(profile.lifecycle.hooks.started, "started", true, report);
    check_hooks(profile.lifecycle.hooks.stopped, "stopped", false, report);
}

void check_logging(const Profile& profile, Report& report) {
    if (*profile.logging.max_size < 4096 && !report.failed("logging.max_size"))
        report.error("E0425", profile.logging.max_size.at, "logging.max_size", "a log file holds at least 4Ki", "give a size such as 10Mi");
}

}  // namespace

void check_process(const Profile& profile, Report& report) {
    check_command(profile, report);
    check_scheduler(profile, report);
    check_descriptors(profile, report);
    check_lifecycle(profile, report);
    check_health(profile, report);
    check_all_hooks(profile, report);
    check_logging(profile, report);
}

}  // namespace sandbox
