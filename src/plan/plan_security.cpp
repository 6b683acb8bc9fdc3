// Who the payload is and what it may do: bounding set, groups and ids, the capability sets, no_new_privs, filter.

#include <linux/capability.h>

#include <algorithm>

#include "plan/context.h"

namespace sandbox {
namespace {

constexpr std::uint64_t bit(int capability) { return std::uint64_t(1) << capability; }

// The set docker made customary.
constexpr std::uint64_t default_capabilities = bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_FOWNER) | bit(CAP_FSETID) | bit(CAP_KILL) |
                                               bit(CAP_SETGID) | bit(CAP_SETUID) | bit(CAP_SETPCAP) | bit(CAP_SETFCAP) |
                                               bit(CAP_NET_BIND_SERVICE) | bit(CAP_NET_RAW) | bit(CAP_SYS_CHROOT) | bit(CAP_MKNOD) |
                                               bit(CAP_AUDIT_WRITE) | bit(CAP_AUDIT_READ);

std::uint64_t all_of(const HostFacts& facts) {
    return facts.last_capability >= 63 ? ~std::uint64_t(0) : (std::uint64_t(1) << (facts.last_capability + 1)) - 1;
}

std::uint64_t wanted_set(const Context& c) {
    const Capabilities& caps = c.profile.capabilities;
    std::uint64_t set = 0;
    if (*caps.base == CapabilityBase::default_) set = default_capabilities;
    // Without a user namespace of its own the sandbox can have no more than the launcher has.
    if (*caps.base == CapabilityBase::all) set = all_of(c.facts) & (c.identity.own_user_namespace ? ~std::uint64_t(0) : c.facts.bounding);
    if (caps.drop_all) set = 0;
    for (const auto& capability : caps.drop) set &= ~bit(*capability);
    for (const auto& capability : caps.add) set |= bit(*capability);
    return set & all_of(c.facts);
}

// Who may make any device node and use it has the machine. Only a filter of devices makes it harmless without a user namespace.
std::uint64_t without_mknod(Context& c, std::uint64_t set) {
    const bool asked = std::ranges::any_of(c.profile.capabilities.add, [](const At<int>& capability) { return *capability == CAP_MKNOD; });
    if (!(set & bit(CAP_MKNOD)) || asked || c.device_filter || c.identity.own_user_namespace || !c.identity.privileged) return set;
    if (*c.profile.dev.mode == DevMode::host || *c.profile.capabilities.base == CapabilityBase::all) return set;
    c.plan.notes.push_back("capabilities: MKNOD is left out: no control group limits the devices, and there is no user namespace");
    return set & ~bit(CAP_MKNOD);
}

std::uint64_t ambient_set(const Context& c, std::uint64_t set) {
    const Capabilities& caps = c.profile.capabilities;
    if (caps.ambient_auto) return c.user.uid == 0 ? 0 : set;
    std::uint64_t ambient = 0;
    for (const auto& capability : caps.ambient) ambient |= bit(*capability);
    return ambient & set;
}

std::string count(std::uint64_t set) {
    const int n = __builtin_popcountll(set);
    return cat(n, n == 1 ? " capability" : " capabilities");
}

std::string group_text(const std::vector<std::uint32_t>& groups) {
    if (groups.empty()) return "have no supplementary groups";
    std::string text = "have the supplementary groups";
    for (const std::uint32_t group : groups) text += cat(" ", group);
    return text;
}

bool may_set_groups(const Context& c) {
    if (!c.facts.setgroups) return false;  // denied once, denied in every user namespace below (user_namespaces(7))
    return !c.identity.own_user_namespace || c.identity.helpers || c.facts.capabilities >> CAP_SETGID & 1;
}

void plan_filter(Context& c, std::uint64_t set) {
    const Seccomp& s = c.profile.security.seccomp;
    if (*s.profile == "none" && s.deny.empty()) return;
    std::string text = cat("filter system calls: ", *s.profile);
    if (!s.allow.empty()) text += cat(", ", s.allow.size(), " allowed");
    if (!s.deny.empty()) text += cat(", ", s.deny.size(), " denied");
    c.payload.push_back(
        sandbox_step("seccomp", s.profile.at, std::move(text), step::InstallSeccomp{s, {}, set, !c.profile.security.no_new_privileges}));
}

}  // namespace

void plan_security(Context& c) {
    const Position at = c.profile.capabilities.base.at;
    const std::uint64_t set = without_mknod(c, wanted_set(c)), ambient = ambient_set(c, set);
    c.payload.push_back(sandbox_step("bounding", at, cat("keep ", count(set), " in the bounding set"), step::TrimBounding{set}));
    if (may_set_groups(c)) c.payload.push_back(sandbox_step("groups", {}, group_text(c.user.groups), step::SetGroups{c.user.groups}));
    c.payload.push_back(sandbox_step("ids", c.profile.process.user.at, cat("become uid ", c.user.uid, ", gid ", c.user.gid),
                                     step::BecomeUser{c.user.uid, c.user.gid}));
    // A user other than root keeps capabilities over exec only as ambient ones (capabilities(7)).
    const bool nnp = c.profile.security.no_new_privileges;
    const std::uint64_t held = c.user.uid == 0 ? set : ambient;
    c.payload.push_back(sandbox_step("capabilities", at, cat("have ", count(held), ambient ? ", ambient" : ""),
                                     step::SetCapabilities{held, held, ambient, ambient, nnp ? 0 : bit(CAP_SYS_ADMIN)}));
    if (nnp) c.payload.push_back(sandbox_step("no-new-privs", {}, "give up gaining privileges by exec", step::NoNewPrivileges{}));
    c.payload.push_back(sandbox_step("parent-death", {}, "die with the supervisor, and see that it lives", step::DieWithParent{}));
    plan_filter(c, set);
}

}  // namespace sandbox
