#include "exec/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/text.h"

extern char** environ;

namespace sandbox {
namespace {

std::vector<std::string> environment_with(const Variables& variables) {
    std::vector<std::string> out;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view name = std::string_view(*entry).substr(0, std::string_view(*entry).find('='));
        bool replaced = false;
        for (const auto& [key, value] : variables) replaced = replaced || key == name;
        if (!replaced) out.emplace_back(*entry);
    }
    for (const auto& [key, value] : variables) out.push_back(cat(key, "=", value));
    return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> out;
    for (std::string& word : words) out.push_back(word.data());
    out.push_back(nullptr);
    return out;
}

}  // namespace

Result<Helper> Helper::start(const std::vector<std::string>& argv, const Variables& variables, bool quiet) {
    if (!quiet) return start(argv, environment_with(variables), 2, 2);
    const Fd nowhere(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!nowhere) return fail_errno("/dev/null", errno);
    return start(argv, environment_with(variables), nowhere.get(), nowhere.get());
}

Result<Helper> Helper::start(const std::vector<std::string>& argv, std::vector<std::string> environment, int output, int errors) {
    std::vector<std::string> words = argv;
    auto argument_pointers = pointers(words), environment_pointers = pointers(environment);
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&files);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, errors, 2);
    Helper helper;
    const int error =
        posix_spawnp(&helper.pid_, argv.front().c_str(), &files, &attributes, argument_pointers.data(), environment_pointers.data());
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        helper.pid_ = -1;
        return fail_errno(cat("run ", quote(argv.front())), error);
    }
    helper.pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, helper.pid_, 0)));
    if (!helper.pidfd_) return fail_errno("pidfd_open", errno);
    return helper;
}

std::optional<int> Helper::status() {
    int status = 0;
    if (pid_ <= 0 || waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    pid_ = -1;
    return status;
}

void Helper::kill() const {
    if (pid_ > 0) ::kill(-pid_, SIGKILL);
}

void Helper::end() {
    if (pid_ <= 0) return;
    kill();
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

std::string describe_wait_status(int status) {
    if (WIFSIGNALED(status)) return cat("killed by signal ", WTERMSIG(status));
    return cat("exit code ", WEXITSTATUS(status));
}

Status run_helper(const std::vector<std::string>& argv, const Variables& variables, std::int64_t timeout) {
    auto helper = Helper::start(argv, variables, false);
    if (!helper) return pass(helper);
    pollfd ended{helper->descriptor(), POLLIN, 0};
    const std::int64_t milliseconds = std::min<std::int64_t>((timeout + 999'999) / 1'000'000, 1 << 30);
    if (poll(&ended, 1, static_cast<int>(milliseconds)) <= 0)
        return fail(cat(quote(argv.front()), " has not ended after ", format_duration(timeout)), "give the hook a longer timeout");
    const auto status = helper->status();
    if (status && *status == 0) return {};
    return fail(cat(quote(argv.front()), " failed: ", status ? describe_wait_status(*status) : std::string("nobody knows how")));
}

}  // namespace sandbox
