#include "planning/hosts.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "base/text.h"
#include "host/probe.h"

namespace sandbox {
namespace {

PathKind kind_by_name(const std::string& path) {
    if (beneath(path, "/missing")) return PathKind::absent;
    if (beneath(path, "/dev") && path != "/dev") return PathKind::character;
    if (beneath(path, "/proc") || beneath(path, "/run/netns")) return PathKind::file;
    for (const std::string_view ending : {".txt", ".conf", ".json", ".sh"})
        if (path.ends_with(ending)) return PathKind::file;
    return PathKind::directory;
}

PathFact made_up(const std::string& path, PathKind kind) {
    PathFact fact;
    fact.kind = kind;
    if (kind == PathKind::absent) {
        fact.error = ENOENT;
        return fact;
    }
    fact.resolved = path;
    fact.device = 2049;
    fact.inode = std::hash<std::string>{}(path);
    fact.mode = kind == PathKind::directory ? 0755 : 0644;
    fact.filesystem = "ext4";
    fact.idmappable = true;
    return fact;
}

HostFacts read_facts(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    auto facts = facts_from_json(std::string{std::istreambuf_iterator<char>(stream), {}});
    if (facts) return std::move(*facts);
    std::fprintf(stderr, "%s: %s\n", path.c_str(), facts.error().message.c_str());
    std::abort();
}

const std::set<std::string>& usual_folders() {
    static const std::set<std::string> folders{"/",    "/proc", "/sys", "/dev", "/run", "/tmp", "/etc",     "/root",    "/home",   "/srv",
                                               "/mnt", "/usr",  "/bin", "/lib", "/opt", "/var", "/usr/bin", "/var/lib", "/var/log"};
    return folders;
}

}  // namespace

std::vector<std::string> host_names() { return {"root-hybrid", "root-v2", "user-debian12", "user-no-subids", "root-in-userns"}; }

HostFacts host_facts(const std::string& folder, const std::string& host, const FactNeeds& needs) {
    static std::map<std::string, HostFacts> known;
    auto found = known.find(host);
    if (found == known.end()) found = known.emplace(host, read_facts(cat(folder, "/", host, ".json"))).first;
    HostFacts facts = found->second;
    if (!needs.passwd) facts.passwd = facts.group = {};
    // What nobody asks for is not looked at (host/probe.h).
    if (!needs.network) {
        facts.interfaces.clear();
        facts.routes.clear();
        facts.network_known = facts.nftables = facts.ipv6 = facts.net_admin = false;
        facts.nftables_error = 0;
    }
    std::erase_if(facts.link_kinds,
                  [&needs](const auto& kind) { return std::ranges::find(needs.link_kinds, kind.first) == needs.link_kinds.end(); });
    if (!needs.names) facts.resolver = {};
    if (!needs.sandboxes) facts.sandboxes.clear();
    for (const std::string& path : needs.paths) facts.paths.emplace(path, made_up(path, kind_by_name(path)));
    for (const std::string& path : needs.disk_paths)
        facts.disks.emplace(
            path, beneath(path, "/missing") ? DiskFact{0, 0, "cannot be looked at: no such file or directory"} : DiskFact{8, 16, {}});
    for (const std::string& path : needs.root_paths)
        facts.root_paths.emplace(path, made_up(path, usual_folders().contains(path) ? PathKind::directory : PathKind::absent));
    return facts;
}

}  // namespace sandbox
