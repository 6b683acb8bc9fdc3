// sandbox diff: what the upper layer of a sandbox's overlay adds, changes and hides of the layers below
// (Documentation/filesystems/overlayfs.rst).

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/counters.h"
#include "cli/sandboxes.h"
#include "host/names.h"

namespace sandbox {
namespace {

constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

Result<std::set<std::string>> names_in(int folder) {
    const int again = openat(folder, ".", folder_flags);
    DIR* entries = again < 0 ? nullptr : fdopendir(again);
    if (!entries) return fail_errno("read a directory", errno);
    std::set<std::string> names;
    while (const dirent* entry = readdir(entries))
        if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace(name);
    closedir(entries);
    return names;
}

bool has_mark(int folder, const char* mark) {
    char value = 0;
    for (const char* space : {"trusted", "user"})
        if (fgetxattr(folder, cat(space, ".overlay.", mark).c_str(), &value, 1) == 1 && value == 'y') return true;
    return false;
}

// A device node of number 0, or an empty file with a mark (Linux 6.7).
bool is_whiteout(int folder, const std::string& name, const struct stat& about) {
    if (S_ISCHR(about.st_mode)) return about.st_rdev == 0;
    if (!S_ISREG(about.st_mode) || about.st_size != 0) return false;
    const Fd file(openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    for (const char* space : {"trusted", "user"})
        if (file && fgetxattr(file.get(), cat(space, ".overlay.whiteout").c_str(), nullptr, 0) >= 0) return true;
    return false;
}

// A name in the merged lower layers: what decides, and the directories that merge.
struct Below {
    bool there = false;
    struct stat about {};
    std::vector<Fd> folders;
};

Below look_below(const std::vector<Fd>& layers, const std::string& name) {
    Below below;
    for (const Fd& layer : layers) {
        struct stat about {};
        if (fstatat(layer.get(), name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (is_whiteout(layer.get(), name, about)) break;
        if (below.there && !S_ISDIR(about.st_mode)) break;
        if (!below.there) below.about = about;
        below.there = true;
        if (!S_ISDIR(about.st_mode)) break;
        Fd folder(openat(layer.get(), name.c_str(), folder_flags));
        if (!folder) break;
        const bool last = has_mark(folder.get(), "opaque");
        below.folders.push_back(std::move(folder));
        if (last) break;
    }
    return below;
}

class Comparison {
   public:
    // A tmpfs holds the host's ids of what a layer on disk shows through the sandbox's map.
    explicit Comparison(std::vector<FactRange> uids, std::vector<FactRange> gids) : uids_(std::move(uids)), gids_(std::move(gids)) {}

    Status walk(int upper, const std::vector<Fd>& below, const std::string& path) {
        auto names = names_in(upper);
        if (!names) return pass(names, quote(path.empty() ? "/" : path));
        for (const std::string& name : *names)
            if (auto seen = look(upper, below, name, cat(path, "/", name)); !seen) return seen;
        return {};
    }

    std::map<std::string, char> found;  // path, kind

   private:
    Status look(int upper, const std::vector<Fd>& layers, const std::string& name, const std::string& path) {
        struct stat about {};
        if (fstatat(upper, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0)
            return errno == ENOENT ? Status() : fail_errno(quote(path), errno);
        Below below = look_below(layers, name);
        if (is_whiteout(upper, name, about)) {
            if (below.there) found[path] = 'D';
            return {};
        }
        if (!S_ISDIR(about.st_mode)) {
            found[path] = below.there ? 'C' : 'A';
            return {};
        }
        const Fd folder(openat(upper, name.c_str(), folder_flags));
        if (!folder) return errno == ENOENT || errno == ENOTDIR ? Status() : fail_errno(quote(path), errno);
        const bool replaced = below.there && (!S_ISDIR(below.about.st_mode) || has_mark(folder.get(), "opaque"));
        if (replaced) {
            if (auto hidden = note_hidden(folder.get(), below.folders, path); !hidden) return hidden;
        }
        // A directory comes to be in the upper layer with what changed in it.
        if (!below.there)
            found[path] = 'A';
        else if (replaced || differs(about, below.about))
            found[path] = 'C';
        return walk(folder.get(), below.folders, path);
    }

    // What was in a directory that has been replaced and is not there again.
    Status note_hidden(int upper, std::vector<Fd>& below, const std::string& path) {
        for (const Fd& layer : below) {
            auto names = names_in(layer.get());
            if (!names) return pass(names, quote(path));
            for (const std::string& name : *names) {
                struct stat about {};
                if (fstatat(upper, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0 && look_below(below, name).there)
                    found[cat(path, "/", name)] = 'D';
            }
        }
        return {};
    }

    static bool same_id(std::uint32_t upper, std::uint32_t below, const std::vector<FactRange>& map) {
        if (upper == below) return true;
        return std::ranges::any_of(map, [=](const FactRange& r) {
            return upper >= r.outside && upper - r.outside < r.count && upper - r.outside + r.inside == below;
        });
    }
    [[nodiscard]] bool differs(const struct stat& a, const struct stat& b) const {
        return (a.st_mode & 07777) != (b.st_mode & 07777) || !same_id(a.st_uid, b.st_uid, uids_) || !same_id(a.st_gid, b.st_gid, gids_);
    }

    std::vector<FactRange> uids_, gids_;
};

Result<Fd> open_upper(const Found& sandbox) {
    const SandboxStatus& s = sandbox.status;
    if (s.lower.empty())
        return fail(cat("the root of sandbox ", quote(s.name), " is no overlay"), "only of an overlay is known what has changed");
    if (!s.upper.empty()) {
        Fd upper(open(s.upper.c_str(), folder_flags));
        if (!upper) return fail_errno(quote(s.upper), errno);
        return upper;
    }
    if (!sandbox.alive)
        return fail(cat("the upper layer of sandbox ", quote(s.name), " was on a tmpfs and is gone"), "an upper directory on disk stays");
    if (s.upper_descriptor < 0)
        return fail(cat("the upper layer of sandbox ", quote(s.name), " is on a tmpfs of its own, which cannot be seen from outside"),
                    "give rootfs.overlay an upper directory");
    Fd upper(open(cat("/proc/", s.supervisor, "/fd/", s.upper_descriptor).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const int number = errno;
    // The lock is held still: so the number was its supervisor's.
    auto again = find_living(s.name);
    if (!again || again->status.id != s.id) return fail(cat("sandbox ", quote(s.name), " has just ended"));
    if (!upper) return fail_errno(cat("the upper layer of sandbox ", quote(s.name)), number);
    return upper;
}

Result<std::map<std::string, char>> compare(const std::string& name) {
    auto found = find_settled(name);
    if (!found) return pass(found);
    const SandboxStatus& status = found->status;
    if (status.init <= 0) return fail(cat("sandbox ", quote(name), " is just starting"), "ask again in a moment");
    auto upper = open_upper(*found);
    if (!upper) return pass(upper);
    std::vector<Fd> lower;
    for (const std::string& path : status.lower) {
        lower.emplace_back(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!lower.back()) return fail_errno(quote(path), errno);
    }
    Comparison comparison(id_map_of(status.init, "uid_map"), id_map_of(status.init, "gid_map"));
    if (auto walked = comparison.walk(upper->get(), lower, {}); !walked) return pass(walked);
    return std::move(comparison.found);
}

}  // namespace

int verb_diff(const std::string& name, bool json) {
    auto changes = compare(name);
    if (!changes) return print(changes.error()), exit_launcher;
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    std::string lines;
    for (const auto& [path, kind] : *changes) {
        list.push_back({{"kind", std::string(1, kind)}, {"path", path}});
        lines += cat(kind, " ", printable(path), "\n");
    }
    write_out(json ? list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n" : lines);
    return 0;
}

}  // namespace sandbox
