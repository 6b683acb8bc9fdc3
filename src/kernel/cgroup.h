// One control group, seen through a descriptor of its folder (cgroups(7)). Which file answers a question depends on the version, and so is
// asked of a GroupSet.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

// The whole of a small file; an error with the kernel's number.
[[nodiscard]] Result<std::string> read_group(int group, const char* file);
// One write(2). Errors name the file and the value, and say what the kernel's number means there.
[[nodiscard]] Status write_group(int group, const std::string& file, std::string_view value);
// The number in a file, or behind a word in it ("oom_kill 3"); nothing when it is not there.
[[nodiscard]] std::optional<std::uint64_t> group_number(int group, const char* file, std::string_view word = {});

// v1: cpuset.cpus and cpuset.mems are empty in a new group, and nobody can enter it: both are copied from the group above.
[[nodiscard]] Status fill_cpuset(int group, int above);

// Every process of the group and of those below it, each once.
[[nodiscard]] std::vector<pid_t> processes_of(int group);
// Ends them, and what they start meanwhile, and waits until the groups are empty: cgroup.kill where there is one, otherwise signals
// until nobody is left. An error names who did not go.
[[nodiscard]] Status empty_group(int group);
// Removes the group at `path` with the groups below it, after empty_group. Absent is success.
[[nodiscard]] Status remove_group(const std::string& path);

// What a sandbox's groups count and do, whatever the version. Reads are of the moment; nothing when the host does not count it.
class GroupSet {
   public:
    struct Member {
        bool v2 = false;
        std::vector<std::string> controllers;  // v2 names
        std::string path;
        Fd folder;
    };

    void add(Member member) { members_.push_back(std::move(member)); }
    [[nodiscard]] bool empty() const { return members_.empty(); }
    [[nodiscard]] const std::vector<Member>& members() const { return members_; }
    // The group with the controller; v2's own for what belongs to its core. Null when there is none.
    [[nodiscard]] const Member* find(std::string_view controller) const;
    void clear() { members_.clear(); }

    [[nodiscard]] std::optional<std::uint64_t> memory_now() const;
    [[nodiscard]] std::optional<std::uint64_t> memory_peak() const;
    [[nodiscard]] std::optional<std::uint64_t> memory_limit() const;  // nothing: no limit
    [[nodiscard]] std::optional<std::uint64_t> swap_now() const;
    [[nodiscard]] std::optional<std::uint64_t> oom_kills() const;
    [[nodiscard]] std::optional<std::uint64_t> pids_now() const;
    [[nodiscard]] std::optional<std::uint64_t> pids_peak() const;
    [[nodiscard]] std::optional<std::uint64_t> pids_limit() const;
    [[nodiscard]] std::optional<std::uint64_t> pids_denied() const;  // forks that failed at the limit
    [[nodiscard]] std::optional<std::uint64_t> cpu_time() const;     // nanoseconds
    [[nodiscard]] std::optional<std::uint64_t> io_read() const;      // bytes
    [[nodiscard]] std::optional<std::uint64_t> io_written() const;

    [[nodiscard]] bool can_freeze() const { return find("freezer") != nullptr; }
    // Returns when everything is frozen, or thawed; a process in an uninterruptible wait can keep it from that: then an error after
    // ten seconds, and it is thawed again.
    [[nodiscard]] Status freeze() const;
    [[nodiscard]] Status thaw() const;
    [[nodiscard]] bool frozen() const;

   private:
    std::vector<Member> members_;
};

}  // namespace sandbox
