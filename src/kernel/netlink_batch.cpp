#include "kernel/netlink_batch.h"

#include <endian.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/text.h"

namespace sandbox {

NetlinkMessage::NetlinkMessage(std::string what, int type, int flags, std::size_t room)
    : what_(std::move(what)), message_(nlmsg_alloc_size(room)) {
    if (!message_ || !nlmsg_put(message_.get(), NL_AUTO_PORT, 0, type, 0, flags)) throw std::bad_alloc();
}

NetlinkMessage& NetlinkMessage::raw(const void* data, std::size_t size, int padding) {
    complete_ = nlmsg_append(message_.get(), const_cast<void*>(data), size, padding) >= 0 && complete_;
    return *this;
}

NetlinkMessage& NetlinkMessage::bytes(int attribute, const void* data, std::size_t size) {
    complete_ = nla_put(message_.get(), attribute, static_cast<int>(size), data) >= 0 && complete_;
    return *this;
}

NetlinkMessage& NetlinkMessage::be32(int attribute, std::uint32_t value) { return u32(attribute, htobe32(value)); }

NetlinkMessage& NetlinkMessage::be64(int attribute, std::uint64_t value) {
    const std::uint64_t swapped = htobe64(value);
    return bytes(attribute, &swapped, sizeof swapped);
}

nlattr* NetlinkMessage::open(int attribute) {
    nlattr* start = nla_nest_start(message_.get(), attribute);
    complete_ = start && complete_;
    return start;
}

NetlinkMessage& NetlinkMessage::close(nlattr* start) {
    complete_ = start && nla_nest_end(message_.get(), start) >= 0 && complete_;
    return *this;
}

bool NetlinkMessage::tolerates(int number) const { return std::find(tolerated_.begin(), tolerated_.end(), number) != tolerated_.end(); }

namespace {

// NLMSGERR_ATTR_MSG of an extended ack. With NETLINK_CAP_ACK the attributes follow the request's header; an old kernel repeats the
// whole request before them (netlink(7)).
std::string words_of(const nlmsghdr* answer) {
    if (!(answer->nlmsg_flags & NLM_F_ACK_TLVS)) return {};
    const auto* error = static_cast<const nlmsgerr*>(nlmsg_data(answer));
    std::size_t before = sizeof *error;
    if (!(answer->nlmsg_flags & NLM_F_CAPPED)) before += NLMSG_ALIGN(error->msg.nlmsg_len) - sizeof error->msg;
    const nlattr* text = nlmsg_find_attr(const_cast<nlmsghdr*>(answer), static_cast<int>(before), NLMSGERR_ATTR_MSG);
    if (!text) return {};
    const auto* from = static_cast<const char*>(nla_data(text));
    return printable(std::string_view(from, strnlen(from, static_cast<std::size_t>(nla_len(text)))));
}

std::vector<char> joined(const std::deque<NetlinkMessage>& messages) {
    std::vector<char> out;
    for (const NetlinkMessage& message : messages) {
        const auto* from = reinterpret_cast<const char*>(message.header());
        out.insert(out.end(), from, from + message.header()->nlmsg_len);
        out.resize(NLMSG_ALIGN(out.size()));
    }
    return out;
}

}  // namespace

NetlinkFailure NetlinkBatch::failure(std::size_t request, int number, const std::string& reason) const {
    std::string text = cat(messages_[request].what(), ": ", errno_text(number));
    if (!reason.empty()) text += cat(" (", reason, ")");
    return {request, Error{std::move(text), {}, number, {}, {}}};
}

tl::expected<void, NetlinkFailure> NetlinkBatch::send(int socket) {
    if (acknowledged_ == SIZE_MAX) acknowledged_ = messages_.size() - 1;
    for (std::size_t i = 0; i < messages_.size(); ++i) {
        if (!messages_[i].complete()) return tl::unexpected(failure(i, EMSGSIZE, "a request is too long"));
        messages_[i].header()->nlmsg_seq = static_cast<std::uint32_t>(i + 1);
        if (i == acknowledged_ && !messages_[i].is_answered()) messages_[i].header()->nlmsg_flags |= NLM_F_ACK;
    }
    const std::vector<char> data = joined(messages_);
    // What the kernel takes at once is bounded by the socket's send buffer (af_netlink.c, netlink_sendmsg). Only root of the machine may
    // go beyond what net.core.wmem_max allows everybody.
    if (const int size = static_cast<int>(data.size());
        size > 64 * 1024 && setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
        setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (::send(socket, data.data(), data.size(), 0) >= 0) return {};
    if (errno == EMSGSIZE)
        return tl::unexpected(failure(0, EMSGSIZE, cat(messages_.size(), " requests of ", data.size(), " bytes do not fit one send")));
    return tl::unexpected(failure(0, errno));
}

bool NetlinkBatch::take_answer(nlmsghdr* answer, const Take& take, std::unique_ptr<NetlinkFailure>& first) const {
    const std::size_t request = answer->nlmsg_seq - 1;
    if (request >= messages_.size()) return false;
    if (answer->nlmsg_type != NLMSG_ERROR) {
        if (take) take(answer);
        return request == acknowledged_ && messages_[request].is_answered();
    }
    const int number = -static_cast<const nlmsgerr*>(nlmsg_data(answer))->error;
    if (number != 0 && !first && !messages_[request].tolerates(number))
        first = std::make_unique<NetlinkFailure>(failure(request, number, words_of(answer)));
    return request >= acknowledged_;
}

tl::expected<void, NetlinkFailure> NetlinkBatch::exchange(int socket, const Take& take) {
    if (messages_.empty()) return {};
    if (auto sent = send(socket); !sent) return sent;
    std::unique_ptr<NetlinkFailure> first;
    std::vector<char> buffer(32 * 1024);  // the kernel's own measure (NLMSG_GOODSIZE, and 32 KiB for dumps)
    for (bool last = false; !last;) {
        const ssize_t got = recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        // A refusal of the whole has one answer only, to the first request.
        if (got < 0 && first) break;
        if (got < 0) return tl::unexpected(failure(acknowledged_, errno == EAGAIN ? ENOBUFS : errno, "the kernel's answers were lost"));
        int left = static_cast<int>(got);
        for (auto* answer = reinterpret_cast<nlmsghdr*>(buffer.data()); nlmsg_ok(answer, left); answer = nlmsg_next(answer, &left))
            last = take_answer(answer, take, first) || last;
    }
    if (first) return tl::unexpected(std::move(*first));
    return {};
}

Result<Fd> open_netlink(int protocol) {
    Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    if (!socket) return fail_errno("open a netlink socket", errno);
    // Without the two, errors are numbers alone.
    const int on = 1;
    setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    return socket;
}

}  // namespace sandbox
