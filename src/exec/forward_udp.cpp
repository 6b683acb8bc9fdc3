// Datagrams: each client has a socket of its own towards the sandbox, by which answers find their way back.
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <compare>
#include <cstring>
#include <list>
#include <map>

#include "exec/forward_parts.h"

namespace sandbox {
namespace {

constexpr std::size_t most_flows = 1024;                   // of a port; the one that was silent for longest gives way
constexpr std::int64_t patience = 30, patience_both = 60;  // seconds of silence, with and without an answer
constexpr int datagrams_in_turn = 64;

std::array<char, 65536> shared_buffer;

// Who speaks with whom: the address that the client has used is the one that the answer comes from.
struct Ends {
    IpAddress client, local;
    std::uint16_t port = 0;
    std::uint32_t scope = 0, link = 0;  // of link-local addresses
    friend auto operator<=>(const Ends&, const Ends&) = default;
};

// Room for what IP_PKTINFO and IPV6_PKTINFO say, aligned.
union Control {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
};

IpAddress address_of(const void* bytes, IpFamily family) {
    IpAddress address;
    address.family = family;
    std::memcpy(address.bytes.data(), bytes, address.size());
    return address;
}

void read_local(msghdr& message, Ends& ends) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
            in_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(part), sizeof info);
            ends.local = address_of(&info.ipi_spec_dst, IpFamily::v4);
        } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(part), sizeof info);
            ends.local = address_of(&info.ipi6_addr, IpFamily::v6);
            if (ends.local.is_link_local()) ends.link = info.ipi6_ifindex;
        }
    }
}

// One datagram into the buffer; its length, or -1 if there is none.
ssize_t receive(int socket, Ends& ends) {
    SocketAddress from{};
    Control control{};
    iovec part{shared_buffer.data(), shared_buffer.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(socket, &message, MSG_DONTWAIT);
    if (got < 0) return got;
    if (from.any.sa_family == AF_INET) {
        ends.client = address_of(&from.v4.sin_addr, IpFamily::v4);
        ends.port = from.v4.sin_port;
    } else {
        ends.client = address_of(&from.v6.sin6_addr, IpFamily::v6);
        ends.port = from.v6.sin6_port;
        ends.scope = from.v6.sin6_scope_id;
    }
    read_local(message, ends);
    return got;
}

template <class Info>
void put_local(msghdr& message, int level, int type, const Info& info) {
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = level;
    part->cmsg_type = type;
    part->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(part), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
}

// What cannot be sent is lost, as datagrams are.
void answer(int socket, const Ends& ends, std::size_t size) {
    SocketAddress to;
    Control control{};
    iovec part{shared_buffer.data(), size};
    msghdr message{};
    message.msg_namelen = set_address(to, ends.client, ntohs(ends.port));
    message.msg_name = &to;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    if (ends.client.is_v4()) {
        in_pktinfo info{};
        std::memcpy(&info.ipi_spec_dst, ends.local.bytes.data(), ends.local.size());
        put_local(message, IPPROTO_IP, IP_PKTINFO, info);
    } else {
        to.v6.sin6_scope_id = ends.scope;
        in6_pktinfo info{};
        info.ipi6_ifindex = ends.link;
        std::memcpy(&info.ipi6_addr, ends.local.bytes.data(), ends.local.size());
        put_local(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
    ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

class UdpPort;

// What one client sends and gets.
class Flow final : public Waiter {
   public:
    Flow(UdpPort& owner, const Ends& ends) : owner_(owner), ends_(ends) {}
    [[nodiscard]] bool begin(ForwardLoop& loop, const SocketAddress& to, socklen_t length);
    bool ready(std::uint32_t events) override;

   private:
    friend class UdpPort;
    UdpPort& owner_;
    Ends ends_;
    Fd socket_;
    bool answered_ = false;
    std::int64_t used_ = 0;
};

using Flows = std::list<std::unique_ptr<Flow>>;

class UdpPort final : public Waiter {
   public:
    UdpPort(ForwardLoop& loop, const Forward& forward) : loop_(loop), socket_(forward.socket) {
        length_ = set_address(to_, forward.to, forward.to_port);
        loop_.add_ticker(*this);
    }
    [[nodiscard]] bool begin() {
        SocketAddress own{};
        socklen_t length = sizeof own;
        if (::getsockname(socket_, &own.any, &length) != 0) return false;
        const bool v4 = own.any.sa_family == AF_INET;
        const int on = 1;
        return ::setsockopt(socket_, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof on) == 0 &&
               loop_.add(socket_, EPOLLIN, *this);
    }
    bool ready(std::uint32_t) override {
        for (int turn = 0; turn < datagrams_in_turn; ++turn) {
            Ends ends;
            const ssize_t got = receive(socket_, ends);
            // An error is an earlier answer's (ICMP); what is waiting is read at the next turn.
            if (got < 0) break;
            if (Flow* flow = flow_of(ends)) {
                touch(*flow);
                ::send(flow->socket_.get(), shared_buffer.data(), static_cast<std::size_t>(got), MSG_DONTWAIT | MSG_NOSIGNAL);
            }
        }
        return false;
    }
    void tick() override {
        if (flows_.empty()) return;
        for (auto at = flows_.end(); at != flows_.begin();) {
            const auto flow = std::prev(at);
            const std::int64_t silent = loop_.now() - (*flow)->used_;
            if (silent <= patience) return;  // those before it were used later
            if ((*flow)->answered_ && silent <= patience_both)
                at = flow;
            else
                remove(flow);
        }
    }
    void answered(Flow& flow, std::size_t size) {
        flow.answered_ = true;
        touch(flow);
        answer(socket_, flow.ends_, size);
    }

   private:
    // The list is in the order of use, the latest first.
    void touch(Flow& flow) {
        flow.used_ = loop_.now();
        flows_.splice(flows_.begin(), flows_, by_ends_.at(flow.ends_));
    }
    void remove(Flows::iterator flow) {
        by_ends_.erase((*flow)->ends_);
        (*flow)->socket_.reset();
        loop_.bury(std::move(*flow));
        flows_.erase(flow);
        if (flows_.empty()) loop_.need_ticks(-1);
    }
    [[nodiscard]] Flow* flow_of(const Ends& ends) {
        if (const auto known = by_ends_.find(ends); known != by_ends_.end()) return known->second->get();
        if (flows_.size() >= most_flows) remove(std::prev(flows_.end()));
        auto flow = std::make_unique<Flow>(*this, ends);
        // No descriptors left: the flow of this port that was silent for longest gives way.
        while (!flow->begin(loop_, to_, length_)) {
            if ((errno != EMFILE && errno != ENFILE) || flows_.empty()) return nullptr;
            remove(std::prev(flows_.end()));
        }
        if (flows_.empty()) loop_.need_ticks(1);
        flows_.push_front(std::move(flow));
        by_ends_[ends] = flows_.begin();
        return flows_.front().get();
    }

    ForwardLoop& loop_;
    int socket_;
    SocketAddress to_{};
    socklen_t length_ = 0;
    Flows flows_;
    std::map<Ends, Flows::iterator> by_ends_;
};

bool Flow::begin(ForwardLoop& loop, const SocketAddress& to, socklen_t length) {
    socket_.reset(::socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return socket_ && ::connect(socket_.get(), &to.any, length) == 0 && loop.add(socket_.get(), EPOLLIN, *this);
}

bool Flow::ready(std::uint32_t) {
    for (int turn = 0; turn < datagrams_in_turn; ++turn) {
        const ssize_t got = ::recv(socket_.get(), shared_buffer.data(), shared_buffer.size(), MSG_DONTWAIT);
        if (got < 0) break;  // refused inside (ICMP), or nothing more
        owner_.answered(*this, static_cast<std::size_t>(got));
    }
    return false;
}

}  // namespace

std::unique_ptr<Waiter> forward_udp(ForwardLoop& loop, const Forward& forward) {
    auto port = std::make_unique<UdpPort>(loop, forward);
    if (!port->begin()) return nullptr;
    return port;
}

}  // namespace sandbox
