#include <algorithm>
#include <limits>
#include <optional>

#include "base/text.h"
#include "host/probe.h"

namespace sandbox {
namespace {

bool octal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes blank, tab, end of line, '#' and backslash as a backslash and three octal digits (seq_path, mangle).
std::string unescape(std::string_view field) {
    std::string out;
    out.reserve(field.size());
    for (std::size_t i = 0; i < field.size(); ++i) {
        const bool escape = field[i] == '\\' && field.size() - i > 3 && field[i + 1] <= '3' && octal(field[i + 1]) && octal(field[i + 2]) &&
                            octal(field[i + 3]);
        if (escape) {
            out += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
            i += 3;
        } else {
            out += field[i];
        }
    }
    return out;
}

std::optional<int> parse_mount_id(std::string_view field) {
    const auto number = parse_int(field);
    if (!number || *number < 0 || *number > std::numeric_limits<int>::max()) return std::nullopt;
    return static_cast<int>(*number);
}

// 36 35 98:0 /root /target rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue
// Any number of optional fields stands before the "-". A source may be empty, which leaves two blanks in a row.
std::optional<MountInfo> parse_mount(std::string_view line) {
    const auto fields = split(line, ' ');
    if (fields.size() < 9) return std::nullopt;
    const auto id = parse_mount_id(fields[0]), parent = parse_mount_id(fields[1]);
    const auto dash = std::find(fields.begin() + 6, fields.end(), "-");
    if (!id || !parent || fields.end() - dash < 3 || !fields[4].starts_with('/')) return std::nullopt;
    MountInfo mount;
    mount.id = *id;
    mount.parent = *parent;
    mount.root = unescape(fields[3]);
    mount.target = unescape(fields[4]);
    mount.options = fields[5];
    mount.filesystem = unescape(dash[1]);
    mount.source = unescape(dash[2]);
    if (fields.end() - dash > 3) mount.super_options = unescape(dash[3]);
    return mount;
}

}  // namespace

std::vector<MountInfo> parse_mountinfo(std::string_view text) {
    std::vector<MountInfo> mounts;
    for (const std::string_view line : split(text, '\n'))
        if (auto mount = parse_mount(line)) mounts.push_back(std::move(*mount));
    return mounts;
}

}  // namespace sandbox
