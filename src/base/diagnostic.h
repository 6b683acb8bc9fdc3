// What is wrong with a profile, and how it is shown: file, line, caret, hint.
#pragma once

#include <string>
#include <vector>

#include "base/source.h"

namespace sandbox {

enum class Severity { error, warning, note };

// One mistake. `code` is stable ("E0203"); `key` is the path of the key ("rootfs.overlay.lower[2]"); `message` and
// `hint` are lower case without a full stop. `length` is how many columns the caret line underlines, at least 1.
struct Diagnostic {
    std::string code;
    Severity severity = Severity::error;
    Position at{};
    std::string key;
    std::string message;
    std::string hint;
    std::uint32_t length = 1;
};

using Diagnostics = std::vector<Diagnostic>;

[[nodiscard]] bool has_errors(const Diagnostics& diagnostics);

// As a compiler prints it, with an end of line:
//   web.yaml:31:7: error[E0203]: resources.memmory: unknown key
//      31 |   memmory: {max: 1}
//         |   ^~~~~~~
//     extended by site.yaml:3:11
//     hint: did you mean 'memory'?
// The line "extended by" says how a source came in that the user did not name.
[[nodiscard]] std::string render(const Diagnostic& diagnostic, const Sources& sources, bool colour);

}  // namespace sandbox
