#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "host/parts.h"
#include "host/read.h"

namespace sandbox {
namespace {

void probe_release(HostFacts& facts) {
    utsname name{};
    if (::uname(&name) != 0) return;
    facts.release = name.release;
    facts.machine = name.machine;
    const char* end = facts.release.data() + facts.release.size();
    const auto major = std::from_chars(facts.release.data(), end, facts.major);
    if (major.ec == std::errc() && major.ptr != end && *major.ptr == '.') std::from_chars(major.ptr + 1, end, facts.minor);
}

// The kernel has a namespace type when it has a link for it (namespaces(7)).
void probe_namespaces(HostFacts& facts) {
    static constexpr std::array<std::pair<const char*, const char*>, 8> types{{{"mount", "mnt"},
                                                                               {"pid", "pid"},
                                                                               {"ipc", "ipc"},
                                                                               {"uts", "uts"},
                                                                               {"cgroup", "cgroup"},
                                                                               {"user", "user"},
                                                                               {"time", "time"},
                                                                               {"net", "net"}}};
    const Fd directory(::open("/proc/self/ns", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto links = directory ? read_names(directory.get(), 64) : std::nullopt;
    for (const auto& [type, link] : types) facts.namespaces[type] = links && std::find(links->begin(), links->end(), link) != links->end();
}

bool implemented(long result) { return result >= 0 || errno != ENOSYS; }

// Each call is made with arguments that no kernel accepts; ENOSYS is the one answer that says it is missing. A seccomp
// filter around us may take away each of them on its own.
bool has_new_mount_api() {
    return implemented(::syscall(SYS_open_tree, -1, "", 0U)) && implemented(::syscall(SYS_fsopen, nullptr, ~0U)) &&
           implemented(::syscall(SYS_move_mount, -1, "", -1, "", ~0U)) && implemented(::syscall(SYS_openat2, -1, "", nullptr, 0)) &&
           implemented(::syscall(SYS_mount_setattr, -1, "", 0U, nullptr, 0));
}

}  // namespace

void probe_kernel(HostFacts& facts) {
    probe_release(facts);
    probe_namespaces(facts);
    facts.new_mount_api = has_new_mount_api();
}

}  // namespace sandbox
