#include "profile/load.h"

#include <algorithm>
#include <tuple>

#include "base/text.h"
#include "profile/checks.h"
#include "profile/complete.h"
#include "profile/language.h"
#include "profile/merge.h"
#include "profile/print.h"
#include "profile/variables.h"
#include "profile/yaml.h"

namespace sandbox {
namespace {

// The tree of the profile's text, as a map; nothing when there is no going on.
std::optional<Node> read_tree(std::uint32_t source, const std::string& text, Diagnostics& out) {
    auto root = parse_yaml(text, {source, 1}, out);
    if (!root) return std::nullopt;
    const Position start{source, 1, 1};
    if (root->is_null()) {
        out.push_back({"E0101", Severity::error, start, "", "the profile is empty", "a profile begins with 'version: 1'", 1});
        return std::nullopt;
    }
    if (!root->is_map()) {
        out.push_back({"E0115", Severity::error, root->at, "", cat("a profile is a map of keys, this is ", describe_found(*root)),
                       "a profile begins with 'version: 1'", root->length});
        return std::nullopt;
    }
    return root;
}

// A value that comes from the command line in place of the profile's.
void replace_key(Node& root, std::string key, Node value) {
    if (Node* present = root.find(key))
        *present = std::move(value);
    else
        root.add(std::move(key), std::move(value));
}

void replace_name(Node& root, const LoadRequest& request, Sources& sources) {
    if (!request.name_override.empty()) {
        Node name = text_node(request.name_override);
        name.at = {sources.add("--name", request.name_override), 1, 1};
        name.length = static_cast<std::uint32_t>(std::min<std::size_t>(request.name_override.size(), 200));
        name.literal = true;
        replace_key(root, "name", std::move(name));
        return;
    }
    const Node* name = root.find("name");
    if (name && !name->is_null()) return;
    Node stem = text_node(request.stem);
    stem.literal = true;
    replace_key(root, "name", std::move(stem));
}

void replace_command(Node& root, const std::vector<std::string>& command) {
    if (command.empty()) return;
    Node list = list_node();
    for (const std::string& argument : command) {
        list.items.push_back(text_node(argument));
        list.items.back().literal = true;
    }
    Node* process = root.find("process");
    if (!process || process->is_null()) {
        replace_key(root, "process", map_node());
        process = root.find("process");
    }
    if (process->is_map()) replace_key(*process, "command", std::move(list));
}

VariableScope variables_of(const LoadRequest& request) {
    VariableScope scope{request.variables, request.name_override, request.stem};
    scope.built_in["PROFILE_DIR"] = request.directory;
    return scope;
}

}  // namespace

void sort_by_position(Diagnostics& diagnostics) {
    std::ranges::stable_sort(diagnostics, [](const Diagnostic& a, const Diagnostic& b) {
        const auto place = [](const Diagnostic& d) { return std::tuple(d.at.source, d.at.line, d.at.column); };
        return place(a) < place(b);
    });
}

Loaded load_profile(const LoadRequest& request) {
    Loaded loaded;
    const std::uint32_t source = loaded.sources.add(request.source_name, request.text);
    auto root = read_tree(source, request.text, loaded.diagnostics);
    if (!root) return loaded;
    for (const std::string& word : request.set) apply_set(*root, word, loaded.sources, loaded.diagnostics);
    replace_name(*root, request, loaded.sources);
    replace_command(*root, request.command);
    expand_variables(*root, variables_of(request), loaded.sources, loaded.diagnostics);
    Decoder decoder(loaded.diagnostics, request.directory);
    decode_fields(decoder, *root, &loaded.profile, profile_fields());
    complete_profile(loaded.profile);
    loaded.decoded = true;
    Report report(loaded.diagnostics, {source, 1, 1});
    check_profile(loaded.profile, report);
    sort_by_position(loaded.diagnostics);
    return loaded;
}

std::string profile_to_yaml(const Profile& profile) { return print_yaml(encode_fields(&profile, profile_fields())); }

}  // namespace sandbox
