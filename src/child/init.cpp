// The built-in init: reaps, forwards signals, tells the supervisor how the payload ended, and dies with the supervisor.

#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/signal.h>

#include "child/child.h"

namespace sandbox::child {
namespace {

constexpr int no_hang = 1;
constexpr short readable = 1, hung_up = 0x10;

struct Poll {
    int descriptor;
    short events, revents;
};

struct Init {
    Child& child;
    long payload;
    int exec_pipe, shed_pipe;
    bool running = false;  // exec has succeeded
};

// Whether the kernel says that it is a child of ours which has not ended: a sandbox may show what it likes as its /proc.
bool is_child(long pid) {
    siginfo_t information{};
    constexpr int by_pid = 1, ended = 4, leave_it = 0x01000000;  // P_PID, WEXITED, WNOWAIT
    const long result = sys::call(SYS_waitid, by_pid, pid, sys::ptr(&information), ended | no_hang | leave_it, 0);
    return result == 0 && information.si_pid == 0;
}

// Kills the children that /proc lists. False when it lists none that is one.
bool kill_listed_children(const char* path) {
    static char list[4096];
    const long file = sys::call(SYS_openat, AT_FDCWD, sys::ptr(path), 02004000 /* NONBLOCK CLOEXEC */, 0);
    const long size = file < 0 ? 0 : sys::call(SYS_read, file, sys::ptr(list), sizeof list);
    if (file >= 0) sys::call(SYS_close, file);
    bool any = false;
    for (long i = 0, pid = 0; i < size; ++i) {
        if (list[i] >= '0' && list[i] <= '9') {
            pid = pid * 10 + (list[i] - '0');
        } else {
            if (pid && is_child(pid)) any = sys::call(SYS_kill, pid, SIGKILL) == 0 || any;
            pid = 0;
        }
    }
    return any;
}

// Without a /proc every number is tried: as many as there can be (proc_sys_kernel(5), pid_max), which takes half a second. Those that
// it has killed are waited for, so that it is done again only for what they have left.
void kill_all_children() {
    long killed = 0;
    for (long pid = 2; pid < 4194304; ++pid)
        if (is_child(pid) && sys::call(SYS_kill, pid, SIGKILL) == 0) ++killed;
    do {
        sys::call(SYS_wait4, -1, 0, 0, 0);
    } while (--killed > 0);
}

// In a process-id namespace of our own the kernel kills the rest when we leave. In the host's, and in a session that joined a
// sandbox, we are the subreaper: kill our children until there are none, those that lose their parent meanwhile included.
void end_tree(const Child& child) {
    if (child.program->init_flags & init_own_pid_namespace) return;
    static char path[64] = "/proc/self/task/";
    char* end = sys::decimal(path + 16, static_cast<unsigned long>(sys::call(SYS_getpid)));
    for (const char* rest = "/children"; (*end = *rest); ++end, ++rest) {
    }
    while (true) {
        const bool listed = kill_listed_children(path);
        long ended = 0;
        while ((ended = sys::call(SYS_wait4, -1, 0, no_hang, 0)) > 0) {
        }
        if (ended == -10) return;  // ECHILD: all gone
        if (listed)
            sys::call(SYS_wait4, -1, 0, 0, 0);
        else
            kill_all_children();
    }
}

[[noreturn]] void finish(const Init& init, int code) {
    end_tree(init.child);
    leave(code);
}

[[noreturn]] void report_exit(Init& init, int status) {
    // How exec went is known before how the payload ended.
    int error = 0;
    if (!init.running && sys::call(SYS_read, init.exec_pipe, sys::ptr(&error), sizeof error) == sizeof error)
        send_record(init.child, RecordKind::exec_failed, 0, error, 0);
    send_record(init.child, RecordKind::exited, 0, 0, status);
    Record record;
    while (init.child.program->init_flags & init_waits) receive_record(init.child, record, nullptr, 0);  // leaves when that is gone
    finish(init, 0);
}

void reap(Init& init) {
    while (true) {
        int status = 0;
        const long pid = sys::call(SYS_wait4, -1, sys::ptr(&status), no_hang, 0);
        if (pid <= 0) return;
        if (pid == init.payload) report_exit(init, status);
    }
}

void read_signals(Init& init, int source) {
    static struct {
        uint32_t signal;
        char rest[124];
    } information[16];
    const long size = sys::call(SYS_read, source, sys::ptr(information), sizeof information);
    bool children = false;
    for (long i = 0; i < size / 128; ++i) {
        if (information[i].signal == SIGCHLD)
            children = true;
        else
            sys::call(SYS_kill, init.payload, information[i].signal);
    }
    if (children) reap(init);
}

void obey(Init& init) {
    Record record;
    receive_record(init.child, record, nullptr, 0);  // leaves when the supervisor is gone
    if (record.kind != RecordKind::signal) return;
    const bool own = init.child.program->init_flags & init_own_pid_namespace;
    const long target = record.detail == 0 ? init.payload : own ? -1 : -init.payload;
    sys::call(SYS_kill, target, record.step);
}

void see_exec(Init& init) {
    int error = 0;
    const long got = sys::call(SYS_read, init.exec_pipe, sys::ptr(&error), sizeof error);
    if (got == sizeof error) {
        send_record(init.child, RecordKind::exec_failed, 0, error, 0);
    } else {
        // End of file: exec closed the other end, or the payload's process died before it.
        int status = 0;
        if (sys::call(SYS_wait4, init.payload, sys::ptr(&status), no_hang, 0) == init.payload) {
            init.running = true;
            send_record(init.child, RecordKind::running, 0, 0, init.payload);
            report_exit(init, status);
        }
        send_record(init.child, RecordKind::running, 0, 0, init.payload);
    }
    init.running = true;
    sys::call(SYS_close, init.exec_pipe);
    init.exec_pipe = -1;
}

// Keeps what an init needs and nothing else: the socket, the locks, its signals, the right to signal any user.
long shed(Init& init, int signals) {
    sys::call(SYS_prctl, PR_SET_NAME, sys::ptr("sandbox-init"));
    sys::call(SYS_prctl, PR_SET_DUMPABLE, 0);
    int kept[24] = {child_socket, signals, init.exec_pipe, init.shed_pipe};
    uint64_t count = 4;
    const auto* locks = reinterpret_cast<const int32_t*>(init.child.pool + init.child.program->kept_offset);
    for (uint32_t i = 0; i < init.child.program->kept_slots && count < 24; ++i) kept[count++] = init.child.slot(locks[i]);
    if (const long closed = close_all_but(kept, count); closed < 0) return closed;
    const uint32_t kill = 1U << CAP_KILL;
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {{kill, kill, 0}, {0, 0, 0}};
    sys::call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    long result = sys::call(SYS_capset, sys::ptr(&head), sys::ptr(data));
    if (result == -1) {  // CAP_KILL itself may have been dropped
        data[0] = {0, 0, 0};
        result = sys::call(SYS_capset, sys::ptr(&head), sys::ptr(data));
    }
    if (result >= 0) result = sys::call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return result;
}

}  // namespace

void abandon(const Child& child) {
    if (child.is_init) end_tree(child);
    leave(125);
}

void run_init(Child& child, long payload, int exec_pipe, int shed_pipe) {
    child.is_init = true;
    Init init{child, payload, exec_pipe, shed_pipe};
    uint64_t all = ~0ULL;
    sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::ptr(&all), 0, sizeof all);
    // Out of the caller's process group: what its terminal sends that, the supervisor gets and passes on, in its order.
    sys::call(SYS_setsid);
    if (!(child.program->init_flags & init_own_pid_namespace)) sys::call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
    const long signals = sys::call(SYS_signalfd4, -1, sys::ptr(&all), sizeof all, 02000000);
    if (signals < 0 || shed(init, static_cast<int>(signals)) < 0) {
        send_record(child, RecordKind::failed, child.ops[child.current].step, signals < 0 ? -signals : 1, child.current);
        sys::call(SYS_kill, payload, SIGKILL);
        finish(init, 125);
    }
    sys::call(SYS_close, shed_pipe);
    while (true) {
        Poll polls[3] = {{child_socket, readable, 0}, {static_cast<int>(signals), readable, 0}, {init.exec_pipe, readable, 0}};
        if (sys::call(SYS_ppoll, sys::ptr(polls), 3, 0, 0, sizeof all) < 0) continue;
        if (polls[2].revents) see_exec(init);
        if (polls[0].revents & readable)
            obey(init);
        else if (polls[0].revents & hung_up)
            finish(init, 125);
        if (polls[1].revents) read_signals(init, static_cast<int>(signals));
    }
}

}  // namespace sandbox::child
