// The payload's terminal is a pty of its own between it and the caller's.
#include <gmock/gmock.h>
#include <signal.h>
#include <termios.h>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

class OwnTerminal : public ::testing::Test {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root"); }
    static Options on_a_terminal() {
        Options options;
        options.pty = true;
        return options;
    }
};

TEST_F(OwnTerminal, is_not_the_callers) {
    Process sandbox = start_sandbox(in_tree(), {"/sandbox-probe", "tty", "ids"}, on_a_terminal());
    const Ended ended = sandbox.wait();
    EXPECT_EQ(ended.code, 0) << ended;
    const Json seen = last_json(ended)["tty"];
    EXPECT_EQ(seen["controlling"], "ok") << ended;
    for (int fd = 0; fd < 3; ++fd) {
        EXPECT_EQ(seen["descriptors"][fd]["isatty"], true) << fd;
        EXPECT_THAT(seen["descriptors"][fd]["name"].dump(), HasSubstr("/dev/")) << fd;
        EXPECT_EQ(seen["descriptors"][fd]["window"], (Json{{"rows", 24}, {"columns", 80}})) << fd;
    }
    EXPECT_EQ(seen["foreground"], seen["pgrp"]);
}

TEST_F(OwnTerminal, is_none_when_refused_or_absent) {
    Options options = on_a_terminal();
    options.up = {"--no-tty"};
    EXPECT_EQ(last_json(start_sandbox(in_tree(), {"/sandbox-probe", "tty"}, options).wait())["tty"]["controlling"], "ENXIO");
    EXPECT_EQ(
        last_json(
            start_sandbox(in_tree("process: {tty: false}\n"), {"/sandbox-probe", "tty"}, on_a_terminal()).wait())["tty"]["controlling"],
        "ENXIO");
    EXPECT_EQ(probe_in_sandbox(in_tree(), {"tty"})["tty"]["controlling"], "ENXIO");
}

TEST_F(OwnTerminal, can_be_had_without_one_outside) {
    const Json seen = probe_in_sandbox(in_tree("process: {tty: true}\n"), {"tty"})["tty"];
    EXPECT_EQ(seen["descriptors"][1]["isatty"], true) << seen;
}

// Set afterwards it would be missed by a program that looks at once, and be a signal to one that waits.
TEST_F(OwnTerminal, has_the_callers_size_from_the_start) {
    for (int tries = 0; tries < 20; ++tries)
        ASSERT_EQ(last_json(start_sandbox(in_tree(), {"/sandbox-probe", "winsize"}, on_a_terminal()).wait())["winsize"],
                  (Json{{"rows", 24}, {"columns", 80}}));
}

TEST_F(OwnTerminal, follows_a_resize) {
    Process sandbox = start_sandbox(in_tree(), {"/sandbox-probe", "wait-signal:WINCH", "winsize"}, on_a_terminal());
    ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.out();
    sandbox.resize(43, 132);
    EXPECT_EQ(last_json(sandbox.wait())["winsize"], (Json{{"rows", 43}, {"columns", 132}}));
}

// Else what the caller's terminal sends to its foreground would reach the payload twice, a change of size before the size.
TEST_F(OwnTerminal, is_no_business_of_init) {
    for (const char* word : {"--tty", "--no-tty"}) {
        Options options = on_a_terminal();
        options.up = {word};
        const Json seen = last_json(start_sandbox(in_tree(), {"/sandbox-probe", "read:/proc/1/stat"}, options).wait());
        const std::string line = seen["read:/proc/1/stat"]["text"];
        // After the name: state, parent, process group, session, terminal.
        const auto fields = sandbox::split(std::string_view(line).substr(line.rfind(')') + 2), ' ');
        ASSERT_GT(fields.size(), 5U) << line;
        EXPECT_EQ(fields[2], "1") << line;
        EXPECT_EQ(fields[3], "1") << line;
        EXPECT_EQ(fields[4], "0") << line;
    }
}

TEST_F(OwnTerminal, keys_are_signals_of_the_foreground) {
    for (const auto& [key, name] : {std::pair{"\x03", "INT"}, {"\x1c", "QUIT"}, {"\x1a", "TSTP"}}) {
        const std::string verb = cat("wait-signal:", name);
        Process sandbox = start_sandbox(in_tree(), {"/sandbox-probe", verb}, on_a_terminal());
        ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.out();
        sandbox.send(key);
        const Ended ended = sandbox.wait();
        EXPECT_EQ(ended.code, 0) << ended;
        EXPECT_EQ(last_json(ended)[verb], cat("SIG", name));
    }
    Process sandbox = start_sandbox(in_tree(), {"/sandbox-probe", "wait-signal:USR1"}, on_a_terminal());
    ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.out();
    sandbox.send("\x03");
    EXPECT_EQ(sandbox.wait().code, 128 + SIGINT);
}

TEST_F(OwnTerminal, a_shell_has_job_control) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    Process shell = start_sandbox(in_busybox("process: {environment: {PS1: 'READY> '}}\n"), {"/bin/sh", "-i"}, on_a_terminal());
    ASSERT_TRUE(shell.expect("READY> ")) << shell.out();
    EXPECT_THAT(shell.out(), ::testing::Not(HasSubstr("job control"))) << "can't access tty; job control turned off";
    // `hold` says that it reads before anything is typed to it.
    shell.send("/sandbox-probe hold\n");
    ASSERT_TRUE(shell.expect("\"ready\":true")) << shell.out();
    shell.send("\x1a");
    ASSERT_TRUE(shell.expect("Stopped") && shell.expect("READY> ")) << shell.out();
    shell.send("jobs\n");
    ASSERT_TRUE(shell.expect("Stopped") && shell.expect("READY> ")) << shell.out();
    shell.send("fg\n");
    ASSERT_TRUE(shell.expect("/sandbox-probe hold")) << shell.out();
    shell.send("typed\n\x04");
    ASSERT_TRUE(shell.expect("\"text\":\"typed\\n\"") && shell.expect("READY> ")) << shell.out();
    shell.send("exit 21\n");
    EXPECT_EQ(shell.wait().code, 21);
}

TEST_F(OwnTerminal, the_callers_settings_come_back) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    for (const char* script : {"exit 5", "stty raw -echo; exit 5", "kill -KILL $$"}) {
        Process sandbox = start_sandbox(in_busybox(), {"/bin/sh", "-c", script}, on_a_terminal());
        const Ended ended = sandbox.wait();
        EXPECT_EQ(ended.code, std::string_view(script) == "kill -KILL $$" ? 137 : 5) << ended;
        termios now{};
        ASSERT_EQ(tcgetattr(sandbox.terminal(), &now), 0);
        EXPECT_NE(now.c_lflag & ICANON, 0U) << script;
        EXPECT_NE(now.c_lflag & ECHO, 0U) << script;
        EXPECT_NE(now.c_oflag & OPOST, 0U) << script;
    }
}

TEST_F(OwnTerminal, a_closed_window_hangs_up) {
    Process sandbox = start_sandbox(in_tree(), {"/sandbox-probe", "wait-signal:USR1"}, on_a_terminal());
    ASSERT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.out();
    sandbox.hang_up();
    const Ended ended = sandbox.wait();
    EXPECT_FALSE(ended.timed_out) << ended;
}

TEST_F(OwnTerminal, much_output_arrives_whole) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    const Ended ended = start_sandbox(in_busybox(), {"/bin/sh", "-c", "seq 1 20000; echo the end"}, on_a_terminal()).wait();
    EXPECT_EQ(ended.code, 0);
    EXPECT_THAT(ended.out, HasSubstr("\r\n19999\r\n20000\r\nthe end\r\n"));
}

}  // namespace
