// The control groups of a launch: which trees, what is set in them, how the child gets there.

#include <linux/capability.h>

#include <algorithm>

#include "plan/context.h"
#include "plan/limits.h"

namespace sandbox {
namespace {

bool holds(const CgroupFact& tree, const std::string& controller, const HostFacts& facts) { return tree_of(facts, controller) == &tree; }

// "memory", "cpu,cpuacct", "unified": how a tree is called in the names of steps.
std::string label_of(const CgroupFact& tree) { return tree.version == CgroupVersion::v2 ? "unified" : join(tree.controllers, ","); }

std::vector<std::string> needed_in(const CgroupFact& tree, const Limits& limits, const HostFacts& facts) {
    std::vector<std::string> out;
    for (const std::string& controller : limits.controllers)
        if (holds(tree, controller, facts)) out.push_back(controller);
    return out;
}

// What v2 hands out by name; the rest is its core.
std::vector<std::string> by_name(const CgroupFact& tree, std::vector<std::string> controllers) {
    std::erase_if(controllers,
                  [&tree](const std::string& name) { return std::ranges::find(tree.controllers, name) == tree.controllers.end(); });
    return controllers;
}

constexpr const char* undo_own = "end what is in it and remove it";
constexpr const char* undo_shared = "remove it unless another sandbox uses it";

// ---- the groups above

void share(Context& c, const CgroupFact& tree, const std::string& path, const std::string& what, std::vector<std::string> enable,
           std::vector<step::GroupValue> values, Position at) {
    const bool v2 = tree.version == CgroupVersion::v2;
    const bool cpuset = !v2 && holds(tree, "cpuset", c.facts);
    std::string text = cat("use the shared group ", path);
    for (const step::GroupValue& value : values) text += cat(", ", value.file, " ", value.value);
    c.before.push_back(host_step(cat("cgroup.parent:", label_of(tree), what.empty() ? "" : cat(":", what)), at, std::move(text),
                                 undo_shared, step::ShareGroup{path, tree.mount, v2, std::move(enable), std::move(values), cpuset}));
}

std::vector<step::GroupValue> values_in(const CgroupFact& tree, const Limits& limits, const HostFacts& facts) {
    std::vector<step::GroupValue> out;
    for (const Setting& s : limits.settings)
        if (holds(tree, s.controller, facts)) out.push_back({s.file, s.value});
    return out;
}

// "/sys/fs/cgroup/memory/sandbox/tier": the launcher's own group, then those of the profile's parent. Returns the last.
std::string share_parents(Context& c, const CgroupFact& tree, const std::vector<std::string>& enable) {
    std::string path = cat(tree.mount, "/sandbox");
    share(c, tree, path, {}, enable, {}, {});
    const auto& parent = c.profile.cgroup.parent;
    if (!parent) return path;
    const Limits limits = translate_parent(*parent, c.facts);
    const auto parts = split(*parent->name, '/');
    std::string name;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        path += cat("/", parts[i]);
        name += cat(name.empty() ? "" : "/", parts[i]);
        share(c, tree, path, name, enable, i + 1 == parts.size() ? values_in(tree, limits, c.facts) : std::vector<step::GroupValue>(),
              parent->at);
    }
    return path;
}

// On v1 a group needs none above it, and is made and removed in half the time. On v2 the one above keeps the root from being told to
// hand out less while a sandbox lives (cgroup.subtree_control answers EBUSY).
std::string own_path(Context& c, const CgroupFact& tree, const std::vector<std::string>& enable) {
    if (tree.version == CgroupVersion::v1 && !c.profile.cgroup.parent) return cat(tree.mount, "/sandbox-", c.plan.name, ".<id>");
    return cat(share_parents(c, tree, enable), "/", c.plan.name, ".<id>");
}

// ---- the group itself

void set_values(Context& c, std::vector<Step>& to, const CgroupFact& tree, const Limits& limits, Slot group) {
    for (const Setting& s : limits.settings)
        if (holds(tree, s.controller, c.facts))
            to.push_back(host_step(cat("cgroup.set:", s.file), s.at, s.text, {}, step::SetGroup{group, s.file, s.value}));
}

void delegate(Context& c, std::vector<Step>& to, const CgroupFact& tree, Slot group) {
    if (!*c.profile.cgroup.delegate) return;
    to.push_back(host_step(cat("cgroup.delegate:", label_of(tree)), c.profile.cgroup.delegate.at, "give the group to the sandbox's root",
                           {}, step::DelegateGroup{group, tree.version == CgroupVersion::v2}));
}

step::DeviceRule rule_of(const Context& c, const Device& d) {
    const auto fact = c.facts.paths.find(*d.path);
    const bool known = fact != c.facts.paths.end();
    const bool block = *d.type == DeviceType::block || (*d.type == DeviceType::automatic && known && fact->second.kind == PathKind::block);
    const std::uint32_t major = d.major ? *d.major : known ? fact->second.rdev_major : 0;
    const std::uint32_t minor = d.minor ? *d.minor : known ? fact->second.rdev_minor : 0;
    return {block ? 'b' : 'c', major, minor, cat(d.read ? "r" : "", d.write ? "w" : "", d.mknod ? "m" : "")};
}

// What every program may expect, and terminals of the sandbox's own. A node may be made of anything: using it is another matter.
std::vector<step::DeviceRule> device_rules(const Context& c) {
    std::vector<step::DeviceRule> rules{{'c', -1, -1, "m"}, {'b', -1, -1, "m"},   {'c', 1, 3, "rwm"}, {'c', 1, 5, "rwm"},
                                        {'c', 1, 7, "rwm"}, {'c', 1, 8, "rwm"},   {'c', 1, 9, "rwm"}, {'c', 5, 0, "rwm"},
                                        {'c', 5, 2, "rwm"}, {'c', 136, -1, "rwm"}};
    for (const Device& d : c.profile.devices) {
        step::DeviceRule rule = rule_of(c, d);
        // The profile may give less of one of these.
        std::erase_if(rules,
                      [&rule](const step::DeviceRule& r) { return r.type == rule.type && r.major == rule.major && r.minor == rule.minor; });
        rules.push_back(std::move(rule));
    }
    return rules;
}

// A user namespace lets nobody make a usable node; then only a narrower access than the node's own needs the filter.
bool wants_device_filter(const Context& c) {
    if (!c.identity.privileged || *c.profile.dev.mode == DevMode::host) return false;
    const bool narrowed = std::ranges::any_of(c.profile.devices, [](const Device& d) { return !d.read || !d.write; });
    return !c.identity.own_user_namespace || narrowed;
}

void filter_devices(Context& c, std::vector<Step>& to, const CgroupFact& tree, Slot group) {
    const bool v2 = tree.version == CgroupVersion::v2;
    auto rules = device_rules(c);
    std::string text = cat("let ", rules.size(), " kinds of devices be used and no other");
    to.push_back(host_step("cgroup.devices", {}, std::move(text), {}, step::FilterDevices{group, v2, std::move(rules)}));
    c.device_filter = true;
}

struct Wanted {
    Limits limits;
    bool devices = false;
};

Wanted what_is_wanted(const Context& c) {
    Wanted out{translate_limits(c.profile, c.facts)};
    const CgroupFact* tree = tree_of(c.facts, "devices");
    out.devices = wants_device_filter(c) && tree && (tree->version == CgroupVersion::v2 || tree->writable);
    if (out.devices) out.limits.need("devices");
    return out;
}

bool cpuset_on_v1(const CgroupFact& tree, const HostFacts& facts) {
    return tree.version == CgroupVersion::v1 && holds(tree, "cpuset", facts);
}

void fill(Context& c, std::vector<Step>& to, const CgroupFact& tree, const Wanted& wanted, Slot group) {
    set_values(c, to, tree, wanted.limits, group);
    if (wanted.devices && holds(tree, "devices", c.facts)) filter_devices(c, to, tree, group);
    delegate(c, to, tree, group);
}

void make(Context& c, std::vector<Step>& to, const CgroupFact& tree, const std::string& path, std::vector<std::string> controllers,
          Slot group, Slot tasks) {
    to.push_back(host_step(cat("cgroup.create:", label_of(tree)), {}, cat("make the group ", path), undo_own,
                           step::MakeGroup{group, tasks, path, std::move(controllers), cpuset_on_v1(tree, c.facts)}));
}

// ---- the four ways

// v1: the child writes itself into each group, which costs almost nothing while it is one thread; moving it by its id makes the
// kernel wait for every processor. v2: it is born there.
void plan_files_way(Context& c, step::Spawn& spawn, const Wanted& wanted) {
    step::JoinGroups join_groups;
    for (const CgroupFact& tree : c.facts.cgroups) {
        auto controllers = needed_in(tree, wanted.limits, c.facts);
        if (controllers.empty()) continue;
        const bool v2 = tree.version == CgroupVersion::v2;
        auto enable = v2 ? by_name(tree, controllers) : std::vector<std::string>();
        if (v2 && !enable.empty())
            c.before.push_back(host_step("cgroup.enable", {}, cat("have ", tree.mount, " hand out ", join(enable, ", ")),
                                         "take back what nobody else uses", step::EnableControllers{tree.mount, enable}));
        const std::string path = own_path(c, tree, enable);
        const Slot group = c.slot(), tasks = v2 ? no_slot : c.sent_slot();
        make(c, c.before, tree, path, std::move(controllers), group, tasks);
        fill(c, c.before, tree, wanted, group);
        if (v2)
            spawn.group = group;
        else
            join_groups.tasks.push_back(tasks);
    }
    std::string text = cat("enter ", join_groups.tasks.size(), join_groups.tasks.size() == 1 ? " group" : " groups");
    if (!join_groups.tasks.empty()) c.entry.push_back(sandbox_step("cgroup.join", {}, std::move(text), std::move(join_groups)));
}

// The launcher is a unit's main process, and the unit's group is its to divide (Delegate=yes). It goes into a leaf beside the sandbox's,
// because a group with processes hands out no controllers.
void plan_own_way(Context& c, step::Spawn& spawn, const Wanted& wanted) {
    const CgroupFact& tree = *unified_tree(c.facts);
    c.before.push_back(host_step("cgroup.leaf", {}, cat("move the launcher into ", tree.own, "/supervisor"),
                                 "move it back and remove the group", step::MakeLeaf{tree.own}));
    auto controllers = needed_in(tree, wanted.limits, c.facts);
    const auto enable = by_name(tree, controllers);
    if (!enable.empty())
        c.before.push_back(host_step("cgroup.enable", {}, cat("have ", tree.own, " hand out ", join(enable, ", ")),
                                     "take back what nobody else uses", step::EnableControllers{tree.own, enable}));
    spawn.group = c.slot();
    make(c, c.before, tree, cat(tree.own, "/", c.plan.name, ".<id>"), std::move(controllers), spawn.group, no_slot);
    fill(c, c.before, tree, wanted, spawn.group);
}

// systemd puts the child's process into a scope of its own; inside it the tree is ours (Delegate=yes), and limits are set on a
// group below it, because the scope's own files stay systemd's.
void plan_scope_way(Context& c, const Wanted& wanted) {
    c.plan.supervision.scope = true;
    const CgroupFact& tree = *unified_tree(c.facts);
    const bool user = c.facts.uid != 0;
    const std::string unit = cat("sandbox-", c.plan.name, "-<id>.scope");
    c.clone.push_back(host_step("cgroup.scope", c.profile.cgroup.manager.at,
                                cat("have systemd make the scope ", unit, user ? " for the user" : ""), "have systemd stop it",
                                step::MakeScope{unit, tree.mount, user}));
    auto controllers = needed_in(tree, wanted.limits, c.facts);
    const auto enable = by_name(tree, controllers);
    const Slot group = c.slot();
    make(c, c.clone, tree, "<scope>/payload", std::move(controllers), group, no_slot);
    c.clone.push_back(host_step("cgroup.enter", {}, "move the first process into it", {}, step::EnterGroup{group}));
    if (!enable.empty())
        c.clone.push_back(
            host_step("cgroup.enable", {}, cat("have the scope hand out ", join(enable, ", ")), {}, step::HandDown{"<scope>", enable}));
    fill(c, c.clone, tree, wanted, group);
}

void note_refusals(Context& c, const Limits& limits) {
    for (const Refusal& r : limits.refused)
        c.plan.notes.push_back(cat(r.key, ": ", r.by_default ? "the default is left out" : "left out", ": ", r.message));
    for (const std::string& note : limits.notes) c.plan.notes.push_back(note);
    for (const Refusal& r : limits.refused)
        if (!r.by_default) c.plan.left_out.push_back(cat(r.key, ": ", r.message));
}

}  // namespace

void plan_groups(Context& c, step::Spawn& spawn) {
    const GroupPlace place = decide_groups(c.profile, c.facts);
    c.plan.notes.push_back(
        cat("control groups: ", place.way == GroupWay::unavailable || place.way == GroupWay::none ? "none: " : "", place.why));
    if (place.way == GroupWay::none || place.way == GroupWay::unavailable) return;
    const Wanted wanted = what_is_wanted(c);
    note_refusals(c, wanted.limits);
    c.groups = !wanted.limits.controllers.empty();
    if (place.way == GroupWay::files)
        plan_files_way(c, spawn, wanted);
    else if (place.way == GroupWay::own)
        plan_own_way(c, spawn, wanted);
    else
        plan_scope_way(c, wanted);
    // Of a group that is entered after the clone, only a namespace made then has it as its root.
    if (c.groups && is_private(c.profile.namespaces.cgroup))
        c.entry.push_back(sandbox_step("cgroup.namespace", c.profile.namespaces.cgroup.mode.at,
                                       "make a cgroup namespace with these groups as its roots", step::OwnCgroupNamespace{}));
    c.plan.supervision.oom_group = *c.profile.resources.memory.oom == OomPolicy::group;
    c.plan.supervision.oom_pause = *c.profile.resources.memory.oom == OomPolicy::pause;
}

}  // namespace sandbox
