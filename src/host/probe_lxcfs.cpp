#include <sys/vfs.h>
#include <unistd.h>

#include "base/text.h"
#include "host/parts.h"

namespace sandbox {
namespace {

constexpr long fuse_magic = 0x65735546;  // FUSE_SUPER_MAGIC

// What lxcfs(1) has for every reader by the limits of that reader's groups; older ones lack some. Its slabinfo is for root alone.
constexpr const char* shown_files[] = {"proc/cpuinfo", "proc/diskstats", "proc/loadavg", "proc/meminfo",
                                       "proc/stat",    "proc/swaps",     "proc/uptime",  "sys/devices/system/cpu/online"};

}  // namespace

// Where Debian's package mounts it, and where others do. A folder that is there without the mount is a daemon that does not run.
void probe_lxcfs(HostFacts& facts) {
    for (const char* place : {"/var/lib/lxcfs", "/var/lib/lxc/lxcfs"}) {
        struct statfs about {};
        if (::statfs(place, &about) != 0 || about.f_type != fuse_magic) continue;
        facts.lxcfs = place;
        for (const char* file : shown_files)
            if (::access(cat(place, "/", file).c_str(), F_OK) == 0) facts.lxcfs_files.emplace_back(file);
        return;
    }
}

}  // namespace sandbox
