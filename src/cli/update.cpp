// sandbox update

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/counters.h"
#include "plan/limits_change.h"

namespace sandbox {
namespace {

// ---- what is asked for

std::optional<Error> refuse_word(const std::string& word) {
    const std::string key = word.substr(0, word.find('='));
    if (key.starts_with("resources.") || key.starts_with("cgroup.raw.")) return std::nullopt;
    return Error{cat(quote(printable(key)), " cannot be changed while the sandbox runs"),
                 "update sets resources.KEY=VALUE and cgroup.raw.v1.FILE=VALUE or cgroup.raw.v2.FILE=VALUE; anything else takes a start",
                 0,
                 {},
                 {}};
}

Loaded load_stored(const std::string& name, const std::string& text, const std::vector<std::string>& set) {
    LoadRequest request;
    request.profile.file = {cat("<profile of ", name, ">"), text, "/"};
    request.stem = request.name_override = name;
    request.set = set;
    return load_profile(request);
}

Result<HostFacts> probe_groups(const Profile& profile) {
    const FactNeeds needs = fact_needs(profile);
    ProbeRequest request;
    request.cgroups = request.cgroup_files = true;
    request.disk_paths = needs.disk_paths;
    return probe(request);
}

// v1 has no file for it: the supervisor kills or pauses, as it was told at its start.
bool changes_supervisor(const Profile& before, const Profile& after, const HostFacts& facts) {
    const CgroupFact* tree = tree_of(facts, "memory");
    return *before.resources.memory.oom != *after.resources.memory.oom && tree && tree->version == CgroupVersion::v1;
}

struct Wanted {
    std::vector<Setting> changes;
    std::string effective;  // the profile with them
};

// What there is to say has been said.
std::optional<Wanted> decide(const std::string& name, const std::string& text, const std::vector<std::string>& set) {
    const Loaded before = load_stored(name, text, {});
    Loaded after = load_stored(name, text, set);
    Result<HostFacts> facts;
    if (!has_errors(after.diagnostics)) {
        facts = probe_groups(after.profile);
        if (!facts) return print(facts.error()), std::nullopt;
        for (Diagnostic& d : check_resources(after.profile, *facts)) after.diagnostics.push_back(std::move(d));
    }
    print(after.diagnostics, after.sources);
    if (has_errors(after.diagnostics)) return std::nullopt;
    if (changes_supervisor(before.profile, after.profile, *facts)) {
        print(Error{"resources.memory.oom cannot be changed while the sandbox runs: with cgroup v1 its supervisor sees to it",
                    "change its profile and start it again",
                    0,
                    after.profile.resources.memory.oom.at,
                    {}},
              after.sources);
        return std::nullopt;
    }
    auto changes = limit_changes(translate_limits(before.profile, *facts), translate_limits(after.profile, *facts));
    if (!changes) return print(changes.error(), after.sources), std::nullopt;
    return Wanted{std::move(*changes), profile_to_yaml(after.profile)};
}

// ---- writing it

struct Change {
    Setting setting;
    int group = -1;
    std::string before;  // what takes it back
};

// The line of the setting's device; the whole text of a file that has one value.
std::string value_before(const Setting& setting, const std::string& text) {
    const std::string subject = subject_of(setting);
    if (subject.empty()) return std::string(trim(text));
    for (const std::string_view line : split(text, '\n'))
        if (line.starts_with(cat(subject, " "))) return std::string(line);
    return no_limit_of(setting).value_or("");
}

Result<Change> prepare(const std::string& name, const GroupSet& groups, const Setting& setting) {
    const GroupSet::Member* member = groups.find(setting.controller);
    if (!member)
        return fail(cat(setting.key, ": sandbox ", quote(name), " has no control group of ", setting.controller),
                    cat("it was started without a limit of it: stop it, add ", setting.key, " to its profile, and start that"));
    const auto text = read_group(member->folder.get(), setting.file.c_str());
    if (!text && text.error().number == ENOENT)
        return fail(cat(setting.key, ": the group ", member->path, " has no ", setting.file),
                    "the tree of control groups has changed since it was started: start it again");
    return Change{setting, member->folder.get(), text ? value_before(setting, *text) : std::string()};
}

// cgroup v2 does not refuse a limit below what is in use, but kills to get there.
Status check_room(const Change& change) {
    if (change.setting.file != "memory.max" || change.setting.value == "max") return {};
    const std::uint64_t used =
        group_number(change.group, "memory.stat", "anon").value_or(0) + group_number(change.group, "memory.stat", "shmem").value_or(0);
    const auto wanted = parse_int(change.setting.value);
    if (!wanted || used <= static_cast<std::uint64_t>(*wanted)) return {};
    return fail(cat(change.setting.key, ": the sandbox's programs use ", rounded_size(used), " of memory already"),
                "a limit below that would kill them");
}

// The kernel holds some settings against each other: memory.limit_in_bytes may never be above memory.memsw.limit_in_bytes, a burst
// never above its quota. Which has to go first depends on the direction: what is refused for that is tried again after the others.
// What has been written is in `done`, in order.
Status write_each(std::vector<Change> left, std::vector<Change>& done) {
    while (!left.empty()) {
        std::vector<Change> refused;
        std::optional<Error> first;
        for (Change& change : left) {
            auto written = write_group(change.group, change.setting.file, change.setting.value);
            if (written) {
                done.push_back(std::move(change));
                continue;
            }
            const bool for_good = written.error().number != EINVAL;
            if (!first || for_good) first = std::move(written.error()).with(change.setting.key);
            if (for_good) return tl::unexpected<Error>(std::move(*first));
            refused.push_back(std::move(change));
        }
        if (refused.size() == left.size()) return tl::unexpected<Error>(std::move(*first));
        left = std::move(refused);
    }
    return {};
}

void take_back(const std::vector<Change>& done, Error& cause) {
    std::vector<Change> back, again;
    for (auto change = done.rbegin(); change != done.rend(); ++change) {
        back.push_back(*change);
        back.back().setting.value = change->before;
    }
    if (auto written = write_each(std::move(back), again); !written) cause.also.push_back(written.error().message);
}

// For the next start, and for a restart by the supervisor, which has its plan already.
Status store(int folder, const std::vector<Change>& done, const std::string& effective) {
    auto limits = read_limits(folder);
    if (!limits) return pass(limits);
    const std::vector<LimitRecord> before = *limits;
    for (const Change& change : done) limits->push_back({change.setting.controller, change.setting.file, change.setting.value});
    if (auto written = write_limits(folder, *limits); !written) return written;
    auto stored = replace_file(folder, "profile.yaml", effective);
    if (!stored)
        if (auto back = write_limits(folder, before); !back) stored.error().also.push_back(back.error().message);
    return stored;
}

// All of it or nothing.
Status apply(const Found& found, const Wanted& wanted) {
    const GroupSet groups = open_groups(found.status);
    std::vector<Change> changes, done;
    for (const Setting& setting : wanted.changes) {
        auto change = prepare(found.status.name, groups, setting);
        if (!change) return pass(change);
        if (auto room = check_room(*change); !room) return room;
        changes.push_back(std::move(*change));
    }
    auto status = write_each(std::move(changes), done);
    if (status) status = store(found.folder.get(), done, wanted.effective);
    if (!status) take_back(done, status.error());
    return status;
}

// Two at once would each store what the other does not know of. The lock goes with the descriptor.
Result<Fd> lock_updates(int folder) {
    Fd lock(openat(folder, "update.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock) return fail_errno("update.lock", errno);
    int locked;
    do locked = flock(lock.get(), LOCK_EX);
    while (locked != 0 && errno == EINTR);
    if (locked != 0) return fail_errno("lock update.lock", errno);
    return lock;
}

Result<std::string> stored_profile(const Found& found) {
    if (auto kept = keep_profile(found); !kept) return pass(kept);
    auto text = read_file_in(found.folder.get(), "profile.yaml");
    if (text || text.error().number != ENOENT) return text;
    return fail(cat("sandbox ", quote(found.status.name), " has not kept its profile, so what it has now is not known"),
                "one that runs in the foreground of an older version cannot be updated");
}

}  // namespace

int verb_update(const std::string& name, const std::vector<std::string>& set) {
    if (set.empty()) {
        print(Error{"update needs a --set KEY=VALUE", "for example: --set resources.memory.max=1Gi", 0, {}, {}});
        return exit_launcher;
    }
    for (const std::string& word : set)
        if (const auto error = refuse_word(word)) return print(*error), exit_launcher;
    auto found = find_living(name);
    if (!found) return print(found.error()), exit_launcher;
    const auto lock = lock_updates(found->folder.get());
    if (!lock) return print(lock.error()), exit_launcher;
    // It may have ended, or have been started again, while the lock was somebody else's.
    found = find_living(name);
    if (!found) return print(found.error()), exit_launcher;
    if (found->status.phase == SandboxPhase::creating || found->status.phase == SandboxPhase::restarting) {
        print(Error{cat("sandbox ", quote(name), " is ", phase_name(found->status.phase)), "try again in a moment", 0, {}, {}});
        return exit_launcher;
    }
    const auto text = stored_profile(*found);
    if (!text) return print(text.error()), exit_launcher;
    const auto wanted = decide(name, *text, set);
    if (!wanted) return exit_launcher;
    if (auto done = apply(*found, *wanted); !done) return print(done.error()), exit_launcher;
    return 0;
}

}  // namespace sandbox
