// The table of contents of a launch.

#include "plan/plan.h"

#include <optional>

#include "plan/context.h"

namespace sandbox {
namespace {

void move_all(std::vector<Step>& to, std::vector<Step>& from) {
    for (Step& step : from) to.push_back(std::move(step));
}

// Two of the user's wishes may meet at one path: the second step of a name is "mount:/x#2".
void tell_apart(std::vector<Step>& steps) {
    std::set<std::string> taken;
    for (Step& step : steps) {
        std::string id = step.id;
        for (int number = 2; !taken.insert(id).second; ++number) id = cat(step.id, "#", number);
        step.id = std::move(id);
    }
}

std::string describe(const std::vector<Slot>& slots) {
    return cat("go, with ", slots.size(), slots.size() == 1 ? " descriptor" : " descriptors");
}

}  // namespace

Step host_step(std::string id, Position origin, std::string text, std::string undo, Action action) {
    return {std::move(id), Side::host, std::move(text), std::move(undo), origin, false, std::move(action)};
}

Step sandbox_step(std::string id, Position origin, std::string text, Action action) {
    return {std::move(id), Side::sandbox, std::move(text), {}, origin, false, std::move(action)};
}

void leave_out_groups(Context& c) {
    for (const std::uint32_t group : c.user.groups)
        if (!c.identity.maps_gid(group)) c.plan.notes.push_back(cat("groups: gid ", group, " is not in the id map: it is left out"));
    std::erase_if(c.user.groups, [&c](std::uint32_t group) { return !c.identity.maps_gid(group); });
}

void join_phases(Context& c) {
    Plan& plan = c.plan;
    plan.slots = static_cast<std::uint32_t>(c.next_slot);
    move_all(plan.steps, c.before);
    move_all(plan.steps, c.clone);
    move_all(plan.steps, c.after);
    plan.steps.push_back(host_step("release", {}, describe(c.sent), {}, step::Release{c.sent}));
    plan.steps.push_back(sandbox_step(
        "receive", {}, c.identity.own_user_namespace && !c.joins ? "wait for the id maps and take the descriptors" : "take the descriptors",
        step::Receive{c.sent}));
    move_all(plan.steps, c.entry);
    move_all(plan.steps, c.setup);
    move_all(plan.steps, c.finish);
    move_all(plan.steps, c.payload);
    tell_apart(plan.steps);
}

Plan make_plan(const Profile& asked, const HostFacts& facts, const CallerContext& caller) {
    Plan plan;
    plan.name = *asked.name;
    std::optional<Profile> reduced;
    if (asked.warn_unsupported) reduced = without_unsupported(asked, facts);
    const Profile& profile = reduced ? *reduced : asked;
    Context context{profile, facts, caller, plan, decide_identity(profile, facts, nullptr), look_up_user(profile, facts, nullptr)};

    leave_out_groups(context);
    plan_state(context);     // lock, journal, id lease, the clone into its namespaces, the id maps
    plan_root(context);      // the tree that becomes "/"
    plan_mounts(context);    // what is mounted on it, parents first
    plan_files(context);     // folders, files and links
    plan_names(context);     // host name, clocks, kernel parameters, loopback, keyring
    plan_streams(context);   // standard streams, terminal, passed descriptors
    plan_masks(context);     // what is covered, what is read-only; then the root is entered
    plan_process(context);   // limits and scheduling
    plan_security(context);  // ids, capabilities, filter
    plan_exec(context);

    join_phases(context);
    return plan;
}

}  // namespace sandbox
