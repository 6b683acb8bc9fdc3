// A filter's policy as data, between the request and the program: what happens to each system call, by name.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernel/seccomp.h"

namespace sandbox::seccomp {

// The machines whose calls a filter can decide; the order is that of SystemCall::numbers.
enum class Machine : std::uint8_t { x86_64, i386, aarch64, arm };
constexpr std::size_t machine_count = 4;
// AUDIT_ARCH_*
[[nodiscard]] std::uint32_t audit_arch(Machine machine);

struct SystemCall {
    std::string_view name;
    std::array<std::int32_t, machine_count> numbers;  // -1: the machine has no such call

    [[nodiscard]] constexpr int number(Machine machine) const { return numbers[static_cast<std::size_t>(machine)]; }
};

// Every system call known when this was built, sorted by name. A Call is an index into it.
using Call = std::uint16_t;
[[nodiscard]] std::span<const SystemCall> system_calls();

// The calls that a name or @group stands for; empty when it is not known.
[[nodiscard]] std::vector<Call> find_calls(std::string_view name);
// The names of all groups, with their "@".
[[nodiscard]] std::vector<std::string_view> group_names();

constexpr std::uint32_t verdict_allow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t verdict_enosys = SECCOMP_RET_ERRNO | ENOSYS;

// Orders verdicts as the kernel does when several filters answer: the smaller is the stricter.
[[nodiscard]] constexpr std::int32_t strictness(std::uint32_t verdict) {
    return static_cast<std::int32_t>(verdict & SECCOMP_RET_ACTION_FULL);
}

enum class Compare : std::uint8_t { equal, not_equal, less, less_equal, greater, greater_equal, masked_equal };

// A comparison of one argument, unsigned. `low_half`: the kernel reads only the low 32 bits of the argument, so what the
// caller left in the high ones must not decide (CVE-2019-10063). `mask` is used by masked_equal: (argument & mask) == value.
struct Condition {
    std::uint8_t argument = 0;  // 0 to 5
    Compare compare = Compare::equal;
    bool low_half = false;
    std::uint64_t value = 0;
    std::uint64_t mask = ~0ULL;
    friend bool operator==(const Condition&, const Condition&) = default;
};

// When all conditions hold: the verdict.
struct Clause {
    std::vector<Condition> conditions;
    std::uint32_t verdict = SECCOMP_RET_KILL_PROCESS;
    friend bool operator==(const Clause&, const Clause&) = default;
};

// The first clause that holds decides, `otherwise` when none does.
struct Behaviour {
    std::vector<Clause> clauses;
    std::uint32_t otherwise = SECCOMP_RET_KILL_PROCESS;
    friend bool operator==(const Behaviour&, const Behaviour&) = default;
};

// What a filter shall do. A machine that is not `decided` is answered with SECCOMP_RET_KILL_PROCESS.
struct Policy {
    std::array<bool, machine_count> decided{};
    std::uint32_t unknown = verdict_enosys;  // for numbers that are no call in system_calls()
    std::vector<Behaviour> behaviours;       // no two alike
    std::vector<std::uint16_t> chosen;       // for each Call an index into behaviours

    // Every call of every machine of this build gets `verdict`.
    explicit Policy(std::uint32_t verdict);
    // The index of this behaviour, added if it is new.
    [[nodiscard]] std::uint16_t intern(Behaviour behaviour);
    void set(std::span<const Call> calls, Behaviour behaviour);
};

// The machines that a process on this build's machine can enter, its own first.
#if defined(__x86_64__)
inline constexpr std::array native_machines = {Machine::x86_64, Machine::i386};
#elif defined(__aarch64__)
inline constexpr std::array native_machines = {Machine::aarch64, Machine::arm};
#else
#error "seccomp filters are written for x86_64 and aarch64"
#endif

// i386 has socketcall() and ipc(), which do the work of other calls: closes in them what the policy does not let `calls`
// do. Whether an argument would have been let pass cannot be seen there, so the strictest answer to the call is taken.
// One that is itself among `calls` keeps the answer that it was given by name.
void close_multiplexers(Policy& policy, std::span<const Call> calls);

// The default policy: what ordinary programs need, less what reaches for the host.
[[nodiscard]] Policy default_policy(const SeccompRequest& request);
// The policy of request.json.
[[nodiscard]] Result<Policy> json_policy(const SeccompRequest& request);
// The program for a policy; `machines` are those that can be entered. Fails when it has more than BPF_MAXINSNS instructions.
[[nodiscard]] Result<std::vector<sock_filter>> emit(const Policy& policy, std::span<const Machine> machines);

}  // namespace sandbox::seccomp
