#include "exec/network.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "exec/names.h"
#include "exec/shared_network.h"
#include "kernel/conntrack.h"
#include "kernel/nft.h"
#include "kernel/process.h"

namespace sandbox {
namespace {

// A network of the sandbox's own behind the host's end of a routed pair: the host answers there as this (RFC 4291, link-local).
const IpNetwork routed_v6{{IpFamily::v6, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, 64};

std::uint32_t stacked_mode(Submode mode) {
    switch (mode) {
        case Submode::bridge: return MACVLAN_MODE_BRIDGE;
        case Submode::private_: return MACVLAN_MODE_PRIVATE;
        case Submode::vepa: return MACVLAN_MODE_VEPA;
        case Submode::passthru: return MACVLAN_MODE_PASSTHRU;
        case Submode::l2: return IPVLAN_MODE_L2;
        case Submode::l3: return IPVLAN_MODE_L3;
        case Submode::l3s: break;
    }
    return IPVLAN_MODE_L3S;
}

Result<AddressPool> pool_of(std::optional<SharedFile>& file) {
    if (!file) return fail("the bridge is not in use yet");
    return AddressPool(*file);
}

std::string link_alias(const std::string& name, const std::string& id) { return cat("sandbox ", name, " ", id); }

IpNetwork alone(const IpAddress& address) { return {address, address.width()}; }

// An aid, which not every launcher can give: the host may show it a read-only /proc/sys, or groups that it has no number for.
Status ease(const std::vector<std::pair<std::string, std::string>>& settings) {
    for (const auto& [path, value] : settings) {
        const Fd file(open(cat("/proc/sys/", path).c_str(), O_WRONLY | O_CLOEXEC));
        const bool written = file && write(file.get(), value.data(), value.size()) >= 0;
        if (!written && errno != EROFS && errno != EACCES && errno != EPERM && errno != EINVAL && errno != ENOENT)
            return fail_errno(cat("write the setting ", path), errno);
    }
    return {};
}

}  // namespace

void SandboxNetwork::begin(std::string name, std::string id, std::vector<IpAddress> preferred) {
    name_ = std::move(name);
    id_ = std::move(id);
    preferred_ = std::move(preferred);
}

Result<Netlink*> SandboxNetwork::host() {
    if (!host_) {
        auto opened = Netlink::open();
        if (!opened) return pass(opened);
        host_.emplace(std::move(*opened));
    }
    return &*host_;
}

NetworkRecord& SandboxNetwork::note() {
    if (!record_) record_.emplace().host_network = own_network();
    return *record_;
}

std::vector<IpAddress> SandboxNetwork::addresses() const {
    std::vector<IpAddress> out;
    for (const IpNetwork& network : addresses_) out.push_back(network.address);
    return out;
}

std::optional<IpAddress> SandboxNetwork::address(IpFamily family) const {
    for (const IpNetwork& network : addresses_)
        if (network.address.family == family) return network.address;
    return std::nullopt;
}

// ---- before the clone

Status SandboxNetwork::hold_ports(const step::HoldPorts& what) {
    for (const PortSocket& socket : what.sockets) {
        auto held = hold_port(socket.address, socket.port, socket.udp);
        if (!held) return pass(held);
        held_.push_back(std::move(*held));
    }
    return {};
}

Status SandboxNetwork::share_bridge(Recorder& recorder, StateRoot& root, const step::ShareBridge& what) {
    auto netlink = host();
    if (!netlink) return pass(netlink);
    bridge_name_ = what.name;
    bridge_addresses_ = what.addresses;
    root_path_ = root.path();
    BridgeWish wish{what.name, id_, what.create, what.addresses, {}, {}};
    // At once, and for IPv6 at all (ip-sysctl: neigh/proxy_delay, proxy_ndp).
    if (what.stands_in)
        wish.settings = {{cat("net/ipv4/neigh/", what.name, "/proxy_delay"), "0"},
                         {cat("net/ipv6/neigh/", what.name, "/proxy_delay"), "0"},
                         {cat("net/ipv6/conf/", what.name, "/proxy_ndp"), "1"}};
    // No sandbox tells the host its routes (CVE-2020-13401). Behind a bridge of the administrator's there may be a router.
    wish.of_ours = {{cat("net/ipv6/conf/", what.name, "/accept_ra"), "0"}};
    const Undo undo{"leave-bridge", {{"root", root.path()}, {"network", std::to_string(own_network())}, {"bridge", what.name}}};
    return recorder.carry_out(undo, [&]() -> Result<Fields> {
        auto file = SharedFile::open(root.descriptor(), bridge_file_name(what.name));
        if (!file) return pass(file);
        auto held = file->hold();
        if (!held) return pass(held);
        auto index = use_bridge(**netlink, *file, wish);
        if (!index) return pass(index);
        bridge_ = *index;
        if (auto joined = file->join(); !joined) return pass(joined);
        held->release();
        bridge_file_.emplace(std::move(*file));
        note().bridge = what.name;
        return Fields{};
    });
}

Status SandboxNetwork::lease_addresses(const step::LeaseAddresses& what) {
    auto pool = pool_of(bridge_file_);
    if (!pool) return pass(pool);
    auto held = bridge_file_->hold();
    if (!held) return pass(held);
    for (const AddressWish* wish : {&what.ip, &what.ip6}) {
        if (wish->mode == AddressMode::none) continue;
        std::optional<IpAddress> preferred;
        for (const IpAddress& before : preferred_)
            if (contains(wish->subnet, before)) preferred = before;
        // The v6 address has the number of the v4 one, so that a person sees whose it is.
        if (!preferred && !addresses_.empty()) preferred = host_of(wish->subnet, host_part(addresses_.front(), addresses_.front().address));
        const LeaseWish asked{wish->mode == AddressMode::automatic, wish->address};
        auto leased = pool->lease(wish->subnet, asked, preferred);
        // A bridge that was there may have any address of the subnet; the lease on it stays with us, and out of others' way.
        while (leased && asked.automatic &&
               std::ranges::any_of(bridge_addresses_, [&](const IpNetwork& own) { return own.address == *leased; }))
            leased = pool->lease(wish->subnet, asked, {});
        if (!leased) return pass(leased);
        addresses_.push_back({*leased, wish->subnet.prefix});
    }
    member_ = true;
    return pool->enter({name_, addresses()});
}

Status SandboxNetwork::forward_packets(Recorder& recorder, StateRoot& root, const step::ForwardPackets& what) {
    for (const bool v6 : {false, true}) {
        if (v6 && !what.v6) continue;
        const Undo undo{"leave-forwarding",
                        {{"root", root.path()}, {"network", std::to_string(own_network())}, {"family", v6 ? "v6" : "v4"}}};
        auto done = recorder.carry_out(undo, [&]() -> Result<Fields> {
            auto file = SharedFile::open(root.descriptor(), forwarding_file_name(v6));
            if (!file) return pass(file);
            auto held = file->hold();
            if (!held) return pass(held);
            if (auto on = switch_forwarding_on(*file, v6); !on) return pass(on);
            if (auto joined = file->join(); !joined) return pass(joined);
            held->release();
            settings_.push_back(std::move(*file));
            return Fields{};
        });
        if (!done) return done;
    }
    return {};
}

Status SandboxNetwork::write_names(StateRoot& root, int folder, const step::WriteNames& what) {
    if (auto written = sandbox::write_names(folder, what, addresses()); !written) return written;
    if (!member_) return {};
    auto held = bridge_file_->hold();
    if (!held) return pass(held);
    auto members = AddressPool(*bridge_file_).members();
    if (!members) return pass(members);
    tell_neighbours(root.descriptor(), *members);
    return {};
}

// ---- after the clone

Status SandboxNetwork::make_table(Recorder& recorder, const step::MakeTable& what) {
    TableRequest request{what.name, cat("sb", id_), what.bridge, addresses(), what.nat, what.subnets, {}, what.confined, {}};
    for (const step::PortForwarding& port : what.ports) {
        const auto to = address(port.family);
        if (!to) return fail(cat("the sandbox has no IPv", port.family == IpFamily::v4 ? "4" : "6", " address to publish ports of"));
        request.ports.push_back({port.family, port.host_ip, port.host_port, port.port, port.count, port.udp, *to});
    }
    for (const EgressRule& rule : what.allow)
        request.allow.push_back(
            {rule.to, rule.protocol ? std::optional(*rule.protocol == Protocol::udp) : std::nullopt, rule.first_port, rule.last_port});
    const Undo undo{"remove-table", {{"network", std::to_string(own_network())}, {"table", what.name}}};
    return recorder.carry_out(undo, [&]() -> Result<Fields> {
        auto socket = sandbox::make_table(request);
        if (!socket) return pass(socket);
        table_socket_ = std::move(*socket);
        // Flows of a sandbox before this one. A kernel that does not list them forgets them by itself, if later.
        static_cast<void>(forget_flows(request.ports, request.subnets));
        table_ = what.name;
        note().table = cat("inet ", what.name);
        // The process that holds its socket: the table goes with it.
        return identify_process(getpid());
    });
}

Status SandboxNetwork::open_inside(pid_t process) {
    if (inside_) return {};
    namespace_.reset(open(cat("/proc/", process, "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (!namespace_) return fail_errno("the network of the sandbox", errno);
    auto opened = Netlink::open_in(namespace_.get());
    if (!opened) return pass(opened);
    inside_.emplace(std::move(*opened));
    return {};
}

Status SandboxNetwork::make_veth(Recorder& recorder, pid_t process, const step::MakeVeth& what) {
    auto netlink = host();
    if (!netlink) return pass(netlink);
    if (auto opened = open_inside(process); !opened) return opened;
    VethRequest request;
    request.host_name = cat("sb", id_);
    request.alias = link_alias(name_, id_);
    request.host_mac = mac_of_run(0xfe, id_);
    request.peer_namespace = namespace_.get();
    request.peer_name = what.name;
    const auto v4 = address(IpFamily::v4), v6 = address(IpFamily::v6);
    if (what.mac)
        request.peer_mac = *what.mac;
    else
        request.peer_mac = mac_of(v4 ? *v4 : v6 ? *v6 : IpAddress{IpFamily::v4, {static_cast<std::uint8_t>(bridge_), 0, 0, 0}});
    request.mtu = what.mtu;
    request.hairpin = what.hairpin;
    request.bridge = what.routed ? 0 : bridge_;
    Undo undo{"remove-link",
              {{"network", std::to_string(own_network())},
               {"name", request.host_name},
               {"alias", request.alias},
               {"launcher", std::to_string(getpid())}}};
    if (what.routed) {
        routed_ = true;
        undo.fields.emplace_back("root", root_path_);
        request.routes = addresses();
        request.proxy_on = bridge_;
        for (const IpNetwork& own : bridge_addresses_)
            if (own.address.is_v4() && v4) request.host_addresses.push_back(alone(own.address));
        if (v6) request.host_addresses.push_back(routed_v6);
        std::string routes;
        for (const IpAddress& address : request.routes) routes += cat(routes.empty() ? "" : " ", to_text(address));
        undo.fields.emplace_back("proxy", what.bridge);
        undo.fields.emplace_back("addresses", routes);
    }
    return recorder.carry_out(undo, [&]() -> Result<Fields> {
        auto made = (*netlink)->make_veth(request);
        if (!made) return pass(made);
        link_ = *made;
        note().host_link = request.host_name;
        note().host_link_index = link_;
        note().interface = what.name;
        note().mac = to_text(request.peer_mac);
        return Fields{{"index", std::to_string(link_)}};
    });
}

Status SandboxNetwork::make_stacked(pid_t process, const step::MakeStacked& what) {
    auto netlink = host();
    if (!netlink) return pass(netlink);
    if (auto opened = open_inside(process); !opened) return opened;
    auto parent = (*netlink)->find(what.parent);
    if (!parent) return pass(parent);
    if (!*parent) return fail(cat("there is no interface ", quote(what.parent)), "correct network.parent; ip link shows those there are");
    addresses_ = what.addresses;
    StackedRequest request{what.ipvlan ? StackedKind::ipvlan : StackedKind::macvlan,
                           stacked_mode(what.mode),
                           (*parent)->index,
                           namespace_.get(),
                           what.name,
                           what.mac,
                           what.mtu};
    if (auto made = (*netlink)->make_stacked(request); !made) return made;
    note().parent = what.parent;
    note().interface = what.name;
    if (what.mac) note().mac = to_text(*what.mac);
    return {};
}

Status SandboxNetwork::configure(pid_t process, const step::ConfigureInterface& what) {
    if (auto opened = open_inside(process); !opened) return opened;
    InsideRequest request{what.name, {}, {}, true};
    for (const IpNetwork& network : addresses_) {
        request.addresses.push_back(what.routed ? alone(network.address) : network);
        note().addresses.push_back(to_text(network));
    }
    for (const IpAddress& gateway : what.gateways) {
        const IpNetwork everywhere{{gateway.family, {}}, 0};
        note().gateway.push_back(to_text(gateway));
        if (!what.routed) {
            const bool near = std::ranges::any_of(addresses_, [&](const IpNetwork& n) { return contains(masked(n), gateway); });
            request.routes.push_back({everywhere, gateway, !near, std::nullopt});
        } else {
            request.routes.push_back({everywhere, gateway.is_v4() ? gateway : routed_v6.address, true, std::nullopt});
        }
    }
    for (const PlannedRoute& route : what.routes) {
        // The host is a router that is in no network of the interface.
        const auto via = what.routed && route.via && !route.via->is_v4() ? std::optional(routed_v6.address) : route.via;
        request.routes.push_back({route.to, via, what.routed && via.has_value(), route.metric});
    }
    if (auto configured = inside_->configure(request); !configured) return configured;
    if (auto set = in_network(namespace_.get(), [&] { return ease(what.settings); }); !set) return set;
    // The kernel takes up the carrier of new links from a work queue: what is sent before that is lost, and sent again a second later.
    std::vector<int> links;
    if (link_ != 0) links.push_back(link_);
    if (link_ != 0 && !what.routed) links.push_back(bridge_);
    return links.empty() ? Status() : host_->settle(std::move(links));
}

Status SandboxNetwork::forward_ports(Recorder& recorder, const step::ForwardPorts& what) {
    std::vector<Forward> forwards;
    for (std::size_t i = 0; i < what.sockets.size() && i < held_.size(); ++i) {
        const PortSocket& socket = what.sockets[i];
        auto to = address(socket.address.family);
        if (!to) to = address(socket.address.is_v4() ? IpFamily::v6 : IpFamily::v4);
        if (!to) return fail("the sandbox has no address to publish ports of", "say interface: {ip: auto}");
        forwards.push_back({held_[i].socket.get(), socket.udp, *to, socket.inner});
        PortRecord& port = note().ports.emplace_back();
        port.host_ip = to_text(socket.address);
        port.host_port = socket.port;
        port.port = socket.inner;
        port.protocol = socket.udp ? "udp" : "tcp";
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", errno);
    const Fd life(ends[0]);
    life_.reset(ends[1]);
    // It ends with us by itself. Whoever cleans up after us waits for that: then the ports can be had again.
    return recorder.carry_out({"kill-process", {{"grace_ms", "1000"}}}, [&]() -> Result<Fields> {
        auto started = start_forwarder(forwards, life.get());
        if (!started) return pass(started);
        forwarder_ = *started;
        // It has them: a second owner would keep the port when it goes.
        held_.clear();
        return identify_process(forwarder_);
    });
}

void SandboxNetwork::let_go(bool whole) {
    if (link_ != 0 && host_) static_cast<void>(whole ? host_->remove(link_) : host_->detach(link_));
    leftover_ = whole ? 0 : link_;
    // As long as the addresses are ours: the next one who has them is answered for too.
    if (routed_ && host_) static_cast<void>(host_->remove_proxies(bridge_, addresses()));
    link_ = 0;
    routed_ = false;
    life_.reset();
    if (forwarder_ > 0)
        while (waitpid(forwarder_, nullptr, 0) < 0 && errno == EINTR) {
        }
    forwarder_ = -1;
    held_.clear();
    if (table_socket_) static_cast<void>(remove_table(table_socket_.get(), table_));
    if (member_ && bridge_file_)
        if (auto held = bridge_file_->hold(); held) static_cast<void>(AddressPool(*bridge_file_).withdraw(name_));
    bridge_file_.reset();
    settings_.clear();
    inside_.reset();
    namespace_.reset();
}

namespace {

// All but these: whoever reads the launcher's output waits for its end with every copy of it.
void close_all_but(std::vector<int> kept) {
    std::ranges::sort(kept);
    unsigned from = 0;
    for (const int descriptor : kept) {
        if (descriptor < 0) continue;
        const auto number = static_cast<unsigned>(descriptor);
        if (number > from) close_range(from, number - 1, 0);
        from = number + 1;
    }
    close_range(from, ~0U, 0);
}

}  // namespace

void SandboxNetwork::finish_apart() {
    int ends[2];
    if ((leftover_ == 0 && !table_socket_) || pipe2(ends, O_CLOEXEC) != 0) return;
    Fd ours(ends[1]), theirs(ends[0]);
    const pid_t first = fork();
    if (first == 0) {
        // A child of its own that nobody has to wait for.
        if (fork() != 0) _exit(0);
        close_all_but({theirs.get(), table_socket_.get(), host_ ? host_->descriptor() : -1});
        // Until the launcher has closed its own copies, and is not the last.
        char byte;
        while (read(theirs.get(), &byte, 1) < 0 && errno == EINTR) {
        }
        if (leftover_ != 0 && host_)
            if (auto link = host_->find(cat("sb", id_)); link && *link && (*link)->index == leftover_)
                static_cast<void>(host_->remove(leftover_));
        _exit(0);
    }
    if (first > 0)
        while (waitpid(first, nullptr, 0) < 0 && errno == EINTR) {
        }
    table_socket_.reset();
    host_.reset();
    ours.reset();
}

}  // namespace sandbox
