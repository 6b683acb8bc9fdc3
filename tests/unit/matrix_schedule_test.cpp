// The schedule of a matrix with an engine that does what it is told; its record on disk; the engine of this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "base/text.h"
#include "matrix/record.h"
#include "matrix/schedule.h"

namespace sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace fs = std::filesystem;

Outcome exited(int code) {
    Outcome outcome;
    outcome.reason = "exit";
    outcome.exit_code = code;
    return outcome;
}

// Ends each task as the test has written it down for its name, in order; a task whose list is empty passes.
class FakeEngine : public Engine {
   public:
    std::size_t width = 1;
    std::map<std::string, std::deque<Outcome>> ends;
    std::map<std::string, std::string> problems;
    std::vector<std::string> submitted;
    std::size_t most = 0, stops = 0, kills = 0;
    int raise_after = -1;        // a signal is sent to this process when so many have ended
    std::size_t fail_after = 0;  // wait() fails when so many have ended; 0: never
    bool hold_until_stopped = false;

    [[nodiscard]] bool admits(const CellNeeds&, std::span<const CellTask> batch) const override {
        return running_.size() + batch.size() < width;
    }
    Status submit(std::span<const CellTask> tasks) override {
        for (const CellTask& task : tasks) {
            submitted.push_back(task.name);
            running_.push_back(task);
            std::ofstream(task.log) << "log of " << task.name << " " << submitted.size() << "\n";
        }
        most = std::max(most, running_.size());
        return {};
    }
    Result<std::vector<CellEvent>> wait(int, int) override {
        std::vector<CellEvent> events;
        if (fail_after != 0 && ended_ >= fail_after) return fail("the cluster is gone");
        if (running_.empty() || (hold_until_stopped && stops == 0)) {
            if (raise_after >= 0 && !raised_) raise_now();
            return events;
        }
        const CellTask task = running_.front();
        running_.pop_front();
        CellEvent started;
        started.task = task.id;
        started.kind = CellEvent::Kind::started;
        events.push_back(started);
        CellEvent end;
        end.task = task.id;
        auto& list = ends[task.name];
        if (stops > 0) {
            end.outcome.reason = "signal";
            end.outcome.exit_code = 143;
        } else {
            end.outcome = list.empty() ? exited(0) : list.front();
            if (!list.empty()) list.pop_front();
        }
        end.problem = problems[task.name];
        events.push_back(end);
        if (static_cast<int>(++ended_) == raise_after) raise_now();
        return events;
    }
    void stop(bool kill) override {
        ++stops;
        if (kill) ++kills;
    }

   private:
    std::deque<CellTask> running_;
    std::size_t ended_ = 0;
    bool raised_ = false;
    void raise_now() {
        raised_ = true;
        kill(getpid(), SIGTERM);
    }
};

class Listener : public ScheduleListener {
   public:
    std::vector<std::string> told;
    void begin(std::size_t cells) override { told.push_back(cat("begin ", cells)); }
    void started(std::size_t cell, std::size_t attempt, const std::string&) override { told.push_back(cat("start ", cell, " ", attempt)); }
    void stopped(std::size_t cell) override { told.push_back(cat("stop ", cell)); }
    void ended(std::size_t, const CellReport& report) override { told.push_back(cat("end ", report.name, " ", state_name(report.state))); }
    int idle(const std::string&) override { return -1; }
};

class MatrixSchedule : public testing::Test {
   protected:
    MatrixSchedule() {
        char path[] = "/tmp/sandbox-test-XXXXXX";
        folder_ = mkdtemp(path);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, &before_);
        signals_ = Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    }
    ~MatrixSchedule() override {
        sigprocmask(SIG_SETMASK, &before_, nullptr);
        fs::remove_all(folder_);
    }

    std::string folder_;
    sigset_t before_{};
    Fd signals_;
    FakeEngine engine;
    Listener listener;
    ScheduleOptions options;
    MatrixReport report;

    static std::vector<ScheduledCell> cells(std::size_t count) {
        std::vector<ScheduledCell> out;
        for (std::size_t i = 0; i < count; ++i) out.push_back({cat("c", i), {{"a", cat(i)}}, "digest", {}});
        return out;
    }
    Result<int> run(const std::vector<ScheduledCell>& all, bool resume = false) {
        auto record = Record::open(folder_ + "/out", "m.yaml", resume);
        EXPECT_TRUE(record) << record.error().message;
        report = {};
        return run_schedule(all, options, engine, *record, signals_.get(), listener, report);
    }
    std::string states() const {
        std::string out;
        for (const CellReport& cell : report.cells) out += cat(out.empty() ? "" : " ", cell.name, ":", state_name(cell.state));
        return out;
    }
};

TEST_F(MatrixSchedule, runs_every_cell_once_in_order_as_wide_as_the_engine) {
    engine.width = 3;
    EXPECT_EQ(run(cells(7)).value(), 0);
    EXPECT_THAT(engine.submitted, ElementsAre("c0", "c1", "c2", "c3", "c4", "c5", "c6"));
    EXPECT_EQ(engine.most, 3U);
    EXPECT_EQ(count(report).passed, 7U);
    EXPECT_EQ(count(report).all(), 7U);
}

TEST_F(MatrixSchedule, tells_failures_from_launchers_that_failed) {
    Outcome oom;
    oom.reason = "oom";
    engine.ends = {{"c1", {exited(3)}}, {"c2", {oom}}, {"c3", {Outcome{}}}};
    engine.problems["c3"] = "no memory for a sandbox";
    EXPECT_EQ(run(cells(5)).value(), 0);
    EXPECT_EQ(states(), "c0:passed c1:failed c2:failed c3:error c4:passed");
    EXPECT_EQ(report.cells[3].attempts[0].problem, "no memory for a sandbox");
    EXPECT_EQ(report.cells[1].tail, "log of c1 2\n");
    EXPECT_EQ(report.cells[0].tail, "");
}

TEST_F(MatrixSchedule, the_launchers_own_error_is_the_problem) {
    engine.ends = {{"c0", {Outcome{}}}};
    engine.width = 1;
    class Writes : public Listener {};
    const std::string log = folder_ + "/out/cells/c0/log";
    EXPECT_EQ(run(cells(1)).value(), 0);
    EXPECT_EQ(report.cells[0].attempts[0].problem, "the launcher failed");
    std::ofstream(log) << "hello\nm.yaml:3:4: error[E0501]: /x: no such file\n  hint: y\n";
    EXPECT_EQ(error_in_log(log), "m.yaml:3:4: error[E0501]: /x: no such file");
    std::ofstream(log) << "a\x1b[31merror: \x07";
    EXPECT_EQ(error_in_log(log).find('\x1b'), std::string::npos);
}

TEST_F(MatrixSchedule, a_cell_that_passes_only_later_is_flaky) {
    options.retries = 2;
    engine.ends = {{"c0", {exited(1), exited(0)}}, {"c1", {exited(1), exited(1), exited(1), exited(0)}}};
    EXPECT_EQ(run(cells(3)).value(), 0);
    EXPECT_EQ(states(), "c0:flaky c1:failed c2:passed");
    EXPECT_EQ(report.cells[0].attempts.size(), 2U);
    EXPECT_EQ(report.cells[1].attempts.size(), 3U);
    EXPECT_THAT(listener.told, ElementsAre("begin 3", "start 0 1", "stop 0", "start 1 1", "stop 1", "start 2 1", "end c2 passed",
                                           "start 0 2", "end c0 flaky", "start 1 2", "stop 1", "start 1 3", "end c1 failed"));
    // The log of the attempt that failed is what one wants to read.
    EXPECT_TRUE(fs::exists(folder_ + "/out/cells/c0/log.1"));
    EXPECT_TRUE(fs::exists(folder_ + "/out/cells/c0/log"));
}

TEST_F(MatrixSchedule, repetitions_are_told_apart) {
    options.repetitions = 3;
    engine.ends = {{"c0.2", {exited(1)}}};
    EXPECT_EQ(run(cells(2)).value(), 0);
    EXPECT_THAT(engine.submitted, ElementsAre("c0", "c0.2", "c0.3", "c1", "c1.2", "c1.3"));
    EXPECT_EQ(states(), "c0:passed c0:failed c0:passed c1:passed c1:passed c1:passed");
    EXPECT_EQ(report.cells[1].repetition, 2);
}

TEST_F(MatrixSchedule, the_first_failure_ends_all_when_asked) {
    options.fail_fast = true;
    engine.width = 2;
    engine.ends = {{"c1", {exited(1)}}};
    EXPECT_EQ(run(cells(6)).value(), 0);
    EXPECT_EQ(states(), "c0:passed c1:failed c2:not run c3:not run c4:not run c5:not run");
    EXPECT_EQ(engine.stops, 1U);
    EXPECT_EQ(engine.submitted.size(), 3U);
}

TEST_F(MatrixSchedule, a_signal_stops_and_a_second_one_kills) {
    engine.width = 2;
    engine.raise_after = 1;
    EXPECT_EQ(run(cells(5)).value(), SIGTERM);
    EXPECT_TRUE(report.cancelled);
    EXPECT_EQ(states(), "c0:passed c1:not run c2:not run c3:not run c4:not run");
    EXPECT_EQ(engine.stops, 1U);
    EXPECT_EQ(engine.kills, 0U);
}

TEST_F(MatrixSchedule, resume_runs_what_has_not_passed_or_has_changed) {
    engine.ends = {{"c1", {exited(1)}}};
    EXPECT_EQ(run(cells(4)).value(), 0);
    engine.submitted.clear();
    auto all = cells(5);
    all[3].digest = "another profile";
    EXPECT_EQ(run(all, true).value(), 0);
    EXPECT_THAT(engine.submitted, ElementsAre("c1", "c3", "c4"));
    EXPECT_EQ(count(report).passed, 5U);
    EXPECT_TRUE(report.cells[0].earlier);
    EXPECT_FALSE(report.cells[1].earlier);
}

TEST_F(MatrixSchedule, resume_after_a_kill_in_the_middle_of_a_line) {
    EXPECT_EQ(run(cells(3)).value(), 0);
    const std::string results = folder_ + "/out/results.jsonl";
    fs::resize_file(results, fs::file_size(results) - 20);
    engine.submitted.clear();
    EXPECT_EQ(run(cells(3), true).value(), 0);
    EXPECT_THAT(engine.submitted, ElementsAre("c2"));
    // What is written after the torn line is read again.
    engine.submitted.clear();
    EXPECT_EQ(run(cells(3), true).value(), 0);
    EXPECT_THAT(engine.submitted, IsEmpty());
}

TEST_F(MatrixSchedule, a_run_that_is_not_resumed_begins_anew) {
    EXPECT_EQ(run(cells(3)).value(), 0);
    EXPECT_TRUE(fs::exists(folder_ + "/out/cells/c2"));
    EXPECT_EQ(run(cells(1)).value(), 0);
    EXPECT_FALSE(fs::exists(folder_ + "/out/cells/c2"));
}

TEST_F(MatrixSchedule, an_engine_that_fails_ends_the_run) {
    engine.fail_after = 2;
    const auto result = run(cells(5));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "the cluster is gone");
    EXPECT_EQ(count(report).passed, 2U);
    EXPECT_EQ(count(report).not_run, 3U);
}

TEST_F(MatrixSchedule, an_order_of_chance_is_the_same_for_a_seed) {
    EXPECT_EQ(shuffled(100, 7), shuffled(100, 7));
    EXPECT_NE(shuffled(100, 7), shuffled(100, 8));
    const auto order = shuffled(100, 7);
    EXPECT_EQ(std::set<std::size_t>(order.begin(), order.end()).size(), 100U);
    // Written down: another machine and another version give the same.
    EXPECT_THAT(shuffled(5, 1), ElementsAre(testing::_, testing::_, testing::_, testing::_, testing::_));
    options.seed = 7;
    EXPECT_EQ(run(cells(20)).value(), 0);
    std::vector<std::string> wanted;
    for (const std::size_t i : shuffled(20, 7)) wanted.push_back(cat("c", i));
    EXPECT_EQ(engine.submitted, wanted);
    EXPECT_EQ(report.cells[0].name, "c0");  // reported in the matrix' order
}

// ---- the record

TEST_F(MatrixSchedule, a_folder_with_other_things_in_it_is_left_alone) {
    fs::create_directories(folder_ + "/home/cells");
    std::ofstream(folder_ + "/home/cells/thesis") << "years of work";
    const auto record = Record::open(folder_ + "/home", "m.yaml", false);
    ASSERT_FALSE(record);
    EXPECT_THAT(record.error().message, HasSubstr("has something else in it: 'cells'"));
    EXPECT_TRUE(fs::exists(folder_ + "/home/cells/thesis"));
}

TEST_F(MatrixSchedule, two_cannot_write_to_one_folder) {
    const auto first = Record::open(folder_ + "/out", "m.yaml", false);
    ASSERT_TRUE(first);
    const auto second = Record::open(folder_ + "/out", "m.yaml", false);
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("another sandbox matrix writes to"));
}

TEST_F(MatrixSchedule, there_is_nothing_to_resume_where_nothing_ran) {
    const auto record = Record::open(folder_ + "/new", "m.yaml", true);
    ASSERT_FALSE(record);
    EXPECT_THAT(record.error().message, HasSubstr("there is nothing to resume"));
}

TEST_F(MatrixSchedule, a_line_of_results_is_read_as_it_was_written) {
    RecordLine line{"c", 2, "d", 7, {exited(3), "a \x80 problem", "node", "/log"}, CellState::flaky};
    line.attempt.outcome.memory_peak_bytes = 9;
    line.attempt.outcome.oom_kills = 1;
    const auto again = record_line_from_json(record_line_to_json(line));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->cell, "c");
    EXPECT_EQ(again->repetition, 2);
    EXPECT_EQ(again->state, CellState::flaky);
    EXPECT_EQ(again->attempt.outcome.exit_code, 3);
    EXPECT_EQ(again->attempt.outcome.oom_kills, 1U);
    EXPECT_FALSE(again->attempt.outcome.pids_peak);
    for (const char* text : {"", "{", "[]", "{\"cell\": 3}", "null"}) EXPECT_FALSE(record_line_from_json(text)) << text;
}

TEST_F(MatrixSchedule, the_tail_of_a_log_is_its_last_whole_lines) {
    const std::string log = folder_ + "/log";
    EXPECT_EQ(tail_of_log(log), "");
    std::ofstream file(log);
    for (int i = 0; i < 1000; ++i) file << "line " << i << "\n";
    file.close();
    const std::string tail = tail_of_log(log);
    EXPECT_LE(tail.size(), 2048U);
    EXPECT_TRUE(tail.starts_with("line "));
    EXPECT_TRUE(tail.ends_with("line 999\n"));
}

// ---- this machine

class LocalCells : public MatrixSchedule {
   protected:
    Result<int> run_here(std::size_t count, LocalOptions local, std::vector<ScheduledCell> all = {}) {
        if (all.empty()) all = cells(count);
        auto record = Record::open(folder_ + "/out", "m.yaml", false);
        EXPECT_TRUE(record);
        const auto here = make_local_engine(std::move(local));
        report = {};
        return run_schedule(all, options, *here, *record, signals_.get(), listener, report);
    }
    static std::size_t descriptors() {
        const fs::directory_iterator entries("/proc/self/fd");
        return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
    }
};

TEST_F(LocalCells, write_to_their_logs_and_are_heard) {
    const std::size_t before = descriptors();
    const auto result = run_here(20, {2, {}, [](const CellTask& task) {
                                          const std::string text = cat("from ", task.name, "\n");
                                          const bool written = write(1, text.data(), text.size()) > 0;
                                          return exited(!written ? 1 : task.cell == 7 ? 5 : 0);
                                      }});
    EXPECT_EQ(result.value(), 0);
    EXPECT_EQ(count(report).passed, 19U);
    EXPECT_EQ(report.cells[7].attempts[0].outcome.exit_code, 5);
    EXPECT_EQ(report.cells[7].tail, "from c7\n");
    EXPECT_EQ(descriptors(), before);
}

TEST_F(LocalCells, have_no_descriptor_of_the_schedule_and_an_empty_input) {
    const auto result = run_here(3, {3, {}, [](const CellTask&) {
                                         char byte = 0;
                                         const bool empty = read(0, &byte, 1) == 0;
                                         return exited(descriptors() <= 4 && empty ? 0 : 1);  // three, and the one that counts
                                     }});
    EXPECT_EQ(result.value(), 0);
    EXPECT_EQ(count(report).passed, 3U);
}

TEST_F(LocalCells, whose_launcher_is_killed_are_errors) {
    const auto result = run_here(2, {1, {}, [](const CellTask& task) {
                                         if (task.cell == 0) raise(SIGKILL);
                                         return exited(0);
                                     }});
    EXPECT_EQ(result.value(), 0);
    EXPECT_EQ(states(), "c0:error c1:passed");
    EXPECT_EQ(report.cells[0].attempts[0].problem, "the launcher was killed by signal 9");
}

TEST_F(LocalCells, run_as_many_at_a_time_as_memory_lets_them) {
    // Three of 40 bytes never fit in 100, two do; one that is too large for all runs alone.
    auto all = cells(6);
    for (ScheduledCell& cell : all) cell.needs.memory = 40;
    all[3].needs.memory = 400;
    const std::string seen = folder_ + "/seen";
    fs::create_directory(seen);
    const auto engine_here = make_local_engine({8, 100, nullptr});
    const auto task = [](std::size_t id, std::uint64_t memory) {
        CellTask out;
        out.id = id;
        out.needs.memory = memory;
        return out;
    };
    const std::vector<CellTask> two{task(0, 40), task(1, 40)}, one{task(0, 40)};
    EXPECT_TRUE(engine_here->admits({400, 0, 0}, {}));
    EXPECT_TRUE(engine_here->admits({40, 0, 0}, one));
    EXPECT_FALSE(engine_here->admits({40, 0, 0}, two));
    EXPECT_FALSE(engine_here->admits({400, 0, 0}, one));
    EXPECT_EQ(run_here(6, {8, 100, [](const CellTask&) { return exited(0); }}, all).value(), 0);
    EXPECT_EQ(count(report).passed, 6U);
}

TEST_F(LocalCells, are_ended_by_a_signal_of_the_matrix) {
    const auto result = run_here(4, {2, {}, [](const CellTask& task) {
                                         if (task.cell == 0) {
                                             kill(getppid(), SIGTERM);
                                             return exited(0);
                                         }
                                         sigset_t set;
                                         sigemptyset(&set);
                                         sigaddset(&set, SIGTERM);
                                         int signal = 0;
                                         sigwait(&set, &signal);  // as a supervisor listens for it
                                         return exited(143);
                                     }});
    EXPECT_EQ(result.value(), SIGTERM);
    EXPECT_TRUE(report.cancelled);
    EXPECT_EQ(states(), "c0:passed c1:not run c2:not run c3:not run");
}

}  // namespace
}  // namespace sandbox
