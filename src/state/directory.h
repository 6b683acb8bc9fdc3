// The state directory: /run/sandbox (root) or $XDG_RUNTIME_DIR/sandbox (a user), one folder a sandbox.
//
//   /run/sandbox/            0700, made by the first sandbox, removed with the last
//   /run/sandbox/.ids        byte k is locked (OFD lock) while id range k is leased
//   /run/sandbox/.net.*, .sysctl.*   what several share (state/shared_file.h); here as long as one of them uses it
//   /run/sandbox/web/lock    flock: held by the supervisor for its whole life
//   /run/sandbox/web/journal
//
// Lock free and folder present means: the launcher died. Everything is opened beneath a descriptor of the root, without
// following links, and folders are checked to be ours (uid, mode) before they are used.
//
// Whoever makes or removes something in the root holds an flock on the root itself, and has checked since that the root is
// still the one at its path: so nobody sees a folder whose lock is not taken yet, and the root goes with the last sandbox
// while another process may be about to use it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

// Where the state of this caller's sandboxes lives: /run/sandbox for uid 0, else $XDG_RUNTIME_DIR/sandbox, else
// /run/user/<uid>/sandbox. An error with a hint when a user has no runtime directory. A relative XDG_RUNTIME_DIR is an error.
[[nodiscard]] Result<std::string> state_root_path(std::uint32_t uid, const char* xdg_runtime_dir);

// The folder of one living sandbox. Owns the descriptor of the folder and the lock.
class SandboxState {
   public:
    [[nodiscard]] int directory() const { return directory_.get(); }
    [[nodiscard]] const std::string& name() const { return name_; }

   private:
    friend class StateRoot;
    SandboxState(std::string name, Fd directory, Fd lock)
        : name_(std::move(name)), directory_(std::move(directory)), lock_(std::move(lock)) {}
    std::string name_;
    Fd directory_;
    Fd lock_;
};

// Of one process: a forked child must open its own, as the lock on the root is shared with the copy.
class StateRoot {
   public:
    // Makes the root if it is missing (0700) and opens it. Refuses one that is not the caller's or open to others, and one
    // in a folder that others could exchange it in. The folder above must exist.
    static Result<StateRoot> open(std::string path);
    // Opens it if it is there; a result without a value in `valid()` when it is not (nothing ever ran).
    static Result<StateRoot> open_existing(std::string path);
    [[nodiscard]] bool valid() const { return root_.valid(); }
    [[nodiscard]] const std::string& path() const { return path_; }

    // From now on create() waits for nobody: neither half a minute for whoever cleans up after one of the name, nor two seconds for
    // one that is just coming and has said nothing of itself yet.
    void hurry() { cleaning_naps_ = starting_naps_ = 0; }
    // Makes the folder of a new sandbox and takes its lock. An error when the name is taken: by a running sandbox
    // (lock held; number EBUSY), or by one that crashed (gc must run first; number EEXIST).
    Result<SandboxState> create(const std::string& name);
    // Takes over the folder of a crashed sandbox; a value without directory (-1) when it runs (lock held) or is gone.
    // Whoever wants to make one of that name waits as long as the folder is held so.
    Result<SandboxState> take_crashed(const std::string& name);
    // The same for one that has stopped, to run again.
    Result<SandboxState> take_over(const std::string& name);
    // The folder of a sandbox (without descriptor: there is none), and whether a supervisor holds its lock.
    struct Seen {
        Fd directory;
        bool alive = false;
    };
    Result<Seen> look(const std::string& name);
    // Names of those that nobody supervises: crashed, or at rest. With hundreds alive, two calls for each of them.
    [[nodiscard]] Result<std::vector<std::string>> unsupervised() const;
    // For events (state/events.h).
    [[nodiscard]] int descriptor() const { return root_.get(); }
    // Names of all sandboxes, running or crashed, sorted. What has no valid name or is no folder is left out.
    [[nodiscard]] Result<std::vector<std::string>> names() const;
    // Names of the files of what several share (state/shared_file.h), whether somebody uses them or not.
    [[nodiscard]] std::vector<std::string> shared_names() const;
    // Deletes the folder with everything in it (never following links, never crossing a mount), releases the lock, and
    // removes the root when it was the last. The lease must have been closed before, and shared files been left: while any
    // range is leased or any of those is used the root stays, because a new .ids would lease it again. An error leaves a folder that counts
    // as crashed.
    Status remove(SandboxState state);
    // Removes the root when nothing is in it, no range is leased and no shared file is used: for gc, after a launcher that
    // died in between. What the dead left in shared files goes with it.
    Status remove_if_unused();

    // Leases a free id range: the lowest k in [0, count) whose byte in .ids nobody has locked. The lock lives as long as
    // the returned descriptor or any copy of it that a child inherited, so a dying sandbox keeps its range to the end.
    struct Lease {
        Fd lock;
        std::uint32_t index = 0;
    };
    Result<Lease> lease_range(std::uint32_t count);

   private:
    class Held;
    Result<SandboxState> take(const std::string& name, std::string_view purpose);
    explicit StateRoot(std::string path) : path_(std::move(path)) {}
    [[nodiscard]] std::string leaf() const;
    Status open_parent();
    Result<bool> reopen(bool make);
    [[nodiscard]] bool is_current() const;
    Result<Held> lock(bool make);
    Result<SandboxState> make_sandbox(const std::string& name);
    Status remove_folder(const SandboxState& state);
    Status remove_root();

    int cleaning_naps_ = 6000, starting_naps_ = 400;  // of five milliseconds
    std::string path_;
    Fd parent_;
    Fd root_;
};

// The grammar of names: ^[a-z0-9][a-z0-9_.-]{0,62}$ ; no path is ever built from anything else.
[[nodiscard]] bool valid_name(std::string_view name);

}  // namespace sandbox
