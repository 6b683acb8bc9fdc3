// The harness and the probe themselves, outside any sandbox.
#include "harness.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "base/text.h"
#include "snapshot.h"

namespace {

using namespace harness;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Run, gives_output_error_and_code) {
    Options options;
    options.input = "in";
    const Ended ended = run({"sh", "-c", "cat; echo wrong >&2; exit 7"}, options);
    EXPECT_EQ(ended.code, 7);
    EXPECT_EQ(ended.out, "in");
    EXPECT_EQ(ended.err, "wrong\n");
    EXPECT_FALSE(ended.output_held);
}

TEST(Run, tells_the_signal) { EXPECT_EQ(run({"sh", "-c", "kill -USR1 $$"}).signal, SIGUSR1); }

TEST(Run, kills_when_the_time_is_over) {
    Options options;
    options.timeout = milliseconds(100);
    const Ended ended = run({"sleep", "60"}, options);
    EXPECT_TRUE(ended.timed_out);
    EXPECT_EQ(ended.signal, SIGKILL);
}

TEST(Run, moves_more_than_a_pipe_holds) {
    Options options;
    options.input.assign(300000, 'x');
    EXPECT_EQ(run({"cat"}, options).out, options.input);
}

TEST(Run, survives_a_reader_that_has_gone) {
    Options options;
    options.input.assign(300000, 'x');
    EXPECT_TRUE(run({"true"}, options).ok());
}

TEST(Run, says_what_cannot_be_started) { EXPECT_THROW(run({"/no/such/program"}), std::system_error); }

TEST(Run, sees_who_still_holds_the_output) {
    const auto before = HostSnapshot::take();
    Process holder = Process::start({"sh", "-c", "sleep 60 & echo $!"});
    const Ended ended = holder.wait();
    EXPECT_TRUE(ended.output_held) << ended;
    // The orphan is ours now, and a difference until it is gone.
    EXPECT_THAT(compare(before, HostSnapshot::take()), HasSubstr("+ processes: "));
    kill(static_cast<pid_t>(std::stol(ended.out)), SIGKILL);
    EXPECT_EQ(differences_since(before), "");
}

TEST(Run, gives_up_its_rights) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    Options options;
    options.uid = 65534;
    const Json seen = probe_outside({"ids", "caps", "fds", "env"}, {}, options);
    EXPECT_EQ(seen["ids"]["uid"], 65534);
    EXPECT_EQ(seen["ids"]["gid"], 65534);
    EXPECT_EQ(seen["ids"]["groups"], Json::array());
    EXPECT_EQ(seen["caps"]["permitted"], Json::array());
    EXPECT_EQ(seen["fds"].size(), 3U) << seen["fds"];
}

TEST(Run, has_an_ordinary_user) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    const Json seen = probe_outside({"ids", "env", "cwd", "create:here"}, {}, ordinary_user());
    EXPECT_EQ(seen["ids"]["uid"], 54321);
    EXPECT_EQ(seen["env"]["XDG_RUNTIME_DIR"], ordinary_runtime_directory());
    EXPECT_EQ(seen["env"]["HOME"], seen["cwd"]);
    EXPECT_EQ(seen["create:here"], "ok");
}

TEST(Run, replaces_the_environment) {
    Options options;
    options.environment = Environment{{"A", "1"}};
    options.add = {{"B", "x=y"}};
    EXPECT_EQ(probe_outside({"env"}, {}, options)["env"], (Json{{"A", "1"}, {"B", "x=y"}}));
}

TEST(Terminal, is_the_controlling_one) {
    Options options;
    options.pty = true;
    Process shell = Process::start({"sh"}, options);
    shell.resize(33, 101);
    shell.send(probe_binary() + " tty signals\n");
    ASSERT_TRUE(shell.expect("\"tty\":{")) << shell.out();
    shell.send("exit 3\n");
    const Ended ended = shell.wait();
    EXPECT_EQ(ended.code, 3) << ended;
    const Json seen = last_json(ended)["tty"];
    EXPECT_EQ(seen["controlling"], "ok");
    EXPECT_EQ(seen["session"], shell.pid());
    EXPECT_EQ(seen["descriptors"][0]["isatty"], true);
    EXPECT_EQ(seen["descriptors"][0]["window"], (Json{{"rows", 33}, {"columns", 101}}));
}

TEST(Terminal, passes_keys_as_signals) {
    Options options;
    options.pty = true;
    Process probe = Process::start({probe_binary(), "wait-signal:INT"}, options);
    ASSERT_TRUE(probe.expect("\"ready\":true")) << probe.out();
    probe.send("\x03");
    EXPECT_EQ(last_json(probe.wait())["wait-signal:INT"], "SIGINT");
}

TEST(Terminal, resize_is_a_signal) {
    Options options;
    options.pty = true;
    Process probe = Process::start({probe_binary(), "wait-signal:WINCH", "winsize"}, options);
    ASSERT_TRUE(probe.expect("\"ready\":true")) << probe.out();
    probe.resize(10, 20);
    EXPECT_EQ(last_json(probe.wait())["winsize"], (Json{{"rows", 10}, {"columns", 20}}));
}

TEST(Terminal, closing_it_hangs_up) {
    Options options;
    options.pty = true;
    Process probe = Process::start({probe_binary(), "wait-signal:USR1"}, options);
    ASSERT_TRUE(probe.expect("\"ready\":true")) << probe.out();
    probe.hang_up();
    EXPECT_EQ(probe.wait().signal, SIGHUP);
}

TEST(Probe, refuses_an_unknown_verb) {
    const Ended ended = run({probe_binary(), "uname", "nonsense"});
    EXPECT_EQ(ended.code, 64);
    EXPECT_EQ(ended.out, "");
    EXPECT_EQ(ended.err, "sandbox-probe: unknown verb 'nonsense'\n");
}

TEST(Probe, prints_before_it_ends_itself) {
    const Ended exited = run({probe_binary(), "nnp", "exit:9"});
    EXPECT_EQ(exited.code, 9);
    EXPECT_EQ(last_json(exited)["nnp"], 0);
    const Ended killed = run({probe_binary(), "kill:TERM"});
    EXPECT_EQ(killed.signal, SIGTERM);
}

TEST(Probe, names_errors_of_files) {
    const TempDir place;
    place.write("file", "text");
    const std::string file = place / "file";
    const Json seen =
        probe_outside({"read:" + file, "stat:" + file, "read:/no/such", "create:" + file, "mkdir:" + (place / "new"),
                       "write:" + file + "=more", "dir:" + place.path(), "chmod:" + file + "=0600", "unlink:" + (place / "none")});
    EXPECT_EQ(seen["read:" + file]["text"], "text");
    EXPECT_EQ(seen["stat:" + file]["type"], "file");
    EXPECT_EQ(seen["stat:" + file]["mode"], "0644");
    EXPECT_EQ(seen["read:/no/such"]["error"], "ENOENT");
    EXPECT_EQ(seen["create:" + file], "EEXIST");
    EXPECT_EQ(seen["mkdir:" + (place / "new")], "ok");
    EXPECT_EQ(seen["write:" + file + "=more"], "ok");
    EXPECT_EQ(seen["dir:" + place.path()]["names"], (Json{"file", "new"}));
    EXPECT_EQ(seen["unlink:" + (place / "none")], "ENOENT");
    EXPECT_EQ(read_text(file), "more");
}

TEST(Probe, sees_an_unreachable_working_directory) {
    REQUIRE_OR_SKIP(is_root(), "mounting needs root");
    const TempDir place;
    const std::string script = "mount -t tmpfs none " + place.path() + " && cd " + place.path() + " && umount -l . && exec \"$0\" \"$@\"";
    EXPECT_EQ(probe_outside({"cwd"}, {"unshare", "--mount", "sh", "-c", script})["cwd"], "(unreachable)/");
}

TEST(Probe, sees_new_namespaces) {
    REQUIRE_OR_SKIP(is_root(), "unshare needs root");
    const Json outside = probe_outside({"ns", "lo", "sysvipc", "procs"});
    const Json inside = probe_outside({"ns", "lo", "procs", "pid", "links", "mounts"},
                                      {"unshare", "--pid", "--fork", "--mount-proc", "--net", "--ipc", "--uts"});
    for (const char* name : {"pid", "net", "ipc", "uts", "mnt"}) EXPECT_NE(outside["ns"][name], inside["ns"][name]) << name;
    EXPECT_EQ(outside["ns"]["user"], inside["ns"]["user"]);
    EXPECT_EQ(outside["lo"], "ok");
    EXPECT_NE(inside["lo"], "ok");
    EXPECT_EQ(inside["links"]["lo"]["up"], false);
    EXPECT_EQ(inside["procs"].size(), 1U);
    EXPECT_EQ(inside["pid"]["pid"], 1);
    EXPECT_FALSE(inside["mounts"].empty());
}

TEST(Probe, counts_what_pid_1_does_not_collect) {
    REQUIRE_OR_SKIP(is_root(), "unshare needs root");
    const Words apart = {"unshare", "--pid", "--fork", "--mount-proc"};
    // As PID 1 it collects nothing: every orphan is left.
    const Json alone = probe_outside({"zombies:3,50"}, apart);
    EXPECT_EQ(alone["zombies:3,50"]["made"], 3);
    EXPECT_EQ(alone["zombies:3,50"]["left"], 3);
    // Below a shell that is PID 1 and waits, none.
    Words shell = apart;
    shell.insert(shell.end(), {"sh", "-c", "\"$0\" \"$@\" & wait"});
    EXPECT_EQ(probe_outside({"zombies:3"}, shell)["zombies:3"]["left"], 0);
}

TEST(Probe, tells_how_dangerous_calls_end) {
    const Json seen = probe_outside({"try-all"})["try-all"];
    EXPECT_EQ(seen["getpid"], "ok");
    EXPECT_EQ(seen["unknown"], "ENOSYS");
    EXPECT_EQ(seen["clone3"], "ok");
    EXPECT_THAT(run({probe_binary(), "try:nonsense"}).err, HasSubstr("unknown call 'nonsense'"));
}

TEST(Probe, is_refused_as_an_ordinary_user) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    Options options;
    options.uid = 65534;
    const Json seen =
        probe_outside({"try:mount", "try:settimeofday", "try:reboot", "try:open_by_handle_at", "try:swapon", "try:unshare:net",
                       "try:sethostname", "try:umount2", "try:socket:AF_PACKET", "write:/proc/sys/kernel/hostname=x"},
                      {}, options);
    for (const auto& [verb, result] : seen.items()) EXPECT_THAT(result.get<std::string>(), ::testing::AnyOf("EPERM", "EACCES")) << verb;
}

TEST(Probe, sees_a_new_keyring_session) {
    const Json seen = probe_outside({"keyring"})["keyring"];
    EXPECT_TRUE(seen.contains("session")) << seen;
}

TEST(PrivateHost, is_apart_from_the_real_one) {
    REQUIRE_OR_SKIP(on_private_host(), "not root, or asked to run on the real host");
    const Json seen = probe_outside({"ns", "lo", "links", "mounts"});
    const Json real = probe_outside({"ns:" + std::to_string(getppid())});
    for (const char* name : {"mnt", "net", "ipc", "uts"}) EXPECT_NE(seen["ns"][name], real.begin().value()[name]) << name;
    EXPECT_EQ(seen["lo"], "ok");
    std::map<std::string, Json> mounts;
    for (const Json& mount : seen["mounts"]) {
        EXPECT_THAT(mount["propagation"].dump(), Not(HasSubstr("master:"))) << mount;
        mounts[mount["target"]] = mount;
    }
    EXPECT_THAT(mounts["/"]["propagation"].dump(), HasSubstr("shared:"));
    EXPECT_EQ(mounts["/run"]["type"], "tmpfs");
    EXPECT_EQ(mounts["/dev"]["type"], "tmpfs") << "the nodes are the machine's own";
    if (!is_host_root()) return;  // who may not look at the real one
    struct stat own {
    }, theirs{};
    ASSERT_EQ(stat("/dev", &own), 0);
    ASSERT_EQ(stat(sandbox::cat("/proc/", getppid(), "/root/dev").c_str(), &theirs), 0);
    EXPECT_NE(own.st_dev, theirs.st_dev);
}

TEST(Snapshot, sees_a_link) {
    REQUIRE_OR_SKIP(on_private_host() && command_exists("ip"), "wants a network namespace of its own and iproute2");
    const auto before = HostSnapshot::take();
    ASSERT_TRUE(run({"ip", "link", "add", "t0", "type", "veth", "peer", "name", "t1"}).ok());
    ASSERT_TRUE(run({"ip", "address", "add", "10.9.8.7/24", "dev", "t0"}).ok());
    const std::string differences = compare(before, HostSnapshot::take());
    EXPECT_THAT(differences, HasSubstr("+ network: link t0"));
    EXPECT_THAT(differences, HasSubstr("+ network: address t0 10.9.8.7"));
    ASSERT_TRUE(run({"ip", "link", "delete", "t0"}).ok());
    EXPECT_EQ(differences_since(before), "");
}

TEST(Snapshot, is_the_same_twice) {
    const TempDir place;
    const auto before = HostSnapshot::take({{place.path()}, -1});
    EXPECT_FALSE(before.sections.at("mounts").empty());
    EXPECT_FALSE(before.sections.at("network").empty());
    EXPECT_FALSE(before.sections.at("devices").empty());
    EXPECT_EQ(differences_since(before, {{place.path()}, -1}), "");
}

TEST(Snapshot, sees_every_change_of_a_tree) {
    const TempDir place;
    place.write("kept", "a");
    place.write("changed", "a");
    place.write("mode", "a");
    place.write("gone", "a");
    place.link("link", "one");
    const SnapshotOptions options{{place.path()}, -1};
    const auto before = HostSnapshot::take(options);
    place.write("changed", "b");
    ASSERT_EQ(chmod((place / "mode").c_str(), 0600), 0);
    ASSERT_EQ(unlink((place / "gone").c_str()), 0);
    ASSERT_EQ(unlink((place / "link").c_str()), 0);
    place.link("link", "two");
    place.make("new");
    const std::string differences = compare(before, HostSnapshot::take(options));
    EXPECT_THAT(differences, HasSubstr("~ scratch: " + (place / "changed")));
    EXPECT_THAT(differences, HasSubstr("~ scratch: " + (place / "mode")));
    EXPECT_THAT(differences, HasSubstr("- scratch: " + (place / "gone")));
    EXPECT_THAT(differences, HasSubstr("~ scratch: " + (place / "link")));
    EXPECT_THAT(differences, HasSubstr("+ scratch: " + (place / "new")));
    EXPECT_THAT(differences, Not(HasSubstr("kept")));
}

TEST(Snapshot, sees_a_terminal_left_raw) {
    Options options;
    options.pty = true;
    Process shell = Process::start({"sh"}, options);
    const auto before = HostSnapshot::take({{}, shell.terminal()});
    shell.send("stty raw; echo done\n");
    ASSERT_TRUE(shell.expect("done\n") || shell.expect("done")) << shell.out();
    shell.send("exit\n");
    const Ended ended = shell.wait();
    EXPECT_THAT(differences_since(before, {{}, shell.terminal()}, milliseconds(0)), HasSubstr("~ terminal: local"));
}

TEST(Snapshot, sees_mounts_cgroups_and_queues) {
    REQUIRE_OR_SKIP(is_root(), "mounting needs root");
    const TempDir place;
    const auto before = HostSnapshot::take();
    const std::string at = place.make("mounted");
    ASSERT_TRUE(run({"mount", "-t", "tmpfs", "none", at}).ok());
    const std::string with_mount = compare(before, HostSnapshot::take());
    ASSERT_TRUE(run({"umount", at}).ok());
    EXPECT_THAT(with_mount, HasSubstr("+ mounts: " + at));
    if (!before.sections.at("cgroups").empty()) {
        const std::string group = before.sections.at("cgroups").begin()->first + "/sandbox-test-" + std::to_string(getpid());
        ASSERT_EQ(mkdir(group.c_str(), 0755), 0) << group;
        const std::string with_group = compare(before, HostSnapshot::take());
        ASSERT_EQ(rmdir(group.c_str()), 0) << group;
        EXPECT_THAT(with_group, HasSubstr("+ cgroups: " + group));
    }
    const Ended queue = run({"ipcmk", "-Q"});
    ASSERT_TRUE(queue.ok()) << queue;
    EXPECT_THAT(compare(before, HostSnapshot::take()), HasSubstr("+ ipc: msg "));
    ASSERT_TRUE(
        run({"ipcrm", "-q", queue.out.substr(queue.out.rfind(' ') + 1, queue.out.find_last_not_of('\n') - queue.out.rfind(' '))}).ok());
    EXPECT_EQ(differences_since(before), "");
}

// "All/HostilePayload", "cannot_write_to_init/own_ids": HostilePayload.cannot_write_to_init.
std::set<std::string> registered_tests() {
    std::set<std::string> names;
    const auto& all = *testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i) {
        const auto& suite = *all.GetTestSuite(i);
        const std::string_view full = suite.name();
        const std::string_view name = full.substr(full.find('/') == full.npos ? 0 : full.find('/') + 1);
        for (int k = 0; k < suite.total_test_count(); ++k) {
            const std::string_view test = suite.GetTestInfo(k)->name();
            names.insert(sandbox::cat(name, ".", test.substr(0, test.find('/'))));
        }
    }
    return names;
}

TEST(Attacks, have_the_tests_that_their_table_names) {
    const auto registered = registered_tests();
    std::size_t named = 0;
    for (const std::string_view line : sandbox::split(read_text(SOURCE_DIR "/tests/host/attacks.md"), '\n')) {
        if (!line.starts_with("| ") || line.starts_with("| attack")) continue;
        const auto words = sandbox::split(line.substr(line.rfind(" | ")), '`');
        for (std::size_t i = 1; i < words.size(); i += 2, ++named)
            EXPECT_TRUE(registered.contains(std::string(words[i]))) << words[i] << " of attacks.md is no test";
    }
    EXPECT_GT(named, 40U);
}

TEST(Tree, busybox_runs_by_itself) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    REQUIRE_OR_SKIP(is_root(), "chroot needs root");
    const Ended ended = run({"unshare", "--root=" + busybox_tree(), "/bin/sh", "-c", "id -un; /sandbox-probe nnp"});
    EXPECT_EQ(ended.out, "root\n{\"nnp\":0}\n") << ended;
}

TEST(Tree, debian_is_a_distribution) {
    REQUIRE_OR_SKIP(!debian_tree().empty(), "mmdebstrap is not installed or could not make the tree");
    REQUIRE_OR_SKIP(is_root(), "chroot needs root");
    const Ended ended = run({"unshare", "--root=" + debian_tree(), "/usr/bin/dpkg", "-s", "base-files"});
    EXPECT_THAT(ended.out, HasSubstr("Status: install ok installed")) << ended;
}

TEST(Tree, the_probe_runs_under_bubblewrap) {
    REQUIRE_OR_SKIP(command_exists("bwrap"), "bubblewrap is not installed");
    const Json seen =
        last_json(run({"bwrap", "--bind", probe_tree(), "/", "--proc", "/proc", "--dev", "/dev", "--unshare-pid", "--unshare-net",
                       "--clearenv", "/sandbox-probe", "lo", "dir:/", "procs", "nnp", "env", "cwd", "devices"}));
    EXPECT_EQ(seen["lo"], "ok");
    EXPECT_EQ(seen["nnp"], 1);
    EXPECT_EQ(seen["devices"]["null"]["rdev"], "1:3");
    EXPECT_THAT(seen["dir:/"]["names"].get<std::vector<std::string>>(), Contains("sandbox-probe"));
}

}  // namespace
