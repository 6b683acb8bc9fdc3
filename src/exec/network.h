// The network of one sandbox while it is made, and taken back: bridge, lease, packet filter, link, ports. Each effect on the host is
// journaled with its undo; what is held by descriptors and processes (ports, leases, the forwarder) goes with them.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/effects.h"
#include "exec/forward.h"
#include "kernel/netlink.h"
#include "plan/step.h"
#include "state/address_pool.h"
#include "state/directory.h"
#include "state/status.h"

namespace sandbox {

class SandboxNetwork {
   public:
    // `name` and `id`: the sandbox's and the run's. `preferred`: addresses of an earlier run of the same sandbox.
    void begin(std::string name, std::string id, std::vector<IpAddress> preferred);

    Status hold_ports(const step::HoldPorts& what);
    Status share_bridge(Recorder& recorder, StateRoot& root, const step::ShareBridge& what);
    Status lease_addresses(const step::LeaseAddresses& what);
    Status forward_packets(Recorder& recorder, StateRoot& root, const step::ForwardPackets& what);
    // In the sandbox's folder; then the others on its bridge hear of it.
    Status write_names(StateRoot& root, int folder, const step::WriteNames& what);
    // From here on the sandbox's first process is there.
    Status make_table(Recorder& recorder, const step::MakeTable& what);
    Status make_veth(Recorder& recorder, pid_t process, const step::MakeVeth& what);
    Status make_stacked(pid_t process, const step::MakeStacked& what);
    Status configure(pid_t process, const step::ConfigureInterface& what);
    Status forward_ports(Recorder& recorder, const step::ForwardPorts& what);

    // For `sandbox inspect`; nothing without a link of its own.
    [[nodiscard]] const std::optional<NetworkRecord>& record() const { return record_; }
    [[nodiscard]] std::vector<IpAddress> addresses() const;

    // Everything that descriptors and processes hold, before the journal is replayed; the link first of all, so that nobody hears the
    // ended sandbox at an address that is another's. `whole`: the link is removed, not left to the end of its network, which goes on.
    void let_go(bool whole);
    // At the very end, by a process that nobody waits for: the link is removed (20 ms of the kernel's; its network can live on for
    // minutes with connections that nobody answers), and the table's socket is closed (after rules were removed whoever closes it waits
    // for a grace period of 5 to 25 ms; Linux net/netfilter/nf_tables_api.c, nft_rcv_nl_event).
    void finish_apart();

   private:
    Result<Netlink*> host();
    Status open_inside(pid_t process);
    [[nodiscard]] std::optional<IpAddress> address(IpFamily family) const;
    NetworkRecord& note();

    std::string name_, id_;
    std::vector<IpAddress> preferred_;
    std::vector<IpNetwork> addresses_;  // with the prefix of the subnet
    std::vector<HeldPort> held_;
    std::optional<SharedFile> bridge_file_;
    std::vector<SharedFile> settings_;
    std::optional<Netlink> host_, inside_;
    int bridge_ = 0, link_ = 0, leftover_ = 0;
    std::vector<IpNetwork> bridge_addresses_;
    std::string bridge_name_, root_path_;
    bool member_ = false, routed_ = false;
    Fd namespace_, table_socket_, life_;
    std::string table_;
    pid_t forwarder_ = -1;
    std::optional<NetworkRecord> record_;
};

[[nodiscard]] Status undo_share_bridge(const JournalEntry& entry);
[[nodiscard]] Status undo_forward_packets(const JournalEntry& entry);
[[nodiscard]] Status undo_table(const JournalEntry& entry);
[[nodiscard]] Status undo_link(const JournalEntry& entry);
// What sandboxes shared and nobody uses any more, though no journal says so. Returns what was taken back, a line each.
[[nodiscard]] std::vector<std::string> take_back_unused(StateRoot& root, std::vector<std::string>& problems);

}  // namespace sandbox
