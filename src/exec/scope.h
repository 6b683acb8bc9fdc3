// A transient scope of systemd around a launch (org.freedesktop.systemd1(5), systemd.scope(5)).
#pragma once

#include <string>

#include "exec/effects.h"

namespace sandbox {

// Has systemd (the system's, or the caller's own) move the process into a new scope, and waits until it has. Returns the folder of
// the scope's control group. It goes by itself when its last process has.
[[nodiscard]] Result<std::string> make_scope(Recorder& recorder, const step::MakeScope& what, pid_t pid);

// The undo kind, for run_undo.
Status undo_make_scope(const JournalEntry& entry);

}  // namespace sandbox
