#include "state/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

#include <csignal>

#include "base/text.h"
#include "state/address_pool.h"
#include "state/journal.h"
#include "state/shared_file.h"
#include "state_testing.h"

namespace sandbox {
namespace {

// Nobody here is to be waited for: who holds a lock is the test itself.
Result<StateRoot> open_root(std::string path) {
    auto root = StateRoot::open(std::move(path));
    if (root) root->hurry();
    return root;
}

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using testing::exists;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Signal;
using testing::start;
using testing::TemporaryFolder;
using testing::wait_for;

unsigned mode_of(const std::string& path) {
    struct stat facts {};
    return ::lstat(path.c_str(), &facts) == 0 ? facts.st_mode & 07777 : 0U;
}

// What gc does to a state directory.
Status sweep(const std::string& path) {
    auto root = StateRoot::open_existing(path);
    if (!root) return pass(root);
    auto names = root->names();
    if (!names) return pass(names);
    for (const std::string& name : *names) {
        auto state = root->take_crashed(name);
        if (!state) return pass(state);
        if (state->directory() < 0) continue;
        if (auto removed = root->remove(std::move(*state)); !removed) return removed;
    }
    return root->remove_if_unused();
}

TEST(StateRootPath, FollowsTheCaller) {
    EXPECT_EQ(*state_root_path(0, "/run/user/0"), "/run/sandbox");
    EXPECT_EQ(*state_root_path(1000, "/run/user/1000"), "/run/user/1000/sandbox");
    EXPECT_EQ(*state_root_path(1000, "/run/user/1000/"), "/run/user/1000/sandbox");
    for (const char* nonsense : {"run", "/", "../x", "/a/../.."}) {
        const auto refused = state_root_path(1000, nonsense);
        ASSERT_FALSE(refused) << nonsense;
        EXPECT_THAT(refused.error().message, HasSubstr("XDG_RUNTIME_DIR"));
        EXPECT_NE(refused.error().hint, "");
    }
    for (const char* unset : {static_cast<const char*>(nullptr), ""}) {
        const auto none = state_root_path(4000000000U, unset);
        ASSERT_FALSE(none);
        EXPECT_EQ(none.error().number, ENOENT);
        EXPECT_THAT(none.error().hint, HasSubstr("XDG_RUNTIME_DIR"));
    }
}

TEST(SandboxName, HasAGrammar) {
    for (const std::string& good : {std::string("a"), std::string("0"), std::string("web-1_x.y"), std::string(63, 'a')})
        EXPECT_TRUE(valid_name(good));
    for (const std::string& bad : {std::string(), std::string("."), std::string(".."), std::string(".ids"), std::string("-a"),
                                   std::string("_a"), std::string("A"), std::string("aB"), std::string("a/b"), std::string("a b"),
                                   std::string("a\n"), std::string("a\0", 2), std::string("\xc3\xa4"), std::string(64, 'a')})
        EXPECT_FALSE(valid_name(bad)) << bad;
}

TEST(StateRoot, IsMadeByTheFirstAndGoesWithTheLast) {
    const TemporaryFolder folder;
    const std::string path = folder.path("sandbox");
    auto root = open_root(path);
    ASSERT_TRUE(root);
    EXPECT_EQ(root->path(), path);
    EXPECT_EQ(mode_of(path), 0700U);
    auto one = root->create("one");
    auto two = root->create("two");
    ASSERT_TRUE(one);
    ASSERT_TRUE(two);
    EXPECT_EQ(one->name(), "one");
    EXPECT_EQ(mode_of(path + "/one"), 0700U);
    EXPECT_EQ(mode_of(path + "/one/lock"), 0600U);
    EXPECT_THAT(*root->names(), ElementsAre("one", "two"));
    ASSERT_TRUE(root->remove(std::move(*one)));
    EXPECT_THAT(*root->names(), ElementsAre("two"));
    ASSERT_TRUE(root->remove(std::move(*two)));
    EXPECT_FALSE(exists(path));
    EXPECT_THAT(*root->names(), IsEmpty());
}

TEST(StateRoot, MissingIsNotValidAndStaysMissing) {
    const TemporaryFolder folder;
    for (const std::string& path : {folder.path("sandbox"), folder.path("none/sandbox")}) {
        auto root = StateRoot::open_existing(path);
        ASSERT_TRUE(root);
        EXPECT_FALSE(root->valid());
        EXPECT_THAT(*root->names(), IsEmpty());
        EXPECT_EQ(root->take_crashed("web")->directory(), -1);
        EXPECT_TRUE(root->remove_if_unused());
        EXPECT_FALSE(exists(path));
    }
    const auto refused = open_root(folder.path("none/sandbox"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().number, ENOENT);
    EXPECT_NE(refused.error().hint, "");
    EXPECT_FALSE(open_root("sandbox"));
    EXPECT_FALSE(open_root("/"));
}

TEST(StateRoot, LeftEmptyIsRemovedByGc) {
    const TemporaryFolder folder;
    ASSERT_TRUE(open_root(folder.path("sandbox")));
    ASSERT_TRUE(exists(folder.path("sandbox")));
    ASSERT_TRUE(sweep(folder.path("sandbox")));
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

TEST(StateRoot, OpenToOthersIsRefused) {
    const TemporaryFolder folder;
    const std::string path = folder.path("sandbox");
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    for (const unsigned mode : {0755U, 0701U, 0770U, 01777U}) {
        ASSERT_EQ(::chmod(path.c_str(), mode), 0);
        for (const auto& refused : {open_root(path), StateRoot::open_existing(path)}) {
            ASSERT_FALSE(refused);
            EXPECT_THAT(refused.error().message, HasSubstr("open to others"));
            EXPECT_NE(refused.error().hint, "");
        }
    }
    ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
    EXPECT_TRUE(open_root(path));
    ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
    EXPECT_THAT(open_root(path).error().message, HasSubstr("can be written by others"));
    ASSERT_EQ(::chmod(folder.path().c_str(), 01777), 0);
    EXPECT_TRUE(open_root(path));
}

TEST(StateRoot, OfSomebodyElseIsRefused) {
    const TemporaryFolder folder;
    if (::geteuid() == 0) {
        ASSERT_EQ(::mkdir(folder.path("sandbox").c_str(), 0700), 0);
        ASSERT_EQ(::chown(folder.path("sandbox").c_str(), 12345, 12345), 0);
        EXPECT_THAT(open_root(folder.path("sandbox")).error().message, HasSubstr("belongs to uid 12345, not to uid 0"));
        ASSERT_EQ(::chown(folder.path().c_str(), 12345, 12345), 0);
        EXPECT_THAT(open_root(folder.path("other")).error().message, HasSubstr("belongs to uid 12345, not to uid 0"));
        EXPECT_FALSE(exists(folder.path("other")));
    } else {
        EXPECT_THAT(open_root("/usr/sandbox").error().message, HasSubstr(cat("belongs to uid 0, not to uid ", ::geteuid())));
    }
}

TEST(StateRoot, LinkOrFileInItsPlaceIsRefused) {
    const TemporaryFolder folder;
    const std::string path = folder.path("sandbox");
    ASSERT_EQ(::mkdir(folder.path("elsewhere").c_str(), 0700), 0);
    ASSERT_EQ(::symlink("elsewhere", path.c_str()), 0);
    EXPECT_THAT(open_root(path).error().hint, HasSubstr("not a link"));
    EXPECT_FALSE(StateRoot::open_existing(path));
    ASSERT_EQ(::unlink(path.c_str()), 0);
    testing::write_file(path, "x");
    EXPECT_THAT(open_root(path).error().message, HasSubstr("not a directory"));
}

TEST(StateRoot, RemovedByOthersIsMadeAgain) {
    const TemporaryFolder folder;
    const std::string path = folder.path("sandbox");
    auto ours = open_root(path);
    auto theirs = open_root(path);
    auto state = theirs->create("web");
    ASSERT_TRUE(theirs->remove(std::move(*state)));
    ASSERT_FALSE(exists(path));
    auto made = ours->create("web");
    ASSERT_TRUE(made);
    EXPECT_TRUE(exists(path + "/web/lock"));
    EXPECT_THAT(*theirs->names(), ElementsAre("web"));
    EXPECT_EQ(theirs->create("web").error().number, EBUSY);
    // The folder above may go as well: a user who logs out and in again.
    ASSERT_TRUE(ours->remove(std::move(*made)));
    const std::string runtime = folder.path("runtime");
    ASSERT_EQ(::mkdir(runtime.c_str(), 0700), 0);
    auto user = open_root(runtime + "/sandbox");
    std::filesystem::remove_all(runtime);
    EXPECT_THAT(*user->names(), IsEmpty());
    EXPECT_FALSE(user->create("web"));
    ASSERT_EQ(::mkdir(runtime.c_str(), 0700), 0);
    EXPECT_TRUE(user->create("web"));
    EXPECT_TRUE(exists(runtime + "/sandbox/web"));
}

TEST(StateRoot, NameIsRunningThenCrashedThenFree) {
    const TemporaryFolder folder;
    const std::string path = folder.path("sandbox");
    auto root = open_root(path);
    auto other = open_root(path);
    {
        auto state = root->create("web");
        ASSERT_TRUE(state);
        const auto taken = other->create("web");
        ASSERT_FALSE(taken);
        EXPECT_EQ(taken.error().number, EBUSY);
        EXPECT_THAT(taken.error().message, HasSubstr("'web' is running"));
        EXPECT_EQ(other->take_crashed("web")->directory(), -1);
        EXPECT_FALSE(other->remove(std::move(*other->take_crashed("web"))));
    }
    const auto crashed = other->create("web");
    ASSERT_FALSE(crashed);
    EXPECT_EQ(crashed.error().number, EEXIST);
    EXPECT_THAT(crashed.error().message, HasSubstr("crashed"));
    EXPECT_THAT(crashed.error().hint, HasSubstr("sandbox gc"));
    auto ours = other->take_crashed("web");
    ASSERT_TRUE(ours);
    ASSERT_GE(ours->directory(), 0);
    EXPECT_EQ(root->take_crashed("web")->directory(), -1);
    ASSERT_TRUE(other->remove(std::move(*ours)));
    EXPECT_EQ(root->take_crashed("web")->directory(), -1);
    EXPECT_FALSE(exists(path));
}

TEST(StateRoot, BadNamesTouchNothing) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    for (const char* bad : {"..", ".", "", "../x", "/etc", ".ids", "A"}) {
        EXPECT_THAT(root->create(bad).error().message, HasSubstr("not a name"));
        EXPECT_FALSE(root->take_crashed(bad));
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path("sandbox")));
}

TEST(StateRoot, LockFreedByAKilledProcessMeansCrashed) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    Signal made;
    const pid_t child = start([&] {
        auto own = open_root(folder.path("sandbox"));
        auto state = own->create("web");
        auto journal = Journal::create(state->directory());
        made.give();
        for (;;) ::pause();
        return 0;
    });
    ASSERT_TRUE(made.await());
    EXPECT_EQ(root->create("web").error().number, EBUSY);
    EXPECT_EQ(root->take_crashed("web")->directory(), -1);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(wait_for(child), -SIGKILL);
    EXPECT_EQ(root->create("web").error().number, EEXIST);
    auto state = root->take_crashed("web");
    ASSERT_GE(state->directory(), 0);
    EXPECT_TRUE(read_journal(state->directory()));
    ASSERT_TRUE(root->remove(std::move(*state)));
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

TEST(StateRoot, FolderWithoutLockFileCountsAsCrashed) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    ASSERT_EQ(::mkdir(folder.path("sandbox/web").c_str(), 0700), 0);
    EXPECT_EQ(root->create("web").error().number, EEXIST);
    auto state = root->take_crashed("web");
    ASSERT_TRUE(state);
    ASSERT_GE(state->directory(), 0);
    EXPECT_EQ(root->create("web").error().number, EBUSY);
    ASSERT_TRUE(root->remove(std::move(*state)));
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

TEST(StateRoot, HostileFoldersAreNotTakenOver) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    ASSERT_EQ(::mkdir(folder.path("outside").c_str(), 0700), 0);
    ASSERT_EQ(::symlink("../outside", folder.path("sandbox/link").c_str()), 0);
    EXPECT_FALSE(root->take_crashed("link"));
    EXPECT_EQ(root->create("link").error().number, EEXIST);
    ASSERT_EQ(::mkdir(folder.path("sandbox/loose").c_str(), 0700), 0);
    ASSERT_EQ(::chmod(folder.path("sandbox/loose").c_str(), 0777), 0);
    EXPECT_THAT(root->take_crashed("loose").error().message, HasSubstr("open to others"));
    ASSERT_EQ(::mkdir(folder.path("sandbox/locked").c_str(), 0700), 0);
    ASSERT_EQ(::symlink("../../outside/new", folder.path("sandbox/locked/lock").c_str()), 0);
    EXPECT_FALSE(root->take_crashed("locked"));
    EXPECT_TRUE(std::filesystem::is_empty(folder.path("outside")));
}

TEST(StateRoot, NamesAreFoldersWithAName) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    auto web = root->create("web");
    auto lease = root->lease_range(1);
    ASSERT_EQ(::mkdir(folder.path("sandbox/.removing-0").c_str(), 0700), 0);
    ASSERT_EQ(::mkdir(folder.path("sandbox/Upper").c_str(), 0700), 0);
    testing::write_file(folder.path("sandbox/file"), "x");
    ASSERT_EQ(::symlink("web", folder.path("sandbox/link").c_str()), 0);
    EXPECT_THAT(*root->names(), ElementsAre("web"));
    for (int i = 0; i < 500; ++i) ASSERT_EQ(::mkdir(folder.path(cat("sandbox/n", i)).c_str(), 0700), 0);
    EXPECT_EQ(root->names()->size(), 501U);
}

TEST(StateRoot, SharedFilesAreNoSandboxesAndStayWhileTheyAreUsed) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    auto web = root->create("web");
    auto bridge = SharedFile::open(root->descriptor(), ".net.sandbox0");
    auto unused = SharedFile::open(root->descriptor(), ".sysctl.ipv4-forward");
    ASSERT_TRUE(bridge && unused);
    EXPECT_THAT(*root->names(), ElementsAre("web"));
    EXPECT_THAT(*root->unsupervised(), IsEmpty());
    ASSERT_TRUE(bridge->join());
    ASSERT_TRUE(root->remove(std::move(*web)));
    EXPECT_TRUE(exists(folder.path("sandbox/.net.sandbox0")));
    EXPECT_TRUE(exists(folder.path("sandbox/.sysctl.ipv4-forward")));
    ASSERT_TRUE(sweep(folder.path("sandbox")));
    EXPECT_TRUE(exists(folder.path("sandbox/.net.sandbox0")));
    bridge->leave();
    {
        const auto held = bridge->hold();  // the mutex alone keeps it as well
        ASSERT_TRUE(held);
        ASSERT_TRUE(sweep(folder.path("sandbox")));
        EXPECT_TRUE(exists(folder.path("sandbox/.net.sandbox0")));
    }
    ASSERT_TRUE(sweep(folder.path("sandbox")));
    EXPECT_FALSE(exists(folder.path("sandbox")));
    // Who has it open still finds that there is nothing any more.
    const auto gone = bridge->hold();
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().number, ENOENT);
}

TEST(StateRoot, WhatKilledUsersLeftInSharedFilesGoesWithIt) {
    const TemporaryFolder folder;
    const pid_t user = start([&] {
        auto root = open_root(folder.path("sandbox"));
        auto web = root->create("web");
        auto file = SharedFile::open(root->descriptor(), ".net.sandbox0");
        auto held = file->hold();
        if (!held || !file->join() || !file->replace_text("bridge")) return 1;
        ::raise(SIGKILL);
        return 0;
    });
    EXPECT_EQ(wait_for(user), -SIGKILL);
    ASSERT_TRUE(exists(folder.path("sandbox/.net.sandbox0")));
    // While its journal waits to be replayed, nothing goes.
    ASSERT_TRUE(StateRoot::open_existing(folder.path("sandbox"))->remove_if_unused());
    EXPECT_TRUE(exists(folder.path("sandbox/.net.sandbox0")));
    ASSERT_TRUE(sweep(folder.path("sandbox")));
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

// Its last user was still dying when its journal was replayed.
TEST(StateRoot, ASharedFileThatSaysWhatIsToBeTakenBackStays) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    ASSERT_TRUE(root);
    auto file = SharedFile::open(root->descriptor(), ".net.sandbox0");
    ASSERT_TRUE(file);
    {
        auto held = file->hold();
        ASSERT_TRUE(held && AddressPool(*file).set_notes({{"bridge", "sandbox0"}}));
    }
    ASSERT_TRUE(root->remove_if_unused());
    EXPECT_TRUE(exists(folder.path("sandbox/.net.sandbox0")));
    {
        auto held = file->hold();
        ASSERT_TRUE(held && AddressPool(*file).set_notes({}));
    }
    ASSERT_TRUE(root->remove_if_unused());
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

TEST(StateRoot, AFolderWithTheNameOfASharedFileIsLeft) {
    const TemporaryFolder folder;
    ASSERT_TRUE(open_root(folder.path("sandbox")));
    ASSERT_EQ(::mkdir(folder.path("sandbox/.net.sandbox0").c_str(), 0700), 0);
    ASSERT_TRUE(sweep(folder.path("sandbox")));
    EXPECT_TRUE(exists(folder.path("sandbox/.net.sandbox0")));
}

TEST(StateRemove, DeletesEverythingButNothingBehindLinks) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    auto web = root->create("web");
    ASSERT_EQ(::mkdir(folder.path("outside").c_str(), 0700), 0);
    testing::write_file(folder.path("outside/precious"), "x");
    const std::string inside = folder.path("sandbox/web");
    std::filesystem::create_directories(inside + "/a/b/c/lock");
    std::filesystem::create_directories(inside + "/.removing-0/.removing-0/x");
    std::filesystem::create_directory_symlink(folder.path("outside"), inside + "/a/link");
    std::filesystem::create_directory_symlink(folder.path("outside"), inside + "/link");
    testing::write_file(inside + "/a/b/c/file", "x");
    testing::write_file(inside + "/a/\n\xff", "x");
    ASSERT_EQ(::mkfifo((inside + "/a/pipe").c_str(), 0600), 0);
    for (int i = 0; i < 600; ++i) testing::write_file(cat(inside, "/a/b/", i), "");
    ASSERT_TRUE(root->remove(std::move(*web)));
    EXPECT_FALSE(exists(folder.path("sandbox")));
    EXPECT_TRUE(exists(folder.path("outside/precious")));
}

TEST(StateRemove, NeedsFewDescriptorsForADeepTree) {
    const TemporaryFolder folder;
    const pid_t child = start([&] {
        auto root = open_root(folder.path("sandbox"));
        auto web = root->create("web");
        Fd below(::dup(web->directory()));
        for (int depth = 0; depth < 1000; ++depth) {
            if (::mkdirat(below.get(), "d", 0700) != 0) return 1;
            below.reset(::openat(below.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        }
        below.reset();
        const rlimit limit{24, 24};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
        return root->remove(std::move(*web)) ? 0 : 3;
    });
    EXPECT_EQ(wait_for(child), 0);
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

TEST(StateRemove, LeavesAFolderThatTookTheName) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    auto web = root->create("web");
    std::filesystem::rename(folder.path("sandbox/web"), folder.path("sandbox/moved"));
    ASSERT_EQ(::mkdir(folder.path("sandbox/web").c_str(), 0700), 0);
    testing::write_file(folder.path("sandbox/web/theirs"), "x");
    const auto refused = root->remove(std::move(*web));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("moved or replaced"));
    EXPECT_TRUE(exists(folder.path("sandbox/web/theirs")));
}

TEST(StateRemove, AFolderThatIsGoneIsSuccess) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    auto web = root->create("web");
    std::filesystem::remove_all(folder.path("sandbox/web"));
    EXPECT_TRUE(root->remove(std::move(*web)));
    EXPECT_FALSE(exists(folder.path("sandbox")));
    root = open_root(folder.path("sandbox"));
    web = root->create("web");
    std::filesystem::remove_all(folder.path("sandbox"));
    EXPECT_TRUE(root->remove(std::move(*web)));
}

// Exit code 77: mounting is not allowed here.
int try_to_remove_mounts(const TemporaryFolder& folder) {
    const uid_t uid = ::geteuid();
    const gid_t gid = ::getegid();
    if (::unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) != 0) return 77;
    if (uid != 0) {
        testing::write_file("/proc/self/setgroups", "deny");
        testing::write_file("/proc/self/uid_map", cat("0 ", uid, " 1"));
        testing::write_file("/proc/self/gid_map", cat("0 ", gid, " 1"));
    }
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
    std::filesystem::create_directory(folder.path("outside"));
    testing::write_file(folder.path("outside/precious"), "x");
    auto root = open_root(folder.path("sandbox"));
    auto web = root->create("web");
    const std::string below = folder.path("sandbox/web/a/b");
    std::filesystem::create_directories(below);
    // A bind mount of the same file system: st_dev does not tell.
    if (::mount(folder.path("outside").c_str(), below.c_str(), nullptr, MS_BIND, nullptr) != 0) return 77;
    auto refused = root->remove(std::move(*web));
    if (refused || refused.error().number != EBUSY) return 1;
    if (!exists(folder.path("outside/precious"))) return 2;
    if (::umount2(below.c_str(), 0) != 0) return 3;
    if (!std::filesystem::exists(below) && ::mkdir(folder.path("sandbox/web/b").c_str(), 0700) != 0) return 4;
    web = root->take_crashed("web");
    if (!web || web->directory() < 0) return 5;
    std::filesystem::create_directories(folder.path("sandbox/web/c"));
    if (::mount("tmpfs", folder.path("sandbox/web/c").c_str(), "tmpfs", 0, nullptr) != 0) return 77;
    testing::write_file(folder.path("sandbox/web/c/kept"), "x");
    refused = root->remove(std::move(*web));
    if (refused || refused.error().number != EBUSY || refused.error().hint.empty()) return 6;
    if (!exists(folder.path("sandbox/web/c/kept"))) return 7;
    if (::umount2(folder.path("sandbox/web/c").c_str(), 0) != 0) return 8;
    if (!sweep(folder.path("sandbox"))) return 9;
    return exists(folder.path("sandbox")) ? 10 : 0;
}

TEST(StateRemove, StopsAtMounts) {
    const TemporaryFolder folder;
    const int code = wait_for(start([&] { return try_to_remove_mounts(folder); }));
    if (code == 77) GTEST_SKIP() << "mounting is not allowed here";
    EXPECT_EQ(code, 0);
}

TEST(Lease, IsTheLowestFreeRange) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    auto first = root->lease_range(3);
    auto second = root->lease_range(3);
    auto third = root->lease_range(3);
    EXPECT_EQ(first->index, 0U);
    EXPECT_EQ(second->index, 1U);
    EXPECT_EQ(third->index, 2U);
    EXPECT_EQ(mode_of(folder.path("sandbox/.ids")), 0600U);
    const auto none = root->lease_range(3);
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message, HasSubstr("all 3 id ranges are leased"));
    EXPECT_NE(none.error().hint, "");
    EXPECT_FALSE(root->lease_range(0));
    second->lock.reset();
    EXPECT_EQ(root->lease_range(3)->index, 1U);
}

TEST(Lease, LivesAsLongAsAChildKeepsACopy) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    auto web = root->create("web");
    auto lease = root->lease_range(10);
    ASSERT_EQ(lease->index, 0U);
    const pid_t child = start([] {
        for (;;) ::pause();
        return 0;
    });
    lease->lock.reset();
    EXPECT_EQ(root->lease_range(10)->index, 1U);
    // The folder goes, but .ids stays for the sake of the child: a new file would lease range 0 again.
    ASSERT_TRUE(root->remove(std::move(*web)));
    EXPECT_TRUE(exists(folder.path("sandbox/.ids")));
    ASSERT_TRUE(root->remove_if_unused());
    EXPECT_EQ(root->lease_range(10)->index, 1U);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(wait_for(child), -SIGKILL);
    EXPECT_EQ(root->lease_range(10)->index, 0U);
    ASSERT_TRUE(root->remove_if_unused());
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

TEST(Lease, FileThatIsALinkIsRefused) {
    const TemporaryFolder folder;
    auto root = open_root(folder.path("sandbox"));
    ASSERT_EQ(::symlink("../elsewhere", folder.path("sandbox/.ids").c_str()), 0);
    EXPECT_EQ(root->lease_range(1).error().number, ELOOP);
    EXPECT_FALSE(exists(folder.path("elsewhere")));
}

TEST(Lease, ManyAreHadInOrder) {
    const TemporaryFolder folder;
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const std::uint32_t count = limit.rlim_cur > 500 ? 300 : 100;
    auto root = open_root(folder.path("sandbox"));
    std::vector<StateRoot::Lease> leases;
    for (std::uint32_t i = 0; i < count; ++i) {
        auto lease = root->lease_range(count);
        ASSERT_TRUE(lease);
        EXPECT_EQ(lease->index, i);
        leases.push_back(std::move(*lease));
    }
    EXPECT_FALSE(root->lease_range(count));
}

// Several processes at once, let go together. Each round returns an exit code, 0 to go on.
template <class Round>
void race(int processes, int rounds, Round round) {
    Signal go;
    std::vector<pid_t> children;
    for (int i = 0; i < processes; ++i)
        children.push_back(start([&] {
            if (!go.await()) return 100;
            for (int k = 0; k < rounds; ++k)
                if (const int code = round(i, k); code != 0) return code;
            return 0;
        }));
    for (int i = 0; i < processes; ++i) go.give();
    for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
}

// Uses a state and says whether it was ours alone: the marker outside the root is made exclusively.
int use(const TemporaryFolder& folder, const SandboxState& state) {
    const std::string marker = folder.path(cat("marker-", state.name()));
    if (::mkdir(marker.c_str(), 0700) != 0) return 10;
    struct stat ours {};
    struct stat there {};
    if (::fstat(state.directory(), &ours) != 0) return 11;
    if (::stat(folder.path(cat("sandbox/", state.name())).c_str(), &there) != 0 || ours.st_ino != there.st_ino) return 12;
    return ::rmdir(marker.c_str()) == 0 ? 0 : 13;
}

TEST(StateRace, OneWinsAndTheRootIsNeitherLeftNorLost) {
    const TemporaryFolder folder;
    race(4, 300, [&](int process, int round) {
        auto root = open_root(folder.path("sandbox"));
        if (!root) return 1;
        auto state = root->create((process + round) % 3 == 0 ? "a" : "b");
        if (!state) return state.error().number == EBUSY ? 0 : 2;
        if (!Journal::create(state->directory())) return 3;
        auto lease = root->lease_range(4);
        if (!lease) return 4;
        if (const int code = use(folder, *state); code != 0) return code;
        lease->lock.reset();
        return root->remove(std::move(*state)) ? 0 : 5;
    });
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

TEST(StateRace, CrashedSandboxesAreTakenByOne) {
    const TemporaryFolder folder;
    race(4, 300, [&](int process, int round) {
        auto root = open_root(folder.path("sandbox"));
        if (!root) return 1;
        if (!root->names()) return 2;
        const bool collect = (process + round) % 2 == 0;
        auto state = collect ? root->take_crashed("web") : root->create("web");
        if (!state && collect) return 3;
        if (!state) return state.error().number == EBUSY || state.error().number == EEXIST ? 0 : 4;
        if (state->directory() < 0) return 0;
        if (const int code = use(folder, *state); code != 0) return code;
        if (!collect) return 0;  // lets go of the lock and leaves the folder, as a killed launcher does
        return root->remove(std::move(*state)) ? 0 : 5;
    });
    ASSERT_TRUE(sweep(folder.path("sandbox")));
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

TEST(StateRace, NoRangeIsLeasedTwice) {
    const TemporaryFolder folder;
    race(4, 300, [&](int, int) {
        auto root = open_root(folder.path("sandbox"));
        if (!root) return 1;
        auto lease = root->lease_range(4);
        if (!lease) return 2;
        const std::string marker = folder.path(cat("range-", lease->index));
        if (::mkdir(marker.c_str(), 0700) != 0) return 3;
        if (::rmdir(marker.c_str()) != 0) return 4;
        lease->lock.reset();
        return root->remove_if_unused() ? 0 : 5;
    });
    EXPECT_FALSE(exists(folder.path("sandbox")));
}

int live_a_whole_life(const std::string& path) {
    auto root = open_root(path);
    if (!root) return 1;
    auto state = root->create("web");
    if (!state) return 2;
    auto journal = Journal::create(state->directory());
    if (!journal || !journal->intend("step", {"undo", {}}) || !journal->done(1, {})) return 3;
    auto lease = root->lease_range(4);
    if (!lease) return 4;
    lease->lock.reset();
    return root->remove(std::move(*state)) ? 0 : 5;
}

// Runs a life up to the given number of stops at system calls (entries and exits), then kills it. True: it was killed;
// false: it ended before.
bool kill_at_stop(const std::string& path, int stops, int& code) {
    const pid_t child = start([&] {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 77;
        ::raise(SIGSTOP);
        return live_a_whole_life(path);
    });
    int status = 0;
    ::waitpid(child, &status, 0);
    for (int i = 0; i < stops && WIFSTOPPED(status); ++i) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
        ::waitpid(child, &status, 0);
    }
    code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (!WIFSTOPPED(status)) return false;
    ::kill(child, SIGKILL);
    return wait_for(child) == -SIGKILL;
}

TEST(StateKill, AtEverySystemCallLeavesWhatGcRemoves) {
    const TemporaryFolder folder;
    const std::string path = folder.path("sandbox");
    int code = 0;
    int stops = 0;
    while (kill_at_stop(path, ++stops, code)) {
        const auto swept = sweep(path);
        ASSERT_TRUE(swept) << "killed at stop " << stops << ": " << swept.error().message;
        ASSERT_FALSE(exists(path)) << "killed at stop " << stops;
    }
    if (code == 77) GTEST_SKIP() << "tracing is not allowed here";
    EXPECT_EQ(code, 0);
    EXPECT_GT(stops, 40);
    EXPECT_FALSE(exists(path));
}

}  // namespace
}  // namespace sandbox
