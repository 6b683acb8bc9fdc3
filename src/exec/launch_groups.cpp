// Control groups.
#include "exec/launch_steps.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "exec/scope.h"
#include "kernel/cgroup.h"
#include "kernel/device_filter.h"

namespace sandbox {

Status Launch::run(const step::OpenGroup& s) {
    const int flags = s.v2 ? O_RDONLY | O_DIRECTORY : O_WRONLY;
    slot(s.slot).reset(open(s.v2 ? s.path.c_str() : cat(s.path, "/tasks").c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
    if (!slot(s.slot)) return fail_errno(quote(s.path), errno);
    return {};
}

std::string Launch::real_path(std::string path) const {
    for (const auto& [word, value] : {std::pair<std::string_view, const std::string&>("<id>", id_), {"<scope>", scope_}})
        if (const auto at = path.find(word); at != std::string::npos) path.replace(at, word.size(), value);
    return path;
}

Status Launch::run(const step::ShareGroup& s) {
    Recorder r = recorder();
    auto group = share_group(r, s);
    if (!group) return pass(group);
    shared_groups_.push_back(std::move(*group));
    return {};
}

Status Launch::run(const step::EnableControllers& s) {
    Recorder r = recorder();
    return enable_controllers(r, s);
}

Status Launch::run(const step::MakeGroup& s) {
    Recorder r = recorder();
    const std::string path = real_path(s.path);
    auto group = make_group(r, path, s.cpuset, s.tasks == no_slot || std::ranges::count(s.controllers, "freezer") != 0);
    if (!group) return pass(group);
    if (s.tasks != no_slot) {
        slot(s.tasks).reset(openat(group->get(), "tasks", O_WRONLY | O_CLOEXEC));
        if (!slot(s.tasks)) return fail_errno(quote(cat(path, "/tasks")), errno);
    }
    presence_.status.groups.push_back({s.controllers, path, s.tasks == no_slot});
    groups_.add({s.tasks == no_slot, s.controllers, path, Fd(fcntl(group->get(), F_DUPFD_CLOEXEC, 3))});
    slot(s.slot) = std::move(*group);
    return {};
}

Status Launch::run(const step::SetGroup& s) { return write_group(slot(s.group).get(), s.file, s.value); }

Status Launch::run(const step::DelegateGroup& s) {
    return delegate_group(slot(s.group).get(), s.v2, outside(0).value_or(0), outside_gid(0).value_or(0));
}

Status Launch::run(const step::FilterDevices& s) {
    std::vector<DeviceAccess> allowed;
    for (const step::DeviceRule& rule : s.rules) allowed.push_back({rule.type, rule.major, rule.minor, rule.access});
    const int group = slot(s.group).get();
    return s.v2 ? filter_devices_v2(group, allowed) : filter_devices_v1(group, allowed);
}

Status Launch::run(const step::MakeScope& s) {
    Recorder r = recorder();
    step::MakeScope what = s;
    what.unit = real_path(s.unit);
    auto scope = make_scope(r, what, child_.pid);
    if (!scope) return pass(scope);
    scope_ = std::move(*scope);
    return {};
}

Status Launch::run(const step::MakeLeaf& s) {
    Recorder r = recorder();
    return make_leaf(r, s);
}

Status Launch::run(const step::EnterGroup& s) { return write_group(slot(s.group).get(), "cgroup.procs", std::to_string(child_.pid)); }

Status Launch::run(const step::HandDown& s) { return hand_down({real_path(s.path), s.controllers}); }

Status Launch::renew_limits() {
    auto limits = read_limits(presence_.folder());
    if (!limits) return pass(limits);
    for (const LimitRecord& limit : *limits) {
        const GroupSet::Member* member = groups_.find(limit.controller);
        if (!member) continue;
        if (auto written = write_group(member->folder.get(), limit.file, limit.value); !written) return pass(written, "updated limits");
    }
    return {};
}

}  // namespace sandbox
