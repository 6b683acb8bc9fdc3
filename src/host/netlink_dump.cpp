#include "host/netlink_dump.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

namespace sandbox {
namespace {

constexpr std::size_t aligned(std::size_t size) { return (size + NLMSG_ALIGNTO - 1) & ~std::size_t{NLMSG_ALIGNTO - 1}; }

enum class Answer { more, last };

// Walks the messages of one datagram that belong to the question.
Answer read_answers(std::string_view bytes, std::uint32_t sequence, bool dump, int answer_type, int& error,
                    const std::function<void(std::string_view)>& visit) {
    nlmsghdr header{};
    while (bytes.size() >= sizeof header) {
        std::memcpy(&header, bytes.data(), sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) break;
        const std::string_view body = bytes.substr(sizeof header, header.nlmsg_len - sizeof header);
        bytes.remove_prefix(std::min(aligned(header.nlmsg_len), bytes.size()));
        if (header.nlmsg_seq != sequence) continue;
        if (header.nlmsg_flags & NLM_F_DUMP_INTR) error = EINTR;
        if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
            int number = 0;
            if (body.size() >= sizeof number) std::memcpy(&number, body.data(), sizeof number);
            if (number < 0) error = -number;
            return Answer::last;
        }
        if (header.nlmsg_type == answer_type) visit(body);
        if (!dump && !(header.nlmsg_flags & NLM_F_MULTI)) return Answer::last;
    }
    return Answer::more;
}

}  // namespace

void for_attributes(std::string_view bytes, const std::function<void(const NetlinkAttribute&)>& visit) {
    nlattr header{};
    while (bytes.size() >= sizeof header) {
        std::memcpy(&header, bytes.data(), sizeof header);
        if (header.nla_len < sizeof header || header.nla_len > bytes.size()) return;
        visit({header.nla_type & NLA_TYPE_MASK, bytes.substr(sizeof header, header.nla_len - sizeof header)});
        bytes.remove_prefix(std::min(aligned(header.nla_len), bytes.size()));
    }
}

NetlinkQuestion::NetlinkQuestion(int protocol) : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)) {
    sockaddr_nl own{};
    own.nl_family = AF_NETLINK;
    if (!socket_ || ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) error_ = errno;
}

void NetlinkQuestion::be_strict() {
    const int on = 1;
    ::setsockopt(socket_.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
}

int NetlinkQuestion::ask(int type, int flags, std::string_view body, int answer_type, const std::function<void(std::string_view)>& visit) {
    if (error_ != 0) return error_;
    nlmsghdr header{};
    header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
    header.nlmsg_type = static_cast<std::uint16_t>(type);
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = ++sequence_;
    std::string message(reinterpret_cast<const char*>(&header), sizeof header);
    message += body;
    if (::send(socket_.get(), message.data(), message.size(), 0) < 0) return errno;
    std::vector<char> buffer(32 * 1024);  // the most that a dump sends at once
    int error = 0;
    while (true) {
        const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
        if (read_answers(bytes, sequence_, (flags & NLM_F_DUMP) != 0, answer_type, error, visit) == Answer::last) return error;
    }
}

}  // namespace sandbox
