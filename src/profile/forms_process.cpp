// User, environment, standard input, scheduling, signals.
#include <algorithm>
#include <limits>
#include <unordered_set>

#include "base/text.h"
#include "profile/forms.h"
#include "profile/names.h"

namespace sandbox {

// ---- user and groups

namespace {

// A name as useradd makes them (and with capitals and dots, as directories have them), or a number.
bool is_user_or_id(std::string_view text) {
    if (text.empty() || text.size() > 256) return false;
    const bool number = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    if (number) return parse_id(text).has_value();
    if (text.ends_with('$')) text.remove_suffix(1);
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    };
    return !text.empty() && text[0] != '-' && text[0] != '.' && std::ranges::all_of(text, fits);
}

}  // namespace

void UserForm::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_any_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    const auto parts = split(*text, ':');
    if (parts.size() > 2 || !std::ranges::all_of(parts, is_user_or_id))
        decoder.error("E0315", node, cat(quote(text->substr(0, 80)), " is not USER[:GROUP]"),
                      "a name, or a whole number from 0 to 4294967294, for each of the two");
}
Node UserForm::encode(const std::string& value) { return text_node(value); }
Node UserForm::schema() { return AnyText::schema(); }
std::string UserForm::describe() { return "a user: name or id [:group]"; }

void GroupForm::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_any_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    if (!is_user_or_id(*text))
        decoder.error("E0315", node, cat(quote(text->substr(0, 80)), " is not a group"), "a name, or a whole number from 0 to 4294967294");
}
Node GroupForm::encode(const std::string& value) { return text_node(value); }
Node GroupForm::schema() { return AnyText::schema(); }
std::string GroupForm::describe() { return "a group: name or id"; }

void Umask::decode(Decoder& decoder, const Node& node, std::uint32_t& out) {
    std::uint32_t mask = out;
    Mode::decode(decoder, node, mask);
    if (mask > 0777)
        decoder.error("E0305", node, cat(quote(node.text.substr(0, 60)), " is no umask"),
                      "it has at most three octal digits, such as \"0022\"");
    else
        out = mask;
}
Node Umask::encode(const std::uint32_t& value) { return Mode::encode(value); }
Node Umask::schema() { return Mode::schema(); }
std::string Umask::describe() { return "an octal mask such as \"0022\""; }

// ---- environment

namespace {

// Of several of one name the last counts, where it stands.
template <class Entry>
void keep_last(std::vector<Entry>& entries, std::string Entry::*name) {
    std::unordered_set<std::string_view> seen;
    std::vector<Entry> kept;
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry)
        if (seen.insert((*entry).*name).second) kept.push_back(*entry);
    std::ranges::reverse(kept);
    entries = std::move(kept);
}

bool check_name(Decoder& decoder, Position at, std::uint32_t length, std::string_view name) {
    if (!name.empty() && name.find('=') == std::string_view::npos) return true;
    decoder.error("E0313", at, length, cat(quote(name.substr(0, 80)), " cannot be the name of an environment variable"),
                  "a name is not empty and has no '=' in it");
    return false;
}

void decode_variable(Decoder& decoder, const Node& node, Environment& out) {
    const std::string* text = read_text(decoder, node, "text NAME=VALUE or NAME");
    if (!text) return;
    const auto equals = text->find('=');
    std::string name = text->substr(0, equals);
    if (!check_name(decoder, node.at, node.length, name)) return;
    out.entries.push_back(
        {std::move(name), equals == std::string::npos ? std::nullopt : std::optional(Text(text->substr(equals + 1), node.at))});
}

// The list form as a map, so that the two merge.
void list_to_map(Node& node) {
    if (!node.is_sequence()) return;
    Node map = map_node();
    map.at = node.at;
    for (Node& item : node.items) {
        if (!item.is_scalar()) return;
        const auto equals = item.text.find('=');
        const std::string name = item.text.substr(0, equals);
        Node value = item;
        value.plain = false;
        if (equals == std::string::npos)
            value.kind = NodeKind::null;
        else
            value.text.erase(0, equals + 1);
        map.entries.push_back({name, item.at, item.length, std::move(value)});
    }
    keep_last(map.entries, &Node::Entry::key);
    node = std::move(map);
}

}  // namespace

void EnvironmentForm::decode(Decoder& decoder, const Node& node, Environment& out) {
    if (node.is_sequence()) {
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            const Decoder::Inside inside(decoder, i);
            decode_variable(decoder, node.items[i], out);
        }
        keep_last(out.entries, &EnvironmentEntry::name);
        return;
    }
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        if (!check_name(decoder, entry.at, entry.length, entry.key)) continue;
        std::optional<Text> value;
        if (!entry.value.is_null()) Located<AnyText>::decode(decoder, entry.value, value.emplace());
        out.entries.push_back({entry.key, std::move(value)});
    }
}
Node EnvironmentForm::encode(const Environment& value) {
    Node map = map_node();
    for (const EnvironmentEntry& entry : value.entries) map.add(entry.name, entry.value ? text_node(**entry.value) : null_node());
    return map;
}
Node EnvironmentForm::schema() {
    Node null = type_schema("null");
    return any_of({map_schema(any_of({AnyText::schema(), std::move(null)})), list_schema(type_schema("string"))});
}
std::string EnvironmentForm::describe() { return "a map of NAME: VALUE, or a list of NAME=VALUE"; }
Shape EnvironmentForm::shape() { return {Shape::map, nullptr, nullptr, list_to_map}; }

void InheritGlobs::decode(Decoder& decoder, const Node& node, Environment& out) {
    List<Located<String>>::decode(decoder, node, out.inherit);
    for (const Text& glob : out.inherit)
        if (glob->empty() || glob->find('=') != std::string::npos)
            decoder.error("E0313", glob.at, 1, cat(quote(glob->substr(0, 80)), " cannot match a name"),
                          "write a name or a pattern such as LC_*");
}
Node InheritGlobs::encode(const Environment& value) { return List<Located<String>>::encode(value.inherit); }
Node InheritGlobs::schema() { return list_schema(type_schema("string")); }
std::string InheritGlobs::describe() { return "a list of patterns such as LC_*"; }

// ---- standard input, terminal

void StdinForm::decode(Decoder& decoder, const Node& node, Process& out) {
    out.stdin_mode.at = node.at;
    if (node.is_null()) {
        out.stdin_mode.value = StdinMode::null;
        return;
    }
    static constexpr Word words[]{{"auto", static_cast<int>(StdinMode::automatic)},
                                  {"null", static_cast<int>(StdinMode::null)},
                                  {"pipe", static_cast<int>(StdinMode::pipe)}};
    if (node.is_scalar())
        for (const Word& word : words)
            if (word.name == node.text) {
                out.stdin_mode.value = static_cast<StdinMode>(word.value);
                return;
            }
    out.stdin_mode.value = StdinMode::file;
    Located<HostPath>::decode(decoder, node, out.stdin_file);
}
Node StdinForm::encode(const Process& value) {
    switch (*value.stdin_mode) {
        case StdinMode::automatic: return text_node("auto");
        case StdinMode::null: return text_node("null");
        case StdinMode::pipe: return text_node("pipe");
        case StdinMode::file: break;
    }
    return text_node(*value.stdin_file);
}
Node StdinForm::schema() { return any_of({type_schema("string"), type_schema("null")}); }
std::string StdinForm::describe() { return "auto, null, pipe or a file of the host"; }

void TtyForm::decode(Decoder& decoder, const Node& node, Switch& out) {
    if (node.is_scalar() && node.text == "auto") {
        out = Switch::automatic;
        return;
    }
    if (const auto value = read_boolean(decoder, node)) out = *value ? Switch::on : Switch::off;
}
Node TtyForm::encode(const Switch& value) { return value == Switch::automatic ? text_node("auto") : bool_node(value == Switch::on); }
Node TtyForm::schema() {
    static constexpr std::string_view words[]{"auto"};
    return any_of({words_schema(words), type_schema("boolean")});
}
std::string TtyForm::describe() { return "auto, true or false"; }

// ---- scheduling

namespace {

bool is_realtime(SchedulerPolicy policy) { return policy == SchedulerPolicy::fifo || policy == SchedulerPolicy::rr; }

}  // namespace

void SchedulerForm::decode(Decoder& decoder, const Node& node, Process& out) {
    if (node.is_map()) return decode_fields(decoder, node, &out, scheduler_fields());
    Nullable<Located<Enum<SchedulerPolicy>>>::decode(decoder, node, out.scheduler);
}
Node SchedulerForm::encode(const Process& value) {
    if (!value.scheduler) return null_node();
    if (is_realtime(**value.scheduler) || value.scheduler_priority != 0) return encode_fields(&value, scheduler_fields());
    return Enum<SchedulerPolicy>::encode(**value.scheduler);
}
Node SchedulerForm::schema() { return any_of({word_schema(Words<SchedulerPolicy>::words), schema_fields(scheduler_fields())}); }
std::string SchedulerForm::describe() { return "a policy, or {policy, priority}"; }

void IoPriorityForm::decode(Decoder& decoder, const Node& node, Process& out) {
    if (node.is_map()) return decode_fields(decoder, node, &out, io_priority_fields());
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    const auto colon = text->find(':');
    Node word = node;
    word.text = text->substr(0, colon);
    Nullable<Located<Enum<IoClass>>>::decode(decoder, word, out.io_class);
    if (colon == std::string::npos) return;
    const auto level = parse_id(std::string_view(*text).substr(colon + 1));
    if (level && *level <= 7)
        out.io_level = *level;
    else
        decoder.error("E0302", node, cat(quote(text->substr(colon + 1, 60)), " is not a level"), "allowed: 0 (first) to 7");
}
Node IoPriorityForm::encode(const Process& value) {
    if (!value.io_class) return null_node();
    return text_node(cat(name_of(Words<IoClass>::words, static_cast<int>(**value.io_class)), ":", value.io_level));
}
Node IoPriorityForm::schema() {
    return any_of({pattern_schema("^(none|realtime|best-effort|idle)(:[0-7])?$|\\$\\{"), schema_fields(io_priority_fields())});
}
std::string IoPriorityForm::describe() { return "CLASS:LEVEL such as best-effort:4, or {class, level}"; }

namespace {

constexpr std::uint32_t last_cpu = 8191;  // CONFIG_NR_CPUS is at most 8192

// "3" or "0-3" onto the list; false if it is neither.
bool add_cpus(std::string_view text, std::vector<std::uint32_t>& out) {
    const auto dash = text.find('-');
    const auto first = parse_id(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_id(text.substr(dash + 1));
    if (!first || !last || *last > last_cpu || *first > *last) return false;
    for (std::uint32_t cpu = *first; cpu <= *last; ++cpu)
        if (std::ranges::find(out, cpu) == out.end()) out.push_back(cpu);
    return true;
}

void refuse_cpus(Decoder& decoder, const Node& node, std::string_view text) {
    decoder.error("E0319", node, cat(quote(text.substr(0, 60)), " is not a list of processors"),
                  cat("write numbers from 0 to ", last_cpu, " such as [0, 2], or text such as 0-3,5"));
}

}  // namespace

void CpuList::decode(Decoder& decoder, const Node& node, Process& out) {
    out.cpu_affinity.clear();
    out.cpu_affinity_at = node.at;
    if (node.is_scalar()) {
        for (const std::string_view part : split(node.text, ','))
            if (!add_cpus(trim(part), out.cpu_affinity)) return refuse_cpus(decoder, node, node.text);
        return;
    }
    if (!node.is_sequence()) return decoder.wrong_type(node, describe());
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const Decoder::Inside inside(decoder, i);
        const std::string* text = read_any_text(decoder, node.items[i], "the number of a processor");
        if (text && !add_cpus(*text, out.cpu_affinity)) refuse_cpus(decoder, node.items[i], *text);
    }
}
Node CpuList::encode(const Process& value) {
    Node list = list_node();
    for (const std::uint32_t cpu : value.cpu_affinity) list.items.push_back(number_node(cpu));
    return list;
}
Node CpuList::schema() {
    const Node number = integer_schema(0, last_cpu), ranges = pattern_schema("^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$|\\$\\{");
    return any_of({list_schema(any_of({number, ranges})), number, ranges});
}
std::string CpuList::describe() { return "a list of processors, or text such as 0-3,5"; }

// ---- personality, signals

void PersonalityName::decode(Decoder& decoder, const Node& node, std::string& out) {
    const std::string* text = read_text(decoder, node, describe());
    if (!text) return;
    out = *text;
    if (!personality_number(*text))
        decoder.error("E0322", node, cat(quote(text->substr(0, 60)), " is not a personality"), cat("allowed: ", describe()));
}
Node PersonalityName::encode(const std::string& value) { return text_node(value); }
Node PersonalityName::schema() {
    std::vector<std::string_view> names;
    for (const Personality& personality : personalities()) names.push_back(personality.name);
    return words_schema(names);
}
std::string PersonalityName::describe() {
    std::string out;
    for (const Personality& personality : personalities()) out += cat(out.empty() ? "" : ", ", personality.name);
    return out;
}

void SignalForm::decode(Decoder& decoder, const Node& node, int& out) {
    const std::string* text = read_any_text(decoder, node, describe());
    if (!text) return;
    if (const auto number = signal_number(*text)) {
        out = *number;
        return;
    }
    std::string_view word = *text;
    if (lower(word).starts_with("sig")) word.remove_prefix(3);
    const auto near = nearest(word, signal_names());
    decoder.error("E0317", node, cat(quote(text->substr(0, 60)), " is not a signal"),
                  near ? cat("did you mean ", quote(*near), "?") : "write a name such as TERM, RTMIN+3, or a number from 1 to 64");
}
Node SignalForm::encode(const int& value) { return text_node(std::string(signal_name(value))); }
Node SignalForm::schema() { return AnyText::schema(); }
std::string SignalForm::describe() { return "a signal, by name or number"; }

}  // namespace sandbox
