// What follows from the mounts of a host: the cgroup layout, and whether a fresh proc or sysfs is allowed.
#include <gmock/gmock.h>

#include "base/text.h"
#include "host/cgroups.h"
#include "host/parts.h"

namespace sandbox {
namespace {

using testing::IsEmpty;

constexpr std::string_view header = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n";

TEST(Cgroups, V1HostTellsCpuFromCpuacct) {
    const auto mounts = parse_mountinfo(
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"
        "33 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
        "34 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n");
    const auto found = arrange_cgroups(mounts, cat(header, "cpu\t0\t1\t1\ncpuacct\t2\t1\t1\nblkio\t7\t1\t1\nmemory\t0\t1\t0\n"), "");
    EXPECT_EQ(found.layout, "v1");
    EXPECT_EQ(found.controllers.at("cpu"), CgroupVersion::absent);
    EXPECT_EQ(found.controllers.at("cpuacct"), CgroupVersion::v1);
    EXPECT_EQ(found.controllers.at("io"), CgroupVersion::v1);
    EXPECT_FALSE(found.controllers.contains("memory")) << "switched off on the kernel's command line";
    EXPECT_FALSE(found.controllers.contains("blkio"));
    EXPECT_FALSE(found.controllers.contains("name=systemd"));
}

TEST(Cgroups, CoMountedControllersAreOneHierarchy) {
    const auto mounts = parse_mountinfo("32 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
    const auto found = arrange_cgroups(mounts, cat(header, "cpu\t2\t1\t1\ncpuacct\t2\t1\t1\ncpuset\t0\t1\t1\n"), "");
    EXPECT_EQ(found.controllers.at("cpu"), CgroupVersion::v1);
    EXPECT_EQ(found.controllers.at("cpuacct"), CgroupVersion::v1);
    EXPECT_EQ(found.controllers.at("cpuset"), CgroupVersion::absent);
}

TEST(Cgroups, V2HostHasWhatItsRootOffers) {
    const auto mounts = parse_mountinfo("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
    const auto found = arrange_cgroups(mounts, cat(header, "cpu\t0\t9\t1\nfreezer\t0\t9\t1\nnet_cls\t0\t9\t1\nblkio\t0\t9\t1\n"),
                                       "cpuset cpu io memory hugetlb pids rdma misc\n");
    EXPECT_EQ(found.layout, "v2");
    EXPECT_EQ(found.controllers.at("io"), CgroupVersion::v2);
    EXPECT_EQ(found.controllers.at("cpu"), CgroupVersion::v2);
    EXPECT_EQ(found.controllers.at("misc"), CgroupVersion::v2);
    EXPECT_EQ(found.controllers.at("freezer"), CgroupVersion::v2) << "part of every v2 group";
    EXPECT_EQ(found.controllers.at("net_cls"), CgroupVersion::absent);
}

TEST(Cgroups, HybridHostSaysForEachController) {
    const auto mounts = parse_mountinfo(
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "36 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    const auto found =
        arrange_cgroups(mounts, cat(header, "memory\t4\t10\t1\nfreezer\t6\t1\t1\nhugetlb\t0\t1\t1\npids\t8\t1\t1\n"), "hugetlb\n");
    EXPECT_EQ(found.layout, "hybrid");
    EXPECT_EQ(found.controllers.at("memory"), CgroupVersion::v1);
    EXPECT_EQ(found.controllers.at("freezer"), CgroupVersion::v1);
    EXPECT_EQ(found.controllers.at("hugetlb"), CgroupVersion::v2);
    EXPECT_EQ(found.controllers.at("pids"), CgroupVersion::absent) << "in a hierarchy that is not mounted here";
}

TEST(Cgroups, NothingMountedIsNone) {
    const auto found = arrange_cgroups(parse_mountinfo("1 0 0:1 / / rw - ext4 /dev/sda rw,memory\n"), cat(header, "memory\t0\t1\t1\n"), "");
    EXPECT_EQ(found.layout, "none");
    EXPECT_EQ(found.controllers.at("memory"), CgroupVersion::absent);
    EXPECT_THAT(arrange_cgroups({}, "", "").controllers, IsEmpty());
}

struct Visibility {
    const char* why;
    const char* mounts;
    bool proc, sysfs;
};

class FreshMount : public testing::TestWithParam<Visibility> {};

TEST_P(FreshMount, IsAllowedWhenOneIsFullyVisible) {
    HostFacts facts;
    probe_visibility(facts, parse_mountinfo(GetParam().mounts));
    EXPECT_EQ(facts.proc_mountable, GetParam().proc) << GetParam().why;
    EXPECT_EQ(facts.sysfs_mountable, GetParam().sysfs) << GetParam().why;
}

INSTANTIATE_TEST_SUITE_P(
    Hosts, FreshMount,
    testing::Values(
        Visibility{"an ordinary host: mounts on directories made for it",
                   "2 1 0:2 / /proc rw - proc proc rw\n3 1 0:3 / /sys rw - sysfs sysfs rw\n"
                   "4 2 0:4 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n5 3 0:5 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
                   "6 3 0:6 / /sys/kernel/debug rw - debugfs debugfs rw\n",
                   true, true},
        Visibility{"a container that masks files",
                   "2 1 0:2 / /proc rw - proc proc rw\n3 1 0:3 / /sys ro - sysfs sysfs ro\n"
                   "4 2 0:4 /null /proc/kcore rw - devtmpfs devtmpfs rw\n5 3 0:5 / /sys/firmware ro - tmpfs tmpfs ro\n",
                   false, false},
        Visibility{"a second proc without masks",
                   "2 1 0:2 / /proc rw - proc proc rw\n4 2 0:4 /null /proc/kcore rw - devtmpfs devtmpfs rw\n"
                   "7 1 0:7 / /srv/proc rw - proc proc rw\n8 7 0:4 / /srv/proc/sys/fs/binfmt_misc rw - binfmt_misc none rw\n",
                   true, false},
        Visibility{"only a part of proc", "2 1 0:2 /sys /proc/sys rw - proc proc rw\n", false, false},
        Visibility{"a tmpfs over all of it", "2 1 0:2 / /proc rw - proc proc rw\n3 2 0:9 / /proc rw - tmpfs tmpfs rw\n", false, false},
        Visibility{"a name that only begins like a mount point",
                   "2 1 0:2 / /proc rw - proc proc rw\n3 2 0:9 / /proc/sys/fs/binfmt_misc2 rw - tmpfs tmpfs rw\n", false, false},
        Visibility{"neither is there", "1 0 0:1 / / rw - ext4 /dev/sda rw\n", false, false}));

}  // namespace
}  // namespace sandbox
