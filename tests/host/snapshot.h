// What the host looks like, to be compared before and after.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace harness {

struct SnapshotOptions {
    std::vector<std::string> scratch;  // directories whose whole content belongs to the picture
    int terminal = -1;                 // a terminal whose settings belong to it
};

// Section, item, value: {"mounts", "/proc", "..."}.
struct HostSnapshot {
    std::map<std::string, std::map<std::string, std::string>> sections;
    // A first snapshot makes the test process the reaper of its orphans, so that none escapes from "processes".
    static HostSnapshot take(const SnapshotOptions& options = {});
};

// One line for each difference, empty if there is none.
std::string compare(const HostSnapshot& before, const HostSnapshot& after);
// Whether it is more than what the kernel takes down a moment after its user has gone: links, addresses, routes, packet filter.
bool differ_beyond_network(const HostSnapshot& before, const HostSnapshot& after);
// Looks again until nothing differs or the time is over (a killed process takes a moment to go); returns what still differs.
std::string differences_since(const HostSnapshot& before, const SnapshotOptions& options = {},
                              std::chrono::milliseconds patience = std::chrono::milliseconds(5000));
// Makes this process the reaper of its orphaned descendants. Called by Process::start and by take.
void adopt_orphans();
// A child that somebody will wait for: it is not collected as an orphan.
void own_child(int pid, bool owned);

}  // namespace harness
