#include "host/root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <numeric>

#include "base/text.h"
#include "host/read.h"

namespace sandbox {
namespace {

constexpr int link_limit = 40;  // as the kernel's (path_resolution(7))

Fd open_beneath(int directory, const std::string& path, std::uint64_t flags, std::uint64_t resolve) {
    open_how how{};
    how.flags = flags | O_PATH | O_CLOEXEC;
    how.resolve = resolve;
    return Fd(static_cast<int>(::syscall(SYS_openat2, directory, path.empty() ? "." : path.c_str(), &how, sizeof how)));
}

// One entry of one layer, itself, not what it points to; its parent was found to be a directory before.
Fd open_entry(int layer, const std::string& path) {
    return open_beneath(layer, path, O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

// The overlay's mark of a deleted name (kernel: Documentation/filesystems/overlayfs.rst, whiteouts).
bool is_whiteout(const struct stat& about) { return S_ISCHR(about.st_mode) && about.st_rdev == 0; }

// A directory that hides the ones beneath it. By its /proc name, as an O_PATH descriptor has no attributes.
bool is_opaque(int fd, bool user_attributes) {
    char value = 0;
    const std::string name = cat("/proc/self/fd/", fd);
    const char* attribute = user_attributes ? "user.overlay.opaque" : "trusted.overlay.opaque";
    return ::getxattr(name.c_str(), attribute, &value, 1) == 1 && value == 'y';
}

Root::Found absent(int error) { return {{}, error, {}, {}}; }

// Where a link leads that leads to nothing: the rest of the way is taken as it is written.
std::string end_of_way(const std::string& folder, std::string_view name, const std::vector<std::string>& pending) {
    std::string path = cat(folder.empty() ? "" : "/", folder, "/", name);
    for (auto part = pending.rbegin(); part != pending.rend(); ++part) {
        if (*part == "..") return {};
        path += cat("/", *part);
    }
    return path;
}

// Puts the parts of `path` on the stack of what is still to be walked, first part on top.
void push_parts(std::vector<std::string>& pending, std::string_view path) {
    const auto parts = split(path, '/');
    for (auto part = parts.rbegin(); part != parts.rend(); ++part)
        if (!part->empty() && *part != ".") pending.emplace_back(*part);
}

}  // namespace

bool is_empty_directory(int fd) {
    // A directory's links are its own two and one for each directory in it, where the file system counts them at all.
    struct stat about {};
    if (::fstat(fd, &about) == 0 && about.st_nlink > 2) return false;
    const Fd readable(::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
    const auto names = readable ? read_names(readable.get(), 1) : std::nullopt;
    return names && names->empty();
}

Result<Root> Root::open(const std::vector<std::string>& layers, bool user_attributes) {
    Root root;
    root.user_attributes_ = user_attributes;
    for (const std::string& layer : layers) {
        Fd fd(::open(layer.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
            return fail_errno(cat("open ", quote(layer)), errno, "raise the limit of open files (ulimit -n)");
        if (fd) root.layers_.push_back(std::move(fd));
    }
    if (root.layers_.size() == 1) root.prefix_ = read_link(AT_FDCWD, cat("/proc/self/fd/", root.layers_[0].get()).c_str());
    if (root.prefix_ == "/") root.prefix_.clear();
    return root;
}

Root::Found Root::find(std::string_view path) const {
    if (layers_.empty()) return absent(ENOENT);
    return layers_.size() == 1 ? find_in_one(path) : find_merged(path);
}

Root::Found Root::find_in_one(std::string_view path) const {
    Found found;
    found.fd = open_beneath(layers_[0].get(), std::string(path), 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    // The kernel does not say on which name it failed.
    if (!found.fd) return errno == ENOENT ? find_merged(path) : absent(errno);
    struct stat about {};
    if (::fstat(found.fd.get(), &about) != 0) return absent(errno);
    if (is_whiteout(about)) return absent(ENOENT);
    found.layers = {0};
    found.path = read_link(AT_FDCWD, cat("/proc/self/fd/", found.fd.get()).c_str());
    if (found.path.starts_with(prefix_)) found.path.erase(0, prefix_.size());
    if (found.path.empty()) found.path.assign(1, '/');
    return found;
}

// The name as the overlay would show it: the topmost layer that has it decides; directories of the same name merge until a
// whiteout, an opaque directory or something else than a directory ends them.
Root::Found Root::look_up(const Directory& parent, std::string_view name) const {
    Found found = absent(ENOENT);
    const std::string path = parent.path.empty() ? std::string(name) : cat(parent.path, "/", name);
    for (const std::size_t layer : parent.layers) {
        Fd fd = open_entry(layers_[layer].get(), path);
        if (!fd && (errno == ENOENT || errno == ENOTDIR)) continue;
        struct stat about {};
        if (!fd || ::fstat(fd.get(), &about) != 0) return found.fd ? std::move(found) : absent(errno);
        const bool directory = S_ISDIR(about.st_mode);
        if (is_whiteout(about) || (found.fd && !directory)) break;
        const bool last = !directory || is_opaque(fd.get(), user_attributes_);
        found.layers.push_back(layer);
        if (!found.fd) found = {std::move(fd), 0, cat("/", path), std::move(found.layers)};
        if (last) break;
    }
    return found;
}

Root::Found Root::reopen(Directory directory) const {
    Fd fd = open_entry(layers_[directory.layers.front()].get(), directory.path);
    if (!fd) return absent(errno);
    return {std::move(fd), 0, cat("/", directory.path), std::move(directory.layers)};
}

// Walks the merged tree name by name, as a link in one layer may lead into another.
Root::Found Root::find_merged(std::string_view path) const {
    std::vector<std::size_t> all(layers_.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    std::vector<Directory> walked;
    walked.push_back({"", std::move(all)});
    std::vector<std::string> pending;
    push_parts(pending, path);
    int links = 0;
    while (!pending.empty()) {
        const std::string name = std::move(pending.back());
        pending.pop_back();
        if (name == "..") {
            if (walked.size() > 1) walked.pop_back();  // the root's parent is the root
            continue;
        }
        Found found = look_up(walked.back(), name);
        struct stat about {};
        if (!found.fd) {
            if (found.error == ENOENT && links > 0) found.path = end_of_way(walked.back().path, name, pending);
            return found;
        }
        if (::fstat(found.fd.get(), &about) != 0) return absent(errno);
        if (S_ISLNK(about.st_mode)) {
            if (++links > link_limit) return absent(ELOOP);
            const std::string target = read_link(found.fd.get(), "");
            if (target.starts_with('/')) walked.resize(1);
            push_parts(pending, target);
        } else if (S_ISDIR(about.st_mode)) {
            walked.push_back({found.path.substr(1), std::move(found.layers)});
        } else {
            return pending.empty() ? std::move(found) : absent(ENOTDIR);
        }
    }
    return reopen(std::move(walked.back()));
}

bool Root::is_empty(const Found& directory) const {
    for (const std::size_t layer : directory.layers) {
        const Fd fd = layers_.size() == 1 ? Fd(::openat(directory.fd.get(), ".", O_PATH | O_CLOEXEC))
                                          : open_entry(layers_[layer].get(), directory.path.substr(1));
        if (!fd || !is_empty_directory(fd.get())) return false;
    }
    return true;
}

std::string Root::read(std::string_view path, std::size_t limit) const {
    const Found found = find(path);
    struct stat about {};
    if (!found.fd || ::fstat(found.fd.get(), &about) != 0 || !S_ISREG(about.st_mode)) return {};
    // The descriptor's own /proc name leads to the inode that was just looked at, whatever happens to the path.
    const Fd readable(::open(cat("/proc/self/fd/", found.fd.get()).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    std::string text = readable ? read_rest(readable.get(), limit).value_or("") : "";
    if (text.size() == limit && static_cast<std::size_t>(about.st_size) > limit) text.resize(text.rfind('\n') + 1);
    return text;
}

}  // namespace sandbox
