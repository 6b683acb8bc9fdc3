// Sandboxes that live on when their command has returned: states and the way from one to the other, logs, events, health, hooks.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "views.h"
#include "ways.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* waits = "process: {command: [/sandbox-probe, \"wait-signal:USR1\"]}\n";

// Whether it holds now or after one of the changes in the folder, within ten seconds.
bool comes_true(const std::string& folder, const std::function<bool()>& condition) {
    const Fd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    inotify_add_watch(watch.get(), folder.c_str(), IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
        const auto left = std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now()).count();
        pollfd change{watch.get(), POLLIN, 0};
        if (left <= 0 || poll(&change, 1, static_cast<int>(left)) <= 0) return condition();
        char events[4096];
        while (read(watch.get(), events, sizeof events) > 0) {
        }
    }
    return true;
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool comes_to_hold(const std::string& file, const std::string& text) {
    return comes_true(folder_of(file), [&] { return exists(file) && read_text(file).find(text) != std::string::npos; });
}

bool gone_within(pid_t pid, milliseconds patience) {
    const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) return true;
    pollfd gone{pidfd.get(), POLLIN, 0};
    return poll(&gone, 1, static_cast<int>(patience.count())) == 1;
}

// Clock ticks of a process in user mode.
long processor_time(pid_t pid) {
    const std::string stat = read_text(cat("/proc/", pid, "/stat"));
    const auto fields = sandbox::split(std::string_view(stat).substr(stat.rfind(')') + 2), ' ');
    return sandbox::parse_int(fields[11]).value_or(-1);
}

// The verbs as the caller of GetParam, and profiles in a folder of the test's own.
class Background : public EveryWay {
   protected:
    void SetUp() override {
        EveryWay::SetUp();
        if (IsSkipped()) return;
        static_cast<void>(options());  // makes its folders
        before_ = HostSnapshot::take(looks_);
    }
    void TearDown() override {
        if (IsSkipped() || !is_root()) return;
        verb({"down", "--all"});
        EXPECT_EQ(differences_since(before_, looks_), "");
        EXPECT_FALSE(exists("/var/log/sandbox"));
    }
    Ended verb(const Words& words) const { return sandbox_command(words, options()); }
    std::string write(const std::string& name, std::string_view rest) {
        const std::string path = place_.write(name + ".yaml", profile(cat("name: ", name, "\nrootfs: {path: ", probe_tree(), "}\n", rest)));
        return path;
    }
    Ended up(const std::string& name, std::string_view rest) { return verb({"up", "-d", write(name, rest)}); }
    // The probe waits for its signal.
    static bool is_ready(const std::string& name) {
        const std::string status = read_text(cat(state_folder(), "/", name, "/status"));
        return comes_to_hold(Json::parse(status)["logs"].get<std::string>() + "/log", "\"ready\":true");
    }
    Json row(const std::string& name) const {
        const Json list = Json::parse(verb({"ps", "--json"}).out, nullptr, false);
        for (const Json& one : list)
            if (one["name"] == name) return one;
        return Json();
    }
    static std::string state_folder() { return GetParam().ordinary ? ordinary_runtime_directory() + "/sandbox" : "/run/sandbox"; }
    std::string state(const std::string& name) const {
        const Json found = row(name);
        return found.is_null() ? "none" : found["state"].get<std::string>();
    }

    TempDir place_;
    SnapshotOptions looks_{{ordinary_runtime_directory()}, -1};
    HostSnapshot before_;
};
INSTANTIATE_EVERY_WAY(Background);

TEST_P(Background, returns_when_the_command_runs_and_lives_on) {
    const Ended started = up("web", waits);
    EXPECT_EQ(started.code, 0) << started;
    EXPECT_EQ(started.out, "web\n");
    EXPECT_EQ(started.err, "");
    EXPECT_FALSE(started.output_held) << "the supervisor keeps the caller's streams";
    const Json seen = row("web");
    EXPECT_EQ(seen["state"], "running");
    EXPECT_EQ(seen["network"], "none");
    EXPECT_EQ(seen["profile"], place_ / "web.yaml");
    const pid_t pid = seen["pid"];
    EXPECT_THAT(read_text(cat("/proc/", pid, "/cmdline")), HasSubstr("wait-signal"));
    ASSERT_TRUE(is_ready("web"));
    EXPECT_EQ(verb({"kill", "-s", "USR1", "web"}).code, 0);
    const Ended waited = verb({"wait", "web"});
    EXPECT_EQ(waited.out, "0\n") << waited;
    EXPECT_EQ(waited.code, 0);
    EXPECT_EQ(state("web"), "stopped");
    EXPECT_EQ(verb({"down", "web"}).code, 0);
    EXPECT_EQ(state("web"), "none");
}

TEST_P(Background, says_why_it_does_not_start) {
    const Ended missing = up("web", "process: {command: [/no/such/program]}\n");
    EXPECT_EQ(missing.code, 127) << missing;
    EXPECT_THAT(missing.err, HasSubstr("process.command: '/no/such/program'"));
    EXPECT_EQ(state("web"), "none");
    const Ended folder = up("web", "process: {command: [/sandbox-probe, pid], working_dir: /no/such/folder}\n");
    EXPECT_EQ(folder.code, 125) << folder;
    EXPECT_THAT(folder.err, HasSubstr("step working-dir"));
    EXPECT_EQ(state("web"), "none");
}

TEST_P(Background, stops_by_its_signal_and_then_by_force) {
    ASSERT_EQ(up("gentle", "process: {command: [/sandbox-probe, \"wait-signal:TERM\"]}\n").code, 0);
    ASSERT_TRUE(is_ready("gentle"));
    EXPECT_EQ(verb({"stop", "gentle"}).code, 0);
    EXPECT_EQ(row("gentle")["exit_code"], 0);
    ASSERT_EQ(
        up("stubborn", "process: {command: [/sandbox-probe, \"ignore:TERM\", \"wait-signal:USR1\"]}\nlifecycle: {stop: {grace: 100ms}}\n")
            .code,
        0);
    ASSERT_TRUE(is_ready("stubborn"));
    EXPECT_EQ(verb({"stop", "stubborn"}).code, 0);
    EXPECT_EQ(state("stubborn"), "stopped");
    EXPECT_EQ(verb({"stop", "stubborn"}).code, 0) << "what is stopped is stopped";
}

TEST_P(Background, is_created_and_then_started) {
    const Ended created = verb({"create", write("made", waits)});
    ASSERT_EQ(created.code, 0) << created;
    EXPECT_EQ(created.out, "made\n");
    EXPECT_EQ(state("made"), "created");
    for (const char* wrong : {"pause", "resume", "kill"}) {
        const Ended refused = verb({wrong, "made"});
        EXPECT_EQ(refused.code, 125);
        EXPECT_THAT(refused.err, HasSubstr("sandbox 'made' is created, so it cannot be")) << wrong;
    }
    EXPECT_EQ(verb({"start", "made"}).code, 0);
    ASSERT_TRUE(is_ready("made"));
    EXPECT_EQ(verb({"kill", "-s", "USR1", "made"}).code, 0);
    EXPECT_EQ(verb({"wait", "made"}).code, 0);
    // What has stopped starts again.
    EXPECT_EQ(verb({"start", "made"}).code, 0);
    EXPECT_EQ(state("made"), "running");
    const Ended again = verb({"start", "made"});
    EXPECT_EQ(again.code, 125);
    EXPECT_THAT(again.err, HasSubstr("sandbox 'made' is running, so it cannot be started"));
    EXPECT_EQ(verb({"restart", "made"}).code, 0);
    EXPECT_EQ(state("made"), "running");
    // A created one that is never started can be taken down too.
    ASSERT_EQ(verb({"create", write("never", waits)}).code, 0);
    EXPECT_EQ(verb({"down", "never", "made"}).code, 0);
    EXPECT_EQ(state("never"), "none");
}

TEST_P(Background, has_a_name_once) {
    ASSERT_EQ(up("web", waits).code, 0);
    const Ended twice = up("web", waits);
    EXPECT_EQ(twice.code, 125);
    EXPECT_THAT(twice.err, HasSubstr("sandbox 'web' is running"));
    EXPECT_EQ(verb({"stop", "web"}).code, 0);
    const Ended stopped = up("web", waits);
    EXPECT_EQ(stopped.code, 125);
    EXPECT_THAT(stopped.err, HasSubstr("sandbox 'web' is stopped"));
    EXPECT_THAT(stopped.err, HasSubstr("sandbox start web"));
    const Ended unknown = verb({"down", "wbe"});
    EXPECT_EQ(unknown.code, 125);
    EXPECT_THAT(unknown.err, HasSubstr("there is no sandbox 'wbe'\n  hint: did you mean 'web'?"));
}

TEST_P(Background, whose_supervisor_is_killed_dies_and_is_cleaned) {
    ASSERT_EQ(up("web", "process: {command: [/sandbox-probe, \"spawn-stubborn:3\", \"wait-signal:USR1\"]}\n").code, 0);
    const pid_t payload = row("web")["pid"];
    const Json status = Json::parse(read_text(cat(state_folder(), "/web/status")));
    ASSERT_EQ(kill(status["supervisor"].get<pid_t>(), SIGKILL), 0);
    EXPECT_TRUE(gone_within(payload, milliseconds(5000)));
    const Ended refused = verb({"stop", "web"});
    EXPECT_EQ(refused.code, 125);
    EXPECT_THAT(refused.err, HasSubstr("sandbox 'web' has crashed"));
    // The next start of the name cleans first.
    const Ended again = up("web", waits);
    EXPECT_EQ(again.code, 0) << again;
    EXPECT_THAT(again.err, HasSubstr("cleaned what a killed launcher left"));
}

TEST_P(Background, restarts_as_its_profile_says) {
    ASSERT_EQ(
        up("flaky", "process: {command: [/sandbox-probe, \"exit:3\"]}\nlifecycle: {restart: {policy: on-failure, max: 2, backoff: 10ms}}\n")
            .code,
        0);
    EXPECT_EQ(verb({"wait", "flaky"}).code, 3);
    EXPECT_EQ(row("flaky")["restarts"], 2);
    ASSERT_EQ(up("fine", "process: {command: [/sandbox-probe, \"exit:0\"]}\nlifecycle: {restart: {policy: on-failure}}\n").code, 0);
    EXPECT_EQ(verb({"wait", "fine"}).code, 0);
    EXPECT_EQ(row("fine")["restarts"], 0);
    // Between two runs it can be ended as well.
    ASSERT_EQ(up("forever", "process: {command: [/sandbox-probe, \"exit:0\"]}\nlifecycle: {restart: {policy: always, backoff: 1h}}\n").code,
              0);
    EXPECT_EQ(verb({"down", "forever"}).code, 0);
    EXPECT_EQ(state("forever"), "none");
}

TEST_P(Background, logs_what_it_writes) {
    ASSERT_EQ(up("talk", "process: {command: [/sandbox-probe, \"print:first\", \"print-error:second\", \"wait-signal:USR1\"]}\n").code, 0);
    Process following = Process::start({sandbox_binary(), "logs", "-f", "talk"}, options());
    EXPECT_TRUE(following.expect("\"ready\":true")) << following.out();
    EXPECT_TRUE(following.expect_error("second"));
    ASSERT_TRUE(is_ready("talk"));
    EXPECT_EQ(verb({"kill", "-s", "USR1", "talk"}).code, 0);
    EXPECT_EQ(verb({"wait", "talk"}).code, 0);
    EXPECT_EQ(following.wait().code, 0) << "it ends with the sandbox";
    const Ended all = verb({"logs", "talk"});
    EXPECT_THAT(all.out, HasSubstr("first\n"));
    EXPECT_EQ(all.err, "second\n");
    EXPECT_THAT(verb({"logs", "-t", "--tail", "1", "talk"}).out, ::testing::ContainsRegex("^20[0-9-]*T[0-9:.]*Z \\{"));
    EXPECT_EQ(verb({"logs", "--since", "2100-01-01", "talk"}).out, "");
    EXPECT_THAT(verb({"logs", "--since", "1h", "talk"}).out, HasSubstr("first"));
    const Ended wrong = verb({"logs", "--since", "yesterdayish", "talk"});
    EXPECT_EQ(wrong.code, 125);
    EXPECT_THAT(wrong.err, HasSubstr("'yesterdayish' is neither a time nor a length of time"));
}

TEST_P(Background, says_its_ends_and_its_logs_as_json) {
    ASSERT_EQ(up("talk", "process: {command: [/sandbox-probe, \"print:first\", \"exit:3\"]}\n").code, 0);
    const Json ended = Json::parse(verb({"wait", "--json", "talk"}).out);
    EXPECT_EQ(ended, Json::parse(R"([{"name": "talk", "exit_code": 3, "reason": "exit"}])"));
    const std::string lines = verb({"logs", "--json", "talk"}).out;
    const Json line = Json::parse(lines.substr(0, lines.find('\n')));
    EXPECT_EQ(line["text"], "first");
    EXPECT_EQ(line["stream"], "stdout");
    EXPECT_EQ(line["whole"], true);
    EXPECT_EQ(verb({"down", "talk"}).code, 0);
    EXPECT_EQ(Json::parse(verb({"gc", "--json"}).out), Json::parse(R"({"removed": [], "problems": []})"));
}

// The native protocol of systemd's journal, to a socket of the test's own.
TEST(BackgroundJournal, takes_what_is_written) {
    REQUIRE_OR_SKIP(is_root() && on_private_host(), "makes the journal's socket in an empty /run");
    ASSERT_TRUE(std::filesystem::create_directories("/run/systemd/journal"));
    const Fd journal(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, "/run/systemd/journal/socket");
    ASSERT_EQ(bind(journal.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const TempDir place;
    const std::string profile = place.write(
        "talk.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(),
                         "}\nlogging: {driver: journald}\nprocess: {command: [/sandbox-probe, \"print-error:to the journal\"]}\n"));
    ASSERT_EQ(sandbox_command({"up", "-d", profile}).code, 0);
    // A line of each stream, in the order in which the supervisor sees them.
    std::string text;
    for (int lines = 0; lines < 2; ++lines) {
        char message[4096];
        const ssize_t size = recv(journal.get(), message, sizeof message, 0);
        text.append(message, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    }
    EXPECT_THAT(text, HasSubstr("SANDBOX_NAME=talk\n"));
    EXPECT_THAT(text, HasSubstr("SANDBOX_STREAM=stderr\nPRIORITY=3\n"));
    EXPECT_THAT(text, HasSubstr("MESSAGE\n"));
    EXPECT_THAT(text, HasSubstr("to the journal\n"));
    EXPECT_EQ(sandbox_command({"down", "talk"}).code, 0);
    std::filesystem::remove_all("/run/systemd");
    const Ended missing = sandbox_command({"up", "-d", profile});
    EXPECT_EQ(missing.code, 125);
    EXPECT_THAT(missing.err, HasSubstr("the journal of systemd (/run/systemd/journal/socket): no such file or directory"));
    EXPECT_FALSE(exists("/run/sandbox"));
}

TEST_P(Background, rotates_its_logs) {
    ASSERT_EQ(up("talk", "process: {command: [/sandbox-probe, \"print-lines:1000\"]}\nlogging: {max_size: 4Ki, max_files: 3}\n").code, 0);
    EXPECT_EQ(verb({"wait", "talk"}).code, 0);
    const std::string folder = Json::parse(read_text(cat(state_folder(), "/talk/status")))["logs"];
    for (const char* name : {"/log", "/log.1", "/log.2"}) {
        struct stat about {};
        ASSERT_EQ(stat((folder + name).c_str(), &about), 0) << name;
        EXPECT_LE(about.st_size, 4096) << name;
    }
    EXPECT_FALSE(exists(folder + "/log.3"));
    EXPECT_THAT(verb({"logs", "--tail", "2", "talk"}).out, HasSubstr("line 999\n"));
}

TEST_P(Background, tells_what_happens) {
    Process events = Process::start({sandbox_binary(), "events", "--json"}, options());
    // It listens when its socket is there.
    ASSERT_TRUE(comes_true(folder_of(state_folder()), [] { return exists(state_folder()); }));
    ASSERT_TRUE(comes_true(state_folder(), [] { return exists(state_folder() + "/.events"); }));
    ASSERT_TRUE(comes_true(state_folder() + "/.events", [] { return !std::filesystem::is_empty(state_folder() + "/.events"); }));
    ASSERT_EQ(up("web", waits).code, 0);
    EXPECT_TRUE(events.expect("\"name\":\"web\",\"event\":\"create\"")) << events.out();
    EXPECT_TRUE(events.expect("\"event\":\"start\""));
    EXPECT_EQ(verb({"down", "web"}).code, 0);
    EXPECT_TRUE(events.expect("\"event\":\"die\",\"reason\":\"signal\",\"exit_code\":\"143\"")) << events.out();
    EXPECT_TRUE(events.expect("\"event\":\"remove\""));
    events.signal(SIGTERM);
    EXPECT_EQ(events.wait().code, 0);
}

TEST_P(Background, pauses_and_goes_on) {
    ASSERT_EQ(up("web", "process: {command: [/sandbox-probe, compute-forever]}\n").code, 0);
    const Ended paused = verb({"pause", "web"});
    if (Json::parse(read_text(cat(state_folder(), "/web/status")))["groups"].empty()) {
        EXPECT_EQ(paused.code, 125) << "without a group nothing can be frozen";
        EXPECT_THAT(paused.err, HasSubstr("it has no control group that can be frozen"));
        return;
    }
    ASSERT_EQ(paused.code, 0) << paused;
    EXPECT_EQ(state("web"), "paused");
    const auto used = [this] { return processor_time(row("web")["pid"]); };
    const auto first = used();
    EXPECT_EQ(used(), first) << "it computes while it is paused";
    const Ended twice = verb({"pause", "web"});
    EXPECT_EQ(twice.code, 125);
    EXPECT_THAT(twice.err, HasSubstr("sandbox 'web' is paused, so it cannot be paused"));
    EXPECT_EQ(verb({"resume", "web"}).code, 0);
    EXPECT_EQ(state("web"), "running");
    EXPECT_EQ(verb({"pause", "web"}).code, 0);
    EXPECT_EQ(verb({"down", "web"}).code, 0) << "what is paused can be taken down";
}

TEST_P(Background, costs_less_than_a_mebibyte_of_its_own) {
    ASSERT_EQ(up("web", waits).code, 0);
    const Json status = Json::parse(read_text(cat(state_folder(), "/web/status")));
    const std::string map = read_text(cat("/proc/", status["supervisor"].get<pid_t>(), "/smaps_rollup"));
    const auto at = map.find("Anonymous:");
    ASSERT_NE(at, map.npos);
    EXPECT_LT(std::stol(map.substr(at + 10)), 1024) << map;
}

TEST_P(Background, keeps_nothing_of_the_callers) {
    Options caller = options();
    caller.directory = place_.make("here", 0777);
    caller.add["SECRET"] = "of the caller";
    ASSERT_EQ(sandbox_command({"up", "-d", write("web", cat(waits, "lifecycle: {stop: {grace: 1s}}\n"))}, caller).code, 0);
    const Json status = Json::parse(read_text(cat(state_folder(), "/web/status")));
    const std::string process = cat("/proc/", status["supervisor"].get<pid_t>());
    char link[256];
    const ssize_t size = readlink((process + "/cwd").c_str(), link, sizeof link);
    EXPECT_EQ(std::string(link, static_cast<std::size_t>(std::max<ssize_t>(size, 0))), "/");
    EXPECT_THAT(read_text(cat(state_folder(), "/web/profile.yaml")), Not(HasSubstr("SECRET")));
}

// At the limit of memory, cgroup v1 can wait in place of killing; with more it goes on by itself.
TEST(BackgroundMemory, can_pause_at_its_limit) {
    HOST_ROOT_OR_LEFT_OUT();
    if (!exists("/sys/fs/cgroup/memory/memory.limit_in_bytes")) {
        ::testing::Test::RecordProperty("expected_skip", 1);
        GTEST_SKIP() << "left out: memory is not in cgroup v1 here";
    }
    const TempDir place;
    const auto before = HostSnapshot::take();
    const std::string path = place.write("full.yaml", cat("version: 1\nname: full\nrootfs: {path: ", probe_tree(),
                                                          "}\nresources: {memory: {max: 32Mi, oom: pause}}\n"
                                                          "process: {command: [/sandbox-probe, \"hold-memory:64\"]}\n"));
    ASSERT_EQ(sandbox_command({"up", "-d", path}).code, 0);
    ASSERT_TRUE(comes_true("/run/sandbox/full", [] { return sandbox_command({"ps"}).out.find("paused") != std::string::npos; }));
    const Ended more = sandbox_command({"update", "full", "--set", "resources.memory.max=128Mi"});
    EXPECT_EQ(more.code, 0) << more;
    EXPECT_EQ(sandbox_command({"wait", "full"}).out, "0\n");
    EXPECT_EQ(sandbox_command({"down", "full"}).code, 0);
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Background, has_names_that_shells_complete) {
    ASSERT_EQ(up("webserver", waits).code, 0);
    const std::string script = place_.write("completion", verb({"completion", "bash"}).out);
    Options as = options();
    as.add["PATH"] = folder_of(sandbox_binary()) + ":/usr/bin:/bin";
    const Ended stop = run({"bash", "-c",
                            cat("source ", script, "; COMP_LINE='sandbox stop we' COMP_WORDS=(sandbox stop we) COMP_CWORD=2; _sandbox; ",
                                "echo \"${COMPREPLY[@]}\"")},
                           as);
    EXPECT_EQ(stop.out, "webserver\n") << stop;
    EXPECT_EQ(verb({"completion", "csh"}).code, 125);
}

// ---- health and hooks

TEST_P(Background, runs_its_hooks_around_its_life) {
    place_.make("hooks", 0777);
    const std::string notes = place_ / "hooks/notes";
    const auto hook = [&](const char* word) { return cat("[{command: [/bin/sh, -c, 'echo ", word, " $SANDBOX_NAME >> ", notes, "']}]"); };
    ASSERT_EQ(up("web", cat(waits, "lifecycle: {hooks: {prepare: ", hook("prepare"), ", started: ", hook("started"),
                            ", stopped: ", hook("stopped"), "}}\n"))
                  .code,
              0);
    ASSERT_TRUE(comes_to_hold(notes, "started web\n"));
    EXPECT_EQ(verb({"down", "web"}).code, 0);
    EXPECT_EQ(read_text(notes), "prepare web\nstarted web\nstopped web\n");
    unlink(notes.c_str());
    // A hook that fails before the launch ends it, and what was promised for the end is done.
    const Ended failed =
        up("web", cat(waits, "lifecycle: {hooks: {prepare: [{command: [/bin/false]}], stopped: ", hook("stopped"), "}}\n"));
    EXPECT_EQ(failed.code, 125);
    EXPECT_THAT(failed.err, HasSubstr("step hook.prepare:0: '/bin/false' failed: exit code 1"));
    EXPECT_EQ(read_text(notes), "stopped web\n");
    unlink(notes.c_str());
}

TEST_P(Background, runs_its_last_hook_also_when_its_supervisor_is_killed) {
    place_.make("hooks", 0777);
    const std::string notes = place_ / "hooks/notes";
    ASSERT_EQ(up("web", cat(waits, "lifecycle: {hooks: {stopped: [{command: [/bin/sh, -c, 'echo stopped >> ", notes, "']}]}}\n")).code, 0);
    const Json status = Json::parse(read_text(cat(state_folder(), "/web/status")));
    ASSERT_EQ(kill(status["supervisor"].get<pid_t>(), SIGKILL), 0);
    EXPECT_TRUE(gone_within(status["init"].get<pid_t>(), milliseconds(5000)));
    EXPECT_EQ(verb({"gc"}).code, 0);
    EXPECT_EQ(read_text(notes), "stopped\n");
    unlink(notes.c_str());
}

}  // namespace
