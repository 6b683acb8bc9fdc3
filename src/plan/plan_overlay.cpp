// Layers, upper and work of an overlay; the merge itself.

#include <linux/mount.h>
#include <sys/mount.h>

#include "plan/context.h"

namespace sandbox {
namespace {

std::string work_of(const Overlay& overlay) { return overlay.work ? **overlay.work : cat(*overlay.upper, ".work"); }

std::string common_folder(const std::string& a, const std::string& b) {
    std::string folder = a;
    while (!beneath(a, folder) || !beneath(b, folder) || folder == a || folder == b) {
        folder.resize(folder.rfind('/'));
        if (folder.empty()) return "/";
    }
    return folder;
}

std::string below(const std::string& path, const std::string& folder) {
    return folder == "/" ? path.substr(1) : path.substr(folder.size() + 1);
}

std::vector<FsOption> options_of(const Overlay& overlay, bool unprivileged) {
    std::vector<FsOption> options;
    for (const auto& [key, value] : overlay.options) {
        const bool flag = key == "volatile" || key == "userxattr";
        if (!flag)
            options.push_back({key, *value});
        else if (*value == "true" || *value == "on")
            options.push_back({key, {}, true});
    }
    // trusted.* attributes, which an overlay uses by default, are for the initial user namespace only.
    if (unprivileged && !overlay.options.contains("userxattr")) options.push_back({"userxattr", {}, true});
    return options;
}

// Directories of the host that the overlay writes to: made, locked against a second writer.
void plan_upper(Context& c, const Overlay& overlay, const std::string& label) {
    const std::string upper = *overlay.upper, work = work_of(overlay);
    c.before.push_back(host_step(cat("overlay.upper:", label), overlay.upper.at,
                                 cat("make ", upper, " if it is missing, in folders of mode 0700"), "remove it if it was made and is empty",
                                 step::MakeHostDirectory{upper, 0755, false}));
    // What init holds, a payload with CAP_SYS_PTRACE can open; the parent makes that harmless where it may mount.
    const Slot lock = c.directory_lock_slot();
    c.before.push_back(host_step(cat("overlay.lock:", label), overlay.upper.at, cat("lock ", upper, " against a second writer"), {},
                                 step::LockTree{lock, upper, false}));
    c.before.push_back(host_step(cat("overlay.work:", label), overlay.work ? overlay.work->at : overlay.upper.at,
                                 cat("make the work directory ", work, " (it must be empty)"), "remove it with what the kernel put in it",
                                 step::MakeHostDirectory{work, 0700, true}));
}

Slot overlay_by_parent(Context& c, const Overlay& overlay, const std::string& label, Position at, IdmapMode idmap,
                       std::uint64_t attributes) {
    const bool mapped = c.id_mapped_mounts() && idmap != IdmapMode::none;
    auto& merge_phase = mapped ? c.after : c.before;
    step::BuildOverlay build{c.sent_slot(), {}, no_slot, {}, {}, overlay.upper_is_tmpfs(), {}, options_of(overlay, false), attributes};
    build.of_root = label == "/";
    if (overlay.size) build.size = **overlay.size;
    const auto open_layer = [&](const std::string& path, const std::string& name, Position where, const char* what) {
        const Slot slot = c.slot();
        // Only what gets an id map needs to be a mount of its own, which the kernel takes its time to let go.
        c.before.push_back(
            host_step(cat("overlay.layer:", name), where, cat("open ", what, path), {},
                      mapped ? Action(step::OpenTree{slot, path, false, {0, 0, MS_PRIVATE, false}}) : Action(step::OpenFile{slot, path})));
        if (mapped)
            c.after.push_back(host_step(cat("overlay.idmap:", name), where, cat("show the ids of ", path, " through the sandbox's map"), {},
                                        step::IdmapTree{slot, false, true}));
        return slot;
    };
    for (const Text& lower : overlay.lower) build.lower.push_back(open_layer(*lower, cat(label, ":", *lower), lower.at, "the layer "));
    if (!overlay.upper_is_tmpfs()) {
        const std::string folder = common_folder(*overlay.upper, work_of(overlay));
        build.upper_tree = open_layer(folder, cat(label, ":upper"), overlay.upper.at, "what upper and work are in: ");
        build.upper = below(*overlay.upper, folder);
        build.work = below(work_of(overlay), folder);
    }
    const Slot slot = build.slot;
    merge_phase.push_back(host_step(cat("overlay.merge:", label), at,
                                    cat("merge ", overlay.lower.size(), overlay.lower.size() == 1 ? " layer" : " layers", " below ",
                                        overlay.upper_is_tmpfs() ? std::string("a tmpfs") : *overlay.upper),
                                    {}, std::move(build)));
    return slot;
}

Slot overlay_by_child(Context& c, const Overlay& overlay, const std::string& label, Position at, std::uint64_t attributes) {
    step::OverlayInside build{c.slot(), {}, no_slot, no_slot, options_of(overlay, true), attributes, !c.facts.overlay_layer_fds};
    const auto open = [&](const std::string& path, const std::string& name, Slot base, Position where) {
        const Slot slot = c.slot();
        c.setup.push_back(
            sandbox_step(cat("overlay.layer:", name), where, cat("open ", path), step::OpenTreeInside{slot, path, base, false, false, {}}));
        return slot;
    };
    for (const Text& lower : overlay.lower) build.lower.push_back(open(*lower, cat(label, ":", *lower), no_slot, lower.at));
    if (overlay.upper_is_tmpfs()) {
        const Slot scratch = c.slot();
        std::vector<FsOption> options{{"mode", "0700"}};
        if (overlay.size) options.push_back({"size", std::to_string(**overlay.size)});
        c.setup.push_back(sandbox_step(cat("overlay.tmpfs:", label), at, "make a tmpfs for the upper layer",
                                       step::NewFilesystem{scratch, "tmpfs", options, 0}));
        c.setup.push_back(sandbox_step(cat("overlay.scratch:", label), at, "keep it out of sight", step::Scratch{scratch}));
        for (const char* part : {"/upper", "/work"})
            c.setup.push_back(sandbox_step(cat("overlay.folder:", label, part), at, cat("make its folder ", part),
                                           step::MakeDirectory{part, 0755, 0, 0, true, scratch}));
        build.upper = open("upper", cat(label, ":upper"), scratch, at);
        build.work = open("work", cat(label, ":work"), scratch, at);
    } else {
        build.upper = open(*overlay.upper, cat(label, ":upper"), no_slot, overlay.upper.at);
        build.work = open(work_of(overlay), cat(label, ":work"), no_slot, overlay.upper.at);
    }
    const Slot slot = build.slot;
    c.setup.push_back(sandbox_step(cat("overlay.merge:", label), at,
                                   cat("merge ", overlay.lower.size(), overlay.lower.size() == 1 ? " layer" : " layers", " below ",
                                       overlay.upper_is_tmpfs() ? std::string("a tmpfs") : *overlay.upper),
                                   std::move(build)));
    return slot;
}

}  // namespace

Slot plan_overlay(Context& c, const Overlay& overlay, const std::string& label, Position at, IdmapMode idmap, std::uint64_t attributes) {
    if (!overlay.upper_is_tmpfs()) plan_upper(c, overlay, label);
    return c.parent_mounts() ? overlay_by_parent(c, overlay, label, at, idmap, attributes)
                             : overlay_by_child(c, overlay, label, at, attributes);
}

}  // namespace sandbox
