// Codecs of values that have a grammar or several spellings: names, mounts, devices, id ranges, capabilities, users.
#pragma once

#include "profile/codec.h"

namespace sandbox {

using HugePageMap = std::map<std::string, At<std::uint64_t>>;

// The small tables of maps that fill members of the struct they are in.
[[nodiscard]] const FieldTable& policy_fields();
[[nodiscard]] const FieldTable& stop_fields();
[[nodiscard]] const FieldTable& scheduler_fields();
[[nodiscard]] const FieldTable& io_priority_fields();
[[nodiscard]] const FieldTable& net_cls_fields();
[[nodiscard]] const FieldTable& cgroup_raw_fields();

#define SANDBOX_CODEC(name, base, type)                       \
    struct name : base {                                      \
        using Value = type;                                   \
        static void decode(Decoder&, const Node&, type& out); \
        static Node encode(const type& value);                \
        static Node schema();                                 \
        static std::string describe();                        \
    }

// ---- names

// Composition takes it before anything is decoded (compose.h): what arrives here came from the command line.
struct ExtendsForm {
    using Value = Profile;
    static void decode(Decoder&, const Node&, Profile&);
    static Node encode(const Profile&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::list}; }
};

SANDBOX_CODEC(VersionForm, Scalar, Profile);  // version: 1
SANDBOX_CODEC(ProfileName, Scalar, std::string);
SANDBOX_CODEC(Hostname, Scalar, std::string);  // also domainname
// The name itself; one that has dots where no host name has them ("a..b", "web.") has hyphens for all of its dots, and none at its end.
std::string hostname_for(std::string name);

SANDBOX_CODEC(UnsupportedWord, Scalar, bool);  // error | warn
SANDBOX_CODEC(Timezone, Scalar, std::string);

// ---- file system

struct MountForm {
    using Value = Mount;
    static void decode(Decoder&, const Node&, Mount&);
    static Node encode(const Mount&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::record, fields_of<Mount>}; }
    static std::string identity(const Node&);
};

struct DirectoryForm {
    using Value = Directory;
    static void decode(Decoder&, const Node&, Directory&);
    static Node encode(const Directory&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::record, fields_of<Directory>}; }
};

struct FileMap {
    using Value = std::vector<File>;
    static void decode(Decoder&, const Node&, std::vector<File>&);
    static Node encode(const std::vector<File>&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::map, fields_of<File>}; }
};

struct MapShape {
    static Shape shape() { return {Shape::map}; }
};
struct ListShape {
    static Shape shape() { return {Shape::list}; }
};

SANDBOX_CODEC(VariableMap, MapShape, TextMap);
SANDBOX_CODEC(SymlinkMap, MapShape, std::vector<Symlink>);
SANDBOX_CODEC(PathListForm, ListShape, PathList);

// ---- namespaces, ids, capabilities, security

SANDBOX_CODEC(AbsoluteHostPath, Scalar, std::string);
SANDBOX_CODEC(NamespaceForm, Scalar, Namespace);
SANDBOX_CODEC(IdRangeForm, Scalar, IdRange);
SANDBOX_CODEC(CapabilityNumber, Scalar, int);
SANDBOX_CODEC(CapabilityDrop, ListShape, Capabilities);
SANDBOX_CODEC(CapabilityAmbient, ListShape, Capabilities);
SANDBOX_CODEC(KeyringWord, Scalar, bool);

struct IdMapForm {
    using Value = IdMap;
    static void decode(Decoder&, const Node&, IdMap&);
    static Node encode(const IdMap&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::record, fields_of<IdMap>}; }
};

// ---- limits and devices

SANDBOX_CODEC(UlimitMap, MapShape, std::vector<Ulimit>);
SANDBOX_CODEC(DeviceAccess, Scalar, Device);  // "rwm"

struct DeviceForm {
    using Value = Device;
    static void decode(Decoder&, const Node&, Device&);
    static Node encode(const Device&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::record, fields_of<Device>}; }
    static std::string identity(const Node&);
};

// ---- resources and control groups

SANDBOX_CODEC(BytesOrInfinity, Scalar, std::uint64_t);
SANDBOX_CODEC(CountOrInfinity, Scalar, std::uint64_t);  // processes, objects
SANDBOX_CODEC(RateForm, Scalar, std::uint64_t);         // bytes or operations a second
SANDBOX_CODEC(Cores, Scalar, std::uint64_t);            // 0.2, 1.5, 500m, infinity
SANDBOX_CODEC(CpuSetText, Scalar, std::string);         // 0-3,5
SANDBOX_CODEC(ClassId, Scalar, std::uint32_t);          // 0x100001, 1048577, "10:1"
SANDBOX_CODEC(PageLimits, MapShape, HugePageMap);
SANDBOX_CODEC(GroupName, Scalar, std::string);  // tier/web
SANDBOX_CODEC(RawFiles, MapShape, TextMap);

// A limit whose default nobody has asked for: where a host cannot keep it, it is left out and said, in place of an error. What is
// printed for it is therefore null.
template <class C>
struct UnlessDefault {
    using Value = At<typename C::Value>;
    static void decode(Decoder& decoder, const Node& node, Value& out) { Located<C>::decode(decoder, node, out); }
    static Node encode(const Value& value) { return value.at.known() ? C::encode(*value) : null_node(); }
    static Node schema() { return C::schema(); }
    static std::string describe() { return C::describe(); }
    static Shape shape() { return C::shape(); }
};

struct IoDeviceForm {
    using Value = IoDevice;
    static void decode(Decoder&, const Node&, IoDevice&);
    static Node encode(const IoDevice&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::record, fields_of<IoDevice>}; }
    static std::string identity(const Node&);
};

// A name, or a map with its limits.
struct CgroupParentForm {
    using Value = CgroupParent;
    static void decode(Decoder&, const Node&, CgroupParent&);
    static Node encode(const CgroupParent&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::record, fields_of<CgroupParent>}; }
};

// ---- network

SANDBOX_CODEC(LinkName, Scalar, std::string);      // eth0
SANDBOX_CODEC(AddressForm, Scalar, IpAddress);     // 10.88.0.7, fd00::7
SANDBOX_CODEC(Subnet4, Scalar, IpNetwork);         // 10.88.0.0/24
SANDBOX_CODEC(Subnet6, Scalar, IpNetwork);         // fd00:88::/64
SANDBOX_CODEC(MacForm, Scalar, MacAddress);        // 02:00:0a:58:00:0a
SANDBOX_CODEC(RouteTo, Scalar, Route);             // 10.9.0.0/16, default
SANDBOX_CODEC(HostPorts, Scalar, Port);            // 8080, "8000-8010"
SANDBOX_CODEC(InsidePorts, Scalar, Port);          // 80, "9000-9010"
SANDBOX_CODEC(DomainName, Scalar, std::string);    // example.org
SANDBOX_CODEC(ResolverWord, Scalar, std::string);  // ndots:2
SANDBOX_CODEC(DnsServers, ListShape, Dns);
SANDBOX_CODEC(DnsSearch, ListShape, Dns);
SANDBOX_CODEC(DnsOptions, ListShape, Dns);
SANDBOX_CODEC(HostMap, MapShape, HostAddresses);
SANDBOX_CODEC(EgressRuleForm, Scalar, EgressRule);  // 10.0.0.0/8:5432/tcp

// The null of YAML is a value of each of these: no address, no gateway.
struct InterfaceIp : Scalar {
    using Value = InterfaceAddress;
    static constexpr bool reads_null = true;
    static void decode(Decoder&, const Node&, InterfaceAddress&);
    static Node encode(const InterfaceAddress&);
    static Node schema();
    static std::string describe();
};
struct InterfaceIp6 : Scalar {
    using Value = Interface;
    static constexpr bool reads_null = true;
    static void decode(Decoder&, const Node&, Interface&);
    static Node encode(const Interface&);
    static Node schema();
    static std::string describe();
};
struct GatewayForm : Scalar {
    using Value = Interface;
    static constexpr bool reads_null = true;
    static void decode(Decoder&, const Node&, Interface&);
    static Node encode(const Interface&);
    static Node schema();
    static std::string describe();
};

struct RouteForm {
    using Value = Route;
    static void decode(Decoder&, const Node&, Route&);
    static Node encode(const Route&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::record, fields_of<Route>}; }
};

struct PortForm {
    using Value = Port;
    static void decode(Decoder&, const Node&, Port&);
    static Node encode(const Port&);
    static Node schema();
    static std::string describe();
    static Shape shape() { return {Shape::record, fields_of<Port>}; }
    static std::string identity(const Node&);
};

struct EgressForm {
    using Value = Egress;
    static void decode(Decoder&, const Node&, Egress&);
    static Node encode(const Egress&);
    static Node schema();
    static std::string describe();
    static Shape shape();
};

// A map whose default is not printed where it was not written: in other modes of the network it would be an error, and
// what it makes (resolv.conf) may come from elsewhere.
template <auto member, bool (*meaningful)(const Network&)>
struct PartOfNetwork {
    using Value = Network;
    using C = Record<typename MemberTraits<decltype(member)>::Type>;
    static void decode(Decoder& decoder, const Node& node, Network& out) { C::decode(decoder, node, out.*member); }
    static Node encode(const Network& value) { return meaningful(value) ? C::encode(value.*member) : null_node(); }
    static Node schema() { return C::schema(); }
    static std::string describe() { return C::describe(); }
    static Shape shape() { return C::shape(); }
};

// ---- process

SANDBOX_CODEC(UserForm, Scalar, std::string);
SANDBOX_CODEC(GroupForm, Scalar, std::string);
SANDBOX_CODEC(Umask, Scalar, std::uint32_t);
SANDBOX_CODEC(InheritGlobs, ListShape, Environment);
SANDBOX_CODEC(TtyForm, Scalar, Switch);
SANDBOX_CODEC(SchedulerForm, Scalar, Process);
SANDBOX_CODEC(IoPriorityForm, Scalar, Process);
SANDBOX_CODEC(CpuList, Scalar, Process);
SANDBOX_CODEC(PersonalityName, Scalar, std::string);
SANDBOX_CODEC(SignalForm, Scalar, int);

struct EnvironmentForm {
    using Value = Environment;
    static void decode(Decoder&, const Node&, Environment&);
    static Node encode(const Environment&);
    static Node schema();
    static std::string describe();
    static Shape shape();
};

struct StdinForm : Scalar {
    using Value = Process;
    static constexpr bool reads_null = true;  // the null of YAML is /dev/null
    static void decode(Decoder&, const Node&, Process&);
    static Node encode(const Process&);
    static Node schema();
    static std::string describe();
};

// ---- matrix

struct MatrixForm {
    using Value = Matrix;
    static void decode(Decoder&, const Node&, Matrix&);
    static Node encode(const Matrix&);
    static Node schema();
    static std::string describe();
    static Shape shape();
};

#undef SANDBOX_CODEC

}  // namespace sandbox
