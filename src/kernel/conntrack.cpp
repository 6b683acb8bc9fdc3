#include "kernel/conntrack.h"

#include <netinet/in.h>
// After the above: then the kernel's headers leave out what it has.
#include <endian.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/attr.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "kernel/netlink_batch.h"

namespace sandbox {
namespace {

constexpr std::uint32_t protocol_number = 1 << 3;  // CTA_FILTER_F_CTA_PROTO_NUM of net/netfilter/nf_internals.h, which no header exports

int ct_type(int message) { return NFNL_SUBSYS_CTNETLINK << 8 | message; }

nfgenmsg ct_header(IpFamily family) { return {static_cast<std::uint8_t>(family == IpFamily::v4 ? AF_INET : AF_INET6), NFNETLINK_V0, 0}; }

std::optional<IpAddress> address_in(nlattr* attribute, IpFamily family) {
    IpAddress address;
    address.family = family;
    if (!attribute || nla_len(attribute) != static_cast<int>(address.size())) return std::nullopt;
    std::memcpy(address.bytes.data(), nla_data(attribute), address.size());
    return address;
}

// Of one direction.
struct Tuple {
    std::optional<IpAddress> source, destination;
    std::uint8_t protocol = 0;
    std::uint16_t destination_port = 0;
};

Tuple tuple_in(nlattr* attribute, IpFamily family) {
    Tuple out;
    if (!attribute) return out;
    const bool v4 = family == IpFamily::v4;
    if (nlattr* ip = nla_find(static_cast<nlattr*>(nla_data(attribute)), nla_len(attribute), CTA_TUPLE_IP)) {
        auto* first = static_cast<nlattr*>(nla_data(ip));
        out.source = address_in(nla_find(first, nla_len(ip), v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC), family);
        out.destination = address_in(nla_find(first, nla_len(ip), v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST), family);
    }
    if (nlattr* protocol = nla_find(static_cast<nlattr*>(nla_data(attribute)), nla_len(attribute), CTA_TUPLE_PROTO)) {
        auto* first = static_cast<nlattr*>(nla_data(protocol));
        if (nlattr* number = nla_find(first, nla_len(protocol), CTA_PROTO_NUM)) out.protocol = nla_get_u8(number);
        if (nlattr* port = nla_find(first, nla_len(protocol), CTA_PROTO_DST_PORT)) out.destination_port = be16toh(nla_get_u16(port));
    }
    return out;
}

struct Search {
    IpFamily family;
    const std::vector<PortRule>& ports;
    const std::vector<IpNetwork>& into;

    [[nodiscard]] bool is_ours(const Tuple& asked, const Tuple& answered) const {
        if (asked.protocol != IPPROTO_UDP || !asked.destination || !answered.source || *asked.destination == *answered.source) return false;
        const auto leads_there = [&](const IpNetwork& network) {
            return network.address.family == family && contains(masked(network), *answered.source);
        };
        const auto has_port = [&](const PortRule& port) {
            return port.udp && port.family == family && (!port.host_ip || *port.host_ip == *asked.destination) &&
                   asked.destination_port >= port.host_port && asked.destination_port - port.host_port < port.count;
        };
        return std::ranges::any_of(into, leads_there) && std::ranges::any_of(ports, has_port);
    }
};

// The kernel leaves out what is no UDP.
NetlinkMessage question(IpFamily family) {
    NetlinkMessage message("list the connections", ct_type(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP, 256);
    const nfgenmsg header = ct_header(family);
    message.raw(&header, sizeof header);
    message.nest(CTA_TUPLE_ORIG | NLA_F_NESTED,
                 [&] { message.nest(CTA_TUPLE_PROTO | NLA_F_NESTED, [&] { message.u8(CTA_PROTO_NUM, IPPROTO_UDP); }); });
    message.nest(CTA_FILTER | NLA_F_NESTED, [&] { message.u32(CTA_FILTER_ORIG_FLAGS, protocol_number).u32(CTA_FILTER_REPLY_FLAGS, 0); });
    message.header()->nlmsg_seq = 1;
    return message;
}

void ask_to_forget(NetlinkBatch& batch, IpFamily family, nlattr* asked) {
    batch.add("forget a connection", ct_type(IPCTNL_MSG_CT_DELETE), 0, ct_header(family), 512)
        .bytes(nla_type(asked) | NLA_F_NESTED, nla_data(asked), static_cast<std::size_t>(nla_len(asked)))
        .tolerate(ENOENT);
}

// One answer of the list; false at its end.
Result<bool> look_at(nlmsghdr* answer, const Search& search, NetlinkBatch& batch) {
    if (answer->nlmsg_type == NLMSG_DONE) return false;
    if (answer->nlmsg_type == NLMSG_ERROR)
        return fail_errno("list the connections", -static_cast<const nlmsgerr*>(nlmsg_data(answer))->error);
    nlattr* asked = nlmsg_find_attr(answer, sizeof(nfgenmsg), CTA_TUPLE_ORIG);
    nlattr* answered = nlmsg_find_attr(answer, sizeof(nfgenmsg), CTA_TUPLE_REPLY);
    if (asked && search.is_ours(tuple_in(asked, search.family), tuple_in(answered, search.family)))
        ask_to_forget(batch, search.family, asked);
    return true;
}

Status collect(int socket, const Search& search, NetlinkBatch& batch) {
    const NetlinkMessage message = question(search.family);
    if (::send(socket, message.header(), message.header()->nlmsg_len, 0) < 0) return fail_errno("list the connections", errno);
    std::vector<char> buffer(32 * 1024);
    while (true) {
        // An answer is made when it is read.
        const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("list the connections", errno);
        int left = static_cast<int>(got);
        for (auto* answer = reinterpret_cast<nlmsghdr*>(buffer.data()); nlmsg_ok(answer, left); answer = nlmsg_next(answer, &left)) {
            auto more = look_at(answer, search, batch);
            if (!more) return pass(more);
            if (!*more) return {};
        }
    }
}

}  // namespace

Status forget_flows(const std::vector<PortRule>& ports, const std::vector<IpNetwork>& into) {
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
        if (std::ranges::none_of(ports, [family](const PortRule& port) { return port.udp && port.family == family; })) continue;
        auto socket = open_netlink(NETLINK_NETFILTER);
        if (!socket) return pass(socket);
        NetlinkBatch batch;
        if (auto collected = collect(socket->get(), {family, ports, into}, batch); !collected) return collected;
        if (auto done = batch.exchange(socket->get()); !done) return tl::unexpected<Error>(std::move(done.error().error));
    }
    return {};
}

}  // namespace sandbox
