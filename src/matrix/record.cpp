#include "matrix/record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/text.h"

namespace sandbox {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t longest_tail = 2048;
constexpr std::size_t log_head = 65536;

Status make_folder(const std::string& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return fail_errno(quote(path), error.value(), "name another folder with --output");
    return {};
}

Result<Fd> take_lock(const std::string& folder) {
    const std::string path = folder + "/lock";
    Fd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!lock) return fail_errno(quote(path), errno, "name another folder with --output");
    if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno != EWOULDBLOCK) return fail_errno(cat("flock ", quote(path)), errno);
    return fail(cat("another sandbox matrix writes to ", quote(folder)), "wait for its end, or name another folder with --output");
}

std::string read_whole(const std::string& path) {
    std::ifstream file(path);
    return file ? std::string(std::istreambuf_iterator<char>(file), {}) : std::string();
}

// The folder is ours alone when we have marked it, or when there is nothing in it but the lock.
Status take_folder(const std::string& folder, const std::string& profile) {
    const std::string mark = folder + "/matrix.json";
    if (!fs::exists(mark)) {
        for (const auto& entry : fs::directory_iterator(folder))
            if (entry.path().filename() != "lock")
                return fail(cat(quote(folder), " has something else in it: ", quote(entry.path().filename().string())),
                            "results go to a folder of their own: name another one with --output");
    }
    std::ofstream file(mark, std::ios::trunc);
    file << Json{{"profile", profile}}.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    if (!file.flush()) return fail(cat(quote(mark), ": cannot be written"), "name another folder with --output");
    return {};
}

Status forget(const std::string& folder) {
    std::error_code error;
    fs::remove_all(folder + "/cells", error);
    if (!error) fs::remove(folder + "/results.jsonl", error);
    if (error) return fail_errno(cat("results of an earlier run in ", quote(folder)), error.value());
    return {};
}

constexpr CellState states[]{CellState::passed, CellState::flaky, CellState::failed, CellState::error, CellState::not_run};

CellState state_from_name(const std::string& name) {
    const auto* found = std::ranges::find(states, name, state_name);
    return found == std::end(states) ? CellState::not_run : *found;
}

}  // namespace

std::string record_line_to_json(const RecordLine& line) {
    Json json{{"cell", line.cell},   {"repetition", line.repetition},   {"state", state_name(line.state)}, {"digest", line.digest},
              {"begun", line.begun}, {"problem", line.attempt.problem}, {"place", line.attempt.place},     {"log", line.attempt.log}};
    json["outcome"] = Json::parse(outcome_to_json(line.attempt.outcome));
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<RecordLine> record_line_from_json(const std::string& text) {
    RecordLine line;
    try {
        const Json json = Json::parse(text);
        json.at("cell").get_to(line.cell);
        json.at("repetition").get_to(line.repetition);
        line.state = state_from_name(json.at("state").get<std::string>());
        json.at("digest").get_to(line.digest);
        json.at("begun").get_to(line.begun);
        json.at("problem").get_to(line.attempt.problem);
        json.at("place").get_to(line.attempt.place);
        json.at("log").get_to(line.attempt.log);
        auto outcome = outcome_from_json(json.at("outcome").dump());
        if (!outcome) return pass(outcome);
        line.attempt.outcome = std::move(*outcome);
    } catch (const Json::exception& error) {
        return fail(cat("not a line of results: ", error.what()));
    }
    return line;
}

Result<Record> Record::open(const std::string& folder, const std::string& profile, bool resume) {
    if (auto made = make_folder(folder); !made) return pass(made);
    auto lock = take_lock(folder);
    if (!lock) return pass(lock);
    if (resume && !fs::exists(folder + "/results.jsonl"))
        return fail(cat("there is nothing to resume in ", quote(folder)), "run the matrix once without --resume");
    if (auto taken = take_folder(folder, profile); !taken) return pass(taken);
    Record record(folder, std::move(*lock));
    if (auto done = resume ? record.read_results() : forget(folder); !done) return pass(done);
    const std::string path = folder + "/results.jsonl";
    record.results_ = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!record.results_) return fail_errno(quote(path), errno);
    return record;
}

// A line that was cut off by the end of its writer is no result; so the cell runs again.
Status Record::read_results() {
    const std::string path = folder_ + "/results.jsonl";
    const std::string whole = read_whole(path);
    if (!whole.empty() && !whole.ends_with('\n')) {
        std::error_code error;
        fs::resize_file(path, whole.rfind('\n') + 1, error);
        if (error) return fail_errno(quote(path), error.value());
    }
    std::istringstream file(whole);
    for (std::string text; std::getline(file, text);)
        if (auto line = record_line_from_json(text)) {
            const auto key = std::pair(line->cell, line->repetition);
            earlier_.insert_or_assign(key, std::move(*line));
        }
    return {};
}

const RecordLine* Record::earlier(const std::string& cell, std::int64_t repetition) const {
    const auto found = earlier_.find({cell, repetition});
    return found == earlier_.end() ? nullptr : &found->second;
}

Status Record::add(const RecordLine& line) {
    const std::string text = record_line_to_json(line);
    if (write(results_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
    return fail_errno(quote(folder_ + "/results.jsonl"), errno == 0 ? ENOSPC : errno, "results can no longer be kept: make room");
}

Result<std::string> Record::make_cell_folder(const std::string& cell, std::int64_t repetition, std::size_t attempt) {
    std::string path = cat(folder_, "/cells/", cell);
    if (repetition > 1) path += cat("/again-", repetition);
    if (attempt > 1) {
        std::error_code ignored;  // the log may be missing: then nothing was written
        fs::rename(path + "/log", cat(path, "/log.", attempt - 1), ignored);
        return path;
    }
    if (auto made = make_folder(path); !made) return pass(made);
    return path;
}

std::string tail_of_log(const std::string& path) {
    std::ifstream file(path, std::ios::ate | std::ios::binary);
    if (!file) return {};
    const auto size = static_cast<std::size_t>(std::max<std::streamoff>(file.tellg(), 0));
    const std::size_t from = size > longest_tail ? size - longest_tail : 0;
    file.seekg(static_cast<std::streamoff>(from));
    std::string text(size - from, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    if (from == 0) return text;
    const auto line = text.find('\n');
    return line == std::string::npos ? text : text.substr(line + 1);
}

std::string error_in_log(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(log_head, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    for (const std::string_view line : split(text, '\n'))
        if (line.find("error: ") != std::string_view::npos || line.find(": error[") != std::string_view::npos) return printable(line);
    return {};
}

}  // namespace sandbox
