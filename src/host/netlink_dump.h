// Asks the kernel over netlink(7) and reads what it answers, message by message.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <functional>
#include <string_view>

#include "base/fd.h"

namespace sandbox {

// One attribute of a message.
struct NetlinkAttribute {
    int type = 0;
    std::string_view value;
    [[nodiscard]] std::uint32_t number() const {
        std::uint32_t number = 0;
        if (value.size() >= sizeof number) std::memcpy(&number, value.data(), sizeof number);
        return number;
    }
    [[nodiscard]] std::string_view text() const { return value.substr(0, value.find('\0')); }
};
// Of bytes that hold nothing else.
void for_attributes(std::string_view bytes, const std::function<void(const NetlinkAttribute&)>& visit);

class NetlinkQuestion {
   public:
    explicit NetlinkQuestion(int protocol);
    // 0, or the errno of what is in the way.
    [[nodiscard]] int error() const { return error_; }
    // Sends `body` (a fixed header and attributes) as a message of `type`; `visit` gets the body of each answer of `answer_type`.
    // Returns 0 or the kernel's errno.
    [[nodiscard]] int ask(int type, int flags, std::string_view body, int answer_type, const std::function<void(std::string_view)>& visit);
    // The kernel sends less where it knows the question better (Linux 4.20).
    void be_strict();

   private:
    Fd socket_;
    int error_ = 0;
    std::uint32_t sequence_ = 0;
};

}  // namespace sandbox
