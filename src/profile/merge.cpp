#include "profile/merge.h"

#include <algorithm>

#include "base/text.h"
#include "profile/language.h"
#include "profile/yaml.h"

namespace sandbox {
namespace {

bool same(const Node& a, const Node& b) {
    if (a.kind != b.kind || a.text != b.text || a.items.size() != b.items.size() || a.entries.size() != b.entries.size()) return false;
    for (std::size_t i = 0; i < a.items.size(); ++i)
        if (!same(a.items[i], b.items[i])) return false;
    for (std::size_t i = 0; i < a.entries.size(); ++i)
        if (a.entries[i].key != b.entries[i].key || !same(a.entries[i].value, b.entries[i].value)) return false;
    return true;
}

bool asks_removal(const Node& item) {
    const Node* remove = item.find("remove");
    return remove && remove->is_scalar() && remove->plain && remove->text == "true";
}

void report_nothing_to_remove(const Node& item, std::string_view identity, Diagnostics& out) {
    out.push_back({"E0131", Severity::error, item.at, "", cat("there is no ", quote(identity), " to remove"),
                   "remove: true takes an item of an earlier file away", item.length});
}

void merge_item(Node& base, Node item, const Shape& shape, Diagnostics& out) {
    const std::string identity = shape.identity ? shape.identity(item) : "";
    const auto found = std::ranges::find_if(
        base.items, [&](const Node& other) { return identity.empty() ? same(other, item) : shape.identity(other) == identity; });
    if (asks_removal(item)) {
        if (found == base.items.end())
            report_nothing_to_remove(item, identity, out);
        else
            base.items.erase(found);
    } else if (found == base.items.end()) {
        base.items.push_back(std::move(item));
    } else if (found->is_map() && item.is_map()) {
        merge_node(*found, std::move(item), item_shape(shape), out);
    } else {
        *found = std::move(item);
    }
}

// A list with nothing before it stays as written, repetitions and all: the checks will see them.
Node first_list(Node patch, const Shape& shape, Diagnostics& out) {
    std::erase_if(patch.items, [&](const Node& item) {
        const bool removes = asks_removal(item);
        if (removes) report_nothing_to_remove(item, shape.identity ? shape.identity(item) : "", out);
        return removes;
    });
    return patch;
}

void merge_list(Node& base, Node patch, const Shape& shape, Diagnostics& out) {
    if (patch.is_map() && patch.entries.size() == 1 && patch.entries[0].key == "replace") {
        Node list = std::move(patch.entries[0].value);
        base = std::move(list);
    } else if (shape.kind == Shape::argv || !base.is_sequence() || !patch.is_sequence()) {
        base = first_list(std::move(patch), shape, out);
    } else {
        for (Node& item : patch.items) merge_item(base, std::move(item), shape, out);
    }
}

void merge_entry(Node& base, Node::Entry entry, const Shape& shape, Diagnostics& out) {
    const Field* field = shape.kind == Shape::record ? find_field(shape.fields(), entry.key) : nullptr;
    Shape inner;
    if (field && field->shape) inner = field->shape();
    if (shape.kind == Shape::map) inner = item_shape(shape, entry.key);
    const auto found = std::ranges::find(base.entries, entry.key, &Node::Entry::key);
    const bool deletes = entry.value.is_null() && !(field && field->reads_null);
    if (found != base.entries.end() && deletes) {
        base.entries.erase(found);
    } else if (found != base.entries.end()) {
        found->at = entry.at;
        found->length = entry.length;
        merge_node(found->value, std::move(entry.value), inner, out);
    } else {
        Node value = null_node();
        merge_node(value, std::move(entry.value), inner, out);
        base.entries.push_back({std::move(entry.key), entry.at, entry.length, std::move(value)});
    }
}

}  // namespace

void merge_node(Node& base, Node patch, const Shape& shape, Diagnostics& out) {
    if (shape.normalise) {
        shape.normalise(base);
        shape.normalise(patch);
    }
    const bool maps = shape.kind == Shape::record || shape.kind == Shape::map;
    if (maps && base.is_null() && patch.is_map()) {
        base = map_node();
        base.at = patch.at;
    }
    if (shape.kind == Shape::list || shape.kind == Shape::argv)
        merge_list(base, std::move(patch), shape, out);
    else if (maps && base.is_map() && patch.is_map())
        for (Node::Entry& entry : patch.entries) merge_entry(base, std::move(entry), shape, out);
    else
        base = std::move(patch);
}

namespace {

struct Step {
    std::string key;
    std::uint32_t column;
};

// The keys of "a.b.c". Below a free map the rest is one key ("sysctl.net.core.somaxconn"), unless it is a map of
// records and the last word is one of their keys ("files./etc/motd.content").
std::vector<Step> split_path(std::string_view path) {
    std::vector<Step> steps;
    Shape shape{Shape::record, fields_of<Profile>};
    std::uint32_t column = 1;
    while (true) {
        std::string_view key = path.substr(0, path.find('.'));
        if (shape.kind == Shape::map) {
            key = path;
            const auto dot = path.rfind('.');
            if (shape.fields && dot != std::string_view::npos && find_field(shape.fields(), path.substr(dot + 1)))
                key = path.substr(0, dot);
        }
        steps.push_back({std::string(key), column});
        if (key.size() == path.size()) return steps;
        const Field* field = shape.kind == Shape::record ? find_field(shape.fields(), key) : nullptr;
        if (shape.kind == Shape::map && shape.fields)
            shape = {Shape::record, shape.fields};
        else
            shape = field && field->shape ? field->shape() : Shape{};
        path.remove_prefix(key.size() + 1);
        column += static_cast<std::uint32_t>(key.size()) + 1;
    }
}

Node nest(const std::vector<Step>& steps, Node value, std::uint32_t source) {
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
        Node map = map_node();
        map.at = {source, 1, step->column};
        map.entries.push_back(
            {step->key, map.at, static_cast<std::uint32_t>(std::max<std::size_t>(1, step->key.size())), std::move(value)});
        value = std::move(map);
    }
    return value;
}

bool names_variable(const Node& root, std::string_view key) {
    const Node* vars = root.find("vars");
    return key.find('.') == std::string_view::npos && vars && vars->is_map() && vars->find(key);
}

}  // namespace

void apply_set(Node& root, const std::string& word, Sources& sources, Diagnostics& out) {
    const std::uint32_t source = sources.add("--set", word);
    const auto refuse = [&](std::string message) {
        out.push_back({"E0130",
                       Severity::error,
                       {source, 1, 1},
                       "",
                       std::move(message),
                       "write --set key.path=value",
                       static_cast<std::uint32_t>(std::clamp<std::size_t>(word.size(), 1, 200))});
    };
    if (!valid_utf8(word)) return refuse("not valid UTF-8");
    const auto equals = word.find('=');
    if (equals == std::string::npos) return refuse(cat(quote(word), " has no '='"));
    const std::string_view path = std::string_view(word).substr(0, equals), text = std::string_view(word).substr(equals + 1);
    const auto parts = split(path, '.');
    if (parts.front().empty() || parts.back().empty()) return refuse(cat(quote(path), " is not the path of a key"));
    const auto column = static_cast<std::uint32_t>(equals + 2);
    if (names_variable(root, path)) {
        Node value = text_node(std::string(text));
        value.at = {source, 1, column};
        *root.find("vars")->find(path) = std::move(value);
        return;
    }
    auto value = parse_yaml(text, {source, column}, out);
    if (value) merge_node(root, nest(split_path(path), std::move(*value), source), {Shape::record, fields_of<Profile>}, out);
}

}  // namespace sandbox
