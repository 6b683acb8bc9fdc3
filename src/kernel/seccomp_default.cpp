// The default policy: an allow list. What is on no list here is denied.
//
// The measure is that ordinary programs, and the usual test suites of a libc, an interpreter and the kernel, notice
// nothing, while nothing that reaches for the host, or that has been the way out of a sandbox, is open until a profile
// asks for it or the payload has the capability that the kernel wants for it.
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kernel/seccomp_numbers.h"

namespace sandbox::seccomp {

namespace {

constexpr auto files = calls<
    "access chdir chmod chown chown32 creat faccessat faccessat2 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat "
    "fcntl fcntl64 file_getattr file_setattr flock fstat fstat64 fstatat64 fstatfs fstatfs64 ftruncate ftruncate64 futimesat getcwd "
    "getdents getdents64 lchown lchown32 link linkat lstat lstat64 mkdir mkdirat mknod mknodat newfstatat open openat openat2 readdir "
    "readlink readlinkat rename renameat renameat2 rmdir stat stat64 statfs statfs64 statx symlink symlinkat truncate truncate64 umask "
    "unlink unlinkat utime utimensat utimensat_time64 utimes "
    // extended attributes
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr lremovexattr lsetxattr "
    "removexattr removexattrat setxattr setxattrat "
    // A handle alone opens nothing: libraries compare it to find mount points. open_by_handle_at is another matter.
    "name_to_handle_at "
    // They only tell what /proc/self/mountinfo tells.
    "listmount statmount "
    // watching
    "fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch">();

constexpr auto input_output = calls<
    "_llseek _newselect arm_fadvise64_64 arm_sync_file_range cachestat close close_range copy_file_range dup dup2 dup3 epoll_create "
    "epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 fadvise64 fadvise64_64 fdatasync fsync io_cancel "
    "io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit lseek pipe pipe2 poll ppoll ppoll_time64 pread64 "
    "preadv preadv2 pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readv select sendfile sendfile64 splice sync "
    "sync_file_range sync_file_range2 syncfs tee vmsplice write writev">();

constexpr auto memory = calls<
    "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal "
    "msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise process_mrelease remap_file_pages "
    // Where one's own memory comes from; moving the pages of others is a capability's matter below.
    "get_mempolicy mbind set_mempolicy set_mempolicy_home_node">();

constexpr auto network = calls<
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendmmsg "
    "sendmsg sendto setsockopt shutdown socketpair">();

constexpr auto processes = calls<
    "capget capset execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid "
    "gettid ioprio_get ioprio_set kill nice pidfd_getfd pidfd_open pidfd_send_signal prctl prlimit64 sched_get_priority_max "
    "sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield setpgid setpriority "
    "setrlimit setsid sysinfo tgkill times tkill ugetrlimit uname vfork wait4 waitid waitpid "
    // threads, and what each machine keeps for one
    "arch_prctl breakpoint cacheflush futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list "
    "get_thread_area get_tls modify_ldt rseq rseq_slice_yield set_robust_list set_thread_area set_tid_address set_tls "
    // Not made by programs but by traps that the kernel puts into them when the host traces them: denying it kills them.
    "uprobe uretprobe "
    // restricting oneself
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self lsm_get_self_attr lsm_list_modules lsm_set_self_attr seccomp">();

constexpr auto identities = calls<
    "getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid getresuid32 getuid "
    "getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 "
    "setresuid setresuid32 setreuid setreuid32 setuid setuid32">();

constexpr auto signals = calls<
    "pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn "
    "sigsuspend">();

constexpr auto messages = calls<
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl "
    "msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget">();

constexpr auto time_and_chance = calls<
    "alarm clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer getrandom "
    "gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 "
    // Read by ordinary programs (ntp_gettime). Whether they write stands behind a pointer, and for writing the kernel wants
    // CAP_SYS_TIME over the host, which neither the default capabilities nor a user namespace give.
    "adjtimex clock_adjtime clock_adjtime64">();

constexpr std::span<const Call> allowed[] = {files,      input_output, memory,   network,        processes,
                                             identities, signals,      messages, time_and_chance};

// Answered as by a kernel that does not have them.
constexpr auto absent = calls<
    // No kernel that this launcher runs on has these.
    "afs_syscall break create_module epoll_ctl_old epoll_wait_old ftime get_kernel_syms getpmsg gtty idle lock mpx nfsservctl prof "
    "profil putpmsg query_module security stty tuxcall ulimit vserver "
    // Its flags stand behind a pointer, where a filter cannot see that they ask for a namespace. libc falls back to clone.
    "clone3 "
    // i386's way to socket() before Linux 4.3: the family stands behind a pointer. libc falls back to the direct calls.
    "socketcall">();

// The newest number that the lists above were written for. A newer call, should libseccomp know it, is as unknown.
constexpr int newest = 471;

enum Verdict : std::uint8_t { deny, allow, enosys };

constexpr auto table = [] {
    std::array<Verdict, call_table.size()> out{};
    for (std::size_t i = 0; i < out.size(); ++i)
        if (call_table[i].number(Machine::aarch64) > newest) out[i] = enosys;
    for (const auto& list : allowed)
        for (const Call c : list) out[c] = allow;
    for (const Call c : absent) out[c] = enosys;
    return out;
}();

// ---- what a capability opens

// Each list holds what the kernel asks this capability for, so it opens no more than the capability was given for.
constexpr auto sys_admin = calls<
    "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listns lookup_dcookie mount mount_setattr move_mount open_tree "
    "open_tree_attr perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns umount umount2 unshare">();
constexpr auto dac_read_search = calls<"open_by_handle_at">();
constexpr auto sys_boot = calls<"kexec_file_load kexec_load reboot">();
constexpr auto sys_chroot = calls<"chroot">();
constexpr auto sys_module = calls<"delete_module finit_module init_module">();
constexpr auto sys_pacct = calls<"acct">();
constexpr auto sys_ptrace = calls<"kcmp process_vm_readv process_vm_writev ptrace">();
constexpr auto sys_rawio = calls<"ioperm iopl">();
constexpr auto sys_time = calls<"clock_settime clock_settime64 settimeofday stime">();
constexpr auto sys_tty_config = calls<"vhangup">();
constexpr auto sys_nice = calls<"migrate_pages move_pages">();
constexpr auto syslog = calls<"syslog">();
constexpr auto bpf = calls<"bpf">();
constexpr auto perfmon = calls<"perf_event_open">();

struct Grant {
    int capability;
    std::span<const Call> calls;
};
constexpr Grant grants[] = {
    {CAP_SYS_ADMIN, sys_admin},
    {CAP_DAC_READ_SEARCH, dac_read_search},
    {CAP_SYS_BOOT, sys_boot},
    {CAP_SYS_CHROOT, sys_chroot},
    {CAP_SYS_MODULE, sys_module},
    {CAP_SYS_PACCT, sys_pacct},
    {CAP_SYS_PTRACE, sys_ptrace},
    {CAP_SYS_RAWIO, sys_rawio},
    {CAP_SYS_TIME, sys_time},
    {CAP_SYS_TTY_CONFIG, sys_tty_config},
    {CAP_SYS_NICE, sys_nice},
    {CAP_SYSLOG, syslog},
    {CAP_BPF, bpf},
    {CAP_PERFMON, perfmon},
};

constexpr auto namespaces = calls<"clone clone3 unshare">();

// The kernel's own check keeps a tracer to processes of its ids whose capabilities it has (ptrace(2)), and the pid
// namespace to those inside. Before 4.8 a tracer could change a call after the filter had let it pass.
constexpr auto tracing = calls<"process_vm_readv process_vm_writev ptrace">();

// ---- what depends on arguments

constexpr std::uint64_t clone_new =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
// In clone() the same bit belongs to the number of the exit signal.
constexpr std::uint64_t clone_newtime = 0x80;

Condition low_equals(std::uint8_t argument, std::uint64_t value) { return {argument, Compare::equal, true, value, ~0ULL}; }

Behaviour allow_without(std::uint64_t flags, std::uint32_t denied) {
    return {{{{{0, Compare::masked_equal, true, 0, flags}}, verdict_allow}}, denied};
}

// The families that ordinary programs use. The code of the others few use and many exploits did; asking for one may load its
// module, and some reach past the network namespace.
Behaviour socket_families(std::uint32_t denied) {
    Behaviour out{{}, denied};
    for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK})
        out.clauses.push_back({{low_equals(0, static_cast<std::uint64_t>(family))}, verdict_allow});
    return out;
}

// Both put input into the terminal of another: TIOCSTI as typed, TIOCLINUX by pasting the selection.
Behaviour terminal_requests(std::uint32_t denied) {
    return {{{{low_equals(1, TIOCSTI)}, denied}, {{low_equals(1, TIOCLINUX)}, denied}}, verdict_allow};
}

// Linux, Linux32, each with UNAME26, and the question; not ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC.
Behaviour personalities(std::uint32_t denied) {
    Behaviour out{{}, denied};
    for (const std::uint64_t persona : {0x0U, 0x8U, 0x20000U, 0x20008U, 0xFFFFFFFFU})
        out.clauses.push_back({{low_equals(0, persona)}, verdict_allow});
    return out;
}

void set_conditional(Policy& policy, std::uint32_t denied) {
    constexpr auto clone = calls<"clone">(), unshare = calls<"unshare">(), ioctl = calls<"ioctl">(), personality = calls<"personality">();
    constexpr auto sockets = calls<"socket socketpair">();
    policy.set(clone, allow_without(clone_new, denied));
    policy.set(unshare, allow_without(clone_new | clone_newtime, denied));
    policy.set(sockets, socket_families(denied));
    policy.set(ioctl, terminal_requests(denied));
    policy.set(personality, personalities(denied));
}

}  // namespace

Policy default_policy(const SeccompRequest& request) {
    Policy policy(request.deny_action);
    const std::uint16_t verdicts[] = {policy.intern({{}, request.deny_action}), policy.intern({{}, verdict_allow}),
                                      policy.intern({{}, verdict_enosys})};
    for (std::size_t i = 0; i < table.size(); ++i) policy.chosen[i] = verdicts[table[i]];
    set_conditional(policy, request.deny_action);
    const Behaviour allowed_always{{}, verdict_allow};
    if (std::pair(request.kernel_major, request.kernel_minor) >= std::pair(4, 8)) policy.set(tracing, allowed_always);
    // clone3's flags cannot be seen, so with it nothing is gained by looking at those of the other two.
    if (request.user_namespaces) policy.set(namespaces, allowed_always);
    for (const Grant& grant : grants)
        if ((request.capabilities >> grant.capability & 1) != 0) policy.set(grant.calls, allowed_always);
    return policy;
}

}  // namespace sandbox::seccomp
