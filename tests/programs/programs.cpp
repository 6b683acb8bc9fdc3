#include "programs.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/text.h"

namespace programs {

namespace {

bool holds(const Words& list, const std::string& word) { return std::ranges::find(list, word) != list.end(); }

// What smallest-capabilities tries: "NAME CAPABILITY,CAPABILITY" are those that the profile NAME has instead of its own.
Words other_capabilities(const std::string& profile) {
    const char* text = getenv("SANDBOX_PROGRAMS_CAPABILITIES");
    const std::string wanted = text != nullptr ? text : "";
    if (!wanted.starts_with(profile + " ")) return {};
    return {"--set", "capabilities.base=none",
            "--set", "capabilities.drop={replace: []}",
            "--set", cat("capabilities.add={replace: [", wanted.substr(profile.size() + 1), "]}")};
}

// ---- what the probe is asked, and how the host is looked at afterwards

struct Attempt {
    std::string place, file, verb;
};

std::vector<Attempt> attempts_to_write(const Given& given, const std::string& folder) {
    Words all = places();
    for (const Words* more : {&given.writable, &given.scratch, &given.more_places}) all.insert(all.end(), more->begin(), more->end());
    all.push_back(folder);
    std::ranges::sort(all);
    all.erase(std::ranges::unique(all).begin(), all.end());
    std::vector<Attempt> out;
    for (const std::string& place : all) {
        const std::string file = cat(".probe-", getpid(), "-", out.size());
        out.push_back({place, file, cat("create:", place == "/" ? "" : place, "/", file)});
    }
    return out;
}

Words addresses() { return {loopback_address, host_address, outside_address, bridge_address}; }

std::string verb_to_connect(const std::string& address) { return cat("tcp:", address, ":", port); }

// One line when what is possible is not what is given.
std::string compare_with_given(bool possible, bool given, const std::string& what, const std::string& how) {
    if (possible == given) return "";
    return given ? cat("is given, but cannot: ", what, " (", how, ")\n") : cat("can, and is not given: ", what, "\n");
}

// A file that is on the host now, and is removed.
bool appeared(const Attempt& attempt, const std::string& folder) {
    bool found = false;
    for (const std::string& place : {attempt.place, folder}) {
        const std::string path = cat(place, "/", attempt.file);
        if (!exists(path)) continue;
        found = true;
        std::filesystem::remove(path);
    }
    return found;
}

std::string judge_writing(const std::vector<Attempt>& attempts, const Json& seen, const Given& given, const std::string& folder) {
    // In every sandbox these are memory of its own, or read-only.
    const Words own = {"/dev", "/dev/shm", "/run", "/tmp"};
    std::string out;
    for (const Attempt& attempt : attempts) {
        const std::string how = seen.at(attempt.verb);
        const bool on_host = appeared(attempt, folder), wrote = how == "ok";
        out += compare_with_given(on_host, holds(given.writable, attempt.place), cat("write to the host's ", attempt.place), how);
        if (!on_host && !holds(given.writable, attempt.place) && !holds(own, attempt.place))
            out += compare_with_given(wrote, holds(given.scratch, attempt.place), cat("write to a ", attempt.place, " of its own"), how);
    }
    return out;
}

std::string judge_reading(const Json& seen, const Given& given) {
    std::string out;
    for (const std::string& path : secrets()) {
        const Json& answer = seen.at("read:" + path);
        const bool read = answer.contains("text") && answer["text"] != "";
        out += compare_with_given(read, holds(given.readable, path), "read " + path, answer.value("error", "it is empty"));
    }
    return out;
}

std::string judge_connecting(const Json& seen, const Given& given) {
    std::string out;
    for (const std::string& address : addresses()) {
        const std::string how = seen.at(verb_to_connect(address));
        out += compare_with_given(how == "ok", holds(given.reach, address), "connect to " + address, how);
    }
    return out;
}

std::string judge_privileges(const Json& seen, const Given& given) {
    const Words refusals = {"EPERM", "EACCES", "ENOSYS", "EAFNOSUPPORT"};
    std::string out;
    for (const std::string& call : calls()) {
        // Each is harmless where it is allowed, and fails for another reason then.
        const std::string how = seen.at("try:" + call);
        out += compare_with_given(!holds(refusals, how), holds(given.calls, call), call, how);
    }
    for (const char* name : {"mnt", "pid", "ipc", "uts", "net", "cgroup"}) {
        struct stat own {};
        if (stat(cat("/proc/self/ns/", name).c_str(), &own) != 0) throw std::runtime_error(cat("no namespace ", name));
        out +=
            compare_with_given(seen.at("ns").at(name) == own.st_ino, holds(given.shared, name), cat("see the host's namespace ", name), "");
    }
    Words had = seen.at("caps").at("bounding"), given_ones = given.capabilities;
    std::ranges::sort(had);
    std::ranges::sort(given_ones);
    if (had != given_ones) out += cat("has the capabilities [", sandbox::join(had, ", "), "]\n");
    if (seen.at("nnp") != 1) out += "can gain privileges by executing a program\n";
    if (seen.at("seccomp").at("mode") != 2) out += "has no filter of system calls\n";
    return out;
}

}  // namespace

const Words& secrets() {
    static const Words paths = {"/home/tester/secret", "/root/secret", "/srv/secret", "/mnt/secret", "/media/secret", "/etc/shadow"};
    return paths;
}

Given given_by_desktop() {
    Given given;
    given.writable = {"/work"};
    given.scratch = {"/var/tmp"};
    return given;
}

Given given_by_service() {
    Given given;
    given.scratch = {"/run", "/var/tmp", "/var/lib", "/var/log"};
    return given;
}

Given given_by_untrusted() {
    Given given;
    given.scratch = {"/var/tmp"};
    return given;
}

const Words& places() {
    static const Words paths = {"/",          "/etc",  "/usr",         "/usr/local", "/var", "/var/lib", "/var/log",      "/var/cache",
                                "/var/spool", "/home", "/home/tester", "/root",      "/srv", "/opt",     "/mnt",          "/media",
                                "/var/tmp",   "/boot", "/run",         "/tmp",       "/dev", "/dev/shm", "/sys/fs/cgroup"};
    return paths;
}

const Words& calls() {
    static const Words names = {"mount", "unshare:user", "unshare:net", "socket:AF_PACKET"};
    return names;
}

Words words_for(const std::string& profile, const Words& set, const Words& argv) {
    Words words = {"/usr/local/bin/sandbox", "up", profile};
    for (const std::string& one : set) words.insert(words.end(), {"--set", one});
    for (const std::string& one : other_capabilities(profile)) words.push_back(one);
    if (!argv.empty()) words.push_back("--");
    words.insert(words.end(), argv.begin(), argv.end());
    return words;
}

// ---- the fixture

void Programs::SetUp() {
    ASSERT_NE(getenv("SANDBOX_IN_TREE"), nullptr) << "needs the programs: run it by tests/programs/in-tree build/program-tests";
    OwnNetwork::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    connect_outside();
    folder_.emplace();
    before_ = HostSnapshot::take();
}

void Programs::TearDown() {
    if (before_) {
        run({"/usr/local/bin/sandbox", "down", "--all"});
        EXPECT_EQ(differences_since(*before_), "");
    }
    folder_.reset();
    outside.reset();
    OwnNetwork::TearDown();
}

void Programs::connect_outside() {
    // What the kernel finds out about its own addresses after a second would be a difference.
    for (const char* links : {"all", "default"}) set_sysctl(cat("net/ipv6/conf/", links, "/accept_dad"), "0");
    outside = new_network();
    const auto ip = [](const std::string& words) {
        Words argv = {"ip"};
        for (const auto word : sandbox::split(words, ' ')) argv.emplace_back(word);
        const Ended ended = run(argv);
        if (!ended.ok()) throw std::runtime_error(cat("ip ", words, ": ", ended.err));
    };
    ip(cat("link add out0 type veth peer name eth0 netns /proc/", getpid(), "/fd/", outside.get()));
    ip(cat("address add ", host_address, "/24 dev out0"));
    // An address that the kernel makes by itself comes late, and would be a difference.
    set_sysctl("net/ipv6/conf/out0/disable_ipv6", "1");
    ip("link set out0 up");
    ip(cat("route add default via ", outside_address));
    const InNetwork in(outside);
    ip(cat("address add ", outside_address, "/24 dev eth0"));
    ip("link set eth0 up");
}

Options Programs::here() const {
    Options options;
    options.directory = folder().path();
    options.add["PWD"] = folder().path();
    options.timeout = milliseconds(120000);
    return options;
}

Options Programs::as_tester() const {
    constexpr uid_t tester = 1000;
    Options options = here();
    options.uid = tester;
    options.add["HOME"] = "/home/tester";
    options.add["USER"] = "tester";
    options.add["XDG_RUNTIME_DIR"] = "/run/user/1000";
    if (chown(folder().path().c_str(), tester, tester) != 0) throw std::runtime_error("cannot give the folder to tester");
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder().path()))
        if (lchown(entry.path().c_str(), tester, tester) != 0) throw std::runtime_error("cannot give a file to tester");
    return options;
}

Ended Programs::up(const std::string& profile, const Words& argv, const Words& set, std::optional<Options> options) {
    return run(words_for(profile, set, argv), options.value_or(here()));
}

std::string Programs::shortcomings(const std::string& profile, const Given& given, std::optional<Options> options) {
    const Endpoint everywhere("0.0.0.0", port);
    const Fd here_too = bound(host, SOCK_STREAM, everywhere), there = bound(outside, SOCK_STREAM, everywhere);
    const std::vector<Attempt> attempts = attempts_to_write(given, folder().path());
    Words argv = {"/usr/local/bin/sandbox-probe", "ns", "nnp", "seccomp", "caps"};
    for (const Attempt& attempt : attempts) argv.push_back(attempt.verb);
    for (const std::string& path : secrets()) argv.push_back("read:" + path);
    for (const std::string& address : addresses()) argv.push_back(verb_to_connect(address));
    for (const std::string& call : calls()) argv.push_back("try:" + call);
    const Json seen = last_json(up(profile, argv, given.set, std::move(options)));
    std::string out = judge_writing(attempts, seen, given, folder().path()) + judge_reading(seen, given) + judge_connecting(seen, given) +
                      judge_privileges(seen, given);
    // The other side of the same thing: nobody has come who was not expected.
    if (given.reach.empty() && (readable(here_too.get(), milliseconds(0)) || readable(there.get(), milliseconds(0))))
        out += "somebody has connected\n";
    return out;
}

// ---- a sandbox in the background

Service::Service(const std::string& profile, const Options& options, const Words& set, const Words& argv) : name_(profile) {
    Words words = words_for(profile, set, argv);
    words.insert(words.begin() + 2, "--detach");
    const Ended started = run(words, options);
    if (!started.ok()) throw std::runtime_error(cat(profile, " does not start: ", started.err));
    name_ = std::string(sandbox::trim(started.out));
}

Service::~Service() { run({"/usr/local/bin/sandbox", "down", name_}); }

Ended Service::exec(const Words& argv, const Options& options) const {
    Words words = {"/usr/local/bin/sandbox", "exec", name_, "--"};
    words.insert(words.end(), argv.begin(), argv.end());
    return run(words, options);
}

std::string Service::logs() const {
    const Ended ended = run({"/usr/local/bin/sandbox", "logs", name_});
    return ended.out + ended.err;
}

Ended Service::stop() { return run({"/usr/local/bin/sandbox", "stop", name_}); }

Ended until_ok(const Words& argv, const Options& options) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (true) {
        Ended ended = run(argv, options);
        if (ended.ok() || std::chrono::steady_clock::now() > end) return ended;
        poll(nullptr, 0, 50);
    }
}

}  // namespace programs
