// The reports of a matrix: exact texts of small ones, and what holds for any.
#include "matrix/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "matrix/nasty_report.h"
#include "matrix/report_text.h"

namespace sandbox {
namespace {

using testing::HasSubstr;
using testing::Not;
using enum CellState;

MatrixReport small() {
    MatrixReport report;
    report.name = "web";
    report.profile = "web.yaml";
    report.axes = {"net", "root"};
    report.begun = 1'764'313'200'000'000'000;
    report.ended = report.begun + 2'000'000'000;
    report.cells = {a_cell("web-a-x", {{"net", "a"}, {"root", "x"}}, passed, {an_attempt("exit", 0)}),
                    a_cell("web-a-y", {{"net", "a"}, {"root", "y"}}, failed, {an_attempt("exit", 3)}, "one\n\n  two #\n"),
                    a_cell("web-b-x", {{"net", "b"}, {"root", "x"}}, not_run, {})};
    return report;
}

std::size_t times(std::string_view text, std::string_view what) {
    std::size_t number = 0;
    for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++number;
    return number;
}

TEST(MatrixReport, WhySaysItInWords) {
    const auto reason = [](Attempt attempt) { return why(a_cell("x", {}, failed, {std::move(attempt)})); };
    EXPECT_EQ(reason(an_attempt("exit", 3)), "exit code 3");
    auto killed = an_attempt("signal", 139);
    killed.outcome.signal = 11;
    EXPECT_EQ(reason(killed), "killed by SIGSEGV");
    killed.outcome.signal = 40;
    EXPECT_EQ(reason(killed), "killed by signal 40");
    EXPECT_EQ(reason(an_attempt("oom", 137, 1, 512 << 20)), "out of memory (peak 512Mi)");
    EXPECT_EQ(reason(an_attempt("timeout", 124, 60)), "longer than its time limit, 60.0 s");
    auto launcher = an_attempt("launcher", 125);
    launcher.problem = "no such\nroot";
    EXPECT_EQ(reason(launcher), "no such root");
    EXPECT_EQ(why(a_cell("x", {}, passed, {an_attempt("exit", 0)})), "");
    EXPECT_EQ(why(a_cell("x", {}, not_run, {})), "not run");
    EXPECT_EQ(why(a_cell("x", {}, flaky, {an_attempt("exit", 1), an_attempt("exit", 0)})), "flaky, 1 of 2 attempts passed: exit code 1");
}

TEST(MatrixReport, Tap) {
    EXPECT_EQ(report_as_tap(small()), R"(TAP version 14
1..3
ok 1 - web-a-x
not ok 2 - web-a-y
  ---
  message: "exit code 3"
  severity: fail
  state: failed
  axes:
    "net": "a"
    "root": "y"
  attempts:
    - reason: "exit"
      exit_code: 3
      duration_ms: 800.000
      memory_peak_bytes: 12582912
      log: "/tmp/matrix/log"
  tail: |
    one
    
      two #
  ...
not ok 3 - web-b-x
  ---
  message: "not run"
  severity: fail
  state: not run
  axes:
    "net": "b"
    "root": "x"
  ...
# 1 passed, 1 failed, 1 not run
)");
}

TEST(MatrixReport, Markdown) {
    EXPECT_EQ(report_as_markdown(small()), R"(## web: 1 passed, 1 failed, 1 not run

took 2.0 s, begun 2025-11-28T07:00:00Z

| net | root=x | root=y |
| --- | --- | --- |
| a | pass 0.8 s, 12Mi | **fail 0.8 s, 12Mi** |
| b | **not run** | – |

### web-a-y

failed: exit code 3

log: /tmp/matrix/log

```text
one

  two #
```

### web-b-x

not run
)");
}

TEST(MatrixReport, Junit) {
    const std::string text = report_as_junit(small());
    EXPECT_THAT(text, HasSubstr(R"(<testsuites name="web" tests="3" failures="1" errors="1" time="2.000">)"));
    EXPECT_THAT(text, HasSubstr(R"(skipped="0" timestamp="2025-11-28T07:00:00">)"));
    EXPECT_THAT(text, HasSubstr(R"(<property name="axis.root" value="x, y"/>)"));
    EXPECT_THAT(text, HasSubstr(R"(<failure message="exit code 3" type="exit">attempt 1: exit code 3, 0.8 s)"));
    EXPECT_THAT(text, HasSubstr(R"(<error message="not run" type="not run"></error>)"));
}

TEST(MatrixReport, Json) {
    const std::string text = report_as_json_lines(small());
    std::vector<nlohmann::json> lines;
    for (const auto line : split(trim(text), '\n')) lines.push_back(nlohmann::json::parse(line));
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[1]["attempts"][0]["exit_code"], 3);
    EXPECT_EQ(lines[1]["axes"]["root"], "y");
    EXPECT_EQ(lines[3]["counts"]["not_run"], 1);
    EXPECT_EQ(lines[3]["passed"], false);
    EXPECT_TRUE(lines[3]["seed"].is_null());
}

TEST(MatrixReport, RepetitionsShareAnEntry) {
    const CellReport good = a_cell("x", {}, passed, {an_attempt("exit", 0, 0.5)}),
                     bad = a_cell("x", {}, failed, {an_attempt("exit", 1, 2)});
    EXPECT_EQ(entry_text({&good, &bad, &good}), "fail 2/3, 2.0 s, 12Mi");
    EXPECT_EQ(entry_text({}), "–");
}

TEST(MatrixReport, OneAxisAndNone) {
    MatrixReport report = small();
    report.axes = {"root"};
    report.cells.resize(2);
    for (CellReport& cell : report.cells) cell.values.erase(cell.values.begin());
    EXPECT_THAT(report_as_markdown(report), HasSubstr("| root=x | root=y |\n| --- | --- |\n| pass 0.8 s, 12Mi | **fail 0.8 s, 12Mi** |\n"));
    report.axes.clear();
    for (CellReport& cell : report.cells) cell.values.clear();
    EXPECT_THAT(report_as_markdown(report), HasSubstr("| result |\n| --- |\n| **fail 1/2, 0.8 s, 12Mi** |\n"));
    report.cells.clear();
    EXPECT_THAT(report_as_tap(report), HasSubstr("1..0 # SKIP"));
    for (const auto form : {report_as_junit, report_as_json_lines, report_as_markdown, report_as_html}) EXPECT_FALSE(form(report).empty());
}

TEST(MatrixReport, EveryCellIsInTheGridOnce) {
    const MatrixReport report = nasty_report();
    std::vector<const CellReport*> seen;
    for (const Grid::Row& row : make_grid(report).rows)
        for (const auto& entry : row.entries) seen.insert(seen.end(), entry.begin(), entry.end());
    std::vector<const CellReport*> all;
    for (const CellReport& cell : report.cells) all.push_back(&cell);
    EXPECT_THAT(seen, testing::UnorderedElementsAreArray(all));
}

TEST(MatrixReport, HostileTextStaysText) {
    const MatrixReport report = nasty_report();
    for (const auto form : {report_as_tap, report_as_junit, report_as_json_lines, report_as_markdown, report_as_html}) {
        const std::string text = form(report);
        EXPECT_TRUE(valid_utf8(text));
        EXPECT_THAT(text, Not(HasSubstr("\x1b")));
        EXPECT_THAT(text, Not(HasSubstr("\r")));
        EXPECT_THAT(text, Not(HasSubstr("\xe2\x80\xae")));
    }
    const std::size_t bad = report.cells.size() - count(report).passed;
    EXPECT_EQ(times(report_as_tap(report), "\nnot ok "), bad);
    EXPECT_EQ(times(report_as_tap(report), "\nok "), report.cells.size() - bad);
    EXPECT_EQ(times(report_as_tap(report), "\n  ...\n"), bad);
    EXPECT_THAT(report_as_tap(report), HasSubstr("skipped \\# SKIP me\n"));
    EXPECT_EQ(times(report_as_junit(report), "<testcase "), report.cells.size());
    EXPECT_THAT(report_as_junit(report), Not(HasSubstr("]]>")));
    EXPECT_EQ(times(report_as_html(report), "<section>"), bad);
    EXPECT_THAT(report_as_html(report), Not(HasSubstr("<script")));
    EXPECT_THAT(report_as_markdown(report), HasSubstr("`````text\n```\n````\n"));
}

}  // namespace
}  // namespace sandbox
