#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "host/filesystem.h"
#include "host/parts.h"
#include "host/read.h"

namespace sandbox {
namespace {

PathKind kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG: return PathKind::file;
        case S_IFDIR: return PathKind::directory;
        case S_IFLNK: return PathKind::symlink;
        case S_IFCHR: return PathKind::character;
        case S_IFBLK: return PathKind::block;
        case S_IFIFO: return PathKind::fifo;
        case S_IFSOCK: return PathKind::socket;
        default: return PathKind::absent;
    }
}

PathFact describe_absence(int error) {
    PathFact fact;
    fact.error = error;
    return fact;
}

std::uint64_t mount_of(int fd) {
    struct statx about {};
    return ::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &about) == 0 ? about.stx_mnt_id : 0;
}

std::string resolved(int fd) { return read_link(AT_FDCWD, cat("/proc/self/fd/", fd).c_str()); }

std::string folder_above(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

// Where something that is missing would come to lie.
PathFact describe_missing(const std::string& path) {
    PathFact fact = describe_absence(ENOENT);
    std::string folder = path;
    Fd above;
    while (!above && folder != "/") {
        folder = folder_above(folder);
        above.reset(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!above && errno != ENOENT) return fact;
    }
    struct stat about {};
    if (!above || ::fstat(above.get(), &about) != 0) return fact;
    const std::string rest = path.substr(folder == "/" ? 1 : folder.size() + 1), real = resolved(above.get());
    fact.resolved = real == "/" ? cat("/", rest) : cat(real, "/", rest);
    fact.device = about.st_dev;
    fact.mount = mount_of(above.get());
    return fact;
}

// Whether users other than the owner get to what is in `folder`, and a set-uid program is one there. Who is in the group
// of a folder was let in by the administrator.
bool lets_others_in(std::string folder) {
    struct statvfs filesystem {};
    if (::statvfs(folder.c_str(), &filesystem) != 0 || (filesystem.f_flag & ST_NOSUID) != 0) return false;
    while (true) {
        struct stat about {};
        if (::stat(folder.c_str(), &about) != 0 || (about.st_mode & S_IXOTH) == 0) return false;
        if (folder == "/") return true;
        folder = folder_above(folder);
    }
}

// A payload that is root can change the mode of the directory itself, so what counts is what is above it. Folders that
// are missing will be made for the owner alone.
bool is_exposed(const PathFact& fact) {
    if (fact.resolved.empty()) return false;
    const std::string folder = folder_above(fact.resolved);
    return lets_others_in(folder);
}

// LockTree of a sandbox that lives. Trying is harmless: whoever would be disturbed wants to write here too.
bool is_locked(const std::string& path) {
    const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return directory && ::flock(directory.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

bool listed(const std::vector<std::string>& paths, const std::string& path) {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
}

PathFact describe(int fd) {
    struct stat about {};
    if (::fstat(fd, &about) != 0) return describe_absence(errno);
    PathFact fact;
    fact.kind = kind_of(about.st_mode);
    fact.device = about.st_dev;
    fact.inode = about.st_ino;
    if (S_ISCHR(about.st_mode) || S_ISBLK(about.st_mode)) {
        fact.rdev_major = ::gnu_dev_major(about.st_rdev);
        fact.rdev_minor = ::gnu_dev_minor(about.st_rdev);
    }
    fact.uid = about.st_uid;
    fact.gid = about.st_gid;
    fact.mode = about.st_mode & 07777;
    struct statfs filesystem {};
    if (::fstatfs(fd, &filesystem) == 0) fact.filesystem = filesystem_name(static_cast<std::uint32_t>(filesystem.f_type));
    return fact;
}

}  // namespace

void probe_paths(HostFacts& facts, const ProbeRequest& request, IdmapTrial& idmap) {
    for (const std::string& path : request.paths) {
        const Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
        const int error = errno;
        PathFact fact = fd ? describe(fd.get()) : error == ENOENT ? describe_missing(path) : describe_absence(error);
        if (fd) {
            fact.resolved = resolved(fd.get());
            fact.mount = mount_of(fd.get());
        }
        if (listed(request.upper_paths, path)) {
            fact.locked = fact.kind == PathKind::directory && is_locked(path);
            fact.exposed = is_exposed(fact);
        }
        if (fact.kind == PathKind::directory) fact.empty = is_empty_directory(fd.get());
        if (fd && listed(request.idmap_paths, path)) fact.idmappable = idmap.accepts(fd.get());
        facts.paths[path] = std::move(fact);
    }
}

void probe_root_paths(HostFacts& facts, const ProbeRequest& request, const Root& root) {
    for (const std::string& path : request.root_paths) {
        const Root::Found found = root.find(path);
        PathFact fact = found.fd ? describe(found.fd.get()) : describe_absence(found.error);
        fact.resolved = found.path;
        if (fact.kind == PathKind::directory) fact.empty = root.is_empty(found);
        facts.root_paths[path] = std::move(fact);
    }
    if (!request.passwd) return;
    facts.passwd = root.read("/etc/passwd", database_file);
    facts.group = root.read("/etc/group", database_file);
}

}  // namespace sandbox
