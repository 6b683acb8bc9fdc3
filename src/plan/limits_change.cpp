#include "plan/limits_change.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::pair<std::string_view, std::string_view> without_limit[] = {{"memory.limit_in_bytes", "-1"},
                                                                           {"memory.memsw.limit_in_bytes", "-1"},
                                                                           {"memory.soft_limit_in_bytes", "-1"},
                                                                           {"memory.max", "max"},
                                                                           {"memory.high", "max"},
                                                                           {"memory.low", "0"},
                                                                           {"memory.swap.max", "max"},
                                                                           {"memory.oom.group", "0"},
                                                                           {"memory.swappiness", "60"},
                                                                           {"cpu.shares", "1024"},
                                                                           {"cpu.cfs_quota_us", "-1"},
                                                                           {"cpu.cfs_period_us", "100000"},
                                                                           {"cpu.cfs_burst_us", "0"},
                                                                           {"cpu.weight", "100"},
                                                                           {"cpu.max", "max"},
                                                                           {"cpu.max.burst", "0"},
                                                                           {"cpu.idle", "0"},
                                                                           {"pids.max", "max"},
                                                                           {"blkio.weight", "500"},
                                                                           {"blkio.bfq.weight", "100"},
                                                                           {"io.weight", "default 100"},
                                                                           {"io.bfq.weight", "default 100"},
                                                                           {"net_cls.classid", "0"}};

// Files with a line for each device: what a line without a limit says.
constexpr std::pair<std::string_view, std::string_view> lines_without_limit[] = {{"io.max", "rbps=max wbps=max riops=max wiops=max"},
                                                                                 {"io.weight", "default"},
                                                                                 {"io.bfq.weight", "default"},
                                                                                 {"blkio.weight_device", "0"},
                                                                                 {"blkio.bfq.weight_device", "0"},
                                                                                 {"blkio.throttle.read_bps_device", "0"},
                                                                                 {"blkio.throttle.write_bps_device", "0"},
                                                                                 {"blkio.throttle.read_iops_device", "0"},
                                                                                 {"blkio.throttle.write_iops_device", "0"},
                                                                                 {"rdma.max", "hca_handle=max hca_object=max"},
                                                                                 {"net_prio.ifpriomap", "0"}};

template <std::size_t size>
std::optional<std::string_view> find_in(const std::pair<std::string_view, std::string_view> (&list)[size], std::string_view file) {
    const auto found = std::ranges::find(list, file, &std::pair<std::string_view, std::string_view>::first);
    return found == std::end(list) ? std::nullopt : std::optional(found->second);
}

// A word of io.max that is left out keeps its value.
Setting complete(Setting setting) {
    if (setting.file != "io.max") return setting;
    for (const char* word : {"rbps", "wbps", "riops", "wiops"})
        if (setting.value.find(cat(" ", word, "=")) == std::string::npos) setting.value += cat(" ", word, "=max");
    return setting;
}

// What is written last is what holds.
std::vector<Setting> effective(const Limits& limits) {
    std::vector<Setting> out;
    for (const Setting& setting : limits.settings) {
        const std::string subject = subject_of(setting);
        std::erase_if(out, [&](const Setting& s) { return s.file == setting.file && subject_of(s) == subject; });
        out.push_back(complete(setting));
    }
    return out;
}

const Setting* find_same(const std::vector<Setting>& list, const Setting& wanted) {
    const std::string subject = subject_of(wanted);
    const auto found = std::ranges::find_if(list, [&](const Setting& s) { return s.file == wanted.file && subject_of(s) == subject; });
    return found == list.end() ? nullptr : &*found;
}

}  // namespace

std::string subject_of(const Setting& setting) {
    if (!find_in(lines_without_limit, setting.file)) return {};
    const std::string first = setting.value.substr(0, setting.value.find(' '));
    return first == "default" ? std::string() : first;
}

std::optional<std::string> no_limit_of(const Setting& setting) {
    const std::string subject = subject_of(setting);
    if (!subject.empty()) return cat(subject, " ", *find_in(lines_without_limit, setting.file));
    const auto value = find_in(without_limit, setting.file);
    if (value) return std::string(*value);
    if (setting.file.starts_with("hugetlb.")) return setting.file.ends_with(".max") ? "max" : "-1";
    return std::nullopt;
}

Result<std::vector<Setting>> limit_changes(const Limits& before, const Limits& after) {
    const auto old = effective(before), wanted = effective(after);
    std::vector<Setting> out;
    for (const Setting& setting : old) {
        if (find_same(wanted, setting)) continue;
        auto value = no_limit_of(setting);
        if (!value)
            return fail(cat(setting.key, " cannot be taken back while the sandbox runs (", setting.file, " has no value for it)"),
                        "set another value, or leave it out at the next start");
        Setting gone = setting;
        gone.value = std::move(*value);
        out.push_back(std::move(gone));
    }
    for (const Setting& setting : wanted)
        if (const Setting* known = find_same(old, setting); !known || known->value != setting.value) out.push_back(setting);
    return out;
}

}  // namespace sandbox
