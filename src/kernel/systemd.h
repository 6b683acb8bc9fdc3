// Scopes of systemd, over D-Bus (org.freedesktop.systemd1(5)): the system's manager on the system bus, a user's on that user's own.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.h"

namespace sandbox {

enum class Manager { system, user };

struct ScopeRequest {
    std::string unit;         // "NAME.scope"
    std::string description;  // for a person, in systemctl
    pid_t pid = -1;           // who is moved into it
};

// Makes a transient scope whose group is delegated, and returns when the process is in it; it goes by itself with its last process.
// It waits at most 25 seconds. Errors name the unit and carry systemd's own words.
[[nodiscard]] Status start_scope(Manager manager, const ScopeRequest& request);

// Ends what is in the unit and returns when systemd has forgotten the unit; what is not loaded is success. Without a bus an error
// with the number ENOTCONN.
[[nodiscard]] Status stop_unit(Manager manager, const std::string& unit);

}  // namespace sandbox
