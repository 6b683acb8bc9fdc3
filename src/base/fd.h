// An owned file descriptor: closed once, never copied.
#pragma once

#include <unistd.h>

#include <utility>

namespace sandbox {

class Fd {
   public:
    Fd() = default;
    explicit Fd(int number) : number_(number) {}
    Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.number_, -1));
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    [[nodiscard]] int get() const { return number_; }
    [[nodiscard]] bool valid() const { return number_ >= 0; }
    explicit operator bool() const { return valid(); }
    // Gives the number up to the caller, who closes it.
    [[nodiscard]] int release() { return std::exchange(number_, -1); }
    // close() is never retried: on Linux the number is free even after EINTR (close(2)).
    void reset(int number = -1) {
        if (number_ >= 0) ::close(number_);
        number_ = number;
    }

   private:
    int number_ = -1;
};

}  // namespace sandbox
