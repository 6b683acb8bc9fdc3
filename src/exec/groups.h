// What a launch does to the tree of control groups, each effect beside its undo.
#pragma once

#include <string>

#include "exec/effects.h"
#include "kernel/cgroup.h"

namespace sandbox {

// The group is there and set up when it returns, and stays as long as the descriptor lives (a shared lock; whoever leaves last
// removes it, unless somebody is just coming).
[[nodiscard]] Result<Fd> share_group(Recorder& recorder, const step::ShareGroup& what);
[[nodiscard]] Status enable_controllers(Recorder& recorder, const step::EnableControllers& what);
// For the groups below it; what is handed out already stays so.
[[nodiscard]] Status hand_down(const step::HandDown& what);
// A new group at the path: exclusively made, never adopted (a frozen one hangs whoever enters it).
// `freezes`: its controllers can freeze, so the one above may have.
[[nodiscard]] Result<Fd> make_group(Recorder& recorder, const std::string& path, bool cpuset, bool freezes);
// The caller goes into "supervisor" below the group, and all that is in the group with it.
[[nodiscard]] Status make_leaf(Recorder& recorder, const step::MakeLeaf& what);
// To the host's ids of the sandbox's root.
[[nodiscard]] Status delegate_group(int group, bool v2, std::uint32_t uid, std::uint32_t gid);

// The undo kinds, for run_undo.
Status undo_make_group(const JournalEntry& entry);
Status undo_make_leaf(const JournalEntry& entry);
Status undo_share_group(const JournalEntry& entry);
Status undo_enable_controllers(const JournalEntry& entry);

}  // namespace sandbox
