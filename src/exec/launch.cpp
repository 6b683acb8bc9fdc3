#include "exec/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/text.h"
#include "child/image.h"
#include "exec/channel.h"
#include "exec/groups.h"
#include "exec/helper.h"
#include "exec/lower.h"
#include "exec/network.h"
#include "exec/scope.h"
#include "exec/supervise.h"
#include "kernel/cgroup.h"
#include "kernel/device_filter.h"
#include "kernel/idmap.h"
#include "kernel/mount.h"
#include "kernel/netlink.h"
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

// What is named on the host carries it: nobody else's can be mistaken for this run's.
std::string random_id() {
    std::uint32_t number = 0;
    while (getrandom(&number, sizeof number, 0) != sizeof number) {
    }
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (int shift = 28; shift >= 0; shift -= 4) out += digits[number >> shift & 15];
    return out;
}

// Whoever cleans up after a crashed sandbox may be killed too, between our own look and now.
Result<SandboxState> create_state(StateRoot& root, const std::string& name) {
    auto state = root.create(name);
    for (int attempt = 0; !state && state.error().number == EEXIST && attempt < 3; ++attempt) {
        if (is_at_rest(root, name)) return state;
        if (auto cleaned = collect_garbage(root); !cleaned || !cleaned->problems.empty()) return state;
        state = root.create(name);
    }
    return state;
}

class Launch {
   public:
    Launch(const Plan& plan, StateRoot& root, Presence& presence, const LaunchOptions& options, Fd& announce, const std::string& program,
           bool overlay_by_descriptor)
        : plan_(plan),
          root_(root),
          presence_(presence),
          options_(options),
          announce_(announce),
          program_(program),
          slots_(plan.slots),
          overlay_by_descriptor_(overlay_by_descriptor) {}

    // Each host-side step in order, until the child is let go.
    Status carry_out() {
        for (index_ = 0; index_ < plan_.steps.size(); ++index_) {
            const Step& step = plan_.steps[index_];
            if (options_.verbose) std::fprintf(stderr, "%s: %s\n", step.id.c_str(), printable(step.text).c_str());
            if (step.side == Side::sandbox) continue;
            if (auto go = watch(Moment::before); !go) return go;
            auto done = std::visit([this](const auto& action) { return this->run(action); }, step.action);
            if (!done && step.optional) {
                skipped_.push_back(cat(step.id, ": ", done.error().message));
                continue;
            }
            if (!done) return explain(step, std::move(done.error()));
            if (auto go = watch(Moment::done); !go) return go;
            if (interrupted()) return fail(cat("interrupted at ", step.id));
        }
        return {};
    }

    Result<Outcome> supervise() {
        // A detached one has it from the beginning.
        static const std::function<std::string()> kept_already;
        const bool later = !plan_.supervision.detached && !plan_.supervision.joins && presence_.status.restarts == 0;
        Supervised what{plan_,        child_,  socket_.get(), std::move(pumps_), options_.watch,
                        skipped_,     groups_, presence_,     announce_,         later ? options_.effective : kept_already,
                        joined_.get()};
        return sandbox::supervise(what);
    }

    // Everything back, in reverse, but what is kept until the sandbox is removed. The folder stays.
    void finish_apart() { network_.finish_apart(); }

    std::vector<std::string> take_back(bool everything, bool again) {
        std::vector<std::string> problems;
        socket_.reset();
        if (!again) presence_.kept_network.reset();
        network_.let_go(presence_.kept_network.has_value());
        // Our own locks would keep what we made from being removed. The ids are leased again only when init is gone too.
        slots_.clear();
        shared_groups_.clear();
        groups_.clear();
        root_upper_.reset();
        presence_.status.upper_descriptor = -1;
        if (journal_)
            replay(*journal_, problems, everything);
        else if (presence_.has_begun())
            replay(presence_.folder(), problems, everything);
        if (terminal_before_ && tcsetattr(0, TCSADRAIN, &*terminal_before_) != 0)
            problems.push_back(cat("give the terminal its settings back: ", errno_text(errno)));
        terminal_before_.reset();
        if (child_.pid > 0) waitpid(child_.pid, nullptr, 0);
        return problems;
    }

   private:
    Status watch(Moment moment) { return options_.watch && *options_.watch ? (*options_.watch)(index_, moment) : Status(); }
    Recorder recorder() { return {*journal_, plan_.steps[index_], index_, options_.watch}; }
    Fd& slot(Slot number) { return slots_.at(static_cast<std::size_t>(number)); }

    // A folder as the top of a read-only mount of its own. Init keeps the lock, and a payload with CAP_SYS_PTRACE may open what
    // init has open: from the folder in the host's tree ".." would lead out of the sandbox. Not valid without the right to mount.
    static Fd open_alone(const std::string& path) {
        const auto tree = clone_tree(path, false);
        if (!tree || !set_mount(tree->get(), MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, false)) return Fd();
        return Fd(openat(tree->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }

    static tl::unexpected<Error> explain(const Step& step, Error error) {
        error.message = cat("step ", printable(step.id), ": ", error.message);
        if (!error.at.known()) error.at = step.origin;
        return tl::unexpected<Error>(std::move(error));
    }

    static bool interrupted() {
        sigset_t pending;
        if (sigpending(&pending) != 0) return false;
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
            if (sigismember(&pending, signal)) return true;
        return false;
    }

    Status run(const step::CreateState&) {
        id_ = random_id();
        const bool again = presence_.has_begun(), taken_over = options_.state && *options_.state;
        if (again) {
            presence_.begin_again(id_);
        } else {
            auto state = taken_over ? Result<SandboxState>(std::move(**options_.state)) : create_state(root_, plan_.name);
            if (!state) return pass(state);
            if (taken_over) options_.state->reset();
            const int folder = state->directory();
            unlinkat(folder, "limits", 0);  // they are in the profile that it is started from
            if (!taken_over) {
                auto journal = Journal::create(folder);
                if (!journal) {
                    static_cast<void>(root_.remove(std::move(*state)));
                    return pass(journal);
                }
                journal_.emplace(std::move(*journal));
            }
            if (auto begun = presence_.begin(std::move(*state), id_); !begun) return begun;
        }
        if (!journal_) {
            auto journal = Journal::begin_again(presence_.folder());
            if (!journal) return pass(journal);
            journal_.emplace(std::move(*journal));
        }
        network_.begin(plan_.name, id_, presence_.addresses);
        if (plan_.supervision.detached && !again && options_.effective)
            return replace_file(presence_.folder(), "profile.yaml", options_.effective());
        return {};
    }
    Status run(const step::HoldPorts& s) { return network_.hold_ports(s); }
    Status run(const step::ShareBridge& s) {
        Recorder r = recorder();
        return network_.share_bridge(r, root_, s);
    }
    Status run(const step::LeaseAddresses& s) {
        auto leased = network_.lease_addresses(s);
        if (leased) presence_.addresses = network_.addresses();
        return leased;
    }
    Status run(const step::ForwardPackets& s) {
        Recorder r = recorder();
        return network_.forward_packets(r, root_, s);
    }
    Status run(const step::WriteNames& s) { return network_.write_names(root_, presence_.folder(), s); }
    Status run(const step::OpenNetwork& s) {
        auto opened = open_network(s);
        if (!opened) return pass(opened);
        slot(s.slot) = std::move(*opened);
        presence_.status.network_details.emplace().of = s.sandbox;
        return {};
    }
    Status run(const step::MakeTable& s) {
        Recorder r = recorder();
        return network_.make_table(r, s);
    }
    Status run(const step::MakeVeth& s) {
        Recorder r = recorder();
        return network_.make_veth(r, child_.pid, s);
    }
    Status run(const step::MakeStacked& s) { return network_.make_stacked(child_.pid, s); }
    Status run(const step::ConfigureInterface& s) {
        auto configured = network_.configure(child_.pid, s);
        if (configured) presence_.status.network_details = network_.record();
        return configured;
    }
    Status run(const step::ForwardPorts& s) {
        Recorder r = recorder();
        auto forwarded = network_.forward_ports(r, s);
        if (forwarded) presence_.status.network_details = network_.record();
        return forwarded;
    }
    // Of a process that is still the same after it was opened.
    Result<Fd> open_network(const step::OpenNetwork& s) {
        const auto ended = [&s] { return fail(cat("sandbox ", quote(s.sandbox), " has just ended"), "sandbox ps lists those that run"); };
        const Fd process(static_cast<int>(syscall(SYS_pidfd_open, s.pid, 0)));
        if (!process || start_time(s.pid) != s.start) return ended();
        Fd network(open(cat("/proc/", s.pid, "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
        if (!network) return fail_errno(cat("the network of sandbox ", quote(s.sandbox)), errno);
        if (syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) != 0 && errno == ESRCH) return ended();
        return network;
    }
    Status run(const step::LeaseIds& s) {
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
    // The lock is the lease; the record is for people who wonder whose ids these are.
    Status note_lease() {
        auto entry = journal_->intend(plan_.steps[index_].id, {});
        if (!entry) return pass(entry);
        return journal_->done(*entry, {{"base", std::to_string(lease_)}, {"count", std::to_string(lease_size)}});
    }
    Status run(const step::MakeHostDirectory& s) {
        Recorder r = recorder();
        return make_host_directory(r, s);
    }
    Status run(const step::LockTree& s) {
        Fd directory = std::ranges::count(plan_.kept, s.slot) ? open_alone(s.path) : Fd();
        if (!directory) directory.reset(open(s.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory) return fail_errno(quote(s.path), errno);
        if (flock(directory.get(), (s.shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK)
                return fail(cat(quote(s.path), " is the upper layer of a running sandbox"),
                            "two writers would spoil it: give each sandbox an upper of its own");
            return fail_errno(cat("lock ", quote(s.path)), errno);
        }
        slot(s.slot) = std::move(directory);
        return {};
    }
    Status run(const step::ShiftOwner& s) {
        Recorder r = recorder();
        for (const Step& step : plan_.steps)
            if (const auto* map = std::get_if<step::WriteIdMap>(&step.action))
                return shift_owner(r, s.path, placed(map->uid), placed(map->gid));
        return fail("there is no id map to give the files to");
    }
    Status run(const step::OpenTree& s) {
        auto tree = clone_tree(s.path, s.recursive);
        if (!tree) return pass(tree);
        const MountAttributes& a = s.attributes;
        if (auto set = set_mount(tree->get(), a.set, a.clear, a.propagation, a.recursive); !set) return pass(set, quote(s.path));
        slot(s.slot) = std::move(*tree);
        return {};
    }
    Status run(const step::OpenFile& s) {
        Fd file(open(s.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (!file) return fail_errno(quote(s.path), errno);
        slot(s.slot) = std::move(file);
        return {};
    }
    Status run(const step::CallerDescriptor& s) {
        Fd copy(fcntl(s.number, F_DUPFD_CLOEXEC, 3));
        if (!copy && s.number < 3) return run(step::NullDescriptor{s.slot});  // the caller runs without it
        if (!copy) return fail_errno(cat("descriptor ", s.number), errno, "open it in the caller, or leave it out of process.pass_fds");
        slot(s.slot) = std::move(copy);
        return {};
    }
    Status run(const step::NullDescriptor& s) {
        slot(s.slot).reset(open("/dev/null", O_RDWR | O_CLOEXEC));
        return slot(s.slot) ? Status() : fail_errno("/dev/null", errno);
    }
    Status run(const step::InputPipe& s) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", errno);
        slot(s.slot).reset(ends[0]);
        pumps_.push_back({caller_stream(0, true), Fd(ends[1]), {}, false});
        return {};
    }
    Status run(const step::OutputPipe& s) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", errno);
        slot(s.slot).reset(ends[1]);
        pumps_.push_back({Fd(ends[0]), caller_stream(s.number, false), {}, false});
        return {};
    }
    Status run(const step::MakeLogFolder& s) {
        if (presence_.log()) return {};
        Recorder r = recorder();
        if (auto made = make_log_folder(r, s.path); !made) return made;
        return presence_.open_log(s.path);
    }
    Status run(const step::LogPipe& s) {
        if (!presence_.log())
            if (auto opened = presence_.open_log({}); !opened) return opened;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", errno);
        slot(s.slot).reset(ends[1]);
        Pump pump{Fd(ends[0]), Fd(), {}, false};
        pump.log = presence_.log();
        pump.stream = s.number == 2 ? LogStream::err : LogStream::out;
        pumps_.push_back(std::move(pump));
        return {};
    }
    Variables hook_variables() const { return {{"SANDBOX_NAME", plan_.name}, {"SANDBOX_ID", id_}}; }
    Status run(const step::RunHook& s) {
        presence_.tell_step(s.timeout);
        return run_helper(s.command, hook_variables(), s.timeout);
    }
    Status run(const step::ArmHook& s) {
        Recorder r = recorder();
        return arm_hook(r, s.command, hook_variables(), s.timeout);
    }
    Status run(const step::MakeTarget& s) {
        Recorder r = recorder();
        step::MakeTarget on_disk = s;
        if (!s.mapped && (s.uid != 0 || s.gid != 0)) {
            on_disk.uid = outside(s.uid).value_or(0);
            on_disk.gid = outside_gid(s.gid).value_or(0);
        }
        if (s.slot != no_slot) return make_target(r, on_disk, slot(s.slot).get());
        // An ordinary user's tree is cloned inside, later; here it is looked up with that user's own rights.
        const Fd tree(open(s.host.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!tree) return fail_errno(quote(s.host), errno);
        return make_target(r, on_disk, tree.get());
    }
    static std::vector<MountOption> options_of(const std::vector<FsOption>& options) {
        std::vector<MountOption> out;
        for (const FsOption& option : options) out.push_back({option.key, option.value, option.bare, -1});
        return out;
    }
    Status run(const step::HostFilesystem& s) {
        const auto make = [&]() -> Status {
            auto mount = new_filesystem(s.type, options_of(s.options), s.attributes);
            if (!mount) return pass(mount);
            slot(s.slot) = std::move(*mount);
            return {};
        };
        return s.network == no_slot ? make() : in_network(slot(s.network).get(), make);
    }
    Status run(const step::BuildDev& s) {
        auto mount =
            new_filesystem("tmpfs", {{"mode", "0755", false, -1}, {"size", "65536", false, -1}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
        if (!mount) return pass(mount);
        const int dev = mount->get();
        const mode_t before = umask(0);
        Status made = fill_dev(dev, s);
        umask(before);
        if (!made) return made;
        slot(s.slot) = std::move(*mount);
        return {};
    }
    Status fill_dev(int dev, const step::BuildDev& s) {
        const auto owner = [&](const char* name, std::uint32_t uid, std::uint32_t gid) {
            return fchownat(dev, name, outside(uid).value_or(0), outside_gid(gid).value_or(0), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0;
        };
        for (const std::string& folder : s.folders)
            if (mkdirat(dev, folder.c_str(), 0755) != 0 || !owner(folder.c_str(), 0, 0))
                return fail_errno(cat("make /dev/", folder), errno);
        for (const DeviceNode& node : s.nodes)
            if (mknodat(dev, node.name.c_str(), (node.character ? S_IFCHR : S_IFBLK) | node.perm, makedev(node.major, node.minor)) != 0 ||
                !owner(node.name.c_str(), node.uid, node.gid))
                return fail_errno(cat("make the device node ", node.name), errno);
        for (const auto& [link, target] : s.links)
            if (symlinkat(target.c_str(), dev, link.c_str()) != 0 || !owner(link.c_str(), 0, 0))
                return fail_errno(cat("make /dev/", link), errno);
        return owner("", 0, 0) ? Status() : fail_errno("chown /dev", errno);
    }
    Status run(const step::RawTerminal&) {
        if (plan_.supervision.joins) return borrow_terminal();
        Recorder r = recorder();
        return make_terminal_raw(r);
    }
    // As make_terminal_raw, for as long as this process lives.
    Status borrow_terminal() {
        termios settings{};
        if (tcgetpgrp(0) != getpgrp()) return {};
        if (tcgetattr(0, &settings) != 0) return fail_errno("the caller's terminal", errno);
        termios raw = settings;
        cfmakeraw(&raw);
        if (tcsetattr(0, TCSADRAIN, &raw) != 0) return fail_errno("set the caller's terminal to raw input", errno);
        terminal_before_ = settings;
        return {};
    }
    Status run(const step::OpenProcess& s) {
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
    Status run(const step::OpenGroup& s) {
        const int flags = s.v2 ? O_RDONLY | O_DIRECTORY : O_WRONLY;
        slot(s.slot).reset(open(s.v2 ? s.path.c_str() : cat(s.path, "/tasks").c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
        if (!slot(s.slot)) return fail_errno(quote(s.path), errno);
        return {};
    }
    // "<id>" is this run's, "<scope>" the folder that systemd made for it.
    std::string real_path(std::string path) const {
        for (const auto& [word, value] : {std::pair<std::string_view, const std::string&>("<id>", id_), {"<scope>", scope_}})
            if (const auto at = path.find(word); at != std::string::npos) path.replace(at, word.size(), value);
        return path;
    }
    Status run(const step::ShareGroup& s) {
        Recorder r = recorder();
        auto group = share_group(r, s);
        if (!group) return pass(group);
        shared_groups_.push_back(std::move(*group));
        return {};
    }
    Status run(const step::EnableControllers& s) {
        Recorder r = recorder();
        return enable_controllers(r, s);
    }
    Status run(const step::MakeGroup& s) {
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
    Status run(const step::SetGroup& s) { return write_group(slot(s.group).get(), s.file, s.value); }
    Status run(const step::DelegateGroup& s) {
        return delegate_group(slot(s.group).get(), s.v2, outside(0).value_or(0), outside_gid(0).value_or(0));
    }
    Status run(const step::FilterDevices& s) {
        std::vector<DeviceAccess> allowed;
        for (const step::DeviceRule& rule : s.rules) allowed.push_back({rule.type, rule.major, rule.minor, rule.access});
        const int group = slot(s.group).get();
        return s.v2 ? filter_devices_v2(group, allowed) : filter_devices_v1(group, allowed);
    }
    Status run(const step::MakeScope& s) {
        Recorder r = recorder();
        step::MakeScope what = s;
        what.unit = real_path(s.unit);
        auto scope = make_scope(r, what, child_.pid);
        if (!scope) return pass(scope);
        scope_ = std::move(*scope);
        return {};
    }
    Status run(const step::MakeLeaf& s) {
        Recorder r = recorder();
        return make_leaf(r, s);
    }
    Status run(const step::EnterGroup& s) { return write_group(slot(s.group).get(), "cgroup.procs", std::to_string(child_.pid)); }
    Status run(const step::HandDown& s) { return hand_down({real_path(s.path), s.controllers}); }
    // A restart goes back into the network that others may share, as the same root.
    int kept_namespace(NamespaceType type) const {
        const auto& kept = presence_.kept_network;
        if (!kept) return -1;
        return type == NamespaceType::net ? kept->network.get() : type == NamespaceType::user ? kept->user.get() : -1;
    }
    // By its policy, or because somebody asks.
    bool may_restart() const { return plan_.supervision.detached || *plan_.supervision.restart.policy != RestartPolicy::no; }
    Status keep_network() {
        if (!may_restart() || presence_.kept_network) return {};
        const step::Spawn* spawn = nullptr;
        Slot ids = no_slot;
        for (const Step& step : plan_.steps) {
            if (const auto* found = std::get_if<step::Spawn>(&step.action)) spawn = found;
            if (const auto* lease = std::get_if<step::LeaseIds>(&step.action)) ids = lease->slot;
        }
        if (!spawn || !std::ranges::count(spawn->fresh, NamespaceType::net)) return {};
        const auto open_own = [this](const char* name) {
            return Fd(open(cat("/proc/", child_.pid, "/ns/", name).c_str(), O_RDONLY | O_CLOEXEC));
        };
        KeptNetwork kept{open_own("net"), {}, {}, lease_};
        if (!kept.network) return fail_errno("the network of the sandbox", errno);
        if (std::ranges::count(spawn->fresh, NamespaceType::user)) {
            kept.user = open_own("user");
            if (!kept.user) return fail_errno("the user namespace of the sandbox", errno);
        }
        if (ids != no_slot) {
            kept.ids.reset(fcntl(slot(ids).get(), F_DUPFD_CLOEXEC, 3));
            if (!kept.ids) return fail_errno("the lease of ids", errno);
        }
        presence_.kept_network = std::move(kept);
        return {};
    }
    Status run(const step::Spawn& s) {
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
    std::vector<IdMapLine> placed(const std::vector<IdMapRange>& ranges) const {
        std::vector<IdMapLine> out;
        for (const IdMapRange& r : ranges) out.push_back({r.inside, r.leased ? lease_ + r.outside : r.outside, r.count});
        return out;
    }
    Status run(const step::WriteIdMap& s) {
        // It has them from its first run.
        if (kept_namespace(NamespaceType::user) >= 0) return {};
        const auto uid = placed(s.uid), gid = placed(s.gid);
        if (s.helpers) return write_id_maps_by_helpers(child_.pid, uid, gid);
        return write_id_maps(child_.pid, uid, gid, s.deny_setgroups);
    }
    Status run(const step::IdmapTree& s) {
        if (!user_namespace_) {
            user_namespace_.reset(open(cat("/proc/", child_.pid, "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
            if (!user_namespace_) return fail_errno("the sandbox's user namespace", errno);
        }
        auto mapped = idmap_mount(slot(s.slot).get(), user_namespace_.get(), s.recursive);
        if (mapped) return {};
        const int number = mapped.error().number;
        if (!s.required && (number == EINVAL || number == EPERM)) {
            // Of a tree that came along with the host's nobody asked for it.
            if (!plan_.steps[index_].optional)
                skipped_.push_back(cat(plan_.steps[index_].id, ": the file system does not take an id map; owners appear as nobody"));
            return {};
        }
        if (number == EINVAL)
            mapped.error().hint =
                "this file system does not take an id map: say idmap: none (owners appear as nobody) or, for the root, idmap: chown";
        return mapped;
    }
    Status run(const step::BuildOverlay& s) { return build_overlay(s); }
    Status build_overlay(const step::BuildOverlay& s);
    Status run(const step::TuneProcess& s) { return tune(s); }
    Status tune(const step::TuneProcess& s);
    // What was updated while an earlier run of this plan lived.
    Status renew_limits() {
        auto limits = read_limits(presence_.folder());
        if (!limits) return pass(limits);
        for (const LimitRecord& limit : *limits) {
            const GroupSet::Member* member = groups_.find(limit.controller);
            if (!member) continue;
            if (auto written = write_group(member->folder.get(), limit.file, limit.value); !written) return pass(written, "updated limits");
        }
        return {};
    }
    Status run(const step::Release& s) {
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
    template <class SandboxStep>
    Status run(const SandboxStep&) {
        return {};
    }

    static std::optional<std::uint32_t> map_out(const std::vector<IdMapLine>& ranges, std::uint32_t inside) {
        for (const IdMapLine& r : ranges)
            if (inside >= r.inside && inside - r.inside < r.count) return r.outside + (inside - r.inside);
        return std::nullopt;
    }
    // The host's id of who makes what the sandbox has: its root, or whoever is mapped first (step::WorkAs).
    std::uint32_t maker(bool uid) const {
        if (const auto root = through(0, uid)) return *root;
        for (const Step& step : plan_.steps)
            if (const auto* map = std::get_if<step::WriteIdMap>(&step.action)) return placed(uid ? map->uid : map->gid).front().outside;
        return 0;
    }
    // The host's id of an id inside; the same id without a user namespace.
    std::optional<std::uint32_t> outside(std::uint32_t inside) const { return through(inside, true); }
    std::optional<std::uint32_t> outside_gid(std::uint32_t inside) const { return through(inside, false); }
    std::optional<std::uint32_t> through(std::uint32_t inside, bool uid) const {
        for (const Step& step : plan_.steps)
            if (const auto* map = std::get_if<step::WriteIdMap>(&step.action)) return map_out(placed(uid ? map->uid : map->gid), inside);
        return inside;
    }

    const Plan& plan_;
    StateRoot& root_;
    Presence& presence_;
    const LaunchOptions& options_;
    Fd& announce_;
    const std::string& program_;
    std::vector<Fd> slots_;
    std::vector<Pump> pumps_;
    std::optional<Journal> journal_;
    std::uint32_t lease_ = 0;
    std::string id_, scope_;
    SandboxNetwork network_;
    GroupSet groups_;
    std::vector<Fd> shared_groups_;  // held until our own groups keep them
    Fd socket_, user_namespace_;
    Fd joined_;  // of a session: the first process of the sandbox
    OtherNamespaces namespaces_;
    Fd root_upper_;  // on a tmpfs that nobody else can name
    std::optional<termios> terminal_before_;
    ChildProcess child_;
    std::vector<std::string> skipped_;
    std::size_t index_ = 0;
    bool overlay_by_descriptor_;
};

Status Launch::build_overlay(const step::BuildOverlay& s) {
    OverlayLayers layers;
    for (const Slot layer : s.lower) layers.lower.push_back(slot(layer).get());
    Fd tmpfs, upper, work;
    layers.upper_tree = s.upper_tree == no_slot ? -1 : slot(s.upper_tree).get();
    layers.upper = s.upper;
    layers.work = s.work;
    if (s.tmpfs) {
        std::vector<MountOption> options{{"mode", "0700", false, -1}};
        if (s.size) options.push_back({"size", std::to_string(*s.size), false, -1});
        auto made = new_filesystem("tmpfs", options, 0);
        if (!made) return pass(made);
        tmpfs = std::move(*made);
        layers.upper_tree = tmpfs.get();
        layers.upper = "upper";
        layers.work = "work";
        if (mkdirat(tmpfs.get(), "upper", 0755) != 0 || mkdirat(tmpfs.get(), "work", 0700) != 0 ||
            fchownat(tmpfs.get(), "upper", maker(true), maker(false), 0) != 0 || fchmodat(tmpfs.get(), "upper", 0755, 0) != 0)
            return fail_errno("make upper and work on a tmpfs", errno);
        if (s.of_root) {
            root_upper_.reset(openat(tmpfs.get(), "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            presence_.status.upper_descriptor = root_upper_.get();
        }
    }
    std::vector<MountOption> options = options_of(s.options);
    // Who mounts an overlay is who creates in it: over id-mapped layers, the sandbox's own root.
    std::optional<ActingAs> acting;
    if (s.upper_tree != no_slot && user_namespace_) {
        const auto uid = outside(0), gid = outside_gid(0);
        if (uid && gid) acting.emplace(*uid, *gid);
        if (!acting || !acting->valid())
            return fail("the sandbox's root has no id on the host", "an overlay on disk needs inside id 0 in id_map");
    }
    Result<Fd> merged;
    if (!overlay_by_descriptor_) {
        merged = overlay_by_name(layers, options, s.attributes);
    } else {
        std::vector<MountOption> all;
        for (const int lower : layers.lower) all.push_back({"lowerdir+", {}, false, lower});
        if (layers.upper_tree >= 0) {
            upper.reset(openat(layers.upper_tree, layers.upper.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            work.reset(openat(layers.upper_tree, layers.work.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (!upper || !work) return fail_errno("open upper and work", errno);
            all.push_back({"upperdir", {}, false, upper.get()});
            all.push_back({"workdir", {}, false, work.get()});
        }
        all.insert(all.end(), options.begin(), options.end());
        merged = new_filesystem("overlay", all, s.attributes);
    }
    if (!merged) return pass(merged);
    // Where the kernel cannot use upper or work it goes on without them and says so in its log alone.
    struct statvfs about {};
    if (layers.upper_tree >= 0 && fstatvfs(merged->get(), &about) == 0 && (about.f_flag & ST_RDONLY) != 0 &&
        (s.attributes & MOUNT_ATTR_RDONLY) == 0)
        return fail("the kernel cannot write to upper and work, and made the overlay read-only", "its log says why (dmesg)");
    slot(s.slot) = std::move(*merged);
    for (const Slot layer : s.lower) slot(layer).reset();
    return {};
}

Status Launch::tune(const step::TuneProcess& s) {
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

void block_signals() {
    sigset_t all;
    sigfillset(&all);
    for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&all, fatal);
    sigprocmask(SIG_SETMASK, &all, nullptr);
}

// Hundreds of layers need as many descriptors. The plan gives the payload the caller's limit back.
void raise_descriptor_limit(std::uint32_t slots) {
    rlimit limit{};
    if (slots < many_slots || getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

constexpr std::int64_t longest_backoff = 120'000'000'000;  // nanoseconds
constexpr double long_enough_s = 10;                       // after a run of so many seconds the pauses begin anew

bool wants_restart(const Restart& restart, const Outcome& outcome, const Presence& presence) {
    if (presence.stop_asked) return false;
    if (presence.restart_asked) return true;
    if (*restart.policy == RestartPolicy::no) return false;
    if (*restart.policy == RestartPolicy::on_failure && outcome.exit_code == 0) return false;
    return *restart.max == 0 || presence.status.restarts < *restart.max;
}

// Nobody waits any more who could be told: it is in the log, and the sandbox has ended with the launcher's exit code.
Outcome failed_restart(Presence& presence, const Error& error) {
    if (presence.log()) presence.log()->write(LogStream::err, cat("[sandbox: it could not be started again: ", error.message, "]\n"));
    return {};
}

std::string end_of(const Outcome& outcome) { return cat("exit ", outcome.exit_code); }

// The folder is removed, or stays with how it ended; then whoever waits is told. With problems it stays as it is: sandbox gc goes on.
void leave(Presence& presence, StateRoot& root, const Plan& plan, const Result<Outcome>& outcome, bool stays,
           std::vector<std::string>& problems) {
    if (!presence.has_begun()) return;
    if (outcome) {
        presence.status.reason = outcome->reason;
        presence.status.exit_code = outcome->exit_code;
        presence.status.signal = outcome->signal;
        presence.status.ended = wall_clock();
    }
    if (presence.log()) presence.log()->flush();
    presence.hear_last();
    stays = stays && !presence.remove_asked;
    if (stays && problems.empty()) {
        if (auto written = replace_file(presence.folder(), "result.json", outcome_to_json(*outcome)); !written)
            problems.push_back(written.error().message);
        presence.enter(SandboxPhase::stopped, "die", {{"reason", outcome->reason}, {"exit_code", std::to_string(outcome->exit_code)}});
        // Whoever is told asks next for the lock.
        presence.close_folder();
    } else {
        if (outcome) presence.tell("die", {{"reason", outcome->reason}, {"exit_code", std::to_string(outcome->exit_code)}});
        if (problems.empty()) {
            // What was kept so far goes too, if the end was asked for while it waited to be restarted.
            replay(presence.folder(), problems, true);
            if (auto removed = root.remove(presence.give_folder()); !removed) problems.push_back(removed.error().message);
            presence.tell("remove");
        } else {
            problems.push_back(cat("the record stays in ", root.path(), "/", plan.name, ": correct the cause, then run sandbox gc"));
            presence.close_folder();
        }
    }
    presence.answer_end(outcome ? end_of(*outcome) : error_answer(outcome.error()));
}

}  // namespace

Result<Outcome> run_sandbox(const Plan& plan, const HostFacts& facts, StateRoot& root, const LaunchOptions& options) {
    auto program = lower_plan(plan, facts, options.sync_at);
    if (!program) return pass(program);
    block_signals();
    raise_descriptor_limit(plan.slots);
    // What a payload with root's ids in the host's process namespace could read of us, it shall not (proc_pid(5)).
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    Presence presence(root, plan, options.profile, options.notify);
    Fd announce(options.announce);
    std::int64_t backoff = *plan.supervision.restart.backoff;
    while (true) {
        Launch launch(plan, root, presence, options, announce, *program, facts.overlay_layer_fds);
        auto carried = launch.carry_out();
        Result<Outcome> outcome = carried ? launch.supervise() : Result<Outcome>(pass(carried));
        if (!outcome && plan.supervision.detached && presence.status.restarts > 0) outcome = failed_restart(presence, outcome.error());
        const bool again = outcome && wants_restart(plan.supervision.restart, *outcome, presence);
        if (!again) presence.tell_stopping();
        const bool stays = outcome && plan.supervision.detached && !presence.remove_asked && !presence.folder_is_gone();
        auto problems = launch.take_back(!stays && !again, again);
        if (again && problems.empty()) {
            presence.enter(SandboxPhase::restarting, "die",
                           {{"reason", outcome->reason}, {"exit_code", std::to_string(outcome->exit_code)}});
            if (outcome->wall_s >= long_enough_s) backoff = *plan.supervision.restart.backoff;
            // Who asks for it does not want to wait.
            const bool go_on = presence.pause_before_restart(presence.restart_asked ? 0 : backoff);
            backoff = std::min(backoff * 2, longest_backoff);
            presence.restart_asked = false;
            if (go_on) continue;
        }
        leave(presence, root, plan, outcome, stays, problems);
        presence.tell_end(outcome ? cat("ended: ", outcome->reason, ", exit code ", outcome->exit_code) : outcome.error().message);
        launch.finish_apart();
        if (outcome)
            outcome->problems = std::move(problems);
        else
            outcome.error().also = std::move(problems);
        return outcome;
    }
}

Result<Outcome> run_in_sandbox(const Plan& plan, const HostFacts& facts, StateRoot& root) {
    auto program = lower_plan(plan, facts);
    if (!program) return pass(program);
    block_signals();
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    Presence presence(root, plan, {});
    presence.silent = true;
    const LaunchOptions options;
    Fd nobody;
    Launch launch(plan, root, presence, options, nobody, *program, facts.overlay_layer_fds);
    auto carried = launch.carry_out();
    Result<Outcome> outcome = carried ? launch.supervise() : Result<Outcome>(pass(carried));
    auto problems = launch.take_back(true, false);
    if (outcome)
        outcome->problems = std::move(problems);
    else
        outcome.error().also = std::move(problems);
    return outcome;
}

// Whether it runs, or has stopped in good order: its folder is then no leftover.
bool is_at_rest(StateRoot& root, const std::string& name) {
    auto seen = root.look(name);
    if (!seen || !seen->directory) return false;
    if (seen->alive) return true;
    const auto status = read_status(seen->directory.get());
    if (!status || status->phase != SandboxPhase::stopped) return false;
    const auto journal = read_journal(seen->directory.get());
    return journal && journal->damage.empty() &&
           std::ranges::all_of(journal->entries, [](const JournalEntry& e) { return e.undone || e.undo.kind.empty() || is_kept(e); });
}

// A journal that somebody has cut short cannot be told from a whole one: what the status names is looked at too, and mostly gone.
void undo_by_status(int folder, std::vector<std::string>& problems) {
    const auto status = read_status(folder);
    if (!status) return;
    const auto undo = [&problems](const char* what, Undo record, Fields identity) {
        if (auto done = run_undo({0, what, std::move(record), true, false, std::move(identity)}); !done)
            problems.push_back(cat(what, ": ", done.error().message));
    };
    if (status->init > 0)
        undo("init", {"kill-process", {}}, {{"pid", std::to_string(status->init)}, {"start", std::to_string(status->init_start)}});
    for (const GroupRecord& group : status->groups)
        if (group.path.find(cat(status->name, ".", status->id)) != std::string::npos || group.path.ends_with("/payload"))
            undo("group", {"remove-group", {{"path", group.path}}}, {});
    if (!status->logs.empty()) undo("logs", {"remove-logs", {{"path", status->logs}}}, {});
}

Result<Cleaned> collect_garbage(StateRoot& root) {
    Cleaned cleaned;
    auto names = root.unsupervised();
    if (!names) return pass(names);
    for (const std::string& name : *names) {
        if (is_at_rest(root, name)) continue;
        auto state = root.take_crashed(name);
        if (!state) {
            cleaned.problems.push_back(cat(name, ": ", state.error().message));
            continue;
        }
        if (state->directory() < 0) continue;  // it runs
        std::vector<std::string> problems;
        const auto journal = read_journal(state->directory());
        if (!journal && journal.error().number != ENOENT)
            cleaned.removed.push_back(cat(name, ": what its status names, as its journal cannot be read (", journal.error().message, ")"));
        else
            for (const std::string& step : replay(state->directory(), problems, true)) cleaned.removed.push_back(cat(name, ": ", step));
        undo_by_status(state->directory(), problems);
        for (const std::string& problem : problems) cleaned.problems.push_back(cat(name, ": ", problem));
        if (!problems.empty()) continue;
        if (auto removed = root.remove(std::move(*state)); !removed)
            cleaned.problems.push_back(cat(name, ": ", removed.error().message));
        else
            cleaned.removed.push_back(cat(name, ": state folder"));
    }
    for (const std::string& thing : take_back_unused(root, cleaned.problems)) cleaned.removed.push_back(thing);
    if (auto removed = root.remove_if_unused(); !removed) cleaned.problems.push_back(removed.error().message);
    return cleaned;
}

}  // namespace sandbox
