// The language, one line for each key: name, member, meaning. Everything else that is said about a key comes from here.
#include "profile/language.h"

#include "profile/codec.h"
#include "profile/forms.h"

namespace sandbox {
namespace {

template <class S>
const void* defaults_of() {
    static const S object{};
    return &object;
}

template <class S, std::size_t N>
constexpr FieldTable table(const Field (&fields)[N]) {
    return {fields, defaults_of<S>};
}

struct UpperWords {
    static constexpr std::string_view words[]{"tmpfs"};
};
struct SeccompWords {
    static constexpr std::string_view words[]{"default", "none"};
};

using Argv = List<Located<AnyText>, Shape::argv>;

bool prints_bridge(const Network& network) { return *network.mode == NetworkMode::bridge; }
bool prints_interface(const Network& network) { return network.is_own() && *network.mode != NetworkMode::none; }
bool prints_dns(const Network& network) { return network.dns.at.known(); }

}  // namespace

std::string_view mode_name(NetworkMode mode) { return name_of(Words<NetworkMode>::words, static_cast<int>(mode)); }

template <>
const FieldTable& fields_of<Profile>() {
    static constexpr Field fields[]{
        required(whole<VersionForm>("version", "the version of the language: 1")),
        field<&Profile::name, ProfileName>("name", "what the sandbox is called; default: the file's name without .yaml"),
        field<&Profile::description>("description", "a sentence for people"),
        field<&Profile::labels, AnyText>("labels", "words of your own, NAME: TEXT, that tools can look for"),
        whole<ExtendsForm>("extends", "profiles that this one builds on, names or paths; later ones win, this one last"),
        field<&Profile::vars, VariableMap>("vars", "defaults of variables for ${NAME}; --set NAME=VALUE overrides"),
        whole<Group<Profile, policy_fields>>("policy", "what to do where the host falls short"),
        field<&Profile::hostname, Hostname>("hostname", "the host name inside; default: name, with - for dots where no host name has them"),
        field<&Profile::domainname, Hostname>("domainname", "the NIS domain name inside"),
        field<&Profile::rootfs>("rootfs", "the root directory: exactly one of path, host, overlay, tmpfs"),
        field<&Profile::mounts, MountForm>("mounts", "what is mounted inside, parents before children"),
        field<&Profile::files, FileMap>("files", "files made inside, PATH: {content or source}"),
        field<&Profile::dirs, DirectoryForm>("dirs", "directories made inside"),
        field<&Profile::symlinks, SymlinkMap>("symlinks", "symbolic links made inside, LINK: TARGET"),
        field<&Profile::mask, PathListForm>("mask", "paths made unreadable inside: default, none, or a list on top of the default"),
        field<&Profile::readonly_paths, PathListForm>("readonly_paths",
                                                      "paths made read-only inside: default, none, or a list on top of the default"),
        field<&Profile::proc>("proc", "/proc inside"),
        field<&Profile::dev>("dev", "/dev inside"),
        field<&Profile::namespaces>("namespaces", "what is separate from the host"),
        field<&Profile::id_map, IdMapForm>("id_map", "user and group ids: auto, caller, host, or ranges {uid: [...], gid: [...]}"),
        field<&Profile::capabilities>("capabilities", "privileges that the payload may have"),
        field<&Profile::security>("security", "system call filter and other fences"),
        field<&Profile::resources>("resources", "memory, processor, process and I/O limits of all processes together"),
        field<&Profile::cgroup>("cgroup", "where and how the control groups are made"),
        field<&Profile::ulimits, UlimitMap>("ulimits", "limits of each process, NAME: SOFT:HARD, one number for both, or infinity"),
        field<&Profile::sysctl, AnyText>("sysctl", "kernel settings of the sandbox's own namespaces"),
        field<&Profile::devices, DeviceForm>("devices", "device nodes of the host that are usable inside"),
        field<&Profile::network>("network", "the network inside"),
        field<&Profile::time>("time", "clock offsets and time zone"),
        field<&Profile::process>("process", "what runs inside, and as whom"),
        field<&Profile::lifecycle>("lifecycle", "how long it runs and how it stops"),
        field<&Profile::logging>("logging", "where the output of a detached sandbox is kept"),
        field<&Profile::matrix, MatrixForm>("matrix", "variants that sandbox matrix runs, AXIS: {VALUE: patch}; include and exclude"),
    };
    static constexpr FieldTable out = table<Profile>(fields);
    return out;
}

const FieldTable& policy_fields() {
    static constexpr Field fields[]{
        field<&Profile::warn_unsupported, UnsupportedWord>("unsupported", "a setting that this host cannot honour: error or warn"),
    };
    static constexpr FieldTable out = table<Profile>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Rootfs>() {
    static constexpr Field fields[]{
        field<&Rootfs::path, HostPath>("path", "a directory of the host that becomes the root"),
        field<&Rootfs::host>("host", "start from the host's own tree, then mask: ro or rw"),
        field<&Rootfs::overlay>("overlay", "layers laid over each other"),
        field<&Rootfs::tmpfs>("tmpfs", "an empty root in memory"),
        field<&Rootfs::readonly>("readonly", "the root cannot be written"),
        field<&Rootfs::propagation>("propagation", "whether mounts made on the host appear inside (slave) and the other way (shared)"),
        field<&Rootfs::idmap>("idmap", "how ids on disk appear inside"),
    };
    static constexpr FieldTable out = table<Rootfs>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Overlay>() {
    static constexpr Field fields[]{
        field<&Overlay::lower, HostPath>("lower", "1 to 500 directories, the first is the top layer"),
        field<&Overlay::upper, WordOrPath<UpperWords>>("upper", "where changes go: a directory, or tmpfs (thrown away)"),
        field<&Overlay::work, HostPath>("work", "the kernel's scratch directory; default: UPPER.work beside upper"),
        field<&Overlay::size, Bytes>("size", "the most that upper may hold"),
        field<&Overlay::options, AnyText>("options", "index, xino, redirect_dir, metacopy, volatile, userxattr"),
    };
    static constexpr FieldTable out = table<Overlay>(fields);
    return out;
}

template <>
const FieldTable& fields_of<RootTmpfs>() {
    static constexpr Field fields[]{
        field<&RootTmpfs::size, Bytes>("size", "the most it may hold; default: half of the memory"),
        field<&RootTmpfs::perm, Mode>("perm", "mode of the root directory; default: 0755"),
    };
    static constexpr FieldTable out = table<RootTmpfs>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Mount>() {
    static constexpr Field fields[]{
        field<&Mount::type>("type", "what is mounted"),
        field<&Mount::source, HostPath>("source", "bind: the file or directory of the host"),
        required(field<&Mount::target, InsidePath>("target", "where it appears inside")),
        field<&Mount::mode>("mode", "ro or rw; default: ro for bind, proc, sysfs and cgroup, rw for the others"),
        field<&Mount::recursive>("recursive", "bind: with the mounts below"),
        field<&Mount::exec>("exec", "programs on it may be run"),
        field<&Mount::suid>("suid", "set-user-id bits on it count"),
        field<&Mount::dev>("dev", "device nodes on it work"),
        field<&Mount::size, Bytes>("size", "tmpfs: the most it may hold"),
        field<&Mount::perm, Mode>("perm", "tmpfs: mode of its root; default: 1777"),
        field<&Mount::idmap>("idmap", "bind: how ids on disk appear inside"),
        field<&Mount::optional>("optional", "left out, and said, when it cannot be mounted"),
        field<&Mount::create>("create", "make the target when it is missing"),
        field<&Mount::overlay>("overlay", "overlay: its layers"),
    };
    static constexpr FieldTable out = table<Mount>(fields);
    return out;
}

template <>
const FieldTable& fields_of<File>() {
    static constexpr Field fields[]{
        field<&File::content>("content", "the text in the file"),
        field<&File::source, HostPath>("source", "a file of the host that is copied"),
        field<&File::perm, Mode>("perm", "mode"),
        field<&File::uid, Id>("uid", "owner, as seen inside"),
        field<&File::gid, Id>("gid", "group, as seen inside"),
    };
    static constexpr FieldTable out = table<File>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Directory>() {
    static constexpr Field fields[]{
        required(field<&Directory::path, InsidePath>("path", "the directory")),
        field<&Directory::perm, Mode>("perm", "mode"),
        field<&Directory::uid, Id>("uid", "owner, as seen inside"),
        field<&Directory::gid, Id>("gid", "group, as seen inside"),
    };
    static constexpr FieldTable out = table<Directory>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Proc>() {
    static constexpr Field fields[]{
        field<&Proc::mode>("mode", "fresh: of the sandbox's own processes; inherit: as the root has it; none: not there"),
        field<&Proc::view>("view", "host: memory and processors of the machine; limits: those of the sandbox, by lxcfs"),
        field<&Proc::hidepid, Integer<std::int64_t, 0, 4>>("hidepid", "0, 1, 2 or 4: how much of other users' processes is hidden"),
    };
    static constexpr FieldTable out = table<Proc>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Dev>() {
    static constexpr Field fields[]{
        field<&Dev::mode>("mode", "minimal: null, zero, full, random, urandom, tty, ptmx; host: the host's; none: as the root has it"),
        field<&Dev::shm_size, Bytes>("shm_size", "size of /dev/shm"),
    };
    static constexpr FieldTable out = table<Dev>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Namespace>() {
    static constexpr Field fields[]{
        later("join", "the namespace of another sandbox"),
        field<&Namespace::path, AbsoluteHostPath>("path", "a namespace file such as /proc/42/ns/ipc"),
    };
    static constexpr FieldTable out = table<Namespace>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Namespaces>() {
    static constexpr Field fields[]{
        field<&Namespaces::mount, NamespaceForm>("mount", "mounts: private, host or {path: FILE}"),
        field<&Namespaces::pid, NamespaceForm>("pid", "process ids: private, host or {path: FILE}"),
        field<&Namespaces::ipc, NamespaceForm>("ipc", "System V IPC and message queues: private, host or {path: FILE}"),
        field<&Namespaces::uts, NamespaceForm>("uts", "host and domain name: private, host or {path: FILE}"),
        field<&Namespaces::cgroup, NamespaceForm>("cgroup", "the view of control groups: private, host or {path: FILE}"),
        field<&Namespaces::user, NamespaceForm>("user", "user and group ids: private, host or {path: FILE}"),
        field<&Namespaces::time, NamespaceForm>("time", "clock offsets: private, host or {path: FILE}"),
    };
    static constexpr FieldTable out = table<Namespaces>(fields);
    return out;
}

template <>
const FieldTable& fields_of<IdMap>() {
    static constexpr Field fields[]{
        field<&IdMap::uid, IdRangeForm>("uid", "ranges of user ids, inside:outside:count"),
        field<&IdMap::gid, IdRangeForm>("gid", "ranges of group ids, inside:outside:count"),
    };
    static constexpr FieldTable out = table<IdMap>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Capabilities>() {
    static constexpr Field fields[]{
        field<&Capabilities::base>("base", "what to start from: the 15 of the default, none, or all"),
        field<&Capabilities::add, CapabilityNumber>("add", "names, with or without CAP_"),
        whole<CapabilityDrop>("drop", "names, with or without CAP_, or [all]"),
        whole<CapabilityAmbient>("ambient", "names that survive execve; auto: all of them when process.user is not root"),
    };
    static constexpr FieldTable out = table<Capabilities>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Seccomp>() {
    static constexpr Field fields[]{
        field<&Seccomp::profile, WordOrPath<SeccompWords>>("profile",
                                                           "the filter: default, none, or a JSON file as the OCI and moby have it"),
        field<&Seccomp::allow>("allow", "system calls and @groups to allow on top"),
        field<&Seccomp::deny>("deny", "system calls and @groups to deny on top"),
        field<&Seccomp::action>("action", "what a denied call does"),
        field<&Seccomp::log>("log", "denied calls are logged by the kernel"),
    };
    static constexpr FieldTable out = table<Seccomp>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Security>() {
    static constexpr Field fields[]{
        field<&Security::no_new_privileges>("no_new_privileges", "nothing that is run can gain privileges"),
        field<&Security::seccomp>("seccomp", "the system call filter"),
        later("files", "Landlock rules on top of everything else"),
        later("restrict_namespaces", "namespace types that the payload may not create"),
        later("apparmor", "AppArmor profile"),
        later("selinux", "SELinux label"),
        field<&Security::new_keyring, KeyringWord>("keyring", "new: an empty session keyring; inherit: the caller's"),
    };
    static constexpr FieldTable out = table<Security>(fields);
    return out;
}

template <>
const FieldTable& fields_of<MemoryLimits>() {
    static constexpr Field fields[]{
        field<&MemoryLimits::max, BytesOrInfinity>("max", "the most memory; beyond it the out-of-memory killer comes"),
        field<&MemoryLimits::high, BytesOrInfinity>("high", "above it processes are slowed and memory is reclaimed (cgroup v2)"),
        field<&MemoryLimits::low, BytesOrInfinity>("low", "memory that is reclaimed last (v1: the soft limit)"),
        field<&MemoryLimits::swap, UnlessDefault<BytesOrInfinity>>("swap", "the most swap, beside memory; default: none"),
        field<&MemoryLimits::swappiness, Integer<std::int64_t, 0, 200>>("swappiness",
                                                                        "0 to 200, how willingly memory is swapped (cgroup v1)"),
        field<&MemoryLimits::oom>("oom", "at the limit: kill one process, kill the group, or pause until there is memory (v1)"),
    };
    static constexpr FieldTable out = table<MemoryLimits>(fields);
    return out;
}

template <>
const FieldTable& fields_of<CpuLimits>() {
    static constexpr Field fields[]{
        field<&CpuLimits::limit, Cores>("limit", "processors' worth of time: 0.2, 1.5, 500m, infinity"),
        field<&CpuLimits::quota, Duration>("quota", "time in each period, in place of limit"),
        field<&CpuLimits::period, Duration>("period", "1ms to 1s"),
        field<&CpuLimits::weight, Integer<std::int64_t, 1, 10000>>("weight",
                                                                   "1 to 10000, the share when processors are short; 100 is ordinary"),
        field<&CpuLimits::shares, Integer<std::int64_t, 2, 262144>>("shares", "2 to 262144, the older form of weight; 1024 is ordinary"),
        field<&CpuLimits::burst, Duration>("burst", "unused time that may be saved up for a burst"),
        field<&CpuLimits::idle>("idle", "only when nobody else wants the processors"),
        field<&CpuLimits::set, CpuSetText>("set", "the processors it may use: 0-3,5"),
        field<&CpuLimits::mems, CpuSetText>("mems", "the memory nodes it may use: 0-1"),
    };
    static constexpr FieldTable out = table<CpuLimits>(fields);
    return out;
}

template <>
const FieldTable& fields_of<IoDevice>() {
    static constexpr Field fields[]{
        required(field<&IoDevice::path, HostPath>("path", "a block device, or a path on the file system that is meant")),
        field<&IoDevice::read_bps, RateForm>("read_bps", "bytes read in a second"),
        field<&IoDevice::write_bps, RateForm>("write_bps", "bytes written in a second"),
        field<&IoDevice::read_iops, RateForm>("read_iops", "read operations in a second"),
        field<&IoDevice::write_iops, RateForm>("write_iops", "write operations in a second"),
        field<&IoDevice::weight, Integer<std::int64_t, 1, 10000>>("weight", "1 to 10000, the share of this device"),
    };
    static constexpr FieldTable out = table<IoDevice>(fields);
    return out;
}

template <>
const FieldTable& fields_of<IoLimits>() {
    static constexpr Field fields[]{
        field<&IoLimits::weight, Integer<std::int64_t, 1, 10000>>("weight", "1 to 10000, the share of every device; 100 is ordinary"),
        field<&IoLimits::devices, IoDeviceForm>("devices", "limits for single devices"),
    };
    static constexpr FieldTable out = table<IoLimits>(fields);
    return out;
}

template <>
const FieldTable& fields_of<RdmaLimits>() {
    static constexpr Field fields[]{
        field<&RdmaLimits::hca_handle, CountOrInfinity>("hca_handle", "handles of the adapter"),
        field<&RdmaLimits::hca_object, CountOrInfinity>("hca_object", "objects of the adapter"),
    };
    static constexpr FieldTable out = table<RdmaLimits>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Resources>() {
    static constexpr Field fields[]{
        field<&Resources::memory>("memory", "memory and swap"),
        field<&Resources::cpu>("cpu", "processors"),
        field<&Resources::pids, UnlessDefault<CountOrInfinity>>("pids", "the most processes and threads, or infinity; default: 512"),
        field<&Resources::io>("io", "block devices"),
        field<&Resources::hugetlb, PageLimits>("hugetlb", "huge pages, PAGE SIZE: BYTES, such as 2MB: 64Mi"),
        field<&Resources::rdma>("rdma", "RDMA adapters, DEVICE: {hca_handle, hca_object}"),
        whole<Group<Resources, net_cls_fields>>("net_cls", "the mark of its network packets (cgroup v1)"),
        field<&Resources::net_prio, Integer<std::uint32_t, 0, 4294967295>>("net_prio", "priorities of its packets, INTERFACE: NUMBER (v1)"),
    };
    static constexpr FieldTable out = table<Resources>(fields);
    return out;
}

const FieldTable& net_cls_fields() {
    static constexpr Field fields[]{
        field<&Resources::classid, ClassId>("classid", "a number such as 0x100001, or MAJOR:MINOR in hexadecimal as tc(8) has them"),
    };
    static constexpr FieldTable out = table<Resources>(fields);
    return out;
}

template <>
const FieldTable& fields_of<CgroupParent>() {
    static constexpr Field fields[]{
        required(field<&CgroupParent::name, GroupName>("name", "names joined by slashes, such as tier/web")),
        field<&CgroupParent::memory>("memory", "of all its sandboxes together"),
        field<&CgroupParent::cpu>("cpu", "of all its sandboxes together"),
        field<&CgroupParent::pids, CountOrInfinity>("pids", "of all its sandboxes together"),
    };
    static constexpr FieldTable out = table<CgroupParent>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Cgroup>() {
    static constexpr Field fields[]{
        field<&Cgroup::manager>("manager", "auto: systemd where the tree is its own, fs: by ourselves, none: no groups at all"),
        field<&Cgroup::parent, CgroupParentForm>("parent", "a group above, shared by all that name it: NAME, or {name, memory, cpu, pids}"),
        field<&Cgroup::delegate>("delegate", "the sandbox's root may divide its group further"),
        whole<Group<Cgroup, cgroup_raw_fields>>("raw", "files of the kernel that have no key here: {v1: {FILE: VALUE}, v2: {FILE: VALUE}}"),
    };
    static constexpr FieldTable out = table<Cgroup>(fields);
    return out;
}

const FieldTable& cgroup_raw_fields() {
    static constexpr Field fields[]{
        field<&Cgroup::raw_v1, RawFiles>("v1", "written where the controller is in cgroup v1"),
        field<&Cgroup::raw_v2, RawFiles>("v2", "written where the controller is in cgroup v2"),
    };
    static constexpr FieldTable out = table<Cgroup>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Device>() {
    static constexpr Field fields[]{
        required(field<&Device::path, AbsoluteHostPath>("path", "the device on the host; with major and minor only a name")),
        field<&Device::target, InsidePath>("target", "where it appears inside; default: path"),
        whole<DeviceAccess>("access", "letters of: r read, w write, m mknod"),
        field<&Device::type>("type", "char or block, with major and minor"),
        field<&Device::major, Integer<std::uint32_t, 0, 4095>>("major", "major number, for a device that the host has no node of"),
        field<&Device::minor, Integer<std::uint32_t, 0, 1048575>>("minor", "minor number"),
        field<&Device::perm, Mode>("perm", "mode of the node inside; default: the host's"),
        field<&Device::uid, Id>("uid", "owner, as seen inside"),
        field<&Device::gid, Id>("gid", "group, as seen inside"),
        field<&Device::optional>("optional", "left out, and said, when the host does not have it"),
    };
    static constexpr FieldTable out = table<Device>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Bridge>() {
    static constexpr Field fields[]{
        field<&Bridge::name, LinkName>("name", "its name on the host; sandboxes that name the same one reach each other"),
        field<&Bridge::subnet, Subnet4>("subnet", "IPv4 network on it; the first address is the bridge's own"),
        field<&Bridge::subnet6, Subnet6>("subnet6", "IPv6 network on it; the first address is the bridge's own"),
        field<&Bridge::nat>("nat", "what leaves for other networks has the host's address"),
        field<&Bridge::create>("create", "made for the first sandbox on it and removed with the last; false: it has to be there"),
    };
    static constexpr FieldTable out = table<Bridge>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Interface>() {
    static constexpr Field fields[]{
        field<&Interface::name, LinkName>("name", "its name inside"),
        field<&Interface::ip, InterfaceIp>("ip", "IPv4 address; auto: a free one of the bridge's subnet, null: none"),
        whole<InterfaceIp6>("ip6", "IPv6 address; default: auto where the bridge has a subnet6"),
        field<&Interface::mac, MacForm>("mac", "link-layer address; default: one that follows from the address"),
        field<&Interface::mtu, Integer<std::int64_t, 68, 65535>>("mtu", "largest packet; default: that of the bridge or of the parent"),
        whole<GatewayForm>("gateway", "where the default route leads; auto: to the bridge (macvlan, ipvlan: nowhere), null: nowhere"),
        field<&Interface::routes, RouteForm>("routes", "further routes"),
    };
    static constexpr FieldTable out = table<Interface>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Route>() {
    static constexpr Field fields[]{
        required(whole<RouteTo>("to", "the network that it leads to, or default")),
        field<&Route::via, AddressForm>("via", "the router; without one the network is on the link"),
        field<&Route::metric, Integer<std::int64_t, 0, 4294967295>>("metric", "of two routes to the same network the lower one is taken"),
    };
    static constexpr FieldTable out = table<Route>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Port>() {
    static constexpr Field fields[]{
        field<&Port::host_ip, AddressForm>("host_ip", "address of the host; default: 127.0.0.1 and ::1"),
        whole<HostPorts>("host_port", "port of the host, or a range; default: port"),
        required(whole<InsidePorts>("port", "port inside, or a range of the same length")),
        field<&Port::protocol>("protocol", "tcp or udp"),
    };
    static constexpr FieldTable out = table<Port>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Dns>() {
    static constexpr Field fields[]{
        whole<DnsServers>("servers", "auto: those of the host, or at most 3 addresses"),
        whole<DnsSearch>("search", "at most 6 domains that short names are looked up in; default: the host's with its servers, else none"),
        whole<DnsOptions>("options", "options of resolv.conf(5), such as ndots:2; default: the host's with its servers, else none"),
    };
    static constexpr FieldTable out = table<Dns>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Egress>() {
    static constexpr Field fields[]{
        required(field<&Egress::mode>("default", "what happens to all that is not in the list")),
        field<&Egress::allow, EgressRuleForm>("allow", "with deny: what may be reached, NETWORK[:PORTS[/PROTOCOL]]"),
    };
    static constexpr FieldTable out = table<Egress>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Network>() {
    static constexpr Field fields[]{
        field<&Network::mode>("mode",
                              "none: only a loopback of its own; host: the host's; bridge, macvlan, ipvlan: an interface of its own; "
                              "container: another sandbox's; path: a namespace file"),
        whole<PartOfNetwork<&Network::bridge, prints_bridge>>("bridge", "bridge mode: the bridge of the host that the interface is on"),
        field<&Network::of, ProfileName>("of", "container mode: the sandbox whose network is shared"),
        field<&Network::path, AbsoluteHostPath>("path", "path mode: a network namespace file such as /run/netns/lab"),
        field<&Network::parent, LinkName>("parent", "macvlan, ipvlan: the host's interface that carries it"),
        field<&Network::submode>("submode",
                                 "macvlan: bridge (the default), private, vepa or passthru; ipvlan: l2 (the default), l3 or l3s"),
        whole<PartOfNetwork<&Network::interface, prints_interface>>("interface", "bridge, macvlan, ipvlan: the interface inside"),
        field<&Network::ports, PortForm>("ports", "bridge mode: ports of the host that lead inside"),
        whole<PartOfNetwork<&Network::dns, prints_dns>>("dns", "name servers, for /etc/resolv.conf inside"),
        field<&Network::hosts, HostMap>("hosts", "names for /etc/hosts inside, NAME: ADDRESS"),
        field<&Network::egress, EgressForm>("egress", "what may be reached from inside; a list of it in bridge mode only"),
    };
    static constexpr FieldTable out = table<Network>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Time>() {
    static constexpr Field fields[]{
        field<&Time::boottime, Offset>("boottime", "added to CLOCK_BOOTTIME; implies namespaces.time: private"),
        field<&Time::monotonic, Offset>("monotonic", "added to CLOCK_MONOTONIC; implies namespaces.time: private"),
        field<&Time::timezone, Timezone>("timezone", "host, or a zone name such as Europe/Berlin"),
    };
    static constexpr FieldTable out = table<Time>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Process>() {
    static constexpr Field fields[]{
        field<&Process::command, Argv>("command", "the program and its arguments; -- ARGV on the command line replaces it"),
        field<&Process::user, UserForm>("user", "name or id [:group], looked up inside"),
        field<&Process::groups, GroupForm>("groups", "further groups, names or ids"),
        field<&Process::umask, Umask>("umask", "the file mode creation mask"),
        field<&Process::working_dir, InsidePath>("working_dir", "the directory it starts in"),
        field<&Process::environment, EnvironmentForm>("environment",
                                                      "NAME: VALUE, or a list of NAME=VALUE; NAME alone passes the caller's value"),
        field<&Process::environment, InheritGlobs>("inherit", "patterns of the caller's variables that are passed on"),
        whole<StdinForm>("stdin", "auto, null (/dev/null), pipe, or a file of the host"),
        field<&Process::tty, TtyForm>("tty", "whether it gets a terminal: auto, true or false"),
        field<&Process::init>("init", "a process 1 that reaps and forwards signals; false: the command itself is process 1"),
        field<&Process::oom_score_adj, Integer<std::int64_t, -1000, 1000>>("oom_score_adj", "-1000 to 1000: higher is killed sooner"),
        field<&Process::nice, Integer<std::int64_t, -20, 19>>("nice", "-20 to 19: higher yields more"),
        whole<SchedulerForm>("scheduler", "other, batch, idle, or {policy: fifo or rr, priority: 1 to 99}"),
        whole<IoPriorityForm>("io_priority", "CLASS:LEVEL such as best-effort:4, idle, or {class, level}"),
        whole<CpuList>("cpu_affinity", "processors it may run on: a list, or text such as 0-3,5"),
        field<&Process::personality, PersonalityName>("personality", "linux, or linux32: uname says a 32-bit machine"),
        field<&Process::pass_fds, Integer<std::int64_t, 3, 1048575>>("pass_fds", "descriptors of the caller that stay open"),
    };
    static constexpr FieldTable out = table<Process>(fields);
    return out;
}

const FieldTable& scheduler_fields() {
    static constexpr Field fields[]{
        required(field<&Process::scheduler>("policy", "other, batch, idle, fifo or rr")),
        field<&Process::scheduler_priority, Integer<std::int64_t, 0, 99>>("priority", "1 to 99, for fifo and rr"),
    };
    static constexpr FieldTable out = table<Process>(fields);
    return out;
}

const FieldTable& io_priority_fields() {
    static constexpr Field fields[]{
        required(field<&Process::io_class>("class", "none, realtime, best-effort or idle")),
        field<&Process::io_level, Integer<std::int64_t, 0, 7>>("level", "0 (first) to 7"),
    };
    static constexpr FieldTable out = table<Process>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Lifecycle>() {
    static constexpr Field fields[]{
        whole<Group<Lifecycle, stop_fields>>("stop", "how it is stopped"),
        field<&Lifecycle::timeout, Duration>("timeout", "the most wall-clock time it gets"),
        field<&Lifecycle::cpu_time, Duration>("cpu_time", "the most processor time it gets, all processes together"),
        field<&Lifecycle::restart>("restart", "whether a detached sandbox is started again when its command has ended"),
        field<&Lifecycle::healthcheck>("healthcheck", "how to see that a detached sandbox is well"),
        field<&Lifecycle::hooks>("hooks", "commands at certain moments"),
    };
    static constexpr FieldTable out = table<Lifecycle>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Restart>() {
    static constexpr Field fields[]{
        field<&Restart::policy>("policy", "no, on-failure (exit code other than 0, a signal, out of memory), or always"),
        field<&Restart::max, Integer<std::int64_t, 0, 1000000>>("max", "how often at most; 0: no end"),
        field<&Restart::backoff, Duration>("backoff", "the pause before the first restart, doubled for each that follows, 2min at most"),
    };
    static constexpr FieldTable out = table<Restart>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Healthcheck>() {
    static constexpr Field fields[]{
        required(field<&Healthcheck::command, Argv>("command", "run inside; exit code 0 means healthy")),
        field<&Healthcheck::interval, Duration>("interval", "from the end of one run to the next"),
        field<&Healthcheck::timeout, Duration>("timeout", "a run that takes longer has failed"),
        field<&Healthcheck::retries, Integer<std::int64_t, 1, 1000>>("retries", "so many failures in a row mean unhealthy"),
        field<&Healthcheck::start_period, Duration>("start_period", "failures in this time after the start do not count"),
    };
    static constexpr FieldTable out = table<Healthcheck>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Hook>() {
    static constexpr Field fields[]{
        required(field<&Hook::command, Argv>("command", "the program and its arguments")),
        field<&Hook::timeout, Duration>("timeout", "it is killed after this time, and has failed"),
        field<&Hook::where>("where", "host, as the caller; or sandbox, as exec would run it"),
    };
    static constexpr FieldTable out = table<Hook>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Hooks>() {
    static constexpr Field fields[]{
        field<&Hooks::prepare>("prepare", "before the sandbox is made; a failure stops the launch"),
        field<&Hooks::started>("started", "when the command runs; a failure ends the sandbox"),
        field<&Hooks::stopped>("stopped", "when everything of the sandbox is gone, also after a crash; a failure is reported"),
    };
    static constexpr FieldTable out = table<Hooks>(fields);
    return out;
}

template <>
const FieldTable& fields_of<Logging>() {
    static constexpr Field fields[]{
        field<&Logging::driver>("driver", "file, journald, or none"),
        field<&Logging::max_size, Bytes>("max_size", "file: a new file begins when one has this size"),
        field<&Logging::max_files, Integer<std::int64_t, 1, 1000>>("max_files", "file: older ones than so many are removed"),
    };
    static constexpr FieldTable out = table<Logging>(fields);
    return out;
}

const FieldTable& stop_fields() {
    static constexpr Field fields[]{
        field<&Lifecycle::stop_signal, SignalForm>("signal", "the signal that asks it to stop"),
        field<&Lifecycle::grace, Duration>("grace", "how long it has before it is killed"),
        field<&Lifecycle::target>("target", "who gets the signal: the main process or all"),
    };
    static constexpr FieldTable out = table<Lifecycle>(fields);
    return out;
}

}  // namespace sandbox
