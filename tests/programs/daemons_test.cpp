// Servers of data and names: each answers through its port, and keeps what it has a volume for.
#include <gmock/gmock.h>

#include "programs.h"

namespace {

using namespace programs;
using testing::HasSubstr;

// A directory for data of that user.
std::string data_of(const TempDir& folder, const std::string& user) {
    const Ended made = run({"install", "-d", "-m", "0700", "-o", user, "-g", user, folder / "data"});
    if (!made.ok()) throw std::runtime_error(made.err);
    return "DATA=" + (folder / "data");
}

Ended redis(const Words& words) {
    Words argv{"redis-cli", "-h", "127.0.0.1"};
    argv.insert(argv.end(), words.begin(), words.end());
    return until_ok(argv);
}

TEST_F(Works, redis_answers_and_keeps_its_data) {
    const std::string data = data_of(folder(), "redis");
    {
        const Service server("redis", here(), {data});
        EXPECT_EQ(until_ok({"sh", "-c", "redis-cli -h 127.0.0.1 ping | grep PONG"}).out, "PONG\n") << server.logs();
        EXPECT_EQ(redis({"set", "key", "kept"}).out, "OK\n");
    }
    const Service again("redis", here(), {data});
    EXPECT_EQ(until_ok({"sh", "-c", "redis-cli -h 127.0.0.1 get key | grep kept"}).out, "kept\n") << again.logs();
}

TEST_F(Confined, redis) {
    Given given = given_by_service();
    given.set = {data_of(folder(), "redis")};
    EXPECT_EQ(shortcomings("redis", given), "");
}

Ended sql(const std::string& words) {
    return until_ok({"psql", "-h", "127.0.0.1", "-U", "postgres", "-qtA", "-v", "ON_ERROR_STOP=1", "-c", words});
}

TEST_F(Works, postgresql_takes_a_table_and_keeps_it) {
    const std::string data = data_of(folder(), "postgres");
    {
        const Service server("postgresql", here(), {data});
        const Ended made = sql("create table if not exists t(a int); delete from t; insert into t values (40), (2);");
        EXPECT_TRUE(made.ok()) << made << server.logs();
    }
    const Service again("postgresql", here(), {data});
    EXPECT_EQ(sql("select sum(a) from t").out, "42\n") << again.logs();
}

TEST_F(Confined, postgresql) {
    Given given = given_by_service();
    given.set = {data_of(folder(), "postgres")};
    EXPECT_EQ(shortcomings("postgresql", given), "");
}

TEST_F(Works, memcached_keeps_a_value) {
    const Service server("memcached", here());
    const Ended kept =
        until_ok({"sh", "-c", "printf 'set k 0 60 4\\r\\nkept\\r\\nget k\\r\\nquit\\r\\n' | nc -w 5 127.0.0.1 11211 | grep kept"});
    EXPECT_EQ(kept.out, "kept\r\n") << kept << server.logs();
}

TEST_F(Confined, memcached) { EXPECT_EQ(shortcomings("memcached", given_by_service()), ""); }

TEST_F(Works, lighttpd_serves_a_page) {
    folder().write("site/index.html", "the page\n");
    const Service server("lighttpd", here(), {"SITE=" + (folder() / "site")});
    EXPECT_EQ(until_ok({"curl", "-sf", "http://127.0.0.1:8081/"}).out, "the page\n") << server.logs();
    EXPECT_EQ(run({"curl", "-sf", "--path-as-is", "http://127.0.0.1:8081/../../../etc/passwd"}).out, "");
}

TEST_F(Confined, lighttpd) { EXPECT_EQ(shortcomings("lighttpd", given_by_service()), ""); }

TEST_F(Works, dnsmasq_answers_from_its_file) {
    folder().write("names", "192.0.2.55 printer.lab\n");
    const Service server("dnsmasq", here(), {"HOSTS=" + (folder() / "names")});
    const Words dig{"dig", "+short", "+tries=1", "+time=2", "-p", "5353", "@127.0.0.1"};
    Words name = dig;
    name.emplace_back("printer.lab");
    EXPECT_EQ(until_ok(name).out, "192.0.2.55\n") << server.logs();
    name.emplace_back("+tcp");
    EXPECT_EQ(until_ok(name).out, "192.0.2.55\n") << server.logs();
}

TEST_F(Confined, dnsmasq) { EXPECT_EQ(shortcomings("dnsmasq", given_by_service()), ""); }

TEST_F(Works, mosquitto_passes_a_message_on) {
    const Service server("mosquitto", here());
    const Ended sent = until_ok({"mosquitto_pub", "-h", "127.0.0.1", "-t", "room", "-m", "warm", "-r"});
    EXPECT_TRUE(sent.ok()) << sent << server.logs();
    EXPECT_EQ(run({"mosquitto_sub", "-h", "127.0.0.1", "-t", "room", "-C", "1", "-W", "5"}).out, "warm\n");
}

TEST_F(Confined, mosquitto) { EXPECT_EQ(shortcomings("mosquitto", given_by_service()), ""); }

TEST_F(Works, haproxy_balances_between_its_servers) {
    folder().write("one/page", "the first\n");
    folder().write("two/page", "the second\n");
    std::vector<Process> servers;
    {
        const InNetwork in(outside);
        for (const auto& [name, number] : {std::pair{"one", "8001"}, std::pair{"two", "8002"}}) {
            servers.push_back(Process::start({"python3", "-u", "-m", "http.server", "--directory", folder() / name, number}, here()));
            ASSERT_TRUE(servers.back().expect("Serving HTTP on")) << servers.back().err();
        }
    }
    const Service proxy("haproxy", here(), {cat("BACKEND1=", outside_address, ":8001"), cat("BACKEND2=", outside_address, ":8002")});
    const Words fetch{"curl", "-sf", "http://127.0.0.1:8082/page"};
    std::set<std::string> pages{until_ok(fetch).out};
    for (int i = 0; i < 3; ++i) pages.insert(run(fetch).out);
    EXPECT_THAT(pages, testing::ElementsAre("the first\n", "the second\n")) << proxy.logs();
    for (Process& server : servers) {
        server.signal(SIGTERM);
        static_cast<void>(server.wait());
    }
}

TEST_F(Confined, haproxy) { EXPECT_EQ(shortcomings("haproxy", given_by_service()), ""); }

TEST_F(Works, rsyncd_gives_a_file_and_takes_none) {
    folder().write("share/file", "the file\n");
    const Service server("rsyncd", here(), {"SHARE=" + (folder() / "share")});
    const Ended got = until_ok({"rsync", "--quiet", "rsync://127.0.0.1:8730/share/file", folder() / "copy"});
    EXPECT_TRUE(got.ok()) << got << server.logs();
    EXPECT_EQ(read_text(folder() / "copy"), "the file\n");
    const Ended refused = run({"rsync", "--quiet", folder() / "copy", "rsync://127.0.0.1:8730/share/other"});
    EXPECT_THAT(refused.err, HasSubstr("read only")) << refused;
}

TEST_F(Confined, rsyncd) { EXPECT_EQ(shortcomings("rsyncd", given_by_service()), ""); }

TEST_F(Works, sshd_lets_a_key_in_and_a_wrong_one_not) {
    ASSERT_TRUE(run({"install", "-d", "-m", "0700", "-o", "tester", "-g", "tester", folder() / "hostkeys"}).ok());
    for (const char* key : {"key", "other"}) ASSERT_TRUE(run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder() / key}).ok());
    const Service server("sshd", here(), {"ACCOUNT=tester", "KEYS=" + (folder() / "key.pub"), "HOSTKEYS=" + (folder() / "hostkeys")});
    const auto ssh = [&](const char* key) {
        return Words{"ssh",
                     "-p",
                     "2222",
                     "-o",
                     "BatchMode=yes",
                     "-o",
                     "StrictHostKeyChecking=no",
                     "-o",
                     "UserKnownHostsFile=/dev/null",
                     "-o",
                     "IdentitiesOnly=yes",
                     "-i",
                     folder() / key,
                     "tester@127.0.0.1",
                     "id -u; hostname; cat /root/secret"};
    };
    until_ok({"nc", "-z", "127.0.0.1", "2222"});
    const Ended in = until_ok({"sh", "-c", cat("ssh-keyscan -p 2222 127.0.0.1 2>/dev/null | grep ed25519")});
    ASSERT_TRUE(in.ok()) << in << server.logs();
    const Ended ended = run(ssh("key"));
    EXPECT_THAT(ended.out, HasSubstr("1000\nsshd\n")) << ended << server.logs();
    EXPECT_THAT(ended.out, testing::Not(HasSubstr("secret of")));
    const Ended refused = run(ssh("other"));
    EXPECT_EQ(refused.code, 255);
    EXPECT_THAT(refused.err, HasSubstr("Permission denied")) << refused;
}

TEST_F(Confined, sshd) {
    ASSERT_TRUE(run({"install", "-d", "-m", "0700", "-o", "tester", "-g", "tester", folder() / "hostkeys"}).ok());
    folder().write("key.pub", "");
    Given given = given_by_service();
    given.set = {"ACCOUNT=tester", "KEYS=" + (folder() / "key.pub"), "HOSTKEYS=" + (folder() / "hostkeys")};
    EXPECT_EQ(shortcomings("sshd", given), "");
}

TEST_F(Works, samba_gives_a_file_and_takes_none) {
    folder().write("share/file", "the file\n");
    const Service server("samba", here(), {"SHARE=" + (folder() / "share")});
    const Words client{"smbclient", "-N", "-p", "4450", "//127.0.0.1/share", "-c"};
    Words get = client, put = client, list = client;
    list.emplace_back("ls");
    get.push_back(cat("get file ", folder() / "copy"));
    const Ended got = until_ok(get);
    EXPECT_TRUE(got.ok()) << got << server.logs();
    EXPECT_EQ(read_text(folder() / "copy"), "the file\n");
    EXPECT_THAT(run(list).out, HasSubstr("file"));
    put.push_back(cat("put ", folder() / "copy", " other"));
    EXPECT_FALSE(run(put).ok());
    EXPECT_FALSE(exists(folder() / "share/other"));
}

TEST_F(Confined, samba) {
    Given given = given_by_service();
    given.capabilities = {"SETGID", "SETUID", "DAC_OVERRIDE"};
    EXPECT_EQ(shortcomings("samba", given), "");
}

TEST_F(Works, unbound_asks_its_server) {
    folder().write("names", "192.0.2.56 scanner.lab\n");
    std::optional<Process> server;
    {
        const InNetwork in(outside);
        server.emplace(Process::start({"dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root",
                                       "--pid-file=", cat("--addn-hosts=", folder() / "names")},
                                      here()));
    }
    const Service resolver("unbound", here(), {cat("FORWARD=", outside_address)});
    const Ended answer = until_ok({"sh", "-c", "dig +short +tries=1 +time=2 -p 5335 @127.0.0.1 scanner.lab | grep 192"});
    EXPECT_EQ(answer.out, "192.0.2.56\n") << answer << resolver.logs();
    server->signal(SIGTERM);
    static_cast<void>(server->wait());
}

TEST_F(Confined, unbound) { EXPECT_EQ(shortcomings("unbound", given_by_service()), ""); }

}  // namespace
