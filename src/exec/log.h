// What a detached sandbox writes, kept: in files that rotate, or in the journal of systemd.
//
// A line of a file is that of Kubernetes' container runtimes: "2026-11-25T01:30:00.123456789Z stdout F text", P in place of F for a
// piece of a line that was too long or has not ended yet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

enum class LogStream { out, err };

class Log {
   public:
    struct Settings {
        bool journald = false;
        std::string folder;  // files: "log", and older ones "log.1", "log.2" ...
        std::uint64_t max_size = 10U << 20;
        std::int64_t max_files = 3;
        std::string name;  // of the sandbox
    };

    static Result<Log> open(Settings settings);
    // Never blocks and never fails: what cannot be kept (a full disk) is counted, and said in the log when there is room again.
    void write(LogStream stream, std::string_view bytes);
    // What has no end of line yet.
    void flush();
    [[nodiscard]] std::uint64_t lost() const { return lost_; }

   private:
    explicit Log(Settings settings) : settings_(std::move(settings)) {}
    void write_line(LogStream stream, std::string_view line, bool whole);
    void write_to_file(std::string_view text);
    void send_to_journal(LogStream stream, std::string_view line);
    void rotate();
    Status reopen();

    Settings settings_;
    Fd folder_, file_, journal_;
    std::uint64_t size_ = 0, lost_ = 0;
    std::string pending_[2];
};

}  // namespace sandbox
