// Init, signals, stopping and time limits.
#include <gmock/gmock.h>
#include <signal.h>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

class Lifecycle : public ::testing::Test {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root"); }
};

TEST_F(Lifecycle, thousands_of_orphans_do_not_accumulate) {
    const auto before = HostSnapshot::take();
    const Json seen = probe_in_sandbox(in_tree(), {"zombies:3000"})["zombies:3000"];
    EXPECT_EQ(seen["made"], 3000);
    EXPECT_EQ(seen["left"], 0);
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(Lifecycle, init_is_process_1_unless_it_is_refused) {
    const Json with = probe_in_sandbox(in_tree(), {"pid"})["pid"];
    EXPECT_EQ(with["ppid"], 1);
    EXPECT_NE(with["pid"], 1);
    const Json without = probe_in_sandbox(in_tree("process: {init: false}\n"), {"pid"})["pid"];
    EXPECT_EQ(without["pid"], 1);
    EXPECT_EQ(without["ppid"], 0);
}

TEST_F(Lifecycle, orphans_end_with_the_payload) {
    const auto before = HostSnapshot::take();
    EXPECT_EQ(run_sandbox(in_tree(), {"/sandbox-probe", "spawn-orphans:20", "spawn-stubborn:5", "exit:5"}).code, 5);
    EXPECT_EQ(differences_since(before), "");
    EXPECT_EQ(run_sandbox(in_tree("namespaces: {pid: host}\nproc: {mode: inherit}\n"), {"/sandbox-probe", "exit:6"}).code, 6);
    EXPECT_EQ(differences_since(before), "");
}

struct Signal {
    const char* name;
    int number;
};
std::ostream& operator<<(std::ostream& stream, const Signal& signal) { return stream << signal.name; }

class EverySignal : public ::testing::TestWithParam<Signal> {};

// Every signal that a caller can mean for the payload. CHLD, PIPE, the job control of the caller's own terminal (TTIN,
// TTOU) and what a fault of the launcher itself would be (SEGV, BUS, FPE, ILL, ABRT, TRAP, SYS) are the launcher's.
INSTANTIATE_TEST_SUITE_P(All, EverySignal,
                         ::testing::Values(Signal{"HUP", SIGHUP}, Signal{"INT", SIGINT}, Signal{"QUIT", SIGQUIT}, Signal{"USR1", SIGUSR1},
                                           Signal{"USR2", SIGUSR2}, Signal{"TERM", SIGTERM}, Signal{"ALRM", SIGALRM},
                                           Signal{"CONT", SIGCONT}, Signal{"WINCH", SIGWINCH}, Signal{"URG", SIGURG},
                                           Signal{"POLL", SIGPOLL}, Signal{"PWR", SIGPWR}, Signal{"VTALRM", SIGVTALRM},
                                           Signal{"PROF", SIGPROF}, Signal{"XCPU", SIGXCPU}, Signal{"XFSZ", SIGXFSZ}, Signal{"40", 40},
                                           Signal{"64", 64}),
                         [](const auto& one) { return std::string("SIG") + one.param.name; });

TEST_P(EverySignal, is_forwarded) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const std::string verb = cat("wait-signal:", GetParam().name);
    Process sandbox = start_sandbox(in_tree(), {"/sandbox-probe", verb});
    ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.err();
    sandbox.signal(GetParam().number);
    const Ended ended = sandbox.wait();
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_THAT(last_json(ended)[verb].get<std::string>(), HasSubstr(GetParam().name));
}

TEST_F(Lifecycle, signals_reach_a_payload_that_is_process_1) {
    Process sandbox = start_sandbox(in_tree("process: {init: false}\n"), {"/sandbox-probe", "wait-signal:TERM"});
    ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.err();
    sandbox.signal(SIGTERM);
    EXPECT_EQ(last_json(sandbox.wait())["wait-signal:TERM"], "SIGTERM");
}

TEST_F(Lifecycle, term_ends_a_payload_that_does_not_catch_it) {
    Process sandbox = start_sandbox(in_tree(), {"/sandbox-probe", "wait-signal:USR1"});
    ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.err();
    sandbox.signal(SIGTERM);
    EXPECT_EQ(sandbox.wait().code, 128 + SIGTERM);
}

// `spawn-stubborn` ignores everything, the payload ignores TERM by catching another signal only.
TEST_F(Lifecycle, after_the_grace_comes_kill) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    const auto before = HostSnapshot::take();
    for (const char* target : {"main", "all"}) {
        Process sandbox = start_sandbox(
            in_busybox(cat("lifecycle: {stop: {grace: 200ms, target: ", target, "}}\n")),
            {"/bin/sh", "-c", "trap '' TERM; /sandbox-probe spawn-stubborn:3; echo up; exec /sandbox-probe hold wait-signal:USR1"});
        ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.err();
        sandbox.signal(SIGTERM);
        const Ended ended = sandbox.wait();
        EXPECT_EQ(ended.code, 128 + SIGKILL) << target << ended;
        EXPECT_GE(ended.seconds, 0.2) << target;
        EXPECT_LT(ended.seconds, 5) << target;
        EXPECT_EQ(differences_since(before), "") << target;
    }
}

// A second process in the sandbox that writes a line when it is asked to stop. The first one is prepared for that before it is there.
constexpr const char* two =
    "trap 'wait; exit 3' TERM; "
    "(trap 'echo second stopped; exit 0' TERM; echo second ready; while :; do sleep 0.05; done) & wait $!; wait; exit 4";

TEST_F(Lifecycle, stop_reaches_all_when_asked) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    Process sandbox = start_sandbox(in_busybox("lifecycle: {stop: {grace: 5s, target: all}}\n"), {"/bin/sh", "-c", two});
    ASSERT_TRUE(sandbox.expect("second ready")) << sandbox.err();
    sandbox.signal(SIGTERM);
    const Ended ended = sandbox.wait();
    EXPECT_THAT(ended.out, HasSubstr("second stopped")) << ended;
    EXPECT_EQ(ended.code, 3) << ended;
}

TEST_F(Lifecycle, stop_reaches_the_main_process_alone_by_default) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    Process sandbox =
        start_sandbox(in_busybox(), {"/bin/sh", "-c",
                                     "trap 'exit 3' TERM; "
                                     "(trap 'echo second stopped' TERM; echo second ready; while :; do sleep 0.05; done) & wait"});
    ASSERT_TRUE(sandbox.expect("second ready")) << sandbox.err();
    sandbox.signal(SIGTERM);
    const Ended ended = sandbox.wait();
    EXPECT_EQ(ended.code, 3) << ended;
    EXPECT_THAT(ended.out, ::testing::Not(HasSubstr("second stopped")));
}

TEST_F(Lifecycle, the_signal_that_asks_to_stop_is_the_profiles) {
    Process sandbox =
        start_sandbox(in_tree("lifecycle: {stop: {signal: QUIT}, timeout: 300ms}\n"), {"/sandbox-probe", "wait-signal:QUIT,TERM"});
    EXPECT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.err();
    const Ended ended = sandbox.wait();
    EXPECT_EQ(ended.code, 124) << ended;
    EXPECT_EQ(last_json(ended)["wait-signal:QUIT,TERM"], "SIGQUIT");
}

TEST_F(Lifecycle, the_time_limit_is_124) {
    const auto before = HostSnapshot::take();
    const Ended ended = run_sandbox(in_tree("lifecycle: {timeout: 200ms}\n"), {"/sandbox-probe", "wait-signal:USR1"});
    EXPECT_EQ(ended.code, 124) << ended;
    EXPECT_GE(ended.seconds, 0.2);
    EXPECT_LT(ended.seconds, 5);
    EXPECT_EQ(differences_since(before), "");
    const Ended stubborn = run_sandbox(in_tree("lifecycle: {timeout: 100ms, stop: {grace: 100ms}}\nprocess: {init: false}\n"),
                                       {"/sandbox-probe", "wait-signal:USR1"});
    EXPECT_EQ(stubborn.code, 124) << stubborn;
    EXPECT_EQ(run_sandbox(in_tree("lifecycle: {timeout: 20s}\n"), {"/sandbox-probe", "exit:2"}).code, 2);
}

TEST_F(Lifecycle, a_killed_launcher_takes_the_sandbox_along) {
    const auto before = HostSnapshot::take();
    Process sandbox = start_sandbox(in_tree(), {"/sandbox-probe", "spawn-stubborn:3", "wait-signal:USR1"});
    ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.err();
    sandbox.signal(SIGKILL);
    EXPECT_EQ(sandbox.wait().signal, SIGKILL);
    const Ended gc = sandbox_command({"gc"});
    EXPECT_EQ(gc.code, 0) << gc;
    EXPECT_EQ(differences_since(before), "");
}

}  // namespace
