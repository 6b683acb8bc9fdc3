// The verbs that steer sandboxes: start, stop, restart, kill, pause, resume, wait, down.

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/sandboxes.h"
#include "exec/control.h"
#include "exec/effects.h"
#include "profile/names.h"
#include "state/events.h"

namespace sandbox {
namespace {

// One request to each; the first exit code that is not 0.
int ask_each(const std::vector<std::string>& names, std::string_view request) {
    int code = 0;
    for (const std::string& name : names) {
        auto found = find_living(name);
        const auto answer = found ? ask_sandbox(name, request) : Result<std::string>(pass(found));
        if (answer) continue;
        print(answer.error());
        code = exit_launcher;
    }
    return code;
}

// Whoever is told of the end by the supervisor's own may find the supervisor still leaving.
Status wait_until_gone(const std::string& name) {
    for (int attempt = 0; attempt < 200; ++attempt) {
        auto found = find_sandbox(name);
        if (!found || !found->alive) return {};
        usleep(5000);
    }
    return fail(cat("the supervisor of ", quote(name), " does not end"));
}

int exit_code_in(std::string_view answer) {
    const auto words = split(answer, ' ');
    const auto code = words.size() == 2 && words[0] == "exit" ? parse_int(words[1]) : std::nullopt;
    return code ? static_cast<int>(*code) : exit_launcher;
}

Status remove_stopped(const std::string& name) {
    auto root = open_state(false);
    if (!root) return pass(root);
    auto state = root->take_crashed(name);
    if (!state) return pass(state);
    if (state->directory() < 0) return fail(cat("sandbox ", quote(name), " is in use by another command"), "try again");
    std::vector<std::string> problems;
    replay(state->directory(), problems, true);
    if (!problems.empty()) {
        Error error{cat("sandbox ", quote(name), " could not be removed"), "correct the cause, then run sandbox gc", 0, {}, problems};
        return tl::unexpected<Error>(std::move(error));
    }
    emit_event(root->descriptor(), {0, name, "remove", {}});
    return root->remove(std::move(*state));
}

Status take_down(const std::string& name) {
    auto found = find_sandbox(name);
    if (!found) return pass(found);
    if (!found->alive) return remove_stopped(name);
    auto answer = ask_supervisor(found->folder.get(), "down");
    if (answer) return wait_until_gone(name);
    // It ended by itself meanwhile.
    auto again = find_sandbox(name);
    if (!again) return {};
    if (!again->alive) return remove_stopped(name);
    return pass(answer);
}

}  // namespace

int verb_stop(const std::vector<std::string>& names) {
    int code = 0;
    for (const std::string& name : names) {
        auto found = find_sandbox(name);
        if (found && !found->alive && found->status.phase == SandboxPhase::stopped) continue;
        const auto answer = ask_sandbox(name, "stop");
        found = find_sandbox(name);
        if (!answer && found && !found->alive && found->status.phase == SandboxPhase::stopped) continue;
        if (!answer)
            print(answer.error()), code = exit_launcher;
        else if (auto gone = wait_until_gone(name); !gone)
            print(gone.error()), code = exit_launcher;
    }
    return code;
}

int verb_pause(const std::vector<std::string>& names) { return ask_each(names, "pause"); }
int verb_resume(const std::vector<std::string>& names) { return ask_each(names, "resume"); }

int verb_kill(const std::vector<std::string>& names, const std::string& signal, bool all) {
    const auto number = signal_number(signal);
    if (!number) {
        const auto near = nearest(signal, signal_names());
        write_err(cat("sandbox: error: ", quote(printable(signal)), " is not a signal\n  hint: ",
                      near ? cat("did you mean ", quote(*near), "?") : std::string("a name such as TERM, or a number from 1 to 64"), "\n"));
        return exit_launcher;
    }
    return ask_each(names, cat("kill ", *number, all ? " all" : " main"));
}

// How one ends; an error when that cannot be known.
Result<int> wait_for_end(const std::string& name) {
    auto found = find_sandbox(name);
    if (found && !found->alive && found->status.phase == SandboxPhase::stopped) return found->status.exit_code;
    auto answer = ask_sandbox(name, "wait");
    if (answer) return exit_code_in(*answer);
    // It may have stopped before it could be asked.
    found = find_sandbox(name);
    if (found && !found->alive && found->status.phase == SandboxPhase::stopped) return found->status.exit_code;
    return pass(answer);
}

int verb_wait(const std::vector<std::string>& names, bool json) {
    int code = 0;
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const std::string& name : names) {
        const auto ended = wait_for_end(name);
        if (!ended) return print(ended.error()), exit_launcher;
        code = *ended;
        if (!json) write_out(cat(code, "\n"));
        // What was removed with its end says no more than its exit code.
        const auto found = find_sandbox(name);
        const std::string reason = found ? found->status.reason : std::string();
        list.push_back({{"name", name},
                        {"exit_code", code},
                        {"reason", reason.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(reason)}});
    }
    if (json) write_out(list.dump(2) + "\n");
    return code;
}

int verb_start(const std::vector<std::string>& names) {
    int code = 0;
    for (const std::string& name : names) {
        auto found = find_sandbox(name);
        if (!found) {
            print(found.error());
            code = exit_launcher;
        } else if (found->alive) {
            if (ask_each({name}, "start") != 0) code = exit_launcher;
        } else if (found->status.phase != SandboxPhase::stopped) {
            print(find_living(name).error());
            code = exit_launcher;
        } else if (const int started = start_again(name); started != 0) {
            code = started;
        }
    }
    return code;
}

namespace {

// Whether another sandbox lives in its network (network.of).
bool is_shared(const std::string& name) {
    auto all = all_sandboxes();
    return all && std::ranges::any_of(*all, [&name](const Found& other) {
               return other.alive && other.status.network_details && other.status.network_details->of == name;
           });
}

// By its own supervisor, which goes back into the same network. Returns when the command runs again.
Status restart_inside(const std::string& name, std::int64_t restarts) {
    auto asked = ask_sandbox(name, "restart");
    if (!asked) return pass(asked);
    while (true) {
        auto found = find_sandbox(name);
        if (!found) return pass(found);
        if (!found->alive) return fail(cat("sandbox ", quote(name), " has ended instead"), cat("sandbox logs ", name, " may say why"));
        if (found->status.restarts > restarts && found->status.phase == SandboxPhase::running) return {};
        usleep(5000);
    }
}

}  // namespace

int verb_restart(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        auto found = find_sandbox(name);
        if (!found) return print(found.error()), exit_launcher;
        if (!found->status.detached) {
            print(Error{cat("sandbox ", quote(name), " runs in the foreground of another command"),
                        "only a detached one can be restarted",
                        0,
                        {},
                        {}});
            return exit_launcher;
        }
        if (found->alive && found->status.phase == SandboxPhase::running && is_shared(name)) {
            if (auto done = restart_inside(name, found->status.restarts); !done) return print(done.error()), exit_launcher;
            continue;
        }
        if (const int code = verb_stop({name}); code != 0) return code;
        if (const int code = verb_start({name}); code != 0) return code;
    }
    return 0;
}

int verb_down(const std::vector<std::string>& names, bool all) {
    std::vector<std::string> which = names;
    if (all) {
        auto found = all_sandboxes();
        if (!found) return print(found.error()), exit_launcher;
        for (const Found& one : *found) which.push_back(one.status.name);
    }
    if (which.empty() && !all) {
        print(Error{"down needs a NAME", "sandbox ps lists them; --all takes every one", 0, {}, {}});
        return exit_launcher;
    }
    int code = 0;
    for (const std::string& name : which)
        if (auto done = take_down(name); !done) {
            print(done.error());
            code = exit_launcher;
        }
    return code;
}

}  // namespace sandbox
