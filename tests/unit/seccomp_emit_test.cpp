// A program does what its policy says: for each call, as a plain walk over the policy says it.
#include <random>

#include "seccomp_testing.h"

namespace sandbox::seccomp {
namespace {

constexpr std::array machines_x86 = {Machine::x86_64, Machine::i386};
constexpr std::array machines_arm = {Machine::aarch64, Machine::arm};

bool holds(const Condition& c, const Arguments& arguments) {
    const std::uint64_t bits = c.low_half ? 0xFFFFFFFFULL : ~0ULL;
    const std::uint64_t argument = arguments[c.argument] & bits, value = c.value & bits;
    switch (c.compare) {
        case Compare::equal: return argument == value;
        case Compare::not_equal: return argument != value;
        case Compare::less: return argument < value;
        case Compare::less_equal: return argument <= value;
        case Compare::greater: return argument > value;
        case Compare::greater_equal: return argument >= value;
        case Compare::masked_equal: return (argument & c.mask) == value;
    }
    return false;
}

std::uint32_t expected(const Policy& policy, Machine machine, std::uint32_t number, const Arguments& arguments) {
    if (machine == Machine::x86_64 && number >= 0x40000000) return verdict_enosys;
    for (std::size_t i = 0; i < system_calls().size(); ++i) {
        const int own = system_calls()[i].number(machine);
        if (own < 0 || static_cast<std::uint32_t>(own) != number) continue;
        const Behaviour& behaviour = policy.behaviours[policy.chosen[i]];
        for (const Clause& clause : behaviour.clauses)
            if (std::ranges::all_of(clause.conditions, [&](const Condition& c) { return holds(c, arguments); })) return clause.verdict;
        return behaviour.otherwise;
    }
    return policy.unknown;
}

void compare(const Policy& policy, std::span<const Machine> machines, const std::vector<Arguments>& samples) {
    const auto filter = emit(policy, machines);
    ASSERT_TRUE(filter) << filter.error().message;
    std::vector<std::uint32_t> numbers = {1023, 1024, 4095, 0xeffff, 0x3fffffff, 0x40000000, 0x40000001, 0x80000000, 0xffffffff};
    for (std::uint32_t n = 0; n <= 600; ++n) numbers.push_back(n);
    for (std::uint32_t n = 0xf0000; n < 0xf0010; ++n) numbers.push_back(n);
    for (const Machine machine : machines)
        for (const std::uint32_t number : numbers)
            for (const Arguments& arguments : samples)
                ASSERT_EQ(verdict(*filter, audit_arch(machine), number, arguments), words(expected(policy, machine, number, arguments)))
                    << "machine " << static_cast<int>(machine) << " number " << number << " first argument " << arguments[0];
}

const std::vector<Arguments> samples = {{0, 0, 0, 0, 0, 0},
                                        {1, 0x5412, 0, 0, 0, 0},
                                        {40, 0x541C, 9, 0, 0, 0},
                                        {0x10000000, 5, 0, 0, 0, 0},
                                        {1ULL << 32, 1ULL << 32, 0, 0, 0, 0},
                                        {~0ULL, ~0ULL, ~0ULL, 0, 0, 0}};

TEST(SeccompEmit, NumbersAreUniqueOnEachMachine) {
    for (std::size_t machine = 0; machine < machine_count; ++machine) {
        std::vector<int> numbers;
        for (const SystemCall& call : system_calls())
            if (call.numbers[machine] >= 0) numbers.push_back(call.numbers[machine]);
        std::ranges::sort(numbers);
        EXPECT_GT(numbers.size(), 300U);
        EXPECT_EQ(std::ranges::adjacent_find(numbers), numbers.end()) << machine;
    }
}

TEST(SeccompEmit, NumbersAreTheKernels) {
    EXPECT_EQ(number_of("read", Machine::x86_64), 0);
    EXPECT_EQ(number_of("uretprobe", Machine::x86_64), 335);
    EXPECT_EQ(number_of("mseal", Machine::x86_64), 462);
    EXPECT_EQ(number_of("socket", Machine::i386), 359);
    EXPECT_EQ(number_of("shmget", Machine::i386), 395);
    EXPECT_EQ(number_of("openat", Machine::aarch64), 56);
    EXPECT_EQ(number_of("set_tls", Machine::arm), 0xf0005);
    EXPECT_EQ(number_of("file_setattr", Machine::arm), 469);
}

TEST(SeccompEmit, DefaultPolicyOnEveryMachine) {
    for (const bool everything : {false, true}) {
        SeccompRequest request;
        request.kernel_major = 6;
        request.capabilities = everything ? ~0ULL : 0;
        request.user_namespaces = everything;
        compare(default_policy(request), machines_x86, samples);
        compare(default_policy(request), machines_arm, samples);
    }
}

TEST(SeccompEmit, RandomPolicies) {
    std::mt19937 random(20240501);
    const std::uint32_t verdicts[] = {verdict_allow, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_LOG};
    for (int round = 0; round < 8; ++round) {
        Policy policy(verdict_allow);
        policy.unknown = verdicts[random() % 4];
        for (std::size_t i = 0; i < policy.chosen.size(); ++i) {
            Behaviour behaviour{{}, verdicts[random() % 4]};
            // Every second policy is large enough to need jumps that go further than 255 instructions.
            if (round % 2 != 0 && random() % 3 == 0)
                behaviour.clauses.push_back(
                    {{{static_cast<std::uint8_t>(random() % 3), static_cast<Compare>(random() % 7), random() % 2 == 0,
                       samples[random() % samples.size()][random() % 2], random() % 2 == 0 ? ~0ULL : 0xFFFF}},
                     verdicts[random() % 4]});
            const auto call = static_cast<Call>(i);
            policy.set({&call, 1}, std::move(behaviour));
        }
        compare(policy, machines_x86, samples);
        compare(policy, machines_arm, samples);
    }
}

TEST(SeccompEmit, ConditionsOn64Bits) {
    const std::uint64_t values[] = {0,
                                    1,
                                    2,
                                    0x7FFFFFFF,
                                    0x80000000,
                                    0xFFFFFFFE,
                                    0xFFFFFFFF,
                                    0x100000000,
                                    0x100000001,
                                    0x1FFFFFFFF,
                                    0x200000000,
                                    0x7FFFFFFFFFFFFFFF,
                                    0x8000000000000000ULL,
                                    ~1ULL,
                                    ~0ULL};
    const Call read = find_calls("read").front();
    for (int op = 0; op <= static_cast<int>(Compare::masked_equal); ++op) {
        for (const bool low : {false, true}) {
            for (const std::uint64_t value : values) {
                const Condition condition{3, static_cast<Compare>(op), low, value, 0x1000000FF};
                Policy policy(verdict_allow);
                policy.set({&read, 1}, {{{{condition}, verdict_enosys}}, verdict_allow});
                const auto filter = emit(policy, machines_x86);
                ASSERT_TRUE(filter);
                for (const std::uint64_t argument : values)
                    ASSERT_EQ(verdict(*filter, Machine::x86_64, "read", {0, 0, 0, argument}),
                              words(expected(policy, Machine::x86_64, 0, {0, 0, 0, argument})))
                        << "op " << op << " low " << low << " value " << value << " argument " << argument;
            }
        }
    }
}

TEST(SeccompEmit, UndecidedMachineIsKilled) {
    Policy policy(verdict_allow);
    policy.decided[static_cast<std::size_t>(Machine::i386)] = false;
    const auto filter = emit(policy, machines_x86);
    ASSERT_TRUE(filter);
    EXPECT_EQ(verdict(*filter, Machine::i386, "read"), "kill");
    EXPECT_EQ(verdict(*filter, Machine::x86_64, "read"), "allow");
}

TEST(SeccompEmit, TooLongIsAnError) {
    Policy policy(verdict_allow);
    Behaviour behaviour{{}, verdict_allow};
    for (std::uint64_t value = 0; value < 2000; ++value)
        behaviour.clauses.push_back({{{0, Compare::equal, false, value, ~0ULL}}, verdict_enosys});
    const Call read = find_calls("read").front();
    policy.set({&read, 1}, std::move(behaviour));
    const auto filter = emit(policy, machines_x86);
    ASSERT_FALSE(filter);
    EXPECT_NE(filter.error().message.find("more than the kernel's 4096"), std::string::npos) << filter.error().message;
}

TEST(SeccompEmit, EvaluationStopsAtTheEnd) {
    EXPECT_EQ(words(evaluate_seccomp({}, {})), "kill");
    EXPECT_EQ(words(evaluate_seccomp({BPF_STMT(BPF_JMP | BPF_JA, 7)}, {})), "kill");
    EXPECT_EQ(words(evaluate_seccomp({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64)}, {})), "kill");
    EXPECT_EQ(words(evaluate_seccomp({BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}, {})), "kill");
}

}  // namespace
}  // namespace sandbox::seccomp
