// What is known of the cells of a matrix after, and between, its runs: a folder on disk.
//
//   DIR/lock            flock, held while a matrix runs here
//   DIR/matrix.json     whose folder it is: the profile
//   DIR/results.jsonl   a line for each attempt, appended as it ends: what --resume reads
//   DIR/cells/NAME/     log and result.json of the last attempt; log.1, log.2 ... of earlier ones
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "matrix/report.h"

namespace sandbox {

// An attempt as it is written down.
struct RecordLine {
    std::string cell;  // name of its sandbox
    std::int64_t repetition = 1;
    std::string digest;  // of the profile that was run: another one has to run again
    std::int64_t begun = 0;
    Attempt attempt;
    CellState state = CellState::not_run;  // of the cell after this attempt
};

class Record {
   public:
    // Makes the folder if need be and takes its lock. With `resume` what is there stays and is read; else results and cells of an
    // earlier run of the same folder are removed. An error when another matrix runs here, or when the folder has other things in it.
    static Result<Record> open(const std::string& folder, const std::string& profile, bool resume);

    [[nodiscard]] const std::string& folder() const { return folder_; }
    // The last state of a cell in earlier runs.
    [[nodiscard]] const RecordLine* earlier(const std::string& cell, std::int64_t repetition) const;
    // Written at once, so that nothing is lost when we are killed.
    Status add(const RecordLine& line);
    // The folder of one cell, made if it is missing; the log of an earlier attempt of this run is kept beside the new one.
    Result<std::string> make_cell_folder(const std::string& cell, std::int64_t repetition, std::size_t attempt);

   private:
    Record(std::string folder, Fd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}
    Status read_results();

    std::string folder_;
    Fd lock_, results_;
    std::map<std::pair<std::string, std::int64_t>, RecordLine> earlier_;
};

[[nodiscard]] std::string record_line_to_json(const RecordLine& line);
[[nodiscard]] Result<RecordLine> record_line_from_json(const std::string& text);

// The last lines of a log, at most 2 KiB: what a person looks at first.
[[nodiscard]] std::string tail_of_log(const std::string& path);
// The first error that the launcher has written there, in one line; empty when there is none.
[[nodiscard]] std::string error_in_log(const std::string& path);

}  // namespace sandbox
