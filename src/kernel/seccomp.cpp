#include "kernel/seccomp.h"

#include "base/text.h"
#include "kernel/seccomp_policy.h"

namespace sandbox {

namespace {

using namespace seccomp;

tl::unexpected<Error> fail_unknown(const std::string& name) {
    const bool group = name.starts_with('@');
    std::vector<std::string_view> candidates = group_names();
    if (!group) {
        candidates.clear();
        for (const SystemCall& known : system_calls()) candidates.push_back(known.name);
    }
    const auto near = nearest(name, candidates);
    return fail(cat("no ", group ? "group of system calls" : "system call", " is named ", quote(name)),
                near    ? cat("did you mean '", *near, "'?")
                : group ? "groups are named as in systemd: @network-io"
                        : "see syscalls(2) for the names");
}

Status apply(Policy& policy, const std::vector<std::string>& names, std::uint32_t verdict) {
    for (const std::string& name : names) {
        const std::vector<Call> calls = find_calls(name);
        if (calls.empty()) return fail_unknown(name);
        policy.set(calls, {{}, verdict});
        close_multiplexers(policy, calls);
    }
    return {};
}

Result<Policy> base_policy(const SeccompRequest& request) {
    switch (request.base) {
        case SeccompRequest::Base::default_: return default_policy(request);
        case SeccompRequest::Base::json: return json_policy(request);
        case SeccompRequest::Base::none: break;
    }
    Policy policy(verdict_allow);
    policy.unknown = verdict_allow;
    return policy;
}

}  // namespace

Result<std::vector<sock_filter>> compile_seccomp(const SeccompRequest& request) {
    auto policy = base_policy(request);
    if (!policy) return pass(policy);
    if (auto done = apply(*policy, request.allow, verdict_allow); !done) return pass(done);
    if (auto done = apply(*policy, request.deny, request.deny_action); !done) return pass(done);
    if (request.base == SeccompRequest::Base::none && request.deny.empty()) return std::vector<sock_filter>{};
    return emit(*policy, native_machines);
}

bool known_system_call(std::string_view name) { return !find_calls(name).empty(); }

}  // namespace sandbox
