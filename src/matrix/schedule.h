// Which cell runs when, how often, and what it comes to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "matrix/engine.h"
#include "matrix/record.h"
#include "matrix/report.h"

namespace sandbox {

// A cell as the schedule sees it: the profile behind it is the engine's business.
struct ScheduledCell {
    std::string name;
    std::vector<std::pair<std::string, std::string>> values;
    std::string digest;  // of its profile
    CellNeeds needs;
};

struct ScheduleOptions {
    std::int64_t retries = 0;           // --retry: further attempts at a cell that did not pass
    std::int64_t repetitions = 1;       // --repeat
    bool fail_fast = false;             // the first that does not pass ends all others
    std::optional<std::uint64_t> seed;  // --shuffle: the order; none: that of the matrix
};

// What the schedule tells while it goes on.
class ScheduleListener {
   public:
    virtual ~ScheduleListener() = default;
    virtual void begin(std::size_t cells) = 0;  // so many are going to run
    virtual void started(std::size_t cell, std::size_t attempt, const std::string& place) = 0;
    virtual void stopped(std::size_t cell) = 0;  // an attempt has ended, and there will be another one
    virtual void ended(std::size_t cell, const CellReport& report) = 0;
    // Between events: shows what there is to show, and says in how many milliseconds it wants to be called again (-1: not before the
    // next event).
    virtual int idle(const std::string& state) = 0;
};

// Runs all cells and fills in `report.cells`, one for each cell and repetition, in the order of the matrix. Cells that the record knows
// to have passed with the same profile are not run again. `signals` is a signalfd of SIGINT, SIGTERM, SIGHUP: the first of them stops
// the cells, a second one kills them; the report is marked as cancelled, and the number of the signal returned (0: none). An error is
// one of the engine or of the record: cells may not have been run, and none runs any more.
[[nodiscard]] Result<int> run_schedule(const std::vector<ScheduledCell>& cells, const ScheduleOptions& options, Engine& engine,
                                       Record& record, int signals, ScheduleListener& listener, MatrixReport& report);

// The order of n things for a seed, the same everywhere.
[[nodiscard]] std::vector<std::size_t> shuffled(std::size_t n, std::uint64_t seed);

}  // namespace sandbox
