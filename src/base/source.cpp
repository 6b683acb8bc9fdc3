#include "base/source.h"

#include "base/text.h"

namespace sandbox {

std::uint32_t Sources::add(std::string name, std::string text) {
    sources_.push_back({std::move(name), std::move(text)});
    return static_cast<std::uint32_t>(sources_.size() - 1);
}

std::string_view Sources::name(std::uint32_t source) const {
    return source < sources_.size() ? std::string_view(sources_[source].name) : std::string_view();
}

std::string_view Sources::text(std::uint32_t source) const {
    return source < sources_.size() ? std::string_view(sources_[source].text) : std::string_view();
}

std::string_view Sources::line(std::uint32_t source, std::uint32_t line) const {
    std::string_view rest = text(source);
    for (std::uint32_t n = 1; n < line; ++n) {
        const auto end = rest.find('\n');
        if (end == std::string_view::npos) return {};
        rest.remove_prefix(end + 1);
    }
    rest = rest.substr(0, rest.find('\n'));
    if (!rest.empty() && rest.back() == '\r') rest.remove_suffix(1);
    return rest;
}

std::string Sources::describe(Position at) const {
    if (!at.known()) return {};
    return cat(name(at.source), ":", at.line, ":", at.column);
}

}  // namespace sandbox
