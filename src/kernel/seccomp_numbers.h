// The table of system calls as a constant, so that our own lists are resolved by the compiler: a name that is misspelt
// there does not build. Only for the files of seccomp; others use system_calls().
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "kernel/seccomp_policy.h"

namespace sandbox::seccomp {

inline constexpr auto call_table = std::to_array<SystemCall>({
#include "seccomp_numbers.inc"
});
static_assert(std::ranges::is_sorted(call_table, {}, &SystemCall::name));
static_assert(call_table.size() < 0xFFFF);

constexpr Call no_call = 0xFFFF;

constexpr Call search_call(std::string_view name) {
    const auto found = std::ranges::lower_bound(call_table, name, {}, &SystemCall::name);
    return found != call_table.end() && found->name == name ? static_cast<Call>(found - call_table.begin()) : no_call;
}

// Visits the words of a list that is separated by single blanks.
template <class Visit>
constexpr void each_word(std::string_view list, Visit visit) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(' '), list.size());
        visit(list.substr(0, end));
        list.remove_prefix(std::min(end + 1, list.size()));
    }
}

template <std::size_t N>
struct Words {
    std::array<char, N - 1> text{};
    consteval Words(const char (&words)[N]) { std::copy_n(words, N - 1, text.begin()); }  // implicit: written as a plain string
    [[nodiscard]] constexpr std::string_view view() const { return {text.data(), text.size()}; }
    [[nodiscard]] constexpr std::size_t count() const {
        std::size_t out = 1;
        for (const char c : text) out += c == ' ' ? 1 : 0;
        return out;
    }
};

// The calls of a list of names in our own sources.
template <Words words>
consteval auto calls() {
    // With -fsanitize=undefined the address of a template argument is no constant to GCC, that of a copy is.
    const auto copy = words;
    std::array<Call, words.count()> out{};
    std::size_t next = 0;
    each_word(copy.view(), [&](std::string_view name) { out[next++] = search_call(name); });
    if (std::ranges::count(out, no_call) != 0) throw "a name in this list is no system call";
    return out;
}

}  // namespace sandbox::seccomp
