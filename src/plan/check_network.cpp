// What of the network can be seen to be wrong with the host at hand, before anything is done.

#include <algorithm>
#include <cerrno>

#include "plan/network.h"

namespace sandbox {
namespace {

struct NetworkCheck {
    const Profile& profile;
    const HostFacts& facts;
    Diagnostics& out;

    [[nodiscard]] const Network& network() const { return profile.network; }
    // What the profile does not say has the place of what asks for a network.
    void error(std::string code, Position at, std::string key, std::string message, std::string hint = {}) {
        out.push_back({std::move(code), Severity::error, at.known() ? at : network().mode.at, std::move(key), std::move(message),
                       std::move(hint), 1});
    }
    [[nodiscard]] const InterfaceFact* link(const std::string& name) const {
        const auto found = std::ranges::find(facts.interfaces, name, &InterfaceFact::name);
        return found == facts.interfaces.end() ? nullptr : &*found;
    }
    [[nodiscard]] bool is_own_name(const std::string& name) const { return name == *profile.name; }
};

void check_rights(NetworkCheck& c) {
    if (!makes_link(c.profile) || !c.facts.network_known || c.facts.net_admin) return;
    c.error("E0560", c.network().mode.at, "network.mode", "making network links needs CAP_NET_ADMIN, which the caller does not have here",
            "run as root; without root there are mode none, host, and path with a namespace that is prepared");
}

std::string option_of(std::string kind) {
    for (char& ch : kind)
        if (ch >= 'a' && ch <= 'z') ch = static_cast<char>(ch - 'a' + 'A');
    return cat("CONFIG_", kind);
}

void check_kinds(NetworkCheck& c) {
    const NetworkMode mode = *c.network().mode;
    std::vector<std::string> needed, missing, options;
    if (mode == NetworkMode::bridge) needed = {"veth", "bridge"};
    if (mode == NetworkMode::macvlan) needed = {"macvlan"};
    if (mode == NetworkMode::ipvlan) needed = {"ipvlan"};
    for (const std::string& kind : needed) {
        const auto found = c.facts.link_kinds.find(kind);
        if (found == c.facts.link_kinds.end() || found->second) continue;
        missing.push_back(kind);
        options.push_back(option_of(kind));
    }
    if (missing.empty()) return;
    const char* other = mode == NetworkMode::ipvlan    ? "mode macvlan or bridge"
                        : mode == NetworkMode::macvlan ? "mode bridge"
                                                       : "another mode";
    c.error("E0569", c.network().mode.at, "network.mode",
            cat("this kernel has no ", join(missing, " and no "), " links (", join(options, ", "), ")"),
            cat("use ", other, ", or a kernel that has them (modprobe -a ", join(missing, " "), ")"));
}

bool needs_filter(const Profile& p) {
    return *p.network.mode == NetworkMode::bridge && (*p.network.bridge.nat || is_confined(p) || sends_on(p));
}

void check_filter(NetworkCheck& c) {
    if (!needs_filter(c.profile) || !c.facts.network_known || c.facts.nftables || !c.facts.net_admin) return;
    c.error("E0568", c.network().mode.at, "network.mode",
            cat("this kernel's nftables cannot be used: ", errno_text(c.facts.nftables_error)),
            "load it (modprobe nf_tables); without it a bridge can have nat: false, no egress rules, and ports on loopback alone");
}

// ---- bridge and subnets

void check_bridge(NetworkCheck& c) {
    const Bridge& bridge = c.network().bridge;
    const InterfaceFact* link = c.link(*bridge.name);
    if (!link) {
        if (!*bridge.create)
            c.error("E0562", bridge.name.at, "network.bridge.name", cat("there is no bridge ", quote(*bridge.name), " on this host"),
                    cat("make it (ip link add ", *bridge.name, " type bridge), or say create: true"));
        return;
    }
    if (link->kind != "bridge")
        return c.error("E0561", bridge.name.at, "network.bridge.name",
                       cat(quote(*bridge.name), " is ", link->kind.empty() ? "an ordinary interface" : cat("a ", link->kind, " link"),
                           ", not a bridge"),
                       "choose another name");
    if (!link->up && !link->alias.starts_with("sandbox "))
        c.error("E0562", bridge.name.at, "network.bridge.name", cat("the bridge ", quote(*bridge.name), " is switched off"),
                cat("switch it on: ip link set ", *bridge.name, " up"));
}

// A gateway that is not given is the bridge itself.
bool is_gateway(const NetworkCheck& c) { return *c.network().interface.gateway_mode == GatewayMode::automatic; }

// The host's end of a sandbox's pair: what is there is the bridge's.
bool is_ours(const NetworkCheck& c, const std::string& link) {
    const InterfaceFact* fact = c.link(link);
    return fact && fact->kind == "veth" && fact->alias.starts_with("sandbox ");
}

// A default route that is written as two halves, as VPNs do, is in nobody's way.
bool is_default(const IpNetwork& network) { return network.prefix <= 1; }

// Networks of the host on other links, and of sandboxes on other bridges.
void check_overlap(NetworkCheck& c, const IpNetwork& subnet, Position at, const std::string& key) {
    const std::string& bridge = *c.network().bridge.name;
    const auto refuse = [&](const IpNetwork& other, const std::string& whose) {
        c.error("E0563", at, key, cat(to_text(subnet), " overlaps ", to_text(masked(other)), whose),
                "choose a subnet that nobody here uses");
    };
    for (const InterfaceFact& link : c.facts.interfaces)
        for (const IpNetwork& address : link.addresses)
            if (link.name != bridge && overlap(subnet, masked(address)) && !is_ours(c, link.name))
                return refuse(address, cat(" of ", link.kind == "bridge" ? "the bridge " : "", link.name));
    for (const RouteFact& route : c.facts.routes)
        if (route.interface != bridge && !is_default(route.to) && overlap(subnet, route.to) && !is_ours(c, route.interface))
            return refuse(route.to,
                          route.interface.empty() ? ", which the host has a route to" : cat(", which is reached by ", route.interface));
}

// A bridge that is there already is used as it is: it has to be in the subnet, and on one that sandboxes made all have one idea of it.
void check_agreement(NetworkCheck& c, const IpNetwork& subnet, Position at, const std::string& key) {
    const InterfaceFact* link = c.link(*c.network().bridge.name);
    if (!link || link->kind != "bridge") return;
    const bool v4 = subnet.address.is_v4(), ours = link->alias.starts_with("sandbox ");
    const std::string word = v4 ? "subnet" : "subnet6";
    const IpNetwork* other = nullptr;
    for (const IpNetwork& own : link->addresses) {
        if (own.address.is_v4() != v4 || (!v4 && own.address.is_link_local())) continue;
        if (masked(own) == subnet) return;
        other = &own;
    }
    if (other && (ours || overlap(masked(*other), subnet)))
        return c.error("E0564", at, key,
                       cat("the bridge ", link->name, ours ? " is in use with " : " is there already, with ", to_text(masked(*other))),
                       cat("say ", word, ": ", to_text(masked(*other)), ", or name another bridge"));
    // One that is just being made, or removed, may be seen without any: whoever comes to use it finds it whole, or makes it.
    if (ours && (!link->up || std::ranges::all_of(link->addresses, [](const IpNetwork& own) { return own.address.is_link_local(); })))
        return;
    if (ours)
        return c.error("E0564", at, key, cat("the bridge ", link->name, " is in use without an address of ", v4 ? "IPv4" : "IPv6"),
                       cat(v4 ? "" : "leave subnet6 out, or ", "name another bridge"));
    if (is_gateway(c) && wish_for(c.profile, subnet.address.family).mode != AddressMode::none)
        c.error("E0564", at, key, cat("the bridge ", link->name, " has no address in ", to_text(subnet), " and so is no gateway"),
                cat("give it one (ip address add ", to_text(IpNetwork{host_of(subnet, 1), subnet.prefix}), " dev ", link->name,
                    "), or say interface: {gateway: ADDRESS}, or null for none"));
}

void check_subnet(NetworkCheck& c, const IpNetwork& subnet, Position at, const char* key) {
    const std::size_t before = c.out.size();
    check_overlap(c, subnet, at, key);
    if (c.out.size() == before) check_agreement(c, subnet, at, key);
}

void check_subnets(NetworkCheck& c) {
    const Bridge& bridge = c.network().bridge;
    check_subnet(c, *bridge.subnet, bridge.subnet.at, "network.bridge.subnet");
    if (!bridge.subnet6) return;
    if (!c.facts.ipv6)
        c.error("E0572", bridge.subnet6->at, "network.bridge.subnet6", "this host has no IPv6, or has it switched off",
                "leave subnet6 out, or switch it on (sysctl -w net.ipv6.conf.all.disable_ipv6=0)");
    else
        check_subnet(c, **bridge.subnet6, bridge.subnet6->at, "network.bridge.subnet6");
}

// ---- addresses and ports

// On one bridge, or each with a machine's place in the networks outside.
bool shares_network(const NetworkCheck& c, const SandboxFact& other) {
    if (*c.network().mode == NetworkMode::bridge) return other.bridge == *c.network().bridge.name;
    return other.network == "macvlan" || other.network == "ipvlan";
}

void check_address(NetworkCheck& c, IpFamily family, const char* key) {
    const AddressWish wish = wish_for(c.profile, family);
    if (wish.mode != AddressMode::fixed) return;
    const Interface& i = c.network().interface;
    const Position at = family == IpFamily::v4 ? i.ip.mode.at : i.ip6.mode.at;
    const auto refuse = [&](const std::string& holder) {
        c.error("E0566", at, key, cat(to_text(wish.address), " is in use by ", holder), "choose another address, or say auto");
    };
    for (const InterfaceFact& link : c.facts.interfaces)
        for (const IpNetwork& own : link.addresses)
            if (own.address == wish.address) return refuse(cat("the host itself (", link.name, ")"));
    for (const SandboxFact& other : c.facts.sandboxes) {
        if (!other.running || c.is_own_name(other.name) || !shares_network(c, other)) continue;
        if (std::ranges::find(other.addresses, wish.address) != other.addresses.end()) return refuse(cat("sandbox ", quote(other.name)));
    }
}

bool is_same_place(const WantedPort& a, const BusyPort& b) {
    return a.port == b.port && a.udp == b.udp && a.address.family == b.address.family &&
           (a.address == b.address || a.address.is_any() || b.address.is_any());
}

std::string holder_of(const NetworkCheck& c, const BusyPort& busy) {
    for (const SandboxFact& other : c.facts.sandboxes)
        if (other.running && !c.is_own_name(other.name) &&
            std::ranges::any_of(other.ports, [&busy](const WantedPort& p) { return is_same_place(p, busy); }))
            return cat("sandbox ", quote(other.name));
    return busy.holder;
}

bool is_for(const Port& port, const BusyPort& busy) {
    const bool same_address = port.host_ip ? *port.host_ip == busy.address : busy.address.is_loopback();
    return same_address && (port.protocol == Protocol::udp) == busy.udp && busy.port >= port.host_port &&
           busy.port - port.host_port < port.count;
}

std::string shown(const BusyPort& busy) {
    return cat(busy.address.is_v4() ? to_text(busy.address) : cat("[", to_text(busy.address), "]"), ":", busy.port,
               busy.udp ? "/udp" : "/tcp");
}

// Without an address both loopbacks are asked for: which one is enough where the other cannot be had; empty: neither.
std::string_view free_loopback(const Port& port, const std::vector<const BusyPort*>& busy) {
    if (port.host_ip) return {};
    const auto is_v4 = [](const BusyPort* one) { return one->address.is_v4(); };
    if (std::ranges::none_of(busy, is_v4)) return "127.0.0.1";
    return std::ranges::all_of(busy, is_v4) ? "[::1]" : "";
}

// One for each key, whatever is the matter with how many sockets of it.
void refuse_port(NetworkCheck& c, const Port& port, const std::string& key, const std::vector<const BusyPort*>& busy) {
    const BusyPort& first = *busy.front();
    const std::string more = busy.size() == 1 ? "" : cat(" (and ", busy.size() == 2 ? shown(*busy[1]) : cat(busy.size() - 1, " more"), ")");
    const auto refuse = [&](const std::string& why, std::string hint) {
        if (const auto free = free_loopback(port, busy); !free.empty() && c.facts.ipv6)
            hint += cat(hint.empty() ? "" : ", or ", "write ", free, " before it to do without the other");
        c.error("E0567", port.at, key, cat(shown(first), why, more), hint);
    };
    const std::string holder = holder_of(c, first);
    if (first.error == EADDRINUSE)
        refuse(cat(" is in use", holder.empty() ? "" : cat(" by ", holder)), "publish it as another port of the host, or stop what has it");
    else if (first.error == EADDRNOTAVAIL)
        refuse(": the host does not have this address", "'ip address' shows those that it has");
    else if (first.error == EACCES)
        refuse(": ports below 1024 need CAP_NET_BIND_SERVICE", "choose a port from 1024 on");
    else
        refuse(cat(": ", errno_text(first.error)), "");
}

void check_ports(NetworkCheck& c) {
    const std::vector<Port>& ports = c.network().ports;
    for (std::size_t i = 0; i < ports.size(); ++i) {
        std::vector<const BusyPort*> busy;
        for (const BusyPort& one : c.facts.busy_ports)
            if (is_for(ports[i], one) && (c.facts.ipv6 || ports[i].host_ip || one.address.is_v4())) busy.push_back(&one);
        if (!busy.empty()) refuse_port(c, ports[i], cat("network.ports[", i, "]"), busy);
    }
}

bool is_of_bridge(const NetworkCheck& c, const IpAddress& router) {
    const Bridge& bridge = c.network().bridge;
    const auto is = [&](const IpNetwork& subnet) { return router == bridge_address(subnet, c.profile, c.facts); };
    return is(*bridge.subnet) || (bridge.subnet6 && is(**bridge.subnet6));
}

// What is confined goes to the host and nowhere else: nothing but the host is on its link.
void check_routers(NetworkCheck& c) {
    const Interface& i = c.network().interface;
    if (!is_confined(c.profile)) return;
    const auto refuse = [&c](Position at, const std::string& key, const char* what, const std::string& hint) {
        c.error("E0571", at, key, cat("egress rules are kept by the host: nothing ", what), hint);
    };
    constexpr const char* another = "leaves by another router";
    if (*i.gateway_mode == GatewayMode::fixed && !is_of_bridge(c, i.gateway))
        refuse(i.gateway_mode.at, "network.interface.gateway", another, "say gateway: auto, or egress: allow");
    for (std::size_t k = 0; k < i.routes.size(); ++k) {
        const Route& route = i.routes[k];
        const std::string key = cat("network.interface.routes[", k, "]");
        if (!route.via)
            refuse(route.at, key, "else is on the link", "leave it out, or write the bridge's address as its router");
        else if (!is_of_bridge(c, *route.via))
            refuse(route.at, key, another, "leave it out, or say egress: allow");
    }
}

// ---- macvlan, ipvlan; container

void check_parent(NetworkCheck& c) {
    const Text& parent = c.network().parent;
    const InterfaceFact* link = c.link(*parent);
    if (!link) {
        std::vector<std::string_view> names;
        for (const InterfaceFact& other : c.facts.interfaces)
            if (other.name != "lo" && !is_ours(c, other.name)) names.push_back(other.name);
        const auto near = nearest(*parent, names);
        return c.error("E0565", parent.at, "network.parent", cat("there is no interface ", quote(*parent), " on this host"),
                       near ? cat("did you mean ", quote(*near), "?") : "'ip link' shows those that there are");
    }
    if (!link->up)
        c.error("E0565", parent.at, "network.parent", cat("the interface ", quote(*parent), " is switched off"),
                cat("switch it on: ip link set ", *parent, " up"));
}

void check_owner(NetworkCheck& c) {
    const Text& of = c.network().of;
    const SandboxFact* other = find_sandbox_fact(c.facts, *of);
    if (!other) {
        std::vector<std::string_view> names;
        for (const SandboxFact& one : c.facts.sandboxes) names.push_back(one.name);
        const auto near = nearest(*of, names);
        return c.error("E0570", of.at, "network.of", cat("there is no sandbox ", quote(*of)),
                       near ? cat("did you mean ", quote(*near), "?") : "start it first; 'sandbox ps' lists those that there are");
    }
    if (!other->running)
        return c.error("E0570", of.at, "network.of", cat("sandbox ", quote(*of), " does not run"), cat("start it: sandbox start ", *of));
    if (other->network == "host" || other->network == "path")
        c.error("E0570", of.at, "network.of", cat("sandbox ", quote(*of), " has no network of its own (mode ", other->network, ")"),
                cat("say mode: ", other->network, " here as well"));
}

// In the host's network its stub is there too, and without a network there is nobody to ask.
void check_names(NetworkCheck& c) {
    const NetworkMode mode = *c.network().mode;
    const Dns& dns = c.network().dns;
    const ResolverFact& host = c.facts.resolver;
    if (!shows_names(c.profile) || mode == NetworkMode::none || mode == NetworkMode::host) return;
    if (*dns.mode != DnsMode::automatic || !host.servers.empty() || host.stub.empty()) return;
    c.error("E0573", dns.at, "network.dns",
            cat("the host asks only ", host.stub, ", which the sandbox cannot reach: it has no name server"),
            "say dns: {servers: [ADDRESS]}, or [] for none");
    c.out.back().severity = Severity::warning;
}

}  // namespace

void check_network_on_host(const Profile& profile, const HostFacts& facts, Diagnostics& out) {
    NetworkCheck c{profile, facts, out};
    const NetworkMode mode = *profile.network.mode;
    check_rights(c);
    check_kinds(c);
    check_filter(c);
    if (mode == NetworkMode::bridge && facts.network_known) {
        check_bridge(c);
        check_subnets(c);
        check_ports(c);
        check_routers(c);
    }
    if (makes_link(profile) && facts.network_known) {
        check_address(c, IpFamily::v4, "network.interface.ip");
        check_address(c, IpFamily::v6, "network.interface.ip6");
    }
    if ((mode == NetworkMode::macvlan || mode == NetworkMode::ipvlan) && facts.network_known) check_parent(c);
    if (mode == NetworkMode::container) check_owner(c);
    check_names(c);
}

}  // namespace sandbox
