// What of the kernel's file systems is covered or read-only, and the last touch to the tree.

#include <linux/mount.h>

#include <algorithm>

#include "plan/context.h"

namespace sandbox {
namespace {

// Files that tell about or act on the whole machine (proc(5), sysfs(5)); a kernel need not have them all.
constexpr const char* masked_files[] = {"/proc/acpi",          "/proc/asound",        "/proc/interrupts",  "/proc/kcore",
                                        "/proc/keys",          "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
                                        "/proc/sysrq-trigger", "/proc/timer_list",    "/proc/timer_stats", "/sys/devices/virtual/powercap",
                                        "/sys/firmware"};
constexpr const char* masked_thermal = "/sys/devices/system/cpu/cpu0/thermal_throttle";
constexpr const char* read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"};

bool wanted(const Context& c, std::string_view path) {
    if (beneath(path, "/proc")) return *c.profile.proc.mode != ProcMode::none;
    return true;
}

void mask(Context& c, const std::string& path, bool built_in, Position at) {
    c.setup.push_back(
        sandbox_step(cat("mask:", path), at, cat("cover ", path), step::Mask{c.cover_file, c.cover_folder, path, true, built_in}));
}

}  // namespace

void plan_masks(Context& c) {
    if (c.root == no_slot) return;
    const Profile& p = c.profile;
    if (p.readonly_paths.defaults)
        for (const char* path : read_only)
            if (wanted(c, path))
                c.setup.push_back(
                    sandbox_step(cat("readonly:", path), {}, cat("make ", path, " read-only"), step::ReadOnlyPath{path, true, true}));
    if (p.mask.defaults) {
        for (const char* path : masked_files)
            if (wanted(c, path)) mask(c, path, true, {});
        mask(c, masked_thermal, true, {});
    }
    for (const Text& path : p.readonly_paths.paths)
        c.setup.push_back(
            sandbox_step(cat("readonly:", *path), path.at, cat("make ", *path, " read-only"), step::ReadOnlyPath{*path, false, false}));
    for (const Text& path : p.mask.paths) mask(c, *path, false, path.at);
    for (const Sealed& sealed : c.sealed) {
        Step step = sandbox_step(cat("seal:", sealed.place), sealed.at, cat("make ", sealed.place, " read-only"),
                                 step::SetMount{sealed.slot, {MOUNT_ATTR_RDONLY, 0, 0, false}});
        step.optional = sealed.optional;
        c.finish.push_back(std::move(step));
    }
    c.finish.push_back(sandbox_step("pivot", {}, "enter the root and let go of the old one", step::Pivot{c.root}));
    // Only now: pivot_root(2) refuses a root that is shared.
    if (*p.rootfs.propagation == Propagation::shared)
        c.finish.push_back(sandbox_step("rootfs.shared", p.rootfs.propagation.at, "share the mounts with namespaces that are made inside",
                                        step::ShareMounts{}));
}

}  // namespace sandbox
