// Connections: what one side sends the other gets, with the end of each direction and resets carried over.
//
// Bytes go through a pipe by splice(2) and never come into this process: measured on loopback, 0.7 to 1.0 GB/s where a buffer of 128 KiB
// carried 0.35 to 0.7, and with less memory. Pipes are shared, so an idle connection costs nothing here but its sockets.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <cerrno>
#include <vector>

#include "exec/forward_parts.h"

namespace sandbox {
namespace {

// As much is taken from one side in a turn: a fast connection does not hold up the others.
constexpr int reads_in_turn = 8, accepts_in_turn = 32;

constexpr std::size_t piece = 256 * 1024;

bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// Pipes that nothing is in, for the next that need one: a direction has one only while it holds what its receiver does not take.
struct Pipe {
    Fd out, in;
};

class Pipes {
   public:
    // Without ends: there are no descriptors left.
    Pipe take() {
        if (!free_.empty()) {
            Pipe pipe = std::move(free_.back());
            free_.pop_back();
            return pipe;
        }
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {};
        ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(piece));
        return {Fd(ends[0]), Fd(ends[1])};
    }
    void give_back(Pipe pipe) {
        if (free_.size() < kept) free_.push_back(std::move(pipe));
    }

    void close_free() { free_.clear(); }

   private:
    static constexpr std::size_t kept = 16;
    std::vector<Pipe> free_;
};

Pipes pipes;

// One direction of a connection.
struct Direction {
    int from = -1, to = -1;
    Pipe pipe{};
    std::size_t held = 0;                // bytes in the pipe
    bool ended = false, closed = false;  // the end was read; and was passed on
};

enum class Moved { idle, more, failed };

// False: the receiver is gone.
bool empty_pipe(Direction& way) {
    while (way.held > 0) {
        const ssize_t sent = ::splice(way.pipe.out.get(), nullptr, way.to, nullptr, way.held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return would_wait(errno);
        way.held -= static_cast<std::size_t>(sent);
    }
    if (way.pipe.in) pipes.give_back(std::move(way.pipe));
    return true;
}

// What is read, 0 at the end, or -1.
ssize_t fill_pipe(Direction& way) {
    const ssize_t got = ::splice(way.from, nullptr, way.pipe.in.get(), nullptr, piece, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    const int why = errno;
    if (got > 0)
        way.held = static_cast<std::size_t>(got);
    else
        pipes.give_back(std::move(way.pipe));
    errno = why;
    return got;
}

// The same without a pipe, where descriptors have run out: what the receiver does not take stays with the sender.
ssize_t copy_some(Direction& way) {
    char bytes[16 * 1024];
    const ssize_t there = ::recv(way.from, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (there <= 0) return there;
    const ssize_t sent = ::send(way.to, bytes, static_cast<std::size_t>(there), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent <= 0 ? sent : ::recv(way.from, bytes, static_cast<std::size_t>(sent), MSG_DONTWAIT);
}

Moved move(Direction& way) {
    for (int turn = 0; turn < reads_in_turn; ++turn) {
        if (!empty_pipe(way)) return Moved::failed;
        if (way.held > 0 || way.closed) return Moved::idle;
        if (way.ended) {
            ::shutdown(way.to, SHUT_WR);
            way.closed = true;
            return Moved::idle;
        }
        way.pipe = pipes.take();
        const ssize_t got = way.pipe.in ? fill_pipe(way) : copy_some(way);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return would_wait(errno) ? Moved::idle : Moved::failed;
        way.ended = got == 0;
    }
    return Moved::more;
}

void set_option(int socket, int level, int option) {
    const int on = 1;
    ::setsockopt(socket, level, option, &on, sizeof on);
}

// What its peer sees is a reset, not an end.
void reset_connection(Fd& socket) {
    const linger at_once{1, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    socket.reset();
}

class Listener;

class Connection final : public Waiter {
   public:
    Connection(Listener& owner, Fd client, Fd server) : owner_(owner), client_(std::move(client)), server_(std::move(server)) {
        up_.from = down_.to = client_.get();
        down_.from = up_.to = server_.get();
    }
    // False: it has not begun.
    [[nodiscard]] bool begin(ForwardLoop& loop, const SocketAddress& to, socklen_t length) {
        to_ = to;
        length_ = length;
        for (const int socket : {client_.get(), server_.get()}) set_option(socket, IPPROTO_TCP, TCP_NODELAY);
        // A client that has vanished without a word is noticed at last.
        set_option(client_.get(), SOL_SOCKET, SO_KEEPALIVE);
        if (::connect(server_.get(), &to_.any, length_) == 0)
            connected_ = true;
        else if (errno != EINPROGRESS && errno != EINTR)
            return false;
        return loop.add(client_.get(), EPOLLIN | EPOLLOUT | EPOLLET, *this) && loop.add(server_.get(), EPOLLIN | EPOLLOUT | EPOLLET, *this);
    }
    bool ready(std::uint32_t events) override;
    void abort() {
        reset_connection(client_);
        reset_connection(server_);
    }

   private:
    // 1: connected, 0: not yet, -1: refused.
    [[nodiscard]] int look_at_connect() {
        if (connected_) return 1;
        // A second call tells how the first is going.
        if (::connect(server_.get(), &to_.any, length_) == 0 || errno == EISCONN) return connected_ = true, 1;
        return errno == EALREADY || errno == EINPROGRESS || errno == EINTR ? 0 : -1;
    }
    void end(bool aborted);

    Listener& owner_;
    Fd client_, server_;
    SocketAddress to_{};
    socklen_t length_ = 0;
    bool connected_ = false;
    Direction up_, down_;

    friend class Listener;
    std::size_t place_ = 0;  // in the listener's list
};

// The socket of a published port and its connections.
class Listener final : public Waiter {
   public:
    Listener(ForwardLoop& loop, const Forward& forward) : loop_(loop), socket_(forward.socket) {
        length_ = set_address(to_, forward.to, forward.to_port);
        family_ = forward.to.is_v4() ? AF_INET : AF_INET6;
        loop_.add_ticker(*this);
    }
    [[nodiscard]] bool begin() { return loop_.add(socket_, EPOLLIN, *this); }

    bool ready(std::uint32_t) override {
        for (int turn = 0; turn < accepts_in_turn; ++turn)
            if (!take_one()) break;
        return false;  // level triggered: what is left wakes the loop again
    }
    void tick() override {
        if (!paused_) return;
        paused_ = false;
        loop_.need_ticks(-1);
        loop_.change(socket_, EPOLLIN, *this);
    }
    void remove(const Connection& connection) {
        const std::size_t place = connection.place_;
        loop_.bury(std::move(connections_[place]));
        connections_[place] = std::move(connections_.back());
        connections_.pop_back();
        if (place < connections_.size()) connections_[place]->place_ = place;
    }

   private:
    // There are no descriptors left: a socket that stays readable would keep the loop busy, so it is not looked at until one is free.
    bool pause() {
        pipes.close_free();
        paused_ = true;
        loop_.need_ticks(1);
        loop_.change(socket_, 0, *this);
        return false;
    }

    // The socket for the other side is made first: who is accepted is never turned away for want of one.
    bool take_one() {
        if (!spare_) spare_.reset(::socket(family_, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!spare_) return pause();
        Fd client(::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!client) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return pause();
            return !would_wait(errno);  // others are troubles of that one connection (accept(2))
        }
        auto connection = std::make_unique<Connection>(*this, std::move(client), std::move(spare_));
        if (!connection->begin(loop_, to_, length_)) return connection->abort(), true;
        connection->place_ = connections_.size();
        connections_.push_back(std::move(connection));
        return true;
    }

    ForwardLoop& loop_;
    int socket_;
    int family_ = AF_INET;
    SocketAddress to_{};
    socklen_t length_ = 0;
    Fd spare_;
    bool paused_ = false;
    std::vector<std::unique_ptr<Connection>> connections_;
};

bool Connection::ready(std::uint32_t events) {
    const int state = look_at_connect();
    if (state <= 0) {
        if (state < 0 || (events & EPOLLERR)) end(true);
        return false;
    }
    const Moved up = move(up_);
    // After `up`: what a server has said before it broke off is passed on.
    const Moved down = move(down_);
    if (up == Moved::failed || down == Moved::failed || (events & EPOLLERR))
        end(true);
    else if (up_.closed && down_.closed)
        end(false);
    else
        return up == Moved::more || down == Moved::more;
    return false;
}

void Connection::end(bool aborted) {
    if (aborted) abort();
    client_.reset();
    server_.reset();
    owner_.remove(*this);
}

}  // namespace

std::unique_ptr<Waiter> forward_tcp(ForwardLoop& loop, const Forward& forward) {
    auto listener = std::make_unique<Listener>(loop, forward);
    if (!listener->begin()) return nullptr;
    return listener;
}

}  // namespace sandbox
