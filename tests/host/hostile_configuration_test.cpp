// Configurations and callers that are made to lead the launcher astray: refused before the first effect.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "ways.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class HostileConfiguration : public EveryWay {};
INSTANTIATE_EVERY_WAY(HostileConfiguration);

constexpr const char* tree = "rootfs: {path: @PROBE_TREE@}\n";

TEST_P(HostileConfiguration, is_refused_where_a_name_could_lead_elsewhere) {
    const auto before = HostSnapshot::take({{probe_tree()}, -1});
    for (const char* setting : {"process.working_dir=/a/../../b",
                                "process.working_dir=relative",
                                "mounts=[{type: tmpfs, target: /a/../../etc}]",
                                "mounts=[{type: tmpfs, target: a}]",
                                "mounts=[{type: tmpfs, target: /}]",
                                "files={\"/../x\": {content: a}}",
                                "dirs=[/../x]",
                                "symlinks={\"/../l\": /x}",
                                "mask=[/../etc]",
                                "readonly_paths=[/../etc]",
                                "sysctl={\"net/../kernel/core_pattern\": x}",
                                "sysctl={\"net.core/../../kernel\": x}",
                                "sysctl={kernel.core_pattern: x}",
                                "devices=[{path: /dev/null, target: /dev/../x}]",
                                "name=..",
                                "name=.",
                                "name=a/b",
                                "name=../x",
                                "name=.hidden",
                                "hostname=../x",
                                "process.user=1x",
                                "process.user=0x1",
                                "process.user=-1",
                                "process.user=+1",
                                "process.user=4294967295",
                                "process.user=4294967296",
                                "process.user=18446744073709551616",
                                "process.user=\"0:1x\"",
                                "process.user=\" 1\"",
                                "process.groups=[\"1x\"]",
                                "process.umask=99",
                                "security.seccomp.profile=/dev/zero",
                                "capabilities.add=[NO_SUCH]"}) {
        Options with = options();
        with.up = {"--set", setting};
        const Ended ended = run_sandbox(profile(tree), {"/sandbox-probe", "ids"}, with);
        EXPECT_EQ(ended.code, 125) << setting << "\n" << ended;
        EXPECT_EQ(ended.out, "") << setting;
        EXPECT_THAT(ended.err, HasSubstr("error")) << setting;
    }
    for (const char* name : {"..", ".", "../x", "a/b", "x\n"}) {
        Options with = options();
        with.up = {cat("--name=", name)};
        EXPECT_EQ(run_sandbox(profile(tree), {"/sandbox-probe", "ids"}, with).code, 125) << name;
    }
    EXPECT_EQ(differences_since(before, {{probe_tree()}, -1}), "");
}

// Descriptors that the caller left open, one of them a directory of the host (CVE-2024-21626).
TEST_P(HostileConfiguration, hands_no_descriptor_of_the_caller_on) {
    std::vector<Fd> opened;
    Options with = options();
    for (int number = 3; number <= 20; ++number) {
        if (fcntl(number, F_GETFD) < 0) {
            const Fd etc(open("/etc", O_RDONLY | O_DIRECTORY));
            if (etc.get() != number) {
                ASSERT_EQ(dup2(etc.get(), number), number);
                opened.emplace_back(number);
            } else {
                opened.emplace_back(fcntl(etc.get(), F_DUPFD, number));
            }
        }
    }
    for (const Fd& fd : opened) with.pass.push_back(fd.get());
    ASSERT_GE(with.pass.size(), 5U);
    Words verbs = {"fds"};
    for (int number = 3; number <= 20; ++number) verbs.push_back(cat("dir:/proc/self/fd/", number));
    for (const char* init : {"true", "false"}) {
        const Json seen = probe_in_sandbox(profile(cat(tree, "process: {init: ", init, "}\n")), verbs, with);
        EXPECT_EQ(seen["fds"].size(), 3U) << seen["fds"];
        for (int number = 3; number <= 20; ++number) EXPECT_TRUE(seen[cat("dir:/proc/self/fd/", number)].contains("error")) << number;
    }
    for (const int number : with.pass) {
        const Ended ended =
            run_sandbox(profile(cat(tree, "process: {working_dir: /proc/self/fd/", number, "}\n")), {"/sandbox-probe", "cwd"}, with);
        EXPECT_EQ(ended.code, 125) << number << "\n" << ended;
        if (number > with.pass.front() + 2) break;
    }
}

// What the caller ignores, blocks and masks is its own.
TEST_P(HostileConfiguration, hands_no_disposition_of_the_caller_on) {
    const TempDir place;
    std::string text = profile(tree);
    text.replace(text.find("@PROBE_TREE@"), 12, probe_tree());
    const std::string file = place.write("quiet.yaml", text);
    const std::string script =
        "trap '' HUP INT QUIT PIPE TERM USR1 USR2 CHLD; umask 0; exec \"$0\" up " + file + " -- /sandbox-probe signals umask env";
    Options with = options();
    with.add["LD_LIBRARY_PATH"] = "/tmp";
    with.add["BASH_ENV"] = "/tmp/evil";
    const Json seen = last_json(run({"sh", "-c", script, sandbox_binary()}, with));
    EXPECT_EQ(seen["signals"]["ignored"], Json::array());
    EXPECT_EQ(seen["signals"]["blocked"], Json::array());
    EXPECT_EQ(seen["umask"], "0022");
    EXPECT_FALSE(seen["env"].contains("BASH_ENV"));
    EXPECT_FALSE(seen["env"].contains("LD_LIBRARY_PATH"));
}

// A limit of the caller that lets some step fail: a launch that fails, and a host as before.
TEST_P(HostileConfiguration, fails_cleanly_under_limits_of_the_caller) {
    const TempDir place;
    std::string text = profile(cat(tree, "mounts: [{type: tmpfs, target: /new/deep}]\nfiles: {/tmp/f: {content: text}}\n"));
    text.replace(text.find("@PROBE_TREE@"), 12, probe_tree());
    const std::string file = place.write("limited.yaml", text);
    const auto before = HostSnapshot::take();
    for (const char* limit : {"-f 0", "-n 4", "-n 8", "-n 16", "-v 20000", "-s 16", "-c 0", "-t 1"}) {
        const Ended ended =
            run({"sh", "-c", cat("ulimit ", limit, " && exec \"$0\" up ", file, " -- /sandbox-probe ids"), sandbox_binary()}, options());
        EXPECT_FALSE(ended.timed_out) << limit << "\n" << ended;
        EXPECT_THAT(ended.code, AnyOf(0, 125, -1)) << limit << "\n" << ended;
        if (ended.code != 0) sandbox_command({"gc"}, options());
        EXPECT_EQ(differences_since(before), "") << limit << "\n" << ended;
    }
}

// Sources that never end, never begin, or are something else than they seem.
TEST_P(HostileConfiguration, does_not_wait_for_a_fifo_or_read_without_end) {
    const TempDir place;
    ASSERT_EQ(mkfifo((place / "fifo").c_str(), 0666), 0);
    place.link("zero", "/dev/zero");
    place.link("loop", "loop");
    const auto before = HostSnapshot::take();
    for (const char* name : {"fifo", "zero", "loop", "missing"}) {
        for (const std::string& rest : {cat("files: {/tmp/f: {source: ", place / name, "}}"),
                                        cat("security: {seccomp: {profile: ", place / name, "}}"), cat("extends: [", place / name, "]")}) {
            Options with = options();
            with.timeout = milliseconds(8000);
            const Ended ended = run_sandbox(profile(cat(tree, rest)), {"/sandbox-probe", "ids"}, with);
            EXPECT_EQ(ended.code, 125) << rest << "\n" << ended;
        }
        Options with = options();
        with.timeout = milliseconds(8000);
        if (std::string_view(name) != "missing") {
            EXPECT_EQ(run({sandbox_binary(), "up", place / name}, with).code, 125) << name;
        }
    }
    EXPECT_EQ(differences_since(before), "");
}

// More words than a fixed table holds: all arrive, or the launch says why not.
TEST_P(HostileConfiguration, loses_no_word_of_a_long_command) {
    for (const std::size_t count : {1000U, 31000U, 33000U, 40000U}) {
        Words argv = {"/sandbox-probe"};
        argv.resize(count, "nnp");
        argv.push_back("cmdline");
        const Ended ended = run_sandbox(profile(tree), argv, options());
        if (ended.ok()) {
            EXPECT_EQ(last_json(ended)["cmdline"].size(), argv.size()) << count;
        } else {
            EXPECT_THAT(ended.code, AnyOf(125, 126)) << count;
        }
    }
}

TEST_P(HostileConfiguration, replaces_a_link_at_the_place_of_the_result) {
    const TempDir place;
    place.write("victim", "of the host\n");
    place.link("result", place / "victim");
    if (GetParam().ordinary) hand_over(place);
    Options with = options();
    with.up = {"--result", place / "result"};
    EXPECT_EQ(run_sandbox(profile(tree), {"/sandbox-probe", "exit:3"}, with).code, 3);
    EXPECT_EQ(read_text(place / "victim"), "of the host\n");
    EXPECT_THAT(read_text(place / "result"), HasSubstr("\"exit_code\": 3"));
}

TEST(State, of_others_is_refused) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Options user = ordinary_user();
    const std::string profile = profile_for(ordinary, tree), state = ordinary_runtime_directory() + "/sandbox";
    const auto before = HostSnapshot::take();
    std::filesystem::remove_all(state);
    // Root's folder in the user's place, a folder that others may write to, a link.
    ASSERT_EQ(mkdir(state.c_str(), 0700), 0);
    EXPECT_EQ(run_sandbox(profile, {"/sandbox-probe", "ids"}, user).code, 125);
    ASSERT_EQ(chown(state.c_str(), *user.uid, *user.uid), 0);
    ASSERT_EQ(chmod(state.c_str(), 0777), 0);
    EXPECT_EQ(run_sandbox(profile, {"/sandbox-probe", "ids"}, user).code, 125);
    std::filesystem::remove_all(state);
    const TempDir elsewhere;
    ASSERT_EQ(symlink(elsewhere.path().c_str(), state.c_str()), 0);
    EXPECT_EQ(run_sandbox(profile, {"/sandbox-probe", "ids"}, user).code, 125);
    EXPECT_TRUE(std::filesystem::is_empty(elsewhere.path()));
    std::filesystem::remove_all(state);
    Process held = start_sandbox(profile, {"/sandbox-probe", "hold"}, [&] {
        Options open = user;
        open.keep_input_open = true;
        return open;
    }());
    ASSERT_TRUE(held.expect("\"ready\":true")) << held.err();
    struct stat info {};
    ASSERT_EQ(stat(state.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    EXPECT_EQ(info.st_uid, *user.uid);
    held.close_input();
    EXPECT_TRUE(held.wait().ok());
    EXPECT_EQ(differences_since(before), "");
}

}  // namespace
