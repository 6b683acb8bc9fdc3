#include "profile/capability_set.h"

#include <linux/capability.h>

#include "profile/names.h"

namespace sandbox {
namespace {

constexpr std::uint64_t bit(int number) { return number < 0 ? 0 : std::uint64_t{1} << number; }

}  // namespace

std::uint64_t default_capabilities() {
    std::uint64_t set = 0;
    for (const int number : {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
                             CAP_SETFCAP, CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_MKNOD, CAP_AUDIT_WRITE, CAP_AUDIT_READ})
        set |= bit(number);
    return set;
}

std::uint64_t capability_set(const Capabilities& capabilities) {
    std::uint64_t set = 0;
    if (*capabilities.base == CapabilityBase::default_) set = default_capabilities();
    if (*capabilities.base == CapabilityBase::all) set = bit(static_cast<int>(capability_names().size())) - 1;
    if (capabilities.drop_all) set = 0;
    for (const At<int>& dropped : capabilities.drop) set &= ~bit(*dropped);
    for (const At<int>& added : capabilities.add) set |= bit(*added);
    return set;
}

}  // namespace sandbox
