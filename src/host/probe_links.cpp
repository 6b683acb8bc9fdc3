// Network links. Which kinds this kernel has is found by making one of each in a network namespace that nobody else sees
// and that ends with the process in it.
#include <linux/capability.h>
#include <netlink/errno.h>
#include <netlink/route/link.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "base/text.h"
#include "host/netlink_dump.h"
#include "host/parts.h"

namespace sandbox {
namespace {

struct Release {
    void operator()(nl_sock* socket) const { ::nl_socket_free(socket); }
    void operator()(rtnl_link* link) const { ::rtnl_link_put(link); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

Owned<nl_sock> connect_to_kernel() {
    Owned<nl_sock> socket(::nl_socket_alloc());
    if (socket && ::nl_connect(socket.get(), NETLINK_ROUTE) < 0) socket.reset();
    return socket;
}

constexpr std::array<const char*, 3> plain_kinds{"dummy", "veth", "bridge"};
constexpr std::array<const char*, 2> stacked_kinds{"macvlan", "ipvlan"};  // on top of another link
constexpr int not_tried = 255;

// Makes links one after the other.
class LinkMaker {
   public:
    LinkMaker() : socket_(connect_to_kernel()) {}
    [[nodiscard]] bool ready() const { return socket_ != nullptr; }
    // That we may not, in this namespace, says nothing about the kernel.
    [[nodiscard]] bool forbidden() const { return forbidden_; }

    [[nodiscard]] bool has_plain(const char* kind) { return add(kind, 0) == 0; }

    // Each on a link of its own: a link carries stacked ones of a single kind. In a kernel without any link to stack it on,
    // the answer to the incomplete request tells an unknown kind from a known one.
    [[nodiscard]] bool has_stacked(const char* kind) {
        int parent = 0;
        for (const char* below : plain_kinds)
            if (parent == 0 && add(below, 0) == 0) parent = index_of_last();
        const int error = add(kind, parent);
        return error == 0 || (parent == 0 && error != -NLE_OPNOTSUPP);
    }

   private:
    [[nodiscard]] int add(const char* kind, int parent) {
        const Owned<rtnl_link> link(::rtnl_link_alloc());
        name_ = cat("trial", ++made_);
        if (!link || ::rtnl_link_set_type(link.get(), kind) < 0) return -NLE_NOMEM;
        ::rtnl_link_set_name(link.get(), name_.c_str());
        if (parent != 0) ::rtnl_link_set_link(link.get(), parent);
        const int error = ::rtnl_link_add(socket_.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL);
        forbidden_ = forbidden_ || error == -NLE_PERM || error == -NLE_NOACCESS;
        return error;
    }

    [[nodiscard]] int index_of_last() {
        rtnl_link* found = nullptr;
        if (::rtnl_link_get_kernel(socket_.get(), 0, name_.c_str(), &found) < 0) return 0;
        const Owned<rtnl_link> link(found);
        return ::rtnl_link_get_ifindex(link.get());
    }

    Owned<nl_sock> socket_;
    std::string name_;
    int made_ = 0;
    bool forbidden_ = false;
};

// The kinds that there are, one bit each in the order of the two lists, or not_tried.
int try_kinds(bool may_have_namespace) {
    if (::unshare(may_have_namespace ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0) return not_tried;
    LinkMaker maker;
    if (!maker.ready()) return not_tried;
    int found = 0, bit = 1;
    for (const char* kind : plain_kinds) {
        if (maker.has_plain(kind)) found |= bit;
        bit <<= 1;
    }
    for (const char* kind : stacked_kinds) {
        if (maker.has_stacked(kind)) found |= bit;
        bit <<= 1;
    }
    return maker.forbidden() ? not_tried : found;
}

void probe_kinds(HostFacts& facts) {
    const auto has = [&](int capability) { return (facts.capabilities >> capability & 1) != 0; };
    const pid_t child = ::fork();
    if (child < 0) return;
    if (child == 0) ::_exit(try_kinds(has(CAP_SYS_ADMIN) && has(CAP_NET_ADMIN)));
    int status = 0;
    while (::waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return;
    if (!WIFEXITED(status) || WEXITSTATUS(status) == not_tried) return;
    int found = WEXITSTATUS(status);
    for (const char* kind : plain_kinds) {
        facts.link_kinds[kind] = (found & 1) != 0;
        found >>= 1;
    }
    for (const char* kind : stacked_kinds) {
        facts.link_kinds[kind] = (found & 1) != 0;
        found >>= 1;
    }
}

void append(std::string& message, int type, std::string_view value) {
    const nlattr header{static_cast<std::uint16_t>(sizeof header + value.size()), static_cast<std::uint16_t>(type)};
    message.append(reinterpret_cast<const char*>(&header), sizeof header).append(value);
    message.resize((message.size() + 3) & ~std::size_t{3});
}

// Asks for a link with an address of one byte, which every known kind refuses, if not for what else is missing; the kernel loads the
// module of the kind before. Returns the errno.
int ask_for_impossible(NetlinkQuestion& kernel, std::string_view kind) {
    const ifinfomsg header{};
    std::string info, message(reinterpret_cast<const char*>(&header), sizeof header);
    append(info, IFLA_INFO_KIND, kind);
    append(message, IFLA_IFNAME, std::string_view("sandbox-trial", sizeof "sandbox-trial"));
    append(message, IFLA_ADDRESS, "x");
    append(message, IFLA_LINKINFO, info);
    return kernel.ask(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, message, -1, [](std::string_view) {});
}

}  // namespace

void probe_links(HostFacts& facts) { probe_kinds(facts); }

void ask_for_links(HostFacts& facts, const std::vector<std::string>& kinds) {
    if (kinds.empty()) return;
    NetlinkQuestion kernel(NETLINK_ROUTE);
    for (const std::string& kind : kinds) {
        const int error = ask_for_impossible(kernel, kind);
        if (error == EINVAL || error == EADDRNOTAVAIL || error == ENODEV)
            facts.link_kinds[kind] = true;
        else if (error == EOPNOTSUPP)
            facts.link_kinds[kind] = false;
    }
}

}  // namespace sandbox
