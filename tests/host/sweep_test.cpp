// The fault sweep and the kill sweep: a launch that fails, or whose launcher is killed, at each of its steps leaves the
// host as it was. The launches are made by sandbox-sweep (sweep/main.cpp).

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "base/text.h"
#include "harness.h"
#include "own_network.h"
#include "plan/step.h"
#include "snapshot.h"

namespace {

using namespace harness;
using sandbox::cat;
using sandbox::split;
using std::chrono::steady_clock;

// ---- processes

std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> children;
    const std::string text = read_text(cat("/proc/", pid, "/task/", pid, "/children"));
    for (const std::string_view word : split(text, ' '))
        if (const auto child = sandbox::parse_int(word)) children.push_back(static_cast<pid_t>(*child));
    return children;
}

// Waits until this process has no living descendants but `others` (and theirs). What is left then, in words.
std::string wait_for_tree(const std::set<pid_t>& others, milliseconds patience) {
    const auto deadline = steady_clock::now() + patience;
    while (true) {
        std::vector<pid_t> left;
        for (const pid_t pid : children_of(getpid()))
            if (!others.contains(pid)) left.push_back(pid);
        if (left.empty()) return {};
        for (const pid_t pid : left) {
            const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
            const auto rest = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
            pollfd gone{pidfd.get(), POLLIN, 0};
            if (poll(&gone, 1, static_cast<int>(std::max<long>(rest.count(), 0))) != 1)
                return cat("process ", pid, " still lives: ", read_text(cat("/proc/", pid, "/comm")));
            // Its own children are ours from now on.
            waitpid(pid, nullptr, 0);
        }
    }
}

// ---- a launch

struct Case {
    std::string name, profile;
    Options options;
    std::vector<std::string> scratch;  // what of the host it may touch
    std::set<pid_t> others;            // helper processes of the case
    bool only_host_steps = false;      // the others are those of a case that has them all
    bool only_network_steps = false;
};

bool is_of_network(const std::string& step) {
    return step.starts_with("net.") || step.starts_with("namespace.") || step.starts_with("ports.") || step.starts_with("names.");
}

struct Result {
    int code = -1;  // as a shell says it: 137 for SIGKILL
    Json report;
    std::string output;
};

class Pty {
   public:
    Pty() {
        int master = -1, terminal = -1;
        winsize size{24, 80, 0, 0};
        if (openpty(&master, &terminal, nullptr, nullptr, &size) != 0) throw std::runtime_error("openpty");
        master_ = Fd(master);
        terminal_ = Fd(terminal);
    }
    [[nodiscard]] int terminal() const { return terminal_.get(); }

   private:
    Fd master_, terminal_;
};

class Sweep {
   public:
    explicit Sweep(Case what) : case_(std::move(what)) {
        profile_ = place_.write(case_.name + ".yaml", case_.profile);
        // Of an earlier sandbox a process may still wait for the kernel (SandboxNetwork::finish_apart).
        EXPECT_EQ(wait_for_tree(case_.others, milliseconds(5000)), "");
        before_ = HostSnapshot::take(looks(reference_.terminal()));
    }

    // The plan and, from a launch that nothing disturbs, its events.
    void prepare() {
        plan_ = ask({"plan"}).report;
        ASSERT_TRUE(plan_.is_object()) << case_.name << ": no plan";
        Result undisturbed = launch({"trace"}, false);
        EXPECT_EQ(undisturbed.code, 0) << undisturbed.output;
        events_ = undisturbed.report["events"];
        EXPECT_EQ(undisturbed.report["problems"], Json::array());
        ASSERT_GT(events_.size(), 0U);
    }

    void every_step(bool kill) {
        prepare();
        if (testing::Test::HasFatalFailure()) return;
        const std::string verb = kill ? "kill" : "fail";
        for (std::size_t i = 0; i < events_.size() && !too_many(); ++i)
            if (!case_.only_network_steps || is_of_network(events_[i]["step"].get<std::string>()))
                one({verb, std::to_string(i)}, kill, events_[i]);
        if (case_.only_host_steps || case_.only_network_steps) return;
        for (std::size_t k = 0; k < plan_["steps"].size() && !too_many(); ++k)
            if (plan_["steps"][k]["sandbox"])
                one({verb, "step", std::to_string(k)}, kill, {{"step", plan_["steps"][k]["id"]}, {"moment", "before"}});
    }

    Json plan() {
        Result result = ask({"plan"});
        EXPECT_TRUE(result.report.is_object()) << result.output;
        return result.report;
    }

   private:
    [[nodiscard]] SnapshotOptions looks(int terminal) const { return {case_.scratch, case_.options.pty ? terminal : -1}; }
    [[nodiscard]] static bool too_many() { return testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count() > 6; }

    void one(const Words& words, bool kill, const Json& event) {
        SCOPED_TRACE(cat(case_.name, ": ", words[0], " at ", event["step"].get<std::string>(), " ", event["moment"].get<std::string>()));
        const Result result = launch(words, kill);
        if (kill) {
            EXPECT_EQ(result.code, 128 + SIGKILL) << result.output;
            return;
        }
        EXPECT_EQ(result.code, 125) << result.output;
        if (!result.report.is_object()) return;
        EXPECT_NE(result.report.value("error", "").find("the sweep says so"), std::string::npos) << result.report;
        EXPECT_EQ(result.report["problems"], Json::array());
        EXPECT_EQ(result.report["events"].back(), event);
    }

    struct Started {
        Process process;
        Fd report;
    };

    // On a pty the launcher has a shell above it that stays: with the first process of a session the terminal goes.
    Started start(const Words& words) {
        Fd report(memfd_create("report", 0));
        Words argv;
        if (case_.options.pty) argv = {"/bin/sh", "-c", "\"$@\"; echo \"ended $?.\"; read line", "sh"};
        argv.insert(argv.end(), {sweep_binary(), profile_, std::to_string(report.get())});
        argv.insert(argv.end(), words.begin(), words.end());
        Options options = case_.options;
        options.pass.push_back(report.get());
        return {Process::start(argv, options), std::move(report)};
    }

    static Json read_report(const Fd& report) {
        const std::string text = read_text(cat("/proc/self/fd/", report.get()));
        return Json::parse(text, nullptr, false);
    }

    Result ask(const Words& words) {
        Started started = start(words);
        return end(started);
    }

    Result end(Started& started) {
        Result result;
        if (case_.options.pty) started.process.send("\n");
        const Ended ended = started.process.wait();
        result.output = cat(ended.out, ended.err);
        result.code = ended.signal != 0 ? 128 + ended.signal : ended.code;
        result.report = read_report(started.report);
        return result;
    }

    Result launch(const Words& words, bool killed) {
        Started started = start(words);
        if (!case_.options.pty) {
            Result result = end(started);
            compare_with_before(killed, -1, 0);
            return result;
        }
        EXPECT_TRUE(started.process.expect("ended ")) << started.process.out();
        EXPECT_TRUE(started.process.expect(".")) << started.process.out();
        const std::string out = started.process.out();
        const auto code = sandbox::parse_int(std::string_view(out).substr(out.rfind("ended ") + 6).substr(0, 3));
        compare_with_before(killed, started.process.terminal(), started.process.pid());
        Result result = end(started);
        result.code = code ? static_cast<int>(*code) : out.find("ended 0.") != out.npos ? 0 : -1;
        return result;
    }

    void compare_with_before(bool killed, int terminal, pid_t shell) {
        if (killed) {
            std::set<pid_t> others = case_.others;
            others.insert(shell);
            EXPECT_EQ(wait_for_tree(others, milliseconds(5000)), "");
            Options options = case_.options;
            options.pty = false;
            const Ended cleaned = sandbox_command({"gc"}, options);
            EXPECT_TRUE(cleaned.ok() && cleaned.err.empty()) << cleaned;
        }
        EXPECT_EQ(differences(terminal, shell), "");
    }

    // What a network namespace held goes a moment after its last process; everything else has to be gone by now.
    std::string differences(int terminal, pid_t shell) {
        const auto deadline = steady_clock::now() + milliseconds(5000);
        while (true) {
            HostSnapshot after = HostSnapshot::take(looks(terminal));
            if (shell)
                std::erase_if(after.sections["processes"], [&](const auto& item) { return item.first.starts_with(cat(shell, " ")); });
            std::string out = compare(before_, after);
            if (out.empty() || differ_beyond_network(before_, after) || steady_clock::now() >= deadline) return out;
            poll(nullptr, 0, 5);
        }
    }

    Case case_;
    TempDir place_;
    Pty reference_;
    std::string profile_;
    HostSnapshot before_;
    Json plan_, events_;
};

// ---- the plans. Together they have every kind of step. Root of a user namespace has them with what the kernel leaves to
// the machine's own root taken out.

// What is said of /proc where the process ids are the host's: a fresh one is for root of the user namespace that they belong to.
const char* foreign_proc() { return is_host_root() ? "" : "proc: {mode: inherit}\n"; }

std::string in(std::string text, const std::string& place) {
    const std::vector<std::pair<std::string, std::string>> words{
        {"@T@", place},
        {"@PROBE_TREE@", probe_tree()},
        {"@PROBE@", probe_binary()},
        {"@DEVICE@", is_host_root() ? "{path: /dev/sweep, type: char, major: 1, minor: 5}" : "{path: /dev/zero, target: /dev/sweep}"},
        {"@CHOWN@", is_host_root() ? "chown" : "auto"}};
    for (const auto& [word, value] : words)
        for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + value.size()))
            text.replace(at, word.size(), value);
    return text;
}

// A file that stands in for one of the host's own.
class StandIn {
   public:
    StandIn(const std::string& file, std::string place) : place_(std::move(place)) {
        if (mount(file.c_str(), place_.c_str(), nullptr, MS_BIND, nullptr) != 0) throw std::runtime_error("cannot cover " + place_);
    }
    StandIn(const StandIn&) = delete;
    ~StandIn() { umount2(place_.c_str(), MNT_DETACH); }

   private:
    std::string place_;
};

// A network namespace of the test's own, with loopback up, in which it is until the end of the scope.
class OwnHost {
   public:
    OwnHost() : inside_(made_) {}

   private:
    Fd made_ = new_network();
    InNetwork inside_;
};

// A sandbox that runs meanwhile, and ends in good order.
class Neighbour {
   public:
    Neighbour(const std::string& name, const std::string& network, const Options& options = {})
        : process_(start_sandbox(cat("version: 1\nrootfs: {path: @PROBE_TREE@}\n", network), {"/sandbox-probe", "wait-signal:TERM"},
                                 named(name, options))) {
        if (!process_.expect("\"ready\":true")) throw std::runtime_error(cat("no sandbox ", name, ": ", process_.out(), process_.err()));
    }
    Neighbour(const Neighbour&) = delete;
    ~Neighbour() { end(SIGTERM); }
    [[nodiscard]] pid_t pid() const { return process_.pid(); }
    void kill() { end(SIGKILL); }

   private:
    static Options named(const std::string& name, Options options) {
        options.up = {"--name", name};
        return options;
    }
    void end(int signal) {
        if (std::exchange(ended_, true)) return;
        process_.signal(signal);
        process_.wait();
    }
    Process process_;
    bool ended_ = false;
};

// A case with what must live as long as it.
struct Prepared {
    std::unique_ptr<TempDir> place = std::make_unique<TempDir>();
    std::vector<std::unique_ptr<StandIn>> covered;
    std::optional<Process> helper;
    std::unique_ptr<OwnHost> network;
    std::unique_ptr<Neighbour> neighbour;
    Case what;
};

// Layers on disk whose upper and work are to be made, tuning, clocks, devices, a terminal.
Prepared overlay_case() {
    Prepared p;
    EXPECT_EQ(chmod(p.place->path().c_str(), 0700), 0) << "an upper must be out of others' reach";
    p.place->write("lower/etc/extra", "extra\n");
    p.place->write("source/kept", "kept\n");
    p.place->write("file", "text\n");
    p.what = {"sweep-overlay",
              in(R"(version: 1
rootfs:
  overlay: {lower: [@T@/lower, @PROBE_TREE@], upper: @T@/made/upper, work: @T@/scratch}
  propagation: shared
mounts:
  - {type: tmpfs, target: /tmp, size: 1Mi}
  - {type: overlay, target: /mnt, overlay: {lower: [@T@/lower], upper: @T@/second}}
  - {source: @T@/source, target: /work, mode: rw}
  - {source: @T@/file, target: /work/new/file}
  - {type: tmpfs, target: /work/new/folder, mode: ro}
files: {/tmp/note: {content: hello, perm: "0600", uid: 1000}}
dirs: [/tmp/folder, /work/made/deep]
symlinks: {/tmp/link: note, /work/link: nowhere}
mask: [/etc/passwd]
readonly_paths: [/etc]
sysctl: {net.ipv4.ip_default_ttl: 65}
ulimits: {nofile: "256:512"}
hostname: inside
domainname: example
namespaces: {time: private}
time: {boottime: 1h, monotonic: 1h}
devices: [@DEVICE@]
process:
  command: [/sandbox-probe, pid]
  user: "1000:1000"
  groups: ["29"]
  oom_score_adj: 100
  nice: 5
  scheduler: batch
  io_priority: best-effort:4
  cpu_affinity: "0"
  personality: linux32
)",
                 p.place->path()),
              {},
              {p.place->path()},
              {}};
    p.what.options.pty = true;
    return p;
}

// A tree given to the sandbox's ids (where those are others than its own), with targets to be made in it; input through a pipe.
Prepared chown_case() {
    Prepared p;
    for (const char* name : {"root/etc", "root/proc", "root/home/user"}) p.place->make(name);
    std::filesystem::copy_file(probe_binary(), *p.place / "root/sandbox-probe");
    p.place->write("root/set-user-id", "x", 04755);
    p.place->link("root/link", "/etc/passwd");
    EXPECT_EQ(chown((*p.place / "root/home/user").c_str(), 1000, 1000), 0);
    p.place->write("file", "text\n");
    p.what = {"sweep-chown",
              in(R"(version: 1
rootfs: {path: @T@/root, idmap: @CHOWN@}
mounts:
  - {type: tmpfs, target: /new/place}
  - {source: @T@/file, target: /opt/file}
files: {/etc/note: {content: hello}}
dirs: [/var/lib/made]
symlinks: {/etc/localtime: /nowhere}
process:
  command: [/sandbox-probe, pid]
  stdin: pipe
)",
                 p.place->path()),
              {},
              {p.place->path()},
              {}};
    return p;
}

// The host's own tree, read-only, with a target that it does not have.
Prepared host_case() {
    Prepared p;
    p.place->write("file", "text\n");
    p.what = {"sweep-host",
              in(R"(version: 1
rootfs: {host: ro}
mounts:
  - {type: tmpfs, target: /srv/sandbox-sweep/deep}
  - {source: @T@/file, target: /srv/sandbox-sweep-file}
mask: [/home]
process:
  command: [@PROBE@, pid]
  stdin: null
)",
                 p.place->path()),
              {},
              {p.place->path(), "/srv"},
              {}};
    return p;
}

// Namespaces of another process, standard streams through pipes although the caller has a terminal.
Prepared joined_case() {
    Prepared p;
    Options options;
    options.keep_input_open = true;
    p.helper.emplace(Process::start({"unshare", "--net", "--ipc", "cat"}, options));
    p.helper->send("made\n");
    if (!p.helper->expect("made\n")) throw std::runtime_error("no helper with namespaces of its own");
    const std::string spaces = cat("/proc/", p.helper->pid(), "/ns/");
    p.what = {"sweep-joined",
              in(cat(R"(version: 1
rootfs: {path: @PROBE_TREE@, readonly: true}
namespaces: {ipc: {path: )",
                     spaces, R"(ipc}}
network: {mode: path, path: )",
                     spaces, R"(net}
process: {command: [/sandbox-probe, pid], tty: false}
)"),
                 p.place->path()),
              {},
              {p.place->path(), probe_tree()},
              {p.helper->pid()}};
    p.what.options.pty = true;
    return p;
}

// The host's process ids, so that /proc comes from outside, and the host's other namespaces.
Prepared shared_case() {
    Prepared p;
    p.place->make("source");
    p.what = {"sweep-shared",
              in(cat(R"(version: 1
rootfs: {path: @PROBE_TREE@}
mounts:
  - {source: @T@/source, target: /work, mode: rw}
  - {type: tmpfs, target: /work/new}
namespaces: {pid: host, ipc: host, uts: host, cgroup: host}
network: {mode: host}
process: {command: [/sandbox-probe, pid]}
)",
                     foreign_proc()),
                 p.place->path()),
              {},
              {p.place->path(), probe_tree()},
              {}};
    return p;
}

// Groups of every tree that can be used here, with a shared one above; a detached sandbox that is created and then started, logs and
// hooks. Root of a user namespace may make no groups: there it is the rest.
Prepared groups_case() {
    Prepared p;
    p.place->make("logs");
    std::string limits;
    if (is_host_root()) {
        limits =
            "resources:\n  memory: {max: 64Mi}\n  cpu: {limit: 0.5, set: \"0\"}\n  pids: 64\n"
            "cgroup: {parent: {name: sweep/tier, pids: 256}, delegate: true}\nid_map: host\n";
        // Where there is a unified tree whose controllers are not handed out yet, it has to be asked to.
        if (exists("/sys/fs/cgroup/unified/cgroup.controllers") &&
            read_text("/sys/fs/cgroup/unified/cgroup.controllers").find("hugetlb") != std::string::npos)
            limits.insert(limits.find("  pids: 64"), "  hugetlb: {2MB: 0}\n");
    }
    p.what = {"sweep-groups",
              in(cat(R"(version: 1
rootfs: {path: @PROBE_TREE@}
process: {command: [/sandbox-probe, pid]}
lifecycle:
  hooks:
    prepare: [{command: [/bin/mkdir, -p, @T@/hook]}]
    started: [{command: [/bin/true]}]
    stopped: [{command: [/bin/rm, -rf, @T@/hook]}]
)",
                     limits),
                 p.place->path()),
              {},
              {p.place->path(), probe_tree()},
              {}};
    p.what.options.add = {{"SANDBOX_SWEEP_LOGS", *p.place / "logs/deep/er/sandbox"}};
    return p;
}

// An ordinary user with subordinate ids, whose sandbox does all mounting itself.
Prepared user_case() {
    Prepared p;
    p.what.options = ordinary_user();
    const uid_t id = *p.what.options.uid;
    if (on_private_host()) {
        const std::string range = cat(id, ":", spare_ids(), ":40000\n");
        for (const char* file : {"subuid", "subgid"})
            p.covered.push_back(std::make_unique<StandIn>(p.place->write(file, range), cat("/etc/", file)));
        const std::string line = cat("sandbox-tester:x:", id, ":", id, "::/:/bin/sh\n");
        p.covered.push_back(std::make_unique<StandIn>(p.place->write("passwd", read_text("/etc/passwd") + line), "/etc/passwd"));
    }
    p.place->write("lower/etc/extra", "extra\n");
    for (const char* name : {"own", "own/source"}) {
        p.place->make(name);
        EXPECT_EQ(chown((*p.place / name).c_str(), id, id), 0);
    }
    EXPECT_EQ(chmod((*p.place / "own").c_str(), 0700), 0) << "an upper must be out of others' reach";
    p.what.name = "sweep-user";
    p.what.profile = in(R"(version: 1
rootfs:
  overlay: {lower: [@T@/lower, @PROBE_TREE@], upper: tmpfs, size: 1Mi}
mounts:
  - {source: @T@/own/source, target: /work, mode: rw}
  - {type: overlay, target: /mnt, overlay: {lower: [@T@/lower], upper: @T@/own/upper}}
  - {type: tmpfs, target: /tmp}
files: {/tmp/note: {content: hello}, /work/note: {content: hello}}
dirs: [/tmp/folder]
symlinks: {/tmp/link: note}
process: {command: [/sandbox-probe, pid]}
)",
                        p.place->path());
    p.what.scratch = {p.place->path(), ordinary_runtime_directory()};
    p.what.options.pty = true;
    return p;
}

// ---- networks, each on a host of its own

// Confined beside a bridge that another sandbox uses all the time, with addresses of both families and published ports of every sort.
Prepared confined_case() {
    Prepared p;
    p.network = std::make_unique<OwnHost>();
    constexpr const char* bridge = "bridge: {name: sweep0, subnet: 10.213.7.0/24, subnet6: 'fd00:213:7::/64'}";
    p.neighbour = std::make_unique<Neighbour>("sweep-neighbour", cat("network: {mode: bridge, ", bridge, ", egress: deny}\n"));
    p.what = {"sweep-confined",
              in(cat(R"(version: 1
rootfs: {path: @PROBE_TREE@}
process: {command: [/sandbox-probe, pid]}
network:
  mode: bridge
  )",
                     bridge, R"(
  ports: ["18080:80", "18053:53/udp", "0.0.0.0:18081-18082:81-82", "[::]:18083:83"]
  dns: {servers: [10.213.7.1], search: [sweep.example]}
  hosts: {db: 10.213.7.200}
  egress: {default: deny, allow: ["10.213.7.1:53/udp"]}
)"),
                 p.place->path()),
              {},
              {p.place->path(), probe_tree()},
              {p.neighbour->pid()}};
    p.what.only_host_steps = true;
    return p;
}

// Alone on a bridge, which comes and goes with it, as does what lets the host pass packets on.
Prepared bridge_case() {
    Prepared p;
    p.network = std::make_unique<OwnHost>();
    p.what = {"sweep-bridge",
              in(R"(version: 1
rootfs: {path: @PROBE_TREE@}
process: {command: [/sandbox-probe, pid]}
network:
  mode: bridge
  bridge: {name: sweep0, subnet: 10.213.7.0/24, subnet6: 'fd00:213:7::/64'}
  ports: ["18080:80"]
)",
                 p.place->path()),
              {},
              {p.place->path(), probe_tree()},
              {}};
    p.what.only_network_steps = true;
    return p;
}

// On a link of the host's, as which one end of a pair stands.
Prepared macvlan_case() {
    Prepared p;
    p.network = std::make_unique<OwnHost>();
    // Without addresses that the kernel gives by itself, a second later.
    for (const Words& words : {Words{"ip", "link", "add", "sweep-uplink", "type", "veth", "peer", "name", "sweep-switch"},
                               Words{"ip", "link", "set", "sweep-uplink", "addrgenmode", "none", "up"},
                               Words{"ip", "link", "set", "sweep-switch", "addrgenmode", "none", "up"}})
        if (!run(words).ok()) throw std::runtime_error("no link to be the uplink");
    p.what = {"sweep-macvlan",
              in(R"(version: 1
rootfs: {path: @PROBE_TREE@}
process: {command: [/sandbox-probe, pid]}
network:
  mode: macvlan
  parent: sweep-uplink
  interface: {ip: 10.213.8.5/24, gateway: 10.213.8.1}
)",
                 p.place->path()),
              {},
              {p.place->path(), probe_tree()},
              {}};
    p.what.only_network_steps = true;
    return p;
}

// In the network of a sandbox that runs.
Prepared container_case() {
    Prepared p;
    p.network = std::make_unique<OwnHost>();
    p.neighbour = std::make_unique<Neighbour>("sweep-neighbour", "network: {mode: none}\n");
    // Targets of mounts that a tree lacks are made in it, and stay; here they are there from the beginning.
    std::filesystem::create_directories(probe_tree() + "/etc");
    for (const char* name : {"hostname", "hosts", "resolv.conf"}) std::ofstream(cat(probe_tree(), "/etc/", name), std::ios::app);
    p.what = {"sweep-container",
              in(R"(version: 1
rootfs: {path: @PROBE_TREE@}
process: {command: [/sandbox-probe, pid]}
network: {mode: container, of: sweep-neighbour}
)",
                 p.place->path()),
              {},
              {p.place->path(), probe_tree()},
              {p.neighbour->pid()}};
    p.what.only_network_steps = true;
    return p;
}

struct NamedCase {
    const char* name;
    Prepared (*prepare)();
};
void PrintTo(const NamedCase& what, std::ostream* stream) { *stream << what.name; }

constexpr NamedCase all_cases[] = {{"overlay", overlay_case}, {"chown", chown_case},        {"host", host_case},
                                   {"joined", joined_case},   {"shared", shared_case},      {"groups", groups_case},
                                   {"user", user_case},       {"confined", confined_case},  {"bridge", bridge_case},
                                   {"macvlan", macvlan_case}, {"container", container_case}};

template <class... Kinds>
std::set<std::size_t> indices_of() {
    return {sandbox::AnyStep(std::in_place_type<Kinds>).index()...};
}

// What only a launcher that is the machine's own root does itself: lease ids, give files to them, mount for the sandbox.
std::set<std::size_t> kinds_of_host_root() {
    namespace step = sandbox::step;
    return indices_of<step::LeaseIds, step::ShiftOwner, step::OpenTree, step::HostFilesystem, step::BuildDev, step::IdmapTree,
                      step::BuildOverlay, step::ShareGroup, step::EnableControllers, step::MakeGroup, step::SetGroup, step::DelegateGroup,
                      step::FilterDevices, step::JoinGroups, step::OwnCgroupNamespace>();
}

// What only a machine with systemd or with cgroup v2 alone has.
std::set<std::size_t> kinds_of_other_hosts() {
    namespace step = sandbox::step;
    std::set<std::size_t> out;
    if (!exists("/run/systemd/system")) out = indices_of<step::MakeScope, step::EnterGroup, step::HandDown>();
    if (!exists("/sys/fs/cgroup/unified/cgroup.controllers")) out.merge(indices_of<step::EnableControllers>());
    // Of a unit's main process alone: tests/vm/systemd-unit kills it.
    out.merge(indices_of<step::MakeLeaf>());
    return out;
}

// Of a session in a living sandbox, which leaves nothing to be taken back (exec_test.cpp).
std::set<std::size_t> kinds_of_sessions() { return indices_of<sandbox::step::OpenProcess, sandbox::step::OpenGroup>(); }

// A new kind of step needs a place in one of the plans.
TEST(SweepPlans, have_every_kind_of_step) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    std::set<std::size_t> kinds;
    std::size_t all = 0;
    for (const NamedCase& one : all_cases) {
        Prepared p = one.prepare();
        const Json plan = Sweep(p.what).plan();
        ASSERT_TRUE(plan.is_object()) << one.name << ": no plan";
        all = plan["kinds"];
        for (const Json& step : plan["steps"]) kinds.insert(step["kind"].get<std::size_t>());
    }
    kinds.merge(kinds_of_sessions());
    if (!is_host_root()) kinds.merge(kinds_of_host_root());
    kinds.merge(kinds_of_other_hosts());
    for (std::size_t kind = 0; kind < all; ++kind)
        EXPECT_TRUE(kinds.contains(kind)) << "no plan of the sweep has a step of kind " << kind << " of Action (src/plan/step.h)";
}

class EveryStep : public testing::TestWithParam<NamedCase> {};

TEST_P(EveryStep, can_fail_and_leaves_nothing) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    Prepared p = GetParam().prepare();
    Sweep(p.what).every_step(false);
}

TEST_P(EveryStep, can_be_the_launchers_last_and_gc_leaves_nothing) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    Prepared p = GetParam().prepare();
    Sweep(p.what).every_step(true);
}

INSTANTIATE_TEST_SUITE_P(Sweep, EveryStep, testing::ValuesIn(all_cases), [](const auto& which) { return std::string(which.param.name); });

// ---- the payload runs

struct Running {
    const char *name, *settings;
    bool pty, user;
};
void PrintTo(const Running& what, std::ostream* stream) { *stream << what.name; }

constexpr Running all_running[] = {
    {"init", "process: {init: true}", false, false},
    {"no_init", "process: {init: false}", false, false},
    {"init_host_pids", "process: {init: true}\nnamespaces: {pid: host}", false, false},
    {"terminal", "process: {init: true}", true, false},
    {"user", "process: {init: true}", false, true},
    {"user_no_init", "process: {init: false}", true, true},
    {"user_host_pids", "process: {init: true}\nnamespaces: {pid: host}\nproc: {mode: inherit}", false, true},
};

class RunningSandbox : public testing::TestWithParam<Running> {};

TEST_P(RunningSandbox, dies_with_its_launcher) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const TempDir place;
    place.make("source", 0777);
    Options options = GetParam().user ? ordinary_user() : Options();
    const SnapshotOptions looks{{place.path(), ordinary_runtime_directory()}, -1};
    const auto before = HostSnapshot::take(looks);
    Options started = options;
    started.pty = GetParam().pty;
    Process launcher =
        start_sandbox(in(cat("version: 1\nrootfs: {path: @PROBE_TREE@}\nmounts: [{source: @T@/source, target: /work}]\n",
                             GetParam().settings, "\n", GetParam().name == std::string_view("init_host_pids") ? foreign_proc() : ""),
                         place.path()),
                      {"/sandbox-probe", "spawn-stubborn:2", "wait-signal:USR1"}, started);
    ASSERT_TRUE(launcher.expect("\"ready\":true")) << launcher.out() << launcher.err();
    launcher.signal(SIGKILL);
    launcher.wait();
    EXPECT_EQ(wait_for_tree({}, milliseconds(5000)), "");
    const Ended cleaned = sandbox_command({"gc"}, options);
    EXPECT_TRUE(cleaned.ok() && cleaned.err.empty()) << cleaned;
    EXPECT_EQ(compare(before, HostSnapshot::take(looks)), "");
}

INSTANTIATE_TEST_SUITE_P(Sweep, RunningSandbox, testing::ValuesIn(all_running),
                         [](const auto& which) { return std::string(which.param.name); });

// ---- several on one bridge

std::string on_bridge(const char* more) {
    return cat("network: {mode: bridge, bridge: {name: sweep0, subnet: 10.213.7.0/24, subnet6: 'fd00:213:7::/64'}", more, "}\n");
}

void expect_gc() {
    const Ended cleaned = sandbox_command({"gc"});
    EXPECT_TRUE(cleaned.ok() && cleaned.err.empty()) << cleaned;
}

TEST(SweepOfABridge, leaves_it_to_who_is_still_on_it) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const OwnHost host;
    const auto before = HostSnapshot::take();
    Neighbour first("sweep-first", on_bridge(", egress: deny, ports: ['18080:80']"));
    {
        Neighbour second("sweep-second", on_bridge(""));
        // Who made it dies.
        first.kill();
        EXPECT_EQ(wait_for_tree({second.pid()}, milliseconds(5000)), "");
        expect_gc();
        EXPECT_FALSE(exists("/run/sandbox/sweep-first"));
        EXPECT_FALSE(ip_json({"link", "show", "dev", "sweep0"}).is_null());
        EXPECT_EQ(read_text("/proc/sys/net/ipv4/ip_forward"), "1\n");
        EXPECT_EQ(read_text("/proc/sys/net/ipv6/conf/all/forwarding"), "1\n");
        second.kill();
        EXPECT_EQ(wait_for_tree({}, milliseconds(5000)), "");
        expect_gc();
    }
    EXPECT_EQ(differences_since(before), "");
}

TEST(SweepOfABridge, takes_back_what_several_dead_ones_shared) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const OwnHost host;
    const auto before = HostSnapshot::take();
    Neighbour first("sweep-first", on_bridge(", ports: ['0.0.0.0:18080:80']")), second("sweep-second", on_bridge(", egress: deny"));
    first.kill();
    second.kill();
    EXPECT_EQ(wait_for_tree({}, milliseconds(5000)), "");
    expect_gc();
    EXPECT_EQ(differences_since(before), "");
    // The same network again, with the same ports.
    Neighbour third("sweep-first", on_bridge(", ports: ['0.0.0.0:18080:80', '[::]:18080:80']"));
    third.kill();
    EXPECT_EQ(wait_for_tree({}, milliseconds(5000)), "");
    expect_gc();
    EXPECT_EQ(differences_since(before), "");
}

// One that the administrator made keeps its own settings, and its addresses.
TEST(SweepOfABridge, leaves_one_that_was_there) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const OwnHost host;
    for (const Words& words : {Words{"ip", "link", "add", "sweep0", "type", "bridge"}, Words{"ip", "link", "set", "sweep0", "up"},
                               Words{"ip", "address", "add", "10.213.7.9/24", "dev", "sweep0"},
                               Words{"ip", "address", "add", "fd00:213:7::9/64", "dev", "sweep0", "nodad"}})
        ASSERT_TRUE(run(words).ok());
    set_sysctl("net/ipv4/ip_forward", "1");
    const auto before = HostSnapshot::take();
    Neighbour one("sweep-first", on_bridge(", egress: deny"));
    one.kill();
    EXPECT_EQ(wait_for_tree({}, milliseconds(5000)), "");
    expect_gc();
    EXPECT_EQ(differences_since(before), "");
}

// The launcher was in another network namespace than who cleans up after it.
TEST(SweepOfABridge, is_taken_back_from_another_network) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const OwnHost host;
    // The namespace lives on without the launcher.
    Options options;
    options.keep_input_open = true;
    Process stays = Process::start({"cat"}, options);
    stays.send("there\n");
    ASSERT_TRUE(stays.expect("there\n"));
    const auto before = HostSnapshot::take();
    Neighbour one("sweep-first", on_bridge(", egress: deny, ports: ['18080:80']"));
    one.kill();
    EXPECT_EQ(wait_for_tree({stays.pid()}, milliseconds(5000)), "");
    {
        const OwnHost elsewhere;
        const auto untouched = HostSnapshot::take({}).sections.at("network settings");
        expect_gc();
        EXPECT_EQ(HostSnapshot::take({}).sections.at("network settings"), untouched);
    }
    EXPECT_EQ(differences_since(before), "");
}

TEST(SweepOfABridge, needs_nothing_of_a_network_that_is_gone) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const auto before = HostSnapshot::take();
    {
        const OwnHost host;
        Neighbour one("sweep-first", on_bridge(", egress: deny, ports: ['18080:80']"));
        one.kill();
        EXPECT_EQ(wait_for_tree({}, milliseconds(5000)), "");
    }
    expect_gc();
    EXPECT_EQ(differences_since(before), "");
}

// A table of the sandbox's name that is somebody else's stays, and holds nobody up.
TEST(SweepOfABridge, leaves_another_ones_table) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    REQUIRE_OR_SKIP(command_exists("nft"), "needs nft");
    const OwnHost host;
    ASSERT_TRUE(run({"nft", "add", "table", "inet", "sandbox-sweep-first"}).ok());
    const auto before = HostSnapshot::take();
    const auto began = steady_clock::now();
    Options options;
    options.up = {"--name", "sweep-first"};
    const Ended refused = run_sandbox(cat("version: 1\nrootfs: {path: @PROBE_TREE@}\n", on_bridge("")), {"/sandbox-probe", "pid"}, options);
    EXPECT_EQ(refused.code, 125) << refused;
    EXPECT_EQ(refused.err.find("could not be taken back"), std::string::npos) << refused;
    EXPECT_NE(refused.err.find("sandbox-sweep-first"), std::string::npos) << refused;
    EXPECT_LT(steady_clock::now() - began, milliseconds(3000));
    EXPECT_EQ(differences_since(before), "");
}

}  // namespace
