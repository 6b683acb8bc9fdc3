// No shipped profile is forgotten: each has its tests, says what it is, and has limits.
#include <gmock/gmock.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <set>

#include "programs.h"

namespace {

using namespace programs;
using testing::IsEmpty;

const char* const installed = "/usr/share/sandbox/profiles";

// Examples of the language rather than of programs: tests/host/examples_test.cpp runs them.
const std::set<std::string> examples = {"build", "fetch", "hello", "shell", "try", "web-bridge"};

std::set<std::string> profiles() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(installed))
        if (entry.path().extension() == ".yaml" && !examples.contains(entry.path().stem())) names.insert(entry.path().stem());
    return names;
}

std::string in_test_names(std::string profile) {
    std::ranges::replace_if(
        profile, [](char c) { return c == '-' || c == '.'; }, '_');
    return profile;
}

// The profile that a test is of: the longest name with which its own begins ("git_serve_..." is not one of git if there is git-serve).
std::string profile_of(const std::string& test) {
    std::string best;
    for (const std::string& profile : profiles()) {
        const std::string name = in_test_names(profile);
        if ((test == name || test.starts_with(name + "_")) && profile.size() > best.size()) best = profile;
    }
    return best;
}

std::set<std::string> tests_of_suite(const std::string& suite) {
    std::set<std::string> names;
    const auto& all = *testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i) {
        const testing::TestSuite& one = *all.GetTestSuite(i);
        for (int j = 0; one.name() == suite && j < one.total_test_count(); ++j) names.insert(one.GetTestInfo(j)->name());
    }
    return names;
}

// The text of a profile with those that it extends: for what is said in comments.
std::string text_with_parents(const std::string& path) {
    std::string text = read_text(path);
    for (const YAML::Node& parent : YAML::Load(text)["extends"])
        text += text_with_parents(cat(installed, "/", parent.as<std::string>(), ".yaml"));
    return text;
}

YAML::Node effective(const std::string& profile) {
    const Ended config = run({"/usr/local/bin/sandbox", "config", profile});
    EXPECT_TRUE(config.ok()) << config;
    return YAML::Load(config.out);
}

TEST(Shipped, every_profile_has_a_job_and_a_confinement) {
    for (const char* suite : {"Works", "Confined"}) {
        std::set<std::string> tested;
        for (const std::string& test : tests_of_suite(suite)) {
            EXPECT_NE(profile_of(test), "") << suite << "." << test << " is of no profile";
            tested.insert(profile_of(test));
        }
        for (const std::string& profile : profiles()) EXPECT_TRUE(tested.contains(profile)) << profile << " has no test in " << suite;
    }
}

TEST(Shipped, every_profile_is_valid_and_says_what_it_is) {
    for (const std::string& profile : profiles()) {
        SCOPED_TRACE(profile);
        const Ended valid = run({"/usr/local/bin/sandbox", "validate", "--no-host", profile});
        EXPECT_TRUE(valid.ok()) << valid;
        const YAML::Node config = effective(profile);
        EXPECT_EQ(config["name"].as<std::string>(), profile);
        EXPECT_GE(config["description"].as<std::string>().size(), 20U);
        // What is printed is the same profile.
        Options options;
        options.input = YAML::Dump(config);
        EXPECT_EQ(run({"/usr/local/bin/sandbox", "config", "-"}, options).out, run({"/usr/local/bin/sandbox", "config", profile}).out);
    }
}

TEST(Shipped, every_profile_has_limits) {
    for (const std::string& profile : profiles()) {
        SCOPED_TRACE(profile);
        const YAML::Node config = effective(profile);
        EXPECT_FALSE(config["resources"]["memory"]["max"].IsNull());
        EXPECT_NE(config["resources"]["pids"].as<std::string>(), "infinity");
        const bool says_why = text_with_parents(cat(installed, "/", profile, ".yaml")).find("# no time limit: ") != std::string::npos;
        EXPECT_TRUE(!config["lifecycle"]["timeout"].IsNull() || says_why)
            << "neither lifecycle.timeout nor a comment '# no time limit: ...'";
    }
}

}  // namespace
