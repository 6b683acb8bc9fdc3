#include "host/read.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/fd.h"
#include "base/text.h"

namespace sandbox {

std::optional<std::string> read_rest(int fd, std::size_t limit) {
    std::string text;
    char buffer[8192];
    while (text.size() < limit) {
        const ssize_t got = ::read(fd, buffer, std::min(sizeof buffer, limit - text.size()));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return std::nullopt;
        if (got == 0) break;
        text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
}

std::optional<std::string> read_file(const char* path, std::size_t limit) {
    const Fd fd(::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd) return std::nullopt;
    return read_rest(fd.get(), limit);
}

std::optional<std::int64_t> read_number(const char* path) {
    const auto text = read_file(path, 64);
    return text ? parse_int(trim(*text)) : std::nullopt;
}

std::string read_link(int directory, const char* path) {
    char buffer[PATH_MAX];
    const ssize_t length = ::readlinkat(directory, path, buffer, sizeof buffer);
    return length > 0 ? std::string(buffer, static_cast<std::size_t>(length)) : std::string();
}

std::optional<std::vector<std::string>> read_names(int fd, std::size_t limit) {
    // The kernel's record (getdents64(2)): inode, offset, length, type, name. Read with memcpy, as the buffer has no type.
    constexpr std::size_t length_at = 16, name_at = 19;
    std::vector<std::string> names;
    char buffer[4096];
    // The kernel fills what it is given: whoever wants one name should not pay for a hundred.
    const std::size_t size = limit < 4 ? 512 : sizeof buffer;
    while (true) {
        const long got = ::syscall(SYS_getdents64, fd, buffer, size);
        if (got < 0) return std::nullopt;
        if (got == 0) return names;
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            unsigned short length = 0;
            std::memcpy(&length, buffer + at + length_at, sizeof length);
            const char* name = buffer + at + name_at;
            if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) {
                if (names.size() == limit) return names;
                names.emplace_back(name);
            }
            at += length;
        }
    }
}

}  // namespace sandbox
