// From text to a checked Profile, or to every mistake in it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "base/error.h"
#include "profile/decoder.h"
#include "profile/library.h"
#include "profile/node.h"
#include "profile/profile.h"

namespace sandbox {

struct LoadRequest {
    FoundProfile profile;
    ProfileLibrary* library = nullptr;             // where its parents are; null: it has none
    std::string stem;                              // the name when the profile gives none: "web"
    std::string name_override;                     // --name; empty: none
    std::vector<std::string> set;                  // --set words, "key.path=value", in order
    std::map<std::string, std::string> variables;  // built-ins: HOME USER UID GID PWD RUNTIME_DIR
    std::vector<std::string> command;              // "-- ARGV"; empty: the profile's own
};

struct Loaded {
    Sources sources;
    Profile profile;          // complete only when there is no error among the diagnostics
    Diagnostics diagnostics;  // in order of position
    Node tree;                // what was written, all files merged and variables put in: where each value comes from
    bool decoded = false;     // the text is a map of keys; what of them was right is in `profile`, the rest has its default
};

// A profile's files, read and merged: from one of these many profiles are made (matrix.h).
struct Draft {
    Sources sources;
    Diagnostics diagnostics;
    Node root;  // a map; null when there is no going on
    Directories directories;
};
[[nodiscard]] Draft read_draft(const LoadRequest& request);
// The rest of the way, from what is on the command line to the checks. The same request.
[[nodiscard]] Loaded finish_draft(Draft draft, const LoadRequest& request);

void sort_by_position(Diagnostics& diagnostics);

// Never throws and touches the system only through the library: parse, compose, ${VAR}, decode by the field table, --set, defaults, and all
// the checks that need no knowledge of the host. Every check runs; three mistakes are three diagnostics.
[[nodiscard]] Loaded load_profile(const LoadRequest& request);

// Who owns a file, and who may write to it: the permission bits of its mode.
struct FileOwner {
    std::uint32_t uid = 0, mode = 0;
};

// Reads at most 1 MiB (1048576 bytes) of a regular file or of standard input ("-"); a directory, FIFO, device or larger
// file is an error. Opens with O_NONBLOCK so that a FIFO cannot hang it. `owner` is of the very file that was
// read.
[[nodiscard]] Result<std::string> read_profile_text(const std::string& path, FileOwner* owner = nullptr);

// JSON Schema 2020-12 of the language, made from the field table; ends with a newline.
[[nodiscard]] std::string profile_schema();

// The effective profile as YAML that load_profile accepts and that gives an equal Profile.
[[nodiscard]] std::string profile_to_yaml(const Profile& profile);

// The reference of all keys for sandbox-profile(5), made from the field table (man(7) text).
[[nodiscard]] std::string profile_reference();

// What can be written before the value of --set: "hostname=", or "sysctl." where a key of the user's own follows.
struct SettableKey {
    std::string path;
    std::string_view doc;
};
[[nodiscard]] std::vector<SettableKey> settable_keys();

}  // namespace sandbox
