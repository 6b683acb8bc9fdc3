// Names of file systems.
#pragma once

#include <cstdint>
#include <string>

namespace sandbox {

// The name of the file system with this magic number (statfs(2)), or the number as "0x1021994".
[[nodiscard]] std::string filesystem_name(std::uint32_t magic);

}  // namespace sandbox
