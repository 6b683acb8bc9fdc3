#include "base/text.h"
#include "host/parts.h"
#include "host/read.h"
#include "host/resolver.h"

namespace sandbox {
namespace {

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    std::size_t at = 0;
    while ((at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos) {
        const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
        words.push_back(line.substr(at, end - at));
        at = end;
    }
    return words;
}

void add_server(std::string_view text, ResolverText& to) {
    const auto address = parse_ip(text);
    if (!address || address->is_multicast()) return;
    // 0.0.0.0 is the host itself (resolv.conf(5)); a link-local server needs its zone, and a sandbox is on another link.
    if (address->is_loopback() || address->is_any())
        to.loopback.push_back(*address);
    else if (address->is_v4() || !address->is_link_local())
        to.servers.push_back(*address);
}

// The files with the servers behind a stub, the likeliest first.
std::vector<const char*> files_behind(const IpAddress& stub) {
    constexpr const char* resolved = "/run/systemd/resolve/resolv.conf";
    std::vector<const char*> files{"/run/NetworkManager/no-stub-resolv.conf", "/run/dnsmasq/resolv.conf", "/run/resolvconf/resolv.conf",
                                   "/run/resolvconf/resolv.conf.d/original", "/etc/resolvconf/resolv.conf.d/original"};
    const bool of_systemd = stub == parse_ip("127.0.0.53") || stub == parse_ip("127.0.0.54");
    files.insert(of_systemd ? files.begin() : files.end(), resolved);
    return files;
}

ResolverText read_resolver(const std::string& path) { return parse_resolver(read_file(path.c_str()).value_or("")); }

}  // namespace

ResolverText parse_resolver(std::string_view text) {
    ResolverText found;
    for (const std::string_view line : split(text, '\n')) {
        const auto words = words_of(line);
        if (words.size() < 2 || line[0] == '#' || line[0] == ';') continue;
        const auto rest = [&] { return std::vector<std::string>(words.begin() + 1, words.end()); };
        if (words[0] == "nameserver") add_server(words[1], found);
        // Of several lines the last one counts; "domain" is the older word for a list of one.
        if (words[0] == "search") found.search = rest();
        if (words[0] == "domain") found.search = {std::string(words[1])};
        if (words[0] == "options")
            for (std::string& option : rest()) found.options.push_back(std::move(option));
    }
    return found;
}

ResolverFact find_resolver(const std::string& root) {
    ResolverFact fact;
    fact.source = "/etc/resolv.conf";
    ResolverText text = read_resolver(root + fact.source);
    fact.servers = std::move(text.servers);
    fact.search = std::move(text.search);
    fact.options = std::move(text.options);
    if (!fact.servers.empty()) return fact;
    // With no server at all the C library asks the one of the host itself (resolv.conf(5)).
    const IpAddress stub = text.loopback.empty() ? *parse_ip("127.0.0.1") : text.loopback.front();
    if (!text.loopback.empty()) fact.stub = to_text(stub);
    for (const char* path : files_behind(stub)) {
        ResolverText behind = read_resolver(root + path);
        if (behind.servers.empty()) continue;
        fact.servers = std::move(behind.servers);
        if (fact.search.empty()) fact.search = std::move(behind.search);
        fact.source = path;
        return fact;
    }
    return fact;
}

void probe_names(HostFacts& facts) { facts.resolver = find_resolver(""); }

}  // namespace sandbox
