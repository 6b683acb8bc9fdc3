// What the verbs on living sandboxes share: finding one by its name, asking its supervisor, its processes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "state/directory.h"
#include "state/status.h"

namespace sandbox {

struct Found {
    SandboxStatus status;  // with the phase as it is: crashed when nobody supervises it, creating when it says nothing yet
    Fd folder;
    bool alive = false;
};

// Looks at one sandbox; an error that names the nearest name when there is none.
[[nodiscard]] Result<Found> find_sandbox(const std::string& name);
// All of them, by name.
[[nodiscard]] Result<std::vector<Found>> all_sandboxes();
// The same, when its launch is over: a command runs a moment before its supervisor has said so. After 2 s it is what it is.
[[nodiscard]] Result<Found> find_settled(const std::string& name);
// The same, and an error in words unless it has a supervisor.
[[nodiscard]] Result<Found> find_living(const std::string& name);
// Sends a request to its supervisor, which may be just coming.
[[nodiscard]] Result<std::string> ask_sandbox(const std::string& name, std::string_view request);

// Has its effective profile kept in its folder, as "profile.yaml".
[[nodiscard]] Status keep_profile(const Found& found);

// The payload's process on the host; nothing when it has gone. The descriptor is of the init process or of the payload itself.
struct PayloadProcess {
    pid_t pid = 0, init = 0;
    Fd init_pidfd;
};
[[nodiscard]] std::optional<PayloadProcess> find_payload(const SandboxStatus& status);

// A living sandbox from inside: its first process, checked to be the one that the status means, and its root directory (O_PATH).
struct Inside {
    Fd init, root;
};
[[nodiscard]] Result<Inside> open_inside(const SandboxStatus& status);

// "3 minutes ago" in two letters: "3min", "2h", "5d".
[[nodiscard]] std::string short_age(std::int64_t nanoseconds);
// Rows in columns, the first row the heading.
[[nodiscard]] std::string in_columns(const std::vector<std::vector<std::string>>& rows);
// 2026-11-25T01:30:00Z
[[nodiscard]] std::string format_time(std::int64_t nanoseconds);

}  // namespace sandbox
