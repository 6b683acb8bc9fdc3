// Looking beneath a root that need not be friendly.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "host/probe.h"
#include "host/root.h"

namespace sandbox {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

class RootTest : public testing::Test {
   protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "sandbox-root-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        top_ = pattern;
    }
    void TearDown() override { fs::remove_all(top_); }

    void write(const std::string& path, const std::string& text) const {
        fs::create_directories((top_ / path).parent_path());
        std::ofstream(top_ / path) << text;
    }
    void make(const std::string& path) const { fs::create_directories(top_ / path); }
    void link(const std::string& path, const std::string& target) const {
        fs::create_directories((top_ / path).parent_path());
        fs::create_symlink(target, top_ / path);
    }
    [[nodiscard]] std::string at(const std::string& path) const { return top_ / path; }

    // What probe() says about `paths` beneath the layers.
    [[nodiscard]] HostFacts look(const std::vector<std::string>& layers, const std::vector<std::string>& paths) const {
        ProbeRequest request;
        request.passwd = true;
        for (const std::string& layer : layers) request.root_layers.push_back(at(layer));
        request.root_paths = paths;
        auto facts = probe(request);
        if (facts) return *facts;
        ADD_FAILURE() << facts.error().message;
        return {};
    }
    [[nodiscard]] PathFact look_at(const std::vector<std::string>& layers, const std::string& path) const {
        return look(layers, {path}).root_paths[path];
    }

    fs::path top_;
};

TEST_F(RootTest, ReadsPasswdAndGroupOfThePath) {
    write("root/etc/passwd", "app:x:7:7::/:/bin/sh\n");
    write("root/etc/group", "app:x:7:\n");
    const HostFacts facts = look({"root"}, {});
    EXPECT_EQ(facts.passwd, "app:x:7:7::/:/bin/sh\n");
    EXPECT_EQ(facts.group, "app:x:7:\n");
}

TEST_F(RootTest, NoLayersMeanNoFiles) {
    ProbeRequest request;
    request.passwd = true;
    request.root_paths = {"/etc"};
    const auto facts = probe(request);
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->root_paths.at("/etc").kind, PathKind::absent);
    EXPECT_EQ(facts->root_paths.at("/etc").error, ENOENT);
    EXPECT_THAT(facts->passwd, IsEmpty());
}

TEST_F(RootTest, FollowsLinksInside) {
    write("root/usr/bin/sh", "");
    link("root/bin", "usr/bin");
    link("root/sh", "/bin/sh");
    const PathFact sh = look_at({"root"}, "/sh");
    EXPECT_EQ(sh.kind, PathKind::file);
    EXPECT_EQ(sh.resolved, "/usr/bin/sh");
    EXPECT_EQ(look_at({"root"}, "/").resolved, "/");
}

TEST_F(RootTest, SaysWhereALinkLeadsToNothing) {
    make("root/etc");
    make("root/run");
    link("root/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
    link("root/etc/absolute", "/etc/resolv.conf");
    link("root/etc/odd", "/nowhere/../file");
    make("top");
    for (const std::vector<std::string>& layers : {std::vector<std::string>{"root"}, {"top", "root"}}) {
        for (const char* name : {"/etc/resolv.conf", "/etc/absolute"}) {
            const PathFact fact = look_at(layers, name);
            EXPECT_EQ(fact.kind, PathKind::absent);
            EXPECT_EQ(fact.resolved, "/run/systemd/resolve/stub-resolv.conf");
        }
        EXPECT_EQ(look_at(layers, "/etc/odd").resolved, "");
        EXPECT_EQ(look_at(layers, "/etc/none").resolved, "") << "no link";
    }
}

TEST_F(RootTest, TellsEmptyDirectories) {
    make("root/void");
    write("root/full/file", "");
    make("root/nested/inner");
    EXPECT_TRUE(look_at({"root"}, "/void").empty);
    EXPECT_FALSE(look_at({"root"}, "/full").empty);
    EXPECT_FALSE(look_at({"root"}, "/nested").empty);
}

TEST_F(RootTest, LinksCannotLeave) {
    write("secret", "host\n");
    write("etc/passwd", "host:x:0:0::/:/bin/sh\n");
    make("root/etc");
    link("root/etc/passwd", "../../../../../../" + at("secret").substr(1));
    link("root/etc/group", at("secret"));
    link("root/up", "../..");
    link("root/proc", "/");
    const HostFacts facts = look({"root"}, {"/etc/passwd", "/up/secret", "/up", "/proc/etc"});
    EXPECT_THAT(facts.passwd, IsEmpty());
    EXPECT_THAT(facts.group, IsEmpty());
    EXPECT_EQ(facts.root_paths.at("/etc/passwd").kind, PathKind::absent);
    EXPECT_EQ(facts.root_paths.at("/up/secret").kind, PathKind::absent);
    EXPECT_EQ(facts.root_paths.at("/up").resolved, "/");
    EXPECT_EQ(facts.root_paths.at("/proc/etc").resolved, "/etc");
}

TEST_F(RootTest, DotDotInThePathCannotLeave) {
    write("secret", "host\n");
    make("root");
    EXPECT_EQ(look_at({"root"}, "/../secret").kind, PathKind::absent);
    make("below");
    EXPECT_EQ(look_at({"root", "below"}, "/../secret").kind, PathKind::absent);
}

TEST_F(RootTest, LinkLoopsEnd) {
    link("root/a", "b");
    link("root/b", "/a");
    make("below");
    EXPECT_EQ(look_at({"root"}, "/a").error, ELOOP);
    EXPECT_EQ(look_at({"root", "below"}, "/a").error, ELOOP);
    link("root/etc/passwd", "passwd");
    EXPECT_THAT(look({"root"}, {}).passwd, IsEmpty());
}

TEST_F(RootTest, AFifoIsNotOpened) {
    make("root/etc");
    ASSERT_EQ(::mkfifo(at("root/etc/passwd").c_str(), 0666), 0);
    ASSERT_EQ(::mkfifo(at("root/etc/group").c_str(), 0666), 0);
    const HostFacts facts = look({"root"}, {"/etc/passwd"});
    EXPECT_THAT(facts.passwd, IsEmpty());
    EXPECT_EQ(facts.root_paths.at("/etc/passwd").kind, PathKind::fifo);
}

TEST_F(RootTest, ADirectoryIsNoPasswd) {
    make("root/etc/passwd");
    EXPECT_THAT(look({"root"}, {}).passwd, IsEmpty());
}

TEST_F(RootTest, AHugePasswdIsCutAfterAWholeLine) {
    constexpr std::size_t limit = 1024 * 1024;
    const std::string line = "user:x:1000:1000::/:/bin/sh\n";
    std::string text;
    while (text.size() < 2 * limit) text += line;
    write("root/etc/passwd", text);
    const std::string read = look({"root"}, {}).passwd;
    EXPECT_LE(read.size(), limit);
    EXPECT_GT(read.size(), limit - line.size());
    EXPECT_EQ(read.size() % line.size(), 0U) << "half a line would be another user id";
    write("root/etc/group", "");
    fs::resize_file(at("root/etc/group"), 1ULL << 40);
    EXPECT_THAT(look({"root"}, {}).group, IsEmpty()) << "a sparse file of a terabyte, without an end of line";
}

TEST_F(RootTest, TheTopLayerDecides) {
    write("top/etc/passwd", "top\n");
    write("low/etc/passwd", "low\n");
    write("low/etc/group", "low\n");
    const HostFacts facts = look({"top", "low"}, {});
    EXPECT_EQ(facts.passwd, "top\n");
    EXPECT_EQ(facts.group, "low\n");
}

TEST_F(RootTest, ALayerThatIsNotThereHoldsNothing) {
    write("low/etc/passwd", "low\n");
    EXPECT_EQ(look({"gone", "low"}, {}).passwd, "low\n");
    EXPECT_EQ(look_at({"gone"}, "/").kind, PathKind::absent);
}

TEST_F(RootTest, ALinkInOneLayerLeadsIntoAnother) {
    link("low/bin", "usr/bin");
    make("low/usr/bin");
    write("top/usr/bin/tool", "");
    const PathFact tool = look_at({"top", "low"}, "/bin/tool");
    EXPECT_EQ(tool.kind, PathKind::file);
    EXPECT_EQ(tool.resolved, "/usr/bin/tool");
}

TEST_F(RootTest, SomethingElseInATopLayerHidesTheDirectoryBeneath) {
    write("top/etc", "a file\n");
    write("low/etc/passwd", "low\n");
    EXPECT_THAT(look({"top", "low"}, {}).passwd, IsEmpty());
    EXPECT_EQ(look_at({"top", "low"}, "/etc").kind, PathKind::file);
    EXPECT_EQ(look_at({"top", "low"}, "/etc/passwd").error, ENOTDIR);
}

TEST_F(RootTest, AMergedDirectoryIsEmptyWhenEachIs) {
    make("top/a");
    make("low/a");
    make("top/b");
    write("low/b/file", "");
    EXPECT_TRUE(look_at({"top", "low"}, "/a").empty);
    EXPECT_FALSE(look_at({"top", "low"}, "/b").empty);
}

TEST_F(RootTest, AWhiteoutHidesWhatIsBeneath) {
    make("top/etc");
    write("low/etc/passwd", "low\n");
    write("low/opt/file", "");
    // Everyone may make this one device (Linux 5.8).
    if (::mknod(at("top/etc/passwd").c_str(), S_IFCHR | 0600, 0) != 0) GTEST_SKIP() << "SKIPPED: no whiteouts without CAP_MKNOD here";
    ASSERT_EQ(::mknod(at("top/opt").c_str(), S_IFCHR | 0600, 0), 0);
    EXPECT_THAT(look({"top", "low"}, {}).passwd, IsEmpty());
    EXPECT_EQ(look_at({"top", "low"}, "/etc/passwd").error, ENOENT);
    EXPECT_EQ(look_at({"top", "low"}, "/opt/file").error, ENOENT);
    EXPECT_EQ(look_at({"top"}, "/opt").kind, PathKind::absent) << "also in a single layer";
}

TEST_F(RootTest, AnOpaqueDirectoryHidesWhatIsBeneath) {
    make("top/etc");
    write("low/etc/passwd", "low\n");
    write("low/etc/deep/file", "");
    if (::setxattr(at("top/etc").c_str(), "user.overlay.opaque", "y", 1, 0) != 0)
        GTEST_SKIP() << "SKIPPED: no user attributes on this file system";
    const auto user = Root::open({at("top"), at("low")}, true), trusted = Root::open({at("top"), at("low")}, false);
    ASSERT_TRUE(user && trusted);
    EXPECT_EQ(user->find("/etc/passwd").error, ENOENT);
    EXPECT_EQ(user->find("/etc/deep/file").error, ENOENT);
    EXPECT_EQ(trusted->read("/etc/passwd", 100), "low\n") << "user.* marks count only for overlays that are mounted with userxattr";
    if (::setxattr(at("top/etc").c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0) {
        EXPECT_EQ(trusted->find("/etc/passwd").error, ENOENT);
    }
}

TEST_F(RootTest, ManyLayers) {
    std::vector<std::string> layers;
    for (int i = 0; i < 100; ++i) {
        layers.push_back("l" + std::to_string(i));
        make(layers.back());
    }
    write("l99/etc/passwd", "bottom\n");
    EXPECT_EQ(look(layers, {}).passwd, "bottom\n");
}

TEST_F(RootTest, LeavesNoDescriptorOpen) {
    const auto count = [] {
        const fs::directory_iterator open("/proc/self/fd");
        return std::distance(fs::begin(open), fs::end(open));
    };
    write("top/etc/passwd", "");
    make("low/etc");
    const auto before = count();
    ProbeRequest request;
    request.everything = request.passwd = true;
    request.root_layers = {at("top"), at("low")};
    request.root_paths = {"/etc", "/none", "/etc/passwd"};
    request.paths = request.idmap_paths = {at("top"), "/none"};
    ASSERT_TRUE(probe(request));
    EXPECT_EQ(count(), before);
}

}  // namespace
}  // namespace sandbox
