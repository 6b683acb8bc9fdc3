#include "profile/complete.h"

#include "base/text.h"
#include "profile/forms.h"

namespace sandbox {
namespace {

void complete_overlay(Overlay& overlay) {
    if (!overlay.upper_is_tmpfs() && !overlay.work && !overlay.upper->empty())
        overlay.work = Text(cat(*overlay.upper, ".work"), overlay.upper.at);
}

// An address without a prefix is one of the bridge's network, which has to exist, or stands alone.
void complete_prefix(InterfaceAddress& address, const At<IpNetwork>* subnet) {
    if (*address.mode != AddressMode::fixed || address.has_prefix) return;
    address.address.prefix = subnet ? (*subnet)->prefix : address.address.address.width();
}

void complete_network(Network& network) {
    const bool bridge = *network.mode == NetworkMode::bridge;
    const At<IpNetwork>* subnet6 = bridge && network.bridge.subnet6 ? &*network.bridge.subnet6 : nullptr;
    if (subnet6 && !network.interface.ip6_given) network.interface.ip6.mode.value = AddressMode::automatic;
    complete_prefix(network.interface.ip, bridge ? &network.bridge.subnet : nullptr);
    complete_prefix(network.interface.ip6, subnet6);
    if (*network.mode == NetworkMode::macvlan && !network.submode) network.submode = At<Submode>(Submode::bridge);
    if (*network.mode == NetworkMode::ipvlan && !network.submode) network.submode = At<Submode>(Submode::l2);
}

bool offsets(const Time& time) { return time.boottime || time.monotonic; }

}  // namespace

void complete_profile(Profile& profile) {
    if (*profile.namespaces.uts.mode == NamespaceMode::private_ && profile.hostname->empty() && !profile.hostname.at.known())
        profile.hostname = hostname_for(*profile.name);
    if (profile.rootfs.overlay) complete_overlay(*profile.rootfs.overlay);
    for (Mount& mount : profile.mounts)
        if (mount.overlay) complete_overlay(*mount.overlay);
    complete_network(profile.network);
    Namespaces& namespaces = profile.namespaces;
    if (offsets(profile.time) && !namespaces.time.mode.at.known()) namespaces.time.mode.value = NamespaceMode::private_;
    // "No user namespace" has two spellings, and either of them gives both values.
    if (*profile.id_map.mode == IdMapMode::host && !namespaces.user.mode.at.known()) namespaces.user.mode.value = NamespaceMode::host;
    if (*namespaces.user.mode == NamespaceMode::host && !profile.id_map.mode.at.known()) profile.id_map.mode.value = IdMapMode::host;
}

}  // namespace sandbox
