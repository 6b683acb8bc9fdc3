#include "matrix/program.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/text.h"

extern char** environ;

namespace sandbox {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> environment_without(const std::vector<std::string>& prefixes) {
    std::vector<std::string> out;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view variable = *entry;
        if (std::ranges::none_of(prefixes, [&](const std::string& prefix) { return variable.starts_with(prefix); }))
            out.emplace_back(variable);
    }
    return out;
}

// Not executable, to kernels that know the difference and may insist on it (Linux 6.3, vm.memfd_noexec).
Fd memory_file(const char* name) {
    constexpr unsigned noexec_seal = 0x8;
    Fd file(memfd_create(name, MFD_CLOEXEC | noexec_seal));
    if (!file && errno == EINVAL) file.reset(memfd_create(name, MFD_CLOEXEC));
    return file;
}

// From the beginning: the file is shared with the program, and so is where it stands in it.
std::string contents(int file) {
    constexpr std::size_t most = 256UL << 20, piece = 65536;
    std::string out;
    while (out.size() < most) {
        const std::size_t size = out.size();
        out.resize(size + piece);
        const ssize_t n = pread(file, out.data() + size, piece, static_cast<off_t>(size));
        out.resize(size + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
    }
    return out;
}

}  // namespace

Result<Program> Program::start(const std::vector<std::string>& argv, const std::vector<std::string>& without,
                               std::chrono::milliseconds time) {
    Fd output = memory_file("output"), errors = memory_file("errors");
    if (!output || !errors) return fail_errno("memfd_create", errno);
    auto helper = Helper::start(argv, environment_without(without), output.get(), errors.get());
    if (!helper) return pass(helper);
    return Program(std::move(*helper), std::move(output), std::move(errors), Clock::now() + time);
}

std::optional<ProgramEnd> Program::end() {
    auto status = helper_.status();
    if (!status && Clock::now() >= deadline_) {
        helper_.kill();
        pollfd ended{helper_.descriptor(), POLLIN, 0};
        while (!(status = helper_.status())) poll(&ended, 1, -1);
    }
    if (!status) return std::nullopt;
    return ProgramEnd{*status, contents(output_.get()), contents(errors_.get())};
}

Result<ProgramEnd> run_program(const std::vector<std::string>& argv, const std::vector<std::string>& without,
                               std::chrono::milliseconds time) {
    auto program = Program::start(argv, without, time);
    if (!program) return pass(program);
    while (true) {
        if (auto end = program->end()) return std::move(*end);
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(program->deadline() - Clock::now());
        pollfd ended{program->descriptor(), POLLIN, 0};
        poll(&ended, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    }
}

}  // namespace sandbox
