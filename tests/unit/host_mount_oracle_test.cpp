// The launcher reads mountinfo by itself, because it is a static program and Debian has no static libmount. Here libmount
// judges it: the same text, the same mounts in every field.
#include <gmock/gmock.h>
#include <libmount/libmount.h>
#include <sys/mount.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/text.h"
#include "host/probe.h"
#include "profile/load.h"

namespace sandbox {
namespace {

struct Release {
    void operator()(libmnt_table* table) const { mnt_unref_table(table); }
    void operator()(libmnt_iter* iter) const { mnt_free_iter(iter); }
    void operator()(FILE* file) const { std::fclose(file); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

std::string text_or_empty(const char* text) { return text ? text : ""; }

// What libmount makes of the text; it tells mountinfo from other tables by the first line.
std::vector<MountInfo> read_by_libmount(const std::string& text) {
    const Owned<libmnt_table> table(mnt_new_table());
    const Owned<libmnt_iter> iter(mnt_new_iter(MNT_ITER_FORWARD));
    const Owned<FILE> stream(fmemopen(const_cast<char*>(text.data()), text.size(), "r"));
    EXPECT_TRUE(table && iter && stream);
    EXPECT_EQ(mnt_table_parse_stream(table.get(), stream.get(), "mountinfo"), 0);
    std::vector<MountInfo> mounts;
    libmnt_fs* fs = nullptr;
    while (mnt_table_next_fs(table.get(), iter.get(), &fs) == 0) {
        MountInfo mount;
        mount.id = mnt_fs_get_id(fs);
        mount.parent = mnt_fs_get_parent_id(fs);
        mount.root = text_or_empty(mnt_fs_get_root(fs));
        mount.target = text_or_empty(mnt_fs_get_target(fs));
        mount.options = text_or_empty(mnt_fs_get_vfs_options(fs));
        mount.filesystem = text_or_empty(mnt_fs_get_fstype(fs));
        mount.source = text_or_empty(mnt_fs_get_source(fs));
        mount.super_options = text_or_empty(mnt_fs_get_fs_options(fs));
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

std::string as_line(const MountInfo& m) {
    return cat(m.id, " ", m.parent, " root=", quote(m.root), " target=", quote(m.target), " options=", quote(m.options),
               " filesystem=", quote(m.filesystem), " source=", quote(m.source), " super=", quote(m.super_options));
}

std::vector<std::string> as_lines(const std::vector<MountInfo>& mounts) {
    std::vector<std::string> lines;
    for (const MountInfo& mount : mounts) lines.push_back(as_line(mount));
    return lines;
}

TEST(MountinfoOracle, ThisMachinesMountsAreReadAsLibmountReadsThem) {
    std::ifstream file("/proc/self/mountinfo");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto ours = parse_mountinfo(text);
    ASSERT_FALSE(ours.empty());
    EXPECT_EQ(as_lines(ours), as_lines(read_by_libmount(text)));
}

class AwkwardLine : public testing::TestWithParam<const char*> {};

// A plain line before and after shows that neither reader loses its place.
TEST_P(AwkwardLine, IsReadAsLibmountReadsIt) {
    const std::string text =
        cat("1 1 0:2 / / rw - rootfs rootfs rw\n", GetParam(), "\n900 1 0:3 / /last rw,nosuid - tmpfs tmpfs rw,size=4k\n");
    const auto ours = parse_mountinfo(text);
    EXPECT_EQ(ours.size(), 3U);
    EXPECT_EQ(as_lines(ours), as_lines(read_by_libmount(text)));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, AwkwardLine,
    testing::Values(
        "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
        R"(2 1 0:1 /r\134s /a\040b\011c\012d rw - tmpfs no\043ne rw)", R"(2 1 0:1 /\134040 /\134040 rw - tmpfs \134040 rw)",
        R"(2 1 0:1 / /\303\244\342\202\254 rw - tmpfs \303\274 rw)", "2 1 0:1 / /\xc3\xa4 rw - tmpfs \xc3\xbc rw",
        "2 1 0:1 / /\xff\xfe rw - tmpfs x rw", "2 1 0:1 / /a rw - tmpfs  rw,size=4k",
        "2 1 0:1 / /a rw shared:1 master:2 propagate_from:3 unbindable - tmpfs none rw",
        "2 1 0:1 / /a rw shared:1 a:1 b:2 c:3 d:4 e:5 f:6 g:7 h:8 i:9 j:10 - tmpfs none rw", "2 1 0:1 / /a - rw - tmpfs none rw",
        "2 1 0:1 / /- rw - tmpfs - rw", "2 1 0:1 / /a ro,nosuid,nodev,noexec,relatime,idmapped shared:7 - xfs /dev/mapper/a-b rw,attr2",
        "2 1 0:45 / /m rw,relatime - overlay overlay rw,lowerdir=/a:/b:/c,upperdir=/u,workdir=/w,redirect_dir=on",
        R"(2 1 0:45 / /m rw - overlay overlay rw,lowerdir=/a\134:b:/c,upperdir=/u\040v,workdir=/w)",
        "2 1 0:46 /docker/abc/merged /m rw - fuse.sshfs joe@host:/home/joe rw,user_id=1000,group_id=1000",
        "2 1 0:5 mnt:[4026531841] /run/ns/mnt rw - nsfs nsfs rw", "2 1 0:5 net:[4026532207] /run/netns/a rw shared:3 - nsfs nsfs rw",
        R"(2 1 8:1 /deleted//deleted /gone rw - ext4 /dev/sda1 rw)", "2147483647 2147483646 1048575:255 / /big rw - tmpfs t rw",
        "2 1 0:1 / /cifs rw - cifs //server/share rw,vers=3.0,username=a", "2 1 0:1 / /nfs rw - nfs4 [fe80::1]:/export rw,addr=fe80::1"));

// Bytes that the kernel does not escape, and those it does, each alone in a name.
TEST(MountinfoOracle, EveryByteOfANameIsReadAsLibmountReadsIt) {
    for (int byte = 1; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool escaped = c == ' ' || c == '\t' || c == '\n' || c == '\\' || c == '#';
        char octal[8];
        std::snprintf(octal, sizeof octal, "\\%03o", byte);
        const std::string name = escaped ? std::string(octal) : std::string(1, c);
        const std::string text = cat("2 1 0:1 /r", name, "r /t", name, "t rw - tmpfs s", name, "s rw\n");
        const auto ours = parse_mountinfo(text);
        ASSERT_EQ(ours.size(), 1U) << byte;
        EXPECT_EQ(ours[0].target, cat("/t", std::string_view(&c, 1), "t")) << byte;
        EXPECT_EQ(as_lines(ours), as_lines(read_by_libmount(text))) << byte;
    }
}

unsigned long flags_of(const Mount& mount) {
    return (*mount.mode == AccessMode::ro ? MS_RDONLY : 0) | (mount.suid ? 0 : MS_NOSUID) | (mount.dev ? 0 : MS_NODEV) |
           (mount.exec ? 0 : MS_NOEXEC);
}

// The options of a mount's short form that are mount(8)'s too mean what they mean there, also when a later one takes an
// earlier one back.
TEST(MountOptionsOracle, TheShortFormMeansWhatLibmountMakesOfIt) {
    const std::vector<std::string> words{"ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec"};
    std::vector<std::string> lists = words;
    for (const std::string& a : words)
        for (const std::string& b : words) {
            lists.push_back(cat(a, ",", b));
            for (const std::string& c : words) lists.push_back(cat(a, ",", b, ",", c));
        }
    for (const std::string& list : lists) {
        LoadRequest request;
        request.profile.file.name = "p.yaml";
        request.profile.file.text = cat("version: 1\nrootfs: {host: ro}\nmounts: [\"/srv:/mnt:", list, "\"]\n");
        request.profile.file.directory = "/";
        request.stem = "p";
        request.command = {"/bin/true"};
        const Loaded loaded = load_profile(request);
        ASSERT_FALSE(has_errors(loaded.diagnostics)) << list;
        ASSERT_EQ(loaded.profile.mounts.size(), 1U) << list;
        unsigned long flags = flags_of(Mount{});
        ASSERT_EQ(mnt_optstr_get_flags(list.c_str(), &flags, mnt_get_builtin_optmap(MNT_LINUX_MAP)), 0) << list;
        EXPECT_EQ(flags_of(loaded.profile.mounts.front()), flags) << list;
    }
}

}  // namespace
}  // namespace sandbox
