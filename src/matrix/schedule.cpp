#include "matrix/schedule.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <numeric>

#include "base/text.h"

namespace sandbox {
namespace {

std::int64_t now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// splitmix64 (Steele, Lea, Flood 2014): the same numbers on every machine, which std::shuffle does not promise.
std::uint64_t next_random(std::uint64_t& state) {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

class Schedule {
   public:
    Schedule(const std::vector<ScheduledCell>& cells, const ScheduleOptions& options, Engine& engine, Record& record, int signals,
             ScheduleListener& listener, MatrixReport& report)
        : cells_(cells), options_(options), engine_(engine), record_(record), signals_(signals), listener_(listener), report_(report) {}

    Result<int> run() {
        fill_in();
        listener_.begin(queue_.size());
        while (!queue_.empty() || !running_.empty()) {
            if (auto started = start_what_fits(); !started) return give_up(started.error());
            int pause = listener_.idle(engine_.state());
            if (const int interval = engine_.state_interval(); interval >= 0 && (pause < 0 || pause > interval)) pause = interval;
            stopped_ = stopping_;
            auto events = engine_.wait(signals_, pause);
            if (!events) return tl::unexpected<Error>(std::move(events.error()));
            for (CellEvent& event : *events)
                if (auto done = take(event); !done) return give_up(done.error());
            hear_signals();
        }
        return signal_;
    }

   private:
    const std::vector<ScheduledCell>& cells_;
    const ScheduleOptions& options_;
    Engine& engine_;
    Record& record_;
    int signals_;
    ScheduleListener& listener_;
    MatrixReport& report_;
    std::deque<std::size_t> queue_;                             // of report_.cells, by index
    std::vector<std::pair<std::size_t, std::string>> running_;  // the same, with the folder
    bool stopping_ = false;                                     // nothing starts any more
    bool stopped_ = false;                                      // what ends now may have been ended by us
    int signal_ = 0;

    [[nodiscard]] const ScheduledCell& cell_of(std::size_t run) const {
        return cells_[run / static_cast<std::size_t>(options_.repetitions)];
    }

    void fill_in() {
        for (const ScheduledCell& cell : cells_)
            for (std::int64_t repetition = 1; repetition <= options_.repetitions; ++repetition) {
                CellReport out;
                out.name = cell.name;
                out.values = cell.values;
                out.repetition = repetition;
                report_.cells.push_back(std::move(out));
            }
        std::vector<std::size_t> order(report_.cells.size());
        std::iota(order.begin(), order.end(), 0);
        if (options_.seed) order = shuffled(order.size(), *options_.seed);
        for (const std::size_t run : order)
            if (!take_earlier(run)) queue_.push_back(run);
    }

    // What has passed with the profile that it has today need not run again.
    bool take_earlier(std::size_t run) {
        CellReport& cell = report_.cells[run];
        const RecordLine* line = record_.earlier(cell.name, cell.repetition);
        if (!line || line->state != CellState::passed || line->digest != cell_of(run).digest) return false;
        cell.state = CellState::passed;
        cell.earlier = true;
        cell.begun = line->begun;
        cell.attempts.push_back(line->attempt);
        return true;
    }

    Status start_what_fits() {
        std::vector<CellTask> batch;
        while (!stopping_ && !queue_.empty() && engine_.admits(cell_of(queue_.front()).needs, batch)) {
            auto task = make_task(queue_.front());
            if (!task) return pass(task);
            batch.push_back(std::move(*task));
            queue_.pop_front();
        }
        if (stopping_) queue_.clear();
        if (batch.empty()) return {};
        if (auto submitted = engine_.submit(batch); !submitted) return submitted;
        for (const CellTask& task : batch) running_.emplace_back(task.id, task.log);
        return {};
    }

    Result<CellTask> make_task(std::size_t run) {
        const CellReport& report = report_.cells[run];
        const ScheduledCell& cell = cell_of(run);
        auto folder = record_.make_cell_folder(cell.name, report.repetition, report.attempts.size() + 1);
        if (!folder) return pass(folder);
        CellTask task;
        task.id = run;
        task.cell = run / static_cast<std::size_t>(options_.repetitions);
        task.name = report.repetition == 1 ? cell.name : cat(cell.name, ".", report.repetition);
        task.folder = *folder;
        task.log = *folder + "/log";
        task.result = *folder + "/result.json";
        task.needs = cell.needs;
        return task;
    }

    Status take(CellEvent& event) {
        CellReport& cell = report_.cells[event.task];
        if (event.kind == CellEvent::Kind::started) {
            if (cell.begun == 0) cell.begun = now();
            listener_.started(event.task, cell.attempts.size() + 1, event.place);
            return {};
        }
        const auto running = std::ranges::find(running_, event.task, &std::pair<std::size_t, std::string>::first);
        if (running == running_.end()) return {};
        Attempt attempt{std::move(event.outcome), std::move(event.problem), std::move(event.place), std::move(running->second)};
        running_.erase(running);
        if (!attempt.passed() && attempt.outcome.reason == "launcher" && attempt.problem.empty()) {
            attempt.problem = error_in_log(attempt.log);
            if (attempt.problem.empty()) attempt.problem = "the launcher failed";
        }
        cell.attempts.push_back(std::move(attempt));
        return settle(event.task);
    }

    // What a cell is after one more attempt, and whether there is another one.
    Status settle(std::size_t run) {
        CellReport& cell = report_.cells[run];
        const Attempt& last = cell.attempts.back();
        const bool again = !last.passed() && !stopping_ && static_cast<std::int64_t>(cell.attempts.size()) <= options_.retries;
        if (last.passed())
            cell.state = cell.attempts.size() == 1 ? CellState::passed : CellState::flaky;
        else if (stopped_)
            cell.state = CellState::not_run;
        else
            cell.state = last.outcome.reason == "launcher" ? CellState::error : CellState::failed;
        if (!last.passed()) cell.tail = tail_of_log(last.log);
        const RecordLine line{cell.name, cell.repetition, cell_of(run).digest, cell.begun, last, cell.state};
        if (auto written = record_.add(line); !written) return written;
        if (again) {
            queue_.push_back(run);
            listener_.stopped(run);
            return {};
        }
        listener_.ended(run, cell);
        if (options_.fail_fast && !stopping_ && cell.state != CellState::passed) stop(false);
        return {};
    }

    void stop(bool kill) {
        stopping_ = true;
        queue_.clear();
        engine_.stop(kill);
    }

    void hear_signals() {
        signalfd_siginfo information{};
        while (read(signals_, &information, sizeof information) == static_cast<ssize_t>(sizeof information)) {
            report_.cancelled = true;
            const bool second = signal_ != 0;
            if (!second) signal_ = static_cast<int>(information.ssi_signo);
            stop(second);
        }
    }

    // Nothing of it is left running.
    tl::unexpected<Error> give_up(Error& error) {
        stop(false);
        while (!running_.empty()) {
            auto events = engine_.wait(signals_, -1);
            if (!events) break;
            for (const CellEvent& event : *events)
                if (event.kind == CellEvent::Kind::ended)
                    std::erase_if(running_, [&event](const auto& running) { return running.first == event.task; });
            hear_signals();
        }
        return tl::unexpected<Error>(std::move(error));
    }
};

}  // namespace

std::vector<std::size_t> shuffled(std::size_t n, std::uint64_t seed) {
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[next_random(seed) % i]);
    return order;
}

Result<int> run_schedule(const std::vector<ScheduledCell>& cells, const ScheduleOptions& options, Engine& engine, Record& record,
                         int signals, ScheduleListener& listener, MatrixReport& report) {
    return Schedule(cells, options, engine, record, signals, listener, report).run();
}

}  // namespace sandbox
