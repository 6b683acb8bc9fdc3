#include "matrix/report.h"

#include "base/text.h"

namespace sandbox {

std::string_view state_name(CellState state) {
    switch (state) {
        case CellState::passed: return "passed";
        case CellState::flaky: return "flaky";
        case CellState::failed: return "failed";
        case CellState::error: return "error";
        case CellState::not_run: return "not run";
    }
    return "not run";
}

Counts count(const MatrixReport& report) {
    Counts counts;
    for (const CellReport& cell : report.cells) switch (cell.state) {
            case CellState::passed: ++counts.passed; break;
            case CellState::flaky: ++counts.flaky; break;
            case CellState::failed: ++counts.failed; break;
            case CellState::error: ++counts.error; break;
            case CellState::not_run: ++counts.not_run; break;
        }
    return counts;
}

std::string counts_to_text(const Counts& counts) {
    std::string out = cat(counts.passed, " passed");
    const auto add = [&out](std::size_t number, std::string_view what) {
        if (number > 0) out += cat(", ", number, " ", what);
    };
    add(counts.flaky, "flaky");
    add(counts.failed, "failed");
    add(counts.error, counts.error == 1 ? "error" : "errors");
    add(counts.not_run, "not run");
    return out;
}

}  // namespace sandbox
