#include "state/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <tuple>

#include "base/text.h"
#include "state/crc32.h"
#include "state/words.h"

namespace sandbox {

namespace {

constexpr const char* file_name = "journal";
constexpr std::string_view first_line = "sandbox-journal 1";
// Far above what 500 layers with the longest paths need; a file beyond it was not written by us.
constexpr std::size_t longest_journal = std::size_t{64} << 20;

std::string format_fields(const Fields& fields) {
    std::string out;
    for (const auto& [key, value] : fields) out += cat(' ', escape_word(key), '=', escape_word(value));
    return out;
}

std::optional<Fields> parse_fields(std::optional<std::string_view> rest) {
    Fields fields;
    while (const auto word = next_word(rest)) {
        const std::size_t equals = word->find('=');
        if (equals == std::string_view::npos) return {};
        auto key = unescape_word(word->substr(0, equals));
        auto value = unescape_word(word->substr(equals + 1));
        if (!key || !value) return {};
        fields.emplace_back(std::move(*key), std::move(*value));
    }
    return fields;
}

// The readers of one kind of record return what is wrong with it, or an empty string when it was taken.

std::string read_intend(std::uint32_t number, std::optional<std::string_view> rest, std::vector<JournalEntry>& entries) {
    if (number != entries.size() + 1) return cat("step number ", number, " where ", entries.size() + 1, " was due");
    const auto step_word = next_word(rest);
    const auto kind_word = next_word(rest);
    if (!step_word || !kind_word) return "an 'intend' record without a step or a kind of undo";
    auto step = unescape_word(*step_word);
    auto kind = unescape_word(*kind_word);
    auto fields = parse_fields(rest);
    if (!step || !kind || !fields) return "a word that is not escaped as words are";
    entries.push_back({number, std::move(*step), {std::move(*kind), std::move(*fields)}, false, false, {}});
    return {};
}

std::string read_done(std::uint32_t number, std::optional<std::string_view> rest, std::vector<JournalEntry>& entries) {
    if (number == 0 || number > entries.size()) return cat("'done' for step number ", number, ", which was never begun");
    JournalEntry& entry = entries[number - 1];
    if (entry.done || entry.undone) return cat("'done' for step number ", number, ", which was over already");
    auto fields = parse_fields(rest);
    if (!fields) return "a word that is not escaped as words are";
    entry.done = true;
    entry.identity = std::move(*fields);
    return {};
}

// A second "undone" is no damage: a replay may have been killed between its undo and its record, or run twice.
std::string read_undone(std::uint32_t number, std::optional<std::string_view> rest, std::vector<JournalEntry>& entries) {
    if (number == 0 || number > entries.size()) return cat("'undone' for step number ", number, ", which was never begun");
    if (rest) return "an 'undone' record with more words than it has";
    entries[number - 1].undone = true;
    return {};
}

std::string read_record(std::string_view record, std::vector<JournalEntry>& entries) {
    std::optional<std::string_view> rest = record;
    const std::string_view kind = *next_word(rest);
    if (kind != "intend" && kind != "done" && kind != "undone") return cat("an unknown record ", quote(kind.substr(0, 40)));
    const auto word = next_word(rest);
    const auto number = word ? parse_id(*word) : std::nullopt;
    if (!number) return cat("a record ", quote(kind), " without a step number");
    if (kind == "intend") return read_intend(*number, rest, entries);
    if (kind == "done") return read_done(*number, rest, entries);
    return read_undone(*number, rest, entries);
}

std::string read_line(std::string_view line, bool first, std::vector<JournalEntry>& entries) {
    if (line.size() < 9 || line[8] != ' ') return first ? "not the first line of a journal" : "no checksum where one is due";
    const std::string_view record = line.substr(9);
    const auto digits = crc32_digits(record);
    if (line.substr(0, 8) != std::string_view(digits.data(), digits.size())) return "the checksum does not match";
    if (!first) return read_record(record, entries);
    return record == first_line ? std::string() : cat("a journal of an unknown kind, ", quote(record.substr(0, 40)));
}

// What the file holds, up to one byte more than the longest journal.
Result<std::string> read_file(int file) {
    std::string text;
    char buffer[16384];
    while (text.size() <= longest_journal) {
        const ssize_t got = ::pread(file, buffer, sizeof buffer, static_cast<off_t>(text.size()));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("read the journal", errno);
        if (got == 0) break;
        text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
}

// O_NONBLOCK so that a pipe in the journal's place cannot hold us up.
Result<Fd> open_file(int state_directory, int flags) {
    Fd file(::openat(state_directory, file_name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return fail_errno("open the journal", errno);
    struct stat facts {};
    if (::fstat(file.get(), &facts) != 0) return fail_errno("look at the journal", errno);
    if (!S_ISREG(facts.st_mode)) return fail("the journal is not a regular file", "something else wrote into the state directory");
    return file;
}

// A full file system may take a part of the line. The part goes again, or it would spoil the next record.
void cut_back(int file, off_t written) {
    struct stat facts {};
    if (::fstat(file, &facts) == 0 && facts.st_size >= written) std::ignore = ::ftruncate(file, facts.st_size - written);
}

}  // namespace

std::string_view field(const Fields& fields, std::string_view key) {
    for (const auto& [name, value] : fields)
        if (name == key) return value;
    return {};
}

JournalContents parse_journal(std::string_view text) {
    JournalContents contents;
    std::size_t line = 1;
    if (text.empty()) contents.damage = "line 1: missing, as when the writer was killed before it";
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string wrong = end == std::string_view::npos ? "cut short, as when the writer was killed in the middle"
                                                                : read_line(text.substr(0, end), line == 1, contents.entries);
        if (!wrong.empty()) {
            contents.damage = cat("line ", line, ": ", wrong);
            break;
        }
        text.remove_prefix(end + 1);
        ++line;
    }
    return contents;
}

Result<JournalContents> read_journal(int state_directory) {
    auto file = open_file(state_directory, O_RDONLY);
    if (!file) return pass(file);
    auto text = read_file(file->get());
    if (!text) return pass(text);
    return parse_journal(*text);
}

Result<Journal> Journal::create(int state_directory) {
    Fd file(::openat(state_directory, file_name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail_errno("make the journal", errno);
    Journal journal(std::move(file), 1);
    if (auto written = journal.append(first_line); !written) return pass(written);
    return journal;
}

Result<Journal> Journal::open(int state_directory) {
    auto file = open_file(state_directory, O_RDWR | O_APPEND);
    if (!file) return pass(file);
    auto text = read_file(file->get());
    if (!text) return pass(text);
    // What a killed writer left of its last line would swallow the next record.
    const std::size_t whole = text->find_last_of('\n') + 1;
    if (whole != text->size() && ::ftruncate(file->get(), static_cast<off_t>(whole)) != 0)
        return fail_errno("cut the broken last line off the journal", errno);
    const std::size_t entries = parse_journal(std::string_view(*text).substr(0, whole)).entries.size();
    Journal journal(std::move(*file), static_cast<std::uint32_t>(entries + 1));
    if (whole == 0)
        if (auto written = journal.append(first_line); !written) return pass(written);
    return journal;
}

Result<Journal> Journal::begin_again(int state_directory) {
    constexpr const char* beside = "journal.new";
    auto contents = read_journal(state_directory);
    if (!contents) return pass(contents);
    ::unlinkat(state_directory, beside, 0);
    Fd file(::openat(state_directory, beside, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail_errno("make the journal", errno);
    Journal journal(std::move(file), 1);
    if (auto written = journal.append(first_line); !written) return pass(written);
    for (const JournalEntry& entry : contents->entries) {
        if (entry.undone || !is_kept(entry)) continue;
        auto number = journal.intend(entry.step, entry.undo);
        if (!number) return pass(number);
        if (entry.done)
            if (auto done = journal.done(*number, entry.identity); !done) return pass(done);
    }
    // Killed before or after this, a reader finds a whole journal.
    if (::renameat(state_directory, beside, state_directory, file_name) != 0) return fail_errno("exchange the journal", errno);
    return journal;
}

bool is_kept(const JournalEntry& entry) { return field(entry.undo.fields, "keep") == "yes"; }

Status Journal::append(std::string_view rest) {
    const std::string line = checked_line(rest);
    ssize_t written = 0;
    do written = ::write(file_.get(), line.data(), line.size());
    while (written < 0 && errno == EINTR);
    if (written == static_cast<ssize_t>(line.size())) return {};
    const int number = written < 0 ? errno : ENOSPC;
    if (written > 0) cut_back(file_.get(), written);
    return fail_errno("write to the journal", number, number == ENOSPC ? "make room on the file system of the state directory" : "");
}

Result<std::uint32_t> Journal::intend(std::string_view step, const Undo& undo) {
    const std::uint32_t number = next_;
    if (auto written = append(cat("intend ", number, ' ', escape_word(step), ' ', escape_word(undo.kind), format_fields(undo.fields)));
        !written)
        return pass(written);
    ++next_;
    entries_.push_back({number, std::string(step), undo, false, false, {}});
    return number;
}

JournalEntry* Journal::find(std::uint32_t number) {
    const auto found = std::ranges::find(entries_, number, &JournalEntry::number);
    return found == entries_.end() ? nullptr : &*found;
}

Status Journal::done(std::uint32_t number, const Fields& identity) {
    if (JournalEntry* entry = find(number)) {
        entry->done = true;
        entry->identity = identity;
    }
    return append(cat("done ", number, format_fields(identity)));
}

Status Journal::undone(std::uint32_t number) {
    if (JournalEntry* entry = find(number)) entry->undone = true;
    return append(cat("undone ", number));
}

}  // namespace sandbox
