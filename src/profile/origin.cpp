#include "profile/origin.h"

#include "base/text.h"
#include "profile/language.h"
#include "profile/print.h"

namespace sandbox {
namespace {

// Gives each node of the effective tree the place of what was written for it. A short spelling is one place for all that it says.
void place(Node& value, const Node* written, Position known) {
    if (written) known = written->at;
    value.at = known;
    for (Node::Entry& entry : value.entries) {
        const Node* own = written && written->is_map() ? written->find(entry.key) : nullptr;
        place(entry.value, own, written && written->is_map() ? Position{} : known);
    }
    const bool alike = written && written->is_sequence() && written->items.size() == value.items.size();
    for (std::size_t i = 0; i < value.items.size(); ++i) place(value.items[i], alike ? &written->items[i] : nullptr, known);
}

Node placed_tree(const Loaded& loaded) {
    Node tree = encode_fields(&loaded.profile, profile_fields());
    place(tree, &loaded.tree, {});
    return tree;
}

std::string item_name(const Node& item, std::size_t index) {
    for (const std::string_view key : {"target", "path"})
        if (const Node* name = item.find(key); name && name->is_scalar()) return name->text;
    return std::to_string(index);
}

void flatten(const Node& node, const std::string& key, const Sources& sources, std::vector<EffectiveValue>& out) {
    const bool deeper = (node.is_map() && !node.entries.empty()) ||
                        (node.is_sequence() && !node.items.empty() && !node.items[0].is_scalar() && !node.items[0].is_null());
    if (!deeper) {
        out.push_back({key, std::string(trim(print_yaml_line(node))), describe_origin(sources, node.at)});
        return;
    }
    for (const Node::Entry& entry : node.entries) flatten(entry.value, key.empty() ? entry.key : cat(key, ".", entry.key), sources, out);
    for (std::size_t i = 0; i < node.items.size(); ++i)
        flatten(node.items[i], cat(key, "[", item_name(node.items[i], i), "]"), sources, out);
}

}  // namespace

std::vector<EffectiveValue> effective_values(const Loaded& loaded) {
    std::vector<EffectiveValue> out;
    flatten(placed_tree(loaded), "", loaded.sources, out);
    return out;
}

std::string describe_origin(const Sources& sources, Position at) {
    if (!at.known()) return "default";
    const std::string_view name = sources.name(at.source);
    return name.starts_with("--") ? std::string(name) : cat(name, ":", at.line);
}

Position written_at(const Loaded& loaded, std::string_view key) {
    const Node* node = &loaded.tree;
    for (const std::string_view part : split(key, '.')) {
        if (!node->is_map()) return node->at;
        const auto bracket = part.find('[');
        node = node->find(part.substr(0, bracket));
        if (!node) return {};
        if (bracket == std::string_view::npos || !node->is_sequence()) continue;
        const auto index = parse_int(part.substr(bracket + 1, part.size() - bracket - 2));
        if (!index || *index < 0 || static_cast<std::size_t>(*index) >= node->items.size()) return node->at;
        node = &node->items[static_cast<std::size_t>(*index)];
    }
    return node->at;
}

std::string profile_with_origins(const Loaded& loaded) {
    return print_yaml(placed_tree(loaded), [&](const Node& node) { return describe_origin(loaded.sources, node.at); });
}

}  // namespace sandbox
