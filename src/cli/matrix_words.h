// The words of `sandbox matrix`, understood as far as words alone can be.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cli.h"
#include "matrix/report.h"
#include "matrix/schedule.h"

namespace sandbox {

struct ReportWish {
    std::string (*make)(const MatrixReport&);
    std::string file;  // empty: standard output
};

struct MatrixWishes {
    std::vector<ReportWish> reports;
    ScheduleOptions schedule;
    std::size_t jobs = 1;  // at a time
};

[[nodiscard]] Result<MatrixWishes> read_wishes(const MatrixFlags& flags);

}  // namespace sandbox
