// Which devices the processes of a control group may use.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

namespace sandbox {

struct DeviceAccess {
    char type = 'c';                      // 'c' or 'b'
    std::int64_t major = -1, minor = -1;  // -1: any
    std::string letters;                  // of r read, w write, m mknod
};

// Denies everything that is not in the list. v1: devices.deny and devices.allow (devices.rst). v2: a program attached to the group, which
// dies with it (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE); needs CAP_BPF or CAP_SYS_ADMIN on the host.
[[nodiscard]] Status filter_devices_v1(int group, std::span<const DeviceAccess> allowed);
[[nodiscard]] Status filter_devices_v2(int group, std::span<const DeviceAccess> allowed);

}  // namespace sandbox
