// The table of one sandbox, held against what nft(8) reads, and against connections between machines: a host, which is the test
// program; the sandbox and a neighbour on the host's bridge, or the sandbox on a link of its own; and somebody outside.
#include "kernel/nft.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "kernel/netlink.h"
#include "own_network.h"

namespace {

using namespace harness;
using sandbox::cat;
using sandbox::EgressAllowance;
using sandbox::IpFamily;
using sandbox::make_table;
using sandbox::Netlink;
using sandbox::PortRule;
using sandbox::TableRequest;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Both families in one test: the same addresses, written in the other way.
struct Addresses {
    const char *name, *sandbox, *subnet, *bridge, *neighbour, *host, *outside, *foreign, *any, *gateway;
};
std::ostream& operator<<(std::ostream& stream, const Addresses& all) { return stream << all.name; }
constexpr Addresses v4{"v4",        "10.88.0.10", "10.88.0.0/24", "10.88.0.1", "10.88.0.20",
                       "192.0.2.1", "192.0.2.2",  "10.88.0.99",   "0.0.0.0",   "169.254.1.1"};
constexpr Addresses v6{"v6",          "fd00:88::a",  "fd00:88::/64", "fd00:88::1", "fd00:88::14",
                       "2001:db8::1", "2001:db8::2", "fd00:88::63",  "::",         "fe80::1"};
constexpr const char* link_name = "sb1a2b3c4d";

class NftTest : public OwnNetwork {
   protected:
    void SetUp() override {
        OwnNetwork::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        REQUIRE_OR_SKIP(command_exists("nft"), "needs nft of nftables");
        REQUIRE_OR_SKIP(sandbox::try_nftables() == 0, "needs a kernel with nftables");
    }
    static TableRequest request() {
        TableRequest out;
        out.name = "sandbox-web";
        out.link = link_name;
        out.bridge = "sbbr";
        out.addresses = {ip(v4.sandbox), ip(v6.sandbox)};
        out.subnets = {network(v4.subnet), network(v6.subnet)};
        return out;
    }
    static std::string ruleset() { return run({"nft", "list", "ruleset"}).out; }
};

Fd made(const TableRequest& request) {
    auto table = make_table(request);
    if (!table) throw std::runtime_error(table.error().message);
    return std::move(*table);
}

PortRule port(const char* to, std::uint16_t host_port, std::uint16_t inner, std::uint16_t count = 1, bool udp = false) {
    const auto address = ip(to);
    return {address.family, {}, host_port, inner, count, udp, address};
}

// ---- the table itself

TEST_F(NftTest, answers_here) { EXPECT_EQ(sandbox::try_nftables(), 0); }

TEST_F(NftTest, table_belongs_to_the_socket_and_goes_with_it) {
    EXPECT_FALSE(*sandbox::has_table("sandbox-web"));
    Fd table = made(request());
    EXPECT_TRUE(*sandbox::has_table("sandbox-web"));
    EXPECT_FALSE(*sandbox::has_table("sandbox-we"));
    EXPECT_THAT(ruleset(),
                AllOf(HasSubstr("table inet sandbox-web"), HasSubstr("flags owner"), HasSubstr("made by sandbox; goes with it")));
    EXPECT_FALSE(run({"nft", "delete", "table", "inet", "sandbox-web"}).ok());
    EXPECT_FALSE(run({"nft", "add", "chain", "inet", "sandbox-web", "more"}).ok());
    const Fd copy(fcntl(table.get(), F_DUPFD_CLOEXEC, 0));
    table.reset();
    EXPECT_TRUE(*sandbox::has_table("sandbox-web")) << "a copy is open";
}

TEST_F(NftTest, table_is_gone_after_the_last_copy) {
    made(request()).reset();
    EXPECT_FALSE(*sandbox::has_table("sandbox-web"));
    EXPECT_EQ(ruleset(), "");
}

TEST_F(NftTest, table_is_not_adopted) {
    const Fd table = made(request());
    auto again = make_table(request());
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().number, EEXIST);
    EXPECT_EQ(again.error().message, "make the nftables table sandbox-web: file exists");
    ASSERT_TRUE(run({"nft", "add", "table", "inet", "sandbox-other"}).ok());
    TableRequest other = request();
    other.name = "sandbox-other";
    again = make_table(other);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().number, EEXIST) << again.error().message;
}

TEST_F(NftTest, table_is_made_whole_or_not_at_all) {
    TableRequest bad = request();
    bad.ports = {port(v4.sandbox, 80, 80)};
    bad.name = std::string(300, 'x');  // longer than NFT_NAME_MAXLEN
    auto table = make_table(bad);
    ASSERT_FALSE(table);
    EXPECT_THAT(table.error().message, HasSubstr("make the nftables table "));
    EXPECT_EQ(ruleset(), "");
}

TEST_F(NftTest, table_is_removed_by_its_owner_alone) {
    const Fd table = made(request());
    auto stranger = make_table([] {
        TableRequest out = request();
        out.name = "sandbox-other";
        return out;
    }());
    ASSERT_TRUE(stranger);
    auto removed = sandbox::remove_table(stranger->get(), "sandbox-web");
    ASSERT_FALSE(removed);
    EXPECT_EQ(removed.error().number, EPERM);
    EXPECT_TRUE(sandbox::remove_table(table.get(), "sandbox-web"));
    EXPECT_FALSE(*sandbox::has_table("sandbox-web"));
    EXPECT_TRUE(sandbox::remove_table(table.get(), "sandbox-web")) << "gone already";
    EXPECT_TRUE(*sandbox::has_table("sandbox-other"));
}

TEST_F(NftTest, only_the_chains_that_are_needed) {
    TableRequest plain = request();
    plain.nat = true;
    const Fd table = made(plain);
    EXPECT_THAT(ruleset(), AllOf(HasSubstr("type nat hook postrouting priority srcnat; policy accept;"), Not(HasSubstr("prerouting")),
                                 Not(HasSubstr("forward")), Not(HasSubstr("output"))));
    EXPECT_THAT(ruleset(),
                HasSubstr("ip saddr 10.88.0.10 oifname != \"sb1a2b3c4d\" oifname != \"sbbr\" ip daddr != 10.88.0.0/24 masquerade"));
}

TEST_F(NftTest, rules_read_as_they_are_meant) {
    TableRequest full = request();
    full.confined = true;
    full.allow = {{network("192.0.2.0/25"), true, 53, 53}, {network("::/0"), {}, 8000, 8100}, {network("198.51.100.7/32"), {}, 0, 0}};
    full.ports = {port(v4.sandbox, 8080, 80), port(v6.sandbox, 9000, 9000, 5, true)};
    full.ports[0].host_ip = ip("192.0.2.1");
    const Fd table = made(full);
    const std::string seen = ruleset();
    for (const char* rule : {"ip daddr 192.0.2.1 tcp dport 8080 dnat ip to 10.88.0.10:80", "fib daddr type local",
                             "udp dport 9000-9004 dnat ip6 to fd00:88::a", "ct state established,related accept", "ct state invalid drop",
                             "ip saddr != 10.88.0.10 drop", "ip6 saddr != fd00:88::a drop", "ip daddr 192.0.2.0/25 udp dport 53 accept",
                             "tcp dport 8000-8100 accept", "udp dport 8000-8100 accept", "ip daddr 198.51.100.7 accept",
                             "reject with tcp reset", "reject with icmpx admin-prohibited", "iifname \"sb1a2b3c4d\" goto egress",
                             "ct status dnat ip saddr 10.88.0.0/24 ip daddr 10.88.0.10 masquerade"})
        EXPECT_THAT(seen, HasSubstr(rule));
}

TEST_F(NftTest, many_ports_fit) {
    TableRequest many = request();
    for (std::uint16_t i = 0; i < 4; ++i) many.ports.push_back(port(v4.sandbox, static_cast<std::uint16_t>(10000 + i * 2000), 1000, 1024));
    for (std::uint16_t i = 0; i < 200; ++i) many.ports.push_back(port(v6.sandbox, static_cast<std::uint16_t>(20000 + i), 80));
    const Fd table = made(many);
    EXPECT_THAT(ruleset(), AllOf(HasSubstr("16000"), HasSubstr("17023 : 2023"), HasSubstr("20199")));
}

// ---- traffic

class NftTraffic : public NftTest, public ::testing::WithParamInterface<Addresses> {
   protected:
    void SetUp() override {
        NftTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        forward_packets();
        // Each refusal is told, not one in a second.
        set_sysctl("net/ipv4/icmp_ratelimit", "0");
        set_sysctl("net/ipv6/icmp/ratelimit", "0");
        auto opened = Netlink::open();
        ASSERT_TRUE(opened);
        links.emplace(std::move(*opened));
        bridge = check(links->make_bridge({"sbbr", "", {2, 0, 10, 88, 0, 1}, {near(v4.bridge, 24), near(v6.bridge, 64)}, {}}));
        neighbour = machine("nb0", bridge, {near(v4.neighbour, 24), near(v6.neighbour, 64)}, {v4.bridge, v6.bridge});
        // Somebody outside knows no way to the sandboxes' network.
        outside = machine("out0", 0, {near(v4.outside, 24), near(v6.outside, 64)}, {}, {near(v4.host, 24), near(v6.host, 64)});
    }
    template <class T>
    static T check(sandbox::Result<T> result) {
        if (!result) throw std::runtime_error(result.error().message);
        return std::move(*result);
    }
    static sandbox::IpNetwork near(const char* address, int prefix) { return {ip(address), prefix}; }

    Fd machine(const std::string& link, int on, const std::vector<sandbox::IpNetwork>& addresses, const Words& gateways,
               const std::vector<sandbox::IpNetwork>& host_addresses = {}, const std::vector<sandbox::IpAddress>& routes = {}) {
        Fd name_space = new_network();
        sandbox::VethRequest veth;
        veth.host_name = link;
        veth.peer_namespace = name_space.get();
        veth.peer_name = "eth0";
        veth.bridge = on;
        // Where packets of a bridge pass the filter too (net.bridge.bridge-nf-call-iptables), what goes back to its port is bridged.
        veth.hairpin = on != 0;
        veth.host_addresses = host_addresses;
        veth.routes = routes;
        const int made = check(links->make_veth(veth));
        sandbox::InsideRequest inside_request{"eth0", addresses, {}, true};
        for (const std::string& gateway : gateways) {
            const auto via = ip(gateway);
            inside_request.routes.push_back({network(via.is_v4() ? "0.0.0.0/0" : "::/0"), via, true, {}});
        }
        auto done = check(Netlink::open_in(name_space.get())).configure(inside_request);
        if (done) done = links->settle(on == 0 ? std::vector<int>{made} : std::vector<int>{made, on});
        if (!done) throw std::runtime_error(done.error().message);
        return name_space;
    }
    void on_the_bridge() { inside = machine(link_name, bridge, {near(v4.sandbox, 24), near(v6.sandbox, 64)}, {v4.bridge, v6.bridge}); }
    void on_a_link_of_its_own() {
        inside = machine(link_name, 0, {near(v4.sandbox, 32), near(v6.sandbox, 128)}, {v4.gateway, v6.gateway},
                         {near(v4.gateway, 32), near(v6.gateway, 64)}, {ip(v4.sandbox), ip(v6.sandbox)});
    }
    static const Addresses& at() { return GetParam(); }

    std::optional<Netlink> links;
    int bridge = 0;
    Fd inside, neighbour, outside;
};
INSTANTIATE_TEST_SUITE_P(Both, NftTraffic, ::testing::Values(v4, v6), [](const auto& one) { return std::string(one.param.name); });

TEST_P(NftTraffic, masquerade_hides_the_sandbox_outside_and_nowhere_else) {
    on_the_bridge();
    TableRequest all = request();
    all.nat = true;
    const Fd table = made(all);
    const Fd far = bound(outside, SOCK_STREAM, {at().outside, 80}), near_by = bound(neighbour, SOCK_STREAM, {at().neighbour, 80}),
             here = bound(host, SOCK_STREAM, {at().bridge, 80});
    EXPECT_EQ(seen_by(far, inside, {at().outside, 80}), at().host);
    EXPECT_EQ(seen_by(near_by, inside, {at().neighbour, 80}), at().sandbox);
    EXPECT_EQ(seen_by(here, inside, {at().bridge, 80}), at().sandbox);
}

TEST_P(NftTraffic, published_port_leads_in_from_everywhere) {
    on_the_bridge();
    TableRequest all = request();
    all.ports = {port(at().sandbox, 8080, 80)};
    const Fd table = made(all);
    const Fd server = bound(inside, SOCK_STREAM, {at().any, 80});
    EXPECT_EQ(seen_by(server, outside, {at().host, 8080}), at().outside);
    EXPECT_EQ(seen_by(server, host, {at().host, 8080}), at().host) << "the host itself";
    // Both would be answered past the host.
    EXPECT_EQ(seen_by(server, neighbour, {at().bridge, 8080}), at().bridge);
    EXPECT_EQ(seen_by(server, inside, {at().bridge, 8080}), at().bridge);
    EXPECT_EQ(connect_to(outside, {at().host, 8081}).error, ECONNREFUSED);
    EXPECT_EQ(connect_to(host, {at().host == v4.host ? "127.0.0.1" : "::1", 8080}).error, ECONNREFUSED) << "loopback stays the host's";
}

TEST_P(NftTraffic, published_port_of_one_address_leaves_the_others) {
    on_the_bridge();
    TableRequest all = request();
    all.ports = {port(at().sandbox, 8080, 80)};
    all.ports[0].host_ip = ip(at().host);
    const Fd table = made(all);
    const Fd server = bound(inside, SOCK_STREAM, {at().any, 80});
    EXPECT_EQ(seen_by(server, outside, {at().host, 8080}), at().outside);
    EXPECT_EQ(connect_to(neighbour, {at().bridge, 8080}).error, ECONNREFUSED);
}

TEST_P(NftTraffic, ranges_lead_one_to_one) {
    on_the_bridge();
    TableRequest all = request();
    all.ports = {port(at().sandbox, 8000, 3000, 10), port(at().sandbox, 9000, 9000, 10)};
    const Fd table = made(all);
    const Fd other = bound(inside, SOCK_STREAM, {at().any, 3009}), same = bound(inside, SOCK_STREAM, {at().any, 9009});
    EXPECT_EQ(seen_by(other, outside, {at().host, 8009}), at().outside);
    EXPECT_EQ(seen_by(same, outside, {at().host, 9009}), at().outside);
    EXPECT_EQ(connect_to(outside, {at().host, 8008}).error, ECONNREFUSED);
    EXPECT_EQ(seen_by(other, host, {at().host, 8009}), at().host);
}

TEST_P(NftTraffic, published_udp_port_is_answered_from_where_it_was_asked) {
    on_the_bridge();
    TableRequest all = request();
    all.ports = {port(at().sandbox, 5353, 53, 1, true)};
    const Fd table = made(all);
    const Fd server = bound(inside, SOCK_DGRAM, {at().any, 53}), client = bound(outside, SOCK_DGRAM, {at().any, 4000});
    const Endpoint to(at().host, 5353);
    ASSERT_EQ(sendto(client.get(), "q", 1, 0, to.get(), to.size), 1);
    char text[8];
    Endpoint from, answered;
    from.size = sizeof from.address;
    answered.size = sizeof answered.address;
    ASSERT_TRUE(readable(server.get()));
    ASSERT_EQ(recvfrom(server.get(), text, sizeof text, 0, from.get(), &from.size), 1);
    ASSERT_EQ(sendto(server.get(), "a", 1, 0, from.get(), from.size), 1);
    ASSERT_TRUE(readable(client.get()));
    ASSERT_EQ(recvfrom(client.get(), text, sizeof text, 0, answered.get(), &answered.size), 1);
    EXPECT_EQ(answered.host(), at().host);
}

TEST_P(NftTraffic, published_port_of_a_link_of_its_own_is_reached_by_the_sandbox_too) {
    on_a_link_of_its_own();
    TableRequest all = request();
    all.nat = true;
    all.ports = {port(at().sandbox, 8080, 80)};
    const Fd table = made(all);
    const Fd server = bound(inside, SOCK_STREAM, {at().any, 80}), far = bound(outside, SOCK_STREAM, {at().outside, 80});
    EXPECT_EQ(seen_by(server, outside, {at().host, 8080}), at().outside);
    EXPECT_NE(seen_by(server, inside, {at().host, 8080}), "nobody");
    EXPECT_EQ(seen_by(far, inside, {at().outside, 80}), at().host);
}

// ---- confinement

// At once, over either family: not after the second in which TCP asks again.
bool is_rejected(const Fd& from, const Endpoint& to) {
    const Connection tried = connect_to(from, to);
    return tried.error == ECONNREFUSED && !tried.asked_again;
}

TEST_P(NftTraffic, confined_sandbox_reaches_what_is_allowed_and_answers) {
    on_a_link_of_its_own();
    TableRequest all = request();
    all.nat = all.confined = true;
    all.ports = {port(at().sandbox, 8080, 80)};
    all.allow = {{{ip(at().outside), ip(at().outside).width()}, false, 80, 80}};
    const Fd table = made(all);
    const Fd far = bound(outside, SOCK_STREAM, {at().outside, 80}), other = bound(outside, SOCK_STREAM, {at().outside, 81}),
             here = bound(host, SOCK_STREAM, {at().any, 80}), near_by = bound(neighbour, SOCK_STREAM, {at().neighbour, 80}),
             server = bound(inside, SOCK_STREAM, {at().any, 80});
    EXPECT_EQ(seen_by(far, inside, {at().outside, 80}), at().host);
    // By now every neighbour is known, and each SYN goes out while connect() holds its socket.
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(is_rejected(inside, {at().outside, 81}));
        EXPECT_TRUE(is_rejected(inside, {at().host, 80})) << "the host";
        EXPECT_TRUE(is_rejected(inside, {at().neighbour, 80}));
    }
    EXPECT_EQ(seen_by(server, outside, {at().host, 8080}), at().outside) << "its answers pass";
    EXPECT_EQ(connect_to(host, {at().sandbox, 80}).error, 0);
    EXPECT_FALSE(readable(near_by.get(), milliseconds(0)));
}

TEST_P(NftTraffic, confined_sandbox_gains_nothing_by_other_addresses) {
    on_a_link_of_its_own();
    TableRequest all = request();
    all.confined = true;
    all.allow = {{{ip(at().outside), ip(at().outside).width()}, true, 53, 53}};
    const Fd table = made(all);
    {
        const InNetwork in(inside);
        for (const Addresses& one : {v4, v6})
            ASSERT_TRUE(run({"ip", "address", "add", cat(one.foreign, "/", ip(one.foreign).width()), "dev", "eth0"}).ok());
    }
    // The first with a source that is not its own, to where it may send; the second, behind it on the same way, from its own.
    const Fd far = bound(outside, SOCK_DGRAM, {at().outside, 53});
    const Endpoint to(at().outside, 53);
    for (const char* from : {at().foreign, at().sandbox}) {
        const InNetwork in(inside);
        const Fd socket(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
        const Endpoint self(from, 4000);
        const int on = 1;
        // Its address may be "tentative" yet.
        setsockopt(socket.get(), SOL_IP, 15 /* IP_FREEBIND */, &on, sizeof on);
        setsockopt(socket.get(), SOL_IPV6, 78 /* IPV6_FREEBIND */, &on, sizeof on);
        ASSERT_EQ(bind(socket.get(), self.get(), self.size), 0) << strerror(errno);
        ASSERT_EQ(sendto(socket.get(), from, strlen(from), 0, to.get(), to.size), static_cast<ssize_t>(strlen(from))) << strerror(errno);
    }
    char text[64];
    ASSERT_TRUE(readable(far.get()));
    const ssize_t got = recv(far.get(), text, sizeof text, 0);
    EXPECT_EQ(std::string(text, static_cast<std::size_t>(std::max<ssize_t>(got, 0))), at().sandbox);
    EXPECT_FALSE(readable(far.get(), milliseconds(0)));
}

TEST_P(NftTraffic, another_tables_drop_holds) {
    on_the_bridge();
    TableRequest all = request();
    all.confined = true;
    all.ports = {port(at().sandbox, 8080, 80)};
    const Fd table = made(all);
    ASSERT_TRUE(run({"nft",
                     "add table inet fw; add chain inet fw forward { type filter hook forward priority 10; }; "
                     "add rule inet fw forward tcp dport 80 reject with tcp reset"})
                    .ok());
    const Fd server = bound(inside, SOCK_STREAM, {at().any, 80});
    EXPECT_EQ(connect_to(outside, {at().host, 8080}).error, ECONNREFUSED);
    const std::string others = run({"nft", "list", "table", "inet", "fw"}).out;
    ASSERT_TRUE(sandbox::remove_table(table.get(), "sandbox-web"));
    EXPECT_EQ(run({"nft", "list", "table", "inet", "fw"}).out, others);
}

}  // namespace
