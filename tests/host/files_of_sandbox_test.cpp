// sandbox cp and diff: files of a living sandbox, seen and changed from outside.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "own_tree.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

constexpr const char* name = "files-test";

class FilesOfSandbox : public EveryWay {
   protected:
    static void clean() {
        sandbox_command({"gc"});
        sandbox_command({"gc"}, ordinary_user());
    }
    void SetUp() override {
        EveryWay::SetUp();
        REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
        clean();
    }
    void TearDown() override {
        if (is_root()) clean();
    }
    static std::string named(std::string_view rest) { return profile(cat("name: ", name, "\n", rest)); }
    static Ended command(const Words& words) { return sandbox_command(words, options()); }
    static Process start(std::string_view text) {
        Options held = options();
        held.keep_input_open = true;
        Process sandbox = start_sandbox(text, {"/sandbox-probe", "hold"}, held);
        EXPECT_TRUE(sandbox.expect("\"ready\":true")) << sandbox.err();
        command({"exec", name, "--", "/bin/true"});
        return sandbox;
    }
    static Ended sh(const std::string& script) { return command({"exec", name, "--", "/bin/sh", "-c", script}); }
    // Over a layer of the caller's own: over another's an ordinary user changes nothing.
    static std::string overlay_in(const TempDir& place, std::string_view upper) {
        run({"cp", "-a", busybox_tree(), place / "lower"});
        hand_over(place);
        return named(cat("rootfs: {overlay: {lower: [", place / "lower", "], upper: ", upper, "}}\n"));
    }
};

INSTANTIATE_EVERY_WAY(FilesOfSandbox);

constexpr const char* with_tmp = "rootfs: {path: @BUSYBOX@}\nmounts: [{type: tmpfs, target: /tmp}]\n";

TEST_P(FilesOfSandbox, go_in_and_belong_to_its_root) {
    const TempDir place;
    place.write("tree/file", "text", 0640);
    place.write("tree/sub/program", "#!", 04755);
    place.link("tree/link", "/etc/passwd");
    run({"touch", "-d", "2001-02-03T04:05:06Z", place / "tree/file", place / "tree/sub"});
    hand_over(place);
    run({"chmod", "4755", place / "tree/sub/program"});
    const Process sandbox = start(named(with_tmp));
    const Ended in = command({"cp", place / "tree", cat(name, ":/tmp")});
    ASSERT_TRUE(in.ok()) << in;
    const Ended seen = sh("cd /tmp/tree; stat -c '%n %a %u:%g %Y' file sub sub/program; readlink link; cat file");
    EXPECT_EQ(seen.out, "file 640 0:0 981173106\nsub 755 0:0 981173106\nsub/program 4755 0:0 " +
                            std::string(seen.out.substr(seen.out.find("program") + 17, 10)) + "\n/etc/passwd\ntext")
        << seen;
    ASSERT_TRUE(command({"cp", place / "tree/.", cat(name, ":/tmp")}).ok());
    EXPECT_EQ(sh("cat /tmp/file").out, "text");
    ASSERT_TRUE(command({"cp", place / "tree/file", cat(name, ":/tmp/other")}).ok());
    EXPECT_EQ(sh("cat /tmp/other").out, "text");
    ASSERT_TRUE(command({"cp", place / "tree", cat(name, ":/tmp/copy")}).ok());
    EXPECT_EQ(sh("cat /tmp/copy/file").out, "text");
    const Ended missing = command({"cp", place / "tree/file", cat(name, ":/tmp/none/file")});
    EXPECT_EQ(missing.code, 125);
    EXPECT_THAT(missing.err, HasSubstr("files-test:/tmp/none")) << missing;
}

TEST_P(FilesOfSandbox, come_out_and_belong_to_the_caller) {
    const TempDir place;
    hand_over(place);
    const Process sandbox = start(named(with_tmp));
    ASSERT_TRUE(
        sh("cd /tmp; mkdir -p d/sub; echo a > d/file; chmod 4751 d/file; ln -s ../x d/link; touch -d '2001-02-03 04:05:06' d/file").ok());
    const Ended out = command({"cp", cat(name, ":/tmp/d"), place / "copy"});
    ASSERT_TRUE(out.ok()) << out;
    struct stat about {};
    ASSERT_EQ(stat((place / "copy/file").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777, 0751U);
    EXPECT_EQ(about.st_uid, GetParam().ordinary ? *options().uid : 0U);
    EXPECT_EQ(about.st_mtime, 981173106);
    EXPECT_EQ(std::filesystem::read_symlink(place / "copy/link"), "../x");
    EXPECT_EQ(read_text(place / "copy/file"), "a\n");
    EXPECT_TRUE(exists(place / "copy/sub"));
    ASSERT_TRUE(command({"cp", cat(name, ":/tmp/d"), place / "copy"}).ok());
    EXPECT_TRUE(exists(place / "copy/d/file"));
    ASSERT_TRUE(sh("mkfifo /tmp/d/pipe").ok());
    const Ended special = command({"cp", cat(name, ":/tmp/d"), place / "again"});
    EXPECT_EQ(special.code, 125);
    EXPECT_THAT(special.err, HasSubstr("files-test:/tmp/d/pipe")) << special;
}

// A link that a payload makes leads nowhere but into the sandbox.
TEST_P(FilesOfSandbox, cannot_be_led_outside) {
    const TempDir place;
    place.write("secret", "of the host");
    place.make("victim");
    place.write("mine", "from outside");
    hand_over(place);
    const Process sandbox = start(named(with_tmp));
    ASSERT_TRUE(sh(cat("cd /tmp; ln -s ", place / "secret", " direct; ln -s ../../../../../..", place / "secret",
                       " climbing; ln -s ../../../..", place / "victim", " folder; ln -s /proc/1/root magic; ln -s /tmp/target dangling"))
                    .ok());
    for (const char* link : {"direct", "climbing"}) {
        const Ended ended = command({"cp", cat(name, ":/tmp/", link, "/"), place / "out"});
        EXPECT_EQ(ended.code, 125) << ended;
        ASSERT_TRUE(command({"cp", cat(name, ":/tmp/", link), place / link}).ok());
        EXPECT_TRUE(std::filesystem::is_symlink(place / link)) << "the link itself";
    }
    EXPECT_EQ(command({"cp", place / "mine", cat(name, ":/tmp/folder/file")}).code, 125);
    EXPECT_EQ(command({"cp", place / "mine", cat(name, ":/tmp/magic/tmp/file")}).code, 125);
    EXPECT_FALSE(exists(place / "victim/file"));
    ASSERT_TRUE(command({"cp", place / "mine", cat(name, ":/tmp/direct")}).ok());
    EXPECT_EQ(read_text(place / "secret"), "of the host") << "the link was replaced, not followed";
    EXPECT_EQ(sh("cat /tmp/direct").out, "from outside");
}

TEST_P(FilesOfSandbox, are_named_by_one_side) {
    const Process sandbox = start(named(with_tmp));
    EXPECT_THAT(command({"cp", "/etc/hostname", "/tmp/x"}).err, HasSubstr("neither of the two is of a sandbox"));
    EXPECT_THAT(command({"cp", cat(name, ":/a"), cat(name, ":/b")}).err, HasSubstr("both are of a sandbox"));
    EXPECT_THAT(command({"cp", cat(name, ":"), "/tmp/x"}).err, HasSubstr("has no path"));
    EXPECT_THAT(command({"cp", "nobody-here:/a", "/tmp/x"}).err, HasSubstr("there is no sandbox 'nobody-here'"));
    EXPECT_THAT(command({"cp", cat(name, ":/a")}).err, HasSubstr("needs FROM and TO"));
}

constexpr const char* changes =
    "cd /; rm /etc/group; echo x >> /etc/passwd; mkdir /home/new; echo y > /home/new/file; rm -r /usr/bin; "
    "mkdir /usr/bin; echo z > /usr/bin/tool; chmod 700 /mnt; ln -s a /home/link";
constexpr const char* said =
    "D /etc/group\nC /etc/passwd\nA /home/link\nA /home/new\nA /home/new/file\nC /mnt\nC /usr/bin\nA /usr/bin/tool\n";

TEST_P(FilesOfSandbox, that_changed_are_listed) {
    const TempDir place;
    const Process sandbox = start(overlay_in(place, place / "own/upper"));
    EXPECT_EQ(command({"diff", name}).out, "");
    const Ended changed = sh(changes);
    ASSERT_TRUE(changed.ok()) << changed;
    const Ended listed = command({"diff", name});
    EXPECT_EQ(listed.out, said) << listed;
    const Json json = Json::parse(command({"diff", "--json", name}).out);
    EXPECT_EQ(json.size(), 8U);
    EXPECT_EQ(json[0], (Json{{"kind", "D"}, {"path", "/etc/group"}}));
}

TEST_P(FilesOfSandbox, that_changed_on_a_tmpfs_are_listed_where_they_can_be_seen) {
    const TempDir place;
    const Process sandbox = start(overlay_in(place, "tmpfs"));
    const Ended changed = sh(changes);
    ASSERT_TRUE(changed.ok()) << changed;
    const Ended listed = command({"diff", name});
    if (GetParam().ordinary || !is_host_root()) {
        EXPECT_EQ(listed.code, 125);
        EXPECT_THAT(listed.err, HasSubstr("cannot be seen from outside")) << listed;
    } else {
        EXPECT_EQ(listed.out, said) << listed;
    }
}

TEST_P(FilesOfSandbox, have_changed_only_in_an_overlay) {
    const Process sandbox = start(named(with_tmp));
    const Ended ended = command({"diff", name});
    EXPECT_EQ(ended.code, 125);
    EXPECT_THAT(ended.err, HasSubstr("the root of sandbox 'files-test' is no overlay")) << ended;
}

}  // namespace
