// The network, and what of it outlives a run.
#include "exec/launch_steps.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "kernel/netlink.h"
#include "kernel/process.h"

namespace sandbox {

Status Launch::run(const step::ShareBridge& s) {
    Recorder r = recorder();
    return network_.share_bridge(r, root_, s);
}

Status Launch::run(const step::LeaseAddresses& s) {
    auto leased = network_.lease_addresses(s);
    if (leased) presence_.addresses = network_.addresses();
    return leased;
}

Status Launch::run(const step::ForwardPackets& s) {
    Recorder r = recorder();
    return network_.forward_packets(r, root_, s);
}

Status Launch::run(const step::WriteNames& s) { return network_.write_names(root_, presence_.folder(), s); }

Status Launch::run(const step::OpenNetwork& s) {
    auto opened = open_network(s);
    if (!opened) return pass(opened);
    slot(s.slot) = std::move(*opened);
    presence_.status.network_details.emplace().of = s.sandbox;
    return {};
}

Status Launch::run(const step::MakeTable& s) {
    Recorder r = recorder();
    return network_.make_table(r, s);
}

Status Launch::run(const step::MakeVeth& s) {
    Recorder r = recorder();
    return network_.make_veth(r, child_.pid, s);
}

Status Launch::run(const step::MakeStacked& s) { return network_.make_stacked(child_.pid, s); }

Status Launch::run(const step::ConfigureInterface& s) {
    auto configured = network_.configure(child_.pid, s);
    if (configured) presence_.status.network_details = network_.record();
    return configured;
}

Status Launch::run(const step::ForwardPorts& s) {
    Recorder r = recorder();
    auto forwarded = network_.forward_ports(r, s);
    if (forwarded) presence_.status.network_details = network_.record();
    return forwarded;
}

Result<Fd> Launch::open_network(const step::OpenNetwork& s) {
    const auto ended = [&s] { return fail(cat("sandbox ", quote(s.sandbox), " has just ended"), "sandbox ps lists those that run"); };
    const Fd process(static_cast<int>(syscall(SYS_pidfd_open, s.pid, 0)));
    if (!process || start_time(s.pid) != s.start) return ended();
    Fd network(open(cat("/proc/", s.pid, "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (!network) return fail_errno(cat("the network of sandbox ", quote(s.sandbox)), errno);
    if (syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) != 0 && errno == ESRCH) return ended();
    return network;
}

int Launch::kept_namespace(NamespaceType type) const {
    const auto& kept = presence_.kept_network;
    if (!kept) return -1;
    return type == NamespaceType::net ? kept->network.get() : type == NamespaceType::user ? kept->user.get() : -1;
}

bool Launch::may_restart() const { return plan_.supervision.detached || *plan_.supervision.restart.policy != RestartPolicy::no; }

Status Launch::keep_network() {
    if (!may_restart() || presence_.kept_network) return {};
    const auto* spawn = planned<step::Spawn>();
    const auto* ids = planned<step::LeaseIds>();
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
    if (ids) {
        kept.ids.reset(fcntl(slot(ids->slot).get(), F_DUPFD_CLOEXEC, 3));
        if (!kept.ids) return fail_errno("the lease of ids", errno);
    }
    presence_.kept_network = std::move(kept);
    return {};
}

}  // namespace sandbox
