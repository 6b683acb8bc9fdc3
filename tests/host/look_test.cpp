// What shows a sandbox: inspect, stats, top.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Look : public ::testing::Test {
   protected:
    void SetUp() override {
        REQUIRE_OR_SKIP(is_root(), "needs root");
        before_ = HostSnapshot::take();
    }
    void TearDown() override {
        if (!before_) return;
        EXPECT_TRUE(sandbox_command({"down", "--all"}).ok());
        // Logs stay when a sandbox goes, on the real host: what others have there is theirs.
        std::filesystem::remove_all("/var/log/sandbox/box");
        rmdir("/var/log/sandbox");
        EXPECT_EQ(differences_since(*before_), "");
    }
    // Returns when the command runs.
    void start(std::string_view rest, const Words& command) {
        const std::string profile = place_.write("box.yaml", cat("version: 1\nname: box\nrootfs: {path: ", probe_tree(), "}\n", rest));
        Words words{"up", "-d", profile, "--"};
        words.insert(words.end(), command.begin(), command.end());
        const Ended ended = sandbox_command(words);
        ASSERT_TRUE(ended.ok()) << ended;
    }
    static Json json_of(const Words& words) {
        const Ended ended = sandbox_command(words);
        EXPECT_TRUE(ended.ok()) << ended;
        return Json::parse(ended.out, nullptr, false);
    }

    TempDir place_;
    std::optional<HostSnapshot> before_;
};

const Words waiting{"/sandbox-probe", "wait-signal:USR1"};

TEST_F(Look, inspect_tells_the_status_and_the_processes) {
    start("lifecycle: {stop: {signal: INT}}\n", waiting);
    const Json seen = json_of({"inspect", "box"});
    EXPECT_EQ(seen["name"], "box");
    EXPECT_EQ(seen["state"], "running");
    EXPECT_EQ(seen["detached"], true);
    EXPECT_EQ(seen["profile"], place_ / "box.yaml");
    EXPECT_EQ(seen["restarts"], 0);
    EXPECT_TRUE(seen["exit_code"].is_null());
    EXPECT_TRUE(seen["health"].is_null());
    EXPECT_EQ(seen["stop_signal"], "INT");
    EXPECT_THAT(seen["started"].get<std::string>(), ::testing::MatchesRegex("....-..-..T..:..:..Z"));
    EXPECT_EQ(seen["logs"]["driver"], "file");
    EXPECT_EQ(seen["logs"]["folder"], "/var/log/sandbox/box");
    EXPECT_EQ(seen["init"]["pids_inside"], Json({1}));
    EXPECT_EQ(seen["payload"]["pids_inside"], Json({2}));
    for (const char* who : {"supervisor", "init", "payload"}) EXPECT_TRUE(exists(cat("/proc/", seen[who]["pid"].get<int>()))) << who;
    EXPECT_EQ(json_of({"ps", "--json"})[0]["pid"], seen["payload"]["pid"]);
}

TEST_F(Look, inspect_tells_what_the_kernel_holds_the_payload_to) {
    start("capabilities: {base: none, add: [CHOWN, NET_RAW]}\nnamespaces: {uts: host}\n", waiting);
    const Json seen = json_of({"inspect", "box"});
    for (const char* set : {"permitted", "effective", "bounding"})
        EXPECT_THAT(names_of(seen["capabilities"][set]), ElementsAre("CHOWN", "NET_RAW")) << set;
    EXPECT_THAT(names_of(seen["capabilities"]["ambient"]), ::testing::IsEmpty());
    EXPECT_EQ(seen["seccomp"], "filter");
    EXPECT_EQ(seen["no_new_privileges"], true);
    EXPECT_EQ(seen["uid_map"].size(), 1U);
    EXPECT_EQ(seen["uid_map"][0]["inside"], 0);
    if (is_host_root()) {
        EXPECT_NE(seen["uid_map"][0]["outside"], 0);
    }
    EXPECT_EQ(seen["namespaces"]["uts"]["host"], true);
    for (const char* own : {"user", "mount", "pid", "ipc", "network"}) EXPECT_EQ(seen["namespaces"][own]["host"], false) << own;
    EXPECT_EQ(std::filesystem::read_symlink(cat("/proc/", seen["payload"]["pid"].get<int>(), "/ns/net")),
              cat("net:[", seen["namespaces"]["network"]["inode"].get<long>(), "]"));
}

// It says that it is ready when it has set its handlers, and its log is where that can be seen.
TEST_F(Look, inspect_tells_the_signals_that_are_caught) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    const std::string profile = place_.write("box.yaml", cat("version: 1\nname: box\nrootfs: {path: ", busybox_tree(), "}\n"));
    Options options;
    options.keep_input_open = true;
    Process sandbox =
        Process::start({sandbox_binary(), "up", profile, "--", "/bin/sh", "-c", "trap : USR2 QUIT; echo ready; read -r line"}, options);
    ASSERT_TRUE(sandbox.expect("ready")) << sandbox.err();
    const Json seen = json_of({"inspect", "box"});
    EXPECT_THAT(names_of(seen["signals_caught"]), AllOf(Contains("USR2"), Contains("QUIT"), Not(Contains("TERM"))));
    EXPECT_EQ(seen["detached"], false);
    EXPECT_TRUE(seen["logs"].is_null());
    sandbox.close_input();
    EXPECT_EQ(sandbox.wait().signal, 0);
}

// A hook holds the launch up. Whoever asks meanwhile waits for its end, but not for ever.
TEST_F(Look, waits_for_a_launch_that_is_ending) {
    const std::string reached = place_ / "reached", door = place_ / "door";
    ASSERT_EQ(mkfifo(reached.c_str(), 0600), 0);
    ASSERT_EQ(mkfifo(door.c_str(), 0600), 0);
    const std::string profile = place_.write("box.yaml", cat("version: 1\nname: box\nrootfs: {path: ", probe_tree(),
                                                             "}\nlifecycle: {hooks: {prepare: [{command: [/bin/sh, -c, 'echo > ", reached,
                                                             "; read -r line < ", door, "']}]}}\n"));
    Options options;
    options.keep_input_open = true;
    Process launch = Process::start({sandbox_binary(), "up", profile, "--", "/sandbox-probe", "hold"}, options);
    ASSERT_EQ(read_text(reached), "\n") << launch.err();
    const Ended early = sandbox_command({"exec", "box", "--", "/sandbox-probe", "pid"});
    EXPECT_EQ(early.code, 125) << early;
    EXPECT_THAT(early.err, HasSubstr("sandbox 'box' is just starting, so nothing can be run in it"));
    Process question = Process::start({sandbox_binary(), "inspect", "box"});
    place_.write("door", "\n");
    const Json seen = Json::parse(question.wait().out, nullptr, false);
    EXPECT_EQ(seen["state"], "running") << seen;
    EXPECT_TRUE(seen["payload"].is_object()) << seen;
    launch.close_input();
    EXPECT_EQ(launch.wait().signal, 0);
}

TEST_F(Look, inspect_gives_a_command_that_enters) {
    HOST_ROOT_OR_LEFT_OUT();
    REQUIRE_OR_SKIP(command_exists("nsenter"), "nsenter is not installed");
    start("", waiting);
    const Json seen = json_of({"inspect", "box"});
    Words words;
    for (const std::string_view word : sandbox::split(seen["nsenter"].get_ref<const std::string&>(), ' ')) words.emplace_back(word);
    words.insert(words.end(), {"/sandbox-probe", "pid", "ns"});
    const Json inside = last_json(run(words));
    EXPECT_GT(inside["pid"]["pid"], 2);
    EXPECT_THAT(inside.dump(), HasSubstr(std::to_string(seen["namespaces"]["network"]["inode"].get<long>())));
}

TEST_F(Look, inspect_of_a_stopped_sandbox_has_what_is_left) {
    start("", {"/sandbox-probe", "exit:7"});
    EXPECT_EQ(sandbox_command({"wait", "box"}).code, 7);
    // Whoever waits hears the end before the supervisor has gone; stopping waits for that as well.
    EXPECT_TRUE(sandbox_command({"stop", "box"}).ok());
    const Json seen = json_of({"inspect", "box"});
    EXPECT_EQ(seen["state"], "stopped");
    EXPECT_EQ(seen["exit_code"], 7);
    EXPECT_EQ(seen["reason"], "exit");
    EXPECT_FALSE(seen["ended"].is_null());
    for (const char* gone : {"supervisor", "init", "payload", "namespaces", "capabilities", "usage", "nsenter"})
        EXPECT_TRUE(seen[gone].is_null()) << gone;
    EXPECT_EQ(seen["logs"]["folder"], "/var/log/sandbox/box");
}

TEST_F(Look, inspect_of_a_crashed_sandbox_has_what_is_left) {
    start("", waiting);
    const int supervisor = json_of({"inspect", "box"})["supervisor"]["pid"];
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, supervisor, 0));
    ASSERT_GE(pidfd, 0);
    ASSERT_EQ(kill(supervisor, SIGKILL), 0);
    pollfd end{pidfd, POLLIN, 0};
    ASSERT_EQ(poll(&end, 1, 10000), 1);
    close(pidfd);
    const Json seen = json_of({"inspect", "box"});
    EXPECT_EQ(seen["state"], "crashed");
    EXPECT_TRUE(seen["exit_code"].is_null());
    EXPECT_TRUE(seen["payload"].is_null());
    EXPECT_TRUE(sandbox_command({"gc"}).ok());
}

TEST_F(Look, inspect_names_the_layers) {
    place_.make("own", 0700);
    const std::string lower = probe_tree(), upper = place_.make("own/upper");
    const std::string profile =
        place_.write("box.yaml", cat("version: 1\nname: box\nrootfs: {overlay: {lower: [", lower, "], upper: ", upper, "}}\n"));
    const Ended up = sandbox_command({"up", "-d", profile, "--", "/sandbox-probe", "wait-signal:USR1"});
    REQUIRE_OR_SKIP(up.ok() || up.err.find("overlay") == up.err.npos, "no overlay here: " + up.err);
    ASSERT_TRUE(up.ok()) << up;
    const Json seen = json_of({"inspect", "box"});
    EXPECT_EQ(seen["overlay"]["upper"], upper);
    EXPECT_EQ(seen["overlay"]["lower"], Json({lower}));
}

TEST_F(Look, inspect_has_the_groups_with_their_limits) {
    REQUIRE_OR_SKIP(has_groups(), "needs control groups");
    start("resources: {memory: {max: 64Mi}, pids: 20}\n", waiting);
    const Json seen = json_of({"inspect", "box"});
    Json limits;
    for (const Json& group : seen["groups"]) {
        EXPECT_TRUE(exists(group["path"])) << group;
        for (const auto& [file, value] : group["limits"].items()) limits[file] = value;
    }
    EXPECT_EQ(limits["pids.max"], "20");
    EXPECT_EQ(limits.value("memory.max", limits.value("memory.limit_in_bytes", "")), std::to_string(64 << 20));
    EXPECT_EQ(seen["usage"]["memory_limit_bytes"], 64 << 20);
    EXPECT_EQ(seen["usage"]["pids_limit"], 20);
    EXPECT_EQ(seen["usage"]["pids"], 2) << "init and the payload";
}

// ---- stats

TEST_F(Look, stats_has_every_counter) {
    REQUIRE_OR_SKIP(has_groups(), "needs control groups");
    start("resources: {memory: {max: 64Mi}, pids: 20}\n", waiting);
    const Json seen = json_of({"stats", "--no-stream", "--json"});
    ASSERT_EQ(seen.size(), 1U);
    const Json& one = seen[0];
    EXPECT_EQ(one["name"], "box");
    for (const char* counted :
         {"cpu_percent", "cpu_time_ns", "memory_percent", "memory_bytes", "memory_peak_bytes", "oom_kills", "pids", "pids_denied"})
        EXPECT_TRUE(one[counted].is_number()) << counted;
    for (const char* named : {"swap_bytes", "pids_peak", "io_read_bytes", "io_written_bytes", "pressure"})
        EXPECT_TRUE(one.contains(named)) << named;
    EXPECT_GT(one["memory_bytes"], 0);
    EXPECT_GT(one["cpu_time_ns"], 0);
    const Ended table = sandbox_command({"stats", "--no-stream", "box"});
    EXPECT_THAT(table.out, ::testing::StartsWith("NAME  CPU %"));
    EXPECT_THAT(table.out, AllOf(HasSubstr("/ 64Mi"), HasSubstr("2 / 20")));
}

// A second line comes with the timer; what spins on one processor shows near 100.
TEST_F(Look, stats_stream_until_they_are_interrupted) {
    REQUIRE_OR_SKIP(has_groups(), "needs control groups");
    start("", waiting);
    Process stats = Process::start({sandbox_binary(), "stats", "--json", "box"});
    ASSERT_TRUE(stats.expect("\n"));
    ASSERT_TRUE(stats.expect("\n"));
    stats.signal(SIGINT);
    const Ended ended = stats.wait();
    EXPECT_EQ(ended.code, 0) << ended;
    for (const std::string_view line : sandbox::split(sandbox::trim(ended.out), '\n')) EXPECT_EQ(Json::parse(line)[0]["name"], "box");
    EXPECT_LT(Json::parse(sandbox::split(ended.out, '\n')[1])[0]["cpu_percent"], 50) << "it only waits";
}

TEST_F(Look, stats_on_a_terminal_are_redrawn_in_place) {
    REQUIRE_OR_SKIP(has_groups(), "needs control groups");
    start("", waiting);
    Options options;
    options.pty = true;
    Process stats = Process::start({sandbox_binary(), "stats", "box"}, options);
    ASSERT_TRUE(stats.expect("box"));
    ASSERT_TRUE(stats.expect("\x1b[2F\x1b[J"));
    stats.send("\x03");
    EXPECT_EQ(stats.wait().code, 0);
}

TEST_F(Look, stats_end_with_the_sandbox_that_was_named) {
    start("", waiting);
    Process stats = Process::start({sandbox_binary(), "stats", "box"});
    ASSERT_TRUE(stats.expect("box"));
    EXPECT_TRUE(sandbox_command({"down", "box"}).ok());
    EXPECT_EQ(stats.wait().code, 0);
}

TEST_F(Look, stats_say_which_sandbox_has_no_groups) {
    start("cgroup: {manager: none}\n", waiting);
    const Ended ended = sandbox_command({"stats", "--no-stream", "box"});
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_THAT(ended.err, HasSubstr("'box' has no control groups"));
    EXPECT_THAT(ended.out, HasSubstr("box   -      - / -"));
}

TEST_F(Look, what_there_is_not_is_said) {
    for (const Words& words : {Words{"inspect", "nobody"}, {"stats", "--no-stream", "nobody"}, {"top", "nobody"}}) {
        const Ended ended = sandbox_command(words);
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr("there is no sandbox 'nobody'"));
    }
    const Ended none = sandbox_command({"stats", "--no-stream"});
    EXPECT_TRUE(none.ok()) << none;
    EXPECT_EQ(none.err, "");
}

// ---- top

TEST_F(Look, top_lists_the_processes_with_and_without_groups) {
    for (const char* groups : {"", "cgroup: {manager: none}\n"}) {
        start(cat("process: {user: \"1000:1000\"}\n", groups), {"/sandbox-probe", "spawn-stubborn:2", "wait-signal:USR1"});
        const Json init = json_of({"inspect", "box"})["init"];
        // The command runs when `up` returns; its children may come a moment later: each look is a system call or more of theirs.
        Json list = json_of({"top", "--json", "box"});
        for (int looks = 0; list.size() < 4 && looks < 500; ++looks) list = json_of({"top", "--json", "box"});
        ASSERT_EQ(list.size(), 4U) << list;
        EXPECT_EQ(list[0]["pid"], init["pid"]);
        EXPECT_EQ(list[0]["pid_inside"], 1);
        EXPECT_EQ(list[0]["uid"], 0);
        EXPECT_EQ(list[1]["pid_inside"], 2);
        EXPECT_EQ(list[1]["uid"], 1000);
        EXPECT_EQ(list[1]["command"], "/sandbox-probe spawn-stubborn:2 wait-signal:USR1");
        EXPECT_EQ(list[1]["threads"], 1);
        EXPECT_GT(list[1]["rss_bytes"], 0);
        EXPECT_THAT(sandbox_command({"top", "box"}).out, ::testing::StartsWith("PID"));
        ASSERT_TRUE(sandbox_command({"down", "box"}).ok());
    }
}

TEST_F(Look, top_keeps_a_hostile_command_from_the_terminal) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    const std::string profile = place_.write("box.yaml", cat("version: 1\nname: box\nrootfs: {path: ", busybox_tree(), "}\n"));
    ASSERT_TRUE(sandbox_command({"up", "-d", profile, "--", "/bin/sh", "-c", "sleep 1000; :", "\x1b[31mred\n"}).ok());
    const Ended ended = sandbox_command({"top", "box"});
    EXPECT_THAT(ended.out, HasSubstr("[31mred")) << ended;
    EXPECT_THAT(ended.out, Not(HasSubstr("\x1b")));
}

// ---- audit

int exposure_of(const Json& audit, const std::string& rule) {
    for (const Json& finding : audit["findings"])
        if (finding["rule"] == rule) return static_cast<int>(finding["exposure"].get<double>() * 10 + 0.5);
    return -1;
}

TEST_F(Look, audit_rates_the_sandbox_of_a_name_as_it_runs) {
    start("security: {no_new_privileges: false}\n", waiting);
    const std::string file = place_ / "box.yaml";
    place_.write("box.yaml", cat("version: 1\nname: box\nrootfs: {path: ", probe_tree(), "}\nprocess: {command: [/bin/true]}\n"));
    const Json runs = json_of({"audit", "--json", "box"}), written = json_of({"audit", "--json", file});
    EXPECT_EQ(runs["sandbox"], true);
    EXPECT_EQ(runs["name"], "box");
    EXPECT_EQ(exposure_of(runs, "security.no_new_privileges"), 60);
    EXPECT_EQ(written["sandbox"], false);
    EXPECT_EQ(exposure_of(written, "security.no_new_privileges"), 0) << "a word with a slash is a profile";
    EXPECT_GT(runs["exposure"], written["exposure"]);
}

TEST_F(Look, audit_tells_with_its_exit_code_what_is_too_open) {
    const std::string file =
        place_.write("box.yaml", "version: 1\nrootfs: {host: ro}\nnetwork: {mode: host}\nprocess: {command: [/bin/true]}\n");
    const Ended shown = sandbox_command({"audit", file});
    EXPECT_EQ(shown.code, 0) << shown;
    EXPECT_THAT(shown.out, HasSubstr(cat(file, ":3")));
    EXPECT_THAT(shown.out, HasSubstr("cure: network: {mode: none}"));
    EXPECT_THAT(shown.out, HasSubstr("\nexposure of profile box: "));
    EXPECT_EQ(shown.out.find('\x1b'), std::string::npos) << "no colours but on a terminal";
    EXPECT_GT(sandbox_command({"audit", "--all", file}).out.size(), shown.out.size());
    EXPECT_EQ(sandbox_command({"audit", "--threshold", "2.5", file}).code, 1);
    EXPECT_EQ(sandbox_command({"audit", "--threshold", "10", file}).code, 0);
    for (const char* wrong : {"11", "-1", "x", "2.55", "2.", ""}) {
        const Ended refused = sandbox_command({"audit", cat("--threshold=", wrong), file});
        EXPECT_EQ(refused.code, 125) << wrong << refused;
        EXPECT_EQ(refused.out, "") << wrong;
    }
}

TEST_F(Look, audit_of_what_is_wrong_or_not_there_shows_nothing) {
    const std::string file = place_.write("box.yaml", "version: 1\nrootfs: {host: ro}\nnetwrk: {}\n");
    const Ended wrong = sandbox_command({"audit", file}), missing = sandbox_command({"audit", "no-such"});
    EXPECT_EQ(wrong.code, 125) << wrong;
    EXPECT_THAT(wrong.err, HasSubstr("box.yaml:3:1: error[E0203]"));
    EXPECT_EQ(missing.code, 125) << missing;
    EXPECT_THAT(missing.err, HasSubstr("no profile named 'no-such'"));
    EXPECT_EQ(wrong.out + missing.out, "");
}

}  // namespace
