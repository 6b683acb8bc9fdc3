// Trees, file systems and what is made in them.
#include "exec/launch_steps.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "kernel/mount.h"
#include "kernel/process.h"

namespace sandbox {
namespace {

// Who takes a target out of a tree locks it alone for that moment (effects.cpp, undo_target): a user of the tree waits for it. A
// running sandbox's upper stays locked.
bool lock_tree(int directory, bool shared) {
    constexpr int attempts = 200;
    for (int attempt = 1; flock(directory, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0; ++attempt) {
        if (errno != EWOULDBLOCK || !shared || attempt == attempts) return false;
        poll(nullptr, 0, 5);
    }
    return true;
}

}  // namespace

Fd Launch::open_alone(const std::string& path) {
    const auto tree = clone_tree(path, false);
    if (!tree || !set_mount(tree->get(), MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, false)) return Fd();
    return Fd(openat(tree->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

Status Launch::run(const step::MakeHostDirectory& s) {
    Recorder r = recorder();
    return make_host_directory(r, s);
}

Status Launch::run(const step::LockTree& s) {
    Fd directory = std::ranges::count(plan_.kept, s.slot) ? open_alone(s.path) : Fd();
    if (!directory) directory.reset(open(s.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Who may not read it makes nothing in it either that another would take away.
    if (!directory && errno == EACCES && s.shared) return {};
    if (!directory) return fail_errno(quote(s.path), errno);
    if (!lock_tree(directory.get(), s.shared)) {
        if (errno == EWOULDBLOCK)
            return fail(cat(quote(s.path), " is the upper layer of a running sandbox"),
                        "two writers would spoil it: give each sandbox an upper of its own");
        return fail_errno(cat("lock ", quote(s.path)), errno);
    }
    slot(s.slot) = std::move(directory);
    return {};
}

Status Launch::run(const step::ShiftOwner& s) {
    Recorder r = recorder();
    const auto* map = planned<step::WriteIdMap>();
    if (!map) return fail("there is no id map to give the files to");
    return shift_owner(r, s.path, placed(map->uid), placed(map->gid));
}

Status Launch::run(const step::OpenTree& s) {
    auto tree = clone_tree(s.path, s.recursive);
    if (!tree) return pass(tree);
    const MountAttributes& a = s.attributes;
    if (auto set = set_mount(tree->get(), a.set, a.clear, a.propagation, a.recursive); !set) return pass(set, quote(s.path));
    slot(s.slot) = std::move(*tree);
    return {};
}

Status Launch::run(const step::OpenFile& s) {
    Fd file(open(s.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file) return fail_errno(quote(s.path), errno);
    slot(s.slot) = std::move(file);
    return {};
}

Status Launch::run(const step::MakeTarget& s) {
    Recorder r = recorder();
    step::MakeTarget on_disk = s;
    if (!s.mapped && (s.uid != 0 || s.gid != 0)) {
        on_disk.uid = outside(s.uid).value_or(0);
        on_disk.gid = outside_gid(s.gid).value_or(0);
    }
    if (s.slot != no_slot) return make_target(r, on_disk, slot(s.slot).get());
    // An ordinary user's tree is cloned inside, later; here it is looked up with that user's own rights.
    const Fd tree(open(s.host.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!tree) return fail_errno(quote(s.host), errno);
    return make_target(r, on_disk, tree.get());
}

std::vector<MountOption> Launch::options_of(const std::vector<FsOption>& options) {
    std::vector<MountOption> out;
    for (const FsOption& option : options) out.push_back({option.key, option.value, option.bare, -1});
    return out;
}

Status Launch::run(const step::HostFilesystem& s) {
    const auto make = [&]() -> Status {
        auto mount = new_filesystem(s.type, options_of(s.options), s.attributes);
        if (!mount) return pass(mount);
        slot(s.slot) = std::move(*mount);
        return {};
    };
    return s.network == no_slot ? make() : in_network(slot(s.network).get(), make);
}

Status Launch::run(const step::BuildDev& s) {
    auto mount =
        new_filesystem("tmpfs", {{"mode", "0755", false, -1}, {"size", "65536", false, -1}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    if (!mount) return pass(mount);
    const int dev = mount->get();
    const mode_t before = umask(0);
    Status made = fill_dev(dev, s);
    umask(before);
    if (!made) return made;
    slot(s.slot) = std::move(*mount);
    return {};
}

Status Launch::fill_dev(int dev, const step::BuildDev& s) {
    const auto owner = [&](const char* name, std::uint32_t uid, std::uint32_t gid) {
        return fchownat(dev, name, outside(uid).value_or(0), outside_gid(gid).value_or(0), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0;
    };
    for (const std::string& folder : s.folders)
        if (mkdirat(dev, folder.c_str(), 0755) != 0 || !owner(folder.c_str(), 0, 0)) return fail_errno(cat("make /dev/", folder), errno);
    for (const DeviceNode& node : s.nodes)
        if (mknodat(dev, node.name.c_str(), (node.character ? S_IFCHR : S_IFBLK) | node.perm, makedev(node.major, node.minor)) != 0 ||
            !owner(node.name.c_str(), node.uid, node.gid))
            return fail_errno(cat("make the device node ", node.name), errno);
    for (const auto& [link, target] : s.links)
        if (symlinkat(target.c_str(), dev, link.c_str()) != 0 || !owner(link.c_str(), 0, 0))
            return fail_errno(cat("make /dev/", link), errno);
    return owner("", 0, 0) ? Status() : fail_errno("chown /dev", errno);
}

Status Launch::run(const step::IdmapTree& s) {
    if (!user_namespace_) {
        user_namespace_.reset(open(cat("/proc/", child_.pid, "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
        if (!user_namespace_) return fail_errno("the sandbox's user namespace", errno);
    }
    auto mapped = idmap_mount(slot(s.slot).get(), user_namespace_.get(), s.recursive);
    if (mapped) return {};
    const int number = mapped.error().number;
    if (!s.required && (number == EINVAL || number == EPERM)) {
        // Of a tree that came along with the host's nobody asked for it.
        if (!plan_.steps[index_].optional)
            skipped_.push_back(cat(plan_.steps[index_].id, ": the file system does not take an id map; owners appear as nobody"));
        return {};
    }
    if (number == EINVAL)
        mapped.error().hint =
            "this file system does not take an id map: say idmap: none (owners appear as nobody) or, for the root, idmap: chown";
    return mapped;
}

Status Launch::run(const step::BuildOverlay& s) {
    OverlayLayers layers;
    for (const Slot layer : s.lower) layers.lower.push_back(slot(layer).get());
    Fd tmpfs, upper, work;
    layers.upper_tree = s.upper_tree == no_slot ? -1 : slot(s.upper_tree).get();
    layers.upper = s.upper;
    layers.work = s.work;
    if (s.tmpfs) {
        std::vector<MountOption> options{{"mode", "0700", false, -1}};
        if (s.size) options.push_back({"size", std::to_string(*s.size), false, -1});
        auto made = new_filesystem("tmpfs", options, 0);
        if (!made) return pass(made);
        tmpfs = std::move(*made);
        layers.upper_tree = tmpfs.get();
        layers.upper = "upper";
        layers.work = "work";
        if (mkdirat(tmpfs.get(), "upper", 0755) != 0 || mkdirat(tmpfs.get(), "work", 0700) != 0 ||
            fchownat(tmpfs.get(), "upper", maker(true), maker(false), 0) != 0 || fchmodat(tmpfs.get(), "upper", 0755, 0) != 0)
            return fail_errno("make upper and work on a tmpfs", errno);
        if (s.of_root) {
            root_upper_.reset(openat(tmpfs.get(), "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            presence_.status.upper_descriptor = root_upper_.get();
        }
    }
    std::vector<MountOption> options = options_of(s.options);
    // Who mounts an overlay is who creates in it: over id-mapped layers, the sandbox's own root.
    std::optional<ActingAs> acting;
    if (s.upper_tree != no_slot && user_namespace_) {
        const auto uid = outside(0), gid = outside_gid(0);
        if (uid && gid) acting.emplace(*uid, *gid);
        if (!acting || !acting->valid())
            return fail("the sandbox's root has no id on the host", "an overlay on disk needs inside id 0 in id_map");
    }
    Result<Fd> merged;
    if (!overlay_by_descriptor_) {
        merged = overlay_by_name(layers, options, s.attributes);
    } else {
        std::vector<MountOption> all;
        for (const int lower : layers.lower) all.push_back({"lowerdir+", {}, false, lower});
        if (layers.upper_tree >= 0) {
            upper.reset(openat(layers.upper_tree, layers.upper.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            work.reset(openat(layers.upper_tree, layers.work.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (!upper || !work) return fail_errno("open upper and work", errno);
            all.push_back({"upperdir", {}, false, upper.get()});
            all.push_back({"workdir", {}, false, work.get()});
        }
        all.insert(all.end(), options.begin(), options.end());
        merged = new_filesystem("overlay", all, s.attributes);
    }
    if (!merged) return pass(merged);
    // Where the kernel cannot use upper or work it goes on without them and says so in its log alone.
    struct statvfs about {};
    if (layers.upper_tree >= 0 && fstatvfs(merged->get(), &about) == 0 && (about.f_flag & ST_RDONLY) != 0 &&
        (s.attributes & MOUNT_ATTR_RDONLY) == 0)
        return fail("the kernel cannot write to upper and work, and made the overlay read-only", "its log says why (dmesg)");
    slot(s.slot) = std::move(*merged);
    for (const Slot layer : s.lower) slot(layer).reset();
    return {};
}

}  // namespace sandbox
