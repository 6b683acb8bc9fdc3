#include "profile/foreign.h"

#include <array>
#include <vector>

#include "base/text.h"
#include "profile/language.h"

namespace sandbox {
namespace {

struct Foreign {
    std::string_view word;  // lower case, without '_' and '-'
    std::string_view hint;
};

// Words of docker, compose, podman, Kubernetes, the OCI runtime spec, systemd, firejail, bubblewrap, lxc and nspawn.
constexpr std::array foreign_words = std::to_array<Foreign>({
    {"capadd", "use 'capabilities: {add: [...]}'"},
    {"capdrop", "use 'capabilities: {drop: [...]}'"},
    {"capkeep", "use 'capabilities: {base: none, add: [...]}'"},
    {"capabilityboundingset", "use 'capabilities: {base: none, add: [...]}'"},
    {"ambientcapabilities", "use 'capabilities: {ambient: [...]}'"},
    {"caps", "use 'capabilities'"},
    {"volumes", "use 'mounts: [\"SOURCE:TARGET:rw\"]'"},
    {"volume", "use 'mounts: [\"SOURCE:TARGET:rw\"]'"},
    {"bind", "use 'mounts: [\"SOURCE:TARGET:rw\"]'"},
    {"bindpaths", "use 'mounts: [\"SOURCE:TARGET:rw\"]'"},
    {"bindreadonlypaths", "use 'mounts: [\"SOURCE:TARGET\"]'"},
    {"readwritepaths", "use 'mounts: [\"SOURCE:TARGET:rw\"]'"},
    {"readonlypaths", "use 'readonly_paths'"},
    {"inaccessiblepaths", "use 'mask: [PATH]'"},
    {"maskedpaths", "use 'mask: [PATH]'"},
    {"blacklist", "use 'mask: [PATH]'"},
    {"whitelist", "use 'rootfs' with only what is needed, and 'mounts'"},
    {"noblacklist", "leave the path out of 'mask'"},
    {"private", "use 'mounts: [{type: tmpfs, target: PATH}]'"},
    {"tmpfs", "use 'mounts: [{type: tmpfs, target: PATH}]', or 'rootfs: {tmpfs: {}}'"},
    {"memlimit", "use 'resources: {memory: {max: 512Mi}}'"},
    {"memory", "use 'resources: {memory: {max: 512Mi}}'"},
    {"memorymax", "use 'resources: {memory: {max: 512Mi}}'"},
    {"memoryhigh", "use 'resources: {memory: {high: 512Mi}}'"},
    {"memreservation", "use 'resources: {memory: {low: 512Mi}}'"},
    {"memswaplimit", "use 'resources: {memory: {swap: 512Mi}}'"},
    {"cpus", "use 'resources: {cpu: {limit: 1.5}}'"},
    {"cpuquota", "use 'resources: {cpu: {limit: 1.5}}'"},
    {"cpushares", "use 'resources: {cpu: {weight: 100}}'"},
    {"cpuset", "use 'resources: {cpu: {set: 0-3}}'"},
    {"cpusetcpus", "use 'resources: {cpu: {set: 0-3}}'"},
    {"pidslimit", "use 'resources: {pids: 512}'"},
    {"tasksmax", "use 'resources: {pids: 512}'"},
    {"blkio", "use 'resources: {io: {...}}'"},
    {"blkioconfig", "use 'resources: {io: {...}}'"},
    {"limits", "use 'resources' for what a group of processes gets, 'ulimits' for one process"},
    {"deploy", "use 'resources'"},
    {"oomkilldisable", "use 'resources: {memory: {oom: pause}}'"},
    {"oomscoreadjust", "use 'process: {oom_score_adj: 0}'"},
    {"privileged", "there is no such switch: name what is needed under 'capabilities', 'devices', 'mask' and 'security'"},
    {"securitycontext", "use 'security', 'capabilities' and 'process: {user: ...}'"},
    {"securityopt", "use 'security'"},
    {"nonewprivileges", "use 'security: {no_new_privileges: true}'"},
    {"nonewprivs", "use 'security: {no_new_privileges: true}'"},
    {"allowprivilegeescalation", "use 'security: {no_new_privileges: true}'"},
    {"systemcallfilter", "use 'security: {seccomp: {allow: [...], deny: [...]}}'"},
    {"syscalls", "use 'security: {seccomp: {allow: [...], deny: [...]}}'"},
    {"seccomp", "use 'security: {seccomp: {...}}'"},
    {"apparmorprofile", "use 'security: {apparmor: NAME}'"},
    {"selinuxcontext", "use 'security: {selinux: LABEL}'"},
    {"user", "use 'process: {user: \"UID:GID\"}'"},
    {"runasuser", "use 'process: {user: \"UID:GID\"}'"},
    {"runasgroup", "use 'process: {user: \"UID:GID\"}'"},
    {"groupadd", "use 'process: {groups: [...]}'"},
    {"supplementarygroups", "use 'process: {groups: [...]}'"},
    {"additionalgids", "use 'process: {groups: [...]}'"},
    {"privateusers", "use 'id_map', or 'namespaces: {user: private}'"},
    {"usernsmode", "use 'id_map', or 'namespaces: {user: host}'"},
    {"userns", "use 'id_map', or 'namespaces: {user: host}'"},
    {"uidmap", "use 'id_map: {uid: [\"0:100000:65536\"]}'"},
    {"gidmap", "use 'id_map: {gid: [\"0:100000:65536\"]}'"},
    {"uidmappings", "use 'id_map: {uid: [\"0:100000:65536\"]}'"},
    {"gidmappings", "use 'id_map: {gid: [\"0:100000:65536\"]}'"},
    {"idmaps", "use 'id_map'"},
    {"privatenetwork", "use 'network: {mode: none}', which is the default"},
    {"networkmode", "use 'network: {mode: bridge}'; of another sandbox: 'network: {mode: container, of: NAME}'"},
    {"net", "use 'network: {mode: none}', or another mode"},
    {"networks", "use 'network: {mode: bridge, bridge: {name: NAME}}'; there is one network for a sandbox"},
    {"hostnetwork", "use 'network: {mode: host}'"},
    {"networknamespacepath", "use 'network: {mode: path, path: /run/netns/NAME}'"},
    {"networkinterface", "use 'network: {mode: macvlan, parent: eth0}'"},
    {"virtualethernet", "use 'network: {mode: bridge}'"},
    {"networkbridge", "use 'network: {mode: bridge, bridge: {name: NAME}}'"},
    {"ipam", "use 'bridge: {subnet: 10.88.0.0/24, subnet6: \"fd00:88::/64\"}'"},
    {"ports", "use 'network: {ports: [\"8080:80\"]}'"},
    {"port", "use 'network: {ports: [\"8080:80\"]}'"},
    {"expose", "nothing has to be exposed to others on the bridge; for the host use 'network: {ports: [\"8080:80\"]}'"},
    {"publish", "use 'network: {ports: [\"8080:80\"]}'"},
    {"published", "use 'host_port'"},
    {"target", "of a port: 'port'; of a mount, a device or a stop it stands in that map"},
    {"targetport", "use 'port'"},
    {"containerport", "use 'port'"},
    {"dns", "use 'network: {dns: {servers: [...]}}'"},
    {"nameserver", "use 'dns: {servers: [...]}' under 'network'"},
    {"nameservers", "use 'dns: {servers: [...]}' under 'network'"},
    {"dnssearch", "use 'network: {dns: {search: [...]}}'"},
    {"searches", "use 'dns: {search: [...]}' under 'network'"},
    {"dnsopt", "use 'network: {dns: {options: [...]}}'"},
    {"dnsoptions", "use 'network: {dns: {options: [...]}}'"},
    {"dnspolicy", "use 'network: {dns: {servers: auto}}'"},
    {"dnsconfig", "use 'network: {dns: {servers: [...], search: [...], options: [...]}}'"},
    {"extrahosts", "use 'network: {hosts: {NAME: IP}}'"},
    {"addhost", "use 'network: {hosts: {NAME: IP}}'"},
    {"hostaliases", "use 'network: {hosts: {NAME: IP}}'"},
    {"links", "use 'network: {hosts: {NAME: IP}}', with both on one bridge"},
    {"macaddress", "use 'network: {interface: {mac: ...}}'"},
    {"ipaddress", "use 'network: {interface: {ip: 10.88.0.10}}'"},
    {"ipv4address", "use 'network: {interface: {ip: 10.88.0.10}}'"},
    {"ipv6address", "use 'network: {interface: {ip6: \"fd00:88::10\"}}'"},
    {"defaultgw", "use 'network: {interface: {gateway: 10.88.0.1}}'"},
    {"gateway4", "use 'network: {interface: {gateway: 10.88.0.1}}'"},
    {"gateway6", "use 'network: {interface: {gateway: \"fd00:88::1\"}}'"},
    {"ipaddressallow", "use 'network: {egress: {default: deny, allow: [NETWORK]}}'"},
    {"ipaddressdeny", "use 'network: {egress: {default: deny, allow: [NETWORK]}}'"},
    {"networkpolicy", "use 'network: {egress: {default: deny, allow: [NETWORK]}}'"},
    {"internal", "use 'bridge: {nat: false}', or 'egress: deny'"},
    {"privatetmp", "use 'mounts: [{type: tmpfs, target: /tmp}]'"},
    {"privatedevices", "use 'dev: {mode: minimal}', which is the default"},
    {"protectsystem", "use 'rootfs: {host: ro}'"},
    {"protecthome", "use 'mask: [/home, /root]'"},
    {"protectproc", "use 'proc: {hidepid: 2}'"},
    {"protecthostname", "use 'namespaces: {uts: private}', which is the default"},
    {"privateipc", "use 'namespaces: {ipc: private}', which is the default"},
    {"pid", "use 'namespaces: {pid: host}'"},
    {"ipc", "use 'namespaces: {ipc: host}'"},
    {"uts", "use 'namespaces: {uts: host}'"},
    {"cgroupns", "use 'namespaces: {cgroup: private}'"},
    {"pidmode", "use 'namespaces: {pid: host}'"},
    {"ipcmode", "use 'namespaces: {ipc: host}'"},
    {"hostpid", "use 'namespaces: {pid: host}'"},
    {"hostipc", "use 'namespaces: {ipc: host}'"},
    {"unshare", "use 'namespaces: {pid: private}'"},
    {"cgroupparent", "use 'cgroup: {parent: PATH}'"},
    {"cgroupspath", "use 'cgroup: {parent: PATH}'"},
    {"slice", "use 'cgroup: {parent: PATH}'"},
    {"shmsize", "use 'dev: {shm_size: 64Mi}'"},
    {"lowerdir", "use 'rootfs: {overlay: {lower: [...]}}'"},
    {"lowerdirs", "use 'rootfs: {overlay: {lower: [...]}}'"},
    {"layers", "use 'rootfs: {overlay: {lower: [...]}}'"},
    {"lowers", "use 'lower'"},
    {"upperdir", "use 'rootfs: {overlay: {upper: ...}}'"},
    {"workdir", "use 'process: {working_dir: /}'; of an overlay: 'work'"},
    {"workingdirectory", "use 'process: {working_dir: /}'"},
    {"cwd", "use 'process: {working_dir: /}'"},
    {"chdir", "use 'process: {working_dir: /}'"},
    {"image", "there are no images: unpack it, then 'rootfs: {path: DIRECTORY}' or 'rootfs: {overlay: {lower: [...]}}'"},
    {"build", "there are no images: 'rootfs: {path: DIRECTORY}'"},
    {"root", "use 'rootfs: {path: DIRECTORY}'"},
    {"rootdirectory", "use 'rootfs: {path: DIRECTORY}'"},
    {"chroot", "use 'rootfs: {path: DIRECTORY}'"},
    {"rootfspropagation", "use 'rootfs: {propagation: private}'"},
    {"mountflags", "use 'rootfs: {propagation: private}'"},
    {"readonlyrootfs", "use 'rootfs: {readonly: true}'"},
    {"readonly", "use 'rootfs: {readonly: true}'; of a mount: 'mode: ro'"},
    {"entrypoint", "use 'process: {command: [...]}', there is only one of the two"},
    {"cmd", "use 'process: {command: [...]}'"},
    {"args", "use 'process: {command: [...]}'"},
    {"argv", "use 'process: {command: [...]}'"},
    {"execstart", "use 'process: {command: [...]}'"},
    {"env", "use 'process: {environment: {NAME: VALUE}}'"},
    {"envs", "use 'process: {environment: {NAME: VALUE}}'"},
    {"envfile", "use 'process: {environment: {NAME: VALUE}}'"},
    {"environmentfile", "use 'process: {environment: {NAME: VALUE}}'"},
    {"passenvironment", "use 'process: {inherit: [NAME]}'"},
    {"stdinopen", "use 'process: {stdin: auto}'"},
    {"terminal", "use 'process: {tty: true}'"},
    {"stopsignal", "use 'lifecycle: {stop: {signal: TERM}}'"},
    {"killsignal", "use 'lifecycle: {stop: {signal: TERM}}'"},
    {"stopgraceperiod", "use 'lifecycle: {stop: {grace: 10s}}'"},
    {"timeoutstopsec", "use 'lifecycle: {stop: {grace: 10s}}'"},
    {"terminationgraceperiodseconds", "use 'lifecycle: {stop: {grace: 10s}}'"},
    {"runtimemaxsec", "use 'lifecycle: {timeout: 60s}'"},
    {"restartpolicy", "use 'lifecycle: {restart: {policy: on-failure}}'"},
    {"livenessprobe", "use 'lifecycle: {healthcheck: {...}}'"},
    {"poststart", "use 'lifecycle: {hooks: {...}}'"},
    {"prestart", "use 'lifecycle: {hooks: {...}}'"},
    {"rlimits", "use 'ulimits'"},
    {"rlimit", "use 'ulimits'"},
    {"limitnofile", "use 'ulimits: {nofile: \"1024:4096\"}'"},
    {"sysctls", "use 'sysctl'"},
    {"annotations", "use 'labels'"},
    {"containername", "use 'name'"},
    {"deviceallow", "use 'devices'"},
    {"devicecgrouprules", "use 'devices'"},
    {"logdriver", "use 'logging: {driver: file}'"},
    {"timens", "use 'time: {boottime: 1d, monotonic: 1d}'"},
    {"timeoffsets", "use 'time: {boottime: 1d, monotonic: 1d}'"},
    {"tz", "use 'time: {timezone: Europe/Berlin}'"},
    {"dst", "use 'target'"},
    {"destination", "use 'target'"},
    {"containerpath", "use 'target'"},
    {"mountpath", "use 'target'"},
    {"src", "use 'source'"},
    {"hostpath", "use 'source'"},
    {"permissions", "use 'perm'; of a device: 'access: rwm'"},
    {"options", "write the options as keys: 'mode: rw', 'exec: true', 'suid: true', 'dev: true', 'size: 64Mi'"},
    {"include", "use 'extends'"},
    {"inherits", "use 'extends'"},
    {"variables", "use 'vars'"},
});

std::string bare(std::string_view key) {
    std::string out;
    for (const char c : lower(key))
        if (c != '_' && c != '-') out += c;
    return out;
}

// Where in the language a key of this name is, as "process.user"; empty if nowhere. Not below lists and free maps.
std::string search(const FieldTable& table, std::string_view key, const std::string& above) {
    for (const Field& field : table.fields)
        if (field.name == key) return cat(above, key);
    for (const Field& field : table.fields) {
        const Shape shape = field.shape ? field.shape() : Shape{};
        if (shape.kind != Shape::record) continue;
        if (auto found = search(shape.fields(), key, cat(above, field.name, ".")); !found.empty()) return found;
    }
    return {};
}

std::string allowed_keys(const FieldTable& table) {
    std::string out = "allowed here: ";
    bool first = true;
    for (const Field& field : table.fields) {
        if (field.due == Due::later) continue;
        if (!first) out += ", ";
        first = false;
        out += field.name;
    }
    return out;
}

}  // namespace

std::string hint_for_unknown(std::string_view key, const FieldTable& table) {
    std::vector<std::string_view> names;
    for (const Field& field : table.fields) names.push_back(field.name);
    const std::string plain = bare(key);
    for (const std::string_view name : names)
        if (bare(name) == plain) return cat("did you mean ", quote(name), "?");
    for (const Foreign& foreign : foreign_words)
        if (foreign.word == plain) return std::string(foreign.hint);
    if (const auto near = nearest(key, names)) return cat("did you mean ", quote(*near), "?");
    if (const std::string elsewhere = search(profile_fields(), key, ""); !elsewhere.empty())
        return cat("did you mean ", quote(elsewhere), "?");
    return allowed_keys(table);
}

}  // namespace sandbox
