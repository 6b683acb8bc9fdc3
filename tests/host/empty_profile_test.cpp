// What an empty profile gives a payload, measured from inside.
#include <gmock/gmock.h>
#include <map>
#include <set>

#include "ways.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

const Words looks = {"ids",
                     "caps",
                     "nnp",
                     "seccomp",
                     "fds",
                     "env",
                     "cwd",
                     "mounts",
                     "tty",
                     "signals",
                     "umask",
                     "cgroup",
                     "oom",
                     "procs",
                     "links",
                     "devices",
                     "exe",
                     "try-all",
                     "ns",
                     "caps:1",
                     "proc-status:1",
                     "dir:/proc/1/fd",
                     "dir:/sys/fs/cgroup",
                     "readlink:/proc/1/root",
                     "statfs:/proc/sys",
                     "statfs:/proc/irq",
                     "statfs:/sys",
                     "personality"};

// Files whose writing would act on the whole machine. They are opened, never written to.
const Words dangerous = {"/proc/sys/kernel/core_pattern",
                         "/proc/sys/kernel/modprobe",
                         "/proc/sys/kernel/hotplug",
                         "/proc/sys/kernel/sysrq",
                         "/proc/sys/kernel/usermodehelper/bset",
                         "/proc/sys/kernel/usermodehelper/inheritable",
                         "/proc/sys/kernel/hostname",
                         "/proc/sys/kernel/domainname",
                         "/proc/sys/kernel/ns_last_pid",
                         "/proc/sys/kernel/shmmax",
                         "/proc/sys/vm/overcommit_memory",
                         "/proc/sys/vm/panic_on_oom",
                         "/proc/sys/fs/binfmt_misc/register",
                         "/proc/sys/fs/binfmt_misc/status",
                         "/proc/sys/fs/suid_dumpable",
                         "/proc/sys/net/ipv4/ip_forward",
                         "/proc/sys/net/core/somaxconn",
                         "/proc/sys/user/max_user_namespaces",
                         "/proc/sysrq-trigger",
                         "/proc/irq/default_smp_affinity",
                         "/proc/kcore",
                         "/sys/kernel/uevent_helper",
                         "/sys/kernel/uevent_seqnum",
                         "/sys/kernel/mm/transparent_hugepage/enabled",
                         "/sys/kernel/mm/ksm/run",
                         "/sys/power/state",
                         "/sys/power/disk",
                         "/sys/module/kernel/parameters/panic",
                         "/sys/class/net/lo/mtu",
                         "/sys/fs/cgroup/release_agent",
                         "/sys/fs/cgroup/cgroup.procs",
                         "/sys/fs/cgroup/memory/release_agent",
                         "/dev/kmsg",
                         "/dev/mem",
                         "/dev/kvm",
                         "/dev/fuse",
                         "/dev/net/tun",
                         "/dev/console"};

const Words masked_files = {"/proc/kcore",         "/proc/keys",        "/proc/timer_list",  "/proc/interrupts",
                            "/proc/sysrq-trigger", "/proc/timer_stats", "/proc/sched_debug", "/proc/latency_stats"};
const Words masked_folders = {"/proc/scsi",
                              "/proc/acpi",
                              "/proc/asound",
                              "/sys/firmware",
                              "/sys/devices/virtual/powercap",
                              "/sys/devices/system/cpu/cpu0/thermal_throttle"};

constexpr const char* empty = "rootfs: {path: @PROBE_TREE@}\n";

class EmptyProfile : public EveryWay {
   protected:
    // One run for each way is enough for all tests.
    static const Json& seen() {
        static std::map<std::string, Json> cache;
        const auto found = cache.find(GetParam().name);
        if (found != cache.end()) return found->second;
        Words verbs = looks;
        for (int i = 0; i < 8; ++i) verbs.push_back(cat("readlink:/proc/1/fd/", i));
        for (const char* path : {"/proc/1/fd/3", "/proc/1/mem"}) verbs.push_back(cat("open-read:", path));
        for (const std::string& path : dangerous) verbs.push_back("open-write:" + path);
        for (const std::string& path : masked_files) verbs.push_back("read:" + path);
        for (const std::string& path : masked_folders) verbs.push_back("dir:" + path);
        Options with = options();
        with.add["SECRET_TOKEN"] = "of the caller";
        with.add["LD_PRELOAD"] = "/no/such.so";
        return cache[GetParam().name] = probe_in_sandbox(profile(empty), verbs, with);
    }
    static const Json& call(const char* name) {
        const Json& all = seen()["try-all"];
        if (!all.contains(name)) throw std::runtime_error(cat("the probe does not try ", name));
        return all[name];
    }
};
INSTANTIATE_EVERY_WAY(EmptyProfile);

TEST_P(EmptyProfile, has_exactly_the_fifteen_capabilities_and_nothing_inheritable) {
    const Json fifteen = {"CHOWN",      "DAC_OVERRIDE", "FOWNER",      "FSETID",           "KILL",
                          "SETGID",     "SETUID",       "SETPCAP",     "NET_BIND_SERVICE", "NET_RAW",
                          "SYS_CHROOT", "MKNOD",        "AUDIT_WRITE", "SETFCAP",          "AUDIT_READ"};
    const Json& caps = seen()["caps"];
    for (const char* set : {"permitted", "effective", "bounding"})
        EXPECT_THAT(caps[set], ::testing::UnorderedElementsAreArray(fifteen)) << set;
    EXPECT_EQ(caps["inheritable"], Json::array());
    EXPECT_EQ(caps["ambient"], Json::array());
}

TEST_P(EmptyProfile, gains_nothing_by_exec_and_is_filtered) {
    EXPECT_EQ(seen()["nnp"], 1);
    EXPECT_EQ(seen()["seccomp"]["mode"], 2);
}

TEST_P(EmptyProfile, makes_no_namespaces) {
    for (const char* type : {"user", "mount", "pid", "net", "ipc", "uts", "cgroup", "time"}) {
        EXPECT_EQ(call(cat("unshare:", type).c_str()), "EPERM") << type;
        // clone(2) takes no time namespace: there the bit is part of the signal number.
        if (std::string_view(type) != "time") {
            EXPECT_EQ(call(cat("clone:", type).c_str()), "EPERM") << type;
        }
        EXPECT_EQ(call(cat("clone3:", type).c_str()), "ENOSYS") << type;
    }
    EXPECT_EQ(call("clone3"), "ENOSYS");  // its flags cannot be seen by a filter
    EXPECT_EQ(call("clone"), "ok");
    EXPECT_EQ(call("setns"), "EPERM");
}

TEST_P(EmptyProfile, calls_nothing_that_enlarges_the_kernel) {
    for (const char* name : {"mount",         "umount2",       "pivot_root",      "open_tree",
                             "fsopen",        "fsmount",       "fspick",          "move_mount",
                             "mount_setattr", "bpf",           "perf_event_open", "keyctl",
                             "add_key",       "request_key",   "io_uring_setup",  "open_by_handle_at",
                             "userfaultfd",   "kexec_load",    "kexec_file_load", "init_module",
                             "finit_module",  "delete_module", "reboot",          "acct",
                             "settimeofday",  "swapon",        "swapoff",         "sethostname",
                             "syslog",        "iopl",          "ioperm",          "fanotify_init"}) {
        EXPECT_THAT(call(name).get<std::string>(), AnyOf("EPERM", "ENOSYS")) << name;
    }
    EXPECT_THAT(call("adjtimex").get<std::string>(), AnyOf("EPERM", "ENOSYS"));
    for (const char* name : {"ptrace_init", "process_vm_readv", "pidfd_getfd", "kcmp"})
        EXPECT_THAT(call(name).get<std::string>(), AnyOf("EPERM", "ENOSYS")) << name;
}

TEST_P(EmptyProfile, has_every_entry_of_the_kernel_decided) {
#if defined(__x86_64__)
    for (const char* name : {"int80_unshare", "int80_keyctl", "x32_unshare"})
        EXPECT_THAT(call(name).get<std::string>(), AnyOf("EPERM", "ENOSYS", "signal:SIGSYS", "signal:SIGSEGV")) << name;
#endif
    EXPECT_EQ(call("unknown"), "ENOSYS");
    for (const char* name : {"tiocsti", "tiocsti_high", "tioclinux", "tioclinux_high"}) EXPECT_EQ(call(name), "EPERM") << name;
}

TEST_P(EmptyProfile, has_ordinary_sockets_only) {
    for (const char* family : {"AF_VSOCK", "AF_PACKET", "AF_XDP", "AF_ALG", "AF_KEY", "AF_BLUETOOTH", "AF_CAN", "AF_TIPC", "AF_RDS",
                               "AF_QIPCRTR", "AF_KCM", "AF_SMC", "AF_X25", "AF_AX25", "AF_APPLETALK"})
        EXPECT_THAT(call(cat("socket:", family).c_str()).get<std::string>(), AnyOf("EPERM", "EAFNOSUPPORT", "EACCES")) << family;
    for (const char* family : {"AF_UNIX", "AF_INET"}) EXPECT_EQ(call(cat("socket:", family).c_str()), "ok") << family;
}

TEST_P(EmptyProfile, still_makes_ordinary_calls) {
    for (const char* name : {"getpid", "memfd_create", "personality", "chroot"}) EXPECT_EQ(call(name), "ok") << name;
    EXPECT_EQ(call("futex_waitv"), "EINVAL");  // known, and refused for its arguments only
    EXPECT_EQ(call("openat2"), "EINVAL");
}

TEST_P(EmptyProfile, writes_to_no_file_of_the_kernel) {
    for (const std::string& path : dangerous)
        EXPECT_THAT(seen()["open-write:" + path].get<std::string>(), AnyOf("EROFS", "EACCES", "EPERM", "ENOENT", "ENOTDIR")) << path;
    // With root's own ids it is the mount alone that refuses.
    for (const char* path : {"statfs:/proc/sys", "statfs:/proc/irq", "statfs:/sys"})
        EXPECT_THAT(seen()[path]["flags"], ::testing::Contains("ro")) << path;
    if (GetParam().id_map == std::string_view("host")) {
        EXPECT_EQ(seen()["open-write:/proc/sys/kernel/core_pattern"], "EROFS");
        EXPECT_EQ(seen()["open-write:/proc/sys/net/core/somaxconn"], "EROFS");
    }
}

TEST_P(EmptyProfile, reads_nothing_of_what_tells_about_the_machine) {
    for (const std::string& path : masked_files) {
        const Json& read = seen()["read:" + path];
        EXPECT_TRUE(read == Json({{"text", ""}}) || read == Json({{"error", "ENOENT"}})) << path << ": " << read.dump().substr(0, 200);
    }
    for (const std::string& path : masked_folders) {
        const Json& list = seen()["dir:" + path];
        EXPECT_TRUE(list == Json({{"names", Json::array()}}) || list == Json({{"error", "ENOENT"}})) << path << ": " << list;
    }
}

TEST_P(EmptyProfile, has_three_descriptors_and_no_terminal) {
    ASSERT_EQ(seen()["fds"].size(), 3U) << seen()["fds"];
    for (int i = 0; i < 3; ++i) EXPECT_EQ(seen()["fds"][static_cast<std::size_t>(i)]["fd"], i);
    EXPECT_EQ(seen()["tty"]["controlling"], "ENXIO");
    EXPECT_EQ(seen()["tty"]["session"], seen()["tty"]["pgrp"]);
}

TEST_P(EmptyProfile, has_an_environment_of_its_own) {
    const Json& env = seen()["env"];
    for (const auto& [name, value] : env.items()) EXPECT_THAT(name, AnyOf("PATH", "HOME", "USER")) << value;
    EXPECT_TRUE(env.contains("PATH"));
}

TEST_P(EmptyProfile, has_signals_umask_and_personality_of_an_ordinary_program) {
    for (const char* set : {"blocked", "ignored", "caught", "pending"}) EXPECT_EQ(seen()["signals"][set], Json::array()) << set;
    EXPECT_EQ(seen()["umask"], "0022");
    EXPECT_EQ(seen()["personality"], 0);
    EXPECT_EQ(seen()["cwd"], "/");
}

TEST_P(EmptyProfile, sees_no_cgroup_tree_and_no_place_above_its_own) {
    EXPECT_TRUE(seen()["dir:/sys/fs/cgroup"].contains("error") || seen()["dir:/sys/fs/cgroup"]["names"] == Json::array());
    for (const Json& mount : seen()["mounts"]) EXPECT_THAT(mount["type"].get<std::string>(), Not(HasSubstr("cgroup"))) << mount;
    for (const auto& [controller, path] : seen()["cgroup"].items()) EXPECT_EQ(path, "/") << controller;
}

// Nothing in the table of mounts is the host's, hangs on the host's, or can be written to by accident.
TEST_P(EmptyProfile, has_mounts_of_its_own_alone) {
    std::set<int> ids;
    for (const Json& mount : seen()["mounts"]) ids.insert(mount["id"].get<int>());
    const std::string tree = probe_tree();
    int outside = 0;
    for (const Json& mount : seen()["mounts"]) {
        if (ids.count(mount["parent"].get<int>()) == 0) ++outside;
        const std::string target = mount["target"], options = mount["options"], type = mount["type"];
        EXPECT_EQ(mount["propagation"], Json::array()) << mount;
        EXPECT_THAT(target, AnyOf("/", "/proc", "/sys", "/dev", ::testing::StartsWith("/proc/"), ::testing::StartsWith("/sys/"),
                                  ::testing::StartsWith("/dev/")))
            << mount;
        EXPECT_THAT(options, HasSubstr("nosuid")) << mount;
        const bool device_node = type == "devtmpfs" || target.starts_with("/dev");
        if (!device_node) {
            EXPECT_THAT(options, HasSubstr("nodev")) << mount;
        }
        if (target == "/") {
            EXPECT_THAT(tree, ::testing::EndsWith(mount["root"].get<std::string>())) << mount;
        }
    }
    EXPECT_LE(outside, 1) << "more than one mount hangs on something that is not seen";
    EXPECT_EQ(seen()["readlink:/proc/1/root"], "");  // not ours to look at
}

// A node that can be opened is one of ours, and no other can be opened anywhere.
TEST_P(EmptyProfile, has_a_dev_of_its_own) {
    const std::map<std::string, std::string> nodes = {{"null", "1:3"},   {"zero", "1:5"},    {"full", "1:7"},
                                                      {"random", "1:8"}, {"urandom", "1:9"}, {"tty", "5:0"}};
    for (const auto& [name, entry] : seen()["devices"].items()) {
        if (entry["type"] == "character")
            EXPECT_EQ(entry["rdev"], nodes.count(name) != 0 ? nodes.at(name) : "not expected") << name;
        else
            EXPECT_THAT(entry["type"].get<std::string>(), AnyOf("directory", "symlink")) << name;
    }
    for (const auto& [name, number] : nodes) EXPECT_TRUE(seen()["devices"].contains(name)) << name;
}

TEST_P(EmptyProfile, has_only_itself_and_init_in_sight) {
    ASSERT_EQ(seen()["procs"].size(), 2U) << seen()["procs"];
    EXPECT_EQ(seen()["procs"][0]["name"], "sandbox-init");
    ASSERT_EQ(seen()["links"].size(), 1U) << seen()["links"];
    EXPECT_TRUE(seen()["links"].contains("lo"));
}

TEST_P(EmptyProfile, has_an_init_that_holds_next_to_nothing) {
    const Json& init = seen()["caps:1"];
    EXPECT_THAT(init["permitted"], AnyOf(Json::array(), Json{"KILL"}));
    EXPECT_EQ(init["inheritable"], Json::array());
    EXPECT_EQ(init["ambient"], Json::array());
    EXPECT_EQ(seen()["proc-status:1"]["NoNewPrivs"], "1");
    // Its numbers may be listed; where they lead may not be seen, let alone followed.
    for (const Json& name : seen()["dir:/proc/1/fd"]["names"]) {
        const int number = std::stoi(name.get<std::string>());
        if (number < 8) {
            EXPECT_EQ(seen()[cat("readlink:/proc/1/fd/", number)], "") << number;
        }
    }
    EXPECT_EQ(seen()["open-read:/proc/1/fd/3"], "EACCES");
    EXPECT_EQ(seen()["open-read:/proc/1/mem"], "EACCES");
}

TEST_P(EmptyProfile, lives_in_namespaces_of_its_own) {
    const Json outside = probe_outside({"ns"}, {}, options())["ns"];
    for (const char* name : {"mnt", "pid", "ipc", "uts", "cgroup", "net"}) EXPECT_NE(seen()["ns"][name], outside[name]) << name;
    EXPECT_EQ(seen()["ns"]["user"] == outside["user"], GetParam().id_map == std::string_view("host"));
}

TEST_P(EmptyProfile, leaves_the_host_as_it_was) {
    const auto before = HostSnapshot::take();
    EXPECT_TRUE(run_sandbox(profile(empty), {"/sandbox-probe", "ids"}, options()).ok());
    EXPECT_EQ(differences_since(before), "");
}

}  // namespace
