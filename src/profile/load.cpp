#include "profile/load.h"

#include <algorithm>
#include <tuple>

#include "base/text.h"
#include "profile/checks.h"
#include "profile/complete.h"
#include "profile/compose.h"
#include "profile/language.h"
#include "profile/merge.h"
#include "profile/print.h"
#include "profile/variables.h"

namespace sandbox {
namespace {

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

void replace_command(Node& root, const std::vector<std::string>& command, Sources& sources) {
    if (command.empty()) return;
    const Position at{sources.add("-- ARGV", join(command, " ")), 1, 1};
    Node list = list_node();
    list.at = at;
    for (const std::string& argument : command) {
        list.items.push_back(text_node(argument));
        list.items.back().literal = true;
        list.items.back().at = at;
    }
    Node* process = root.find("process");
    if (!process || process->is_null()) {
        replace_key(root, "process", map_node());
        process = root.find("process");
    }
    if (process->is_map()) replace_key(*process, "command", std::move(list));
}

}  // namespace

void sort_by_position(Diagnostics& diagnostics) {
    std::ranges::stable_sort(diagnostics, [](const Diagnostic& a, const Diagnostic& b) {
        const auto place = [](const Diagnostic& d) { return std::tuple(d.at.source, d.at.line, d.at.column); };
        return place(a) < place(b);
    });
}

Draft read_draft(const LoadRequest& request) {
    Draft draft;
    auto composed = compose(request.profile, request.library, draft.sources, draft.diagnostics);
    if (!composed) return draft;
    draft.root = std::move(composed->root);
    draft.directories = std::move(composed->directories);
    return draft;
}

Loaded finish_draft(Draft draft, const LoadRequest& request) {
    Loaded loaded{std::move(draft.sources), {}, std::move(draft.diagnostics), std::move(draft.root), false};
    Node& root = loaded.tree;
    if (!root.is_map()) {
        sort_by_position(loaded.diagnostics);
        return loaded;
    }
    for (const std::string& word : request.set) apply_set(root, word, loaded.sources, loaded.diagnostics);
    replace_name(root, request, loaded.sources);
    replace_command(root, request.command, loaded.sources);
    expand_variables(root, {request.variables, draft.directories, request.name_override, request.stem}, loaded.sources, loaded.diagnostics);
    Decoder decoder(loaded.diagnostics, draft.directories);
    decode_fields(decoder, root, &loaded.profile, profile_fields());
    complete_profile(loaded.profile);
    loaded.decoded = true;
    Report report(loaded.diagnostics, {0, 1, 1});
    check_profile(loaded.profile, report);
    sort_by_position(loaded.diagnostics);
    return loaded;
}

Loaded load_profile(const LoadRequest& request) { return finish_draft(read_draft(request), request); }

std::string profile_to_yaml(const Profile& profile) { return print_yaml(encode_fields(&profile, profile_fields())); }

}  // namespace sandbox
