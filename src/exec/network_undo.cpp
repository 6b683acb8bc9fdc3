// What takes the network of a sandbox back, from the journal of whoever made it (exec/network.h).

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/text.h"
#include "exec/names.h"
#include "exec/network.h"
#include "exec/shared_network.h"
#include "kernel/netlink.h"
#include "kernel/nft.h"

namespace sandbox {
namespace {

// The network namespace of this number, if there still is one: by its processes, and by the names that ip-netns(8) gives. Not valid: it
// is gone, with all that was in it.
Fd find_network(std::uint64_t number) {
    const auto look = [number](const std::string& path) {
        struct stat info {};
        return stat(path.c_str(), &info) == 0 && info.st_ino == number ? Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)) : Fd();
    };
    for (const auto& [folder, below] : {std::pair("/proc", "/ns/net"), std::pair("/run/netns", "")}) {
        const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir(folder), closedir);
        while (const dirent* entry = list ? readdir(list.get()) : nullptr) {
            if (entry->d_name[0] == '.' || (*below && !parse_int(entry->d_name))) continue;
            if (Fd found = look(cat(folder, "/", entry->d_name, below))) return found;
        }
    }
    return {};
}

// In the network namespace of a record until the end of the scope: that of a launcher which was started in another one than this
// process may live on without it.
class InNetwork {
   public:
    explicit InNetwork(std::uint64_t number) : in_(number == own_network()) {
        if (in_) return;
        const Fd there = find_network(number);
        gone_ = !there;
        before_.reset(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        in_ = there && before_ && setns(there.get(), CLONE_NEWNET) == 0;
        if (!in_) before_.reset();
    }
    explicit InNetwork(const JournalEntry& entry)
        : InNetwork(static_cast<std::uint64_t>(parse_int(field(entry.undo.fields, "network")).value_or(0))) {}
    InNetwork(const InNetwork&) = delete;
    ~InNetwork() {
        if (!before_ || setns(before_.get(), CLONE_NEWNET) == 0) return;
        std::fputs("sandbox: no way back to the host's network namespace\n", stderr);
        std::abort();
    }
    explicit operator bool() const { return in_; }
    [[nodiscard]] bool gone() const { return gone_; }

   private:
    bool in_, gone_ = false;
    Fd before_;
};

// A folder of this user's alone, as the state directory is. Not valid: it is gone.
Result<Fd> open_root(const JournalEntry& entry) {
    const std::string path(field(entry.undo.fields, "root"));
    const auto damaged = [] { return fail("the record of what is shared is damaged"); };
    if (normal_path(path) != path) return damaged();
    Fd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root && errno == ENOENT) return Fd();
    struct stat info {};
    if (!root || fstat(root.get(), &info) != 0 || info.st_uid != geteuid() || (info.st_mode & 077) != 0) return damaged();
    return root;
}

// The last gives back what the first has made.
Status leave(int root, const std::string& name, Status (*give_back)(SharedFile&)) {
    auto file = SharedFile::open_existing(root, name);
    if (!file) return pass(file);
    if (!*file) return {};
    auto held = (*file)->hold();
    if (!held) return pass(held);
    auto last = (*file)->is_last();
    if (!last) return pass(last);
    if (!*last) {
        // Who stays hears that somebody went.
        if (auto members = AddressPool(**file).members(); members) tell_neighbours(root, *members);
        return {};
    }
    if (auto given = give_back(**file); !given) return given;
    return (*file)->remove();
}

}  // namespace

Status undo_share_bridge(const JournalEntry& entry) {
    const InNetwork there(entry);
    if (!there) return {};
    const std::string bridge(field(entry.undo.fields, "bridge"));
    if (bridge.empty() || bridge.find('/') != std::string::npos) return fail("the record of a bridge is damaged");
    auto root = open_root(entry);
    if (!root) return pass(root);
    return *root ? leave(root->get(), bridge_file_name(bridge), give_bridge_back) : Status();
}

Status undo_forward_packets(const JournalEntry& entry) {
    const InNetwork there(entry);
    if (!there) return {};
    auto root = open_root(entry);
    if (!root) return pass(root);
    return *root ? leave(root->get(), forwarding_file_name(field(entry.undo.fields, "family") == "v6"), switch_forwarding_back) : Status();
}

// The table goes with the socket of the process that made it, which is us, and then removed already, or dead. The kernel may still be at
// it. One that can be asked for has no owner and never was ours: the kernel refuses that of another's (nft_table_lookup).
Status undo_table(const JournalEntry& entry) {
    const InNetwork there(entry);
    if (!there) return {};
    const std::string table(field(entry.undo.fields, "table"));
    const auto pid = parse_int(field(entry.identity, "pid"));
    if (table.empty() || !entry.done || (pid && *pid == getpid()) || try_nftables() != 0) return {};
    for (int tries = 0; tries < 200; ++tries) {
        auto seen = has_table(table);
        if (seen || seen.error().number != EPERM) return seen ? Status() : pass(seen);
        poll(nullptr, 0, 5);
    }
    return fail(cat("the nftables table inet ", table, " is still there"),
                "some process holds the socket that it belongs to: nft -a list tables");
}

namespace {

// "sb" and the run's random id, which the alias ends with (link_alias). Killed in the middle, a launcher has not given it yet.
bool is_own_link(const LinkInfo& link, std::string_view name, std::string_view alias) {
    const std::string_view id = name.substr(std::min<std::size_t>(name.size(), 2));
    const bool ours = name.starts_with("sb") && id.size() == 8 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
                      alias.ends_with(id);
    return ours && link.kind == "veth" && (link.alias.empty() || link.alias == alias);
}

// The host no longer answers for the addresses that nobody has: the next one may have them already.
Status remove_own_proxies(Netlink& host, int root, const std::string& bridge, std::string_view addresses) {
    std::vector<IpAddress> own;
    for (const std::string_view word : split(addresses, ' '))
        if (const auto address = parse_ip(word)) own.push_back(*address);
    auto file = root < 0 ? Result<std::optional<SharedFile>>(std::nullopt) : SharedFile::open_existing(root, bridge_file_name(bridge));
    if (!file) return pass(file);
    std::optional<SharedFile::Held> held;
    if (*file) {
        auto locked = (*file)->hold();
        if (!locked) return pass(locked);
        held.emplace(std::move(*locked));
        const AddressPool pool(**file);
        std::erase_if(own, [&](const IpAddress& address) { return pool.is_leased(address).value_or(true); });
    }
    auto link = host.find(bridge);
    if (!link) return pass(link);
    return *link && (*link)->kind == "bridge" ? host.remove_proxies((*link)->index, own) : Status();
}

}  // namespace

Status undo_link(const JournalEntry& entry) {
    const InNetwork there(entry);
    if (!there) return {};
    const Fields& f = entry.undo.fields;
    auto host = Netlink::open();
    if (!host) return pass(host);
    if (const std::string bridge(field(f, "proxy")); !bridge.empty() && bridge.find('/') == std::string::npos) {
        auto root = open_root(entry);
        if (!root) return pass(root);
        // Without a state directory there is nobody who could have them.
        if (auto removed = remove_own_proxies(*host, root->get(), bridge, field(f, "addresses")); !removed) return removed;
    }
    auto link = host->find(std::string(field(f, "name")));
    if (!link) return pass(link);
    if (!*link || !is_own_link(**link, field(f, "name"), field(f, "alias"))) return {};
    // Who has made it removes it when nobody waits any more (finish_apart).
    const bool own = parse_int(field(f, "launcher")) == getpid();
    return own ? host->detach((*link)->index) : host->remove((*link)->index);
}

std::vector<std::string> take_back_unused(StateRoot& root, std::vector<std::string>& problems) {
    std::vector<std::string> done;
    for (const std::string& name : root.shared_names()) {
        const InNetwork there(network_of(name));
        if (!there && !there.gone()) continue;
        const bool bridge = name.starts_with(".net.");
        auto file = SharedFile::open_existing(root.descriptor(), name);
        if (!file || !*file) continue;
        auto held = (*file)->hold();
        if (!held) continue;
        auto last = (*file)->is_last();
        if (!last || !*last) continue;
        auto given = there.gone() ? Status() : bridge ? give_bridge_back(**file) : switch_forwarding_back(**file);
        if (given) given = (*file)->remove();
        if (given)
            done.push_back(bridge ? cat("bridge ", name.substr(name.find('.', 5) + 1)) : std::string("forwarding of packets"));
        else
            problems.push_back(cat(name, ": ", given.error().message));
    }
    return done;
}

}  // namespace sandbox
