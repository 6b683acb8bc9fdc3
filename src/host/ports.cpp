#include "host/ports.h"

#include <fcntl.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/port.h"
#include "base/text.h"
#include "host/read.h"

namespace sandbox {
namespace {

// A socket's line of /proc/net/tcp and its like (proc_pid_net(5)), as far as it is of use.
struct SocketLine {
    IpAddress address;
    std::uint16_t port = 0;
    bool listens = false;  // or, of udp, is not connected
    std::string_view inode;
};

std::optional<std::uint32_t> parse_hex(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// The address is there as 32-bit numbers of this machine's order.
bool parse_address(std::string_view text, IpAddress& to) {
    if (text.size() != 8 && text.size() != 32) return false;
    to.family = text.size() == 8 ? IpFamily::v4 : IpFamily::v6;
    for (std::size_t at = 0; at < text.size(); at += 8) {
        const auto word = parse_hex(text.substr(at, 8));
        if (!word) return false;
        std::memcpy(to.bytes.data() + at / 2, &*word, sizeof *word);
    }
    return true;
}

// sl local_address remote_address st tx:rx tr:when retransmits uid timeout inode ...
std::optional<SocketLine> parse_socket(std::string_view line) {
    const auto words = words_in(line, ' ');
    if (words.size() < 10) return std::nullopt;
    const auto colon = words[1].find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    SocketLine found;
    const auto port = parse_hex(words[1].substr(colon + 1));
    if (!port || !parse_address(words[1].substr(0, colon), found.address)) return std::nullopt;
    found.port = static_cast<std::uint16_t>(*port);
    found.listens = words[3] == "0A" || words[3] == "07";  // TCP_LISTEN; TCP_CLOSE, which is how udp looks
    found.inode = words[9];
    return found;
}

// A v6 socket on every address may have the port of v4 too.
bool in_the_way(const SocketLine& line, const WantedPort& wanted) {
    if (line.port != wanted.port || !line.listens) return false;
    if (line.address.family != wanted.address.family) return line.address.is_any() && !line.address.is_v4();
    return line.address == wanted.address || line.address.is_any() || wanted.address.is_any();
}

std::string inode_of(const WantedPort& wanted) {
    constexpr std::size_t many_sockets = 16 * database_file;
    for (const char* version : {"", "6"}) {
        const auto text = read_file(cat("/proc/self/net/", wanted.udp ? "udp" : "tcp", version).c_str(), many_sockets);
        if (!text) continue;
        for (const std::string_view line : split(*text, '\n'))
            if (const auto found = parse_socket(line); found && in_the_way(*found, wanted)) return std::string(found->inode);
    }
    return {};
}

bool has_socket(int processes, const std::string& process, const std::string& link) {
    const Fd folder(::openat(processes, cat(process, "/fd").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return false;
    for (const std::string& name : read_names(folder.get(), SIZE_MAX).value_or(std::vector<std::string>()))
        if (read_link(folder.get(), name.c_str()) == link) return true;
    return false;
}

}  // namespace

// Who has had it may have ended by the time it is looked for.
std::optional<BusyPort> try_port(const WantedPort& wanted) {
    constexpr int most_attempts = 3;
    for (int attempt = 1;; ++attempt) {
        if (listen_on(wanted.address, wanted.port, wanted.udp)) return std::nullopt;
        BusyPort busy{wanted.address, wanted.port, wanted.udp, errno, {}};
        if (busy.error == EADDRINUSE) busy.holder = holder_of(wanted);
        if (busy.error != EADDRINUSE || !busy.holder.empty() || attempt == most_attempts) return busy;
    }
}

std::string holder_of(const WantedPort& wanted) {
    const std::string inode = inode_of(wanted);
    const Fd processes(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (inode.empty() || inode == "0" || !processes) return {};
    const std::string link = cat("socket:[", inode, "]");
    for (const std::string& name : read_names(processes.get(), SIZE_MAX).value_or(std::vector<std::string>())) {
        if (!parse_id(name) || !has_socket(processes.get(), name, link)) continue;
        const auto command = read_file(cat("/proc/", name, "/comm").c_str());
        return cat(printable(trim(command.value_or("?"))), " (process ", name, ")");
    }
    return {};
}

}  // namespace sandbox
