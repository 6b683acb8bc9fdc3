#include "host/probe.h"

#include "host/parts.h"
#include "host/read.h"

namespace sandbox {

Result<HostFacts> probe(const ProbeRequest& asked) {
    const bool all = asked.everything;
    ProbeRequest request = asked;
    if (all) {
        request.paths.emplace_back("/");
        request.idmap_paths.emplace_back("/");
    }
    HostFacts facts;
    probe_kernel(facts);
    probe_ids(facts);
    if (all || request.user_namespace) probe_user_namespace(facts);

    IdmapTrial idmap(administrator(facts) && facts.new_mount_api);
    if (all || request.overlay) {
        probe_overlay(facts, all);
        facts.tmpfs_idmap = idmap.accepts_tmpfs();
    }
    if (all || request.mounts || !administrator(facts)) {
        const auto mounts = parse_mountinfo(read_file("/proc/self/mountinfo", 64 * database_file).value_or(""));
        if (all || !administrator(facts)) probe_visibility(facts, mounts);
        if (all || request.mounts) probe_mounts(facts, mounts, idmap);
        if (all) probe_cgroups(facts, mounts);
    }
    if (all || request.cgroups) probe_cgroup_trees(facts, all || request.cgroup_files);
    if (all || request.lxcfs) probe_lxcfs(facts);
    probe_disks(facts, request.disk_paths);
    if (all) probe_security(facts);
    if (all) probe_links(facts);
    if (all || request.network) probe_network(facts);
    if (all || request.names) probe_names(facts);
    ask_for_links(facts, request.link_kinds);
    probe_ports(facts, request.wanted_ports);

    probe_paths(facts, request, idmap);
    if (request.root_layers.empty() && request.root_paths.empty()) return facts;
    auto root = Root::open(request.root_layers, !administrator(facts));
    if (!root) return pass(root);
    probe_root_paths(facts, request, *root);
    return facts;
}

}  // namespace sandbox
