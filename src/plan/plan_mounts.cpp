// What is mounted on the root: the user's mounts, the kernel's file systems and /dev, parents first.

#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <functional>

#include "plan/network.h"

namespace sandbox {
namespace {

constexpr std::uint64_t harmless = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// A mount that is still to be planned; they are sorted by target so that parents come first.
struct Pending {
    std::string target;
    std::function<void()> plan;
    bool makes_target = true;
    Position at{};
};

std::uint64_t attributes_of(const Mount& m) {
    std::uint64_t set = *m.mode == AccessMode::ro ? MOUNT_ATTR_RDONLY : 0;
    if (!m.exec) set |= MOUNT_ATTR_NOEXEC;
    if (!m.suid) set |= MOUNT_ATTR_NOSUID;
    if (!m.dev) set |= MOUNT_ATTR_NODEV;
    return set;
}

void attach(Context& c, const std::string& target, Slot slot, std::string text, Position at, bool optional, bool no_links) {
    Step step = sandbox_step(cat("mount:", target), at, std::move(text), step::Attach{slot, target, no_links});
    step.optional = optional;
    c.setup.push_back(std::move(step));
}

// A file system that shows a namespace must be mounted by someone whose user namespace owns that namespace: the child
// when the namespace is new, else the parent.
Slot new_filesystem(Context& c, const std::string& target, std::string type, std::vector<FsOption> options, std::uint64_t attributes,
                    bool by_parent, Position at, bool optional) {
    const std::string id = cat("fs.new:", target), text = cat("make a ", type, " file system");
    if (by_parent && c.identity.own_user_namespace && c.parent_mounts()) {
        const Slot slot = c.sent_slot();
        const bool elsewhere = type == "sysfs" && c.network != no_slot;
        Step step = host_step(id, at, cat(text, elsewhere ? " of the joined network" : ""), {},
                              step::HostFilesystem{slot, std::move(type), std::move(options), attributes, elsewhere ? c.network : no_slot});
        step.optional = optional;
        c.before.push_back(std::move(step));
        return slot;
    }
    const Slot slot = c.slot();
    Step step = sandbox_step(id, at, text, step::NewFilesystem{slot, std::move(type), std::move(options), attributes});
    step.optional = optional;
    c.setup.push_back(std::move(step));
    return slot;
}

Slot mount_kernel(Context& c, const std::string& target, const char* type, std::vector<FsOption> options, std::uint64_t attributes,
                  bool by_parent, Position at, bool optional = false) {
    plan_target(c, target, true, at);
    const Slot slot = new_filesystem(c, target, type, std::move(options), attributes, by_parent, at, optional);
    attach(c, target, slot, cat("mount a fresh ", type, " on ", target), at, optional, true);
    c.tree.mount(target, std::string_view(type) == "tmpfs" ? Ground::memory : Ground::kernel);
    if (std::string_view(type) == "proc" && !optional && !(attributes & MOUNT_ATTR_RDONLY)) c.proc = slot;
    return slot;
}

void leave_out(Context& c, std::string_view kind, const std::string& source, const std::string& target) {
    c.plan.left_out.push_back(cat(kind, ":", target, ": ", source, " is missing"));
    c.plan.notes.push_back(cat(kind, ":", target, " is left out: ", source, " is missing, and optional"));
}

// What is optional and not there.
bool is_left_out(const Context& c, const std::string& source, bool optional) {
    const auto fact = c.facts.paths.find(source);
    return optional && fact != c.facts.paths.end() && fact->second.kind == PathKind::absent;
}
bool is_left_out(const Context& c, const Mount& m) { return *m.type == MountType::bind && is_left_out(c, *m.source, m.optional); }
bool is_left_out(const Context& c, const Device& d) { return !d.major && is_left_out(c, *d.path, d.optional); }
bool is_made(const Context& c, const Device& d) {
    return makes_node(c.profile, c.identity, d) && !is_left_out(c, d) && (d.major || c.facts.paths.contains(*d.path));
}

// ---- the user's mounts

void plan_bind(Context& c, const Mount& m) {
    const auto fact = c.facts.paths.find(*m.source);
    const bool directory = fact == c.facts.paths.end() || fact->second.kind == PathKind::directory;
    if (is_left_out(c, m)) {
        leave_out(c, "mount", *m.source, *m.target);
        return;
    }
    if (m.create) plan_target(c, *m.target, directory, m.target.at);
    const MountAttributes attributes{attributes_of(m), 0, MS_PRIVATE, true};
    const Slot slot =
        plan_host_tree(c, *m.source, *m.target, m.recursive && directory, *m.idmap, false, attributes, m.source.at, m.optional);
    attach(c, *m.target, slot, cat("mount ", *m.source, " on ", *m.target, *m.mode == AccessMode::ro ? ", read-only" : ""), m.at,
           m.optional, false);
    c.tree.mount(*m.target, Ground::host, slot, *m.source);
}

void plan_tmpfs(Context& c, const Mount& m) {
    if (m.create) plan_target(c, *m.target, true, m.target.at);
    std::vector<FsOption> options{{"mode", format_mode(m.perm ? **m.perm : 01777)}};
    if (m.size) options.push_back({"size", std::to_string(**m.size)});
    const Slot slot =
        new_filesystem(c, *m.target, "tmpfs", options, attributes_of(m) & ~std::uint64_t(MOUNT_ATTR_RDONLY), false, m.at, m.optional);
    attach(c, *m.target, slot, cat("mount a fresh tmpfs on ", *m.target), m.at, m.optional, false);
    c.tree.mount(*m.target, Ground::memory);
    if (*m.mode == AccessMode::ro) c.sealed.push_back({slot, *m.target, m.at, m.optional});
}

void plan_overlay_mount(Context& c, const Mount& m) {
    if (m.create) plan_target(c, *m.target, true, m.target.at);
    const Slot slot = plan_overlay(c, *m.overlay, *m.target, m.at, *m.idmap, attributes_of(m) & ~std::uint64_t(MOUNT_ATTR_RDONLY));
    attach(c, *m.target, slot, cat("mount the merged overlay on ", *m.target), m.at, m.optional, false);
    c.tree.mount(*m.target, Ground::memory);
    if (*m.mode == AccessMode::ro) c.sealed.push_back({slot, *m.target, m.at, m.optional});
}

// On a hybrid host each v1 controller is a file system of its own, below a tmpfs, as on the host.
void plan_cgroup(Context& c, const Mount& m) {
    const std::uint64_t attributes = harmless | (*m.mode == AccessMode::ro ? MOUNT_ATTR_RDONLY : 0);
    const bool foreign = !is_private(c.profile.namespaces.cgroup);
    const bool unified = c.facts.cgroup_layout == "v2";
    if (unified) {
        mount_kernel(c, *m.target, "cgroup2", {}, attributes, foreign, m.at, m.optional);
        return;
    }
    const Slot folder = mount_kernel(c, *m.target, "tmpfs", {{"mode", "0755"}}, harmless, false, m.at, m.optional);
    if (*m.mode == AccessMode::ro) c.sealed.push_back({folder, *m.target, m.at, m.optional});
    for (const auto& [controller, version] : c.facts.controllers)
        if (version == CgroupVersion::v1)
            mount_kernel(c, cat(*m.target, "/", controller), "cgroup", {{controller, {}, true}}, attributes, foreign, m.at, true);
    mount_kernel(c, cat(*m.target, "/unified"), "cgroup2", {}, attributes, foreign, m.at, true);
}

std::vector<FsOption> proc_options(const Profile& profile) {
    if (*profile.proc.hidepid == 0) return {};
    return {{"hidepid", std::to_string(*profile.proc.hidepid)}};
}

std::vector<FsOption> devpts_options(const Context& c) {
    std::vector<FsOption> options{{"newinstance", {}, true}, {"ptmxmode", "0666"}, {"mode", "0620"}};
    // Which ids a joined user namespace has is not known.
    if (c.identity.maps_gid(5) && *c.profile.namespaces.user.mode != NamespaceMode::path)
        options.push_back({"gid", "5"});  // tty, by custom on every distribution
    return options;
}

void plan_user_mount(Context& c, const Mount& m) {
    const std::uint64_t readonly = *m.mode == AccessMode::ro ? MOUNT_ATTR_RDONLY : 0;
    switch (*m.type) {
        case MountType::bind: return plan_bind(c, m);
        case MountType::tmpfs: return plan_tmpfs(c, m);
        case MountType::overlay: return plan_overlay_mount(c, m);
        case MountType::cgroup: return plan_cgroup(c, m);
        case MountType::proc:
            mount_kernel(c, *m.target, "proc", proc_options(c.profile), harmless | readonly, !is_private(c.profile.namespaces.pid), m.at,
                         m.optional);
            return;
        case MountType::sysfs:
            mount_kernel(c, *m.target, "sysfs", {}, harmless | readonly, !makes_network(c.profile), m.at, m.optional);
            return;
        case MountType::mqueue:
            mount_kernel(c, *m.target, "mqueue", {}, harmless | readonly, !is_private(c.profile.namespaces.ipc), m.at, m.optional);
            return;
        case MountType::devpts:
            mount_kernel(c, *m.target, "devpts", devpts_options(c), (harmless & ~std::uint64_t(MOUNT_ATTR_NODEV)) | readonly, false, m.at,
                         m.optional);
    }
}

// ---- what every sandbox has

void plan_proc(Context& c) {
    const Profile& p = c.profile;
    if (*p.proc.mode == ProcMode::fresh) {
        mount_kernel(c, "/proc", "proc", proc_options(p), harmless, !is_private(p.namespaces.pid), p.proc.mode.at);
        return;
    }
    if (*p.proc.mode == ProcMode::none) return;
    plan_target(c, "/proc", true, p.proc.mode.at);
    const Slot slot =
        plan_host_tree(c, "/proc", "/proc", true, IdmapMode::none, false, {harmless, 0, MS_PRIVATE, true}, p.proc.mode.at, false);
    attach(c, "/proc", slot, "mount the host's /proc", p.proc.mode.at, false, true);
    c.tree.mount("/proc", Ground::kernel);
    c.proc = slot;
}

// A fresh sysfs shows a network namespace: without root it can be had for the sandbox's own only, and only where the
// host's is not covered in part. The host's own, read-only, tells no more than the host's network does.
void plan_sys(Context& c) {
    if (c.parent_mounts() || (makes_network(c.profile) && c.facts.sysfs_mountable)) {
        mount_kernel(c, "/sys", "sysfs", {}, harmless | MOUNT_ATTR_RDONLY, !makes_network(c.profile), {});
        return;
    }
    plan_target(c, "/sys", true, {});
    const Slot slot =
        plan_host_tree(c, "/sys", "/sys", true, IdmapMode::none, false, {harmless | MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, true}, {}, false);
    attach(c, "/sys", slot, "mount the host's /sys, read-only", {}, false, true);
    c.tree.mount("/sys", Ground::kernel);
    c.plan.notes.push_back("/sys: the host's, because a fresh one cannot be mounted here without root");
}

// Files of lxcfs, which answers each reader by the limits of the reader's own groups, over those of the kernel.
void plan_view_file(Context& c, const std::string& file) {
    const Position at = c.profile.proc.view.at;
    const std::string source = cat(c.facts.lxcfs, "/", file), target = cat("/", file);
    const Slot slot =
        plan_host_tree(c, source, target, false, IdmapMode::none, false, {harmless | MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, false}, at, false);
    attach(c, target, slot, cat("show ", target, " by the sandbox's limits: mount ", source, " on it, read-only"), at, false, true);
}

// Whether the kernel's file system that has the file is where it is to be shown, and none of the user's mounts.
bool is_shown(const Context& c, const std::string& target) {
    return std::ranges::none_of(c.profile.mounts, [&target](const Mount& m) { return beneath(target, *m.target); });
}

void plan_view(Context& c, std::vector<Pending>& pending) {
    if (*c.profile.proc.view != ProcView::limits || c.facts.lxcfs.empty()) return;
    for (const std::string& file : c.facts.lxcfs_files)
        if (is_shown(c, "/" + file)) pending.push_back({"/" + file, [&c, &file] { plan_view_file(c, file); }, false});
}

constexpr const char* device_names[] = {"null", "zero", "full", "random", "urandom", "tty"};
constexpr std::pair<const char*, const char*> device_links[] = {{"fd", "/proc/self/fd"},
                                                                {"stdin", "/proc/self/fd/0"},
                                                                {"stdout", "/proc/self/fd/1"},
                                                                {"stderr", "/proc/self/fd/2"},
                                                                {"ptmx", "pts/ptmx"}};

// The node of a device: its numbers are the profile's, or those that the host's node has.
DeviceNode node_of(const Context& c, const Device& d) {
    const std::string name = d.target->substr(std::string_view("/dev/").size());
    if (d.major) return {name, *d.type != DeviceType::block, *d.major, *d.minor, d.perm.value_or(0660), d.uid, d.gid};
    const PathFact& fact = c.facts.paths.at(*d.path);
    return {name, fact.kind != PathKind::block, fact.rdev_major, fact.rdev_minor, d.perm.value_or(fact.mode), d.uid, d.gid};
}

void add_node(step::BuildDev& build, DeviceNode node) {
    for (auto slash = node.name.find('/'); slash != std::string::npos; slash = node.name.find('/', slash + 1)) {
        const std::string folder = node.name.substr(0, slash);
        if (std::ranges::find(build.folders, folder) == build.folders.end()) build.folders.push_back(folder);
    }
    std::erase_if(build.nodes, [&node](const DeviceNode& other) { return other.name == node.name; });
    build.nodes.push_back(std::move(node));
}

// Nodes of our own where the launcher may make them, numbers as in devices.txt of the kernel.
void plan_dev_by_parent(Context& c) {
    constexpr std::pair<std::uint32_t, std::uint32_t> numbers[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}};
    step::BuildDev build{c.sent_slot(), {}, {"pts", "shm", "mqueue"}, {}};
    for (std::size_t i = 0; i < std::size(device_names); ++i)
        build.nodes.push_back({device_names[i], true, numbers[i].first, numbers[i].second});
    for (const auto& [link, target] : device_links) build.links.emplace_back(link, target);
    for (const Device& d : c.profile.devices)
        if (is_made(c, d)) add_node(build, node_of(c, d));
    std::string names;
    for (const DeviceNode& node : build.nodes) names += cat(" ", node.name);
    for (const std::string& folder : build.folders) c.present.insert("/dev/" + folder);
    const Slot slot = build.slot;
    c.before.push_back(host_step("dev.build", c.profile.dev.mode.at, cat("make a /dev with", names), {}, std::move(build)));
    plan_target(c, "/dev", true, {});
    attach(c, "/dev", slot, "mount it on /dev", c.profile.dev.mode.at, false, true);
    c.tree.mount("/dev", Ground::memory);
    c.sealed.push_back({slot, "/dev"});
}

// A node of the host: read-only says nothing about the device behind it, but keeps the node's owner and mode from a payload
// whose root is the one that owns it.
constexpr std::uint64_t host_node = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;

// Without the right to make nodes, the host's own are shown one by one.
void plan_dev_by_child(Context& c) {
    const Position at = c.profile.dev.mode.at;
    const Slot slot = c.slot();
    plan_target(c, "/dev", true, at);
    std::vector<std::pair<const char*, Slot>> nodes;
    for (const char* name : device_names) {
        nodes.emplace_back(name, c.slot());
        c.setup.push_back(sandbox_step(
            cat("dev.open:", name), at, cat("open the host's /dev/", name),
            step::OpenTreeInside{nodes.back().second, cat("/dev/", name), no_slot, true, false, {host_node, 0, MS_PRIVATE, false}}));
    }
    c.setup.push_back(
        sandbox_step("fs.new:/dev", at, "make a tmpfs file system",
                     step::NewFilesystem{slot, "tmpfs", {{"mode", "0755"}, {"size", "65536"}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC}));
    attach(c, "/dev", slot, "mount it on /dev", at, false, true);
    c.tree.mount("/dev", Ground::memory);
    for (const auto& [name, node] : nodes) {
        const std::string path = cat("/dev/", name);
        c.setup.push_back(
            sandbox_step(cat("target:", path), at, cat("make ", path), step::MakeFile{path, {}, {}, 0444, 0, 0, false, no_slot}));
        attach(c, path, node, cat("mount the host's ", path), at, false, true);
    }
    for (const auto& [link, target] : device_links)
        c.setup.push_back(sandbox_step(cat("symlink:/dev/", link), at, cat("link /dev/", link, " to ", target),
                                       step::MakeSymlink{cat("/dev/", link), target, no_slot}));
    c.sealed.push_back({slot, "/dev"});
}

void plan_dev(Context& c) {
    const Profile& p = c.profile;
    const Position at = p.dev.mode.at;
    if (*p.dev.mode == DevMode::none) return;
    if (*p.dev.mode == DevMode::host) {
        plan_target(c, "/dev", true, at);
        const Slot slot = plan_host_tree(c, "/dev", "/dev", true, IdmapMode::none, false,
                                         {MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, MS_PRIVATE, true}, at, false);
        attach(c, "/dev", slot, "mount the host's /dev", at, false, true);
        c.tree.mount("/dev", Ground::kernel);
        // Devices work on a read-only mount; their owners and modes are the host's affair. What is mounted below stays writable.
        c.sealed.push_back({slot, "/dev", at, false});
        return;
    }
    if (c.parent_mounts())
        plan_dev_by_parent(c);
    else
        plan_dev_by_child(c);
}

void plan_dev_parts(Context& c, std::vector<Pending>& pending) {
    const Profile& p = c.profile;
    if (*p.dev.mode != DevMode::minimal) return;
    constexpr std::uint64_t no_device_exec = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    pending.push_back({"/dev/pts", [&c] { mount_kernel(c, "/dev/pts", "devpts", devpts_options(c), no_device_exec, false, {}); }});
    pending.push_back({"/dev/shm", [&c, &p] {
                           mount_kernel(c, "/dev/shm", "tmpfs", {{"mode", "1777"}, {"size", std::to_string(*p.dev.shm_size)}}, harmless,
                                        false, p.dev.shm_size.at);
                       }});
    // A kernel without POSIX message queues is an ordinary host.
    pending.push_back(
        {"/dev/mqueue", [&c, &p] { mount_kernel(c, "/dev/mqueue", "mqueue", {}, harmless, !is_private(p.namespaces.ipc), {}, true); }});
}

void plan_device(Context& c, const Device& d) {
    const Position at = d.path.at;
    if (is_made(c, d)) return;  // with the rest of /dev
    if (is_left_out(c, d)) {
        leave_out(c, "device", *d.path, *d.target);
        return;
    }
    plan_target(c, *d.target, false, at);
    const Slot slot = plan_host_tree(c, *d.path, *d.target, false, IdmapMode::none, false, {host_node, MOUNT_ATTR_NODEV, MS_PRIVATE, false},
                                     at, d.optional);
    attach(c, *d.target, slot, cat("show the device ", *d.path, " as ", *d.target), at, d.optional, false);
    c.tree.mount(*d.target, Ground::kernel);
}

// Where a name of the root leads to: /etc/resolv.conf is often a link to /run, which is the sandbox's own, or where nothing is.
std::string behind_links(const Context& c, const std::string& path) {
    const auto fact = c.facts.root_paths.find(path);
    return fact == c.facts.root_paths.end() || fact->second.resolved.empty() ? path : fact->second.resolved;
}

// A file of the state folder over one of the root: so it stays true when other sandboxes come to the bridge.
void plan_name(Context& c, const std::string& name) {
    const Position at = place_of_names(c.profile);
    const std::string source = cat(c.caller.state_folder, "/", c.plan.name, name.substr(name.rfind('/')));
    plan_target(c, behind_links(c, name), false, at);
    const Slot slot =
        plan_host_tree(c, source, name, false, IdmapMode::none, false, {harmless | MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, false}, at, false);
    attach(c, name, slot, cat("mount ", source, " on ", name, ", read-only"), at, false, false);
    c.tree.mount(name, Ground::kernel);
}

// Whether something mounted later covers `path`, so that it does not come to lie in the root.
bool is_covered(const std::vector<Pending>& pending, const std::string& path, bool itself) {
    return std::ranges::any_of(pending,
                               [&](const Pending& other) { return beneath(path, other.target) && (itself || path != other.target); });
}

// Mirrors show clones of what is there already. So they come first, parents before children: a mount that was made
// before would be out of reach under its clone.
void plan_mirrors(Context& c, const std::vector<Pending>& pending) {
    std::vector<std::pair<std::string, Position>> wanted;
    for (const Pending& mount : pending)
        if (mount.makes_target && !is_covered(pending, mount.target, false)) wanted.emplace_back(mount.target, mount.at);
    const auto add = [&](const Text& path) {
        if (!is_covered(pending, *path, true)) wanted.emplace_back(*path, path.at);
    };
    for (const Directory& d : c.profile.dirs) add(d.path);
    for (const File& f : c.profile.files) add(f.path);
    for (const Symlink& s : c.profile.symlinks) add(s.path);
    std::erase_if(wanted, [&c](const auto& place) { return !needs_mirror(c, place.first); });
    std::ranges::stable_sort(wanted, {}, [&c](const auto& place) { return mirrored_folder(c, place.first).size(); });
    for (const auto& [path, at] : wanted)
        if (needs_mirror(c, path)) plan_mirror(c, path, at);
}

bool is_built_in(std::string_view name) {
    return std::ranges::any_of(device_links, [name](const auto& link) { return name == link.first; });
}

std::size_t depth(const std::string& path) { return path == "/" ? 0 : static_cast<std::size_t>(std::ranges::count(path, '/')); }

}  // namespace

bool can_make_node(const Profile& profile, const Identity& identity, const Device& d) {
    const std::string& target = *d.target;
    if (!identity.privileged || *profile.dev.mode != DevMode::minimal || !beneath(target, "/dev") || target == "/dev") return false;
    const auto hidden_by = [&target](std::string_view folder) { return beneath(target, folder); };
    if (hidden_by("/dev/pts") || hidden_by("/dev/shm") || hidden_by("/dev/mqueue") || is_built_in(target.substr(5))) return false;
    return std::ranges::none_of(profile.mounts, [&](const Mount& m) { return hidden_by(*m.target); });
}

bool makes_node(const Profile& profile, const Identity& identity, const Device& d) {
    return can_make_node(profile, identity, d) && (d.major || identity.own_user_namespace || has_own_looks(d));
}

bool has_own_looks(const Device& d) { return d.perm || d.uid != 0 || d.gid != 0; }

void plan_mounts(Context& c) {
    if (c.root == no_slot) return;
    const Profile& p = c.profile;
    std::vector<Pending> pending;
    pending.push_back({"/proc", [&c] { plan_proc(c); }});
    pending.push_back({"/sys", [&c] { plan_sys(c); }});
    pending.push_back({"/dev", [&c] { plan_dev(c); }});
    // The host's sockets and runtime files are not part of "the host's tree, read-only".
    if (p.rootfs.host)
        pending.push_back({"/run", [&c] {
                               mount_kernel(c, "/run", "tmpfs", {{"mode", "0755"}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false, {});
                           }});
    plan_dev_parts(c, pending);
    plan_view(c, pending);
    for (const Mount& m : p.mounts) {
        std::erase_if(pending, [&m](const Pending& other) { return other.target == *m.target; });
        pending.push_back({*m.target, [&c, &m] { plan_user_mount(c, m); }, m.create && !is_left_out(c, m), m.target.at});
    }
    for (const Device& d : p.devices)
        pending.push_back({*d.target, [&c, &d] { plan_device(c, d); }, !is_left_out(c, d) && !is_made(c, d), d.path.at});
    if (shows_names(p))
        for (const std::string& name : shown_names(p))
            pending.push_back({name, [&c, name] { plan_name(c, name); }, true, place_of_names(p)});
    std::ranges::stable_sort(pending, {}, [](const Pending& mount) { return depth(mount.target); });
    plan_mirrors(c, pending);
    for (const Pending& mount : pending) mount.plan();
}

}  // namespace sandbox
