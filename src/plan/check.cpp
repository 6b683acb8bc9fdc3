// The mistakes that can be seen only with the host at hand.

#include <linux/capability.h>

#include <cerrno>

#include <algorithm>
#include <optional>

#include "plan/limits.h"
#include "plan/network.h"

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

bool want_directory(Check& c, const Text& path, const std::string& key, bool may_be_missing = false) {
    const PathFact* fact = c.path(*path);
    if (!fact || fact->kind == PathKind::directory) return fact != nullptr;
    if (fact->kind == PathKind::absent) {
        if (may_be_missing && fact->error == ENOENT) return false;
        c.error("E0501", path.at, key, cat(quote(*path), ": ", errno_text(fact->error)),
                fact->error == ENOENT ? "make the directory, or correct the path" : "correct the path");
    } else {
        c.error("E0502", path.at, key, cat(quote(*path), " is ", kind_name(fact->kind), ", not a directory"), "name a directory");
    }
    return false;
}

// Whether an outside id is another one's inside id. A range that is leased lies above all inside ids.
bool given_twice(const std::vector<IdMapRange>& map) {
    return std::ranges::any_of(map, [&map](const IdMapRange& a) {
        return !a.leased && a.inside != a.outside && std::ranges::any_of(map, [&a](const IdMapRange& b) {
            return a.outside < std::uint64_t(b.inside) + b.count && b.inside < std::uint64_t(a.outside) + a.count;
        });
    });
}

void check_root(Check& c) {
    const Rootfs& root = c.profile.rootfs;
    if (root.path) want_directory(c, *root.path, "rootfs.path");
    const Identity id = decide_identity(c.profile, c.facts, nullptr);
    if (!id.privileged && (*root.idmap == IdmapMode::container || *root.idmap == IdmapMode::chown))
        c.error("E0503", root.idmap.at, "rootfs.idmap", "only root can map or change the ids of a tree",
                "leave rootfs.idmap out, or run as root");
    if (id.privileged && *root.idmap == IdmapMode::chown && (given_twice(id.uid) || given_twice(id.gid)))
        c.error("E0530", root.idmap.at, "rootfs.idmap", "an id is inside and outside of id_map, so owners could not be given back",
                "choose outside ids that are none of the inside ids");
}

// Where a directory is or will be; nothing where it cannot be.
const PathFact* place_of(const Check& c, const std::string& path) {
    const PathFact* fact = c.path(path);
    const bool known = fact && !fact->resolved.empty() && (fact->kind == PathKind::directory || fact->kind == PathKind::absent);
    return known ? fact : nullptr;
}

// Real paths are compared: a link can put one directory inside another.
bool entangled(const PathFact* a, const PathFact* b) {
    return a && b && (beneath(a->resolved, b->resolved) || beneath(b->resolved, a->resolved));
}

void check_apart(Check& c, const Overlay& overlay, const Text& work, const std::string& key) {
    const PathFact *upper = place_of(c, *overlay.upper), *beside = place_of(c, *work);
    for (const Text& lower : overlay.lower) {
        const PathFact* layer = place_of(c, *lower);
        if (!layer || layer->kind != PathKind::directory) continue;
        const bool wrong = entangled(upper, layer);
        if (wrong || entangled(beside, layer))
            c.error("E0507", wrong ? overlay.upper.at : work.at, cat(key, wrong ? ".upper" : ".work"),
                    cat(quote(wrong ? *overlay.upper : *work), " and the layer ", quote(*lower), " lie inside each other"),
                    "keep what is written apart from the layers");
    }
    if (entangled(upper, beside))
        c.error("E0507", work.at, cat(key, ".work"), cat(quote(*work), " and upper ", quote(*overlay.upper), " lie inside each other"),
                "put it beside upper");
    if (upper && beside && (upper->device != beside->device || upper->mount != beside->mount))
        c.error("E0506", work.at, cat(key, ".work"),
                upper->device != beside->device ? "upper and work are on different file systems" : "upper and work are on different mounts",
                "put work on the file system of upper, below the same mount point");
}

// What is written to: by one sandbox, with ids that can be written down, out of reach of the host's other users.
void check_upper(Check& c, const Overlay& overlay, const std::string& key, IdmapMode idmap) {
    const PathFact* upper = place_of(c, *overlay.upper);
    const Identity id = decide_identity(c.profile, c.facts, nullptr);
    if (upper && upper->locked)
        c.error("E0526", overlay.upper.at, cat(key, ".upper"), cat(quote(*overlay.upper), " is the upper layer of a running sandbox"),
                "two writers would spoil it: give each sandbox an upper of its own");
    // What the payload makes is its own user's file on the host too, with every mode bit (CVE-2023-2640 and its kind).
    if (upper && upper->exposed)
        c.error("E0525", overlay.upper.at, cat(key, ".upper"),
                cat("other users of the host could run set-uid programs that the payload leaves in ", quote(*overlay.upper)),
                "close the folder that it is in to others (chmod 0700), or name one more folder, which will be made so");
    if (overlay.size)
        c.error("E0527", overlay.size->at, cat(key, ".size"), "the size of an upper on disk is not supported yet: it needs a project quota",
                "say upper: tmpfs, or leave size out");
    const bool mapped = id.privileged && id.own_user_namespace && idmap != IdmapMode::none;
    if (mapped && !(id.maps_uid(0) && id.maps_gid(0)))
        c.error("E0528", overlay.upper.at, cat(key, ".upper"), "an upper on disk needs inside id 0 in id_map, for uid and gid",
                "add a range that begins with 0:, or say upper: tmpfs");
}

// An overlay mounted in a user namespace keeps its marks in user.* attributes: trusted.* are root's.
void check_options(Check& c, const Overlay& overlay, const std::string& key) {
    if (decide_identity(c.profile, c.facts, nullptr).privileged) return;
    // What the kernel does without them varies: it refuses, or goes on and says nothing.
    for (const auto& [name, value] : overlay.options) {
        const bool needs_trusted = name == "metacopy" || name == "redirect_dir" || name == "index";
        const bool root_only = (needs_trusted && *value == "on") || (name == "userxattr" && *value == "false");
        if (root_only)
            c.error("E0529", value.at, cat(key, ".options.", name), "only root can have an overlay with this option",
                    "leave it out: without root an overlay keeps its marks in user.* attributes");
    }
}

void check_overlay(Check& c, const Overlay& overlay, const std::string& key, Position at, IdmapMode idmap) {
    if (!c.facts.overlay) c.error("E0504", at, key, "this kernel has no overlay file system", "load it with: modprobe overlay");
    for (std::size_t i = 0; i < overlay.lower.size(); ++i) want_directory(c, overlay.lower[i], cat(key, ".lower[", i, "]"));
    check_options(c, overlay, key);
    if (overlay.upper_is_tmpfs()) return;
    const Text work{overlay.work ? **overlay.work : cat(*overlay.upper, ".work"), overlay.work ? overlay.work->at : overlay.upper.at};
    want_directory(c, overlay.upper, cat(key, ".upper"), true);
    const bool work_there = want_directory(c, work, cat(key, ".work"), true);
    const PathFact *upper = c.path(*overlay.upper), *work_fact = c.path(*work);
    // The work directory of a running sandbox is not empty: one mistake, told once.
    if (work_there && !work_fact->empty && !(upper && upper->locked))
        c.error("E0505", work.at, cat(key, ".work"), cat(quote(*work), " is not empty"),
                "a work directory belongs to one overlay alone: name another, or empty it");
    check_apart(c, overlay, work, key);
    check_upper(c, overlay, key, idmap);
}

void check_overlays(Check& c) {
    if (c.profile.rootfs.overlay)
        check_overlay(c, *c.profile.rootfs.overlay, "rootfs.overlay", c.profile.rootfs.at, *c.profile.rootfs.idmap);
    for (std::size_t i = 0; i < c.profile.mounts.size(); ++i)
        if (c.profile.mounts[i].overlay)
            check_overlay(c, *c.profile.mounts[i].overlay, cat("mounts[", i, "].overlay"), c.profile.mounts[i].at,
                          *c.profile.mounts[i].idmap);
}

// Something that is opened and read, or joined.
void want_input(Check& c, const Text& path, const std::string& key, const char* cure = "correct the path") {
    const PathFact* fact = path->empty() ? nullptr : c.path(*path);
    if (!fact) return;
    if (fact->kind == PathKind::absent) c.error("E0501", path.at, key, cat(quote(*path), ": ", errno_text(fact->error)), cure);
    if (fact->kind == PathKind::directory) c.error("E0502", path.at, key, cat(quote(*path), " is a directory, not a file"), "name a file");
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
            c.error("E0501", m.source.at, cat("mounts[", i, "].source"), cat(quote(*m.source), ": ", errno_text(fact->error)),
                    "make it, correct it, or say optional: true");
    }
    for (const File& f : c.profile.files) {
        const PathFact* fact = f.source ? c.path(**f.source) : nullptr;
        if (fact && fact->kind != PathKind::file)
            c.error("E0501", f.source->at, cat("files.", *f.path, ".source"),
                    fact->kind == PathKind::absent ? cat(quote(**f.source), ": ", errno_text(fact->error))
                                                   : cat(quote(**f.source), " is ", kind_name(fact->kind), ", not a file"),
                    fact->kind == PathKind::directory ? "a directory of the host is shown with 'mounts'" : "correct the path");
    }
    want_input(c, c.profile.process.stdin_file, "process.stdin");
    want_input(c, c.profile.network.path, "network.path");
    if (const Text& filter = c.profile.security.seccomp.profile; filter->starts_with('/'))
        want_input(c, filter, "security.seccomp.profile", "correct the path, or write default or none");
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

bool can_filter_devices(const Check& c, const Identity& id) {
    const GroupPlace place = decide_groups(c.profile, c.facts);
    const CgroupFact* tree = tree_of(c.facts, "devices");
    return id.privileged && (place.way == GroupWay::files || place.way == GroupWay::own || place.way == GroupWay::scope) && tree &&
           (tree->version == CgroupVersion::v2 || tree->writable);
}

void check_devices(Check& c) {
    const Identity id = decide_identity(c.profile, c.facts, nullptr);
    const bool may_make = id.privileged && (c.facts.capabilities >> CAP_MKNOD & 1);
    for (std::size_t i = 0; i < c.profile.devices.size(); ++i) {
        const Device& d = c.profile.devices[i];
        const std::string key = cat("devices[", i, "]");
        if ((!d.read || !d.write) && !can_filter_devices(c, id))
            c.error("E0509", d.path.at, cat(key, ".access"), "access other than rw or rwm needs a control group that limits devices",
                    "write 'access: rw', or run as root where the devices controller or cgroup v2 is");
        if (d.major) {
            if (!may_make)
                c.error("E0510", d.path.at, key, "only root can make a device node by its number", "name a device of the host by its path");
            else if (!can_make_node(c.profile, id, d))
                c.error("E0510", d.target.at, cat(key, ".target"), "a node made by number must be in the /dev of dev: {mode: minimal}",
                        "give it a target such as /dev/NAME, and mount nothing over it");
            continue;
        }
        if (has_own_looks(d) && !(may_make && can_make_node(c.profile, id, d)))
            c.error("E0510", d.path.at, key, "perm, uid and gid need a node of the sandbox's own, and none can be made here",
                    may_make ? "give it a target in the /dev of dev: {mode: minimal}"
                             : "leave them out: the host's own node is shown as it is");
        const PathFact* fact = c.path(*d.path);
        if (!fact) continue;
        if (fact->kind == PathKind::absent) {
            if (!d.optional)
                c.error("E0501", d.path.at, cat(key, ".path"), cat(quote(*d.path), ": ", errno_text(fact->error)),
                        "load its driver, or say optional: true");
        } else if (fact->kind != PathKind::character && fact->kind != PathKind::block) {
            c.error("E0511", d.path.at, cat(key, ".path"), cat(quote(*d.path), " is ", kind_name(fact->kind), ", not a device"),
                    "a file or directory of the host is shown with 'mounts'");
        } else if ((*d.type == DeviceType::character && fact->kind != PathKind::character) ||
                   (*d.type == DeviceType::block && fact->kind != PathKind::block)) {
            c.error("E0511", d.type.at, cat(key, ".type"), cat(quote(*d.path), " is ", kind_name(fact->kind)),
                    "leave type out: it is the host's");
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
    const Identity id = decide_identity(c.profile, c.facts, nullptr);
    if (!id.own_user_namespace) return;
    const bool apparmor = c.facts.userns_restriction == "kernel.apparmor_restrict_unprivileged_userns";
    if (c.facts.userns_restricted)
        c.error(
            "E0513", n.user.mode.at, "namespaces.user",
            cat("this host does not let ordinary users make user namespaces: ", c.facts.userns_restriction),
            cat("as root: ", apparmor ? "apparmor_parser -r /etc/apparmor.d/sandbox, the profile that comes with the launcher; or " : "",
                "sysctl -w ", c.facts.userns_restriction, apparmor ? "=0" : "=1"));
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

// Root is left out: where it is not mapped, what is made stays its maker's. What a joined user namespace has is not known.
void check_owners(Check& c) {
    Mistake mistake;
    const Identity id = decide_identity(c.profile, c.facts, &mistake);
    if (!mistake.text.empty() || *c.profile.namespaces.user.mode == NamespaceMode::path) return;
    const auto check = [&](std::uint32_t uid, std::uint32_t gid, Position at, const std::string& key) {
        const char* hint = "add it to id_map, or choose an owner that is";
        if (uid != 0 && !id.maps_uid(uid))
            c.error("E0519", at, cat(key, ".uid"), cat("uid ", uid, " is not in the id map (", id.why, ")"), hint);
        if (gid != 0 && !id.maps_gid(gid))
            c.error("E0519", at, cat(key, ".gid"), cat("gid ", gid, " is not in the id map (", id.why, ")"), hint);
    };
    for (const File& f : c.profile.files) check(f.uid, f.gid, f.path.at, cat("files.", *f.path));
    for (std::size_t i = 0; i < c.profile.dirs.size(); ++i)
        check(c.profile.dirs[i].uid, c.profile.dirs[i].gid, c.profile.dirs[i].path.at, cat("dirs[", i, "]"));
    for (std::size_t i = 0; i < c.profile.devices.size(); ++i)
        check(c.profile.devices[i].uid, c.profile.devices[i].gid, c.profile.devices[i].path.at, cat("devices[", i, "]"));
}

void check_capabilities(Check& c) {
    for (const auto& capability : c.profile.capabilities.add) {
        if (*capability > c.facts.last_capability)
            c.error("E0520", capability.at, "capabilities.add", "this kernel does not have that capability", "leave it out");
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
        c.error("E0522", score.at, "process.oom_score_adj", "lowering the OOM score needs CAP_SYS_RESOURCE, which the caller does not have",
                "let it be 0 or more");
}

bool lacks_namespace(const HostFacts& facts, std::string_view name) {
    const auto found = facts.namespaces.find(std::string(name));
    return found != facts.namespaces.end() && !found->second;
}

bool is_above_limit(const Ulimit& limit, const HostFacts& facts) {
    const bool may_raise = facts.capabilities >> CAP_SYS_RESOURCE & 1;
    return limit.name == "nofile" && limit.hard > facts.nofile_hard && !may_raise && facts.nofile_hard != 0;
}

// ---- control groups

bool inside_set(std::string_view wanted, std::string_view have) {
    const auto numbers = [](std::string_view text) {
        std::set<std::uint32_t> out;
        for (const std::string_view part : split(text, ',')) {
            const auto dash = part.find('-');
            const auto first = parse_id(part.substr(0, dash)),
                       last = dash == std::string_view::npos ? first : parse_id(part.substr(dash + 1));
            for (std::uint32_t i = first.value_or(1); first && last && i <= *last && i <= 8191; ++i) out.insert(i);
        }
        return out;
    };
    const auto all = numbers(have);
    return std::ranges::all_of(numbers(wanted), [&all](std::uint32_t n) { return all.contains(n); });
}

void check_processors(Check& c) {
    const CpuLimits& cpu = c.profile.resources.cpu;
    const CgroupFact* tree = tree_of(c.facts, "cpuset");
    if (!tree) return;
    if (cpu.set && !tree->processors.empty() && !inside_set(**cpu.set, tree->processors))
        c.error("E0552", cpu.set->at, "resources.cpu.set",
                cat("of the processors ", **cpu.set, " this host hands out only ", tree->processors),
                cat("choose among ", tree->processors));
    if (cpu.mems && !tree->nodes.empty() && !inside_set(**cpu.mems, tree->nodes))
        c.error("E0552", cpu.mems->at, "resources.cpu.mems",
                cat("of the memory nodes ", **cpu.mems, " this host hands out only ", tree->nodes), cat("choose among ", tree->nodes));
    if (cpu.limit && **cpu.limit != no_limit && c.facts.processors && **cpu.limit > c.facts.processors * one_core)
        c.error("E0553", cpu.limit->at, "resources.cpu.limit",
                cat("this host has ", c.facts.processors, c.facts.processors == 1 ? " processor" : " processors", ", less than the limit"),
                cat("at most ", c.facts.processors, ", or leave the limit out"));
}

// A group of v2 that has processes hands out no controllers, unless it is the true root (cgroups(7)).
void check_crowded(Check& c, const Limits& limits, std::string_view key, Position at) {
    const CgroupFact* tree = unified_tree(c.facts);
    if (!tree || !tree->crowded) return;
    for (const std::string& name : limits.controllers) {
        const auto in = [&name](const std::vector<std::string>& list) { return std::ranges::find(list, name) != list.end(); };
        if (!in(tree->controllers) || in(tree->enabled)) continue;
        return c.error("E0554", at, std::string(key), cat(tree->mount, " has processes of its own and does not hand out ", name),
                       cat("move them into a group below it (mkdir ", tree->mount, "/init, then write their ids to its cgroup.procs)"));
    }
}

// What control groups here cannot express is an error, or a line of the plan with policy.unsupported: warn.
void check_groups(Check& c) {
    std::string key;
    const Position* wish = first_wish(c.profile, key);
    const Severity severity = c.profile.warn_unsupported ? Severity::warning : Severity::error;
    const GroupPlace place = decide_groups(c.profile, c.facts);
    const At<CgroupManager>& manager = c.profile.cgroup.manager;
    const bool named = *manager == CgroupManager::fs || *manager == CgroupManager::systemd;
    if (place.way == GroupWay::unavailable && (wish || named)) {
        c.error("E0550", named ? manager.at : *wish, named ? "cgroup.manager" : key, place.why, place.hint);
        c.out.back().severity = severity;
        return;
    }
    if (place.way == GroupWay::unavailable || place.way == GroupWay::none) return;
    Limits limits = translate_limits(c.profile, c.facts);
    if (c.profile.cgroup.parent) {
        const Limits parent = translate_parent(*c.profile.cgroup.parent, c.facts);
        limits.refused.insert(limits.refused.end(), parent.refused.begin(), parent.refused.end());
        if (place.way == GroupWay::scope || place.way == GroupWay::own)
            limits.refused.push_back({"", "cgroup.parent",
                                      place.way == GroupWay::own ? "the sandbox of a unit lies in the unit's own group"
                                                                 : "a scope of systemd lies in a slice, not in a group of the launcher's",
                                      "say cgroup: {manager: fs}, or leave parent out", c.profile.cgroup.parent->at, false});
    }
    for (const Refusal& r : limits.refused) {
        if (r.by_default) continue;
        c.error("E0551", r.at, r.key, r.message, c.profile.warn_unsupported ? "it is left out, as policy.unsupported allows" : r.hint);
        c.out.back().severity = severity;
    }
    if (place.way == GroupWay::files) check_crowded(c, limits, wish ? key : "cgroup", wish ? *wish : Position{});
    check_processors(c);
}

void check_view(Check& c) {
    const At<ProcView>& view = c.profile.proc.view;
    if (*view != ProcView::limits || !c.facts.lxcfs.empty()) return;
    c.error("E0555", view.at, "proc.view", "lxcfs does not run, which shows the limits as /proc",
            "install Debian's package lxcfs and start it (systemctl start lxcfs), or say view: host");
    if (c.profile.warn_unsupported) c.out.back().severity = Severity::warning;
}

// What a sandbox can do without, when the profile says so: nothing else becomes weaker or the host's.
constexpr std::string_view dispensable_namespaces[] = {"cgroup", "time"};

// What this host cannot honour and policy.unsupported is about.
void check_support(Check& c) {
    const bool warn = c.profile.warn_unsupported;
    for (const auto& [name, ns] : namespaces_of(c.profile)) {
        if (!is_private(*ns) || !lacks_namespace(c.facts, name)) continue;
        const bool dispensable = std::ranges::find(dispensable_namespaces, name) != std::end(dispensable_namespaces);
        c.error(
            "E0512", ns->mode.at, cat("namespaces.", name), cat("this kernel has no ", name, " namespaces"),
            warn && dispensable ? "the host's is used instead, as policy.unsupported allows" : cat("say namespaces: {", name, ": host}"));
        if (warn && dispensable) c.out.back().severity = Severity::warning;
    }
    for (const Ulimit& limit : c.profile.ulimits) {
        if (!is_above_limit(limit, c.facts)) continue;
        c.error("E0523", limit.at, "ulimits.nofile",
                cat("raising the hard limit above ", c.facts.nofile_hard, " needs CAP_SYS_RESOURCE, which the caller does not have"),
                warn ? cat("it is ", c.facts.nofile_hard, " instead, as policy.unsupported allows")
                     : cat("ask for at most ", c.facts.nofile_hard, ", or say policy: {unsupported: warn}"));
        if (warn) c.out.back().severity = Severity::warning;
    }
}

}  // namespace

Profile without_unsupported(Profile profile, const HostFacts& facts) {
    if (lacks_namespace(facts, "cgroup") && is_private(profile.namespaces.cgroup)) *profile.namespaces.cgroup.mode = NamespaceMode::host;
    if (lacks_namespace(facts, "time") && is_private(profile.namespaces.time)) {
        *profile.namespaces.time.mode = NamespaceMode::host;
        profile.time.boottime.reset();
        profile.time.monotonic.reset();
    }
    for (Ulimit& limit : profile.ulimits) {
        if (!is_above_limit(limit, facts)) continue;
        limit.hard = facts.nofile_hard;
        limit.soft = std::min(limit.soft, limit.hard);
    }
    return profile;
}

Diagnostics check_named_files(const Profile& profile, const HostFacts& facts) {
    Diagnostics out;
    Check check{profile, facts, out};
    for (const auto part : {check_root, check_overlays, check_sources, check_devices}) part(check);
    return out;
}

Diagnostics check_resources(const Profile& profile, const HostFacts& facts) {
    Diagnostics out;
    Check check{profile, facts, out};
    check_groups(check);
    return out;
}

Diagnostics check_against_host(const Profile& profile, const HostFacts& facts) {
    Diagnostics out;
    Check asked{profile, facts, out};
    check_support(asked);
    std::optional<Profile> reduced;
    if (profile.warn_unsupported) reduced = without_unsupported(profile, facts);
    Check check{reduced ? *reduced : profile, facts, out};
    for (const auto part : {check_root, check_overlays, check_sources, check_idmap_modes, check_devices, check_namespaces, check_ids,
                            check_owners, check_capabilities, check_terminal, check_limits, check_groups, check_view})
        part(check);
    check_network_on_host(check.profile, facts, out);
    return out;
}

}  // namespace sandbox
