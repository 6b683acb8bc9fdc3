// A further command in a living sandbox: it is joined, and then the payload's own steps are taken again.

#include <linux/capability.h>

#include <algorithm>

#include "plan/context.h"

namespace sandbox {
namespace {

// What the payload has, less what was for it alone, with what is asked for in its place.
Result<Profile> profile_for(const Profile& of_payload, const ExecRequest& request) {
    Profile p = of_payload;
    p.process.init = true;  // somebody has to end what the command leaves behind
    p.process.pass_fds.clear();
    p.process.stdin_mode = StdinMode::automatic;
    p.process.tty = request.tty;
    p.lifecycle = Lifecycle{};
    p.lifecycle.grace = of_payload.lifecycle.grace;
    p.process.command.clear();
    for (const std::string& word : request.command) p.process.command.emplace_back(word);
    if (!request.user.empty()) {
        p.process.user = Text(request.user);
        p.process.groups.clear();
    }
    if (!request.working_dir.empty()) {
        const auto path = normal_path(request.working_dir);
        if (!path)
            return fail(cat("--workdir ", quote(request.working_dir), " is not a complete path"), "it begins with / and has no .. in it");
        p.process.working_dir = Text(*path);
    }
    for (const std::string& entry : request.environment) {
        const auto equals = entry.find('=');
        if (entry.empty() || equals == 0) return fail(cat("--env ", quote(entry), " names no variable"), "write it as NAME=VALUE");
        EnvironmentEntry wanted{entry.substr(0, equals), {}};
        if (equals != std::string::npos) wanted.value = Text(entry.substr(equals + 1));
        p.process.environment.entries.push_back(std::move(wanted));
    }
    return p;
}

Status check_ids(const Context& c, const Mistake& mistake) {
    if (!mistake.text.empty()) return fail(mistake.text, "a number works without an entry there");
    if (!c.identity.maps_uid(c.user.uid)) return fail(cat("uid ", c.user.uid, " is not in the sandbox's id map"));
    if (!c.identity.maps_gid(c.user.gid)) return fail(cat("gid ", c.user.gid, " is not in the sandbox's id map"));
    return {};
}

// v1: the child writes itself in, through files that are opened while the host's tree is in sight. v2: it is born there.
void plan_groups_of(Context& c, const ExecRequest& request, step::Spawn& spawn) {
    step::JoinGroups join_groups;
    for (const ExecGroup& group : request.groups) {
        const Slot slot = group.v2 ? c.slot() : c.sent_slot();
        c.before.push_back(host_step(cat("cgroup.open:", group.controllers.empty() ? "unified" : join(group.controllers, ",")), {},
                                     cat("open the group ", group.path), {}, step::OpenGroup{slot, group.path, group.v2}));
        if (group.v2)
            spawn.group = slot;
        else
            join_groups.tasks.push_back(slot);
        c.groups = true;
        c.device_filter = c.device_filter || std::ranges::find(group.controllers, "devices") != group.controllers.end();
    }
    std::string text = cat("enter ", join_groups.tasks.size(), join_groups.tasks.size() == 1 ? " group" : " groups");
    if (!join_groups.tasks.empty()) c.entry.push_back(sandbox_step("cgroup.join", {}, std::move(text), std::move(join_groups)));
}

void plan_join(Context& c, const ExecRequest& request) {
    step::Spawn spawn;
    spawn.process = c.slot();
    c.before.push_back(host_step("sandbox.open", {}, cat("open the first process of ", c.plan.name, ", process ", request.init), {},
                                 step::OpenProcess{spawn.process, c.plan.name, request.init, request.init_start}));
    plan_groups_of(c, request, spawn);
    c.clone.push_back(host_step("clone", {}, "clone into its namespaces", "kill the process and wait for its end", std::move(spawn)));
    plan_work_as(c);
}

// What the payload got from its launcher, where this caller has something else.
void plan_inherited_limits(Context& c, const ExecRequest& request) {
    const bool may_raise = c.facts.capabilities >> CAP_SYS_RESOURCE & 1;
    for (const ExecLimit& limit : request.limits) {
        if (std::ranges::any_of(c.profile.ulimits, [&limit](const Ulimit& own) { return own.resource == limit.resource; })) continue;
        const bool raise = limit.hard > limit.own_hard;
        if (raise && may_raise)
            c.after.push_back(
                host_step(cat("ulimit.raise:", limit.resource), {}, cat("allow resource ", limit.resource, " as much as the sandbox has"),
                          {}, step::TuneProcess{step::Tuning::hard_limit, limit.resource, static_cast<std::int64_t>(limit.hard), {}}));
        const std::uint64_t hard = raise && !may_raise ? limit.own_hard : limit.hard;
        c.payload.push_back(sandbox_step(cat("ulimit:", limit.resource), {}, cat("limit resource ", limit.resource, " as in the sandbox"),
                                         step::SetLimit{limit.resource, std::min(limit.soft, hard), hard}));
    }
}

}  // namespace

Result<Plan> make_exec_plan(const Profile& of_payload, const HostFacts& facts, const CallerContext& caller, const ExecRequest& request) {
    Plan plan;
    plan.name = *of_payload.name;
    auto wanted = profile_for(of_payload, request);
    if (!wanted) return pass(wanted);
    const Profile profile = wanted->warn_unsupported ? without_unsupported(std::move(*wanted), facts) : std::move(*wanted);
    Mistake mistake;
    Context context{profile, facts, caller, plan, decide_identity(profile, facts, nullptr), look_up_user(profile, facts, &mistake)};
    context.joins = true;
    if (auto right = check_ids(context, mistake); !right) return pass(right);
    leave_out_groups(context);

    plan_join(context, request);  // the clone into its groups and namespaces
    plan_keyring(context);
    plan_streams(context);
    plan_process(context);
    plan_inherited_limits(context, request);
    plan_security(context);
    plan_exec(context);
    plan.supervision.joins = true;
    plan.supervision.own_pid_namespace = false;
    join_phases(context);
    return plan;
}

}  // namespace sandbox
