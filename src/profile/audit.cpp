#include "profile/audit.h"

#include <cstdint>

#include "base/text.h"
#include "profile/audit_parts.h"

namespace sandbox {
namespace {

using auditing::Reading;
using auditing::Rule;

std::vector<Rule> all_rules() {
    std::vector<Rule> out;
    for (const auto rules : {auditing::rights_rules(), auditing::files_rules(), auditing::reach_rules()})
        out.insert(out.end(), rules.begin(), rules.end());
    return out;
}

AuditFinding finding_of(const Rule& rule, Reading reading) {
    AuditFinding out;
    out.rule = rule.id;
    out.weight = reading.weight < 0 ? rule.weight : reading.weight;
    out.key = reading.key.empty() ? std::string(rule.key) : std::move(reading.key);
    out.meaning = std::move(reading.means);
    out.exposure = out.weight * reading.percent / 10;
    out.at = reading.at;
    if (out.exposure > 0) out.cure = std::move(reading.cure);
    return out;
}

// Each finding opens a part of what the others left closed, and that part is the square of its exposure: one hole of 9 is worse
// than ten of 2, many small ones still add up, and nothing that is closed dilutes what is open, as it does in a mean.
int combine(const std::vector<AuditFinding>& findings) {
    constexpr std::uint64_t whole = 1'000'000'000'000;
    std::uint64_t closed = whole;
    for (const AuditFinding& finding : findings) {
        const auto tenths = static_cast<std::uint64_t>(finding.exposure);
        closed = closed / 10'000 * (10'000 - tenths * tenths);
    }
    return static_cast<int>(((whole - closed) * 100 + whole / 2) / whole);
}

// A finding of e alone makes e*e/10. So what is closed has none of 4.5 or more (no part of the host, nothing of the kernel's
// protection), what is guarded none of 6.4, and what is exposed none of 8.4: none that alone gives the host away.
std::string_view word_for(int exposure) {
    if (exposure < 20) return "closed";
    if (exposure < 40) return "guarded";
    if (exposure < 70) return "exposed";
    return "open";
}

}  // namespace

Audit audit_profile(const Profile& profile) {
    Audit out;
    for (const Rule& rule : all_rules())
        for (Reading& reading : rule.read(profile)) out.findings.push_back(finding_of(rule, std::move(reading)));
    out.exposure = combine(out.findings);
    out.word = word_for(out.exposure);
    return out;
}

std::vector<std::string_view> audit_rule_names() {
    std::vector<std::string_view> out;
    for (const Rule& rule : all_rules()) out.push_back(rule.id);
    return out;
}

std::string format_exposure(int tenths) { return cat(tenths / 10, ".", tenths % 10); }

}  // namespace sandbox
