// The host-side steps of one launch: what they do, and what they hold until it is taken back.
#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "exec/effects.h"
#include "exec/groups.h"
#include "exec/helper.h"
#include "exec/launch.h"
#include "exec/lower.h"
#include "exec/network.h"
#include "exec/presence.h"
#include "exec/supervise.h"
#include "kernel/mount.h"
#include "kernel/process.h"

namespace sandbox {

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
    Status carry_out();
    Result<Outcome> supervise();
    // Everything back, in reverse, but what is kept until the sandbox is removed. The folder stays.
    std::vector<std::string> take_back(bool everything, bool again);
    void finish_apart() { network_.finish_apart(); }

   private:
    // ---- state and hooks

    Status watch(Moment moment) { return options_.watch && *options_.watch ? (*options_.watch)(index_, moment) : Status(); }
    Recorder recorder();
    Fd& slot(Slot number) { return slots_.at(static_cast<std::size_t>(number)); }
    // The plan's step of a kind of which it has one at most.
    template <class Action>
    const Action* planned() const {
        for (const Step& step : plan_.steps)
            if (const auto* found = std::get_if<Action>(&step.action)) return found;
        return nullptr;
    }
    static tl::unexpected<Error> explain(const Step& step, Error error);
    static bool interrupted();
    Status run(const step::CreateState&);
    Variables hook_variables() const;
    Status run(const step::RunHook& s);
    Status run(const step::ArmHook& s);

    // ---- the first process

    Status run(const step::LeaseIds& s);
    // The lock is the lease; the record is for people who wonder whose ids these are.
    Status note_lease();
    Status run(const step::OpenProcess& s);
    Status run(const step::Spawn& s);
    std::vector<IdMapLine> placed(const std::vector<IdMapRange>& ranges) const;
    Status run(const step::WriteIdMap& s);
    Status run(const step::TuneProcess& s);
    Status run(const step::Release& s);
    static std::optional<std::uint32_t> map_out(const std::vector<IdMapLine>& ranges, std::uint32_t inside);
    // The host's id of who makes what the sandbox has: its root, or whoever is mapped first (step::WorkAs).
    std::uint32_t maker(bool uid) const;
    // The host's id of an id inside; the same id without a user namespace.
    std::optional<std::uint32_t> outside(std::uint32_t inside) const;
    std::optional<std::uint32_t> outside_gid(std::uint32_t inside) const;
    std::optional<std::uint32_t> through(std::uint32_t inside, bool uid) const;

    // ---- files

    // A folder as the top of a read-only mount of its own. Init keeps the lock, and a payload with CAP_SYS_PTRACE may open what
    // init has open: from the folder in the host's tree ".." would lead out of the sandbox. Not valid without the right to mount.
    static Fd open_alone(const std::string& path);
    Status run(const step::MakeHostDirectory& s);
    Status run(const step::LockTree& s);
    Status run(const step::ShiftOwner& s);
    Status run(const step::OpenTree& s);
    Status run(const step::OpenFile& s);
    Status run(const step::MakeTarget& s);
    static std::vector<MountOption> options_of(const std::vector<FsOption>& options);
    Status run(const step::HostFilesystem& s);
    Status run(const step::BuildDev& s);
    Status fill_dev(int dev, const step::BuildDev& s);
    Status run(const step::IdmapTree& s);
    Status run(const step::BuildOverlay& s);

    // ---- streams

    // Both ends of a pipe: the first for reading.
    static Result<std::pair<Fd, Fd>> make_pipe();
    Status run(const step::CallerDescriptor& s);
    Status run(const step::NullDescriptor& s);
    Status run(const step::InputPipe& s);
    Status run(const step::OutputPipe& s);
    Status run(const step::MakeLogFolder& s);
    Status run(const step::LogPipe& s);
    Status run(const step::RawTerminal&);
    // As make_terminal_raw, for as long as this process lives.
    Status borrow_terminal();

    // ---- control groups

    Status run(const step::OpenGroup& s);
    // "<id>" is this run's, "<scope>" the folder that systemd made for it.
    std::string real_path(std::string path) const;
    Status run(const step::ShareGroup& s);
    Status run(const step::EnableControllers& s);
    Status run(const step::MakeGroup& s);
    Status run(const step::SetGroup& s);
    Status run(const step::DelegateGroup& s);
    Status run(const step::FilterDevices& s);
    Status run(const step::MakeScope& s);
    Status run(const step::MakeLeaf& s);
    Status run(const step::EnterGroup& s);
    Status run(const step::HandDown& s);
    // What was updated while an earlier run of this plan lived.
    Status renew_limits();

    // ---- network

    Status run(const step::HoldPorts& s) { return network_.hold_ports(s); }
    Status run(const step::ShareBridge& s);
    Status run(const step::LeaseAddresses& s);
    Status run(const step::ForwardPackets& s);
    Status run(const step::WriteNames& s);
    Status run(const step::OpenNetwork& s);
    Status run(const step::MakeTable& s);
    Status run(const step::MakeVeth& s);
    Status run(const step::MakeStacked& s);
    Status run(const step::ConfigureInterface& s);
    Status run(const step::ForwardPorts& s);
    // Of a process that is still the same after it was opened.
    Result<Fd> open_network(const step::OpenNetwork& s);
    // A restart goes back into the network that others may share, as the same root.
    int kept_namespace(NamespaceType type) const;
    // By its policy, or because somebody asks.
    bool may_restart() const;
    Status keep_network();

    // What happens inside is the child's.
    template <class SandboxStep>
    Status run(const SandboxStep&) {
        return {};
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

}  // namespace sandbox
