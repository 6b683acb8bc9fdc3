// Limits of a running sandbox that change.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

class Update : public ::testing::Test {
   protected:
    void SetUp() override {
        REQUIRE_OR_SKIP(is_root(), "needs root");
        REQUIRE_OR_SKIP(has_groups(), "needs control groups");
        REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
        before_ = HostSnapshot::take();
    }
    void TearDown() override {
        if (!before_) return;
        EXPECT_TRUE(sandbox_command({"down", "--all"}).ok());
        // Logs stay when a sandbox goes, on the real host: what others have there is theirs.
        std::filesystem::remove_all("/var/log/sandbox/box");
        rmdir("/var/log/sandbox");
        EXPECT_EQ(differences_since(*before_), "");
    }
    void start(std::string_view rest, const std::string& script = "sleep 1000; :") {
        const std::string profile = place_.write("box.yaml", cat("version: 1\nname: box\nrootfs: {path: ", busybox_tree(), "}\n", rest));
        const Ended ended = sandbox_command({"up", "-d", profile, "--", "/bin/sh", "-c", script});
        ASSERT_TRUE(ended.ok()) << ended;
    }
    static Ended update(const Words& set) {
        Words words{"update", "box"};
        for (const std::string& word : set) words.insert(words.end(), {"--set", word});
        return sandbox_command(words);
    }
    // The limits in force, by file, whichever group has it.
    static Json limits() {
        const Ended ended = sandbox_command({"inspect", "box"});
        Json out;
        if (!ended.ok()) return out;
        const Json seen = Json::parse(ended.out);
        for (const Json& group : seen["groups"])
            if (!group["limits"].is_null()) out.update(group["limits"]);
        return out;
    }
    static std::string memory_limit() {
        const Json all = limits();
        return all.value("memory.max", all.value("memory.limit_in_bytes", ""));
    }
    static std::string text_of(long mebibytes) { return std::to_string(mebibytes << 20); }

    TempDir place_;
    std::optional<HostSnapshot> before_;
};

// cgroup v1 refuses a limit of memory above that of memory and swap: the order depends on the direction.
TEST_F(Update, raises_and_lowers_memory) {
    start("resources: {memory: {max: 64Mi}}\n");
    for (const long size : {256, 32, 128, 128}) {
        const Ended ended = update({cat("resources.memory.max=", size, "Mi")});
        EXPECT_TRUE(ended.ok()) << ended;
        EXPECT_EQ(memory_limit(), text_of(size));
    }
    ASSERT_TRUE(update({"resources.memory.swap=infinity", "resources.memory.max=64Mi"}).ok());
    EXPECT_EQ(memory_limit(), text_of(64));
    ASSERT_TRUE(update({"resources.memory.swap=0", "resources.memory.max=96Mi"}).ok());
    EXPECT_EQ(memory_limit(), text_of(96));
    ASSERT_TRUE(update({"resources.memory.max=infinity"}).ok());
    EXPECT_THAT(memory_limit(), ::testing::AnyOf("max", ::testing::StartsWith("9223372036854")));
}

TEST_F(Update, changes_processors_and_processes) {
    start("resources: {cpu: {limit: 0.5, set: \"0\", weight: 100}}\n");
    ASSERT_TRUE(update({"resources.cpu.limit=0.25", "resources.cpu.weight=200", "resources.pids=33"}).ok());
    Json now = limits();
    EXPECT_EQ(now["pids.max"], "33");
    EXPECT_THAT(now.value("cpu.max", now.value("cpu.cfs_quota_us", "")), ::testing::StartsWith("25000"));
    ASSERT_TRUE(update({"resources.cpu.limit=infinity", "resources.pids=infinity"}).ok());
    now = limits();
    EXPECT_EQ(now["pids.max"], "max");
    EXPECT_THAT(now.value("cpu.max", now.value("cpu.cfs_quota_us", "")), ::testing::AnyOf("-1", ::testing::StartsWith("max")));
}

TEST_F(Update, what_is_set_stays_for_the_next_start) {
    start("resources: {memory: {max: 64Mi}}\n");
    ASSERT_TRUE(update({"resources.memory.max=48Mi"}).ok());
    ASSERT_TRUE(update({"resources.pids=77"}).ok());
    ASSERT_TRUE(sandbox_command({"restart", "box"}).ok());
    EXPECT_EQ(memory_limit(), text_of(48));
    EXPECT_EQ(limits()["pids.max"], "77");
}

TEST_F(Update, what_is_set_stays_when_the_supervisor_restarts_it) {
    start("resources: {memory: {max: 64Mi}}\nlifecycle: {restart: {policy: always}}\n");
    ASSERT_TRUE(update({"resources.memory.max=48Mi"}).ok());
    Process events = Process::start({sandbox_binary(), "events", "--json", "box"});
    // The listener is bound once its socket is there.
    while (!exists("/run/sandbox/.events")) ASSERT_FALSE(events.has_ended());
    ASSERT_TRUE(sandbox_command({"kill", "box"}).ok());
    ASSERT_TRUE(events.expect("\"start\"")) << events.out() << events.err();
    EXPECT_EQ(memory_limit(), text_of(48));
}

TEST_F(Update, nothing_changes_when_one_setting_is_refused) {
    start("resources: {memory: {max: 128Mi}, pids: 50}\n", "head -c 32000000 /dev/zero > /dev/shm/x; echo ready; sleep 1000; :");
    Process logs = Process::start({sandbox_binary(), "logs", "-f", "box"});
    ASSERT_TRUE(logs.expect("ready")) << logs.err();
    const Json before = limits();
    const std::string profile = read_text("/run/sandbox/box/profile.yaml");
    const Ended ended = update({"resources.pids=20", "resources.memory.max=8Mi"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("resources.memory.max: "));
    EXPECT_THAT(ended.err, ::testing::AnyOf(HasSubstr("the group uses more than that already"), HasSubstr("of memory already")));
    Json after = limits();
    EXPECT_EQ(after["pids.max"], "50");
    EXPECT_EQ(memory_limit(), text_of(128));
    EXPECT_EQ(read_text("/run/sandbox/box/profile.yaml"), profile);
    EXPECT_EQ(Json::parse(sandbox_command({"inspect", "box"}).out)["state"], "running");
}

TEST_F(Update, only_limits_can_be_set) {
    start("");
    for (const char* word : {"process.user=1", "cgroup.parent={name: x}", "resources=1", "name=x"}) {
        const Ended ended = update({word});
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr("cannot be changed while the sandbox runs"));
        EXPECT_THAT(ended.err, HasSubstr("resources.KEY=VALUE and cgroup.raw.v1.FILE=VALUE"));
    }
    EXPECT_EQ(update({}).code, 125);
}

TEST_F(Update, what_is_wrong_is_said_before_anything_is_written) {
    start("");
    struct Case {
        const char *word, *message;
    };
    for (const Case& each : {Case{"resources.memori.max=1Gi", "did you mean 'memory'?"},
                             {"resources.memory.max=lots", "resources.memory.max"},
                             {"resources.cpu.limit=8000", "less than the limit"},
                             {"resources.cpu.weight=200", "has no control group of cpu"}}) {
        const Ended ended = update({"resources.pids=20", each.word});
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr(each.message));
        EXPECT_EQ(limits()["pids.max"], "512");
    }
}

// Each would store the profile without what the other has set, were it not for the lock.
TEST_F(Update, two_at_once_lose_nothing) {
    start("resources: {memory: {max: 64Mi}}\n");
    for (const long round : {1, 2, 3}) {
        Process one = Process::start({sandbox_binary(), "update", "box", "--set", cat("resources.pids=", 100 + round)});
        Process two = Process::start({sandbox_binary(), "update", "box", "--set", cat("resources.memory.max=", 64 + round, "Mi")});
        EXPECT_EQ(one.wait().code, 0);
        EXPECT_EQ(two.wait().code, 0);
        const std::string profile = read_text("/run/sandbox/box/profile.yaml");
        EXPECT_THAT(profile, HasSubstr(cat("pids: ", 100 + round)));
        EXPECT_THAT(profile, HasSubstr(cat("max: \"", 64 + round, "Mi\"")));
        EXPECT_EQ(limits()["pids.max"], std::to_string(100 + round));
        EXPECT_EQ(memory_limit(), text_of(64 + round));
    }
}

TEST_F(Update, needs_one_that_runs) {
    start("", "exit 0");
    EXPECT_EQ(sandbox_command({"wait", "box"}).code, 0);
    EXPECT_TRUE(sandbox_command({"stop", "box"}).ok());
    const Ended ended = update({"resources.pids=20"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("'box' is stopped"));
}

}  // namespace
