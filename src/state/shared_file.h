// What several sandboxes use on the host, made by the first and taken back by the last: a bridge, a switch for forwarding.
//
//   /run/sandbox/.net.sandbox0           one file for each such thing, 0600, while somebody uses it
//   /run/sandbox/.sysctl.ipv4-forward
//
// The text says what the thing is. Who uses it is said by locks on bytes far beyond the text, which the kernel frees however their
// owner ends: a user that was killed leaves its text, but no lock.
//
//   byte 2^40        locked for writing by whoever looks, joins, leaves or writes (the mutex)
//   byte 2^40 + 1    locked for reading by each user for its life (presence)
//   the others       belong to who keeps the text (state/address_pool.h)
//
// All are locks of open file descriptions (fcntl(2), F_OFD_SETLK): a forked child shares those of its parent, and two descriptors that
// one process opened are two users. What is executed has none of them (O_CLOEXEC).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

// Whether an entry of the state root is such a file, by its name: ".net.*", ".sysctl.*".
[[nodiscard]] bool is_shared_name(std::string_view name);

class SharedFile {
   public:
    // Opens it, making it (0600) if it is missing; nobody's presence yet. `name` begins with a dot, so that it is no sandbox. The root
    // has to stay meanwhile: the caller has a sandbox in it, or got it from open_existing() and can do with an error (ENOENT).
    static Result<SharedFile> open(int state_root, const std::string& name);
    // Nothing when there is no such file: nobody uses it.
    static Result<std::optional<SharedFile>> open_existing(int state_root, const std::string& name);

    // The mutex, until the end of the scope; the file must live as long. One at a time for each open file description.
    class [[nodiscard]] Held {
       public:
        Held(Held&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
        Held& operator=(Held&& other) noexcept;
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;
        ~Held() { release(); }
        void release();

       private:
        friend class SharedFile;
        explicit Held(int file) : file_(file) {}
        int file_;
    };
    // Nobody else joins, leaves or changes the text meanwhile. Waits: others hold it for milliseconds. When the last user has removed
    // the file in between, this opens the one that is there now, or makes it. An error with number ESTALE when that happened to one
    // that has joined: a stranger removed the file.
    Result<Held> hold();

    // The others with the mutex held.

    // This open file description is a user from now on.
    Status join();
    // Whether no other open file description is a user; this one may be or not.
    [[nodiscard]] Result<bool> is_last() const;
    // Unlinks it, and leaves: the last has taken everything back.
    Status remove();
    // At most 1 MiB; empty in a new file.
    [[nodiscard]] Result<std::string> text() const;
    // The whole of it. One that does not fit leaves the old text; a killed writer may leave the end of the old one behind the new.
    Status replace_text(std::string_view text);
    // Gives presence up; closing does so too.
    void leave();

    // Another open file description of the same file, to which the locks of this one are a stranger's: for looking at them.
    [[nodiscard]] Result<Fd> witness() const;
    [[nodiscard]] int descriptor() const { return file_.get(); }
    [[nodiscard]] const std::string& name() const { return name_; }

   private:
    SharedFile(Fd root, std::string name) : root_(std::move(root)), name_(std::move(name)) {}
    static Result<SharedFile> at(int state_root, const std::string& name);
    Status reopen(int flags);
    [[nodiscard]] Result<bool> is_current() const;
    Fd root_;  // a description of its own, as the root's carries the flock of StateRoot
    std::string name_;
    Fd file_;
    bool joined_ = false;
};

// Locks of an open file description on one byte. False: somebody else has one that excludes it.
[[nodiscard]] Result<bool> lock_byte(int file, std::uint64_t byte);
// Whether another open file description than this one has locked the byte.
[[nodiscard]] Result<bool> is_byte_locked(int file, std::uint64_t byte);
// Gives this one's locks on [first, first + count) back.
void unlock_bytes(int file, std::uint64_t first, std::uint64_t count);

}  // namespace sandbox
