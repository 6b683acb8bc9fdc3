#include "exec/effects.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/fd.h"
#include "base/text.h"
#include "exec/groups.h"
#include "exec/helper.h"
#include "exec/network.h"
#include "exec/scope.h"
#include "kernel/process.h"

namespace sandbox {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
    const auto n = parse_int(text);
    return n && *n >= 0 ? std::optional(static_cast<std::uint64_t>(*n)) : std::nullopt;
}

Fields identify(const struct stat& info) { return {{"device", std::to_string(info.st_dev)}, {"inode", std::to_string(info.st_ino)}}; }

bool same(const struct stat& info, const Fields& identity) {
    return number(field(identity, "device")) == info.st_dev && number(field(identity, "inode")) == info.st_ino;
}

// The folder that holds `path`, without following a link in its last part, and the last name.
Result<Fd> open_parent_of(const std::string& path, std::string& name) {
    const auto slash = path.rfind('/');
    name = path.substr(slash + 1);
    Fd parent(open(slash == 0 ? "/" : path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent) return fail_errno(quote(path), errno);
    return parent;
}

int open_beneath(int root, const char* path, std::uint64_t flags) {
    open_how how{flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof how));
}

// A folder to be emptied. An overlay leaves its work folder without any permission, which stops all but root.
Fd open_anyway(int parent, const char* name) {
    Fd directory(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (directory || errno != EACCES) return directory;
    const Fd place(openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const std::string self = cat("/proc/self/fd/", place.get());
    if (!place || chmod(self.c_str(), 0700) != 0) return {};
    return Fd(open(self.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// Removes everything below an open directory, never following a link, never leaving its file system.
Status empty_directory(int directory, dev_t device) {
    const std::unique_ptr<DIR, int (*)(DIR*)> list(fdopendir(dup(directory)), closedir);
    if (!list) return fail_errno("read a directory", errno);
    while (const dirent* entry = readdir(list.get())) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        struct stat info {};
        if (fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (info.st_dev != device) return fail(cat(quote(name), " is on another file system"));
        if (S_ISDIR(info.st_mode)) {
            const Fd below(open_anyway(directory, entry->d_name));
            if (!below) return fail_errno(quote(name), errno);
            if (auto emptied = empty_directory(below.get(), device); !emptied) return emptied;
        }
        if (unlinkat(directory, entry->d_name, S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT)
            return fail_errno(quote(name), errno);
    }
    return {};
}

// Takes a name out of a folder if it still is what was made. Files and folders only when they are empty: what somebody
// put there since is theirs.
Status take_away(int parent, const std::string& name, const Fields& identity, bool contents) {
    struct stat info {};
    if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return {};
        return fail_errno(quote(name), errno);
    }
    if (!identity.empty() && !same(info, identity)) return {};
    if (S_ISREG(info.st_mode) && info.st_size != 0) return {};
    if (S_ISDIR(info.st_mode) && contents) {
        const Fd directory(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!directory) return fail_errno(quote(name), errno);
        if (auto emptied = empty_directory(directory.get(), info.st_dev); !emptied) return emptied;
    }
    if (unlinkat(parent, name.c_str(), S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0) == 0) return {};
    if (errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST) return {};
    return fail_errno(cat("remove ", quote(name)), errno);
}

// A path that a record may name: one of ours is normal ("..", "." or a relative path would make it another place).
bool nameable(const std::string& path) { return path != "/" && normal_path(path) == path; }

Status undo_directory(const JournalEntry& entry) {
    const std::string path(field(entry.undo.fields, "path"));
    if (!nameable(path)) return fail("the record of a directory is damaged");
    std::string name;
    auto parent = open_parent_of(path, name);
    if (!parent) return parent.error().number == ENOENT ? Status() : pass(parent);
    return take_away(parent->get(), name, entry.identity, field(entry.undo.fields, "contents") == "yes");
}

Status undo_target(const JournalEntry& entry) {
    const Fields& f = entry.undo.fields;
    const std::string root_path(field(f, "root")), path(field(f, "path"));
    if (!nameable(path)) return fail("the record of a mount target is damaged");
    const Fd root(open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) return errno == ENOENT ? Status() : fail_errno(quote(root_path), errno);
    struct stat info {};
    if (fstat(root.get(), &info) != 0 || !same(info, f)) return {};  // another tree stands there now
    // Another sandbox may have mounted something on it (LockTree).
    const Fd lock(open(root_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock && flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return {};
    const auto slash = path.rfind('/');
    const Fd parent(open_beneath(root.get(), slash == 0 ? "/" : path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY));
    if (!parent) return errno == ENOENT || errno == ENOTDIR ? Status() : fail_errno(quote(path), errno);
    return take_away(parent.get(), path.substr(slash + 1), entry.identity, false);
}

// ---- owners of a tree

using IdLines = std::vector<IdMapLine>;

// Inside ids on disk become outside ids, or the other way round.
struct Shift {
    IdLines uid, gid;
    bool back = false;

    static bool holds(std::uint32_t first, std::uint32_t count, std::uint32_t id) { return id >= first && id - first < count; }
    [[nodiscard]] std::uint32_t apply(const IdLines& map, std::uint32_t id) const {
        for (const IdMapLine& line : map) {
            const std::uint32_t from = back ? line.outside : line.inside, to = back ? line.inside : line.outside;
            if (holds(from, line.count, id)) return id - from + to;
        }
        return id;
    }
};

std::string to_text(const IdLines& map) {
    std::string text;
    for (const IdMapLine& line : map) text += cat(text.empty() ? "" : " ", line.inside, ":", line.outside, ":", line.count);
    return text;
}

std::optional<IdLines> to_map(std::string_view text) {
    IdLines map;
    for (const std::string_view line : split(text, ' ')) {
        const auto parts = split(line, ':');
        std::uint32_t numbers[3];
        if (parts.size() != 3) return std::nullopt;
        for (std::size_t i = 0; i < 3; ++i) {
            const auto n = number(parts[i]);
            if (!n || *n > ~std::uint32_t(0)) return std::nullopt;
            numbers[i] = static_cast<std::uint32_t>(*n);
        }
        map.push_back({numbers[0], numbers[1], numbers[2]});
    }
    return map;
}

Status shift_one(int directory, const char* name, const Shift& shift, const struct stat& info) {
    const std::uint32_t uid = shift.apply(shift.uid, info.st_uid), gid = shift.apply(shift.gid, info.st_gid);
    if (uid == info.st_uid && gid == info.st_gid) return {};
    // chown(2) clears set-uid bits and file capabilities of what is not a directory: they are put back.
    char capability[64];
    const std::string self = cat("/proc/self/fd/", directory, "/", name);
    const ssize_t size = S_ISREG(info.st_mode) ? lgetxattr(self.c_str(), "security.capability", capability, sizeof capability) : -1;
    if (fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0) return fail_errno(cat("chown ", quote(name)), errno);
    if (!S_ISLNK(info.st_mode) && (info.st_mode & 06000) && fchmodat(directory, name, info.st_mode & 07777, 0) != 0)
        return fail_errno(cat("chmod ", quote(name)), errno);
    if (size > 0 && lsetxattr(self.c_str(), "security.capability", capability, static_cast<std::size_t>(size), 0) != 0)
        return fail_errno(cat("set the capabilities of ", quote(name)), errno);
    return {};
}

using Visit = std::function<Status(int directory, const char* name, const struct stat& info)>;

// Everything below an open directory on its file system, what is in a directory before the directory.
Status visit_below(int directory, dev_t device, const Visit& visit) {
    const std::unique_ptr<DIR, int (*)(DIR*)> list(fdopendir(dup(directory)), closedir);
    if (!list) return fail_errno("read a directory", errno);
    while (const dirent* entry = readdir(list.get())) {
        const std::string_view name = entry->d_name;
        struct stat info {};
        if (name == "." || name == ".." || fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || info.st_dev != device)
            continue;
        if (S_ISDIR(info.st_mode)) {
            const Fd below(openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (!below) return fail_errno(quote(name), errno);
            if (auto done = visit_below(below.get(), device, visit); !done) return pass(done, entry->d_name);
        }
        if (auto done = visit(directory, entry->d_name, info); !done) return done;
    }
    return {};
}

Status visit_tree(const std::string& path, const Fields* identity, const Visit& visit) {
    const Fd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root) return identity && errno == ENOENT ? Status() : fail_errno(quote(path), errno);
    struct stat info {};
    if (fstat(root.get(), &info) != 0) return fail_errno(quote(path), errno);
    if (identity && !same(info, *identity)) return {};
    if (auto done = visit_below(root.get(), info.st_dev, visit); !done) return pass(done, quote(path));
    return visit(root.get(), "", info);
}

Status shift_whole(const std::string& path, const Shift& shift, const Fields* identity) {
    return visit_tree(path, identity,
                      [&](int directory, const char* name, const struct stat& info) { return shift_one(directory, name, shift, info); });
}

Status undo_owner(const JournalEntry& entry) {
    const Fields& f = entry.undo.fields;
    const auto uid = to_map(field(f, "uid")), gid = to_map(field(f, "gid"));
    if (!uid || !gid) return fail("the record of the owners is damaged");
    return shift_whole(std::string(field(f, "path")), {*uid, *gid, true}, &f);
}

// What has an outside id before it is given away could not be told from the rest when that is given back.
Status refuse_taken(const std::string& path, const Shift& shift) {
    const auto taken = [](const IdLines& map, std::uint32_t id) {
        return std::ranges::any_of(map, [id](const IdMapLine& l) { return l.inside != l.outside && Shift::holds(l.outside, l.count, id); });
    };
    return visit_tree(path, nullptr, [&](int, const char* name, const struct stat& info) -> Status {
        if (!taken(shift.uid, info.st_uid) && !taken(shift.gid, info.st_gid)) return {};
        return fail(cat(quote(name), " has an owner or group among the outside ids of id_map already"),
                    "choose other outside ids: when it is given back, it would be taken for one of the rest");
    });
}

// ---- terminal

std::string to_hex(const void* data, std::size_t size) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < size; ++i) {
        const unsigned char byte = static_cast<const unsigned char*>(data)[i];
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

bool from_hex(std::string_view text, void* data, std::size_t size) {
    if (text.size() != size * 2) return false;
    for (std::size_t i = 0; i < size; ++i) {
        const auto value = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
        const int high = value(text[2 * i]), low = value(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        static_cast<unsigned char*>(data)[i] = static_cast<unsigned char>(high << 4 | low);
    }
    return true;
}

Status undo_terminal(const JournalEntry& entry) {
    const Fields& f = entry.undo.fields;
    termios settings{};
    if (!from_hex(field(f, "settings"), &settings, sizeof settings)) return fail("the record of the terminal is damaged");
    const std::string path(field(f, "path"));
    const Fd terminal(open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    struct stat info {};
    if (!terminal || fstat(terminal.get(), &info) != 0 || !same(info, f)) return {};  // the terminal is gone
    termios now{};
    // Only what we set is taken back: somebody may have used the terminal since.
    if (tcgetattr(terminal.get(), &now) != 0 || (now.c_lflag & (ICANON | ECHO)) != 0) return {};
    // SIGTTOU is blocked here, so a launcher in the background is not stopped by this.
    if (tcsetattr(terminal.get(), TCSADRAIN, &settings) != 0) return fail_errno(quote(path), errno);
    return {};
}

// ---- process

Status undo_process(const JournalEntry& entry) {
    const auto pid = number(field(entry.identity, "pid")), start = number(field(entry.identity, "start"));
    if (!pid || !start) return {};  // never recorded: it saw the launcher's end on its socket
    const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
    if (!pidfd || start_time(static_cast<pid_t>(*pid)) != *start) return {};
    pollfd gone{pidfd.get(), POLLIN, 0};
    // An init among the host's process ids has seen our end on its socket and is ending its tree, which it alone can.
    const auto grace = number(field(entry.undo.fields, "grace_ms"));
    if (grace && poll(&gone, 1, static_cast<int>(*grace)) > 0) return {};
    if (syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH)
        return fail_errno(cat("kill process ", *pid), errno);
    for (int tries = 0; tries < 100; ++tries) {
        if (poll(&gone, 1, 100) > 0) return {};
        if (start_time(static_cast<pid_t>(*pid)) != *start) return {};
    }
    return fail(cat("process ", *pid, " does not end"), "it is probably waiting in the kernel (state D); look at /proc/PID/stack");
}

Status undo_logs(const JournalEntry& entry) {
    if (auto done = undo_directory({entry.number,
                                    entry.step,
                                    {entry.undo.kind, {{"path", std::string(field(entry.undo.fields, "path"))}, {"contents", "yes"}}},
                                    entry.done,
                                    entry.undone,
                                    entry.identity});
        !done)
        return done;
    // The folder above goes with the last of them, and what was made on the way to it, as far as it is empty.
    const std::string path(field(entry.undo.fields, "path")), first(field(entry.undo.fields, "first"));
    std::string above = path.substr(0, path.rfind('/'));
    if (rmdir(above.c_str()) != 0) return {};
    while (!first.empty() && above != first && beneath(above, first)) {
        above.resize(above.rfind('/'));
        if (rmdir(above.c_str()) != 0) break;
    }
    return {};
}

Status undo_hook(const JournalEntry& entry) {
    std::vector<std::string> command;
    Variables variables;
    for (const auto& [key, value] : entry.undo.fields) {
        if (key.starts_with("arg.")) command.push_back(value);
        if (key.starts_with("env.")) variables.emplace_back(key.substr(4), value);
    }
    const auto timeout = number(field(entry.undo.fields, "timeout"));
    if (command.empty() || !timeout) return fail("the record of a hook is damaged");
    // A hook that fails has been run: that is said, and holds up nothing.
    if (auto done = run_helper(command, variables, static_cast<std::int64_t>(*timeout)); !done)
        std::fprintf(stderr, "sandbox: %s: %s\n", entry.step.c_str(), printable(done.error().message).c_str());
    return {};
}

struct UndoKind {
    const char* name;
    Status (*run)(const JournalEntry&);
    const char* words;
};
constexpr UndoKind kinds[] = {{"remove-group", undo_make_group, "removed the group"},
                              {"leave-group", undo_share_group, "left the group"},
                              {"leave-leaf", undo_make_leaf, "left the group"},
                              {"stop-scope", undo_make_scope, "stopped"},
                              {"restore-controllers", undo_enable_controllers, "took back the controllers of"},
                              {"leave-bridge", undo_share_bridge, "left the bridge"},
                              {"leave-forwarding", undo_forward_packets, "left forwarding"},
                              {"remove-table", undo_table, "removed the table"},
                              {"remove-link", undo_link, "switched off"},
                              {"remove-logs", undo_logs, "removed the logs"},
                              {"run-hook", undo_hook, "ran the hook"},
                              {"remove-directory", undo_directory, "removed"},
                              {"remove-target", undo_target, "removed"},
                              {"restore-owner", undo_owner, "gave back the files of"},
                              {"restore-terminal", undo_terminal, "restored the terminal"},
                              {"kill-process", undo_process, "ended the process of"}};

}  // namespace

Status Recorder::carry_out(const Undo& undo, const std::function<Result<Fields>()>& effect) {
    const auto at = [this](Moment moment) -> Status { return watch && *watch ? (*watch)(index, moment) : Status(); };
    auto entry = journal.intend(step.id, undo);
    if (!entry) return pass(entry, "journal");
    if (auto go = at(Moment::intended); !go) return go;
    auto identity = effect();
    if (!identity) return pass(identity);
    if (auto go = at(Moment::effected); !go) return go;
    auto done = journal.done(*entry, *identity);
    if (!done) return pass(done, "journal");
    return at(Moment::done);
}

namespace {

// A link that leads nowhere is somebody's: were the name journaled as to be made, the undo would take it away.
Status refuse_dangling(int parent, const std::string& name, const std::string& path) {
    struct stat info {};
    // Anything else was made by another launch since the name was looked up.
    if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISLNK(info.st_mode)) return {};
    return fail(cat(quote(path), " is a symbolic link that leads nowhere"), "remove it, or make what it points to");
}

}  // namespace

Status make_host_directory(Recorder& recorder, const step::MakeHostDirectory& what) {
    struct stat info {};
    if (stat(what.path.c_str(), &info) == 0) {
        if (!S_ISDIR(info.st_mode)) return fail(cat(quote(what.path), " is not a directory"));
        return {};
    }
    // Folders above it too, for the caller alone: set-uid programs that a payload leaves below must not be in others' reach.
    if (const auto slash = what.path.rfind('/'); slash > 0)
        if (auto made = make_host_directory(recorder, {what.path.substr(0, slash), 0700, false}); !made) return made;
    std::string name;
    auto parent = open_parent_of(what.path, name);
    if (!parent) return pass(parent);
    if (auto free = refuse_dangling(parent->get(), name, what.path); !free) return free;
    const Undo undo{"remove-directory", {{"path", what.path}, {"contents", what.contents ? "yes" : "no"}}};
    return recorder.carry_out(undo, [&]() -> Result<Fields> {
        if (mkdirat(parent->get(), name.c_str(), what.perm) != 0) {
            // Another launch was faster: then it is that one's, which this identity says.
            if (errno == EEXIST && stat(what.path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return identify({});
            return fail_errno(cat("mkdir ", quote(what.path)), errno);
        }
        const Fd made(openat(parent->get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!made || fstat(made.get(), &info) != 0 || fchmod(made.get(), what.perm) != 0) return fail_errno(quote(what.path), errno);
        return identify(info);
    });
}

namespace {

struct TargetPlace {
    Recorder& recorder;
    const step::MakeTarget& what;
    int tree;
    Fields root;  // path and identity of the tree's root
};

// The mode as written whatever the umask, by descriptor and never through a link. Ids are those on disk; what the profile gives
// to nobody else stays its maker's.
Status dress_directory(int parent, const std::string& name, std::uint32_t perm, const step::MakeTarget* owned) {
    const Fd made(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!made) return fail_errno(quote(name), errno);
    if (owned && (owned->uid != 0 || owned->gid != 0) && fchown(made.get(), owned->uid, owned->gid) != 0)
        return fail_errno(
            cat("give ", quote(name), " to ", owned->uid, ":", owned->gid), errno,
            errno == EPERM ? "only root can give a folder of the host away: mount a tmpfs above it, or leave uid and gid out" : "");
    return fchmod(made.get(), perm) == 0 ? Status() : fail_errno(quote(name), errno);
}

Result<Fields> make_at(const TargetPlace& place, int parent, const std::string& name, bool directory, bool last) {
    const std::string& link = place.what.link;
    const bool is_link = last && !link.empty();
    struct stat info {};
    int made = 0;
    if (is_link)
        made = symlinkat(link.c_str(), parent, name.c_str());
    else if (directory)
        made = mkdirat(parent, name.c_str(), 0755);
    else
        made = mknodat(parent, name.c_str(), S_IFREG | 0644, 0);
    // Another sandbox of the same tree was faster: it is there, and not ours to be removed, which this identity says.
    if (made != 0 && errno == EEXIST && fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && !is_link &&
        directory == S_ISDIR(info.st_mode) && (directory || S_ISREG(info.st_mode)))
        return identify({});
    if (made != 0 || fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_errno(cat("make ", quote(name), " in ", quote(place.what.host)), errno,
                          errno == EROFS ? "make it by hand: the tree is on a read-only file system" : "");
    if (is_link || !directory) return identify(info);
    auto dressed = last ? dress_directory(parent, name, place.what.perm, &place.what) : dress_directory(parent, name, 0755, nullptr);
    if (!dressed) {
        unlinkat(parent, name.c_str(), AT_REMOVEDIR);
        return pass(dressed);
    }
    return identify(info);
}

// One name of the path: there already, or made and journaled on its own.
Status make_part(const TargetPlace& place, const std::string& path, bool last) {
    const bool directory = !last || place.what.directory;
    const Fd found(open_beneath(place.tree, path.c_str(), O_PATH));
    if (found) return {};
    if (errno != ENOENT) return fail_errno(cat(quote(path), " in ", quote(place.what.host)), errno);
    const auto slash = path.rfind('/');
    const Fd parent(open_beneath(place.tree, slash == 0 ? "/" : path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY));
    if (!parent) return fail_errno(cat(quote(path), " in ", quote(place.what.host)), errno);
    Undo undo{"remove-target", place.root};
    undo.fields.emplace_back("path", path);
    const std::string name = path.substr(slash + 1);
    if (auto free = refuse_dangling(parent.get(), name, path); !free) return free;
    return place.recorder.carry_out(undo, [&] { return make_at(place, parent.get(), name, directory, last); });
}

}  // namespace

Status make_target(Recorder& recorder, const step::MakeTarget& what, int tree) {
    struct stat info {};
    if (fstat(tree, &info) != 0) return fail_errno(quote(what.host), errno);
    if (what.path == "/") return {};
    Fields root = identify(info);
    root.emplace_back("root", what.host);
    const TargetPlace place{recorder, what, tree, std::move(root)};
    for (std::size_t slash = what.path.find('/', 1); slash != std::string::npos; slash = what.path.find('/', slash + 1))
        if (auto made = make_part(place, what.path.substr(0, slash), false); !made) return made;
    return make_part(place, what.path, true);
}

Status shift_owner(Recorder& recorder, const std::string& path, const std::vector<IdMapLine>& uid, const std::vector<IdMapLine>& gid) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return fail_errno(quote(path), errno);
    const Shift shift{uid, gid};
    if (auto free = refuse_taken(path, shift); !free) return free;
    Undo undo{"restore-owner", identify(info)};
    undo.fields.insert(undo.fields.end(), {{"path", path}, {"uid", to_text(uid)}, {"gid", to_text(gid)}});
    return recorder.carry_out(undo, [&]() -> Result<Fields> {
        if (auto done = shift_whole(path, shift, nullptr); !done) return pass(done);
        return Fields{};
    });
}

Status make_terminal_raw(Recorder& recorder) {
    termios settings{};
    struct stat info {};
    char path[64];
    // In the background the terminal is not ours to change; it is done when we come to the front (SIGCONT).
    if (tcgetpgrp(0) != getpgrp()) return {};
    if (tcgetattr(0, &settings) != 0 || fstat(0, &info) != 0 || ttyname_r(0, path, sizeof path) != 0)
        return fail_errno("the caller's terminal", errno);
    Undo undo{"restore-terminal", identify(info)};
    undo.fields.insert(undo.fields.end(), {{"path", path}, {"settings", to_hex(&settings, sizeof settings)}});
    return recorder.carry_out(undo, [&]() -> Result<Fields> {
        termios raw = settings;
        cfmakeraw(&raw);
        if (tcsetattr(0, TCSADRAIN, &raw) != 0) return fail_errno("set the caller's terminal to raw input", errno);
        return Fields{};
    });
}

namespace {

// The highest folder on the way that is not there yet.
std::string first_missing(const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
        if (access(path.substr(0, slash).c_str(), F_OK) != 0) return path.substr(0, slash);
    return path;
}

}  // namespace

Status make_log_folder(Recorder& recorder, const std::string& path) {
    const std::string above = path.substr(0, path.rfind('/')), first = first_missing(path);
    const Undo undo{"remove-logs", {{"path", path}, {"first", first}, {"keep", "yes"}}};
    return recorder.carry_out(undo, [&]() -> Result<Fields> {
        // A user's first log makes the folders on the way too (file-hierarchy(7), ~/.local/state).
        for (std::size_t slash = first.size(); slash != std::string::npos && slash < path.size(); slash = path.find('/', slash + 1))
            mkdir(path.substr(0, slash).c_str(), path.substr(0, slash) == above ? 0755 : 0700);
        for (int attempt = 0; mkdir(path.c_str(), 0750) != 0; ++attempt) {
            if (errno == ENOENT && attempt < 100) {
                mkdir(above.c_str(), 0755);  // its last user has just removed it
                continue;
            }
            if (errno != EEXIST || attempt >= 100) return fail_errno(cat("mkdir ", quote(path)), errno);
            const Fd old(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            struct stat info {};
            if (!old || fstat(old.get(), &info) != 0) return fail_errno(quote(path), errno, "it is the place of this sandbox's log files");
            if (auto emptied = empty_directory(old.get(), info.st_dev); !emptied) return pass(emptied, quote(path));
            rmdir(path.c_str());
        }
        struct stat info {};
        if (lstat(path.c_str(), &info) != 0) return fail_errno(quote(path), errno);
        return identify(info);
    });
}

Status arm_hook(Recorder& recorder, const std::vector<std::string>& command, const Variables& variables, std::int64_t timeout) {
    Undo undo{"run-hook", {{"timeout", std::to_string(timeout)}}};
    for (const auto& [key, value] : variables) undo.fields.emplace_back(cat("env.", key), value);
    for (std::size_t i = 0; i < command.size(); ++i) undo.fields.emplace_back(cat("arg.", i), command[i]);
    return recorder.carry_out(undo, [] { return Fields{}; });
}

Fields identify_process(pid_t pid) { return {{"pid", std::to_string(pid)}, {"start", std::to_string(start_time(pid))}}; }

Status run_undo(const JournalEntry& entry) {
    if (entry.undo.kind.empty()) return {};
    for (const UndoKind& kind : kinds)
        if (entry.undo.kind == kind.name) return kind.run(entry);
    return fail(cat("the journal names an undo this version does not know: ", quote(entry.undo.kind)));
}

namespace {

// Should this process be killed too, the next one starts from here; without a journal it repeats, which is harmless.
std::vector<std::string> replay_entries(const std::vector<JournalEntry>& entries, Journal* journal, std::vector<std::string>& problems,
                                        bool everything) {
    std::vector<std::string> undone;
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
        if (entry->undone || entry->undo.kind.empty() || (!everything && is_kept(*entry))) continue;
        if (auto done = run_undo(*entry); !done) {
            problems.push_back(
                cat(entry->step, ": ", done.error().message, done.error().hint.empty() ? "" : cat(" (", done.error().hint, ")")));
            continue;
        }
        undone.push_back(entry->step);
        if (journal) static_cast<void>(journal->undone(entry->number));
    }
    return undone;
}

}  // namespace

std::vector<std::string> replay(int state_directory, std::vector<std::string>& problems, bool everything) {
    auto contents = read_journal(state_directory);
    if (!contents) {
        if (contents.error().number != ENOENT) problems.push_back(contents.error().message);
        return {};
    }
    auto journal = Journal::open(state_directory);
    return replay_entries(contents->entries, journal ? &*journal : nullptr, problems, everything);
}

std::vector<std::string> replay(Journal& journal, std::vector<std::string>& problems, bool everything) {
    const std::vector<JournalEntry> entries = journal.entries();
    return replay_entries(entries, &journal, problems, everything);
}

}  // namespace sandbox
