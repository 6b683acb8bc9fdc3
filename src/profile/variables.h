// ${NAME} and ${NAME:-default} in the scalars of a profile.
#pragma once

#include <map>
#include <string>

#include "base/diagnostic.h"
#include "profile/decoder.h"
#include "profile/node.h"

namespace sandbox {

struct VariableScope {
    std::map<std::string, std::string> built_in;  // HOME, USER ...
    Directories directories;                      // PROFILE_DIR: of the file that asks
    std::string name;                             // NAME: empty when the profile's `name` gives it, or its stem
    std::string stem;
};

// Puts the values in, in keys and values of the whole tree. `vars` of the tree are variables as well. What comes out of
// a variable is text and is not read as YAML again.
void expand_variables(Node& root, const VariableScope& scope, const Sources& sources, Diagnostics& out);

}  // namespace sandbox
