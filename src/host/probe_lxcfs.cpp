#include <sys/vfs.h>

#include "host/parts.h"

namespace sandbox {
namespace {

constexpr long fuse_magic = 0x65735546;  // FUSE_SUPER_MAGIC

}  // namespace

// Where Debian's package mounts it, and where others do. A folder that is there without the mount is a daemon that does not run.
void probe_lxcfs(HostFacts& facts) {
    for (const char* place : {"/var/lib/lxcfs", "/var/lib/lxc/lxcfs"}) {
        struct statfs about {};
        if (::statfs(place, &about) != 0 || about.f_type != fuse_magic) continue;
        facts.lxcfs = place;
        return;
    }
}

}  // namespace sandbox
