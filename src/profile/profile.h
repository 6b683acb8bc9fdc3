// A profile as plain data: complete after parsing, every default applied. The language is sandbox-profile(5).
//
// Only what is written down by a user keeps its position (At<>): a check or a failing step points there. Paths on the
// host are absolute when the profile leaves the parser (relative ones are taken from the profile's folder); paths
// inside are normal absolute paths.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/source.h"
#include "profile/node.h"

namespace sandbox {

using Text = At<std::string>;
using TextMap = std::map<std::string, Text>;

// ---- rootfs and mounts

enum class AccessMode { ro, rw };
enum class Propagation { private_, slave, shared };
// How ids on disk appear inside. container: id 0 on disk is the sandbox's 0; caller: the caller's id keeps its number;
// automatic: container where the launcher may and the sandbox has a user namespace, none elsewhere.
enum class IdmapMode { automatic, none, container, caller, chown };

struct Overlay {
    std::vector<Text> lower;                // first is the top layer
    Text upper{"tmpfs"};                    // "tmpfs" or a directory
    std::optional<Text> work;               // none: "<upper>.work"
    std::optional<At<std::uint64_t>> size;  // bytes, for upper: tmpfs
    TextMap options;                        // index, xino, redirect_dir, metacopy, volatile, userxattr

    [[nodiscard]] bool upper_is_tmpfs() const { return *upper == "tmpfs"; }
};

struct RootTmpfs {
    std::optional<At<std::uint64_t>> size;
    std::optional<At<std::uint32_t>> perm;  // default 0755
};

struct Rootfs {
    Position at;
    // Exactly one of the four is set after the checks.
    std::optional<Text> path;
    std::optional<At<AccessMode>> host;
    std::optional<Overlay> overlay;
    std::optional<RootTmpfs> tmpfs;
    bool readonly = false;
    At<Propagation> propagation{Propagation::private_};
    At<IdmapMode> idmap{IdmapMode::automatic};
};

enum class MountType { bind, tmpfs, overlay, proc, sysfs, mqueue, devpts, cgroup };

struct Mount {
    Position at;
    At<MountType> type{MountType::bind};
    Text source;  // bind only
    Text target;
    At<AccessMode> mode{AccessMode::ro};  // default ro; rw for tmpfs, mqueue, devpts and overlay
    bool recursive = true;                // bind: with the mounts below
    bool exec = false, suid = false, dev = false;
    std::optional<At<std::uint64_t>> size;  // tmpfs, overlay with upper: tmpfs
    std::optional<At<std::uint32_t>> perm;  // tmpfs
    At<IdmapMode> idmap{IdmapMode::automatic};
    bool optional = false;           // a missing source or failing mount is left out, and said
    bool create = true;              // the target is made when it is missing
    std::optional<Overlay> overlay;  // for type overlay
};

struct File {
    Text path;
    std::optional<Text> content;  // exactly one of content and source
    std::optional<Text> source;
    std::uint32_t perm = 0644;
    std::uint32_t uid = 0, gid = 0;
};
struct Directory {
    Text path;
    std::uint32_t perm = 0755;
    std::uint32_t uid = 0, gid = 0;
};
struct Symlink {
    Text path;
    Text target;
};

// mask and readonly_paths: the built-in list or nothing, and paths of the user's on top.
struct PathList {
    bool defaults = true;
    std::vector<Text> paths;
};

enum class ProcMode { fresh, inherit, none };
enum class ProcView { host, limits };
struct Proc {
    At<ProcMode> mode{ProcMode::fresh};
    At<ProcView> view{ProcView::host};
    At<std::int64_t> hidepid{0};  // 0, 1, 2 or 4
};

enum class DevMode { minimal, host, none };
struct Dev {
    At<DevMode> mode{DevMode::minimal};
    At<std::uint64_t> shm_size{64ULL << 20};
};

// ---- namespaces and ids

enum class NamespaceType { mount, pid, ipc, uts, cgroup, user, time, net };
enum class NamespaceMode { private_, host, path };
struct Namespace {
    At<NamespaceMode> mode{NamespaceMode::private_};
    Text path;  // for mode path: a file such as /proc/42/ns/ipc
};
struct Namespaces {
    Namespace mount, pid, ipc, uts, cgroup, user;
    Namespace time{At<NamespaceMode>{NamespaceMode::host}, {}};
};

// "inside:outside:count"
struct IdRange {
    std::uint32_t inside = 0, outside = 0, count = 0;
    friend bool operator==(const IdRange&, const IdRange&) = default;
};
enum class IdMapMode { automatic, caller, host, ranges };
struct IdMap {
    At<IdMapMode> mode{IdMapMode::automatic};
    std::vector<At<IdRange>> uid, gid;  // for mode ranges
};

// ---- capabilities and security

enum class CapabilityBase { default_, none, all };
struct Capabilities {
    At<CapabilityBase> base{CapabilityBase::default_};
    std::vector<At<int>> add, drop;  // capability numbers
    bool drop_all = false;
    bool ambient_auto = true;
    std::vector<At<int>> ambient;  // when not auto
};

enum class SeccompAction { errno_, kill, log, trap };
struct Seccomp {
    Text profile{"default"};        // default | none | a file, absolute
    std::vector<Text> allow, deny;  // system call names and @groups
    At<SeccompAction> action{SeccompAction::errno_};
    bool log = false;
};
struct Security {
    bool no_new_privileges = true;
    Seccomp seccomp;
    bool new_keyring = true;
};

// ---- limits of the process, sysctl, devices

constexpr std::uint64_t rlimit_infinity = ~0ULL;  // RLIM64_INFINITY
struct Ulimit {
    int resource = 0;  // RLIMIT_*
    std::string name;  // "nofile"
    std::uint64_t soft = 0, hard = 0;
    Position at;
};

enum class DeviceType { automatic, character, block };
struct Device {
    Text path;    // on the host; with major and minor: only a name
    Text target;  // default: path
    bool read = true, write = true, mknod = true;
    At<DeviceType> type{DeviceType::automatic};
    std::optional<std::uint32_t> major, minor;
    std::optional<std::uint32_t> perm;
    std::uint32_t uid = 0, gid = 0;
    bool optional = false;
};

// ---- resources and control groups

constexpr std::uint64_t no_limit = ~0ULL;  // "infinity"

enum class OomPolicy { kill, group, pause };
struct MemoryLimits {
    std::optional<At<std::uint64_t>> max, high, low;  // bytes or no_limit
    At<std::uint64_t> swap{0};                        // bytes or no_limit, beside memory (not the sum)
    std::optional<At<std::int64_t>> swappiness;       // 0..100, v1
    At<OomPolicy> oom{OomPolicy::kill};
};

constexpr std::uint64_t one_core = 1'000'000;  // CpuLimits::limit counts millionths
struct CpuLimits {
    std::optional<At<std::uint64_t>> limit;  // millionths of a core, or no_limit
    std::optional<At<std::int64_t>> quota;   // nanoseconds of each period, instead of limit
    At<std::int64_t> period{100'000'000};    // nanoseconds
    std::optional<At<std::int64_t>> weight;  // 1..10000, 100 is ordinary
    std::optional<At<std::int64_t>> shares;  // 2..262144, 1024 is ordinary: the older word for weight
    std::optional<At<std::int64_t>> burst;   // nanoseconds
    At<bool> idle{false};
    std::optional<Text> set, mems;  // "0-3,5"
};

struct IoDevice {
    Position at;
    Text path;  // a block device, or any path on the disk that is meant
    std::optional<At<std::uint64_t>> read_bps, write_bps, read_iops, write_iops;
    std::optional<At<std::int64_t>> weight;  // 1..10000
};
struct IoLimits {
    std::optional<At<std::int64_t>> weight;  // 1..10000, 100 is ordinary
    std::vector<IoDevice> devices;
};

struct RdmaLimits {
    std::optional<At<std::uint64_t>> hca_handle, hca_object;  // or no_limit
};

struct Resources {
    MemoryLimits memory;
    CpuLimits cpu;
    At<std::uint64_t> pids{512};  // or no_limit
    IoLimits io;
    std::map<std::string, At<std::uint64_t>> hugetlb;   // page size "2MB": bytes or no_limit
    std::map<std::string, RdmaLimits> rdma;             // by device
    std::optional<At<std::uint32_t>> classid;           // net_cls, v1
    std::map<std::string, At<std::uint32_t>> net_prio;  // by interface, v1
};

// A group above the sandbox's own, shared by all that name it. Who makes it sets its limits.
struct CgroupParent {
    Position at;
    Text name;  // "tier" or "tier/web"
    MemoryLimits memory;
    CpuLimits cpu;
    std::optional<At<std::uint64_t>> pids;
};

enum class CgroupManager { automatic, fs, systemd, none };
struct Cgroup {
    At<CgroupManager> manager{CgroupManager::automatic};
    std::optional<CgroupParent> parent;
    At<bool> delegate{false};
    TextMap raw_v1, raw_v2;  // file: value
};

// ---- network, time

enum class NetworkMode { none, host, bridge, container, macvlan, ipvlan, path };

struct Bridge {
    Position at;
    Text name{"sandbox0"};
    // The first address of each is the bridge's own, and the gateway of those on it.
    At<IpNetwork> subnet{{{IpFamily::v4, {10, 88, 0, 0}}, 24}};
    std::optional<At<IpNetwork>> subnet6;
    At<bool> nat{true};     // what leaves the bridge for elsewhere has the host's address
    At<bool> create{true};  // false: it is there already, and is left as it is
};

enum class AddressMode { automatic, none, fixed };
struct InterfaceAddress {
    At<AddressMode> mode{AddressMode::automatic};
    IpNetwork address;  // fixed; without a prefix in the profile: that of the bridge's subnet, or all bits
    bool has_prefix = false;
};

enum class GatewayMode { automatic, none, fixed };
struct Route {
    Position at;
    IpNetwork to;                  // "default" is 0.0.0.0/0 or ::/0, by the family of via
    std::optional<IpAddress> via;  // none: on the link
    std::optional<At<std::int64_t>> metric;
};

struct Interface {
    Position at;
    Text name{"eth0"};
    InterfaceAddress ip;
    InterfaceAddress ip6{At<AddressMode>{AddressMode::none}, {}, false};  // default: automatic when the bridge has a subnet6 (null: none)
    bool ip6_given = false;
    std::optional<At<MacAddress>> mac;
    std::optional<At<std::int64_t>> mtu;
    At<GatewayMode> gateway_mode{GatewayMode::automatic};
    IpAddress gateway;  // fixed
    std::vector<Route> routes;
};

enum class Protocol { tcp, udp };
// One published port, or a run of them.
struct Port {
    Position at;
    std::optional<IpAddress> host_ip;  // none: 127.0.0.1 and ::1
    std::uint16_t host_port = 0, port = 0, count = 1;
    std::uint16_t host_count = 1;  // the same as count after the checks
    Protocol protocol = Protocol::tcp;
};

enum class DnsMode { automatic, fixed };
struct Dns {
    Position at;
    At<DnsMode> mode{DnsMode::automatic};              // automatic: the host's true servers
    std::vector<At<IpAddress>> servers;                // fixed; may be empty: none
    bool search_given = false, options_given = false;  // else those of the host, where the servers are the host's
    std::vector<Text> search, options;
};

enum class EgressMode { allow, deny };
struct EgressRule {
    Position at;
    IpNetwork to;
    std::optional<Protocol> protocol;             // none and ports: both
    std::uint16_t first_port = 0, last_port = 0;  // 0: all
};
struct Egress {
    At<EgressMode> mode{EgressMode::allow};
    std::vector<EgressRule> allow;  // with deny
};

using HostAddresses = std::map<std::string, At<IpAddress>>;  // by name

// macvlan: bridge, private, vepa, passthru; ipvlan: l2, l3, l3s.
enum class Submode { bridge, private_, vepa, passthru, l2, l3, l3s };

struct Network {
    At<NetworkMode> mode{NetworkMode::none};
    Bridge bridge;
    Text of;                             // container mode
    Text path;                           // path mode
    Text parent;                         // macvlan, ipvlan
    std::optional<At<Submode>> submode;  // default: bridge, l2
    Interface interface;
    std::vector<Port> ports;
    Dns dns;
    HostAddresses hosts;
    Egress egress;

    // Whether the sandbox gets a network namespace that is made for it.
    [[nodiscard]] bool is_own() const {
        return *mode == NetworkMode::none || *mode == NetworkMode::bridge || *mode == NetworkMode::macvlan || *mode == NetworkMode::ipvlan;
    }
};

struct Time {
    std::optional<At<std::int64_t>> boottime, monotonic;  // nanoseconds, may be negative
    Text timezone{"host"};                                // host | a zone name such as Europe/Berlin
};

// ---- process and lifecycle

enum class StdinMode { automatic, null, pipe, file };
enum class Switch { automatic, on, off };
enum class SchedulerPolicy { other, batch, idle, fifo, rr };
enum class IoClass { none, realtime, best_effort, idle };

struct EnvironmentEntry {
    std::string name;
    std::optional<Text> value;  // none: the caller's value is passed on
};
struct Environment {
    std::vector<EnvironmentEntry> entries;  // in order, later wins
    std::vector<Text> inherit;              // globs on names of the caller's variables
};

struct Process {
    std::vector<Text> command;
    Text user{"0:0"};
    std::vector<Text> groups;  // names or ids
    std::uint32_t umask = 0022;
    Text working_dir{"/"};
    Environment environment;
    At<StdinMode> stdin_mode{StdinMode::automatic};
    Text stdin_file;
    At<Switch> tty{Switch::automatic};
    bool init = true;
    At<std::int64_t> oom_score_adj{0};     // -1000..1000
    std::optional<At<std::int64_t>> nice;  // -20..19
    std::optional<At<SchedulerPolicy>> scheduler;
    std::int64_t scheduler_priority = 0;  // fifo, rr
    std::optional<At<IoClass>> io_class;
    std::int64_t io_level = 4;                // 0..7
    std::vector<std::uint32_t> cpu_affinity;  // processor numbers; empty: all
    Position cpu_affinity_at;
    std::optional<Text> personality;  // linux32, ...
    std::vector<At<std::int64_t>> pass_fds;
};

enum class StopTarget { main, all };
enum class RestartPolicy { no, on_failure, always };
struct Restart {
    At<RestartPolicy> policy{RestartPolicy::no};
    At<std::int64_t> max{0};                  // how often; 0: no end
    At<std::int64_t> backoff{1'000'000'000};  // nanoseconds before the first restart; doubled for each that follows
};

struct Healthcheck {
    Position at;
    std::vector<Text> command;
    At<std::int64_t> interval{30'000'000'000}, timeout{30'000'000'000}, start_period{0};  // nanoseconds
    At<std::int64_t> retries{3};
};

enum class HookPlace { host, sandbox };
struct Hook {
    Position at;
    std::vector<Text> command;
    At<std::int64_t> timeout{30'000'000'000};  // nanoseconds
    At<HookPlace> where{HookPlace::host};
};
struct Hooks {
    std::vector<Hook> prepare, started, stopped;
};
struct Lifecycle {
    At<int> stop_signal{15};
    At<std::int64_t> grace{10'000'000'000};  // nanoseconds
    StopTarget target = StopTarget::main;
    std::optional<At<std::int64_t>> timeout;   // nanoseconds
    std::optional<At<std::int64_t>> cpu_time;  // nanoseconds of processor time, all processes together
    Restart restart;
    std::optional<Healthcheck> healthcheck;
    Hooks hooks;
};

enum class LogDriver { file, journald, none };
struct Logging {
    At<LogDriver> driver{LogDriver::file};
    At<std::uint64_t> max_size{10ULL << 20};  // bytes of one file
    At<std::int64_t> max_files{3};
};

// Variants of a profile: what is written. matrix.h makes cells of it.
struct MatrixValue {
    std::string name;
    Position at;
    Node patch;  // null or a map of keys of the language
};
struct MatrixAxis {
    std::string name;
    Position at;
    std::vector<MatrixValue> values;
};
// An entry of include or exclude: values of some axes, and in include a patch.
struct MatrixRule {
    Position at;
    std::vector<std::pair<std::string, Text>> values;  // axis, value
    std::optional<Node> patch;
};
struct Matrix {
    Position at;
    std::vector<MatrixAxis> axes;
    std::vector<MatrixRule> include, exclude;

    [[nodiscard]] bool empty() const { return axes.empty() && include.empty(); }
    [[nodiscard]] const MatrixAxis* find(std::string_view axis) const;
};

struct Profile {
    Text name;
    std::string description;
    std::map<std::string, std::string> labels;
    TextMap vars;
    bool warn_unsupported = false;  // policy.unsupported: warn
    Text hostname;                  // default: name
    std::optional<Text> domainname;
    Rootfs rootfs;
    std::vector<Mount> mounts;
    std::vector<File> files;
    std::vector<Directory> dirs;
    std::vector<Symlink> symlinks;
    PathList mask, readonly_paths;
    Proc proc;
    Dev dev;
    Namespaces namespaces;
    IdMap id_map;
    Capabilities capabilities;
    Security security;
    Resources resources;
    Cgroup cgroup;
    std::vector<Ulimit> ulimits;
    TextMap sysctl;  // "net.core.somaxconn": "1024"
    std::vector<Device> devices;
    Network network;
    Time time;
    Process process;
    Lifecycle lifecycle;
    Logging logging;
    Matrix matrix;
};

}  // namespace sandbox
