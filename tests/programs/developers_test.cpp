// Languages, compilers and what else developers run.
#include <gmock/gmock.h>

#include "programs.h"

namespace {

using namespace programs;
using testing::HasSubstr;

TEST_F(Works, jq_filters_its_input) {
    Options options = here();
    options.input = R"({"name": "it", "size": 3})";
    EXPECT_EQ(up("jq", {"jq", "-r", ".name"}, {}, options).out, "it\n");
    const Ended whole = up("jq", {}, {}, options);
    EXPECT_EQ(Json::parse(whole.out), Json::parse(options.input)) << whole;
}

TEST_F(Works, jq_reads_files_of_the_folder) {
    folder().write("one.json", "[1, 2, 3]");
    EXPECT_EQ(up("jq", {"jq", "add", "one.json"}).out, "6\n");
}

TEST_F(Works, jq_for_an_ordinary_user) {
    folder().write("one.json", "[1, 2, 3]");
    const Options tester = as_tester();
    // Nobody has given this one groups: strict as it is, the profile does not run without its limits unless told to.
    const Ended refused = up("jq", {"jq", "add", "one.json"}, {}, tester);
    EXPECT_EQ(refused.code, 125) << refused;
    EXPECT_THAT(refused.err, HasSubstr("resources.memory.max"));
    const Ended sum = up("jq", {"jq", "add", "one.json"}, {"policy.unsupported=warn"}, tester);
    EXPECT_EQ(sum.out, "6\n") << sum;
}

TEST_F(Works, jq_is_ended_when_its_input_fills_memory) {
    const Ended full = up("jq", {"jq", "-n", "[range(1e9)] | length"});
    EXPECT_FALSE(full.ok()) << full;
    EXPECT_NE(full.code, 124) << full;
}

TEST_F(Confined, jq) { EXPECT_EQ(shortcomings("jq", given_by_untrusted()), ""); }

TEST_F(Confined, jq_of_an_ordinary_user) {
    Given given;
    given.scratch = {"/var/tmp"};
    given.set = {"policy.unsupported=warn"};
    EXPECT_EQ(shortcomings("jq", given, as_tester()), "");
}

}  // namespace
