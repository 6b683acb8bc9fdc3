// security.seccomp, no_new_privileges and keyring on the kernel that runs: what a payload may call, and how it is answered.
#include <gmock/gmock.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class SeccompFilter : public ::testing::Test {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root"); }

    static Json calls(std::string_view security, Words tried, std::string_view rest = {}) {
        for (std::string& word : tried) word = cat("try:", word);
        Words verbs = {"seccomp", "nnp"};
        verbs.insert(verbs.end(), tried.begin(), tried.end());
        return probe_in_sandbox(in_tree(cat(security.empty() ? "" : cat("security: {", security, "}\n"), rest)), verbs);
    }
    static std::string after(const Json& seen, const std::string& call) { return seen[cat("try:", call)].get<std::string>(); }

    TempDir place_;
};

// ---- which filter

TEST_F(SeccompFilter, is_the_default_one_unless_it_is_refused) {
    const Words tried = {"getpid", "keyctl", "unshare:user", "mount", "ptrace_init"};
    for (const char* security : {"", "seccomp: {profile: default}"}) {
        const Json seen = calls(security, tried);
        EXPECT_EQ(seen["seccomp"]["mode"], 2);
        EXPECT_EQ(after(seen, "getpid"), "ok");
        EXPECT_EQ(after(seen, "keyctl"), "EPERM");
        EXPECT_EQ(after(seen, "unshare:user"), "EPERM");
        EXPECT_EQ(after(seen, "mount"), "EPERM");
    }
    const Json none = calls("seccomp: {profile: none}", {"getpid", "keyctl", "unshare:user", "clone3", "unknown"});
    EXPECT_EQ(none["seccomp"]["mode"], 0);
    for (const char* call : {"getpid", "keyctl", "unshare:user", "clone3"}) EXPECT_EQ(after(none, call), "ok") << call;
    EXPECT_EQ(after(none, "unknown"), "ENOSYS") << "the kernel's own answer";
}

TEST_F(SeccompFilter, of_none_refuses_what_is_denied_alone) {
    const Json seen = calls("seccomp: {profile: none, deny: ['@keyring']}", {"keyctl", "unshare:user", "clone3", "getpid"});
    EXPECT_EQ(seen["seccomp"]["mode"], 2);
    EXPECT_EQ(after(seen, "keyctl"), "EPERM");
    for (const char* call : {"unshare:user", "clone3", "getpid"}) EXPECT_EQ(after(seen, call), "ok") << call;
}

TEST_F(SeccompFilter, of_none_has_nothing_to_allow) {
    const Ended ended = run_sandbox(in_tree("security: {seccomp: {profile: none, allow: [keyctl]}}\n"), {"/sandbox-probe", "pid"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("error[E0418]: security.seccomp.profile: without a filter everything is allowed already"));
}

TEST_F(SeccompFilter, answers_what_a_filter_cannot_see_into_and_what_is_new_with_enosys) {
    const Json seen = calls("", {"clone3", "clone3:user", "clone", "unknown", "number:600", "number:100000"});
    EXPECT_EQ(after(seen, "clone3"), "ENOSYS");
    EXPECT_EQ(after(seen, "clone3:user"), "ENOSYS");
    EXPECT_EQ(after(seen, "clone"), "ok") << "what the C library falls back to";
    for (const char* call : {"unknown", "number:600", "number:100000"}) EXPECT_EQ(after(seen, call), "ENOSYS") << call;
    // Not because the kernel has no clone3.
    EXPECT_EQ(probe_outside({"try:clone3"})["try:clone3"], "ok");
}

TEST_F(SeccompFilter, sees_the_low_half_of_an_ioctl) {
    const Json seen = calls("", {"tiocsti", "tiocsti_high", "tioclinux", "tioclinux_high"});
    for (const char* call : {"tiocsti", "tiocsti_high", "tioclinux", "tioclinux_high"}) EXPECT_EQ(after(seen, call), "EPERM") << call;
    // Without a filter it is the kernel that looks: a pipe is no terminal.
    const Json open = calls("seccomp: {profile: none}", {"tiocsti", "tiocsti_high"});
    EXPECT_EQ(after(open, "tiocsti"), "ENOTTY");
    EXPECT_EQ(after(open, "tiocsti_high"), "ENOTTY");
}

#if defined(__x86_64__)
TEST_F(SeccompFilter, decides_the_other_entries_into_the_kernel) {
    const Json outside = probe_outside({"try:int80", "try:int80_keyctl", "try:x32"});
    const Json seen = calls("", {"int80", "int80_keyctl", "int80_unshare", "x32", "x32_unshare"});
    EXPECT_EQ(after(seen, "x32"), "ENOSYS") << "also where the kernel has it";
    EXPECT_EQ(after(seen, "x32_unshare"), "ENOSYS");
    if (outside["try:int80"] == "ok") {
        EXPECT_EQ(after(seen, "int80"), "ok") << "32-bit programs run";
        EXPECT_EQ(after(seen, "int80_keyctl"), "EPERM");
        EXPECT_EQ(after(seen, "int80_unshare"), "EPERM");
    } else {
        EXPECT_EQ(after(seen, "int80"), outside["try:int80"]) << "a kernel without the entry";
    }
    // A file that does not name the architecture: whoever enters that way is killed.
    const std::string file = place_.write("one.json", R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"]})");
    const Json one = calls(cat("seccomp: {profile: ", file, "}"), {"getpid", "int80", "x32"});
    EXPECT_EQ(after(one, "getpid"), "ok");
    EXPECT_EQ(after(one, "x32"), "ENOSYS");
    if (outside["try:int80"] == "ok") {
        EXPECT_EQ(after(one, "int80"), "signal:SIGSYS");
    }
}
#endif

// ---- allow and deny

TEST_F(SeccompFilter, allows_and_denies_names_and_groups_on_top) {
    const Json seen = calls("seccomp: {allow: [keyctl, '@mount'], deny: [chroot, '@memlock']}",
                            {"keyctl", "add_key", "mount", "umount2", "chroot", "mlock", "getpid"}, "capabilities: {add: [SYS_ADMIN]}\n");
    EXPECT_EQ(after(seen, "keyctl"), "ok");
    EXPECT_EQ(after(seen, "add_key"), "EPERM") << "not named";
    EXPECT_EQ(after(seen, "mount"), "ENODEV") << "the kernel looks at the type, so the call was let through";
    EXPECT_EQ(after(seen, "umount2"), "EINVAL");
    EXPECT_EQ(after(seen, "chroot"), "EPERM") << "deny wins over the group that is allowed";
    EXPECT_EQ(after(seen, "mlock"), "EPERM");
    EXPECT_EQ(after(seen, "getpid"), "ok");
}

TEST_F(SeccompFilter, answers_what_is_denied_as_asked) {
    for (const auto& [action, answer] :
         {std::pair{"errno", "EPERM"}, {"kill", "signal:SIGSYS"}, {"trap", "signal:SIGSYS"}, {"log", "ok"}}) {
        const Json seen = calls(cat("seccomp: {deny: [chroot], action: ", action, "}"), {"chroot", "getpid", "clone3", "unknown"});
        EXPECT_EQ(after(seen, "chroot"), answer) << action;
        EXPECT_EQ(after(seen, "getpid"), "ok") << action;
        EXPECT_EQ(after(seen, "clone3"), "ENOSYS") << action << ": what programs fall back from is answered so all the same";
        EXPECT_EQ(after(seen, "unknown"), "ENOSYS") << action;
    }
    // A payload that is killed says so in its exit code.
    const Ended killed = run_sandbox(in_tree("security: {seccomp: {deny: [chdir], action: kill}}\n"), {"/sandbox-probe", "chdir:/"});
    EXPECT_EQ(killed.code, 128 + SIGSYS) << killed;
}

// Whether the kernel logs what the filter answers is a flag of the filter.
TEST_F(SeccompFilter, is_installed_with_the_log_flag_when_asked) {
    HOST_ROOT_OR_LEFT_OUT();
    for (const bool log : {false, true}) {
        Options options;
        options.keep_input_open = true;
        Process held = start_sandbox(in_tree(cat("namespaces: {pid: host}\nsecurity: {seccomp: {log: ", log ? "true" : "false", "}}\n")),
                                     {"/sandbox-probe", "seccomp", "pid", "hold"}, options);
        ASSERT_TRUE(held.expect("\"ready\":true")) << held.err();
        const std::string task = cat("/proc/", held.pid(), "/task/", held.pid(), "/children");
        // The launcher's child is init, and init's is the payload.
        const std::string init = read_text(task),
                          payload = read_text(cat("/proc/", std::stoi(init), "/task/", std::stoi(init), "/children"));
        const pid_t pid = std::stoi(payload);
        ASSERT_EQ(ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0);
        ASSERT_EQ(ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), 0);
        int status = 0;
        ASSERT_EQ(waitpid(pid, &status, __WALL), pid);
        __ptrace_seccomp_metadata metadata{};
        const long size = ptrace(static_cast<__ptrace_request>(PTRACE_SECCOMP_GET_METADATA), pid, sizeof metadata, &metadata);
        EXPECT_EQ(size, static_cast<long>(sizeof metadata)) << strerror(errno);
        EXPECT_EQ(metadata.flags & 2, log ? 2U : 0U) << "SECCOMP_FILTER_FLAG_LOG";
        ASSERT_EQ(ptrace(PTRACE_DETACH, pid, nullptr, nullptr), 0);
        held.close_input();
        EXPECT_TRUE(held.wait().ok());
    }
    const Json seen = calls("seccomp: {log: true}", {"keyctl", "getpid"});
    EXPECT_EQ(after(seen, "keyctl"), "EPERM") << "logged, and answered as ever";
    EXPECT_EQ(after(seen, "getpid"), "ok");
}

// ---- a file in the form of the runtime specification

TEST_F(SeccompFilter, of_a_file_decides_by_arguments_with_its_own_errors) {
    const std::string file = place_.write("own.json", R"({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "syscalls": [
            {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95,
             "args": [{"index": 0, "value": 262144, "op": "SCMP_CMP_EQ"}]},
            {"names": ["chroot", "a_call_of_tomorrow"], "action": "SCMP_ACT_ERRNO", "errnoRet": 27},
            {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["mlock"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["kcmp"], "action": "SCMP_ACT_LOG"}
        ]})");
    const Words tried = {"personality", "personality_aslr", "chroot", "keyctl", "mlock", "getpid", "unshare:user"};
    const Json seen = calls(cat("seccomp: {profile: ", file, "}"), tried);
    EXPECT_EQ(seen["seccomp"]["mode"], 2);
    EXPECT_EQ(after(seen, "personality"), "ok");
    EXPECT_THAT(after(seen, "personality_aslr"), AnyOf("EOPNOTSUPP", "ENOTSUP"));
    EXPECT_EQ(after(seen, "chroot"), "EFBIG");
    EXPECT_EQ(after(seen, "keyctl"), "EPERM");
    EXPECT_EQ(after(seen, "mlock"), "signal:SIGSYS");
    EXPECT_EQ(after(seen, "getpid"), "ok");
    EXPECT_EQ(after(seen, "unshare:user"), "ok") << "the file is all there is: the default is not added to it";
    // The lists of the profile go over the file's.
    const Json more = calls(cat("seccomp: {profile: ", file, ", allow: [mlock], deny: [getpid]}"), {"mlock", "getpid", "chroot"});
    EXPECT_EQ(after(more, "mlock"), "ok");
    EXPECT_EQ(after(more, "getpid"), "EPERM");
    EXPECT_EQ(after(more, "chroot"), "EFBIG");
}

// The form of the container engines: a list of what is allowed, and rules for those who hold a capability.
TEST_F(SeccompFilter, of_a_file_may_depend_on_capabilities) {
    const std::string file = place_.write("list.json", R"({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
        "syscalls": [
            {"names": ["access", "arch_prctl", "brk", "capget", "clock_gettime", "clone", "close", "dup", "dup2", "execve", "exit",
                       "exit_group", "faccessat", "fcntl", "fork", "fstat", "futex", "getcwd", "getdents64", "getegid", "geteuid",
                       "getgid", "getpid", "getppid", "getrandom", "gettid", "getuid", "ioctl", "kill", "lseek", "mmap", "mprotect",
                       "mremap", "munmap", "newfstatat", "open", "openat", "poll", "prctl", "prlimit64", "read", "readlink",
                       "readlinkat", "readv", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
                       "set_robust_list", "set_tid_address", "stat", "sysinfo", "tgkill", "uname", "vfork", "wait4", "waitid",
                       "write", "writev"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}]}
        ]})");
    const Words tried = {"getpid", "chroot", "clone3", "personality", "personality_aslr", "keyctl", "memfd_create"};
    const Json with = calls(cat("seccomp: {profile: ", file, "}"), tried);
    EXPECT_EQ(after(with, "getpid"), "ok");
    EXPECT_EQ(after(with, "chroot"), "ok");
    EXPECT_EQ(after(with, "clone3"), "ENOSYS");
    EXPECT_EQ(after(with, "personality"), "ok");
    for (const char* call : {"personality_aslr", "keyctl", "memfd_create"}) EXPECT_EQ(after(with, call), "EPERM") << call;
    const Json without = calls(cat("seccomp: {profile: ", file, "}"), tried, "capabilities: {drop: [SYS_CHROOT]}\n");
    EXPECT_EQ(after(without, "chroot"), "EPERM");
}

// A relative path is the profile's neighbour.
TEST_F(SeccompFilter, of_a_file_is_found_beside_the_profile) {
    place_.write("deny.json",
                 R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 27}]})");
    const std::string profile = place_.write("p.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(),
                                                           "}\nsecurity: {seccomp: {profile: ./deny.json}}\n"
                                                           "process: {command: [/sandbox-probe, 'try:chroot']}\n"));
    const Ended ended = sandbox_command({"up", profile});
    ASSERT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(last_json(ended)["try:chroot"], "EFBIG");
}

// A filter that is meant for a program already running lets none begin: the launcher says so.
TEST_F(SeccompFilter, that_forbids_to_begin_is_told) {
    const auto before = HostSnapshot::take();
    const Ended ended = run_sandbox(in_tree(cat("security: {seccomp: {profile: ", SOURCE_DIR, "/tests/unit/data/seccomp.json}}\n")),
                                    {"/sandbox-probe", "pid"});
    EXPECT_EQ(ended.code, 126) << ended;
    EXPECT_EQ(ended.out, "");
    EXPECT_THAT(ended.err, HasSubstr("permission denied"));
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(SeccompFilter, that_is_wrong_is_refused_where_it_is_named) {
    const std::string no_json = place_.write("no.json", "{\n  \"defaultAction\": SCMP_ACT_ALLOW\n}"),
                      action = place_.write("action.json", R"({"defaultAction": "SCMP_ACT_ALOW"})"),
                      index = place_.write("index.json", R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"],
                           "action": "SCMP_ACT_ERRNO", "args": [{"index": 7, "value": 0, "op": "SCMP_CMP_EQ"}]}]})"),
                      empty = place_.write("empty.json", "");
    const auto before = HostSnapshot::take();
    struct Case {
        std::string security, expected, hint;
    };
    for (const Case& each :
         {Case{"allow: [ptracee]", ":3:30: error[E0540]: security.seccomp.allow[0]: no system call is named 'ptracee'",
               "did you mean 'ptrace'?"},
          {"deny: [getpid, '@moun']", ":3:37: error[E0540]: security.seccomp.deny[1]: no group of system calls is named '@moun'",
           "did you mean '@mount'?"},
          {"deny: ['rm -rf']", ":3:29: error[E0321]: security.seccomp.deny[0]: 'rm -rf' is not a system call", "a group such as @mount"},
          {"action: wran", ":3:30: error[E0301]: security.seccomp.action", "allowed: errno, kill, log or trap"},
          {"profile: deflt", ":3:31: error[E0501]", "or write default or none"},
          {"profile: /no/such.json", ":3:31: error[E0501]: security.seccomp.profile: '/no/such.json': no such file or directory",
           "correct the path"},
          {"profile: /etc", ":3:31: error[E0502]: security.seccomp.profile: '/etc' is a directory, not a file", "name a file"},
          {"profile: /dev/zero", ":3:31: error[E0541]: security.seccomp.profile: '/dev/zero' is not a file", "name a file"},
          {cat("profile: ", no_json),
           cat(":3:31: error[E0541]: security.seccomp.profile: '", no_json, "': the seccomp profile is not JSON: line 2, column "),
           "OCI runtime specification"},
          {cat("profile: ", empty), cat("'", empty, "': the seccomp profile is not JSON: line 1, column 1"), "OCI runtime specification"},
          {cat("profile: ", action), cat("'", action, "': defaultAction: no action is named 'SCMP_ACT_ALOW'"),
           "did you mean 'SCMP_ACT_ALLOW'?"},
          {cat("profile: ", index), cat("'", index, "': syscalls[0].args[0].index: must be at most 5"), "OCI runtime specification"}}) {
        const std::string profile = place_.write("bad.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(), "}\nsecurity: {seccomp: {",
                                                                 each.security, "}}\nprocess: {command: [/sandbox-probe, pid]}\n"));
        const Ended up = sandbox_command({"up", profile}), validate = sandbox_command({"validate", profile});
        SCOPED_TRACE(each.security);
        EXPECT_EQ(up.code, 125) << up;
        EXPECT_EQ(validate.code, 1) << validate;
        EXPECT_EQ(up.err, validate.err);
        EXPECT_THAT(up.err, HasSubstr(each.expected));
        EXPECT_THAT(up.err, HasSubstr(each.hint));
    }
    EXPECT_EQ(differences_since(before), "");
}

// ---- no_new_privileges

TEST_F(SeccompFilter, is_installed_without_no_new_privileges_too) {
    for (const char* rest : {"", "process: {user: '1000:1000'}\n", "id_map: host\n", "id_map: host\nprocess: {user: '1000:1000'}\n"}) {
        for (const char* init : {"true", "false"}) {
            const Json seen = calls(
                "no_new_privileges: false", {"keyctl", "clone3", "getpid"},
                *rest && std::string_view(rest).find("user") != std::string_view::npos ? rest : cat(rest, "process: {init: ", init, "}\n"));
            EXPECT_EQ(seen["nnp"], 0) << rest;
            EXPECT_EQ(seen["seccomp"]["mode"], 2) << rest;
            EXPECT_EQ(after(seen, "keyctl"), "EPERM") << rest;
            EXPECT_EQ(after(seen, "clone3"), "ENOSYS") << rest;
            EXPECT_EQ(after(seen, "getpid"), "ok") << rest;
        }
    }
    const Json user = probe_in_sandbox(in_tree("security: {no_new_privileges: false}\n"), {"nnp", "seccomp", "caps"}, ordinary_user());
    EXPECT_EQ(user["nnp"], 0);
    EXPECT_EQ(user["seccomp"]["mode"], 2);
    EXPECT_THAT(names_of(user["caps"]["effective"]), ::testing::Not(::testing::Contains("SYS_ADMIN")));
}

TEST_F(SeccompFilter, installing_it_leaves_no_capability_behind) {
    const Json seen =
        probe_in_sandbox(in_tree("security: {no_new_privileges: false}\ncapabilities: {base: none, add: [CHOWN]}\n"), {"caps"});
    for (const char* set : {"effective", "permitted", "bounding"}) EXPECT_EQ(seen["caps"][set], Json{"CHOWN"}) << set;
    for (const char* set : {"inheritable", "ambient"}) EXPECT_EQ(seen["caps"][set], Json::array()) << set;
    const Json user = probe_in_sandbox(
        in_tree("security: {no_new_privileges: false}\ncapabilities: {base: none}\nprocess: {user: '1000:1000'}\n"), {"caps"});
    for (const char* set : {"effective", "permitted", "inheritable", "ambient"}) EXPECT_EQ(user["caps"][set], Json::array()) << set;
}

// A set-uid program of the image gains root's ids and capabilities only where the profile says that it may.
TEST_F(SeccompFilter, a_set_uid_program_gains_only_without_no_new_privileges) {
    for (const char* folder : {"proc", "sys", "dev", "run", "tmp", "etc"}) place_.make(cat("tree/", folder));
    for (const char* name : {"sandbox-probe", "gaining"}) ASSERT_TRUE(run({"cp", probe_binary(), place_ / cat("tree/", name)}).ok());
    ASSERT_EQ(chmod((place_ / "tree/gaining").c_str(), 04755), 0);
    for (const char* map : {"auto", "host"}) {
        const auto seen = [&](const char* allowed) {
            const Ended ended = run_sandbox(cat("version: 1\nrootfs: {path: ", place_ / "tree", "}\nid_map: ", map,
                                                "\nsecurity: {no_new_privileges: ", allowed, "}\nprocess: {user: '1000:1000'}\n"),
                                            {"/gaining", "ids", "caps", "nnp"});
            return last_json(ended);
        };
        const Json gained = seen("false"), kept = seen("true");
        EXPECT_EQ(kept["ids"]["uid"], 1000) << map;
        EXPECT_EQ(kept["ids"]["euid"], 1000) << map;
        EXPECT_EQ(kept["nnp"], 1) << map;
        EXPECT_EQ(gained["ids"]["uid"], 1000) << map;
        EXPECT_EQ(gained["ids"]["euid"], 0) << map;
        EXPECT_EQ(gained["nnp"], 0) << map;
        EXPECT_EQ(gained["caps"]["effective"], gained["caps"]["bounding"]) << map << ": and no more than the bounding set";
        EXPECT_EQ(gained["caps"]["bounding"].size(), 15U) << map;
    }
}

// ---- capabilities that root hands on

TEST_F(SeccompFilter, ambient_capabilities_of_root_are_those_it_names) {
    const Json seen = probe_in_sandbox(in_tree("capabilities: {base: none, add: [CHOWN, KILL], ambient: [KILL]}\n"), {"caps"})["caps"];
    EXPECT_THAT(names_of(seen["bounding"]), UnorderedElementsAre("CHOWN", "KILL"));
    EXPECT_THAT(names_of(seen["effective"]), UnorderedElementsAre("CHOWN", "KILL"));
    EXPECT_EQ(seen["ambient"], Json{"KILL"});
    EXPECT_EQ(seen["inheritable"], Json{"KILL"});
}

// ---- keyring

TEST_F(SeccompFilter, keyring_is_new_or_the_callers) {
    const auto session = [](const char* keyring) {
        return probe_in_sandbox(in_tree(cat("id_map: host\nsecurity: {keyring: ", keyring, ", seccomp: {allow: [keyctl]}}\n")),
                                {"keyring"})["keyring"];
    };
    const Json outside = probe_outside({"keyring"})["keyring"], fresh = session("new"), inherited = session("inherit");
    ASSERT_TRUE(fresh.contains("session")) << fresh;
    ASSERT_TRUE(outside.contains("session")) << outside;
    EXPECT_NE(fresh["session"], outside["session"]);
    EXPECT_EQ(inherited["session"], outside["session"]);
}

}  // namespace
