// cgroup v2: Documentation/admin-guide/cgroup-v2.rst of the kernel.

#include "base/text.h"
#include "plan/limits_dialect.h"

namespace sandbox {
namespace {

std::string bytes_v2(std::uint64_t value) { return value == no_limit ? "max" : std::to_string(value); }

}  // namespace

void memory_v2(Dialect& d, const MemoryLimits& m, bool own) {
    const auto limit = [&](const std::optional<At<std::uint64_t>>& value, const char* name, std::string text) {
        if (value) d.set("memory", cat("memory.", name), bytes_v2(**value), cat("memory.", name), value->at, std::move(text));
    };
    limit(m.max, "max", m.max ? cat("limit memory to ", size_in_words(**m.max)) : "");
    limit(m.high, "high", m.high ? cat("slow it down above ", size_in_words(**m.high), " of memory") : "");
    limit(m.low, "low", m.low ? cat("reclaim its memory below ", size_in_words(**m.low), " last") : "");
    const bool asked = m.swap.at.known();
    // A kernel without swap has no file for it, and nothing to limit.
    if ((own || asked) && *m.swap != no_limit && !(d.lacks("memory", "memory.swap.max") && *m.swap == 0))
        d.set("memory", "memory.swap.max", bytes_v2(*m.swap), "memory.swap", m.swap.at, cat("limit swap to ", size_in_words(*m.swap)));
    if (m.swappiness)
        d.refuse("memory", "memory.swappiness", m.swappiness->at, "cgroup v2 has no swappiness of a group",
                 "use memory.swap: 0 to switch swap off, or leave it out");
    if (*m.oom == OomPolicy::group) d.set("memory", "memory.oom.group", "1", "memory.oom", m.oom.at, "at the limit, kill all of it");
    if (*m.oom == OomPolicy::pause)
        d.refuse("memory", "memory.oom", m.oom.at, "cgroup v2 cannot pause a group that is out of memory (memory.oom_control is of v1)",
                 "say oom: kill or oom: group, and memory.high to be slowed down before");
}

void io_weight_v2(Dialect& d, std::uint64_t weight, const std::string& device, const std::string& key, Position at) {
    const bool bfq = d.lacks("io", "io.weight");
    if (bfq && d.lacks("io", "io.bfq.weight"))
        return d.refuse("io", key, at, "no scheduler of this kernel weighs block devices (neither io.weight nor io.bfq.weight)",
                        "load the bfq scheduler or a kernel with blk-iocost, or limit bytes and operations a second");
    const std::uint64_t value = bfq ? bfq_of_weight(weight) : weight;
    const std::string file = bfq ? "io.bfq.weight" : "io.weight";
    d.set("io", file, cat(device.empty() ? "default " : device, value), key, at,
          cat("weigh ", weight, " against an ordinary 100 at block devices", bfq ? cat(" (", file, " ", value, ")") : std::string()));
}

void io_device_v2(Dialect& d, const IoDevice& device, const std::string& number, const std::string& key) {
    std::string value;
    Position first{};
    const auto limit = [&](const std::optional<At<std::uint64_t>>& rate, const char* word) {
        if (!rate) return;
        value += cat(" ", word, "=", bytes_v2(**rate));
        if (!first.known()) first = rate->at;
    };
    limit(device.read_bps, "rbps");
    limit(device.write_bps, "wbps");
    limit(device.read_iops, "riops");
    limit(device.write_iops, "wiops");
    if (!value.empty()) d.set("io", "io.max", cat(number, value), key, first, cat("hold ", number, " (", *device.path, ") to", value));
    if (device.weight)
        io_weight_v2(d, static_cast<std::uint64_t>(**device.weight), cat(number, " "), cat(key, ".weight"), device.weight->at);
}

}  // namespace sandbox
