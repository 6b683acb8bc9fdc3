// The framework itself: what it would report, it reports.
#include <gmock/gmock.h>

#include "programs.h"

namespace {

using namespace programs;
using testing::HasSubstr;

class Framework : public Programs {};

TEST_F(Framework, finds_nothing_that_a_closed_profile_can) {
    const std::string path = folder().write("profiles/closed.yaml", R"(
version: 1
rootfs: {host: ro}
mask: [/home, /root, /srv, /mnt, /media, /etc/shadow]
capabilities: {base: none}
)");
    EXPECT_EQ(shortcomings(path), "");
}

TEST_F(Framework, finds_everything_that_an_open_profile_can) {
    const std::string path = folder().write("profiles/open.yaml", R"(
version: 1
rootfs: {host: rw}
id_map: host
mask: none
readonly_paths: none
capabilities: {base: all}
network: {mode: host}
namespaces: {pid: host, ipc: host, uts: host, cgroup: host}
security: {no_new_privileges: false, seccomp: {profile: none}}
)");
    const std::string found = shortcomings(path);
    for (const std::string& secret : secrets()) EXPECT_THAT(found, HasSubstr("can, and is not given: read " + secret + "\n"));
    for (const char* place : {"/", "/etc", "/usr/local", "/var", "/var/lib", "/home/tester", "/root", "/srv", "/opt"})
        EXPECT_THAT(found, HasSubstr(cat("can, and is not given: write to the host's ", place, "\n")));
    EXPECT_THAT(found, HasSubstr(cat("can, and is not given: write to the host's ", folder().path(), "\n")));
    for (const char* address : {loopback_address, host_address, outside_address})
        EXPECT_THAT(found, HasSubstr(cat("can, and is not given: connect to ", address, "\n")));
    for (const std::string& call : calls()) EXPECT_THAT(found, HasSubstr(cat("can, and is not given: ", call, "\n")));
    for (const char* name : {"pid", "ipc", "uts", "net", "cgroup"})
        EXPECT_THAT(found, HasSubstr(cat("can, and is not given: see the host's namespace ", name, "\n")));
    EXPECT_THAT(found, HasSubstr("has the capabilities [AUDIT_CONTROL, AUDIT_READ, "));
    EXPECT_THAT(found, HasSubstr("can gain privileges by executing a program\n"));
    EXPECT_THAT(found, HasSubstr("has no filter of system calls\n"));
    EXPECT_THAT(found, HasSubstr("somebody has connected\n"));
    EXPECT_FALSE(exists("/etc/.probe-" + std::to_string(getpid()) + "-0"));
}

TEST_F(Framework, finds_what_is_given_and_not_had) {
    const std::string path = folder().write("profiles/closed.yaml", "version: 1\nrootfs: {host: ro}\nmask: [/home, /root, /srv]\n");
    Given given;
    given.writable = {"/srv"};
    given.scratch = {"/var/lib"};
    given.reach = {outside_address};
    given.readable = {"/root/secret"};
    given.calls = {"mount"};
    given.capabilities = {"SYS_ADMIN"};
    given.shared = {"net"};
    const std::string found = shortcomings(path, given);
    for (const char* what : {"write to the host's /srv", "write to a /var/lib of its own", "connect to 198.51.100.2", "read /root/secret",
                             "mount", "see the host's namespace net"})
        EXPECT_THAT(found, HasSubstr(cat("is given, but cannot: ", what)));
    EXPECT_THAT(found, HasSubstr("has the capabilities [AUDIT_READ, AUDIT_WRITE, CHOWN, "));
}

TEST_F(Framework, writing_to_the_callers_folder_is_seen_under_another_name) {
    const std::string path = folder().write("profiles/work.yaml", R"(
version: 1
rootfs: {host: ro}
mask: [/home, /root, /srv, /mnt, /media, /etc/shadow]
capabilities: {base: none}
mounts: [{source: "${PWD}", target: /work, mode: rw}]
id_map: caller
)");
    Given given;
    given.more_places = {"/work"};
    EXPECT_EQ(shortcomings(path, given), "can, and is not given: write to the host's /work\n");
    given.writable = {"/work"};
    EXPECT_EQ(shortcomings(path, given), "");
}

}  // namespace
