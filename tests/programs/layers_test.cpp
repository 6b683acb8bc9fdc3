// The base layers by themselves: what every profile begins with.
#include "programs.h"

namespace {

using namespace programs;

std::string layer(const std::string& name) { return cat("/usr/share/sandbox/profiles/base/", name, ".yaml"); }

class Layers : public Programs {};

TEST_F(Layers, minimal_has_temporary_files_alone) {
    Given given;
    given.scratch = {"/var/tmp"};
    EXPECT_EQ(shortcomings(layer("minimal"), given), "");
}

TEST_F(Layers, service_has_the_folders_of_servers) {
    Given given;
    given.scratch = {"/var/tmp", "/var/lib", "/var/log"};
    EXPECT_EQ(shortcomings(layer("service"), given), "");
}

TEST_F(Layers, desktop_has_the_callers_folder) {
    Given given;
    given.scratch = {"/var/tmp"};
    given.writable = {"/work"};
    EXPECT_EQ(shortcomings(layer("desktop"), given), "");
}

TEST_F(Layers, build_has_the_callers_folder_of_an_ordinary_user) {
    Given given;
    given.scratch = {"/var/tmp"};
    given.writable = {"/work"};
    given.set = {"policy.unsupported=warn"};
    EXPECT_EQ(shortcomings(layer("build"), given, as_tester()), "");
    const Ended tried = up(layer("build"), {"/bin/sh", "-c", "cp /bin/true . && ./true"}, given.set, as_tester());
    EXPECT_TRUE(tried.ok()) << tried;
}

TEST_F(Layers, untrusted_is_nobody) {
    Given given;
    given.scratch = {"/var/tmp"};
    EXPECT_EQ(shortcomings(layer("untrusted"), given), "");
    EXPECT_EQ(up(layer("untrusted"), {"id", "-u"}).out, "65534\n");
}

}  // namespace
