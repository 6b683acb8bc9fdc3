// The three ways in which every attack is tried: root with ids of its own, root without a user namespace, an ordinary user.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "base/text.h"
#include "harness.h"
#include "snapshot.h"

namespace harness {

struct Way {
    const char* name;
    const char* id_map;
    bool ordinary;
};

inline std::ostream& operator<<(std::ostream& stream, const Way& way) { return stream << way.name; }

constexpr Way own_ids{"own_ids", "auto", false}, no_user_namespace{"no_user_namespace", "host", false}, ordinary{"ordinary", "auto", true};

inline std::string profile_for(const Way& way, std::string_view rest) {
    return sandbox::cat("version: 1\nid_map: ", way.id_map, "\n", rest);
}
inline Options options_for(const Way& way) { return way.ordinary ? ordinary_user() : Options(); }

class EveryWay : public ::testing::TestWithParam<Way> {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root, which can be each of the three"); }
    static std::string profile(std::string_view rest) { return profile_for(GetParam(), rest); }
    static Options options() { return options_for(GetParam()); }
    // What a test has made becomes the launcher's own.
    static void hand_over(const TempDir& place) {
        if (GetParam().ordinary) run({"chown", "-hR", sandbox::cat(*options().uid, ":", *options().uid), place.path()});
    }
};

inline std::string way_name(const ::testing::TestParamInfo<Way>& info) { return info.param.name; }

#define INSTANTIATE_EVERY_WAY(suite) INSTANTIATE_TEST_SUITE_P(All, suite, ::testing::Values(own_ids, no_user_namespace, ordinary), way_name)

}  // namespace harness
