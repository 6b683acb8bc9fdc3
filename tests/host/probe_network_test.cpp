// What `sandbox doctor --json` says of a network that ip(8) has made, in network namespaces of its own.
#include <gmock/gmock.h>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::Not;

// The facts in a new network namespace, after `script`.
Json facts_after(const std::string& script, const std::string& unshare = "unshare --net") {
    const Ended doctor = run({"sh", "-c", cat(unshare, " sh -ec '", script, "\nexec ", sandbox_binary(), " doctor --json'")});
    EXPECT_TRUE(doctor.ok()) << doctor;
    return Json::parse(doctor.out);
}

const Json* link_named(const Json& facts, const std::string& name) {
    for (const Json& link : facts["interfaces"])
        if (link["name"] == name) return &link;
    return nullptr;
}

TEST(NetworkFacts, of_an_empty_namespace) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json facts = facts_after("");
    EXPECT_TRUE(facts["network_known"]);
    EXPECT_TRUE(facts["net_admin"]);
    EXPECT_EQ(facts["routes"], Json::array());
    EXPECT_EQ(facts["busy_ports"], Json::array());
    const Json* loopback = link_named(facts, "lo");
    ASSERT_TRUE(loopback);
    EXPECT_FALSE((*loopback)["up"]);
}

TEST(NetworkFacts, addresses_and_routes) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    REQUIRE_OR_SKIP(command_exists("ip"), "needs iproute2");
    const Json facts = facts_after(
        "ip link set lo up; ip link add left type veth peer name right; ip address add 10.9.0.1/24 dev left;"
        "ip address add 10.9.8.1 peer 10.9.8.2/32 dev left; ip -6 address add fd09::1/64 dev left nodad;"
        "ip link set left up alias \"sandbox x\"; ip link set right up; ip route add default via 10.9.0.254;"
        "ip route add 10.77.0.0/16 nexthop via 10.9.0.7 nexthop via 10.9.0.8; ip route add table 7 10.66.0.0/16 dev left;"
        "ip route add blackhole 10.55.0.0/16");
    const Json* left = link_named(facts, "left");
    ASSERT_TRUE(left);
    EXPECT_EQ((*left)["kind"], "veth");
    EXPECT_EQ((*left)["alias"], "sandbox x");
    for (const char* address : {"10.9.0.1/24", "10.9.8.1/32", "fd09::1/64"}) EXPECT_THAT((*left)["addresses"], Contains(address));
    const auto route = [](const char* to) { return Json{{"to", to}, {"interface", "left"}}; };
    for (const char* to : {"0.0.0.0/0", "10.9.0.0/24", "10.77.0.0/16", "fd09::/64"}) EXPECT_THAT(facts["routes"], Contains(route(to)));
    for (const char* to : {"10.66.0.0/16", "10.55.0.0/16", "fe80::/64"}) EXPECT_THAT(facts["routes"], Not(Contains(route(to)))) << to;
}

TEST(NetworkFacts, ipv6_that_is_switched_off) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    REQUIRE_OR_SKIP(facts_after("")["ipv6"] == true, "there is no IPv6");
    EXPECT_FALSE(facts_after("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")["ipv6"]);
}

TEST(NetworkFacts, nftables_as_nft_finds_it) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    REQUIRE_OR_SKIP(command_exists("nft"), "needs nft");
    EXPECT_EQ(facts_after("")["nftables"], run({"unshare", "--net", "nft", "add", "table", "inet", "trial"}).ok());
}

// CAP_NET_ADMIN of a user namespace does not count in a network namespace of the one above.
TEST(NetworkFacts, who_may_change_the_network) {
    HOST_ROOT_OR_LEFT_OUT();
    EXPECT_TRUE(facts_after("", "unshare --user --map-root-user --net")["net_admin"]);
    const Json above = facts_after("", "unshare --user --map-root-user");
    EXPECT_FALSE(above["net_admin"]);
    EXPECT_FALSE(above["nftables"]);
    EXPECT_EQ(above["nftables_error"], EPERM);
}

}  // namespace
