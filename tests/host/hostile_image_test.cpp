// Images that are made to lead the launcher out of them. Whatever the image, the launch fails (125) or runs inside, and the
// host is as it was.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <filesystem>
#include <map>

#include "ways.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;

struct Link {
    const char *name, *target;  // "@HOST@" is a directory beside the image
};

struct Image {
    const char* what;
    std::vector<Link> links;
};

// place/host and place/etc are "the host"; place/a/image is the image.
class HostileImage : public EveryWay {
   protected:
    void SetUp() override {
        EveryWay::SetUp();
        for (const char* folder : {"etc", "host/pts", "host/sys", "a"}) place_.make(folder);
        for (const char* file : {"etc/passwd", "host/file", "host/null", "host/sys/core_pattern", "host/passwd"})
            place_.write(file, "of the host\n");
        before_ = HostSnapshot::take({{"/etc"}, -1});
    }
    [[nodiscard]] std::string root() const { return place_ / "a/image"; }
    void make(const std::vector<Link>& links) const {
        place_.make("a/image");
        for (const Link& link : links) {
            std::string target = link.target;
            if (const auto at = target.find("@HOST@"); at != target.npos) target.replace(at, 6, place_ / "host");
            const std::string path = cat("a/image/", link.name);
            std::filesystem::create_directories(std::filesystem::path(place_ / path).parent_path());
            place_.link(path, target);
        }
        for (const char* folder : {"proc", "sys", "dev", "etc", "tmp"}) {
            std::error_code there;
            std::filesystem::create_directory(cat(root(), "/", folder), there);
        }
        std::filesystem::copy_file(probe_binary(), root() + "/sandbox-probe");
        hand_over(place_);
    }
    // Every file of a tree: its type, its mode, where it leads.
    static std::string picture(const std::string& path) {
        std::map<std::string, std::string> entries;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
            struct stat info {};
            if (lstat(entry.path().c_str(), &info) != 0) continue;
            entries[entry.path()] = cat(info.st_ino, " ", info.st_mode, " ", info.st_uid, " ", info.st_size,
                                        S_ISLNK(info.st_mode) ? std::filesystem::read_symlink(entry.path()).string() : "");
        }
        std::string text;
        for (const auto& [name, what] : entries) text += cat(name, ": ", what, "\n");
        return text;
    }
    // What must not change. In a tree of an ordinary user the child itself makes what mounts need, and that stays.
    [[nodiscard]] std::string host() const {
        return cat(picture(place_ / "host"), picture(place_ / "etc"), GetParam().ordinary ? "" : picture(root()));
    }
    // Runs and compares; the launch may fail, but only as a launch.
    Ended attack(std::string_view rest, const Words& argv = {"/sandbox-probe", "dir:/"}, Options with = options()) {
        const std::string before = host();
        with.timeout = milliseconds(10000);
        Ended ended = run_sandbox(profile(cat("rootfs: {path: ", root(), "}\n", rest)), argv, with);
        EXPECT_FALSE(ended.timed_out) << ended;
        EXPECT_THAT(ended.code, AnyOf(0, 125, 126, 127)) << ended;
        EXPECT_EQ(host(), before) << ended;
        return ended;
    }
    void TearDown() override {
        if (!before_.sections.empty()) {
            EXPECT_EQ(differences_since(before_, {{"/etc"}, -1}), "");
        }
    }
    HostSnapshot before_;
    const TempDir place_;
};
INSTANTIATE_EVERY_WAY(HostileImage);

const std::vector<Image>& images() {
    static const std::vector<Image> all = {
        {"proc is the root", {{"proc", "/"}}},
        {"proc is outside", {{"proc", "../../host"}}},
        {"proc is outside by its name on the host", {{"proc", "@HOST@"}}},
        {"proc is etc", {{"proc", "etc"}}},
        {"sys is outside", {{"sys", "../../host"}}},
        {"sys is the root", {{"sys", "/"}}},
        {"dev is the host's etc", {{"dev", "../../etc"}}},
        {"dev is outside by its name", {{"dev", "@HOST@"}}},
        {"dev is far above", {{"dev", "../../../../../../../../etc"}}},
        {"dev leads nowhere", {{"dev", "/no/such"}}},
        {"dev is itself", {{"dev", "dev"}}},
        {"null is outside", {{"dev/null", "@HOST@/file"}, {"dev/pts", "@HOST@/pts"}, {"dev/shm", "../../../host"}}},
        {"parts of proc are links", {{"proc/sys", "@HOST@/sys"}, {"proc/kcore", "@HOST@/file"}, {"proc/self", "/"}}},
        {"parts of sys are links", {{"sys/firmware", "@HOST@"}, {"sys/fs", "../../../host"}}},
        {"etc is the host's", {{"etc", "/etc"}}},
        {"etc is outside", {{"etc", "../../etc"}}},
        {"etc is outside by its name", {{"etc", "@HOST@"}}},
        {"a chain of links", {{"etc", "l1"}, {"l1", "l2"}, {"l2", "../../host"}}},
        {"the probe's folder is a magic link", {{"etc", "/proc/self/root/etc"}, {"w", "/proc/1/root"}}},
        {"files of etc are links", {{"etc/passwd", "@HOST@/passwd"}, {"etc/made", "@HOST@/new"}, {"etc/folder", "../../../host/new"}}},
    };
    return all;
}

TEST_P(HostileImage, cannot_redirect_the_kernels_file_systems) {
    for (const Image& image : images()) {
        SCOPED_TRACE(image.what);
        make(image.links);
        const Ended ended = attack("");
        if (ended.ok()) {
            EXPECT_THAT(last_json(ended)["dir:/"]["names"], ::testing::Contains("sandbox-probe"));
        }
        std::filesystem::remove_all(root());
    }
}

TEST_P(HostileImage, cannot_redirect_what_the_profile_makes) {
    constexpr const char* makes = R"(
files: {/etc/made: {content: "x"}, /etc/folder/made: {content: "x"}, /etc/passwd: {content: "x"}}
dirs: [/etc/dir, /etc/folder/dir, {path: /dev/folder, perm: "0700"}]
symlinks: {/etc/link: /x, /etc/folder/link: /x}
mounts:
  - {type: tmpfs, target: /etc/mounted}
  - {type: tmpfs, target: /etc/folder/mounted/deep}
  - {source: /usr, target: /etc/bound}
)";
    for (const Image& image : images()) {
        SCOPED_TRACE(image.what);
        make(image.links);
        attack(makes);
        std::filesystem::remove_all(root());
    }
}

TEST_P(HostileImage, cannot_redirect_masks_and_read_only_paths) {
    make({{"etc/out", "../../../host"}, {"etc/file", "@HOST@/file"}, {"etc/proc", "/proc/sys"}});
    for (const char* what : {"mask: [/etc/out]", "mask: [/etc/out/file]", "mask: [/etc/file]", "readonly_paths: [/etc/out]",
                             "readonly_paths: [/etc/file]", "mask: [/etc/proc]"}) {
        SCOPED_TRACE(what);
        attack(what);
    }
}

// What a mask cannot cover must not be left open in silence.
TEST_P(HostileImage, cannot_make_a_mask_miss) {
    make({{"secret", "etc/real"}});
    place_.make("a/image/etc/real");
    place_.write("a/image/etc/real/file", "secret");
    hand_over(place_);
    const Ended ended = attack("mask: [/secret]", {"/sandbox-probe", "dir:/etc/real", "dir:/secret"});
    if (ended.ok()) {
        EXPECT_EQ(last_json(ended)["dir:/etc/real"]["names"], Json::array());
    }
}

// A kernel parameter is written in a /proc of our own, whatever the image has there.
TEST_P(HostileImage, cannot_redirect_a_kernel_parameter) {
    make({{"proc/sys", "@HOST@/sys"}, {"sys", "../../host"}});
    const std::string before = read_text("/proc/sys/net/core/somaxconn");
    const Ended ended =
        attack("sysctl: {net.ipv4.ip_unprivileged_port_start: 99}", {"/sandbox-probe", "sysctl:net.ipv4.ip_unprivileged_port_start"});
    if (ended.ok()) {
        EXPECT_EQ(last_json(ended)["sysctl:net.ipv4.ip_unprivileged_port_start"], "99");
    }
    EXPECT_EQ(read_text("/proc/sys/net/core/somaxconn"), before);
}

TEST_P(HostileImage, cannot_choose_a_working_directory_outside) {
    std::vector<Link> links;
    static std::vector<std::string> names, targets;
    names.clear();
    targets.clear();
    for (int fd = 3; fd < 26; ++fd) {
        names.push_back(cat("self", fd));
        targets.push_back(cat("/proc/self/fd/", fd));
        names.push_back(cat("init", fd));
        targets.push_back(cat("/proc/1/fd/", fd));
    }
    for (std::size_t i = 0; i < names.size(); ++i) links.push_back({names[i].c_str(), targets[i].c_str()});
    make(links);
    std::string mounts = "mounts: [{type: tmpfs, target: /made}]\n";  // the tree is locked, and init holds the lock
    for (const std::string& name : names) {
        if (name != "self3" && name != "self7" && !name.starts_with("init")) continue;
        SCOPED_TRACE(name);
        const Ended ended = attack(cat(mounts, "process: {working_dir: /", name, "}"), {"/sandbox-probe", "cwd", "dir:.", "dir:.."});
        if (ended.ok()) {
            const Json seen = last_json(ended);
            EXPECT_THAT(seen["cwd"].get<std::string>(), ::testing::StartsWith("/")) << seen;
            EXPECT_EQ(seen["dir:.."].dump().find("image"), std::string::npos) << seen;
        }
    }
}

// The launcher reads passwd and group itself, as bounded text; nothing of the image is loaded or run for it.
TEST_P(HostileImage, cannot_hold_or_mislead_the_look_up_of_users) {
    make({});
    const std::string passwd = root() + "/etc/passwd", group = root() + "/etc/group";
    const auto refused = [&] { return attack("process: {user: someone}").code; };
    ASSERT_EQ(mkfifo(passwd.c_str(), 0666), 0);
    ASSERT_EQ(mkfifo(group.c_str(), 0666), 0);
    EXPECT_EQ(refused(), 125);
    EXPECT_EQ(attack("process: {user: \"0\"}").code, 0);
    for (const std::string& file : {passwd, group}) unlink(file.c_str());
    place_.write("host/secret", "someone:x:0:0::/:/bin/sh\n");
    place_.link("a/image/etc/passwd", place_ / "host/secret");
    EXPECT_EQ(refused(), 125) << "a link out of the image was followed";
    unlink(passwd.c_str());
    place_.link("a/image/etc/passwd", "../../../host/secret");
    EXPECT_EQ(refused(), 125) << "a link out of the image was followed";
    unlink(passwd.c_str());
    place_.write("a/image/etc/passwd", std::string(1U << 20, 'x'));
    ASSERT_EQ(truncate(passwd.c_str(), 1LL << 40), 0);  // sparse: nothing that could be read whole, or walked by a snapshot
    EXPECT_EQ(run_sandbox(profile(cat("rootfs: {path: ", root(), "}\nprocess: {user: someone}")), {"/sandbox-probe"}, options()).code, 125);
    unlink(passwd.c_str());
    place_.write("a/image/etc/passwd",
                 "someone:x:-1:-1::/:\nsomeone:x:4294967295:0::/:\nsomeone:x:0x0:0::/:\nsomeone:x:1x:1::/:\nsomeone\n:::::\n");
    EXPECT_EQ(refused(), 125) << "an id that is no number was taken for one";
    place_.write("a/image/etc/passwd", "someone:x:0:0:" + std::string(100000, 'y') + ":/:\n");
    EXPECT_THAT(refused(), AnyOf(0, 125));
}

TEST_P(HostileImage, cannot_have_its_libraries_or_settings_loaded) {
    make({});
    for (const char* file :
         {"etc/nsswitch.conf", "etc/ld.so.preload", "lib/x86_64-linux-gnu/libnss_files.so.2", "lib64/ld-linux-x86-64.so.2"})
        place_.write(cat("a/image/", file), "passwd: evil\n/evil.so\n");
    place_.write("a/image/etc/passwd", "someone:x:0:0::/:/bin/sh\n");
    hand_over(place_);
    EXPECT_EQ(attack("process: {user: someone}", {"/sandbox-probe", "ids"}).code, 0);
}

// Commands that are our own program, a script for it, or nothing that can be executed.
TEST_P(HostileImage, cannot_have_init_executed_as_the_payload) {
    make({{"self", "/proc/self/exe"}, {"init", "/proc/1/exe"}, {"fd", "/proc/self/fd/3"}});
    place_.write("a/image/script", "#!/proc/self/exe\n", 0755);
    place_.write("a/image/loader", "#!/proc/1/exe\n", 0755);
    place_.make("a/image/folder");
    ASSERT_EQ(mkfifo((root() + "/fifo").c_str(), 0777), 0);
    hand_over(place_);
    for (const char* command : {"/self", "/init", "/fd", "/script", "/loader", "/folder", "/fifo", "/proc/self/exe", "/proc/1/exe"}) {
        SCOPED_TRACE(command);
        const Ended ended = attack("", {command, "argument"});
        EXPECT_NE(ended.code, 0) << ended;
    }
}

// A tree whose target of a mount is exchanged all the time between a folder and a link to the host.
TEST_P(HostileImage, cannot_exchange_a_target_while_it_is_mounted_on) {
    make({});
    place_.make("a/image/x");
    place_.link("a/image/y", "../../host");
    hand_over(place_);
    const pid_t flipper = fork();
    if (flipper == 0) {
        const std::string x = root() + "/x", y = root() + "/y";
        while (true) renameat2(AT_FDCWD, x.c_str(), AT_FDCWD, y.c_str(), RENAME_EXCHANGE);
        _exit(0);
    }
    const std::string before = cat(picture(place_ / "host"), picture(place_ / "etc"));
    for (int i = 0; i < 10; ++i) {
        const Ended ended = run_sandbox(profile(cat("rootfs: {path: ", root(), "}\nmounts: [{type: tmpfs, target: /x/made}]\n",
                                                    "files: {/x/file: {content: text}}\ndirs: [/x/dir]\n")),
                                        {"/sandbox-probe", "dir:/x"}, options());
        EXPECT_THAT(ended.code, AnyOf(0, 125)) << ended;
    }
    kill(flipper, SIGKILL);
    waitpid(flipper, nullptr, 0);
    EXPECT_EQ(cat(picture(place_ / "host"), picture(place_ / "etc")), before);
    // What could not be taken back while its way was exchanged is on record, and goes now.
    const Ended cleaned = sandbox_command({"gc"}, options());
    EXPECT_TRUE(cleaned.ok()) << cleaned;
}

}  // namespace
