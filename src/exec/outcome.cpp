#include "exec/outcome.h"

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace sandbox {
namespace {

using Json = nlohmann::ordered_json;

// One list of the members, walked in both directions.
template <class O, class Visit>
void visit_members(O& o, Visit&& visit) {
    visit("reason", o.reason);
    visit("exit_code", o.exit_code);
    visit("signal", o.signal);
    visit("wall_s", o.wall_s);
    visit("user_s", o.user_s);
    visit("system_s", o.system_s);
    visit("memory_peak_bytes", o.memory_peak_bytes);
    visit("pids_peak", o.pids_peak);
    visit("oom_kills", o.oom_kills);
    visit("skipped", o.skipped);
}

template <class T>
Json to_json(const T& value) {
    return value;
}
Json to_json(const std::optional<std::uint64_t>& value) { return value ? Json(*value) : Json(nullptr); }

template <class T>
void from_json(const Json& json, T& value) {
    json.get_to(value);
}
void from_json(const Json& json, std::optional<std::uint64_t>& value) {
    if (json.is_null())
        value.reset();
    else
        value = json.get<std::uint64_t>();
}

}  // namespace

std::string outcome_to_json(const Outcome& outcome) {
    Json json = Json::object();
    visit_members(outcome, [&json](const char* key, const auto& value) { json[key] = to_json(value); });
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Outcome> outcome_from_json(const std::string& text) {
    Outcome outcome;
    try {
        const Json json = Json::parse(text);
        visit_members(outcome, [&json](const char* key, auto& value) {
            if (const auto found = json.find(key); found != json.end()) from_json(*found, value);
        });
    } catch (const Json::exception& error) {
        return fail(cat("not a result: ", error.what()));
    }
    return outcome;
}

}  // namespace sandbox
