#include "profile/print.h"

#include <algorithm>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::string_view hex = "0123456789abcdef";

// ---- YAML

// Text that every YAML reader takes for text without quotes.
bool is_safe_plain(std::string_view text) {
    const auto ordinary = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' || c == '_'; };
    if (text.empty() || text.size() > 200 || !ordinary(text[0])) return false;
    if (!std::ranges::all_of(text, [&](char c) { return ordinary(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+'; }))
        return false;
    static constexpr std::string_view words[]{"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    return std::ranges::find(words, lower(text)) == std::end(words);
}

// A character beyond ASCII that YAML wants escaped: C1 controls, line and paragraph separators, the byte order mark and
// non-characters. Returns its length in bytes, 0 for the others.
std::size_t escaped_length(std::string_view rest, std::string& out) {
    const auto byte = [&](std::size_t i) { return i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0U; };
    std::uint32_t point = 0;
    std::size_t length = 0;
    if (byte(0) == 0xC2 && byte(1) < 0xA0) {
        point = byte(1);
        length = 2;
    } else if (byte(0) == 0xE2 && byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9)) {
        point = 0x2000U + (byte(2) & 0x3FU);
        length = 3;
    } else if (byte(0) == 0xEF && ((byte(1) == 0xBB && byte(2) == 0xBF) || (byte(1) == 0xBF && byte(2) >= 0xBE))) {
        point = 0xF000U | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU);
        length = 3;
    }
    if (length > 0) out += cat("\\u", hex[point >> 12 & 15], hex[point >> 8 & 15], hex[point >> 4 & 15], hex[point & 15]);
    return length;
}

std::string quoted_yaml(std::string_view text, bool unexpanded) {
    std::string out = "\"";
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += cat("\\", c);
        else if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (byte < 0x20 || byte == 0x7F)
            out += cat("\\x", hex[byte >> 4], hex[byte & 15]);
        else if (c == '$' && !unexpanded)
            out += "$$";
        else if (const std::size_t length = escaped_length(text.substr(i), out); length > 0)
            i += length - 1;
        else
            out += c;
    }
    return out + "\"";
}

std::string scalar_yaml(const Node& node) {
    if (node.is_null()) return "null";
    if (node.plain) return node.text;
    return is_safe_plain(node.text) ? node.text : quoted_yaml(node.text, node.unexpanded);
}

std::string key_yaml(const Node::Entry& entry) {
    return is_safe_plain(entry.key) ? entry.key : quoted_yaml(entry.key, entry.value.unexpanded);
}

bool is_flat(const Node& node) {
    return node.is_scalar() || node.is_null() || (node.is_sequence() && node.items.empty()) || (node.is_map() && node.entries.empty());
}

// A short list of scalars stands on one line.
bool fits_line(const Node& node) {
    std::size_t width = 0;
    if (!node.is_sequence()) return false;
    for (const Node& item : node.items) {
        if (!item.is_scalar()) return false;
        width += item.text.size() + 2;
    }
    return width < 80;
}

std::string flat_yaml(const Node& node) {
    if (node.is_map()) return "{}";
    if (!node.is_sequence()) return scalar_yaml(node);
    std::string out = "[";
    for (const Node& item : node.items) out += cat(&item == node.items.data() ? "" : ", ", scalar_yaml(item));
    return out + "]";
}

using Comment = std::function<std::string(const Node&)>;

void append_yaml(std::string& out, const Node& node, std::size_t indent, const Comment& comment);

// A value on one line with what is to be said about it. What is said may be a file's name, and hold anything.
std::string line_of(const Node& value, const Comment& comment) {
    if (!comment) return cat(flat_yaml(value), "\n");
    return cat(flat_yaml(value), "  # ", printable(comment(value)), "\n");
}

void append_value(std::string& out, const Node& value, std::size_t indent, const Comment& comment) {
    if (is_flat(value) || fits_line(value)) {
        out += cat(" ", line_of(value, comment));
    } else {
        out += '\n';
        append_yaml(out, value, indent + 2, comment);
    }
}

// An item's first line continues the dash.
void append_item(std::string& out, const Node& item, std::size_t indent, const Comment& comment) {
    if (is_flat(item) || fits_line(item)) {
        out += cat(std::string(indent, ' '), "- ", line_of(item, comment));
        return;
    }
    std::string inner;
    append_yaml(inner, item, indent + 2, comment);
    inner[indent] = '-';
    out += inner;
}

void append_yaml(std::string& out, const Node& node, std::size_t indent, const Comment& comment) {
    for (const Node& item : node.items) append_item(out, item, indent, comment);
    for (const Node::Entry& entry : node.entries) {
        const std::string key = key_yaml(entry), margin(indent, ' ');
        if (key.size() > 1000) {  // an ordinary key is at most 1024 characters (YAML 1.2, 7.4)
            out += cat(margin, "? ", key, "\n", margin, ":");
        } else {
            out += cat(margin, key, ":");
        }
        append_value(out, entry.value, indent, comment);
    }
}

// ---- JSON

std::string quoted_json(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += cat("\\", c);
        else if (byte < 0x20)
            out += cat("\\u00", hex[byte >> 4], hex[byte & 15]);
        else
            out += c;
    }
    return out + "\"";
}

void append_json(std::string& out, const Node& node, std::size_t indent);

template <class Items, class Print>
void append_block(std::string& out, const Items& items, char open, char close, std::size_t indent, Print print) {
    if (items.empty()) {
        out += cat(open, close);
        return;
    }
    out += open;
    for (const auto& item : items) {
        out += cat(&item == items.data() ? "\n" : ",\n", std::string(indent + 2, ' '));
        print(item);
    }
    out += cat("\n", std::string(indent, ' '), close);
}

void append_json(std::string& out, const Node& node, std::size_t indent) {
    switch (node.kind) {
        case NodeKind::null: out += "null"; return;
        case NodeKind::scalar: out += node.plain ? node.text : quoted_json(node.text); return;
        case NodeKind::sequence:
            return append_block(out, node.items, '[', ']', indent, [&](const Node& item) { append_json(out, item, indent + 2); });
        case NodeKind::map: break;
    }
    append_block(out, node.entries, '{', '}', indent, [&](const Node::Entry& entry) {
        out += cat(quoted_json(entry.key), ": ");
        append_json(out, entry.value, indent + 2);
    });
}

}  // namespace

std::string print_yaml(const Node& node, const std::function<std::string(const Node&)>& comment) {
    if (is_flat(node)) return line_of(node, comment);
    std::string out;
    append_yaml(out, node, 0, comment);
    return out;
}

std::string print_yaml(const Node& node) { return print_yaml(node, {}); }
std::string print_yaml_line(const Node& node) { return flat_yaml(node); }

std::string print_json(const Node& node) {
    std::string out;
    append_json(out, node, 0);
    return out + "\n";
}

}  // namespace sandbox
