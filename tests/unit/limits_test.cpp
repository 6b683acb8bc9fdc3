// One model of limits, two languages: what is written where, and what is refused.
#include <gmock/gmock.h>

#include "base/text.h"
#include "plan/limits.h"
#include "profile/load.h"

namespace sandbox {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;

Profile profile_of(const std::string& rest) {
    LoadRequest request;
    request.profile.file.text = cat("version: 1\nrootfs: {host: ro}\nprocess: {command: [/x]}\n", rest);
    request.profile.file.name = "p.yaml";
    request.profile.file.directory = "/";
    request.stem = "p";
    auto loaded = load_profile(request);
    EXPECT_TRUE(loaded.decoded && !has_errors(loaded.diagnostics)) << rest;
    return loaded.profile;
}

CgroupFact tree(CgroupVersion version, std::string mount, std::vector<std::string> controllers, std::vector<std::string> files = {}) {
    CgroupFact out;
    out.version = version;
    out.mount = std::move(mount);
    out.controllers = std::move(controllers);
    out.files = std::move(files);
    out.writable = true;
    return out;
}

HostFacts v1_host() {
    HostFacts facts;
    facts.cgroups = {tree(CgroupVersion::v1, "/c/cpu,cpuacct", {"cpu", "cpuacct"}),
                     tree(CgroupVersion::v1, "/c/memory", {"memory"}),
                     tree(CgroupVersion::v1, "/c/pids", {"pids"}),
                     tree(CgroupVersion::v1, "/c/cpuset", {"cpuset"}),
                     tree(CgroupVersion::v1, "/c/blkio", {"io"}),
                     tree(CgroupVersion::v1, "/c/freezer", {"freezer"}),
                     tree(CgroupVersion::v1, "/c/hugetlb", {"hugetlb"}),
                     tree(CgroupVersion::v1, "/c/net_cls", {"net_cls", "net_prio"})};
    facts.disks = {{"/srv", {8, 16, {}}}};
    return facts;
}

HostFacts v2_host() {
    HostFacts facts;
    facts.cgroups = {tree(CgroupVersion::v2, "/c", {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"})};
    facts.disks = {{"/srv", {8, 16, {}}}};
    return facts;
}

// "FILE=VALUE", in the order in which it is written.
std::vector<std::string> written(const Limits& limits) {
    std::vector<std::string> out;
    for (const Setting& s : limits.settings) out.push_back(cat(s.file, "=", s.value));
    return out;
}

std::vector<std::string> refused(const Limits& limits) {
    std::vector<std::string> out;
    for (const Refusal& r : limits.refused)
        if (!r.by_default) out.push_back(cat(r.key, ": ", r.message));
    return out;
}

struct Both {
    const char *name, *resources;
    std::vector<std::string> v1, v2;
};
void PrintTo(const Both& both, std::ostream* stream) { *stream << both.name; }

const Both both_languages[] = {
    {"nothing", "", {"memory.swappiness=0", "pids.max=512"}, {"memory.swap.max=0", "pids.max=512"}},
    {"memory",
     "{memory: {max: 512Mi}}",
     {"memory.limit_in_bytes=536870912", "memory.memsw.limit_in_bytes=536870912", "pids.max=512"},
     {"memory.max=536870912", "memory.swap.max=0", "pids.max=512"}},
    {"memory_and_swap",
     "{memory: {max: 512Mi, swap: 128Mi}, pids: 7}",
     {"memory.limit_in_bytes=536870912", "memory.memsw.limit_in_bytes=671088640", "pids.max=7"},
     {"memory.max=536870912", "memory.swap.max=134217728", "pids.max=7"}},
    {"endless_swap",
     "{memory: {max: 512Mi, swap: infinity}, pids: infinity}",
     {"memory.limit_in_bytes=536870912", "pids.max=max"},
     {"memory.max=536870912", "pids.max=max"}},
    {"low",
     "{memory: {low: 64Mi, swap: infinity}, pids: 7}",
     {"memory.soft_limit_in_bytes=67108864", "pids.max=7"},
     {"memory.low=67108864", "pids.max=7"}},
    {"cores",
     "{cpu: {limit: 0.2}, pids: 7}",
     {"memory.swappiness=0", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=20000", "pids.max=7"},
     {"memory.swap.max=0", "cpu.max=20000 100000", "pids.max=7"}},
    {"quota_and_period",
     "{cpu: {quota: 5ms, period: 20ms, burst: 1ms}, pids: 7}",
     {"memory.swappiness=0", "cpu.cfs_period_us=20000", "cpu.cfs_quota_us=5000", "cpu.cfs_burst_us=1000", "pids.max=7"},
     {"memory.swap.max=0", "cpu.max=5000 20000", "cpu.max.burst=1000", "pids.max=7"}},
    {"weight_is_shares",
     "{cpu: {weight: 100}, pids: 7}",
     {"memory.swappiness=0", "cpu.shares=1024", "pids.max=7"},
     {"memory.swap.max=0", "cpu.weight=100", "pids.max=7"}},
    {"shares_is_weight",
     "{cpu: {shares: 1024}, pids: 7}",
     {"memory.swappiness=0", "cpu.shares=1024", "pids.max=7"},
     {"memory.swap.max=0", "cpu.weight=100", "pids.max=7"}},
    {"idle_and_sets",
     "{cpu: {idle: true, set: 0-3, mems: 0}, pids: 7}",
     {"memory.swappiness=0", "cpu.idle=1", "cpuset.cpus=0-3", "cpuset.mems=0", "pids.max=7"},
     {"memory.swap.max=0", "cpu.idle=1", "cpuset.cpus=0-3", "cpuset.mems=0", "pids.max=7"}},
    {"disks",
     "{io: {devices: [{path: /srv, read_bps: 20Mi, write_iops: 2000}]}, pids: 7}",
     {"memory.swappiness=0", "pids.max=7", "blkio.throttle.read_bps_device=8:16 20971520", "blkio.throttle.write_iops_device=8:16 2000"},
     {"memory.swap.max=0", "pids.max=7", "io.max=8:16 rbps=20971520 wiops=2000"}},
    {"disk_weights",
     "{io: {weight: 10000, devices: [{path: /srv, weight: 1}]}, pids: 7}",
     {"memory.swappiness=0", "pids.max=7", "blkio.weight=1000", "blkio.weight_device=8:16 10"},
     {"memory.swap.max=0", "pids.max=7", "io.weight=default 10000", "io.weight=8:16 1"}},
    {"huge_pages",
     "{hugetlb: {2MB: 64Mi, 1GB: infinity}, pids: 7}",
     {"memory.swappiness=0", "pids.max=7", "hugetlb.1GB.limit_in_bytes=-1", "hugetlb.2MB.limit_in_bytes=67108864"},
     {"memory.swap.max=0", "pids.max=7", "hugetlb.1GB.max=max", "hugetlb.2MB.max=67108864"}},
};

class TranslatedLimits : public testing::TestWithParam<Both> {};

TEST_P(TranslatedLimits, AreTheFilesOfEachVersion) {
    const std::string resources = GetParam().resources;
    const Profile profile = profile_of(resources.empty() ? "" : cat("resources: ", resources, "\n"));
    const Limits v1 = translate_limits(profile, v1_host()), v2 = translate_limits(profile, v2_host());
    EXPECT_EQ(written(v1), GetParam().v1);
    EXPECT_EQ(written(v2), GetParam().v2);
    EXPECT_THAT(refused(v1), IsEmpty());
    EXPECT_THAT(refused(v2), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, TranslatedLimits, testing::ValuesIn(both_languages),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(LimitsOnHybrid, UseEachControllerWhereItIs) {
    HostFacts facts = v1_host();
    std::erase_if(facts.cgroups, [](const CgroupFact& t) { return t.controllers.front() == "io" || t.controllers.front() == "hugetlb"; });
    facts.cgroups.push_back(tree(CgroupVersion::v2, "/c/unified", {"io", "hugetlb"}));
    const Limits limits = translate_limits(
        profile_of("resources: {memory: {max: 64Mi}, io: {devices: [{path: /srv, read_bps: 1Mi}]}, hugetlb: {2MB: 0}}\n"), facts);
    EXPECT_THAT(written(limits), IsSupersetOf({"memory.limit_in_bytes=67108864", "io.max=8:16 rbps=1048576", "hugetlb.2MB.max=0"}));
    EXPECT_EQ(tree_of(facts, "io")->mount, "/c/unified");
    EXPECT_EQ(tree_of(facts, "memory")->mount, "/c/memory");
    EXPECT_EQ(tree_of(facts, "freezer")->mount, "/c/freezer");
}

// "cpu" is not "cpuset" and not "cpuacct".
TEST(LimitsOnHybrid, MatchWholeNames) {
    HostFacts facts;
    facts.cgroups = {tree(CgroupVersion::v1, "/c/cpuset", {"cpuset"}), tree(CgroupVersion::v1, "/c/cpuacct", {"cpuacct"})};
    EXPECT_EQ(tree_of(facts, "cpu"), nullptr);
    EXPECT_THAT(refused(translate_limits(profile_of("resources: {cpu: {limit: 1}}\n"), facts)),
                ElementsAre("resources.cpu.limit: this host has no cpu controller"));
}

TEST(LimitsThatAHostLacks, AreRefusedByController) {
    const auto of = [](const char* resources, const HostFacts& facts) {
        return refused(translate_limits(profile_of(cat("resources: ", resources, "\n")), facts));
    };
    EXPECT_THAT(of("{memory: {high: 1Gi}}", v1_host()), Contains(HasSubstr("resources.memory.high: cgroup v1 has no limit that slows")));
    EXPECT_THAT(of("{memory: {max: 1Gi, oom: pause}}", v2_host()), Contains(HasSubstr("resources.memory.oom: cgroup v2 cannot pause")));
    EXPECT_THAT(of("{memory: {swappiness: 10}}", v2_host()), Contains(HasSubstr("cgroup v2 has no swappiness of a group")));
    EXPECT_THAT(of("{memory: {swap: 1Gi}}", v1_host()), Contains(HasSubstr("cgroup v1 limits memory and swap together")));
    EXPECT_THAT(of("{rdma: {mlx: {hca_handle: 3}}}", v1_host()), Contains("resources.rdma.mlx: this host has no rdma controller"));
    EXPECT_THAT(of("{net_cls: {classid: 5}}", v2_host()), Contains(HasSubstr("net_cls controller, which exists in cgroup v1 alone")));
    EXPECT_THAT(of("{io: {devices: [{path: /other, read_bps: 1}]}}", v2_host()), Contains(HasSubstr("resources.io.devices[0].path")));
    HostFacts no_weight = v2_host();
    no_weight.cgroups[0].files = {"cgroup.procs", "io.max"};
    EXPECT_THAT(of("{io: {weight: 5}}", no_weight), Contains(HasSubstr("no scheduler of this kernel weighs block devices")));
    no_weight.cgroups[0].files.emplace_back("io.bfq.weight");
    EXPECT_THAT(written(translate_limits(profile_of("resources: {io: {weight: 200}, pids: infinity}\n"), no_weight)),
                Contains("io.bfq.weight=default 109"));
}

TEST(LimitsByDefault, AreLeftOutWhereThereIsNoController) {
    HostFacts facts;
    facts.cgroups = {tree(CgroupVersion::v1, "/c/freezer", {"freezer"})};
    const Limits limits = translate_limits(profile_of(""), facts);
    EXPECT_THAT(written(limits), IsEmpty());
    EXPECT_THAT(refused(limits), IsEmpty());
}

TEST(LimitsRaw, AreWrittenForTheVersionThatIsThere) {
    const Profile profile =
        profile_of("resources: {pids: infinity}\ncgroup: {raw: {v1: {memory.use_hierarchy: 1}, v2: {memory.min: 4096}}}\n");
    EXPECT_THAT(written(translate_limits(profile, v1_host())), Contains("memory.use_hierarchy=1"));
    EXPECT_THAT(written(translate_limits(profile, v1_host())), testing::Not(Contains("memory.min=4096")));
    EXPECT_THAT(written(translate_limits(profile, v2_host())), Contains("memory.min=4096"));
}

TEST(LimitsConversions, KeepLeastOrdinaryAndMost) {
    EXPECT_EQ(weight_of_shares(2), 1U);
    EXPECT_EQ(weight_of_shares(1024), 100U);
    EXPECT_EQ(weight_of_shares(262144), 10000U);
    EXPECT_EQ(shares_of_weight(1), 2U);
    EXPECT_EQ(shares_of_weight(100), 1024U);
    EXPECT_EQ(shares_of_weight(10000), 262144U);
    EXPECT_EQ(blkio_of_weight(1), 10U);
    EXPECT_EQ(blkio_of_weight(10000), 1000U);
    EXPECT_EQ(bfq_of_weight(100), 100U);
    EXPECT_EQ(bfq_of_weight(10000), 1000U);
    // More is never less.
    for (std::uint64_t weight = 2; weight <= 10000; ++weight) {
        EXPECT_GE(shares_of_weight(weight), shares_of_weight(weight - 1)) << weight;
        EXPECT_GE(blkio_of_weight(weight), blkio_of_weight(weight - 1)) << weight;
    }
}

TEST(LimitsManager, IsSystemdOnlyWhereTheTreeIsIts) {
    const auto way = [](const char* manager, HostFacts facts) {
        return decide_groups(profile_of(cat("cgroup: {manager: ", manager, "}\n")), facts).way;
    };
    HostFacts systemd = v2_host();
    systemd.systemd = systemd.systemd_delegates = true;
    EXPECT_EQ(way("auto", systemd), GroupWay::scope);
    EXPECT_EQ(way("fs", systemd), GroupWay::files);
    HostFacts unit = systemd;
    unit.cgroups[0].own = "/sys/fs/cgroup/system.slice/web.service";
    EXPECT_EQ(way("auto", unit), GroupWay::own);
    EXPECT_EQ(way("systemd", unit), GroupWay::scope);
    EXPECT_EQ(way("none", unit), GroupWay::none);
    EXPECT_EQ(way("none", systemd), GroupWay::none);
    EXPECT_EQ(way("auto", v1_host()), GroupWay::files);
    EXPECT_EQ(way("systemd", v1_host()), GroupWay::unavailable);
    HostFacts user = systemd;
    user.uid = 1000;
    user.cgroups[0].writable = false;
    EXPECT_EQ(way("auto", user), GroupWay::scope);
    user.systemd_delegates = false;
    EXPECT_EQ(way("auto", user), GroupWay::unavailable);
    EXPECT_EQ(way("auto", HostFacts()), GroupWay::unavailable);
}

}  // namespace
}  // namespace sandbox
