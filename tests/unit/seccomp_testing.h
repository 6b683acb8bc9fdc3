// What the tests of seccomp share: calls by name, and verdicts as short words.
#pragma once

#include <gtest/gtest.h>
#include <linux/audit.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/text.h"
#include "kernel/seccomp_policy.h"

namespace sandbox::seccomp {

using Arguments = std::array<std::uint64_t, 6>;

inline int number_of(std::string_view name, Machine machine) {
    const auto found = std::ranges::find(system_calls(), name, &SystemCall::name);
    if (found == system_calls().end() || found->number(machine) < 0) throw std::out_of_range(std::string(name));
    return found->number(machine);
}

inline std::string words(std::uint32_t verdict) {
    const std::uint32_t data = verdict & SECCOMP_RET_DATA;
    switch (verdict & SECCOMP_RET_ACTION_FULL) {
        case SECCOMP_RET_ALLOW: return "allow";
        case SECCOMP_RET_LOG: return "log";
        case SECCOMP_RET_TRAP: return "trap";
        case SECCOMP_RET_KILL_THREAD: return "kill thread";
        case SECCOMP_RET_KILL_PROCESS: return "kill";
        case SECCOMP_RET_ERRNO: return strerrorname_np(static_cast<int>(data));
        default: return cat(verdict);
    }
}

inline std::string verdict(const std::vector<sock_filter>& filter, std::uint32_t arch, std::uint32_t number,
                           const Arguments& arguments = {}) {
    SeccompCall call{arch, static_cast<int>(number), {}};
    std::ranges::copy(arguments, call.arguments);
    return words(evaluate_seccomp(filter, call));
}

inline std::string verdict(const std::vector<sock_filter>& filter, Machine machine, std::string_view name,
                           const Arguments& arguments = {}) {
    return verdict(filter, audit_arch(machine), static_cast<std::uint32_t>(number_of(name, machine)), arguments);
}

inline std::vector<sock_filter> compile(const SeccompRequest& request) {
    auto filter = compile_seccomp(request);
    if (!filter) throw std::runtime_error(filter.error().message);
    return std::move(*filter);
}

}  // namespace sandbox::seccomp
