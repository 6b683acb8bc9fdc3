// What the payload starts with: environment, directory, streams, limits, scheduling; and how it ends.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

class Payload : public ::testing::Test {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root"); }
};

// ---- environment, directory, umask

TEST_F(Payload, has_a_clean_environment) {
    Options options;
    options.add = {{"SECRET", "x"}, {"LD_PRELOAD", "/no/such"}};
    const Json env = probe_in_sandbox(in_tree(), {"env"}, options)["env"];
    EXPECT_FALSE(env.contains("SECRET")) << env;
    EXPECT_FALSE(env.contains("LD_PRELOAD")) << env;
    EXPECT_TRUE(env.contains("PATH"));
    EXPECT_EQ(env["HOME"], "/root");
}

TEST_F(Payload, has_the_environment_of_the_map_the_list_and_the_patterns) {
    Options options;
    options.add = {{"PASSED", "on"}, {"LC_ALL", "C"}, {"LC_TIME", "C.UTF-8"}, {"OTHER", "no"}};
    const Json map = probe_in_sandbox(
        in_tree("process: {environment: {A: 1, B: 'x=y z', PASSED: null, MISSING: null}, inherit: ['LC_*']}\n"), {"env"}, options)["env"];
    EXPECT_EQ(map["A"], "1");
    EXPECT_EQ(map["B"], "x=y z");
    EXPECT_EQ(map["PASSED"], "on");
    EXPECT_FALSE(map.contains("MISSING"));
    EXPECT_EQ(map["LC_ALL"], "C");
    EXPECT_EQ(map["LC_TIME"], "C.UTF-8");
    EXPECT_FALSE(map.contains("OTHER"));
    const Json list = probe_in_sandbox(in_tree("process: {environment: ['A=1', 'B=x=y', PASSED, 'PATH=/bin']}\n"), {"env"}, options)["env"];
    EXPECT_EQ(list["A"], "1");
    EXPECT_EQ(list["B"], "x=y");
    EXPECT_EQ(list["PASSED"], "on");
    EXPECT_EQ(list["PATH"], "/bin");
}

TEST_F(Payload, starts_in_its_directory_with_its_umask) {
    const Json seen = probe_in_sandbox(in_tree("process: {working_dir: /usr/bin, umask: '0027'}\n"), {"cwd", "umask"});
    EXPECT_EQ(seen["cwd"], "/usr/bin");
    EXPECT_EQ(seen["umask"], "0027");
    const Json plain = probe_in_sandbox(in_tree(), {"cwd", "umask"});
    EXPECT_EQ(plain["cwd"], "/");
    EXPECT_EQ(plain["umask"], "0022");
}

TEST_F(Payload, cannot_start_in_a_directory_that_is_not_there) {
    const auto before = HostSnapshot::take();
    const Ended ended = run_sandbox(in_tree("process: {working_dir: /nowhere}\n"), {"/sandbox-probe"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("/nowhere"));
    EXPECT_EQ(differences_since(before), "");
}

// ---- streams and descriptors

TEST_F(Payload, reads_from_null_a_pipe_or_a_file) {
    const TempDir place;
    const std::string file = place.write("in", "from a file");
    Options options;
    options.input = "from the caller";
    EXPECT_EQ(probe_in_sandbox(in_tree("process: {stdin: null}\n"), {"hold"}, options)["hold"]["text"], "");
    EXPECT_EQ(probe_in_sandbox(in_tree("process: {stdin: pipe}\n"), {"hold"}, options)["hold"]["text"], "from the caller");
    EXPECT_EQ(probe_in_sandbox(in_tree(), {"hold"}, options)["hold"]["text"], "from the caller");
    EXPECT_EQ(probe_in_sandbox(in_tree(cat("process: {stdin: ", file, "}\n")), {"hold"}, options)["hold"]["text"], "from a file");
}

TEST_F(Payload, has_three_descriptors_and_those_that_are_passed) {
    const TempDir place;
    const int kept = open(place.write("kept", "kept text").c_str(), O_RDONLY | O_CLOEXEC);
    const int other = open(place.write("other", "").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(kept, 0);
    ASSERT_GE(other, 0);
    Options options;
    options.pass = {kept, other};
    const Json plain = probe_in_sandbox(in_tree(), {"fds"}, options)["fds"];
    EXPECT_EQ(plain.size(), 3U) << plain;
    const Json passed =
        probe_in_sandbox(in_tree(cat("process: {pass_fds: [", kept, "]}\n")), {"fds", cat("read:/proc/self/fd/", kept)}, options);
    ASSERT_EQ(passed["fds"].size(), 4U) << passed;
    EXPECT_EQ(passed["fds"][3]["fd"], kept);
    EXPECT_EQ(passed[cat("read:/proc/self/fd/", kept)]["text"], "kept text");
    close(kept);
    close(other);
}

TEST_F(Payload, a_passed_descriptor_that_is_not_open_is_refused) {
    const Ended ended = run_sandbox(in_tree("process: {pass_fds: [77]}\n"), {"/sandbox-probe"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("77"));
}

TEST_F(Payload, has_default_signals) {
    Options options;
    options.input = cat("version: 1\nname: piped\nrootfs: {path: ", probe_tree(), "}\n");
    const Json seen = last_json(
        run({"sh", "-c", "trap '' HUP INT PIPE USR1; exec \"$@\"", "sh", sandbox_binary(), "up", "-", "--", "/sandbox-probe", "signals"},
            options));
    EXPECT_EQ(seen["signals"]["ignored"], Json::array());
    EXPECT_EQ(seen["signals"]["blocked"], Json::array());
}

// ---- scores, scheduling, limits

TEST_F(Payload, has_its_scores_and_scheduling) {
    const Json seen = probe_in_sandbox(in_tree("process: {oom_score_adj: 300, nice: 5, scheduler: batch, io_priority: 'best-effort:6', "
                                               "cpu_affinity: [0], personality: linux32}\n"),
                                       {"oom", "sched", "uname"});
    EXPECT_EQ(seen["oom"], 300);
    EXPECT_EQ(seen["sched"]["nice"], 5);
    EXPECT_EQ(seen["sched"]["policy"], "batch");
    EXPECT_EQ(seen["sched"]["io_class"], 2);
    EXPECT_EQ(seen["sched"]["io_level"], 6);
    EXPECT_EQ(seen["sched"]["affinity"], Json{0});
    EXPECT_EQ(seen["sched"]["personality"].get<unsigned>() & 0xff, 8U);
    EXPECT_NE(seen["uname"]["machine"], "x86_64");
    EXPECT_EQ(probe_in_sandbox(in_tree("process: {scheduler: idle, io_priority: idle}\n"), {"sched"})["sched"]["policy"], "idle");
}

TEST_F(Payload, may_run_in_real_time_where_root_may) {
    const std::string profile = in_tree("process: {scheduler: {policy: rr, priority: 3}}\n");
    const bool may = run({"chrt", "-f", "1", "true"}).ok();
    // The kernel wants CAP_SYS_NICE of the initial user namespace.
    if (!may && !is_host_root()) {
        const auto before = HostSnapshot::take();
        const Ended refused = run_sandbox(profile, {"/sandbox-probe"});
        EXPECT_EQ(refused.code, 125) << refused;
        EXPECT_THAT(refused.err, HasSubstr("process.scheduler"));
        EXPECT_EQ(differences_since(before), "");
        return;
    }
    REQUIRE_OR_SKIP(may, "root has no real-time budget here");
    const Json seen = probe_in_sandbox(profile, {"sched"})["sched"];
    EXPECT_EQ(seen["policy"], "rr");
    EXPECT_EQ(seen["priority"], 3);
}

TEST_F(Payload, an_absent_processor_is_refused) {
    const Ended ended = run_sandbox(in_tree("process: {cpu_affinity: [8000]}\n"), {"/sandbox-probe"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("cpu_affinity"));
}

TEST_F(Payload, has_its_limits) {
    const Json seen = probe_in_sandbox(
        in_tree("ulimits: {nofile: '100:200', core: 0, stack: '1048576:infinity', cpu: infinity, fsize: 4096}\n"), {"rlimits"})["rlimits"];
    EXPECT_EQ(seen["nofile"], (Json{100, 200}));
    EXPECT_EQ(seen["core"], (Json{0, 0}));
    EXPECT_EQ(seen["stack"], (Json{1048576, "infinity"}));
    EXPECT_EQ(seen["fsize"], (Json{4096, 4096}));
}

TEST_F(Payload, sets_kernel_parameters_of_its_own_namespaces) {
    const std::string before = read_text("/proc/sys/kernel/shmmax");
    const Json seen =
        probe_in_sandbox(in_tree("sysctl: {net.ipv4.ip_forward: 1, kernel.msgmax: 4096, kernel.shmmax: 65536}\n"),
                         {"sysctl:net.ipv4.ip_forward", "sysctl:kernel.msgmax", "sysctl:kernel.shmmax", "write:/proc/sys/kernel/msgmax=1"});
    EXPECT_EQ(seen["sysctl:net.ipv4.ip_forward"], "1");
    EXPECT_EQ(seen["sysctl:kernel.msgmax"], "4096");
    EXPECT_EQ(seen["sysctl:kernel.shmmax"], "65536");
    EXPECT_EQ(seen["write:/proc/sys/kernel/msgmax=1"], "EROFS");
    EXPECT_EQ(read_text("/proc/sys/kernel/shmmax"), before);
}

TEST_F(Payload, cannot_set_parameters_of_the_host) {
    for (const char* profile : {"sysctl: {vm.dirty_ratio: 10}\n", "sysctl: {kernel.core_pattern: x}\n",
                                "sysctl: {net.ipv4.ip_forward: 1}\nnetwork: {mode: host}\n",
                                "sysctl: {kernel.msgmax: 1}\nnamespaces: {ipc: host}\n", "sysctl: {'net/../kernel/core_pattern': x}\n"}) {
        const Ended ended = run_sandbox(in_tree(profile), {"/sandbox-probe"});
        EXPECT_EQ(ended.code, 125) << profile << ended;
        EXPECT_THAT(ended.err, HasSubstr("sysctl")) << profile;
    }
}

// ---- exit codes

TEST_F(Payload, gives_its_exit_code) {
    for (const int code : {0, 1, 42, 255}) EXPECT_EQ(run_sandbox(in_tree(), {"/sandbox-probe", cat("exit:", code)}).code, code);
    EXPECT_EQ(run_sandbox(in_tree("process: {init: false}\n"), {"/sandbox-probe", "exit:7"}).code, 7);
}

TEST_F(Payload, gives_128_and_the_signal_that_killed_it) {
    for (const auto& [name, number] :
         {std::pair{"TERM", SIGTERM}, {"KILL", SIGKILL}, {"SEGV", SIGSEGV}, {"USR1", SIGUSR1}, {"HUP", SIGHUP}})
        EXPECT_EQ(run_sandbox(in_tree(), {"/sandbox-probe", cat("kill:", name)}).code, 128 + number) << name;
}

TEST_F(Payload, not_found_is_127_not_executable_126) {
    const auto before = HostSnapshot::take();
    const Ended missing = run_sandbox(in_tree(), {"/no/such/program"});
    EXPECT_EQ(missing.code, 127) << missing;
    EXPECT_THAT(missing.err, HasSubstr("/no/such/program"));
    EXPECT_EQ(run_sandbox(in_tree(), {"nosuchname"}).code, 127);
    const Ended data = run_sandbox(in_tree("files: {/work/data: {content: text, perm: '0644'}}\nmounts: [{type: tmpfs, target: /work}]\n"),
                                   {"/work/data"});
    EXPECT_EQ(data.code, 126) << data;
    EXPECT_EQ(run_sandbox(in_tree(), {"/usr"}).code, 126);
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(Payload, is_found_on_its_own_path) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    EXPECT_EQ(run_sandbox(in_busybox(), {"echo", "found"}).out, "found\n");
    EXPECT_EQ(run_sandbox(in_busybox("process: {environment: {PATH: /usr/bin}}\n"), {"echo"}).code, 127);
}

TEST_F(Payload, the_command_of_the_profile_is_used_and_replaced) {
    EXPECT_EQ(run_sandbox(in_tree("process: {command: [/sandbox-probe, 'exit:3']}\n")).code, 3);
    EXPECT_EQ(run_sandbox(in_tree("process: {command: [/sandbox-probe, 'exit:3']}\n"), {"/sandbox-probe", "exit:4"}).code, 4);
}

TEST_F(Payload, the_result_says_how_it_ended) {
    const TempDir place;
    Options options;
    options.up = {"--result", place / "result.json"};
    run_sandbox(in_tree(), {"/sandbox-probe", "exit:9"}, options);
    const Json ended = Json::parse(read_text(place / "result.json"));
    EXPECT_EQ(ended["reason"], "exit") << ended;
    EXPECT_EQ(ended["exit_code"], 9);
    EXPECT_GE(ended["wall_s"].get<double>(), 0);
    run_sandbox(in_tree(), {"/sandbox-probe", "kill:TERM"}, options);
    const Json killed = Json::parse(read_text(place / "result.json"));
    EXPECT_EQ(killed["reason"], "signal") << killed;
    run_sandbox(in_tree("lifecycle: {timeout: 50ms}\n"), {"/sandbox-probe", "wait-signal:USR1"}, options);
    EXPECT_EQ(Json::parse(read_text(place / "result.json"))["reason"], "timeout");
}

}  // namespace
