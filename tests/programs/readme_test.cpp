// The recipes of README.md, typed as they stand there.
#include <gmock/gmock.h>

#include <fstream>

#include "programs.h"

namespace {

using namespace programs;

// The lines of commands in the section of that name.
Words recipes() {
    Words out;
    bool inside = false;
    std::ifstream readme("README.md");  // in-tree starts in the source folder
    for (std::string line; std::getline(readme, line);) {
        if (line.starts_with("## ")) inside = line == "## Recipes";
        if (inside && line.starts_with("    sandbox ")) out.push_back(line.substr(4));
    }
    return out;
}

class Recipes : public Works {};

TEST_F(Recipes, of_the_readme_run) {
    folder().write("index.html", "a page\n");
    folder().write("script.py", "print('from the script')\n");
    folder().write("Makefile", "all:\n\techo made\n");
    folder().write("in.ps", "%!PS\n/Helvetica findfont 20 scalefont setfont 72 700 moveto (it is written here) show showpage\n");
    const Ended made = run({"ps2pdf", "in.ps", "in.pdf"}, here());
    ASSERT_TRUE(made.ok()) << made;
    const Words lines = recipes();
    ASSERT_GE(lines.size(), 7U);
    for (const std::string& line : lines) {
        Options options = here();
        options.add["PWD"] = folder().path();
        const Ended ended = run({"sh", "-c", line}, options);
        EXPECT_TRUE(ended.ok()) << line << "\n" << ended;
    }
    EXPECT_THAT(read_text(folder() / "out.txt"), testing::HasSubstr("it is written here"));
}

}  // namespace
