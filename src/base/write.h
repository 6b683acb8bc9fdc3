// Text to a descriptor.
#pragma once

#include <string_view>

namespace sandbox {

// All of it. What cannot be written (a reader that has gone, a full disk) is given up without a word: for messages and reports.
void write_all(int fd, std::string_view text);

}  // namespace sandbox
