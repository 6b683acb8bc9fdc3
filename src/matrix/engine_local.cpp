// Cells on this machine: each is looked after by a process of its own, forked from here, so that nothing is read or parsed again.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

#include "base/fd.h"
#include "base/text.h"
#include "matrix/engine.h"

namespace sandbox {
namespace {

// Whole or not at all: who resumes after we were killed finds no half of it.
bool write_whole(const std::string& path, const std::string& text) {
    const std::string beside = path + ".new";
    const Fd file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
           rename(beside.c_str(), path.c_str()) == 0;
}

Result<Outcome> read_result(const std::string& path) {
    std::ifstream file(path);
    if (!file) return fail("no result was written");
    return outcome_from_json(std::string(std::istreambuf_iterator<char>(file), {}));
}

std::string end_in_words(const siginfo_t& end) {
    if (end.si_code == CLD_EXITED) return cat("the launcher ended with ", end.si_status, " and left no result");
    return cat("the launcher was killed by signal ", end.si_status);
}

class LocalEngine : public Engine {
   public:
    explicit LocalEngine(LocalOptions options) : options_(std::move(options)), self_(getpid()) {}

    // Only where a stop was not waited for: whoever still runs is killed, and the kernel ends his sandbox.
    ~LocalEngine() override {
        for (const Worker& worker : workers_) {
            kill(worker.pid, SIGKILL);
            waitpid(worker.pid, nullptr, 0);
        }
    }

    [[nodiscard]] bool admits(const CellNeeds& needs, std::span<const CellTask> batch) const override {
        if (workers_.empty() && batch.empty()) return true;
        if (workers_.size() + batch.size() >= options_.jobs) return false;
        if (!options_.memory) return true;
        std::uint64_t sum = needs.memory;
        for (const Worker& worker : workers_) sum += worker.memory;
        for (const CellTask& task : batch) sum += task.needs.memory;
        return sum <= *options_.memory;
    }

    Status submit(std::span<const CellTask> tasks) override {
        for (const CellTask& task : tasks)
            if (auto started = start(task); !started) return started;
        return {};
    }

    Result<std::vector<CellEvent>> wait(int wake, int milliseconds) override {
        std::vector<CellEvent> events = std::move(started_);
        started_.clear();
        polls_.clear();
        for (const Worker& worker : workers_) polls_.push_back({worker.pidfd.get(), POLLIN, 0});
        polls_.push_back({wake, POLLIN, 0});
        if (poll(polls_.data(), polls_.size(), events.empty() ? milliseconds : 0) < 0 && errno != EINTR) return fail_errno("poll", errno);
        for (std::size_t i = workers_.size(); i-- > 0;)
            if (polls_[i].revents != 0) end(i, events);
        return events;
    }

    void stop(bool hard) override {
        for (const Worker& worker : workers_) kill(worker.pid, hard ? SIGKILL : SIGTERM);
    }

   private:
    struct Worker {
        std::size_t task = 0;
        pid_t pid = 0;
        Fd pidfd;
        std::uint64_t memory = 0;
        std::string result;
    };

    LocalOptions options_;
    pid_t self_;
    std::vector<Worker> workers_;
    std::vector<CellEvent> started_;
    std::vector<pollfd> polls_;

    Status start(const CellTask& task) {
        unlink(task.result.c_str());
        const pid_t pid = fork();
        if (pid < 0) return fail_errno("fork", errno, "run fewer cells at a time: -j N");
        if (pid == 0) work(task);
        Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
        const int error = errno;
        if (!pidfd) {
            kill(pid, SIGKILL);
            waitpid(pid, nullptr, 0);
            return fail_errno("pidfd_open", error);
        }
        workers_.push_back({task.id, pid, std::move(pidfd), task.needs.memory, task.result});
        CellEvent begun;
        begun.task = task.id;
        begun.kind = CellEvent::Kind::started;
        started_.push_back(std::move(begun));
        return {};
    }

    // In a process group of its own, so that Ctrl-C is heard here and passed on, once; and it dies with us, so that no cell outlives a
    // matrix that was killed. Signals stay blocked: whoever runs the sandbox listens to them (signalfd(2)).
    [[noreturn]] void work(const CellTask& task) const {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self_) _exit(1);
        const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        const int log = open(task.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
        if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(1);
        // Descriptors of the schedule and of other cells are none of a sandbox's business.
        syscall(SYS_close_range, 3U, ~0U, 0U);
        const Outcome outcome = options_.run(task);
        _exit(write_whole(task.result, outcome_to_json(outcome)) ? 0 : 1);
    }

    void end(std::size_t index, std::vector<CellEvent>& events) {
        Worker worker = std::move(workers_[index]);
        workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(index));
        siginfo_t information{};
        while (waitid(P_PID, static_cast<id_t>(worker.pid), &information, WEXITED) < 0 && errno == EINTR) {
        }
        CellEvent event;
        event.task = worker.task;
        auto result = read_result(worker.result);
        if (result)
            event.outcome = std::move(*result);
        else
            event.problem = end_in_words(information);
        events.push_back(std::move(event));
    }
};

}  // namespace

std::unique_ptr<Engine> make_local_engine(LocalOptions options) { return std::make_unique<LocalEngine>(std::move(options)); }

}  // namespace sandbox
