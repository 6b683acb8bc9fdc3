// JUnit XML in the shape of Jenkins' junit-10.xsd, which GitLab and GitHub's actions read too.
#include <algorithm>

#include "base/text.h"
#include "matrix/report_text.h"

namespace sandbox {
namespace {

// In an attribute a tab would become a space, a line end too; neither is left in a clean line but the tab.
std::string attribute(std::string_view name, std::string_view value) {
    return cat(" ", name, "=\"", escape_markup(clean_line(value)), "\"");
}

std::string property(std::string_view name, std::string_view value) {
    return cat("      <property", attribute("name", name), attribute("value", value), "/>\n");
}

std::string properties(const MatrixReport& report) {
    std::string out = property("profile", report.profile);
    for (const std::string& axis : report.axes) {
        std::vector<std::string> values;
        for (const CellReport& cell : report.cells)
            for (const auto& [name, value] : cell.values)
                if (name == axis && std::ranges::find(values, value) == values.end()) values.push_back(value);
        out += property(cat("axis.", axis), join(values, ", "));
    }
    if (report.seed) out += property("seed", std::to_string(*report.seed));
    if (report.cancelled) out += property("cancelled", "true");
    return cat("    <properties>\n", out, "    </properties>\n");
}

std::string attempts_text(const CellReport& cell) {
    std::string out;
    std::size_t number = 0;
    for (const Attempt& attempt : cell.attempts) {
        out += cat("attempt ", ++number, ": ", attempt.passed() ? "passed" : why(attempt), ", ", in_seconds(attempt.outcome.wall_s));
        if (!attempt.place.empty()) out += cat(", on ", clean_line(attempt.place));
        out += "\n";
    }
    return out;
}

// A cell that was not run is an error, not <skipped>: every reader counts what is skipped as good, and a cancelled run must not be green.
std::string verdict(const CellReport& cell) {
    if (cell.state == CellState::passed) return {};
    const bool failure = cell.state == CellState::failed || cell.state == CellState::flaky;
    const std::string_view element = failure ? "failure" : "error";
    std::string type(state_name(cell.state));
    if (cell.state == CellState::failed && !cell.attempts.empty()) type = cell.attempts.back().outcome.reason;
    if (cell.state == CellState::error) type = "launcher";
    // Escaped as everything is, ">" too, so there is no CDATA section that "]]>" could end.
    return cat("      <", element, attribute("message", why(cell)), attribute("type", type), ">",
               escape_markup(attempts_text(cell) + clean_lines(cell.tail)), "</", element, ">\n");
}

std::string system_out(const CellReport& cell) {
    std::string out;
    for (const auto& [axis, value] : cell.values) out += cat(clean_line(axis), ": ", clean_line(value), "\n");
    for (const Attempt& attempt : cell.attempts)
        if (!attempt.log.empty()) out += cat("log: ", clean_line(attempt.log), "\n");
    if (cell.earlier) out += "passed in an earlier run\n";
    return out.empty() ? out : cat("      <system-out>", escape_markup(out), "</system-out>\n");
}

}  // namespace

std::string report_as_junit(const MatrixReport& report) {
    const Counts counts = count(report);
    const std::string figures = cat(attribute("name", report.name), attribute("tests", std::to_string(counts.all())),
                                    attribute("failures", std::to_string(counts.failed + counts.flaky)),
                                    attribute("errors", std::to_string(counts.error + counts.not_run)),
                                    attribute("time", with_thousandths(static_cast<double>(report.ended - report.begun) / 1e9)));
    std::string out = cat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", figures, ">\n  <testsuite", figures,
                          attribute("skipped", "0"), attribute("timestamp", iso_time(report.begun)), ">\n", properties(report));
    for (const CellReport& cell : report.cells) {
        const Outcome* outcome = last_outcome(cell);
        const std::string inner = verdict(cell) + system_out(cell);
        out += cat("    <testcase", attribute("classname", report.name), attribute("name", title(cell)),
                   attribute("time", with_thousandths(outcome ? outcome->wall_s : 0)),
                   inner.empty() ? "/>\n" : cat(">\n", inner, "    </testcase>\n"));
    }
    return out + "  </testsuite>\n</testsuites>\n";
}

}  // namespace sandbox
