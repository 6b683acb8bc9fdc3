#include "base/write.h"

#include <unistd.h>

#include <cerrno>

namespace sandbox {

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t size = write(fd, text.data(), text.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(size));
    }
}

}  // namespace sandbox
