#include "state/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "base/text.h"
#include "state/crc32.h"
#include "state_testing.h"

namespace sandbox {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TemporaryFolder;

std::string read_text(const TemporaryFolder& folder) {
    std::ifstream in(folder.path("journal"), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string sum(std::string_view record) {
    const auto digits = crc32_digits(record);
    return std::string(digits.data(), digits.size());
}

std::string line(std::string_view record) { return cat(sum(record), ' ', record, '\n'); }

const std::string head = line("sandbox-journal 1");

// Whether `entries` is what a writer of `whole` had written at some moment: never another record.
void expect_prefix(const std::vector<JournalEntry>& entries, const std::vector<JournalEntry>& whole) {
    ASSERT_LE(entries.size(), whole.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        EXPECT_EQ(entries[i].number, whole[i].number);
        EXPECT_EQ(entries[i].step, whole[i].step);
        EXPECT_EQ(entries[i].undo.kind, whole[i].undo.kind);
        EXPECT_EQ(entries[i].undo.fields, whole[i].undo.fields);
        EXPECT_TRUE(!entries[i].done || whole[i].done);
        EXPECT_TRUE(!entries[i].undone || whole[i].undone);
        EXPECT_EQ(entries[i].identity, entries[i].done ? whole[i].identity : Fields{});
    }
}

// A journal as a launch leaves it, with names nobody should have chosen.
std::string write_rich(const TemporaryFolder& folder) {
    auto journal = Journal::create(folder.fd());
    EXPECT_TRUE(journal);
    EXPECT_EQ(*journal->intend("cgroup.create:memory", {"remove-directory", {{"path", "/sys/fs/cgroup/a b=c%d"}}}), 1U);
    EXPECT_TRUE(journal->done(1, {{"inode", "4711"}, {"device", "25"}}));
    EXPECT_EQ(*journal->intend("work.create:/x\n00000000 done 1", {"", {}}), 2U);
    EXPECT_EQ(*journal->intend("clone", {"kill-process", {{"pid", "12"}}}), 3U);
    EXPECT_TRUE(journal->done(3, {{"start", "99"}}));
    EXPECT_TRUE(journal->undone(3));
    return read_text(folder);
}

TEST(Journal, WritesTheDocumentedLines) {
    const TemporaryFolder folder;
    auto journal = Journal::create(folder.fd());
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->intend("mkdir /a b", {"remove-directory", {{"path", "/a b=%\x7f"}}}));
    ASSERT_TRUE(journal->done(1, {{"inode", "7"}}));
    ASSERT_TRUE(journal->undone(1));
    EXPECT_EQ(read_text(folder),
              head + line("intend 1 mkdir%20/a%20b remove-directory path=/a%20b%3D%25%7F") + line("done 1 inode=7") + line("undone 1"));
    struct stat facts {};
    ASSERT_EQ(::stat(folder.path("journal").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0600U);
}

TEST(Journal, ReadsBackWhatWasWritten) {
    const TemporaryFolder folder;
    write_rich(folder);
    const auto read = read_journal(folder.fd());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->damage, "");
    ASSERT_THAT(read->entries, SizeIs(3));
    EXPECT_EQ(read->entries[0].step, "cgroup.create:memory");
    EXPECT_EQ(read->entries[0].undo.kind, "remove-directory");
    EXPECT_EQ(field(read->entries[0].undo.fields, "path"), "/sys/fs/cgroup/a b=c%d");
    EXPECT_EQ(field(read->entries[0].undo.fields, "none"), "");
    EXPECT_TRUE(read->entries[0].done);
    EXPECT_EQ(field(read->entries[0].identity, "device"), "25");
    EXPECT_FALSE(read->entries[0].undone);
    EXPECT_EQ(read->entries[1].step, "work.create:/x\n00000000 done 1");
    EXPECT_EQ(read->entries[1].undo.kind, "");
    EXPECT_THAT(read->entries[1].undo.fields, IsEmpty());
    EXPECT_FALSE(read->entries[1].done);
    EXPECT_TRUE(read->entries[2].undone);
}

TEST(Journal, EveryByteFitsIntoEveryWord) {
    const TemporaryFolder folder;
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    for (const std::string& hostile : {all, std::string(), std::string("\n"), std::string("="), std::string("%"), std::string("%41"),
                                       std::string("a=b c=d"), std::string(1 << 16, ' '), std::string("\xff\xfe"), std::string("\0x", 2)}) {
        ::unlink(folder.path("journal").c_str());
        auto journal = Journal::create(folder.fd());
        ASSERT_TRUE(journal);
        ASSERT_TRUE(journal->intend(hostile, {hostile, {{hostile, hostile}, {"second", hostile}}}));
        ASSERT_TRUE(journal->done(1, {{hostile, hostile}, {hostile, ""}}));
        const auto read = read_journal(folder.fd());
        ASSERT_TRUE(read);
        ASSERT_EQ(read->damage, "");
        ASSERT_THAT(read->entries, SizeIs(1));
        EXPECT_EQ(read->entries[0].step, hostile);
        EXPECT_EQ(read->entries[0].undo.kind, hostile);
        EXPECT_EQ(read->entries[0].undo.fields, (Fields{{hostile, hostile}, {"second", hostile}}));
        EXPECT_EQ(read->entries[0].identity, (Fields{{hostile, hostile}, {hostile, ""}}));
    }
}

TEST(Journal, IsMadeOnlyOnceAndNeverThroughALink) {
    const TemporaryFolder folder;
    ASSERT_TRUE(Journal::create(folder.fd()));
    const auto again = Journal::create(folder.fd());
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().number, EEXIST);

    const TemporaryFolder other;
    ASSERT_EQ(::symlink(folder.path("journal").c_str(), other.path("journal").c_str()), 0);
    EXPECT_FALSE(Journal::create(other.fd()));
    EXPECT_FALSE(Journal::open(other.fd()));
    EXPECT_FALSE(read_journal(other.fd()));
    EXPECT_EQ(read_text(folder), head);
}

TEST(Journal, MissingIsEnoentAndAPipeIsRefused) {
    const TemporaryFolder folder;
    const auto missing = read_journal(folder.fd());
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().number, ENOENT);
    EXPECT_EQ(Journal::open(folder.fd()).error().number, ENOENT);
    ASSERT_EQ(::mkfifo(folder.path("journal").c_str(), 0600), 0);
    const auto pipe = read_journal(folder.fd());
    ASSERT_FALSE(pipe);
    EXPECT_THAT(pipe.error().message, HasSubstr("not a regular file"));
    EXPECT_FALSE(Journal::open(folder.fd()));
}

TEST(Journal, CutAtEveryByteKeepsWhatIsBefore) {
    const TemporaryFolder folder;
    const std::string text = write_rich(folder);
    const auto whole = parse_journal(text).entries;
    for (std::size_t length = 0; length < text.size(); ++length) {
        const auto cut = parse_journal(std::string_view(text).substr(0, length));
        expect_prefix(cut.entries, whole);
        const bool at_line_end = length > 0 && text[length - 1] == '\n';
        EXPECT_EQ(cut.damage.empty(), at_line_end) << length << ": " << cut.damage;
    }
}

TEST(Journal, NoFlippedBitIsTakenForAnotherRecord) {
    const TemporaryFolder folder;
    const std::string text = write_rich(folder);
    const auto whole = parse_journal(text).entries;
    for (std::size_t at = 0; at < text.size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            std::string flipped = text;
            flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
            const auto contents = parse_journal(flipped);
            EXPECT_NE(contents.damage, "") << at;
            expect_prefix(contents.entries, whole);
            const auto lines_before = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
            EXPECT_THAT(contents.damage, HasSubstr(cat("line ", lines_before + 1, ":"))) << at;
        }
}

TEST(Journal, TakesGarbageOfAnyKindAndSize) {
    std::string binary;
    for (int i = 0; i < 100000; ++i) binary += static_cast<char>(i * 2654435761U >> 13);
    for (const std::string& garbage :
         {binary, std::string(8 << 20, 'a'), std::string(8 << 20, '\n'), std::string(1 << 20, '\0'), std::string("\n"), std::string(" "),
          std::string("12345678"), std::string("12345678 "), std::string("12345678 \n")}) {
        const auto contents = parse_journal(garbage);
        EXPECT_THAT(contents.entries, IsEmpty());
        EXPECT_THAT(contents.damage, HasSubstr("line 1:"));
        const auto behind = parse_journal(head + line("intend 1 a b") + garbage);
        EXPECT_THAT(behind.entries, SizeIs(1));
        EXPECT_THAT(behind.damage, HasSubstr("line 3:"));
    }
}

TEST(Journal, SaysWhatIsWrongAndWhere) {
    const std::string one = head + line("intend 1 a b");
    const struct {
        std::string text;
        std::string damage;
    } cases[] = {
        {"", "line 1: missing, as when the writer was killed before it"},
        {one + "0000", "line 3: cut short, as when the writer was killed in the middle"},
        {one + "0000\n", "line 3: no checksum where one is due"},
        {one + "00000000 undone 1\n", "line 3: the checksum does not match"},
        {line("sandbox-journal 2"), "line 1: a journal of an unknown kind, 'sandbox-journal 2'"},
        {"hello\n", "line 1: not the first line of a journal"},
        {head + head, "line 2: an unknown record 'sandbox-journal'"},
        {one + line("done 2"), "line 3: 'done' for step number 2, which was never begun"},
        {one + line("done 0"), "line 3: 'done' for step number 0, which was never begun"},
        {one + line("undone 4294967294"), "line 3: 'undone' for step number 4294967294, which was never begun"},
        {one + line("done 4294967297"), "line 3: a record 'done' without a step number"},
        {one + line("done"), "line 3: a record 'done' without a step number"},
        {one + line("done -1"), "line 3: a record 'done' without a step number"},
        {one + line("done 1") + line("done 1"), "line 4: 'done' for step number 1, which was over already"},
        {one + line("undone 1") + line("done 1"), "line 4: 'done' for step number 1, which was over already"},
        {one + line("undone 1 x=y"), "line 3: an 'undone' record with more words than it has"},
        {one + line("done 1 x"), "line 3: a word that is not escaped as words are"},
        {one + line("done 1 x=%4"), "line 3: a word that is not escaped as words are"},
        {one + line("done 1 x=%zz"), "line 3: a word that is not escaped as words are"},
        {one + line("done 1 "), "line 3: a word that is not escaped as words are"},
        {one + line("intend 3 a b"), "line 3: step number 3 where 2 was due"},
        {one + line("intend 1 a b"), "line 3: step number 1 where 2 was due"},
        {one + line("intend 2 a"), "line 3: an 'intend' record without a step or a kind of undo"},
        {one + line("\x1b[31mred"), "line 3: an unknown record '\\x1b[31mred'"},
        {one + line(""), "line 3: an unknown record ''"},
    };
    for (const auto& [text, damage] : cases) EXPECT_EQ(parse_journal(text).damage, damage);
    EXPECT_EQ(parse_journal(one + line("undone 1") + line("undone 1")).damage, "");
}

TEST(Journal, AKilledWriterLeavesAnEntryThatIsNotDone) {
    const TemporaryFolder folder;
    const pid_t child = testing::start([&] {
        auto journal = Journal::create(folder.fd());
        if (!journal || !journal->intend("first", {"a", {}}) || !journal->done(1, {{"inode", "1"}})) return 1;
        if (!journal->intend("second", {"b", {{"path", "/x"}}})) return 1;
        ::raise(SIGKILL);
        return 1;
    });
    ASSERT_EQ(testing::wait_for(child), -SIGKILL);
    const auto read = read_journal(folder.fd());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->damage, "");
    ASSERT_THAT(read->entries, SizeIs(2));
    EXPECT_TRUE(read->entries[0].done);
    EXPECT_FALSE(read->entries[1].done);
    EXPECT_EQ(field(read->entries[1].undo.fields, "path"), "/x");
}

TEST(Journal, AnotherProcessGoesOnWhereTheFirstWasKilledAtAnyByte) {
    const TemporaryFolder folder;
    const std::string text = write_rich(folder);
    for (std::size_t length = 0; length < text.size(); ++length) {
        testing::write_file(folder.path("journal"), text.substr(0, length));
        const auto before = read_journal(folder.fd());
        ASSERT_TRUE(before);
        auto journal = Journal::open(folder.fd());
        ASSERT_TRUE(journal) << length;
        for (const JournalEntry& entry : before->entries) ASSERT_TRUE(journal->undone(entry.number));
        ASSERT_EQ(*journal->intend("more", {}), before->entries.size() + 1);
        const auto after = read_journal(folder.fd());
        ASSERT_TRUE(after);
        EXPECT_EQ(after->damage, "") << length;
        ASSERT_THAT(after->entries, SizeIs(before->entries.size() + 1));
        for (std::size_t i = 0; i < before->entries.size(); ++i) EXPECT_TRUE(after->entries[i].undone);
    }
}

TEST(Journal, OpenLeavesDamageInTheMiddleAlone) {
    const TemporaryFolder folder;
    std::string text = write_rich(folder);
    text[text.find("4711")] = '5';
    testing::write_file(folder.path("journal"), text);
    ASSERT_TRUE(Journal::open(folder.fd()));
    EXPECT_EQ(read_text(folder), text);
}

// RLIMIT_FSIZE cuts a write short as a full file system does.
TEST(Journal, AWriteThatDoesNotFitLeavesNoTrace) {
    const TemporaryFolder folder;
    const pid_t child = testing::start([&] {
        ::signal(SIGXFSZ, SIG_IGN);
        auto journal = Journal::create(folder.fd());
        if (!journal || !journal->intend("first", {"a", {}})) return 1;
        const rlimit limit{200, 200};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
        const auto failed = journal->intend(std::string(500, 'x'), {"b", {}});
        if (failed || failed.error().number != ENOSPC) return 3;
        if (!journal->undone(1)) return 4;
        const auto next = journal->intend("small", {});
        return next && *next == 2 ? 0 : 5;
    });
    ASSERT_EQ(testing::wait_for(child), 0);
    EXPECT_EQ(read_text(folder), head + line("intend 1 first a") + line("undone 1") + line("intend 2 small "));
}

}  // namespace
}  // namespace sandbox
