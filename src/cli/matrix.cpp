// sandbox matrix: the cells of a profile's matrix, listed, planned or run.

#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/matrix_cells.h"
#include "cli/matrix_words.h"
#include "matrix/engine.h"
#include "matrix/progress.h"
#include "matrix/record.h"
#include "matrix/report.h"
#include "matrix/schedule.h"

namespace sandbox {
namespace {

constexpr std::size_t most_runs = 100'000;  // all of them are remembered to the end, for the reports

template <class Clock>
std::int64_t now_by() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}
std::int64_t wall_now() { return now_by<std::chrono::system_clock>(); }
std::int64_t steady_now() { return now_by<std::chrono::steady_clock>(); }

// ---- where results are kept

// file-hierarchy(7): what a program keeps between its runs.
std::string state_folder() {
    if (geteuid() == 0) return "/var/lib/sandbox/matrix";
    const char *state = std::getenv("XDG_STATE_HOME"), *home = std::getenv("HOME");
    if (state && *state == '/') return cat(state, "/sandbox/matrix");
    return cat(home && *home == '/' ? home : "/tmp", "/.local/state/sandbox/matrix");
}

std::string output_folder(const MatrixFlags& flags, const std::string& name) {
    if (flags.output.empty()) return cat(state_folder(), "/", name);
    return clean_path(flags.output.starts_with('/') ? flags.output : cat(working_directory(), "/", flags.output));
}

// FNV-1a, 64 bits: not against an enemy, who could as well write results.
std::string digest_of(const std::string& text) {
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return std::to_string(hash);
}

CellNeeds needs_of(const Profile& profile) {
    CellNeeds needs;
    const auto& memory = profile.resources.memory.max;
    const auto& cpu = profile.resources.cpu.limit;
    if (memory && **memory != no_limit) needs.memory = **memory;
    if (cpu && **cpu != no_limit) needs.processors = static_cast<std::int64_t>((**cpu * 1000 + one_core - 1) / one_core);
    if (profile.lifecycle.timeout) needs.time = **profile.lifecycle.timeout;
    return needs;
}

// ---- listing

int list_cells(const std::vector<MatrixCell>& cells, const MatrixSource& source, bool names_only) {
    CellCheck check(source);
    std::string out;
    for (const MatrixCell& cell : cells) {
        if (names_only) {
            out += cat(cell.name, "\n");
            continue;
        }
        auto loaded = check.check(cell);
        if (!loaded) return print(loaded.error()), exit_launcher;
        out += cat("--- # ", cell.name, ": ", printable(cell_label(cell)), "\n", profile_to_yaml(loaded->profile));
    }
    const bool good = check.report();
    if (good) write_out(out);
    return good ? 0 : exit_launcher;
}

int plan_cells(const std::vector<MatrixCell>& cells, const MatrixSource& source) {
    CellCheck check(source);
    const CallerContext caller = caller_context();
    std::string out;
    for (const MatrixCell& cell : cells) {
        auto loaded = check.check(cell);
        if (!loaded) return print(loaded.error()), exit_launcher;
        if (has_errors(loaded->diagnostics)) continue;
        auto facts = probe_for(loaded->profile);
        if (!facts) return print(facts.error()), exit_launcher;
        out += cat("# ", cell.name, ": ", printable(cell_label(cell)), "\n",
                   plan_to_text(make_plan(loaded->profile, *facts, caller), loaded->sources), "\n");
    }
    const bool good = check.report();
    if (good) write_out(out);
    return good ? 0 : exit_launcher;
}

// ---- running

// From the schedule to what a person sees.
class Watching : public ScheduleListener {
   public:
    Watching(bool quiet, std::size_t lanes, const MatrixReport& report)
        : report_(report), progress_(progress_style(2, quiet)), lanes_(lanes) {}

    void begin(std::size_t cells) override { progress_.begin(cells, lanes_); }
    void started(std::size_t cell, std::size_t attempt, const std::string& place) override {
        progress_.started(cell, report_.cells[cell].name, attempt, place, steady_now());
    }
    void stopped(std::size_t cell) override { progress_.stopped(cell); }
    void ended(std::size_t cell, const CellReport& report) override { progress_.ended(cell, report); }
    int idle(const std::string& state) override {
        if (state != state_ && !state.empty()) progress_.message(state);
        state_ = state;
        return progress_.draw(steady_now());
    }
    void finish() { progress_.finish(); }

   private:
    const MatrixReport& report_;
    Progress progress_;
    std::size_t lanes_;
    std::string state_;  // the engine's, as it was said last
};

// What the schedule needs of each cell; nothing when one of them has a mistake, which was said.
std::optional<std::vector<ScheduledCell>> prepare_cells(const std::vector<MatrixCell>& cells, const MatrixSource& source, bool fit) {
    CellCheck check(source);
    std::vector<ScheduledCell> out;
    std::string unlimited;
    for (const MatrixCell& cell : cells) {
        auto loaded = check.check(cell);
        if (!loaded) return print(loaded.error()), std::nullopt;
        const CellNeeds needs = needs_of(loaded->profile);
        if (needs.memory == 0 && unlimited.empty()) unlimited = cell.name;
        out.push_back({cell.name, cell.values, digest_of(profile_to_yaml(loaded->profile)), needs});
    }
    if (!check.report()) return std::nullopt;
    if (fit && !unlimited.empty()) {
        print(Error{cat("--fit: the cell ", quote(unlimited), " has no limit of memory"),
                    "set resources.memory.max, or run so many at a time with -j N",
                    0,
                    {},
                    {}});
        return std::nullopt;
    }
    return out;
}

// The memory of this machine in bytes (proc_meminfo(5)).
std::uint64_t machine_memory() {
    std::ifstream file("/proc/meminfo");
    std::string key;
    std::uint64_t kibibytes = 0;
    while (file >> key >> kibibytes) {
        if (key == "MemTotal:") return kibibytes * 1024;
        file.ignore(256, '\n');
    }
    return 0;
}

Outcome run_cell(const MatrixSource& source, const MatrixCell& cell, const CellTask& task, const std::string& profile) {
    MatrixCell named = cell;
    named.name = task.name;
    LaunchFlags flags;
    flags.quiet = true;
    return run_loaded(source.load(named), profile, flags);
}

Result<std::unique_ptr<Engine>> make_engine(const MatrixFlags& flags, const MatrixWishes& wishes, const MatrixSource& source,
                                            const std::vector<MatrixCell>& cells, const std::string& profile, const Record& record) {
    if (flags.engine == "local") {
        LocalOptions options;
        options.jobs = wishes.jobs;
        if (flags.fit) options.memory = machine_memory();
        options.run = [&source, &cells, &profile](const CellTask& task) { return run_cell(source, cells[task.cell], task, profile); };
        return make_local_engine(std::move(options));
    }
    char self[4096];
    const ssize_t size = readlink("/proc/self/exe", self, sizeof self);
    if (size <= 0) return fail_errno("/proc/self/exe", errno);
    SlurmOptions options{std::string(self, static_cast<std::size_t>(size)), source.name, record.folder(), flags.slurm};
    return make_slurm_engine(std::move(options), [&source, &cells](const CellTask& task) -> Result<std::string> {
        MatrixCell named = cells[task.cell];
        named.name = task.name;
        return profile_to_yaml(source.load(named).profile);
    });
}

// SIGINT, SIGTERM and SIGHUP as something to wait for.
Fd catch_signals() {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, signal);
    sigprocmask(SIG_BLOCK, &ends, nullptr);
    return Fd(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
}

// Before an hour's work, not after it.
Status try_reports(const std::vector<ReportWish>& wishes) {
    for (const ReportWish& wish : wishes)
        if (!wish.file.empty() && !Fd(open(wish.file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)))
            return fail_errno(cat("--report ", quote(wish.file)), errno, "name a file that can be written");
    return {};
}

Status write_reports(const std::vector<ReportWish>& wishes, const MatrixReport& report) {
    for (const ReportWish& wish : wishes) {
        const std::string text = wish.make(report);
        if (wish.file.empty()) {
            write_out(text);
            continue;
        }
        std::ofstream file(wish.file, std::ios::binary | std::ios::trunc);
        file << text;
        if (!file.flush()) return fail_errno(cat("--report ", quote(wish.file)), errno);
    }
    return {};
}

Status refuse_too_many(std::size_t cells, std::int64_t repetitions) {
    if (cells * static_cast<std::size_t>(repetitions) <= most_runs) return {};
    return fail(cat(cells, " cells ", repetitions, " times are more than ", most_runs, " runs"),
                "choose cells with --only or --shard, or repeat them less often");
}

MatrixReport begin_report(const MatrixSource& source, const std::string& profile, const MatrixWishes& wishes) {
    MatrixReport report;
    report.name = source.name;
    report.profile = profile;
    report.axes = matrix_axes(source.matrix);
    report.seed = wishes.schedule.seed;
    report.begun = wall_now();
    return report;
}

// The sum for a person, the reports for programs, and the exit code.
int conclude(const Result<int>& signal, const MatrixReport& report, const MatrixWishes& wishes, const Record& record, bool quiet) {
    if (!signal) print(signal.error());
    const Counts counts = count(report);
    const bool passed = counts.passed == counts.all();
    if (!quiet || !passed) write_err(cat("sandbox: ", counts_to_text(counts), "; results in ", printable(record.folder()), "\n"));
    if (auto written = write_reports(wishes.reports, report); !written) return print(written.error()), exit_launcher;
    if (!signal) return exit_launcher;
    return *signal != 0 ? 128 + *signal : passed ? 0 : 1;
}

int run_cells(const std::vector<MatrixCell>& cells, const MatrixSource& source, const ProfileOptions& options, const MatrixFlags& flags,
              const MatrixWishes& wishes) {
    if (auto few = refuse_too_many(cells.size(), wishes.schedule.repetitions); !few) return print(few.error()), exit_launcher;
    if (auto writable = try_reports(wishes.reports); !writable) return print(writable.error()), exit_launcher;
    const auto scheduled = prepare_cells(cells, source, flags.fit);
    if (!scheduled) return exit_launcher;
    auto record = Record::open(output_folder(flags, source.name), options.profile, flags.resume);
    if (!record) return print(record.error()), exit_launcher;
    const auto engine = make_engine(flags, wishes, source, cells, options.profile, *record);
    if (!engine) return print(engine.error()), exit_launcher;
    clean_leftovers(flags.quiet);
    const Fd signals = catch_signals();
    MatrixReport report = begin_report(source, options.profile, wishes);
    if (report.seed && !flags.quiet) write_err(cat("sandbox: shuffled; the same order again: --seed ", *report.seed, "\n"));
    Watching watching(flags.quiet, flags.engine == "local" ? wishes.jobs : scheduled->size(), report);
    const auto signal = run_schedule(*scheduled, wishes.schedule, **engine, *record, signals.get(), watching, report);
    watching.finish();
    report.ended = wall_now();
    return conclude(signal, report, wishes, *record, flags.quiet);
}

}  // namespace

int verb_matrix(const ProfileOptions& options, const MatrixFlags& flags) {
    auto wishes = read_wishes(flags);
    if (!wishes) return print(wishes.error()), exit_launcher;
    MatrixSource source;
    auto all = read_cells(options, source);
    if (!all) return exit_launcher;
    auto cells = choose_cells(std::move(*all), flags);
    if (!cells) return print(cells.error()), exit_launcher;
    if (flags.list) return list_cells(*cells, source, flags.quiet);
    if (flags.plan) return plan_cells(*cells, source);
    return run_cells(*cells, source, options, flags, *wishes);
}

}  // namespace sandbox
