#include "cli/matrix_cells.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::size_t known_hosts = 8;      // kinds of facts that are kept
constexpr std::size_t most_mistakes = 100;  // different ones that are shown

struct Choice {
    std::string axis, value;
};

// One "axis=value" of the command line.
Result<Choice> read_choice(const std::string& option, const std::string& word, const std::vector<MatrixCell>& cells) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
        return fail(cat(option, " ", quote(word), " is no axis=value"), "sandbox matrix --list PROFILE shows axes and values");
    Choice choice{word.substr(0, equals), word.substr(equals + 1)};
    std::set<std::string_view> axes, values;
    for (const MatrixCell& cell : cells)
        for (const auto& [axis, value] : cell.values) {
            axes.insert(axis);
            if (axis == choice.axis) values.insert(value);
        }
    const auto refuse = [&](std::string message, const std::string& wrong, const std::set<std::string_view>& known) {
        const std::vector<std::string_view> list(known.begin(), known.end());
        const auto near = nearest(wrong, list);
        return fail(cat(option, ": ", message), near ? cat("did you mean ", quote(*near), "?")
                                                     : cat("there is ", join(std::vector<std::string>(known.begin(), known.end()), ", ")));
    };
    if (!axes.contains(choice.axis)) return refuse(cat("there is no axis ", quote(choice.axis)), choice.axis, axes);
    if (!values.contains(choice.value))
        return refuse(cat("no cell has ", quote(choice.value), " as its ", choice.axis), choice.value, values);
    return choice;
}

Result<std::vector<Choice>> read_choices(const std::string& option, const std::vector<std::string>& words,
                                         const std::vector<MatrixCell>& cells) {
    std::vector<Choice> out;
    for (const std::string& word : words) {
        auto choice = read_choice(option, word, cells);
        if (!choice) return pass(choice);
        out.push_back(std::move(*choice));
    }
    return out;
}

bool has(const MatrixCell& cell, const Choice& choice) {
    return std::ranges::find(cell.values, std::pair(choice.axis, choice.value)) != cell.values.end();
}

// Of each axis that is named the cell has one of the values.
bool is_wanted(const MatrixCell& cell, const std::vector<Choice>& only) {
    return std::ranges::all_of(only, [&](const Choice& each) {
        return std::ranges::any_of(only, [&](const Choice& other) { return other.axis == each.axis && has(cell, other); });
    });
}

struct Shard {
    std::size_t index = 1, count = 1;
};
Result<Shard> read_shard(const std::string& word) {
    if (word.empty()) return Shard{};
    const auto slash = word.find('/');
    const auto index = parse_id(word.substr(0, slash));
    const auto count = slash == std::string::npos ? std::nullopt : parse_id(word.substr(slash + 1));
    if (!index || !count || *index < 1 || *index > *count)
        return fail(cat("--shard ", quote(word), " is no part of a whole"), "write --shard 2/3 for the second of three");
    return Shard{*index, *count};
}

bool same_mistake(const Diagnostic& a, const Diagnostic& b) {
    return a.code == b.code && a.at == b.at && a.key == b.key && a.message == b.message;
}

std::string places(const Sources& sources, const std::vector<Position>& positions) {
    std::string out;
    for (const Position at : positions) out += cat(out.empty() ? "" : ", ", sources.describe(at));
    return out;
}

// Mistakes in what all cells are made of. What is wrong with the profile without a patch does not matter: no cell is that.
bool is_of_the_matrix(const Diagnostic& d) { return d.key == "matrix" || d.key.starts_with("matrix.") || d.key == "name"; }

}  // namespace

Loaded MatrixSource::load(const MatrixCell& cell) const {
    Loaded loaded = load_cell(draft, matrix, cell, request);
    if (untrusted) distrust(loaded, request);
    return loaded;
}

std::optional<std::vector<MatrixCell>> read_cells(const ProfileOptions& options, MatrixSource& source) {
    auto request = request_for(options, source.library);
    if (!request) return print(request.error()), std::nullopt;
    source.request = std::move(*request);
    source.untrusted = options.untrusted;
    source.draft = read_draft(source.request);
    Loaded base = finish_draft(source.draft, source.request);
    Diagnostics found = std::move(source.draft.diagnostics);
    source.draft.diagnostics.clear();  // they are said once, not for each cell
    if (found.empty())
        for (Diagnostic& d : base.diagnostics)
            if (is_of_the_matrix(d)) found.push_back(std::move(d));
    source.name = *base.profile.name;
    source.matrix = std::move(base.profile.matrix);
    std::optional<std::vector<MatrixCell>> cells;
    if (!has_errors(found) && source.matrix.empty()) {
        print(Error{
            cat(quote(options.profile), " has no matrix"), "add 'matrix: {AXIS: {VALUE: patch}}', or run it with sandbox up", 0, {}, {}});
        return std::nullopt;
    }
    if (!has_errors(found)) cells = expand_matrix(source.matrix, source.name, found);
    sort_by_position(found);
    print(found, base.sources);
    return cells;
}

namespace {

Status check_names(const std::vector<std::string>& names, const std::vector<MatrixCell>& cells) {
    std::vector<std::string_view> known;
    for (const MatrixCell& cell : cells) known.push_back(cell.name);
    for (const std::string& name : names) {
        if (std::ranges::find(known, name) != known.end()) continue;
        const auto near = nearest(name, known);
        return fail(cat("--cell: there is no cell ", quote(name)),
                    near ? cat("did you mean ", quote(*near), "?") : "sandbox matrix --list -q PROFILE lists them");
    }
    return {};
}

}  // namespace

Result<std::vector<MatrixCell>> choose_cells(std::vector<MatrixCell> cells, const MatrixFlags& flags) {
    auto only = read_choices("--only", flags.only, cells);
    if (!only) return pass(only);
    auto skip = read_choices("--skip", flags.skip, cells);
    if (!skip) return pass(skip);
    if (auto named = check_names(flags.cells, cells); !named) return pass(named);
    auto shard = read_shard(flags.shard);
    if (!shard) return pass(shard);
    std::erase_if(cells, [&](const MatrixCell& cell) {
        if (!flags.cells.empty() && std::ranges::find(flags.cells, cell.name) == flags.cells.end()) return true;
        return !is_wanted(cell, *only) || std::ranges::any_of(*skip, [&](const Choice& choice) { return has(cell, choice); });
    });
    if (cells.empty()) return fail("no cell is left", "--only, --skip and --cell take all of them away");
    std::vector<MatrixCell> out;
    for (std::size_t i = shard->index - 1; i < cells.size(); i += shard->count) out.push_back(std::move(cells[i]));
    return out;
}

Result<const HostFacts*> CellCheck::facts_for(const Profile& profile) {
    FactNeeds needs = fact_needs(profile);
    for (const KnownHost& host : known_)
        if (host.needs == needs) return &host.facts;
    auto facts = probe_for(needs);
    if (!facts) return pass(facts);
    if (known_.size() == known_hosts) known_.erase(known_.begin());
    known_.push_back({std::move(needs), std::move(*facts)});
    return &known_.back().facts;
}

void CellCheck::check_upper(Loaded& loaded, const MatrixCell& cell) {
    const Profile& profile = loaded.profile;
    if (!profile.rootfs.overlay || profile.rootfs.overlay->upper_is_tmpfs()) return;
    const auto [other, fresh] = uppers_.emplace(*profile.rootfs.overlay->upper, &cell);
    if (!fresh) refuse_shared_upper(profile, cell, *other->second, loaded.diagnostics);
}

Result<Loaded> CellCheck::check(const MatrixCell& cell) {
    Loaded loaded = source_.load(cell);
    if (loaded.decoded && !host_) examine_without_host(loaded);
    if (loaded.decoded && host_) {
        auto facts = facts_for(loaded.profile);
        if (!facts) return pass(facts);
        examine_with(loaded, **facts);
    }
    if (loaded.decoded) check_upper(loaded, cell);
    collect(loaded, cell);
    return loaded;
}

void CellCheck::collect(const Loaded& loaded, const MatrixCell& cell) {
    for (const Diagnostic& d : loaded.diagnostics) {
        const auto known = std::ranges::find_if(mistakes_, [&d](const Mistake& m) { return same_mistake(m.diagnostic, d); });
        if (known != mistakes_.end())
            ++known->more;
        else if (mistakes_.size() < most_mistakes)
            mistakes_.push_back({d, loaded.sources, &cell, 0});
    }
}

bool CellCheck::report() const {
    std::string out;
    bool good = true;
    for (const Mistake& mistake : mistakes_) {
        out += render(mistake.diagnostic, mistake.sources, colour(2));
        const std::string label = cell_label(*mistake.cell);
        out += cat("    in the cell ", printable(label.empty() ? mistake.cell->name : label));
        if (mistake.more > 0) out += cat(" and ", mistake.more, " more");
        const auto patches = patches_of(source_.matrix, *mistake.cell);
        if (!patches.empty()) out += cat(", patched at ", places(mistake.sources, patches));
        out += '\n';
        good &= mistake.diagnostic.severity != Severity::error;
    }
    if (mistakes_.size() == most_mistakes) out += "sandbox: there are more mistakes than are shown\n";
    write_err(out);
    return good;
}

}  // namespace sandbox
