// What is written when limits change: only what differs, and what stands for no limit where one is gone.
#include <gmock/gmock.h>

#include "base/text.h"
#include "plan/limits_change.h"

namespace sandbox {
namespace {

Limits limits(std::vector<std::pair<std::string, std::string>> files) {
    Limits out;
    for (auto& [file, value] : files) out.settings.push_back({file.substr(0, file.find('.')), file, value, cat("key of ", file), {}, {}});
    return out;
}

std::vector<std::string> changes(const Limits& before, const Limits& after) {
    const auto found = limit_changes(before, after);
    if (!found) return {"error: " + found.error().message};
    std::vector<std::string> out;
    for (const Setting& s : *found) out.push_back(cat(s.file, " ", s.value));
    return out;
}

using testing::ElementsAre;

TEST(LimitChanges, are_only_what_differs) {
    EXPECT_THAT(changes(limits({{"pids.max", "10"}, {"memory.max", "5"}}), limits({{"pids.max", "10"}, {"memory.max", "6"}})),
                ElementsAre("memory.max 6"));
    EXPECT_THAT(changes(limits({{"pids.max", "10"}}), limits({{"pids.max", "10"}})), ElementsAre());
    EXPECT_THAT(changes(limits({}), limits({{"cpu.weight", "10"}})), ElementsAre("cpu.weight 10"));
}

TEST(LimitChanges, take_back_what_is_gone) {
    EXPECT_THAT(changes(limits({{"cpu.cfs_quota_us", "5"}, {"memory.memsw.limit_in_bytes", "5"}, {"cpu.max", "5 100"}}), limits({})),
                ElementsAre("cpu.cfs_quota_us -1", "memory.memsw.limit_in_bytes -1", "cpu.max max"));
    EXPECT_THAT(changes(limits({{"cpuset.cpus", "0"}}), limits({})),
                ElementsAre(testing::StartsWith("error: key of cpuset.cpus cannot be")));
}

// Lines of a file are told apart by their device.
TEST(LimitChanges, are_of_each_device_by_itself) {
    EXPECT_THAT(changes(limits({{"io.max", "8:0 rbps=5"}, {"io.max", "8:16 rbps=5"}}), limits({{"io.max", "8:0 wbps=5"}})),
                ElementsAre("io.max 8:16 rbps=max wbps=max riops=max wiops=max", "io.max 8:0 wbps=5 rbps=max riops=max wiops=max"));
    EXPECT_THAT(changes(limits({{"blkio.throttle.read_bps_device", "8:0 5"}}), limits({})),
                ElementsAre("blkio.throttle.read_bps_device 8:0 0"));
}

// cgroup.raw comes after the translation, and so holds.
TEST(LimitChanges, follow_what_is_written_last) {
    EXPECT_THAT(changes(limits({{"cpu.shares", "5"}}), limits({{"cpu.shares", "5"}, {"cpu.shares", "7"}})), ElementsAre("cpu.shares 7"));
}

}  // namespace
}  // namespace sandbox
