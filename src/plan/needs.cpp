// What a profile makes it necessary to know of the host.

#include "base/text.h"
#include "plan/limits.h"
#include "plan/network.h"

namespace sandbox {
namespace {

void add_overlay(FactNeeds& needs, const Overlay& overlay) {
    needs.overlay = true;
    for (const Text& lower : overlay.lower) needs.paths.push_back(*lower);
    if (overlay.upper_is_tmpfs()) return;
    needs.paths.push_back(*overlay.upper);
    needs.upper_paths.push_back(*overlay.upper);
    needs.paths.push_back(overlay.work ? **overlay.work : cat(*overlay.upper, ".work"));
}

// A path and all folders above it: a mirror begins at the deepest one that is there.
void add_with_parents(std::vector<std::string>& to, std::string path) {
    while (path != "/" && !path.empty()) {
        to.push_back(path);
        path.resize(path.rfind('/'));
    }
}

bool names_only_ids(const Process& process) {
    const auto numeric = [](std::string_view text) { return parse_id(text).has_value(); };
    for (const std::string_view part : split(*process.user, ':'))
        if (!numeric(part)) return false;
    for (const Text& group : process.groups)
        if (!numeric(*group)) return false;
    return true;
}

void add_network(FactNeeds& needs, const Profile& p) {
    const NetworkMode mode = *p.network.mode;
    needs.network = makes_link(p);
    needs.sandboxes = makes_link(p) || mode == NetworkMode::container;
    needs.names = shows_names(p) && *p.network.dns.mode == DnsMode::automatic;
    if (mode == NetworkMode::bridge) needs.link_kinds = {"veth", "bridge"};
    if (mode == NetworkMode::macvlan) needs.link_kinds = {"macvlan"};
    if (mode == NetworkMode::ipvlan) needs.link_kinds = {"ipvlan"};
    // Whether there is IPv6 is not known yet: what is found of ::1 then counts only where there is.
    if (mode == NetworkMode::bridge)
        for (const PortSocket& s : port_sockets(p, true)) needs.wanted_ports.push_back({s.address, s.port, s.udp});
}

}  // namespace

FactNeeds fact_needs(const Profile& p) {
    FactNeeds needs;
    if (p.rootfs.path) needs.paths.push_back(**p.rootfs.path);
    if (p.rootfs.overlay) add_overlay(needs, *p.rootfs.overlay);
    needs.mounts = p.rootfs.host.has_value();
    for (const Mount& m : p.mounts) {
        if (m.overlay) add_overlay(needs, *m.overlay);
        if (*m.type == MountType::bind) needs.paths.push_back(*m.source);
    }
    for (const Device& d : p.devices)
        if (!d.major) needs.paths.push_back(*d.path);
    for (const File& f : p.files)
        if (f.source) needs.paths.push_back(**f.source);
    if (p.security.seccomp.profile->starts_with('/')) needs.paths.push_back(*p.security.seccomp.profile);
    const Namespaces& n = p.namespaces;
    for (const Namespace* ns : {&n.mount, &n.pid, &n.ipc, &n.uts, &n.cgroup, &n.user, &n.time})
        if (!ns->path->empty()) needs.paths.push_back(*ns->path);
    if (!p.network.path->empty()) needs.paths.push_back(*p.network.path);
    if (*p.process.stdin_mode == StdinMode::file) needs.paths.push_back(*p.process.stdin_file);

    needs.passwd = !names_only_ids(p.process);
    if (p.rootfs.path || p.rootfs.host) {
        needs.root_layers.push_back(p.rootfs.host ? "/" : **p.rootfs.path);
        for (const Mount& m : p.mounts) add_with_parents(needs.root_paths, *m.target);
        for (const Device& d : p.devices) add_with_parents(needs.root_paths, *d.target);
        for (const File& f : p.files) add_with_parents(needs.root_paths, *f.path);
        for (const Directory& d : p.dirs) add_with_parents(needs.root_paths, *d.path);
        for (const Symlink& s : p.symlinks) add_with_parents(needs.root_paths, *s.path);
        for (const char* path : {"/proc", "/sys", "/dev", "/run"}) needs.root_paths.push_back(path);
        if (shows_names(p))
            for (const std::string& name : shown_names(p)) add_with_parents(needs.root_paths, name);
    } else if (p.rootfs.overlay && needs.passwd) {
        for (const Text& lower : p.rootfs.overlay->lower) needs.root_layers.push_back(*lower);
        if (!p.rootfs.overlay->upper_is_tmpfs()) needs.root_layers.insert(needs.root_layers.begin(), *p.rootfs.overlay->upper);
    }
    add_network(needs, p);
    std::string key;
    needs.cgroups = *p.cgroup.manager != CgroupManager::none;
    for (const Mount& m : p.mounts) needs.cgroups = needs.cgroups || *m.type == MountType::cgroup;
    needs.cgroup_files = needs.cgroups && first_wish(p, key) != nullptr;
    needs.lxcfs = *p.proc.view == ProcView::limits;
    for (const IoDevice& device : p.resources.io.devices) needs.disk_paths.push_back(*device.path);
    // root's limits are seen when the clone fails; an ordinary user's map depends on its subordinate ids.
    needs.user_namespace = true;
    return needs;
}

}  // namespace sandbox
