// What every decoding function shares: where diagnostics go, the path of the key being read, the profile's directory.
#pragma once

#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "profile/node.h"

namespace sandbox {

class Decoder {
   public:
    Decoder(Diagnostics& out, std::string directory) : out_(out), directory_(std::move(directory)) {}

    // Absolute; relative host paths start here.
    [[nodiscard]] const std::string& directory() const { return directory_; }
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
    std::string directory_;
    std::string path_;
};

}  // namespace sandbox
