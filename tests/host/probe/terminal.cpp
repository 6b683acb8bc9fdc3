// Terminal, session and job control.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "probe.h"

namespace probe {
namespace {

Json window(int fd) {
    winsize size{};
    if (ioctl(fd, TIOCGWINSZ, &size) != 0) return errno_name(errno);
    return {{"rows", size.ws_row}, {"columns", size.ws_col}};
}

Json terminal(const std::string&) {
    Json seen = {{"pgrp", getpgrp()}, {"session", getsid(0)}, {"descriptors", Json::array()}};
    for (int fd = 0; fd < 3; ++fd) {
        Json one = {{"isatty", isatty(fd) == 1}};
        if (isatty(fd) == 1) {
            char name[256] = "";
            one["name"] = ttyname_r(fd, name, sizeof name) == 0 ? Json(name) : Json(nullptr);
            one["window"] = window(fd);
            one["foreground"] = tcgetpgrp(fd);
        }
        seen["descriptors"].push_back(one);
    }
    const int controlling = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    seen["controlling"] = controlling < 0 ? errno_name(errno) : "ok";
    if (controlling >= 0) {
        seen["foreground"] = tcgetpgrp(controlling);
        close(controlling);
    }
    return seen;
}

// One line from standard input, without its end.
Json read_line(const std::string&) {
    std::string line;
    char byte = 0;
    while (true) {
        const ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return {{"text", line}, {"error", errno_name(errno)}};
        if (got == 0 || byte == '\n') return {{"text", line}};
        line += byte;
    }
}

}  // namespace

void add_terminal(Verbs& verbs) {
    verbs["tty"] = terminal;
    verbs["winsize"] = [](const std::string&) { return window(STDIN_FILENO); };
    verbs["read-line"] = read_line;
}

}  // namespace probe
