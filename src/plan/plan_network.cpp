// The network of a sandbox: bridge, lease, link, addresses, packet filter, published ports and names.

#include "plan/network.h"

#include <algorithm>

namespace sandbox {
namespace {

std::string_view submode_name(Submode mode) {
    switch (mode) {
        case Submode::bridge: return "bridge";
        case Submode::private_: return "private";
        case Submode::vepa: return "vepa";
        case Submode::passthru: return "passthru";
        case Submode::l2: return "l2";
        case Submode::l3: return "l3";
        case Submode::l3s: break;
    }
    return "l3s";
}

NetworkMode mode_of(const Context& c) { return *c.profile.network.mode; }

// What the profile does not say follows from the mode.
Position known(Position at, const Context& c) { return at.known() ? at : c.profile.network.mode.at; }

std::string bracketed(const IpAddress& address) { return address.is_v4() ? to_text(address) : cat("[", to_text(address), "]"); }

std::string port_words(std::uint16_t first, std::uint16_t count) {
    return count == 1 ? std::to_string(first) : cat(first, "-", first + count - 1);
}

// 0.0.0.0:8080->80/tcp, as `sandbox inspect` has it.
std::string shown(const IpAddress& address, const Port& port) {
    return cat(bracketed(address), ":", port_words(port.host_port, port.count), "->", port_words(port.port, port.count),
               port.protocol == Protocol::udp ? "/udp" : "/tcp");
}

std::vector<IpAddress> host_addresses(const Port& port, bool ipv6) {
    static const IpAddress loopback4{IpFamily::v4, {127, 0, 0, 1}};
    static const IpAddress loopback6{IpFamily::v6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    if (port.host_ip) return {*port.host_ip};
    return ipv6 ? std::vector{loopback4, loopback6} : std::vector{loopback4};
}

// The first few of many.
std::string listed(const std::vector<std::string>& words) {
    constexpr std::size_t many = 8;
    std::string text;
    for (std::size_t i = 0; i < words.size() && i < many; ++i) text += cat(i ? ", " : "", words[i]);
    return words.size() > many ? cat(text, " and ", words.size() - many, " more") : text;
}

std::string shown_ports(const Context& c) {
    std::vector<std::string> words;
    for (const Port& port : c.profile.network.ports)
        for (const IpAddress& address : host_addresses(port, c.facts.ipv6)) words.push_back(shown(address, port));
    return listed(words);
}

// ---- before the clone

void hold_ports(Context& c) {
    const std::vector<PortSocket> sockets = port_sockets(c.profile, c.facts.ipv6);
    if (sockets.empty()) return;
    c.before.push_back(host_step("ports.hold", c.profile.network.ports.front().at, cat("listen on the host: ", shown_ports(c)), {},
                                 step::HoldPorts{sockets}));
}

std::vector<IpNetwork> subnets_of(const Bridge& bridge) {
    std::vector<IpNetwork> out{*bridge.subnet};
    if (bridge.subnet6) out.push_back(**bridge.subnet6);
    return out;
}

void share_bridge(Context& c) {
    const Bridge& bridge = c.profile.network.bridge;
    step::ShareBridge s{*bridge.name, *bridge.create, {}, is_confined(c.profile)};
    std::string addresses;
    for (const IpNetwork& subnet : subnets_of(bridge)) {
        s.addresses.push_back({bridge_address(subnet, c.profile, c.facts), subnet.prefix});
        addresses += cat(addresses.empty() ? "" : ", ", to_text(s.addresses.back()));
    }
    std::string text = cat("use the bridge ", s.name, s.create ? cat(", made with ", addresses, " if it is missing") : "");
    std::string undo = s.create ? "remove it if this made it, unless another sandbox uses it" : "leave it";
    c.before.push_back(host_step("net.bridge", known(bridge.name.at, c), std::move(text), std::move(undo), std::move(s)));
}

std::string shown(const AddressWish& wish) {
    if (wish.mode == AddressMode::none) return {};
    return wish.mode == AddressMode::fixed ? to_text(wish.address) : cat("a free address of ", to_text(wish.subnet));
}

void lease_addresses(Context& c) {
    const Network& n = c.profile.network;
    step::LeaseAddresses s{*n.bridge.name, wish_for(c.profile, IpFamily::v4), wish_for(c.profile, IpFamily::v6)};
    if (s.ip.mode == AddressMode::none && s.ip6.mode == AddressMode::none) return;
    const std::string first = shown(s.ip), second = shown(s.ip6);
    c.before.push_back(host_step("net.lease", known(n.interface.ip.mode.at, c),
                                 cat("lease ", first, first.empty() || second.empty() ? "" : " and ", second), {}, std::move(s)));
}

bool has_address(const Profile& p, IpFamily family) { return wish_for(p, family).mode != AddressMode::none; }

// From outside to an explicit address the packet filter sends on, without a process, and the sandbox sees who calls. To a loopback
// address only a process can (a packet from there is not sent on), and where the sandbox has no address of the family.
bool is_sent_on(const Profile& p, const Port& port) {
    return port.host_ip && !port.host_ip->is_loopback() && has_address(p, port.host_ip->family);
}

bool needs_forwarding(const Profile& p) { return *p.network.bridge.nat || is_confined(p) || sends_on(p); }

void forward_packets(Context& c) {
    if (!needs_forwarding(c.profile)) return;
    const bool v6 = has_address(c.profile, IpFamily::v6);
    c.before.push_back(host_step("net.forward", c.profile.network.mode.at,
                                 cat("let the host pass packets on (net.ipv4.ip_forward", v6 ? ", net.ipv6.conf.all.forwarding)" : ")"),
                                 "switch back what this switched on, unless another sandbox needs it", step::ForwardPackets{v6}));
}

// ---- names

std::string words_of(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += cat(" ", word);
    return out;
}

std::vector<std::string> texts_of(const std::vector<Text>& texts) {
    std::vector<std::string> out;
    for (const Text& text : texts) out.push_back(*text);
    return out;
}

// In the host's own network its stub is there too; without a network there is nobody to ask.
std::vector<IpAddress> name_servers(const Context& c) {
    const Dns& dns = c.profile.network.dns;
    std::vector<IpAddress> servers;
    for (const At<IpAddress>& server : dns.servers) servers.push_back(*server);
    if (*dns.mode == DnsMode::fixed || mode_of(c) == NetworkMode::none) return servers;
    const auto stub = mode_of(c) == NetworkMode::host ? parse_ip(c.facts.resolver.stub) : std::nullopt;
    return stub ? std::vector{*stub} : c.facts.resolver.servers;
}

// resolv.conf(5)
std::string resolver_text(const Context& c, const std::vector<IpAddress>& servers) {
    const Dns& dns = c.profile.network.dns;
    const ResolverFact& host = c.facts.resolver;
    const bool hosts = *dns.mode == DnsMode::automatic && !servers.empty();
    const auto search = dns.search_given || !hosts ? texts_of(dns.search) : host.search;
    const auto options = dns.options_given || !hosts ? texts_of(dns.options) : host.options;
    std::string text;
    for (const IpAddress& server : servers) text += cat("nameserver ", to_text(server), "\n");
    if (!search.empty()) text += cat("search", words_of(search), "\n");
    if (!options.empty()) text += cat("options", words_of(options), "\n");
    return text.empty() ? "# no name servers\n" : text;
}

std::string describe_servers(const Context& c, const std::vector<IpAddress>& servers) {
    if (servers.empty()) return "no name server";
    std::vector<std::string> words;
    for (const IpAddress& server : servers) words.push_back(to_text(server));
    std::string text = cat(servers.size() == 1 ? "the name server " : "the name servers ", listed(words));
    if (*c.profile.network.dns.mode == DnsMode::fixed) return text;
    const ResolverFact& host = c.facts.resolver;
    if (!host.stub.empty() && mode_of(c) != NetworkMode::host)
        return cat(text, " (of ", host.source, ": ", host.stub, " answers the host alone)");
    return cat(text, " of the host");
}

void write_names(Context& c) {
    if (!shows_names(c.profile) || shown_names(c.profile).empty()) return;
    const Network& n = c.profile.network;
    step::WriteNames s;
    const std::vector<IpAddress> servers = name_servers(c);
    s.resolver = resolver_text(c, servers);
    s.hostname = *c.profile.hostname;
    s.own_names = {s.hostname};
    if (c.profile.domainname) s.own_names.insert(s.own_names.begin(), cat(s.hostname, ".", **c.profile.domainname));
    if (c.plan.name != s.hostname) s.own_names.push_back(c.plan.name);
    for (const auto& [name, address] : n.hosts) s.hosts.emplace_back(name, *address);
    if (mode_of(c) == NetworkMode::bridge) s.bridge = *n.bridge.name;
    std::string text = cat("write resolv.conf, hosts and hostname, with ", describe_servers(c, servers),
                           s.bridge.empty() ? "" : cat(", and the other sandboxes on ", s.bridge));
    c.before.push_back(host_step("names.write", place_of_names(c.profile), std::move(text), {}, std::move(s)));
}

// ---- after the clone

std::optional<int> mtu_of(const Interface& i) { return i.mtu ? std::optional(static_cast<int>(**i.mtu)) : std::nullopt; }
std::optional<MacAddress> mac_of(const Interface& i) { return i.mac ? std::optional(**i.mac) : std::nullopt; }

std::string shown(const EgressRule& rule) {
    const IpAddress& to = rule.to.address;
    const bool alone = rule.to.prefix == to.width();
    std::string text = alone ? to_text(to) : to_text(rule.to);
    const std::string protocol = rule.protocol ? *rule.protocol == Protocol::udp ? "/udp" : "/tcp" : "";
    if (rule.first_port == 0) return cat(text, protocol);
    if (!to.is_v4()) text = cat("[", text, "]");
    return cat(text, ":", port_words(rule.first_port, static_cast<std::uint16_t>(rule.last_port - rule.first_port + 1)), protocol);
}

std::string shown(const std::vector<EgressRule>& rules) {
    std::vector<std::string> words;
    for (const EgressRule& rule : rules) words.push_back(shown(rule));
    return words.empty() ? "let out answers alone" : cat("let out answers and what goes to ", listed(words));
}

void make_table(Context& c) {
    const Network& n = c.profile.network;
    step::MakeTable s;
    s.name = cat("sandbox-", c.plan.name);
    s.bridge = *n.bridge.name;
    s.nat = *n.bridge.nat;
    s.subnets = subnets_of(n.bridge);
    s.confined = is_confined(c.profile);
    s.allow = n.egress.allow;
    std::vector<std::string> ports;
    for (const Port& port : n.ports) {
        if (!is_sent_on(c.profile, port)) continue;
        const IpAddress& address = *port.host_ip;
        s.ports.push_back({address.family, address.is_any() ? std::nullopt : std::optional(address), port.host_port, port.port, port.count,
                           port.protocol == Protocol::udp});
        ports.push_back(shown(address, port));
    }
    std::string parts;
    const auto say = [&parts](const std::string& text) { parts += cat(parts.empty() ? "" : "; ", text); };
    if (s.nat) say("masquerade what leaves for other networks");
    if (!ports.empty()) say(cat("send on ", listed(ports)));
    if (s.confined) say(shown(s.allow));
    if (parts.empty()) return;
    const Position at = s.confined ? n.egress.mode.at : n.mode.at;
    std::string text = cat("make the nftables table inet ", s.name, ": ", parts);
    c.clone.push_back(host_step("net.table", at, std::move(text), "remove it", std::move(s)));
}

// What the profile says of the link itself.
std::string looks(const Interface& i) {
    std::string text = i.mac ? to_text(**i.mac) : "";
    if (i.mtu) text += cat(text.empty() ? "" : ", ", "mtu ", **i.mtu);
    return text.empty() ? text : cat(" (", text, ")");
}

void make_veth(Context& c) {
    const Network& n = c.profile.network;
    const bool routed = is_confined(c.profile);
    step::MakeVeth s{*n.bridge.name, *n.interface.name, mac_of(n.interface), mtu_of(n.interface), routed, sends_on(c.profile)};
    std::string text = cat("make a veth pair: ", s.name, " inside", looks(n.interface), ", sb<id> on the host, ",
                           routed ? cat("routed beside ", s.bridge) : cat("a port of ", s.bridge));
    c.clone.push_back(host_step("net.veth", known(n.interface.at, c), std::move(text), "switch it off, then remove it", std::move(s)));
}

void make_stacked(Context& c) {
    const Network& n = c.profile.network;
    step::MakeStacked s;
    s.ipvlan = mode_of(c) == NetworkMode::ipvlan;
    s.mode = n.submode ? **n.submode : s.ipvlan ? Submode::l2 : Submode::bridge;
    s.parent = *n.parent;
    s.name = *n.interface.name;
    s.mac = mac_of(n.interface);
    s.mtu = mtu_of(n.interface);
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
        if (const AddressWish wish = wish_for(c.profile, family); wish.mode == AddressMode::fixed)
            s.addresses.push_back({wish.address, wish.subnet.prefix});
    std::string text = cat("make ", s.ipvlan ? "an ipvlan" : "a macvlan", " (", submode_name(s.mode), ") on the host's ", s.parent, ": ",
                           s.name, " inside", looks(n.interface));
    c.clone.push_back(host_step("net.link", n.mode.at, std::move(text), {}, std::move(s)));
}

std::vector<IpAddress> gateways_of(Context& c) {
    const Interface& i = c.profile.network.interface;
    if (*i.gateway_mode == GatewayMode::fixed) return {i.gateway};
    if (*i.gateway_mode == GatewayMode::none || mode_of(c) != NetworkMode::bridge) return {};
    const Bridge& bridge = c.profile.network.bridge;
    std::vector<IpAddress> out;
    for (const IpNetwork& subnet : subnets_of(bridge))
        if (has_address(c.profile, subnet.address.family)) out.push_back(bridge_address(subnet, c.profile, c.facts));
    return out;
}

std::string shown_addresses(const Context& c) {
    if (mode_of(c) == NetworkMode::bridge) {
        const bool v4 = has_address(c.profile, IpFamily::v4), v6 = has_address(c.profile, IpFamily::v6);
        return v4 && v6 ? "the leased addresses" : v4 || v6 ? "the leased address" : "no address";
    }
    std::vector<std::string> words;
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
        if (const AddressWish wish = wish_for(c.profile, family); wish.mode == AddressMode::fixed)
            words.push_back(to_text(IpNetwork{wish.address, wish.subnet.prefix}));
    return words.empty() ? "no address" : listed(words);
}

void configure(Context& c) {
    const Interface& i = c.profile.network.interface;
    // Who shares the network later has other ids, and no capability over it: what they protect on a host is nobody's here.
    step::ConfigureInterface s{*i.name,
                               mode_of(c) == NetworkMode::bridge && is_confined(c.profile),
                               gateways_of(c),
                               {},
                               {{"net/ipv4/ip_unprivileged_port_start", "0"}, {"net/ipv4/ping_group_range", "0 2147483647"}}};
    for (const Route& route : i.routes)
        s.routes.push_back({route.to, route.via, route.metric ? std::optional(static_cast<std::uint32_t>(**route.metric)) : std::nullopt});
    std::string text = cat("switch ", s.name, " on inside, with ", shown_addresses(c));
    for (const IpAddress& gateway : s.gateways) text += cat(", gateway ", to_text(gateway));
    std::vector<std::string> routes;
    for (const Route& route : i.routes) routes.push_back(cat(to_text(route.to), route.via ? cat(" via ", to_text(*route.via)) : ""));
    if (!routes.empty()) text += cat(routes.size() == 1 ? ", route " : ", routes ", listed(routes));
    text += "; ports below 1024 and ping are everyone's there";
    c.clone.push_back(host_step("net.configure", known(i.at, c), std::move(text), {}, std::move(s)));
}

void forward_ports(Context& c) {
    const std::vector<PortSocket> sockets = port_sockets(c.profile, c.facts.ipv6);
    if (sockets.empty()) return;
    c.clone.push_back(host_step("ports.forward", c.profile.network.ports.front().at,
                                cat("start a process that carries inside what comes to ", shown_ports(c)), "end it",
                                step::ForwardPorts{sockets}));
}

bool lets_out(const EgressRule& rule, const IpAddress& server) {
    const bool port = rule.first_port == 0 || (rule.first_port <= 53 && rule.last_port >= 53);
    return port && rule.protocol.value_or(Protocol::udp) == Protocol::udp && contains(rule.to, server);
}

void note_names(Context& c) {
    if (!is_confined(c.profile) || !shows_names(c.profile)) return;
    const std::vector<IpAddress> servers = name_servers(c);
    const auto reachable = [&c](const IpAddress& server) {
        return std::ranges::any_of(c.profile.network.egress.allow, [&server](const EgressRule& rule) { return lets_out(rule, server); });
    };
    if (!servers.empty() && std::ranges::none_of(servers, reachable))
        c.plan.notes.push_back("names: no rule of network.egress lets a name server (port 53) be reached; /etc/hosts works");
}

}  // namespace

bool makes_link(const Profile& p) {
    const NetworkMode mode = *p.network.mode;
    return mode == NetworkMode::bridge || mode == NetworkMode::macvlan || mode == NetworkMode::ipvlan;
}

bool is_confined(const Profile& p) { return *p.network.mode == NetworkMode::bridge && *p.network.egress.mode == EgressMode::deny; }

AddressWish wish_for(const Profile& p, IpFamily family) {
    const Network& n = p.network;
    const bool v4 = family == IpFamily::v4, bridge = *n.mode == NetworkMode::bridge;
    const InterfaceAddress& asked = v4 ? n.interface.ip : n.interface.ip6;
    AddressWish wish{*asked.mode, {}, asked.address.address};
    if (!v4 && !n.interface.ip6_given) wish.mode = bridge && n.bridge.subnet6 ? AddressMode::automatic : AddressMode::none;
    wish.subnet = asked.address;
    if (bridge && v4) wish.subnet = *n.bridge.subnet;
    if (bridge && !v4 && n.bridge.subnet6) wish.subnet = **n.bridge.subnet6;
    if (!bridge && wish.mode == AddressMode::automatic) wish.mode = AddressMode::none;
    return wish;
}

IpAddress bridge_address(const IpNetwork& subnet, const Profile& profile, const HostFacts& facts) {
    for (const InterfaceFact& link : facts.interfaces) {
        if (link.name != *profile.network.bridge.name) continue;
        for (const IpNetwork& own : link.addresses)
            if (contains(subnet, own.address)) return own.address;
    }
    return host_of(subnet, 1);
}

std::vector<PortSocket> port_sockets(const Profile& p, bool ipv6) {
    std::vector<PortSocket> out;
    for (const Port& port : p.network.ports)
        for (std::uint16_t i = 0; i < port.count; ++i)
            for (const IpAddress& address : host_addresses(port, ipv6))
                out.push_back({address, static_cast<std::uint16_t>(port.host_port + i), port.protocol == Protocol::udp,
                               static_cast<std::uint16_t>(port.port + i)});
    return out;
}

bool shows_names(const Profile& p) {
    if (!is_private(p.namespaces.mount)) return false;
    const Network& n = p.network;
    if (n.dns.at.known() || !n.hosts.empty()) return true;
    // Without a network the image's own files do; the host's tree has the host's.
    return *n.mode != NetworkMode::none && !(*n.mode == NetworkMode::host && p.rootfs.host);
}

bool sends_on(const Profile& p) {
    return std::ranges::any_of(p.network.ports, [&p](const Port& port) { return is_sent_on(p, port); });
}

std::vector<std::string> shown_names(const Profile& p) {
    std::vector<std::string> out;
    for (const char* name : {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"}) {
        const bool covered = std::ranges::any_of(p.mounts, [name](const Mount& m) { return beneath(name, *m.target); });
        const bool written = std::ranges::any_of(p.files, [name](const File& f) { return *f.path == name; }) ||
                             std::ranges::any_of(p.symlinks, [name](const Symlink& s) { return *s.path == name; });
        if (!covered && !written) out.emplace_back(name);
    }
    return out;
}

Position place_of_names(const Profile& p) {
    const Network& n = p.network;
    if (n.dns.at.known()) return n.dns.at;
    return n.mode.at.known() || n.hosts.empty() ? n.mode.at : n.hosts.begin()->second.at;
}

const SandboxFact* find_sandbox_fact(const HostFacts& facts, const std::string& name) {
    const auto found = std::ranges::find(facts.sandboxes, name, &SandboxFact::name);
    return found == facts.sandboxes.end() ? nullptr : &*found;
}

void plan_ports(Context& c) {
    if (mode_of(c) == NetworkMode::bridge) hold_ports(c);
}

void plan_network(Context& c) {
    if (mode_of(c) == NetworkMode::bridge) {
        share_bridge(c);
        lease_addresses(c);
        forward_packets(c);
    }
    write_names(c);
    note_names(c);
}

void plan_links(Context& c) {
    if (!makes_link(c.profile)) return;
    if (mode_of(c) == NetworkMode::bridge) {
        make_table(c);
        make_veth(c);
    } else {
        make_stacked(c);
    }
    configure(c);
    if (mode_of(c) == NetworkMode::bridge) forward_ports(c);
}

}  // namespace sandbox
