// What to say about a key that the language does not have.
#pragma once

#include <string>
#include <string_view>

#include "profile/fields.h"

namespace sandbox {

// For a key that `table` does not have: the key that other tools' word stands for, the nearest key, the place where a
// key of that name belongs, or the list of keys that are allowed.
[[nodiscard]] std::string hint_for_unknown(std::string_view key, const FieldTable& table);

}  // namespace sandbox
