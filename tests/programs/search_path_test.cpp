// Profiles as they are installed: found by name, changed by drop-ins, shadowed, broken, written anew.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "programs.h"

namespace {

using namespace programs;
using testing::HasSubstr;
using testing::Not;

constexpr const char* admin = "/etc/sandbox/profiles";
constexpr const char* local = "/usr/local/share/sandbox/profiles";
constexpr const char* own = "/root/.config/sandbox/profiles";

class Installed : public Programs {
   protected:
    ~Installed() override {
        for (const char* folder : {"/etc/sandbox", "/usr/local/share/sandbox", "/root/.config"}) std::filesystem::remove_all(folder);
    }

    static std::string install(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::ofstream(path) << text;
        return path;
    }
    static std::string says(const std::string& word) {
        return cat("version: 1\nrootfs: {host: ro}\nprocess: {command: [/bin/echo, ", word, "]}\n");
    }
    static Ended sandbox(Words words) {
        words.insert(words.begin(), "/usr/local/bin/sandbox");
        return run(words, here_of_root());
    }
    static Options here_of_root() {
        Options options;
        options.add["HOME"] = "/root";
        options.directory = "/root";
        return options;
    }
};

TEST_F(Installed, a_name_is_found_in_the_first_place_and_changed_by_drop_ins) {
    install(cat(local, "/it.yaml"), says("local"));
    EXPECT_EQ(sandbox({"run", "it"}).out, "local\n");
    install(cat(admin, "/it.yaml"), says("admin"));
    EXPECT_EQ(sandbox({"run", "it"}).out, "admin\n");
    install(cat(own, "/it.yaml"), "version: 1\nextends: [it]\nresources: {pids: 20}\n");
    EXPECT_EQ(sandbox({"run", "it"}).out, "admin\n");
    install(cat(local, "/it.d/10-word.yaml"), "process: {command: [/bin/echo, dropped]}\n");
    EXPECT_EQ(sandbox({"run", "it"}).out, "dropped\n");
    const Ended origin = sandbox({"config", "--origin", "it"});
    EXPECT_THAT(origin.out, HasSubstr(cat("command: [/bin/echo, dropped]  # ", local, "/it.d/10-word.yaml:1")));
    EXPECT_THAT(origin.out, HasSubstr(cat("pids: 20  # ", own, "/it.yaml:3")));
    EXPECT_THAT(origin.out, HasSubstr(cat("host: ro  # ", admin, "/it.yaml:2")));
    const Ended list = sandbox({"profiles", "--json"});
    std::vector<std::string> states;
    const Json listed = Json::parse(list.out);
    for (const auto& profile : listed["profiles"])
        if (profile["name"] == "it") states.push_back(cat(profile["state"].get<std::string>(), " ", profile["file"].get<std::string>()));
    EXPECT_THAT(states, testing::ElementsAre(cat("ok ", own, "/it.yaml"), cat("shadowed ", admin, "/it.yaml"),
                                             cat("shadowed ", local, "/it.yaml")));
}

TEST_F(Installed, a_broken_profile_does_not_break_others) {
    install(cat(admin, "/broken.yaml"), "version: 1\nrootfs: {host: ro}\nmemmory: 1\nprocess: {command: [/bin/true]}\n");
    install(cat(admin, "/circle.yaml"), "version: 1\nextends: [ring]\n");
    install(cat(admin, "/ring.yaml"), "version: 1\nextends: [circle]\n");
    install(cat(admin, "/orphan.yaml"), "version: 1\nextends: [base/nobody]\nprocess: {command: [/bin/true]}\n");
    install(cat(admin, "/good.yaml"), says("good"));
    EXPECT_EQ(sandbox({"run", "good"}).out, "good\n");
    const Ended list = sandbox({"profiles"});
    EXPECT_TRUE(list.ok()) << list;
    EXPECT_THAT(list.err, HasSubstr(cat("broken is broken: ", admin, "/broken.yaml:3:1: memmory: unknown key")));
    EXPECT_THAT(list.err,
                HasSubstr(cat("a circle: ", admin, "/circle.yaml extends ", admin, "/ring.yaml extends ", admin, "/circle.yaml")));
    EXPECT_THAT(list.err, HasSubstr("orphan is broken: "));
    EXPECT_THAT(list.err, HasSubstr("extends[0]: no profile named 'base/nobody'"));
    EXPECT_THAT(sandbox({"profiles", "-q"}).out, HasSubstr("good\n"));
}

TEST_F(Installed, what_means_nothing_is_said) {
    const std::string drop_in = install(cat(admin, "/nobody.d/10-a.yaml"), "resources: {pids: 1}\n");
    const std::string stray = install(cat(admin, "/web.yml"), says("x"));
    const std::string one = install(cat(admin, "/one.yaml"), cat(says("x"), "name: same\n"));
    const std::string two = install(cat(admin, "/two.yaml"), cat(says("x"), "name: same\n"));
    const Ended list = sandbox({"profiles"});
    EXPECT_THAT(list.err, HasSubstr(cat(drop_in, ": a drop-in for a profile that does not exist: 'nobody'")));
    EXPECT_THAT(list.err, HasSubstr(cat(stray, ": not a profile")));
    EXPECT_THAT(list.err, HasSubstr(cat(two, " and ", one, " both call their sandbox 'same'")));
    const Ended nobody = sandbox({"up", "nobody"});
    EXPECT_EQ(nobody.code, 125);
    EXPECT_THAT(nobody.err, HasSubstr("no profile named 'nobody', only a drop-in for it"));
}

TEST_F(Installed, a_trusted_file_that_others_may_write_is_refused) {
    const std::string path = install(cat(admin, "/it.yaml"), says("it"));
    chmod(path.c_str(), 0664);
    const Ended group = sandbox({"up", "it"});
    EXPECT_EQ(group.code, 125);
    EXPECT_THAT(group.err, HasSubstr(cat(path, ": refused as trusted: its group may write to it (mode 0664)")));
    EXPECT_EQ(sandbox({"run", path}).out, "it\n");  // named by its path, as a script is
    chmod(path.c_str(), 0644);
    ASSERT_EQ(chown(path.c_str(), 1000, 1000), 0);
    EXPECT_THAT(sandbox({"up", "it"}).err, HasSubstr("refused as trusted: it belongs to user 1000, not to root"));
}

TEST_F(Installed, the_starter_of_a_new_profile_runs) {
    const Ended made = sandbox({"new", "mine", "--", "/bin/echo", "from mine", "$HOME"});
    EXPECT_EQ(made.out, cat(admin, "/mine.yaml\n")) << made;
    EXPECT_EQ(sandbox({"run", "mine"}).out, "from mine $HOME\n");
    const Ended again = sandbox({"new", "mine"});
    EXPECT_EQ(again.code, 125);
    EXPECT_THAT(again.err, HasSubstr("there is a file of this name"));
    const Ended child = sandbox({"new", "child", "--extends", "base/untrusted", "--", "/bin/echo", "from the child"});
    EXPECT_TRUE(child.ok()) << child;
    EXPECT_EQ(sandbox({"run", "child"}).out, "from the child\n");
    EXPECT_EQ(sandbox({"validate", "child", "--untrusted"}).code, 0);
    const Ended plain = sandbox({"new", "-"});
    Options options = here_of_root();
    options.input = plain.out;
    EXPECT_EQ(run({"/usr/local/bin/sandbox", "validate", "-"}, options).code, 0) << plain;
}

TEST_F(Installed, two_profiles_are_compared) {
    install(cat(admin, "/a.yaml"), cat(says("x"), "resources: {pids: 10}\n"));
    install(cat(admin, "/b.yaml"), "version: 1\nextends: [a]\nresources: {pids: 20}\n");
    const Ended differ = sandbox({"diff-profiles", "a", "b"});
    EXPECT_EQ(differ.code, 1);
    EXPECT_THAT(differ.out, HasSubstr(cat("- resources.pids: 10  # ", admin, "/a.yaml:4\n+ resources.pids: 20  # ", admin, "/b.yaml:3\n")));
    EXPECT_THAT(differ.out, Not(HasSubstr("command")));
    EXPECT_EQ(sandbox({"diff-profiles", "a", "a"}).code, 0);
    EXPECT_EQ(sandbox({"diff-profiles", "a", "none"}).code, 2);
}

}  // namespace
