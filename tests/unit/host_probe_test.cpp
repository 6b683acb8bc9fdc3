// What probe() finds on the machine that runs the test, whoever runs it: nothing here needs a right.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "host/probe.h"

namespace sandbox {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::IsEmpty;
using testing::Key;
using testing::SizeIs;

TEST(Probe, SaysWhoAndWhere) {
    const auto facts = probe({});
    ASSERT_TRUE(facts) << facts.error().message;
    EXPECT_GE(facts->major, 4);
    EXPECT_TRUE(facts->release.starts_with(cat(facts->major, ".", facts->minor))) << facts->release;
    EXPECT_EQ(facts->uid, ::geteuid());
    EXPECT_EQ(facts->gid, ::getegid());
    EXPECT_THAT(facts->uid_map, testing::Not(IsEmpty()));
    EXPECT_THAT(facts->namespaces, SizeIs(8));
    EXPECT_TRUE(facts->namespaces.at("mount"));
    EXPECT_GE(facts->last_capability, 37);
    EXPECT_EQ(facts->capabilities >> facts->last_capability >> 1, 0U);
    EXPECT_GT(facts->nofile_hard, 0U);
}

TEST(Probe, AsksOnlyForWhatIsRequested) {
    const auto facts = probe({});
    ASSERT_TRUE(facts);
    EXPECT_THAT(facts->mounts, IsEmpty());
    EXPECT_THAT(facts->root_entries, IsEmpty());
    EXPECT_THAT(facts->controllers, IsEmpty());
    EXPECT_THAT(facts->paths, IsEmpty());
    EXPECT_THAT(facts->link_kinds, IsEmpty());
    EXPECT_THAT(facts->interfaces, IsEmpty());
    EXPECT_FALSE(facts->overlay);
}

TEST(Probe, EverythingIsFoundWithoutARight) {
    ProbeRequest request;
    request.everything = true;
    const auto facts = probe(request);
    ASSERT_TRUE(facts) << facts.error().message;
    EXPECT_THAT(facts->cgroup_layout, AnyOf("v1", "v2", "hybrid", "none"));
    EXPECT_THAT(facts->root_entries, Contains("usr"));
    EXPECT_TRUE(std::is_sorted(facts->root_entries.begin(), facts->root_entries.end()));
    for (const MountFact& mount : facts->mounts) {
        EXPECT_NE(mount.target, "/");
        EXPECT_FALSE(beneath(mount.target, "/proc")) << mount.target;
    }
    EXPECT_FALSE(facts->overlay_layer_strings && !facts->overlay);
    // Each came with a later kernel than the one before it.
    EXPECT_FALSE(facts->overlay_layer_fds && !facts->overlay_layer_strings);
}

TEST(Probe, DescribesHostPaths) {
    ProbeRequest request;
    request.paths = {"/", "/dev/null", "/proc/self/exe", "/no/such/path", "/dev/null/below"};
    request.idmap_paths = {"/"};
    const auto facts = probe(request);
    ASSERT_TRUE(facts) << facts.error().message;
    ASSERT_THAT(facts->paths, SizeIs(5));
    const PathFact& root = facts->paths.at("/");
    EXPECT_EQ(root.kind, PathKind::directory);
    EXPECT_EQ(root.resolved, "/");
    EXPECT_EQ(root.error, 0);
    EXPECT_FALSE(root.empty);
    EXPECT_NE(root.filesystem, "");
    const PathFact& null = facts->paths.at("/dev/null");
    EXPECT_EQ(null.kind, PathKind::character);
    EXPECT_EQ(null.rdev_major, 1U);
    EXPECT_EQ(null.rdev_minor, 3U);
    EXPECT_EQ(facts->paths.at("/proc/self/exe").kind, PathKind::file);
    EXPECT_EQ(facts->paths.at("/no/such/path").kind, PathKind::absent);
    EXPECT_EQ(facts->paths.at("/no/such/path").error, ENOENT);
    EXPECT_EQ(facts->paths.at("/dev/null/below").error, ENOTDIR);
}

}  // namespace
}  // namespace sandbox
