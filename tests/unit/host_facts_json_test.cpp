#include <gmock/gmock.h>

#include "host/probe.h"

namespace sandbox {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

// Every member other than its default, so that one that is forgotten on the way shows.
HostFacts full_facts() {
    HostFacts facts;
    facts.release = "6.1.0-28-amd64";
    facts.major = 6;
    facts.minor = 1;
    facts.machine = "x86_64";
    facts.last_capability = 39;
    facts.uid = 1000;
    facts.gid = 1001;
    facts.user = "eve";
    facts.home = "/home/eve";
    facts.capabilities = 0x1ffffffffff;
    facts.bounding = 0xffffffffffffffff;
    facts.initial_user_namespace = false;
    facts.setgroups = false;
    facts.uid_map = {{0, 1000, 1}, {1, 100000, 65536}};
    facts.gid_map = {{0, 1001, 1}};
    facts.subuid = {{0, 100000, 65536}};
    facts.subgid = {{0, 200000, 4294967295}};
    facts.newuidmap = facts.newgidmap = true;
    facts.nofile_soft = 1024;
    facts.nofile_hard = 1048576;
    facts.namespaces = {{"mount", true}, {"time", false}};
    facts.max_user_namespaces = 96365;
    facts.userns_restricted = true;
    facts.userns_restriction = "kernel.unprivileged_userns_clone";
    facts.new_mount_api = false;
    facts.overlay = facts.overlay_layer_strings = facts.overlay_layer_fds = facts.tmpfs_idmap = facts.overlay_userns = true;
    facts.proc_mountable = facts.sysfs_mountable = false;
    facts.mounts = {{"/boot", "ext4", true}, {"/a \"b\"\n", "vfat", false}};
    facts.root_entries = {"bin", "usr"};
    facts.seccomp = false;
    facts.landlock_abi = 4;
    facts.lsm = {"capability", "apparmor"};
    facts.keyring = false;
    facts.controllers = {{"memory", CgroupVersion::v1}, {"hugetlb", CgroupVersion::v2}, {"net_cls", CgroupVersion::absent}};
    facts.cgroup_layout = "hybrid";
    facts.cgroups = {
        {CgroupVersion::v1, "/sys/fs/cgroup/memory", {"memory"}, {}, true, false, {"memory.stat"}, {}, {}, {}},
        {CgroupVersion::v2, "/sys/fs/cgroup/unified", {"cpuset"}, {"cpuset"}, false, true, {}, "0-3", "0", "/sys/fs/cgroup/unified/a"}};
    facts.systemd = facts.systemd_delegates = true;
    facts.processors = 4;
    facts.lxcfs = "/var/lib/lxcfs";
    facts.lxcfs_files = {"proc/meminfo"};
    facts.disks = {{"/srv", {8, 16, ""}}, {"/tmp", {0, 0, "is on tmpfs, which has no disk"}}};
    facts.legacy_tiocsti = true;
    facts.link_kinds = {{"veth", true}, {"ipvlan", false}};
    facts.interfaces = {{"eth0", "", true, 2, "", {{parse_ip("192.0.2.7").value(), 24}, {parse_ip("2001:db8::7").value(), 64}}},
                        {"br0", "bridge", false, 3, "sandbox web 0123", {}}};
    facts.network_known = facts.nftables = facts.ipv6 = facts.net_admin = true;
    facts.routes = {{{parse_ip("0.0.0.0").value(), 0}, "eth0"}};
    facts.nftables_error = 95;
    facts.busy_ports = {{parse_ip("127.0.0.1").value(), 8080, false, 98, "nginx (process 4711)"}};
    facts.resolver = {{parse_ip("192.0.2.1").value()}, {"example.org"}, {"ndots:2"}, "127.0.0.53", "/run/systemd/resolve/resolv.conf"};
    facts.sandboxes = {
        {"web", "bridge", true, 4711, 123456789, "sandbox0", {parse_ip("10.88.0.2").value()}, {{parse_ip("::").value(), 53, true}}}};
    facts.paths["/srv"] = {PathKind::directory, 0, "/data/srv", 2049, 1ULL << 63, 0, 0, 1, 2, 01755, "xfs", true, false};
    facts.paths["/dev/kvm"] = {PathKind::character, 0, "/dev/kvm", 5, 6, 10, 232, 0, 107, 0660, "tmpfs", false, true};
    facts.root_paths["/etc"] = {PathKind::absent, 40, "", 0, 0, 0, 0, 0, 0, 0, "", false, true};
    facts.passwd = "root:x:0:0::/root:/bin/sh\n";
    facts.group = "root:x:0:\n";
    return facts;
}

TEST(FactsJson, RoundTripKeepsEveryMember) {
    const std::string text = facts_to_json(full_facts());
    const auto again = facts_from_json(text);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(facts_to_json(*again), text);
    // Not only the same text twice, but the values.
    EXPECT_EQ(again->uid_map, full_facts().uid_map);
    EXPECT_EQ(again->bounding, 0xffffffffffffffffU);
    EXPECT_EQ(again->subgid, full_facts().subgid);
    EXPECT_EQ(again->controllers, full_facts().controllers);
    EXPECT_EQ(again->link_kinds, full_facts().link_kinds);
    EXPECT_EQ(again->interfaces.at(1).kind, "bridge");
    EXPECT_TRUE(again->interfaces.at(0).up);
    EXPECT_EQ(again->interfaces.at(0).addresses, full_facts().interfaces.at(0).addresses);
    EXPECT_EQ(again->resolver.servers, full_facts().resolver.servers);
    EXPECT_EQ(again->sandboxes.at(0).ports.at(0).address, full_facts().sandboxes.at(0).ports.at(0).address);
    EXPECT_EQ(again->paths.at("/srv").inode, 1ULL << 63);
    EXPECT_EQ(again->paths.at("/srv").kind, PathKind::directory);
    EXPECT_EQ(again->paths.at("/dev/kvm").rdev_minor, 232U);
    EXPECT_EQ(again->mounts.at(1).target, "/a \"b\"\n");
    EXPECT_FALSE(again->new_mount_api);
}

TEST(FactsJson, NoMemberIsLeftAtItsDefaultByTheTest) {
    const std::string text = facts_to_json(full_facts()), defaults = facts_to_json({});
    std::size_t same = 0;
    for (std::size_t at = 0; at < defaults.size();) {
        const std::size_t end = defaults.find('\n', at);
        const std::string line = defaults.substr(at, end - at + 1);
        // Of a member that has members these are looked at.
        const bool member = (line.starts_with("  \"") || line.starts_with("    \"")) && !line.ends_with("{\n");
        if (member && text.find("\n" + line) != std::string::npos) ++same;
        at = end == std::string::npos ? defaults.size() : end + 1;
    }
    EXPECT_EQ(same, 0U) << text;
}

TEST(FactsJson, MissingMembersKeepTheirDefaults) {
    const auto facts = facts_from_json(R"({"uid": 7, "paths": {"/x": {"kind": "file"}}})");
    ASSERT_TRUE(facts) << facts.error().message;
    EXPECT_EQ(facts->uid, 7U);
    EXPECT_EQ(facts->last_capability, 40);
    EXPECT_TRUE(facts->new_mount_api);
    EXPECT_EQ(facts->paths.at("/x").kind, PathKind::file);
    EXPECT_TRUE(facts->paths.at("/x").empty);
}

TEST(FactsJson, NamesWhichTextIsNoUtf8) {
    HostFacts facts;
    facts.root_entries = {"\xff"};
    const auto again = facts_from_json(facts_to_json(facts));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->root_entries.at(0), "\xEF\xBF\xBD");
}

struct Refusal {
    const char* text;
    const char* message;
};

class FactsJsonRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(FactsJsonRefuses, WithAMessageThatNamesThePlace) {
    const auto facts = facts_from_json(GetParam().text);
    ASSERT_FALSE(facts);
    EXPECT_THAT(facts.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    WrongTypes, FactsJsonRefuses,
    testing::Values(Refusal{R"({"resolver": {"servers": ["one"]}})", "resolver.servers[0]: address expected, not 'one'"},
                    Refusal{R"({"routes": [{"to": "10.0.0.0"}]})", "routes[0].to: network expected"}, Refusal{"", "not valid JSON"},
                    Refusal{"{", "not valid JSON"}, Refusal{"[]", "facts: map expected, not array"},
                    Refusal{R"({"uid": "0"})", "uid: whole number expected, not string"},
                    Refusal{R"({"uid": true})", "uid: whole number expected, not boolean"},
                    Refusal{R"({"uid": 1.5})", "uid: whole number expected, not a fraction"},
                    Refusal{R"({"uid": -1})", "uid: -1 is out of range"},
                    Refusal{R"({"uid": 4294967296})", "uid: 4294967296 is out of range"},
                    Refusal{R"({"major": 2147483648})", "major: 2147483648 is out of range"},
                    Refusal{R"({"release": 6})", "release: text expected, not number"},
                    Refusal{R"({"overlay": 1})", "overlay: true or false expected, not number"},
                    Refusal{R"({"lsm": "yama"})", "lsm: list expected, not string"},
                    Refusal{R"({"lsm": ["yama", 1]})", "lsm[1]: text expected"},
                    Refusal{R"({"namespaces": []})", "namespaces: map expected, not array"},
                    Refusal{R"({"controllers": {"cpu": "v3"}})", "controllers['cpu']: unknown word 'v3'"},
                    Refusal{R"({"uid_map": [{"inside": 0, "outside": null}]})", "uid_map[0].outside: whole number expected, not null"},
                    Refusal{R"({"paths": {"/x": {"kind": "door"}}})", "paths['/x'].kind: unknown word 'door'"},
                    Refusal{R"({"mounts": [{"target": "/", "idmapable": true}]})", "mounts[0].idmapable: no such fact"},
                    Refusal{R"({"link_kinds": {"veth": 1}})", "link_kinds['veth']: true or false expected"},
                    Refusal{R"({"interfaces": [{"name": "lo", "state": "up"}]})", "interfaces[0].state: no such fact"},
                    Refusal{R"({"relaese": ""})", "relaese: no such fact"}));

TEST(FactsJson, SuggestsTheMemberThatWasMeant) {
    const auto facts = facts_from_json(R"({"relaese": ""})");
    ASSERT_FALSE(facts);
    EXPECT_EQ(facts.error().hint, "did you mean 'release'?");
}

}  // namespace
}  // namespace sandbox
