#include <gmock/gmock.h>

#include "host/probe.h"

namespace sandbox {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

TEST(Mountinfo, ReadsAllFields) {
    const auto mounts = parse_mountinfo("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n");
    ASSERT_THAT(mounts, SizeIs(1));
    EXPECT_EQ(mounts[0].id, 36);
    EXPECT_EQ(mounts[0].parent, 35);
    EXPECT_EQ(mounts[0].root, "/mnt1");
    EXPECT_EQ(mounts[0].target, "/mnt2");
    EXPECT_EQ(mounts[0].options, "rw,noatime");
    EXPECT_EQ(mounts[0].filesystem, "ext3");
    EXPECT_EQ(mounts[0].source, "/dev/root");
    EXPECT_EQ(mounts[0].super_options, "rw,errors=continue");
}

TEST(Mountinfo, TakesAnyNumberOfOptionalFields) {
    const auto mounts = parse_mountinfo(
        "1 0 0:1 / / rw - tmpfs none rw\n"
        "2 1 0:1 / /a rw shared:1 master:2 propagate_from:3 unbindable - tmpfs none rw\n");
    ASSERT_THAT(mounts, SizeIs(2));
    EXPECT_EQ(mounts[1].target, "/a");
    EXPECT_EQ(mounts[1].filesystem, "tmpfs");
}

TEST(Mountinfo, ResolvesOctalEscapes) {
    const auto mounts = parse_mountinfo(R"(2 1 0:1 /r\134s /a\040b\011c\012d rw - tmpfs no\043ne rw)");
    ASSERT_THAT(mounts, SizeIs(1));
    EXPECT_EQ(mounts[0].root, "/r\\s");
    EXPECT_EQ(mounts[0].target, "/a b\tc\nd");
    EXPECT_EQ(mounts[0].source, "no#ne");
}

TEST(Mountinfo, LeavesWhatIsNoEscape) {
    const auto mounts = parse_mountinfo(R"(2 1 0:1 / /a\04 rw - tmpfs x\9\888 rw\4)");
    ASSERT_THAT(mounts, SizeIs(1));
    EXPECT_EQ(mounts[0].target, R"(/a\04)");
    EXPECT_EQ(mounts[0].source, R"(x\9\888)");
    EXPECT_EQ(mounts[0].super_options, R"(rw\4)");
}

TEST(Mountinfo, TakesAnEmptySource) {
    const auto mounts = parse_mountinfo("2 1 0:1 / /a rw - tmpfs  rw,size=4k\n");
    ASSERT_THAT(mounts, SizeIs(1));
    EXPECT_EQ(mounts[0].source, "");
    EXPECT_EQ(mounts[0].super_options, "rw,size=4k");
}

TEST(Mountinfo, LeavesMalformedLinesOut) {
    EXPECT_THAT(parse_mountinfo(""), IsEmpty());
    EXPECT_THAT(parse_mountinfo("\n\n"), IsEmpty());
    EXPECT_THAT(parse_mountinfo("36 35 98:0 / /mnt rw"), IsEmpty());
    EXPECT_THAT(parse_mountinfo("36 35 98:0 / /mnt rw shared:1 ext3 /dev/root rw x y"), IsEmpty()) << "no separator";
    EXPECT_THAT(parse_mountinfo("36 35 98:0 / /mnt rw shared:1 shared:2 - ext3"), IsEmpty()) << "no source";
    EXPECT_THAT(parse_mountinfo("x 35 98:0 / /mnt rw - ext3 /dev/root rw"), IsEmpty());
    EXPECT_THAT(parse_mountinfo("-1 35 98:0 / /mnt rw - ext3 /dev/root rw"), IsEmpty());
    EXPECT_THAT(parse_mountinfo("99999999999 35 98:0 / /mnt rw - ext3 /dev/root rw"), IsEmpty());
    EXPECT_THAT(parse_mountinfo("36 35 98:0 / mnt rw - ext3 /dev/root rw"), IsEmpty()) << "a relative target";
    EXPECT_THAT(parse_mountinfo("broken\n36 35 98:0 / /mnt rw - ext3 /dev/root rw\nbroken"), SizeIs(1));
}

}  // namespace
}  // namespace sandbox
