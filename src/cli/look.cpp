// The verbs that change nothing: validate, plan, config, schema, doctor; and gc.

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/matrix_cells.h"
#include "exec/garbage.h"
#include "profile/origin.h"

namespace sandbox {
namespace {

using nlohmann::ordered_json;

ordered_json as_json(const Diagnostic& d, const Sources& sources) {
    const char* severity = d.severity == Severity::error ? "error" : d.severity == Severity::warning ? "warning" : "note";
    return {{"code", d.code},       {"severity", severity},  {"file", std::string(sources.name(d.at.source))},
            {"line", d.at.line},    {"column", d.at.column}, {"key", d.key},
            {"message", d.message}, {"hint", d.hint},        {"via", sources.describe_way(d.at.source)}};
}

std::string dump(const ordered_json& json) { return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n"; }

// A profile that loads and fits this host, or its mistakes on standard error.
struct Ready {
    Loaded loaded;
    HostFacts facts;
};
std::optional<Ready> make_ready(const ProfileOptions& options) {
    auto loaded = load(options);
    if (!loaded) return print(loaded.error()), std::nullopt;
    Result<HostFacts> facts;
    if (loaded->decoded) facts = examine(*loaded);
    print(loaded->diagnostics, loaded->sources);
    if (!facts) return print(facts.error()), std::nullopt;
    if (has_errors(loaded->diagnostics)) return std::nullopt;
    return Ready{std::move(*loaded), std::move(*facts)};
}

// The cells of its matrix, each a profile of its own. 1 when one of them has a mistake; what they have in common is said already.
int validate_cells(const ProfileOptions& options, bool host, ordered_json* json) {
    MatrixSource source;
    const auto cells = read_cells(options, source);
    if (!cells) return 1;
    CellCheck check(source, host);
    for (const MatrixCell& cell : *cells)
        if (auto checked = check.check(cell); !checked) return print(checked.error()), 2;
    if (!json) return check.report() ? 0 : 1;
    int code = 0;
    for (const CellCheck::Mistake& mistake : check.mistakes()) {
        json->push_back(as_json(mistake.diagnostic, mistake.sources));
        json->back()["cell"] = mistake.cell->name;
        json->back()["more_cells"] = mistake.more;
        if (mistake.diagnostic.severity == Severity::error) code = 1;
    }
    return code;
}

}  // namespace

int verb_validate(const std::vector<std::string>& profiles, const ProfileOptions& options, bool host, bool json) {
    int code = 0;
    ordered_json all = ordered_json::array();
    for (const std::string& name : profiles) {
        ProfileOptions each = options;
        each.profile = name;
        auto loaded = load(each);
        if (!loaded) {
            print(loaded.error());
            code = 2;
            continue;
        }
        Result<HostFacts> facts;
        if (loaded->decoded && host) facts = examine(*loaded);
        if (loaded->decoded && !host) examine_without_host(*loaded);
        if (json)
            for (const Diagnostic& d : loaded->diagnostics) all.push_back(as_json(d, loaded->sources));
        else
            print(loaded->diagnostics, loaded->sources);
        if (facts && !has_errors(loaded->diagnostics) && !loaded->profile.matrix.empty())
            code = std::max(code, validate_cells(each, host, json ? &all : nullptr));
        if (!facts) {
            print(facts.error());
            code = 2;
        }
        if (has_errors(loaded->diagnostics) && code == 0) code = 1;
    }
    if (json) write_out(dump(all));
    return code;
}

int verb_plan(const ProfileOptions& options, bool json) {
    const auto ready = make_ready(options);
    if (!ready) return exit_launcher;
    const Plan plan = make_plan(ready->loaded.profile, ready->facts, caller_context());
    write_out(json ? plan_to_json(plan, ready->loaded.sources) : plan_to_text(plan, ready->loaded.sources));
    return 0;
}

int verb_config(const ProfileOptions& options, bool origin, bool json) {
    auto loaded = load(options);
    if (!loaded) return print(loaded.error()), exit_launcher;
    print(loaded->diagnostics, loaded->sources);
    if (has_errors(loaded->diagnostics)) return exit_launcher;
    if (!json) {
        write_out(origin ? profile_with_origins(*loaded) : profile_to_yaml(loaded->profile));
        return 0;
    }
    ordered_json out = ordered_json::array();
    for (const EffectiveValue& value : effective_values(*loaded))
        out.push_back({{"key", value.key}, {"value", value.value}, {"origin", value.origin}});
    write_out(dump(out));
    return 0;
}

int verb_schema(bool manual) {
    write_out(manual ? profile_reference() : profile_schema());
    return 0;
}

namespace {
ProfileOptions named(const std::string& profile) {
    ProfileOptions options;
    options.profile = profile;
    return options;
}
}  // namespace

int verb_doctor(const std::string& profile, bool json) {
    ProbeRequest request;
    request.everything = true;
    auto facts = probe(request);
    if (!facts) return print(facts.error()), exit_launcher;
    if (json) {
        write_out(cat(trim(facts_to_json(*facts)), "\n"));
        return profile.empty() || make_ready(named(profile)) ? 0 : 1;
    }
    std::string out;
    for (const Finding& finding : diagnose(*facts)) {
        const char* state = finding.state == Finding::State::ok        ? "ok      "
                            : finding.state == Finding::State::limited ? "limited "
                                                                       : "missing ";
        out += cat(state, finding.what, finding.detail.empty() ? "" : cat(": ", finding.detail), "\n");
        if (!finding.advice.empty()) out += cat("          ", finding.advice, "\n");
    }
    write_out(out);
    if (profile.empty()) return 0;
    return make_ready(named(profile)) ? (write_out(cat("ok      ", profile, " can run here\n")), 0) : 1;
}

int verb_gc(bool quiet, bool json) {
    auto root = open_state(false);
    if (!root) return print(root.error()), 1;
    Cleaned cleaned;
    if (root->valid()) {
        auto collected = collect_garbage(*root);
        if (!collected) return print(collected.error()), 1;
        cleaned = std::move(*collected);
    }
    std::string out;
    if (json) out = dump({{"removed", cleaned.removed}, {"problems", cleaned.problems}});
    if (!quiet && !json)
        for (const std::string& line : cleaned.removed) out += cat("removed ", printable(line), "\n");
    write_out(out);
    for (const std::string& line : cleaned.problems) write_err(cat("sandbox: cannot clean ", printable(line), "\n"));
    return cleaned.problems.empty() ? 0 : 1;
}

}  // namespace sandbox
