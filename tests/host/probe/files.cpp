// What the process sees of files, and what it may change. Everything that changes something is asked for by its own verb.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "probe.h"

namespace probe {
namespace {

const char* type_name(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG: return "file";
        case S_IFDIR: return "directory";
        case S_IFLNK: return "symlink";
        case S_IFCHR: return "character";
        case S_IFBLK: return "block";
        case S_IFIFO: return "fifo";
        case S_IFSOCK: return "socket";
        default: return "unknown";
    }
}

std::string octal(mode_t mode) {
    char text[8];
    snprintf(text, sizeof text, "%04o", mode & 07777);
    return text;
}

Json status(const std::string& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return {{"error", errno_name(errno)}};
    Json seen = {{"type", type_name(info.st_mode)},
                 {"mode", octal(info.st_mode)},
                 {"uid", info.st_uid},
                 {"gid", info.st_gid},
                 {"size", info.st_size},
                 {"ino", info.st_ino},
                 {"nlink", info.st_nlink},
                 {"dev", std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev))},
                 {"rdev", std::to_string(major(info.st_rdev)) + ":" + std::to_string(minor(info.st_rdev))}};
    if (S_ISLNK(info.st_mode)) seen["target"] = read_link(path);
    return seen;
}

Json content(const std::string& path) {
    const auto text = read_file(path);
    return text ? Json{{"text", *text}} : Json{{"error", errno_name(errno)}};
}

Json sysctl(const std::string& key) {
    std::string path = key;
    if (path.find('/') == std::string::npos) std::replace(path.begin(), path.end(), '.', '/');
    const auto text = read_file("/proc/sys/" + path);
    if (!text) return {{"error", errno_name(errno)}};
    return text->substr(0, text->find_last_not_of('\n') + 1);
}

Json directory(const std::string& path) {
    DIR* stream = opendir(path.c_str());
    if (stream == nullptr) return {{"error", errno_name(errno)}};
    std::vector<std::string> names;
    while (const dirent* entry = readdir(stream)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    closedir(stream);
    std::sort(names.begin(), names.end());
    return {{"names", names}};
}

Json devices(const std::string& path) {
    const std::string base = path.empty() ? "/dev" : path;
    const Json listed = directory(base);
    if (listed.contains("error")) return listed;
    Json seen = Json::object();
    for (const auto& name : listed["names"]) seen[name.get<std::string>()] = status(base + "/" + name.get<std::string>());
    return seen;
}

Json descriptors(const std::string&) {
    Json seen = Json::array();
    DIR* stream = opendir("/proc/self/fd");
    if (stream == nullptr) {  // without /proc: every number up to the limit, without its name
        for (int fd = 0; fd < 4096; ++fd) {
            const int flags = fcntl(fd, F_GETFD);
            if (flags >= 0) seen.push_back({{"fd", fd}, {"cloexec", (flags & FD_CLOEXEC) != 0}});
        }
        return seen;
    }
    while (const dirent* entry = readdir(stream)) {
        const std::string name = entry->d_name;
        if (name == "." || name == "..") continue;
        const int fd = static_cast<int>(number(name));
        if (fd == dirfd(stream)) continue;
        seen.push_back({{"fd", fd},
                        {"target", read_link("/proc/self/fd/" + name)},
                        {"status", fcntl(fd, F_GETFL)},
                        {"cloexec", (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0}});
    }
    closedir(stream);
    std::sort(seen.begin(), seen.end(), [](const Json& a, const Json& b) { return a["fd"] < b["fd"]; });
    return seen;
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescaped(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            out += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

Json mounts(const std::string& pid) {
    const auto text = read_file("/proc/" + (pid.empty() ? "self" : pid) + "/mountinfo");
    if (!text) return {{"error", errno_name(errno)}};
    Json seen = Json::array();
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        std::string id, parent, device, root, target, options, field, type, source, super;
        fields >> id >> parent >> device >> root >> target >> options;
        Json propagation = Json::array();
        while (fields >> field && field != "-") propagation.push_back(field);
        fields >> type >> source >> super;
        seen.push_back({{"id", number(id)},
                        {"parent", number(parent)},
                        {"device", device},
                        {"root", unescaped(root)},
                        {"target", unescaped(target)},
                        {"options", options},
                        {"propagation", propagation},
                        {"type", type},
                        {"source", unescaped(source)},
                        {"super", super}});
    }
    return seen;
}

Json file_system(const std::string& path) {
    struct statfs info {};
    if (statfs(path.c_str(), &info) != 0) return {{"error", errno_name(errno)}};
    Json flags = Json::array();
    for (const auto& [bit, name] : {std::pair{MS_RDONLY, "ro"}, {MS_NOSUID, "nosuid"}, {MS_NODEV, "nodev"}, {MS_NOEXEC, "noexec"}}) {
        if ((info.f_flags & bit) != 0) flags.push_back(name);
    }
    char type[20];
    snprintf(type, sizeof type, "0x%lx", static_cast<unsigned long>(info.f_type));
    return {{"type", type}, {"flags", flags}, {"size", info.f_blocks * static_cast<unsigned long>(info.f_bsize)}, {"files", info.f_files}};
}

// PATH=VALUE at the last "=": paths of tests have none.
std::pair<std::string, std::string> assignment(const std::string& argument) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos) throw Usage{"expected PATH=VALUE, not '" + argument + "'"};
    return {argument.substr(0, equals), argument.substr(equals + 1)};
}

mode_t mode_of(const std::string& text) { return static_cast<mode_t>(std::stoul(text, nullptr, 8)); }

Json write_file(const std::string& argument) {
    const auto [path, text] = assignment(argument);
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return errno_name(errno);
    const std::string result = outcome(write(fd, text.data(), text.size()));
    close(fd);
    return result;
}

Json open_file(const std::string& path, int flags) {
    const int fd = open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    if (fd < 0) return errno_name(errno);
    close(fd);
    return "ok";
}

// mknod:PATH=c:1:3
Json make_node(const std::string& argument) {
    const auto [path, what] = assignment(argument);
    char type = 0;
    unsigned high = 0, low = 0;
    if (what == "p") return outcome(mknod(path.c_str(), S_IFIFO | 0644, 0));
    if (sscanf(what.c_str(), "%c:%u:%u", &type, &high, &low) != 3) throw Usage{"expected PATH=c:MAJOR:MINOR"};
    return outcome(mknod(path.c_str(), (type == 'b' ? S_IFBLK : S_IFCHR) | 0666, makedev(high, low)));
}

Json change_owner(const std::string& argument) {
    const auto [path, owner] = assignment(argument);
    unsigned uid = 0, gid = 0;
    if (sscanf(owner.c_str(), "%u:%u", &uid, &gid) != 2) throw Usage{"expected PATH=UID:GID"};
    return outcome(lchown(path.c_str(), uid, gid));
}

Json attributes(const std::string& path) {
    char names[4096];
    const ssize_t size = llistxattr(path.c_str(), names, sizeof names);
    if (size < 0) return {{"error", errno_name(errno)}};
    Json seen = Json::object();
    for (const char* name = names; name < names + size; name += strlen(name) + 1) {
        char value[4096];
        const ssize_t length = lgetxattr(path.c_str(), name, value, sizeof value);
        std::string hex;
        for (ssize_t i = 0; i < length; ++i) {
            char pair[3];
            snprintf(pair, sizeof pair, "%02x", static_cast<unsigned char>(value[i]));
            hex += pair;
        }
        seen[name] = length < 0 ? Json(errno_name(errno)) : Json(hex);
    }
    return seen;
}

// mount:TYPE:TARGET, a real mount
Json mount_type(const std::string& argument) {
    const std::size_t colon = argument.find(':');
    if (colon == std::string::npos) throw Usage{"expected mount:TYPE:TARGET"};
    return outcome(mount("none", argument.substr(colon + 1).c_str(), argument.substr(0, colon).c_str(), 0, nullptr));
}

// How a program's own file could be overwritten through /proc: directly, and by a path descriptor opened again later.
Json executable(const std::string& pid) {
    const std::string path = "/proc/" + pid + "/exe";
    Json seen = {{"target", read_link(path)}, {"write", open_file(path, O_WRONLY)}};
    const int held = open(path.c_str(), O_PATH | O_CLOEXEC);
    if (held < 0) return seen.update({{"path", errno_name(errno)}}), seen;
    const std::string again = "/proc/self/fd/" + std::to_string(held);
    seen["reopen"] = open_file(again, O_RDWR);
    const int readable = open(again.c_str(), O_RDONLY | O_CLOEXEC);
    if (readable >= 0) {
        seen["seals"] = fcntl(readable, F_GET_SEALS);
        close(readable);
    }
    struct statfs info {};
    if (fstatfs(held, &info) == 0) seen["readonly_mount"] = (info.f_flags & MS_RDONLY) != 0;
    close(held);
    return seen;
}

}  // namespace

void add_files(Verbs& verbs) {
    verbs["stat"] = status;
    verbs["read"] = verbs["file"] = content;
    verbs["sysctl"] = sysctl;
    verbs["dir"] = directory;
    verbs["devices"] = devices;
    verbs["fds"] = descriptors;
    verbs["mounts"] = mounts;
    verbs["statfs"] = file_system;
    verbs["xattr"] = attributes;
    verbs["readlink"] = [](const std::string& path) { return Json(read_link(path)); };
    verbs["write"] = write_file;
    verbs["open-read"] = [](const std::string& path) { return open_file(path, O_RDONLY); };
    verbs["open-write"] = [](const std::string& path) { return open_file(path, O_WRONLY); };
    verbs["create"] = [](const std::string& path) { return open_file(path, O_WRONLY | O_CREAT | O_EXCL); };
    verbs["mkdir"] = [](const std::string& path) { return Json(outcome(mkdir(path.c_str(), 0755))); };
    verbs["rmdir"] = [](const std::string& path) { return Json(outcome(rmdir(path.c_str()))); };
    verbs["unlink"] = [](const std::string& path) { return Json(outcome(unlink(path.c_str()))); };
    verbs["mknod"] = make_node;
    verbs["chown"] = change_owner;
    verbs["mount"] = mount_type;
    verbs["umount"] = [](const std::string& path) { return Json(outcome(umount2(path.c_str(), MNT_DETACH))); };
    verbs["chdir"] = [](const std::string& path) { return Json(outcome(chdir(path.c_str()))); };
    verbs["chmod"] = [](const std::string& argument) {
        const auto [path, mode] = assignment(argument);
        return Json(outcome(chmod(path.c_str(), mode_of(mode))));
    };
    verbs["symlink"] = [](const std::string& argument) {
        const auto [path, target] = assignment(argument);
        return Json(outcome(symlink(target.c_str(), path.c_str())));
    };
    verbs["rename"] = [](const std::string& argument) {
        const auto [from, to] = assignment(argument);
        return Json(outcome(rename(from.c_str(), to.c_str())));
    };
    verbs["exe"] = [](const std::string& pid) {
        if (!pid.empty()) return executable(pid);
        return Json{{"self", executable("self")}, {"1", executable("1")}};
    };
}

}  // namespace probe
