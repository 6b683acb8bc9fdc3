// sandbox-sweep PROFILE REPORT plan              the plan's steps
//               PROFILE REPORT trace             launches, and notes each event at which a launch can be made to end
// With SANDBOX_SWEEP_LOGS=FOLDER in the environment the launches are detached ones that wait to be started (create), which they are,
// and log there; they are removed in the end.
//
//               PROFILE REPORT by-name           the same, as on a kernel that takes the layers of an overlay by name alone
//               PROFILE REPORT fail|kill N       launches; at the Nth event the launch fails, or the launcher is killed
//               PROFILE REPORT fail|kill step K  the same before sandbox-side step K
//
// REPORT is the number of a descriptor for one line of JSON. Exit codes as of `sandbox up`.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/text.h"
#include "cli/cli.h"
#include "exec/control.h"
#include "exec/effects.h"
#include "exec/launch.h"

namespace sandbox {
namespace {

using Json = nlohmann::json;

constexpr int exit_usage = 2;

int refuse(const std::string& why) {
    const std::string line = cat("sandbox-sweep: ", why, "\n");
    return write(2, line.data(), line.size()) < 0 ? 1 : exit_usage;
}

class Report {
   public:
    explicit Report(int descriptor) : descriptor_(descriptor) { fcntl(descriptor_, F_SETFD, FD_CLOEXEC); }
    [[nodiscard]] bool write_line(const Json& json) const {
        const std::string line = json.dump() + "\n";
        return write(descriptor_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    }

   private:
    int descriptor_;
};

const char* name_of(Moment moment) {
    switch (moment) {
        case Moment::before: return "before";
        case Moment::intended: return "intended";
        case Moment::effected: return "effected";
        case Moment::done: return "done";
    }
    return "?";
}

struct Request {
    enum class Action { trace, fail, kill } action = Action::trace;
    std::size_t event = ~std::size_t(0);  // in order of occurrence
    std::size_t step = ~std::size_t(0);   // or before this one
    bool layers_by_name = false;
};

Json describe(const Plan& plan) {
    Json steps = Json::array();
    for (const Step& step : plan.steps)
        steps.push_back({{"id", step.id}, {"kind", step.action.index()}, {"sandbox", step.side == Side::sandbox}});
    return {{"kinds", std::variant_size_v<AnyStep>}, {"steps", steps}};
}

// A process of its own that starts the sandbox when it hears that everything is made. Returns where to announce that.
int start_when_held(const StateRoot& root, const std::string& name) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || fork() != 0) return close(ends[0]), ends[1];
    close(ends[1]);
    char word[16];
    if (read(ends[0], word, sizeof word) > 0) {
        const Fd folder(open(cat(root.path(), "/", name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        static_cast<void>(ask_supervisor(folder.get(), "start").has_value());
    }
    _exit(0);
}

void remove_stopped(StateRoot& root, const std::string& name) {
    auto state = root.take_crashed(name);
    if (!state || state->directory() < 0) return;
    std::vector<std::string> problems;
    replay(state->directory(), problems, true);
    if (problems.empty()) static_cast<void>(root.remove(std::move(*state)).has_value());
}

int launch(const Plan& plan, const HostFacts& facts, StateRoot& root, const Request& request, const Report& report) {
    Json events = Json::array();
    const bool by_step = request.step != ~std::size_t(0);
    const Watch watch = [&](std::size_t step, Moment moment) -> Status {
        const std::size_t number = events.size();
        events.push_back({{"step", plan.steps[step].id}, {"moment", name_of(moment)}});
        if (request.action == Request::Action::trace || (by_step ? step != request.step : number != request.event)) return {};
        if (request.action == Request::Action::kill) kill(getpid(), SIGKILL);
        return fail(cat("the sweep says so at ", plan.steps[step].id, " ", name_of(moment)));
    };
    LaunchOptions options;
    options.watch = &watch;
    options.sync_at = request.step;
    const bool held = plan.supervision.detached;
    if (held) options.announce = start_when_held(root, plan.name);
    auto outcome = run_sandbox(plan, facts, root, options);
    if (held && outcome) remove_stopped(root, plan.name);
    Json line{{"events", events}};
    if (outcome) {
        line["exit_code"] = outcome->exit_code;
        line["problems"] = outcome->problems;
        line["skipped"] = outcome->skipped;
    } else {
        static_cast<void>(root.remove_if_unused());  // as `up` does
        line["error"] = outcome.error().message;
        line["problems"] = outcome.error().also;
    }
    if (!report.write_line(line)) return 1;
    return outcome ? outcome->exit_code : exit_launcher;
}

int sweep(const std::string& profile, const Report& report, bool only_plan, const Request& request) {
    auto loaded = load({profile, {}, {}, {}});
    if (!loaded) return print(loaded.error()), exit_usage;
    if (has_errors(loaded->diagnostics)) return print(loaded->diagnostics, loaded->sources), exit_usage;
    auto facts = probe_for(loaded->profile);
    if (!facts) return print(facts.error()), exit_usage;
    if (request.layers_by_name) facts->overlay_layer_fds = facts->overlay_layer_strings = false;
    const Diagnostics problems = check_against_host(loaded->profile, *facts);
    if (has_errors(problems)) return print(problems, loaded->sources), exit_usage;
    CallerContext caller = caller_context();
    if (const char* logs = std::getenv("SANDBOX_SWEEP_LOGS")) {
        caller.detached = caller.hold = true;
        caller.log_folder = logs;
        for (bool& terminal : caller.terminal) terminal = false;
    }
    const Plan plan = make_plan(loaded->profile, *facts, caller);
    if (only_plan) return report.write_line(describe(plan)) ? 0 : 1;
    auto root = open_state(true);
    if (!root) return print(root.error()), exit_usage;
    return launch(plan, *facts, *root, request, report);
}

int run(const std::vector<std::string>& words) {
    if (words.size() < 3) return refuse("too few words");
    const auto descriptor = parse_int(words[1]);
    if (!descriptor) return refuse("REPORT is a number");
    const Report report(static_cast<int>(*descriptor));
    const std::string& verb = words[2];
    if (verb == "plan") return sweep(words[0], report, true, {});
    Request request;
    request.layers_by_name = verb == "by-name";
    if (verb == "trace" || verb == "by-name") return sweep(words[0], report, false, request);
    const bool by_step = words.size() == 5 && words[3] == "step";
    if ((verb != "fail" && verb != "kill") || (words.size() != 4 && !by_step)) return refuse("an unknown verb, or not its words");
    const long number = parse_int(words.back()).value_or(-1);
    if (number < 0) return refuse("the last word is a number");
    request.action = verb == "fail" ? Request::Action::fail : Request::Action::kill;
    (by_step ? request.step : request.event) = static_cast<std::size_t>(number);
    return sweep(words[0], report, false, request);
}

}  // namespace
}  // namespace sandbox

int main(int count, char** words) { return sandbox::run({words + 1, words + count}); }
