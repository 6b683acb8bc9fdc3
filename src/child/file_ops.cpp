// Directories, files, links and nodes inside the root, each made in a folder that was opened beneath the root.

#include <linux/fcntl.h>
#include <linux/stat.h>

#include "child/child.h"

namespace sandbox::child {
namespace {

constexpr long path_only = 010000000, directory_only = 0200000, no_follow = 0400000, cloexec = 02000000;

uint32_t owner(const ChildOp& op) { return static_cast<uint32_t>(op.y); }
uint32_t group(const ChildOp& op) { return static_cast<uint32_t>(op.y >> 32); }

// Root owns what is made, unless the profile says otherwise. Where root is not mapped (id_map: caller of an ordinary user)
// fchown(2) is EINVAL, and the file stays its maker's.
long give(long file, const ChildOp& op) {
    const long result = sys::call(SYS_fchown, file, owner(op), group(op));
    return result == -22 && owner(op) == 0 && group(op) == 0 ? 0 : result;
}

struct Buffer {
    char text[4096];
};

// Copies the first `size` bytes; nothing when it does not fit.
bool copy_prefix(Buffer& to, const char* from, size_t size) {
    if (size >= sizeof to.text) return false;
    for (size_t i = 0; i < size; ++i) to.text[i] = from[i];
    to.text[size] = 0;
    return true;
}

// Opens the folder named by the first `size` bytes of `path`.
long open_prefix(const Child& child, const char* path, size_t size) {
    static Buffer prefix;
    if (!copy_prefix(prefix, path, size)) return -36;  // ENAMETOOLONG
    return open_in_root(child, size ? prefix.text : "/", path_only | directory_only, false);
}

size_t last_slash(const char* path) {
    size_t slash = 0;
    for (size_t i = 0; path[i]; ++i)
        if (path[i] == '/') slash = i;
    return slash;
}

// Makes the folders above `path` that are missing, root-owned 0755.
long make_parents(const Child& child, const char* path) {
    static Buffer name;
    const size_t end = last_slash(path);
    for (size_t from = 0; from < end;) {
        size_t to = from + 1;
        while (to < end && path[to] != '/') ++to;
        long folder = open_prefix(child, path, to);
        if (folder == -2) {
            const long above = open_prefix(child, path, from);
            if (above < 0) return above;
            if (!copy_prefix(name, path + from + 1, to - from - 1)) return -36;
            folder = sys::call(SYS_mkdirat, above, sys::ptr(name.text), 0755);
            sys::call(SYS_close, above);
            if (folder < 0) return folder;
        } else if (folder < 0) {
            return folder;
        } else {
            sys::call(SYS_close, folder);
        }
        from = to;
    }
    return 0;
}

long make_directory(Child& child, const ChildOp& op) {
    const char* path = child.text(op.a);
    if (sys::equal(path, "/")) return 0;
    const char* name = nullptr;
    const long parent = open_parent(child, path, &name);
    if (parent < 0) return parent;
    long result = sys::call(SYS_mkdirat, parent, sys::ptr(name), static_cast<long>(op.x));
    const bool there = result == -17;  // EEXIST
    if (result >= 0 || (there && (op.flags & op_flag_replace))) {
        // By descriptor and never through a link: the folder gets its mode whatever the umask.
        const long made = sys::call(SYS_openat, parent, sys::ptr(name), directory_only | no_follow | cloexec, 0);
        result = made;
        if (made >= 0) {
            result = give(made, op);
            if (result >= 0) result = sys::call(SYS_fchmod, made, static_cast<long>(op.x));
            sys::call(SYS_close, made);
        }
    } else if (there) {
        // A mount target that is there: it must be a folder, perhaps through a link that stays inside.
        const long found = open_in_root(child, path, path_only | directory_only, false);
        result = found;
        if (found >= 0) sys::call(SYS_close, found);
    }
    sys::call(SYS_close, parent);
    return result < 0 ? result : 0;
}

long write_all(long file, const char* data, size_t size) {
    while (size) {
        const long written = sys::call(SYS_write, file, sys::ptr(data), static_cast<long>(size));
        if (written == -4) continue;
        if (written < 0) return written;
        data += written;
        size -= static_cast<size_t>(written);
    }
    return 0;
}

long make_file(Child& child, const ChildOp& op) {
    const char* path = child.text(op.a);
    if (!(op.flags & op_flag_replace)) {
        const long found = open_in_root(child, path, path_only, false);
        if (found >= 0) {
            sys::call(SYS_close, found);
            return 0;
        }
        if (found != -2) return found;
    }
    const char* name = nullptr;
    const long parent = open_parent(child, path, &name);
    if (parent < 0) return parent;
    if (op.flags & op_flag_replace) sys::call(SYS_unlinkat, parent, sys::ptr(name), 0);
    constexpr long how = 0100 | 0200 | 01 | no_follow | cloexec;  // CREAT EXCL WRONLY
    long file = sys::call(SYS_openat, parent, sys::ptr(name), how, 0600);
    // Nothing was found behind it, so it is a link that leads nowhere, in a tree of ours.
    if (file == -17 && sys::call(SYS_unlinkat, parent, sys::ptr(name), 0) >= 0)
        file = sys::call(SYS_openat, parent, sys::ptr(name), how, 0600);
    long result = file;
    if (file >= 0) {
        result = write_all(file, child.text(op.b), op.aux);
        if (result >= 0) result = give(file, op);
        if (result >= 0) result = sys::call(SYS_fchmod, file, static_cast<long>(op.x));
        sys::call(SYS_close, file);
    }
    sys::call(SYS_close, parent);
    return result < 0 ? result : 0;
}

long make_symlink(Child& child, const ChildOp& op) {
    const char* name = nullptr;
    const long parent = open_parent(child, child.text(op.a), &name);
    if (parent < 0) return parent;
    if (op.flags & op_flag_replace) sys::call(SYS_unlinkat, parent, sys::ptr(name), 0);
    const long result = sys::call(SYS_symlinkat, sys::ptr(child.text(op.b)), parent, sys::ptr(name));
    sys::call(SYS_close, parent);
    return result;
}

long make_node(Child& child, const ChildOp& op) {
    const char* name = nullptr;
    const long parent = open_parent(child, child.text(op.a), &name);
    if (parent < 0) return parent;
    const long result = sys::call(SYS_mknodat, parent, sys::ptr(name), static_cast<long>(op.x), static_cast<long>(op.y));
    sys::call(SYS_close, parent);
    return result;
}

long make(Child& child, const ChildOp& op) {
    // Setting up needs modes as written; the payload's umask comes later.
    sys::call(SYS_umask, 0);
    if (const long result = make_parents(child, child.text(op.a)); result < 0) return result;
    switch (op.kind) {
        case OpKind::make_directory: return make_directory(child, op);
        case OpKind::make_file: return make_file(child, op);
        case OpKind::make_symlink: return make_symlink(child, op);
        case OpKind::make_node: return make_node(child, op);
        default: return -38;
    }
}

}  // namespace

long open_parent(const Child& child, const char* path, const char** name) {
    const size_t slash = last_slash(path);
    *name = path + slash + 1;
    return open_prefix(child, path, slash);
}

long run_file_op(Child& child, const ChildOp& op) {
    // A folder of files that is not (yet) part of the root is a root of its own for the moment.
    const int root = child.root;
    if (op.slot2 >= 0) child.root = child.slot(op.slot2);
    const long result = make(child, op);
    child.root = root;
    return result;
}

}  // namespace sandbox::child
