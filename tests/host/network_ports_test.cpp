// Published ports: who reaches them from where, whom the sandbox then sees, and that they go.
#include <sys/wait.h>

#include <thread>

#include "network_world.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* both_families = "bridge: {subnet6: \"fd00:88::/64\"}, ";
constexpr milliseconds soon(300);  // for what is never answered

class NetworkPorts : public NetworkWorld {
   protected:
    static Fd listener(const Box& box, std::uint16_t port, const char* at = "::") { return bound(box.network, SOCK_STREAM, {at, port}); }
    // ::ffff:10.88.0.1 is 10.88.0.1.
    static std::string plain(const std::string& address) { return address.starts_with("::ffff:") ? address.substr(7) : address; }
    static std::string seen(const Fd& listener, const Fd& from, const char* to, std::uint16_t port) {
        return plain(seen_by(listener, from, {to, port}));
    }
    static int tried(const Fd& from, const char* to, std::uint16_t port) { return connect_to(from, {to, port}).error; }
    static bool unanswered(const Fd& from, const char* to, std::uint16_t port) {
        return connect_to(from, {to, port}, soon).error == ETIMEDOUT;
    }

    // One datagram to and fro: whom the other end saw, or what went wrong.
    static std::string echoed(const Fd& receiver, const Fd& from, const Endpoint& to) {
        Fd socket;
        {
            const InNetwork there(from);
            socket = Fd(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
        }
        if (::connect(socket.get(), to.get(), to.size) != 0 || send(socket.get(), "ping", 4, 0) != 4) return strerror(errno);
        if (!readable(receiver.get())) return "nothing came";
        char text[16];
        Endpoint sender;
        sender.size = sizeof sender.address;
        const ssize_t size = recvfrom(receiver.get(), text, sizeof text, 0, sender.get(), &sender.size);
        if (sendto(receiver.get(), text, static_cast<std::size_t>(std::max<ssize_t>(size, 0)), 0, sender.get(), sender.size) != 4)
            return strerror(errno);
        if (!readable(socket.get())) return "nothing came back";
        return recv(socket.get(), text, sizeof text, 0) == 4 ? plain(sender.host()) : strerror(errno);
    }
};

// ---- from where

TEST_F(NetworkPorts, are_on_loopback_alone_by_default) {
    const Fd& other = neighbour();
    for (const char* families : {"", both_families}) {
        Box box = up("web", cat(families, "ports: [\"8080:80\"]"));
        Fd inside = listener(box, 80);
        EXPECT_EQ(seen(inside, host, "127.0.0.1", 8080), "10.88.0.1");
        EXPECT_EQ(seen(inside, host, "::1", 8080), *families ? "fd00:88::1" : "10.88.0.1");
        EXPECT_EQ(tried(host, "192.0.2.1", 8080), ECONNREFUSED);
        EXPECT_EQ(tried(other, "192.0.2.1", 8080), ECONNREFUSED);
        EXPECT_EQ(tried(other, "2001:db8:1::1", 8080), ECONNREFUSED);
        EXPECT_EQ(tried(box.network, "10.88.0.1", 8080), ECONNREFUSED);
        inside.reset();
        EXPECT_TRUE(eventually([&] {  // nobody listens inside: the connection ends at once
            const Connection made = connect_to(host, {"127.0.0.1", 8080});
            char byte;
            return made.error != 0 || (readable(made.socket.get()) && recv(made.socket.get(), &byte, 1, 0) <= 0);
        }));
        down(box);
        EXPECT_EQ(tried(host, "127.0.0.1", 8080), ECONNREFUSED);
    }
}

TEST_F(NetworkPorts, of_every_address_are_reached_from_everywhere) {
    const Fd& other = neighbour();
    const Box box = up("web", cat(both_families, "ports: [\"0.0.0.0:8080:80\", \"[::]:8080:80\"]"));
    const Box second = up("second", "bridge: {subnet6: \"fd00:88::/64\"}");
    const Fd inside = listener(box, 80);
    // Another host is seen as who it is.
    EXPECT_EQ(seen(inside, other, "192.0.2.1", 8080), "192.0.2.2");
    EXPECT_EQ(seen(inside, other, "2001:db8:1::1", 8080), "2001:db8:1::2");
    // The host by each of its addresses.
    EXPECT_EQ(seen(inside, host, "127.0.0.1", 8080), "10.88.0.1");
    EXPECT_EQ(seen(inside, host, "::1", 8080), "fd00:88::1");
    for (const char* address : {"192.0.2.1", "10.88.0.1", "2001:db8:1::1", "fd00:88::1"})
        EXPECT_THAT(seen(inside, host, address, 8080), ::testing::AnyOf("10.88.0.1", "fd00:88::1", address)) << address;
    // Another sandbox and the sandbox itself, by an address of the host.
    for (const Fd* from : {&second.network, &box.network})
        for (const char* address : {"10.88.0.1", "192.0.2.1", "fd00:88::1", "2001:db8:1::1"})
            EXPECT_THAT(seen(inside, *from, address, 8080), ::testing::AnyOf("10.88.0.1", "fd00:88::1")) << address;
}

TEST_F(NetworkPorts, of_one_address_are_on_that_alone) {
    const Fd& other = neighbour();
    command({"ip", "address", "add", "192.0.2.77/32", "dev", "out0"});
    const Box box = up("web", "ports: [\"192.0.2.1:8080:80\", \"127.0.0.2:8081:80\"]");
    const Fd inside = listener(box, 80);
    EXPECT_EQ(seen(inside, other, "192.0.2.1", 8080), "192.0.2.2");
    EXPECT_EQ(tried(other, "192.0.2.77", 8080), ECONNREFUSED);
    EXPECT_EQ(tried(host, "127.0.0.1", 8080), ECONNREFUSED);
    EXPECT_EQ(seen(inside, host, "127.0.0.2", 8081), "10.88.0.1");
    EXPECT_EQ(tried(host, "127.0.0.1", 8081), ECONNREFUSED);
}

TEST_F(NetworkPorts, of_a_range_lead_each_to_its_own) {
    const Fd& other = neighbour();
    const Box box = up("web", "ports: [\"8000-8002:9000-9002\", \"0.0.0.0:7000-7002:9000-9002\", \"192.0.2.1:9001-9002:9001-9002\"]");
    for (const int i : {0, 1, 2}) {
        const auto step = static_cast<std::uint16_t>(i);
        const Fd inside = listener(box, static_cast<std::uint16_t>(9000 + step));
        EXPECT_EQ(seen(inside, host, "127.0.0.1", static_cast<std::uint16_t>(8000 + step)), "10.88.0.1");
        EXPECT_EQ(seen(inside, other, "192.0.2.1", static_cast<std::uint16_t>(7000 + step)), "192.0.2.2");
        if (i > 0) {
            EXPECT_EQ(seen(inside, other, "192.0.2.1", static_cast<std::uint16_t>(9000 + step)), "192.0.2.2");
        }
    }
    EXPECT_EQ(tried(host, "127.0.0.1", 8003), ECONNREFUSED);
    EXPECT_EQ(tried(other, "192.0.2.1", 7003), ECONNREFUSED);
}

TEST_F(NetworkPorts, carry_datagrams) {
    const Fd& other = neighbour();
    const Box box = up("web", cat(both_families, "ports: [\"5353:53/udp\", \"0.0.0.0:5354:53/udp\", \"[::]:5354:53/udp\"]"));
    const Box second = up("second", "bridge: {subnet6: \"fd00:88::/64\"}");
    // A name server answers from the address that it was asked at, so it listens on each.
    const Fd four = bound(box.network, SOCK_DGRAM, {box.address(), 53}), six = bound(box.network, SOCK_DGRAM, {box.address(true), 53});
    EXPECT_EQ(echoed(four, host, {"127.0.0.1", 5353}), "10.88.0.1");
    EXPECT_EQ(echoed(six, host, {"::1", 5353}), "fd00:88::1");
    EXPECT_EQ(echoed(four, host, {"127.0.0.1", 5354}), "10.88.0.1");
    EXPECT_EQ(echoed(four, other, {"192.0.2.1", 5354}), "192.0.2.2");
    EXPECT_EQ(echoed(six, other, {"2001:db8:1::1", 5354}), "2001:db8:1::2");
    EXPECT_EQ(echoed(four, second.network, {"10.88.0.1", 5354}), "10.88.0.1");
    EXPECT_EQ(echoed(four, box.network, {"10.88.0.1", 5354}), "10.88.0.1");
    EXPECT_EQ(tried(host, "127.0.0.1", 5354), ECONNREFUSED) << "tcp was not asked for";
}

// A client that keeps its port, as many of name servers do, goes on with whoever has the port now.
TEST_F(NetworkPorts, carry_datagrams_of_a_client_that_goes_on) {
    const Fd& other = neighbour();
    const Fd four = bound(other, SOCK_DGRAM, {"192.0.2.2", 5000}), six = bound(other, SOCK_DGRAM, {"2001:db8:1::2", 5000});
    const Box keeps_the_bridge = up("second", "bridge: {subnet6: \"fd00:88::/64\"}");
    std::string first;
    for (int i = 0; i < 2; ++i) {
        Box box = up("web", cat(both_families, "ports: [\"0.0.0.0:5354:53/udp\", \"[::]:5354:53/udp\"]"));
        EXPECT_NE(box.address(), first) << "or it tells nothing";
        first = box.address();
        for (const bool v6 : {false, true}) {
            const Fd inside = bound(box.network, SOCK_DGRAM, {box.address(v6), 53});
            const Endpoint to(v6 ? "2001:db8:1::1" : "192.0.2.1", 5354);
            ASSERT_EQ(sendto((v6 ? six : four).get(), "ping", 4, 0, to.get(), to.size), 4);
            EXPECT_TRUE(readable(inside.get())) << i << (v6 ? " v6" : " v4");
        }
        down(box);
    }
}

TEST_F(NetworkPorts, work_for_a_sandbox_of_the_other_family) {
    const Fd& other = neighbour();
    const Box box = up("six", cat(both_families, "interface: {ip: null}, ports: [\"8080:80\", \"0.0.0.0:8081:80\"]"));
    const Fd inside = listener(box, 80);
    EXPECT_EQ(seen(inside, host, "127.0.0.1", 8080), "fd00:88::1");
    // Without an address of the family a process carries it on.
    EXPECT_EQ(seen(inside, other, "192.0.2.1", 8081), "fd00:88::1");
}

TEST_F(NetworkPorts, work_on_a_host_without_ipv6) {
    for (const char* links : {"all", "default"}) set_sysctl(cat("net/ipv6/conf/", links, "/disable_ipv6"), "1");
    const Box box = up("web", "ports: [\"8080:80\", \"0.0.0.0:8081:80\"]");
    const Fd inside = listener(box, 80, "0.0.0.0");
    EXPECT_EQ(seen(inside, host, "127.0.0.1", 8080), "10.88.0.1");
    EXPECT_EQ(seen(inside, host, "127.0.0.1", 8081), "10.88.0.1");
    const Ended six = try_up("six", "bridge: {subnet6: \"fd00:88::/64\"}");
    EXPECT_EQ(six.code, 125) << six;
    EXPECT_THAT(six.err, AllOf(HasSubstr("E0572"), HasSubstr("this host has no IPv6, or has it switched off")));
}

// ---- what comes through

// Both ways at once, whole, and the end after it.
std::string carried(const Fd& listener, const Fd& from, const Endpoint& to, std::size_t size) {
    const Connection made = connect_to(from, to);
    if (made.error != 0) return strerror(made.error);
    if (!readable(listener.get())) return "nobody came";
    const Fd inside(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const auto text = [size](unsigned seed) {
        std::string out(size, '\0');
        for (char& c : out) c = static_cast<char>((seed = seed * 1103515245 + 12345) >> 16);
        return out;
    };
    const std::string up = text(1), down = text(2);
    const auto write_all = [](int fd, std::string_view bytes) {
        while (!bytes.empty()) {
            pollfd one{fd, POLLOUT, 0};
            if (poll(&one, 1, 5000) <= 0) return;
            const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
            if (sent < 0 && errno != EAGAIN) return;
        }
        shutdown(fd, SHUT_WR);
    };
    const auto read_all = [](int fd) {
        std::string out;
        char buffer[65536];
        while (readable(fd)) {
            const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
            if (got == 0) return out;
            if (got > 0) out.append(buffer, static_cast<std::size_t>(got));
            if (got < 0 && errno != EAGAIN) break;
        }
        return out + " and no end";
    };
    std::string at_client;
    std::thread upward(write_all, made.socket.get(), up), downward(write_all, inside.get(), down);
    std::thread client([&] { at_client = read_all(made.socket.get()); });
    const std::string at_server = read_all(inside.get());
    for (std::thread* one : {&upward, &downward, &client}) one->join();
    if (at_server != up) return cat("inside came ", at_server.size(), " bytes, not the same");
    return at_client == down ? "all" : cat("back came ", at_client.size(), " bytes, not the same");
}

TEST_F(NetworkPorts, carry_a_mebibyte_each_way) {
    const Fd& other = neighbour();
    const Box box = up("web", cat(both_families, "ports: [\"0.0.0.0:8080:80\", \"[::]:8080:80\"]"));
    const Fd inside = listener(box, 80);
    constexpr std::size_t mebibyte = 1 << 20;
    EXPECT_EQ(carried(inside, host, {"127.0.0.1", 8080}, mebibyte), "all");
    EXPECT_EQ(carried(inside, host, {"::1", 8080}, mebibyte), "all");
    EXPECT_EQ(carried(inside, other, {"192.0.2.1", 8080}, mebibyte), "all");
    EXPECT_EQ(carried(inside, other, {"2001:db8:1::1", 8080}, mebibyte), "all");
    EXPECT_EQ(carried(inside, box.network, {"10.88.0.1", 8080}, mebibyte), "all");
}

TEST_F(NetworkPorts, serve_ordinary_programs) {
    REQUIRE_OR_SKIP(command_exists("curl") && command_exists("socat"), "needs curl and socat");
    const Fd& other = neighbour();
    place_.write("www/index.html", "hello from inside\n");
    const Box box = up("web", "ports: [\"0.0.0.0:8080:80\"]",
                       cat("mounts: [{type: bind, source: ", place_ / "www", ", target: /work, mode: ro}]\n",
                           "process: {command: [/bin/httpd, -f, -p, \"80\", -h, /work]}\n"));
    const Words ask{"curl", "--silent", "--fail", "--max-time", "5", "--retry", "20", "--retry-all-errors", "--retry-delay", "0"};
    const auto page = [&](const std::string& url) {
        Words words = ask;
        words.push_back(url);
        return run(words).out;
    };
    EXPECT_EQ(page("http://127.0.0.1:8080/index.html"), "hello from inside\n");
    EXPECT_EQ(page("http://192.0.2.1:8080/index.html"), "hello from inside\n");
    const InNetwork there(other);
    EXPECT_EQ(page("http://192.0.2.1:8080/index.html"), "hello from inside\n");
    const Ended answer = run({"socat", "-T5", "-", "TCP:192.0.2.1:8080"}, with_input("GET /index.html HTTP/1.0\r\n\r\n"));
    EXPECT_THAT(answer.out, HasSubstr("hello from inside"));
}

// ---- whose port it is

TEST_F(NetworkPorts, are_given_once) {
    Box first = up("first", "ports: [\"8080:80\", \"0.0.0.0:9090:90\"]");
    const HostSnapshot running = picture();
    for (const char* ports : {"[\"8080:80\"]", "[\"[::1]:8080:81\"]", "[\"8079-8081:1-3\"]"}) {
        const Ended second = try_up("second", cat("ports: ", ports));
        EXPECT_EQ(second.code, 125) << second;
        EXPECT_THAT(second.err, AllOf(HasSubstr("E0567"), HasSubstr(":8080/tcp is in use by sandbox 'first'"))) << ports;
    }
    const Ended any = try_up("second", "ports: [\"127.0.0.1:9090:80\"]");
    EXPECT_THAT(any.err, HasSubstr("127.0.0.1:9090/tcp is in use by sandbox 'first'")) << any;
    EXPECT_EQ(changed_since(running), "") << "it had an effect";
    Box udp = up("udp", "ports: [\"8080:80/udp\"]");
    down(first);
    const Box second = up("second", "ports: [\"8080:80\"]");
    EXPECT_EQ(seen(listener(second, 80), host, "127.0.0.1", 8080), "10.88.0.1");
}

TEST_F(NetworkPorts, of_another_program_are_named_with_it) {
    const Fd mine = bound(host, SOCK_STREAM, {"127.0.0.1", 8080});
    const Ended refused_up = try_up("web", "ports: [\"8080:80\"]");
    EXPECT_EQ(refused_up.code, 125) << refused_up;
    EXPECT_THAT(refused_up.err,
                AllOf(HasSubstr("E0567"), HasSubstr(cat("127.0.0.1:8080/tcp is in use by ", sandbox::trim(read_text("/proc/self/comm")),
                                                        " (process ", getpid(), ")"))));
    const Ended nobodys = try_up("web", "ports: [\"203.0.113.9:8081:80\"]");
    EXPECT_EQ(nobodys.code, 125) << nobodys;
    EXPECT_THAT(nobodys.err, HasSubstr("203.0.113.9:8081/tcp: the host does not have this address"));
}

TEST_F(NetworkPorts, go_with_the_supervisor) {
    Box box = up("web", "ports: [\"8080:80\", \"0.0.0.0:8081:80\", \"8080:80/udp\"]");
    {
        const Fd inside = listener(box, 80);
        EXPECT_EQ(seen(inside, host, "127.0.0.1", 8080), "10.88.0.1");
    }
    kill_supervisor(box);
    EXPECT_TRUE(eventually([&] { return tried(host, "127.0.0.1", 8080) == ECONNREFUSED; })) << "the forwarder lives on";
    EXPECT_TRUE(sandbox_command({"gc"}).ok());
    EXPECT_EQ(changed_since(*before_), "");
    const Box again = up("web", "ports: [\"8080:80\", \"0.0.0.0:8081:80\", \"8080:80/udp\"]");
    EXPECT_EQ(seen(listener(again, 80), host, "127.0.0.1", 8080), "10.88.0.1");
}

// ---- the host's own firewall

TEST_F(NetworkPorts, do_not_open_what_a_firewall_closes) {
    const Fd& other = neighbour();
    const auto with = [](const char* rules) { command({"nft", "-f", "-"}, with_input(cat("table inet firewall {\n", rules, "}\n"))); };
    const Box box = up("web", cat(both_families, "ports: [\"0.0.0.0:8080:80\", \"[::]:8080:80\"]"));
    const Fd inside = listener(box, 80);
    EXPECT_EQ(seen(inside, other, "192.0.2.1", 8080), "192.0.2.2");
    with("chain forward { type filter hook forward priority filter; policy drop; }\n");
    EXPECT_TRUE(unanswered(other, "192.0.2.1", 8080));
    EXPECT_TRUE(unanswered(other, "2001:db8:1::1", 8080));
    EXPECT_TRUE(unanswered(box.network, "192.0.2.2", 1)) << "nor outwards";
    command({"nft", "delete", "table", "inet", "firewall"});
    with("chain input { type filter hook input priority filter; policy accept; tcp dport 8080 drop; }\n");
    EXPECT_TRUE(unanswered(host, "127.0.0.1", 8080));
    EXPECT_TRUE(unanswered(host, "::1", 8080));
    command({"nft", "delete", "table", "inet", "firewall"});
    EXPECT_EQ(seen(inside, host, "127.0.0.1", 8080), "10.88.0.1");
}

}  // namespace
