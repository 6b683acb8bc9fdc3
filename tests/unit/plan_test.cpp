// Golden plans: every shipped profile and every profile in tests/unit/plans, on every host of tests/planning/hosts. The
// text beside them is what `sandbox plan` says, or the mistakes where the profile does not fit the host.
// SANDBOX_UPDATE_GOLDEN=1 rewrites them; read the difference before it is committed.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <tuple>

#include "base/text.h"
#include "plan/plan.h"
#include "planning/hosts.h"
#include "planning/lint.h"
#include "profile/load.h"

namespace sandbox {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

Loaded load(const fs::path& file, const HostFacts& host) {
    LoadRequest request;
    request.profile.file.name = file.filename();
    request.profile.file.text = read(file);
    request.profile.file.directory = "/srv/profiles";
    request.stem = file.stem();
    request.variables = {
        {"HOME", host.home},       {"USER", host.user},         {"UID", std::to_string(host.uid)}, {"GID", std::to_string(host.gid)},
        {"PWD", "/home/joe/work"}, {"RUNTIME_DIR", "/run/user"}};
    return load_profile(request);
}

// The examples of the language, and further ones. What is shipped for programs runs in tests/programs.
std::vector<fs::path> profiles() {
    std::vector<fs::path> files;
    for (const char* example : {"build", "fetch", "hello", "shell", "try", "web-bridge"})
        files.emplace_back(cat(SOURCE_DIR "/profiles/", example, ".yaml"));
    for (const auto& entry : fs::directory_iterator(SOURCE_DIR "/tests/unit/plans"))
        if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

const CallerContext& caller() {
    static const CallerContext context = [] {
        CallerContext c;
        c.environment = {"TERM=xterm-256color", "LANG=C.UTF-8", "SECRET=1"};
        std::ranges::fill(c.terminal, true);
        c.state_folder = "/run/sandbox";
        return c;
    }();
    return context;
}

const Step* find(const Plan& plan, std::string_view id) {
    const auto found = std::ranges::find(plan.steps, id, &Step::id);
    return found == plan.steps.end() ? nullptr : &*found;
}

// A further command in the sandbox gets the steps that its payload had.
void check_session(const Loaded& loaded, const HostFacts& facts, const Plan& payload) {
    ExecRequest request;
    request.command = {"/bin/true"};
    request.init = 7;
    request.groups = {{"/sys/fs/cgroup/devices/sandbox/x.1", {"devices"}, false}};
    const auto plan = make_exec_plan(loaded.profile, facts, caller(), request);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_THAT(lint(*plan, loaded.sources), testing::IsEmpty());
    for (const char* id : {"ids", "groups", "no-new-privs", "parent-death", "seccomp", "umask", "working-dir", "keyring"}) {
        const Step *wanted = find(payload, id), *got = find(*plan, id);
        ASSERT_EQ(wanted != nullptr, got != nullptr) << id;
        if (wanted) EXPECT_EQ(wanted->text, got->text) << id;
    }
    for (const Step& step : plan->steps)
        EXPECT_TRUE(step.undo.empty() || step.id == "clone" || step.id == "terminal.raw")
            << step.id << ": nothing of a session outlives it";
}

class GoldenPlan : public testing::TestWithParam<std::tuple<fs::path, std::string>> {};

TEST_P(GoldenPlan, IsAsItWasRead) {
    const auto& [file, host] = GetParam();
    const std::string hosts = SOURCE_DIR "/tests/planning/hosts";
    const Loaded loaded = load(file, host_facts(hosts, host, {}));
    std::string text;
    for (const Diagnostic& d : loaded.diagnostics) text += render(d, loaded.sources, false);
    ASSERT_FALSE(has_errors(loaded.diagnostics)) << text;
    const HostFacts facts = host_facts(hosts, host, fact_needs(loaded.profile));
    const Diagnostics mistakes = check_against_host(loaded.profile, facts);
    for (const Diagnostic& d : mistakes) text += render(d, loaded.sources, false);
    if (!has_errors(mistakes)) {
        const Plan plan = make_plan(loaded.profile, facts, caller());
        EXPECT_THAT(lint(plan, loaded.sources), testing::IsEmpty());
        text += plan_to_text(plan, loaded.sources);
        check_session(loaded, facts, plan);
    }
    const fs::path golden = cat(SOURCE_DIR "/tests/unit/plans/", file.stem().string(), ".", host, ".txt");
    if (const char* update = std::getenv("SANDBOX_UPDATE_GOLDEN"); update && std::string_view(update) == "1") {
        std::ofstream(golden, std::ios::binary) << text;
        return;
    }
    ASSERT_TRUE(fs::exists(golden)) << golden << " is missing: SANDBOX_UPDATE_GOLDEN=1 build/unit-tests writes it";
    EXPECT_EQ(text, read(golden)) << "if the new plan is right: SANDBOX_UPDATE_GOLDEN=1 build/unit-tests";
}

std::string case_name(const testing::TestParamInfo<GoldenPlan::ParamType>& info) {
    std::string name = cat(std::get<0>(info.param).stem().string(), "_on_", std::get<1>(info.param));
    std::ranges::replace(name, '-', '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Plans, GoldenPlan, testing::Combine(testing::ValuesIn(profiles()), testing::ValuesIn(host_names())), case_name);

}  // namespace
}  // namespace sandbox
