// Addresses of the internet protocol, networks and link-layer addresses, as text and as bytes in network order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandbox {

enum class IpFamily : std::uint8_t { v4 = 4, v6 = 6 };

struct IpAddress {
    IpFamily family = IpFamily::v4;
    std::array<std::uint8_t, 16> bytes{};  // the first 4 for v4; the rest zero

    [[nodiscard]] bool is_v4() const { return family == IpFamily::v4; }
    [[nodiscard]] std::size_t size() const { return is_v4() ? 4 : 16; }
    [[nodiscard]] int width() const { return is_v4() ? 32 : 128; }  // bits
    [[nodiscard]] bool is_any() const;                              // 0.0.0.0, ::
    [[nodiscard]] bool is_loopback() const;                         // 127.0.0.0/8, ::1
    [[nodiscard]] bool is_link_local() const;                       // 169.254.0.0/16, fe80::/10
    [[nodiscard]] bool is_multicast() const;
    friend bool operator==(const IpAddress&, const IpAddress&) = default;
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

// "10.88.0.1", "fd00::1" (RFC 5952); nothing for anything else: no zone, no port, no leading zeros in v4, no v4 in v6 brackets.
[[nodiscard]] std::optional<IpAddress> parse_ip(std::string_view text);
[[nodiscard]] std::string to_text(const IpAddress& address);

// An address with the length of its network's prefix: an interface's address, or a network (host part zero).
struct IpNetwork {
    IpAddress address;
    int prefix = 0;  // 0..width
    friend bool operator==(const IpNetwork&, const IpNetwork&) = default;
};

// "10.88.0.10/24"; the prefix is required.
[[nodiscard]] std::optional<IpNetwork> parse_ip_network(std::string_view text);
[[nodiscard]] std::string to_text(const IpNetwork& network);
// The same with the host part zero.
[[nodiscard]] IpNetwork masked(const IpNetwork& network);
[[nodiscard]] bool contains(const IpNetwork& network, const IpAddress& address);
// Of one family, and one of them has an address of the other.
[[nodiscard]] bool overlap(const IpNetwork& a, const IpNetwork& b);
// The host part of an address as a number, its lowest 64 bits; and the address of a network with this number as the host part.
[[nodiscard]] std::uint64_t host_part(const IpNetwork& network, const IpAddress& address);
[[nodiscard]] IpAddress host_of(const IpNetwork& network, std::uint64_t number);
// The largest host number that is an ordinary address: for v4 less the broadcast address; at most 2^62 - 1.
[[nodiscard]] std::uint64_t last_host(const IpNetwork& network);

using MacAddress = std::array<std::uint8_t, 6>;
// "02:00:0a:58:00:0a"; nothing else.
[[nodiscard]] std::optional<MacAddress> parse_mac(std::string_view text);
[[nodiscard]] std::string to_text(const MacAddress& mac);
// 02:00 and the four bytes of a v4 address, or the last four of a v6 one: known beforehand, and no two in a network are the same.
[[nodiscard]] MacAddress mac_of(const IpAddress& address);

}  // namespace sandbox
