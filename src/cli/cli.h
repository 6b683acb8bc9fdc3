// What the verbs share.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "exec/notify.h"
#include "exec/outcome.h"
#include "host/probe.h"
#include "plan/plan.h"
#include "profile/load.h"
#include "state/directory.h"

namespace sandbox {

class InstalledProfiles;

// Exit codes of the launcher itself (sandbox(1)).
constexpr int exit_launcher = 125, exit_not_executable = 126, exit_not_found = 127;

struct ProfileOptions {
    std::string profile;               // path, name on the search path, or "-"
    std::string name;                  // --name
    std::vector<std::string> set;      // --set
    std::vector<std::string> command;  // after "--"
    bool untrusted = false;            // --untrusted
};

struct LaunchFlags {
    bool terminal = false, no_terminal = false, quiet = false, verbose = false;
    bool detach = false, hold = false;  // up -d; create
    std::string result;                 // --result FILE
    NotifyAddress notify;               // of the service manager that has started us
};

struct ExecFlags {
    std::string user, working_dir;
    std::vector<std::string> environment, command;
    bool terminal = false, no_terminal = false;
};

struct LogFlags {
    bool follow = false, times = false, json = false;
    std::string since;
    std::int64_t tail = -1;  // lines; -1: all
};

struct AuditFlags {
    bool all = false, json = false;
    std::string threshold = "10";  // --threshold N
};

struct MatrixFlags {
    bool list = false, plan = false, fit = false, fail_fast = false, shuffle = false, resume = false, quiet = false;
    std::vector<std::string> only, skip;  // "axis=value"
    std::vector<std::string> cells;       // names
    std::vector<std::string> reports;     // "tap", "junit=FILE"
    std::vector<std::string> slurm;       // further words for sbatch
    std::string engine = "local", output, shard, seed;
    std::string jobs, retry, repeat;  // numbers; empty: not given
};

// A profile that was found and read; an error when it could not be (validate: exit 2).
[[nodiscard]] Result<Loaded> load(const ProfileOptions& options);

// The same in two steps, for who makes several profiles of one: what is asked for, which keeps a pointer to `library`; and --untrusted.
[[nodiscard]] Result<LoadRequest> request_for(const ProfileOptions& options, InstalledProfiles& library);
void distrust(Loaded& loaded, const LoadRequest& request);

// The built-in variables of a profile.
[[nodiscard]] std::map<std::string, std::string> profile_variables();

// The facts of the host that this profile needs.
[[nodiscard]] Result<HostFacts> probe_for(const Profile& profile);
[[nodiscard]] Result<HostFacts> probe_for(const FactNeeds& needs);
// The same, and adds to the diagnostics what is wrong with the profile on this host. It has to be decoded; that it has
// mistakes already does not matter, so that the user sees all of them at once.
[[nodiscard]] Result<HostFacts> examine(Loaded& loaded);
// With facts that are known, of at least what it needs (fact_needs).
void examine_with(Loaded& loaded, const HostFacts& facts);
// Only what is the same on every host: for where a profile is built into a package, and not run.
void examine_without_host(Loaded& loaded);
[[nodiscard]] CallerContext caller_context();
[[nodiscard]] Result<StateRoot> open_state(bool create);

// Diagnostics and errors as one text on standard error.
void print(const Diagnostics& diagnostics, const Sources& sources);
void print(const Error& error, const Sources& sources);
void print(const Error& error);
// Whether that stream is a terminal that may be coloured (no-color.org).
[[nodiscard]] bool colour(int stream);
void write_out(std::string_view text);
void write_err(std::string_view text);

// The verbs. Each returns the exit code.
int verb_up(const ProfileOptions& options, const LaunchFlags& flags);
int verb_validate(const std::vector<std::string>& profiles, const ProfileOptions& options, bool host, bool json);
int verb_plan(const ProfileOptions& options, bool json);
int verb_config(const ProfileOptions& options, bool origin, bool json);
int verb_profiles(bool json, bool quiet);
int verb_new(const std::string& name, const std::vector<std::string>& parents, const std::vector<std::string>& command);
int verb_diff_profiles(const std::string& a, const std::string& b, const std::vector<std::string>& set);
int verb_schema(bool manual);
int verb_doctor(const std::string& profile, bool json);
int verb_gc(bool quiet, bool json);
int verb_start(const std::vector<std::string>& names);
int verb_stop(const std::vector<std::string>& names);
int verb_restart(const std::vector<std::string>& names);
int verb_kill(const std::vector<std::string>& names, const std::string& signal, bool all);
int verb_pause(const std::vector<std::string>& names);
int verb_resume(const std::vector<std::string>& names);
int verb_wait(const std::vector<std::string>& names, bool json);
int verb_down(const std::vector<std::string>& names, bool all);
int verb_ps(bool json, bool quiet);
int verb_inspect(const std::string& name);
int verb_stats(const std::vector<std::string>& names, bool stream, bool json);
int verb_top(const std::string& name, bool json);
int verb_update(const std::string& name, const std::vector<std::string>& set);
int verb_logs(const std::string& name, const LogFlags& flags);
int verb_exec(const std::string& name, const ExecFlags& flags);
int verb_cp(const std::string& from, const std::string& to);
int verb_diff(const std::string& name, bool json);
int verb_audit(const ProfileOptions& options, const AuditFlags& flags);
int verb_events(const std::vector<std::string>& names, bool json);

int verb_matrix(const ProfileOptions& options, const MatrixFlags& flags);

// up.cpp: a profile that was loaded and has no errors, examined and run to its end in the foreground; what there is to say has been
// said. The caller has one thread.
[[nodiscard]] Outcome run_loaded(Loaded loaded, const std::string& profile, const LaunchFlags& flags);
// up.cpp: 126 and 127 when it was the command that could not be run.
[[nodiscard]] int exit_code_of(const Error& error);
// up.cpp: a stopped sandbox once more, from the profile that its folder keeps.
int start_again(const std::string& name);
// What killed launchers left, said on standard error.
void clean_leftovers(bool quiet);

}  // namespace sandbox
