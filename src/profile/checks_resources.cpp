// Limits and control groups: what fits together, whatever the host.
#include <algorithm>

#include "base/text.h"
#include "profile/checks.h"

namespace sandbox {
namespace {

constexpr std::uint64_t least_memory = 4ULL << 20;

void check_memory(const MemoryLimits& m, const std::string& key, Report& report) {
    if (m.max && **m.max < least_memory && !report.failed(key + ".max"))
        report.error("E0426", m.max->at, key + ".max", "less than 4Mi holds no program", "give at least 4Mi, as docker wants too");
    if (m.max && m.high && **m.high > **m.max)
        report.error("E0426", m.high->at, key + ".high", "it is above max, so max is reached first", "give high less than max");
    if (m.max && m.low && **m.low > **m.max)
        report.error("E0426", m.low->at, key + ".low", "it is above max, so it cannot be had", "give low less than max");
    if (*m.oom != OomPolicy::kill && (!m.max || **m.max == no_limit))
        report.error("E0426", m.oom.at, key + ".oom", "without max the limit is never reached", "add max");
}

void check_cpu(const CpuLimits& c, const std::string& key, Report& report) {
    if (c.limit && c.quota)
        report.error("E0419", c.quota->at, key + ".quota", "limit says the same in another way", "keep one of limit and quota");
    if (c.weight && c.shares)
        report.error("E0419", c.shares->at, key + ".shares", "weight says the same in another way", "keep one of weight and shares");
    if (*c.idle && (c.weight || c.shares))
        report.error("E0419", c.idle.at, key + ".idle", "what runs only when nobody else wants to has no weight", "keep one of the two");
    if (*c.period < 1'000'000 || *c.period > 1'000'000'000)
        report.error("E0419", c.period.at, key + ".period", "a period is from 1ms to 1s", "100ms is usual");
    if (c.quota && **c.quota < 1'000'000)
        report.error("E0419", c.quota->at, key + ".quota", "a quota is 1ms or more", "make the period longer to have less");
    if (!c.burst || report.failed(key)) return;
    const bool limited = c.quota || (c.limit && **c.limit != no_limit);
    if (!limited) return report.error("E0419", c.burst->at, key + ".burst", "there is no limit to save under", "add limit or quota");
    const auto quota = c.quota ? static_cast<std::uint64_t>(**c.quota) : **c.limit * static_cast<std::uint64_t>(*c.period) / one_core;
    if (static_cast<std::uint64_t>(**c.burst) > quota)
        report.error("E0419", c.burst->at, key + ".burst", "it is more than the quota of one period",
                     cat("at most ", format_duration(static_cast<std::int64_t>(quota))));
}

void check_io(const IoLimits& io, Report& report) {
    for (std::size_t i = 0; i < io.devices.size(); ++i) {
        const IoDevice& d = io.devices[i];
        const std::string key = cat("resources.io.devices[", i, "]");
        if (!d.read_bps && !d.write_bps && !d.read_iops && !d.write_iops && !d.weight && !report.failed(key))
            report.error("E0421", d.at, key, "nothing is limited there", "add read_bps, write_bps, read_iops, write_iops or weight");
        for (std::size_t j = 0; j < i; ++j)
            if (*io.devices[j].path == *d.path)
                report.error("E0421", d.path.at, key + ".path", cat(quote(*d.path), " is in the list already"), "keep one of the two");
    }
}

void check_manager(const Profile& profile, Report& report) {
    if (*profile.cgroup.manager != CgroupManager::none) return;
    const Resources& r = profile.resources;
    const auto refuse = [&](const char* key, Position at) {
        if (at.known())
            report.error("E0422", at, key, "cgroup.manager is none, so there is no group that could be limited",
                         "leave manager out, or this key");
    };
    if (r.memory.max) refuse("resources.memory.max", r.memory.max->at);
    if (r.memory.high) refuse("resources.memory.high", r.memory.high->at);
    if (r.memory.low) refuse("resources.memory.low", r.memory.low->at);
    if (r.memory.swappiness) refuse("resources.memory.swappiness", r.memory.swappiness->at);
    if (r.memory.swap.at.known()) refuse("resources.memory.swap", r.memory.swap.at);
    for (const auto* limit : {&r.cpu.limit})
        if (*limit) refuse("resources.cpu.limit", (*limit)->at);
    for (const auto* limit : {&r.cpu.quota, &r.cpu.burst})
        if (*limit) refuse("resources.cpu", (*limit)->at);
    for (const auto* limit : {&r.cpu.weight, &r.cpu.shares})
        if (*limit) refuse("resources.cpu", (*limit)->at);
    for (const auto* set : {&r.cpu.set, &r.cpu.mems})
        if (*set) refuse("resources.cpu", (*set)->at);
    if (*r.cpu.idle) refuse("resources.cpu.idle", r.cpu.idle.at);
    if (*r.pids != no_limit) refuse("resources.pids", r.pids.at);
    if (r.io.weight) refuse("resources.io.weight", r.io.weight->at);
    if (!r.io.devices.empty()) refuse("resources.io.devices", r.io.devices.front().at);
    if (!r.hugetlb.empty()) refuse("resources.hugetlb", r.hugetlb.begin()->second.at);
    if (r.classid) refuse("resources.net_cls.classid", r.classid->at);
    if (!r.net_prio.empty()) refuse("resources.net_prio", r.net_prio.begin()->second.at);
    if (profile.cgroup.parent) refuse("cgroup.parent", profile.cgroup.parent->at);
    if (*profile.cgroup.delegate) refuse("cgroup.delegate", profile.cgroup.delegate.at);
    for (const TextMap* raw : {&profile.cgroup.raw_v1, &profile.cgroup.raw_v2})
        if (!raw->empty()) refuse("cgroup.raw", raw->begin()->second.at);
    if (profile.lifecycle.cpu_time) refuse("lifecycle.cpu_time", profile.lifecycle.cpu_time->at);
}

void check_proc_view(const Profile& profile, Report& report) {
    if (*profile.proc.view == ProcView::limits && *profile.proc.mode != ProcMode::fresh)
        report.error("E0423", profile.proc.view.at, "proc.view", "the limits are shown on a /proc of the sandbox's own",
                     "say proc: {mode: fresh}, or view: host");
}

}  // namespace

void check_resources(const Profile& profile, Report& report) {
    check_memory(profile.resources.memory, "resources.memory", report);
    check_cpu(profile.resources.cpu, "resources.cpu", report);
    if (profile.cgroup.parent) {
        check_memory(profile.cgroup.parent->memory, "cgroup.parent.memory", report);
        check_cpu(profile.cgroup.parent->cpu, "cgroup.parent.cpu", report);
    }
    check_io(profile.resources.io, report);
    check_manager(profile, report);
    check_proc_view(profile, report);
}

}  // namespace sandbox
