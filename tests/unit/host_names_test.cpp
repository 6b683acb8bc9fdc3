#include <gmock/gmock.h>

#include "host/names.h"

namespace sandbox {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view passwd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "eve:x:1000:1000::/home/eve:/bin/sh\n"
    "evelyn:x:1000:1000::/home/evelyn:/bin/sh\n"
    "short:x:1001\n"
    "minus:x:4294967295:0::/:/bin/sh\n"
    "odd:x: 7:0::/:/bin/sh\n";

TEST(Passwd, IsLookedUpByNumber) {
    const auto entry = find_passwd(passwd, 0, "");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->name, "root");
    EXPECT_EQ(entry->home, "/root");
}

TEST(Passwd, BelievesTheEnvironmentOnlyAboutANameOfTheSameNumber) {
    EXPECT_EQ(find_passwd(passwd, 1000, "evelyn")->name, "evelyn");
    EXPECT_EQ(find_passwd(passwd, 1000, "evelyn")->home, "/home/evelyn");
    EXPECT_EQ(find_passwd(passwd, 1000, "root")->name, "eve");
    EXPECT_EQ(find_passwd(passwd, 1000, "")->name, "eve");
}

TEST(Passwd, LeavesBrokenLinesOut) {
    EXPECT_FALSE(find_passwd(passwd, 1001, "short"));
    EXPECT_FALSE(find_passwd(passwd, 4294967295U, "minus"));
    EXPECT_FALSE(find_passwd(passwd, 7, "odd"));
    EXPECT_FALSE(find_passwd("", 0, "root"));
}

TEST(SubordinateIds, AreListedByNameAndByNumber) {
    const auto ranges = find_subordinate("eve:100000:65536\nroot:1:1\n1000:300000:10\nevelyn:400000:10\n", "eve", 1000);
    EXPECT_THAT(ranges, ElementsAre(FactRange{0, 100000, 65536}, FactRange{0, 300000, 10}));
}

TEST(SubordinateIds, NeedAWholeLine) {
    EXPECT_THAT(find_subordinate("eve:100000\neve:x:1\neve:1:0\neve:1:2:3\neve:1:99999999999\n:1:1\n", "eve", 1000), IsEmpty());
    EXPECT_THAT(find_subordinate(":1:1\n", "", 1000), IsEmpty()) << "a user without a name has no lines without a name";
}

TEST(IdMap, ReadsTheKernelsColumns) {
    EXPECT_THAT(parse_id_map("         0          0 4294967295\n"), ElementsAre(FactRange{0, 0, 4294967295U}));
    EXPECT_THAT(parse_id_map("         0       1000          1\n         1     100000      65536\n"),
                ElementsAre(FactRange{0, 1000, 1}, FactRange{1, 100000, 65536}));
    EXPECT_THAT(parse_id_map("0 0\nx y z\n"), IsEmpty());
}

}  // namespace
}  // namespace sandbox
