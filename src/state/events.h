// Events of all sandboxes of a state directory, for whoever listens at the moment: nothing is kept.
//
// A listener binds a datagram socket in ".events" below the root; a supervisor sends each event to every socket there. Without a
// listener an event costs one look for a folder.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

struct Event {
    std::int64_t time = 0;  // nanoseconds since 1970
    std::string name;       // of the sandbox
    std::string what;       // "create" "start" "die" "stop" "pause" "resume" "oom" "restart" "health" "remove"
    std::vector<std::pair<std::string, std::string>> details;
};
[[nodiscard]] std::string event_to_json(const Event& event);

// Sends it to whoever listens below `root`; what nobody takes is lost.
void emit_event(int root, const Event& event);

// Removes the sockets of listeners that were killed, and the folder if no listener is left.
void drop_dead_listeners(int root);

class EventListener {
   public:
    // `root` is the state directory. The socket goes with the listener.
    static Result<EventListener> open(int root);
    EventListener(EventListener&&) noexcept;
    EventListener& operator=(EventListener&&) = delete;
    ~EventListener();
    [[nodiscard]] int descriptor() const { return socket_.get(); }
    // The next event's JSON, without waiting; empty when there is none.
    [[nodiscard]] std::string next();

   private:
    EventListener() = default;
    Fd root_, folder_, socket_;
    std::string name_;
};

}  // namespace sandbox
