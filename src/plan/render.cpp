// A plan for a person, and as JSON.

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "plan/plan.h"

namespace sandbox {
namespace {

constexpr const char* side_name(Side side) { return side == Side::host ? "host" : "sandbox"; }

std::string padded(std::string_view text, std::size_t width) {
    std::string out(text);
    if (out.size() < width) out.append(width - out.size(), ' ');
    return out;
}

}  // namespace

std::string plan_to_text(const Plan& plan, const Sources& sources) {
    std::string out = cat("plan for ", plan.name, ": ", plan.steps.size(), " steps\n");
    std::size_t width = 0;
    for (const Step& step : plan.steps) width = std::max(width, std::min<std::size_t>(step.id.size(), 34));
    std::size_t number = 0;
    for (const Step& step : plan.steps) {
        out += cat(padded(std::to_string(++number), 4), padded(side_name(step.side), 8), padded(printable(step.id), width), "  ",
                   printable(step.text));
        if (step.optional) out += " (optional)";
        if (!step.undo.empty()) out += cat("  [undo: ", printable(step.undo), "]");
        if (step.origin.known()) out += cat("  (", printable(sources.describe(step.origin)), ")");
        out += '\n';
    }
    for (const std::string& note : plan.notes) out += cat("note: ", printable(note), "\n");
    return out;
}

std::string plan_to_json(const Plan& plan, const Sources& sources) {
    using nlohmann::ordered_json;
    ordered_json steps = ordered_json::array();
    for (const Step& step : plan.steps) {
        ordered_json item{{"id", step.id}, {"side", side_name(step.side)}, {"text", step.text}};
        item["undo"] = step.undo.empty() ? ordered_json(nullptr) : ordered_json(step.undo);
        item["origin"] = step.origin.known() ? ordered_json(sources.describe(step.origin)) : ordered_json(nullptr);
        item["optional"] = step.optional;
        steps.push_back(std::move(item));
    }
    const ordered_json document{{"name", plan.name}, {"steps", std::move(steps)}, {"notes", plan.notes}};
    return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace sandbox
