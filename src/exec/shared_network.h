// What sandboxes share on the host's side of the network, made by the first and taken back by the last: a bridge, and the switches that
// let the host pass packets on. What the first found is noted in the shared file (state/shared_file.h), where the last reads it.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/ip.h"
#include "kernel/netlink.h"
#include "state/address_pool.h"

namespace sandbox {

// A kernel setting, by its path below /proc/sys, with the value that it is to have as long as somebody needs it.
struct NeededSetting {
    std::string path, value;
};

// With the mutex held, before joining: makes the bridge when nobody has one of this name, or looks at the one that is there. Returns its
// index. The bridge's own settings (`settings`) are noted too.
struct BridgeWish {
    std::string name, id;
    bool create = true;
    std::vector<IpNetwork> addresses;
    std::vector<NeededSetting> settings;
    std::vector<NeededSetting> of_ours;  // only on a bridge that we make, with which they go
};
[[nodiscard]] Result<int> use_bridge(Netlink& host, SharedFile& file, const BridgeWish& wish);
// With the mutex held, by the last: away with it if it was made, and settings back.
[[nodiscard]] Status give_bridge_back(SharedFile& file);

// The same for forwarding of one family.
[[nodiscard]] Status switch_forwarding_on(SharedFile& file, bool v6);
[[nodiscard]] Status switch_forwarding_back(SharedFile& file);

// An address of our own for a link on the host, told apart by the run's random id. `first` has bit 1 set (local) and bit 0 not (one
// station).
[[nodiscard]] MacAddress mac_of_run(std::uint8_t first, const std::string& id);

// Each network namespace that launchers run in has its own: its inode is in the name.
[[nodiscard]] std::string bridge_file_name(const std::string& bridge);
[[nodiscard]] std::string forwarding_file_name(bool v6);
// Of the name of such a file; 0 if it has none.
[[nodiscard]] std::uint64_t network_of(const std::string& name);

}  // namespace sandbox
