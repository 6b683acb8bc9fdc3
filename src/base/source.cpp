#include "base/source.h"

#include "base/text.h"

namespace sandbox {

std::uint32_t Sources::add(std::string name, std::string text, std::optional<Position> via) {
    Source& source = sources_.emplace_back(Source{std::move(name), std::move(text), via, {0}});
    for (std::size_t end = 0; (end = source.text.find('\n', end)) != std::string::npos;) source.lines.push_back(++end);
    return static_cast<std::uint32_t>(sources_.size() - 1);
}

std::string_view Sources::name(std::uint32_t source) const {
    return source < sources_.size() ? std::string_view(sources_[source].name) : std::string_view();
}

std::string_view Sources::text(std::uint32_t source) const {
    return source < sources_.size() ? std::string_view(sources_[source].text) : std::string_view();
}

std::string_view Sources::line(std::uint32_t source, std::uint32_t line) const {
    if (source >= sources_.size() || line == 0 || line > sources_[source].lines.size()) return {};
    std::string_view rest = std::string_view(sources_[source].text).substr(sources_[source].lines[line - 1]);
    rest = rest.substr(0, rest.find('\n'));
    if (!rest.empty() && rest.back() == '\r') rest.remove_suffix(1);
    return rest;
}

std::optional<Position> Sources::via(std::uint32_t source) const { return source < sources_.size() ? sources_[source].via : std::nullopt; }

std::vector<std::string> Sources::describe_way(std::uint32_t source) const {
    std::vector<std::string> out;
    for (auto at = via(source); at; at = via(at->source))
        out.push_back(at->known() ? cat("extended by ", describe(*at)) : cat("a drop-in of ", name(at->source)));
    return out;
}

std::string Sources::describe(Position at) const {
    if (!at.known()) return {};
    return cat(name(at.source), ":", at.line, ":", at.column);
}

}  // namespace sandbox
