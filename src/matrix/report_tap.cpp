// TAP 14 (testanything.org/tap-version-14-specification.html). The YAML keeps to what perl's TAP::Parser::YAMLish reads too, which knows
// neither indentation indicators nor chomping.
#include "base/text.h"
#include "matrix/report_text.h"

namespace sandbox {
namespace {

// "#" would begin a directive, "\" an escape.
std::string description(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '#' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

std::string yaml_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\t': out += "\\t"; break;
            default: out += c;
        }
    return out + "\"";
}

// A block scalar takes its indentation from its first line, so one that begins with a space cannot be written as one. Empty lines are
// indented as well: to perl an empty line ends the block.
std::string scalar(std::string_view text, std::string_view indent) {
    if (text.starts_with(' ') || text.starts_with('\t')) return yaml_text(text) + "\n";
    std::string out = "|\n";
    for (const std::string_view line : split(text, '\n')) out += cat(indent, line, "\n");
    return out;
}

std::string attempt_lines(const Attempt& attempt) {
    const Outcome& o = attempt.outcome;
    std::string out = cat("    - reason: ", yaml_text(clean_line(o.reason)), "\n      exit_code: ", o.exit_code, "\n");
    if (o.reason == "signal") out += cat("      signal: ", signal_name(o.signal), "\n");
    out += cat("      duration_ms: ", with_thousandths(o.wall_s * 1000), "\n      memory_peak_bytes: ", o.memory_peak_bytes, "\n");
    if (!attempt.problem.empty()) out += cat("      problem: ", yaml_text(clean_line(attempt.problem)), "\n");
    if (!attempt.place.empty()) out += cat("      node: ", yaml_text(clean_line(attempt.place)), "\n");
    if (!attempt.log.empty()) out += cat("      log: ", yaml_text(clean_line(attempt.log)), "\n");
    return out;
}

std::string diagnostics(const CellReport& cell) {
    const std::string_view severity = cell.state == CellState::error ? "error" : "fail";
    std::string out =
        cat("  ---\n  message: ", yaml_text(why(cell)), "\n  severity: ", severity, "\n  state: ", state_name(cell.state), "\n");
    if (!cell.values.empty()) out += "  axes:\n";
    for (const auto& [axis, value] : cell.values) out += cat("    ", yaml_text(clean_line(axis)), ": ", yaml_text(clean_line(value)), "\n");
    if (!cell.attempts.empty()) out += "  attempts:\n";
    for (const Attempt& attempt : cell.attempts) out += attempt_lines(attempt);
    if (const std::string tail = clean_lines(cell.tail); !tail.empty()) out += cat("  tail: ", scalar(tail, "    "));
    return out + "  ...\n";
}

}  // namespace

std::string report_as_tap(const MatrixReport& report) {
    std::string out = cat("TAP version 14\n1..", report.cells.size(), report.cells.empty() ? " # SKIP no cells\n" : "\n");
    if (report.seed) out += cat("# seed: ", *report.seed, "\n");
    std::size_t number = 0;
    for (const CellReport& cell : report.cells) {
        // Never SKIP or TODO: consumers count either as passed, and "Bail out!" makes them forget the points before it.
        out += cat(cell.state == CellState::passed ? "ok " : "not ok ", ++number, " - ", description(title(cell)), "\n");
        if (cell.state != CellState::passed) out += diagnostics(cell);
    }
    if (report.cancelled) out += "# cancelled\n";
    return out + cat("# ", counts_to_text(count(report)), "\n");
}

}  // namespace sandbox
