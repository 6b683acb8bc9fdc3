#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <limits>

#include "host/names.h"
#include "host/parts.h"
#include "host/read.h"

namespace sandbox {
namespace {

void probe_capabilities(HostFacts& facts) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) == 0)
        facts.capabilities = sets[0].effective | static_cast<std::uint64_t>(sets[1].effective) << 32;
    // The kernel answers EINVAL for the first capability that it does not know (PR_CAPBSET_READ).
    for (int capability = 0; capability < 64; ++capability) {
        const int in_set = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (in_set < 0) break;
        facts.last_capability = capability;
        if (in_set == 1) facts.bounding |= std::uint64_t{1} << capability;
    }
}

void probe_maps(HostFacts& facts) {
    facts.uid_map = parse_id_map(read_file("/proc/self/uid_map").value_or(""));
    facts.gid_map = parse_id_map(read_file("/proc/self/gid_map").value_or(""));
    const std::vector<FactRange> whole{{0, 0, std::numeric_limits<std::uint32_t>::max()}};
    // A kernel without user namespaces has no such files, and everyone is in the initial one.
    facts.initial_user_namespace = facts.uid_map == whole || (facts.uid_map.empty() && !facts.namespaces["user"]);
    if (!facts.initial_user_namespace) facts.setgroups = !read_file("/proc/self/setgroups").value_or("").starts_with("deny");
}

// The environment is only believed about the name when passwd agrees; a home may be anywhere.
void probe_name(HostFacts& facts) {
    const char* user = std::getenv("USER");
    const char* home = std::getenv("HOME");
    if (const auto entry = find_passwd(read_file("/etc/passwd", database_file).value_or(""), facts.uid, user ? user : "")) {
        facts.user = entry->name;
        facts.home = entry->home;
    }
    if (home && *home == '/') facts.home = home;
}

}  // namespace

void probe_ids(HostFacts& facts) {
    facts.uid = ::geteuid();
    facts.gid = ::getegid();
    probe_capabilities(facts);
    probe_maps(facts);
    probe_name(facts);
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    facts.nofile_soft = limit.rlim_cur;
    facts.nofile_hard = limit.rlim_max;
}

}  // namespace sandbox
