#include "exec/log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/text.h"

namespace sandbox {
namespace {

// A line may come in pieces of this size: nobody's memory grows with a payload that never ends one.
constexpr std::size_t longest_piece = 16384;

std::string padded(long number, std::size_t width) {
    std::string text = std::to_string(number);
    if (text.size() < width) text.insert(0, width - text.size(), '0');
    return text;
}

std::string time_stamp() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    return cat(parts.tm_year + 1900, "-", padded(parts.tm_mon + 1, 2), "-", padded(parts.tm_mday, 2), "T", padded(parts.tm_hour, 2), ":",
               padded(parts.tm_min, 2), ":", padded(parts.tm_sec, 2), ".", padded(now.tv_nsec, 9), "Z");
}

}  // namespace

Result<Log> Log::open(Settings settings) {
    Log log(std::move(settings));
    if (log.settings_.journald) {
        log.journal_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, "/run/systemd/journal/socket");
        if (!log.journal_ || connect(log.journal_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            return fail_errno("the journal of systemd (/run/systemd/journal/socket)", errno, "say logging: {driver: file}");
        return log;
    }
    log.folder_.reset(::open(log.settings_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!log.folder_) return fail_errno(quote(log.settings_.folder), errno);
    if (auto opened = log.reopen(); !opened) return pass(opened);
    return log;
}

Status Log::reopen() {
    file_.reset(openat(folder_.get(), "log", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640));
    if (!file_) return fail_errno(cat(settings_.folder, "/log"), errno);
    struct stat info {};
    size_ = fstat(file_.get(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
    return {};
}

void Log::write(LogStream stream, std::string_view bytes) {
    std::string& pending = pending_[static_cast<int>(stream)];
    while (!bytes.empty()) {
        const auto end = bytes.find('\n');
        const std::string_view part = bytes.substr(0, end);
        pending.append(part.substr(0, longest_piece - pending.size()));
        if (pending.size() == longest_piece && (part.size() > longest_piece || end == std::string_view::npos)) {
            const std::size_t taken = std::min(part.size(), longest_piece);
            write_line(stream, pending, false);
            pending.clear();
            bytes.remove_prefix(taken);
            continue;
        }
        if (end == std::string_view::npos) return;
        write_line(stream, pending, true);
        pending.clear();
        bytes.remove_prefix(end + 1);
    }
}

void Log::flush() {
    for (const LogStream stream : {LogStream::out, LogStream::err}) {
        std::string& pending = pending_[static_cast<int>(stream)];
        if (!pending.empty()) write_line(stream, pending, false);
        pending.clear();
    }
}

void Log::write_line(LogStream stream, std::string_view line, bool whole) {
    if (settings_.journald) return send_to_journal(stream, line);
    const std::string head = cat(time_stamp(), stream == LogStream::out ? " stdout " : " stderr ", whole ? "F " : "P ");
    if (lost_ > 0) {
        const std::uint64_t before = lost_;
        write_to_file(
            cat(time_stamp(), " stderr F [sandbox: ", before, before == 1 ? " line was" : " lines were", " lost: the disk was full]\n"));
        if (lost_ == before) lost_ = 0;
    }
    write_to_file(cat(head, line, "\n"));
}

void Log::write_to_file(std::string_view text) {
    if (size_ > 0 && size_ + text.size() > settings_.max_size) rotate();
    ssize_t written = 0;
    if (file_) do
            written = ::write(file_.get(), text.data(), text.size());
        while (written < 0 && errno == EINTR);
    if (file_ && written == static_cast<ssize_t>(text.size())) {
        size_ += text.size();
        return;
    }
    // Half a line would be taken for a whole one.
    if (file_ && written > 0) static_cast<void>(!ftruncate(file_.get(), static_cast<off_t>(size_)));
    ++lost_;
}

// log.2 is dropped, log.1 becomes log.2, log becomes log.1.
void Log::rotate() {
    const auto name = [](std::int64_t number) { return number == 0 ? std::string("log") : cat("log.", number); };
    unlinkat(folder_.get(), name(settings_.max_files - 1).c_str(), 0);
    for (std::int64_t number = settings_.max_files - 2; number >= 0; --number)
        renameat(folder_.get(), name(number).c_str(), folder_.get(), name(number + 1).c_str());
    // Without room for a new file everything goes on being counted as lost.
    static_cast<void>(reopen().has_value());
}

// systemd.io/JOURNAL_NATIVE_PROTOCOL: "KEY=VALUE\n", or for values with an end of line the key, a length in 64 bits, and the bytes.
void Log::send_to_journal(LogStream stream, std::string_view line) {
    std::string message = cat("SYSLOG_IDENTIFIER=", settings_.name, "\nSANDBOX_NAME=", settings_.name,
                              "\nSANDBOX_STREAM=", stream == LogStream::out ? "stdout" : "stderr",
                              "\nPRIORITY=", stream == LogStream::out ? "6" : "3", "\nMESSAGE\n");
    const std::uint64_t size = line.size();
    for (int shift = 0; shift < 64; shift += 8) message.push_back(static_cast<char>(size >> shift & 0xFF));
    message.append(line);
    message.push_back('\n');
    if (send(journal_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) ++lost_;
}

}  // namespace sandbox
