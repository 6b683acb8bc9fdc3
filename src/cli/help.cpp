#include "cli/help.h"

#include <CLI/CLI.hpp>

#include "base/text.h"

namespace sandbox {
namespace {

struct HelpText {
    std::string_view verb, group, examples;  // the examples are lines of the manual pages, where they are tried
};

constexpr std::string_view start = "Start", many = "Many", profiles = "Profiles", look = "Look", inside = "Inside", steer = "Steer",
                           host = "This host";

constexpr HelpText texts[] = {
    {"up", start, "sandbox up web.yaml\nsandbox up web.yaml -- /bin/sh -c 'id; ls /'"},
    {"run", start, "sandbox run web.yaml -- /bin/sh -c 'id; ls /'"},
    {"create", start, "sandbox create web.yaml -- /bin/sleep 1000"},
    {"start", start, "sandbox start web"},
    {"matrix", many,
     "sandbox matrix --list -q matrix.yaml\nsandbox matrix --output results --only ids=host --report junit=report.xml matrix.yaml"},
    {"validate", profiles, "sandbox validate web.yaml"},
    {"plan", profiles, "sandbox plan web.yaml"},
    {"config", profiles, "sandbox config --set resources.memory.max=1Gi web.yaml\nsandbox config --origin web.yaml"},
    {"schema", profiles, "sandbox schema >profile.schema.json"},
    {"profiles", profiles, "sandbox profiles"},
    {"new", profiles, "sandbox new ./mine.yaml -- /bin/ls /"},
    {"diff-profiles", profiles, "sandbox diff-profiles web.yaml mine.yaml"},
    {"audit", profiles, "sandbox audit --threshold 6 web.yaml"},
    {"ps", look, "sandbox ps"},
    {"ls", look, "sandbox ls --json"},
    {"inspect", look, "sandbox inspect web"},
    {"stats", look, "sandbox stats --no-stream\nsandbox stats web"},
    {"top", look, "sandbox top web"},
    {"logs", look, "sandbox logs --tail 10 web\nsandbox logs -f web"},
    {"events", look, "sandbox events --json"},
    {"exec", inside, "sandbox exec web -- id"},
    {"cp", inside, "sandbox cp web:/tmp/greeting .\nsandbox cp greeting web:/tmp/copy"},
    {"diff", inside, "sandbox diff try"},
    {"stop", steer, "sandbox stop web"},
    {"restart", steer, "sandbox restart web"},
    {"kill", steer, "sandbox kill -s TERM web"},
    {"pause", steer, "sandbox pause web"},
    {"resume", steer, "sandbox resume web"},
    {"wait", steer, "sandbox wait web"},
    {"update", steer, "sandbox update web --set resources.memory.max=512Mi"},
    {"down", steer, "sandbox down web\nsandbox down --all"},
    {"doctor", host, "sandbox doctor\nsandbox doctor web.yaml"},
    {"gc", host, "sandbox gc"},
    {"completion", host, "source <(sandbox completion bash)"},
    {"version", host, "sandbox version"},
    {"help", host, "sandbox help up"},
};

std::string footer_of(const HelpText& text, const std::string& note) {
    std::string out = note.empty() ? "" : cat(note, "\n\n");
    out += "Examples:\n";
    for (const std::string_view line : split(text.examples, '\n')) out += cat("  ", line, "\n");
    return cat(out, "\nThe manual: man sandbox-", text.verb);
}

}  // namespace

void add_help_texts(CLI::App& app) {
    for (CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        for (const HelpText& text : texts) {
            if (text.verb != verb->get_name()) continue;
            const std::string note = verb->get_footer();
            verb->group(std::string(text.group))->footer(footer_of(text, note));
        }
    }
    app.footer("Of a verb: sandbox help VERB. The manual: man sandbox, man sandbox-VERB");
}

}  // namespace sandbox
