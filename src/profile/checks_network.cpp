// The network: what has a meaning in which mode, and which addresses, routes and ports fit together.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "profile/checks.h"
#include "profile/language.h"

namespace sandbox {
namespace {

bool is_bridge(const Network& n) { return *n.mode == NetworkMode::bridge; }
bool is_lan(const Network& n) { return *n.mode == NetworkMode::macvlan || *n.mode == NetworkMode::ipvlan; }

// ---- keys and modes

void check_path(const Network& n, Report& report) {
    const bool has_path = !n.path->empty();
    if (report.failed("network.path")) return;
    if (*n.mode == NetworkMode::path && !has_path)
        report.error("E0416", n.mode.at, "network.path", "mode path needs the namespace file", "add 'path: /run/netns/NAME'");
    if (*n.mode != NetworkMode::path && has_path)
        report.error("E0416", n.path.at, "network.path", "has a meaning in mode path only", "write 'mode: path', or remove it");
}

void refuse_in_mode(const Network& n, Position at, std::string_view key, std::string_view modes, Report& report) {
    if (at.known())
        report.error("E0427", at, std::string(key), cat("has no meaning in mode ", mode_name(*n.mode)),
                     cat("write 'mode: ", modes, "', or remove it"));
}

void check_mode(const Network& n, Report& report) {
    check_path(n, report);
    if (!is_bridge(n)) refuse_in_mode(n, n.bridge.at, "network.bridge", "bridge", report);
    if (!is_bridge(n) && !n.ports.empty()) refuse_in_mode(n, n.ports.front().at, "network.ports", "bridge", report);
    if (!is_bridge(n) && !is_lan(n)) refuse_in_mode(n, n.interface.at, "network.interface", "bridge' or 'macvlan", report);
    if (!is_lan(n)) refuse_in_mode(n, n.parent.at, "network.parent", "macvlan' or 'ipvlan", report);
    if (!is_lan(n) && n.submode) refuse_in_mode(n, n.submode->at, "network.submode", "macvlan' or 'ipvlan", report);
    if (*n.mode != NetworkMode::container) refuse_in_mode(n, n.of.at, "network.of", "container", report);
}

void check_needed(const Profile& profile, Report& report) {
    const Network& n = profile.network;
    const std::string_view mode = mode_name(*n.mode);
    if (is_lan(n) && n.parent->empty() && !report.failed("network.parent"))
        report.error("E0428", n.mode.at, "network.parent", cat("mode ", mode, " needs the host's interface that carries it"),
                     "add 'parent: eth0'");
    if (*n.mode != NetworkMode::container || report.failed("network.of")) return;
    if (n.of->empty())
        report.error("E0428", n.mode.at, "network.of", "mode container needs the sandbox whose network is shared", "add 'of: NAME'");
    else if (*n.of == *profile.name)
        report.error("E0428", n.of.at, "network.of", "that is this sandbox itself", "name another one");
}

bool fits(Submode submode, NetworkMode mode) {
    const bool ipvlan = submode == Submode::l2 || submode == Submode::l3 || submode == Submode::l3s;
    return ipvlan == (mode == NetworkMode::ipvlan);
}

void check_submode(const Network& n, Report& report) {
    if (!is_lan(n) || !n.submode || report.failed("network.submode") || fits(**n.submode, *n.mode)) return;
    report.error("E0429", n.submode->at, "network.submode", cat("is not one of mode ", mode_name(*n.mode)),
                 *n.mode == NetworkMode::ipvlan ? "allowed: l2, l3 or l3s" : "allowed: bridge, private, vepa or passthru");
}

void check_egress_mode(const Network& n, Report& report) {
    const bool denies = *n.egress.mode == EgressMode::deny;
    const bool nothing_there = *n.mode == NetworkMode::none && n.egress.allow.empty();
    if (!denies || is_bridge(n) || nothing_there) return;
    if (*n.mode == NetworkMode::none)
        report.error("E0427", n.egress.allow.front().at, "network.egress.allow", "nothing can be reached in mode none",
                     "write 'mode: bridge', or 'egress: deny'");
    else
        report.error("E0427", n.egress.mode.at, "network.egress", cat("cannot be kept in mode ", mode_name(*n.mode)),
                     "write 'mode: bridge', or remove it");
}

// ---- the bridge's subnets

void check_subnet(const At<IpNetwork>& subnet, const std::string& key, int least, int most, Report& report) {
    if (report.failed(key)) return;
    const IpNetwork& network = *subnet;
    const IpAddress first = masked(network).address;
    const bool local = first.is_loopback() || first.is_multicast() || (!first.is_v4() && first.is_link_local()) || first.bytes[0] == 0;
    if (network.prefix < least || network.prefix > most)
        report.error("E0432", subnet.at, key, cat("a prefix of ", network.prefix, " bits"), cat("allowed: ", least, " to ", most));
    else if (masked(network) != network)
        report.error("E0432", subnet.at, key, cat(to_text(network), " is an address in a network, not a network"),
                     cat("write ", to_text(masked(network))));
    else if (local)
        report.error("E0432", subnet.at, key, cat("the addresses of ", to_text(network), " are not for other machines"),
                     "take a private network, such as 10.88.0.0/24 or fd00:88::/64");
}

void check_bridge(const Network& n, Report& report) {
    check_subnet(n.bridge.subnet, "network.bridge.subnet", 8, 30, report);
    if (n.bridge.subnet6) check_subnet(*n.bridge.subnet6, "network.bridge.subnet6", 48, 126, report);
}

// ---- the interface's addresses

void refuse_address(const InterfaceAddress& a, const std::string& key, std::string message, std::string hint, Report& report) {
    report.error("E0433", a.mode.at, key, cat(to_text(a.address.address), " ", message), std::move(hint));
}

// The lowest and the highest address of a network are no host's, except in one of two addresses or one.
std::string_view reserved_as(const IpNetwork& network, const IpAddress& address) {
    if (network.prefix >= network.address.width() - 1) return {};
    if (host_part(network, address) == 0) return address.is_v4() ? "the network's own address" : "the address of every router there";
    if (address.is_v4() && host_part(network, address) > last_host(network)) return "the broadcast address";
    return {};
}

void check_in_subnet(const InterfaceAddress& a, const At<IpNetwork>& subnet, const std::string& key, Report& report) {
    const std::string text = to_text(*subnet);
    const IpAddress first = host_of(*subnet, 2), &address = a.address.address;
    const std::string such = cat("take another one, such as ", to_text(first));
    if (!contains(*subnet, address)) return refuse_address(a, key, cat("is not in the bridge's network ", text), such, report);
    if (a.has_prefix && a.address.prefix != subnet->prefix)
        return refuse_address(a, key, cat("has a prefix of ", a.address.prefix, " bits, and the bridge's network ", text), "leave it out",
                              report);
    if (const auto what = reserved_as(*subnet, address); !what.empty()) return refuse_address(a, key, cat("is ", what), such, report);
    if (host_part(*subnet, address) == 1) refuse_address(a, key, "is the bridge's own address", such, report);
}

bool check_ordinary(const InterfaceAddress& a, const std::string& key, Report& report) {
    const IpAddress& address = a.address.address;
    const bool special = address.is_any() || address.is_loopback() || address.is_multicast();
    if (special) refuse_address(a, key, "is not an address that an interface can have", "take one of the network's", report);
    return !special;
}

void check_bridge_address(const InterfaceAddress& a, const std::optional<At<IpNetwork>>& subnet, const std::string& key, Report& report) {
    if (*a.mode == AddressMode::none || report.failed(key)) return;
    if (!subnet) return report.error("E0434", a.mode.at, key, "the bridge has no IPv6 network", "add 'subnet6: fd00:88::/64' under bridge");
    if (*a.mode == AddressMode::fixed && check_ordinary(a, key, report) && !report.failed("network.bridge"))
        check_in_subnet(a, *subnet, key, report);
}

void check_lan_address(const Network& n, const InterfaceAddress& a, const std::string& key, Report& report) {
    if (report.failed(key)) return;
    if (*a.mode == AddressMode::automatic)
        return report.error("E0430", a.mode.at.known() ? a.mode.at : n.mode.at, key,
                            cat("mode ", mode_name(*n.mode), " needs an address: there is nobody to lease one"),
                            "write an address of the parent's network with its prefix, or null when the command asks for one itself");
    if (*a.mode != AddressMode::fixed || !check_ordinary(a, key, report)) return;
    if (const auto what = reserved_as(masked(a.address), a.address.address); !what.empty())
        refuse_address(a, key, cat("is ", what, " of ", to_text(masked(a.address))), "take another one", report);
}

void check_addresses(const Network& n, Report& report) {
    if (is_bridge(n)) {
        check_bridge_address(n.interface.ip, n.bridge.subnet, "network.interface.ip", report);
        check_bridge_address(n.interface.ip6, n.bridge.subnet6, "network.interface.ip6", report);
    } else {
        check_lan_address(n, n.interface.ip, "network.interface.ip", report);
        check_lan_address(n, n.interface.ip6, "network.interface.ip6", report);
    }
}

void check_link(const Network& n, Report& report) {
    const Interface& i = n.interface;
    if (i.mac && *n.mode == NetworkMode::ipvlan)
        report.error("E0431", i.mac->at, "network.interface.mac", "an ipvlan interface has its parent's address",
                     "remove it, or write 'mode: macvlan'");
    if (i.mtu && **i.mtu < 1280 && *i.ip6.mode != AddressMode::none && !report.failed("network.interface.mtu"))
        report.error("E0436", i.mtu->at, "network.interface.mtu", "IPv6 needs packets of 1280 bytes", "write 1280 or more, or 'ip6: null'");
}

// ---- routers

// The network of one family that the interface is in, as far as it is known beforehand.
std::optional<IpNetwork> own_network(const Network& n, IpFamily family) {
    const InterfaceAddress& a = family == IpFamily::v4 ? n.interface.ip : n.interface.ip6;
    if (*a.mode == AddressMode::none) return std::nullopt;
    if (!is_bridge(n)) return *a.mode == AddressMode::fixed ? std::optional(masked(a.address)) : std::nullopt;
    if (family == IpFamily::v4) return *n.bridge.subnet;
    return n.bridge.subnet6 ? std::optional(**n.bridge.subnet6) : std::nullopt;
}

// What keeps a router from being reached: empty when nothing does.
std::string out_of_reach(const Network& n, const IpAddress& router) {
    const InterfaceAddress& own = router.is_v4() ? n.interface.ip : n.interface.ip6;
    if (router.is_any() || router.is_loopback() || router.is_multicast()) return "is not the address of a router";
    if (*own.mode == AddressMode::fixed && own.address.address == router) return "is the interface's own address";
    const auto network = own_network(n, router.family);
    if (!network) return cat("cannot be reached: the interface has no ", router.is_v4() ? "IPv4" : "IPv6", " address");
    const bool local = !router.is_v4() && router.is_link_local();
    if (!contains(*network, router) && !local) return cat("is not in the interface's network ", to_text(*network));
    const auto what = router.is_v4() ? reserved_as(*network, router) : std::string_view();
    return what.empty() ? std::string() : cat("is ", what);
}

constexpr std::string_view router_hint = "a router is in the network of the interface's address; mind the prefix of 'ip'";

void check_gateway(const Network& n, Report& report) {
    if (*n.interface.gateway_mode != GatewayMode::fixed) return;
    if (const std::string why = out_of_reach(n, n.interface.gateway); !why.empty())
        report.error("E0435", n.interface.gateway_mode.at, "network.interface.gateway", cat(to_text(n.interface.gateway), " ", why),
                     std::string(router_hint));
}

void check_route(const Network& n, const Route& route, const std::string& key, Report& report) {
    if (masked(route.to) != route.to)
        report.error("E0437", route.at, key, cat(to_text(route.to), " is an address in a network, not a network"),
                     cat("write ", to_text(masked(route.to))));
    if (!route.via) return;
    const std::string why = out_of_reach(n, *route.via);
    if (route.via->family != route.to.address.family)
        report.error("E0437", route.at, key, cat("a router for ", to_text(route.to), " cannot be ", to_text(*route.via)),
                     "both are IPv4 or both are IPv6");
    else if (!why.empty())
        report.error("E0437", route.at, key, cat(to_text(*route.via), " ", why), std::string(router_hint));
}

void check_routers(const Network& n, Report& report) {
    // An address that means nothing would be taken for one that is missing.
    for (const char* key : {"network.bridge", "network.interface.ip", "network.interface.ip6"})
        if (report.failed(key)) return;
    if (!report.failed("network.interface.gateway")) check_gateway(n, report);
    for (std::size_t i = 0; i < n.interface.routes.size(); ++i) {
        const std::string key = cat("network.interface.routes[", i, "]");
        if (!report.failed(key)) check_route(n, n.interface.routes[i], key, report);
    }
}

void check_interface(const Network& n, Report& report) {
    if (!is_bridge(n) && !is_lan(n)) return;
    check_addresses(n, report);
    check_link(n, report);
    check_routers(n, report);
}

// ---- ports

constexpr std::size_t port_limit = 1024;

std::vector<IpAddress> host_addresses(const Port& port) {
    if (port.host_ip) return {*port.host_ip};
    return {*parse_ip("127.0.0.1"), *parse_ip("::1")};
}

bool collide(const Port& a, const Port& b) {
    const bool apart = a.host_port >= b.host_port + b.host_count || b.host_port >= a.host_port + a.host_count;
    if (apart || a.protocol != b.protocol) return false;
    for (const IpAddress& x : host_addresses(a))
        for (const IpAddress& y : host_addresses(b))
            if (x.family == y.family && (x == y || x.is_any() || y.is_any())) return true;
    return false;
}

void check_port(const Network& n, const Port& port, const std::string& key, Report& report) {
    if (port.host_count != port.count)
        report.error("E0439", port.at, key, cat(port.host_count, " ports of the host for ", port.count, " inside"),
                     "both ranges have the same length");
    if (port.host_ip && (port.host_ip->is_multicast() || (!port.host_ip->is_v4() && port.host_ip->is_link_local())))
        report.error("E0439", port.at, key, cat("nothing can listen on ", to_text(*port.host_ip), " alone"),
                     "write an address of the host, or 0.0.0.0 or [::] for all of them");
    const bool has_address = *n.interface.ip.mode != AddressMode::none || *n.interface.ip6.mode != AddressMode::none;
    if (is_bridge(n) && !has_address)
        report.error("E0439", port.at, key, "leads nowhere: the interface has no address", "remove 'ip: null', or the port");
}

void check_ports(const Network& n, Report& report) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < n.ports.size(); ++i) {
        const std::string key = cat("network.ports[", i, "]");
        if (report.failed(key)) continue;
        check_port(n, n.ports[i], key, report);
        const auto same = std::find_if(n.ports.begin(), n.ports.begin() + static_cast<std::ptrdiff_t>(i),
                                       [&](const Port& other) { return collide(other, n.ports[i]); });
        if (same != n.ports.begin() + static_cast<std::ptrdiff_t>(i))
            report.error("E0438", n.ports[i].at, key,
                         cat("takes a port of the host that network.ports[", same - n.ports.begin(), "] has already"), "take another one");
        if (count <= port_limit && count + n.ports[i].host_count > port_limit)
            report.error("E0439", n.ports[i].at, key, cat("more than ", port_limit, " ports"), "publish fewer");
        count += n.ports[i].host_count;
    }
}

// ---- egress

void check_egress(const Network& n, Report& report) {
    const Egress& egress = n.egress;
    if (*egress.mode == EgressMode::allow && !egress.allow.empty() && !report.failed("network.egress"))
        report.error("E0440", egress.allow.front().at, "network.egress.allow", "a list means nothing where everything is allowed",
                     "write 'default: deny'");
    for (std::size_t i = 0; i < egress.allow.size(); ++i) {
        const std::string key = cat("network.egress.allow[", i, "]");
        const EgressRule& rule = egress.allow[i];
        if (!report.failed(key) && masked(rule.to) != rule.to)
            report.error("E0440", rule.at, key, cat(to_text(rule.to), " is an address in a network, not a network"),
                         cat("write ", to_text(masked(rule.to)), ", or ", to_text(rule.to.address), " alone"));
    }
}

// ---- names

constexpr std::size_t server_limit = 3;  // MAXNS of resolv.conf(5)
constexpr std::size_t search_limit = 6;  // MAXDNSRCH of older C libraries

void check_dns(const Dns& dns, Report& report) {
    for (std::size_t i = 0; i < dns.servers.size(); ++i) {
        const std::string key = cat("network.dns.servers[", i, "]");
        const IpAddress& server = *dns.servers[i];
        if (!report.failed(key) && (server.is_any() || server.is_multicast()))
            report.error("E0441", dns.servers[i].at, key, cat(to_text(server), " is not the address of a server"),
                         "write the server's own address");
    }
    if (dns.servers.size() > server_limit)
        report.error("E0441", dns.servers[server_limit].at, cat("network.dns.servers[", server_limit, "]"),
                     cat(dns.servers.size(), " servers"), cat("programs ask the first ", server_limit, " alone: see resolv.conf(5)"));
    if (dns.search.size() > search_limit)
        report.error("E0441", dns.search[search_limit].at, cat("network.dns.search[", search_limit, "]"),
                     cat(dns.search.size(), " domains"), cat("at most ", search_limit, ": see resolv.conf(5)"));
}

void check_hosts(const Network& n, Report& report) {
    for (const auto& [name, address] : n.hosts)
        if (const std::string key = cat("network.hosts.", printable(name)); address->is_multicast() && !report.failed(key))
            report.error("E0441", address.at, key, cat(to_text(*address), " is no host's address"), "write the host's own address");
}

// Two makers of one file: who wins would have to be guessed.
void check_written_file(const Profile& profile, Position at, std::string_view key, std::string_view path, Report& report) {
    const bool twice = std::ranges::any_of(profile.files, [&](const File& file) { return *file.path == path; }) ||
                       std::ranges::any_of(profile.symlinks, [&](const Symlink& link) { return *link.path == path; }) ||
                       std::ranges::any_of(profile.mounts, [&](const Mount& mount) { return *mount.target == path; });
    if (twice)
        report.error("E0442", at, std::string(key), cat("is written to ", path, ", and the profile makes that itself"),
                     "remove one of the two");
}

void check_names_of_hosts(const Profile& profile, Report& report) {
    const Network& n = profile.network;
    check_dns(n.dns, report);
    check_hosts(n, report);
    if (n.dns.at.known()) check_written_file(profile, n.dns.at, "network.dns", "/etc/resolv.conf", report);
    if (!n.hosts.empty()) check_written_file(profile, n.hosts.begin()->second.at, "network.hosts", "/etc/hosts", report);
}

}  // namespace

void check_network(const Profile& profile, Report& report) {
    const Network& n = profile.network;
    if (!report.failed("network.mode")) {
        check_mode(n, report);
        check_needed(profile, report);
        check_submode(n, report);
        check_egress_mode(n, report);
        check_interface(n, report);
    }
    check_bridge(n, report);
    check_ports(n, report);
    check_egress(n, report);
    check_names_of_hosts(profile, report);
}

}  // namespace sandbox
