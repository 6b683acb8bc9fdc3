#include "network_snapshot.h"

#include <dirent.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/text.h"
#include "harness.h"
#include "host/netlink_dump.h"

namespace harness {

using sandbox::cat;

namespace {

using Section = std::map<std::string, std::string>;
using sandbox::NetlinkAttribute;
using sandbox::NetlinkQuestion;

template <class Header>
Header header_of(std::string_view body) {
    Header header{};
    memcpy(&header, body.data(), std::min(sizeof header, body.size()));
    return header;
}

template <class Header>
std::string_view attributes_of(std::string_view body) {
    return body.size() > NLMSG_ALIGN(sizeof(Header)) ? body.substr(NLMSG_ALIGN(sizeof(Header))) : std::string_view();
}

template <class Header, class Visit>
void dump(NetlinkQuestion& kernel, int ask, int answer, Header header, const Visit& visit) {
    const std::string_view body(reinterpret_cast<const char*>(&header), sizeof header);
    // Interrupted by a change: what was seen is looked at again by whoever compares.
    static_cast<void>(kernel.ask(ask, NLM_F_DUMP, body, answer,
                                 [&](std::string_view found) { visit(header_of<Header>(found), attributes_of<Header>(found)); }));
}

std::string address_text(int family, std::string_view bytes) {
    sandbox::IpAddress address{family == AF_INET ? sandbox::IpFamily::v4 : sandbox::IpFamily::v6, {}};
    memcpy(address.bytes.data(), bytes.data(), std::min(bytes.size(), address.bytes.size()));
    return sandbox::to_text(address);
}

std::string hardware_address(std::string_view bytes) {
    std::string text;
    for (const char byte : bytes) {
        char two[4];
        snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(byte));
        text += cat(text.empty() ? "" : ":", two);
    }
    return text;
}

struct Names {
    std::map<std::uint32_t, std::string> names;
    std::string operator()(std::uint32_t index) const {
        const auto found = names.find(index);
        return found == names.end() ? std::to_string(index) : found->second;
    }
};

Names links(NetlinkQuestion& kernel, Section& section) {
    Names names;
    std::map<std::string, std::uint32_t> masters;
    dump(kernel, RTM_GETLINK, RTM_NEWLINK, ifinfomsg{}, [&](const ifinfomsg& header, std::string_view attributes) {
        std::string name, kind, alias, mac;
        std::uint32_t mtu = 0, master = 0;
        sandbox::for_attributes(attributes, [&](const NetlinkAttribute& a) {
            if (a.type == IFLA_IFNAME) name = a.text();
            if (a.type == IFLA_IFALIAS) alias = a.text();
            if (a.type == IFLA_ADDRESS) mac = hardware_address(a.value);
            if (a.type == IFLA_MTU) mtu = a.number();
            if (a.type == IFLA_MASTER) master = a.number();
            if (a.type == IFLA_LINKINFO)
                sandbox::for_attributes(a.value, [&](const NetlinkAttribute& inner) {
                    if (inner.type == IFLA_INFO_KIND) kind = inner.text();
                });
        });
        names.names[static_cast<std::uint32_t>(header.ifi_index)] = name;
        masters[name] = master;
        section["link " + name] =
            cat("index ", header.ifi_index, " kind ", kind, " alias ", alias, header.ifi_flags & IFF_UP ? " up" : " down",
                header.ifi_flags & IFF_PROMISC ? " promiscuous" : "", " mac ", mac, " mtu ", mtu);
    });
    for (const auto& [name, master] : masters)
        if (master != 0) section["link " + name] += " port of " + names(master);
    return names;
}

void addresses(NetlinkQuestion& kernel, const Names& names, Section& section) {
    dump(kernel, RTM_GETADDR, RTM_NEWADDR, ifaddrmsg{}, [&](const ifaddrmsg& header, std::string_view attributes) {
        std::string local, remote;
        sandbox::for_attributes(attributes, [&](const NetlinkAttribute& a) {
            if (a.type == IFA_LOCAL) local = address_text(header.ifa_family, a.value);
            if (a.type == IFA_ADDRESS) remote = address_text(header.ifa_family, a.value);
        });
        section[cat("address ", names(header.ifa_index), " ", local.empty() ? remote : local, "/", header.ifa_prefixlen)] = remote;
    });
}

void routes(NetlinkQuestion& kernel, const Names& names, Section& section) {
    dump(kernel, RTM_GETROUTE, RTM_NEWROUTE, rtmsg{}, [&](const rtmsg& header, std::string_view attributes) {
        if ((header.rtm_flags & RTM_F_CLONED) != 0 || (header.rtm_family != AF_INET && header.rtm_family != AF_INET6)) return;
        std::string to = "default", via, link, source;
        std::uint32_t table = header.rtm_table, metric = 0;
        sandbox::for_attributes(attributes, [&](const NetlinkAttribute& a) {
            if (a.type == RTA_DST) to = address_text(header.rtm_family, a.value);
            if (a.type == RTA_GATEWAY) via = address_text(header.rtm_family, a.value);
            if (a.type == RTA_PREFSRC) source = address_text(header.rtm_family, a.value);
            if (a.type == RTA_OIF) link = names(a.number());
            if (a.type == RTA_TABLE) table = a.number();
            if (a.type == RTA_PRIORITY) metric = a.number();
        });
        section[cat("route ", header.rtm_family == AF_INET ? "v4 " : "v6 ", to, "/", header.rtm_dst_len, " dev ", link, " table ", table,
                    " type ", header.rtm_type, " metric ", metric)] = cat("via ", via, " from ", source, " protocol ", header.rtm_protocol);
    });
}

// What the kernel has learned by itself comes and goes.
void neighbours(NetlinkQuestion& kernel, const Names& names, Section& section) {
    for (const bool proxies : {false, true}) {
        ndmsg ask{};
        ask.ndm_flags = proxies ? NTF_PROXY : 0;
        dump(kernel, RTM_GETNEIGH, RTM_NEWNEIGH, ask, [&](const ndmsg& header, std::string_view attributes) {
            if (!proxies && (header.ndm_state & NUD_PERMANENT) == 0) return;
            std::string address;
            sandbox::for_attributes(attributes, [&](const NetlinkAttribute& a) {
                if (a.type == NDA_DST) address = address_text(header.ndm_family, a.value);
            });
            section[cat(proxies ? "proxy " : "neighbour ", names(static_cast<std::uint32_t>(header.ndm_ifindex)), " ", address)] = "";
        });
    }
}

Section network() {
    Section section;
    NetlinkQuestion kernel(NETLINK_ROUTE);
    const Names names = links(kernel, section);
    addresses(kernel, names, section);
    routes(kernel, names, section);
    neighbours(kernel, names, section);
    return section;
}

// The tables by name; what is in them from nft, which is asked only when there are some.
Section firewall() {
    Section section;
    NetlinkQuestion kernel(NETLINK_NETFILTER);
    constexpr int ask = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, answer = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE;
    dump(kernel, ask, answer, nfgenmsg{}, [&](const nfgenmsg& header, std::string_view attributes) {
        sandbox::for_attributes(attributes, [&](const NetlinkAttribute& a) {
            if (a.type == NFTA_TABLE_NAME) section[cat("table ", int(header.nfgen_family), " ", a.text())] = "";
        });
    });
    if (!section.empty() && is_root() && command_exists("nft")) section["ruleset"] = run({"nft", "-s", "list", "ruleset"}).out;
    return section;
}

std::vector<std::string> entries_of(const std::string& folder) {
    std::vector<std::string> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir(folder.c_str()), closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr)
        if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
    return out;
}

// Every switch that a sandbox on a network may have turned (exec/shared_network.cpp), and what the kernel turns with it.
Section settings() {
    struct Kind {
        const char* folder;
        std::vector<const char*> keys;
    };
    const Kind kinds[] = {{"net/ipv4/conf", {"forwarding", "accept_redirects", "proxy_arp", "rp_filter"}},
                          {"net/ipv6/conf", {"forwarding", "accept_redirects", "accept_ra", "proxy_ndp"}},
                          {"net/ipv4/neigh", {"proxy_delay"}},
                          {"net/ipv6/neigh", {"proxy_delay"}}};
    Section section;
    section["net/ipv4/ip_forward"] = read_text("/proc/sys/net/ipv4/ip_forward");
    for (const Kind& kind : kinds)
        for (const std::string& link : entries_of(cat("/proc/sys/", kind.folder)))
            for (const char* key : kind.keys) {
                const std::string path = cat(kind.folder, "/", link, "/", key);
                if (exists("/proc/sys/" + path)) section[path] = read_text("/proc/sys/" + path);
            }
    return section;
}

// Listening TCP sockets and bound UDP ones, by number. On a host that is not the tests' own, others come and go.
Section listening() {
    Section section;
    if (!on_private_host()) return section;
    for (const char* kind : {"tcp", "tcp6", "udp", "udp6"}) {
        const std::string text = read_text(cat("/proc/self/net/", kind));
        for (const std::string_view line : sandbox::split(text, '\n')) {
            std::vector<std::string_view> words;
            for (const std::string_view word : sandbox::split(line, ' '))
                if (!word.empty()) words.push_back(word);
            const bool tcp = kind[0] == 't';
            if (words.size() > 3 && words[0].ends_with(':') && (!tcp || words[3] == "0A")) section[cat(kind, " ", words[1])] += "+";
        }
    }
    return section;
}

}  // namespace

void add_network(std::map<std::string, Section>& sections) {
    sections["network"] = network();
    sections["nftables"] = firewall();
    sections["network settings"] = settings();
    sections["listening"] = listening();
}

}  // namespace harness
