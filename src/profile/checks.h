// What has to be true of a profile as a whole and can be said without knowledge of the host.
#pragma once

#include "base/diagnostic.h"
#include "profile/profile.h"

namespace sandbox {

// Where the checks put what they find.
class Report {
   public:
    Report(Diagnostics& out, Position document) : out_(out), document_(document) {}

    void error(std::string code, Position at, std::string key, std::string message, std::string hint = {});
    // The beginning of the profile: where to point for what is missing.
    [[nodiscard]] Position document() const { return document_; }
    // Whether a key (or one below it) already has an error: its value then means nothing.
    [[nodiscard]] bool failed(std::string_view key) const;

   private:
    Diagnostics& out_;
    Position document_;
};

// Runs every check, in groups: checks_*.cpp.
void check_profile(const Profile& profile, Report& report);

void check_files(const Profile& profile, Report& report);
void check_security(const Profile& profile, Report& report);
void check_network(const Profile& profile, Report& report);
void check_process(const Profile& profile, Report& report);
void check_resources(const Profile& profile, Report& report);

}  // namespace sandbox
