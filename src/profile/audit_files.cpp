// Root, mounts, masks and devices: what of the host's disk and hardware a payload reaches.

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "profile/audit_parts.h"

namespace sandbox::auditing {
namespace {

// ---- places on the host

struct NamedPlace {
    std::string_view path;
    Place place;
};
constexpr NamedPlace places[] = {
    {"/", {50, 100, "the whole host"}},
    {"/boot", {10, 100, "what the machine starts from"}},
    {"/dev", {60, 100, "the host's devices"}},
    {"/etc/sandbox", {5, 100, "the configuration of sandboxes"}},
    {"/etc", {40, 100, "the host's configuration, with its passwords"}},
    {"/home", {50, 80, "the homes of the host's users"}},
    {"/media", {30, 50, "disks that are plugged in"}},
    {"/mnt", {30, 50, "disks that are mounted"}},
    {"/opt", {5, 90, "programs of the host"}},
    {"/proc", {60, 100, "the host's processes and kernel"}},
    {"/root", {50, 90, "the home of root"}},
    {"/run", {70, 90, "sockets and state of the host's services"}},
    {"/srv", {20, 40, "data that the host serves"}},
    {"/sys", {20, 90, "the host's kernel and hardware"}},
    {"/tmp", {20, 40, "temporary files of everybody"}},
    {"/usr/share", {0, 80, "files of the host's programs"}},
    {"/var", {40, 70, "data of the host's services"}},
    {"/var/lib", {20, 50, "what one of the host's services keeps"}},
    {"/var/lib/dpkg", {0, 100, "the record of the host's programs"}},
    {"/var/lib/sandbox", {5, 15, "a place for the data of sandboxes"}},
    {"/var/lib/docker", {60, 100, "the files of containers"}},
    {"/var/www", {5, 40, "pages that the host serves"}},
    {"/var/spool/cron", {30, 100, "commands that the host runs"}},
    {"/var/tmp", {20, 40, "temporary files of everybody"}},
};
constexpr std::string_view programs[] = {"/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr"};
constexpr Place program_place{0, 100, "programs of the host"};
constexpr Place home_place{50, 80, "a user's home"};
constexpr Place work_place{5, 20, "a folder of a user"};
constexpr Place secret_place{60, 80, "a user's settings and keys"};
constexpr Place other_place{5, 20, "a place of the host"};
constexpr Place control_socket{100, 100, "the control socket of a service that runs as root: whoever reaches it has the host"};

// Whoever can connect to one of these can start a process of root's: a connection needs no writable mount.
constexpr std::string_view control_sockets[] = {"docker.sock", "containerd.sock", "podman.sock", "crio.sock", "libvirt-sock", "lxd.sock"};

bool is_control_socket(std::string_view path) {
    return std::ranges::find(control_sockets, path.substr(path.rfind('/') + 1)) != std::end(control_sockets);
}

// /home/joe is a home, /home/joe/work a folder, /home/joe/.ssh secrets; likewise below /root.
std::optional<Place> home_of(std::string_view path) {
    std::string_view below;
    if (beneath(path, "/root") && path != "/root") below = path.substr(6);
    if (beneath(path, "/home") && path != "/home") {
        const auto slash = path.find('/', 6);
        if (slash == std::string_view::npos) return home_place;
        below = path.substr(slash + 1);
    }
    if (below.empty()) return std::nullopt;
    const bool secret = below.front() == '.' || below.find("/.") != std::string_view::npos;
    return secret ? secret_place : work_place;
}

void take_worse(Place& to, const Place& other) {
    if (other.write > to.write) to.what = other.what;
    to.read = std::max(to.read, other.read);
    to.write = std::max(to.write, other.write);
}

// ---- root

bool shows_host_tree(const Rootfs& root) {
    if (root.host || (root.path && **root.path == "/")) return true;
    return root.overlay && std::ranges::any_of(root.overlay->lower, [](const Text& lower) { return *lower == "/"; });
}
Position position_of(const Rootfs& root) {
    if (root.host) return root.host->at;
    if (root.path) return root.path->at;
    return root.at;
}

Readings read_root_write(const Profile& p) {
    const Rootfs& root = p.rootfs;
    const Position at = position_of(root);
    if (root.readonly || (root.host && **root.host == AccessMode::ro)) return one({0, "the root is read-only", at});
    if (root.host) return one({100, "the host's own tree can be changed", at, "rootfs: {host: ro}", "rootfs.host"});
    if (root.path) {
        const Place place = place_of(**root.path);
        return one({place.write, cat("the root can be changed: ", printable(**root.path), ", ", place.what), at, "rootfs: {readonly: true}",
                    "rootfs.path"});
    }
    if (root.overlay && !root.overlay->upper_is_tmpfs()) {
        const Place place = place_of(*root.overlay->upper);
        return one({place.write, cat("changes of the root are kept in ", printable(*root.overlay->upper), ", ", place.what),
                    root.overlay->upper.at, "rootfs: {overlay: {upper: tmpfs}}", "rootfs.overlay.upper"});
    }
    return one({0, "changes of the root are thrown away", at});
}

// Nothing of /proc, /sys, /dev and /run comes with the host's tree.
Readings read_root_tree(const Profile& p) {
    const Position at = position_of(p.rootfs);
    if (!shows_host_tree(p.rootfs)) return one({0, "a tree of its own", at});
    return one({runs_as_root(p) ? 60 : 30,
                runs_as_root(p) ? "the host's files can be read as their root reads them, but for what is masked"
                                : "the host's files can be read as far as everybody may, but for what is masked",
                at, "rootfs: {overlay: ...} or {path: ...} with a tree of its own"});
}

// Masked, or covered by a mount that shows something else.
bool is_covered(const Profile& p, std::string_view path) {
    return std::ranges::any_of(p.mask.paths, [path](const Text& mask) { return beneath(path, *mask); }) ||
           std::ranges::any_of(p.mounts, [path](const Mount& m) { return !m.optional && beneath(path, *m.target); });
}

struct Private {
    std::string_view path;
    int weight;
    std::string_view what;
    bool of_root = false;  // everybody else cannot read it, masked or not
};
constexpr Private private_places[] = {{"/home", 5, "the homes of the host's users"},   {"/root", 5, "the home of root"},
                                      {"/srv", 2, "data that the host serves"},        {"/mnt", 2, "disks that are mounted"},
                                      {"/media", 2, "disks that are plugged in"},      {"/etc/shadow", 4, "hashes of passwords", true},
                                      {"/etc/ssl/private", 3, "the host's keys", true}};

Readings read_private_places(const Profile& p) {
    if (!shows_host_tree(p.rootfs)) return one({0, "nobody's home is in its tree", position_of(p.rootfs)});
    Readings out;
    for (const Private& place : private_places) {
        if (is_covered(p, place.path))
            out.push_back({0, cat(place.path, " is covered"), {}, "", "", place.weight});
        else if (place.of_root && !runs_as_root(p))
            out.push_back({0, cat(place.path, " is for root alone"), {}, "", "", place.weight});
        else
            out.push_back({100, cat(place.path, " can be read: ", place.what), position_of(p.rootfs), cat("mask: [", place.path, "]"), "",
                           place.weight});
    }
    return out;
}

Readings read_propagation(const Profile& p) {
    const At<Propagation>& mode = p.rootfs.propagation;
    if (*mode == Propagation::slave)
        return one({100, "what the host mounts later appears inside", mode.at, "rootfs: {propagation: private}"});
    return one({0, "mounts of the host made later stay outside", mode.at});
}

Readings read_root_owner(const Profile& p) {
    const At<IdmapMode>& mode = p.rootfs.idmap;
    if (*mode == IdmapMode::chown)
        return one({100, "the tree on the host's disk is given to other owners", mode.at, "rootfs: {idmap: auto}"});
    return one({0, "files keep their owners on the host's disk", mode.at});
}

// ---- mounts

std::string key_of(std::size_t mount, std::string_view key) { return cat("mounts[", mount, "].", key); }
Position position_of(const Text& value, Position otherwise) { return value.at.known() ? value.at : otherwise; }

Readings read_binds(const Profile& p) {
    Readings out;
    for (std::size_t i = 0; i < p.mounts.size(); ++i) {
        const Mount& m = p.mounts[i];
        if (*m.type != MountType::bind) continue;
        const Place place = place_of(*m.source);
        const bool writable = *m.mode == AccessMode::rw;
        out.push_back({writable ? place.write : place.read,
                       cat(printable(*m.source), writable ? " can be written: " : " can be read: ", place.what),
                       position_of(m.source, m.at),
                       writable && place.write > place.read ? "mode: ro, or a smaller part of it" : "a smaller part of it",
                       key_of(i, writable ? "mode" : "source")});
    }
    if (out.empty()) return one({0, "nothing of the host is mounted"});
    return out;
}

Readings read_layers(const Profile& p) {
    Readings out;
    for (std::size_t i = 0; i < p.mounts.size(); ++i) {
        const Mount& m = p.mounts[i];
        if (!m.overlay) continue;
        for (std::size_t j = 0; j < m.overlay->lower.size(); ++j) {
            const Text& lower = m.overlay->lower[j];
            const Place place = place_of(*lower);
            out.push_back({place.read, cat(printable(*lower), " can be read: ", place.what), position_of(lower, m.at),
                           "a smaller part of it", key_of(i, cat("overlay.lower[", j, "]"))});
        }
        if (m.overlay->upper_is_tmpfs()) continue;
        const Place place = place_of(*m.overlay->upper);
        out.push_back({place.write, cat("changes are kept in ", printable(*m.overlay->upper), ", ", place.what),
                       position_of(m.overlay->upper, m.at), "upper: tmpfs", key_of(i, "overlay.upper")});
    }
    if (out.empty()) return one({0, "no layers are mounted"});
    return out;
}

// One reading for each mount that `opens`, or a closed one.
Readings read_mounts(const Profile& p, std::string_view key, bool (*opens)(const Mount&), int percent, std::string_view what,
                     std::string_view closed, std::string_view cure) {
    Readings out;
    for (std::size_t i = 0; i < p.mounts.size(); ++i)
        if (opens(p.mounts[i]))
            out.push_back({percent, cat(printable(*p.mounts[i].target), what), p.mounts[i].at, std::string(cure), key_of(i, key)});
    if (out.empty()) return one({0, std::string(closed)});
    return out;
}

Readings read_suid(const Profile& p) {
    const bool void_anyway = p.security.no_new_privileges;
    return read_mounts(
        p, "suid", [](const Mount& m) { return m.suid; }, void_anyway ? 20 : 100,
        void_anyway ? ": set-user-ID bits count, but for no_new_privileges" : ": set-user-ID programs give privileges",
        "no set-user-ID bits count on mounts", "suid: false");
}
Readings read_mount_devices(const Profile& p) {
    return read_mounts(
        p, "dev", [](const Mount& m) { return m.dev; }, 100, ": device nodes can be opened", "no device nodes on mounts", "dev: false");
}
Readings read_writable_programs(const Profile& p) {
    return read_mounts(
        p, "exec", [](const Mount& m) { return m.exec && *m.mode == AccessMode::rw; }, 100, ": what is written there can be run",
        "what is written to mounts cannot be run", "exec: false");
}
Readings read_unbounded(const Profile& p) {
    return read_mounts(
        p, "size", [](const Mount& m) { return *m.type == MountType::tmpfs && !m.size; }, 100, ": as much memory as half of the machine's",
        "each tmpfs has a size", "size: 64Mi");
}

Readings read_kernel_mounts(const Profile& p) {
    Readings out;
    for (std::size_t i = 0; i < p.mounts.size(); ++i) {
        const Mount& m = p.mounts[i];
        const bool writable = *m.mode == AccessMode::rw;
        const std::string target = printable(*m.target);
        if (*m.type == MountType::proc && target != "/proc")
            out.push_back(
                {writable ? 100 : 50, cat(target, ": a /proc without masks and read-only paths"), m.at, "remove it", key_of(i, "type")});
        if (*m.type == MountType::sysfs)
            out.push_back({writable ? 100 : 40, cat(target, ": the host's devices and kernel, as sysfs shows them"), m.at,
                           writable ? "mode: ro" : "remove it", key_of(i, "type")});
        if (*m.type == MountType::cgroup)
            out.push_back({writable ? 80 : 20, cat(target, ": control groups", writable ? ", which can be changed" : ""), m.at,
                           writable ? "mode: ro" : "remove it", key_of(i, "type")});
    }
    if (out.empty()) return one({0, "no further /proc, /sys or control groups"});
    return out;
}

Readings read_files(const Profile& p) {
    Readings out;
    for (const File& file : p.files) {
        if (!file.source) continue;
        const Place place = place_of(**file.source);
        out.push_back({place.read, cat("has what is in ", printable(**file.source), " of the host: ", place.what), file.source->at,
                       "content: in place of source", cat("files.", printable(*file.path), ".source")});
    }
    if (out.empty()) return one({0, "no files of the host are copied"});
    return out;
}

// ---- masks, /proc

Readings read_mask(const Profile& p) {
    if (p.mask.defaults) return one({0, "the kernel's secrets are covered"});
    return one({100, "what /proc and /sys tell of the machine: memory (kcore), keys, timers, firmware", {}, "mask: default"});
}
Readings read_readonly_paths(const Profile& p) {
    if (p.readonly_paths.defaults) return one({0, "the kernel's settings are read-only"});
    return one(
        {has_own_ids(p) ? 50 : 100,
         has_own_ids(p) ? "/proc/sys can be written where the ids allow" : "/proc/sys can be written: core_pattern gives the host away",
         {},
         "readonly_paths: default"});
}
Readings read_proc(const Profile& p) {
    if (*p.proc.mode == ProcMode::inherit)
        return one({100, "the /proc of the launcher: processes outside of it", p.proc.mode.at, "proc: {mode: fresh}"});
    return one({0, *p.proc.mode == ProcMode::none ? "no /proc" : "a /proc of its own", p.proc.mode.at});
}
Readings read_hidepid(const Profile& p) {
    const bool own = *p.namespaces.pid.mode == NamespaceMode::private_ && *p.proc.mode == ProcMode::fresh;
    if (own || *p.proc.mode == ProcMode::none) return one({0, "only its own processes", p.proc.hidepid.at});
    if (*p.proc.hidepid >= 2) return one({20, "processes of other users are hidden", p.proc.hidepid.at, "namespaces: {pid: private}"});
    return one({*p.proc.hidepid == 1 ? 60 : 100, "what processes of other users are called with can be read", p.proc.hidepid.at,
                "namespaces: {pid: private}, or proc: {hidepid: 2}"});
}

// ---- devices

struct DeviceRule {
    std::string_view begin;
    int weight;
    std::string_view means;
};
// The first that fits: exact names before families.
constexpr DeviceRule device_rules[] = {
    {"/dev/mem", 10, "the machine's memory"},
    {"/dev/kmem", 10, "the kernel's memory"},
    {"/dev/port", 10, "the machine's ports"},
    {"/dev/sd", 9, "a disk, beneath its file system"},
    {"/dev/nvme", 9, "a disk, beneath its file system"},
    {"/dev/vd", 9, "a disk, beneath its file system"},
    {"/dev/xvd", 9, "a disk, beneath its file system"},
    {"/dev/mmcblk", 9, "a disk, beneath its file system"},
    {"/dev/dm-", 9, "a disk, beneath its file system"},
    {"/dev/mapper", 9, "a disk, beneath its file system"},
    {"/dev/loop", 8, "files as disks"},
    {"/dev/kmsg", 5, "the kernel's messages"},
    {"/dev/input", 6, "what is typed at the machine"},
    {"/dev/uinput", 7, "typing at the machine"},
    {"/dev/tty", 5, "a terminal of the host"},
    {"/dev/console", 5, "the host's console"},
    {"/dev/bus/usb", 6, "devices at the host's ports"},
    {"/dev/vhost", 5, "a driver inside of the kernel"},
    {"/dev/kvm", 5, "virtual machines, made by the kernel"},
    {"/dev/vfio", 7, "hardware, without the host's driver"},
    {"/dev/dri", 4, "the graphics driver"},
    {"/dev/nvidia", 4, "the graphics driver"},
    {"/dev/fuse", 3, "file systems made by programs"},
    {"/dev/net/tun", 3, "links made by programs"},
    {"/dev/snd", 3, "the microphone"},
    {"/dev/video", 4, "the camera"},
};
constexpr std::string_view harmless_devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
constexpr DeviceRule any_block{"", 9, "a disk, beneath its file system"}, any_device{"", 4, "a driver of the host"};

const DeviceRule& rule_of(const Device& device) {
    if (*device.type == DeviceType::block) return any_block;
    for (const DeviceRule& rule : device_rules)
        if (device.path->starts_with(rule.begin)) return rule;
    return any_device;
}

Readings read_devices(const Profile& p) {
    Readings out;
    for (std::size_t i = 0; i < p.devices.size(); ++i) {
        const Device& d = p.devices[i];
        const bool numbered = d.major.has_value();
        const bool harmless = !numbered && std::ranges::find(harmless_devices, *d.path) != std::end(harmless_devices);
        const DeviceRule& rule = rule_of(d);
        const int percent = harmless ? 0 : d.write ? 100 : d.read ? 70 : 10;
        out.push_back({percent, cat(printable(*d.path), ": ", harmless ? "as every sandbox has it" : rule.means), d.path.at,
                       d.write ? "access: r, or remove it" : "remove it", cat("devices[", i, "]"), rule.weight});
    }
    if (out.empty()) return one({0, "no devices of the host"});
    return out;
}

Readings read_dev(const Profile& p) {
    if (*p.dev.mode == DevMode::host) return one({100, "every device node of the host", p.dev.mode.at, "dev: {mode: minimal}"});
    return one({0, *p.dev.mode == DevMode::none ? "no /dev" : "a /dev of its own with what programs expect", p.dev.mode.at});
}

constexpr Rule rules[] = {
    {"rootfs.write", 10, "rootfs", read_root_write},
    {"rootfs.host", 4, "rootfs", read_root_tree},
    {"rootfs.propagation", 3, "rootfs.propagation", read_propagation},
    {"rootfs.idmap", 2, "rootfs.idmap", read_root_owner},
    {"mask.private", 5, "mask", read_private_places},
    {"mask.kernel", 5, "mask", read_mask},
    {"readonly_paths", 8, "readonly_paths", read_readonly_paths},
    {"mounts.bind", 10, "mounts", read_binds},
    {"mounts.overlay", 10, "mounts", read_layers},
    {"mounts.suid", 4, "mounts", read_suid},
    {"mounts.dev", 6, "mounts", read_mount_devices},
    {"mounts.exec", 2, "mounts", read_writable_programs},
    {"mounts.size", 1, "mounts", read_unbounded},
    {"mounts.kernel", 5, "mounts", read_kernel_mounts},
    {"files.source", 6, "files", read_files},
    {"proc.mode", 5, "proc.mode", read_proc},
    {"proc.hidepid", 2, "proc.hidepid", read_hidepid},
    {"dev.mode", 8, "dev.mode", read_dev},
    {"devices", 10, "devices", read_devices},
};

}  // namespace

Place place_of(std::string_view path) {
    if (path.starts_with("/var/run")) path.remove_prefix(4);
    if (is_control_socket(path)) return control_socket;
    Place out = other_place;
    std::size_t longest = 1;  // "/" itself holds everything, and says nothing of what is beneath it
    for (const NamedPlace& named : places)
        if (path == named.path || (named.path.size() > longest && beneath(path, named.path))) {
            longest = named.path.size();
            out = named.place;
        }
    if (std::ranges::any_of(programs, [path](std::string_view p) { return beneath(path, p); }) && longest < 5) out = program_place;
    if (const auto home = home_of(path)) out = *home;
    for (const NamedPlace& named : places)
        if (named.path != path && beneath(named.path, path)) take_worse(out, named.place);
    return out;
}

std::span<const Rule> files_rules() { return rules; }

}  // namespace sandbox::auditing
