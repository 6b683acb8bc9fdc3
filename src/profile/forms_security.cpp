// Namespaces, id ranges, capabilities, keyring, limits, devices.
#include <algorithm>
#include <limits>

#include "base/text.h"
#include "profile/forms.h"
#include "profile/names.h"

namespace sandbox {

// ---- namespaces

void AbsoluteHostPath::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    if (!text->starts_with('/')) {
        decoder.error("E0306", node, cat(quote(text->substr(0, 60)), " is not an absolute path"), "write the path from '/'");
        return;
    }
    if (auto path = read_host_path(decoder, node, *text)) out = std::move(*path);
}
Node AbsoluteHostPath::encode(const std::string& value) { return HostPath::encode(value); }
Node AbsoluteHostPath::schema() { return pattern_schema("^/|\\$\\{"); }
std::string AbsoluteHostPath::describe() { return "an absolute path on the host"; }

void NamespaceForm::decode(Decoder& decoder, const Node& node, Namespace& out) {
    out.mode.at = node.at;
    if (!node.is_map()) return Enum<NamespaceMode>::decode(decoder, node, out.mode.value);
    const bool empty = std::ranges::none_of(node.entries, [](const Node::Entry& entry) { return !entry.value.is_null(); });
    if (empty) return decoder.wrong_type(node, describe());
    out.mode.value = NamespaceMode::path;
    decode_fields(decoder, node, &out, fields_of<Namespace>());
}
Node NamespaceForm::encode(const Namespace& value) {
    if (*value.mode == NamespaceMode::path) return encode_fields(&value, fields_of<Namespace>());
    return Enum<NamespaceMode>::encode(*value.mode);
}
Node NamespaceForm::schema() { return any_of({word_schema(Words<NamespaceMode>::words), schema_fields(fields_of<Namespace>())}); }
std::string NamespaceForm::describe() { return "private, host or {path: FILE}"; }

// ---- ids

namespace {

std::optional<IdRange> parse_range(std::string_view text) {
    const auto parts = split(text, ':');
    if (parts.size() != 3) return std::nullopt;
    const auto inside = parse_id(parts[0]), outside = parse_id(parts[1]), count = parse_id(parts[2]);
    if (!inside || !outside || !count) return std::nullopt;
    return IdRange{*inside, *outside, *count};
}

}  // namespace

void IdRangeForm::decode(Decoder& decoder, const Node& node, IdRange& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    const auto range = parse_range(*text);
    if (!range)
        return decoder.error("E0308", node, cat(quote(text->substr(0, 80)), " is not INSIDE:OUTSIDE:COUNT"),
                             "three whole numbers from 0 to 4294967294, such as \"0:100000:65536\"");
    if (range->count == 0) return decoder.error("E0308", node, "a range of no ids", "the count is at least 1");
    constexpr std::uint64_t end = std::numeric_limits<std::uint32_t>::max();  // (uid_t)-1 is no id
    if (std::uint64_t{range->inside} + range->count > end || std::uint64_t{range->outside} + range->count > end)
        return decoder.error("E0308", node, "the range goes beyond the last id, 4294967294", "take a smaller count");
    out = *range;
}
Node IdRangeForm::encode(const IdRange& value) { return text_node(cat(value.inside, ":", value.outside, ":", value.count)); }
Node IdRangeForm::schema() { return pattern_schema("^[0-9]+:[0-9]+:[0-9]+$|\\$\\{"); }
std::string IdRangeForm::describe() { return "text INSIDE:OUTSIDE:COUNT, such as \"0:100000:65536\""; }

void IdMapForm::decode(Decoder& decoder, const Node& node, IdMap& out) {
    out.mode.at = node.at;
    if (!node.is_map()) return Enum<IdMapMode>::decode(decoder, node, out.mode.value);
    out.mode.value = IdMapMode::ranges;
    decode_fields(decoder, node, &out, fields_of<IdMap>());
}
Node IdMapForm::encode(const IdMap& value) {
    if (*value.mode == IdMapMode::ranges) return encode_fields(&value, fields_of<IdMap>());
    return Enum<IdMapMode>::encode(*value.mode);
}
Node IdMapForm::schema() { return any_of({word_schema(Words<IdMapMode>::words), schema_fields(fields_of<IdMap>())}); }
std::string IdMapForm::describe() { return "auto, caller, host, or {uid: [...], gid: [...]}"; }

// ---- capabilities

void CapabilityNumber::decode(Decoder& decoder, const Node& node, int& out) {
    out = -1;
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    if (const auto number = capability_number(*text)) {
        out = *number;
        return;
    }
    std::string_view word = *text;
    if (lower(word).starts_with("cap_")) word.remove_prefix(4);
    const auto near = nearest(word, capability_names());
    decoder.error("E0309", node, cat(quote(text->substr(0, 60)), " is not a capability"),
                  lower(word) == "all" ? "use 'base: all' or 'drop: [all]'"
                  : near               ? cat("did you mean ", quote(*near), "?")
                                       : "capabilities(7) has the names");
}
Node CapabilityNumber::encode(const int& value) {
    const auto names = capability_names();
    if (value < 0 || static_cast<std::size_t>(value) >= names.size()) return null_node();
    return text_node(std::string(names[static_cast<std::size_t>(value)]));
}
Node CapabilityNumber::schema() { return type_schema("string"); }
std::string CapabilityNumber::describe() { return "the name of a capability"; }

void CapabilityDrop::decode(Decoder& decoder, const Node& node, Capabilities& out) {
    if (!node.is_sequence()) return decoder.wrong_type(node, describe(), "write the names between brackets");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const Decoder::Inside inside(decoder, i);
        if (node.items[i].is_scalar() && lower(node.items[i].text) == "all")
            out.drop_all = true;
        else
            Located<CapabilityNumber>::decode(decoder, node.items[i], out.drop.emplace_back());
    }
}
Node CapabilityDrop::encode(const Capabilities& value) {
    Node list = List<Located<CapabilityNumber>>::encode(value.drop);
    if (value.drop_all) list.items.insert(list.items.begin(), text_node("all"));
    return list;
}
Node CapabilityDrop::schema() { return list_schema(CapabilityNumber::schema()); }
std::string CapabilityDrop::describe() { return "a list of capabilities, or [all]"; }

void CapabilityAmbient::decode(Decoder& decoder, const Node& node, Capabilities& out) {
    if (node.is_scalar() && node.text == "auto") {
        out.ambient_auto = true;
        return;
    }
    if (!node.is_sequence()) return decoder.wrong_type(node, describe());
    out.ambient_auto = false;
    List<Located<CapabilityNumber>>::decode(decoder, node, out.ambient);
}
Node CapabilityAmbient::encode(const Capabilities& value) {
    return value.ambient_auto ? text_node("auto") : List<Located<CapabilityNumber>>::encode(value.ambient);
}
Node CapabilityAmbient::schema() {
    static constexpr std::string_view words[]{"auto"};
    return any_of({words_schema(words), list_schema(CapabilityNumber::schema())});
}
std::string CapabilityAmbient::describe() { return "auto, or a list of capabilities"; }

// ---- keyring

namespace {
constexpr Word keyring_words[]{{"new", 1}, {"inherit", 0}};
}

void KeyringWord::decode(Decoder& decoder, const Node& node, bool& out) {
    if (const auto value = read_word(decoder, node, keyring_words, {})) out = *value == 1;
}
Node KeyringWord::encode(const bool& value) { return text_node(std::string(name_of(keyring_words, value ? 1 : 0))); }
Node KeyringWord::schema() { return word_schema(keyring_words); }
std::string KeyringWord::describe() { return describe_words(keyring_words); }

// ---- ulimits

namespace {

std::optional<std::uint64_t> parse_limit(std::string_view text, bool bytes) {
    if (text == "infinity" || text == "unlimited" || text == "-1") return rlimit_infinity;
    if (bytes) return parse_size(text);
    const auto number = parse_int(text);
    return number && *number >= 0 ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

std::string format_limit(std::uint64_t value) { return value == rlimit_infinity ? "infinity" : std::to_string(value); }

void decode_limit(Decoder& decoder, const Node& node, const ResourceLimit& known, Ulimit& out) {
    const std::string* text = read_any_text(decoder, node, "a limit such as 1024, \"1024:4096\" or infinity");
    if (!text) return;
    const auto parts = split(*text, ':');
    const auto soft = parse_limit(parts[0], known.bytes);
    const auto hard = parts.size() == 2 ? parse_limit(parts[1], known.bytes) : soft;
    if (parts.size() > 2 || !soft || !hard)
        return decoder.error("E0310", node, cat(quote(text->substr(0, 60)), " is not a limit"),
                             "write one number, \"SOFT:HARD\" or infinity; at most 9223372036854775807");
    if (*soft > *hard)
        return decoder.error("E0310", node, cat("the soft limit ", parts[0], " is above the hard limit ", parts.back()), "write SOFT:HARD");
    out.soft = *soft;
    out.hard = *hard;
}

const ResourceLimit* find_limit(std::string_view name) {
    const auto found = std::ranges::find(resource_limits(), name, &ResourceLimit::name);
    return found == resource_limits().end() ? nullptr : &*found;
}

void refuse_limit(Decoder& decoder, const Node::Entry& entry) {
    std::vector<std::string_view> names;
    for (const ResourceLimit& limit : resource_limits()) names.push_back(limit.name);
    std::string word = lower(entry.key);
    if (word.starts_with("rlimit_")) word.erase(0, 7);
    const auto near = nearest(word, names);
    decoder.error("E0310", entry.at, entry.length, cat(quote(entry.key), " is not a limit"),
                  near ? cat("did you mean ", quote(*near), "?") : "getrlimit(2) has the names; written in lower case without RLIMIT_");
}

}  // namespace

void UlimitMap::decode(Decoder& decoder, const Node& node, std::vector<Ulimit>& out) {
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        const ResourceLimit* known = find_limit(entry.key);
        if (!known) {
            refuse_limit(decoder, entry);
            continue;
        }
        Ulimit limit{known->resource, std::string(known->name), 0, 0, entry.at};
        decode_limit(decoder, entry.value, *known, limit);
        out.push_back(std::move(limit));
    }
}
Node UlimitMap::encode(const std::vector<Ulimit>& value) {
    Node map = map_node();
    for (const Ulimit& limit : value) map.add(limit.name, text_node(cat(format_limit(limit.soft), ":", format_limit(limit.hard))));
    return map;
}
Node UlimitMap::schema() {
    Node properties = map_node();
    for (const ResourceLimit& limit : resource_limits()) properties.add(std::string(limit.name), AnyText::schema());
    Node node = type_schema("object");
    node.add("properties", std::move(properties));
    node.add("additionalProperties", bool_node(false));
    return node;
}
std::string UlimitMap::describe() { return "a map of NAME: LIMIT"; }

// ---- devices

namespace {

void read_access(Decoder& decoder, const Node& node, std::string_view letters, Device& out) {
    const bool valid = !letters.empty() && letters.find_first_not_of("rwm") == std::string_view::npos &&
                       std::ranges::all_of(letters, [&](char c) { return std::ranges::count(letters, c) == 1; });
    if (!valid)
        return decoder.error("E0312", node, cat(quote(letters.substr(0, 60)), " is not an access"), "letters of: r read, w write, m mknod");
    out.read = letters.find('r') != std::string_view::npos;
    out.write = letters.find('w') != std::string_view::npos;
    out.mknod = letters.find('m') != std::string_view::npos;
}

void decode_short_device(Decoder& decoder, const Node& node, Device& out) {
    const auto parts = split(node.text, ':');
    if (parts.size() > 3 || !parts[0].starts_with('/'))
        return decoder.error("E0312", node, cat(quote(node.text.substr(0, 80)), " is not a device"),
                             "write \"/dev/NAME\", \"/dev/NAME:TARGET:rwm\" or the map form");
    out.path.at = out.target.at = node.at;
    if (auto path = read_host_path(decoder, node, parts[0])) out.path.value = std::move(*path);
    if (parts.size() == 2 && !parts[1].starts_with('/')) return read_access(decoder, node, parts[1], out);
    if (parts.size() > 1)
        if (auto path = read_inside_path(decoder, node, parts[1])) out.target.value = std::move(*path);
    if (parts.size() == 3) read_access(decoder, node, parts[2], out);
}

}  // namespace

void DeviceAccess::decode(Decoder& decoder, const Node& node, Device& out) {
    if (const std::string* letters = read_text(decoder, node, describe())) read_access(decoder, node, *letters, out);
}
Node DeviceAccess::encode(const Device& value) {
    return text_node(cat(value.read ? "r" : "", value.write ? "w" : "", value.mknod ? "m" : ""));
}
Node DeviceAccess::schema() { return pattern_schema("^[rwm]{1,3}$|\\$\\{"); }
std::string DeviceAccess::describe() { return "letters of rwm"; }

void DeviceForm::decode(Decoder& decoder, const Node& node, Device& out) {
    if (node.is_map())
        Record<Device>::decode(decoder, node, out);
    else if (read_text(decoder, node, describe()))
        decode_short_device(decoder, node, out);
    if (out.target->empty()) out.target = {*out.path, out.path.at};
}
Node DeviceForm::encode(const Device& value) { return Record<Device>::encode(value); }
Node DeviceForm::schema() { return any_of({pattern_schema("^/|\\$\\{"), Record<Device>::schema()}); }
std::string DeviceForm::describe() { return "a path such as \"/dev/kvm\" or a map"; }

std::string DeviceForm::identity(const Node& node) {
    if (node.is_map()) {
        const Node* path = node.find("path");
        return path && path->is_scalar() ? path->text : std::string();
    }
    return std::string(split(node.text, ':').front());
}

}  // namespace sandbox
