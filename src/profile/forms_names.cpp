// Version, names, variables, time zone.
#include <algorithm>

#include "base/text.h"
#include "profile/forms.h"

namespace sandbox {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

bool is_profile_name(std::string_view text) {
    if (text.empty() || text.size() > 63 || !(is_lower(text[0]) || is_digit(text[0]))) return false;
    for (const char c : text)
        if (!is_lower(c) && !is_digit(c) && c != '_' && c != '.' && c != '-') return false;
    return true;
}

// Letters, digits and hyphens between dots, no hyphen at the end of a part; the kernel's limit is 64 bytes.
bool is_hostname(std::string_view text) {
    if (text.empty() || text.size() > 64) return false;
    for (const std::string_view part : split(text, '.')) {
        if (part.empty() || part.starts_with('-') || part.ends_with('-')) return false;
        for (const char c : part)
            if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_') return false;
    }
    return true;
}

bool is_timezone(std::string_view text) {
    if (text.empty() || text.size() > 255 || text.starts_with('/') || text.ends_with('/')) return false;
    for (const std::string_view part : split(text, '/')) {
        if (part.empty() || part == "." || part == "..") return false;
        for (const char c : part)
            if (!is_letter(c) && !is_digit(c) && c != '_' && c != '-' && c != '+' && c != '.') return false;
    }
    return true;
}

bool is_variable_name(std::string_view text) {
    if (text.empty() || is_digit(text[0])) return false;
    for (const char c : text)
        if (!is_letter(c) && !is_digit(c) && c != '_') return false;
    return true;
}

}  // namespace

// ---- version

void VersionForm::decode(Decoder& decoder, const Node& node, Profile&) {
    const auto version = read_integer(decoder, node, 1, std::numeric_limits<std::int64_t>::max());
    if (version && *version > language_version)
        decoder.error("E0205", node, cat("version ", *version, " is newer than this program"),
                      cat("this program knows version ", language_version, "; install a newer one"));
}
Node VersionForm::encode(const Profile&) { return number_node(language_version); }
Node VersionForm::schema() {
    Node node = map_node();
    node.add("const", number_node(language_version));
    return node;
}
std::string VersionForm::describe() { return "a whole number"; }

// ---- extends

void ExtendsForm::decode(Decoder& decoder, const Node& node, Profile&) {
    if (node.is_sequence() && node.items.empty()) return;
    decoder.error("E0144", node, "parents are written in a file", "make a profile of your own that extends them: sandbox new");
}
Node ExtendsForm::encode(const Profile&) { return list_node(); }
Node ExtendsForm::schema() { return list_schema(type_schema("string")); }
std::string ExtendsForm::describe() { return "a list of profile names or paths"; }

// ---- names

void ProfileName::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    if (!is_profile_name(*text))
        decoder.error("E0307", node, cat(quote(text->substr(0, 80)), " cannot be a name"),
                      "1 to 63 of a-z, 0-9, '_', '.', '-', the first one a letter or a digit");
}
Node ProfileName::encode(const std::string& value) { return value.empty() ? null_node() : text_node(value); }
Node ProfileName::schema() { return pattern_schema("^[a-z0-9][a-z0-9_.-]{0,62}$|\\$\\{"); }
std::string ProfileName::describe() { return "a name"; }

std::string hostname_for(std::string name) {
    if (is_hostname(name)) return name;
    std::ranges::replace(name, '.', '-');
    name.resize(name.find_last_not_of('-') + 1);
    return name;
}

void Hostname::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    if (!is_hostname(*text))
        decoder.error("E0316", node, cat(quote(text->substr(0, 80)), " cannot be a host or domain name"),
                      "letters, digits, '-', '_' and dots between, at most 64 bytes (the kernel's limit)");
}
Node Hostname::encode(const std::string& value) { return value.empty() ? null_node() : text_node(value); }
Node Hostname::schema() {
    Node node = type_schema("string");
    node.add("maxLength", number_node(64));
    return node;
}
std::string Hostname::describe() { return "a host name"; }

void VariableMap::decode(Decoder& decoder, const Node& node, TextMap& out) {
    FreeMap<Located<AnyText>>::decode(decoder, node, out);
    if (!node.is_map()) return;
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        if (!is_variable_name(entry.key))
            decoder.error("E0122", entry.at, entry.length, cat(quote(entry.key), " cannot be a variable"),
                          "letters, digits and '_', the first one no digit");
    }
}
Node VariableMap::encode(const TextMap& value) { return FreeMap<Located<AnyText>>::encode(value); }
Node VariableMap::schema() {
    Node node = map_schema(AnyText::schema());
    node.add("propertyNames", pattern_schema("^[A-Za-z_][A-Za-z0-9_]*$"));
    return node;
}
std::string VariableMap::describe() { return "a map of NAME: TEXT"; }

// ---- policy, time zone

namespace {
constexpr Word unsupported_words[]{{"error", 0}, {"warn", 1}};
}

void UnsupportedWord::decode(Decoder& decoder, const Node& node, bool& out) {
    if (const auto value = read_word(decoder, node, unsupported_words, {})) out = *value == 1;
}
Node UnsupportedWord::encode(const bool& value) { return text_node(std::string(name_of(unsupported_words, value ? 1 : 0))); }
Node UnsupportedWord::schema() { return word_schema(unsupported_words); }
std::string UnsupportedWord::describe() { return describe_words(unsupported_words); }

void Timezone::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    if (is_timezone(*text))
        out = *text;
    else
        decoder.error("E0318", node, cat(quote(text->substr(0, 80)), " is no name of a time zone"),
                      "write 'host' or a name such as Europe/Berlin");
}
Node Timezone::encode(const std::string& value) { return text_node(value); }
Node Timezone::schema() { return type_schema("string"); }
std::string Timezone::describe() { return "host, or a zone name such as Europe/Berlin"; }

}  // namespace sandbox
