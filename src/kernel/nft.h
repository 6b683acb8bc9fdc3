// The nftables table of one sandbox: everything that the host's packet filter does for it, in a table of its own, named after it.
//
// The table belongs to the socket that made it (NFT_TABLE_F_OWNER, Linux 5.12): nobody else changes it, and the kernel removes it
// when the last copy of the socket is closed, however its holder ends. Verdicts "accept" of this table do not open what another
// table's chain of the same hook drops (nft(8), "a packet accepted by one base chain is still evaluated by the following").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip.h"

namespace sandbox {

// To a published port: packets for host_ip (none of that family: any local address but loopback, see `family`) go to `to`:`port`.
struct PortRule {
    IpFamily family = IpFamily::v4;
    std::optional<IpAddress> host_ip;  // none: every address of the host
    std::uint16_t host_port = 0, port = 0, count = 1;
    bool udp = false;
    IpAddress to;
};

struct EgressAllowance {
    IpNetwork to;
    std::optional<bool> udp;                      // none: every protocol, or with ports both tcp and udp
    std::uint16_t first_port = 0, last_port = 0;  // 0: all
};

struct TableRequest {
    std::string name;                  // "sandbox-web"
    std::string link;                  // the host's end of its veth pair: what comes from there is what it sends
    std::string bridge;                // the bridge of its network
    std::vector<IpAddress> addresses;  // of the sandbox, at most one of each family
    // Masquerade what leaves for other links than its network's, from `addresses` to elsewhere than `subnets`.
    bool nat = false;
    std::vector<IpNetwork> subnets;
    std::vector<PortRule> ports;
    // Only answers, neighbour discovery, and `allow` come out of `link`, from its own `addresses`; the rest is rejected (TCP reset,
    // else ICMP administratively prohibited). Holds for what it sends to others (forward) and to the host itself (input).
    bool confined = false;
    std::vector<EgressAllowance> allow;
};

// Makes the table whole or not at all. Returns the socket that it belongs to. EEXIST: a table of this name is there.
// EMSGSIZE: too many rules for one send. EOPNOTSUPP, EPROTONOSUPPORT: no nftables in this kernel, or without a part that is needed (said in
// the message).
[[nodiscard]] Result<Fd> make_table(const TableRequest& request);
// Before the socket is closed: at once, where closing would let the caller wait for a grace period. Gone already is success.
[[nodiscard]] Status remove_table(int socket, const std::string& name);
// From another process: whether a table of this name is in this network namespace.
[[nodiscard]] Result<bool> has_table(const std::string& name);
// Whether nftables answers here: 0 or an errno. Nothing is made (taking a table back would wait for a grace period): a part of it that
// is missing, such as masquerading, shows in make_table.
[[nodiscard]] int try_nftables();

}  // namespace sandbox
