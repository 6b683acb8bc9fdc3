// Mounts, files, directories, symbolic links, lists of paths.
#include <algorithm>

#include "base/text.h"
#include "profile/forms.h"

namespace sandbox {
namespace {

// ---- the short form of a mount: "SOURCE:TARGET[:OPTION,...]"

void apply_flag(Mount& mount, std::string_view option, bool& known) {
    known = true;
    if (option == "optional")
        mount.optional = true;
    else if (option == "exec" || option == "noexec")
        mount.exec = option == "exec";
    else if (option == "suid" || option == "nosuid")
        mount.suid = option == "suid";
    else if (option == "dev" || option == "nodev")
        mount.dev = option == "dev";
    else if (option == "recursive" || option == "norecursive")
        mount.recursive = option == "recursive";
    else if (option == "create" || option == "nocreate")
        mount.create = option == "create";
    else
        known = false;
}

void apply_option(Decoder& decoder, const Node& node, std::string_view option, Mount& mount) {
    bool known = false;
    apply_flag(mount, option, known);
    if (known) return;
    if (option == "ro" || option == "rw") {
        mount.mode = {option == "rw" ? AccessMode::rw : AccessMode::ro, node.at};
        return;
    }
    if (option.starts_with("idmap=")) {
        Node word = text_node(std::string(option.substr(6)));
        word.at = node.at;
        word.length = node.length;
        return Located<Enum<IdmapMode>>::decode(decoder, word, mount.idmap);
    }
    static constexpr std::string_view options[]{"rw",  "ro",    "optional",  "exec",        "noexec", "suid",     "nosuid",
                                                "dev", "nodev", "recursive", "norecursive", "create", "nocreate", "idmap="};
    const auto near = nearest(option, options);
    decoder.error(
        "E0314", node, cat(quote(option.substr(0, 60)), " is not an option of a mount"),
        near ? cat("did you mean ", quote(*near), "?") : "options: rw, ro, optional, exec, suid, dev, norecursive, nocreate, idmap=MODE");
}

void decode_short_mount(Decoder& decoder, const Node& node, Mount& out) {
    const auto parts = split(node.text, ':');
    if (parts.size() < 2 || parts.size() > 3) {
        decoder.error("E0314", node, cat(quote(node.text.substr(0, 100)), " is not SOURCE:TARGET[:OPTION,...]"),
                      parts.size() > 3 ? "a path with a colon in it needs the map form: {source: ..., target: ...}"
                                       : "write \"SOURCE:TARGET\", or the map form {type: tmpfs, target: ...}");
        return;
    }
    out.source.at = out.target.at = node.at;
    if (auto path = read_host_path(decoder, node, parts[0])) out.source.value = std::move(*path);
    if (auto path = read_inside_path(decoder, node, parts[1])) out.target.value = std::move(*path);
    if (parts.size() == 3)
        for (const std::string_view option : split(parts[2], ',')) apply_option(decoder, node, option, out);
}

bool writable_by_default(MountType type) {
    return type == MountType::tmpfs || type == MountType::mqueue || type == MountType::devpts || type == MountType::overlay;
}

}  // namespace

void MountForm::decode(Decoder& decoder, const Node& node, Mount& out) {
    out.at = node.at;
    if (node.is_scalar() && (node.substituted || scalar_type(node) == ScalarType::text)) return decode_short_mount(decoder, node, out);
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    Record<Mount>::decode(decoder, node, out);
    if (out.overlay && !out.type.at.known()) out.type = {MountType::overlay, out.at};
    if (!out.mode.at.known() && writable_by_default(*out.type)) out.mode = AccessMode::rw;
}
Node MountForm::encode(const Mount& value) { return Record<Mount>::encode(value); }
Node MountForm::schema() { return any_of({pattern_schema("^[^:]+:[^:]+(:[^:]+)?$|\\$\\{"), Record<Mount>::schema()}); }
std::string MountForm::describe() { return "\"SOURCE:TARGET[:OPTION,...]\" or a map"; }

std::string MountForm::identity(const Node& node) {
    if (node.is_map()) {
        const Node* target = node.find("target");
        return target && target->is_scalar() ? target->text : std::string();
    }
    const auto parts = split(node.text, ':');
    return parts.size() > 1 ? std::string(parts[1]) : std::string();
}

// ---- directories, files, links

void DirectoryForm::decode(Decoder& decoder, const Node& node, Directory& out) {
    if (node.is_map()) return Record<Directory>::decode(decoder, node, out);
    Located<InsidePath>::decode(decoder, node, out.path);
}
Node DirectoryForm::encode(const Directory& value) { return Record<Directory>::encode(value); }
Node DirectoryForm::schema() { return any_of({InsidePath::schema(), Record<Directory>::schema()}); }
std::string DirectoryForm::describe() { return "an absolute path inside or a map"; }

namespace {

// A key that is a path inside; the position is the key's.
Text read_path_key(Decoder& decoder, const Node::Entry& entry) {
    Node key = text_node(entry.key);
    key.at = entry.at;
    key.length = entry.length;
    Text path;
    Located<InsidePath>::decode(decoder, key, path);
    return path;
}

}  // namespace

void FileMap::decode(Decoder& decoder, const Node& node, std::vector<File>& out) {
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        File file;
        file.path = read_path_key(decoder, entry);
        Record<File>::decode(decoder, entry.value, file);
        out.push_back(std::move(file));
    }
}
Node FileMap::encode(const std::vector<File>& value) {
    Node map = map_node();
    for (const File& file : value) map.add(*file.path, Record<File>::encode(file));
    return map;
}
Node FileMap::schema() { return map_schema(Record<File>::schema()); }
std::string FileMap::describe() { return "a map of PATH: {content or source, perm, uid, gid}"; }

void SymlinkMap::decode(Decoder& decoder, const Node& node, std::vector<Symlink>& out) {
    if (!node.is_map()) return decoder.wrong_type(node, describe());
    for (const Node::Entry& entry : node.entries) {
        const Decoder::Inside inside(decoder, entry.key);
        Symlink link;
        link.path = read_path_key(decoder, entry);
        Located<String>::decode(decoder, entry.value, link.target);
        if (entry.value.is_scalar() && (entry.value.text.empty() || entry.value.text.size() > 4095))
            decoder.error("E0306", entry.value, "the target of a link is 1 to 4095 bytes");
        out.push_back(std::move(link));
    }
}
Node SymlinkMap::encode(const std::vector<Symlink>& value) {
    Node map = map_node();
    for (const Symlink& link : value) map.add(*link.path, text_node(*link.target));
    return map;
}
Node SymlinkMap::schema() { return map_schema(type_schema("string")); }
std::string SymlinkMap::describe() { return "a map of LINK: TARGET"; }

// ---- mask, readonly_paths

void PathListForm::decode(Decoder& decoder, const Node& node, PathList& out) {
    if (node.is_sequence()) return List<Located<InsidePath>>::decode(decoder, node, out.paths);
    static constexpr Word words[]{{"default", 1}, {"none", 0}};
    if (!node.is_scalar()) return decoder.wrong_type(node, describe());
    if (node.text.starts_with('/'))
        return decoder.wrong_type(node, describe(), cat("write it between brackets: [", printable(node.text), "]"));
    if (const auto value = read_word(decoder, node, words, {})) out.defaults = *value == 1;
}
Node PathListForm::encode(const PathList& value) {
    if (value.paths.empty()) return text_node(value.defaults ? "default" : "none");
    return List<Located<InsidePath>>::encode(value.paths);
}
Node PathListForm::schema() {
    static constexpr std::string_view words[]{"default", "none"};
    return any_of({words_schema(words), list_schema(InsidePath::schema())});
}
std::string PathListForm::describe() { return "default, none, or a list of paths inside"; }

}  // namespace sandbox
