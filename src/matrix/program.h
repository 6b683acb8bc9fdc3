// A program of another system that is run for what it says.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "exec/helper.h"

namespace sandbox {

struct ProgramEnd {
    int status = 0;  // wait status
    std::string output, errors;
};

// Runs beside the caller, with the caller's environment without the variables whose names begin with one of `without`. What it
// writes goes into files in memory, so that it never waits for a reader. Killed with its group when the object goes.
class Program {
   public:
    static Result<Program> start(const std::vector<std::string>& argv, const std::vector<std::string>& without,
                                 std::chrono::milliseconds time);
    // Readable when it has ended.
    [[nodiscard]] int descriptor() const { return helper_.descriptor(); }
    // When it has had its time.
    [[nodiscard]] std::chrono::steady_clock::time_point deadline() const { return deadline_; }
    // How it ended, once it has; nothing before. Over its time it is killed, and that is how it ended. Call it once more at most.
    [[nodiscard]] std::optional<ProgramEnd> end();

   private:
    Program(Helper helper, Fd output, Fd errors, std::chrono::steady_clock::time_point deadline)
        : helper_(std::move(helper)), output_(std::move(output)), errors_(std::move(errors)), deadline_(deadline) {}
    Helper helper_;
    Fd output_, errors_;
    std::chrono::steady_clock::time_point deadline_;
};

// The same, waited for.
[[nodiscard]] Result<ProgramEnd> run_program(const std::vector<std::string>& argv, const std::vector<std::string>& without,
                                             std::chrono::milliseconds time);

}  // namespace sandbox
