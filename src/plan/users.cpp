// Names of users and groups, read from the text of the sandbox's own passwd and group: no NSS, nothing of the root is
// loaded or run (CVE-2019-14271).

#include <optional>

#include "plan/context.h"

namespace sandbox {
namespace {

struct Entry {
    std::string name;
    std::uint32_t id = 0, gid = 0;
    std::string home;
};

// passwd(5): name:password:uid:gid:gecos:home:shell. A line that is not of the form is passed over.
std::optional<Entry> find_user(std::string_view text, std::string_view name, std::optional<std::uint32_t> id) {
    for (const std::string_view line : split(text, '\n')) {
        const auto parts = split(line, ':');
        if (parts.size() < 6) continue;
        const auto uid = parse_id(parts[2]), gid = parse_id(parts[3]);
        if (!uid || !gid || (id ? *uid != *id : parts[0] != name)) continue;
        return Entry{std::string(parts[0]), *uid, *gid, std::string(parts[5])};
    }
    return std::nullopt;
}

// group(5): name:password:gid:members
std::optional<std::uint32_t> find_group(std::string_view text, std::string_view name) {
    for (const std::string_view line : split(text, '\n')) {
        const auto parts = split(line, ':');
        if (parts.size() >= 3 && parts[0] == name) return parse_id(parts[2]);
    }
    return std::nullopt;
}

std::vector<std::uint32_t> groups_of(std::string_view text, std::string_view user) {
    std::vector<std::uint32_t> groups;
    for (const std::string_view line : split(text, '\n')) {
        const auto parts = split(line, ':');
        if (parts.size() < 4) continue;
        for (const std::string_view member : split(parts[3], ','))
            if (const auto gid = parse_id(parts[2]); member == user && gid) groups.push_back(*gid);
    }
    return groups;
}

// What an image's file says may go into the environment, or nothing: a zero byte would end it early.
std::string in_environment(const std::string& text) { return text.find('\0') == std::string::npos ? text : std::string(); }

}  // namespace

UserFacts look_up_user(const Profile& profile, const HostFacts& facts, Mistake* mistake) {
    UserFacts user;
    const std::string_view written = *profile.process.user;
    const auto colon = written.find(':');
    const std::string_view name = written.substr(0, colon);
    const auto id = parse_id(name);
    if (const auto entry = find_user(facts.passwd, name, id)) {
        user = {entry->id, entry->gid, {}, in_environment(entry->name), in_environment(entry->home)};
        if (!user.home.starts_with('/')) user.home.clear();
        user.groups = groups_of(facts.group, entry->name);
    } else if (id) {
        user.uid = user.gid = *id;
        if (colon == std::string_view::npos) user.gid = 0;
        if (*id == 0) user.name = "root", user.home = "/root";
    } else if (mistake) {
        *mistake = {cat("no user ", quote(name), " in the sandbox's /etc/passwd"), "process.user", profile.process.user.at};
    }
    if (colon != std::string_view::npos) {
        const std::string_view group = written.substr(colon + 1);
        auto gid = parse_id(group);
        if (!gid) gid = find_group(facts.group, group);
        if (gid)
            user.gid = *gid;
        else if (mistake)
            *mistake = {cat("no group ", quote(group), " in the sandbox's /etc/group"), "process.user", profile.process.user.at};
    }
    if (!profile.process.groups.empty()) user.groups.clear();
    for (const Text& written_group : profile.process.groups) {
        auto gid = parse_id(*written_group);
        if (!gid) gid = find_group(facts.group, *written_group);
        if (gid)
            user.groups.push_back(*gid);
        else if (mistake)
            *mistake = {cat("no group ", quote(*written_group), " in the sandbox's /etc/group"), "process.groups", written_group.at};
    }
    return user;
}

}  // namespace sandbox
