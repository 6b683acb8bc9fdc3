// Limits and scheduling of the payload. What needs privileges on the host the parent does, by process id, before the
// sandbox is let go.

#include <linux/capability.h>

#include <sys/personality.h>
#include <sys/resource.h>

#include <algorithm>

#include "plan/context.h"
#include "profile/names.h"

namespace sandbox {
namespace {

void tune(Context& c, const char* id, Position at, std::string text, step::TuneProcess what) {
    c.after.push_back(host_step(id, at, std::move(text), {}, std::move(what)));
}

// 0 is what a process has that nobody touched. A session may have raised it, which not everybody may take back.
void plan_oom_score(Context& c, const At<std::int64_t>& score) {
    const std::int64_t own = c.caller.oom_score_adj;
    if (*score == own) return;
    if (*score == 0 && own > 0 && !(c.facts.capabilities >> CAP_SYS_RESOURCE & 1))
        return c.plan.notes.push_back(cat("oom-score: the caller's ", own, " is kept: lowering it needs CAP_SYS_RESOURCE"));
    tune(c, "oom-score", score.at, cat("set the OOM score adjustment to ", *score), {step::Tuning::oom_score, *score, 0, {}});
}

void plan_scheduling(Context& c) {
    const Process& p = c.profile.process;
    plan_oom_score(c, p.oom_score_adj);
    if (p.nice) tune(c, "nice", p.nice->at, cat("set the nice value to ", **p.nice), {step::Tuning::nice, **p.nice, 0, {}});
    if (p.scheduler)
        tune(c, "scheduler", p.scheduler->at, "set the scheduling policy",
             {step::Tuning::scheduler, static_cast<std::int64_t>(**p.scheduler), p.scheduler_priority, {}});
    if (p.io_class)
        tune(c, "io-priority", p.io_class->at, "set the input/output priority",
             {step::Tuning::io_priority, static_cast<std::int64_t>(**p.io_class), p.io_level, {}});
    if (!p.cpu_affinity.empty())
        tune(c, "affinity", p.cpu_affinity_at,
             cat("run on ", p.cpu_affinity.size(), p.cpu_affinity.size() == 1 ? " processor" : " processors"),
             {step::Tuning::affinity, 0, 0, p.cpu_affinity});
}

std::string limit_text(std::uint64_t value) { return value == rlimit_infinity ? "infinity" : std::to_string(value); }

void plan_limits(Context& c) {
    for (const Ulimit& limit : c.profile.ulimits) {
        // Only the host's root may raise a hard limit; inside a user namespace nobody can.
        if (c.identity.own_user_namespace && limit.hard > 0)
            c.after.push_back(
                host_step(cat("ulimit.raise:", limit.name), limit.at, cat("allow ", limit.name, " up to ", limit_text(limit.hard)), {},
                          step::TuneProcess{step::Tuning::hard_limit, limit.resource, static_cast<std::int64_t>(limit.hard), {}}));
        c.payload.push_back(sandbox_step(cat("ulimit:", limit.name), limit.at,
                                         cat("limit ", limit.name, " to ", limit_text(limit.soft), ":", limit_text(limit.hard)),
                                         step::SetLimit{limit.resource, limit.soft, limit.hard}));
    }
}

// What the launcher raised for itself is no limit of the payload's.
void plan_descriptor_limit(Context& c) {
    const bool asked = std::ranges::any_of(c.profile.ulimits, [](const Ulimit& limit) { return limit.resource == RLIMIT_NOFILE; });
    if (asked || static_cast<std::uint32_t>(c.next_slot) < many_slots) return;
    const std::uint64_t soft = c.facts.nofile_soft, hard = c.facts.nofile_hard;
    c.payload.push_back(sandbox_step("ulimit:nofile", {}, cat("limit nofile to the caller's ", limit_text(soft), ":", limit_text(hard)),
                                     step::SetLimit{RLIMIT_NOFILE, soft, hard}));
}

}  // namespace

void plan_process(Context& c) {
    const Process& p = c.profile.process;
    plan_scheduling(c);
    plan_limits(c);
    plan_descriptor_limit(c);
    if (p.personality)
        c.payload.push_back(sandbox_step("personality", p.personality->at, cat("set the personality ", **p.personality),
                                         step::SetPersonality{personality_number(**p.personality).value_or(PER_LINUX)}));
    c.payload.push_back(sandbox_step("umask", {}, cat("set the umask to ", format_mode(p.umask)), step::SetUmask{p.umask}));
}

}  // namespace sandbox
