#include <nlohmann/json.hpp>

#include "base/text.h"
#include "matrix/report_text.h"

namespace sandbox {
namespace {

using Json = nlohmann::ordered_json;

// The fields of result.json, and what the matrix knows beside them.
Json attempt_to_json(const Attempt& attempt) {
    Json json = Json::parse(outcome_to_json(attempt.outcome));
    json["problem"] = attempt.problem;
    json["place"] = attempt.place;
    json["log"] = attempt.log;
    json["passed"] = attempt.passed();
    return json;
}

Json cell_to_json(const CellReport& cell) {
    Json json = {{"name", cell.name}, {"axes", Json::object()}, {"repetition", cell.repetition}, {"state", state_name(cell.state)}};
    for (const auto& [axis, value] : cell.values) json["axes"][axis] = value;
    json["why"] = why(cell);
    json["earlier"] = cell.earlier;
    json["begun"] = cell.begun;
    json["attempts"] = Json::array();
    for (const Attempt& attempt : cell.attempts) json["attempts"].push_back(attempt_to_json(attempt));
    json["tail"] = cell.tail;
    return json;
}

Json sum_to_json(const MatrixReport& report) {
    const Counts counts = count(report);
    Json json = {{"sum", true}, {"name", report.name}, {"profile", report.profile}, {"axes", report.axes}};
    json["counts"] = {{"all", counts.all()},     {"passed", counts.passed}, {"flaky", counts.flaky},
                      {"failed", counts.failed}, {"error", counts.error},   {"not_run", counts.not_run}};
    json["begun"] = report.begun;
    json["ended"] = report.ended;
    json["seed"] = report.seed ? Json(*report.seed) : Json(nullptr);
    json["cancelled"] = report.cancelled;
    json["passed"] = counts.passed == counts.all() && !report.cancelled;
    return json;
}

// ASCII alone: many readers take U+2028 and U+0085 for the end of a line too, and terminals take the latter's neighbours for commands.
std::string line_of(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string report_as_json_lines(const MatrixReport& report) {
    std::string out;
    for (const CellReport& cell : report.cells) out += line_of(cell_to_json(cell));
    return out + line_of(sum_to_json(report));
}

}  // namespace sandbox
