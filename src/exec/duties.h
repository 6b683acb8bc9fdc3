// What a supervisor does for a running sandbox beside waiting: started hooks, then health checks.
#pragma once

#include <poll.h>

#include <optional>
#include <string>
#include <vector>

#include "exec/helper.h"
#include "exec/presence.h"
#include "plan/plan.h"

namespace sandbox {

class Duties {
   public:
    Duties(const Plan& plan, Presence& presence);
    // The command runs.
    void begin();
    void add_to(std::vector<pollfd>& polls) const;
    // Goes on as far as it can without waiting. True when a started hook has failed: the sandbox is to end.
    [[nodiscard]] bool turn();
    [[nodiscard]] const std::string& failure() const { return failure_; }

   private:
    void next_hook();
    void begin_checking();
    void check();
    void judge(bool well);
    [[nodiscard]] std::vector<std::string> inside(const std::vector<Text>& command) const;
    [[nodiscard]] Variables variables() const;
    void arm(std::int64_t nanoseconds) const;

    const Plan& plan_;
    Presence& presence_;
    std::size_t hook_ = 0;
    bool checking_ = false;
    std::int64_t failures_ = 0;
    std::optional<Helper> helper_;
    Fd timer_;
    std::string failure_;
};

}  // namespace sandbox
