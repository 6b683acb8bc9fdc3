#include "state/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/fd.h"
#include "base/text.h"

namespace sandbox {

namespace {

tl::unexpected<Error> fail_removal(std::string_view name, int number) {
    return fail_errno(cat("remove ", quote(name)), number, number == EBUSY ? "something is mounted there: unmount it first" : "");
}

// Takes away a file or an empty folder. False: a folder that is not empty.
Result<bool> remove_entry(int folder, const FolderEntry& entry) {
    const char* name = entry.name.c_str();
    if (entry.type != DT_DIR) {
        if (::unlinkat(folder, name, 0) == 0 || errno == ENOENT) return true;
        if (errno != EISDIR) return fail_removal(entry.name, errno);
    }
    // The kernel refuses with EBUSY where something is mounted, before it looks whether the folder is empty.
    if (::unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    return fail_removal(entry.name, errno);
}

// Opens a folder beneath, and refuses one on another file system (a subvolume is one without being a mount point).
Result<Fd> open_beneath(int folder, const std::string& name) {
    Fd opened(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!opened) return fail_removal(name, errno);
    struct stat above {};
    struct stat below {};
    if (::fstat(folder, &above) != 0 || ::fstat(opened.get(), &below) != 0) return fail_removal(name, errno);
    if (above.st_dev != below.st_dev) return fail_removal(name, EXDEV);
    return opened;
}

// Moves a folder up under a name that is free there.
Result<FolderEntry> move_up(int from, const std::string& name, int top, std::uint64_t& counter) {
    for (;;) {
        FolderEntry moved{cat(".removing-", counter++), DT_DIR};
        if (::renameat2(from, name.c_str(), top, moved.name.c_str(), RENAME_NOREPLACE) == 0) return moved;
        if (errno != EEXIST) return fail_removal(name, errno);
    }
}

}  // namespace

Result<std::vector<FolderEntry>> list_folder(int folder) {
    std::vector<FolderEntry> entries;
    if (::lseek(folder, 0, SEEK_SET) != 0) return fail_errno("rewind a folder", errno);
    alignas(dirent64) char buffer[8192];
    for (;;) {
        const ssize_t got = ::getdents64(folder, buffer, sizeof buffer);
        if (got < 0 && errno == ENOENT) return entries;  // the folder has been removed: nothing is in it
        if (got < 0) return fail_errno("list a folder", errno);
        if (got == 0) return entries;
        for (ssize_t at = 0; at < got;) {
            const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") entries.push_back({std::string(name), entry->d_type});
            at += entry->d_reclen;
        }
    }
}

// A tree may be deeper than there are descriptors, so nothing recurses: a folder hands the folders in it that are not
// empty up to the top, where each has its turn.
Status empty_folder(int folder, std::string_view keep) {
    auto pending = list_folder(folder);
    if (!pending) return pass(pending);
    std::erase_if(*pending, [keep](const FolderEntry& entry) { return entry.name == keep; });
    std::uint64_t counter = 0;
    while (!pending->empty()) {
        const FolderEntry entry = std::move(pending->back());
        pending->pop_back();
        auto removed = remove_entry(folder, entry);
        if (!removed) return pass(removed);
        if (*removed) continue;
        auto below = open_beneath(folder, entry.name);
        if (!below) return pass(below);
        auto inside = list_folder(below->get());
        if (!inside) return pass(inside, quote(entry.name));
        for (const FolderEntry& child : *inside) {
            auto gone = remove_entry(below->get(), child);
            if (!gone) return pass(gone, quote(entry.name));
            if (*gone) continue;
            auto moved = move_up(below->get(), child.name, folder, counter);
            if (!moved) return pass(moved, quote(entry.name));
            pending->push_back(std::move(*moved));
        }
        if (::unlinkat(folder, entry.name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return fail_removal(entry.name, errno);
    }
    return {};
}

}  // namespace sandbox
