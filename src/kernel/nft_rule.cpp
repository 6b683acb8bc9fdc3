#include "kernel/nft_rule.h"

#include <endian.h>
#include <netinet/in.h>
// After the above: then the kernel's headers leave out what it has.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <array>

namespace sandbox {
namespace {

// The first holds what is compared and addresses, the second ports.
constexpr std::uint32_t one = NFT_REG_1, two = NFT_REG_2;
constexpr std::uint32_t port_offset = 2;  // of the destination, in TCP and in UDP

}  // namespace

NftRule::NftRule(NetlinkMessage& message) : message_(message), list_(message.open(NFTA_RULE_EXPRESSIONS)) {}

template <class Fill>
NftRule& NftRule::expression(const char* name, Fill fill) {
    message_.nest(NFTA_LIST_ELEM, [&] { message_.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, fill); });
    return *this;
}

void NftRule::value(int attribute, const void* data, std::size_t size) {
    message_.nest(attribute, [&] { message_.bytes(NFTA_DATA_VALUE, data, size); });
}

void NftRule::load_meta(std::uint32_t key) {
    expression("meta", [&] { message_.be32(NFTA_META_KEY, key).be32(NFTA_META_DREG, one); });
}

void NftRule::load_payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length, std::uint32_t to) {
    expression("payload", [&] {
        message_.be32(NFTA_PAYLOAD_DREG, to).be32(NFTA_PAYLOAD_BASE, base);
        message_.be32(NFTA_PAYLOAD_OFFSET, offset).be32(NFTA_PAYLOAD_LEN, length);
    });
}

void NftRule::compare(std::uint32_t operation, const void* data, std::size_t size) {
    expression("cmp", [&] {
        message_.be32(NFTA_CMP_SREG, one).be32(NFTA_CMP_OP, operation);
        value(NFTA_CMP_DATA, data, size);
    });
}

void NftRule::mask(const void* bits, std::size_t size) {
    const std::array<std::uint8_t, 16> nothing{};
    expression("bitwise", [&] {
        message_.be32(NFTA_BITWISE_SREG, one).be32(NFTA_BITWISE_DREG, one).be32(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(size));
        value(NFTA_BITWISE_MASK, bits, size);
        value(NFTA_BITWISE_XOR, nothing.data(), size);
    });
}

void NftRule::set(std::uint32_t to, const void* data, std::size_t size) {
    expression("immediate", [&] {
        message_.be32(NFTA_IMMEDIATE_DREG, to);
        value(NFTA_IMMEDIATE_DATA, data, size);
    });
}

// Numbers of the kernel itself, such as states, are in the machine's byte order; those of packets in the network's.
void NftRule::compare_any_bit(std::uint32_t bits) {
    const std::uint32_t nothing = 0;
    mask(&bits, sizeof bits);
    compare(NFT_CMP_NEQ, &nothing, sizeof nothing);
}

NftRule& NftRule::family(IpFamily family) {
    const std::uint8_t number = family == IpFamily::v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    load_meta(NFT_META_NFPROTO);
    compare(NFT_CMP_EQ, &number, sizeof number);
    return *this;
}

NftRule& NftRule::protocol(std::uint8_t number) {
    load_meta(NFT_META_L4PROTO);
    compare(NFT_CMP_EQ, &number, sizeof number);
    return *this;
}

NftRule& NftRule::link(std::uint32_t key, const std::string& name, Match match) {
    std::array<char, IFNAMSIZ> padded{};
    std::copy_n(name.begin(), std::min(name.size(), padded.size() - 1), padded.begin());
    load_meta(key);
    compare(match == Match::equal ? NFT_CMP_EQ : NFT_CMP_NEQ, padded.data(), padded.size());
    return *this;
}

NftRule& NftRule::from_link(const std::string& name, Match match) { return link(NFT_META_IIFNAME, name, match); }
NftRule& NftRule::to_link(const std::string& name, Match match) { return link(NFT_META_OIFNAME, name, match); }

NftRule& NftRule::address(Side side, const IpNetwork& network, Match match) {
    const IpNetwork whole = masked(network);
    const auto size = static_cast<std::uint32_t>(whole.address.size());
    // RFC 791, 3.1 and RFC 8200, 3.
    const std::uint32_t source = whole.address.is_v4() ? 12 : 8;
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, side == Side::source ? source : source + size, size, one);
    if (whole.prefix < whole.address.width()) {
        std::array<std::uint8_t, 16> bits{};
        for (int bit = 0; bit < whole.prefix; ++bit) bits[bit / 8] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
        mask(bits.data(), size);
    }
    compare(match == Match::equal ? NFT_CMP_EQ : NFT_CMP_NEQ, whole.address.bytes.data(), size);
    return *this;
}

NftRule& NftRule::to_local() {
    const std::uint32_t local = RTN_LOCAL;
    expression("fib", [&] {
        message_.be32(NFTA_FIB_DREG, one).be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE).be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    });
    compare(NFT_CMP_EQ, &local, sizeof local);
    return *this;
}

NftRule& NftRule::to_ports(std::uint16_t first, std::uint16_t last) {
    const std::uint16_t from = htobe16(first), to = htobe16(last);
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, port_offset, sizeof from, one);
    compare(first == last ? NFT_CMP_EQ : NFT_CMP_GTE, &from, sizeof from);
    if (first != last) compare(NFT_CMP_LTE, &to, sizeof to);
    return *this;
}

NftRule& NftRule::icmp6_types(std::uint8_t first, std::uint8_t last) {
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof first, one);
    compare(NFT_CMP_GTE, &first, sizeof first);
    compare(NFT_CMP_LTE, &last, sizeof last);
    return *this;
}

NftRule& NftRule::connection_state(std::uint32_t bits) {
    expression("ct", [&] { message_.be32(NFTA_CT_KEY, NFT_CT_STATE).be32(NFTA_CT_DREG, one); });
    compare_any_bit(bits);
    return *this;
}

NftRule& NftRule::translated_destination() {
    expression("ct", [&] { message_.be32(NFTA_CT_KEY, NFT_CT_STATUS).be32(NFTA_CT_DREG, one); });
    compare_any_bit(IPS_DST_NAT);
    return *this;
}

void NftRule::verdict(std::uint32_t code, const std::string& chain) {
    expression("immediate", [&] {
        message_.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT).nest(NFTA_IMMEDIATE_DATA, [&] {
            message_.nest(NFTA_DATA_VERDICT, [&] {
                message_.be32(NFTA_VERDICT_CODE, code);
                if (!chain.empty()) message_.text(NFTA_VERDICT_CHAIN, chain);
            });
        });
    });
    finish();
}

void NftRule::reject_prohibited() {
    expression("reject", [&] {
        message_.be32(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH).u8(NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
    });
    finish();
}

void NftRule::reject_reset() {
    expression("reject", [&] { message_.be32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST); });
    finish();
}

void NftRule::masquerade() {
    expression("masq", [] {});
    finish();
}

void NftRule::translate_with(IpFamily family, bool with_port) {
    expression("nat", [&] {
        message_.be32(NFTA_NAT_TYPE, NFT_NAT_DNAT).be32(NFTA_NAT_FAMILY, family == IpFamily::v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
        message_.be32(NFTA_NAT_REG_ADDR_MIN, one);
        if (with_port) message_.be32(NFTA_NAT_REG_PROTO_MIN, two);
    });
    finish();
}

void NftRule::translate(const IpAddress& to) {
    set(one, to.bytes.data(), to.size());
    translate_with(to.family, false);
}

void NftRule::translate(const IpAddress& to, std::uint16_t port) {
    const std::uint16_t number = htobe16(port);
    set(one, to.bytes.data(), to.size());
    set(two, &number, sizeof number);
    translate_with(to.family, true);
}

void NftRule::translate_by(const IpAddress& to, const std::string& set_name, std::uint32_t set_id) {
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, port_offset, sizeof(std::uint16_t), two);
    expression("lookup", [&] {
        message_.text(NFTA_LOOKUP_SET, set_name).be32(NFTA_LOOKUP_SET_ID, set_id);
        message_.be32(NFTA_LOOKUP_SREG, two).be32(NFTA_LOOKUP_DREG, two);
    });
    set(one, to.bytes.data(), to.size());
    translate_with(to.family, true);
}

}  // namespace sandbox
