// One tree over another by the merge rules of the language, and --set words as trees.
#pragma once

#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "profile/fields.h"
#include "profile/node.h"

namespace sandbox {

// Puts `patch` over `base`, both values of a key of this shape: maps merge deeply, scalars replace, null deletes, lists
// append without repeating or merge by identity (`remove: true` deletes), {replace: [...]} replaces a list.
void merge_node(Node& base, Node patch, const Shape& shape, Diagnostics& out);

// Applies one "key.path=value" to a profile's tree. A word without a dot that names one of its `vars` sets that.
void apply_set(Node& root, const std::string& word, Sources& sources, Diagnostics& out);

}  // namespace sandbox
