// YAML text to a tree of nodes with positions. The only file that knows the YAML library, and where its exceptions stop.
#pragma once

#include <optional>
#include <string_view>

#include "base/diagnostic.h"
#include "profile/node.h"

namespace sandbox {

constexpr std::size_t profile_size_limit = 1 << 20;  // bytes

// Where a text begins: a --set value begins in the middle of its word.
struct TextOrigin {
    std::uint32_t source = 0;
    std::uint32_t column = 1;
};

// The tree of one document, aliases expanded. Nothing when the text is not one well-formed document; then at least one
// diagnostic says why. A duplicate key is reported and its first value stays. An empty text gives a null node.
[[nodiscard]] std::optional<Node> parse_yaml(std::string_view text, TextOrigin origin, Diagnostics& out);

}  // namespace sandbox
