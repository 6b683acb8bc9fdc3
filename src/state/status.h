// What a sandbox says about itself while its folder exists: the file "status" beside the journal, JSON, exchanged whole.
//
// The supervisor writes it; everybody may read it. It is a report and decides nothing: whether a supervisor lives is what the lock
// says, and what has to be undone is what the journal says.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace sandbox {

enum class SandboxPhase { creating, created, running, paused, restarting, stopped, crashed };
[[nodiscard]] std::string_view phase_name(SandboxPhase phase);

struct GroupRecord {
    std::vector<std::string> controllers;
    std::string path;
    bool v2 = false;
};

struct PortRecord {
    std::string host_ip;
    std::uint16_t host_port = 0, count = 1;  // so many from host_port on, to as many from port on
    std::uint16_t port = 0;
    std::string protocol;  // "tcp", "udp"
    friend bool operator==(const PortRecord&, const PortRecord&) = default;
};

// The network of a sandbox that has one beyond loopback. What its mode does not have is empty.
struct NetworkRecord {
    std::string bridge, host_link;       // on the host; host_link: the other end of the sandbox's interface
    std::uint64_t host_network = 0;      // inode of the network namespace that the launcher is in
    int host_link_index = 0;             // with the name, no other link; 0: none
    std::string interface, mac;          // inside
    std::vector<std::string> addresses;  // with their prefix
    std::vector<std::string> gateway;    // one for each family
    std::string table;                   // nftables' on the host
    std::vector<PortRecord> ports;
    std::string of;      // container mode: the sandbox whose network it shares
    std::string parent;  // macvlan, ipvlan: the host's interface
    friend bool operator==(const NetworkRecord&, const NetworkRecord&) = default;
};

struct SandboxStatus {
    std::string name, id;  // id: the run's random one
    SandboxPhase phase = SandboxPhase::creating;
    bool detached = false;
    std::string profile;  // the path or name it was started from
    std::string network;  // mode
    std::optional<NetworkRecord> network_details;
    std::string health;                     // "", "starting", "healthy", "unhealthy"
    std::int64_t created = 0, started = 0;  // nanoseconds since 1970; 0: not yet
    std::int64_t ended = 0;
    pid_t supervisor = 0, init = 0;  // on the host
    std::uint64_t init_start = 0;    // clock ticks since boot: with the pid, nobody else
    pid_t payload = 0;               // in the sandbox's own process namespace; 0: the init process itself
    bool own_pid_namespace = true;
    std::int64_t restarts = 0;
    std::string logs;        // folder of the log files; empty: none
    std::string log_driver;  // "file", "journald", "none"; empty in the foreground
    std::vector<GroupRecord> groups;
    std::string upper;          // directory that takes what an overlay root writes; empty: none, or a tmpfs
    int upper_descriptor = -1;  // of an upper on a tmpfs: what the supervisor has it open as; -1: none
    std::vector<std::string> lower;
    std::string stop_signal;  // by name
    // when it has ended
    std::string reason;
    int exit_code = 0, signal = 0;
};

// "0.0.0.0:8080->80/tcp", "[::]:8000-8009->8000-8009/udp"
[[nodiscard]] std::string port_to_text(const PortRecord& port);

[[nodiscard]] std::string status_to_json(const SandboxStatus& status);
[[nodiscard]] Result<SandboxStatus> status_from_json(const std::string& text);

// In the folder of a sandbox. A reader never sees half of it.
[[nodiscard]] Status write_status(int folder, const SandboxStatus& status);
// An error with number ENOENT when there is none yet.
[[nodiscard]] Result<SandboxStatus> read_status(int folder);

// A file of the folder, exchanged whole (0600); and read, at most 4 MiB of it.
[[nodiscard]] Status replace_file(int folder, const std::string& name, std::string_view text);
[[nodiscard]] Result<std::string> read_file_in(int folder, const std::string& name);

// What sandbox update has written to the groups, in order: a restart that the supervisor makes from its plan writes it again. In the
// file "limits"; none: nothing was updated.
struct LimitRecord {
    std::string controller, file, value;
};
[[nodiscard]] Status write_limits(int folder, const std::vector<LimitRecord>& limits);
[[nodiscard]] Result<std::vector<LimitRecord>> read_limits(int folder);

}  // namespace sandbox
