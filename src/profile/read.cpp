// The text of a profile from a file or from standard input.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "profile/load.h"
#include "profile/yaml.h"

namespace sandbox {
namespace {

std::string_view kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISFIFO(mode)) return "a FIFO";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

tl::unexpected<Error> refuse_kind(const std::string& name, mode_t mode) {
    return fail(cat(name, ": ", kind_of(mode), ", not a file"), "name a YAML file, or '-' for standard input");
}

// What the kernel's reason leaves out: sockets and some devices cannot be opened at all, and a link can lead to nothing.
tl::unexpected<Error> refuse_unopened(const std::string& path, int error) {
    struct stat status {};
    const std::string name = printable(path);
    if ((error == ENXIO || error == ENODEV) && ::stat(path.c_str(), &status) == 0) return refuse_kind(name, status.st_mode);
    std::string hint;
    if (error == ENOENT && ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode))
        hint = "it is a symbolic link, and what it leads to does not exist";
    if (error == EACCES) hint = "let its owner give you the right to read it";
    return fail_errno(name, error, std::move(hint));
}

// Up to the limit and one byte more, which tells that there is more.
Result<std::string> read_all(int fd, const std::string& name) {
    std::string text;
    while (text.size() <= profile_size_limit) {
        const std::size_t had = text.size();
        // Most fit the first page; zeroing more of them costs a launch its page faults.
        text.resize(std::min(profile_size_limit + 1, had + std::max<std::size_t>(had, 4096)));
        const ssize_t got = ::read(fd, text.data() + had, text.size() - had);
        const int error = errno;
        text.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got == 0) return text;
        if (got < 0 && error != EINTR) return fail_errno(name, error);
    }
    return fail(cat(name, ": larger than 1 MiB"), "a profile is a small file; large contents belong into files: {PATH: {source: FILE}}");
}

}  // namespace

Result<std::string> read_profile_text(const std::string& path, FileOwner* owner) {
    if (path == "-") return read_all(STDIN_FILENO, "standard input");
    const std::string name = printable(path);
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) return refuse_unopened(path, errno);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return fail_errno(name, errno);
    if (!S_ISREG(status.st_mode)) return refuse_kind(name, status.st_mode);
    if (owner) *owner = {status.st_uid, status.st_mode & 07777};
    return read_all(fd.get(), name);
}

}  // namespace sandbox
