// Overlays on the real kernel: layers, upper and work on disk or in memory, whiteouts, who may write where, options; seen
// from inside and, on disk, from outside.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

// The words of a list in YAML.
std::string listed(const Names& names) {
    std::string text;
    for (const std::string& name : names) text += cat(text.empty() ? "" : ", ", name);
    return cat("[", text, "]");
}

std::string over(const Names& lower, std::string_view more = {}, std::string_view rest = {}) {
    return cat("version: 1\nrootfs: {overlay: {lower: ", listed(lower), more.empty() ? "" : ", ", more, "}}\n", rest);
}

struct stat look(const std::string& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) throw std::runtime_error("cannot look at " + path);
    return info;
}

// A member of one of the probe's answers, or the whole answer when it has none: an error shows itself.
Json part(const Json& seen, const std::string& verb, const char* member) {
    const Json& answer = seen.at(verb);
    return answer.is_object() && answer.contains(member) ? answer[member] : answer;
}

bool is_whiteout(const std::string& path) {
    const struct stat info = look(path);
    return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
}

// Where an overlay of the tests' root keeps its marks.
std::string mark(std::string_view name) { return cat(is_host_root() ? "trusted." : "user.", "overlay.", name); }

std::string attribute(const std::string& path, const std::string& name) {
    char value[256];
    const ssize_t size = lgetxattr(path.c_str(), name.c_str(), value, sizeof value);
    return size < 0 ? "none" : std::string(value, static_cast<std::size_t>(size));
}

bool make_whiteout(const std::string& path) { return mknod(path.c_str(), S_IFCHR, makedev(0, 0)) == 0; }

Words probe(Words verbs) {
    verbs.insert(verbs.begin(), "/sandbox-probe");
    return verbs;
}

class OverlayTest : public ::testing::Test {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root"); }
    // A folder of the test that is closed to others, as an upper needs it.
    std::string closed(const std::string& name = "closed") const { return place.make(name, 0700); }
    [[nodiscard]] SnapshotOptions here() const { return {{place.path()}, -1}; }
    // A launch that is refused and leaves no trace. Returns what it said.
    std::string refused(const std::string& profile, const Options& options = {}) const {
        const auto before = HostSnapshot::take(here());
        const Ended ended = run_sandbox(profile, {"/sandbox-probe", "pid"}, options);
        EXPECT_EQ(ended.code, 125) << profile << ended;
        EXPECT_EQ(differences_since(before, here()), "") << profile;
        return ended.err;
    }
    // `count` layers with a file of their own each, and one that all have.
    Names make_layers(std::size_t count) const {
        Names layers;
        for (std::size_t i = 0; i < count; ++i) {
            layers.push_back(place / cat("layers/", i));
            place.write(cat("layers/", i, "/all/", i), "");
            place.write(cat("layers/", i, "/same"), cat("layer ", i));
        }
        return layers;
    }
    TempDir place;
};

// ---- layers

TEST_F(OverlayTest, of_one_layer_is_that_tree) {
    const auto before = HostSnapshot::take(here());
    const Json seen = probe_in_sandbox(over({"@PROBE_TREE@"}), {"mounts", "read:/etc/group", "create:/made"});
    EXPECT_EQ(mount_at(seen["mounts"], "/")["type"], "overlay");
    EXPECT_EQ(part(seen, "read:/etc/group", "text"), read_text(probe_tree() + "/etc/group"));
    EXPECT_EQ(seen["create:/made"], "ok");
    EXPECT_FALSE(exists(probe_tree() + "/made"));
    EXPECT_EQ(differences_since(before, here()), "");
}

TEST_F(OverlayTest, of_several_layers_shows_the_first_on_top) {
    Names layers = make_layers(3);
    place.write("layers/2/etc/motd", "of the lowest");
    layers.push_back("@PROBE_TREE@");
    const Json seen = probe_in_sandbox(over(layers), {"dir:/all", "read:/same", "read:/etc/motd", "stat:/etc/passwd"});
    EXPECT_EQ(names_of(part(seen, "dir:/all", "names")), (Names{"0", "1", "2"}));
    EXPECT_EQ(part(seen, "read:/same", "text"), "layer 0");
    EXPECT_EQ(part(seen, "read:/etc/motd", "text"), "of the lowest") << "directories of the same name merge";
    EXPECT_EQ(part(seen, "stat:/etc/passwd", "type"), "file");
    std::swap(layers[0], layers[1]);
    EXPECT_EQ(part(probe_in_sandbox(over(layers), {"read:/same"}), "read:/same", "text"), "layer 1");
}

void expect_499_and_the_tree(const Json& seen) {
    EXPECT_EQ(part(seen, "dir:/all", "names").size(), 499U);
    EXPECT_EQ(part(seen, "read:/same", "text"), "layer 0");
    EXPECT_EQ(part(seen, "stat:/all/498", "type"), "file");
    EXPECT_EQ(part(seen, "stat:/etc/passwd", "type"), "file") << "the lowest layer";
    EXPECT_EQ(seen["create:/made"], "ok");
}
const Words look_at_500 = {"dir:/all", "read:/same", "stat:/all/498", "stat:/etc/passwd", "create:/made", "rlimits", "mounts"};

TEST_F(OverlayTest, of_500_layers_shows_each) {
    Names layers = make_layers(499);
    layers.push_back("@PROBE_TREE@");
    const std::string upper = closed() + "/upper";
    const auto before = HostSnapshot::take(here());
    expect_499_and_the_tree(probe_in_sandbox(over(layers), look_at_500));
    EXPECT_EQ(differences_since(before, here()), "");
    expect_499_and_the_tree(probe_in_sandbox(over(layers, cat("upper: ", upper)), look_at_500));
    EXPECT_TRUE(exists(upper + "/made"));
}

// The usual soft limit of open files, which 500 layers exceed, for what the test starts.
class UsualLimit {
   public:
    UsualLimit() {
        getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit usual{256, before_.rlim_max};
        setrlimit(RLIMIT_NOFILE, &usual);
    }
    UsualLimit(const UsualLimit&) = delete;
    UsualLimit& operator=(const UsualLimit&) = delete;
    ~UsualLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

   private:
    rlimit before_{};
};

TEST_F(OverlayTest, of_500_layers_is_an_ordinary_users_too) {
    Names layers = make_layers(499);
    layers.push_back("@PROBE_TREE@");
    const Options options = ordinary_user();
    const UsualLimit limit;
    const Json seen = probe_in_sandbox(over(layers), look_at_500, options);
    expect_499_and_the_tree(seen);
    EXPECT_EQ(seen["rlimits"]["nofile"], probe_outside({"rlimits"}, {}, options)["rlimits"]["nofile"]) << "the caller's limit";
    EXPECT_EQ(seen["rlimits"]["nofile"][0], 256);
    const Json asked = probe_in_sandbox(over(layers) + "ulimits: {nofile: \"300:400\"}\n", {"rlimits"}, options)["rlimits"];
    EXPECT_EQ(asked["nofile"], (Json{300, 400}));
}

TEST_F(OverlayTest, of_501_layers_is_refused) {
    Names layers = make_layers(500);
    layers.push_back("@PROBE_TREE@");
    closed();
    for (const std::string& upper : {std::string("tmpfs"), place / "closed/upper"})
        EXPECT_THAT(refused(over(layers, cat("upper: ", upper))), AllOf(HasSubstr("rootfs.overlay.lower"), HasSubstr("at most 500")));
}

// ---- upper in memory

TEST_F(OverlayTest, upper_in_memory_is_thrown_away) {
    place.write("lower/etc/motd", "before");
    const std::string profile = over({place / "lower", "@PROBE_TREE@"}, "upper: tmpfs");
    const auto before = HostSnapshot::take(here());
    for (int run = 0; run < 2; ++run) {
        const Json seen =
            probe_in_sandbox(profile, {"read:/etc/motd", "stat:/new", "write:/etc/motd=change", "create:/new", "unlink:/etc/group"});
        EXPECT_EQ(part(seen, "read:/etc/motd", "text"), "before");
        EXPECT_EQ(part(seen, "stat:/new", "error"), "ENOENT");
        for (const char* change : {"write:/etc/motd=change", "create:/new", "unlink:/etc/group"}) EXPECT_EQ(seen[change], "ok") << change;
    }
    EXPECT_EQ(differences_since(before, here()), "");
}

TEST_F(OverlayTest, upper_in_memory_holds_no_more_than_its_size) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    const std::string profile = over({"@BUSYBOX@"}, "upper: tmpfs, size: 1Mi");
    const Ended full = run_sandbox(profile, {"/bin/dd", "if=/dev/zero", "of=/big", "bs=64k", "count=32"});
    EXPECT_NE(full.code, 0) << full;
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    const Ended fits = run_sandbox(profile, {"/bin/dd", "if=/dev/zero", "of=/small", "bs=64k", "count=8"});
    EXPECT_EQ(fits.code, 0) << fits;
}

TEST_F(OverlayTest, upper_on_disk_has_no_size_yet) {
    closed();
    EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", place / "closed/upper", ", size: 1Mi"))),
                AllOf(HasSubstr("rootfs.overlay.size"), HasSubstr("not supported yet")));
}

// ---- upper on disk

TEST_F(OverlayTest, upper_on_disk_has_what_was_written) {
    place.write("lower/etc/motd", "of the layer");
    const std::string lower = place / "lower", upper = closed() + "/upper";
    const struct stat before = look(lower + "/etc/motd");
    const std::string profile = over({lower, "@PROBE_TREE@"}, cat("upper: ", upper));
    const Json seen = probe_in_sandbox(profile, {"write:/etc/motd=OF", "read:/etc/motd", "create:/home/new", "chown:/home/new=1000:1000",
                                                 "chmod:/home/new=0640", "mkdir:/d"});
    EXPECT_EQ(part(seen, "read:/etc/motd", "text"), "OF the layer");
    // Copied up as a whole, with its owner; the layer is as it was.
    EXPECT_EQ(read_text(upper + "/etc/motd"), "OF the layer");
    EXPECT_EQ(look(upper + "/etc/motd").st_uid, 0U);
    EXPECT_EQ(read_text(lower + "/etc/motd"), "of the layer");
    const struct stat after = look(lower + "/etc/motd");
    EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    EXPECT_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
    const struct stat made = look(upper + "/home/new");
    EXPECT_EQ(made.st_uid, 1000U);
    EXPECT_EQ(made.st_gid, 1000U);
    EXPECT_EQ(made.st_mode & 07777, 0640U);
    EXPECT_EQ(look(upper + "/d").st_uid, 0U);
    // The work directory has gone with the sandbox; the next one goes on where this one ended.
    EXPECT_FALSE(exists(upper + ".work"));
    const Json again = probe_in_sandbox(profile, {"read:/etc/motd", "stat:/home/new"});
    EXPECT_EQ(part(again, "read:/etc/motd", "text"), "OF the layer");
    EXPECT_EQ(part(again, "stat:/home/new", "uid"), 1000);
}

TEST_F(OverlayTest, upper_that_was_made_and_stays_empty_is_removed_with_its_folders) {
    place.make("there");
    const auto before = HostSnapshot::take(here());
    for (const std::string& upper : {place / "a/b/upper", place / "there/b/upper"}) {
        Options options;
        options.keep_input_open = true;
        Process running = start_sandbox(over({"@PROBE_TREE@"}, cat("upper: ", upper)), probe({"hold"}), options);
        ASSERT_TRUE(running.expect("\"ready\":true")) << running.err();
        EXPECT_EQ(look(upper).st_mode & 07777, 0755U);
        EXPECT_TRUE(exists(upper + ".work"));
        running.close_input();
        EXPECT_EQ(running.wait().code, 0);
        EXPECT_EQ(differences_since(before, here()), "") << upper;
    }
}

TEST_F(OverlayTest, upper_that_was_made_and_has_something_stays) {
    const std::string upper = place / "a/b/upper";
    EXPECT_EQ(probe_in_sandbox(over({"@PROBE_TREE@"}, cat("upper: ", upper)), {"create:/kept"})["create:/kept"], "ok");
    EXPECT_TRUE(exists(upper + "/kept"));
    EXPECT_FALSE(exists(upper + ".work"));
}

TEST_F(OverlayTest, upper_that_was_there_stays_even_if_it_is_empty) {
    const std::string upper = place.make("closed/upper");
    closed();
    ASSERT_EQ(chmod((place / "closed").c_str(), 0700), 0);
    const auto before = HostSnapshot::take();
    probe_in_sandbox(over({"@PROBE_TREE@"}, cat("upper: ", upper)), {"pid"});
    // But for the kernel's own attributes on it, nothing is new.
    EXPECT_TRUE(std::filesystem::is_empty(upper));
    EXPECT_FALSE(exists(upper + ".work"));
    EXPECT_EQ(differences_since(before), "");
}

// ---- the work directory

TEST_F(OverlayTest, work_that_is_named_is_made_and_removed) {
    const std::string upper = closed() + "/upper", work = place / "closed/scratch";
    const std::string profile = over({"@PROBE_TREE@"}, cat("upper: ", upper, ", work: ", work));
    EXPECT_EQ(probe_in_sandbox(profile, {"create:/kept"})["create:/kept"], "ok");
    EXPECT_TRUE(exists(upper + "/kept"));
    EXPECT_FALSE(exists(work));
    EXPECT_FALSE(exists(upper + ".work"));
}

TEST_F(OverlayTest, work_must_be_empty) {
    const std::string upper = closed() + "/upper";
    place.write("closed/scratch/mine", "precious");
    EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", upper, ", work: ", place / "closed/scratch"))),
                AllOf(HasSubstr("E0505"), HasSubstr("rootfs.overlay.work"), HasSubstr("closed/scratch")));
    place.write("closed/upper.work/mine", "precious");
    EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", upper))), AllOf(HasSubstr("E0505"), HasSubstr("upper.work")));
}

TEST_F(OverlayTest, work_must_be_on_the_file_system_of_upper) {
    REQUIRE_OR_SKIP(on_private_host(), "needs a host of its own, whose mounts may be changed");
    const std::string upper = closed() + "/upper", other = place.make("closed/other");
    ASSERT_EQ(mount("none", other.c_str(), "tmpfs", 0, nullptr), 0);
    for (const std::string& work : {other + "/made", other + "/missing", other + "/missing/deep"}) {
        if (work.ends_with("made")) mkdir(work.c_str(), 0700);
        EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", upper, ", work: ", work))),
                    AllOf(HasSubstr("E0506"), HasSubstr("rootfs.overlay.work")))
            << work;
    }
    // A mount point of its own has its work beside it on another file system.
    EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", other))), HasSubstr("E0506"));
    ASSERT_EQ(umount2(other.c_str(), MNT_DETACH), 0);
    // The same file system, but another mount of it: the kernel takes upper and work from one mount alone.
    place.make("closed/source");
    ASSERT_EQ(mount((place / "closed/source").c_str(), other.c_str(), nullptr, MS_BIND, nullptr), 0);
    EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", other))), AllOf(HasSubstr("E0506"), HasSubstr("mount")));
    ASSERT_EQ(umount2(other.c_str(), MNT_DETACH), 0);
}

// ---- whiteouts and opaque directories

TEST_F(OverlayTest, marks_of_a_layer_delete_and_hide) {
    place.write("low/gone", "");
    place.write("low/hidden/below", "");
    place.write("low/merged/below", "");
    place.write("top/hidden/own", "");
    place.write("top/merged/own", "");
    ASSERT_TRUE(make_whiteout(place / "top/gone"));
    ASSERT_EQ(setxattr((place / "top/hidden").c_str(), mark("opaque").c_str(), "y", 1, 0), 0);
    const Json seen = probe_in_sandbox(over({place / "top", place / "low", "@PROBE_TREE@"}),
                                       {"stat:/gone", "dir:/", "dir:/hidden", "dir:/merged", "create:/gone"});
    EXPECT_EQ(part(seen, "stat:/gone", "error"), "ENOENT");
    EXPECT_THAT(names_of(part(seen, "dir:/", "names")), Not(::testing::Contains("gone")));
    EXPECT_EQ(names_of(part(seen, "dir:/hidden", "names")), Names{"own"});
    EXPECT_EQ(names_of(part(seen, "dir:/merged", "names")), (Names{"below", "own"}));
    EXPECT_EQ(seen["create:/gone"], "ok");
}

struct Ids {
    const char *name, *id_map;
    bool needs_host_root;
};
std::ostream& operator<<(std::ostream& stream, const Ids& ids) { return stream << ids.name; }
const Ids all_ids[] = {{"own", "auto", false},
                       {"host", "host", false},
                       {"range", "{uid: ['0:200000:65536'], gid: ['0:300000:65536']}", true},
                       {"ranges", "{uid: ['0:200000:10', '10:400000:5000'], gid: ['0:300000:5000']}", true}};

class OverlayIds : public OverlayTest, public ::testing::WithParamInterface<Ids> {
   protected:
    void SetUp() override {
        if (GetParam().needs_host_root) {
            HOST_ROOT_OR_LEFT_OUT();
        }
        OverlayTest::SetUp();
    }
    static std::string map() { return cat("id_map: ", GetParam().id_map, "\n"); }
};
INSTANTIATE_TEST_SUITE_P(Every, OverlayIds, ::testing::ValuesIn(all_ids), [](const auto& one) { return one.param.name; });

TEST_P(OverlayIds, deleting_and_replacing_leaves_marks_in_upper) {
    place.write("lower/etc/motd", "");
    place.write("lower/opt/below", "");
    const std::string upper = closed() + "/upper", profile = over({place / "lower", "@PROBE_TREE@"}, cat("upper: ", upper), map());
    const Json seen = probe_in_sandbox(profile, {"unlink:/etc/motd", "unlink:/opt/below", "rmdir:/opt", "mkdir:/opt", "create:/opt/own",
                                                 "rename:/etc/group=/etc/moved", "stat:/etc/motd", "dir:/opt"});
    for (const char* change : {"unlink:/etc/motd", "unlink:/opt/below", "rmdir:/opt", "mkdir:/opt", "create:/opt/own"})
        EXPECT_EQ(seen[change], "ok") << change;
    EXPECT_EQ(part(seen, "stat:/etc/motd", "error"), "ENOENT");
    EXPECT_EQ(names_of(part(seen, "dir:/opt", "names")), Names{"own"});
    EXPECT_TRUE(is_whiteout(upper + "/etc/motd"));
    EXPECT_TRUE(is_whiteout(upper + "/etc/group"));
    EXPECT_EQ(attribute(upper + "/opt", mark("opaque")), "y");
    EXPECT_TRUE(exists(place / "lower/etc/motd"));
    EXPECT_TRUE(exists(place / "lower/opt/below"));
    const Json again = probe_in_sandbox(profile, {"stat:/etc/motd", "stat:/etc/group", "stat:/etc/moved", "dir:/opt"});
    EXPECT_EQ(part(again, "stat:/etc/motd", "error"), "ENOENT");
    EXPECT_EQ(part(again, "stat:/etc/group", "error"), "ENOENT");
    EXPECT_EQ(part(again, "stat:/etc/moved", "type"), "file");
    EXPECT_EQ(names_of(part(again, "dir:/opt", "names")), Names{"own"});
}

// ---- who writes

TEST_F(OverlayTest, upper_of_a_running_sandbox_is_refused) {
    const std::string upper = place.make("closed/upper"), other = place / "closed/other";
    place.link("closed/link", "upper");
    ASSERT_EQ(chmod((place / "closed").c_str(), 0700), 0);
    Options options;
    options.keep_input_open = true;
    Process first = start_sandbox(over({"@PROBE_TREE@"}, cat("upper: ", upper)), probe({"create:/first", "hold", "stat:/first"}), options);
    ASSERT_TRUE(first.expect("\"ready\":true")) << first.err();
    for (const std::string& again : {upper, place / "closed/link"})
        for (const std::string& work : {std::string(), cat(", work: ", place / "closed/second.work")})
            EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", again, work))),
                        AllOf(HasSubstr("rootfs.overlay.upper"), HasSubstr(again), HasSubstr("give each sandbox an upper of its own"),
                              Not(HasSubstr("E0505"))));
    EXPECT_THAT(refused(in_tree(cat("mounts: [{type: overlay, target: /mnt, overlay: {lower: [@PROBE_TREE@], upper: ", upper, "}}]\n"))),
                HasSubstr("mounts[0].overlay.upper"));
    // The same layers below another upper are nobody's business.
    const Json second = probe_in_sandbox(over({"@PROBE_TREE@"}, cat("upper: ", other)), {"stat:/first", "create:/second"});
    EXPECT_EQ(part(second, "stat:/first", "error"), "ENOENT");
    EXPECT_EQ(second["create:/second"], "ok");
    first.close_input();
    const Ended ended = first.wait();
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_EQ(part(last_json(ended), "stat:/first", "type"), "file");
    EXPECT_TRUE(exists(upper + "/first"));
    EXPECT_FALSE(exists(upper + "/second"));
    EXPECT_TRUE(exists(other + "/second"));
    EXPECT_EQ(part(probe_in_sandbox(over({"@PROBE_TREE@"}, cat("upper: ", upper)), {"stat:/first"}), "stat:/first", "type"), "file");
}

TEST_F(OverlayTest, upper_twice_in_one_profile_is_refused) {
    closed();
    const std::string upper = place / "closed/upper";
    EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", upper),
                             cat("mounts: [{type: overlay, target: /mnt, overlay: {lower: [", probe_tree(), "], upper: ", upper, "}}]\n"))),
                HasSubstr(upper));
}

TEST_F(OverlayTest, layers_are_shared_by_sandboxes_that_run_at_once) {
    place.write("lower/etc/motd", "shared");
    Options options;
    options.keep_input_open = true;
    const auto start = [&](int number) {
        return start_sandbox(over({place / "lower", "@PROBE_TREE@"}, cat("upper: ", closed(), "/", number)),
                             probe({cat("write:/etc/motd=", number), "hold", "read:/etc/motd"}), options);
    };
    Process one = start(1), two = start(2);
    for (Process* each : {&one, &two}) ASSERT_TRUE(each->expect("\"ready\":true")) << each->err();
    one.close_input();
    two.close_input();
    EXPECT_EQ(part(last_json(one.wait()), "read:/etc/motd", "text"), "1hared");
    EXPECT_EQ(part(last_json(two.wait()), "read:/etc/motd", "text"), "2hared");
    EXPECT_EQ(read_text(place / "lower/etc/motd"), "shared");
}

TEST_F(OverlayTest, upper_and_layers_inside_each_other_are_refused) {
    place.make("lower/deep");
    place.make("closed/upper/deep");
    place.make("closed/free");
    ASSERT_EQ(chmod((place / "closed").c_str(), 0700), 0);
    ASSERT_EQ(chmod((place / "lower").c_str(), 0700), 0);
    place.link("to-lower", "lower");
    place.link("to-upper", "closed/upper");
    place.link("to-deep", "lower/deep");
    struct Case {
        std::string lower, upper, work, code;
    };
    const Case cases[] = {{"lower", "lower/deep", "", "E0404"},
                          {"lower", "lower/missing", "", "E0404"},
                          {"closed/upper/deep", "closed/upper", "", "E0404"},
                          {"lower", "lower", "", "E0404"},
                          {"lower", "closed/free", "lower/work", "E0404"},
                          {"lower", "closed/free", "closed/free/work", "E0404"},
                          {"lower", "to-lower", "", "E0507"},
                          {"lower", "to-deep", "", "E0507"},
                          {"lower", "to-lower/missing", "", "E0507"},
                          {"lower", "to-lower/missing/more", "", "E0507"},
                          {"to-lower", "lower/deep", "", "E0507"},
                          {"to-upper/deep", "closed/upper", "", "E0507"},
                          {"lower", "closed/free", "to-lower/work", "E0507"},
                          {"lower", "closed/upper", "to-upper/work", "E0507"}};
    for (const Case& one : cases)
        EXPECT_THAT(
            refused(over({place / one.lower, "@PROBE_TREE@"},
                         cat("upper: ", place / one.upper, one.work.empty() ? "" : ", work: ", one.work.empty() ? "" : place / one.work))),
            AllOf(HasSubstr(one.code), HasSubstr("rootfs.overlay.")))
            << one.lower << " " << one.upper << " " << one.work;
}

// ---- an overlay that is not the root

std::string mounted(const std::string& target, const std::string& overlay, const std::string& more = {}) {
    return cat("  - {type: overlay, target: ", target, ", overlay: {", overlay, "}", more, "}\n");
}

TEST_P(OverlayIds, as_a_mount_is_read_and_written) {
    place.write("low/data", "low");
    place.write("top/own", "own");
    const std::string lower = cat("lower: [", place / "top", ", ", place / "low", "]"), upper = closed() + "/upper";
    const auto before = HostSnapshot::take();
    const Json seen = probe_in_sandbox(
        in_tree(cat(map(), "mounts:\n", mounted("/mnt", cat(lower, ", upper: ", upper)), mounted("/work", lower, ", mode: ro"))),
        {"dir:/mnt", "stat:/mnt/data", "write:/mnt/data=LOW", "create:/mnt/new", "stat:/mnt/new", "dir:/work", "read:/work/data",
         "create:/work/new", "open-write:/work/data", "mounts"});
    EXPECT_EQ(names_of(part(seen, "dir:/mnt", "names")), (Names{"data", "own"}));
    EXPECT_EQ(part(seen, "stat:/mnt/data", "uid"), 0);
    EXPECT_EQ(seen["write:/mnt/data=LOW"], "ok");
    EXPECT_EQ(seen["create:/mnt/new"], "ok");
    EXPECT_EQ(part(seen, "stat:/mnt/new", "uid"), 0);
    EXPECT_EQ(read_text(upper + "/data"), "LOW");
    EXPECT_EQ(look(upper + "/new").st_uid, 0U);
    EXPECT_EQ(look(upper + "/new").st_gid, 0U);
    EXPECT_EQ(read_text(place / "low/data"), "low");
    EXPECT_EQ(names_of(part(seen, "dir:/work", "names")), (Names{"data", "own"}));
    EXPECT_EQ(part(seen, "read:/work/data", "text"), "low") << "the other overlay has an upper of its own";
    EXPECT_EQ(seen["create:/work/new"], "EROFS");
    EXPECT_EQ(seen["open-write:/work/data"], "EROFS");
    for (const char* target : {"/mnt", "/work"}) {
        const Json mount = mount_at(seen["mounts"], target);
        EXPECT_EQ(mount["type"], "overlay");
        EXPECT_THAT(mount["options"].get<std::string>(), AllOf(HasSubstr("nosuid"), HasSubstr("nodev"), HasSubstr("noexec")));
    }
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(OverlayTest, as_a_mount_lies_below_and_above_other_mounts) {
    place.write("low/data", "low");
    place.write("bound/file", "bound");
    const std::string lower = cat("lower: [", place / "low", "]");
    const Json seen = probe_in_sandbox(
        in_tree(cat("mounts:\n  - {type: tmpfs, target: /work}\n", mounted("/work/deep/over", lower), "  - {source: ", place / "bound",
                    ", target: /work/deep/over/bound}\n  - {type: tmpfs, target: /work/deep/over/data-too}\n")),
        {"read:/work/deep/over/data", "read:/work/deep/over/bound/file", "create:/work/deep/over/data-too/x", "dir:/work/deep/over"});
    EXPECT_EQ(part(seen, "read:/work/deep/over/data", "text"), "low");
    EXPECT_EQ(part(seen, "read:/work/deep/over/bound/file", "text"), "bound");
    EXPECT_EQ(seen["create:/work/deep/over/data-too/x"], "ok");
    EXPECT_EQ(names_of(part(seen, "dir:/work/deep/over", "names")), (Names{"bound", "data", "data-too"}));
    EXPECT_FALSE(exists(place / "low/bound"));
}

// ---- options

struct Choice {
    const char *name, *options, *shown;
    bool without_root;  // possible there too
};
std::ostream& operator<<(std::ostream& stream, const Choice& choice) { return stream << choice.name; }
const Choice choices[] = {{"index", "index: 'on'", "index=on", false},
                          {"xino", "xino: 'on'", "xino=on", true},
                          {"redirect_dir", "redirect_dir: 'on'", "redirect_dir=on", false},
                          {"metacopy", "metacopy: 'on'", "metacopy=on", false},
                          {"volatile", "volatile: true", "fsync=volatile", true},
                          {"userxattr", "userxattr: true", "userxattr", true}};

class OverlayOption : public OverlayTest, public ::testing::WithParamInterface<Choice> {};
INSTANTIATE_TEST_SUITE_P(Every, OverlayOption, ::testing::ValuesIn(choices), [](const auto& one) { return one.param.name; });

TEST_P(OverlayOption, is_what_the_mount_has) {
    const std::string name = GetParam().name;
    // Numbers of files are an issue only where layers lie on several file systems.
    const std::string upper = name == "xino" ? "tmpfs" : closed() + "/upper";
    const auto root = [&](const std::string& options) {
        return over({"@PROBE_TREE@"}, cat("upper: ", upper, options.empty() ? "" : cat(", options: {", options, "}")));
    };
    if (!is_host_root() && !GetParam().without_root) {
        EXPECT_THAT(refused(root(GetParam().options)), AllOf(HasSubstr("E0529"), HasSubstr(cat("options.", name))));
        return;
    }
    const auto super_of = [&](const std::string& options) {
        const Json seen = probe_in_sandbox(root(options), {"mounts", "create:/made", "unlink:/made"});
        EXPECT_EQ(seen["create:/made"], "ok");
        return cat(",", mount_at(seen["mounts"], "/")["super"].get<std::string>(), ",");
    };
    // Older kernels say volatile for fsync=volatile.
    const auto shown = AnyOf(HasSubstr(cat(",", GetParam().shown, ",")), HasSubstr(name == "volatile" ? ",volatile," : ",never,"));
    EXPECT_THAT(super_of(GetParam().options), shown);
    // Without root the marks are in user.* always.
    if (is_host_root() || name != "userxattr") {
        EXPECT_THAT(super_of(""), Not(shown));
    }
}

TEST_F(OverlayTest, options_that_are_wrong_are_refused_at_their_place) {
    closed();
    const auto with = [&](std::string_view options) {
        return refused(over({"@PROBE_TREE@"}, cat("upper: ", place / "closed/upper", ", options: {", options, "}")));
    };
    EXPECT_THAT(with("indx: 'on'"), AllOf(HasSubstr("rootfs.overlay.options.indx"), HasSubstr("did you mean 'index'")));
    EXPECT_THAT(with("index: maybe"), AllOf(HasSubstr("rootfs.overlay.options.index"), HasSubstr("allowed: on, off")));
    EXPECT_THAT(with("lowerdir: /"), HasSubstr("rootfs.overlay.options.lowerdir"));
    EXPECT_THAT(with("metacopy: 'on', redirect_dir: 'off'"), AllOf(HasSubstr("E0417"), HasSubstr("rootfs.overlay.options.metacopy")));
    EXPECT_THAT(with("userxattr: true, redirect_dir: 'on'"), HasSubstr("E0417"));
}

// ---- what a payload leaves on the host (CVE-2023-2640 and its kind)

TEST_P(OverlayIds, set_uid_programs_in_upper_are_out_of_others_reach) {
    const std::string upper = place / "made/upper";
    const std::string profile = over({"@PROBE_TREE@"}, cat("upper: ", upper), map());
    const Json seen = probe_in_sandbox(profile, {"chmod:/=0777", "chmod:/sandbox-probe=4755", "stat:/sandbox-probe"});
    EXPECT_EQ(seen["chmod:/sandbox-probe=4755"], "ok");
    const std::string program = upper + "/sandbox-probe";
    ASSERT_EQ(look(program).st_mode & 07777, 04755U) << "the payload did not manage to leave it: this proves nothing";
    EXPECT_EQ(look(program).st_uid, 0U);
    EXPECT_EQ(look(place / "made").st_mode & 07777, 0700U);
    EXPECT_NE(run({"/bin/sh", "-c", cat("exec ", program, " ids")}, ordinary_user()).code, 0);
    // In the open it would have done harm: such an upper is refused, there already or not.
    place.make("open/upper");
    for (const char* open : {"open/upper", "open/missing", "missing"})
        EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", place / open), map())),
                    AllOf(HasSubstr("E0525"), HasSubstr("rootfs.overlay.upper"), HasSubstr("chmod 0700")))
            << open;
}

TEST_F(OverlayTest, set_uid_programs_in_the_upper_of_an_ordinary_user_are_out_of_reach_too) {
    const Options options = ordinary_user();
    place.make("own");
    ASSERT_EQ(chown((place / "own").c_str(), *options.uid, *options.uid), 0);
    EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", place / "own/upper")), options), HasSubstr("E0525"));
    const std::string upper = place / "own/closed/upper";
    const Json seen = probe_in_sandbox(over({"@PROBE_TREE@"}, cat("upper: ", upper)), {"create:/new", "chmod:/new=4755"}, options);
    EXPECT_EQ(seen["chmod:/new=4755"], "ok");
    EXPECT_EQ(look(upper + "/new").st_uid, *options.uid);
    EXPECT_EQ(look(place / "own/closed").st_mode & 07777, 0700U);
    EXPECT_EQ(look(place / "own/closed").st_uid, *options.uid);
}

// An upper that nobody inside could write to is no upper.
TEST_F(OverlayTest, upper_on_disk_needs_a_root_inside) {
    HOST_ROOT_OR_LEFT_OUT();
    closed();
    const std::string map = "id_map: {uid: ['1000:200000:10'], gid: ['1000:200000:10']}\nprocess: {user: '1000:1000'}\n";
    EXPECT_THAT(refused(over({"@PROBE_TREE@"}, cat("upper: ", place / "closed/upper"), map)),
                AllOf(HasSubstr("E0528"), HasSubstr("rootfs.overlay.upper")));
    const Json seen = probe_in_sandbox(over({"@PROBE_TREE@"}, "upper: tmpfs", map), {"create:/made", "stat:/made"});
    EXPECT_EQ(seen["create:/made"], "ok") << "the root of what is made belongs to whoever is mapped first";
    EXPECT_EQ(part(seen, "stat:/made", "uid"), 1000);
}

// ---- a real distribution

TEST_F(OverlayTest, of_a_debian_tree_is_a_debian_system) {
    REQUIRE_OR_SKIP(!debian_tree().empty(), "no Debian tree in the cache, and it cannot be made");
    const std::string upper = closed() + "/upper", profile = over({"@DEBIAN@"}, cat("upper: ", upper));
    const struct stat before = look(debian_tree() + "/var/lib");
    const Ended first = run_sandbox(profile, {"/bin/sh", "-ec",
                                              "dpkg -s base-files; apt-get --version; echo kept >/var/lib/kept; rm /etc/debian_version; "
                                              "echo one >>/var/lib/dpkg/status; chown 33:33 /var/lib/kept"});
    EXPECT_EQ(first.code, 0) << first;
    EXPECT_THAT(first.out, AllOf(HasSubstr("Package: base-files"), HasSubstr("Status: install ok installed"), HasSubstr("apt 2.")));
    EXPECT_EQ(read_text(upper + "/var/lib/kept"), "kept\n");
    EXPECT_EQ(look(upper + "/var/lib/kept").st_uid, 33U);
    EXPECT_TRUE(is_whiteout(upper + "/etc/debian_version"));
    EXPECT_TRUE(exists(debian_tree() + "/etc/debian_version"));
    const struct stat after = look(debian_tree() + "/var/lib");
    EXPECT_EQ(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
    EXPECT_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
    const Ended second =
        run_sandbox(profile, {"/bin/sh", "-c", "cat /var/lib/kept; tail -n 1 /var/lib/dpkg/status; ls /etc/debian_version"});
    EXPECT_THAT(second.out, HasSubstr("kept\none\n"));
    EXPECT_NE(second.code, 0) << second;
}

// ---- kernels that take layers by name alone: sandbox-sweep plans and launches as on such a one

class OverlayByName : public OverlayTest {
   protected:
    // Runs the probe as command of a profile of the sweep and returns what it saw.
    Json probe_by_name(const std::string& profile, const Words& verbs, Options options = {}) const {
        std::string text = profile;
        for (const std::string word = "@PROBE_TREE@"; text.find(word) != std::string::npos;)
            text.replace(text.find(word), word.size(), probe_tree());
        Names command = {"/sandbox-probe"};
        for (const std::string& verb : verbs) command.push_back(cat("'", verb, "'"));
        const std::string file = place.write(cat("by-name-", getpid(), ".yaml"), cat(text, "process: {command: ", listed(command), "}\n"));
        const Fd report(memfd_create("report", 0));
        options.pass.push_back(report.get());
        const Ended ended = run({sweep_binary(), file, std::to_string(report.get()), "by-name"}, options);
        EXPECT_EQ(ended.code, 0) << ended;
        return last_json(ended);
    }
    static void expect_by_name(const Json& seen) {
        EXPECT_THAT(mount_at(seen["mounts"], "/")["super"].get<std::string>(), AllOf(HasSubstr("lowerdir="), Not(HasSubstr("lowerdir+="))));
    }
};

TEST_F(OverlayByName, has_500_layers_too) {
    Names layers = make_layers(499);
    layers.push_back("@PROBE_TREE@");
    const std::string upper = closed() + "/upper";
    for (const std::string& where : {std::string("tmpfs"), upper}) {
        const auto before = HostSnapshot::take();
        const Json seen = probe_by_name(over(layers, cat("upper: ", where)), look_at_500);
        expect_499_and_the_tree(seen);
        expect_by_name(seen);
        EXPECT_EQ(differences_since(before), "");
    }
    EXPECT_TRUE(exists(upper + "/made"));
    EXPECT_FALSE(exists(upper + ".work"));
}

TEST_F(OverlayByName, has_500_layers_for_an_ordinary_user_too) {
    Names layers = make_layers(499);
    layers.push_back("@PROBE_TREE@");
    const Json seen = probe_by_name(over(layers), look_at_500, ordinary_user());
    expect_499_and_the_tree(seen);
    expect_by_name(seen);
}

TEST_F(OverlayByName, maps_ids_and_takes_options_and_is_a_mount_too) {
    place.write("lower/own", "own");
    ASSERT_EQ(chown((place / "lower/own").c_str(), 1000, 1000), 0);
    const std::string upper = closed() + "/upper", second = place / "closed/second";
    const Json seen =
        probe_by_name(over({place / "lower", "@PROBE_TREE@"}, cat("upper: ", upper, ", options: {volatile: true, redirect_dir: nofollow}"),
                           cat("mounts:\n", mounted("/mnt", cat("lower: [", place / "lower", "], upper: ", second)))),
                      {"mounts", "stat:/own", "stat:/etc", "create:/new", "unlink:/own", "write:/mnt/own=OWN"});
    expect_by_name(seen);
    EXPECT_THAT(mount_at(seen["mounts"], "/")["super"].get<std::string>(),
                AllOf(HasSubstr("volatile"), HasSubstr("redirect_dir=nofollow")));
    EXPECT_THAT(mount_at(seen["mounts"], "/")["options"].get<std::string>(), AllOf(HasSubstr("nosuid"), HasSubstr("nodev")));
    EXPECT_THAT(mount_at(seen["mounts"], "/mnt")["options"].get<std::string>(), HasSubstr("noexec"));
    EXPECT_EQ(part(seen, "stat:/own", "uid"), 1000);
    EXPECT_EQ(part(seen, "stat:/etc", "uid"), 0);
    EXPECT_EQ(seen["create:/new"], "ok");
    EXPECT_EQ(look(upper + "/new").st_uid, 0U);
    EXPECT_TRUE(is_whiteout(upper + "/own"));
    EXPECT_EQ(read_text(second + "/own"), "OWN");
    EXPECT_EQ(look(second + "/own").st_uid, 1000U);
}

}  // namespace
