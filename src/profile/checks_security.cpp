// Namespaces, ids, capabilities, seccomp, sysctl, devices, time: what fits together.
#include <algorithm>
#include <set>

#include "base/text.h"
#include "profile/capability_set.h"
#include "profile/checks.h"
#include "profile/names.h"

namespace sandbox {
namespace {

// ---- namespaces

// Whether anything is to be mounted or made inside, which the mounts of another cannot be changed for.
bool changes_tree(const Profile& profile) {
    return !profile.mounts.empty() || !profile.files.empty() || !profile.dirs.empty() || !profile.symlinks.empty() ||
           !profile.mask.paths.empty() || !profile.readonly_paths.paths.empty() || !profile.devices.empty();
}

void check_mount_namespace(const Profile& profile, Report& report) {
    const Namespace& mount = profile.namespaces.mount;
    if (*mount.mode == NamespaceMode::private_) return;
    const bool host_rw = profile.rootfs.host && **profile.rootfs.host == AccessMode::rw && !profile.rootfs.readonly;
    if (!host_rw)
        report.error("E0412", mount.mode.at, "namespaces.mount", "another root needs a mount namespace of its own",
                     "write 'mount: private', or 'rootfs: {host: rw}'");
    else if (changes_tree(profile))
        report.error("E0412", mount.mode.at, "namespaces.mount",
                     "mounts, files, dirs, symlinks, devices and masks need a mount namespace of its own",
                     "write 'mount: private', or remove them");
}

void check_user_namespace(const Profile& profile, Report& report) {
    const Namespace& user = profile.namespaces.user;
    const IdMapMode map = *profile.id_map.mode;
    const bool map_written = profile.id_map.mode.at.known();
    if (report.failed("id_map") || report.failed("namespaces.user")) return;
    if (*user.mode == NamespaceMode::host && map_written && map != IdMapMode::host)
        report.error("E0413", profile.id_map.mode.at, "id_map", "an id map needs a user namespace, and namespaces.user is host",
                     "remove one of the two");
    if (*user.mode == NamespaceMode::private_ && user.mode.at.known() && map == IdMapMode::host)
        report.error("E0413", profile.id_map.mode.at, "id_map", "'host' means no user namespace, and namespaces.user is private",
                     "remove one of the two");
    if (*user.mode == NamespaceMode::path && map_written && map != IdMapMode::automatic)
        report.error("E0413", profile.id_map.mode.at, "id_map", "the namespace that is joined has its map already", "remove the key");
}

void check_host_name(const Profile& profile, Report& report) {
    if (*profile.namespaces.uts.mode == NamespaceMode::private_) return;
    const auto refuse = [&](const Text& name, std::string_view key) {
        report.error("E0414", name.at, std::string(key), "cannot be set: namespaces.uts is not private", "remove one of the two");
    };
    if (profile.hostname.at.known()) refuse(profile.hostname, "hostname");
    if (profile.domainname) refuse(*profile.domainname, "domainname");
}

void check_time(const Profile& profile, Report& report) {
    const Namespace& time = profile.namespaces.time;
    if (*time.mode == NamespaceMode::private_) return;
    const auto refuse = [&](const std::optional<At<std::int64_t>>& offset, std::string_view key) {
        if (offset)
            report.error("E0411", offset->at, std::string(key), "an offset needs 'namespaces: {time: private}'",
                         "remove 'time' under namespaces");
    };
    refuse(profile.time.boottime, "time.boottime");
    refuse(profile.time.monotonic, "time.monotonic");
}

void check_proc(const Profile& profile, Report& report) {
    if (*profile.proc.hidepid == 3)
        report.error("E0302", profile.proc.hidepid.at, "proc.hidepid", "3 is not a value of hidepid", "allowed: 0, 1, 2 and 4");
    if (*profile.proc.hidepid != 0 && *profile.proc.mode != ProcMode::fresh)
        report.error("E0406", profile.proc.hidepid.at, "proc.hidepid", "only a fresh /proc can hide processes", "write 'mode: fresh'");
}

// ---- id maps

constexpr std::size_t range_limit = 340;  // UID_GID_MAP_MAX_EXTENTS (include/linux/user_namespace.h)

bool overlap(std::uint32_t a, std::uint32_t a_count, std::uint32_t b, std::uint32_t b_count) {
    return a < std::uint64_t{b} + b_count && b < std::uint64_t{a} + a_count;
}

// Ranges that overlap on one side, each later one reported once.
void check_overlaps(const std::vector<At<IdRange>>& ranges, const std::string& key, std::uint32_t IdRange::*side, std::string_view word,
                    Report& report) {
    for (std::size_t i = 0; i < ranges.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
            if (!overlap((*ranges[i]).*side, ranges[i]->count, (*ranges[j]).*side, ranges[j]->count)) continue;
            report.error("E0408", ranges[i].at, cat(key, "[", i, "]"), cat("overlaps ", key, "[", j, "] in its ", word, " ids"),
                         "an id can be mapped only once");
            break;
        }
}

void check_ranges(const std::vector<At<IdRange>>& ranges, const std::string& key, Position map, Report& report) {
    if (ranges.empty() && !report.failed(key))
        report.error("E0408", map, key, "no range", "write both: {uid: [\"0:100000:65536\"], gid: [\"0:100000:65536\"]}");
    if (ranges.size() > range_limit) {
        report.error("E0408", ranges[range_limit].at, cat(key, "[", range_limit, "]"), cat(ranges.size(), " ranges"),
                     cat("the kernel takes at most ", range_limit));
        return;
    }
    check_overlaps(ranges, key, &IdRange::inside, "inside", report);
    check_overlaps(ranges, key, &IdRange::outside, "outside", report);
}

void check_id_map(const Profile& profile, Report& report) {
    const IdMap& map = profile.id_map;
    if (*map.mode != IdMapMode::ranges) return;
    check_ranges(map.uid, "id_map.uid", map.mode.at, report);
    check_ranges(map.gid, "id_map.gid", map.mode.at, report);
}

// ---- capabilities and seccomp

std::string_view capability_word(int number) {
    const auto names = capability_names();
    return number >= 0 && static_cast<std::size_t>(number) < names.size() ? names[static_cast<std::size_t>(number)] : std::string_view();
}

void check_capabilities(const Profile& profile, Report& report) {
    const Capabilities& capabilities = profile.capabilities;
    const auto in = [](const std::vector<At<int>>& list, int number) {
        return number >= 0 && std::ranges::any_of(list, [&](const At<int>& item) { return *item == number; });
    };
    for (std::size_t i = 0; i < capabilities.drop.size(); ++i)
        if (in(capabilities.add, *capabilities.drop[i]))
            report.error("E0409", capabilities.drop[i].at, cat("capabilities.drop[", i, "]"),
                         cat(capability_word(*capabilities.drop[i]), " is in add as well"), "keep it in one of the two");
    const std::uint64_t kept = capability_set(capabilities);
    for (std::size_t i = 0; i < capabilities.ambient.size(); ++i) {
        const int number = *capabilities.ambient[i];
        if (number >= 0 && (kept >> number & 1) == 0)
            report.error("E0409", capabilities.ambient[i].at, cat("capabilities.ambient[", i, "]"),
                         cat(capability_word(number), " is not one that the payload keeps"), "name it in 'add' as well");
    }
}

bool is_call_name(std::string_view text) {
    if (text.starts_with('@')) text.remove_prefix(1);
    if (text.empty() || text.size() > 64) return false;
    return std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
}

void check_seccomp(const Profile& profile, Report& report) {
    const Seccomp& seccomp = profile.security.seccomp;
    std::set<std::string_view> allowed;
    const auto check_list = [&](const std::vector<Text>& list, std::string_view key) {
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (!is_call_name(*list[i]) && !report.failed(cat(key, "[", i, "]")))
                report.error("E0321", list[i].at, cat(key, "[", i, "]"), cat(quote(list[i]->substr(0, 60)), " is not a system call"),
                             "write a name such as ptrace, or a group such as @mount");
        }
    };
    check_list(seccomp.allow, "security.seccomp.allow");
    check_list(seccomp.deny, "security.seccomp.deny");
    for (const Text& name : seccomp.allow) allowed.insert(*name);
    for (std::size_t i = 0; i < seccomp.deny.size(); ++i)
        if (!seccomp.deny[i]->empty() && allowed.contains(*seccomp.deny[i]))
            report.error("E0409", seccomp.deny[i].at, cat("security.seccomp.deny[", i, "]"),
                         cat(quote(*seccomp.deny[i]), " is in allow as well"), "keep it in one of the two");
    if (*seccomp.profile == "none" && !seccomp.allow.empty())
        report.error("E0418", seccomp.profile.at, "security.seccomp.profile", "without a filter everything is allowed already",
                     "remove allow, or write 'profile: default'; deny alone refuses what it lists");
}

// ---- sysctl

// Which namespace a setting belongs to; empty when it is the whole host's.
std::string_view namespace_of(std::string_view key) {
    static constexpr std::string_view ipc[]{"kernel.msgmax",      "kernel.msgmnb",      "kernel.msgmni",      "kernel.sem",
                                            "kernel.shmall",      "kernel.shmmax",      "kernel.shmmni",      "kernel.shm_rmid_forced",
                                            "kernel.auto_msgmni", "kernel.msg_next_id", "kernel.sem_next_id", "kernel.shm_next_id"};
    if (key.starts_with("fs.mqueue.") || std::ranges::find(ipc, key) != std::end(ipc)) return "ipc";
    if (key.starts_with("net.")) return "net";
    return {};
}

bool is_sysctl_name(std::string_view key) {
    if (key.empty() || key.size() > 255 || key.find('/') != std::string_view::npos) return false;
    for (const std::string_view part : split(key, '.'))
        if (part.empty()) return false;
    return std::ranges::all_of(key, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    });
}

void check_setting(const Profile& profile, const std::string& name, const Text& value, Report& report) {
    const std::string key = cat("sysctl.", printable(name));
    if (!is_sysctl_name(name))
        return report.error("E0311", value.at, key, "not the name of a kernel setting",
                            "write words between dots, such as net.core.somaxconn; no '/' and no '..'");
    if (name == "kernel.hostname" || name == "kernel.domainname")
        return report.error("E0311", value.at, key, "has a key of its own", cat("use '", name.substr(7), ": NAME'"));
    const std::string_view space = namespace_of(name);
    if (space.empty())
        return report.error("E0311", value.at, key, "belongs to the whole host, not to a namespace of the sandbox",
                            "allowed: kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*, net.*");
    if (space == "ipc" && *profile.namespaces.ipc.mode != NamespaceMode::private_)
        report.error("E0410", value.at, key, "would change the host: namespaces.ipc is not private", "remove one of the two");
    if (space == "net" && !profile.network.is_own())
        report.error("E0410", value.at, key, "would change a network that is not the sandbox's own",
                     "remove it, or take one of the modes none, bridge, macvlan and ipvlan");
    if (value->find('\n') != std::string::npos || value->size() > 4096)
        report.error("E0311", value.at, key, "a value is one line of at most 4096 bytes");
}

void check_sysctl(const Profile& profile, Report& report) {
    const bool network_known = !report.failed("network.mode");
    for (const auto& [name, value] : profile.sysctl)
        if (network_known || !name.starts_with("net.")) check_setting(profile, name, value, report);
}

// ---- devices

void check_device(const Device& device, const std::string& key, Report& report) {
    if (device.major.has_value() != device.minor.has_value())
        report.error("E0406", device.path.at, key, "major and minor belong together", "give both or none");
    if (device.major && *device.type == DeviceType::automatic)
        report.error("E0406", device.path.at, cat(key, ".type"), "a device by number needs its type", "add 'type: char' or 'type: block'");
    if (!device.major && device.type.at.known() && *device.type != DeviceType::automatic && !device.minor)
        report.error("E0406", device.type.at, cat(key, ".type"), "the type comes from the host's node",
                     "remove it, or add major and minor");
    if (*device.target == "/") report.error("E0306", device.target.at, cat(key, ".target"), "the root itself cannot be a device");
}

void check_devices(const Profile& profile, Report& report) {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < profile.devices.size(); ++i) {
        const Device& device = profile.devices[i];
        const std::string key = cat("devices[", i, "]");
        check_device(device, key, report);
        if (!device.target->empty() && !seen.insert(*device.target).second)
            report.error("E0405", device.target.at, cat(key, ".target"), cat(quote(*device.target), " is there already"),
                         "keep one of the two");
    }
}

}  // namespace

void check_security(const Profile& profile, Report& report) {
    check_mount_namespace(profile, report);
    check_user_namespace(profile, report);
    check_host_name(profile, report);
    check_time(profile, report);
    check_proc(profile, report);
    check_id_map(profile, report);
    check_capabilities(profile, report);
    check_seccomp(profile, report);
    check_sysctl(profile, report);
    check_devices(profile, report);
}

}  // namespace sandbox
