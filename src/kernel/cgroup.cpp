#include "kernel/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string hint_for(std::string_view file, int number) {
    if (number == ENOENT) return "this kernel does not have the file, or the controller is not handed out to this group";
    if (number == EINVAL && file.starts_with("cpuset.")) return "these processors or memory nodes are not all the group above has";
    if (number == EINVAL && file.starts_with("memory.memsw")) return "the sum of memory and swap may not be below the memory limit";
    if (number == EINVAL) return "the kernel does not take this value; a group above may have a lower limit";
    if (number == EBUSY && file == "cgroup.subtree_control")
        return "a group with processes of its own cannot hand out controllers (cgroups(7))";
    if (number == EBUSY) return "the group uses more than that already";
    if (number == ENODEV || number == ENXIO) return "the kernel knows no such device";
    if (number == EACCES || number == EPERM) return "only who owns the group may write there";
    if (number == EOPNOTSUPP) return "the device's driver or scheduler does not do this";
    return {};
}

std::vector<std::string> groups_below(int group) {
    std::vector<std::string> names;
    const Fd again(openat(group, ".", folder_flags));
    if (!again) return names;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(fdopendir(dup(again.get())), closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr)
        if (entry->d_type == DT_DIR && std::string_view(entry->d_name) != "." && std::string_view(entry->d_name) != "..")
            names.emplace_back(entry->d_name);
    return names;
}

void add_processes(int group, std::vector<pid_t>& out) {
    if (const auto text = read_group(group, "cgroup.procs"))
        for (const std::string_view line : split(*text, '\n'))
            if (const auto pid = parse_int(line); pid && *pid > 0) out.push_back(static_cast<pid_t>(*pid));
    for (const std::string& name : groups_below(group))
        if (const Fd below{openat(group, name.c_str(), folder_flags)}) add_processes(below.get(), out);
}

// By a descriptor of the process, so that a number that was given to another in the meantime is not hit.
void kill_all(const std::vector<pid_t>& pids, int group) {
    for (const pid_t pid : pids) {
        const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
        const auto now = processes_of(group);
        if (process && std::ranges::find(now, pid) != now.end()) syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    }
}

void wait_a_little(int attempt) {
    const long most = 20'000'000, pause = std::min(most, 200'000L << std::min(attempt, 7));
    const timespec time{0, pause};
    nanosleep(&time, nullptr);
}

// v2 says when a group becomes empty (cgroup.events); v1 does not, and is looked at again.
void wait_for_end(int group, int attempt) {
    const Fd events(openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC));
    if (!events) return wait_a_little(attempt);
    char text[256];
    static_cast<void>(!read(events.get(), text, sizeof text));
    pollfd change{events.get(), POLLPRI, 0};
    if (group_number(group, "cgroup.events", "populated").value_or(0) != 0) poll(&change, 1, 50);
}

// Where the group can freeze on v1: who is frozen starts nobody else while the others are killed, and dies when it is thawed.
void set_freezer_v1(int group, std::string_view state) {
    const Fd file(openat(group, "freezer.state", O_WRONLY | O_CLOEXEC));
    if (file) static_cast<void>(!write(file.get(), state.data(), state.size()));
}

}  // namespace

Result<std::string> read_group(int group, const char* file) {
    const Fd fd(openat(group, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail_errno(file, errno);
    std::string text;
    char buffer[4096];
    ssize_t size;
    while ((size = read(fd.get(), buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(size));
    if (size < 0) return fail_errno(file, errno);
    return text;
}

Status write_group(int group, const std::string& file, std::string_view value) {
    const Fd fd(openat(group, file.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail_errno(file, errno, hint_for(file, errno));
    ssize_t size;
    do size = write(fd.get(), value.data(), value.size());
    while (size < 0 && errno == EINTR);
    if (size < 0) return fail_errno(cat("write ", quote(value), " to ", file), errno, hint_for(file, errno));
    return {};
}

std::optional<std::uint64_t> group_number(int group, const char* file, std::string_view word) {
    const auto text = read_group(group, file);
    if (!text) return std::nullopt;
    for (std::string_view line : split(*text, '\n')) {
        if (!word.empty()) {
            if (!line.starts_with(word) || line.size() <= word.size() || line[word.size()] != ' ') continue;
            line.remove_prefix(word.size() + 1);
        }
        const auto number = parse_int(trim(line));
        return number && *number >= 0 ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
    }
    return std::nullopt;
}

Status fill_cpuset(int group, int above) {
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
        const auto own = read_group(group, file);
        if (!own) return tl::unexpected<Error>(own.error());
        if (!trim(*own).empty()) continue;
        const auto wider = read_group(above, file);
        if (!wider) return tl::unexpected<Error>(wider.error());
        if (auto written = write_group(group, file, trim(*wider)); !written) return written;
    }
    return {};
}

std::vector<pid_t> processes_of(int group) {
    std::vector<pid_t> out;
    add_processes(group, out);
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

Status empty_group(int group) {
    constexpr int most_attempts = 400;
    std::vector<pid_t> left;
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        left = processes_of(group);
        if (left.empty()) return {};
        if (!write_group(group, "cgroup.kill", "1")) {
            set_freezer_v1(group, "FROZEN");
            kill_all(left, group);
            kill_all(processes_of(group), group);
        }
        set_freezer_v1(group, "THAWED");
        wait_for_end(group, attempt);
    }
    return fail(
        cat("process ", left.front(), left.size() > 1 ? cat(" and ", left.size() - 1, " more do") : std::string(" does"), " not end"),
        "it is probably waiting in the kernel (state D); look at /proc/PID/stack");
}

Status remove_group(const std::string& path) {
    constexpr int most_attempts = 100;
    const Fd group(open(path.c_str(), folder_flags));
    if (!group) return errno == ENOENT ? Status() : fail_errno(quote(path), errno);
    if (auto emptied = empty_group(group.get()); !emptied) return pass(emptied, quote(path));
    for (const std::string& name : groups_below(group.get()))
        if (auto removed = remove_group(cat(path, "/", name)); !removed) return removed;
    // Somebody who has just died may still be counted.
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        if (rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
        if (errno != EBUSY) return fail_errno(cat("remove ", quote(path)), errno);
        wait_a_little(attempt);
    }
    return fail_errno(cat("remove ", quote(path)), EBUSY, "something is still in the group: see its cgroup.procs");
}

// ---- GroupSet: what both versions answer alike

const GroupSet::Member* GroupSet::find(std::string_view controller) const {
    for (const Member& member : members_)
        if (std::ranges::find(member.controllers, controller) != member.controllers.end()) return &member;
    if (controller != "freezer" && controller != "cpuacct") return nullptr;
    const auto unified = std::ranges::find_if(members_, &Member::v2);
    return unified == members_.end() ? nullptr : &*unified;
}

namespace {

std::optional<std::uint64_t> number_of(const GroupSet& set, std::string_view controller, const char* v1, const char* v2,
                                       std::string_view word = {}) {
    const GroupSet::Member* member = set.find(controller);
    const char* file = member ? (member->v2 ? v2 : v1) : nullptr;
    return file && *file ? group_number(member->folder.get(), file, word) : std::nullopt;
}

constexpr std::uint64_t unlimited_v1 = 1ULL << 62;  // PAGE_COUNTER_MAX pages, whatever their size, are more

std::optional<std::uint64_t> bytes_of(const GroupSet& set, const char* word) {
    const GroupSet::Member* member = set.find("io");
    if (!member) return std::nullopt;
    const auto text = read_group(member->folder.get(), member->v2 ? "io.stat" : "blkio.throttle.io_service_bytes");
    if (!text) return std::nullopt;
    std::uint64_t sum = 0;
    for (const std::string_view line : split(*text, '\n'))
        for (const auto parts = split(line, ' '); std::string_view part : parts) {
            const std::string mark = member->v2 ? cat(word, "=") : std::string();
            if (member->v2 && part.starts_with(mark)) sum += static_cast<std::uint64_t>(parse_int(part.substr(mark.size())).value_or(0));
            if (!member->v2 && parts.size() == 3 && part == (std::string_view(word) == "rbytes" ? "Read" : "Write"))
                sum += static_cast<std::uint64_t>(parse_int(parts[2]).value_or(0));
        }
    return sum;
}

}  // namespace

std::optional<std::uint64_t> GroupSet::memory_now() const { return number_of(*this, "memory", "memory.usage_in_bytes", "memory.current"); }
std::optional<std::uint64_t> GroupSet::memory_peak() const {
    return number_of(*this, "memory", "memory.max_usage_in_bytes", "memory.peak");
}
std::optional<std::uint64_t> GroupSet::memory_limit() const {
    const auto limit = number_of(*this, "memory", "memory.limit_in_bytes", "memory.max");
    return limit && *limit < unlimited_v1 ? limit : std::nullopt;
}
std::optional<std::uint64_t> GroupSet::swap_now() const {
    const Member* member = find("memory");
    if (!member) return std::nullopt;
    if (member->v2) return group_number(member->folder.get(), "memory.swap.current");
    return group_number(member->folder.get(), "memory.stat", "swap");
}
std::optional<std::uint64_t> GroupSet::oom_kills() const {
    return number_of(*this, "memory", "memory.oom_control", "memory.events", "oom_kill");
}
std::optional<std::uint64_t> GroupSet::pids_now() const { return number_of(*this, "pids", "pids.current", "pids.current"); }
std::optional<std::uint64_t> GroupSet::pids_peak() const { return number_of(*this, "pids", "pids.peak", "pids.peak"); }
std::optional<std::uint64_t> GroupSet::pids_limit() const { return number_of(*this, "pids", "pids.max", "pids.max"); }
std::optional<std::uint64_t> GroupSet::pids_denied() const { return number_of(*this, "pids", "pids.events", "pids.events", "max"); }
std::optional<std::uint64_t> GroupSet::io_read() const { return bytes_of(*this, "rbytes"); }
std::optional<std::uint64_t> GroupSet::io_written() const { return bytes_of(*this, "wbytes"); }

std::optional<std::uint64_t> GroupSet::cpu_time() const {
    const Member* member = find("cpuacct");
    if (!member) return std::nullopt;
    if (!member->v2) return group_number(member->folder.get(), "cpuacct.usage");
    const auto micro = group_number(member->folder.get(), "cpu.stat", "usage_usec");
    return micro ? std::optional(*micro * 1000) : std::nullopt;
}

namespace {

bool is_frozen(const GroupSet::Member& member) {
    if (member.v2) return group_number(member.folder.get(), "cgroup.events", "frozen").value_or(0) == 1;
    const auto state = read_group(member.folder.get(), "freezer.state");
    return state && trim(*state) == "FROZEN";
}

// v1 may stay FREEZING for as long as somebody does not come to a stop: writing again makes it try again (freezer-subsystem.rst).
Status freeze_or_thaw(const GroupSet::Member& member, bool freeze) {
    const std::string file = member.v2 ? "cgroup.freeze" : "freezer.state";
    const std::string_view value = member.v2 ? (freeze ? "1" : "0") : (freeze ? "FROZEN" : "THAWED");
    for (int attempt = 0; attempt < 500; ++attempt) {
        if (auto written = write_group(member.folder.get(), file, value); !written) return written;
        if (is_frozen(member) == freeze) return {};
        wait_a_little(attempt);
    }
    return fail(freeze ? "it does not come to a stop" : "it does not go on", "a process of it is probably waiting in the kernel (state D)");
}

}  // namespace

Status GroupSet::freeze() const {
    const Member* member = find("freezer");
    if (!member) return fail("it has no control group that can be frozen", "see sandbox doctor, and cgroup.manager in its profile");
    auto frozen = freeze_or_thaw(*member, true);
    if (!frozen) static_cast<void>(freeze_or_thaw(*member, false));
    return frozen;
}

Status GroupSet::thaw() const {
    const Member* member = find("freezer");
    return member ? freeze_or_thaw(*member, false) : Status();
}

bool GroupSet::frozen() const {
    const Member* member = find("freezer");
    return member && is_frozen(*member);
}

}  // namespace sandbox
