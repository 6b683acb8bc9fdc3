// The audit: each rule opens and closes, closing never raises an exposure, and the shipped profiles have the scores that are recorded.
#include "profile/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "base/text.h"
#include "cli/library.h"
#include "profile/load.h"
#include "profile/origin.h"

namespace sandbox {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

using Words = std::vector<std::string>;

// Everything is closed that can be, so that a rule shows alone.
constexpr std::string_view closed_profile =
    "version: 1\nrootfs: {tmpfs: {}}\ncapabilities: {base: none, ambient: []}\nnamespaces: {time: private}\n"
    "resources: {memory: {max: 64Mi}, cpu: {limit: 1}, io: {weight: 50}}\nulimits: {core: 0}\n"
    "lifecycle: {timeout: 1m}\nprocess: {command: [/bin/true], user: \"65534:65534\"}\n";

Loaded load(std::string_view text, const Words& set) {
    LoadRequest request;
    request.profile.file = {"web.yaml", std::string(text), "/srv/profiles"};
    request.stem = "web";
    request.set = set;
    request.variables = {{"HOME", "/home/joe"}, {"USER", "joe"}, {"UID", "1000"}, {"GID", "1000"}, {"PWD", "/home/joe/work"}};
    return load_profile(request);
}

std::string rendered(const Loaded& loaded) {
    std::string out;
    for (const Diagnostic& d : loaded.diagnostics) out += render(d, loaded.sources, false);
    return out;
}

// A whole map stands in place of the profile's own, and is not merged into it.
Words replacing(const Words& set) {
    Words out;
    for (const std::string& word : set) {
        for (const std::string_view key : {"rootfs", "capabilities", "process.environment"})
            if (word.starts_with(cat(key, "={"))) out.push_back(cat(key, "=null"));
        out.push_back(word);
    }
    return out;
}

Audit audit_of(const Words& set, std::string_view text = closed_profile) {
    const Loaded loaded = load(text, replacing(set));
    EXPECT_EQ(rendered(loaded), "") << testing::PrintToString(set);
    return audit_profile(loaded.profile);
}

// The worst of one rule.
AuditFinding worst_of(const Audit& audit, std::string_view rule) {
    AuditFinding worst;
    bool found = false;
    for (const AuditFinding& finding : audit.findings)
        if (finding.rule == rule && (!found || finding.exposure > worst.exposure)) worst = finding, found = true;
    EXPECT_TRUE(found) << rule;
    return worst;
}

// What opens a rule, and its closed or more closed spelling. Several of one rule go from open to closed.
struct Case {
    std::string rule;
    Words open, closed;
    bool entirely = true;  // the closed one is no exposure at all
};

const std::vector<Case>& cases() {
    static const std::vector<Case> all = {
        {"namespaces.mount",
         {"rootfs={host: rw}", "mask=none", "readonly_paths=none", "dev.mode=host", "proc.mode=inherit", "namespaces={mount: host}",
          "hostname=null"},
         {}},
        {"namespaces.pid", {"namespaces.pid=host"}, {"namespaces.pid=private"}},
        {"namespaces.pid", {"namespaces.pid=host"}, {"namespaces.pid={path: /proc/7/ns/pid}"}, false},
        {"namespaces.ipc", {"namespaces.ipc=host"}, {"namespaces.ipc=private"}},
        {"namespaces.uts", {"namespaces.uts=host"}, {"namespaces.uts=private"}},
        {"namespaces.cgroup", {"namespaces.cgroup=host"}, {"namespaces.cgroup=private"}},
        {"namespaces.time", {"namespaces.time=host"}, {"namespaces.time=private"}},
        {"id_map", {"id_map=host"}, {"id_map=auto"}},
        {"id_map", {"id_map=caller"}, {"id_map=auto"}},
        {"id_map", {"id_map=host"}, {"id_map=caller"}, false},
        {"id_map", {"id_map={uid: [\"0:0:1\"], gid: [\"0:0:1\"]}"}, {"id_map={uid: [\"0:100000:65536\"], gid: [\"0:100000:65536\"]}"}},
        {"id_map", {"id_map={uid: [\"0:0:1\"], gid: [\"0:0:1\"]}"}, {"id_map={uid: [\"0:1000:1\"], gid: [\"0:1000:1\"]}"}, false},
        {"process.user", {"process.user=0:0"}, {"process.user=1000:1000"}},
        {"process.user", {"process.user=root"}, {"process.user=daemon"}},
        {"capabilities.dangerous", {"capabilities.add=[SYS_ADMIN]"}, {}},
        {"capabilities.dangerous", {"capabilities={base: all}"}, {"capabilities={base: none}"}},
        {"capabilities.dangerous", {"capabilities={base: all}"}, {"capabilities={base: default}"}, false},
        {"capabilities.dangerous", {"capabilities={base: default}"}, {"capabilities={base: default, drop: [MKNOD, NET_RAW, AUDIT_READ]}"}},
        {"capabilities.ordinary", {"capabilities={base: default}"}, {"capabilities={base: none}"}},
        {"capabilities.ordinary", {"capabilities={base: none, add: [CHOWN, KILL]}"}, {"capabilities={base: none, add: [CHOWN]}"}, false},
        {"capabilities.ambient", {"capabilities={base: default}"}, {"capabilities={base: default, ambient: []}"}},
        {"security.no_new_privileges", {"security.no_new_privileges=false"}, {"security.no_new_privileges=true"}},
        {"security.seccomp.filter", {"security.seccomp.profile=none"}, {"security.seccomp.profile=default"}},
        {"security.seccomp.filter", {"security.seccomp.profile=none"}, {"security.seccomp.profile=/etc/filter.json"}, false},
        {"security.seccomp.filter", {"security.seccomp.action=log"}, {"security.seccomp.action=kill"}},
        {"security.seccomp.allow", {"security.seccomp.allow=[\"@mount\"]"}, {}},
        {"security.seccomp.allow", {"security.seccomp.allow=[io_uring_setup]"}, {}},
        {"security.seccomp.allow", {"security.seccomp.allow=[unshare]"}, {}},
        {"security.seccomp.allow", {"security.seccomp.allow=[\"@mount\", bpf]"}, {"security.seccomp.allow=[\"@mount\"]"}, false},
        {"security.keyring", {"security.keyring=inherit"}, {"security.keyring=new"}},
        {"policy.unsupported", {"policy.unsupported=warn"}, {"policy.unsupported=error"}},
        {"rootfs.write", {"rootfs={host: rw}"}, {"rootfs={host: ro}"}},
        {"rootfs.write", {"rootfs={path: /srv/tree}"}, {"rootfs={path: /srv/tree, readonly: true}"}},
        {"rootfs.write", {"rootfs={overlay: {lower: [/srv/a], upper: /srv/b}}"}, {"rootfs={overlay: {lower: [/srv/a]}}"}},
        {"rootfs.host", {"rootfs={host: ro}"}, {"rootfs={tmpfs: {}}"}},
        {"rootfs.host", {"rootfs={overlay: {lower: [/]}}"}, {"rootfs={overlay: {lower: [/srv/a]}}"}},
        {"rootfs.propagation", {"rootfs.propagation=slave"}, {"rootfs.propagation=private"}},
        {"rootfs.idmap", {"rootfs={path: /srv/tree, idmap: chown}"}, {"rootfs={path: /srv/tree}"}},
        {"mask.private", {"rootfs={host: ro}"}, {"rootfs={host: ro}", "mask=[/home, /root, /srv, /mnt, /media]"}},
        {"mask.private", {"rootfs={host: ro}"}, {"rootfs={host: ro}", "mask=[/home, /root]"}, false},
        {"mask.kernel", {"mask=none"}, {"mask=default"}},
        {"readonly_paths", {"readonly_paths=none"}, {"readonly_paths=default"}},
        {"mounts.bind", {"mounts=[\"/etc:/etc:rw\"]"}, {"mounts=[\"/etc:/etc:ro\"]"}, false},
        {"mounts.bind", {"mounts=[\"/run/docker.sock:/run/docker.sock\"]"}, {}},
        {"mounts.bind", {"mounts=[\"/home/joe:/data:rw\"]"}, {}},
        {"mounts.overlay", {"mounts=[{type: overlay, target: /x, overlay: {lower: [/etc]}}]"}, {}},
        {"mounts.overlay",
         {"mounts=[{type: overlay, target: /x, overlay: {lower: [/etc], upper: /var/lib/up}}]"},
         {"mounts=[{type: overlay, target: /x, overlay: {lower: [/etc]}}]"},
         false},
        {"mounts.suid", {"mounts=[{type: tmpfs, target: /x, size: 1Mi, suid: true}]"}, {"mounts=[{type: tmpfs, target: /x, size: 1Mi}]"}},
        {"mounts.dev", {"mounts=[{type: tmpfs, target: /x, size: 1Mi, dev: true}]"}, {"mounts=[{type: tmpfs, target: /x, size: 1Mi}]"}},
        {"mounts.exec", {"mounts=[{type: tmpfs, target: /x, size: 1Mi, exec: true}]"}, {"mounts=[{type: tmpfs, target: /x, size: 1Mi}]"}},
        {"mounts.size", {"mounts=[{type: tmpfs, target: /x}]"}, {"mounts=[{type: tmpfs, target: /x, size: 1Mi}]"}},
        {"mounts.kernel", {"mounts=[{type: proc, target: /x}]"}, {}},
        {"mounts.kernel",
         {"mounts=[{type: cgroup, target: /sys/fs/cgroup, mode: rw}]"},
         {"mounts=[{type: cgroup, target: /sys/fs/cgroup}]"},
         false},
        {"files.source", {"files={/x: {source: /etc/shadow}}"}, {"files={/x: {content: a}}"}},
        {"proc.mode", {"proc.mode=inherit"}, {"proc.mode=fresh"}},
        {"proc.mode", {"proc.mode=inherit"}, {"proc.mode=none"}},
        {"proc.hidepid", {"namespaces.pid=host"}, {"namespaces.pid=host", "proc.hidepid=2"}, false},
        {"proc.hidepid", {"namespaces.pid=host"}, {}},
        {"dev.mode", {"dev.mode=host"}, {"dev.mode=minimal"}},
        {"devices", {"devices=[/dev/kvm]"}, {}},
        {"devices", {"devices=[/dev/sda]"}, {"devices=[{path: /dev/sda, access: r}]"}, false},
        {"devices", {"devices=[/dev/kvm]"}, {"devices=[/dev/full]"}},
        {"network.mode", {"network.mode=host"}, {"network.mode=none"}},
        {"network.mode", {"network.mode=host"}, {"network.mode=bridge"}, false},
        {"network.mode", {"network={mode: macvlan, parent: eth0, interface: {ip: 192.0.2.2/24}}"}, {"network.mode=bridge"}, false},
        {"network.mode", {"network={mode: path, path: /run/netns/x}"}, {"network={mode: container, of: other}"}, false},
        {"network.egress", {"network={mode: bridge}"}, {"network={mode: bridge, egress: deny}"}},
        {"network.egress", {"network={mode: bridge}"}, {"network={mode: bridge, egress: {default: deny, allow: [\"0.0.0.0/0\"]}}"}, false},
        {"network.egress",
         {"network={mode: bridge, egress: {default: deny, allow: [\"0.0.0.0/0\"]}}"},
         {"network={mode: bridge, egress: {default: deny, allow: [\"192.0.2.1:80/tcp\"]}}"},
         false},
        {"network.ports",
         {"network={mode: bridge, ports: [\"0.0.0.0:80:80\"]}"},
         {"network={mode: bridge, ports: [\"192.0.2.1:80:80\"]}"},
         false},
        {"network.ports", {"network={mode: bridge, ports: [\"192.0.2.1:80:80\"]}"}, {"network={mode: bridge, ports: [\"80:80\"]}"}, false},
        {"network.ports", {"network={mode: bridge, ports: [\"80:80\"]}"}, {"network={mode: bridge}"}},
        {"resources.memory", {"resources.memory.max=infinity"}, {"resources.memory.max=1Gi"}},
        {"resources.swap", {"resources.memory.swap=infinity"}, {"resources.memory.swap=1Gi"}, false},
        {"resources.swap", {"resources.memory.swap=1Gi"}, {"resources.memory.swap=0"}},
        {"resources.pids", {"resources.pids=infinity"}, {"resources.pids=100"}},
        {"resources.pids", {"resources.pids=infinity"}, {"resources.pids=100000"}, false},
        {"resources.cpu", {"resources.cpu.limit=infinity"}, {"resources.cpu.limit=2"}},
        {"resources.cpu", {"resources.cpu=null"}, {"resources.cpu={idle: true}"}, false},
        {"resources.io", {"resources.io=null"}, {"resources.io.weight=10"}},
        {"lifecycle.timeout", {"lifecycle.timeout=null"}, {"lifecycle.timeout=5m"}},
        {"lifecycle.timeout", {"lifecycle.timeout=null"}, {"lifecycle={cpu_time: 5m, timeout: null}"}, false},
        {"ulimits.core", {"ulimits={core: infinity}"}, {"ulimits={core: 0}"}},
        {"ulimits.core", {"ulimits=null"}, {"ulimits={core: \"0:100\"}"}, false},
        {"process.priority", {"process.nice=-5"}, {"process.nice=5"}},
        {"process.priority", {"process.oom_score_adj=-500"}, {"process.oom_score_adj=500"}},
        {"process.priority", {"process.scheduler={policy: fifo, priority: 1}"}, {}},
        {"cgroup.manager", {"cgroup.manager=none", "resources=null"}, {"resources=null"}},
        {"cgroup.delegate", {"cgroup.delegate=true"}, {"cgroup.delegate=false"}},
        {"cgroup.raw", {"cgroup.raw={v2: {memory.high: \"1\"}}"}, {}},
        {"sysctl", {"sysctl={kernel.msgmax: 1000}"}, {}},
        {"process.environment", {"process.inherit=[\"*\"]"}, {"process.inherit=[\"LC_*\"]"}, false},
        {"process.environment", {"process.environment=[GITHUB_TOKEN]"}, {"process.environment=[TERM]"}, false},
        {"process.environment", {"process.environment=[TERM]"}, {"process.environment={TERM: vt100}"}},
        {"process.pass_fds", {"process.pass_fds=[3]"}, {}},
        {"lifecycle.hooks",
         {"lifecycle.hooks={started: [{command: [/bin/true]}]}"},
         {"lifecycle.hooks={started: [{command: [/bin/true], where: sandbox}]}"}},
        {"lifecycle.restart", {"lifecycle.restart={policy: always}"}, {"lifecycle.restart={policy: always, max: 3}"}, false},
        {"lifecycle.restart", {"lifecycle.restart={policy: on-failure, max: 3}"}, {}},
        {"logging", {"logging.driver=none"}, {"logging.driver=file"}},
    };
    return all;
}

TEST(Audit, each_rule_opens_and_closes) {
    std::set<std::string, std::less<>> opened, closed;
    for (const Case& each : cases()) {
        SCOPED_TRACE(testing::PrintToString(each.open));
        const AuditFinding open = worst_of(audit_of(each.open), each.rule), shut = worst_of(audit_of(each.closed), each.rule);
        EXPECT_GT(open.exposure, 0) << open.meaning;
        EXPECT_LE(open.exposure, open.weight * 10);
        EXPECT_GT(open.exposure, shut.exposure) << shut.meaning;
        EXPECT_NE(open.cure, "");
        EXPECT_NE(open.meaning, "");
        opened.insert(each.rule);
        if (!each.entirely) continue;
        EXPECT_EQ(shut.exposure, 0) << shut.meaning;
        EXPECT_EQ(shut.cure, "");
        closed.insert(each.rule);
    }
    for (const std::string_view rule : audit_rule_names()) {
        EXPECT_TRUE(opened.contains(rule)) << "no case opens " << rule;
        EXPECT_TRUE(closed.contains(rule)) << "no case closes " << rule;
    }
}

Words together(const Words& a, const Words& b) {
    Words out = a;
    out.insert(out.end(), b.begin(), b.end());
    return out;
}

// Each pair in the company of each other case's open and closed side. Which of them do not go together the checks say. Under the
// sanitizers, where ten thousands of profiles take minutes, in the company of every eighth.
TEST(Audit, closing_a_key_never_raises_the_exposure) {
#ifdef SANDBOX_SANITIZED
    constexpr std::size_t stride = 8;
#else
    constexpr std::size_t stride = 1;
#endif
    int compared = 0;
    for (std::size_t i = 0; i < cases().size(); i += stride)
        for (const Case& each : cases())
            for (const Words& company : {cases()[i].open, cases()[i].closed}) {
                if (cases()[i].rule == each.rule) continue;
                const Loaded open = load(closed_profile, together(company, each.open)),
                             shut = load(closed_profile, together(company, each.closed));
                if (has_errors(open.diagnostics) || has_errors(shut.diagnostics)) continue;
                // A case whose closed side is the default says nothing there of what its company has set in the same place.
                const Audit before = audit_profile(open.profile), after = audit_profile(shut.profile);
                if (worst_of(before, each.rule).exposure < worst_of(after, each.rule).exposure) continue;
                ++compared;
                EXPECT_GE(before.exposure, after.exposure)
                    << each.rule << " in the company of " << testing::PrintToString(company) << ": " << testing::PrintToString(each.open);
            }
    EXPECT_GT(compared, 5000 / static_cast<int>(stride));
}

TEST(Audit, the_ends_of_the_scale) {
    const Audit closed = audit_of({});
    EXPECT_EQ(closed.exposure, 0);
    EXPECT_EQ(closed.word, "closed");
    for (const AuditFinding& finding : closed.findings) EXPECT_EQ(finding.exposure, 0) << finding.key << ": " << finding.meaning;

    const Audit plain = audit_of({}, "version: 1\nrootfs: {tmpfs: {}}\nprocess: {command: [/bin/true]}\n");
    EXPECT_GT(plain.exposure, 0);
    EXPECT_LE(plain.exposure, 25) << "the defaults are safe";

    const Audit open = audit_of({"rootfs={host: rw}", "id_map=host", "capabilities={base: all}",
                                 "security={no_new_privileges: false, seccomp: {profile: none}}", "network.mode=host",
                                 "namespaces.pid=host", "process.user=0:0"});
    EXPECT_EQ(open.exposure, 100);
    EXPECT_EQ(open.word, "open");
}

TEST(Audit, one_hole_is_not_made_small_by_what_is_closed) {
    EXPECT_EQ(audit_of({"mounts=[\"/run/docker.sock:/run/docker.sock\"]"}).exposure, 100);
    EXPECT_GE(audit_of({"network.mode=host"}).exposure, 60);
}

TEST(Audit, capabilities_count_less_in_a_user_namespace_of_its_own) {
    const auto admin = [](const Words& set) {
        const Audit audit = audit_of(together(set, {"capabilities.add=[SYS_ADMIN]"}));
        return worst_of(audit, "capabilities.dangerous");
    };
    const AuditFinding own = admin({}), host = admin({"id_map=host"});
    EXPECT_LT(own.exposure, host.exposure);
    EXPECT_EQ(own.key, "capabilities.add[0]");
    EXPECT_EQ(own.at.line, 1U);
    EXPECT_THAT(own.cure, HasSubstr("remove SYS_ADMIN"));
}

// What a place is worth follows from its name, from what holds it and from what it holds.
TEST(Audit, writable_places_are_weighed_by_where_they_lead) {
    const auto exposure = [](const std::string& path) {
        return worst_of(audit_of({cat("mounts=[\"", path, ":/x:rw\"]")}), "mounts.bind").exposure;
    };
    EXPECT_EQ(exposure("/"), 100);
    EXPECT_EQ(exposure("/var/run/docker.sock"), 100);
    EXPECT_EQ(exposure("/usr/bin"), 100);
    EXPECT_GE(exposure("/etc/cron.d"), exposure("/var/lib/mysql"));
    EXPECT_GT(exposure("/var/lib/docker"), exposure("/var/lib/mysql"));
    EXPECT_EQ(exposure("/var"), exposure("/var/lib/docker")) << "it is in there";
    EXPECT_EQ(exposure("/var/lib"), exposure("/var/lib/docker"));
    EXPECT_GT(exposure("/var/lib/mysql"), exposure("/var/lib/sandbox/mysql"));
    EXPECT_EQ(exposure("/var/lib/sandboxes"), exposure("/var/lib/mysql"));
    EXPECT_GT(exposure("/home"), exposure("/home/joe/work"));
    EXPECT_GT(exposure("/home/joe/.ssh"), exposure("/home/joe/work"));
    EXPECT_GT(exposure("/home/joe"), exposure("/home/joe/work"));
    EXPECT_GT(exposure("/root"), exposure("/root/work"));
    EXPECT_EQ(exposure("/usrlocal"), exposure("/data")) << "a name that only begins alike";
}

TEST(Audit, values_have_the_place_where_they_were_written) {
    const Loaded loaded = load(
        "version: 1\nrootfs: {tmpfs: {}}\nsecurity:\n  no_new_privileges: false\nmounts:\n"
        "  - {type: tmpfs, target: /x, size: 1Mi, suid: true}\nprocess: {command: [/bin/true]}\n",
        {"network.mode=host"});
    ASSERT_EQ(rendered(loaded), "");
    const Audit audit = audit_profile(loaded.profile);
    const auto origin = [&](std::string_view rule) {
        const AuditFinding finding = worst_of(audit, rule);
        return describe_origin(loaded.sources, finding.at.known() ? finding.at : written_at(loaded, finding.key));
    };
    EXPECT_EQ(origin("security.no_new_privileges"), "web.yaml:4");
    EXPECT_EQ(origin("mounts.suid"), "web.yaml:6");
    EXPECT_EQ(origin("network.mode"), "--set");
    EXPECT_EQ(origin("security.keyring"), "default");
    EXPECT_EQ(origin("resources.memory"), "default");
    EXPECT_FALSE(written_at(loaded, "mounts[7].suid") == written_at(loaded, "mounts[0]"));
    EXPECT_FALSE(written_at(loaded, "security.seccomp.profile").known());
}

TEST(Audit, exposures_are_printed_with_one_digit) {
    EXPECT_EQ(format_exposure(0), "0.0");
    EXPECT_EQ(format_exposure(7), "0.7");
    EXPECT_EQ(format_exposure(100), "10.0");
}

// ---- recorded scores

constexpr const char* profiles_folder = SOURCE_DIR "/profiles";
constexpr const char* scores_file = SOURCE_DIR "/profiles/scores";

// As the program loads them, for one caller: ${UID} and ${PWD} are part of what a profile opens.
std::string score_of(const fs::path& file) {
    LoadRequest request;
    InstalledProfiles library(std::vector<ProfilePlace>{});
    std::ifstream stream(file, std::ios::binary);
    request.profile.file = {file.string(), {std::istreambuf_iterator<char>(stream), {}}, file.parent_path().string()};
    request.library = &library;
    request.stem = profile_stem(file.string());
    request.variables = {{"HOME", "/home/joe"}, {"USER", "joe"},           {"UID", "1000"},
                         {"GID", "1000"},       {"PWD", "/home/joe/work"}, {"RUNTIME_DIR", "/run/user/1000"}};
    request.command = {"/bin/true"};  // layers have none
    const Loaded loaded = load_profile(request);
    EXPECT_FALSE(has_errors(loaded.diagnostics)) << rendered(loaded);
    return format_exposure(audit_profile(loaded.profile).exposure);
}

std::map<std::string, std::string> scores_now() {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(profiles_folder))
        if (entry.path().extension() == ".yaml")
            out[fs::relative(entry.path(), profiles_folder).replace_extension().string()] = score_of(entry.path());
    return out;
}

std::map<std::string, std::string> scores_recorded() {
    std::map<std::string, std::string> out;
    std::ifstream stream(scores_file);
    for (std::string line; std::getline(stream, line);) {
        const auto blank = line.rfind(' ');
        if (line.empty() || line.starts_with('#') || blank == std::string::npos) continue;
        out[std::string(trim(line.substr(0, blank)))] = line.substr(blank + 1);
    }
    return out;
}

void record(const std::map<std::string, std::string>& scores) {
    std::ofstream stream(scores_file, std::ios::binary);
    stream << "# The exposure of each shipped profile, 0.0 (closed) to 10.0 (open), as `sandbox audit` finds it for an ordinary user.\n"
              "# SANDBOX_UPDATE_GOLDEN=1 build/unit-tests --gtest_filter='AuditScores.*' writes it; read the difference before it is "
              "committed.\n";
    for (const auto& [name, score] : scores) stream << name << ' ' << score << '\n';
}

TEST(AuditScores, every_shipped_profile_has_the_recorded_one) {
    const std::map<std::string, std::string> now = scores_now();
    ASSERT_GE(now.size(), 7U);
    if (const char* update = std::getenv("SANDBOX_UPDATE_GOLDEN"); update && std::string_view(update) == "1") return record(now);
    std::map<std::string, std::string> recorded = scores_recorded();
    const std::string advice =
        "if this is right: SANDBOX_UPDATE_GOLDEN=1 build/unit-tests --gtest_filter='AuditScores.*' writes profiles/scores";
    for (const auto& [name, score] : now) {
        const auto known = recorded.find(name);
        if (known == recorded.end()) {
            ADD_FAILURE() << "profile " << name << " has no recorded score; it is " << score << "; " << advice;
            continue;
        }
        EXPECT_EQ(score, known->second) << "profile " << name << "; " << advice;
        recorded.erase(known);
    }
    for (const auto& [name, score] : recorded) ADD_FAILURE() << "a score of " << name << " is recorded, which is no profile; " << advice;
}

}  // namespace
}  // namespace sandbox
