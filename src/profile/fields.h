// The field table: what one key of the language is, and what is done with all of them alike.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "profile/decoder.h"
#include "profile/node.h"

namespace sandbox {

struct FieldTable;

// How values of a type merge, and what is below them.
struct Shape {
    enum Kind {
        scalar,  // a later value replaces
        record,  // a map of the fields of `fields`
        map,     // a map with free keys
        list,    // appended without repeating, by `identity` where there is one
        argv,    // a list that is one value: a later one replaces
    };
    Kind kind = scalar;
    const FieldTable& (*fields)() = nullptr;         // record; map and list: of the items, if they are records
    std::string (*identity)(const Node&) = nullptr;  // list: what makes an item the same item; empty: cannot say
    void (*normalise)(Node&) = nullptr;              // brings another spelling into the one that merges
    Shape (*below)(std::string_view key) = nullptr;  // map: what a key holds, where they are not all alike
};

// The shape of what a list or a free map holds.
[[nodiscard]] inline Shape item_shape(const Shape& shape) { return shape.fields ? Shape{Shape::record, shape.fields} : Shape{}; }
[[nodiscard]] inline Shape item_shape(const Shape& shape, std::string_view key) {
    return shape.below ? shape.below(key) : item_shape(shape);
}

enum class Due {
    now,
    required,  // has to be written
    later,     // part of the language, refused by name until it is supported
};

// One key. The functions take the struct that the table describes.
struct Field {
    std::string_view name;
    std::string_view doc;
    Due due = Due::now;
    std::string_view harmless;  // later: the one value that says nothing new and is accepted
    bool reads_null = false;    // null is a value of its own; for every other key it means "not given"
    void (*decode)(Decoder&, const Node&, void*) = nullptr;
    Node (*encode)(const void*) = nullptr;
    Node (*schema)() = nullptr;
    std::string (*describe)() = nullptr;
    Shape (*shape)() = nullptr;
};

struct FieldTable {
    std::span<const Field> fields;
    const void* (*defaults)();  // an object with every default
};

[[nodiscard]] const Field* find_field(const FieldTable& table, std::string_view name);

// Reads a map into the struct of the table. Unknown, later and missing keys are reported; `x-` keys are skipped.
void decode_fields(Decoder& decoder, const Node& node, void* object, const FieldTable& table);
// All keys that are due, with the object's values.
[[nodiscard]] Node encode_fields(const void* object, const FieldTable& table);
// The JSON Schema of the map.
[[nodiscard]] Node schema_fields(const FieldTable& table);

}  // namespace sandbox
