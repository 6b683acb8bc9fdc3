// The host's side of a sandbox: state folder, id lease, clone, id maps.

#include <linux/capability.h>

#include "plan/network.h"

namespace sandbox {
namespace {

struct Kind {
    NamespaceType type;
    const char* name;
    const Namespace* setting;  // none for the network, which follows from network.mode
};

std::vector<Kind> kinds(const Profile& profile) {
    const Namespaces& n = profile.namespaces;
    // user first: the others then belong to it. time is made by the child, which writes its offsets.
    return {{NamespaceType::user, "user", &n.user}, {NamespaceType::mount, "mount", &n.mount}, {NamespaceType::pid, "pid", &n.pid},
            {NamespaceType::ipc, "ipc", &n.ipc},    {NamespaceType::uts, "uts", &n.uts},       {NamespaceType::cgroup, "cgroup", &n.cgroup},
            {NamespaceType::time, "time", &n.time}, {NamespaceType::net, "net", nullptr}};
}

void join(Context& c, step::Spawn& spawn, const Kind& kind, const Text& path) {
    const Slot slot = c.slot();
    c.before.push_back(host_step(cat("namespace.open:", kind.name), path.at, cat("open the ", kind.name, " namespace ", *path), {},
                                 step::OpenFile{slot, *path}));
    spawn.joined.push_back({kind.type, slot});
    if (kind.type == NamespaceType::net) c.network = slot;
}

// The network of another sandbox, by its first process.
void join_network(Context& c, step::Spawn& spawn) {
    const Text& of = c.profile.network.of;
    const SandboxFact* other = find_sandbox_fact(c.facts, *of);
    const Slot slot = c.slot();
    c.before.push_back(host_step("namespace.open:net", of.at, cat("open the network of sandbox ", *of), {},
                                 step::OpenNetwork{slot, *of, other ? other->init : 0, other ? other->init_start : 0}));
    spawn.joined.push_back({NamespaceType::net, slot});
    c.network = slot;
}

void plan_clone(Context& c) {
    step::Spawn spawn;
    std::vector<Step> scope;
    std::swap(scope, c.clone);
    plan_groups(c, spawn);
    std::swap(scope, c.clone);
    std::string fresh, joined;
    for (const Kind& kind : kinds(c.profile)) {
        const bool network = kind.type == NamespaceType::net;
        const Text& path = network ? c.profile.network.path : kind.setting->path;
        const bool by_path = network ? *c.profile.network.mode == NetworkMode::path : *kind.setting->mode == NamespaceMode::path;
        bool made = network ? makes_network(c.profile) : is_private(*kind.setting);
        if (kind.type == NamespaceType::user) made = c.identity.own_user_namespace;
        const bool shared = network && *c.profile.network.mode == NetworkMode::container;
        if (by_path || shared) {
            if (shared)
                join_network(c, spawn);
            else
                join(c, spawn, kind, path);
            joined += cat(joined.empty() ? "" : " ", kind.name);
        } else if (made && kind.type != NamespaceType::time && !(c.groups && kind.type == NamespaceType::cgroup)) {
            spawn.fresh.push_back(kind.type);
            fresh += cat(fresh.empty() ? "" : " ", kind.name);
        }
    }
    std::string text = fresh.empty() ? "clone into the host's namespaces" : cat("clone into new namespaces: ", fresh);
    if (!joined.empty()) text += cat("; joined: ", joined);
    if (spawn.group != no_slot) text += "; inside the group";
    c.clone.push_back(host_step("clone", {}, text, "kill the process and wait for its end", std::move(spawn)));
    for (Step& step : scope) c.clone.push_back(std::move(step));
}

std::string describe(const std::vector<IdMapRange>& ranges) {
    std::string text;
    for (const IdMapRange& r : ranges)
        text += cat(text.empty() ? "" : " ", r.inside, ":", r.leased ? cat("lease+", r.outside) : std::to_string(r.outside), ":", r.count);
    return text;
}

// setgroups(2) must be given up before an unprivileged gid map can be written (user_namespaces(7)).
bool denies_setgroups(const Context& c) { return !c.identity.helpers && !(c.facts.capabilities >> CAP_SETGID & 1); }

std::vector<std::string> words_of(const Hook& hook) {
    std::vector<std::string> out;
    for (const Text& word : hook.command) out.push_back(*word);
    return out;
}

// What the supervisor runs beside the command is no step of the launch, and is said all the same.
void note_helpers(Context& c) {
    for (const Hook& hook : c.profile.lifecycle.hooks.started)
        c.plan.notes.push_back(cat("hooks.started: when the command runs, run ", sandbox::join(words_of(hook), " "),
                                   *hook.where == HookPlace::host ? " on the host" : " inside"));
    if (const auto& health = c.profile.lifecycle.healthcheck; health)
        c.plan.notes.push_back(
            cat("healthcheck: every ", format_duration(*health->interval), " run ", *health->command.front(), " inside"));
}

// What is to be run at the end is journaled first: so it is run last, and by whoever takes the sandbox back.
void plan_hooks(Context& c) {
    const Hooks& hooks = c.profile.lifecycle.hooks;
    note_helpers(c);
    for (std::size_t i = hooks.stopped.size(); i-- > 0;)
        c.before.push_back(host_step(cat("hook.stopped:", i), hooks.stopped[i].at,
                                     cat("note to run ", *hooks.stopped[i].command.front(), " when everything is gone"), "run it",
                                     step::ArmHook{words_of(hooks.stopped[i]), *hooks.stopped[i].timeout}));
    for (std::size_t i = 0; i < hooks.prepare.size(); ++i)
        c.before.push_back(host_step(cat("hook.prepare:", i), hooks.prepare[i].at, cat("run ", *hooks.prepare[i].command.front()), {},
                                     step::RunHook{words_of(hooks.prepare[i]), *hooks.prepare[i].timeout}));
}

}  // namespace

// What the child makes belongs to the sandbox's root, or to whoever is mapped first.
void plan_work_as(Context& c) {
    if (c.identity.own_user_namespace) {
        const std::uint32_t uid = c.identity.maps_uid(0) ? 0 : c.identity.uid.front().inside;
        const std::uint32_t gid = c.identity.maps_gid(0) ? 0 : c.identity.gid.front().inside;
        c.entry.push_back(sandbox_step("ids.setup", {}, cat("work as uid ", uid, ", gid ", gid), step::WorkAs{uid, gid}));
    }
    if (*c.profile.namespaces.user.mode == NamespaceMode::path)
        c.entry.push_back(
            sandbox_step("ids.setup", c.profile.namespaces.user.mode.at, "work as root of the joined user namespace", step::WorkAs{0, 0}));
}

void plan_state(Context& c) {
    plan_ports(c);
    c.before.push_back(host_step("state", {}, cat("make the state folder of ", c.plan.name, " with its lock and journal"),
                                 "remove the state folder", step::CreateState{}));
    plan_hooks(c);
    if (c.identity.leased) {
        c.before.push_back(host_step("ids.lease", c.profile.id_map.mode.at, "lease a range of 65536 ids that no living sandbox uses", {},
                                     step::LeaseIds{c.kept_slot()}));
    }
    plan_network(c);
    plan_clone(c);
    if (c.identity.own_user_namespace) {
        const bool deny = denies_setgroups(c);
        c.clone.push_back(host_step("idmap.write", c.profile.id_map.mode.at,
                                    cat("write the id maps: uid ", describe(c.identity.uid), ", gid ", describe(c.identity.gid),
                                        c.identity.helpers ? " (newuidmap, newgidmap)" : "", deny ? ", setgroups denied" : ""),
                                    {}, step::WriteIdMap{c.identity.uid, c.identity.gid, c.identity.helpers, deny}));
        c.plan.notes.push_back(cat("ids: ", c.identity.why));
    }
    plan_links(c);
    plan_work_as(c);
    c.plan.supervision.own_pid_namespace = is_private(c.profile.namespaces.pid);
}

}  // namespace sandbox
