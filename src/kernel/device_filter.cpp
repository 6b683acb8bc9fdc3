#include "kernel/device_filter.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/fd.h"
#include "base/text.h"
#include "kernel/cgroup.h"

namespace sandbox {
namespace {

std::string number(std::int64_t value) { return value < 0 ? "*" : std::to_string(value); }

// Registers: 1 holds the context at the start, and then 2 the type, 3 the access, 4 major, 5 minor.
constexpr bpf_insn load(int to, int offset) { return {BPF_LDX | BPF_MEM | BPF_W, static_cast<__u8>(to), 1, static_cast<__s16>(offset), 0}; }
constexpr bpf_insn copy(int to, int from) { return {BPF_ALU64 | BPF_MOV | BPF_X, static_cast<__u8>(to), static_cast<__u8>(from), 0, 0}; }
constexpr bpf_insn set(int to, int value) { return {BPF_ALU64 | BPF_MOV | BPF_K, static_cast<__u8>(to), 0, 0, value}; }
constexpr bpf_insn and_with(int to, int value) { return {BPF_ALU | BPF_AND | BPF_K, static_cast<__u8>(to), 0, 0, value}; }
constexpr bpf_insn shift_right(int to, int bits) { return {BPF_ALU | BPF_RSH | BPF_K, static_cast<__u8>(to), 0, 0, bits}; }
constexpr bpf_insn leave() { return {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}; }
// Skips so many instructions unless they are equal.
constexpr bpf_insn unless_equal(int reg, int value, int skip) {
    return {BPF_JMP | BPF_JNE | BPF_K, static_cast<__u8>(reg), 0, static_cast<__s16>(skip), value};
}
constexpr bpf_insn unless_same(int reg, int other, int skip) {
    return {BPF_JMP | BPF_JNE | BPF_X, static_cast<__u8>(reg), static_cast<__u8>(other), static_cast<__s16>(skip), 0};
}

int bits_of(const std::string& letters) {
    int bits = 0;
    for (const char c : letters) bits |= c == 'r' ? BPF_DEVCG_ACC_READ : c == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
    return bits;
}

// access_type is (access << 16 | type) (bpf_cgroup_dev_ctx of <linux/bpf.h>).
std::vector<bpf_insn> compile(std::span<const DeviceAccess> allowed) {
    std::vector<bpf_insn> program{load(2, 0), copy(3, 2), and_with(2, 0xFFFF), shift_right(3, 16), load(4, 4), load(5, 8)};
    for (const DeviceAccess& device : allowed) {
        const int all = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD, bits = bits_of(device.letters);
        std::vector<bpf_insn> tests{unless_equal(2, device.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, 0)};
        if (bits != all) {
            // Everything that is asked for is among what is allowed.
            tests.push_back(copy(1, 3));
            tests.push_back(and_with(1, bits));
            tests.push_back(unless_same(1, 3, 0));
        }
        if (device.major >= 0) tests.push_back(unless_equal(4, static_cast<int>(device.major), 0));
        if (device.minor >= 0) tests.push_back(unless_equal(5, static_cast<int>(device.minor), 0));
        tests.push_back(set(0, 1));
        tests.push_back(leave());
        for (std::size_t i = 0; i < tests.size(); ++i)
            if (BPF_OP(tests[i].code) == BPF_JNE && BPF_CLASS(tests[i].code) == BPF_JMP)
                tests[i].off = static_cast<__s16>(tests.size() - i - 1);
        program.insert(program.end(), tests.begin(), tests.end());
    }
    program.push_back(set(0, 0));
    program.push_back(leave());
    return program;
}

long bpf(int command, bpf_attr& attributes) { return syscall(SYS_bpf, command, &attributes, sizeof attributes); }

}  // namespace

Status filter_devices_v1(int group, std::span<const DeviceAccess> allowed) {
    if (auto denied = write_group(group, "devices.deny", "a"); !denied) return denied;
    for (const DeviceAccess& device : allowed) {
        const std::string line = cat(device.type, " ", number(device.major), ":", number(device.minor), " ", device.letters);
        if (auto written = write_group(group, "devices.allow", line); !written) return written;
    }
    return {};
}

Status filter_devices_v2(int group, std::span<const DeviceAccess> allowed) {
    const std::vector<bpf_insn> program = compile(allowed);
    bpf_attr load_it;
    std::memset(&load_it, 0, sizeof load_it);
    load_it.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load_it.insns = reinterpret_cast<__u64>(program.data());
    load_it.insn_cnt = static_cast<__u32>(program.size());
    static constexpr char license[] = "GPL";
    load_it.license = reinterpret_cast<__u64>(license);
    std::memcpy(load_it.prog_name, "sandbox_devices", 16);
    const Fd loaded(static_cast<int>(bpf(BPF_PROG_LOAD, load_it)));
    if (!loaded)
        return fail_errno("load the device filter", errno,
                          errno == EPERM ? "it needs CAP_BPF or CAP_SYS_ADMIN on the host" : "the kernel needs CONFIG_CGROUP_BPF");
    bpf_attr attach;
    std::memset(&attach, 0, sizeof attach);
    attach.target_fd = static_cast<__u32>(group);
    attach.attach_bpf_fd = static_cast<__u32>(loaded.get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    // Beside what groups above have: all of them have to agree.
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (bpf(BPF_PROG_ATTACH, attach) < 0) return fail_errno("attach the device filter to the group", errno);
    return {};
}

}  // namespace sandbox
