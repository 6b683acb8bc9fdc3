// Limits on a machine that has the unified tree of control groups alone, by a scope of systemd and by groups that the launcher makes. Run
// as root of the machine (SANDBOX_TESTS_ON_HOST=1 lets it see systemd) and as a user who has a systemd of its own; elsewhere they are left
// out.

#include <linux/magic.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/text.h"
#include "harness.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;
using ::testing::Not;

#define LEFT_OUT_UNLESS(condition, reason)                   \
    if (!(condition)) {                                      \
        ::testing::Test::RecordProperty("expected_skip", 1); \
        GTEST_SKIP() << "left out: " << (reason);            \
    }                                                        \
    static_assert(true, "")

const std::string tree = "/sys/fs/cgroup";

bool is_pure_v2() {
    struct statfs about {};
    return statfs(tree.c_str(), &about) == 0 && about.f_type == CGROUP2_SUPER_MAGIC;
}

bool has_bus() {
    const std::string bus = is_root() ? "/run/dbus/system_bus_socket" : cat("/run/user/", geteuid(), "/bus");
    return exists("/run/systemd/system") && access(bus.c_str(), W_OK) == 0;
}

// Groups and units of ours, a line each.
std::string ours() {
    std::string out;
    std::error_code ignored;
    const auto options = std::filesystem::directory_options::skip_permission_denied;
    for (std::filesystem::recursive_directory_iterator at(tree, options, ignored), end; at != end; at.increment(ignored))
        if (at->is_directory(ignored) && at->path().string().find("/sandbox") != std::string::npos) out += cat(at->path().string(), "\n");
    if (!has_bus()) return out;
    Words words{"systemctl", "--all", "--no-legend", "--plain", "list-units", "sandbox-*"};
    if (!is_root()) words.insert(words.begin() + 1, "--user");
    return out + run(words).out;
}

struct Manager {
    const char* name;
    bool scope;
};
void PrintTo(const Manager& manager, std::ostream* stream) { *stream << manager.name; }
constexpr Manager systemd{"systemd", true}, files{"fs", false};

class GroupsV2 : public ::testing::TestWithParam<Manager> {
   protected:
    void SetUp() override {
        LEFT_OUT_UNLESS(is_pure_v2(), "the machine has groups of v1 too, or none");
        LEFT_OUT_UNLESS(!GetParam().scope || has_bus(), "there is no systemd that could be asked");
        LEFT_OUT_UNLESS(GetParam().scope || is_host_root(), "only root of the machine makes groups beside systemd's");
        ASSERT_EQ(ours(), "") << "left by an earlier run";
    }

    static std::string profile(std::string_view rest) {
        return cat("version: 1\nname: groups-v2\nrootfs: {host: ro}\ncgroup: {manager: ", GetParam().name, "}\n", rest);
    }
    static Options patient(Words up = {}) {
        Options options;
        options.timeout = milliseconds(120000);
        options.up = std::move(up);
        return options;
    }
    // What the launcher says of the end.
    static Json result_of(std::string_view rest, const Words& argv) {
        const TempDir place;
        const Ended ended = run_sandbox(profile(rest), argv, patient({"--result", place / "result"}));
        EXPECT_EQ(ours(), "") << ended;
        const Json result = Json::parse(read_text(place / "result"), nullptr, false);
        EXPECT_TRUE(result.is_object()) << ended;
        return result;
    }
    static Process start(std::string_view rest) {
        return start_sandbox(profile(rest), {"/bin/sh", "-c", "cat /proc/self/cgroup; echo runs; exec sleep 1000"}, patient());
    }
};

TEST_P(GroupsV2, limit_memory) {
    const Json result = result_of("resources: {memory: {max: 100Mi}}\n", {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"});
    EXPECT_EQ(result["reason"], "oom");
    EXPECT_GT(result["oom_kills"], 0);
    EXPECT_GT(result["memory_peak_bytes"], 90 << 20);
    EXPECT_LE(result["memory_peak_bytes"], 100 << 20);
}

TEST_P(GroupsV2, limit_processes) {
    const Json result = result_of("resources: {pids: 20}\n",
                                  {"/bin/sh", "-c", "i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done; echo survived"});
    EXPECT_EQ(result["reason"], "pids");
    EXPECT_NE(result["exit_code"], 0);
}

TEST_P(GroupsV2, limit_processor_time) {
    const Json result = result_of("resources: {cpu: {limit: 0.2}}\n", {"/usr/bin/timeout", "5", "/bin/sh", "-c", "while :; do :; done"});
    const double used = result["user_s"].get<double>() + result["system_s"].get<double>(), wall = result["wall_s"].get<double>();
    EXPECT_GT(used, 0.2) << result;
    EXPECT_LT(used, 0.3 * wall + 0.2) << result;
}

// systemd removes the groups of a scope with its last process.
TEST_P(GroupsV2, say_what_they_have_counted) {
    for (int launch = 0; launch < 20; ++launch) {
        const Json result = result_of("", {"/bin/true"});
        for (const char* what : {"memory_peak_bytes", "oom_kills"}) EXPECT_TRUE(result[what].is_number()) << result;
    }
}

TEST_P(GroupsV2, are_the_root_of_the_sandboxs_own_cgroup_namespace) {
    const Ended ended = run_sandbox(profile(""), {"/bin/cat", "/proc/self/cgroup"}, patient());
    EXPECT_EQ(ended.out, "0::/\n") << ended;
    EXPECT_EQ(ours(), "");
}

TEST_P(GroupsV2, are_in_the_plan) {
    const TempDir place;
    const std::string file = place.write("p.yaml", profile("resources: {pids: 20}\nprocess: {command: [/bin/true]}\n"));
    const std::string plan = sandbox_command({"plan", file}).out;
    if (!GetParam().scope) {
        EXPECT_THAT(plan, HasSubstr("make the group /sys/fs/cgroup/sandbox/groups-v2.<id>"));
        return;
    }
    const auto scope = plan.find("have systemd make the scope sandbox-groups-v2-<id>.scope"), enter = plan.find("cgroup.enter");
    const auto enable = plan.find("have the scope hand out"), limit = plan.find("cgroup.set:pids.max");
    EXPECT_TRUE(scope < enter && enter < enable && enable < limit && limit != plan.npos) << plan;
}

TEST_P(GroupsV2, of_a_killed_launcher_are_removed_by_gc) {
    Process launcher = start("resources: {pids: 20}\n");
    ASSERT_TRUE(launcher.expect("runs", milliseconds(60000))) << launcher.wait();
    EXPECT_THAT(ours(), HasSubstr("groups-v2"));
    launcher.signal(SIGKILL);
    launcher.wait();
    const Ended cleaned = sandbox_command({"gc"}, patient());
    EXPECT_TRUE(cleaned.ok() && cleaned.err.empty()) << cleaned;
    EXPECT_EQ(ours(), "");
}

TEST_P(GroupsV2, that_systemd_has_already_stopped_leave_nothing_to_do) {
    LEFT_OUT_UNLESS(GetParam().scope, "no unit of systemd");
    Process launcher = start("");
    ASSERT_TRUE(launcher.expect("runs", milliseconds(60000))) << launcher.wait();
    Words words{"systemctl", "kill", "--signal=KILL", "sandbox-groups-v2-*.scope"};
    if (!is_root()) words.insert(words.begin() + 1, "--user");
    EXPECT_TRUE(run(words).ok());
    const Ended ended = launcher.wait();
    EXPECT_EQ(ended.code, 128 + SIGKILL) << ended;
    EXPECT_EQ(ours(), "");
}

TEST_P(GroupsV2, hand_out_controllers_only_as_long_as_they_are_needed) {
    LEFT_OUT_UNLESS(!GetParam().scope, "systemd's own matter");
    const std::string before = read_text(tree + "/cgroup.subtree_control");
    Process launcher = start("resources: {pids: 20, cpu: {limit: 0.5}}\n");
    ASSERT_TRUE(launcher.expect("runs", milliseconds(60000))) << launcher.wait();
    const std::string during = read_text(tree + "/cgroup.subtree_control"), below = read_text(tree + "/sandbox/cgroup.subtree_control");
    for (const char* name : {"memory", "pids", "cpu"}) {
        EXPECT_THAT(during, HasSubstr(name));
        EXPECT_THAT(below, HasSubstr(name));
    }
    launcher.signal(SIGTERM);
    launcher.wait();
    EXPECT_EQ(read_text(tree + "/cgroup.subtree_control"), before);
    EXPECT_EQ(ours(), "");
}

TEST_P(GroupsV2, limit_devices) {
    LEFT_OUT_UNLESS(is_host_root(), "only root of the machine filters devices");
    const std::string rest = "id_map: host\nmounts: [{type: tmpfs, target: /mnt, dev: true}]\n";
    Json seen = probe_in_sandbox(profile(rest + "devices: [{path: /dev/zero, target: /dev/narrow, access: r}]\n"),
                                 {"open-write:/dev/null", "open-read:/dev/zero", "mknod:/mnt/memory=c:1:1", "open-read:/mnt/memory",
                                  "mknod:/mnt/null=c:1:3", "open-write:/mnt/null", "mknod:/mnt/disk=b:7:0", "open-read:/mnt/disk"},
                                 patient());
    EXPECT_EQ(seen["open-write:/dev/null"], "ok");
    EXPECT_EQ(seen["open-read:/dev/zero"], "ok");
    EXPECT_EQ(seen["mknod:/mnt/memory=c:1:1"], "ok");
    EXPECT_EQ(seen["open-read:/mnt/memory"], "EPERM");
    EXPECT_EQ(seen["mknod:/mnt/null=c:1:3"], "ok");
    EXPECT_EQ(seen["open-write:/mnt/null"], "ok");
    EXPECT_EQ(seen["open-read:/mnt/disk"], "EPERM");
    EXPECT_EQ(ours(), "");
}

TEST_P(GroupsV2, limit_how_a_device_is_used) {
    LEFT_OUT_UNLESS(is_host_root(), "only root of the machine filters devices");
    for (const char* ids : {"host", "auto"}) {
        SCOPED_TRACE(ids);
        Json seen = probe_in_sandbox(profile(cat("id_map: ", ids, "\ndevices: [{path: /dev/zero, target: /dev/narrow, access: r}]\n")),
                                     {"open-read:/dev/narrow", "open-write:/dev/narrow"}, patient());
        EXPECT_EQ(seen["open-read:/dev/narrow"], "ok");
        EXPECT_EQ(seen["open-write:/dev/narrow"], "EPERM");
    }
    EXPECT_EQ(ours(), "");
}

// ---- a launch that ends in the middle

struct Swept {
    Ended ended;
    Json report;
};

Swept sweep(const std::string& profile, const Words& verb) {
    const Fd report(memfd_create("report", 0));
    Words argv{sweep_binary(), profile, std::to_string(report.get())};
    argv.insert(argv.end(), verb.begin(), verb.end());
    Options options;
    options.timeout = milliseconds(120000);
    options.pass = {report.get()};
    Ended ended = run(argv, options);
    return {std::move(ended), Json::parse(read_text(cat("/proc/self/fd/", report.get())), nullptr, false)};
}

TEST_P(GroupsV2, of_a_launch_that_fails_or_is_killed_anywhere_are_removed) {
    const TempDir place;
    const std::string file = place.write("p.yaml", profile("resources: {pids: 20}\nprocess: {command: [/bin/true]}\n"));
    const Swept undisturbed = sweep(file, {"trace"});
    ASSERT_TRUE(undisturbed.report.is_object() && undisturbed.ended.ok()) << undisturbed.ended;
    const Json& events = undisturbed.report["events"];
    std::size_t tried = 0;
    for (std::size_t i = 0; i < events.size(); ++i) {
        const std::string step = events[i]["step"], moment = events[i]["moment"];
        if (!step.starts_with("cgroup.") || step.starts_with("cgroup.set") || step == "cgroup.namespace") continue;
        ++tried;
        for (const char* verb : {"fail", "kill"}) {
            SCOPED_TRACE(cat(verb, " at ", step, " ", moment));
            const Swept swept = sweep(file, {verb, std::to_string(i)});
            EXPECT_TRUE(verb == std::string_view("kill") ? swept.ended.signal == SIGKILL : swept.ended.code == 125) << swept.ended;
            if (swept.report.is_object()) {
                EXPECT_EQ(swept.report["problems"], Json::array());
            }
            const Ended cleaned = sandbox_command({"gc"}, patient());
            EXPECT_TRUE(cleaned.ok() && cleaned.err.empty()) << cleaned;
            EXPECT_EQ(ours(), "");
        }
    }
    EXPECT_GT(tried, 8U);
}

INSTANTIATE_TEST_SUITE_P(All, GroupsV2, ::testing::Values(systemd, files), [](const auto& which) { return std::string(which.param.name); });

// ---- who makes them when nobody says

TEST(GroupsV2Manager, is_systemd_where_it_runs_and_the_launcher_itself_elsewhere) {
    LEFT_OUT_UNLESS(is_pure_v2(), "the machine has groups of v1 too, or none");
    LEFT_OUT_UNLESS(is_host_root() || has_bus(), "nobody can be asked for groups");
    const TempDir place;
    const std::string file = place.write("p.yaml", "version: 1\nrootfs: {host: ro}\nprocess: {command: [/bin/true]}\n");
    EXPECT_THAT(sandbox_command({"plan", file}).out, HasSubstr(has_bus() ? "a transient scope of systemd" : "made by the launcher"));
}

TEST(GroupsV2Manager, that_is_not_there_is_said) {
    LEFT_OUT_UNLESS(is_pure_v2(), "the machine has groups of v1 too, or none");
    LEFT_OUT_UNLESS(!has_bus(), "there is a bus");
    const Ended ended = run_sandbox("version: 1\nrootfs: {host: ro}\ncgroup: {manager: systemd}\n", {"/bin/true"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("cgroup.manager"));
}

}  // namespace
