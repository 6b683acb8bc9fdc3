// What is mounted on the root: each type, its mode and flags, where it lands, what is left out, what is refused.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <list>
#include <set>

#include "own_tree.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

// The flags that hold for a mount.
std::set<std::string> flags_of(const Json& mount) {
    std::set<std::string> flags;
    const std::string options = mount.is_null() ? "nothing is mounted" : mount["options"].get<std::string>();
    for (const std::string_view word : sandbox::split(options, ',')) flags.emplace(word);
    return flags;
}

class Mounts : public EveryWay {
   protected:
    void SetUp() override {
        EveryWay::SetUp();
        if (IsSkipped()) return;
        for (const char* folder : {"source/sub", "a", "b", "outside"}) place().make(folder);
        place().write("source/file", "of the host\n");
        place().write("a/one", "a");
        place().write("b/two", "b");
        hand_over(place());
    }
    [[nodiscard]] const TempDir& place() const { return tree_.place(); }
    [[nodiscard]] std::string source() const { return place() / "source"; }
    // The tree and what lies beside it is compared as well.
    [[nodiscard]] SnapshotOptions everything() const { return {{place().path()}, -1}; }
    [[nodiscard]] Json look(std::string_view rest, const Words& verbs, std::string_view root = {}) const {
        return probe_in_sandbox(profile(cat(tree_.as_root(root), rest)), verbs, options());
    }
    [[nodiscard]] Ended launch(std::string_view rest, const Words& argv = {"/sandbox-probe", "dir:/"}) const {
        return run_sandbox(profile(cat(tree_.as_root(), rest)), argv, options());
    }
    // Whether the launcher itself mounts: root of the initial user namespace.
    static bool privileged() { return !GetParam().ordinary && is_host_root(); }
    const OwnTree tree_;
};
INSTANTIATE_EVERY_WAY(Mounts);

// ---- types

TEST_P(Mounts, of_every_type_are_there) {
    const auto before = HostSnapshot::take(everything());
    Json seen = look(cat(R"(mounts:
  - {source: )",
                         source(), R"(, target: /m/bind}
  - {type: tmpfs, target: /m/tmpfs}
  - {type: overlay, target: /m/overlay, overlay: {lower: [)",
                         place() / "a", ", ", place() / "b", R"(]}}
  - {type: proc, target: /m/proc}
  - {type: sysfs, target: /m/sysfs}
  - {type: mqueue, target: /m/mqueue}
  - {type: devpts, target: /m/devpts}
)"),
                     {"mounts", "read:/m/bind/file", "create:/m/tmpfs/made", "dir:/m/overlay", "create:/m/overlay/made",
                      "readlink:/m/proc/self", "pid", "dir:/m/sysfs/class/net", "mqueue:/mine", "dir:/m/mqueue", "devices:/m/devpts"});
    const auto type_at = [&](const char* target) { return mount_at(seen["mounts"], target)["type"]; };
    for (const char* type : {"tmpfs", "overlay", "proc", "sysfs", "mqueue", "devpts"}) EXPECT_EQ(type_at(cat("/m/", type).c_str()), type);
    EXPECT_EQ(seen["read:/m/bind/file"]["text"], "of the host\n");
    EXPECT_EQ(seen["create:/m/tmpfs/made"], "ok");
    EXPECT_EQ(names_of(seen["dir:/m/overlay"]["names"]), (Names{"one", "two"}));
    EXPECT_EQ(seen["create:/m/overlay/made"], "ok");
    EXPECT_EQ(seen["readlink:/m/proc/self"], std::to_string(seen["pid"]["pid"].get<int>()));
    EXPECT_EQ(seen["dir:/m/sysfs/class/net"]["names"], Json{"lo"});
    EXPECT_EQ(seen["dir:/m/mqueue"]["names"], Json{"mine"});
    EXPECT_EQ(seen["devices:/m/devpts"]["ptmx"]["mode"], "0666");
    // Kernel file systems hold no programs, and what shows the kernel is not written to unless the profile says so.
    for (const char* target : {"/m/proc", "/m/sysfs", "/m/mqueue", "/m/devpts"})
        EXPECT_THAT(flags_of(mount_at(seen["mounts"], target)), IsSupersetOf({"nosuid", "noexec"})) << target;
    for (const char* target : {"/m/bind", "/m/proc", "/m/sysfs"})
        EXPECT_THAT(flags_of(mount_at(seen["mounts"], target)), Contains("ro")) << target;
    for (const char* target : {"/m/tmpfs", "/m/overlay", "/m/mqueue", "/m/devpts"})
        EXPECT_THAT(flags_of(mount_at(seen["mounts"], target)), Contains("rw")) << target;
    for (const Json& mount : seen["mounts"]) EXPECT_EQ(mount["propagation"], Json::array()) << mount;
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Mounts, of_cgroups_show_the_sandboxs_own_alone) {
    const auto before = HostSnapshot::take(everything());
    Json seen = look("mounts: [{type: cgroup, target: /m/cgroup}]\n",
                     {"mounts", "dir:/m/cgroup", "mkdir:/m/cgroup/made", "mkdir:/m/cgroup/unified/made"});
    int found = 0;
    for (const Json& mount : seen["mounts"]) {
        const std::string type = mount["type"], target = mount["target"];
        if (!target.starts_with("/m/cgroup")) continue;
        EXPECT_THAT(flags_of(mount), IsSupersetOf({"ro", "nosuid", "nodev", "noexec"})) << mount;
        EXPECT_EQ(mount["root"], "/") << mount;
        if (type == "cgroup" || type == "cgroup2") ++found;
    }
    EXPECT_GE(found, 1) << seen["mounts"];
    EXPECT_EQ(seen["mkdir:/m/cgroup/made"], "EROFS");
    EXPECT_NE(seen["mkdir:/m/cgroup/unified/made"], "ok");
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Mounts, take_the_place_of_the_ones_every_sandbox_has) {
    Json seen = look(
        "mounts: [{type: tmpfs, target: /sys, size: 64Ki}, {type: proc, target: /proc}, {type: tmpfs, target: /dev/shm, "
        "size: 128Ki, perm: '0700'}]\n",
        {"mounts", "dir:/sys", "statfs:/dev/shm", "stat:/dev/shm", "read:/proc/interrupts", "write:/proc/sys/kernel/msgmax=1"});
    EXPECT_EQ(mount_at(seen["mounts"], "/sys")["type"], "tmpfs");
    EXPECT_EQ(seen["dir:/sys"]["names"], Json::array());
    EXPECT_EQ(seen["statfs:/dev/shm"]["size"], 128 << 10);
    EXPECT_EQ(seen["stat:/dev/shm"]["mode"], "0700");
    EXPECT_THAT(flags_of(mount_at(seen["mounts"], "/proc")), Contains("ro"));
    // The masks are there all the same.
    EXPECT_EQ(seen["read:/proc/interrupts"]["text"], "");
    EXPECT_EQ(seen["write:/proc/sys/kernel/msgmax=1"], "EROFS");
}

TEST_P(Mounts, in_memory_have_their_size_and_mode) {
    Json seen = look(
        "mounts: [{type: tmpfs, target: /m/a, size: 1Mi, perm: '0710'}, {type: tmpfs, target: /m/b}, "
        "{type: tmpfs, target: /m/c, mode: ro}]\n",
        {"statfs:/m/a", "stat:/m/a", "stat:/m/b", "create:/m/b/made", "create:/m/c/made"});
    EXPECT_EQ(seen["statfs:/m/a"]["size"], 1 << 20);
    EXPECT_EQ(seen["stat:/m/a"]["mode"], "0710");
    EXPECT_EQ(seen["stat:/m/a"]["uid"], 0);
    EXPECT_EQ(seen["stat:/m/b"]["mode"], "1777");
    EXPECT_EQ(seen["create:/m/b/made"], "ok");
    EXPECT_EQ(seen["create:/m/c/made"], "EROFS");
}

// ---- mode and flags

TEST_P(Mounts, are_read_only_unless_asked) {
    const auto before = HostSnapshot::take();
    Json seen = look(cat("mounts: [{source: ", source(), ", target: /ro}, {source: ", place() / "a", ", target: /rw, mode: rw}]\n"),
                     {"create:/ro/made", "write:/ro/file=x", "create:/rw/made", "stat:/rw/made"});
    EXPECT_EQ(seen["create:/ro/made"], "EROFS");
    EXPECT_EQ(seen["write:/ro/file=x"], "EROFS");
    EXPECT_EQ(seen["create:/rw/made"], "ok");
    EXPECT_EQ(seen["stat:/rw/made"]["uid"], 0);
    struct stat info {};
    ASSERT_EQ(stat((place() / "a/made").c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, GetParam().ordinary ? *options().uid : 0);
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Mounts, have_neither_programs_nor_set_user_ids_nor_devices_unless_asked) {
    std::filesystem::copy_file(probe_binary(), source() + "/program");
    Json seen = look(cat("mounts: [{source: ", source(), ", target: /plain}, {source: ", source(),
                         ", target: /all, exec: true, suid: true, dev: true}, {type: tmpfs, target: /m/plain}, "
                         "{type: tmpfs, target: /m/all, exec: true, suid: true}]\n"),
                     {"mounts", "statfs:/plain", "statfs:/all", "exec:/plain/program pid", "exec:/all/program pid"});
    for (const char* target : {"/plain", "/m/plain"})
        EXPECT_THAT(flags_of(mount_at(seen["mounts"], target)), IsSupersetOf({"nosuid", "nodev", "noexec"})) << target;
    for (const char* flag : {"nosuid", "nodev", "noexec"}) EXPECT_THAT(flags_of(mount_at(seen["mounts"], "/all")), Not(Contains(flag)));
    for (const char* flag : {"nosuid", "noexec"}) EXPECT_THAT(flags_of(mount_at(seen["mounts"], "/m/all")), Not(Contains(flag)));
    EXPECT_THAT(flags_of(mount_at(seen["mounts"], "/m/all")), Contains("nodev"));
    EXPECT_THAT(seen["statfs:/plain"]["flags"], IsSupersetOf({"ro", "nosuid", "nodev", "noexec"}));
    EXPECT_EQ(seen["exec:/plain/program pid"], "EACCES");
    EXPECT_EQ(seen["exec:/all/program pid"], 0);
}

TEST_P(Mounts, are_said_shortly) {
    std::filesystem::copy_file(probe_binary(), source() + "/program");
    const auto before = HostSnapshot::take();
    const Ended ended =
        launch(cat("mounts: [\"", source(), ":/short\", \"", place() / "a", ":/rw:rw,exec,suid,dev\", \"", place() / "none",
                   ":/gone:optional\"]\n"),
               {"/sandbox-probe", "mounts", "read:/short/file", "exec:/short/program pid", "create:/rw/made", "stat:/gone"});
    Json seen = last_json(ended);
    EXPECT_THAT(flags_of(mount_at(seen["mounts"], "/short")), IsSupersetOf({"ro", "nosuid", "nodev", "noexec"}));
    EXPECT_EQ(seen["read:/short/file"]["text"], "of the host\n");
    EXPECT_EQ(seen["exec:/short/program pid"], "EACCES");
    EXPECT_EQ(seen["create:/rw/made"], "ok");
    for (const char* flag : {"ro", "nosuid", "nodev", "noexec"})
        EXPECT_THAT(flags_of(mount_at(seen["mounts"], "/rw")), Not(Contains(flag)));
    EXPECT_EQ(seen["stat:/gone"]["error"], "ENOENT");
    EXPECT_THAT(ended.err, HasSubstr(cat("left out: mount:/gone: ", place() / "none", " is missing")));
    EXPECT_EQ(differences_since(before), "");
}

// ---- the mounts below a source

TEST_P(Mounts, come_with_the_mounts_below_them_in_the_same_mode) {
    const std::string sub = source() + "/sub";
    ASSERT_EQ(mount("tmpfs", sub.c_str(), "tmpfs", 0, "mode=0777"), 0);
    write_text(sub + "/deep", "deep", 0666);
    Json seen = look(
        cat("mounts: [{source: ", source(), ", target: /ro}, {source: ", source(), ", target: /rw, mode: rw}]\n"),
        {"read:/ro/sub/deep", "create:/ro/sub/made", "write:/ro/sub/deep=x", "statfs:/ro/sub", "create:/rw/sub/made", "statfs:/rw/sub"});
    const bool made = exists(sub + "/made");
    umount2(sub.c_str(), MNT_DETACH);
    EXPECT_EQ(seen["read:/ro/sub/deep"]["text"], "deep");
    EXPECT_EQ(seen["create:/ro/sub/made"], "EROFS");
    EXPECT_EQ(seen["write:/ro/sub/deep=x"], "EROFS");
    EXPECT_THAT(seen["statfs:/ro/sub"]["flags"], IsSupersetOf({"ro", "nosuid", "nodev", "noexec"}));
    EXPECT_EQ(seen["create:/rw/sub/made"], "ok");
    EXPECT_TRUE(made);
    EXPECT_THAT(seen["statfs:/rw/sub"]["flags"], IsSupersetOf({"nosuid", "nodev", "noexec"}));
}

TEST_P(Mounts, come_without_the_mounts_below_them_when_asked_and_possible) {
    const std::string sub = source() + "/sub";
    ASSERT_EQ(mount("tmpfs", sub.c_str(), "tmpfs", 0, "mode=0777"), 0);
    write_text(sub + "/deep", "deep");
    const Ended ended = launch(cat("mounts: [{source: ", source(), ", target: /alone, recursive: false}]\n"),
                               {"/sandbox-probe", "dir:/alone", "dir:/alone/sub"});
    umount2(sub.c_str(), MNT_DETACH);
    if (privileged()) {
        Json seen = last_json(ended);
        EXPECT_EQ(seen["dir:/alone"]["names"], (Json{"file", "sub"}));
        EXPECT_EQ(seen["dir:/alone/sub"]["names"], Json::array());
    } else {
        // What is covered on the host would come to light (mount_namespaces(7)): the kernel does not let it.
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr("recursive"));
    }
}

// ---- what is missing

TEST_P(Mounts, with_a_missing_source_are_refused_or_left_out_and_said) {
    const auto before = HostSnapshot::take(everything());
    const std::string missing = place() / "none";
    const Ended refused = launch(cat("mounts: [{source: ", missing, ", target: /m}]\n"));
    EXPECT_EQ(refused.code, 125) << refused;
    EXPECT_THAT(refused.err, HasSubstr(missing));
    EXPECT_THAT(refused.err, HasSubstr("mounts[0].source"));
    const Ended left_out = launch(cat("mounts: [{source: ", missing, ", target: /m, optional: true}]\n"));
    EXPECT_THAT(names_of(last_json(left_out)["dir:/"]["names"]), Not(Contains("m")));
    EXPECT_THAT(left_out.err, HasSubstr(cat("left out: mount:/m: ", missing, " is missing")));
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Mounts, make_their_targets_and_take_them_away) {
    const auto before = HostSnapshot::take(everything());
    Json seen = look(cat("mounts: [{source: ", source(), ", target: /deep/er/folder}, {source: ", source(), "/file, target: /deep/file}, ",
                         "{type: tmpfs, target: /deep/memory}]\n"),
                     {"dir:/deep", "dir:/deep/er", "read:/deep/file", "read:/deep/er/folder/file", "stat:/deep"});
    EXPECT_EQ(names_of(seen["dir:/deep"]["names"]), (Names{"er", "file", "memory"}));
    EXPECT_EQ(names_of(seen["dir:/deep/er"]["names"]), Names{"folder"});
    EXPECT_EQ(seen["read:/deep/file"]["text"], "of the host\n");
    EXPECT_EQ(seen["read:/deep/er/folder/file"]["text"], "of the host\n");
    EXPECT_EQ(seen["stat:/deep"]["mode"], "0755");
    EXPECT_EQ(differences_since(before, everything()), "");
}

// Others of the same tree come and go meanwhile: what one finds there another may be about to take away.
TEST_P(Mounts, make_their_targets_beside_others_that_do) {
    std::list<Process> running;
    const auto ends_well = [&] {
        const Ended ended = running.front().wait();
        EXPECT_TRUE(ended.ok()) << ended;
        running.pop_front();
    };
    for (int launch = 0; launch < 60; ++launch) {
        if (running.size() == 8) ends_well();
        running.push_back(start_sandbox(profile(cat(tree_.as_root(), "mounts: [{source: ", source(),
                                                    ", target: /deep/folder}, {source: ", source(), "/file, target: /deep/file}]\n")),
                                        {"/sandbox-probe", "read:/deep/file"}, options()));
    }
    while (!running.empty()) ends_well();
}

TEST_P(Mounts, make_no_target_when_told_so) {
    const auto before = HostSnapshot::take(everything());
    const Ended refused = launch(cat("mounts: [{source: ", source(), ", target: /none/such, create: false}]\n"));
    EXPECT_EQ(refused.code, 125) << refused;
    EXPECT_THAT(refused.err, HasSubstr("/none/such"));
    const Ended left_out = launch(cat("mounts: [{source: ", source(), ", target: /none/such, create: false, optional: true}]\n"));
    EXPECT_EQ(left_out.code, 0) << left_out;
    EXPECT_THAT(left_out.err, HasSubstr("/none/such"));
    EXPECT_EQ(look(cat("mounts: [{source: ", source(), ", target: /mnt, create: false}]\n"), {"read:/mnt/file"})["read:/mnt/file"]["text"],
              "of the host\n");
    EXPECT_EQ(differences_since(before, everything()), "");
}

// ---- where they land

TEST_P(Mounts, cover_a_file_with_a_file_and_nothing_with_its_opposite) {
    place().write("root/etc/file", "of the tree\n");
    hand_over(place());
    const auto before = HostSnapshot::take(everything());
    Json seen = look(cat("mounts: [{source: ", source(), "/file, target: /etc/file}]\n"), {"read:/etc/file", "write:/etc/file=x"});
    EXPECT_EQ(seen["read:/etc/file"]["text"], "of the host\n");
    EXPECT_EQ(seen["write:/etc/file=x"], "EROFS");
    const Ended folder_on_file = launch(cat("mounts: [{source: ", source(), ", target: /etc/file}]\n"));
    EXPECT_EQ(folder_on_file.code, 125) << folder_on_file;
    EXPECT_THAT(folder_on_file.err, HasSubstr("/etc/file"));
    const Ended file_on_folder = launch(cat("mounts: [{source: ", source(), "/file, target: /etc}]\n"));
    EXPECT_EQ(file_on_folder.code, 125) << file_on_folder;
    EXPECT_THAT(file_on_folder.err, HasSubstr("/etc"));
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Mounts, come_parents_first_whatever_the_order) {
    const auto before = HostSnapshot::take(everything());
    Json seen =
        look(cat("mounts: [{type: tmpfs, target: /p/q/r}, {source: ", source(), ", target: /p/q/bound}, {type: tmpfs, target: /p}, ",
                 "{source: ", place() / "a", ", target: /p/q/r/s}, {type: tmpfs, target: /p/q}]\n"),
             {"mounts", "dir:/p", "dir:/p/q", "dir:/p/q/r", "read:/p/q/bound/file", "read:/p/q/r/s/one"});
    for (const char* target : {"/p", "/p/q", "/p/q/r", "/p/q/bound", "/p/q/r/s"})
        EXPECT_FALSE(mount_at(seen["mounts"], target).is_null()) << target;
    EXPECT_EQ(names_of(seen["dir:/p"]["names"]), Names{"q"});
    EXPECT_EQ(names_of(seen["dir:/p/q"]["names"]), (Names{"bound", "r"}));
    EXPECT_EQ(names_of(seen["dir:/p/q/r"]["names"]), Names{"s"});
    EXPECT_EQ(seen["read:/p/q/bound/file"]["text"], "of the host\n");
    EXPECT_EQ(seen["read:/p/q/r/s/one"]["text"], "a");
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Mounts, through_a_link_of_the_tree_stay_inside) {
    place().make("root/real");
    place().link("root/absolute", "/real");
    place().link("root/upwards", "../../../../real");
    place().link("root/outwards", cat("../outside"));
    hand_over(place());
    const auto before = HostSnapshot::take(everything());
    Json seen = look(cat("mounts: [{source: ", source(), ", target: /absolute/one}, {type: tmpfs, target: /upwards/two}]\n"),
                     {"mounts", "dir:/real", "read:/real/one/file"});
    EXPECT_EQ(names_of(seen["dir:/real"]["names"]), (Names{"one", "two"}));
    EXPECT_EQ(seen["read:/real/one/file"]["text"], "of the host\n");
    EXPECT_EQ(mount_at(seen["mounts"], "/real/two")["type"], "tmpfs");
    // The way out of the tree ends at its top, where there is no such folder.
    const Ended outwards = launch("mounts: [{type: tmpfs, target: /outwards/three}]\n");
    EXPECT_EQ(outwards.code, 125) << outwards;
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Mounts, with_a_way_upwards_in_their_target_are_refused) {
    const auto before = HostSnapshot::take(everything());
    for (const std::string& what :
         {cat("mounts: [{source: ", source(), ", target: /mnt/../../outside}]\n"), cat("mounts: [\"", source(), ":/mnt/../x\"]\n"),
          std::string("mounts: [{type: tmpfs, target: /..}]\n"), std::string("mounts: [{type: tmpfs, target: mnt}]\n"),
          std::string("files: {/etc/../../x: {content: x}}\n"), std::string("dirs: [/mnt/..]\n"), std::string("symlinks: {/../x: y}\n"),
          std::string("mask: [/proc/../etc]\n"), std::string("mounts: [{type: tmpfs, target: /}]\n")}) {
        const Ended ended = launch(what);
        EXPECT_EQ(ended.code, 125) << what << ended;
        EXPECT_THAT(ended.err, HasSubstr("error")) << what;
    }
    EXPECT_EQ(differences_since(before, everything()), "");
}

TEST_P(Mounts, do_not_follow_what_the_host_mounts_later) {
    Options with = options();
    with.keep_input_open = true;
    Process running = start_sandbox(profile(cat(tree_.as_root(), "mounts: [{source: ", source(), ", target: /bound, mode: rw}]\n")),
                                    {"/sandbox-probe", "hold", "dir:/bound/sub", "create:/bound/sub/made"}, with);
    ASSERT_TRUE(running.expect("\"ready\":true")) << running.err();
    const std::string sub = source() + "/sub";
    ASSERT_EQ(mount("tmpfs", sub.c_str(), "tmpfs", 0, "mode=0777"), 0);
    write_text(sub + "/later", "");
    running.close_input();
    const Ended ended = running.wait();
    umount2(sub.c_str(), MNT_DETACH);
    Json seen = last_json(ended);
    EXPECT_EQ(seen["dir:/bound/sub"]["names"], Json::array());
    EXPECT_EQ(seen["create:/bound/sub/made"], "ok");
    EXPECT_TRUE(exists(sub + "/made"));
}

}  // namespace
