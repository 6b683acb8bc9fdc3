#include "profile/checks.h"

#include <algorithm>

namespace sandbox {

void Report::error(std::string code, Position at, std::string key, std::string message, std::string hint) {
    out_.push_back({std::move(code), Severity::error, at, std::move(key), std::move(message), std::move(hint), 1});
}

bool Report::failed(std::string_view key) const {
    return std::ranges::any_of(out_, [&](const Diagnostic& d) {
        return d.severity == Severity::error && d.key.starts_with(key) &&
               (d.key.size() == key.size() || d.key[key.size()] == '.' || d.key[key.size()] == '[');
    });
}

void check_profile(const Profile& profile, Report& report) {
    check_files(profile, report);
    check_security(profile, report);
    check_network(profile, report);
    check_process(profile, report);
    check_resources(profile, report);
}

}  // namespace sandbox
