// Names, clocks, kernel parameters, loopback and keyring of the sandbox.

#include "plan/context.h"

namespace sandbox {
namespace {

std::string as_path(std::string_view key) {
    std::string path(key);
    // sysctl(8): dots separate, unless slashes do (then dots belong to names, as in net/ipv4/conf/eth0.1).
    if (path.find('/') == std::string::npos)
        for (char& ch : path)
            if (ch == '.') ch = '/';
    return path;
}

void plan_time(Context& c) {
    const Profile& p = c.profile;
    if (!is_private(p.namespaces.time)) return;
    step::TimeOffsets offsets;
    if (p.time.monotonic) offsets.monotonic = **p.time.monotonic;
    if (p.time.boottime) offsets.boottime = **p.time.boottime;
    const Position at = p.time.boottime ? p.time.boottime->at : p.time.monotonic ? p.time.monotonic->at : p.namespaces.time.mode.at;
    c.setup.push_back(sandbox_step("time", at, "make a time namespace with its offsets", offsets));
}

void plan_sysctl(Context& c) {
    if (c.profile.sysctl.empty()) return;
    Slot proc = c.proc;
    if (proc == no_slot || *c.profile.proc.mode == ProcMode::inherit) {
        proc = c.slot();
        c.setup.push_back(sandbox_step("sysctl.proc", {}, "make a proc file system to write kernel parameters in",
                                       step::NewFilesystem{proc, "proc", {}, 0}));
    }
    for (const auto& [key, value] : c.profile.sysctl)
        c.setup.push_back(
            sandbox_step(cat("sysctl:", key), value.at, cat("set ", key, " = ", *value), step::Sysctl{proc, as_path(key), *value}));
}

}  // namespace

void plan_names(Context& c) {
    const Profile& p = c.profile;
    if (is_private(p.namespaces.uts)) {
        c.setup.push_back(
            sandbox_step("hostname", p.hostname.at, cat("set the host name to ", *p.hostname), step::SetHostname{*p.hostname}));
        if (p.domainname)
            c.setup.push_back(sandbox_step("domainname", p.domainname->at, cat("set the domain name to ", **p.domainname),
                                           step::SetDomainname{**p.domainname}));
    }
    if (makes_network(p))
        c.setup.push_back(sandbox_step("network.lo", p.network.mode.at, "bring the loopback interface up", step::LoopbackUp{}));
    plan_time(c);
    plan_sysctl(c);
    plan_keyring(c);
}

void plan_keyring(Context& c) {
    if (c.profile.security.new_keyring && c.facts.keyring)
        c.setup.push_back(sandbox_step("keyring", {}, "join a new session keyring", step::NewKeyring{cat("sandbox.", c.plan.name)}));
}

}  // namespace sandbox
