// How a sandbox shows itself while it lives: to other commands by status file, control socket, events and log, to a service manager by
// what it is told.
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/ip.h"
#include "exec/control.h"
#include "exec/log.h"
#include "exec/notify.h"
#include "plan/plan.h"
#include "state/directory.h"
#include "state/status.h"

namespace sandbox {

// A network that others may share stays over a restart, with the user namespace that owns it and the lease of that one's ids.
struct KeptNetwork {
    Fd network, user, ids;
    std::uint32_t first_id = 0;
};

class Presence {
   public:
    Presence(StateRoot& root, const Plan& plan, std::string profile, Notify* notify = nullptr);

    // Takes the folder and begins to listen. A failure of it ends the launch.
    Status begin(SandboxState state, const std::string& id);
    // A further run of the same sandbox, after its command has ended.
    void begin_again(const std::string& id);
    [[nodiscard]] bool has_begun() const { return state_.has_value(); }
    [[nodiscard]] int folder() const { return state_->directory(); }
    // Somebody has removed it while the sandbox ran.
    [[nodiscard]] bool folder_is_gone() const;
    // To be removed. Whoever waits still can be answered.
    [[nodiscard]] SandboxState give_folder();
    // It stays, without a supervisor.
    void close_folder();

    SandboxStatus status;
    std::vector<IpAddress> addresses;         // of an earlier run: a restart asks for the same
    std::optional<KeptNetwork> kept_network;  // over a restart
    bool stop_asked = false;                  // no restart
    bool restart_asked = false;
    bool remove_asked = false;  // down
    bool silent = false;        // a session in a sandbox: its begin and end are no events of the sandbox

    // Kept beside the status, for `sandbox exec`.
    void keep_profile(const std::string& effective);
    // The status is written and the event told; the first failure to write is kept, as the sandbox goes on without.
    void enter(SandboxPhase phase, std::string event, std::vector<std::pair<std::string, std::string>> details = {});
    void tell(std::string event, std::vector<std::pair<std::string, std::string>> details = {}) const;
    void save();
    [[nodiscard]] const std::string& trouble() const { return trouble_; }

    // What the service manager hears; nothing where there is none.
    void tell_stopping();
    void tell_end(const std::string& how);
    void tell_step(std::int64_t longest);  // of the start, and how long it may take (nanoseconds)
    [[nodiscard]] int watchdog() const { return notify_ ? notify_->due() : -1; }
    void beat();

    [[nodiscard]] ControlServer* control() { return control_ ? &*control_ : nullptr; }
    [[nodiscard]] Log* log() { return log_ ? &*log_ : nullptr; }
    Status open_log(const std::string& folder);
    // What has been asked and not been heard is about the end, or comes too late.
    void hear_last();
    // Whoever waits for the end hears it.
    void answer_end(std::string_view text);

    // Waits between two runs. False when somebody has asked for the end meanwhile.
    [[nodiscard]] bool pause_before_restart(std::int64_t nanoseconds);

   private:
    [[nodiscard]] std::string in_words() const;

    StateRoot& root_;
    const Plan& plan_;
    Notify* notify_;
    std::optional<SandboxState> state_;
    std::optional<ControlServer> control_;
    std::optional<Log> log_;
    std::string trouble_;
};

[[nodiscard]] std::int64_t wall_clock();  // nanoseconds since 1970

}  // namespace sandbox
