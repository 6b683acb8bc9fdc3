// Two profiles become a third that has a part of the keys of each. Random bytes hardly ever make another valid profile out
// of one, and what the planner does is mostly a matter of which keys come together.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

// A key of the outermost map with the lines that belong to it.
using Blocks = std::vector<std::string_view>;

Blocks split_at_keys(std::string_view text) {
    Blocks blocks;
    while (!text.empty()) {
        std::size_t end = 0;
        do {
            const std::size_t line_end = text.find('\n', end);
            end = line_end == std::string_view::npos ? text.size() : line_end + 1;
        } while (end < text.size() && (text[end] == ' ' || text[end] == '\n' || text[end] == '#' || text[end] == '-'));
        blocks.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return blocks;
}

std::string_view key_of(std::string_view block) { return block.substr(0, block.find(':')); }

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* first, std::size_t first_size, const std::uint8_t* second,
                                                 std::size_t second_size, std::uint8_t* out, std::size_t limit, unsigned int seed) {
    std::minstd_rand random(seed);
    Blocks blocks = split_at_keys({reinterpret_cast<const char*>(first), first_size});
    for (const std::string_view block : split_at_keys({reinterpret_cast<const char*>(second), second_size})) {
        if (random() % 2 == 0) continue;
        const auto same = std::ranges::find(blocks, key_of(block), key_of);
        if (same == blocks.end())
            blocks.push_back(block);
        else
            *same = block;
    }
    std::string text;
    for (const std::string_view block : blocks) {
        text += block;
        if (!text.ends_with('\n')) text += '\n';
    }
    const std::size_t size = std::min(text.size(), limit);
    std::copy_n(text.begin(), size, out);
    return size;
}
