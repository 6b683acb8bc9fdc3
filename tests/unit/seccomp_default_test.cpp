// The default policy, call by call. Numbers in test names are rows of the project's table of attacks.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "seccomp_testing.h"

namespace sandbox::seccomp {
namespace {

constexpr Machine own = native_machines[0], compat = native_machines[1];
constexpr std::uint64_t dirt = 0xDEADBEEFULL << 32;  // what a caller may leave in the half that the kernel does not read

std::uint64_t default_capabilities() {
    std::uint64_t out = 0;
    for (const int c : {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SETFCAP,
                        CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_MKNOD, CAP_AUDIT_WRITE, CAP_AUDIT_READ})
        out |= 1ULL << c;
    return out;
}

SeccompRequest default_request() {
    SeccompRequest out;
    out.capabilities = default_capabilities();
    out.kernel_major = 6;
    out.kernel_minor = 1;
    return out;
}

const std::vector<sock_filter>& default_filter() {
    static const std::vector<sock_filter> filter = compile(default_request());
    return filter;
}

TEST(SeccompDefault, AllowsWhatProgramsNeed) {
    for (const char* name : {"read",
                             "openat",
                             "openat2",
                             "faccessat2",
                             "fchmodat2",
                             "statx",
                             "cachestat",
                             "close_range",
                             "execve",
                             "execveat",
                             "mmap",
                             "mremap",
                             "mseal",
                             "memfd_create",
                             "memfd_secret",
                             "map_shadow_stack",
                             "process_madvise",
                             "set_mempolicy_home_node",
                             "mbind",
                             "futex",
                             "futex_waitv",
                             "futex_wake",
                             "futex_wait",
                             "futex_requeue",
                             "rseq",
                             "rt_sigreturn",
                             "epoll_pwait2",
                             "pidfd_open",
                             "pidfd_getfd",
                             "pidfd_send_signal",
                             "landlock_create_ruleset",
                             "seccomp",
                             "ptrace",
                             "chroot",
                             "accept4",
                             "io_submit",
                             "name_to_handle_at",
                             "adjtimex",
                             "clock_adjtime",
                             "sched_setattr",
                             "copy_file_range",
                             "vmsplice",
                             "inotify_init1",
                             "prctl",
                             "mknodat",
                             "setxattrat",
                             "statmount",
                             "exit_group"})
        EXPECT_EQ(verdict(default_filter(), own, name), "allow") << name;
}

TEST(SeccompDefault, DeniesWhatReachesForTheHost) {
    for (const char* name : {"mount",
                             "umount2",
                             "pivot_root",
                             "fsopen",
                             "fsconfig",
                             "fsmount",
                             "fspick",
                             "open_tree",
                             "open_tree_attr",
                             "move_mount",
                             "mount_setattr",
                             "setns",
                             "bpf",
                             "perf_event_open",
                             "userfaultfd",
                             "kexec_load",
                             "init_module",
                             "finit_module",
                             "delete_module",
                             "reboot",
                             "swapon",
                             "swapoff",
                             "acct",
                             "quotactl",
                             "quotactl_fd",
                             "syslog",
                             "settimeofday",
                             "clock_settime",
                             "kcmp",
                             "vhangup",
                             "lookup_dcookie",
                             "fanotify_init",
                             "sethostname",
                             "setdomainname",
                             "migrate_pages",
                             "move_pages",
                             "open_by_handle_at" /* 22 */})
        EXPECT_EQ(verdict(default_filter(), own, name), "EPERM") << name;
#if defined(__x86_64__)
    for (const char* name : {"iopl", "ioperm", "kexec_file_load", "uselib", "ustat", "_sysctl"})
        EXPECT_EQ(verdict(default_filter(), own, name), "EPERM") << name;
    for (const char* name : {"create_module", "nfsservctl", "afs_syscall"})
        EXPECT_EQ(verdict(default_filter(), own, name), "ENOSYS") << name;
#endif
}

TEST(SeccompDefault, Attack15TerminalInputComparesLow32Bits) {
    for (const Machine machine : native_machines) {
        for (const std::uint64_t request : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}}) {
            EXPECT_EQ(verdict(default_filter(), machine, "ioctl", {0, request}), "EPERM");
            EXPECT_EQ(verdict(default_filter(), machine, "ioctl", {0, request | dirt}), "EPERM");
        }
        EXPECT_EQ(verdict(default_filter(), machine, "ioctl", {TIOCSTI, TCGETS}), "allow");
        EXPECT_EQ(verdict(default_filter(), machine, "ioctl", {0, TIOCGWINSZ | dirt}), "allow");
    }
}

TEST(SeccompDefault, Attack25EveryEntryIsDecided) {
    EXPECT_EQ(verdict(default_filter(), AUDIT_ARCH_S390X, 0), "kill");
    EXPECT_EQ(verdict(default_filter(), 0, 0), "kill");
#if defined(__x86_64__)
    for (const char* name : {"read", "mount", "ioctl", "clone"}) {
        const auto number = static_cast<std::uint32_t>(number_of(name, own));
        EXPECT_EQ(verdict(default_filter(), AUDIT_ARCH_X86_64, number | 0x40000000U), "ENOSYS") << name;
    }
    // x32's own calls begin at 512.
    EXPECT_EQ(verdict(default_filter(), AUDIT_ARCH_X86_64, 0x40000000U + 520), "ENOSYS");
    EXPECT_EQ(verdict(default_filter(), AUDIT_ARCH_X86_64, 520), "ENOSYS");
    // The same number is another call there: 21 is access on x86_64 and mount on i386.
    EXPECT_EQ(verdict(default_filter(), AUDIT_ARCH_X86_64, 21), "allow");
    EXPECT_EQ(verdict(default_filter(), AUDIT_ARCH_I386, 21), "EPERM");
#endif
}

TEST(SeccompDefault, Attack25CompatProgramsRunUnderTheSamePolicy) {
    for (const char* name : {"read", "openat", "mmap2", "waitid", "shutdown", "_llseek", "fstat64", "futex_time64", "clock_gettime64",
                             "nice", "rseq", "ugetrlimit", "sigreturn"})
        EXPECT_EQ(verdict(default_filter(), compat, name), "allow") << name;
    for (const char* name : {"mount", "umount2", "setns", "bpf", "keyctl", "clock_settime64"})
        EXPECT_EQ(verdict(default_filter(), compat, name), "EPERM") << name;
#if defined(__x86_64__)
    for (const char* name : {"umount", "vm86", "vm86old", "stime"}) EXPECT_EQ(verdict(default_filter(), compat, name), "EPERM") << name;
    // The family is behind a pointer: libc is sent to socket().
    EXPECT_EQ(verdict(default_filter(), compat, "socketcall", {1}), "ENOSYS");
#endif
}

TEST(SeccompDefault, Attack25UnknownNumbersAreNotThere) {
    for (const Machine machine : native_machines)
        for (const std::uint32_t number : {472U, 511U, 1023U, 1024U, 4000U, 0x3FFFFFFFU, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU})
            EXPECT_EQ(verdict(default_filter(), audit_arch(machine), number), "ENOSYS") << number;
#if defined(__x86_64__)
    EXPECT_EQ(verdict(default_filter(), own, "pidfd_send_signal"), "allow");
    EXPECT_EQ(verdict(default_filter(), AUDIT_ARCH_X86_64, 400), "ENOSYS");  // in the gap before 424
#endif
}

TEST(SeccompDefault, Attack26KeyringsAreClosed) {
    for (const char* name : {"keyctl", "add_key", "request_key"}) EXPECT_EQ(verdict(default_filter(), own, name), "EPERM") << name;
}

TEST(SeccompDefault, Attack27NamespacesAreDenied) {
    for (const Machine machine : native_machines) {
        EXPECT_EQ(verdict(default_filter(), machine, "clone", {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD}), "allow");
        EXPECT_EQ(verdict(default_filter(), machine, "clone", {CLONE_VM | CLONE_VFORK | 17}), "allow");
        EXPECT_EQ(verdict(default_filter(), machine, "unshare", {CLONE_FS | CLONE_FILES | CLONE_SYSVSEM}), "allow");
        for (const std::uint64_t flag :
             {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
            EXPECT_EQ(verdict(default_filter(), machine, "clone", {flag | 17}), "EPERM") << flag;
            EXPECT_EQ(verdict(default_filter(), machine, "clone", {flag | 17 | dirt}), "EPERM") << flag;
            EXPECT_EQ(verdict(default_filter(), machine, "unshare", {flag | CLONE_FS}), "EPERM") << flag;
        }
        EXPECT_EQ(verdict(default_filter(), machine, "unshare", {CLONE_NEWTIME}), "EPERM");
        EXPECT_EQ(verdict(default_filter(), machine, "clone3"), "ENOSYS");
    }
}

TEST(SeccompDefault, UserNamespacesAreOpenedOnRequest) {
    SeccompRequest request = default_request();
    request.user_namespaces = true;
    const auto filter = compile(request);
    EXPECT_EQ(verdict(filter, own, "clone", {CLONE_NEWUSER | CLONE_NEWPID | 17}), "allow");
    EXPECT_EQ(verdict(filter, own, "unshare", {CLONE_NEWUSER}), "allow");
    EXPECT_EQ(verdict(filter, own, "clone3"), "allow");
    EXPECT_EQ(verdict(filter, own, "setns"), "EPERM");
    EXPECT_EQ(verdict(filter, own, "mount"), "EPERM");
}

TEST(SeccompDefault, Attack28IoUringIsOff) {
    for (const Machine machine : native_machines)
        for (const char* name : {"io_uring_setup", "io_uring_enter", "io_uring_register"})
            EXPECT_EQ(verdict(default_filter(), machine, name), "EPERM") << name;
}

TEST(SeccompDefault, SocketFamilies) {
    for (const Machine machine : native_machines) {
        for (const char* call : {"socket", "socketpair"})
            for (std::uint64_t family = 0; family < AF_MAX + 10; ++family) {
                const bool ordinary = family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
                const char* expected = ordinary ? "allow" : "EPERM";
                EXPECT_EQ(verdict(default_filter(), machine, call, {family, SOCK_STREAM}), expected) << call << ' ' << family;
                EXPECT_EQ(verdict(default_filter(), machine, call, {family | dirt, SOCK_STREAM}), expected) << call << ' ' << family;
            }
    }
}

TEST(SeccompDefault, Personalities) {
    for (const std::uint64_t persona : {0x0ULL, 0x8ULL, 0x20000ULL, 0x20008ULL, 0xFFFFFFFFULL, 0xFFFFFFFFFFFFFFFFULL})
        EXPECT_EQ(verdict(default_filter(), own, "personality", {persona}), "allow") << persona;
    for (const std::uint64_t persona : {0x40000ULL, 0x400000ULL, 0x1ULL, 0x40000ULL | dirt})
        EXPECT_EQ(verdict(default_filter(), own, "personality", {persona}), "EPERM") << persona;
}

TEST(SeccompDefault, CapabilitiesOpenTheirCalls) {
    const struct {
        int capability;
        const char* call;
    } grants[] = {{CAP_SYS_ADMIN, "mount"},
                  {CAP_SYS_ADMIN, "setns"},
                  {CAP_SYS_ADMIN, "clone3"},
                  {CAP_SYS_MODULE, "finit_module"},
                  {CAP_SYS_PTRACE, "kcmp"},
                  {CAP_SYS_TIME, "clock_settime"},
                  {CAP_SYS_CHROOT, "chroot"},
                  {CAP_BPF, "bpf"},
                  {CAP_PERFMON, "perf_event_open"},
                  {CAP_SYSLOG, "syslog"},
                  {CAP_DAC_READ_SEARCH, "open_by_handle_at"},
                  {CAP_SYS_BOOT, "reboot"},
                  {CAP_SYS_PACCT, "acct"},
                  {CAP_SYS_TTY_CONFIG, "vhangup"},
                  {CAP_SYS_NICE, "move_pages"}};
    for (const auto& grant : grants) {
        SeccompRequest request = default_request();
        request.capabilities = 1ULL << grant.capability;
        EXPECT_EQ(verdict(compile(request), own, grant.call), "allow") << grant.call;
        request.capabilities = ~request.capabilities;
        // The old capability, of which these two were split off, opens them too.
        if (grant.capability == CAP_BPF || grant.capability == CAP_PERFMON) request.capabilities &= ~(1ULL << CAP_SYS_ADMIN);
        EXPECT_NE(verdict(compile(request), own, grant.call), "allow") << grant.call;
    }
    SeccompRequest request = default_request();
    request.capabilities = ~0ULL;
    const auto filter = compile(request);
    EXPECT_EQ(verdict(filter, own, "clone", {CLONE_NEWNET}), "allow");
    for (const char* name : {"io_uring_setup", "keyctl", "userfaultfd", "swapon"}) EXPECT_EQ(verdict(filter, own, name), "EPERM") << name;
    EXPECT_EQ(verdict(filter, own, "ioctl", {0, TIOCSTI}), "EPERM");
}

TEST(SeccompDefault, TracingNeedsLinux48) {
    SeccompRequest request = default_request();
    request.kernel_major = 4;
    request.kernel_minor = 7;
    EXPECT_EQ(verdict(compile(request), own, "ptrace"), "EPERM");
    request.kernel_minor = 8;
    EXPECT_EQ(verdict(compile(request), own, "ptrace"), "allow");
    request.kernel_major = request.kernel_minor = 0;
    EXPECT_EQ(verdict(compile(request), own, "process_vm_readv"), "EPERM");
}

TEST(SeccompDefault, ActionIsTheRequests) {
    SeccompRequest request = default_request();
    request.deny_action = SECCOMP_RET_KILL_PROCESS;
    const auto filter = compile(request);
    EXPECT_EQ(verdict(filter, own, "mount"), "kill");
    EXPECT_EQ(verdict(filter, own, "ioctl", {0, TIOCSTI}), "kill");
    EXPECT_EQ(verdict(filter, own, "clone3"), "ENOSYS");
    EXPECT_EQ(verdict(filter, audit_arch(own), 999), "ENOSYS");
    EXPECT_EQ(verdict(filter, own, "read"), "allow");
}

// The same questions to the kernel. Exit codes say which answer was wrong.
int ask_the_kernel(const std::vector<sock_filter>& filter) {
    const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 2;
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return 3;
    const auto fails = [](long result, int number) { return result == -1 && errno == number; };
    if (::getppid() <= 0) return 4;
    if (!fails(::syscall(SYS_clone3, nullptr, 0), ENOSYS)) return 5;
    if (!fails(::unshare(CLONE_NEWUSER), EPERM)) return 6;
    if (::unshare(CLONE_FILES) != 0) return 7;
    if (!fails(::syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr), EPERM)) return 8;
    if (!fails(::socket(AF_VSOCK, SOCK_STREAM, 0), EPERM)) return 9;
    if (!fails(::syscall(SYS_ioctl, -1, TIOCSTI | dirt, nullptr), EPERM)) return 10;
    if (!fails(::syscall(SYS_ioctl, -1, TCGETS, nullptr), EBADF)) return 11;
    if (!fails(::syscall(SYS_io_uring_setup, 1, nullptr), EPERM)) return 12;
    if (!fails(::syscall(100000), ENOSYS)) return 13;
#if defined(__x86_64__)
    if (!fails(::syscall(0x40000000 | SYS_getpid), ENOSYS)) return 14;
#endif
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    int status = 1;
    if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) return 15;
    return 0;
}

TEST(SeccompDefault, TheKernelAgrees) {
    const std::vector<sock_filter>& filter = default_filter();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(ask_the_kernel(filter));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace sandbox::seccomp
