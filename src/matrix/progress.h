// What a matrix tells while it runs: live lines on a terminal, a line for each cell elsewhere. It knows no clock and no engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "matrix/report.h"

namespace sandbox {

struct ProgressStyle {
    int fd = 2;
    bool terminal = false;
    bool colour = false;
    bool quiet = false;                 // nothing but what went wrong
    std::size_t columns = 0, rows = 0;  // 0: as the terminal says at each repaint
};
// As the descriptor and NO_COLOR say.
[[nodiscard]] ProgressStyle progress_style(int fd, bool quiet);

// Times are nanoseconds of any clock that does not jump. Only draw and finish write on a terminal; elsewhere what happens is written at
// once. What cannot be written is lost, never an error: a matrix does not end because nobody reads along.
class Progress {
   public:
    explicit Progress(ProgressStyle style) : style_(style) {}
    // `total` cells, so many of them beside each other.
    void begin(std::size_t total, std::size_t width);
    void started(std::size_t task, std::string_view name, std::size_t attempt, std::string_view place, std::int64_t now);
    // An attempt is over and its cell is not: there will be another one.
    void stopped(std::size_t task);
    // A cell is over, with the task of its last attempt (any number that does not run, for one that never began).
    void ended(std::size_t task, const CellReport& cell);
    // A line for a person; a quiet display shows it only if something is wrong.
    void message(std::string_view line, bool wrong = false);
    // Repaints if it is time to. Milliseconds until the next repaint is due; -1: not before something happens.
    int draw(std::int64_t now);
    // Writes what is left and takes the live lines away. Nothing is shown live afterwards.
    void finish();

   private:
    struct Running {
        std::string name, place;
        std::size_t attempt = 1;
        std::int64_t since = 0;
    };
    struct Size {
        std::size_t columns, rows;
    };
    [[nodiscard]] bool live() const { return style_.terminal && !style_.quiet && !finished_; }
    [[nodiscard]] Size size() const;
    [[nodiscard]] std::string paint(std::string_view text, std::string_view colour) const;
    [[nodiscard]] std::string end_line(const CellReport& cell) const;
    [[nodiscard]] std::string running_line(const Running& cell, std::size_t columns, std::int64_t now) const;
    [[nodiscard]] std::string bar_line(std::size_t columns, std::int64_t now) const;
    [[nodiscard]] std::string time_left(std::int64_t now) const;
    [[nodiscard]] std::vector<std::string> live_lines(Size size, std::int64_t now) const;
    [[nodiscard]] std::string back_to_top(std::size_t columns) const;
    void put_line(std::string_view line);

    ProgressStyle style_;
    std::size_t total_ = 0, width_ = 1, number_ = 0;
    Counts counts_;
    double seconds_ = 0;  // of the cells that ran, together
    std::size_t ran_ = 0;
    std::map<std::size_t, Running> running_;
    std::string pending_;               // lines that wait for the next repaint
    std::vector<std::size_t> painted_;  // the display width of each live line on the screen
    std::int64_t painted_at_ = 0;
    bool ever_painted_ = false, changed_ = false, finished_ = false;
};

// Columns that well-formed UTF-8 takes on a terminal, and its beginning that takes no more than so many.
[[nodiscard]] std::size_t display_width(std::string_view text);
[[nodiscard]] std::string cut_to_width(std::string_view text, std::size_t columns);

}  // namespace sandbox
