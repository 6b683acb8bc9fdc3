// The host's network as a launch needs it: links, addresses, routes, the packet filter, and the ports that are asked for.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/text.h"
#include "host/netlink_dump.h"
#include "host/parts.h"
#include "host/ports.h"
#include "host/read.h"

namespace sandbox {
namespace {

template <class T>
std::string_view bytes_of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

// The fixed header that a message begins with; what follows is left in `body`.
template <class T>
bool take(std::string_view& body, T& header) {
    constexpr std::size_t size = (sizeof(T) + 3) & ~std::size_t{3};
    if (body.size() < sizeof header) return false;
    std::memcpy(&header, body.data(), sizeof header);
    body.remove_prefix(std::min(size, body.size()));
    return true;
}

std::optional<IpAddress> address_of(int family, std::string_view bytes) {
    IpAddress address;
    address.family = family == AF_INET ? IpFamily::v4 : IpFamily::v6;
    if ((family != AF_INET && family != AF_INET6) || bytes.size() != address.size()) return std::nullopt;
    std::memcpy(address.bytes.data(), bytes.data(), bytes.size());
    return address;
}

InterfaceFact* interface_of(HostFacts& facts, int index) {
    for (InterfaceFact& interface : facts.interfaces)
        if (interface.index == index) return &interface;
    return nullptr;
}

// One of ours that is just being made has its alias in a moment: a bridge with such an address (exec/shared_network.cpp), or the host's end
// of a sandbox's pair, "sb" and eight hexadecimal digits.
bool is_being_made(const InterfaceFact& link, std::string_view mac) {
    if (!link.alias.empty()) return false;
    if (link.kind == "bridge") return mac.starts_with("\x02\x53");
    return link.kind == "veth" && link.name.size() == 10 && link.name.starts_with("sb") &&
           link.name.find_first_not_of("0123456789abcdef", 2) == std::string::npos;
}

void add_link(HostFacts& facts, std::string_view body) {
    ifinfomsg header{};
    if (!take(body, header)) return;
    InterfaceFact& link = facts.interfaces.emplace_back();
    link.index = header.ifi_index;
    link.up = (header.ifi_flags & IFF_UP) != 0;
    std::string_view mac;
    for_attributes(body, [&](const NetlinkAttribute& attribute) {
        if (attribute.type == IFLA_IFNAME) link.name = attribute.text();
        if (attribute.type == IFLA_IFALIAS) link.alias = attribute.text();
        if (attribute.type == IFLA_ADDRESS) mac = attribute.value;
        if (attribute.type != IFLA_LINKINFO) return;
        for_attributes(attribute.value, [&](const NetlinkAttribute& part) {
            if (part.type == IFLA_INFO_KIND) link.kind = part.text();
        });
    });
    if (is_being_made(link, mac)) link.alias = "sandbox ";
}

void add_address(HostFacts& facts, std::string_view body) {
    ifaddrmsg header{};
    if (!take(body, header)) return;
    InterfaceFact* interface = interface_of(facts, static_cast<int>(header.ifa_index));
    std::optional<IpAddress> address;
    // Of a link between two hosts IFA_ADDRESS is the other's.
    for_attributes(body, [&](const NetlinkAttribute& attribute) {
        if (attribute.type == IFA_LOCAL || (attribute.type == IFA_ADDRESS && !address))
            address = address_of(header.ifa_family, attribute.value);
    });
    if (interface && address) interface->addresses.push_back({*address, header.ifa_prefixlen});
}

// The link of a route; of one with several ways that of the first.
int link_of_ways(std::string_view ways) {
    rtnexthop first{};
    if (ways.size() < sizeof first) return 0;
    std::memcpy(&first, ways.data(), sizeof first);
    return first.rtnh_ifindex;
}

// A kernel without IPv6 answers a question for its routes with those of IPv4.
void add_route(HostFacts& facts, int family, std::string_view body) {
    rtmsg header{};
    if (!take(body, header) || header.rtm_type != RTN_UNICAST || header.rtm_family != family) return;
    RouteFact route;
    std::uint32_t table = header.rtm_table;
    int index = 0;
    bool known = true;
    route.to.address.family = family == AF_INET ? IpFamily::v4 : IpFamily::v6;
    route.to.prefix = header.rtm_dst_len;
    for_attributes(body, [&](const NetlinkAttribute& attribute) {
        if (attribute.type == RTA_TABLE) table = attribute.number();
        if (attribute.type == RTA_OIF) index = static_cast<int>(attribute.number());
        if (attribute.type == RTA_MULTIPATH) index = link_of_ways(attribute.value);
        if (attribute.type != RTA_DST) return;
        const auto to = address_of(family, attribute.value);
        known = known && to;
        if (to) route.to.address = *to;
    });
    // Every link has those of its own.
    if (!known || table != RT_TABLE_MAIN || route.to.address.is_link_local() || route.to.address.is_multicast()) return;
    // One of a link that was made after the links had been looked at is of another sandbox, or comes too late for us.
    const InterfaceFact* interface = interface_of(facts, index);
    if (!interface && index != 0) return;
    if (interface) route.interface = interface->name;
    facts.routes.push_back(std::move(route));
}

bool dump_links(NetlinkQuestion& kernel, HostFacts& facts) {
    struct {
        ifinfomsg header{};
        nlattr mask{sizeof(nlattr) + sizeof(std::uint32_t), IFLA_EXT_MASK};
        std::uint32_t without_counters = RTEXT_FILTER_SKIP_STATS;
    } question;
    return kernel.ask(RTM_GETLINK, NLM_F_DUMP, bytes_of(question), RTM_NEWLINK, [&](std::string_view body) { add_link(facts, body); }) == 0;
}

bool dump_addresses(NetlinkQuestion& kernel, HostFacts& facts) {
    const ifaddrmsg question{};
    return kernel.ask(RTM_GETADDR, NLM_F_DUMP, bytes_of(question), RTM_NEWADDR, [&](std::string_view body) { add_address(facts, body); }) ==
           0;
}

bool dump_routes(NetlinkQuestion& kernel, HostFacts& facts) {
    rtmsg question{};
    question.rtm_table = RT_TABLE_MAIN;
    for (const unsigned char family : {AF_INET, AF_INET6}) {
        question.rtm_family = family;
        const int error = kernel.ask(RTM_GETROUTE, NLM_F_DUMP, bytes_of(question), RTM_NEWROUTE,
                                     [&](std::string_view body) { add_route(facts, family, body); });
        // Without IPv6, or before its first route, there is no such table.
        if (error == EINTR || (error != 0 && family == AF_INET && error != ENOENT)) return false;
    }
    return true;
}

// Whatever changes while it is read is read again.
void dump(HostFacts& facts) {
    NetlinkQuestion kernel(NETLINK_ROUTE);
    kernel.be_strict();
    for (int trial = 0; trial < 3 && !facts.network_known; ++trial) {
        facts.interfaces.clear();
        facts.routes.clear();
        facts.network_known = dump_links(kernel, facts) && dump_addresses(kernel, facts) && dump_routes(kernel, facts);
    }
}

// CAP_NET_ADMIN counts in namespaces that belong to the caller's user namespace or one beneath it; of any other the kernel does not
// name the owner (ioctl_nsfs(2)).
bool may_make_links(const HostFacts& facts) {
    if ((facts.capabilities >> CAP_NET_ADMIN & 1) == 0) return false;
    const Fd network(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    const Fd owner(network ? ::ioctl(network.get(), NS_GET_USERNS) : -1);
    return owner.valid();
}

// 0, or why nf_tables does not answer; EOPNOTSUPP where the kernel has none.
int ask_nftables() {
    NetlinkQuestion kernel(NETLINK_NETFILTER);
    const nfgenmsg question{AF_UNSPEC, NFNETLINK_V0, 0};
    const int error = kernel.ask(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, bytes_of(question), -1, [](std::string_view) {});
    // What nfnetlink says of a subsystem that is not there.
    return error == EINVAL || error == EPROTONOSUPPORT ? EOPNOTSUPP : error;
}

}  // namespace

void probe_network(HostFacts& facts) {
    dump(facts);
    facts.net_admin = may_make_links(facts);
    facts.nftables_error = ask_nftables();
    facts.nftables = facts.nftables_error == 0;
    facts.ipv6 = read_number("/proc/sys/net/ipv6/conf/all/disable_ipv6") == 0;
}

void probe_ports(HostFacts& facts, const std::vector<WantedPort>& wanted) {
    for (const WantedPort& port : wanted)
        if (auto busy = try_port(port)) facts.busy_ports.push_back(std::move(*busy));
}

}  // namespace sandbox
