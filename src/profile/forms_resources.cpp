// Quantities that may be infinite, processors, control groups.
#include <algorithm>

#include "base/text.h"
#include "profile/forms.h"

namespace sandbox {
namespace {

constexpr std::string_view infinity = "infinity";

const std::string* read_limit(Decoder& decoder, const Node& node, std::string_view wanted) { return read_any_text(decoder, node, wanted); }

Node limit_node(std::uint64_t value, bool size) {
    if (value == no_limit) return text_node(std::string(infinity));
    return size ? Bytes::encode(value) : number_node(static_cast<std::int64_t>(value));
}

bool in_words(std::string_view text, char separator, bool (*fits)(std::string_view)) {
    return std::ranges::all_of(split(text, separator), fits);
}

bool is_processor_range(std::string_view text) {
    const auto dash = text.find('-');
    const auto first = parse_id(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_id(text.substr(dash + 1));
    return first && last && *first <= *last && *last <= 8191;  // CONFIG_NR_CPUS is at most 8192
}

}  // namespace

// ---- quantities

void BytesOrInfinity::decode(Decoder& decoder, const Node& node, std::uint64_t& out) {
    const std::string* text = read_limit(decoder, node, describe());
    if (!text) return;
    if (*text == infinity)
        out = no_limit;
    else
        Bytes::decode(decoder, node, out);
}
Node BytesOrInfinity::encode(const std::uint64_t& value) { return limit_node(value, true); }
Node BytesOrInfinity::schema() { return any_of({Bytes::schema(), words_schema(std::span(&infinity, 1))}); }
std::string BytesOrInfinity::describe() { return "a size such as 64Mi, or infinity"; }

void CountOrInfinity::decode(Decoder& decoder, const Node& node, std::uint64_t& out) {
    if (node.is_scalar() && node.text == infinity) {
        out = no_limit;
        return;
    }
    if (const auto number = read_integer(decoder, node, 1, 4194304)) out = static_cast<std::uint64_t>(*number);
}
Node CountOrInfinity::encode(const std::uint64_t& value) { return limit_node(value, false); }
Node CountOrInfinity::schema() { return any_of({integer_schema(1, 4194304), words_schema(std::span(&infinity, 1))}); }
std::string CountOrInfinity::describe() { return "a whole number, or infinity"; }

void RateForm::decode(Decoder& decoder, const Node& node, std::uint64_t& out) {
    out = no_limit;  // what is no rate at all has its message, and is no rate of 0
    BytesOrInfinity::decode(decoder, node, out);
    if (out == 0)  // however it is written: 0, 00, 0Mi
        decoder.error("E0303", node, "a rate of 0 would stop every access for good", "give a rate, or leave the key out");
}
Node RateForm::encode(const std::uint64_t& value) { return limit_node(value, true); }
Node RateForm::schema() { return BytesOrInfinity::schema(); }
std::string RateForm::describe() { return "so many a second, such as 20Mi or 2000, or infinity"; }

// ---- processors

namespace {

// Millionths of a core, exactly: "1.5", "0.000001", "500m".
std::optional<std::uint64_t> parse_cores(std::string_view text) {
    std::uint64_t unit = one_core;
    if (text.ends_with('m')) {
        text.remove_suffix(1);
        unit = one_core / 1000;
    }
    const auto point = text.find('.');
    const auto whole = parse_id(text.substr(0, point));
    if (!whole || *whole > 8192 * (one_core / unit)) return std::nullopt;
    std::uint64_t out = *whole * unit;
    if (point == std::string_view::npos) return out;
    std::string_view digits = text.substr(point + 1);
    if (digits.empty()) return std::nullopt;
    for (std::uint64_t place = unit / 10; !digits.empty(); digits.remove_prefix(1), place /= 10) {
        if (digits[0] < '0' || digits[0] > '9' || (place == 0 && digits[0] != '0')) return std::nullopt;
        out += static_cast<std::uint64_t>(digits[0] - '0') * place;
    }
    return out;
}

std::string format_cores(std::uint64_t millionths) {
    std::string text = std::to_string(millionths / one_core), rest = std::to_string(millionths % one_core + one_core).substr(1);
    rest.resize(rest.find_last_not_of('0') + 1);
    return rest.empty() ? text : cat(text, ".", rest);
}

}  // namespace

void Cores::decode(Decoder& decoder, const Node& node, std::uint64_t& out) {
    const std::string* text = read_limit(decoder, node, describe());
    if (!text) return;
    if (*text == infinity) {
        out = no_limit;
        return;
    }
    const auto cores = parse_cores(*text);
    if (cores && *cores >= one_core / 1000)
        out = *cores;
    else
        decoder.error("E0324", node, cat(quote(text->substr(0, 60)), " is not an amount of processors"),
                      "write cores such as 0.2, 1.5 or 500m, from 0.001 to 8192, or infinity");
}
Node Cores::encode(const std::uint64_t& value) {
    return value == no_limit ? text_node(std::string(infinity)) : word_node(format_cores(value));
}
Node Cores::schema() {
    Node number = type_schema("number");
    number.add("minimum", word_node("0.001"));
    return any_of({std::move(number), pattern_schema("^[0-9]+(\\.[0-9]+)?m?$|^infinity$|\\$\\{")});
}
std::string Cores::describe() { return "processors such as 0.2, 1.5 or 500m, or infinity"; }

void CpuSetText::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_limit(decoder, node, describe());
    if (!text) return;
    out = *text;
    if (!in_words(*text, ',', is_processor_range))
        decoder.error("E0319", node, cat(quote(text->substr(0, 60)), " is not a set of numbers"), "write text such as 0-3,5");
}
Node CpuSetText::encode(const std::string& value) { return text_node(value); }
Node CpuSetText::schema() { return any_of({integer_schema(0, 8191), pattern_schema("^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$|\\$\\{")}); }
std::string CpuSetText::describe() { return "numbers such as 0-3,5"; }

// ---- network classes

namespace {

std::optional<std::uint32_t> parse_hex(std::string_view text, std::size_t most) {
    if (text.empty() || text.size() > most) return std::nullopt;
    std::uint32_t out = 0;
    for (const char c : text) {
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return std::nullopt;
        out = out << 4 | static_cast<std::uint32_t>(digit);
    }
    return out;
}

std::optional<std::uint32_t> parse_classid(std::string_view text) {
    if (text.starts_with("0x")) return parse_hex(text.substr(2), 8);
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return parse_id(text);
    const auto major = parse_hex(text.substr(0, colon), 4), minor = parse_hex(text.substr(colon + 1), 4);
    if (!major || !minor) return std::nullopt;
    return *major << 16 | *minor;
}

}  // namespace

void ClassId::decode(Decoder& decoder, const Node& node, std::uint32_t& out) {
    const std::string* text = read_limit(decoder, node, describe());
    if (!text) return;
    if (const auto id = parse_classid(*text))
        out = *id;
    else
        decoder.error("E0325", node, cat(quote(text->substr(0, 60)), " is not a class"),
                      "write a number such as 0x100001, or \"10:1\" (hexadecimal, as tc(8) has them)");
}
Node ClassId::encode(const std::uint32_t& value) { return number_node(value); }
Node ClassId::schema() { return any_of({integer_schema(0, 4294967295), type_schema("string")}); }
std::string ClassId::describe() { return "a class such as 0x100001 or \"10:1\""; }

// ---- huge pages

namespace {

// As the kernel writes page sizes into file names: 64KB, 2MB, 1GB.
bool is_page_size(std::string_view text) {
    if (text.size() < 3 || !(text.ends_with("KB") || text.ends_with("MB") || text.ends_with("GB"))) return false;
    const auto number = parse_id(text.substr(0, text.size() - 2));
    return number && *number > 0 && (*number & (*number - 1)) == 0 && *number < 1024;
}

}  // namespace

void PageLimits::decode(Decoder& decoder, const Node& node, HugePageMap& out) {
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        if (!is_page_size(entry.key)) {
            decoder.error("E0326", entry.at, entry.length, cat(quote(entry.key.substr(0, 60)), " is not a size of huge pages"),
                          "write it as the kernel does: 64KB, 2MB, 1GB");
            continue;
        }
        Located<BytesOrInfinity>::decode(decoder, entry.value, out[entry.key]);
    }
}
Node PageLimits::encode(const HugePageMap& value) {
    Node map = map_node();
    for (const auto& [size, limit] : value) map.add(size, limit_node(*limit, true));
    return map;
}
Node PageLimits::schema() { return map_schema(BytesOrInfinity::schema()); }
std::string PageLimits::describe() { return "a map PAGE SIZE: BYTES"; }

// ---- block devices

void IoDeviceForm::decode(Decoder& decoder, const Node& node, IoDevice& out) { Record<IoDevice>::decode(decoder, node, out); }
Node IoDeviceForm::encode(const IoDevice& value) { return Record<IoDevice>::encode(value); }
Node IoDeviceForm::schema() { return Record<IoDevice>::schema(); }
std::string IoDeviceForm::describe() { return "a map {path, read_bps, write_bps, read_iops, write_iops, weight}"; }
std::string IoDeviceForm::identity(const Node& node) {
    const Node* path = node.find("path");
    return path && path->is_scalar() ? path->text : std::string();
}

// ---- control groups

namespace {

// No part can be mistaken for a file of the kernel's ("memory.max") or for a group of another program's in the same place.
bool is_group_part(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !text.empty() && text.size() <= 63 && letter(text[0]) &&
           std::ranges::all_of(text, [&](char c) { return letter(c) || c == '_' || c == '-'; });
}

bool is_raw_file(std::string_view text) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    };
    const auto dot = text.find('.');
    return dot != std::string_view::npos && dot > 0 && dot + 1 < text.size() && text.size() <= 128 && std::ranges::all_of(text, fits);
}

}  // namespace

void GroupName::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    const auto parts = split(*text, '/');
    if (parts.size() > 4 || !std::ranges::all_of(parts, is_group_part))
        decoder.error("E0327", node, cat(quote(text->substr(0, 80)), " is not the name of a group"),
                      "one to four names joined by '/', each of a-z, 0-9, '_', '-', such as tier/web; it lies in the launcher's own part "
                      "of the tree");
}
Node GroupName::encode(const std::string& value) { return text_node(value); }
Node GroupName::schema() { return pattern_schema("^[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*){0,3}$|\\$\\{"); }
std::string GroupName::describe() { return "the name of a group, such as tier/web"; }

void CgroupParentForm::decode(Decoder& decoder, const Node& node, CgroupParent& out) {
    if (node.is_map()) return Record<CgroupParent>::decode(decoder, node, out);
    out.at = node.at;
    Located<GroupName>::decode(decoder, node, out.name);
}
Node CgroupParentForm::encode(const CgroupParent& value) { return Record<CgroupParent>::encode(value); }
Node CgroupParentForm::schema() { return any_of({GroupName::schema(), Record<CgroupParent>::schema()}); }
std::string CgroupParentForm::describe() { return "the name of a group, or a map {name, memory, cpu, pids}"; }

namespace {

// What moves processes, or what the launcher itself writes.
constexpr std::string_view own_files[] = {"cgroup.procs",           "cgroup.threads", "cgroup.kill",          "cgroup.freeze",
                                          "cgroup.subtree_control", "cgroup.type",    "cgroup.event_control", "cgroup.clone_children",
                                          "freezer.state",          "devices.allow",  "devices.deny"};

}  // namespace

void RawFiles::decode(Decoder& decoder, const Node& node, TextMap& out) {
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        if (!is_raw_file(entry.key))
            decoder.error("E0328", entry.at, entry.length, cat(quote(entry.key.substr(0, 80)), " is not a file of a controller"),
                          "a name such as memory.swappiness, without a folder");
        else if (std::ranges::find(own_files, entry.key) != std::end(own_files) || entry.key.find("release") != std::string::npos)
            decoder.error("E0328", entry.at, entry.length, cat(quote(entry.key), " is written by the launcher alone"),
                          "leave it out; devices, cgroup.delegate and the verbs pause and resume are the ways to it");
        else
            Located<AnyText>::decode(decoder, entry.value, out[entry.key]);
    }
}
Node RawFiles::encode(const TextMap& value) {
    Node map = map_node();
    for (const auto& [file, text] : value) map.add(file, text_node(*text));
    return map;
}
Node RawFiles::schema() { return map_schema(AnyText::schema()); }
std::string RawFiles::describe() { return "a map FILE: VALUE"; }

}  // namespace sandbox
