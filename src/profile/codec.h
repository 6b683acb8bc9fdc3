// Codecs: for each type of value, how it is read from YAML, printed, described and put into the JSON Schema.
//
// A codec is a class with `Value` and the static functions decode, encode, schema, describe and shape. Codecs of plain
// values are in values.h, those of things with several spellings in forms.h; here are the ones that are put together
// from others, and `field`, which binds a key to a member.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/text.h"
#include "profile/fields.h"
#include "profile/language.h"
#include "profile/values.h"

namespace sandbox {

// ---- codecs made from codecs

template <class C>
struct Located {
    using Value = At<typename C::Value>;
    static void decode(Decoder& decoder, const Node& node, Value& out) {
        out.at = node.at;
        C::decode(decoder, node, out.value);
    }
    static Node encode(const Value& value) { return C::encode(*value); }
    static Node schema() { return C::schema(); }
    static std::string describe() { return C::describe(); }
    static Shape shape() { return C::shape(); }
};

template <class C>
struct Nullable {
    using Value = std::optional<typename C::Value>;
    // Set even when the value is wrong: "missing" would be a second, false, complaint.
    static void decode(Decoder& decoder, const Node& node, Value& out) { C::decode(decoder, node, out.emplace()); }
    static Node encode(const Value& value) { return value ? C::encode(*value) : null_node(); }
    static Node schema() { return C::schema(); }
    static std::string describe() { return C::describe(); }
    static Shape shape() { return C::shape(); }
};

// What makes an item of a list the same item; nothing by default.
template <class C>
concept HasIdentity = requires(const Node& node) {
    { C::identity(node) } -> std::same_as<std::string>;
};

template <class C, Shape::Kind kind = Shape::list>
struct List {
    using Value = std::vector<typename C::Value>;
    static void decode(Decoder& decoder, const Node& node, Value& out) {
        if (!node.is_sequence()) return decoder.wrong_type(node, describe(), "write it between brackets, or one item a line after '- '");
        out.clear();
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            const Decoder::Inside inside(decoder, i);
            C::decode(decoder, node.items[i], out.emplace_back());
        }
    }
    static Node encode(const Value& value) {
        Node list = list_node();
        for (const auto& item : value) list.items.push_back(C::encode(item));
        return list;
    }
    static Node schema() { return list_schema(C::schema()); }
    static std::string describe() { return cat("a list, each item ", C::describe()); }
    static Shape shape() {
        Shape shape{kind, C::shape().fields};
        if constexpr (HasIdentity<C>) shape.identity = C::identity;
        return shape;
    }
};

template <class C>
struct FreeMap {
    using Value = std::map<std::string, typename C::Value>;
    static void decode(Decoder& decoder, const Node& node, Value& out) {
        if (!node.is_map()) return decoder.wrong_type(node, describe());
        for (const Node::Entry& entry : node.entries) {
            const Decoder::Inside inside(decoder, entry.key);
            C::decode(decoder, entry.value, out[entry.key]);
        }
    }
    static Node encode(const Value& value) {
        Node map = map_node();
        for (const auto& [key, item] : value) map.add(key, C::encode(item));
        return map;
    }
    static Node schema() { return map_schema(C::schema()); }
    static std::string describe() { return cat("a map, each value ", C::describe()); }
    static Shape shape() { return {Shape::map, C::shape().fields}; }
};

// A struct that has a table of its own.
template <class S>
struct Record {
    using Value = S;
    static void decode(Decoder& decoder, const Node& node, S& out) {
        if constexpr (requires { out.at = node.at; }) out.at = node.at;
        decode_fields(decoder, node, &out, fields_of<S>());
    }
    static Node encode(const S& value) { return encode_fields(&value, fields_of<S>()); }
    static Node schema() { return schema_fields(fields_of<S>()); }
    static std::string describe() { return "a map"; }
    static Shape shape() { return {Shape::record, fields_of<S>}; }
};

// A map of keys that fill members of the struct it is in: `policy` in Profile. Table() is its table.
template <class S, const FieldTable& (*Table)()>
struct Group {
    using Value = S;
    static void decode(Decoder& decoder, const Node& node, S& out) { decode_fields(decoder, node, &out, Table()); }
    static Node encode(const S& value) { return encode_fields(&value, Table()); }
    static Node schema() { return schema_fields(Table()); }
    static std::string describe() { return "a map"; }
    static Shape shape() { return {Shape::record, Table}; }
};

// ---- from the type of a member to its codec

template <class T>
struct DefaultCodec {
    using type = Record<T>;
};
template <>
struct DefaultCodec<bool> {
    using type = Boolean;
};
template <>
struct DefaultCodec<std::string> {
    using type = String;
};
template <class E>
requires std::is_enum_v<E>
struct DefaultCodec<E> {
    using type = Enum<E>;
};

struct Auto {};  // the codec of the member's type

template <class T>
struct Base {
    using type = T;
};
template <class T>
struct Base<At<T>> : Base<T> {};
template <class T>
struct Base<std::optional<T>> : Base<T> {};
template <class T>
struct Base<std::vector<T>> : Base<T> {};
template <class T>
struct Base<std::map<std::string, T>> : Base<T> {};

// Lifts a codec to a member's type: a codec of std::string reads an optional<At<std::string>> as well.
template <class C, class T>
struct Lift;
template <class C, class T>
requires std::same_as<typename C::Value, T>
struct Lift<C, T> {
    using type = C;
};
template <class C, class T>
requires(!std::same_as<typename C::Value, At<T>>) struct Lift<C, At<T>> {
    using type = Located<typename Lift<C, T>::type>;
};
template <class C, class T>
requires(!std::same_as<typename C::Value, std::optional<T>>) struct Lift<C, std::optional<T>> {
    using type = Nullable<typename Lift<C, T>::type>;
};
template <class C, class T>
requires(!std::same_as<typename C::Value, std::vector<T>>) struct Lift<C, std::vector<T>> {
    using type = List<typename Lift<C, T>::type>;
};
template <class C, class T>
requires(!std::same_as<typename C::Value, std::map<std::string, T>>) struct Lift<C, std::map<std::string, T>> {
    using type = FreeMap<typename Lift<C, T>::type>;
};
template <class T>
struct Lift<Auto, T> : Lift<typename DefaultCodec<typename Base<T>::type>::type, T> {};

// ---- from a member to a field

template <class M>
struct MemberTraits;
template <class S, class T>
struct MemberTraits<T S::*> {
    using Struct = S;
    using Type = T;
};

template <class C>
constexpr Field describe_field(std::string_view name, std::string_view doc) {
    Field field;
    field.name = name;
    field.doc = doc;
    field.reads_null = requires { C::reads_null; };
    field.schema = C::schema;
    field.describe = C::describe;
    field.shape = C::shape;
    return field;
}

// The key `name` fills the member `member`.
template <auto member, class Codec = Auto>
constexpr Field field(std::string_view name, std::string_view doc) {
    using S = typename MemberTraits<decltype(member)>::Struct;
    using C = typename Lift<Codec, typename MemberTraits<decltype(member)>::Type>::type;
    Field field = describe_field<C>(name, doc);
    field.decode = [](Decoder& decoder, const Node& node, void* object) { C::decode(decoder, node, static_cast<S*>(object)->*member); };
    field.encode = [](const void* object) { return C::encode(static_cast<const S*>(object)->*member); };
    return field;
}

// The key `name` fills several members of the struct, or one of a member.
template <class C>
constexpr Field whole(std::string_view name, std::string_view doc) {
    using S = typename C::Value;
    Field field = describe_field<C>(name, doc);
    field.decode = [](Decoder& decoder, const Node& node, void* object) { C::decode(decoder, node, *static_cast<S*>(object)); };
    field.encode = [](const void* object) { return C::encode(*static_cast<const S*>(object)); };
    return field;
}

constexpr Field required(Field field) {
    field.due = Due::required;
    return field;
}

// A key of the language that this version refuses.
constexpr Field later(std::string_view name, std::string_view doc, std::string_view harmless = {}) {
    Field field;
    field.name = name;
    field.doc = doc;
    field.due = Due::later;
    field.harmless = harmless;
    return field;
}

}  // namespace sandbox
