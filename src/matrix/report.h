// What came of a matrix, for people and for other programs. Pure: from the record to text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exec/outcome.h"

namespace sandbox {

// What a cell came to. flaky: some attempts passed and some did not. failed: the command ended otherwise than with 0, or was ended
// (signal, limit of time or memory). error: there was no sandbox. not_run: cancelled before its end, or never begun.
enum class CellState { passed, flaky, failed, error, not_run };
[[nodiscard]] std::string_view state_name(CellState state);  // "passed", "flaky", "failed", "error", "not run"

struct Attempt {
    Outcome outcome;
    std::string problem;  // reason "launcher": the error in words, a line
    std::string place;    // node; empty: this machine
    std::string log;      // path
    [[nodiscard]] bool passed() const { return outcome.reason == "exit" && outcome.exit_code == 0; }
};

struct CellReport {
    std::string name;                                         // of the sandbox: "web-host-overlay"
    std::vector<std::pair<std::string, std::string>> values;  // axis and value, in the order of the axes
    std::int64_t repetition = 1;                              // --repeat: which one, from 1
    CellState state = CellState::not_run;
    bool earlier = false;           // --resume: passed in an earlier run
    std::int64_t begun = 0;         // nanoseconds since 1970, of the first attempt; 0: never
    std::vector<Attempt> attempts;  // in order; the last one decides `why` and the figures
    std::string tail;               // the last lines that a cell wrote which did not pass; any bytes may be in it
};

struct MatrixReport {
    std::string name;     // of the profile
    std::string profile;  // its path or name as given
    std::vector<std::string> axes;
    std::vector<CellReport> cells;      // in the matrix' order, repetitions of a cell beside each other
    std::int64_t begun = 0, ended = 0;  // nanoseconds since 1970
    std::optional<std::uint64_t> seed;  // --shuffle
    bool cancelled = false;             // Ctrl-C
};

// Why a cell did not pass, for a person: "exit code 3", "killed by SIGSEGV", "out of memory (peak 512Mi)", "longer than its time
// limit, 60.0 s", or the launcher's error. Empty for one that passed.
[[nodiscard]] std::string why(const CellReport& cell);

struct Counts {
    std::size_t passed = 0, flaky = 0, failed = 0, error = 0, not_run = 0;
    [[nodiscard]] std::size_t all() const { return passed + flaky + failed + error + not_run; }
};
[[nodiscard]] Counts count(const MatrixReport& report);
// "7 passed, 1 failed, 2 not run"
[[nodiscard]] std::string counts_to_text(const Counts& counts);

// Test Anything Protocol, version 14: a plan, a point for each cell, a YAML block of diagnostics for what did not pass.
[[nodiscard]] std::string report_as_tap(const MatrixReport& report);
// JUnit XML as Jenkins, GitLab and GitHub read it: a suite, a case for each cell.
[[nodiscard]] std::string report_as_junit(const MatrixReport& report);
// One JSON object a line: each cell, then one with the sum.
[[nodiscard]] std::string report_as_json_lines(const MatrixReport& report);
// A table with the values of the last axis as columns and of the others as rows; then what did not pass, with reasons.
[[nodiscard]] std::string report_as_markdown(const MatrixReport& report);
[[nodiscard]] std::string report_as_html(const MatrixReport& report);

}  // namespace sandbox
