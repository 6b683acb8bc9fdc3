#include "profile/untrusted.h"

#include <algorithm>

#include "base/text.h"

namespace sandbox {
namespace {

class Untrusted {
   public:
    Untrusted(const Profile& profile, const UntrustedContext& context, Diagnostics& out) : p_(profile), context_(context), out_(out) {}

    void check() {
        check_hooks();
        check_network();
        check_namespaces();
        check_privileges();
        check_fences();
        check_root();
        check_files();
        check_process();
        check_groups();
    }

   private:
    const Profile& p_;
    const UntrustedContext& context_;
    Diagnostics& out_;

    void refuse(Position at, std::string key, std::string_view why, std::string hint = "without --untrusted, once you trust the profile") {
        if (!at.known()) at = {0, 1, 1};
        out_.push_back({"E0150", Severity::error, at, std::move(key), cat("an untrusted profile ", why), std::move(hint), 1});
    }

    [[nodiscard]] bool own(const std::string& path) const { return beneath(path, context_.directory); }

    void check_hooks() {
        const Hooks& hooks = p_.lifecycle.hooks;
        const auto each = [&](const std::vector<Hook>& list, std::string_view name) {
            for (std::size_t i = 0; i < list.size(); ++i)
                refuse(list[i].at, cat("lifecycle.hooks.", name, "[", i, "]"), "may not have hooks");
        };
        each(hooks.prepare, "prepare");
        each(hooks.started, "started");
        each(hooks.stopped, "stopped");
    }

    void check_network() {
        const Network& network = p_.network;
        if (*network.mode == NetworkMode::none || *network.mode == NetworkMode::bridge) return;
        refuse(network.mode.at, "network.mode", "may have no network but one of its own behind the bridge", "set it to none or bridge");
    }

    void check_namespaces() {
        const Namespaces& n = p_.namespaces;
        const auto each = [&](const Namespace& space, std::string_view name) {
            if (*space.mode != NamespaceMode::private_)
                refuse(space.mode.at, cat("namespaces.", name), "may not share a namespace", "set it to private");
        };
        each(n.mount, "mount");
        each(n.pid, "pid");
        each(n.ipc, "ipc");
        each(n.uts, "uts");
        each(n.cgroup, "cgroup");
        if (*n.user.mode != NamespaceMode::private_ || *p_.id_map.mode == IdMapMode::host)
            refuse(n.user.mode.at.known() ? n.user.mode.at : p_.id_map.mode.at, "id_map", "may not have the host's own ids",
                   "set it to auto");
        if (*n.time.mode == NamespaceMode::path)
            refuse(n.time.mode.at, "namespaces.time", "may not share a namespace", "set it to private or host");
        if (*p_.id_map.mode == IdMapMode::ranges) refuse(p_.id_map.mode.at, "id_map", "may not choose ids of the host", "set it to auto");
    }

    void check_privileges() {
        const Capabilities& c = p_.capabilities;
        for (std::size_t i = 0; i < c.add.size(); ++i)
            refuse(c.add[i].at, cat("capabilities.add[", i, "]"), "may not have more than the default capabilities");
        if (*c.base == CapabilityBase::all) refuse(c.base.at, "capabilities.base", "may not have all capabilities");
        for (std::size_t i = 0; i < p_.devices.size(); ++i)
            refuse(p_.devices[i].path.at, cat("devices[", i, "]"), "may not have devices of the host");
        for (const auto& [key, value] : p_.sysctl) refuse(value.at, cat("sysctl.", key), "may not change kernel settings");
    }

    void check_fences() {
        const Security& s = p_.security;
        if (!s.no_new_privileges) refuse({}, "security.no_new_privileges", "may not turn it off");
        if (*s.seccomp.profile != "default") refuse(s.seccomp.profile.at, "security.seccomp.profile", "has the default system call filter");
        for (std::size_t i = 0; i < s.seccomp.allow.size(); ++i)
            refuse(s.seccomp.allow[i].at, cat("security.seccomp.allow[", i, "]"), "may not open the system call filter");
        if (*s.seccomp.action == SeccompAction::log)
            refuse(s.seccomp.action.at, "security.seccomp.action", "may not turn the filter into a log");
        if (!s.new_keyring) refuse({}, "security.keyring", "may not have the caller's keys");
        if (!p_.mask.defaults) refuse({}, "mask", "may not uncover what is masked by default");
        if (!p_.readonly_paths.defaults) refuse({}, "readonly_paths", "may not make kernel paths writable");
        if (*p_.dev.mode != DevMode::minimal) refuse(p_.dev.mode.at, "dev.mode", "has a minimal /dev");
        if (*p_.proc.mode == ProcMode::inherit) refuse(p_.proc.mode.at, "proc.mode", "has a /proc of its own");
    }

    // The host's own tree as the root: read-only, and with nothing of people's in sight.
    void check_root() {
        const Rootfs& root = p_.rootfs;
        if (root.host) {
            if (root.host->value == AccessMode::rw)
                refuse(root.host->at, "rootfs.host", "may not write to the host's tree", "set it to ro");
            for (const std::string& home : context_.homes) {
                const bool masked = std::ranges::any_of(p_.mask.paths, [&](const Text& path) { return beneath(home, *path); });
                if (!masked)
                    refuse(root.host->at, "rootfs.host", cat("may not see ", quote(home)),
                           cat("mask it: mask: [", home, "], or extend base/untrusted"));
            }
        }
        if (root.path) check_source(*root.path, "rootfs.path", !root.readonly);
        if (root.overlay) check_overlay(*root.overlay, "rootfs.overlay");
        if (*root.propagation != Propagation::private_)
            refuse(root.propagation.at, "rootfs.propagation", "may not pass mounts to or from the host");
    }

    void check_overlay(const Overlay& overlay, const std::string& key) {
        for (std::size_t i = 0; i < overlay.lower.size(); ++i) check_source(overlay.lower[i], cat(key, ".lower[", i, "]"), false);
        if (!overlay.upper_is_tmpfs()) check_source(overlay.upper, cat(key, ".upper"), true);
        if (overlay.work) check_source(*overlay.work, cat(key, ".work"), true);
    }

    // What it may read of the host beyond its own folder is what everybody's programs are made of; people's files are not.
    void check_source(const Text& path, std::string key, bool writable) {
        if (path->empty() || own(*path)) return;
        if (writable) return refuse(path.at, std::move(key), cat("may write nowhere but in ", quote(context_.directory)));
        const bool public_place = beneath(*path, "/usr") || beneath(*path, "/opt");
        if (!public_place)
            refuse(path.at, std::move(key), cat("may show nothing of the host but ", quote(context_.directory), ", /usr and /opt"));
    }

    void check_files() {
        for (std::size_t i = 0; i < p_.mounts.size(); ++i) {
            const Mount& mount = p_.mounts[i];
            const std::string key = cat("mounts[", i, "]");
            if (*mount.type == MountType::bind) check_source(mount.source, key, *mount.mode == AccessMode::rw);
            if (*mount.type == MountType::cgroup && *mount.mode == AccessMode::rw) refuse(mount.at, key, "may not write to control groups");
            if (mount.overlay) check_overlay(*mount.overlay, cat(key, ".overlay"));
            if (mount.suid || mount.dev) refuse(mount.at, key, "may not have mounts with suid or dev");
        }
        for (const File& file : p_.files)
            if (file.source) check_source(*file.source, cat("files.", *file.path, ".source"), false);
        if (*p_.process.stdin_mode == StdinMode::file) check_source(p_.process.stdin_file, "process.stdin", false);
    }

    void check_process() {
        const Environment& environment = p_.process.environment;
        for (const Text& glob : environment.inherit)
            refuse(glob.at, "process.environment.inherit", "may not have the caller's environment");
        for (const EnvironmentEntry& entry : environment.entries)
            if (!entry.value) refuse({}, cat("process.environment.", entry.name), "may not have the caller's value", "give it a value");
        for (const At<std::int64_t>& fd : p_.process.pass_fds)
            refuse(fd.at, "process.pass_fds", "may not have files that the caller has open");
        if (*p_.process.oom_score_adj < 0)
            refuse(p_.process.oom_score_adj.at, "process.oom_score_adj", "may not survive others when memory ends");
    }

    void check_groups() {
        for (const auto* raw : {&p_.cgroup.raw_v1, &p_.cgroup.raw_v2})
            for (const auto& [file, value] : *raw) refuse(value.at, cat("cgroup.raw.", file), "may not write files of control groups");
        if (p_.cgroup.parent) refuse(p_.cgroup.parent->at, "cgroup.parent", "may not join a group of others");
        if (*p_.cgroup.delegate) refuse(p_.cgroup.delegate.at, "cgroup.delegate", "may not have control groups of its own");
    }
};

}  // namespace

void check_untrusted(const Profile& profile, const UntrustedContext& context, Diagnostics& out) {
    Untrusted(profile, context, out).check();
}

}  // namespace sandbox
