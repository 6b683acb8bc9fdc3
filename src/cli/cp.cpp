// sandbox cp: files and directories into a living sandbox and out of it.
//
// Inside, every name is opened beneath the sandbox's root, links followed within it alone: whoever lives there may exchange any of
// them at any time. What is found is used by its descriptor. Nothing is written through a name that is there already unless it
// cannot be exchanged for a new file (a mount), and then only if it is a regular file.

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/counters.h"
#include "cli/sandboxes.h"
#include "host/names.h"
#include "kernel/idmap.h"

namespace sandbox {
namespace {

constexpr int deepest = 200;  // folders in folders; each has a descriptor open meanwhile

// One side of the copy: beneath a root of its own, or the host as the caller sees it.
struct Place {
    int root = -1;      // -1: the host
    std::string label;  // for errors: "web:"
    std::string path;

    [[nodiscard]] bool inside() const { return root >= 0; }
    [[nodiscard]] std::string shown(std::string_view of) const { return quote(cat(label, of)); }
};

Fd open_at(const Place& place, const std::string& path, int flags) {
    if (!place.inside()) return Fd(open(path.c_str(), flags | O_CLOEXEC));
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return Fd(static_cast<int>(syscall(SYS_openat2, place.root, path.c_str(), &how, sizeof how)));
}

// The folder that a path is in, and its last name; of "/" and "x/.." there is none.
struct Leaf {
    std::string folder, name;
};
Leaf split_leaf(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    const auto slash = path.rfind('/');
    Leaf leaf{slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash), slash == path.npos ? path : path.substr(slash + 1)};
    if (leaf.name == "." || leaf.name == ".." || leaf.name.empty()) leaf = {path, {}};
    return leaf;
}

class Copy {
   public:
    Copy(Place from, Place to) : from_(std::move(from)), to_(std::move(to)) {}

    // As cp -a would, less owners: a target that is a directory takes the source into it under its own name.
    Status run() {
        const Leaf source = split_leaf(from_.path);
        const bool contents = source.name.empty() || from_.path.ends_with("/.");
        const bool follow = contents || from_.path.ends_with('/');
        const Fd folder = open_at(from_, follow ? from_.path : source.folder, O_PATH | O_DIRECTORY);
        if (!folder) return fail_errno(from_.shown(from_.path), errno);
        const std::string name = follow ? "." : source.name;
        struct stat about {};
        if (fstatat(folder.get(), name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno(from_.shown(from_.path), errno);
        const Fd there = open_at(to_, to_.path, O_PATH | O_DIRECTORY);
        if (there && !contents && !source.name.empty()) return copy(folder.get(), name, there.get(), source.name, from_.path, 0);
        if (there && S_ISDIR(about.st_mode)) return copy_entries(folder.get(), name, there.get(), ".", from_.path, 0);
        const Leaf target = split_leaf(to_.path);
        if (target.name.empty()) return fail_errno(to_.shown(to_.path), ENOENT);
        if (!S_ISDIR(about.st_mode) && to_.path.ends_with('/'))
            return fail(cat(to_.shown(to_.path), " is no directory"), "make it first, or leave the slash at the end out");
        const Fd above = open_at(to_, target.folder, O_PATH | O_DIRECTORY);
        if (!above) return fail_errno(to_.shown(target.folder), errno, "the directory that takes the copy has to be there");
        return copy(folder.get(), name, above.get(), target.name, from_.path, 0);
    }

   private:
    // Set-uid bits mean another owner outside.
    [[nodiscard]] mode_t mode_of(const struct stat& about) const { return about.st_mode & (to_.inside() ? 07777U : 01777U); }

    Status copy(int from, const std::string& name, int to, const std::string& as, const std::string& shown, int depth) {
        const Fd entry(openat(from, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        struct stat about {};
        if (!entry || fstat(entry.get(), &about) != 0) return fail_errno(from_.shown(shown), errno);
        if (S_ISREG(about.st_mode)) return copy_file(entry.get(), about, to, as, shown);
        if (S_ISDIR(about.st_mode)) return copy_directory(from, name, about, to, as, shown, depth);
        if (S_ISLNK(about.st_mode)) return copy_link(entry.get(), about, to, as, shown);
        return fail(cat(from_.shown(shown), " is a device, a socket or a named pipe: it is not copied"));
    }

    static Status set_times(int folder, const std::string& name, const struct stat& about) {
        const timespec times[2] = {about.st_atim, about.st_mtim};
        return utimensat(folder, name.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0 ? Status() : fail_errno(quote(name), errno);
    }

    // Regular files are read by their descriptor: the name may lead to something else by now.
    Status copy_file(int entry, const struct stat& about, int to, const std::string& as, const std::string& shown) {
        const Fd source(open(cat("/proc/self/fd/", entry).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (!source) return fail_errno(from_.shown(shown), errno);
        const std::string beside = cat(".", as.substr(0, 200), ".", getpid(), ".new");
        Fd target(openat(to, beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!target) return fail_errno(cat("make ", to_.shown(as)), errno);
        Status done = fill(source.get(), target.get(), about, shown);
        if (done && renameat(to, beside.c_str(), to, as.c_str()) == 0) return {};
        const int number = errno;
        unlinkat(to, beside.c_str(), 0);
        if (!done) return done;
        if (number != EBUSY) return fail_errno(to_.shown(as), number, number == EISDIR ? "a directory is in its place" : "");
        // A mount of its own, such as /etc/resolv.conf.
        target.reset(openat(to, as.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        struct stat there {};
        if (!target || fstat(target.get(), &there) != 0) return fail_errno(to_.shown(as), errno);
        if (!S_ISREG(there.st_mode)) return fail(cat(to_.shown(as), " is not a file"));
        if (ftruncate(target.get(), 0) != 0 || lseek(source.get(), 0, SEEK_SET) != 0) return fail_errno(to_.shown(as), errno);
        return fill(source.get(), target.get(), about, shown);
    }

    Status fill(int source, int target, const struct stat& about, const std::string& shown) {
        static char buffer[1 << 16];
        ssize_t size;
        while ((size = read(source, buffer, sizeof buffer)) > 0)
            for (ssize_t done = 0; done < size;) {
                const ssize_t wrote = write(target, buffer + done, static_cast<std::size_t>(size - done));
                if (wrote < 0 && errno != EINTR) return fail_errno(cat("write the copy of ", from_.shown(shown)), errno);
                done += std::max<ssize_t>(wrote, 0);
            }
        if (size < 0) return fail_errno(from_.shown(shown), errno);
        const timespec times[2] = {about.st_atim, about.st_mtim};
        if (fchmod(target, mode_of(about)) != 0 || futimens(target, times) != 0)
            return fail_errno(cat("the copy of ", from_.shown(shown)), errno);
        return {};
    }

    Status copy_link(int entry, const struct stat& about, int to, const std::string& as, const std::string& shown) {
        char text[4096];
        const ssize_t size = readlinkat(entry, "", text, sizeof text - 1);
        if (size < 0) return fail_errno(from_.shown(shown), errno);
        text[size] = 0;
        if (unlinkat(to, as.c_str(), 0) != 0 && errno != ENOENT) return fail_errno(to_.shown(as), errno);
        if (symlinkat(text, to, as.c_str()) != 0) return fail_errno(to_.shown(as), errno);
        return set_times(to, as, about);
    }

    Status copy_directory(int from, const std::string& name, const struct stat& about, int to, const std::string& as,
                          const std::string& shown, int depth) {
        const bool made = mkdirat(to, as.c_str(), 0700) == 0;
        if (!made && errno != EEXIST) return fail_errno(cat("make ", to_.shown(as)), errno);
        if (auto copied = copy_entries(from, name, to, as, shown, depth); !copied || !made) return copied;
        const Fd folder(openat(to, as.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        const timespec times[2] = {about.st_atim, about.st_mtim};
        if (!folder || fchmod(folder.get(), mode_of(about)) != 0 || futimens(folder.get(), times) != 0)
            return fail_errno(to_.shown(as), errno);
        return {};
    }

    Status copy_entries(int from, const std::string& name, int to, const std::string& as, const std::string& shown, int depth) {
        if (depth == deepest) return fail(cat(from_.shown(shown), " is too deep: ", deepest, " directories in each other"));
        Fd source(openat(from, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!source) return fail_errno(from_.shown(shown), errno);
        const Fd target(openat(to, as.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!target) return fail_errno(to_.shown(as), errno);
        // Copied into itself it would have no end.
        struct stat here {};
        struct stat there {};
        fstat(source.get(), &here);
        fstat(target.get(), &there);
        if (here.st_dev == there.st_dev && here.st_ino == there.st_ino)
            return fail(cat(from_.shown(shown), " would be copied into itself"));
        const int number = source.get();
        DIR* entries = fdopendir(source.release());
        if (!entries) return fail_errno(from_.shown(shown), errno);
        std::vector<std::string> names;
        while (const dirent* entry = readdir(entries))
            if (const std::string_view each = entry->d_name; each != "." && each != "..") names.emplace_back(each);
        Status done;
        for (std::size_t i = 0; i < names.size() && done; ++i)
            done = copy(number, names[i], target.get(), names[i], cat(shown == "/" ? "" : shown, "/", names[i]), depth + 1);
        closedir(entries);
        return done;
    }

    Place from_, to_;
};

// "web:/etc": a slash before the colon makes it a path of the host.
std::optional<std::pair<std::string, std::string>> as_inside(const std::string& word) {
    const auto colon = word.find(':');
    if (colon == word.npos || !valid_name(word.substr(0, colon))) return std::nullopt;
    return std::pair(word.substr(0, colon), word.substr(colon + 1));
}

// The host's id of the sandbox's root, or of whoever is mapped first.
std::uint32_t root_id(pid_t init, const char* map) {
    const auto ranges = id_map_of(init, map);
    for (const FactRange& range : ranges)
        if (range.inside == 0) return range.outside;
    return ranges.empty() ? 0 : ranges.front().outside;
}

Status copy(const std::string& from, const std::string& to) {
    const auto source = as_inside(from), target = as_inside(to);
    if (source.has_value() == target.has_value())
        return fail(source ? "both are of a sandbox" : "neither of the two is of a sandbox",
                    "one of them is NAME:PATH, the other a path of the host; a file of the host with a colon in its name is ./file");
    const auto& [name, path] = source ? *source : *target;
    if (path.empty()) return fail(cat(quote(cat(name, ":")), " has no path"), cat(name, ":/ is the sandbox's root directory"));
    auto found = find_living(name);
    if (!found) return pass(found);
    const SandboxStatus& status = found->status;
    if (status.init <= 0) return fail(cat("sandbox ", quote(name), " is just starting"), "ask again in a moment");
    auto inside = open_inside(status);
    if (!inside) return pass(inside);
    const Place in_sandbox{inside->root.get(), cat(name, ":"), path}, on_host{-1, {}, source ? to : from};
    const std::uint32_t uid = root_id(status.init, "uid_map"), gid = root_id(status.init, "gid_map");
    umask(0);
    if (source) return Copy(in_sandbox, on_host).run();
    if (uid == geteuid() && gid == getegid()) return Copy(on_host, in_sandbox).run();
    const ActingAs acting(uid, gid);
    if (!acting.valid()) return fail(cat("the ids of the sandbox's root, ", uid, ":", gid, ", cannot be taken"));
    return Copy(on_host, in_sandbox).run();
}

}  // namespace

int verb_cp(const std::string& from, const std::string& to) {
    if (auto copied = copy(from, to); !copied) return print(copied.error()), exit_launcher;
    return 0;
}

}  // namespace sandbox
