// sandbox profiles: what is installed, from where, and what is wrong with it.

#include <dirent.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/library.h"
#include "cli/sandboxes.h"

namespace sandbox {
namespace {

using nlohmann::ordered_json;

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

}  // namespace sandbox
