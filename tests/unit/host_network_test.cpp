// Ports that cannot be had and who has them, name servers by files made for it, link kinds that the kernel is asked for.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/port.h"
#include "base/text.h"
#include "host/ports.h"
#include "host/probe.h"
#include "host/resolver.h"

namespace sandbox {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

IpAddress ip(const char* text) { return parse_ip(text).value(); }

std::uint16_t port_of(const Fd& socket) {
    SocketAddress address{};
    socklen_t length = sizeof address;
    EXPECT_EQ(::getsockname(socket.get(), &address.any, &length), 0);
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

std::string myself() {
    std::ifstream file("/proc/self/comm");
    std::string name;
    std::getline(file, name);
    return cat(name, " (process ", ::getpid(), ")");
}

struct Case {
    const char *held, *wanted;
    bool udp;
};
class BusyPorts : public testing::TestWithParam<Case> {};

TEST_P(BusyPorts, are_named_with_their_holder) {
    const auto [held, wanted, udp] = GetParam();
    const Fd holder = listen_on(ip(held), 0, udp);
    if (!holder) GTEST_SKIP() << "no IPv6 here";
    ProbeRequest request;
    request.wanted_ports = {{ip(wanted), port_of(holder), udp}};
    const auto facts = probe(request);
    ASSERT_TRUE(facts);
    ASSERT_THAT(facts->busy_ports, SizeIs(1));
    EXPECT_EQ(facts->busy_ports[0].error, EADDRINUSE);
    EXPECT_EQ(facts->busy_ports[0].address, ip(wanted));
    EXPECT_EQ(facts->busy_ports[0].holder, myself());
}

INSTANTIATE_TEST_SUITE_P(All, BusyPorts,
                         testing::Values(Case{"127.0.0.1", "127.0.0.1", false}, Case{"127.0.0.1", "127.0.0.1", true},
                                         Case{"0.0.0.0", "127.0.0.1", false}, Case{"127.0.0.1", "0.0.0.0", true}, Case{"::1", "::1", false},
                                         Case{"::", "::1", true}));

TEST(BusyPorts, other_reasons) {
    const auto busy = try_port({ip("203.0.113.7"), 80, false});
    ASSERT_TRUE(busy);
    EXPECT_EQ(busy->error, EADDRNOTAVAIL);
    EXPECT_EQ(busy->holder, "");
}

TEST(BusyPorts, a_free_port_stays_free) {
    Fd holder = listen_on(ip("127.0.0.1"), 0, false);
    const WantedPort wanted{ip("127.0.0.1"), port_of(holder), false};
    holder.reset();
    EXPECT_FALSE(try_port(wanted));
    EXPECT_FALSE(try_port(wanted));
    EXPECT_EQ(holder_of(wanted), "");
}

TEST(LinkKinds, the_kernel_is_asked_and_nothing_is_made) {
    ProbeRequest request;
    request.network = true;
    request.link_kinds = {"veth", "bridge", "dummy", "macvlan", "ipvlan", "nonsense"};
    const auto first = probe(request), second = probe(request);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->interfaces.size(), second->interfaces.size());
    for (const InterfaceFact& interface : second->interfaces) EXPECT_NE(interface.name, "sandbox-trial");
    if (!first->net_admin) {
        EXPECT_THAT(first->link_kinds, IsEmpty()) << "who may not make them is told nothing";
        return;
    }
    EXPECT_THAT(first->link_kinds, SizeIs(6));
    EXPECT_FALSE(first->link_kinds.at("nonsense"));
    ProbeRequest all;
    all.everything = true;
    const auto tried = probe(all);
    ASSERT_TRUE(tried);
    for (const auto& [kind, there] : tried->link_kinds) EXPECT_EQ(first->link_kinds.at(kind), there) << kind;
}

TEST(Resolver, words_of_the_file) {
    const ResolverText text = parse_resolver(
        "# nameserver 10.0.0.9\n; nameserver 10.0.0.8\nnameserver 10.0.0.1\r\nnameserver\t fd00::1 # why\nnameserver fe80::1%eth0\n"
        "nameserver fe80::2\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 300.1.1.1\nnameserver\ndomain old.example\n"
        "search a.example  b.example\noptions ndots:2 edns0\noptions rotate\nsortlist 10.0.0.0\n");
    EXPECT_THAT(text.servers, ElementsAre(ip("10.0.0.1"), ip("fd00::1")));
    EXPECT_THAT(text.loopback, ElementsAre(ip("127.0.0.53"), ip("::1")));
    EXPECT_THAT(text.search, ElementsAre("a.example", "b.example"));
    EXPECT_THAT(text.options, ElementsAre("ndots:2", "edns0", "rotate"));
    EXPECT_THAT(parse_resolver("search a\ndomain b").search, ElementsAre("b"));
    EXPECT_THAT(parse_resolver("").servers, IsEmpty());
}

// A host of files.
class ResolverFiles : public testing::Test {
   protected:
    ResolverFiles() {
        char name[] = "/tmp/resolver-XXXXXX";
        root_ = ::mkdtemp(name);
    }
    ~ResolverFiles() override { std::filesystem::remove_all(root_); }
    void write(const std::string& path, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text;
    }
    [[nodiscard]] ResolverFact found() const { return find_resolver(root_); }

   private:
    std::string root_;
};

TEST_F(ResolverFiles, that_a_sandbox_can_reach) {
    write("/etc/resolv.conf", "nameserver 127.0.0.1\nnameserver 192.0.2.1\n");
    write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.2\n");
    EXPECT_THAT(found().servers, ElementsAre(ip("192.0.2.1")));
    EXPECT_EQ(found().source, "/etc/resolv.conf");
    EXPECT_EQ(found().stub, "");
}

TEST_F(ResolverFiles, behind_the_stub_of_systemd) {
    write("/etc/resolv.conf", "nameserver 127.0.0.53\noptions edns0\nsearch lan\n");
    write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.2\nnameserver 2001:db8::2\nsearch other\n");
    write("/run/NetworkManager/no-stub-resolv.conf", "nameserver 192.0.2.3\n");
    EXPECT_THAT(found().servers, ElementsAre(ip("192.0.2.2"), ip("2001:db8::2")));
    EXPECT_THAT(found().search, ElementsAre("lan"));
    EXPECT_THAT(found().options, ElementsAre("edns0"));
    EXPECT_EQ(found().stub, "127.0.0.53");
    EXPECT_EQ(found().source, "/run/systemd/resolve/resolv.conf");
}

TEST_F(ResolverFiles, behind_another_stub) {
    write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    write("/run/NetworkManager/no-stub-resolv.conf", "nameserver 127.0.0.1\n");
    write("/run/dnsmasq/resolv.conf", "nameserver 192.0.2.4\nsearch lan\n");
    write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.2\n");
    EXPECT_THAT(found().servers, ElementsAre(ip("192.0.2.4")));
    EXPECT_THAT(found().search, ElementsAre("lan"));
    EXPECT_EQ(found().source, "/run/dnsmasq/resolv.conf");
}

TEST_F(ResolverFiles, that_is_nowhere) {
    EXPECT_THAT(found().servers, IsEmpty());
    EXPECT_EQ(found().stub, "");
    write("/etc/resolv.conf", "nameserver ::1\n");
    EXPECT_THAT(found().servers, IsEmpty());
    EXPECT_EQ(found().stub, "::1");
    EXPECT_EQ(found().source, "/etc/resolv.conf");
}

}  // namespace
}  // namespace sandbox
