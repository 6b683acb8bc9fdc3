#include <linux/ipc.h>
#include <linux/net.h>

#include "kernel/seccomp_numbers.h"

namespace sandbox::seccomp {

namespace {

// ipc() keeps a version in the upper half of its first argument (ipc/syscall.c).
constexpr std::uint64_t ipc_operation = 0xFFFF;

struct Operation {
    std::string_view name;
    std::string_view through;
    std::uint64_t number;
    std::uint64_t mask;
};
constexpr Operation operations[] = {
    {"socket", "socketcall", SYS_SOCKET, ~0U},
    {"bind", "socketcall", SYS_BIND, ~0U},
    {"connect", "socketcall", SYS_CONNECT, ~0U},
    {"listen", "socketcall", SYS_LISTEN, ~0U},
    {"accept", "socketcall", SYS_ACCEPT, ~0U},
    {"getsockname", "socketcall", SYS_GETSOCKNAME, ~0U},
    {"getpeername", "socketcall", SYS_GETPEERNAME, ~0U},
    {"socketpair", "socketcall", SYS_SOCKETPAIR, ~0U},
    {"send", "socketcall", SYS_SEND, ~0U},
    {"recv", "socketcall", SYS_RECV, ~0U},
    {"sendto", "socketcall", SYS_SENDTO, ~0U},
    {"recvfrom", "socketcall", SYS_RECVFROM, ~0U},
    {"shutdown", "socketcall", SYS_SHUTDOWN, ~0U},
    {"setsockopt", "socketcall", SYS_SETSOCKOPT, ~0U},
    {"getsockopt", "socketcall", SYS_GETSOCKOPT, ~0U},
    {"sendmsg", "socketcall", SYS_SENDMSG, ~0U},
    {"recvmsg", "socketcall", SYS_RECVMSG, ~0U},
    {"accept4", "socketcall", SYS_ACCEPT4, ~0U},
    {"recvmmsg", "socketcall", SYS_RECVMMSG, ~0U},
    {"sendmmsg", "socketcall", SYS_SENDMMSG, ~0U},
    {"semop", "ipc", SEMOP, ipc_operation},
    {"semget", "ipc", SEMGET, ipc_operation},
    {"semctl", "ipc", SEMCTL, ipc_operation},
    {"semtimedop", "ipc", SEMTIMEDOP, ipc_operation},
    {"msgsnd", "ipc", MSGSND, ipc_operation},
    {"msgrcv", "ipc", MSGRCV, ipc_operation},
    {"msgget", "ipc", MSGGET, ipc_operation},
    {"msgctl", "ipc", MSGCTL, ipc_operation},
    {"shmat", "ipc", SHMAT, ipc_operation},
    {"shmdt", "ipc", SHMDT, ipc_operation},
    {"shmget", "ipc", SHMGET, ipc_operation},
    {"shmctl", "ipc", SHMCTL, ipc_operation},
};

std::uint32_t strictest(const Behaviour& behaviour) {
    std::uint32_t out = behaviour.otherwise;
    for (const Clause& clause : behaviour.clauses)
        if (strictness(clause.verdict) < strictness(out)) out = clause.verdict;
    return out;
}

void close_operation(Policy& policy, const Operation& operation, std::uint32_t verdict) {
    const Call through = search_call(operation.through);
    Behaviour behaviour = policy.behaviours[policy.chosen[through]];
    if (strictness(behaviour.otherwise) <= strictness(verdict) && behaviour.clauses.empty()) return;
    const Condition asked{0, Compare::masked_equal, true, operation.number, operation.mask};
    behaviour.clauses.insert(behaviour.clauses.begin(), {{asked}, verdict});
    policy.set({&through, 1}, std::move(behaviour));
}

}  // namespace

void close_multiplexers(Policy& policy, std::span<const Call> calls) {
    for (const Operation& operation : operations) {
        const Call call = search_call(operation.name);
        if (std::ranges::count(calls, call) == 0 || std::ranges::count(calls, search_call(operation.through)) != 0) continue;
        const std::uint32_t verdict = strictest(policy.behaviours[policy.chosen[call]]);
        if (verdict != verdict_allow) close_operation(policy, operation, verdict);
    }
}

}  // namespace sandbox::seccomp
