// What a service manager hears about a sandbox that it has started: the protocol of sd_notify(3), spoken without its library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

// Who wants to hear, and how often.
struct NotifyAddress {
    std::string socket;         // a path, or "@" and an abstract name; empty: nobody
    std::int64_t watchdog = 0;  // nanoseconds within which a sign of life is expected; 0: none is
};
// From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which leave the environment: what is started here is not to speak for the sandbox.
[[nodiscard]] NotifyAddress take_notify_address();

class Notify {
   public:
    explicit Notify(NotifyAddress address);

    // The first message. An error when nobody can be told; then nothing is told any more.
    [[nodiscard]] Status begin();
    // How the sandbox is, in words. Told when it changes.
    void status(const std::string& words);
    // The same when its command runs: the first time, whoever waits for the start goes on.
    void running(const std::string& words);
    // The end has begun, and may take so long (nanoseconds).
    void stopping(std::int64_t longest);
    // A step of the start may take so long.
    void extend(std::int64_t longest);

    // Becomes readable when a sign of life is due; -1: none is expected.
    [[nodiscard]] int due() const { return timer_.get(); }
    void beat();

   private:
    Status send(const std::string& message);

    NotifyAddress address_;
    Fd socket_, timer_;
    std::string words_;
    bool ready_ = false, stopping_ = false;
};

}  // namespace sandbox
