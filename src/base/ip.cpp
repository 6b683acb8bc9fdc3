#include "base/ip.h"

#include <arpa/inet.h>
#include <algorithm>

#include "base/text.h"

namespace sandbox {
namespace {

// The bits of a byte that belong to the network when `prefix` bits of the whole do and `first` come before the byte.
std::uint8_t network_bits(int prefix, int first) {
    const int bits = std::clamp(prefix - first, 0, 8);
    return static_cast<std::uint8_t>(0xff00 >> bits);
}

int host_bits(const IpNetwork& network) { return network.address.width() - network.prefix; }

std::uint64_t lowest(int bits) { return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1; }

// 0..128 without a leading zero.
std::optional<int> parse_prefix(std::string_view text) {
    if (text.size() > 1 && text.front() == '0') return std::nullopt;
    const auto number = parse_id(text);
    if (!number || *number > 128) return std::nullopt;
    return static_cast<int>(*number);
}

std::optional<std::uint8_t> parse_hex_byte(std::string_view text) {
    if (text.size() != 2) return std::nullopt;
    unsigned value = 0;
    for (const char c : text) {
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return std::nullopt;
        value = value << 4 | static_cast<unsigned>(digit);
    }
    return static_cast<std::uint8_t>(value);
}

}  // namespace

// ---- addresses

bool IpAddress::is_any() const {
    return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const {
    if (is_v4()) return bytes[0] == 127;
    return bytes[15] == 1 && std::all_of(bytes.begin(), bytes.end() - 1, [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_link_local() const {
    if (is_v4()) return bytes[0] == 169 && bytes[1] == 254;
    return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const { return is_v4() ? (bytes[0] & 0xf0) == 0xe0 : bytes[0] == 0xff; }

std::optional<IpAddress> parse_ip(std::string_view text) {
    // inet_pton reads to the zero byte: one within the text would hide what follows.
    if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
    const std::string copy(text);
    IpAddress out;
    if (text.find(':') != std::string_view::npos) out.family = IpFamily::v6;
    if (inet_pton(out.is_v4() ? AF_INET : AF_INET6, copy.c_str(), out.bytes.data()) != 1) return std::nullopt;
    return out;
}

std::string to_text(const IpAddress& address) {
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(address.is_v4() ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
    return text;
}

// ---- networks

std::optional<IpNetwork> parse_ip_network(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = parse_ip(text.substr(0, slash));
    const auto prefix = parse_prefix(text.substr(slash + 1));
    if (!address || !prefix || *prefix > address->width()) return std::nullopt;
    return IpNetwork{*address, *prefix};
}

std::string to_text(const IpNetwork& network) { return cat(to_text(network.address), "/", network.prefix); }

IpNetwork masked(const IpNetwork& network) {
    IpNetwork out = network;
    for (std::size_t i = 0; i < out.address.size(); ++i) out.address.bytes[i] &= network_bits(out.prefix, static_cast<int>(i) * 8);
    return out;
}

bool contains(const IpNetwork& network, const IpAddress& address) {
    return network.address.family == address.family && masked(network).address == masked({address, network.prefix}).address;
}

bool overlap(const IpNetwork& a, const IpNetwork& b) { return a.prefix <= b.prefix ? contains(a, b.address) : contains(b, a.address); }

std::uint64_t host_part(const IpNetwork& network, const IpAddress& address) {
    std::uint64_t out = 0;
    const std::size_t size = address.size();
    for (std::size_t i = size - std::min<std::size_t>(size, 8); i < size; ++i) out = out << 8 | address.bytes[i];
    return out & lowest(host_bits(network));
}

IpAddress host_of(const IpNetwork& network, std::uint64_t number) {
    IpAddress out = masked(network).address;
    number &= lowest(host_bits(network));
    for (std::size_t i = out.size(); number != 0; number >>= 8) {
        --i;
        out.bytes[i] = static_cast<std::uint8_t>(out.bytes[i] | (number & 0xff));
    }
    return out;
}

std::uint64_t last_host(const IpNetwork& network) {
    const int bits = host_bits(network);
    const std::uint64_t last = lowest(std::min(bits, 62));
    // With one bit there is no broadcast address: both are hosts (RFC 3021).
    return network.address.is_v4() && bits > 1 ? last - 1 : last;
}

// ---- link-layer addresses

std::optional<MacAddress> parse_mac(std::string_view text) {
    const auto parts = split(text, ':');
    MacAddress out{};
    if (parts.size() != out.size()) return std::nullopt;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto byte = parse_hex_byte(parts[i]);
        if (!byte) return std::nullopt;
        out[i] = *byte;
    }
    return out;
}

std::string to_text(const MacAddress& mac) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const std::uint8_t byte : mac) {
        if (!out.empty()) out += ':';
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

MacAddress mac_of(const IpAddress& address) {
    MacAddress out{0x02, 0x00};
    std::copy_n(address.bytes.begin() + static_cast<std::ptrdiff_t>(address.size()) - 4, 4, out.begin() + 2);
    return out;
}

}  // namespace sandbox
