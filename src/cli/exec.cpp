// sandbox exec

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/sandboxes.h"
#include "exec/launch.h"
#include "host/root.h"
#include "kernel/cgroup.h"

namespace sandbox {
namespace {

constexpr std::size_t passwd_limit = 1U << 20;

// A frozen group would hang whoever enters it, also when somebody else than its supervisor has frozen it.
bool is_frozen(const SandboxStatus& status) {
    GroupSet groups;
    for (const GroupRecord& group : status.groups)
        groups.add({group.v2, group.controllers, group.path, Fd(open(group.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))});
    return groups.can_freeze() && groups.frozen();
}

Status check_running(const SandboxStatus& status) {
    const auto refuse = [&status](std::string_view how, std::string hint) {
        return fail(cat("sandbox ", quote(status.name), " is ", how, ", so nothing can be run in it"), std::move(hint));
    };
    switch (status.phase) {
        case SandboxPhase::running: break;
        case SandboxPhase::paused: return refuse("paused", cat("sandbox resume ", status.name, " lets it go on"));
        case SandboxPhase::created: return refuse("created and not started", cat("sandbox start ", status.name, " starts its command"));
        case SandboxPhase::creating: return refuse("just starting", "ask again in a moment");
        default: return refuse(phase_name(status.phase), "ask again in a moment");
    }
    if (is_frozen(status)) return refuse("frozen", "its control group was frozen from outside: thaw it");
    return {};
}

// Limits of the sandbox's first process that are not the caller's own.
std::vector<ExecLimit> read_limits(pid_t init) {
    std::vector<ExecLimit> out;
    for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
        rlimit64 own{};
        rlimit64 theirs{};
        const auto which = static_cast<__rlimit_resource>(resource);
        if (prlimit64(0, which, nullptr, &own) != 0 || prlimit64(init, which, nullptr, &theirs) != 0) continue;
        if (own.rlim_cur != theirs.rlim_cur || own.rlim_max != theirs.rlim_max)
            out.push_back({resource, theirs.rlim_cur, theirs.rlim_max, own.rlim_max});
    }
    return out;
}

ExecRequest request_for(const SandboxStatus& status, const ExecFlags& flags) {
    ExecRequest request;
    request.command = flags.command;
    request.user = flags.user;
    request.environment = flags.environment;
    request.working_dir = flags.working_dir;
    request.tty = flags.terminal ? Switch::on : flags.no_terminal ? Switch::off : Switch::automatic;
    request.init = status.init;
    request.init_start = status.init_start;
    for (const GroupRecord& group : status.groups) request.groups.push_back({group.path, group.controllers, group.v2});
    request.limits = read_limits(status.init);
    return request;
}

// Users are looked up as the sandbox sees them now: beneath its root, as text (CVE-2019-14271).
Status read_users(const SandboxStatus& status, HostFacts& facts) {
    auto inside = open_inside(status);
    if (!inside) return pass(inside);
    auto root = Root::open({cat("/proc/self/fd/", inside->root.get())}, false);
    if (!root) return pass(root);
    facts.passwd = root->read("/etc/passwd", passwd_limit);
    facts.group = root->read("/etc/group", passwd_limit);
    return {};
}

// What the caller's environment would decide was decided when the sandbox was started.
struct Prepared {
    Loaded loaded;
    HostFacts facts;
    Plan plan;
};

Result<Prepared> prepare(const std::string& name, const ExecFlags& flags) {
    if (flags.command.empty()) return fail("exec needs a command", cat("its words come after --: sandbox exec ", name, " -- ls /"));
    auto found = find_living(name);
    if (!found) return pass(found);
    if (auto running = check_running(found->status); !running) return pass(running);
    if (auto kept = keep_profile(*found); !kept) return pass(kept);
    ProfileOptions options;
    auto root = open_state(false);
    if (!root) return pass(root);
    options.profile = cat(root->path(), "/", name, "/profile.yaml");
    options.name = name;
    auto loaded = load(options);
    if (!loaded) return pass(loaded);
    if (!loaded->decoded || has_errors(loaded->diagnostics))
        return fail(cat("the effective profile of sandbox ", quote(name), " cannot be read any more"),
                    cat("sandbox validate ", options.profile));
    auto facts = probe_for(loaded->profile);
    if (!facts) return pass(facts);
    if (auto read = read_users(found->status, *facts); !read) return pass(read);
    auto plan = make_exec_plan(loaded->profile, *facts, caller_context(), request_for(found->status, flags));
    if (!plan) return pass(plan);
    return Prepared{std::move(*loaded), std::move(*facts), std::move(*plan)};
}

// The words of the command line are no key of a profile.
Error as_command(Error error) {
    constexpr std::string_view key = "process.command: ";
    if (error.message.starts_with(key)) error.message.erase(0, key.size());
    error.at = {};
    return error;
}

}  // namespace

int verb_exec(const std::string& name, const ExecFlags& flags) {
    auto prepared = prepare(name, flags);
    if (!prepared) return print(prepared.error()), exit_launcher;
    auto root = open_state(false);
    if (!root) return print(root.error()), exit_launcher;
    const auto outcome = run_in_sandbox(prepared->plan, prepared->facts, *root);
    if (!outcome) {
        print(as_command(outcome.error()));
        return exit_code_of(outcome.error());
    }
    for (const std::string& line : outcome->skipped) write_err(cat("sandbox: left out: ", printable(line), "\n"));
    for (const std::string& line : outcome->problems) write_err(cat("sandbox: while cleaning up: ", printable(line), "\n"));
    return outcome->exit_code;
}

}  // namespace sandbox
