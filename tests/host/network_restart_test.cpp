// A restart goes back into the same network, and who shares that network keeps it.
#include "network_world.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

class NetworkRestart : public NetworkWorld {
   protected:
    // In the network of another; ends with `down`.
    Box share(const std::string& name, const std::string& of) {
        const std::string file =
            place_.write(name + ".yaml", cat("version: 1\nrootfs: {path: ", busybox_tree(), "}\nnetwork: {mode: container, of: ", of,
                                             "}\nprocess: {command: [/sandbox-probe, \"wait-signal:TERM\"]}\n"));
        const Ended ended = sandbox_command({"up", "-d", file});
        if (!ended.ok()) throw std::runtime_error(cat("up ", name, ": ", ended.err));
        return look(name);
    }
    static ino_t number_of(const Box& box) {
        struct stat info {};
        return box.network && fstat(box.network.get(), &info) == 0 ? info.st_ino : 0;
    }
    static bool runs_again(const std::string& name, int restarts) {
        return eventually([&] {
            const Json status = Json::parse(read_text(cat("/run/sandbox/", name, "/status")));
            return status["phase"] == "running" && status["restarts"].get<int>() >= restarts;
        });
    }
};

TEST_F(NetworkRestart, by_the_policy_is_in_the_same_network) {
    const Box earlier = up("web", "ports: [\"18080:7000\"]", "lifecycle: {restart: {policy: always, backoff: 10ms}}\n");
    Box other = share("other", "web");
    ASSERT_EQ(number_of(earlier), number_of(other));
    ASSERT_TRUE(sandbox_command({"kill", "-s", "KILL", "web"}).ok());
    ASSERT_TRUE(runs_again("web", 1));
    Box after = look("web");
    EXPECT_EQ(number_of(after), number_of(earlier));
    EXPECT_EQ(after.address(), earlier.address());
    EXPECT_NE(after.host_link(), earlier.host_link());
    // Out of the shared network, into it, and through the published port.
    EXPECT_EQ(seen_by(bound(host, SOCK_STREAM, {"10.88.0.1", 7001}), other.network, {"10.88.0.1", 7001}), earlier.address());
    EXPECT_EQ(seen_by(bound(other.network, SOCK_STREAM, {"0.0.0.0", 7000}), host, {"127.0.0.1", 18080}), "10.88.0.1");
    // As the same root: it may still set up its own network's links.
    EXPECT_THAT(file_in(after, "/proc/self/uid_map"), HasSubstr("65536"));
    down(other);
    down(after);
    EXPECT_EQ(changed_since(*before_), "");
}

TEST_F(NetworkRestart, when_asked_for_is_in_the_network_that_others_share) {
    const Box earlier = up("web");
    Box other = share("other", "web");
    const Ended ended = sandbox_command({"restart", "web"});
    ASSERT_TRUE(ended.ok()) << ended;
    Box after = look("web");
    EXPECT_EQ(number_of(after), number_of(other));
    EXPECT_EQ(after.address(), earlier.address());
    EXPECT_EQ(seen_by(bound(other.network, SOCK_STREAM, {"127.0.0.1", 7000}), after.network, {"127.0.0.1", 7000}), "127.0.0.1");
    EXPECT_THAT(sandbox_command({"inspect", "other"}).out, HasSubstr("\"of\": \"web\""));
    // Stopped, it is gone from the network; whoever shares that has its loopback.
    ASSERT_TRUE(sandbox_command({"stop", "web"}).ok());
    EXPECT_NE(connect_to(other.network, {"10.88.0.1", 7001}, milliseconds(300)).error, 0);
    EXPECT_EQ(seen_by(bound(other.network, SOCK_STREAM, {"127.0.0.1", 7000}), other.network, {"127.0.0.1", 7000}), "127.0.0.1");
    down(other);
    down(after);
    EXPECT_EQ(changed_since(*before_), "");
}

TEST_F(NetworkRestart, of_nobody_elses_network_is_a_stop_and_a_start) {
    const Box earlier = up("web");
    const Ended ended = sandbox_command({"restart", "web"});
    ASSERT_TRUE(ended.ok()) << ended;
    Box after = look("web");
    EXPECT_NE(number_of(after), number_of(earlier));
    down(after);
    EXPECT_EQ(changed_since(*before_), "");
}

}  // namespace
