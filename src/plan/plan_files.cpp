// Folders, files and links that the profile asks for, and the targets that mounts need.

#include <linux/mount.h>
#include <sys/mount.h>

#include "plan/context.h"

namespace sandbox {
namespace {

const PathFact* fact_at(const Context& c, const std::string& path) {
    const auto found = c.facts.root_paths.find(path);
    return found == c.facts.root_paths.end() ? nullptr : &found->second;
}

bool missing(const Context& c, const std::string& path) {
    const PathFact* fact = fact_at(c, path);
    return !fact || fact->kind == PathKind::absent;
}

std::string parent_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

// The topmost part of `path` that is not there.
std::string first_missing(const Context& c, const std::string& path) {
    std::string first = path;
    while (parent_of(first) != "/" && missing(c, parent_of(first))) first = parent_of(first);
    return first;
}

std::string joined(const std::string& host, const std::string& relative) {
    return host == "/" ? relative : relative == "/" ? host : host + relative;
}

// What the parent makes on the host for the sandbox, and takes away again.
void make_on_host(Context& c, const Landing& landing, const Directory& d, bool directory, std::string link, Position at) {
    plan_tree_lock(c, landing.host, at);
    const std::string place = joined(landing.host, landing.relative);
    const std::string what = !link.empty() ? "a link" : directory ? "a folder" : "an empty file";
    step::MakeTarget make{
        c.parent_mounts() ? landing.slot : no_slot, landing.host, landing.relative, directory, d.perm, std::move(link), d.uid, d.gid,
        c.mapped_trees.contains(landing.slot)};
    c.before.push_back(host_step(cat("target:", place), at, cat("make ", what, " at ", place, " if nothing is there"),
                                 "remove it if it was made and is empty", std::move(make)));
}

// Whether what lies at `path` in the root is what the facts were asked for.
bool is_root_tree(const Context& c, const Landing& landing, const std::string& path) {
    const Rootfs& root = c.profile.rootfs;
    return (root.path && landing.host == **root.path) || (root.host && joined(landing.host, landing.relative) == path);
}

// Files for places that cannot be written to: made in a tmpfs of ours and mounted there.
Slot file_store(Context& c) {
    if (c.scratch_files != no_slot) return c.scratch_files;
    c.scratch_files = c.slot();
    c.setup.push_back(
        sandbox_step("files.tmpfs", {}, "make a tmpfs for files",
                     step::NewFilesystem{c.scratch_files, "tmpfs", {{"mode", "0755"}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV}));
    c.setup.push_back(sandbox_step("files.scratch", {}, "keep it out of sight", step::Scratch{c.scratch_files}));
    return c.scratch_files;
}

void plan_file(Context& c, const File& file) {
    const std::string& path = *file.path;
    const std::string content = file.content ? **file.content : std::string(), source = file.source ? **file.source : std::string();
    Landing landing = c.tree.find(path);
    if (needs_mirror(c, path)) {
        plan_mirror(c, path, file.path.at);
        landing = c.tree.find(path);
    }
    if (landing.ground == Ground::memory) {
        c.setup.push_back(sandbox_step(cat("file:", path), file.path.at, cat("write ", path),
                                       step::MakeFile{path, content, source, file.perm, file.uid, file.gid, true, no_slot}));
        return;
    }
    plan_target(c, path, false, file.path.at);
    const Slot store = file_store(c), slot = c.slot();
    const std::string name = cat("/", c.files_made++);
    c.setup.push_back(sandbox_step(cat("file.make:", path), file.path.at, cat("write ", path, " to a tmpfs"),
                                   step::MakeFile{name, content, source, file.perm, file.uid, file.gid, true, store}));
    c.setup.push_back(sandbox_step(cat("file.open:", path), file.path.at, "take it from there",
                                   step::OpenTreeInside{slot, name.substr(1), store, true, false, {}}));
    c.setup.push_back(sandbox_step(cat("file:", path), file.path.at, cat("mount it on ", path), step::Attach{slot, path, false}));
}

// A folder that the host has already stays as it is.
bool is_kept(Context& c, const Directory& d) {
    const PathFact* fact = fact_at(c, *d.path);
    if (!fact || fact->kind != PathKind::directory) return false;
    if (fact->mode == d.perm) return true;
    c.plan.notes.push_back(cat("dirs:", *d.path, " is there already and keeps its mode ", format_mode(fact->mode)));
    c.plan.left_out.push_back(
        cat("dirs:", *d.path, ": mode ", format_mode(d.perm), ": it is there already, with mode ", format_mode(fact->mode)));
    return true;
}

void plan_directory(Context& c, const Directory& d) {
    const Landing landing = c.tree.find(*d.path);
    if (landing.ground == Ground::host) {
        if (is_root_tree(c, landing, *d.path) && is_kept(c, d)) return;
        return make_on_host(c, landing, d, true, {}, d.path.at);
    }
    if (landing.ground == Ground::guarded) {
        if (is_kept(c, d)) return;
        plan_mirror(c, *d.path, d.path.at);
    }
    c.setup.push_back(sandbox_step(cat("dir:", *d.path), d.path.at, cat("make the folder ", *d.path),
                                   step::MakeDirectory{*d.path, d.perm, d.uid, d.gid, landing.ground == Ground::memory, no_slot}));
}

void plan_symlink(Context& c, const Symlink& link) {
    const Landing landing = c.tree.find(*link.path);
    if (landing.ground == Ground::host) return make_on_host(c, landing, {}, false, *link.target, link.path.at);
    if (landing.ground == Ground::guarded) {
        if (!missing(c, *link.path)) return;
        plan_mirror(c, *link.path, link.path.at);
    }
    c.setup.push_back(sandbox_step(cat("symlink:", *link.path), link.path.at, cat("link ", *link.path, " to ", *link.target),
                                   step::MakeSymlink{*link.path, *link.target, no_slot}));
}

}  // namespace

bool needs_mirror(const Context& c, const std::string& path) { return c.tree.find(path).ground == Ground::guarded && missing(c, path); }

std::string mirrored_folder(const Context& c, const std::string& path) { return parent_of(first_missing(c, path)); }

void plan_mirror(Context& c, const std::string& path, Position at) {
    const std::string first = first_missing(c, path), folder = parent_of(first);
    if (c.present.insert(cat("mirror:", folder)).second) {
        const Slot slot = c.slot();
        c.setup.push_back(sandbox_step(cat("mirror:", folder), at,
                                       cat("show the entries of ", folder, " in a tmpfs, so that ", first, " can be made"),
                                       step::Mirror{folder, slot}));
        c.sealed.push_back({slot, folder, at});
    }
    c.tree.open(first);
}

// Removing a folder unmounts what other sandboxes have mounted on it: as long as one of them uses the tree, what was
// made in it stays. The supervisor has the lock: a sandbox that is dying without one misses nothing, and a lock for init would need
// a mount of its own, which the kernel takes a millisecond to let go.
void plan_tree_lock(Context& c, const std::string& host, Position at) {
    if (!c.present.insert(cat("lock:", host)).second) return;
    c.before.push_back(host_step(cat("tree.lock:", host), at, cat("lock ", host, " against cleaning by others"), {},
                                 step::LockTree{c.slot(), host, true}));
}

void plan_target(Context& c, const std::string& path, bool directory, Position at) {
    if (c.present.contains(path) || c.tree.has(path)) return;
    const Landing landing = c.tree.find(path);
    if (landing.ground == Ground::kernel) return;  // in /proc or /sys: it is there or it is not
    if (landing.ground == Ground::guarded) {
        if (!missing(c, path)) return;
        plan_mirror(c, path, at);
    } else if (landing.ground != Ground::memory) {
        // In the host's own root nobody takes it away. In a tree of sandboxes it may be another's, who ends before this one has locked it.
        if (c.profile.rootfs.host && is_root_tree(c, landing, path) && !missing(c, path)) return;
        return make_on_host(c, landing, {}, directory, {}, at);
    }
    const std::string id = cat("target:", path);
    if (directory)
        c.setup.push_back(sandbox_step(id, at, cat("make the folder ", path, " if it is missing"),
                                       step::MakeDirectory{path, 0755, 0, 0, false, no_slot}));
    else
        c.setup.push_back(sandbox_step(id, at, cat("make the file ", path, " if it is missing"),
                                       step::MakeFile{path, {}, {}, 0644, 0, 0, false, no_slot}));
}

void plan_files(Context& c) {
    if (c.root == no_slot) return;
    for (const Directory& d : c.profile.dirs) plan_directory(c, d);
    for (const File& file : c.profile.files) plan_file(c, file);
    for (const Symlink& link : c.profile.symlinks) plan_symlink(c, link);
}

}  // namespace sandbox
