// What the targets that take a profile have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "profile/load.h"

namespace sandbox {

inline LoadRequest request_for(std::string text) {
    LoadRequest request;
    request.profile.file.name = "fuzz.yaml";
    request.profile.file.text = std::move(text);
    // A folder with a seccomp profile in it, which a plan then has read.
    request.profile.file.directory = SOURCE_DIR "/tests/unit/data";
    request.stem = "fuzz";
    request.variables = {{"HOME", "/home/joe"}, {"USER", "joe"},  {"UID", "1000"},
                         {"GID", "1000"},       {"PWD", "/work"}, {"RUNTIME_DIR", "/run/user/1000"}};
    return request;
}

// A first byte of '=' makes the first line a --set word over the rest.
inline LoadRequest request_for(const std::uint8_t* data, std::size_t size) {
    LoadRequest request = request_for(std::string(reinterpret_cast<const char*>(data), size));
    if (request.profile.file.text.starts_with('=')) {
        const auto end = request.profile.file.text.find('\n');
        request.set.push_back(request.profile.file.text.substr(1, end == std::string::npos ? end : end - 1));
        request.profile.file.text.erase(0, end == std::string::npos ? end : end + 1);
    }
    return request;
}

// Ends the run with a finding: why, the profile, and what there is to say about it.
[[noreturn]] inline void stop(const std::string& why, const std::string& profile, const Diagnostics& diagnostics, const Sources& sources) {
    std::fprintf(stderr, "%s\n%s\n", why.c_str(), profile.c_str());
    for (const Diagnostic& d : diagnostics) std::fprintf(stderr, "%s", render(d, sources, false).c_str());
    std::abort();
}

// Control characters, of ASCII and of Latin 1, other than the end of a line and the tab, which stand in a source line.
inline bool speaks_to_terminal(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]), next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || (c == 0xc2 && next >= 0x80 && next <= 0x9f)) return true;
    }
    return false;
}

inline void check_diagnostics(const Diagnostics& diagnostics, const std::string& profile, const Sources& sources) {
    for (const Diagnostic& d : diagnostics) {
        if (d.code.empty() || d.message.empty()) stop("a diagnostic without code or text", profile, diagnostics, sources);
        if (speaks_to_terminal(render(d, sources, false))) stop("a diagnostic with control characters", profile, diagnostics, sources);
    }
}

}  // namespace sandbox
