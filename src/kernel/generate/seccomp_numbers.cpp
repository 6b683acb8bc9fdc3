// Writes the table of system calls that the filter compiler is built with: every name libseccomp knows on any
// architecture, with its number on the four machines for which filters are written.
//
// The table is made from numbers to names: libseccomp resolves the names behind i386's socketcall to invented negative
// numbers, although the kernel has had real ones since 4.3.
#include <seccomp.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

namespace {

constexpr std::array<std::uint32_t, 4> machines = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
constexpr std::array<std::uint32_t, 15> other_architectures = {
    SCMP_ARCH_X32,      SCMP_ARCH_MIPS,        SCMP_ARCH_MIPS64, SCMP_ARCH_MIPS64N32, SCMP_ARCH_MIPSEL,
    SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64N32, SCMP_ARCH_PPC,    SCMP_ARCH_PPC64,     SCMP_ARCH_PPC64LE,
    SCMP_ARCH_S390,     SCMP_ARCH_S390X,       SCMP_ARCH_PARISC, SCMP_ARCH_PARISC64,  SCMP_ARCH_RISCV64};

using Numbers = std::array<int, machines.size()>;
using Table = std::map<std::string, Numbers>;

// Calls that entered the kernel after libseccomp 2.5.4; all but the first two have one number on every architecture.
struct NewCall {
    const char* name;
    Numbers numbers;
};
constexpr NewCall new_calls[] = {
    {"uretprobe", {335, -1, -1, -1}},
    {"uprobe", {336, -1, -1, -1}},
    {"statmount", {457, 457, 457, 457}},
    {"listmount", {458, 458, 458, 458}},
    {"lsm_get_self_attr", {459, 459, 459, 459}},
    {"lsm_set_self_attr", {460, 460, 460, 460}},
    {"lsm_list_modules", {461, 461, 461, 461}},
    {"mseal", {462, 462, 462, 462}},
    {"setxattrat", {463, 463, 463, 463}},
    {"getxattrat", {464, 464, 464, 464}},
    {"listxattrat", {465, 465, 465, 465}},
    {"removexattrat", {466, 466, 466, 466}},
    {"open_tree_attr", {467, 467, 467, 467}},
    {"file_getattr", {468, 468, 468, 468}},
    {"file_setattr", {469, 469, 469, 469}},
    {"listns", {470, 470, 470, 470}},
    {"rseq_slice_yield", {471, 471, 471, 471}},
};

// The number spaces in use: the common one, MIPS's three (4000, 5000, 6000), and ARM's private calls (0xf0000).
template <class Visit>
void each_name(std::uint32_t architecture, Visit visit) {
    constexpr struct { int first, last; } spaces[] = {{0, 1023}, {4000, 6999}, {0xf0000, 0xf000f}};
    for (const auto& space : spaces) {
        for (int number = space.first; number <= space.last; ++number) {
            char* name = seccomp_syscall_resolve_num_arch(architecture, number);
            if (name != nullptr) visit(std::string(name), number);
            std::free(name);
        }
    }
}

Table make_table() {
    Table table;
    const auto row = [&table](const std::string& name) -> Numbers& {
        return table.try_emplace(name, Numbers{-1, -1, -1, -1}).first->second;
    };
    for (std::size_t machine = 0; machine < machines.size(); ++machine)
        each_name(machines[machine], [&](const std::string& name, int number) { row(name)[machine] = number; });
    for (const std::uint32_t architecture : other_architectures) each_name(architecture, [&](const std::string& name, int) { row(name); });
    for (const NewCall& call : new_calls) row(call.name) = call.numbers;
    return table;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return std::fputs("usage: seccomp-numbers FILE\n", stderr), 2;
    std::FILE* out = std::fopen(argv[1], "we");
    if (out == nullptr) return std::perror(argv[1]), 1;
    for (const auto& [name, n] : make_table()) std::fprintf(out, "{\"%s\", {%d, %d, %d, %d}},\n", name.c_str(), n[0], n[1], n[2], n[3]);
    if (std::ferror(out) != 0 || std::fclose(out) != 0) return std::perror(argv[1]), 1;
}
