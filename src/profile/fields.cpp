#include "profile/fields.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "profile/foreign.h"
#include "profile/language.h"

namespace sandbox {
namespace {

void refuse_unknown(Decoder& decoder, const Node::Entry& entry, const FieldTable& table) {
    decoder.error("E0203", entry.at, entry.length, "unknown key", hint_for_unknown(entry.key, table));
}

void refuse_later(Decoder& decoder, const Node::Entry& entry, const Field& field) {
    if (!field.harmless.empty() && entry.value.is_scalar() && entry.value.text == field.harmless) return;
    decoder.error("E0204", entry.at, entry.length, "not supported yet by this version",
                  field.harmless.empty() ? "remove the key" : cat("remove the key, or set it to ", quote(field.harmless)));
}

void decode_entry(Decoder& decoder, const Node::Entry& entry, void* object, const FieldTable& table) {
    if (entry.key.starts_with("x-")) return;
    const Decoder::Inside inside(decoder, entry.key);
    const Field* field = find_field(table, entry.key);
    if (!field) return refuse_unknown(decoder, entry, table);
    if (field->due == Due::later) return refuse_later(decoder, entry, *field);
    if (entry.value.is_null() && !field->reads_null) return;
    field->decode(decoder, entry.value, object);
}

bool given(const Node& map, std::string_view name) {
    const Node* value = map.find(name);
    return value && !value->is_null();
}

}  // namespace

const Field* find_field(const FieldTable& table, std::string_view name) {
    const auto field = std::ranges::find(table.fields, name, &Field::name);
    return field == table.fields.end() ? nullptr : &*field;
}

void decode_fields(Decoder& decoder, const Node& node, void* object, const FieldTable& table) {
    if (!node.is_map()) return decoder.wrong_type(node, "a map");
    for (const Node::Entry& entry : node.entries) decode_entry(decoder, entry, object, table);
    for (const Field& field : table.fields)
        if (field.due == Due::required && !given(node, field.name))
            decoder.error("E0201", node.at, 1, cat("the key ", quote(field.name), " is missing"), std::string(field.doc));
}

Node encode_fields(const void* object, const FieldTable& table) {
    Node map = map_node();
    for (const Field& field : table.fields)
        if (field.due != Due::later) map.add(std::string(field.name), field.encode(object));
    return map;
}

Node schema_fields(const FieldTable& table) {
    Node properties = map_node(), required = list_node();
    for (const Field& field : table.fields) {
        if (field.due == Due::later) continue;
        Node schema = field.schema();
        Node property = map_node();
        property.add("description", text_node(std::string(field.doc)));
        Node standard = field.encode(table.defaults());
        const bool nullable = standard.is_null() && !field.reads_null;
        if (field.due == Due::required) {
            required.items.push_back(text_node(std::string(field.name)));
        } else {
            property.add("default", std::move(standard));
        }
        if (nullable && field.due != Due::required) {
            Node null = map_node();
            null.add("type", text_node("null"));
            property.add("anyOf", list_node({std::move(schema), std::move(null)}));
        } else {
            for (Node::Entry& entry : schema.entries) property.entries.push_back(std::move(entry));
        }
        properties.add(std::string(field.name), std::move(property));
    }
    Node own = map_node();
    own.add("^x-", bool_node(true));
    Node out = map_node();
    out.add("type", text_node("object"));
    out.add("properties", std::move(properties));
    out.add("patternProperties", std::move(own));
    out.add("additionalProperties", bool_node(false));
    if (!required.items.empty()) out.add("required", std::move(required));
    return out;
}

}  // namespace sandbox
