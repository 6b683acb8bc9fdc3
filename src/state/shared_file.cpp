#include "state/shared_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <tuple>

#include "base/text.h"

namespace sandbox {

namespace {

constexpr std::uint64_t mutex_byte = std::uint64_t{1} << 40;
constexpr std::uint64_t presence_byte = mutex_byte + 1;
constexpr std::size_t longest_text = std::size_t{1} << 20;
// O_NONBLOCK so that a pipe in its place cannot hold us up.
constexpr int shared_flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
// Each failed attempt means that a last user removed the file in between.
constexpr int most_openings = 1000;

struct flock range_lock(short type, std::uint64_t first, std::uint64_t count) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(first);
    lock.l_len = static_cast<off_t>(count);
    return lock;
}

Status wait_for_mutex(int file) {
    struct flock lock = range_lock(F_WRLCK, mutex_byte, 1);
    while (::fcntl(file, F_OFD_SETLKW, &lock) != 0)
        if (errno != EINTR) return fail_errno("lock", errno);
    return {};
}

Status check_kind(int file) {
    struct stat facts {};
    if (::fstat(file, &facts) != 0) return fail_errno("look", errno);
    if (!S_ISREG(facts.st_mode)) return fail("not a regular file", "something else wrote into the state directory: remove it");
    return {};
}

Status write_whole(int file, std::string_view text) {
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t size = ::pwrite(file, text.data() + done, text.size() - done, static_cast<off_t>(done));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return fail_errno("write", errno);
        done += static_cast<std::size_t>(size);
    }
    if (::ftruncate(file, static_cast<off_t>(text.size())) != 0) return fail_errno("cut", errno);
    return {};
}

}  // namespace

bool is_shared_name(std::string_view name) { return name.starts_with(".net.") || name.starts_with(".sysctl."); }

Result<bool> lock_byte(int file, std::uint64_t byte) {
    struct flock lock = range_lock(F_WRLCK, byte, 1);
    if (::fcntl(file, F_OFD_SETLK, &lock) == 0) return true;
    if (errno == EAGAIN || errno == EACCES) return false;
    return fail_errno("lock a byte", errno);
}

Result<bool> is_byte_locked(int file, std::uint64_t byte) {
    struct flock lock = range_lock(F_WRLCK, byte, 1);
    if (::fcntl(file, F_OFD_GETLK, &lock) != 0) return fail_errno("look at the lock of a byte", errno);
    return lock.l_type != F_UNLCK;
}

void unlock_bytes(int file, std::uint64_t first, std::uint64_t count) {
    struct flock lock = range_lock(F_UNLCK, first, count);
    std::ignore = ::fcntl(file, F_OFD_SETLK, &lock);
}

SharedFile::Held& SharedFile::Held::operator=(Held&& other) noexcept {
    if (this != &other) {
        release();
        file_ = std::exchange(other.file_, -1);
    }
    return *this;
}

void SharedFile::Held::release() {
    if (file_ >= 0) unlock_bytes(std::exchange(file_, -1), mutex_byte, 1);
}

Result<SharedFile> SharedFile::at(int state_root, const std::string& name) {
    if (name.size() < 2 || name.size() > 255 || name.front() != '.' || name == ".." || name.find('/') != std::string::npos)
        return fail(cat(quote(name), " is not a name of a shared file"));
    Fd root(::openat(state_root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) return fail_errno("open the state directory", errno);
    return SharedFile(std::move(root), name);
}

Status SharedFile::reopen(int flags) {
    Fd file(::openat(root_.get(), name_.c_str(), shared_flags | flags, 0600));
    if (!file) return fail_errno(cat("open ", quote(name_), " in the state directory"), errno);
    if (auto kind = check_kind(file.get()); !kind) return pass(kind, cat(quote(name_), " in the state directory"));
    file_ = std::move(file);
    return {};
}

Result<SharedFile> SharedFile::open(int state_root, const std::string& name) {
    auto file = at(state_root, name);
    if (!file) return pass(file);
    if (auto opened = file->reopen(O_CREAT); !opened) return pass(opened);
    return file;
}

Result<std::optional<SharedFile>> SharedFile::open_existing(int state_root, const std::string& name) {
    auto file = at(state_root, name);
    if (!file) return pass(file);
    auto opened = file->reopen(0);
    if (opened) return std::optional<SharedFile>(std::move(*file));
    if (opened.error().number == ENOENT) return std::optional<SharedFile>();
    return pass(opened);
}

// Whether the file that is open is the one of its name.
Result<bool> SharedFile::is_current() const {
    struct stat ours {};
    struct stat there {};
    if (::fstat(file_.get(), &ours) != 0) return fail_errno(cat("look at ", quote(name_)), errno);
    if (::fstatat(root_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return false;
        return fail_errno(cat("look at ", quote(name_)), errno);
    }
    return ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

Result<SharedFile::Held> SharedFile::hold() {
    for (int attempt = 0; attempt < most_openings; ++attempt) {
        if (auto locked = wait_for_mutex(file_.get()); !locked) return pass(locked, quote(name_));
        Held held(file_.get());
        auto current = is_current();
        if (!current) return pass(current);
        if (*current) return held;
        if (joined_) {
            auto error = fail(cat(quote(name_), " was removed from the state directory while sandboxes used it"),
                              "stop the sandboxes that use it (sandbox ps) before another one is started");
            error.value().number = ESTALE;
            return error;
        }
        // Before the descriptor is closed, or its number may be another file's when it is unlocked.
        held.release();
        if (auto opened = reopen(O_CREAT); !opened) return pass(opened);
    }
    return fail(cat(quote(name_), " in the state directory vanishes as often as it is made"));
}

Status SharedFile::join() {
    struct flock lock = range_lock(F_RDLCK, presence_byte, 1);
    if (::fcntl(file_.get(), F_OFD_SETLK, &lock) != 0) return fail_errno(cat("join the users of ", quote(name_)), errno);
    joined_ = true;
    return {};
}

// Asking for a write lock without taking it: no reader is ever refused meanwhile, and the own lock stays as it is.
Result<bool> SharedFile::is_last() const {
    auto locked = is_byte_locked(file_.get(), presence_byte);
    if (!locked) return pass(locked, quote(name_));
    return !*locked;
}

Status SharedFile::remove() {
    auto current = is_current();
    if (!current) return pass(current);
    if (*current && ::unlinkat(root_.get(), name_.c_str(), 0) != 0 && errno != ENOENT)
        return fail_errno(cat("remove ", quote(name_), " from the state directory"), errno);
    leave();
    return {};
}

Result<std::string> SharedFile::text() const {
    std::string text;
    char buffer[8192];
    while (text.size() <= longest_text) {
        const ssize_t size = ::pread(file_.get(), buffer, sizeof buffer, static_cast<off_t>(text.size()));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return fail_errno(cat("read ", quote(name_)), errno);
        if (size == 0) return text;
        text.append(buffer, static_cast<std::size_t>(size));
    }
    return fail(cat(quote(name_), " in the state directory is larger than 1Mi"), "something else wrote into it: remove it");
}

// The room first, without a change of what is read: a full file system leaves the old text. Not every one can say so beforehand.
Status SharedFile::replace_text(std::string_view text) {
    if (text.size() > longest_text) return fail(cat("the text of ", quote(name_), " is larger than 1Mi"));
    if (!text.empty() && ::fallocate(file_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(text.size())) != 0 && errno == ENOSPC)
        return fail_errno(cat("write ", quote(name_)), ENOSPC, "make room on the file system of the state directory");
    if (auto written = write_whole(file_.get(), text); !written) return pass(written, quote(name_));
    return {};
}

void SharedFile::leave() {
    unlock_bytes(file_.get(), presence_byte, 1);
    joined_ = false;
}

Result<Fd> SharedFile::witness() const {
    auto current = is_current();
    if (!current) return pass(current);
    Fd file(*current ? ::openat(root_.get(), name_.c_str(), shared_flags) : -1);
    if (!*current) return fail(cat(quote(name_), " is no longer in the state directory"));
    if (!file) return fail_errno(cat("open ", quote(name_), " in the state directory"), errno);
    return file;
}

}  // namespace sandbox
