// Which system calls the process may make. Each is tried in a child of its own, with arguments that change nothing where
// it is allowed; what comes back is "ok", the name of the errno, or "signal:SIGSYS" when the call killed the child.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "probe.h"

namespace probe {
namespace {

using Attempt = std::function<long()>;

Json attempt(const Attempt& call) {
    const pid_t child = fork();
    if (child < 0) return "fork:" + errno_name(errno);
    if (child == 0) {
        errno = 0;
        const long result = call();
        _exit(result == -1 ? errno : 0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) return "signal:" + signal_name(WTERMSIG(status));
    return errno_name(WEXITSTATUS(status));
}

const std::map<std::string, unsigned long>& namespace_flags() {
    static const std::map<std::string, unsigned long> flags = {{"user", CLONE_NEWUSER},     {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID},
                                                               {"net", CLONE_NEWNET},       {"ipc", CLONE_NEWIPC},  {"uts", CLONE_NEWUTS},
                                                               {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
    return flags;
}

const std::map<std::string, int>& families() {
    static const std::map<std::string, int> names = {{"AF_UNIX", AF_UNIX},
                                                     {"AF_INET", AF_INET},
                                                     {"AF_INET6", AF_INET6},
                                                     {"AF_NETLINK", AF_NETLINK},
                                                     {"AF_PACKET", AF_PACKET},
                                                     {"AF_ALG", AF_ALG},
                                                     {"AF_VSOCK", AF_VSOCK},
                                                     {"AF_XDP", AF_XDP},
                                                     {"AF_KEY", AF_KEY},
                                                     {"AF_BLUETOOTH", AF_BLUETOOTH},
                                                     {"AF_CAN", AF_CAN},
                                                     {"AF_TIPC", AF_TIPC},
                                                     {"AF_RDS", AF_RDS},
                                                     {"AF_QIPCRTR", AF_QIPCRTR},
                                                     {"AF_KCM", AF_KCM},
                                                     {"AF_SMC", AF_SMC},
                                                     {"AF_X25", AF_X25},
                                                     {"AF_AX25", AF_AX25},
                                                     {"AF_APPLETALK", AF_APPLETALK}};
    return names;
}

long socket_of(int family) {
    const int type = family == AF_INET || family == AF_INET6 || family == AF_VSOCK || family == AF_UNIX ? SOCK_STREAM
                     : family == AF_ALG                                                                 ? SOCK_SEQPACKET
                                                                                                        : SOCK_RAW;
    return syscall(SYS_socket, family, type | SOCK_CLOEXEC, family == AF_KEY ? 2 : 0);
}

// A child made by clone or clone3 ends at once; its parent collects it and hands the outcome on.
long made(long pid) {
    if (pid == 0) _exit(0);
    if (pid < 0) return -1;
    waitpid(static_cast<pid_t>(pid), nullptr, __WALL);
    return 0;
}

long clone_with(unsigned long flags) { return made(syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr)); }

long clone3_with(unsigned long flags) {
    clone_args arguments{};
    arguments.flags = flags;
    arguments.exit_signal = SIGCHLD;
    return made(syscall(SYS_clone3, &arguments, sizeof arguments));
}

long push_character(unsigned long request) {
    char character = '#';
    return syscall(SYS_ioctl, 0, request, &character);
}

#if defined(__x86_64__)
long int80(long number, long first = 0) {
    long result = 0;
    // The i386 entry clobbers r8 to r11 on some kernels.
    asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first) : "memory", "r8", "r9", "r10", "r11");
    const int answer = static_cast<int>(result);
    if (answer >= 0 || answer < -4095) return answer;
    errno = -answer;
    return -1;
}
#endif

long bpf_map() {
    bpf_attr attributes{};
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = attributes.value_size = 4;
    attributes.max_entries = 1;
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

long perf_event() {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_SW_TASK_CLOCK;
    attributes.exclude_kernel = attributes.exclude_hv = 1;
    return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

// The handle of inode 2, a file system's root directory on ext4: what the "shocker" exploit asked for first.
long open_by_handle() {
    struct {
        unsigned bytes = 8;
        int type = 1;
        unsigned inode = 2, generation = 0;
    } handle;
    const int at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return syscall(SYS_open_by_handle_at, at, &handle, O_RDONLY);
}

long read_memory_of(pid_t pid) {
    char byte = 0;
    iovec local{&byte, 1}, remote{reinterpret_cast<void*>(0x1000), 1};
    return syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0);
}

long join_namespace(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : setns(fd, 0);
}

long same_hostname() {
    utsname names{};
    uname(&names);
    return sethostname(names.nodename, strlen(names.nodename));
}

std::map<std::string, Attempt> plain_calls() {
    return {
        {"getpid", [] { return syscall(SYS_getpid) > 0 ? 0L : -1L; }},
            {"unshare", [] { return static_cast<long>(unshare(CLONE_NEWUSER)); }}, {"clone", [] { return clone_with(0); }},
            {"clone3", [] { return clone3_with(0); }},
            // An unknown type is looked at after the permission: ENODEV means that mounting is allowed.
            {"mount", [] { return static_cast<long>(mount("none", "/", "no-such-type", 0, nullptr)); }},
            // MNT_EXPIRE on one's own root is EINVAL, after the permission.
            {"umount2", [] { return static_cast<long>(umount2("/", MNT_EXPIRE)); }},
            {"pivot_root", [] { return syscall(SYS_pivot_root, "/no/such", "/no/such"); }},
            {"chroot", [] { return static_cast<long>(chroot("/")); }},
            {"open_tree", [] { return syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC); }},
            {"fsopen", [] { return syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC); }},
            {"fsmount", [] { return syscall(SYS_fsmount, -1, 0, 0); }}, {"fspick", [] { return syscall(SYS_fspick, -1, "", 0); }},
            {"move_mount", [] { return syscall(SYS_move_mount, -1, "", -1, "", 0); }},
            {"mount_setattr", [] { return syscall(SYS_mount_setattr, -1, "", 0, nullptr, 0); }}, {"bpf", bpf_map},
            {"perf_event_open", perf_event},
            {"keyctl", [] { return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0); }},
            {"add_key", [] { return syscall(SYS_add_key, "user", "sandbox-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING); }},
            {"request_key", [] { return syscall(SYS_request_key, "user", "sandbox-probe-none", nullptr, 0); }},
            {"io_uring_setup",
             [] {
                 io_uring_params parameters{};
                 return syscall(SYS_io_uring_setup, 1, &parameters);
             }},
            {"open_by_handle_at", open_by_handle}, {"userfaultfd", [] { return syscall(SYS_userfaultfd, O_CLOEXEC); }},
            {"userfaultfd_user", [] { return syscall(SYS_userfaultfd, O_CLOEXEC | 1); }},
            {"ptrace", [] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
            {"ptrace_init", [] { return ptrace(PTRACE_SEIZE, 1, nullptr, nullptr); }},
            {"process_vm_readv", [] { return read_memory_of(1); }},
            {"pidfd_getfd",
             [] {
                 const long pidfd = syscall(SYS_pidfd_open, 1, 0);
                 return pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, 0, 0);
             }},
            {"kcmp", [] { return syscall(SYS_kcmp, getpid(), 1, 0, 0, 0); }},
            // More segments than the kernel takes: EINVAL after the permission.
            {"kexec_load", [] { return syscall(SYS_kexec_load, 0, 17, nullptr, 0); }},
            {"kexec_file_load", [] { return syscall(SYS_kexec_file_load, -1, -1, 0, nullptr, 0); }},
            {"init_module", [] { return syscall(SYS_init_module, nullptr, 0, ""); }},
            {"finit_module", [] { return syscall(SYS_finit_module, -1, "", 0); }},
            {"delete_module", [] { return syscall(SYS_delete_module, "no_such_module_of_probe", O_NONBLOCK); }},
            // Wrong magic: EINVAL after the permission.
            {"reboot", [] { return syscall(SYS_reboot, 0, 0, 0, nullptr); }},
            {"acct", [] { return static_cast<long>(acct("/no/such/file")); }},
            // Neither a time nor a zone: nothing is set, the permission is asked all the same.
            {"settimeofday", [] { return syscall(SYS_settimeofday, nullptr, nullptr); }},
            {"adjtimex",
             [] {
                 timex parameters{};
                 parameters.modes = ADJ_TICK;  // a tick of 0 is EINVAL, after the permission
                 return syscall(SYS_adjtimex, &parameters);
             }},
            {"swapon", [] { return static_cast<long>(swapon("/no/such/file", 0)); }},
            {"swapoff", [] { return static_cast<long>(swapoff("/no/such/file")); }},
            {"setns", [] { return join_namespace("/proc/self/ns/uts"); }}, {"sethostname", same_hostname},
            {"syslog", [] { return syscall(SYS_syslog, 10, nullptr, 0); }}, {"iopl", [] { return syscall(SYS_iopl, 3); }},
            {"ioperm", [] { return syscall(SYS_ioperm, 0x80, 1, 1); }},
            {"personality", [] { return syscall(SYS_personality, 0xffffffff); }},
            {"personality_aslr", [] { return syscall(SYS_personality, 0x0040000); }},
            {"fanotify_init", [] { return syscall(SYS_fanotify_init, 0, 0); }},
            {"name_to_handle_at", [] { return syscall(SYS_name_to_handle_at, -1, "", nullptr, nullptr, 0); }},
            {"set_mempolicy", [] { return syscall(SYS_set_mempolicy, 0, nullptr, 0); }},
            {"move_pages", [] { return syscall(SYS_move_pages, 0, 0, nullptr, nullptr, nullptr, 0); }},
            {"memfd_create", [] { return syscall(SYS_memfd_create, "probe", 1); }},
            {"memfd_secret", [] { return syscall(SYS_memfd_secret, 0); }},
            {"landlock", [] { return syscall(SYS_landlock_create_ruleset, nullptr, 0, 1); }},
            {"seccomp", [] { return syscall(SYS_seccomp, 2, 0, nullptr); }},
            {"openat2", [] { return syscall(SYS_openat2, AT_FDCWD, "/", nullptr, 0); }},
            {"futex_waitv", [] { return syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, 0); }}, {"unknown", [] { return syscall(1000); }},
            {"tiocsti", [] { return push_character(TIOCSTI); }}, {"tiocsti_high", [] { return push_character(TIOCSTI | 1UL << 32); }},
            {"tioclinux", [] { return push_character(TIOCLINUX); }},
            {"tioclinux_high", [] { return push_character(TIOCLINUX | 1UL << 32); }},
            {"chown_root", [] { return syscall(SYS_chown, "/no/such/file", 0, 0); }},
            {"mlock",
             [] {
                 static char page[4096];
                 return syscall(SYS_mlock, page, sizeof page);
             }},
            {"raise_nofile",
             [] {
                 unsigned long limits[2] = {4000000, 4000000};  // above a usual hard limit, below the kernel's nr_open of many hosts
                 return syscall(SYS_prlimit64, 0, 7, limits, nullptr);
             }},
#if defined(__x86_64__)
            {"int80", [] { return int80(20); }},  // getpid
            {"int80_unshare", [] { return int80(310, CLONE_NEWUSER); }}, {"int80_keyctl", [] { return int80(288, KEYCTL_GET_KEYRING_ID); }},
            {"x32", [] { return syscall(0x40000000L + SYS_getpid); }},
            {"x32_unshare", [] { return syscall(0x40000000L + SYS_unshare, CLONE_NEWUSER); }},
#endif
    };
}

Json try_call(const std::string& word) {
    static const std::map<std::string, Attempt> calls = plain_calls();
    if (const auto found = calls.find(word); found != calls.end()) return attempt(found->second);
    const std::size_t colon = word.find(':');
    const std::string name = word.substr(0, colon), argument = colon == std::string::npos ? "" : word.substr(colon + 1);
    if (name == "socket") {
        const auto family = families().find(argument);
        if (family == families().end()) throw Usage{"unknown socket family '" + argument + "'"};
        return attempt([&] { return socket_of(family->second); });
    }
    if (name == "setns") return attempt([&] { return join_namespace(argument); });
    if (name == "ptrace") return attempt([&] { return ptrace(PTRACE_SEIZE, number(argument), nullptr, nullptr); });
    if (name == "process_vm_readv") return attempt([&] { return read_memory_of(static_cast<pid_t>(number(argument))); });
    if (name == "number") return attempt([&] { return syscall(number(argument), 0, 0, 0, 0, 0, 0); });
    const auto flag = namespace_flags().find(argument);
    if (flag != namespace_flags().end()) {
        if (name == "unshare") return attempt([&] { return static_cast<long>(unshare(static_cast<int>(flag->second))); });
        if (name == "clone") return attempt([&] { return clone_with(flag->second); });
        if (name == "clone3") return attempt([&] { return clone3_with(flag->second); });
    }
    throw Usage{"unknown call '" + word + "'"};
}

}  // namespace

void add_calls(Verbs& verbs) {
    verbs["try"] = verbs["syscall"] = try_call;
    verbs["socket"] = [](const std::string& family) { return try_call("socket:" + family); };
    // Every call without an argument and every namespace and family, in one object.
    verbs["try-all"] = [](const std::string&) {
        Json seen = Json::object();
        for (const auto& [name, call] : plain_calls()) seen[name] = attempt(call);
        for (const auto& [name, flag] : namespace_flags()) {
            for (const char* kind : {"unshare:", "clone:", "clone3:"}) seen[kind + name] = try_call(kind + name);
        }
        for (const auto& [name, family] : families()) seen["socket:" + name] = try_call("socket:" + name);
        return seen;
    };
}

}  // namespace probe
