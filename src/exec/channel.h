// The parent's end of the socket to the child (child/program.h has the records).
#pragma once

#include <optional>
#include <span>

#include "base/error.h"
#include "base/fd.h"
#include "child/program.h"

namespace sandbox {

struct ReceivedRecord {
    Record record{};
    Fd descriptor;  // the terminal's master end, if one came along
};

// Sends a record; descriptors go in groups of 250, each with a record of its own.
[[nodiscard]] Status send_record(int socket, const Record& record, std::span<const int> descriptors = {});

// The next record without waiting; nothing when there is none, or when the other end is gone (then `ended` is set).
[[nodiscard]] std::optional<ReceivedRecord> receive_record(int socket, bool& ended);

}  // namespace sandbox
