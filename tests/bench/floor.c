/* The floor: what a launch asks of the kernel, and nothing else. No profile, no checks, no journal, no messages beyond the
 * name of the failing call. Every part can be left out, so that two rows that differ by one part show its price.
 *
 *   bench-floor [-i] [-U BASE] [-m fork|vm|vfork] [-n NAMESPACES] [-d nodes|binds] [-s FILTER] [-w PARTS] [-g GROUP]... [-l LOWER]...
 *               -r ROOT PROGRAM ARGS...
 *
 *   -i  a minimal init is PID 1 and the program its child; without it the program is PID 1
 *   -U  a user namespace whose ids 0..65535 are BASE.. on the host, the root id-mapped to it
 *   -m  how the child is made: its own copy of the memory, the parent's memory, or that with the parent stopped until the
 *       exec (default: vfork, with -i or -U vm, where stopping the parent is not possible or not what a supervisor does)
 *   -n  letters of p(id) m(ount) u(ts) i(pc) n(et) c(group); default all; without m there is no root, mount or mask
 *   -d  /dev from nodes made in place (default) or from binds of the host's (always with -U)
 *   -s  a file with an array of struct sock_filter
 *   -w  leaves out, comma separated: propagation proc sys dev pts shm mqueue masks sysctl lo hostname caps nnp keyring close
 *   -g  a group of cgroup v1: TREE, or TREE:FILE=VALUE with a limit (repeated); the child writes itself into its tasks
 *   -l  a lower layer of an overlay (repeated, top first) whose upper is a tmpfs; -r is then only where it is mounted
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* <sys/mount.h> and <linux/mount.h> of Debian 12 cannot be included together. */
#define MNT_DETACH 2
int mount(const char*, const char*, const char*, unsigned long, const void*);
int umount2(const char*, int);

static struct {
    int with_init, binds, user_base, mode;
    unsigned long namespaces;
    const char *root, *filter_path, *without;
    char** argv;
    const char* lower[512];
    int lowers;
    struct sock_fprog filter;
    int root_fd, ready_pipe[2];
    struct {
        char path[160];
        int tasks;
    } group[16];
    int groups;
} job;

static void die(const char* what) {
    char text[256];
    const int size = snprintf(text, sizeof text, "floor: %s: %s\n", what, strerror(errno));
    if (write(2, text, size) < 0) _exit(126);
    _exit(125);
}

static long need(long result, const char* what) {
    if (result < 0) die(what);
    return result;
}

static int wanted(const char* part) {
    const size_t size = strlen(part);
    for (const char* at = job.without; at != NULL && *at != '\0';) {
        const size_t length = strcspn(at, ",");
        if (length == size && strncmp(at, part, size) == 0) return 0;
        at += length + (at[length] == ',');
    }
    return 1;
}

/* ---- mounts: each is made detached and moved to its place by descriptor */

static int make_mount(const char* type, const char* const* options, unsigned attributes) {
    const int context = need(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type);
    for (; options != NULL && *options != NULL; options += 2) {
        const int is_flag = options[1][0] == '\0';
        need(syscall(SYS_fsconfig, context, is_flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, options[0], is_flag ? NULL : options[1], 0),
             options[0]);
    }
    need(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
    const int made = need(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes), type);
    close(context);
    return made;
}

static void place(int mount, const char* target) {
    need(syscall(SYS_move_mount, mount, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), target);
    close(mount);
}

static int copy_of(int at, const char* path) {
    return syscall(SYS_open_tree, at, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path[0] == '\0' ? AT_EMPTY_PATH : 0));
}

static void restrict_mount(int mount, unsigned long attributes, int user_namespace) {
    struct mount_attr attr = {.attr_set = attributes | (user_namespace >= 0 ? MOUNT_ATTR_IDMAP : 0)};
    if (user_namespace >= 0) attr.userns_fd = user_namespace;
    need(syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attr, sizeof attr), "mount_setattr");
}

static int make_overlay(void) {
    const char* const size[] = {"mode", "0700", NULL};
    const int scratch = make_mount("tmpfs", size, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    need(mkdirat(scratch, "upper", 0755), "upper");
    need(mkdirat(scratch, "work", 0755), "work");
    /* Overlay takes its upper by path: through the descriptor's link in /proc. */
    char upper[64], work[64];
    snprintf(upper, sizeof upper, "/proc/self/fd/%d/upper", scratch);
    snprintf(work, sizeof work, "/proc/self/fd/%d/work", scratch);
    const int context = need(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC), "overlay");
    for (int i = 0; i < job.lowers; ++i) {
        need(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "lowerdir+", job.lower[i], 0), job.lower[i]);
    }
    need(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "upperdir", upper, 0), "upperdir");
    need(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "workdir", work, 0), "workdir");
    need(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "overlay");
    return need(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), "overlay");
}

static const struct {
    const char* name;
    unsigned minor;
} nodes[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};

static int make_dev(void) {
    const char* const options[] = {"mode", "0755", "size", "65536", NULL};
    const int dev = make_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    umask(0);
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; ++i) {
        const mode_t type = job.binds ? S_IFREG : S_IFCHR;
        need(mknodat(dev, nodes[i].name, type | 0666, job.binds ? 0 : makedev(1, nodes[i].minor)), nodes[i].name);
    }
    need(mknodat(dev, "tty", (job.binds ? S_IFREG : S_IFCHR) | 0666, job.binds ? 0 : makedev(5, 0)), "tty");
    for (const char* const* name = (const char* const[]){"pts", "shm", "mqueue", NULL}; *name != NULL; ++name) {
        need(mkdirat(dev, *name, 0755), *name);
    }
    need(symlinkat("/proc/self/fd", dev, "fd"), "fd");
    need(symlinkat("/proc/self/fd/0", dev, "stdin"), "stdin");
    need(symlinkat("/proc/self/fd/1", dev, "stdout"), "stdout");
    need(symlinkat("/proc/self/fd/2", dev, "stderr"), "stderr");
    need(symlinkat("pts/ptmx", dev, "ptmx"), "ptmx");
    umask(022);
    return dev;
}

static void mask(const int null, const int empty) {
    static const char* const files[] = {"proc/kcore",         "proc/keys",          "proc/timer_list", "proc/interrupts",
                                        "proc/sysrq-trigger", "proc/latency_stats", "proc/sched_debug"};
    static const char* const directories[] = {"proc/scsi", "proc/acpi", "sys/firmware", "sys/devices/virtual/powercap",
                                              "sys/devices/system/cpu/cpu0/thermal_throttle"};
    for (unsigned i = 0; i < sizeof files / sizeof *files; ++i) {
        const int copy = need(copy_of(null, ""), "mask");
        if (syscall(SYS_move_mount, copy, "", AT_FDCWD, files[i], MOVE_MOUNT_F_EMPTY_PATH) < 0 && errno != ENOENT) die(files[i]);
        close(copy);
    }
    for (unsigned i = 0; i < sizeof directories / sizeof *directories; ++i) {
        const int copy = need(copy_of(empty, ""), "mask");
        if (syscall(SYS_move_mount, copy, "", AT_FDCWD, directories[i], MOVE_MOUNT_F_EMPTY_PATH) < 0 && errno != ENOENT)
            die(directories[i]);
        close(copy);
    }
}

static void set_up_mounts(void) {
    const unsigned safe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    int proc = -1, sys = -1, dev = -1, pts = -1, shm = -1, queues = -1, null = -1, empty = -1, bound[8];
    if (wanted("propagation")) need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "propagation");
    if (wanted("proc")) proc = make_mount("proc", NULL, safe);
    if (wanted("sys")) sys = make_mount("sysfs", NULL, safe | MOUNT_ATTR_RDONLY);
    if (wanted("dev")) dev = make_dev();
    const char* const pts_options[] = {"newinstance", "", "ptmxmode", "0666", "mode", "0620", NULL};
    if (wanted("pts")) pts = make_mount("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    const char* const shm_options[] = {"mode", "1777", "size", "67108864", NULL};
    if (wanted("shm")) shm = make_mount("tmpfs", shm_options, safe);
    if (wanted("mqueue")) queues = make_mount("mqueue", NULL, safe);
    if (wanted("masks")) {
        const char* const empty_options[] = {"mode", "0555", "size", "4096", NULL};
        empty = make_mount("tmpfs", empty_options, safe | MOUNT_ATTR_RDONLY);
        null = need(copy_of(AT_FDCWD, "/dev/null"), "/dev/null");
    }
    if (dev >= 0 && job.binds) {
        for (unsigned i = 0; i < 5; ++i) {
            char path[32];
            snprintf(path, sizeof path, "/dev/%s", nodes[i].name);
            bound[i] = need(copy_of(AT_FDCWD, path), path);
        }
        bound[5] = need(copy_of(AT_FDCWD, "/dev/tty"), "/dev/tty");
    }

    const int root = job.lowers > 0 ? make_overlay() : job.root_fd;
    need(syscall(SYS_move_mount, root, "", AT_FDCWD, job.root, MOVE_MOUNT_F_EMPTY_PATH), job.root);
    need(fchdir(root), "fchdir");
    need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    need(umount2(".", MNT_DETACH), "umount2");
    need(chdir("/"), "chdir");

    if (proc >= 0) place(proc, "proc");
    if (sys >= 0) place(sys, "sys");
    if (dev >= 0) place(dev, "dev");
    if (dev >= 0 && job.binds) {
        for (unsigned i = 0; i < 6; ++i) {
            char path[32];
            snprintf(path, sizeof path, "dev/%s", i < 5 ? nodes[i].name : "tty");
            place(bound[i], path);
        }
    }
    if (pts >= 0) place(pts, "dev/pts");
    if (shm >= 0) place(shm, "dev/shm");
    if (queues >= 0) place(queues, "dev/mqueue");
    if (wanted("masks")) mask(null, empty);
    if (wanted("sysctl")) {
        const int settings = need(copy_of(AT_FDCWD, "proc/sys"), "proc/sys");
        restrict_mount(settings, MOUNT_ATTR_RDONLY, -1);
        place(settings, "proc/sys");
    }
}

/* ---- the rest of the child */

static void bring_up_loopback(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    const int fd = need(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    need(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
    close(fd);
}

static void drop_capabilities(void) {
    static const unsigned kept[] = {CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID,      CAP_KILL,
                                    CAP_SETGID,  CAP_SETUID,       CAP_SETPCAP, CAP_SETFCAP,     CAP_NET_BIND_SERVICE,
                                    CAP_NET_RAW, CAP_SYS_CHROOT,   CAP_MKNOD,   CAP_AUDIT_WRITE, CAP_AUDIT_READ};
    unsigned long long keep = 0;
    for (unsigned i = 0; i < sizeof kept / sizeof *kept; ++i) keep |= 1ULL << kept[i];
    for (unsigned bit = 0; bit <= CAP_LAST_CAP; ++bit) {
        if ((keep >> bit & 1) == 0) need(prctl(PR_CAPBSET_DROP, bit, 0, 0, 0), "bounding set");
    }
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{keep, keep, 0}, {keep >> 32, keep >> 32, 0}};
    need(syscall(SYS_capset, &header, data), "capset");
}

static void become_payload(void) {
    if (wanted("keyring")) need(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL), "keyring");
    if (wanted("nnp")) need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    if (wanted("caps")) drop_capabilities();
    if (wanted("close")) need(syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC), "close_range");
    if (job.filter.len > 0) need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &job.filter), "seccomp");
    execv(job.argv[0], job.argv);
    die(job.argv[0]);
}

static int be_init(void) {
    const pid_t payload = vfork();
    if (payload == 0) become_payload();
    need(payload, "fork");
    int status = 0;
    for (pid_t gone; (gone = wait(&status)) != payload;) {
        if (gone < 0 && errno != EINTR) die("wait");
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- control groups */

static void make_group(char* words) {
    char* file = strchr(words, ':');
    if (file != NULL) *file++ = '\0';
    char path[256];
    const int number = job.groups++;
    snprintf(job.group[number].path, sizeof job.group[number].path, "%s/floor-%d", words, getpid());
    need(mkdir(job.group[number].path, 0755), job.group[number].path);
    if (file != NULL) {
        char* value = strchr(file, '=');
        if (value == NULL) _exit(64);
        *value++ = '\0';
        snprintf(path, sizeof path, "%s/%s", job.group[number].path, file);
        const int limit = need(open(path, O_WRONLY | O_CLOEXEC), path);
        need(write(limit, value, strlen(value)), path);
        close(limit);
    }
    snprintf(path, sizeof path, "%s/tasks", job.group[number].path);
    job.group[number].tasks = need(open(path, O_WRONLY | O_CLOEXEC), path);
}

static void enter_groups(void) {
    for (int i = 0; i < job.groups; ++i) need(write(job.group[i].tasks, "0", 1), "tasks");
    if (job.groups > 0 && (job.namespaces & CLONE_NEWCGROUP) != 0) need(unshare(CLONE_NEWCGROUP), "cgroup namespace");
}

static void remove_groups(void) {
    for (int i = 0; i < job.groups; ++i) need(rmdir(job.group[i].path), job.group[i].path);
}

static int be_child(void* unused) {
    (void)unused;
    enter_groups();
    if (job.user_base > 0) {
        char byte;
        close(job.ready_pipe[1]);
        if (read(job.ready_pipe[0], &byte, 1) != 1) _exit(125);
        need(syscall(SYS_setgroups, 0, NULL), "setgroups");
        need(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
        need(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
    }
    if ((job.namespaces & CLONE_NEWNS) != 0) set_up_mounts();
    if ((job.namespaces & CLONE_NEWNET) != 0 && wanted("lo")) bring_up_loopback();
    if ((job.namespaces & CLONE_NEWUTS) != 0 && wanted("hostname")) need(sethostname("floor", 5), "sethostname");
    if (job.with_init) _exit(be_init());
    become_payload();
    return 125;
}

/* ---- the parent */

static void read_filter(void) {
    static struct sock_filter instructions[BPF_MAXINSNS];
    const int fd = need(open(job.filter_path, O_RDONLY | O_CLOEXEC), job.filter_path);
    const long size = need(read(fd, instructions, sizeof instructions), job.filter_path);
    close(fd);
    job.filter = (struct sock_fprog){size / sizeof *instructions, instructions};
}

static void write_map(pid_t child, const char* name) {
    char path[64], line[64];
    snprintf(path, sizeof path, "/proc/%d/%s", child, name);
    const int size = snprintf(line, sizeof line, "0 %d 65536\n", job.user_base);
    const int fd = need(open(path, O_WRONLY | O_CLOEXEC), path);
    need(write(fd, line, size), path);
    close(fd);
}

static void map_ids(pid_t child) {
    char path[64];
    write_map(child, "uid_map");
    write_map(child, "gid_map");
    snprintf(path, sizeof path, "/proc/%d/ns/user", child);
    const int user = need(open(path, O_RDONLY | O_CLOEXEC), path);
    if (job.root_fd >= 0) restrict_mount(job.root_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, user);
    close(user);
    need(write(job.ready_pipe[1], "", 1), "write");
}

static unsigned long namespaces_of(const char* letters) {
    unsigned long flags = 0;
    for (; *letters != '\0'; ++letters) {
        switch (*letters) {
            case 'p': flags |= CLONE_NEWPID; break;
            case 'm': flags |= CLONE_NEWNS; break;
            case 'u': flags |= CLONE_NEWUTS; break;
            case 'i': flags |= CLONE_NEWIPC; break;
            case 'n': flags |= CLONE_NEWNET; break;
            case 'c': flags |= CLONE_NEWCGROUP; break;
            default: errno = EINVAL; die(letters);
        }
    }
    return flags;
}

static pid_t make_child(int* pidfd) {
    static char stack[64 * 1024] __attribute__((aligned(16)));
    const unsigned long flags = job.namespaces | CLONE_PIDFD | (job.user_base > 0 ? CLONE_NEWUSER : 0);
    if (job.mode == 'f') {
        struct clone_args arguments = {.flags = flags, .exit_signal = SIGCHLD, .pidfd = (unsigned long)pidfd};
        const pid_t child = need(syscall(SYS_clone3, &arguments, sizeof arguments), "clone3");
        if (child == 0) _exit(be_child(NULL));
        return child;
    }
    /* clone(2) as the C library wraps it: the same kernel path as clone3, and the library knows how to start a function on
     * another stack. */
    const unsigned long shared = CLONE_VM | (job.mode == 'v' ? CLONE_VFORK : 0);
    return need(clone(be_child, stack + sizeof stack, flags | shared | SIGCHLD, NULL, pidfd), "clone");
}

int main(int argc, char** argv) {
    job.namespaces = namespaces_of("pmuinc");
    job.root_fd = -1;
    for (int option; (option = getopt(argc, argv, "+iU:m:n:d:s:w:r:l:g:")) != -1;) {
        switch (option) {
            case 'i': job.with_init = 1; break;
            case 'U': job.user_base = atoi(optarg); break;
            case 'm': job.mode = strcmp(optarg, "vm") == 0 ? 'm' : optarg[0]; break;
            case 'n': job.namespaces = namespaces_of(optarg); break;
            case 'd': job.binds = strcmp(optarg, "binds") == 0; break;
            case 's': job.filter_path = optarg; break;
            case 'w': job.without = optarg; break;
            case 'r': job.root = optarg; break;
            case 'g':
                if (job.groups < 16) make_group(optarg);
                break;
            case 'l':
                if (job.lowers < 512) job.lower[job.lowers++] = optarg;
                break;
            default: return 64;
        }
    }
    if (optind == argc || job.root == NULL) return 64;
    job.argv = argv + optind;
    if (job.user_base > 0) job.binds = 1;
    if (job.mode == 0) job.mode = job.with_init || job.user_base > 0 ? 'm' : 'v';
    if (job.filter_path != NULL) read_filter();
    if ((job.namespaces & CLONE_NEWNS) != 0 && job.lowers == 0) {
        job.root_fd = need(copy_of(AT_FDCWD, job.root), job.root);
        if (job.user_base == 0) restrict_mount(job.root_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1);
    }
    if (job.user_base > 0) need(pipe2(job.ready_pipe, O_CLOEXEC), "pipe2");

    int pidfd = -1;
    const pid_t child = make_child(&pidfd);
    if (job.user_base > 0) map_ids(child);
    siginfo_t info;
    while (waitid(P_PIDFD, pidfd, &info, WEXITED) < 0) {
        if (errno != EINTR) die("waitid");
    }
    remove_groups();
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
