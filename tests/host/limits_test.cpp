// Limits that hold: memory, processes, processors, disks, devices; what the result says of them; groups above.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class Limits : public ::testing::Test {
   protected:
    void SetUp() override { HOST_ROOT_OR_LEFT_OUT(); }
    // How a sandbox with these lines ended, as --result says it.
    Json result_of(std::string_view rest, const Words& argv) {
        const std::string file = place_ / "result.json";
        Options options;
        options.up = {"--result", file};
        last_ = run_sandbox(in_tree(rest), argv, options);
        return Json::parse(read_text(file), nullptr, false);
    }
    Json seen() const { return last_json(last_); }

    TempDir place_;
    Ended last_;
    HostSnapshot before_ = HostSnapshot::take();
};

TEST_F(Limits, of_memory_end_who_wants_more) {
    const Json result = result_of("resources: {memory: {max: 100Mi}}\n", {"/sandbox-probe", "hold-memory:300"});
    EXPECT_EQ(last_.code, 137) << last_;
    EXPECT_EQ(result["reason"], "oom") << result;
    EXPECT_GE(result["oom_kills"], 1);
    EXPECT_GE(result["memory_peak_bytes"], 90 << 20);
    EXPECT_LE(result["memory_peak_bytes"], 100 << 20);
    EXPECT_EQ(differences_since(before_), "");
}

TEST_F(Limits, of_memory_kill_one_process_by_default_and_all_with_oom_group) {
    result_of("resources: {memory: {max: 64Mi}}\n", {"/sandbox-probe", "child-holds-memory:300"});
    EXPECT_EQ(last_.code, 0) << last_;
    EXPECT_EQ(seen()["child-holds-memory:300"], "SIGKILL");
    const Json all =
        result_of("resources: {memory: {max: 64Mi, oom: group}}\n", {"/sandbox-probe", "child-holds-memory:300", "wait-signal:USR1"});
    EXPECT_EQ(last_.code, 137) << last_;
    EXPECT_EQ(all["reason"], "oom") << all;
    EXPECT_EQ(differences_since(before_), "");
}

TEST_F(Limits, of_memory_are_no_matter_within_them) {
    const Json result = result_of("resources: {memory: {max: 100Mi}}\n", {"/sandbox-probe", "hold-memory:50"});
    EXPECT_EQ(last_.code, 0) << last_;
    EXPECT_EQ(result["reason"], "exit");
    EXPECT_EQ(result["oom_kills"], 0);
    EXPECT_GE(result["memory_peak_bytes"], 50 << 20);
}

TEST_F(Limits, of_processes_meet_eagain) {
    const Json result = result_of("resources: {pids: 20}\n", {"/sandbox-probe", "fork-until-refused:1000"});
    EXPECT_EQ(seen()["fork-until-refused:1000"]["refused"], "EAGAIN");
    // Init and the probe are two of them.
    EXPECT_EQ(seen()["fork-until-refused:1000"]["made"], 18);
    EXPECT_EQ(result["pids_peak"], 20);
    EXPECT_EQ(result["reason"], "exit") << "it went on and succeeded";
    const Json failed = result_of("resources: {pids: 20}\n", {"/sandbox-probe", "fork-until-refused:1000", "exit:3"});
    EXPECT_EQ(last_.code, 3);
    EXPECT_EQ(failed["reason"], "pids");
    EXPECT_EQ(differences_since(before_), "");
}

TEST_F(Limits, of_processes_are_there_by_default) {
    result_of("", {"/sandbox-probe", "fork-until-refused:2000"});
    EXPECT_EQ(seen()["fork-until-refused:2000"]["made"], 510);
}

TEST_F(Limits, of_processors_give_their_share) {
    // What a busy machine takes away is not the limit's doing: the best of a few says what the limit gives.
    double most = 0;
    for (int attempt = 0; attempt < 5 && most < 0.1; ++attempt) {
        result_of("resources: {cpu: {limit: 0.2}}\n", {"/sandbox-probe", "burn:1500"});
        const double share = seen()["burn:1500"]["share"];
        EXPECT_LE(share, 0.3) << seen();
        most = std::max(most, share);
    }
    EXPECT_GE(most, 0.1) << seen();
    result_of("resources: {cpu: {quota: 5ms, period: 20ms}}\n", {"/sandbox-probe", "burn:1000"});
    EXPECT_LE(seen()["burn:1000"]["share"], 0.4) << seen();
    EXPECT_EQ(differences_since(before_), "");
}

TEST_F(Limits, of_processors_choose_them) {
    result_of("resources: {cpu: {set: \"0\"}}\n", {"/sandbox-probe", "usable-processors"});
    EXPECT_EQ(last_.code, 0) << last_;
    EXPECT_EQ(seen()["usable-processors"], 1);
    const Ended refused = run_sandbox(in_tree("resources: {cpu: {set: \"0,4000\"}}\n"), {"/sandbox-probe", "pid"});
    EXPECT_EQ(refused.code, 125);
    EXPECT_THAT(refused.err, HasSubstr("error[E0552]: resources.cpu.set: "));
    EXPECT_EQ(differences_since(before_), "");
}

TEST_F(Limits, of_processor_time_end_it) {
    const Json result = result_of("lifecycle: {cpu_time: 300ms}\n", {"/sandbox-probe", "compute-forever"});
    EXPECT_EQ(last_.code, 124) << last_;
    EXPECT_EQ(result["reason"], "timeout");
    EXPECT_LT(last_.seconds, 5);
    EXPECT_EQ(differences_since(before_), "");
}

TEST_F(Limits, of_a_disk_hold_who_writes_past_the_cache) {
    struct stat about {};
    ASSERT_EQ(stat(place_.path().c_str(), &about), 0);
    const Json tried = probe_outside({cat("write-direct:", place_ / "tried", "=64")});
    const bool on_disk = !tried[cat("write-direct:", place_ / "tried", "=64")].contains("error") &&
                         exists(cat("/sys/dev/block/", about.st_dev >> 8 & 0xFFF, ":", about.st_dev & 0xFF));
    if (!on_disk) {
        ::testing::Test::RecordProperty("expected_skip", 1);
        GTEST_SKIP() << "left out: " << place_.path() << " is on no disk of its own, or not written directly";
    }
    place_.make("out", 0777);
    result_of(cat("mounts: [{source: ", place_ / "out", ", target: /work, mode: rw, idmap: container}]\nresources: {io: {devices: [{path: ",
                  place_.path(), ", write_bps: 2Mi}]}}\n"),
              {"/sandbox-probe", "write-direct:/work/file=4096"});
    ASSERT_EQ(last_.code, 0) << last_;
    const Json wrote = seen()["write-direct:/work/file=4096"];
    ASSERT_FALSE(wrote.contains("error")) << wrote;
    EXPECT_LE(wrote["bytes_per_second"], 2.6 * (1 << 20)) << wrote;
    EXPECT_EQ(differences_since(before_), "");
}

TEST_F(Limits, of_a_disk_name_what_is_none) {
    const Ended ended = run_sandbox(in_tree("resources: {io: {devices: [{path: /proc, read_bps: 1Mi}]}}\n"), {"/sandbox-probe", "pid"});
    EXPECT_EQ(ended.code, 125);
    EXPECT_THAT(ended.err, HasSubstr("error[E0551]: resources.io.devices[0].path: '/proc' is on proc, which has no disk of its own"));
}

// ---- what a host cannot do

TEST_F(Limits, that_a_host_cannot_keep_are_refused_by_name_or_said) {
    if (!exists("/sys/fs/cgroup/memory/memory.limit_in_bytes")) {
        ::testing::Test::RecordProperty("expected_skip", 1);
        GTEST_SKIP() << "left out: memory is not in cgroup v1 here";
    }
    const std::string limits = "resources: {memory: {max: 64Mi, high: 32Mi}}\n";
    const Ended refused = run_sandbox(in_tree(limits), {"/sandbox-probe", "pid"});
    EXPECT_EQ(refused.code, 125);
    EXPECT_THAT(refused.err, HasSubstr("error[E0551]: resources.memory.high: cgroup v1 has no limit that slows processes down"));
    const Ended warned = run_sandbox(in_tree(cat("policy: {unsupported: warn}\n", limits)), {"/sandbox-probe", "pid"});
    EXPECT_EQ(warned.code, 0) << warned;
    EXPECT_THAT(warned.err, HasSubstr("warning[E0551]: resources.memory.high"));
    EXPECT_THAT(warned.err, HasSubstr("left out: resources.memory.high: "));
    EXPECT_EQ(differences_since(before_), "");
}

TEST(LimitsOfAUser, who_may_make_no_groups_are_refused_and_the_defaults_left_out) {
    REQUIRE_OR_SKIP(is_root(), "needs root, to be somebody else");
    if (exists("/run/systemd/system")) {
        ::testing::Test::RecordProperty("expected_skip", 1);
        GTEST_SKIP() << "left out: systemd gives its users groups";
    }
    const Ended refused = run_sandbox(in_tree("resources: {memory: {max: 64Mi}}\n"), {"/sandbox-probe", "pid"}, ordinary_user());
    EXPECT_EQ(refused.code, 125);
    EXPECT_THAT(refused.err, HasSubstr("error[E0550]: resources.memory.max: the caller may not make groups in"));
    const Ended fine = run_sandbox(in_tree(), {"/sandbox-probe", "pid"}, ordinary_user());
    EXPECT_EQ(fine.code, 0) << fine;
}

// ---- groups above

std::vector<std::string> groups_named(const std::string& name) {
    const Ended found = run({"find", "/sys/fs/cgroup", "-type", "d", "-path", cat("*/sandbox/", name)});
    std::vector<std::string> out;
    for (const std::string_view line : sandbox::split(found.out, '\n'))
        if (!line.empty()) out.emplace_back(line);
    return out;
}

TEST_F(Limits, of_a_group_above_are_shared_and_go_with_the_last) {
    const std::string parent = "cgroup: {parent: {name: test-tier/web, pids: 30}}\nresources: {pids: 25}\n";
    Process one = start_sandbox(in_tree(cat("name: one\n", parent)), {"/sandbox-probe", "fork-until-refused:18", "wait-signal:USR1"});
    ASSERT_TRUE(one.expect("\"ready\":true")) << one.err();
    EXPECT_FALSE(groups_named("test-tier/web").empty());
    // 30 for both: the first has two.
    const Json two = last_json(run_sandbox(in_tree(cat("name: two\n", parent)), {"/sandbox-probe", "fork-until-refused:100"}));
    EXPECT_EQ(two["fork-until-refused:100"]["made"], 23);
    EXPECT_FALSE(groups_named("test-tier/web").empty());
    const Ended other = run_sandbox(in_tree("name: three\ncgroup: {parent: {name: test-tier/web, pids: 31}}\n"), {"/sandbox-probe", "pid"});
    EXPECT_EQ(other.code, 125);
    EXPECT_THAT(other.err, HasSubstr("is there already with pids.max 30, not 31"));
    one.signal(SIGUSR1);
    one.wait();
    EXPECT_TRUE(groups_named("test-tier").empty());
    EXPECT_EQ(differences_since(before_), "");
}

TEST_F(Limits, of_a_group_that_somebody_else_made_are_left_alone) {
    const std::string pids = exists("/sys/fs/cgroup/pids") ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup";
    const std::string above = pids + "/sandbox", mine = above + "/test-mine";
    const bool made_above = mkdir(above.c_str(), 0755) == 0;
    ASSERT_EQ(mkdir(mine.c_str(), 0755), 0);
    const Ended ended = run_sandbox(in_tree("cgroup: {parent: test-mine}\n"), {"/sandbox-probe", "pid"});
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_TRUE(exists(mine));
    EXPECT_EQ(rmdir(mine.c_str()), 0);
    EXPECT_TRUE(!made_above || rmdir(above.c_str()) == 0);
    EXPECT_EQ(differences_since(before_), "");
}

// ---- seen from inside

TEST_F(Limits, are_in_a_cgroup_namespace_of_its_own) {
    const std::string seen = probe_in_sandbox(in_tree(), {"read:/proc/self/cgroup"}).dump();
    EXPECT_THAT(seen, AnyOf(HasSubstr(":pids:/\\n"), HasSubstr("0::/\\n")));
    EXPECT_THAT(seen, ::testing::Not(HasSubstr("sandbox")));
}

TEST_F(Limits, without_groups_are_none) {
    const Json result = result_of("cgroup: {manager: none}\n", {"/sandbox-probe", "pid"});
    EXPECT_TRUE(result["pids_peak"].is_null());
    EXPECT_TRUE(result["oom_kills"].is_null());
    EXPECT_GT(result["memory_peak_bytes"], 0);
    const Ended refused = run_sandbox(in_tree("cgroup: {manager: none}\nresources: {pids: 5}\n"), {"/sandbox-probe", "pid"});
    EXPECT_EQ(refused.code, 125);
    EXPECT_THAT(refused.err, HasSubstr("error[E0422]: resources.pids: cgroup.manager is none"));
}

}  // namespace
