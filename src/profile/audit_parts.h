// What the rules of the audit are made of.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "profile/profile.h"

namespace sandbox::auditing {

// What a rule reads from one value of a profile.
struct Reading {
    int percent = 0;  // how open: 0 closed, 100 as open as it can be
    std::string means;
    Position at{};
    std::string cure{};
    std::string key{};  // of one item of a list; empty: the rule's key
    int weight = -1;    // of one item, when items differ; -1: the rule's weight
};
using Readings = std::vector<Reading>;

// `read` must not give a smaller percentage when its key is opened further: closing one never raises the exposure.
//
// What weights mean: 10 the host is given away; 7 to 9 what stands between payload and kernel, or the host's own processes and
// services; 5 and 6 a part of the host; 3 and 4 the host's data or machine power; 1 and 2 a nuisance.
struct Rule {
    std::string_view id;
    int weight;
    std::string_view key;
    Readings (*read)(const Profile&);
};

[[nodiscard]] std::span<const Rule> rights_rules();  // namespaces, ids, capabilities, system calls
[[nodiscard]] std::span<const Rule> files_rules();   // root, mounts, masks, devices
[[nodiscard]] std::span<const Rule> reach_rules();   // network, resources, process, lifecycle

// A user namespace made for it: what a capability allows ends at its border.
[[nodiscard]] inline bool has_own_ids(const Profile& p) {
    return *p.namespaces.user.mode == NamespaceMode::private_ && *p.id_map.mode != IdMapMode::host;
}
[[nodiscard]] inline bool runs_as_root(const Profile& p) {
    const std::string_view user = std::string_view(*p.process.user).substr(0, p.process.user->find(':'));
    return user == "0" || user == "root";
}

// A place on the host's disk: what comes of reading and of writing there, in percent.
struct Place {
    int read = 0, write = 0;
    std::string_view what;
};
// By the name alone: links are the host's matter.
[[nodiscard]] Place place_of(std::string_view path);

[[nodiscard]] inline Readings one(Reading reading) { return {std::move(reading)}; }

}  // namespace sandbox::auditing
