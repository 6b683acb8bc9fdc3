#include "profile/matrix.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>

#include "base/text.h"
#include "profile/language.h"
#include "profile/merge.h"

namespace sandbox {
namespace {

constexpr std::size_t longest_name = 57;  // 63, and room for the ".10000" of a repetition
constexpr std::array<std::string_view, 8> built_in{"HOME", "USER", "UID", "GID", "PWD", "RUNTIME_DIR", "PROFILE_DIR", "NAME"};

std::string variable_of(std::string axis) {
    std::ranges::replace(axis, '-', '_');
    return axis;
}

void add(Diagnostics& out, std::string code, Position at, std::string key, std::string message, std::string hint, std::size_t length = 1) {
    out.push_back({std::move(code), Severity::error, at, std::move(key), std::move(message), std::move(hint),
                   static_cast<std::uint32_t>(std::clamp<std::size_t>(length, 1, 80))});
}

// FNV-1a, 32 bits: tells names apart that are too long to be written out.
std::string short_hash(std::string_view text) {
    std::uint32_t hash = 2166136261U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", hash);
    return digits;
}

// What a sandbox may be called: lower case, letters, digits, '_', '.', '-'.
std::string name_part(std::string_view value) {
    std::string out = lower(value);
    for (char& c : out)
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.')) c = '-';
    return out;
}

std::string cell_name(const std::string& profile, const MatrixCell& cell) {
    std::string name = profile;
    for (const auto& [axis, value] : cell.values) name += cat("-", name_part(value));
    // A host name part neither ends in a hyphen nor begins with one.
    while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
    if (name.size() <= longest_name) return name;
    name.resize(longest_name - 9);
    while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
    return cat(name, "-", short_hash(cell_label(cell)));
}

const std::string* value_of(const MatrixCell& cell, std::string_view axis) {
    const auto found = std::ranges::find(cell.values, axis, &std::pair<std::string, std::string>::first);
    return found == cell.values.end() ? nullptr : &found->second;
}

bool has_all(const MatrixCell& cell, const MatrixRule& rule) {
    return std::ranges::all_of(rule.values, [&cell](const auto& wanted) {
        const std::string* value = value_of(cell, wanted.first);
        return value && *value == *wanted.second;
    });
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known, std::string otherwise) {
    const std::vector<std::string_view> views(known.begin(), known.end());
    const auto near = nearest(word, views);
    return near ? cat("did you mean ", quote(*near), "?") : std::move(otherwise);
}

std::vector<std::string> value_names(const MatrixAxis& axis) {
    std::vector<std::string> out;
    for (const MatrixValue& value : axis.values) out.push_back(value.name);
    return out;
}

class Expansion {
   public:
    Expansion(const Matrix& matrix, const std::string& name, Diagnostics& out) : matrix_(matrix), name_(name), out_(out) {}

    std::optional<std::vector<MatrixCell>> run() {
        const auto before = out_.size();
        check_variables();
        check_rules(matrix_.include, "matrix.include", true);
        check_rules(matrix_.exclude, "matrix.exclude", false);
        if (out_.size() > before || !check_size()) return std::nullopt;
        combine();
        exclude();
        include();
        if (cells_.size() > most_cells) return refuse_size(cat(cells_.size())), std::nullopt;
        if (cells_.empty()) {
            add(out_, "E0163", matrix_.at, "matrix", "no cell is left", "exclude takes all of them away, or there is no axis");
            return std::nullopt;
        }
        if (!give_names()) return std::nullopt;
        return std::move(cells_);
    }

   private:
    const Matrix& matrix_;
    const std::string& name_;
    Diagnostics& out_;
    std::vector<MatrixCell> cells_;

    // Each axis is a variable of a cell.
    void check_variables() {
        std::map<std::string, std::string> seen;
        for (const MatrixAxis& axis : matrix_.axes) {
            const std::string variable = variable_of(axis.name);
            if (std::ranges::find(built_in, variable) != built_in.end())
                add(out_, "E0161", axis.at, cat("matrix.", axis.name), cat(quote(axis.name), " is a variable that every profile has"),
                    "an axis is a variable of its cells: choose another name", axis.name.size());
            const auto [other, fresh] = seen.emplace(variable, axis.name);
            if (!fresh)
                add(out_, "E0161", axis.at, cat("matrix.", axis.name),
                    cat(quote(axis.name), " and ", quote(other->second), " are the same variable ", variable), "rename one of the two",
                    axis.name.size());
        }
    }

    void check_rules(const std::vector<MatrixRule>& rules, const std::string& key, bool includes) {
        if (matrix_.axes.empty() && includes) return;
        for (std::size_t i = 0; i < rules.size(); ++i) check_rule(rules[i], cat(key, "[", i, "]"), includes);
    }

    void check_rule(const MatrixRule& rule, const std::string& key, bool includes) {
        std::vector<std::string> axes;
        for (const MatrixAxis& axis : matrix_.axes) axes.push_back(axis.name);
        for (const auto& [name, value] : rule.values) {
            const MatrixAxis* axis = matrix_.find(name);
            if (!axis)
                add(out_, "E0163", value.at, key, cat("there is no axis ", quote(name)),
                    did_you_mean(name, axes, "the axes are the keys of matrix"), value->size());
            else if (includes && !rule.patch && std::ranges::find(axis->values, *value, &MatrixValue::name) == axis->values.end())
                add(out_, "E0163", value.at, cat(key, ".", name),
                    cat(quote(*value), " is no value of ", quote(name), ", and the entry has no patch"),
                    did_you_mean(*value, value_names(*axis), "a new value needs a patch that says what it is"), value->size());
        }
    }

    void refuse_size(const std::string& number) {
        add(out_, "E0164", matrix_.at, "matrix", cat("the axes make ", number, " cells, and ", most_cells, " is the most"),
            "split the matrix into several profiles, or take values away");
    }

    // Before anything is made of them. Counted with care: ten axes of a hundred values are more than a number holds.
    bool check_size() {
        std::size_t cells = 1;
        for (const MatrixAxis& axis : matrix_.axes) {
            cells *= axis.values.size();
            if (cells > most_cells * most_cells) return refuse_size(cat("more than ", most_cells * most_cells)), false;
        }
        if (cells > most_cells) return refuse_size(std::to_string(cells)), false;
        return true;
    }

    void combine() {
        if (matrix_.axes.empty()) return;
        cells_.emplace_back();
        for (const MatrixAxis& axis : matrix_.axes) {
            std::vector<MatrixCell> longer;
            longer.reserve(cells_.size() * axis.values.size());
            for (const MatrixCell& cell : cells_)
                for (const MatrixValue& value : axis.values) longer.emplace_back(cell).values.emplace_back(axis.name, value.name);
            cells_ = std::move(longer);
        }
    }

    void exclude() {
        for (std::size_t i = 0; i < matrix_.exclude.size(); ++i) {
            const MatrixRule& rule = matrix_.exclude[i];
            if (std::erase_if(cells_, [&rule](const MatrixCell& cell) { return has_all(cell, rule); }) > 0) continue;
            add(out_, "E0167", rule.at, cat("matrix.exclude[", i, "]"), "takes no cell away", hint_for_idle(rule));
            out_.back().severity = Severity::warning;
        }
    }

    std::string hint_for_idle(const MatrixRule& rule) const {
        for (const auto& [name, value] : rule.values)
            if (const MatrixAxis* axis = matrix_.find(name);
                axis && std::ranges::find(axis->values, *value, &MatrixValue::name) == axis->values.end())
                return did_you_mean(*value, value_names(*axis), cat(quote(*value), " is no value of ", quote(name)));
        return "an earlier entry has taken them already";
    }

    void include() {
        const std::size_t combinations = cells_.size();
        for (const MatrixRule& rule : matrix_.include) {
            bool found = false;
            for (std::size_t i = 0; i < combinations; ++i) {
                if (!has_all(cells_[i], rule)) continue;
                cells_[i].includes.push_back(&rule);
                found = true;
            }
            if (!found) add_cell(rule);
        }
    }

    void add_cell(const MatrixRule& rule) {
        MatrixCell cell;
        for (const std::string& axis : matrix_axes(matrix_))
            for (const auto& [name, value] : rule.values)
                if (name == axis) cell.values.emplace_back(name, *value);
        cell.includes.push_back(&rule);
        cells_.push_back(std::move(cell));
    }

    bool give_names() {
        std::map<std::string_view, const MatrixCell*> seen;
        bool good = true;
        for (MatrixCell& cell : cells_) {
            cell.name = cell_name(name_, cell);
            const auto [other, fresh] = seen.emplace(cell.name, &cell);
            if (fresh) continue;
            const auto places = patches_of(matrix_, cell);
            add(out_, "E0165", places.empty() ? matrix_.at : places.back(), "matrix",
                cat("the cells ", cell_label(*other->second), " and ", cell_label(cell), " would both be called ", quote(cell.name)),
                "rename a value: a name has lower case letters, digits, '_', '.' and '-' alone");
            good = false;
        }
        return good;
    }
};

const Node* patch_of(const Matrix& matrix, const std::string& axis, const std::string& value) {
    const MatrixAxis* found = matrix.find(axis);
    if (!found) return nullptr;
    const auto written = std::ranges::find(found->values, value, &MatrixValue::name);
    return written == found->values.end() ? nullptr : &written->patch;
}

void put_variables(Node& root, const MatrixCell& cell) {
    if (cell.values.empty()) return;
    Node* vars = root.find("vars");
    if (!vars || vars->is_null()) {
        if (vars) *vars = map_node();
        if (!vars) vars = &root.add("vars", map_node());
    }
    if (!vars->is_map()) return;
    for (const auto& [axis, value] : cell.values) {
        Node text = text_node(value);
        text.literal = true;
        if (Node* present = vars->find(variable_of(axis)))
            *present = std::move(text);
        else
            vars->add(variable_of(axis), std::move(text));
    }
}

}  // namespace

std::string cell_label(const MatrixCell& cell) {
    std::string out;
    for (const auto& [axis, value] : cell.values) out += cat(out.empty() ? "" : ", ", axis, "=", value);
    return out;
}

std::vector<std::string> matrix_axes(const Matrix& matrix) {
    std::vector<std::string> out;
    for (const MatrixAxis& axis : matrix.axes) out.push_back(axis.name);
    for (const MatrixRule& rule : matrix.include)
        for (const auto& [axis, value] : rule.values)
            if (std::ranges::find(out, axis) == out.end()) out.push_back(axis);
    return out;
}

std::optional<std::vector<MatrixCell>> expand_matrix(const Matrix& matrix, const std::string& name, Diagnostics& out) {
    return Expansion(matrix, name, out).run();
}

Loaded load_cell(const Draft& draft, const Matrix& matrix, const MatrixCell& cell, LoadRequest request) {
    Draft own{draft.sources, draft.diagnostics, map_node(), draft.directories};
    own.root.at = draft.root.at;
    for (const Node::Entry& entry : draft.root.entries)
        if (entry.key != "matrix") own.root.entries.push_back(entry);
    put_variables(own.root, cell);
    const Shape shape{Shape::record, fields_of<Profile>};
    for (const auto& [axis, value] : cell.values)
        if (const Node* patch = patch_of(matrix, axis, value); patch && patch->is_map())
            merge_node(own.root, *patch, shape, own.diagnostics);
    for (const MatrixRule* rule : cell.includes)
        if (rule->patch && rule->patch->is_map()) merge_node(own.root, *rule->patch, shape, own.diagnostics);
    request.name_override = cell.name;
    Loaded loaded = finish_draft(std::move(own), request);
    if (!loaded.profile.lifecycle.timeout) loaded.profile.lifecycle.timeout = At<std::int64_t>(cell_time_limit);
    return loaded;
}

std::vector<Position> patches_of(const Matrix& matrix, const MatrixCell& cell) {
    std::vector<Position> out;
    for (const auto& [axis, value] : cell.values)
        if (const MatrixAxis* found = matrix.find(axis))
            for (const MatrixValue& each : found->values)
                if (each.name == value && each.patch.is_map() && !each.patch.entries.empty()) out.push_back(each.at);
    for (const MatrixRule* rule : cell.includes) out.push_back(rule->at);
    return out;
}

void refuse_shared_upper(const Profile& profile, const MatrixCell& cell, const MatrixCell& other, Diagnostics& out) {
    const Text& upper = profile.rootfs.overlay->upper;
    add(out, "E0168", upper.at, "rootfs.overlay.upper",
        cat("the cells ", cell_label(other), " and ", cell_label(cell), " would write to one directory, ", quote(*upper)),
        "write ${NAME} in it, which is another in each cell, or upper: tmpfs", upper->size());
}

}  // namespace sandbox
