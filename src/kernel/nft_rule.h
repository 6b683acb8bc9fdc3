// One rule of nftables as the kernel takes it: a list of expressions that work on registers, the last of which is a verdict or changes
// the packet. An expression that does not match ends the rule.
//
// Sources: Linux include/uapi/linux/netfilter/nf_tables.h, net/netfilter/nft_*.c; what nft(8) sends with --debug=netlink.
#pragma once

#include <cstdint>
#include <string>

#include "base/ip.h"
#include "kernel/netlink_batch.h"

namespace sandbox {

enum class Match { equal, not_equal };
enum class Side { source, destination };

class NftRule {
   public:
    // A request NFT_MSG_NEWRULE that has its table and chain.
    explicit NftRule(NetlinkMessage& message);

    NftRule& family(IpFamily family);                                         // meta nfproto
    NftRule& protocol(std::uint8_t number);                                   // meta l4proto
    NftRule& from_link(const std::string& name, Match match = Match::equal);  // meta iifname
    NftRule& to_link(const std::string& name, Match match = Match::equal);    // meta oifname
    // Only after family().
    NftRule& address(Side side, const IpNetwork& network, Match match = Match::equal);
    NftRule& address(Side side, const IpAddress& address, Match match = Match::equal) {
        return this->address(side, IpNetwork{address, address.width()}, match);
    }
    NftRule& to_local();  // fib daddr type local
    // Only after protocol().
    NftRule& to_ports(std::uint16_t first, std::uint16_t last);
    NftRule& icmp6_types(std::uint8_t first, std::uint8_t last);
    NftRule& connection_state(std::uint32_t bits);  // ct state, any of NF_CT_STATE_BIT(...)
    NftRule& translated_destination();              // ct status dnat

    // The end of a rule.
    void verdict(std::uint32_t code, const std::string& chain = {});
    void reject_prohibited();  // reject with icmpx admin-prohibited
    void reject_reset();       // reject with tcp reset; only after protocol(IPPROTO_TCP)
    void masquerade();
    // To the same port; to this one; to what the set maps the port to.
    void translate(const IpAddress& to);
    void translate(const IpAddress& to, std::uint16_t port);
    void translate_by(const IpAddress& to, const std::string& set, std::uint32_t set_id);

   private:
    template <class Fill>
    NftRule& expression(const char* name, Fill fill);
    void load_meta(std::uint32_t key);
    void load_payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length, std::uint32_t to);
    void compare(std::uint32_t operation, const void* value, std::size_t size);
    void compare_any_bit(std::uint32_t bits);
    void mask(const void* bits, std::size_t size);
    void value(int attribute, const void* data, std::size_t size);
    void set(std::uint32_t to, const void* data, std::size_t size);
    NftRule& link(std::uint32_t key, const std::string& name, Match match);
    void translate_with(IpFamily family, bool with_port);
    void finish() { message_.close(list_); }

    NetlinkMessage& message_;
    nlattr* list_;
};

}  // namespace sandbox
