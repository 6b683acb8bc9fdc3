// A report with everything in it that may break a format: for the unit tests and for what real consumers make of it.
#pragma once

#include <limits>

#include "matrix/report.h"

namespace sandbox {

inline Attempt an_attempt(std::string reason, int exit_code, double seconds = 0.8, std::uint64_t memory = 12 << 20) {
    Attempt attempt;
    attempt.outcome.reason = std::move(reason);
    attempt.outcome.exit_code = exit_code;
    attempt.outcome.wall_s = seconds;
    attempt.outcome.memory_peak_bytes = memory;
    attempt.log = "/tmp/matrix/log";
    return attempt;
}

inline CellReport a_cell(std::string name, std::vector<std::pair<std::string, std::string>> values, CellState state,
                         std::vector<Attempt> attempts, std::string tail = {}) {
    CellReport cell;
    cell.name = std::move(name);
    cell.values = std::move(values);
    cell.state = state;
    cell.attempts = std::move(attempts);
    cell.tail = std::move(tail);
    return cell;
}

inline MatrixReport nasty_report() {
    using enum CellState;
    MatrixReport report;
    report.name = "web & <co> \"#1\"";
    report.profile = "pro|file.yaml";
    report.axes = {"net|work", "root<fs>"};
    report.begun = 1'764'313'200'000'000'000;
    report.ended = report.begun + 12'300'000'000;
    report.seed = std::numeric_limits<std::uint64_t>::max();
    report.cancelled = true;
    const auto values = [](std::string a, std::string b) {
        return std::vector<std::pair<std::string, std::string>>{{"net|work", std::move(a)}, {"root<fs>", std::move(b)}};
    };
    auto killed = an_attempt("signal", 139);
    killed.outcome.signal = 11;
    killed.place = "node \"1\"\n...";
    auto launcher = an_attempt("launcher", 125, 0, 0);
    launcher.problem = "no <root> ]]> here: 'a\x1b[31mb'\nsecond # line \\";
    auto endless = an_attempt("timeout", 124, std::numeric_limits<double>::infinity());
    report.cells = {
        a_cell("plain", values("host", "overlay"), passed, {an_attempt("exit", 0)}),
        a_cell("skipped # SKIP me", values("host", "a`b"), failed, {an_attempt("exit", 3)},
               "  indented first\n...\n---\nnot ok 99 - x\n1..7\nBail out!\n\n"),
        a_cell("todo # TODO \\# end\\", values("none", "overlay"), failed, {killed},
               "\n\n...\n\n  ---\n  ...\n\ntext: \"x\" 'y' # z\nok 3\n"),
        a_cell("two\nlines\r\xff\xfe<&>]]>", values("none", "a`b"), error, {launcher},
               std::string("zero \0 byte \xc3(\xa0\xef\xbf\xbf \xe2\x80\xa8 \x1b[1;31mred\x1b[0m \x1b]0;x\x07 ]]> <b>&amp;", 52)),
        a_cell("again", values("veth", "overlay"), flaky, {an_attempt("exit", 1), an_attempt("exit", 0)},
               "```\n````\n</pre><script>alert(1)</script>\n| a | b |\n"),
        a_cell("", {{"net|work", "of include"}, {"own", "x"}}, not_run, {}),
        a_cell("slow", values("veth", "tmpfs"), failed, {endless},
               "\t \n\xe2\x80\xae"
               "bidi\n"),
        a_cell("none", {}, passed, {an_attempt("exit", 0, 0.004)}),
        a_cell("ok 1 - again", values("host", "overlay"), passed, {an_attempt("exit", 0)}),
    };
    report.cells.back().repetition = 2;
    return report;
}

}  // namespace sandbox
