// Entry of the child: maps its program and runs it op by op. It was executed from a sealed memfd, so it shares no
// memory with the launcher, and what a payload may see of it can neither be written nor tell anything.

#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/stat.h>

#include "child/child.h"

extern "C" {
// The compiler may call these for copies and fills, library or not.
void* memcpy(void* to, const void* from, size_t n) {
    auto* t = static_cast<unsigned char*>(to);
    const auto* f = static_cast<const unsigned char*>(from);
    while (n--) *t++ = *f++;
    return to;
}
void* memset(void* to, int value, size_t n) {
    auto* t = static_cast<unsigned char*>(to);
    while (n--) *t++ = static_cast<unsigned char>(value);
    return to;
}
}

namespace sandbox::child {

void leave(int code) {
    while (true) sys::call(SYS_exit_group, code);
}

namespace {

constinit Child the_child;

long map_program(Child& child) {
    ChildProgram head;
    const long got = sys::call(SYS_pread64, child_program, sys::ptr(&head), sizeof head, 0);
    if (got != sizeof head || head.magic != child_magic) return -8;  // ENOEXEC
    const long at = sys::call(SYS_mmap, 0, head.size, 0x1 /* PROT_READ */, 0x02 /* MAP_PRIVATE */, child_program, 0);
    if (at < 0 && at > -4096) return at;
    sys::call(SYS_close, child_program);
    const char* base = reinterpret_cast<const char*>(at);
    child.program = reinterpret_cast<const ChildProgram*>(base);
    child.ops = reinterpret_cast<const ChildOp*>(base + sizeof(ChildProgram));
    child.pool = base + head.pool_offset;
    for (int& slot : child.slots) slot = -1;
    return 0;
}

// Starts the payload's process; the first process goes on as init and never returns from here.
long split(Child& child) {
    int pipe[2], shed[2];
    long result = sys::call(SYS_pipe2, sys::ptr(pipe), 02000000 /* O_CLOEXEC */);
    if (result >= 0) result = sys::call(SYS_pipe2, sys::ptr(shed), 02000000);
    if (result < 0) return result;
    const long pid = sys::call(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0);
    if (pid < 0) return pid;
    if (pid > 0) {
        sys::call(SYS_close, pipe[1]);
        sys::call(SYS_close, shed[0]);
        run_init(child, pid, pipe[0], shed[1]);
    }
    sys::call(SYS_close, pipe[0]);
    sys::call(SYS_close, shed[1]);
    child.exec_pipe = pipe[1];
    child.init_pipe = shed[0];
    child.is_payload = true;
    return 0;
}

long run_op(Child& child, const ChildOp& op) {
    if (op.kind == OpKind::fork) return split(child);
    if (op.kind == OpKind::receive) {
        Record record;
        return receive_record(child, record, reinterpret_cast<const int32_t*>(child.pool + op.b), op.x);
    }
    if (op.kind == OpKind::sync) {
        Record record;
        send_record(child, op.x ? RecordKind::held : RecordKind::at_sync, op.step, 0, 0);
        return receive_record(child, record, nullptr, 0);
    }
    if (op.kind <= OpKind::attach || (op.kind >= OpKind::mask && op.kind <= OpKind::pivot)) return run_mount_op(child, op);
    if (op.kind <= OpKind::make_node) return run_file_op(child, op);
    if (op.kind < OpKind::fork) return run_kernel_op(child, op);
    return run_payload_op(child, op);
}

[[noreturn]] void run(Child& child) {
    if (const long error = map_program(child); error < 0) {
        send_record(child, RecordKind::failed, 0, -error, -1);
        leave(125);
    }
    // Killed with the launcher from the first moment. Its death before this line is seen on the socket.
    if (child.program->init_flags & init_own_pid_namespace) sys::call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    for (; child.current < child.program->op_count; ++child.current) {
        const ChildOp& op = child.ops[child.current];
        const long result = run_op(child, op);
        if (result >= 0) continue;
        if (op.flags & op_flag_optional) {
            send_record(child, RecordKind::skipped, op.step, -result, child.current);
            continue;
        }
        send_record(child, RecordKind::failed, op.step, -result, child.current);
        leave(125);
    }
    leave(125);  // a program ends with exec
}

}  // namespace
}  // namespace sandbox::child

extern "C" [[noreturn, gnu::used]] void sandbox_child_main() { sandbox::child::run(sandbox::child::the_child); }

#if defined(__x86_64__)
asm(".globl _start\n_start:\n xor %ebp, %ebp\n and $-16, %rsp\n call sandbox_child_main\n hlt\n");
#elif defined(__aarch64__)
asm(".globl _start\n_start:\n mov x29, #0\n bl sandbox_child_main\n brk #0\n");
#endif
