// What is wrong with a profile on this host: what its facts tell, and what only a look into the files tells that it names.

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cli.h"
#include "exec/lower.h"
#include "kernel/seccomp.h"

namespace sandbox {
namespace {

void add(Diagnostics& out, std::string code, const Text& value, std::string key, std::string message, std::string hint) {
    const auto length = static_cast<std::uint32_t>(std::clamp<std::size_t>(value->size(), 1, 200));
    out.push_back({std::move(code), Severity::error, value.at, std::move(key), std::move(message), std::move(hint), length});
}

// ---- seccomp: the names that the kernel's calls have are known to the filter's compiler

void check_calls(const std::vector<Text>& names, std::string_view key, Diagnostics& out) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (known_system_call(*names[i])) continue;
        SeccompRequest alone;
        alone.base = SeccompRequest::Base::none;
        alone.deny = {*names[i]};
        if (const auto filter = compile_seccomp(alone); !filter)
            add(out, "E0540", names[i], cat(key, "[", i, "]"), filter.error().message,
                filter.error().hint.empty() ? "syscalls(2) has the names; groups are those of systemd" : filter.error().hint);
    }
}

void check_filter_file(const Text& file, Diagnostics& out) {
    if (!file->starts_with('/')) return;
    constexpr const char* key = "security.seccomp.profile";
    const auto json = read_input(*file);
    if (!json) return add(out, "E0541", file, key, json.error().message, "name a file that the caller can read");
    SeccompRequest request;
    request.base = SeccompRequest::Base::json;
    request.json = *json;
    if (const auto filter = compile_seccomp(request); !filter)
        add(out, "E0541", file, key, cat(quote(*file), ": ", filter.error().message),
            filter.error().hint.empty() ? "the form is that of 'linux.seccomp' in the OCI runtime specification" : filter.error().hint);
}

void check_all_calls(const Seccomp& seccomp, Diagnostics& out) {
    check_calls(seccomp.allow, "security.seccomp.allow", out);
    check_calls(seccomp.deny, "security.seccomp.deny", out);
}

// ---- namespaces that are joined

struct Kind {
    const char* name;
    int type;
};
constexpr Kind kinds[] = {{"mount", CLONE_NEWNS},      {"pid", CLONE_NEWPID},   {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},
                          {"cgroup", CLONE_NEWCGROUP}, {"user", CLONE_NEWUSER}, {"time", CLONE_NEWTIME}, {"network", CLONE_NEWNET}};

const char* name_of(int type) {
    const auto* kind = std::ranges::find(kinds, type, &Kind::type);
    return kind == std::end(kinds) ? "another" : kind->name;
}

// setns(2) would say no more than that an argument is invalid. What cannot be looked at is left to it.
void check_joined(const Text& path, int type, std::string key, Diagnostics& out) {
    if (path->empty()) return;
    const Fd place(open(path->c_str(), O_PATH | O_CLOEXEC));
    struct statfs info {};
    if (!place || fstatfs(place.get(), &info) != 0) return;
    const std::string example = cat("name one such as /proc/PID/ns/", type == CLONE_NEWNET  ? "net"
                                                                      : type == CLONE_NEWNS ? "mnt"
                                                                                            : name_of(type));
    if (info.f_type != NSFS_MAGIC) return add(out, "E0542", path, std::move(key), cat(quote(*path), " is not a namespace"), example);
    const Fd file(open(cat("/proc/self/fd/", place.get()).c_str(), O_RDONLY | O_CLOEXEC));
    const int found = file ? ioctl(file.get(), NS_GET_NSTYPE) : -1;
    if (found < 0 || found == type) return;
    add(out, "E0542", path, std::move(key), cat(quote(*path), " is a namespace of another type: ", name_of(found)), example);
}

void check_namespaces(const Profile& profile, Diagnostics& out) {
    const Namespaces& n = profile.namespaces;
    check_joined(n.mount.path, CLONE_NEWNS, "namespaces.mount.path", out);
    check_joined(n.pid.path, CLONE_NEWPID, "namespaces.pid.path", out);
    check_joined(n.ipc.path, CLONE_NEWIPC, "namespaces.ipc.path", out);
    check_joined(n.uts.path, CLONE_NEWUTS, "namespaces.uts.path", out);
    check_joined(n.cgroup.path, CLONE_NEWCGROUP, "namespaces.cgroup.path", out);
    check_joined(n.user.path, CLONE_NEWUSER, "namespaces.user.path", out);
    check_joined(n.time.path, CLONE_NEWTIME, "namespaces.time.path", out);
    check_joined(profile.network.path, CLONE_NEWNET, "network.path", out);
}

// A key is told one mistake at a time: the first found is the cause.
void add_new(Diagnostics& to, Diagnostics found) {
    const auto known = to.size();
    for (Diagnostic& d : found) {
        const auto end = to.begin() + static_cast<std::ptrdiff_t>(known);
        if (d.key.empty() || std::find_if(to.begin(), end, [&d](const Diagnostic& t) { return t.key == d.key; }) == end)
            to.push_back(std::move(d));
    }
}

}  // namespace

Result<HostFacts> examine(Loaded& loaded) {
    auto facts = probe_for(loaded.profile);
    if (facts) examine_with(loaded, *facts);
    return facts;
}

void examine_with(Loaded& loaded, const HostFacts& facts) {
    // What follows from a mistake is none of its own: of a profile that has one, only what stands alone is looked at.
    add_new(loaded.diagnostics,
            has_errors(loaded.diagnostics) ? check_named_files(loaded.profile, facts) : check_against_host(loaded.profile, facts));
    Diagnostics seen;
    check_all_calls(loaded.profile.security.seccomp, seen);
    check_filter_file(loaded.profile.security.seccomp.profile, seen);
    check_namespaces(loaded.profile, seen);
    add_new(loaded.diagnostics, std::move(seen));
    sort_by_position(loaded.diagnostics);
}

void examine_without_host(Loaded& loaded) {
    Diagnostics seen;
    check_all_calls(loaded.profile.security.seccomp, seen);
    add_new(loaded.diagnostics, std::move(seen));
    sort_by_position(loaded.diagnostics);
}

}  // namespace sandbox
