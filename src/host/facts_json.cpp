// One list of the members, walked in both directions: what is written is what is read.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "base/text.h"
#include "host/probe.h"

namespace sandbox {
namespace {

using Json = nlohmann::ordered_json;

template <class Facts, class Visit>
requires std::is_same_v<std::remove_const_t<Facts>, HostFacts>
void visit_members(Facts& facts, Visit&& visit) {
    visit("release", facts.release);
    visit("major", facts.major);
    visit("minor", facts.minor);
    visit("machine", facts.machine);
    visit("last_capability", facts.last_capability);
    visit("uid", facts.uid);
    visit("gid", facts.gid);
    visit("user", facts.user);
    visit("home", facts.home);
    visit("capabilities", facts.capabilities);
    visit("bounding", facts.bounding);
    visit("initial_user_namespace", facts.initial_user_namespace);
    visit("setgroups", facts.setgroups);
    visit("uid_map", facts.uid_map);
    visit("gid_map", facts.gid_map);
    visit("subuid", facts.subuid);
    visit("subgid", facts.subgid);
    visit("newuidmap", facts.newuidmap);
    visit("newgidmap", facts.newgidmap);
    visit("nofile_soft", facts.nofile_soft);
    visit("nofile_hard", facts.nofile_hard);
    visit("namespaces", facts.namespaces);
    visit("max_user_namespaces", facts.max_user_namespaces);
    visit("userns_restricted", facts.userns_restricted);
    visit("userns_restriction", facts.userns_restriction);
    visit("new_mount_api", facts.new_mount_api);
    visit("overlay", facts.overlay);
    visit("overlay_layer_strings", facts.overlay_layer_strings);
    visit("overlay_layer_fds", facts.overlay_layer_fds);
    visit("tmpfs_idmap", facts.tmpfs_idmap);
    visit("overlay_userns", facts.overlay_userns);
    visit("proc_mountable", facts.proc_mountable);
    visit("sysfs_mountable", facts.sysfs_mountable);
    visit("mounts", facts.mounts);
    visit("root_entries", facts.root_entries);
    visit("seccomp", facts.seccomp);
    visit("landlock_abi", facts.landlock_abi);
    visit("lsm", facts.lsm);
    visit("keyring", facts.keyring);
    visit("controllers", facts.controllers);
    visit("cgroup_layout", facts.cgroup_layout);
    visit("cgroups", facts.cgroups);
    visit("systemd", facts.systemd);
    visit("systemd_delegates", facts.systemd_delegates);
    visit("processors", facts.processors);
    visit("lxcfs", facts.lxcfs);
    visit("lxcfs_files", facts.lxcfs_files);
    visit("disks", facts.disks);
    visit("legacy_tiocsti", facts.legacy_tiocsti);
    visit("link_kinds", facts.link_kinds);
    visit("interfaces", facts.interfaces);
    visit("network_known", facts.network_known);
    visit("routes", facts.routes);
    visit("nftables", facts.nftables);
    visit("nftables_error", facts.nftables_error);
    visit("ipv6", facts.ipv6);
    visit("net_admin", facts.net_admin);
    visit("busy_ports", facts.busy_ports);
    visit("resolver", facts.resolver);
    visit("sandboxes", facts.sandboxes);
    visit("paths", facts.paths);
    visit("root_paths", facts.root_paths);
    visit("passwd", facts.passwd);
    visit("group", facts.group);
}

template <class Range, class Visit>
requires std::is_same_v<std::remove_const_t<Range>, FactRange>
void visit_members(Range& range, Visit&& visit) {
    visit("inside", range.inside);
    visit("outside", range.outside);
    visit("count", range.count);
}

template <class Mount, class Visit>
requires std::is_same_v<std::remove_const_t<Mount>, MountFact>
void visit_members(Mount& mount, Visit&& visit) {
    visit("target", mount.target);
    visit("filesystem", mount.filesystem);
    visit("idmappable", mount.idmappable);
}

template <class Group, class Visit>
requires std::is_same_v<std::remove_const_t<Group>, CgroupFact>
void visit_members(Group& group, Visit&& visit) {
    visit("version", group.version);
    visit("mount", group.mount);
    visit("controllers", group.controllers);
    visit("enabled", group.enabled);
    visit("writable", group.writable);
    visit("crowded", group.crowded);
    visit("files", group.files);
    visit("processors", group.processors);
    visit("nodes", group.nodes);
    visit("own", group.own);
}

template <class Disk, class Visit>
requires std::is_same_v<std::remove_const_t<Disk>, DiskFact>
void visit_members(Disk& disk, Visit&& visit) {
    visit("major", disk.major);
    visit("minor", disk.minor);
    visit("problem", disk.problem);
}

template <class Interface, class Visit>
requires std::is_same_v<std::remove_const_t<Interface>, InterfaceFact>
void visit_members(Interface& interface, Visit&& visit) {
    visit("name", interface.name);
    visit("kind", interface.kind);
    visit("up", interface.up);
    visit("index", interface.index);
    visit("alias", interface.alias);
    visit("addresses", interface.addresses);
}

template <class Route, class Visit>
requires std::is_same_v<std::remove_const_t<Route>, RouteFact>
void visit_members(Route& route, Visit&& visit) {
    visit("to", route.to);
    visit("interface", route.interface);
}

template <class Port, class Visit>
requires std::is_same_v<std::remove_const_t<Port>, BusyPort>
void visit_members(Port& port, Visit&& visit) {
    visit("address", port.address);
    visit("port", port.port);
    visit("udp", port.udp);
    visit("error", port.error);
    visit("holder", port.holder);
}

template <class Port, class Visit>
requires std::is_same_v<std::remove_const_t<Port>, WantedPort>
void visit_members(Port& port, Visit&& visit) {
    visit("address", port.address);
    visit("port", port.port);
    visit("udp", port.udp);
}

template <class Resolver, class Visit>
requires std::is_same_v<std::remove_const_t<Resolver>, ResolverFact>
void visit_members(Resolver& resolver, Visit&& visit) {
    visit("servers", resolver.servers);
    visit("search", resolver.search);
    visit("options", resolver.options);
    visit("stub", resolver.stub);
    visit("source", resolver.source);
}

template <class Other, class Visit>
requires std::is_same_v<std::remove_const_t<Other>, SandboxFact>
void visit_members(Other& other, Visit&& visit) {
    visit("name", other.name);
    visit("network", other.network);
    visit("running", other.running);
    visit("init", other.init);
    visit("init_start", other.init_start);
    visit("bridge", other.bridge);
    visit("addresses", other.addresses);
    visit("ports", other.ports);
}

template <class Path, class Visit>
requires std::is_same_v<std::remove_const_t<Path>, PathFact>
void visit_members(Path& path, Visit&& visit) {
    visit("kind", path.kind);
    visit("error", path.error);
    visit("resolved", path.resolved);
    visit("device", path.device);
    visit("inode", path.inode);
    visit("rdev_major", path.rdev_major);
    visit("rdev_minor", path.rdev_minor);
    visit("uid", path.uid);
    visit("gid", path.gid);
    visit("mode", path.mode);
    visit("filesystem", path.filesystem);
    visit("idmappable", path.idmappable);
    visit("empty", path.empty);
    visit("mount", path.mount);
    visit("locked", path.locked);
    visit("exposed", path.exposed);
}

// In the order of the enumerations.
constexpr std::array<std::string_view, 8> words_of(PathKind) {
    return {"absent", "file", "directory", "symlink", "character", "block", "fifo", "socket"};
}
constexpr std::array<std::string_view, 3> words_of(CgroupVersion) { return {"absent", "v1", "v2"}; }

Json write(const std::string& text) { return text; }
Json write(const IpAddress& address) { return to_text(address); }
Json write(const IpNetwork& network) { return to_text(network); }

template <class T>
requires std::is_arithmetic_v<T> Json write(T value) { return value; }

template <class T>
requires std::is_enum_v<T> Json write(T value) { return std::string(words_of(value)[static_cast<std::size_t>(value)]); }

template <class T>
requires std::is_class_v<T> Json write(const T& value);

template <class T>
Json write(const std::vector<T>& values) {
    Json list = Json::array();
    for (const T& value : values) list.push_back(write(value));
    return list;
}

template <class T>
Json write(const std::map<std::string, T>& values) {
    Json object = Json::object();
    for (const auto& [key, value] : values) object[key] = write(value);
    return object;
}

template <class T>
requires std::is_class_v<T> Json write(const T& value) {
    Json object = Json::object();
    visit_members(value, [&object](const char* name, const auto& member) { object[name] = write(member); });
    return object;
}

// Reading: each overload either fills `to` or says what is wrong. `where` is the member's path.
Status read(const Json& from, const std::string& where, std::string& to) {
    if (!from.is_string()) return fail(cat(where, ": text expected, not ", from.type_name()));
    to = from.get_ref<const std::string&>();
    return {};
}

// Addresses and networks, as text.
template <class T>
Status read_parsed(const Json& from, const std::string& where, std::optional<T> (*parse)(std::string_view), const char* what, T& to) {
    std::string text;
    if (auto done = read(from, where, text); !done) return pass(done);
    const auto parsed = parse(text);
    if (!parsed) return fail(cat(where, ": ", what, " expected, not ", quote(text)));
    to = *parsed;
    return {};
}

Status read(const Json& from, const std::string& where, IpAddress& to) { return read_parsed(from, where, parse_ip, "address", to); }
Status read(const Json& from, const std::string& where, IpNetwork& to) { return read_parsed(from, where, parse_ip_network, "network", to); }

Status read(const Json& from, const std::string& where, bool& to) {
    if (!from.is_boolean()) return fail(cat(where, ": true or false expected, not ", from.type_name()));
    to = from.get<bool>();
    return {};
}

template <class T>
requires std::is_integral_v<T> Status read(const Json& from, const std::string& where, T& to) {
    if (!from.is_number_integer())
        return fail(cat(where, ": whole number expected, not ", from.is_number() ? "a fraction" : from.type_name()));
    const bool fits = from.is_number_unsigned() ? std::in_range<T>(from.get<std::uint64_t>()) : std::in_range<T>(from.get<std::int64_t>());
    if (!fits) return fail(cat(where, ": ", from.dump(), " is out of range"));
    to = from.get<T>();
    return {};
}

template <class T>
requires std::is_enum_v<T> Status read(const Json& from, const std::string& where, T& to) {
    std::string word;
    if (auto text = read(from, where, word); !text) return pass(text);
    const auto words = words_of(T{});
    for (std::size_t i = 0; i < words.size(); ++i)
        if (words[i] == word) return to = static_cast<T>(i), Status{};
    return fail(cat(where, ": unknown word ", quote(word)));
}

template <class T>
requires std::is_class_v<T> Status read(const Json& from, const std::string& where, T& to);

template <class T>
Status read(const Json& from, const std::string& where, std::vector<T>& to) {
    if (!from.is_array()) return fail(cat(where, ": list expected, not ", from.type_name()));
    to.clear();
    for (const Json& item : from) {
        const std::string place = cat(where, "[", to.size(), "]");
        if (auto done = read(item, place, to.emplace_back()); !done) return pass(done);
    }
    return {};
}

template <class T>
Status read(const Json& from, const std::string& where, std::map<std::string, T>& to) {
    if (!from.is_object()) return fail(cat(where, ": map expected, not ", from.type_name()));
    to.clear();
    for (const auto& [key, item] : from.items())
        if (auto done = read(item, cat(where, "[", quote(key), "]"), to[key]); !done) return pass(done);
    return {};
}

// What is not named keeps its default; a name that no member has is a slip of the hand.
template <class T>
requires std::is_class_v<T> Status read(const Json& from, const std::string& where, T& to) {
    if (!from.is_object()) return fail(cat(where.empty() ? "facts" : where, ": map expected, not ", from.type_name()));
    const std::string prefix = where.empty() ? "" : cat(where, ".");
    Status status;
    std::vector<std::string_view> names;
    visit_members(to, [&](const char* name, auto& member) {
        names.emplace_back(name);
        const auto item = from.find(name);
        if (status && item != from.end()) status = read(*item, cat(prefix, name), member);
    });
    if (!status) return status;
    for (const auto& [key, item] : from.items()) {
        if (std::find(names.begin(), names.end(), key) != names.end()) continue;
        const auto near = nearest(key, names);
        return fail(cat(prefix, printable(key), ": no such fact"), near ? cat("did you mean ", quote(*near), "?") : "");
    }
    return {};
}

}  // namespace

std::string facts_to_json(const HostFacts& facts) {
    // A file name need not be UTF-8, JSON must be: what cannot be written becomes U+FFFD.
    return write(facts).dump(2, ' ', false, Json::error_handler_t::replace);
}

Result<HostFacts> facts_from_json(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) return fail("facts: not valid JSON");
    HostFacts facts;
    if (auto done = read(json, "", facts); !done) return pass(done);
    return facts;
}

}  // namespace sandbox
