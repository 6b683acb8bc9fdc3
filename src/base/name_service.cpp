// libnl and libdbus refer to these for functions that are not called here. With the C library's own a static program would carry its
// resolver and its databases, which load modules at run time; the linker takes these instead (--wrap): the launcher asks no name service.
#include <grp.h>
#include <netdb.h>
#include <pwd.h>

#include <cerrno>

extern "C" {

int __wrap_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);
void __wrap_freeaddrinfo(addrinfo*);
int __wrap_getnameinfo(const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int);
protoent* __wrap_getprotobyname(const char*);
protoent* __wrap_getprotobynumber(int);
int __wrap_getpwnam_r(const char*, passwd*, char*, size_t, passwd**);
int __wrap_getpwuid_r(uid_t, passwd*, char*, size_t, passwd**);
int __wrap_getgrouplist(const char*, gid_t, gid_t*, int*);

int __wrap_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) { return EAI_FAIL; }
void __wrap_freeaddrinfo(addrinfo*) {}
int __wrap_getnameinfo(const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int) { return EAI_FAIL; }
protoent* __wrap_getprotobyname(const char*) { return nullptr; }
protoent* __wrap_getprotobynumber(int) { return nullptr; }
int __wrap_getpwnam_r(const char*, passwd*, char*, size_t, passwd** found) { return *found = nullptr, ENOSYS; }
int __wrap_getpwuid_r(uid_t, passwd*, char*, size_t, passwd** found) { return *found = nullptr, ENOSYS; }
int __wrap_getgrouplist(const char*, gid_t, gid_t*, int* count) { return *count = 0, -1; }
}
