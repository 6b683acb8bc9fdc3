// The findings of `sandbox doctor` on hosts that are made by hand.
#include <gmock/gmock.h>
#include <linux/capability.h>

#include <algorithm>
#include <cerrno>

#include "host/probe.h"

namespace sandbox {
namespace {

using State = Finding::State;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::uint64_t all_capabilities = 0x1ffffffffff;

// A host on which nothing is amiss, seen by root.
HostFacts good_host() {
    HostFacts facts;
    facts.release = "6.18.1";
    facts.major = 6;
    facts.minor = 18;
    facts.machine = "x86_64";
    facts.user = "root";
    facts.capabilities = facts.bounding = all_capabilities;
    facts.uid_map = facts.gid_map = {{0, 0, 4294967295U}};
    facts.nofile_hard = 524288;
    for (const char* type : {"mount", "pid", "ipc", "uts", "cgroup", "user", "time", "net"}) facts.namespaces[type] = true;
    facts.max_user_namespaces = 96365;
    facts.newuidmap = facts.newgidmap = true;
    facts.overlay = facts.overlay_layer_strings = facts.overlay_layer_fds = facts.tmpfs_idmap = facts.overlay_userns = true;
    facts.landlock_abi = 7;
    facts.lsm = {"capability", "apparmor"};
    facts.cgroup_layout = "v2";
    for (const char* name : {"memory", "cpu", "cpuset", "pids", "io", "devices", "freezer"}) facts.controllers[name] = CgroupVersion::v2;
    for (const char* kind : {"dummy", "veth", "bridge", "macvlan", "ipvlan"}) facts.link_kinds[kind] = true;
    facts.interfaces = {{"lo", "", true, 1, "", {}}, {"eth0", "", true, 2, "", {}}};
    facts.network_known = facts.nftables = facts.ipv6 = facts.net_admin = true;
    facts.resolver.servers = {parse_ip("192.0.2.1").value()};
    facts.resolver.source = "/etc/resolv.conf";
    facts.paths["/"].kind = PathKind::directory;
    facts.paths["/"].filesystem = "ext4";
    facts.paths["/"].idmappable = true;
    return facts;
}

HostFacts as_user(HostFacts facts) {
    facts.uid = facts.gid = 1000;
    facts.user = "eve";
    facts.capabilities = 0;
    facts.subuid = facts.subgid = {{0, 100000, 65536}};
    return facts;
}

Finding find(const HostFacts& facts, const std::string& what) {
    const auto findings = diagnose(facts);
    const auto found = std::find_if(findings.begin(), findings.end(), [&](const Finding& finding) { return finding.what == what; });
    if (found != findings.end()) return *found;
    ADD_FAILURE() << "no finding " << what;
    return {};
}

TEST(Diagnose, AGoodHostNeedsNoAdvice) {
    for (const Finding& finding : diagnose(good_host())) {
        EXPECT_EQ(finding.state, State::ok) << finding.what << ": " << finding.detail;
        EXPECT_THAT(finding.advice, IsEmpty()) << finding.what;
    }
}

TEST(Diagnose, WhatIsNotOkSaysWhatToDo) {
    for (const HostFacts& facts : {HostFacts{}, as_user(HostFacts{}), as_user(good_host())})
        for (const Finding& finding : diagnose(facts)) EXPECT_EQ(finding.advice.empty(), finding.state == State::ok) << finding.what;
}

TEST(Diagnose, NamesAreUnique) {
    std::vector<std::string> names;
    for (const Finding& finding : diagnose(HostFacts{})) names.push_back(finding.what);
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(Diagnose, SaysThatTheKernelIsShared) { EXPECT_THAT(find(good_host(), "shared kernel").detail, HasSubstr("every sandbox")); }

TEST(Diagnose, DebiansSwitch) {
    HostFacts facts = as_user(good_host());
    facts.userns_restricted = true;
    facts.userns_restriction = "kernel.unprivileged_userns_clone";
    const Finding finding = find(facts, "user namespaces");
    EXPECT_EQ(finding.state, State::missing);
    EXPECT_THAT(finding.detail, HasSubstr("kernel.unprivileged_userns_clone=0"));
    EXPECT_THAT(finding.advice, HasSubstr("sudo sysctl -w kernel.unprivileged_userns_clone=1"));
}

TEST(Diagnose, UbuntusSwitch) {
    HostFacts facts = as_user(good_host());
    facts.userns_restricted = true;
    facts.userns_restriction = "kernel.apparmor_restrict_unprivileged_userns";
    const Finding finding = find(facts, "user namespaces");
    EXPECT_EQ(finding.state, State::missing);
    EXPECT_THAT(finding.detail, HasSubstr("kernel.apparmor_restrict_unprivileged_userns=1"));
    EXPECT_THAT(finding.advice, HasSubstr("sudo apparmor_parser -r /etc/apparmor.d/sandbox"));
    EXPECT_THAT(finding.advice, HasSubstr("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"));
}

TEST(Diagnose, NoUserNamespacesForAnyone) {
    HostFacts facts = good_host();
    facts.max_user_namespaces = 0;
    const Finding finding = find(facts, "user namespaces");
    EXPECT_EQ(finding.state, State::missing);
    EXPECT_THAT(finding.advice, HasSubstr("sudo sysctl -w user.max_user_namespaces="));
}

TEST(Diagnose, AMissingNamespaceTypeSaysSinceWhen) {
    HostFacts facts = good_host();
    facts.namespaces["time"] = false;
    facts.namespaces.erase("cgroup");
    const Finding time = find(facts, "time namespace");
    EXPECT_EQ(time.state, State::missing);
    EXPECT_THAT(time.detail, HasSubstr("Linux 5.6"));
    EXPECT_THAT(time.advice, HasSubstr("namespaces.time: host"));
    EXPECT_THAT(find(facts, "cgroup namespace").detail, HasSubstr("Linux 4.6"));
    facts.namespaces["net"] = false;
    EXPECT_THAT(find(facts, "net namespace").advice, HasSubstr("network.mode: host"));
}

TEST(Diagnose, SubordinateIdsOfAUser) {
    HostFacts facts = as_user(good_host());
    EXPECT_EQ(find(facts, "subordinate ids").state, State::ok);
    facts.subgid.clear();
    EXPECT_THAT(find(facts, "subordinate ids").advice, HasSubstr("sudo usermod --add-subgids 100000-165535 eve"));
    facts.subuid.clear();
    const Finding neither = find(facts, "subordinate ids");
    EXPECT_EQ(neither.state, State::limited);
    EXPECT_THAT(neither.advice, HasSubstr("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 eve"));
    facts.user.clear();
    EXPECT_THAT(find(facts, "subordinate ids").advice, HasSubstr("echo '1000:100000:65536' | sudo tee -a /etc/subuid /etc/subgid"));
}

TEST(Diagnose, RootNeedsNoSubordinateIdsNorHelpers) {
    HostFacts facts = good_host();
    facts.newuidmap = facts.newgidmap = false;
    EXPECT_EQ(find(facts, "subordinate ids").state, State::ok);
    EXPECT_EQ(find(facts, "newuidmap and newgidmap").state, State::ok);
}

TEST(Diagnose, AMissingHelperNamesItsPackage) {
    HostFacts facts = as_user(good_host());
    facts.newgidmap = false;
    const Finding finding = find(facts, "newuidmap and newgidmap");
    EXPECT_EQ(finding.state, State::limited);
    EXPECT_THAT(finding.detail, HasSubstr("newgidmap is missing"));
    EXPECT_THAT(finding.advice, HasSubstr("apt install uidmap"));
}

TEST(Diagnose, RootWithoutSysResource) {
    HostFacts facts = good_host();
    facts.capabilities &= ~(1ULL << CAP_SYS_RESOURCE);
    Finding finding = find(facts, "capability CAP_SYS_RESOURCE");
    EXPECT_EQ(finding.state, State::limited);
    EXPECT_THAT(finding.detail, HasSubstr("hard limits cannot be raised"));
    EXPECT_THAT(finding.detail, HasSubstr("oom_score_adj cannot be lowered"));
    EXPECT_THAT(finding.advice, Not(HasSubstr("bounding set")));
    facts.bounding &= ~(1ULL << CAP_SYS_RESOURCE);
    EXPECT_THAT(find(facts, "capability CAP_SYS_RESOURCE").advice, HasSubstr("--cap-add SYS_RESOURCE"));
}

TEST(Diagnose, RootWithoutSysAdminIsNoAdministrator) {
    HostFacts facts = good_host();
    facts.capabilities &= ~(1ULL << CAP_SYS_ADMIN);
    EXPECT_EQ(find(facts, "capability CAP_SYS_ADMIN").state, State::limited);
    EXPECT_EQ(find(facts, "id-mapped mounts").state, State::limited);
}

TEST(Diagnose, AnOrdinaryUserIsNotToldOfEachCapability) {
    for (const Finding& finding : diagnose(as_user(good_host()))) EXPECT_FALSE(finding.what.starts_with("capability ")) << finding.what;
    EXPECT_THAT(find(as_user(good_host()), "caller").detail, HasSubstr("eve (uid 1000)"));
}

TEST(Diagnose, InsideAUserNamespace) {
    HostFacts facts = good_host();
    facts.initial_user_namespace = false;
    EXPECT_EQ(find(facts, "caller").state, State::limited);
    EXPECT_EQ(find(facts, "id-mapped mounts").state, State::limited);
}

TEST(Diagnose, OldKernelWithoutTheMountCalls) {
    HostFacts facts = good_host();
    facts.new_mount_api = false;
    EXPECT_EQ(find(facts, "mount calls").state, State::missing);
    EXPECT_THAT(find(facts, "mount calls").advice, HasSubstr("Linux 5.12"));
}

TEST(Diagnose, OverlayByWhatItsLayersCanBe) {
    HostFacts facts = good_host();
    EXPECT_THAT(find(facts, "overlay").detail, HasSubstr("500 layers"));
    facts.overlay_layer_fds = false;
    EXPECT_EQ(find(facts, "overlay").state, State::ok);
    EXPECT_THAT(find(facts, "overlay").detail, HasSubstr("by name"));
    facts.overlay_userns = false;
    EXPECT_THAT(find(facts, "overlay in user namespaces").advice, HasSubstr("Linux 5.11"));
    facts.overlay = false;
    EXPECT_EQ(find(facts, "overlay").state, State::missing);
    EXPECT_THAT(find(facts, "overlay").advice, HasSubstr("modprobe overlay"));
}

TEST(Diagnose, IdMappedMountsNameWhereTheyAreMissing) {
    HostFacts facts = good_host();
    facts.mounts = {{"/boot", "vfat", false}, {"/home", "ext4", true}};
    facts.tmpfs_idmap = false;
    const Finding finding = find(facts, "id-mapped mounts");
    EXPECT_EQ(finding.state, State::limited);
    EXPECT_THAT(finding.detail, HasSubstr("/boot (vfat), tmpfs (from Linux 6.3)"));
    EXPECT_THAT(finding.detail, Not(HasSubstr("/home")));
}

TEST(Diagnose, HiddenPartsOfProc) {
    HostFacts facts = good_host();
    facts.proc_mountable = false;
    EXPECT_EQ(find(facts, "fresh proc").state, State::limited);
    EXPECT_EQ(find(facts, "fresh sysfs").state, State::ok);
}

TEST(Diagnose, SecurityOfTheKernel) {
    HostFacts facts = good_host();
    facts.seccomp = facts.keyring = false;
    facts.landlock_abi = 0;
    facts.lsm.clear();
    facts.legacy_tiocsti = true;
    EXPECT_EQ(find(facts, "seccomp").state, State::missing);
    EXPECT_EQ(find(facts, "keyring").state, State::missing);
    EXPECT_THAT(find(facts, "Landlock").advice, HasSubstr("Linux 5.13"));
    EXPECT_EQ(find(facts, "security modules").state, State::ok);
    EXPECT_THAT(find(facts, "TIOCSTI").advice, HasSubstr("sudo sysctl -w dev.tty.legacy_tiocsti=0"));
    facts.minor = 1;
    EXPECT_THAT(find(facts, "TIOCSTI").advice, Not(HasSubstr("sysctl -w")));
}

TEST(Diagnose, V1Host) {
    HostFacts facts = good_host();
    facts.cgroup_layout = "v1";
    for (auto& [name, version] : facts.controllers) version = CgroupVersion::v1;
    facts.controllers["io"] = CgroupVersion::absent;
    EXPECT_THAT(find(facts, "cgroups").detail, HasSubstr("v1"));
    EXPECT_EQ(find(facts, "cgroup controller memory").detail, "v1");
    EXPECT_EQ(find(facts, "cgroup controller io").state, State::limited);
    EXPECT_THAT(find(facts, "cgroup controller io").advice, HasSubstr("mount -t cgroup -o blkio none /sys/fs/cgroup/blkio"));
}

TEST(Diagnose, V2Host) {
    HostFacts facts = good_host();
    facts.controllers["cpuset"] = CgroupVersion::absent;
    facts.controllers["net_cls"] = CgroupVersion::absent;
    facts.controllers.erase("pids");
    EXPECT_EQ(find(facts, "cgroup controller memory").detail, "v2");
    EXPECT_THAT(find(facts, "cgroup controller cpuset").advice, HasSubstr("cgroup.subtree_control"));
    EXPECT_THAT(find(facts, "cgroup controller net_cls").advice, Not(HasSubstr("mount")));
    EXPECT_THAT(find(facts, "cgroup controller pids").advice, HasSubstr("run a kernel"));
}

TEST(Diagnose, HybridHost) {
    HostFacts facts = good_host();
    facts.cgroup_layout = "hybrid";
    facts.controllers["memory"] = CgroupVersion::v1;
    EXPECT_THAT(find(facts, "cgroups").detail, HasSubstr("hybrid"));
    EXPECT_EQ(find(facts, "cgroup controller memory").detail, "v1");
    EXPECT_EQ(find(facts, "cgroup controller cpu").detail, "v2");
}

TEST(Diagnose, NoCgroupsAtAll) {
    HostFacts facts = good_host();
    facts.cgroup_layout = "none";
    facts.controllers.clear();
    EXPECT_EQ(find(facts, "cgroups").state, State::missing);
    EXPECT_THAT(find(facts, "cgroup controller memory").advice, HasSubstr("cgroup_enable=memory"));
}

TEST(Diagnose, AMissingLinkKindNamesItsModuleAndWhoNeedsIt) {
    HostFacts facts = good_host();
    EXPECT_EQ(find(facts, "link kind ipvlan").state, State::ok);
    facts.link_kinds["ipvlan"] = false;
    facts.link_kinds["dummy"] = false;
    facts.link_kinds.erase("veth");
    const Finding ipvlan = find(facts, "link kind ipvlan");
    EXPECT_EQ(ipvlan.state, State::missing);
    EXPECT_THAT(ipvlan.detail, HasSubstr("network.mode ipvlan"));
    EXPECT_THAT(ipvlan.advice, HasSubstr("sudo modprobe ipvlan"));
    EXPECT_THAT(ipvlan.advice, HasSubstr("CONFIG_IPVLAN"));
    EXPECT_EQ(find(facts, "link kind dummy").state, State::limited) << "nothing needs it";
    EXPECT_EQ(find(facts, "link kind veth").state, State::missing);
    EXPECT_THAT(find(facts, "link kind veth").detail, HasSubstr("network.mode bridge"));
    EXPECT_EQ(find(facts, "link kind macvlan").state, State::ok);
}

TEST(Diagnose, LinkKindsThatCouldNotBeTriedAreNotCalledMissing) {
    HostFacts facts = good_host();
    facts.link_kinds.clear();
    EXPECT_EQ(find(facts, "link kinds").state, State::limited);
    EXPECT_THAT(find(facts, "link kinds").advice, HasSubstr("root"));
    for (const Finding& finding : diagnose(facts)) EXPECT_FALSE(finding.what.starts_with("link kind ")) << finding.what;
}

TEST(Diagnose, InterfacesWithTheirKindAndState) {
    HostFacts facts = good_host();
    facts.interfaces = {{"lo", "", true, 1, "", {}}, {"docker0", "bridge", false, 2, "", {}}};
    EXPECT_EQ(find(facts, "interfaces").detail, "lo (up), docker0 (bridge, down)");
    facts.interfaces.clear();
    EXPECT_EQ(find(facts, "interfaces").detail, "none");
}

TEST(Diagnose, NftablesMissingForbiddenAndBroken) {
    HostFacts facts = good_host();
    EXPECT_EQ(find(facts, "nftables").state, State::ok);
    facts.nftables = false;
    facts.nftables_error = EOPNOTSUPP;
    EXPECT_EQ(find(facts, "nftables").state, State::missing);
    EXPECT_THAT(find(facts, "nftables").detail, HasSubstr("this kernel has none: needed by network.mode bridge"));
    EXPECT_THAT(find(facts, "nftables").advice, HasSubstr("CONFIG_NF_TABLES"));
    facts.nftables_error = EPERM;
    EXPECT_EQ(find(facts, "nftables").state, State::limited) << "that it may not be asked says nothing about it";
    facts.nftables_error = ENOMEM;
    EXPECT_THAT(find(facts, "nftables").detail, HasSubstr("cannot allocate memory"));
}

TEST(Diagnose, TheNetworkOfWhoMayNotChangeIt) {
    HostFacts facts = good_host();
    EXPECT_EQ(find(facts, "network").state, State::ok);
    EXPECT_EQ(find(facts, "IPv6").state, State::ok);
    facts.net_admin = facts.ipv6 = false;
    EXPECT_EQ(find(facts, "network").state, State::limited);
    EXPECT_THAT(find(facts, "network").advice, HasSubstr("CAP_NET_ADMIN"));
    EXPECT_THAT(find(facts, "IPv6").advice, HasSubstr("net.ipv6.conf.all.disable_ipv6=0"));
}

TEST(Diagnose, NameServersAndWhatAStubIsReplacedBy) {
    HostFacts facts = good_host();
    EXPECT_EQ(find(facts, "name servers").detail, "192.0.2.1 (/etc/resolv.conf)");
    facts.resolver.stub = "127.0.0.53";
    facts.resolver.source = "/run/systemd/resolve/resolv.conf";
    EXPECT_EQ(find(facts, "name servers").detail,
              "192.0.2.1 (/run/systemd/resolve/resolv.conf; 127.0.0.53 of /etc/resolv.conf answers only this host)");
    facts.resolver.servers.clear();
    EXPECT_EQ(find(facts, "name servers").state, State::limited);
    EXPECT_THAT(find(facts, "name servers").detail, HasSubstr("there is no other"));
    facts.resolver.stub.clear();
    EXPECT_THAT(find(facts, "name servers").detail, HasSubstr("names none"));
}

TEST(Diagnose, WithoutAppArmor) {
    HostFacts facts = good_host();
    EXPECT_EQ(find(facts, "AppArmor").state, State::ok);
    facts.lsm = {"capability", "landlock"};
    EXPECT_EQ(find(facts, "AppArmor").state, State::limited);
    EXPECT_THAT(find(facts, "AppArmor").detail, HasSubstr("security.apparmor"));
    EXPECT_THAT(find(facts, "AppArmor").advice, HasSubstr("CONFIG_SECURITY_APPARMOR"));
}

TEST(Diagnose, FewDescriptors) {
    HostFacts facts = good_host();
    facts.nofile_hard = 1024;
    EXPECT_EQ(find(facts, "open files").state, State::limited);
}

}  // namespace
}  // namespace sandbox
