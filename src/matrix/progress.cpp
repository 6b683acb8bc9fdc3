#include "matrix/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "base/write.h"
#include "matrix/report_text.h"

namespace sandbox {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t least_pause = second / 10;
constexpr std::string_view red = "\x1b[31m", yellow = "\x1b[33m", green = "\x1b[32m", plain = "\x1b[0m";

struct Range {
    char32_t first, last;
};

bool within(char32_t point, const Range* begin, const Range* end) {
    return std::any_of(begin, end, [point](const Range& range) { return point >= range.first && point <= range.last; });
}

// The static launcher has no locale, so wcwidth(3) knows nothing here: the large ranges of Unicode's EastAsianWidth and of combining marks.
std::size_t width_of(char32_t point) {
    static constexpr Range none[] = {{0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},   {0x610, 0x61A},   {0x64B, 0x65F},
                                     {0x200B, 0x200F}, {0x202A, 0x202E}, {0x2060, 0x2064}, {0x2066, 0x206F}, {0x20D0, 0x20FF},
                                     {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}};
    static constexpr Range wide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},  {0xA960, 0xA97F}, {0xAC00, 0xD7A3},
                                     {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},  {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F},
                                     {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
    if (point < 0x300) return 1;
    return within(point, std::begin(none), std::end(none)) ? 0 : within(point, std::begin(wide), std::end(wide)) ? 2 : 1;
}

// What others named: no control character, and no tab, whose width nobody knows.
std::string shown(std::string_view text) { return clean_line(printable(text)); }
std::string without_tabs(std::string text) {
    std::ranges::replace(text, '\t', ' ');
    return text;
}

// "7s", "1:05", "2:01:05"
std::string clock_text(std::int64_t nanoseconds) {
    const std::int64_t all = std::max<std::int64_t>(nanoseconds, 0) / second;
    const auto two = [](std::int64_t number) { return cat(number < 10 ? "0" : "", number); };
    if (all < 60) return cat(all, "s");
    return all < 3600 ? cat(all / 60, ":", two(all % 60)) : cat(all / 3600, ":", two(all / 60 % 60), ":", two(all % 60));
}

}  // namespace

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    for (std::size_t at = 0; at < text.size();) width += width_of(next_point(text, at));
    return width;
}

std::string cut_to_width(std::string_view text, std::size_t columns) {
    if (display_width(text) <= columns) return std::string(text);
    if (columns == 0) return {};
    std::size_t width = 0, at = 0;
    for (std::size_t next = 0; next < text.size(); at = next) {
        width += width_of(next_point(text, next));
        if (width > columns - 1) break;
    }
    return cat(text.substr(0, at), "…");
}

ProgressStyle progress_style(int fd, bool quiet) {
    const char* none = std::getenv("NO_COLOR");
    const bool terminal = isatty(fd) == 1;
    return {fd, terminal, terminal && (!none || !*none), quiet, 0, 0};
}

Progress::Size Progress::size() const {
    Size size{style_.columns, style_.rows};
    winsize found{};
    if ((size.columns == 0 || size.rows == 0) && ioctl(style_.fd, TIOCGWINSZ, &found) == 0) {
        if (size.columns == 0) size.columns = found.ws_col;
        if (size.rows == 0) size.rows = found.ws_row;
    }
    return {size.columns == 0 ? 80 : size.columns, size.rows == 0 ? 24 : size.rows};  // a serial line does not know
}

std::string Progress::paint(std::string_view text, std::string_view colour) const {
    return style_.colour ? cat(colour, text, plain) : std::string(text);
}

void Progress::begin(std::size_t total, std::size_t width) {
    total_ = total;
    width_ = std::max<std::size_t>(width, 1);
    changed_ = true;
}

void Progress::started(std::size_t task, std::string_view name, std::size_t attempt, std::string_view place, std::int64_t now) {
    running_[task] = {without_tabs(shown(name)), without_tabs(shown(place)), attempt, now};
    changed_ = true;
}

void Progress::stopped(std::size_t task) {
    running_.erase(task);
    changed_ = true;
}

void Progress::ended(std::size_t task, const CellReport& cell) {
    running_.erase(task);
    ++number_;
    switch (cell.state) {
        case CellState::passed: ++counts_.passed; break;
        case CellState::flaky: ++counts_.flaky; break;
        case CellState::failed: ++counts_.failed; break;
        case CellState::error: ++counts_.error; break;
        case CellState::not_run: ++counts_.not_run; break;
    }
    if (const Outcome* outcome = last_outcome(cell); outcome && !cell.earlier && std::isfinite(outcome->wall_s)) {
        for (const Attempt& attempt : cell.attempts) seconds_ += std::isfinite(attempt.outcome.wall_s) ? attempt.outcome.wall_s : 0;
        ++ran_;
    }
    changed_ = true;
    const bool good = cell.state == CellState::passed;
    if (!good || (!live() && !style_.quiet)) put_line(end_line(cell));
}

std::string Progress::end_line(const CellReport& cell) const {
    const bool good = cell.state == CellState::passed;
    const std::string_view colour = good ? green : cell.state == CellState::failed || cell.state == CellState::error ? red : yellow;
    std::string out = cat(paint(good ? "ok" : "not ok", colour), " ", number_, "/", total_, " ", without_tabs(title(cell)));
    const Outcome* outcome = last_outcome(cell);
    if (!good) out += cat(" ", without_tabs(shown(why(cell))), outcome ? "," : "");
    if (outcome) out += cat(" ", in_seconds(outcome->wall_s));
    if (cell.earlier) out += " (earlier)";
    if (!good && outcome && !cell.attempts.back().log.empty()) out += cat(" (log: ", shown(cell.attempts.back().log), ")");
    return out;
}

void Progress::message(std::string_view line, bool wrong) {
    if (!style_.quiet || wrong) put_line(without_tabs(shown(line)));
}

void Progress::put_line(std::string_view line) {
    if (!live()) return write_all(style_.fd, cat(line, "\n"));
    pending_ += cat(line, "\x1b[K\n");
    changed_ = true;
}

std::string Progress::time_left(std::int64_t now) const {
    if (ran_ == 0 || number_ >= total_) return {};
    const double mean = seconds_ / static_cast<double>(ran_);
    double work = mean * static_cast<double>(total_ - number_);
    for (const auto& [task, cell] : running_)
        work -= std::min(mean, static_cast<double>(std::max<std::int64_t>(now - cell.since, 0)) / static_cast<double>(second));
    const double lanes = static_cast<double>(std::min(width_, total_ - number_));
    return cat(", about ", clock_text(static_cast<std::int64_t>(std::clamp(work / lanes, 0.0, 1e9) * static_cast<double>(second))),
               " left");
}

std::string Progress::bar_line(std::size_t columns, std::int64_t now) const {
    const std::string text = cat(number_, "/", total_, "  ", counts_to_text(counts_), time_left(now));
    const std::size_t used = display_width(text) + 3;  // the brackets and a space
    if (used + 10 > columns) return cut_to_width(text, columns);
    const std::size_t length = std::min<std::size_t>(columns - used, 30);
    const std::size_t done = total_ == 0 ? 0 : std::min(number_, total_) * length / total_;
    const bool bad = counts_.all() > counts_.passed;
    return cat("[", paint(std::string(done, '='), bad ? red : green), std::string(length - done, ' '), "] ", text);
}

std::string Progress::running_line(const Running& cell, std::size_t columns, std::int64_t now) const {
    std::string after = cat("  ", clock_text(now - cell.since));
    if (cell.attempt > 1) after += cat(", attempt ", cell.attempt);
    if (!cell.place.empty()) after += cat(", on ", cell.place);
    // At least some of the name, even if that costs the node.
    const std::size_t room = std::max(columns - std::min(columns, display_width(after) + 2), columns / 2);
    return cut_to_width(cat("  ", cut_to_width(cell.name, room), after), columns);
}

std::vector<std::string> Progress::live_lines(Size size, std::int64_t now) const {
    if (size.rows < 2) return {};
    // The last column stays free: some terminals wrap when it is written, and some only with what follows.
    const std::size_t columns = size.columns - 1;
    // One row is for the bar and one for the cursor.
    const std::size_t room = size.rows > 2 ? size.rows - 2 : 0;
    const std::size_t shown = running_.size() <= room ? running_.size() : room == 0 ? 0 : room - 1;
    // The longest running first, by their beginning; the rest is a number.
    std::vector<const Running*> order;
    for (const auto& [task, cell] : running_) order.push_back(&cell);
    std::ranges::stable_sort(order, {}, &Running::since);
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < shown; ++i) lines.push_back(running_line(*order[i], columns, now));
    if (shown < running_.size() && room > 0) lines.push_back(cut_to_width(cat("  and ", running_.size() - shown, " more"), columns));
    lines.push_back(bar_line(columns, now));
    return lines;
}

// A terminal that became narrower since has wrapped the lines that were painted.
std::string Progress::back_to_top(std::size_t columns) const {
    std::size_t rows = 0;
    for (const std::size_t width : painted_) rows += std::max<std::size_t>((width + columns - 1) / columns, 1);
    return rows == 0 ? std::string("\r") : cat("\r\x1b[", rows, "A");
}

int Progress::draw(std::int64_t now) {
    if (!live()) return -1;
    const std::int64_t pause = changed_ ? least_pause : second;
    if (ever_painted_ && now - painted_at_ < pause) {
        if (!changed_ && running_.empty()) return -1;
        return static_cast<int>((pause - std::max<std::int64_t>(now - painted_at_, 0) + 999'999) / 1'000'000);
    }
    if (!ever_painted_ || changed_ || !running_.empty()) {
        const Size size = this->size();
        std::string out = cat(back_to_top(size.columns), pending_);
        painted_.clear();
        for (const std::string& line : live_lines(size, now)) {
            out += cat(line, "\x1b[K\n");
            std::string bare = line;
            for (const std::string_view code : {red, green, plain})
                if (const std::size_t at = bare.find(code); at != std::string::npos) bare.erase(at, code.size());
            painted_.push_back(display_width(bare));
        }
        write_all(style_.fd, out + "\x1b[J");
        pending_.clear();
        changed_ = false;
        ever_painted_ = true;
        painted_at_ = now;
    }
    return running_.empty() ? -1 : static_cast<int>(second / 1'000'000);
}

void Progress::finish() {
    if (live() && (ever_painted_ || !pending_.empty())) {
        const std::string top = ever_painted_ ? back_to_top(size().columns) : std::string();
        write_all(style_.fd, cat(top, pending_, ever_painted_ ? "\x1b[J" : ""));
    }
    pending_.clear();
    painted_.clear();
    running_.clear();
    finished_ = true;
}

}  // namespace sandbox
