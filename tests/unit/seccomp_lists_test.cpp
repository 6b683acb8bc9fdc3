// allow and deny over each base, and the groups.
#include <linux/net.h>
#include <sys/socket.h>

#include "seccomp_testing.h"

namespace sandbox::seccomp {
namespace {

constexpr Machine own = native_machines[0];

bool contains(std::string_view group, std::string_view name) {
    return std::ranges::any_of(find_calls(group), [name](Call call) { return system_calls()[call].name == name; });
}

TEST(SeccompLists, AllowOpensAndTakesConditionsAway) {
    SeccompRequest request;
    request.allow = {"socket", "mount", "@keyring"};
    const auto filter = compile(request);
    EXPECT_EQ(verdict(filter, own, "socket", {AF_PACKET}), "allow");
    EXPECT_EQ(verdict(filter, own, "mount"), "allow");
    EXPECT_EQ(verdict(filter, own, "keyctl"), "allow");
    EXPECT_EQ(verdict(filter, own, "umount2"), "EPERM");
}

TEST(SeccompLists, DenyWinsOverAllowOverBase) {
    SeccompRequest request;
    request.allow = {"@mount", "io_uring_setup"};
    request.deny = {"mount", "getpid"};
    request.deny_action = SECCOMP_RET_TRAP;
    const auto filter = compile(request);
    EXPECT_EQ(verdict(filter, own, "mount"), "trap");
    EXPECT_EQ(verdict(filter, own, "getpid"), "trap");
    EXPECT_EQ(verdict(filter, own, "fsopen"), "allow");
    EXPECT_EQ(verdict(filter, own, "io_uring_setup"), "allow");
}

TEST(SeccompLists, NoneWithNothingIsNoFilter) {
    SeccompRequest request;
    request.base = SeccompRequest::Base::none;
    EXPECT_TRUE(compile(request).empty());
    request.allow = {"mount"};
    EXPECT_TRUE(compile(request).empty());
}

TEST(SeccompLists, NoneAllowsWhatIsNotDenied) {
    SeccompRequest request;
    request.base = SeccompRequest::Base::none;
    request.deny = {"@module", "socket", "shmget"};
    const auto filter = compile(request);
    EXPECT_EQ(verdict(filter, own, "finit_module"), "EPERM");
    EXPECT_EQ(verdict(filter, own, "mount"), "allow");
    EXPECT_EQ(verdict(filter, own, "clone3"), "allow");
    EXPECT_EQ(verdict(filter, audit_arch(own), 600), "allow");
#if defined(__x86_64__)
    EXPECT_EQ(verdict(filter, AUDIT_ARCH_X86_64, 0x40000000), "ENOSYS");
    // What is denied by name is denied through the calls that do its work, too.
    EXPECT_EQ(verdict(filter, Machine::i386, "socketcall", {SYS_SOCKET}), "EPERM");
    EXPECT_EQ(verdict(filter, Machine::i386, "socketcall", {SYS_CONNECT}), "allow");
    EXPECT_EQ(verdict(filter, Machine::i386, "ipc", {23}), "EPERM");
    EXPECT_EQ(verdict(filter, Machine::i386, "ipc", {23 | 1 << 16}), "EPERM");
    EXPECT_EQ(verdict(filter, Machine::i386, "ipc", {21}), "allow");
#endif
}

TEST(SeccompLists, UnknownNamesAreErrorsWithTheNearest) {
    SeccompRequest request;
    request.deny = {"moumt"};
    auto filter = compile_seccomp(request);
    ASSERT_FALSE(filter);
    EXPECT_EQ(filter.error().message, "no system call is named 'moumt'");
    EXPECT_EQ(filter.error().hint, "did you mean 'mount'?");
    request.deny = {};
    request.allow = {"@netwrk-io"};
    filter = compile_seccomp(request);
    ASSERT_FALSE(filter);
    EXPECT_EQ(filter.error().message, "no group of system calls is named '@netwrk-io'");
    EXPECT_EQ(filter.error().hint, "did you mean '@network-io'?");
    // Unknown names are found although there is nothing to filter.
    request.base = SeccompRequest::Base::none;
    EXPECT_FALSE(compile_seccomp(request));
}

TEST(SeccompLists, KnownSystemCalls) {
    for (const char* name : {"read", "spu_run", "swapcontext", "s390_runtime_instr", "set_tls", "listns", "@mount", "@known"})
        EXPECT_TRUE(known_system_call(name)) << name;
    for (const char* name : {"", "@", "@nothing", "raed", "READ", "read ", "-101"}) EXPECT_FALSE(known_system_call(name)) << name;
}

TEST(SeccompLists, Groups) {
    EXPECT_TRUE(contains("@mount", "move_mount"));
    EXPECT_TRUE(contains("@privileged", "finit_module")) << "groups hold groups";
    EXPECT_TRUE(contains("@system-service", "openat"));
    EXPECT_FALSE(contains("@system-service", "mount"));
    EXPECT_EQ(find_calls("@known").size(), system_calls().size());
    const auto names = group_names();
    EXPECT_EQ(names.size(), 30U);
    for (const std::string_view name : names) EXPECT_FALSE(find_calls(name).empty()) << name;
}

}  // namespace
}  // namespace sandbox::seccomp
