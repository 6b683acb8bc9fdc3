// The mistakes that can be seen only with the host at hand.

#include <linux/capability.h>

#include <cerrno>
#include <cstring>

#include <algorithm>

#include "plan/context.h"

namespace sandbox {
namespace {

struct Check {
    const Profile& profile;
    const HostFacts& facts;
    Diagnostics& out;

    void error(std::string code, Position at, std::string key, std::string message, std::string hint = {}) {
        out.push_back({std::move(code), Severity::error, at, std::move(key), std::move(message), std::move(hint), 1});
    }
    [[nodiscard]] const PathFact* path(const std::string& name) const {
        const auto found = facts.paths.find(name);
        return found == facts.paths.end() ? nullptr : &found->second;
    }
};

std::string_view kind_name(PathKind kind) {
    switch (kind) {
        case PathKind::absent: return "nothing";
        case PathKind::file: return "a file";
        case PathKind::directory: return "a directory";
        case PathKind::symlink: return "a link";
        case PathKind::character: return "a character device";
        case PathKind::block: return "a block device";
        case PathKind::fifo: return "a FIFO";
        case PathKind::socket: break;
    }
    return "a socket";
}

std::string reason(int error) {
    const char* words = strerrordesc_np(error);
    return words ? lower(words) : "cannot be looked at";
}

bool want_directory(Check& c, const Text& path, const std::string& key, bool may_be_missing = false) {
    const PathFact* fact = c.path(*path);
    if (!fact || fact->kind == PathKind::directory) return fact != nullptr;
    if (fact->kind == PathKind::absent) {
        if (may_be_missing && fact->error == ENOENT) return false;
        c.error("E0501", path.at, key, cat(quote(*path), ": ", reason(fact->error)),
                fact->error == ENOENT ? "make the directory, or correct the path" : "");
    } else {
        c.error("E0502", path.at, key, cat(quote(*path), " is ", kind_name(fact->kind), ", not a directory"));
    }
    return false;
}

void check_root(Check& c) {
    const Rootfs& root = c.profile.rootfs;
    if (root.path) want_directory(c, *root.path, "rootfs.path");
    const bool privileged = decide_identity(c.profile, c.facts, nullptr).privileged;
    if (!privileged && (*root.idmap == IdmapMode::container || *root.idmap == IdmapMode::chown))
        c.error("E0503", root.idmap.at, "rootfs.idmap", "only root can map or change the ids of a tree",
                "leave rootfs.idmap out, or run as root");
}

// Real paths are compared: a link can put one directory inside another.
void check_overlay(Check& c, const Overlay& overlay, const std::string& key, Position at) {
    if (!c.facts.overlay) c.error("E0504", at, key, "this kernel has no overlay file system", "load it with: modprobe overlay");
    for (std::size_t i = 0; i < overlay.lower.size(); ++i) want_directory(c, overlay.lower[i], cat(key, ".lower[", i, "]"));
    if (overlay.upper_is_tmpfs()) return;
    const Text work{overlay.work ? **overlay.work : cat(*overlay.upper, ".work"), overlay.work ? overlay.work->at : overlay.upper.at};
    want_directory(c, overlay.upper, cat(key, ".upper"), true);
    const bool work_there = want_directory(c, work, cat(key, ".work"), true);
    const PathFact* upper = c.path(*overlay.upper);
    const PathFact* work_fact = c.path(*work);
    if (work_there && !work_fact->empty && overlay.work)
        c.error("E0505", work.at, cat(key, ".work"), cat(quote(*work), " is not empty"),
                "a work directory belongs to one overlay alone: name another, or empty it");
    if (work_there && upper && upper->kind == PathKind::directory && upper->device != work_fact->device)
        c.error("E0506", work.at, cat(key, ".work"), "upper and work are on different file systems",
                "put work on the file system of upper");
    if (!upper || upper->kind != PathKind::directory) return;
    for (std::size_t i = 0; i < overlay.lower.size(); ++i) {
        const PathFact* lower = c.path(*overlay.lower[i]);
        if (!lower || lower->kind != PathKind::directory) continue;
        if (beneath(upper->resolved, lower->resolved) || beneath(lower->resolved, upper->resolved))
            c.error("E0507", overlay.upper.at, cat(key, ".upper"),
                    cat(quote(*overlay.upper), " and the layer ", quote(*overlay.lower[i]), " lie inside each other"),
                    "keep what is written apart from the layers");
    }
}

void check_overlays(Check& c) {
    if (c.profile.rootfs.overlay) check_overlay(c, *c.profile.rootfs.overlay, "rootfs.overlay", c.profile.rootfs.at);
    for (std::size_t i = 0; i < c.profile.mounts.size(); ++i)
        if (c.profile.mounts[i].overlay)
            check_overlay(c, *c.profile.mounts[i].overlay, cat("mounts[", i, "].overlay"), c.profile.mounts[i].at);
}

// Something that is opened and read, or joined.
void want_input(Check& c, const Text& path, const std::string& key) {
    const PathFact* fact = path->empty() ? nullptr : c.path(*path);
    if (!fact) return;
    if (fact->kind == PathKind::absent) c.error("E0501", path.at, key, cat(quote(*path), ": ", reason(fact->error)), "correct the path");
    if (fact->kind == PathKind::directory) c.error("E0502", path.at, key, cat(quote(*path), " is a directory, not a file"));
}

std::vector<std::pair<const char*, const Namespace*>> namespaces_of(const Profile& profile) {
    const Namespaces& n = profile.namespaces;
    return {{"mount", &n.mount},   {"pid", &n.pid},   {"ipc", &n.ipc},  {"uts", &n.uts},
            {"cgroup", &n.cgroup}, {"user", &n.user}, {"time", &n.time}};
}

void check_sources(Check& c) {
    for (std::size_t i = 0; i < c.profile.mounts.size(); ++i) {
        const Mount& m = c.profile.mounts[i];
        if (*m.type != MountType::bind || m.optional) continue;
        const PathFact* fact = c.path(*m.source);
        if (fact && fact->kind == PathKind::absent)
            c.error("E0501", m.source.at, cat("mounts[", i, "].source"), cat(quote(*m.source), ": ", reason(fact->error)),
                    "make it, correct it, or say optional: true");
    }
    for (const File& f : c.profile.files) {
        const PathFact* fact = f.source ? c.path(**f.source) : nullptr;
        if (fact && fact->kind != PathKind::file)
            c.error("E0501", f.source->at, cat("files.", *f.path, ".source"),
                    fact->kind == PathKind::absent ? cat(quote(**f.source), ": ", reason(fact->error))
                                                   : cat(quote(**f.source), " is ", kind_name(fact->kind), ", not a file"));
    }
    want_input(c, c.profile.process.stdin_file, "process.stdin");
    want_input(c, c.profile.network.path, "network.path");
    if (const Text& filter = c.profile.security.seccomp.profile; filter->starts_with('/'))
        want_input(c, filter, "security.seccomp.profile");
    for (const auto& [name, ns] : namespaces_of(c.profile)) want_input(c, ns->path, cat("namespaces.", name, ".path"));
}

void check_idmap_modes(Check& c) {
    const Identity id = decide_identity(c.profile, c.facts, nullptr);
    if (id.privileged) return;
    for (std::size_t i = 0; i < c.profile.mounts.size(); ++i) {
        const Mount& m = c.profile.mounts[i];
        const bool caller_is_mapped = *c.profile.id_map.mode == IdMapMode::caller;
        if (*m.idmap == IdmapMode::container || (*m.idmap == IdmapMode::caller && !caller_is_mapped))
            c.error("E0503", m.idmap.at, cat("mounts[", i, "].idmap"), "only root can mount with an id map",
                    "leave idmap out; with id_map: caller the caller's files keep their owner");
        if (!m.recursive && *m.type == MountType::bind)
            c.error("E0508", m.source.at, cat("mounts[", i, "].recursive"),
                    "without root a mount can be shown only together with the mounts below it", "leave recursive out");
    }
}

bool has_minimal_dev(const Profile& profile) {
    return *profile.dev.mode == DevMode::minimal &&
           std::ranges::none_of(profile.mounts, [](const Mount& m) { return *m.target == "/dev"; });
}

void check_devices(Check& c) {
    const bool privileged = decide_identity(c.profile, c.facts, nullptr).privileged;
    for (std::size_t i = 0; i < c.profile.devices.size(); ++i) {
        const Device& d = c.profile.devices[i];
        const std::string key = cat("devices[", i, "]");
        if (!d.read || !d.write)
            c.error("E0509", d.path.at, cat(key, ".access"),
                    "access other than rw or rwm is not supported yet: it needs the device controller");
        if (d.major) {
            if (!privileged || !(c.facts.capabilities >> CAP_MKNOD & 1))
                c.error("E0510", d.path.at, key, "only root can make a device node by its number", "name a device of the host by its path");
            else if (!beneath(*d.target, "/dev") || !has_minimal_dev(c.profile) || d.target->find('/', 5) != std::string::npos)
                c.error("E0510", d.target.at, cat(key, ".target"), "a node made by number must be directly in /dev, with dev.mode minimal");
            continue;
        }
        const PathFact* fact = c.path(*d.path);
        if (!fact) continue;
        if (fact->kind == PathKind::absent) {
            if (!d.optional)
                c.error("E0501", d.path.at, cat(key, ".path"), cat(quote(*d.path), ": ", reason(fact->error)),
                        "load its driver, or say optional: true");
        } else if (fact->kind != PathKind::character && fact->kind != PathKind::block) {
            c.error("E0511", d.path.at, cat(key, ".path"), cat(quote(*d.path), " is ", kind_name(fact->kind), ", not a device"));
        } else if ((*d.type == DeviceType::character && fact->kind != PathKind::character) ||
                   (*d.type == DeviceType::block && fact->kind != PathKind::block)) {
            c.error("E0511", d.type.at, cat(key, ".type"), cat(quote(*d.path), " is ", kind_name(fact->kind)));
        }
    }
}

// A file system that shows a namespace can be mounted by who owns that namespace alone.
void check_mounted_kinds(Check& c) {
    const Namespaces& n = c.profile.namespaces;
    for (std::size_t i = 0; i < c.profile.mounts.size(); ++i) {
        const Mount& m = c.profile.mounts[i];
        const char* foreign = nullptr;
        if (*m.type == MountType::sysfs && !makes_network(c.profile)) foreign = "network";
        if (*m.type == MountType::proc && !is_private(n.pid)) foreign = "pid";
        if (*m.type == MountType::mqueue && !is_private(n.ipc)) foreign = "ipc";
        if (foreign && !m.optional)
            c.error("E0515", m.type.at, cat("mounts[", i, "].type"),
                    cat("without root this cannot be mounted when the ", foreign, " namespace is not the sandbox's own"),
                    "bind the host's own, or say optional: true");
    }
}

void check_namespaces(Check& c) {
    const Namespaces& n = c.profile.namespaces;
    for (const auto& [name, ns] : namespaces_of(c.profile)) {
        const auto found = c.facts.namespaces.find(name);
        if (is_private(*ns) && found != c.facts.namespaces.end() && !found->second)
            c.error("E0512", ns->mode.at, cat("namespaces.", name), cat("this kernel has no ", name, " namespaces"),
                    cat("say namespaces: {", name, ": host}"));
    }
    const Identity id = decide_identity(c.profile, c.facts, nullptr);
    if (!id.own_user_namespace) return;
    if (c.facts.userns_restricted)
        c.error("E0513", n.user.mode.at, "namespaces.user",
                cat("this host does not let ordinary users make user namespaces: ", c.facts.userns_restriction),
                cat("as root: sysctl -w ", c.facts.userns_restriction, c.facts.userns_restriction.ends_with("_clone") ? "=1" : "=0"));
    if (c.facts.max_user_namespaces == 0 && c.facts.namespaces.contains("user"))
        c.error("E0514", n.user.mode.at, "namespaces.user", "user.max_user_namespaces is 0",
                "as root: sysctl -w user.max_user_namespaces=15000");
    if (id.privileged) return;
    const auto host_kept = [&](const char* what, const Namespace& ns, const char* key, const char* hint) {
        if (!is_private(ns))
            c.error("E0515", ns.mode.at, key,
                    cat("a fresh ", what, " cannot be mounted without root when its namespace is not the sandbox's own"), hint);
    };
    if (*c.profile.proc.mode == ProcMode::fresh) host_kept("proc", n.pid, "namespaces.pid", "say proc: {mode: inherit}");
    check_mounted_kinds(c);
    if (!c.facts.proc_mountable && *c.profile.proc.mode == ProcMode::fresh)
        c.error("E0516", c.profile.proc.mode.at, "proc.mode",
                "parts of this /proc are covered, so the kernel refuses a fresh one in a user namespace", "say proc: {mode: inherit}");
}

void check_ids(Check& c) {
    Mistake mistake;
    const Identity id = decide_identity(c.profile, c.facts, &mistake);
    if (!mistake.text.empty()) {
        c.error("E0517", mistake.at, mistake.key, mistake.text,
                id.own_user_namespace ? "sandbox doctor shows which ids the caller has"
                                      : cat("run as root, or let ", mistake.key, " be what it is by default"));
        return;
    }
    Mistake unknown;
    const UserFacts user = look_up_user(c.profile, c.facts, &unknown);
    const auto unmapped = [&](const char* what, std::uint32_t number, Position at, const char* key, const char* hint) {
        c.error("E0519", at, key, cat(what, " ", number, " is not in the id map (", id.why, ")"), hint);
    };
    const Position at = c.profile.process.user.at;
    if (!unknown.text.empty())
        return c.error("E0518", unknown.at, unknown.key, unknown.text, "use a number, or a root that knows the name");
    if (!id.maps_uid(user.uid)) return unmapped("uid", user.uid, at, "process.user", "add it to id_map, or choose a user that is");
    if (!id.maps_gid(user.gid)) return unmapped("gid", user.gid, at, "process.user", "add it to id_map, or choose a group that is");
    // Groups that come with the user are left out where they are not mapped; those that were asked for must be there.
    for (std::size_t i = 0; i < c.profile.process.groups.size(); ++i)
        if (!id.maps_gid(user.groups[i]))
            unmapped("gid", user.groups[i], c.profile.process.groups[i].at, "process.groups", "add it to id_map, or leave the group out");
}

void check_capabilities(Check& c) {
    for (const auto& capability : c.profile.capabilities.add) {
        if (*capability > c.facts.last_capability)
            c.error("E0520", capability.at, "capabilities.add", "this kernel does not have that capability");
        else if (!decide_identity(c.profile, c.facts, nullptr).own_user_namespace && !(c.facts.bounding >> *capability & 1))
            c.error("E0521", capability.at, "capabilities.add", "the launcher does not have that capability itself, so it cannot give it",
                    "run where root has it, or give the sandbox a user namespace of its own");
    }
}

void check_terminal(Check& c) {
    const At<Switch>& tty = c.profile.process.tty;
    if (*tty == Switch::on && !has_terminals(c.profile))
        c.error("E0524", tty.at, "process.tty", "a terminal needs a /dev/pts of the sandbox's own",
                is_private(c.profile.namespaces.mount) ? "say dev: {mode: minimal}, or leave tty out"
                                                       : "say namespaces: {mount: private}, or leave tty out");
}

void check_limits(Check& c) {
    const bool may_raise = c.facts.capabilities >> CAP_SYS_RESOURCE & 1;
    const At<std::int64_t>& score = c.profile.process.oom_score_adj;
    if (*score < 0 && !may_raise)
        c.error("E0522", score.at, "process.oom_score_adj",
                "lowering the OOM score needs CAP_SYS_RESOURCE, which the caller does not have");
    for (const Ulimit& limit : c.profile.ulimits)
        if (limit.name == "nofile" && limit.hard > c.facts.nofile_hard && !may_raise && c.facts.nofile_hard)
            c.error("E0523", limit.at, "ulimits.nofile",
                    cat("raising the hard limit above ", c.facts.nofile_hard, " needs CAP_SYS_RESOURCE, which the caller does not have"));
}

}  // namespace

Diagnostics check_against_host(const Profile& profile, const HostFacts& facts) {
    Diagnostics out;
    Check check{profile, facts, out};
    for (const auto part : {check_root, check_overlays, check_sources, check_idmap_modes, check_devices, check_namespaces, check_ids,
                            check_capabilities, check_terminal, check_limits})
        part(check);
    if (profile.warn_unsupported)
        for (Diagnostic& d : out)
            if (d.code == "E0512" || d.code == "E0523") d.severity = Severity::warning;
    return out;
}

}  // namespace sandbox
