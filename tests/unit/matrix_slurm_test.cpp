// The Slurm engine: what its programs say, read; and the whole of it against programs of that name which say what a test wants. What
// a real cluster does is in tests/matrix/slurm.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "matrix/engine.h"
#include "matrix/slurm_parts.h"
#include "unit/state_testing.h"

namespace sandbox {
namespace {

using namespace slurm;
using sandbox::testing::TemporaryFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// ---- text

TEST(SlurmText, ReadsIdsOfJobs) {
    const auto one = parse_job_ids("123_4");
    ASSERT_TRUE(one);
    EXPECT_EQ(one->job, 123U);
    EXPECT_THAT(one->tasks, ElementsAre(4));
    EXPECT_FALSE(one->whole);
    EXPECT_THAT(parse_job_ids("123_[4-7%2]")->tasks, ElementsAre(4, 5, 6, 7));
    EXPECT_THAT(parse_job_ids("123_[1,4-6,9]")->tasks, ElementsAre(1, 4, 5, 6, 9));
    EXPECT_THAT(parse_job_ids("123_[0-9:4]")->tasks, ElementsAre(0, 4, 8));
    EXPECT_TRUE(parse_job_ids("123")->whole);
    EXPECT_THAT(parse_job_ids("123")->tasks, IsEmpty());
}

TEST(SlurmText, RefusesWhatIsNoId) {
    for (const char* text : {"",
                             "_",
                             "x",
                             "123_",
                             "123_x",
                             "123_[",
                             "123_[]",
                             "123_[4-",
                             "123_[4-]",
                             "123_[-4]",
                             "123_[7-4]",
                             "123_[1,,2]",
                             "123_[1,...]",
                             "123_4 ",
                             " 123",
                             "+123",
                             "-1",
                             "123_-4",
                             "99999999999999999999",
                             "1_99999999999999999999",
                             "1_[0-4294967295]",
                             "1_[0-9:0]",
                             "1_[0-9:]",
                             "1_[0-4000000,0-4000000]",
                             "123_4+5",
                             "12;3"})
        EXPECT_FALSE(parse_job_ids(text)) << text;
    EXPECT_FALSE(parse_job_ids(std::string_view("1\0002", 3)));
}

TEST(SlurmText, ReadsTheQueue) {
    const auto lines = parse_queue("CLUSTER: other\n1_4|PENDING||Resources\n 1_3 |RUNNING|n2|None\n\n5|CANCELLED||any | text, with bars\n");
    ASSERT_TRUE(lines) << lines.error().message;
    ASSERT_EQ(lines->size(), 3U);
    EXPECT_EQ((*lines)[0].state, "PENDING");
    EXPECT_EQ((*lines)[0].nodes, "");
    EXPECT_EQ((*lines)[1].nodes, "n2");
    EXPECT_THAT((*lines)[1].ids.tasks, ElementsAre(3));
    EXPECT_TRUE((*lines)[2].ids.whole);
    EXPECT_EQ((*lines)[2].reason, "any | text, with bars");
}

TEST(SlurmText, RefusesAQueueOfWhichALineIsMissing) {
    for (const char* text : {"1_4", "1_4|RUNNING", "1_4|RUNNING|n1", "1_[1,...]|PENDING||Priority", "1_4||n1|None", "slurm is down", "|||"})
        EXPECT_FALSE(parse_queue(text)) << text;
    const auto hostile = parse_queue("\x1b[2J|a|b|c\n");
    ASSERT_FALSE(hostile);
    EXPECT_THAT(hostile.error().message, Not(HasSubstr("\x1b")));
}

TEST(SlurmText, KnowsStates) {
    for (const char* state :
         {"COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "REVOKED"})
        EXPECT_EQ(phase_of(state), Phase::over) << state;
    for (const char* state :
         {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "OF A LATER SLURM", ""})
        EXPECT_EQ(phase_of(state), Phase::waiting) << state;
    for (const char* state : {"RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING"})
        EXPECT_EQ(phase_of(state), Phase::running) << state;
    EXPECT_EQ(phase_of("COMPLETING"), Phase::leaving);
}

TEST(SlurmText, ReadsWhatScontrolSaysOfJobs) {
    // As Slurm 22.05 writes it.
    const auto details = parse_details(
        "JobId=3 ArrayJobId=1 ArrayTaskId=1 JobName=a b UserId=root(0) GroupId=root(0) JobState=FAILED Reason=NonZeroExitCode "
        "Dependency=(null) "
        "Requeue=1 ExitCode=66:0 RunTime=00:00:11 NodeList=n1 BatchHost=n1 Command=/tmp/JobState=COMPLETED BatchHost=n9 WorkDir=/tmp\n"
        "JobId=4 ArrayJobId=1 ArrayTaskId=2 JobName=x UserId=root(0) JobState=CANCELLED Reason=None ExitCode=0:9 NodeList=(null) \n"
        "JobId=9 ArrayJobId=1 ArrayTaskId=3-7%2 JobName=x UserId=root(0) JobState=PENDING Reason=Priority ExitCode=0:0 \n"
        "JobId=10 JobName=alone JobState=COMPLETED\nslurm_load_jobs error: nonsense\n");
    ASSERT_EQ(details.size(), 2U);
    EXPECT_EQ(details[0].job, 1U);
    EXPECT_EQ(details[0].task, 1U);
    EXPECT_EQ(details[0].state, "FAILED");
    EXPECT_EQ(details[0].node, "n1");
    EXPECT_EQ(details[0].exit_code, 66);
    EXPECT_EQ(details[1].node, "");
    EXPECT_EQ(details[1].signal, 9);
    EXPECT_EQ(details[1].reason, "");
}

TEST(SlurmText, ReadsTheLargestArray) {
    EXPECT_EQ(parse_max_array_size("KillWait                = 30 sec\nMaxArraySize            = 1001\nMaxDBDMsgs = 20\n"), 1001U);
    EXPECT_FALSE(parse_max_array_size(""));
    EXPECT_FALSE(parse_max_array_size("MaxArraySize = many\nMaxArraySize = -1\nMaxArraySize = 99999999999\n"));
}

TEST(SlurmText, ReadsWhatWasSubmitted) {
    EXPECT_EQ(parse_submitted("123\n")->job, 123U);
    EXPECT_EQ(parse_submitted("123;other\n")->cluster, "other");
    for (const char* text : {"", "0", "Submitted batch job 123", "123 4", "-1", "99999999999"}) EXPECT_FALSE(parse_submitted(text)) << text;
}

TEST(SlurmText, AsksForWhatACellNeeds) {
    EXPECT_THAT(words_for({}), IsEmpty());
    EXPECT_THAT(words_for({64ULL << 20, 2000, 60'000'000'000}), ElementsAre("--mem=80M", "--cpus-per-task=2", "--time=3"));
    EXPECT_THAT(words_for({(64ULL << 20) + 1, 2001, 60'000'000'001}), ElementsAre("--mem=81M", "--cpus-per-task=3", "--time=4"));
    EXPECT_THAT(words_for({1, 1, 1}), ElementsAre("--mem=17M", "--cpus-per-task=1", "--time=3"));
    EXPECT_THAT(words_for({UINT64_MAX, INT64_MAX, INT64_MAX}),
                ElementsAre("--mem=17592186044432M", "--cpus-per-task=9223372036854776", "--time=153722870"));
}

TEST(SlurmText, KeepsTheArraysItsOwn) {
    for (const char* option : {"--array=1-3", "--array", "-a", "-a1-3", "--wait", "-W", "--wrap=true", "--test-only"})
        EXPECT_TRUE(takes_over(option)) << option;
    for (const char* option : {"--partition=long", "-p", "long", "--account=a", "--wait-all-nodes=1", "-w", "--no-requeue"})
        EXPECT_FALSE(takes_over(option)) << option;
    EXPECT_EQ(job_name("web-1.0"), "web-1.0");
    EXPECT_EQ(job_name("a b|c\n\xff"), "a_b_c__");
    EXPECT_EQ(job_name(""), "sandbox");
}

// What a shell makes of a word, without this process having one.
std::string through_shell(const std::string& script) {
    const TemporaryFolder folder;
    std::ofstream(folder.path("script")) << script;
    std::ostringstream out;
    const pid_t child = fork();
    if (child == 0) {
        static_cast<void>(!freopen(folder.path("out").c_str(), "w", stdout));
        execl("/bin/sh", "sh", folder.path("script").c_str(), nullptr);
        _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    out << std::ifstream(folder.path("out")).rdbuf();
    return out.str();
}

TEST(SlurmText, QuotesAnythingForTheShell) {
    for (const std::string& text :
         {std::string("plain"), std::string("it's"), std::string("a b\tc\nd"), std::string("$HOME `id` $(id) \\ \" * ~ !"),
          std::string("''"), std::string("-n"), std::string("\x01\x1b\xff\xc3\xa9"), std::string("a\n")})
        EXPECT_EQ(through_shell(cat("printf %s ", shell_quote(text))), text);
    EXPECT_EQ(shell_quote(""), "''");
}

TEST(SlurmText, SaysWhyThereIsNoResult) {
    const auto why = [](const JobDetails& details) { return why_no_result(details, "/shared/run", "/usr/bin/sandbox"); };
    EXPECT_EQ(why({1, 2, "NODE_FAIL", "", "n1", 0, 0}), "the node n1 failed");
    EXPECT_EQ(why({1, 2, "NODE_FAIL", "", "", 0, 0}), "a node failed");
    EXPECT_EQ(why({1, 2, "CANCELLED", "", "", 0, 0}), "cancelled before it began");
    EXPECT_EQ(why({1, 2, "CANCELLED", "", "n1", 0, 15}), "cancelled on the node n1");
    EXPECT_EQ(why({1, 2, "TIMEOUT", "TimeLimit", "n1", 0, 0}), "the job had no time left on the node n1");
    EXPECT_EQ(why({1, 2, "OUT_OF_MEMORY", "", "n1", 0, 9}), "the job was out of memory on the node n1");
    EXPECT_EQ(why({1, 2, "FAILED", "NonZeroExitCode", "n1", 66, 0}),
              "the node n1 does not see /shared/run: it has to be on a file system that the nodes share");
    EXPECT_EQ(why({1, 2, "FAILED", "NonZeroExitCode", "n1", 127, 0}),
              "the node n1 cannot run /usr/bin/sandbox: the launcher has to be installed there too");
    EXPECT_EQ(why({1, 2, "FAILED", "JobLaunchFailure", "n1", 0, 9}), "killed by signal 9 on the node n1");
    EXPECT_EQ(why({1, 2, "FAILED", "JobLaunchFailure", "n1", 0, 0}),
              "the job is failed on the node n1 and left no result: job launch failure");
    EXPECT_EQ(why({}), "the job has left the queue without a result");
    EXPECT_THAT(why({1, 2, "NODE_FAIL", "", "\x1b[2J", 0, 0}), Not(HasSubstr("\x1b")));
}

TEST(SlurmText, TakesTheLaunchersWordsFromALog) {
    EXPECT_EQ(launcher_words("hello\nsandbox: error: mounts.0.source: no such file\n  hint: make it\n"), "mounts.0.source: no such file");
    EXPECT_EQ(launcher_words("/a b/profile.yaml:3:4: error[E0203]: memory: too much\n   3 | x\n"), "memory: too much");
    EXPECT_EQ(launcher_words("something\nlast words\n\n"), "last words");
    EXPECT_EQ(launcher_words(""), "");
    EXPECT_THAT(launcher_words("error: \x1b[2J"), Not(HasSubstr("\x1b")));
}

TEST(SlurmText, PutsReasonsIntoWords) {
    EXPECT_EQ(reason_in_words("Resources"), "nothing is free");
    EXPECT_EQ(reason_in_words("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"),
              "the nodes are down, drained or reserved");
    EXPECT_EQ(reason_in_words("ReqNodeNotAvail, UnavailableNodes:n[1-2]"), "nodes are not available: n[1-2]");
    EXPECT_EQ(reason_in_words("ReqNodeNotAvail"), "the nodes are not available");
    EXPECT_EQ(reason_in_words("QOSMaxJobsPerUserLimit"), "qos max jobs per user limit");
    EXPECT_EQ(reason_in_words("AssocGrpCpuLimit"), "assoc grp cpu limit");
    EXPECT_EQ(reason_in_words("launch failed requeued held"), "launch failed requeued held");
    EXPECT_THAT(reason_in_words("\x1b]0;x\x07"), Not(HasSubstr("\x1b")));
}

TEST(SlurmText, PutsErrorsInOneLine) {
    EXPECT_EQ(one_line("sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid partition\n"),
              "invalid partition specified: x; Batch job submission failed: Invalid partition");
    EXPECT_EQ(one_line("slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"),
              "Unable to contact slurm controller (connect failure)");
    EXPECT_EQ(one_line("sbatch: fatal: Could not establish a configuration source\n"), "Could not establish a configuration source");
    EXPECT_EQ(one_line("a\na\nb\nc\nd\n"), "b; c; d");
    EXPECT_EQ(one_line("\n \n"), "");
    EXPECT_THAT(one_line("\x1b[2J"), Not(HasSubstr("\x1b")));
}

// ---- the engine, and programs that say what a test wants

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string contents(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
}

// Each program writes down how it was called, says what stands in NAME.out and NAME.err, and ends with NAME.code. sbatch numbers jobs
// from 2, its --version being the first call, and fails at the call whose number is in sbatch.fails.
class FakeSlurm : public ::testing::Test {
   protected:
    void SetUp() override {
        std::filesystem::create_directories(folder_.path("bin"));
        for (const std::string name : {"squeue", "scancel", "scontrol", "sbatch"}) {
            const std::string path = folder_.path(cat("bin/", name));
            const std::string said =
                name == "scontrol" ? "case \"$*\" in *config*) cat config.out;; *) cat scontrol.out;; esac\n"
                : name == "sbatch" ? "n=$(($(cat count) + 1)); echo $n >count\n"
                                     "[ \"$n\" != \"$(cat sbatch.fails)\" ] || { echo 'sbatch: error: Job violates policy' >&2; exit 1; }\n"
                                     "echo $n$(cat cluster)\nfor last; do :; done; cp \"$last\" script.$n\n"
                                   : cat("cat ", name, ".out\n");
            write(path, cat("#!/bin/sh\ncd ", shell_quote(folder_.path()), "\ncall=$(for word in ", name,
                            // In one piece: two of them run at once.
                            " \"$@\"; do printf '<%s>' \"$word\"; done)\nprintf '%s\\n' \"$call\" >>calls\n", said, "cat ", name,
                            ".err >&2\nexit $(cat ", name, ".code)\n"));
            std::filesystem::permissions(path, std::filesystem::perms::owner_all);
            for (const char* end : {".out", ".err"}) write(folder_.path(name + end), "");
            write(folder_.path(name + ".code"), "0");
        }
        write(folder_.path("config.out"), "MaxArraySize            = 4\n");
        write(folder_.path("count"), "0");
        for (const char* name : {"sbatch.fails", "cluster"}) write(folder_.path(name), "");
        path_ = std::getenv("PATH");
        setenv("PATH", cat(folder_.path("bin"), ":", path_).c_str(), 1);
        options_ = {"/usr/bin/sandbox", "web", folder_.path("it's jobs"), {"--partition=long"}, 10, 60'000};
    }
    void TearDown() override { setenv("PATH", path_.c_str(), 1); }

    // Takes the place of the file at once: a program may be reading it.
    void say(const std::string& name, const std::string& text) {
        write(folder_.path("new"), text);
        std::filesystem::rename(folder_.path("new"), folder_.path(name));
    }
    std::string calls(std::string_view program) {
        std::string out;
        const std::string text = contents(folder_.path("calls"));
        for (const std::string_view line : split(text, '\n'))
            if (line.starts_with(cat("<", program, ">"))) out += cat(line, "\n");
        return out;
    }
    CellTask task(std::size_t id, CellNeeds needs = {}) {
        CellTask out{id, id, cat("web-", id), folder_.path(cat("attempt ", id)), {}, {}, needs};
        std::filesystem::create_directories(out.folder);
        out.log = out.folder + "/log";
        out.result = out.folder + "/result.json";
        return out;
    }
    void result(std::size_t id, const std::string& reason, int exit_code) {
        Outcome outcome;
        outcome.reason = reason;
        outcome.exit_code = exit_code;
        write(folder_.path(cat("attempt ", id, "/result.json")), outcome_to_json(outcome));
    }
    void make() {
        auto made = make_slurm_engine(options_, [](const CellTask& task) -> Result<std::string> {
            if (task.cell == 99) return fail("no such cell");
            return cat("profile of ", task.cell, "\n");
        });
        ASSERT_TRUE(made) << made.error().message;
        engine_ = std::move(*made);
    }
    void submit(const std::vector<CellTask>& tasks) {
        auto submitted = engine_->submit(tasks);
        ASSERT_TRUE(submitted) << submitted.error().message;
    }
    // The next events, within a generous time.
    std::vector<CellEvent> next() {
        auto events = engine_->wait(-1, 20'000);
        EXPECT_TRUE(events) << events.error().message;
        return events ? *events : std::vector<CellEvent>();
    }
    std::vector<CellEvent> next(std::size_t number) {
        std::vector<CellEvent> out;
        while (out.size() < number) {
            auto events = next();
            if (events.empty()) break;
            out.insert(out.end(), events.begin(), events.end());
        }
        EXPECT_EQ(out.size(), number);
        out.resize(number);
        return out;
    }
    // Goes on without an event until a program was called so, or so often.
    void wait_for_call(std::string_view program, std::string_view words) {
        while (calls(program).find(words) == std::string::npos) ASSERT_THAT(*engine_->wait(-1, 5), IsEmpty());
    }
    void wait_for_looks(std::size_t more) {
        const auto number = [this] { return static_cast<std::size_t>(std::ranges::count(calls("squeue"), '\n')); };
        const std::size_t wanted = number() + more;
        while (number() < wanted) ASSERT_THAT(*engine_->wait(-1, 5), IsEmpty());
    }
    // Looks at the queue until there is what the engine says of it.
    void wait_for_state(const std::string& words) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (engine_->state() != words && std::chrono::steady_clock::now() < end) ASSERT_TRUE(engine_->wait(-1, 10));
        EXPECT_EQ(engine_->state(), words);
    }

    TemporaryFolder folder_;
    SlurmOptions options_;
    std::unique_ptr<Engine> engine_;
    std::string path_;
};

TEST_F(FakeSlurm, RunsTasksOfArrays) {
    make();
    submit({task(0), task(1), task(2)});
    EXPECT_THAT(
        calls("sbatch"),
        HasSubstr("<--parsable><--job-name=web><--array=0-2><--nodes=1><--ntasks=1><--output=/dev/null><--export=ALL><--partition=long><"));
    EXPECT_EQ(contents(folder_.path("attempt 1/profile.yaml")), "profile of 1\n");
    say("squeue.out", "2_0|RUNNING|n1|None\n2_1|PENDING||Priority\n2_2|PENDING||Resources\n");
    auto events = next(1);
    EXPECT_EQ(events[0].kind, CellEvent::Kind::started);
    EXPECT_EQ(events[0].task, 0U);
    EXPECT_EQ(events[0].place, "n1");
    EXPECT_EQ(engine_->state(), "1 cell waits: nothing is free; 1 cell waits: other jobs go first");
    result(0, "exit", 3);
    write(folder_.path("attempt 0/node"), "n1.example\n");
    say("squeue.out", "2_0|FAILED|n1|NonZeroExitCode\n2_1|PENDING||Priority\n2_2|PENDING||Priority\n");
    events = next(1);
    EXPECT_EQ(events[0].kind, CellEvent::Kind::ended);
    EXPECT_EQ(events[0].outcome.exit_code, 3);
    EXPECT_EQ(events[0].place, "n1.example");
    EXPECT_EQ(events[0].problem, "");
    // One that began and ended between two looks has begun all the same.
    result(1, "exit", 0);
    result(2, "exit", 0);
    say("squeue.out", "");
    events = next(4);
    EXPECT_EQ(events[0].kind, CellEvent::Kind::started);
    EXPECT_EQ(events[1].kind, CellEvent::Kind::ended);
    EXPECT_EQ(events[2].task, 2U);
    EXPECT_THAT(std::filesystem::directory_iterator(options_.folder), std::filesystem::directory_iterator());
}

TEST_F(FakeSlurm, GroupsByNeedsAndSplitsLargeArrays) {
    make();
    const CellNeeds large{64ULL << 20, 0, 0};
    submit({task(0), task(1, large), task(2), task(3), task(4), task(5), task(6, large)});
    const std::string sbatch = calls("sbatch");
    EXPECT_THAT(split(trim(sbatch), '\n'),
                ElementsAre(StartsWith("<sbatch><--version>"), AllOf(HasSubstr("<--array=0-3>"), Not(HasSubstr("--mem"))),
                            AllOf(HasSubstr("<--array=0-0>"), Not(HasSubstr("--mem"))),
                            AllOf(HasSubstr("<--array=0-1>"), HasSubstr("<--mem=80M>"))));
    EXPECT_THAT(contents(folder_.path("it's jobs/array-1/0")), HasSubstr("--name 'web-0'"));
    EXPECT_THAT(contents(folder_.path("it's jobs/array-1/3")), HasSubstr("--name 'web-4'"));
    EXPECT_THAT(contents(folder_.path("it's jobs/array-3/1")), HasSubstr("--name 'web-6'"));
}

TEST_F(FakeSlurm, TakesBackWhatItHasSubmittedWhenTheRestIsRefused) {
    make();
    write(folder_.path("sbatch.fails"), "3");  // --version is the first
    const std::vector<CellTask> tasks = {task(0), task(1, {1, 0, 0})};
    const auto submitted = engine_->submit(tasks);
    ASSERT_FALSE(submitted);
    EXPECT_EQ(submitted.error().message, "sbatch: Job violates policy");
    EXPECT_EQ(calls("scancel"), "<scancel><2>\n");
    EXPECT_TRUE(std::filesystem::exists(folder_.path("it's jobs/array-1/stop")));
    EXPECT_THAT(*engine_->wait(-1, 50), IsEmpty());
    EXPECT_EQ(calls("squeue"), "");
    const std::vector<CellTask> unknown = {task(99)};
    EXPECT_EQ(engine_->submit(unknown).error().message, "no such cell");
}

// What the scripts do when they run as Slurm runs them.
TEST_F(FakeSlurm, ScriptsRunTheLauncherWithWhateverPathsThereAre) {
    options_.command = folder_.path("bin/it's \"a\" $launcher");
    write(options_.command, "#!/bin/sh\nfor word; do printf '<%s>' \"$word\"; done\necho oops >&2\n");
    std::filesystem::permissions(options_.command, std::filesystem::perms::owner_all);
    make();
    CellTask hostile = task(7);
    hostile.folder = folder_.path("a\nb 'c' $(id)");
    std::filesystem::create_directories(hostile.folder);
    hostile.log = hostile.folder + "/log";
    hostile.result = hostile.folder + "/result.json";
    submit({task(0), hostile});
    write(hostile.result, "of the run before it was queued again");
    setenv("SLURMD_NODENAME", "n2", 1);
    setenv("XDG_RUNTIME_DIR", folder_.path().c_str(), 1);  // without one, the script makes one outside
    through_shell(cat("SLURM_ARRAY_TASK_ID=1 exec sh ", shell_quote(folder_.path("script.2"))));
    unsetenv("SLURMD_NODENAME");
    EXPECT_EQ(contents(hostile.log), cat("<up><--name><web-7><--result><", hostile.result, "><", hostile.folder, "/profile.yaml>oops\n"));
    EXPECT_EQ(contents(hostile.folder + "/node"), "n2\n");
    EXPECT_FALSE(std::filesystem::exists(hostile.result));
    const auto code = [&](const char* index) {
        return through_shell(cat("SLURM_ARRAY_TASK_ID=", index, " sh ", shell_quote(folder_.path("script.2")), "; echo $?"));
    };
    EXPECT_EQ(code("9"), "66\n");
    engine_->stop(false);
    EXPECT_EQ(code("0"), "75\n");
    EXPECT_FALSE(std::filesystem::exists(folder_.path("attempt 0/log")));
    unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(FakeSlurm, EndsATaskThatLeftNoResultAfterSomeLooks) {
    make();
    submit({task(0), task(1)});
    say("squeue.out", "2_0|NODE_FAIL|n1|NodeDown\n2_1|RUNNING|n2|None\n");
    say("scontrol.out", "JobId=1 ArrayJobId=2 ArrayTaskId=0 JobName=x JobState=NODE_FAIL Reason=NodeDown ExitCode=0:0 BatchHost=n1 \n");
    const auto events = next(3);
    EXPECT_EQ(events[0].task, 1U);
    EXPECT_EQ(events[1].kind, CellEvent::Kind::started);
    EXPECT_EQ(events[2].kind, CellEvent::Kind::ended);
    EXPECT_EQ(events[2].outcome.reason, "launcher");
    EXPECT_EQ(events[2].problem, "the node n1 failed");
    EXPECT_EQ(events[2].place, "n1");
    EXPECT_EQ(calls("scontrol"), "<scontrol><show><config>\n<scontrol><--oneliner><show><job><2>\n");
}

TEST_F(FakeSlurm, EndsATaskOfWhichSlurmKnowsNothingAnyMore) {
    make();
    submit({task(0)});
    say("squeue.code", "1");
    say("squeue.err", "slurm_load_jobs error: Invalid job id specified\n");
    say("scontrol.code", "1");
    const auto events = next(1);
    EXPECT_EQ(events[0].kind, CellEvent::Kind::ended);
    EXPECT_EQ(events[0].problem, "the job has left the queue without a result");
}

TEST_F(FakeSlurm, AResultMayComeLate) {
    make();
    submit({task(0)});
    say("squeue.out", "2_0|COMPLETED|n1|None\n");
    write(folder_.path("attempt 0/result.json"), "{\"reason\": \"ex");  // half of it
    wait_for_looks(3);
    result(0, "exit", 0);
    const auto events = next(2);
    EXPECT_EQ(events[1].outcome.reason, "exit");
}

TEST_F(FakeSlurm, ATaskThatIsQueuedAgainHasNotEnded) {
    make();
    submit({task(0)});
    say("squeue.out", "2_0|RUNNING|n1|None\n");
    EXPECT_EQ(next(1)[0].kind, CellEvent::Kind::started);
    result(0, "signal", 143);  // preempted: it was asked to stop, and said so
    say("squeue.out", "2_0|PENDING||BeginTime\n");
    wait_for_state("1 cell waits: the time to begin has not come");
    result(0, "exit", 0);
    say("squeue.out", "2_0|COMPLETED|n2|None\n");
    const auto events = next(1);
    EXPECT_EQ(events[0].kind, CellEvent::Kind::ended);
    EXPECT_EQ(events[0].outcome.reason, "exit");
    EXPECT_EQ(events[0].place, "n2");
}

TEST_F(FakeSlurm, CountsTheLooksAtAnEndAnewWhenATaskWasQueuedAgain) {
    make();
    submit({task(0)});
    for (const bool last : {false, true}) {
        say("squeue.out", "");  // between two states it may be in none
        wait_for_looks(4);
        if (last) break;
        say("squeue.out", "2_0|PENDING||BeginTime\n");
        wait_for_state("1 cell waits: the time to begin has not come");
    }
    result(0, "exit", 0);
    EXPECT_EQ(next(2)[1].outcome.reason, "exit");
}

TEST_F(FakeSlurm, BelievesScontrolThatATaskWasQueuedAgain) {
    make();
    submit({task(0)});
    say("scontrol.out", "JobId=1 ArrayJobId=2 ArrayTaskId=0 JobName=x JobState=PENDING Reason=BeginTime ExitCode=0:0 BatchHost=n1 \n");
    say("squeue.out", "2_0|NODE_FAIL|n1|NodeDown\n");
    wait_for_call("scontrol", "<show><job><2>");
    wait_for_looks(2);
    say("squeue.out", "2_0|RUNNING|n2|None\n");
    const auto events = next(1);
    EXPECT_EQ(events[0].kind, CellEvent::Kind::started);
    EXPECT_EQ(events[0].place, "n2");
}

TEST_F(FakeSlurm, SaysWhatTheLauncherSaid) {
    make();
    submit({task(0)});
    result(0, "launcher", 125);
    write(folder_.path("attempt 0/log"), "sandbox: error: mounts.0: there is no /a\n");
    say("squeue.out", "2_0|FAILED|n1|NonZeroExitCode\n");
    EXPECT_EQ(next(2)[1].problem, "mounts.0: there is no /a");
}

TEST_F(FakeSlurm, TriesAgainWhileTheControllerIsOutOfReach) {
    make();
    submit({task(0)});
    say("squeue.err", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n");
    say("squeue.code", "1");
    wait_for_state("slurm does not answer: Unable to contact slurm controller (connect failure)");
    say("squeue.out", "2_0|RUNNING|n1|None\n");
    say("squeue.code", "0");
    EXPECT_EQ(next(1)[0].kind, CellEvent::Kind::started);
    EXPECT_EQ(engine_->state(), "");
}

TEST_F(FakeSlurm, GivesUpWhenTheControllerStaysOutOfReach) {
    options_.patience = 50;
    make();
    submit({task(0)});
    say("squeue.out", "2_0|RUNN");  // what cannot be read is no answer either
    auto events = engine_->wait(-1, 20'000);
    ASSERT_FALSE(events);
    EXPECT_EQ(events.error().message, "squeue: cannot read '2_0|RUNN'");
    EXPECT_THAT(events.error().hint, HasSubstr("scontrol ping"));
}

TEST_F(FakeSlurm, AsksThoseThatRunToStopAndCancelsTheOthers) {
    make();
    submit({task(0), task(1)});
    say("squeue.out", "2_0|RUNNING|n1|None\n2_1|PENDING||Priority\n");
    next(1);
    engine_->stop(false);
    say("squeue.out", "2_0|RUNNING|n1|None\n2|CANCELLED||Priority\n");
    const auto cancelled = next(1);
    EXPECT_EQ(cancelled[0].task, 1U);
    EXPECT_EQ(cancelled[0].problem, "cancelled before it began");
    wait_for_call("scancel", "--signal=TERM");
    wait_for_looks(2);
    result(0, "exit", 7);
    say("squeue.out", "2_0|COMPLETED|n1|None\n");
    EXPECT_EQ(next(1)[0].outcome.exit_code, 7);
    const std::string scancel = calls("scancel");
    EXPECT_THAT(scancel, StartsWith("<scancel><--state=PENDING><2>\n<scancel><--batch><--signal=TERM><2_0>\n"));
    EXPECT_EQ(scancel.find("--signal", scancel.find("--signal") + 1), std::string::npos) << "asked twice";
}

TEST_F(FakeSlurm, AsksAgainWhatSlurmDidNotTake) {
    make();
    submit({task(0)});
    say("squeue.out", "2_0|RUNNING|n1|None\n");
    next(1);
    say("scancel.code", "1");
    engine_->stop(false);
    while (split(calls("scancel"), '\n').size() < 5) ASSERT_THAT(*engine_->wait(-1, 5), IsEmpty());
    say("scancel.code", "0");
    const std::string scancel = calls("scancel");
    EXPECT_NE(scancel.find("--signal=TERM", scancel.find("--signal=TERM") + 1), std::string::npos);
}

TEST_F(FakeSlurm, KillsAndDoesNotWaitForWhatTakesLong) {
    make();
    submit({task(0)});
    say("squeue.out", "2_0|RUNNING|n1|None\n");
    next(1);
    // scancel hangs, as it does when a job cannot be altered.
    ASSERT_EQ(mkfifo(folder_.path("never").c_str(), 0600), 0);
    std::filesystem::remove(folder_.path("scancel.out"));
    std::filesystem::create_symlink(folder_.path("never"), folder_.path("scancel.out"));
    engine_->stop(false);
    while (calls("scancel").empty()) ASSERT_THAT(*engine_->wait(-1, 5), IsEmpty());
    say("scancel.out", "");
    engine_->stop(true);
    wait_for_call("scancel", "<--batch><--signal=KILL><2_0>");
    say("squeue.out", "2_0|FAILED|n1|JobLaunchFailure\n");
    say("scontrol.out",
        "JobId=1 ArrayJobId=2 ArrayTaskId=0 JobName=x JobState=FAILED Reason=JobLaunchFailure ExitCode=0:9 BatchHost=n1 \n");
    EXPECT_EQ(next(1)[0].problem, "killed by signal 9 on the node n1");
}

TEST_F(FakeSlurm, GoesToTheClusterThatTookTheJobs) {
    make();
    write(folder_.path("cluster"), ";other");
    submit({task(0)});
    say("squeue.out", "CLUSTER: other\n2_0|RUNNING|n1|None\n");
    next(1);
    engine_->stop(false);
    wait_for_call("scancel", "--signal=TERM");
    say("squeue.out", "CLUSTER: other\n2_0|NODE_FAIL|n1|None\n");
    EXPECT_EQ(next(1)[0].problem, "the node n1 failed");
    EXPECT_THAT(calls("squeue"), StartsWith("<squeue><--clusters=other><--noheader>"));
    EXPECT_THAT(calls("scancel"), StartsWith("<scancel><--clusters=other><--state=PENDING><2>\n"));
    EXPECT_THAT(calls("scontrol"), HasSubstr("<scontrol><--clusters=other><--oneliner>"));
}

TEST_F(FakeSlurm, WakesAtOnce) {
    make();
    submit({task(0)});
    // The answer never comes.
    ASSERT_EQ(mkfifo(folder_.path("never").c_str(), 0600), 0);
    std::filesystem::remove(folder_.path("squeue.out"));
    std::filesystem::create_symlink(folder_.path("never"), folder_.path("squeue.out"));
    wait_for_looks(1);
    const Fd wake(eventfd(1, EFD_CLOEXEC));
    EXPECT_THAT(*engine_->wait(wake.get(), -1), IsEmpty());
}

TEST_F(FakeSlurm, IsNotMisledByTheUsersVariables) {
    make();
    submit({task(0)});
    write(folder_.path("bin/squeue"), cat("#!/bin/sh\nenv >", shell_quote(folder_.path("environment")), "\necho '2_0|RUNNING|n1|None'\n"));
    setenv("SQUEUE_PARTITION", "other", 1);
    next(1);
    unsetenv("SQUEUE_PARTITION");
    EXPECT_THAT(contents(folder_.path("environment")), AllOf(HasSubstr("PATH="), Not(HasSubstr("SQUEUE_"))));
    EXPECT_THAT(calls("sbatch"), Not(HasSubstr("SQUEUE")));
}

TEST_F(FakeSlurm, SaysThatSlurmIsNotInstalled) {
    setenv("PATH", folder_.path("nothing").c_str(), 1);
    const auto made = make_slurm_engine(options_, {});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().message, "sbatch: not found");
    EXPECT_THAT(made.error().hint, HasSubstr("--engine local"));
}

TEST_F(FakeSlurm, SaysThatTheClusterIsNotThere) {
    say("scontrol.err", "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)\n");
    say("scontrol.code", "1");
    const auto made = make_slurm_engine(options_, {});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().message, "scontrol: Unable to contact slurm controller (connect failure)");
    options_.options = {"--array=1-3"};
    EXPECT_THAT(make_slurm_engine(options_, {}).error().message, HasSubstr("'--array=1-3'"));
}

}  // namespace
}  // namespace sandbox
