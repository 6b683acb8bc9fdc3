// proc.view: limits, with an lxcfs that the tests run in a mount namespace of their own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <filesystem>

#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;

constexpr const char* place = "/var/lib/lxcfs";

bool is_fuse() {
    struct statfs about {};
    return statfs(place, &about) == 0 && about.f_type == 0x65735546;
}

class ViewOfLimits : public ::testing::Test {
   protected:
    void SetUp() override {
        HOST_ROOT_OR_LEFT_OUT();
        REQUIRE_OR_SKIP(on_private_host(), "lxcfs is started on the tests' own host only");
        REQUIRE_OR_SKIP(command_exists("lxcfs"), "lxcfs is not installed");
        REQUIRE_OR_SKIP(exists("/dev/fuse"), "this kernel has no FUSE");
        std::filesystem::create_directories(place);
        const Fd mounts(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
        lxcfs_.emplace(Process::start({"lxcfs", "-f", "--pidfile=/run/lxcfs-of-tests.pid", place}));
        // The kernel tells of a change of the mounts (proc_pid_mounts(5)).
        while (!is_fuse() && !lxcfs_->has_ended()) {
            pollfd change{mounts.get(), POLLPRI, 0};
            if (poll(&change, 1, 10000) <= 0) break;
        }
        REQUIRE_OR_SKIP(is_fuse(), "lxcfs cannot mount here: " + lxcfs_->err());
        before_ = HostSnapshot::take();
    }
    void TearDown() override {
        if (before_) {
            EXPECT_EQ(differences_since(*before_), "");
        }
        if (!lxcfs_) return;
        umount2(place, MNT_DETACH);
        lxcfs_->signal(SIGTERM);
        lxcfs_->wait();
    }
    std::optional<Process> lxcfs_;
    std::optional<HostSnapshot> before_;
};

constexpr const char* look =
    "grep MemTotal /proc/meminfo; echo processors: $(grep -c ^processor /proc/cpuinfo); echo online: $(cat "
    "/sys/devices/system/cpu/online); "
    "grep SwapTotal /proc/meminfo; grep -c '^cpu[0-9]' /proc/stat; read up idle < /proc/uptime; echo up: ${up%.*}";

TEST_F(ViewOfLimits, memory_and_processors_are_those_of_the_sandbox) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    for (const char* ids : {"auto", "host"}) {
        const Ended ended =
            run_sandbox(in_busybox(cat("id_map: ", ids, "\nproc: {view: limits}\nresources: {memory: {max: 100Mi}, cpu: {set: \"0\"}}\n")),
                        {"/bin/sh", "-c", look});
        EXPECT_TRUE(ended.ok()) << ended;
        EXPECT_THAT(ended.out, ::testing::ContainsRegex("MemTotal: +102400 kB")) << ids;
        EXPECT_THAT(ended.out, HasSubstr("processors: 1\nonline: 0\n")) << ids;
        EXPECT_THAT(ended.out, ::testing::ContainsRegex("up: [0-9]\n")) << "since it was started, not since the machine was";
    }
}

TEST_F(ViewOfLimits, cannot_be_written_and_shows_no_more_than_its_files) {
    const Json seen = probe_in_sandbox(in_tree("proc: {view: limits}\n"), {"mounts"});
    for (const char* target :
         {"/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/swaps", "/sys/devices/system/cpu/online"}) {
        const Json mount = mount_at(seen["mounts"], target);
        ASSERT_FALSE(mount.is_null()) << target << seen;
        EXPECT_THAT(mount["options"].get<std::string>(), ::testing::StartsWith("ro,nosuid,nodev,noexec")) << target;
    }
    EXPECT_THAT(seen.dump(), ::testing::Not(HasSubstr(place)));
}

TEST_F(ViewOfLimits, an_ordinary_user_gets_the_files_too) {
    const Json seen = probe_in_sandbox(in_tree("proc: {view: limits}\n"), {"mounts"}, ordinary_user());
    EXPECT_FALSE(mount_at(seen["mounts"], "/proc/meminfo").is_null()) << seen;
}

TEST_F(ViewOfLimits, a_mount_of_the_profiles_own_stays) {
    TempDir own;
    const std::string uptime = own.write("uptime", "1.00 1.00\n");
    const Ended ended = run_sandbox(in_tree(cat("proc: {view: limits}\nmounts: [{source: ", uptime, ", target: /proc/uptime}]\n")),
                                    {"/sandbox-probe", "read:/proc/uptime"});
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_THAT(ended.out, HasSubstr("1.00 1.00"));
}

TEST(ViewOfLimitsMistake, without_lxcfs_it_is_an_error) {
    REQUIRE_OR_SKIP(is_root(), "needs root");
    REQUIRE_OR_SKIP(!is_fuse(), "lxcfs runs on this host");
    const Ended ended = run_sandbox(in_tree("proc: {view: limits}\n"), {"/sandbox-probe", "pid"});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("lxcfs does not run"));
}

}  // namespace
