#include "state/events.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "state/tree.h"

namespace sandbox {
namespace {

constexpr const char* folder_name = ".events";
constexpr int events_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

sockaddr_un address_in(int folder, const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = cat("/proc/self/fd/", folder, "/", name);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

}  // namespace

std::string event_to_json(const Event& event) {
    nlohmann::ordered_json json{{"time", event.time}, {"name", event.name}, {"event", event.what}};
    for (const auto& [key, value] : event.details) json[key] = value;
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void emit_event(int root, const Event& event) {
    const Fd folder(openat(root, folder_name, events_flags));
    if (!folder) return;
    const auto entries = list_folder(folder.get());
    const Fd socket_(entries && !entries->empty() ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1);
    if (!socket_) return;
    const std::string text = event_to_json(event);
    for (const FolderEntry& entry : *entries) {
        const sockaddr_un address = address_in(folder.get(), entry.name);
        const ssize_t sent = sendto(socket_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                    reinterpret_cast<const sockaddr*>(&address), sizeof address);
        if (sent < 0 && errno == ECONNREFUSED) unlinkat(folder.get(), entry.name.c_str(), 0);  // its listener was killed
    }
}

void drop_dead_listeners(int root) {
    const Fd folder(openat(root, folder_name, events_flags));
    if (!folder) return;
    const auto entries = list_folder(folder.get());
    const Fd probe(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!entries || !probe) return;
    for (const FolderEntry& entry : *entries) {
        const sockaddr_un address = address_in(folder.get(), entry.name);
        if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno == ECONNREFUSED)
            unlinkat(folder.get(), entry.name.c_str(), 0);
    }
    unlinkat(root, folder_name, AT_REMOVEDIR);
}

Result<EventListener> EventListener::open(int root) {
    EventListener listener;
    if (mkdirat(root, folder_name, 0700) != 0 && errno != EEXIST) return fail_errno("make .events in the state directory", errno);
    listener.root_.reset(fcntl(root, F_DUPFD_CLOEXEC, 3));
    listener.folder_.reset(openat(root, folder_name, events_flags));
    if (!listener.folder_) return fail_errno("open .events in the state directory", errno);
    listener.name_ = std::to_string(getpid());
    listener.socket_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    unlinkat(listener.folder_.get(), listener.name_.c_str(), 0);
    const sockaddr_un address = address_in(listener.folder_.get(), listener.name_);
    if (!listener.socket_ || bind(listener.socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno("listen for events", errno);
    return listener;
}

EventListener::EventListener(EventListener&& other) noexcept = default;

EventListener::~EventListener() {
    if (!socket_) return;
    unlinkat(folder_.get(), name_.c_str(), 0);
    unlinkat(root_.get(), folder_name, AT_REMOVEDIR);  // unless another listens
}

std::string EventListener::next() {
    char buffer[8192];
    const ssize_t size = recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
}

}  // namespace sandbox
