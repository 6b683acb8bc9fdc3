// Names in a sandbox: resolv.conf, hosts and hostname, where the root is what it is.
#include <sys/mount.h>

#include "network_world.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class NetworkNames : public NetworkWorld {
   protected:
    void TearDown() override {
        NetworkWorld::TearDown();
        if (covered_) umount2("/etc/resolv.conf", MNT_DETACH);
    }
    // The host's name servers, in the mount namespace of the tests.
    void set_resolver(std::string_view text) {
        const std::string file = place_.write("resolv.conf", text);
        if (mount(file.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0)
            throw std::runtime_error("cannot cover /etc/resolv.conf");
        covered_ = true;
    }
    // The text of the files, by their paths.
    static Json names_in(const Box& box, const std::string& probe = "/sandbox-probe") {
        Json out;
        const Json seen = last_json(exec(box, {probe, "read:/etc/resolv.conf", "read:/etc/hosts", "read:/etc/hostname"}));
        for (const auto& [verb, answer] : seen.items()) out[verb.substr(5)] = answer.value("text", answer.dump());
        return out;
    }
    bool covered_ = false;
};

#define NEEDS_A_RESOLVER_OF_ITS_OWN() \
    REQUIRE_OR_SKIP(on_private_host() && exists("/etc/resolv.conf"), "covers /etc/resolv.conf in a mount namespace of its own")

TEST_F(NetworkNames, are_those_of_the_host_and_of_the_sandbox) {
    NEEDS_A_RESOLVER_OF_ITS_OWN();
    set_resolver("# comment\nsearch example.org corp.example\nnameserver 192.0.2.2\nnameserver 2001:db8:1::2\noptions ndots:2 timeout:1\n");
    const Box box = up("web", "bridge: {subnet6: \"fd00:88::/64\"}", "hostname: front\n");
    EXPECT_EQ(file_in(box, "/etc/resolv.conf"),
              "nameserver 192.0.2.2\nnameserver 2001:db8:1::2\nsearch example.org corp.example\noptions ndots:2 timeout:1\n");
    EXPECT_EQ(file_in(box, "/etc/hostname"), "front\n");
    const std::string hosts = file_in(box, "/etc/hosts");
    EXPECT_THAT(hosts,
                AllOf(HasSubstr("127.0.0.1\tlocalhost\n"), HasSubstr("10.88.0.2\tfront web\n"), HasSubstr("fd00:88::2\tfront web\n")));
    // They are the sandbox's to read, not to write.
    EXPECT_FALSE(exec(box, {"/bin/sh", "-c", "echo x >> /etc/hosts"}).ok());
    EXPECT_FALSE(exec(box, {"/bin/sh", "-c", "echo x > /etc/resolv.conf"}).ok());
}

TEST_F(NetworkNames, a_server_that_answers_the_host_alone_is_replaced) {
    NEEDS_A_RESOLVER_OF_ITS_OWN();
    set_resolver("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch stub.example\n");
    std::filesystem::create_directories("/run/systemd/resolve");
    write_text("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.2\nsearch real.example\n");
    Box box = up("web");
    EXPECT_THAT(file_in(box, "/etc/resolv.conf"), AllOf(HasSubstr("nameserver 192.0.2.2\n"), Not(HasSubstr("127.0.0.53"))));
    down(box);
    std::filesystem::remove_all("/run/systemd");
    const Ended warned = try_up("alone", "");
    EXPECT_EQ(warned.code, 0) << warned;
    EXPECT_THAT(warned.err, AllOf(HasSubstr("warning[E0573]"), HasSubstr("127.0.0.53")));
    EXPECT_THAT(file_in(look("alone"), "/etc/resolv.conf"), Not(HasSubstr("nameserver 127.0.0.53")));
}

TEST_F(NetworkNames, are_those_of_the_profile) {
    const Box box = up("web",
                       "dns: {servers: [192.0.2.53, \"2001:db8::53\"], search: [inside.example], options: [\"ndots:3\"]}, "
                       "hosts: {db: 10.88.0.77, six: \"fd00::7\"}");
    EXPECT_EQ(file_in(box, "/etc/resolv.conf"), "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch inside.example\noptions ndots:3\n");
    EXPECT_THAT(file_in(box, "/etc/hosts"), AllOf(HasSubstr("10.88.0.77\tdb\n"), HasSubstr("fd00::7\tsix\n")));
}

TEST_F(NetworkNames, neighbours_appear_and_vanish) {
    Box first = up("first", "hosts: {db: 10.88.0.77}"), second = up("second");
    const std::string lonely = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.88.0.2\tfirst\n10.88.0.77\tdb\n";
    EXPECT_THAT(file_in(first, "/etc/hosts"), AllOf(::testing::StartsWith(lonely), HasSubstr("10.88.0.3\tsecond\n")));
    EXPECT_THAT(file_in(second, "/etc/hosts"), HasSubstr("10.88.0.2\tfirst\n"));
    const Box third = up("third");
    EXPECT_THAT(file_in(first, "/etc/hosts"), HasSubstr("10.88.0.4\tthird\n"));
    EXPECT_THAT(file_in(third, "/etc/hosts"), AllOf(HasSubstr("10.88.0.2\tfirst\n"), HasSubstr("10.88.0.3\tsecond\n")));
    down(second);
    EXPECT_THAT(file_in(first, "/etc/hosts"), AllOf(Not(HasSubstr("second")), HasSubstr("third")));
    Box killed = look("third");
    kill_supervisor(killed);
    EXPECT_TRUE(sandbox_command({"gc"}).ok());
    EXPECT_EQ(file_in(first, "/etc/hosts"), lonely);
}

TEST_F(NetworkNames, are_answered_by_a_server_outside) {
    NEEDS_A_RESOLVER_OF_ITS_OWN();
    REQUIRE_OR_SKIP(command_exists("dnsmasq"), "needs dnsmasq of dnsmasq-base");
    const Fd& other = neighbour();
    set_resolver("nameserver 192.0.2.2\n");
    std::optional<Process> server;
    {
        const InNetwork there(other);
        server.emplace(
            Process::start({"dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--group=root",
                            "--pid-file=", "--listen-address=192.0.2.2", "--bind-interfaces", "--address=/name.example/192.0.2.99"}));
    }
    ASSERT_TRUE(server->expect_error("started")) << server->err();
    const Box box = up("web");
    EXPECT_THAT(exec(box, {"/bin/nslookup", "name.example"}).out, HasSubstr("192.0.2.99"));
    // Names of files come first.
    const Box second = up("second", "", "hostname: name.example\n");
    EXPECT_THAT(exec(box, {"/bin/ping", "-c", "1", "-W", "2", "second"}).out, HasSubstr("10.88.0.3"));
}

// ---- roots

struct Root {
    const char* name;
    const char* yaml;  // @TREE@: a tree of the test's
};
std::ostream& operator<<(std::ostream& stream, const Root& root) { return stream << root.name; }

class NetworkNamesIn : public NetworkNames, public ::testing::WithParamInterface<Root> {
   protected:
    std::string root(const std::string& tree) const {
        std::string text = cat("rootfs: ", GetParam().yaml, "\n");
        for (auto at = text.find("@TREE@"); at != text.npos; at = text.find("@TREE@", at)) text.replace(at, 6, tree);
        return text;
    }
    // A tree with the probe, a shell and /etc.
    std::string tree() {
        const std::string path = place_ / "tree";
        std::filesystem::copy(busybox_tree(), path,
                              std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
        return path;
    }
    void expect_names(const std::string& rest) {
        const Box box = up("web", "dns: {servers: [192.0.2.53]}, hosts: {db: 10.88.0.77}", rest);
        const Json seen = names_in(box);
        EXPECT_EQ(seen["/etc/resolv.conf"], "nameserver 192.0.2.53\n") << seen;
        EXPECT_THAT(seen["/etc/hosts"].get<std::string>(), HasSubstr("db")) << seen;
        EXPECT_EQ(seen["/etc/hostname"], "web\n") << seen;
    }
};
INSTANTIATE_TEST_SUITE_P(All, NetworkNamesIn,
                         ::testing::Values(Root{"path", "{path: @TREE@, readonly: true}"}, Root{"writable", "{path: @TREE@}"},
                                           Root{"overlay", "{overlay: {lower: [@TREE@]}}"}),
                         [](const auto& one) { return one.param.name; });

TEST_P(NetworkNamesIn, a_tree_without_the_files) {
    const std::string path = tree();
    for (const char* name : {"resolv.conf", "hosts", "hostname"}) std::filesystem::remove(cat(path, "/etc/", name));
    expect_names(root(path));
}

TEST_P(NetworkNamesIn, a_tree_with_files) {
    const std::string path = tree();
    for (const char* name : {"resolv.conf", "hosts", "hostname"}) write_text(cat(path, "/etc/", name), "of the image\n");
    expect_names(root(path));
    EXPECT_EQ(read_text(path + "/etc/hosts"), "of the image\n");
}

// As systemd-resolved has it: a link to what is there only when it runs.
TEST_P(NetworkNamesIn, a_tree_whose_file_is_a_dangling_link) {
    const std::string path = tree();
    for (const char* target : {"../run/systemd/resolve/stub-resolv.conf", "/run/resolvconf/resolv.conf"}) {
        std::filesystem::remove(path + "/etc/resolv.conf");
        std::filesystem::create_symlink(target, path + "/etc/resolv.conf");
        expect_names(root(path));
        sandbox_command({"down", "--all"});
        // Outside of what the sandbox writes to the tree stays as it was.
        if (GetParam().name != std::string("writable")) {
            EXPECT_EQ(std::filesystem::read_symlink(path + "/etc/resolv.conf"), target);
        }
    }
}

TEST_F(NetworkNames, are_in_an_empty_root) {
    const Box box = up("web", "dns: {servers: [192.0.2.53]}",
                       cat("rootfs: {tmpfs: {size: 16Mi}}\n", "files: {/sandbox-probe: {source: ", probe_binary(), ", perm: \"0755\"}}\n"));
    const Json seen = names_in(box);
    EXPECT_EQ(seen["/etc/resolv.conf"], "nameserver 192.0.2.53\n") << seen;
    EXPECT_EQ(seen["/etc/hostname"], "web\n") << seen;
}

TEST_F(NetworkNames, are_in_the_hosts_root) {
    NEEDS_A_RESOLVER_OF_ITS_OWN();
    const std::string hosts = read_text("/etc/hosts");
    const Box box = up("web", "dns: {servers: [192.0.2.53]}",
                       cat("rootfs: {host: ro}\nprocess: {command: [", probe_binary(), ", \"wait-signal:TERM\"]}\n"));
    const Json seen = names_in(box, probe_binary());
    EXPECT_EQ(seen["/etc/resolv.conf"], "nameserver 192.0.2.53\n") << seen;
    EXPECT_THAT(seen["/etc/hosts"].get<std::string>(), HasSubstr("10.88.0.2")) << seen;
    EXPECT_EQ(read_text("/etc/hosts"), hosts) << "the host's is its own";
}

// As hosts with systemd-resolved have it, and such that it has stopped: /run is the sandbox's own in any case.
TEST_F(NetworkNames, are_in_the_hosts_root_whose_file_is_a_link) {
    REQUIRE_OR_SKIP(on_private_host(), "covers /etc in a mount namespace of its own");
    place_.make("etc/upper");
    if (mount("tmpfs", (place_ / "etc").c_str(), "tmpfs", 0, nullptr) != 0) throw std::runtime_error("cannot mount a tmpfs");
    place_.make("etc/work");
    place_.link("etc/upper/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
    const std::string options = cat("lowerdir=/etc,upperdir=", place_ / "etc/upper", ",workdir=", place_ / "etc/work");
    const bool covered = mount("overlay", "/etc", "overlay", 0, options.c_str()) == 0;
    EXPECT_TRUE(covered) << strerror(errno);
    for (const bool dangling : {true, false}) {
        if (!dangling) {
            std::filesystem::create_directories("/run/systemd/resolve");
            write_text("/run/systemd/resolve/stub-resolv.conf", "nameserver 127.0.0.53\n");
        }
        Box box = up("web", "dns: {servers: [192.0.2.53]}",
                     cat("rootfs: {host: ro}\nprocess: {command: [", probe_binary(), ", \"wait-signal:TERM\"]}\n"));
        EXPECT_EQ(names_in(box, probe_binary())["/etc/resolv.conf"], "nameserver 192.0.2.53\n") << dangling;
        down(box);
        EXPECT_EQ(changed_since(*before_), "");
    }
    std::filesystem::remove_all("/run/systemd");
    if (covered) umount2("/etc", MNT_DETACH);
    umount2((place_ / "etc").c_str(), MNT_DETACH);
    before_.reset();
}

TEST_F(NetworkNames, the_profiles_own_files_win) {
    const std::string mine = place_.write("mine", "10.0.0.9 mounted\n");
    const Box box = up("web", "",
                       cat("files: {/etc/hosts: {content: \"10.0.0.8 written\\n\"}}\n", "mounts: [{type: bind, source: ", mine,
                           ", target: /etc/resolv.conf, mode: ro}]\n"));
    const Json seen = names_in(box);
    EXPECT_EQ(seen["/etc/hosts"], "10.0.0.8 written\n");
    EXPECT_EQ(seen["/etc/resolv.conf"], "10.0.0.9 mounted\n");
    EXPECT_EQ(seen["/etc/hostname"], "web\n");
}

}  // namespace
