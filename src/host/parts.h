// The parts of probe(): each fills its own facts. probe.cpp is their table of contents.
#pragma once

#include <linux/capability.h>

#include "base/fd.h"
#include "host/probe.h"
#include "host/root.h"
#include "host/trial.h"

namespace sandbox {

// Whether the caller may do what only the machine's administrator may: CAP_SYS_ADMIN in the initial user namespace.
[[nodiscard]] inline bool administrator(const HostFacts& facts) {
    return facts.initial_user_namespace && (facts.capabilities >> CAP_SYS_ADMIN & 1) != 0;
}

// probe_kernel.cpp: release, machine, namespaces, the new mount calls
void probe_kernel(HostFacts& facts);
// probe_ids.cpp: the caller's ids, capabilities, maps, name, home and limits
void probe_ids(HostFacts& facts);
// probe_user_namespace.cpp: limits and switches, subordinate ids, helpers
void probe_user_namespace(HostFacts& facts);
// probe_overlay.cpp
void probe_overlay(HostFacts& facts, bool everything);
// probe_mounts.cpp
void probe_mounts(HostFacts& facts, const std::vector<MountInfo>& mounts, IdmapTrial& idmap);
void probe_visibility(HostFacts& facts, const std::vector<MountInfo>& mounts);
// probe_paths.cpp
void probe_paths(HostFacts& facts, const ProbeRequest& request, IdmapTrial& idmap);
void probe_root_paths(HostFacts& facts, const ProbeRequest& request, const Root& root);
// probe_cgroups.cpp: which controller is in which tree (doctor)
void probe_cgroups(HostFacts& facts, const std::vector<MountInfo>& mounts);
// probe_cgroup_trees.cpp: the trees that a launch may make groups in
void probe_cgroup_trees(HostFacts& facts, bool with_files);
// probe_lxcfs.cpp
void probe_lxcfs(HostFacts& facts);
// probe_disks.cpp
void probe_disks(HostFacts& facts, const std::vector<std::string>& paths);
// probe_security.cpp: seccomp, Landlock, LSMs, keyring, TIOCSTI
void probe_security(HostFacts& facts);
// probe_links.cpp: which kinds of network links there are, by making them in a namespace of their own (doctor); and whether the kernel
// knows some, without making any
void probe_links(HostFacts& facts);
void ask_for_links(HostFacts& facts, const std::vector<std::string>& kinds);
// probe_network.cpp: links, addresses, routes, the packet filter, and which ports cannot be had
void probe_network(HostFacts& facts);
void probe_ports(HostFacts& facts, const std::vector<WantedPort>& wanted);
// probe_names.cpp: the name servers
void probe_names(HostFacts& facts);

}  // namespace sandbox
