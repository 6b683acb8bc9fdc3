// Requests to the kernel over netlink(7), built by libnl, several to one send; and its answers.
//
// rtnetlink and nfnetlink do the work within sendmsg(2): when it returns, every answer is in the socket's queue. So nothing here waits,
// and a queue that is empty before the last request is answered has lost answers (netlink(7), ENOBUFS).
#pragma once

#include <netlink/msg.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip.h"

namespace sandbox {

// One request: a fixed header, then attributes. What does not fit shows when the batch is sent.
class NetlinkMessage {
   public:
    NetlinkMessage(std::string what, int type, int flags, std::size_t room);

    NetlinkMessage& raw(const void* data, std::size_t size, int padding = NLMSG_ALIGNTO);
    NetlinkMessage& bytes(int attribute, const void* data, std::size_t size);
    NetlinkMessage& u8(int attribute, std::uint8_t value) { return bytes(attribute, &value, sizeof value); }
    NetlinkMessage& u16(int attribute, std::uint16_t value) { return bytes(attribute, &value, sizeof value); }
    NetlinkMessage& u32(int attribute, std::uint32_t value) { return bytes(attribute, &value, sizeof value); }
    NetlinkMessage& be32(int attribute, std::uint32_t value);
    NetlinkMessage& be64(int attribute, std::uint64_t value);
    NetlinkMessage& text(int attribute, const std::string& value) { return bytes(attribute, value.c_str(), value.size() + 1); }
    NetlinkMessage& ip(int attribute, const IpAddress& value) { return bytes(attribute, value.bytes.data(), value.size()); }
    // The attributes that `fill` adds, inside of one.
    template <class Fill>
    NetlinkMessage& nest(int attribute, Fill fill) {
        nlattr* start = open(attribute);
        fill();
        return close(start);
    }
    [[nodiscard]] nlattr* open(int attribute);
    NetlinkMessage& close(nlattr* start);

    // What it does in words ("make the bridge sb0"), for the error.
    [[nodiscard]] const std::string& what() const { return what_; }
    [[nodiscard]] nlmsghdr* header() const { return nlmsg_hdr(message_.get()); }
    [[nodiscard]] bool complete() const { return complete_; }
    // This errno is no failure of this request.
    NetlinkMessage& tolerate(int number) {
        tolerated_.push_back(number);
        return *this;
    }
    [[nodiscard]] bool tolerates(int number) const;
    // It has an answer of its own, so that no acknowledgement is to be asked for.
    NetlinkMessage& answered() {
        answered_ = true;
        return *this;
    }
    [[nodiscard]] bool is_answered() const { return answered_; }

   private:
    struct Free {
        void operator()(nl_msg* message) const { nlmsg_free(message); }
    };
    std::string what_;
    std::unique_ptr<nl_msg, Free> message_;
    std::vector<int> tolerated_;
    bool complete_ = true, answered_ = false;
};

// The first request that failed; `request` is its place in the batch.
struct NetlinkFailure {
    std::size_t request = 0;
    Error error;
};

class NetlinkBatch {
   public:
    // The request stays where it is. `header` is what follows the netlink header: ifinfomsg, nfgenmsg, ...
    template <class Header>
    NetlinkMessage& add(std::string what, int type, int flags, const Header& header, std::size_t room = 1024) {
        return messages_.emplace_back(std::move(what), type, NLM_F_REQUEST | flags, room).raw(&header, sizeof header);
    }
    [[nodiscard]] std::size_t size() const { return messages_.size(); }

    // Sends all. The kernel goes on after a request that failed (but for a transaction of nftables, which then does nothing at all);
    // every answer that is not about an error goes to `take`. `last` is the request whose answer is the last one.
    using Take = std::function<void(nlmsghdr*)>;
    [[nodiscard]] tl::expected<void, NetlinkFailure> exchange(int socket, const Take& take = {});
    // The request of which the kernel tells the end, when it is not the last one.
    void acknowledge(std::size_t request) { acknowledged_ = request; }

   private:
    [[nodiscard]] tl::expected<void, NetlinkFailure> send(int socket);
    [[nodiscard]] NetlinkFailure failure(std::size_t request, int number, const std::string& reason = {}) const;
    // Whether this was the answer to the last request.
    bool take_answer(nlmsghdr* answer, const Take& take, std::unique_ptr<NetlinkFailure>& first) const;

    std::deque<NetlinkMessage> messages_;
    std::size_t acknowledged_ = SIZE_MAX;
};

// A socket whose errors come with the kernel's own words. It belongs to the network namespace of the calling thread.
[[nodiscard]] Result<Fd> open_netlink(int protocol);

}  // namespace sandbox
