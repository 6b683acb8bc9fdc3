// Sandboxes on a bridge: their link, addresses and routes, what they reach, what the host has meanwhile and afterwards.
#include "network_world.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr const char* both_families = "bridge: {subnet6: \"fd00:88::/64\"}";

class BridgeNetwork : public NetworkWorld {
   protected:
    // "default via 10.88.0.1", "10.9.0.0/16 via 10.88.0.200 metric 7": routes with a router, and those of a metric other than the usual.
    static Words routes_in(const Box& box) {
        const InNetwork inside(box.network);
        Words out;
        for (const char* family : {"-4", "-6"})
            for (const Json& route : ip_json({family, "route"})) {
                if (!route.contains("gateway")) continue;
                const int metric = route.value("metric", 0);
                out.push_back(cat(route["dst"].get<std::string>(), " via ", route["gateway"].get<std::string>(),
                                  metric == 0 || metric == 1024 ? "" : cat(" metric ", metric)));
            }
        return out;
    }
};

// ---- the view from inside and the host's side of it

TEST_F(BridgeNetwork, gives_an_address_and_a_router_by_default) {
    const Box box = up("web");
    const InNetwork inside(box.network);
    const Json link = link_of("eth0");
    EXPECT_TRUE(is_up(link)) << link;
    EXPECT_EQ(link["address"], "02:00:0a:58:00:02");
    EXPECT_EQ(link["mtu"], 1500);
    EXPECT_THAT(addresses_of_link("eth0"), ElementsAre("10.88.0.2/24"));
    EXPECT_THAT(routes_in(box), ElementsAre("default via 10.88.0.1"));
    EXPECT_TRUE(is_up(link_of("lo")));
    EXPECT_THAT(ip_json({"link"}).size(), 2) << "nothing of the host's";
}

TEST_F(BridgeNetwork, gives_what_the_profile_says) {
    const Box box =
        up("web", cat(both_families,
                      ", interface: {name: lan0, mtu: 1400, mac: \"02:00:00:00:12:34\", ip: 10.88.0.77/24, ip6: \"fd00:88::77\", "
                      "routes: [10.9.0.0/16 via 10.88.0.200, {to: 10.10.0.0/16, via: 10.88.0.1, metric: 7}, "
                      "\"fd00:9::/32 via fd00:88::200\"]}"));
    {
        const InNetwork inside(box.network);
        const Json link = link_of("lan0");
        EXPECT_TRUE(is_up(link)) << link;
        EXPECT_EQ(link["address"], "02:00:00:00:12:34");
        EXPECT_EQ(link["mtu"], 1400);
        EXPECT_THAT(addresses_of_link("lan0"), ElementsAre("10.88.0.77/24", "fd00:88::77/64"));
        EXPECT_TRUE(link_of("eth0").is_null());
    }
    EXPECT_THAT(routes_in(box),
                UnorderedElementsAre("default via 10.88.0.1", "10.9.0.0/16 via 10.88.0.200", "10.10.0.0/16 via 10.88.0.1 metric 7",
                                     "default via fd00:88::1", "fd00:9::/32 via fd00:88::200"));
    const Json veth = link_of(box.host_link());
    ASSERT_TRUE(veth.is_object());
    EXPECT_TRUE(is_up(veth));
    EXPECT_EQ(veth["ifalias"], cat("sandbox web ", box.id()));
    EXPECT_EQ(veth["master"], "sandbox0");
    EXPECT_EQ(veth["mtu"], 1400);
    const Json bridge = link_of("sandbox0");
    EXPECT_TRUE(is_up(bridge));
    EXPECT_EQ(bridge["linkinfo"]["info_kind"], "bridge");
    EXPECT_THAT(addresses_of_link("sandbox0"), ElementsAre("10.88.0.1/24", "fd00:88::1/64"));
}

TEST_F(BridgeNetwork, gives_no_address_where_none_is_wanted) {
    const Box six = up("six", cat(both_families, ", interface: {ip: null}"));
    const Box bare = up("bare", "interface: {ip: null, gateway: null}");
    const InNetwork in_six(six.network);
    EXPECT_THAT(addresses_of_link("eth0"), ElementsAre("fd00:88::2/64"));
    EXPECT_THAT(routes_in(six), ElementsAre("default via fd00:88::1"));
    const InNetwork in_bare(bare.network);
    EXPECT_TRUE(is_up(link_of("eth0")));
    EXPECT_THAT(addresses_of_link("eth0"), IsEmpty());
}

TEST_F(BridgeNetwork, takes_the_router_of_the_profile) {
    const Box none = up("none", "interface: {gateway: null}"), other = up("other", "interface: {gateway: 10.88.0.200}");
    EXPECT_THAT(routes_in(none), IsEmpty());
    EXPECT_THAT(routes_in(other), ElementsAre("default via 10.88.0.200"));
}

// ---- the bridge

TEST_F(BridgeNetwork, the_last_of_two_removes_the_bridge) {
    Box first = up("first"), second = up("second");
    down(first);
    EXPECT_TRUE(is_up(link_of("sandbox0"))) << "the second is still on it";
    EXPECT_EQ(connect_to(host, {"10.88.0.3", 1}).error, ECONNREFUSED);
    down(second);
    EXPECT_TRUE(link_of("sandbox0").is_null());
    EXPECT_EQ(changed_since(*before_), "");
}

TEST_F(BridgeNetwork, a_bridge_that_was_there_stays_as_it_was) {
    const Fd& other = machine();
    connect("port0", {}, other, "eth0", {"10.88.0.9/24"});
    command({"ip", "link", "add", "mine", "address", "02:11:22:33:44:55", "type", "bridge"});
    command({"ip", "link", "set", "port0", "master", "mine"});
    set_up("mine", {"10.88.0.1/24", "fd00:88::5/64"});
    ASSERT_TRUE(eventually([] { return link_of("mine")["operstate"] == "UP"; }));
    set_sysctl("net/ipv6/conf/mine/proxy_ndp", "0");
    set_sysctl("net/ipv4/neigh/mine/proxy_delay", "70");
    for (const char* create : {"true", "false"}) {
        Box box = up("web", cat("bridge: {name: mine, subnet6: \"fd00:88::/64\", create: ", create, "}"));
        EXPECT_THAT(routes_in(box), UnorderedElementsAre("default via 10.88.0.1", "default via fd00:88::5"));
        EXPECT_EQ(seen_by(bound(other, SOCK_STREAM, {"10.88.0.9", 80}), box.network, {"10.88.0.9", 80}), "10.88.0.2");
        down(box);
        EXPECT_EQ(changed_since(*before_), "") << create;
    }
    // Its user is killed: the same.
    Box box = up("web", "bridge: {name: mine, subnet6: \"fd00:88::/64\"}");
    kill_supervisor(box);
    EXPECT_TRUE(sandbox_command({"gc"}).ok());
    EXPECT_EQ(changed_since(*before_), "");
}

TEST_F(BridgeNetwork, does_not_make_a_bridge_that_should_be_there) {
    const Ended missing = try_up("web", "bridge: {name: mine, create: false}");
    EXPECT_EQ(missing.code, 125) << missing;
    EXPECT_THAT(missing.err, AllOf(HasSubstr("E0562"), HasSubstr("there is no bridge 'mine'")));
    command({"ip", "link", "add", "mine", "type", "veth", "peer", "name", "end"});
    const Ended other = try_up("web", "bridge: {name: mine}");
    EXPECT_THAT(other.err, AllOf(HasSubstr("E0561"), HasSubstr("not a bridge")));
    command({"ip", "link", "del", "mine"});
}

// ---- leases

TEST_F(BridgeNetwork, leases_the_next_address) {
    Box first = up("first"), second = up("second");
    EXPECT_EQ(first.address(), "10.88.0.2");
    EXPECT_EQ(second.address(), "10.88.0.3");
    down(first);
    const Box third = up("third");
    EXPECT_EQ(third.address(), "10.88.0.4") << "what was just given back is not the next";
    Box fixed = up("fixed", "interface: {ip: 10.88.0.5}");
    const Box fourth = up("fourth");
    EXPECT_EQ(fourth.address(), "10.88.0.6");
    // What is given back can be had again.
    down(fixed);
    EXPECT_EQ(up("again", "interface: {ip: 10.88.0.5}").address(), "10.88.0.5");
}

TEST_F(BridgeNetwork, an_address_is_leased_once) {
    Box first = up("first", "interface: {ip: 10.88.0.7}");
    const HostSnapshot running = picture();
    const Ended second = try_up("second", "interface: {ip: 10.88.0.7}");
    EXPECT_EQ(second.code, 125) << second;
    EXPECT_THAT(second.err, AllOf(HasSubstr("E0566"), HasSubstr("10.88.0.7 is in use by sandbox 'first'")));
    EXPECT_EQ(compare(running, picture()), "") << "it had an effect";
    const Ended outside = try_up("second", "interface: {ip: 10.99.0.7}");
    EXPECT_EQ(outside.code, 125) << outside;
    EXPECT_THAT(outside.err, AllOf(HasSubstr("E0433"), HasSubstr("10.99.0.7 is not in the bridge's network 10.88.0.0/24")));
    kill_supervisor(first);
    EXPECT_EQ(up("second", "interface: {ip: 10.88.0.7}").address(), "10.88.0.7");
}

TEST_F(BridgeNetwork, says_that_no_address_is_left) {
    const char* small = "bridge: {subnet: 10.88.0.0/30}";
    Box first = up("first", small);
    EXPECT_EQ(first.address(), "10.88.0.2");
    const HostSnapshot running = picture();
    const Ended second = try_up("second", small);
    EXPECT_EQ(second.code, 125) << second;
    EXPECT_THAT(second.err, HasSubstr("no address is left in 10.88.0.0/30 (1 of 1 in use)"));
    EXPECT_EQ(changed_since(running), "");
    down(first);
    EXPECT_EQ(up("second", small).address(), "10.88.0.2");
}

// ---- what is reached

TEST_F(BridgeNetwork, the_host_and_sandboxes_reach_each_other) {
    const Box first = up("first", both_families), second = up("second", both_families);
    for (const bool v6 : {false, true}) {
        const char *any = v6 ? "::" : "0.0.0.0", *bridge = v6 ? "fd00:88::1" : "10.88.0.1";
        const Fd in_first = bound(first.network, SOCK_STREAM, {any, 80}), in_host = bound(host, SOCK_STREAM, {any, 80});
        EXPECT_EQ(seen_by(in_first, host, {first.address(v6), 80}), bridge);
        EXPECT_EQ(seen_by(in_host, first.network, {bridge, 80}), first.address(v6));
        EXPECT_EQ(seen_by(in_first, second.network, {first.address(v6), 80}), second.address(v6));
        EXPECT_EQ(seen_by(in_first, first.network, {first.address(v6), 80}), first.address(v6));
    }
    const Fd loopback = bound(first.network, SOCK_STREAM, {"127.0.0.1", 81});
    EXPECT_EQ(seen_by(loopback, first.network, {"127.0.0.1", 81}), "127.0.0.1");
    // By name, with programs in the sandboxes.
    EXPECT_TRUE(exec(second, {"/bin/ping", "-c", "1", "-W", "2", "first"}).ok());
    EXPECT_TRUE(exec(first, {"/bin/ping", "-6", "-c", "1", "-W", "2", "second"}).ok());
}

TEST_F(BridgeNetwork, leaves_the_host_by_its_address) {
    const Fd& other = neighbour();
    const Box box = up("web", both_families);
    EXPECT_EQ(seen_by(bound(other, SOCK_STREAM, {"0.0.0.0", 80}), box.network, {"192.0.2.2", 80}), "192.0.2.1");
    EXPECT_EQ(seen_by(bound(other, SOCK_STREAM, {"::", 81}), box.network, {"2001:db8:1::2", 81}), "2001:db8:1::1");
    EXPECT_TRUE(exec(box, {"/bin/ping", "-c", "1", "-W", "2", "192.0.2.2"}).ok());
}

TEST_F(BridgeNetwork, leaves_the_host_by_its_own_address_without_nat) {
    const Fd& other = neighbour();
    forward_packets();
    for (const char* back : {"10.88.0.0/24 via 192.0.2.1", "fd00:88::/64 via 2001:db8:1::1"}) {
        Words words{"ip", "route", "add"};
        for (const std::string_view word : sandbox::split(back, ' ')) words.emplace_back(word);
        in(other, words);
    }
    const Box box = up("web", "bridge: {subnet6: \"fd00:88::/64\", nat: false}");
    EXPECT_EQ(seen_by(bound(other, SOCK_STREAM, {"0.0.0.0", 80}), box.network, {"192.0.2.2", 80}), "10.88.0.2");
    EXPECT_EQ(seen_by(bound(other, SOCK_STREAM, {"::", 81}), box.network, {"2001:db8:1::2", 81}), "fd00:88::2");
    // And the other way.
    EXPECT_EQ(seen_by(bound(box.network, SOCK_STREAM, {"0.0.0.0", 80}), other, {"10.88.0.2", 80}), "192.0.2.2");
}

TEST_F(BridgeNetwork, reaches_what_is_behind_a_router) {
    const Fd &router = neighbour(), &internet = machine();
    {
        const InNetwork there(router);
        connect("wan0", {"198.51.100.1/24"}, internet, "eth0", {"198.51.100.2/24"});
        forward_packets();
        command({"nft", "add", "table", "ip", "nat"});
        command({"nft", "add", "chain", "ip", "nat", "post", "{ type nat hook postrouting priority srcnat; }"});
        command({"nft", "add", "rule", "ip", "nat", "post", "oifname", "wan0", "masquerade"});
    }
    command({"ip", "route", "add", "default", "via", "192.0.2.2"});
    place_.write("www/index.html", "the internet\n");
    const Box box = up("web");
    EXPECT_EQ(seen_by(bound(internet, SOCK_STREAM, {"0.0.0.0", 81}), box.network, {"198.51.100.2", 81}), "198.51.100.1");
    // With programs at both ends.
    REQUIRE_OR_SKIP(command_exists("python3"), "needs python3");
    std::optional<Process> server;
    {
        const InNetwork there(internet);
        server.emplace(Process::start({"python3", "-u", "-m", "http.server", "80", "--directory", place_ / "www"}));
    }
    ASSERT_TRUE(server->expect("Serving HTTP")) << server->err();
    EXPECT_EQ(exec(box, {"/bin/wget", "-q", "-O", "-", "http://198.51.100.2/index.html"}).out, "the internet\n");
}

TEST_F(BridgeNetwork, a_sandbox_of_another_bridge_is_another_host) {
    const Box first = up("first"), second = up("second", "bridge: {name: sandbox1, subnet: 10.89.0.0/24}");
    EXPECT_EQ(second.address(), "10.89.0.2");
    const Fd listener = bound(first.network, SOCK_STREAM, {"0.0.0.0", 80});
    EXPECT_EQ(seen_by(listener, second.network, {"10.88.0.2", 80}), "10.88.0.1");
    EXPECT_THAT(file_in(first, "/etc/hosts"), Not(HasSubstr("second")));
}

// ---- launches

TEST_F(BridgeNetwork, is_there_for_a_command_in_the_foreground) {
    remember();
    const std::string file = profile("web", "ports: [\"8080:80\"]");
    const Ended ended = sandbox_command({"up", file, "--", "/bin/ping", "-c", "1", "-W", "2", "10.88.0.1"});
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_EQ(changed_since(*before_), "");
    Process waiting = Process::start({sandbox_binary(), "up", file, "--", "/sandbox-probe", "wait-signal:TERM"});
    ASSERT_TRUE(waiting.expect("\"ready\":true")) << waiting.err();
    EXPECT_EQ(connect_to(host, {"10.88.0.2", 1}).error, ECONNREFUSED);
    waiting.signal(SIGTERM);
    EXPECT_EQ(waiting.wait().code, 0);
    EXPECT_EQ(changed_since(*before_), "");
}

TEST_F(BridgeNetwork, leaves_nothing_when_the_launch_fails) {
    const Ended missing = try_up("web", "ports: [\"8080:80\", \"0.0.0.0:8081:80\"]", "process: {command: [/no/such/program]}\n");
    EXPECT_EQ(missing.code, 127) << missing;
    EXPECT_EQ(changed_since(*before_), "");
    // The last step of the host's side: the route cannot be made.
    const Ended route = try_up("web", "interface: {routes: [\"10.9.0.0/16 via 10.88.0.200\", \"10.9.0.0/16 via 10.88.0.201\"]}");
    EXPECT_EQ(route.code, 125) << route;
    EXPECT_EQ(changed_since(*before_), "");
}

TEST_F(BridgeNetwork, what_is_left_of_a_network_that_is_gone_is_removed) {
    remember();
    {
        const Fd other = new_network();
        Box box;
        {
            const InNetwork there(other);
            box = up("web");
        }
        kill_supervisor(box);
    }
    EXPECT_TRUE(sandbox_command({"gc"}).ok());
    EXPECT_EQ(changed_since(*before_), "");
}

// ---- the switches of the host

TEST_F(BridgeNetwork, the_host_passes_packets_on_only_meanwhile) {
    const Fd& other = neighbour();
    // A link that had its own way, before anything was switched.
    set_sysctl("net/ipv4/conf/out0/forwarding", "1");
    set_sysctl("net/ipv6/conf/out0/accept_ra", "1");
    set_sysctl("net/ipv4/conf/all/accept_redirects", "1");
    Box first = up("first", both_families);
    const auto forwards = [] {
        return cat(sandbox::trim(read_text("/proc/sys/net/ipv4/ip_forward")), " ",
                   sandbox::trim(read_text("/proc/sys/net/ipv6/conf/all/forwarding")));
    };
    EXPECT_EQ(forwards(), "1 1");
    EXPECT_EQ(read_text("/proc/sys/net/ipv6/conf/out0/accept_ra"), "2\n") << "the host would lose its router";
    Box second = up("second", "bridge: {name: sandbox1, subnet: 10.89.0.0/24, subnet6: \"fd00:89::/64\"}");
    down(first);
    EXPECT_EQ(forwards(), "1 1") << "the second needs it";
    EXPECT_EQ(seen_by(bound(other, SOCK_STREAM, {"0.0.0.0", 80}), second.network, {"192.0.2.2", 80}), "192.0.2.1");
    down(second);
    EXPECT_EQ(changed_since(*before_), "");
    Box killed = up("first", both_families);
    EXPECT_EQ(forwards(), "1 1");
    kill_supervisor(killed);
    EXPECT_TRUE(sandbox_command({"gc"}).ok());
    EXPECT_EQ(changed_since(*before_), "");
}

TEST_F(BridgeNetwork, a_host_that_passes_packets_on_goes_on) {
    const Fd& other = neighbour();
    forward_packets();
    Box box = up("web", both_families);
    EXPECT_EQ(seen_by(bound(other, SOCK_STREAM, {"0.0.0.0", 80}), box.network, {"192.0.2.2", 80}), "192.0.2.1");
    down(box);
    EXPECT_EQ(read_text("/proc/sys/net/ipv4/ip_forward"), "1\n");
    EXPECT_EQ(read_text("/proc/sys/net/ipv6/conf/all/forwarding"), "1\n");
    EXPECT_EQ(changed_since(*before_), "");
}

TEST_F(BridgeNetwork, without_a_need_nothing_is_switched) {
    const Box box = up("web", "bridge: {nat: false}");
    EXPECT_EQ(read_text("/proc/sys/net/ipv4/ip_forward"), "0\n");
    EXPECT_EQ(run({"nft", "list", "ruleset"}).out, "");
}

// ---- other tools

std::string table_text(const std::string& family_and_name) {
    Words words{"nft", "-s", "-a", "list", "table"};
    for (const std::string_view word : sandbox::split(family_and_name, ' ')) words.emplace_back(word);
    return run(words).out;
}

// Byte for byte: what the other tools see of their tables while a sandbox runs, and afterwards.
TEST_F(BridgeNetwork, tables_of_others_stay_as_they_are) {
    const Fd& other = neighbour();
    command({"nft", "-f", "-"},
            with_input("table inet firewall {\n  counter seen { }\n  set good { type ipv4_addr; elements = { 192.0.2.2 } }\n"
                       "  chain input { type filter hook input priority filter; policy accept; ct state invalid drop; }\n"
                       "  chain forward { type filter hook forward priority filter; policy accept; }\n}\n"));
    if (command_exists("iptables-nft")) {
        command({"iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-s", "172.17.0.0/16", "-j", "MASQUERADE"});
        command({"iptables-nft", "-A", "FORWARD", "-s", "172.17.0.0/16", "-j", "ACCEPT"});
    }
    std::map<std::string, std::string> theirs;
    for (const char* table : {"inet firewall", "ip filter", "ip nat"}) theirs[table] = table_text(table);
    Box box = up("web", "ports: [\"0.0.0.0:8080:80\"]");
    EXPECT_EQ(seen_by(bound(box.network, SOCK_STREAM, {"0.0.0.0", 80}), other, {"192.0.2.1", 8080}), "192.0.2.2");
    EXPECT_EQ(seen_by(bound(other, SOCK_STREAM, {"0.0.0.0", 80}), box.network, {"192.0.2.2", 80}), "192.0.2.1");
    EXPECT_THAT(run({"nft", "list", "tables"}).out, HasSubstr("table inet sandbox-web"));
    for (const char* table : {"inet firewall", "ip filter", "ip nat"}) EXPECT_EQ(table_text(table), theirs[table]) << table;
    down(box);
    EXPECT_EQ(changed_since(*before_), "");
}

// ---- who may

TEST_F(BridgeNetwork, an_ordinary_user_hears_that_root_can) {
    HOST_ROOT_OR_LEFT_OUT();
    remember();
    const std::string file = profile("web", "");
    const Ended user = sandbox_command({"up", "-d", file}, ordinary_user());
    EXPECT_EQ(user.code, 125) << user;
    EXPECT_THAT(user.err, AllOf(HasSubstr("E0560"), HasSubstr("CAP_NET_ADMIN"), HasSubstr("web.yaml")));
    // Root of a user namespace has no say in a network that is not beneath it.
    const Ended root = run({"unshare", "--user", "--map-root-user", sandbox_binary(), "validate", file});
    EXPECT_EQ(root.code, 1) << root;
    EXPECT_THAT(root.err, HasSubstr("E0560"));
}

}  // namespace
