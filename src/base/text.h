// Small helpers on text: joining, splitting, numbers that consume the whole string, quantities, spelling hints.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sandbox {

namespace detail {
inline void append(std::string& out, std::string_view text) { out += text; }
inline void append(std::string& out, char c) { out += c; }
template <class N>
requires std::is_integral_v<N>
void append(std::string& out, N number) { out += std::to_string(number); }
}  // namespace detail

// One string from strings, characters and whole numbers, in order.
template <class... Parts>
[[nodiscard]] std::string cat(const Parts&... parts) {
    std::string out;
    (detail::append(out, parts), ...);
    return out;
}

[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
// The parts of it that are not empty.
[[nodiscard]] std::vector<std::string_view> words_in(std::string_view text, char separator);
[[nodiscard]] std::string join(std::span<const std::string> parts, std::string_view separator);
[[nodiscard]] std::string_view trim(std::string_view text);
[[nodiscard]] std::string lower(std::string_view text);

// A decimal number that is the whole text, within the type's range; nothing otherwise ("1x", "", "+1", " 1").
[[nodiscard]] std::optional<std::int64_t> parse_int(std::string_view text);
[[nodiscard]] std::optional<std::uint32_t> parse_id(std::string_view text);
// An octal mode such as "0644" or "1777", at most 07777.
[[nodiscard]] std::optional<std::uint32_t> parse_mode(std::string_view text);
// "0644"
[[nodiscard]] std::string format_mode(std::uint32_t mode);

// A size in bytes: 512Mi, 1.5Gi, 64M (decimal), 4096, with an optional B at the end. Nothing on overflow or nonsense.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
// The shortest exact form that parse_size reads back: 64Mi, 4096.
[[nodiscard]] std::string format_size(std::uint64_t bytes);
// "12.3Mi": for a person, not exact.
[[nodiscard]] std::string rounded_size(std::uint64_t bytes);
// A time in nanoseconds: 30s, 1.5h, 100ms, 2min, 1d, 1h30m, or plain seconds. Never negative unless `sign` is true.
[[nodiscard]] std::optional<std::int64_t> parse_duration(std::string_view text, bool sign = false);
// The form that parse_duration reads back: 1h30m, 100ms.
[[nodiscard]] std::string format_duration(std::int64_t nanoseconds);

// The candidate nearest to `word` by edit distance, if it is near enough to be a slip of the hand.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates);

// Text in single quotes, with control characters escaped, fit for a message or a terminal.
[[nodiscard]] std::string quote(std::string_view text);
// The same without the quotes: what a hostile file name may contain never reaches the terminal raw.
[[nodiscard]] std::string printable(std::string_view text);
// True for well-formed UTF-8 without surrogates and without the zero byte.
[[nodiscard]] bool valid_utf8(std::string_view text);

// Lexically normal absolute path: no empty, "." or ".." parts. Nothing if it is not absolute or climbs with "..".
[[nodiscard]] std::optional<std::string> normal_path(std::string_view path);
// An absolute path made normal, with ".." taken as the parent by name.
[[nodiscard]] std::string clean_path(std::string_view path);
// Whether `path` is `prefix` or beneath it; both normal absolute paths.
[[nodiscard]] bool beneath(std::string_view path, std::string_view prefix);

}  // namespace sandbox
