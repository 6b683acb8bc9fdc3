#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <array>

#include "base/text.h"
#include "host/names.h"
#include "host/parts.h"
#include "host/read.h"

namespace sandbox {
namespace {

// Set-user-id root or with file capabilities: without either, newuidmap cannot write a map (newuidmap(1)).
bool has_privileged_helper(std::string_view name) {
    for (const std::string_view directory : {"/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"}) {
        const std::string path = cat(directory, "/", name);
        struct stat about {};
        if (::stat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode) || (about.st_mode & 0111) == 0) continue;
        if (about.st_uid == 0 && (about.st_mode & S_ISUID) != 0) return true;
        if (::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0) return true;
    }
    return false;
}

// AppArmor's switch is for programs without a profile; the launcher has one where its package is installed.
bool has_apparmor_profile() {
    std::optional<std::string> label = read_file("/proc/self/attr/apparmor/current");
    if (!label) label = read_file("/proc/self/attr/current");
    return label && !trim(*label).empty() && trim(*label) != "unconfined";
}

// What forbids user namespaces to callers without CAP_SYS_ADMIN, root is never restricted by these.
void probe_switches(HostFacts& facts) {
    if ((facts.capabilities >> CAP_SYS_ADMIN & 1) != 0) return;
    if (read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
        facts.userns_restriction = "kernel.unprivileged_userns_clone";
    else if (read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").value_or(0) != 0 && !has_apparmor_profile())
        facts.userns_restriction = "kernel.apparmor_restrict_unprivileged_userns";
    facts.userns_restricted = !facts.userns_restriction.empty();
}

}  // namespace

void probe_user_namespace(HostFacts& facts) {
    facts.max_user_namespaces = read_number("/proc/sys/user/max_user_namespaces").value_or(0);
    probe_switches(facts);
    facts.subuid = find_subordinate(read_file("/etc/subuid", database_file).value_or(""), facts.user, facts.uid);
    facts.subgid = find_subordinate(read_file("/etc/subgid", database_file).value_or(""), facts.user, facts.uid);
    facts.newuidmap = has_privileged_helper("newuidmap");
    facts.newgidmap = has_privileged_helper("newgidmap");
}

}  // namespace sandbox
