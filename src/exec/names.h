// resolv.conf, hosts and hostname of a sandbox: files in its state folder that are mounted inside. hosts goes on to be written as other
// sandboxes come to the bridge and leave it.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/ip.h"
#include "plan/step.h"
#include "state/address_pool.h"

namespace sandbox {

[[nodiscard]] Status write_names(int folder, const step::WriteNames& what, const std::vector<IpAddress>& own);
// The part of each member's hosts that names the others. Of one that is just going there is nothing to write to.
void tell_neighbours(int state_root, const std::vector<PoolMember>& members);

}  // namespace sandbox
