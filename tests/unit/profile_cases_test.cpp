// Every file in tests/unit/profiles: a profile with the diagnostics that it has to get in comments at its top.
//
//   # expect: valid
//   # expect: 4:3 E0203 memmory       line:column, code, key; once for each diagnostic, in order
//   # set: process.nice=5              a --set word; its diagnostics are at "--set:1:COLUMN"
//   # argv: /bin/true                  "-- ARGV", words between blanks
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "profile/load.h"

namespace sandbox {
namespace {

struct Case {
    LoadRequest request;
    std::vector<std::string> expected;
};

Case read_case(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::stringstream text;
    text << stream.rdbuf();
    Case result;
    result.request.profile.file.name = file.filename();
    result.request.profile.file.text = text.str();
    result.request.profile.file.directory = "/srv/profiles";
    result.request.stem = file.stem();
    result.request.variables = {{"HOME", "/home/joe"}, {"USER", "joe"},  {"UID", "1000"},
                                {"GID", "1000"},       {"PWD", "/work"}, {"RUNTIME_DIR", "/run/user/1000"}};
    for (const std::string_view line : split(result.request.profile.file.text, '\n')) {
        if (!line.starts_with("# ")) break;
        const auto colon = line.find(": ");
        if (colon == std::string_view::npos) continue;
        const std::string_view word = line.substr(2, colon - 2), value = line.substr(colon + 2);
        if (word == "expect" && value != "valid") result.expected.emplace_back(trim(value));
        if (word == "set") result.request.set.emplace_back(value);
        if (word == "argv")
            for (const std::string_view argument : split(value, ' ')) result.request.command.emplace_back(argument);
    }
    return result;
}

std::vector<std::string> found_in(const Loaded& loaded) {
    std::vector<std::string> found;
    for (const Diagnostic& d : loaded.diagnostics) {
        std::string where = cat(d.at.line, ":", d.at.column);
        if (d.at.source != 0) where = cat(loaded.sources.name(d.at.source), ":", where);
        found.push_back(cat(where, " ", d.code, d.key.empty() ? "" : " ", d.key));
    }
    return found;
}

std::string rendered(const Loaded& loaded) {
    std::string out;
    for (const Diagnostic& d : loaded.diagnostics) out += render(d, loaded.sources, false);
    return out;
}

std::vector<std::filesystem::path> case_files() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(SOURCE_DIR "/tests/unit/profiles"))
        if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

class ProfileCase : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(ProfileCase, GetsItsDiagnostics) {
    const Case wanted = read_case(GetParam());
    ASSERT_NE(wanted.request.profile.file.text.find("# expect: "), std::string::npos) << "no '# expect:' line";
    const Loaded loaded = load_profile(wanted.request);
    EXPECT_EQ(found_in(loaded), wanted.expected) << rendered(loaded);
}

// What is printed of a valid profile is valid, and says the same.
TEST_P(ProfileCase, SurvivesARoundTrip) {
    const Case wanted = read_case(GetParam());
    const Loaded loaded = load_profile(wanted.request);
    if (has_errors(loaded.diagnostics)) return;
    LoadRequest again;
    again.profile.file.name = "effective";
    again.profile.file.text = profile_to_yaml(loaded.profile);
    again.profile.file.directory = "/elsewhere";
    again.stem = "other";
    const Loaded reloaded = load_profile(again);
    EXPECT_EQ(rendered(reloaded), "") << again.profile.file.text;
    EXPECT_EQ(profile_to_yaml(reloaded.profile), again.profile.file.text);
}

INSTANTIATE_TEST_SUITE_P(Files, ProfileCase, testing::ValuesIn(case_files()), [](const auto& file) {
    std::string name = file.param.stem();
    std::ranges::replace_if(
        name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
    return name;
});

}  // namespace
}  // namespace sandbox
