#include "kernel/nft.h"

#include <netinet/in.h>
// After the above: then the kernel's headers leave out what it has.
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/icmp6.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "kernel/netlink_batch.h"
#include "kernel/nft_rule.h"

namespace sandbox {
namespace {

constexpr const char* remark = "made by sandbox; goes with it";
constexpr std::size_t map_elements_at_once = 1024;  // an attribute's length is 16 bits

constexpr std::uint32_t invalid = NF_CT_STATE_INVALID_BIT, established = NF_CT_STATE_BIT(IP_CT_ESTABLISHED),
                        related = NF_CT_STATE_BIT(IP_CT_RELATED);

// The priorities that nft(8) calls dstnat, filter and srcnat.
constexpr int before_routing = -100, filtering = 0, after_routing = 100;

constexpr int nft_type(int message) { return NFNL_SUBSYS_NFTABLES << 8 | message; }

nfgenmsg nft_header() { return {NFPROTO_INET, NFNETLINK_V0, 0}; }

// A batch that the kernel carries out whole or not at all.
class Transaction {
   public:
    explicit Transaction(const std::string& what) { add_border(cat("begin to ", what), NFNL_MSG_BATCH_BEGIN); }

    NetlinkMessage& add(std::string what, int message, int flags = 0, std::size_t room = 2048) {
        return batch_.add(std::move(what), nft_type(message), flags, nft_header(), room);
    }

    tl::expected<void, NetlinkFailure> commit(int socket) {
        // An acknowledgement of the end itself came with Linux 6.10.
        batch_.acknowledge(batch_.size() - 1);
        add_border("end the transaction", NFNL_MSG_BATCH_END);
        return batch_.exchange(socket);
    }

   private:
    void add_border(std::string what, int type) {
        batch_.add(std::move(what), type, 0, nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htobe16(NFNL_SUBSYS_NFTABLES)});
    }
    NetlinkBatch batch_;
};

// The requests for one table.
class TableWriter {
   public:
    explicit TableWriter(const TableRequest& request)
        : request_(request), what_(cat("make the nftables table ", request.name)), transaction_(what_) {}

    Transaction& write() {
        add_table();
        if (!request_.ports.empty()) add_ports();
        if (!request_.ports.empty() || request_.nat) add_postrouting();
        if (request_.confined) add_confinement();
        return transaction_;
    }

   private:
    void add_table() {
        std::string comment{'\0',
                            static_cast<char>(std::string_view(remark).size() + 1)};  // type, length: NFTNL_UDATA_TABLE_COMMENT of libnftnl
        comment.append(remark).push_back('\0');
        transaction_.add(what_, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL)
            .text(NFTA_TABLE_NAME, request_.name)
            .be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER)
            .bytes(NFTA_TABLE_USERDATA, comment.data(), comment.size());
    }

    NetlinkMessage& add_chain(const char* chain) {
        return transaction_.add(cat(what_, ": the chain ", chain), NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL)
            .text(NFTA_CHAIN_TABLE, request_.name)
            .text(NFTA_CHAIN_NAME, chain);
    }

    void add_base_chain(const char* chain, const char* type, std::uint32_t hook, int priority) {
        NetlinkMessage& message = add_chain(chain);
        message.text(NFTA_CHAIN_TYPE, type).be32(NFTA_CHAIN_POLICY, NF_ACCEPT).nest(NFTA_CHAIN_HOOK, [&] {
            message.be32(NFTA_HOOK_HOOKNUM, hook).be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(priority));
        });
    }

    NftRule rule(const char* chain) {
        return NftRule(transaction_.add(cat(what_, ": a rule of the chain ", chain), NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND)
                           .text(NFTA_RULE_TABLE, request_.name)
                           .text(NFTA_RULE_CHAIN, chain));
    }

    // ---- published ports

    void add_ports() {
        add_chain("ports");
        for (const PortRule& port : request_.ports) add_port(port);
        // What comes from elsewhere, and what the host itself sends.
        add_base_chain("prerouting", "nat", NF_INET_PRE_ROUTING, before_routing);
        rule("prerouting").verdict(static_cast<std::uint32_t>(NFT_JUMP), "ports");
        add_base_chain("output", "nat", NF_INET_LOCAL_OUT, before_routing);
        rule("output").verdict(static_cast<std::uint32_t>(NFT_JUMP), "ports");
    }

    void add_port(const PortRule& port) {
        const std::string map = port.count > 1 && port.port != port.host_port ? add_map(port) : std::string();
        NftRule out = rule("ports");
        out.family(port.family);
        if (port.host_ip)
            out.address(Side::destination, *port.host_ip);
        else
            to_any_address(out, port.family);
        out.protocol(port.udp ? IPPROTO_UDP : IPPROTO_TCP);
        out.to_ports(port.host_port, static_cast<std::uint16_t>(port.host_port + port.count - 1));
        if (!map.empty())
            out.translate_by(port.to, map, maps_);
        else if (port.count > 1)
            out.translate(port.to);
        else
            out.translate(port.to, port.port);
    }

    // Loopback is the host's alone, and a packet of link-local addresses is not forwarded (RFC 4291, 2.5.6).
    static void to_any_address(NftRule& out, IpFamily family) {
        out.to_local();
        if (family == IpFamily::v4) {
            out.address(Side::destination, IpNetwork{{IpFamily::v4, {127}}, 8}, Match::not_equal);
            return;
        }
        IpAddress loopback{IpFamily::v6, {}};
        loopback.bytes[15] = 1;
        out.address(Side::destination, loopback, Match::not_equal);
        out.address(Side::destination, IpNetwork{{IpFamily::v6, {0xfe, 0x80}}, 10}, Match::not_equal);
    }

    // {8000: 80, 8001: 81, ...}
    std::string add_map(const PortRule& port) {
        constexpr std::uint32_t inet_service = 13;  // nft's number of the type: the kernel only keeps it
        const std::string name = cat("ports", ++maps_);
        transaction_.add(cat(what_, ": the map ", name), NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL)
            .text(NFTA_SET_TABLE, request_.name)
            .text(NFTA_SET_NAME, name)
            .be32(NFTA_SET_FLAGS, NFT_SET_MAP)
            .be32(NFTA_SET_KEY_TYPE, inet_service)
            .be32(NFTA_SET_KEY_LEN, sizeof(std::uint16_t))
            .be32(NFTA_SET_DATA_TYPE, inet_service)
            .be32(NFTA_SET_DATA_LEN, sizeof(std::uint16_t))
            .be32(NFTA_SET_ID, maps_);
        for (std::size_t from = 0; from < port.count; from += map_elements_at_once)
            add_elements(port, name, from, std::min<std::size_t>(from + map_elements_at_once, port.count));
        return name;
    }

    void add_elements(const PortRule& port, const std::string& map, std::size_t from, std::size_t to) {
        NetlinkMessage& message =
            transaction_.add(cat(what_, ": the elements of the map ", map), NFT_MSG_NEWSETELEM, NLM_F_CREATE, 64 * 1024);
        message.text(NFTA_SET_ELEM_LIST_TABLE, request_.name).text(NFTA_SET_ELEM_LIST_SET, map).be32(NFTA_SET_ELEM_LIST_SET_ID, maps_);
        const auto put = [&](int attribute, std::size_t number) {
            const std::uint16_t value = htobe16(static_cast<std::uint16_t>(number));
            message.nest(attribute, [&] { message.bytes(NFTA_DATA_VALUE, &value, sizeof value); });
        };
        message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
            for (std::size_t i = from; i < to; ++i) {
                message.nest(NFTA_LIST_ELEM, [&] {
                    put(NFTA_SET_ELEM_KEY, port.host_port + i);
                    put(NFTA_SET_ELEM_DATA, port.port + i);
                });
            }
        });
    }

    // ---- translated sources

    void add_postrouting() {
        add_base_chain("postrouting", "nat", NF_INET_POST_ROUTING, after_routing);
        for (const IpAddress& address : request_.addresses) {
            if (!request_.ports.empty()) add_ways_back(address);
            if (request_.nat) add_masquerade(address);
        }
    }

    // Who is in the same network, and the sandbox itself, would be answered past the host, from an address that they did not ask.
    void add_ways_back(const IpAddress& address) {
        std::vector<IpNetwork> near{{address, address.width()}};
        for (const IpNetwork& subnet : request_.subnets) {
            if (subnet.address.family != address.family) continue;
            if (contains(subnet, address)) near.clear();
            near.push_back(subnet);
        }
        for (const IpNetwork& network : near)
            rule("postrouting")
                .translated_destination()
                .family(address.family)
                .address(Side::source, network)
                .address(Side::destination, address)
                .masquerade();
    }

    void add_masquerade(const IpAddress& address) {
        NftRule out = rule("postrouting");
        out.family(address.family).address(Side::source, address).to_link(request_.link, Match::not_equal);
        if (!request_.bridge.empty()) out.to_link(request_.bridge, Match::not_equal);
        for (const IpNetwork& subnet : request_.subnets)
            if (subnet.address.family == address.family) out.address(Side::destination, subnet, Match::not_equal);
        out.masquerade();
    }

    // ---- confinement

    void add_confinement() {
        add_egress();
        add_base_chain("forward", "filter", NF_INET_FORWARD, filtering);
        rule("forward").from_link(request_.link).verdict(static_cast<std::uint32_t>(NFT_GOTO), "egress");
        add_base_chain("input", "filter", NF_INET_LOCAL_IN, filtering);
        // Without them no packet of IPv6 finds its way here. The host looks at them by the rules of RFC 4861 (hop limit 255), which no
        // packet from elsewhere fulfils. Not router advertisements: the host would take a route of the sandbox's (CVE-2020-13401).
        rule("input")
            .from_link(request_.link)
            .family(IpFamily::v6)
            .protocol(IPPROTO_ICMPV6)
            .icmp6_types(ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT)
            .verdict(NF_ACCEPT);
        rule("input").from_link(request_.link).verdict(static_cast<std::uint32_t>(NFT_GOTO), "egress");
    }

    // What comes from the link, whatever addresses the sandbox gives itself. Its source is looked at before the connection that it may
    // pretend to belong to.
    void add_egress() {
        add_chain("egress");
        for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
            NftRule out = rule("egress");
            out.family(family);
            for (const IpAddress& address : request_.addresses)
                if (address.family == family) out.address(Side::source, address, Match::not_equal);
            out.verdict(NF_DROP);
        }
        rule("egress").connection_state(established | related).verdict(NF_ACCEPT);
        rule("egress").connection_state(invalid).verdict(NF_DROP);
        for (const EgressAllowance& allowance : request_.allow) add_allowance(allowance);
        // An ICMP error finds the socket owned by connect() where the SYN went out at once, and counts for nothing then (tcp_v4_err,
        // tcp_v6_err): the caller would wait for the next one, a second.
        rule("egress").protocol(IPPROTO_TCP).reject_reset();
        rule("egress").reject_prohibited();
    }

    void add_allowance(const EgressAllowance& allowance) {
        const bool all_ports = allowance.first_port == 0 && allowance.last_port == 0;
        if (!allowance.udp && all_ports) {
            allowed_to(allowance).verdict(NF_ACCEPT);
            return;
        }
        for (const bool udp : {false, true}) {
            if (allowance.udp.value_or(udp) != udp) continue;
            NftRule out = allowed_to(allowance);
            out.protocol(udp ? IPPROTO_UDP : IPPROTO_TCP);
            if (!all_ports) out.to_ports(allowance.first_port, allowance.last_port);
            out.verdict(NF_ACCEPT);
        }
    }

    NftRule allowed_to(const EgressAllowance& allowance) {
        NftRule out = rule("egress");
        out.family(allowance.to.address.family);
        if (allowance.to.prefix > 0) out.address(Side::destination, allowance.to);
        return out;
    }

    const TableRequest& request_;
    std::string what_;
    Transaction transaction_;
    std::uint32_t maps_ = 0;
};

Result<bool> look_for(int socket, const std::string& name) {
    NetlinkBatch batch;
    batch.add(cat("look for the nftables table ", name), nft_type(NFT_MSG_GETTABLE), 0, nft_header())
        .text(NFTA_TABLE_NAME, name)
        .answered();
    auto done = batch.exchange(socket);
    if (done) return true;
    if (done.error().error.number == ENOENT) return false;
    return tl::unexpected<Error>(std::move(done.error().error));
}

// What the kernel's number means of a table that was to be made.
Error explained(NetlinkFailure failure, int socket, const std::string& name) {
    Error& error = failure.error;
    // Somebody else's table is not even to be asked for (nft_table_lookup), whoever we are.
    if (error.number == EPERM)
        if (auto found = look_for(socket, name); found && *found)
            return {cat("make the nftables table ", name, ": ", errno_text(EEXIST)), {}, EEXIST, {}, {}};
    // No such kind of chain, of expression, of table flag, or no nftables at all.
    if (error.number == ENOENT || error.number == EOPNOTSUPP || error.number == EINVAL) {
        error.message += ": the kernel lacks a part of nftables";
        error.hint =
            "the kernel must be 5.12 or later and have nf_tables with nft_chain_nat, nft_nat, nft_masq, nft_ct, nft_fib_inet and "
            "nft_reject_inet";
        error.number = EOPNOTSUPP;
    }
    return std::move(error);
}

}  // namespace

Result<Fd> make_table(const TableRequest& request) {
    auto socket = open_netlink(NETLINK_NETFILTER);
    if (!socket) return socket;
    TableWriter writer(request);
    auto done = writer.write().commit(socket->get());
    if (!done) return tl::unexpected<Error>(explained(std::move(done.error()), socket->get(), request.name));
    return socket;
}

Status remove_table(int socket, const std::string& name) {
    const std::string what = cat("remove the nftables table ", name);
    Transaction transaction(what);
    transaction.add(what, NFT_MSG_DELTABLE).text(NFTA_TABLE_NAME, name).tolerate(ENOENT);
    auto done = transaction.commit(socket);
    if (!done) return tl::unexpected<Error>(std::move(done.error().error));
    return {};
}

Result<bool> has_table(const std::string& name) {
    auto socket = open_netlink(NETLINK_NETFILTER);
    if (!socket) return pass(socket);
    return look_for(socket->get(), name);
}

int try_nftables() {
    auto socket = open_netlink(NETLINK_NETFILTER);
    if (!socket) return socket.error().number;
    NetlinkBatch batch;
    batch.add("ask nftables for its generation", nft_type(NFT_MSG_GETGEN), 0, nfgenmsg{AF_UNSPEC, NFNETLINK_V0, 0}).answered();
    auto done = batch.exchange(socket->get());
    if (done) return 0;
    // nfnetlink knows no such part (nfnetlink_rcv_msg).
    return done.error().error.number == EINVAL ? EOPNOTSUPP : done.error().error.number;
}

}  // namespace sandbox
