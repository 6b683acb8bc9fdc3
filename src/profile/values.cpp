#include "profile/values.h"

#include <charconv>

#include "base/text.h"

namespace sandbox {

// ---- schema parts

Node type_schema(std::string_view type) {
    Node node = map_node();
    node.add("type", text_node(std::string(type)));
    return node;
}

Node pattern_schema(std::string_view pattern) {
    Node node = type_schema("string");
    node.add("pattern", text_node(std::string(pattern)));
    return node;
}

Node list_schema(Node items) {
    Node node = type_schema("array");
    node.add("items", std::move(items));
    return node;
}

Node map_schema(Node values) {
    Node node = type_schema("object");
    node.add("additionalProperties", std::move(values));
    return node;
}

Node any_of(std::vector<Node> schemas) {
    Node node = map_node();
    node.add("anyOf", list_node(std::move(schemas)));
    return node;
}

Node words_schema(std::span<const std::string_view> words) {
    Node node = map_node();
    Node& list = node.add("enum", list_node());
    for (const std::string_view word : words) list.items.push_back(text_node(std::string(word)));
    return node;
}

namespace {

Node types_schema(std::initializer_list<std::string_view> types) {
    Node list = list_node();
    for (const std::string_view type : types) list.items.push_back(text_node(std::string(type)));
    Node node = map_node();
    node.add("type", std::move(list));
    return node;
}

}  // namespace

// ---- text

const std::string* read_text(Decoder& decoder, const Node& node, std::string_view wanted) {
    if (node.is_scalar() && (node.substituted || scalar_type(node) == ScalarType::text)) return &node.text;
    decoder.wrong_type(node, wanted, node.is_scalar() ? cat("if text is meant, quote it: \"", printable(node.text), "\"") : std::string());
    return nullptr;
}

const std::string* read_any_text(Decoder& decoder, const Node& node, std::string_view wanted) {
    if (node.is_scalar()) return &node.text;
    decoder.wrong_type(node, wanted);
    return nullptr;
}

void String::decode(Decoder& decoder, const Node& node, std::string& out) {
    if (const std::string* text = read_text(decoder, node, describe())) out = *text;
}
Node String::encode(const std::string& value) { return text_node(value); }
Node String::schema() { return type_schema("string"); }
std::string String::describe() { return "text"; }

void AnyText::decode(Decoder& decoder, const Node& node, std::string& out) {
    if (const std::string* text = read_any_text(decoder, node, describe())) out = *text;
}
Node AnyText::encode(const std::string& value) { return text_node(value); }
Node AnyText::schema() { return types_schema({"string", "number", "boolean"}); }
std::string AnyText::describe() { return "text"; }

// ---- booleans and numbers

std::optional<bool> read_boolean(Decoder& decoder, const Node& node) {
    Node plain = node;
    plain.plain = node.plain || node.substituted;
    if (plain.is_scalar() && scalar_type(plain) == ScalarType::boolean) return lower(plain.text) == "true";
    std::string hint;
    const std::string word = node.is_scalar() ? lower(node.text) : "";
    if (word == "yes" || word == "on" || word == "y") hint = "in YAML 1.2 that is text: write true";
    if (word == "no" || word == "off" || word == "n") hint = "in YAML 1.2 that is text: write false";
    if (word == "true" || word == "false") hint = "write it without quotes";
    decoder.wrong_type(node, "true or false", hint);
    return std::nullopt;
}

void Boolean::decode(Decoder& decoder, const Node& node, bool& out) {
    if (const auto value = read_boolean(decoder, node)) out = *value;
}
Node Boolean::encode(bool value) { return bool_node(value); }
Node Boolean::schema() { return type_schema("boolean"); }
std::string Boolean::describe() { return "true or false"; }

namespace {

// The digits of a number of YAML's core schema and their base.
std::optional<std::int64_t> number_in(std::string_view text) {
    int base = 10;
    if (text.starts_with("0x")) base = 16;
    if (text.starts_with("0o")) base = 8;
    if (base != 10) text.remove_prefix(2);
    if (text.starts_with('+')) text.remove_prefix(1);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

bool has_leading_zero(std::string_view text) {
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

}  // namespace

std::optional<std::int64_t> read_integer(Decoder& decoder, const Node& node, std::int64_t least, std::int64_t most) {
    Node plain = node;
    plain.plain = node.plain || node.substituted;
    if (!plain.is_scalar() || scalar_type(plain) != ScalarType::integer) {
        Node unquoted = plain;
        unquoted.plain = true;
        const bool quoted = plain.is_scalar() && scalar_type(unquoted) == ScalarType::integer;
        decoder.wrong_type(node, "a whole number", quoted ? "write it without quotes" : "");
        return std::nullopt;
    }
    if (has_leading_zero(node.text)) {
        decoder.error("E0302", node, cat("the number ", printable(node.text), " begins with a zero"),
                      "write 0o17 for octal, 17 for decimal");
        return std::nullopt;
    }
    const auto number = number_in(node.text);
    if (!number || *number < least || *number > most) {
        decoder.error("E0302", node, cat(printable(node.text.substr(0, 60)), " is out of range"), cat("allowed: ", least, " to ", most));
        return std::nullopt;
    }
    return number;
}

Node integer_schema(std::int64_t least, std::int64_t most) {
    Node node = types_schema({"integer", "string"});
    node.add("minimum", number_node(least));
    node.add("maximum", number_node(most));
    node.add("pattern", text_node("\\$\\{"));  // a string only if it is made from variables
    return node;
}

// ---- quantities

namespace {

const std::string* read_quantity(Decoder& decoder, const Node& node, std::string_view wanted) {
    if (node.is_scalar() && !(node.plain && scalar_type(node) == ScalarType::boolean)) return &node.text;
    decoder.wrong_type(node, wanted);
    return nullptr;
}

}  // namespace

void Bytes::decode(Decoder& decoder, const Node& node, std::uint64_t& out) {
    const std::string* text = read_quantity(decoder, node, describe());
    if (!text) return;
    if (const auto bytes = parse_size(*text))
        out = *bytes;
    else
        decoder.error("E0303", node, cat(quote(text->substr(0, 60)), " is not a size"),
                      "write bytes or a number with a unit, such as 64Mi, 1.5Gi, 500M; whole bytes, at most 9223372036854775807");
}
Node Bytes::encode(std::uint64_t value) {
    const std::string text = format_size(value);
    Node node = text_node(text);
    node.plain = text.find_first_not_of("0123456789") == std::string::npos;
    return node;
}
Node Bytes::schema() {
    Node node = types_schema({"integer", "string"});
    node.add("minimum", number_node(0));
    node.add("pattern", text_node("^[0-9]*\\.?[0-9]*([kKMGTPE]|[KMGTPE]i)?B?$|\\$\\{"));
    return node;
}
std::string Bytes::describe() { return "a size such as 64Mi"; }

namespace {

void decode_duration(Decoder& decoder, const Node& node, std::int64_t& out, bool sign) {
    const std::string* text = read_quantity(decoder, node, sign ? Offset::describe() : Duration::describe());
    if (!text) return;
    if (const auto time = parse_duration(*text, sign))
        out = *time;
    else
        decoder.error("E0304", node, cat(quote(text->substr(0, 60)), sign ? " is not an offset of time" : " is not a length of time"),
                      "write a number with a unit, such as 30s, 1h30m, 500ms; at most 292 years");
}

Node duration_schema(bool sign) {
    Node node = types_schema({"number", "string"});
    if (!sign) node.add("minimum", number_node(0));
    node.add("pattern", text_node(cat("^", sign ? "-?" : "", "([0-9]*\\.?[0-9]+(ns|us|ms|s|min|m|h|d|w)?)+$|\\$\\{")));
    return node;
}

}  // namespace

void Duration::decode(Decoder& decoder, const Node& node, std::int64_t& out) { decode_duration(decoder, node, out, false); }
Node Duration::encode(std::int64_t value) { return text_node(format_duration(value)); }
Node Duration::schema() { return duration_schema(false); }
std::string Duration::describe() { return "a length of time such as 30s"; }

void Offset::decode(Decoder& decoder, const Node& node, std::int64_t& out) { decode_duration(decoder, node, out, true); }
Node Offset::encode(std::int64_t value) { return text_node(format_duration(value)); }
Node Offset::schema() { return duration_schema(true); }
std::string Offset::describe() { return "a length of time, perhaps negative, such as -1d"; }

void Mode::decode(Decoder& decoder, const Node& node, std::uint32_t& out) {
    const std::string* text = read_quantity(decoder, node, describe());
    if (!text) return;
    std::string_view digits = *text;
    if (digits.starts_with("0o")) digits.remove_prefix(2);
    if (const auto mode = parse_mode(digits))
        out = *mode;
    else
        decoder.error("E0305", node, cat(quote(text->substr(0, 60)), " is no octal mode"),
                      "write three or four octal digits, such as \"0644\"");
}
Node Mode::encode(std::uint32_t value) { return text_node(format_mode(value)); }
Node Mode::schema() {
    Node node = types_schema({"integer", "string"});
    node.add("pattern", text_node("^(0o)?[0-7]{1,5}$|\\$\\{"));
    return node;
}
std::string Mode::describe() { return "an octal mode such as \"0644\""; }

// ---- paths

namespace {

bool path_too_long(Decoder& decoder, const Node& node, std::string_view path) {
    if (path.size() < 4096) return false;  // PATH_MAX, with the zero byte
    decoder.error("E0306", node, cat("a path of ", path.size(), " bytes"), "the kernel takes at most 4095");
    return true;
}

}  // namespace

std::optional<std::string> read_host_path(Decoder& decoder, const Node& node, std::string_view text) {
    if (text.empty()) {
        decoder.error("E0306", node, "an empty path", "write '.' for the profile's directory");
        return std::nullopt;
    }
    if (text.starts_with('~')) {
        decoder.error("E0306", node, cat(quote(text.substr(0, 60)), ": '~' is not expanded"),
                      "write ${HOME}; a file of that name is './~...'");
        return std::nullopt;
    }
    std::string path = clean_path(text.starts_with('/') ? std::string(text) : cat(decoder.directory_of(node), "/", text));
    if (path_too_long(decoder, node, path)) return std::nullopt;
    return path;
}

std::optional<std::string> read_inside_path(Decoder& decoder, const Node& node, std::string_view text) {
    if (!text.starts_with('/')) {
        decoder.error("E0306", node, cat(quote(text.substr(0, 60)), " is not an absolute path"), "paths inside the sandbox begin with '/'");
        return std::nullopt;
    }
    auto path = normal_path(text);
    if (!path) {
        decoder.error("E0306", node, cat(quote(text.substr(0, 200)), " has '..' in it"), "write the path without '..'");
        return std::nullopt;
    }
    if (path_too_long(decoder, node, *path)) return std::nullopt;
    return path;
}

void HostPath::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    if (auto path = read_host_path(decoder, node, *text)) out = std::move(*path);
}
Node HostPath::encode(const std::string& value) { return value.empty() ? null_node() : text_node(value); }
Node HostPath::schema() { return type_schema("string"); }
std::string HostPath::describe() { return "a path on the host"; }

void InsidePath::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    if (auto path = read_inside_path(decoder, node, *text)) out = std::move(*path);
}
Node InsidePath::encode(const std::string& value) { return value.empty() ? null_node() : text_node(value); }
Node InsidePath::schema() { return pattern_schema("^/|\\$\\{"); }
std::string InsidePath::describe() { return "an absolute path inside the sandbox"; }

// ---- words

namespace {

std::vector<std::string_view> first_names(std::span<const Word> words) {
    std::vector<std::string_view> names;
    for (const Word& word : words)
        if (name_of(words, word.value) == word.name) names.push_back(word.name);
    return names;
}

std::string listed(std::span<const std::string_view> names) {
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i) out += cat(i == 0 ? "" : i + 1 == names.size() ? " or " : ", ", names[i]);
    return out;
}

}  // namespace

std::optional<int> read_word(Decoder& decoder, const Node& node, std::span<const Word> words,
                             std::span<const std::string_view> later_words) {
    const std::string* text = read_text(decoder, node, describe_words(words));
    if (!text) return std::nullopt;
    for (const Word& word : words)
        if (word.name == *text) return word.value;
    for (const std::string_view word : later_words)
        if (word == *text) {
            decoder.error("E0204", node, cat(quote(word), ": not supported yet by this version"),
                          cat("supported: ", describe_words(words)));
            return std::nullopt;
        }
    const auto names = first_names(words);
    const auto near = nearest(*text, names);
    decoder.error("E0301", node, cat(quote(text->substr(0, 60)), " is not one of the words for this key"),
                  near ? cat("did you mean ", quote(*near), "? allowed: ", listed(names)) : cat("allowed: ", listed(names)));
    return std::nullopt;
}

std::string_view name_of(std::span<const Word> words, int value) {
    for (const Word& word : words)
        if (word.value == value) return word.name;
    return {};
}

Node word_schema(std::span<const Word> words) {
    std::vector<std::string_view> names;
    for (const Word& word : words) names.push_back(word.name);
    return words_schema(names);
}

std::string describe_words(std::span<const Word> words) { return listed(first_names(words)); }

}  // namespace sandbox
