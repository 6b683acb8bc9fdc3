#include "host/trial.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "base/text.h"

namespace sandbox {
namespace {

int wait_for(pid_t child) {
    int status = -1;
    // __WALL: the child sends no signal when it ends, so that a SIGCHLD handler of ours never hears of it.
    while (::waitpid(child, &status, __WALL) < 0)
        if (errno != EINTR) return -1;
    return status;
}

bool write_text(const std::string& path, std::string_view text) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

struct Pipe {
    int read_end = -1, write_end = -1;
};

// Holds the new user namespace until the parent lets go of the pipe, or is gone. Shares the parent's memory, so it makes
// two system calls that do not fail (errno is the parent's too) and returns nothing.
int hold_namespace(void* argument) {
    const auto* pipe = static_cast<const Pipe*>(argument);
    ::close(pipe->write_end);
    char nothing = 0;
    const ssize_t end = ::read(pipe->read_end, &nothing, 1);
    ::_exit(end == 0 ? 0 : 1);
}

// A user namespace other than the initial one, with a map (the kernel takes neither an empty nor the initial one for a mount).
Fd make_user_namespace() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
    Pipe pipe{ends[0], ends[1]};
    const Fd read_end(ends[0]);
    Fd write_end(ends[1]);

    // No signal may interrupt the child: it runs in this memory. SIGKILL ends it without running anything.
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    alignas(16) std::array<char, 16384> stack;
    const pid_t child = ::clone(hold_namespace, stack.data() + stack.size(), CLONE_NEWUSER | CLONE_VM, &pipe);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (child < 0) return {};

    const std::string process = cat("/proc/", child);
    Fd user_namespace;
    if (write_text(cat(process, "/uid_map"), "0 0 1") && write_text(cat(process, "/gid_map"), "0 0 1"))
        user_namespace.reset(::open(cat(process, "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
    write_end.reset();
    wait_for(child);
    return user_namespace;
}

}  // namespace

bool IdmapTrial::ready() {
    if (!tried_ && allowed_) user_namespace_ = make_user_namespace();
    tried_ = true;
    return user_namespace_.valid();
}

bool IdmapTrial::map(int tree) {
    struct mount_attr attributes {};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(user_namespace_.get());
    return ::mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0;
}

bool IdmapTrial::accepts(int path) {
    if (!ready()) return false;
    // One mount, one answer: 500 layers on one file system are one trial.
    struct statx about {};
    const bool known = ::statx(path, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &about) == 0 && (about.stx_mask & STATX_MNT_ID);
    if (known)
        if (const auto answer = answers_.find(about.stx_mnt_id); answer != answers_.end()) return answer->second;
    const Fd tree(::open_tree(path, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    const bool accepted = tree && map(tree.get());
    if (known) answers_.emplace(about.stx_mnt_id, accepted);
    return accepted;
}

bool IdmapTrial::accepts_tmpfs() {
    if (!ready()) return false;
    const Fd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
    if (!context || ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return false;
    const Fd tree(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    return tree && map(tree.get());
}

std::optional<int> try_in_user_namespace(int (*work)()) {
    // The bare system call, not fork(): nothing of the C library is to run in the child.
    const long child = ::syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS, nullptr, nullptr, nullptr, nullptr);
    if (child < 0) return std::nullopt;
    if (child == 0) ::_exit(work());
    const int status = wait_for(static_cast<pid_t>(child));
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 255) return std::nullopt;
    return WEXITSTATUS(status);
}

}  // namespace sandbox
