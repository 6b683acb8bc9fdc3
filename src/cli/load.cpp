// Finding and reading a profile, and looking at the host for it.

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/library.h"
#include "cli/sandboxes.h"
#include "kernel/netlink.h"
#include "profile/untrusted.h"

extern char** environ;

namespace sandbox {
namespace {

Result<FoundProfile> find_profile(const std::string& word, InstalledProfiles& library) {
    if (word != "-" && !is_profile_path(word)) return library.find_name(word);
    auto text = read_profile_text(word);
    if (!text) return pass(text);
    if (word == "-") return FoundProfile{{"<standard input>", std::move(*text), working_directory()}, {}};
    return FoundProfile{{word, std::move(*text), folder_of(word)}, {}};
}

// Folders that belong to people.
std::vector<std::string> homes() {
    std::vector<std::string> out{"/home", "/root"};
    const std::string own = clean_path(environment("HOME"));
    if (own != "/" && !beneath(own, "/home") && !beneath(own, "/root")) out.push_back(own);
    return out;
}

std::string runtime_directory() {
    auto root = state_root_path(geteuid(), std::getenv("XDG_RUNTIME_DIR"));
    return root ? *root : std::string();
}

// 0 where it cannot be read: then nobody has changed it either.
std::int64_t own_oom_score() {
    const Fd file(open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC));
    char buffer[16];
    const ssize_t size = file ? read(file.get(), buffer, sizeof buffer) : 0;
    return parse_int(trim(std::string_view(buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0))))).value_or(0);
}

std::vector<IpAddress> addresses_of(const NetworkRecord& record) {
    std::vector<IpAddress> out;
    for (const std::string& text : record.addresses)
        if (const auto network = parse_ip_network(text)) out.push_back(network->address);
    return out;
}

std::vector<WantedPort> ports_of(const NetworkRecord& record) {
    std::vector<WantedPort> out;
    for (const PortRecord& port : record.ports)
        if (const auto address = parse_ip(port.host_ip))
            for (std::uint16_t i = 0; i < port.count; ++i)
                out.push_back({*address, static_cast<std::uint16_t>(port.host_port + i), port.protocol == "udp"});
    return out;
}

// What the caller's other sandboxes have of the network.
std::vector<SandboxFact> other_sandboxes() {
    std::vector<SandboxFact> out;
    auto all = all_sandboxes();
    for (std::size_t i = 0; all && i < all->size(); ++i) {
        const SandboxStatus& s = (*all)[i].status;
        SandboxFact fact{s.name, s.network, (*all)[i].alive && s.phase != SandboxPhase::stopped, s.init, s.init_start, {}, {}, {}};
        if (s.network_details && s.network_details->host_network == own_network()) {
            fact.bridge = s.network_details->bridge;
            fact.addresses = addresses_of(*s.network_details);
            fact.ports = ports_of(*s.network_details);
        }
        out.push_back(std::move(fact));
    }
    return out;
}

}  // namespace

std::map<std::string, std::string> profile_variables() {
    return {{"HOME", environment("HOME")},     {"USER", environment("USER")}, {"UID", std::to_string(getuid())},
            {"GID", std::to_string(getgid())}, {"PWD", working_directory()},  {"RUNTIME_DIR", runtime_directory()}};
}

Result<LoadRequest> request_for(const ProfileOptions& options, InstalledProfiles& library) {
    LoadRequest request;
    auto found = find_profile(options.profile, library);
    if (!found) return pass(found);
    request.stem = options.profile == "-" ? "stdin" : profile_stem(found->file.name);
    request.profile = std::move(*found);
    request.library = &library;
    request.name_override = options.name;
    request.set = options.set;
    request.command = options.command;
    request.variables = profile_variables();
    return request;
}

void distrust(Loaded& loaded, const LoadRequest& request) {
    if (!loaded.decoded) return;
    check_untrusted(loaded.profile, {request.profile.file.directory, homes()}, loaded.diagnostics);
    sort_by_position(loaded.diagnostics);
}

Result<Loaded> load(const ProfileOptions& options) {
    InstalledProfiles library;
    const auto request = request_for(options, library);
    if (!request) return tl::unexpected<Error>(request.error());
    Loaded loaded = load_profile(*request);
    if (options.untrusted) distrust(loaded, *request);
    return loaded;
}

Result<HostFacts> probe_for(const Profile& profile) { return probe_for(fact_needs(profile)); }

Result<HostFacts> probe_for(const FactNeeds& needs) {
    ProbeRequest request;
    request.mounts = needs.mounts;
    request.overlay = needs.overlay;
    request.user_namespace = needs.user_namespace;
    request.passwd = needs.passwd;
    request.cgroups = needs.cgroups;
    request.cgroup_files = needs.cgroup_files;
    request.lxcfs = needs.lxcfs;
    request.network = needs.network;
    request.names = needs.names;
    request.wanted_ports = needs.wanted_ports;
    request.link_kinds = needs.link_kinds;
    request.disk_paths = needs.disk_paths;
    request.paths = needs.paths;
    request.upper_paths = needs.upper_paths;
    request.root_layers = needs.root_layers;
    request.root_paths = needs.root_paths;
    auto facts = probe(request);
    if (facts && needs.sandboxes) facts->sandboxes = other_sandboxes();
    return facts;
}

CallerContext caller_context() {
    CallerContext caller;
    caller.oom_score_adj = own_oom_score();
    caller.state_folder = runtime_directory();
    for (char** entry = environ; entry && *entry; ++entry) caller.environment.emplace_back(*entry);
    for (int stream = 0; stream < 3; ++stream) caller.terminal[stream] = isatty(stream) == 1;
    winsize size{};
    for (int stream = 0; stream < 3; ++stream)
        if (caller.terminal[stream] && ioctl(stream, TIOCGWINSZ, &size) == 0) {
            caller.size = {size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel};
            break;
        }
    return caller;
}

Result<StateRoot> open_state(bool create) {
    auto path = state_root_path(geteuid(), std::getenv("XDG_RUNTIME_DIR"));
    if (!path) return pass(path);
    return create ? StateRoot::open(*path) : StateRoot::open_existing(*path);
}

}  // namespace sandbox
