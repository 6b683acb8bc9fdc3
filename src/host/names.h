// Lines of /etc/passwd, /etc/subuid and their like. No NSS: the launcher loads no library.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/facts.h"

namespace sandbox {

struct PasswdEntry {
    std::string name, home;
    std::uint32_t uid = 0;
};

// The entry of `uid`; where several names have it, the one called `preferred`, else the first.
[[nodiscard]] std::optional<PasswdEntry> find_passwd(std::string_view text, std::uint32_t uid, std::string_view preferred);

// The ranges of a user in the text of /etc/subuid or /etc/subgid: lines by name or by number (subuid(5)).
[[nodiscard]] std::vector<FactRange> find_subordinate(std::string_view text, std::string_view user, std::uint32_t uid);

// The text of /proc/PID/uid_map: inside, outside, count.
[[nodiscard]] std::vector<FactRange> parse_id_map(std::string_view text);

}  // namespace sandbox
