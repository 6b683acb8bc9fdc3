// What host tests are made of: programs run under a timeout, with pipes or under a pty; profiles run by the launcher;
// the probe's view from inside; temporary directories and root trees. Trouble with the harness itself is an exception.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <termios.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"

// A test that cannot run here says so loudly; with SANDBOX_TESTS_MUST_RUN=1 that is a failure.
#define REQUIRE_OR_SKIP(condition, reason)                                          \
    if (!(condition)) {                                                             \
        if (::harness::tests_must_run()) FAIL() << "cannot run here: " << (reason); \
        GTEST_SKIP() << "SKIPPED: " << (reason);                                    \
    }                                                                               \
    static_assert(true, "")

// A test of what only root of the machine itself can do. In the run as root of a user namespace it is left out, which is expected
// and counted apart: the same suite runs outside of it too.
#define HOST_ROOT_OR_LEFT_OUT()                                       \
    REQUIRE_OR_SKIP(::harness::is_root(), "needs root");              \
    if (!::harness::is_host_root()) {                                 \
        ::testing::Test::RecordProperty("expected_skip", 1);          \
        GTEST_SKIP() << "left out: not for root of a user namespace"; \
    }                                                                 \
    static_assert(true, "")

namespace harness {

using sandbox::Fd;
using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;
using std::chrono::milliseconds;

// The tests run, when they are root, on a host of their own: new mount, network, ipc and uts namespaces, "/" shared there
// and private towards the real host, copies of the device nodes, an empty /run and /dev/shm, loopback up. A broken launcher hurts no one,
// and nobody else's sandboxes disturb a comparison. SANDBOX_TESTS_ON_HOST=1 runs them on the real one.
bool on_private_host();
bool tests_must_run();
bool is_root();
// Root of the initial user namespace, not of one below it.
bool is_host_root();
// The first of 40000 ids that root may give to a sandbox here and that own no file: a user namespace has 65536 in all.
unsigned spare_ids();

// How a program ended.
struct Ended {
    int code = -1;             // exit code; -1 if a signal killed it
    int signal = 0;            // the signal that killed it, or 0
    bool timed_out = false;    // it was killed by us
    bool output_held = false;  // something still held its standard output or error open when it had ended
    std::string out, err;
    rusage usage{};
    double seconds = 0;

    [[nodiscard]] bool ok() const { return code == 0; }
};

// For a failing assertion: how it ended and what it wrote.
std::ostream& operator<<(std::ostream& stream, const Ended& ended);

struct Options {
    std::string input;                       // standard input; its end follows
    bool keep_input_open = false;            // the end comes with close_input()
    std::optional<Environment> environment;  // instead of the caller's
    Environment add;                         // on top of it
    std::optional<uid_t> uid;                // setresuid in the child, without supplementary groups
    std::optional<gid_t> gid;                // default: the number of uid
    std::string directory;                   // working directory
    milliseconds timeout{20000};
    bool pty = false;       // a fresh pty is standard input, output and error, and the controlling terminal
    Words up;               // run_sandbox: more arguments for `up`
    std::vector<int> pass;  // descriptors of ours that stay open, under the same number
};

// For a program run as an ordinary user (uid and gid 54321, without a password entry or subordinate ids): HOME,
// XDG_RUNTIME_DIR and PWD are directories of its own. Needs root.
Options ordinary_user();
// Where that user's launcher keeps its state.
std::string ordinary_runtime_directory();

// A program that runs. The destructor kills it if it still does.
class Process {
   public:
    static Process start(const Words& argv, Options options = {});
    Process(Process&&) noexcept;
    Process& operator=(Process&&) = delete;
    ~Process();

    [[nodiscard]] pid_t pid() const { return pid_; }
    // Everything written so far (a pty's screen is `out`).
    [[nodiscard]] const std::string& out() const { return ended_.out; }
    [[nodiscard]] const std::string& err() const { return ended_.err; }
    // Reads until `text` has come after what earlier calls found; false after the timeout or at the end of the program.
    bool expect(std::string_view text, milliseconds timeout = milliseconds(10000));
    // The same, on standard error.
    bool expect_error(std::string_view text, milliseconds timeout = milliseconds(10000));
    // Types on the pty, or writes to standard input if it was kept open.
    void send(std::string_view text);
    void close_input();
    void signal(int number);
    void resize(unsigned short rows, unsigned short columns);
    // Our copy of the terminal side of the pty, to look at its settings.
    [[nodiscard]] int terminal() const { return terminal_.get(); }
    // Closes the pty: what happens when a terminal window is closed.
    void hang_up();
    // Whether it has ended, without waiting.
    [[nodiscard]] bool has_ended() const;
    // Waits for the end, kills after the timeout.
    Ended wait();

   private:
    Process() = default;
    bool pump(milliseconds timeout);
    void drain();
    bool expect_in(const std::string& text, std::size_t& seen, std::string_view wanted, milliseconds timeout);

    pid_t pid_ = -1;
    Fd pidfd_, input_, output_, error_, master_, terminal_;
    std::string unsent_;
    bool close_when_sent_ = false;
    std::size_t seen_out_ = 0, seen_err_ = 0;
    Options options_;
    Ended ended_;
    bool collected_ = false;
    std::chrono::steady_clock::time_point started_;
};

Ended run(const Words& argv, const Options& options = {});

// A directory of its own under /tmp, mode 0755, removed with all in it; with a mount left beneath it, it stays and says so.
class TempDir {
   public:
    TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir();
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
    // Writes a file (and the directories above it) and returns its path.
    std::string write(std::string_view name, std::string_view text, mode_t mode = 0644) const;
    std::string make(std::string_view name, mode_t mode = 0755) const;
    std::string link(std::string_view name, std::string_view target) const;

   private:
    std::string path_;
};

std::string read_text(const std::string& path);
void write_text(const std::string& path, std::string_view text, mode_t mode = 0644);
bool exists(const std::string& path);
bool command_exists(const std::string& name);

// The programs under test, copied to where an ordinary user can reach them. Empty: not built.
std::string sandbox_binary();
std::string probe_binary();
// Launches that fail or are killed where they are told to (sweep/main.cpp).
std::string sweep_binary();

// Runs `sandbox VERB...`.
Ended sandbox_command(const Words& arguments, const Options& options = {});
// Writes the profile to a file of its own and runs `sandbox up FILE -- ARGV` to its end. In the text @PROBE@ stands for the
// probe's path on the host, @PROBE_TREE@, @BUSYBOX@ and @DEBIAN@ for the trees below.
Ended run_sandbox(std::string_view profile, const Words& argv = {}, const Options& options = {});
Process start_sandbox(std::string_view profile, const Words& argv = {}, const Options& options = {});
// Runs the probe inside and returns what it saw; an exception with all output if it did not answer. The probe is looked for
// at /sandbox-probe, or at its path on the host when the profile's root is the host's.
Json probe_in_sandbox(std::string_view profile, const Words& verbs, const Options& options = {});
// The same outside any sandbox, after the words of `wrapper` ("unshare", "--pid", ...).
Json probe_outside(const Words& verbs, const Words& wrapper = {}, const Options& options = {});
// The last line of JSON in the output.
Json last_json(const Ended& ended);

// Root trees, made at the first call, removed at the end of the tests. All but the host's have /sandbox-probe.
const std::string& probe_tree();    // the probe and empty directories alone
const std::string& busybox_tree();  // busybox with its links, passwd and group; empty: no busybox-static here
// Debian 12 from the cache outside the repository, without the probe; empty: make-debian-tree has not run and cannot.
const std::string& debian_tree();

}  // namespace harness
