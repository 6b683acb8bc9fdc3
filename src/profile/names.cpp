#include "profile/names.h"

#include <signal.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::array<std::string_view, 41> capabilities{"CHOWN",
                                                        "DAC_OVERRIDE",
                                                        "DAC_READ_SEARCH",
                                                        "FOWNER",
                                                        "FSETID",
                                                        "KILL",
                                                        "SETGID",
                                                        "SETUID",
                                                        "SETPCAP",
                                                        "LINUX_IMMUTABLE",
                                                        "NET_BIND_SERVICE",
                                                        "NET_BROADCAST",
                                                        "NET_ADMIN",
                                                        "NET_RAW",
                                                        "IPC_LOCK",
                                                        "IPC_OWNER",
                                                        "SYS_MODULE",
                                                        "SYS_RAWIO",
                                                        "SYS_CHROOT",
                                                        "SYS_PTRACE",
                                                        "SYS_PACCT",
                                                        "SYS_ADMIN",
                                                        "SYS_BOOT",
                                                        "SYS_NICE",
                                                        "SYS_RESOURCE",
                                                        "SYS_TIME",
                                                        "SYS_TTY_CONFIG",
                                                        "MKNOD",
                                                        "LEASE",
                                                        "AUDIT_WRITE",
                                                        "AUDIT_CONTROL",
                                                        "SETFCAP",
                                                        "MAC_OVERRIDE",
                                                        "MAC_ADMIN",
                                                        "SYSLOG",
                                                        "WAKE_ALARM",
                                                        "BLOCK_SUSPEND",
                                                        "AUDIT_READ",
                                                        "PERFMON",
                                                        "BPF",
                                                        "CHECKPOINT_RESTORE"};

// Indexed by number; numbers from 32 have no name of their own.
constexpr std::array<std::string_view, 32> signals{
    "",       "HUP",  "INT",  "QUIT", "ILL",  "TRAP", "ABRT", "BUS", "FPE",  "KILL", "USR1",   "SEGV", "USR2",  "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",   "PWR",  "SYS"};
static_assert(SIGTERM == 15 && SIGCHLD == 17 && SIGSYS == 31, "the table is for the numbering of x86 and arm");

constexpr int first_realtime = 34;  // SIGRTMIN of glibc and musl's 35 differ; the kernel's 32 and 33 are the C library's
constexpr int last_signal = 64;

constexpr std::array<ResourceLimit, 16> limits{{{"as", RLIMIT_AS, true},
                                                {"core", RLIMIT_CORE, true},
                                                {"cpu", RLIMIT_CPU, false},
                                                {"data", RLIMIT_DATA, true},
                                                {"fsize", RLIMIT_FSIZE, true},
                                                {"locks", RLIMIT_LOCKS, false},
                                                {"memlock", RLIMIT_MEMLOCK, true},
                                                {"msgqueue", RLIMIT_MSGQUEUE, true},
                                                {"nice", RLIMIT_NICE, false},
                                                {"nofile", RLIMIT_NOFILE, false},
                                                {"nproc", RLIMIT_NPROC, false},
                                                {"rss", RLIMIT_RSS, true},
                                                {"rtprio", RLIMIT_RTPRIO, false},
                                                {"rttime", RLIMIT_RTTIME, false},
                                                {"sigpending", RLIMIT_SIGPENDING, false},
                                                {"stack", RLIMIT_STACK, true}}};

constexpr std::array<Personality, 2> personas{{{"linux", PER_LINUX}, {"linux32", PER_LINUX32}}};

}  // namespace

std::span<const std::string_view> capability_names() { return capabilities; }

std::optional<int> capability_number(std::string_view name) {
    std::string wanted = lower(name);
    if (wanted.starts_with("cap_")) wanted.erase(0, 4);
    const auto found = std::ranges::find_if(capabilities, [&](std::string_view known) { return lower(known) == wanted; });
    if (found == capabilities.end()) return std::nullopt;
    return static_cast<int>(found - capabilities.begin());
}

std::optional<int> signal_number(std::string_view name) {
    if (const auto number = parse_int(name)) {
        if (*number < 1 || *number > last_signal) return std::nullopt;
        return static_cast<int>(*number);
    }
    std::string wanted = lower(name);
    if (wanted.starts_with("sig")) wanted.erase(0, 3);
    if (wanted == "rtmin") return first_realtime;
    if (wanted == "rtmax") return last_signal;
    if (wanted.starts_with("rtmin+") || wanted.starts_with("rtmax-")) {
        const auto steps = parse_id(std::string_view(wanted).substr(6));
        if (!steps || *steps > last_signal - first_realtime) return std::nullopt;
        return wanted[3] == 'i' ? first_realtime + static_cast<int>(*steps) : last_signal - static_cast<int>(*steps);
    }
    if (wanted == "poll") return SIGIO;
    if (wanted == "cld") return SIGCHLD;
    if (wanted == "iot") return SIGABRT;
    for (std::size_t number = 1; number < signals.size(); ++number)
        if (lower(signals[number]) == wanted) return static_cast<int>(number);
    return std::nullopt;
}

std::string_view signal_name(int number) {
    static constexpr std::string_view digits = "323334353637383940414243444546474849505152535455565758596061626364";
    if (number > 0 && number < static_cast<int>(signals.size())) return signals[static_cast<std::size_t>(number)];
    if (number >= 32 && number <= last_signal) return digits.substr(static_cast<std::size_t>(number - 32) * 2, 2);
    return {};
}

std::span<const std::string_view> signal_names() { return std::span(signals).subspan(1); }

std::span<const ResourceLimit> resource_limits() { return limits; }

std::span<const Personality> personalities() { return personas; }

std::optional<unsigned long> personality_number(std::string_view name) {
    const auto found = std::ranges::find(personas, name, &Personality::name);
    if (found == personas.end()) return std::nullopt;
    return found->persona;
}

}  // namespace sandbox
