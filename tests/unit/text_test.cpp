#include "base/text.h"

#include <gtest/gtest.h>

#include "base/diagnostic.h"

namespace sandbox {
namespace {

TEST(Text, NumbersConsumeTheWholeString) {
    EXPECT_EQ(parse_id("1000"), 1000U);
    for (const char* bad : {"", "1x", " 1", "+1", "-1", "4294967295", "4294967296", "0x10", "1 "})
        EXPECT_EQ(parse_id(bad), std::nullopt) << bad;
    EXPECT_EQ(parse_int("-20"), -20);
    EXPECT_EQ(parse_int("99999999999999999999"), std::nullopt);
    EXPECT_EQ(parse_mode("1777"), 01777U);
    for (const char* bad : {"", "8", "10000", "0o7", "rwx"}) EXPECT_EQ(parse_mode(bad), std::nullopt) << bad;
}

TEST(Text, SizesAreExactOrRefused) {
    EXPECT_EQ(parse_size("512Mi"), 512ULL << 20);
    EXPECT_EQ(parse_size("1.5Gi"), 3ULL << 29);
    EXPECT_EQ(parse_size("64M"), 64'000'000U);
    EXPECT_EQ(parse_size("64MiB"), 64ULL << 20);
    EXPECT_EQ(parse_size("0"), 0U);
    for (const char* bad : {"", "Mi", "-1", "1.5", "0.3Ki", "16Ei", "99999999999999999999", "1 Mi", "1mi", "1MiMi", "1..5Mi"})
        EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
    for (const std::uint64_t bytes : {0ULL, 1ULL, 1024ULL, 1536ULL, 64ULL << 20, 5ULL << 40})
        EXPECT_EQ(parse_size(format_size(bytes)), bytes);
}

TEST(Text, DurationsAreExactOrRefused) {
    EXPECT_EQ(parse_duration("30s"), 30'000'000'000);
    EXPECT_EQ(parse_duration("1h30m"), 5400'000'000'000);
    EXPECT_EQ(parse_duration("1.5h"), 5400'000'000'000);
    EXPECT_EQ(parse_duration("100ms"), 100'000'000);
    EXPECT_EQ(parse_duration("10"), 10'000'000'000);
    EXPECT_EQ(parse_duration("-1d", true), -86400'000'000'000);
    for (const char* bad : {"", "s", "-1s", "1h30", "1x", "99999999999d", "1 s"}) EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
    for (const std::int64_t ns : {0LL, 1LL, 1'500'000LL, 5'400'000'000'000LL}) EXPECT_EQ(parse_duration(format_duration(ns)), ns);
}

TEST(Text, NearestFindsSlipsOnly) {
    const std::vector<std::string_view> keys{"memory", "mounts", "mask", "hostname"};
    EXPECT_EQ(nearest("memmory", keys), "memory");
    EXPECT_EQ(nearest("monuts", keys), "mounts");
    EXPECT_EQ(nearest("Hostname", keys), "hostname");
    EXPECT_EQ(nearest("zebra", keys), std::nullopt);
}

TEST(Text, NothingRawReachesTheTerminal) {
    EXPECT_EQ(printable("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
    EXPECT_EQ(printable("gr\xc3\xbc n"), "gr\xc3\xbc n");
    EXPECT_EQ(printable("\xff"), "\\xff");
    EXPECT_EQ(printable("a\xc2\x9b"
                        "2Jb\xc2\xa0\xc3\x9b"),
              "a\\xc2\\x9b"
              "2Jb\xc2\xa0\xc3\x9b")
        << "a control of Latin 1";
    EXPECT_EQ(printable("\xc2"
                        "a"),
              "\\xc2"
              "a");
    EXPECT_FALSE(valid_utf8("\xc0\x80"));
    EXPECT_FALSE(valid_utf8("\xed\xa0\x80"));
    EXPECT_FALSE(valid_utf8(std::string_view("\0", 1)));
}

TEST(Text, PathsAreNormalOrRefused) {
    EXPECT_EQ(normal_path("/a//b/./c/"), "/a/b/c");
    EXPECT_EQ(normal_path("/"), "/");
    EXPECT_EQ(normal_path("a"), std::nullopt);
    EXPECT_EQ(normal_path("/a/../b"), std::nullopt);
    EXPECT_TRUE(beneath("/a/b", "/a"));
    EXPECT_TRUE(beneath("/a", "/a"));
    EXPECT_FALSE(beneath("/ab", "/a"));
}

TEST(Diagnostic, PrintsLikeACompiler) {
    Sources sources;
    const auto file = sources.add("web.yaml", "version: 1\nmemmory: 5\n");
    const Diagnostic d{"E0203", Severity::error, {file, 2, 1}, "memmory", "unknown key", "did you mean 'memory'?", 7};
    EXPECT_EQ(render(d, sources, false),
              "web.yaml:2:1: error[E0203]: memmory: unknown key\n"
              "   2 | memmory: 5\n"
              "     | ^~~~~~~\n"
              "  hint: did you mean 'memory'?\n");
}

// Found by the fuzzer: keys below a map of free names are the profile's own words.
TEST(Diagnostic, KeysAndNamesDoNotSpeakToTheTerminal) {
    Sources sources;
    const auto file = sources.add("w\x1b[2J.yaml", "a\x1b[0m: \"x\"\n");
    const Diagnostic d{"E0323", Severity::error, {file, 1, 8}, "options.a\x1b[0m\nb", "no\x1b", "try\xc2\x9b", 3};
    EXPECT_EQ(render(d, sources, false),
              "w\\x1b[2J.yaml:1:8: error[E0323]: options.a\\x1b[0m\\x0ab: no\\x1b\n"
              "   1 | a\\x1b[0m: \"x\"\n"
              "     |           ^~~\n"
              "  hint: try\\xc2\\x9b\n");
}

TEST(Diagnostic, ALongLineIsNotCutWithinACharacter) {
    Sources sources;
    std::string line(299, 'a');
    const auto file = sources.add("p.yaml", line + "\xc3\xbc and more\n");
    const Diagnostic d{"E0203", Severity::error, {file, 1, 1}, "", "x", "", 1};
    EXPECT_EQ(render(d, sources, false), "p.yaml:1:1: error[E0203]: x\n   1 | " + line + "\n     | ^\n");
}

}  // namespace
}  // namespace sandbox
