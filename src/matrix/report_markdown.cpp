// Markdown as GitHub reads it: a job's summary, a comment.
#include <algorithm>

#include "base/text.h"
#include "matrix/report_text.h"

namespace sandbox {
namespace {

std::string inline_text(std::string_view text) {
    constexpr std::string_view special = "\\`*_[]|~#!$";
    std::string out;
    for (const char c : clean_line(text)) {
        if (special.find(c) != std::string_view::npos) out += '\\';
        if (c == '<' || c == '>' || c == '&' || c == '@')
            out += c == '@' ? "&#64;" : escape_markup(std::string_view(&c, 1));  // no one is called by an output
        else
            out += c;
    }
    return out;
}

// A fence ends at the first line with as many backticks.
std::string fenced(std::string_view text) {
    std::size_t longest = 2, run = 0;
    for (const char c : text) {
        run = c == '`' ? run + 1 : 0;
        longest = std::max(longest, run);
    }
    const std::string fence(longest + 1, '`');
    return cat(fence, "text\n", text, "\n", fence, "\n");
}

std::string or_dash(const std::string& text) { return text.empty() ? "–" : inline_text(text); }

std::string table(const Grid& grid) {
    std::string head = "|", line = "|", body;
    for (const std::string& axis : grid.axes) head += cat(" ", inline_text(axis), " |"), line += " --- |";
    for (const std::string& value : grid.columns) {
        head += grid.across.empty() ? cat(" ", inline_text(value), " |") : cat(" ", inline_text(grid.across), "=", or_dash(value), " |");
        line += " --- |";
    }
    for (const Grid::Row& row : grid.rows) {
        body += "|";
        for (const std::string& value : row.heads) body += cat(" ", or_dash(value), " |");
        for (const auto& entry : row.entries) {
            const bool loud = !entry.empty() && worst_state(entry) != CellState::passed;
            body += loud ? cat(" **", entry_text(entry), "** |") : cat(" ", entry_text(entry), " |");
        }
        body += "\n";
    }
    return cat(head, "\n", line, "\n", body);
}

std::string section(const CellReport& cell) {
    std::string out = cat("\n### ", inline_text(title(cell)), "\n\n", inline_text(state_and_why(cell)), "\n");
    if (!cell.attempts.empty() && !cell.attempts.back().log.empty()) out += cat("\nlog: ", inline_text(cell.attempts.back().log), "\n");
    if (const std::string tail = clean_lines(cell.tail); !tail.empty()) out += cat("\n", fenced(tail));
    return out;
}

}  // namespace

std::string report_as_markdown(const MatrixReport& report) {
    std::string out = cat("## ", inline_text(report.name), ": ", counts_to_text(count(report)), "\n\n", facts_text(report), "\n");
    if (!report.cells.empty()) out += cat("\n", table(make_grid(report)));
    for (const CellReport& cell : report.cells)
        if (cell.state != CellState::passed) out += section(cell);
    return out;
}

}  // namespace sandbox
