// What every decoding function shares: where diagnostics go, the path of the key being read, where relative paths start.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "profile/node.h"

namespace sandbox {

// Where relative paths start: the folder of the file in which they are written.
class Directories {
   public:
    explicit Directories(std::string profile = {}) : profile_(std::move(profile)) {}
    void set(std::uint32_t source, std::string directory) { of_sources_[source] = std::move(directory); }
    // The profile's own for what came from the command line.
    [[nodiscard]] const std::string& of(Position at) const {
        const auto found = of_sources_.find(at.source);
        return found == of_sources_.end() ? profile_ : found->second;
    }

   private:
    std::string profile_;
    std::map<std::uint32_t, std::string> of_sources_;
};

class Decoder {
   public:
    Decoder(Diagnostics& out, const Directories& directories) : out_(out), directories_(directories) {}

    // Absolute; relative host paths of this node start here.
    [[nodiscard]] const std::string& directory_of(const Node& node) const { return directories_.of(node.at); }
    [[nodiscard]] const std::string& path() const { return path_; }

    void error(std::string_view code, const Node& at, std::string message, std::string hint = {});
    void error(std::string_view code, Position at, std::uint32_t length, std::string message, std::string hint = {});
    // E0202: "expected <wanted>, found <the node>"
    void wrong_type(const Node& found, std::string_view wanted, std::string hint = {});

    // While it lives, the path is one key or one item longer.
    class Inside {
       public:
        Inside(Decoder& decoder, std::string_view key);
        Inside(Decoder& decoder, std::size_t index);
        ~Inside() { decoder_.path_.resize(length_); }
        Inside(const Inside&) = delete;
        Inside& operator=(const Inside&) = delete;

       private:
        Decoder& decoder_;
        std::size_t length_;
    };

   private:
    Diagnostics& out_;
    const Directories& directories_;
    std::string path_;
};

}  // namespace sandbox
