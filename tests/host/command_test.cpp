// The command line as its user meets it: what is printed where, exit codes, JSON, names, and what is left behind.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <filesystem>
#include <regex>
#include <set>

#include "base/fd.h"
#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

Names keys_of(const Json& object) {
    Names keys;
    for (const auto& [key, value] : object.items()) keys.push_back(key);
    return keys;
}

// An object with exactly these keys, in whatever order the parser keeps them.
::testing::Matcher<const Names&> keys(Names expected) { return ::testing::UnorderedElementsAreArray(std::move(expected)); }

std::string small(std::string_view rest = {}) { return cat("version: 1\nrootfs: {path: ", probe_tree(), "}\n", rest); }

class CommandLine : public ::testing::Test {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root"); }
    // Profiles of the three kinds, for verbs that take several.
    [[nodiscard]] std::string valid() const { return place_.write("valid.yaml", small("process: {command: [/sandbox-probe]}\n")); }
    [[nodiscard]] std::string invalid() const { return place_.write("invalid.yaml", small("nmae: x\nprocess: {command: [/x]}\n")); }
    [[nodiscard]] std::string missing() const { return place_ / "missing.yaml"; }
    TempDir place_;
};

// ---- help, version, what is not there

const char* const verbs[] = {"up", "run", "validate", "plan", "config", "schema", "doctor", "gc", "version", "help"};

TEST(Help, is_the_same_by_verb_and_by_option) {
    const Ended all = sandbox_command({"help"});
    EXPECT_TRUE(all.ok()) << all;
    EXPECT_EQ(all.err, "");
    EXPECT_EQ(sandbox_command({"--help"}).out, all.out);
    for (const char* verb : verbs) {
        EXPECT_THAT(all.out, HasSubstr(cat("\n  ", verb, " "))) << verb;
        const Ended by_verb = sandbox_command({"help", verb}), by_option = sandbox_command({verb, "--help"});
        EXPECT_TRUE(by_verb.ok() && by_option.ok()) << verb << by_verb << by_option;
        EXPECT_THAT(by_verb.out, HasSubstr(cat("Usage: sandbox ", verb))) << verb;
        EXPECT_EQ(by_verb.err, "") << verb;
        EXPECT_EQ(by_option.out, by_verb.out) << verb;
    }
}

TEST(Version, is_one_line) {
    const Ended version = sandbox_command({"version"});
    EXPECT_TRUE(version.ok());
    EXPECT_TRUE(std::regex_match(version.out, std::regex("sandbox [0-9]+\\.[0-9]+\\.[0-9]+\n"))) << version.out;
    EXPECT_EQ(sandbox_command({"--version"}).out, version.out);
}

TEST(CommandLineMistake, is_answered_with_what_was_meant) {
    struct Case {
        Words words;
        const char *text, *hint;
    };
    const Case cases[] = {
        {{}, "a verb is missing", "sandbox help"},
        {{"upp", "x.yaml"}, "there is no verb 'upp'", "did you mean 'up'?"},
        {{"plna", "x.yaml"}, "there is no verb 'plna'", "did you mean 'plan'?"},
        {{"frobnicate"}, "there is no verb 'frobnicate'", "sandbox help"},
        {{"help", "validat"}, "there is no verb 'validat'", "did you mean 'validate'?"},
        {{"--verison"}, "there is no option '--verison'", "did you mean '--version'?"},
        {{"up", "--nme", "x", "x.yaml"}, "there is no option '--nme' of up", "did you mean '--name'?"},
        {{"up", "x.yaml", "--reslt=f"}, "there is no option '--reslt' of up", "did you mean '--result'?"},
        {{"plan", "--jsno", "x.yaml"}, "there is no option '--jsno' of plan", "did you mean '--json'?"},
        {{"gc", "-x"}, "there is no option '-x' of gc", "sandbox help gc"},
        {{"up"}, "up needs a PROFILE", "search path"},
        {{"validate"}, "validate needs a PROFILE", "search path"},
        {{"up", "x.yaml", "--result"}, "'--result' needs a value: FILE", "sandbox help up"},
        {{"up", "x.yaml", "--set"}, "'--set' needs a value: KEY=VALUE", "sandbox help up"},
        {{"up", "x.yaml", "--quiet=1"}, "'--quiet' takes no value", "sandbox help up"},
        {{"up", "x.yaml", "ls"}, "'ls' is one word too many for up", "after --"},
        {{"gc", "all"}, "'all' is one word too many for gc", "sandbox help gc"},
        {{"up", "--tty", "--no-tty", "x.yaml"}, "--tty", "sandbox help up"},
        {{"validate", "x.yaml", "--", "ls"}, "validate takes no command", "sandbox help validate"},
    };
    for (const Case& each : cases) {
        const Ended ended = sandbox_command(each.words);
        SCOPED_TRACE(::testing::PrintToString(each.words));
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_EQ(ended.out, "");
        EXPECT_THAT(ended.err, StartsWith("sandbox: error: "));
        EXPECT_THAT(ended.err, HasSubstr(each.text));
        EXPECT_THAT(ended.err, HasSubstr("\n  hint: "));
        EXPECT_THAT(ended.err, HasSubstr(each.hint));
    }
}

// ---- validate

TEST_F(CommandLine, validate_gives_the_worst_of_all_and_shows_each) {
    struct Case {
        Words profiles;
        int code;
    };
    for (const Case& each : {Case{{valid()}, 0},
                             {{valid(), valid()}, 0},
                             {{invalid()}, 1},
                             {{valid(), invalid()}, 1},
                             {{missing()}, 2},
                             {{missing(), valid()}, 2},
                             {{missing(), invalid(), valid()}, 2},
                             {{invalid(), missing()}, 2}}) {
        Words words = {"validate"};
        words.insert(words.end(), each.profiles.begin(), each.profiles.end());
        const Ended ended = sandbox_command(words);
        SCOPED_TRACE(::testing::PrintToString(words));
        EXPECT_EQ(ended.code, each.code) << ended;
        EXPECT_EQ(ended.out, "");
        for (const std::string& profile : {valid(), invalid(), missing()}) {
            const bool wrong = profile != valid() && std::ranges::find(each.profiles, profile) != each.profiles.end();
            EXPECT_EQ(ended.err.find(profile) != std::string::npos, wrong) << profile << ended;
        }
    }
}

// Where a package is built: what only this host lacks is no mistake, and what is one everywhere is told as ever.
TEST_F(CommandLine, validate_without_host_tells_what_is_wrong_everywhere) {
    const std::string elsewhere = place_.write("elsewhere.yaml", "version: 1\nrootfs: {path: /no/such}\nprocess: {command: [/x]}\n");
    EXPECT_EQ(sandbox_command({"validate", elsewhere}).code, 1);
    const Ended fine = sandbox_command({"validate", "--no-host", elsewhere});
    EXPECT_TRUE(fine.ok()) << fine;
    EXPECT_EQ(fine.err, "");
    const Ended wrong = sandbox_command({"validate", "--no-host", invalid(), elsewhere});
    EXPECT_EQ(wrong.code, 1);
    EXPECT_EQ(wrong.err, sandbox_command({"validate", invalid()}).err);
    const std::string call = place_.write("call.yaml", small("security: {seccomp: {deny: [no_such_call]}}\n"));
    EXPECT_THAT(sandbox_command({"validate", "--no-host", call}).err, HasSubstr("no_such_call"));
}

TEST_F(CommandLine, validate_as_json_is_a_list_of_all_diagnostics) {
    const Ended none = sandbox_command({"validate", "--json", valid()});
    EXPECT_TRUE(none.ok());
    EXPECT_EQ(Json::parse(none.out), Json::array());
    const std::string other = place_.write("other.yaml", small("hostname: 3\nresources: {}\n"));
    const Ended ended = sandbox_command({"validate", invalid(), other, "--json"});
    EXPECT_EQ(ended.code, 1);
    EXPECT_EQ(ended.err, "");
    const Json list = Json::parse(ended.out);
    ASSERT_GE(list.size(), 3U) << list;
    std::set<std::string> files;
    for (const Json& d : list) {
        EXPECT_THAT(keys_of(d), keys({"code", "severity", "file", "line", "column", "key", "message", "hint", "via"}));
        files.insert(d["file"].get<std::string>());
    }
    EXPECT_EQ(files, (std::set<std::string>{invalid(), other}));
    EXPECT_EQ(list[0], (Json{{"code", "E0203"},
                             {"severity", "error"},
                             {"file", invalid()},
                             {"line", 3},
                             {"column", 1},
                             {"key", "nmae"},
                             {"message", "unknown key"},
                             {"hint", "did you mean 'name'?"},
                             {"via", Json::array()}}));
}

// ---- up, run

TEST_F(CommandLine, up_gives_the_payloads_output_and_no_word_of_its_own) {
    for (const char* verb : {"up", "run"}) {
        const Ended ended = sandbox_command({verb, valid(), "--", "/sandbox-probe", "pid"});
        EXPECT_TRUE(ended.ok()) << ended;
        EXPECT_EQ(Json::parse(ended.out)["pid"]["pid"], 2);
        EXPECT_EQ(ended.err, "") << verb;
    }
}

TEST_F(CommandLine, up_and_run_end_as_the_payload_does) {
    const auto before = HostSnapshot::take();
    const std::string limited = place_.write("limited.yaml", small("lifecycle: {timeout: 50ms}\n"));
    for (const char* verb : {"up", "run"}) {
        const auto code = [&](const std::string& profile, const Words& command) {
            Words words = {verb, profile, "--"};
            words.insert(words.end(), command.begin(), command.end());
            return sandbox_command(words).code;
        };
        EXPECT_EQ(code(valid(), {"/sandbox-probe", "exit:0"}), 0) << verb;
        EXPECT_EQ(code(valid(), {"/sandbox-probe", "exit:7"}), 7) << verb;
        EXPECT_EQ(code(valid(), {"/sandbox-probe", "kill:KILL"}), 128 + SIGKILL) << verb;
        EXPECT_EQ(code(limited, {"/sandbox-probe", "wait-signal:USR1"}), 124) << verb;
        EXPECT_EQ(code(invalid(), {"/sandbox-probe"}), 125) << verb;
        EXPECT_EQ(code(missing(), {"/sandbox-probe"}), 125) << verb;
        EXPECT_EQ(code(valid(), {"/etc/passwd"}), 126) << verb;
        EXPECT_EQ(code(valid(), {"/no/such"}), 127) << verb;
    }
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(CommandLine, verbose_says_each_step_and_quiet_nothing) {
    const Ended loud = sandbox_command({"up", "-v", valid(), "--", "/sandbox-probe", "pid"});
    EXPECT_TRUE(loud.ok());
    EXPECT_THAT(loud.err, HasSubstr("clone into new namespaces"));
    EXPECT_EQ(Json::parse(loud.out)["pid"]["pid"], 2);
    const std::string optional = place_.write(
        "optional.yaml", small("mounts: [{source: /no/such, target: /mnt, optional: true}]\nprocess: {command: [/sandbox-probe, pid]}\n"));
    EXPECT_THAT(sandbox_command({"up", optional}).err, HasSubstr("sandbox: left out: mount:/mnt: /no/such is missing\n"));
    EXPECT_EQ(sandbox_command({"up", "--quiet", optional}).err, "");
    EXPECT_EQ(sandbox_command({"up", "--quiet", invalid()}).code, 125);
    EXPECT_THAT(sandbox_command({"up", "--quiet", invalid()}).err, HasSubstr("nmae")) << "errors are said all the same";
}

TEST_F(CommandLine, run_takes_a_name_of_its_own_each_time) {
    Options options;
    options.keep_input_open = true;
    Process one = Process::start({sandbox_binary(), "run", valid(), "--", "/sandbox-probe", "hostname", "hold"}, options);
    ASSERT_TRUE(one.expect("\"ready\":true")) << one.err();
    Process two = Process::start({sandbox_binary(), "run", valid(), "--", "/sandbox-probe", "hostname", "hold"}, options);
    ASSERT_TRUE(two.expect("\"ready\":true")) << two.err();
    one.close_input();
    two.close_input();
    EXPECT_NE(last_json(one.wait())["hostname"], last_json(two.wait())["hostname"]);
}

// ---- --result

class ResultFile : public CommandLine {
   protected:
    Json result_of(const std::string& profile, const Words& command) {
        std::filesystem::remove(place_ / "result.json");
        Words words = {"up", "--result", place_ / "result.json", profile};
        if (!command.empty()) words.push_back("--");
        words.insert(words.end(), command.begin(), command.end());
        ended_ = sandbox_command(words);
        return exists(place_ / "result.json") ? Json::parse(read_text(place_ / "result.json")) : Json();
    }
    Ended ended_;
};

TEST_F(ResultFile, has_the_fields_that_are_documented) {
    const Json result = result_of(valid(), {"/sandbox-probe", "pid"});
    EXPECT_THAT(keys_of(result), keys({"reason", "exit_code", "signal", "wall_s", "user_s", "system_s", "memory_peak_bytes", "pids_peak",
                                       "oom_kills", "skipped"}));
    EXPECT_GT(result["wall_s"].get<double>(), 0);
    EXPECT_GE(result["user_s"].get<double>(), 0);
    EXPECT_GE(result["system_s"].get<double>(), 0);
    EXPECT_GT(result["memory_peak_bytes"].get<long>(), 0);
    const bool counted = has_groups();
    for (const char* field : {"pids_peak", "oom_kills"}) EXPECT_EQ(result[field].is_number(), counted) << field << result;
    const std::string alone = place_.write("alone.yaml", small("cgroup: {manager: none}\n"));
    const Json uncounted = result_of(alone, {"/sandbox-probe", "pid"});
    for (const char* field : {"pids_peak", "oom_kills"}) EXPECT_TRUE(uncounted[field].is_null()) << "no control group counts it";
}

TEST_F(ResultFile, tells_the_reason_of_every_end) {
    const auto expect = [this](const Json& result, const char* reason, int code, int signal) {
        EXPECT_EQ(result["reason"], reason) << result << ended_;
        EXPECT_EQ(result["exit_code"], code) << result;
        EXPECT_EQ(result["signal"], signal) << result;
        EXPECT_EQ(ended_.code, code) << ended_;
    };
    expect(result_of(valid(), {"/sandbox-probe", "exit:9"}), "exit", 9, 0);
    expect(result_of(valid(), {"/sandbox-probe", "kill:SEGV"}), "signal", 128 + SIGSEGV, SIGSEGV);
    const std::string limited = place_.write("limited.yaml", small("lifecycle: {timeout: 50ms}\n"));
    EXPECT_EQ(result_of(limited, {"/sandbox-probe", "wait-signal:USR1"})["reason"], "timeout");
    EXPECT_EQ(ended_.code, 124);
    expect(result_of(valid(), {"/no/such"}), "launcher", 127, 0);
    expect(result_of(valid(), {"/etc/passwd"}), "launcher", 126, 0);
    expect(result_of(invalid(), {}), "launcher", 125, 0);
    expect(result_of(missing(), {}), "launcher", 125, 0);
}

TEST_F(ResultFile, tells_what_was_left_out) {
    const std::string profile = place_.write("optional.yaml", small("mounts: [{source: /no/such, target: /mnt, optional: true}]\n"));
    const Json result = result_of(profile, {"/sandbox-probe", "pid"});
    ASSERT_EQ(result["skipped"].size(), 1U) << result;
    EXPECT_EQ(result["skipped"][0], "mount:/mnt: /no/such is missing");
}

TEST_F(ResultFile, that_cannot_be_written_is_said) {
    const Ended ended = sandbox_command({"up", "--result", "/no/such/result.json", valid(), "--", "/sandbox-probe", "exit:4"});
    EXPECT_EQ(ended.code, 4) << "the payload's own all the same";
    EXPECT_THAT(ended.err, HasSubstr("'/no/such/result.json': no such file or directory"));
}

// ---- plan

TEST_F(CommandLine, plan_prints_the_steps_with_side_origin_and_undo) {
    const Ended ended = sandbox_command({"plan", valid()});
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(ended.err, "");
    EXPECT_THAT(ended.out, StartsWith("plan for valid: "));
    EXPECT_THAT(ended.out, HasSubstr("[undo: kill the process and wait for its end]"));
    EXPECT_THAT(ended.out, HasSubstr("(" + valid() + ":3:21)"));
}

TEST_F(CommandLine, plan_as_json_has_the_same_steps) {
    const Ended ended = sandbox_command({"plan", "--json", valid()});
    ASSERT_TRUE(ended.ok()) << ended;
    const Json plan = Json::parse(ended.out);
    EXPECT_THAT(keys_of(plan), ::testing::IsSupersetOf({"name", "steps"}));
    EXPECT_EQ(plan["name"], "valid");
    std::set<std::string> ids;
    for (const Json& step : plan["steps"]) {
        EXPECT_THAT(keys_of(step), keys({"id", "side", "text", "undo", "origin", "optional"}));
        EXPECT_THAT(step["side"].get<std::string>(), AnyOf("host", "sandbox"));
        EXPECT_TRUE(step["undo"].is_null() || step["side"] == "host") << step;
        ids.insert(step["id"].get<std::string>());
    }
    EXPECT_EQ(ids.size(), plan["steps"].size()) << "an id names one step";
    for (const char* id : {"state", "clone", "mount:/proc", "seccomp", "exec"}) EXPECT_TRUE(ids.contains(id)) << id;
    EXPECT_THAT(sandbox_command({"plan", valid()}).out, HasSubstr(cat(": ", plan["steps"].size(), " steps\n")));
}

TEST_F(CommandLine, plan_of_an_invalid_profile_prints_no_plan) {
    for (const Words& words : {Words{"plan", invalid()}, {"plan", "--json", invalid()}, {"plan", missing()}}) {
        const Ended ended = sandbox_command(words);
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_EQ(ended.out, "");
        EXPECT_THAT(ended.err, HasSubstr(".yaml"));
    }
}

TEST_F(CommandLine, what_only_looks_changes_nothing) {
    const std::string rich = place_.write(
        "rich.yaml", cat("version: 1\nrootfs: {overlay: {lower: [", probe_tree(), "], upper: ", place_.make("own", 0700), "/upper",
                         "}}\nmounts: [{type: tmpfs, target: /new/deep}]\nfiles: {/tmp/f: {content: text}}\nprocess: {command: [/x]}\n"));
    const SnapshotOptions all{{probe_tree(), place_.path()}, -1};
    const auto before = HostSnapshot::take(all);
    for (const Words& words : {Words{"plan", rich},
                               {"plan", "--json", rich},
                               {"validate", rich},
                               {"config", rich},
                               {"schema"},
                               {"doctor"},
                               {"doctor", rich},
                               {"gc"},
                               {"help"},
                               {"version"}}) {
        const Ended ended = sandbox_command(words);
        EXPECT_TRUE(ended.ok()) << ::testing::PrintToString(words) << ended;
        EXPECT_EQ(differences_since(before, all), "") << ::testing::PrintToString(words);
    }
}

// Which of these files a program reads.
class ReadWatch {
   public:
    void add(const std::string& path) {
        const int watch = inotify_add_watch(fd_.get(), path.c_str(), IN_ACCESS);
        if (watch < 0) throw std::system_error(errno, std::generic_category(), "watch " + path);
        paths_[watch] = path;
    }
    std::set<std::string> read_since() {
        std::set<std::string> out;
        alignas(inotify_event) char buffer[4096];
        for (ssize_t size = 0; (size = read(fd_.get(), buffer, sizeof buffer)) > 0;)
            for (ssize_t at = 0; at < size;) {
                const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
                out.insert(paths_[event->wd]);
                at += static_cast<ssize_t>(sizeof *event + event->len);
            }
        return out;
    }

   private:
    sandbox::Fd fd_{inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    std::map<int, std::string> paths_;
};

TEST_F(CommandLine, plan_reads_no_more_than_it_must) {
    const std::string tree = place_.make("tree"), passwd = place_.write("tree/etc/passwd", "joe:x:5:5::/:/bin/sh\n"),
                      group = place_.write("tree/etc/group", "joe:x:5:\n"), content = place_.write("content", "text"),
                      input = place_.write("input", "text");
    const auto profile = [&](const char* user) {
        return place_.write(cat(user, ".yaml"), cat("version: 1\nrootfs: {path: ", tree, "}\nfiles: {/tmp/f: {source: ", content,
                                                    "}}\nprocess: {command: [/x], stdin: ", input, ", user: ", user, "}\n"));
    };
    const std::string by_number = profile("5"), by_name = profile("joe");
    ReadWatch watch;
    for (const std::string& path : {passwd, group, content, input, by_number}) watch.add(path);
    EXPECT_TRUE(sandbox_command({"plan", by_number}).ok());
    EXPECT_THAT(watch.read_since(), ElementsAre(by_number));
    EXPECT_TRUE(sandbox_command({"plan", by_name}).ok());
    EXPECT_THAT(watch.read_since(), ::testing::UnorderedElementsAre(passwd, group)) << "a name has to be looked up";
}

TEST_F(CommandLine, an_ordinary_user_looks_without_a_runtime_directory) {
    Options user = ordinary_user();
    user.add.erase("XDG_RUNTIME_DIR");
    if (user.environment) user.environment->erase("XDG_RUNTIME_DIR");
    const std::string profile = valid();
    const auto outside = [&](const Words& words) {
        Words all = {"env", "-u", "XDG_RUNTIME_DIR", sandbox_binary()};
        all.insert(all.end(), words.begin(), words.end());
        return run(all, user);
    };
    const Ended plan = outside({"plan", profile});
    EXPECT_TRUE(plan.ok()) << plan;
    EXPECT_THAT(plan.out, HasSubstr("write the id maps: uid 0:54321:1"));
    EXPECT_TRUE(outside({"validate", profile}).ok());
    EXPECT_TRUE(outside({"config", profile}).ok());
    const Ended up = outside({"up", profile});
    EXPECT_EQ(up.code, 125) << up;
    EXPECT_THAT(up.err, HasSubstr("XDG_RUNTIME_DIR"));
}

// ---- config

Json plan_without_origins(const Words& words, const Options& options = {}) {
    const Ended ended = sandbox_command(words, options);
    if (!ended.ok()) return ended.err;
    Json plan = Json::parse(ended.out);
    for (Json& step : plan["steps"]) step.erase("origin");
    return plan;
}

TEST_F(CommandLine, config_gives_a_profile_that_does_the_same) {
    const std::string profile = place_.write(
        "rich.yaml", small("vars: {WHO: joe}\nhostname: '${WHO}-box'\nmounts: ['/usr:/mnt:rw', {type: tmpfs, target: /tmp/x}]\n"
                           "files: {/tmp/f: {content: \"two\\nlines\\n\"}}\ncapabilities: {drop: [all], add: [CHOWN]}\n"
                           "ulimits: {nofile: '10:20'}\nprocess: {command: [/sandbox-probe, hostname, rlimits], "
                           "user: '1:1', environment: {A: 'b c'}}\nlifecycle: {timeout: 1h}\n"));
    const Ended config = sandbox_command({"config", profile});
    ASSERT_TRUE(config.ok()) << config;
    EXPECT_EQ(config.err, "");
    Options effective;
    effective.input = config.out;
    EXPECT_TRUE(sandbox_command({"validate", "-"}, effective).ok());
    EXPECT_EQ(sandbox_command({"config", "-"}, effective).out, config.out);
    EXPECT_EQ(plan_without_origins({"plan", "--json", "-"}, effective), plan_without_origins({"plan", "--json", profile}));
    const Ended up = sandbox_command({"up", "-"}, effective);
    EXPECT_TRUE(up.ok()) << up;
    EXPECT_EQ(last_json(up)["hostname"], "joe-box");
    EXPECT_EQ(last_json(up)["rlimits"]["nofile"], (Json{10, 20}));
}

// An unwritten 0 and that of the effective profile are the same, also below a session that has raised its score.
TEST_F(CommandLine, config_and_profile_mean_the_same_oom_score) {
    const std::string profile = place_.write("oom.yaml", small("process: {command: [/sandbox-probe, oom]}\n"));
    const std::string effective = place_.write("effective.yaml", sandbox_command({"config", profile}).out);
    const bool may_lower = ::testing::Value(names_of(probe_outside({"caps"})["caps"]["effective"]), ::testing::Contains("SYS_RESOURCE"));
    for (const std::string& each : {profile, effective}) {
        const Ended ended = run({"sh", "-c", "echo 300 > /proc/self/oom_score_adj && exec \"$@\"", "sh", sandbox_binary(), "up", each});
        ASSERT_TRUE(ended.ok()) << ended;
        EXPECT_EQ(last_json(ended)["oom"], may_lower ? 0 : 300) << each;
    }
}

TEST_F(CommandLine, config_needs_no_host_that_can) {
    const std::string profile = place_.write("elsewhere.yaml", "version: 1\nrootfs: {path: /no/such}\nprocess: {command: [/x]}\n");
    EXPECT_TRUE(sandbox_command({"config", profile}).ok());
    EXPECT_EQ(sandbox_command({"plan", profile}).code, 125);
    const Ended wrong = sandbox_command({"config", invalid()});
    EXPECT_EQ(wrong.code, 125);
    EXPECT_EQ(wrong.out, "");
}

// ---- --set, --name, which profile

TEST_F(CommandLine, set_replaces_scalars_lists_nested_keys_and_variables) {
    const std::string profile = place_.write(
        "set.yaml", small("vars: {WHO: nobody}\nhostname: '${WHO}'\nprocess: {command: [/sandbox-probe, pid], umask: '0077'}\n"));
    const Ended ended =
        sandbox_command({"up", profile, "--set", "WHO=joe", "--set", "process.umask=0027", "--set", "process.environment.A=b c",
                         "--set=ulimits.nofile=10:20", "--set", "process.command=[/sandbox-probe, hostname, umask, env, rlimits]"});
    ASSERT_TRUE(ended.ok()) << ended;
    const Json seen = last_json(ended);
    EXPECT_EQ(seen["hostname"], "joe");
    EXPECT_EQ(seen["umask"], "0027");
    EXPECT_EQ(seen["env"]["A"], "b c");
    EXPECT_EQ(seen["rlimits"]["nofile"], (Json{10, 20}));
    for (const char* verb : {"validate", "plan", "config"}) EXPECT_TRUE(sandbox_command({verb, profile, "--set", "WHO=x"}).ok()) << verb;
    EXPECT_THAT(sandbox_command({"config", profile, "--set", "process.nice=5"}).out, HasSubstr("nice: 5"));
}

TEST_F(CommandLine, set_is_checked_as_the_profile_is) {
    for (const auto& [word, expected] : {std::pair{"process.nise=5", "did you mean 'nice'?"},
                                         {"process.nice=much", "--set:1:14: error"},
                                         {"process.nice", "has no '='"},
                                         {"=5", "--set:1:1: error"},
                                         {"NOBODY=5", "error"},
                                         {"process.nice=[", "error"}}) {
        const Ended ended = sandbox_command({"up", valid(), "--set", word});
        EXPECT_EQ(ended.code, 125) << ended;
        EXPECT_THAT(ended.err, HasSubstr(expected)) << word;
    }
}

TEST_F(CommandLine, name_lets_one_profile_run_twice) {
    Options options;
    options.keep_input_open = true;
    const auto start = [&](const char* name) {
        return Process::start({sandbox_binary(), "up", "--name", name, valid(), "--", "/sandbox-probe", "hostname", "hold"}, options);
    };
    Process one = start("one");
    ASSERT_TRUE(one.expect("\"ready\":true")) << one.err();
    Process two = start("two");
    ASSERT_TRUE(two.expect("\"ready\":true")) << two.err();
    one.close_input();
    two.close_input();
    EXPECT_EQ(last_json(one.wait())["hostname"], "one");
    EXPECT_EQ(last_json(two.wait())["hostname"], "two");
}

TEST_F(CommandLine, a_dash_is_standard_input) {
    Options options;
    options.input = small("name: piped\n");
    const Ended ended = sandbox_command({"up", "-", "--", "/sandbox-probe", "hostname"}, options);
    EXPECT_EQ(last_json(ended)["hostname"], "piped") << ended;
    options.input = small("nmae: piped\nprocess: {command: [/x]}\n");
    EXPECT_THAT(sandbox_command({"validate", "-"}, options).err, StartsWith("<standard input>:3:1: error"));
}

TEST_F(CommandLine, a_name_is_looked_for_on_the_search_path) {
    const TempDir home;
    Options options;
    options.add = {{"HOME", home.path()}, {"XDG_CONFIG_HOME", ""}};
    home.write(".config/sandbox/profiles/web.yaml", small("process: {command: [/sandbox-probe, hostname]}\n"));
    EXPECT_EQ(last_json(sandbox_command({"up", "web"}, options))["hostname"], "web");
    // An explicit path is never looked for, a name never taken from the working directory.
    const TempDir here;
    here.write("web.yaml", small("hostname: here\nprocess: {command: [/sandbox-probe, hostname]}\n"));
    options.directory = here.path();
    EXPECT_EQ(last_json(sandbox_command({"up", "web"}, options))["hostname"], "web");
    EXPECT_EQ(last_json(sandbox_command({"up", "web.yaml"}, options))["hostname"], "here");
    EXPECT_EQ(last_json(sandbox_command({"up", "./web.yaml"}, options))["hostname"], "here");
    const TempDir other;
    other.write("sandbox/profiles/web.yaml", small("hostname: other\nprocess: {command: [/sandbox-probe, hostname]}\n"));
    options.add["XDG_CONFIG_HOME"] = other.path();
    EXPECT_EQ(last_json(sandbox_command({"up", "web"}, options))["hostname"], "other");
    const Ended near = sandbox_command({"up", "wbe"}, options);
    EXPECT_EQ(near.code, 125);
    EXPECT_THAT(near.err, AllOf(HasSubstr("no profile named 'wbe'"), HasSubstr("did you mean 'web'?")));
    const Ended unknown = sandbox_command({"up", "unlike-any"}, options);
    EXPECT_EQ(unknown.code, 125);
    EXPECT_THAT(unknown.err, HasSubstr("no profile named 'unlike-any'"));
    EXPECT_THAT(unknown.err, HasSubstr(other.path() + "/sandbox/profiles, /etc/sandbox/profiles, /usr/local/share/sandbox/profiles, "
                                                      "/usr/share/sandbox/profiles"));
    EXPECT_EQ(sandbox_command({"validate", "wbe"}, options).code, 2);
}

// ---- names that are taken, names that crashed

Process hold(const std::string& profile, const char* name) {
    Options options;
    options.keep_input_open = true;
    return Process::start({sandbox_binary(), "up", "--name", name, profile, "--", "/sandbox-probe", "hold"}, options);
}

TEST_F(CommandLine, up_of_a_name_that_runs_is_refused) {
    const auto before = HostSnapshot::take();
    Process running = hold(valid(), "taken");
    ASSERT_TRUE(running.expect("\"ready\":true")) << running.err();
    const auto while_it_runs = HostSnapshot::take();
    const Ended ended = sandbox_command({"up", "--name", "taken", valid()});
    EXPECT_EQ(ended.code, 125) << ended;
    EXPECT_THAT(ended.err, HasSubstr("sandbox 'taken' is running"));
    EXPECT_THAT(ended.err, HasSubstr("hint: start this one under another name with --name"));
    const Ended gc = sandbox_command({"gc"});
    EXPECT_TRUE(gc.ok());
    EXPECT_EQ(gc.out + gc.err, "") << "what runs is no garbage";
    EXPECT_EQ(differences_since(while_it_runs), "");
    running.close_input();
    EXPECT_TRUE(running.wait().ok());
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(CommandLine, gc_says_what_it_removed_and_then_nothing) {
    const auto before = HostSnapshot::take();
    Process killed = hold(valid(), "crashed");
    ASSERT_TRUE(killed.expect("\"ready\":true")) << killed.err();
    killed.signal(SIGKILL);
    killed.wait();
    const Ended first = sandbox_command({"gc"});
    EXPECT_EQ(first.code, 0) << first;
    EXPECT_THAT(first.out, StartsWith("removed crashed: "));
    EXPECT_THAT(first.out, HasSubstr("removed crashed: state folder\n"));
    EXPECT_EQ(first.err, "");
    EXPECT_EQ(differences_since(before), "");
    const Ended second = sandbox_command({"gc"});
    EXPECT_EQ(second.code, 0);
    EXPECT_EQ(second.out + second.err, "");
    Process again = hold(valid(), "crashed");
    ASSERT_TRUE(again.expect("\"ready\":true")) << again.err();
    again.signal(SIGKILL);
    again.wait();
    const Ended quiet = sandbox_command({"gc", "--quiet"});
    EXPECT_EQ(quiet.code, 0);
    EXPECT_EQ(quiet.out + quiet.err, "");
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(CommandLine, up_cleans_a_name_that_crashed_before_it_takes_it) {
    const auto before = HostSnapshot::take();
    Process killed = hold(valid(), "crashed");
    ASSERT_TRUE(killed.expect("\"ready\":true")) << killed.err();
    killed.signal(SIGKILL);
    killed.wait();
    const Ended ended = sandbox_command({"up", "--name", "crashed", valid(), "--", "/sandbox-probe", "pid"});
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_THAT(ended.err, HasSubstr("cleaned what a killed launcher left: crashed: "));
    EXPECT_EQ(Json::parse(ended.out)["pid"]["pid"], 2) << "the payload's output alone";
    EXPECT_EQ(differences_since(before), "");
}

TEST_F(CommandLine, gc_of_an_ordinary_user_is_about_its_own) {
    Options user = ordinary_user();
    Process of_root = hold(valid(), "roots");
    ASSERT_TRUE(of_root.expect("\"ready\":true")) << of_root.err();
    of_root.signal(SIGKILL);
    of_root.wait();
    const Ended gc = sandbox_command({"gc"}, user);
    EXPECT_EQ(gc.code, 0) << gc;
    EXPECT_EQ(gc.out + gc.err, "");
    EXPECT_THAT(sandbox_command({"gc"}).out, StartsWith("removed roots: "));
}

// ---- colours

TEST_F(CommandLine, colours_are_for_terminals_that_want_them) {
    Options terminal;
    terminal.pty = true;
    terminal.add = {{"TERM", "xterm"}};
    EXPECT_THAT(sandbox_command({"validate", invalid()}, terminal).out, HasSubstr("\033["));
    terminal.add["NO_COLOR"] = "1";
    EXPECT_THAT(sandbox_command({"validate", invalid()}, terminal).out, Not(HasSubstr("\033")));
    for (const Words& words : {Words{"validate", invalid()},
                               {"up", invalid()},
                               {"plan", valid()},
                               {"config", valid()},
                               {"doctor"},
                               {"doctor", invalid()},
                               {"help"},
                               {"nonsense"}}) {
        const Ended ended = sandbox_command(words);
        EXPECT_THAT(ended.out + ended.err, Not(HasSubstr("\033"))) << ::testing::PrintToString(words);
        EXPECT_THAT(ended.out + ended.err, Not(IsEmpty())) << ::testing::PrintToString(words);
    }
}

TEST_F(CommandLine, a_profile_cannot_colour_the_diagnostics) {
    const std::string profile = place_.write("evil.yaml", small("\"\\e[31mred\\e]0;title\\a\": 1\nhostname: \"\\e[2J\"\n"));
    const Ended ended = sandbox_command({"validate", profile});
    EXPECT_EQ(ended.code, 1);
    EXPECT_THAT(ended.err, Not(HasSubstr("\033"))) << ended;
    EXPECT_THAT(ended.err, Not(HasSubstr("\a"))) << ended;
}

// ---- schema

// What is wrong with a schema as JSON Schema 2020-12 has it; nothing when it is right.
std::string schema_mistake(const Json& schema, const std::string& where) {
    if (schema.is_boolean()) return {};
    if (!schema.is_object()) return where + " is no schema";
    const auto inside = [&](const char* keyword, const Json& map) {
        if (!map.is_object()) return cat(where, ".", keyword, " is no map");
        for (const auto& [name, part] : map.items())
            if (auto wrong = schema_mistake(part, cat(where, ".", name)); !wrong.empty()) return wrong;
        return std::string();
    };
    for (const auto& [keyword, value] : schema.items()) {
        std::string wrong;
        if (keyword == "properties" || keyword == "patternProperties" || keyword == "$defs") {
            wrong = inside(keyword.c_str(), value);
        } else if (keyword == "additionalProperties" || keyword == "items" || keyword == "propertyNames" || keyword == "not") {
            wrong = schema_mistake(value, cat(where, ".", keyword));
        } else if (keyword == "anyOf" || keyword == "oneOf" || keyword == "allOf") {
            if (!value.is_array() || value.empty()) return cat(where, ".", keyword, " is no list");
            for (const Json& part : value)
                if (wrong.empty()) wrong = schema_mistake(part, cat(where, ".", keyword));
        } else if (keyword == "type") {
            static const std::set<Json> types = {"null", "boolean", "object", "array", "number", "string", "integer"};
            for (const Json& type : value.is_array() ? value : Json{value})
                if (!types.contains(type)) wrong = cat(where, ": no type ", type.dump());
        } else if (keyword == "enum" || keyword == "required" || keyword == "examples") {
            if (!value.is_array() || value.empty()) wrong = cat(where, ".", keyword, " is no list");
        } else if (keyword == "pattern") {
            try {
                const std::regex compiled(value.get<std::string>(), std::regex::ECMAScript);
            } catch (const std::exception& error) {
                wrong = cat(where, ".pattern: ", error.what());
            }
        } else if (keyword == "minimum" || keyword == "maximum") {
            if (!value.is_number()) wrong = cat(where, ".", keyword, " is no number");
        } else if (keyword == "minItems" || keyword == "maxItems" || keyword == "minLength" || keyword == "maxLength" ||
                   keyword == "minProperties") {
            if (!value.is_number_unsigned()) wrong = cat(where, ".", keyword, " is no count");
        } else if (keyword == "title" || keyword == "description" || keyword == "$id" || keyword == "$schema" || keyword == "$ref") {
            if (!value.is_string()) wrong = cat(where, ".", keyword, " is no text");
        } else if (keyword != "default" && keyword != "const" && keyword != "uniqueItems") {
            wrong = cat(where, ": unknown keyword ", keyword);
        }
        if (!wrong.empty()) return wrong;
    }
    for (const Json& name : schema.value("required", Json::array()))
        if (!schema["properties"].contains(name.get<std::string>())) return cat(where, " requires what it does not have: ", name.dump());
    return {};
}

TEST(Schema, is_the_committed_one_and_json_schema) {
    const Ended ended = sandbox_command({"schema"});
    ASSERT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(ended.err, "");
    EXPECT_EQ(ended.out, read_text(SOURCE_DIR "/schemas/profile.schema.json")) << "stale: write it anew with 'sandbox schema'";
    const Json schema = Json::parse(ended.out);
    EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    EXPECT_EQ(schema["type"], "object");
    EXPECT_EQ(schema["additionalProperties"], false);
    EXPECT_EQ(schema_mistake(schema, "schema"), "");
    EXPECT_NE(schema_mistake(Json::parse(R"({"properties": {"a": {"type": "text"}}})"), "schema"), "") << "the check sees something";
}

TEST(Schema, as_manual_page_text_has_every_key) {
    const Json schema = Json::parse(sandbox_command({"schema"}).out);
    const Ended manual = sandbox_command({"schema", "--man"});
    EXPECT_TRUE(manual.ok());
    for (const auto& [key, value] : schema["properties"].items()) EXPECT_THAT(manual.out, HasSubstr(key)) << key;
}

// ---- doctor

TEST_F(CommandLine, doctor_says_what_the_host_can) {
    const Ended ended = sandbox_command({"doctor"});
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_EQ(ended.err, "");
    std::istringstream lines(ended.out);
    std::string line;
    int findings = 0;
    while (std::getline(lines, line)) {
        EXPECT_TRUE(std::regex_search(line, std::regex("^(ok      |limited |missing |          )\\S"))) << line;
        if (line[0] != ' ') ++findings;
    }
    EXPECT_GT(findings, 10);
    EXPECT_THAT(ended.out, HasSubstr("user namespaces"));
    EXPECT_THAT(ended.out, HasSubstr("overlay"));
}

TEST_F(CommandLine, doctor_as_json_is_the_facts) {
    const Ended ended = sandbox_command({"doctor", "--json"});
    EXPECT_EQ(ended.code, 0);
    EXPECT_TRUE(ended.out.ends_with("}\n"));
    const Json facts = Json::parse(ended.out);
    for (const char* field : {"uid", "capabilities", "namespaces", "last_capability"}) EXPECT_TRUE(facts.contains(field)) << field;
    EXPECT_EQ(facts["uid"], 0);
}

TEST_F(CommandLine, doctor_says_what_a_profile_lacks) {
    const Ended can = sandbox_command({"doctor", valid()});
    EXPECT_EQ(can.code, 0) << can;
    EXPECT_THAT(can.out, HasSubstr(valid() + " can run here\n"));
    const std::string profile = place_.write("lacks.yaml", small("devices: [/dev/no-such]\nprocess: {command: [/x]}\n"));
    for (const Words& words : {Words{"doctor", profile}, {"doctor", "--json", profile}}) {
        const Ended cannot = sandbox_command(words);
        EXPECT_EQ(cannot.code, 1) << cannot;
        EXPECT_THAT(cannot.out, Not(HasSubstr("can run here")));
        EXPECT_THAT(cannot.err, HasSubstr("lacks.yaml:3:11: error[E0501]: devices[0].path: '/dev/no-such'"));
        EXPECT_THAT(cannot.err, HasSubstr("hint: load its driver, or say optional: true"));
    }
}

TEST_F(CommandLine, doctor_of_an_ordinary_user_is_about_that_user) {
    const Ended ended = sandbox_command({"doctor", "--json"}, ordinary_user());
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_EQ(Json::parse(ended.out)["uid"], 54321);
}

}  // namespace
