// How much a profile opens, key by key: what a payload that turned hostile could reach, use up or break.
//
// A pure function of the profile. It knows neither the host nor who launches, so that a recorded score stays true; where
// these matter (a path's links, whether root launches) the worse case is taken.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "profile/profile.h"

namespace sandbox {

// Exposures are tenths, 0 (closed) to 100 (open): whole numbers, so that every machine gets the same.
struct AuditFinding {
    std::string_view rule;  // stable: "network.mode"
    int weight = 0;         // 0..10, what the rule's worst value costs
    std::string key;        // the path of the key: "mounts[2].mode"
    std::string meaning;    // what the value lets a payload do, or that it is closed
    int exposure = 0;       // tenths, at most 10 times the weight
    Position at;            // of the value; not known for a default
    std::string cure;       // what would close it; empty when it is closed
};

struct Audit {
    std::vector<AuditFinding> findings;  // in the order of the rules; those that are closed among them
    int exposure = 0;                    // of all together, tenths
    std::string_view word;               // closed, guarded, exposed, open
};

[[nodiscard]] Audit audit_profile(const Profile& profile);

// The ids of all rules, in their order.
[[nodiscard]] std::vector<std::string_view> audit_rule_names();

// 23: "2.3"
[[nodiscard]] std::string format_exposure(int tenths);

}  // namespace sandbox
