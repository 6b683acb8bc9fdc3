// The tree that becomes "/".

#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>

#include "plan/context.h"

namespace sandbox {
namespace {

constexpr std::uint64_t device_free = MOUNT_ATTR_NODEV;

MountAttributes root_attributes(const Context& c, bool readonly, bool nosuid) {
    MountAttributes a;
    a.set = device_free | (nosuid ? MOUNT_ATTR_NOSUID : 0) | (readonly ? MOUNT_ATTR_RDONLY : 0);
    // A clone of a shared mount would be its peer: mounts made inside would appear on the host.
    a.propagation = *c.profile.rootfs.propagation == Propagation::private_ ? MS_PRIVATE : MS_SLAVE;
    a.recursive = true;
    return a;
}

Slot plan_path(Context& c) {
    const Rootfs& root = c.profile.rootfs;
    if (*root.idmap == IdmapMode::chown && c.identity.own_user_namespace)
        c.before.push_back(host_step(cat("rootfs.chown:", **root.path), root.idmap.at,
                                     cat("give the files of ", **root.path, " to the sandbox's ids"), "give them back",
                                     step::ShiftOwner{**root.path}));
    if (c.parent_mounts()) plan_tree_lock(c, **root.path, root.path->at);
    const Slot slot = plan_host_tree(c, **root.path, "/", true, *root.idmap, true,
                                     root_attributes(c, false, c.profile.security.no_new_privileges), root.path->at, false);
    c.tree.mount("/", Ground::host, slot, **root.path);
    return slot;
}

// Each real file system of the host on its own where the parent may: the host's /proc, /sys, /dev and /run stay
// outside. An unprivileged child can clone the tree only whole (mount_namespaces(7)), and covers them.
Slot plan_host(Context& c) {
    const Rootfs& root = c.profile.rootfs;
    const bool readonly = **root.host == AccessMode::ro || root.readonly;
    const MountAttributes attributes = root_attributes(c, readonly, true);
    const Slot slot = plan_host_tree(c, "/", "/", !c.parent_mounts(), *root.idmap, false, attributes, root.host->at, false);
    c.tree.mount("/", readonly ? Ground::guarded : Ground::host, slot, "/");
    return slot;
}

Slot plan_tmpfs(Context& c) {
    const RootTmpfs& root = *c.profile.rootfs.tmpfs;
    const Slot slot = c.slot();
    std::vector<FsOption> options{{"mode", format_mode(root.perm ? **root.perm : 0755)}};
    if (root.size) options.push_back({"size", std::to_string(**root.size)});
    c.setup.push_back(sandbox_step(
        "rootfs.tmpfs", c.profile.rootfs.at, "make an empty tmpfs for the root",
        step::NewFilesystem{slot, "tmpfs", options, device_free | (c.profile.security.no_new_privileges ? MOUNT_ATTR_NOSUID : 0U)}));
    c.tree.mount("/", Ground::memory);
    return slot;
}

// Views of the kernel, not files: the sandbox gets its own, and one that somebody mounted elsewhere (in a chroot) would
// show the host's.
bool shows_kernel(std::string_view filesystem) {
    constexpr std::string_view kernel[] = {"autofs", "binfmt_misc", "bpf",        "cgroup",     "cgroup2",   "configfs", "debugfs",
                                           "devpts", "devtmpfs",    "efivarfs",   "fusectl",    "hugetlbfs", "mqueue",   "nsfs",
                                           "proc",   "pstore",      "rpc_pipefs", "securityfs", "selinuxfs", "sysfs",    "tracefs"};
    return std::ranges::find(kernel, filesystem) != std::end(kernel);
}

// The other file systems of the host's tree, each at its place.
void plan_host_submounts(Context& c) {
    if (!c.profile.rootfs.host || !c.parent_mounts()) return;
    const Rootfs& root = c.profile.rootfs;
    const bool readonly = **root.host == AccessMode::ro || root.readonly;
    const auto covered = [&c](const std::string& target) {
        return std::ranges::any_of(c.profile.mounts, [&](const Mount& m) { return beneath(target, *m.target) && !m.optional; });
    };
    for (const MountFact& mount : c.facts.mounts) {
        if (shows_kernel(mount.filesystem) || covered(mount.target)) continue;
        const Slot slot = plan_host_tree(c, mount.target, mount.target, false, *root.idmap, false, root_attributes(c, readonly, true),
                                         root.host->at, true);
        Step step = sandbox_step(cat("mount:", mount.target), root.host->at, cat("mount the host's ", mount.target),
                                 step::Attach{slot, mount.target, false});
        step.optional = true;
        c.setup.push_back(std::move(step));
        c.tree.mount(mount.target, readonly ? Ground::guarded : Ground::host, slot, mount.target);
    }
}

bool keeps_mount_namespace(const Profile& profile) { return !is_private(profile.namespaces.mount); }

}  // namespace

void plan_root(Context& c) {
    if (keeps_mount_namespace(c.profile)) return;  // the checks allow it only with the host's tree as it is
    const Rootfs& root = c.profile.rootfs;
    c.entry.push_back(sandbox_step("propagation", root.propagation.at, "stop mounts from reaching the host",
                                   step::SetPropagation{*root.propagation != Propagation::private_}));
    c.cover_file = c.slot();
    c.cover_folder = c.slot();
    c.setup.push_back(sandbox_step("stage", {}, "make a tmpfs out of sight, with an empty file and folder to cover paths with",
                                   step::Stage{c.cover_file, c.cover_folder}));
    if (root.path)
        c.root = plan_path(c);
    else if (root.host)
        c.root = plan_host(c);
    else if (root.tmpfs)
        c.root = plan_tmpfs(c);
    else {
        const std::uint64_t attributes = device_free | (c.profile.security.no_new_privileges ? MOUNT_ATTR_NOSUID : 0U);
        c.root = plan_overlay(c, *root.overlay, "/", root.at, *root.idmap, attributes);
        c.tree.mount("/", Ground::memory);
    }
    c.setup.push_back(sandbox_step("rootfs.attach", root.at, "mount the root, out of reach of the host", step::AttachRoot{c.root}));
    plan_host_submounts(c);
    if (!root.readonly || root.host) return;
    // A tree of the host has all that mounts need before the child comes, and may have file systems of the host below it:
    // they are part of the root, what is mounted from here on is not.
    if (root.path)
        c.setup.push_back(
            sandbox_step("rootfs.readonly", root.at, "make the root read-only", step::SetMount{c.root, {MOUNT_ATTR_RDONLY, 0, 0, true}}));
    else
        c.sealed.push_back({c.root, "/", root.at});
}

Slot plan_host_tree(Context& c, const std::string& host, const std::string& label, bool recursive, IdmapMode idmap, bool required,
                    MountAttributes attributes, Position at, bool optional) {
    const std::string id = cat("tree.open:", label);
    const std::string text = cat("open ", host, recursive ? " with the mounts below it" : "");
    if (!c.parent_mounts()) {
        const Slot slot = c.slot();
        Step step = sandbox_step(id, at, text, step::OpenTreeInside{slot, host, no_slot, true, true, attributes});
        step.optional = optional;
        c.entry.push_back(std::move(step));
        return slot;
    }
    const Slot slot = c.sent_slot();
    Step step = host_step(id, at, text, {}, step::OpenTree{slot, host, recursive, attributes});
    step.optional = optional;
    c.before.push_back(std::move(step));
    const bool mapped = c.id_mapped_mounts() && idmap != IdmapMode::none && idmap != IdmapMode::chown;
    if (mapped) {
        c.mapped_trees.insert(slot);
        Step map = host_step(cat("tree.idmap:", label), at, cat("show the ids of ", host, " through the sandbox's map"), {},
                             step::IdmapTree{slot, recursive, required || idmap == IdmapMode::container});
        map.optional = optional;
        c.after.push_back(std::move(map));
    }
    return slot;
}

}  // namespace sandbox
