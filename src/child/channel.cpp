// Records between the child and the launcher on one SEQPACKET socket: both ends see end of file if the other dies.

#include "child/child.h"

namespace sandbox::child {
namespace {

// The kernel's layouts (socket(7), unix(7)); the C library's header is not for a freestanding program.
struct IoVector {
    void* base;
    size_t length;
};
struct Message {
    void* name;
    int name_length;
    IoVector* vectors;
    size_t vector_count;
    void* control;
    size_t control_length;
    unsigned flags;
};
struct ControlHead {
    size_t length;
    int level;
    int type;
};
constexpr int level_socket = 1, rights = 1;
constexpr int no_signal = 0x4000, close_on_exec = 0x40000000;
constexpr size_t descriptors_at_once = 250;  // SCM_MAX_FD is 253

struct Control {
    ControlHead head;
    int descriptors[descriptors_at_once];
};

}  // namespace

void send_record(Child& child, RecordKind kind, uint32_t step, long error, long detail, int descriptor) {
    Record record{kind, step, static_cast<int32_t>(error), static_cast<int32_t>(detail)};
    IoVector vector{&record, sizeof record};
    struct {
        ControlHead head;
        int descriptor, padding;
    } control{{sizeof(ControlHead) + sizeof(int), level_socket, rights}, descriptor, 0};
    Message message{nullptr, 0, &vector, 1, nullptr, 0, 0};
    if (descriptor >= 0) {
        message.control = &control;
        message.control_length = sizeof control;
    }
    if (sys::call(SYS_sendmsg, child.socket, sys::ptr(&message), no_signal) < 0 && !child.is_payload) abandon(child);
}

long receive_record(Child& child, Record& record, const int32_t* slots, uint64_t count) {
    do {
        IoVector vector{&record, sizeof record};
        Control control;
        Message message{nullptr, 0, &vector, 1, &control, sizeof control, 0};
        const long got = sys::call(SYS_recvmsg, child.socket, sys::ptr(&message), close_on_exec);
        if (got == -4) continue;  // EINTR
        if (got <= 0) abandon(child);
        if (message.control_length < sizeof(ControlHead)) {
            if (count) return -71;  // EPROTO: descriptors were announced
            return 0;
        }
        const size_t sent = (control.head.length - sizeof(ControlHead)) / sizeof(int);
        for (size_t i = 0; i < sent && count; ++i, --count) child.fill(*slots++, control.descriptors[i]);
    } while (count);
    return 0;
}

}  // namespace sandbox::child
