// The supervisor: from "go" to the end of the payload.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "exec/effects.h"
#include "exec/outcome.h"
#include "exec/presence.h"
#include "kernel/cgroup.h"
#include "kernel/process.h"
#include "plan/plan.h"

namespace sandbox {

// Bytes on their way from one descriptor to another.
struct Pump {
    Fd from, to;
    std::string waiting;          // read, not yet written
    bool terminal_input = false;  // an end of file becomes the terminal's end-of-file character
    Log* log = nullptr;           // in place of `to`
    LogStream stream = LogStream::out;
};
// A copy of one of the caller's own streams, to copy bytes from or to.
[[nodiscard]] Fd caller_stream(int number, bool input);

struct Supervised {
    const Plan& plan;
    ChildProcess& child;
    int socket;
    std::vector<Pump> pumps;
    const Watch* watch;
    std::vector<std::string> skipped;
    const GroupSet& groups;
    Presence& presence;
    Fd& announce;                                   // told once, whatever the number of runs
    const std::function<std::string()>& effective;  // the profile, kept when somebody asks for it; empty: it is already
    int sandbox = -1;                               // of a session: the first process of the sandbox, with which it ends
};

// Waits until everything of the sandbox has ended. An error is a launch that failed in the child: the step, its key and
// the kernel's reason.
[[nodiscard]] Result<Outcome> supervise(Supervised& what);

}  // namespace sandbox
