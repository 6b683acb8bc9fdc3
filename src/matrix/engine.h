// Where the cells of a matrix run: the seam between the schedule and this machine, or a cluster.
//
// An engine makes attempts. It knows nothing of axes, retries, reports or what the others are doing: the schedule decides, the engine
// runs one sandbox for each task and says how it ended. Another one is one file: a class with these five functions, and a line where
// the command line chooses.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "exec/outcome.h"

namespace sandbox {

// What an engine must know of a cell to find room for it; 0: the profile sets no limit.
struct CellNeeds {
    std::uint64_t memory = 0;     // bytes, resources.memory.max
    std::int64_t processors = 0;  // thousandths of one, resources.cpu.limit
    std::int64_t time = 0;        // nanoseconds, lifecycle.timeout
};

// One attempt at one cell.
struct CellTask {
    std::size_t id = 0;    // unique in this run of the matrix; given back with the end
    std::size_t cell = 0;  // which cell, for whoever makes its profile
    std::string name;      // of the sandbox
    std::string folder;    // absolute, there already: everything that the attempt writes is in it
    std::string log;       // absolute: what the cell writes, and what the launcher has to say
    std::string result;    // absolute: result.json of the attempt (exec/outcome.h); not there: the launcher was killed
    CellNeeds needs;
};

struct CellEvent {
    enum class Kind { started, ended };
    std::size_t task = 0;
    Kind kind = Kind::ended;
    // ended: how. Reason "launcher" with the words of `problem` when there was no sandbox (the node died, no result was written).
    Outcome outcome;
    std::string problem;
    std::string place;  // the node on which it ran; empty: here
};

class Engine {
   public:
    virtual ~Engine() = default;
    // Whether there is room for one more task now, beside those of `batch` and those that were submitted and have not ended. True for
    // any task when there is nothing else.
    [[nodiscard]] virtual bool admits(const CellNeeds& needs, std::span<const CellTask> batch) const = 0;
    // Takes these tasks, in this order. An error means that none of them runs.
    [[nodiscard]] virtual Status submit(std::span<const CellTask> tasks) = 0;
    // Waits until there is something to tell, until `wake` is readable, or for so many milliseconds (-1: for ever). Each task starts at
    // most once and ends exactly once, also after stop. An error means that nothing more will be heard of any task.
    [[nodiscard]] virtual Result<std::vector<CellEvent>> wait(int wake, int milliseconds) = 0;
    // Ends everything that was submitted: the sandboxes are asked to stop as their profiles say, or killed. The ends are still told.
    virtual void stop(bool kill) = 0;
    // A line for a person about what the engine is waiting for, if there is anything: "3 wait: the node n1 is drained".
    [[nodiscard]] virtual std::string state() const { return {}; }
    // In how many milliseconds that may be another line, without an event; -1: never.
    [[nodiscard]] virtual int state_interval() const { return -1; }
};

// This machine. `run` is called in a process of its own, whose standard output and error are the log of the task and whose standard
// input is empty; it runs the sandbox to its end. What it returns becomes the task's result.
struct LocalOptions {
    std::size_t jobs = 1;                 // at a time
    std::optional<std::uint64_t> memory;  // bytes that the limits of those may add up to; none: not looked at
    std::function<Outcome(const CellTask& task)> run;
};
[[nodiscard]] std::unique_ptr<Engine> make_local_engine(LocalOptions options);

// Slurm: one job array for the tasks that need the same (sbatch(1)). `profile` gives the effective profile of a cell as YAML, which
// the task runs with `sandbox up`; `command` is that program. The folders must be visible on the nodes.
struct SlurmOptions {
    std::string command;               // absolute path of the launcher on the nodes
    std::string name;                  // of the jobs
    std::string folder;                // absolute: for the lists and scripts of the arrays
    std::vector<std::string> options;  // further words for sbatch: "--partition=long"
    int interval = 1000;               // milliseconds between two looks at the queue
    int patience = 300'000;            // milliseconds for which Slurm may be out of reach
};
[[nodiscard]] Result<std::unique_ptr<Engine>> make_slurm_engine(SlurmOptions options,
                                                                std::function<Result<std::string>(const CellTask& task)> profile);

}  // namespace sandbox
