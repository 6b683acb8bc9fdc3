// The cells of a matrix as tests of GoogleTest.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

std::string setting(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value ? value : otherwise;
}

std::string command() { return "'" + setting("SANDBOX", "sandbox") + "' matrix '" + setting("PROFILE", "matrix.yaml") + "'"; }

std::vector<std::string> cells() {
    std::vector<std::string> names;
    FILE* list = popen((command() + " --list -q").c_str(), "r");
    char line[256];
    while (list && std::fgets(line, sizeof line, list)) names.push_back(std::string(line).substr(0, std::string(line).find('\n')));
    if (list) pclose(list);
    return names;
}

class Cells : public testing::TestWithParam<std::string> {};

TEST_P(Cells, pass) {
    const int status =
        std::system((command() + " --cell " + GetParam() + " --output " + testing::TempDir() + "googletest/" + GetParam()).c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// Without a cell (the profile cannot be read, say) there is no test, and GoogleTest says that of a suite that was to have some.
INSTANTIATE_TEST_SUITE_P(Matrix, Cells, testing::ValuesIn(cells()), [](const auto& info) {
    std::string name = info.param;
    for (char& c : name)
        if (c == '-' || c == '.') c = '_';
    return name;
});

}  // namespace
