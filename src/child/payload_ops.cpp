// The last steps, in the process that becomes the payload: what it inherits, who it is, what it may do, exec.

#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <linux/signal.h>

#include "child/child.h"

namespace sandbox::child {
namespace {

template <class T>
const T* array(const Child& child, uint32_t offset) {
    return reinterpret_cast<const T*>(child.pool + offset);
}

// Dispositions that are ignored survive exec, and the launcher's caller may have ignored some (nohup).
long reset_signals() {
    struct Action {
        void* handler;
        unsigned long flags;
        void* restorer;
        uint64_t mask;
    } standard{};
    for (int signal = 1; signal <= 64; ++signal) sys::call(SYS_rt_sigaction, signal, sys::ptr(&standard), 0, sizeof(uint64_t));
    uint64_t none = 0;
    return sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::ptr(&none), 0, sizeof none);
}

long start_session(const Child& child, const ChildOp& op) {
    if (const long result = reset_signals(); result < 0) return result;
    const long session = sys::call(SYS_setsid);
    if (session < 0) return session;
    return op.slot < 0 ? 0 : sys::call(SYS_ioctl, child.slot(op.slot), TIOCSCTTY, 0);
}

// Puts descriptors at their numbers in two moves, so that no number is overwritten before it is copied. A shut
// descriptor is the price of none here: a payload that inherits one may walk out through it (CVE-2024-21626).
long place_descriptors(Child& child, const ChildOp& op) {
    static int kept[max_placed + 3];
    if (op.x > max_placed) return -24;  // EMFILE
    const auto* pairs = array<DescriptorPair>(child, op.b);
    int above = 8;
    for (uint64_t i = 0; i < op.x; ++i)
        if (pairs[i].number >= above) above = pairs[i].number + 1;
    constexpr long duplicate = 1030;  // F_DUPFD_CLOEXEC
    for (uint64_t i = 0; i < op.x; ++i) {
        const long copy = sys::call(SYS_fcntl, child.slot(pairs[i].slot), duplicate, above);
        if (copy < 0) return copy;
        kept[i] = static_cast<int>(copy);
    }
    const long socket = sys::call(SYS_fcntl, child.socket, duplicate, above);
    if (socket < 0) return socket;
    const long pipe = child.exec_pipe < 0 ? -1 : sys::call(SYS_fcntl, child.exec_pipe, duplicate, above);
    if (pipe < 0 && child.exec_pipe >= 0) return pipe;
    const long init = child.init_pipe < 0 ? -1 : sys::call(SYS_fcntl, child.init_pipe, duplicate, above);
    if (init < 0 && child.init_pipe >= 0) return init;
    for (uint64_t i = 0; i < op.x; ++i) {
        const long placed = sys::call(SYS_dup3, kept[i], pairs[i].number, 0);
        if (placed < 0) return placed;
        kept[i] = pairs[i].number;
    }
    child.socket = static_cast<int>(socket);
    child.exec_pipe = static_cast<int>(pipe);
    child.init_pipe = static_cast<int>(init);
    kept[op.x] = child.socket;
    kept[op.x + 1] = child.exec_pipe;
    kept[op.x + 2] = child.init_pipe;
    return close_all_but(kept, op.x + 3);
}

// With all descriptors closed, a working directory outside the root can only come from the tree itself; the kernel
// then says so in the path (CVE-2024-21626).
long enter_directory(const char* path) {
    static char where[4096];
    long result = sys::call(SYS_chdir, sys::ptr(path));
    if (result < 0) return result;
    result = sys::call(SYS_getcwd, sys::ptr(where), sizeof where);
    if (result < 0) return result;
    return where[0] == '/' ? 0 : -2;
}

long raise_limit(const Child& child, const ChildOp& op) {
    return sys::call(SYS_prlimit64, 0, static_cast<long>(op.x), sys::ptr(array<rlimit64>(child, op.b)), 0);
}

// user_namespaces(7), capabilities(7): KEEPCAPS lets the permitted set live through the change of uid; the sets are
// given their final values right after.
long become(const ChildOp& op) {
    long result = sys::call(SYS_prctl, PR_SET_KEEPCAPS, 1);
    const auto uid = static_cast<long>(op.x), gid = static_cast<long>(op.y);
    if (result >= 0) result = sys::call(SYS_setresgid, gid, gid, gid);
    if (result >= 0) result = sys::call(SYS_setresuid, uid, uid, uid);
    return result;
}

long trim_bounding(uint64_t keep) {
    for (long capability = 0; capability < 64; ++capability) {
        if (keep >> capability & 1) continue;
        const long result = sys::call(SYS_prctl, PR_CAPBSET_DROP, capability);
        if (result == -22) return 0;  // EINVAL: past the last capability this kernel has
        if (result < 0) return result;
    }
    return 0;
}

long set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {
        {static_cast<uint32_t>(effective), static_cast<uint32_t>(permitted), static_cast<uint32_t>(inheritable)},
        {static_cast<uint32_t>(effective >> 32), static_cast<uint32_t>(permitted >> 32), static_cast<uint32_t>(inheritable >> 32)}};
    return sys::call(SYS_capset, sys::ptr(&head), sys::ptr(data));
}

// The inheritable set holds nothing but what is ambient: with more, a file's inheritable capabilities would come back
// (CVE-2022-24769).
long apply_capabilities(const Child& child, const ChildOp& op) {
    const auto* sets = array<CapabilitySets>(child, op.b);
    long result = set_capabilities(sets->effective | sets->until_seccomp, sets->permitted | sets->until_seccomp, sets->inheritable);
    if (result >= 0) result = sys::call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (long capability = 0; capability < 64 && result >= 0; ++capability)
        if (sets->ambient >> capability & 1) result = sys::call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    return result;
}

// Until init has let go, its descriptors lead to what the payload shall not see (CVE-2016-9962). By now it nearly always has.
void wait_for_init(Child& child) {
    char nothing;
    while (child.init_pipe >= 0 && sys::call(SYS_read, child.init_pipe, sys::ptr(&nothing), 1) == -4) {  // EINTR
    }
    if (child.init_pipe >= 0) sys::call(SYS_close, child.init_pipe);
    child.init_pipe = -1;
}

// A change of ids clears the setting, so it comes after; and the parent may have died before it.
long die_with_parent(Child& child) {
    const long result = sys::call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if (result < 0) return result;
    wait_for_init(child);
    send_record(child, RecordKind::ready, 0, 0, 0);
    struct {
        int descriptor;
        short events, revents;
    } look{child.socket, 0, 0};
    struct {
        long seconds, nanoseconds;
    } now{0, 0};
    const long state = sys::call(SYS_ppoll, sys::ptr(&look), 1, sys::ptr(&now), 0, sizeof(uint64_t));
    return state > 0 && (look.revents & 0x10 /* POLLHUP */) ? -32 : 0;  // EPIPE
}

long install_filter(const Child& child, const ChildOp& op) {
    struct {
        unsigned short count;
        const void* instructions;
    } program{static_cast<unsigned short>(op.x), child.pool + op.b};
    long result = sys::call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, static_cast<long>(op.y), sys::ptr(&program));
    if (result < 0 || !op.aux) return result;
    const auto* sets = array<CapabilitySets>(child, static_cast<uint32_t>(op.aux));
    return set_capabilities(sets->effective, sets->permitted, sets->inheritable);
}

// As execvp(3): the first candidate that can be run; a file that is there but may not be run is remembered.
[[noreturn]] void execute(Child& child, const ExecArguments& arguments) {
    static const char* pointers[max_exec_pointers];
    const auto* offsets = array<uint32_t>(child, arguments.argv);
    size_t used = 0;
    const size_t argv = used;
    for (; *offsets && used < max_exec_pointers - 2; ++offsets) pointers[used++] = child.text(*offsets);
    pointers[used++] = nullptr;
    const size_t envp = used;
    for (offsets = array<uint32_t>(child, arguments.envp); *offsets && used < max_exec_pointers - 1; ++offsets)
        pointers[used++] = child.text(*offsets);
    pointers[used++] = nullptr;
    long error = -2;
    for (offsets = array<uint32_t>(child, arguments.candidates); *offsets; ++offsets) {
        const long result = sys::call(SYS_execve, sys::ptr(child.text(*offsets)), sys::ptr(pointers + argv), sys::ptr(pointers + envp));
        if (result != -2 && result != -20) error = result;  // ENOENT, ENOTDIR: the next one
        if (result != -2 && result != -20 && result != -13) break;
    }
    // The filter may forbid the message; the pipe and the exit code then tell the same.
    const int number = static_cast<int>(-error);
    if (child.exec_pipe >= 0)
        sys::call(SYS_write, child.exec_pipe, sys::ptr(&number), sizeof number);
    else
        send_record(child, RecordKind::exec_failed, 0, number, 0);
    leave(error == -2 || error == -20 ? 127 : 126);
}

}  // namespace

long close_all_but(const int* kept, uint64_t count) {
    for (long cursor = 3; cursor >= 0;) {
        long next = -1;
        for (uint64_t i = 0; i < count; ++i)
            if (kept[i] >= cursor && (next < 0 || kept[i] < next)) next = kept[i];
        if (next != cursor) {
            const long result = sys::call(SYS_close_range, cursor, next < 0 ? ~0U : next - 1, 0);
            if (result < 0) return result;
        }
        cursor = next < 0 ? -1 : next + 1;
    }
    return 0;
}

long run_payload_op(Child& child, const ChildOp& op) {
    switch (op.kind) {
        case OpKind::session: return start_session(child, op);
        case OpKind::descriptors: return place_descriptors(child, op);
        case OpKind::working_directory: return enter_directory(child.text(op.a));
        case OpKind::umask: return sys::call(SYS_umask, static_cast<long>(op.x)) < 0 ? -22 : 0;
        case OpKind::rlimit: return raise_limit(child, op);
        case OpKind::personality: return sys::call(SYS_personality, static_cast<long>(op.x));
        case OpKind::groups: return sys::call(SYS_setgroups, static_cast<long>(op.x), sys::ptr(child.pool + op.b));
        case OpKind::ids: return become(op);
        case OpKind::bounding: return trim_bounding(op.x);
        case OpKind::capabilities: return apply_capabilities(child, op);
        case OpKind::no_new_privileges: return sys::call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        case OpKind::parent_death: return die_with_parent(child);
        case OpKind::seccomp: return install_filter(child, op);
        case OpKind::exec: execute(child, *array<ExecArguments>(child, op.b));
        default: return -38;
    }
}

}  // namespace sandbox::child
