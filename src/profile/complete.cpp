#include "profile/complete.h"

#include "base/text.h"

namespace sandbox {
namespace {

void complete_overlay(Overlay& overlay) {
    if (!overlay.upper_is_tmpfs() && !overlay.work && !overlay.upper->empty())
        overlay.work = Text(cat(*overlay.upper, ".work"), overlay.upper.at);
}

bool offsets(const Time& time) { return time.boottime || time.monotonic; }

}  // namespace

void complete_profile(Profile& profile) {
    if (*profile.namespaces.uts.mode == NamespaceMode::private_ && profile.hostname->empty() && !profile.hostname.at.known())
        profile.hostname = *profile.name;
    if (profile.rootfs.overlay) complete_overlay(*profile.rootfs.overlay);
    for (Mount& mount : profile.mounts)
        if (mount.overlay) complete_overlay(*mount.overlay);
    Namespaces& namespaces = profile.namespaces;
    if (offsets(profile.time) && !namespaces.time.mode.at.known()) namespaces.time.mode.value = NamespaceMode::private_;
    // "No user namespace" has two spellings, and either of them gives both values.
    if (*profile.id_map.mode == IdMapMode::host && !namespaces.user.mode.at.known()) namespaces.user.mode.value = NamespaceMode::host;
    if (*namespaces.user.mode == NamespaceMode::host && !profile.id_map.mode.at.known()) profile.id_map.mode.value = IdMapMode::host;
}

}  // namespace sandbox
