// Undo records on real folders, as any user: what was made goes away, what is somebody else's stays.
#include "exec/effects.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/file.h>

#include "state_testing.h"

namespace sandbox {
namespace {

using sandbox::testing::exists;
using sandbox::testing::TemporaryFolder;
using sandbox::testing::write_file;

class Effects : public ::testing::Test {
   protected:
    Effects() : journal_(*Journal::create(state_.fd())) {}

    Recorder recorder() { return {journal_, step_, 0, nullptr}; }
    [[nodiscard]] std::vector<JournalEntry> entries() const {
        auto contents = read_journal(state_.fd());
        return contents ? contents->entries : std::vector<JournalEntry>();
    }
    [[nodiscard]] std::string path(const std::string& name) const { return place_.path(name); }

    void make_folder(const std::string& name, bool contents = false) {
        Recorder r = recorder();
        const Status made = make_host_directory(r, {path(name), 0750, contents});
        ASSERT_TRUE(made) << made.error().message;
    }
    Status make(const std::string& inside, bool directory, const std::string& link = {}) {
        Recorder r = recorder();
        step::MakeTarget what{0, place_.path(), inside, directory, 0755, link};
        return make_target(r, what, place_.fd());
    }
    // Every undo in reverse, as replay() does, without writing that it was done.
    void undo_all() {
        const auto list = entries();
        for (auto entry = list.rbegin(); entry != list.rend(); ++entry) {
            const Status undone = run_undo(*entry);
            EXPECT_TRUE(undone) << undone.error().message;
        }
    }
    static Fields identity_of(const std::string& folder) {
        struct stat info {};
        if (::stat(folder.c_str(), &info) != 0) return {};
        return {{"device", std::to_string(info.st_dev)}, {"inode", std::to_string(info.st_ino)}};
    }
    [[nodiscard]] int mode_of(const std::string& name) const {
        struct stat info {};
        return ::lstat(path(name).c_str(), &info) == 0 ? static_cast<int>(info.st_mode & 07777) : -1;
    }

    TemporaryFolder state_, place_;
    Journal journal_;
    Step step_{"some.step", Side::host, "", "", {}, false, step::CreateState{}};
};

TEST_F(Effects, AFolderIsMadeWithItsModeAndJournaled) {
    const mode_t before = umask(0077);
    make_folder("work");
    umask(before);
    EXPECT_EQ(mode_of("work"), 0750);
    ASSERT_EQ(entries().size(), 1U);
    EXPECT_EQ(entries()[0].undo.kind, "remove-directory");
    EXPECT_EQ(field(entries()[0].undo.fields, "path"), path("work"));
    EXPECT_TRUE(entries()[0].done);
    EXPECT_NE(field(entries()[0].identity, "inode"), "");
    undo_all();
    EXPECT_FALSE(exists(path("work")));
    undo_all();  // what is absent is undone
}

TEST_F(Effects, AFolderThatWasThereIsNotJournaledAndStays) {
    ASSERT_EQ(mkdir(path("work").c_str(), 0700), 0);
    make_folder("work");
    EXPECT_THAT(entries(), ::testing::IsEmpty());
    EXPECT_EQ(mode_of("work"), 0700);
}

TEST_F(Effects, AFileInPlaceOfAFolderIsAnError) {
    write_file(path("work"), "mine");
    Recorder r = recorder();
    const Status made = make_host_directory(r, {path("work"), 0755, false});
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, ::testing::HasSubstr("is not a directory"));
    EXPECT_THAT(entries(), ::testing::IsEmpty());
}

TEST_F(Effects, FoldersAboveAFolderAreMadeForTheCallerAloneAndGoWithIt) {
    Recorder r = recorder();
    ASSERT_TRUE(make_host_directory(r, {path("no/deep/work"), 0755, false}));
    for (const char* above : {"no", "no/deep"}) EXPECT_EQ(mode_of(above), 0700) << above;
    EXPECT_EQ(mode_of("no/deep/work"), 0755);
    undo_all();
    EXPECT_FALSE(exists(path("no")));
}

TEST_F(Effects, AFolderBelowAFileIsAnErrorThatNamesIt) {
    write_file(path("file"), "");
    Recorder r = recorder();
    const Status made = make_host_directory(r, {path("file/work"), 0755, false});
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, ::testing::HasSubstr(path("file")));
    EXPECT_THAT(entries(), ::testing::IsEmpty());
}

TEST_F(Effects, WhatSomebodyPutIntoAFolderStays) {
    make_folder("upper");
    write_file(path("upper/result"), "precious");
    undo_all();
    EXPECT_TRUE(exists(path("upper/result")));
}

TEST_F(Effects, AFolderOfOursGoesWithItsContents) {
    make_folder("work", true);
    ASSERT_EQ(mkdir(path("work/work").c_str(), 0700), 0);
    write_file(path("work/work/#1"), "");
    ASSERT_EQ(symlink("/", path("work/link").c_str()), 0);
    undo_all();
    EXPECT_FALSE(exists(path("work")));
}

TEST_F(Effects, AnotherFolderOfTheSameNameIsLeftAlone) {
    make_folder("work", true);
    ASSERT_EQ(rename(path("work").c_str(), path("elsewhere").c_str()), 0);
    ASSERT_EQ(mkdir(path("work").c_str(), 0700), 0);
    write_file(path("work/precious"), "");
    undo_all();
    EXPECT_TRUE(exists(path("work/precious")));
}

TEST_F(Effects, ALinkPutInPlaceOfAFolderIsNotFollowed) {
    make_folder("work", true);
    ASSERT_EQ(mkdir(path("victim").c_str(), 0700), 0);
    write_file(path("victim/precious"), "");
    ASSERT_EQ(rename(path("work").c_str(), path("elsewhere").c_str()), 0);
    ASSERT_EQ(symlink("victim", path("work").c_str()), 0);
    undo_all();
    EXPECT_TRUE(exists(path("victim/precious")));
    EXPECT_TRUE(exists(path("work")));
}

// A launcher that was killed between the two records: nothing says what was made, so only what is empty may go.
TEST_F(Effects, WithoutAnIdentityOnlyWhatIsEmptyGoes) {
    ASSERT_EQ(mkdir(path("empty").c_str(), 0700), 0);
    ASSERT_EQ(mkdir(path("full").c_str(), 0700), 0);
    write_file(path("full/precious"), "");
    JournalEntry entry;
    for (const char* name : {"empty", "full", "absent"}) {
        entry.undo = {"remove-directory", {{"path", path(name)}, {"contents", "no"}}};
        const Status undone = run_undo(entry);
        EXPECT_TRUE(undone) << undone.error().message;
    }
    EXPECT_FALSE(exists(path("empty")));
    EXPECT_TRUE(exists(path("full/precious")));
}

TEST_F(Effects, TargetsAreMadeWithTheirParentsAndTakenBack) {
    ASSERT_TRUE(make("/a/b/folder", true));
    ASSERT_TRUE(make("/a/b/file", false));
    ASSERT_TRUE(make("/a/link", false, "b/file"));
    EXPECT_EQ(entries().size(), 5U);
    EXPECT_TRUE(exists(path("a/b/folder")) && exists(path("a/b/file")) && exists(path("a/link")));
    ASSERT_TRUE(make("/a/b/folder", true));  // there already
    EXPECT_EQ(entries().size(), 5U);
    undo_all();
    EXPECT_FALSE(exists(path("a")));
    undo_all();
}

TEST_F(Effects, TheRootOfATreeNeedsNothing) {
    ASSERT_TRUE(make("/", true));
    EXPECT_THAT(entries(), ::testing::IsEmpty());
}

TEST_F(Effects, ATargetThatGotContentsStays) {
    ASSERT_TRUE(make("/file", false));
    ASSERT_TRUE(make("/folder", true));
    write_file(path("file"), "precious");
    write_file(path("folder/precious"), "");
    undo_all();
    EXPECT_TRUE(exists(path("file")));
    EXPECT_TRUE(exists(path("folder/precious")));
}

// The tree belongs to a hostile image: its links must not lead out of it.
TEST_F(Effects, ALinkInTheTreeLeadsNowhereElse) {
    TemporaryFolder outside;
    ASSERT_EQ(symlink(outside.path().c_str(), path("etc").c_str()), 0);
    const Status made = make("/etc/made", true);
    EXPECT_FALSE(exists(outside.path("made")));
    EXPECT_FALSE(made);  // beneath the tree's root there is no such folder
}

TEST_F(Effects, AParentSwappedForALinkIsNotFollowedByTheUndo) {
    TemporaryFolder outside;
    ASSERT_TRUE(make("/a/b", true));
    ASSERT_EQ(mkdir(outside.path("b").c_str(), 0700), 0);
    ASSERT_EQ(rename(path("a").c_str(), path("moved").c_str()), 0);
    ASSERT_EQ(symlink(outside.path().c_str(), path("a").c_str()), 0);
    undo_all();
    EXPECT_TRUE(exists(outside.path("b")));
    EXPECT_TRUE(exists(path("a")));
}

TEST_F(Effects, AnotherTreeAtTheSamePathIsLeftAlone) {
    ASSERT_EQ(mkdir(path("tree").c_str(), 0700), 0);
    Recorder r = recorder();
    const Fd tree(open(path("tree").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(make_target(r, {0, path("tree"), "/made", true, 0755, {}}, tree.get()));
    ASSERT_EQ(rename(path("tree").c_str(), path("moved").c_str()), 0);
    ASSERT_EQ(mkdir(path("tree").c_str(), 0700), 0);
    ASSERT_EQ(mkdir(path("tree/made").c_str(), 0700), 0);
    undo_all();
    EXPECT_TRUE(exists(path("tree/made")));
}

TEST_F(Effects, AMissingTreeIsUndone) {
    ASSERT_EQ(mkdir(path("tree").c_str(), 0700), 0);
    Recorder r = recorder();
    const Fd tree(open(path("tree").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(make_target(r, {0, path("tree"), "/made", true, 0755, {}}, tree.get()));
    std::filesystem::remove_all(path("tree"));
    undo_all();
}

// Between the look and the making another one of the same tree makes it: its, and enough for us.
TEST_F(Effects, ATargetThatAnotherMakesAtTheSameTimeIsNotOurs) {
    const Watch watch = [this](std::size_t, Moment moment) -> Status {
        if (moment == Moment::intended && mkdir(path("made").c_str(), 0700) != 0) return fail_errno("mkdir", errno);
        return {};
    };
    Recorder r{journal_, step_, 0, &watch};
    ASSERT_TRUE(make_target(r, {0, place_.path(), "/made", true, 0755, {}}, place_.fd()));
    undo_all();
    EXPECT_TRUE(exists(path("made")));
    // A file in the way of a folder is not what was wanted.
    const Watch file = [this](std::size_t, Moment moment) -> Status {
        if (moment == Moment::intended) write_file(path("other"), "");
        return {};
    };
    Recorder again{journal_, step_, 0, &file};
    EXPECT_FALSE(make_target(again, {0, place_.path(), "/other", true, 0755, {}}, place_.fd()));
}

// What another sandbox has mounted on it would be gone with it.
TEST_F(Effects, ATargetInATreeThatAnotherUsesStays) {
    ASSERT_TRUE(make("/made", true));
    {
        const Fd other(open(place_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        ASSERT_EQ(flock(other.get(), LOCK_SH), 0);
        undo_all();
        EXPECT_TRUE(exists(path("made")));
    }
    undo_all();
    EXPECT_FALSE(exists(path("made")));
}

TEST_F(Effects, AnOwnerThatIsNotThereIsUndone) {
    const JournalEntry entry{1, "x", {"restore-owner", {{"path", path("gone")}, {"uid", "0:1:2"}, {"gid", "0:1:2"}}}, true, false, {}};
    EXPECT_TRUE(run_undo(entry));
}

TEST_F(Effects, AProcessThatIsNotTheOneIsLeftAlone) {
    Fields self = identify_process(getpid());
    self[1].second += "0";  // another start time: the number was used again
    EXPECT_TRUE(run_undo({1, "clone", {"kill-process", {}}, true, false, self}));
    EXPECT_TRUE(run_undo({1, "clone", {"kill-process", {}}, false, false, {}}));
}

TEST_F(Effects, AProcessIsEnded) {
    const pid_t child = sandbox::testing::start([] {
        pause();
        return 0;
    });
    const Status ended = run_undo({1, "clone", {"kill-process", {}}, true, false, identify_process(child)});
    EXPECT_TRUE(ended) << ended.error().message;
    EXPECT_EQ(sandbox::testing::wait_for(child), -SIGKILL);
}

TEST(Undo, of_a_scope_that_is_gone_is_success_and_of_another_unit_is_refused) {
    const auto undo = [](const char* unit, Fields identity) {
        return run_undo({1, "cgroup.scope", {"stop-scope", {{"unit", unit}, {"user", "yes"}}}, true, false, std::move(identity)});
    };
    EXPECT_TRUE(undo("sandbox-test-00000000.scope", {}));
    EXPECT_TRUE(undo("sandbox-test-00000000.scope", {{"path", "/sys/fs/cgroup/nowhere/sandbox-test-00000000.scope"}}));
    EXPECT_FALSE(undo("init.scope", {}));
    EXPECT_FALSE(undo("sandbox-test/../init.scope", {}));
    EXPECT_FALSE(undo("sandbox-test-00000000.scope", {{"path", "/sys/fs/cgroup/system.slice"}}));
    EXPECT_FALSE(undo("sandbox-test-00000000.scope", {{"path", "/sys/fs/cgroup/../sandbox-test-00000000.scope"}}));
}

TEST_F(Effects, AnUnknownUndoIsSaid) {
    const Status undone = run_undo({1, "x", {"fly-to-the-moon", {}}, true, false, {}});
    ASSERT_FALSE(undone);
    EXPECT_THAT(undone.error().message, ::testing::HasSubstr("fly-to-the-moon"));
    EXPECT_TRUE(run_undo({1, "x", {}, true, false, {}}));
}

// A journal is checked by its sums, but whatever it says, nothing beside what it names may go.
TEST_F(Effects, GarbageFieldsHarmNothing) {
    // Should a relative path be taken after all, it hits a folder of the test.
    const Fd before(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(std::filesystem::create_directories(path("a/b/c/d")));
    write_file(path("a/precious"), "");
    write_file(path("a/b/c/d/precious"), "");
    ASSERT_EQ(chdir(path("a/b/c/d").c_str()), 0);
    const std::string ways[] = {"", ".", "..", "d", "../..", path("a/b/.."), path("a/b/../"), path("a/b/."), path("a/b//"), path("a/b/")};
    for (const std::string& way : ways)
        for (const char* contents : {"yes", "no", "perhaps"}) {
            EXPECT_FALSE(run_undo({1, "x", {"remove-directory", {{"path", way}, {"contents", contents}}}, false, false, {}})) << way;
            Fields target{{"root", place_.path()}, {"path", way}};
            for (const auto& [key, value] : identity_of(place_.path())) target.emplace_back(key, value);
            EXPECT_FALSE(run_undo({1, "x", {"remove-target", target}, false, false, {}})) << way;
            EXPECT_TRUE(exists(path("a/precious")) && exists(path("a/b/c/d/precious"))) << way << " " << contents;
        }
    ASSERT_EQ(fchdir(before.get()), 0);
    EXPECT_TRUE(run_undo({1, "x", {"remove-directory", {{"path", path("a/b/c/d")}, {"contents", "yes"}}}, true, false, {{"inode", "x"}}}));
    EXPECT_TRUE(exists(path("a/b/c/d/precious")));
    for (const char* number : {"", "-1", "x", "99999999999999999999"}) {
        const std::string map = std::string("0:") + number + ":1";
        EXPECT_FALSE(run_undo({1, "x", {"restore-owner", {{"path", path("a")}, {"uid", map}, {"gid", "0:1:1"}}}, true, false, {}}));
        EXPECT_TRUE(run_undo({1, "x", {"kill-process", {}}, true, false, {{"pid", number}, {"start", "1"}}}));
    }
    EXPECT_FALSE(run_undo({1, "x", {"restore-terminal", {{"path", "/dev/null"}, {"settings", "zz"}}}, true, false, {}}));
}

TEST_F(Effects, ReplayGoesOnAfterAFailureAndSaysIt) {
    make_folder("first");
    ASSERT_TRUE(journal_.intend("bad", {"fly-to-the-moon", {}}));
    make_folder("second");
    std::vector<std::string> problems;
    const auto undone = replay(state_.fd(), problems, true);
    EXPECT_THAT(undone, ::testing::ElementsAre("some.step", "some.step"));
    EXPECT_THAT(problems, ::testing::ElementsAre(::testing::HasSubstr("bad: ")));
    EXPECT_FALSE(exists(path("first")) || exists(path("second")));
    problems.clear();
    EXPECT_THAT(replay(state_.fd(), problems, true), ::testing::IsEmpty());  // what is undone is not undone twice
    EXPECT_EQ(problems.size(), 1U);
}

TEST_F(Effects, NoJournalIsNothingToUndo) {
    std::vector<std::string> problems;
    EXPECT_THAT(replay(place_.fd(), problems, true), ::testing::IsEmpty());
    EXPECT_THAT(problems, ::testing::IsEmpty());
}

// A step that fails leaves its intent in the journal, and the effect's error is what is said.
TEST_F(Effects, AWatcherStopsAStepAtEachMoment) {
    for (const Moment stop : {Moment::intended, Moment::effected, Moment::done}) {
        const Watch watch = [stop](std::size_t, Moment moment) -> Status { return moment == stop ? Status(fail("stopped")) : Status(); };
        Recorder r{journal_, step_, 0, &watch};
        const Status made = make_host_directory(r, {path("stopped"), 0755, false});
        ASSERT_FALSE(made);
        EXPECT_EQ(made.error().message, "stopped");
        EXPECT_EQ(exists(path("stopped")), stop != Moment::intended);
        EXPECT_EQ(entries().back().done, stop == Moment::done);
        undo_all();
        EXPECT_FALSE(exists(path("stopped")));
    }
}

}  // namespace
}  // namespace sandbox
