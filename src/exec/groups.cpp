#include "exec/groups.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"

namespace sandbox {
namespace {

// Marks on groups that we made ("making", then "ready") and the controllers that we had the root hand out. They live as long as the
// group, and are seen by every launcher.
constexpr const char *mark_name = "user.sandbox", *half_made_name = "user.sandbox.making";
constexpr std::string_view making = "making", ready = "ready";
constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int most_attempts = 1000;

std::string mark_of(int group) {
    char text[256];
    const ssize_t size = fgetxattr(group, mark_name, text, sizeof text);
    return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

Status set_mark(int group, std::string_view text) {
    if (fsetxattr(group, mark_name, text.data(), text.size(), 0) == 0) return {};
    return fail_errno("mark a control group as the launcher's", errno, "extended attributes on control groups need Linux 5.7");
}

Status lock(int group, int how) {
    while (flock(group, how) != 0)
        if (errno != EINTR) return fail_errno("lock a control group", errno);
    return {};
}

Fields as_identity(const struct stat& info) { return {{"device", std::to_string(info.st_dev)}, {"inode", std::to_string(info.st_ino)}}; }

Fields identity_of(int group) {
    struct stat info {};
    return fstat(group, &info) == 0 ? as_identity(info) : Fields();
}

bool is_at(int group, const std::string& path) {
    struct stat ours {};
    struct stat there {};
    return fstat(group, &ours) == 0 && lstat(path.c_str(), &there) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

std::string above(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::vector<std::string_view> words(std::string_view text) {
    auto out = split(trim(text), ' ');
    std::erase(out, std::string_view());
    return out;
}

// What is not enabled yet, of `wanted`.
std::vector<std::string> missing(int group, const std::vector<std::string>& wanted) {
    std::vector<std::string> out = wanted;
    const auto text = read_group(group, "cgroup.subtree_control");
    if (text)
        for (const std::string_view word : words(*text)) std::erase(out, word);
    return out;
}

Status enable(int group, const std::vector<std::string>& controllers, const std::string& path) {
    for (const std::string& name : missing(group, controllers))
        if (auto written = write_group(group, "cgroup.subtree_control", cat("+", name)); !written) return pass(written, quote(path));
    return {};
}

// Limits are written in their unit and read back in the kernel's: pages, or a word for no limit.
bool same_value(std::string_view found, std::string_view wanted) {
    found = trim(found);
    if (found == wanted) return true;
    const auto a = parse_int(found), b = parse_int(wanted);
    const auto page = static_cast<std::int64_t>(sysconf(_SC_PAGESIZE));
    return a && b && *a / page == *b / page && *b >= page;
}

Status compare_values(int group, const step::ShareGroup& what) {
    for (const step::GroupValue& value : what.values) {
        const auto found = read_group(group, value.file.c_str());
        if (!found) return tl::unexpected<Error>(found.error());
        if (same_value(*found, value.value)) continue;
        return fail(
            cat("the shared group ", quote(what.path), " is there already with ", value.file, " ", trim(*found), ", not ", value.value),
            "all sandboxes in it have to name the same limits, or none: who comes first sets them");
    }
    return {};
}

Status set_up(int group, const step::ShareGroup& what) {
    if (what.cpuset) {
        const Fd parent(open(above(what.path).c_str(), folder_flags));
        if (!parent) return fail_errno(quote(above(what.path)), errno);
        if (auto filled = fill_cpuset(group, parent.get()); !filled) return filled;
    }
    for (const step::GroupValue& value : what.values)
        if (auto written = write_group(group, value.file, value.value); !written) return written;
    return set_mark(group, ready);
}

// Its maker was killed before it could mark it; it had said on the tree what it was about to make.
bool is_half_made(int tree, int group, const std::string& path) {
    if (!mark_of(group).empty()) return false;
    char text[4096];
    const ssize_t size = fgetxattr(tree, half_made_name, text, sizeof text);
    return size > 0 && std::string_view(text, static_cast<std::size_t>(size)) == path;
}

// The group, made and marked if it was missing. Under a lock of the tree, so that nobody sees it made and without its mark, which
// would be somebody else's.
Result<Fd> open_shared(const step::ShareGroup& what) {
    const Fd tree(open(what.tree.c_str(), folder_flags));
    if (!tree) return fail_errno(quote(what.tree), errno);
    if (auto locked = lock(tree.get(), LOCK_EX); !locked) return pass(locked);
    Fd group(open(what.path.c_str(), folder_flags));
    if (group && !is_half_made(tree.get(), group.get(), what.path)) return group;
    if (!group) {
        fsetxattr(tree.get(), half_made_name, what.path.data(), what.path.size(), 0);
        if (mkdir(what.path.c_str(), 0755) != 0 && errno != ENOENT) return fail_errno(cat("make the group ", quote(what.path)), errno);
        group.reset(open(what.path.c_str(), folder_flags));
    }
    if (group)
        if (auto marked = set_mark(group.get(), making); !marked) return pass(marked);
    fremovexattr(tree.get(), half_made_name);
    return group;
}

// Whether it is there and nobody's of ours.
Result<bool> is_foreign(const step::ShareGroup& what) {
    const Fd tree(open(what.tree.c_str(), folder_flags));
    if (!tree) return fail_errno(quote(what.tree), errno);
    if (auto locked = lock(tree.get(), LOCK_EX); !locked) return pass(locked);
    const Fd found(open(what.path.c_str(), folder_flags));
    return found && mark_of(found.get()).empty() && !is_half_made(tree.get(), found.get(), what.path);
}

// Holding it shared. Whoever finds it half made, because its maker died, makes it whole.
Result<Fd> take_shared(const step::ShareGroup& what) {
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        auto opened = open_shared(what);
        if (!opened) return opened;
        Fd group = std::move(*opened);
        if (!group) continue;
        if (mark_of(group.get()) == making) {
            if (auto locked = lock(group.get(), LOCK_EX); !locked) return pass(locked);
            if (is_at(group.get(), what.path) && mark_of(group.get()) == making)
                if (auto done = set_up(group.get(), what); !done) return pass(done, quote(what.path));
        }
        if (auto locked = lock(group.get(), LOCK_SH); !locked) return pass(locked);
        if (is_at(group.get(), what.path) && mark_of(group.get()) != making) return group;
    }
    return fail(cat("the group ", quote(what.path), " vanishes as often as it is made"));
}

}  // namespace

Result<Fd> share_group(Recorder& recorder, const step::ShareGroup& what) {
    Fd group;
    auto foreign = is_foreign(what);
    if (!foreign) return pass(foreign);
    const auto use = [&]() -> Result<Fields> {
        auto shared = take_shared(what);
        if (!shared) return pass(shared);
        group = std::move(*shared);
        if (auto same = compare_values(group.get(), what); !same) return pass(same);
        if (*foreign && what.v2 && !missing(group.get(), what.enable).empty())
            return fail(cat("the group ", quote(what.path), " is not the launcher's and does not hand out ",
                            join(missing(group.get(), what.enable), ", ")),
                        "its owner may write them to its cgroup.subtree_control, or name another parent");
        if (what.v2)
            if (auto enabled = enable(group.get(), what.enable, what.path); !enabled) return pass(enabled);
        return identity_of(group.get());
    };
    if (*foreign) {
        // Used, never removed.
        if (auto used = use(); !used) return pass(used);
        return group;
    }
    if (auto done = recorder.carry_out({"leave-group", {{"path", what.path}}}, use); !done) return pass(done);
    return group;
}

Status undo_share_group(const JournalEntry& entry) {
    const std::string path(field(entry.undo.fields, "path"));
    if (normal_path(path) != path) return fail("the record of a control group is damaged");
    const Fd group(open(path.c_str(), folder_flags));
    if (!group) return errno == ENOENT ? Status() : fail_errno(quote(path), errno);
    // Made and not marked yet when the launcher was killed, or marked; what was somebody else's has no record.
    if (entry.done && mark_of(group.get()).empty()) return {};
    if (flock(group.get(), LOCK_EX | LOCK_NB) != 0) return {};  // somebody is coming, who will remove it
    if (rmdir(path.c_str()) == 0 || errno == ENOENT || errno == EBUSY || errno == ENOTEMPTY) return {};
    return fail_errno(cat("remove ", quote(path)), errno);
}

Status enable_controllers(Recorder& recorder, const step::EnableControllers& what) {
    const Fd root(open(what.path.c_str(), folder_flags));
    if (!root) return fail_errno(quote(what.path), errno);
    if (auto locked = lock(root.get(), LOCK_EX); !locked) return locked;
    const auto news = missing(root.get(), what.controllers);
    const std::string ours = mark_of(root.get());
    if (news.empty() && ours.empty()) return {};
    return recorder.carry_out({"restore-controllers", {{"path", what.path}}}, [&]() -> Result<Fields> {
        if (!news.empty()) {
            if (auto marked = set_mark(root.get(), cat(ours, ours.empty() ? "" : " ", join(news, " "))); !marked) return pass(marked);
            if (auto enabled = enable(root.get(), news, what.path); !enabled) return pass(enabled);
        }
        return Fields{};
    });
}

Status undo_enable_controllers(const JournalEntry& entry) {
    const std::string path(field(entry.undo.fields, "path"));
    if (normal_path(path) != path) return fail("the record of a control group is damaged");
    const Fd root(open(path.c_str(), folder_flags));
    if (!root) return errno == ENOENT ? Status() : fail_errno(quote(path), errno);
    if (auto locked = lock(root.get(), LOCK_EX); !locked) return locked;
    std::string left;
    const std::string ours = mark_of(root.get());
    for (const std::string_view name : words(ours))
        if (!write_group(root.get(), "cgroup.subtree_control", cat("-", name))) left += cat(left.empty() ? "" : " ", name);
    if (left == ours) return {};
    if (!left.empty()) return set_mark(root.get(), left);
    return fremovexattr(root.get(), mark_name) == 0 || errno == ENODATA ? Status() : fail_errno(quote(path), errno);
}

Status hand_down(const step::HandDown& what) {
    const Fd group(open(what.path.c_str(), folder_flags));
    if (!group) return fail_errno(quote(what.path), errno);
    return enable(group.get(), what.controllers, what.path);
}

Result<Fd> make_group(Recorder& recorder, const std::string& path, bool cpuset, bool freezes) {
    Fd group;
    auto done = recorder.carry_out({"remove-group", {{"path", path}}}, [&]() -> Result<Fields> {
        if (mkdir(path.c_str(), 0755) != 0)
            return fail_errno(
                cat("make the group ", quote(path)), errno,
                errno == EAGAIN || errno == ENOSPC ? "the tree has as many groups as it may (cgroup.max.descendants, or its ids)" : "");
        group.reset(open(path.c_str(), folder_flags));
        if (!group) return fail_errno(quote(path), errno);
        if (cpuset) {
            const Fd parent(open(above(path).c_str(), folder_flags));
            if (auto filled = fill_cpuset(group.get(), parent.get()); !filled) return pass(filled, quote(path));
        }
        // Frozen from above: whoever enters would hang.
        if (!freezes) return identity_of(group.get());
        const auto state = read_group(group.get(), "freezer.parent_freezing");
        if ((state && trim(*state) == "1") || group_number(group.get(), "cgroup.events", "frozen").value_or(0) == 1)
            return fail(cat("the group above ", quote(path), " is frozen"), "thaw it, or take another parent");
        return identity_of(group.get());
    });
    if (!done) return pass(done);
    return group;
}

namespace {

Status move_processes(int from, int to) {
    const auto text = read_group(from, "cgroup.procs");
    if (!text) return tl::unexpected<Error>(text.error());
    for (const std::string_view process : split(trim(*text), '\n'))
        if (auto moved = process.empty() ? Status() : write_group(to, "cgroup.procs", std::string(process));
            !moved && moved.error().number != ESRCH)
            return moved;
    return {};
}

}  // namespace

Status make_leaf(Recorder& recorder, const step::MakeLeaf& what) {
    const std::string path = cat(what.above, "/supervisor");
    return recorder.carry_out({"leave-leaf", {{"path", path}}}, [&]() -> Result<Fields> {
        if (mkdir(path.c_str(), 0755) != 0) return fail_errno(cat("make the group ", quote(path)), errno);
        const Fd leaf(open(path.c_str(), folder_flags)), group(open(what.above.c_str(), folder_flags));
        if (!leaf || !group) return fail_errno(quote(path), errno);
        if (auto moved = move_processes(group.get(), leaf.get()); !moved) return pass(moved, quote(path));
        return identity_of(leaf.get());
    });
}

Status undo_make_leaf(const JournalEntry& entry) {
    const std::string path(field(entry.undo.fields, "path"));
    if (normal_path(path) != path || !path.ends_with("/supervisor")) return fail("the record of a control group is damaged");
    const Fd leaf(open(path.c_str(), folder_flags)), group(open(above(path).c_str(), folder_flags));
    if (!leaf || !group) return errno == ENOENT ? Status() : fail_errno(quote(path), errno);
    if (!entry.identity.empty() && identity_of(leaf.get()) != entry.identity) return {};
    if (auto moved = move_processes(leaf.get(), group.get()); !moved) return pass(moved, quote(path));
    return rmdir(path.c_str()) == 0 || errno == ENOENT ? Status() : fail_errno(cat("remove ", quote(path)), errno);
}

Status undo_make_group(const JournalEntry& entry) {
    const std::string path(field(entry.undo.fields, "path"));
    if (normal_path(path) != path || path == "/") return fail("the record of a control group is damaged");
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return errno == ENOENT ? Status() : fail_errno(quote(path), errno);
    if (!entry.identity.empty() && as_identity(info) != entry.identity) return {};
    // Its processes have mostly gone with their first one.
    if (rmdir(path.c_str()) == 0) return {};
    return remove_group(path);
}

// The files that Documentation/admin-guide/cgroup-v2.rst gives to the one a group is delegated to.
Status delegate_group(int group, bool v2, std::uint32_t uid, std::uint32_t gid) {
    if (fchown(group, uid, gid) != 0) return fail_errno("give the group away", errno);
    for (const char* file : {"cgroup.procs", v2 ? "cgroup.threads" : "tasks", v2 ? "cgroup.subtree_control" : "cgroup.clone_children"})
        if (fchownat(group, file, uid, gid, 0) != 0) return fail_errno(cat("give away ", file), errno);
    return {};
}

}  // namespace sandbox
