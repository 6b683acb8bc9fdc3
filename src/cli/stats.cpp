// sandbox stats

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/counters.h"
#include "exec/presence.h"

namespace sandbox {
namespace {

using Json = nlohmann::ordered_json;

std::int64_t steady_clock() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * std::int64_t(1'000'000'000) + now.tv_nsec;
}

// "12.3", without the library's floating point output and its locale.
std::string one_decimal(double number) {
    const auto tenths = static_cast<std::int64_t>(std::max(number, 0.0) * 10 + 0.5);
    return cat(tenths / 10, ".", tenths % 10);
}

std::string size_or_dash(const Json& bytes) { return bytes.is_null() ? "-" : rounded_size(bytes.get<std::uint64_t>()); }
std::string number_or_dash(const Json& number) { return number.is_null() ? "-" : std::to_string(number.get<std::uint64_t>()); }
std::string percent_or_dash(const Json& percent) { return percent.is_null() ? "-" : one_decimal(percent.get<double>()); }

std::vector<std::string> row_of(const Json& j) {
    const Json &memory_limit = j["memory_limit_bytes"], &pids_limit = j["pids_limit"];
    return {j["name"].get<std::string>(),
            percent_or_dash(j["cpu_percent"]),
            cat(size_or_dash(j["memory_bytes"]), " / ", size_or_dash(memory_limit)),
            percent_or_dash(j["memory_percent"]),
            cat(number_or_dash(j["pids"]), " / ", number_or_dash(pids_limit)),
            size_or_dash(j["io_read_bytes"]),
            size_or_dash(j["io_written_bytes"])};
}

class Sampler {
   public:
    explicit Sampler(std::vector<std::string> names) : names_(std::move(names)) {}

    // One sample of each; an error for a name that there is not.
    Result<Json> take() {
        Json list = Json::array();
        auto found = look();
        if (!found) return pass(found);
        for (const Found& one : *found) list.push_back(sample(one));
        return list;
    }

   private:
    // Those that were asked for, or all; those that run.
    Result<std::vector<Found>> look() {
        std::vector<Found> out;
        auto all = names_.empty() ? all_sandboxes() : Result<std::vector<Found>>(std::vector<Found>());
        if (!all) return pass(all);
        for (const std::string& name : names_) {
            // A name that is wrong is said at once; one that ends while it is watched just leaves the table.
            auto found = known_.contains(name) ? find_sandbox(name) : find_living(name);
            if (!found && !known_.contains(name)) return pass(found);
            known_.insert(name);
            if (found) all->push_back(std::move(*found));
        }
        for (Found& one : *all)
            if (one.alive) out.push_back(std::move(one));
        return out;
    }

    Json sample(const Found& found) {
        const GroupSet groups = open_groups(found.status);
        if (groups.empty() && told_.insert(found.status.name).second)
            write_err(cat("sandbox: note: ", quote(found.status.name), " has no control groups, so nothing of it is counted\n"));
        Json json{{"name", found.status.name}, {"time", format_time(wall_clock())}, {"cpu_percent", cpu_percent(found, groups.cpu_time())}};
        Json counters = counters_of(groups);
        const Json &now = counters["memory_bytes"], &limit = counters["memory_limit_bytes"];
        json["memory_percent"] =
            now.is_null() || limit.is_null() || limit == 0 ? Json(nullptr) : Json(100.0 * now.get<double>() / limit.get<double>());
        json.update(counters);
        return json;
    }

    // Of one processor, since the sample before; the first since the start. A group of a further run counts from nothing.
    Json cpu_percent(const Found& found, std::optional<std::uint64_t> used) {
        if (!used) return nullptr;
        const std::int64_t now = steady_clock();
        const auto before = last_.find(found.status.id);
        const bool first = before == last_.end();
        const std::int64_t time = first ? wall_clock() - found.status.started : now - before->second.at;
        const std::uint64_t since = first ? 0 : before->second.used;
        last_[found.status.id] = {now, *used};
        if (time <= 0 || (first && found.status.started == 0) || *used < since) return nullptr;
        return 100.0 * static_cast<double>(*used - since) / static_cast<double>(time);
    }

    struct Last {
        std::int64_t at = 0;
        std::uint64_t used = 0;
    };
    std::vector<std::string> names_;
    std::set<std::string> known_, told_;
    std::map<std::string, Last> last_;  // by the id of the run
};

std::string table_of(const Json& samples) {
    std::vector<std::vector<std::string>> rows{{"NAME", "CPU %", "MEM / LIMIT", "MEM %", "PIDS / LIMIT", "READ", "WRITTEN"}};
    for (const Json& sample : samples) rows.push_back(row_of(sample));
    return in_columns(rows);
}

// Every sample on a line of its own, so that a reader can take them one by one.
std::string json_line(const Json& samples) { return samples.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

// A second that is over, or the wish to end.
class Ticker {
   public:
    Ticker() : timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {
        itimerspec when{};
        when.it_interval.tv_sec = when.it_value.tv_sec = 1;
        timerfd_settime(timer_.get(), 0, &when, nullptr);
        sigset_t ends;
        sigemptyset(&ends);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, signal);
        sigprocmask(SIG_BLOCK, &ends, nullptr);
        signals_.reset(signalfd(-1, &ends, SFD_CLOEXEC));
    }
    // False when it is to end.
    [[nodiscard]] bool wait() const {
        while (true) {
            pollfd polls[3] = {{timer_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {1, 0, 0}};
            if (poll(polls, 3, -1) < 0) continue;
            if (polls[1].revents || (polls[2].revents & (POLLERR | POLLHUP))) return false;
            std::uint64_t count = 0;
            if (polls[0].revents && read(timer_.get(), &count, sizeof count) == sizeof count) return true;
        }
    }

   private:
    Fd timer_, signals_;
};

}  // namespace

int verb_stats(const std::vector<std::string>& names, bool stream, bool json) {
    Sampler sampler(names);
    auto samples = sampler.take();
    if (!samples) return print(samples.error()), exit_launcher;
    if (!stream) return write_out(json ? as_text(*samples) : table_of(*samples)), 0;
    const bool redraw = !json && isatty(1) == 1;
    const Ticker ticker;
    while (true) {
        const std::string text = json ? json_line(*samples) : table_of(*samples);
        write_out(text);
        if (!ticker.wait()) return 0;
        samples = sampler.take();
        if (!samples) return print(samples.error()), exit_launcher;
        if (!names.empty() && samples->empty()) return 0;
        // Back to the first line of the table, and away with it (ECMA-48: CPL, ED).
        if (redraw) write_out(cat("\x1b[", std::ranges::count(text, '\n'), "F\x1b[J"));
    }
}

}  // namespace sandbox
