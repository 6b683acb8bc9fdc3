// What the forms of a report and the progress share: figures, and text that others wrote made fit to be printed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "matrix/report.h"

namespace sandbox {

// "0.8 s", "0.01 s": never the locale's comma.
[[nodiscard]] std::string in_seconds(double seconds);
// "0.812"
[[nodiscard]] std::string with_thousandths(double seconds);
// "2026-11-28T07:10:00", in UTC.
[[nodiscard]] std::string iso_time(std::int64_t nanoseconds);
// Lines as a cell wrote them, made well-formed: sequences of a terminal removed, other control characters and what is not UTF-8
// replaced, line ends as \n, no empty lines at either end. Nothing is left in it that XML or YAML forbid.
[[nodiscard]] std::string clean_lines(std::string_view text);
// The same of a text that must stay one line.
[[nodiscard]] std::string clean_line(std::string_view text);
// The point that begins at `at`, which is moved behind it; of well-formed UTF-8.
[[nodiscard]] char32_t next_point(std::string_view text, std::size_t& at);
// The name, with the repetition unless it is the first.
[[nodiscard]] std::string title(const CellReport& cell);
// The outcome that decides the figures; nothing for a cell that never ran.
[[nodiscard]] const Outcome* last_outcome(const CellReport& cell);
// "SIGSEGV", "signal 40"
[[nodiscard]] std::string signal_name(int signal);
[[nodiscard]] std::string why(const Attempt& attempt);
// "failed: exit code 3", "not run"
[[nodiscard]] std::string state_and_why(const CellReport& cell);
// & < > " and ' as XML and HTML write them.
[[nodiscard]] std::string escape_markup(std::string_view text);

// The cells as a table: the last axis across, the others down.
struct Grid {
    struct Row {
        std::vector<std::string> heads;                       // a value for each of `axes`
        std::vector<std::vector<const CellReport*>> entries;  // one for each column; empty: no such combination
    };
    std::vector<std::string> axes;
    std::string across;  // empty: no axis, one column
    std::vector<std::string> columns;
    std::vector<Row> rows;
};
[[nodiscard]] Grid make_grid(const MatrixReport& report);
[[nodiscard]] CellState worst_state(const std::vector<const CellReport*>& cells);
// "pass 0.8 s, 12Mi", "fail 1/3, 0.8 s, 12Mi"
[[nodiscard]] std::string entry_text(const std::vector<const CellReport*>& cells);
// "took 12.0 s, begun 2026-11-28T07:10:00Z, shuffled with seed 7"
[[nodiscard]] std::string facts_text(const MatrixReport& report);

}  // namespace sandbox
