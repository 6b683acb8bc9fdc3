// What a sandbox's control groups count, and what /proc says about its processes: for the verbs that show them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/sandboxes.h"
#include "host/facts.h"
#include "kernel/cgroup.h"

namespace sandbox {

// Its groups, as far as they are still there.
[[nodiscard]] GroupSet open_groups(const SandboxStatus& status);

// Everything that is counted, null where the host does not count it.
[[nodiscard]] nlohmann::ordered_json counters_of(const GroupSet& groups);
[[nodiscard]] nlohmann::ordered_json number_or_null(const std::optional<std::uint64_t>& number);
[[nodiscard]] std::string as_text(const nlohmann::ordered_json& json);

// The lines of /proc/PID/status by their words; empty when it is gone.
using ProcessStatus = std::map<std::string, std::string, std::less<>>;
[[nodiscard]] ProcessStatus process_status(pid_t pid);
// Its numbers in the namespaces below the caller's, the innermost last; its number here when it is in none of them.
[[nodiscard]] std::vector<std::int64_t> numbers_inside(const ProcessStatus& status);
// The inode of /proc/PID/ns/KIND; nothing when it cannot be seen.
[[nodiscard]] std::optional<std::uint64_t> namespace_inode(const std::string& process, const std::string& kind);

// uid_map or gid_map of its user namespace, as the caller sees it: in the caller's own namespace ids are what they are.
[[nodiscard]] std::vector<FactRange> id_map_of(pid_t pid, const char* file);

// The processes of a sandbox: those of its groups, or of init's tree where there are none.
[[nodiscard]] std::vector<pid_t> processes_of(const SandboxStatus& status, const GroupSet& groups);

}  // namespace sandbox
