#include "exec/scope.h"

#include <fcntl.h>

#include <cerrno>

#include "base/text.h"
#include "kernel/cgroup.h"
#include "kernel/systemd.h"

namespace sandbox {
namespace {

// The process's group in the unified tree has the line "0::PATH" (cgroups(7)); a path outside of our cgroup namespace begins with "/..".
Result<std::string> group_of(pid_t pid) {
    const Fd folder(open(cat("/proc/", pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail_errno(cat("process ", pid), errno);
    const auto text = read_group(folder.get(), "cgroup");
    if (!text) return tl::unexpected<Error>(text.error());
    for (const std::string_view line : split(*text, '\n'))
        if (line.starts_with("0::"))
            if (auto path = normal_path(line.substr(3))) return std::move(*path);
    return fail(cat("process ", pid, " is in no group that can be seen from here"), "run the launcher outside of a cgroup namespace");
}

std::string folder_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Fd open_folder(const std::string& path) { return Fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)); }

// Without a bus: systemd hears from the kernel that the group is empty, and then forgets the scope.
Status empty_scope(const std::string& path) {
    const Fd group = path.empty() ? Fd() : open_folder(path);
    return group ? empty_group(group.get()) : Status();
}

}  // namespace

Result<std::string> make_scope(Recorder& recorder, const step::MakeScope& what, pid_t pid) {
    std::string folder;
    const Undo undo{"stop-scope", {{"unit", what.unit}, {"user", what.user ? "yes" : "no"}}};
    auto done = recorder.carry_out(undo, [&]() -> Result<Fields> {
        const Manager manager = what.user ? Manager::user : Manager::system;
        if (auto started = start_scope(manager, {what.unit, "processes of a sandbox", pid}); !started) return pass(started);
        auto group = group_of(pid);
        if (!group) return pass(group, what.unit);
        if (folder_name(*group) != what.unit)
            return fail(cat("systemd says that it has made the unit ", what.unit, ", but the process is in ", quote(*group)),
                        "another program may have moved it");
        folder = cat(what.mount, *group);
        return Fields{{"path", folder}};
    });
    if (!done) return pass(done);
    return folder;
}

Status undo_make_scope(const JournalEntry& entry) {
    const std::string unit(field(entry.undo.fields, "unit")), path(field(entry.identity, "path"));
    if (!unit.starts_with("sandbox-") || !unit.ends_with(".scope") || unit.find('/') != std::string::npos ||
        (!path.empty() && (normal_path(path) != path || folder_name(path) != unit)))
        return fail("the record of a scope is damaged");
    auto stopped = stop_unit(field(entry.undo.fields, "user") == "yes" ? Manager::user : Manager::system, unit);
    if (stopped) return stopped;
    const bool left = path.empty() || open_folder(path);
    if (!left) return {};
    return stopped.error().number == ENOTCONN ? empty_scope(path) : stopped;
}

}  // namespace sandbox
