#include "exec/channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sandbox {

Status send_record(int socket, const Record& record, std::span<const int> descriptors) {
    constexpr std::size_t at_once = 250;  // SCM_MAX_FD is 253 (unix(7))
    alignas(cmsghdr) char control[CMSG_SPACE(at_once * sizeof(int))];
    do {
        const auto group = descriptors.first(std::min(at_once, descriptors.size()));
        descriptors = descriptors.subspan(group.size());
        iovec vector{const_cast<Record*>(&record), sizeof record};
        msghdr message{};
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        if (!group.empty()) {
            message.msg_control = control;
            message.msg_controllen = CMSG_SPACE(group.size_bytes());
            cmsghdr* head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(group.size_bytes());
            std::memcpy(CMSG_DATA(head), group.data(), group.size_bytes());
        }
        if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return fail_errno("send to the sandbox", errno);
    } while (!descriptors.empty());
    return {};
}

std::optional<ReceivedRecord> receive_record(int socket, bool& ended) {
    ReceivedRecord received;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec vector{&received.record, sizeof received.record};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) ended = true;
    if (size != sizeof received.record) return std::nullopt;
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
        received.descriptor.reset(descriptor);
    }
    return received;
}

}  // namespace sandbox
