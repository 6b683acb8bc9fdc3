#include "state/words.h"

#include "base/text.h"
#include "state/crc32.h"

namespace sandbox {

namespace {

std::optional<unsigned> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return {};
}

}  // namespace

std::string escape_word(std::string_view word) {
    static constexpr std::string_view hex = "0123456789ABCDEF";
    std::string out;
    for (const char c : word) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7F || c == '%' || c == '=') {
            out += '%';
            out += hex[byte >> 4];
            out += hex[byte & 15];
        } else {
            out += c;
        }
    }
    return out;
}

std::optional<std::string> unescape_word(std::string_view word) {
    std::string out;
    for (std::size_t i = 0; i < word.size(); ++i) {
        if (word[i] != '%') {
            out += word[i];
            continue;
        }
        if (i + 2 >= word.size()) return {};
        const auto high = hex_digit(word[i + 1]);
        const auto low = hex_digit(word[i + 2]);
        if (!high || !low) return {};
        out += static_cast<char>(*high << 4 | *low);
        i += 2;
    }
    return out;
}

std::optional<std::string_view> next_word(std::optional<std::string_view>& rest) {
    if (!rest) return {};
    const std::size_t end = rest->find(' ');
    const std::string_view word = rest->substr(0, end);
    rest = end == std::string_view::npos ? std::nullopt : std::optional(rest->substr(end + 1));
    return word;
}

std::string checked_line(std::string_view record) {
    const auto digits = crc32_digits(record);
    return cat(std::string_view(digits.data(), digits.size()), ' ', record, '\n');
}

}  // namespace sandbox
