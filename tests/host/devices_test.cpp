// /dev: what the minimal one holds, the host's, none; its shared memory; and the devices that a profile adds.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "own_tree.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* tree = "rootfs: {path: @PROBE_TREE@}\n";

class Devices : public EveryWay {
   protected:
    static Json look(std::string_view rest, const Words& verbs) { return probe_in_sandbox(profile(cat(tree, rest)), verbs, options()); }
    static Ended launch(std::string_view rest, const Words& argv = {"/sandbox-probe", "devices"}) {
        return run_sandbox(profile(cat(tree, rest)), argv, options());
    }
    // Whether the launcher can make nodes: root of the initial user namespace.
    static bool makes_nodes() { return !GetParam().ordinary && is_host_root(); }
};
INSTANTIATE_EVERY_WAY(Devices);

Names names_in(const Json& devices) {
    Names names;
    for (const auto& [name, entry] : devices.items()) names.push_back(name);
    return names;
}

// ---- /dev

TEST_P(Devices, are_exactly_those_that_every_program_may_expect) {
    const auto before = HostSnapshot::take();
    Json seen = look("", {"devices", "mounts", "create:/dev/new", "read:/dev/null", "write:/dev/null=x", "write:/dev/full=x",
                          "open-read:/dev/zero", "open-read:/dev/urandom", "open-read:/dev/random", "open-write:/dev/tty",
                          "open-write:/dev/ptmx", "create:/dev/shm/x", "stat:/dev"});
    Json& devices = seen["devices"];
    EXPECT_EQ(names_in(devices), (Names{"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
                                        "urandom", "zero"}));
    const std::map<std::string, std::string> nodes = {{"null", "1:3"},   {"zero", "1:5"},    {"full", "1:7"},
                                                      {"random", "1:8"}, {"urandom", "1:9"}, {"tty", "5:0"}};
    for (const auto& [name, number] : nodes) {
        EXPECT_EQ(devices[name]["type"], "character") << name;
        EXPECT_EQ(devices[name]["rdev"], number) << name;
        EXPECT_EQ(devices[name]["mode"], "0666") << name;
    }
    const std::map<std::string, std::string> links = {{"fd", "/proc/self/fd"},
                                                      {"stdin", "/proc/self/fd/0"},
                                                      {"stdout", "/proc/self/fd/1"},
                                                      {"stderr", "/proc/self/fd/2"},
                                                      {"ptmx", "pts/ptmx"}};
    for (const auto& [name, target] : links) EXPECT_EQ(devices[name]["target"], target) << name;
    for (const char* folder : {"pts", "shm", "mqueue"}) EXPECT_EQ(devices[folder]["type"], "directory") << folder;
    EXPECT_EQ(devices["shm"]["mode"], "1777");
    EXPECT_EQ(seen["stat:/dev"]["uid"], 0);
    EXPECT_EQ(seen["create:/dev/new"], "EROFS");
    EXPECT_EQ(seen["read:/dev/null"]["text"], "");
    EXPECT_EQ(seen["write:/dev/null=x"], "ok");
    EXPECT_EQ(seen["write:/dev/full=x"], "ENOSPC");
    for (const char* verb :
         {"open-read:/dev/zero", "open-read:/dev/urandom", "open-read:/dev/random", "open-write:/dev/ptmx", "create:/dev/shm/x"})
        EXPECT_EQ(seen[verb], "ok") << verb;
    EXPECT_EQ(seen["open-write:/dev/tty"], "ENXIO");  // no terminal was asked for
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Devices, of_the_host_keep_their_owner_and_mode) {
    const auto before = HostSnapshot::take();
    for (const char* devices : {"", "devices: [{path: /dev/null, target: /dev/other}]\n", "devices: [/dev/null]\n"}) {
        Json seen = look(devices, {"chown:/dev/null=1:1", "chmod:/dev/null=0600", "chown:/dev/other=1:1", "chmod:/dev/other=0600",
                                   "unlink:/dev/null", "write:/dev/null=x"});
        for (const char* verb : {"chown:/dev/null=1:1", "chmod:/dev/null=0600"}) EXPECT_EQ(seen[verb], "EROFS") << devices << verb;
        for (const char* verb : {"chown:/dev/other=1:1", "chmod:/dev/other=0600", "unlink:/dev/null"}) EXPECT_NE(seen[verb], "ok") << verb;
        EXPECT_EQ(seen["write:/dev/null=x"], "ok");
        EXPECT_EQ(differences_since(before), "");
    }
}

TEST_P(Devices, are_none_when_asked) {
    const auto before = HostSnapshot::take();
    EXPECT_EQ(look("dev: {mode: none}\n", {"dir:/dev"})["dir:/dev"]["names"], Json::array());
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Devices, are_the_hosts_when_asked) {
    const auto before = HostSnapshot::take();
    Json host = probe_outside({"dir:/dev"}),
         seen = look("dev: {mode: host}\n", {"dir:/dev", "stat:/dev/null", "write:/dev/null=x", "chmod:/dev/null=0600",
                                             "chown:/dev/null=1:1", "create:/dev/new", "create:/dev/shm/new", "mounts"});
    EXPECT_EQ(seen["dir:/dev"], host["dir:/dev"]);
    EXPECT_EQ(seen["stat:/dev/null"]["rdev"], "1:3");
    EXPECT_EQ(seen["write:/dev/null=x"], "ok");
    for (const char* change : {"chmod:/dev/null=0600", "chown:/dev/null=1:1", "create:/dev/new"})
        EXPECT_EQ(seen[change], "EROFS") << change;
    EXPECT_EQ(seen["create:/dev/shm/new"], "ok");
    unlink("/dev/shm/new");
    EXPECT_THAT(mount_at(seen["mounts"], "/dev")["options"].get<std::string>(), HasSubstr("noexec"));
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Devices, have_shared_memory_of_the_size_asked_for) {
    REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
    EXPECT_EQ(look("", {"statfs:/dev/shm"})["statfs:/dev/shm"]["size"], 64 << 20);
    EXPECT_EQ(look("dev: {shm_size: 1Mi}\n", {"statfs:/dev/shm"})["statfs:/dev/shm"]["size"], 1 << 20);
    const Ended ended = run_sandbox(profile("rootfs: {path: @BUSYBOX@}\ndev: {shm_size: 1Mi}\n"),
                                    {"sh", "-c", "head -c 2097152 /dev/zero >/dev/shm/big; stat -c %s /dev/shm/big"}, options());
    EXPECT_EQ(ended.out, "1048576\n") << ended;
}

// ---- devices of the profile

TEST_P(Devices, are_added_by_their_path) {
    const auto before = HostSnapshot::take();
    Json seen = look(
        "devices: [{path: /dev/zero, target: /dev/extra}, {path: /dev/zero, target: /dev/deep/er/zero}, "
        "{path: /dev/full, target: /dev/full}]\n",
        {"devices", "devices:/dev/deep/er", "open-read:/dev/extra", "write:/dev/extra=x", "open-read:/dev/deep/er/zero",
         "write:/dev/full=x", "create:/dev/deep/new", "mounts"});
    EXPECT_EQ(seen["devices"]["extra"]["rdev"], "1:5");
    EXPECT_EQ(seen["devices"]["extra"]["mode"], "0666");
    EXPECT_EQ(seen["devices:/dev/deep/er"]["zero"]["rdev"], "1:5");
    for (const char* verb : {"open-read:/dev/extra", "write:/dev/extra=x", "open-read:/dev/deep/er/zero"})
        EXPECT_EQ(seen[verb], "ok") << verb;
    EXPECT_EQ(seen["write:/dev/full=x"], "ENOSPC");
    EXPECT_EQ(seen["create:/dev/deep/new"], "EROFS");
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Devices, are_added_outside_of_dev_as_well) {
    const OwnTree own;
    hand_over(own.place());
    const auto before = HostSnapshot::take({{own.place().path()}, -1});
    Json seen = probe_in_sandbox(
        profile(cat(own.as_root(), "devices: [{path: /dev/zero, target: /work/nodes/zero}]\n")),
        {"stat:/work/nodes/zero", "open-read:/work/nodes/zero", "write:/work/nodes/zero=x", "chmod:/work/nodes/zero=0600"}, options());
    EXPECT_EQ(seen["stat:/work/nodes/zero"]["rdev"], "1:5");
    EXPECT_EQ(seen["open-read:/work/nodes/zero"], "ok");
    EXPECT_EQ(seen["write:/work/nodes/zero=x"], "ok");
    EXPECT_NE(seen["chmod:/work/nodes/zero=0600"], "ok");
    EXPECT_EQ(differences_since(before, {{own.place().path()}, -1}), "");
}

TEST_P(Devices, that_only_root_may_use_are_roots_inside) {
    REQUIRE_OR_SKIP(exists("/dev/fuse"), "the host has no /dev/fuse");
    const auto before = HostSnapshot::take();
    Json seen = look("devices: [/dev/fuse]\n", {"stat:/dev/fuse", "open-read:/dev/fuse", "open-write:/dev/fuse"});
    EXPECT_EQ(seen["stat:/dev/fuse"]["type"], "character");
    EXPECT_EQ(seen["stat:/dev/fuse"]["rdev"], "10:229");
    struct stat host {};
    ASSERT_EQ(stat("/dev/fuse", &host), 0);
    // An ordinary user spends only the rights that it has.
    const bool may = !GetParam().ordinary || (host.st_mode & 0006) == 0006;
    EXPECT_EQ(seen["open-write:/dev/fuse"], may ? "ok" : "EACCES");
    if (makes_nodes()) {
        EXPECT_EQ(seen["stat:/dev/fuse"]["uid"], 0);
    }
    EXPECT_EQ(differences_since(before), "");
}

TEST_P(Devices, are_added_by_their_number_by_root_alone) {
    const auto before = HostSnapshot::take();
    const Ended ended = launch(
        "devices: [{path: /dev/mine, type: char, major: 1, minor: 5, perm: \"0640\", uid: 1000, gid: 29}, "
        "{path: /dev/disk/mine, type: block, major: 7, minor: 63}]\n",
        {"/sandbox-probe", "devices", "devices:/dev/disk", "open-read:/dev/mine", "chmod:/dev/mine=0666"});
    EXPECT_EQ(differences_since(before), "");
    if (!makes_nodes()) {
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr("only root can make a device node by its number"));
        return;
    }
    Json seen = last_json(ended);
    EXPECT_EQ(seen["devices"]["mine"]["type"], "character");
    EXPECT_EQ(seen["devices"]["mine"]["rdev"], "1:5");
    EXPECT_EQ(seen["devices"]["mine"]["mode"], "0640");
    EXPECT_EQ(seen["devices"]["mine"]["uid"], 1000);
    EXPECT_EQ(seen["devices"]["mine"]["gid"], 29);
    EXPECT_EQ(seen["devices:/dev/disk"]["mine"]["type"], "block");
    EXPECT_EQ(seen["devices:/dev/disk"]["mine"]["rdev"], "7:63");
    EXPECT_EQ(seen["devices:/dev/disk"]["mine"]["mode"], "0660");
    EXPECT_EQ(seen["open-read:/dev/mine"], "ok");
    EXPECT_EQ(seen["chmod:/dev/mine=0666"], "EROFS");
}

TEST_P(Devices, have_the_mode_and_owner_that_are_asked_for_or_are_refused) {
    const auto before = HostSnapshot::take();
    const Ended ended = launch("devices: [{path: /dev/zero, target: /dev/mine, perm: \"0604\", uid: 1000, gid: 29}]\n");
    EXPECT_EQ(differences_since(before), "");
    if (!makes_nodes()) {
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr("devices[0]"));
        return;
    }
    Json seen = last_json(ended)["devices"];
    EXPECT_EQ(seen["mine"]["rdev"], "1:5");
    EXPECT_EQ(seen["mine"]["mode"], "0604");
    EXPECT_EQ(seen["mine"]["uid"], 1000);
    EXPECT_EQ(seen["mine"]["gid"], 29);
    const Ended elsewhere = launch("devices: [{path: /dev/zero, target: /work/zero, perm: \"0604\"}]\n");
    EXPECT_EQ(elsewhere.code, 125) << elsewhere;
    EXPECT_THAT(elsewhere.err, HasSubstr("devices[0]"));
}

TEST_P(Devices, that_are_missing_are_refused_or_left_out_and_said) {
    const auto before = HostSnapshot::take();
    const Ended refused = launch("devices: [/dev/no-such-device]\n");
    EXPECT_EQ(refused.code, 125) << refused;
    EXPECT_THAT(refused.err, HasSubstr("/dev/no-such-device"));
    EXPECT_THAT(refused.err, HasSubstr("devices[0].path"));
    const Ended left_out = launch("devices: [{path: /dev/no-such-device, optional: true}]\n");
    EXPECT_FALSE(last_json(left_out)["devices"].contains("no-such-device"));
    EXPECT_THAT(left_out.err, HasSubstr("left out: device:/dev/no-such-device: /dev/no-such-device is missing"));
    const Ended file = launch("devices: [/etc/passwd]\n");
    EXPECT_EQ(file.code, 125) << file;
    EXPECT_THAT(file.err, HasSubstr("not a device"));
    EXPECT_EQ(differences_since(before), "");
}

// Less than the node itself gives: by a group that limits devices, where the caller can have one.
TEST_P(Devices, can_be_given_for_reading_alone) {
    const auto before = HostSnapshot::take();
    const std::string rest = "devices: [{path: /dev/zero, access: r}]\n";
    if (!is_host_root() || GetParam().ordinary) {
        const Ended refused = launch(rest);
        EXPECT_EQ(refused.code, 125) << refused;
        EXPECT_THAT(refused.err, HasSubstr("devices[0].access"));
        return;
    }
    const Json seen = look(rest, {"open-read:/dev/zero", "open-write:/dev/zero", "open-write:/dev/null"});
    EXPECT_EQ(seen["open-read:/dev/zero"], "ok");
    EXPECT_EQ(seen["open-write:/dev/zero"], "EPERM");
    EXPECT_EQ(seen["open-write:/dev/null"], "ok");
    EXPECT_EQ(differences_since(before), "");
}

// ---- nodes that nobody asked for

TEST(DeviceNodes, of_the_image_or_of_the_payload_do_not_work_unless_a_mount_says_so) {
    HOST_ROOT_OR_LEFT_OUT();
    const OwnTree own;
    own.place().make("nodes");
    for (const char* name : {"root/work/node", "nodes/node"})
        ASSERT_EQ(mknod((own.place() / name).c_str(), S_IFCHR | 0666, makedev(1, 5)), 0);
    for (const Way& way : {own_ids, no_user_namespace}) {
        SCOPED_TRACE(way.name);
        const auto before = HostSnapshot::take();
        Json seen = probe_in_sandbox(
            profile_for(way, cat(own.as_root(), "mounts: [{source: ", own.place() / "nodes", ", target: /plain}, {source: ",
                                 own.place() / "nodes", ", target: /devices, dev: true}, {type: tmpfs, target: /tmp}]\n")),
            {"stat:/work/node", "open-read:/work/node", "open-read:/plain/node", "open-read:/devices/node", "mknod:/tmp/node=c:1:5",
             "open-read:/tmp/node", "mknod:/dev/shm/node=c:1:5", "open-read:/dev/shm/node"});
        EXPECT_EQ(seen["stat:/work/node"]["type"], "character");
        EXPECT_EQ(seen["open-read:/work/node"], "EACCES");
        EXPECT_EQ(seen["open-read:/plain/node"], "EACCES");
        EXPECT_EQ(seen["open-read:/devices/node"], "ok");
        // CAP_MKNOD is among the fifteen, and counts where there is no user namespace.
        const bool made = way.id_map == std::string_view("host");
        EXPECT_EQ(seen["mknod:/tmp/node=c:1:5"], made ? "ok" : "EPERM");
        EXPECT_EQ(seen["open-read:/tmp/node"], made ? "EACCES" : "ENOENT");
        EXPECT_EQ(seen["open-read:/dev/shm/node"], made ? "EACCES" : "ENOENT");
        EXPECT_EQ(differences_since(before), "");
    }
}

}  // namespace
