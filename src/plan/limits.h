// What a profile says about resources, translated into the files of control groups: one model, two languages. The backend is
// chosen for each controller, because a host may have some in cgroup v1 and others in v2.
#pragma once

#include <string>
#include <vector>

#include "host/facts.h"
#include "profile/profile.h"

namespace sandbox {

// One file of a group and what is written to it.
struct Setting {
    std::string controller;  // v2 names: "io" for blkio
    std::string file, value;
    std::string key;   // of the profile
    std::string text;  // for a person
    Position at{};
};

// A wish that this host's groups cannot express.
struct Refusal {
    std::string controller, key, message, hint;
    Position at{};
    bool by_default = false;  // nobody wrote it down: a note is enough
};

struct Limits {
    std::vector<Setting> settings;
    std::vector<Refusal> refused;
    std::vector<std::string> controllers;  // whose group the sandbox must have, in the order of first need
    std::vector<std::string> notes;

    void need(const std::string& controller);
};

// How the launcher comes by groups on this host.
enum class GroupWay {
    none,         // the profile wants none
    files,        // makes them itself
    own,          // makes them in the group of the unit that it is the main process of
    scope,        // by a transient scope of systemd
    unavailable,  // the caller may not
};
struct GroupPlace {
    GroupWay way = GroupWay::none;
    std::string why;   // unavailable: the reason; otherwise how it was decided
    std::string hint;  // unavailable
};
[[nodiscard]] GroupPlace decide_groups(const Profile& profile, const HostFacts& facts);

// The tree that has the controller ("freezer", "memory", ...; v2's core is in none of them), or null.
[[nodiscard]] const CgroupFact* tree_of(const HostFacts& facts, std::string_view controller);
[[nodiscard]] const CgroupFact* unified_tree(const HostFacts& facts);

// The sandbox's own group: all of resources, cgroup.raw, the defaults, and what the lifecycle needs (counting, freezing).
[[nodiscard]] Limits translate_limits(const Profile& profile, const HostFacts& facts);
// cgroup.parent.
[[nodiscard]] Limits translate_parent(const CgroupParent& parent, const HostFacts& facts);

// Whether the profile says anything about control groups that has to be honoured, and where.
[[nodiscard]] const Position* first_wish(const Profile& profile, std::string& key);

// ---- conversions (sandbox-profile(5) has them for users)

// cpu.shares (2..262144, 1024 ordinary) to cpu.weight (1..10000, 100 ordinary) and back: the curve through least, ordinary and most
// that runc 1.3 and crun 1.23 use, so that "ordinary" stays ordinary.
[[nodiscard]] std::uint64_t weight_of_shares(std::uint64_t shares);
[[nodiscard]] std::uint64_t shares_of_weight(std::uint64_t weight);
// io.weight (1..10000) to blkio.weight (10..1000), linear, and to the bfq scheduler's (1..1000).
[[nodiscard]] std::uint64_t blkio_of_weight(std::uint64_t weight);
[[nodiscard]] std::uint64_t bfq_of_weight(std::uint64_t weight);

// The microseconds of quota in a period for an amount of millionths of a core; at least the kernel's 1000.
[[nodiscard]] std::uint64_t quota_of(const CpuLimits& cpu);

}  // namespace sandbox
