#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "host/filesystem.h"
#include "host/parts.h"
#include "host/read.h"

namespace sandbox {
namespace {

struct Number {
    std::uint32_t major = 0, minor = 0;
};

std::optional<Number> parse_number(std::string_view text) {
    const auto parts = split(trim(text), ':');
    if (parts.size() != 2) return std::nullopt;
    const auto major = parse_id(parts[0]), minor = parse_id(parts[1]);
    if (!major || !minor) return std::nullopt;
    return Number{*major, *minor};
}

// A partition's folder in sysfs lies in that of its disk; control groups count whole disks alone.
std::optional<Number> whole_disk(Number device) {
    const std::string folder = cat("/sys/dev/block/", device.major, ":", device.minor);
    if (::access(folder.c_str(), F_OK) != 0) return std::nullopt;
    if (::access(cat(folder, "/partition").c_str(), F_OK) != 0) return device;
    const auto text = read_file(cat(folder, "/../dev").c_str(), 64);
    return text ? parse_number(*text) : std::nullopt;
}

// A file system of several disks has a number of its own; the mount names one of them (btrfs).
std::optional<Number> disk_of_mount(const std::string& path) {
    struct statx about {};
    if (::statx(AT_FDCWD, path.c_str(), 0, STATX_MNT_ID, &about) != 0 || !(about.stx_mask & STATX_MNT_ID)) return std::nullopt;
    for (const MountInfo& mount : parse_mountinfo(read_file("/proc/self/mountinfo", 64 * database_file).value_or(""))) {
        struct stat source {};
        if (mount.id != static_cast<int>(about.stx_mnt_id) || !mount.source.starts_with('/')) continue;
        if (::stat(mount.source.c_str(), &source) != 0 || !S_ISBLK(source.st_mode)) return std::nullopt;
        return Number{major(source.st_rdev), minor(source.st_rdev)};
    }
    return std::nullopt;
}

DiskFact find_disk(const std::string& path) {
    struct stat about {};
    if (::stat(path.c_str(), &about) != 0) return {0, 0, cat("cannot be looked at: ", errno_text(errno))};
    const bool device = S_ISBLK(about.st_mode);
    std::optional<Number> found =
        device ? Number{major(about.st_rdev), minor(about.st_rdev)} : Number{major(about.st_dev), minor(about.st_dev)};
    if (!device && found->major == 0) found = disk_of_mount(path);
    if (found) found = whole_disk(*found);
    if (found) return {found->major, found->minor, {}};
    struct statfs system {};
    const bool known = ::statfs(path.c_str(), &system) == 0;
    return {0, 0,
            cat("is on ", known ? filesystem_name(static_cast<std::uint32_t>(system.f_type)) : std::string("a file system"),
                ", which has no disk of its own")};
}

}  // namespace

void probe_disks(HostFacts& facts, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) facts.disks[path] = find_disk(path);
}

}  // namespace sandbox
