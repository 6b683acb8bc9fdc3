// One tree out of a profile, its parents and its drop-ins.
#pragma once

#include <optional>

#include "base/diagnostic.h"
#include "profile/decoder.h"
#include "profile/library.h"
#include "profile/node.h"

namespace sandbox {

struct Composed {
    Node root;  // a map, without `extends`
    Directories directories;
};

// Parents first, in the order of `extends`, each file once, then the profile, then its drop-ins; a later one is merged over the
// earlier (merge.h). The profile becomes source 0. Name and description of a parent stay its own. `library` may be null: then a
// profile has no parents. Nothing, and a diagnostic, when there is no going on.
[[nodiscard]] std::optional<Composed> compose(const FoundProfile& profile, ProfileLibrary* library, Sources& sources, Diagnostics& out);

}  // namespace sandbox
