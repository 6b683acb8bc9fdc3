// What a service manager hears (sd_notify(3)): the test's own socket stands in for it.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "views.h"
#include "ways.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* waits = "process: {command: [/sandbox-probe, \"wait-signal:TERM\"]}\n";

class Manager {
   public:
    // "@" and an abstract name, or a path.
    explicit Manager(const std::string& name, int type = SOCK_DGRAM) : socket_(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, name.data(), name.size());
        if (name[0] == '@') address.sun_path[0] = '\0';
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
        const int on = 1;
        if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
            setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
            throw std::runtime_error("bind the socket of the service manager");
        if (type == SOCK_STREAM) listen(socket_.get(), 1);
        if (name[0] == '/') run({"chmod", "0777", name});
    }
    // The next message, or "nothing" when none comes.
    std::string next(milliseconds patience = milliseconds(20000)) {
        pollfd ready{socket_.get(), POLLIN, 0};
        if (poll(&ready, 1, static_cast<int>(patience.count())) <= 0) return "nothing";
        char text[4096], control[256];
        iovec part{text, sizeof text};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t size = recvmsg(socket_.get(), &message, 0);
        const cmsghdr* header = CMSG_FIRSTHDR(&message);
        ucred credentials{};
        if (header) std::memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
        sender_ = credentials.pid;
        return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "empty";
    }
    // Everything that has been told and not been read, once nobody can tell any more.
    Names rest() {
        Names out;
        for (std::string text = next(milliseconds(0)); text != "nothing"; text = next(milliseconds(0))) out.push_back(text);
        return out;
    }
    [[nodiscard]] pid_t sender() const { return sender_; }

   private:
    Fd socket_;
    pid_t sender_ = 0;
};

class Notify : public EveryWay {
   protected:
    void SetUp() override {
        EveryWay::SetUp();
        if (IsSkipped()) return;
        static_cast<void>(options());
        before_ = HostSnapshot::take(looks_);
    }
    void TearDown() override {
        if (IsSkipped() || !is_root()) return;
        EXPECT_EQ(differences_since(before_, looks_), "");
    }
    [[nodiscard]] Options told(const Environment& more = {}) const {
        Options out = options();
        out.add.insert(more.begin(), more.end());
        out.add["NOTIFY_SOCKET"] = path_;
        return out;
    }
    static std::string text(std::string_view rest) { return profile(cat("name: told\nrootfs: {path: @PROBE_TREE@}\n", rest)); }
    static pid_t payload(const Options& options) {
        const Json list = Json::parse(sandbox_command({"ps", "--json"}, options).out, nullptr, false);
        return list.is_array() && list.size() == 1 ? list[0]["pid"].get<pid_t>() : -1;
    }

    TempDir place_;
    std::string path_ = place_ / "notify";
    SnapshotOptions looks_{{ordinary_runtime_directory()}, -1};
    HostSnapshot before_;
};
INSTANTIATE_EVERY_WAY(Notify);

TEST_P(Notify, says_ready_when_the_command_runs_and_stopping_when_it_is_to_end) {
    Manager manager(path_);
    Process box = start_sandbox(text(waits), {}, told());
    EXPECT_EQ(manager.next(), "STATUS=setting up");
    EXPECT_EQ(manager.next(), "READY=1\nSTATUS=running");
    EXPECT_EQ(manager.sender(), box.pid());
    EXPECT_THAT(read_text(cat("/proc/", payload(options()), "/cmdline")), HasSubstr("wait-signal"));
    ASSERT_TRUE(box.expect("\"ready\":true"));
    box.signal(SIGTERM);
    EXPECT_THAT(manager.next(), ::testing::MatchesRegex("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=[0-9]+"));
    EXPECT_EQ(box.wait().code, 0);
    EXPECT_EQ(manager.rest(), Names{"STATUS=ended: exit, exit code 0"});
}

TEST_P(Notify, says_stopping_before_anything_is_taken_back_when_the_command_ends_by_itself) {
    Manager manager(path_);
    const Ended ended = run_sandbox(text(""), {"/sandbox-probe", "exit:3"}, told());
    EXPECT_EQ(ended.code, 3) << ended;
    const Names heard = manager.rest();
    ASSERT_EQ(heard.size(), 4U) << ::testing::PrintToString(heard);
    EXPECT_EQ(heard[1], "READY=1\nSTATUS=running");
    EXPECT_THAT(heard[2], HasSubstr("STOPPING=1\n"));
    EXPECT_EQ(heard[3], "STATUS=ended: exit, exit code 3");
}

TEST_P(Notify, is_never_ready_when_the_command_cannot_run) {
    Manager manager(path_);
    const Ended ended = run_sandbox(text(""), {"/no/such/program"}, told());
    EXPECT_EQ(ended.code, 127) << ended;
    const Names heard = manager.rest();
    EXPECT_THAT(heard, Not(::testing::Contains(HasSubstr("READY=1"))));
    ASSERT_FALSE(heard.empty());
    EXPECT_THAT(heard.back(), HasSubstr("STATUS=process.command: '/no/such/program'"));
}

TEST_P(Notify, reaches_nobody_inside) {
    Manager manager(path_);
    Options options = told({{"WATCHDOG_USEC", "60000000"}, {"INNOCENT", "yes"}});
    const Json seen = probe_in_sandbox(text("process: {inherit: [\"*\"]}\n"), {"env", "fds", cat("connect:", path_)}, options);
    EXPECT_EQ(seen["env"]["INNOCENT"], "yes");
    EXPECT_THAT(seen["env"].dump(), Not(HasSubstr("NOTIFY_SOCKET")));
    EXPECT_THAT(seen["env"].dump(), Not(HasSubstr("WATCHDOG")));
    EXPECT_EQ(seen["fds"].size(), 3U) << seen["fds"];
    EXPECT_EQ(seen[cat("connect:", path_)], "ENOENT");
}

TEST_P(Notify, knows_abstract_names_which_the_sandbox_cannot_reach) {
    const std::string name = cat("sandbox-test-notify-", getpid());
    Manager manager("@" + name);
    Options options = told();
    options.add["NOTIFY_SOCKET"] = "@" + name;
    // What connects to a socket of streams could send to one of datagrams.
    const Manager listener("@" + name, SOCK_STREAM);
    EXPECT_EQ(probe_outside({cat("abstract:", name)})[cat("abstract:", name)], "ok");
    const Json seen = probe_in_sandbox(text(""), {cat("abstract:", name)}, options);
    EXPECT_EQ(seen[cat("abstract:", name)], "ECONNREFUSED");
    EXPECT_THAT(manager.rest(), ::testing::Contains("READY=1\nSTATUS=running"));
}

TEST_P(Notify, that_reaches_nobody_is_a_warning) {
    for (const std::string& broken : {place_ / "missing", std::string("relative"), std::string("vsock:2:1234"), std::string("@")}) {
        Options options = told();
        options.add["NOTIFY_SOCKET"] = broken;
        const Ended ended = run_sandbox(text(""), {"/sandbox-probe", "exit:0"}, options);
        EXPECT_EQ(ended.code, 0) << ended;
        EXPECT_THAT(ended.err, HasSubstr(cat("sandbox: NOTIFY_SOCKET '", broken, "': "))) << broken;
        options.up = {"--quiet"};
        EXPECT_EQ(run_sandbox(text(""), {"/sandbox-probe", "exit:0"}, options).err, "") << broken;
    }
}

TEST_P(Notify, is_ready_once_and_tells_of_restarts) {
    Manager manager(path_);
    const Ended ended =
        run_sandbox(text("lifecycle: {restart: {policy: on-failure, max: 1, backoff: 10ms}}\n"), {"/sandbox-probe", "exit:3"}, told());
    EXPECT_EQ(ended.code, 3) << ended;
    const Names heard = manager.rest();
    EXPECT_EQ(std::ranges::count(heard, "READY=1\nSTATUS=running"), 1);
    EXPECT_EQ(std::ranges::count(heard, "STATUS=restarting"), 1);
    EXPECT_EQ(std::ranges::count(heard, "STATUS=running, restarts: 1"), 1);
    ASSERT_GE(heard.size(), 2U);
    EXPECT_THAT(heard[heard.size() - 2], HasSubstr("STOPPING=1\n"));
    EXPECT_EQ(heard.back(), "STATUS=ended: exit, exit code 3");
}

TEST_P(Notify, tells_how_healthy_it_is) {
    Manager manager(path_);
    Process box =
        start_sandbox(text(cat(waits, "lifecycle: {healthcheck: {command: [/sandbox-probe, \"exit:0\"], interval: 50ms}}\n")), {}, told());
    EXPECT_EQ(manager.next(), "STATUS=setting up");
    EXPECT_EQ(manager.next(), "READY=1\nSTATUS=running, health: starting");
    EXPECT_EQ(manager.next(), "STATUS=running, health: healthy");
    EXPECT_EQ(manager.sender(), box.pid());
    ASSERT_TRUE(box.expect("\"ready\":true"));
    box.signal(SIGTERM);
    EXPECT_EQ(box.wait().code, 0);
}

TEST_P(Notify, gives_signs_of_life_while_it_runs_and_while_it_waits_to_run_again) {
    Manager manager(path_);
    Process box = start_sandbox(text("process: {command: [/sandbox-probe, \"exit:3\"]}\n"
                                     "lifecycle: {restart: {policy: always, backoff: 1h}}\n"),
                                {}, told({{"WATCHDOG_USEC", "100000"}}));
    std::string heard = manager.next();
    while (heard != "STATUS=restarting" && heard != "nothing") heard = manager.next();
    ASSERT_EQ(heard, "STATUS=restarting");
    EXPECT_EQ(manager.next(), "WATCHDOG=1");
    EXPECT_EQ(manager.next(), "WATCHDOG=1");
    box.signal(SIGTERM);
    EXPECT_EQ(box.wait().code, 3);
    static_cast<void>(manager.rest());
    Process other = start_sandbox(text(waits), {}, told({{"WATCHDOG_USEC", "100000"}}));
    ASSERT_TRUE(other.expect("\"ready\":true"));
    while (heard != "READY=1\nSTATUS=running" && heard != "nothing") heard = manager.next();
    EXPECT_EQ(manager.next(), "WATCHDOG=1");
    EXPECT_EQ(manager.next(), "WATCHDOG=1");
    other.signal(SIGTERM);
    EXPECT_EQ(other.wait().code, 0);
}

TEST_P(Notify, says_nothing_of_a_sandbox_in_the_background) {
    Manager manager(path_);
    const std::string file = place_.write("told.yaml", profile(cat("name: told\nrootfs: {path: ", probe_tree(), "}\n", waits)));
    EXPECT_EQ(sandbox_command({"up", "-d", file}, told()).code, 0);
    EXPECT_EQ(sandbox_command({"down", "told"}, told()).code, 0);
    EXPECT_EQ(manager.rest(), Names());
}

}  // namespace
