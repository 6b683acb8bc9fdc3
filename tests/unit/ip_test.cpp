#include "base/ip.h"

#include <gtest/gtest.h>

namespace sandbox {
namespace {

IpAddress ip(std::string_view text) { return parse_ip(text).value(); }
IpNetwork net(std::string_view text) { return parse_ip_network(text).value(); }

TEST(Ip, AddressesAreReadBackAsTheyArePrinted) {
    for (const char* text : {"0.0.0.0", "10.88.0.1", "255.255.255.255", "::", "::1", "fd00::1", "2001:db8:0:1:1:1:1:1", "::ffff:1.2.3.4"})
        EXPECT_EQ(to_text(ip(text)), text);
    EXPECT_EQ(to_text(ip("FD00:0:0::01")), "fd00::1");
    EXPECT_TRUE(ip("10.0.0.1").is_v4());
    EXPECT_FALSE(ip("::1").is_v4());
    EXPECT_NE(ip("0.0.0.0"), ip("::"));
}

TEST(Ip, NothingButAnAddressIsOne) {
    for (const char* bad : {"",
                            " ",
                            "1",
                            "10.0.0",
                            "10.0.0.0.1",
                            "10.0.0.256",
                            "10.0.0.01",
                            "10.0.0.1 ",
                            " 10.0.0.1",
                            "010.0.0.1",
                            "0x0a.0.0.1",
                            "10.0.0.1/8",
                            "10.0.0.1:80",
                            "[::1]",
                            "::1%lo",
                            "fe80::1%2",
                            ":::",
                            "1::2::3",
                            "12345::",
                            "::g",
                            "::1 ",
                            "1:2:3:4:5:6:7:8:9",
                            "localhost"})
        EXPECT_EQ(parse_ip(bad), std::nullopt) << bad;
    EXPECT_EQ(parse_ip(std::string_view("10.0.0.1\0x", 10)), std::nullopt);
    EXPECT_EQ(parse_ip(std::string(300, '1')), std::nullopt);
}

TEST(Ip, KindsOfAddresses) {
    EXPECT_TRUE(ip("0.0.0.0").is_any());
    EXPECT_TRUE(ip("::").is_any());
    EXPECT_FALSE(ip("::1").is_any());
    for (const char* text : {"127.0.0.1", "127.255.0.9", "::1"}) EXPECT_TRUE(ip(text).is_loopback()) << text;
    for (const char* text : {"128.0.0.1", "::2", "1::1", "::"}) EXPECT_FALSE(ip(text).is_loopback()) << text;
    for (const char* text : {"169.254.1.1", "fe80::1", "febf::1"}) EXPECT_TRUE(ip(text).is_link_local()) << text;
    for (const char* text : {"169.253.1.1", "fec0::1", "fd00::1"}) EXPECT_FALSE(ip(text).is_link_local()) << text;
    for (const char* text : {"224.0.0.1", "239.255.255.255", "ff02::1"}) EXPECT_TRUE(ip(text).is_multicast()) << text;
    for (const char* text : {"223.255.255.255", "240.0.0.1", "fe00::1"}) EXPECT_FALSE(ip(text).is_multicast()) << text;
}

TEST(Ip, NetworksAreReadBackAsTheyArePrinted) {
    for (const char* text : {"0.0.0.0/0", "10.88.0.10/24", "10.0.0.0/32", "::/0", "fd00::/8", "fd00::1/128"})
        EXPECT_EQ(to_text(net(text)), text);
    for (const char* bad : {"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/ 8",
                            "10.0.0.0/255.0.0.0", "::/129", "/8", "fe80::1%lo/64"})
        EXPECT_EQ(parse_ip_network(bad), std::nullopt) << bad;
}

TEST(Ip, TheHostPartIsMasked) {
    EXPECT_EQ(masked(net("10.88.3.77/24")), net("10.88.3.0/24"));
    EXPECT_EQ(masked(net("10.88.3.77/20")), net("10.88.0.0/20"));
    EXPECT_EQ(masked(net("10.88.3.77/0")), net("0.0.0.0/0"));
    EXPECT_EQ(masked(net("10.88.3.77/32")), net("10.88.3.77/32"));
    EXPECT_EQ(masked(net("fd00:1:2:3:4::5/61")), net("fd00:1:2::/61"));
    EXPECT_EQ(masked(net("fd00::5/128")), net("fd00::5/128"));
}

TEST(Ip, ContainsAndOverlapKeepTheFamiliesApart) {
    EXPECT_TRUE(contains(net("10.88.0.9/24"), ip("10.88.0.255")));
    EXPECT_FALSE(contains(net("10.88.0.0/24"), ip("10.88.1.0")));
    EXPECT_TRUE(contains(net("0.0.0.0/0"), ip("1.2.3.4")));
    EXPECT_FALSE(contains(net("0.0.0.0/0"), ip("::1")));
    EXPECT_FALSE(contains(net("::/0"), ip("0.0.0.0")));
    EXPECT_TRUE(contains(net("fd00::/64"), ip("fd00::ffff:ffff:ffff:ffff")));
    EXPECT_FALSE(contains(net("fd00::/64"), ip("fd00:0:0:1::")));
    EXPECT_TRUE(overlap(net("10.0.0.0/8"), net("10.88.0.0/24")));
    EXPECT_TRUE(overlap(net("10.88.0.0/24"), net("10.0.0.0/8")));
    EXPECT_TRUE(overlap(net("10.88.0.0/24"), net("10.88.0.7/24")));
    EXPECT_FALSE(overlap(net("10.88.0.0/24"), net("10.88.1.0/24")));
    EXPECT_FALSE(overlap(net("0.0.0.0/0"), net("::/0")));
}

TEST(Ip, HostsHaveNumbers) {
    EXPECT_EQ(host_part(net("10.88.0.0/24"), ip("10.88.0.10")), 10U);
    EXPECT_EQ(host_part(net("10.88.0.0/16"), ip("10.88.1.2")), 258U);
    EXPECT_EQ(host_part(net("10.88.0.0/32"), ip("10.88.0.0")), 0U);
    EXPECT_EQ(host_part(net("fd00::/48"), ip("fd00::1:2:3:4")), 0x0001'0002'0003'0004U);
    EXPECT_EQ(to_text(host_of(net("10.88.0.77/24"), 1)), "10.88.0.1");
    EXPECT_EQ(to_text(host_of(net("10.88.0.0/16"), 258)), "10.88.1.2");
    EXPECT_EQ(to_text(host_of(net("10.88.0.0/24"), 256)), "10.88.0.0");  // stays within the network
    EXPECT_EQ(to_text(host_of(net("fd00::/64"), 1)), "fd00::1");
    EXPECT_EQ(to_text(host_of(net("fd00::/64"), ~0ULL)), "fd00::ffff:ffff:ffff:ffff");
    EXPECT_EQ(to_text(host_of(net("0.0.0.0/0"), 0xffffffff)), "255.255.255.255");
    for (const char* text : {"10.88.0.0/30", "10.0.0.0/8", "fd00::/64", "fd00::/126"}) {
        const std::uint64_t last = last_host(net(text));
        EXPECT_EQ(host_part(net(text), host_of(net(text), last)), last) << text;
    }
}

TEST(Ip, TheLastHostIsNotTheBroadcastAddress) {
    EXPECT_EQ(last_host(net("10.88.0.0/24")), 254U);
    EXPECT_EQ(last_host(net("10.88.0.0/30")), 2U);
    EXPECT_EQ(last_host(net("10.88.0.0/31")), 1U);
    EXPECT_EQ(last_host(net("10.88.0.0/32")), 0U);
    EXPECT_EQ(last_host(net("fd00::/126")), 3U);
    EXPECT_EQ(last_host(net("fd00::/66")), (1ULL << 62) - 1);
    EXPECT_EQ(last_host(net("fd00::/8")), (1ULL << 62) - 1);
}

TEST(Ip, LinkLayerAddresses) {
    EXPECT_EQ(to_text(parse_mac("02:00:0A:58:00:0a").value()), "02:00:0a:58:00:0a");
    for (const char* bad : {"", "02:00:0a:58:00", "02:00:0a:58:00:0a:00", "2:0:a:58:0:a", "02-00-0a-58-00-0a", "02:00:0a:58:00:0g",
                            "02:00:0a:58:00:0a ", "+2:00:0a:58:00:0a"})
        EXPECT_EQ(parse_mac(bad), std::nullopt) << bad;
    EXPECT_EQ(to_text(mac_of(ip("10.88.0.10"))), "02:00:0a:58:00:0a");
    EXPECT_EQ(to_text(mac_of(ip("fd00::1:2"))), "02:00:00:01:00:02");
}

}  // namespace
}  // namespace sandbox
