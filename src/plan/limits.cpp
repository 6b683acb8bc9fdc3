// The model and what both languages of control groups share; limits_v1.cpp and limits_v2.cpp speak them.

#include "plan/limits.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "plan/limits_dialect.h"

namespace sandbox {

void Limits::need(const std::string& controller) {
    if (std::ranges::find(controllers, controller) == controllers.end()) controllers.push_back(controller);
}

// ---- conversions

std::uint64_t weight_of_shares(std::uint64_t shares) {
    if (shares <= 2) return 1;
    if (shares >= 262144) return 10000;
    const double l = std::log2(static_cast<double>(shares));
    return static_cast<std::uint64_t>(std::ceil(std::pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0)));
}

std::uint64_t shares_of_weight(std::uint64_t weight) {
    if (weight <= 1) return 2;
    if (weight >= 10000) return 262144;
    // l^2 + 125 l - 612 (log10(weight) + 7/34) = 0
    const double c = 612.0 * (std::log10(static_cast<double>(weight)) + 7.0 / 34.0);
    return static_cast<std::uint64_t>(std::llround(std::exp2((-125.0 + std::sqrt(125.0 * 125.0 + 4.0 * c)) / 2.0)));
}

std::uint64_t blkio_of_weight(std::uint64_t weight) { return 10 + (weight - 1) * 990 / 9999; }
std::uint64_t bfq_of_weight(std::uint64_t weight) {
    return std::clamp<std::uint64_t>(weight <= 100 ? weight : 100 + (weight - 100) * 900 / 9900, 1, 1000);
}

std::uint64_t quota_of(const CpuLimits& cpu) {
    const std::uint64_t period = static_cast<std::uint64_t>(*cpu.period) / 1000;
    const std::uint64_t quota = cpu.quota ? static_cast<std::uint64_t>(**cpu.quota) / 1000 : **cpu.limit * period / one_core;
    return std::max<std::uint64_t>(quota, 1000);
}

// ---- where groups come from

const CgroupFact* unified_tree(const HostFacts& facts) {
    const auto found = std::ranges::find(facts.cgroups, CgroupVersion::v2, &CgroupFact::version);
    return found == facts.cgroups.end() ? nullptr : &*found;
}

const CgroupFact* tree_of(const HostFacts& facts, std::string_view controller) {
    for (const CgroupFact& tree : facts.cgroups)
        if (std::ranges::find(tree.controllers, controller) != tree.controllers.end()) return &tree;
    // The core of v2: no controller is needed to freeze, to count processor time, or to attach a device filter.
    const bool core = controller == "freezer" || controller == "cpuacct" || controller == "devices";
    return core ? unified_tree(facts) : nullptr;
}

namespace {

bool is_pure_v2(const HostFacts& facts) { return facts.cgroups.size() == 1 && facts.cgroups.front().version == CgroupVersion::v2; }

GroupPlace by_files(const HostFacts& facts) {
    if (facts.cgroups.empty())
        return {GroupWay::unavailable, "no control groups are mounted here", "mount them, or say cgroup: {manager: none}"};
    if (std::ranges::any_of(facts.cgroups, &CgroupFact::writable)) return {GroupWay::files, "made by the launcher", {}};
    if (facts.uid != 0 && facts.systemd)
        return {GroupWay::unavailable, "an ordinary user may not make control groups beside systemd's",
                "say cgroup: {manager: systemd}, which asks the user's own systemd for one"};
    return {GroupWay::unavailable, cat("the caller may not make groups in ", facts.cgroups.front().mount),
            "run as root of the machine, or have a group delegated"};
}

GroupPlace by_systemd(const HostFacts& facts) {
    if (!facts.systemd) return {GroupWay::unavailable, "this machine's process 1 is not systemd", "say cgroup: {manager: fs}"};
    if (!is_pure_v2(facts)) return {GroupWay::unavailable, "systemd's scopes are used with cgroup v2 alone", "say cgroup: {manager: fs}"};
    if (!facts.systemd_delegates)
        return {GroupWay::unavailable, facts.uid == 0 ? "the system's bus does not answer" : "there is no bus of the user's own systemd",
                facts.uid == 0 ? "start dbus, or say cgroup: {manager: fs}" : "log in through a session, or: loginctl enable-linger"};
    return {GroupWay::scope, "a transient scope of systemd", {}};
}

}  // namespace

GroupPlace decide_groups(const Profile& profile, const HostFacts& facts) {
    switch (*profile.cgroup.manager) {
        case CgroupManager::none: return {GroupWay::none, "the profile wants none", {}};
        case CgroupManager::fs: return by_files(facts);
        case CgroupManager::systemd: return by_systemd(facts);
        case CgroupManager::automatic: break;
    }
    if (facts.systemd && is_pure_v2(facts) && !facts.cgroups.front().own.empty())
        return {GroupWay::own, cat("in the unit's own ", facts.cgroups.front().own), {}};
    // Where the tree is systemd's, its single writer is systemd (systemd.io/CGROUP_DELEGATION).
    if (facts.systemd && is_pure_v2(facts)) {
        GroupPlace scope = by_systemd(facts);
        if (scope.way == GroupWay::scope || facts.uid != 0) return scope;
    }
    return by_files(facts);
}

// ---- translation

Dialect::Dialect(Limits& out, const HostFacts& facts, std::string prefix) : out_(out), facts_(facts), prefix_(std::move(prefix)) {}

CgroupVersion Dialect::version(std::string_view controller) const {
    const CgroupFact* tree = tree_of(facts_, controller);
    return tree ? tree->version : CgroupVersion::absent;
}

bool Dialect::lacks(const std::string& controller, std::string_view file) const {
    const CgroupFact* tree = tree_of(facts_, controller);
    return tree && !tree->files.empty() && std::ranges::find(tree->files, file) == tree->files.end();
}

void Dialect::set(const std::string& controller, std::string file, std::string value, std::string key, Position at, std::string text) {
    if (lacks(controller, file))
        return refuse(controller, std::move(key), at, cat("this kernel has no ", file), "leave the key out, or use a kernel that has it");
    out_.need(controller);
    if (text.empty()) text = cat("write ", value, " to ", file);
    out_.settings.push_back({controller, std::move(file), std::move(value), cat(prefix_, key), std::move(text), at});
}

void Dialect::refuse(const std::string& controller, std::string key, Position at, std::string message, std::string hint) {
    out_.refused.push_back({controller, cat(prefix_, key), std::move(message), std::move(hint), at, !at.known()});
}

bool Dialect::usable(const std::string& controller, const std::string& key, Position at) {
    const CgroupFact* tree = tree_of(facts_, controller);
    if (!tree) {
        const bool built = facts_.controllers.contains(controller);
        refuse(controller, key, at, cat("this host has no ", controller == "io" ? "io (blkio)" : controller, " controller"),
               built ? "it is built in but not mounted: sandbox doctor shows where controllers are"
                     : "it is missing in the kernel, switched off (cgroup_disable=), or not handed out to this group; sandbox doctor "
                       "shows what there is");
        return false;
    }
    if (tree->version == CgroupVersion::v1 && !tree->writable) {
        refuse(controller, key, at, cat("the caller may not make groups in ", tree->mount), "run as root of the machine");
        return false;
    }
    return true;
}

std::string size_in_words(std::uint64_t bytes) { return bytes == no_limit ? "infinity" : format_size(bytes); }

namespace {

void translate_memory(Dialect& d, const MemoryLimits& m, bool own) {
    const auto wish = [&d](const std::string& key, Position at) { return d.usable("memory", cat("memory.", key), at); };
    const bool asked = m.max || m.high || m.low || m.swappiness || m.swap.at.known() || *m.oom != OomPolicy::kill;
    if (!asked && (!own || d.version("memory") == CgroupVersion::absent)) return;
    const Position first = m.max ? m.max->at : m.high ? m.high->at : m.low ? m.low->at : m.swap.at.known() ? m.swap.at : m.oom.at;
    if (!wish(m.max ? "max" : m.high ? "high" : m.low ? "low" : m.swap.at.known() ? "swap" : "oom", first)) return;
    if (d.version("memory") == CgroupVersion::v1)
        memory_v1(d, m, own);
    else
        memory_v2(d, m, own);
}

void translate_cpu(Dialect& d, const CpuLimits& c) {
    const bool v1 = d.version("cpu") == CgroupVersion::v1;
    if (c.limit || c.quota) {
        const Position at = c.limit ? c.limit->at : c.quota->at;
        const std::string key = c.limit ? "cpu.limit" : "cpu.quota";
        if (d.usable("cpu", key, at) && !(c.limit && **c.limit == no_limit)) {
            const std::string quota = std::to_string(quota_of(c)), period = std::to_string(*c.period / 1000);
            const std::string text = cat("let the processors be used for ", quota, " of each ", period, " microseconds");
            if (v1) {
                d.set("cpu", "cpu.cfs_period_us", period, "cpu.period", c.period.at,
                      cat("count processor time in periods of ", period, " microseconds"));
                d.set("cpu", "cpu.cfs_quota_us", quota, key, at, text);
            } else {
                d.set("cpu", "cpu.max", cat(quota, " ", period), key, at, text);
            }
        }
    }
    if (c.burst && d.usable("cpu", "cpu.burst", c.burst->at))
        d.set("cpu", v1 ? "cpu.cfs_burst_us" : "cpu.max.burst", std::to_string(**c.burst / 1000), "cpu.burst", c.burst->at,
              cat("save up at most ", **c.burst / 1000, " microseconds for a burst"));
    if (c.weight && d.usable("cpu", "cpu.weight", c.weight->at)) {
        const auto weight = static_cast<std::uint64_t>(**c.weight);
        const std::uint64_t shares = shares_of_weight(weight);
        d.set("cpu", v1 ? "cpu.shares" : "cpu.weight", std::to_string(v1 ? shares : weight), "cpu.weight", c.weight->at,
              cat("weigh ", weight, " against an ordinary 100", v1 ? cat(" (", shares, " shares)") : std::string()));
    }
    if (c.shares && d.usable("cpu", "cpu.shares", c.shares->at)) {
        const auto shares = static_cast<std::uint64_t>(**c.shares);
        const std::uint64_t weight = weight_of_shares(shares);
        d.set("cpu", v1 ? "cpu.shares" : "cpu.weight", std::to_string(v1 ? shares : weight), "cpu.shares", c.shares->at,
              cat("have ", shares, " shares against an ordinary 1024", v1 ? std::string() : cat(" (weight ", weight, ")")));
    }
    if (*c.idle && d.usable("cpu", "cpu.idle", c.idle.at))
        d.set("cpu", "cpu.idle", "1", "cpu.idle", c.idle.at, "run only when nobody else wants the processors");
    if (c.set && d.usable("cpuset", "cpu.set", c.set->at))
        d.set("cpuset", "cpuset.cpus", **c.set, "cpu.set", c.set->at, cat("run on the processors ", **c.set));
    if (c.mems && d.usable("cpuset", "cpu.mems", c.mems->at))
        d.set("cpuset", "cpuset.mems", **c.mems, "cpu.mems", c.mems->at, cat("use the memory nodes ", **c.mems));
}

void translate_pids(Dialect& d, const At<std::uint64_t>& pids) {
    if (*pids == no_limit && !pids.at.known()) return;
    if (!pids.at.known() && d.version("pids") == CgroupVersion::absent)
        return d.refuse("pids", "pids", {}, "this host has no pids controller", {});
    if (!d.usable("pids", "pids", pids.at)) return;
    d.set("pids", "pids.max", *pids == no_limit ? "max" : std::to_string(*pids), "pids", pids.at,
          cat("allow ", *pids == no_limit ? "any number of" : std::to_string(*pids), " processes"));
}

void translate_io(Dialect& d, const IoLimits& io, const HostFacts& facts) {
    const bool v1 = d.version("io") == CgroupVersion::v1;
    if (io.weight && d.usable("io", "io.weight", io.weight->at)) {
        const auto weight = static_cast<std::uint64_t>(**io.weight);
        v1 ? io_weight_v1(d, weight, "", "io.weight", io.weight->at) : io_weight_v2(d, weight, "", "io.weight", io.weight->at);
    }
    for (std::size_t i = 0; i < io.devices.size(); ++i) {
        const IoDevice& device = io.devices[i];
        const std::string key = cat("io.devices[", i, "]");
        if (!d.usable("io", key, device.at)) return;
        const auto disk = facts.disks.find(*device.path);
        if (disk == facts.disks.end() || !disk->second.problem.empty()) {
            d.refuse("io", cat(key, ".path"), device.path.at,
                     cat(quote(*device.path), " ", disk == facts.disks.end() ? "has not been looked at" : disk->second.problem),
                     "name a block device, or a path on a file system that lies on one");
            continue;
        }
        const std::string number = cat(disk->second.major, ":", disk->second.minor);
        v1 ? io_device_v1(d, device, number, key) : io_device_v2(d, device, number, key);
    }
}

void translate_hugetlb(Dialect& d, const Resources& r) {
    const bool v1 = d.version("hugetlb") == CgroupVersion::v1;
    for (const auto& [size, limit] : r.hugetlb) {
        const std::string key = cat("hugetlb.", size);
        if (!d.usable("hugetlb", key, limit.at)) return;
        const std::string value = *limit == no_limit ? (v1 ? "-1" : "max") : std::to_string(*limit);
        d.set("hugetlb", cat("hugetlb.", size, v1 ? ".limit_in_bytes" : ".max"), value, key, limit.at,
              cat("allow ", size_in_words(*limit), " in huge pages of ", size));
    }
}

void translate_rdma(Dialect& d, const Resources& r) {
    const auto count = [](const std::optional<At<std::uint64_t>>& value) {
        return !value || **value == no_limit ? std::string("max") : std::to_string(**value);
    };
    for (const auto& [device, limits] : r.rdma) {
        const Position at = limits.hca_handle ? limits.hca_handle->at : limits.hca_object ? limits.hca_object->at : Position{};
        const std::string key = cat("rdma.", device);
        if (!d.usable("rdma", key, at)) return;
        d.set("rdma", "rdma.max", cat(device, " hca_handle=", count(limits.hca_handle), " hca_object=", count(limits.hca_object)), key, at,
              cat("limit the RDMA adapter ", device));
    }
}

void translate_network_classes(Dialect& d, const Resources& r) {
    const auto usable = [&d](const std::string& controller, const std::string& key, Position at) {
        if (d.version(controller) != CgroupVersion::absent) return d.usable(controller, key, at);
        d.refuse(controller, key, at, cat("this host has no ", controller, " controller, which exists in cgroup v1 alone"),
                 "with cgroup v2 a rule of nftables can match the group (socket cgroupv2)");
        return false;
    };
    if (r.classid && usable("net_cls", "net_cls.classid", r.classid->at))
        d.set("net_cls", "net_cls.classid", std::to_string(**r.classid), "net_cls.classid", r.classid->at,
              cat("mark packets with class ", **r.classid));
    for (const auto& [interface, priority] : r.net_prio)
        if (usable("net_prio", cat("net_prio.", interface), priority.at))
            d.set("net_prio", "net_prio.ifpriomap", cat(interface, " ", *priority), cat("net_prio.", interface), priority.at,
                  cat("give packets on ", interface, " the priority ", *priority));
}

void translate_raw(Limits& out, const HostFacts& facts, const TextMap& files, CgroupVersion version) {
    Dialect d(out, facts, {});
    const std::string root = cat("cgroup.raw.", version == CgroupVersion::v1 ? "v1" : "v2");
    for (const auto& [file, value] : files) {
        std::string controller = file.substr(0, file.find('.'));
        if (controller == "blkio") controller = "io";
        // Written for the other version: that is what the two maps are for.
        if (controller != "cgroup" && d.version(controller) != version && d.version(controller) != CgroupVersion::absent) continue;
        const std::string key = cat(root, ".", file);
        if (controller == "cgroup" || d.usable(controller, key, value.at)) d.set(controller, file, *value, key, value.at, {});
    }
}

}  // namespace

Limits translate_limits(const Profile& profile, const HostFacts& facts) {
    Limits out;
    Dialect d(out, facts, "resources.");
    const Resources& r = profile.resources;
    translate_memory(d, r.memory, true);
    translate_cpu(d, r.cpu);
    translate_pids(d, r.pids);
    translate_io(d, r.io, facts);
    translate_hugetlb(d, r);
    translate_rdma(d, r);
    translate_network_classes(d, r);
    translate_raw(out, facts, profile.cgroup.raw_v1, CgroupVersion::v1);
    translate_raw(out, facts, profile.cgroup.raw_v2, CgroupVersion::v2);
    for (const char* counted : {"memory", "pids", "cpuacct", "freezer"})
        if (const CgroupFact* tree = tree_of(facts, counted); tree && (tree->version == CgroupVersion::v2 || tree->writable))
            out.need(counted);
    return out;
}

Limits translate_parent(const CgroupParent& parent, const HostFacts& facts) {
    Limits out;
    Dialect d(out, facts, "cgroup.parent.");
    translate_memory(d, parent.memory, false);
    translate_cpu(d, parent.cpu);
    if (parent.pids) translate_pids(d, *parent.pids);
    return out;
}

const Position* first_wish(const Profile& profile, std::string& key) {
    const Resources& r = profile.resources;
    const auto told = [&key](const char* name, const Position& at) {
        if (!at.known()) return static_cast<const Position*>(nullptr);
        key = name;
        return &at;
    };
    const auto of = [&told](const char* name, const auto& value) { return value ? told(name, value->at) : nullptr; };
    if (const auto* at = of("resources.memory.max", r.memory.max)) return at;
    if (const auto* at = of("resources.memory.high", r.memory.high)) return at;
    if (const auto* at = of("resources.memory.low", r.memory.low)) return at;
    if (const auto* at = told("resources.memory.swap", r.memory.swap.at)) return at;
    if (const auto* at = of("resources.memory.swappiness", r.memory.swappiness)) return at;
    if (*r.memory.oom != OomPolicy::kill) return key = "resources.memory.oom", &r.memory.oom.at;
    if (const auto* at = of("resources.cpu.limit", r.cpu.limit)) return at;
    if (const auto* at = of("resources.cpu.quota", r.cpu.quota)) return at;
    if (const auto* at = of("resources.cpu.weight", r.cpu.weight)) return at;
    if (const auto* at = of("resources.cpu.shares", r.cpu.shares)) return at;
    if (const auto* at = of("resources.cpu.burst", r.cpu.burst)) return at;
    if (*r.cpu.idle) return key = "resources.cpu.idle", &r.cpu.idle.at;
    if (const auto* at = of("resources.cpu.set", r.cpu.set)) return at;
    if (const auto* at = of("resources.cpu.mems", r.cpu.mems)) return at;
    if (*r.pids != no_limit)
        if (const auto* at = told("resources.pids", r.pids.at)) return at;
    if (const auto* at = of("resources.io.weight", r.io.weight)) return at;
    if (!r.io.devices.empty()) return key = "resources.io.devices", &r.io.devices.front().at;
    if (!r.hugetlb.empty()) return key = "resources.hugetlb", &r.hugetlb.begin()->second.at;
    for (const auto& [device, limits] : r.rdma)
        for (const auto* limit : {&limits.hca_handle, &limits.hca_object})
            if (*limit) return key = cat("resources.rdma.", device), &(*limit)->at;
    if (const auto* at = of("resources.net_cls.classid", r.classid)) return at;
    if (!r.net_prio.empty()) return key = "resources.net_prio", &r.net_prio.begin()->second.at;
    if (profile.cgroup.parent) return key = "cgroup.parent", &profile.cgroup.parent->at;
    if (*profile.cgroup.delegate) return key = "cgroup.delegate", &profile.cgroup.delegate.at;
    for (const TextMap* raw : {&profile.cgroup.raw_v1, &profile.cgroup.raw_v2})
        if (!raw->empty()) return key = "cgroup.raw", &raw->begin()->second.at;
    if (profile.lifecycle.cpu_time) return key = "lifecycle.cpu_time", &profile.lifecycle.cpu_time->at;
    return nullptr;
}

}  // namespace sandbox
