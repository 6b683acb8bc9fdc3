// Files, folders and links that the profile makes; what is covered, what is read-only; the modes of /proc.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "own_tree.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// The roots over which things are made: what is made must look the same whatever it is made in.
struct Ground {
    const char* name;
    const char* root;  // @TREE@ stands for a tree of the test's own
};
std::ostream& operator<<(std::ostream& stream, const Ground& ground) { return stream << ground.name; }

constexpr Ground grounds[] = {{"directory", "rootfs: {path: @TREE@}\n"},
                              {"read_only_directory", "rootfs: {path: @TREE@, readonly: true}\n"},
                              {"overlay", "rootfs: {overlay: {lower: [@TREE@]}}\n"},
                              {"read_only_overlay", "rootfs: {overlay: {lower: [@TREE@]}, readonly: true}\n"},
                              {"memory", "rootfs: {tmpfs: {}}\nmounts: [{source: @PROBE@, target: /sandbox-probe, exec: true}]\n"},
                              {"read_only_host", "rootfs: {host: ro}\n"}};

class Made : public ::testing::TestWithParam<std::tuple<Ground, Way>> {
   protected:
    void SetUp() override {
        REQUIRE_OR_SKIP(is_root(), "needs root, which can be each of the three");
        tree_.place().write("root/etc/there", "of the tree\n");
        if (way().ordinary) run({"chown", "-hR", cat(*options().uid, ":", *options().uid), tree_.place().path()});
    }
    [[nodiscard]] static const Ground& ground() { return std::get<0>(GetParam()); }
    [[nodiscard]] static const Way& way() { return std::get<1>(GetParam()); }
    [[nodiscard]] static Options options() { return options_for(way()); }
    [[nodiscard]] std::string profile(std::string_view rest) const {
        std::string root = ground().root;
        if (const auto at = root.find("@TREE@"); at != root.npos) root.replace(at, 6, tree_.root());
        return profile_for(way(), cat(root, rest));
    }
    [[nodiscard]] SnapshotOptions everything() const { return {{tree_.place().path()}, -1}; }
    // Where the ordinary user has no other id than its own, all that is made is root's.
    [[nodiscard]] static std::string owner(const char* wanted) { return way().ordinary ? "" : wanted; }
    const OwnTree tree_;
};
INSTANTIATE_TEST_SUITE_P(All, Made,
                         ::testing::Combine(::testing::ValuesIn(grounds), ::testing::Values(own_ids, no_user_namespace, ordinary)),
                         [](const auto& one) { return cat(std::get<0>(one.param).name, "_", std::get<1>(one.param).name); });

TEST_P(Made, files_have_their_content_mode_and_owner) {
    const std::string big(300000, 'x');
    tree_.place().write("big", big);
    const auto before = HostSnapshot::take(everything());
    Json seen =
        probe_in_sandbox(profile(cat("files:\n  /etc/made: {content: \"two\\nlines\\n\", perm: \"0640\"", owner(", uid: 1000, gid: 29"),
                                     "}\n  /made-here/deep/er/file: {content: \"\"}\n  /made-here/copy: {source: ", tree_.place() / "big",
                                     ", perm: \"0400\"}\n  /made-here/program: {source: @PROBE@, perm: \"0755\"}\n")),
                         {"read:/etc/made", "stat:/etc/made", "stat:/made-here/deep/er/file", "stat:/made-here/deep",
                          "stat:/made-here/copy", "read:/made-here/copy", "exec:/made-here/program pid"},
                         options());
    EXPECT_EQ(seen["read:/etc/made"]["text"], "two\nlines\n");
    EXPECT_EQ(seen["stat:/etc/made"]["type"], "file");
    EXPECT_EQ(seen["stat:/etc/made"]["mode"], "0640");
    EXPECT_EQ(seen["stat:/etc/made"]["uid"], way().ordinary ? 0 : 1000);
    EXPECT_EQ(seen["stat:/etc/made"]["gid"], way().ordinary ? 0 : 29);
    Json& empty = seen["stat:/made-here/deep/er/file"];
    EXPECT_EQ(empty["size"], 0);
    EXPECT_EQ(empty["mode"], "0644");
    EXPECT_EQ(empty["uid"], 0);
    EXPECT_EQ(seen["stat:/made-here/deep"]["mode"], "0755");
    EXPECT_EQ(seen["stat:/made-here/deep"]["uid"], 0);
    EXPECT_EQ(seen["stat:/made-here/copy"]["mode"], "0400");
    EXPECT_EQ(seen["stat:/made-here/copy"]["size"], 300000);
    EXPECT_TRUE(seen["read:/made-here/copy"]["text"] == big);
    EXPECT_EQ(seen["exec:/made-here/program pid"], 0);
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Made, files_take_the_place_of_those_that_are_there_and_leave_them_alone) {
    // The host's own file is another in each of the grounds.
    const std::string there = ground().name == std::string_view("read_only_host") ? "/etc/passwd" : "/etc/there";
    const std::string text = read_text(there);
    const auto before = HostSnapshot::take(everything());
    Json seen = probe_in_sandbox(profile(cat("files: {", there, ": {content: \"new\", perm: \"0600\"}}\nprocess: {user: '0:0'}\n")),
                                 {"read:" + there, "stat:" + there, "write:" + there + "=changed", "dir:/etc"}, options());
    EXPECT_EQ(seen["read:" + there]["text"], "new");
    EXPECT_EQ(seen["stat:" + there]["mode"], "0600");
    EXPECT_THAT(names_of(seen["dir:/etc"]["names"]), Contains(there.substr(5)));
    EXPECT_EQ(read_text(there), text);
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Made, folders_have_their_mode_and_owner) {
    const auto before = HostSnapshot::take(everything());
    Json seen = probe_in_sandbox(
        profile(cat("dirs: [/etc/plain, {path: /made-here/deep/own, perm: \"0750\"", owner(", uid: 1000, gid: 29"),
                    "}, {path: /made-here/sticky, perm: \"1777\"}]\n", "process: {umask: '0077'}\n")),
        {"stat:/etc/plain", "stat:/made-here", "stat:/made-here/deep", "stat:/made-here/deep/own", "stat:/made-here/sticky"}, options());
    for (const char* plain : {"stat:/etc/plain", "stat:/made-here", "stat:/made-here/deep"}) {
        EXPECT_EQ(seen[plain]["type"], "directory") << plain;
        EXPECT_EQ(seen[plain]["mode"], "0755") << plain;
        EXPECT_EQ(seen[plain]["uid"], 0) << plain;
    }
    EXPECT_EQ(seen["stat:/made-here/deep/own"]["mode"], "0750");
    EXPECT_EQ(seen["stat:/made-here/deep/own"]["uid"], way().ordinary ? 0 : 1000);
    EXPECT_EQ(seen["stat:/made-here/deep/own"]["gid"], way().ordinary ? 0 : 29);
    EXPECT_EQ(seen["stat:/made-here/sticky"]["mode"], "1777");
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Made, links_lead_where_the_profile_says) {
    const auto before = HostSnapshot::take(everything());
    Json seen = probe_in_sandbox(
        profile("symlinks: {/etc/absolute: /made-here/file, /made-here/relative: file, /made-here/nowhere: ../../no/such}\n"
                "files: {/made-here/file: {content: reached}}\n"),
        {"readlink:/etc/absolute", "read:/etc/absolute", "readlink:/made-here/relative", "read:/made-here/relative",
         "readlink:/made-here/nowhere", "read:/made-here/nowhere"},
        options());
    EXPECT_EQ(seen["readlink:/etc/absolute"], "/made-here/file");
    EXPECT_EQ(seen["read:/etc/absolute"]["text"], "reached");
    EXPECT_EQ(seen["readlink:/made-here/relative"], "file");
    EXPECT_EQ(seen["read:/made-here/relative"]["text"], "reached");
    EXPECT_EQ(seen["readlink:/made-here/nowhere"], "../../no/such");
    EXPECT_EQ(seen["read:/made-here/nowhere"]["error"], "ENOENT");
    EXPECT_EQ(differences_since(before, everything()), "");
}

class MadeReadOnly : public Made {};
INSTANTIATE_TEST_SUITE_P(All, MadeReadOnly,
                         ::testing::Combine(::testing::Values(grounds[1], grounds[3], grounds[5]),
                                            ::testing::Values(own_ids, no_user_namespace, ordinary)),
                         [](const auto& one) { return cat(std::get<0>(one.param).name, "_", std::get<1>(one.param).name); });

TEST_P(MadeReadOnly, stays_so_whatever_is_made_in_it) {
    const auto before = HostSnapshot::take(everything());
    Json seen = probe_in_sandbox(profile("dirs: [/made-here/dir]\nfiles: {/made-here/file: {content: x}}\n"),
                                 {"create:/other", "create:/etc/other", "create:/made-here/other", "create:/made-here/dir/other",
                                  "unlink:/made-here/file", "mkdir:/tmp/other"},
                                 options());
    for (const auto& [verb, result] : seen.items()) EXPECT_THAT(result, AnyOf("EROFS", "EBUSY")) << verb;
    EXPECT_EQ(differences_since(before, everything()), "");
}

// ---- the ways alone

class Paths : public EveryWay {
   protected:
    [[nodiscard]] Json look(std::string_view rest, const Words& verbs) const {
        return probe_in_sandbox(profile(cat(tree_.as_root(), rest)), verbs, options());
    }
    [[nodiscard]] Ended launch(std::string_view rest) const {
        return run_sandbox(profile(cat(tree_.as_root(), rest)), {"/sandbox-probe", "dir:/"}, options());
    }
    [[nodiscard]] SnapshotOptions everything() const { return {{tree_.place().path()}, -1}; }
    const OwnTree tree_;
};
INSTANTIATE_EVERY_WAY(Paths);

TEST_P(Paths, are_made_in_mounts_too) {
    tree_.place().make("bound");
    hand_over(tree_.place());
    const auto before = HostSnapshot::take(everything());
    Json seen = look(cat("mounts: [{type: tmpfs, target: /work}, {source: ", tree_.place() / "bound", ", target: /mnt, mode: rw}]\n",
                         "files: {/work/a/file: {content: a}, /mnt/file: {content: b}}\ndirs: [{path: /work/dir, perm: \"0700\"}, "
                         "{path: /mnt/dir, perm: \"0711\"}]\nsymlinks: {/work/link: a/file, /mnt/link: file}\n"),
                     {"read:/work/link", "read:/mnt/link", "stat:/work/dir", "stat:/mnt/dir", "stat:/work/a"});
    EXPECT_EQ(seen["read:/work/link"]["text"], "a");
    EXPECT_EQ(seen["read:/mnt/link"]["text"], "b");
    EXPECT_EQ(seen["stat:/work/dir"]["mode"], "0700");
    EXPECT_EQ(seen["stat:/mnt/dir"]["mode"], "0711");
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Paths, that_are_there_keep_their_mode_and_it_is_said) {
    tree_.place().make("root/work/there", 0711);
    hand_over(tree_.place());
    const auto before = HostSnapshot::take(everything());
    const Ended ended = launch("dirs: [{path: /work/there, perm: \"0700\"}]\n");
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_THAT(ended.err, HasSubstr("left out: dirs:/work/there: mode 0700: it is there already, with mode 0711"));
    EXPECT_EQ(differences_since(before, everything()), "");
}

class MappedPaths : public Paths {};
INSTANTIATE_TEST_SUITE_P(All, MappedPaths, ::testing::Values(own_ids, ordinary), way_name);

TEST_P(MappedPaths, with_an_owner_that_is_not_mapped_are_refused) {
    const auto before = HostSnapshot::take(everything());
    for (const char* what : {"files: {/work/x: {content: x, uid: 70000}}\n", "dirs: [{path: /work/x, gid: 70000}]\n"}) {
        const Ended ended = launch(what);
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr("70000 is not in the id map")) << ended;
    }
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Paths, keep_an_umask_of_the_caller_out) {
    hand_over(tree_.place());
    const mode_t old = umask(0077);
    Json seen = look("dirs: [/new/dir]\nfiles: {/new/file: {content: x}}\nmounts: [{type: tmpfs, target: /new/mounted/deep}]\n",
                     {"stat:/new", "stat:/new/dir", "stat:/new/file", "stat:/new/mounted"});
    umask(old);
    for (const char* folder : {"stat:/new", "stat:/new/dir", "stat:/new/mounted"}) EXPECT_EQ(seen[folder]["mode"], "0755") << folder;
    EXPECT_EQ(seen["stat:/new/file"]["mode"], "0644");
}

// ---- mask, readonly_paths

const Words masked_files = {"/proc/interrupts",  "/proc/kcore",         "/proc/keys",       "/proc/latency_stats",
                            "/proc/sched_debug", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats"};
const Words masked_folders = {"/proc/acpi",    "/proc/asound",
                              "/proc/scsi",    "/sys/devices/virtual/powercap",
                              "/sys/firmware", "/sys/devices/system/cpu/cpu0/thermal_throttle"};
const Words read_only = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"};

bool is_covered(const Json& mounts, const std::string& path) { return mount_at(mounts, path)["type"] == "tmpfs"; }

TEST_P(Paths, of_the_kernel_are_covered_by_default) {
    Words verbs = {"mounts"};
    for (const std::string& path : masked_files) verbs.insert(verbs.end(), {"read:" + path, "open-write:" + path});
    for (const std::string& path : masked_folders) verbs.insert(verbs.end(), {"dir:" + path, "create:" + path + "/x"});
    for (const std::string& path : read_only) verbs.push_back("statfs:" + path);
    for (const char* profile_text : {"", "mask: default\nreadonly_paths: default\n", "mask: [/etc]\nreadonly_paths: [/mnt]\n"}) {
        Json seen = look(profile_text, verbs);
        int covered = 0;
        for (const std::string& path : masked_files) {
            const bool there = exists(path);
            EXPECT_EQ(seen["read:" + path], there ? (Json{{"text", ""}}) : (Json{{"error", "ENOENT"}})) << path;
            EXPECT_EQ(is_covered(seen["mounts"], path), there) << path;
            EXPECT_NE(seen["open-write:" + path], "ok") << path;
            covered += there ? 1 : 0;
        }
        EXPECT_GE(covered, 3);
        for (const std::string& path : masked_folders) {
            const bool there = exists(path);
            EXPECT_EQ(seen["dir:" + path], there ? (Json{{"names", Json::array()}}) : (Json{{"error", "ENOENT"}})) << path;
            EXPECT_NE(seen["create:" + path + "/x"], "ok") << path;
        }
        for (const std::string& path : read_only) {
            if (exists(path)) {
                EXPECT_THAT(seen["statfs:" + path]["flags"], Contains("ro")) << path;
            }
        }
    }
}

TEST_P(Paths, of_the_kernel_are_open_when_asked) {
    Json seen = look("mask: none\nreadonly_paths: none\n", {"mounts", "read:/proc/interrupts", "statfs:/proc/sys"});
    for (const Json& mount : seen["mounts"])
        EXPECT_THAT(mount["target"].get<std::string>(), Not(AnyOf(::testing::StartsWith("/proc/"), ::testing::StartsWith("/sys/"))))
            << mount;
    EXPECT_THAT(seen["read:/proc/interrupts"]["text"].get<std::string>(), HasSubstr("CPU0"));
    EXPECT_THAT(seen["statfs:/proc/sys"]["flags"], Not(Contains("ro")));
}

TEST_P(Paths, of_the_users_are_covered_as_well) {
    tree_.place().write("root/etc/secret", "secret");
    tree_.place().write("root/work/hidden/file", "secret");
    tree_.place().write("root/work/open", "open");
    hand_over(tree_.place());
    const auto before = HostSnapshot::take(everything());
    Json seen = look("mask: [/etc/secret, /work/hidden, /no/such]\n",
                     {"read:/etc/secret", "write:/etc/secret=x", "chmod:/etc/secret=0777", "unlink:/etc/secret", "dir:/work/hidden",
                      "read:/work/hidden/file", "create:/work/hidden/x", "read:/work/open", "rename:/work/hidden=/work/seen",
                      "read:/proc/interrupts", "umount:/etc/secret"});
    EXPECT_EQ(seen["read:/etc/secret"]["text"], "");
    EXPECT_EQ(seen["write:/etc/secret=x"], "EROFS");
    EXPECT_EQ(seen["chmod:/etc/secret=0777"], "EROFS");
    EXPECT_EQ(seen["unlink:/etc/secret"], "EBUSY");
    EXPECT_EQ(seen["dir:/work/hidden"]["names"], Json::array());
    EXPECT_EQ(seen["read:/work/hidden/file"]["error"], "ENOENT");
    EXPECT_EQ(seen["create:/work/hidden/x"], "EROFS");
    EXPECT_EQ(seen["rename:/work/hidden=/work/seen"], "EBUSY");
    EXPECT_EQ(seen["read:/work/open"]["text"], "open");
    EXPECT_EQ(seen["read:/proc/interrupts"]["text"], "");
    EXPECT_EQ(seen["umount:/etc/secret"], "EPERM");
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Paths, of_the_users_are_read_only_as_well) {
    tree_.place().write("root/etc/kept", "kept", 0666);
    tree_.place().make("root/work/kept");
    hand_over(tree_.place());
    const auto before = HostSnapshot::take(everything());
    Json seen = look("readonly_paths: [/etc/kept, /work/kept]\nmounts: [{type: tmpfs, target: /work/kept/below}]\n",
                     {"read:/etc/kept", "write:/etc/kept=x", "chmod:/etc/kept=0600", "create:/work/kept/x", "create:/work/kept/below/x",
                      "create:/work/kept-not", "unlink:/work/kept-not", "write:/proc/sys/kernel/msgmax=1"});
    EXPECT_EQ(seen["read:/etc/kept"]["text"], "kept");
    for (const char* verb : {"write:/etc/kept=x", "chmod:/etc/kept=0600", "create:/work/kept/x", "create:/work/kept/below/x",
                             "write:/proc/sys/kernel/msgmax=1"})
        EXPECT_EQ(seen[verb], "EROFS") << verb;
    EXPECT_EQ(seen["create:/work/kept-not"], "ok");
    EXPECT_EQ(seen["unlink:/work/kept-not"], "ok");
    EXPECT_EQ(differences_since(before, everything()), "");
    const Ended missing = launch("readonly_paths: [/no/such]\n");
    EXPECT_EQ(missing.code, 125) << missing;
    EXPECT_THAT(missing.err, HasSubstr("/no/such"));
}

// What is covered is what the link leads to, inside; never the link, never a file of the host.
TEST_P(Paths, that_are_links_cover_what_they_lead_to_inside) {
    tree_.place().write("root/etc/real", "secret");
    tree_.place().write("root/work/folder/file", "secret");
    tree_.place().write("etc/passwd", "of the host");
    tree_.place().link("root/etc/link", "real");
    tree_.place().link("root/folder", "/work/folder");
    tree_.place().link("root/outside", "../etc/passwd");
    tree_.place().write("root/etc/passwd", "of the tree");
    hand_over(tree_.place());
    const auto before = HostSnapshot::take(everything());
    Json seen = look("mask: [/etc/link, /folder, /outside]\n",
                     {"read:/etc/real", "read:/etc/link", "dir:/work/folder", "dir:/folder", "read:/etc/passwd", "readlink:/etc/link"});
    EXPECT_EQ(seen["read:/etc/real"]["text"], "");
    EXPECT_EQ(seen["read:/etc/link"]["text"], "");
    EXPECT_EQ(seen["readlink:/etc/link"], "real");
    EXPECT_EQ(seen["dir:/work/folder"]["names"], Json::array());
    EXPECT_EQ(seen["dir:/folder"]["names"], Json::array());
    EXPECT_EQ(seen["read:/etc/passwd"]["text"], "");
    EXPECT_EQ(read_text(tree_.place() / "etc/passwd"), "of the host");
    EXPECT_EQ(differences_since(before, everything()), "");
}

// ---- /proc

TEST_P(Paths, of_proc_are_fresh_inherited_or_not_there) {
    const std::string own = std::to_string(getpid());
    const auto before = HostSnapshot::take();
    Json fresh = look("proc: {mode: fresh}\n", {"mounts", "readlink:/proc/self", "pid", "dir:/proc"});
    EXPECT_EQ(mount_at(fresh["mounts"], "/proc")["type"], "proc");
    EXPECT_EQ(fresh["readlink:/proc/self"], std::to_string(fresh["pid"]["pid"].get<int>()));
    EXPECT_EQ(look("proc: {mode: none}\n", {"dir:/proc"})["dir:/proc"]["names"], Json::array());
    Json inherited = look("proc: {mode: inherit}\n", {"dir:/proc", cat("read:/proc/", own, "/comm"), "read:/proc/interrupts",
                                                      "write:/proc/sys/kernel/msgmax=1", "open-write:/proc/sysrq-trigger"});
    EXPECT_THAT(names_of(inherited["dir:/proc"]["names"]), Contains(own));
    EXPECT_EQ(inherited[cat("read:/proc/", own, "/comm")]["text"], read_text("/proc/self/comm"));
    EXPECT_EQ(inherited["read:/proc/interrupts"]["text"], "");
    EXPECT_EQ(inherited["write:/proc/sys/kernel/msgmax=1"], "EROFS");
    EXPECT_NE(inherited["open-write:/proc/sysrq-trigger"], "ok");
    EXPECT_EQ(differences_since(before), "");
}

struct Hiding {
    int value;
    bool listed, readable;
};
std::ostream& operator<<(std::ostream& stream, const Hiding& hiding) { return stream << hiding.value; }

class HidePid : public ::testing::TestWithParam<std::tuple<Hiding, Way>> {};
// An ordinary user without subordinate ids has no second user.
INSTANTIATE_TEST_SUITE_P(All, HidePid,
                         ::testing::Combine(::testing::Values(Hiding{0, true, true}, Hiding{1, true, false}, Hiding{2, false, false},
                                                              Hiding{4, false, false}),
                                            ::testing::Values(own_ids, no_user_namespace)),
                         [](const auto& one) { return cat(std::get<0>(one.param).value, "_", std::get<1>(one.param).name); });

// init belongs to root, the payload to another user.
TEST_P(HidePid, hides_the_processes_of_others) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const auto& [hiding, way] = GetParam();
    Json seen = probe_in_sandbox(
        profile_for(way, cat("rootfs: {path: @PROBE_TREE@}\nproc: {hidepid: ", hiding.value, "}\nprocess: {user: '1000:1000'}\n")),
        {"dir:/proc", "stat:/proc/1", "read:/proc/1/status", "pid", "ids", "read:/proc/self/status"});
    const std::string own = std::to_string(seen["pid"]["pid"].get<int>());
    EXPECT_NE(own, "1");
    EXPECT_THAT(names_of(seen["dir:/proc"]["names"]), Contains(own));
    EXPECT_TRUE(seen["read:/proc/self/status"].contains("text"));
    const Names names = names_of(seen["dir:/proc"]["names"]);
    EXPECT_EQ(std::count(names.begin(), names.end(), "1"), hiding.listed ? 1 : 0);
    EXPECT_EQ(seen["stat:/proc/1"].value("error", ""), hiding.listed ? "" : "ENOENT");
    EXPECT_EQ(seen["read:/proc/1/status"].contains("text"), hiding.readable) << seen["read:/proc/1/status"];
}

TEST_P(Paths, of_proc_have_no_fifth_way_of_hiding) {
    for (const char* value : {"3", "5", "-1", "invisible"}) {
        const Ended ended = launch(cat("proc: {hidepid: ", value, "}\n"));
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr("hidepid"));
    }
}

}  // namespace
