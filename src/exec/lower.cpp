#include "exec/lower.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "base/text.h"
#include "child/program.h"
#include "kernel/seccomp.h"

namespace sandbox {

constexpr std::size_t largest_input = 16U << 20;

Result<std::string> read_input(const std::string& path) {
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat info {};
    if (!file || fstat(file.get(), &info) != 0) return fail_errno(quote(path), errno);
    if (!S_ISREG(info.st_mode)) return fail(cat(quote(path), " is not a file"));
    std::string text;
    char buffer[65536];
    ssize_t size;
    while ((size = read(file.get(), buffer, sizeof buffer)) > 0) {
        text.append(buffer, static_cast<std::size_t>(size));
        if (text.size() > largest_input) return fail(cat(quote(path), " is larger than 16 MiB"));
    }
    if (size < 0) return fail_errno(quote(path), errno);
    return text;
}

namespace {

// Ops and their pool while they grow.
class Lowering {
   public:
    explicit Lowering(const HostFacts& facts) : facts_(facts) { pool_.push_back('\0'); }

    std::uint32_t step = 0;

    // Host-side steps have no part in the child's program. Before its use: clang 14 forgets to emit it otherwise.
    template <class HostStep>
    Status add(const HostStep&) {
        return {};
    }

    Status lower(const Action& action) {
        return std::visit([this](const auto& a) -> Status { return this->add(a); }, action);
    }

    void sync() { op(OpKind::sync); }
    [[nodiscard]] std::size_t size() const { return ops_.size(); }
    void make_optional(std::size_t first) {
        for (std::size_t i = first; i < ops_.size(); ++i) ops_[i].flags |= op_flag_optional;
    }

    [[nodiscard]] std::string finish(const Plan& plan) {
        ChildProgram head{};
        head.kept_offset = array(plan.kept.data(), plan.kept.size());
        head.kept_slots = static_cast<std::uint32_t>(plan.kept.size());
        head.magic = child_magic;
        head.op_count = static_cast<std::uint32_t>(ops_.size());
        head.pool_offset = static_cast<std::uint32_t>(sizeof head + ops_.size() * sizeof(ChildOp));
        head.size = head.pool_offset + static_cast<std::uint32_t>(pool_.size());
        head.init_flags = (plan.supervision.own_pid_namespace ? init_own_pid_namespace : 0) | (plan.supervision.scope ? init_waits : 0) |
                          (plan.supervision.joins ? init_joined : 0);
        std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
        bytes.append(reinterpret_cast<const char*>(ops_.data()), ops_.size() * sizeof(ChildOp));
        return bytes + pool_;
    }

   private:
    ChildOp& op(OpKind kind, Slot slot = no_slot, Slot slot2 = no_slot) {
        ChildOp o{};
        o.kind = kind;
        o.step = step;
        o.slot = slot;
        o.slot2 = slot2;
        ops_.push_back(o);
        return ops_.back();
    }
    std::uint32_t text(std::string_view words) {
        if (words.empty()) return 0;
        const auto at = static_cast<std::uint32_t>(pool_.size());
        pool_.append(words);
        pool_.push_back('\0');
        return at;
    }
    // Arrays are aligned for their elements: the pool itself begins at a multiple of 8.
    template <class T>
    std::uint32_t array(const T* items, std::size_t count) {
        while (pool_.size() % 8) pool_.push_back('\0');
        const auto at = static_cast<std::uint32_t>(pool_.size());
        pool_.append(reinterpret_cast<const char*>(items), count * sizeof(T));
        return at;
    }
    std::uint32_t words(const std::vector<std::string>& items) {
        std::vector<std::uint32_t> offsets;
        // An empty word still needs a place of its own: offset 0 ends the array.
        for (const std::string& item : items) {
            offsets.push_back(static_cast<std::uint32_t>(pool_.size()));
            pool_.append(item);
            pool_.push_back('\0');
        }
        offsets.push_back(0);
        return array(offsets.data(), offsets.size());
    }
    static std::uint64_t owner(std::uint32_t uid, std::uint32_t gid) { return uid | static_cast<std::uint64_t>(gid) << 32; }

    void set_mount(Slot slot, const MountAttributes& a) {
        if (!a.set && !a.clear && !a.propagation) return;
        ChildOp& o = op(OpKind::mount_attr, slot);
        o.x = a.set;
        o.y = a.clear;
        o.aux = a.propagation;
        o.flags = a.recursive ? op_flag_recursive : 0;
    }
    void set_options(Slot slot, const std::vector<FsOption>& options) {
        for (const FsOption& option : options) {
            const std::uint32_t key = text(option.key), value = text(option.value);
            ChildOp& o = op(OpKind::fs_set, slot);
            o.a = key;
            o.b = value;
            if (option.bare) o.flags = op_flag_bare;
        }
    }
    void named(OpKind kind, std::string_view a) {
        const std::uint32_t at = text(a);
        op(kind).a = at;
    }

    Status add(const step::Receive& s) {
        const std::uint32_t at = array(s.slots.data(), s.slots.size());
        ChildOp& o = op(OpKind::receive);
        o.b = at;
        o.x = s.slots.size();
        return {};
    }
    Status add(const step::Hold&) {
        op(OpKind::sync).x = 1;
        return {};
    }
    Status add(const step::JoinGroups& s) {
        const std::uint32_t at = array(s.tasks.data(), s.tasks.size());
        ChildOp& o = op(OpKind::join_groups);
        o.b = at;
        o.x = s.tasks.size();
        return {};
    }
    Status add(const step::OwnCgroupNamespace&) {
        op(OpKind::cgroup_namespace);
        return {};
    }
    Status add(const step::SetPropagation& s) {
        op(OpKind::propagation).x = MS_REC | (s.slave ? MS_SLAVE : MS_PRIVATE);
        return {};
    }
    Status add(const step::ShareMounts&) {
        op(OpKind::propagation).x = MS_REC | MS_SHARED;
        return {};
    }
    Status add(const step::WorkAs& s) {
        ChildOp& o = op(OpKind::set_ids);
        o.x = s.uid;
        o.y = s.gid;
        return {};
    }
    Status add(const step::NewFilesystem& s) {
        const std::uint32_t type = text(s.type);
        op(OpKind::fs_open, s.slot).a = type;
        set_options(s.slot, s.options);
        op(OpKind::fs_mount, s.slot).x = s.attributes;
        return {};
    }
    Status add(const step::OpenTreeInside& s) {
        const std::uint32_t path = text(s.path);
        if (!s.clone) {
            op(OpKind::open_path, s.slot, s.base).a = path;
            return {};
        }
        ChildOp& o = op(OpKind::open_tree, s.slot, s.base);
        o.a = path;
        o.x = OPEN_TREE_CLONE | (s.recursive ? 0x8000U /* AT_RECURSIVE */ : 0U);
        set_mount(s.slot, s.attributes);
        return {};
    }
    Status add(const step::Stage& s) {
        op(OpKind::stage, s.file, s.folder);
        return {};
    }
    Status add(const step::Scratch& s) {
        op(OpKind::scratch, s.slot);
        return {};
    }
    Status add(const step::OverlayInside& s) {
        if (s.legacy) {
            std::string options;
            for (const FsOption& option : s.options)
                options += option.bare ? cat(",", option.key) : cat(",", option.key, "=", option.value);
            const std::uint32_t at = text(options), place = text("/tmp");
            ChildOp& o = op(OpKind::overlay_legacy, s.slot, s.upper);
            o.a = place;
            o.b = at;
            o.x = static_cast<std::uint64_t>(s.lower.front());
            o.y = s.lower.size();
            set_mount(s.slot, {s.attributes, 0, 0, false});
            return {};
        }
        const std::uint32_t type = text("overlay"), lower = text("lowerdir+"), upper = text("upperdir"), work = text("workdir");
        op(OpKind::fs_open, s.slot).a = type;
        for (const Slot layer : s.lower) op(OpKind::fs_set_slot, s.slot, layer).a = lower;
        if (s.upper != no_slot) {
            op(OpKind::fs_set_slot, s.slot, s.upper).a = upper;
            op(OpKind::fs_set_slot, s.slot, s.work).a = work;
        }
        set_options(s.slot, s.options);
        op(OpKind::fs_mount, s.slot).x = s.attributes;
        return {};
    }
    Status add(const step::AttachRoot& s) {
        op(OpKind::attach_root, s.slot);
        return {};
    }
    Status add(const step::Mirror& s) {
        const std::uint32_t path = text(s.path);
        ChildOp& o = op(OpKind::mirror, no_slot, s.slot);
        o.a = path;
        o.x = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;
        return {};
    }
    Status add(const step::MakeDirectory& s) {
        const std::uint32_t path = text(s.path);
        ChildOp& o = op(OpKind::make_directory, no_slot, s.base);
        o.a = path;
        o.x = s.perm;
        o.y = owner(s.uid, s.gid);
        if (s.adjust) o.flags = op_flag_replace;
        return {};
    }
    Status add(const step::MakeFile& s) {
        std::string content = s.content;
        if (!s.source.empty()) {
            auto read = read_input(s.source);
            if (!read) return pass(read, "files");
            content = std::move(*read);
        }
        const std::uint32_t path = text(s.path), data = array(content.data(), content.size());
        ChildOp& o = op(OpKind::make_file, no_slot, s.base);
        o.a = path;
        o.b = data;
        o.aux = content.size();
        o.x = s.perm;
        o.y = owner(s.uid, s.gid);
        if (s.replace) o.flags = op_flag_replace;
        return {};
    }
    Status add(const step::MakeSymlink& s) {
        const std::uint32_t path = text(s.path), target = text(s.target);
        ChildOp& o = op(OpKind::make_symlink, no_slot, s.base);
        o.a = path;
        o.b = target;
        o.flags = op_flag_replace;
        return {};
    }
    Status add(const step::Attach& s) {
        const std::uint32_t path = text(s.target);
        ChildOp& o = op(OpKind::attach, s.slot);
        o.a = path;
        if (s.no_links) o.flags = op_flag_no_links;
        return {};
    }
    Status add(const step::SetMount& s) {
        set_mount(s.slot, s.attributes);
        return {};
    }
    Status add(const step::Mask& s) {
        const std::uint32_t path = text(s.path);
        ChildOp& o = op(OpKind::mask, s.file, s.folder);
        o.a = path;
        o.flags = static_cast<std::uint16_t>((s.missing_ok ? op_flag_missing_ok : 0) | (s.no_links ? op_flag_no_links : 0));
        return {};
    }
    Status add(const step::ReadOnlyPath& s) {
        const std::uint32_t path = text(s.path);
        ChildOp& o = op(OpKind::read_only);
        o.a = path;
        o.flags = static_cast<std::uint16_t>((s.missing_ok ? op_flag_missing_ok : 0) | (s.no_links ? op_flag_no_links : 0));
        return {};
    }
    Status add(const step::SetHostname& s) {
        named(OpKind::hostname, s.name);
        return {};
    }
    Status add(const step::SetDomainname& s) {
        named(OpKind::domainname, s.name);
        return {};
    }
    Status add(const step::TimeOffsets& s) {
        // "<clock> <seconds> <nanoseconds>" lines (time_namespaces(7)); nanoseconds are never negative.
        std::string lines;
        const auto line = [&lines](const char* clock, std::int64_t offset) {
            constexpr std::int64_t second = 1'000'000'000;
            std::int64_t whole = offset / second, rest = offset % second;
            if (rest < 0) {
                rest += second;
                --whole;
            }
            lines += cat(clock, " ", whole, " ", rest, "\n");
        };
        if (s.monotonic) line("monotonic", *s.monotonic);
        if (s.boottime) line("boottime", *s.boottime);
        const std::uint32_t at = text(lines);
        op(OpKind::time_offsets).b = at;
        return {};
    }
    Status add(const step::Sysctl& s) {
        const std::uint32_t key = text(s.key), value = text(s.value);
        ChildOp& o = op(OpKind::sysctl, s.proc);
        o.a = key;
        o.b = value;
        return {};
    }
    Status add(const step::LoopbackUp&) {
        op(OpKind::loopback_up);
        return {};
    }
    Status add(const step::NewKeyring& s) {
        named(OpKind::new_keyring, s.name);
        return {};
    }
    Status add(const step::OpenTerminal& s) {
        const std::uint32_t path = text("/dev/pts/ptmx");
        ChildOp& o = op(OpKind::open_pty, no_slot, s.slot);
        o.a = path;
        o.x = s.uid;
        o.y =
            s.size.rows | std::uint64_t(s.size.columns) << 16 | std::uint64_t(s.size.x_pixels) << 32 | std::uint64_t(s.size.y_pixels) << 48;
        return {};
    }
    Status add(const step::ShowConsole& s) {
        const std::uint32_t path = text("/dev/console");
        op(OpKind::console, s.slot).a = path;
        return {};
    }
    Status add(const step::Pivot& s) {
        op(OpKind::pivot, s.slot);
        return {};
    }
    Status add(const step::StartPayload&) {
        op(OpKind::fork);
        return {};
    }
    Status add(const step::NewSession& s) {
        op(OpKind::session, s.terminal);
        return {};
    }
    Status add(const step::PlaceDescriptors& s) {
        // Three are the standard streams.
        if (s.places.size() > max_placed)
            return fail(cat("process.pass_fds: ", s.places.size() - 3, " descriptors"), cat("at most ", max_placed - 3, " can be passed"));
        std::vector<DescriptorPair> pairs;
        for (const auto& [slot, number] : s.places) pairs.push_back({slot, number});
        const std::uint32_t at = array(pairs.data(), pairs.size());
        ChildOp& o = op(OpKind::descriptors);
        o.b = at;
        o.x = pairs.size();
        return {};
    }
    Status add(const step::WorkingDirectory& s) {
        named(OpKind::working_directory, s.path);
        return {};
    }
    Status add(const step::SetUmask& s) {
        op(OpKind::umask).x = s.mask;
        return {};
    }
    Status add(const step::SetLimit& s) {
        const std::uint64_t pair[2] = {s.soft, s.hard};
        const std::uint32_t at = array(pair, 2);
        ChildOp& o = op(OpKind::rlimit);
        o.b = at;
        o.x = static_cast<std::uint64_t>(s.resource);
        return {};
    }
    Status add(const step::SetPersonality& s) {
        op(OpKind::personality).x = s.value;
        return {};
    }
    Status add(const step::SetGroups& s) {
        const std::uint32_t at = array(s.groups.data(), s.groups.size());
        ChildOp& o = op(OpKind::groups);
        o.b = at;
        o.x = s.groups.size();
        return {};
    }
    Status add(const step::TrimBounding& s) {
        op(OpKind::bounding).x = s.keep;
        return {};
    }
    Status add(const step::BecomeUser& s) {
        ChildOp& o = op(OpKind::ids);
        o.x = s.uid;
        o.y = s.gid;
        return {};
    }
    Status add(const step::SetCapabilities& s) {
        const CapabilitySets sets{s.effective, s.permitted, s.inheritable, s.ambient, s.until_seccomp};
        sets_at_ = array(&sets, 1);
        op(OpKind::capabilities).b = sets_at_;
        return {};
    }
    Status add(const step::NoNewPrivileges&) {
        op(OpKind::no_new_privileges);
        return {};
    }
    Status add(const step::DieWithParent&) {
        op(OpKind::parent_death);
        return {};
    }
    Status add(const step::InstallSeccomp& s) {
        SeccompRequest request;
        if (*s.policy.profile == "none") {
            request.base = SeccompRequest::Base::none;
        } else if (*s.policy.profile != "default") {
            auto json = read_input(*s.policy.profile);
            if (!json) return pass(json, "security.seccomp.profile");
            request.base = SeccompRequest::Base::json;
            request.json = std::move(*json);
        }
        for (const Text& name : s.policy.allow) request.allow.push_back(*name);
        for (const Text& name : s.policy.deny) request.deny.push_back(*name);
        switch (*s.policy.action) {
            case SeccompAction::errno_: request.deny_action = SECCOMP_RET_ERRNO | EPERM; break;
            case SeccompAction::kill: request.deny_action = SECCOMP_RET_KILL_PROCESS; break;
            case SeccompAction::log: request.deny_action = SECCOMP_RET_LOG; break;
            case SeccompAction::trap: request.deny_action = SECCOMP_RET_TRAP; break;
        }
        request.capabilities = s.capabilities;
        request.kernel_major = facts_.major;
        request.kernel_minor = facts_.minor;
        auto filter = compile_seccomp(request);
        if (!filter) return pass(filter, "security.seccomp");
        if (filter->empty()) return {};
        const std::uint32_t at = array(filter->data(), filter->size());
        ChildOp& o = op(OpKind::seccomp);
        o.b = at;
        o.x = filter->size();
        o.y = s.policy.log ? SECCOMP_FILTER_FLAG_LOG : 0;
        o.aux = s.restore_capabilities ? sets_at_ : 0;
        return {};
    }
    Status add(const step::Execute& s) {
        if (s.argv.size() + s.environment.size() + 2 > max_exec_pointers)
            return fail(cat("process.command: ", s.argv.size(), " arguments and ", s.environment.size(), " environment variables"),
                        cat("at most ", max_exec_pointers - 2, " together: put them into a file, or use xargs"));
        ExecArguments arguments{};
        arguments.candidates = words(s.candidates);
        arguments.argv = words(s.argv);
        arguments.envp = words(s.environment);
        const std::uint32_t at = array(&arguments, 1);
        op(OpKind::exec).b = at;
        return {};
    }

    const HostFacts& facts_;
    std::vector<ChildOp> ops_;
    std::string pool_;
    std::uint32_t sets_at_ = 0;
};

}  // namespace

Result<std::string> lower_plan(const Plan& plan, const HostFacts& facts, std::size_t sync_at) {
    if (plan.slots > max_slots) return fail("the profile needs more descriptors than a launch can carry", "use fewer layers and mounts");
    Lowering lowering(facts);
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        const Step& step = plan.steps[i];
        if (step.side == Side::host) continue;
        lowering.step = static_cast<std::uint32_t>(i);
        if (i == sync_at) lowering.sync();
        const std::size_t first = lowering.size();
        if (auto lowered = lowering.lower(step.action); !lowered) {
            if (!lowered.error().at.known()) lowered.error().at = step.origin;
            return pass(lowered);
        }
        if (step.optional) lowering.make_optional(first);
    }
    return lowering.finish(plan);
}

}  // namespace sandbox
