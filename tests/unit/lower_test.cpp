// The child's program: well-formed for every plan, and refused where the child's tables are too small for it.
#include "exec/lower.h"

#include <gmock/gmock.h>

#include <cstring>

#include "base/text.h"
#include "child/program.h"
#include "planning/hosts.h"
#include "planning/lint.h"
#include "profile/load.h"
#include "state_testing.h"

namespace sandbox {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Lowered {
    Plan plan;
    Result<std::string> program;
};

Lowered lower_text(const std::string& body, const std::string& host = "root-hybrid",
                   const std::vector<std::string>& command = {"/bin/true"}, const CallerContext& caller = {},
                   std::size_t sync_at = no_step) {
    LoadRequest request;
    request.profile.file.name = "p.yaml";
    request.profile.file.text = cat("version: 1\n", body);
    request.profile.file.directory = "/srv";
    request.stem = "p";
    request.command = command;
    const Loaded loaded = load_profile(request);
    for (const Diagnostic& d : loaded.diagnostics) ADD_FAILURE() << render(d, loaded.sources, false);
    const HostFacts facts = host_facts(SOURCE_DIR "/tests/planning/hosts", host, fact_needs(loaded.profile));
    Plan plan = make_plan(loaded.profile, facts, caller);
    auto program = lower_plan(plan, facts, sync_at);
    return {std::move(plan), std::move(program)};
}

ChildProgram head_of(const std::string& program) {
    ChildProgram head{};
    std::memcpy(&head, program.data(), sizeof head);
    return head;
}

std::vector<ChildOp> ops_of(const std::string& program) {
    std::vector<ChildOp> ops(head_of(program).op_count);
    std::memcpy(ops.data(), program.data() + sizeof(ChildProgram), ops.size() * sizeof(ChildOp));
    return ops;
}

std::vector<std::string> words_at(const std::string& program, std::uint32_t offset) {
    const char* pool = program.data() + head_of(program).pool_offset;
    std::vector<std::string> words;
    for (;; offset += sizeof(std::uint32_t)) {
        std::uint32_t at = 0;
        std::memcpy(&at, pool + offset, sizeof at);
        if (at == 0) return words;
        words.emplace_back(pool + at);
    }
}

ExecArguments arguments_of(const std::string& program) {
    ExecArguments arguments{};
    const ChildOp exec = ops_of(program).back();
    std::memcpy(&arguments, program.data() + head_of(program).pool_offset + exec.b, sizeof arguments);
    return arguments;
}

TEST(Lower, APlanBecomesAProgramThatEndsWithExec) {
    for (const char* root : {"rootfs: {host: ro}\n", "rootfs: {tmpfs: {}}\n", "rootfs: {path: /srv/r}\n",
                             "rootfs: {overlay: {lower: [/a, /b]}}\n", "rootfs: {overlay: {lower: [/a], upper: /u}}\n"})
        for (const std::string& host : host_names()) {
            const Lowered lowered = lower_text(root, host);
            ASSERT_TRUE(lowered.program) << lowered.program.error().message;
            EXPECT_THAT(lint_program(*lowered.program), IsEmpty()) << root << host;
            const auto ops = ops_of(*lowered.program);
            ASSERT_FALSE(ops.empty());
            EXPECT_EQ(ops.front().kind, OpKind::receive);
            EXPECT_EQ(ops.back().kind, OpKind::exec);
            for (const ChildOp& op : ops) {
                ASSERT_LT(op.step, lowered.plan.steps.size());
                EXPECT_EQ(lowered.plan.steps[op.step].side, Side::sandbox);
                EXPECT_EQ((op.flags & op_flag_optional) != 0, lowered.plan.steps[op.step].optional);
            }
        }
}

TEST(Lower, TenThousandArgumentsArriveAsTheyAre) {
    std::vector<std::string> command{"/bin/echo"};
    for (int i = 0; i < 10000; ++i) command.push_back(std::to_string(i));
    const Lowered lowered = lower_text("rootfs: {host: ro}\n", "root-hybrid", command);
    ASSERT_TRUE(lowered.program) << lowered.program.error().message;
    EXPECT_THAT(lint_program(*lowered.program), IsEmpty());
    EXPECT_EQ(words_at(*lowered.program, arguments_of(*lowered.program).argv), command);
}

TEST(Lower, EmptyArgumentsAreArguments) {
    const std::vector<std::string> command{"/bin/echo", "", "a", "", ""};
    const Lowered lowered = lower_text("rootfs: {host: ro}\nprocess: {environment: {EMPTY: \"\"}}\n", "root-hybrid", command);
    ASSERT_TRUE(lowered.program);
    EXPECT_EQ(words_at(*lowered.program, arguments_of(*lowered.program).argv), command);
    EXPECT_THAT(words_at(*lowered.program, arguments_of(*lowered.program).envp), ::testing::Contains("EMPTY="));
}

TEST(Lower, ANameIsLookedForInTheFoldersOfPath) {
    const Lowered lowered = lower_text("rootfs: {host: ro}\nprocess: {environment: {PATH: \"/a::/b\"}}\n", "root-hybrid", {"run"});
    ASSERT_TRUE(lowered.program);
    EXPECT_THAT(words_at(*lowered.program, arguments_of(*lowered.program).candidates), ::testing::ElementsAre("/a/run", "run", "/b/run"));
}

Plan with(step::Execute exec) {
    Plan plan;
    plan.steps.push_back({"exec", Side::sandbox, "execute", "", {0, 7, 3}, false, std::move(exec)});
    return plan;
}

// The child has a table of a fixed size: what does not fit is said before anything is done, and never cut.
TEST(Lower, MoreArgumentsThanTheChildCanTakeAreRefused) {
    const std::vector<std::string> most(max_exec_pointers - 3, "x");
    const auto fits = lower_plan(with({{"/a"}, most, {"A=B"}}), {});
    ASSERT_TRUE(fits);
    EXPECT_THAT(lint_program(*fits), IsEmpty());
    for (const std::size_t argv : {most.size() + 1, most.size() + 5000}) {
        const auto refused = lower_plan(with({{"/a"}, std::vector<std::string>(argv, "x"), {"A=B"}}), {});
        ASSERT_FALSE(refused);
        EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(argv)));
        EXPECT_THAT(refused.error().hint, HasSubstr(std::to_string(max_exec_pointers - 2)));
        EXPECT_EQ(refused.error().at.line, 7U);
    }
    EXPECT_FALSE(lower_plan(with({{"/a"}, {"/a"}, std::vector<std::string>(max_exec_pointers, "A=B")}), {}));
}

TEST(Lower, MoreDescriptorsThanTheChildCanPlaceAreRefused) {
    const auto passing = [](int count) {
        std::string list;
        for (int i = 0; i < count; ++i) list += cat(i ? ", " : "", 10 + i);
        return lower_text(cat("rootfs: {host: ro}\nprocess: {pass_fds: [", list, "]}\n")).program;
    };
    ASSERT_TRUE(passing(max_placed - 3));
    const auto refused = passing(max_placed - 2);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("process.pass_fds: 62 descriptors"));
    EXPECT_THAT(refused.error().hint, HasSubstr("61"));
}

TEST(Lower, MoreSlotsThanTheChildHasAreRefused) {
    Plan plan = with({{"/a"}, {"/a"}, {}});
    plan.slots = max_slots;
    EXPECT_TRUE(lower_plan(plan, {}));
    ++plan.slots;
    const auto refused = lower_plan(plan, {});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("descriptors"));
}

TEST(Lower, FiveHundredLayersFit) {
    std::string lower;
    for (int i = 0; i < 500; ++i) lower += cat(i ? ", " : "", "/srv/l", i);
    for (const std::string& host : host_names()) {
        const Lowered lowered = lower_text(cat("rootfs: {overlay: {lower: [", lower, "]}}\n"), host);
        ASSERT_TRUE(lowered.program) << lowered.program.error().message;
        EXPECT_THAT(lint_program(*lowered.program), IsEmpty());
    }
}

TEST(Lower, AFileIsReadWithItsZeroBytes) {
    ::sandbox::testing::TemporaryFolder folder;
    const std::string content("a\0b\n", 4);
    ::sandbox::testing::write_file(folder.path("x"), content);
    const Lowered lowered = lower_text(cat("rootfs: {tmpfs: {}}\nfiles: {/x: {source: ", folder.path("x"), "}}\n"));
    ASSERT_TRUE(lowered.program) << lowered.program.error().message;
    const auto ops = ops_of(*lowered.program);
    const auto file = std::find_if(ops.begin(), ops.end(), [](const ChildOp& op) { return op.kind == OpKind::make_file; });
    ASSERT_NE(file, ops.end());
    ASSERT_EQ(file->aux, content.size());
    EXPECT_EQ(std::memcmp(lowered.program->data() + head_of(*lowered.program).pool_offset + file->b, content.data(), content.size()), 0);
}

TEST(Lower, WhatCannotBeReadIsSaidWithItsPlace) {
    ::sandbox::testing::TemporaryFolder folder;
    const auto missing = lower_text(cat("rootfs: {tmpfs: {}}\nfiles: {/x: {source: ", folder.path("no"), "}}\n")).program;
    ASSERT_FALSE(missing);
    EXPECT_THAT(missing.error().message, HasSubstr(folder.path("no")));
    EXPECT_EQ(missing.error().at.line, 3U);
    const auto directory = lower_text(cat("rootfs: {tmpfs: {}}\nfiles: {/x: {source: ", folder.path(), "}}\n")).program;
    ASSERT_FALSE(directory);
    EXPECT_THAT(directory.error().message, HasSubstr("is not a file"));
    ASSERT_EQ(mkfifo(folder.path("fifo").c_str(), 0600), 0);
    EXPECT_FALSE(lower_text(cat("rootfs: {tmpfs: {}}\nfiles: {/x: {source: ", folder.path("fifo"), "}}\n")).program);
    ::sandbox::testing::write_file(folder.path("bad.json"), "{");
    const auto filter = lower_text(cat("rootfs: {tmpfs: {}}\nsecurity: {seccomp: {profile: ", folder.path("bad.json"), "}}\n")).program;
    ASSERT_FALSE(filter);
    EXPECT_THAT(filter.error().message, HasSubstr("security.seccomp"));
    EXPECT_EQ(filter.error().at.line, 3U);
}

TEST(Lower, ASyncStopsBeforeItsStep) {
    const Lowered plain = lower_text("rootfs: {tmpfs: {}}\n");
    for (std::size_t i = 0; i < plain.plan.steps.size(); ++i) {
        const Lowered stopping = lower_text("rootfs: {tmpfs: {}}\n", "root-hybrid", {"/bin/true"}, {}, i);
        ASSERT_TRUE(stopping.program);
        const auto ops = ops_of(*stopping.program);
        const auto sync = std::find_if(ops.begin(), ops.end(), [](const ChildOp& op) { return op.kind == OpKind::sync; });
        EXPECT_EQ(sync != ops.end(), plain.plan.steps[i].side == Side::sandbox);
        if (sync == ops.end()) continue;
        EXPECT_EQ(sync->step, i);
        EXPECT_TRUE(sync == ops.begin() || (sync - 1)->step < i);
    }
}

TEST(Lower, OffsetsOfClocksHaveNanosecondsThatAreNeverNegative) {
    const Lowered lowered = lower_text("rootfs: {tmpfs: {}}\ntime: {monotonic: -1500ms, boottime: 1h}\n");
    ASSERT_TRUE(lowered.program);
    for (const ChildOp& op : ops_of(*lowered.program))
        if (op.kind == OpKind::time_offsets) {
            EXPECT_STREQ(lowered.program->data() + head_of(*lowered.program).pool_offset + op.b,
                         "monotonic -2 500000000\nboottime 3600 0\n");
        }
}

}  // namespace
}  // namespace sandbox
