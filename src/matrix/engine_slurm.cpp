// Cells as tasks of Slurm's job arrays. What is known of a task is what squeue says of it, and what it has written: its result, and
// the node on which it ran. Nothing listens; the queue is looked at about once a second, as everybody's is.

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/fd.h"
#include "base/text.h"
#include "matrix/engine.h"
#include "matrix/program.h"
#include "matrix/slurm_parts.h"

namespace sandbox {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace slurm;

constexpr milliseconds for_answer{60'000};       // a program that asks the controller tries it several times by itself
constexpr milliseconds for_submission{300'000};  // a busy controller takes its time, and nobody knows what it has taken then
// Looks at a task that has ended before it counts as one without a result: file systems of clusters are seen late by others.
constexpr int late_looks = 5;
constexpr std::size_t largest_result = 1 << 20, end_of_log = 1 << 16;
constexpr std::uint32_t usual_array_size = 1001;
// One command line names at most so many tasks.
constexpr std::size_t most_named = 500;

// Variables by which a user changes what these programs say and do: a list that was filtered would look like tasks that have ended.
const std::vector<std::string>& unwanted() {
    static const std::vector<std::string> names = {"SQUEUE_", "SCANCEL_", "SBATCH_WAIT", "SBATCH_ARRAY_INX", "SBATCH_TEST_ONLY"};
    return names;
}

Error not_installed(const std::string& program, Error error) {
    if (error.number != ENOENT) return error;
    return {cat(program, ": not found"), "install Slurm's programs (slurm-client), or run the cells here: --engine local", ENOENT, {}, {}};
}

std::string words_of(const ProgramEnd& end) {
    std::string words = one_line(end.errors);
    return words.empty() ? describe_wait_status(end.status) : words;
}

Result<ProgramEnd> run(const std::vector<std::string>& argv, milliseconds time, std::string hint) {
    auto end = run_program(argv, unwanted(), time);
    if (!end) return tl::unexpected<Error>(not_installed(argv.front(), std::move(end.error())));
    if (end->status != 0) return fail(cat(argv.front(), ": ", words_of(*end)), std::move(hint));
    return end;
}

Status write_new(const std::string& path, std::string_view text, mode_t mode) {
    unlink(path.c_str());
    const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file) return fail_errno(path, errno);
    while (!text.empty()) {
        const ssize_t n = write(file.get(), text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(path, errno);
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

// The last `limit` bytes of a file; nothing if it is not there. Its folder is opened first: only that makes NFS ask its server again
// whether there is a file that was not there a moment ago (close-to-open, nfs(5)).
std::optional<std::string> read_end(const std::string& path, std::size_t limit) {
    const Fd folder(open(path.substr(0, path.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    struct stat about {};
    if (!file || fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) return std::nullopt;
    const auto size = static_cast<std::size_t>(about.st_size);
    std::string out(std::min(size, limit), '\0');
    const ssize_t n = pread(file.get(), out.data(), out.size(), static_cast<off_t>(size - out.size()));
    if (n < 0) return std::nullopt;
    out.resize(static_cast<std::size_t>(n));
    return out;
}

bool same(const CellNeeds& a, const CellNeeds& b) { return words_for(a) == words_for(b); }

// The tasks of one array need the same; groups stand in the order of their first tasks.
std::vector<std::vector<CellTask>> group(std::span<const CellTask> tasks, std::size_t most) {
    std::vector<std::vector<CellTask>> whole, out;
    for (const CellTask& task : tasks) {
        const auto found = std::ranges::find_if(whole, [&](const auto& others) { return same(others.front().needs, task.needs); });
        if (found == whole.end())
            whole.push_back({task});
        else
            found->push_back(task);
    }
    for (const auto& tasks_of_group : whole)
        for (std::size_t from = 0; from < tasks_of_group.size(); from += most) {
            const std::size_t to = std::min(tasks_of_group.size(), from + most);
            out.emplace_back(tasks_of_group.begin() + static_cast<std::ptrdiff_t>(from),
                             tasks_of_group.begin() + static_cast<std::ptrdiff_t>(to));
        }
    return out;
}

using Key = std::pair<std::uint64_t, std::uint32_t>;  // array, index

struct Pending {
    CellTask cell;
    Phase phase = Phase::waiting;
    std::string state, nodes, reason;  // as squeue has them
    bool started = false;
    bool asked = false;  // to stop
    int looks = 0;       // since it has ended without a result that could be read
};

struct Array {
    std::string folder;
    std::string cluster;  // empty: the usual one
    std::size_t left = 0;
};

// What is on its way to Slurm: a signal, or a cancellation. `keys`: the tasks that were asked by it.
struct Order {
    std::vector<std::string> argv;
    std::vector<Key> keys;
};

class SlurmEngine final : public Engine {
   public:
    SlurmEngine(SlurmOptions options, std::function<Result<std::string>(const CellTask&)> profile, std::uint32_t most)
        : options_(std::move(options)), profile_(std::move(profile)), most_(most) {}

    // The queue holds what there is no room for.
    [[nodiscard]] bool admits(const CellNeeds&, std::span<const CellTask>) const override { return true; }
    [[nodiscard]] Status submit(std::span<const CellTask> tasks) override;
    [[nodiscard]] Result<std::vector<CellEvent>> wait(int wake, int milliseconds) override;
    void stop(bool kill) override;
    [[nodiscard]] std::string state() const override;
    [[nodiscard]] int state_interval() const override { return options_.interval; }

   private:
    Result<Submitted> submit_array(const std::vector<CellTask>& tasks, const std::string& folder) const;
    Result<std::string> new_folder();
    std::vector<std::string> program(const char* name, const std::string& cluster) const;

    Status advance();
    Status look_at_queue(const ProgramEnd& end);
    Status out_of_reach(const std::string& words);
    void apply(const std::vector<QueueLine>& lines);
    void look_at(const Key& key, Pending& task, const QueueLine* line);
    void look_for_result(const Key& key, Pending& task);
    void learn(const ProgramEnd& end);
    Status ask_or_rest();
    Status start_queue();
    void start(Pending& task);
    void end(const Key& key, Outcome outcome, std::string problem, std::string place);
    void end_without_result(const Key& key, const JobDetails& details);
    void forget(const Key& key);
    void ask_to_stop();
    void cancel(const char* state);
    void order(std::vector<std::string> argv, std::vector<Key> keys);
    void carry_out_orders();

    SlurmOptions options_;
    std::function<Result<std::string>(const CellTask&)> profile_;
    std::uint32_t most_;
    std::size_t folders_ = 0;
    std::map<Key, Pending> tasks_;
    std::map<std::uint64_t, Array> arrays_;
    std::vector<CellEvent> events_;

    // A look: squeue for each cluster, then scontrol for each array with tasks that have left no result.
    std::optional<Program> asking_;
    std::deque<std::string> clusters_;    // still to ask in this look
    std::vector<QueueLine> lines_;        // of this look
    std::optional<std::uint64_t> about_;  // the array that scontrol is asked about
    std::deque<std::uint64_t> unclear_;   // to be asked about
    Clock::time_point next_look_ = Clock::now();
    std::optional<Clock::time_point> unreachable_since_;
    std::string unreachable_words_;

    bool stopping_ = false, killing_ = false;
    std::deque<Order> orders_;
    std::optional<Program> ordering_;  // the first of them
};

// ---- submission

std::vector<std::string> SlurmEngine::program(const char* name, const std::string& cluster) const {
    std::vector<std::string> out = {name};
    if (!cluster.empty()) out.push_back(cat("--clusters=", cluster));
    return out;
}

Result<std::string> SlurmEngine::new_folder() {
    std::error_code error;
    std::filesystem::create_directories(options_.folder, error);
    if (error) return fail_errno(options_.folder, error.value());
    while (true) {
        std::string folder = cat(options_.folder, "/array-", ++folders_);
        if (mkdir(folder.c_str(), 0700) == 0) return folder;
        if (errno != EEXIST) return fail_errno(folder, errno);
    }
}

Result<Submitted> SlurmEngine::submit_array(const std::vector<CellTask>& tasks, const std::string& folder) const {
    for (std::size_t i = 0; i < tasks.size(); ++i)
        if (auto written = write_new(cat(folder, "/", i), task_script(tasks[i], options_.command), 0600); !written) return pass(written);
    const std::string script = cat(folder, "/script");
    if (auto written = write_new(script, array_script(folder), 0700); !written) return pass(written);
    std::vector<std::string> argv = {"sbatch",
                                     "--parsable",
                                     cat("--job-name=", job_name(options_.name)),
                                     cat("--array=0-", tasks.size() - 1),
                                     "--nodes=1",
                                     "--ntasks=1",
                                     "--output=/dev/null",
                                     "--export=ALL"};
    for (std::string& word : words_for(tasks.front().needs)) argv.push_back(std::move(word));
    argv.insert(argv.end(), options_.options.begin(), options_.options.end());
    argv.push_back(script);
    auto answer = run(argv, for_submission, "sbatch(1) has what the words mean");
    if (!answer) return pass(answer);
    auto submitted = parse_submitted(answer->output);
    if (!submitted) return fail(cat("sbatch: cannot read its answer ", quote(trim(answer->output))));
    return std::move(*submitted);
}

Status SlurmEngine::submit(std::span<const CellTask> tasks) {
    for (const CellTask& task : tasks) {
        auto text = profile_(task);
        if (!text) return pass(text);
        if (auto written = write_new(profile_path(task), *text, 0600); !written) return written;
        unlink(task.result.c_str());  // of an earlier attempt, it would be taken for this one's
        unlink(node_path(task).c_str());
    }
    std::vector<std::pair<std::uint64_t, std::vector<CellTask>>> taken;
    std::map<std::uint64_t, Array> arrays;
    for (auto& together : group(tasks, most_)) {
        auto folder = new_folder();
        auto submitted = folder ? submit_array(together, *folder) : pass(folder);
        if (!submitted) {
            // All or nothing: those that Slurm has already are taken back, and a task that begins meanwhile finds that it may not.
            for (const auto& [job, array] : arrays) {
                static_cast<void>(write_new(cat(array.folder, "/stop"), {}, 0600).has_value());
                auto argv = program("scancel", array.cluster);
                argv.push_back(std::to_string(job));
                static_cast<void>(run(argv, for_answer, {}).has_value());
            }
            return pass(submitted);
        }
        arrays[submitted->job] = {std::move(*folder), std::move(submitted->cluster), together.size()};
        taken.emplace_back(submitted->job, std::move(together));
    }
    if (tasks_.empty()) next_look_ = Clock::now() + milliseconds(options_.interval);
    for (auto& [job, together] : taken)
        for (std::size_t i = 0; i < together.size(); ++i) tasks_[{job, static_cast<std::uint32_t>(i)}].cell = std::move(together[i]);
    arrays_.merge(arrays);
    return {};
}

// ---- the queue

Result<std::vector<CellEvent>> SlurmEngine::wait(int wake, int timeout) {
    const auto until = timeout < 0 ? Clock::time_point::max() : Clock::now() + milliseconds(timeout);
    while (true) {
        carry_out_orders();
        if (auto advanced = advance(); !advanced) return pass(advanced);
        if (!events_.empty() || Clock::now() >= until) return std::exchange(events_, {});
        auto first = until;
        std::array<pollfd, 3> polls = {{{wake, POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}}};
        if (ordering_) polls[1].fd = ordering_->descriptor(), first = std::min(first, ordering_->deadline());
        if (asking_) polls[2].fd = asking_->descriptor();
        if (asking_ || !tasks_.empty()) first = std::min(first, asking_ ? asking_->deadline() : next_look_);
        int time = -1;
        if (first != Clock::time_point::max()) {
            const auto left = std::chrono::ceil<milliseconds>(first - Clock::now()).count();
            time = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
        }
        if (poll(polls.data(), polls.size(), time) > 0 && polls[0].revents != 0) return std::exchange(events_, {});
    }
}

Status SlurmEngine::advance() {
    if (!asking_) return tasks_.empty() || Clock::now() < next_look_ ? Status() : start_queue();
    auto ended = asking_->end();
    if (!ended) return {};
    asking_.reset();
    if (!about_) return look_at_queue(*ended);
    learn(*ended);
    return ask_or_rest();
}

// One call for all jobs of a cluster. That they are asked for by their owner too spares the controller a list of everybody's; but
// root can submit for another (--uid).
Status SlurmEngine::start_queue() {
    if (clusters_.empty()) {
        lines_.clear();
        std::set<std::string> clusters;
        for (const auto& [job, array] : arrays_) clusters.insert(array.cluster);
        clusters_.assign(clusters.begin(), clusters.end());
    }
    std::vector<std::string> jobs;
    for (const auto& [job, array] : arrays_)
        if (array.cluster == clusters_.front()) jobs.push_back(std::to_string(job));
    auto argv = program("squeue", clusters_.front());
    for (std::string word : {std::string("--noheader"), std::string("--array"), std::string("--states=all"),
                             cat("--jobs=", join(jobs, ",")), cat("--format=", queue_format)})
        argv.push_back(std::move(word));
    const bool for_another = std::ranges::any_of(options_.options, [](const std::string& word) { return word.starts_with("--uid"); });
    if (!for_another) argv.push_back(cat("--user=", geteuid()));
    auto started = Program::start(argv, unwanted(), for_answer);
    if (!started) return out_of_reach(not_installed("squeue", std::move(started.error())).message);
    asking_ = std::move(*started);
    return {};
}

Status SlurmEngine::look_at_queue(const ProgramEnd& end) {
    // What it says when it has forgotten the one job that it was asked for.
    const bool forgotten = end.status != 0 && end.errors.find("Invalid job id") != std::string::npos;
    if (end.status != 0 && !forgotten) return out_of_reach(words_of(end));
    auto lines = parse_queue(end.output);
    if (!lines) return out_of_reach(lines.error().message);
    unreachable_since_.reset();
    lines_.insert(lines_.end(), std::make_move_iterator(lines->begin()), std::make_move_iterator(lines->end()));
    clusters_.pop_front();
    if (!clusters_.empty()) return start_queue();
    apply(lines_);
    return ask_or_rest();
}

Status SlurmEngine::out_of_reach(const std::string& words) {
    clusters_.clear();
    next_look_ = Clock::now() + milliseconds(options_.interval);
    unreachable_words_ = words;
    if (!unreachable_since_) unreachable_since_ = Clock::now();
    if (Clock::now() - *unreachable_since_ < milliseconds(options_.patience)) return {};
    return fail(cat("squeue: ", words),
                "is Slurm's controller up (scontrol ping)? what was submitted goes on without us: squeue shows it, scancel ends it");
}

void SlurmEngine::apply(const std::vector<QueueLine>& lines) {
    std::map<Key, const QueueLine*> own;
    std::map<std::uint64_t, const QueueLine*> whole;  // what is left of an array that was cancelled is one line, without indices
    for (const QueueLine& line : lines) {
        if (line.ids.whole) whole[line.ids.job] = &line;
        for (const std::uint32_t index : line.ids.tasks) own[{line.ids.job, index}] = &line;
    }
    std::vector<Key> keys;
    for (const auto& [key, task] : tasks_) keys.push_back(key);
    for (const Key& key : keys) {
        const auto line = own.find(key);
        const auto rest = whole.find(key.first);
        look_at(key, tasks_.at(key), line != own.end() ? line->second : rest != whole.end() ? rest->second : nullptr);
    }
    if (stopping_) ask_to_stop();
}

void SlurmEngine::look_at(const Key& key, Pending& task, const QueueLine* line) {
    task.phase = line ? phase_of(line->state) : Phase::over;
    task.state = line ? line->state : std::string();
    task.reason = line ? line->reason : std::string();
    if (line && !line->nodes.empty()) task.nodes = line->nodes;
    if (task.phase == Phase::waiting || task.phase == Phase::running) task.looks = 0;
    if (task.phase == Phase::running || task.phase == Phase::leaving) start(task);
    // Its node may take long to clear up, and what was preempted writes a result too, before it is queued again.
    if (task.phase == Phase::leaving && ++task.looks > late_looks) look_for_result(key, task);
    if (task.phase == Phase::over) look_for_result(key, task);
}

void SlurmEngine::look_for_result(const Key& key, Pending& task) {
    const auto text = read_end(task.cell.result, largest_result);
    if (auto outcome = text ? outcome_from_json(*text) : Result<Outcome>(fail("not there"))) {
        start(task);
        std::string problem;
        if (outcome->reason == "launcher") problem = launcher_words(read_end(task.cell.log, end_of_log).value_or(std::string()));
        return end(key, std::move(*outcome), std::move(problem), task.nodes);
    }
    if (task.phase != Phase::over) return;
    // It never had a node, so that there is nothing to come.
    const bool never_began = task.state == "CANCELLED" && task.nodes.empty() && !task.started;
    if (never_began) return end_without_result(key, {key.first, key.second, task.state, {}, {}, 0, 0});
    if (++task.looks < (killing_ ? 1 : late_looks)) return;
    if (std::ranges::find(unclear_, key.first) == unclear_.end()) unclear_.push_back(key.first);
}

// The rest of a look: questions about what has ended without a result, then a pause.
Status SlurmEngine::ask_or_rest() {
    about_.reset();
    if (unclear_.empty()) {
        next_look_ = Clock::now() + milliseconds(options_.interval);
        return {};
    }
    about_ = unclear_.front();
    unclear_.pop_front();
    auto argv = program("scontrol", arrays_.at(*about_).cluster);
    for (std::string word : {std::string("--oneliner"), std::string("show"), std::string("job"), std::to_string(*about_)})
        argv.push_back(std::move(word));
    auto started = Program::start(argv, unwanted(), for_answer);
    if (started) {
        asking_ = std::move(*started);
        return {};
    }
    learn({});
    return ask_or_rest();
}

// Slurm forgets jobs after a while; then what squeue last said is all that there is.
void SlurmEngine::learn(const ProgramEnd& end) {
    std::vector<std::pair<Key, JobDetails>> lost;
    for (const auto& [key, task] : tasks_)
        if (key.first == *about_ && task.phase == Phase::over && task.looks >= (killing_ ? 1 : late_looks))
            lost.emplace_back(key, JobDetails{key.first, key.second, task.state, task.reason, task.nodes, 0, 0});
    const auto told = parse_details(end.output);
    for (auto& [key, details] : lost) {
        for (const JobDetails& theirs : told)
            if (Key{theirs.job, theirs.task} == key) details = theirs;
        // Queued again since the look: not an end.
        if (!details.state.empty() && phase_of(details.state) != Phase::over) continue;
        end_without_result(key, details);
    }
}

// ---- events

void SlurmEngine::start(Pending& task) {
    if (std::exchange(task.started, true)) return;
    events_.push_back({task.cell.id, CellEvent::Kind::started, {}, {}, printable(task.nodes)});
}

void SlurmEngine::end(const Key& key, Outcome outcome, std::string problem, std::string place) {
    const CellTask& cell = tasks_.at(key).cell;
    if (const auto node = read_end(node_path(cell), 256)) place = trim(*node);
    events_.push_back({cell.id, CellEvent::Kind::ended, std::move(outcome), std::move(problem), printable(place)});
    forget(key);
}

void SlurmEngine::end_without_result(const Key& key, const JobDetails& details) {
    Pending& task = tasks_.at(key);
    const bool ran = !details.node.empty();
    if (ran) start(task);
    std::string problem =
        stopping_ && !ran ? std::string("cancelled before it began") : why_no_result(details, options_.folder, options_.command);
    end(key, {}, std::move(problem), details.node);
}

void SlurmEngine::forget(const Key& key) {
    tasks_.erase(key);
    const auto array = arrays_.find(key.first);
    if (array == arrays_.end() || --array->second.left > 0) return;
    std::error_code ignored;
    std::filesystem::remove_all(array->second.folder, ignored);
    arrays_.erase(array);
}

// ---- the stop

void SlurmEngine::stop(bool kill) {
    for (const auto& [job, array] : arrays_) static_cast<void>(write_new(cat(array.folder, "/stop"), {}, 0600).has_value());
    if (kill && !killing_) {
        // What is being asked politely is not worth the wait: scancel tries for minutes.
        ordering_.reset();
        orders_.clear();
        for (auto& [key, task] : tasks_) task.asked = false;
    }
    stopping_ = true;
    killing_ = killing_ || kill;
    cancel("PENDING");
    ask_to_stop();
    next_look_ = Clock::now();
}

// Those that run are named one by one, once: a signal for an array as a whole is refused as long as a part of it waits, and scancel
// repeats it. It is for the script, whose process is the launcher by now; without "--batch" it would go to steps, which there are
// not. To end a job at once, its script is killed first: a plain cancellation leaves it its time (KillWait).
void SlurmEngine::ask_to_stop() {
    bool waiting = false;
    std::map<std::string, std::vector<Key>> running;
    for (auto& [key, task] : tasks_) {
        waiting = waiting || task.phase == Phase::waiting;
        if (task.phase == Phase::running && !std::exchange(task.asked, true)) running[arrays_.at(key.first).cluster].push_back(key);
    }
    for (const auto& [cluster, keys] : running)
        for (std::size_t from = 0; from < keys.size(); from += most_named) {
            const std::vector<Key> named(keys.begin() + static_cast<std::ptrdiff_t>(from),
                                         keys.begin() + static_cast<std::ptrdiff_t>(std::min(keys.size(), from + most_named)));
            auto argv = program("scancel", cluster);
            argv.insert(argv.end(), {"--batch", killing_ ? "--signal=KILL" : "--signal=TERM"});
            for (const auto& [job, index] : named) argv.push_back(cat(job, "_", index));
            order(std::move(argv), named);
        }
    // Again for what was queued again since.
    if (waiting && orders_.empty()) cancel("PENDING");
    if (killing_ && orders_.empty()) cancel(nullptr);
}

void SlurmEngine::cancel(const char* state) {
    std::map<std::string, std::vector<std::string>> jobs;
    for (const auto& [job, array] : arrays_) jobs[array.cluster].push_back(std::to_string(job));
    for (const auto& [cluster, names] : jobs) {
        auto argv = program("scancel", cluster);
        if (state) argv.push_back(cat("--state=", state));
        argv.insert(argv.end(), names.begin(), names.end());
        order(std::move(argv), {});
    }
}

void SlurmEngine::order(std::vector<std::string> argv, std::vector<Key> keys) { orders_.push_back({std::move(argv), std::move(keys)}); }

// One after the other, in their order. What was not taken is asked again at the next look.
void SlurmEngine::carry_out_orders() {
    while (!orders_.empty()) {
        if (!ordering_) {
            auto started = Program::start(orders_.front().argv, unwanted(), for_answer);
            if (started) ordering_ = std::move(*started);
        }
        const auto ended = ordering_ ? ordering_->end() : ProgramEnd{-1, {}, {}};
        if (!ended) return;
        if (ended->status != 0)
            for (const Key& key : orders_.front().keys)
                if (const auto task = tasks_.find(key); task != tasks_.end()) task->second.asked = false;
        ordering_.reset();
        orders_.pop_front();
    }
}

// ---- words

std::string SlurmEngine::state() const {
    if (unreachable_since_) return cat("slurm does not answer: ", unreachable_words_);
    std::map<std::string, std::size_t> reasons;
    for (const auto& [key, task] : tasks_)
        if (task.phase == Phase::waiting && !task.state.empty()) ++reasons[reason_in_words(task.reason)];
    std::vector<std::pair<std::size_t, std::string>> most_first;
    for (const auto& [words, number] : reasons) most_first.emplace_back(number, words);
    std::ranges::stable_sort(most_first, std::greater<>(), [](const auto& entry) { return entry.first; });
    std::vector<std::string> parts;
    for (const auto& [number, words] : most_first) parts.push_back(cat(number, number == 1 ? " cell waits: " : " cells wait: ", words));
    return join(parts, "; ");
}

}  // namespace

Result<std::unique_ptr<Engine>> make_slurm_engine(SlurmOptions options, std::function<Result<std::string>(const CellTask& task)> profile) {
    for (const std::string& option : options.options)
        if (takes_over(option)) return fail(cat("sbatch option ", quote(option), ": the matrix makes arrays of its own"), "leave it out");
    const std::string hint = "is this machine one of a cluster, and its controller up? scontrol ping tells; --engine local does without";
    if (auto installed = run({"sbatch", "--version"}, for_answer, hint); !installed) return pass(installed);
    auto configuration = run({"scontrol", "show", "config"}, for_answer, hint);
    if (!configuration) return pass(configuration);
    const std::uint32_t most = parse_max_array_size(configuration->output).value_or(usual_array_size);
    if (most < 2) return fail("this cluster has no job arrays", "slurm.conf: set MaxArraySize");
    return std::make_unique<SlurmEngine>(std::move(options), std::move(profile), most);
}

}  // namespace sandbox
