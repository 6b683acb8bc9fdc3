// The Slurm engine without a schedule: submits cells of one profile at once and prints what it tells, a JSON object a line.
//
//   matrix-engine-driver --command SANDBOX --folder FOLDER --profile FILE --cells N [--sbatch WORD]...
//
// In the profile, and in the names of the sandboxes, "@CELL@" is the number of the cell. "needs" of a cell are those of --memory
// BYTES and --seconds N; with --odd-memory BYTES every second cell needs that. A line "stop" or "kill" on the standard input does
// that. Ends when all cells have, with 1 when the engine has failed.

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "base/text.h"
#include "matrix/engine.h"

namespace {

using Json = nlohmann::ordered_json;

void say(const Json& json) {
    std::printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    std::fflush(stdout);
}

int fail(const sandbox::Error& error) {
    say({{"event", "error"}, {"message", error.message}, {"hint", error.hint}});
    return 1;
}

std::string for_cell(std::string text, std::size_t cell) {
    constexpr std::string_view mark = "@CELL@";
    for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos;) text.replace(at, mark.size(), std::to_string(cell));
    return text;
}

struct Arguments {
    sandbox::SlurmOptions slurm;
    std::string name = "matrix-@CELL@", folder, profile;
    std::size_t cells = 1;
    std::uint64_t memory = 0, odd_memory = 0;
    std::int64_t seconds = 0;
};

Arguments read(int argc, char** argv) {
    Arguments out;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string option = argv[i], value = argv[i + 1];
        if (option == "--command") out.slurm.command = value;
        if (option == "--folder") out.folder = value;
        if (option == "--profile") out.profile = value;
        if (option == "--name") out.name = value;
        if (option == "--sbatch") out.slurm.options.push_back(value);
        if (option == "--cells") out.cells = std::stoul(value);
        if (option == "--memory") out.memory = std::stoull(value);
        if (option == "--odd-memory") out.odd_memory = std::stoull(value);
        if (option == "--seconds") out.seconds = std::stoll(value);
    }
    out.slurm.folder = out.folder + "/jobs";
    out.slurm.name = "driver";
    return out;
}

std::vector<sandbox::CellTask> tasks_of(const Arguments& arguments) {
    std::vector<sandbox::CellTask> tasks;
    for (std::size_t cell = 0; cell < arguments.cells; ++cell) {
        sandbox::CellTask task;
        task.id = 1000 + cell;
        task.cell = cell;
        task.name = for_cell(arguments.name, cell);
        // No path may break what runs it.
        task.folder = sandbox::cat(arguments.folder, "/it's \"", cell, "\" $HOME\n%a");
        mkdir(task.folder.c_str(), 0755);
        task.log = task.folder + "/log";
        task.result = task.folder + "/result.json";
        task.needs.memory = cell % 2 == 1 && arguments.odd_memory != 0 ? arguments.odd_memory : arguments.memory;
        task.needs.time = arguments.seconds * 1'000'000'000;
        tasks.push_back(std::move(task));
    }
    return tasks;
}

void print(const std::vector<sandbox::CellEvent>& events) {
    for (const sandbox::CellEvent& event : events) {
        Json json = {{"event", event.kind == sandbox::CellEvent::Kind::started ? "started" : "ended"},
                     {"cell", event.task - 1000},
                     {"place", event.place}};
        if (event.kind == sandbox::CellEvent::Kind::ended) {
            json["reason"] = event.outcome.reason;
            json["exit_code"] = event.outcome.exit_code;
            json["signal"] = event.outcome.signal;
            json["problem"] = event.problem;
        }
        say(json);
    }
}

// What was asked for on the standard input; its end is no wish.
void obey(sandbox::Engine& engine) {
    char word[16] = {};
    const ssize_t size = ::read(0, word, sizeof word - 1);
    if (size <= 0) return;
    engine.stop(std::string(word).starts_with("kill"));
    say({{"event", "stopping"}});
}

int run(const Arguments& arguments) {
    std::ifstream file(arguments.profile);
    const std::string profile(std::istreambuf_iterator<char>(file), {});
    auto engine = sandbox::make_slurm_engine(
        arguments.slurm, [&](const sandbox::CellTask& task) -> sandbox::Result<std::string> { return for_cell(profile, task.cell); });
    if (!engine) return fail(engine.error());
    const auto tasks = tasks_of(arguments);
    if (auto submitted = (*engine)->submit(tasks); !submitted) return fail(submitted.error());
    say({{"event", "submitted"}});
    std::string state;
    std::size_t ended = 0;
    while (ended < tasks.size()) {
        auto events = (*engine)->wait(0, 500);
        if (!events) return fail(events.error());
        for (const auto& event : *events) ended += event.kind == sandbox::CellEvent::Kind::ended ? 1 : 0;
        print(*events);
        if (const std::string now = (*engine)->state(); now != state) say({{"event", "state"}, {"text", state = now}});
        pollfd input{0, POLLIN, 0};
        if (poll(&input, 1, 0) > 0 && (input.revents & POLLIN) != 0) obey(**engine);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return run(read(argc, argv)); }
