// The descriptor-based mount calls (Linux 5.12 and later) as owned descriptors and errors with names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

// A detached clone of the mount at `path` (open_tree(2)); links in the path are followed once, here.
[[nodiscard]] Result<Fd> clone_tree(const std::string& path, bool recursive);

// Attributes MOUNT_ATTR_* and propagation MS_* (0: unchanged) of a detached mount (mount_setattr(2)).
[[nodiscard]] Status set_mount(int mount, std::uint64_t set, std::uint64_t clear, std::uint64_t propagation, bool recursive);

// Shows the owners on a detached mount through the maps of a user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP).
[[nodiscard]] Status idmap_mount(int mount, int user_namespace, bool recursive);

struct MountOption {
    std::string key, value;
    bool bare = false;    // no value
    int descriptor = -1;  // a descriptor instead of a value
};

// A new file system as a detached mount (fsopen(2), fsconfig(2), fsmount(2)). The error carries the kernel's own message.
[[nodiscard]] Result<Fd> new_filesystem(const std::string& type, const std::vector<MountOption>& options, std::uint64_t attributes);

// An overlay as a detached mount on kernels that take layers only by name (before Linux 6.13): in a mount namespace of
// its own for the moment of the mount, so that the layers can be attached. The caller must be single-threaded.
struct OverlayLayers {
    std::vector<int> lower;   // detached mounts, top first
    int upper_tree = -1;      // detached mount that holds upper and work; -1: none
    std::string upper, work;  // below it
};
[[nodiscard]] Result<Fd> overlay_by_name(const OverlayLayers& layers, const std::vector<MountOption>& options, std::uint64_t attributes);

}  // namespace sandbox
