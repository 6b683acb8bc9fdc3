#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "host/parts.h"
#include "host/read.h"

namespace sandbox {
namespace {

bool has_seccomp() {
    const std::uint32_t action = SECCOMP_RET_ERRNO;
    if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) return true;
    // Before Linux 4.14: a filter at address zero is a bad address only where filters exist (prctl(2)).
    return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr, 0, 0) < 0 && errno == EFAULT;
}

// Asks for the thread keyring without making one: it is not there, which is an answer.
bool has_keyring() { return ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0) >= 0 || errno != ENOSYS; }

}  // namespace

void probe_security(HostFacts& facts) {
    facts.seccomp = has_seccomp();
    facts.keyring = has_keyring();
    const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    facts.landlock_abi = abi > 0 ? static_cast<int>(abi) : 0;
    const std::string modules = read_file("/sys/kernel/security/lsm").value_or("");
    for (const std::string_view name : split(trim(modules), ','))
        if (!name.empty()) facts.lsm.emplace_back(name);
    // That file is in securityfs, which need not be mounted.
    const bool listed = std::find(facts.lsm.begin(), facts.lsm.end(), "apparmor") != facts.lsm.end();
    if (!listed && read_file("/sys/module/apparmor/parameters/enabled").value_or("").starts_with('Y')) facts.lsm.emplace_back("apparmor");
    // Before Linux 6.2 there is no switch, and TIOCSTI always works.
    facts.legacy_tiocsti = read_number("/proc/sys/dev/tty/legacy_tiocsti").value_or(1) != 0;
}

}  // namespace sandbox
