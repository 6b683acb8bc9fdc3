// Any bytes as a profile: no crash, no hang; and what is printed of a good profile is good, and says the same.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "profile/load.h"

namespace {

sandbox::LoadRequest request_for(std::string text) {
    sandbox::LoadRequest request;
    request.source_name = "fuzz.yaml";
    request.text = std::move(text);
    request.directory = "/srv/profiles";
    request.stem = "fuzz";
    request.variables = {{"HOME", "/home/joe"}, {"USER", "joe"},  {"UID", "1000"},
                         {"GID", "1000"},       {"PWD", "/work"}, {"RUNTIME_DIR", "/run/user/1000"}};
    return request;
}

[[noreturn]] void stop(const char* why, const std::string& text, const sandbox::Loaded& loaded) {
    std::fprintf(stderr, "%s\n%s\n", why, text.c_str());
    for (const sandbox::Diagnostic& d : loaded.diagnostics) std::fprintf(stderr, "%s", render(d, loaded.sources, false).c_str());
    std::abort();
}

}  // namespace

// A first byte of '=' makes the first line a --set word over the rest.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sandbox::LoadRequest request = request_for(std::string(reinterpret_cast<const char*>(data), size));
    if (request.text.starts_with('=')) {
        const auto end = request.text.find('\n');
        request.set.push_back(request.text.substr(1, end == std::string::npos ? end : end - 1));
        request.text.erase(0, end == std::string::npos ? end : end + 1);
    }
    const sandbox::Loaded loaded = load_profile(request);
    for (const sandbox::Diagnostic& d : loaded.diagnostics)
        if (render(d, loaded.sources, false).empty()) stop("a diagnostic without text", request.text, loaded);
    if (has_errors(loaded.diagnostics)) return 0;
    const std::string printed = profile_to_yaml(loaded.profile);
    if (printed.size() > 1 << 20) return 0;  // variables and aliases can make more than a profile may have
    const sandbox::Loaded again = load_profile(request_for(printed));
    if (has_errors(again.diagnostics)) stop("the effective profile is not valid:", printed, again);
    if (profile_to_yaml(again.profile) != printed) stop("the effective profile says something else:", printed, again);
    return 0;
}
