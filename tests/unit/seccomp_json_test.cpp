#include <linux/capability.h>
#include <linux/net.h>

#include <fstream>
#include <sstream>

#include "seccomp_testing.h"

namespace sandbox::seccomp {
namespace {

constexpr Machine own = native_machines[0], compat = native_machines[1];

SeccompRequest json_request(std::string text) {
    SeccompRequest out;
    out.base = SeccompRequest::Base::json;
    out.json = std::move(text);
    out.kernel_major = 6;
    return out;
}

SeccompRequest sample() {
    std::ifstream file(SOURCE_DIR "/tests/unit/data/seccomp.json");
    std::stringstream text;
    text << file.rdbuf();
    return json_request(text.str());
}

std::vector<sock_filter> rules(std::string_view list, std::string_view action = "SCMP_ACT_ERRNO") {
    return compile(json_request(cat("{\"defaultAction\": \"", action, "\", \"syscalls\": [", list, "]}")));
}

std::string args(std::string_view op, std::string_view value, std::string_view second = "0") {
    return cat(R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": )", value, R"(, "valueTwo": )", second,
               R"(, "op": "SCMP_CMP_)", op, "\"}]}");
}

std::string message(std::string text) {
    const auto filter = compile_seccomp(json_request(std::move(text)));
    return filter ? "compiled" : filter.error().message;
}

TEST(SeccompJson, SampleProfile) {
    const auto filter = compile(sample());
    const struct {
        const char* name;
        Arguments arguments;
        const char* verdict;
    } rows[] = {{"read", {}, "allow"},
                {"openat", {}, "log"},
                {"ptrace", {}, "allow"},
                {"chroot", {}, "EACCES"},
                {"mount", {}, "ENOSYS"},
                {"umount2", {}, "ENOENT"},
                {"getpid", {}, "allow"},
                {"getppid", {}, "EACCES"},
                {"personality", {0}, "allow"},
                {"personality", {0xFFFFFFFF}, "allow"},
                {"personality", {~0ULL}, "EACCES"},
                {"personality", {1}, "EACCES"},
                {"clone", {0x10F00}, "allow"},
                {"clone", {0x10000000}, "EACCES"},
                {"reboot", {}, "kill"},
                {"swapon", {}, "kill thread"},
                {"swapoff", {}, "trap"},
                {"getuid", {}, "EACCES"}};
    for (const auto& row : rows)
        EXPECT_EQ(verdict(filter, own, row.name, row.arguments), row.verdict) << row.name << ' ' << row.arguments[0];
    EXPECT_EQ(verdict(filter, compat, "read"), "allow");
    EXPECT_EQ(verdict(filter, audit_arch(own), 500), "ENOSYS");
    EXPECT_EQ(verdict(filter, AUDIT_ARCH_S390X, 3), "kill");
}

TEST(SeccompJson, CapabilitiesAndKernel) {
    SeccompRequest request = sample();
    request.capabilities = 1ULL << CAP_SYS_CHROOT | 1ULL << CAP_SYS_ADMIN;
    request.kernel_major = 4;
    request.kernel_minor = 7;
    const auto filter = compile(request);
    EXPECT_EQ(verdict(filter, own, "chroot"), "allow");
    EXPECT_EQ(verdict(filter, own, "mount"), "allow");
    EXPECT_EQ(verdict(filter, own, "ptrace"), "EACCES");
}

TEST(SeccompJson, AllowAndDenyComeOnTop) {
    SeccompRequest request = sample();
    request.allow = {"getuid", "personality"};
    request.deny = {"read"};
    const auto filter = compile(request);
    EXPECT_EQ(verdict(filter, own, "getuid"), "allow");
    EXPECT_EQ(verdict(filter, own, "personality", {1}), "allow");
    EXPECT_EQ(verdict(filter, own, "read"), "EPERM");
}

TEST(SeccompJson, OnlyListedArchitecturesAreEntered) {
    EXPECT_EQ(verdict(compile(json_request(R"({"defaultAction": "SCMP_ACT_ALLOW"})")), compat, "read"), "kill");
    const auto filter = compile(json_request(
        R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_MIPS"]})"));
    EXPECT_EQ(verdict(filter, compat, "read"), "allow");
    EXPECT_EQ(verdict(filter, own, "read"), "allow");
    EXPECT_EQ(verdict(filter, audit_arch(own), 700), "allow");
#if defined(__x86_64__)
    EXPECT_EQ(verdict(filter, AUDIT_ARCH_X86_64, 0x40000000), "ENOSYS");
#endif
}

TEST(SeccompJson, EveryComparison) {
    // 2^32 + 5: the halves must be compared together.
    const struct {
        std::string rule;
        std::vector<std::uint64_t> holds, fails;
    } rows[] = {
        {args("EQ", "4294967301"), {0x100000005}, {5, 0x100000000, 0x100000004, 0x200000005, ~0ULL}},
        {args("NE", "4294967301"), {5, 0x100000000, 0x200000005}, {0x100000005}},
        {args("LT", "4294967301"), {0, 0xFFFFFFFF, 0x100000004}, {0x100000005, 0x100000006, 0x200000000, ~0ULL}},
        {args("LE", "4294967301"), {0xFFFFFFFF, 0x100000005}, {0x100000006, 0x200000000}},
        {args("GT", "4294967301"), {0x100000006, 0x200000000, ~0ULL}, {0x100000005, 0xFFFFFFFF, 0}},
        {args("GE", "4294967301"), {0x100000005, 0x200000000}, {0x100000004, 0xFFFFFFFF}},
        {args("GE", "0"), {0, ~0ULL}, {}},
        {args("LT", "0"), {}, {0, ~0ULL}},
        {args("GT", "18446744073709551615"), {}, {0, ~0ULL}},
        {args("LE", "18446744073709551615"), {0, ~0ULL}, {}},
        {args("MASKED_EQ", "4294967297", "1"), {1, 3, 0x200000001}, {0, 0x100000001, 2}},
        {args("MASKED_EQ", "1", "2"), {}, {0, 1, 2, 3}},  // a bit outside the mask is never equal
        {args("MASKED_EQ", "0", "0"), {0, ~0ULL}, {}},
    };
    for (const auto& row : rows) {
        const auto filter = rules(row.rule);
        for (const std::uint64_t argument : row.holds)
            EXPECT_EQ(verdict(filter, own, "read", {0, 0, argument}), "allow") << row.rule << ' ' << argument;
        for (const std::uint64_t argument : row.fails)
            EXPECT_EQ(verdict(filter, own, "read", {0, 0, argument}), "EPERM") << row.rule << ' ' << argument;
    }
}

TEST(SeccompJson, ConditionsOfOneRuleHoldTogether) {
    const auto filter = rules(R"({"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]})");
    EXPECT_EQ(verdict(filter, own, "socket", {2, 1}), "allow");
    EXPECT_EQ(verdict(filter, own, "socket", {2, 2}), "EPERM");
    EXPECT_EQ(verdict(filter, own, "socket", {1, 1}), "EPERM");
}

TEST(SeccompJson, ConditionsOnTheSameArgumentStandForThemselves) {
    const auto filter = rules(R"({"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]})");
    EXPECT_EQ(verdict(filter, own, "socket", {2}), "allow");
    EXPECT_EQ(verdict(filter, own, "socket", {1}), "allow");
    EXPECT_EQ(verdict(filter, own, "socket", {3}), "EPERM");
}

TEST(SeccompJson, TheStricterRuleWins) {
    const std::string allow = R"({"names": ["read"], "action": "SCMP_ACT_ALLOW"})";
    const std::string kill =
        R"({"names": ["read"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]})";
    for (const std::string& list : {cat(allow, ',', kill), cat(kill, ',', allow)}) {
        const auto filter = rules(list);
        EXPECT_EQ(verdict(filter, own, "read", {7}), "kill");
        EXPECT_EQ(verdict(filter, own, "read", {8}), "allow");
    }
    // A rule that repeats the default says nothing.
    const auto filter = rules(cat(R"({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},)", allow));
    EXPECT_EQ(verdict(filter, own, "read"), "allow");
}

#if defined(__x86_64__)
TEST(SeccompJson, MultiplexersFollowTheirCalls) {
    const std::string deny =
        R"({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]})";
    const std::string head = R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [)";
    EXPECT_EQ(verdict(compile(json_request(cat(head, deny, "]}"))), Machine::i386, "socketcall", {SYS_SOCKET}), "EPERM");
    const auto named = compile(json_request(cat(head, deny, R"(, {"names": ["socketcall"], "action": "SCMP_ACT_LOG"}]})")));
    EXPECT_EQ(verdict(named, Machine::i386, "socketcall", {SYS_SOCKET}), "log");
}
#endif

TEST(SeccompJson, MistakesNameThePath) {
    const auto rule = [](std::string_view text) {
        return message(cat(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [)", text, "]}"));
    };
    EXPECT_EQ(message("{"), "the seccomp profile is not JSON: line 1, column 2 is not expected there");
    EXPECT_EQ(message("[]"), "the seccomp profile: must be an object");
    EXPECT_EQ(message("{}"), "the seccomp profile: 'defaultAction' is missing");
    EXPECT_EQ(message(R"({"defaultAction": "SCMP_ACT_ALOW"})"), "defaultAction: no action is named 'SCMP_ACT_ALOW'");
    EXPECT_EQ(message(R"({"defaultAction": "SCMP_ACT_ALLOW", "sycalls": []})"), "sycalls: unknown key");
    EXPECT_EQ(message(R"({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 2})"),
              "defaultErrnoRet: SCMP_ACT_ALLOW takes no error number");
    EXPECT_EQ(message(R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "amd64"]})"),
              "architectures[1]: no architecture is named 'amd64'");
    EXPECT_EQ(message(R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]})"),
              "flags[0]: 'SECCOMP_FILTER_FLAG_LOG' is not supported");
    EXPECT_EQ(message(R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"})"),
              "listenerPath: is not supported: there is no process to answer notifications");
    EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_NOTIFY"})"),
              "syscalls[0].action: SCMP_ACT_NOTIFY is not supported: there is no process to answer it");
    EXPECT_EQ(rule(R"({"action": "SCMP_ACT_LOG"})"), "syscalls[0]: 'names' is missing or empty");
    EXPECT_EQ(rule(R"({"names": ["read", 3], "action": "SCMP_ACT_LOG"})"), "syscalls[0].names[1]: must be a string");
    EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_LOG"}, {"names": ["read"], "action": "SCMP_ACT_LOG", "arg": []})"),
              "syscalls[1].arg: unknown key");
    EXPECT_EQ(rule(args("EQUAL", "1")), "syscalls[0].args[0].op: no comparison is named 'SCMP_CMP_EQUAL'");
    EXPECT_EQ(rule(args("EQ", "-1")), "syscalls[0].args[0].value: must be a whole number that is not negative");
    EXPECT_EQ(rule(args("EQ", "1.5")), "syscalls[0].args[0].value: must be a whole number that is not negative");
    EXPECT_EQ(rule(args("EQ", "18446744073709551616")), "syscalls[0].args[0].value: must be a whole number that is not negative");
    EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]})"),
              "syscalls[0].args[0].index: must be at most 5");
    EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_LOG", "includes": {"caps": ["CAP_SYS_ADMIM"]}})"),
              "syscalls[0].includes.caps[0]: no capability is named 'CAP_SYS_ADMIM'");
    EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_LOG", "excludes": {"minKernel": "new"}})"),
              "syscalls[0].excludes.minKernel: must be a kernel version such as 4.8, not 'new'");
    EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "ENOPE"})"), "syscalls[0].errno: no error is named 'ENOPE'");
    EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096})"), "syscalls[0].errnoRet: must be at most 4095");
}

TEST(SeccompJson, MistakesHaveHints) {
    const auto filter = compile_seccomp(json_request(R"({"defaultAction": "SCMP_ACT_ALOW"})"));
    ASSERT_FALSE(filter);
    EXPECT_EQ(filter.error().hint, "did you mean 'SCMP_ACT_ALLOW'?");
}

}  // namespace
}  // namespace sandbox::seccomp
