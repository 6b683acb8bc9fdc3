// What check_against_host() finds: one case for each kind of mistake, with its place in the profile; who the payload is
// and which ids it has.
#include <gmock/gmock.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "base/text.h"
#include "plan/context.h"
#include "planning/hosts.h"
#include "profile/load.h"

namespace sandbox {
namespace {

Loaded load(const std::string& body) {
    LoadRequest request;
    request.profile.file.name = "p.yaml";
    request.profile.file.text = cat("version: 1\n", body);
    if (body.find("command") == std::string::npos) request.command = {"/bin/true"};
    request.profile.file.directory = "/srv";
    request.stem = "p";
    request.variables = {{"HOME", "/home/joe"}, {"USER", "joe"},  {"UID", "1000"},
                         {"GID", "1000"},       {"PWD", "/work"}, {"RUNTIME_DIR", "/run"}};
    return load_profile(request);
}

HostFacts facts_of(const std::string& host, const Profile& profile) {
    return host_facts(SOURCE_DIR "/tests/planning/hosts", host, fact_needs(profile));
}

using Change = std::function<void(HostFacts&)>;

struct Case {
    const char* name;
    const char* host;
    const char* body;      // begins in line 2
    const char* expected;  // "LINE:COLUMN CODE KEY", more of them between '|'; empty: no mistake
    Change change = [](HostFacts&) {};
    const char* message = "";  // part of the first message or hint
};

Change path(const char* name, PathKind kind, int error = ENOENT) {
    return [=](HostFacts& f) {
        f.paths[name] = {};
        f.paths[name].kind = kind;
        f.paths[name].error = kind == PathKind::absent ? error : 0;
    };
}

const char* root = "root-hybrid";
const char* user = "user-debian12";
const char* alone = "user-no-subids";

// clang-format off
const Case cases[] = {
    {"good", root, "rootfs: {path: /srv/r}\n", ""},
    {"root_missing", root, "rootfs: {path: /srv/r}\n", "2:16 E0501 rootfs.path", path("/srv/r", PathKind::absent), "no such file or directory"},
    {"root_forbidden", user, "rootfs: {path: /srv/r}\n", "2:16 E0501 rootfs.path", path("/srv/r", PathKind::absent, EACCES), "permission denied"},
    {"root_a_file", root, "rootfs: {path: /srv/r}\n", "2:16 E0502 rootfs.path", path("/srv/r", PathKind::file), "is a file, not a directory"},
    {"lower_a_socket", root, "rootfs: {overlay: {lower: [/a, /b]}}\n", "2:32 E0502 rootfs.overlay.lower[1]", path("/b", PathKind::socket), "is a socket"},
    {"source_missing", root, "rootfs: {host: ro}\nmounts: [\"/a:/b\"]\n", "3:10 E0501 mounts[0].source", path("/a", PathKind::absent), "optional: true"},
    {"source_optional", root, "rootfs: {host: ro}\nmounts: [\"/a:/b:optional\"]\n", "", path("/a", PathKind::absent)},
    {"file_source_a_directory", root, "rootfs: {host: ro}\nfiles: {/x: {source: /a}}\n", "3:22 E0501 files./x.source", path("/a", PathKind::directory), "is a directory, not a file"},
    {"stdin_missing", root, "rootfs: {host: ro}\nprocess: {stdin: /a, command: [x]}\n", "3:18 E0501 process.stdin", path("/a", PathKind::absent)},
    {"stdin_a_directory", root, "rootfs: {host: ro}\nprocess: {stdin: /a, command: [x]}\n", "3:18 E0502 process.stdin", path("/a", PathKind::directory), "is a directory"},
    {"seccomp_profile_missing", root, "rootfs: {host: ro}\nsecurity: {seccomp: {profile: /a.json}}\n", "3:31 E0501 security.seccomp.profile", path("/a.json", PathKind::absent), "no such file"},
    {"namespace_file_missing", root, "rootfs: {host: ro}\nnamespaces: {ipc: {path: /proc/42/ns/ipc}}\n", "3:26 E0501 namespaces.ipc.path", path("/proc/42/ns/ipc", PathKind::absent), "no such file"},
    {"network_file_missing", root, "rootfs: {host: ro}\nnetwork: {mode: path, path: /run/netns/x}\n", "3:29 E0501 network.path", path("/run/netns/x", PathKind::absent), "no such file"},
    {"chown_by_a_user", user, "rootfs: {path: /srv/r, idmap: chown}\n", "2:31 E0503 rootfs.idmap", [](HostFacts&) {}, "only root"},
    {"idmap_by_a_user", user, "rootfs: {host: ro}\nmounts: [{source: /a, target: /b, idmap: container}]\n", "3:42 E0503 mounts[0].idmap"},
    {"no_overlay", root, "rootfs: {overlay: {lower: [/a]}}\n", "2:9 E0504 rootfs.overlay", [](HostFacts& f) { f.overlay = false; }, "modprobe overlay"},
    {"no_overlay_for_a_mount", root, "rootfs: {host: ro}\nmounts:\n  - {type: overlay, target: /o, overlay: {lower: [/a]}}\n", "4:5 E0504 mounts[0].overlay", [](HostFacts& f) { f.overlay = false; }},
    {"work_not_empty", root, "rootfs: {overlay: {lower: [/a], upper: /u, work: /w}}\n", "2:50 E0505 rootfs.overlay.work", [](HostFacts& f) { f.paths["/w"].empty = false; }, "is not empty"},
    {"work_elsewhere", root, "rootfs: {overlay: {lower: [/a], upper: /u, work: /w}}\n", "2:50 E0506 rootfs.overlay.work", [](HostFacts& f) { f.paths["/w"].device = 7; }, "file system"},
    {"work_on_another_mount", root, "rootfs: {overlay: {lower: [/a], upper: /u, work: /w}}\n", "2:50 E0506 rootfs.overlay.work", [](HostFacts& f) { f.paths["/w"].mount = 7; }, "different mounts"},
    {"missing_work_elsewhere", root, "rootfs: {overlay: {lower: [/a], upper: /u, work: /missing/w}}\n", "2:50 E0506 rootfs.overlay.work", [](HostFacts& f) { f.paths["/missing/w"].resolved = "/missing/w"; f.paths["/missing/w"].device = 7; }, "file system"},
    {"upper_twice", root, "rootfs: {overlay: {lower: [/a], upper: /u}}\n", "2:40 E0526 rootfs.overlay.upper", [](HostFacts& f) { f.paths["/u"].locked = true; f.paths["/u.work"].empty = false; }, "an upper of its own"},
    {"upper_in_reach", root, "rootfs: {overlay: {lower: [/a], upper: /u}}\n", "2:40 E0525 rootfs.overlay.upper", [](HostFacts& f) { f.paths["/u"].exposed = true; }, "chmod 0700"},
    {"upper_of_a_size", root, "rootfs: {overlay: {lower: [/a], upper: /u, size: 1Mi}}\n", "2:50 E0527 rootfs.overlay.size", [](HostFacts&) {}, "not supported yet"},
    {"upper_without_root", root, "id_map: {uid: ['1000:100000:10'], gid: ['1000:100000:10']}\nprocess: {user: '1000:1000'}\nrootfs: {overlay: {lower: [/a], upper: /u}}\n", "4:40 E0528 rootfs.overlay.upper"},
    {"upper_in_memory_without_root", root, "id_map: {uid: ['1000:100000:10'], gid: ['1000:100000:10']}\nprocess: {user: '1000:1000'}\nrootfs: {overlay: {lower: [/a]}}\n", ""},
    {"metacopy_by_a_user", user, "rootfs: {overlay: {lower: [/a], options: {metacopy: 'on'}}}\n", "2:53 E0529 rootfs.overlay.options.metacopy"},
    {"metacopy_by_root", root, "rootfs: {overlay: {lower: [/a], options: {metacopy: 'on'}}}\n", ""},
    {"chown_to_inside_ids", root, "id_map: {uid: ['0:1000:2000'], gid: ['0:100000:65536']}\nrootfs: {path: /srv/r, idmap: chown}\n", "3:31 E0530 rootfs.idmap"},
    {"missing_upper_in_lower_by_a_link", root, "rootfs: {overlay: {lower: [/a], upper: /missing/u}}\n", "2:40 E0507 rootfs.overlay.upper", [](HostFacts& f) { f.paths["/missing/u"].resolved = "/a/u"; }},
    {"work_in_lower_by_a_link", root, "rootfs: {overlay: {lower: [/a], upper: /u, work: /w}}\n", "2:50 E0507 rootfs.overlay.work", [](HostFacts& f) { f.paths["/w"].resolved = "/a/w"; }},
    {"upper_in_lower_by_a_link", root, "rootfs: {overlay: {lower: [/a], upper: /u}}\n", "2:40 E0507 rootfs.overlay.upper", [](HostFacts& f) { f.paths["/u"].resolved = "/a/sub"; }, "lie inside each other"},
    {"lower_in_upper_by_a_link", root, "rootfs: {overlay: {lower: [/a], upper: /u}}\n", "2:40 E0507 rootfs.overlay.upper", [](HostFacts& f) { f.paths["/a"].resolved = "/u/sub"; }},
    {"not_recursive_by_a_user", user, "rootfs: {host: ro}\nmounts: [{source: /a, target: /b, recursive: false}]\n", "3:19 E0508 mounts[0].recursive"},
    {"device_read_only", root, "rootfs: {host: ro}\ncgroup: {manager: none}\ndevices: [{path: /dev/kvm, access: r}]\n", "4:18 E0509 devices[0].access"},
    {"device_by_number_by_a_user", user, "rootfs: {host: ro}\ndevices: [{path: /dev/x, type: char, major: 1, minor: 3}]\n", "3:18 E0510 devices[0]"},
    {"device_by_number_outside_dev", root, "rootfs: {host: ro}\ndevices: [{path: /dev/x, target: /x, type: char, major: 1, minor: 3}]\n", "3:34 E0510 devices[0].target"},
    {"device_missing", root, "rootfs: {host: ro}\ndevices: [/dev/kvm]\n", "3:11 E0501 devices[0].path", path("/dev/kvm", PathKind::absent), "optional: true"},
    {"device_a_file", root, "rootfs: {host: ro}\ndevices: [/dev/kvm]\n", "3:11 E0511 devices[0].path", path("/dev/kvm", PathKind::file), "is a file, not a device"},
    {"no_cgroup_namespace", root, "rootfs: {host: ro}\nnamespaces: {cgroup: private}\n", "3:22 E0512 namespaces.cgroup", [](HostFacts& f) { f.namespaces["cgroup"] = false; }, "cgroup: host"},
    {"restricted", user, "rootfs: {host: ro}\nnamespaces: {user: private}\n", "3:20 E0513 namespaces.user", [](HostFacts& f) { f.userns_restricted = true; f.userns_restriction = "kernel.unprivileged_userns_clone"; }, "kernel.unprivileged_userns_clone=1"},
    {"restricted_by_apparmor", user, "rootfs: {host: ro}\nnamespaces: {user: private}\n", "3:20 E0513 namespaces.user", [](HostFacts& f) { f.userns_restricted = true; f.userns_restriction = "kernel.apparmor_restrict_unprivileged_userns"; }, "kernel.apparmor_restrict_unprivileged_userns=0"},
    {"no_namespaces_left", user, "rootfs: {host: ro}\nnamespaces: {user: private}\n", "3:20 E0514 namespaces.user", [](HostFacts& f) { f.max_user_namespaces = 0; }, "max_user_namespaces=15000"},
    {"host_pids_by_a_user", user, "rootfs: {host: ro}\nnamespaces: {pid: host}\n", "3:19 E0515 namespaces.pid", [](HostFacts&) {}, "mode: inherit"},
    {"sysfs_of_another_network", user, "rootfs: {host: ro}\nnetwork: {mode: host}\nmounts: [{type: sysfs, target: /s}]\n", "4:17 E0515 mounts[0].type"},
    {"covered_proc", user, "rootfs: {host: ro}\nproc: {mode: fresh}\n", "3:14 E0516 proc.mode", [](HostFacts& f) { f.proc_mountable = false; }, "inherit"},
    {"foreign_ids", user, "rootfs: {host: ro}\nid_map: {uid: [\"0:5:1\"], gid: [\"0:1000:1\"]}\n", "3:16 E0517 id_map", [](HostFacts&) {}, "/etc/subuid"},
    {"foreign_groups", user, "rootfs: {host: ro}\nid_map: {uid: [\"0:1000:1\"], gid: [\"0:5:1\"]}\n", "3:35 E0517 id_map", [](HostFacts&) {}, "/etc/subgid"},
    {"no_helpers", user, "rootfs: {host: ro}\nid_map: {uid: [\"0:100000:9\"], gid: [\"0:100000:9\"]}\n", "3:16 E0517 id_map", [](HostFacts& f) { f.newuidmap = false; }, "uidmap"},
    {"no_user_namespace_by_a_user", user, "rootfs: {host: ro}\nnamespaces: {user: host}\n", "3:20 E0517 namespaces.user", [](HostFacts&) {}, "only root"},
    {"host_ids_by_a_user", user, "rootfs: {host: ro}\nid_map: host\n", "3:9 E0517 id_map", [](HostFacts&) {}, "only root"},
    {"unknown_user", root, "rootfs: {host: ro}\nprocess: {user: nobody-here, command: [x]}\n", "3:17 E0518 process.user", [](HostFacts&) {}, "/etc/passwd"},
    {"unknown_group", root, "rootfs: {host: ro}\nprocess: {user: \"0:none\", command: [x]}\n", "3:17 E0518 process.user", [](HostFacts&) {}, "/etc/group"},
    {"unknown_supplementary_group", root, "rootfs: {host: ro}\nprocess: {groups: [video, none], command: [x]}\n", "3:27 E0518 process.groups", [](HostFacts&) {}, "/etc/group"},
    {"unmapped_user", alone, "rootfs: {host: ro}\nprocess: {user: joe, command: [x]}\n", "3:17 E0519 process.user", [](HostFacts&) {}, "uid 1000 is not in the id map"},
    {"unmapped_group", alone, "rootfs: {host: ro}\nprocess: {user: \"0:5\", command: [x]}\n", "3:17 E0519 process.user", [](HostFacts&) {}, "gid 5 is not in the id map"},
    {"unmapped_supplementary_group", alone, "rootfs: {host: ro}\nprocess: {groups: [0, 5], command: [x]}\n", "3:23 E0519 process.groups", [](HostFacts&) {}, "gid 5"},
    {"capability_of_another_kernel", root, "rootfs: {host: ro}\ncapabilities: {add: [CHECKPOINT_RESTORE]}\n", "3:22 E0520 capabilities.add", [](HostFacts& f) { f.last_capability = 39; }},
    {"capability_nobody_has", root, "rootfs: {host: ro}\nid_map: host\ncapabilities: {add: [SYS_BOOT]}\n", "4:22 E0521 capabilities.add", [](HostFacts& f) { f.bounding &= ~(1ULL << 22); }},
    {"oom_score", user, "rootfs: {host: ro}\nprocess: {oom_score_adj: -5, command: [x]}\n", "3:26 E0522 process.oom_score_adj", [](HostFacts&) {}, "CAP_SYS_RESOURCE"},
    {"terminal_without_dev", root, "rootfs: {host: ro}\ndev: {mode: none}\nprocess: {tty: true, command: [x]}\n", "4:16 E0524 process.tty", [](HostFacts&) {}, "mode: minimal"},
    {"terminal_in_the_hosts_mounts", root, "rootfs: {host: rw}\nnamespaces: {mount: host}\nprocess: {tty: true, command: [x]}\n", "4:16 E0524 process.tty", [](HostFacts&) {}, "mount: private"},
    {"device_by_number_without_our_dev", root, "rootfs: {host: ro}\nmounts: [\"/a:/dev\"]\ndevices: [{path: /dev/x, type: char, major: 1, minor: 3}]\n", "4:18 E0510 devices[0].target"},
    {"nofile", user, "rootfs: {host: ro}\nulimits: {nofile: 2000000}\n", "3:11 E0523 ulimits.nofile", [](HostFacts&) {}, "1048576"},
    {"three_at_once", root, "rootfs: {path: /a}\nmounts: [\"/b:/b\"]\ndevices: [/dev/kvm]\n", "2:16 E0501 rootfs.path|3:10 E0501 mounts[0].source|4:11 E0511 devices[0].path",
     [](HostFacts& f) { path("/a", PathKind::absent)(f); path("/b", PathKind::absent)(f); path("/dev/kvm", PathKind::fifo)(f); }},
};
// clang-format on

InterfaceFact& link(HostFacts& f, const char* name) {
    const auto found = std::ranges::find(f.interfaces, name, &InterfaceFact::name);
    return found == f.interfaces.end() ? f.interfaces.emplace_back(InterfaceFact{name, "", true, 99, "", {}}) : *found;
}

Change has(const char* name, const char* kind, const char* address, bool up = true) {
    return [=](HostFacts& f) {
        InterfaceFact& it = link(f, name);
        it.kind = kind;
        it.up = up;
        if (*address) it.addresses = {*parse_ip_network(address)};
    };
}

Change lacks(std::vector<std::string> kinds) {
    return [=](HostFacts& f) {
        for (const std::string& kind : kinds) f.link_kinds[kind] = false;
    };
}

Change route(const char* to, const char* by) {
    return [=](HostFacts& f) { f.routes.push_back({*parse_ip_network(to), by}); };
}

Change no_filter(int error = EOPNOTSUPP) {
    return [=](HostFacts& f) {
        f.nftables = false;
        f.nftables_error = error;
    };
}

Change busy(std::vector<std::pair<const char*, std::uint16_t>> sockets, int error = EADDRINUSE, const char* holder = "", bool udp = false) {
    return [=](HostFacts& f) {
        for (const auto& [address, port] : sockets) f.busy_ports.push_back({*parse_ip(address), port, udp, error, holder});
    };
}

Change other(const char* name, const char* network, const char* address) {
    return [=](HostFacts& f) { f.sandboxes.push_back({name, network, true, 7, 7, "", {*parse_ip(address)}, {}}); };
}

void asks_itself(HostFacts& f) {
    f.resolver = {};
    f.resolver.stub = "127.0.0.53";
}

const char* modern = "root-v2";

// root: "db" runs on sandbox0 with 10.88.0.2, and there is no IPv6; modern: no sandbox, eth0 with 192.168.1.10, eth1 switched off.
// clang-format off
const Case network_cases[] = {
    {"bridge", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", ""},
    {"bridge_with_others_on_it", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['8080:80']}\n", ""},
    {"bridge_by_a_user", user, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0560 network.mode", [](HostFacts&) {}, "CAP_NET_ADMIN"},
    {"macvlan_by_a_user", user, "rootfs: {host: ro}\nnetwork: {mode: macvlan, parent: eth0, interface: {ip: null}}\n", "3:17 E0560 network.mode"},
    {"no_network_by_a_user", user, "rootfs: {host: ro}\nnetwork: {mode: none}\n", ""},
    {"bridge_is_no_bridge", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {name: eth0}}\n", "3:40 E0561 network.bridge.name", [](HostFacts&) {}, "an ordinary interface"},
    {"usual_bridge_is_no_bridge", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0561 network.bridge.name", has("sandbox0", "dummy", ""), "is a dummy link, not a bridge"},
    {"no_bridge", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {create: false}}\n", "3:17 E0562 network.bridge.name", [](HostFacts&) {}, "create: true"},
    {"bridge_is_down", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0562 network.bridge.name", has("sandbox0", "bridge", "10.88.0.1/24", false), "ip link set sandbox0 up"},
    {"bridge_is_found", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {create: false}}\n", "", has("sandbox0", "bridge", "10.88.0.7/24")},
    {"overlaps_a_link", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {subnet: 192.168.0.0/16}}\n", "3:42 E0563 network.bridge.subnet", [](HostFacts&) {}, "192.168.0.0/16 overlaps 192.168.1.0/24 of eth0"},
    {"usual_subnet_overlaps_a_link", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0563 network.bridge.subnet", has("eth1", "", "10.88.5.1/16"), "overlaps 10.88.0.0/16 of eth1"},
    {"overlaps_another_bridge", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {name: sandbox5}}\n", "3:17 E0563 network.bridge.subnet", [](HostFacts&) {}, "of the bridge sandbox0"},
    {"overlaps_v6", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {subnet6: '2001:db8:1::/64'}}\n", "3:43 E0563 network.bridge.subnet6", [](HostFacts&) {}, "of eth0"},
    {"overlaps_a_route", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0563 network.bridge.subnet", route("10.0.0.0/8", "tun0"), "overlaps 10.0.0.0/8, which is reached by tun0"},
    {"default_route_in_two_halves", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "", [](HostFacts& f) { route("0.0.0.0/1", "tun0")(f); route("128.0.0.0/1", "tun0")(f); }},
    {"routes_to_confined_sandboxes", root, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "", [](HostFacts& f) { route("10.88.0.2/32", "sb5e1f00aa11")(f); has("sb5e1f00aa11", "veth", "10.88.0.1/32")(f); }},
    {"bridge_of_another_subnet", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {subnet: 10.77.0.0/24}}\n", "3:42 E0564 network.bridge.subnet", [](HostFacts&) {}, "say subnet: 10.88.0.0/24"},
    {"bridge_of_another_size", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0564 network.bridge.subnet", has("sandbox0", "bridge", "10.88.0.1/16"), "is there already, with 10.88.0.0/16"},
    {"bridge_without_v6", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {subnet6: 'fd00:88::/64'}}\n", "3:43 E0564 network.bridge.subnet6", [](HostFacts& f) { f.ipv6 = true; }, "leave subnet6 out"},
    {"found_bridge_is_no_gateway", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0564 network.bridge.subnet", has("sandbox0", "bridge", "10.1.0.1/24"), "ip address add 10.88.0.1/24 dev sandbox0"},
    {"found_bridge_has_another_gateway", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {gateway: 10.88.0.9}}\n", "", has("sandbox0", "bridge", "")},
    {"no_parent", modern, "rootfs: {host: ro}\nnetwork: {mode: macvlan, parent: eht0, interface: {ip: null}}\n", "3:34 E0565 network.parent", [](HostFacts&) {}, "did you mean 'eth0'?"},
    {"no_parent_at_all_like_it", modern, "rootfs: {host: ro}\nnetwork: {mode: macvlan, parent: wlp3s0, interface: {ip: null}}\n", "3:34 E0565 network.parent", [](HostFacts&) {}, "ip link"},
    {"parent_is_down", modern, "rootfs: {host: ro}\nnetwork: {mode: ipvlan, parent: eth1, interface: {ip: null}}\n", "3:33 E0565 network.parent", [](HostFacts&) {}, "ip link set eth1 up"},
    {"address_of_the_host", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {ip: 10.88.0.9}}\n", "3:41 E0566 network.interface.ip", has("sandbox0", "bridge", "10.88.0.9/24"), "the host itself (sandbox0)"},
    {"address_of_a_sandbox", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {ip: 10.88.0.2}}\n", "3:41 E0566 network.interface.ip", [](HostFacts&) {}, "by sandbox 'db'"},
    {"address_of_a_stopped_sandbox", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {ip: 10.88.0.3}}\n", ""},
    {"address_of_its_own", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {ip: 10.88.0.2}}\n", "", [](HostFacts& f) { f.sandboxes[0].name = "p"; }},
    {"macvlan_address_of_the_host", modern, "rootfs: {host: ro}\nnetwork: {mode: macvlan, parent: eth0, interface: {ip: 192.168.1.10/24}}\n", "3:56 E0566 network.interface.ip"},
    {"macvlan_address_of_a_sandbox", modern, "rootfs: {host: ro}\nnetwork: {mode: macvlan, parent: eth0, interface: {ip: 192.168.1.40/24}}\n", "3:56 E0566 network.interface.ip", other("lan", "ipvlan", "192.168.1.40"), "by sandbox 'lan'"},
    {"macvlan_address_of_a_sandbox_elsewhere", modern, "rootfs: {host: ro}\nnetwork: {mode: macvlan, parent: eth0, interface: {ip: 192.168.1.40/24}}\n", "", other("far", "bridge", "192.168.1.40")},
    {"port_in_use", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['8080:80']}\n", "3:33 E0567 network.ports[0]", busy({{"127.0.0.1", 8080}, {"::1", 8080}}, EADDRINUSE, "nginx (process 7)"), "127.0.0.1:8080/tcp is in use by nginx (process 7) (and [::1]:8080/tcp)\npublish it as another port of the host, or stop what has it"},
    {"port_in_use_v6_alone", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['8080:80']}\n", "3:33 E0567 network.ports[0]", busy({{"::1", 8080}}), "[::1]:8080/tcp is in use\npublish it as another port of the host, or stop what has it, or write 127.0.0.1 before it"},
    {"port_in_use_v4_alone", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['8080:80']}\n", "3:33 E0567 network.ports[0]", busy({{"127.0.0.1", 8080}}), "write [::1] before it"},
    {"port_without_v6", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['8080:80']}\n", "", busy({{"::1", 8080}}, EADDRNOTAVAIL)},
    {"port_of_another_protocol", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['8080:80']}\n", "", busy({{"127.0.0.1", 8080}}, EADDRINUSE, "", true)},
    {"port_of_a_sandbox", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['5432']}\n", "3:33 E0567 network.ports[0]", busy({{"127.0.0.1", 5432}}, EADDRINUSE, "sandbox (process 9)"), "by sandbox 'db'"},
    {"port_of_a_sandbox_on_all_addresses", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['0.0.0.0:5432:1']}\n", "3:33 E0567 network.ports[0]", busy({{"0.0.0.0", 5432}}), "by sandbox 'db'"},
    {"ports_in_a_row", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['127.0.0.1:8000-8010:80-90']}\n", "3:33 E0567 network.ports[0]", busy({{"127.0.0.1", 8001}, {"127.0.0.1", 8004}, {"127.0.0.1", 8010}}), "127.0.0.1:8001/tcp is in use (and 2 more)"},
    {"two_ports", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['8080:80', '8081:81']}\n", "3:33 E0567 network.ports[0]|3:44 E0567 network.ports[1]", busy({{"127.0.0.1", 8080}, {"127.0.0.1", 8081}, {"::1", 8080}, {"::1", 8081}})},
    {"port_of_an_address_elsewhere", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['192.0.2.1:80:80']}\n", "3:33 E0567 network.ports[0]", busy({{"192.0.2.1", 80}}, EADDRNOTAVAIL), "does not have this address"},
    {"port_of_root", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['127.0.0.1:80:80']}\n", "3:33 E0567 network.ports[0]", busy({{"127.0.0.1", 80}}, EACCES), "CAP_NET_BIND_SERVICE"},
    {"port_of_a_family_that_is_not_there", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, ports: ['[::]:80:80']}\n", "3:33 E0567 network.ports[0]", busy({{"::", 80}}, EAFNOSUPPORT), "address family not supported"},
    {"no_nftables", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0568 network.mode", no_filter(), "operation not supported"},
    {"no_nftables_needed", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {nat: false}, ports: ['8080:80', '[::]:81:81']}\n", "", no_filter()},
    {"no_nftables_for_ports", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {nat: false}, ports: ['0.0.0.0:8080:80']}\n", "3:17 E0568 network.mode", no_filter(), "ports on loopback alone"},
    {"no_nftables_for_egress", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {nat: false}, egress: deny}\n", "3:17 E0568 network.mode", no_filter(EPERM)},
    {"no_veth", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0569 network.mode", lacks({"veth"}), "this kernel has no veth links (CONFIG_VETH)"},
    {"no_veth_and_no_bridge", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0569 network.mode", lacks({"veth", "bridge"}), "no veth and no bridge links (CONFIG_VETH, CONFIG_BRIDGE)"},
    {"no_macvlan", modern, "rootfs: {host: ro}\nnetwork: {mode: macvlan, parent: eth0, interface: {ip: null}}\n", "3:17 E0569 network.mode", lacks({"macvlan"}), "use mode bridge, or"},
    {"no_ipvlan", modern, "rootfs: {host: ro}\nnetwork: {mode: ipvlan, parent: eth0, interface: {ip: null}}\n", "3:17 E0569 network.mode", lacks({"ipvlan"}), "modprobe -a ipvlan"},
    {"no_such_owner", modern, "rootfs: {host: ro}\nnetwork: {mode: container, of: db}\n", "3:32 E0570 network.of", [](HostFacts&) {}, "start it first"},
    {"owner_of_another_name", root, "rootfs: {host: ro}\nnetwork: {mode: container, of: idel}\n", "3:32 E0570 network.of", [](HostFacts&) {}, "did you mean 'idle'?"},
    {"owner_that_does_not_run", root, "rootfs: {host: ro}\nnetwork: {mode: container, of: idle}\n", "3:32 E0570 network.of", [](HostFacts&) {}, "sandbox start idle"},
    {"owner_of_nothing", root, "rootfs: {host: ro}\nnetwork: {mode: container, of: plain}\n", "3:32 E0570 network.of", [](HostFacts&) {}, "say mode: host here as well"},
    {"owner", root, "rootfs: {host: ro}\nnetwork: {mode: container, of: db}\n", ""},
    {"gateway_past_the_rules", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {gateway: 10.88.0.9}, egress: deny}\n", "3:46 E0571 network.interface.gateway", [](HostFacts&) {}, "egress: allow"},
    {"v6_gateway_past_the_rules", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {subnet6: 'fd00:88::/64'}, interface: {gateway: 'fe80::1'}, egress: deny}\n", "3:81 E0571 network.interface.gateway"},
    {"route_past_the_rules", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {routes: ['10.0.0.0/8 via 10.88.0.9']}, egress: deny}\n", "3:46 E0571 network.interface.routes[0]", [](HostFacts&) {}, "leave it out"},
    {"route_on_the_link_of_the_rules", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {routes: ['10.0.0.0/8']}, egress: deny}\n", "3:46 E0571 network.interface.routes[0]", [](HostFacts&) {}, "nothing else is on the link"},
    {"gateway_of_the_rules", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {gateway: 10.88.0.1, routes: ['10.0.0.0/8 via 10.88.0.1']}, egress: deny}\n", ""},
    {"gateway_without_rules", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, interface: {gateway: 10.88.0.9}}\n", ""},
    {"no_v6", root, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {subnet6: 'fd00:88::/64'}}\n", "3:43 E0572 network.bridge.subnet6", [](HostFacts&) {}, "disable_ipv6=0"},
    {"no_name_server", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge}\n", "3:17 E0573 network.dns", asks_itself, "the host asks only 127.0.0.53"},
    {"no_name_server_wanted", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, dns: {servers: []}}\n", "", asks_itself},
    {"name_server_of_the_hosts_network", modern, "rootfs: {path: /srv/r}\nnetwork: {mode: host}\n", "", asks_itself},
    {"name_server_without_a_network", modern, "rootfs: {path: /srv/r}\nnetwork: {hosts: {a: 192.0.2.1}}\n", "", asks_itself},
    {"several_at_once", modern, "rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {subnet: 192.168.1.0/24}, ports: ['8080:80']}\n", "3:17 E0569 network.mode|3:42 E0563 network.bridge.subnet|3:67 E0567 network.ports[0]",
     [](HostFacts& f) { lacks({"veth"})(f); busy({{"127.0.0.1", 8080}})(f); }},
};
// clang-format on

class HostCheck : public testing::TestWithParam<Case> {};

TEST_P(HostCheck, FindsTheMistakes) {
    const Case& c = GetParam();
    const Loaded loaded = load(c.body);
    std::string text;
    for (const Diagnostic& d : loaded.diagnostics) text += render(d, loaded.sources, false);
    ASSERT_FALSE(has_errors(loaded.diagnostics)) << text;
    HostFacts facts = facts_of(c.host, loaded.profile);
    c.change(facts);
    const Diagnostics found = check_against_host(loaded.profile, facts);
    std::string list;
    for (const Diagnostic& d : found) {
        list += cat(list.empty() ? "" : "|", d.at.line, ":", d.at.column, " ", d.code, " ", d.key);
        text += render(d, loaded.sources, false);
    }
    EXPECT_EQ(list, c.expected) << text;
    if (!found.empty()) {
        EXPECT_THAT(cat(found[0].message, "\n", found[0].hint), testing::HasSubstr(c.message));
    }
}

std::string name_of(const testing::TestParamInfo<Case>& test) { return test.param.name; }
INSTANTIATE_TEST_SUITE_P(Plans, HostCheck, testing::ValuesIn(cases), name_of);
INSTANTIATE_TEST_SUITE_P(Networks, HostCheck, testing::ValuesIn(network_cases), name_of);

TEST(HostCheckNetwork, ASandboxWithoutANameServerIsNoMistake) {
    const Loaded loaded = load("rootfs: {host: ro}\nnetwork: {mode: bridge}\n");
    HostFacts facts = facts_of(modern, loaded.profile);
    asks_itself(facts);
    EXPECT_FALSE(has_errors(check_against_host(loaded.profile, facts)));
    EXPECT_THAT(plan_to_text(make_plan(loaded.profile, facts, {}), loaded.sources), testing::HasSubstr("with no name server"));
}

TEST(HostCheckNetwork, AsksTheHostsOwnServerInTheHostsNetwork) {
    const Loaded loaded = load("rootfs: {path: /srv/r}\nnetwork: {mode: host}\n");
    const Plan plan = make_plan(loaded.profile, facts_of(modern, loaded.profile), {});
    EXPECT_THAT(plan_to_text(plan, loaded.sources), testing::HasSubstr("with the name server 127.0.0.53 of the host"));
}

// The address of a bridge that was found is the gateway, whichever it is.
TEST(HostCheckNetwork, AFoundBridgeIsTheGateway) {
    const Loaded loaded = load("rootfs: {host: ro}\nnetwork: {mode: bridge, bridge: {create: false}}\n");
    HostFacts facts = facts_of(modern, loaded.profile);
    has("sandbox0", "bridge", "10.88.0.7/24")(facts);
    EXPECT_THAT(plan_to_text(make_plan(loaded.profile, facts, {}), loaded.sources), testing::HasSubstr("gateway 10.88.0.7"));
}

std::string notes_of(const std::string& egress) {
    const Loaded loaded = load(cat("rootfs: {host: ro}\nnetwork: {mode: bridge, dns: {servers: [192.0.2.53]}, egress: ", egress, "}\n"));
    return join(make_plan(loaded.profile, facts_of(modern, loaded.profile), {}).notes, "\n");
}

TEST(HostCheckNetwork, SaysWhenNoNameServerMayBeAsked) {
    const auto said = testing::HasSubstr("lets a name server (port 53) be reached");
    EXPECT_THAT(notes_of("deny"), said);
    EXPECT_THAT(notes_of("{default: deny, allow: ['192.0.2.54:53']}"), said);
    EXPECT_THAT(notes_of("{default: deny, allow: ['192.0.2.53:53/tcp']}"), said);
    for (const char* allow : {"192.0.2.53", "192.0.2.0/24:53/udp", "0.0.0.0/0:50-60", "192.0.2.53:53"})
        EXPECT_THAT(notes_of(cat("{default: deny, allow: ['", allow, "']}")), testing::Not(said)) << allow;
    EXPECT_THAT(notes_of("allow"), testing::Not(said));
}

TEST(HostCheckGroups, ThoseThatComeWithTheUserAreLeftOutWhereTheyAreNotMapped) {
    const Loaded loaded = load("rootfs: {host: ro}\nid_map: caller\nprocess: {user: joe, command: [x]}\n");
    const HostFacts facts = facts_of(alone, loaded.profile);
    EXPECT_THAT(check_against_host(loaded.profile, facts), testing::IsEmpty());
    EXPECT_THAT(make_plan(loaded.profile, facts, {}).notes, testing::Contains(testing::HasSubstr("gid 29 is not in the id map")));
}

TEST(HostCheckPolicy, WarnsOfWhatTheHostLacksWhenAskedTo) {
    const Loaded loaded = load("policy: {unsupported: warn}\nrootfs: {host: ro}\nulimits: {nofile: 2000000}\n");
    const Diagnostics found = check_against_host(loaded.profile, facts_of(user, loaded.profile));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::warning);
}

TEST(HostCheckPolicy, WarnsAndDoesWithout) {
    const Loaded loaded = load(
        "policy: {unsupported: warn}\nrootfs: {host: ro}\nulimits: {nofile: '10:2000000'}\n"
        "namespaces: {cgroup: private, time: private}\ntime: {boottime: 1d}\n");
    HostFacts facts = facts_of(user, loaded.profile);
    facts.namespaces["cgroup"] = facts.namespaces["time"] = false;
    for (const Diagnostic& d : check_against_host(loaded.profile, facts)) EXPECT_EQ(d.severity, Severity::warning) << d.key;
    const std::string text = plan_to_text(make_plan(loaded.profile, facts, {}), loaded.sources);
    EXPECT_THAT(text, testing::HasSubstr(cat("limit nofile to 10:", facts.nofile_hard)));
    EXPECT_THAT(text, testing::Not(testing::HasSubstr("cgroup.namespace")));
    EXPECT_THAT(text, testing::Not(testing::HasSubstr("boottime")));
}

// What would make the sandbox weaker is no matter of a warning.
TEST(HostCheckPolicy, DoesNotDoWithoutWhatSeparates) {
    const Loaded loaded = load("policy: {unsupported: warn}\nrootfs: {host: ro}\nnamespaces: {user: private, pid: private}\n");
    HostFacts facts = facts_of(user, loaded.profile);
    facts.namespaces["user"] = facts.namespaces["pid"] = false;
    EXPECT_EQ(check_against_host(loaded.profile, facts).size(), 2U);
    EXPECT_TRUE(has_errors(check_against_host(loaded.profile, facts)));
}

// ---- users

UserFacts user_of(const std::string& written, const std::string& passwd, const std::string& group, Mistake* mistake = nullptr) {
    Profile profile;
    profile.process.user = written;
    HostFacts facts;
    facts.passwd = passwd;
    facts.group = group;
    return look_up_user(profile, facts, mistake);
}

TEST(LookUpUser, ANameGivesIdsGroupsAndHome) {
    const UserFacts joe = user_of("joe", "root:x:0:0::/root:/bin/sh\njoe:x:7:8:Joe,,,:/home/joe:/bin/sh\n",
                                  "audio:x:29:ann,joe\nempty:x:30:\njoes:x:31:joey\nlast:x:32:joe");
    EXPECT_EQ(joe.uid, 7U);
    EXPECT_EQ(joe.gid, 8U);
    EXPECT_EQ(joe.name, "joe");
    EXPECT_EQ(joe.home, "/home/joe");
    EXPECT_THAT(joe.groups, testing::ElementsAre(29U, 32U));
}

TEST(LookUpUser, ANumberNeedsNoEntryAndTakesOne) {
    EXPECT_EQ(user_of("7", "", "").uid, 7U);
    EXPECT_EQ(user_of("7", "", "").gid, 0U);
    EXPECT_EQ(user_of("7:9", "", "").gid, 9U);
    EXPECT_EQ(user_of("7", "joe:x:7:8::/h:/s\n", "").name, "joe");
    EXPECT_EQ(user_of("7:9", "joe:x:7:8::/h:/s\n", "").gid, 9U);
    EXPECT_EQ(user_of("7:audio", "", "audio:x:29:\n").gid, 29U);
    EXPECT_EQ(user_of("0", "", "").home, "/root");
}

// The files belong to the image: whatever is in them, nobody but the user that is named is chosen, and never (uid_t)-1.
TEST(LookUpUser, HostileLinesArePassedOver) {
    const std::string hostile[] = {
        "",
        "\n\n\n",
        "joe",
        "joe:x",
        "joe:x:7:8:gecos",
        "joe:x::0::/:/\n",
        "joe:x:-1:-1::/:/\n",
        "joe:x:4294967295:0::/:/\n",
        "joe:x:0:4294967295::/:/\n",
        "joe:x:4294967296:0::/:/\n",
        "joe:x: 0:0::/:/\n",
        "joe:x:0x0:0::/:/\n",
        "joe:x:99999999999999999999:0::/:/\n",
        " joe:x:0:0::/:/\n",
        "JOE:x:0:0::/:/\n",
        "+joe:x:0:0::/:/\n",
        "joe\r:x:0:0::/:/\n",
        std::string("joe\0:x:0:0::/:/\n", 16),
        std::string(1 << 20, ':'),
        std::string(1 << 20, '\n'),
        std::string(1 << 20, 'j'),
    };
    for (const std::string& passwd : hostile) {
        Mistake mistake;
        user_of("joe", passwd, "", &mistake);
        EXPECT_NE(mistake.text, "") << passwd.substr(0, 40);
    }
    EXPECT_EQ(user_of("joe", "joe:x:bad:0::/:/\njoe:x:7:8::/:/\njoe:x:0:0::/:/\n", "").uid, 7U);  // the first that is well-formed
}

TEST(LookUpUser, HostileGroupsArePassedOver) {
    const UserFacts joe = user_of("joe", "joe:x:7:8::/:/\n", "a:x:4294967295:joe\nb:x:-1:joe\nc:x::joe\nd\n:x:5:joe\ne:x:6:joe,joe\n");
    EXPECT_THAT(joe.groups, testing::Each(testing::AnyOf(5U, 6U)));
    Mistake mistake;
    user_of("0:wheel", "", "wheel:x:4294967295:\nwheel\nwheel:x\n", &mistake);
    EXPECT_THAT(mistake.text, testing::HasSubstr("'wheel'"));
}

TEST(LookUpUser, AHomeThatCannotBeInAnEnvironmentIsNotTaken) {
    EXPECT_EQ(user_of("joe", std::string("joe:x:7:8::/h\0ome:/\n", 20), "").home, "");
    EXPECT_EQ(user_of("7", std::string("j\0e:x:7:8::/home:/\n", 19), "").name, "");
    EXPECT_EQ(user_of("joe", "joe:x:7:8::relative:/\n", "").home, "");
}

// ---- ids

Identity identity_of(const std::string& body, const std::string& host, Mistake* mistake = nullptr) {
    const Loaded loaded = load(cat("rootfs: {host: ro}\n", body));
    EXPECT_FALSE(has_errors(loaded.diagnostics));
    return decide_identity(loaded.profile, facts_of(host, loaded.profile), mistake);
}

TEST(DecideIdentity, RootLeasesARange) {
    const Identity id = identity_of("", root);
    EXPECT_TRUE(id.privileged && id.own_user_namespace && id.leased);
    EXPECT_FALSE(id.helpers);
    EXPECT_TRUE(id.maps_uid(0) && id.maps_uid(65535));
    EXPECT_FALSE(id.maps_uid(65536) || id.maps_gid(65536));
}

TEST(DecideIdentity, AUserHasItsSubordinateIds) {
    const Identity id = identity_of("", user);
    EXPECT_FALSE(id.privileged || id.leased);
    EXPECT_TRUE(id.own_user_namespace && id.helpers);
    EXPECT_TRUE(id.maps_uid(0) && id.maps_uid(65536));
    EXPECT_FALSE(id.maps_uid(65537));
    EXPECT_EQ(id.uid.front().outside, 1000U);
}

TEST(DecideIdentity, AUserWithoutThemHasItself) {
    const Identity id = identity_of("", alone);
    EXPECT_FALSE(id.helpers || id.privileged);
    EXPECT_TRUE(id.maps_uid(0));
    EXPECT_FALSE(id.maps_uid(1) || id.maps_gid(1000));
}

TEST(DecideIdentity, RootOfANamespaceGivesItsOwnIds) {
    const Identity id = identity_of("", "root-in-userns");
    EXPECT_FALSE(id.privileged || id.leased || id.helpers);
    EXPECT_TRUE(id.own_user_namespace && id.maps_uid(65535));
    EXPECT_FALSE(id.maps_uid(65536));
}

TEST(DecideIdentity, TheCallerKeepsItsNumber) {
    const Identity id = identity_of("id_map: caller\n", user);
    EXPECT_TRUE(id.maps_uid(1000) && id.maps_gid(1000));
    EXPECT_FALSE(id.maps_uid(0));
    // A root that became somebody for a moment: the lease is cut around the own id, and no id is mapped twice.
    Loaded loaded = load("rootfs: {host: ro}\nid_map: caller\n");
    HostFacts facts = facts_of(root, loaded.profile);
    facts.uid = 1000;
    facts.gid = 70000;
    const Identity cut = decide_identity(loaded.profile, facts, nullptr);
    std::uint64_t count = 0;
    for (const IdMapRange& range : cut.uid) count += range.count;
    EXPECT_EQ(count, 65536U);
    for (const std::uint32_t inside : {0U, 999U, 1000U, 1001U, 65535U}) EXPECT_TRUE(cut.maps_uid(inside)) << inside;
    EXPECT_TRUE(cut.maps_gid(70000) && cut.maps_gid(65535));
}

TEST(DecideIdentity, HostIdsMeanNoNamespace) {
    const Identity id = identity_of("id_map: host\n", root);
    EXPECT_FALSE(id.own_user_namespace);
    EXPECT_TRUE(id.maps_uid(4000000000U));
    Mistake mistake;
    identity_of("id_map: host\n", user, &mistake);
    EXPECT_NE(mistake.text, "");
}

TEST(DecideIdentity, RangesAreTakenAsTheyAre) {
    Mistake mistake;
    const Identity id = identity_of("id_map: {uid: [\"0:1000:1\", \"1:100000:10\"], gid: [\"0:1000:1\"]}\n", user, &mistake);
    EXPECT_EQ(mistake.text, "");
    EXPECT_TRUE(id.helpers && id.maps_uid(10));
    EXPECT_FALSE(id.maps_uid(11));
    const Identity single = identity_of("id_map: {uid: [\"5:1000:1\"], gid: [\"5:1000:1\"]}\n", alone, &mistake);
    EXPECT_EQ(mistake.text, "");
    EXPECT_FALSE(single.helpers);
}

// ---- where a path comes to lie

TEST(TargetTree, TheDeepestMountHoldsAPath) {
    TargetTree tree;
    tree.mount("/", Ground::host, 1, "/srv/r");
    tree.mount("/data", Ground::host, 2, "/mnt/d");
    tree.mount("/data/tmp", Ground::memory);
    const auto at = [&](const char* path) { return tree.find(path); };
    EXPECT_EQ(at("/").relative, "/");
    EXPECT_EQ(at("/etc/x").relative, "/etc/x");
    EXPECT_EQ(at("/etc/x").host, "/srv/r");
    EXPECT_EQ(at("/data").slot, 2);
    EXPECT_EQ(at("/data").relative, "/");
    EXPECT_EQ(at("/data/a/b").relative, "/a/b");
    EXPECT_EQ(at("/database").slot, 1);  // a name that begins alike is another one
    EXPECT_EQ(at("/data/tmp/x").ground, Ground::memory);
    EXPECT_EQ(at("/data/tmpx").slot, 2);
    EXPECT_TRUE(tree.has("/data"));
    EXPECT_FALSE(tree.has("/data/a"));
}

TEST(TargetTree, ALaterMountCoversAnEarlierOne) {
    TargetTree tree;
    tree.mount("/", Ground::guarded, 1, "/");
    tree.mount("/x", Ground::host, 2, "/mnt/d");
    tree.mount("/x", Ground::kernel);
    EXPECT_EQ(tree.find("/x/y").ground, Ground::kernel);
    EXPECT_EQ(tree.find("/x/y").slot, no_slot);
    EXPECT_EQ(tree.find("/y").ground, Ground::guarded);
}

TEST(TargetTree, AnOpenPlaceIsNotAMount) {
    TargetTree tree;
    tree.mount("/", Ground::guarded, 1, "/");
    tree.open("/etc/new");
    EXPECT_EQ(tree.find("/etc/new/x").ground, Ground::memory);
    EXPECT_EQ(tree.find("/etc/newer").ground, Ground::guarded);
    EXPECT_FALSE(tree.has("/etc/new"));
    tree.mount("/etc/new", Ground::kernel);
    EXPECT_TRUE(tree.has("/etc/new"));
}

TEST(TargetTree, WithoutARootEverythingIsMemory) { EXPECT_EQ(TargetTree().find("/a/b").ground, Ground::memory); }

}  // namespace
}  // namespace sandbox
