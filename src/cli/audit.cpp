// sandbox audit

#include "profile/audit.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/library.h"
#include "cli/sandboxes.h"
#include "profile/origin.h"

namespace sandbox {
namespace {

using nlohmann::ordered_json;

// ---- what is audited

struct Subject {
    bool sandbox = false;
    ProfileOptions options;  // how its profile is loaded
};

// A word with a slash or the ending of a file is a profile. Another is the sandbox of this name when there is one, for that is
// what runs; else the profile that is found under it.
Result<Subject> find_subject(const ProfileOptions& asked) {
    Subject subject{false, asked};
    // No rule looks at the command, and a layer that others extend has none.
    subject.options.command = {"/bin/true"};
    const std::string& name = asked.profile;
    if (name == "-" || is_profile_path(name) || !valid_name(name)) return subject;
    auto root = open_state(false);
    if (!root || !root->valid()) return subject;
    auto seen = root->look(name);
    if (!seen || !seen->directory) return subject;
    auto found = find_sandbox(name);
    if (!found) return pass(found);
    if (auto kept = keep_profile(*found); !kept) return pass(kept);
    subject.sandbox = true;
    subject.options.profile = cat(root->path(), "/", name, "/profile.yaml");
    subject.options.name = name;
    return subject;
}

// "4.5" in tenths.
Result<int> parse_threshold(const std::string& text) {
    const auto point = text.find('.');
    const auto whole = parse_int(text.substr(0, point));
    const auto tenth = point == std::string::npos ? std::optional<std::int64_t>(0)
                       : text.size() == point + 2 ? parse_int(text.substr(point + 1))
                                                  : std::nullopt;
    if (!whole || !tenth || *whole < 0 || *tenth < 0 || *whole * 10 + *tenth > 100)
        return fail(cat("--threshold ", quote(printable(text)), " is not an exposure"), "from 0.0 to 10.0, such as 4.5");
    return static_cast<int>(*whole * 10 + *tenth);
}

// ---- showing it

Position position_of(const AuditFinding& finding, const Loaded& loaded) {
    return finding.at.known() ? finding.at : written_at(loaded, finding.key);
}

struct Mark {
    int least;  // tenths
    const char *text, *colour;
};
// The bounds are those of audit.cpp: from 4.5 one alone is no trifle.
constexpr Mark marks[] = {{45, "!", "\x1b[31m"}, {20, "*", "\x1b[33m"}, {1, "-", ""}, {0, ".", "\x1b[32m"}};

const Mark& mark_of(int exposure) {
    return *std::ranges::find_if(marks, [exposure](const Mark& mark) { return exposure >= mark.least; });
}

// Each finding is a row, the worst first, with its cure on a line of its own below it.
std::string table_of(const Audit& audit, const Loaded& loaded, bool all) {
    std::vector<const AuditFinding*> shown;
    for (const AuditFinding& finding : audit.findings)
        if (all || finding.exposure > 0) shown.push_back(&finding);
    std::ranges::stable_sort(shown, std::ranges::greater(), &AuditFinding::exposure);
    std::vector<std::vector<std::string>> rows{{" ", "KEY", "MEANING", "EXPOSURE", "ORIGIN"}};
    for (const AuditFinding* finding : shown)
        rows.push_back({mark_of(finding->exposure).text, finding->key, finding->meaning,
                        finding->exposure > 0 ? format_exposure(finding->exposure) : "",
                        describe_origin(loaded.sources, position_of(*finding, loaded))});
    const std::string text = in_columns(rows);
    const auto lines = split(text, '\n');
    std::string out = cat(lines[0], "\n");
    for (std::size_t i = 0; i < shown.size(); ++i) {
        const Mark& mark = mark_of(shown[i]->exposure);
        const bool coloured = colour(1) && *mark.colour;
        out += coloured ? cat(mark.colour, mark.text, "\x1b[0m", lines[i + 1].substr(1), "\n") : cat(lines[i + 1], "\n");
        if (!shown[i]->cure.empty()) out += cat("     cure: ", printable(shown[i]->cure), "\n");
    }
    return out;
}

ordered_json as_json(const AuditFinding& finding, const Loaded& loaded) {
    const Position at = position_of(finding, loaded);
    const bool known = at.known();
    return {{"rule", finding.rule},
            {"key", finding.key},
            {"meaning", finding.meaning},
            {"exposure", finding.exposure / 10.0},
            {"weight", finding.weight},
            {"cure", finding.cure.empty() ? ordered_json() : ordered_json(finding.cure)},
            {"file", known ? ordered_json(std::string(loaded.sources.name(at.source))) : ordered_json()},
            {"line", known ? ordered_json(at.line) : ordered_json()},
            {"column", known ? ordered_json(at.column) : ordered_json()}};
}

std::string json_of(const Audit& audit, const Loaded& loaded, bool sandbox) {
    ordered_json findings = ordered_json::array();
    for (const AuditFinding& finding : audit.findings) findings.push_back(as_json(finding, loaded));
    const ordered_json out{{"name", *loaded.profile.name},
                           {"sandbox", sandbox},
                           {"exposure", audit.exposure / 10.0},
                           {"word", audit.word},
                           {"findings", std::move(findings)}};
    return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string text_of(const Audit& audit, const Loaded& loaded, bool sandbox, bool all) {
    return cat(table_of(audit, loaded, all), "\nexposure of ", sandbox ? "sandbox " : "profile ", printable(*loaded.profile.name), ": ",
               format_exposure(audit.exposure), " ", audit.word, "\n");
}

}  // namespace

int verb_audit(const ProfileOptions& options, const AuditFlags& flags) {
    auto threshold = parse_threshold(flags.threshold);
    if (!threshold) return print(threshold.error()), exit_launcher;
    auto subject = find_subject(options);
    if (!subject) return print(subject.error()), exit_launcher;
    auto loaded = load(subject->options);
    if (!loaded) return print(loaded.error()), exit_launcher;
    print(loaded->diagnostics, loaded->sources);
    if (has_errors(loaded->diagnostics)) return exit_launcher;
    const Audit audit = audit_profile(loaded->profile);
    write_out(flags.json ? json_of(audit, *loaded, subject->sandbox) : text_of(audit, *loaded, subject->sandbox, flags.all));
    return audit.exposure > *threshold ? 1 : 0;
}

}  // namespace sandbox
