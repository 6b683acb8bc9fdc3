// Where a value was written: sources (files, standard input, --set words) and positions in them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandbox {

// A place in a source. Line and column count from 1; line 0 means "not written anywhere" (a default).
struct Position {
    std::uint32_t source = 0;
    std::uint32_t line = 0;
    std::uint32_t column = 0;

    [[nodiscard]] bool known() const { return line != 0; }
    friend bool operator==(const Position&, const Position&) = default;
};

// A value with the place it was written at.
template <class T>
struct At {
    T value{};
    Position at{};

    At() = default;
    At(T v, Position p = {}) : value(std::move(v)), at(p) {}  // implicit: a default is written as a plain value

    const T& operator*() const { return value; }
    T& operator*() { return value; }
    const T* operator->() const { return &value; }
    T* operator->() { return &value; }
    // Equality is of values: where a value was written does not make it another value.
    friend bool operator==(const At& a, const At& b) { return a.value == b.value; }
};

// The texts that positions point into. Owns names and texts; indices stay valid as sources are added.
class Sources {
   public:
    // Returns the index to put into Position::source. `via` is what brought it in: the place that names it, or, with line
    // 0, the source that it changes.
    std::uint32_t add(std::string name, std::string text, std::optional<Position> via = {});
    [[nodiscard]] std::size_t count() const { return sources_.size(); }
    // Name of a source as the user gave it; empty for an unknown index.
    [[nodiscard]] std::string_view name(std::uint32_t source) const;
    [[nodiscard]] std::string_view text(std::uint32_t source) const;
    // The line (from 1) without its end; empty when there is no such line.
    [[nodiscard]] std::string_view line(std::uint32_t source, std::uint32_t line) const;
    // Nothing for a source that came by itself.
    [[nodiscard]] std::optional<Position> via(std::uint32_t source) const;
    // How a source came in, the nearest first: "extended by web.yaml:3:11", "a drop-in of web.yaml".
    [[nodiscard]] std::vector<std::string> describe_way(std::uint32_t source) const;
    // "web.yaml:31:7", or the empty string for a position that is not known.
    [[nodiscard]] std::string describe(Position at) const;

   private:
    struct Source {
        std::string name;
        std::string text;
        std::optional<Position> via;
        std::vector<std::size_t> lines;  // where each begins
    };
    std::vector<Source> sources_;
};

}  // namespace sandbox
