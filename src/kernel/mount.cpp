#include "kernel/mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"

namespace sandbox {
namespace {

// What the kernel wrote to the context's log, without its level ("e overlay: ..."): often the only real reason.
std::string kernel_message(int context) {
    char text[512];
    std::string last;
    ssize_t size;
    while ((size = read(context, text, sizeof text)) > 2) {
        const std::string_view line = trim(std::string_view(text, static_cast<std::size_t>(size)));
        if (line.starts_with("e ") || last.empty()) last = line.substr(2);
    }
    return last.empty() ? last : cat(" (the kernel says: ", printable(last), ")");
}

tl::unexpected<Error> context_error(int context, const std::string& what, int error) {
    Error e{cat(what, ": ", errno_text(error), kernel_message(context)), {}, error, {}, {}};
    return tl::unexpected<Error>(std::move(e));
}

int configure(int context, const MountOption& option) {
    if (option.descriptor >= 0) return fsconfig(context, FSCONFIG_SET_FD, option.key.c_str(), nullptr, option.descriptor);
    if (option.bare) return fsconfig(context, FSCONFIG_SET_FLAG, option.key.c_str(), nullptr, 0);
    return fsconfig(context, FSCONFIG_SET_STRING, option.key.c_str(), option.value.c_str(), 0);
}

// Puts the caller back into its mount namespace, root and working directory.
struct NamespaceVisit {
    Fd home, root, directory;
    ~NamespaceVisit() {
        if (!home) return;
        // setns(2) sets root and working directory to the namespace's root.
        if (setns(home.get(), CLONE_NEWNS) != 0 || fchdir(root.get()) != 0 || chroot(".") != 0 || fchdir(directory.get()) != 0) _exit(125);
    }
};

Status attach_out_of_sight(int mount) {
    if (move_mount(mount, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) return fail_errno("attach a layer", errno);
    return {};
}

std::string option_text(const std::vector<MountOption>& options) {
    std::string text;
    for (const MountOption& option : options) text += option.bare ? cat(",", option.key) : cat(",", option.key, "=", option.value);
    return text;
}

}  // namespace

Result<Fd> clone_tree(const std::string& path, bool recursive) {
    Fd tree(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U)));
    if (!tree) return fail_errno(cat("open_tree ", quote(path)), errno);
    return tree;
}

Status set_mount(int mount, std::uint64_t set, std::uint64_t clear, std::uint64_t propagation, bool recursive) {
    mount_attr attributes{set, clear, propagation, 0};
    if (mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), &attributes, sizeof attributes) != 0)
        return fail_errno("mount_setattr", errno);
    return {};
}

Status idmap_mount(int mount, int user_namespace, bool recursive) {
    mount_attr attributes{MOUNT_ATTR_IDMAP, 0, 0, static_cast<std::uint64_t>(user_namespace)};
    if (mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), &attributes, sizeof attributes) != 0)
        return fail_errno("mount_setattr with an id map", errno);
    return {};
}

Result<Fd> new_filesystem(const std::string& type, const std::vector<MountOption>& options, std::uint64_t attributes) {
    const Fd context(fsopen(type.c_str(), FSOPEN_CLOEXEC));
    if (!context)
        return fail_errno(cat("fsopen ", type), errno, errno == ENODEV ? cat("this kernel has no ", type, "; try: modprobe ", type) : "");
    for (const MountOption& option : options)
        if (configure(context.get(), option) != 0) return context_error(context.get(), cat("fsconfig ", type, " ", option.key), errno);
    if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
        return context_error(context.get(), cat("create ", type), errno);
    Fd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
    if (!mount) return context_error(context.get(), cat("fsmount ", type), errno);
    return mount;
}

Result<Fd> overlay_by_name(const OverlayLayers& layers, const std::vector<MountOption>& options, std::uint64_t attributes) {
    NamespaceVisit visit{{}, Fd(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)), Fd(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC))};
    Fd home(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    if (!home || !visit.root || !visit.directory) return fail_errno("open the mount namespace", errno);
    if (unshare(CLONE_NEWNS) != 0) return fail_errno("unshare a mount namespace", errno);
    visit.home = std::move(home);
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return fail_errno("make mounts private", errno);
    // Names relative to /proc/self/fd are short: 500 layers stay below the page that mount(2) takes.
    std::string names;
    for (const int lower : layers.lower) {
        if (auto attached = attach_out_of_sight(lower); !attached) return pass(attached);
        names += cat(names.empty() ? "lowerdir=" : ":", lower);
    }
    Fd upper, work;
    if (layers.upper_tree >= 0) {
        if (auto attached = attach_out_of_sight(layers.upper_tree); !attached) return pass(attached);
        upper.reset(openat(layers.upper_tree, layers.upper.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        work.reset(openat(layers.upper_tree, layers.work.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!upper || !work) return fail_errno("open upper and work", errno);
        names += cat(",upperdir=", upper.get(), ",workdir=", work.get());
    }
    names += option_text(options);
    if (names.size() >= 4096)
        return fail("the overlay's options do not fit the page that this kernel takes", "use fewer layers, or Linux 6.13 or later");
    if (chdir("/proc/self/fd") != 0) return fail_errno("chdir /proc/self/fd", errno, "mount /proc");
    if (mount("overlay", "/tmp", "overlay", 0, names.c_str()) != 0) return fail_errno("mount overlay", errno);
    Fd tree(open_tree(AT_FDCWD, "/tmp", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (!tree) return fail_errno("open_tree of the overlay", errno);
    if (auto set = set_mount(tree.get(), attributes, 0, MS_PRIVATE, false); !set) return pass(set);
    return tree;
}

}  // namespace sandbox
