#include "exec/names.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::string_view marker = "# other sandboxes on the bridge\n";
constexpr off_t largest_hosts = 4 << 20;

// In place: the file is mounted inside, and a new one at its name would not be. One write, so that a reader hardly sees half of it.
Status rewrite(int file, const std::string& text, const char* name) {
    const ssize_t written = pwrite(file, text.data(), text.size(), 0);
    if (written != static_cast<ssize_t>(text.size()) || ftruncate(file, written) != 0)
        return fail_errno(cat("write ", name), written < 0 ? errno : ENOSPC);
    return {};
}

Status write_file(int folder, const char* name, const std::string& text) {
    const Fd file(openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    // Whatever the umask: everybody inside reads it.
    if (!file || fchmod(file.get(), 0644) != 0) return fail_errno(name, errno);
    return rewrite(file.get(), text, name);
}

std::string line(const std::string& address, const std::vector<std::string>& names) { return cat(address, "\t", join(names, " "), "\n"); }

std::string hosts_text(const step::WriteNames& what, const std::vector<IpAddress>& own) {
    std::string text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    for (const IpAddress& address : own) text += line(to_text(address), what.own_names);
    // As Debian has it for a machine without an address of its own.
    if (own.empty()) text += line("127.0.1.1", what.own_names);
    for (const auto& [name, address] : what.hosts) text += line(to_text(address), {name});
    return text;
}

std::string read_whole(int file) {
    struct stat info {};
    if (fstat(file, &info) != 0) return {};
    std::string text(static_cast<std::size_t>(std::min(info.st_size, largest_hosts)), '\0');
    const ssize_t size = pread(file, text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(size < 0 ? 0 : size));
    return text;
}

}  // namespace

Status write_names(int folder, const step::WriteNames& what, const std::vector<IpAddress>& own) {
    if (auto written = write_file(folder, "resolv.conf", what.resolver); !written) return written;
    if (auto written = write_file(folder, "hostname", what.hostname + "\n"); !written) return written;
    return write_file(folder, "hosts", hosts_text(what, own));
}

void tell_neighbours(int state_root, const std::vector<PoolMember>& members) {
    for (const PoolMember& member : members) {
        const Fd folder(openat(state_root, member.sandbox.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        const Fd file(folder ? openat(folder.get(), "hosts", O_RDWR | O_NOFOLLOW | O_CLOEXEC) : -1);
        if (!file) continue;
        const std::string before = read_whole(file.get());
        std::string text = before.substr(0, before.find(marker));
        std::string others;
        for (const PoolMember& other : members)
            if (other.sandbox != member.sandbox)
                for (const IpAddress& address : other.addresses) others += line(to_text(address), {other.sandbox});
        if (!others.empty()) text += cat(marker, others);
        if (text != before) static_cast<void>(rewrite(file.get(), text, "hosts"));
    }
}

}  // namespace sandbox
