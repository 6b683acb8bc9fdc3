#include "kernel/netlink.h"

#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "kernel/netlink_batch.h"

namespace sandbox {
namespace {

constexpr int create = NLM_F_CREATE | NLM_F_EXCL;

std::uint8_t address_family(const IpAddress& address) { return address.is_v4() ? AF_INET : AF_INET6; }

tl::unexpected<Error> failed(tl::expected<void, NetlinkFailure>& result) { return tl::unexpected<Error>(std::move(result.error().error)); }

// ---- links

// The bits of `flags` in `change` are set to what they are in `flags`.
ifinfomsg link_header(int index, unsigned flags = 0, unsigned change = 0, std::uint8_t family = AF_UNSPEC) {
    ifinfomsg header{};
    header.ifi_family = family;
    header.ifi_index = index;
    header.ifi_flags = flags;
    header.ifi_change = change;
    return header;
}

NetlinkMessage& add_look(NetlinkBatch& batch, const std::string& name) {
    // Counters are long to collect, and nobody reads them here.
    return batch.add(cat("look at the link ", name), RTM_GETLINK, 0, link_header(0))
        .text(IFLA_IFNAME, name)
        .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
        .answered();
}

void add_up(NetlinkBatch& batch, int index, const std::string& name) {
    batch.add(cat("put the link ", name, " up"), RTM_SETLINK, 0, link_header(index, IFF_UP, IFF_UP));
}

void add_alias(NetlinkBatch& batch, int index, const std::string& name, const std::string& alias) {
    if (alias.empty()) return;
    // Not at the creation: rtnl_create_link() does not read it (net/core/rtnetlink.c).
    batch.add(cat("set the alias of ", name), RTM_SETLINK, 0, link_header(index)).bytes(IFLA_IFALIAS, alias.data(), alias.size());
}

// Before it is up: without an address of its own making on a link. A kernel without IPv6 makes none anyway.
void add_no_link_local(NetlinkBatch& batch, int index, const std::string& name) {
    NetlinkMessage& message = batch.add(cat("let ", name, " make no IPv6 address of its own"), RTM_SETLINK, 0, link_header(index));
    message.tolerate(EAFNOSUPPORT).tolerate(EOPNOTSUPP).nest(IFLA_AF_SPEC, [&] {
        message.nest(AF_INET6, [&] { message.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE); });
    });
}

std::string text_of(const nlattr* attribute) {
    const auto* from = static_cast<const char*>(nla_data(attribute));
    return {from, strnlen(from, static_cast<std::size_t>(nla_len(attribute)))};
}

LinkInfo read_link(nlmsghdr* answer) {
    LinkInfo link;
    const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(answer));
    link.index = header->ifi_index;
    link.up = (header->ifi_flags & IFF_UP) != 0;
    const auto find = [&](int attribute) { return nlmsg_find_attr(answer, sizeof *header, attribute); };
    if (const nlattr* name = find(IFLA_IFNAME)) link.name = text_of(name);
    if (const nlattr* alias = find(IFLA_IFALIAS)) link.alias = text_of(alias);
    if (const nlattr* master = find(IFLA_MASTER)) link.master = static_cast<int>(nla_get_u32(master));
    if (const nlattr* mtu = find(IFLA_MTU)) link.mtu = static_cast<int>(nla_get_u32(mtu));
    if (const nlattr* mac = find(IFLA_ADDRESS); mac && nla_len(mac) == static_cast<int>(link.mac.size()))
        std::copy_n(static_cast<const std::uint8_t*>(nla_data(mac)), link.mac.size(), link.mac.begin());
    if (const nlattr* info = find(IFLA_LINKINFO))
        if (const nlattr* kind = nla_find(static_cast<const nlattr*>(nla_data(info)), nla_len(info), IFLA_INFO_KIND))
            link.kind = text_of(kind);
    return link;
}

// ---- addresses, routes, neighbours

// The kernel adds no broadcast address by itself (inet_rtm_newaddr), and /31 and /32 have none (RFC 3021).
IpAddress broadcast_of(const IpNetwork& network) {
    IpAddress out = network.address;
    for (int bit = network.prefix; bit < 32; ++bit) out.bytes[bit / 8] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
    return out;
}

NetlinkMessage& add_address(NetlinkBatch& batch, int index, const std::string& name, const IpNetwork& network) {
    const IpAddress& address = network.address;
    ifaddrmsg header{};
    header.ifa_family = address_family(address);
    header.ifa_prefixlen = static_cast<std::uint8_t>(network.prefix);
    header.ifa_index = static_cast<std::uint32_t>(index);
    header.ifa_scope = address.is_loopback() ? RT_SCOPE_HOST : address.is_link_local() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    NetlinkMessage& message = batch.add(cat("give ", name, " the address ", to_text(network)), RTM_NEWADDR, create, header);
    message.ip(IFA_LOCAL, address).ip(IFA_ADDRESS, address);
    if (address.is_v4() && network.prefix < 31) message.ip(IFA_BROADCAST, broadcast_of(network));
    // Without a second of "tentative", in which it cannot be used (RFC 4862, 5.4).
    if (!address.is_v4()) message.u32(IFA_FLAGS, IFA_F_NODAD);
    return message;
}

// fe80::/64 and the interface identifier of its MAC (RFC 4291, appendix A), as the kernel makes it.
IpNetwork link_local_of(const MacAddress& mac) {
    IpAddress out{IpFamily::v6, {0xfe, 0x80}};
    out.bytes[8] = mac[0] ^ 2;
    out.bytes[9] = mac[1];
    out.bytes[10] = mac[2];
    out.bytes[11] = 0xff;
    out.bytes[12] = 0xfe;
    std::copy_n(mac.begin() + 3, 3, out.bytes.begin() + 13);
    return {out, 64};
}

bool has_v6(const std::vector<IpNetwork>& addresses) {
    return std::any_of(addresses.begin(), addresses.end(), [](const IpNetwork& one) { return !one.address.is_v4(); });
}

// In place of the address on the link that the kernel makes, which is "tentative" for a second: until then no neighbour can be asked
// for by it, and nothing that is forwarded arrives (ndisc_solicit).
NetlinkMessage& add_link_local(NetlinkBatch& batch, int index, const std::string& name, const MacAddress& mac) {
    add_no_link_local(batch, index, name);
    return add_address(batch, index, name, link_local_of(mac));
}

rtmsg route_header(const IpNetwork& to, std::uint8_t scope) {
    rtmsg header{};
    header.rtm_family = address_family(to.address);
    header.rtm_dst_len = static_cast<std::uint8_t>(to.prefix);
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_protocol = RTPROT_STATIC;
    header.rtm_scope = scope;
    header.rtm_type = RTN_UNICAST;
    return header;
}

// RTA_VIA: a family, then the address. Only between families: IPv4 by way of an IPv6 gateway (Linux 5.2).
void put_gateway(NetlinkMessage& message, const IpAddress& to, const IpAddress& via) {
    if (via.family == to.family) {
        message.ip(RTA_GATEWAY, via);
        return;
    }
    const std::uint16_t family = address_family(via);
    std::array<std::uint8_t, sizeof family + 16> value{};
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&family), sizeof family, value.begin());
    std::copy_n(via.bytes.begin(), via.size(), value.begin() + sizeof family);
    message.bytes(RTA_VIA, value.data(), sizeof family + via.size());
}

void add_route(NetlinkBatch& batch, int index, const std::string& name, const RouteRequest& route) {
    rtmsg header = route_header(route.to, route.via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK);
    if (route.on_link) header.rtm_flags |= RTNH_F_ONLINK;
    const std::string way = route.via ? cat(" via ", to_text(*route.via)) : std::string();
    NetlinkMessage& message = batch.add(cat("set the route to ", to_text(route.to), way, " on ", name), RTM_NEWROUTE, create, header);
    if (route.to.prefix > 0) message.ip(RTA_DST, route.to.address);
    if (route.via) put_gateway(message, route.to.address, *route.via);
    if (route.metric) message.u32(RTA_PRIORITY, *route.metric);
    message.u32(RTA_OIF, static_cast<std::uint32_t>(index));
}

NetlinkMessage& add_proxy(NetlinkBatch& batch, int type, int flags, int index, const IpAddress& address) {
    ndmsg header{};
    header.ndm_family = address_family(address);
    header.ndm_ifindex = index;
    header.ndm_flags = NTF_PROXY;
    const char* verb = type == RTM_NEWNEIGH ? "answer for " : "no longer answer for ";
    return batch.add(cat(verb, to_text(address), " on link ", index), type, flags, header).ip(NDA_DST, address);
}

// ---- what links are made of

void put_bridge(NetlinkMessage& message) {
    message.nest(IFLA_LINKINFO, [&] {
        message.text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, [&] {
            // Ports forward at once, and neighbour discovery of IPv6, which is multicast, passes before anybody has joined.
            // VLAN filtering is off in a new bridge, and a kernel without it refuses to be told so.
            message.u32(IFLA_BR_FORWARD_DELAY, 0).u32(IFLA_BR_STP_STATE, 0).u8(IFLA_BR_MCAST_SNOOPING, 0);
        });
    });
}

void put_veth(NetlinkMessage& message, const VethRequest& request) {
    const ifinfomsg peer = link_header(0);
    message.nest(IFLA_LINKINFO, [&] {
        message.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, [&] {
            message.nest(VETH_INFO_PEER, [&] {
                message.raw(&peer, sizeof peer).text(IFLA_IFNAME, request.peer_name);
                message.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(request.peer_namespace));
                if (request.peer_mac != MacAddress{}) message.bytes(IFLA_ADDRESS, request.peer_mac.data(), request.peer_mac.size());
                if (request.mtu) message.u32(IFLA_MTU, static_cast<std::uint32_t>(*request.mtu));
            });
        });
    });
}

void put_stacked(NetlinkMessage& message, const StackedRequest& request) {
    const bool macvlan = request.kind == StackedKind::macvlan;
    message.nest(IFLA_LINKINFO, [&] {
        message.text(IFLA_INFO_KIND, macvlan ? "macvlan" : "ipvlan").nest(IFLA_INFO_DATA, [&] {
            if (macvlan)
                message.u32(IFLA_MACVLAN_MODE, request.mode);
            else
                message.u16(IFLA_IPVLAN_MODE, static_cast<std::uint16_t>(request.mode));
        });
    });
}

// The host's end as a port: it needs no address, and in a bridge it would only be one more that answers.
void add_port(NetlinkBatch& batch, int index, const VethRequest& request) {
    add_no_link_local(batch, index, request.host_name);
    batch
        .add(cat("make ", request.host_name, " a port of the bridge (link ", request.bridge, ")"), RTM_SETLINK, 0,
             link_header(index, IFF_UP, IFF_UP))
        .u32(IFLA_MASTER, static_cast<std::uint32_t>(request.bridge));
    if (!request.hairpin) return;
    NetlinkMessage& message =
        batch.add(cat("let ", request.host_name, " send back to where it came from"), RTM_SETLINK, 0, link_header(index, 0, 0, AF_BRIDGE));
    message.nest(IFLA_PROTINFO, [&] { message.u8(IFLA_BRPORT_MODE, 1); });
}

void add_routed(NetlinkBatch& batch, const LinkInfo& link, const VethRequest& request) {
    const int index = link.index;
    const auto is_link_local = [](const IpNetwork& one) { return one.address.is_link_local() && !one.address.is_v4(); };
    if (std::any_of(request.host_addresses.begin(), request.host_addresses.end(), is_link_local))
        add_no_link_local(batch, index, request.host_name);
    else if (has_v6(request.host_addresses))
        add_link_local(batch, index, request.host_name, link.mac);
    add_up(batch, index, request.host_name);
    for (const IpNetwork& address : request.host_addresses) add_address(batch, index, request.host_name, address);
    for (const IpAddress& to : request.routes) {
        RouteRequest route;
        route.to = {to, to.width()};
        add_route(batch, index, request.host_name, route);
    }
    if (request.proxy_on != 0)
        for (const IpAddress& to : request.routes) add_proxy(batch, RTM_NEWNEIGH, NLM_F_CREATE, request.proxy_on, to);
}

}  // namespace

// ---- the socket

struct Netlink::Socket {
    Fd fd;

    // Makes a link with the first request of `batch`, and returns what came of it: the kernel tells the index when asked
    // (NLM_F_ECHO does that since 6.2 only).
    Result<LinkInfo> make_link(NetlinkBatch& batch, const std::string& name) {
        LinkInfo link;
        add_look(batch, name);
        auto done = batch.exchange(fd.get(), [&](nlmsghdr* answer) { link = read_link(answer); });
        if (done) return link;
        // Made, and then not found: somebody has renamed or removed it meanwhile. Nothing of that name is ours.
        return failed(done);
    }

    // What makes a new link ready. If that fails, the link goes again.
    Status finish(NetlinkBatch& batch, int index) {
        auto done = batch.exchange(fd.get());
        if (done) return {};
        Error error = std::move(done.error().error);
        if (auto undone = remove(index); !undone) error.also.push_back(undone.error().message);
        return tl::unexpected<Error>(std::move(error));
    }

    Status remove(int index) {
        NetlinkBatch batch;
        batch.add(cat("remove the link ", index), RTM_DELLINK, 0, link_header(index)).tolerate(ENODEV);
        auto done = batch.exchange(fd.get());
        if (!done) return failed(done);
        return {};
    }
};

Netlink::Netlink(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
Netlink::Netlink(Netlink&&) noexcept = default;
Netlink& Netlink::operator=(Netlink&&) noexcept = default;
int Netlink::descriptor() const { return socket_->fd.get(); }
Netlink::~Netlink() = default;

std::uint64_t own_network() {
    struct stat info {};
    return stat("/proc/self/ns/net", &info) == 0 ? info.st_ino : 0;
}

Status in_network(int name_space, const std::function<Status()>& what) {
    const Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!here) return fail_errno("open /proc/thread-self/ns/net", errno);
    if (setns(name_space, CLONE_NEWNET) != 0) return fail_errno("enter the sandbox's network namespace", errno);
    Status done = what();
    if (setns(here.get(), CLONE_NEWNET) != 0) {
        std::fputs("sandbox: no way back to the host's network namespace\n", stderr);
        std::abort();
    }
    return done;
}

Result<Netlink> Netlink::open() {
    auto fd = open_netlink(NETLINK_ROUTE);
    if (!fd) return pass(fd);
    return Netlink(std::unique_ptr<Socket>(new Socket{std::move(*fd)}));
}

Result<Netlink> Netlink::open_in(int name_space) {
    std::optional<Netlink> out;
    auto done = in_network(name_space, [&out]() -> Status {
        auto opened = open();
        if (!opened) return pass(opened);
        out.emplace(std::move(*opened));
        return {};
    });
    if (!done) return pass(done);
    return std::move(*out);
}

Result<std::optional<LinkInfo>> Netlink::find(const std::string& name) {
    NetlinkBatch batch;
    std::optional<LinkInfo> link;
    add_look(batch, name).tolerate(ENODEV);
    auto done = batch.exchange(socket_->fd.get(), [&](nlmsghdr* answer) { link = read_link(answer); });
    if (!done) return failed(done);
    return link;
}

Result<int> Netlink::make_bridge(const BridgeRequest& request) {
    NetlinkBatch first;
    NetlinkMessage& message = first.add(cat("make the bridge ", request.name), RTM_NEWLINK, create, link_header(0));
    message.text(IFLA_IFNAME, request.name);
    if (request.mac != MacAddress{}) message.bytes(IFLA_ADDRESS, request.mac.data(), request.mac.size());
    if (request.mtu) message.u32(IFLA_MTU, static_cast<std::uint32_t>(*request.mtu));
    put_bridge(message);
    auto link = socket_->make_link(first, request.name);
    if (!link) return pass(link);

    NetlinkBatch rest;
    add_alias(rest, link->index, request.name, request.alias);
    if (has_v6(request.addresses)) add_link_local(rest, link->index, request.name, link->mac);
    for (const IpNetwork& address : request.addresses) add_address(rest, link->index, request.name, address);
    add_up(rest, link->index, request.name);
    if (auto done = socket_->finish(rest, link->index); !done) return pass(done);
    return link->index;
}

Result<int> Netlink::make_veth(const VethRequest& request) {
    NetlinkBatch first;
    NetlinkMessage& message = first.add(cat("make the veth pair ", request.host_name), RTM_NEWLINK, create, link_header(0));
    message.text(IFLA_IFNAME, request.host_name);
    if (request.host_mac != MacAddress{}) message.bytes(IFLA_ADDRESS, request.host_mac.data(), request.host_mac.size());
    if (request.mtu) message.u32(IFLA_MTU, static_cast<std::uint32_t>(*request.mtu));
    put_veth(message, request);
    auto link = socket_->make_link(first, request.host_name);
    if (!link) return pass(link);

    NetlinkBatch rest;
    add_alias(rest, link->index, request.host_name, request.alias);
    if (request.bridge != 0)
        add_port(rest, link->index, request);
    else
        add_routed(rest, *link, request);
    auto done = socket_->finish(rest, link->index);
    if (done) return link->index;
    // What is on another link did not go with this one.
    if (request.bridge == 0 && request.proxy_on != 0)
        if (auto undone = remove_proxies(request.proxy_on, request.routes); !undone) done.error().also.push_back(undone.error().message);
    return pass(done);
}

Status Netlink::make_stacked(const StackedRequest& request) {
    const char* kind = request.kind == StackedKind::macvlan ? "macvlan" : "ipvlan";
    NetlinkBatch batch;
    NetlinkMessage& message =
        batch.add(cat("make the ", kind, " ", request.name, " on link ", request.parent), RTM_NEWLINK, create, link_header(0));
    // The parent's index is one of the socket's namespace; the link is made in the other one.
    message.text(IFLA_IFNAME, request.name).u32(IFLA_LINK, static_cast<std::uint32_t>(request.parent));
    message.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(request.name_space));
    if (request.mac && request.kind == StackedKind::macvlan) message.bytes(IFLA_ADDRESS, request.mac->data(), request.mac->size());
    if (request.mtu) message.u32(IFLA_MTU, static_cast<std::uint32_t>(*request.mtu));
    put_stacked(message, request);
    auto done = batch.exchange(socket_->fd.get());
    if (!done) return failed(done);
    return {};
}

Status Netlink::configure(const InsideRequest& request) {
    auto link = find(request.name);
    if (!link) return pass(link);
    if (!*link) return fail_errno(cat("look at the link ", request.name), ENODEV);
    const int index = (*link)->index;
    NetlinkBatch batch;
    // An ipvlan shares its MAC with others, of which the kernel makes different addresses by a number of its own (addrconf_ifid_eui48).
    if (has_v6(request.addresses) && (*link)->mac != MacAddress{} && (*link)->kind != "ipvlan")
        add_link_local(batch, index, request.name, (*link)->mac).tolerate(EEXIST);
    for (const IpNetwork& address : request.addresses) add_address(batch, index, request.name, address);
    if (request.up) add_up(batch, index, request.name);
    for (const RouteRequest& route : request.routes) add_route(batch, index, request.name, route);
    auto done = batch.exchange(socket_->fd.get());
    if (!done) return failed(done);
    return {};
}

Status Netlink::settle(const std::vector<int>& links) {
    NetlinkBatch batch;
    for (const int index : links)
        batch.add(cat("look at the link ", index), RTM_GETLINK, 0, link_header(index))
            .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
            .answered();
    auto done = batch.exchange(socket_->fd.get());
    if (!done) return failed(done);
    return {};
}

Status Netlink::detach(int index) {
    NetlinkBatch batch;
    batch.add(cat("switch the link ", index, " off"), RTM_SETLINK, 0, link_header(index, 0, IFF_UP)).u32(IFLA_MASTER, 0).tolerate(ENODEV);
    auto done = batch.exchange(socket_->fd.get());
    if (!done) return failed(done);
    return {};
}

Status Netlink::remove(int index) { return socket_->remove(index); }

Status Netlink::remove_proxies(int index, const std::vector<IpAddress>& addresses) {
    NetlinkBatch batch;
    // Gone with their link, or by themselves; ENXIO is the same of a kernel that looks for the link by another way.
    for (const IpAddress& address : addresses)
        add_proxy(batch, RTM_DELNEIGH, 0, index, address).tolerate(ENOENT).tolerate(ENODEV).tolerate(ENXIO).tolerate(EINVAL);
    auto done = batch.exchange(socket_->fd.get());
    if (!done) return failed(done);
    return {};
}

}  // namespace sandbox
