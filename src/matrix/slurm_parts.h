// What Slurm's programs say, and what they are told: the parts of the engine that only handle text. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "matrix/engine.h"

namespace sandbox::slurm {

// Tasks of one job array: "123_4", "123_[4-7,9%2]". "123" is the job as a whole: what is left of an array in one record.
struct JobIds {
    std::uint64_t job = 0;
    bool whole = false;
    std::vector<std::uint32_t> tasks;
};
[[nodiscard]] std::optional<JobIds> parse_job_ids(std::string_view text);

// A line of squeue in this format; the reason is last because it is any text.
constexpr std::string_view queue_format = "%i|%T|%N|%r";
struct QueueLine {
    JobIds ids;
    std::string state, nodes, reason;
};
// An error when a line cannot be read: a task that is missing in the list would be taken for one that has ended.
[[nodiscard]] Result<std::vector<QueueLine>> parse_queue(std::string_view text);

// over: it will not run again. leaving: over, or requeued; the next look tells.
enum class Phase { waiting, running, leaving, over };
[[nodiscard]] Phase phase_of(std::string_view state);

// What scontrol --oneliner show job says of tasks that ran.
struct JobDetails {
    std::uint64_t job = 0;  // of the array
    std::uint32_t task = 0;
    std::string state, reason, node;  // node: where its script ran; empty: nowhere
    std::int64_t exit_code = 0, signal = 0;
};
[[nodiscard]] std::vector<JobDetails> parse_details(std::string_view text);

// MaxArraySize of scontrol show config: indices are below it.
[[nodiscard]] std::optional<std::uint32_t> parse_max_array_size(std::string_view text);

// What sbatch --parsable answers: "123", or "123;cluster".
struct Submitted {
    std::uint64_t job = 0;
    std::string cluster;
};
[[nodiscard]] std::optional<Submitted> parse_submitted(std::string_view text);

// The words for sbatch that ask for what a cell needs; none for what it does not limit.
[[nodiscard]] std::vector<std::string> words_for(const CellNeeds& needs);
// An option of the user's for sbatch that would make another job of ours.
[[nodiscard]] bool takes_over(std::string_view option);
// A name without what would have to be quoted in Slurm's lists.
[[nodiscard]] std::string job_name(std::string_view name);

// Text as one word of the shell, whatever is in it (but the zero byte).
[[nodiscard]] std::string shell_quote(std::string_view text);
// The script of an array whose files are in `folder`; it ends with these codes when the node sees no files there, and when the
// matrix was stopped before.
constexpr int exit_no_folder = 66, exit_stopped = 75;
[[nodiscard]] std::string array_script(std::string_view folder);
// What one task runs; its process becomes the launcher, so that a signal for the script is one for the launcher.
[[nodiscard]] std::string task_script(const CellTask& task, std::string_view command);
[[nodiscard]] std::string profile_path(const CellTask& task);
[[nodiscard]] std::string node_path(const CellTask& task);  // the file in which a task says where it runs

// Why a task that has ended left no result, in a line. `folder` and `command` are what the nodes must have.
[[nodiscard]] std::string why_no_result(const JobDetails& details, std::string_view folder, std::string_view command);
// What the launcher had to say, from the end of the log.
[[nodiscard]] std::string launcher_words(std::string_view log);
// Why tasks wait, in lower-case words: "other jobs go first".
[[nodiscard]] std::string reason_in_words(std::string_view reason);
// What a program wrote on its standard error, in one line, without its own name before it.
[[nodiscard]] std::string one_line(std::string_view errors);

}  // namespace sandbox::slurm
