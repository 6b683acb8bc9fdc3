// Undo records of networks: what is the sandbox's goes, what is somebody else's stays, whatever a damaged record says.
#include <gmock/gmock.h>
#include <linux/neighbour.h>
#include <sched.h>

#include "exec/effects.h"
#include "exec/shared_network.h"
#include "host/netlink_dump.h"
#include "kernel/netlink.h"
#include "state/address_pool.h"
#include "state/shared_file.h"
#include "state_testing.h"

namespace sandbox {
namespace {

using sandbox::testing::exists;
using sandbox::testing::TemporaryFolder;
using sandbox::testing::write_file;

std::string here() { return std::to_string(own_network()); }

Status undo(const char* kind, Fields fields, bool done = true) { return run_undo({1, "net", {kind, std::move(fields)}, done, false, {}}); }

// As a first user has left it that is dead.
void leave_notes(const TemporaryFolder& root, const std::string& name, const Fields& notes) {
    auto file = SharedFile::open(root.fd(), name);
    ASSERT_TRUE(file);
    auto held = file->hold();
    ASSERT_TRUE(held);
    ASSERT_TRUE(AddressPool(*file).set_notes(notes));
}

std::string text_of(const std::string& path) {
    char text[64] = "";
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return file && read(file.get(), text, sizeof text - 1) >= 0 ? text : "?";
}

TEST(UndoOfANetwork, RefusesADamagedRecordOfABridge) {
    const TemporaryFolder root;
    for (const char* bridge : {"", "a/b", "/", "../x"})
        EXPECT_FALSE(undo("leave-bridge", {{"root", root.path()}, {"network", here()}, {"bridge", bridge}})) << bridge;
    for (const std::string& path : {std::string(), std::string("."), std::string("run/sandbox"), root.path() + "/..", root.path() + "/"}) {
        EXPECT_FALSE(undo("leave-bridge", {{"root", path}, {"network", here()}, {"bridge", "none0"}})) << path;
        EXPECT_FALSE(undo("leave-forwarding", {{"root", path}, {"network", here()}, {"family", "v4"}})) << path;
    }
    EXPECT_TRUE(undo("leave-bridge", {{"root", root.path("gone")}, {"network", here()}, {"bridge", "none0"}}));
}

// What others can write to is not the state directory.
TEST(UndoOfANetwork, ReadsNoNotesThatOthersMayHaveWritten) {
    const TemporaryFolder root;
    leave_notes(root, bridge_file_name("none0"), {{"bridge", "none0"}});
    ASSERT_EQ(chmod(root.path().c_str(), 0777), 0);
    EXPECT_FALSE(undo("leave-bridge", {{"root", root.path()}, {"network", here()}, {"bridge", "none0"}}));
    EXPECT_TRUE(exists(root.path(bridge_file_name("none0"))));
}

TEST(UndoOfANetwork, LeavesWhatIsOfAnotherNetworkNamespace) {
    const TemporaryFolder root;
    leave_notes(root, bridge_file_name("none0"), {{"bridge", "none0"}});
    for (const char* network : {"", "0", "-1", "x", "1", "99999999999999999999"}) {
        EXPECT_TRUE(undo("leave-bridge", {{"root", root.path()}, {"network", network}, {"bridge", "none0"}})) << network;
        EXPECT_TRUE(undo("leave-forwarding", {{"root", root.path()}, {"network", network}, {"family", "v4"}})) << network;
        EXPECT_TRUE(undo("remove-link", {{"root", root.path()}, {"network", network}, {"name", "lo"}, {"alias", ""}})) << network;
        EXPECT_TRUE(undo("remove-table", {{"network", network}, {"table", "x"}})) << network;
    }
    EXPECT_TRUE(exists(root.path(bridge_file_name("none0"))));
    EXPECT_TRUE(undo("leave-bridge", {{"root", root.path()}, {"network", here()}, {"bridge", "none0"}}));
    EXPECT_FALSE(exists(root.path(bridge_file_name("none0"))));
}

TEST(UndoOfANetwork, WritesToSettingsOfTheNetworkAlone) {
    const TemporaryFolder root, place;
    write_file(place.path("victim"), "1");
    const std::string victim = place.path("victim").substr(1);
    leave_notes(root, forwarding_file_name(false),
                {{"setting:../../" + victim, "0 1"},
                 {"setting:net/ipv4/../../../../" + victim, "0 1"},
                 {"setting:kernel/hostname", "0 1"},
                 {"setting:net/ipv4/no-such-setting", "0 1"},
                 {"setting:", ""},
                 {"kept:../../" + victim, "0"},
                 {"kept:net/ipv4/conf/../../../../../" + victim, "0"}});
    EXPECT_TRUE(undo("leave-forwarding", {{"root", root.path()}, {"network", here()}, {"family", "v4"}}));
    EXPECT_EQ(text_of(place.path("victim")), "1");
    EXPECT_FALSE(exists(root.path(forwarding_file_name(false))));
}

TEST(UndoOfANetwork, StaysAsLongAsAnotherUsesIt) {
    const TemporaryFolder root;
    leave_notes(root, bridge_file_name("none0"), {{"bridge", "none0"}});
    auto other = SharedFile::open(root.fd(), bridge_file_name("none0"));
    ASSERT_TRUE(other && other->join());
    EXPECT_TRUE(undo("leave-bridge", {{"root", root.path()}, {"network", here()}, {"bridge", "none0"}}));
    EXPECT_TRUE(exists(root.path(bridge_file_name("none0"))));
    other->leave();
    EXPECT_TRUE(undo("leave-bridge", {{"root", root.path()}, {"network", here()}, {"bridge", "none0"}}));
    EXPECT_FALSE(exists(root.path(bridge_file_name("none0"))));
}

TEST(UndoOfANetwork, KnowsTheNetworkOfASharedFileByItsName) {
    EXPECT_EQ(network_of(bridge_file_name("br.10")), own_network());
    EXPECT_EQ(network_of(forwarding_file_name(true)), own_network());
    for (const char* name : {"", ".", ".net", ".net.", ".net.x.b", ".net.-4.b", ".net..b"}) EXPECT_EQ(network_of(name), 0U) << name;
}

// ---- with links, in a network namespace of the test's own

class UndoOfLinks : public ::testing::Test {
   protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "making links needs root";
        before_.reset(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        ASSERT_EQ(unshare(CLONE_NEWNET), 0);
        inside_.reset(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        host_.emplace(Netlink::open().value());
    }
    void TearDown() override {
        if (before_) {
            ASSERT_EQ(setns(before_.get(), CLONE_NEWNET), 0);
        }
    }

    void make_veth(const std::string& name, const std::string& alias) {
        VethRequest request;
        request.host_name = name;
        request.alias = alias;
        request.peer_namespace = inside_.get();
        request.peer_name = name + "p";
        request.peer_mac = {2, 0, 0, 0, 0, 1};
        auto made = host_->make_veth(request);
        ASSERT_TRUE(made) << made.error().message;
    }
    bool is_up(const std::string& name) {
        auto link = host_->find(name);
        return link && *link && (*link)->up;
    }
    bool is_there(const std::string& name) {
        auto link = host_->find(name);
        return link && *link;
    }
    Status undo_link(const std::string& name, const std::string& alias) {
        return undo("remove-link", {{"network", here()}, {"name", name}, {"alias", alias}});
    }

    TemporaryFolder root_;
    Fd before_, inside_;
    std::optional<Netlink> host_;
};

TEST_F(UndoOfLinks, SwitchesItsOwnOff) {
    make_veth("sb0123abcd", "sandbox web 0123abcd");
    ASSERT_TRUE(is_up("sb0123abcd"));
    EXPECT_TRUE(undo_link("sb0123abcd", "sandbox web 0123abcd"));
    EXPECT_FALSE(is_up("sb0123abcd"));
    EXPECT_TRUE(undo_link("sb0123abcd", "sandbox web 0123abcd"));
    EXPECT_TRUE(undo_link("sb99999999", "sandbox web 99999999"));
}

TEST_F(UndoOfLinks, KnowsItsOwnByNameAliasAndKind) {
    make_veth("eth7", "");
    make_veth("sb0123abcd", "of somebody else");
    ASSERT_TRUE(host_->make_bridge({"sb11111111", "sandbox web 11111111", {2, 0, 0, 0, 0, 2}, {}, {}}));
    const std::pair<const char*, const char*> records[] = {
        {"eth7", "sandbox web 0123abcd"},       {"eth7", ""},       {"eth7", "eth7"},
        {"sb0123abcd", "sandbox web 0123abcd"}, {"sb0123abcd", ""}, {"sb0123abcd", "of somebody else"},
        {"sb11111111", "sandbox web 11111111"}, {"", ""},           {"lo", "sandbox web lo"}};
    for (const auto& [name, alias] : records) {
        static_cast<void>(undo_link(name, alias));
        EXPECT_TRUE(is_up("eth7") && is_up("sb0123abcd") && is_up("sb11111111")) << name << " " << alias;
    }
}

// A launcher that was killed before it gave the alias.
TEST_F(UndoOfLinks, SwitchesItsOwnOffBeforeItHasItsAlias) {
    make_veth("sb0123abcd", "");
    EXPECT_TRUE(undo_link("sb0123abcd", "sandbox web 0123abcd"));
    EXPECT_FALSE(is_up("sb0123abcd"));
}

std::size_t proxies() {
    std::size_t count = 0;
    NetlinkQuestion kernel(NETLINK_ROUTE);
    ndmsg ask{};
    ask.ndm_flags = NTF_PROXY;
    const std::string_view body(reinterpret_cast<const char*>(&ask), sizeof ask);
    static_cast<void>(kernel.ask(RTM_GETNEIGH, NLM_F_DUMP, body, RTM_NEWNEIGH, [&](std::string_view) { ++count; }));
    return count;
}

TEST_F(UndoOfLinks, AnswersOnForAnAddressThatAnotherHasNow) {
    const IpAddress ours = parse_ip("10.9.8.2").value(), others = parse_ip("10.9.8.3").value(), six = parse_ip("fd00:9::2").value();
    const auto bridge = host_->make_bridge({"br9", "", {2, 0, 0, 0, 0, 3}, {}, {}});
    ASSERT_TRUE(bridge);
    VethRequest request;
    request.host_name = "sb0123abcd";
    request.peer_namespace = inside_.get();
    request.peer_name = "peer";
    request.peer_mac = {2, 0, 0, 0, 0, 1};
    request.routes = {ours, others, six};
    request.proxy_on = *bridge;
    ASSERT_TRUE(host_->make_veth(request));
    ASSERT_EQ(proxies(), 3U);
    Fields record{{"network", here()},    {"name", "sb0123abcd"}, {"alias", "sandbox web 0123abcd"},
                  {"root", root_.path()}, {"proxy", "br9"},       {"addresses", "10.9.8.2 10.9.8.3 fd00:9::2 nonsense"}};
    {
        auto file = SharedFile::open(root_.fd(), bridge_file_name("br9"));
        ASSERT_TRUE(file);
        auto held = file->hold();
        ASSERT_TRUE(held && file->join());
        ASSERT_TRUE(AddressPool(*file).lease(parse_ip_network("10.9.8.0/24").value(), {false, others}));
        held->release();
        EXPECT_TRUE(undo("remove-link", record));
        EXPECT_EQ(proxies(), 1U);
    }
    EXPECT_TRUE(undo("remove-link", record));
    EXPECT_EQ(proxies(), 0U);
    for (const char* name : {"", "../x", "lo", "gone0"}) {
        record[4].second = name;
        EXPECT_TRUE(undo("remove-link", record)) << name;
    }
}

TEST_F(UndoOfLinks, RemovesABridgeByItsAddress) {
    const MacAddress mac{2, 0x53, 1, 2, 3, 4};
    const Fields record{{"root", root_.path()}, {"network", here()}, {"bridge", "br9"}};
    ASSERT_TRUE(host_->make_bridge({"br9", "", mac, {}, {}}));
    for (const char* noted : {"", "02:53:01:02:03:05", "nonsense"}) {
        leave_notes(root_, bridge_file_name("br9"), {{"bridge", "br9"}, {"mac", noted}});
        EXPECT_TRUE(undo("leave-bridge", record)) << noted;
        EXPECT_TRUE(is_there("br9")) << noted;
        EXPECT_FALSE(exists(root_.path(bridge_file_name("br9"))));
    }
    leave_notes(root_, bridge_file_name("br9"), {{"bridge", "br9"}, {"mac", to_text(mac)}});
    EXPECT_TRUE(undo("leave-bridge", record));
    EXPECT_FALSE(is_there("br9"));
}

// Dead before its first look at the file: nothing is noted, and nothing may go.
TEST_F(UndoOfLinks, LeavesABridgeThatNobodyNoted) {
    ASSERT_TRUE(host_->make_bridge({"br9", "sandbox bridge 0123abcd", {2, 0, 0, 0, 0, 4}, {}, {}}));
    EXPECT_TRUE(undo("leave-bridge", {{"root", root_.path()}, {"network", here()}, {"bridge", "br9"}}, false));
    EXPECT_TRUE(is_there("br9"));
}

}  // namespace
}  // namespace sandbox
