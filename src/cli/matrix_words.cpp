#include "cli/matrix_words.h"

#include <sched.h>

#include <algorithm>
#include <random>

#include "base/text.h"

namespace sandbox {
namespace {

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

}  // namespace

Result<MatrixWishes> read_wishes(const MatrixFlags& flags) {
    MatrixWishes wishes;
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

}  // namespace sandbox
