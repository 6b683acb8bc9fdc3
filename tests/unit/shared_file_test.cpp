// What several sandboxes share on the host: presence by locks, text, the last one's part, and races between them.
#include "state/shared_file.h"

#include <signal.h>

#include <cerrno>

#include "state_testing.h"

namespace sandbox {
namespace {

using namespace sandbox::testing;

constexpr const char* name = ".net.sandbox0";

SharedFile must_open(const TemporaryFolder& root) {
    auto file = SharedFile::open(root.fd(), name);
    EXPECT_TRUE(file) << (file ? "" : file.error().message);
    return std::move(*file);
}

SharedFile::Held must_hold(SharedFile& file) {
    auto held = file.hold();
    EXPECT_TRUE(held) << (held ? "" : held.error().message);
    return std::move(*held);
}

TEST(SharedFile, IsMadePrivateAndOnlyBySomebodyWhoWantsIt) {
    const TemporaryFolder root;
    auto none = SharedFile::open_existing(root.fd(), name);
    ASSERT_TRUE(none);
    EXPECT_FALSE(*none);
    EXPECT_FALSE(exists(root.path(name)));
    must_open(root);
    struct stat facts {};
    ASSERT_EQ(::lstat(root.path(name).c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0600u);
    auto there = SharedFile::open_existing(root.fd(), name);
    ASSERT_TRUE(there);
    EXPECT_TRUE(*there);
}

TEST(SharedFile, HasANameThatIsNoSandboxes) {
    const TemporaryFolder root;
    for (const char* bad : {"", ".", "..", "web", "./x", ".net/x", "/etc/passwd"}) EXPECT_FALSE(SharedFile::open(root.fd(), bad)) << bad;
    EXPECT_TRUE(is_shared_name(".net.sandbox0"));
    EXPECT_TRUE(is_shared_name(".sysctl.ipv4-forward"));
    for (const char* other : {".ids", "net.x", ".network", ".sysctl"}) EXPECT_FALSE(is_shared_name(other)) << other;
}

TEST(SharedFile, LinksAndPipesInItsPlaceAreRefused) {
    const TemporaryFolder root;
    write_file(root.path("else"), "mine");
    ASSERT_EQ(::symlink("else", root.path(name).c_str()), 0);
    EXPECT_FALSE(SharedFile::open(root.fd(), name));
    ASSERT_EQ(::unlink(root.path(name).c_str()), 0);
    ASSERT_EQ(::mkfifo(root.path(name).c_str(), 0600), 0);
    const auto pipe = SharedFile::open(root.fd(), name);
    ASSERT_FALSE(pipe);
    EXPECT_NE(pipe.error().message.find("not a regular file"), std::string::npos) << pipe.error().message;
}

TEST(SharedFile, TextIsReplacedWhole) {
    const TemporaryFolder root;
    SharedFile file = must_open(root);
    const auto held = must_hold(file);
    EXPECT_EQ(*file.text(), "");
    for (const std::string& text : {std::string(20000, 'x'), std::string("short"), std::string(), std::string(1 << 20, 'y')}) {
        ASSERT_TRUE(file.replace_text(text));
        EXPECT_EQ(*file.text(), text);
    }
    EXPECT_FALSE(file.replace_text(std::string((1 << 20) + 1, 'z')));
    EXPECT_EQ(*file.text(), std::string(1 << 20, 'y'));
    write_file(root.path(name), std::string((1 << 20) + 1, 'z'));
    EXPECT_FALSE(file.text());
}

TEST(SharedFile, TheLastIsTheOneWithNobodyElse) {
    const TemporaryFolder root;
    SharedFile first = must_open(root);
    SharedFile second = must_open(root);
    const auto held = must_hold(first);
    EXPECT_TRUE(*first.is_last());
    ASSERT_TRUE(first.join());
    EXPECT_TRUE(*first.is_last());
    EXPECT_FALSE(*second.is_last());
    ASSERT_TRUE(second.join());
    EXPECT_FALSE(*first.is_last());
    EXPECT_FALSE(*second.is_last());
    first.leave();
    EXPECT_TRUE(*second.is_last());
    EXPECT_FALSE(*first.is_last());
    second.leave();
    EXPECT_TRUE(*first.is_last());
}

TEST(SharedFile, ClosingLeavesAndMovingDoesNot) {
    const TemporaryFolder root;
    SharedFile watcher = must_open(root);
    {
        SharedFile file = must_open(root);
        ASSERT_TRUE(file.join());
        SharedFile moved = std::move(file);
        EXPECT_FALSE(*watcher.is_last());
    }
    EXPECT_TRUE(*watcher.is_last());
}

TEST(SharedFile, AKilledUserIsNoneButItsTextStays) {
    const TemporaryFolder root;
    SharedFile file = must_open(root);
    Signal joined;
    const pid_t user = start([&] {
        SharedFile mine = must_open(root);
        const auto held = must_hold(mine);
        if (!mine.join() || !mine.replace_text("bridge sandbox0")) return 1;
        joined.give();
        ::pause();  // with the mutex, too
        return 0;
    });
    ASSERT_TRUE(joined.await());
    EXPECT_FALSE(*file.is_last());
    ::kill(user, SIGKILL);
    const auto held = must_hold(file);
    EXPECT_EQ(wait_for(user), -SIGKILL);
    EXPECT_TRUE(*file.is_last());
    EXPECT_EQ(*file.text(), "bridge sandbox0");
}

TEST(SharedFile, AForkedChildSharesThePresenceOfItsParent) {
    const TemporaryFolder root;
    SharedFile watcher = must_open(root);
    Signal end;
    pid_t child = 0;
    {
        SharedFile file = must_open(root);
        ASSERT_TRUE(file.join());
        child = start([&] { return end.await() ? 0 : 1; });
    }
    EXPECT_FALSE(*watcher.is_last());
    end.give();
    EXPECT_EQ(wait_for(child), 0);
    EXPECT_TRUE(*watcher.is_last());
}

TEST(SharedFile, TheMutexIsHadByOneAndMovesWithItsHolder) {
    const TemporaryFolder root;
    SharedFile file = must_open(root);
    auto held = must_hold(file);
    Signal got;
    const pid_t other = start([&] {
        SharedFile mine = must_open(root);
        const auto mutex = must_hold(mine);
        return *mine.text() == "first" ? 0 : 1;
    });
    ASSERT_TRUE(file.replace_text("first"));
    SharedFile::Held moved = std::move(held);
    held.release();
    EXPECT_TRUE(*is_byte_locked(must_open(root).descriptor(), std::uint64_t{1} << 40));
    moved.release();
    EXPECT_EQ(wait_for(other), 0);
}

TEST(SharedFile, RemovedMeanwhileIsMadeAgainByWhoComes) {
    const TemporaryFolder root;
    SharedFile last = must_open(root);
    SharedFile next = must_open(root);
    {
        const auto held = must_hold(last);
        ASSERT_TRUE(last.join());
        ASSERT_TRUE(last.replace_text("old"));
        ASSERT_TRUE(last.remove());
        EXPECT_FALSE(exists(root.path(name)));
    }
    {
        const auto held = must_hold(next);
        EXPECT_TRUE(exists(root.path(name)));
        EXPECT_EQ(*next.text(), "");
        ASSERT_TRUE(next.join());
        ASSERT_TRUE(next.replace_text("new"));
    }
    // Who removed it comes again, to the file that is there now.
    const auto held = must_hold(last);
    EXPECT_EQ(*last.text(), "new");
    EXPECT_FALSE(*last.is_last());
}

TEST(SharedFile, RemovedByAStrangerIsAnErrorForItsUsers) {
    const TemporaryFolder root;
    SharedFile file = must_open(root);
    ASSERT_TRUE(file.join());
    ASSERT_EQ(::unlink(root.path(name).c_str()), 0);
    const auto held = file.hold();
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error().number, ESTALE);
    EXPECT_NE(held.error().hint, "");
}

TEST(SharedFile, ARemoverThatIsLateLeavesTheNewFile) {
    const TemporaryFolder root;
    SharedFile old = must_open(root);
    ASSERT_EQ(::unlink(root.path(name).c_str()), 0);
    must_open(root);
    ASSERT_TRUE(old.remove());
    EXPECT_TRUE(exists(root.path(name)));
    EXPECT_FALSE(old.witness());
}

// A "bridge" that the first makes and the last takes back: exclusively, so that a second first or a second last is seen.
int use_many_times(const TemporaryFolder& root, int times) {
    const std::string bridge = root.path("bridge");
    for (int i = 0; i < times; ++i) {
        SharedFile file = must_open(root);
        {
            const auto held = must_hold(file);
            if (*file.is_last() != file.text()->empty()) return 1;
            if (*file.is_last()) {
                if (::mkdir(bridge.c_str(), 0700) != 0) return 2;
                if (!file.replace_text("made")) return 3;
            }
            if (!exists(bridge) || !file.join()) return 4;
        }
        const auto held = must_hold(file);
        if (!exists(bridge)) return 5;
        const bool last = *file.is_last();
        if (last && ::rmdir(bridge.c_str()) != 0) return 6;
        if (last && !file.remove()) return 7;
        if (!last) file.leave();
    }
    return 0;
}

TEST(SharedFileRace, EachGenerationHasOneFirstAndOneLast) {
    const TemporaryFolder root;
    const pid_t others[] = {start([&] { return use_many_times(root, 200); }), start([&] { return use_many_times(root, 200); }),
                            start([&] { return use_many_times(root, 200); })};
    for (const pid_t other : others) EXPECT_EQ(wait_for(other), 0);
    EXPECT_FALSE(exists(root.path(name)));
    EXPECT_FALSE(exists(root.path("bridge")));
}

}  // namespace
}  // namespace sandbox
