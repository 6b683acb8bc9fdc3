// Payloads that try to reach the launcher, its init, the caller's terminal or the host.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ways.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class HostilePayload : public EveryWay {
   protected:
    static std::string plain(std::string text) {
        for (auto at = text.find("@PROBE_TREE@"); at != text.npos; at = text.find("@PROBE_TREE@")) text.replace(at, 12, probe_tree());
        return text;
    }
};
INSTANTIATE_EVERY_WAY(HostilePayload);

constexpr const char* tree = "rootfs: {path: @PROBE_TREE@}\n";
constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// CVE-2019-5736, and with the capability that opens what an ordinary payload cannot even see.
TEST_P(HostilePayload, cannot_write_to_init) {
    for (const char* more : {"", "capabilities: {add: [SYS_PTRACE]}\n", "capabilities: {base: all}\n"}) {
        if (GetParam().id_map == std::string_view("host") && std::string_view(more).find("all") != std::string_view::npos) continue;
        const Json exe = probe_in_sandbox(profile(cat(tree, more)), {"exe"}, options())["exe"];
        EXPECT_NE(exe["1"]["write"], "ok") << exe;
        EXPECT_NE(exe["1"].value("reopen", "EACCES"), "ok") << exe;
        if (exe["1"].contains("seals")) {
            EXPECT_EQ(exe["1"]["seals"].get<int>() & all_seals, all_seals) << exe;
        }
    }
}

// CVE-2024-21626 by way of init: what it holds open must not lead out, even for who may look at it.
TEST_P(HostilePayload, cannot_walk_out_through_what_init_holds) {
    const TempDir place;
    place.write("outside", "of the host");
    place.make("image");
    ASSERT_EQ(chmod(place.path().c_str(), 0700), 0) << "an upper must be out of others' reach";
    std::string rest = cat("rootfs: {overlay: {lower: [", probe_tree(), "], upper: ", place / "image/upper", "}}\n");
    hand_over(place);
    for (const std::string& root : {rest, cat(tree, "mounts: [{type: tmpfs, target: /tmp/made}]\n")}) {
        Words verbs = {"dir:/proc/1/fd", "readlink:/proc/1/root", "readlink:/proc/1/cwd"};
        for (int fd = 0; fd < 30; ++fd) {
            verbs.push_back(cat("dir:/proc/1/fd/", fd, "/.."));
            verbs.push_back(cat("mkdir:/proc/1/fd/", fd, "/made-by-payload"));
        }
        const Ended ended = run_sandbox(
            profile(cat(root, "capabilities: {add: [SYS_PTRACE]}\n")),
            [&] {
                Words argv = {"/sandbox-probe"};
                argv.insert(argv.end(), verbs.begin(), verbs.end());
                return argv;
            }(),
            options());
        if (ended.code == 125) {  // only the machine's own root may mount an overlay everywhere
            EXPECT_TRUE(root == rest && (GetParam().ordinary || !is_host_root())) << ended;
            EXPECT_THAT(ended.err, HasSubstr("overlay"));
            continue;
        }
        const Json seen = last_json(ended);
        EXPECT_EQ(seen["readlink:/proc/1/root"], "/");
        EXPECT_EQ(seen["readlink:/proc/1/cwd"], "/");
        for (int fd = 0; fd < 30; ++fd) {
            EXPECT_THAT(seen[cat("dir:/proc/1/fd/", fd, "/..")].dump(),
                        Not(AnyOf(HasSubstr("\"image\""), HasSubstr("\"upper\""), HasSubstr("\"probe\""))))
                << fd;
            EXPECT_NE(seen[cat("mkdir:/proc/1/fd/", fd, "/made-by-payload")], "ok") << fd;
        }
    }
}

// However long init takes: what it had open to build the sandbox is shut before the payload begins. The delay is at the last call
// of init before it lets go.
TEST_P(HostilePayload, finds_init_with_nothing_of_the_launch_open) {
    REQUIRE_OR_SKIP(command_exists("strace"), "strace is not installed");
    const TempDir place;
    const std::string file =
        place.write("slow.yaml", plain(profile(cat(tree, "mounts: [{type: tmpfs, target: /tmp}]\ncapabilities: {add: [SYS_PTRACE]}\n"))));
    Words argv = {"strace", "-f", "-o", "/dev/null", "-e", "inject=signalfd4:delay_enter=300000", sandbox_binary(), "up", file, "--"};
    argv.emplace_back("/sandbox-probe");
    for (int fd = 4; fd < 24; ++fd) argv.push_back(cat("mkdir:/proc/1/fd/", fd, "/made-by-payload"));
    const Json seen = last_json(run(argv, options()));
    EXPECT_EQ(seen.size(), 20U);
    for (const auto& [verb, result] : seen.items()) EXPECT_NE(result, "ok") << verb;
}

// With the host's process ids and the host's root id, the launcher is in sight: neither readable nor traceable.
TEST_P(HostilePayload, cannot_reach_a_launcher_that_it_sees) {
    const TempDir place;
    const std::string file = place.write("seen.yaml", plain(profile(cat(tree, "namespaces: {pid: host}\nproc: {mode: inherit}\n"))));
    const std::string script =
        cat("exec \"$0\" up ", file, " -- /sandbox-probe open-read:/proc/$$/mem open-write:/proc/$$/mem exe:$$ readlink:/proc/$$/fd/3 ",
            "open-read:/proc/$$/environ dir:/proc/$$/root/ dir:/proc/$$/cwd/ try:ptrace:$$ try:process_vm_readv:$$ cmdline:$$");
    const Ended ended = run({"sh", "-c", script, sandbox_binary()}, options());
    if (ended.code == 125) GTEST_SKIP() << "SKIPPED: this host does not give the process ids of others: " << ended;
    const Json seen = last_json(ended);
    bool found = false;
    for (const auto& [verb, result] : seen.items()) {
        if (verb.starts_with("cmdline")) {
            found = result.dump().find("seen.yaml") != std::string::npos;
        } else if (verb.starts_with("exe:")) {
            EXPECT_EQ(result["target"], "") << result;
            EXPECT_NE(result["write"], "ok") << result;
        } else {
            EXPECT_THAT(result.dump(), AnyOf(HasSubstr("EACCES"), HasSubstr("EPERM"), HasSubstr("ENOSYS"), "\"\"")) << verb;
        }
    }
    EXPECT_TRUE(found) << "the payload did not look at the launcher: " << seen;
}

// TIOCSTI and TIOCLINUX, with bits above the low 32 and without: what the caller reads afterwards is what was typed.
TEST_P(HostilePayload, cannot_type_for_the_caller) {
    const TempDir place;
    const std::string file = place.write("typing.yaml", plain(profile(tree)));
    for (const char* flag : {"--tty", "--no-tty", ""}) {
        Options with = options();
        with.pty = true;
        Process caller = Process::start(
            {"sh", "-c",
             cat("\"$0\" up ", flag, " ", file, " -- /sandbox-probe try:tiocsti try:tiocsti_high try:tioclinux try:tioclinux_high; ",
                 "printf 'sandbox-ended\\n'; read line; printf 'got<%s>\\n' \"$line\""),
             sandbox_binary()},
            with);
        ASSERT_TRUE(caller.expect("sandbox-ended")) << caller.out();
        caller.send("typed\n");
        EXPECT_TRUE(caller.expect("got<typed>")) << flag << caller.out();
        const Ended ended = caller.wait();
        const Json seen = last_json(ended);
        for (const char* call : {"try:tiocsti", "try:tiocsti_high", "try:tioclinux", "try:tioclinux_high"})
            EXPECT_THAT(seen[call].get<std::string>(), AnyOf("EPERM", "ENOTTY")) << flag << call;
    }
}

// Without the filter the terminal is still not the caller's.
TEST_P(HostilePayload, has_a_terminal_of_its_own) {
    const TempDir place;
    const std::string file = place.write("own.yaml", plain(profile(cat(tree, "security: {seccomp: {profile: none}}\n"))));
    Options with = options();
    with.pty = true;
    Process caller = Process::start(
        {"sh", "-c",
         cat("\"$0\" up ", file, " -- /sandbox-probe try:tiocsti tty; printf 'sandbox-ended\\n'; read line; printf 'got<%s>\\n' \"$line\""),
         sandbox_binary()},
        with);
    ASSERT_TRUE(caller.expect("sandbox-ended")) << caller.out();
    caller.send("typed\n");
    EXPECT_TRUE(caller.expect("got<typed>")) << caller.out();
    const Json seen = last_json(caller.wait());
    EXPECT_EQ(seen["tty"]["controlling"], "ok");
    for (const Json& descriptor : seen["tty"]["descriptors"]) EXPECT_EQ(descriptor["isatty"], true);
}

// Signals to init do nothing but reach the payload; it stays init.
TEST_P(HostilePayload, cannot_kill_or_stop_init) {
    const Json seen = probe_in_sandbox(
        profile(tree), {"signal-pid:1=KILL", "signal-pid:1=STOP", "signal-pid:1=WINCH", "signal-pid:1=CHLD", "zombies:3"}, options());
    EXPECT_EQ(seen["zombies:3"]["left"], 0);
}

// A supervisor that is killed takes everything with it, whoever has forked what.
TEST_P(HostilePayload, does_not_outlive_the_launcher) {
    const auto before = HostSnapshot::take();
    for (const char* init : {"true", "false"}) {
        Options with = options();
        with.keep_input_open = true;
        Process launcher = start_sandbox(profile(cat(tree, "process: {init: ", init, "}\n")),
                                         {"/sandbox-probe", "spawn-orphans:3", "spawn-stubborn:3", "hold"}, with);
        ASSERT_TRUE(launcher.expect("\"ready\":true")) << launcher.err();
        launcher.signal(SIGKILL);
        launcher.wait();
        // Cleaning is possible as soon as the processes are gone, which gc itself waits for or which takes a moment.
        EXPECT_TRUE(sandbox_command({"gc"}, options()).ok());
        EXPECT_EQ(differences_since(before), "") << init;
    }
}

// While it runs: no mount, no abstract socket, no listening name of the host has appeared.
TEST_P(HostilePayload, shows_nothing_on_the_host_while_it_runs) {
    const auto before = HostSnapshot::take();
    const std::string sockets = run({"sh", "-c", "grep -c @ /proc/net/unix"}).out;
    Options with = options();
    with.keep_input_open = true;
    Process running = start_sandbox(profile(cat(tree, "mounts: [{type: tmpfs, target: /mnt}]\nfiles: {/tmp/f: {content: x}}\n")),
                                    {"/sandbox-probe", "hold"}, with);
    ASSERT_TRUE(running.expect("\"ready\":true")) << running.err();
    const auto during = HostSnapshot::take();
    for (const char* section : {"mounts", "network", "settings", "devices", "ipc"})
        EXPECT_EQ(during.sections.at(section), before.sections.at(section)) << section;
    EXPECT_EQ(run({"sh", "-c", "grep -c @ /proc/net/unix"}).out, sockets);
    running.close_input();
    EXPECT_TRUE(running.wait().ok());
    EXPECT_EQ(differences_since(before), "");
}

// Nodes may be made where CAP_MKNOD counts, and opened nowhere; /dev takes none.
TEST_P(HostilePayload, cannot_use_a_device_that_it_makes) {
    const std::string mounts = "mounts: [{type: tmpfs, target: /tmp}]\n";
    Words verbs = {"mknod:/dev/mem=c:1:1", "create:/dev/new", "chown:/dev/null=1:1", "chmod:/dev/null=0600", "unlink:/dev/null"};
    for (const char* folder : {"/tmp", "/dev/shm", "/dev/mqueue", "/dev/pts"}) {
        for (const char* node : {"c:1:1", "c:1:3", "b:8:0", "b:7:0", "b:254:0"}) {
            verbs.push_back(cat("mknod:", folder, "/", node, "=", node));
            verbs.push_back(cat("open-read:", folder, "/", node));
            verbs.push_back(cat("open-write:", folder, "/", node));
        }
    }
    const auto before = HostSnapshot::take();
    const Json seen = probe_in_sandbox(profile(cat(tree, mounts)), verbs, options());
    for (const auto& [verb, result] : seen.items()) {
        const bool must_fail = verb.starts_with("open") || verb.find("/dev/new") != std::string::npos || verb.starts_with("mknod:/dev/mem");
        if (must_fail) {
            EXPECT_NE(result, "ok") << verb;
        }
    }
    EXPECT_NE(seen["unlink:/dev/null"], "ok");
    EXPECT_EQ(differences_since(before), "");  // the host's /dev/null as it was
}

// CVE-2022-0492 and its kin, for a payload to which CAP_SYS_ADMIN was given: what is covered stays covered.
TEST_P(HostilePayload, finds_masks_in_place_with_more_capabilities) {
    const Json seen = probe_in_sandbox(
        profile(cat(tree, "capabilities: {add: [SYS_ADMIN, DAC_READ_SEARCH, SYS_PTRACE, NET_ADMIN]}\n")),
        {"open-write:/proc/sys/kernel/core_pattern", "open-write:/proc/sysrq-trigger", "open-write:/sys/kernel/uevent_helper",
         "read:/proc/kcore", "read:/proc/keys", "dir:/sys/firmware", "statfs:/sys", "statfs:/proc/sys", "caps"},
        options());
    for (const auto& [verb, result] : seen.items()) {
        if (verb.starts_with("open-write")) {
            EXPECT_NE(result, "ok") << verb;
        }
    }
    EXPECT_THAT(seen["caps"]["effective"], ::testing::Contains("SYS_ADMIN"));
    EXPECT_EQ(seen["read:/proc/keys"], (Json{{"text", ""}}));
    for (const char* place : {"statfs:/sys", "statfs:/proc/sys"}) EXPECT_THAT(seen[place]["flags"], ::testing::Contains("ro")) << place;
}

// A set-uid file in a bind has no effect, even where programs may gain privileges.
TEST_P(HostilePayload, gains_nothing_from_a_set_uid_file_in_a_bind) {
    // With one id only there is no other to become, but the owner of the file must not count as one either.
    const int user = GetParam().ordinary ? 0 : 1000;
    const TempDir place;
    ASSERT_TRUE(run({"cp", probe_binary(), place / "probe"}).ok());
    ASSERT_EQ(chmod((place / "probe").c_str(), 04755), 0);
    for (const char* more : {"", "security: {no_new_privileges: false}\n"}) {
        const Ended ended = run_sandbox(
            profile(cat(tree, "mounts: [{source: ", place.path(), ", target: /mnt}]\nprocess: {user: \"", user, ":", user, "\"}\n", more)),
            {"/mnt/probe", "ids", "caps"}, options());
        if (ended.code == 126) continue;  // noexec besides
        const Json seen = last_json(ended);
        EXPECT_EQ(seen["ids"]["euid"], user) << more;
        EXPECT_EQ(seen["ids"]["suid"], user) << more;
        if (user != 0) {
            EXPECT_EQ(seen["caps"]["effective"], Json::array()) << more;
        }
    }
}

TEST_P(HostilePayload, has_a_keyring_of_its_own) {
    const std::string open = "security: {seccomp: {allow: [keyctl]}}\n";
    const Json one = probe_in_sandbox(profile(cat(tree, open)), {"keyring"}, options())["keyring"];
    const Json two = probe_in_sandbox(profile(cat(tree, open)), {"keyring"}, options())["keyring"];
    ASSERT_TRUE(one.contains("session")) << one;
    EXPECT_NE(one["session"], two["session"]);
    const Json outside = probe_outside({"keyring"}, {}, options())["keyring"];
    EXPECT_NE(one["session"], outside.value("session", Json()));
}

// What an ordinary program needs is there: CPython on the host's own tree.
TEST_P(HostilePayload, is_still_an_ordinary_program) {
    REQUIRE_OR_SKIP(command_exists("python3"), "python3 is not installed");
    constexpr const char* program = R"(
import mmap, multiprocessing, os, pty, signal, socket, subprocess, sys, tempfile, threading, time, select
def double(queue, n): queue.put(2 * n)
if __name__ == '__main__':
    assert subprocess.run(['/bin/sh', '-c', 'echo $((6*7))'], capture_output=True, check=True).stdout == b'42\n'
    m = mmap.mmap(-1, 8192); m[:4] = b'abcd'; assert m[:4] == b'abcd'; m.close()
    a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'
    server = socket.create_server(('127.0.0.1', 0)); client = socket.create_connection(server.getsockname()); server.accept()[0].send(b'y'); assert client.recv(1) == b'y'
    child, master = pty.fork()
    if child == 0: os.write(1, b'tty' if os.isatty(0) else b'none'); os._exit(0)
    assert os.read(master, 3) == b'tty'; os.waitpid(child, 0)
    caught = []; signal.signal(signal.SIGALRM, lambda *_: caught.append(1)); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause(); assert caught
    context = multiprocessing.get_context('fork'); queue = context.Queue(); p = context.Process(target=double, args=(queue, 4)); p.start(); assert queue.get() == 8; p.join(); assert p.exitcode == 0
    t = threading.Thread(target=lambda: caught.append(2)); t.start(); t.join(); assert 2 in caught
    with tempfile.TemporaryFile(dir='/tmp') as f: f.write(b'z'); f.flush(); assert os.fstat(f.fileno()).st_size == 1
    e = select.epoll(); e.register(a, select.EPOLLOUT); assert e.poll(1); os.memfd_create('x'); os.getrandom(4); os.sched_getaffinity(0); os.nice(0)
    os.pidfd_open(os.getpid()); assert os.getpid() == int(os.readlink('/proc/self')); os.stat('/dev/null'); open('/dev/null', 'w').write('x')
    print('all well')
)";
    const TempDir place;
    place.write("program.py", program);
    const Ended ended =
        run_sandbox(profile(cat("rootfs: {host: ro}\nmounts: [{type: tmpfs, target: /tmp}, {source: ", place.path(), ", target: /mnt}]\n")),
                    {"python3", "/mnt/program.py"}, options());
    EXPECT_EQ(ended.out, "all well\n") << ended;
}

}  // namespace
