// What goes wrong around a sandbox that runs: full disks, a state directory that is read-only, damaged or gone.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

// A file system of so many bytes over a folder of the host of tests.
class SmallDisk {
   public:
    SmallDisk(std::string place, const char* size) : place_(std::move(place)) {
        if (mount("small", place_.c_str(), "tmpfs", 0, cat("mode=0755,size=", size).c_str()) != 0)
            throw std::runtime_error("mount " + place_);
    }
    SmallDisk(const SmallDisk&) = delete;
    ~SmallDisk() { umount2(place_.c_str(), MNT_DETACH); }
    void fill() const {
        std::ofstream file(place_ + "/filler", std::ios::binary);
        for (const std::string block(4096, 'x'); file.write(block.data(), 4096).flush();) {
        }
    }
    void make_room() const { unlink((place_ + "/filler").c_str()); }
    // For whoever comes by the path: a mount that somebody writes to cannot become read-only itself.
    void cover_read_only() const {
        ASSERT_EQ(mount(place_.c_str(), place_.c_str(), nullptr, MS_BIND, nullptr), 0);
        ASSERT_EQ(mount(nullptr, place_.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), 0);
    }
    void uncover() const { ASSERT_EQ(umount2(place_.c_str(), MNT_DETACH), 0); }

   private:
    std::string place_;
};

class Reliability : public ::testing::Test {
   protected:
    void SetUp() override {
        REQUIRE_OR_SKIP(is_root() && on_private_host(), "covers /run and /var/log, which only a host of its own can bear");
        before_ = HostSnapshot::take();
    }
    void TearDown() override {
        if (!is_root() || !on_private_host()) return;
        sandbox_command({"down", "--all"});
        sandbox_command({"gc"});
        EXPECT_EQ(differences_since(before_), "");
    }
    std::string write(std::string_view rest) {
        return place_.write("web.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(), "}\n", rest));
    }
    Ended up(std::string_view rest) { return sandbox_command({"up", "-d", write(rest)}); }
    static pid_t supervisor() { return Json::parse(read_text("/run/sandbox/web/status"))["supervisor"]; }
    static bool gone_within(pid_t pid, milliseconds patience) {
        const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
        pollfd gone{pidfd.get(), POLLIN, 0};
        return !pidfd || poll(&gone, 1, static_cast<int>(patience.count())) == 1;
    }
    static constexpr const char* waits = "process: {command: [/sandbox-probe, \"wait-signal:USR1\"]}\n";

    TempDir place_;
    HostSnapshot before_;
};

TEST_F(Reliability, a_full_disk_under_the_state_is_said_and_leaves_nothing) {
    const SmallDisk run("/run", "128k");
    run.fill();
    const Ended refused = up(waits);
    EXPECT_EQ(refused.code, 125) << refused;
    EXPECT_THAT(refused.err, HasSubstr("no space left on device"));
    EXPECT_FALSE(exists("/run/sandbox"));
    run.make_room();
    ASSERT_EQ(up(waits).code, 0);
    run.fill();
    const Ended down = sandbox_command({"down", "web"});
    EXPECT_EQ(down.code, 0) << down;
    EXPECT_FALSE(exists("/run/sandbox"));
}

TEST_F(Reliability, a_full_disk_under_the_logs_loses_lines_and_says_how_many) {
    const SmallDisk logs("/var/log", "64k");
    ASSERT_EQ(up("process: {command: [/sandbox-probe, \"print-lines:5000\", \"print:done\"]}\nlogging: {max_size: 1Mi}\n").code, 0);
    EXPECT_EQ(sandbox_command({"wait", "web"}).code, 0) << "the payload is not held up";
    EXPECT_THAT(sandbox_command({"logs", "web"}).out, HasSubstr("line 10\n"));
    EXPECT_EQ(sandbox_command({"down", "web"}).code, 0);
}

TEST_F(Reliability, a_state_directory_that_turned_read_only_is_said_and_nothing_hangs) {
    const SmallDisk run("/run", "1m");
    ASSERT_EQ(up(waits).code, 0);
    const pid_t init = Json::parse(read_text("/run/sandbox/web/status"))["init"];
    run.cover_read_only();
    const Ended refused = sandbox_command({"up", "-d", write(waits), "--name", "other"});
    EXPECT_EQ(refused.code, 125);
    EXPECT_THAT(refused.err, HasSubstr("read-only file system"));
    sandbox_command({"down", "web"});
    EXPECT_TRUE(gone_within(init, milliseconds(5000)));
    run.uncover();
    const Ended cleaned = sandbox_command({"gc"});
    EXPECT_EQ(cleaned.code, 0) << cleaned;
    EXPECT_FALSE(exists("/run/sandbox"));
}

TEST_F(Reliability, a_state_directory_that_is_removed_takes_nothing_else_along) {
    ASSERT_EQ(up(waits).code, 0);
    const pid_t alive = supervisor();
    std::filesystem::remove_all("/run/sandbox");
    EXPECT_EQ(sandbox_command({"ps", "-q"}).out, "");
    ASSERT_EQ(kill(alive, SIGTERM), 0);
    EXPECT_TRUE(gone_within(alive, milliseconds(15000)));
    EXPECT_FALSE(exists("/var/log/sandbox"));
}

struct Damage {
    const char* name;
    void (*make)(const std::string& journal);
};
std::ostream& operator<<(std::ostream& stream, const Damage& damage) { return stream << damage.name; }

class DamagedJournal : public Reliability, public ::testing::WithParamInterface<Damage> {};

INSTANTIATE_TEST_SUITE_P(All, DamagedJournal,
                         ::testing::Values(Damage{"empty", [](const std::string& j) { EXPECT_EQ(truncate(j.c_str(), 0), 0); }},
                                           Damage{"short", [](const std::string& j) { EXPECT_EQ(truncate(j.c_str(), 100), 0); }},
                                           Damage{"garbage", [](const std::string& j) { write_text(j, std::string(5000, '\x7f')); }},
                                           Damage{"gone", [](const std::string& j) { unlink(j.c_str()); }},
                                           Damage{"folder",
                                                  [](const std::string& j) {
                                                      unlink(j.c_str());
                                                      EXPECT_EQ(mkdir(j.c_str(), 0700), 0);
                                                  }}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_P(DamagedJournal, does_not_keep_a_living_supervisor_from_cleaning) {
    ASSERT_EQ(up(waits).code, 0);
    GetParam().make("/run/sandbox/web/journal");
    EXPECT_EQ(sandbox_command({"down", "web"}).code, 0);
    EXPECT_FALSE(exists("/run/sandbox"));
}

TEST_P(DamagedJournal, of_a_dead_one_is_made_up_for_by_its_status) {
    ASSERT_EQ(up(waits).code, 0);
    const pid_t alive = supervisor();
    ASSERT_EQ(kill(alive, SIGKILL), 0);
    ASSERT_TRUE(gone_within(alive, milliseconds(5000)));
    GetParam().make("/run/sandbox/web/journal");
    const Ended cleaned = sandbox_command({"gc"});
    const Ended again = sandbox_command({"gc"});
    EXPECT_TRUE(cleaned.code == 0 || again.code == 0) << cleaned << again;
    EXPECT_FALSE(exists("/run/sandbox")) << cleaned;
}

TEST_F(Reliability, the_callers_terminal_may_go) {
    Options terminal;
    terminal.pty = true;
    Process shell = Process::start({"/bin/sh", "-c", cat(sandbox_binary(), " up -d ", write(waits), "; echo up; read line")}, terminal);
    ASSERT_TRUE(shell.expect("up"));
    shell.hang_up();
    shell.wait();
    EXPECT_EQ(sandbox_command({"ps", "-q"}).out, "web\n");
    EXPECT_EQ(sandbox_command({"down", "web"}).code, 0);
}

}  // namespace
