// A plan carried out: the host's steps one by one, the child let go, looked after, and everything taken back.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "exec/effects.h"
#include "exec/notify.h"
#include "exec/outcome.h"
#include "host/facts.h"
#include "plan/plan.h"
#include "state/directory.h"

namespace sandbox {

struct LaunchOptions {
    const Watch* watch = nullptr;                  // tests
    std::size_t sync_at = ~std::size_t(0);         // tests: the child stops before this sandbox-side step and asks
    bool verbose = false;                          // each step on standard error as it happens
    std::string profile;                           // what it is started from, for the status
    std::function<std::string()> effective;        // the effective profile, from which `start` starts it again and `exec` joins it
    std::optional<SandboxState>* state = nullptr;  // start: the folder of a stopped sandbox, taken over
    Notify* notify = nullptr;                      // the service manager, if it listens
    int announce = -1;                             // detached: told "running" or "created"; then the standard streams are let go
};

// Starts the sandbox, waits for its end (and restarts it, if its profile says so) and leaves the host as it was; of a detached one the
// folder stays, with how it ended, until it is removed. An error is a launch that did not come about (exit
// code 125, or 126 and 127 when it was the command); the host is as before then too, or `also` says what is not.
// The caller has one thread. Signals are blocked on return.
[[nodiscard]] Result<Outcome> run_sandbox(const Plan& plan, const HostFacts& facts, StateRoot& root, const LaunchOptions& options);

// Carries out what make_exec_plan gives and waits for the command's end. Nothing of it outlives processes and descriptors, so there
// is no journal; the caller's terminal has its settings back. The same is true of the caller as above.
[[nodiscard]] Result<Outcome> run_in_sandbox(const Plan& plan, const HostFacts& facts, StateRoot& root);

}  // namespace sandbox
