// Looks beneath the root directory of a sandbox before there is one. The tree may be hostile: its links are followed
// inside it only, and nothing of it is opened for reading unless it is a regular file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

class Root {
   public:
    // What a path leads to: an O_PATH descriptor, or the errno that says why there is none.
    struct Found {
        Fd fd;
        int error = 0;
        std::string path;                 // inside the root, without links; of a link to what is not there: where it leads
        std::vector<std::size_t> layers;  // of a directory of several layers: those that contribute to it
    };

    // One directory, or the layers of an overlay, top first. A layer that is not there holds nothing; an error only when
    // this process has no descriptors left.
    [[nodiscard]] static Result<Root> open(const std::vector<std::string>& layers, bool user_attributes);

    [[nodiscard]] Found find(std::string_view path) const;
    // Whether a directory that was found has no names in it, in any layer. False when that cannot be read.
    [[nodiscard]] bool is_empty(const Found& directory) const;
    // The text of a regular file, cut after the last whole line within `limit` bytes; empty for anything else.
    [[nodiscard]] std::string read(std::string_view path, std::size_t limit) const;

   private:
    struct Directory {
        std::string path;  // relative to the layer, empty for its root
        std::vector<std::size_t> layers;
    };
    [[nodiscard]] Found find_in_one(std::string_view path) const;
    [[nodiscard]] Found find_merged(std::string_view path) const;
    [[nodiscard]] Found look_up(const Directory& parent, std::string_view name) const;
    [[nodiscard]] Found reopen(Directory directory) const;

    std::vector<Fd> layers_;
    std::string prefix_;            // of the paths that the kernel reports for a single layer
    bool user_attributes_ = false;  // overlays mounted with userxattr keep their marks in user.*
};

// Whether `fd` (of a directory, O_PATH will do) has no names in it; false when that cannot be read.
[[nodiscard]] bool is_empty_directory(int fd);

}  // namespace sandbox
