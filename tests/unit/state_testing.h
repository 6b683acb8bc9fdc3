// Shared by the tests of src/state: a folder that goes away, and work done in a forked process.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/fd.h"

namespace sandbox::testing {

// On tmpfs where there is one for everybody, as the state directory is.
class TemporaryFolder {
   public:
    TemporaryFolder() {
        const bool shared = ::access("/dev/shm", W_OK) == 0;
        const auto parent = shared ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
        std::string pattern = (parent / "sandbox-state-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        path_ = pattern;
        fd_.reset(::open(pattern.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] int fd() const { return fd_.get(); }

   private:
    std::string path_;
    Fd fd_;
};

inline bool exists(const std::string& path) {
    struct stat facts {};
    return ::lstat(path.c_str(), &facts) == 0;
}

inline void write_file(const std::string& path, const std::string& text, int mode = 0600) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    ASSERT_TRUE(file.valid()) << path;
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

// Runs `work` (it returns the exit code) in a forked process. The caller waits with wait_for().
template <class Work>
pid_t start(Work work) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work());
    return child;
}

// The exit code, or minus the signal.
inline int wait_for(pid_t child) {
    int status = 0;
    if (::waitpid(child, &status, 0) != child) return -1000;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Two processes in step: one says go, the other waits for it. False when the other end is closed.
class Signal {
   public:
    Signal() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
        read_.reset(ends[0]);
        write_.reset(ends[1]);
    }
    void give() { std::ignore = ::write(write_.get(), "g", 1); }
    bool await() {
        char byte = 0;
        return ::read(read_.get(), &byte, 1) == 1;
    }

   private:
    Fd read_;
    Fd write_;
};

}  // namespace sandbox::testing
