// Sandboxes whose way out is confined: a host, which is the test program in a network of its own, somebody outside, and sandboxes on
// the host's bridge, over both families, with real programs.
#include <gmock/gmock.h>

#include "shell_sandbox.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Both families in one test: the same machines, by their other addresses.
struct Addresses {
    const char *name, *host, *outside, *second, *bridge, *box, *near, *any, *loopback;
};
std::ostream& operator<<(std::ostream& stream, const Addresses& all) { return stream << all.name; }
constexpr Addresses v4{"v4", "192.0.2.1", "192.0.2.2", "192.0.2.130", "10.88.0.1", "10.88.0.10", "10.88.0.20", "0.0.0.0", "127.0.0.1"};
constexpr Addresses v6{"v6", "2001:db8::1", "2001:db8::2", "2001:db8::1:2", "fd00:88::1", "fd00:88::a", "fd00:88::14", "::", "::1"};

class NetworkEgress : public OwnNetwork {
   protected:
    void SetUp() override {
        OwnNetwork::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        HOST_ROOT_OR_LEFT_OUT();
        for (const char* program : {"nft", "ping", "python3"}) REQUIRE_OR_SKIP(command_exists(program), cat("needs ", program));
        // Each refusal is told, not one in a second.
        set_sysctl("net/ipv4/icmp_ratelimit", "0");
        set_sysctl("net/ipv6/icmp/ratelimit", "0");
        outside = new_network();
        ip_words(cat("link add out0 type veth peer name eth0 netns /proc/", getpid(), "/fd/", outside.get()));
        for (const Addresses& at : {v4, v6}) ip_words(cat("address add ", at.host, wide(at), " dev out0"));
        ip_words("link set out0 up");
        const InNetwork in(outside);
        for (const Addresses& at : {v4, v6}) {
            ip_words(cat("address add ", at.outside, wide(at), " dev eth0"));
            ip_words(cat("address add ", at.second, wide(at), " dev eth0 preferred_lft 0"));  // never chosen as a source
        }
        ip_words("link set eth0 up");
    }
    void TearDown() override {
        if (outside) {
            // Nothing stays: the links go with the networks inside, which the kernel takes apart in its own time.
            EXPECT_TRUE(soon([] {
                return names_of_links() == std::vector<std::string>{"lo", "out0"};
            })) << ::testing::PrintToString(names_of_links());
            EXPECT_EQ(run({"nft", "list", "ruleset"}).out, "");
        }
        OwnNetwork::TearDown();
    }
    static std::string wide(const Addresses& at) { return at.host == v4.host ? "/24" : "/32 nodad"; }
    static void ip_words(const std::string& words) {
        const Ended ended = run({"sh", "-c", cat("ip ", words)});
        if (!ended.ok()) throw std::runtime_error(cat("ip ", words, ": ", ended.err));
    }
    static std::string network_of(const char* ip4, const char* ip6, std::string_view egress, std::string_view rest = {}) {
        return cat("network:\n  mode: bridge\n  bridge: {subnet6: 'fd00:88::/64'}\n  interface: {ip: ", ip4, ", ip6: '", ip6,
                   "'}\n  egress: ", egress, "\n", rest);
    }
    static std::string boxed(std::string_view egress, std::string_view rest = {}) { return network_of(v4.box, v6.box, egress, rest); }
    static std::string nearby(std::string_view egress = "allow", std::string_view rest = {}) {
        return network_of(v4.near, v6.near, egress, rest);
    }
    Fd outside;
};

// Two sockets and what comes of a datagram between them.
struct Datagram {
    Fd socket;
    Datagram(const Fd& from, const Endpoint& to) {
        const InNetwork in(from);
        socket.reset(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
        static_cast<void>(connect(socket.get(), to.get(), to.size));
        static_cast<void>(send(socket.get(), "q", 1, 0));
    }
    // The error that came back: 0 for none in the time.
    [[nodiscard]] int refused() const {
        char byte;
        if (!readable(socket.get())) return 0;
        return recv(socket.get(), &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0;
    }
};

bool arrives(const Fd& server) {
    char text[64];
    return readable(server.get()) && recv(server.get(), text, sizeof text, MSG_DONTWAIT) > 0;
}
bool nobody_at(const Fd& server) { return !readable(server.get(), milliseconds(0)); }

// ICMP's "administratively prohibited" as sockets tell it, of the two families.
bool is_prohibited(int error) { return error == EHOSTUNREACH || error == EACCES; }

// At once, and again when every neighbour is known.
::testing::AssertionResult refuses_tcp(const Fd& from, const Endpoint& to) {
    for (int i = 0; i < 2; ++i)
        if (const Connection tried = connect_to(from, to); tried.error != ECONNREFUSED || tried.asked_again)
            return ::testing::AssertionFailure()
                   << to.host() << ": " << strerror(tried.error) << (tried.asked_again ? ", not at once" : "");
    return ::testing::AssertionSuccess();
}

::testing::AssertionResult reaches_tcp(const Fd& from, const Endpoint& to) {
    if (const Connection tried = connect_to(from, to); tried.error != 0 || tried.asked_again)
        return ::testing::AssertionFailure() << to.host() << ": " << strerror(tried.error) << (tried.asked_again ? ", not at once" : "");
    return ::testing::AssertionSuccess();
}

class EgressOf : public NetworkEgress, public ::testing::WithParamInterface<Addresses> {
   protected:
    static const Addresses& at() { return GetParam(); }
    static std::string ping(const char* to) { return cat("ping -n -c1 -W5 ", to); }
};
INSTANTIATE_TEST_SUITE_P(NetworkEgress, EgressOf, ::testing::Values(v4, v6), [](const auto& one) { return std::string(one.param.name); });

TEST_P(EgressOf, deny_lets_nothing_out_at_once) {
    ShellSandbox near("near", nearby()), box("box", boxed("deny"));
    const Fd far = bound(outside, SOCK_STREAM, {at().outside, 80}), here = bound(host, SOCK_STREAM, {at().any, 90}),
             beside = bound(near.network(), SOCK_STREAM, {at().any, 80});
    const Fd far_udp = bound(outside, SOCK_DGRAM, {at().outside, 53}), here_udp = bound(host, SOCK_DGRAM, {at().any, 53}),
             beside_udp = bound(near.network(), SOCK_DGRAM, {at().any, 53});
    EXPECT_TRUE(refuses_tcp(box.network(), {at().outside, 80}));
    EXPECT_TRUE(refuses_tcp(box.network(), {at().host, 90}));
    EXPECT_TRUE(refuses_tcp(box.network(), {at().bridge, 90}));
    EXPECT_TRUE(refuses_tcp(box.network(), {at().near, 80}));
    for (const char* to : {at().outside, at().host, at().bridge, at().near}) {
        EXPECT_TRUE(is_prohibited(Datagram(box.network(), {to, 53}).refused())) << to;
        const auto said = box.run(ping(to));
        EXPECT_FALSE(said.ok()) << said;
        EXPECT_THAT(said.out, AnyOf(HasSubstr("Packet filtered"), HasSubstr("Administratively prohibited"))) << to;
    }
    for (const Fd* server : {&far, &here, &beside, &far_udp, &here_udp, &beside_udp}) EXPECT_TRUE(nobody_at(*server));
    // To itself it speaks.
    const Fd own = bound(box.network(), SOCK_STREAM, {at().any, 80});
    EXPECT_EQ(seen_by(own, box.network(), {at().box, 80}), at().box);
    EXPECT_TRUE(box.end().ok());
    EXPECT_TRUE(near.end().ok());
}

TEST_P(EgressOf, deny_lets_others_in_and_answers_them) {
    const char* ports = "  ports: ['0.0.0.0:8080:80', '[::]:8080:80', '8081:81', '0.0.0.0:5353:53/udp', '[::]:5353:53/udp']\n";
    ShellSandbox near("near", nearby()), box("box", boxed("deny", ports));
    const Fd server = bound(box.network(), SOCK_STREAM, {at().any, 80}), other = bound(box.network(), SOCK_STREAM, {at().any, 81});
    EXPECT_EQ(seen_by(server, outside, {at().host, 8080}), at().outside) << "from outside by the published port";
    EXPECT_EQ(seen_by(server, host, {at().host, 8080}), at().host);
    EXPECT_NE(seen_by(other, host, {at().loopback, 8081}), "nobody");
    EXPECT_EQ(seen_by(server, near.network(), {at().host, 8080}), at().bridge) << "by the host's port from beside";
    // Straight to it.
    EXPECT_EQ(seen_by(server, near.network(), {at().box, 80}), at().near);
    EXPECT_EQ(seen_by(server, host, {at().box, 80}), at().bridge);
    EXPECT_TRUE(near.run(ping(at().box)).ok());
    EXPECT_TRUE(run({"ping", "-n", "-c1", "-W5", at().box}).ok());
    // What it was asked by a datagram it answers, and says no more.
    const Fd dns = bound(box.network(), SOCK_DGRAM, {at().any, 53});
    const Datagram asked(outside, {at().host, 5353});
    char text[8];
    Endpoint from;
    from.size = sizeof from.address;
    ASSERT_TRUE(readable(dns.get()));
    ASSERT_EQ(recvfrom(dns.get(), text, sizeof text, 0, from.get(), &from.size), 1);
    EXPECT_EQ(from.host(), at().outside);
    ASSERT_EQ(sendto(dns.get(), "a", 1, 0, from.get(), from.size), 1);
    EXPECT_TRUE(arrives(asked.socket));
    EXPECT_TRUE(refuses_tcp(box.network(), {at().outside, 80}));
    EXPECT_TRUE(box.end().ok());
    EXPECT_TRUE(near.end().ok());
}

TEST_P(EgressOf, is_reached_at_once_from_both_sides_of_the_bridge) {
    ShellSandbox near("near", nearby()), box("box", boxed("deny")), second("second", network_of("10.88.0.30", "fd00:88::1e", "deny"));
    const Fd server = bound(box.network(), SOCK_STREAM, {at().any, 80}), beside = bound(near.network(), SOCK_STREAM, {at().any, 80});
    // The first packet of each: who asks for the neighbour is answered by the host without delay.
    EXPECT_TRUE(reaches_tcp(near.network(), {at().box, 80}));
    EXPECT_TRUE(reaches_tcp(host, {at().box, 80}));
    EXPECT_TRUE(refuses_tcp(second.network(), {at().box, 80}));
    EXPECT_TRUE(refuses_tcp(second.network(), {at().near, 80}));
    EXPECT_TRUE(refuses_tcp(box.network(), {at().near, 80}));
    EXPECT_TRUE(nobody_at(beside));
    for (ShellSandbox* one : {&second, &box, &near}) EXPECT_TRUE(one->end().ok());
}

TEST_P(EgressOf, two_confined_ones_speak_as_their_lists_say) {
    const std::string all = "{default: deny, allow: [10.88.0.0/24, 'fd00:88::/64']}";
    ShellSandbox box("box", boxed(all)), near("near", nearby("deny"));
    const Fd server = bound(near.network(), SOCK_STREAM, {at().any, 80}), own = bound(box.network(), SOCK_STREAM, {at().any, 80}),
             far = bound(outside, SOCK_STREAM, {at().outside, 80}), here = bound(host, SOCK_STREAM, {at().any, 90});
    EXPECT_TRUE(reaches_tcp(box.network(), {at().near, 80}));
    EXPECT_EQ(accepted(server), at().box);
    EXPECT_TRUE(refuses_tcp(near.network(), {at().box, 80}));
    EXPECT_EQ(seen_by(here, box.network(), {at().bridge, 90}), at().box) << "the bridge's address is in the list";
    EXPECT_TRUE(refuses_tcp(box.network(), {at().host, 90}));
    EXPECT_TRUE(refuses_tcp(box.network(), {at().outside, 80}));
    EXPECT_TRUE(box.run(ping(at().near)).ok());
    EXPECT_FALSE(near.run(ping(at().box)).ok());
    EXPECT_TRUE(near.end().ok());
    EXPECT_TRUE(box.end().ok());
}

TEST_P(EgressOf, lets_exactly_the_list_through) {
    const char* list =
        "{default: deny, allow: [192.0.2.2:80/tcp, 192.0.2.2:53/udp, 192.0.2.128/25, '192.0.2.2:8000-8010',\n"
        "    '[2001:db8::2]:80/tcp', '[2001:db8::2]:53/udp', '2001:db8::1:0/112', '[2001:db8::2]:8000-8010']}";
    ShellSandbox box("box", boxed(list));
    const auto reaches_tcp = [&](const char* to, std::uint16_t port) {
        const Fd server = bound(outside, SOCK_STREAM, {to, port});
        return seen_by(server, box.network(), {to, port}) == at().host;
    };
    const auto reaches_udp = [&](const char* to, std::uint16_t port) {
        const Fd server = bound(outside, SOCK_DGRAM, {to, port});
        const Datagram sent(box.network(), {to, port});
        return arrives(server);
    };
    const auto refuses = [&](const char* to, std::uint16_t port, bool udp) {
        const Fd server = bound(outside, udp ? SOCK_DGRAM : SOCK_STREAM, {to, port});
        const bool refused =
            udp ? is_prohibited(Datagram(box.network(), {to, port}).refused()) : bool(refuses_tcp(box.network(), {to, port}));
        return refused && nobody_at(server);
    };
    EXPECT_TRUE(reaches_tcp(at().outside, 80));
    EXPECT_TRUE(reaches_udp(at().outside, 53));
    for (const std::uint16_t port : {8000, 8005, 8010})
        EXPECT_TRUE(reaches_tcp(at().outside, port) && reaches_udp(at().outside, port)) << port;
    EXPECT_TRUE(reaches_tcp(at().second, 9) && reaches_udp(at().second, 9));
    EXPECT_TRUE(box.run(ping(at().second)).ok());
    EXPECT_FALSE(box.run(ping(at().outside)).ok());
    for (const std::uint16_t port : {53, 79, 81, 7999, 8011}) EXPECT_TRUE(refuses(at().outside, port, false)) << port;
    for (const std::uint16_t port : {80, 52, 54, 7999, 8011}) EXPECT_TRUE(refuses(at().outside, port, true)) << port;
    EXPECT_TRUE(refuses_tcp(box.network(), {at().host, 80}));
    EXPECT_TRUE(refuses_tcp(box.network(), {at().bridge, 80}));
    EXPECT_TRUE(box.end().ok());
}

TEST_P(EgressOf, holds_for_programs) {
    REQUIRE_OR_SKIP(command_exists("curl"), "needs curl");
    ShellSandbox box("box", boxed("{default: deny, allow: [192.0.2.2:8000/tcp, '[2001:db8::2]:8000/tcp']}"));
    TempDir place;
    place.write("page", "hello from outside");
    const std::string bare = at().outside, in_url = at().name == v4.name ? bare : cat("[", bare, "]");
    std::optional<Process> server;
    {
        const InNetwork in(outside);
        Options options;
        options.timeout = milliseconds(120000);
        server.emplace(
            Process::start({"/usr/bin/python3", "-u", "-m", "http.server", "8000", "--bind", bare, "--directory", place.path()}, options));
    }
    ASSERT_TRUE(server->expect("Serving HTTP", milliseconds(60000)));
    const auto got = box.run(cat("curl -sS --max-time 20 http://", in_url, ":8000/page"));
    EXPECT_TRUE(got.ok()) << got;
    EXPECT_EQ(got.out, "hello from outside");
    const auto refused = box.run(cat("curl -sS --max-time 20 http://", in_url, ":8001/page"));
    EXPECT_EQ(refused.code, 7) << refused;  // could not connect
    if (command_exists("socat")) {
        EXPECT_TRUE(box.run(cat("printf 'GET /page HTTP/1.0\\r\\n\\r\\n' | socat -t10 - TCP:", in_url, ":8000 | grep -q hello")).ok());
        EXPECT_FALSE(box.run(cat("echo | socat - TCP:", in_url, ":8001,connect-timeout=10")).ok());
    }
    server->signal(SIGTERM);
    server->wait();
    EXPECT_TRUE(box.end().ok());
}

// ---- a payload that is root of its network

constexpr const char* with_rights = "capabilities: {add: [NET_ADMIN, NET_RAW]}\nsecurity: {seccomp: {profile: none}}\n";

TEST_P(EgressOf, holds_whatever_the_sandbox_does_to_its_own_network) {
    ShellSandbox near("near", nearby()),
        box("box", boxed("{default: deny, allow: [192.0.2.2:53/udp, '[2001:db8::2]:53/udp']}", with_rights));
    const Fd far = bound(outside, SOCK_STREAM, {at().outside, 80}), here = bound(host, SOCK_STREAM, {at().any, 90}),
             beside = bound(near.network(), SOCK_STREAM, {at().any, 80}), far_udp = bound(outside, SOCK_DGRAM, {at().any, 53});
    const auto still_confined = [&](const char* what) {
        EXPECT_NE(connect_to(box.network(), {at().outside, 80}, milliseconds(300)).error, 0) << what;
        EXPECT_NE(connect_to(box.network(), {at().host, 90}, milliseconds(300)).error, 0) << what;
        EXPECT_NE(connect_to(box.network(), {at().bridge, 90}, milliseconds(300)).error, 0) << what;
        EXPECT_NE(connect_to(box.network(), {at().near, 80}, milliseconds(300)).error, 0) << what;
        EXPECT_FALSE(box.run(cat("ping -n -c1 -W1 ", at().near)).ok()) << what;
        EXPECT_TRUE(nobody_at(far) && nobody_at(here) && nobody_at(beside)) << what;
    };
    const auto done = [&](const std::string& command) {
        const auto said = box.run(command);
        EXPECT_TRUE(said.ok()) << command << ": " << said;
    };
    still_confined("as it came");
    done("nft flush ruleset");
    still_confined("its own rules flushed");
    const std::string six = at().name == v6.name ? "-6 " : "";
    done(cat("ip ", six, "route replace ", at().near, " dev eth0 && ip ", six, "route add ", six.empty() ? "10.88.0.0/24" : "fd00:88::/64",
             " dev eth0"));
    still_confined("with routes of its own");
    done(cat("ip ", six, "neigh replace ", at().near, " lladdr ", "02:00:00:00:00:99", " dev eth0"));
    done(cat("ip ", six, "neigh del ", at().near, " dev eth0"));
    done("ip link set eth0 down && ip link set eth0 address 02:11:22:33:44:55 && ip link set eth0 up");
    done(cat("ip ", six, "address replace ", at().box, "/", six.empty() ? "32" : "128 nodad", " dev eth0"));
    done(cat("ip ", six, "route replace default via ", six.empty() ? "10.88.0.1" : "fe80::1", " dev eth0 onlink"));
    still_confined("with another link-layer address");
    // From its own address what it may goes out.
    {
        const Datagram sent(box.network(), {at().outside, 53});
        EXPECT_TRUE(arrives(far_udp));
    }
    for (const char* stolen : {at().near, at().bridge, at().outside}) {
        done(cat("ip ", six, "address add ", stolen, "/", six.empty() ? "32" : "128 nodad", " dev eth0"));
        const std::string script = cat("import socket;s=socket.socket(socket.AF_INET", six.empty() ? "" : "6",
                                       ",socket.SOCK_DGRAM);s.bind(('", stolen, "',0));s.sendto(b'spoofed',('", at().second, "',53))");
        // Not to the list, and not with an address of others to what is in it.
        static_cast<void>(box.run(cat("/usr/bin/python3 -c \"", script, "\"")));
        done(cat("ip ", six, "address del ", stolen, "/", six.empty() ? "32" : "128", " dev eth0"));
    }
    done(cat("ip ", six, "address add ", at().near, "/", six.empty() ? "32" : "128 nodad", " dev eth0"));
    const std::string spoof = cat("import socket;s=socket.socket(socket.AF_INET", six.empty() ? "" : "6", ",socket.SOCK_DGRAM);s.bind(('",
                                  at().near, "',0));s.sendto(b'spoofed',('", at().outside, "',53))");
    done(cat("/usr/bin/python3 -c \"", spoof, "\""));
    done(cat("ip ", six, "address del ", at().near, "/", six.empty() ? "32" : "128", " dev eth0"));
    // What is sent behind it on the same way is there, and it is not.
    const Datagram last(box.network(), {at().outside, 53});
    char text[64];
    ASSERT_TRUE(readable(far_udp.get()));
    const ssize_t size = recv(far_udp.get(), text, sizeof text, MSG_DONTWAIT);
    EXPECT_EQ(std::string(text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))), "q");
    EXPECT_TRUE(nobody_at(far_udp));
    // Nobody believes it to be another: the host and the neighbour still reach each other.
    EXPECT_EQ(seen_by(beside, host, {at().near, 80}), at().bridge);
    EXPECT_EQ(seen_by(here, near.network(), {at().bridge, 90}), at().near);
    EXPECT_TRUE(box.end().ok());
    EXPECT_TRUE(near.end().ok());
}

// Frames that are made by hand: to the neighbour's own link-layer address, to all, with wrong addresses, as ARP, in VLANs.
constexpr const char* frames = R"(
import socket, struct, sys
near_mac = bytes.fromhex(sys.argv[1].replace(':', ''))
host_mac = bytes.fromhex(sys.argv[2].replace(':', ''))
own_mac = bytes.fromhex(open('/sys/class/net/eth0/address').read().strip().replace(':', ''))
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(('eth0', 0))
def checksum(data):
    if len(data) % 2: data += bytes.fromhex('00')
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def udp4(source, to, port):
    payload = b'frame'
    udp = struct.pack('!HHHH', 4000, port, 8 + len(payload), 0) + payload
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(to))
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + udp
def udp6(source, to, port):
    payload = b'frame'
    s, d = (socket.inet_pton(socket.AF_INET6, a) for a in (source, to))
    size = 8 + len(payload)
    udp = struct.pack('!HHHH', 4000, port, size, 0) + payload
    sum6 = checksum(s + d + struct.pack('!IHBB', size, 0, 0, 17) + udp)
    udp = udp[:6] + struct.pack('!H', sum6) + udp[8:]
    return struct.pack('!IHBB', 6 << 28, size, 17, 64) + s + d + udp
def arp(operation, mac, ip, to_mac, to):
    return struct.pack('!HHBBH', 1, 0x800, 6, 4, operation) + mac + socket.inet_aton(ip) + to_mac + socket.inet_aton(to)
everyone = bytes.fromhex('ff') * 6
sent = 0
for mac in (near_mac, host_mac, everyone, bytes.fromhex('333300000001')):
    for tag in (b'', struct.pack('!HH', 0x8100, 0), struct.pack('!HH', 0x8100, 5)):
        for source in ('10.88.0.10', '10.88.0.20', '10.88.0.1', '127.0.0.1', '0.0.0.0'):
            for to in ('10.88.0.20', '10.88.0.1', '192.0.2.1', '192.0.2.2', '255.255.255.255', '10.88.0.255', '224.0.0.251'):
                raw.send(mac + own_mac + tag + bytes.fromhex('0800') + udp4(source, to, 5000))
                sent += 1
        for source in ('fd00:88::a', 'fd00:88::14', 'fd00:88::1', 'fe80::1', 'fe80::99', '::'):
            for to in ('fd00:88::14', 'fd00:88::1', '2001:db8::1', '2001:db8::2', 'ff02::1', 'ff02::fb', 'fe80::1'):
                raw.send(mac + own_mac + tag + bytes.fromhex('86dd') + udp6(source, to, 5000))
                sent += 1
    for operation in (1, 2):
        for ip in ('10.88.0.20', '10.88.0.1', '192.0.2.1', '192.0.2.2'):
            raw.send(mac + own_mac + bytes.fromhex('0806') + arp(operation, own_mac, ip, mac, '10.88.0.1'))
# Advertisements: of a router, and of addresses of others.
def icmp6(source, to, kind, body):
    s, d = (socket.inet_pton(socket.AF_INET6, a) for a in (source, to))
    data = struct.pack('!BBH', kind, 0, 0) + body
    data = data[:2] + struct.pack('!H', checksum(s + d + struct.pack('!IHBB', len(data), 0, 0, 58) + data)) + data[4:]
    return struct.pack('!IHBB', 6 << 28, len(data), 58, 255) + s + d + data
option = bytes.fromhex('0201') + own_mac
for to, mac in (('ff02::1', bytes.fromhex('333300000001')), ('fe80::1', host_mac)):
    prefix = bytes.fromhex('030440c0') + struct.pack('!III', 86400, 14400, 0) + socket.inet_pton(socket.AF_INET6, '2001:db8:bad::')
    raw.send(mac + own_mac + bytes.fromhex('86dd') + icmp6('fe80::99', to, 134, struct.pack('!BBHII', 64, 0, 1800, 0, 0) + bytes.fromhex('0101') + own_mac + prefix))
    for victim in ('fd00:88::14', 'fd00:88::1', '2001:db8::2'):
        raw.send(mac + own_mac + bytes.fromhex('86dd') + icmp6('fe80::99', to, 136, struct.pack('!I', 0x60000000) + socket.inet_pton(socket.AF_INET6, victim) + option))
print('sent', sent)
)";

// The link-layer address that the bridge's side has for the sandbox, and its own.
std::string mac_of(const Fd& where, const std::string& link) {
    const InNetwork in(where);
    return ip_json({"link", "show", "dev", link})[0]["address"];
}

TEST_F(NetworkEgress, frames_made_by_hand_reach_nobody) {
    // Where the administrator lets the host listen to routers.
    set_sysctl("net/ipv6/conf/default/accept_ra", "2");
    set_sysctl("net/ipv6/conf/all/accept_ra", "2");
    ShellSandbox near("near", nearby()), box("box", boxed("deny", with_rights));
    std::vector<Fd> servers;
    for (const Fd* where : std::vector<const Fd*>{&near.network(), &host, &outside})
        servers.push_back(bound(*where, SOCK_DGRAM, {"::", 5000}));  // of both families
    TempDir place;
    const std::string script = place.write("frames.py", frames);
    std::string host_end;
    for (const Json& link : ip_json({"link", "show"}))
        if (link.value("ifalias", "").starts_with("sandbox box ")) host_end = link["ifname"];
    ASSERT_NE(host_end, "");
    const auto addresses = [&] { return run({"ip", "-6", "address", "show"}).out; };
    const auto routes = [&] { return run({"ip", "-6", "route", "show"}).out + run({"ip", "route", "show"}).out; };
    const std::string addresses_before = addresses(), routes_before = routes();
    const auto said = box.run(cat("/usr/bin/python3 ", script, " ", mac_of(near.network(), "eth0"), " ", mac_of(host, host_end)));
    ASSERT_TRUE(said.ok()) << said;
    EXPECT_THAT(said.out, HasSubstr("sent "));
    for (const Fd& server : servers) EXPECT_TRUE(nobody_at(server));
    EXPECT_EQ(addresses(), addresses_before);
    EXPECT_EQ(routes(), routes_before) << "of a router's advertisement";
    for (const Addresses& at : {v4, v6}) {
        const Fd beside = bound(near.network(), SOCK_STREAM, {at.any, 80}), far = bound(outside, SOCK_STREAM, {at.outside, 80});
        EXPECT_EQ(seen_by(beside, host, {at.near, 80}), at.bridge);
        EXPECT_EQ(seen_by(far, near.network(), {at.outside, 80}), at.host);
    }
    EXPECT_TRUE(box.end().ok());
    EXPECT_TRUE(near.end().ok());
}

TEST_F(NetworkEgress, link_local_and_multicast_are_confined_too) {
    ShellSandbox near("near", nearby()), box("box", boxed("deny", with_rights));
    const Fd tcp = bound(host, SOCK_STREAM, {"::", 90}), udp = bound(host, SOCK_DGRAM, {"::", 5353}),
             beside = bound(near.network(), SOCK_DGRAM, {"::", 5353});
    const auto said = box.run(
        "/usr/bin/python3 -c \"import socket\n"
        "i=socket.if_nametoindex('eth0')\n"
        "for to in ('ff02::1','ff02::fb','ff05::1','fe80::1'):\n"
        "  s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); s.sendto(b'x',(to,5353,0,i))\n"
        "for to in ('224.0.0.1','224.0.0.251','10.88.0.255','255.255.255.255'):\n"
        "  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET,socket.SO_BROADCAST,1)\n"
        "  s.bind(('10.88.0.10',0)); s.sendto(b'x',(to,5353))\n"
        "s=socket.socket(socket.AF_INET6,socket.SOCK_STREAM); s.settimeout(0.3)\n"
        "try: s.connect(('fe80::1',90,0,i)); print('connected')\n"
        "except OSError as e: print('refused')\n\"");
    EXPECT_THAT(said.out, AllOf(HasSubstr("refused"), Not(HasSubstr("connected")))) << said;
    for (const Fd* server : {&tcp, &udp, &beside}) EXPECT_TRUE(nobody_at(*server));
    EXPECT_TRUE(box.end().ok());
    EXPECT_TRUE(near.end().ok());
}

// ---- where the rules are, and what cannot be had

TEST_F(NetworkEgress, rules_are_in_a_table_of_the_sandboxs_own) {
    ASSERT_TRUE(run({"nft", "add table inet fw; add chain inet fw forward { type filter hook forward priority 0; policy accept; }"}).ok());
    const std::string rules = run({"nft", "list", "ruleset"}).out;
    {
        ShellSandbox box("box", boxed("deny"));
        EXPECT_EQ(run({"nft", "list", "table", "inet", "fw"}).out, rules);
        EXPECT_THAT(run({"nft", "list", "tables"}).out, AllOf(HasSubstr("table inet fw"), HasSubstr("table inet sandbox-box")));
        EXPECT_THAT(run({"nft", "list", "table", "inet", "sandbox-box"}).out,
                    AllOf(HasSubstr("chain egress"), HasSubstr("ip saddr != 10.88.0.10 drop")));
        EXPECT_FALSE(run({"nft", "delete", "table", "inet", "sandbox-box"}).ok()) << "it is its supervisor's";
        EXPECT_TRUE(box.end().ok());
    }
    EXPECT_EQ(run({"nft", "list", "ruleset"}).out, rules);
    ASSERT_TRUE(run({"nft", "delete", "table", "inet", "fw"}).ok());
}

TEST_F(NetworkEgress, no_other_way_than_the_host_can_be_asked_for) {
    const auto said = [](std::string_view interface) {
        return run_sandbox(
            cat("version: 1\nrootfs: {path: @PROBE_TREE@}\nnetwork:\n  mode: bridge\n  bridge: {subnet6: 'fd00:88::/64'}\n  egress: deny\n"
                "  interface:\n    ",
                interface, "\n"),
            {"/sandbox-probe", "ids"});
    };
    for (const char* interface : {"gateway: 10.88.0.7", "gateway: 'fd00:88::7'", "routes: ['10.0.0.0/8 via 10.88.0.7']",
                                  "routes: ['2001:db8::/32 via fd00:88::7']", "routes: [10.0.0.0/8]"}) {
        const Ended ended = said(interface);
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, AllOf(HasSubstr("error[E0571]"), HasSubstr("egress rules are kept by the host: nothing"))) << interface;
    }
    for (const char* interface : {"gateway: 10.88.0.1", "gateway: 'fd00:88::1'", "gateway: null"}) {
        const Ended ended = said(interface);
        EXPECT_TRUE(ended.ok()) << interface << ended;
    }
}

}  // namespace
