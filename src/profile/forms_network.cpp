// Links, addresses, routes, published ports, name servers, what may be reached.
#include <algorithm>

#include "base/text.h"
#include "profile/forms.h"

namespace sandbox {
namespace {

constexpr std::string_view automatic = "auto";
constexpr std::string_view address_pattern = "^[0-9A-Fa-f:.]+$|\\$\\{";
constexpr std::string_view network_pattern = "^[0-9A-Fa-f:.]+/[0-9]+$|\\$\\{";

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

std::string shown(std::string_view text) { return quote(text.substr(0, 80)); }

// ---- addresses

std::string address_hint(std::string_view text) {
    if (text.find('%') != std::string_view::npos) return "write it without a zone";
    if (const auto slash = text.find('/'); slash != std::string_view::npos && parse_ip(text.substr(0, slash)))
        return cat("without a prefix: ", text.substr(0, slash));
    if (text.starts_with('[') && text.ends_with(']')) return "write it without brackets";
    return "names are not looked up: write an address such as 10.88.0.7 or fd00::7";
}

// Nothing, and a diagnostic, for what is no address.
std::optional<IpAddress> read_address(Decoder& decoder, const Node& node, std::string_view text) {
    auto address = parse_ip(text);
    if (!address) decoder.error("E0329", node, cat(shown(text), " is not an address"), address_hint(text));
    return address;
}

IpNetwork whole_address(const IpAddress& address) { return {address, address.width()}; }

// A network, or one address.
std::optional<IpNetwork> parse_network_or_address(std::string_view text) {
    if (const auto address = parse_ip(text)) return whole_address(*address);
    return parse_ip_network(text);
}

void decode_subnet(Decoder& decoder, const Node& node, IpFamily family, std::string_view wanted, IpNetwork& out) {
    const std::string* text = read_text(decoder, node, wanted);
    if (!text) return;
    const auto network = parse_ip_network(*text);
    if (network && network->address.family == family) {
        out = *network;
        return;
    }
    const bool v4 = family == IpFamily::v4;
    decoder.error("E0330", node, cat(shown(*text), v4 ? " is not an IPv4 network" : " is not an IPv6 network"),
                  network           ? cat("it belongs into ", v4 ? "'subnet6'" : "'subnet'")
                  : parse_ip(*text) ? "add the length of the prefix, such as /24"
                                    : cat("write ADDRESS/PREFIX, such as ", v4 ? "10.88.0.0/24" : "fd00:88::/64"));
}

}  // namespace

void AddressForm::decode(Decoder& decoder, const Node& node, IpAddress& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    if (const auto address = read_address(decoder, node, *text)) out = *address;
}
Node AddressForm::encode(const IpAddress& value) { return text_node(to_text(value)); }
Node AddressForm::schema() { return pattern_schema(address_pattern); }
std::string AddressForm::describe() { return "an address such as 10.88.0.7"; }

void Subnet4::decode(Decoder& decoder, const Node& node, IpNetwork& out) { decode_subnet(decoder, node, IpFamily::v4, describe(), out); }
Node Subnet4::encode(const IpNetwork& value) { return text_node(to_text(value)); }
Node Subnet4::schema() { return pattern_schema(network_pattern); }
std::string Subnet4::describe() { return "a network such as 10.88.0.0/24"; }

void Subnet6::decode(Decoder& decoder, const Node& node, IpNetwork& out) { decode_subnet(decoder, node, IpFamily::v6, describe(), out); }
Node Subnet6::encode(const IpNetwork& value) { return text_node(to_text(value)); }
Node Subnet6::schema() { return pattern_schema(network_pattern); }
std::string Subnet6::describe() { return "a network such as fd00:88::/64"; }

// ---- links

namespace {

// The kernel wants 1 to 15 bytes without '/', ':' and blanks, and takes '%' for a template (dev_valid_name and
// dev_alloc_name in net/core/dev.c). The rest keeps a name what it is in nftables, where '*' at the end is a pattern.
bool is_link_name(std::string_view text) {
    const auto fits = [](char c) { return is_letter_or_digit(c) || std::string_view("._-+@").find(c) != std::string_view::npos; };
    return !text.empty() && text.size() <= 15 && text != "." && text != ".." && std::ranges::all_of(text, fits);
}

// The loopback is there already; the others are folders under /proc/sys/net/ipv4/conf that stand for all links.
bool is_taken_name(std::string_view text) { return text == "lo" || text == "all" || text == "default"; }

}  // namespace

void LinkName::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    if (is_taken_name(*text))
        decoder.error("E0332", node, cat(quote(*text), " has a meaning of its own to the kernel"), "take another name, such as eth0");
    else if (!is_link_name(*text))
        decoder.error("E0332", node, cat(shown(*text), " cannot be the name of an interface"),
                      "1 to 15 letters, digits, '.', '_', '-', '+', '@', and not '.' or '..'");
}
Node LinkName::encode(const std::string& value) { return value.empty() ? null_node() : text_node(value); }
Node LinkName::schema() { return pattern_schema("^[A-Za-z0-9._+@-]{1,15}$|\\$\\{"); }
std::string LinkName::describe() { return "the name of an interface, such as eth0"; }

void MacForm::decode(Decoder& decoder, const Node& node, MacAddress& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    const auto mac = parse_mac(*text);
    if (!mac)
        return decoder.error("E0331", node, cat(shown(*text), " is not a link-layer address"),
                             "write six bytes in hexadecimal, such as 02:00:0a:58:00:0a");
    if ((*mac)[0] & 1)
        return decoder.error("E0331", node, cat(quote(*text), " is a multicast address"),
                             "the first byte is even, such as 02:00:0a:58:00:0a");
    if (*mac == MacAddress{}) return decoder.error("E0331", node, "no interface can have the address of all zeros", "leave the key out");
    out = *mac;
}
Node MacForm::encode(const MacAddress& value) { return text_node(to_text(value)); }
Node MacForm::schema() { return pattern_schema("^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$|\\$\\{"); }
std::string MacForm::describe() { return "a link-layer address such as 02:00:0a:58:00:0a"; }

// ---- the interface's addresses

namespace {

void decode_interface_address(Decoder& decoder, const Node& node, IpFamily family, std::string_view wanted, InterfaceAddress& out) {
    out = {};
    out.mode = {AddressMode::none, node.at};
    if (node.is_null()) return;
    const std::string* text = read_text(decoder, node, wanted);
    if (!text) return;
    if (*text == automatic) {
        out.mode.value = AddressMode::automatic;
        return;
    }
    const auto network = parse_network_or_address(*text);
    const bool v4 = family == IpFamily::v4;
    if (!network || network->address.family != family)
        return decoder.error("E0329", node, cat(shown(*text), v4 ? " is not an IPv4 address" : " is not an IPv6 address"),
                             network ? cat("it belongs into ", v4 ? "'ip6'" : "'ip'")
                                     : cat("write auto, null, or an address such as ", v4 ? "10.88.0.10/24" : "fd00:88::10/64"));
    out.mode.value = AddressMode::fixed;
    out.address = *network;
    out.has_prefix = text->find('/') != std::string::npos;
}

Node encode_interface_address(const InterfaceAddress& value) {
    if (*value.mode == AddressMode::none) return null_node();
    if (*value.mode == AddressMode::automatic) return text_node(std::string(automatic));
    return text_node(to_text(value.address));
}

Node interface_address_schema() { return any_of({pattern_schema("^auto$|^[0-9A-Fa-f:.]+(/[0-9]+)?$|\\$\\{"), type_schema("null")}); }

}  // namespace

void InterfaceIp::decode(Decoder& decoder, const Node& node, InterfaceAddress& out) {
    decode_interface_address(decoder, node, IpFamily::v4, describe(), out);
}
Node InterfaceIp::encode(const InterfaceAddress& value) { return encode_interface_address(value); }
Node InterfaceIp::schema() { return interface_address_schema(); }
std::string InterfaceIp::describe() { return "auto, null, or an address such as 10.88.0.10/24"; }

void InterfaceIp6::decode(Decoder& decoder, const Node& node, Interface& out) {
    out.ip6_given = true;
    decode_interface_address(decoder, node, IpFamily::v6, describe(), out.ip6);
}
Node InterfaceIp6::encode(const Interface& value) { return encode_interface_address(value.ip6); }
Node InterfaceIp6::schema() { return interface_address_schema(); }
std::string InterfaceIp6::describe() { return "auto, null, or an address such as fd00:88::10/64"; }

void GatewayForm::decode(Decoder& decoder, const Node& node, Interface& out) {
    out.gateway_mode = {GatewayMode::none, node.at};
    if (node.is_null()) return;
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    if (*text == automatic) {
        out.gateway_mode.value = GatewayMode::automatic;
    } else if (const auto address = read_address(decoder, node, *text)) {
        out.gateway_mode.value = GatewayMode::fixed;
        out.gateway = *address;
    }
}
Node GatewayForm::encode(const Interface& value) {
    if (*value.gateway_mode == GatewayMode::none) return null_node();
    return text_node(*value.gateway_mode == GatewayMode::automatic ? std::string(automatic) : to_text(value.gateway));
}
Node GatewayForm::schema() { return any_of({pattern_schema("^auto$|^[0-9A-Fa-f:.]+$|\\$\\{"), type_schema("null")}); }
std::string GatewayForm::describe() { return "auto, null, or an address such as 10.88.0.1"; }

// ---- routes

namespace {

constexpr std::string_view default_route = "default";

// "default" has no family of its own.
IpNetwork everywhere(const std::optional<IpAddress>& via) {
    IpNetwork out;
    if (via) out.address.family = via->family;
    return out;
}

void decode_route_to(Decoder& decoder, const Node& node, std::string_view text, Route& out) {
    if (text == default_route) {
        out.to = everywhere(out.via);
    } else if (const auto network = parse_network_or_address(text)) {
        out.to = *network;
    } else {
        decoder.error("E0334", node, cat(shown(text), " is not a network to lead to"),
                      "write ADDRESS/PREFIX such as 10.9.0.0/16, or default");
    }
}

void decode_short_route(Decoder& decoder, const Node& node, std::string_view text, Route& out) {
    static constexpr std::string_view between = " via ";
    const auto via = text.find(between);
    if (via != std::string_view::npos) {
        out.via = read_address(decoder, node, text.substr(via + between.size()));
        if (!out.via) return;
    }
    decode_route_to(decoder, node, text.substr(0, via), out);
}

bool leads_everywhere(const Node& route) {
    const Node* to = route.is_map() ? route.find("to") : &route;
    return to && to->is_scalar() && to->text == default_route;
}

}  // namespace

void RouteTo::decode(Decoder& decoder, const Node& node, Route& out) {
    if (const std::string* text = read_text(decoder, node, describe())) decode_route_to(decoder, node, *text, out);
}
Node RouteTo::encode(const Route& value) { return text_node(to_text(value.to)); }
Node RouteTo::schema() { return pattern_schema("^default$|^[0-9A-Fa-f:.]+(/[0-9]+)?$|\\$\\{"); }
std::string RouteTo::describe() { return "a network such as 10.9.0.0/16, or default"; }

void RouteForm::decode(Decoder& decoder, const Node& node, Route& out) {
    out.at = node.at;
    if (node.is_map())
        Record<Route>::decode(decoder, node, out);
    else if (const std::string* text = read_text(decoder, node, describe()))
        decode_short_route(decoder, node, *text, out);
    if (!leads_everywhere(node)) return;
    // In a map `via` may come after `to`.
    out.to = everywhere(out.via);
    if (!out.via)
        decoder.error("E0334", node, "a default route without a router has no family", "add via, or write 0.0.0.0/0 or ::/0 for 'default'");
}
Node RouteForm::encode(const Route& value) { return Record<Route>::encode(value); }
Node RouteForm::schema() {
    return any_of({pattern_schema("^(default|[0-9A-Fa-f:.]+(/[0-9]+)?)( via [0-9A-Fa-f:.]+)?$|\\$\\{"), Record<Route>::schema()});
}
std::string RouteForm::describe() { return "\"NETWORK via ADDRESS\", \"NETWORK\" or a map"; }

// ---- ports

namespace {

constexpr std::string_view port_pattern = "[0-9]+(-[0-9]+)?";

struct PortRange {
    std::uint16_t first = 0, count = 1;
};

// A port number, or two with a hyphen between; `why` says what is wrong with it.
std::optional<PortRange> parse_ports(std::string_view text, std::string_view& why) {
    const auto dash = text.find('-');
    const auto first = parse_id(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_id(text.substr(dash + 1));
    why = "a port is a number from 1 to 65535, a range is FIRST-LAST";
    if (!first || !last || *first == 0 || *last == 0 || *first > 65535 || *last > 65535) return std::nullopt;
    why = "a range begins with its lower port";
    if (*first > *last) return std::nullopt;
    return PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last - *first + 1)};
}

std::string format_ports(std::uint32_t first, std::uint32_t count) {
    return count == 1 ? std::to_string(first) : cat(first, "-", first + count - 1);
}

Node ports_node(std::uint16_t first, std::uint16_t count) {
    return count == 1 ? number_node(first) : text_node(format_ports(first, count));
}

Node ports_schema() { return any_of({integer_schema(1, 65535), pattern_schema(cat("^", port_pattern, "$|\\$\\{"))}); }

std::optional<PortRange> read_ports(Decoder& decoder, const Node& node, std::string_view wanted) {
    const std::string* text = read_any_text(decoder, node, wanted);
    if (!text) return std::nullopt;
    std::string_view why;
    const auto range = parse_ports(*text, why);
    if (!range) decoder.error("E0333", node, cat(shown(*text), " is not a port"), std::string(why));
    return range;
}

// Takes "/tcp" or "/udp" off the end, if it is there.
std::optional<Protocol> take_protocol(std::string_view& text) {
    for (const Word& word : Words<Protocol>::words)
        if (text.size() > word.name.size() && text.ends_with(word.name) && text[text.size() - word.name.size() - 1] == '/') {
            text.remove_suffix(word.name.size() + 1);
            return static_cast<Protocol>(word.value);
        }
    return std::nullopt;
}

// Takes "ADDRESS:" off the front: one in brackets, or what stands before two ports. False if it is no address.
bool take_host_ip(std::string_view& text, std::optional<IpAddress>& out) {
    if (text.starts_with('[')) {
        const auto end = text.find("]:");
        if (end == std::string_view::npos) return false;
        out = parse_ip(text.substr(1, end - 1));
        text.remove_prefix(end + 2);
        return out && !out->is_v4() && text.find(':') != std::string_view::npos;
    }
    if (std::ranges::count(text, ':') < 2) return true;
    const auto end = text.find(':');
    out = parse_ip(text.substr(0, end));
    text.remove_prefix(end + 1);
    return out.has_value();
}

// "[ADDRESS:][HOST PORTS:]PORTS[/PROTOCOL]"; `why` says what is wrong with it.
std::optional<Port> parse_published(std::string_view text, std::string_view& why) {
    Port out;
    if (const auto protocol = take_protocol(text)) out.protocol = *protocol;
    why = "the protocol is tcp or udp";
    if (text.find('/') != std::string_view::npos) return std::nullopt;
    why = "write \"8080:80\", \"127.0.0.1:8080:80\", \"[::1]:8080:80\", or the map form {host_ip, host_port, port, protocol}";
    if (!take_host_ip(text, out.host_ip)) return std::nullopt;
    const auto colon = text.find(':');
    const std::string_view inside = colon == std::string_view::npos ? text : text.substr(colon + 1);
    if (parse_ip(text.substr(0, colon)) || inside.find(':') != std::string_view::npos) return std::nullopt;
    const auto host_ports = parse_ports(text.substr(0, colon), why);
    if (!host_ports) return std::nullopt;
    const auto ports = parse_ports(inside, why);
    if (!ports) return std::nullopt;
    out.host_port = host_ports->first;
    out.host_count = host_ports->count;
    out.port = ports->first;
    out.count = ports->count;
    return out;
}

std::string scalar_text(const Node& map, std::string_view key) {
    const Node* value = map.find(key);
    return value && value->is_scalar() ? value->text : std::string();
}

}  // namespace

void HostPorts::decode(Decoder& decoder, const Node& node, Port& out) {
    const auto range = read_ports(decoder, node, describe());
    if (!range) return;
    out.host_port = range->first;
    out.host_count = range->count;
}
Node HostPorts::encode(const Port& value) { return value.host_port == 0 ? null_node() : ports_node(value.host_port, value.host_count); }
Node HostPorts::schema() { return ports_schema(); }
std::string HostPorts::describe() { return "a port, or a range such as 8000-8010"; }

void InsidePorts::decode(Decoder& decoder, const Node& node, Port& out) {
    const auto range = read_ports(decoder, node, describe());
    if (!range) return;
    out.port = range->first;
    out.count = range->count;
}
Node InsidePorts::encode(const Port& value) { return ports_node(value.port, value.count); }
Node InsidePorts::schema() { return ports_schema(); }
std::string InsidePorts::describe() { return HostPorts::describe(); }

void PortForm::decode(Decoder& decoder, const Node& node, Port& out) {
    out.at = node.at;
    if (node.is_map()) {
        Record<Port>::decode(decoder, node, out);
        if (out.host_port == 0) {
            out.host_port = out.port;
            out.host_count = out.count;
        }
        return;
    }
    const std::string* text = read_any_text(decoder, node, describe());
    if (!text) return;
    std::string_view why;
    const auto port = parse_published(*text, why);
    if (!port) return decoder.error("E0333", node, cat(shown(*text), " is not a published port"), std::string(why));
    out = *port;
    out.at = node.at;
}
Node PortForm::encode(const Port& value) { return Record<Port>::encode(value); }
Node PortForm::schema() {
    const std::string pattern = cat("^(((\\[[0-9A-Fa-f:.]+\\]|[0-9.]+):)?", port_pattern, ":)?", port_pattern, "(/(tcp|udp))?$|\\$\\{");
    return any_of({integer_schema(1, 65535), pattern_schema(pattern), Record<Port>::schema()});
}
std::string PortForm::describe() { return "\"[ADDRESS:][HOST PORT:]PORT[/PROTOCOL]\" or a map"; }

namespace {

std::string port_identity(std::string_view host_ip, std::string_view ports, std::string_view protocol) {
    return host_ip.empty() ? cat(ports, "/", protocol) : cat("[", host_ip, "]:", ports, "/", protocol);
}

}  // namespace

std::string PortForm::identity(const Node& node) {
    if (node.is_map()) {
        const std::string written = scalar_text(node, "host_ip"), ports = scalar_text(node, "port"),
                          protocol = scalar_text(node, "protocol");
        const auto address = parse_ip(written);
        if (ports.empty()) return {};
        return port_identity(address ? to_text(*address) : written, ports, protocol.empty() ? "tcp" : protocol);
    }
    std::string_view why;
    const auto port = node.is_scalar() ? parse_published(node.text, why) : std::nullopt;
    if (!port) return {};
    return port_identity(port->host_ip ? to_text(*port->host_ip) : "", format_ports(port->port, port->count),
                         name_of(Words<Protocol>::words, static_cast<int>(port->protocol)));
}

// ---- name servers and names

namespace {

// Host and domain names as DNS has them, with the '_' that services use.
bool is_domain(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    return std::ranges::all_of(split(text, '.'), [](std::string_view part) {
        return !part.empty() && part.size() <= 63 && !part.starts_with('-') && !part.ends_with('-') &&
               std::ranges::all_of(part, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_'; });
    });
}

constexpr std::string_view domain_hint = "letters, digits, '-', '_' and dots between, at most 63 bytes a part and 253 in all";

}  // namespace

void DomainName::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    if (!is_domain(*text)) decoder.error("E0336", node, cat(shown(*text), " is not a domain"), std::string(domain_hint));
}
Node DomainName::encode(const std::string& value) { return text_node(value); }
Node DomainName::schema() { return pattern_schema("^[A-Za-z0-9._-]{1,253}$|\\$\\{"); }
std::string DomainName::describe() { return "a domain such as example.org"; }

void ResolverWord::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    const auto fits = [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_' || c == ':' || c == '.'; };
    if (text->empty() || text->size() > 64 || !std::ranges::all_of(*text, fits))
        decoder.error("E0336", node, cat(shown(*text), " is not an option of the resolver"), "one word each, such as ndots:2 or rotate");
}
Node ResolverWord::encode(const std::string& value) { return text_node(value); }
Node ResolverWord::schema() { return pattern_schema("^[A-Za-z0-9._:-]{1,64}$|\\$\\{"); }
std::string ResolverWord::describe() { return "an option of resolv.conf(5) such as ndots:2"; }

void DnsServers::decode(Decoder& decoder, const Node& node, Dns& out) {
    out.mode.at = node.at;
    if (node.is_scalar() && node.text == automatic) {
        out.mode.value = DnsMode::automatic;
        return;
    }
    if (!node.is_sequence()) return decoder.wrong_type(node, describe(), "write addresses between brackets");
    out.mode.value = DnsMode::fixed;
    List<Located<AddressForm>>::decode(decoder, node, out.servers);
}
Node DnsServers::encode(const Dns& value) {
    return *value.mode == DnsMode::automatic ? text_node(std::string(automatic)) : List<Located<AddressForm>>::encode(value.servers);
}
Node DnsServers::schema() { return any_of({words_schema(std::span(&automatic, 1)), list_schema(AddressForm::schema())}); }
std::string DnsServers::describe() { return "auto, or a list of addresses"; }

void DnsSearch::decode(Decoder& decoder, const Node& node, Dns& out) {
    out.search_given = true;
    List<Located<DomainName>>::decode(decoder, node, out.search);
}
Node DnsSearch::encode(const Dns& value) { return value.search_given ? List<Located<DomainName>>::encode(value.search) : null_node(); }
Node DnsSearch::schema() { return list_schema(DomainName::schema()); }
std::string DnsSearch::describe() { return "a list of domains"; }

void DnsOptions::decode(Decoder& decoder, const Node& node, Dns& out) {
    out.options_given = true;
    List<Located<ResolverWord>>::decode(decoder, node, out.options);
}
Node DnsOptions::encode(const Dns& value) { return value.options_given ? List<Located<ResolverWord>>::encode(value.options) : null_node(); }
Node DnsOptions::schema() { return list_schema(ResolverWord::schema()); }
std::string DnsOptions::describe() { return "a list of options"; }

void HostMap::decode(Decoder& decoder, const Node& node, HostAddresses& out) {
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        if (!is_domain(entry.key))
            decoder.error("E0336", entry.at, entry.length, cat(shown(entry.key), " is not the name of a host"),
                          parse_ip(entry.key) ? "write NAME: ADDRESS" : std::string(domain_hint));
        else
            Located<AddressForm>::decode(decoder, entry.value, out[entry.key]);
    }
}
Node HostMap::encode(const HostAddresses& value) { return FreeMap<Located<AddressForm>>::encode(value); }
Node HostMap::schema() { return map_schema(AddressForm::schema()); }
std::string HostMap::describe() { return "a map NAME: ADDRESS"; }

// ---- what may be reached

namespace {

struct RuleParts {
    std::string_view network, ports;  // ports: with the protocol
    bool has_ports = false;
};

// An IPv6 network has colons of its own, so ports come after brackets.
std::optional<RuleParts> split_rule(std::string_view text) {
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view network = text.substr(1, end - 1), rest = text.substr(end + 1);
        if (rest.empty()) return RuleParts{network, {}, false};
        if (!rest.starts_with(':')) return std::nullopt;
        return RuleParts{network, rest.substr(1), true};
    }
    const auto colon = text.find(':');
    if (colon == std::string_view::npos || std::ranges::count(text, ':') > 1) return RuleParts{text, {}, false};
    return RuleParts{text.substr(0, colon), text.substr(colon + 1), true};
}

// `why` says what is wrong with it.
std::optional<EgressRule> parse_rule(std::string_view text, std::string_view& why) {
    why = "write \"10.0.0.0/8\", \"10.0.0.0/8:5432/tcp\" or \"[fd00::/8]:443\"; names are not looked up";
    auto parts = split_rule(text);
    const auto network = parts ? parse_network_or_address(parts->network) : std::nullopt;
    if (!network) return std::nullopt;
    EgressRule out;
    out.to = *network;
    if (!parts->has_ports) return out;
    out.protocol = take_protocol(parts->ports);
    why = "the protocol is tcp or udp";
    if (parts->ports.find('/') != std::string_view::npos) return std::nullopt;
    const auto ports = parse_ports(parts->ports, why);
    if (!ports) return std::nullopt;
    out.first_port = ports->first;
    out.last_port = static_cast<std::uint16_t>(ports->first + ports->count - 1);
    return out;
}

// "deny" beside a list of another file means the same as {default: deny}.
void spell_egress_out(Node& node) {
    if (!node.is_scalar()) return;
    Node map = map_node();
    map.at = node.at;
    map.length = node.length;
    map.entries.push_back({"default", node.at, node.length, std::move(node)});
    node = std::move(map);
}

}  // namespace

void EgressRuleForm::decode(Decoder& decoder, const Node& node, EgressRule& out) {
    out.at = node.at;
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    std::string_view why;
    const auto rule = parse_rule(*text, why);
    if (!rule) return decoder.error("E0335", node, cat(shown(*text), " is not a network with ports"), std::string(why));
    out = *rule;
    out.at = node.at;
}
Node EgressRuleForm::encode(const EgressRule& value) {
    std::string text = to_text(value.to);
    if (value.first_port == 0) return text_node(std::move(text));
    if (!value.to.address.is_v4()) text = cat("[", text, "]");
    text += cat(":", format_ports(value.first_port, static_cast<std::uint32_t>(value.last_port) - value.first_port + 1));
    if (value.protocol) text += cat("/", name_of(Words<Protocol>::words, static_cast<int>(*value.protocol)));
    return text_node(std::move(text));
}
Node EgressRuleForm::schema() {
    return pattern_schema(cat("^(\\[[0-9A-Fa-f:.]+(/[0-9]+)?\\]|[0-9A-Fa-f:.]+(/[0-9]+)?)(:", port_pattern, "(/(tcp|udp))?)?$|\\$\\{"));
}
std::string EgressRuleForm::describe() { return "\"NETWORK[:PORTS[/PROTOCOL]]\", such as 10.0.0.0/8:5432/tcp"; }

void EgressForm::decode(Decoder& decoder, const Node& node, Egress& out) {
    if (node.is_map()) return decode_fields(decoder, node, &out, fields_of<Egress>());
    if (!node.is_scalar()) return decoder.wrong_type(node, describe());
    Located<Enum<EgressMode>>::decode(decoder, node, out.mode);
}
Node EgressForm::encode(const Egress& value) {
    return value.allow.empty() ? Enum<EgressMode>::encode(*value.mode) : encode_fields(&value, fields_of<Egress>());
}
Node EgressForm::schema() { return any_of({word_schema(Words<EgressMode>::words), schema_fields(fields_of<Egress>())}); }
std::string EgressForm::describe() { return "allow, deny, or {default: deny, allow: [...]}"; }
Shape EgressForm::shape() { return {Shape::record, fields_of<Egress>, nullptr, spell_egress_out}; }

}  // namespace sandbox
