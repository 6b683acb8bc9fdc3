// Profiles that are wrong, and things that are no profile: refused in words that say where and what to do, without a trace on the
// host, at a price that is bounded.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <regex>
#include <sstream>

#include "base/fd.h"
#include "views.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// What a mistake may cost: 10 s of processor time, 256 MiB of address space (a sanitizer reserves terabytes).
#ifdef SANDBOX_SANITIZED
constexpr const char* bounds = "ulimit -t 10 && exec \"$@\"";
#else
constexpr const char* bounds = "ulimit -t 10 && ulimit -v 262144 && exec \"$@\"";
#endif

Ended bounded(const Words& words, const Options& options) {
    Words all = {"sh", "-c", bounds, "sh", sandbox_binary()};
    all.insert(all.end(), words.begin(), words.end());
    return run(all, options);
}

// What a person would stumble over in the first of the diagnostics; nothing when they are well made.
std::string clumsy(const std::string& text) {
    static const std::regex head(R"(^(?:sandbox: )?(?:.*: )?(?:error|warning)(?:\[E[0-9]{4}\])?: (.*)$)");
    std::istringstream lines(text);
    std::string line;
    std::smatch found;
    int heads = 0;
    for (int count = 0; count < 500 && std::getline(lines, line); ++count) {
        if (line.starts_with("    ")) continue;
        const bool hint = line.starts_with("  hint: ");
        std::string message;
        if (hint)
            message = line.substr(8);
        else if (std::regex_match(line, found, head))
            message = found[1], ++heads;
        if (message.empty()) continue;
        if (message.ends_with('.')) return "a full stop: " + line;
        // A key is written as the user wrote it.
        if (!hint) message = std::regex_replace(message, std::regex("^[^ ]+: "), "");
        if (std::regex_search(message, std::regex("^[A-Z][a-z]"))) return "a capital: " + line;
        for (const char* word : {"exception", "std::", "yaml-cpp", "nlohmann", "bad_alloc", "terminate", "Node", "nullptr", "assert"})
            if (message.find(word) != std::string::npos) return "a word of the inside: " + line;
    }
    return heads > 0 ? "" : "no diagnostic at all: " + text;
}

// Both ways to give a profile, as root and as an ordinary user.
class BadInput : public ::testing::TestWithParam<bool> {
   protected:
    void SetUp() override { REQUIRE_OR_SKIP(is_root(), "needs root, which can be each of the two"); }
    static Options options() { return GetParam() ? ordinary_user() : Options(); }

    // `up` and `validate` of what `place` names are refused and say the same; returns what they say.
    static std::string refused(const std::string& path, int validate_code, const Words& more = {}) {
        const auto before = HostSnapshot::take();
        Words up = {"up", path}, validate = {"validate", path};
        up.insert(up.end(), more.begin(), more.end());
        validate.insert(validate.end(), more.begin(), more.end());
        const Ended started = bounded(up, options()), checked = bounded(validate, options());
        EXPECT_EQ(started.code, 125) << path << started;
        EXPECT_EQ(checked.code, validate_code) << path << checked;
        EXPECT_EQ(started.out + checked.out, "") << path;
        EXPECT_EQ(started.err, checked.err) << path;
        EXPECT_EQ(clumsy(started.err), "") << path;
        EXPECT_EQ(differences_since(before), "") << path;
        return started.err;
    }
    [[nodiscard]] std::string refused_text(std::string_view text) const { return refused(place_.write("bad.yaml", text), 1); }

    TempDir place_;
};
std::string caller_name(const ::testing::TestParamInfo<bool>& caller) { return caller.param ? "ordinary" : "root"; }
INSTANTIATE_TEST_SUITE_P(All, BadInput, ::testing::Bool(), caller_name);

// ---- no profile at all

TEST_P(BadInput, is_no_regular_file) {
    ASSERT_EQ(mkfifo((place_ / "fifo").c_str(), 0666), 0);
    const sandbox::Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (place_ / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(chmod((place_ / "socket").c_str(), 0666), 0);
    place_.link("zero", "/dev/zero");
    for (const auto& [path, kind] : {std::pair{place_.path(), "a directory"},
                                     {place_ / "fifo", "a FIFO"},
                                     {place_ / "socket", "a socket"},
                                     {std::string("/dev/zero"), "a device"},
                                     {std::string("/dev/null"), "a device"},
                                     {std::string("/dev/full"), "a device"},
                                     {place_ / "zero", "a device"}})
        EXPECT_EQ(refused(path, 2),
                  cat("sandbox: error: ", path, ": ", kind, ", not a file\n  hint: name a YAML file, or '-' for standard input\n"));
}

TEST_P(BadInput, is_not_there_or_not_readable) {
    place_.link("broken", "nowhere");
    place_.link("loop", "loop");
    const std::string file = place_.write("file.yaml", "version: 1\n");
    EXPECT_EQ(refused(place_ / "missing.yaml", 2), cat("sandbox: error: ", place_ / "missing.yaml", ": no such file or directory\n"));
    EXPECT_EQ(refused(place_ / "broken", 2), cat("sandbox: error: ", place_ / "broken",
                                                 ": no such file or directory\n"
                                                 "  hint: it is a symbolic link, and what it leads to does not exist\n"));
    EXPECT_EQ(refused(place_ / "loop", 2), cat("sandbox: error: ", place_ / "loop", ": too many levels of symbolic links\n"));
    EXPECT_EQ(refused(file + "/x", 2), cat("sandbox: error: ", file, "/x: not a directory\n"));
    EXPECT_THAT(refused("No-Name", 2), HasSubstr("hint: a name has lower-case letters"));
    EXPECT_THAT(refused("", 2), HasSubstr("'' is not a profile name"));
    EXPECT_THAT(refused(cat(place_.path(), "/", std::string(5000, 'x')), 2), HasSubstr("file name too long"));
    if (!GetParam()) return;
    ASSERT_EQ(chmod(file.c_str(), 0600), 0);
    EXPECT_EQ(refused(file, 2),
              cat("sandbox: error: ", file, ": permission denied\n  hint: let its owner give you the right to read it\n"));
}

TEST_P(BadInput, is_too_large) {
    const std::string large = place_.write("large.yaml", "version: 1\n" + std::string(10'000'000, '#'));
    EXPECT_EQ(refused(large, 2), cat("sandbox: error: ", large,
                                     ": larger than 1 MiB\n"
                                     "  hint: a profile is a small file; large contents belong into files: {PATH: {source: FILE}}\n"));
    // Standard input that never ends is read no further.
    const Ended endless = run({"sh", "-c", cat(bounds, " < /dev/zero"), "sh", sandbox_binary(), "up", "-"}, options());
    EXPECT_EQ(endless.code, 125) << endless;
    EXPECT_THAT(endless.err, StartsWith("sandbox: error: standard input: larger than 1 MiB"));
}

TEST_P(BadInput, is_no_text) {
    std::string bytes;
    for (int i = 1; i < 3000; ++i) bytes += static_cast<char>(i * 37);
    const std::string file = place_ / "bad.yaml";
    EXPECT_THAT(refused_text(std::string("version: 1\nname: a\0b\n", 21)), StartsWith(file + ":2:8: error[E0104]: a zero byte"));
    EXPECT_THAT(refused_text("version: 1\nname: \xff\xfe\n"), StartsWith(file + ":2:7: error[E0103]: not valid UTF-8"));
    const std::string garbage = refused_text(bytes);
    EXPECT_THAT(garbage, StartsWith(file + ":"));
    for (const char byte : garbage) ASSERT_TRUE(byte == '\n' || byte == '\t' || static_cast<unsigned char>(byte) >= ' ') << garbage;
    const sandbox::Fd self(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    std::string program(100'000, '\0');
    ASSERT_EQ(read(self.get(), program.data(), program.size()), static_cast<ssize_t>(program.size()));
    EXPECT_THAT(refused_text(program), HasSubstr("this is not a text file"));
    for (const char* empty : {"", "\n\n", "# nothing\n", "---\n", "null\n"})
        EXPECT_THAT(refused_text(empty), AnyOf(HasSubstr("the profile is empty\n"), HasSubstr("E0101"))) << empty;
}

std::string repeated(std::string_view text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
}

TEST_P(BadInput, is_a_bomb) {
    std::string aliases = "version: 1\nx-a: &a [x, x, x, x, x, x, x, x, x]\n";
    for (char c = 'b'; c <= 'k'; ++c) {
        aliases += cat("x-", c, ": &", c, " [", repeated(cat("*", static_cast<char>(c - 1), ", "), 9), "x]\n");
    }
    EXPECT_THAT(refused_text(aliases), HasSubstr("hint: this looks like an alias bomb"));
    EXPECT_THAT(refused_text(cat("version: 1\nx-a: &a \"", std::string(100'000, 'x'), "\"\nx-b: [", repeated("*a, ", 200), "x]\n")),
                HasSubstr("MiB of text after aliases are expanded"));
    EXPECT_THAT(refused_text("version: 1\nx-a: &a [*a]\n"), HasSubstr("error"));
    for (const char* bracket : {"[", "{a: ", "- "})
        EXPECT_THAT(refused_text(cat("version: 1\nx-a: ", repeated(bracket, 100'000), "\n")), HasSubstr("error[E01")) << bracket;
    std::string blocks = "version: 1\n";
    for (int depth = 0; depth < 1000; ++depth) blocks += cat(std::string(static_cast<std::size_t>(depth), ' '), "x-a:\n");
    EXPECT_THAT(refused_text(blocks), HasSubstr("nested deeper than 32 levels"));
    EXPECT_THAT(refused_text(cat("version: 1\n", repeated("? ", 100'000), "\n")), HasSubstr("error[E01"));
    EXPECT_THAT(
        refused_text(cat("version: 1\nvars: {A: aaaaaaaaaa, B: '", repeated("${A}", 20'000), "'}\nx: '", repeated("${B}", 2000), "'\n")),
        HasSubstr("error"));
    EXPECT_THAT(refused_text(cat("version: 1\n", repeated("x-a: 1\n", 100'000))), HasSubstr("duplicate key"));
    EXPECT_THAT(refused_text(cat("version: 1\nnmae: [", repeated("1, ", 90'000), "1]\n")), HasSubstr("did you mean 'name'?"));
    EXPECT_THAT(refused_text(cat("version: 1\nname: ", std::string(500'000, 'n'), "\n")), HasSubstr("error"));
    std::string mounts = "version: 1\nmounts:\n", variables = "version: 1\nprocess: {environment: [";
    for (int i = 0; i < 18'000; ++i) mounts += cat(" - {type: tmpfs, target: /y", i, "}\n"), variables += cat("A", i, ", ");
    EXPECT_THAT(refused_text(mounts), HasSubstr("rootfs: there is no root directory"));
    EXPECT_THAT(refused_text(variables + "]}\n"), HasSubstr("rootfs: there is no root directory"));
}

TEST_P(BadInput, is_not_well_formed) {
    const std::string file = place_ / "bad.yaml";
    for (const auto& [text, expected] : {std::pair{"version: 1\n\tname: x\n", ":2:1: error[E0105]: a tab in the indentation"},
                                         {"version: 1\nname: [x\n", "error[E0106]"},
                                         {"version: 1\nname: a: b\n", "error[E0106]"},
                                         {"version: 1\nname: !!python/object x\n", ":2:7: error[E0110]"},
                                         {"version: 1\n---\nversion: 1\n", "error[E0107]: a second document begins here"},
                                         {"- version: 1\n", ":1:1: error[E0115]: a profile is a map of keys, this is a list"},
                                         {"just words\n", ":1:1: error[E0115]: a profile is a map of keys, this is the text"},
                                         {"version: 1\n<<: {a: 1}\n", ":2:1: error[E0109]"},
                                         {"version: 1\n? [a]\n: 1\n", "error[E0113]"}})
        EXPECT_THAT(refused_text(text), HasSubstr(expected)) << text;
}

// ---- one mistake each

struct Mistake {
    const char* line;     // the third line of the profile; the second is rootfs
    const char* message;  // from the position on: "3:1: error[E0203]: key: ..."
    const char* hint;     // "" when there is no cure to tell
};

constexpr Mistake mistakes[] = {
    // unknown, duplicate and misspelt keys, those of other tools
    {"hostnmae: x", ":3:1: error[E0203]: hostnmae: unknown key", "did you mean 'hostname'?"},
    {"process: {usr: root}", ":3:11: error[E0203]: process.usr: unknown key", "did you mean 'user'?"},
    {"frobnicate: 1", ":3:1: error[E0203]: frobnicate: unknown key", "allowed here: version, name, "},
    {"hostname: a\nhostname: b", ":4:1: error[E0108]: hostname: duplicate key", "the first is on line 3; keep one of the two"},
    {"process: {user: a, user: b}", ":3:20: error[E0108]: process.user: duplicate key", "the first is on line 3"},
    {"cap_add: [NET_ADMIN]", ":3:1: error[E0203]: cap_add: unknown key", "use 'capabilities: {add: [...]}'"},
    {"volumes: ['/a:/b']", ":3:1: error[E0203]: volumes: unknown key", "use 'mounts: "},
    {"mem_limit: 5", ":3:1: error[E0203]: mem_limit: unknown key", "use 'resources: {memory: {max: 512Mi}}'"},
    {"PrivateUsers: true", ":3:1: error[E0203]: PrivateUsers: unknown key", "use 'id_map'"},
    // wrong types
    {"hostname: [a]", ":3:11: error[E0202]: hostname: expected a host name, found a list", ""},
    {"process: [a]", ":3:10: error[E0202]: process: expected a map, found a list", ""},
    {"mounts: /a:/b", "error[E0202]: mounts: expected a list", ""},
    {"process: {init: yes}", ":3:17: error[E0202]: process.init: expected true or false, found the text 'yes'", ""},
    {"process: {nice: fast}", ":3:17: error[E0202]: process.nice: expected a whole number, found the text 'fast'", ""},
    {"process: {nice: 1.5}", ":3:17: error[E0202]: process.nice: expected a whole number, found the number 1.5", ""},
    // numbers that are too large, too small, or none
    {"process: {nice: 99999999999999999999}", ":3:17: error[E0302]: process.nice: 99999999999999999999 is out of range",
     "allowed: -20 to 19"},
    {"process: {oom_score_adj: 1001}", "process.oom_score_adj: 1001 is out of range", "allowed: -1000 to 1000"},
    {"dev: {shm_size: 99999999999Ti}", ":3:17: error[E0303]: dev.shm_size: '99999999999Ti' is not a size",
     "write bytes or a number with a unit"},
    {"lifecycle: {timeout: 99999999999999d}", "lifecycle.timeout: '99999999999999d' is not a length of time", "at most 292 years"},
    {"process: {user: '4294967295'}", "process.user", "4294967294"},
    {"ulimits: {nofile: 99999999999999999999}", "ulimits.nofile", "at most 9223372036854775807"},
    {"id_map: {uid: ['0:4294967000:1000'], gid: ['0:1:1']}", "id_map.uid[0]: the range goes beyond the last id", "take a smaller count"},
    {"files: {/f: {content: x, perm: '9999'}}", "files./f.perm: '9999' is no octal mode", "write three or four octal digits"},
    // paths
    {"mounts: [{type: tmpfs, target: /a/../../b}]", ":3:32: error[E0306]: mounts[0].target: '/a/../../b' has '..' in it",
     "write the path without '..'"},
    {"mounts: [{type: tmpfs, target: a}]", ":3:32: error[E0306]: mounts[0].target: 'a' ", "paths inside the sandbox begin with '/'"},
    {"files: {/../../etc/x: {content: y}}", "'..'", "write the path without '..'"},
    {"process: {working_dir: /../x}", "process.working_dir", "write the path without '..'"},
    {"mounts: [{source: /no/such, target: /x}]", ":3:19: error[E0501]: mounts[0].source: '/no/such': no such file or directory",
     "make it, correct it, or say optional: true"},
    {"files: {/f: {source: /no/such}}", ":3:22: error[E0501]: files./f.source: '/no/such': no such file or directory", "correct the path"},
    {"files: {/f: {source: /etc}}", ":3:22: error[E0501]: files./f.source: '/etc' is a directory, not a file", "shown with 'mounts'"},
    {"devices: [/dev/no-such]", ":3:11: error[E0501]: devices[0].path: '/dev/no-such': no such file or directory",
     "load its driver, or say optional: true"},
    {"devices: [/etc/passwd]", ":3:11: error[E0511]: devices[0].path: '/etc/passwd' is a file, not a device", "shown with 'mounts'"},
    {"process: {stdin: /no/such}", ":3:18: error[E0501]: process.stdin: '/no/such': no such file or directory", "correct the path"},
    {"network: {mode: path, path: /no/such}", ":3:29: error[E0501]: network.path: '/no/such': no such file or directory",
     "correct the path"},
    {"network: {mode: path, path: /etc/passwd}", ":3:29: error[E0542]: network.path: '/etc/passwd' is not a namespace", "/proc/PID/ns/net"},
    {"namespaces: {uts: {path: /proc/self/ns/ipc}}",
     ":3:26: error[E0542]: namespaces.uts.path: '/proc/self/ns/ipc' is a namespace of another type: ipc", "/proc/PID/ns/uts"},
    // what does not fit together
    {"id_map: {uid: ['0:100000:10', '5:200000:10'], gid: ['0:100000:20']}",
     ":3:31: error[E0408]: id_map.uid[1]: overlaps id_map.uid[0] in its inside ids", "an id can be mapped only once"},
    {"id_map: {uid: ['0:100000:10', '10:100005:10'], gid: ['0:100000:20']}",
     ":3:31: error[E0408]: id_map.uid[1]: overlaps id_map.uid[0] in its outside ids", "an id can be mapped only once"},
    {"mounts: [{source: /etc, target: /x}, {source: /usr, target: /x}]", "mounts[1].target: '/x' is the target of mounts[0] as well",
     "keep one"},
    {"rootfs: {tmpfs: {}}", "error[E0108]: rootfs: duplicate key", "the first is on line 2"},
    {"sysctl: {vm.dirty_ratio: 10}", "sysctl.vm.dirty_ratio: belongs to the whole host", "allowed: "},
    {"namespaces: {uts: host}\nhostname: x", "hostname: cannot be set: namespaces.uts is not private", "remove one of the two"},
    // names that do not exist
    {"capabilities: {add: [NET_ADMINN]}", ":3:22: error[E0309]: capabilities.add[0]: 'NET_ADMINN' is not a capability",
     "did you mean 'NET_ADMIN'?"},
    {"capabilities: {drop: [CAP_FLY]}", ":3:23: error[E0309]: capabilities.drop[0]: 'CAP_FLY' is not a capability",
     "capabilities(7) has the names"},
    {"ulimits: {nofiles: 5}", "ulimits.nofiles: 'nofiles' is not a limit", "did you mean 'nofile'?"},
    {"lifecycle: {stop: {signal: TREM}}", "lifecycle.stop.signal", "did you mean 'TERM'?"},
    {"security: {seccomp: {deny: [ptracee]}}", ":3:29: error[E0540]: security.seccomp.deny[0]: no system call is named 'ptracee'",
     "did you mean 'ptrace'?"},
    {"process: {user: stranger}", ":3:17: error[E0518]: process.user: no user 'stranger' in the sandbox's /etc/passwd", "use a number"},
    // the network
    {"network: {mode: macvlan, parent: eth0}", ":3:17: error[E0430]: network.interface.ip: mode macvlan needs an address",
     "write an address of the parent's network"},
    {"network: {mode: bridge, bridge: {subnet: 10.88.0.1/24}}", ":3:42: error[E0432]: network.bridge.subnet: 10.88.0.1/24 is an address",
     "write 10.88.0.0/24"},
    {"network: {ports: ['8080:80']}", ":3:19: error[E0427]: network.ports: has no meaning in mode none", "write 'mode: bridge'"},
    {"network: {mode: nonne}", ":3:17: error[E0301]: network.mode: 'nonne' is not one of the words for this key", "did you mean 'none'?"},
    {"policy: {unsupported: wran}", ":3:23: error[E0301]: policy.unsupported: 'wran' is not one of the words for this key",
     "did you mean 'warn'?"},
    {"hostname: '${NOBODY}'", ":3:12: error[E0120]: hostname: unknown variable 'NOBODY'", "declare it under 'vars'"},
};

// A command, which every profile needs, behind all that the mistake is about.
std::string with_command(std::string line) {
    if (line.starts_with("process: {"))
        line.insert(line.size() - 1, ", command: [/x]");
    else if (!line.starts_with("process:"))
        line += "\nprocess: {command: [/x]}";
    return line;
}

TEST_P(BadInput, is_told_with_place_and_cure) {
    for (const Mistake& each : mistakes) {
        const std::string said =
            refused_text(cat("version: 1\nrootfs: {path: ", probe_tree(), "}\n", with_command(each.line), "\nname: bad\n"));
        SCOPED_TRACE(each.line);
        EXPECT_THAT(said, StartsWith(place_ / "bad.yaml:"));
        EXPECT_THAT(said, HasSubstr(each.message));
        if (*each.hint) {
            EXPECT_THAT(said, HasSubstr("\n  hint: "));
            EXPECT_THAT(said, HasSubstr(each.hint));
        }
        EXPECT_THAT(said, HasSubstr("^")) << "the caret below the line";
    }
}

// The caret stands below what is meant.
TEST_P(BadInput, is_pointed_at) {
    const std::string said = refused_text(cat("version: 1\nrootfs: {path: ", probe_tree(), "}\nprocess: {command: [x], nise: 5}\n"));
    EXPECT_THAT(said, HasSubstr("   3 | process: {command: [x], nise: 5}\n"
                                "     |                         ^~~~\n"
                                "  hint: did you mean 'nice'?\n"));
}

TEST_P(BadInput, overlays_with_layers_in_each_other) {
    const std::string lower = place_.make("lower"), inside = place_.make("lower/inside"), other = place_.make("other");
    place_.link("linked", inside);
    const auto profile = [](const std::string& layers, const std::string& upper) {
        return cat("version: 1\nrootfs:\n  overlay:\n    lower: [", layers, "]\n    upper: ", upper, "\nprocess: {command: [/x]}\n");
    };
    EXPECT_THAT(refused_text(profile(lower, inside)), HasSubstr(":5:12: error[E0404]: rootfs.overlay.upper: '"));
    EXPECT_THAT(refused_text(profile(inside, lower)), HasSubstr("rootfs.overlay.upper"));
    EXPECT_THAT(refused_text(profile(lower, lower)), HasSubstr("rootfs.overlay.upper"));
    EXPECT_THAT(refused_text(profile(lower, place_ / "linked")), HasSubstr(":5:12: error[E0507]: rootfs.overlay.upper: '"))
        << "a link leads into the layer";
    EXPECT_THAT(refused_text(profile(cat(other, ", /no/such"), "tmpfs")),
                HasSubstr("rootfs.overlay.lower[1]: '/no/such': no such file or directory"));
    EXPECT_THAT(refused_text(profile("/etc/passwd", "tmpfs")),
                HasSubstr("rootfs.overlay.lower[0]: '/etc/passwd' is a file, not a directory"));
    EXPECT_THAT(refused_text(profile("", "tmpfs")), HasSubstr("rootfs.overlay.lower"));
    std::string many = other;
    for (int i = 0; i < 500; ++i) many += cat(", ", other, "/", i);
    EXPECT_THAT(refused_text(profile(many, "tmpfs")), HasSubstr("500"));
    EXPECT_FALSE(exists(inside + ".work") || exists(lower + ".work")) << "nothing was made";
}

TEST_P(BadInput, roots_that_are_none) {
    for (const auto& [root, expected] :
         {std::pair{"{path: /no/such}", ":2:16: error[E0501]: rootfs.path: '/no/such': no such file or directory"},
          {"{path: /etc/passwd}", ":2:16: error[E0502]: rootfs.path: '/etc/passwd' is a file, not a directory"},
          {"{path: /usr, host: ro}", ":2:9: error[E0401]: rootfs: more than one of path, host, overlay, tmpfs"},
          {"{}", "rootfs"},
          {"/srv", "rootfs: expected a map"}})
        EXPECT_THAT(refused_text(cat("version: 1\nrootfs: ", root, "\nprocess: {command: [/x]}\n")), HasSubstr(expected)) << root;
    EXPECT_THAT(refused_text("rootfs: {host: ro}\nprocess: {command: [/x]}\n"), HasSubstr("version"));
    EXPECT_THAT(refused_text("version: 2\nrootfs: {host: ro}\nprocess: {command: [/x]}\n"), HasSubstr("version"));
    EXPECT_THAT(refused_text("version: 1\nrootfs: {host: ro}\n"), HasSubstr("process.command"));
}

// ---- all mistakes at once

TEST_P(BadInput, with_many_mistakes_is_told_all_of_them_in_order) {
    const std::string said = refused_text(
        "version: 1\n"
        "nmae: web\n"
        "rootfs: {path: /no/such/tree}\n"
        "hostname: [a]\n"
        "capabilities: {add: [NET_ADMINN, CAP_FLY]}\n"
        "process: {command: [/x], nice: 999, umask: 0o9, stdin: /no/such}\n"
        "mounts:\n"
        "  - {type: tmpfs, target: /a/../../b}\n"
        "  - {source: /no/such, target: /x}\n"
        "resources: {memory: {max: 1}}\n"
        "security: {seccomp: {deny: [ptracee, '@moun'], profile: /no/such.json}}\n"
        "hostname: b\n");
    std::size_t at = 0;
    for (const char* expected :
         {":2:1: error[E0203]: nmae: ", ":3:16: error[E0501]: rootfs.path: ", ":4:11: error[E0202]: hostname: ",
          ":5:22: error[E0309]: capabilities.add[0]: ", ":5:34: error[E0309]: capabilities.add[1]: ", ":6:32: error[E0302]: process.nice: ",
          ":6:44: error[E0305]: process.umask: ", ":6:56: error[E0501]: process.stdin: ", ":8:27: error[E0306]: mounts[0].target: ",
          ":9:14: error[E0501]: mounts[1].source: ", ":10:27: error[E0426]: resources.memory.max: ",
          ":11:29: error[E0540]: security.seccomp.deny[0]: ", ":11:38: error[E0540]: security.seccomp.deny[1]: ",
          ":11:57: error[E0501]: security.seccomp.profile: ", ":12:1: error[E0108]: hostname: "}) {
        const std::size_t found = said.find(expected, at);
        ASSERT_NE(found, std::string::npos) << expected << " is missing or out of order\n" << said;
        at = found;
    }
    EXPECT_EQ(std::ranges::count(said, '^'), 15) << said;
}

// ---- what is to come

TEST_P(BadInput, with_a_key_that_is_to_come_is_not_ignored) {
    struct Later {
        const char *line, *key;
    };
    for (const auto& [line, key] : {Later{"network: {mode: user}", "network.mode"},
                                    {"security: {files: {read: [/]}}", "security.files"},
                                    {"security: {restrict_namespaces: [user]}", "security.restrict_namespaces"},
                                    {"security: {apparmor: x}", "security.apparmor"},
                                    {"security: {selinux: x}", "security.selinux"},
                                    {"namespaces: {ipc: {join: other}}", "namespaces.ipc.join"},
                                    {"namespaces: {mount: {join: other}}", "namespaces.mount.join"}}) {
        const std::string profile =
            cat("version: 1\nrootfs: {path: ", probe_tree(), "}\nprocess: {command: [/sandbox-probe, pid]}\n", line, "\n");
        const std::string said = refused_text(profile);
        EXPECT_TRUE(std::regex_search(said, std::regex(cat(":4:[0-9]+: error\\[E0204\\]: ", key, ": .*not supported yet"))))
            << line << said;
        EXPECT_THAT(said, HasSubstr("\n  hint: ")) << line;
        // "warn" is about what a host cannot do, not about what this version cannot.
        EXPECT_EQ(refused(place_.write("bad.yaml", profile), 1, {"--set", "policy.unsupported=warn"}), said) << line;
        EXPECT_EQ(sandbox_command({"plan", place_ / "bad.yaml"}, options()).code, 125) << line;
        EXPECT_EQ(sandbox_command({"config", place_ / "bad.yaml"}, options()).code, 125) << line;
    }
    // What it would be anyway is no demand.
    EXPECT_TRUE(sandbox_command({"validate", place_.write("good.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(),
                                                                           "}\nprocess: {command: [/x]}\nproc: {view: host}\n"))},
                                options())
                    .ok());
    EXPECT_TRUE(sandbox_command({"validate", place_.write("good.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(),
                                                                           "}\nprocess: {command: [/x]}\nx-mine: {resources: 1}\n"))},
                                options())
                    .ok())
        << "keys that begin with x- are the user's own";
}

// ---- what this host cannot do

TEST(Unsupported, is_an_error_or_a_warning_and_done_without) {
    REQUIRE_OR_SKIP(is_root(), "only root can become another user");
    const TempDir place;
    const std::string profile = place.write("limits.yaml", cat("version: 1\nrootfs: {path: ", probe_tree(),
                                                               "}\nulimits: {nofile: '10:200000'}\n"
                                                               "process: {command: [/sandbox-probe, rlimits]}\n"));
    const auto with_few = [](const Words& words) {
        Words all = {"sh", "-c", "ulimit -n 1000 && exec \"$@\"", "sh", sandbox_binary()};
        all.insert(all.end(), words.begin(), words.end());
        return run(all, ordinary_user());
    };
    const Ended refused = with_few({"up", profile});
    EXPECT_EQ(refused.code, 125) << refused;
    EXPECT_THAT(refused.err, HasSubstr(":3:11: error[E0523]: ulimits.nofile: raising the hard limit above 1000 needs CAP_SYS_RESOURCE"));
    EXPECT_THAT(refused.err, HasSubstr("hint: ask for at most 1000, or say policy: {unsupported: warn}"));
    EXPECT_EQ(with_few({"validate", profile}).code, 1);
    const Ended warned = with_few({"up", profile, "--set", "policy.unsupported=warn"});
    EXPECT_TRUE(warned.ok()) << warned;
    EXPECT_THAT(warned.err, HasSubstr(":3:11: warning[E0523]: ulimits.nofile: "));
    EXPECT_THAT(warned.err, HasSubstr("hint: it is 1000 instead"));
    EXPECT_EQ(last_json(warned)["rlimits"]["nofile"], (Json{10, 1000}));
    EXPECT_EQ(with_few({"validate", profile, "--set", "policy.unsupported=warn"}).code, 0);
}

// ---- standard input and descriptors

TEST_P(BadInput, on_standard_input_is_told_so) {
    Options text = options();
    text.input = "version: 1\nnmae: x\n";
    const Ended ended = bounded({"up", "-"}, text);
    EXPECT_EQ(ended.code, 125);
    EXPECT_THAT(ended.err, StartsWith("<standard input>:"));
    const Ended closed = run({"sh", "-c", "exec \"$@\" <&-", "sh", sandbox_binary(), "up", "-"}, options());
    EXPECT_EQ(closed.code, 125) << closed;
    EXPECT_THAT(closed.err, Not(::testing::IsEmpty()));
    const Ended directory = run({"sh", "-c", "exec \"$@\" < /", "sh", sandbox_binary(), "up", "-"}, options());
    EXPECT_EQ(directory.code, 125);
    EXPECT_THAT(directory.err, HasSubstr("standard input: is a directory"));
}

}  // namespace
