#include "host/names.h"

#include <charconv>

#include "base/text.h"

namespace sandbox {
namespace {

// Unlike parse_id this takes 4294967295: it is the count of the initial namespace's map.
std::optional<std::uint32_t> parse_u32(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

std::optional<PasswdEntry> find_passwd(std::string_view text, std::uint32_t uid, std::string_view preferred) {
    std::optional<PasswdEntry> found;
    for (const std::string_view line : split(text, '\n')) {
        const auto fields = split(line, ':');
        if (fields.size() < 6 || fields[0].empty() || parse_id(fields[2]) != uid) continue;
        if (found && fields[0] != preferred) continue;
        found = PasswdEntry{std::string(fields[0]), std::string(fields[5]), uid};
        if (fields[0] == preferred) break;
    }
    return found;
}

std::vector<FactRange> find_subordinate(std::string_view text, std::string_view user, std::uint32_t uid) {
    const std::string number = cat(uid);
    std::vector<FactRange> ranges;
    for (const std::string_view line : split(text, '\n')) {
        const auto fields = split(trim(line), ':');
        if (fields.size() != 3 || fields[0].empty() || (fields[0] != user && fields[0] != number)) continue;
        const auto first = parse_u32(fields[1]), count = parse_u32(fields[2]);
        if (first && count && *count != 0) ranges.push_back({0, *first, *count});
    }
    return ranges;
}

std::vector<FactRange> parse_id_map(std::string_view text) {
    std::vector<FactRange> ranges;
    for (const std::string_view line : split(text, '\n')) {
        std::vector<std::uint32_t> numbers;
        for (const std::string_view word : split(line, ' '))
            if (const auto number = parse_u32(word)) numbers.push_back(*number);
        if (numbers.size() == 3) ranges.push_back({numbers[0], numbers[1], numbers[2]});
    }
    return ranges;
}

}  // namespace sandbox
