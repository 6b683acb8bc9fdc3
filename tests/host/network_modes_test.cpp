// Networks that are no bridge's: macvlan and ipvlan on an interface of the host, another sandbox's network, a prepared one, none.
#include <gmock/gmock.h>

#include "shell_sandbox.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr milliseconds briefly(500);

void ip_words(const std::string& words) {
    const Ended ended = run({"sh", "-c", cat("ip ", words)});
    if (!ended.ok()) throw std::runtime_error(cat("ip ", words, ": ", ended.err));
}

class NetworkModes : public OwnNetwork {
   protected:
    void SetUp() override {
        OwnNetwork::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        HOST_ROOT_OR_LEFT_OUT();
        outside = new_network();
        ip_words(cat("link add lan0 type veth peer name eth0 netns /proc/", getpid(), "/fd/", outside.get()));
        ip_words("link set lan0 up");
        const InNetwork in(outside);
        ip_words("address add 192.0.2.2/24 dev eth0");
        ip_words("address add 2001:db8::2/64 dev eth0 nodad");
        ip_words("link set eth0 up");
    }
    void TearDown() override {
        if (outside) {
            EXPECT_TRUE(soon([] {
                return names_of_links() == std::vector<std::string>{"lo", "lan0"};
            })) << ::testing::PrintToString(names_of_links());
        }
        OwnNetwork::TearDown();
    }
    static std::string on_lan(const char* mode, const char* submode, int number, std::string_view more = {}) {
        return cat("network:\n  mode: ", mode, "\n  parent: lan0\n  submode: ", submode, "\n  interface: {ip: 192.0.2.", number,
                   "/24, ip6: '2001:db8::", number, "/64'", more, "}\n");
    }
    // Two sandboxes on one parent, and somebody outside.
    void expect_traffic(const char* mode, const char* submode, bool each_other) {
        ShellSandbox one("one", on_lan(mode, submode, 11)), two("two", on_lan(mode, submode, 12));
        for (const char* base : {"192.0.2.", "2001:db8::"}) {
            const std::string far_address = cat(base, 2), second = cat(base, 12), first = cat(base, 11);
            const Fd far = bound(outside, SOCK_STREAM, {far_address, 80}), server = bound(two.network(), SOCK_STREAM, {second, 80});
            EXPECT_EQ(seen_by(far, one.network(), {far_address, 80}), first) << mode << ' ' << submode;
            EXPECT_EQ(seen_by(server, outside, {second, 80}), far_address) << mode << ' ' << submode;
            const int error = connect_to(one.network(), {second, 80}, each_other ? milliseconds(5000) : briefly).error;
            EXPECT_EQ(error == 0, each_other) << mode << ' ' << submode << ": " << strerror(error);
        }
        EXPECT_TRUE(one.end().ok());
        EXPECT_TRUE(two.end().ok());
    }
    static Ended tried(std::string_view network) {
        return run_sandbox(cat("version: 1\nname: tried\nrootfs: {path: @PROBE_TREE@}\n", network), {"/sandbox-probe", "ids"});
    }
    Fd outside;
};

// ---- macvlan

TEST_F(NetworkModes, macvlan_in_bridge_mode_reaches_everybody) { expect_traffic("macvlan", "bridge", true); }
TEST_F(NetworkModes, macvlan_in_private_mode_reaches_the_outside_alone) { expect_traffic("macvlan", "private", false); }
TEST_F(NetworkModes, macvlan_in_vepa_mode_leaves_it_to_the_switch) { expect_traffic("macvlan", "vepa", false); }

TEST_F(NetworkModes, macvlan_in_passthru_mode_is_one_alone) {
    ShellSandbox one("one", on_lan("macvlan", "passthru", 11));
    const Fd far = bound(outside, SOCK_STREAM, {"192.0.2.2", 80});
    EXPECT_EQ(seen_by(far, one.network(), {"192.0.2.2", 80}), "192.0.2.11");
    const Ended second = tried(on_lan("macvlan", "passthru", 12));
    EXPECT_EQ(second.code, 125);
    EXPECT_THAT(second.err, HasSubstr("on link"));
    EXPECT_TRUE(one.end().ok());
}

TEST_F(NetworkModes, macvlan_is_as_the_profile_says) {
    ShellSandbox one("one", on_lan("macvlan", "bridge", 11,
                                   ", name: lan7, mac: '02:00:00:00:07:07', mtu: 1400, gateway: 192.0.2.1,\n"
                                   "    routes: ['198.51.100.0/24 via 192.0.2.9', 203.0.113.0/24]"));
    const auto said = one.run("cat /sys/class/net/lan7/address /sys/class/net/lan7/mtu; ip route; ls /sys/class/net");
    EXPECT_THAT(said.out, AllOf(HasSubstr("02:00:00:00:07:07\n1400\n"), HasSubstr("default via 192.0.2.1 dev lan7"),
                                HasSubstr("198.51.100.0/24 via 192.0.2.9 dev lan7"), HasSubstr("203.0.113.0/24 dev lan7"),
                                HasSubstr("lan7\nlo\n"), Not(HasSubstr("lan0"))));
    EXPECT_TRUE(one.end().ok());
}

TEST_F(NetworkModes, a_parent_that_cannot_carry_it_is_refused) {
    ip_words("link add lan1 type veth peer name lan2");
    const auto on = [](const char* parent) { return cat("network: {mode: macvlan, parent: ", parent, ", interface: {ip: null}}\n"); };
    Ended ended = tried(on("lam0"));
    EXPECT_EQ(ended.code, 125);
    EXPECT_THAT(ended.err, AllOf(HasSubstr("error[E0565]"), HasSubstr("did you mean 'lan0'?"))) << ended;
    ended = tried(on("lan1"));
    EXPECT_THAT(ended.err, AllOf(HasSubstr("error[E0565]"), HasSubstr("is switched off"), HasSubstr("ip link set lan1 up")));
    ended = tried(on("lo"));
    EXPECT_THAT(ended.err, HasSubstr("error[E0332]"));
    ip_words("link del lan1");
    // A macvlan is none's parent to the kernel: it takes what is below.
    ip_words("link add link lan0 name mv0 type macvlan mode bridge");
    ip_words("link set mv0 up");
    ended = tried(on("mv0"));
    EXPECT_TRUE(ended.ok()) << ended;
    ip_words("link del mv0");
}

// ---- another sandbox's network

const std::string bridged = "network: {mode: bridge}\n";
const std::string of_one = "network: {mode: container, of: one}\n";

TEST_F(NetworkModes, a_shared_network_is_one_for_all_who_share_it) {
    ShellSandbox one("one", bridged), two("two", of_one), three("three", "network: {mode: container, of: two}\n");
    const auto own = [](ShellSandbox& box) { return box.run("readlink /proc/self/ns/net").out; };
    EXPECT_EQ(own(one), own(two));
    EXPECT_EQ(own(one), own(three));
    const Fd server = bound(one.network(), SOCK_STREAM, {"127.0.0.1", 7000});
    EXPECT_EQ(seen_by(server, two.network(), {"127.0.0.1", 7000}), "127.0.0.1");
    const auto said = two.run("cat /proc/net/dev; ls /sys/class/net");
    EXPECT_THAT(said.out, HasSubstr("eth0\nlo\n"));
    EXPECT_THAT(said.out, Not(HasSubstr("lan0"))) << "the host's interfaces";
    EXPECT_THAT(two.run("ip address show eth0").out, HasSubstr(one.address(AF_INET)));
    // Who shares it may have low ports and ping, though its rights are no rights over this network.
    const std::string bind80 = "/usr/bin/python3 -c 'import socket;s=socket.socket();s.bind((\"0.0.0.0\",80));print(\"bound\")'";
    EXPECT_THAT(two.run(bind80).out, HasSubstr("bound"));
    EXPECT_EQ(two.run("cat /proc/sys/net/ipv4/ip_unprivileged_port_start").out, "0\n");
    EXPECT_TRUE(two.run("ping -n -c1 -W5 127.0.0.1").ok());
    for (ShellSandbox* box : {&three, &two, &one}) EXPECT_TRUE(box->end().ok());
}

TEST_F(NetworkModes, a_shared_network_outlives_its_maker_without_the_way_out) {
    ShellSandbox one("one", bridged), two("two", of_one);
    const std::string address = one.address(AF_INET);
    const Fd server = bound(two.network(), SOCK_STREAM, {"0.0.0.0", 7000});
    EXPECT_EQ(connect_to(host, {address, 7000}).error, 0);
    EXPECT_EQ(accepted(server), "10.88.0.1");
    EXPECT_TRUE(one.end().ok());
    EXPECT_NE(connect_to(host, {address, 7000}, briefly).error, 0);
    EXPECT_EQ(seen_by(server, two.network(), {"127.0.0.1", 7000}), "127.0.0.1");
    EXPECT_TRUE(two.run("true").ok());
    EXPECT_TRUE(two.end().ok());
}

TEST_F(NetworkModes, who_has_no_network_to_share_is_named) {
    const Ended missing = tried(of_one);
    EXPECT_EQ(missing.code, 125);
    EXPECT_THAT(missing.err, AllOf(HasSubstr("error[E0570]"), HasSubstr("there is no sandbox 'one'")));
    ShellSandbox one("one", "network: {mode: host}\n");
    const Ended hosts = tried(of_one);
    EXPECT_THAT(hosts.err, AllOf(HasSubstr("error[E0570]"), HasSubstr("has no network of its own (mode host)")));
    EXPECT_TRUE(one.end().ok());
}

// ---- prepared, the host's, none

TEST_F(NetworkModes, a_prepared_network_is_joined) {
    const Fd prepared = new_network();
    {
        const InNetwork in(prepared);
        ip_words("link add made0 type veth peer name made1");
    }
    TempDir place;
    const std::string file = place.write("net", "");
    ASSERT_TRUE(run({"mount", "--bind", cat("/proc/", getpid(), "/fd/", prepared.get()), file}).ok());
    {
        ShellSandbox one("one", cat("network: {mode: path, path: ", file, "}\n"));
        const auto said = one.run("ls /sys/class/net");
        EXPECT_THAT(said.out, AllOf(HasSubstr("made0\n"), Not(HasSubstr("lan0"))));
        EXPECT_TRUE(one.end().ok());
    }
    EXPECT_TRUE(run({"umount", file}).ok());
}

TEST_F(NetworkModes, the_hosts_is_the_hosts_and_none_is_loopback) {
    ShellSandbox one("one", "network: {mode: host}\n"), two("two", "network: {mode: none}\n");
    EXPECT_THAT(one.run("cat /proc/net/dev").out, HasSubstr("lan0"));
    EXPECT_EQ(two.run("ls /sys/class/net").out, "lo\n");
    EXPECT_THAT(two.run("ip -o link show up").out, HasSubstr("LOOPBACK,UP"));
    EXPECT_TRUE(one.end().ok());
    EXPECT_TRUE(two.end().ok());
}

// ---- ipvlan, which many kernels lack

bool kernel_has_ipvlan() {
    const bool made = run({"ip", "link", "add", "link", "lan0", "name", "trial0", "type", "ipvlan"}).ok();
    if (made) run({"ip", "link", "del", "trial0"});
    return made;
}

TEST_F(NetworkModes, ipvlan_is_refused_where_the_kernel_lacks_it) {
    if (kernel_has_ipvlan()) {
        RecordProperty("expected_skip", 1);
        GTEST_SKIP() << "left out: this kernel has ipvlan";
    }
    const std::string network = "network: {mode: ipvlan, parent: lan0, interface: {ip: 192.0.2.9/24}}\n";
    TempDir place;
    const std::string profile = place.write(
        "p.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(), "}\n", network, "process: {command: [/sandbox-probe, ids]}\n"));
    for (const char* verb : {"up", "plan", "validate"}) {
        const Ended ended = sandbox_command({verb, profile});
        EXPECT_NE(ended.code, 0) << verb;
        EXPECT_THAT(ended.out + ended.err, AllOf(HasSubstr("error[E0569]"), HasSubstr("this kernel has no ipvlan links (CONFIG_IPVLAN)"),
                                                 HasSubstr("use mode macvlan or bridge")))
            << verb;
    }
    EXPECT_THAT(sandbox_command({"doctor"}).out, HasSubstr("ipvlan"));
}

TEST_F(NetworkModes, ipvlan_carries_in_each_of_its_modes) {
    // For the run on another kernel (README.md); which of the two is left out is the kernel's choice.
    if (!kernel_has_ipvlan()) {
        RecordProperty("expected_skip", 1);
        GTEST_SKIP() << "left out: needs a kernel with ipvlan";
    }
    expect_traffic("ipvlan", "l2", true);
    // Without neighbour discovery the outside has to know the way.
    for (const char* mode : {"l3", "l3s"}) {
        ShellSandbox one("one", on_lan("ipvlan", mode, 11)), two("two", on_lan("ipvlan", mode, 12));
        const Fd server = bound(two.network(), SOCK_STREAM, {"192.0.2.12", 80}), far = bound(outside, SOCK_STREAM, {"192.0.2.2", 80});
        EXPECT_EQ(seen_by(server, one.network(), {"192.0.2.12", 80}), "192.0.2.11") << mode;
        const std::string mac = ip_json({"link", "show", "dev", "lan0"})[0]["address"];
        const InNetwork in(outside);
        ip_words(cat("neigh replace 192.0.2.11 lladdr ", mac, " dev eth0"));
        ip_words(cat("neigh replace 192.0.2.12 lladdr ", mac, " dev eth0"));
        EXPECT_EQ(seen_by(server, outside, {"192.0.2.12", 80}), "192.0.2.2") << mode;
        EXPECT_TRUE(two.end().ok());
        EXPECT_TRUE(one.end().ok());
    }
}

}  // namespace
