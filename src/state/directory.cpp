#include "state/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <tuple>
#include <utility>

#include "base/text.h"
#include "state/address_pool.h"
#include "state/events.h"
#include "state/shared_file.h"
#include "state/status.h"
#include "state/tree.h"

namespace sandbox {

namespace {

constexpr const char* lock_name = "lock";
constexpr const char* ids_name = ".ids";
constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int file_flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
// Each failed attempt means that another process removed the root in between.
constexpr int most_attempts = 1000;

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// That a folder is the caller's and closed to others.
Status check_private(int folder, std::string_view what) {
    struct stat facts {};
    if (::fstat(folder, &facts) != 0) return fail_errno(cat("look at ", what), errno);
    if (facts.st_uid != ::geteuid())
        return fail(cat(what, " belongs to uid ", facts.st_uid, ", not to uid ", ::geteuid()), "remove it, or run as its owner");
    if ((facts.st_mode & 077) != 0)
        return fail(cat(what, " is open to others (mode ", format_mode(facts.st_mode & 07777), ")"),
                    "others may have changed what is in it: look, then remove it or set its mode to 0700");
    return {};
}

Status lock_file(int file, int how) {
    while (::flock(file, how) != 0)
        if (errno != EINTR) return fail_errno("lock", errno);
    return {};
}

// Opens the lock file of a sandbox and takes the lock. A result without a descriptor: another process holds it.
Result<Fd> take_lock(int folder, int flags) {
    Fd file(::openat(folder, lock_name, file_flags | flags, 0600));
    if (!file) return fail_errno("open the lock file", errno);
    if (auto locked = lock_file(file.get(), LOCK_EX | LOCK_NB); !locked) {
        if (locked.error().number == EWOULDBLOCK) return Fd();
        return pass(locked);
    }
    return file;
}

// Why the name cannot be had. The caller holds the lock of the root, so nobody is between folder and lock file.
tl::unexpected<Error> fail_taken(int root, const std::string& name) {
    Error error;
    const Fd folder(::openat(root, name.c_str(), folder_flags));
    const Fd file(folder ? ::openat(folder.get(), lock_name, file_flags) : -1);
    if (!folder) {
        error = {cat("something that is not a sandbox has the name ", quote(name), " in the state directory"), "remove it", EEXIST, {}, {}};
    } else if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        error = {cat("sandbox ", quote(name), " is running"),
                 "start this one under another name with --name, or stop that one first",
                 EBUSY,
                 {},
                 {}};
    } else if (const auto status = read_status(folder.get()); status && status->phase == SandboxPhase::stopped) {
        error = {cat("sandbox ", quote(name), " is stopped"),
                 cat("sandbox start ", name, " starts it again, sandbox down ", name, " removes it"),
                 EEXIST,
                 {},
                 {}};
    } else {
        error = {cat("sandbox ", quote(name), " crashed and has not been cleaned up"), "run 'sandbox gc'", EEXIST, {}, {}};
    }
    return tl::unexpected<Error>(std::move(error));
}

struct flock byte_lock(short type, off_t first, off_t length) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = first;
    lock.l_len = length;
    return lock;
}

// A file beside the folders of the sandboxes, whose users are those that have locked bytes of it.
bool is_for_all(const FolderEntry& entry) {
    return entry.name == ids_name || (is_shared_name(entry.name) && (entry.type == DT_REG || entry.type == DT_UNKNOWN));
}

// Every byte of such a file, so that nobody comes to use it while it is removed. A result without a descriptor: somebody has one. A
// process of a sandbox may live a little longer than its folder.
Result<Fd> take_whole(int root, const std::string& name) {
    Fd file(::openat(root, name.c_str(), file_flags));
    if (!file) return fail_errno(cat("open ", name), errno);
    struct flock lock = byte_lock(F_WRLCK, 0, 0);
    if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return file;
    if (errno != EAGAIN && errno != EACCES) return fail_errno(cat("look for users of ", name), errno);
    return Fd();
}

// Notes come first in the text (AddressPool).
bool has_notes(int file) {
    std::string text(4096, '\0');
    const ssize_t size = ::pread(file, text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return !parse_pool(text).notes.empty();
}

}  // namespace

bool valid_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !name.empty() && name.size() <= 63 && letter(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || c == '_' || c == '.' || c == '-'; });
}

Result<std::string> state_root_path(std::uint32_t uid, const char* xdg_runtime_dir) {
    if (uid == 0) return "/run/sandbox";
    if (xdg_runtime_dir != nullptr && *xdg_runtime_dir != '\0') {
        const auto normal = normal_path(xdg_runtime_dir);
        if (!normal || *normal == "/")
            return fail(cat("XDG_RUNTIME_DIR is ", quote(xdg_runtime_dir), ", which is not an absolute path of a folder"),
                        "set it to a folder of yours with mode 0700 on tmpfs");
        return cat(*normal, "/sandbox");
    }
    const std::string runtime = cat("/run/user/", uid);
    struct stat facts {};
    if (::stat(runtime.c_str(), &facts) != 0)
        return fail_errno(cat("no runtime directory: XDG_RUNTIME_DIR is not set, and ", quote(runtime)), errno,
                          "log in through a session, or set XDG_RUNTIME_DIR to a folder of yours with mode 0700 on tmpfs");
    return cat(runtime, "/sandbox");
}

// The flock on the root, until the end of the scope. Without a value: there is no root.
class StateRoot::Held {
   public:
    explicit Held(int root) : root_(root) {}
    Held(Held&& other) noexcept : root_(std::exchange(other.root_, -1)) {}
    Held& operator=(Held&&) = delete;
    ~Held() {
        if (root_ >= 0) ::flock(root_, LOCK_UN);
    }
    explicit operator bool() const { return root_ >= 0; }

   private:
    int root_;
};

std::string StateRoot::leaf() const { return path_.substr(path_.rfind('/') + 1); }

// Whoever may rename in the folder above can put another root in place of ours.
Status StateRoot::open_parent() {
    const std::string parent = path_.substr(0, std::max<std::size_t>(path_.rfind('/'), 1));
    parent_.reset(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent_)
        return fail_errno(cat("open ", quote(parent)), errno, "the state directory is made in it: it has to exist (see XDG_RUNTIME_DIR)");
    struct stat facts {};
    if (::fstat(parent_.get(), &facts) != 0) return fail_errno(cat("look at ", quote(parent)), errno);
    if (facts.st_uid != ::geteuid())
        return fail(cat(quote(parent), " belongs to uid ", facts.st_uid, ", not to uid ", ::geteuid()),
                    "the state directory is made in it: set XDG_RUNTIME_DIR to a folder of yours with mode 0700");
    if ((facts.st_mode & 022) != 0 && (facts.st_mode & S_ISVTX) == 0)
        return fail(cat(quote(parent), " can be written by others (mode ", format_mode(facts.st_mode & 07777), ")"),
                    "the state directory is made in it: set its mode to 0700");
    return {};
}

// Opens what is at the path now. False: nothing, and it was not to be made.
Result<bool> StateRoot::reopen(bool make) {
    root_.reset();
    if (auto parent = open_parent(); !parent) {
        if (!make && parent.error().number == ENOENT) return false;
        return pass(parent);
    }
    const std::string name = leaf();
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        if (make && ::mkdirat(parent_.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
            return fail_errno(cat("make the state directory ", quote(path_)), errno);
        Fd opened(::openat(parent_.get(), name.c_str(), folder_flags));
        if (!opened && errno == ENOENT && !make) return false;
        if (!opened && errno == ENOENT) continue;
        if (!opened)
            return fail_errno(cat("open the state directory ", quote(path_)), errno,
                              errno == ENOTDIR || errno == ELOOP ? "it has to be a real folder, not a link: remove what is there" : "");
        if (auto ours = check_private(opened.get(), cat("the state directory ", quote(path_))); !ours) return pass(ours);
        root_ = std::move(opened);
        return true;
    }
    return fail(cat("the state directory ", quote(path_), " vanishes as often as it is made"));
}

// Whether the root that is open is the one at its path.
bool StateRoot::is_current() const {
    struct stat ours {};
    struct stat there {};
    return ::fstat(root_.get(), &ours) == 0 && ours.st_nlink != 0 &&
           ::fstatat(parent_.get(), leaf().c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && same_file(ours, there);
}

Result<StateRoot::Held> StateRoot::lock(bool make) {
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        if (!root_) {
            auto opened = reopen(make);
            if (!opened) return pass(opened);
            if (!*opened) return Held(-1);
        }
        if (auto locked = lock_file(root_.get(), LOCK_EX); !locked) return pass(locked, path_);
        if (is_current()) return Held(root_.get());
        // Another process removed the root while we waited for it.
        ::flock(root_.get(), LOCK_UN);
        root_.reset();
    }
    return fail(cat("the state directory ", quote(path_), " vanishes as often as it is made"));
}

Result<StateRoot> StateRoot::open(std::string path) {
    auto normal = normal_path(path);
    if (!normal || *normal == "/") return fail(cat("the state directory ", quote(path), " is not an absolute path of a folder"));
    StateRoot root(std::move(*normal));
    if (auto opened = root.reopen(true); !opened) return pass(opened);
    return root;
}

Result<StateRoot> StateRoot::open_existing(std::string path) {
    auto normal = normal_path(path);
    if (!normal || *normal == "/") return fail(cat("the state directory ", quote(path), " is not an absolute path of a folder"));
    StateRoot root(std::move(*normal));
    if (auto opened = root.reopen(false); !opened) return pass(opened);
    return root;
}

namespace {

// What is in the lock file: nothing while a supervisor has it, this while somebody takes back what a dead one left.
constexpr std::string_view cleaning = "cleaning";

bool is_being_cleaned(int root, const std::string& name) {
    const Fd file(::openat(root, cat(name, "/", lock_name).c_str(), file_flags));
    char text[16];
    const ssize_t size = file ? ::read(file.get(), text, sizeof text) : -1;
    return size > 0 && std::string_view(text, static_cast<std::size_t>(size)) == cleaning && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

// Whether the one that has the lock has shown itself and lives. A launcher that is killed in the middle of a clone leaves its lock
// to the child for the moment until that executes.
bool is_supervised(int root, const std::string& name) {
    const Fd folder(::openat(root, name.c_str(), folder_flags));
    const auto status = folder ? read_status(folder.get()) : Result<SandboxStatus>(fail("gone"));
    return status && ::kill(status->supervisor, 0) == 0;
}

void nap() {
    const timespec five_milliseconds{0, 5'000'000};
    ::nanosleep(&five_milliseconds, nullptr);
}

}  // namespace

Result<SandboxState> StateRoot::create(const std::string& name) {
    if (!valid_name(name))
        return fail(cat(quote(name), " is not a name of a sandbox"),
                    "up to 63 of a-z, 0-9, '_', '.', '-', beginning with a letter or a digit");
    // Another command may be cleaning up after an earlier sandbox of this name.
    for (int naps = 0;; ++naps) {
        auto held = lock(true);
        if (!held) return pass(held);
        auto made = make_sandbox(name);
        const bool taken = !made && made.error().number == EBUSY;
        const bool wait = taken && ((naps < cleaning_naps_ && is_being_cleaned(root_.get(), name)) ||
                                    (naps < starting_naps_ && !is_supervised(root_.get(), name)));
        if (!made && !wait)
            if (auto removed = remove_root(); !removed) made.error().also.push_back(removed.error().message);
        if (!wait) return made;
        nap();
    }
}

Result<SandboxState> StateRoot::make_sandbox(const std::string& name) {
    if (::mkdirat(root_.get(), name.c_str(), 0700) != 0) {
        if (errno == EEXIST) return fail_taken(root_.get(), name);
        return fail_errno(cat("make ", quote(cat(path_, '/', name))), errno);
    }
    Fd folder(::openat(root_.get(), name.c_str(), folder_flags));
    if (!folder) {
        const int number = errno;
        ::unlinkat(root_.get(), name.c_str(), AT_REMOVEDIR);
        return fail_errno(cat("open ", quote(cat(path_, '/', name))), number);
    }
    auto file = take_lock(folder.get(), O_CREAT | O_EXCL);
    if (!file || !*file) {
        ::unlinkat(folder.get(), lock_name, 0);
        ::unlinkat(root_.get(), name.c_str(), AT_REMOVEDIR);
        if (file) return fail(cat("the lock of sandbox ", quote(name), " was taken by a stranger"));
        return pass(file, quote(cat(path_, '/', name)));
    }
    return SandboxState(name, std::move(folder), std::move(*file));
}

Result<SandboxState> StateRoot::take_crashed(const std::string& name) { return take(name, cleaning); }

Result<SandboxState> StateRoot::take_over(const std::string& name) { return take(name, {}); }

Result<SandboxState> StateRoot::take(const std::string& name, std::string_view purpose) {
    if (!valid_name(name)) return fail(cat(quote(name), " is not a name of a sandbox"));
    auto held = lock(false);
    if (!held) return pass(held);
    if (!*held) return SandboxState(name, {}, {});
    const std::string path = cat(path_, '/', name);
    Fd folder(::openat(root_.get(), name.c_str(), folder_flags));
    if (!folder && errno == ENOENT) return SandboxState(name, {}, {});
    if (!folder) return fail_errno(cat("open ", quote(path)), errno);
    if (auto ours = check_private(folder.get(), quote(path)); !ours) return pass(ours);
    // The file is missing when its launcher was killed before it made it, or while it removed the folder.
    auto file = take_lock(folder.get(), O_CREAT);
    if (!file) return pass(file, quote(path));
    if (!*file) return SandboxState(name, {}, {});
    std::ignore = ::ftruncate(file->get(), 0);
    std::ignore = ::pwrite(file->get(), purpose.data(), purpose.size(), 0);
    return SandboxState(name, std::move(folder), std::move(*file));
}

// On a descriptor of its own: the position and the lock of root_ are not touched.
Result<std::vector<std::string>> StateRoot::names() const {
    StateRoot now(path_);
    auto held = now.lock(false);
    if (!held) return pass(held);
    std::vector<std::string> found;
    if (!*held) return found;
    auto entries = list_folder(now.root_.get());
    if (!entries) return pass(entries, quote(path_));
    for (FolderEntry& entry : *entries)
        if (valid_name(entry.name) && (entry.type == DT_DIR || entry.type == DT_UNKNOWN)) found.push_back(std::move(entry.name));
    std::ranges::sort(found);
    return found;
}

std::vector<std::string> StateRoot::shared_names() const {
    std::vector<std::string> found;
    auto entries = list_folder(root_.get());
    for (std::size_t i = 0; entries && i < entries->size(); ++i)
        if (is_shared_name((*entries)[i].name)) found.push_back((*entries)[i].name);
    return found;
}

// Under the lock of the root, so that the look at the lock disturbs nobody who is taking it.
Result<StateRoot::Seen> StateRoot::look(const std::string& name) {
    if (!valid_name(name))
        return fail(cat(quote(name), " is not a name of a sandbox"),
                    "up to 63 of a-z, 0-9, '_', '.', '-', beginning with a letter or a digit");
    auto held = lock(false);
    if (!held) return pass(held);
    Seen seen;
    if (!*held) return seen;
    seen.directory.reset(::openat(root_.get(), name.c_str(), folder_flags));
    if (!seen.directory && errno == ENOENT) return seen;
    if (!seen.directory) return fail_errno(cat("open ", quote(cat(path_, '/', name))), errno);
    if (auto ours = check_private(seen.directory.get(), quote(cat(path_, '/', name))); !ours) return pass(ours);
    // Reading is enough to ask for a lock, also where nothing can be written any more.
    const Fd file(::openat(seen.directory.get(), lock_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    seen.alive = file && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
    return seen;
}

Result<std::vector<std::string>> StateRoot::unsupervised() const {
    StateRoot now(path_);
    auto held = now.lock(false);
    if (!held) return pass(held);
    std::vector<std::string> found;
    if (!*held) return found;
    auto entries = list_folder(now.root_.get());
    if (!entries) return pass(entries, quote(path_));
    for (FolderEntry& entry : *entries) {
        if (!valid_name(entry.name) || (entry.type != DT_DIR && entry.type != DT_UNKNOWN)) continue;
        const Fd file(::openat(now.root_.get(), cat(entry.name, "/", lock_name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!file || ::flock(file.get(), LOCK_SH | LOCK_NB) == 0) found.push_back(std::move(entry.name));
    }
    std::ranges::sort(found);
    return found;
}

Status StateRoot::remove(SandboxState state) {
    if (state.directory() < 0) return fail(cat("the state of sandbox ", quote(state.name()), " is not ours to remove"));
    // Without the lock of the root, as it may take long; the lock file stays to the end, so that nobody takes the rest over.
    if (auto emptied = empty_folder(state.directory(), lock_name); !emptied) return pass(emptied, quote(cat(path_, '/', state.name())));
    auto held = lock(false);
    if (!held) return pass(held);
    if (!*held) return {};
    if (auto removed = remove_folder(state); !removed) return pass(removed);
    return remove_root();
}

// Under the lock of the root.
Status StateRoot::remove_folder(const SandboxState& state) {
    const std::string path = cat(path_, '/', state.name());
    struct stat ours {};
    struct stat there {};
    if (::fstat(state.directory(), &ours) != 0) return fail_errno(cat("look at ", quote(path)), errno);
    if (::fstatat(root_.get(), state.name().c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};
        return fail_errno(cat("look at ", quote(path)), errno);
    }
    if (!same_file(ours, there)) return fail(cat(quote(path), " is not the folder it was: it was moved or replaced"));
    if (::unlinkat(state.directory(), lock_name, 0) != 0 && errno != ENOENT)
        return fail_errno(cat("remove ", quote(cat(path, '/', lock_name))), errno);
    if (::unlinkat(root_.get(), state.name().c_str(), AT_REMOVEDIR) != 0) return fail_errno(cat("remove ", quote(path)), errno);
    return {};
}

Status StateRoot::remove_if_unused() {
    auto held = lock(false);
    if (!held) return pass(held);
    return *held ? remove_root() : Status{};
}

// Under the lock of the root, if nothing is in it that is used. A shared file with notes describes what is still to be taken back: its last
// user was still dying when the one before gave up. A folder that another process made its root with open() and not used yet goes
// as well: it makes another when it comes to use it.
Status StateRoot::remove_root() {
    drop_dead_listeners(root_.get());
    auto entries = list_folder(root_.get());
    if (!entries) return pass(entries, quote(path_));
    if (!std::ranges::all_of(*entries, is_for_all)) return {};
    std::vector<Fd> taken;
    for (const FolderEntry& entry : *entries) {
        auto whole = take_whole(root_.get(), entry.name);
        if (!whole) return pass(whole, quote(path_));
        if (!*whole || has_notes(whole->get())) return {};
        taken.push_back(std::move(*whole));
    }
    for (const FolderEntry& entry : *entries)
        if (::unlinkat(root_.get(), entry.name.c_str(), 0) != 0 && errno != ENOENT)
            return fail_errno(cat("remove ", quote(cat(path_, '/', entry.name))), errno);
    // Not empty: somebody without a sandbox waited for a shared file, and made it again.
    if (::unlinkat(parent_.get(), leaf().c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT && errno != ENOTEMPTY)
        return fail_errno(cat("remove ", quote(path_)), errno);
    return {};
}

// Each lease is one byte under an owner of its own, so the kernel knows no longer runs to jump over: one call a try.
Result<StateRoot::Lease> StateRoot::lease_range(std::uint32_t count) {
    auto held = lock(true);
    if (!held) return pass(held);
    Fd file(::openat(root_.get(), ids_name, file_flags | O_CREAT, 0600));
    if (!file) return fail_errno(cat("open ", quote(cat(path_, '/', ids_name))), errno);
    for (std::uint32_t index = 0; index < count; ++index) {
        struct flock lock = byte_lock(F_WRLCK, index, 1);
        if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return Lease{std::move(file), index};
        if (errno != EAGAIN && errno != EACCES) return fail_errno(cat("lease an id range in ", quote(cat(path_, '/', ids_name))), errno);
    }
    return fail(cat("all ", count, " id ranges are leased"), "stop a sandbox, or give more subordinate ids (/etc/subuid, /etc/subgid)");
}

}  // namespace sandbox
