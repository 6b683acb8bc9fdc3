// Prints a report that is hard to write in the form that was asked for: tests/matrix/consumers gives it to programs that read such forms.
#include <cstdio>
#include <string_view>

#include "matrix/nasty_report.h"

int main(int argc, char** argv) {
    const std::string_view form = argc > 1 ? argv[1] : "";
    auto report = sandbox::nasty_report();
    // "--good": the same names and nothing that went wrong.
    if (argc > 2 && std::string_view(argv[2]) == "--good") {
        for (auto& cell : report.cells) cell.state = sandbox::CellState::passed;
        report.cancelled = false;
    }
    const std::string out = form == "tap"        ? report_as_tap(report)
                            : form == "junit"    ? report_as_junit(report)
                            : form == "json"     ? report_as_json_lines(report)
                            : form == "markdown" ? report_as_markdown(report)
                            : form == "html"     ? report_as_html(report)
                                                 : "";
    if (out.empty()) return std::fputs("usage: matrix-report-driver tap|junit|json|markdown|html [--good]\n", stderr), 2;
    return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() ? 0 : 1;
}
