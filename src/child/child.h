// The interpreter's state, shared by its files. One process, one thread, no allocation.
#pragma once

#include "child/program.h"
#include "child/system.h"

namespace sandbox::child {

struct Child {
    const ChildProgram* program = nullptr;
    const ChildOp* ops = nullptr;
    const char* pool = nullptr;
    int slots[max_slots] = {};
    int root = -1;         // O_PATH of the root being built, then -1 after pivot
    unsigned stacked = 0;  // how many mounts lie over the old root
    int stage = -1;        // the tmpfs below the root: out of sight for everyone but us, gone after pivot
    int socket = child_socket;
    int exec_pipe = -1;  // the payload's: closes on exec, carries the errno otherwise
    int init_pipe = -1;  // the payload's: ends when init has let go of everything that it does not keep
    bool is_payload = false, is_init = false;
    uint32_t current = 0;  // index of the op being run

    [[nodiscard]] const char* text(uint32_t offset) const { return pool + offset; }
    // The descriptor in a slot; a slot outside the table is never valid.
    [[nodiscard]] int slot(int32_t index) const { return index >= 0 && index < static_cast<int32_t>(max_slots) ? slots[index] : -1; }
    void fill(int32_t index, long descriptor) { slots[index] = static_cast<int>(descriptor); }
};

// Each returns 0 or a negative errno.
long run_mount_op(Child& child, const ChildOp& op);    // file systems and the tree
long run_file_op(Child& child, const ChildOp& op);     // directories, files, links, nodes
long run_kernel_op(Child& child, const ChildOp& op);   // names, sysctl, keyring, terminal
long run_payload_op(Child& child, const ChildOp& op);  // everything after fork; exec does not return on success

// Opens `path` beneath the root (openat2(2), RESOLVE_IN_ROOT): a link in a hostile tree cannot lead out of it.
long open_in_root(const Child& child, const char* path, uint64_t flags, bool no_links);
// The folder that `path` is in, opened as above, and the last name of the path.
long open_parent(const Child& child, const char* path, const char** name);

// Closes every descriptor from 3 on that is not among `kept` (in any order, -1 ignored).
long close_all_but(const int* kept, uint64_t count);

// A record to the parent, with a descriptor unless it is negative. Ends the process when the parent is gone.
void send_record(Child& child, RecordKind kind, uint32_t step, long error, long detail, int descriptor = -1);
// The next record from the parent, or several until `count` descriptors have come; they go to `slots`. Ends the process
// when the parent is gone.
long receive_record(Child& child, Record& record, const int32_t* slots, uint64_t count);

// `shed_pipe`: closed when nothing of the launch is open or permitted in init any more; the payload waits for that.
[[noreturn]] void run_init(Child& child, long payload, int exec_pipe, int shed_pipe);
// The parent is gone: ends what this process looks after, and itself.
[[noreturn]] void abandon(const Child& child);
[[noreturn]] void leave(int code);

}  // namespace sandbox::child
