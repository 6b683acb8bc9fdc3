#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "host/parts.h"
#include "host/read.h"

namespace sandbox {
namespace {

// The kernel's own trees are made afresh in a sandbox, and what is on /run belongs to running services.
bool is_host_tree(std::string_view target) {
    if (target == "/") return false;
    return !beneath(target, "/proc") && !beneath(target, "/sys") && !beneath(target, "/dev") && !beneath(target, "/run");
}

// Whether walking to the target ends on this mount: it is neither hidden by a mount on the same place nor by one above.
bool is_visible(const MountInfo& mount, int target) {
    struct statx about {};
    if (::statx(target, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &about) != 0) return false;
    return (about.stx_mask & STATX_MNT_ID) == 0 || about.stx_mnt_id == static_cast<std::uint64_t>(mount.id);
}

void probe_root_entries(HostFacts& facts) {
    const Fd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (auto names = root ? read_names(root.get(), 65536) : std::nullopt) facts.root_entries = std::move(*names);
    std::sort(facts.root_entries.begin(), facts.root_entries.end());
}

// Directories that proc and sysfs keep for mounting on, empty for ever (the kernel's proc_create_mount_point,
// sysfs_create_mount_point): what is mounted there hides nothing.
constexpr std::array<std::string_view, 16> mount_points{"/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd",
                                                        "/proc/openprom",           "/proc/bus/usb",
                                                        "/sys/fs/cgroup",           "/sys/fs/bpf",
                                                        "/sys/fs/pstore",           "/sys/fs/selinux",
                                                        "/sys/fs/smackfs",          "/sys/fs/fuse/connections",
                                                        "/sys/fs/resctrl",          "/sys/kernel/security",
                                                        "/sys/kernel/debug",        "/sys/kernel/tracing",
                                                        "/sys/kernel/config",       "/sys/firmware/efi/efivars"};

bool hides_something(const MountInfo& above, const MountInfo& below) {
    // Relative to where the lower mount sits, which need not be /proc or /sys.
    const std::string place =
        cat("/", below.filesystem == "sysfs" ? "sys" : "proc", std::string_view(above.target).substr(below.target.size()));
    return std::find(mount_points.begin(), mount_points.end(), place) == mount_points.end();
}

// The kernel's rule for a new proc or sysfs in a user namespace (mount_too_revealing): some mount of that type must
// already show all of it. Its read-only flag, which must be kept then, is the mounter's business.
bool is_fully_visible(const std::vector<MountInfo>& mounts, std::string_view filesystem) {
    return std::any_of(mounts.begin(), mounts.end(), [&](const MountInfo& mount) {
        if (mount.filesystem != filesystem || mount.root != "/") return false;
        return std::none_of(mounts.begin(), mounts.end(), [&](const MountInfo& above) {
            return above.parent == mount.id && beneath(above.target, mount.target) && hides_something(above, mount);
        });
    });
}

}  // namespace

void probe_mounts(HostFacts& facts, const std::vector<MountInfo>& mounts, IdmapTrial& idmap) {
    probe_root_entries(facts);
    for (const MountInfo& mount : mounts) {
        if (!is_host_tree(mount.target)) continue;
        const Fd target(::open(mount.target.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        if (!target || !is_visible(mount, target.get())) continue;
        std::erase_if(facts.mounts, [&](const MountFact& earlier) { return earlier.target == mount.target; });
        facts.mounts.push_back({mount.target, mount.filesystem, idmap.accepts(target.get())});
    }
    std::sort(facts.mounts.begin(), facts.mounts.end(), [](const MountFact& a, const MountFact& b) { return a.target < b.target; });
}

void probe_visibility(HostFacts& facts, const std::vector<MountInfo>& mounts) {
    facts.proc_mountable = is_fully_visible(mounts, "proc");
    facts.sysfs_mountable = is_fully_visible(mounts, "sysfs");
}

}  // namespace sandbox
