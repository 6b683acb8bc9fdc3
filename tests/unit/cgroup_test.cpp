// What is asked of groups, on a tree of plain files that stands in for the kernel's.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/text.h"
#include "kernel/cgroup.h"

namespace sandbox {
namespace {

using testing::HasSubstr;

class FakeGroups : public testing::Test {
   protected:
    void SetUp() override {
        char path[] = "/dev/shm/sandbox-groups-XXXXXX";
        ASSERT_NE(mkdtemp(path), nullptr);
        place_ = path;
    }
    void TearDown() override { std::filesystem::remove_all(place_); }
    Fd group(const std::string& name, const std::vector<std::pair<std::string, std::string>>& files) {
        const std::string path = cat(place_, "/", name);
        std::filesystem::create_directories(path);
        for (const auto& [file, text] : files) std::ofstream(cat(path, "/", file)) << text;
        return Fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    std::string text(const std::string& name) {
        std::ifstream file(cat(place_, "/", name));
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::string place_;
};

TEST_F(FakeGroups, OfV1AreAskedInTheirFiles) {
    GroupSet set;
    set.add({false,
             {"memory"},
             "/m",
             group("memory", {{"memory.usage_in_bytes", "4096\n"},
                              {"memory.max_usage_in_bytes", "8192\n"},
                              {"memory.limit_in_bytes", "9223372036854771712\n"},
                              {"memory.stat", "cache 1\nswap 77\nrss 3\n"},
                              {"memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"}})});
    set.add({false,
             {"pids"},
             "/p",
             group("pids", {{"pids.current", "5\n"}, {"pids.peak", "9\n"}, {"pids.max", "max\n"}, {"pids.events", "max 12\n"}})});
    set.add({false, {"cpu", "cpuacct"}, "/c", group("cpu", {{"cpuacct.usage", "123456789\n"}})});
    set.add({false,
             {"io"},
             "/b",
             group("blkio", {{"blkio.throttle.io_service_bytes", "8:0 Read 100\n8:0 Write 20\n8:16 Read 5\n8:16 Write 7\nTotal 132\n"}})});
    EXPECT_EQ(set.memory_now(), 4096U);
    EXPECT_EQ(set.memory_peak(), 8192U);
    EXPECT_EQ(set.memory_limit(), std::nullopt) << "the most that it can count is no limit";
    EXPECT_EQ(set.swap_now(), 77U);
    EXPECT_EQ(set.oom_kills(), 3U);
    EXPECT_EQ(set.pids_now(), 5U);
    EXPECT_EQ(set.pids_peak(), 9U);
    EXPECT_EQ(set.pids_limit(), std::nullopt);
    EXPECT_EQ(set.pids_denied(), 12U);
    EXPECT_EQ(set.cpu_time(), 123456789U);
    EXPECT_EQ(set.io_read(), 105U);
    EXPECT_EQ(set.io_written(), 27U);
    EXPECT_FALSE(set.can_freeze());
    EXPECT_THAT(set.freeze().error().message, HasSubstr("no control group that can be frozen"));
}

TEST_F(FakeGroups, OfV2AreAskedInTheirs) {
    GroupSet set;
    set.add(
        {true,
         {"memory", "pids", "io"},
         "/u",
         group("unified", {{"memory.current", "4096\n"},
                           {"memory.max", "max\n"},
                           {"memory.swap.current", "0\n"},
                           {"memory.events", "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n"},
                           {"pids.current", "5\n"},
                           {"pids.max", "64\n"},
                           {"pids.events", "max 0\n"},
                           {"cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"},
                           {"io.stat", "8:0 rbytes=100 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=5 wbytes=7 rios=1 wios=1\n"},
                           {"cgroup.events", "populated 1\nfrozen 1\n"}})});
    EXPECT_EQ(set.memory_now(), 4096U);
    EXPECT_EQ(set.memory_peak(), std::nullopt) << "older kernels have no memory.peak";
    EXPECT_EQ(set.memory_limit(), std::nullopt);
    EXPECT_EQ(set.oom_kills(), 4U);
    EXPECT_EQ(set.pids_limit(), 64U);
    EXPECT_EQ(set.pids_denied(), 0U);
    EXPECT_EQ(set.cpu_time(), 1500000U);
    EXPECT_EQ(set.io_read(), 105U);
    EXPECT_EQ(set.io_written(), 27U);
    EXPECT_TRUE(set.can_freeze()) << "the core of v2";
    EXPECT_TRUE(set.frozen());
}

TEST_F(FakeGroups, FillACpusetFromAboveUnlessItIsFilled) {
    const Fd above = group("above", {{"cpuset.cpus", "0-3\n"}, {"cpuset.mems", "0\n"}});
    const Fd below = group("above/below", {{"cpuset.cpus", "\n"}, {"cpuset.mems", "1\n"}});
    ASSERT_TRUE(fill_cpuset(below.get(), above.get()));
    EXPECT_THAT(text("above/below/cpuset.cpus"), HasSubstr("0-3"));
    EXPECT_EQ(text("above/below/cpuset.mems"), "1\n");
}

TEST_F(FakeGroups, SayWhatTheKernelMeans) {
    const Fd group_ = group("g", {});
    const auto missing = write_group(group_.get(), "memory.high", "5");
    ASSERT_FALSE(missing);
    EXPECT_THAT(missing.error().message, HasSubstr("memory.high: no such file or directory"));
    EXPECT_THAT(missing.error().hint, HasSubstr("this kernel does not have the file"));
    EXPECT_EQ(group_number(group_.get(), "nothing"), std::nullopt);
}

TEST_F(FakeGroups, FindNumbersBehindWholeWords) {
    const Fd group_ = group("g", {{"events", "oom_kill_disable 7\noom 1\noom_kill 3\nempty\n"}});
    EXPECT_EQ(group_number(group_.get(), "events", "oom_kill"), 3U);
    EXPECT_EQ(group_number(group_.get(), "events", "oom"), 1U);
    EXPECT_EQ(group_number(group_.get(), "events", "empty"), std::nullopt);
    EXPECT_EQ(group_number(group_.get(), "events", "kill"), std::nullopt);
}

TEST_F(FakeGroups, ListProcessesOfAllBelowOnce) {
    group("g/a/b", {{"cgroup.procs", "3\n5\n"}});
    group("g/a", {{"cgroup.procs", "5\n"}});
    const Fd group_ = group("g", {{"cgroup.procs", "1\n"}});
    EXPECT_EQ(processes_of(group_.get()), (std::vector<pid_t>{1, 3, 5}));
}

}  // namespace
}  // namespace sandbox
