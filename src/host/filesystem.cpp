#include "host/filesystem.h"

#include <linux/magic.h>

#include <array>
#include <charconv>
#include <string_view>

namespace sandbox {
namespace {

struct Magic {
    std::uint32_t number;
    std::string_view name;
};

// linux/magic.h has not all of them.
constexpr std::uint32_t xfs = 0x58465342, zfs = 0x2FC12FC1, cifs = 0xFF534D42, ntfs3 = 0x7366746E, vfat = 0x4D44, mqueue = 0x19800202,
                        bcachefs = 0xCA451A4E, ceph = 0x00C36400;

constexpr std::array<Magic, 32> magics{{{EXT4_SUPER_MAGIC, "ext4"},
                                        {OVERLAYFS_SUPER_MAGIC, "overlay"},
                                        {TMPFS_MAGIC, "tmpfs"},
                                        {BTRFS_SUPER_MAGIC, "btrfs"},
                                        {xfs, "xfs"},
                                        {F2FS_SUPER_MAGIC, "f2fs"},
                                        {zfs, "zfs"},
                                        {bcachefs, "bcachefs"},
                                        {NFS_SUPER_MAGIC, "nfs"},
                                        {cifs, "cifs"},
                                        {SMB2_SUPER_MAGIC, "smb2"},
                                        {ceph, "ceph"},
                                        {V9FS_MAGIC, "9p"},
                                        {FUSE_SUPER_MAGIC, "fuse"},
                                        {SQUASHFS_MAGIC, "squashfs"},
                                        {EROFS_SUPER_MAGIC_V1, "erofs"},
                                        {ISOFS_SUPER_MAGIC, "iso9660"},
                                        {vfat, "vfat"},
                                        {EXFAT_SUPER_MAGIC, "exfat"},
                                        {ntfs3, "ntfs3"},
                                        {RAMFS_MAGIC, "ramfs"},
                                        {HUGETLBFS_MAGIC, "hugetlbfs"},
                                        {PROC_SUPER_MAGIC, "proc"},
                                        {SYSFS_MAGIC, "sysfs"},
                                        {DEVPTS_SUPER_MAGIC, "devpts"},
                                        {CGROUP_SUPER_MAGIC, "cgroup"},
                                        {CGROUP2_SUPER_MAGIC, "cgroup2"},
                                        {mqueue, "mqueue"},
                                        {NSFS_MAGIC, "nsfs"},
                                        {DEBUGFS_MAGIC, "debugfs"},
                                        {BPF_FS_MAGIC, "bpf"},
                                        {SECURITYFS_MAGIC, "securityfs"}}};

}  // namespace

std::string filesystem_name(std::uint32_t magic) {
    for (const Magic& known : magics)
        if (known.number == magic) return std::string(known.name);
    std::array<char, 8> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), magic, 16);
    return "0x" + std::string(digits.data(), end);
}

}  // namespace sandbox
