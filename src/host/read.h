// Reads small files of the host whole, bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sandbox {

constexpr std::size_t small_file = 64 * 1024;
constexpr std::size_t database_file = 1024 * 1024;  // /etc/passwd and its like

// What is left of `fd`, at most `limit` bytes of it; nothing if reading fails.
[[nodiscard]] std::optional<std::string> read_rest(int fd, std::size_t limit);
// A file that the host's administrator or the kernel wrote; nothing if it cannot be read.
[[nodiscard]] std::optional<std::string> read_file(const char* path, std::size_t limit = small_file);
// The first line as a number, as the kernel's switches are.
[[nodiscard]] std::optional<std::int64_t> read_number(const char* path);
// Where the link points; empty if it is none.
[[nodiscard]] std::string read_link(int directory, const char* path);
// The names in the directory `fd` (opened for reading) without "." and "..", at most `limit`; nothing if it cannot be read.
[[nodiscard]] std::optional<std::vector<std::string>> read_names(int fd, std::size_t limit);

}  // namespace sandbox
