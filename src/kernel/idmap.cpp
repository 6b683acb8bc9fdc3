#include "kernel/idmap.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <spawn.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/fd.h"
#include "base/text.h"

namespace sandbox {
namespace {

// One write(2): the kernel takes a map once and whole.
Status write_once(const std::string& path, const std::string& text) {
    const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return fail_errno(path, errno);
    if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return fail_errno(cat("write ", path), errno);
    return {};
}

std::string as_text(const std::vector<IdMapLine>& lines) {
    std::string text;
    for (const IdMapLine& line : lines) text += cat(line.inside, " ", line.outside, " ", line.count, "\n");
    return text;
}

Status run_helper(const char* program, pid_t pid, const std::vector<IdMapLine>& lines) {
    std::vector<std::string> words{program, std::to_string(pid)};
    for (const IdMapLine& line : lines)
        for (const std::uint32_t number : {line.inside, line.outside, line.count}) words.push_back(std::to_string(number));
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char* environment[] = {path, nullptr};
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t helper = -1;
    int error = ENOENT;
    for (const char* folder : {"/usr/bin/", "/bin/", "/usr/sbin/", "/usr/local/bin/"}) {
        const std::string file = cat(folder, program);
        error = posix_spawn(&helper, file.c_str(), nullptr, &attributes, argv.data(), environment);
        if (error != ENOENT) break;
    }
    posix_spawnattr_destroy(&attributes);
    if (error != 0) return fail_errno(program, error, "install Debian's package uidmap");
    int status = 0;
    while (waitpid(helper, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(cat(program, " refused the map"), "the ranges must be those of /etc/subuid and /etc/subgid; it has said more above");
    return {};
}

}  // namespace

Status write_id_maps(pid_t pid, const std::vector<IdMapLine>& uid, const std::vector<IdMapLine>& gid, bool deny_setgroups) {
    const std::string process = cat("/proc/", pid);
    if (deny_setgroups)
        if (auto written = write_once(process + "/setgroups", "deny"); !written) return written;
    if (auto written = write_once(process + "/gid_map", as_text(gid)); !written) return written;
    return write_once(process + "/uid_map", as_text(uid));
}

Status write_id_maps_by_helpers(pid_t pid, const std::vector<IdMapLine>& uid, const std::vector<IdMapLine>& gid) {
    if (auto written = run_helper("newgidmap", pid, gid); !written) return written;
    return run_helper("newuidmap", pid, uid);
}

namespace {

void use_all_permitted() {
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    if (syscall(SYS_capget, &head, data) != 0) return;
    for (auto& half : data) half.effective = half.permitted;
    syscall(SYS_capset, &head, data);
}

}  // namespace

ActingAs::ActingAs(std::uint32_t uid, std::uint32_t gid) : uid_(setfsuid(uid)), gid_(setfsgid(gid)) {
    use_all_permitted();
    // These calls return the id from before, whether they succeed or not.
    valid_ = setfsuid(~0U) == static_cast<int>(uid) && setfsgid(~0U) == static_cast<int>(gid);
}

ActingAs::~ActingAs() {
    setfsgid(static_cast<unsigned>(gid_));
    setfsuid(static_cast<unsigned>(uid_));
    use_all_permitted();
}

}  // namespace sandbox
