#include "exec/garbage.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "exec/effects.h"
#include "exec/network.h"
#include "state/journal.h"
#include "state/status.h"

namespace sandbox {
namespace {

// A journal that somebody has cut short cannot be told from a whole one: what the status names is looked at too, and mostly gone.
void undo_by_status(int folder, std::vector<std::string>& problems) {
    const auto status = read_status(folder);
    if (!status) return;
    const auto undo = [&problems](const char* what, Undo record, Fields identity) {
        if (auto done = run_undo({0, what, std::move(record), true, false, std::move(identity)}); !done)
            problems.push_back(cat(what, ": ", done.error().message));
    };
    if (status->init > 0)
        undo("init", {"kill-process", {}}, {{"pid", std::to_string(status->init)}, {"start", std::to_string(status->init_start)}});
    for (const GroupRecord& group : status->groups)
        if (group.path.find(cat(status->name, ".", status->id)) != std::string::npos || group.path.ends_with("/payload"))
            undo("group", {"remove-group", {{"path", group.path}}}, {});
    if (!status->logs.empty()) undo("logs", {"remove-logs", {{"path", status->logs}}}, {});
}

}  // namespace

// Whether it runs, or has stopped in good order: its folder is then no leftover.
bool is_at_rest(StateRoot& root, const std::string& name) {
    auto seen = root.look(name);
    if (!seen || !seen->directory) return false;
    if (seen->alive) return true;
    const auto status = read_status(seen->directory.get());
    if (!status || status->phase != SandboxPhase::stopped) return false;
    const auto journal = read_journal(seen->directory.get());
    return journal && journal->damage.empty() &&
           std::ranges::all_of(journal->entries, [](const JournalEntry& e) { return e.undone || e.undo.kind.empty() || is_kept(e); });
}

// Whoever cleans up after a crashed sandbox may be killed too, between our own look and now.
Result<SandboxState> create_state(StateRoot& root, const std::string& name) {
    auto state = root.create(name);
    for (int attempt = 0; !state && state.error().number == EEXIST && attempt < 3; ++attempt) {
        if (is_at_rest(root, name)) return state;
        if (auto cleaned = collect_garbage(root); !cleaned || !cleaned->problems.empty()) return state;
        state = root.create(name);
    }
    return state;
}

Result<Cleaned> collect_garbage(StateRoot& root) {
    Cleaned cleaned;
    auto names = root.unsupervised();
    if (!names) return pass(names);
    for (const std::string& name : *names) {
        if (is_at_rest(root, name)) continue;
        auto state = root.take_crashed(name);
        if (!state) {
            cleaned.problems.push_back(cat(name, ": ", state.error().message));
            continue;
        }
        if (state->directory() < 0) continue;  // it runs
        std::vector<std::string> problems;
        const auto journal = read_journal(state->directory());
        if (!journal && journal.error().number != ENOENT)
            cleaned.removed.push_back(cat(name, ": what its status names, as its journal cannot be read (", journal.error().message, ")"));
        else
            for (const std::string& step : replay(state->directory(), problems, true)) cleaned.removed.push_back(cat(name, ": ", step));
        undo_by_status(state->directory(), problems);
        for (const std::string& problem : problems) cleaned.problems.push_back(cat(name, ": ", problem));
        if (!problems.empty()) continue;
        if (auto removed = root.remove(std::move(*state)); !removed)
            cleaned.problems.push_back(cat(name, ": ", removed.error().message));
        else
            cleaned.removed.push_back(cat(name, ": state folder"));
    }
    for (const std::string& thing : take_back_unused(root, cleaned.problems)) cleaned.removed.push_back(thing);
    if (auto removed = root.remove_if_unused(); !removed) cleaned.problems.push_back(removed.error().message);
    return cleaned;
}

}  // namespace sandbox
