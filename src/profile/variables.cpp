#include "profile/variables.h"

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "base/text.h"
#include "profile/decoder.h"
#include "profile/language.h"

namespace sandbox {
namespace {

constexpr std::size_t total_limit = 4 << 20;  // bytes that all expansions together may make
constexpr int nesting_limit = 8;              // ${A:-${B:-...}}
constexpr std::size_t chain_limit = 32;       // A: ${B}, B: ${C}, ...

// The end of "${...": the index of its '}', with nested ones skipped.
std::optional<std::size_t> closing_brace(std::string_view text, std::size_t from) {
    int depth = 0;
    for (std::size_t i = from; i < text.size(); ++i) {
        if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') {
            ++depth;
            ++i;
        } else if (text[i] == '}') {
            if (depth == 0) return i;
            --depth;
        }
    }
    return std::nullopt;
}

bool is_name(std::string_view text) {
    if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
    return std::ranges::all_of(
        text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; });
}

class Expander {
   public:
    Expander(Node& root, const VariableScope& scope, const Sources& sources, Diagnostics& out)
        : root_(root), scope_(scope), sources_(sources), decoder_(out, scope.directories) {}

    void run() {
        values_ = scope_.built_in;
        values_["PROFILE_DIR"];
        define_name();
        define_vars();
        expand_entries(root_, {Shape::record, fields_of<Profile>}, {"vars", "matrix"});
    }

   private:
    Node& root_;
    const VariableScope& scope_;
    const Sources& sources_;
    Decoder decoder_;
    std::map<std::string, std::string> values_;
    std::map<std::string, Node*> pending_;  // defined in the profile, not looked at yet
    std::set<std::string> open_;            // being expanded
    std::set<std::string> failed_;          // complained about already
    std::size_t total_ = 0;
    bool too_much_ = false;

    void define_name() {
        Node* name = root_.find("name");
        if (!scope_.name.empty())
            values_["NAME"] = scope_.name;
        else if (name && name->is_scalar())
            pending_["NAME"] = name;
        else
            values_["NAME"] = scope_.stem;
    }

    void define_vars() {
        Node* vars = root_.find("vars");
        if (!vars || !vars->is_map()) return;
        const Decoder::Inside inside(decoder_, "vars");
        for (Node::Entry& entry : vars->entries) {
            const Decoder::Inside deeper(decoder_, entry.key);
            if (values_.contains(entry.key) || pending_.contains(entry.key))
                decoder_.error("E0125", entry.at, entry.length, cat(quote(entry.key), " is built in"), "choose another name");
            else if (entry.value.is_scalar())
                pending_[entry.key] = &entry.value;
        }
        for (Node::Entry& entry : vars->entries) {
            const Decoder::Inside deeper(decoder_, entry.key);
            resolve(entry.key);
        }
    }

    // Expands a variable of the profile in its own place, once.
    void resolve(const std::string& name) {
        const auto found = pending_.find(name);
        if (found == pending_.end()) return;
        Node* node = found->second;
        pending_.erase(found);
        open_.insert(name);
        if (expand(*node))
            values_[name] = node->text;
        else
            failed_.insert(name);
        open_.erase(name);
    }

    // Where `needle` stands in the source at or after a place; the place itself when it is not found.
    Position find_in_source(Position at, std::string_view needle) const {
        const std::string_view text = sources_.text(at.source);
        std::size_t begin = 0;
        for (std::uint32_t line = 1; line < at.line; ++line) {
            begin = text.find('\n', begin);
            if (begin == std::string_view::npos) return at;
            ++begin;
        }
        if (begin + at.column > text.size()) return at;
        const auto found = text.find(needle, begin + at.column - 1);
        if (found == std::string_view::npos) return at;
        const std::string_view between = text.substr(begin, found - begin);
        const auto lines = static_cast<std::uint32_t>(std::ranges::count(between, '\n'));
        const auto last = between.rfind('\n');
        const std::size_t column = last == std::string_view::npos ? between.size() : between.size() - last - 1;
        return {at.source, at.line + lines, static_cast<std::uint32_t>(column + 1)};
    }

    void complain(std::string_view code, Position at, std::string_view needle, std::string message, std::string hint) {
        const auto length = static_cast<std::uint32_t>(std::clamp<std::size_t>(needle.size(), 1, 80));
        decoder_.error(code, find_in_source(at, needle), length, std::move(message), std::move(hint));
    }

    // The value of a variable, or nothing after a complaint (or after one that was made before).
    std::optional<std::string> look_up(const std::string& name, Position at) {
        if (name == "PROFILE_DIR") return scope_.directories.of(at);
        if (open_.contains(name)) {
            complain("E0123", at, cat("${", name), cat("the variable ", quote(name), " contains itself"), "give it a value of its own");
            return std::nullopt;
        }
        if (pending_.contains(name) && open_.size() >= chain_limit) {
            complain("E0124", at, cat("${", name), "variables that need one another, too many in a row", cat("at most ", chain_limit));
            return std::nullopt;
        }
        resolve(name);
        const auto found = values_.find(name);
        if (found == values_.end()) return std::nullopt;
        return found->second;
    }

    bool knows(const std::string& name) const {
        return values_.contains(name) || pending_.contains(name) || open_.contains(name) || failed_.contains(name);
    }

    void refuse_unknown(const std::string& name, Position at) {
        std::vector<std::string_view> names;
        for (const auto& [known, value] : values_) names.push_back(known);
        const auto near = nearest(name, names);
        complain("E0120", at, cat("${", name), cat("unknown variable ", quote(name)),
                 is_axis(name)
                     ? cat("it is an axis of the matrix, with a value in its cells alone: declare it under 'vars' too, or write ${", name,
                           ":-default}")
                 : near ? cat("did you mean ", quote(*near), "?")
                        : cat("declare it under 'vars', write ${", name, ":-default}, or $$ for a dollar"));
    }

    bool is_axis(const std::string& name) const {
        const Node* matrix = root_.find("matrix");
        return matrix && matrix->is_map() && matrix->find(name);
    }

    // The inside of ${...}.
    std::optional<std::string> expand_reference(std::string_view inside, Position at, int depth) {
        const auto colon = inside.find(":-");
        const std::string name(inside.substr(0, colon));
        if (!is_name(name)) {
            complain("E0122", at, cat("${", inside.substr(0, 40), inside.size() < 40 ? "}" : ""),
                     cat(quote(cat("${", inside.substr(0, 40), "}")), " is not a variable"),
                     "write ${NAME} or ${NAME:-default}; $${ stands for ${");
            return std::nullopt;
        }
        if (!knows(name) && colon == std::string_view::npos) {
            refuse_unknown(name, at);
            return std::nullopt;
        }
        if (knows(name)) {
            auto value = look_up(name, at);
            if (!value || !value->empty() || colon == std::string_view::npos) return value;
        }
        return expand_text(inside.substr(colon + 2), at, depth + 1);
    }

    std::optional<std::string> expand_text(std::string_view text, Position at, int depth) {
        if (depth > nesting_limit) {
            complain("E0124", at, "${", "variables nested too deep", cat("at most ", nesting_limit, " levels"));
            return std::nullopt;
        }
        std::string out;
        bool good = true;
        for (std::size_t i = 0; i < text.size();) {
            const auto dollar = std::min(text.find('$', i), text.size());
            out += text.substr(i, dollar - i);
            i = dollar;
            if (i == text.size()) break;
            const char next = i + 1 < text.size() ? text[i + 1] : ' ';
            if (next != '{') {
                out += '$';
                i += next == '$' ? 2 : 1;
                continue;
            }
            const auto end = closing_brace(text, i + 2);
            if (!end) {
                complain("E0121", at, text.substr(i, 20), "'${' without its '}'", "close it, or write $${ for a plain ${");
                return std::nullopt;
            }
            if (auto value = expand_reference(text.substr(i + 2, *end - i - 2), at, depth))
                out += *value;
            else
                good = false;
            i = *end + 1;
            if (!spend(out.size(), at)) return std::nullopt;
        }
        return good ? std::optional(std::move(out)) : std::nullopt;
    }

    bool spend(std::size_t bytes, Position at) {
        if (bytes <= total_limit && total_ <= total_limit) return true;
        if (!too_much_)
            complain("E0124", at, "${", cat("variables make more than ", total_limit >> 20, " MiB of text"), "this looks like a bomb");
        too_much_ = true;
        return false;
    }

    // False after a complaint; the node then has no text that means anything.
    bool expand(Node& node) {
        if (too_much_) return false;
        if (node.literal || node.text.find('$') == std::string::npos) return true;
        auto text = expand_text(node.text, node.at, 0);
        if (!text) {
            node.failed = true;
            return false;
        }
        total_ += text->size();
        if (!spend(0, node.at)) return false;
        node.substituted = *text != node.text && node.text.find("${") != std::string::npos;
        node.plain = false;
        node.text = std::move(*text);
        return true;
    }

    void expand_key(Node::Entry& entry) {
        if (entry.key.find('$') == std::string::npos) return;
        if (auto key = expand_text(entry.key, entry.at, 0)) entry.key = std::move(*key);
    }

    // Keys that were different may have become the same.
    void check_keys(const Node& map) {
        std::set<std::string_view> seen;
        for (const Node::Entry& entry : map.entries)
            if (!seen.insert(entry.key).second)
                decoder_.error("E0108", entry.at, entry.length, cat("duplicate key ", quote(entry.key), " after variables are put in"),
                               "keep one of the two");
    }

    // A user's own keys (`x-`) are left alone; in a free map every key is the user's. So are patches of the matrix, whose variables get
    // their values in a cell.
    void expand_entries(Node& map, const Shape& shape, std::initializer_list<std::string_view> except) {
        bool keys = false;
        for (Node::Entry& entry : map.entries) {
            if (std::ranges::find(except, entry.key) != except.end() || (entry.key.starts_with("x-") && shape.kind != Shape::map)) continue;
            keys |= entry.key.find('$') != std::string::npos;
            expand_key(entry);
            const Decoder::Inside inside(decoder_, entry.key);
            walk(entry.value, shape_below(shape, entry.key));
        }
        if (keys) check_keys(map);
    }

    static Shape shape_below(const Shape& shape, std::string_view key) {
        if (shape.kind != Shape::record) return item_shape(shape);
        const Field* field = find_field(shape.fields(), key);
        return field && field->shape ? field->shape() : Shape{};
    }

    void walk(Node& node, const Shape& shape) {
        if (node.is_scalar() && !is_done(node)) expand(node);
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            const Decoder::Inside inside(decoder_, i);
            walk(node.items[i], item_shape(shape));
        }
        expand_entries(node, shape, {});
    }

    // `name` was expanded when somebody asked for NAME.
    bool is_done(const Node& node) const { return scope_.name.empty() && &node == root_.find("name") && !pending_.contains("NAME"); }
};

}  // namespace

void expand_variables(Node& root, const VariableScope& scope, const Sources& sources, Diagnostics& out) {
    Expander(root, scope, sources, out).run();
}

}  // namespace sandbox
