// sandbox diff-profiles: in which values two effective profiles differ.

#include <map>
#include <optional>

#include "base/text.h"
#include "cli/cli.h"
#include "profile/origin.h"

namespace sandbox {
namespace {

std::optional<std::vector<EffectiveValue>> values_of(const std::string& profile, const std::vector<std::string>& set) {
    ProfileOptions options;
    options.profile = profile;
    options.set = set;
    auto loaded = load(options);
    if (!loaded) return print(loaded.error()), std::nullopt;
    print(loaded->diagnostics, loaded->sources);
    if (has_errors(loaded->diagnostics)) return std::nullopt;
    return effective_values(*loaded);
}

std::string difference_line(char sign, const EffectiveValue& value) {
    return cat(std::string(1, sign), " ", printable(value.key), ": ", printable(value.value), "  # ", printable(value.origin), "\n");
}

}  // namespace

int verb_diff_profiles(const std::string& a, const std::string& b, const std::vector<std::string>& set) {
    const auto from = values_of(a, set), to = values_of(b, set);
    if (!from || !to) return 2;
    std::map<std::string_view, const EffectiveValue*> before, after;
    for (const EffectiveValue& value : *from) before.emplace(value.key, &value);
    for (const EffectiveValue& value : *to) after.emplace(value.key, &value);
    std::string out;
    for (const EffectiveValue& value : *from) {
        const auto other = after.find(value.key);
        if (other != after.end() && other->second->value == value.value) continue;
        out += difference_line('-', value);
        if (other != after.end()) out += difference_line('+', *other->second);
    }
    for (const EffectiveValue& value : *to)
        if (!before.contains(value.key)) out += difference_line('+', value);
    write_out(out);
    return out.empty() ? 0 : 1;
}

}  // namespace sandbox
