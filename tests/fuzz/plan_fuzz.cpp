// From text to plan: any bytes, on every host of tests/planning/hosts, end in diagnostics, or in a plan that lints clean
// and becomes a program that does.
#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "exec/lower.h"
#include "plan/plan.h"
#include "planning/hosts.h"
#include "planning/lint.h"
#include "profile_input.h"

namespace sandbox {
namespace {

// One input on one host, for the message of a finding.
struct Trial {
    const LoadRequest& request;
    const Loaded& loaded;
    const std::string& host;

    void expect_none(const std::string& what, const std::vector<std::string>& problems) const {
        if (!problems.empty()) found(cat(what, ":\n", join(problems, "\n")));
    }
    [[noreturn]] void found(const std::string& why) const {
        const std::string set = request.set.empty() ? "" : cat("=", request.set.front(), "\n");
        stop(cat("on ", host, ", ", why), cat(set, request.profile.file.text), loaded.diagnostics, loaded.sources);
    }
};

void check_plan(const Trial& trial, const Plan& plan, const HostFacts& facts) {
    const Sources& sources = trial.loaded.sources;
    trial.expect_none("the plan is not well-formed", lint(plan, sources));  // which reads the plan as JSON too
    const std::string text = plan_to_text(plan, sources);
    for (const Step& step : plan.steps)
        if (text.find(printable(step.id)) == std::string::npos) trial.found(cat("the plan as text lacks ", printable(step.id)));
    // A head, a line for each step and each note: nothing in a name makes lines of its own or speaks to the terminal.
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n'));
    if (lines != 1 + plan.steps.size() + plan.notes.size() || speaks_to_terminal(text))
        trial.found(cat("the plan as text has stray characters:\n", text));
    // Files that are not there and tables that are too small are told here, still before the first effect.
    const auto program = lower_plan(plan, facts);
    if (program)
        trial.expect_none("the program is not well-formed", lint_program(*program));
    else if (program.error().message.empty())
        trial.found("the plan cannot be lowered, without a reason");
}

void fuzz(LoadRequest request) {
    // Few texts have a command by chance.
    if (request.profile.file.text.find("command") == std::string::npos) request.command = {"/bin/true", "argument"};
    const Loaded loaded = load_profile(request);
    check_diagnostics(loaded.diagnostics, request.profile.file.text, loaded.sources);
    if (has_errors(loaded.diagnostics)) return;
    const FactNeeds needs = fact_needs(loaded.profile);
    // Every way in which streams are terminals comes up, and the same one for the same text.
    const std::size_t terminals = request.profile.file.text.size();
    CallerContext caller{{"TERM=xterm-256color", "LANG=C.UTF-8", "SECRET=1"},
                         {(terminals & 1) != 0, (terminals & 2) != 0, (terminals & 4) != 0}};
    caller.state_folder = "/run/sandbox";
    static const std::vector<std::string> hosts = host_names();
    for (const std::string& host : hosts) {
        HostFacts facts = host_facts(SOURCE_DIR "/tests/planning/hosts", host, needs);
        // Now and then the last of the ports is somebody else's.
        if ((terminals & 8) != 0 && !needs.wanted_ports.empty()) {
            const WantedPort& port = needs.wanted_ports.back();
            facts.busy_ports.push_back({port.address, port.port, port.udp, EADDRINUSE, "other (process 7)"});
        }
        const Diagnostics mistakes = check_against_host(loaded.profile, facts);
        check_diagnostics(mistakes, request.profile.file.text, loaded.sources);
        if (!has_errors(mistakes)) check_plan({request, loaded, host}, make_plan(loaded.profile, facts, caller), facts);
    }
}

}  // namespace
}  // namespace sandbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sandbox::fuzz(sandbox::request_for(data, size));
    return 0;
}
