#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "base/text.h"
#include "snapshot.h"

extern char** environ;

namespace harness {

using sandbox::cat;
using Clock = std::chrono::steady_clock;

namespace {

[[noreturn]] void broken(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

struct Pipe {
    Fd read, write;
};

Pipe make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) broken("pipe2");
    return {Fd(ends[0]), Fd(ends[1])};
}

std::vector<std::string> environment_of(const Options& options) {
    Environment all;
    if (options.environment) {
        all = *options.environment;
    } else {
        for (char** entry = environ; *entry != nullptr; ++entry) {
            const std::string_view text = *entry;
            const std::size_t equals = text.find('=');
            if (equals != text.npos) all[std::string(text.substr(0, equals))] = text.substr(equals + 1);
        }
    }
    for (const auto& [name, value] : options.add) all[name] = value;
    std::vector<std::string> words;
    for (const auto& [name, value] : all) words.push_back(cat(name, "=", value));
    return words;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> list;
    for (std::string& word : words) list.push_back(word.data());
    list.push_back(nullptr);
    return list;
}

bool become(const Options& options) {
    if (!options.uid) return true;
    const gid_t gid = options.gid.value_or(*options.uid);
    return setgroups(0, nullptr) == 0 && setresgid(gid, gid, gid) == 0 && setresuid(*options.uid, *options.uid, *options.uid) == 0;
}

// In the child: nothing of the test's own signals, descriptors or terminal stays.
bool prepare_child(const Options& options, int input, int output, int error) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    // The tests are a session of their own for each program: without a pty it has no terminal, with one it is its leader.
    if (setsid() < 0) return false;
    if (options.pty && ioctl(input, TIOCSCTTY, 0) != 0) return false;
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(error, 2) < 0) return false;
    if (syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) != 0) return false;
    for (const int fd : options.pass) {
        if (fcntl(fd, F_SETFD, 0) != 0) return false;
    }
    return become(options) && (options.directory.empty() || chdir(options.directory.c_str()) == 0);
}

void append_available(Fd& fd, std::string& text) {
    char buffer[65536];
    while (fd) {
        const ssize_t got = read(fd.get(), buffer, sizeof buffer);
        if (got > 0) {
            text.append(buffer, static_cast<std::size_t>(got));
        } else if (got < 0 && errno == EINTR) {
            continue;
        } else if (got < 0 && errno == EAGAIN) {
            return;
        } else {
            fd.reset();  // the end, or EIO of a pty whose other side is closed
        }
    }
}

void make_nonblocking(const Fd& fd) {
    if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) broken("fcntl");
}

milliseconds left_until(Clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    return std::max(left, milliseconds(0));
}

}  // namespace

namespace {

bool private_host = false;

void bring_up_loopback() {
    const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    if (!fd || ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) broken("cannot bring up lo");
}

void make_node(const std::string& path, const struct stat& info) {
    if (mknod(path.c_str(), info.st_mode, info.st_rdev) != 0 || chown(path.c_str(), info.st_uid, info.st_gid) != 0 ||
        chmod(path.c_str(), info.st_mode & 07777) != 0)
        broken("cannot make " + path);
}

// Nodes for the same devices: what a broken launcher does to their owners and modes does not last. Root of a user namespace
// cannot make any; `in-user-namespace` has done it before.
void cover_devices() {
    std::string place = "/tmp/sandbox-test-dev-XXXXXX";
    if (mkdtemp(place.data()) == nullptr) broken("mkdtemp");
    if (mount("tmpfs", place.c_str(), "tmpfs", MS_NOSUID, "mode=0755") != 0) broken("cannot mount a tmpfs");
    for (const auto& entry : std::filesystem::directory_iterator("/dev")) {
        const std::string path = cat(place, "/", entry.path().filename().string());
        struct stat info {};
        if (lstat(entry.path().c_str(), &info) != 0) continue;  // gone since it was listed
        if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) make_node(path, info);
        if (S_ISLNK(info.st_mode)) std::filesystem::copy_symlink(entry.path(), path);
        if (!S_ISDIR(info.st_mode)) continue;
        if (mkdir(path.c_str(), 0755) != 0) broken("mkdir " + path);
        if (mount(entry.path().c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) broken("cannot bind " + path);
    }
    if (mount(place.c_str(), "/dev", nullptr, MS_MOVE, nullptr) != 0) broken("cannot mount /dev");
    if (rmdir(place.c_str()) != 0) broken("rmdir " + place);
}

class PrivateHost : public ::testing::Environment {
   public:
    void SetUp() override {
        const char* refused = getenv("SANDBOX_TESTS_ON_HOST");
        if (!is_root() || (refused != nullptr && std::string_view(refused) == "1")) return;
        if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) broken("unshare");
        // Private first, so that nothing reaches the real host; shared then, as most hosts are.
        if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) broken("cannot make / private");
        if (is_host_root()) cover_devices();
        if (mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) != 0) broken("cannot make / shared");
        if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) broken("cannot mount /run");
        if (mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0) broken("cannot mount /dev/shm");
        bring_up_loopback();
        private_host = true;
    }
};

[[maybe_unused]] const auto* const environment = ::testing::AddGlobalTestEnvironment(new PrivateHost);

}  // namespace

bool on_private_host() { return private_host; }

bool tests_must_run() {
    const char* value = getenv("SANDBOX_TESTS_MUST_RUN");
    return value != nullptr && std::string_view(value) == "1";
}

bool is_root() { return geteuid() == 0; }

bool is_host_root() {
    static const bool initial = sandbox::split(read_text("/proc/self/uid_map"), '\n')[0].ends_with(" 4294967295");
    return is_root() && initial;
}

unsigned spare_ids() { return is_host_root() ? 200000 : 10000; }

std::ostream& operator<<(std::ostream& stream, const Ended& ended) {
    if (ended.timed_out)
        stream << "killed after its time was over";
    else if (ended.signal != 0)
        stream << "killed by signal " << ended.signal;
    else
        stream << "exit code " << ended.code;
    return stream << "\n--- standard output\n" << ended.out << "\n--- standard error\n" << ended.err << "\n---";
}

Process Process::start(const Words& argv, Options options) {
    adopt_orphans();
    Process process;
    process.started_ = Clock::now();
    Pipe in, out, err, failed = make_pipe();
    Fd child_in, child_out, child_err;
    if (options.pty) {
        int master = -1, terminal = -1;
        winsize size{24, 80, 0, 0};
        if (openpty(&master, &terminal, nullptr, nullptr, &size) != 0) broken("openpty");
        process.master_ = Fd(master);
        process.terminal_ = Fd(terminal);
        fcntl(master, F_SETFD, FD_CLOEXEC);
        fcntl(terminal, F_SETFD, FD_CLOEXEC);
        if (options.uid && fchown(terminal, *options.uid, static_cast<gid_t>(-1)) != 0) broken("fchown");
        make_nonblocking(process.master_);
        process.unsent_ = options.input;
    } else {
        in = make_pipe();
        out = make_pipe();
        err = make_pipe();
    }
    const int input = options.pty ? process.terminal_.get() : in.read.get();
    const int output = options.pty ? process.terminal_.get() : out.write.get();
    const int error = options.pty ? process.terminal_.get() : err.write.get();

    std::vector<std::string> words = argv, environment = environment_of(options);
    const std::vector<char*> arguments = pointers(words), variables = pointers(environment);
    const pid_t pid = fork();
    if (pid < 0) broken("fork");
    if (pid == 0) {
        if (prepare_child(options, input, output, error)) execvpe(arguments[0], arguments.data(), variables.data());
        const int number = errno;
        _exit(write(failed.write.get(), &number, sizeof number) == sizeof number ? 127 : 126);
    }
    own_child(pid, true);
    process.pid_ = pid;
    process.pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    failed.write.reset();
    int number = 0;
    if (read(failed.read.get(), &number, sizeof number) == sizeof number) {
        throw std::system_error(number, std::generic_category(), "cannot start " + argv.at(0));
    }
    if (!options.pty) {
        process.input_ = std::move(in.write);
        process.output_ = std::move(out.read);
        process.error_ = std::move(err.read);
        for (const Fd* fd : {&process.input_, &process.output_, &process.error_}) make_nonblocking(*fd);
        process.unsent_ = options.input;
        process.close_when_sent_ = !options.keep_input_open;
    }
    process.options_ = std::move(options);
    return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      error_(std::move(other.error_)),
      master_(std::move(other.master_)),
      terminal_(std::move(other.terminal_)),
      unsent_(std::move(other.unsent_)),
      close_when_sent_(other.close_when_sent_),
      seen_out_(other.seen_out_),
      seen_err_(other.seen_err_),
      options_(std::move(other.options_)),
      ended_(std::move(other.ended_)),
      collected_(other.collected_),
      started_(other.started_) {}

Process::~Process() {
    if (pid_ <= 0 || collected_) return;
    ::kill(pid_, SIGKILL);  // ours, and not yet collected: the number cannot be another's
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    own_child(pid_, false);
}

// Moves what can be moved; false when the program has ended.
bool Process::pump(milliseconds timeout) {
    Fd& writer = options_.pty ? master_ : input_;
    if (!options_.pty && unsent_.empty() && close_when_sent_) input_.reset();
    pollfd polled[4];
    nfds_t count = 0;
    polled[count++] = {pidfd_.get(), POLLIN, 0};
    if (output_) polled[count++] = {output_.get(), POLLIN, 0};
    if (error_) polled[count++] = {error_.get(), POLLIN, 0};
    const bool writing = !unsent_.empty() && writer;
    if (options_.pty && master_) polled[count++] = {master_.get(), static_cast<short>(writing ? POLLIN | POLLOUT : POLLIN), 0};
    if (!options_.pty && writing) polled[count++] = {input_.get(), POLLOUT, 0};
    if (poll(polled, count, static_cast<int>(timeout.count())) < 0 && errno != EINTR) broken("poll");
    drain();
    if (writing) {
        // A reader that has gone is no trouble of the harness.
        struct sigaction ignore {
        }, before{};
        ignore.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &ignore, &before);
        const ssize_t wrote = write(writer.get(), unsent_.data(), unsent_.size());
        const int number = errno;
        sigaction(SIGPIPE, &before, nullptr);
        if (wrote > 0)
            unsent_.erase(0, static_cast<std::size_t>(wrote));
        else if (wrote < 0 && number != EAGAIN && number != EINTR)
            unsent_.clear();
    }
    return !has_ended();
}

void Process::drain() {
    append_available(output_, ended_.out);
    append_available(error_, ended_.err);
    append_available(master_, ended_.out);
}

bool Process::has_ended() const {
    if (collected_) return true;
    pollfd polled{pidfd_.get(), POLLIN, 0};
    return poll(&polled, 1, 0) == 1;
}

bool Process::expect_in(const std::string& text, std::size_t& seen, std::string_view wanted, milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    while (true) {
        const std::size_t found = text.find(wanted, seen);
        if (found != std::string::npos) {
            seen = found + wanted.size();
            return true;
        }
        const auto left = left_until(deadline);
        if (left.count() == 0) return false;
        if (!pump(left)) {
            drain();
            const std::size_t last = text.find(wanted, seen);
            if (last == std::string::npos) return false;
        }
    }
}

bool Process::expect(std::string_view text, milliseconds timeout) { return expect_in(ended_.out, seen_out_, text, timeout); }
bool Process::expect_error(std::string_view text, milliseconds timeout) { return expect_in(ended_.err, seen_err_, text, timeout); }

void Process::send(std::string_view text) {
    unsent_ += text;
    while (!unsent_.empty() && pump(milliseconds(1000))) {
    }
}

void Process::close_input() {
    close_when_sent_ = true;
    pump(milliseconds(0));
}

void Process::signal(int number) {
    if (syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0 && errno != ESRCH) broken("pidfd_send_signal");
}

void Process::resize(unsigned short rows, unsigned short columns) {
    const winsize size{rows, columns, 0, 0};
    if (ioctl(master_.get(), TIOCSWINSZ, &size) != 0) broken("TIOCSWINSZ");
}

void Process::hang_up() {
    terminal_.reset();
    master_.reset();
}

Ended Process::wait() {
    const auto deadline = started_ + options_.timeout;
    while (pump(left_until(deadline))) {
        if (left_until(deadline).count() != 0) continue;
        ended_.timed_out = true;
        signal(SIGKILL);
        pollfd polled{pidfd_.get(), POLLIN, 0};
        while (poll(&polled, 1, -1) < 0 && errno == EINTR) {
        }
    }
    int status = 0;
    while (wait4(pid_, &status, 0, &ended_.usage) < 0) {
        if (errno != EINTR) broken("wait4");
    }
    own_child(pid_, false);
    collected_ = true;
    drain();
    ended_.output_held = output_.valid() || error_.valid();
    ended_.seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    if (WIFEXITED(status)) ended_.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) ended_.signal = WTERMSIG(status);
    return ended_;
}

Ended run(const Words& argv, const Options& options) { return Process::start(argv, options).wait(); }

TempDir::TempDir() {
    std::string name = "/tmp/sandbox-test-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) broken("mkdtemp");
    path_ = name;
    if (chmod(path_.c_str(), 0755) != 0) broken("chmod " + path_);
}

TempDir::~TempDir() {
    // A bind mount that a broken launcher left would lead the removal out of this directory.
    if (read_text("/proc/self/mountinfo").find(" " + path_) != std::string::npos) {
        ADD_FAILURE() << "a mount is left beneath " << path_ << "; the directory is not removed";
        return;
    }
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::write(std::string_view name, std::string_view text, mode_t mode) const {
    const std::string path = *this / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_text(path, text, mode);
    return path;
}

std::string TempDir::make(std::string_view name, mode_t mode) const {
    const std::string path = *this / name;
    std::filesystem::create_directories(path);
    if (chmod(path.c_str(), mode) != 0) broken("chmod " + path);
    return path;
}

std::string TempDir::link(std::string_view name, std::string_view target) const {
    const std::string path = *this / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    if (symlink(std::string(target).c_str(), path.c_str()) != 0) broken("symlink " + path);
    return path;
}

std::string read_text(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

void write_text(const std::string& path, std::string_view text, mode_t mode) {
    std::ofstream stream(path, std::ios::binary | std::ios::trunc);
    stream << text;
    stream.close();
    if (!stream || chmod(path.c_str(), mode) != 0) broken("write " + path);
}

bool exists(const std::string& path) {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0;
}

bool command_exists(const std::string& name) {
    const char* path = getenv("PATH");
    for (const std::string_view directory : sandbox::split(path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin", ':')) {
        if (access(cat(directory, "/", name).c_str(), X_OK) == 0) return true;
    }
    return false;
}

namespace {

// Lives as long as the tests; what the trees are made in.
TempDir& workshop() {
    static TempDir directory;
    return directory;
}

std::string reachable_copy(const char* variable, const char* built, const char* name) {
    const char* chosen = getenv(variable);
    const std::string source = chosen != nullptr ? chosen : built;
    if (!exists(source)) return {};
    const std::string copy = workshop() / name;
    std::filesystem::copy_file(source, copy);
    if (chmod(copy.c_str(), 0755) != 0) broken("chmod " + copy);
    return copy;
}

void make_skeleton(const TempDir& place, const std::string& tree) {
    for (const char* name : {"proc", "sys", "dev", "etc", "run", "root", "home", "mnt", "bin", "usr/bin", "work"}) {
        place.make(cat(tree, "/", name));
    }
    place.make(tree + "/tmp", 01777);
    place.write(tree + "/etc/passwd",
                "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nuser:x:1000:1000:User:/home:/bin/sh\n"
                "nobody:x:65534:65534:nobody:/:/bin/false\n");
    place.write(tree + "/etc/group", "root:x:0:\ndaemon:x:1:\naudio:x:29:user\nuser:x:1000:\nnogroup:x:65534:\n");
    std::filesystem::copy_file(probe_binary(), place / (tree + "/sandbox-probe"));
}

std::string make_busybox_tree() {
    const char* binary = nullptr;
    for (const char* path : {"/bin/busybox", "/usr/bin/busybox"}) {
        if (exists(path)) binary = path;
    }
    // Only a static one runs alone in its tree: the dynamic one names an interpreter.
    if (binary == nullptr || read_text(binary).find("/lib64/ld-linux") != std::string::npos) return {};
    make_skeleton(workshop(), "busybox");
    const std::string copy = workshop() / "busybox/bin/busybox";
    std::filesystem::copy_file(binary, copy);
    if (chmod(copy.c_str(), 0755) != 0) broken("chmod " + copy);
    const Ended names = run({copy, "--list"});
    for (const std::string_view name : sandbox::split(names.out, '\n')) {
        if (!name.empty() && name != "busybox") workshop().link(cat("busybox/bin/", name), "busybox");
    }
    return workshop() / "busybox";
}

std::string make_debian_tree() {
    const char* cache = getenv("SANDBOX_TEST_CACHE");
    const char* home = getenv("HOME");
    const std::string tree =
        cache != nullptr ? cat(cache, "/debian-12") : cat(home != nullptr ? home : "/root", "/.cache/sandbox-tests/debian-12");
    if (exists(tree + "/etc/debian_version")) return tree;
    if (!is_root() || !command_exists("mmdebstrap")) return {};
    Options options;
    options.timeout = std::chrono::minutes(15);
    const Ended made = run({SOURCE_DIR "/tests/host/make-debian-tree", tree}, options);
    return made.ok() ? tree : std::string();
}

std::string replaced(std::string text, std::string_view word, const std::string& (*value)()) {
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at)) {
        text.replace(at, word.size(), value());
    }
    return text;
}

const std::string& probe_path() {
    static const std::string path = probe_binary();
    return path;
}

struct WrittenProfile {
    std::string path, text;
};

WrittenProfile write_profile(std::string_view profile) {
    static int count = 0;
    std::string text(profile);
    text = replaced(std::move(text), "@PROBE@", probe_path);
    text = replaced(std::move(text), "@PROBE_TREE@", probe_tree);
    text = replaced(std::move(text), "@BUSYBOX@", busybox_tree);
    text = replaced(std::move(text), "@DEBIAN@", debian_tree);
    // The file's stem is the sandbox's name: one that no other run of the tests has.
    const std::string name = cat("profiles/t", getpid(), "-", ++count, ".yaml");
    return {workshop().write(name, text), text};
}

Words up_words(const WrittenProfile& profile, const Words& argv, const Options& options) {
    Words words = {sandbox_binary(), "up", profile.path};
    words.insert(words.end(), options.up.begin(), options.up.end());
    if (!argv.empty()) words.push_back("--");
    words.insert(words.end(), argv.begin(), argv.end());
    return words;
}

}  // namespace

Options ordinary_user() {
    constexpr uid_t id = 54321;
    Options options;
    options.uid = id;
    options.directory = workshop().make("user/home");
    for (const std::string& path : {options.directory, ordinary_runtime_directory()}) {
        if (chown(path.c_str(), id, id) != 0 || chmod(path.c_str(), 0700) != 0) broken("cannot give away " + path);
    }
    options.add = {
        {"HOME", options.directory}, {"XDG_RUNTIME_DIR", ordinary_runtime_directory()}, {"USER", "tester"}, {"PWD", options.directory}};
    return options;
}

std::string ordinary_runtime_directory() { return workshop().make("user/run", 0700); }

std::string sandbox_binary() {
    static const std::string path = reachable_copy("SANDBOX_BINARY", SANDBOX_BINARY, "sandbox");
    return path;
}

std::string probe_binary() {
    static const std::string path = reachable_copy("SANDBOX_PROBE", SANDBOX_PROBE, "sandbox-probe");
    return path;
}

std::string sweep_binary() {
    static const std::string path = reachable_copy("SANDBOX_SWEEP", SANDBOX_SWEEP, "sandbox-sweep");
    return path;
}

Ended sandbox_command(const Words& arguments, const Options& options) {
    Words words = {sandbox_binary()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return run(words, options);
}

Ended run_sandbox(std::string_view profile, const Words& argv, const Options& options) {
    return run(up_words(write_profile(profile), argv, options), options);
}

Process start_sandbox(std::string_view profile, const Words& argv, const Options& options) {
    return Process::start(up_words(write_profile(profile), argv, options), options);
}

Json last_json(const Ended& ended) {
    Json found;
    for (const std::string_view line : sandbox::split(ended.out, '\n')) {
        const std::size_t start = line.find('{');  // a terminal's echo may come before it
        if (start == line.npos) continue;
        Json parsed = Json::parse(sandbox::trim(line.substr(start)), nullptr, false);
        if (!parsed.is_discarded()) found = std::move(parsed);
    }
    if (found.is_null()) {
        std::ostringstream message;
        message << "the probe gave no answer: " << ended;
        throw std::runtime_error(message.str());
    }
    return found;
}

Json probe_in_sandbox(std::string_view profile, const Words& verbs, const Options& options) {
    const WrittenProfile written = write_profile(profile);
    const bool on_host = written.text.find("host: ro") != std::string::npos || written.text.find("host: rw") != std::string::npos;
    Words argv = {on_host ? probe_path() : "/sandbox-probe"};
    argv.insert(argv.end(), verbs.begin(), verbs.end());
    return last_json(run(up_words(written, argv, options), options));
}

Json probe_outside(const Words& verbs, const Words& wrapper, const Options& options) {
    Words argv = wrapper;
    argv.push_back(probe_path());
    argv.insert(argv.end(), verbs.begin(), verbs.end());
    return last_json(run(argv, options));
}

const std::string& probe_tree() {
    static const std::string tree = [] {
        make_skeleton(workshop(), "probe");
        return workshop() / "probe";
    }();
    return tree;
}

const std::string& busybox_tree() {
    static const std::string tree = make_busybox_tree();
    return tree;
}

const std::string& debian_tree() {
    static const std::string tree = make_debian_tree();
    return tree;
}

}  // namespace harness
