#include "kernel/systemd.h"

#include <dbus/dbus.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string_view>

#include "base/text.h"

namespace sandbox {
namespace {

constexpr const char* service = "org.freedesktop.systemd1";
constexpr const char* object = "/org/freedesktop/systemd1";
constexpr const char* interface = "org.freedesktop.systemd1.Manager";
constexpr int most_time_ms = 25'000;  // what D-Bus itself allows an answer

struct CloseConnection {
    void operator()(DBusConnection* connection) const {
        dbus_connection_close(connection);
        dbus_connection_unref(connection);
    }
};
struct UnrefMessage {
    void operator()(DBusMessage* message) const { dbus_message_unref(message); }
};
using Connection = std::unique_ptr<DBusConnection, CloseConnection>;
using Message = std::unique_ptr<DBusMessage, UnrefMessage>;

// An error as D-Bus has it: a name and words.
class Refusal {
   public:
    Refusal() { dbus_error_init(&error_); }
    Refusal(const Refusal&) = delete;
    Refusal& operator=(const Refusal&) = delete;
    ~Refusal() { dbus_error_free(&error_); }
    DBusError* operator&() { return &error_; }
    [[nodiscard]] bool is(const char* name) const { return dbus_error_has_name(&error_, name) != 0; }
    [[nodiscard]] std::string words() const { return error_.message && *error_.message ? printable(error_.message) : "no reason given"; }

   private:
    DBusError error_;
};

constexpr const char* no_such_unit = "org.freedesktop.systemd1.NoSuchUnit";
constexpr const char* unit_exists = "org.freedesktop.systemd1.UnitExists";
constexpr const char* wants_a_password = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";

std::string hint_for(const Refusal& refusal) {
    if (refusal.is(DBUS_ERROR_ACCESS_DENIED) || refusal.is(wants_a_password))
        return "polkit did not allow it (org.freedesktop.systemd1.manage-units); run as root, or say cgroup: {manager: none}";
    if (refusal.is(unit_exists)) return "systemctl status shows whose unit it is";
    if (refusal.is(DBUS_ERROR_NO_REPLY) || refusal.is(DBUS_ERROR_TIMEOUT))
        return "systemd or its bus is busy or stuck; systemctl list-jobs shows what it waits for";
    if (refusal.is(DBUS_ERROR_SERVICE_UNKNOWN)) return "systemd is not on this bus; log in through a session, or: loginctl enable-linger";
    return {};
}

tl::unexpected<Error> refused(std::string what, const Refusal& refusal) {
    return fail(cat(what, ": ", refusal.words()), hint_for(refusal));
}

std::int64_t now_ms() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
}

int left_of(std::int64_t deadline) { return static_cast<int>(std::max<std::int64_t>(deadline - now_ms(), 0)); }

// A user's systemd is behind the socket in the runtime directory; another bus may be where the environment says. Sockets only: an
// address may also name a program to start.
std::string address_of(Manager manager) {
    if (manager == Manager::system) return "unix:path=/run/dbus/system_bus_socket";
    const std::string usual = cat("/run/user/", geteuid(), "/bus");
    const char* told = access(usual.c_str(), F_OK) == 0 ? nullptr : std::getenv("DBUS_SESSION_BUS_ADDRESS");
    return told && std::string_view(told).starts_with("unix:") ? told : cat("unix:path=", usual);
}

tl::unexpected<Error> not_connected(Manager manager, const Refusal& refusal) {
    const bool user = manager == Manager::user;
    Error error{cat("no connection to ", user ? "the user's bus: " : "the system's bus: ", refusal.words()),
                user ? "log in through a session, or: loginctl enable-linger" : "start dbus, or say cgroup: {manager: fs}",
                ENOTCONN,
                {},
                {}};
    return tl::unexpected<Error>(std::move(error));
}

// One conversation with a manager, which has so much time in all.
class Conversation {
   public:
    static Result<Conversation> begin(Manager manager) {
        Refusal refusal;
        Connection connection(dbus_connection_open_private(address_of(manager).c_str(), &refusal));
        if (!connection) return not_connected(manager, refusal);
        // libdbus would otherwise end the process when the bus goes, and ignore SIGPIPE for good.
        dbus_connection_set_exit_on_disconnect(connection.get(), FALSE);
        dbus_connection_set_change_sigpipe(FALSE);
        if (!dbus_bus_register(connection.get(), &refusal)) return not_connected(manager, refusal);
        Conversation out(std::move(connection));
        if (auto heard = out.listen(); !heard) return pass(heard);
        return out;
    }

    // Calls a method of the manager with what `fill` appends, and returns the answer.
    Message call(const char* method, const std::function<bool(DBusMessage*)>& fill, Refusal& refusal) {
        const Message message(dbus_message_new_method_call(service, object, interface, method));
        if (!message || !fill(message.get())) {
            dbus_set_error_const(&refusal, DBUS_ERROR_NO_MEMORY, "no memory for a message");
            return nullptr;
        }
        return Message(
            dbus_connection_send_with_reply_and_block(connection_.get(), message.get(), std::max(left_of(deadline_), 1), &refusal));
    }

    // The next signal of that name for which `wanted` says yes; null after the time, or when the bus has gone.
    Message wait_for(const char* name, const std::function<bool(DBusMessage*)>& wanted) {
        for (;;) {
            while (Message message{dbus_connection_pop_message(connection_.get())})
                if (dbus_message_is_signal(message.get(), interface, name) && wanted(message.get())) return message;
            const int left = left_of(deadline_);
            if (left == 0 || !dbus_connection_read_write(connection_.get(), left)) return nullptr;
        }
    }

   private:
    explicit Conversation(Connection connection) : connection_(std::move(connection)) {}

    // Before the first call, so that no answer is missed. The manager sends signals only while somebody has subscribed.
    Status listen() {
        Refusal refusal;
        dbus_bus_add_match(connection_.get(),
                           cat("type='signal',sender='", service, "',path='", object, "',interface='", interface, "'").c_str(), &refusal);
        if (dbus_error_is_set(&refusal)) return refused("listen to systemd", refusal);
        if (!call(
                "Subscribe", [](DBusMessage*) { return true; }, refusal))
            return refused("listen to systemd", refusal);
        return {};
    }

    Connection connection_;
    std::int64_t deadline_ = now_ms() + most_time_ms;
};

// ---- messages

bool append_text(DBusMessageIter* to, const char* text) { return dbus_message_iter_append_basic(to, DBUS_TYPE_STRING, &text); }

// (sv): a property's name and its value, which `fill` appends.
bool append_property(DBusMessageIter* list, const char* name, const char* type, const std::function<bool(DBusMessageIter*)>& fill) {
    DBusMessageIter pair, value;
    return dbus_message_iter_open_container(list, DBUS_TYPE_STRUCT, nullptr, &pair) && append_text(&pair, name) &&
           dbus_message_iter_open_container(&pair, DBUS_TYPE_VARIANT, type, &value) && fill(&value) &&
           dbus_message_iter_close_container(&pair, &value) && dbus_message_iter_close_container(list, &pair);
}

bool append_text_property(DBusMessageIter* list, const char* name, const std::string& text) {
    return append_property(list, name, "s", [&text](DBusMessageIter* value) { return append_text(value, text.c_str()); });
}

bool append_processes(DBusMessageIter* list, std::uint32_t pid) {
    return append_property(list, "PIDs", "au", [pid](DBusMessageIter* value) {
        DBusMessageIter pids;
        return dbus_message_iter_open_container(value, DBUS_TYPE_ARRAY, "u", &pids) &&
               dbus_message_iter_append_basic(&pids, DBUS_TYPE_UINT32, &pid) && dbus_message_iter_close_container(value, &pids);
    });
}

bool append_delegation(DBusMessageIter* list) {
    return append_property(list, "Delegate", "b", [](DBusMessageIter* value) {
        const dbus_bool_t yes = TRUE;
        return dbus_message_iter_append_basic(value, DBUS_TYPE_BOOLEAN, &yes);
    });
}

// StartTransientUnit(name, mode, properties a(sv), auxiliary units a(sa(sv))).
bool fill_start(DBusMessage* message, const ScopeRequest& request) {
    DBusMessageIter all, list;
    dbus_message_iter_init_append(message, &all);
    return append_text(&all, request.unit.c_str()) && append_text(&all, "fail") &&
           dbus_message_iter_open_container(&all, DBUS_TYPE_ARRAY, "(sv)", &list) &&
           append_text_property(&list, "Description", request.description) &&
           append_processes(&list, static_cast<std::uint32_t>(request.pid)) && append_delegation(&list) &&
           append_text_property(&list, "CollectMode", "inactive-or-failed") && dbus_message_iter_close_container(&all, &list) &&
           dbus_message_iter_open_container(&all, DBUS_TYPE_ARRAY, "(sa(sv))", &list) && dbus_message_iter_close_container(&all, &list);
}

bool fill_kill(DBusMessage* message, const std::string& unit) {
    const char *name = unit.c_str(), *whom = "all";
    const std::int32_t signal = SIGKILL;
    return dbus_message_append_args(message, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &whom, DBUS_TYPE_INT32, &signal, DBUS_TYPE_INVALID);
}

bool fill_stop(DBusMessage* message, const std::string& unit) {
    const char *name = unit.c_str(), *mode = "replace";
    return dbus_message_append_args(message, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &mode, DBUS_TYPE_INVALID);
}

std::string path_in(DBusMessage* answer) {
    const char* path = nullptr;
    return dbus_message_get_args(answer, nullptr, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_INVALID) ? path : "";
}

// JobRemoved(id, job, unit, result).
struct RemovedJob {
    std::string job, result;
};
RemovedJob job_in(DBusMessage* signal) {
    std::uint32_t id = 0;
    const char *job = "", *unit = "", *result = "";
    if (!dbus_message_get_args(signal, nullptr, DBUS_TYPE_UINT32, &id, DBUS_TYPE_OBJECT_PATH, &job, DBUS_TYPE_STRING, &unit,
                               DBUS_TYPE_STRING, &result, DBUS_TYPE_INVALID))
        return {};
    return {job, result};
}

// UnitRemoved(name, unit).
std::string unit_in(DBusMessage* signal) {
    const char *name = "", *path = "";
    return dbus_message_get_args(signal, nullptr, DBUS_TYPE_STRING, &name, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_INVALID) ? name : "";
}

}  // namespace

Status start_scope(Manager manager, const ScopeRequest& request) {
    auto systemd = Conversation::begin(manager);
    if (!systemd) return pass(systemd, cat("make the unit ", request.unit));
    Refusal refusal;
    const Message answer = systemd->call(
        "StartTransientUnit", [&](DBusMessage* m) { return fill_start(m, request); }, refusal);
    if (!answer) return refused(cat("make the unit ", request.unit), refusal);
    const std::string job = path_in(answer.get());
    const Message removed = systemd->wait_for("JobRemoved", [&job](DBusMessage* signal) { return job_in(signal).job == job; });
    if (!removed)
        return fail(cat("make the unit ", request.unit, ": systemd does not say within ", most_time_ms / 1000, " s that it is done"),
                    "systemctl list-jobs shows what it waits for");
    if (const std::string result = job_in(removed.get()).result; result != "done")
        return fail(cat("make the unit ", request.unit, ": systemd's job ended with ", quote(result)), "its log says why (journalctl)");
    return {};
}

Status stop_unit(Manager manager, const std::string& unit) {
    auto systemd = Conversation::begin(manager);
    if (!systemd) return pass(systemd, cat("stop the unit ", unit));
    Refusal nobody, refusal;
    // A stop alone begins with SIGTERM and gives the unit's processes 90 seconds. That nobody is there to be killed is no trouble.
    systemd->call(
        "KillUnit", [&](DBusMessage* m) { return fill_kill(m, unit); }, nobody);
    if (!systemd->call(
            "StopUnit", [&](DBusMessage* m) { return fill_stop(m, unit); }, refusal))
        return refusal.is(no_such_unit) ? Status() : Status(refused(cat("stop the unit ", unit), refusal));
    // It was loaded then, so its removal is still to be told.
    if (systemd->wait_for("UnitRemoved", [&unit](DBusMessage* signal) { return unit_in(signal) == unit; })) return {};
    return fail(cat("stop the unit ", unit, ": systemd still has it after ", most_time_ms / 1000, " s"),
                "systemctl status shows what keeps it");
}

}  // namespace sandbox
