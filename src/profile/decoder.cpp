#include "profile/decoder.h"

#include "base/text.h"

namespace sandbox {

void Decoder::error(std::string_view code, const Node& at, std::string message, std::string hint) {
    if (!at.failed) error(code, at.at, at.length, std::move(message), std::move(hint));
}

void Decoder::error(std::string_view code, Position at, std::uint32_t length, std::string message, std::string hint) {
    out_.push_back({std::string(code), Severity::error, at, path_, std::move(message), std::move(hint), length});
}

void Decoder::wrong_type(const Node& found, std::string_view wanted, std::string hint) {
    error("E0202", found, cat("expected ", wanted, ", found ", describe_found(found)), std::move(hint));
}

Decoder::Inside::Inside(Decoder& decoder, std::string_view key) : decoder_(decoder), length_(decoder.path_.size()) {
    if (length_ > 0) decoder.path_ += '.';
    decoder.path_ += printable(key);
}

Decoder::Inside::Inside(Decoder& decoder, std::size_t index) : decoder_(decoder), length_(decoder.path_.size()) {
    decoder.path_ += cat("[", index, "]");
}

}  // namespace sandbox
