// The YAML tree between text and profile: what was written, with its place, before it has a meaning.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/source.h"

namespace sandbox {

enum class NodeKind { null, scalar, sequence, map };

struct Node {
    struct Entry;

    NodeKind kind = NodeKind::null;
    // Written without quotes (or put together from variables): a number or a boolean may be read from it.
    bool plain = false;
    bool substituted = false;  // put together from variables: text as well as a number
    bool literal = false;      // from the command line: no variables in it
    bool unexpanded = false;   // its variables have no values yet: printed, it and its key keep them
    bool failed = false;       // a variable in it is wrong, which was said: the value means nothing
    Position at{};
    std::uint32_t length = 1;    // columns to underline
    std::string text;            // scalar
    std::vector<Node> items;     // sequence
    std::vector<Entry> entries;  // map, in the order written, keys distinct

    [[nodiscard]] bool is_null() const { return kind == NodeKind::null; }
    [[nodiscard]] bool is_scalar() const { return kind == NodeKind::scalar; }
    [[nodiscard]] bool is_sequence() const { return kind == NodeKind::sequence; }
    [[nodiscard]] bool is_map() const { return kind == NodeKind::map; }
    // The value of a key, null pointer when there is none.
    [[nodiscard]] const Node* find(std::string_view key) const;
    [[nodiscard]] Node* find(std::string_view key);
    // Adds an entry to a map (without a look at those there) and returns its value.
    Node& add(std::string key, Node value);
};

struct Node::Entry {
    std::string key;
    Position at{};
    std::uint32_t length = 1;
    Node value;
};

// What a scalar is by the core schema of YAML 1.2. A quoted one is text.
enum class ScalarType { text, boolean, integer, real };
[[nodiscard]] ScalarType scalar_type(const Node& scalar);

// "the number 5", "the text 'yes'", "a list": for messages.
[[nodiscard]] std::string describe_found(const Node& node);

// Nodes that were not written by anybody.
[[nodiscard]] Node null_node();
[[nodiscard]] Node text_node(std::string text);
[[nodiscard]] Node word_node(std::string word);  // a number or a boolean
[[nodiscard]] Node number_node(std::int64_t number);
[[nodiscard]] Node bool_node(bool value);
[[nodiscard]] Node list_node(std::vector<Node> items = {});
[[nodiscard]] Node map_node();

}  // namespace sandbox
