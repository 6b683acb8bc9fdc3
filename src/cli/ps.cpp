// sandbox ps

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/sandboxes.h"
#include "exec/presence.h"

namespace sandbox {
namespace {

nlohmann::ordered_json row_as_json(const SandboxStatus& s, pid_t pid) {
    using Json = nlohmann::ordered_json;
    Json json{{"name", s.name}, {"state", phase_name(s.phase)}};
    json["pid"] = pid ? Json(pid) : Json(nullptr);
    json["started"] = s.started ? Json(format_time(s.started)) : Json(nullptr);
    json["profile"] = s.profile;
    json["network"] = s.network;
    json["health"] = s.health.empty() ? Json(nullptr) : Json(s.health);
    json["restarts"] = s.restarts;
    json["exit_code"] = s.phase == SandboxPhase::stopped ? Json(s.exit_code) : Json(nullptr);
    return json;
}

}  // namespace

int verb_ps(bool json, bool quiet) {
    auto root = open_state(false);
    if (root && root->valid()) clean_leftovers(quiet);
    auto all = all_sandboxes();
    if (!all) return print(all.error()), exit_launcher;
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    std::vector<std::vector<std::string>> rows{{"NAME", "STATE", "PID", "AGE", "HEALTH", "NETWORK", "PROFILE"}};
    std::string names;
    for (const Found& found : *all) {
        const SandboxStatus& s = found.status;
        const auto payload = found.alive ? find_payload(s) : std::nullopt;
        const pid_t pid = payload ? payload->pid : 0;
        list.push_back(row_as_json(s, pid));
        names += s.name + "\n";
        std::string state(phase_name(s.phase));
        if (s.phase == SandboxPhase::stopped) state += cat(" (", s.exit_code, ")");
        rows.push_back({s.name, state, pid ? std::to_string(pid) : "-", s.started ? short_age(wall_clock() - s.started) : "-",
                        s.health.empty() ? "-" : s.health, s.network, s.profile});
    }
    write_out(json ? list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n" : quiet ? names : in_columns(rows));
    return 0;
}

}  // namespace sandbox
