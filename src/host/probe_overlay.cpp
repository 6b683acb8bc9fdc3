#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "host/parts.h"

namespace sandbox {
namespace {

enum Feature : int { mountable = 1, layer_strings = 2, layer_descriptors = 4, in_user_namespace = 8 };

// Which forms of "lowerdir+" the context takes. Up to Linux 6.4 overlay has no parameters of its own for fsconfig: every
// string is taken and first judged when mounting, so a string that no overlay knows must be refused for an answer to
// count. Descriptors came in 6.13, those opened with O_PATH (as open_tree gives) and of detached mounts in 6.15: only the
// latter serve a launcher, so an O_PATH descriptor is what is tried.
int layer_forms(int context) {
    if (::fsconfig(context, FSCONFIG_SET_STRING, "no-such-option", "1", 0) == 0) return 0;
    int found = 0;
    if (::fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", "/", 0) == 0) found |= layer_strings;
    const int root = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root >= 0 && ::fsconfig(context, FSCONFIG_SET_FD, "lowerdir+", nullptr, root) == 0) found |= layer_descriptors;
    if (root >= 0) ::close(root);
    return found;
}

int overlay_features() {
    const int context = ::fsopen("overlay", FSOPEN_CLOEXEC);
    if (context < 0) return 0;
    const int found = mountable | layer_forms(context);
    ::close(context);
    return found;
}

// A file system that may not be mounted here is refused with EPERM before its options are looked at; an overlay without
// layers is refused with EINVAL.
int overlay_features_inside() {
    int found = overlay_features();
    const int context = ::fsopen("overlay", FSOPEN_CLOEXEC);
    if (context < 0) return 0;
    if (::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0 || errno != EPERM) found |= in_user_namespace;
    ::close(context);
    return found;
}

// mount_setattr is younger (5.12) than overlay in user namespaces (5.11), and asking for it costs nothing.
bool younger_call_exists() { return ::syscall(SYS_mount_setattr, -1, "", 0U, nullptr, 0) >= 0 || errno != ENOSYS; }

}  // namespace

void probe_overlay(HostFacts& facts, bool everything) {
    int found = overlay_features();
    if (found == 0 || everything) {
        // Without CAP_SYS_ADMIN over the own mount namespace the question can only be asked from inside a new one.
        found |= try_in_user_namespace(overlay_features_inside).value_or(0);
    } else if (younger_call_exists()) {
        found |= in_user_namespace;
    }
    facts.overlay = (found & mountable) != 0;
    facts.overlay_layer_strings = (found & layer_strings) != 0;
    facts.overlay_layer_fds = (found & layer_descriptors) != 0;
    facts.overlay_userns = facts.overlay && (found & in_user_namespace) != 0;
}

}  // namespace sandbox
