#include "kernel/process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/text.h"

namespace sandbox {
namespace {

// Shared with the child until it executes: it runs on a stack of its own in the parent's memory, the parent waits.
struct Handover {
    const SpawnRequest* request = nullptr;
    const char* failed = nullptr;  // system call
    int error = 0;
    int pidfd = -1;
    pid_t pid = -1;
    int hand_over = -1;  // socket through which the intermediate process gives the child's pidfd
};

constexpr std::size_t stack_size = 64 * 1024;
alignas(16) std::array<char, stack_size> outer_stack;
alignas(16) std::array<char, stack_size> inner_stack;
alignas(16) std::array<char, stack_size> between_stack;

[[noreturn]] void give_up(Handover& h, const char* call) {
    h.failed = call;
    h.error = errno;
    _exit(125);
}

// A new user namespace gives every capability, but exec would take them from a uid that is not mapped yet. Ambient ones
// stay (capabilities(7)).
void keep_capabilities() {
    if (syscall(SYS_getuid) == 0) return;  // root's are given back by exec
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    if (syscall(SYS_capget, &head, data) != 0) return;
    for (auto& half : data) half.inheritable = half.permitted;
    if (syscall(SYS_capset, &head, data) != 0) return;
    for (unsigned long capability = 0; capability < 64; ++capability) {
        const std::uint64_t held = data[0].permitted | static_cast<std::uint64_t>(data[1].permitted) << 32;
        if (held >> capability & 1) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    }
}

[[noreturn]] void execute_image(Handover& h) {
    const SpawnRequest& r = *h.request;
    keep_capabilities();
    // First above everything that will be overwritten, then into place. The image closes on exec.
    const int socket = fcntl(r.socket, F_DUPFD_CLOEXEC, 10), program = fcntl(r.program, F_DUPFD_CLOEXEC, 10);
    const int null = fcntl(r.null, F_DUPFD_CLOEXEC, 10), image = fcntl(r.image, F_DUPFD_CLOEXEC, 10);
    if (socket < 0 || program < 0 || null < 0 || image < 0) give_up(h, "fcntl");
    for (int stream = 0; stream < 3; ++stream)
        if (dup2(null, stream) < 0) give_up(h, "dup2");
    if (dup2(socket, 3) < 0 || dup2(program, 4) < 0) give_up(h, "dup2");
    if (syscall(SYS_close_range, 5U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) != 0) give_up(h, "close_range");
    char* argv[] = {const_cast<char*>("sandbox-init"), nullptr};
    char* envp[] = {nullptr};
    syscall(SYS_execveat, image, "", argv, envp, AT_EMPTY_PATH);
    give_up(h, "execveat");
}

int run_child(void* argument) { execute_image(*static_cast<Handover*>(argument)); }

// clone3(2) on a stack of the caller's. glibc has no wrapper: the child must not return into the frame that the parent
// still uses.
#if defined(__x86_64__)
long clone3_on_stack(clone_args* arguments, int (*function)(void*), void* argument) {
    long result;
    asm volatile(
        "syscall\n"
        "test %%rax, %%rax\n"
        "jnz 1f\n"
        "xor %%ebp, %%ebp\n"
        "mov %[argument], %%rdi\n"
        "call *%[function]\n"
        "ud2\n"
        "1:\n"
        : "=a"(result)
        : "a"(SYS_clone3), "D"(arguments), "S"(sizeof *arguments), [function] "r"(function), [argument] "r"(argument)
        : "rcx", "r11", "memory", "cc");
    return result;
}
#elif defined(__aarch64__)
long clone3_on_stack(clone_args* arguments, int (*function)(void*), void* argument) {
    register long x8 asm("x8") = SYS_clone3;
    register long x0 asm("x0") = reinterpret_cast<long>(arguments);
    register long x1 asm("x1") = sizeof *arguments;
    asm volatile(
        "svc 0\n"
        "cbnz x0, 1f\n"
        "mov x29, xzr\n"
        "mov x0, %[argument]\n"
        "blr %[function]\n"
        "brk 0\n"
        "1:\n"
        : "+r"(x0)
        : "r"(x8), "r"(x1), [function] "r"(function), [argument] "r"(argument)
        : "memory", "cc", "x30");
    return x0;
}
#endif

// The result of clone3, -1 with errno on failure.
long clone_waiting(std::uint64_t flags, std::array<char, stack_size>& stack, int (*function)(void*), Handover& h, int* pidfd, bool signal,
                   int group = -1) {
    clone_args arguments{};
    arguments.flags = flags | CLONE_VFORK | CLONE_PIDFD;
    if (group >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = static_cast<std::uint64_t>(group);
    }
    arguments.pidfd = reinterpret_cast<std::uint64_t>(pidfd);
    arguments.exit_signal = signal ? SIGCHLD : 0;
    arguments.stack = reinterpret_cast<std::uint64_t>(stack.data());
    arguments.stack_size = stack.size();
    const long result = clone3_on_stack(&arguments, function, &h);
    if (result < 0) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return result;
}

// For an error's text, made before there is memory to make one in.
const char* setns_of(std::uint64_t flag) {
    switch (flag) {
        case CLONE_NEWUSER: return "setns to the user namespace";
        case CLONE_NEWNS: return "setns to the mount namespace";
        case CLONE_NEWPID: return "setns to the pid namespace";
        case CLONE_NEWIPC: return "setns to the ipc namespace";
        case CLONE_NEWUTS: return "setns to the uts namespace";
        case CLONE_NEWCGROUP: return "setns to the cgroup namespace";
        case CLONE_NEWNET: return "setns to the network namespace";
        case CLONE_NEWTIME: return "setns to the time namespace";
        default: return "setns to the namespaces of the sandbox";
    }
}

bool joins_process(const SpawnRequest& r) { return r.process.pidfd >= 0; }

// What the host has open is not in reach of whoever lives in the namespaces (CVE-2016-9962).
void close_others(Handover& h) {
    const SpawnRequest& r = *h.request;
    std::vector<int> kept{r.image, r.socket, r.program, r.group, r.null, r.process.pidfd, r.process.time, h.hand_over};
    for (const JoinedNamespace& ns : r.joined) kept.push_back(ns.file);
    std::erase_if(kept, [](int number) { return number < 0; });
    std::sort(kept.begin(), kept.end());
    unsigned next = 0;
    for (const int number : kept) {
        const auto here = static_cast<unsigned>(number);
        if (here > next && syscall(SYS_close_range, next, here - 1, 0U) != 0) give_up(h, "close_range");
        next = here + 1;
    }
    if (syscall(SYS_close_range, next, ~0U, 0U) != 0) give_up(h, "close_range");
}

void enter_namespaces(Handover& h) {
    const SpawnRequest& r = *h.request;
    for (const JoinedNamespace& ns : r.joined) {
        if (setns(ns.file, static_cast<int>(ns.flag)) != 0) give_up(h, setns_of(ns.flag));
        close(ns.file);
    }
    if (!joins_process(r)) return;
    if (r.process.namespaces && setns(r.process.pidfd, static_cast<int>(r.process.namespaces)) != 0) give_up(h, setns_of(0));
    close(r.process.pidfd);
    if (r.process.time < 0) return;
    if (setns(r.process.time, CLONE_NEWTIME) != 0) give_up(h, setns_of(CLONE_NEWTIME));
    close(r.process.time);
}

void send_descriptor(Handover& h, int descriptor) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    char byte = 0;
    iovec vector{&byte, 1};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    if (sendmsg(h.hand_over, &message, MSG_NOSIGNAL) < 0) give_up(h, "sendmsg");
}

Fd receive_descriptor(int socket) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    char byte = 0;
    iovec vector{&byte, 1};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return Fd();
    const cmsghdr* head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) return Fd();
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
    return Fd(descriptor);
}

// proc_pid_fdinfo(5); -1 when the process has gone.
pid_t process_of(int pidfd) {
    const Fd file(open(cat("/proc/self/fdinfo/", pidfd).c_str(), O_RDONLY | O_CLOEXEC));
    char text[512];
    const ssize_t size = file ? read(file.get(), text, sizeof text) : 0;
    for (const std::string_view line : split(std::string_view(text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))), '\n'))
        if (line.starts_with("Pid:")) return static_cast<pid_t>(parse_int(trim(line.substr(4))).value_or(-1));
    return -1;
}

// Makes the real child and leaves it to the first process of the namespace. That one waits at its end until every process of the
// namespace has been waited for; of a launcher that was killed or stopped, nobody may ever wait for the child.
int run_between(void* argument) {
    Handover& h = *static_cast<Handover*>(argument);
    if (clone_waiting(CLONE_VM, inner_stack, run_child, h, &h.pidfd, true) < 0) give_up(h, "clone3");
    _exit(0);
}

void leave_to_namespace(Handover& h) {
    int between_pidfd = -1;
    // One table of descriptors, so that the child's pidfd arrives here.
    const long between = clone_waiting(CLONE_VM | CLONE_FILES, between_stack, run_between, h, &between_pidfd, true);
    if (between < 0) give_up(h, "clone3");
    while (waitpid(static_cast<pid_t>(between), nullptr, 0) < 0 && errno == EINTR) {
    }
    if (!h.failed) send_descriptor(h, h.pidfd);
    _exit(0);
}

// Enters namespaces and makes the real child as its sibling, whose parent is the launcher. Its memory is its own: a time
// namespace is entered only by a process that shares no memory with another (EUSERS; time_namespaces(7)). Nobody in the namespaces
// may look at it: a change of credentials makes it what fs.suid_dumpable says, so it is said twice.
int run_intermediate(void* argument) {
    Handover& h = *static_cast<Handover*>(argument);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    close_others(h);
    enter_namespaces(h);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (h.request->process.namespaces & CLONE_NEWPID) leave_to_namespace(h);
    int unused = -1;
    const long pid = clone_waiting(h.request->namespaces | CLONE_VM | CLONE_PARENT, inner_stack, run_child, h, &unused, false,
                                   joins_process(*h.request) ? -1 : h.request->group);
    if (pid < 0) give_up(h, "clone3");
    h.pid = static_cast<pid_t>(pid);
    _exit(0);
}

void reap(pid_t pid, int pidfd) {
    if (pidfd >= 0) close(pidfd);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

std::string hint_for(const char* call, int error) {
    if (std::string_view(call) == setns_of(0)) {
        if (error == EPERM) return "only who started the sandbox can join it, and root";
        if (error == ESRCH) return "the sandbox has just ended";
        if (error == EINVAL) return "entering all namespaces of a process needs Linux 5.8";
        return {};
    }
    if (std::string_view(call).starts_with("setns") && error == EINVAL) return "the file is a namespace of another type";
    if (std::string_view(call) != "clone3") return {};
    if (error == ENOSPC || error == EUSERS)
        return "a limit of namespaces is reached: see sysctl user.max_user_namespaces and the others of its kind";
    if (error == EPERM)
        return "this host does not let the caller make these namespaces (in a chroot nobody may make a user namespace); sandbox doctor "
               "says more";
    if (error == EBUSY) return "the control group hands out controllers, so it may have no processes of its own (cgroups(7))";
    if (error == EAGAIN) return "the caller's limit of processes (ulimit -u) or the group's pids.max is reached";
    if (error == EINVAL) return "this kernel lacks one of the namespaces; sandbox doctor says which";
    return {};
}

}  // namespace

Result<ChildProcess> spawn(const SpawnRequest& request) {
    // Through the copy of our memory that enters namespaces, the child still answers here.
    void* page = mmap(nullptr, sizeof(Handover), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return fail_errno("mmap", errno);
    Handover& shared = *new (page) Handover;
    shared.request = &request;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    long pid = 0;
    int intermediate_pidfd = -1;
    int ends[2] = {-1, -1};
    if (joins_process(request) && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        const int number = errno;
        sigprocmask(SIG_SETMASK, &before, nullptr);
        munmap(page, sizeof(Handover));
        return fail_errno("socketpair", number);
    }
    const Fd received(ends[0]), given(ends[1]);
    shared.hand_over = given.get();
    const bool direct = request.joined.empty() && !joins_process(request);
    if (direct) {
        pid = clone_waiting(request.namespaces | CLONE_VM, outer_stack, run_child, shared, &shared.pidfd, true, request.group);
    } else {
        // A group is entered from outside: where namespaces bound delegation, from inside there is no way (cgroups(7), nsdelegate).
        const long intermediate =
            clone_waiting(0, outer_stack, run_intermediate, shared, &intermediate_pidfd, true, joins_process(request) ? request.group : -1);
        pid = intermediate;
        if (intermediate >= 0) {
            reap(static_cast<pid_t>(intermediate), intermediate_pidfd);
            const bool left = request.process.namespaces & CLONE_NEWPID;
            shared.pidfd = -1;
            if (left && !shared.failed) {
                Fd pidfd = receive_descriptor(received.get());
                shared.pid = pidfd ? process_of(pidfd.get()) : -1;
                shared.pidfd = pidfd.release();
                if (shared.pidfd < 0) shared.failed = "setns to the namespaces of the sandbox", shared.error = ESRCH;
            }
            pid = shared.failed ? -1 : shared.pid;
            // It is our child, so its number is its own until we wait for it.
            if (!left && pid >= 0) shared.pidfd = static_cast<int>(syscall(SYS_pidfd_open, shared.pid, 0));
            if (shared.failed) errno = shared.error;
        }
    }
    const int error = errno;
    sigprocmask(SIG_SETMASK, &before, nullptr);
    const Handover h = shared;
    munmap(page, sizeof(Handover));
    if (pid < 0 && h.pidfd >= 0) {
        close(h.pidfd);
        return fail("the sandbox has just ended");
    }
    if (pid < 0 && !h.failed) return fail_errno("clone3", error, hint_for("clone3", error));
    if (h.failed) {
        if (h.pid >= 0 || direct) reap(h.pid >= 0 ? h.pid : static_cast<pid_t>(pid), h.pidfd);
        return fail_errno(h.failed, h.error, hint_for(h.failed, h.error));
    }
    return ChildProcess{static_cast<pid_t>(pid), Fd(h.pidfd)};
}

Result<OtherNamespaces> other_namespaces(pid_t pid) {
    constexpr struct {
        const char *own, *other;
        std::uint64_t flag;
    } kinds[] = {{"user", "user", CLONE_NEWUSER}, {"mnt", "mnt", CLONE_NEWNS},
                 {"pid", "pid", CLONE_NEWPID},    {"ipc", "ipc", CLONE_NEWIPC},
                 {"uts", "uts", CLONE_NEWUTS},    {"cgroup", "cgroup", CLONE_NEWCGROUP},
                 {"net", "net", CLONE_NEWNET},    {"time", "time_for_children", CLONE_NEWTIME}};
    OtherNamespaces out;
    for (const auto& kind : kinds) {
        struct stat own {};
        struct stat other {};
        const std::string theirs = cat("/proc/", pid, "/ns/", kind.other);
        if (stat(cat("/proc/self/ns/", kind.own).c_str(), &own) != 0) continue;  // this kernel has none
        const Fd file(open(theirs.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file || fstat(file.get(), &other) != 0) return fail_errno(theirs, errno);
        if (own.st_ino == other.st_ino) continue;
        if (kind.flag == CLONE_NEWTIME)
            out.time.reset(fcntl(file.get(), F_DUPFD_CLOEXEC, 3));
        else
            out.flags |= kind.flag;
    }
    return out;
}

Result<Fd> sealed_file(const char* name, const void* data, std::size_t size, bool executable) {
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    // MFD_EXEC and MFD_NOEXEC_SEAL say which kind it is to kernels that ask (Linux 6.3, memfd_noexec).
    Fd file(static_cast<int>(syscall(SYS_memfd_create, name, flags | (executable ? 0x10U : 0x8U))));
    if (!file && errno == EINVAL) file.reset(static_cast<int>(syscall(SYS_memfd_create, name, flags)));
    if (!file) {
        const int error = errno;
        return fail_errno("memfd_create", error,
                          error == EACCES ? "vm.memfd_noexec forbids executable memory files: sysctl -w vm.memfd_noexec=0" : "");
    }
    std::size_t written = 0;
    while (written < size) {
        const ssize_t n = write(file.get(), static_cast<const char*>(data) + written, size - written);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("write to a memfd", errno);
        written += static_cast<std::size_t>(n);
    }
    if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return fail_errno("seal a memfd", errno);
    return file;
}

std::uint64_t start_time(pid_t pid) {
    const Fd file(open(cat("/proc/", pid, "/stat").c_str(), O_RDONLY | O_CLOEXEC));
    char text[1024];
    const ssize_t size = file ? read(file.get(), text, sizeof text) : -1;
    if (size <= 0) return 0;
    const std::string_view line(text, static_cast<std::size_t>(size));
    const auto end_of_name = line.rfind(')');  // the name itself may hold anything
    if (end_of_name == std::string_view::npos || end_of_name + 2 >= line.size()) return 0;
    const auto fields = split(line.substr(end_of_name + 2), ' ');
    if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return 0;
    return static_cast<std::uint64_t>(parse_int(fields[19]).value_or(0));
}

}  // namespace sandbox
