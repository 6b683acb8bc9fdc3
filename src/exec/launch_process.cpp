// The first process: its ids, its namespaces, its properties, and that it is let go.
#include "exec/launch_steps.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "child/image.h"
#include "exec/channel.h"
#include "kernel/idmap.h"
#include "kernel/process.h"

namespace sandbox {
namespace {

// Leased ranges lie where neither useradd (100000 and up) nor systemd's dynamic users are: 12287 ranges of 65536.
constexpr std::uint32_t lease_base = 0x40000000, lease_size = 65536, lease_count = (0x70000000 - lease_base) / lease_size;

// As in <linux/ioprio.h>, which newer releases of Linux 6.1's headers have made C alone (a parameter is called "class").
constexpr int ioprio_who_process = 1, ioprio_class_shift = 13;

std::uint64_t clone_flag(NamespaceType type) {
    switch (type) {
        case NamespaceType::mount: return CLONE_NEWNS;
        case NamespaceType::pid: return CLONE_NEWPID;
        case NamespaceType::ipc: return CLONE_NEWIPC;
        case NamespaceType::uts: return CLONE_NEWUTS;
        case NamespaceType::cgroup: return CLONE_NEWCGROUP;
        case NamespaceType::user: return CLONE_NEWUSER;
        case NamespaceType::net: return CLONE_NEWNET;
        case NamespaceType::time: return 0x80;  // CLONE_NEWTIME, made by the child
    }
    return 0;
}

}  // namespace

Status Launch::run(const step::LeaseIds& s) {
    if (const auto& kept = presence_.kept_network; kept && kept->ids) {
        lease_ = kept->first_id;
        slot(s.slot).reset(fcntl(kept->ids.get(), F_DUPFD_CLOEXEC, 3));
        return slot(s.slot) ? note_lease() : fail_errno("the lease of ids", errno);
    }
    auto lease = root_.lease_range(lease_count);
    if (!lease) return pass(lease);
    lease_ = lease_base + lease->index * lease_size;
    slot(s.slot) = std::move(lease->lock);
    return note_lease();
}

Status Launch::note_lease() {
    auto entry = journal_->intend(plan_.steps[index_].id, {});
    if (!entry) return pass(entry);
    return journal_->done(*entry, {{"base", std::to_string(lease_)}, {"count", std::to_string(lease_size)}});
}

Status Launch::run(const step::TuneProcess& s) {
    const pid_t pid = child_.pid;
    switch (s.what) {
        case step::Tuning::oom_score: {
            const Fd file(open(cat("/proc/", pid, "/oom_score_adj").c_str(), O_WRONLY | O_CLOEXEC));
            const std::string text = std::to_string(s.value);
            if (!file || write(file.get(), text.data(), text.size()) < 0)
                return fail_errno("process.oom_score_adj", errno, errno == EACCES ? "lowering it needs CAP_SYS_RESOURCE" : "");
            return {};
        }
        case step::Tuning::nice:
            if (setpriority(PRIO_PROCESS, static_cast<id_t>(pid), static_cast<int>(s.value)) != 0)
                return fail_errno("process.nice", errno, "a negative nice value needs CAP_SYS_NICE");
            return {};
        case step::Tuning::scheduler: {
            constexpr int policies[] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR};
            sched_param parameters{};
            parameters.sched_priority = static_cast<int>(s.value2);
            if (sched_setscheduler(pid, policies[s.value], &parameters) != 0)
                return fail_errno("process.scheduler", errno, "a real-time policy needs CAP_SYS_NICE");
            return {};
        }
        case step::Tuning::io_priority:
            if (syscall(SYS_ioprio_set, ioprio_who_process, pid, static_cast<int>(s.value << ioprio_class_shift | s.value2)) != 0)
                return fail_errno("process.io_priority", errno);
            return {};
        case step::Tuning::affinity: {
            cpu_set_t set;
            CPU_ZERO(&set);
            for (const std::uint32_t processor : s.processors)
                if (processor < CPU_SETSIZE) CPU_SET(processor, &set);
            if (sched_setaffinity(pid, sizeof set, &set) != 0)
                return fail_errno("process.cpu_affinity", errno, "the caller may run on none of these processors");
            return {};
        }
        case step::Tuning::hard_limit: {
            rlimit64 limit{};
            if (prlimit64(pid, static_cast<__rlimit_resource>(s.value), nullptr, &limit) != 0) return fail_errno("prlimit", errno);
            const auto wanted = static_cast<std::uint64_t>(s.value2);
            if (wanted <= limit.rlim_max) return {};
            limit.rlim_max = wanted;
            if (prlimit64(pid, static_cast<__rlimit_resource>(s.value), &limit, nullptr) != 0)
                return fail_errno("raise a hard limit", errno,
                                  "it needs CAP_SYS_RESOURCE: ask for no more than the caller has (ulimit -H)");
            return {};
        }
    }
    return {};
}

Status Launch::run(const step::OpenProcess& s) {
    Fd process(static_cast<int>(syscall(SYS_pidfd_open, s.pid, 0)));
    const bool same = process && start_time(s.pid) == s.start;
    const auto seen = root_.look(s.sandbox);
    if (!same || !seen || !seen->alive)
        return fail(cat("sandbox ", quote(s.sandbox), " has just ended"), "sandbox ps lists those that run");
    auto namespaces = other_namespaces(s.pid);
    if (!namespaces) return pass(namespaces);
    // Still there: so the namespaces were its own and not those of another with its number.
    if (syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) != 0 && errno == ESRCH)
        return fail(cat("sandbox ", quote(s.sandbox), " has just ended"), "sandbox ps lists those that run");
    namespaces_ = std::move(*namespaces);
    joined_.reset(fcntl(process.get(), F_DUPFD_CLOEXEC, 3));
    slot(s.slot) = std::move(process);
    return {};
}

Status Launch::run(const step::Spawn& s) {
    SpawnRequest request;
    if (s.group != no_slot) request.group = slot(s.group).get();
    for (const NamespaceType type : s.fresh) {
        const int kept = kept_namespace(type);
        if (kept < 0)
            request.namespaces |= clone_flag(type);
        else
            request.joined.push_back({kept, clone_flag(type)});
    }
    for (const step::Join& join : s.joined) request.joined.push_back({slot(join.slot).get(), clone_flag(join.type)});
    const auto image =
        sealed_file("sandbox-init", sandbox_child_image, static_cast<std::size_t>(sandbox_child_image_end - sandbox_child_image), true);
    if (!image) return tl::unexpected<Error>(image.error());
    const auto program = sealed_file("sandbox-program", program_.data(), program_.size(), false);
    if (!program) return tl::unexpected<Error>(program.error());
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("socketpair", errno);
    socket_.reset(ends[0]);
    const Fd other(ends[1]), null(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) return fail_errno("/dev/null", errno);
    request.image = image->get();
    request.program = program->get();
    request.socket = other.get();
    request.null = null.get();
    if (s.process != no_slot) {
        request.process = {slot(s.process).get(), namespaces_.flags, namespaces_.time.get()};
        auto child = spawn(request);
        if (!child) return pass(child);
        child_ = std::move(*child);
        return {};
    }
    Recorder r = recorder();
    Undo undo{"kill-process", {}};
    if (!plan_.supervision.own_pid_namespace && plan_.supervision.init) undo.fields.emplace_back("grace_ms", "2000");
    return r.carry_out(undo, [&]() -> Result<Fields> {
        // What the child executes begins with our mark, and an ordinary user could not write the id maps while it has it. There is no
        // payload yet that could look at us.
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        auto child = spawn(request);
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        if (!child) return pass(child);
        child_ = std::move(*child);
        return identify_process(child_.pid);
    });
}

std::vector<IdMapLine> Launch::placed(const std::vector<IdMapRange>& ranges) const {
    std::vector<IdMapLine> out;
    for (const IdMapRange& r : ranges) out.push_back({r.inside, r.leased ? lease_ + r.outside : r.outside, r.count});
    return out;
}

Status Launch::run(const step::WriteIdMap& s) {
    // It has them from its first run.
    if (kept_namespace(NamespaceType::user) >= 0) return {};
    const auto uid = placed(s.uid), gid = placed(s.gid);
    if (s.helpers) return write_id_maps_by_helpers(child_.pid, uid, gid);
    return write_id_maps(child_.pid, uid, gid, s.deny_setgroups);
}

Status Launch::run(const step::Release& s) {
    if (presence_.status.restarts > 0)
        if (auto renewed = renew_limits(); !renewed) return renewed;
    if (auto kept = keep_network(); !kept) return kept;
    std::vector<int> descriptors;
    for (const Slot number : s.slots) {
        // A slot of an optional step that was left out still has its place.
        if (!slot(number)) slot(number).reset(open("/dev/null", O_RDWR | O_CLOEXEC));
        descriptors.push_back(slot(number).get());
    }
    if (auto sent = send_record(socket_.get(), {RecordKind::go, 0, 0, 0}, descriptors); !sent) return sent;
    shared_groups_.clear();
    for (const Slot number : s.slots)
        if (!std::ranges::count(plan_.kept, number)) slot(number).reset();
    return {};
}

std::optional<std::uint32_t> Launch::map_out(const std::vector<IdMapLine>& ranges, std::uint32_t inside) {
    for (const IdMapLine& r : ranges)
        if (inside >= r.inside && inside - r.inside < r.count) return r.outside + (inside - r.inside);
    return std::nullopt;
}

std::uint32_t Launch::maker(bool uid) const {
    if (const auto root = through(0, uid)) return *root;
    const auto* map = planned<step::WriteIdMap>();
    return map ? placed(uid ? map->uid : map->gid).front().outside : 0;
}

std::optional<std::uint32_t> Launch::outside(std::uint32_t inside) const { return through(inside, true); }

std::optional<std::uint32_t> Launch::outside_gid(std::uint32_t inside) const { return through(inside, false); }

std::optional<std::uint32_t> Launch::through(std::uint32_t inside, bool uid) const {
    const auto* map = planned<step::WriteIdMap>();
    return map ? map_out(placed(uid ? map->uid : map->gid), inside) : inside;
}

}  // namespace sandbox
