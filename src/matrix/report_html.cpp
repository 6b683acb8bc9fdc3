// One file that shows itself: no script, nothing fetched.
#include "base/text.h"
#include "matrix/report_text.h"

namespace sandbox {
namespace {

// Contrast of at least 4.5 to 1 in both schemes (WCAG 2.1, 1.4.3); the state is in words too, never in colour alone.
constexpr std::string_view style =
    ":root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--line:#bbb;--good:#17652a;--bad:#a40e26;--odd:#7a4d00;--shade:#f3f3f3}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#161616;--line:#555;--good:#6fd08a;--bad:#ff8f8f;--odd:#e8b04a;"
    "--shade:#242424}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:72rem;padding:0 1rem}\n"
    "div{overflow-x:auto}table{border-collapse:collapse}th,td{border:1px solid var(--line);padding:.3rem .6rem;text-align:left}\n"
    "th,pre{background:var(--shade)}pre{padding:.6rem;overflow-x:auto}.passed{color:var(--good)}.failed,.error{color:var(--bad);"
    "font-weight:bold}.flaky,.not-run{color:var(--odd);font-weight:bold}\n";

std::string text_of(std::string_view text) { return escape_markup(clean_line(text)); }
std::string or_dash(const std::string& text) { return text.empty() ? "–" : text_of(text); }
std::string_view class_of(CellState state) { return state == CellState::not_run ? "not-run" : state_name(state); }

std::string table(const Grid& grid) {
    std::string out = "<div><table>\n<thead><tr>";
    for (const std::string& axis : grid.axes) out += cat("<th scope=\"col\">", text_of(axis), "</th>");
    for (const std::string& value : grid.columns)
        out += cat("<th scope=\"col\">", grid.across.empty() ? text_of(value) : cat(text_of(grid.across), "=", or_dash(value)), "</th>");
    out += "</tr></thead>\n<tbody>\n";
    for (const Grid::Row& row : grid.rows) {
        out += "<tr>";
        for (const std::string& value : row.heads) out += cat("<th scope=\"row\">", or_dash(value), "</th>");
        for (const auto& entry : row.entries)
            out += entry.empty() ? "<td>–</td>" : cat("<td class=\"", class_of(worst_state(entry)), "\">", entry_text(entry), "</td>");
        out += "</tr>\n";
    }
    return out + "</tbody>\n</table></div>\n";
}

std::string section(const CellReport& cell) {
    std::string out = cat("<section>\n<h2>", text_of(title(cell)), "</h2>\n<p class=\"", class_of(cell.state), "\">",
                          text_of(state_and_why(cell)), "</p>\n");
    if (!cell.attempts.empty() && !cell.attempts.back().log.empty()) out += cat("<p>log: ", text_of(cell.attempts.back().log), "</p>\n");
    // A line end right after <pre> would be swallowed; a clean tail begins with none.
    if (const std::string tail = clean_lines(cell.tail); !tail.empty())
        out += cat("<details><summary>the end of its output</summary>\n<pre>", escape_markup(tail), "</pre></details>\n");
    return out + "</section>\n";
}

}  // namespace

std::string report_as_html(const MatrixReport& report) {
    const std::string heading = cat(text_of(report.name), ": ", counts_to_text(count(report)));
    std::string out =
        cat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
            "content=\"width=device-width\">\n<title>",
            heading, "</title>\n<style>\n", style, "</style>\n</head>\n<body>\n<main>\n<h1>", heading, "</h1>\n<p>", facts_text(report),
            "</p>\n");
    if (!report.cells.empty()) out += table(make_grid(report));
    for (const CellReport& cell : report.cells)
        if (cell.state != CellState::passed) out += section(cell);
    return out + "</main>\n</body>\n</html>\n";
}

}  // namespace sandbox
