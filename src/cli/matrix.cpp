// sandbox matrix: the cells of a profile's matrix, listed, planned or run.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/matrix_cells.h"
#include "matrix/engine.h"
#include "matrix/progress.h"
#include "matrix/record.h"
#include "matrix/report.h"
#include "matrix/schedule.h"

namespace sandbox {
namespace {

std::int64_t wall_now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// ---- words of the command line

struct ReportWish {
    std::string (*make)(const MatrixReport&);
    std::string file;  // empty: standard output
};

Result<ReportWish> read_report(const std::string& word) {
    struct Format {
        std::string_view name;
        std::string (*make)(const MatrixReport&);
    };
    constexpr Format formats[]{{"tap", report_as_tap},
                               {"junit", report_as_junit},
                               {"json", report_as_json_lines},
                               {"md", report_as_markdown},
                               {"html", report_as_html}};
    const auto equals = word.find('=');
    const std::string_view name = std::string_view(word).substr(0, equals);
    const auto* format = std::ranges::find(formats, name, &Format::name);
    if (format == std::end(formats)) return fail(cat("there is no report ", quote(name)), "tap, junit, json, md or html");
    if (equals == std::string::npos) return ReportWish{format->make, {}};
    if (equals + 1 == word.size()) return fail(cat("--report ", quote(word), " names no file"), "write --report FORMAT=FILE");
    return ReportWish{format->make, word.substr(equals + 1)};
}

Result<std::int64_t> read_number(const std::string& option, const std::string& word, std::int64_t least, std::int64_t most,
                                 std::int64_t otherwise) {
    if (word.empty()) return otherwise;
    const auto number = parse_int(word);
    if (number && *number >= least && *number <= most) return *number;
    return fail(cat(option, " ", quote(word), " is no number from ", least, " to ", most));
}

// What can be told from the words alone.
struct Wishes {
    std::vector<ReportWish> reports;
    ScheduleOptions schedule;
    std::size_t jobs = 1;
};

std::size_t processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::size_t>(std::max(1, CPU_COUNT(&set))) : 1;
}

Result<std::uint64_t> read_seed(const std::string& word) {
    if (word.empty()) return std::random_device{}();
    const auto number = read_number("--seed", word, 0, std::int64_t{1} << 62, 0);
    if (!number) return tl::unexpected<Error>(number.error());
    return static_cast<std::uint64_t>(*number);
}

Result<Wishes> read_wishes(const MatrixFlags& flags) {
    Wishes wishes;
    for (const std::string& word : flags.reports) {
        auto report = read_report(word);
        if (!report) return pass(report);
        wishes.reports.push_back(std::move(*report));
    }
    const auto on_output = [](const ReportWish& wish) { return wish.file.empty(); };
    if (std::ranges::count_if(wishes.reports, on_output) > 1)
        return fail("two reports cannot both go to standard output", "write --report FORMAT=FILE for one of them");
    auto jobs = read_number("-j", flags.jobs, 1, 4096, static_cast<std::int64_t>(processors()));
    if (!jobs) return pass(jobs);
    wishes.jobs = static_cast<std::size_t>(*jobs);
    auto retries = read_number("--retry", flags.retry, 0, 100, 0);
    if (!retries) return pass(retries);
    auto repetitions = read_number("--repeat", flags.repeat, 1, 10'000, 1);
    if (!repetitions) return pass(repetitions);
    wishes.schedule.retries = *retries;
    wishes.schedule.repetitions = *repetitions;
    wishes.schedule.fail_fast = flags.fail_fast;
    if (flags.shuffle || !flags.seed.empty()) {
        auto seed = read_seed(flags.seed);
        if (!seed) return pass(seed);
        wishes.schedule.seed = *seed;
    }
    if (flags.engine != "local" && flags.engine != "slurm") return fail(cat("there is no engine ", quote(flags.engine)), "local, or slurm");
    if (flags.engine == "slurm" && (flags.fit || !flags.jobs.empty()))
        return fail(cat(flags.fit ? "--fit" : "-j", " is for this machine's own engine"), "Slurm decides how many cells run at a time");
    if (flags.engine != "slurm" && !flags.slurm.empty()) return fail("--slurm-option needs --engine slurm");
    return wishes;
}

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
        progress_.started(cell, report_.cells[cell].name, attempt, place, wall_now());
    }
    void stopped(std::size_t cell) override { progress_.stopped(cell); }
    void ended(std::size_t cell, const CellReport& report) override { progress_.ended(cell, report); }
    int idle(const std::string& state) override {
        if (state != state_ && !state.empty()) progress_.message(state);
        state_ = state;
        return progress_.draw(wall_now());
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

Result<std::unique_ptr<Engine>> make_engine(const MatrixFlags& flags, const Wishes& wishes, const MatrixSource& source,
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

int run_cells(const std::vector<MatrixCell>& cells, const MatrixSource& source, const ProfileOptions& options, const MatrixFlags& flags,
              const Wishes& wishes) {
    auto scheduled = prepare_cells(cells, source, flags.fit);
    if (!scheduled) return exit_launcher;
    auto record = Record::open(output_folder(flags, source.name), options.profile, flags.resume);
    if (!record) return print(record.error()), exit_launcher;
    auto engine = make_engine(flags, wishes, source, cells, options.profile, *record);
    if (!engine) return print(engine.error()), exit_launcher;
    clean_leftovers(flags.quiet);
    const Fd signals = catch_signals();
    MatrixReport report;
    report.name = source.name;
    report.profile = options.profile;
    report.axes = matrix_axes(source.matrix);
    report.seed = wishes.schedule.seed;
    report.begun = wall_now();
    if (report.seed && !flags.quiet) write_err(cat("sandbox: shuffled; the same order again: --seed ", *report.seed, "\n"));
    Watching watching(flags.quiet, flags.engine == "local" ? wishes.jobs : scheduled->size(), report);
    auto signal = run_schedule(*scheduled, wishes.schedule, **engine, *record, signals.get(), watching, report);
    watching.finish();
    report.ended = wall_now();
    if (!signal) print(signal.error());
    const Counts counts = count(report);
    if (!flags.quiet || counts.passed != counts.all())
        write_err(cat("sandbox: ", counts_to_text(counts), "; results in ", printable(record->folder()), "\n"));
    if (auto written = write_reports(wishes.reports, report); !written) return print(written.error()), exit_launcher;
    if (!signal) return exit_launcher;
    if (*signal != 0) return 128 + *signal;
    return counts.passed == counts.all() ? 0 : 1;
}

}  // namespace

int verb_matrix(const ProfileOptions& options, const MatrixFlags& flags) {
    auto wishes = read_wishes(flags);
    if (!wishes) return print(wishes.error()), exit_launcher;
    MatrixSource source;
    int code = 0;
    auto all = read_cells(options, source, code);
    if (!all) return code;
    auto cells = choose_cells(std::move(*all), flags);
    if (!cells) return print(cells.error()), exit_launcher;
    if (flags.list) return list_cells(*cells, source, flags.quiet);
    if (flags.plan) return plan_cells(*cells, source);
    return run_cells(*cells, source, options, flags, *wishes);
}

}  // namespace sandbox
