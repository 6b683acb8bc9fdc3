// What the child does between clone and exec, as flat data: the parent prepares it, writes it to a memfd, and the
// child interprets it. Numbers and C strings only; no pointer, so it can be read at any address.
//
//   ChildProgram | ChildOp[op_count] | pool
//
// The pool holds strings (NUL-terminated) and arrays; an op names them by their offset in the pool, 0 being the empty
// string. Slots are a table of descriptors: ops fill and use them by index.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sandbox {

enum class OpKind : uint16_t {
    receive,         // x descriptors from the parent go to the slots that pool array b names
    propagation,     // mount propagation of the whole tree becomes x (MS_* flags)
    set_ids,         // work as uid x, gid y of the new user namespace
    fs_open,         // slot = fsopen(a)
    fs_set,          // fsconfig(slot, a = b); no value when flags has op_flag_bare
    fs_set_slot,     // fsconfig(slot, a = the descriptor in slot2)
    fs_mount,        // slot = fsmount(create slot), attributes x (MOUNT_ATTR_*)
    overlay_legacy,  // mount(2) of an overlay on directory a: lower = slots x.. (y of them), upper and work = slot2, slot2+1 or -1; options
                     // b; slot = it
    open_tree,       // slot = open_tree(a) beneath slot2 (or in the tree of the caller), flags x (OPEN_TREE_CLONE, AT_RECURSIVE)
    open_path,       // slot = O_PATH of path a beneath slot2
    mount_attr,      // mount_setattr(slot): set x, clear y; op_flag_recursive; propagation in aux
    stage,           // a tmpfs below everything else; slot = an empty read-only file, slot2 = an empty read-only folder, both on it
    scratch,         // slot is mounted on the stage, so that its parts can be cloned
    attach_root,     // slot becomes the mount on which everything else is built
    attach,          // slot is mounted on path a beneath the root
    make_directory,  // path a beneath slot2 (or the root), mode x, owner y (uid | gid << 32), with its parents
    make_file,       // path a, content b (aux bytes), mode x, owner y
    make_symlink,    // path a points to b
    make_node,       // device node a, mode x (with type), number y
    mask,            // path a is covered: with slot (a file) or slot2 (a directory), both read-only
    read_only,       // path a becomes read-only, with everything below
    mirror,          // directory a is replaced by a tmpfs that shows its entries
    pivot,           // the root in slot becomes "/", the old one is gone
    hostname,        // a
    domainname,      // a
    time_offsets,    // text b into timens_offsets of a new time namespace
    sysctl,          // a ("net/core/somaxconn") = b, in the /proc that slot holds
    loopback_up,
    new_keyring,       // session keyring named a
    open_pty,          // in the devpts beneath root path a: slot = master, slot2 = the other end; the master goes to the parent.
                       // Owner x; size y: rows, columns and both in pixels, 16 bits each from the lowest
    console,           // the terminal in slot is shown at path a
    join_groups,       // this process, while it is one thread, writes itself into the x task files in the slots that pool array b names
    cgroup_namespace,  // a cgroup namespace with the groups of now as its roots
    sync,              // tells the parent and waits for an answer (tests stop here; with x: until the command is to be started)
    // ---- from here on in the payload's process
    fork,               // the payload's process begins; the first one becomes its init
    session,            // a new session; slot >= 0 is its controlling terminal
    descriptors,        // pool array b of x pairs {slot, number}; everything else from 3 on is closed
    working_directory,  // chdir(a), which must be inside the root
    umask,              // x
    rlimit,             // resource x: pool array b of {soft, hard}
    personality,        // x
    groups,             // pool array b of x gids
    ids,                // setresgid(y), setresuid(x), keeping capabilities
    bounding,           // drop from the bounding set what is not in x
    capabilities,       // pool array b: CapabilitySets
    no_new_privileges,
    parent_death,  // SIGKILL when the parent dies; and look whether it already has
    seccomp,       // pool array b of x sock_filter
    exec,          // pool array b: ExecArguments
};

// ChildOp::flags
constexpr uint16_t op_flag_recursive = 1;   // mount_attr
constexpr uint16_t op_flag_optional = 2;    // a failure is reported and the launch goes on
constexpr uint16_t op_flag_bare = 4;        // fs_set without a value
constexpr uint16_t op_flag_missing_ok = 8;  // mask, read_only: nothing to do when the path is not there
constexpr uint16_t op_flag_replace = 16;    // make_file, make_symlink: what is there already is replaced, else kept
constexpr uint16_t op_flag_no_links = 32;   // attach, mask, read_only: no symbolic link anywhere in the path

struct ChildOp {
    OpKind kind;
    uint16_t flags;
    uint32_t step;  // index into the plan: the parent has the sentence
    int32_t slot;
    int32_t slot2;
    uint32_t a;
    uint32_t b;
    uint64_t x;
    uint64_t y;
    uint64_t aux;
};

struct CapabilitySets {
    uint64_t effective, permitted, inheritable, ambient;
    uint64_t until_seccomp;  // kept besides until the filter is in place (CAP_SYS_ADMIN without no_new_privs)
};

struct DescriptorPair {
    int32_t slot;
    int32_t number;
};

// Offsets in the pool. The arrays end with a 0 offset.
struct ExecArguments {
    uint32_t candidates;  // paths to try in order, as execvp(3) does
    uint32_t argv;
    uint32_t envp;
};

constexpr uint32_t child_magic = 0x58424e53;  // "SNBX"
constexpr uint32_t max_slots = 1280;
constexpr uint32_t max_placed = 64;              // descriptors that the payload keeps
constexpr uint32_t max_exec_pointers = 1 << 15;  // of arguments and environment, with the two that end them

// How the first process behaves as init.
constexpr uint32_t init_own_pid_namespace = 1;  // its death ends everything; otherwise it hunts its descendants
constexpr uint32_t init_waits = 2;              // after the payload's end it stays until the supervisor hangs up
constexpr uint32_t init_joined = 4;             // of a session in a sandbox that is there already: the root is where the process stands

struct ChildProgram {
    uint32_t magic;
    uint32_t size;  // of everything, bytes
    uint32_t op_count;
    uint32_t pool_offset;
    uint32_t init_flags;
    uint32_t kept_slots;   // how many locks init holds open for its whole life
    uint32_t kept_offset;  // pool array of their slots
    uint32_t reserved;
};

// Descriptor numbers at the start of the child.
constexpr int child_socket = 3;
constexpr int child_program = 4;

// ---- the records on the SEQPACKET socket

enum class RecordKind : uint32_t {
    // to the parent
    failed = 1,  // step, error, detail = index of the op
    skipped,     // an optional step: step, error
    terminal,    // carries the master end of the new pty
    at_sync,     // step
    held,        // everything is made; the answer starts the command
    ready,       // everything is done, exec is next
    running,     // exec succeeded (sent by init; without init: end of file after ready); detail = the payload's process id, as init sees it
    exec_failed,  // error
    exited,       // detail = wait status of the payload
    // to the child
    go,      // carries descriptors
    signal,  // step = number, detail = 1: to every process
};

struct Record {
    RecordKind kind;
    uint32_t step;
    int32_t error;
    int32_t detail;
};

static_assert(__is_trivially_copyable(ChildProgram) && __is_trivially_copyable(ChildOp) && __is_trivially_copyable(Record));
static_assert(sizeof(ChildOp) == 48 && sizeof(Record) == 16);

}  // namespace sandbox
