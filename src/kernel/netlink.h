// Links, addresses, routes and neighbours by rtnetlink(7): messages built by libnl, many to one send.
//
// Sources: rtnetlink(7), netlink(7), veth(4), Linux include/uapi/linux/if_link.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip.h"

namespace sandbox {

struct LinkInfo {
    int index = 0;
    std::string name, kind, alias;  // kind: "bridge", "veth", ...; empty for hardware
    bool up = false;
    int master = 0;
    int mtu = 0;
    MacAddress mac{};
};

struct BridgeRequest {
    std::string name, alias;
    MacAddress mac{};  // fixed: a bridge without one takes the lowest of its ports' and so changes it
    std::vector<IpNetwork> addresses;
    std::optional<int> mtu;
};

// The sandbox's end is made in its namespace already, and is down; the host's end is up.
struct VethRequest {
    std::string host_name, alias;
    MacAddress host_mac{};    // high, so that a bridge that takes the lowest of its ports' does not change its own
    int peer_namespace = -1;  // descriptor
    std::string peer_name;
    MacAddress peer_mac{};
    std::optional<int> mtu;
    // The host's end is a port of this bridge (index), hairpin for sandboxes that reach their own published ports; or, with 0, is routed:
    // it gets `host_addresses` (/32, /128 or fe80::1/64), a host route to each of `routes`, and proxy neighbour entries for them on
    // `proxy_on` (index of the bridge).
    int bridge = 0;
    bool hairpin = false;
    std::vector<IpNetwork> host_addresses;
    std::vector<IpAddress> routes;
    int proxy_on = 0;
};

enum class StackedKind { macvlan, ipvlan };
struct StackedRequest {
    StackedKind kind = StackedKind::macvlan;
    std::uint32_t mode = 0;  // MACVLAN_MODE_*, IPVLAN_MODE_*
    int parent = 0;          // index in this namespace
    int name_space = -1;     // descriptor: where it is made
    std::string name;
    std::optional<MacAddress> mac;  // macvlan only
    std::optional<int> mtu;
};

struct RouteRequest {
    IpNetwork to;
    std::optional<IpAddress> via;
    bool on_link = false;  // the gateway is not in the interface's network (RTNH_F_ONLINK)
    std::optional<std::uint32_t> metric;
};
// What is done inside, through a socket of that namespace, in one send: addresses (without duplicate address detection: nobody else
// can have them), up, routes in order. With an IPv6 address, the one of the link itself is there at once too.
struct InsideRequest {
    std::string name;
    std::vector<IpNetwork> addresses;
    std::vector<RouteRequest> routes;
    bool up = true;
};

// Which network namespace the calling process is in: its inode (namespaces(7)).
[[nodiscard]] std::uint64_t own_network();

// Does `what` in the network namespace behind a descriptor. The calling process, which has one thread, goes there and comes back;
// a failure to come back ends the process (it would act on the wrong network).
[[nodiscard]] Status in_network(int name_space, const std::function<Status()>& what);

// A socket of one network namespace: the one that the calling thread was in when it was opened.
class Netlink {
   public:
    static Result<Netlink> open();
    // In the network namespace behind a descriptor (in_network).
    static Result<Netlink> open_in(int name_space);

    Netlink(Netlink&&) noexcept;
    Netlink& operator=(Netlink&&) noexcept;
    ~Netlink();

    // Nothing when there is no link of that name.
    Result<std::optional<LinkInfo>> find(const std::string& name);
    // Exclusively: EEXIST is an error. With addresses, and up. Returns its index.
    Result<int> make_bridge(const BridgeRequest& request);
    // Returns the index of the host's end.
    Result<int> make_veth(const VethRequest& request);
    Status make_stacked(const StackedRequest& request);
    Status configure(const InsideRequest& request);
    // After both ends of a pair are up: the links (the host's end, then its bridge) carry packets when this returns. The kernel says that
    // a link has its carrier from a work queue, up to some milliseconds later; a packet before that is lost, and TCP repeats it after a
    // second. Asking after a link does that work at once (linkwatch_sync_dev in rtnl_getlink, Linux 6.6; an older kernel takes its time).
    Status settle(const std::vector<int>& links);
    // Switched off and out of its bridge: nothing goes through it any more. Gone already is success.
    Status detach(int index);
    // Gone already is success.
    Status remove(int index);
    // For whoever closes the rest of its descriptors.
    [[nodiscard]] int descriptor() const;
    Status remove_proxies(int index, const std::vector<IpAddress>& addresses);

   private:
    struct Socket;
    explicit Netlink(std::unique_ptr<Socket> socket);
    std::unique_ptr<Socket> socket_;
};

}  // namespace sandbox
