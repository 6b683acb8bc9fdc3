// How a sandbox ended, and the file that says it: result.json (sandbox-up(1)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace sandbox {

struct Outcome {
    std::string reason = "launcher";  // exit | signal | oom | timeout | pids | launcher
    int exit_code = 125;
    int signal = 0;
    double wall_s = 0, user_s = 0, system_s = 0;
    std::uint64_t memory_peak_bytes = 0;  // of all together where a control group counts it, else of the largest process
    std::optional<std::uint64_t> pids_peak, oom_kills;
    std::vector<std::string> skipped;   // optional steps that were left out, with the reason
    std::vector<std::string> problems;  // what could not be taken back
};

// result.json, and back. What the file does not have keeps its default; the problems are not in it.
[[nodiscard]] std::string outcome_to_json(const Outcome& outcome);
[[nodiscard]] Result<Outcome> outcome_from_json(const std::string& text);

}  // namespace sandbox
