#include "snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

#include <mutex>
#include <set>
#include <sstream>

#include "base/text.h"
#include "harness.h"
#include "network_snapshot.h"

namespace harness {

using sandbox::cat;

namespace {

using Section = std::map<std::string, std::string>;

std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    DIR* stream = opendir(path.c_str());
    if (stream == nullptr) return names;
    while (const dirent* entry = readdir(stream)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    closedir(stream);
    return names;
}

std::string hex(std::uint64_t number) {
    char text[20];
    snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
    return text;
}

std::uint64_t hash(std::string_view text) {  // FNV-1a
    std::uint64_t value = 0xcbf29ce484222325;
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return value;
}

std::string attributes_of(const std::string& path) {
    char names[4096];
    const ssize_t size = llistxattr(path.c_str(), names, sizeof names);
    std::string out;
    for (const char* name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        char value[4096];
        const ssize_t length = lgetxattr(path.c_str(), name, value, sizeof value);
        out += cat(" ", name, "=", length < 0 ? std::string("?") : hex(hash({value, static_cast<std::size_t>(length)})));
    }
    return out;
}

// Type, mode, owner, size, device numbers, link target, content and attributes; no times, no inode.
std::string describe_file(const std::string& path, const struct stat& info) {
    std::string text = cat(S_ISREG(info.st_mode)   ? "file"
                           : S_ISDIR(info.st_mode) ? "directory"
                           : S_ISLNK(info.st_mode) ? "symlink"
                           : S_ISCHR(info.st_mode) ? "character"
                           : S_ISBLK(info.st_mode) ? "block"
                                                   : "special",
                           " ", sandbox::format_mode(info.st_mode & 07777), " ", info.st_uid, ":", info.st_gid);
    if (S_ISREG(info.st_mode)) text += cat(" ", info.st_size, " bytes ", hex(hash(read_text(path))));
    if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) text += cat(" ", major(info.st_rdev), ":", minor(info.st_rdev));
    if (S_ISLNK(info.st_mode)) {
        char target[4096];
        const ssize_t size = readlink(path.c_str(), target, sizeof target);
        text += " -> " + std::string(target, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    }
    return text + attributes_of(path);
}

// What sandboxes share (state/shared_file.h): who is in it, and who was, changes as they come and go; what it says of the host does not.
std::string describe_shared(const std::string& path, const struct stat& info) {
    std::string text = cat("shared ", sandbox::format_mode(info.st_mode & 07777));
    const std::string content = read_text(path);
    for (const std::string_view line : sandbox::split(content, '\n')) {
        const std::string_view record = line.substr(std::min<std::size_t>(line.size(), 9));
        if (record == "end") break;
        if (record.starts_with("note ")) text += cat(" ", record);
    }
    return text;
}

void walk(Section& section, const std::string& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return;
    const bool shared = path.starts_with("/run/sandbox/.") && !path.ends_with("/.ids") && S_ISREG(info.st_mode);
    section[path] = shared ? describe_shared(path, info) : describe_file(path, info);
    if (!S_ISDIR(info.st_mode)) return;
    for (const std::string& name : names_in(path)) walk(section, cat(path, "/", name));
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    for (const std::string_view word : sandbox::split(line, ' ')) {
        if (!word.empty()) words.push_back(word);
    }
    return words;
}

Section mounts() {
    Section section;
    const std::string text = read_text("/proc/self/mountinfo");
    for (const std::string_view line : sandbox::split(text, '\n')) {
        const auto words = words_of(line);
        if (words.size() > 5) section[cat(words[4], " (", words[0], ")")] = line;
    }
    return section;
}

void walk_cgroup(Section& section, const std::string& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return;
    // Other programs make and remove groups while a test runs; ours carry our name.
    if (path.find("sandbox") != path.npos) section[path] = cat("inode ", info.st_ino);
    for (const std::string& name : names_in(path)) walk_cgroup(section, cat(path, "/", name));
}

Section cgroups() {
    Section section;
    const std::string text = read_text("/proc/self/mountinfo");
    for (const std::string_view line : sandbox::split(text, '\n')) {
        const std::size_t type = line.find(" - cgroup");
        const auto words = words_of(line);
        if (type != line.npos && words.size() > 5) walk_cgroup(section, std::string(words[4]));
    }
    return section;
}

// A file system of this process' own namespaces, mounted without a place in the tree; not valid without the right to.
Fd detached(const char* type) {
    const Fd context(static_cast<int>(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)));
    if (!context || syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return Fd();
    return Fd(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
}

Section settings() {
    Section section;
    for (const char* key : {"net/ipv4/ip_unprivileged_port_start",
                            "net/ipv4/ping_group_range",
                            "net/core/somaxconn",
                            "kernel/core_pattern",
                            "kernel/hostname",
                            "kernel/domainname",
                            "kernel/modprobe",
                            "kernel/shmmax",
                            "kernel/shmall",
                            "kernel/shmmni",
                            "kernel/msgmax",
                            "kernel/msgmnb",
                            "kernel/msgmni",
                            "kernel/sem",
                            "fs/mqueue/msg_max",
                            "fs/mqueue/queues_max",
                            "user/max_user_namespaces",
                            "kernel/sysrq",
                            "kernel/panic",
                            "vm/overcommit_memory",
                            "kernel/randomize_va_space"}) {
        const std::string path = cat("/proc/sys/", key);
        if (exists(path)) section[key] = read_text(path);
    }
    // A write there would change these files, so they are only looked at.
    for (const char* path : {"/sys/kernel/uevent_helper"}) {
        if (exists(path)) section[path] = read_text(path);
    }
    utsname names{};
    uname(&names);
    section["uname"] = cat(names.nodename, " ", names.domainname);
    return section;
}

std::mutex owned_lock;
std::set<int>& owned_children() {
    static std::set<int> children;
    return children;
}

struct ProcessEntry {
    int parent = 0;
    char state = '?';
    std::string started, name;
};

// /proc/PID/stat: the name is in brackets and may itself contain brackets and spaces.
std::map<int, ProcessEntry> all_processes() {
    std::map<int, ProcessEntry> found;
    for (const std::string& name : names_in("/proc")) {
        const auto pid = sandbox::parse_int(name);
        if (!pid) continue;
        const std::string text = read_text(cat("/proc/", name, "/stat"));
        const std::size_t open = text.find('('), close = text.rfind(')');
        if (open == text.npos || close == text.npos) continue;
        const auto words = words_of(std::string_view(text).substr(close + 1));
        if (words.size() < 20) continue;
        found[static_cast<int>(*pid)] = {static_cast<int>(sandbox::parse_int(words[1]).value_or(0)), words[0][0], std::string(words[19]),
                                         text.substr(open + 1, close - open - 1)};
    }
    return found;
}

// Descendants of this process that live. A zombie is gone, whoever has yet to collect it; ours are collected here.
Section processes() {
    Section section;
    const auto all = all_processes();
    for (const auto& [pid, entry] : all) {
        int ancestor = pid;
        while (ancestor > 1 && ancestor != getpid()) {
            const auto found = all.find(ancestor);
            ancestor = found == all.end() ? 0 : found->second.parent;
        }
        if (ancestor != getpid() || pid == getpid()) continue;
        if (entry.state != 'Z') {
            section[cat(pid, " started ", entry.started)] = entry.name;
        } else if (entry.parent == getpid()) {
            const std::lock_guard lock(owned_lock);
            if (owned_children().count(pid) == 0) waitpid(pid, nullptr, WNOHANG);
        }
    }
    return section;
}

Section files(const std::vector<std::string>& directories) {
    Section section;
    for (const std::string& path : directories) walk(section, path);
    return section;
}

Section message_queues() {
    Section section;
    const Fd mounted = detached("mqueue");
    if (!mounted) return section;
    for (const std::string& name : names_in(cat("/proc/self/fd/", mounted.get()))) section["mqueue " + name] = "";
    return section;
}

Section interprocess() {
    Section section = message_queues();
    for (const char* kind : {"msg", "sem", "shm"}) {
        const std::string text = read_text(cat("/proc/sysvipc/", kind));
        for (const std::string_view line : sandbox::split(text, '\n')) {
            const auto words = words_of(line);
            if (words.size() > 2) section[cat(kind, " ", words[1])] = cat(words[0], " ", words[2]);
        }
    }
    return section;
}

Section devices() {
    Section section;
    for (const char* path : {"/dev", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx",
                             "/dev/console", "/dev/shm", "/dev/pts"}) {
        struct stat info {};
        if (lstat(path, &info) == 0) section[path] = describe_file(path, info);
    }
    for (const std::string& name : names_in("/dev/shm")) section["/dev/shm/" + name] = "";
    return section;
}

Section terminal(int fd) {
    termios settings{};
    if (fd < 0 || tcgetattr(fd, &settings) != 0) return {};
    winsize size{};
    ioctl(fd, TIOCGWINSZ, &size);
    const std::string_view control(reinterpret_cast<const char*>(settings.c_cc), sizeof settings.c_cc);
    return {{"input", std::to_string(settings.c_iflag)},
            {"output", std::to_string(settings.c_oflag)},
            {"control", std::to_string(settings.c_cflag)},
            {"local", std::to_string(settings.c_lflag)},
            {"characters", hex(hash(control))},
            {"status", std::to_string(fcntl(fd, F_GETFL))},
            {"size", cat(size.ws_row, "x", size.ws_col)}};
}

}  // namespace

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

void own_child(int pid, bool owned) {
    const std::lock_guard lock(owned_lock);
    if (owned)
        owned_children().insert(pid);
    else
        owned_children().erase(pid);
}

HostSnapshot HostSnapshot::take(const SnapshotOptions& options) {
    adopt_orphans();
    HostSnapshot snapshot;
    snapshot.sections["mounts"] = mounts();
    snapshot.sections["cgroups"] = cgroups();
    add_network(snapshot.sections);
    snapshot.sections["settings"] = settings();
    snapshot.sections["processes"] = processes();
    snapshot.sections["state"] = files({"/run/sandbox", "/var/lib/sandbox", "/run/netns"});
    snapshot.sections["scratch"] = files(options.scratch);
    snapshot.sections["ipc"] = interprocess();
    snapshot.sections["devices"] = devices();
    snapshot.sections["terminal"] = terminal(options.terminal);
    return snapshot;
}

std::string compare(const HostSnapshot& before, const HostSnapshot& after) {
    std::string out;
    static const Section nothing;
    std::set<std::string> names;
    for (const auto* snapshot : {&before, &after}) {
        for (const auto& [name, section] : snapshot->sections) names.insert(name);
    }
    for (const std::string& name : names) {
        const auto first = before.sections.find(name), second = after.sections.find(name);
        const Section& was = first == before.sections.end() ? nothing : first->second;
        const Section& is = second == after.sections.end() ? nothing : second->second;
        for (const auto& [item, value] : was) {
            const auto found = is.find(item);
            if (found == is.end())
                out += cat("- ", name, ": ", item, ": ", value, "\n");
            else if (found->second != value)
                out += cat("~ ", name, ": ", item, ": ", value, " => ", found->second, "\n");
        }
        for (const auto& [item, value] : is) {
            if (was.find(item) == was.end()) out += cat("+ ", name, ": ", item, ": ", value, "\n");
        }
    }
    return out;
}

bool differ_beyond_network(const HostSnapshot& before, const HostSnapshot& after) {
    HostSnapshot one = before, other = after;
    for (const char* section : network_sections) {
        one.sections.erase(section);
        other.sections.erase(section);
    }
    // Nor what waits for the kernel in the launcher's place (SandboxNetwork::finish_apart).
    one.sections.erase("processes");
    other.sections.erase("processes");
    return one.sections != other.sections;
}

std::string differences_since(const HostSnapshot& before, const SnapshotOptions& options, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (true) {
        std::string differences = compare(before, HostSnapshot::take(options));
        if (differences.empty() || std::chrono::steady_clock::now() >= deadline) return differences;
        poll(nullptr, 0, 20);
    }
}

}  // namespace harness
