// What the plan_* functions share while a plan is made.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "plan/plan.h"
#include "plan/tree.h"

namespace sandbox {

// Why a lookup or a decision is wrong, and which part of the profile says so; no text: it is not.
struct Mistake {
    std::string text, key;
    Position at{};
};

// The payload's user, looked up in the sandbox's passwd and group.
struct UserFacts {
    std::uint32_t uid = 0, gid = 0;
    std::vector<std::uint32_t> groups;
    std::string name, home;
};

// Which privileges the launch has, and which id maps it uses; decided once.
struct Identity {
    bool privileged = false;           // root of the initial user namespace with CAP_SYS_ADMIN: the parent may mount
    bool own_user_namespace = true;    // a new one is made
    std::vector<IdMapRange> uid, gid;  // of the new user namespace
    bool leased = false;
    bool helpers = false;  // newuidmap, newgidmap
    std::string why;       // which of the ways was taken, in words

    // Whether an id inside has an id outside.
    [[nodiscard]] bool maps_uid(std::uint32_t inside) const;
    [[nodiscard]] bool maps_gid(std::uint32_t inside) const;
};

// A mount that becomes read-only when everything is in place. `optional`: it may have been left out.
struct Sealed {
    Slot slot;
    std::string place;
    Position at{};
    bool optional = false;
};

struct Context {
    const Profile& profile;
    const HostFacts& facts;
    const CallerContext& caller;
    Plan& plan;
    Identity identity;
    UserFacts user;
    TargetTree tree{};  // where a path inside comes to lie
    // The phases of a plan, joined in this order at the end. In `entry` the child opens trees of the host: of "/" a clone would
    // have with it what setup stacks on that, and who lives under a mount at "/" counts as chrooted (user_namespaces(7), EPERM).
    std::vector<Step> before{}, clone{}, after{}, entry{}, setup{}, finish{}, payload{};
    Slot next_slot = 0;
    std::vector<Slot> sent{};  // slots that the parent fills for the child
    Slot root = no_slot, proc = no_slot, scratch_files = no_slot, cover_file = no_slot, cover_folder = no_slot, terminal = no_slot,
         network = no_slot;  // one that is joined
    std::vector<Sealed> sealed{};
    std::uint32_t files_made = 0;
    std::set<std::string> present{};  // targets that are there for sure
    bool device_filter = false;       // the devices that can be used are limited by a group
    bool groups = false;              // the sandbox has control groups
    std::set<Slot> mapped_trees{};    // host trees that show the id on disk as the same id inside
    bool joins = false;               // a sandbox that is there already: nothing of it is changed

    Slot slot() { return next_slot++; }
    // A slot that the parent fills and sends.
    Slot sent_slot() {
        sent.push_back(next_slot);
        return next_slot++;
    }
    // A slot that init keeps: a lock that must not be freed before the last process is gone.
    Slot kept_slot() {
        plan.kept.push_back(next_slot);
        return sent_slot();
    }
    // The same for a lock on a directory of the host. What an ordinary user's init holds, a payload that may trace it can
    // walk through, and only a privileged parent can cut the way to the folders above: the supervisor holds it then.
    Slot directory_lock_slot() { return parent_mounts() ? kept_slot() : slot(); }
    // Whether the parent mounts: a privileged one with its own descriptors; otherwise the child does, in its namespace.
    [[nodiscard]] bool parent_mounts() const { return identity.privileged; }
    // Whether mounts of host trees are shown through the sandbox's id map.
    [[nodiscard]] bool id_mapped_mounts() const { return identity.privileged && identity.own_user_namespace; }
};

[[nodiscard]] Step host_step(std::string id, Position origin, std::string text, std::string undo, Action action);
[[nodiscard]] Step sandbox_step(std::string id, Position origin, std::string text, Action action);

// users.cpp
[[nodiscard]] UserFacts look_up_user(const Profile& profile, const HostFacts& facts, Mistake* mistake);
// identity.cpp
[[nodiscard]] Identity decide_identity(const Profile& profile, const HostFacts& facts, Mistake* mistake);
[[nodiscard]] bool is_private(const Namespace& ns);
// policy.unsupported: warn. The profile less what check_against_host has warned about.
[[nodiscard]] Profile without_unsupported(Profile profile, const HostFacts& facts);
[[nodiscard]] bool makes_network(const Profile& profile);
// plan_mounts.cpp: whether a node of our own in /dev can stand for a device; whether it has to, because the profile gives a
// number, an owner or a mode, or because the host's node would belong to nobody inside.
[[nodiscard]] bool can_make_node(const Profile& profile, const Identity& identity, const Device& device);
[[nodiscard]] bool makes_node(const Profile& profile, const Identity& identity, const Device& device);
[[nodiscard]] bool has_own_looks(const Device& device);
// plan_streams.cpp: whether there is a /dev/pts inside that a terminal can be opened in.
[[nodiscard]] bool has_terminals(const Profile& profile);

void plan_state(Context& context);
// plan_network.cpp: the ports of the host, before anything else; what is there before the clone; links and rules after it.
void plan_ports(Context& context);
void plan_network(Context& context);
void plan_links(Context& context);
// plan_groups.cpp: control groups; before the step that clones into them, which `spawn` becomes.
void plan_groups(Context& context, step::Spawn& spawn);
// plan_state.cpp: as whom the first process works.
void plan_work_as(Context& context);
// plan.cpp: groups that come with the user's name and have no id in the sandbox.
void leave_out_groups(Context& context);
// plan.cpp: all phases in their order, with the hand-over of descriptors.
void join_phases(Context& context);
void plan_root(Context& context);
void plan_mounts(Context& context);
void plan_files(Context& context);
void plan_masks(Context& context);
void plan_names(Context& context);
void plan_streams(Context& context);
void plan_process(Context& context);
void plan_keyring(Context& context);  // plan_names.cpp
void plan_security(Context& context);
void plan_exec(Context& context);

// plan_overlay.cpp: an overlay as a detached mount in the returned slot. `label` is its target inside.
[[nodiscard]] Slot plan_overlay(Context& context, const Overlay& overlay, const std::string& label, Position at, IdmapMode idmap,
                                std::uint64_t attributes);
// Keeps what is made in a tree of the host from being removed while this sandbox uses it.
void plan_tree_lock(Context& context, const std::string& host, Position at);
// Makes sure that there is something to mount `path` on: a file or a folder.
void plan_target(Context& context, const std::string& path, bool directory, Position at);
// In a tree that must not be written to, the deepest folder that is there becomes a tmpfs with the same entries.
[[nodiscard]] bool needs_mirror(const Context& context, const std::string& path);
[[nodiscard]] std::string mirrored_folder(const Context& context, const std::string& path);
void plan_mirror(Context& context, const std::string& path, Position at);
// A tree of the host as a detached mount in the returned slot, with the right ids.
[[nodiscard]] Slot plan_host_tree(Context& context, const std::string& host, const std::string& label, bool recursive, IdmapMode idmap,
                                  bool required, MountAttributes attributes, Position at, bool optional);

}  // namespace sandbox
