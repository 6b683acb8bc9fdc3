// From a policy to classic BPF.
//
// A tree of comparisons over ranges of system call numbers is the shortest program that we know, and short matters: at
// installation the kernel translates each instruction and then runs the filter for every number to learn which calls are
// always allowed (kernel/seccomp.c, seccomp_cache_prepare). Only loads of number and architecture, jumps and AND may
// stand on the way to such a verdict, or the call is not remembered and pays for the filter each time.
#include <algorithm>
#include <cstddef>

#include "base/text.h"
#include "kernel/seccomp_policy.h"

namespace sandbox::seccomp {

namespace {

// A place in the program, counted from its end: programs are written from the last instruction to the first, because
// jumps only go forward, so that every target is known when its jump is written.
using Label = std::uint32_t;

class Assembler {
   public:
    [[nodiscard]] Label verdict(std::uint32_t value) {
        for (const Label label : verdicts_)
            if (reversed_[label].k == value) return label;
        verdicts_.push_back(push(BPF_STMT(BPF_RET | BPF_K, value)));
        return verdicts_.back();
    }

    [[nodiscard]] Label load(std::uint32_t offset, Label next) { return proceed(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset), next); }
    [[nodiscard]] Label mask(std::uint32_t bits, Label next) { return proceed(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits), next); }

    // `comparison`: BPF_JEQ, BPF_JGE or BPF_JGT with `value`.
    [[nodiscard]] Label branch(std::uint16_t comparison, std::uint32_t value, Label yes, Label no) {
        if (yes == no) return yes;
        yes = reach(yes);
        no = reach(no);
        sock_filter jump = BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | BPF_K | comparison), value, 0, 0);
        jump.jt = static_cast<std::uint8_t>(distance(yes));
        jump.jf = static_cast<std::uint8_t>(distance(no));
        return push(jump);
    }

    [[nodiscard]] std::vector<sock_filter> program(Label start) && {
        follow(start);
        std::ranges::reverse(reversed_);
        return std::move(reversed_);
    }

   private:
    Label push(sock_filter instruction) {
        reversed_.push_back(instruction);
        stand_ins_.push_back(static_cast<Label>(reversed_.size() - 1));
        return stand_ins_.back();
    }

    // What a jump written now has to skip to arrive at `label`.
    [[nodiscard]] std::size_t distance(Label label) const { return reversed_.size() - 1 - label; }

    // Writes an instruction that does the same as going to `label`.
    Label repeat(Label label) {
        const sock_filter target = reversed_[label];
        if (target.code == (BPF_RET | BPF_K)) return push(target);
        return push(BPF_STMT(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(distance(label))));
    }

    // A label that does the same and that a conditional jump can reach: its offsets have 8 bits, and the other target of
    // the same jump may still need one instruction in between.
    [[nodiscard]] Label reach(Label label) {
        if (distance(stand_ins_[label]) > 254) stand_ins_[label] = repeat(label);
        return stand_ins_[label];
    }

    void follow(Label next) {
        if (distance(next) != 0) repeat(next);
    }

    [[nodiscard]] Label proceed(sock_filter instruction, Label next) {
        follow(next);
        return push(instruction);
    }

    std::vector<sock_filter> reversed_;
    std::vector<Label> stand_ins_;  // for each instruction the nearest that does the same
    std::vector<Label> verdicts_;
};

// ---- conditions on arguments

// All supported machines are little-endian.
constexpr std::uint32_t low_offset(const Condition& c) {
    return static_cast<std::uint32_t>(offsetof(seccomp_data, args)) + 8U * c.argument;
}
constexpr std::uint32_t high_offset(const Condition& c) { return low_offset(c) + 4; }
constexpr std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
constexpr std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

Label emit_equal(Assembler& out, const Condition& c, Label yes, Label no) {
    const std::uint64_t mask = c.compare == Compare::masked_equal ? c.mask : ~0ULL;
    const auto half = [&](std::uint32_t offset, std::uint32_t bits, std::uint32_t value, Label next) {
        if (bits == 0) return value == 0 ? next : no;
        const Label compared = out.branch(BPF_JEQ, value, next, no);
        return out.load(offset, bits == ~0U ? compared : out.mask(bits, compared));
    };
    const Label rest = half(low_offset(c), low(mask), low(c.value), yes);
    return c.low_half ? rest : half(high_offset(c), high(mask), high(c.value), rest);
}

// `comparison`: BPF_JGT or BPF_JGE, for the argument against the value.
Label emit_greater(Assembler& out, const Condition& c, std::uint16_t comparison, Label yes, Label no) {
    const Label rest = out.load(low_offset(c), out.branch(comparison, low(c.value), yes, no));
    if (c.low_half) return rest;
    const Label same = out.branch(BPF_JEQ, high(c.value), rest, no);
    return out.load(high_offset(c), out.branch(BPF_JGT, high(c.value), yes, same));
}

Label emit_condition(Assembler& out, const Condition& c, Label yes, Label no) {
    switch (c.compare) {
        case Compare::equal:
        case Compare::masked_equal: return emit_equal(out, c, yes, no);
        case Compare::not_equal: return emit_equal(out, c, no, yes);
        case Compare::greater: return emit_greater(out, c, BPF_JGT, yes, no);
        case Compare::greater_equal: return emit_greater(out, c, BPF_JGE, yes, no);
        case Compare::less: return emit_greater(out, c, BPF_JGE, no, yes);
        case Compare::less_equal: return emit_greater(out, c, BPF_JGT, no, yes);
    }
    return no;
}

Label emit_behaviour(Assembler& out, const Behaviour& behaviour) {
    Label next = out.verdict(behaviour.otherwise);
    for (auto clause = behaviour.clauses.rbegin(); clause != behaviour.clauses.rend(); ++clause) {
        Label here = out.verdict(clause->verdict);
        for (auto c = clause->conditions.rbegin(); c != clause->conditions.rend(); ++c) here = emit_condition(out, *c, here, next);
        next = here;
    }
    return next;
}

// ---- numbers

// From `first` to the next range's first: what is done, as a label.
struct Range {
    std::uint32_t first;
    Label label;
};

// x86_64 and x32 share AUDIT_ARCH_X86_64; x32 sets this bit in the number (asm/unistd.h, __X32_SYSCALL_BIT).
constexpr std::uint32_t x32_bit = 0x40000000;

void append(std::vector<Range>& ranges, std::uint32_t first, Label label) {
    if (ranges.empty() || ranges.back().label != label) ranges.push_back({first, label});
}

std::vector<Range> make_ranges(const Policy& policy, Machine machine, std::span<const Label> labels, Label unknown, Label enosys) {
    std::array<Label, 1024> common;
    common.fill(unknown);
    std::vector<Range> apart;  // ARM's private calls
    const std::span<const SystemCall> calls = system_calls();
    for (std::size_t i = 0; i < calls.size(); ++i) {
        const int number = calls[i].number(machine);
        if (number < 0) continue;
        const Label label = labels[policy.chosen[i]];
        if (static_cast<std::size_t>(number) < common.size())
            common[static_cast<std::size_t>(number)] = label;
        else
            apart.push_back({static_cast<std::uint32_t>(number), label});
    }
    std::ranges::sort(apart, {}, &Range::first);

    std::vector<Range> ranges;
    for (std::uint32_t number = 0; number < common.size(); ++number) append(ranges, number, common[number]);
    append(ranges, common.size(), unknown);
    for (std::size_t i = 0; i < apart.size(); ++i) {
        append(ranges, apart[i].first, apart[i].label);
        if (i + 1 == apart.size() || apart[i + 1].first != apart[i].first + 1) append(ranges, apart[i].first + 1, unknown);
    }
    // x32 is refused whatever the policy is: it would be a second way to every call.
    if (machine == Machine::x86_64) append(ranges, x32_bit, enosys);
    return ranges;
}

// A range of one number between two alike: one comparison takes it out and makes the three one.
std::size_t find_exception(std::span<const Range> ranges) {
    for (std::size_t i = 1; i + 1 < ranges.size(); ++i)
        if (ranges[i].first + 1 == ranges[i + 1].first && ranges[i - 1].label == ranges[i + 1].label) return i;
    return 0;
}

Label emit_tree(Assembler& out, std::span<const Range> ranges) {
    if (ranges.size() == 1) return ranges.front().label;
    // Only in small parts: taken out higher, an exception would stand in the way of every other call.
    constexpr std::size_t small = 7;
    if (const std::size_t at = ranges.size() <= small ? find_exception(ranges) : 0; at != 0) {
        std::vector<Range> rest(ranges.begin(), ranges.end());
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(at), rest.begin() + static_cast<std::ptrdiff_t>(at) + 2);
        const Label others = emit_tree(out, rest);
        return out.branch(BPF_JEQ, ranges[at].first, ranges[at].label, others);
    }
    const std::size_t middle = ranges.size() / 2;
    const Label right = emit_tree(out, ranges.subspan(middle));
    const Label left = emit_tree(out, ranges.first(middle));
    return out.branch(BPF_JGE, ranges[middle].first, right, left);
}

}  // namespace

Result<std::vector<sock_filter>> emit(const Policy& policy, std::span<const Machine> machines) {
    Assembler out;
    const Label kill = out.verdict(SECCOMP_RET_KILL_PROCESS);
    const Label enosys = out.verdict(verdict_enosys);
    const Label unknown = out.verdict(policy.unknown);
    std::vector<Label> labels;
    for (const Behaviour& behaviour : policy.behaviours) labels.push_back(emit_behaviour(out, behaviour));

    // Written last and so asked first: the first machine, which is the processor's own.
    Label start = kill;
    for (std::size_t i = machines.size(); i-- > 0;) {
        if (!policy.decided[static_cast<std::size_t>(machines[i])]) continue;
        const Label tree = emit_tree(out, make_ranges(policy, machines[i], labels, unknown, enosys));
        const Label number = out.load(offsetof(seccomp_data, nr), tree);
        start = out.branch(BPF_JEQ, audit_arch(machines[i]), number, start);
    }
    auto program = std::move(out).program(out.load(offsetof(seccomp_data, arch), start));
    if (program.size() > BPF_MAXINSNS)
        return fail(cat("the seccomp filter has ", program.size(), " instructions, more than the kernel's ", BPF_MAXINSNS),
                    "use fewer conditions on arguments");
    return program;
}

}  // namespace sandbox::seccomp
