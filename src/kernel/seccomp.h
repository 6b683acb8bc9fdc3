// From the seccomp section of a profile to a filter program, and a filter as a function for tests.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sandbox {

struct SeccompRequest {
    // default | none | file: the text of an OCI or moby JSON profile is in `json`. `none` allows everything that `deny`
    // does not name.
    enum class Base { default_, none, json } base = Base::default_;
    std::string json;
    // System call names and @groups; deny wins over allow, both over the base. A call that is allowed here loses the
    // conditions that the base puts on its arguments.
    std::vector<std::string> allow, deny;
    // SECCOMP_RET_* with data: the answer to what `deny` names and what the default policy denies. What is answered with
    // ENOSYS so that programs fall back, and what a JSON profile decides, does not depend on it.
    std::uint32_t deny_action = SECCOMP_RET_ERRNO | EPERM;
    std::uint64_t capabilities = 0;          // the payload's bounding set: a rule may depend on it
    bool user_namespaces = false;            // whether the default policy lets the payload make namespaces of its own
    int kernel_major = 0, kernel_minor = 0;  // "minKernel" of JSON profiles; 0.0 counts as older than any
};

// The program for SECCOMP_SET_MODE_FILTER; empty when nothing is to be filtered. Decides every architecture the machine
// can enter (x86_64, i386, x32; aarch64, arm) and, unless the base allows what it does not name, answers numbers that
// were no system call when this was built with ENOSYS. An error names the unknown system call or group with the nearest
// known one, or the path of the key in the JSON profile.
[[nodiscard]] Result<std::vector<sock_filter>> compile_seccomp(const SeccompRequest& request);

// Whether `name` is a system call of any architecture, or an @group.
[[nodiscard]] bool known_system_call(std::string_view name);

// The verdict (SECCOMP_RET_*) of a filter for one call: an interpreter of the instructions that compile_seccomp writes,
// for tests and `plan`. Any other instruction, and a jump out of the program, is SECCOMP_RET_KILL_PROCESS.
struct SeccompCall {
    std::uint32_t arch = 0;  // AUDIT_ARCH_*
    int number = 0;
    std::uint64_t arguments[6] = {};
};
[[nodiscard]] std::uint32_t evaluate_seccomp(const std::vector<sock_filter>& filter, const SeccompCall& call);

}  // namespace sandbox
