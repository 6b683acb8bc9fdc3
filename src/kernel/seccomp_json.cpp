// The seccomp section of an OCI runtime specification (linux.seccomp), and the form that container engines keep their
// profiles in: the same with archMap in place of architectures, and with rules that depend on capabilities, machine and
// kernel.
//
// What a rule means is what runc and crun make of it:
// - a rule with the default action is left out;
// - a name that is no system call is left out, it may be one of another machine or of a newer kernel;
// - conditions of one rule must all hold, unless two are about the same argument: then each stands for itself;
// - a call that no kernel had when this was built is answered with ENOSYS, unless the default is to allow.
// Where two rules hold for one call the stricter wins, which is never wider than libseccomp's choice.
#include <linux/capability.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "kernel/seccomp_policy.h"

namespace sandbox::seccomp {

namespace {

using Json = nlohmann::json;

// A value and where it is: "syscalls[3].args[0].op".
struct Node {
    const Json& value;
    std::string path;

    [[nodiscard]] bool has(const char* key) const {
        const auto found = value.find(key);
        return found != value.end() && !found->is_null();
    }
    [[nodiscard]] Node at(const char* key) const { return {value.at(key), path.empty() ? key : cat(path, '.', key)}; }
    [[nodiscard]] Node at(std::size_t index) const { return {value.at(index), cat(path, '[', index, ']')}; }
};

tl::unexpected<Error> wrong(const Node& node, std::string_view text, std::string hint = {}) {
    return fail(cat(node.path.empty() ? "the seccomp profile" : node.path, ": ", text), std::move(hint));
}

using Names = std::initializer_list<std::string_view>;

std::string near_hint(std::string_view word, std::span<const std::string_view> candidates) {
    const auto near = nearest(word, candidates);
    return near ? cat("did you mean '", *near, "'?") : std::string();
}

Status check_object(const Node& node, Names keys) {
    if (!node.value.is_object()) return wrong(node, "must be an object");
    for (const auto& item : node.value.items())
        if (std::ranges::find(keys, item.key()) == keys.end())
            return fail(cat(node.path.empty() ? "" : node.path, node.path.empty() ? "" : ".", printable(item.key()), ": unknown key"),
                        near_hint(item.key(), keys));
    return {};
}

Result<std::string> read_string(const Node& node) {
    if (!node.value.is_string()) return wrong(node, "must be a string");
    return node.value.get<std::string>();
}

Result<std::uint64_t> read_number(const Node& node, std::uint64_t most = ~0ULL) {
    if (!node.value.is_number_unsigned()) return wrong(node, "must be a whole number that is not negative");
    const auto number = node.value.get<std::uint64_t>();
    if (number > most) return wrong(node, cat("must be at most ", most));
    return number;
}

// An absent list is an empty one.
Result<std::vector<std::string>> read_strings(const Node& parent, const char* key) {
    std::vector<std::string> out;
    if (!parent.has(key)) return out;
    const Node node = parent.at(key);
    if (!node.value.is_array()) return wrong(node, "must be a list");
    for (std::size_t i = 0; i < node.value.size(); ++i) {
        auto text = read_string(node.at(i));
        if (!text) return pass(text);
        out.push_back(std::move(*text));
    }
    return out;
}

// ---- actions

constexpr std::uint64_t largest_errno = 4095;  // the kernel's MAX_ERRNO

Result<std::uint64_t> read_errno_name(const Node& node) {
    const auto name = read_string(node);
    if (!name) return tl::unexpected(name.error());
    for (int number = 1; number < 134; ++number) {
        const char* known = strerrorname_np(number);
        if (known != nullptr && *name == known) return static_cast<std::uint64_t>(number);
    }
    return wrong(node, cat("no error is named ", quote(*name)));
}

// The errno beside an action: as a number, or by name in the form of the container engines.
Result<std::optional<std::uint64_t>> read_errno(const Node& parent, const char* number_key, const char* name_key) {
    if (parent.has(number_key)) {
        const auto number = read_number(parent.at(number_key), largest_errno);
        if (!number) return tl::unexpected(number.error());
        return *number;
    }
    if (!parent.has(name_key) || parent.value.at(name_key) == "") return std::nullopt;
    const auto number = read_errno_name(parent.at(name_key));
    if (!number) return tl::unexpected(number.error());
    return *number;
}

Result<std::uint32_t> read_action(const Node& parent, const char* key, std::optional<std::uint64_t> number, const char* errno_key) {
    struct Action {
        std::string_view name;
        std::uint32_t verdict;
    };
    static constexpr Action actions[] = {
        {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},      {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
        {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD}, {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
        {"SCMP_ACT_LOG", SECCOMP_RET_LOG},          {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
        {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
    };
    if (!parent.has(key)) return wrong(parent, cat("'", key, "' is missing"));
    const auto name = read_string(parent.at(key));
    if (!name) return tl::unexpected(name.error());
    if (*name == "SCMP_ACT_TRACE" || *name == "SCMP_ACT_NOTIFY")
        return wrong(parent.at(key), cat(*name, " is not supported: there is no process to answer it"));
    const auto* action = std::ranges::find(actions, *name, &Action::name);
    if (action == std::end(actions)) {
        std::vector<std::string_view> known;
        for (const Action& a : actions) known.push_back(a.name);
        return wrong(parent.at(key), cat("no action is named ", quote(*name)), near_hint(*name, known));
    }
    if (action->verdict == SECCOMP_RET_ERRNO) return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number.value_or(EPERM));
    // The runtime specification: "when the action doesn't support an errno, the runtime must fail".
    if (number && parent.has(errno_key)) return wrong(parent.at(errno_key), cat(*name, " takes no error number"));
    return action->verdict;
}

// ---- conditions

Result<Condition> read_condition(const Node& node) {
    struct Operator {
        std::string_view name;
        Compare compare;
    };
    static constexpr Operator operators[] = {
        {"SCMP_CMP_EQ", Compare::equal},
        {"SCMP_CMP_NE", Compare::not_equal},
        {"SCMP_CMP_LT", Compare::less},
        {"SCMP_CMP_LE", Compare::less_equal},
        {"SCMP_CMP_GT", Compare::greater},
        {"SCMP_CMP_GE", Compare::greater_equal},
        {"SCMP_CMP_MASKED_EQ", Compare::masked_equal},
    };
    if (auto ok = check_object(node, {"index", "value", "valueTwo", "op"}); !ok) return pass(ok);
    for (const char* key : {"index", "value", "op"})
        if (!node.has(key)) return wrong(node, cat("'", key, "' is missing"));
    const auto index = read_number(node.at("index"), 5);
    if (!index) return tl::unexpected(index.error());
    const auto value = read_number(node.at("value"));
    if (!value) return tl::unexpected(value.error());
    const auto second = node.has("valueTwo") ? read_number(node.at("valueTwo")) : Result<std::uint64_t>(0);
    if (!second) return tl::unexpected(second.error());
    const auto name = read_string(node.at("op"));
    if (!name) return tl::unexpected(name.error());
    const auto* op = std::ranges::find(operators, *name, &Operator::name);
    if (op == std::end(operators)) {
        std::vector<std::string_view> known;
        for (const Operator& o : operators) known.push_back(o.name);
        return wrong(node.at("op"), cat("no comparison is named ", quote(*name)), near_hint(*name, known));
    }
    // The mask comes first: libseccomp's SCMP_CMP_MASKED_EQ is (argument & value) == valueTwo.
    const bool masked = op->compare == Compare::masked_equal;
    return Condition{static_cast<std::uint8_t>(*index), op->compare, false, masked ? *second : *value, masked ? *value : ~0ULL};
}

bool argument_repeats(const std::vector<Condition>& conditions) {
    unsigned seen = 0;
    for (const Condition& c : conditions) {
        if ((seen >> c.argument & 1) != 0) return true;
        seen |= 1U << c.argument;
    }
    return false;
}

Result<std::vector<Clause>> read_clauses(const Node& rule, std::uint32_t verdict) {
    std::vector<Condition> conditions;
    if (rule.has("args")) {
        const Node args = rule.at("args");
        if (!args.value.is_array()) return wrong(args, "must be a list");
        for (std::size_t i = 0; i < args.value.size(); ++i) {
            const auto condition = read_condition(args.at(i));
            if (!condition) return tl::unexpected(condition.error());
            conditions.push_back(*condition);
        }
    }
    if (!argument_repeats(conditions)) return std::vector<Clause>{{std::move(conditions), verdict}};
    std::vector<Clause> out;
    for (const Condition& c : conditions) out.push_back({{c}, verdict});
    return out;
}

// ---- for whom a rule is

constexpr std::string_view capability_names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
static_assert(std::size(capability_names) == CAP_LAST_CAP + 1);

#if defined(__x86_64__)
constexpr std::string_view native_names[] = {"amd64", "x86_64", "SCMP_ARCH_X86_64"};
#else
constexpr std::string_view native_names[] = {"arm64", "aarch64", "SCMP_ARCH_AARCH64"};
#endif

bool is_native(std::string_view architecture) { return std::ranges::find(native_names, architecture) != std::end(native_names); }

// How many of the listed capabilities the payload has, and of how many.
struct Counted {
    std::size_t held = 0, listed = 0;
};
Result<Counted> count_capabilities(const Node& filter, std::uint64_t held) {
    const auto names = read_strings(filter, "caps");
    if (!names) return tl::unexpected(names.error());
    Counted out{0, names->size()};
    for (std::size_t i = 0; i < names->size(); ++i) {
        const auto* known = std::ranges::find(capability_names, (*names)[i]);
        if (known == std::end(capability_names))
            return wrong(filter.at("caps").at(i), cat("no capability is named ", quote((*names)[i])),
                         near_hint((*names)[i], capability_names));
        out.held += held >> (known - capability_names) & 1;
    }
    return out;
}

// Whether the running kernel is at least "4.8".
Result<bool> kernel_reaches(const Node& node, const SeccompRequest& request) {
    const auto text = read_string(node);
    if (!text) return tl::unexpected(text.error());
    const auto parts = split(*text, '.');
    const auto major = parse_id(parts[0]), minor = parts.size() == 2 ? parse_id(parts[1]) : std::nullopt;
    if (!major || !minor) return wrong(node, cat("must be a kernel version such as 4.8, not ", quote(*text)));
    return std::pair<std::int64_t, std::int64_t>(request.kernel_major, request.kernel_minor) >=
           std::pair<std::int64_t, std::int64_t>(*major, *minor);
}

struct Matches {
    bool any = false, all = true;
};
// Which of the things named in "includes" or "excludes" are so.
Result<Matches> match(const Node& rule, const char* key, const SeccompRequest& request) {
    Matches out;
    if (!rule.has(key)) return out;
    const Node filter = rule.at(key);
    if (auto ok = check_object(filter, {"caps", "arches", "minKernel"}); !ok) return pass(ok);
    const auto note = [&out](bool so) { out = {out.any || so, out.all && so}; };
    const auto caps = count_capabilities(filter, request.capabilities);
    if (!caps) return tl::unexpected(caps.error());
    if (caps->listed != 0) out = {caps->held != 0, caps->held == caps->listed};
    const auto arches = read_strings(filter, "arches");
    if (!arches) return tl::unexpected(arches.error());
    if (!arches->empty()) note(std::ranges::any_of(*arches, is_native));
    if (filter.has("minKernel") && filter.value.at("minKernel") != "") {
        const auto reached = kernel_reaches(filter.at("minKernel"), request);
        if (!reached) return tl::unexpected(reached.error());
        note(*reached);
    }
    return out;
}

// ---- rules

using Clauses = std::vector<std::vector<Clause>>;  // for each Call

Result<std::vector<std::string>> read_names(const Node& rule) {
    auto names = read_strings(rule, "names");
    if (!names) return names;
    if (rule.has("name")) {
        if (!names->empty()) return wrong(rule, "'name' and 'names' cannot be given both");
        auto name = read_string(rule.at("name"));
        if (!name) return pass(name);
        names->push_back(std::move(*name));
    }
    if (names->empty()) return wrong(rule, "'names' is missing or empty");
    return names;
}

Status read_rule(const Node& rule, std::uint32_t default_verdict, const SeccompRequest& request, Clauses& out) {
    if (auto ok = check_object(rule, {"names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"}); !ok)
        return ok;
    const auto names = read_names(rule);
    if (!names) return tl::unexpected(names.error());
    const auto number = read_errno(rule, "errnoRet", "errno");
    if (!number) return tl::unexpected(number.error());
    const auto verdict = read_action(rule, "action", *number, "errnoRet");
    if (!verdict) return tl::unexpected(verdict.error());
    const auto clauses = read_clauses(rule, *verdict);
    if (!clauses) return tl::unexpected(clauses.error());
    const auto includes = match(rule, "includes", request);
    if (!includes) return tl::unexpected(includes.error());
    const auto excludes = match(rule, "excludes", request);
    if (!excludes) return tl::unexpected(excludes.error());
    if (!includes->all || excludes->any || *verdict == default_verdict) return {};
    for (const std::string& name : *names) {
        if (name.starts_with('@')) continue;  // a group is ours, not the format's
        for (const Call call : find_calls(name)) out[call].insert(out[call].end(), clauses->begin(), clauses->end());
    }
    return {};
}

Behaviour make_behaviour(std::vector<Clause> clauses, std::uint32_t default_verdict) {
    std::ranges::stable_sort(clauses, {}, [](const Clause& c) { return strictness(c.verdict); });
    const auto always = std::ranges::find_if(clauses, [](const Clause& c) { return c.conditions.empty(); });
    const std::uint32_t otherwise = always == clauses.end() ? default_verdict : always->verdict;
    clauses.erase(always, clauses.end());
    return {std::move(clauses), otherwise};
}

// ---- architectures

constexpr std::string_view architecture_names[] = {
    "SCMP_ARCH_X86_64",  "SCMP_ARCH_X86",         "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",      "SCMP_ARCH_X32",         "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",  "SCMP_ARCH_MIPS64N32",   "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",     "SCMP_ARCH_S390",    "SCMP_ARCH_S390X",    "SCMP_ARCH_PARISC",      "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",    "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB",        "SCMP_ARCH_NATIVE",
};

// The names of a list of architectures; those that are machines of ours stand first in architecture_names.
Status decide(const Node& parent, const char* key, bool applies, std::array<bool, machine_count>& decided) {
    const auto names = read_strings(parent, key);
    if (!names) return tl::unexpected(names.error());
    for (std::size_t i = 0; i < names->size(); ++i) {
        const auto* known = std::ranges::find(architecture_names, (*names)[i]);
        if (known == std::end(architecture_names))
            return wrong(parent.at(key).at(i), cat("no architecture is named ", quote((*names)[i])),
                         near_hint((*names)[i], architecture_names));
        const auto index = static_cast<std::size_t>(known - architecture_names);
        if (applies && index < decided.size()) decided[index] = true;
    }
    return {};
}

Status read_architectures(const Node& root, std::array<bool, machine_count>& decided) {
    decided.fill(false);
    decided[static_cast<std::size_t>(native_machines[0])] = true;
    if (root.has("architectures") && root.has("archMap")) return wrong(root, "'architectures' and 'archMap' cannot be given both");
    if (auto ok = decide(root, "architectures", true, decided); !ok) return ok;
    if (!root.has("archMap")) return {};
    const Node map = root.at("archMap");
    if (!map.value.is_array()) return wrong(map, "must be a list");
    for (std::size_t i = 0; i < map.value.size(); ++i) {
        const Node entry = map.at(i);
        if (auto ok = check_object(entry, {"architecture", "subArchitectures"}); !ok) return ok;
        if (!entry.has("architecture")) return wrong(entry, "'architecture' is missing");
        const auto name = read_string(entry.at("architecture"));
        if (!name) return tl::unexpected(name.error());
        if (auto ok = decide(entry, "subArchitectures", is_native(*name), decided); !ok) return ok;
    }
    return {};
}

Status refuse_unsupported(const Node& root) {
    for (const char* key : {"listenerPath", "listenerMetadata"})
        if (root.has(key)) return wrong(root.at(key), "is not supported: there is no process to answer notifications");
    const auto flags = read_strings(root, "flags");
    if (!flags) return tl::unexpected(flags.error());
    for (std::size_t i = 0; i < flags->size(); ++i)
        // One thread installs the filter: there is none to bring into line with it.
        if ((*flags)[i] != "SECCOMP_FILTER_FLAG_TSYNC")
            return wrong(root.at("flags").at(i), cat(quote((*flags)[i]), " is not supported"),
                         (*flags)[i] == "SECCOMP_FILTER_FLAG_LOG" ? "use security.seccomp.log" : "");
    return {};
}

Result<Policy> read_policy(const Node& root, const SeccompRequest& request) {
    if (auto ok = check_object(root, {"defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "flags",
                                      "listenerPath", "listenerMetadata", "syscalls"});
        !ok)
        return pass(ok);
    if (auto ok = refuse_unsupported(root); !ok) return pass(ok);
    const auto number = read_errno(root, "defaultErrnoRet", "defaultErrno");
    if (!number) return tl::unexpected(number.error());
    const auto verdict = read_action(root, "defaultAction", *number, "defaultErrnoRet");
    if (!verdict) return tl::unexpected(verdict.error());
    Policy policy(*verdict);
    if (strictness(*verdict) >= strictness(SECCOMP_RET_LOG)) policy.unknown = *verdict;
    if (auto ok = read_architectures(root, policy.decided); !ok) return pass(ok);
    Clauses clauses(system_calls().size());
    if (root.has("syscalls")) {
        const Node rules = root.at("syscalls");
        if (!rules.value.is_array()) return wrong(rules, "must be a list");
        for (std::size_t i = 0; i < rules.value.size(); ++i)
            if (auto ok = read_rule(rules.at(i), *verdict, request, clauses); !ok) return pass(ok);
    }
    std::vector<Call> ruled;
    for (std::size_t i = 0; i < clauses.size(); ++i) {
        if (clauses[i].empty()) continue;
        ruled.push_back(static_cast<Call>(i));
        policy.set({&ruled.back(), 1}, make_behaviour(std::move(clauses[i]), *verdict));
    }
    close_multiplexers(policy, ruled);
    return policy;
}

// Where the byte of this number is, counted from 1: "line 3, column 7".
std::string place_of(std::string_view text, std::size_t byte) {
    const std::string_view before = text.substr(0, byte > 0 ? byte - 1 : 0);
    const auto line = std::ranges::count(before, '\n') + 1;
    const auto begin = before.rfind('\n');
    return cat("line ", line, ", column ", before.size() - (begin == std::string_view::npos ? 0 : begin + 1) + 1);
}

}  // namespace

Result<Policy> json_policy(const SeccompRequest& request) {
    try {
        const Json text = Json::parse(request.json);
        return read_policy({text, ""}, request);
    } catch (const Json::parse_error& error) {
        return fail(cat("the seccomp profile is not JSON: ", place_of(request.json, error.byte), " is not expected there"));
    } catch (const Json::exception& error) {
        return fail(cat("the seccomp profile cannot be read: ", lower(error.what())));
    }
}

}  // namespace sandbox::seccomp
