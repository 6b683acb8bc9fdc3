// The steps of a launch as data. A host-side step has its effect on this machine (and an undo if the effect outlives
// the launcher's descriptors and processes); a sandbox-side step is lowered to the child's program.
//
// Steps talk about descriptors by slot: a number given out by the planner. The parent fills some slots, sends those the
// child needs, and the child fills others. A step knows slots, never other steps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "profile/profile.h"

namespace sandbox {

using Slot = std::int32_t;
constexpr Slot no_slot = -1;

// An id map as the kernel takes it. A leased range begins at outside id 0 here and is moved to the lease when it is
// known.
struct IdMapRange {
    std::uint32_t inside = 0, outside = 0, count = 0;
    bool leased = false;
};

struct FsOption {
    std::string key, value;
    bool bare = false;  // a flag without a value
};

// Attributes of a mount (MOUNT_ATTR_*), and its propagation (MS_*), 0 to leave it.
struct MountAttributes {
    std::uint64_t set = 0, clear = 0, propagation = 0;
    bool recursive = false;
};

// As ioctl_tty(2) has it; all 0 where nobody knows.
struct TerminalSize {
    std::uint16_t rows = 0, columns = 0, x_pixels = 0, y_pixels = 0;
};

struct DeviceNode {
    std::string name;  // below /dev
    bool character = true;
    std::uint32_t major = 0, minor = 0, perm = 0666, uid = 0, gid = 0;  // ids inside
};

// A socket of the host that a published port is reached by, and where it leads inside.
struct PortSocket {
    IpAddress address;
    std::uint16_t port = 0;
    bool udp = false;
    std::uint16_t inner = 0;
};

// An address for the sandbox: none, the next free one of the subnet, or this one.
struct AddressWish {
    AddressMode mode = AddressMode::none;
    IpNetwork subnet;   // of the bridge; for a fixed address without a bridge its own
    IpAddress address;  // fixed
};

struct PlannedRoute {
    IpNetwork to;
    std::optional<IpAddress> via;
    std::optional<std::uint32_t> metric;
};

namespace step {

// ---- host side, before the clone
struct CreateState {};  // state folder, lock, journal
struct LeaseIds {
    Slot slot;
};  // the slot keeps the lease's lock
struct MakeHostDirectory {
    std::string path;
    std::uint32_t perm;
    bool contents;
};  // contents: removed with what the kernel put in
// flock(2) on a directory. Exclusive: one writer. Shared: as long as anybody has it, what was made there stays.
struct LockTree {
    Slot slot;
    std::string path;
    bool shared;
};
struct ShiftOwner {
    std::string path;
};  // chown of a tree into the id map, and back
struct OpenTree {
    Slot slot;
    std::string path;
    bool recursive;
    MountAttributes attributes;
};  // detached clone
struct OpenFile {
    Slot slot;
    std::string path;
};  // a descriptor of a namespace, an input file, or a layer
struct CallerDescriptor {
    Slot slot;
    int number;
};  // the caller's own standard stream or passed descriptor
struct NullDescriptor {
    Slot slot;
};
struct InputPipe {
    Slot slot;
};  // the caller's input, copied through a pipe
struct OutputPipe {
    Slot slot;
    int number;
};  // to the caller's output, likewise
struct MakeTarget {
    Slot slot;
    std::string host, path;
    bool directory;
    std::uint32_t perm;
    std::string link;
    std::uint32_t uid = 0, gid = 0;  // ids inside
    bool mapped = false;             // the tree shows the id on disk as the same id inside
};                                   // in a tree of the host
struct HostFilesystem {
    Slot slot;
    std::string type;
    std::vector<FsOption> options;
    std::uint64_t attributes;
    Slot network = no_slot;  // made inside this network, which it shows
};
struct BuildDev {
    Slot slot;
    std::vector<DeviceNode> nodes;
    std::vector<std::string> folders;
    std::vector<std::pair<std::string, std::string>> links;
};
struct RawTerminal {};
// A folder of log files, kept until the sandbox is removed. What an earlier sandbox of the name left there (a reboot) is removed.
struct MakeLogFolder {
    std::string path;
};
struct LogPipe {
    Slot slot;
    int number;
};  // 1 or 2: what the payload writes there goes to the log
struct RunHook {
    std::vector<std::string> command;
    std::int64_t timeout;  // nanoseconds
};
// What has to be run when everything of the sandbox is gone, by whoever takes it back.
struct ArmHook {
    std::vector<std::string> command;
    std::int64_t timeout;
};
// ---- network, host side, before the clone
// Listening sockets: so the ports are the sandbox's before anything else is done.
struct HoldPorts {
    std::vector<PortSocket> sockets;
};
// Used by every sandbox that names it, made by the first and removed by the last (never one that was there).
struct ShareBridge {
    std::string name;
    bool create;
    std::vector<IpNetwork> addresses;  // of the bridge itself
    bool stands_in = false;            // the host answers on it for a sandbox that is routed beside it
};
// On the bridge's pool of addresses.
struct LeaseAddresses {
    std::string bridge;
    AddressWish ip, ip6;
};
// The host passes packets on (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding); switched back by the last sandbox that needs it.
struct ForwardPackets {
    bool v6;
};
// resolv.conf, hosts and hostname in the state folder, to be mounted inside.
struct WriteNames {
    std::string resolver;  // text of resolv.conf
    std::vector<std::string> own_names;
    std::vector<std::pair<std::string, IpAddress>> hosts;
    std::string hostname;
    std::string bridge;  // whose other sandboxes are in hosts; empty: none
};
// The network of a sandbox that runs.
struct OpenNetwork {
    Slot slot;
    std::string sandbox;
    std::int32_t pid;
    std::uint64_t start;  // clock ticks since boot
};
// ---- host side, the clone and after it
struct Join {
    NamespaceType type;
    Slot slot;
};
struct Spawn {
    std::vector<NamespaceType> fresh;
    std::vector<Join> joined;
    Slot group = no_slot;    // born into this group of cgroup v2 (CLONE_INTO_CGROUP)
    Slot process = no_slot;  // into all namespaces of this one
};
// ---- control groups, host side. In a path "<id>" stands for the run's random id, "<scope>" for the folder of systemd's scope.
struct GroupValue {
    std::string file, value;
};
// A group above, used by every sandbox that names it, made by the first and removed by the last (never one that was there).
// Its limits are set by who makes it; who finds others there fails.
struct ShareGroup {
    std::string path, tree;  // tree: where the hierarchy is mounted
    bool v2;
    std::vector<std::string> enable;  // v2: controllers for the groups below
    std::vector<GroupValue> values;
    bool cpuset;  // v1: filled from the group above
};
// v2: controllers that the root of the tree hands out, given back by the last.
struct EnableControllers {
    std::string path;
    std::vector<std::string> controllers;
};
struct MakeGroup {
    Slot slot;
    Slot tasks;  // v1: the file that the child writes itself into; no_slot on v2
    std::string path;
    std::vector<std::string> controllers;
    bool cpuset;
};
struct SetGroup {
    Slot group;
    std::string file, value;
};
struct DelegateGroup {
    Slot group;
    bool v2;
};
struct DeviceRule {
    char type;                  // 'c', 'b', 'a' for both
    std::int64_t major, minor;  // -1: any
    std::string access;         // letters of rwm
};
// Nothing but these (v1: devices.deny and devices.allow; v2: a program of BPF_PROG_TYPE_CGROUP_DEVICE on the group).
struct FilterDevices {
    Slot group;
    bool v2;
    std::vector<DeviceRule> rules;
};
// A transient scope around the child (org.freedesktop.systemd1(5)), and a group of ours in it.
struct MakeScope {
    std::string unit;
    std::string mount;  // of the tree it is in
    bool user;          // of the caller's own systemd
};
// v2: a group below, into which the launcher goes: the one above may then hand out controllers (cgroups(7)).
struct MakeLeaf {
    std::string above;
};
struct EnterGroup {
    Slot group;
};  // the child, by the launcher
// v2: controllers that the scope hands out to the groups in it. It must have no process of its own by then (cgroups(7)), and goes with
// them.
struct HandDown {
    std::string path;
    std::vector<std::string> controllers;
};
struct WriteIdMap {
    std::vector<IdMapRange> uid, gid;
    bool helpers;
    bool deny_setgroups;
};
struct IdmapTree {
    Slot slot;
    bool recursive;
    bool required;
};
struct BuildOverlay {
    Slot slot;
    std::vector<Slot> lower;
    Slot upper_tree;          // no_slot: upper on a tmpfs of `size`, or none
    std::string upper, work;  // below upper_tree
    bool tmpfs;
    std::optional<std::uint64_t> size;
    std::vector<FsOption> options;
    std::uint64_t attributes;
    bool of_root = false;  // `sandbox diff` shows what it has changed
};
enum class Tuning { oom_score, nice, scheduler, io_priority, affinity, hard_limit };
struct TuneProcess {
    Tuning what;
    std::int64_t value, value2;
    std::vector<std::uint32_t> processors;
};
// ---- network, host side, after the clone
// What is sent on from the host's addresses by the packet filter, without a process.
struct PortForwarding {
    IpFamily family;
    std::optional<IpAddress> host_ip;  // none: every address of the host
    std::uint16_t host_port, port, count;
    bool udp;
};
struct MakeTable {
    std::string name, bridge;
    bool nat;
    std::vector<IpNetwork> subnets;
    std::vector<PortForwarding> ports;
    bool confined;
    std::vector<EgressRule> allow;
};
// Routed: not a port of the bridge. What it sends goes through the host's packet filter, whatever it does inside.
struct MakeVeth {
    std::string bridge, name;  // name: of the end inside
    std::optional<MacAddress> mac;
    std::optional<int> mtu;
    bool routed, hairpin;
};
struct MakeStacked {
    bool ipvlan;
    Submode mode;
    std::string parent, name;
    std::optional<MacAddress> mac;
    std::optional<int> mtu;
    std::vector<IpNetwork> addresses;
};
// Addresses, up, routes, through a socket of the network inside.
struct ConfigureInterface {
    std::string name;
    bool routed;
    std::vector<IpAddress> gateways;
    std::vector<PlannedRoute> routes;
    std::vector<std::pair<std::string, std::string>> settings;  // below /proc/sys, of the network inside
};
// The process that carries what comes to the held sockets into the sandbox.
struct ForwardPorts {
    std::vector<PortSocket> sockets;
};
struct Release {
    std::vector<Slot> slots;
};  // go, with these descriptors

// ---- host side, of a session in a sandbox that is there already
// Its first process, which cannot be another of the same number, while a supervisor looks after it.
struct OpenProcess {
    Slot slot;
    std::string sandbox;
    std::int32_t pid;
    std::uint64_t start;  // clock ticks since boot
};
// One of its control groups: the file that a process writes itself into (v1), or the folder that it is born in.
struct OpenGroup {
    Slot slot;
    std::string path;
    bool v2;
};

// ---- sandbox side, in the first process
struct Receive {
    std::vector<Slot> slots;
};
struct JoinGroups {
    std::vector<Slot> tasks;
};                             // v1: the child itself, while it is one thread
struct OwnCgroupNamespace {};  // with the groups it is in now as the roots
struct SetPropagation {
    bool slave;
};
struct WorkAs {
    std::uint32_t uid, gid;
};
struct NewFilesystem {
    Slot slot;
    std::string type;
    std::vector<FsOption> options;
    std::uint64_t attributes;
};
struct OpenTreeInside {
    Slot slot;
    std::string path;
    Slot base;
    bool clone, recursive;
    MountAttributes attributes;
};
struct Stage {
    Slot file, folder;  // what masks are made of
};
struct Scratch {
    Slot slot;
};  // attached out of sight, so that its parts can be cloned
struct OverlayInside {
    Slot slot;
    std::vector<Slot> lower;
    Slot upper, work;  // no_slot: none
    std::vector<FsOption> options;
    std::uint64_t attributes;
    bool legacy;  // layers by name through mount(2)
};
struct AttachRoot {
    Slot slot;
};
struct Mirror {
    std::string path;
    Slot slot;
};
struct MakeDirectory {
    std::string path;
    std::uint32_t perm, uid, gid;
    bool adjust;
    Slot base;
};
struct MakeFile {
    std::string path, content, source;
    std::uint32_t perm, uid, gid;
    bool replace;
    Slot base;
};
struct MakeSymlink {
    std::string path, target;
    Slot base;
};
struct Attach {
    Slot slot;
    std::string target;
    bool no_links;
};
struct SetMount {
    Slot slot;
    MountAttributes attributes;
};
struct Mask {
    Slot file, folder;
    std::string path;
    bool missing_ok, no_links;
};
struct ReadOnlyPath {
    std::string path;
    bool missing_ok, no_links;
};
struct SetHostname {
    std::string name;
};
struct SetDomainname {
    std::string name;
};
struct TimeOffsets {
    std::optional<std::int64_t> monotonic, boottime;
};  // nanoseconds
struct Sysctl {
    Slot proc;
    std::string key, value;
};
struct LoopbackUp {};
struct NewKeyring {
    std::string name;
};
struct OpenTerminal {
    Slot slot;
    std::uint32_t uid;
    TerminalSize size;
};
struct ShowConsole {
    Slot slot;
};
struct Pivot {
    Slot slot;
};
struct ShareMounts {};  // of the root and all below it
// ---- sandbox side, in the payload's process
struct Hold {};          // everything is made: wait for `sandbox start`
struct StartPayload {};  // from here on init is another process
struct NewSession {
    Slot terminal;
};
struct PlaceDescriptors {
    std::vector<std::pair<Slot, int>> places;
};
struct WorkingDirectory {
    std::string path;
};
struct SetUmask {
    std::uint32_t mask;
};
struct SetLimit {
    int resource;
    std::uint64_t soft, hard;
};
struct SetPersonality {
    std::uint64_t value;
};
struct SetGroups {
    std::vector<std::uint32_t> groups;
};
struct TrimBounding {
    std::uint64_t keep;
};
struct BecomeUser {
    std::uint32_t uid, gid;
};
struct SetCapabilities {
    std::uint64_t effective, permitted, inheritable, ambient, until_seccomp;
};
struct NoNewPrivileges {};
struct DieWithParent {};
struct InstallSeccomp {
    Seccomp policy;
    std::string json;
    std::uint64_t capabilities;
    bool restore_capabilities;
};
struct Execute {
    std::vector<std::string> candidates, argv, environment;
};

}  // namespace step

using AnyStep =
    std::variant<step::CreateState, step::LeaseIds, step::MakeHostDirectory, step::LockTree, step::ShiftOwner, step::OpenTree,
                 step::OpenFile, step::CallerDescriptor, step::NullDescriptor, step::InputPipe, step::OutputPipe, step::MakeTarget,
                 step::HostFilesystem, step::BuildDev, step::RawTerminal, step::MakeLogFolder, step::LogPipe, step::RunHook, step::ArmHook,
                 step::Hold, step::ShareGroup, step::EnableControllers, step::MakeGroup, step::SetGroup, step::DelegateGroup,
                 step::FilterDevices, step::MakeScope, step::MakeLeaf, step::EnterGroup, step::HandDown, step::JoinGroups,
                 step::OwnCgroupNamespace, step::Spawn, step::WriteIdMap, step::IdmapTree, step::BuildOverlay, step::TuneProcess,
                 step::Release, step::Receive, step::SetPropagation, step::WorkAs, step::NewFilesystem, step::OpenTreeInside, step::Scratch,
                 step::OverlayInside, step::AttachRoot, step::Mirror, step::MakeDirectory, step::MakeFile, step::MakeSymlink, step::Attach,
                 step::SetMount, step::Stage, step::Mask, step::ReadOnlyPath, step::SetHostname, step::SetDomainname, step::TimeOffsets,
                 step::Sysctl, step::LoopbackUp, step::NewKeyring, step::OpenTerminal, step::ShowConsole, step::Pivot, step::ShareMounts,
                 step::StartPayload, step::NewSession, step::PlaceDescriptors, step::WorkingDirectory, step::SetUmask, step::SetLimit,
                 step::SetPersonality, step::SetGroups, step::TrimBounding, step::BecomeUser, step::SetCapabilities, step::NoNewPrivileges,
                 step::DieWithParent, step::InstallSeccomp, step::Execute, step::OpenProcess, step::OpenGroup, step::HoldPorts,
                 step::ShareBridge, step::LeaseAddresses, step::ForwardPackets, step::WriteNames, step::OpenNetwork, step::MakeTable,
                 step::MakeVeth, step::MakeStacked, step::ConfigureInterface, step::ForwardPorts>;

// What a step does. That it is copied, moved and destroyed is written once, in step.cpp: a visit of so many kinds costs each file
// that handles steps more time to compile than all the rest of it.
class Action : public AnyStep {
   public:
    using AnyStep::AnyStep;
    Action();
    Action(const Action& other) = delete;
    Action(Action&& other) noexcept;
    Action& operator=(const Action& other) = delete;
    Action& operator=(Action&& other) noexcept;
    ~Action();
};

enum class Side { host, sandbox };

struct Step {
    std::string id;  // stable and readable: "mount:/proc"
    Side side = Side::host;
    std::string text;       // one line for a person
    std::string undo;       // what takes it back, in words; empty: nothing outlives the processes and descriptors
    Position origin{};      // in the profile; unknown for what is built in
    bool optional = false;  // a failure leaves it out, and is reported
    Action action;
};

}  // namespace sandbox
