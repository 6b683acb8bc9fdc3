// What the server's part of libdbus wants of libsystemd, to be started through a socket. There is no static libsystemd, and the launcher
// serves nobody.
#include <cerrno>

extern "C" {

int sd_listen_fds(int);
int sd_is_socket(int, int, int, int);

int sd_listen_fds(int) { return 0; }
int sd_is_socket(int, int, int, int) { return -ENOSYS; }
}
