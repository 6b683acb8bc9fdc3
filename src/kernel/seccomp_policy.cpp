#include "kernel/seccomp_policy.h"

#include <linux/audit.h>

#include <algorithm>

#include "kernel/seccomp_numbers.h"

namespace sandbox::seccomp {

std::uint32_t audit_arch(Machine machine) {
    constexpr std::array<std::uint32_t, machine_count> values = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};
    return values[static_cast<std::size_t>(machine)];
}

std::span<const SystemCall> system_calls() { return call_table; }

Policy::Policy(std::uint32_t verdict) : behaviours{{{}, verdict}}, chosen(call_table.size()) { decided.fill(true); }

std::uint16_t Policy::intern(Behaviour behaviour) {
    const auto found = std::ranges::find(behaviours, behaviour);
    const auto index = static_cast<std::uint16_t>(found - behaviours.begin());
    if (found == behaviours.end()) behaviours.push_back(std::move(behaviour));
    return index;
}

void Policy::set(std::span<const Call> calls, Behaviour behaviour) {
    const std::uint16_t index = intern(std::move(behaviour));
    for (const Call call : calls) chosen[call] = index;
}

}  // namespace sandbox::seccomp
