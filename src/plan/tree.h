// Where a path inside the sandbox comes to lie: pure bookkeeping of roots and mounts, without a kernel.
#pragma once

#include <map>
#include <string>

#include "plan/step.h"

namespace sandbox {

enum class Ground {
    memory,   // a tmpfs or an overlay of ours: the child makes what is missing
    host,     // a tree of the host that is open in a slot: the parent makes what is missing, and takes it back
    guarded,  // the host's own tree, shown read-only: what is missing needs a mirror
    kernel,   // proc, sysfs and the like: nothing can be made
};

struct Landing {
    Ground ground = Ground::memory;
    Slot slot = no_slot;   // host: the detached tree
    std::string host;      // host: its path on the host
    std::string relative;  // the path below the tree's root, with a leading slash; "/" for the root itself
};

class TargetTree {
   public:
    void mount(const std::string& target, Ground ground, Slot slot = no_slot, std::string host = {});
    // A place where something can be made now, though nothing is mounted there yet.
    void open(const std::string& path) { mounts_[path] = {Ground::memory, no_slot, {}, false}; }
    // The deepest mount that holds `path` (or is at it).
    [[nodiscard]] Landing find(const std::string& path) const;
    // The same for the place something is to be mounted on: a mount at `path` itself counts.
    [[nodiscard]] bool has(const std::string& path) const {
        const auto found = mounts_.find(path);
        return found != mounts_.end() && found->second.mounted;
    }

   private:
    struct Entry {
        Ground ground;
        Slot slot;
        std::string host;
        bool mounted = true;
    };
    std::map<std::string, Entry> mounts_;
};

}  // namespace sandbox
