#include "matrix/report_text.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <iterator>

#include "base/text.h"

namespace sandbox {
namespace {

std::string padded(std::int64_t number, std::size_t digits) {
    std::string out = std::to_string(number);
    return out.size() < digits ? std::string(digits - out.size(), '0') + out : out;
}

// Not a number, negative or endless: nothing that a clock gives, but a result.json may say anything.
double sane(double seconds) { return std::isfinite(seconds) ? std::clamp(seconds, 0.0, 1e9) : 0; }

std::size_t length_of_point(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return valid_utf8(text.substr(0, length)) && length <= text.size() ? length : 0;
}

// "\x1b[31m" and the like: what a terminal would not show either.
std::size_t length_of_sequence(std::string_view text) {
    if (!text.starts_with("\x1b[")) return 0;
    std::size_t end = 2;
    while (end < text.size() && text[end] >= 0x20 && text[end] < 0x40) ++end;
    return end < text.size() && text[end] >= 0x40 && text[end] < 0x7F ? end + 1 : 0;
}

// XML 1.0 forbids the controls and the non-characters; YAML 1.1 ends a line at U+2028 and U+2029, and readers of both are about; the marks
// that turn the direction would let a cell rearrange the report around it.
bool is_forbidden(char32_t point) {
    const bool control = (point < 0x20 && point != '\t') || (point >= 0x7F && point < 0xA0) || point == 0xFFFE || point == 0xFFFF;
    const bool turns = (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
    return control || turns || point == 0x2028 || point == 0x2029;
}

std::string clean(std::string_view text, std::string_view line_end) {
    constexpr std::string_view replacement = "\xEF\xBF\xBD";
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::string_view rest = text.substr(at);
        if (rest.front() == '\n' || rest.front() == '\r') {
            at += rest.starts_with("\r\n") ? 2 : 1;
            out += line_end;
        } else if (const std::size_t sequence = length_of_sequence(rest)) {
            at += sequence;
        } else if (const std::size_t length = length_of_point(rest)) {
            std::size_t begin = 0;
            out += is_forbidden(next_point(rest, begin)) ? replacement : rest.substr(0, length);
            at += length;
        } else {
            out += replacement;
            ++at;
        }
    }
    return out;
}

std::string value_of(const CellReport& cell, std::string_view axis) {
    for (const auto& [name, value] : cell.values)
        if (name == axis) return value;
    return {};
}

template <class T>
std::size_t index_or_add(std::vector<T>& list, const T& value) {
    const auto found = std::ranges::find(list, value);
    if (found != list.end()) return static_cast<std::size_t>(found - list.begin());
    list.push_back(value);
    return list.size() - 1;
}

int badness(CellState state) {
    switch (state) {
        case CellState::passed: return 0;
        case CellState::not_run: return 1;
        case CellState::flaky: return 2;
        case CellState::failed: return 3;
        case CellState::error: return 4;
    }
    return 4;
}

std::string_view short_state(CellState state) {
    return state == CellState::passed ? "pass" : state == CellState::failed ? "fail" : state_name(state);
}

}  // namespace

std::string in_seconds(double seconds) {
    seconds = sane(seconds);
    if (seconds < 0.095) return cat("0.", padded(std::llround(seconds * 100), 2), " s");
    const auto tenths = std::llround(seconds * 10);
    return cat(tenths / 10, ".", tenths % 10, " s");
}

std::string with_thousandths(double seconds) {
    const auto thousandths = std::llround(sane(seconds) * 1000);
    return cat(thousandths / 1000, ".", padded(thousandths % 1000, 3));
}

std::string iso_time(std::int64_t nanoseconds) {
    const std::time_t seconds = nanoseconds / 1'000'000'000;
    tm time{};
    if (!gmtime_r(&seconds, &time)) return "1970-01-01T00:00:00";
    return cat(padded(time.tm_year + 1900, 4), "-", padded(time.tm_mon + 1, 2), "-", padded(time.tm_mday, 2), "T", padded(time.tm_hour, 2),
               ":", padded(time.tm_min, 2), ":", padded(time.tm_sec, 2));
}

char32_t next_point(std::string_view text, std::size_t& at) {
    const auto lead = static_cast<unsigned char>(text[at++]);
    if (lead < 0x80) return lead;
    char32_t point = lead & (lead < 0xE0 ? 0x1F : lead < 0xF0 ? 0x0F : 0x07);
    for (; at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; ++at)
        point = point << 6 | (static_cast<unsigned char>(text[at]) & 0x3F);
    return point;
}

std::string clean_lines(std::string_view text) {
    std::string out = clean(text, "\n");
    while (!out.empty() && (out.back() == '\n' || out.back() == ' ' || out.back() == '\t')) out.pop_back();
    out.erase(0, std::min(out.find_first_not_of('\n'), out.size()));
    return out;
}

std::string clean_line(std::string_view text) { return clean(trim(text), " "); }

std::string title(const CellReport& cell) {
    std::string name = clean_line(printable(cell.name));
    if (name.empty()) name = "unnamed";
    return cell.repetition > 1 ? cat(name, " (repetition ", cell.repetition, ")") : name;
}

const Outcome* last_outcome(const CellReport& cell) { return cell.attempts.empty() ? nullptr : &cell.attempts.back().outcome; }

std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    return name ? cat("SIG", name) : cat("signal ", signal);
}

std::string why(const Attempt& attempt) {
    const Outcome& o = attempt.outcome;
    if (o.reason == "exit") return cat("exit code ", o.exit_code);
    if (o.reason == "signal") return cat("killed by ", signal_name(o.signal));
    if (o.reason == "oom")
        return o.memory_peak_bytes > 0 ? cat("out of memory (peak ", rounded_size(o.memory_peak_bytes), ")") : "out of memory";
    if (o.reason == "timeout") return cat("longer than its time limit, ", in_seconds(o.wall_s));
    if (o.reason == "pids") return o.pids_peak ? cat("out of processes (peak ", *o.pids_peak, ")") : "out of processes";
    const std::string problem = clean_line(attempt.problem);
    if (!problem.empty()) return problem;
    return o.reason == "launcher" ? "the launcher did not say why" : clean_line(o.reason);
}

std::string why(const CellReport& cell) {
    if (cell.state == CellState::passed) return {};
    if (cell.state == CellState::not_run) return cell.attempts.empty() ? "not run" : "cancelled before its end";
    if (cell.attempts.empty()) return "no attempt was made";
    if (cell.state != CellState::flaky) return why(cell.attempts.back());
    const auto passed = std::ranges::count_if(cell.attempts, &Attempt::passed);
    std::string out = cat("flaky, ", passed, " of ", cell.attempts.size(), " attempts passed");
    const auto bad = std::find_if_not(cell.attempts.rbegin(), cell.attempts.rend(), [](const Attempt& a) { return a.passed(); });
    return bad == cell.attempts.rend() ? out : cat(out, ": ", why(*bad));
}

std::string state_and_why(const CellReport& cell) {
    const std::string reason = why(cell);
    if (reason.empty()) return std::string(state_name(cell.state));
    return reason.starts_with(state_name(cell.state)) ? reason : cat(state_name(cell.state), ": ", reason);
}

std::string escape_markup(std::string_view text) {
    std::string out;
    for (const char c : text) switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += c;
        }
    return out;
}

Grid make_grid(const MatrixReport& report) {
    Grid grid;
    if (!report.axes.empty()) grid.across = report.axes.back();
    for (std::size_t i = 0; i + 1 < report.axes.size(); ++i) grid.axes.push_back(report.axes[i]);
    // What an include adds may have axes of its own: they go down, so that no two combinations share an entry.
    for (const CellReport& cell : report.cells)
        for (const auto& [axis, value] : cell.values)
            if (report.axes.empty() || axis != grid.across) (void)index_or_add(grid.axes, axis);
    for (const CellReport& cell : report.cells)
        (void)index_or_add(grid.columns, grid.across.empty() ? std::string("result") : value_of(cell, grid.across));
    std::vector<std::vector<std::string>> heads;
    for (const CellReport& cell : report.cells) {
        std::vector<std::string> head;
        for (const std::string& axis : grid.axes) head.push_back(value_of(cell, axis));
        const std::size_t row = index_or_add(heads, head);
        if (row == grid.rows.size()) grid.rows.push_back({head, std::vector<std::vector<const CellReport*>>(grid.columns.size())});
        const std::string column = grid.across.empty() ? std::string("result") : value_of(cell, grid.across);
        grid.rows[row].entries[index_or_add(grid.columns, column)].push_back(&cell);
    }
    return grid;
}

CellState worst_state(const std::vector<const CellReport*>& cells) {
    CellState worst = CellState::passed;
    for (const CellReport* cell : cells)
        if (badness(cell->state) > badness(worst)) worst = cell->state;
    return worst;
}

std::string entry_text(const std::vector<const CellReport*>& cells) {
    if (cells.empty()) return "–";
    double seconds = 0;
    std::uint64_t memory = 0;
    std::size_t passed = 0;
    bool ran = false;
    for (const CellReport* cell : cells) {
        passed += cell->state == CellState::passed;
        const Outcome* outcome = last_outcome(*cell);
        if (!outcome || cell->state == CellState::not_run) continue;
        ran = true;
        seconds = std::max(seconds, sane(outcome->wall_s));
        memory = std::max(memory, outcome->memory_peak_bytes);
    }
    std::string out(short_state(worst_state(cells)));
    if (cells.size() > 1) out += cat(" ", passed, "/", cells.size(), ran ? "," : "");
    if (ran) out += cat(" ", in_seconds(seconds));
    if (memory > 0) out += cat(", ", rounded_size(memory));
    return out;
}

std::string facts_text(const MatrixReport& report) {
    std::string out =
        cat("took ", in_seconds(static_cast<double>(report.ended - report.begun) / 1e9), ", begun ", iso_time(report.begun), "Z");
    if (report.seed) out += cat(", shuffled with seed ", *report.seed);
    if (report.cancelled) out += ", cancelled";
    return out;
}

}  // namespace sandbox
