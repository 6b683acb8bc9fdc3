// What the process that forwards is made of: one loop of events, and a part for each protocol.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/port.h"
#include "exec/forward.h"

namespace sandbox {

// Whoever waits for a descriptor.
class Waiter {
   public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    virtual ~Waiter() = default;

    // Something happened on one of its descriptors. True: there is more to do, which is done after the others had their turn.
    virtual bool ready(std::uint32_t events) = 0;
    // About once a second while the loop is asked for it.
    virtual void tick() {}

   private:
    friend class ForwardLoop;
    bool again_ = false, buried_ = false;
};

class ForwardLoop {
   public:
    // `events` of 0: nothing until the next `change`.
    [[nodiscard]] bool add(int fd, std::uint32_t events, Waiter& waiter);
    void change(int fd, std::uint32_t events, Waiter& waiter);
    // The waiter has closed what it had. It lives until nothing that is under way can name it.
    void bury(std::unique_ptr<Waiter> waiter);
    // A connection has ended: whoever waits for a descriptor to be free may try again.
    void freed() { freed_ = true; }
    // Waiters that want ticks, and how many of them there are reasons for at the moment.
    void add_ticker(Waiter& waiter) { tickers_.push_back(&waiter); }
    void need_ticks(int more) { ticks_needed_ += more; }
    // Seconds of a clock that only goes forward; read once for each round.
    [[nodiscard]] std::int64_t now() const { return now_; }

    // Opens what the loop itself needs; then `run` ends when `life` does.
    [[nodiscard]] bool open(int life);
    void run();

   private:
    [[nodiscard]] bool life_ended() const;
    void run_again();
    void run_ticks();
    void update_clock();

    Fd epoll_;
    int life_ = -1;
    std::int64_t now_ = 0, ticked_ = 0;
    int ticks_needed_ = 0;
    bool freed_ = false;
    std::vector<Waiter*> again_, tickers_;
    std::vector<std::unique_ptr<Waiter>> buried_;
};

// Each takes connections or datagrams of the forward's socket for as long as the loop runs. Nothing: the loop had no room.
[[nodiscard]] std::unique_ptr<Waiter> forward_tcp(ForwardLoop& loop, const Forward& forward);
[[nodiscard]] std::unique_ptr<Waiter> forward_udp(ForwardLoop& loop, const Forward& forward);

}  // namespace sandbox
