// What a launch does to the host that outlives its processes and descriptors, each effect beside its undo. Undo records
// are data: another process may have to run them (state/journal.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"
#include "kernel/idmap.h"
#include "plan/step.h"
#include "state/journal.h"

namespace sandbox {

// Where a launch stands, for tests that let it fail or die there.
enum class Moment { before, intended, effected, done };
using Watch = std::function<Status(std::size_t step, Moment moment)>;

// Writes one step's records: intend before the effect, done with its identity after it.
struct Recorder {
    Journal& journal;
    const Step& step;
    std::size_t index = 0;
    const Watch* watch = nullptr;

    // Journals the undo, makes the effect (which returns its identity), journals that it is done.
    Status carry_out(const Undo& undo, const std::function<Result<Fields>()>& effect);
};

Status make_host_directory(Recorder& recorder, const step::MakeHostDirectory& what);
// `tree` is the detached clone of what.host.
Status make_target(Recorder& recorder, const step::MakeTarget& what, int tree);
// Inside ids on disk become outside ids.
Status shift_owner(Recorder& recorder, const std::string& path, const std::vector<IdMapLine>& uid, const std::vector<IdMapLine>& gid);
// An empty folder for log files, kept until the sandbox is removed. `path` is the launcher's own place by its name: what is there
// already was left by a run that a reboot ended.
Status make_log_folder(Recorder& recorder, const std::string& path);
// Notes a program to be run by whoever takes the sandbox back.
Status arm_hook(Recorder& recorder, const std::vector<std::string>& command,
                const std::vector<std::pair<std::string, std::string>>& variables, std::int64_t timeout);
// Sets the terminal on descriptor 0 to raw input.
Status make_terminal_raw(Recorder& recorder);

// The fields that identify a process.
[[nodiscard]] Fields identify_process(pid_t pid);

// Runs an undo record: what is gone already is success, what is not ours any more is left alone and is success too.
[[nodiscard]] Status run_undo(const JournalEntry& entry);

// Replays a sandbox's journal in reverse, going on after failures. Returns what was undone, a line each; `problems`
// gets what could not be.
// Entries that are kept until the sandbox is removed only when `everything` is asked for.
std::vector<std::string> replay(int state_directory, std::vector<std::string>& problems, bool everything);
// The same from what the writer of the journal remembers: its file may be damaged or gone.
std::vector<std::string> replay(Journal& journal, std::vector<std::string>& problems, bool everything);

}  // namespace sandbox
