// From text to a checked Profile, or to every mistake in it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "base/error.h"
#include "profile/profile.h"

namespace sandbox {

struct LoadRequest {
    std::string source_name;                       // as the user gave it, for messages: "web.yaml", "<standard input>"
    std::string text;                              // at most 1 MiB; anything may be in it
    std::string directory;                         // absolute; relative paths in the profile start here; ${PROFILE_DIR}
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
    bool decoded = false;     // the text is a map of keys; what of them was right is in `profile`, the rest has its default
};

void sort_by_position(Diagnostics& diagnostics);

// Never throws and never touches the system: parse, ${VAR}, decode by the field table, --set, defaults, and all the
// checks that need no knowledge of the host. Every check runs; three mistakes are three diagnostics.
[[nodiscard]] Loaded load_profile(const LoadRequest& request);

// Reads at most 1 MiB (1048576 bytes) of a regular file or of standard input ("-"); a directory, FIFO, device or larger
// file is an error. Opens with O_NONBLOCK so that a FIFO cannot hang it.
[[nodiscard]] Result<std::string> read_profile_text(const std::string& path);

// JSON Schema 2020-12 of the language, made from the field table; ends with a newline.
[[nodiscard]] std::string profile_schema();

// The effective profile as YAML that load_profile accepts and that gives an equal Profile.
[[nodiscard]] std::string profile_to_yaml(const Profile& profile);

// The reference of all keys for sandbox-profile(5), made from the field table (man(7) text).
[[nodiscard]] std::string profile_reference();

}  // namespace sandbox
