// Trees with the owners that they have on disk, seen and written through the sandbox's id map: the root, layers, binds;
// nothing on disk is changed but by chown, which is given back.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Owner, mode and time of the last change of every file below a directory, itself included.
std::map<std::string, std::string> owners_of(const std::string& tree) {
    std::map<std::string, std::string> found;
    const auto add = [&](const std::string& path) {
        struct stat info {};
        if (lstat(path.c_str(), &info) != 0) throw std::runtime_error("cannot look at " + path);
        found[path] = cat(info.st_uid, ":", info.st_gid, " ", info.st_mode, " ", info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec);
    };
    add(tree);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(tree)) add(entry.path());
    return found;
}

// A member of one of the probe's answers, or the whole answer when it has none: an error shows itself.
Json part(const Json& seen, const std::string& verb, const char* member) {
    const Json& answer = seen.at(verb);
    return answer.is_object() && answer.contains(member) ? answer[member] : answer;
}

std::string owner_of(const std::string& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return "missing";
    return cat(info.st_uid, ":", info.st_gid);
}

std::string owner_in(const Json& seen, const std::string& path) {
    const Json& info = seen.at("stat:" + path);
    return info.contains("uid") ? cat(info["uid"].get<unsigned>(), ":", info["gid"].get<unsigned>()) : info.dump();
}

// A root tree with files of several owners: root, 1000 (gid 1001), 1500, 40000 and one that no map of these tests has.
class Owners : public ::testing::Test {
   protected:
    void SetUp() override {
        REQUIRE_OR_SKIP(is_root(), "needs root");
        for (const char* folder : {"proc", "sys", "dev", "etc", "tmp", "mnt", "work"}) place.make(cat("tree/", folder));
        std::filesystem::copy_file(probe_binary(), place / "tree/sandbox-probe");
        for (const auto& [name, uid, gid] : files()) {
            const std::string path = place.write(cat("tree/own/", name), name);
            ASSERT_EQ(chown(path.c_str(), uid, gid), 0);
        }
        place.make("tree/own", 0777);
    }
    struct File {
        const char* name;
        uid_t uid;
        gid_t gid;
    };
    static std::vector<File> files() { return {{"root", 0, 0}, {"user", 1000, 1001}, {"other", 1500, 1500}, {"high", 40000, 40000}}; }
    static Words stat_all(const std::string& folder, Words more = {}) {
        for (const File& file : files()) more.push_back(cat("stat:", folder, "/", file.name));
        return more;
    }
    [[nodiscard]] std::string tree() const { return place / "tree"; }
    TempDir place;
};

struct Root {
    const char* name;
    bool overlay, on_disk;
};
std::ostream& operator<<(std::ostream& stream, const Root& root) { return stream << root.name; }

// The same tree as rootfs.path, and as a layer below an upper in memory or on disk.
class RootOwners : public Owners, public ::testing::WithParamInterface<Root> {
   protected:
    void SetUp() override {
        HOST_ROOT_OR_LEFT_OUT();
        Owners::SetUp();
    }
    [[nodiscard]] std::string profile(std::string_view rest, std::string_view more = {}) const {
        const std::string upper = GetParam().on_disk ? place / "closed/upper" : std::string("tmpfs");
        const std::string root = GetParam().overlay ? cat("overlay: {lower: [", tree(), "], upper: ", upper, "}") : cat("path: ", tree());
        return cat("version: 1\nrootfs: {", root, more, "}\n", rest);
    }
    // What is made inside comes to lie here; empty: nowhere.
    [[nodiscard]] std::string written() const {
        return !GetParam().overlay ? tree() : GetParam().on_disk ? place / "closed/upper" : std::string();
    }
};
INSTANTIATE_TEST_SUITE_P(Every, RootOwners,
                         ::testing::Values(Root{"path", false, true}, Root{"overlay_in_memory", true, false},
                                           Root{"overlay_on_disk", true, true}),
                         [](const auto& one) { return one.param.name; });

TEST_P(RootOwners, are_what_they_are_on_disk) {
    const auto before = owners_of(tree());
    for (const char* map : {"auto", "caller", "{uid: ['0:200000:65536'], gid: ['0:300000:65536']}"}) {
        const Json seen = probe_in_sandbox(profile(cat("id_map: ", map, "\n")), stat_all("/own", {"stat:/", "stat:/sandbox-probe", "ids"}));
        EXPECT_NE(seen["ids"]["uid_map"], probe_outside({"ids"})["ids"]["uid_map"]) << "no user namespace of its own";
        for (const char* path : {"/", "/sandbox-probe"}) EXPECT_EQ(owner_in(seen, path), "0:0") << path << map;
        for (const File& file : files()) EXPECT_EQ(owner_in(seen, cat("/own/", file.name)), cat(file.uid, ":", file.gid)) << map;
    }
    EXPECT_EQ(owners_of(tree()), before) << "something on disk was given away";
}

TEST_P(RootOwners, of_several_ranges_are_what_each_range_says) {
    const auto before = owners_of(tree());
    const Json seen = probe_in_sandbox(
        profile("id_map: {uid: ['0:200000:1000', '1000:5000:1', '30000:300000:20000'], gid: ['0:400000:1001', '1001:7000:1']}\n"),
        stat_all("/own", {"ids"}));
    EXPECT_EQ(seen["ids"]["uid_map"], (Json{{0, 200000, 1000}, {1000, 5000, 1}, {30000, 300000, 20000}}));
    EXPECT_EQ(owner_in(seen, "/own/root"), "0:0");
    EXPECT_EQ(owner_in(seen, "/own/user"), "1000:1001");
    EXPECT_EQ(owner_in(seen, "/own/other"), "65534:65534") << "in no range";
    EXPECT_EQ(owner_in(seen, "/own/high"), "40000:65534") << "its group is in no range";
    EXPECT_EQ(owners_of(tree()), before);
}

TEST_P(RootOwners, of_what_is_made_inside_are_the_inside_ids_on_disk) {
    const std::string map = "id_map: {uid: ['0:200000:1000', '1000:5000:1', '2000:300000:100'], gid: ['0:400000:65536']}\n";
    const Json root =
        probe_in_sandbox(profile(map), {"create:/own/by-root", "create:/own/given", "chown:/own/given=2005:7", "stat:/own/given"});
    EXPECT_EQ(root["create:/own/by-root"], "ok");
    EXPECT_EQ(owner_in(root, "/own/given"), "2005:7");
    const Json user = probe_in_sandbox(profile(cat(map, "capabilities: {base: none}\nprocess: {user: '1000:1001'}\n")),
                                       {"create:/own/by-user", "stat:/own/by-user", "write:/own/user=USER", "open-write:/own/root"});
    EXPECT_EQ(owner_in(user, "/own/by-user"), "1000:1001");
    EXPECT_EQ(user["write:/own/user=USER"], "ok") << "its own file";
    EXPECT_EQ(user["open-write:/own/root"], "EACCES");
    // An id without a number outside cannot own anything.
    EXPECT_EQ(probe_in_sandbox(profile(map), {"chown:/own/root=1500:0"})["chown:/own/root=1500:0"], "EINVAL");
    if (written().empty()) return;
    EXPECT_EQ(owner_of(written() + "/own/by-root"), "0:0");
    EXPECT_EQ(owner_of(written() + "/own/given"), "2005:7");
    EXPECT_EQ(owner_of(written() + "/own/by-user"), "1000:1001");
    EXPECT_EQ(owner_of(written() + "/own/user"), "1000:1001");
}

TEST_P(RootOwners, without_a_map_are_nobodys) {
    const auto before = owners_of(tree());
    const Json seen = probe_in_sandbox(profile("id_map: {uid: ['0:200000:65536'], gid: ['0:300000:65536']}\n", ", idmap: none"),
                                       stat_all("/own", {"create:/own/made", "stat:/own/made"}));
    for (const File& file : files()) EXPECT_EQ(owner_in(seen, cat("/own/", file.name)), "65534:65534");
    EXPECT_EQ(seen["create:/own/made"], "ok") << "the folder is open to all";
    EXPECT_EQ(owner_in(seen, "/own/made"), "0:0");
    if (!written().empty()) {
        EXPECT_EQ(owner_of(written() + "/own/made"), "200000:300000");
    }
    auto after = owners_of(tree());
    after.erase(tree() + "/own/made");
    after[tree() + "/own"] = before.at(tree() + "/own");
    EXPECT_EQ(after, before);
}

TEST_P(RootOwners, without_a_user_namespace_are_the_hosts) {
    const Json seen = probe_in_sandbox(profile("id_map: host\n"), stat_all("/own", {"create:/own/made", "stat:/own/made"}));
    for (const File& file : files()) EXPECT_EQ(owner_in(seen, cat("/own/", file.name)), cat(file.uid, ":", file.gid));
    EXPECT_EQ(owner_in(seen, "/own/made"), "0:0");
    if (!written().empty()) {
        EXPECT_EQ(owner_of(written() + "/own/made"), "0:0");
    }
}

// ---- binds

class BindOwners : public Owners {
   protected:
    void SetUp() override {
        HOST_ROOT_OR_LEFT_OUT();
        Owners::SetUp();
    }
    [[nodiscard]] Json look(std::string_view map, std::string_view idmap, std::string_view rest = {}) const {
        return probe_in_sandbox(
            in_tree(cat("id_map: ", map, "\nmounts: [{source: ", tree(), "/own, target: /mnt, mode: rw, idmap: ", idmap, "}]\n", rest)),
            stat_all("/mnt", {"stat:/mnt", "create:/mnt/made", "stat:/mnt/made"}));
    }
};
constexpr const char* two_maps = "{uid: ['0:200000:65536'], gid: ['0:300000:65536']}";

TEST_F(BindOwners, are_shown_through_the_map) {
    for (const char* idmap : {"auto", "container"}) {
        const auto before = owners_of(tree());
        const Json seen = look(two_maps, idmap);
        EXPECT_EQ(owner_in(seen, "/mnt"), "0:0");
        for (const File& file : files()) EXPECT_EQ(owner_in(seen, cat("/mnt/", file.name)), cat(file.uid, ":", file.gid)) << idmap;
        EXPECT_EQ(owner_in(seen, "/mnt/made"), "0:0") << idmap;
        EXPECT_EQ(owner_of(tree() + "/own/made"), "0:0") << idmap;
        ASSERT_EQ(unlink((tree() + "/own/made").c_str()), 0);
        auto after = owners_of(tree());
        after[tree() + "/own"] = before.at(tree() + "/own");
        EXPECT_EQ(after, before);
    }
}

TEST_F(BindOwners, are_nobodys_without_a_map) {
    const Json seen = look(two_maps, "none");
    for (const File& file : files()) EXPECT_EQ(owner_in(seen, cat("/mnt/", file.name)), "65534:65534");
    EXPECT_EQ(owner_in(seen, "/mnt/made"), "0:0");
    EXPECT_EQ(owner_of(tree() + "/own/made"), "200000:300000");
}

TEST_F(BindOwners, of_the_caller_stay_the_callers) {
    const Json seen = look("caller", "caller");
    for (const File& file : files()) EXPECT_EQ(owner_in(seen, cat("/mnt/", file.name)), cat(file.uid, ":", file.gid));
    EXPECT_EQ(owner_of(tree() + "/own/made"), "0:0");
}

TEST_F(BindOwners, of_a_file_alone_are_shown_through_the_map) {
    const Json seen = probe_in_sandbox(
        in_tree(cat("id_map: ", two_maps, "\nmounts: [{source: ", tree(), "/own/user, target: /mnt/one}]\n")), {"stat:/mnt/one"});
    EXPECT_EQ(owner_in(seen, "/mnt/one"), "1000:1001");
}

// A mount below the source has owners of its own, which the map shows too.
TEST_F(BindOwners, of_mounts_below_the_source_are_shown_through_the_map) {
    REQUIRE_OR_SKIP(on_private_host(), "needs a host of its own, whose mounts may be changed");
    const std::string below = place.make("tree/own/below");
    const std::string other = place.make("other");
    ASSERT_EQ(chown(other.c_str(), 1000, 1001), 0);
    ASSERT_TRUE(run({"mount", "--bind", other, below}).ok());
    const Json seen = probe_in_sandbox(in_tree(cat("id_map: ", two_maps, "\nmounts: [{source: ", tree(), "/own, target: /mnt}]\n")),
                                       {"stat:/mnt/below", "stat:/mnt/user"});
    ASSERT_TRUE(run({"umount", below}).ok());
    EXPECT_EQ(owner_in(seen, "/mnt/below"), "1000:1001");
    EXPECT_EQ(owner_in(seen, "/mnt/user"), "1000:1001");
}

TEST_F(Owners, of_an_ordinary_caller_stay_the_callers) {
    const Options options = ordinary_user();
    ASSERT_EQ(chown((tree() + "/own/user").c_str(), *options.uid, *options.uid), 0);
    const std::string mine = cat(*options.uid, ":", *options.uid);
    const Json seen = probe_in_sandbox(in_tree(cat("id_map: caller\nprocess: {user: '${UID}:${GID}'}\nmounts: [{source: ", tree(),
                                                   "/own, target: /mnt, mode: rw, idmap: caller}]\n")),
                                       {"stat:/mnt/user", "stat:/mnt/root", "create:/mnt/made", "stat:/mnt/made"}, options);
    EXPECT_EQ(owner_in(seen, "/mnt/user"), mine);
    EXPECT_EQ(owner_in(seen, "/mnt/root"), "65534:65534");
    EXPECT_EQ(owner_in(seen, "/mnt/made"), mine);
    EXPECT_EQ(owner_of(tree() + "/own/made"), mine);
}

// ---- chown, for file systems that take no map

struct Given {
    const char *name, *map, *user, *high;  // who owns /own/user and /own/high on the host meanwhile
};
std::ostream& operator<<(std::ostream& stream, const Given& given) { return stream << given.name; }

class ChownedOwners : public Owners, public ::testing::WithParamInterface<Given> {
   protected:
    void SetUp() override {
        HOST_ROOT_OR_LEFT_OUT();
        Owners::SetUp();
        ASSERT_EQ(chmod((tree() + "/own/user").c_str(), 06755), 0);
    }
    [[nodiscard]] std::string profile() const {
        return cat("version: 1\nrootfs: {path: ", tree(), ", idmap: chown}\nid_map: ", GetParam().map, "\n");
    }
    // Owners and modes alone: chown(2) changes the time.
    [[nodiscard]] std::map<std::string, std::string> owners() const {
        auto all = owners_of(tree());
        for (auto& [path, text] : all) text.resize(text.rfind(' '));
        return all;
    }
};
INSTANTIATE_TEST_SUITE_P(
    Every, ChownedOwners,
    ::testing::Values(Given{"one_range", "{uid: ['0:200000:65536'], gid: ['0:200000:65536']}", "201000:201001", "240000:240000"},
                      Given{"other_gids", "{uid: ['0:200000:65536'], gid: ['0:300000:65536']}", "201000:301001", "240000:340000"},
                      Given{"ranges", "{uid: ['0:200000:1000', '1000:500000:1'], gid: ['0:300000:1500']}", "500000:301001", "40000:40000"}),
    [](const auto& one) { return one.param.name; });

TEST_P(ChownedOwners, are_given_and_given_back) {
    const auto before = owners();
    const auto snapshot = HostSnapshot::take();
    Options options;
    options.keep_input_open = true;
    Process running = start_sandbox(
        profile(), {"/sandbox-probe", "stat:/own/root", "stat:/own/user", "create:/own/made", "stat:/own/made", "hold"}, options);
    ASSERT_TRUE(running.expect("\"ready\":true")) << running.err();
    EXPECT_EQ(owner_of(tree() + "/own/root").substr(0, 7), "200000:");
    EXPECT_EQ(owner_of(tree() + "/own/user"), GetParam().user);
    EXPECT_EQ(owner_of(tree() + "/own/high"), GetParam().high);
    running.close_input();
    const Ended ended = running.wait();
    EXPECT_EQ(ended.code, 0) << ended;
    const Json seen = last_json(ended);
    EXPECT_EQ(owner_in(seen, "/own/root"), "0:0");
    EXPECT_EQ(owner_in(seen, "/own/user"), "1000:1001");
    EXPECT_EQ(part(seen, "stat:/own/user", "mode"), "6755");
    EXPECT_EQ(owner_in(seen, "/own/made"), "0:0");
    EXPECT_EQ(owner_of(tree() + "/own/made"), "0:0") << "what was made inside is given back too";
    ASSERT_EQ(unlink((tree() + "/own/made").c_str()), 0);
    EXPECT_EQ(owners(), before);
    EXPECT_EQ(differences_since(snapshot), "");
}

TEST_P(ChownedOwners, are_given_back_after_the_launcher_was_killed) {
    const auto before = owners();
    const auto snapshot = HostSnapshot::take();
    Options options;
    options.keep_input_open = true;
    Process running = start_sandbox(profile(), {"/sandbox-probe", "hold"}, options);
    ASSERT_TRUE(running.expect("\"ready\":true")) << running.err();
    running.signal(SIGKILL);
    running.wait();
    const Ended cleaned = sandbox_command({"gc"});
    EXPECT_TRUE(cleaned.ok()) << cleaned;
    EXPECT_EQ(owners(), before);
    EXPECT_EQ(differences_since(snapshot), "");
}

TEST_F(Owners, are_given_away_by_chown_only_for_the_root) {
    const auto before = owners_of(tree());
    for (const std::string& profile : {cat("version: 1\nrootfs: {overlay: {lower: [", tree(), "]}, idmap: chown}\n"),
                                       std::string("version: 1\nrootfs: {host: ro, idmap: chown}\n"),
                                       in_tree(cat("mounts: [{source: ", tree(), "/own, target: /mnt, idmap: chown}]\n"))}) {
        const Ended ended = run_sandbox(profile, {"/sandbox-probe", "pid"});
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, AllOf(HasSubstr("idmap"), HasSubstr("only the tree of rootfs.path"))) << profile;
    }
    EXPECT_EQ(owners_of(tree()), before);
}

// ---- a sandbox in a sandbox: its outside ids are the inside ids of the one around it

class NestedOwners : public Owners, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Every, NestedOwners, ::testing::Values("path", "overlay"), [](const auto& one) { return std::string(one.param); });

TEST_P(NestedOwners, are_what_both_maps_say) {
    const auto before = owners_of(tree());
    const bool overlay = std::string_view(GetParam()) == "overlay";
    const std::string root = overlay ? cat("overlay: {lower: [", tree(), "]}") : cat("path: ", tree());
    // The outer sandbox sees the owners as on disk; in the inner one root and 1000 have other numbers, 1500 and 40000 none.
    const std::string inner = place.write("inner.yaml", cat("version: 1\nrootfs: {", root,
                                                            "}\nid_map: {uid: ['0:0:1', '50:1000:10'], gid: ['0:0:1', '60:1001:5']}\n"
                                                            "process: {command: [/sandbox-probe, ids, 'stat:/own/root', 'stat:/own/user', "
                                                            "'stat:/own/other', 'stat:/own/high']}\n"));
    Options options;
    options.add = {{"XDG_RUNTIME_DIR", "/tmp"}};
    const Json seen =
        last_json(run_sandbox("version: 1\nrootfs: {host: ro}\ncapabilities: {base: all}\n"
                              "security: {seccomp: {profile: none}}\nmask: none\nreadonly_paths: none\n"
                              "mounts: [{type: tmpfs, target: /run}]\n",
                              {sandbox_binary(), "up", inner}, options));
    EXPECT_EQ(seen["ids"]["uid_map"], (Json{{0, 0, 1}, {50, 1000, 10}}));
    EXPECT_EQ(owner_in(seen, "/own/root"), "0:0");
    EXPECT_EQ(owner_in(seen, "/own/user"), "50:60");
    EXPECT_EQ(owner_in(seen, "/own/other"), "65534:65534");
    EXPECT_EQ(owner_in(seen, "/own/high"), "65534:65534");
    EXPECT_EQ(owners_of(tree()), before);
}

}  // namespace
