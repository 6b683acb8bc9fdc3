// What case files cannot say: texts that no comment fits into, values of a loaded profile, reading, schema, merging.
#include "profile/profile.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"
#include "profile/capability_set.h"
#include "profile/language.h"
#include "profile/load.h"
#include "profile/names.h"

namespace sandbox {
namespace {

LoadRequest request_for(std::string text) {
    LoadRequest request;
    request.profile.file.name = "web.yaml";
    request.profile.file.text = std::move(text);
    request.profile.file.directory = "/srv/profiles";
    request.stem = "web";
    request.variables = {{"HOME", "/home/joe"}, {"UID", "1000"}};
    return request;
}

std::string with_base(const std::string& text) { return cat("version: 1\nrootfs: {host: ro}\nprocess: {command: [/bin/true]}\n", text); }

std::string rendered(const Loaded& loaded) {
    std::string out;
    for (const Diagnostic& d : loaded.diagnostics) out += render(d, loaded.sources, false);
    return out;
}

Profile load_good(const std::string& text) {
    const Loaded loaded = load_profile(request_for(text));
    EXPECT_EQ(rendered(loaded), "") << text;
    return loaded.profile;
}

std::vector<std::string> codes(const std::string& text) {
    std::vector<std::string> out;
    for (const Diagnostic& d : load_profile(request_for(text)).diagnostics) out.push_back(d.code);
    return out;
}

std::vector<std::string> values(const std::vector<Text>& list) {
    std::vector<std::string> out;
    for (const Text& text : list) out.push_back(*text);
    return out;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

TEST(ProfileText, GarbageIsRefusedWithOneDiagnostic) {
    using testing::ElementsAre;
    EXPECT_THAT(codes(""), ElementsAre("E0101"));
    EXPECT_THAT(codes(" \n\n"), ElementsAre("E0101"));
    EXPECT_THAT(codes(std::string("\x7f"
                                  "ELF\0\0",
                                  6)),
                ElementsAre("E0104"));
    EXPECT_THAT(codes("\xff\xfe\x31"), ElementsAre("E0103"));
    EXPECT_THAT(codes(std::string((1 << 20) + 1, '#')), ElementsAre("E0102"));
    EXPECT_THAT(codes(std::string(1 << 20, '#')), ElementsAre("E0101"));
    EXPECT_THAT(codes("\t"), ElementsAre("E0101"));
    EXPECT_THAT(codes("%YAML 3.0\n---\na: b\n"), ElementsAre("E0106"));
    EXPECT_THAT(codes(": : : :"), testing::Not(testing::IsEmpty()));
}

// Text that is made to take long or to nest deep ends in diagnostics, and soon.
TEST(ProfileText, HostileTextEndsSoon) {
    const auto repeat = [](std::string_view part, std::size_t bytes) {
        std::string out;
        while (out.size() + part.size() <= bytes) out += part;
        return out;
    };
    const auto begin = std::chrono::steady_clock::now();
    for (const std::string_view part :
         {"[", "{", "- ", "? ", ": ", "a: ", "&a ", "*a ", "[a,", "{a: ", "\"", "'", "!", "${A:-", "|\n", "a:\n ", "- a\n", "#", "%"}) {
        const Loaded loaded = load_profile(request_for(repeat(part, 200'000)));
        EXPECT_TRUE(has_errors(loaded.diagnostics)) << part;
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(ProfileText, AChainOfVariablesIsNotFollowedForever) {
    std::string vars = "vars:\n";
    for (int i = 0; i < 40'000; ++i) vars += cat("  A", i, ": \"${A", i + 1, "}\"\n");
    EXPECT_THAT(codes(with_base(vars + "  A40000: end\n")), testing::Contains("E0124"));
}

TEST(ProfileText, AByteOrderMarkIsSkipped) { EXPECT_EQ(*load_good(cat("\xef\xbb\xbf", with_base(""))).name, "web"); }

TEST(Profile, DefaultsAreTheLanguages) {
    const Profile profile = load_good(with_base(""));
    EXPECT_EQ(*profile.name, "web");
    EXPECT_EQ(*profile.hostname, "web");
    EXPECT_EQ(*profile.namespaces.user.mode, NamespaceMode::private_);
    EXPECT_EQ(*profile.namespaces.time.mode, NamespaceMode::host);
    EXPECT_TRUE(profile.security.no_new_privileges);
    EXPECT_EQ(*profile.security.seccomp.profile, "default");
    EXPECT_EQ(*profile.network.mode, NetworkMode::none);
    EXPECT_EQ(*profile.dev.shm_size, 64ULL << 20);
    EXPECT_TRUE(profile.mask.defaults);
    EXPECT_EQ(*profile.process.user, "0:0");
    EXPECT_EQ(*profile.lifecycle.grace, 10'000'000'000);
    EXPECT_EQ(*profile.lifecycle.stop_signal, 15);
}

TEST(Profile, ValuesKeepTheirPlaces) {
    const Profile profile = load_good(with_base("mounts:\n  - {source: data, target: /data//x, mode: rw}\n"));
    ASSERT_EQ(profile.mounts.size(), 1U);
    EXPECT_EQ(*profile.mounts[0].source, "/srv/profiles/data");
    EXPECT_EQ(*profile.mounts[0].target, "/data/x");
    EXPECT_EQ(profile.mounts[0].at, (Position{0, 5, 5}));
    EXPECT_EQ(profile.mounts[0].target.at, (Position{0, 5, 28}));
}

TEST(Profile, MountsAreReadOnlyUnlessTheyHaveNothingToRead) {
    const Profile profile =
        load_good(with_base("mounts: [\"/a:/a\", {type: tmpfs, target: /b}, {type: proc, target: /c}, {type: tmpfs, target: /d, mode: ro}, "
                            "{overlay: {lower: [/l]}, target: /e}]\n"));
    std::vector<AccessMode> modes;
    for (const Mount& mount : profile.mounts) modes.push_back(*mount.mode);
    EXPECT_THAT(modes, testing::ElementsAre(AccessMode::ro, AccessMode::rw, AccessMode::ro, AccessMode::ro, AccessMode::rw));
    EXPECT_EQ(*profile.mounts[4].type, MountType::overlay);
}

TEST(Profile, TheWorkDirectoryIsBesideTheUpper) {
    const Profile profile = load_good("version: 1\nrootfs: {overlay: {lower: [/l], upper: ../up}}\nprocess: {command: [a]}\n");
    EXPECT_EQ(*profile.rootfs.overlay->upper, "/srv/up");
    EXPECT_EQ(**profile.rootfs.overlay->work, "/srv/up.work");
}

TEST(Profile, OneKeyImpliesAnother) {
    EXPECT_EQ(*load_good(with_base("time: {boottime: -1d}\n")).namespaces.time.mode, NamespaceMode::private_);
    EXPECT_EQ(*load_good(with_base("id_map: host\n")).namespaces.user.mode, NamespaceMode::host);
    EXPECT_EQ(*load_good(with_base("namespaces: {user: host}\n")).id_map.mode, IdMapMode::host);
    EXPECT_EQ(*load_good(with_base("namespaces: {uts: host}\n")).hostname, "");
}

TEST(Profile, ANetworkIsCompleteAfterReading) {
    const Profile profile = load_good(
        with_base("network: {mode: bridge, bridge: {subnet6: \"fd00:88::/64\"}, interface: {ip: 10.88.0.10}, "
                  "ports: [\"8000-8010:9000-9010/udp\", {port: 80}], egress: {default: deny, allow: [\"[fd00::/8]:443\", 1.2.3.4]}}\n"));
    const Network& network = profile.network;
    EXPECT_EQ(to_text(network.interface.ip.address), "10.88.0.10/24");
    EXPECT_EQ(*network.interface.ip6.mode, AddressMode::automatic);
    ASSERT_EQ(network.ports.size(), 2U);
    EXPECT_EQ(network.ports[0].host_port, 8000U);
    EXPECT_EQ(network.ports[0].port, 9000U);
    EXPECT_EQ(network.ports[0].count, 11U);
    EXPECT_EQ(network.ports[0].protocol, Protocol::udp);
    EXPECT_EQ(network.ports[1].host_port, 80U);
    EXPECT_EQ(network.ports[1].host_ip, std::nullopt);
    ASSERT_EQ(network.egress.allow.size(), 2U);
    EXPECT_EQ(to_text(network.egress.allow[0].to), "fd00::/8");
    EXPECT_EQ(network.egress.allow[0].protocol, std::nullopt);
    EXPECT_EQ(network.egress.allow[0].last_port, 443U);
    EXPECT_EQ(to_text(network.egress.allow[1].to), "1.2.3.4/32");
    EXPECT_EQ(network.egress.allow[1].first_port, 0U);
    EXPECT_EQ(**load_good(with_base("network: {mode: ipvlan, parent: eth0, interface: {ip: null}}\n")).network.submode, Submode::l2);
}

TEST(Profile, ModesOfTheNetworkThatMakeOne) {
    for (const NetworkMode mode : {NetworkMode::none, NetworkMode::host, NetworkMode::bridge, NetworkMode::container, NetworkMode::macvlan,
                                   NetworkMode::ipvlan, NetworkMode::path}) {
        Network network;
        network.mode = mode;
        const std::string_view name = mode_name(mode);
        EXPECT_EQ(network.is_own(), name != "host" && name != "container" && name != "path") << name;
    }
}

TEST(Profile, NumbersOfEverySpelling) {
    const Profile profile = load_good(
        "version: 1\nrootfs: {host: ro}\nprocess: {command: [a], nice: 0o17, oom_score_adj: \"${UID}\", umask: 077}\n"
        "files: {/a: {content: x, perm: 600}}\nulimits: {nofile: 5, core: \"1Ki:infinity\"}\n");
    EXPECT_EQ(**profile.process.nice, 15);
    EXPECT_EQ(*profile.process.oom_score_adj, 1000);
    EXPECT_EQ(profile.process.umask, 077U);
    EXPECT_EQ(profile.files[0].perm, 0600U);
    EXPECT_EQ(profile.ulimits[0].hard, 5U);
    EXPECT_EQ(profile.ulimits[1].soft, 1024U);
    EXPECT_EQ(profile.ulimits[1].hard, rlimit_infinity);
}

TEST(Profile, WhatVariablesMakeIsNotYaml) {
    LoadRequest request = request_for(with_base("description: ${X}\nlabels: {a: \"${X}\"}\n"));
    request.variables["X"] = "}\nprivileged: true\n# ${HOME}";
    const Loaded loaded = load_profile(request);
    EXPECT_EQ(rendered(loaded), "");
    EXPECT_EQ(loaded.profile.description, request.variables["X"]);
    EXPECT_EQ(loaded.profile.labels.at("a"), request.variables["X"]);
}

TEST(Profile, NameAndCommandFromTheCommandLine) {
    LoadRequest request = request_for(with_base("name: a\ndescription: ${NAME}\n"));
    request.name_override = "b";
    request.command = {"/bin/sh", "-c", "echo ${HOME} $$"};
    Loaded loaded = load_profile(request);
    EXPECT_EQ(rendered(loaded), "");
    EXPECT_EQ(*loaded.profile.name, "b");
    EXPECT_EQ(*loaded.profile.hostname, "b");
    EXPECT_EQ(loaded.profile.description, "b");
    EXPECT_THAT(values(loaded.profile.process.command), testing::ElementsAre("/bin/sh", "-c", "echo ${HOME} $$"));
    request.name_override = "../b";
    loaded = load_profile(request);
    ASSERT_EQ(loaded.diagnostics.size(), 1U);
    EXPECT_EQ(loaded.diagnostics[0].code, "E0307");
    EXPECT_EQ(loaded.sources.name(loaded.diagnostics[0].at.source), "--name");
}

TEST(Profile, TheHostNameIsTheNameAsFarAsItCanBeOne) {
    const std::pair<const char*, const char*> names[] = {{"web.v2", "web.v2"}, {"a_1", "a_1"},   {"a..b", "a--b"},
                                                         {"web.", "web"},      {"a-.b", "a--b"}, {"web.v2-", "web-v2"}};
    for (const auto& [name, hostname] : names) {
        const Profile profile = load_good(with_base(cat("name: ", name, "\n")));
        EXPECT_EQ(*profile.hostname, hostname);
        EXPECT_EQ(profile_to_yaml(load_good(profile_to_yaml(profile))), profile_to_yaml(profile));
    }
}

TEST(Profile, SetFollowsTheMergeRules) {
    LoadRequest request = request_for(
        "version: 1\nrootfs: {host: ro}\nvars: {ROOT: /a}\ndescription: ${ROOT}\nhostname: x\n"
        "mounts: [\"/a:/a\", {source: /b, target: /b}]\ncapabilities: {add: [NET_RAW]}\n"
        "process: {command: [a, b], environment: [A=1, B=2]}\n");
    request.set = {"ROOT=/c: d",
                   "hostname=null",
                   "mounts=[{target: /b, mode: rw}, \"/c:/c\"]",
                   "capabilities.add=[NET_RAW, KILL]",
                   "process.command=[z, z]",
                   "process.environment.B=3",
                   "sysctl.net.core.somaxconn=7",
                   "files./etc/a.b.content=hi"};
    const Loaded loaded = load_profile(request);
    ASSERT_EQ(rendered(loaded), "");
    const Profile& profile = loaded.profile;
    EXPECT_EQ(profile.description, "/c: d");
    EXPECT_EQ(*profile.hostname, "web");
    ASSERT_EQ(profile.mounts.size(), 3U);
    EXPECT_EQ(*profile.mounts[1].source, "/b");
    EXPECT_EQ(*profile.mounts[1].mode, AccessMode::rw);
    EXPECT_EQ(profile.capabilities.add.size(), 2U);
    EXPECT_THAT(values(profile.process.command), testing::ElementsAre("z", "z"));
    ASSERT_EQ(profile.process.environment.entries.size(), 2U);
    EXPECT_EQ(**profile.process.environment.entries[1].value, "3");
    EXPECT_EQ(*profile.sysctl.at("net.core.somaxconn"), "7");
    EXPECT_EQ(*profile.files.at(0).path, "/etc/a.b");
    EXPECT_EQ(loaded.sources.describe(profile.sysctl.at("net.core.somaxconn").at), "--set:1:27");
}

// A literal that changes with every key: reading, printing and the defaults at once.
TEST(Profile, TheEffectiveProfileSaysEverything) {
    const Profile profile = load_good(read_file(SOURCE_DIR "/tests/unit/profiles/effective/every-key.yaml"));
    EXPECT_EQ(profile_to_yaml(profile), read_file(SOURCE_DIR "/tests/unit/profiles/effective/every-key.expected"));
}

TEST(Profile, TextOfEveryKindSurvivesPrinting) {
    for (const std::string& text :
         {std::string("a\nb\n"), std::string(" lead"), std::string("trail "), std::string("yes"), std::string("012"), std::string("~"),
          std::string("$HOME ${X} $$"), std::string("\"'\\"), std::string("\t\x01\x7f\x1b"), std::string("# no"), std::string("a: b"),
          std::string("gr\xc3\xbc n \xe2\x80\xa8 \xef\xbb\xbf \xc2\x85 \xf0\x9f\x98\x80"), std::string(""), std::string("- x"),
          std::string(5000, 'x')}) {
        Profile profile = load_good(with_base(""));
        profile.description = text;
        profile.labels[text.empty() ? "k" : text] = text;
        const Profile again = load_good(profile_to_yaml(profile));
        EXPECT_EQ(again.description, text);
        EXPECT_EQ(again.labels, profile.labels);
    }
}

TEST(ProfileSchema, TheCommittedFileIsFresh) {
    EXPECT_TRUE(read_file(SOURCE_DIR "/schemas/profile.schema.json") == profile_schema())
        << "the field table has changed; regenerate: sandbox schema > schemas/profile.schema.json";
}

void collect(const FieldTable& table, const std::string& above, std::vector<std::string>& problems, std::set<const FieldTable*>& seen) {
    if (!seen.insert(&table).second) return;
    std::set<std::string_view> names;
    for (const Field& field : table.fields) {
        const std::string key = cat(above, field.name);
        if (!names.insert(field.name).second) problems.push_back(cat(key, ": declared twice"));
        if (field.doc.empty() || field.doc.ends_with('.') || field.doc.find('\n') != std::string_view::npos)
            problems.push_back(cat(key, ": its line of documentation"));
        if (field.due == Due::later) continue;
        if (!field.decode || !field.encode || !field.schema || !field.describe || !field.shape) {
            problems.push_back(cat(key, ": a function is missing"));
            continue;
        }
        if (const Shape shape = field.shape(); shape.fields) collect(shape.fields(), cat(key, "."), problems, seen);
    }
}

TEST(ProfileLanguage, EveryKeyIsDeclaredOnceAndDocumented) {
    std::vector<std::string> problems;
    std::set<const FieldTable*> seen;
    collect(profile_fields(), "", problems, seen);
    EXPECT_THAT(problems, testing::IsEmpty());
    EXPECT_GE(seen.size(), 20U);
    for (const std::string_view key :
         {".B rootfs.overlay.lower\n", ".B mounts[].target\n", ".B files.NAME.content\n", ".B lifecycle.stop.grace\n", ".B resources\n"})
        EXPECT_NE(profile_reference().find(key), std::string::npos) << key;
}

TEST(ProfileNames, CapabilitiesSignalsAndLimits) {
    EXPECT_EQ(capability_number("cap_Net_Admin"), 12);
    EXPECT_EQ(capability_number("CHECKPOINT_RESTORE"), 40);
    EXPECT_EQ(capability_number("NET"), std::nullopt);
    EXPECT_EQ(signal_number("sigterm"), 15);
    EXPECT_EQ(signal_number("RTMIN+1"), 35);
    EXPECT_EQ(signal_number("RTMAX"), 64);
    for (const char* bad : {"", "0", "65", "-1", "SIG", "RTMIN+31", "RTMIN+", "TERMX", "15 "})
        EXPECT_EQ(signal_number(bad), std::nullopt) << bad;
    for (int number = 1; number <= 64; ++number) EXPECT_EQ(signal_number(signal_name(number)), number);
    EXPECT_EQ(resource_limits().size(), 16U);
    EXPECT_EQ(personality_number("linux32"), 8U);
}

TEST(ProfileNames, TheDefaultIsTheFifteen) {
    EXPECT_EQ(__builtin_popcountll(default_capabilities()), 15);
    Capabilities capabilities;
    EXPECT_EQ(capability_set(capabilities), default_capabilities());
    capabilities.drop_all = true;
    capabilities.add = {At<int>(12)};
    EXPECT_EQ(capability_set(capabilities), 1ULL << 12);
    capabilities = {};
    capabilities.base = CapabilityBase::all;
    capabilities.drop = {At<int>(0)};
    EXPECT_EQ(capability_set(capabilities), (1ULL << 41) - 2);
}

class ProfileRead : public testing::Test {
   protected:
    std::filesystem::path directory_;
    void SetUp() override {
        std::string name = std::filesystem::temp_directory_path() / "profile-read-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }
    std::string write(const std::string& text) {
        const auto path = directory_ / "p.yaml";
        std::ofstream(path, std::ios::binary) << text;
        return path;
    }
};

TEST_F(ProfileRead, FilesAreReadWhole) {
    EXPECT_EQ(read_profile_text(write("version: 1\n")).value_or("failed"), "version: 1\n");
    EXPECT_EQ(read_profile_text(write(std::string(1 << 20, 'x'))).value_or("failed").size(), 1U << 20);
    EXPECT_EQ(read_profile_text(write("")).value_or("failed"), "");
}

TEST_F(ProfileRead, WhatIsNoSmallFileIsRefused) {
    const auto message = [](const std::string& path) {
        const auto text = read_profile_text(path);
        return text ? std::string("read") : text.error().message;
    };
    EXPECT_THAT(message(write(std::string((1 << 20) + 1, 'x'))), testing::HasSubstr("larger than 1 MiB"));
    EXPECT_THAT(message(directory_), testing::HasSubstr("a directory"));
    EXPECT_THAT(message(directory_ / "missing.yaml"), testing::HasSubstr("no such file or directory"));
    EXPECT_THAT(message("/dev/zero"), testing::HasSubstr("a device"));
    const std::string fifo = directory_ / "fifo";
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_THAT(message(fifo), testing::HasSubstr("a FIFO"));
}

}  // namespace
}  // namespace sandbox
