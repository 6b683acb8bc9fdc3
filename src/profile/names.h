// The kernel's names: capabilities, signals, resource limits, personalities. Pure tables, no library.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sandbox {

// Indexed by capability number, upper case without CAP_: "CHOWN".
[[nodiscard]] std::span<const std::string_view> capability_names();
// With or without CAP_, any case.
[[nodiscard]] std::optional<int> capability_number(std::string_view name);

// "TERM", "SIGTERM", "RTMIN+3" or a number from 1 to 64, any case.
[[nodiscard]] std::optional<int> signal_number(std::string_view name);
// "TERM"; a number in digits for one without a name. The text belongs to the table or to a static buffer of digits.
[[nodiscard]] std::string_view signal_name(int number);
[[nodiscard]] std::span<const std::string_view> signal_names();  // without the numbers

struct ResourceLimit {
    std::string_view name;  // "nofile"
    int resource;           // RLIMIT_NOFILE
    bool bytes;             // counted in bytes: a size such as 64Mi is understood
};
[[nodiscard]] std::span<const ResourceLimit> resource_limits();

struct Personality {
    std::string_view name;
    unsigned long persona;  // for personality(2)
};
[[nodiscard]] std::span<const Personality> personalities();
[[nodiscard]] std::optional<unsigned long> personality_number(std::string_view name);

}  // namespace sandbox
