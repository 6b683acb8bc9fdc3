// The tree: file systems made and mounted by descriptor, nothing resolved twice, nothing outside the root.

#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "child/child.h"

namespace sandbox::child {
namespace {

constexpr int at_recursive = 0x8000;  // AT_RECURSIVE
constexpr uint64_t cloexec = 02000000;

// Mounts `mount` on what `target` refers to.
long move_onto(int mount, long target) {
    return sys::call(SYS_move_mount, mount, sys::ptr(""), target, sys::ptr(""), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

long clone_mount(int directory, const char* path, unsigned flags) {
    return sys::call(SYS_open_tree, directory, sys::ptr(path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

long set_attributes(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive) {
    mount_attr attr{set, clear, propagation, 0};
    return sys::call(SYS_mount_setattr, mount, sys::ptr(""), AT_EMPTY_PATH | (recursive ? at_recursive : 0), sys::ptr(&attr), sizeof attr);
}

long make_filesystem(const char* type, const char* key, const char* value, uint64_t attributes) {
    const long context = sys::call(SYS_fsopen, sys::ptr(type), FSOPEN_CLOEXEC);
    if (context < 0) return context;
    long result = key ? sys::call(SYS_fsconfig, context, FSCONFIG_SET_STRING, sys::ptr(key), sys::ptr(value), 0) : 0;
    if (result >= 0) result = sys::call(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
    if (result >= 0) result = sys::call(SYS_fsmount, context, FSMOUNT_CLOEXEC, static_cast<long>(attributes));
    sys::call(SYS_close, context);
    return result;
}

long mount_context(Child& child, const ChildOp& op) {
    const int context = child.slot(op.slot);
    long result = sys::call(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
    if (result < 0) return result;
    result = sys::call(SYS_fsmount, context, FSMOUNT_CLOEXEC, static_cast<long>(op.x));
    if (result < 0) return result;
    sys::call(SYS_close, context);
    child.fill(op.slot, result);
    return 0;
}

// Where overlay layers cannot be given by descriptor (before Linux 6.13), mount(2) takes them as names relative to
// /proc/self/fd: 500 of them stay below the page that mount(2) cuts its options at.
long mount_overlay_legacy(Child& child, const ChildOp& op) {
    static char options[4096];
    char* out = options;
    const auto append = [&out](const char* text) {
        while (*text && out < options + sizeof options - 32) *out++ = *text++;
        *out = 0;
    };
    append("lowerdir=");
    for (uint64_t i = 0; i < op.y; ++i) {
        if (i) append(":");
        if (out > options + sizeof options - 64) return -7;  // E2BIG
        out = sys::decimal(out, static_cast<unsigned long>(child.slot(static_cast<int32_t>(op.x + i))));
    }
    if (op.slot2 >= 0) {
        append(",upperdir=");
        out = sys::decimal(out, static_cast<unsigned long>(child.slot(op.slot2)));
        append(",workdir=");
        out = sys::decimal(out, static_cast<unsigned long>(child.slot(op.slot2 + 1)));
    }
    append(child.text(op.b));
    long result = sys::call(SYS_chdir, sys::ptr("/proc/self/fd"));
    if (result < 0) return result;
    result = sys::call(SYS_mount, sys::ptr("overlay"), sys::ptr(child.text(op.a)), sys::ptr("overlay"), 0, sys::ptr(options));
    sys::call(SYS_chdir, sys::ptr("/"));
    if (result < 0) return result;
    // Taken off its provisional place and kept by descriptor, like every other mount.
    const long tree = clone_mount(AT_FDCWD, child.text(op.a), 0);
    if (tree < 0) return tree;
    sys::call(SYS_umount2, sys::ptr(child.text(op.a)), 2 /* MNT_DETACH */);
    child.fill(op.slot, tree);
    return 0;
}

long open_source(Child& child, const ChildOp& op) {
    const int base = op.slot2 < 0 ? AT_FDCWD : child.slot(op.slot2);
    const long tree = sys::call(SYS_open_tree, base, sys::ptr(child.text(op.a)), static_cast<long>(op.x) | OPEN_TREE_CLOEXEC);
    if (tree < 0) return tree;
    child.fill(op.slot, tree);
    return 0;
}

long open_beneath(Child& child, const ChildOp& op) {
    open_how how{cloexec | 010000000 /* O_PATH */, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    const char* path = child.text(op.a);
    const int base = op.slot2 < 0 ? AT_FDCWD : child.slot(op.slot2);
    if (op.slot2 < 0) how.resolve = 0;
    const long found = sys::call(SYS_openat2, base, sys::ptr(path), sys::ptr(&how), sizeof how);
    if (found < 0) return found;
    child.fill(op.slot, found);
    return 0;
}

// Over "/", which the process itself does not see: its own root is what lies below.
long mount_out_of_sight(Child& child, int mount) {
    const long result = sys::call(SYS_move_mount, mount, sys::ptr(""), AT_FDCWD, sys::ptr("/"), MOVE_MOUNT_F_EMPTY_PATH);
    if (result >= 0) ++child.stacked;
    return result;
}

// A place of our own below the new root. Masks are made of its parts: a part of a mount can be cloned only while the
// mount is attached somewhere.
long make_stage(Child& child, const ChildOp& op) {
    const long stage = make_filesystem("tmpfs", "mode", "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (stage < 0) return stage;
    child.stage = static_cast<int>(stage);
    long result = mount_out_of_sight(child, child.stage);
    if (result >= 0) result = sys::call(SYS_mknodat, stage, sys::ptr("file"), S_IFREG | 0444, 0);
    if (result >= 0) result = sys::call(SYS_mkdirat, stage, sys::ptr("folder"), 0555);
    const long file = result < 0 ? result : clone_mount(child.stage, "file", 0);
    const long folder = file < 0 ? file : clone_mount(child.stage, "folder", 0);
    if (folder < 0) return folder;
    child.fill(op.slot, file);
    child.fill(op.slot2, folder);
    result = set_attributes(static_cast<int>(file), MOUNT_ATTR_RDONLY, 0, 0, false);
    if (result >= 0) result = set_attributes(static_cast<int>(folder), MOUNT_ATTR_RDONLY, 0, 0, false);
    // Until Linux 6.15 only what is attached can be cloned again.
    if (result >= 0) result = sys::call(SYS_move_mount, file, sys::ptr(""), stage, sys::ptr("file"), MOVE_MOUNT_F_EMPTY_PATH);
    if (result >= 0) result = sys::call(SYS_move_mount, folder, sys::ptr(""), stage, sys::ptr("folder"), MOVE_MOUNT_F_EMPTY_PATH);
    return result;
}

long mount_on_stage(const Child& child, const ChildOp& op) {
    char name[24];
    sys::decimal(name, static_cast<unsigned long>(op.slot));
    const long result = sys::call(SYS_mkdirat, child.stage, sys::ptr(name), 0700);
    if (result < 0) return result;
    return sys::call(SYS_move_mount, child.slot(op.slot), sys::ptr(""), child.stage, sys::ptr(name), MOVE_MOUNT_F_EMPTY_PATH);
}

// The new root is mounted over "/": what is below can be reached by descriptor only, and pivot_root(2) wants a mount.
long attach_root(Child& child, const ChildOp& op) {
    const int mount = child.slot(op.slot);
    const long result = mount_out_of_sight(child, mount);
    if (result < 0) return result;
    child.root = mount;
    return 0;
}

long attach(Child& child, const ChildOp& op) {
    const long target = open_in_root(child, child.text(op.a), 010000000, op.flags & op_flag_no_links);
    if (target < 0) return target;
    const long result = move_onto(child.slot(op.slot), target);
    sys::call(SYS_close, target);
    return result;
}

// Covers a path with our own empty read-only file or directory, never with a file of the image (CVE-2025-31133).
long mask(Child& child, const ChildOp& op) {
    const long target = open_in_root(child, child.text(op.a), 010000000, op.flags & op_flag_no_links);
    if (target < 0) return (op.flags & op_flag_missing_ok) && (target == -2 || target == -20) ? 0 : target;
    struct statx info;
    long result = sys::call(SYS_statx, target, sys::ptr(""), AT_EMPTY_PATH, STATX_TYPE, sys::ptr(&info));
    if (result >= 0) {
        const bool directory = (info.stx_mode & S_IFMT) == S_IFDIR;
        const long cover = clone_mount(child.slot(directory ? op.slot2 : op.slot), "", AT_EMPTY_PATH);
        result = cover < 0 ? cover : move_onto(static_cast<int>(cover), target);
        if (cover >= 0) sys::call(SYS_close, cover);
    }
    sys::call(SYS_close, target);
    return result;
}

long make_read_only(Child& child, const ChildOp& op) {
    const long target = open_in_root(child, child.text(op.a), 010000000, op.flags & op_flag_no_links);
    if (target < 0) return (op.flags & op_flag_missing_ok) && (target == -2 || target == -20) ? 0 : target;
    const long tree = clone_mount(static_cast<int>(target), "", AT_EMPTY_PATH | at_recursive);
    long result = tree < 0 ? tree : set_attributes(static_cast<int>(tree), MOUNT_ATTR_RDONLY, 0, 0, true);
    if (result >= 0) result = move_onto(static_cast<int>(tree), target);
    if (tree >= 0) sys::call(SYS_close, tree);
    sys::call(SYS_close, target);
    return result;
}

// ---- mirror

struct DirectoryEntry {
    uint64_t inode;
    int64_t next;
    unsigned short size;
    unsigned char type;
    char name[];
};

bool is_dot(const char* name) { return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)); }

long mirror_link(int from, int to, const char* name) {
    static char target[4096];
    const long length = sys::call(SYS_readlinkat, from, sys::ptr(name), sys::ptr(target), sizeof target - 1);
    if (length < 0) return length;
    target[length] = 0;
    return sys::call(SYS_symlinkat, sys::ptr(target), to, sys::ptr(name));
}

long mirror_entry(int from, int to, const char* name) {
    struct statx info;
    long result = sys::call(SYS_statx, from, sys::ptr(name), AT_SYMLINK_NOFOLLOW, STATX_TYPE, sys::ptr(&info));
    if (result < 0) return result == -2 ? 0 : result;  // gone since it was listed
    const unsigned type = info.stx_mode & S_IFMT;
    if (type == S_IFLNK) return mirror_link(from, to, name);
    result =
        type == S_IFDIR ? sys::call(SYS_mkdirat, to, sys::ptr(name), 0755) : sys::call(SYS_mknodat, to, sys::ptr(name), S_IFREG | 0444, 0);
    if (result < 0) return result;
    const long tree = clone_mount(from, name, at_recursive | AT_SYMLINK_NOFOLLOW);
    if (tree < 0) return tree;
    result = sys::call(SYS_move_mount, tree, sys::ptr(""), to, sys::ptr(name), MOVE_MOUNT_F_EMPTY_PATH);
    sys::call(SYS_close, tree);
    return result;
}

long mirror_entries(int from, int to) {
    static char buffer[32768];
    const long list = sys::call(SYS_openat, from, sys::ptr("."), 0200000 | cloexec /* O_DIRECTORY */, 0);
    if (list < 0) return list;
    long result;
    while ((result = sys::call(SYS_getdents64, list, sys::ptr(buffer), sizeof buffer)) > 0) {
        for (long at = 0; at < result;) {
            const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
            at += entry->size;
            if (is_dot(entry->name)) continue;
            if (const long error = mirror_entry(static_cast<int>(list), to, entry->name); error < 0) {
                sys::call(SYS_close, list);
                return error;
            }
        }
    }
    sys::call(SYS_close, list);
    return result;
}

// Replaces a directory by a tmpfs with the same entries, so that a mount target can be made in a tree that must not
// be written to. The tmpfs goes to slot2, to be made read-only in the end.
long mirror(Child& child, const ChildOp& op) {
    const bool whole = sys::equal(child.text(op.a), "/");
    const long from = open_in_root(child, child.text(op.a), 010000000 | 0200000, false);
    if (from < 0) return from;
    const long to = make_filesystem("tmpfs", "mode", "0755", op.x);
    if (to < 0) return to;
    long result = whole ? mount_out_of_sight(child, static_cast<int>(to)) : move_onto(static_cast<int>(to), from);
    if (result < 0) return result;
    result = mirror_entries(static_cast<int>(from), static_cast<int>(to));
    sys::call(SYS_close, from);
    child.fill(op.slot2, to);
    if (whole) child.root = static_cast<int>(to);
    return result;
}

// pivot_root(2): with both arguments ".", the old root ends on top of the new one, and on top of that what had been
// stacked over it. Each umount takes the topmost away.
long pivot(Child& child) {
    long result = sys::call(SYS_fchdir, child.root);
    if (result >= 0) result = sys::call(SYS_pivot_root, sys::ptr("."), sys::ptr("."));
    for (; child.stacked && result >= 0; --child.stacked) result = sys::call(SYS_umount2, sys::ptr("."), 2 /* MNT_DETACH */);
    if (result >= 0) result = sys::call(SYS_chdir, sys::ptr("/"));
    return result;
}

}  // namespace

long open_in_root(const Child& child, const char* path, uint64_t flags, bool no_links) {
    open_how how{flags | cloexec, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (no_links ? RESOLVE_NO_SYMLINKS : 0UL)};
    // setns(2) into a mount namespace leads to its root.
    const bool joined = child.program->init_flags & init_joined;
    return sys::call(SYS_openat2, joined ? AT_FDCWD : child.root, sys::ptr(path), sys::ptr(&how), sizeof how);
}

long run_mount_op(Child& child, const ChildOp& op) {
    switch (op.kind) {
        case OpKind::propagation: return sys::call(SYS_mount, 0, sys::ptr("/"), 0, static_cast<long>(op.x), 0);
        case OpKind::set_ids: {
            // Files made from here on belong to ids of the sandbox. The capabilities stay (SECBIT_KEEP_CAPS is for exec).
            sys::call(SYS_prctl, 8 /* PR_SET_KEEPCAPS */, 1);
            long result = sys::call(SYS_setresgid, static_cast<long>(op.y), static_cast<long>(op.y), static_cast<long>(op.y));
            if (result >= 0) result = sys::call(SYS_setresuid, static_cast<long>(op.x), static_cast<long>(op.x), static_cast<long>(op.x));
            return result;
        }
        case OpKind::fs_open: {
            const long context = sys::call(SYS_fsopen, sys::ptr(child.text(op.a)), FSOPEN_CLOEXEC);
            if (context < 0) return context;
            child.fill(op.slot, context);
            return 0;
        }
        case OpKind::fs_set: {
            const bool bare = op.flags & op_flag_bare;
            return sys::call(SYS_fsconfig, child.slot(op.slot), bare ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, sys::ptr(child.text(op.a)),
                             bare ? 0 : sys::ptr(child.text(op.b)), 0);
        }
        case OpKind::fs_set_slot:
            return sys::call(SYS_fsconfig, child.slot(op.slot), FSCONFIG_SET_FD, sys::ptr(child.text(op.a)), 0, child.slot(op.slot2));
        case OpKind::fs_mount: return mount_context(child, op);
        case OpKind::overlay_legacy: return mount_overlay_legacy(child, op);
        case OpKind::open_tree: return open_source(child, op);
        case OpKind::open_path: return open_beneath(child, op);
        case OpKind::mount_attr: return set_attributes(child.slot(op.slot), op.x, op.y, op.aux, op.flags & op_flag_recursive);
        case OpKind::stage: return make_stage(child, op);
        case OpKind::scratch: return mount_on_stage(child, op);
        case OpKind::attach_root: return attach_root(child, op);
        case OpKind::attach: return attach(child, op);
        case OpKind::mask: return mask(child, op);
        case OpKind::read_only: return make_read_only(child, op);
        case OpKind::mirror: return mirror(child, op);
        case OpKind::pivot: return pivot(child);
        default: return -38;  // ENOSYS
    }
}

}  // namespace sandbox::child
