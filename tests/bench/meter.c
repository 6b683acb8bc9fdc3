/* bench-meter [-m MOUNT_NAMESPACE] COMMAND...: runs it once, output thrown away, and prints what it cost:
 *   wall_ns user_us system_us max_rss_kib exit_status
 * A program of its own, because the peak memory of a process starts with that of whoever forked it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of its own, so that no variable of main lives across vfork. */
static pid_t start(char** argv, int streams) {
    const pid_t child = vfork();
    if (child == 0) {
        dup2(streams, 0);
        dup2(streams, 1);
        execvp(argv[0], argv);
        _exit(127);
    }
    return child;
}

int main(int argc, char** argv) {
    if (argc > 2 && strcmp(argv[1], "-m") == 0) {
        const int other = open(argv[2], O_RDONLY | O_CLOEXEC);
        if (other < 0 || setns(other, CLONE_NEWNS) != 0) return 71;
        argc -= 2;
        argv += 2;
    }
    if (argc < 2) return 64;
    /* Not /dev/null: crun 1.8 gives its standard streams to the root of a new user namespace, the machine's device too. */
    const int streams = memfd_create("streams", MFD_CLOEXEC);
    if (streams < 0) return 71;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    const pid_t child = start(argv + 1, streams);
    if (child < 0) return 71;
    int status = 0;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) < 0) return 71;
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%ld %ld %ld %ld %d\n", (end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec,
           usage.ru_utime.tv_sec * 1000000L + usage.ru_utime.tv_usec, usage.ru_stime.tv_sec * 1000000L + usage.ru_stime.tv_usec,
           usage.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
