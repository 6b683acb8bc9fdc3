// Sandboxes with networks on a host of the test's own, and machines around it, each a network namespace. After every test the host is
// as it was before its first sandbox.
#pragma once

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/syscall.h>

#include <filesystem>
#include <functional>
#include <list>
#include <set>
#include <string>
#include <vector>

#include "own_network.h"
#include "views.h"

namespace harness {

// Polls for what has no event of its own.
inline bool eventually(const std::function<bool()>& condition, milliseconds patience = milliseconds(5000)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= end) return condition();
        poll(nullptr, 0, 10);
    }
    return true;
}

inline Options with_input(std::string text) {
    Options options;
    options.input = std::move(text);
    return options;
}

// ---- what the network of the host looks like, in more detail than a snapshot

inline std::map<std::string, std::string> network_settings() {
    std::map<std::string, std::string> out{{"net/ipv4/ip_forward", read_text("/proc/sys/net/ipv4/ip_forward")}};
    for (const char* folder : {"net/ipv4/conf", "net/ipv6/conf", "net/ipv4/neigh", "net/ipv6/neigh"}) {
        std::error_code gone;
        for (auto at = std::filesystem::recursive_directory_iterator(sandbox::cat("/proc/sys/", folder), gone);
             at != std::filesystem::recursive_directory_iterator(); at.increment(gone)) {
            if (gone) break;
            const std::string path = at->path().string();
            if (at->is_regular_file(gone)) out[path.substr(10)] = read_text(path);
        }
    }
    return out;
}

// Addresses, routes, rules and proxies, a line each.
inline std::map<std::string, std::string> routing() {
    std::map<std::string, std::string> out;
    for (const char* family : {"-4", "-6"}) {
        const std::string text =
            run({"ip", "-o", family, "-batch", "-"}, with_input("address\nroute show table all\nrule\nneighbour show proxy\n")).out;
        for (const std::string_view line : sandbox::split(text, '\n'))
            if (!line.empty()) out[sandbox::cat(family, " ", line)] = "";
    }
    return out;
}

// A link that has come up gets its own address, and each address its route, from the kernel's workers a moment later.
inline bool has_settled() {
    std::set<std::string> routed;
    for (const Json& route : ip_json({"-6", "route", "show", "table", "local", "type", "local"})) routed.insert(route["dst"]);
    for (const Json& link : ip_json({"address"})) {
        if (link["operstate"] != "UP") continue;
        bool has_own = false;
        for (const Json& one : link["addr_info"]) {
            if (one["family"] != "inet6") continue;
            if (!routed.contains(one["local"])) return false;
            has_own |= one["scope"] == "link";
        }
        if (!has_own) return false;
    }
    return true;
}

inline HostSnapshot picture() {
    HostSnapshot all = HostSnapshot::take();
    all.sections["network settings"] = network_settings();
    all.sections["routing"] = routing();
    // Programs of the test come and go; "processes" is looked at by what is new.
    return all;
}

// What differs when everything has settled. A program or a socket of the test that has ended is none.
inline std::string changed_since(const HostSnapshot& before, milliseconds patience = milliseconds(5000)) {
    std::string differences;
    eventually(
        [&] {
            differences.clear();
            const std::string all = compare(before, picture());
            for (const std::string_view line : sandbox::split(all, '\n'))
                if (!line.empty() && !line.starts_with("- processes:") && !line.starts_with("- listening:"))
                    differences += sandbox::cat(line, "\n");
            return differences.empty();
        },
        patience);
    return differences.substr(0, 4000);
}

// ---- a sandbox that runs

struct Box {
    std::string name;
    Json status;
    Fd network;

    [[nodiscard]] Json details() const { return status["network_details"]; }
    [[nodiscard]] std::string id() const { return status["id"]; }
    [[nodiscard]] std::string host_link() const { return sandbox::cat("sb", id()); }
    // "10.88.0.2": its address of a family.
    [[nodiscard]] std::string address(bool v6 = false) const {
        const Words all = status["network_details"]["addresses"];
        for (const std::string& text : all) {
            if ((text.find(':') != text.npos) == v6) return text.substr(0, text.find('/'));
        }
        return "none";
    }
};

inline Words addresses_of_link(const std::string& link) {
    Words out;
    const Json answer = ip_json({"address", "show", "dev", link});
    if (!answer.is_array() || answer.empty()) return {"no link"};
    for (const Json& one : answer[0].value("addr_info", Json::array()))
        if (one["scope"] == "global") out.push_back(sandbox::cat(one["local"].get<std::string>(), "/", one["prefixlen"].get<int>()));
    return out;
}

inline Json link_of(const std::string& name) {
    const Json answer = ip_json({"link", "show", "dev", name});
    return answer.is_array() && !answer.empty() ? answer[0] : Json();
}

inline bool is_up(const Json& link) {
    if (!link.is_object()) return false;
    const Words flags = link["flags"];
    return std::find(flags.begin(), flags.end(), "UP") != flags.end();
}

class NetworkWorld : public OwnNetwork {
   protected:
    void SetUp() override {
        OwnNetwork::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed");
        REQUIRE_OR_SKIP(command_exists("nft"), "needs nft of nftables");
        // What the kernel finds out about its own addresses after a second would be a difference.
        for (const char* links : {"all", "default"}) set_sysctl(sandbox::cat("net/ipv6/conf/", links, "/accept_dad"), "0");
    }
    void TearDown() override {
        if (before_) {
            sandbox_command({"down", "--all"});
            EXPECT_EQ(changed_since(*before_), "");
        }
        OwnNetwork::TearDown();
    }

    // ---- machines

    // One more, until the end of the test.
    const Fd& machine() { return machines_.emplace_back(new_network()); }

    // A cable between the current machine's link and another's.
    static void connect(const std::string& link, const Words& addresses, const Fd& other, const std::string& other_link,
                        const Words& other_addresses) {
        command({"ip", "link", "add", link, "type", "veth", "peer", "name", other_link, "netns",
                 sandbox::cat("/proc/", getpid(), "/fd/", other.get())});
        set_up(link, addresses);
        {
            const InNetwork there(other);
            set_up(other_link, other_addresses);
        }
        // Until the carrier is there packets are lost.
        if (!eventually([&] { return link_of(link)["operstate"] == "UP"; })) throw std::runtime_error("no carrier");
    }
    static void set_up(const std::string& link, const Words& addresses) {
        for (const std::string& address : addresses) {
            Words words{"ip", "address", "add", address, "dev", link};
            if (address.find(':') != address.npos) words.push_back("nodad");
            command(words);
        }
        command({"ip", "link", "set", link, "up"});
    }
    static void command(const Words& words, const Options& options = {}) {
        const Ended ended = run(words, options);
        if (!ended.ok()) throw std::runtime_error(sandbox::cat(sandbox::join(words, " "), ": ", ended.err));
    }
    static void in(const Fd& machine, const Words& words) {
        const InNetwork there(machine);
        command(words);
    }
    // Another host on the same cable: the host is 192.0.2.1 and 2001:db8:1::1, the other 192.0.2.2 and 2001:db8:1::2.
    const Fd& neighbour() {
        const Fd& other = machine();
        connect("out0", {"192.0.2.1/24", "2001:db8:1::1/64"}, other, "eth0", {"192.0.2.2/24", "2001:db8:1::2/64"});
        return other;
    }

    // ---- sandboxes

    void remember() {
        if (before_) return;
        ASSERT_TRUE(eventually(has_settled)) << run({"ip", "address"}).out;
        before_ = picture();
    }
    // `network` is the inside of the flow map of the key network.
    std::string profile(const std::string& name, std::string_view network, std::string_view rest = {}) {
        const bool has_command = rest.find("process:") != rest.npos, has_root = rest.find("rootfs:") != rest.npos;
        return place_.write(name + ".yaml",
                            sandbox::cat("version: 1\n", has_root ? "" : sandbox::cat("rootfs: {path: ", busybox_tree(), "}\n"),
                                         "network: {mode: bridge", network.empty() ? "" : ", ", network, "}\n",
                                         has_command ? "" : "process: {command: [/sandbox-probe, \"wait-signal:TERM\"]}\n", rest));
    }
    Ended try_up(const std::string& name, std::string_view network, std::string_view rest = {}) {
        remember();
        return sandbox_command({"up", "-d", profile(name, network, rest)});
    }
    Box up(const std::string& name, std::string_view network = {}, std::string_view rest = {}) {
        const Ended ended = try_up(name, network, rest);
        if (!ended.ok()) throw std::runtime_error(sandbox::cat("up ", name, ": ", ended.err));
        return look(name);
    }
    static Box look(const std::string& name) {
        Box box{name, Json::parse(read_text(sandbox::cat("/run/sandbox/", name, "/status"))), {}};
        box.network = Fd(open(sandbox::cat("/proc/", box.status["init"].get<pid_t>(), "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
        return box;
    }
    static void down(Box& box) {
        box.network.reset();
        const Ended ended = sandbox_command({"down", box.name});
        EXPECT_TRUE(ended.ok()) << ended;
    }
    static void kill_supervisor(Box& box) {
        box.network.reset();
        const pid_t pid = box.status["supervisor"], init = box.status["init"];
        const Fd supervisor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))), first(static_cast<int>(syscall(SYS_pidfd_open, init, 0)));
        ASSERT_EQ(kill(pid, SIGKILL), 0);
        ASSERT_TRUE(readable(first.get())) << "its sandbox lives on";
        // It has its lock until the kernel has closed all that it had open.
        ASSERT_TRUE(readable(supervisor.get()));
    }
    static Ended exec(const Box& box, const Words& argv) {
        Words words{"exec", box.name, "--"};
        words.insert(words.end(), argv.begin(), argv.end());
        return sandbox_command(words);
    }
    static std::string file_in(const Box& box, const std::string& path) { return exec(box, {"/bin/cat", path}).out; }

    TempDir place_;
    std::list<Fd> machines_;
    std::optional<HostSnapshot> before_;
};

}  // namespace harness
