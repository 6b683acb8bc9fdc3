#include "profile/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <unordered_set>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::size_t depth_limit = 32;
constexpr std::size_t node_limit = 100'000;
constexpr std::size_t byte_limit = 8 << 20;  // of all scalars after aliases are expanded

// Leaves the library's parser from inside an event; it never leaves this file.
struct Refused {
    Diagnostic why;
};

struct Size {
    std::size_t nodes = 0, bytes = 0, depth = 0;
};

Size measure(const Node& node) {
    Size size{1, node.text.size(), 1};
    const auto take = [&](const Node& inner, std::size_t key) {
        const Size part = measure(inner);
        size.nodes += part.nodes;
        size.bytes += part.bytes + key;
        size.depth = std::max(size.depth, part.depth + 1);
    };
    for (const Node& item : node.items) take(item, 0);
    for (const Node::Entry& entry : node.entries) take(entry.value, entry.key.size());
    return size;
}

class Builder final : public YAML::EventHandler {
   public:
    Builder(TextOrigin origin, Diagnostics& out) : origin_(origin), out_(out) {}

    Node root;

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (documents_++ > 0) refuse("E0107", place(mark), "a second document begins here", "a profile is one YAML document: remove '---'");
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        Node node;
        node.at = place(mark);
        put(std::move(node), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) refuse("E0114", place(mark), "an alias inside its own anchor would never end", "write the value out");
        const Anchored& anchored = found->second;
        count(anchored.size, place(mark));
        if (open_.size() + anchored.size.depth > depth_limit) refuse_depth(place(mark));
        put(anchored.node, 0, place(mark));
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
        const Position at = place(mark);
        accept_tag(tag, "tag:yaml.org,2002:str", at);
        if (!valid_utf8(value))
            refuse("E0104", at, "an escape in this value gives a zero byte or no valid character",
                   "text cannot hold it; use 'source' for files");
        Node node;
        node.kind = NodeKind::scalar;
        node.plain = tag == "?";
        node.at = at;
        node.length =
            static_cast<std::uint32_t>(std::clamp<std::size_t>(value.find('\n') == std::string::npos ? value.size() : 1, 1, 200)) +
            (node.plain ? 0 : 2);
        node.text = value;
        count({1, value.size(), 1}, at);
        put(std::move(node), anchor);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        open(NodeKind::sequence, mark, tag, "tag:yaml.org,2002:seq", anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        open(NodeKind::map, mark, tag, "tag:yaml.org,2002:map", anchor);
    }
    void OnMapEnd() override { close(); }

   private:
    struct Open {
        Node node;
        YAML::anchor_t anchor = 0;
        bool has_key = false;  // a key was read, its value comes next
        Node key;
        std::unordered_set<std::string> seen;  // for maps that are too large to be searched
    };
    struct Anchored {
        Node node;
        Size size;
    };

    TextOrigin origin_;
    Diagnostics& out_;
    std::vector<Open> open_;
    std::map<YAML::anchor_t, Anchored> anchors_;
    std::size_t documents_ = 0, nodes_ = 0, bytes_ = 0;

    Position place(const YAML::Mark& mark) const {
        const auto line = static_cast<std::uint32_t>(std::max(mark.line, 0)), column = static_cast<std::uint32_t>(std::max(mark.column, 0));
        return {origin_.source, line + 1, line == 0 ? column + origin_.column : column + 1};
    }

    [[noreturn]] static void refuse(std::string code, Position at, std::string message, std::string hint, std::uint32_t length = 1) {
        throw Refused{{std::move(code), Severity::error, at, "", std::move(message), std::move(hint), length}};
    }
    [[noreturn]] static void refuse_depth(Position at) {
        refuse("E0111", at, cat("nested deeper than ", depth_limit, " levels"), "no profile needs that; flatten it");
    }

    static void accept_tag(const std::string& tag, std::string_view core, Position at) {
        if (tag == "?" || tag == "!" || tag == core) return;
        refuse("E0110", at, cat("the tag ", quote(tag), " is not allowed"),
               "profiles have no tags: remove it, and quote the value if it is text");
    }

    void count(const Size& size, Position at) {
        nodes_ += size.nodes;
        bytes_ += size.bytes;
        if (nodes_ > node_limit)
            refuse("E0112", at, cat("more than ", node_limit, " values after aliases are expanded"), "this looks like an alias bomb");
        if (bytes_ > byte_limit)
            refuse("E0112", at, cat("more than ", byte_limit >> 20, " MiB of text after aliases are expanded"),
                   "this looks like an alias bomb");
    }

    void open(NodeKind kind, const YAML::Mark& mark, const std::string& tag, std::string_view core, YAML::anchor_t anchor) {
        const Position at = place(mark);
        accept_tag(tag, core, at);
        if (open_.size() >= depth_limit) refuse_depth(at);
        if (!open_.empty() && open_.back().node.is_map() && !open_.back().has_key)
            refuse("E0113", at, "a key has to be text, not a list or a map",
                   "quote it if it is meant as text; perhaps a bracket is not closed");
        count({1, 0, 1}, at);
        Open next;
        next.node.kind = kind;
        next.node.at = at;
        next.anchor = anchor;
        open_.push_back(std::move(next));
    }

    void close() {
        Open done = std::move(open_.back());
        open_.pop_back();
        put(std::move(done.node), done.anchor);
    }

    void put(Node node, YAML::anchor_t anchor, std::optional<Position> used_at = {}) {
        if (anchor != 0) {
            const Size size = measure(node);
            count(size, node.at);  // the anchor's copy takes memory as well
            anchors_[anchor] = {node, size};
        }
        if (open_.empty()) {
            root = std::move(node);
            return;
        }
        Open& parent = open_.back();
        if (parent.node.is_sequence()) {
            parent.node.items.push_back(std::move(node));
        } else if (parent.has_key) {
            put_value(parent, std::move(node));
        } else {
            if (used_at) node.at = *used_at;
            take_key(parent, std::move(node));
        }
    }

    static void take_key(Open& parent, Node key) {
        if (!key.is_scalar()) refuse("E0113", key.at, "a key has to be text, not a list, a map or null", "quote it if it is meant as text");
        if (key.plain && key.text == "<<")
            refuse("E0109", key.at, "merge keys ('<<') are not part of YAML 1.2", "write the keys out, or give the whole map an alias", 2);
        parent.key = std::move(key);
        parent.has_key = true;
    }

    void put_value(Open& parent, Node value) {
        parent.has_key = false;
        if (!parent.seen.insert(parent.key.text).second) {
            report_duplicate(parent);
            return;
        }
        parent.node.entries.push_back({parent.key.text, parent.key.at, parent.key.length, std::move(value)});
    }

    // "mounts[2].target" for the key of the map that is being read.
    std::string path_of_key() const {
        std::string path;
        for (const Open& open : open_)
            path += open.node.is_map() ? cat(path.empty() ? "" : ".", printable(open.key.text)) : cat("[", open.node.items.size(), "]");
        return path;
    }

    void report_duplicate(const Open& parent) {
        const auto first = std::ranges::find(parent.node.entries, parent.key.text, &Node::Entry::key);
        out_.push_back({"E0108", Severity::error, parent.key.at, path_of_key(), "duplicate key",
                        cat("the first is on line ", first->at.line, "; keep one of the two"), parent.key.length});
    }
};

Diagnostic plain_error(std::string code, Position at, std::string message, std::string hint) {
    return {std::move(code), Severity::error, at, "", std::move(message), std::move(hint), 1};
}

// Whether a line opens a block scalar: it ends in | or > with their indicators. `key: |`, `- >-`.
bool opens_block(std::string_view line) {
    if (const auto comment = line.find(" #"); comment != std::string_view::npos) line = line.substr(0, comment);
    line = trim(line);
    while (!line.empty() && (line.back() == '-' || line.back() == '+' || (line.back() >= '1' && line.back() <= '9'))) line.remove_suffix(1);
    return (line.ends_with('|') || line.ends_with('>')) && (line.size() == 1 || line[line.size() - 2] == ' ');
}

// The first tab in the white space before a line's text, outside of block scalars: YAML does not allow it, and the
// library's message for it is about something else.
std::optional<Position> find_tab(std::string_view text, TextOrigin origin) {
    std::uint32_t number = 0;
    std::size_t block = std::string_view::npos;  // indentation of the line that opened a block scalar
    for (const std::string_view line : split(text, '\n')) {
        ++number;
        const auto indent = line.find_first_not_of(' ');
        if (indent == std::string_view::npos || trim(line).empty()) continue;
        if (block != std::string_view::npos && indent > block) continue;
        block = std::string_view::npos;
        if (line[indent] == '\t')
            return Position{origin.source, number, static_cast<std::uint32_t>(indent) + (number == 1 ? origin.column : 1)};
        if (opens_block(line)) block = indent;
    }
    return std::nullopt;
}

Position place_of(std::string_view text, std::size_t offset, TextOrigin origin) {
    const std::string_view before = text.substr(0, offset);
    const auto line = static_cast<std::uint32_t>(std::ranges::count(before, '\n'));
    const auto begin = before.rfind('\n');
    const auto column = static_cast<std::uint32_t>(begin == std::string_view::npos ? offset : offset - begin - 1);
    return {origin.source, line + 1, line == 0 ? column + origin.column : column + 1};
}

// What is wrong with the bytes, before any YAML: size, zero bytes, encoding, tabs.
std::optional<Diagnostic> check_bytes(std::string_view text, TextOrigin origin) {
    const Position start{origin.source, 1, origin.column};
    if (text.size() > profile_size_limit)
        return plain_error("E0102", start, "larger than 1 MiB",
                           "large file contents belong into files of their own: files: {PATH: {source: FILE}}");
    if (const auto zero = text.find('\0'); zero != std::string_view::npos)
        return plain_error("E0104", place_of(text, zero, origin), "a zero byte: this is not a text file", "a profile is YAML in UTF-8");
    if (!valid_utf8(text)) {
        std::size_t good = 0;
        std::uint32_t number = 1;
        for (const std::string_view line : split(text, '\n')) {
            if (!valid_utf8(line)) break;
            good += line.size() + 1;
            ++number;
        }
        while (good < text.size() && static_cast<unsigned char>(text[good]) < 0x80) ++good;
        return plain_error("E0103", place_of(text, good, origin), "not valid UTF-8", "save the file as UTF-8");
    }
    if (const auto tab = find_tab(text, origin))
        return plain_error("E0105", *tab, "a tab in the indentation", "YAML is indented with spaces");
    return std::nullopt;
}

Diagnostic syntax_error(const YAML::Exception& error, TextOrigin origin) {
    Position at{origin.source, 1, origin.column};
    if (!error.mark.is_null() && error.mark.line >= 0) {
        const auto line = static_cast<std::uint32_t>(error.mark.line), column = static_cast<std::uint32_t>(std::max(error.mark.column, 0));
        at = {origin.source, line + 1, line == 0 ? column + origin.column : column + 1};
    }
    std::string hint;
    if (error.msg == YAML::ErrorMsg::MAP_VALUE) hint = "indent with care, and quote text that contains ': '";
    if (error.msg == YAML::ErrorMsg::END_OF_MAP_FLOW || error.msg == YAML::ErrorMsg::END_OF_SEQ_FLOW)
        hint = "a bracket is not closed, or '${...}' stands unquoted between brackets";
    return plain_error("E0106", at, cat("not well-formed YAML: ", printable(error.msg)), hint);
}

}  // namespace

std::optional<Node> parse_yaml(std::string_view text, TextOrigin origin, Diagnostics& out) {
    if (auto wrong = check_bytes(text, origin)) {
        out.push_back(std::move(*wrong));
        return std::nullopt;
    }
    Builder builder(origin, out);
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {
        }
        return std::move(builder.root);
    } catch (const Refused& refused) {
        out.push_back(refused.why);
    } catch (const YAML::Exception& error) {
        out.push_back(syntax_error(error, origin));
    } catch (const std::exception& error) {
        out.push_back(plain_error("E0106", {origin.source, 1, origin.column}, cat("not readable as YAML: ", printable(error.what())), ""));
    }
    return std::nullopt;
}

}  // namespace sandbox
