// What `sandbox doctor` says of network links, against what ip(8) can do in network namespaces of its own.
#include <gmock/gmock.h>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

const char* const kinds[]{"dummy", "veth", "bridge", "macvlan", "ipvlan"};

// macvlan and ipvlan stand on another link, whichever kind of it there is.
bool ip_can_make(const std::string& kind) {
    const bool stacked = kind == "macvlan" || kind == "ipvlan";
    const std::string parent = "for below in dummy veth bridge; do ip link add parent type $below && break; done; ";
    const std::string script =
        cat(stacked ? parent : "", "ip link add child ", stacked ? "link parent " : "", "type ", kind, " && ip link show child");
    return run({"unshare", "--net", "sh", "-c", script}).ok();
}

Json facts_of(const Options& options = {}) {
    const Ended doctor = sandbox_command({"doctor", "--json"}, options);
    EXPECT_TRUE(doctor.ok()) << doctor;
    return Json::parse(doctor.out);
}

TEST(Doctor, finds_the_link_kinds_that_ip_can_make) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    REQUIRE_OR_SKIP(command_exists("ip"), "needs iproute2");
    const auto before = HostSnapshot::take();
    const Json found = facts_of()["link_kinds"];
    EXPECT_EQ(differences_since(before), "");
    ASSERT_EQ(found.size(), std::size(kinds)) << found;
    for (const char* kind : kinds) EXPECT_EQ(found[kind], ip_can_make(kind)) << kind;
}

TEST(Doctor, says_what_to_do_about_a_link_kind_that_is_missing) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json found = facts_of()["link_kinds"];
    const Ended doctor = sandbox_command({"doctor"});
    ASSERT_TRUE(doctor.ok()) << doctor;
    for (const char* kind : kinds) {
        if (found[kind])
            EXPECT_THAT(doctor.out, HasSubstr(cat("ok      link kind ", kind, ": available\n")));
        else
            EXPECT_THAT(doctor.out, HasSubstr(cat("sudo modprobe ", kind, ", or run a kernel with CONFIG_")));
    }
}

// An ordinary user tries them in a user namespace, where there may be any.
TEST(Doctor, finds_the_same_link_kinds_for_an_ordinary_user) {
    HOST_ROOT_OR_LEFT_OUT();
    const Json mine = facts_of(ordinary_user());
    if (mine["userns_restricted"])
        EXPECT_TRUE(mine["link_kinds"].empty()) << mine["link_kinds"];
    else
        EXPECT_EQ(mine["link_kinds"], facts_of()["link_kinds"]);
}

// Without root's right to make a namespace, and without any user namespace, there is nothing to try them in.
TEST(Doctor, says_that_link_kinds_could_not_be_tried) {
    HOST_ROOT_OR_LEFT_OUT();
    const std::string limit = "/proc/sys/user/max_net_namespaces";
    const Ended doctor =
        run({"unshare", "--user", "--map-root-user", "sh", "-c", cat("echo 0 >", limit, " && exec ", sandbox_binary(), " doctor")});
    ASSERT_TRUE(doctor.ok()) << doctor;
    EXPECT_THAT(doctor.out, HasSubstr("limited link kinds: not known"));
    EXPECT_THAT(doctor.out, ::testing::Not(HasSubstr("link kind veth")));
}

TEST(Doctor, lists_the_interfaces_that_ip_lists) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    REQUIRE_OR_SKIP(command_exists("ip"), "needs iproute2");
    // The kinds that this kernel has not are left out on both sides; the loopback device is on both.
    const Ended both = run({"unshare", "--net", "sh", "-c",
                            cat("ip link add first type bridge; ip link add second type veth peer name third; ip link set second up alias "
                                "'a b'; ip link set lo up; "
                                "ip -json -details address show; echo; ",
                                sandbox_binary(), " doctor --json")});
    ASSERT_TRUE(both.ok()) << both;
    const std::size_t end = both.out.find('\n');
    const Json listed = Json::parse(both.out.substr(0, end)), found = Json::parse(both.out.substr(end))["interfaces"];
    ASSERT_FALSE(listed.empty());
    Json expected = Json::array();
    for (const Json& link : listed) {
        const Json flags = link["flags"];
        const bool up = std::find(flags.begin(), flags.end(), "UP") != flags.end();
        Json addresses = Json::array();
        for (const Json& address : link["addr_info"])
            addresses.push_back(cat(address["local"].get<std::string>(), "/", address["prefixlen"].get<int>()));
        expected.push_back({{"name", link["ifname"]},
                            {"kind", link.contains("linkinfo") ? link["linkinfo"].value("info_kind", "") : ""},
                            {"up", up},
                            {"index", link["ifindex"]},
                            {"alias", link.value("ifalias", "")},
                            {"addresses", addresses}});
    }
    EXPECT_EQ(found, expected);
}

}  // namespace
