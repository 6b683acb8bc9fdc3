#include "profile/node.h"

#include <algorithm>

#include "base/text.h"

namespace sandbox {
namespace {

bool digits(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

void drop_sign(std::string_view& text) {
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
}

bool is_integer(std::string_view text) {
    if (text.starts_with("0o")) return text.size() > 2 && std::ranges::all_of(text.substr(2), [](char c) { return c >= '0' && c <= '7'; });
    if (text.starts_with("0x")) return text.size() > 2 && text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
    drop_sign(text);
    return digits(text);
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool is_real(std::string_view text) {
    if (text == ".nan" || text == ".NaN" || text == ".NAN") return true;
    drop_sign(text);
    if (text == ".inf" || text == ".Inf" || text == ".INF") return true;
    const auto e = text.find_first_of("eE");
    if (e != std::string_view::npos) {
        std::string_view exponent = text.substr(e + 1);
        drop_sign(exponent);
        if (!digits(exponent)) return false;
        text = text.substr(0, e);
    }
    const auto point = text.find('.');
    const std::string_view whole = text.substr(0, point), part = point == std::string_view::npos ? "" : text.substr(point + 1);
    if (whole.empty()) return digits(part);
    return digits(whole) && (part.empty() || digits(part));
}

}  // namespace

const Node* Node::find(std::string_view key) const {
    const auto entry = std::ranges::find(entries, key, &Entry::key);
    return entry == entries.end() ? nullptr : &entry->value;
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(static_cast<const Node*>(this)->find(key)); }

Node& Node::add(std::string key, Node value) {
    const Position where = value.at;
    entries.push_back({std::move(key), where, 1, std::move(value)});
    return entries.back().value;
}

ScalarType scalar_type(const Node& scalar) {
    const std::string_view text = scalar.text;
    if (!scalar.plain) return ScalarType::text;
    for (const std::string_view word : {"true", "True", "TRUE", "false", "False", "FALSE"})
        if (text == word) return ScalarType::boolean;
    if (is_integer(text)) return ScalarType::integer;
    return is_real(text) ? ScalarType::real : ScalarType::text;
}

std::string describe_found(const Node& node) {
    switch (node.kind) {
        case NodeKind::null: return "nothing (null)";
        case NodeKind::sequence: return "a list";
        case NodeKind::map: return "a map";
        case NodeKind::scalar: break;
    }
    std::string_view text = node.text;
    const bool cut = text.size() > 60;
    text = text.substr(0, 60);
    while (cut && !text.empty() && !valid_utf8(text)) text.remove_suffix(1);
    const std::string shown = cat(printable(text), cut ? "..." : "");
    switch (scalar_type(node)) {
        case ScalarType::boolean: return cat("the boolean ", shown);
        case ScalarType::integer:
        case ScalarType::real: return cat("the number ", shown);
        case ScalarType::text: break;
    }
    return cat("the text '", shown, "'");
}

Node null_node() { return {}; }

Node text_node(std::string text) {
    Node node;
    node.kind = NodeKind::scalar;
    node.text = std::move(text);
    return node;
}

Node word_node(std::string word) {
    Node node = text_node(std::move(word));
    node.plain = true;
    return node;
}

Node number_node(std::int64_t number) { return word_node(std::to_string(number)); }
Node bool_node(bool value) { return word_node(value ? "true" : "false"); }

Node list_node(std::vector<Node> items) {
    Node node;
    node.kind = NodeKind::sequence;
    node.items = std::move(items);
    return node;
}

Node map_node() {
    Node node;
    node.kind = NodeKind::map;
    return node;
}

}  // namespace sandbox
