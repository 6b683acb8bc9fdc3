// The records of text files that another process reads after their writer was killed: words in a line, a checksum before it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sandbox {

// Space, '%', '=' and control characters as %XX, so that every file name is one word.
[[nodiscard]] std::string escape_word(std::string_view word);
// Nothing where a '%' is not followed by two digits.
[[nodiscard]] std::optional<std::string> unescape_word(std::string_view word);

// Cuts the next word and the space behind it off; nothing when there is none left.
[[nodiscard]] std::optional<std::string_view> next_word(std::optional<std::string_view>& rest);

// "<crc32 of the record, 8 hex> <record>\n"
[[nodiscard]] std::string checked_line(std::string_view record);

}  // namespace sandbox
