#include "exec/shared_network.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/fd.h"
#include "base/text.h"

namespace sandbox {
namespace {

constexpr std::string_view setting_prefix = "setting:", kept_prefix = "kept:";

// A note may name a setting of the network, and no other place.
bool is_network_setting(std::string_view path) {
    return (path.starts_with("net/ipv4/") || path.starts_with("net/ipv6/")) && path.find("/../") == std::string_view::npos;
}

Result<std::string> read_setting(const std::string& path) {
    const Fd file(open(cat("/proc/sys/", path).c_str(), O_RDONLY | O_CLOEXEC));
    char buffer[64];
    const ssize_t size = file ? read(file.get(), buffer, sizeof buffer) : -1;
    if (size < 0) return fail_errno(cat("read the setting ", path), errno);
    return std::string(trim(std::string_view(buffer, static_cast<std::size_t>(size))));
}

Status write_setting(const std::string& path, const std::string& value) {
    const Fd file(open(cat("/proc/sys/", path).c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || write(file.get(), value.data(), value.size()) < 0)
        return fail_errno(cat("write the setting ", path), errno,
                          errno == EROFS ? "/proc/sys is read-only here: set it by hand beforehand" : "");
    return {};
}

// Notes the value that it has before another is set; what has the value already is left alone, and stays so.
Status note_setting(Fields& notes, const NeededSetting& needed) {
    auto before = read_setting(needed.path);
    // A kernel without IPv6, or a link that is just going: nothing to be set.
    if (!before) return before.error().number == ENOENT ? Status() : pass(before);
    const std::string key = cat(setting_prefix, needed.path);
    if (*before == needed.value) return {};
    if (field(notes, key).empty()) notes.emplace_back(key, cat(*before, " ", needed.value));
    return {};
}

Status apply_settings(const std::vector<NeededSetting>& settings) {
    for (const NeededSetting& s : settings) {
        auto now = read_setting(s.path);
        if (!now || *now == s.value) continue;
        if (auto written = write_setting(s.path, s.value); !written) return written;
    }
    return {};
}

// Only what still is as we have set it: somebody may have changed it since.
Status restore_settings(const Fields& notes) {
    Status result;
    for (const auto& [key, value] : notes) {
        if (!key.starts_with(setting_prefix)) continue;
        const std::string path = key.substr(setting_prefix.size());
        if (!is_network_setting(path)) continue;
        const auto space = value.find(' ');
        const auto now = read_setting(path);
        if (!now || space == std::string::npos || *now != value.substr(space + 1)) continue;
        if (auto written = write_setting(path, value.substr(0, space)); !written && result) result = written;
    }
    return result;
}

std::vector<std::string> entries_of(const std::string& folder) {
    std::vector<std::string> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir(folder.c_str()), closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr)
        if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
    return out;
}

// What a write to the switch changes besides (Linux net/ipv4/devinet.c, inet_forward_change; net/ipv6/addrconf.c,
// addrconf_fixup_forwarding): the same switch of each link, and accept_redirects. A link that had its own way gets it back.
std::vector<NeededSetting> forwarding_settings(bool v6) {
    const std::string folder = v6 ? "net/ipv6/conf" : "net/ipv4/conf";
    std::vector<NeededSetting> out;
    for (const std::string& link : entries_of(cat("/proc/sys/", folder))) {
        if (link == "all") continue;
        // A host that passes packets on takes no router's word any more, unless it is told to (ip-sysctl: accept_ra).
        if (!v6 || link == "default") continue;
        const std::string path = cat(folder, "/", link, "/accept_ra");
        if (const auto now = read_setting(path); now && *now == "1") out.push_back({path, "2"});
    }
    return out;
}

struct Kept {
    std::string path, value;
};
std::vector<Kept> swept_along(bool v6) {
    const std::string folder = v6 ? "net/ipv6/conf" : "net/ipv4/conf";
    std::vector<Kept> out;
    for (const std::string& link : entries_of(cat("/proc/sys/", folder))) {
        const std::string path = cat(folder, "/", link, "/forwarding");
        if (link != "all")
            if (const auto now = read_setting(path); now && *now == "1") out.push_back({path, "1"});
    }
    if (!v6)
        if (const auto now = read_setting("net/ipv4/conf/all/accept_redirects"); now)
            out.push_back({"net/ipv4/conf/all/accept_redirects", *now});
    return out;
}

}  // namespace

MacAddress mac_of_run(std::uint8_t first, const std::string& id) {
    MacAddress mac{first, 0x53};
    for (std::size_t i = 0; i < 4 && 2 * i + 1 < id.size(); ++i)
        mac[i + 2] = static_cast<std::uint8_t>(std::stoul(id.substr(2 * i, 2), nullptr, 16));
    return mac;
}

std::string bridge_file_name(const std::string& bridge) { return cat(".net.", own_network(), ".", bridge); }
std::string forwarding_file_name(bool v6) { return cat(".sysctl.", own_network(), v6 ? ".ipv6-forwarding" : ".ipv4-forwarding"); }
std::uint64_t network_of(const std::string& name) {
    const auto start = name.find('.', 1);
    if (start == std::string::npos) return 0;
    const auto number = parse_int(std::string_view(name).substr(start + 1, name.find('.', start + 1) - start - 1));
    return number && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
}

namespace {

std::string alias_of(const BridgeWish& wish) { return cat("sandbox bridge ", wish.id); }

bool is_noted(const LinkInfo& link, const Fields& notes) {
    return link.kind == "bridge" && !field(notes, "mac").empty() && to_text(link.mac) == field(notes, "mac");
}

Result<int> make(Netlink& host, AddressPool& pool, const BridgeWish& wish) {
    const MacAddress mac = mac_of_run(0x02, wish.id);
    // Before it is made: whoever comes after our death knows it by its address.
    if (auto noted = pool.set_notes({{"bridge", wish.name}, {"mac", to_text(mac)}}); !noted) return pass(noted);
    return host.make_bridge({wish.name, alias_of(wish), mac, wish.addresses, std::nullopt});
}

}  // namespace

Result<int> use_bridge(Netlink& host, SharedFile& file, const BridgeWish& wish) {
    AddressPool pool(file);
    auto last = file.is_last();
    if (!last) return pass(last);
    auto notes = pool.notes();
    if (!notes) return pass(notes);
    auto link = host.find(wish.name);
    if (!link) return pass(link);
    // What dead users left goes first: it may have been made for another subnet.
    if (*last && !notes->empty()) {
        if (auto back = give_bridge_back(file); !back) return pass(back);
        link = host.find(wish.name);
        if (!link) return pass(link);
    }
    if (*link && (*link)->kind != "bridge")
        return fail(cat(quote(wish.name), " is not a bridge"), "choose another name for network.bridge");
    if (!*link && !wish.create) return fail(cat("there is no bridge ", quote(wish.name)), "make it, or say create: true");
    auto index = *link ? Result<int>((*link)->index) : make(host, pool, wish);
    if (!index) return index;
    auto now = pool.notes();
    if (!now) return pass(now);
    const std::size_t known = now->size();
    if (now->empty()) now->emplace_back("bridge", wish.name);
    for (const NeededSetting& setting : wish.settings)
        if (auto noted = note_setting(*now, setting); !noted) return pass(noted);
    if (now->size() != known)
        if (auto noted = pool.set_notes(*now); !noted) return pass(noted);
    if (!*link || is_noted(**link, *now))
        if (auto set = apply_settings(wish.of_ours); !set) return pass(set);
    if (auto set = apply_settings(wish.settings); !set) return pass(set);
    return index;
}

Status give_bridge_back(SharedFile& file) {
    AddressPool pool(file);
    auto notes = pool.notes();
    if (!notes) return pass(notes);
    const std::string name(field(*notes, "bridge"));
    if (name.empty()) return {};
    auto host = Netlink::open();
    if (!host) return pass(host);
    auto link = host->find(name);
    if (!link) return pass(link);
    if (*link && is_noted(**link, *notes)) {
        if (auto removed = host->remove((*link)->index); !removed) return removed;
    } else if (auto restored = restore_settings(*notes); !restored) {
        return restored;
    }
    return pool.set_notes({});
}

Status switch_forwarding_on(SharedFile& file, bool v6) {
    AddressPool pool(file);
    auto last = file.is_last();
    if (!last) return pass(last);
    auto notes = pool.notes();
    if (!notes) return pass(notes);
    if (*last && !notes->empty()) {
        if (auto back = switch_forwarding_back(file); !back) return back;
        notes->clear();
    }
    const std::string path = v6 ? "net/ipv6/conf/all/forwarding" : "net/ipv4/ip_forward";
    auto now = read_setting(path);
    if (!now) return pass(now);
    if (*now != "0") return {};
    std::vector<NeededSetting> settings = forwarding_settings(v6);
    settings.push_back({path, "1"});
    for (const NeededSetting& setting : settings)
        if (auto noted = note_setting(*notes, setting); !noted) return noted;
    for (const Kept& kept : swept_along(v6)) notes->emplace_back(cat(kept_prefix, kept.path), kept.value);
    if (auto noted = pool.set_notes(*notes); !noted) return noted;
    return apply_settings(settings);
}

Status switch_forwarding_back(SharedFile& file) {
    AddressPool pool(file);
    auto notes = pool.notes();
    if (!notes) return pass(notes);
    if (auto restored = restore_settings(*notes); !restored) return restored;
    for (const auto& [key, value] : *notes) {
        if (!key.starts_with(kept_prefix)) continue;
        const std::string path = key.substr(kept_prefix.size());
        if (!is_network_setting(path)) continue;
        if (const auto now = read_setting(path); now && *now != value)
            if (auto written = write_setting(path, value); !written) return written;
    }
    return pool.set_notes({});
}

}  // namespace sandbox
