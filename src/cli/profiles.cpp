// sandbox profiles, new, diff-profiles: the profiles that are installed, and how two of them differ.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/library.h"
#include "cli/sandboxes.h"
#include "profile/origin.h"

namespace sandbox {
namespace {

using nlohmann::ordered_json;

// ---- profiles

struct Entry {
    std::string name, description, sandbox_name;
    InstalledFile file;
    std::string shadowed_by;            // the path of the one that counts
    std::vector<std::string> drop_ins;  // paths, in the order in which they are merged
    std::vector<std::string> mistakes;  // the first line of each
};

struct Listing {
    std::vector<Entry> entries;           // by name; of one name the one that counts first
    std::vector<std::string> complaints;  // what lies on the search path and does nothing
};

// A folder of layers that others extend: no sandbox by itself.
bool is_layer(const std::string& name) { return name.find('/') != std::string::npos; }

struct Seen {
    std::set<std::string> names, drop_in_folders;
    std::vector<std::string> others;  // paths that mean nothing here
};

void look_into(const std::string& folder, const std::string& prefix, Seen& seen) {
    const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder.c_str()), closedir);
    if (!open) return;
    while (const dirent* entry = readdir(open.get())) {
        const std::string name = entry->d_name, path = cat(folder, "/", name);
        struct stat status {};
        if (name.starts_with('.') || stat(path.c_str(), &status) != 0) continue;
        const bool directory = S_ISDIR(status.st_mode);
        if (directory && name.ends_with(".d"))
            seen.drop_in_folders.insert(cat(prefix, name.substr(0, name.size() - 2)));
        else if (directory && prefix.empty() && valid_library_name(name))
            look_into(path, cat(name, "/"), seen);
        else if (!directory && name.ends_with(".yaml") && valid_library_name(cat(prefix, name.substr(0, name.size() - 5))))
            seen.names.insert(cat(prefix, name.substr(0, name.size() - 5)));
        else
            seen.others.push_back(path);
    }
}

// What is wrong with it as text; whether this host can run it is for `validate` and `doctor`.
void look_at(Entry& entry, InstalledProfiles& library, bool counts) {
    LoadRequest request;
    Result<FoundProfile> found;
    if (counts) {
        found = library.find_name(entry.name);
    } else if (auto file = InstalledProfiles::read(entry.file)) {
        found = FoundProfile{std::move(*file), {}};
    } else {
        found = pass(file);
    }
    if (!found) {
        entry.mistakes.push_back(found.error().message);
        return;
    }
    for (const ProfileFile& drop_in : found->drop_ins) entry.drop_ins.push_back(drop_in.name);
    request.profile = std::move(*found);
    request.library = &library;
    request.stem = profile_stem(entry.file.path);
    request.variables = profile_variables();
    if (is_layer(entry.name)) request.command = {"true"};
    const Loaded loaded = load_profile(request);
    entry.description = loaded.profile.description;
    entry.sandbox_name = *loaded.profile.name;
    for (const Diagnostic& d : loaded.diagnostics)
        if (d.severity == Severity::error)
            entry.mistakes.push_back(
                cat(loaded.sources.describe(d.at), d.at.known() ? ": " : "", d.key, d.key.empty() ? "" : ": ", d.message));
}

// Two profiles whose sandboxes are called the same cannot run at one time.
void find_clashes(Listing& listing) {
    std::map<std::string, const Entry*> by_sandbox;
    for (const Entry& entry : listing.entries) {
        if (!entry.shadowed_by.empty() || is_layer(entry.name) || !entry.mistakes.empty()) continue;
        const auto [first, fresh] = by_sandbox.emplace(entry.sandbox_name, &entry);
        if (!fresh)
            listing.complaints.push_back(cat(entry.file.path, " and ", first->second->file.path, " both call their sandbox ",
                                             quote(entry.sandbox_name), ": they cannot run at one time unless one gets a --name"));
    }
}

Listing list_profiles(InstalledProfiles& library) {
    Listing listing;
    Seen seen;
    for (const ProfilePlace& place : library.places()) look_into(place.path, "", seen);
    for (const std::string& name : seen.names) {
        std::string counting;
        for (const InstalledFile& file : library.files_of(name)) {
            Entry entry{name, {}, {}, file, counting, {}, {}};
            look_at(entry, library, counting.empty());
            if (counting.empty()) counting = file.path;
            listing.entries.push_back(std::move(entry));
        }
    }
    for (const std::string& name : seen.drop_in_folders)
        if (!seen.names.contains(name))
            if (const auto drop_ins = library.drop_ins_of(name))
                for (const InstalledFile& drop_in : *drop_ins)
                    listing.complaints.push_back(cat(drop_in.path, ": a drop-in for a profile that does not exist: ", quote(name)));
    for (const std::string& path : seen.others)
        listing.complaints.push_back(cat(path, ": not a profile: the name of one is lower case and ends in .yaml"));
    find_clashes(listing);
    return listing;
}

std::string state_of(const Entry& entry) {
    if (!entry.mistakes.empty()) return "broken";
    if (!entry.shadowed_by.empty()) return "shadowed";
    return is_layer(entry.name) ? "layer" : "ok";
}

std::string as_table(const Listing& listing) {
    std::vector<std::vector<std::string>> rows{{"NAME", "STATE", "FILE", "DESCRIPTION"}};
    for (const Entry& entry : listing.entries) {
        rows.push_back({entry.name, state_of(entry), entry.file.path, entry.description});
        for (const std::string& drop_in : entry.drop_ins) rows.push_back({"", "drop-in", drop_in, ""});
    }
    return in_columns(rows);
}

ordered_json as_json(const Listing& listing) {
    ordered_json all = ordered_json::array();
    for (const Entry& entry : listing.entries)
        all.push_back({{"name", entry.name},
                       {"state", state_of(entry)},
                       {"file", entry.file.path},
                       {"description", entry.description},
                       {"sandbox", entry.sandbox_name},
                       {"shadowed_by", entry.shadowed_by.empty() ? ordered_json(nullptr) : ordered_json(entry.shadowed_by)},
                       {"drop_ins", entry.drop_ins},
                       {"mistakes", entry.mistakes}});
    return {{"profiles", all}, {"complaints", listing.complaints}};
}

std::string complaints_of(const Listing& listing) {
    std::string out;
    for (const Entry& entry : listing.entries)
        for (const std::string& mistake : entry.mistakes)
            out += cat("sandbox: ", printable(entry.name), " is broken: ", printable(mistake), "\n");
    for (const std::string& complaint : listing.complaints) out += cat("sandbox: warning: ", printable(complaint), "\n");
    return out;
}

// ---- new

std::string yaml_words(const std::vector<std::string>& words) {
    ordered_json list = ordered_json::array();
    for (const std::string& word : words) list.push_back(word);
    std::string text = list.dump(-1, ' ', false, ordered_json::error_handler_t::replace);  // JSON is YAML
    for (auto at = text.find('$'); at != text.npos; at = text.find('$', at + 2)) text.insert(at, "$");
    return text;
}

std::string starter(const std::string& name, const std::vector<std::string>& parents, const std::vector<std::string>& command) {
    std::string out = cat("# sandbox up ", name, "\n# Every key: man sandbox-profile. What it comes to: sandbox config ", name,
                          "; sandbox plan ", name, "\nversion: 1\ndescription: \"\"\n");
    if (!parents.empty()) out += cat("extends: ", yaml_words(parents), "\n");
    if (parents.empty())
        out +=
            "\n# This host's own tree, read-only. Others: {path: DIRECTORY}, {overlay: {lower: [DIRECTORY], upper: tmpfs}}, {tmpfs: {}}\n"
            "rootfs: {host: ro}\n"
            "mask: [/home, /root, /srv, /mnt, /media]   # out of sight, beside the kernel's paths that always are\n"
            "mounts:\n"
            "  - {type: tmpfs, target: /tmp, size: 256Mi}\n"
            "  # - {source: \"${PWD}\", target: /work, mode: rw}   # a place of the host that it may change\n"
            "\n# The 15 of the default. Take away what the program works without; most need none.\n"
            "capabilities: {base: none}\n"
            "\n# All processes of the sandbox together.\n"
            "resources: {memory: {max: 512Mi}, pids: 128}\n";
    out +=
        "\n# None at all by default. bridge: an address of its own; ports: reachable from this host; egress: what it may reach.\n"
        "# network:\n"
        "#   mode: bridge\n"
        "#   ports: [\"8080:80\"]\n"
        "#   egress: {default: deny, allow: [\"192.0.2.10:443/tcp\"]}\n"
        "\nprocess:\n";
    out += cat("  command: ", yaml_words(command.empty() ? std::vector<std::string>{"/bin/sh", "-c", "id; ls /"} : command), "\n");
    out +=
        "  # user: \"65534:65534\"\n"
        "  # environment: {LC_ALL: C.UTF-8}\n"
        "\n# lifecycle: {timeout: 1h, stop: {signal: TERM, grace: 10s}, restart: {policy: on-failure}}\n";
    return out;
}

// Makes the folders above a path; those that are there stay as they are.
Status make_folders(const std::string& folder) {
    for (std::size_t slash = folder.find('/', 1); slash != std::string::npos; slash = folder.find('/', slash + 1))
        if (mkdir(folder.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST)
            return fail_errno(printable(folder.substr(0, slash)), errno);
    if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno(printable(folder), errno);
    return {};
}

Status write_new(const std::string& path, const std::string& text) {
    const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file && errno == EEXIST)
        return fail(cat(printable(path), ": there is a file of this name"), "give another name, or change that one");
    if (!file) return fail_errno(printable(path), errno, "name a file of your own by its path: sandbox new ./NAME.yaml");
    if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        const int error = errno;
        unlink(path.c_str());
        return fail_errno(printable(path), error);
    }
    return {};
}

// Root's profiles are the administrator's, a user's are the user's own.
std::string path_of_new(const std::string& name) {
    if (is_profile_path(name)) return name;
    const auto places = profile_places();
    const ProfileTier wanted = geteuid() == 0 ? ProfileTier::system : ProfileTier::own;
    const auto place = std::ranges::find(places, wanted, &ProfilePlace::tier);
    return place == places.end() ? cat("./", name, ".yaml") : cat(place->path, "/", name, ".yaml");
}

// ---- diff-profiles

std::optional<std::vector<EffectiveValue>> values_of(const std::string& profile, const std::vector<std::string>& set) {
    ProfileOptions options;
    options.profile = profile;
    options.set = set;
    auto loaded = load(options);
    if (!loaded) return print(loaded.error()), std::nullopt;
    print(loaded->diagnostics, loaded->sources);
    if (has_errors(loaded->diagnostics)) return std::nullopt;
    return effective_values(*loaded);
}

std::string difference_line(char sign, const EffectiveValue& value) {
    return cat(std::string(1, sign), " ", printable(value.key), ": ", printable(value.value), "  # ", printable(value.origin), "\n");
}

}  // namespace

int verb_profiles(bool json, bool quiet) {
    InstalledProfiles library;
    const Listing listing = list_profiles(library);
    if (quiet) {
        std::string out;
        for (const Entry& entry : listing.entries)
            if (entry.shadowed_by.empty() && !is_layer(entry.name)) out += cat(printable(entry.name), "\n");
        write_out(out);
        return 0;
    }
    write_out(json ? as_json(listing).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n" : as_table(listing));
    if (!json) write_err(complaints_of(listing));
    return 0;
}

int verb_new(const std::string& name, const std::vector<std::string>& parents, const std::vector<std::string>& command) {
    const std::string stem = profile_stem(name);
    if (name != "-" && (!valid_library_name(stem) || is_layer(stem))) {
        print(Error{cat(quote(printable(stem)), " cannot be a name"),
                    "1 to 63 of a-z, 0-9, '_', '.', '-', the first one a letter or a digit",
                    0,
                    {},
                    {}});
        return exit_launcher;
    }
    const std::string path = path_of_new(name);
    const std::string text = starter(name == "-" ? "FILE" : name, parents, command);
    if (name == "-") return write_out(text), 0;
    if (!is_profile_path(name))
        if (auto made = make_folders(folder_of(path)); !made) return print(made.error()), exit_launcher;
    if (auto written = write_new(path, text); !written) return print(written.error()), exit_launcher;
    write_out(cat(printable(path), "\n"));
    return 0;
}

int verb_diff_profiles(const std::string& a, const std::string& b, const std::vector<std::string>& set) {
    const auto from = values_of(a, set), to = values_of(b, set);
    if (!from || !to) return 2;
    std::map<std::string_view, const EffectiveValue*> before, after;
    for (const EffectiveValue& value : *from) before.emplace(value.key, &value);
    for (const EffectiveValue& value : *to) after.emplace(value.key, &value);
    std::string out;
    for (const EffectiveValue& value : *from) {
        const auto other = after.find(value.key);
        if (other != after.end() && other->second->value == value.value) continue;
        out += difference_line('-', value);
        if (other != after.end()) out += difference_line('+', *other->second);
    }
    for (const EffectiveValue& value : *to)
        if (!before.contains(value.key)) out += difference_line('+', value);
    write_out(out);
    return out.empty() ? 0 : 1;
}

}  // namespace sandbox
