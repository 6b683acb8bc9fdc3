// What "/" is: a directory, an empty file system in memory, the host's own tree; read-only or not; and what of mounts made later
// crosses its edge. With three real trees: Debian, busybox, the host's.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own_tree.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// A directory mounted on another of the host, for as long as it lives; on the tests' own file system, which takes an id map
// where a tmpfs would not (before Linux 6.3).
class HostMount {
   public:
    explicit HostMount(std::string path) : path_(std::move(path)) {
        if (mount(place_.make("mounted", 0777).c_str(), path_.c_str(), nullptr, MS_BIND, nullptr) != 0)
            throw std::runtime_error("cannot mount on " + path_);
    }
    HostMount(const HostMount&) = delete;
    HostMount& operator=(const HostMount&) = delete;
    ~HostMount() { umount2(path_.c_str(), MNT_DETACH); }
    [[nodiscard]] const std::string& path() const { return path_; }

   private:
    TempDir place_;
    std::string path_;
};

std::string owner_of(const std::string& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return "nothing";
    return cat(info.st_uid, ":", info.st_gid);
}

class Root : public EveryWay {
   protected:
    static std::string launcher() { return GetParam().ordinary ? cat(*options().uid, ":", *options().uid) : "0:0"; }
};
INSTANTIATE_EVERY_WAY(Root);

// ---- a directory

TEST_P(Root, is_the_directory_and_can_be_written_to) {
    const OwnTree tree;
    tree.place().write("root/etc/release", "of the tree\n");
    hand_over(tree.place());
    const auto before = HostSnapshot::take();
    Json seen = probe_in_sandbox(profile(tree.as_root()),
                                 {"dir:/", "read:/etc/release", "stat:/etc", "create:/work/made", "stat:/work/made", "dir:/.."}, options());
    EXPECT_EQ(names_of(seen["dir:/"]["names"]), (Names{"dev", "etc", "mnt", "proc", "sandbox-probe", "sys", "tmp", "work"}));
    EXPECT_EQ(seen["dir:/.."], seen["dir:/"]);
    EXPECT_EQ(seen["read:/etc/release"]["text"], "of the tree\n");
    // Its owner on the host is root inside, and what root makes inside has that owner on the host.
    EXPECT_EQ(seen["stat:/etc"]["uid"], 0);
    EXPECT_EQ(seen["create:/work/made"], "ok");
    EXPECT_EQ(seen["stat:/work/made"]["uid"], 0);
    EXPECT_EQ(owner_of(tree.root() + "/work/made"), launcher());
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Root, refuses_every_write_when_it_is_read_only_and_its_mounts_do_not) {
    const OwnTree tree;
    tree.place().write("root/etc/file", "kept");
    hand_over(tree.place());
    const SnapshotOptions with{{tree.root()}, -1};
    const auto before = HostSnapshot::take(with);
    const Words refused = {"create:/made", "create:/tmp/made",   "mkdir:/etc/made",         "write:/etc/file=x",    "unlink:/etc/file",
                           "rmdir:/mnt",   "symlink:/link=/etc", "rename:/etc/file=/etc/f", "chmod:/etc/file=0600", "chown:/etc/file=0:0"};
    Words verbs = refused;
    for (const char* allowed : {"create:/work/made", "create:/dev/shm/made", "statfs:/", "read:/etc/file"}) verbs.emplace_back(allowed);
    Json seen = probe_in_sandbox(profile(tree.as_root(", readonly: true") + "mounts: [{type: tmpfs, target: /work}]\n"), verbs, options());
    for (const std::string& verb : refused) EXPECT_EQ(seen[verb], "EROFS") << verb;
    EXPECT_EQ(seen["create:/work/made"], "ok");
    EXPECT_EQ(seen["create:/dev/shm/made"], "ok");
    EXPECT_EQ(seen["read:/etc/file"]["text"], "kept");
    EXPECT_THAT(seen["statfs:/"]["flags"], Contains("ro"));
    EXPECT_EQ(differences_since(before, with), "");
}

// A file system that the host has mounted inside the tree is part of the root.
TEST_P(Root, is_read_only_with_the_file_systems_below_it) {
    const OwnTree tree;
    hand_over(tree.place());
    const HostMount below(tree.root() + "/mnt");
    write_text(below.path() + "/file", "below", 0666);
    const auto before = HostSnapshot::take({{tree.root()}, -1});
    const Words verbs = {"read:/mnt/file", "create:/mnt/made", "write:/mnt/file=x", "create:/made"};
    Json seen = probe_in_sandbox(profile(tree.as_root(", readonly: true")), verbs, options());
    EXPECT_EQ(seen["read:/mnt/file"]["text"], "below");
    for (const char* verb : {"create:/mnt/made", "write:/mnt/file=x", "create:/made"}) EXPECT_EQ(seen[verb], "EROFS") << verb;
    EXPECT_EQ(differences_since(before, {{tree.root()}, -1}), "");
    EXPECT_EQ(probe_in_sandbox(profile(tree.as_root()), {"create:/mnt/made"}, options())["create:/mnt/made"], "ok");
    EXPECT_TRUE(exists(below.path() + "/made"));
}

TEST_P(Root, that_is_no_directory_is_refused) {
    const OwnTree tree;
    const auto before = HostSnapshot::take();
    for (const char* path : {"/etc/passwd", "/dev/null"}) {
        const Ended ended = run_sandbox(profile(cat("rootfs: {path: ", path, "}\n")), {"/sandbox-probe"}, options());
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr("rootfs.path")) << ended;
        EXPECT_THAT(ended.err, HasSubstr("not a directory")) << ended;
    }
    EXPECT_EQ(differences_since(before), "");
}

// ---- tmpfs

constexpr const char* probe_mounted = "mounts: [{source: @PROBE@, target: /sandbox-probe, exec: true}]\n";

TEST_P(Root, in_memory_has_its_size_and_mode) {
    const auto before = HostSnapshot::take();
    Json seen = probe_in_sandbox(profile(cat("rootfs: {tmpfs: {size: 1Mi, perm: '0750'}}\n", probe_mounted)),
                                 {"statfs:/", "stat:/", "dir:/", "create:/made", "mkdir:/etc"}, options());
    EXPECT_EQ(seen["statfs:/"]["size"], 1 << 20);
    EXPECT_EQ(seen["stat:/"]["mode"], "0750");
    EXPECT_EQ(seen["stat:/"]["uid"], 0);
    EXPECT_EQ(names_of(seen["dir:/"]["names"]), (Names{"dev", "proc", "sandbox-probe", "sys"}));
    EXPECT_EQ(seen["create:/made"], "ok");
    EXPECT_EQ(seen["mkdir:/etc"], "ok");
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Root, in_memory_can_be_filled_to_its_size_and_not_beyond) {
    const TempDir place;
    place.write("big", std::string(600000, 'x'));
    const std::string files = cat("files: {/big: {source: ", place / "big", "}}\n");
    EXPECT_EQ(probe_in_sandbox(profile(cat("rootfs: {tmpfs: {size: 1Mi}}\n", probe_mounted, files)), {"stat:/big"},
                               options())["stat:/big"]["size"],
              600000);
    const Ended ended = run_sandbox(profile(cat("rootfs: {tmpfs: {size: 64Ki}}\n", probe_mounted, files)), {"/sandbox-probe"}, options());
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("/big"));
}

TEST_P(Root, in_memory_is_0755_and_can_be_read_only) {
    Json seen = probe_in_sandbox(profile(cat("rootfs: {tmpfs: {}, readonly: true}\n", probe_mounted)),
                                 {"stat:/", "create:/made", "create:/dev/shm/made"}, options());
    EXPECT_EQ(seen["stat:/"]["mode"], "0755");
    EXPECT_EQ(seen["create:/made"], "EROFS");
    EXPECT_EQ(seen["create:/dev/shm/made"], "ok");
}

// ---- the host's tree

TEST_P(Root, from_the_host_runs_its_programs_and_refuses_writes) {
    const TempDir place;
    place.write("file", "of the host", 0666);
    hand_over(place);
    const SnapshotOptions with{{place.path()}, -1};
    const auto before = HostSnapshot::take(with);
    Json seen = probe_in_sandbox(profile("rootfs: {host: ro}\n"),
                                 {cat("read:", place / "file"), cat("write:", place / "file", "=x"), cat("create:", place / "made"),
                                  "create:/usr/made", "mkdir:/etc/made", "create:/made", "create:/run/made", "dir:/run", "hostname"},
                                 options());
    EXPECT_EQ(seen[cat("read:", place / "file")]["text"], "of the host");
    for (const std::string& verb : {cat("write:", place / "file", "=x"), cat("create:", place / "made"), std::string("create:/usr/made"),
                                    std::string("mkdir:/etc/made"), std::string("create:/made")})
        EXPECT_EQ(seen[verb], "EROFS") << verb;
    // Its sockets and runtime files are not part of the host's tree.
    EXPECT_EQ(seen["create:/run/made"], "ok");
    EXPECT_EQ(seen["dir:/run"]["names"], Json{"made"});
    EXPECT_EQ(differences_since(before, with), "");
}

TEST_P(Root, from_the_host_compiles_a_program) {
    REQUIRE_OR_SKIP(command_exists("gcc"), "there is no gcc");
    const auto before = HostSnapshot::take();
    const Ended ended =
        run_sandbox(profile("rootfs: {host: ro}\nmounts: [{type: tmpfs, target: /mnt, exec: true}]\n"
                            "process: {environment: {TMPDIR: /mnt}, working_dir: /mnt}\n"),
                    {"sh", "-ec", "echo 'int main(void) { return 7; }' >a.c; gcc --version | head -1; gcc -o a a.c; ./a"}, options());
    EXPECT_EQ(ended.code, 7) << ended;
    EXPECT_THAT(ended.out, HasSubstr("gcc"));
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Root, from_the_host_can_be_written_to_when_asked) {
    const TempDir place;
    hand_over(place);
    const auto before = HostSnapshot::take();
    Json seen =
        probe_in_sandbox(profile("rootfs: {host: rw}\n"), {cat("create:", place / "made"), cat("stat:", place / "made")}, options());
    EXPECT_EQ(seen[cat("create:", place / "made")], "ok");
    EXPECT_EQ(seen[cat("stat:", place / "made")]["uid"], 0);
    EXPECT_EQ(owner_of(place / "made"), launcher());
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Root, from_the_host_is_read_only_as_a_whole_when_asked) {
    const TempDir place;
    place.make("below", 0777);
    hand_over(place);
    const HostMount below(place / "below");
    const Words verbs = {cat("create:", place / "made"), cat("create:", place / "below/made")};
    for (const char* root : {"rootfs: {host: ro}\n", "rootfs: {host: rw, readonly: true}\n"}) {
        Json seen = probe_in_sandbox(profile(root), verbs, options());
        for (const std::string& verb : verbs) EXPECT_EQ(seen[verb], "EROFS") << root << verb;
    }
}

// ---- propagation

struct Crossing {
    const char* mode;
    bool from_host;
};
std::ostream& operator<<(std::ostream& stream, const Crossing& crossing) { return stream << crossing.mode; }

class RootPropagation : public ::testing::TestWithParam<std::tuple<Crossing, Way>> {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root, which can be each of the three"); }
};
INSTANTIATE_TEST_SUITE_P(All, RootPropagation,
                         ::testing::Combine(::testing::Values(Crossing{"private", false}, Crossing{"slave", true},
                                                              Crossing{"shared", true}),
                                            ::testing::Values(own_ids, no_user_namespace, ordinary)),
                         [](const auto& one) { return cat(std::get<0>(one.param).mode, "_", std::get<1>(one.param).name); });

TEST_P(RootPropagation, lets_a_mount_of_the_host_in_or_not_and_none_out) {
    const auto& [crossing, way] = GetParam();
    const OwnTree tree;
    const auto before = HostSnapshot::take();
    Options with = options_for(way);
    with.keep_input_open = true;
    const std::string profile = profile_for(way, cat(tree.as_root(cat(", propagation: ", crossing.mode)),
                                                     "capabilities: {add: [SYS_ADMIN]}\nsecurity: {seccomp: {profile: none}}\n"));
    Process running = start_sandbox(
        profile, {"/sandbox-probe", "mount:tmpfs:/work", "hold", "dir:/mnt", "dir:/work", "create:/work/inside", "mounts"}, with);
    ASSERT_TRUE(running.expect("\"ready\":true")) << running.err();
    {
        const HostMount later(tree.root() + "/mnt");
        write_text(later.path() + "/of-the-host", "");
        running.close_input();
        const Ended ended = running.wait();
        Json seen = last_json(ended);
        EXPECT_EQ(seen["mount:tmpfs:/work"], "ok");
        EXPECT_EQ(seen["create:/work/inside"], "ok");
        EXPECT_EQ(names_of(seen["dir:/mnt"]["names"]), crossing.from_host ? Names{"of-the-host"} : Names{}) << seen["mounts"];
        // Only a shared root hands mounts on, to namespaces made inside.
        const std::string propagation = mount_at(seen["mounts"], "/")["propagation"].dump();
        EXPECT_EQ(propagation.find("shared:") != propagation.npos, crossing.mode == std::string_view("shared")) << propagation;
        EXPECT_EQ(propagation.find("master:") != propagation.npos, crossing.from_host) << propagation;
    }
    EXPECT_FALSE(exists(tree.root() + "/work/inside"));
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(RootPropagation, shows_no_mount_of_the_sandbox_to_the_host_while_it_runs) {
    const auto& [crossing, way] = GetParam();
    const OwnTree tree;
    const auto before = HostSnapshot::take();
    Options with = options_for(way);
    with.keep_input_open = true;
    const std::string profile =
        profile_for(way, cat(tree.as_root(cat(", propagation: ", crossing.mode)), "mounts: [{type: tmpfs, target: /work}]\n",
                             "capabilities: {add: [SYS_ADMIN]}\nsecurity: {seccomp: {profile: none}}\n"));
    Process running = start_sandbox(profile, {"/sandbox-probe", "mount:tmpfs:/mnt", "create:/mnt/inside", "hold"}, with);
    ASSERT_TRUE(running.expect("\"ready\":true")) << running.err();
    EXPECT_EQ(HostSnapshot::take().sections.at("mounts"), before.sections.at("mounts"));
    EXPECT_FALSE(exists(tree.root() + "/mnt/inside"));
    running.close_input();
    Json seen = last_json(running.wait());
    EXPECT_EQ(seen["mount:tmpfs:/mnt"], "ok");
    EXPECT_EQ(seen["create:/mnt/inside"], "ok");
    EXPECT_EQ(differences_since(before), "");
}

// ---- three real trees

class RealTree : public EveryWay {};
// Debian's tree lies in root's home, where an ordinary user does not come.
INSTANTIATE_TEST_SUITE_P(All, RealTree, ::testing::Values(own_ids, no_user_namespace), way_name);

TEST_P(RealTree, debian_runs_its_programs) {
    REQUIRE_OR_SKIP(!debian_tree().empty(), "there is no Debian tree: run make-debian-tree");
    const auto before = HostSnapshot::take();
    const auto runs = [](const Words& argv) {
        return run_sandbox(profile("rootfs: {path: @DEBIAN@, readonly: true}\nmounts: [{type: tmpfs, target: /tmp}]\nhostname: inside\n"),
                           argv);
    };
    const Ended package = runs({"dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}", "bash"});
    EXPECT_EQ(package.out, "bash installed") << package;
    const Ended perl = runs({"perl", "-e", "printf '%s %d', (getpwnam 'nobody')[0], (getpwnam 'nobody')[2]"});
    EXPECT_EQ(perl.out, "nobody 65534") << perl;
    const Ended lookups = runs({"bash", "-c", "getent passwd root | cut -d: -f1,3; id -un; getent group adm | cut -d: -f1; hostname"});
    EXPECT_EQ(lookups.out, "root:0\nroot\nadm\ninside\n") << lookups;
    const Ended script =
        runs({"bash", "-ec",
              "cd /tmp; for i in {1..50}; do echo $((i * i)) >\"$i\"; done; cat * | sort -n | tail -1;"
              "tar cf - . | sha256sum | wc -w; ! touch /etc/made 2>error; grep -o 'Read-only' error; stat -c %U /etc/passwd"});
    EXPECT_EQ(script.out, "2500\n2\nRead-only\nroot\n") << script;
    EXPECT_EQ(differences_since(before), "");
}

constexpr const char* many_applets = R"(
cd /tmp
mkdir -p a/b && seq 1 20 | sed 's/^/n/' >a/b/numbers
grep -c n1 a/b/numbers
awk '{ sum += substr($1, 2) } END { print sum }' a/b/numbers
tar cf all.tar a && gzip all.tar && mkdir out && tar xzf all.tar.gz -C out && cmp a/b/numbers out/a/b/numbers && echo same
find . -name numbers | sort | xargs
head -c 3 /dev/zero | od -An -tx1 | tr -d ' '
printf 'b\na\nb\n' | sort | uniq -c | awk '{ print $2 $1 }' | xargs
printf hello | md5sum | cut -d' ' -f1
ln -s a/b link && readlink link && basename $(realpath link)
expr 6 '*' 7
test -c /dev/null && dd if=/dev/zero of=/dev/null bs=1024 count=1 2>/dev/null && echo device
sleep 0 & wait $! && echo waited
id -u
touch /made 2>/dev/null || echo refused
)";

TEST_P(Root, of_busybox_runs_a_script_of_many_applets) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    const auto before = HostSnapshot::take({{busybox_tree()}, -1});
    const Ended ended = run_sandbox(profile("rootfs: {path: @BUSYBOX@, readonly: true}\nmounts: [{type: tmpfs, target: /tmp}]\n"),
                                    {"sh", "-ec", many_applets}, options());
    EXPECT_EQ(ended.out,
              "11\n210\nsame\n./a/b/numbers ./out/a/b/numbers\n000000\na1 b2\n5d41402abc4b2a76b9719d911017c592\na/b\nb\n42\ndevice\n"
              "waited\n0\nrefused\n")
        << ended;
    EXPECT_EQ(differences_since(before, {{busybox_tree()}, -1}), "");
}

TEST_P(Root, of_the_host_runs_an_interpreter) {
    REQUIRE_OR_SKIP(command_exists("perl"), "there is no perl");
    const Ended ended = run_sandbox(
        profile("rootfs: {host: ro}\n"),
        {"perl", "-e", "print scalar(getpwuid(0)), ' ', open(my $made, '>', '/usr/made') ? 'written' : 'kept', ' ', $$ > 0"}, options());
    EXPECT_EQ(ended.out, "root kept 1") << ended;
}

}  // namespace
