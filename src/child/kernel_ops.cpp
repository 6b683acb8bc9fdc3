// Names, kernel parameters, keyring and terminal of the sandbox.

#include <asm/ioctls.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>

#include "child/child.h"

namespace sandbox::child {
namespace {

long write_file(long file, const char* text) {
    const long size = static_cast<long>(sys::length(text));
    const long written = sys::call(SYS_write, file, sys::ptr(text), size);
    return written < 0 ? written : written == size ? 0 : -5;  // EIO
}

// Offsets can be written only while the new time namespace is empty; the payload enters it when it is forked or
// executed (time_namespaces(7)).
long set_time_offsets(const char* offsets) {
    const long result = sys::call(SYS_unshare, CLONE_NEWTIME);
    if (result < 0 || !*offsets) return result;
    const long file = sys::call(SYS_openat, AT_FDCWD, sys::ptr("/proc/self/timens_offsets"), 01 | 02000000 /* WRONLY CLOEXEC */, 0);
    if (file < 0) return file;
    const long written = write_file(file, offsets);
    sys::call(SYS_close, file);
    return written;
}

// In a /proc that we mounted ourselves, by descriptor and without links, and only if it really is procfs: a crafted
// tree cannot redirect the write (CVE-2025-52881).
long write_sysctl(const Child& child, const ChildOp& op) {
    struct FileSystem {
        long type;
        long rest[30];
    } info;
    open_how how{01 | 02000000, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    static char path[512] = "sys/";
    const char* key = child.text(op.a);
    if (sys::length(key) > sizeof path - 5) return -36;
    size_t end = 4;
    while (*key) path[end++] = *key++;
    path[end] = 0;
    const long file = sys::call(SYS_openat2, child.slot(op.slot), sys::ptr(path), sys::ptr(&how), sizeof how);
    if (file < 0) return file;
    long result = sys::call(SYS_fstatfs, file, sys::ptr(&info));
    if (result >= 0) result = info.type == PROC_SUPER_MAGIC ? write_file(file, child.text(op.b)) : -22;
    sys::call(SYS_close, file);
    return result;
}

// netdevice(7)
long raise_loopback() {
    struct Request {
        char name[16];
        short flags;
        char rest[22];
    } request{"lo", 0, {}};
    const long socket = sys::call(SYS_socket, 2 /* AF_INET */, 2 | 02000000 /* SOCK_DGRAM */, 0);
    if (socket < 0) return socket;
    long result = sys::call(SYS_ioctl, socket, 0x8913 /* SIOCGIFFLAGS */, sys::ptr(&request));
    request.flags |= 1;  // IFF_UP
    if (result >= 0) result = sys::call(SYS_ioctl, socket, 0x8914 /* SIOCSIFFLAGS */, sys::ptr(&request));
    sys::call(SYS_close, socket);
    return result;
}

// The other end is opened through the master itself (TIOCGPTPEER): no path that could be exchanged (CVE-2025-52565).
long open_terminal(Child& child, const ChildOp& op) {
    const long master = open_in_root(child, child.text(op.a), 02 | 0400 /* RDWR NOCTTY */, true);
    if (master < 0) return master;
    int locked = 0;
    long result = sys::call(SYS_ioctl, master, TIOCSPTLCK, sys::ptr(&locked));
    const long other = result < 0 ? result : sys::call(SYS_ioctl, master, TIOCGPTPEER, 02 | 0400 | 02000000);
    if (other < 0) return other;
    result = sys::call(SYS_fchown, other, static_cast<long>(op.x), -1);
    if (result < 0) return result;
    // Before the payload: it looks at the size as it begins, and a change later would be a signal.
    const unsigned short size[4] = {static_cast<unsigned short>(op.y), static_cast<unsigned short>(op.y >> 16),
                                    static_cast<unsigned short>(op.y >> 32), static_cast<unsigned short>(op.y >> 48)};
    result = sys::call(SYS_ioctl, master, TIOCSWINSZ, sys::ptr(size));
    if (result < 0) return result;
    child.fill(op.slot2, other);
    send_record(child, RecordKind::terminal, op.step, 0, 0, static_cast<int>(master));
    sys::call(SYS_close, master);  // the supervisor alone holds it: its death hangs the terminal up
    return 0;
}

long show_console(Child& child, const ChildOp& op) {
    const long tree = sys::call(SYS_open_tree, child.slot(op.slot), sys::ptr(""), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0) return tree;
    const long target = open_in_root(child, child.text(op.a), 010000000, true);
    long result = target;
    if (target >= 0) {
        result = sys::call(SYS_move_mount, tree, sys::ptr(""), target, sys::ptr(""), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
        sys::call(SYS_close, target);
    }
    sys::call(SYS_close, tree);
    return result;
}

// "0" is whoever writes it. One task at a time, the kernel has nobody to wait for (cgroup v1, "tasks").
long join_groups(const Child& child, const ChildOp& op) {
    const auto* slots = reinterpret_cast<const int32_t*>(child.pool + op.b);
    for (uint64_t i = 0; i < op.x; ++i) {
        const long written = sys::call(SYS_write, child.slot(slots[i]), sys::ptr("0"), 1);
        if (written < 0) return written;
    }
    return 0;
}

}  // namespace

long run_kernel_op(Child& child, const ChildOp& op) {
    const char* a = child.text(op.a);
    switch (op.kind) {
        case OpKind::hostname: return sys::call(SYS_sethostname, sys::ptr(a), static_cast<long>(sys::length(a)));
        case OpKind::domainname: return sys::call(SYS_setdomainname, sys::ptr(a), static_cast<long>(sys::length(a)));
        case OpKind::time_offsets: return set_time_offsets(child.text(op.b));
        case OpKind::sysctl: return write_sysctl(child, op);
        case OpKind::loopback_up: return raise_loopback();
        case OpKind::new_keyring: return sys::call(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, sys::ptr(a));
        case OpKind::open_pty: return open_terminal(child, op);
        case OpKind::console: return show_console(child, op);
        case OpKind::join_groups: return join_groups(child, op);
        case OpKind::cgroup_namespace: return sys::call(SYS_unshare, 0x02000000 /* CLONE_NEWCGROUP */);
        default: return -38;
    }
}

}  // namespace sandbox::child
