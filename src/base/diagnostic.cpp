#include "base/diagnostic.h"

#include <algorithm>

#include "base/text.h"

namespace sandbox {
namespace {

struct Style {
    std::string_view head, strong, faint, off;
};

Style style_of(Severity severity, bool colour) {
    if (!colour) return {};
    const std::string_view head = severity == Severity::error ? "\033[1;31m" : severity == Severity::warning ? "\033[1;35m" : "\033[1;36m";
    return {head, "\033[1m", "\033[2m", "\033[0m"};
}

std::string_view word(Severity severity) {
    switch (severity) {
        case Severity::error: return "error";
        case Severity::warning: return "warning";
        case Severity::note: break;
    }
    return "note";
}

// The source line and the caret below it. Tabs are kept in the caret line so that it stays below the text.
std::string excerpt(const Diagnostic& d, const Sources& sources, const Style& style) {
    const std::string_view whole = sources.line(d.at.source, d.at.line);
    std::size_t end = std::min<std::size_t>(whole.size(), 300);
    while (end < whole.size() && end > 0 && (static_cast<unsigned char>(whole[end]) & 0xC0) == 0x80) --end;  // not within a character
    const std::string_view line = whole.substr(0, end);
    if (line.empty()) return {};
    const std::string number = std::to_string(d.at.line);
    const std::string margin(std::max<std::size_t>(number.size(), 4), ' ');
    std::string caret;
    for (const char c : printable(line.substr(0, d.at.column - std::min(d.at.column, 1U)))) {
        if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;  // a UTF-8 continuation takes no column of its own
        caret += c == '\t' ? '\t' : ' ';
    }
    caret += cat(style.head, "^", std::string(d.length > 1 ? d.length - 1 : 0, '~'), style.off);
    return cat(style.faint, std::string(margin.size() - number.size(), ' '), number, " |", style.off, " ", printable(line), "\n",
               style.faint, margin, " |", style.off, " ", caret, "\n");
}

}  // namespace

bool has_errors(const Diagnostics& diagnostics) {
    return std::ranges::any_of(diagnostics, [](const Diagnostic& d) { return d.severity == Severity::error; });
}

std::string render(const Diagnostic& d, const Sources& sources, bool colour) {
    const Style style = style_of(d.severity, colour);
    std::string where = d.at.known() ? sources.describe(d.at) : std::string(sources.name(d.at.source));
    std::string out;
    // Keys are the user's words, and a profile may come from someone who wishes to speak to the terminal.
    if (!where.empty()) out += cat(style.strong, printable(where), ": ", style.off);
    out += cat(style.head, word(d.severity), d.code.empty() ? std::string() : cat("[", d.code, "]"), ":", style.off, " ");
    if (!d.key.empty()) out += cat(printable(d.key), ": ");
    out += cat(printable(d.message), "\n");
    if (d.at.known()) out += excerpt(d, sources, style);
    for (const std::string& way : sources.describe_way(d.at.source)) out += cat("  ", printable(way), "\n");
    if (!d.hint.empty()) out += cat("  ", style.strong, "hint:", style.off, " ", printable(d.hint), "\n");
    return out;
}

}  // namespace sandbox
