// Programs that want more than they are given: memory, processes, processor time, a disk.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "probe.h"

namespace probe {
namespace {

double now(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

// Touches so many MiB, page by page.
Json hold_memory(const std::string& mebibytes) {
    const std::size_t size = static_cast<std::size_t>(number(mebibytes)) << 20;
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return errno_name(errno);
    for (std::size_t at = 0; at < size; at += 4096) static_cast<volatile char*>(memory)[at] = 1;
    return "ok";
}

// A child that holds it, and how that ended; the probe itself survives unless all are killed.
Json child_holds_memory(const std::string& mebibytes) {
    const pid_t child = fork();
    if (child == 0) {
        hold_memory(mebibytes);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? signal_name(WTERMSIG(status)) : "ok";
}

// Children that only wait, until fork fails or there are so many.
Json fork_until_refused(const std::string& most) {
    const long limit = number(most);
    long made = 0;
    int error = 0;
    std::vector<pid_t> children;
    for (; made < limit; ++made) {
        const pid_t child = fork();
        if (child < 0) {
            error = errno;
            break;
        }
        if (child == 0)
            while (true) pause();
        children.push_back(child);
    }
    for (const pid_t child : children) kill(child, SIGKILL);
    for (const pid_t child : children) waitpid(child, nullptr, 0);
    return {{"made", made}, {"refused", errno_name(error)}};
}

// Computes for so many milliseconds of wall-clock time; how much processor time that was.
Json burn(const std::string& milliseconds) {
    const double seconds = static_cast<double>(number(milliseconds)) / 1000, start = now(CLOCK_MONOTONIC);
    const double before = now(CLOCK_PROCESS_CPUTIME_ID);
    while (now(CLOCK_MONOTONIC) - start < seconds) {
    }
    const double wall = now(CLOCK_MONOTONIC) - start, used = now(CLOCK_PROCESS_CPUTIME_ID) - before;
    return {{"wall", wall}, {"used", used}, {"share", used / wall}};
}

// "PATH=KIB": writes so much past the page cache in pieces of 64 KiB; how fast that was.
Json write_directly(const std::string& argument) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos) throw Usage{"write-direct needs PATH=KIB"};
    const std::string path = argument.substr(0, equals);
    const std::size_t size = static_cast<std::size_t>(number(argument.substr(equals + 1))) << 10, piece = 65536;
    void* buffer = aligned_alloc(4096, piece);
    memset(buffer, 'x', piece);
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0600);
    if (file < 0) return {{"error", errno_name(errno)}};
    const double start = now(CLOCK_MONOTONIC);
    for (std::size_t done = 0; done < size; done += piece)
        if (write(file, buffer, piece) != static_cast<ssize_t>(piece)) return {{"error", errno_name(errno)}};
    const double seconds = now(CLOCK_MONOTONIC) - start;
    close(file);
    unlink(path.c_str());
    free(buffer);
    return {{"seconds", seconds}, {"bytes_per_second", static_cast<double>(size) / seconds}};
}

Json usable_processors(const std::string&) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return errno_name(errno);
    return CPU_COUNT(&set);
}

// Computes in two processes until it is stopped.
Json compute_forever(const std::string&) {
    say({{"ready", true}});
    fork();
    while (true) now(CLOCK_MONOTONIC);
}

}  // namespace

void add_hogs(Verbs& verbs) {
    verbs["hold-memory"] = hold_memory;
    verbs["child-holds-memory"] = child_holds_memory;
    verbs["fork-until-refused"] = fork_until_refused;
    verbs["burn"] = burn;
    verbs["write-direct"] = write_directly;
    verbs["usable-processors"] = usable_processors;
    verbs["compute-forever"] = compute_forever;
}

}  // namespace probe
