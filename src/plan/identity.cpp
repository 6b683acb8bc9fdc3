// Which ids the sandbox has and who may give them to it.

#include <linux/capability.h>

#include <algorithm>

#include "plan/context.h"

namespace sandbox {
namespace {

constexpr std::uint32_t lease_size = 65536;

bool maps(const std::vector<IdMapRange>& ranges, std::uint32_t id) {
    return std::ranges::any_of(ranges, [id](const IdMapRange& r) { return id >= r.inside && id - r.inside < r.count; });
}

// The subordinate ranges put one after another from inside id `first` on.
std::vector<IdMapRange> stack(std::vector<IdMapRange> ranges, std::uint32_t first, const std::vector<FactRange>& subordinate) {
    for (const FactRange& range : subordinate) {
        ranges.push_back({first, range.outside, range.count});
        first += range.count;
    }
    return ranges;
}

void use_lease(Identity& id, bool keep_caller, std::uint32_t uid, std::uint32_t gid) {
    const auto ranges = [keep_caller](std::uint32_t own) -> std::vector<IdMapRange> {
        if (!keep_caller || own >= lease_size) {
            std::vector<IdMapRange> all{{0, 0, lease_size, true}};
            if (keep_caller) all.push_back({own, own, 1, false});
            return all;
        }
        std::vector<IdMapRange> parts;
        if (own > 0) parts.push_back({0, 0, own, true});
        parts.push_back({own, own, 1, false});
        if (own + 1 < lease_size) parts.push_back({own + 1, own + 1, lease_size - own - 1, true});
        return parts;
    };
    id.uid = ranges(uid);
    id.gid = ranges(gid);
    id.leased = true;
    id.why = keep_caller ? "a leased range of 65536 ids, the caller's own id keeps its number" : "a leased range of 65536 ids";
}

void use_own_ids(Identity& id, const HostFacts& facts, const char* why) {
    for (const FactRange& range : facts.uid_map) id.uid.push_back({range.inside, range.inside, range.count});
    for (const FactRange& range : facts.gid_map) id.gid.push_back({range.inside, range.inside, range.count});
    id.why = why;
}

// Every outside id of the map must be one that the caller may give away.
bool within(const std::vector<IdMapRange>& wanted, std::vector<FactRange> owned, std::uint32_t self) {
    owned.push_back({0, self, 1});
    return std::ranges::all_of(wanted, [&owned](const IdMapRange& w) {
        return std::ranges::any_of(owned, [&w](const FactRange& o) {
            return w.outside >= o.outside && std::uint64_t(w.outside) + w.count <= std::uint64_t(o.outside) + o.count;
        });
    });
}

std::vector<FactRange> as_outside(const std::vector<FactRange>& map) {
    std::vector<FactRange> out;
    for (const FactRange& range : map)
        out.push_back({0, range.inside, range.count});  // what is "inside" to our parent is outside to our child
    return out;
}

void use_explicit(Identity& id, const Profile& profile, const HostFacts& facts, bool root_here, Mistake* mistake) {
    for (const auto& range : profile.id_map.uid) id.uid.push_back({range->inside, range->outside, range->count});
    for (const auto& range : profile.id_map.gid) id.gid.push_back({range->inside, range->outside, range->count});
    id.why = "the ranges of the profile";
    const auto outside = [&](const std::vector<FactRange>& uids, const std::vector<FactRange>& gids, const char* text) {
        if (!mistake) return false;
        const bool uid_wrong = !within(id.uid, uids, facts.uid), gid_wrong = !within(id.gid, gids, facts.gid);
        const auto& ranges = uid_wrong ? profile.id_map.uid : profile.id_map.gid;
        if (uid_wrong || gid_wrong) *mistake = {text, "id_map", ranges.empty() ? profile.id_map.mode.at : ranges.front().at};
        return uid_wrong || gid_wrong;
    };
    if (root_here) {
        static_cast<void>(outside(as_outside(facts.uid_map), as_outside(facts.gid_map),
                                  "the map names outside ids that the caller's own user namespace does not have"));
        return;
    }
    const bool single = id.uid.size() == 1 && id.gid.size() == 1 && id.uid[0].count == 1 && id.gid[0].count == 1 &&
                        id.uid[0].outside == facts.uid && id.gid[0].outside == facts.gid;
    id.helpers = !single;
    if (!mistake || single) return;
    if (!outside(facts.subuid, facts.subgid,
                 "the map names outside ids that neither are the caller's own nor are given to it in /etc/subuid and /etc/subgid") &&
        (!facts.newuidmap || !facts.newgidmap))
        *mistake = {"a map of subordinate ids needs newuidmap and newgidmap (Debian's package uidmap)", "id_map",
                    profile.id_map.uid.empty() ? profile.id_map.mode.at : profile.id_map.uid.front().at};
}

void use_subordinate(Identity& id, const HostFacts& facts) {
    const bool can = facts.newuidmap && facts.newgidmap && !facts.subuid.empty() && !facts.subgid.empty();
    id.uid = {{0, facts.uid, 1}};
    id.gid = {{0, facts.gid, 1}};
    id.why = "the caller's own id alone, as root inside";
    if (!can) return;
    id.uid = stack(id.uid, 1, facts.subuid);
    id.gid = stack(id.gid, 1, facts.subgid);
    id.helpers = true;
    id.why = "the caller's own id as root inside, and its subordinate ids";
}

}  // namespace

bool Identity::maps_uid(std::uint32_t inside) const { return !own_user_namespace || maps(uid, inside); }
bool Identity::maps_gid(std::uint32_t inside) const { return !own_user_namespace || maps(gid, inside); }

bool is_private(const Namespace& ns) { return *ns.mode == NamespaceMode::private_; }
bool makes_network(const Profile& profile) { return profile.network.is_own(); }

Identity decide_identity(const Profile& profile, const HostFacts& facts, Mistake* mistake) {
    Identity id;
    const bool root_here = facts.capabilities >> CAP_SETUID & 1 && facts.capabilities >> CAP_SYS_ADMIN & 1;
    id.privileged = facts.initial_user_namespace && root_here;
    id.own_user_namespace = is_private(profile.namespaces.user) && *profile.id_map.mode != IdMapMode::host;
    if (!id.own_user_namespace) {
        id.why =
            *profile.namespaces.user.mode == NamespaceMode::path ? "a user namespace that is joined" : "the host's ids (no user namespace)";
        if (mistake && !root_here && *profile.namespaces.user.mode != NamespaceMode::path)
            *mistake = profile.namespaces.user.mode.at.known()
                           ? Mistake{"only root can do without a user namespace", "namespaces.user", profile.namespaces.user.mode.at}
                           : Mistake{"only root can do without a user namespace", "id_map", profile.id_map.mode.at};
        return id;
    }
    switch (*profile.id_map.mode) {
        case IdMapMode::ranges: use_explicit(id, profile, facts, root_here, mistake); break;
        case IdMapMode::caller:
            if (id.privileged) {
                use_lease(id, true, facts.uid, facts.gid);
            } else {
                id.uid = {{facts.uid, facts.uid, 1}};
                id.gid = {{facts.gid, facts.gid, 1}};
                id.why = "the caller's own id alone, with its number";
            }
            break;
        case IdMapMode::automatic:
            if (id.privileged)
                use_lease(id, false, 0, 0);
            else if (root_here)
                use_own_ids(id, facts, "the ids of the caller's own user namespace (it has no range to lease)");
            else
                use_subordinate(id, facts);
            break;
        case IdMapMode::host: break;
    }
    return id;
}

}  // namespace sandbox
