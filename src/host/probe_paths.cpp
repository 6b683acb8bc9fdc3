#include <fcntl.h>
#include <sys/stat.h>
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
        PathFact fact = fd ? describe(fd.get()) : describe_absence(errno);
        if (fd) fact.resolved = read_link(AT_FDCWD, cat("/proc/self/fd/", fd.get()).c_str());
        if (fact.kind == PathKind::directory) fact.empty = is_empty_directory(fd.get());
        if (fd && std::find(request.idmap_paths.begin(), request.idmap_paths.end(), path) != request.idmap_paths.end())
            fact.idmappable = idmap.accepts(fd.get());
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
