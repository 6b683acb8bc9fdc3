#include "exec/forward.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/text.h"
#include "exec/forward_parts.h"

namespace sandbox {
namespace {

constexpr unsigned nobody = 65534;

std::string hint_for(int error, bool udp) {
    if (error == EADDRINUSE) return cat("sudo ss -", udp ? "u" : "t", "lnp shows by whom; another host port: ports: [\"HOST:SANDBOX\"]");
    if (error == EADDRNOTAVAIL) return "no interface of this host has the address";
    if (error == EACCES) return "ports below net.ipv4.ip_unprivileged_port_start are the administrator's";
    return {};
}

// Of the descriptors only those are left that forwarding needs; the standard streams lead nowhere.
bool keep_descriptors(std::vector<Forward>& forwards, int& life) {
    std::vector<int*> wanted{&life};
    for (Forward& forward : forwards) wanted.push_back(&forward.socket);
    for (int* fd : wanted)
        if (*fd < 3 && (*fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, 3)) < 0) return false;
    std::sort(wanted.begin(), wanted.end(), [](const int* a, const int* b) { return *a < *b; });
    unsigned from = 3;
    for (const int* fd : wanted) {
        const auto number = static_cast<unsigned>(*fd);
        if (number > from) ::close_range(from, number - 1, 0);
        from = number + 1;
    }
    ::close_range(from, UINT_MAX, 0);
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int stream = 0; stream < 3; ++stream)
        if (nowhere < 0 || ::dup2(nowhere, stream) < 0) ::close(stream);
    if (nowhere > 2) ::close(nowhere);
    return true;
}

// The launcher decides when it ends: what a terminal or a shutdown sends to all processes alike does not.
void set_signals() {
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGUSR1, SIGUSR2}) ::signal(number, SIG_IGN);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Ids first: a change of them needs the capabilities. Where the ids are not mapped, or the caller is an ordinary user, it stays who it
// is; without any capability in every case.
bool drop_privileges() {
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
    }
    if (::geteuid() == 0 && ::setgroups(0, nullptr) == 0 && ::setresgid(nobody, nobody, nobody) == 0)
        static_cast<void>(::setresuid(nobody, nobody, nobody) == 0);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct none[2]{};
    return ::syscall(SYS_capset, &header, none) == 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool forward_until_end(std::vector<Forward> forwards, int life) {
    ::prctl(PR_SET_NAME, "sandbox-ports", 0, 0, 0);
    set_signals();
    // A folder of the launcher's is not kept in use.
    if (::chdir("/") != 0 || !keep_descriptors(forwards, life) || !drop_privileges()) return false;
    raise_descriptor_limit();
    ForwardLoop loop;
    if (!loop.open(life)) return false;
    std::vector<std::unique_ptr<Waiter>> waiters;
    for (const Forward& forward : forwards) {
        waiters.push_back(forward.udp ? forward_udp(loop, forward) : forward_tcp(loop, forward));
        if (!waiters.back()) return false;
    }
    loop.run();
    return true;
}

}  // namespace

Result<HeldPort> hold_port(const IpAddress& address, std::uint16_t port, bool udp) {
    Fd socket = listen_on(address, port, udp);
    if (socket) return HeldPort{address, port, udp, std::move(socket)};
    const int why = errno;
    const std::string what = port_text(address, port, udp);
    if (why != EADDRINUSE) return fail_errno(what, why, hint_for(why, udp));
    Error error{cat(what, " is in use"), hint_for(why, udp), why, {}, {}};
    return tl::unexpected<Error>(std::move(error));
}

Result<pid_t> start_forwarder(const std::vector<Forward>& forwards, int life) {
    // No signal may run a handler of the launcher's in its copy.
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t child = ::fork();
    const int why = errno;
    if (child == 0) ::_exit(forward_until_end(forwards, life) ? 0 : 1);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (child < 0) return fail_errno("starting the process that forwards ports", why);
    return child;
}

}  // namespace sandbox
