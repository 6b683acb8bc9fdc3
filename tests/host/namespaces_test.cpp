// Each namespace private, the host's, or joined by its file; names, clocks, queues, loopback.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;

// The profile's key and the name in /proc/PID/ns.
struct Type {
    const char* key;
    const char* file;
};
std::ostream& operator<<(std::ostream& stream, const Type& type) { return stream << type.key; }

class EveryNamespace : public ::testing::TestWithParam<Type> {};

INSTANTIATE_TEST_SUITE_P(All, EveryNamespace,
                         ::testing::Values(Type{"mount", "mnt"}, Type{"pid", "pid"}, Type{"ipc", "ipc"}, Type{"uts", "uts"},
                                           Type{"cgroup", "cgroup"}, Type{"user", "user"}, Type{"time", "time"}),
                         [](const auto& one) { return one.param.key; });

TEST_P(EveryNamespace, is_private_when_asked) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json outside = probe_outside({"ns"})["ns"];
    const Json inside = probe_in_sandbox(in_tree(cat("namespaces: {", GetParam().key, ": private}\n")), {"ns"})["ns"];
    EXPECT_TRUE(inside[GetParam().file].is_number()) << inside;
    EXPECT_NE(inside[GetParam().file], outside[GetParam().file]);
}

// A fresh /proc shows a pid namespace, and only root of the user namespace that this belongs to may mount it.
const char* foreign_proc() { return is_host_root() ? "" : "proc: {mode: inherit}\n"; }

TEST_P(EveryNamespace, is_the_hosts_when_asked) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json outside = probe_outside({"ns"})["ns"];
    const std::string key = GetParam().key;
    const auto before = HostSnapshot::take();
    // Without a mount namespace of its own a sandbox has no root of its own either.
    const std::string profile =
        key == "mount" ? "version: 1\nrootfs: {host: rw}\nnamespaces: {mount: host}\nproc: {mode: inherit}\ndev: {mode: none}\n"
                         "mask: none\nreadonly_paths: none\nid_map: host\n"
                       : in_tree(cat("namespaces: {", key, ": host}\n", key == "pid" ? foreign_proc() : ""));
    const Json inside = probe_in_sandbox(profile, {"ns"})["ns"];
    EXPECT_EQ(inside[GetParam().file], outside[GetParam().file]);
    EXPECT_EQ(differences_since(before), "");
}

TEST(Namespaces, are_all_private_but_time_without_a_word) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json outside = probe_outside({"ns"})["ns"], inside = probe_in_sandbox(in_tree(), {"ns"})["ns"];
    for (const char* name : {"mnt", "pid", "ipc", "uts", "cgroup", "user", "net"}) EXPECT_NE(inside[name], outside[name]) << name;
    EXPECT_EQ(inside["time"], outside["time"]);
    EXPECT_EQ(inside["pid"], inside["pid_for_children"]);
}

// Whatever the root is made of, nothing lies over it: a process below such a mount counts as chrooted, and the kernel gives no
// user namespace to one.
TEST(Namespaces, can_be_made_inside_where_the_filter_lets) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    for (const std::string& root : {in_tree(), std::string("version: 1\nrootfs: {host: ro}\n"),
                                    std::string("version: 1\nrootfs: {overlay: {lower: [@PROBE_TREE@], upper: tmpfs}}\n")})
        for (const Options& options : {Options(), ordinary_user()}) {
            const Json seen =
                probe_in_sandbox(root + "security: {seccomp: {profile: none}}\n", {"try:unshare:user", "ids", "mounts"}, options);
            EXPECT_EQ(seen["try:unshare:user"], "ok") << root << seen["ids"];
            long roots = 0;
            for (const Json& mount : seen["mounts"]) roots += mount["target"] == "/";
            EXPECT_EQ(roots, 1) << root << seen["mounts"];
        }
}

TEST(Namespaces, of_mounts_can_have_the_whole_host_at_a_place) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json outside = probe_outside({"dir:/"})["dir:/"];
    for (const Options& options : {Options(), ordinary_user()})
        EXPECT_EQ(probe_in_sandbox(in_tree("mounts: [{source: /, target: /mnt}]\n"), {"dir:/mnt"}, options)["dir:/mnt"], outside);
}

// One write, as the kernel wants it.
void write_map(const std::string& path, std::string_view text) {
    const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size())) << path;
}

class JoinedNamespace : public ::testing::TestWithParam<Type> {};

INSTANTIATE_TEST_SUITE_P(All, JoinedNamespace,
                         ::testing::Values(Type{"ipc", "ipc"}, Type{"uts", "uts"}, Type{"cgroup", "cgroup"}, Type{"time", "time"},
                                           Type{"pid", "pid"}, Type{"user", "user"}),
                         [](const auto& one) { return one.param.key; });

TEST_P(JoinedNamespace, is_the_one_of_the_file) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const std::string key = GetParam().key;
    Words unshare = {"unshare", "--" + key};
    // unshare itself stays outside new pid and time namespaces, its child is in them.
    const bool forks = key == "pid" || key == "time";
    if (forks) unshare.push_back("--fork");
    for (const std::string& word : Words{probe_binary(), "hold"}) unshare.push_back(word);
    Options options;
    options.keep_input_open = true;
    Process holder = Process::start(unshare, options);
    ASSERT_TRUE(holder.expect("\"ready\":true")) << holder.err();
    const std::string own = std::to_string(holder.pid());
    const std::string child = forks ? std::string(sandbox::trim(read_text(cat("/proc/", own, "/task/", own, "/children")))) : own;
    if (key == "user") {
        for (const char* map : {"uid_map", "gid_map"}) write_map(cat("/proc/", child, "/", map), cat("0 ", spare_ids(), " 40000"));
    }
    const Json theirs = probe_outside({"ns:" + child})["ns:" + child];
    const Json outside = probe_outside({"ns"})["ns"];
    ASSERT_NE(theirs[GetParam().file], outside[GetParam().file]);
    const std::string profile =
        in_tree(cat("namespaces: {", key, ": {path: /proc/", child, "/ns/", GetParam().file, "}}\n", key == "pid" ? foreign_proc() : ""));
    EXPECT_EQ(probe_in_sandbox(profile, {"ns"})["ns"][GetParam().file], theirs[GetParam().file]);
    holder.close_input();
    EXPECT_TRUE(holder.wait().ok());
}

TEST(Namespaces, a_wrong_file_is_refused_by_its_key) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const auto before = HostSnapshot::take();
    const Ended missing = run_sandbox(in_tree("namespaces: {ipc: {path: /proc/self/ns/none}}\n"), {"/sandbox-probe"});
    EXPECT_EQ(missing.code, 125) << missing;
    EXPECT_THAT(missing.err, ::testing::HasSubstr("/proc/self/ns/none"));
    const Ended other = run_sandbox(in_tree("namespaces: {ipc: {path: /proc/self/ns/uts}}\n"), {"/sandbox-probe"});
    EXPECT_EQ(other.code, 125) << other;
    EXPECT_THAT(other.err, ::testing::HasSubstr("ipc"));
    EXPECT_EQ(differences_since(before), "");
}

TEST(Uts, names_are_the_sandboxs_own) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    utsname before{}, after{};
    uname(&before);
    const Json seen = probe_in_sandbox(in_tree("hostname: inside\ndomainname: lab.example\n"), {"uname"})["uname"];
    uname(&after);
    EXPECT_EQ(seen["hostname"], "inside");
    EXPECT_EQ(seen["domainname"], "lab.example");
    EXPECT_STREQ(before.nodename, after.nodename);
    EXPECT_STREQ(before.domainname, after.domainname);
}

TEST(Uts, the_name_of_the_sandbox_is_its_host_name) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    EXPECT_EQ(probe_in_sandbox(in_tree("name: called-so\n"), {"hostname"})["hostname"], "called-so");
}

TEST(Ipc, a_queue_made_outside_is_not_seen) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const int queue = msgget(IPC_PRIVATE, 0600 | IPC_CREAT);
    ASSERT_GE(queue, 0);
    const Json outside = probe_outside({"sysvipc"})["sysvipc"];
    const Json own = probe_in_sandbox(in_tree(), {"sysvipc", "make-msgqueue"});
    const Json shared = probe_in_sandbox(in_tree("namespaces: {ipc: host}\n"), {"sysvipc"})["sysvipc"];
    msgctl(queue, IPC_RMID, nullptr);
    EXPECT_GE(outside["msg"], 1);
    EXPECT_EQ(own["sysvipc"], (Json{{"msg", 0}, {"sem", 0}, {"shm", 0}}));
    EXPECT_EQ(own["make-msgqueue"], "ok");
    EXPECT_EQ(shared["msg"], outside["msg"]);
}

TEST(Ipc, posix_queues_and_shared_memory_are_there) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen =
        probe_in_sandbox(in_tree("dev: {shm_size: 1Mi}\n"), {"mqueue:/mine", "dir:/dev/mqueue", "statfs:/dev/shm", "create:/dev/shm/x"});
    EXPECT_EQ(seen["mqueue:/mine"], "ok");
    EXPECT_EQ(names_of(seen["dir:/dev/mqueue"]["names"]), Names{"mine"});
    EXPECT_EQ(seen["statfs:/dev/shm"]["size"], 1 << 20);
    EXPECT_EQ(seen["create:/dev/shm/x"], "ok");
}

double now(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

TEST(Time, offsets_move_the_two_clocks_alone) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree("time: {boottime: 48h, monotonic: 1h30m}\n"), {"time", "ns"});
    EXPECT_NEAR(seen["time"]["boottime"], now(CLOCK_BOOTTIME) + 48 * 3600, 60);
    EXPECT_NEAR(seen["time"]["monotonic"], now(CLOCK_MONOTONIC) + 5400, 60);
    EXPECT_NEAR(seen["time"]["realtime"], now(CLOCK_REALTIME), 60);
    EXPECT_NE(seen["ns"]["time"], probe_outside({"ns"})["ns"]["time"]);
}

TEST(Time, may_go_back_but_not_before_the_start) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const double outside = now(CLOCK_MONOTONIC);
    EXPECT_LT(probe_in_sandbox(in_tree("time: {monotonic: -10s}\n"), {"time"})["time"]["monotonic"], outside);
    const auto before = HostSnapshot::take();
    const Ended ended = run_sandbox(in_tree("time: {monotonic: -876000h}\n"), {"/sandbox-probe", "ns"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_EQ(differences_since(before), "");
}

TEST(Network, none_has_a_loopback_that_works_and_nothing_else) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree(), {"lo", "links", "dir:/sys/class/net"});
    EXPECT_EQ(seen["lo"], "ok");
    for (const auto& [name, link] : seen["links"].items()) EXPECT_EQ(link["up"], name == "lo") << name;
    EXPECT_TRUE(seen["links"].contains("lo"));
}

TEST(Network, host_is_the_hosts) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree("network: {mode: host}\n"), {"ns", "lo"});
    EXPECT_EQ(seen["ns"]["net"], probe_outside({"ns"})["ns"]["net"]);
    EXPECT_EQ(seen["lo"], "ok");
}

TEST(Network, path_is_the_one_of_the_file) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    Options options;
    options.keep_input_open = true;
    Process holder = Process::start({"unshare", "--net", probe_binary(), "hold"}, options);
    ASSERT_TRUE(holder.expect("\"ready\":true")) << holder.err();
    const std::string pid = std::to_string(holder.pid());
    const Json theirs = probe_outside({"ns:" + pid})["ns:" + pid];
    const Json seen = probe_in_sandbox(in_tree(cat("network: {mode: path, path: /proc/", pid, "/ns/net}\n")), {"ns", "links"});
    EXPECT_EQ(seen["ns"]["net"], theirs["net"]);
    // It is another's: what its owner left down stays down.
    EXPECT_EQ(seen["links"]["lo"]["up"], false);
    holder.close_input();
    EXPECT_TRUE(holder.wait().ok());
}

TEST(Pid, only_the_sandbox_is_seen) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree(), {"procs", "pid", "dir:/proc/1"});
    for (const Json& process : seen["procs"]) EXPECT_LE(process["pid"], seen["pid"]["pid"]) << process;
    EXPECT_LE(seen["procs"].size(), 2U);
}

}  // namespace
