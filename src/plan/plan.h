// From a profile and the facts of a host to the ordered steps of a launch. Pure: no clock, no environment, no file
// system, no system call.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "base/error.h"
#include "host/facts.h"
#include "plan/step.h"
#include "profile/profile.h"

namespace sandbox {

// What of the caller goes into a plan beside the profile: its environment, which of its streams are terminals.
struct CallerContext {
    std::vector<std::string> environment;  // "K=V"
    bool terminal[3] = {false, false, false};
    TerminalSize size{};             // of the first of them
    bool detached = false;           // none of its streams is used: output is logged
    bool hold = false;               // everything is made, and the command waits for `sandbox start`
    std::string log_folder;          // where log files are kept: "/var/log/sandbox"
    std::string state_folder;        // where the folders of this caller's sandboxes are: "/run/sandbox"
    std::int64_t oom_score_adj = 0;  // which a child has as well
};

// How the supervisor looks after the payload.
struct Supervision {
    bool init = true;
    bool own_pid_namespace = true;
    bool joins = false;  // a session in a sandbox that is there already
    bool terminal = false;
    bool raw_terminal = false;    // standard input is a terminal
    bool reads_terminal = false;  // the caller's input goes to the new terminal
    int stop_signal = 15;
    std::int64_t grace = 0;  // nanoseconds
    bool stop_all = false;
    std::int64_t timeout = 0;   // nanoseconds, 0: none
    std::int64_t cpu_time = 0;  // nanoseconds, 0: no limit
    bool oom_group = false;     // out of memory: all of it is killed (cgroup v1; v2 does it itself)
    bool oom_pause = false;     // out of memory: it is paused, and said
    bool scope = false;         // systemd removes its group with its last process: what that has counted is read before
    bool detached = false;      // it lives on when the command has returned
    Restart restart{};
    std::optional<Healthcheck> health{};
    Hooks hooks{};
    Logging logging{};
    std::string network;             // mode, for the status
    std::string upper;               // directory that the root's overlay writes to
    std::vector<std::string> lower;  // its layers
};

// From so many slots on the launcher and the child may need more open files than the caller's limit lets them have.
constexpr std::uint32_t many_slots = 200;

struct Plan {
    std::string name;
    std::vector<Step> steps;
    Supervision supervision;
    std::uint32_t slots = 0;            // how many were given out
    std::vector<Slot> kept;             // locks that init holds as long as it lives
    std::vector<std::string> notes;     // what was decided for this host and is worth a line
    std::vector<std::string> left_out;  // of these, what is optional and cannot be had: the report at the end says it again
};

// What must be known of the host before planning: paths to look at and features to try (host/probe.h takes it).
struct FactNeeds {
    bool mounts = false, overlay = false, user_namespace = false, passwd = false;
    bool cgroups = false, cgroup_files = false, lxcfs = false;
    bool network = false, names = false, sandboxes = false;
    std::vector<WantedPort> wanted_ports;
    std::vector<std::string> link_kinds;
    std::vector<std::string> disk_paths;
    std::vector<std::string> paths, upper_paths, root_layers, root_paths;
    friend bool operator==(const FactNeeds&, const FactNeeds&) = default;
};
[[nodiscard]] FactNeeds fact_needs(const Profile& profile);

// The mistakes that can be seen only with the host at hand: missing sources, a lower inside an upper through a link, ids
// that are not mapped, a kernel that lacks a feature. All of them, before anything is done.
[[nodiscard]] Diagnostics check_against_host(const Profile& profile, const HostFacts& facts);
// Only what is wrong with the files and directories that the profile names: true also of a profile that has other mistakes.
[[nodiscard]] Diagnostics check_named_files(const Profile& profile, const HostFacts& facts);

// Only what the control groups of this host cannot honour: for limits that are changed while the sandbox runs.
[[nodiscard]] Diagnostics check_resources(const Profile& profile, const HostFacts& facts);

// A profile that passed both checks gives a plan that can be executed.
[[nodiscard]] Plan make_plan(const Profile& profile, const HostFacts& facts, const CallerContext& caller);

// A group of a living sandbox, a limit of its first process (getrlimit(2)) that is not the caller's own.
struct ExecGroup {
    std::string path;
    std::vector<std::string> controllers;
    bool v2 = false;
};
struct ExecLimit {
    int resource = 0;
    std::uint64_t soft = 0, hard = 0, own_hard = 0;
};

// A further command in a living sandbox: what is asked for, and the sandbox as it is.
struct ExecRequest {
    std::vector<std::string> command;
    std::string user;                      // empty: the payload's
    std::vector<std::string> environment;  // "K=V", or "K" for the caller's own value
    std::string working_dir;               // empty: the payload's
    Switch tty = Switch::automatic;
    std::int32_t init = 0;  // its first process on the host
    std::uint64_t init_start = 0;
    std::vector<ExecGroup> groups;
    std::vector<ExecLimit> limits;
};

// The effective profile of a living sandbox gives what the command gets: the steps of its own payload, after joining. `facts` has
// the sandbox's passwd and group as they are now. An error names what of the request cannot be.
[[nodiscard]] Result<Plan> make_exec_plan(const Profile& profile, const HostFacts& facts, const CallerContext& caller,
                                          const ExecRequest& request);

// The plan for a person (a line a step, with side, origin and undo) and as JSON.
[[nodiscard]] std::string plan_to_text(const Plan& plan, const Sources& sources);
[[nodiscard]] std::string plan_to_json(const Plan& plan, const Sources& sources);

}  // namespace sandbox
