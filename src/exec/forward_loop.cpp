#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "exec/forward_parts.h"

namespace sandbox {

bool ForwardLoop::add(int fd, std::uint32_t events, Waiter& waiter) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &waiter;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void ForwardLoop::change(int fd, std::uint32_t events, Waiter& waiter) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &waiter;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void ForwardLoop::bury(std::unique_ptr<Waiter> waiter) {
    waiter->buried_ = true;
    buried_.push_back(std::move(waiter));
    freed();
}

bool ForwardLoop::open(int life) {
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    life_ = life;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    update_clock();
    return epoll_ && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, life, &event) == 0;
}

void ForwardLoop::update_clock() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    now_ = time.tv_sec;
}

bool ForwardLoop::life_ended() const {
    char nothing[64];
    const ssize_t got = ::read(life_, nothing, sizeof nothing);
    return got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

void ForwardLoop::run_again() {
    std::vector<Waiter*> now;
    now.swap(again_);
    for (Waiter* waiter : now) {
        waiter->again_ = false;
        if (waiter->buried_ || !waiter->ready(0) || waiter->buried_ || waiter->again_) continue;
        waiter->again_ = true;
        again_.push_back(waiter);
    }
}

void ForwardLoop::run_ticks() {
    if (!freed_ && now_ == ticked_) return;
    freed_ = false;
    ticked_ = now_;
    for (Waiter* waiter : tickers_) waiter->tick();
}

void ForwardLoop::run() {
    std::array<epoll_event, 64> events{};
    while (true) {
        const int wait = !again_.empty() || freed_ ? 0 : ticks_needed_ > 0 ? 1000 : -1;
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait);
        if (count < 0 && errno != EINTR) return;
        update_clock();
        for (int i = 0; i < count; ++i) {
            auto* waiter = static_cast<Waiter*>(events[static_cast<std::size_t>(i)].data.ptr);
            if (!waiter) {
                if (life_ended()) return;
                continue;
            }
            if (waiter->buried_ || !waiter->ready(events[static_cast<std::size_t>(i)].events)) continue;
            if (waiter->again_ || waiter->buried_) continue;
            waiter->again_ = true;
            again_.push_back(waiter);
        }
        run_again();
        if (ticks_needed_ > 0)
            run_ticks();
        else
            freed_ = false;
        std::erase_if(again_, [](const Waiter* waiter) { return waiter->buried_; });
        buried_.clear();
    }
}

}  // namespace sandbox
