// Any bytes end in entries and a description of the damage, never in a crash, and entries keep their promises. As random
// lines hardly ever have the right checksum, the same bytes are read again with the checksum of each line put before it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "state/crc32.h"
#include "state/journal.h"

namespace {

void check(std::string_view text) {
    const sandbox::JournalContents contents = sandbox::parse_journal(text);
    std::uint32_t number = 0;
    for (const sandbox::JournalEntry& entry : contents.entries) {
        if (entry.number != ++number) __builtin_trap();
        if (!entry.done && !entry.identity.empty()) __builtin_trap();
    }
    if (contents.damage.empty() && (text.empty() || text.back() != '\n')) __builtin_trap();
}

void append_line(std::string& text, std::string_view record) {
    const auto digits = sandbox::crc32_digits(record);
    text.append(digits.data(), digits.size());
    text += ' ';
    text += record;
    text += '\n';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    check(rest);
    std::string summed;
    append_line(summed, "sandbox-journal 1");
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        append_line(summed, rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    check(summed);
    return 0;
}
