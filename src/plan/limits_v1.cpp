// cgroup v1: Documentation/admin-guide/cgroup-v1/{memory,blkio-controller}.rst of the kernel.

#include "base/text.h"
#include "plan/limits_dialect.h"

namespace sandbox {
namespace {

std::string bytes_v1(std::uint64_t value) { return value == no_limit ? "-1" : std::to_string(value); }

// v1 limits the sum of memory and swap, and knows that sum only together with a limit of memory.
void swap_v1(Dialect& d, const MemoryLimits& m, bool own) {
    const bool limited = m.max && **m.max != no_limit, asked = m.swap.at.known();
    if (!own && !asked) return;
    if (*m.swap == no_limit) return;
    if (limited && !d.lacks("memory", "memory.memsw.limit_in_bytes"))
        return d.set("memory", "memory.memsw.limit_in_bytes", bytes_v1(**m.max + *m.swap), "memory.swap", m.swap.at,
                     cat("limit memory and swap together to ", size_in_words(**m.max + *m.swap)));
    if (*m.swap != 0)
        return d.refuse("memory", "memory.swap", m.swap.at,
                        limited ? "this kernel does not count swap (memory.memsw.limit_in_bytes is missing)"
                                : "cgroup v1 limits memory and swap together: it has no limit for swap alone",
                        limited ? "boot with swapaccount=1, or say swap: 0" : "add memory.max, or say swap: 0");
    if (m.swappiness) return;
    d.set("memory", "memory.swappiness", "0", "memory.swap", m.swap.at, "do not swap its memory");
}

}  // namespace

void memory_v1(Dialect& d, const MemoryLimits& m, bool own) {
    if (m.max) {
        d.set("memory", "memory.limit_in_bytes", bytes_v1(**m.max), "memory.max", m.max->at,
              cat("limit memory to ", size_in_words(**m.max)));
    }
    if (m.high)
        d.refuse("memory", "memory.high", m.high->at, "cgroup v1 has no limit that slows processes down (memory.high)",
                 "use memory.max, or memory.low for what is reclaimed first");
    if (m.low)
        d.set("memory", "memory.soft_limit_in_bytes", bytes_v1(**m.low), "memory.low", m.low->at,
              cat("reclaim its memory down to ", size_in_words(**m.low), " last (soft limit)"));
    if (m.swappiness)
        d.set("memory", "memory.swappiness", std::to_string(**m.swappiness), "memory.swappiness", m.swappiness->at,
              cat("swap its memory with a willingness of ", **m.swappiness));
    swap_v1(d, m, own);
    if (*m.oom == OomPolicy::pause)
        d.set("memory", "memory.oom_control", "1", "memory.oom", m.oom.at, "pause at the limit in place of killing");
}

void io_weight_v1(Dialect& d, std::uint64_t weight, const std::string& device, const std::string& key, Position at) {
    const bool bfq = d.lacks("io", "blkio.weight");
    if (bfq && d.lacks("io", "blkio.bfq.weight"))
        return d.refuse("io", key, at, "no scheduler of this kernel weighs block devices (neither blkio.weight nor blkio.bfq.weight)",
                        "load the bfq scheduler, or limit bytes and operations a second");
    const std::uint64_t value = bfq ? bfq_of_weight(weight) : blkio_of_weight(weight);
    const std::string file = cat(bfq ? "blkio.bfq.weight" : "blkio.weight", device.empty() ? "" : "_device");
    d.set("io", file, cat(device, value), key, at,
          cat("weigh ", weight, " against an ordinary 100 at block devices (", file, " ", value, ")"));
}

void io_device_v1(Dialect& d, const IoDevice& device, const std::string& number, const std::string& key) {
    const auto limit = [&](const std::optional<At<std::uint64_t>>& rate, const char* name, const char* file) {
        if (!rate) return;
        const std::string value = **rate == no_limit ? "0" : std::to_string(**rate);
        d.set("io", cat("blkio.throttle.", file, "_device"), cat(number, " ", value), cat(key, ".", name), rate->at,
              cat("hold ", number, " (", *device.path, ") to ", name, " ", size_in_words(**rate)));
    };
    limit(device.read_bps, "read_bps", "read_bps");
    limit(device.write_bps, "write_bps", "write_bps");
    limit(device.read_iops, "read_iops", "read_iops");
    limit(device.write_iops, "write_iops", "write_iops");
    if (device.write_bps || device.write_iops)
        d.note(cat(key,
                   ": cgroup v1 holds direct and synchronous writes to the limit; buffered ones are written later by the kernel, in "
                   "nobody's name"));
    if (device.weight)
        io_weight_v1(d, static_cast<std::uint64_t>(**device.weight), cat(number, " "), cat(key, ".weight"), device.weight->at);
}

}  // namespace sandbox
