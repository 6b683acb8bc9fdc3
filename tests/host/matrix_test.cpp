// sandbox matrix, with real sandboxes on this machine.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "base/text.h"
#include "harness.h"
#include "snapshot.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

namespace fs = std::filesystem;

class MatrixRuns : public ::testing::Test {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(!busybox_tree().empty(), "busybox-static is not installed"); }

    TempDir place_;

    // A shell in a tree of its own; `keys` and `matrix` are lines of YAML.
    [[nodiscard]] std::string profile(const std::string& script, const std::string& matrix, const std::string& keys = "") const {
        std::string indented;
        std::istringstream lines(script);
        for (std::string line; std::getline(lines, line);) indented += cat("      ", line, "\n");
        return place_.write("m.yaml", cat("version: 1\nname: m\nrootfs: {path: ", busybox_tree(), ", readonly: true}\n", keys,
                                          "process:\n  command:\n    - /bin/sh\n    - -ec\n    - |\n", indented, "matrix:\n", matrix));
    }
    [[nodiscard]] Words words(const std::string& file, const Words& more) const {
        Words all{"matrix", "--output", out(), file};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    [[nodiscard]] std::string out() const { return place_ / "out"; }
    [[nodiscard]] Ended matrix(const std::string& file, const Words& more = {}, const Options& options = {}) const {
        return sandbox_command(words(file, more), options);
    }
    [[nodiscard]] Process start(const std::string& file, const Words& more = {}, const Options& options = {}) const {
        Words argv = words(file, more);
        argv.insert(argv.begin(), sandbox_binary());
        return Process::start(argv, options);
    }
    // The lines of results.jsonl: cell to state, a later one in place of an earlier one.
    [[nodiscard]] std::map<std::string, std::string> results() const {
        std::map<std::string, std::string> found;
        std::ifstream file(out() + "/results.jsonl");
        for (std::string line; std::getline(file, line);)
            if (const Json json = Json::parse(line, nullptr, false); json.is_object()) found[json["cell"]] = json["state"];
        return found;
    }
    [[nodiscard]] std::string log_of(const std::string& cell) const { return read_text(cat(out(), "/cells/", cell, "/log")); }
    // A named pipe that the cells see as /meeting/NAME; what `meeting_keys` says is of the profile.
    std::string meeting_pipe(const std::string& name) const {
        const std::string path = cat(place_.make("meeting", 0777), "/", name);
        EXPECT_EQ(mkfifo(path.c_str(), 0666), 0) << strerror(errno);
        chmod(path.c_str(), 0666);
        return path;
    }
    [[nodiscard]] std::string meeting_keys() const { return cat("id_map: host\nmounts: [\"", place_ / "meeting", ":/meeting:rw\"]\n"); }
    // Lets so many cells go on that read a line of the pipe.
    static void tell(const Fd& pipe, std::size_t cells) {
        const std::string lines(cells, '\n');
        EXPECT_EQ(write(pipe.get(), lines.data(), lines.size()), static_cast<ssize_t>(cells)) << strerror(errno);
    }
    // "v0, v1, v2"
    static std::string numbered(std::string_view name, int count) {
        std::string values;
        for (int i = 0; i < count; ++i) values += cat(i > 0 ? ", " : "", name, i);
        return values;
    }
    // Looks until the payload has written that, ten seconds at most.
    [[nodiscard]] bool log_becomes(const std::string& cell, const std::string& text) const {
        for (int i = 0; i < 2000; ++i, usleep(5000))
            if (exists(cat(out(), "/cells/", cell, "/log")) && log_of(cell) == text) return true;
        return false;
    }
    static Words names_running() {
        Words names;
        std::istringstream lines(sandbox_command({"ps", "-q"}).out);
        for (std::string line; std::getline(lines, line);) names.push_back(line);
        return names;
    }
};

TEST_F(MatrixRuns, each_cell_in_a_sandbox_of_its_own) {
    const auto before = HostSnapshot::take();
    const std::string file = profile("hostname; echo who=${who} >&2; readlink /proc/self/ns/user",
                                     "  who: [a, b]\n  ids: {own: {id_map: auto}, host: {id_map: host}}\n");
    const Ended ended = matrix(file);
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(ended.out, "");
    EXPECT_THAT(ended.err, AllOf(HasSubstr("4/4"), HasSubstr("sandbox: 4 passed; results in ")));
    const std::string ours = fs::read_symlink("/proc/self/ns/user");
    EXPECT_EQ(log_of("m-a-host"), cat("m-a-host\nwho=a\n", ours, "\n"));
    EXPECT_THAT(log_of("m-b-own"), AllOf(HasSubstr("m-b-own\nwho=b\nuser:["), Not(HasSubstr(ours))));
    const Json result = Json::parse(read_text(out() + "/cells/m-a-own/result.json"));
    EXPECT_EQ(result["reason"], "exit");
    EXPECT_EQ(results().size(), 4U);
    EXPECT_EQ(differences_since(before), "");
}

// Each waits for the other: they end only when both run at once.
TEST_F(MatrixRuns, cells_side_by_side) {
    meeting_pipe("pipe");
    const std::string file = profile("if [ ${side} = left ]; then echo met >/meeting/pipe; else cat /meeting/pipe; fi",
                                     "  side: [left, right]\n", cat(meeting_keys(), "lifecycle: {timeout: 30s}\n"));
    const Ended both = matrix(file, {"-j", "2"});
    EXPECT_TRUE(both.ok()) << both;
    EXPECT_EQ(log_of("m-right"), "met\n");
    const Ended alone = matrix(file, {"-j", "1", "--set", "lifecycle.timeout=300ms"});
    EXPECT_EQ(alone.code, 1) << alone;
    EXPECT_THAT(results(), UnorderedElementsAre(std::pair("m-left", "failed"), std::pair("m-right", "failed")));
    EXPECT_EQ(Json::parse(read_text(out() + "/cells/m-left/result.json"))["reason"], "timeout");
}

TEST_F(MatrixRuns, no_more_than_fit) {
    const std::string file = profile("true", "  a: [x, y, z]\n", "resources: {memory: {max: 64Mi}}\n");
    EXPECT_TRUE(matrix(file, {"--fit", "-j", "64"}).ok());
    const Ended unlimited = matrix(profile("true", "  a: [x]\n"), {"--fit"});
    EXPECT_EQ(unlimited.code, 125);
    EXPECT_THAT(unlimited.err,
                AllOf(HasSubstr("--fit: the cell 'm-x' has no limit of memory"), HasSubstr("hint: set resources.memory.max")));
}

TEST_F(MatrixRuns, tells_how_each_cell_ended) {
    const std::string file = profile(
        "case ${how} in\n"
        "pass) exit 0;;\n"
        "code) echo on error; exit 3;;\n"
        "signal) kill -9 $$$$;;\n"
        "late) exec sleep 100;;\n"
        "esac",
        "  how:\n    pass: {}\n    code: {}\n    signal: {}\n    late: {lifecycle: {timeout: 200ms}}\n"
        "    missing: {process: {command: [/not/there]}}\n");
    const Ended ended = matrix(file, {"--report", "json"});
    EXPECT_EQ(ended.code, 1) << ended;
    EXPECT_THAT(results(),
                UnorderedElementsAre(std::pair("m-pass", "passed"), std::pair("m-code", "failed"), std::pair("m-signal", "failed"),
                                     std::pair("m-late", "failed"), std::pair("m-missing", "error")));
    EXPECT_THAT(log_of("m-missing"), HasSubstr("/not/there"));
    EXPECT_EQ(log_of("m-code"), "on error\n");
    std::istringstream lines(ended.out);
    Json last;
    for (std::string line; std::getline(lines, line);) last = Json::parse(line);
    EXPECT_EQ(last["passed"], false) << last;
}

TEST_F(MatrixRuns, a_flaky_cell_is_not_a_passed_one) {
    const std::string seen = place_.make("seen", 0777);
    const std::string file = profile("[ ${a} = calm ] || { [ -e /seen/once ] || { touch /seen/once; exit 1; }; }", "  a: [calm, moody]\n",
                                     cat("id_map: host\nmounts: [\"", seen, ":/seen:rw\"]\n"));
    const Ended ended = matrix(file, {"--retry", "2", "--report", "tap"});
    EXPECT_EQ(ended.code, 1) << ended;
    EXPECT_EQ(results()["m-moody"], "flaky");
    EXPECT_EQ(results()["m-calm"], "passed");
    EXPECT_THAT(ended.out, AllOf(HasSubstr("\nok 1 - m-calm"), HasSubstr("\nnot ok 2 - m-moody")));
    EXPECT_TRUE(exists(out() + "/cells/m-moody/log.1"));
}

TEST_F(MatrixRuns, layers_are_shared_and_uppers_are_not) {
    const std::string lower = place_.make("lower"), uppers = place_.make("uppers", 0700);
    place_.write("lower/from-below", "below\n");
    const std::string script = "test ! -e /mine; cat /from-below; echo ${a} >/mine; cat /mine";
    const std::string head =
        cat("version: 1\nname: m\nid_map: host\nprocess: {command: [/bin/sh, -ec, '", script, "']}\nmatrix: {a: [x, y]}\n");
    const auto overlay = [&](const std::string& upper) {
        return place_.write("o.yaml", cat(head, "rootfs: {overlay: {lower: [", lower, ", ", busybox_tree(), "], upper: ", upper, "}}\n"));
    };
    const Ended scratch = matrix(overlay("tmpfs"));
    EXPECT_TRUE(scratch.ok()) << scratch << log_of("m-x");
    EXPECT_EQ(log_of("m-x"), "below\nx\n");
    EXPECT_EQ(log_of("m-y"), "below\ny\n");
    for (const char* name : {"m-x", "m-y"}) place_.make(cat("uppers/", name));
    const Ended kept = matrix(overlay(cat("\"", uppers, "/${NAME}\"")));
    EXPECT_TRUE(kept.ok()) << kept << log_of("m-x");
    EXPECT_EQ(read_text(uppers + "/m-y/mine"), "y\n");
    const Ended shared = matrix(overlay(uppers));
    EXPECT_EQ(shared.code, 125);
    EXPECT_THAT(shared.err, AllOf(HasSubstr("E0168"), HasSubstr("the cells a=x and a=y would write to one directory"),
                                  HasSubstr("write ${NAME} in it")));
}

// ---- which cells

TEST_F(MatrixRuns, chosen_cells_alone) {
    const std::string file = profile("true", "  a: [x, y, z]\n  b: ['1', '2']\n");
    const auto names = [&](const Words& more) {
        Words all{"--list", "-q"};
        all.insert(all.end(), more.begin(), more.end());
        return matrix(file, all).out;
    };
    EXPECT_EQ(names({"--only", "a=y"}), "m-y-1\nm-y-2\n");
    EXPECT_EQ(names({"--only", "a=y", "--only", "a=z", "--only", "b=2"}), "m-y-2\nm-z-2\n");
    EXPECT_EQ(names({"--skip", "a=y", "--skip", "b=1"}), "m-x-2\nm-z-2\n");
    EXPECT_EQ(names({"--cell", "m-z-1"}), "m-z-1\n");
    EXPECT_EQ(names({"--shard", "1/4"}) + names({"--shard", "2/4"}) + names({"--shard", "3/4"}) + names({"--shard", "4/4"}),
              "m-x-1\nm-z-1\nm-x-2\nm-z-2\nm-y-1\nm-y-2\n");
    EXPECT_FALSE(exists(out()));
    struct Case {
        Words words;
        const char *text, *hint;
    };
    for (const auto& [more, text, hint] : {Case{{"--only", "a"}, "--only 'a' is no axis=value", "--list"},
                                           {{"--only", "aa=x"}, "--only: there is no axis 'aa'", "did you mean 'a'?"},
                                           {{"--skip", "a=w"}, "--skip: no cell has 'w' as its a", "did you mean"},
                                           {{"--cell", "m-x-3"}, "--cell: there is no cell 'm-x-3'", "did you mean 'm-x-"},
                                           {{"--shard", "5/4"}, "--shard '5/4' is no part of a whole", "--shard 2/3"},
                                           {{"--only", "a=x", "--skip", "a=x"}, "no cell is left", "take all of them away"},
                                           {{"-j", "0"}, "-j '0' is no number from 1 to", ""},
                                           {{"--retry", "x"}, "--retry 'x' is no number", ""},
                                           {{"--repeat", "10001"}, "--repeat '10001' is no number from 1 to 10000", ""},
                                           {{"--report", "xml"}, "there is no report 'xml'", "tap, junit"},
                                           {{"--report", "tap="}, "names no file", "FORMAT=FILE"},
                                           {{"--report", "tap", "--report", "md"}, "two reports cannot both go", "FORMAT=FILE"},
                                           {{"--engine", "cloud"}, "there is no engine 'cloud'", "local, or slurm"},
                                           {{"--engine", "slurm", "--fit"}, "--fit is for this machine's own engine", "Slurm decides"},
                                           {{"--resume"}, "there is nothing to resume in", "without --resume"}}) {
        const Ended ended = matrix(file, more);
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, AllOf(HasSubstr(text), HasSubstr(hint)));
    }
}

TEST_F(MatrixRuns, lists_cells_with_profiles_that_can_be_run) {
    const std::string file = profile("exit ${code}", "  code: ['0', '4']\n  net: {none: {}, host: {network: {mode: host}}}\n");
    const Ended list = matrix(file, {"--list"});
    ASSERT_TRUE(list.ok()) << list;
    std::vector<std::string> documents;
    std::istringstream lines(list.out);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("--- # ")) documents.emplace_back();
        ASSERT_FALSE(documents.empty());
        documents.back() += line + "\n";
    }
    ASSERT_EQ(documents.size(), 4U);
    EXPECT_THAT(documents[3], AllOf(::testing::StartsWith("--- # m-4-host: code=4, net=host\n"), HasSubstr("name: m-4-host\n")));
    EXPECT_EQ(sandbox_command({"up", place_.write("cell.yaml", documents[2])}).code, 4);
    const Ended plan = matrix(file, {"--plan", "--only", "code=4"});
    EXPECT_TRUE(plan.ok()) << plan;
    EXPECT_THAT(plan.out, AllOf(HasSubstr("# m-4-none: code=4, net=none\n"), HasSubstr("# m-4-host: "), HasSubstr("exec")));
    EXPECT_FALSE(exists(out()));
}

TEST_F(MatrixRuns, in_an_order_of_chance_that_can_be_had_again) {
    const std::string order = place_.make("order", 0777);
    std::string values;
    for (int i = 0; i < 8; ++i) values += cat(i > 0 ? ", " : "", "v", i);
    const std::string file =
        profile("echo ${a} >>/order/all", cat("  a: [", values, "]\n"), cat("id_map: host\nmounts: [\"", order, ":/order:rw\"]\n"));
    const auto ran = [&](const Words& more) {
        fs::remove(order + "/all");
        Words all{"-j", "1"};
        all.insert(all.end(), more.begin(), more.end());
        const Ended ended = matrix(file, all);
        EXPECT_TRUE(ended.ok()) << ended;
        return std::pair(read_text(order + "/all"), ended.err);
    };
    EXPECT_EQ(ran({}).first, "v0\nv1\nv2\nv3\nv4\nv5\nv6\nv7\n");
    const auto [first, said] = ran({"--shuffle"});
    std::smatch seed;
    ASSERT_TRUE(std::regex_search(said, seed, std::regex("--seed ([0-9]+)"))) << said;
    EXPECT_EQ(ran({"--seed", seed[1]}).first, first);
    EXPECT_NE(ran({"--seed", "1"}).first, ran({"--seed", "2"}).first);
}

TEST_F(MatrixRuns, repeats_each_cell) {
    const std::string order = place_.make("order", 0777);
    const std::string file = profile("hostname >>/order/all", "  a: [x, y]\n", cat("id_map: host\nmounts: [\"", order, ":/order:rw\"]\n"));
    const Ended ended = matrix(file, {"--repeat", "3", "-j", "1"});
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(order + "/all"), "m-x\nm-x.2\nm-x.3\nm-y\nm-y.2\nm-y.3\n");
    EXPECT_THAT(ended.err, HasSubstr("6 passed"));
}

// ---- ending it

// Cells that run until they are told to end, and say so.
constexpr const char* until_told = "trap 'echo asked; exit 0' TERM\necho up\nwhile :; do sleep 1000 & wait $!; done";

TEST_F(MatrixRuns, a_failure_ends_all_when_asked) {
    meeting_pipe("pipe");
    const auto before = HostSnapshot::take();
    // The one that fails waits until the other is there to be ended.
    const std::string file = profile(cat("if [ ${a} = bad ]; then cat /meeting/pipe; exit 9; fi\ntrap 'echo asked; exit 0' TERM\n"
                                         "echo up >/meeting/pipe\nwhile :; do sleep 1000 & wait $!; done"),
                                     "  a: [bad, long, later]\n", meeting_keys());
    const Ended ended = matrix(file, {"--fail-fast", "-j", "2"});
    EXPECT_EQ(ended.code, 1) << ended;
    EXPECT_EQ(results()["m-bad"], "failed");
    EXPECT_FALSE(results().contains("m-later"));
    EXPECT_EQ(log_of("m-long"), "asked\n");
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(MatrixRuns, ctrl_c_stops_and_cleans_all) {
    const auto before = HostSnapshot::take();
    {
        Options options;
        options.pty = true;
        Process running = start(profile(until_told, "  a: [x, y, z]\n"), {"-j", "2"}, options);
        ASSERT_TRUE(running.expect("m-y")) << running.out();
        ASSERT_TRUE(log_becomes("m-x", "up\n") && log_becomes("m-y", "up\n"));
        running.send("\x03");
        const Ended ended = running.wait();
        EXPECT_EQ(ended.code, 128 + SIGINT) << ended;
    }
    EXPECT_EQ(log_of("m-x"), "up\nasked\n");
    EXPECT_EQ(log_of("m-y"), "up\nasked\n");
    EXPECT_FALSE(exists(out() + "/cells/m-z/log"));
    EXPECT_THAT(names_running(), IsEmpty());
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(MatrixRuns, a_second_signal_kills) {
    const auto before = HostSnapshot::take();
    Process running =
        start(profile("trap '' TERM\necho up\nwhile :; do sleep 1000 & wait $!; done", "  a: [x]\n", "lifecycle: {stop: {grace: 1h}}\n"));
    ASSERT_TRUE(log_becomes("m-x", "up\n"));
    running.signal(SIGTERM);
    running.signal(SIGINT);
    const Ended ended = running.wait();
    EXPECT_THAT(ended.code, ::testing::AnyOf(128 + SIGTERM, 128 + SIGINT)) << ended;  // of two that wait the lower one is read first
    EXPECT_TRUE(sandbox_command({"gc"}).ok());
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(MatrixRuns, killed_in_the_middle_leaves_nothing_after_gc_and_is_resumed) {
    const Fd pipe(open(meeting_pipe("pipe").c_str(), O_RDWR | O_CLOEXEC));
    const std::string file = profile("case ${a} in waits*) read line </meeting/pipe;; esac",
                                     cat("  a: [", numbered("v", 20), ", ", numbered("waits", 40), "]\n"),
                                     cat(meeting_keys(), "dirs: [/tmp/own]\nresources: {pids: 16}\n"));
    const auto before = HostSnapshot::take();
    Options patient;
    patient.timeout = milliseconds(120000);
    {
        Process running = start(file, {}, patient);
        ASSERT_TRUE(running.expect_error("20/60", milliseconds(60000))) << running.err();
        running.signal(SIGKILL);
        EXPECT_EQ(running.wait().signal, SIGKILL);
    }
    EXPECT_EQ(results().size(), 20U);
    // Supervisors go with the matrix, and the kernel takes a moment to end what they looked after.
    const auto lives = [] {
        const std::string list = sandbox_command({"ps", "--json"}).out;
        return list.find("\"running\"") != std::string::npos || list.find("\"creating\"") != std::string::npos;
    };
    for (int i = 0; i < 1000 && lives(); ++i) usleep(10000);
    const Ended gc = sandbox_command({"gc"});
    EXPECT_TRUE(gc.ok()) << gc;
    EXPECT_EQ(differences_since(before), "");
    tell(pipe, 40);
    const Ended resumed = matrix(file, {"--resume"}, patient);
    EXPECT_TRUE(resumed.ok()) << resumed;
    EXPECT_THAT(resumed.err, HasSubstr("60 passed"));
    EXPECT_EQ(results().size(), 60U);
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(MatrixRuns, resume_runs_what_has_changed) {
    const auto at = [this](const std::string& b) { return profile("true", cat("  a: {x: {}, y: {hostname: ", b, "}}\n")); };
    EXPECT_TRUE(matrix(at("one")).ok());
    const auto stamp = fs::last_write_time(out() + "/cells/m-x/result.json");
    const auto other = fs::last_write_time(out() + "/cells/m-y/result.json");
    EXPECT_TRUE(matrix(at("two"), {"--resume"}).ok());
    EXPECT_EQ(fs::last_write_time(out() + "/cells/m-x/result.json"), stamp);
    EXPECT_NE(fs::last_write_time(out() + "/cells/m-y/result.json"), other);
}

TEST_F(MatrixRuns, memory_and_descriptors_do_not_grow) {
    const Fd early(open(meeting_pipe("early").c_str(), O_RDWR | O_CLOEXEC)), late(open(meeting_pipe("late").c_str(), O_RDWR | O_CLOEXEC));
    Options patient;
    patient.timeout = milliseconds(300000);
    Process running =
        start(profile("case ${a} in *-?) name=${a}; echo up; read line </meeting/$${name%-?};; esac",
                      cat("  a: [", numbered("v", 48), ", early-a, early-b, ", numbered("w", 248), ", late-a, late-b]\n"), meeting_keys()),
              {"-j", "2"}, patient);
    // Two cells run and wait.
    const auto look = [&] {
        std::ifstream status(cat("/proc/", running.pid(), "/status"));
        long kibibytes = 0;
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("RssAnon:")) kibibytes = std::stol(line.substr(8));
        const fs::directory_iterator entries(cat("/proc/", running.pid(), "/fd"));
        return std::pair(kibibytes, std::distance(begin(entries), end(entries)));
    };
    ASSERT_TRUE(running.expect_error("48/300", milliseconds(60000))) << running.err();
    ASSERT_TRUE(log_becomes("m-early-a", "up\n") && log_becomes("m-early-b", "up\n"));
    const auto [memory, descriptors] = look();
    tell(early, 2);
    ASSERT_TRUE(running.expect_error("298/300", milliseconds(60000))) << running.err();
    ASSERT_TRUE(log_becomes("m-late-a", "up\n") && log_becomes("m-late-b", "up\n"));
    const auto [memory_later, descriptors_later] = look();
    tell(late, 2);
    EXPECT_TRUE(running.wait().ok());
    EXPECT_GT(memory, 0);
    EXPECT_LE(memory_later, memory + 512);
    EXPECT_EQ(descriptors_later, descriptors);
}

// ---- bad input

TEST_F(MatrixRuns, a_patch_that_makes_an_invalid_profile_names_cell_and_patch) {
    const std::string file =
        profile("true", "  a:\n    fine: {}\n    bad: {resources: {memory: {max: lots}}}\n    none: {rootfs: {tmpfs: {}}}\n  b: [x, y]\n");
    for (const Words& verb : {Words{"validate", file}, Words{"matrix", file}}) {
        const Ended ended = sandbox_command(verb);
        EXPECT_EQ(ended.code, verb[0] == "validate" ? 1 : 125) << ended;
        EXPECT_TRUE(std::regex_search(ended.err,
                                      std::regex("m\\.yaml:[0-9]+:37: error\\[E0303\\]: resources.memory.max: 'lots' is not a size\n(.*\n)*"
                                                 "    in the cell a=bad, b=x and 1 more, patched at .*m\\.yaml:[0-9]+:5\n")))
            << ended.err;
        EXPECT_THAT(ended.err,
                    AllOf(HasSubstr("more than one of path, host, overlay, tmpfs"), HasSubstr("in the cell a=none, b=x and 1 more")));
    }
    EXPECT_FALSE(exists(out()));
    const Ended json = sandbox_command({"validate", "--json", file});
    EXPECT_EQ(json.code, 1);
    EXPECT_EQ(Json::parse(json.out)[0]["cell"], "m-bad-x");
}

TEST_F(MatrixRuns, mistakes_of_the_matrix_are_told_before_anything_runs) {
    const std::string missing = place_.write("up.yaml", "version: 1\nrootfs: {host: ro}\nprocess: {command: [/bin/true]}\n");
    EXPECT_THAT(matrix(missing).err, AllOf(HasSubstr("has no matrix"), HasSubstr("sandbox up")));
    const Ended empty = matrix(profile("true", "  a: {}\n"));
    EXPECT_EQ(empty.code, 125);
    EXPECT_THAT(empty.err, AllOf(HasSubstr("error[E0160]: matrix.a: an axis without values"), HasSubstr("hint: ")));
    const Ended idle = matrix(profile("true", "  a: [x, y]\n  exclude: [{a: z}]\n"));
    EXPECT_TRUE(idle.ok()) << idle;
    EXPECT_THAT(idle.err, HasSubstr("warning[E0167]: matrix.exclude[0]: takes no cell away"));
    EXPECT_THAT(matrix(profile("true", "  a: [X, x]\n")).err, HasSubstr("would both be called 'm-x'"));
    std::string hundred;
    for (int i = 0; i < 100; ++i) hundred += cat(i > 0 ? ", " : "", "v", i);
    const Ended many = matrix(profile("true", cat("  a: [", hundred, "]\n  b: [", hundred, "]\n  c: [", hundred.substr(0, 38), "]\n")));
    EXPECT_EQ(many.code, 125);
    EXPECT_THAT(many.err, AllOf(HasSubstr("E0164"), HasSubstr("cells, and 10000 is the most")));
    const Ended often = matrix(profile("true", cat("  a: [", hundred, "]\n  b: [", hundred, "]\n")), {"--repeat", "11"});
    EXPECT_EQ(often.code, 125);
    EXPECT_THAT(often.err, AllOf(HasSubstr("10000 cells 11 times are more than 100000 runs"), HasSubstr("--shard")));
    const Ended nowhere = matrix(profile("true", "  a: [x]\n"), {"--report", "junit=/nowhere/report.xml"});
    EXPECT_EQ(nowhere.code, 125);
    EXPECT_THAT(nowhere.err, HasSubstr("--report '/nowhere/report.xml': no such file or directory"));
    const Ended missing_file = matrix(place_ / "none.yaml");
    EXPECT_EQ(missing_file.code, 125);
    EXPECT_THAT(missing_file.err, HasSubstr("no such file"));
}

TEST_F(MatrixRuns, a_name_that_is_taken_is_an_error_of_that_cell_alone) {
    const std::string other = place_.write("other.yaml", cat("version: 1\nname: m-x\nrootfs: {path: ", busybox_tree(), "}\n"));
    ASSERT_TRUE(sandbox_command({"up", "-d", other, "--", "/bin/sleep", "1000"}).ok());
    const Ended ended = matrix(profile("true", "  a: [x, y]\n"));
    EXPECT_EQ(ended.code, 1) << ended;
    EXPECT_EQ(results()["m-x"], "error");
    EXPECT_EQ(results()["m-y"], "passed");
    EXPECT_THAT(log_of("m-x"), HasSubstr("m-x"));
    EXPECT_TRUE(sandbox_command({"down", "m-x"}).ok());
    fs::remove_all("/var/log/sandbox/m-x");
}

TEST_F(MatrixRuns, two_at_once_need_two_folders) {
    Process running = start(profile(until_told, "  a: [x]\n"));
    ASSERT_TRUE(log_becomes("m-x", "up\n"));
    const Ended second = matrix(place_ / "m.yaml");
    EXPECT_EQ(second.code, 125);
    EXPECT_THAT(second.err, AllOf(HasSubstr("another sandbox matrix writes to"), HasSubstr("--output")));
    running.signal(SIGTERM);
    EXPECT_EQ(running.wait().code, 128 + SIGTERM);
    const Ended foreign = sandbox_command({"matrix", "--output", place_.path(), place_ / "m.yaml"});
    EXPECT_EQ(foreign.code, 125);
    EXPECT_THAT(foreign.err, HasSubstr("has something else in it"));
}

TEST_F(MatrixRuns, an_ordinary_user_has_one_too) {
    HOST_ROOT_OR_LEFT_OUT();
    Options options = ordinary_user();
    const std::string file = profile("id -u", "  a: [x, y]\n");
    const Ended ended = sandbox_command({"matrix", file}, options);
    EXPECT_TRUE(ended.ok()) << ended;
    std::smatch folder;
    ASSERT_TRUE(std::regex_search(ended.err, folder, std::regex("results in (/[^\n]*/sandbox/matrix/m)"))) << ended.err;
    fs::remove_all(std::string(folder[1]));
}

}  // namespace
