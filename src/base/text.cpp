#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace sandbox {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::vector<std::string_view> words_in(std::string_view text, char separator) {
    auto parts = split(text, separator);
    std::erase_if(parts, [](std::string_view part) { return part.empty(); });
    return parts;
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
    std::string out;
    for (const std::string& part : parts) {
        if (&part != parts.data()) out += separator;
        out += part;
    }
    return out;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blank = " \t\r\n";
    const auto first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::optional<std::int64_t> parse_int(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<std::uint32_t> parse_id(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number == std::numeric_limits<std::uint32_t>::max())
        return std::nullopt;  // 4294967295 is (uid_t)-1, "leave unchanged" to the kernel
    return number;
}

std::optional<std::uint32_t> parse_mode(std::string_view text) {
    std::uint32_t mode = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (error != std::errc() || end != text.data() + text.size() || mode > 07777) return std::nullopt;
    return mode;
}

std::string format_mode(std::uint32_t mode) {
    std::string digits;
    for (; mode; mode /= 8) digits.insert(digits.begin(), static_cast<char>('0' + mode % 8));
    while (digits.size() < 4) digits.insert(digits.begin(), '0');
    return digits;
}

namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::uint64_t kilo = 1000, kibi = 1024;
constexpr std::array<Unit, 14> size_units{{{"", 1},
                                           {"k", kilo},
                                           {"K", kilo},
                                           {"M", kilo* kilo},
                                           {"G", kilo* kilo* kilo},
                                           {"T", kilo* kilo* kilo* kilo},
                                           {"P", kilo* kilo* kilo* kilo* kilo},
                                           {"E", kilo* kilo* kilo* kilo* kilo* kilo},
                                           {"Ki", kibi},
                                           {"Mi", kibi* kibi},
                                           {"Gi", kibi* kibi* kibi},
                                           {"Ti", kibi* kibi* kibi* kibi},
                                           {"Pi", kibi* kibi* kibi* kibi* kibi},
                                           {"Ei", kibi* kibi* kibi* kibi* kibi* kibi}}};

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::array<Unit, 9> time_units{{{"ns", 1},
                                          {"us", 1000},
                                          {"ms", 1'000'000},
                                          {"s", second},
                                          {"min", 60 * second},
                                          {"m", 60 * second},
                                          {"h", 3600 * second},
                                          {"d", 86400 * second},
                                          {"w", 7 * 86400 * second}}};

// Takes "12" or "1.5" from the front of `text` and multiplies it exactly; nothing on overflow or on a result that is
// no whole number.
struct Decimal {
    std::uint64_t digits = 0;  // 1.25 -> 125
    std::uint64_t scale = 1;   // 1.25 -> 100
};

std::optional<Decimal> take_decimal(std::string_view& text) {
    Decimal d;
    bool point = false, any = false;
    while (!text.empty()) {
        const char c = text.front();
        if (c == '.' && !point) {
            point = true;
        } else if (c >= '0' && c <= '9') {
            if (__builtin_mul_overflow(d.digits, 10U, &d.digits) ||
                __builtin_add_overflow(d.digits, static_cast<std::uint64_t>(c - '0'), &d.digits))
                return std::nullopt;
            if (point && __builtin_mul_overflow(d.scale, 10U, &d.scale)) return std::nullopt;
            any = true;
        } else {
            break;
        }
        text.remove_prefix(1);
    }
    if (!any) return std::nullopt;
    return d;
}

std::optional<std::uint64_t> times(const Decimal& d, std::uint64_t factor) {
    const unsigned __int128 product = static_cast<unsigned __int128>(d.digits) * factor;
    if (product % d.scale != 0 || product / d.scale > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
    return static_cast<std::uint64_t>(product / d.scale);
}

template <std::size_t N>
std::optional<std::uint64_t> factor_of(const std::array<Unit, N>& units, std::string_view name) {
    for (const Unit& unit : units)
        if (unit.name == name) return unit.factor;
    return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
    const auto number = take_decimal(text);
    if (!number) return std::nullopt;
    if (text.size() > 1 && text.ends_with('B')) text.remove_suffix(1);
    if (text == "B") text = {};
    const auto factor = factor_of(size_units, text);
    return factor ? times(*number, *factor) : std::nullopt;
}

std::string format_size(std::uint64_t bytes) {
    static constexpr std::array<std::string_view, 7> names{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    std::size_t unit = 0;
    while (bytes != 0 && bytes % kibi == 0 && unit + 1 < names.size()) {
        bytes /= kibi;
        ++unit;
    }
    return cat(bytes, names[unit]);
}

std::string rounded_size(std::uint64_t bytes) {
    constexpr const char* units[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    std::size_t unit = 0;
    std::uint64_t tenths = bytes < 1024 ? bytes * 10 : bytes;
    for (; bytes >= 1024 && unit + 1 < std::size(units); bytes /= 1024, ++unit) tenths = bytes * 10 / 1024;
    return tenths % 10 == 0 || tenths >= 1000 ? cat(tenths / 10, units[unit]) : cat(tenths / 10, ".", tenths % 10, units[unit]);
}

std::optional<std::int64_t> parse_duration(std::string_view text, bool sign) {
    const bool negative = sign && text.starts_with('-');
    if (negative) text.remove_prefix(1);
    std::int64_t total = 0;
    bool first = true;
    while (first || !text.empty()) {
        const auto number = take_decimal(text);
        if (!number) return std::nullopt;
        const auto end = std::min(text.find_first_of("0123456789."), text.size());
        const std::string_view name = text.substr(0, end);
        if (name.empty() && !first) return std::nullopt;  // "1h30": thirty what
        const auto factor = name.empty() ? std::optional(second) : factor_of(time_units, name);
        const auto part = factor ? times(*number, *factor) : std::nullopt;
        if (!part || __builtin_add_overflow(total, static_cast<std::int64_t>(*part), &total)) return std::nullopt;
        text.remove_prefix(end);
        first = false;
    }
    return negative ? -total : total;
}

std::string format_duration(std::int64_t nanoseconds) {
    if (nanoseconds == 0) return "0s";
    static constexpr std::array<Unit, 7> parts{
        {{"d", 86400 * second}, {"h", 3600 * second}, {"min", 60 * second}, {"s", second}, {"ms", 1'000'000}, {"us", 1000}, {"ns", 1}}};
    std::string out = nanoseconds < 0 ? "-" : "";
    std::uint64_t rest = nanoseconds < 0 ? 0 - static_cast<std::uint64_t>(nanoseconds) : static_cast<std::uint64_t>(nanoseconds);
    for (const Unit& unit : parts) {
        if (rest < unit.factor) continue;
        out += cat(rest / unit.factor, unit.name);
        rest %= unit.factor;
    }
    return out;
}

namespace {

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost one each.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before, previous(b.size() + 1), current(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substitute = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substitute});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) current[j] = std::min(current[j], before[j - 2] + 1);
        }
        before = std::exchange(previous, current);
    }
    return previous[b.size()];
}

}  // namespace

std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates) {
    if (word.size() > 64) return std::nullopt;
    const std::string wanted = lower(word);
    std::optional<std::string_view> best;
    std::size_t best_distance = std::max<std::size_t>(1, wanted.size() / 3) + 1;
    for (const std::string_view candidate : candidates) {
        const std::size_t d = distance(wanted, lower(candidate));
        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

std::string printable(std::string_view text) {
    static constexpr std::string_view hex = "0123456789abcdef";
    const bool utf8 = valid_utf8(text);
    std::string out;
    const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const unsigned char byte = byte_at(i);
        // U+0080 to U+009F are controls too: U+009B begins a sequence just as an escape character does.
        const bool second_of_control = byte >= 0x80 && byte < 0xA0 && i > 0 && byte_at(i - 1) == 0xC2;
        const bool control = (byte < 0x20 && byte != '\t') || byte == 0x7F || (byte == 0xC2 && byte_at(i + 1) < 0xA0) || second_of_control;
        if (control || (byte >= 0x80 && !utf8))
            out += cat("\\x", hex[byte >> 4], hex[byte & 15]);
        else
            out += text[i];
    }
    return out;
}

std::string quote(std::string_view text) { return cat("'", printable(text), "'"); }

bool valid_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead == 0) return false;
        const std::size_t length = lead < 0x80                   ? 1
                                   : lead >= 0xC2 && lead < 0xE0 ? 2
                                   : lead >= 0xE0 && lead < 0xF0 ? 3
                                   : lead >= 0xF0 && lead < 0xF5 ? 4
                                                                 : 0;
        if (length == 0 || i + length > text.size()) return false;
        std::uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) {
            const auto byte = static_cast<unsigned char>(text[i + k]);
            if ((byte & 0xC0) != 0x80) return false;
            point = point << 6 | (byte & 0x3FU);
        }
        if ((length == 3 && point < 0x800) || (length == 4 && point < 0x10000) || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
            return false;
        i += length;
    }
    return true;
}

std::string clean_path(std::string_view path) {
    std::vector<std::string_view> parts;
    for (const std::string_view part : split(path, '/')) {
        if (part.empty() || part == ".") continue;
        if (part != "..")
            parts.push_back(part);
        else if (!parts.empty())
            parts.pop_back();
    }
    std::string out;
    for (const std::string_view part : parts) out += cat("/", part);
    return out.empty() ? "/" : out;
}

std::optional<std::string> normal_path(std::string_view path) {
    if (!path.starts_with('/')) return std::nullopt;
    std::string out;
    for (const std::string_view part : split(path, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == "..") return std::nullopt;
        out += cat("/", part);
    }
    return out.empty() ? "/" : out;
}

bool beneath(std::string_view path, std::string_view prefix) {
    if (prefix == "/") return true;
    return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace sandbox
