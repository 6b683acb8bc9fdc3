// Id maps, users and groups, capabilities.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

const Names fifteen = {"CHOWN",   "DAC_OVERRIDE", "FOWNER",           "FSETID",     "KILL",  "SETGID",      "SETUID",    "SETPCAP",
                       "SETFCAP", "NET_RAW",      "NET_BIND_SERVICE", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "AUDIT_READ"};

// ---- id maps

TEST(IdMap, two_sandboxes_lease_ranges_apart_and_give_them_back) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const auto before = HostSnapshot::take();
    Options options;
    options.keep_input_open = true;
    const auto start = [&] { return start_sandbox(in_tree(), {"/sandbox-probe", "ids", "hold"}, options); };
    Process one = start();
    ASSERT_TRUE(one.expect("\"ready\":true")) << one.err();
    Process two = start();
    ASSERT_TRUE(two.expect("\"ready\":true")) << two.err();
    one.close_input();
    two.close_input();
    const Json first = last_json(one.wait())["ids"]["uid_map"], second = last_json(two.wait())["ids"]["uid_map"];
    for (const Json& map : {first, second}) {
        ASSERT_EQ(map.size(), 1U) << map;
        EXPECT_EQ(map[0][0], 0);
        EXPECT_EQ(map[0][2], 65536);
        if (is_host_root()) {
            EXPECT_GE(map[0][1].get<long>(), 65536) << "the host's own ids";
        } else {
            EXPECT_EQ(map[0][1], 0) << "a user namespace has no other ids than its own";
        }
    }
    if (is_host_root()) {
        EXPECT_GE(std::abs(first[0][1].get<long>() - second[0][1].get<long>()), 65536);
    }
    EXPECT_EQ(differences_since(before), "");
    // Given back: the same range serves the next one.
    EXPECT_EQ(probe_in_sandbox(in_tree(), {"ids"})["ids"]["uid_map"], first);
}

TEST(IdMap, gids_follow_the_same_range) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree(), {"ids"})["ids"];
    EXPECT_EQ(seen["uid_map"], seen["gid_map"]);
}

TEST(IdMap, caller_keeps_its_number) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json map = probe_in_sandbox(in_tree("id_map: caller\n"), {"ids"})["ids"]["uid_map"];
    ASSERT_EQ(map.size(), is_host_root() ? 2U : 1U) << "where nothing can be leased, the caller is alone";
    EXPECT_EQ(map[0], (Json{0, 0, 1})) << "root is the caller";
    if (is_host_root()) {
        EXPECT_GE(map[1][1].get<long>(), 65536);
    }
}

TEST(IdMap, host_is_no_user_namespace) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree("id_map: host\n"), {"ids", "ns"});
    const Json outside = probe_outside({"ids", "ns"});
    EXPECT_EQ(seen["ids"]["uid_map"], outside["ids"]["uid_map"]);
    EXPECT_EQ(seen["ns"]["user"], outside["ns"]["user"]);
}

TEST(IdMap, several_ranges) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const unsigned one = spare_ids(), other = one + 20000;
    const Json seen = probe_in_sandbox(
        in_tree(cat("id_map: {uid: ['0:", one, ":1000', '1000:1000:1', '1001:", other, ":500'], gid: ['0:", one, ":30000']}\n")),
        {"ids"})["ids"];
    EXPECT_EQ(seen["uid_map"], (Json{{0, one, 1000}, {1000, 1000, 1}, {1001, other, 500}}));
    EXPECT_EQ(seen["gid_map"], (Json{{0, one, 30000}}));
}

TEST(IdMap, ids_without_a_map_are_the_overflow_id) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const TempDir place;
    const std::string file = place.write("alien", "");
    const std::string mapped = place.write("mapped", "");
    const unsigned first = spare_ids();
    ASSERT_EQ(chown(file.c_str(), first + 1000, first + 1001), 0);
    ASSERT_EQ(chown(mapped.c_str(), first + 7, first + 8), 0);
    const Json seen = probe_in_sandbox(in_tree(cat("id_map: {uid: ['0:", first, ":1000'], gid: ['0:", first, ":1000']}\n",
                                                   "mounts: [{source: ", place.path(), ", target: /mnt, idmap: none}]\n")),
                                       {"stat:/mnt/alien", "stat:/mnt/mapped"});
    EXPECT_EQ(seen["stat:/mnt/alien"]["uid"], 65534);
    EXPECT_EQ(seen["stat:/mnt/alien"]["gid"], 65534);
    EXPECT_EQ(seen["stat:/mnt/mapped"]["uid"], 7);
    EXPECT_EQ(seen["stat:/mnt/mapped"]["gid"], 8);
}

TEST(IdMap, an_outside_id_that_is_mapped_twice_is_refused) {
    const auto before = HostSnapshot::take();
    const Ended ended = run_sandbox(in_tree("id_map: {uid: ['0:100000:10', '10:100005:10'], gid: ['0:100000:20']}\n"), {"/sandbox-probe"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("id_map.uid[1]"));
    EXPECT_EQ(differences_since(before), "");
}

// A sandbox in a sandbox: the inner map's outside ids are the outer map's inside ids.
TEST(IdMap, nests) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const TempDir place;
    const std::string inner = place.write("inner.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(),
                                                            "}\nid_map: {uid: ['0:5000:100', '100:0:1'], gid: ['0:5000:100']}\n"
                                                            "process: {command: [/sandbox-probe, ids, caps]}\n"));
    Options options;
    options.add = {{"XDG_RUNTIME_DIR", "/tmp"}};
    const Json seen =
        last_json(run_sandbox(cat("version: 1\nrootfs: {host: ro}\ncapabilities: {base: all}\nsecurity: {seccomp: {profile: none}}\n"
                                  "mask: none\nreadonly_paths: none\nmounts: [{type: tmpfs, target: /run}]\n"),
                              {sandbox_binary(), "up", inner}, options));
    EXPECT_EQ(seen["ids"]["uid_map"], (Json{{0, 5000, 100}, {100, 0, 1}}));
    EXPECT_THAT(names_of(seen["caps"]["effective"]), UnorderedElementsAreArray(fifteen));
}

TEST(IdMap, an_ordinary_user_without_subordinate_ids_is_root_alone) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    const Json seen = probe_in_sandbox(in_tree(), {"ids", "stat:/"}, ordinary_user());
    EXPECT_EQ(seen["ids"]["uid_map"], (Json{{0, 54321, 1}}));
    EXPECT_EQ(seen["ids"]["gid_map"], (Json{{0, 54321, 1}}));
    EXPECT_EQ(seen["ids"]["setgroups"], "deny\n");
    EXPECT_EQ(seen["stat:/"]["uid"], 65534) << "root's tree is nobody's here";
}

TEST(IdMap, an_ordinary_user_keeps_its_number_when_asked) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    const Json seen = probe_in_sandbox(in_tree("id_map: caller\nprocess: {user: '${UID}:${GID}'}\n"), {"ids"}, ordinary_user())["ids"];
    EXPECT_EQ(seen["uid_map"], (Json{{54321, 54321, 1}}));
    EXPECT_EQ(seen["uid"], 54321);
}

TEST(IdMap, an_ordinary_user_cannot_take_the_hosts_ids) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    for (const char* map : {"host", "{uid: ['0:0:1'], gid: ['0:0:1']}", "{uid: ['0:100000:65536'], gid: ['0:100000:65536']}"}) {
        const Ended ended = run_sandbox(in_tree(cat("id_map: ", map, "\n")), {"/sandbox-probe"}, ordinary_user());
        EXPECT_EQ(ended.code, 125) << map << ended;
        EXPECT_THAT(ended.err, HasSubstr("id_map")) << map;
    }
}

// /etc/subuid and /etc/subgid as this test wants them, for the tests' own mount namespace alone.
class SubordinateIds : public ::testing::Test {
   protected:
    void SetUp() override {
        REQUIRE_OR_SKIP(on_private_host(), "needs root, on a host of its own");
        REQUIRE_OR_SKIP(command_exists("newuidmap") && exists("/etc/subuid") && exists("/etc/subgid"), "newuidmap is not installed");
        place_.write("ids", cat("54321:", first, ":", count, "\n"));
        place_.write("passwd", read_text("/etc/passwd") + "sandbox-tester:x:54321:54321::/:/bin/sh\n");
        for (const auto& [file, over] : files()) ASSERT_TRUE(run({"mount", "--bind", place_ / file, over}).ok());
    }
    void TearDown() override {
        for (const auto& [file, over] : files()) run({"umount", over});
    }
    static std::vector<std::pair<std::string, std::string>> files() {
        return {{"ids", "/etc/subuid"}, {"ids", "/etc/subgid"}, {"passwd", "/etc/passwd"}};
    }
    static constexpr unsigned count = 30000;
    const unsigned first = spare_ids();
    TempDir place_;
};

TEST_F(SubordinateIds, of_an_ordinary_user_come_after_its_own) {
    const Json seen = probe_in_sandbox(in_tree("process: {user: '1000:1000', groups: [29]}\n"), {"ids"}, ordinary_user())["ids"];
    EXPECT_EQ(seen["uid_map"], (Json{{0, 54321, 1}, {1, first, count}}));
    EXPECT_EQ(seen["gid_map"], (Json{{0, 54321, 1}, {1, first, count}}));
    EXPECT_EQ(seen["uid"], 1000);
    EXPECT_EQ(seen["groups"], Json{29});
}

TEST_F(SubordinateIds, are_the_only_others_that_a_map_may_name) {
    const Json seen = probe_in_sandbox(in_tree(cat("id_map: {uid: ['0:", first, ":100', '100:54321:1'], gid: ['0:", first, ":100']}\n")),
                                       {"ids"}, ordinary_user())["ids"];
    EXPECT_EQ(seen["uid_map"], (Json{{0, first, 100}, {100, 54321, 1}}));
    const Ended ended = run_sandbox(in_tree(cat("id_map: {uid: ['0:", first - 1, ":100'], gid: ['0:", first, ":100']}\n")),
                                    {"/sandbox-probe"}, ordinary_user());
    EXPECT_EQ(ended.code, 125) << ended;
}

// ---- users

TEST(User, is_looked_up_in_the_trees_passwd) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree("process: {user: user, groups: [audio, '7']}\n"), {"ids", "env"});
    EXPECT_EQ(seen["ids"]["uid"], 1000);
    EXPECT_EQ(seen["ids"]["euid"], 1000);
    EXPECT_EQ(seen["ids"]["suid"], 1000);
    EXPECT_EQ(seen["ids"]["fsuid"], 1000);
    EXPECT_EQ(seen["ids"]["gid"], 1000);
    EXPECT_THAT(seen["ids"]["groups"].get<std::vector<int>>(), UnorderedElementsAreArray({29, 7}));
    EXPECT_EQ(seen["env"]["HOME"], "/home");
}

TEST(User, has_the_group_that_is_named) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree("process: {user: 'daemon:audio'}\n"), {"ids"})["ids"];
    EXPECT_EQ(seen["uid"], 1);
    EXPECT_EQ(seen["gid"], 29);
}

TEST(User, root_has_no_supplementary_group_of_the_caller) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    EXPECT_EQ(probe_in_sandbox(in_tree(), {"ids"})["ids"]["groups"], Json::array());
    EXPECT_EQ(probe_in_sandbox(in_tree("id_map: host\n"), {"ids"})["ids"]["groups"], Json::array());
}

TEST(User, unknown_or_unmapped_is_refused) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const auto before = HostSnapshot::take();
    for (const char* user : {"stranger", "70000", "'0:70000'", "'user:strangers'"}) {
        const Ended ended = run_sandbox(in_tree(cat("process: {user: ", user, "}\n")), {"/sandbox-probe"});
        EXPECT_EQ(ended.code, 125) << user << ended;
        EXPECT_THAT(ended.err, HasSubstr("process.user")) << user;
    }
    EXPECT_EQ(differences_since(before), "");
}

// ---- capabilities

void expect_sets(const std::string& profile, const Names& bounding, const Names& permitted, const Names& inheritable,
                 const Names& ambient) {
    const Json seen = probe_in_sandbox(profile, {"caps"})["caps"];
    EXPECT_THAT(names_of(seen["bounding"]), UnorderedElementsAreArray(bounding)) << profile;
    EXPECT_THAT(names_of(seen["permitted"]), UnorderedElementsAreArray(permitted)) << profile;
    EXPECT_THAT(names_of(seen["effective"]), UnorderedElementsAreArray(permitted)) << profile;
    EXPECT_THAT(names_of(seen["inheritable"]), UnorderedElementsAreArray(inheritable)) << profile;
    EXPECT_THAT(names_of(seen["ambient"]), UnorderedElementsAreArray(ambient)) << profile;
}

Names without(Names names, std::string_view name) {
    std::erase(names, name);
    return names;
}

TEST(Capabilities, are_exactly_the_fifteen) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    expect_sets(in_tree(), fifteen, fifteen, {}, {});
}

TEST(Capabilities, are_the_fifteen_without_a_user_namespace_too) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Names possible = names_of(probe_outside({"caps"})["caps"]["bounding"]);
    for (const std::string& name : fifteen) REQUIRE_OR_SKIP(std::ranges::find(possible, name) != possible.end(), "root lacks " + name);
    expect_sets(in_tree("id_map: host\n"), fifteen, fifteen, {}, {});
}

TEST(Capabilities, none) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    expect_sets(in_tree("capabilities: {base: none}\n"), {}, {}, {}, {});
    expect_sets(in_tree("capabilities: {drop: [all]}\n"), {}, {}, {}, {});
    expect_sets(in_tree("capabilities: {base: none}\nprocess: {user: user}\n"), {}, {}, {}, {});
}

TEST(Capabilities, all_is_what_the_kernel_has) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree("capabilities: {base: all}\n"), {"caps", "read:/proc/sys/kernel/cap_last_cap"});
    const auto count = static_cast<std::size_t>(std::stoi(seen["read:/proc/sys/kernel/cap_last_cap"]["text"].get<std::string>()) + 1);
    EXPECT_EQ(seen["caps"]["effective"].size(), std::min<std::size_t>(count, 41));
    EXPECT_EQ(seen["caps"]["bounding"], seen["caps"]["effective"]);
}

TEST(Capabilities, add_and_drop) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    Names names = without(without(fifteen, "MKNOD"), "NET_RAW");
    names.push_back("SYS_PTRACE");
    expect_sets(in_tree("capabilities: {add: [CAP_SYS_PTRACE], drop: [mknod, NET_RAW]}\n"), names, names, {}, {});
    expect_sets(in_tree("capabilities: {drop: [all], add: [CHOWN]}\n"), {"CHOWN"}, {"CHOWN"}, {}, {});
    expect_sets(in_tree("capabilities: {base: none, add: [SYS_ADMIN]}\n"), {"SYS_ADMIN"}, {"SYS_ADMIN"}, {}, {});
}

TEST(Capabilities, are_ambient_for_a_user_that_is_not_root) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Names two = {"CHOWN", "NET_BIND_SERVICE"};
    expect_sets(in_tree("capabilities: {base: none, add: [CHOWN, NET_BIND_SERVICE]}\nprocess: {user: user}\n"), two, two, two, two);
}

TEST(Capabilities, are_ambient_as_listed) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Names two = {"CHOWN", "KILL"}, one = {"KILL"};
    expect_sets(in_tree("capabilities: {base: none, add: [CHOWN, KILL], ambient: [KILL]}\nprocess: {user: user}\n"), two, one, one, one);
    expect_sets(in_tree("capabilities: {base: none, add: [CHOWN, KILL], ambient: []}\nprocess: {user: user}\n"), two, {}, {}, {});
}

TEST(Capabilities, of_init_are_what_forwarding_a_signal_needs) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Json seen = probe_in_sandbox(in_tree(), {"caps:1"})["caps:1"];
    EXPECT_EQ(names_of(seen["permitted"]), Names{"KILL"});
    EXPECT_EQ(names_of(seen["effective"]), Names{"KILL"});
    EXPECT_EQ(names_of(seen["inheritable"]), Names{});
    EXPECT_EQ(names_of(seen["ambient"]), Names{});
}

TEST(Capabilities, of_an_ordinary_user_are_in_its_own_namespace) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    const Json seen = probe_in_sandbox(in_tree(), {"caps"}, ordinary_user())["caps"];
    EXPECT_THAT(names_of(seen["effective"]), UnorderedElementsAreArray(fifteen));
}

TEST(Capabilities, that_do_not_exist_are_refused) {
    const Ended ended = run_sandbox(in_tree("capabilities: {add: [NET_ADMINN], drop: [FLY]}\n"), {"/sandbox-probe"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("did you mean 'NET_ADMIN'"));
    EXPECT_THAT(ended.err, HasSubstr("capabilities.drop[0]"));
}

}  // namespace
