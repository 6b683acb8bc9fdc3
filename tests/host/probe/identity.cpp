// Who the process is: ids, capabilities, namespaces, limits, keyring, scheduling, clocks.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "probe.h"

extern char** environ;

namespace probe {
namespace {

constexpr const char* capability_names[] = {"CHOWN",
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

Json names_of_set(const std::string& hex) {
    Json names = Json::array();
    const unsigned long long bits = std::stoull(hex.empty() ? "0" : hex, nullptr, 16);
    for (unsigned bit = 0; bit < 64; ++bit) {
        if ((bits >> bit & 1) == 0) continue;
        names.push_back(bit < std::size(capability_names) ? capability_names[bit] : std::to_string(bit));
    }
    return names;
}

Json text_or_errno(const std::string& path) {
    const auto text = read_file(path);
    return text ? Json(*text) : Json(errno_name(errno));
}

Json map_lines(const std::string& path) {
    const auto text = read_file(path);
    if (!text) return errno_name(errno);
    Json lines = Json::array();
    unsigned long inside = 0, outside = 0, count = 0;
    const char* at = text->c_str();
    for (int used = 0; sscanf(at, "%lu %lu %lu%n", &inside, &outside, &count, &used) == 3; at += used) {
        lines.push_back({inside, outside, count});
    }
    return lines;
}

Json ids(const std::string&) {
    uid_t ruid = 0, euid = 0, suid = 0;
    gid_t rgid = 0, egid = 0, sgid = 0;
    getresuid(&ruid, &euid, &suid);
    getresgid(&rgid, &egid, &sgid);
    Json seen = {{"uid", ruid},
                 {"euid", euid},
                 {"suid", suid},
                 {"fsuid", syscall(SYS_setfsuid, -1)},
                 {"gid", rgid},
                 {"egid", egid},
                 {"sgid", sgid},
                 {"fsgid", syscall(SYS_setfsgid, -1)},
                 {"uid_map", map_lines("/proc/self/uid_map")},
                 {"gid_map", map_lines("/proc/self/gid_map")},
                 {"setgroups", text_or_errno("/proc/self/setgroups")}};
    gid_t groups[1024];
    const int count = getgroups(1024, groups);
    seen["groups"] = Json::array();
    for (int i = 0; i < count; ++i) seen["groups"].push_back(groups[i]);
    return seen;
}

// From capget and prctl, so that it works without /proc.
Json caps(const std::string&) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    if (syscall(SYS_capget, &header, data) != 0) return errno_name(errno);
    const auto names = [&](auto has) {
        Json list = Json::array();
        for (unsigned bit = 0; bit < std::size(capability_names); ++bit) {
            if (has(bit)) list.push_back(capability_names[bit]);
        }
        return list;
    };
    const auto in = [&](std::uint32_t __user_cap_data_struct::*set) {
        return names([&, set](unsigned bit) { return (data[bit / 32].*set >> (bit % 32) & 1) != 0; });
    };
    return {{"permitted", in(&__user_cap_data_struct::permitted)},
            {"effective", in(&__user_cap_data_struct::effective)},
            {"inheritable", in(&__user_cap_data_struct::inheritable)},
            {"bounding", names([](unsigned bit) { return prctl(PR_CAPBSET_READ, bit, 0, 0, 0) == 1; })},
            {"ambient", names([](unsigned bit) { return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, bit, 0, 0) == 1; })},
            {"securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)}};
}

Json caps_of(const std::string& pid) {
    const auto status = process_status(pid);
    const auto set = [&](const char* name) { return status.count(name) != 0 ? names_of_set(status.at(name)) : Json(); };
    return {{"permitted", set("CapPrm")},
            {"effective", set("CapEff")},
            {"inheritable", set("CapInh")},
            {"bounding", set("CapBnd")},
            {"ambient", set("CapAmb")}};
}

// prctl(PR_GET_SECCOMP) kills a process in strict mode, and is what answers where /proc is absent; the filter's count is
// only in /proc.
Json seccomp(const std::string&) {
    const auto status = process_status("self");
    Json seen = {{"mode", prctl(PR_GET_SECCOMP, 0, 0, 0, 0)}};
    if (status.count("Seccomp_filters") != 0) seen["filters"] = number(status.at("Seccomp_filters"));
    return seen;
}

Json namespaces(const std::string& pid) {
    Json seen = Json::object();
    const std::string base = "/proc/" + (pid.empty() ? "self" : pid) + "/ns/";
    for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"}) {
        struct stat info {};
        seen[name] = stat((base + name).c_str(), &info) == 0 ? Json(info.st_ino) : Json(errno_name(errno));
    }
    return seen;
}

Json environment(const std::string&) {
    Json seen = Json::object();
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string text = *entry;
        const std::size_t equals = text.find('=');
        seen[text.substr(0, equals)] = equals == std::string::npos ? Json() : Json(text.substr(equals + 1));
    }
    return seen;
}

// The raw system call: the C library hides "(unreachable)" behind ENOENT.
Json working_directory(const std::string&) {
    char buffer[4096];
    const long size = syscall(SYS_getcwd, buffer, sizeof buffer);
    return size < 0 ? errno_name(errno) : std::string(buffer);
}

Json keyring(const std::string&) {
    const auto get = [](int special) { return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, special, 0); };
    const long session = get(KEY_SPEC_SESSION_KEYRING);
    if (session < 0) return {{"error", errno_name(errno)}};
    char description[1024] = "";
    if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, session, description, sizeof description - 1) < 0) {
        return {{"session", session}, {"error", errno_name(errno)}};
    }
    return {{"session", session}, {"description", description}};
}

Json rlimits(const std::string&) {
    constexpr const char* names[] = {"cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
                                     "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};
    const auto value = [](rlim_t limit) { return limit == RLIM_INFINITY ? Json("infinity") : Json(limit); };
    Json seen = Json::object();
    for (int i = 0; i < static_cast<int>(std::size(names)); ++i) {
        rlimit limit{};
        if (prlimit(0, static_cast<__rlimit_resource>(i), nullptr, &limit) == 0) {
            seen[names[i]] = {value(limit.rlim_cur), value(limit.rlim_max)};
        }
    }
    return seen;
}

Json names_of_host(const std::string&) {
    utsname names{};
    uname(&names);
    return {{"sysname", names.sysname},
            {"hostname", names.nodename},
            {"release", names.release},
            {"machine", names.machine},
            {"domainname", names.domainname}};
}

Json masks(const std::string&) {
    const auto status = process_status("self");
    Json seen = Json::object();
    for (const auto& [field, name] : {std::pair{"SigBlk", "blocked"}, {"SigIgn", "ignored"}, {"SigCgt", "caught"}, {"SigPnd", "pending"}}) {
        seen[name] = Json::array();
        if (status.count(field) == 0) continue;
        const unsigned long long bits = std::stoull(status.at(field), nullptr, 16);
        for (int signal = 1; signal <= 64; ++signal) {
            if ((bits >> (signal - 1) & 1) != 0) seen[name].push_back(signal_name(signal));
        }
    }
    return seen;
}

Json scheduling(const std::string&) {
    sched_param parameter{};
    sched_getparam(0, &parameter);
    const int policy = sched_getscheduler(0);
    constexpr const char* names[] = {"other", "fifo", "rr", "batch", "4", "idle", "deadline"};
    const long io = syscall(SYS_ioprio_get, 1, 0);
    Json seen = {{"policy", policy >= 0 && policy < 7 ? Json(names[policy]) : Json(policy)},
                 {"priority", parameter.sched_priority},
                 {"nice", getpriority(PRIO_PROCESS, 0)},
                 {"io_class", io < 0 ? -1 : io >> 13},
                 {"io_level", io < 0 ? -1 : io & 0x1fff},
                 {"personality", personality(0xffffffff)}};
    cpu_set_t set;
    CPU_ZERO(&set);
    seen["affinity"] = Json::array();
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &set)) seen["affinity"].push_back(cpu);
        }
    }
    return seen;
}

Json clocks(const std::string&) {
    const auto seconds = [](clockid_t clock) {
        timespec now{};
        clock_gettime(clock, &now);
        return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
    };
    return {{"realtime", seconds(CLOCK_REALTIME)},
            {"monotonic", seconds(CLOCK_MONOTONIC)},
            {"boottime", seconds(CLOCK_BOOTTIME)},
            {"offsets", text_or_errno("/proc/self/timens_offsets")}};
}

Json cgroups(const std::string&) {
    const auto text = read_file("/proc/self/cgroup");
    if (!text) return errno_name(errno);
    Json seen = Json::object();
    for (std::size_t start = 0; start < text->size();) {
        const std::size_t end = std::min(text->find('\n', start), text->size());
        const std::string line = text->substr(start, end - start);
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second != std::string::npos) seen[line.substr(first + 1, second - first - 1)] = line.substr(second + 1);
        start = end + 1;
    }
    return seen;
}

}  // namespace

void add_identity(Verbs& verbs) {
    verbs["ids"] = ids;
    verbs["caps"] = [](const std::string& pid) { return pid.empty() ? caps(pid) : caps_of(pid); };
    verbs["nnp"] = [](const std::string&) { return Json(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); };
    verbs["seccomp"] = seccomp;
    verbs["ns"] = namespaces;
    verbs["env"] = environment;
    verbs["cwd"] = working_directory;
    verbs["keyring"] = keyring;
    verbs["rlimits"] = rlimits;
    verbs["uname"] = names_of_host;
    verbs["hostname"] = [](const std::string& none) { return names_of_host(none)["hostname"]; };
    verbs["signals"] = masks;
    verbs["sched"] = scheduling;
    verbs["affinity"] = [](const std::string& none) { return scheduling(none)["affinity"]; };
    verbs["personality"] = [](const std::string&) { return Json(personality(0xffffffff)); };
    verbs["time"] = clocks;
    verbs["cgroup"] = cgroups;
    verbs["oom"] = [](const std::string&) {
        const auto text = read_file("/proc/self/oom_score_adj");
        return text ? Json(std::stol(*text)) : Json(errno_name(errno));
    };
    verbs["dumpable"] = [](const std::string&) { return Json(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)); };
    verbs["pdeathsig"] = [](const std::string&) {
        int signal = 0;
        prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0);
        return Json(signal == 0 ? "none" : signal_name(signal));
    };
    verbs["umask"] = [](const std::string&) {
        const mode_t mask = umask(0);
        umask(mask);
        char text[8];
        snprintf(text, sizeof text, "%04o", mask);
        return Json(text);
    };
}

}  // namespace probe
