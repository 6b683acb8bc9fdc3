// extends, drop-ins, --untrusted and where values come from, with files in memory; and the search path with files on disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/text.h"
#include "cli/library.h"
#include "profile/load.h"
#include "profile/origin.h"
#include "profile/untrusted.h"

namespace sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Memory : public ProfileLibrary {
   public:
    std::map<std::string, std::string> files;  // by name
    std::map<std::string, std::vector<ProfileFile>> drop_ins;

    Result<FoundProfile> find(const std::string& word, const ProfileFile& from) override {
        const std::string name = word.starts_with("./") ? cat(from.directory.substr(1), word.substr(1)) : word;
        const auto found = files.find(name);
        if (found == files.end()) return fail(cat("no profile named ", quote(word)), "it is looked for in memory");
        return FoundProfile{{cat("/", name, ".yaml"), found->second, folder_of(cat("/", name))}, drop_ins[name]};
    }
};

class Composition : public testing::Test {
   protected:
    Memory library;
    LoadRequest request;

    Loaded load(std::string text) {
        request.profile.file = {"web.yaml", std::move(text), "/srv"};
        request.library = &library;
        request.stem = "web";
        request.variables = {{"HOME", "/home/joe"}, {"PWD", "/work"}};
        return load_profile(request);
    }
    static std::string said(const Loaded& loaded) {
        std::string out;
        for (const Diagnostic& d : loaded.diagnostics) out += render(d, loaded.sources, false);
        return out;
    }
    static std::string origin(const Loaded& loaded, std::string_view key) {
        for (const EffectiveValue& value : effective_values(loaded))
            if (value.key == key) return cat(value.value, " ", value.origin);
        return "nothing";
    }
    static constexpr std::string_view base =
        "version: 1\nname: base\ndescription: the base\nrootfs: {host: ro}\nresources: {pids: 10}\n"
        "process: {command: [/bin/true]}\n";
};

TEST_F(Composition, a_child_has_what_it_does_not_say_from_its_parent) {
    library.files["base"] = base;
    const Loaded loaded = load("version: 1\nextends: [base]\nresources: {memory: {max: 10Mi}}\n");
    EXPECT_EQ(said(loaded), "");
    EXPECT_EQ(*loaded.profile.resources.pids, 10U);
    EXPECT_EQ(*loaded.profile.name, "web");
    EXPECT_EQ(loaded.profile.description, "");
    EXPECT_EQ(origin(loaded, "resources.pids"), "10 /base.yaml:5");
    EXPECT_EQ(origin(loaded, "resources.memory.max"), "\"10Mi\" web.yaml:3");
    EXPECT_EQ(origin(loaded, "resources.cpu.weight"), "null default");
}

TEST_F(Composition, later_parents_win_and_the_profile_wins_over_all) {
    library.files["base"] = base;
    library.files["a"] = "version: 1\nextends: [base]\nresources: {pids: 11, memory: {max: 10Mi}}\n";
    library.files["b"] = "version: 1\nextends: [base]\nresources: {memory: {max: 20Mi, high: 10Mi}}\n";
    const Loaded loaded = load("version: 1\nextends: [a, b]\nresources: {memory: {high: 20Mi}}\n");
    EXPECT_EQ(said(loaded), "");
    // `base` comes once, first: through b it does not undo what a says.
    EXPECT_EQ(*loaded.profile.resources.pids, 11U);
    EXPECT_EQ(**loaded.profile.resources.memory.max, 20U << 20);
    EXPECT_EQ(**loaded.profile.resources.memory.high, 20U << 20);
}

TEST_F(Composition, lists_merge_by_identity_across_files) {
    library.files["base"] = cat(base, "mounts:\n  - {type: tmpfs, target: /tmp, size: 1Mi}\n  - \"/usr:/a\"\n  - \"/usr:/b\"\n");
    const Loaded loaded =
        load("version: 1\nextends: [base]\nmounts:\n  - {target: /tmp, exec: true}\n  - {target: /a, remove: true}\n  - \"/usr:/c\"\n");
    EXPECT_EQ(said(loaded), "");
    std::vector<std::string> targets;
    for (const Mount& mount : loaded.profile.mounts) targets.push_back(*mount.target);
    EXPECT_THAT(targets, ElementsAre("/tmp", "/b", "/c"));
    EXPECT_TRUE(loaded.profile.mounts[0].exec);
    EXPECT_EQ(**loaded.profile.mounts[0].size, 1U << 20);
    const Loaded replaced = load("version: 1\nextends: [base]\nmounts: {replace: [\"/usr:/only\"]}\n");
    EXPECT_EQ(said(replaced), "");
    EXPECT_EQ(replaced.profile.mounts.size(), 1U);
}

TEST_F(Composition, relative_paths_start_at_the_file_that_has_them) {
    library.files["opt/base"] = cat(base, "mounts: [\"data:/data\", \"${PROFILE_DIR}/x:/x\"]\n");
    const Loaded loaded = load("version: 1\nextends: [opt/base]\nmounts: [\"data:/own\", \"${PROFILE_DIR}/x:/y\"]\n");
    EXPECT_EQ(said(loaded), "");
    std::vector<std::string> sources;
    for (const Mount& mount : loaded.profile.mounts) sources.push_back(*mount.source);
    EXPECT_THAT(sources, ElementsAre("/opt/data", "/opt/x", "/srv/data", "/srv/x"));
}

TEST_F(Composition, variables_of_a_parent_are_set_by_the_child_and_the_command_line) {
    library.files["base"] = cat(base, "vars: {PIDS: \"5\", FILES: /usr}\nmounts: [\"${FILES}:/data\"]\nlabels: {pids: \"${PIDS}\"}\n");
    request.set = {"FILES=/opt"};
    const Loaded loaded = load("version: 1\nextends: [base]\nvars: {PIDS: \"7\"}\n");
    EXPECT_EQ(said(loaded), "");
    EXPECT_EQ(*loaded.profile.mounts[0].source, "/opt");
    EXPECT_EQ(loaded.profile.labels.at("pids"), "7");
}

TEST_F(Composition, a_mistake_in_a_parent_says_how_it_came_in) {
    library.files["deep"] = cat(base, "memmory: 1\n");
    library.files["base"] = "version: 1\nextends: [deep]\n";
    const std::string text = said(load("version: 1\nextends: [base]\n"));
    EXPECT_THAT(text, HasSubstr("/deep.yaml:7:1: error[E0203]: memmory: unknown key"));
    EXPECT_THAT(text, HasSubstr("  extended by /base.yaml:2:11\n  extended by web.yaml:2:11\n"));
}

TEST_F(Composition, a_circle_is_shown_whole) {
    library.files["a"] = "version: 1\nextends: [b]\n";
    library.files["b"] = "version: 1\nextends: [a]\n";
    EXPECT_THAT(said(load("version: 1\nextends: [a]\n")),
                HasSubstr("/b.yaml:2:11: error[E0142]: extends[0]: a circle: /a.yaml extends /b.yaml extends /a.yaml"));
}

TEST_F(Composition, what_cannot_be_extended_is_told) {
    library.files["list"] = "- a\n";
    library.files["none"] = "rootfs: {host: ro}\n";
    EXPECT_THAT(said(load("version: 1\nextends: [nobody]\n")),
                HasSubstr("web.yaml:2:11: error[E0141]: extends[0]: no profile named 'nobody'"));
    EXPECT_THAT(said(load("version: 1\nextends: nobody\n")), HasSubstr("error[E0202]: extends: expected a list of profile names or paths"));
    EXPECT_THAT(said(load("version: 1\nextends: [{a: b}]\n")),
                HasSubstr("error[E0202]: extends[0]: expected a profile name or a path, found a map"));
    EXPECT_THAT(said(load("version: 1\nextends: [\"${HOME}/x\"]\n")),
                HasSubstr("error[E0144]: extends[0]: '${HOME}/x': variables have no values here yet"));
    EXPECT_THAT(said(load("version: 1\nextends: [list]\n")),
                HasSubstr("/list.yaml:1:1: error[E0115]: a profile is a map of keys, this is a list"));
    EXPECT_THAT(said(load("version: 1\nextends: [none]\nprocess: {command: [/bin/true]}\n")),
                HasSubstr("/none.yaml:1:1: error[E0201]: the key 'version' is missing"));
    library.files["base"] = base;
    EXPECT_THAT(said(load("version: 1\nextends: [base, base]\n")), HasSubstr("error[E0144]: extends[1]: 'base' is named twice"));
    request.set = {"extends=[base]"};
    EXPECT_THAT(said(load(std::string(base))), HasSubstr("--set:1:9: error[E0144]: extends: parents are written in a file"));
}

TEST_F(Composition, too_many_in_a_row_end) {
    for (int i = 0; i < 40; ++i) library.files[cat("p", i)] = cat("version: 1\nextends: [p", i + 1, "]\n");
    EXPECT_THAT(said(load("version: 1\nextends: [p0]\n")),
                HasSubstr("error[E0143]: extends[0]: more than 16 profiles that extend one another"));
}

TEST_F(Composition, drop_ins_come_last) {
    library.files["base"] = base;
    library.drop_ins["base"] = {{"/etc/base.d/10.yaml", "resources: {pids: 20}\n", "/etc/base.d"}};
    request.profile.drop_ins = {{"/etc/web.d/10.yaml", "resources: {pids: 30}\n", "/etc/web.d"},
                                {"/etc/web.d/20.yaml", "", "/etc/web.d"},
                                {"/home/web.d/10.yaml", "resources: {memory: {max: 5Mi}}\nlabels: {a: b}\n", "/home/web.d"}};
    const Loaded loaded = load("version: 1\nextends: [base]\nresources: {memory: {max: 10Mi}}\n");
    EXPECT_EQ(said(loaded), "");
    EXPECT_EQ(origin(loaded, "resources.pids"), "30 /etc/web.d/10.yaml:1");
    EXPECT_EQ(origin(loaded, "resources.memory.max"), "\"5Mi\" /home/web.d/10.yaml:1");
    request.profile.drop_ins = {{"/etc/web.d/10.yaml", "extends: [base]\n", "/etc/web.d"},
                                {"/etc/web.d/20.yaml", "pids: 1\n", "/etc/web.d"}};
    EXPECT_THAT(said(load(std::string(base))),
                HasSubstr("/etc/web.d/10.yaml:1:1: error[E0145]: extends: a drop-in extends nothing\n   1 | extends: [base]\n"
                          "     | ^~~~~~~\n  a drop-in of web.yaml\n"));
}

TEST_F(Composition, origins_are_comments_of_a_profile_that_loads) {
    library.files["base"] = cat(base, "mounts: [\"/usr:/data\", {type: tmpfs, target: /tmp}]\nmask: [/home]\n");
    request.set = {"resources.cpu.limit=2"};
    request.command = {"/bin/echo", "a b"};
    const Loaded loaded = load("version: 1\nextends: [base]\n");
    const std::string text = profile_with_origins(loaded);
    EXPECT_THAT(text, HasSubstr("    limit: 2  # --set\n"));
    EXPECT_THAT(text, HasSubstr("# -- ARGV\n"));
    EXPECT_THAT(text, HasSubstr("    source: /usr  # /base.yaml:7\n"));
    LoadRequest again;
    again.profile.file = {"again.yaml", text, "/"};
    const Loaded reloaded = load_profile(again);
    EXPECT_EQ(said(reloaded), "");
    EXPECT_EQ(profile_to_yaml(reloaded.profile), profile_to_yaml(loaded.profile));
}

// ---- --untrusted

std::vector<std::string> refused(std::string_view body) {
    LoadRequest request;
    request.profile.file = {"p.yaml", cat("version: 1\nprocess: {command: [/bin/true]}\n", body), "/src/project"};
    request.stem = "p";
    request.variables = {{"HOME", "/home/joe"}, {"PWD", "/work"}};
    Loaded loaded = load_profile(request);
    for (const Diagnostic& d : loaded.diagnostics) ADD_FAILURE() << render(d, loaded.sources, false);
    check_untrusted(loaded.profile, {"/src/project", {"/home", "/root"}}, loaded.diagnostics);
    std::vector<std::string> keys;
    for (const Diagnostic& d : loaded.diagnostics) keys.push_back(d.key);
    return keys;
}

TEST(Untrusted, what_stays_in_its_own_folder_is_fine) {
    EXPECT_THAT(refused("rootfs: {host: ro}\nmask: [/home, /root]\nmounts: [\"/src/project:/src:rw\", \"/usr/share:/x\"]\n"
                        "network: {mode: bridge, egress: deny}\nresources: {memory: {max: 1Gi}}\ncapabilities: {drop: [CHOWN]}\n"),
                IsEmpty());
}

TEST(Untrusted, what_reaches_further_is_refused_by_key) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"rootfs: {host: rw}\nmask: [/home, /root]\n", "rootfs.host"},
        {"rootfs: {host: ro}\nmask: [/home]\n", "rootfs.host"},
        {"rootfs: {path: /srv/root}\n", "rootfs.path"},
        {"rootfs: {tmpfs: {}}\nmounts: [\"/src/other:/x\"]\n", "mounts[0]"},
        {"rootfs: {tmpfs: {}}\nmounts: [\"/src/project-x:/x:rw\"]\n", "mounts[0]"},
        {"rootfs: {tmpfs: {}}\nmounts: [\"/src/project/../other:/x:rw\"]\n", "mounts[0]"},
        {"rootfs: {tmpfs: {}}\nmounts: [{source: /usr, target: /u, dev: true}]\n", "mounts[0]"},
        {"rootfs: {tmpfs: {}}\nfiles: {/shadow: {source: /etc/shadow}}\n", "files./shadow.source"},
        {"rootfs: {tmpfs: {}}\nnetwork: {mode: host}\n", "network.mode"},
        {"rootfs: {tmpfs: {}}\nnetwork: {mode: container, of: other}\n", "network.mode"},
        {"rootfs: {tmpfs: {}}\ncapabilities: {add: [SYS_ADMIN]}\n", "capabilities.add[0]"},
        {"rootfs: {tmpfs: {}}\ncapabilities: {base: all}\n", "capabilities.base"},
        {"rootfs: {tmpfs: {}}\ndevices: [/dev/kvm]\n", "devices[0]"},
        {"rootfs: {tmpfs: {}}\nlifecycle: {hooks: {started: [{command: [/bin/true]}]}}\n", "lifecycle.hooks.started[0]"},
        {"rootfs: {tmpfs: {}}\nsecurity: {no_new_privileges: false}\n", "security.no_new_privileges"},
        {"rootfs: {tmpfs: {}}\nsecurity: {seccomp: {profile: none}}\n", "security.seccomp.profile"},
        {"rootfs: {tmpfs: {}}\nsecurity: {seccomp: {allow: [mount]}}\n", "security.seccomp.allow[0]"},
        {"rootfs: {tmpfs: {}}\nsecurity: {keyring: inherit}\n", "security.keyring"},
        {"rootfs: {tmpfs: {}}\nid_map: host\n", "id_map"},
        {"rootfs: {tmpfs: {}}\nnamespaces: {pid: host}\n", "namespaces.pid"},
        {"rootfs: {tmpfs: {}}\nmask: none\n", "mask"},
        {"rootfs: {tmpfs: {}}\ndev: {mode: host}\n", "dev.mode"},
        {"rootfs: {tmpfs: {}}\nsysctl: {net.core.somaxconn: 1024}\n", "sysctl.net.core.somaxconn"},
        {"rootfs: {tmpfs: {}}\ncgroup: {parent: tier}\n", "cgroup.parent"},
    };
    for (const auto& [body, key] : cases) EXPECT_THAT(refused(body), testing::Contains(key)) << body;
}

// ---- the search path

class SearchPath : public testing::Test {
   protected:
    std::filesystem::path top = std::filesystem::temp_directory_path() / cat("sandbox-search-", getpid());
    std::vector<ProfilePlace> places{
        {top / "own", ProfileTier::own}, {top / "etc", ProfileTier::system}, {top / "usr", ProfileTier::system}};
    InstalledProfiles library{places};

    SearchPath() {
        umask(022);
        for (const ProfilePlace& place : places) std::filesystem::create_directories(place.path);
    }
    ~SearchPath() override { std::filesystem::remove_all(top); }

    std::string write(const std::string& path, std::string_view text) const {
        std::filesystem::create_directories((top / path).parent_path());
        std::ofstream(top / path) << text;
        return top / path;
    }
    static std::string message(const Result<FoundProfile>& found) {
        return found ? "found " + found->file.name : cat(found.error().message, "; ", found.error().hint);
    }
};

TEST_F(SearchPath, the_first_place_wins) {
    const std::string vendor = write("usr/web.yaml", "vendor");
    EXPECT_EQ(message(library.find_name("web")), "found " + vendor);
    const std::string admin = write("etc/web.yaml", "admin");
    EXPECT_EQ(message(library.find_name("web")), "found " + admin);
    const std::string own = write("own/web.yaml", "own");
    EXPECT_EQ(message(library.find_name("web")), "found " + own);
    // Who extends the own name means the one behind.
    EXPECT_EQ(message(library.find("web", {own, "", top / "own", ProfileTier::own})), "found " + admin);
    EXPECT_EQ(message(library.find("web", {vendor, "", top / "usr", ProfileTier::system})).substr(0, 40),
              "there is no other profile named 'web'; i");
    EXPECT_EQ(message(library.find("base/x", {own, "", top / "own"})).substr(0, 26), "no profile named 'base/x';");
}

TEST_F(SearchPath, drop_ins_by_name_the_users_last_and_one_name_once) {
    write("usr/web.yaml", "x");
    const std::string vendor20 = write("usr/web.d/20-b.yaml", "vendor");
    write("usr/web.d/10-a.yaml", "vendor, hidden");
    const std::string admin10 = write("etc/web.d/10-a.yaml", "admin");
    const std::string admin30 = write("etc/web.d/30-c.yaml", "admin");
    const std::string own = write("own/web.d/05-z.yaml", "own");
    write("own/web.d/README", "nothing");
    const auto found = library.find_name("web");
    ASSERT_TRUE(found) << message(found);
    std::vector<std::string> names;
    for (const ProfileFile& file : found->drop_ins) names.push_back(file.name);
    EXPECT_THAT(names, ElementsAre(admin10, vendor20, admin30, own));
    std::filesystem::remove(top / "etc/web.d/10-a.yaml");
    std::filesystem::create_symlink("/dev/null", top / "etc/web.d/10-a.yaml");
    EXPECT_EQ(library.find_name("web")->drop_ins[0].text, "");
}

TEST_F(SearchPath, only_a_drop_in_is_no_profile) {
    const std::string drop_in = write("etc/web.d/10-a.yaml", "x");
    EXPECT_EQ(message(library.find_name("web")), cat("no profile named 'web', only a drop-in for it: ", drop_in,
                                                     "; install the profile that it is for, or remove the drop-in"));
}

TEST_F(SearchPath, who_may_write_to_a_trusted_file_is_looked_at) {
    const std::string file = write("usr/web.yaml", "x");
    const auto told = [&](mode_t mode) {
        chmod(file.c_str(), mode);
        return message(library.find_name("web"));
    };
    EXPECT_EQ(told(0644), "found " + file);
    EXPECT_EQ(told(0664),
              cat(file, ": refused as trusted: its group may write to it (mode 0664); look at what is in it, then: chmod g-w ", file));
    EXPECT_THAT(told(0646), HasSubstr("refused as trusted: everybody may write to it (mode 0646)"));
    told(0644);
    chmod((top / "usr").c_str(), 0777);
    EXPECT_THAT(message(library.find_name("web")),
                HasSubstr(cat((top / "usr").string(), ": refused as trusted: its group may write to it")));
    chmod((top / "usr").c_str(), 0755);
    // Of the user's own the group may be the user's.
    const std::string own = write("own/web.yaml", "x");
    chmod(own.c_str(), 0664);
    EXPECT_EQ(message(library.find_name("web")), "found " + own);
    if (geteuid() != 0) return;
    ASSERT_EQ(chown(own.c_str(), 1234, 0), 0);
    EXPECT_THAT(message(library.find_name("web")), HasSubstr("refused as trusted: it belongs to user 1234"));
}

TEST_F(SearchPath, a_path_beside_a_trusted_file_has_to_be_as_trustworthy) {
    const std::string parent = write("usr/parent.yaml", "x");
    const ProfileFile from{top / "usr/web.yaml", "", top / "usr", ProfileTier::system};
    EXPECT_EQ(message(library.find("parent.yaml", from)), "found " + parent);
    chmod(parent.c_str(), 0664);
    EXPECT_THAT(message(library.find("./parent.yaml", from)), HasSubstr("refused as trusted"));
    EXPECT_EQ(message(library.find("./parent.yaml", {top / "usr/web.yaml", "", top / "usr", ProfileTier::named})), "found " + parent);
}

TEST_F(SearchPath, a_file_named_by_its_path_has_its_parents_beside_it) {
    const std::string beside = write("project/base/x.yaml", "x"), installed = write("usr/base/x.yaml", "x"),
                      web = write("usr/web.yaml", "x");
    const ProfileFile from{top / "project/web.yaml", "", top / "project", ProfileTier::named};
    EXPECT_EQ(message(library.find("base/x", from)), "found " + beside);
    EXPECT_EQ(message(library.find("web", from)), "found " + web);
    const std::string other = write("project/base/y.yaml", "x");
    EXPECT_EQ(message(library.find("base/y", {beside, "", top / "project/base", ProfileTier::named})), "found " + other);
    EXPECT_EQ(message(library.find("base/x", {top / "etc/web.yaml", "", top / "etc", ProfileTier::system})), "found " + installed);
}

TEST_F(SearchPath, a_slip_of_the_hand_gets_the_name_that_was_meant) {
    write("usr/nginx.yaml", "x");
    write("usr/base/service.yaml", "x");
    write("project/base/own-layer.yaml", "x");
    EXPECT_EQ(message(library.find_name("ngnix")),
              "no profile named 'ngnix'; did you mean 'nginx'? sandbox profiles lists what is installed");
    EXPECT_THAT(message(library.find("base/servce", {top / "etc/web.yaml", "", top / "etc", ProfileTier::system})),
                HasSubstr("did you mean 'base/service'?"));
    EXPECT_THAT(message(library.find("base/own-layr", {top / "project/web.yaml", "", top / "project", ProfileTier::named})),
                HasSubstr("did you mean 'base/own-layer'?"));
    EXPECT_THAT(message(library.find_name("something-else")), HasSubstr("it is looked for in"));
}

TEST_F(SearchPath, names_do_not_climb) {
    for (const char* name : {"", "..", "../x", "a/../b", "a/b/c", "A", "a/", "/a", ".d"})
        EXPECT_THAT(message(library.find_name(name)), HasSubstr("is not a profile name")) << name;
}

}  // namespace
}  // namespace sandbox
