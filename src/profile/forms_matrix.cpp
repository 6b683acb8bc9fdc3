// The section `matrix`: axes, include, exclude.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "profile/forms.h"

namespace sandbox {
namespace {

constexpr std::array<std::string_view, 3> reserved{"include", "exclude", "patch"};
// What makes a cell a cell and no other profile.
constexpr std::array<std::string_view, 4> not_in_a_patch{"matrix", "extends", "version", "name"};
constexpr std::size_t longest_word = 64;

bool is_axis_name(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    if (text.empty() || text.size() > longest_word || !letter(text[0])) return false;
    return std::ranges::all_of(text, [&letter](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; });
}

bool is_value_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_word && valid_utf8(text) && printable(text) == text;
}

void refuse_value(Decoder& decoder, Position at, std::uint32_t length, std::string_view name) {
    decoder.error("E0161", at, length, cat(quote(name.substr(0, 80)), " cannot be the name of a value"),
                  cat("1 to ", longest_word, " bytes of text without control characters"));
}

// False after a complaint.
bool check_patch(Decoder& decoder, const Node& patch) {
    if (patch.is_null()) return true;
    if (!patch.is_map()) {
        decoder.wrong_type(patch, "a patch, a map of keys of the language", "write {} where nothing is to be changed");
        return false;
    }
    bool good = true;
    for (const Node::Entry& entry : patch.entries) {
        if (std::ranges::find(not_in_a_patch, entry.key) == not_in_a_patch.end()) continue;
        const Decoder::Inside inside(decoder, entry.key);
        decoder.error("E0162", entry.at, entry.length, cat("a patch cannot change ", quote(entry.key)),
                      entry.key == "name" ? "a cell is called by the profile's name and its values" : "write it in the profile itself");
        good = false;
    }
    return good;
}

void read_value(Decoder& decoder, const Node& item, MatrixAxis& axis) {
    if (!item.is_scalar()) return decoder.wrong_type(item, "the name of a value", "patches are written as a map, {VALUE: patch}");
    if (!is_value_name(item.text)) return refuse_value(decoder, item.at, item.length, item.text);
    if (std::ranges::find(axis.values, item.text, &MatrixValue::name) != axis.values.end())
        return decoder.error("E0161", item, cat(quote(item.text), " is there twice"), "once is enough");
    axis.values.push_back({item.text, item.at, null_node()});
}

void read_axis(Decoder& decoder, const Node::Entry& entry, Matrix& out) {
    if (!is_axis_name(entry.key))
        return decoder.error("E0161", entry.at, entry.length, cat(quote(entry.key.substr(0, 80)), " cannot be an axis"),
                             "letters, digits, '_' and '-', the first one a letter");
    if (!entry.value.is_map() && !entry.value.is_sequence() && !entry.value.is_null())
        return decoder.wrong_type(entry.value, "the values of the axis: a map {VALUE: patch}, or a list of names");
    MatrixAxis axis{entry.key, entry.at, {}};
    for (std::size_t i = 0; i < entry.value.items.size(); ++i) {
        const Decoder::Inside inside(decoder, i);
        read_value(decoder, entry.value.items[i], axis);
    }
    for (const Node::Entry& value : entry.value.entries) {
        const Decoder::Inside inside(decoder, value.key);
        if (!is_value_name(value.key))
            refuse_value(decoder, value.at, value.length, value.key);
        else if (check_patch(decoder, value.value))
            axis.values.push_back({value.key, value.at, value.value});
    }
    if (entry.value.items.empty() && entry.value.entries.empty())
        decoder.error("E0160", entry.at, entry.length, "an axis without values",
                      "name one at least, or remove the axis: it would make no cell");
    out.axes.push_back(std::move(axis));
}

void read_rule(Decoder& decoder, const Node& node, bool includes, std::vector<MatrixRule>& out) {
    if (!node.is_map()) return decoder.wrong_type(node, includes ? "a map of AXIS: VALUE, with a patch" : "a map of AXIS: VALUE");
    MatrixRule rule{node.at, {}, {}};
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        if (entry.key == "patch" && includes) {
            if (check_patch(decoder, entry.value)) rule.patch = entry.value;
        } else if (entry.key == "patch") {
            decoder.error("E0163", entry.at, entry.length, "what is left out needs no patch", "patches belong to include");
        } else if (!entry.value.is_scalar() || !is_value_name(entry.value.text)) {
            decoder.wrong_type(entry.value, "the name of a value");
        } else if (!is_axis_name(entry.key)) {
            decoder.error("E0161", entry.at, entry.length, cat(quote(entry.key.substr(0, 80)), " cannot be an axis"),
                          includes ? "keys of the language belong under 'patch'" : "write AXIS: VALUE");
        } else {
            rule.values.emplace_back(entry.key, Text(entry.value.text, entry.value.at));
        }
    }
    if (node.entries.empty())
        return decoder.error("E0163", node, "an entry that says nothing", includes ? "write AXIS: VALUE, or a patch" : "write AXIS: VALUE");
    out.push_back(std::move(rule));
}

void read_rules(Decoder& decoder, const Node& node, bool includes, std::vector<MatrixRule>& out) {
    if (node.is_null()) return;
    if (!node.is_sequence()) return decoder.wrong_type(node, "a list of maps AXIS: VALUE");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const Decoder::Inside inside(decoder, i);
        read_rule(decoder, node.items[i], includes, out);
    }
}

// A patch as it is printed: its variables get their values in a cell.
Node as_written(Node patch) {
    patch.unexpanded = true;
    if (patch.plain && scalar_type(patch) == ScalarType::text) patch.plain = false;
    for (Node& item : patch.items) item = as_written(std::move(item));
    for (Node::Entry& entry : patch.entries) entry.value = as_written(std::move(entry.value));
    return patch;
}

Node encode_rule(const MatrixRule& rule) {
    Node map = map_node();
    for (const auto& [axis, value] : rule.values) map.add(axis, text_node(*value));
    if (rule.patch) map.add("patch", as_written(*rule.patch));
    return map;
}

// The list of names is the map of empty patches.
void write_as_map(Node& axis) {
    if (!axis.is_sequence()) return;
    Node map = map_node();
    map.at = axis.at;
    for (Node& item : axis.items) {
        if (!item.is_scalar()) return;
        Node patch = map_node();
        patch.at = item.at;
        if (!map.find(item.text)) map.entries.push_back({item.text, item.at, item.length, std::move(patch)});
    }
    axis = std::move(map);
}

}  // namespace

const MatrixAxis* Matrix::find(std::string_view axis) const {
    const auto found = std::ranges::find(axes, axis, &MatrixAxis::name);
    return found == axes.end() ? nullptr : &*found;
}

void MatrixForm::decode(Decoder& decoder, const Node& node, Matrix& out) {
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    out.at = node.at;
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        if (entry.key == "include")
            read_rules(decoder, entry.value, true, out.include);
        else if (entry.key == "exclude")
            read_rules(decoder, entry.value, false, out.exclude);
        else if (std::ranges::find(reserved, entry.key) != reserved.end())
            decoder.error("E0161", entry.at, entry.length, cat(quote(entry.key), " cannot be an axis"), "it has a meaning in include");
        else
            read_axis(decoder, entry, out);
    }
}

Node MatrixForm::encode(const Matrix& matrix) {
    Node out = map_node();
    for (const MatrixAxis& axis : matrix.axes) {
        Node& values = out.add(axis.name, map_node());
        for (const MatrixValue& value : axis.values) values.add(value.name, value.patch.is_null() ? map_node() : as_written(value.patch));
    }
    const auto add_rules = [&out](std::string name, const std::vector<MatrixRule>& rules) {
        if (rules.empty()) return;
        Node& list = out.add(std::move(name), list_node());
        for (const MatrixRule& rule : rules) list.items.push_back(encode_rule(rule));
    };
    add_rules("include", matrix.include);
    add_rules("exclude", matrix.exclude);
    return out;
}

Node MatrixForm::schema() {
    Node patch = map_node();
    patch.add("type", list_node({text_node("object"), text_node("null")}));
    Node values = map_schema(std::move(patch));
    values.add("minProperties", number_node(1));
    Node names = list_schema(any_of({type_schema("string"), type_schema("number"), type_schema("boolean")}));
    names.add("minItems", number_node(1));
    Node rules = list_schema(type_schema("object"));
    Node properties = map_node();
    properties.add("include", rules);
    properties.add("exclude", std::move(rules));
    Node out = map_node();
    out.add("type", text_node("object"));
    out.add("properties", std::move(properties));
    out.add("additionalProperties", any_of({std::move(values), std::move(names)}));
    return out;
}

std::string MatrixForm::describe() { return "a map of AXIS: {VALUE: patch}, with lists include and exclude"; }

Shape MatrixForm::shape() {
    Shape shape{Shape::map};
    shape.below = [](std::string_view key) -> Shape {
        if (key == "include" || key == "exclude") return {Shape::list};
        // A patch is one value: what it deletes and replaces has its meaning in a cell, so a later file's patch is taken whole.
        return {Shape::map, nullptr, nullptr, write_as_map};
    };
    return shape;
}

}  // namespace sandbox
