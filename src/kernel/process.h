// Processes by clone3(2) and pidfd.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

// A process that cannot be confused with another of the same number (pidfd_open(2)).
struct ChildProcess {
    pid_t pid = -1;
    Fd pidfd;
};

// A namespace to enter: setns(2) refuses a file of another type.
struct JoinedNamespace {
    int file = -1;
    std::uint64_t flag = 0;  // CLONE_NEW*
};

// A process whose namespaces are entered all at once (setns(2) with a pidfd, Linux 5.8): none is seen half joined.
struct JoinedProcess {
    int pidfd = -1;
    std::uint64_t namespaces = 0;  // CLONE_NEW*, those that are not the caller's own
    int time = -1;                 // the time namespace of its children, if that is another one
};

struct SpawnRequest {
    std::uint64_t namespaces = 0;         // CLONE_NEW* flags
    std::vector<JoinedNamespace> joined;  // entered first, in order
    JoinedProcess process;                // the same, of a sandbox that is there already
    int image = -1;                       // a sealed executable (memfd)
    int socket = -1, program = -1;        // become descriptors 3 and 4 of the child
    int group = -1;                       // of cgroup v2, to be born in (Linux 5.7)
    int null = -1;                        // becomes its standard streams
};

// Runs the image in a new process inside new namespaces: clone3 with the memory shared until exec, so that nothing is
// copied. The child has no descriptors but the five above, every capability of its user namespace, and all signals blocked.
// The caller must be single-threaded. Errors name the system call.
[[nodiscard]] Result<ChildProcess> spawn(const SpawnRequest& request);

// The namespaces of a process that are not the caller's. Its time namespace is that of its children, opened.
struct OtherNamespaces {
    std::uint64_t flags = 0;
    Fd time;
};
[[nodiscard]] Result<OtherNamespaces> other_namespaces(pid_t pid);

// A sealed memfd with these bytes; executable ones cannot be written to through /proc/PID/exe (CVE-2019-5736).
[[nodiscard]] Result<Fd> sealed_file(const char* name, const void* data, std::size_t size, bool executable);

// The start time of a process in clock ticks since boot (proc_pid_stat(5), field 22); 0 when it is gone or a zombie.
// With the pid it identifies a process for as long as the machine runs.
[[nodiscard]] std::uint64_t start_time(pid_t pid);

}  // namespace sandbox
