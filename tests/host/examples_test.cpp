// What the project shows to people does what it says: the profiles under profiles/ and the lines of README.md.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "harness.h"
#include "own_network.h"
#include "snapshot.h"

namespace {

using namespace harness;
using testing::HasSubstr;
using testing::IsEmpty;

std::string source(const std::string& name) { return std::string(SOURCE_DIR "/") + name; }

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

// Examples of the language. Those of programs need the programs: tests/programs.
const Words examples = {"build", "fetch", "hello", "shell", "try", "web-bridge"};

// Runs a line as a person would type it, with the launcher on the search path.
Ended type(const std::string& line, Options options) {
    options.add["PATH"] = std::filesystem::path(sandbox_binary()).parent_path().string() + ":/usr/sbin:/usr/bin:/sbin:/bin";
    return run({"/bin/sh", "-c", line}, options);
}

// The lines "sandbox ..." of README.md, and its profile.
struct Readme {
    Words commands;
    std::string profile;
};
Readme read_readme() {
    Readme readme;
    bool in_profile = false, recipes = false;
    for (const std::string& line : lines_of(read_text(source("README.md")))) {
        if (line.starts_with("## ")) recipes = line == "## Recipes";
        if (recipes) continue;  // tests/programs/readme_test.cpp: they need what is installed there
        const bool block = line.starts_with("    ");
        const std::string text = block ? line.substr(4) : "";
        if ((text.starts_with("version: 1") && readme.profile.empty()) || text.starts_with("matrix:")) in_profile = true;
        if (!block) in_profile = false;
        if (in_profile) readme.profile += text + "\n";
        if (text.starts_with("sandbox ")) readme.commands.push_back(text);
    }
    return readme;
}

// Elsewhere the kernel refuses the host's tree as a layer: the mounts in it belong to another user namespace.
bool host_tree_can_be_a_layer() { return read_text("/proc/self/uid_map").find("4294967295") != std::string::npos; }

TEST(Profiles, are_valid_and_come_back_from_config) {
    REQUIRE_OR_SKIP(is_root(), "an ordinary user cannot lay an overlay over the host's tree");
    for (const std::string& example : examples) {
        SCOPED_TRACE(example);
        const std::string profile = source("profiles/" + example + ".yaml");
        const Ended valid = sandbox_command({"validate", profile});
        EXPECT_TRUE(valid.ok()) << valid;
        EXPECT_EQ(valid.err, "");
        const Ended config = sandbox_command({"config", profile});
        ASSERT_TRUE(config.ok()) << config;
        Options options;
        options.input = config.out;
        const Ended again = sandbox_command({"config", "-"}, options);
        EXPECT_EQ(again.out, config.out) << again;
    }
}

TEST(Profiles, hello_greets_and_cannot_write) {
    REQUIRE_OR_SKIP(is_root(), "the other case is hello_for_an_ordinary_user");
    const auto before = HostSnapshot::take();
    const Ended hello = sandbox_command({"up", source("profiles/hello.yaml")});
    EXPECT_TRUE(hello.ok()) << hello;
    EXPECT_THAT(hello.out, HasSubstr("hello from hello\nuid=0(root) gid=0(root)"));
    EXPECT_THAT(hello.out, HasSubstr("/etc cannot be written\n/tmp can be written"));
    EXPECT_FALSE(exists("/etc/hello") || exists("/tmp/hello"));
    EXPECT_EQ(differences_since(before), "");
}

TEST(Profiles, hello_for_an_ordinary_user) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    Options options = ordinary_user();
    options.input = read_text(source("profiles/hello.yaml"));
    const Ended hello = sandbox_command({"up", "-"}, options);
    EXPECT_TRUE(hello.ok()) << hello;
    EXPECT_THAT(hello.out, HasSubstr("hello from hello\nuid=0(root)"));
    EXPECT_THAT(hello.out, HasSubstr("/etc cannot be written\n/tmp can be written"));
}

TEST(Profiles, shell_has_a_home_of_its_own) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    Options options;
    options.input = "touch new && pwd && ls && exit 7\n";
    const Ended shell = sandbox_command({"up", source("profiles/shell.yaml")}, options);
    EXPECT_EQ(shell.code, 7) << shell;
    EXPECT_EQ(shell.out, "/root\nnew\n");
}

TEST(Profiles, try_forgets_what_was_changed) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Ended changed = sandbox_command(
        {"up", source("profiles/try.yaml"), "--", "/bin/sh", "-c", "rm -r /usr/share/doc && touch /etc/new && test ! -e /usr/share/doc"});
    if (host_tree_can_be_a_layer()) {
        EXPECT_TRUE(changed.ok()) << changed;
    } else {
        EXPECT_EQ(changed.code, 125) << changed;
    }
    EXPECT_TRUE(exists("/usr/share/doc"));
    EXPECT_FALSE(exists("/etc/new"));
}

TEST(Profiles, build_leaves_the_sources_alone) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    REQUIRE_OR_SKIP(command_exists("make"), "make is not installed");
    const TempDir sources;
    sources.write("Makefile", "all: out\nout:\n\tcp Makefile out\n\tpwd\n");
    const Ended built = sandbox_command({"up", source("profiles/build.yaml"), "--set", "SOURCE=" + sources.path()});
    EXPECT_TRUE(built.ok()) << built;
    EXPECT_THAT(built.out, HasSubstr("/build\n"));
    EXPECT_FALSE(exists(sources / "out"));
}

class NetworkProfiles : public OwnNetwork {
   protected:
    static Process serve(const Words& argv, const TempDir& files) {
        Options options;
        options.directory = files.path();
        options.add["PWD"] = files.path();
        options.add["PYTHONUNBUFFERED"] = "1";
        return Process::start(argv, options);
    }
    static std::string fetched(const std::string& url) {
        return run({"curl", "--silent", "--show-error", "--max-time", "10", "--noproxy", "*", url}).out;
    }
};

TEST_F(NetworkProfiles, web_bridge_is_there_for_the_hosts_programs) {
    REQUIRE_OR_SKIP(exists("/usr/bin/python3") && command_exists("curl"), "needs python3 and curl");
    const auto at_first = HostSnapshot::take();
    {
        const TempDir files;
        files.write("page", "it is there\n");
        Process server = serve({sandbox_binary(), "up", source("profiles/web-bridge.yaml")}, files);
        ASSERT_TRUE(server.expect("Serving HTTP on")) << server.err();
        EXPECT_EQ(fetched("http://127.0.0.1:8080/page"), "it is there\n");
        EXPECT_EQ(fetched("http://[::1]:8080/page"), "it is there\n");
        server.signal(SIGTERM);
        static_cast<void>(server.wait());
    }
    EXPECT_EQ(differences_since(at_first), "");
}

TEST_F(NetworkProfiles, fetch_reaches_one_address) {
    REQUIRE_OR_SKIP(exists("/usr/bin/python3") && command_exists("curl"), "needs python3 and curl");
    for (const char* address : {"192.0.2.7/32", "192.0.2.8/32"}) ASSERT_TRUE(run({"ip", "address", "add", address, "dev", "lo"}).ok());
    const TempDir files;
    files.write("file", "fetched\n");
    Process server = serve({"/usr/bin/python3", "-m", "http.server", "80"}, files);
    ASSERT_TRUE(server.expect("Serving HTTP on")) << server.err();
    const auto fetch = [](const std::string& url) {
        return sandbox_command({"up", source("profiles/fetch.yaml"), "--set", "ADDRESS=192.0.2.7", "--set", "URL=" + url});
    };
    for (const char* url : {"http://192.0.2.7/file", "http://deb.debian.org/file"}) {
        const Ended ended = fetch(url);
        EXPECT_TRUE(ended.ok()) << ended;
        EXPECT_EQ(ended.out, "fetched\n");
    }
    const Ended refused = fetch("http://192.0.2.8/file");
    EXPECT_EQ(refused.code, 7) << refused;  // curl(1): failed to connect
    EXPECT_EQ(refused.out, "");
    server.signal(SIGTERM);
    static_cast<void>(server.wait());
}

TEST(Readme, has_commands_that_run) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    const Readme readme = read_readme();
    ASSERT_GE(readme.commands.size(), 8U);
    const TempDir directory;
    directory.write("web.yaml", readme.profile);
    Options options;
    options.directory = directory.path();
    options.add["PWD"] = directory.path();
    for (const std::string& line : readme.commands) {
        const Ended ended = type(line, options);
        EXPECT_TRUE(ended.ok()) << line << "\n" << ended;
    }
    // Logs stay when a sandbox goes, on the real host.
    std::filesystem::remove_all("/var/log/sandbox/web");
    rmdir("/var/log/sandbox");
}

// Commands of other programs stand after a comment that says why no test runs them.
TEST(Readme, marks_what_is_not_run) {
    const Words lines = lines_of(read_text(source("README.md")));
    int marked = 0;
    bool mark = false;
    for (const std::string& line : lines) {
        if (line.starts_with("<!-- not run: ")) mark = true;
        if (line.starts_with("    packaging/") || line.starts_with("    tests/") || line.starts_with("    sudo ")) {
            EXPECT_TRUE(mark) << line;
            ++marked;
        } else if (!line.empty() && !line.starts_with("<!--")) {
            mark = false;
        }
    }
    EXPECT_GE(marked, 1);
    EXPECT_LE(marked, 5);
}

}  // namespace
