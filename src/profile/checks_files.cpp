// Root, overlay layers, mounts, files: what fits together.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"
#include "profile/checks.h"

namespace sandbox {
namespace {

// ---- the root

void check_one_root(const Profile& profile, Report& report) {
    const Rootfs& root = profile.rootfs;
    const int given = (root.path ? 1 : 0) + (root.host ? 1 : 0) + (root.overlay ? 1 : 0) + (root.tmpfs ? 1 : 0);
    if (*root.idmap == IdmapMode::chown && !root.path)
        report.error("E0406", root.idmap.at, "rootfs.idmap", "only the tree of rootfs.path can be given away with chown",
                     "auto shows its ids through the sandbox's map and changes nothing");
    if (*root.idmap == IdmapMode::caller)
        report.error("E0406", root.idmap.at, "rootfs.idmap", "'caller' is for mounts", "allowed: auto, none, container, chown");
    if (given == 1 || report.failed("rootfs")) return;
    const Position at = root.at.known() ? root.at : report.document();
    if (given == 0)
        report.error("E0401", at, "rootfs", "there is no root directory",
                     "give one of path, host, overlay, tmpfs: 'rootfs: {host: ro}' starts from this host's tree");
    else
        report.error("E0401", at, "rootfs", "more than one of path, host, overlay, tmpfs", "keep exactly one");
}

// ---- overlays

constexpr std::size_t lower_limit = 500;  // OVL_MAX_STACK of the kernel (fs/overlayfs/params.h)

struct OptionRule {
    std::string_view name;
    std::array<std::string_view, 4> values;
};
constexpr std::array<OptionRule, 6> option_rules{{{"index", {"on", "off"}},
                                                  {"xino", {"on", "off", "auto"}},
                                                  {"redirect_dir", {"on", "off", "follow", "nofollow"}},
                                                  {"metacopy", {"on", "off"}},
                                                  {"volatile", {"true", "false"}},
                                                  {"userxattr", {"true", "false"}}}};

std::string listed(std::span<const std::string_view> words) {
    std::string out;
    for (const std::string_view word : words)
        if (!word.empty()) out += cat(out.empty() ? "" : ", ", word);
    return out;
}

void check_option(const std::string& name, const Text& value, const std::string& key, Report& report) {
    const auto rule = std::ranges::find(option_rules, name, &OptionRule::name);
    if (rule == option_rules.end()) {
        std::vector<std::string_view> names;
        for (const OptionRule& known : option_rules) names.push_back(known.name);
        const auto near = nearest(name, names);
        report.error("E0323", value.at, key, "not an option of overlay that can be set here",
                     near ? cat("did you mean ", quote(*near), "?") : cat("allowed: ", listed(names)));
    } else if (std::ranges::find(rule->values, *value) == rule->values.end() || value->empty()) {
        report.error("E0323", value.at, key, cat(quote(*value), " is not a value of this option"), cat("allowed: ", listed(rule->values)));
    }
}

bool option_is(const Overlay& overlay, const std::string& name, std::string_view value) {
    const auto found = overlay.options.find(name);
    return found != overlay.options.end() && *found->second == value;
}

// The kernel refuses these pairs (ovl_fs_params_verify).
void check_option_pairs(const Overlay& overlay, const std::string& key, Report& report) {
    const auto clash = [&](const std::string& a, const std::string& b) {
        report.error("E0417", overlay.options.at(a).at, cat(key, ".options.", a), cat("cannot be together with ", b),
                     "the kernel refuses the pair; remove one");
    };
    if (option_is(overlay, "metacopy", "on") && option_is(overlay, "userxattr", "true")) clash("metacopy", "userxattr");
    if (option_is(overlay, "redirect_dir", "on") && option_is(overlay, "userxattr", "true")) clash("redirect_dir", "userxattr");
    for (const std::string_view off : {"off", "nofollow", "follow"})
        if (option_is(overlay, "metacopy", "on") && option_is(overlay, "redirect_dir", off)) clash("metacopy", cat("redirect_dir: ", off));
}

void check_lowers(const Overlay& overlay, const std::string& key, Report& report) {
    const auto& lowers = overlay.lower;
    if (lowers.empty() && !report.failed(cat(key, ".lower")))
        report.error("E0402", overlay.upper.at.known() ? overlay.upper.at : report.document(), cat(key, ".lower"), "no lower directory",
                     "give 1 to 500 directories, the top layer first");
    if (lowers.size() > lower_limit)
        report.error("E0402", lowers[lower_limit].at, cat(key, ".lower[", lower_limit, "]"), cat(lowers.size(), " lower directories"),
                     cat("the kernel stacks at most ", lower_limit, "; merge some of them into one directory"));
    std::map<std::string_view, std::size_t> seen;
    for (std::size_t i = 0; i < lowers.size(); ++i) {
        const auto [first, fresh] = seen.emplace(*lowers[i], i);
        if (!fresh && !lowers[i]->empty())
            report.error("E0403", lowers[i].at, cat(key, ".lower[", i, "]"), cat(quote(*lowers[i]), " is a layer already"),
                         cat("it is lower[", first->second, "] as well; keep one of the two"));
    }
}

// Changes written into a directory that is read at the same time: the kernel calls the result undefined.
void check_nesting(const Overlay& overlay, const std::string& key, Report& report) {
    if (overlay.upper_is_tmpfs() || overlay.upper->empty()) return;
    const std::string& upper = *overlay.upper;
    for (std::size_t i = 0; i < overlay.lower.size(); ++i) {
        const std::string& lower = *overlay.lower[i];
        if (lower.empty()) continue;
        const std::string name = cat("lower[", i, "] ", quote(lower));
        if (upper == lower)
            report.error("E0404", overlay.upper.at, cat(key, ".upper"), cat("is ", name, " itself"),
                         "changes need a directory of their own");
        else if (beneath(upper, lower))
            report.error("E0404", overlay.upper.at, cat(key, ".upper"), cat(quote(upper), " is inside ", name), "move it out of the layer");
        else if (beneath(lower, upper))
            report.error("E0404", overlay.lower[i].at, cat(key, ".lower[", i, "]"), cat(quote(lower), " is inside upper ", quote(upper)),
                         "move it out of the upper directory");
        if (overlay.work && !overlay.work->value.empty() && beneath(**overlay.work, lower))
            report.error("E0404", overlay.work->at, cat(key, ".work"), cat(quote(**overlay.work), " is inside ", name),
                         "put it beside upper");
    }
    if (!overlay.work || overlay.work->value.empty()) return;
    const std::string& work = **overlay.work;
    if (beneath(work, upper) || beneath(upper, work))
        report.error("E0404", overlay.work->at, cat(key, ".work"), cat(quote(work), " and upper ", quote(upper), " are in one another"),
                     "put it beside upper: UPPER.work");
}

void check_overlay(const Overlay& overlay, const std::string& key, Report& report) {
    check_lowers(overlay, key, report);
    check_nesting(overlay, key, report);
    for (const auto& [name, value] : overlay.options) check_option(name, value, cat(key, ".options.", name), report);
    check_option_pairs(overlay, key, report);
    if (overlay.upper_is_tmpfs() && overlay.work)
        report.error("E0406", overlay.work->at, cat(key, ".work"), "has no meaning with upper: tmpfs",
                     "remove it, or give upper a directory");
}

void check_overlays(const Profile& profile, Report& report) {
    if (profile.rootfs.overlay) check_overlay(*profile.rootfs.overlay, "rootfs.overlay", report);
    for (std::size_t i = 0; i < profile.mounts.size(); ++i)
        if (profile.mounts[i].overlay) check_overlay(*profile.mounts[i].overlay, cat("mounts[", i, "].overlay"), report);
}

// ---- mounts

Position position_of(const Text& text, Position otherwise) { return text.at.known() ? text.at : otherwise; }

void check_mount_source(const Mount& mount, const std::string& key, Report& report) {
    const bool bind = *mount.type == MountType::bind;
    if (bind && mount.source->empty() && !report.failed(cat(key, ".source")) && !report.failed(key))
        report.error("E0406", mount.at, cat(key, ".source"), "a bind mount needs a source",
                     "add 'source: PATH', or another type such as 'type: tmpfs'");
    if (!bind && !mount.source->empty())
        report.error("E0406", mount.source.at, cat(key, ".source"), "only a bind mount has a source", "remove it, or remove 'type'");
}

void check_mount_keys(const Mount& mount, const std::string& key, Report& report) {
    const bool tmpfs = *mount.type == MountType::tmpfs, overlay = *mount.type == MountType::overlay, bind = *mount.type == MountType::bind;
    if (mount.size && !tmpfs)
        report.error("E0406", mount.size->at, cat(key, ".size"), "only a tmpfs has a size",
                     overlay ? "an overlay's size is 'overlay: {size: ...}'" : "remove it");
    if (mount.perm && !tmpfs) report.error("E0406", mount.perm->at, cat(key, ".perm"), "only a tmpfs has a mode of its own", "remove it");
    if (mount.overlay && !overlay)
        report.error("E0406", mount.at, cat(key, ".overlay"), "only a mount of type overlay has layers", "write 'type: overlay'");
    if (!mount.overlay && overlay)
        report.error("E0406", mount.at, cat(key, ".overlay"), "an overlay needs its layers", "add 'overlay: {lower: [...]}'");
    if (*mount.idmap != IdmapMode::automatic && *mount.idmap != IdmapMode::none && !bind && !overlay)
        report.error("E0406", mount.idmap.at, cat(key, ".idmap"), "only bind and overlay mounts map ids", "remove it");
    if (*mount.idmap == IdmapMode::chown)
        report.error("E0406", mount.idmap.at, cat(key, ".idmap"), "only the tree of rootfs.path can be given away with chown",
                     "auto shows its ids through the sandbox's map and changes nothing");
    if (*mount.type == MountType::cgroup && *mount.mode == AccessMode::rw && mount.mode.at.known() && mount.suid)
        report.error("E0406", mount.mode.at, cat(key, ".suid"), "a cgroup mount has no programs", "remove it");
}

void check_mounts(const Profile& profile, Report& report) {
    std::map<std::string_view, std::size_t> seen;
    for (std::size_t i = 0; i < profile.mounts.size(); ++i) {
        const Mount& mount = profile.mounts[i];
        const std::string key = cat("mounts[", i, "]");
        check_mount_source(mount, key, report);
        check_mount_keys(mount, key, report);
        if (mount.target->empty()) continue;
        const Position at = position_of(mount.target, mount.at);
        if (*mount.target == "/") {
            report.error("E0306", at, cat(key, ".target"), "the root itself cannot be a target", "that is what 'rootfs' is for");
            continue;
        }
        const auto [first, fresh] = seen.emplace(*mount.target, i);
        if (!fresh)
            report.error("E0405", at, cat(key, ".target"),
                         cat(quote(*mount.target), " is the target of mounts[", first->second, "] as well"),
                         "a second mount would hide the first; keep one");
    }
}

// A bind of the directory that the mount's own parent hides is made all the same: sources are resolved before anything
// is mounted. But a mount below a file system that cannot have it is a mistake.
void check_mount_parents(const Profile& profile, Report& report) {
    std::set<std::string_view> closed;
    for (const Mount& mount : profile.mounts)
        if (*mount.type == MountType::mqueue || *mount.type == MountType::devpts || *mount.type == MountType::cgroup)
            closed.insert(*mount.target);
    for (std::size_t i = 0; i < profile.mounts.size(); ++i) {
        const Mount& mount = profile.mounts[i];
        const std::string_view target = *mount.target;
        for (auto slash = target.rfind('/'); slash != std::string_view::npos && slash > 0; slash = target.rfind('/', slash - 1))
            if (const std::string_view above = target.substr(0, slash); closed.contains(above))
                report.error("E0405", position_of(mount.target, mount.at), cat("mounts[", i, "].target"),
                             cat(quote(target), " is inside ", quote(above), ", where nothing can be mounted"), "choose another target");
    }
}

// ---- files, directories, links

void check_file_forms(const Profile& profile, Report& report) {
    for (const File& file : profile.files) {
        const std::string key = cat("files.", printable(*file.path));
        if (report.failed(key)) continue;
        if (!file.content && !file.source)
            report.error("E0407", file.path.at, key, "neither content nor source",
                         "give the file one of them; 'content: \"\"' makes an empty file");
        if (file.content && file.source) report.error("E0407", file.path.at, key, "both content and source", "keep one of them");
    }
}

struct Place {
    std::string key;
    const Text* path;
};

// One path cannot be a file, a directory and a link, and '/' is none of them.
void check_paths(const Profile& profile, Report& report) {
    std::vector<Place> places;
    for (const File& file : profile.files) places.push_back({cat("files.", printable(*file.path)), &file.path});
    for (std::size_t i = 0; i < profile.dirs.size(); ++i) places.push_back({cat("dirs[", i, "]"), &profile.dirs[i].path});
    for (const Symlink& link : profile.symlinks) places.push_back({cat("symlinks.", printable(*link.path)), &link.path});
    std::map<std::string_view, const Place*> seen;
    for (const Place& place : places) {
        if ((*place.path)->empty()) continue;
        if (**place.path == "/") {
            report.error("E0306", place.path->at, place.key, "the root itself cannot be made", "it is there already");
            continue;
        }
        const auto [first, fresh] = seen.emplace(**place.path, &place);
        if (!fresh)
            report.error("E0407", place.path->at, place.key, cat(quote(**place.path), " is made by ", first->second->key, " already"),
                         "keep one of the two");
    }
}

void check_masks(const Profile& profile, Report& report) {
    const auto check = [&](const PathList& list, std::string_view key) {
        for (std::size_t i = 0; i < list.paths.size(); ++i)
            if (*list.paths[i] == "/")
                report.error("E0306", list.paths[i].at, cat(key, "[", i, "]"), "the root itself cannot be in this list",
                             key == "mask" ? "mask what is below" : "use 'rootfs: {readonly: true}'");
    };
    check(profile.mask, "mask");
    check(profile.readonly_paths, "readonly_paths");
}

}  // namespace

void check_files(const Profile& profile, Report& report) {
    check_one_root(profile, report);
    check_overlays(profile, report);
    check_mounts(profile, report);
    check_mount_parents(profile, report);
    check_file_forms(profile, report);
    check_paths(profile, report);
    check_masks(profile, report);
}

}  // namespace sandbox
