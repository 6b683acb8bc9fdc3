// The manual pages say what the program does: each verb and option is in exactly one of them and no other is, every example that can
// run is run, and man and whatis find each page.
#include <gmock/gmock.h>

#include <filesystem>
#include <regex>
#include <set>
#include <sstream>

#include "base/text.h"
#include "harness.h"
#include "own_network.h"
#include "snapshot.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::IsEmpty;
using Set = std::set<std::string>;

Words lines_of(const std::string& text) {
    Words lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

std::string without_escapes(std::string text) {
    for (const auto& [escape, plain] : {std::pair<std::string, std::string>{"\\-", "-"},
                                        {"\\(aq", "'"},
                                        {"\\(dq", "\""},
                                        {"\\fR", ""},
                                        {"\\fI", ""},
                                        {"\\fB", ""},
                                        {"\\e", "\\"}})
        for (std::size_t at = text.find(escape); at != text.npos; at = text.find(escape, at + plain.size()))
            text.replace(at, escape.size(), plain);
    return text;
}

Words all_matches(const std::string& text, const std::string& pattern) {
    Words out;
    const std::regex what(pattern);
    for (std::sregex_iterator match(text.begin(), text.end(), what), end; match != end; ++match) out.push_back((*match)[1]);
    return out;
}

Set as_set(const Words& words) {
    Set out;
    for (const std::string& word : words) EXPECT_TRUE(out.insert(word).second) << word << " is there twice";
    return out;
}

struct Page {
    std::string file;
    Words lines;

    [[nodiscard]] Words section(const std::string& title) const {
        Words out;
        bool inside = false;
        for (const std::string& line : lines) {
            if (line.starts_with(".SH ")) inside = line == ".SH " + title;
            if (inside && !line.starts_with(".SH ")) out.push_back(line);
        }
        return out;
    }
    // "sandbox-up", ...
    [[nodiscard]] Words names() const {
        const Words name = section("NAME");
        return all_matches(name.empty() ? "" : name.front().substr(0, name.front().find(" - ")), "([a-z-]+)");
    }
    [[nodiscard]] bool describes_verbs() const { return file != "sandbox.1" && file.ends_with(".1"); }
};

std::vector<Page> all_pages() {
    std::map<std::string, Page> pages;
    for (const auto& entry : std::filesystem::directory_iterator(SOURCE_DIR "/packaging/man")) {
        const std::string file = entry.path().filename();
        if (!std::regex_match(file, std::regex("sandbox.*\\.[17]"))) continue;
        pages[file] = {file, lines_of(without_escapes(read_text(entry.path())))};
    }
    std::vector<Page> out;
    for (auto& [file, page] : pages) out.push_back(std::move(page));
    return out;
}

Page page_of(const std::string& file) {
    for (const Page& page : all_pages())
        if (page.file == file) return page;
    throw std::runtime_error("there is no page " + file);
}

// The lines that stand as tags before a paragraph.
Words tags(const Words& lines) {
    Words out;
    for (std::size_t i = 0; i + 1 < lines.size(); ++i)
        if (lines[i] == ".TP") out.push_back(lines[i + 1]);
    return out;
}

Set verbs_of_program() { return as_set(all_matches(sandbox_command({"help"}).out, "\n  ([a-z][a-z-]*) ")); }

Set options_of_program(const std::string& verb) {
    Set out;
    for (const std::string& names : all_matches(sandbox_command({"help", verb}).out, "\n  (-[a-z,-]+)"))
        for (const std::string_view name : sandbox::split(names, ',')) out.emplace(name);
    out.erase("-h");
    out.erase("--help");
    return out;
}

// What stands in EXAMPLES, block by block. A line after a comment `.\" not run: WHY` is an example that no test can run.
struct Example {
    std::string text;
    std::string why_not;  // not run
};
std::vector<std::vector<Example>> examples_of(const Page& page) {
    std::vector<std::vector<Example>> blocks;
    bool inside = false;
    std::string why_not;
    const std::string mark = ".\\\" not run: ";
    for (const std::string& line : page.section("EXAMPLES")) {
        if (line == ".EX") blocks.emplace_back();
        if (line == ".EX" || line == ".EE") {
            inside = line == ".EX";
        } else if (inside && line.starts_with(mark)) {
            why_not = line.substr(mark.size());
        } else if (inside) {
            blocks.back().push_back({line, why_not});
            why_not.clear();
        }
    }
    return blocks;
}

TEST(Manual, has_each_verb_in_one_page) {
    const Set known = verbs_of_program();
    ASSERT_GE(known.size(), 30U);
    Words described;
    for (const Page& page : all_pages()) {
        if (!page.describes_verbs()) continue;
        Words named;
        for (const std::string& name : page.names()) named.push_back(name.substr(std::string("sandbox-").size()));
        Set synopsis;  // a verb may have several lines
        for (const std::string& line : page.section("SYNOPSIS"))
            for (const std::string& verb : all_matches(line, "^\\.B sandbox ([a-z-]+)")) synopsis.insert(verb);
        Words in_text;
        for (const std::string& tag : tags(page.section("DESCRIPTION")))
            for (const std::string& verb : all_matches(tag, "^\\.B ([a-z-]+)$")) in_text.push_back(verb);
        EXPECT_EQ(as_set(named), synopsis) << page.file;
        EXPECT_EQ(as_set(in_text), synopsis) << page.file;
        described.insert(described.end(), in_text.begin(), in_text.end());
    }
    EXPECT_EQ(as_set(described), known);
}

TEST(Manual, has_an_overview_of_all_verbs) {
    Words listed;
    for (const std::string& tag : tags(page_of("sandbox.1").section("VERBS")))
        for (const std::string& verb : all_matches(tag, "[ \"]([a-z-]+)")) listed.push_back(verb);
    EXPECT_EQ(as_set(listed), verbs_of_program());
}

TEST(Manual, has_each_option_once_and_no_other) {
    std::map<std::string, Words> described;
    for (const Page& page : all_pages()) {
        if (!page.describes_verbs()) continue;
        const Words lines = page.section("OPTIONS");
        Words verbs;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            if (lines[i].starts_with(".SS ")) verbs = all_matches(lines[i].substr(3), "([a-z-]+)");
            if (i == 0 || lines[i - 1] != ".TP") continue;
            for (const std::string& verb : verbs)
                for (const std::string& option : all_matches(lines[i], "[ \"](--?[a-z][a-z-]*)")) described[verb].push_back(option);
        }
    }
    for (const std::string& verb : verbs_of_program()) {
        EXPECT_EQ(as_set(described[verb]), options_of_program(verb)) << verb;
        described.erase(verb);
    }
    for (const auto& [verb, options] : described) ADD_FAILURE() << "there is no verb " << verb;
}

TEST(Manual, has_what_every_page_has) {
    for (const Page& page : all_pages()) {
        SCOPED_TRACE(page.file);
        for (const char* title : {"NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"}) EXPECT_FALSE(page.section(title).empty()) << title;
        if (!page.file.ends_with(".1")) continue;
        for (const char* title : {"SYNOPSIS", "OPTIONS", "EXIT STATUS"}) EXPECT_FALSE(page.section(title).empty()) << title;
    }
}

TEST(Manual, has_few_examples_that_are_not_run) {
    int run = 0, not_run = 0;
    for (const Page& page : all_pages()) {
        for (const auto& block : examples_of(page))
            for (const Example& example : block) ++(example.why_not.empty() ? run : not_run);
    }
    EXPECT_GE(run, 60);
    EXPECT_LE(not_run, 6);
}

TEST(Manual, has_the_examples_of_help) {
    Set lines;
    for (const Page& page : all_pages())
        for (const auto& block : examples_of(page))
            for (const Example& example : block) lines.insert(example.text);
    for (const std::string& verb : verbs_of_program()) {
        const std::string help = sandbox_command({"help", verb}).out;
        const auto at = help.find("\nExamples:\n");
        ASSERT_NE(at, help.npos) << verb;
        const Words examples = all_matches(help.substr(at), "\n  ([^\n]+)");
        EXPECT_THAT(examples, ::testing::Not(IsEmpty())) << verb;
        for (const std::string& example : examples) EXPECT_TRUE(lines.contains(example)) << example;
        EXPECT_TRUE(help.ends_with(cat("\nThe manual: man sandbox-", verb, "\n"))) << help;
    }
    EXPECT_THAT(sandbox_command({"help"}).out, ::testing::Not(::testing::HasSubstr("Subcommands:")));  // a verb without a group
}

class ManualExamples : public OwnNetwork {
   protected:
    static Ended type(const std::string& text, const TempDir& place) {
        Options options;
        options.directory = place.path();
        options.add["PATH"] = std::filesystem::path(SANDBOX_BINARY).parent_path().string() + ":/usr/sbin:/usr/bin:/sbin:/bin";
        options.add["HOME"] = place.path();
        options.add["PWD"] = place.path();
        return run({"/bin/bash", "-exc", text}, options);
    }
    // web.yaml and try.yaml, which sandbox(1) writes and other pages use.
    static void write_profiles(const TempDir& place) {
        for (const auto& block : examples_of(page_of("sandbox.1"))) {
            std::string script;
            for (const Example& line : block) {
                script += line.text + "\n";
                if (line.text != "END") continue;
                ASSERT_TRUE(type(script, place).ok());
            }
        }
    }
};

TEST_F(ManualExamples, run) {
    HOST_ROOT_OR_LEFT_OUT();
    REQUIRE_OR_SKIP(command_exists("nft"), "needs nft");
    for (const Page& page : all_pages()) {
        const auto at_first = HostSnapshot::take();
        const TempDir place;
        write_profiles(place);
        ASSERT_TRUE(exists(place / "web.yaml") && exists(place / "try.yaml"));
        for (const auto& block : examples_of(page)) {
            std::string script;
            for (const Example& line : block)
                if (line.why_not.empty()) script += line.text + "\n";
            const Ended ended = type(script, place);
            EXPECT_TRUE(ended.ok()) << page.file << "\n" << ended;
        }
        EXPECT_EQ(sandbox_command({"ps", "-q"}).out, "") << page.file;
        EXPECT_EQ(differences_since(at_first), "") << page.file;
    }
}

// ---- the pages as they are built

std::string built() { return std::filesystem::path(SANDBOX_BINARY).parent_path() / "man"; }

TEST(BuiltManual, has_no_mistake_of_form) {
    REQUIRE_OR_SKIP(exists(built()) && command_exists("man") && command_exists("mandoc"), "needs the pages, man-db and mandoc");
    Options options;
    options.add["LC_ALL"] = "C.UTF-8";
    options.add["MANWIDTH"] = "100";
    int pages = 0;
    for (const auto& entry : std::filesystem::directory_iterator(built())) {
        if (entry.is_symlink() || !std::regex_match(entry.path().filename().string(), std::regex(".*\\.[1-8]"))) continue;
        ++pages;
        const Ended man = run({"man", "--warnings=w", "-l", entry.path()}, options);
        EXPECT_TRUE(man.ok()) << entry.path();
        EXPECT_EQ(man.err, "") << entry.path();
        const Ended lint = run({"mandoc", "-T", "lint", "-W", "warning", entry.path()});
        EXPECT_TRUE(lint.ok()) << lint;
    }
    EXPECT_GE(pages, 9);
}

TEST(BuiltManual, is_found_by_the_name_of_each_verb) {
    REQUIRE_OR_SKIP(exists(built()) && command_exists("mandb"), "needs the pages and man-db");
    const TempDir place;
    for (const auto& entry : std::filesystem::directory_iterator(built())) {
        const std::string file = entry.path().filename();
        if (!std::regex_match(file, std::regex(".*\\.[1-8]"))) continue;
        std::filesystem::copy(entry.path(), place.make(cat("man", file.back())) + "/" + file, std::filesystem::copy_options::copy_symlinks);
    }
    const Ended made = run({"mandb", "--quiet", "--create", "--user-db", place.path()});
    ASSERT_TRUE(made.ok()) << made;
    Set names = {"sandbox", "sandbox-profile", "sandbox-networks"};
    for (const std::string& verb : verbs_of_program()) names.insert(cat("sandbox-", verb));
    for (const std::string& name : names) {
        const Ended what = run({"whatis", "--manpath=" + place.path(), name});
        EXPECT_THAT(what.out, ::testing::ContainsRegex(cat("^", name, " \\([157]\\) +- [a-zA-Z]"))) << what;
        EXPECT_TRUE(run({"man", "--manpath=" + place.path(), "--where", name}).ok()) << name;
    }
}

}  // namespace
