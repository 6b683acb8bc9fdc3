// The checksum of journal lines: CRC-32 as in IEEE 802.3 (reflected polynomial EDB88320).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sandbox {

namespace detail {
constexpr std::array<std::uint32_t, 256> crc32_table = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? 0xEDB88320U : 0U);
        table[byte] = rest;
    }
    return table;
}();
}  // namespace detail

[[nodiscard]] constexpr std::uint32_t crc32(std::string_view bytes) {
    std::uint32_t sum = 0xFFFFFFFFU;
    for (const char c : bytes) sum = sum >> 8 ^ detail::crc32_table[(sum ^ static_cast<unsigned char>(c)) & 0xFF];
    return ~sum;
}

// The check value that the catalogues of CRCs give for this one.
static_assert(crc32("123456789") == 0xCBF43926U);

// Eight lower case hexadecimal digits.
[[nodiscard]] constexpr std::array<char, 8> crc32_digits(std::string_view bytes) {
    std::array<char, 8> digits{};
    std::uint32_t sum = crc32(bytes);
    for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, sum >>= 4) *digit = "0123456789abcdef"[sum & 15];
    return digits;
}

}  // namespace sandbox
