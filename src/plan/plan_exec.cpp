// The command, its environment, and how it is looked after.

#include <fnmatch.h>

#include <map>

#include "plan/context.h"
#include "profile/language.h"

namespace sandbox {
namespace {

constexpr const char* default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::map<std::string, std::string> environment_of(const Context& c) {
    std::map<std::string, std::string> caller;
    for (const std::string& entry : c.caller.environment)
        if (const auto equals = entry.find('='); equals != std::string::npos && equals > 0)
            caller.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    std::map<std::string, std::string> out{{"PATH", default_path}, {"HOME", c.user.home.empty() ? "/" : c.user.home}};
    if (!c.user.name.empty()) out["USER"] = c.user.name;
    if (c.terminal != no_slot) out["TERM"] = caller.contains("TERM") ? caller["TERM"] : "xterm";
    if (const std::string& zone = *c.profile.time.timezone; zone != "host") out["TZ"] = zone;
    for (const Text& glob : c.profile.process.environment.inherit)
        for (const auto& [name, value] : caller)
            if (fnmatch(glob->c_str(), name.c_str(), 0) == 0) out[name] = value;
    for (const EnvironmentEntry& entry : c.profile.process.environment.entries) {
        if (entry.value)
            out[entry.name] = **entry.value;
        else if (caller.contains(entry.name))
            out[entry.name] = caller[entry.name];
    }
    return out;
}

// The paths to try, as execvp(3) does.
std::vector<std::string> candidates(const std::string& command, const std::string& path) {
    if (command.find('/') != std::string::npos) return {command};
    std::vector<std::string> out;
    for (const std::string_view folder : split(path, ':')) out.push_back(folder.empty() ? command : cat(folder, "/", command));
    return out;
}

std::string shown(const std::vector<std::string>& argv) {
    std::string text;
    for (const std::string& word : argv)
        text += cat(text.empty() ? "" : " ",
                    word.find_first_of(" '\"\\$") == std::string::npos && !word.empty() ? printable(word) : quote(word));
    return text;
}

}  // namespace

void plan_exec(Context& c) {
    const Profile& p = c.profile;
    step::Execute exec;
    for (const Text& word : p.process.command) exec.argv.push_back(*word);
    const auto environment = environment_of(c);
    for (const auto& [name, value] : environment) exec.environment.push_back(cat(name, "=", value));
    exec.candidates = candidates(exec.argv.empty() ? "" : exec.argv.front(), environment.at("PATH"));
    const Position at = p.process.command.empty() ? Position{} : p.process.command.front().at;
    std::string text = cat("execute ", shown(exec.argv));
    c.payload.push_back(sandbox_step("exec", at, std::move(text), std::move(exec)));

    Supervision& s = c.plan.supervision;
    s.stop_signal = *p.lifecycle.stop_signal;
    s.grace = *p.lifecycle.grace;
    s.stop_all = p.lifecycle.target == StopTarget::all;
    s.cpu_time = p.lifecycle.cpu_time ? **p.lifecycle.cpu_time : 0;
    s.detached = c.caller.detached;
    s.restart = p.lifecycle.restart;
    s.health = p.lifecycle.healthcheck;
    s.hooks = p.lifecycle.hooks;
    s.logging = p.logging;
    s.network = mode_name(*p.network.mode);
    if (const auto& overlay = p.rootfs.overlay) {
        if (!overlay->upper_is_tmpfs()) s.upper = *overlay->upper;
        for (const Text& lower : overlay->lower) s.lower.push_back(*lower);
    }
    s.timeout = p.lifecycle.timeout ? **p.lifecycle.timeout : 0;
}

}  // namespace sandbox
