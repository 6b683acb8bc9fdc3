// The section `matrix` of a profile: its cells, and the profile of each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "profile/matrix.h"

namespace sandbox {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class MatrixCells : public testing::Test {
   protected:
    LoadRequest request;
    Draft draft;
    Loaded base;
    Diagnostics diagnostics;

    static std::string around(const std::string& matrix) {
        return cat("version: 1\nname: web\nrootfs: {host: ro}\nprocess: {command: [/bin/true]}\nmatrix:\n", matrix);
    }
    void read(const std::string& text) {
        request.profile.file = {"web.yaml", text, "/srv"};
        request.stem = "web";
        request.variables = {{"HOME", "/home/joe"}};
        draft = read_draft(request);
        base = finish_draft(draft, request);
    }
    std::vector<MatrixCell> cells(const std::string& matrix) {
        read(around(matrix));
        EXPECT_THAT(said(base), IsEmpty());
        diagnostics.clear();
        auto out = expand_matrix(base.profile.matrix, *base.profile.name, diagnostics);
        return out ? std::move(*out) : std::vector<MatrixCell>();
    }
    std::vector<std::string> labels(const std::string& matrix) {
        std::vector<std::string> out;
        for (const MatrixCell& cell : cells(matrix)) out.push_back(cell_label(cell));
        return out;
    }
    Loaded load(const MatrixCell& cell) { return load_cell(draft, base.profile.matrix, cell, request); }
    std::string said(const Loaded& loaded) const { return said(loaded.diagnostics, loaded.sources); }
    static std::string said(const Diagnostics& diagnostics, const Sources& sources) {
        std::string out;
        for (const Diagnostic& d : diagnostics) out += render(d, sources, false);
        return out;
    }
    std::string refused(const std::string& matrix) {
        read(around(matrix));
        if (!base.diagnostics.empty()) return said(base);
        EXPECT_FALSE(expand_matrix(base.profile.matrix, *base.profile.name, diagnostics).has_value());
        return said(diagnostics, base.sources);
    }
};

TEST_F(MatrixCells, are_all_combinations_the_last_axis_fastest) {
    EXPECT_THAT(labels("  os: [a, b]\n  size: {s: {}, l: {hostname: large}}\n"),
                ElementsAre("os=a, size=s", "os=a, size=l", "os=b, size=s", "os=b, size=l"));
    std::vector<std::string> names;
    for (const MatrixCell& cell : cells("  os: [Big One, b]\n")) names.push_back(cell.name);
    EXPECT_THAT(names, ElementsAre("web-big-one", "web-b"));
}

TEST_F(MatrixCells, exclude_takes_away_what_has_all_its_values) {
    EXPECT_THAT(labels("  os: [a, b]\n  size: [s, l]\n  exclude: [{os: a, size: l}]\n"),
                ElementsAre("os=a, size=s", "os=b, size=s", "os=b, size=l"));
    EXPECT_THAT(labels("  os: [a, b]\n  size: [s, l]\n  exclude: [{os: a}]\n"), ElementsAre("os=b, size=s", "os=b, size=l"));
    EXPECT_THAT(diagnostics, IsEmpty());
}

TEST_F(MatrixCells, exclude_that_matches_nothing_is_a_warning) {
    EXPECT_EQ(labels("  os: [alpine, debian]\n  exclude: [{os: debain}]\n").size(), 2U);
    ASSERT_EQ(diagnostics.size(), 1U);
    EXPECT_EQ(diagnostics[0].severity, Severity::warning);
    EXPECT_EQ(said(diagnostics, base.sources),
              "web.yaml:7:13: warning[E0167]: matrix.exclude[0]: takes no cell away\n   7 |   exclude: [{os: debain}]\n"
              "     |             ^\n  hint: did you mean 'debian'?\n");
}

TEST_F(MatrixCells, include_adds_to_every_combination_that_fits_or_makes_one) {
    const auto all = cells(
        "  os: [a, b]\n  size: [s, l]\n  include:\n    - {os: a, patch: {hostname: of-a}}\n"
        "    - {os: b, size: xl, patch: {hostname: large}}\n    - {patch: {domainname: d}}\n");
    ASSERT_EQ(all.size(), 5U);
    EXPECT_EQ(*load(all[0]).profile.hostname, "of-a");
    EXPECT_EQ(*load(all[1]).profile.hostname, "of-a");
    EXPECT_EQ(*load(all[2]).profile.hostname, "web-b-s");
    EXPECT_EQ(cell_label(all[4]), "os=b, size=xl");
    EXPECT_EQ(*load(all[4]).profile.hostname, "large");
    EXPECT_TRUE(load(all[3]).profile.domainname.has_value());
    // As with GitHub Actions, a cell that was included is none of the combinations.
    EXPECT_FALSE(load(all[4]).profile.domainname.has_value());
}

TEST_F(MatrixCells, include_alone_makes_cells) {
    EXPECT_THAT(labels("  include: [{site: prod, dc: a}, {site: test}]\n"), ElementsAre("site=prod, dc=a", "site=test"));
    EXPECT_THAT(matrix_axes(base.profile.matrix), ElementsAre("site", "dc"));
}

TEST_F(MatrixCells, excluded_cells_can_be_included_again) {
    const auto all = cells("  os: [a, b]\n  exclude: [{os: a}]\n  include: [{os: a, patch: {hostname: again}}]\n");
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(*load(all[1]).profile.hostname, "again");
}

TEST_F(MatrixCells, take_the_patches_of_their_values_by_the_merge_rules) {
    const auto all = cells(
        "  root: {ro: {}, tmp: {rootfs: {host: null, tmpfs: {}}}}\n"
        "  memory: {small: {resources: {memory: {max: 64Mi}}}, none: {}}\n");
    ASSERT_EQ(all.size(), 4U);
    EXPECT_TRUE(load(all[0]).profile.rootfs.host.has_value());
    const Loaded tmp = load(all[2]);
    EXPECT_THAT(said(tmp), IsEmpty());
    EXPECT_FALSE(tmp.profile.rootfs.host.has_value());
    EXPECT_TRUE(tmp.profile.rootfs.tmpfs.has_value());
    EXPECT_EQ(**tmp.profile.resources.memory.max, 64U << 20);
    EXPECT_EQ(*tmp.profile.name, "web-tmp-small");
    EXPECT_TRUE(tmp.profile.matrix.empty());
}

TEST_F(MatrixCells, have_each_axis_as_a_variable) {
    read(
        "version: 1\nname: web\nvars: {python: '3.11'}\nrootfs: {host: ro}\n"
        "process: {command: ['/bin/python${python}', '${test_set:-none}', '${NAME}']}\n"
        "matrix:\n  python: [3.9, '3.10']\n  test-set: [fast]\n");
    EXPECT_EQ(*base.profile.process.command[0], "/bin/python3.11");
    EXPECT_EQ(*base.profile.process.command[1], "none");
    const auto all = expand_matrix(base.profile.matrix, "web", diagnostics);
    ASSERT_TRUE(all && all->size() == 2);
    const Loaded cell = load((*all)[1]);
    EXPECT_THAT(said(cell), IsEmpty());
    EXPECT_EQ(*cell.profile.process.command[0], "/bin/python3.10");
    EXPECT_EQ(*cell.profile.process.command[1], "fast");
    EXPECT_EQ(*cell.profile.process.command[2], "web-3.10-fast");
}

TEST_F(MatrixCells, patches_may_use_variables_and_the_command_line_wins) {
    read(around(
        "  who: {a: {vars: {GREETING: 'hello ${who}'}, hostname: '${who}-host', process: {command: [/bin/echo, '${GREETING}']}}}\n"));
    request.set = {"hostname=fixed"};
    request.command = {"/bin/ls"};
    const auto all = expand_matrix(base.profile.matrix, "web", diagnostics);
    ASSERT_TRUE(all);
    EXPECT_EQ(*load((*all)[0]).profile.hostname, "fixed");
    EXPECT_EQ(*load((*all)[0]).profile.process.command[0], "/bin/ls");
    request.command = {};
    EXPECT_EQ(*load((*all)[0]).profile.process.command[1], "hello a");
}

TEST_F(MatrixCells, end_after_an_hour_unless_the_profile_says_when) {
    const auto all = cells("  a: {x: {}, y: {lifecycle: {timeout: 3s}}}\n");
    EXPECT_EQ(**load(all[0]).profile.lifecycle.timeout, cell_time_limit);
    EXPECT_EQ(**load(all[1]).profile.lifecycle.timeout, 3'000'000'000);
}

TEST_F(MatrixCells, name_the_place_of_a_mistake_in_a_patch) {
    const auto all = cells("  a:\n    bad: {resources: {memory: {max: 12Gb}}}\n    worse: {hostnmae: x}\n");
    EXPECT_THAT(said(load(all[0])), HasSubstr("web.yaml:7:37: error["));
    EXPECT_THAT(said(load(all[1])), AllOf(HasSubstr("web.yaml:8:13: error[E0203]: hostnmae"), HasSubstr("did you mean 'hostname'?")));
    EXPECT_EQ(patches_of(base.profile.matrix, all[0]).size(), 1U);
    EXPECT_EQ(base.sources.describe(patches_of(base.profile.matrix, all[0])[0]), "web.yaml:7:5");
}

TEST_F(MatrixCells, with_long_names_are_told_apart) {
    const std::string name(40, 'v');
    std::vector<std::string> names;
    for (const MatrixCell& cell : cells(cat("  a: [", name, "1, ", name, "2]\n  b: [", name, "]\n"))) names.push_back(cell.name);
    ASSERT_EQ(names.size(), 2U);
    EXPECT_NE(names[0], names[1]);
    EXPECT_LE(names[0].size(), 57U);  // ".10000" follows where it is repeated
}

TEST_F(MatrixCells, ten_thousand_are_the_most) {
    std::string hundred;
    for (int i = 0; i < 100; ++i) hundred += cat(i > 0 ? ", " : "", "v", i);
    EXPECT_EQ(cells(cat("  a: [", hundred, "]\n  b: [", hundred, "]\n")).size(), 10'000U);
    EXPECT_THAT(refused(cat("  a: [", hundred, "]\n  b: [", hundred, "]\n  c: [x, y]\n")),
                AllOf(HasSubstr("E0164"), HasSubstr("the axes make 20000 cells, and 10000 is the most")));
    std::string bomb;
    for (char axis = 'a'; axis <= 'z'; ++axis) bomb += cat("  ", axis, ": [", hundred, "]\n");
    EXPECT_THAT(refused(bomb), HasSubstr("E0164"));
}

TEST_F(MatrixCells, mistakes_have_a_name_a_place_and_a_cure) {
    struct Case {
        std::string matrix, message;
    };
    for (const auto& [matrix, message] : {
             Case{"  os: {}\n", "web.yaml:6:3: error[E0160]: matrix.os: an axis without values"},
             Case{"  os: []\n", "E0160"},
             Case{"  os:\n", "E0160"},
             Case{"  os: 3\n", "expected the values of the axis"},
             Case{"  os: [a, a]\n", "'a' is there twice"},
             Case{"  os: [[a]]\n", "expected the name of a value"},
             Case{"  os: {a: 3}\n", "expected a patch"},
             Case{"  os: {a: {matrix: {}}}\n", "matrix.os.a.matrix: a patch cannot change 'matrix'"},
             Case{"  os: {a: {extends: [x]}}\n", "a patch cannot change 'extends'"},
             Case{"  os: {a: {name: x}}\n", "a cell is called by the profile's name and its values"},
             Case{"  '1os': [a]\n", "'1os' cannot be an axis"},
             Case{"  patch: [a]\n", "'patch' cannot be an axis"},
             Case{"  HOME: [a]\n", "'HOME' is a variable that every profile has"},
             Case{"  a-b: [x]\n  a_b: [y]\n", "'a_b' and 'a-b' are the same variable a_b"},
             Case{"  os: [a]\n  exclude: [{so: a}]\n", "matrix.exclude[0]: there is no axis 'so'"},
             Case{"  os: [a]\n  exclude: [{os: a}]\n", "no cell is left"},
             Case{"  os: [a]\n  exclude: [{os: a, patch: {}}]\n", "what is left out needs no patch"},
             Case{"  os: [a]\n  exclude: {os: a}\n", "expected a list of maps"},
             Case{"  os: [a]\n  include: [{}]\n", "an entry that says nothing"},
             Case{"  os: [a]\n  include: [{os: b}]\n", "'b' is no value of 'os', and the entry has no patch"},
             Case{"  os: [a]\n  include: [{os: a, hostname: x}]\n", "there is no axis 'hostname'"},
             Case{"  os: [a.b, A.B]\n", "error[E0165]: matrix: the cells os=a.b and os=A.B would both be called"},
             Case{"  x: [b-c, b]\n  y: [d, c-d]\n", "the cells x=b-c, y=d and x=b, y=c-d would both be called 'web-b-c-d'"},
         }) {
        const std::string text = refused(matrix);
        EXPECT_THAT(text, HasSubstr(message)) << matrix;
        EXPECT_THAT(text, Not(IsEmpty())) << matrix;
        diagnostics.clear();
    }
}

TEST_F(MatrixCells, of_several_files_are_merged_and_patches_taken_whole) {
    request.profile.drop_ins = {
        {"more.yaml", "matrix: {os: {b: {domainname: x, mounts: [{target: /m, remove: true}]}, c: null}}\n", "/srv"}};
    read(around("  os: {a: {}, b: {hostname: old}, c: {}}\n"));
    EXPECT_THAT(said(base), IsEmpty());
    const auto all = expand_matrix(base.profile.matrix, "web", diagnostics);
    ASSERT_TRUE(all && all->size() == 2) << (all ? all->size() : 0);
    EXPECT_THAT(said(load((*all)[1])), HasSubstr("more.yaml:1:"));  // nothing to remove: said in the cell
    request.profile.drop_ins = {{"more.yaml", "matrix: {os: [d]}\n", "/srv"}};
    read(around("  os: [a]\n"));
    EXPECT_EQ(expand_matrix(base.profile.matrix, "web", diagnostics)->size(), 2U);
}

TEST_F(MatrixCells, survive_printing) {
    const auto all = cells(
        "  os: {a: {}, b: {hostname: '${os}-x', process: {command: [/bin/echo, '$${PRICE}', '5$']}, resources: {pids: 7}}}\n  include: "
        "[{os: c, patch: {domainname: d}}]\n  exclude: [{os: a}]\n");
    const std::string printed = profile_to_yaml(base.profile);
    read(printed);
    EXPECT_THAT(said(base), IsEmpty());
    const auto again = expand_matrix(base.profile.matrix, "web", diagnostics);
    ASSERT_TRUE(again);
    ASSERT_EQ(again->size(), all.size());
    const Loaded cell = load((*again)[0]);
    EXPECT_EQ(*cell.profile.hostname, "b-x");
    EXPECT_EQ(*cell.profile.process.command[1], "${PRICE}");
    EXPECT_EQ(*cell.profile.process.command[2], "5$");
}

}  // namespace
}  // namespace sandbox
