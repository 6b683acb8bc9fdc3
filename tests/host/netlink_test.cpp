// Links, addresses and routes made by netlink, held against what ip(8) sees, and against packets.
#include "kernel/netlink.h"

#include <gmock/gmock.h>
#include <linux/if_link.h>

#include <algorithm>

#include "own_network.h"

namespace {

using namespace harness;
using sandbox::BridgeRequest;
using sandbox::cat;
using sandbox::InsideRequest;
using sandbox::Netlink;
using sandbox::VethRequest;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The addresses of a link as text, each with its flags of interest: "10.88.0.1/24", "fd00::1/64 tentative".
std::vector<std::string> addresses_of(const std::string& link) {
    std::vector<std::string> out;
    const Json answer = ip_json({"address", "show", "dev", link});
    for (const Json& one : answer.at(0).at("addr_info")) {
        std::string text = cat(one["local"].get<std::string>(), "/", one["prefixlen"].get<int>());
        if (one.contains("tentative")) text += " tentative";
        out.push_back(text);
    }
    return out;
}

std::string routes() {
    std::string out = run({"ip", "-4", "route"}).out + run({"ip", "-6", "route"}).out;
    return out;
}

bool exists_link(const std::string& name) { return run({"ip", "link", "show", "dev", name}).ok(); }

class NetlinkTest : public OwnNetwork {
   protected:
    void SetUp() override {
        OwnNetwork::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        inside = new_network();
        auto opened = Netlink::open();
        ASSERT_TRUE(opened) << opened.error().message;
        links.emplace(std::move(*opened));
    }

    static BridgeRequest bridge_request() {
        return {"sbbr", "sandbox network", {2, 0, 10, 88, 0, 1}, {network("10.88.0.1/24"), network("fd00:88::1/64")}, 1400};
    }
    int bridge() {
        auto made = links->make_bridge(bridge_request());
        if (!made) throw std::runtime_error(made.error().message);
        return *made;
    }
    VethRequest veth_request(int bridge) {
        VethRequest out;
        out.host_name = "sb1a2b3c4d";
        out.alias = "sandbox web 1a2b3c4d";
        out.peer_namespace = inside.get();
        out.peer_name = "eth0";
        out.peer_mac = {2, 0, 10, 88, 0, 10};
        out.mtu = 1400;
        out.bridge = bridge;
        return out;
    }
    static InsideRequest inside_request() {
        return {"eth0",
                {network("10.88.0.10/24"), network("fd00:88::a/64")},
                {{network("0.0.0.0/0"), ip("10.88.0.1"), false, {}}, {network("::/0"), ip("fd00:88::1"), false, {}}},
                true};
    }
    sandbox::Status configure(const InsideRequest& request) {
        auto there = Netlink::open_in(inside.get());
        if (!there) return sandbox::pass(there);
        return there->configure(request);
    }

    Fd inside;
    std::optional<Netlink> links;
};

TEST_F(NetlinkTest, bridge_is_as_requested_and_forwards_at_once) {
    const int index = bridge();
    const Json seen = ip_json({"link", "show", "dev", "sbbr"}).at(0);
    EXPECT_EQ(seen["ifindex"], index);
    EXPECT_EQ(seen["address"], "02:00:0a:58:00:01");
    EXPECT_EQ(seen["ifalias"], "sandbox network");
    EXPECT_EQ(seen["mtu"], 1400);
    EXPECT_THAT(seen["flags"].get<Words>(), Contains("UP"));
    const Json& data = seen["linkinfo"]["info_data"];
    EXPECT_EQ(seen["linkinfo"]["info_kind"], "bridge");
    EXPECT_EQ(data["forward_delay"], 0);
    EXPECT_EQ(data["stp_state"], 0);
    EXPECT_EQ(data["mcast_snooping"], 0);
    EXPECT_EQ(data.value("vlan_filtering", 0), 0);
    EXPECT_THAT(addresses_of("sbbr"), ::testing::UnorderedElementsAre("10.88.0.1/24", "fd00:88::1/64", "fe80::aff:fe58:1/64"));
    EXPECT_EQ(ip_json({"address", "show", "dev", "sbbr"}).at(0)["addr_info"][0]["broadcast"], "10.88.0.255");
}

TEST_F(NetlinkTest, bridge_is_not_adopted) {
    bridge();
    auto again = links->make_bridge(bridge_request());
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().number, EEXIST);
    EXPECT_EQ(again.error().message.substr(0, 33), "make the bridge sbbr: file exists");
    EXPECT_TRUE(exists_link("sbbr"));
}

TEST_F(NetlinkTest, bridge_goes_again_when_an_address_cannot_be) {
    BridgeRequest request = bridge_request();
    request.addresses.push_back(request.addresses.front());
    auto made = links->make_bridge(request);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr("give sbbr the address 10.88.0.1/24: file exists"));
    EXPECT_THAT(made.error().also, IsEmpty());
    EXPECT_FALSE(exists_link("sbbr"));
}

TEST_F(NetlinkTest, find_tells_what_a_link_is) {
    const int index = bridge();
    auto found = links->find("sbbr");
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->index, index);
    EXPECT_EQ((*found)->name, "sbbr");
    EXPECT_EQ((*found)->kind, "bridge");
    EXPECT_EQ((*found)->alias, "sandbox network");
    EXPECT_TRUE((*found)->up);
    EXPECT_EQ((*found)->master, 0);
    EXPECT_EQ((*found)->mtu, 1400);
    EXPECT_EQ((*found)->mac, (sandbox::MacAddress{2, 0, 10, 88, 0, 1}));
    auto none = links->find("nobody");
    ASSERT_TRUE(none) << none.error().message;
    EXPECT_FALSE(*none);
    auto loopback = links->find("lo");
    ASSERT_TRUE(loopback && *loopback);
    EXPECT_EQ((*loopback)->kind, "");
}

TEST_F(NetlinkTest, veth_is_a_port_and_its_peer_is_inside) {
    const int on = bridge();
    VethRequest request = veth_request(on);
    request.hairpin = true;
    auto made = links->make_veth(request);
    ASSERT_TRUE(made) << made.error().message;
    const Json seen = ip_json({"link", "show", "dev", "sb1a2b3c4d"}).at(0);
    EXPECT_EQ(seen["ifindex"], *made);
    EXPECT_EQ(seen["master"], "sbbr");
    EXPECT_EQ(seen["ifalias"], "sandbox web 1a2b3c4d");
    EXPECT_EQ(seen["mtu"], 1400);
    EXPECT_THAT(seen["flags"].get<Words>(), Contains("UP"));
    EXPECT_EQ(seen["linkinfo"]["info_slave_data"]["hairpin"], true);
    EXPECT_EQ(links->find("sb1a2b3c4d")->value().master, on);
    const InNetwork in(inside);
    const Json peer = ip_json({"link", "show", "dev", "eth0"}).at(0);
    EXPECT_EQ(peer["address"], "02:00:0a:58:00:0a");
    EXPECT_EQ(peer["mtu"], 1400);
    EXPECT_THAT(peer["flags"].get<Words>(), Not(Contains("UP")));
}

TEST_F(NetlinkTest, veth_goes_again_when_its_bridge_is_none) {
    auto made = links->make_veth(veth_request(7777));
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr("make sb1a2b3c4d a port of the bridge (link 7777): "));
    EXPECT_NE(made.error().number, 0);
    EXPECT_FALSE(exists_link("sb1a2b3c4d"));
    const InNetwork in(inside);
    EXPECT_FALSE(exists_link("eth0"));
}

TEST_F(NetlinkTest, veth_is_not_adopted) {
    const int on = bridge();
    ASSERT_TRUE(run({"ip", "link", "add", "sb1a2b3c4d", "type", "bridge"}).ok());
    auto made = links->make_veth(veth_request(on));
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().number, EEXIST);
    EXPECT_THAT(made.error().message, HasSubstr("make the veth pair sb1a2b3c4d: file exists"));
    const auto stranger = links->find("sb1a2b3c4d")->value();
    EXPECT_EQ(stranger.kind, "bridge");
    EXPECT_EQ(stranger.alias, "");
    EXPECT_FALSE(stranger.up);
}

TEST_F(NetlinkTest, addresses_and_routes_are_usable_at_once) {
    const int on = bridge();
    auto made = links->make_veth(veth_request(on));
    ASSERT_TRUE(made);
    auto done = configure(inside_request());
    ASSERT_TRUE(done) << done.error().message;
    done = links->settle({*made, on});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_FALSE(links->settle({7777}));
    const Fd v4 = bound(host, SOCK_STREAM, {"10.88.0.1", 80}), v6 = bound(host, SOCK_STREAM, {"fd00:88::1", 80});
    EXPECT_EQ(seen_by(v4, inside, {"10.88.0.1", 80}), "10.88.0.10");
    EXPECT_EQ(seen_by(v6, inside, {"fd00:88::1", 80}), "fd00:88::a");
    EXPECT_THAT(addresses_of("sb1a2b3c4d"), IsEmpty());
    const InNetwork in(inside);
    EXPECT_THAT(addresses_of("eth0"), ::testing::UnorderedElementsAre("10.88.0.10/24", "fd00:88::a/64", "fe80::aff:fe58:a/64"));
    EXPECT_THAT(routes(), AllOf(HasSubstr("default via 10.88.0.1 dev eth0"), HasSubstr("default via fd00:88::1 dev eth0")));
}

TEST_F(NetlinkTest, routes_take_gateways_outside_the_network_and_of_the_other_family) {
    ASSERT_TRUE(links->make_veth(veth_request(bridge())));
    InsideRequest request{"eth0", {network("10.88.0.10/32"), network("fd00:88::a/128")}, {}, true};
    request.routes = {{network("192.0.2.0/24"), {}, false, 7},
                      {network("0.0.0.0/0"), ip("169.254.1.1"), true, {}},
                      {network("::/0"), ip("fe80::1"), true, 42},
                      {network("198.51.100.0/24"), ip("fe80::1"), true, {}}};
    auto done = configure(request);
    ASSERT_TRUE(done) << done.error().message;
    const InNetwork in(inside);
    EXPECT_THAT(routes(), AllOf(HasSubstr("192.0.2.0/24 dev eth0 proto static scope link metric 7"),
                                HasSubstr("default via 169.254.1.1 dev eth0 proto static onlink"),
                                HasSubstr("default via fe80::1 dev eth0 proto static metric 42 onlink"),
                                HasSubstr("198.51.100.0/24 via inet6 fe80::1 dev eth0 proto static onlink")));
}

TEST_F(NetlinkTest, configure_says_which_part_failed_and_the_kernels_words) {
    ASSERT_TRUE(links->make_veth(veth_request(bridge())));
    InsideRequest request = inside_request();
    request.routes[0].via = ip("172.16.0.1");
    auto done = configure(request);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().number, ENETUNREACH);
    EXPECT_EQ(done.error().message,
              "set the route to 0.0.0.0/0 via 172.16.0.1 on eth0: network is unreachable (Nexthop has invalid gateway)");
    request.name = "eth7";
    done = configure(request);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "look at the link eth7: no such device");
}

TEST_F(NetlinkTest, routed_veth_has_routes_and_neighbours_by_proxy) {
    const int on = bridge();
    VethRequest request = veth_request(0);
    request.host_addresses = {network("169.254.1.1/32"), network("fe80::1/64")};
    request.routes = {ip("10.88.0.10"), ip("fd00:88::a")};
    request.proxy_on = on;
    auto made = links->make_veth(request);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_THAT(addresses_of("sb1a2b3c4d"), ::testing::UnorderedElementsAre("169.254.1.1/32", "fe80::1/64"));
    EXPECT_THAT(routes(), AllOf(HasSubstr("10.88.0.10 dev sb1a2b3c4d proto static scope link"), HasSubstr("fd00:88::a dev sb1a2b3c4d")));
    const auto proxies = [] {
        return run({"ip", "-4", "neighbour", "show", "proxy"}).out + run({"ip", "-6", "neighbour", "show", "proxy"}).out;
    };
    EXPECT_THAT(proxies(), AllOf(HasSubstr("10.88.0.10 dev sbbr"), HasSubstr("fd00:88::a dev sbbr")));

    InsideRequest in_there{"eth0",
                           {network("10.88.0.10/32"), network("fd00:88::a/128")},
                           {{network("0.0.0.0/0"), ip("169.254.1.1"), true, {}}, {network("::/0"), ip("fe80::1"), false, {}}},
                           true};
    auto done = configure(in_there);
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_TRUE(links->settle({*made}));
    const Fd v4 = bound(inside, SOCK_STREAM, {"10.88.0.10", 80}), v6 = bound(inside, SOCK_STREAM, {"fd00:88::a", 80});
    EXPECT_EQ(seen_by(v4, host, {"10.88.0.10", 80}), "169.254.1.1");
    EXPECT_EQ(seen_by(v6, host, {"fd00:88::a", 80}), "fd00:88::1");

    ASSERT_TRUE(links->remove_proxies(on, request.routes));
    EXPECT_EQ(proxies(), "");
    done = links->remove_proxies(on, request.routes);
    EXPECT_TRUE(done) << done.error().message;
    done = links->remove_proxies(7777, request.routes);
    EXPECT_TRUE(done) << done.error().message;
}

TEST_F(NetlinkTest, routed_veth_goes_again_with_its_neighbours_by_proxy) {
    VethRequest request = veth_request(0);
    request.routes = {ip("10.88.0.10"), ip("10.88.0.10")};
    request.proxy_on = bridge();
    auto made = links->make_veth(request);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr("set the route to 10.88.0.10/32 on sb1a2b3c4d: file exists"));
    EXPECT_FALSE(exists_link("sb1a2b3c4d"));
    EXPECT_EQ(run({"ip", "neighbour", "show", "proxy"}).out, "");
}

TEST_F(NetlinkTest, macvlan_is_made_inside_on_a_link_of_the_host) {
    const Fd outside = new_network();
    VethRequest below = veth_request(0);
    below.peer_namespace = outside.get();
    auto parent = links->make_veth(below);
    ASSERT_TRUE(parent) << parent.error().message;
    sandbox::StackedRequest request;
    request.mode = MACVLAN_MODE_BRIDGE;
    request.parent = *parent;
    request.name_space = inside.get();
    request.name = "lan0";
    request.mac = sandbox::MacAddress{2, 0, 0, 0, 0, 9};
    request.mtu = 1300;
    auto made = links->make_stacked(request);
    if (!made && made.error().number == EOPNOTSUPP) GTEST_SKIP() << "SKIPPED: no macvlan in this kernel";
    ASSERT_TRUE(made) << made.error().message;
    made = links->make_stacked(request);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().number, EEXIST);
    EXPECT_FALSE(exists_link("lan0"));
    const InNetwork in(inside);
    const Json seen = ip_json({"link", "show", "dev", "lan0"}).at(0);
    EXPECT_EQ(seen["linkinfo"]["info_kind"], "macvlan");
    EXPECT_EQ(seen["linkinfo"]["info_data"]["mode"], "bridge");
    EXPECT_EQ(seen["address"], "02:00:00:00:00:09");
    EXPECT_EQ(seen["mtu"], 1300);
}

TEST_F(NetlinkTest, unknown_kind_is_told_with_its_name) {
    sandbox::StackedRequest request;
    request.parent = 7777;
    request.name_space = inside.get();
    request.name = "lan0";
    auto made = links->make_stacked(request);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr("make the macvlan lan0 on link 7777: "));
}

TEST_F(NetlinkTest, detached_link_carries_nothing_and_is_no_port) {
    auto made = links->make_veth(veth_request(bridge()));
    ASSERT_TRUE(made);
    ASSERT_TRUE(configure(inside_request()));
    ASSERT_TRUE(links->detach(*made));
    const auto seen = links->find("sb1a2b3c4d")->value();
    EXPECT_FALSE(seen.up);
    EXPECT_EQ(seen.master, 0);
    EXPECT_TRUE(links->detach(*made)) << "once more";
    ASSERT_TRUE(links->remove(*made));
    EXPECT_FALSE(exists_link("sb1a2b3c4d"));
    EXPECT_TRUE(links->remove(*made)) << "gone already";
    EXPECT_TRUE(links->detach(*made)) << "gone already";
}

TEST_F(NetlinkTest, socket_of_a_namespace_stays_there_and_the_caller_comes_back) {
    ASSERT_TRUE(links->make_veth(veth_request(bridge())));
    auto there = Netlink::open_in(inside.get());
    ASSERT_TRUE(there) << there.error().message;
    EXPECT_TRUE(there->find("eth0")->has_value());
    EXPECT_FALSE(there->find("sbbr")->has_value());
    EXPECT_TRUE(exists_link("sbbr")) << "the caller is still here";
    const Fd file(open("/", O_RDONLY | O_CLOEXEC));
    EXPECT_FALSE(Netlink::open_in(file.get()));
}

}  // namespace
