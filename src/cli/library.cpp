#include "cli/library.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/text.h"
#include "profile/load.h"
#include "state/directory.h"

namespace sandbox {
namespace {

// /dev/null in the place of a file hides those of the same name, as systemd.unit(5) has it.
bool is_null_device(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

std::string octal(mode_t mode) {
    std::string out = "0";
    for (int shift = 6; shift >= 0; shift -= 3) out += static_cast<char>('0' + (mode >> shift & 7));
    return out;
}

// A file in a place that may use everything is one that nobody but root can have written; one in the caller's own is the caller's.
Status check_owner(const std::string& path, const FileOwner& owner, ProfileTier tier) {
    if (tier == ProfileTier::named) return {};
    const std::string name = printable(path);
    if (owner.uid != 0 && owner.uid != geteuid())
        return fail(cat(name, ": refused as trusted: it belongs to user ", owner.uid, tier == ProfileTier::system ? ", not to root" : ""),
                    cat("sudo chown root ", name, ", if you trust what is in it"));
    if (tier == ProfileTier::system && (owner.mode & 020) != 0)
        return fail(cat(name, ": refused as trusted: its group may write to it (mode ", octal(owner.mode), ")"),
                    cat("look at what is in it, then: chmod g-w ", name));
    if ((owner.mode & 002) != 0)
        return fail(cat(name, ": refused as trusted: everybody may write to it (mode ", octal(owner.mode), ")"),
                    cat("look at what is in it, then: chmod o-w ", name));
    return {};
}

// Whoever may write to a folder can put another file in the place of one.
Status check_folder(const std::string& path, ProfileTier tier) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return fail_errno(printable(path), errno);
    return check_owner(path, {status.st_uid, status.st_mode & 07777}, tier);
}

bool file_exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// The *.yaml of a folder by name; a missing folder has none.
Result<std::vector<std::string>> list_folder(const std::string& path) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
    if (!folder) {
        if (errno == ENOENT || errno == ENOTDIR) return names;
        return fail_errno(printable(path), errno);
    }
    while (const dirent* entry = readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        if (!name.starts_with('.') && name.ends_with(".yaml")) names.emplace_back(name);
    }
    std::ranges::sort(names);
    return names;
}

std::string quoted_places(const std::vector<ProfilePlace>& places) {
    std::vector<std::string> paths;
    for (const ProfilePlace& place : places) paths.push_back(place.path);
    return join(paths, ", ");
}

// A set of profiles works where it lies, before it is installed: the name's file in the folder of the one that names it, or, for
// two in one folder of the set, in the folder above. Empty when there is none.
std::string path_beside(const std::string& word, const ProfileFile& from) {
    const auto slash = word.find('/');
    const bool same_folder = slash != std::string::npos && from.directory.ends_with(cat("/", word.substr(0, slash)));
    const std::string path = clean_path(cat(from.directory, same_folder ? "/../" : "/", word, ".yaml"));
    const std::string own = clean_path(cat(from.directory, "/", from.name.substr(from.name.rfind('/') + 1)));
    return path != own && file_exists(path) ? path : std::string();
}

}  // namespace

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::string working_directory() {
    char buffer[4096];
    const char* path = getcwd(buffer, sizeof buffer);
    return path ? path : "/";
}

std::string folder_of(const std::string& path) {
    const std::string whole = path.starts_with('/') ? path : cat(working_directory(), "/", path);
    const auto slash = whole.rfind('/');
    return slash == 0 ? "/" : whole.substr(0, slash);
}

std::string profile_stem(const std::string& path) {
    std::string name = path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
    for (const std::string_view ending : {".yaml", ".yml"})
        if (name.size() > ending.size() && name.ends_with(ending)) name.resize(name.size() - ending.size());
    return name;
}

bool is_profile_path(const std::string& word) {
    return word.find('/') != std::string::npos || word.ends_with(".yaml") || word.ends_with(".yml");
}

bool valid_library_name(const std::string& name) {
    const auto slash = name.find('/');
    if (slash == std::string::npos) return valid_name(name);
    return valid_name(name.substr(0, slash)) && valid_name(name.substr(slash + 1));
}

std::vector<ProfilePlace> profile_places() {
    std::vector<ProfilePlace> places;
    const std::string config = environment("XDG_CONFIG_HOME"), home = environment("HOME");
    if (config.starts_with('/'))
        places.push_back({cat(config, "/sandbox/profiles"), ProfileTier::own});
    else if (home.starts_with('/'))
        places.push_back({cat(home, "/.config/sandbox/profiles"), ProfileTier::own});
    for (const char* path : {"/etc/sandbox/profiles", "/usr/local/share/sandbox/profiles", "/usr/share/sandbox/profiles"})
        places.push_back({path, ProfileTier::system});
    return places;
}

Result<ProfileFile> InstalledProfiles::read(const InstalledFile& file) {
    const std::string folder = folder_of(file.path);
    if (is_null_device(file.path)) return ProfileFile{file.path, "", folder, file.tier};
    FileOwner owner;
    auto text = read_profile_text(file.path, &owner);
    if (!text) return pass(text);
    if (auto good = check_owner(file.path, owner, file.tier); !good) return pass(good);
    if (auto good = check_folder(folder, file.tier); !good) return pass(good);
    return ProfileFile{file.path, std::move(*text), folder, file.tier};
}

std::vector<InstalledFile> InstalledProfiles::files_of(const std::string& name) const {
    std::vector<InstalledFile> out;
    for (const ProfilePlace& place : places_)
        if (std::string path = cat(place.path, "/", name, ".yaml"); file_exists(path)) out.push_back({std::move(path), place.tier});
    return out;
}

Result<std::vector<InstalledFile>> InstalledProfiles::drop_ins_of(const std::string& name) const {
    std::map<std::string, InstalledFile> system, own;
    for (const ProfilePlace& place : places_) {
        const std::string folder = cat(place.path, "/", name, ".d");
        auto names = list_folder(folder);
        if (!names) return pass(names);
        for (std::string& file : *names) {
            if (own.contains(file) || system.contains(file)) continue;
            InstalledFile found{cat(folder, "/", file), place.tier};
            (place.tier == ProfileTier::own ? own : system).emplace(std::move(file), std::move(found));
        }
    }
    std::vector<InstalledFile> out;
    for (auto* files : {&system, &own})
        for (auto& [file, found] : *files) out.push_back(std::move(found));
    return out;
}

// "did you mean": the names in the folder of the name that is missing, on the search path and beside the file that asks.
std::string InstalledProfiles::nearest_name(const std::string& name, const std::string& beside) const {
    const auto slash = name.find('/');
    const std::string folder = slash == std::string::npos ? "" : name.substr(0, slash + 1);
    std::vector<std::string> parents;
    for (const ProfilePlace& place : places_) parents.push_back(place.path);
    if (!beside.empty()) parents.push_back(beside);
    std::vector<std::string> names;
    for (const std::string& parent : parents)
        if (const auto files = list_folder(cat(parent, "/", folder)))
            for (const std::string& file : *files) names.push_back(cat(folder, profile_stem(file)));
    const auto near = nearest(name, std::vector<std::string_view>(names.begin(), names.end()));
    return near ? std::string(*near) : "";
}

tl::unexpected<Error> InstalledProfiles::refuse_missing(const std::string& name, bool another, const std::string& beside) const {
    if (another)
        return fail(cat("there is no other profile named ", quote(name)), "it would have to be in a later place of the search path");
    const auto drop_ins = drop_ins_of(name);
    if (drop_ins && !drop_ins->empty())
        return fail(cat("no profile named ", quote(name), ", only a drop-in for it: ", printable(drop_ins->front().path)),
                    "install the profile that it is for, or remove the drop-in");
    if (const std::string near = nearest_name(name, beside); !near.empty())
        return fail(cat("no profile named ", quote(name)), cat("did you mean ", quote(near), "? sandbox profiles lists what is installed"));
    return fail(cat("no profile named ", quote(name)),
                cat("it is looked for in ", quoted_places(places_), "; a file of your own is named by its path: ./", name, ".yaml"));
}

Result<FoundProfile> InstalledProfiles::find_below(const std::string& name, std::size_t first, const std::string& beside) {
    if (!valid_library_name(name))
        return fail(cat(quote(printable(name)), " is not a profile name"),
                    "a name has lower-case letters, digits, '_', '.', '-'; a path has a slash or ends in .yaml");
    auto files = files_of(name);
    if (files.size() <= first) return refuse_missing(name, first > 0, beside);
    auto file = read(files[first]);
    if (!file) return pass(file);
    FoundProfile found{std::move(*file), {}};
    if (first > 0) return found;  // a drop-in is for what the name means
    auto drop_ins = drop_ins_of(name);
    if (!drop_ins) return pass(drop_ins);
    for (const InstalledFile& drop_in : *drop_ins) {
        auto text = read(drop_in);
        if (!text) return pass(text);
        found.drop_ins.push_back(std::move(*text));
    }
    return found;
}

// A file beside one that is trusted has to be as trustworthy.
Result<FoundProfile> InstalledProfiles::find_path(const std::string& path, const ProfileFile& from) {
    const std::string whole = clean_path(path.starts_with('/') ? path : cat(from.directory, "/", path));
    auto file = read({whole, from.tier});
    if (!file) return pass(file);
    return FoundProfile{std::move(*file), {}};
}

Result<FoundProfile> InstalledProfiles::find(const std::string& word, const ProfileFile& from) {
    const bool path =
        word.starts_with('/') || word.starts_with("./") || word.starts_with("../") || word.ends_with(".yaml") || word.ends_with(".yml");
    if (path) return find_path(word, from);
    if (from.tier == ProfileTier::named && valid_library_name(word))
        if (const std::string beside = path_beside(word, from); !beside.empty()) return find_path(beside, from);
    const auto files = files_of(word);
    const auto self = std::ranges::find(files, from.name, &InstalledFile::path);
    const std::size_t first = self == files.end() ? 0 : static_cast<std::size_t>(self - files.begin()) + 1;
    return find_below(word, first, from.tier == ProfileTier::named ? from.directory : std::string());
}

}  // namespace sandbox
