// The progress display, on a terminal of our own that knows the sequences it uses.
#include "matrix/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "matrix/nasty_report.h"
#include "matrix/report_text.h"

namespace sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using enum CellState;

constexpr std::int64_t second = 1'000'000'000;

// Endless upwards: what scrolls out stays in `rows`. The cursor cannot go above what the screen shows.
class Screen {
   public:
    Screen(std::size_t columns, std::size_t height) : columns_(columns), height_(height) {}

    void feed(std::string_view text) {
        for (std::size_t at = 0; at < text.size();) {
            if (text[at] == '\x1b') {
                at = sequence(text, at);
            } else if (text[at] == '\n') {
                ++at, down(), x_ = 0;
            } else if (text[at] == '\r') {
                ++at, x_ = 0;
            } else {
                const std::size_t begin = at;
                (void)next_point(text, at);
                put(text.substr(begin, at - begin));
            }
        }
    }
    [[nodiscard]] std::vector<std::string> lines() const {
        std::vector<std::string> out;
        for (const auto& row : rows_) {
            std::string line;
            for (const std::string& field : row) line += field;
            while (line.ends_with(' ')) line.pop_back();
            out.push_back(line);
        }
        while (!out.empty() && out.back().empty()) out.pop_back();
        return out;
    }
    std::size_t wrapped = 0;

   private:
    void down() {
        if (++y_ >= rows_.size()) rows_.emplace_back();
    }
    void put(std::string_view point) {
        const std::size_t width = display_width(point);
        if (width == 0) return;
        if (x_ + width > columns_) down(), x_ = 0, ++wrapped;
        auto& row = rows_[y_];
        if (row.size() < x_ + width) row.resize(x_ + width, " ");
        row[x_] = point;
        if (width == 2) row[x_ + 1].clear();
        x_ += width;
    }
    std::size_t sequence(std::string_view text, std::size_t at) {
        EXPECT_EQ(text[at + 1], '[');
        std::size_t number = 0;
        for (at += 2; text[at] >= '0' && text[at] <= '9'; ++at) number = number * 10 + static_cast<std::size_t>(text[at] - '0');
        switch (text[at]) {
            case 'A': {
                const std::size_t top = rows_.size() > height_ ? rows_.size() - height_ : 0;
                y_ = std::max(top, y_ - std::min(number, y_));
                break;
            }
            case 'K': rows_[y_].resize(std::min(rows_[y_].size(), x_), " "); break;
            case 'J':
                rows_[y_].resize(std::min(rows_[y_].size(), x_), " ");
                for (std::size_t i = y_ + 1; i < rows_.size(); ++i) rows_[i].clear();
                break;
            case 'm': break;
            default: ADD_FAILURE() << "unknown sequence " << text[at];
        }
        return at + 1;
    }
    std::size_t columns_, height_, x_ = 0, y_ = 0;
    std::vector<std::vector<std::string>> rows_ = {{}};
};

struct MatrixProgress : testing::Test {
    explicit MatrixProgress() : fd(memfd_create("progress", 0)) {}
    ~MatrixProgress() override { close(fd); }
    ProgressStyle terminal(std::size_t columns, std::size_t rows, bool colour = false) const {
        return {fd, true, colour, false, columns, rows};
    }
    std::string taken() {
        std::string out(static_cast<std::size_t>(lseek(fd, 0, SEEK_CUR)), '\0');
        EXPECT_EQ(pread(fd, out.data(), out.size(), 0), static_cast<ssize_t>(out.size()));
        EXPECT_EQ(ftruncate(fd, 0), 0);
        lseek(fd, 0, SEEK_SET);
        return out;
    }
    int fd;
};

TEST_F(MatrixProgress, ElsewhereALineForEachCell) {
    Progress progress({fd, false, false, false, 0, 0});
    progress.begin(1000, 2);
    progress.started(1, "a", 1, "", 0);
    progress.ended(1, a_cell("a", {}, passed, {an_attempt("exit", 0, 0.01)}));
    progress.ended(2, a_cell("b\x1b[2J", {}, failed, {an_attempt("exit", 3, 0.01)}));
    progress.message("two\nlines");
    progress.ended(9, a_cell("c", {}, not_run, {}));
    EXPECT_EQ(progress.draw(second), -1);
    progress.finish();
    EXPECT_EQ(
        taken(),
        "ok 1/1000 a 0.01 s\nnot ok 2/1000 b\\x1b[2J exit code 3, 0.01 s (log: /tmp/matrix/log)\ntwo\\x0alines\nnot ok 3/1000 c not run\n");
}

TEST_F(MatrixProgress, QuietSaysOnlyWhatWentWrong) {
    for (const bool terminal : {false, true}) {
        Progress progress({fd, terminal, false, true, 80, 24});
        progress.begin(3, 1);
        progress.started(1, "a", 1, "", 0);
        progress.ended(1, a_cell("a", {}, passed, {an_attempt("exit", 0)}));
        progress.message("hello");
        progress.message("the node is gone", true);
        progress.ended(2, a_cell("b", {}, error, {}));
        EXPECT_EQ(progress.draw(second), -1);
        progress.finish();
        EXPECT_EQ(taken(), "the node is gone\nnot ok 2/3 b no attempt was made\n");
    }
}

TEST_F(MatrixProgress, PaintsInPlace) {
    Screen screen(80, 24);
    Progress progress(terminal(80, 24, true));
    progress.begin(4, 2);
    progress.started(1, "first", 1, "", 0);
    progress.started(2, "second", 2, "n7", second);
    EXPECT_EQ(progress.draw(3 * second), 1000);
    screen.feed(taken());
    EXPECT_THAT(screen.lines(),
                ElementsAre("  first  3s", "  second  2s, attempt 2, on n7", "[                              ] 0/4  0 passed"));
    progress.ended(1, a_cell("first", {}, failed, {an_attempt("exit", 3, 4)}));
    EXPECT_EQ(progress.draw(3 * second + second / 20), 50);
    EXPECT_EQ(taken(), "");
    progress.draw(5 * second);
    screen.feed(taken());
    // Three are left at 4 s each; the one that runs has done them: (12 - 4) / 2.
    EXPECT_THAT(screen.lines(), ElementsAre("not ok 1/4 first exit code 3, 4.0 s (log: /tmp/matrix/log)", "  second  4s, attempt 2, on n7",
                                            "[=======                       ] 1/4  0 passed, 1 failed, about 4s left"));
    progress.ended(2, a_cell("second", {}, passed, {an_attempt("exit", 0)}));
    progress.finish();
    screen.feed(taken());
    EXPECT_THAT(screen.lines(), ElementsAre("not ok 1/4 first exit code 3, 4.0 s (log: /tmp/matrix/log)"));
    EXPECT_EQ(progress.draw(9 * second), -1);
    EXPECT_EQ(taken(), "");
}

TEST_F(MatrixProgress, NeverWiderOrHigherThanTheTerminal) {
    for (const std::size_t columns : {1, 2, 5, 12, 20, 40})
        for (const std::size_t rows : {1, 2, 3, 5}) {
            Screen screen(columns, rows);
            Progress progress(terminal(columns, rows, true));
            progress.begin(100, 10);
            for (std::size_t i = 0; i < 8; ++i) progress.started(i, "名前-very-long-\xcc\x81name\xff-of-a-cell", i + 1, "some-node", 0);
            for (int i = 1; i < 5; ++i) {
                progress.draw(i * second);
                screen.feed(taken());
            }
            EXPECT_EQ(screen.wrapped, 0U) << columns;
            EXPECT_LE(screen.lines().size(), rows) << columns << "x" << rows;
            progress.finish();
            screen.feed(taken());
            EXPECT_THAT(screen.lines(), ElementsAre()) << columns << "x" << rows;
        }
}

TEST_F(MatrixProgress, SaysHowManyMoreRun) {
    Screen screen(60, 5);
    Progress progress(terminal(60, 5));
    progress.begin(10, 5);
    for (std::size_t i = 0; i < 5; ++i) progress.started(i, cat("cell", i), 1, "", 0);
    progress.draw(65 * second);
    screen.feed(taken());
    EXPECT_THAT(screen.lines(), ElementsAre("  cell0  1:05", "  cell1  1:05", "  and 3 more", HasSubstr("0/10  0 passed")));
}

TEST_F(MatrixProgress, NoColourWithoutLeave) {
    Progress progress(terminal(60, 5));
    progress.begin(1, 1);
    progress.ended(1, a_cell("x", {}, failed, {an_attempt("exit", 1)}));
    progress.draw(0);
    const std::string out = taken();
    for (const std::string_view code : {"\x1b[0m", "\x1b[31m", "\x1b[32m"}) EXPECT_THAT(out, Not(HasSubstr(code)));
}

TEST_F(MatrixProgress, CutsByDisplayWidth) {
    EXPECT_EQ(display_width("名a\xcc\x81"), 3U);
    EXPECT_EQ(cut_to_width("名前が", 4), "名…");
    EXPECT_EQ(cut_to_width("abc", 3), "abc");
    EXPECT_EQ(cut_to_width("abc", 0), "");
}

}  // namespace
}  // namespace sandbox
