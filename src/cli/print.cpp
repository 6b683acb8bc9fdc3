#include <unistd.h>

#include <cstdlib>

#include "base/text.h"
#include "base/write.h"
#include "cli/cli.h"

namespace sandbox {
bool colour(int stream) {
    const char* none = std::getenv("NO_COLOR");
    return (!none || !*none) && isatty(stream) == 1;
}

void write_out(std::string_view text) { write_all(1, text); }
void write_err(std::string_view text) { write_all(2, text); }

void print(const Diagnostics& diagnostics, const Sources& sources) {
    std::string out;
    for (const Diagnostic& d : diagnostics) out += render(d, sources, colour(2));
    write_err(out);
}

void print(const Error& error, const Sources& sources) {
    std::string out = render({"", Severity::error, error.at, "", error.message, error.hint, 1}, sources, colour(2));
    if (!error.at.known()) out.insert(0, "sandbox: ");
    for (const std::string& problem : error.also) out += cat("sandbox: while cleaning up: ", problem, "\n");
    write_err(out);
}

void print(const Error& error) { print(error, Sources()); }

}  // namespace sandbox
