// A further command in a living sandbox: it is what the payload is, and ends with whoever asked for it and with the sandbox.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "views.h"
#include "ways.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* name = "exec-test";

std::string link_at(const std::string& path) {
    char text[512];
    const ssize_t size = readlink(path.c_str(), text, sizeof text);
    return size < 0 ? std::string() : std::string(text, static_cast<std::size_t>(size));
}

// The processes of exactly these words, as the host sees them.
std::vector<pid_t> find_processes(const Words& argv) {
    std::string wanted;
    for (const std::string& word : argv) wanted += word + '\0';
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto pid = sandbox::parse_int(entry.path().filename().string());
        if (pid && read_text(cat(entry.path().string(), "/cmdline")) == wanted) found.push_back(static_cast<pid_t>(*pid));
    }
    return found;
}
pid_t find_process(const Words& argv) {
    const auto found = find_processes(argv);
    return found.empty() ? 0 : found.front();
}

// What makes up a process's rights and surroundings, from outside.
Json view_of(pid_t pid) {
    const std::string base = cat("/proc/", pid);
    Json seen{{"cgroup", read_text(base + "/cgroup")},
              {"limits", read_text(base + "/limits")},
              {"personality", read_text(base + "/personality")},
              {"oom", read_text(base + "/oom_score_adj")},
              {"root", link_at(base + "/root")},
              {"cwd", link_at(base + "/cwd")}};
    const std::string status = read_text(base + "/status");
    for (const std::string_view line : sandbox::split(status, '\n')) {
        const std::string_view key = line.substr(0, line.find(':'));
        for (const std::string_view wanted :
             {"Uid", "Gid", "Groups", "Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters",
              "SigIgn", "SigBlk", "Cpus_allowed", "Mems_allowed"})
            if (key == wanted) seen[std::string(key)] = std::string(line);
    }
    for (const char* kind : {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"})
        seen[cat("ns ", kind)] = link_at(cat(base, "/ns/", kind));
    return seen;
}

std::vector<std::string> descriptors_of(pid_t pid) {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(cat("/proc/", pid, "/fd")))
        out.push_back(entry.path().filename().string());
    std::ranges::sort(out);
    return out;
}

pid_t parent_of(pid_t pid) {
    const std::string status = read_text(cat("/proc/", pid, "/status"));
    const auto at = status.find("PPid:\t");
    return static_cast<pid_t>(std::stol(status.substr(at + 6)));
}

// A process that can be waited for although it is not ours.
class Watched {
   public:
    explicit Watched(pid_t pid) : pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}
    [[nodiscard]] bool ends(milliseconds patience = milliseconds(10000)) const {
        pollfd ready{pidfd_.get(), POLLIN, 0};
        return pidfd_ && poll(&ready, 1, static_cast<int>(patience.count())) == 1;
    }

   private:
    Fd pidfd_;
};

class Exec : public EveryWay {
   protected:
    // Sandboxes of a test end by the death of their launchers.
    static void clean() {
        sandbox_command({"gc"});
        sandbox_command({"gc"}, ordinary_user());
    }
    void SetUp() override {
        EveryWay::SetUp();
        REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
        clean();
    }
    void TearDown() override {
        if (is_root()) clean();
    }
    static std::string in_own(std::string_view rest = {}) { return profile(cat("name: ", name, "\nrootfs: {path: @BUSYBOX@}\n", rest)); }
    static Process start(std::string_view text, Words argv = {"/sandbox-probe", "hold"}) {
        Options held = options();
        held.keep_input_open = true;
        Process sandbox = start_sandbox(text, argv, held);
        EXPECT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.err();
        return sandbox;
    }
    static Words words(const Words& flags, const Words& argv) {
        Words all{sandbox_binary(), "exec"};
        all.insert(all.end(), flags.begin(), flags.end());
        all.insert(all.end(), {name, "--"});
        all.insert(all.end(), argv.begin(), argv.end());
        return all;
    }
    static Ended exec(const Words& argv, const Words& flags = {}, Options how = options()) { return run(words(flags, argv), how); }
    static Json probe(Words verbs, const Words& flags = {}) {
        verbs.insert(verbs.begin(), "/sandbox-probe");
        return last_json(exec(verbs, flags));
    }
    static Process begin(const Words& argv, bool pty = false, const Words& flags = {}) {
        exec({"/sandbox-probe", "pid"});
        Options how = options();
        how.keep_input_open = !pty;
        how.pty = pty;
        return Process::start(words(flags, argv), how);
    }
};

INSTANTIATE_EVERY_WAY(Exec);

constexpr const char* rich = R"(
process: {umask: '0027', working_dir: /tmp, oom_score_adj: 300, environment: {A: b}}
ulimits: {nofile: 200:300, core: 0}
time: {boottime: 48h}
resources: {pids: 40}
policy: {unsupported: warn}
)";

TEST_P(Exec, is_what_the_payload_is) {
    for (const char* more : {"", rich, "namespaces: {pid: host}\nproc: {mode: inherit}\n", "process: {init: false}\n",
                             "capabilities: {drop: [all], add: [CHOWN]}\nsecurity: {seccomp: {deny: [mkdirat]}}\n"}) {
        const Process sandbox = start(in_own(more));
        const Words argv{"/sandbox-probe", "hold", "umask"};
        Process command = begin(argv);
        ASSERT_TRUE(command.expect("\"ready\":true")) << more << command.err();
        const pid_t payload = find_process({"/sandbox-probe", "hold"}), other = find_process(argv);
        ASSERT_NE(payload, 0) << more;
        ASSERT_NE(other, 0) << more;
        EXPECT_EQ(view_of(payload), view_of(other)) << more;
        EXPECT_EQ(descriptors_of(other), (Names{"0", "1", "2"})) << more;
        EXPECT_EQ(read_text(cat("/proc/", payload, "/environ")), read_text(cat("/proc/", other, "/environ"))) << more;
        command.close_input();
        EXPECT_EQ(command.wait().code, 0) << more;
    }
}

TEST_P(Exec, has_an_init_that_holds_nothing_and_cannot_be_written) {
    const Process sandbox = start(in_own());
    const Words argv{"/sandbox-probe", "hold", "umask"};
    Process command = begin(argv);
    ASSERT_TRUE(command.expect("\"ready\":true")) << command.err();
    const pid_t init = parent_of(find_process(argv));
    // The pipe that tells how exec went is closed a moment after it has.
    for (const std::string& number : descriptors_of(init)) {
        const std::string target = link_at(cat("/proc/", init, "/fd/", number));
        EXPECT_THAT(target, ::testing::AnyOf("/dev/null", "anon_inode:[signalfd]", ::testing::StartsWith("socket:"),
                                             ::testing::StartsWith("pipe:"), ""));
    }
    EXPECT_LE(descriptors_of(init).size(), 6U);
    EXPECT_THAT(link_at(cat("/proc/", init, "/exe")), HasSubstr("memfd:sandbox-init"));
    const Fd image(open(cat("/proc/", init, "/exe").c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(image);
    EXPECT_EQ(fcntl(image.get(), F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
    const Ended inside =
        exec({"/bin/sh", "-c", "echo x > /proc/$PPID/exe; readlink /proc/$PPID/fd/3 /proc/$PPID/exe /proc/$PPID/cwd; exit 3"});
    EXPECT_EQ(inside.code, 3) << inside;
    EXPECT_THAT(inside.out, IsEmpty());
    EXPECT_THAT(inside.err, Not(HasSubstr("Text file busy"))) << "it could not even be looked at";
    command.close_input();
    EXPECT_EQ(command.wait().code, 0);
}

TEST_P(Exec, ends_as_its_command_does) {
    const Process sandbox = start(in_own());
    EXPECT_EQ(exec({"/sandbox-probe", "exit:7"}).code, 7);
    EXPECT_EQ(exec({"/sandbox-probe", "kill:KILL"}).code, 128 + SIGKILL);
    const Ended missing = exec({"no-such-command"});
    EXPECT_EQ(missing.code, 127) << missing;
    EXPECT_THAT(missing.err, HasSubstr("sandbox: error: 'no-such-command': no such file")) << missing;
    const Ended folder = exec({"/tmp"});
    EXPECT_EQ(folder.code, 126) << folder;
    const Ended nowhere = exec({"/bin/true"}, {"-w", "/nowhere"});
    EXPECT_EQ(nowhere.code, 125);
    EXPECT_THAT(nowhere.err, HasSubstr("/nowhere"));
    EXPECT_EQ(exec({"/bin/true"}, {"-w", "../x"}).code, 125);
    EXPECT_EQ(exec({}).code, 125);
    EXPECT_EQ(exec({"/bin/true"}, {"-u", "nobody-here"}).code, 125);
    EXPECT_EQ(exec({"/bin/true"}, {"-u", "1x"}).code, 125);
}

TEST_P(Exec, takes_directory_and_variables) {
    const Process sandbox = start(in_own("process: {environment: {A: b, C: d}}\n"));
    Options how = options();
    how.add["PASSED"] = "on";
    how.add["SECRET"] = "no";
    const Ended ended = exec({"/sandbox-probe", "cwd", "env"}, {"-e", "A=x=y", "--env", "PASSED", "-w", "/usr/"}, how);
    const Json seen = last_json(ended);
    EXPECT_EQ(seen["cwd"], "/usr") << ended;
    EXPECT_EQ(seen["env"]["A"], "x=y");
    EXPECT_EQ(seen["env"]["C"], "d");
    EXPECT_EQ(seen["env"]["PASSED"], "on");
    EXPECT_FALSE(seen["env"].contains("SECRET")) << seen;
}

TEST_P(Exec, takes_another_user) {
    const Process sandbox = start(in_own());
    if (GetParam().ordinary) {
        const Ended ended = exec({"/sandbox-probe", "ids"}, {"-u", "7"});
        EXPECT_EQ(ended.code, 125);
        EXPECT_THAT(ended.err, HasSubstr("uid 7 is not in the sandbox's id map")) << ended;
        return;
    }
    const Json seen = probe({"ids", "caps"}, {"-u", "7:8"});
    EXPECT_EQ(seen["ids"]["uid"], 7);
    EXPECT_EQ(seen["ids"]["gid"], 8);
    EXPECT_EQ(seen["ids"]["groups"], Json::array());
    const Json payload = probe({"caps"})["caps"];
    EXPECT_EQ(seen["caps"]["bounding"], payload["bounding"]);
}

TEST_P(Exec, has_a_terminal_of_the_sandboxes_own) {
    const Process sandbox = start(in_own());
    Process command = begin({"/sandbox-probe", "tty", "winsize", "read-line"}, true);
    command.send("hello\r");
    const Ended ended = command.wait();
    EXPECT_EQ(ended.code, 0) << ended;
    const Json seen = last_json(ended);
    EXPECT_EQ(seen["tty"]["controlling"], "ok") << ended;
    EXPECT_THAT(seen["tty"]["descriptors"][0]["name"].dump(), HasSubstr("/dev/pts/"));
    EXPECT_EQ(seen["winsize"], (Json{{"rows", 24}, {"columns", 80}}));
    Process none = begin({"/sandbox-probe", "tty"}, true, {"--no-tty"});
    EXPECT_EQ(last_json(none.wait())["tty"]["controlling"], "ENXIO");
    EXPECT_EQ(probe({"tty"})["tty"]["controlling"], "ENXIO");
    EXPECT_EQ(probe({"tty"}, {"--tty"})["tty"]["controlling"], "ok");
}

TEST_P(Exec, gives_the_terminal_its_settings_back) {
    const Process sandbox = start(in_own());
    Process command = begin({"/sandbox-probe", "wait-signal:INT"}, true);
    termios before{}, during{}, after{};
    ASSERT_EQ(tcgetattr(command.terminal(), &before), 0);
    ASSERT_TRUE(command.expect("\"ready\":true"));
    tcgetattr(command.terminal(), &during);
    EXPECT_EQ(during.c_lflag & (ICANON | ISIG | ECHO), 0U);
    command.send("\x03");
    EXPECT_EQ(last_json(command.wait())["wait-signal:INT"], "SIGINT");
    tcgetattr(command.terminal(), &after);
    EXPECT_NE(after.c_lflag & (ICANON | ISIG | ECHO), 0U);
}

TEST_P(Exec, passes_streams_on) {
    const Process sandbox = start(in_own());
    Options how = options();
    how.input = std::string(300000, 'x');
    const Ended ended = exec({"/bin/sh", "-c", "wc -c; echo oops >&2"}, {}, how);
    EXPECT_EQ(sandbox::trim(ended.out), "300000") << ended;
    EXPECT_EQ(ended.err, "oops\n");
}

TEST_P(Exec, gets_signals) {
    const Process sandbox = start(in_own());
    for (const auto& [word, number] : {std::pair("USR1", SIGUSR1), {"INT", SIGINT}, {"TERM", SIGTERM}, {"HUP", SIGHUP}}) {
        const std::string verb = cat("wait-signal:", word);
        Process command = begin({"/sandbox-probe", verb});
        ASSERT_TRUE(command.expect("\"ready\":true")) << command.err();
        command.signal(number);
        EXPECT_THAT(last_json(command.wait())[verb].get<std::string>(), HasSubstr(word));
    }
}

TEST_P(Exec, leaves_nothing_of_its_command) {
    for (const char* more : {"", "namespaces: {pid: host}\nproc: {mode: inherit}\n", "proc: {mode: none}\n"}) {
        const Process sandbox = start(in_own(more));
        const Words argv{"/sandbox-probe", "spawn-orphans:3", "spawn-stubborn:3", "exit:4"};
        const Ended ended = exec(argv);
        EXPECT_EQ(ended.code, 4) << more << ended;
        EXPECT_EQ(find_process(argv), 0) << more;
    }
}

TEST_P(Exec, ends_with_whoever_asked_for_it) {
    for (const char* more : {"", "namespaces: {pid: host}\nproc: {mode: inherit}\n"}) {
        const Process sandbox = start(in_own(more));
        const Words argv{"/sandbox-probe", "spawn-stubborn:3", "wait-signal:USR1"};
        Process command = begin(argv);
        ASSERT_TRUE(command.expect("\"ready\":true")) << command.err();
        std::vector<Watched> processes;
        for (const pid_t pid : find_processes(argv)) processes.emplace_back(pid);
        EXPECT_EQ(processes.size(), 4U) << more;
        command.signal(SIGKILL);
        command.wait();
        for (const Watched& process : processes) EXPECT_TRUE(process.ends()) << more;
        EXPECT_FALSE(sandbox.has_ended());
    }
}

TEST_P(Exec, ends_with_the_sandbox) {
    for (const char* more : {"", "namespaces: {pid: host}\nproc: {mode: inherit}\n"}) {
        Process sandbox = start(in_own(more));
        const Words argv{"/sandbox-probe", "spawn-stubborn:3", "hold", "umask"};
        Process command = begin(argv);
        ASSERT_TRUE(command.expect("\"ready\":true")) << command.err();
        sandbox.close_input();
        EXPECT_EQ(sandbox.wait().code, 0) << more;
        const Ended ended = command.wait();
        EXPECT_EQ(ended.code, 128 + SIGKILL) << more << ended;
        EXPECT_THAT(find_processes(argv), IsEmpty()) << more;
    }
}

// The first process of a namespace waits until all others have been waited for, by whoever it is.
TEST_P(Exec, does_not_keep_a_sandbox_from_ending) {
    Process sandbox = start(in_own());
    Process command = begin({"/sandbox-probe", "hold"});
    ASSERT_TRUE(command.expect("\"ready\":true")) << command.err();
    command.signal(SIGSTOP);
    sandbox.close_input();
    const Ended ended = sandbox.wait();
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_LT(ended.seconds, 10);
    command.signal(SIGCONT);
    EXPECT_EQ(command.wait().code, 128 + SIGKILL);
}

TEST_P(Exec, is_refused_where_nothing_runs) {
    const Ended none = run(words({}, {"/bin/true"}), options());
    EXPECT_EQ(none.code, 125);
    EXPECT_THAT(none.err, HasSubstr("there is no sandbox 'exec-test'"));
    const TempDir place;
    const std::string file = place.write("p.yaml", cat("version: 1\nname: ", name, "\nid_map: ", GetParam().id_map,
                                                       "\nrootfs: {path: ", busybox_tree(), "}\nlogging: {driver: none}\n"));
    hand_over(place);
    ASSERT_TRUE(sandbox_command({"create", file, "--", "/bin/true"}, options()).ok());
    const Ended created = exec({"/bin/true"});
    EXPECT_EQ(created.code, 125);
    EXPECT_THAT(created.err, HasSubstr("created and not started")) << created;
    ASSERT_TRUE(sandbox_command({"start", name}, options()).ok());
    sandbox_command({"wait", name}, options());
    const Ended stopped = exec({"/bin/true"});
    EXPECT_EQ(stopped.code, 125);
    EXPECT_THAT(stopped.err, HasSubstr("is stopped")) << stopped;
    EXPECT_TRUE(sandbox_command({"down", name}, options()).ok());
}

TEST_P(Exec, is_refused_while_paused) {
    const Process sandbox = start(in_own());
    exec({"/bin/true"});
    const Ended pause = sandbox_command({"pause", name}, options());
    if (GetParam().ordinary) return;  // has no control group that could be frozen
    ASSERT_TRUE(pause.ok()) << pause;
    const Ended ended = exec({"/bin/true"});
    EXPECT_EQ(ended.code, 125);
    EXPECT_THAT(ended.err, HasSubstr("is paused")) << ended;
    EXPECT_TRUE(sandbox_command({"resume", name}, options()).ok());
    EXPECT_EQ(exec({"/bin/true"}).code, 0);
}

// What a payload has made of its passwd is text, and a link in it leads nowhere but into the sandbox.
TEST_P(Exec, looks_users_up_beneath_the_root) {
    const TempDir place;
    for (const char* folder : {"proc", "sys", "dev", "etc", "tmp", "bin"}) place.make(cat("root/", folder));
    std::filesystem::copy_file(probe_binary(), place / "root/sandbox-probe");
    place.write("secret", "guest:x:0:0::/stolen:/bin/sh\n");
    place.link("root/etc/passwd", cat("../../../../..", place / "secret"));
    hand_over(place);
    const Process sandbox = start(profile(cat("name: ", name, "\nrootfs: {path: ", place / "root", "}\n")));
    const Ended ended = exec({"/sandbox-probe", "env"}, {"-u", "guest"});
    EXPECT_EQ(ended.code, 125);
    EXPECT_THAT(ended.err, HasSubstr("no user 'guest' in the sandbox's /etc/passwd")) << ended;
}

// Another user's sandbox is out of reach, and root's is where a user does not look.
TEST_P(Exec, is_of_the_callers_own_sandboxes) {
    const Process sandbox = start(in_own());
    const Options other = GetParam().ordinary ? Options() : ordinary_user();
    EXPECT_THAT(run(words({}, {"/bin/true"}), other).err, HasSubstr("there is no sandbox"));
}

}  // namespace
