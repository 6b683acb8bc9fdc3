#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/text.h"
#include "host/parts.h"
#include "host/read.h"

namespace sandbox {
namespace {

std::vector<std::string> names_in(std::string_view text, char separator) {
    const auto names = words_in(trim(text), separator);
    return {names.begin(), names.end()};
}

bool is_mounted(const std::string& path, long magic) {
    struct statfs about {};
    return ::statfs(path.c_str(), &about) == 0 && about.f_type == magic;
}

// Where every distribution puts it; elsewhere it has to be looked for among all mounts.
std::string find_v1(const std::string& controllers) {
    std::vector<std::string> names = names_in(controllers, ',');
    names.insert(names.begin(), controllers);
    for (const std::string& name : names)
        if (std::string path = cat("/sys/fs/cgroup/", name); is_mounted(path, CGROUP_SUPER_MAGIC)) return path;
    const std::string first = names.back();
    for (const MountInfo& mount : parse_mountinfo(read_file("/proc/self/mountinfo", 64 * database_file).value_or(""))) {
        const auto options = split(mount.super_options, ',');
        if (mount.filesystem == "cgroup" && std::ranges::find(options, first) != options.end()) return mount.target;
    }
    return {};
}

std::string find_v2() {
    for (const char* path : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
        if (is_mounted(path, CGROUP2_SUPER_MAGIC)) return path;
    for (const MountInfo& mount : parse_mountinfo(read_file("/proc/self/mountinfo", 64 * database_file).value_or("")))
        if (mount.filesystem == "cgroup2") return mount.target;
    return {};
}

std::vector<std::string> names_in(const std::string& path) {
    const Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder ? read_names(folder.get(), 4096).value_or(std::vector<std::string>()) : std::vector<std::string>();
}

// A root lacks much of what its groups have: any group in it tells, and the one with the most controllers knows most.
std::vector<std::string> files_of_groups(const std::string& mount) {
    std::vector<std::string> best;
    for (const std::string& name : names_in(mount)) {
        if (::access(cat(mount, "/", name, "/cgroup.procs").c_str(), F_OK) != 0) continue;
        auto names = names_in(cat(mount, "/", name));
        if (names.size() > best.size()) best = std::move(names);
    }
    return best;
}

std::string line_of(const std::string& path) { return std::string(trim(read_file(path.c_str()).value_or(""))); }

std::optional<std::uint32_t> owner_of(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? std::optional(info.st_uid) : std::nullopt;
}

void look_at_files(CgroupFact& group) {
    const bool v1 = group.version == CgroupVersion::v1;
    group.files = files_of_groups(group.mount);
    if (std::ranges::find(group.controllers, "cpuset") == group.controllers.end()) return;
    const char* suffix = v1 ? "" : ".effective";
    group.processors = line_of(cat(group.mount, "/cpuset.", v1 ? "effective_cpus" : "cpus.effective"));
    group.nodes = line_of(cat(group.mount, "/cpuset.", v1 ? "effective_mems" : "mems.effective"));
    if (group.processors.empty()) group.processors = line_of(cat(group.mount, "/cpuset.cpus", suffix));
    if (group.nodes.empty()) group.nodes = line_of(cat(group.mount, "/cpuset.mems", suffix));
}

void add_v1(HostFacts& facts, const std::string& controllers, bool with_files) {
    CgroupFact group;
    group.version = CgroupVersion::v1;
    group.mount = find_v1(controllers);
    if (group.mount.empty()) return;
    for (std::string& name : names_in(controllers, ',')) group.controllers.push_back(name == "blkio" ? "io" : std::move(name));
    group.writable = ::faccessat(AT_FDCWD, group.mount.c_str(), W_OK, AT_EACCESS) == 0;
    if (with_files) look_at_files(group);
    facts.cgroups.push_back(std::move(group));
}

// What a user's own systemd has been given to hand out (Delegate= of user@.service) is less than what the tree has.
std::vector<std::string> controllers_for(const HostFacts& facts, const std::string& mount) {
    const std::string own = cat(mount, "/user.slice/user-", facts.uid, ".slice/user@", facts.uid, ".service");
    const bool user = facts.uid != 0 && ::access(own.c_str(), F_OK) == 0;
    return names_in(line_of(cat(user ? own : mount, "/cgroup.controllers")), ' ');
}

// A unit's main process has the unit's group to itself, and systemd says on the group that it is given away
// (systemd.io/CGROUP_DELEGATION). Whoever shares it with others asks systemd for another.
std::string find_own(const std::string& mount, std::string_view path) {
    const auto inside = normal_path(path);
    if (!inside || *inside == "/") return {};
    std::string group = cat(mount, *inside);
    const auto says_so = [&group](const char* name) {
        char mark = 0;
        return ::getxattr(group.c_str(), name, &mark, 1) == 1 && mark == '1';
    };
    // A user's own systemd of Debian 12 leaves no such mark: there the unit says it.
    const char* said = std::getenv("SANDBOX_UNIT_DELEGATES");
    if (!says_so("user.delegate") && !says_so("trusted.delegate") && std::string_view(said ? said : "") != "yes") return {};
    if (::faccessat(AT_FDCWD, cat(group, "/cgroup.procs").c_str(), W_OK, AT_EACCESS) != 0) return {};
    return line_of(cat(group, "/cgroup.procs")) == std::to_string(::getpid()) ? group : std::string();
}

void add_v2(HostFacts& facts, std::string_view path, bool with_files) {
    CgroupFact group;
    group.version = CgroupVersion::v2;
    group.mount = find_v2();
    if (group.mount.empty()) return;
    group.own = find_own(group.mount, path);
    const std::string& top = group.own.empty() ? group.mount : group.own;
    group.controllers = group.own.empty() ? controllers_for(facts, top) : names_in(line_of(cat(top, "/cgroup.controllers")), ' ');
    group.enabled = names_in(line_of(cat(top, "/cgroup.subtree_control")), ' ');
    group.writable = ::faccessat(AT_FDCWD, group.mount.c_str(), W_OK, AT_EACCESS) == 0;
    // Only the true root has no type (cgroups(7)), and only it may have processes beside groups with controllers.
    group.crowded = ::access(cat(group.mount, "/cgroup.type").c_str(), F_OK) == 0 && !line_of(cat(group.mount, "/cgroup.procs")).empty();
    if (with_files) look_at_files(group);
    facts.cgroups.push_back(std::move(group));
}

// As sd_booted(3) finds out. An ordinary user has a manager of its own, behind a bus of its own. The socket of a bus that will know
// the caller is the caller's: to root of a user namespace, the machine's belongs to nobody.
void look_for_systemd(HostFacts& facts) {
    facts.systemd = ::access("/run/systemd/system", F_OK) == 0;
    const std::string bus = facts.uid == 0 ? "/run/dbus/system_bus_socket" : cat("/run/user/", facts.uid, "/bus");
    facts.systemd_delegates = facts.systemd && ::access(bus.c_str(), W_OK) == 0 && owner_of(bus) == facts.uid;
}

// As arrange_cgroups has it, from the trees alone.
void describe_layout(HostFacts& facts) {
    bool v1 = false, v2 = false;
    for (const CgroupFact& tree : facts.cgroups) {
        (tree.version == CgroupVersion::v1 ? v1 : v2) = true;
        for (const std::string& controller : tree.controllers) facts.controllers[controller] = tree.version;
    }
    facts.cgroup_layout = v1 && v2 ? "hybrid" : v1 ? "v1" : v2 ? "v2" : "none";
}

}  // namespace

// /proc/self/cgroup has a line "ID:CONTROLLERS:PATH" for each hierarchy; the unified one is "0::PATH" (cgroups(7)).
void probe_cgroup_trees(HostFacts& facts, bool with_files) {
    const std::string own = read_file("/proc/self/cgroup").value_or("");
    for (const std::string_view line : split(own, '\n')) {
        const auto first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) continue;
        const std::string controllers(line.substr(first + 1, second - first - 1));
        if (controllers.starts_with("name=")) continue;
        if (controllers.empty())
            add_v2(facts, line.substr(second + 1), with_files);
        else
            add_v1(facts, controllers, with_files);
    }
    if (facts.cgroup_layout.empty()) describe_layout(facts);
    look_for_systemd(facts);
    if (with_files) facts.processors = static_cast<std::uint32_t>(std::max(0L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

}  // namespace sandbox
