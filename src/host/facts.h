// What this kernel and machine can do, and what is at the paths a profile names: a plain struct. `probe` fills it by
// trying; a JSON fixture can stand in for it, so planning is tested without a machine.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"

namespace sandbox {

// A run of ids: inside a user namespace `inside`.. is outside `outside`.. (for /etc/subuid: outside and count only).
struct FactRange {
    std::uint32_t inside = 0, outside = 0, count = 0;
    friend bool operator==(const FactRange&, const FactRange&) = default;
};

enum class PathKind { absent, file, directory, symlink, character, block, fifo, socket };

// What is at a path of the host, links followed.
struct PathFact {
    PathKind kind = PathKind::absent;
    int error = 0;                                 // errno of looking; ENOENT for absent
    std::string resolved;                          // without links; absent: the folder above that is there, without links, and the rest
    std::uint64_t device = 0, inode = 0;           // st_dev, st_ino
    std::uint32_t rdev_major = 0, rdev_minor = 0;  // device nodes
    std::uint32_t uid = 0, gid = 0, mode = 0;
    std::string filesystem;   // "ext4", "overlay", "tmpfs", ... or the magic as 0x...
    bool idmappable = false;  // mount_setattr(MOUNT_ATTR_IDMAP) is accepted there
    bool empty = true;        // directories
    std::uint64_t mount = 0;  // the mount's number; this and `device` of what is absent: of the folder above that is there
    // Of an upper layer: a running sandbox has locked it; other users can reach what is in it and run set-uid programs there.
    bool locked = false, exposed = false;
};

struct MountFact {
    std::string target;      // "/boot"
    std::string filesystem;  // "ext4"
    bool idmappable = false;
};

// A network interface of the host.
struct InterfaceFact {
    std::string name;  // "eth0"
    std::string kind;  // "veth", "bridge", ...; empty for hardware and the loopback device
    bool up = false;   // switched on
    int index = 0;
    std::string alias;                 // what `ip link set alias` gave it; ours begins with "sandbox "
    std::vector<IpNetwork> addresses;  // with the prefix of each; empty: not looked at
};

// A unicast route of the host's main table, for networks that overlap: the default one too, with a prefix of 0, but not those to
// link-local networks.
struct RouteFact {
    IpNetwork to;
    std::string interface;
};

// A port of the host that is asked for and cannot be had.
struct BusyPort {
    IpAddress address;
    std::uint16_t port = 0;
    bool udp = false;
    int error = 0;       // EADDRINUSE, EADDRNOTAVAIL, EACCES, ...
    std::string holder;  // who has it, where that can be seen: "nginx (process 4711)"
};
struct WantedPort {
    IpAddress address;
    std::uint16_t port = 0;
    bool udp = false;
    friend bool operator==(const WantedPort&, const WantedPort&) = default;
};

// The servers that the host itself asks (resolv.conf(5)).
struct ResolverFact {
    std::vector<IpAddress> servers;  // that a sandbox can reach: no loopback
    std::vector<std::string> search, options;
    std::string stub;    // the loopback server that /etc/resolv.conf names, and that only the host can reach; empty: none
    std::string source;  // the file that the servers are from
};

// Another sandbox that lives, as far as a network needs it.
struct SandboxFact {
    std::string name, network;  // mode
    bool running = false;
    std::int32_t init = 0;  // on the host
    std::uint64_t init_start = 0;
    std::string bridge;
    std::vector<IpAddress> addresses;
    std::vector<WantedPort> ports;
};

enum class CgroupVersion { absent, v1, v2 };

// One tree of control groups that the caller sees (cgroups(7)): a v1 hierarchy, or the unified one.
struct CgroupFact {
    CgroupVersion version = CgroupVersion::absent;
    std::string mount;                     // "/sys/fs/cgroup/memory"
    std::vector<std::string> controllers;  // v1: those of the hierarchy, "io" for blkio; v2: those that it offers
    std::vector<std::string> enabled;      // v2: what its subtree_control has already
    bool writable = false;                 // the caller may make groups in it
    bool crowded = false;                  // v2: it is not the true root and has processes, so it can hand out no controller
    std::vector<std::string> files;        // what a group in it has; empty: not looked at, or nobody knows
    std::string processors, nodes;         // cpuset: what may be given out, "0-3"
    std::string own;  // v2: the group that a unit of systemd has given to the caller alone (Delegate=); then the controllers are its
};

// The whole disk that a path is on or names.
struct DiskFact {
    std::uint32_t major = 0, minor = 0;
    std::string problem;  // why there is none: "is on tmpfs, which has no disk"
};

struct HostFacts {
    // kernel
    std::string release;  // "6.1.0-28-amd64"
    int major = 0, minor = 0;
    std::string machine;  // "x86_64"
    int last_capability = 40;

    // the caller
    std::uint32_t uid = 0, gid = 0;
    std::string user, home;          // from the environment or passwd; may be empty
    std::uint64_t capabilities = 0;  // effective, one bit each
    std::uint64_t bounding = 0;
    bool initial_user_namespace = true;         // the whole 32-bit range is mapped onto itself
    bool setgroups = true;                      // setgroups(2) is not denied in the caller's user namespace
    std::vector<FactRange> uid_map, gid_map;    // of the caller's own user namespace
    std::vector<FactRange> subuid, subgid;      // the caller's lines of /etc/subuid, /etc/subgid
    bool newuidmap = false, newgidmap = false;  // helpers installed
    std::uint64_t nofile_soft = 0, nofile_hard = 0;

    // namespaces
    std::map<std::string, bool> namespaces;  // "mount" "pid" "ipc" "uts" "cgroup" "user" "time" "net": the kernel has it
    std::int64_t max_user_namespaces = 0;
    bool userns_restricted = false;  // kernel.unprivileged_userns_clone=0, or AppArmor's switch, for this caller
    std::string userns_restriction;  // the sysctl that says so: "kernel.unprivileged_userns_clone"

    // mount features
    bool new_mount_api = true;  // fsopen, open_tree, move_mount, mount_setattr, openat2
    bool overlay = false;
    bool overlay_layer_strings = false;  // fsconfig "lowerdir+" with a path (Linux 6.7)
    bool overlay_layer_fds = false;      // the same with an O_PATH descriptor, also of a detached mount (Linux 6.15)
    bool tmpfs_idmap = false;
    bool overlay_userns = false;  // overlay can be mounted in a user namespace (Linux 5.11)
    bool proc_mountable = true;   // no mounts hide parts of /proc of this mount namespace (else EPERM in a userns)
    bool sysfs_mountable = true;
    std::vector<MountFact> mounts;          // of the host's tree, for rootfs.host
    std::vector<std::string> root_entries;  // names in "/", for rootfs.host

    // the rest, for doctor and for messages
    bool seccomp = true;
    int landlock_abi = 0;
    std::vector<std::string> lsm;
    bool keyring = true;
    std::map<std::string, CgroupVersion> controllers;  // "memory": v1 ...; "io" also stands for v1's blkio
    std::string cgroup_layout;                         // "v1", "v2", "hybrid", "none"
    std::vector<CgroupFact> cgroups;
    bool systemd = false;                   // process 1 is systemd
    bool systemd_delegates = false;         // it takes the caller's wishes for groups: its bus is there
    std::uint32_t processors = 0;           // online; 0: not looked at
    std::string lxcfs;                      // where lxcfs shows its files; empty: it does not run
    std::vector<std::string> lxcfs_files;   // those of them that stand for files of the kernel: "proc/meminfo"
    std::map<std::string, DiskFact> disks;  // keyed by the path as the profile has it
    bool legacy_tiocsti = false;
    std::map<std::string, bool> link_kinds;  // "dummy" "veth" "bridge" "macvlan" "ipvlan": one could be made; not there: not tried
    std::vector<InterfaceFact> interfaces;   // of the caller's network namespace
    bool network_known = false;              // the following were looked at
    std::vector<RouteFact> routes;
    bool nftables = false;             // a table of the inet family can be made
    int nftables_error = 0;            // errno of the trial
    bool ipv6 = false;                 // the kernel has it, and it is not switched off
    bool net_admin = false;            // the caller may make links in its network namespace
    std::vector<BusyPort> busy_ports;  // of those that the profile publishes
    ResolverFact resolver;
    std::vector<SandboxFact> sandboxes;  // of the caller's own; filled by whoever knows the state folder

    // what is at the paths the profile names
    std::map<std::string, PathFact> paths;  // keyed by the path as the profile has it
    // The same beneath the root directory of the sandbox, links followed inside it (rootfs.path and rootfs.host);
    // `resolved` is the path inside.
    std::map<std::string, PathFact> root_paths;
    std::string passwd, group;  // text of the sandbox's /etc/passwd and /etc/group, at most 1 MiB each
};

}  // namespace sandbox
