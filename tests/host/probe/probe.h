// The probe: a static program that runs inside a sandbox and prints as one JSON object what it sees there.
// Each verb is one word of the command line, "name" or "name:argument", and becomes one member of the object.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace probe {

using Json = nlohmann::json;
// Takes what follows the colon of the verb (empty without one) and returns what was seen.
using Verb = std::function<Json(const std::string& argument)>;
using Verbs = std::map<std::string, Verb>;

// A verb's argument makes no sense: the probe ends with 64 and this message.
struct Usage {
    std::string message;
};

// "EPERM"; "ok" for 0; the number for one without a name.
std::string errno_name(int number);
// errno_name of a call that returns -1 on failure.
std::string outcome(long result);
// The whole file, at most `limit` bytes, or nothing with errno set.
std::optional<std::string> read_file(const std::string& path, std::size_t limit = 1 << 20);
std::string read_link(const std::string& path);
// /proc/PID/status as name and value.
std::map<std::string, std::string> process_status(const std::string& pid);
// A number that is the whole text; Usage otherwise.
long number(const std::string& text);
// "TERM", "SIGTERM" or "15"; Usage otherwise.
int signal_number(const std::string& text);
std::string signal_name(int signal);
// Writes one line of JSON to standard output at once.
void say(const Json& json);

void add_identity(Verbs& verbs);   // who the process is: ids, capabilities, namespaces, limits
void add_files(Verbs& verbs);      // what it sees of files, and what it may change
void add_calls(Verbs& verbs);      // which system calls it may make
void add_processes(Verbs& verbs);  // other processes, signals, orphans
void add_hogs(Verbs& verbs);       // what wants more than it is given
void add_terminal(Verbs& verbs);   // terminal, session, job control

}  // namespace probe
