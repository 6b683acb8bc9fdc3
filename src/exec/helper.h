// Programs of the host that a supervisor runs beside a sandbox: hooks and health checks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

using Variables = std::vector<std::pair<std::string, std::string>>;

// A program in a process group of its own, with the caller's environment and these variables, an empty input, and its output where
// the supervisor's standard error goes (`quiet`: nowhere). Killed with its group when the object goes.
class Helper {
   public:
    static Result<Helper> start(const std::vector<std::string>& argv, const Variables& variables, bool quiet);
    // The same with this environment and nothing else, and with its output and its errors in these files.
    static Result<Helper> start(const std::vector<std::string>& argv, std::vector<std::string> environment, int output, int errors);
    Helper(Helper&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
    Helper& operator=(Helper&& other) noexcept {
        end();
        pid_ = std::exchange(other.pid_, -1);
        pidfd_ = std::move(other.pidfd_);
        return *this;
    }
    ~Helper() { end(); }

    // Readable when it has ended.
    [[nodiscard]] int descriptor() const { return pidfd_.get(); }
    // The wait status, once it has ended; nothing before. Call it once.
    [[nodiscard]] std::optional<int> status();
    void kill() const;

   private:
    Helper() = default;
    void end();
    pid_t pid_ = -1;
    Fd pidfd_;
};

// Runs a program to its end, or kills it after `timeout` nanoseconds. An error says how it failed.
[[nodiscard]] Status run_helper(const std::vector<std::string>& argv, const Variables& variables, std::int64_t timeout);
// "exit code 3", "killed by signal 9"
[[nodiscard]] std::string describe_wait_status(int status);

}  // namespace sandbox
