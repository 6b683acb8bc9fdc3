// sandbox new: a commented profile to start from.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/library.h"

namespace sandbox {
namespace {

using nlohmann::ordered_json;

std::string yaml_words(const std::vector<std::string>& words) {
    ordered_json list = ordered_json::array();
    for (const std::string& word : words) list.push_back(word);
    std::string text = list.dump(-1, ' ', false, ordered_json::error_handler_t::replace);  // JSON is YAML
    for (auto at = text.find('$'); at != text.npos; at = text.find('$', at + 2)) text.insert(at, "$");
    return text;
}

std::string starter(const std::string& name, const std::vector<std::string>& parents, const std::vector<std::string>& command) {
    std::string out = cat("# sandbox up ", name, "\n# Every key: man sandbox-profile. What it comes to: sandbox config ", name,
                          "; sandbox plan ", name, "\nversion: 1\ndescription: \"\"\n");
    if (!parents.empty()) out += cat("extends: ", yaml_words(parents), "\n");
    if (parents.empty())
        out +=
            "\n# This host's own tree, read-only. Others: {path: DIRECTORY}, {overlay: {lower: [DIRECTORY], upper: tmpfs}}, {tmpfs: {}}\n"
            "rootfs: {host: ro}\n"
            "mask: [/home, /root, /srv, /mnt, /media]   # out of sight, beside the kernel's paths that always are\n"
            "mounts:\n"
            "  - {type: tmpfs, target: /tmp, size: 256Mi}\n"
            "  # - {source: \"${PWD}\", target: /work, mode: rw}   # a place of the host that it may change\n"
            "\n# The 15 of the default. Take away what the program works without; most need none.\n"
            "capabilities: {base: none}\n"
            "\n# All processes of the sandbox together.\n"
            "resources: {memory: {max: 512Mi}, pids: 128}\n";
    out +=
        "\n# None at all by default. bridge: an address of its own; ports: reachable from this host; egress: what it may reach.\n"
        "# network:\n"
        "#   mode: bridge\n"
        "#   ports: [\"8080:80\"]\n"
        "#   egress: {default: deny, allow: [\"192.0.2.10:443/tcp\"]}\n"
        "\nprocess:\n";
    out += cat("  command: ", yaml_words(command.empty() ? std::vector<std::string>{"/bin/sh", "-c", "id; ls /"} : command), "\n");
    out +=
        "  # user: \"65534:65534\"\n"
        "  # environment: {LC_ALL: C.UTF-8}\n"
        "\n# lifecycle: {timeout: 1h, stop: {signal: TERM, grace: 10s}, restart: {policy: on-failure}}\n";
    return out;
}

// Makes the folders above a path; those that are there stay as they are.
Status make_folders(const std::string& folder) {
    for (std::size_t slash = folder.find('/', 1); slash != std::string::npos; slash = folder.find('/', slash + 1))
        if (mkdir(folder.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST)
            return fail_errno(printable(folder.substr(0, slash)), errno);
    if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno(printable(folder), errno);
    return {};
}

Status write_new(const std::string& path, const std::string& text) {
    const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file && errno == EEXIST)
        return fail(cat(printable(path), ": there is a file of this name"), "give another name, or change that one");
    if (!file) return fail_errno(printable(path), errno, "name a file of your own by its path: sandbox new ./NAME.yaml");
    if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        const int error = errno;
        unlink(path.c_str());
        return fail_errno(printable(path), error);
    }
    return {};
}

// Root's profiles are the administrator's, a user's are the user's own.
std::string path_of_new(const std::string& name) {
    if (is_profile_path(name)) return name;
    const auto places = profile_places();
    const ProfileTier wanted = geteuid() == 0 ? ProfileTier::system : ProfileTier::own;
    const auto place = std::ranges::find(places, wanted, &ProfilePlace::tier);
    return place == places.end() ? cat("./", name, ".yaml") : cat(place->path, "/", name, ".yaml");
}

}  // namespace

int verb_new(const std::string& name, const std::vector<std::string>& parents, const std::vector<std::string>& command) {
    const std::string stem = profile_stem(name);
    if (name != "-" && (!valid_library_name(stem) || stem.find('/') != std::string::npos)) {
        print(Error{cat(quote(printable(stem)), " cannot be a name"),
                    "1 to 63 of a-z, 0-9, '_', '.', '-', the first one a letter or a digit",
                    0,
                    {},
                    {}});
        return exit_launcher;
    }
    const std::string path = path_of_new(name);
    const std::string text = starter(name == "-" ? "FILE" : name, parents, command);
    if (name == "-") return write_out(text), 0;
    if (!is_profile_path(name))
        if (auto made = make_folders(folder_of(path)); !made) return print(made.error()), exit_launcher;
    if (auto written = write_new(path, text); !written) return print(written.error()), exit_launcher;
    write_out(cat(printable(path), "\n"));
    return 0;
}

}  // namespace sandbox
