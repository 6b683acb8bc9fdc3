#include "profile/compose.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "profile/language.h"
#include "profile/merge.h"
#include "profile/yaml.h"

namespace sandbox {
namespace {

constexpr std::size_t depth_limit = 16;   // parents of parents
constexpr std::size_t files_limit = 256;  // all together; each is at most 1 MiB

// The tree of one file, as a map.
std::optional<Node> read_tree(std::uint32_t source, const std::string& text, Diagnostics& out) {
    auto root = parse_yaml(text, {source, 1}, out);
    if (!root) return std::nullopt;
    if (root->is_null()) {
        out.push_back({"E0101", Severity::error, {source, 1, 1}, "", "the profile is empty", "a profile begins with 'version: 1'", 1});
        return std::nullopt;
    }
    if (!root->is_map()) {
        out.push_back({"E0115", Severity::error, root->at, "", cat("a profile is a map of keys, this is ", describe_found(*root)),
                       "a profile begins with 'version: 1'", root->length});
        return std::nullopt;
    }
    return root;
}

// Takes `extends` out of a tree.
std::optional<Node::Entry> take_extends(Node& tree) {
    const auto found = std::ranges::find(tree.entries, "extends", &Node::Entry::key);
    if (found == tree.entries.end()) return std::nullopt;
    Node::Entry entry = std::move(*found);
    tree.entries.erase(found);
    return entry;
}

// One file is one however it was named.
std::string identity_of(const ProfileFile& file) {
    return clean_path(cat(file.directory, "/", file.name.substr(file.name.rfind('/') + 1)));
}

class Composer {
   public:
    Composer(ProfileLibrary* library, Sources& sources, Diagnostics& out) : library_(library), sources_(sources), out_(out) {}

    std::optional<Composed> run(const FoundProfile& profile) {
        composed_.directories = Directories(profile.file.directory);
        const std::uint32_t source = add_source(profile.file, {});
        if (!add_profile(profile, source)) return std::nullopt;
        composed_.root.at = own_start_;
        return std::move(composed_);
    }

   private:
    ProfileLibrary* library_;
    Sources& sources_;
    Diagnostics& out_;
    Composed composed_;
    Position own_start_{0, 1, 1};
    std::vector<std::string> open_;  // the files that are being extended, the profile first
    std::set<std::string> done_;
    bool merged_ = false;

    void complain(std::string code, const Node& at, std::string key, std::string message, std::string hint) {
        out_.push_back({std::move(code), Severity::error, at.at, std::move(key), std::move(message), std::move(hint), at.length});
    }

    std::uint32_t add_source(const ProfileFile& file, std::optional<Position> via) {
        const std::uint32_t source = sources_.add(file.name, file.text, via);
        composed_.directories.set(source, file.directory);
        return source;
    }

    // False when a file cannot be read as a map, which was said.
    bool add_profile(const FoundProfile& profile, std::uint32_t source) {
        auto tree = read_tree(source, profile.file.text, out_);
        if (!tree) return false;
        const bool parent = !open_.empty();
        if (!parent) own_start_ = tree->at;
        if (parent) drop_identity(*tree);
        open_.push_back(identity_of(profile.file));
        bool good = true;
        if (const auto extends = take_extends(*tree)) good = add_parents(*extends, profile.file);
        check_version(*tree, parent || merged_ || !profile.drop_ins.empty());
        merge(std::move(*tree));
        for (const ProfileFile& drop_in : profile.drop_ins) good &= add_drop_in(drop_in, source);
        open_.pop_back();
        done_.insert(identity_of(profile.file));
        return good;
    }

    // What a parent is called is no news about the child.
    static void drop_identity(Node& tree) {
        std::erase_if(tree.entries, [](const Node::Entry& entry) { return entry.key == "name" || entry.key == "description"; });
    }

    // Each profile says its version itself; in one that stands alone the decoder will see.
    void check_version(Node& tree, bool among_others) {
        const Node* version = tree.find("version");
        if (!among_others || (version && !version->is_null())) return;
        complain("E0201", tree, "", "the key 'version' is missing", "a profile begins with 'version: 1'");
        if (!version) tree.add("version", number_node(language_version));
    }

    void merge(Node tree) {
        if (!merged_)
            composed_.root = std::move(tree);
        else
            merge_node(composed_.root, std::move(tree), {Shape::record, fields_of<Profile>}, out_);
        merged_ = true;
    }

    bool add_drop_in(const ProfileFile& file, std::uint32_t of) {
        if (trim(file.text).empty()) return true;  // only there to hide one of the same name
        if (sources_.count() >= files_limit) return refuse_too_many({of, 1, 1});
        const std::uint32_t source = add_source(file, Position{of, 0, 0});
        auto tree = parse_yaml(file.text, {source, 1}, out_);
        if (!tree) return false;
        if (tree->is_null()) return true;
        if (!tree->is_map()) {
            complain("E0115", *tree, "", cat("a drop-in is a map of keys, this is ", describe_found(*tree)),
                     "write it as a profile: KEY: VALUE");
            return false;
        }
        if (const auto extends = take_extends(*tree)) {
            out_.push_back({"E0145", Severity::error, extends->at, "extends", "a drop-in extends nothing",
                            "it is merged over its profile already; write 'extends' in a profile of your own", extends->length});
            return false;
        }
        merge(std::move(*tree));
        return true;
    }

    bool refuse_too_many(Position at) {
        out_.push_back({"E0143", Severity::error, at, "extends", cat("more than ", files_limit, " files make up this profile"),
                        "this looks like a bomb", 1});
        return false;
    }

    bool add_parents(const Node::Entry& extends, const ProfileFile& child) {
        if (extends.value.is_null()) return true;
        Decoder decoder(out_, composed_.directories);
        const Decoder::Inside inside(decoder, "extends");
        if (!extends.value.is_sequence()) {
            decoder.wrong_type(extends.value, "a list of profile names or paths", "write it between brackets: [base/service]");
            return false;
        }
        bool good = true;
        std::set<std::string_view> named;
        for (std::size_t i = 0; i < extends.value.items.size(); ++i) {
            const Node& item = extends.value.items[i];
            const Decoder::Inside deeper(decoder, i);
            if (!check_word(item, decoder)) {
                good = false;
            } else if (!named.insert(item.text).second) {
                decoder.error("E0144", item, cat(quote(item.text), " is named twice"),
                              "once is enough; the last one wins where they differ");
                good = false;
            } else {
                good &= add_parent(item, child, decoder);
            }
        }
        return good;
    }

    static bool check_word(const Node& item, Decoder& decoder) {
        if (!item.is_scalar()) {
            decoder.wrong_type(item, "a profile name or a path");
            return false;
        }
        if (item.text.find("${") != std::string::npos) {
            decoder.error("E0144", item, cat(quote(item.text.substr(0, 80)), ": variables have no values here yet"),
                          "write a name, or a path from this file's folder");
            return false;
        }
        return true;
    }

    bool add_parent(const Node& item, const ProfileFile& child, Decoder& decoder) {
        if (!library_) {
            decoder.error("E0141", item, cat("there is nowhere to look for ", quote(item.text.substr(0, 80))));
            return false;
        }
        if (open_.size() > depth_limit) {
            decoder.error("E0143", item, cat("more than ", depth_limit, " profiles that extend one another"), "extend fewer");
            return false;
        }
        if (sources_.count() >= files_limit) return refuse_too_many(item.at);
        auto found = library_->find(item.text, child);
        if (!found) {
            decoder.error("E0141", item, found.error().message, found.error().hint);
            return false;
        }
        const std::string identity = identity_of(found->file);
        if (std::ranges::find(open_, identity) != open_.end()) {
            refuse_cycle(item, identity, decoder);
            return false;
        }
        if (done_.contains(identity)) return true;  // by another way: it comes once, first
        return add_profile(*found, add_source(found->file, item.at));
    }

    void refuse_cycle(const Node& item, const std::string& name, Decoder& decoder) {
        std::string chain;
        for (auto file = std::ranges::find(open_, name); file != open_.end(); ++file) chain += cat(*file, " extends ");
        decoder.error("E0142", item, cat("a circle: ", chain, name), "one of them has to stop");
    }
};

}  // namespace

std::optional<Composed> compose(const FoundProfile& profile, ProfileLibrary* library, Sources& sources, Diagnostics& out) {
    return Composer(library, sources, out).run(profile);
}

}  // namespace sandbox
