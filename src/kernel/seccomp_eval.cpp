#include <array>
#include <cstring>

#include "kernel/seccomp.h"

namespace sandbox {

namespace {

std::array<std::uint32_t, sizeof(seccomp_data) / 4> words(const SeccompCall& call) {
    seccomp_data data{};
    data.nr = call.number;
    data.arch = call.arch;
    for (int i = 0; i < 6; ++i) data.args[i] = call.arguments[i];
    std::array<std::uint32_t, sizeof(seccomp_data) / 4> out{};
    std::memcpy(out.data(), &data, sizeof data);
    return out;
}

// How many instructions a jump skips.
std::size_t skipped(const sock_filter& jump, std::uint32_t accumulator) {
    switch (BPF_OP(jump.code)) {
        case BPF_JEQ: return accumulator == jump.k ? jump.jt : jump.jf;
        case BPF_JGE: return accumulator >= jump.k ? jump.jt : jump.jf;
        case BPF_JGT: return accumulator > jump.k ? jump.jt : jump.jf;
        default: return jump.k;
    }
}

}  // namespace

std::uint32_t evaluate_seccomp(const std::vector<sock_filter>& filter, const SeccompCall& call) {
    const auto data = words(call);
    std::uint32_t accumulator = 0;
    for (std::size_t at = 0; at < filter.size(); ++at) {
        const sock_filter& instruction = filter[at];
        switch (instruction.code) {
            case BPF_RET | BPF_K: return instruction.k;
            case BPF_LD | BPF_W | BPF_ABS:
                if (instruction.k % 4 != 0 || instruction.k / 4 >= data.size()) return SECCOMP_RET_KILL_PROCESS;
                accumulator = data[instruction.k / 4];
                break;
            case BPF_ALU | BPF_AND | BPF_K: accumulator &= instruction.k; break;
            case BPF_JMP | BPF_JA:
            case BPF_JMP | BPF_JEQ | BPF_K:
            case BPF_JMP | BPF_JGE | BPF_K:
            case BPF_JMP | BPF_JGT | BPF_K: at += skipped(instruction, accumulator); break;
            default: return SECCOMP_RET_KILL_PROCESS;
        }
    }
    return SECCOMP_RET_KILL_PROCESS;
}

}  // namespace sandbox
