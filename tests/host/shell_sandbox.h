// A sandbox on the host's tree that runs a shell and does what it is told, command by command; its network can be entered too.
#pragma once

#include "own_network.h"

namespace harness {

// Whether it comes true within ten seconds.
template <class Condition>
bool soon(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        poll(nullptr, 0, 10);
    }
    return true;
}

// Of the current network, in their order.
inline std::vector<std::string> names_of_links() {
    std::vector<std::string> out;
    for (const Json& link : ip_json({"link", "show"})) out.push_back(link["ifname"]);
    return out;
}

class ShellSandbox {
   public:
    // `rest`: what comes after the name and the root in its profile.
    ShellSandbox(std::string name, std::string_view rest)
        : name_(std::move(name)),
          process_(start_sandbox(sandbox::cat("version: 1\nname: ", name_, "\nrootfs: {host: ro}\n", rest), {"/bin/sh"}, patient())) {
        const Said ready = run("true");
        if (!ready.ok()) throw std::runtime_error(sandbox::cat("sandbox ", name_, " does not run: ", process_.err()));
        // The status is written when the command runs already.
        if (!soon([this] {
                const Ended seen = sandbox_command({"inspect", name_});
                if (seen.ok()) status_ = Json::parse(seen.out);
                return seen.ok() && status_["init"].is_object() && status_["init"]["pid"].is_number();
            }))
            throw std::runtime_error(sandbox::cat("no status of ", name_));
        network_.reset(open(sandbox::cat("/proc/", status_["init"]["pid"].get<int>(), "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    }

    struct Said {
        int code = -1;
        std::string out;  // and errors
        [[nodiscard]] bool ok() const { return code == 0; }
        friend std::ostream& operator<<(std::ostream& stream, const Said& said) { return stream << said.code << ": " << said.out; }
    };
    // In the sandbox, by its shell.
    Said run(std::string_view command) {
        const std::string end = sandbox::cat(" of command ", ++commands_, ";");
        const std::size_t before = process_.out().size();
        process_.send(sandbox::cat("{ ", command, "\n} </dev/null 2>&1; echo \"[exit $?\"'", end, "'\n"));
        if (!process_.expect(end, milliseconds(60000))) return {};
        Said said;
        const std::string all = process_.out().substr(before);
        const std::size_t mark = all.rfind("[exit ", all.find(end));
        said.out = all.substr(0, mark);
        said.code = std::stoi(all.substr(mark + 6));
        return said;
    }
    Ended end() {
        process_.send("exit 0\n");
        return process_.wait();
    }
    [[nodiscard]] const Fd& network() const { return network_; }
    [[nodiscard]] const Json& status() const { return status_; }
    [[nodiscard]] Process& process() { return process_; }
    // Its first one of the family.
    [[nodiscard]] std::string address(int family) const {
        const InNetwork in(network_);
        for (const Json& link : ip_json({"address", "show", "scope", "global"}))
            for (const Json& one : link.value("addr_info", Json::array()))
                if (one["family"] == (family == AF_INET ? "inet" : "inet6")) return one["local"];
        return "";
    }

   private:
    static Options patient() {
        Options options;
        options.keep_input_open = true;
        options.timeout = milliseconds(120000);
        return options;
    }
    std::string name_;
    Process process_;
    Json status_;
    Fd network_;
    int commands_ = 0;
};

}  // namespace harness
