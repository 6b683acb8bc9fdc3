// libnl refers to these for functions that are not called here. With the C library's own a static program would carry its
// resolver, which loads modules at run time; the linker takes these instead (--wrap): the launcher asks no name service.
#include <netdb.h>

extern "C" {

int __wrap_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);
int __wrap_getnameinfo(const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int);
protoent* __wrap_getprotobyname(const char*);
protoent* __wrap_getprotobynumber(int);

int __wrap_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) { return EAI_FAIL; }
int __wrap_getnameinfo(const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int) { return EAI_FAIL; }
protoent* __wrap_getprotobyname(const char*) { return nullptr; }
protoent* __wrap_getprotobynumber(int) { return nullptr; }
}
