// The journal of one sandbox: what was about to be done to the host, and what was done, in order, on tmpfs.
//
// Format: one line a record, "<crc32 of the rest, 8 hex> <rest>\n", where <rest> is
//   sandbox-journal 1                              first line
//   intend <n> <step> <undo kind> [key=value ...]  written before the effect
//   done <n> [key=value ...]                       written after it, with the identity of what was made
//   undone <n>                                     written after its undo
// Words are percent-escaped (space, '%', '=', control characters), so every file name fits. A line that is cut short or
// does not match its checksum ends the reading there: what follows it cannot be trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

using Fields = std::vector<std::pair<std::string, std::string>>;
// The value of a key, or an empty string.
[[nodiscard]] std::string_view field(const Fields& fields, std::string_view key);

// What takes an effect back: data, because another process may have to run it.
struct Undo {
    std::string kind;  // "remove-directory", "kill-process", ...; empty: nothing to undo
    Fields fields;
};

struct JournalEntry {
    std::uint32_t number = 0;
    std::string step;  // "work.create:/var/lib/web/upper.work"
    Undo undo;
    bool done = false;  // false: the effect may or may not have happened
    bool undone = false;
    Fields identity;  // inode, pid and start time, ...
};

struct JournalContents {
    std::vector<JournalEntry> entries;
    std::string damage;  // empty, or what is wrong with the file and from which line on
};

// Appends to "journal" in a sandbox's state directory. Each record is one write(2): a killed writer leaves at most one
// short line. No fsync: the file is on tmpfs and a reboot removes it together with what it describes.
class Journal {
   public:
    // Makes the file (exclusively, 0600) and writes the first line.
    static Result<Journal> create(int state_directory);
    // Opens an existing file to append "undone" records.
    static Result<Journal> open(int state_directory);

    // For the next run of a sandbox that stays: only entries that are to be kept until it is removed (Undo fields "keep") go on.
    static Result<Journal> begin_again(int state_directory);

    // Returns the number for done().
    Result<std::uint32_t> intend(std::string_view step, const Undo& undo);
    Status done(std::uint32_t number, const Fields& identity);
    Status undone(std::uint32_t number);
    // What this writer has written, whatever has become of the file since: who lives needs no file to undo what it did.
    [[nodiscard]] const std::vector<JournalEntry>& entries() const { return entries_; }

   private:
    explicit Journal(Fd file, std::uint32_t next) : file_(std::move(file)), next_(next) {}
    JournalEntry* find(std::uint32_t number);
    std::vector<JournalEntry> entries_;
    Status append(std::string_view rest);
    Fd file_;
    std::uint32_t next_ = 1;
};

// Reads a journal; a missing file is an error with number ENOENT, a damaged one is not an error.
// Whether the entry waits for the sandbox's removal, not for the end of its run.
[[nodiscard]] bool is_kept(const JournalEntry& entry);

[[nodiscard]] Result<JournalContents> read_journal(int state_directory);
// The same from text (tests, fuzzing).
[[nodiscard]] JournalContents parse_journal(std::string_view text);

}  // namespace sandbox
