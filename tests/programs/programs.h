// What tests of shipped profiles are made of: a job that a program does in its profile's sandbox (suite Works), and what that
// sandbox must not be able to do (suite Confined). README.md says how a profile gets its tests.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness.h"
#include "own_network.h"
#include "shell_sandbox.h"
#include "snapshot.h"

namespace programs {

using namespace harness;
using sandbox::cat;

// What a profile gives on purpose. It is exact: what is not here is expected to be refused, what is here to be possible.
struct Given {
    Words capabilities;  // all that its processes can have, found by smallest-capabilities
    Words writable;      // folders inside that it may write and that are the host's: what it writes stays
    Words scratch;       // folders inside that it may write and that are its own: nothing of it appears on the host
    Words reach;         // of the addresses below, those that it may connect to
    Words readable;      // of secrets(), those that it may read
    Words calls;         // of calls(), those that it may make
    Words shared;        // of its namespaces, those that are the host's: "net"
    Words more_places;   // more folders to try to write to
    Words set;           // --set KEY=VALUE that the profile needs to start
};

// What the layers of profiles/base give that others build on.
Given given_by_desktop();
Given given_by_service();
Given given_by_untrusted();

// The addresses of the host and of a machine beyond it, all of which listen on `port`.
inline constexpr const char* loopback_address = "127.0.0.1";
inline constexpr const char* host_address = "198.51.100.1";
inline constexpr const char* outside_address = "198.51.100.2";
inline constexpr const char* bridge_address = "10.88.0.1";  // the host's, as sandboxes on the default bridge see it
inline constexpr int port = 4321;

// What every sandbox is tried with: files that it must not read, folders that it must not write, calls that it must not make.
const Words& secrets();
const Words& places();
const Words& calls();

// The launcher's words for a profile by its name, with what `smallest-capabilities` wants to try.
Words words_for(const std::string& profile, const Words& set = {}, const Words& argv = {});

// A host of its own with a link to a machine outside, a folder that is the caller's current one, and a comparison of the host
// before and after.
class Programs : public OwnNetwork {
   protected:
    void SetUp() override;
    void TearDown() override;

    // `sandbox up PROFILE` in the caller's folder to its end.
    Ended up(const std::string& profile, const Words& argv = {}, const Words& set = {}, std::optional<Options> options = {});
    // Runs the probe in the profile's place, in its sandbox, and returns one line for each way in which it can do more, or less,
    // than it is given: read secrets, write, connect, make calls, see the host's namespaces, gain privileges. None: it is confined.
    std::string shortcomings(const std::string& profile, const Given& given = {}, std::optional<Options> options = {});

    // The caller's folder.
    [[nodiscard]] const TempDir& folder() const { return *folder_; }
    // Options of a caller in that folder: root, or the user tester, to whom it is given then.
    [[nodiscard]] Options here() const;
    [[nodiscard]] Options as_tester() const;

    Fd outside;  // the network of the machine outside

   private:
    void connect_outside();
    std::optional<TempDir> folder_;
    std::optional<HostSnapshot> before_;
};

class Works : public Programs {};
class Confined : public Programs {};

// A sandbox in the background until the end of the scope.
class Service {
   public:
    Service(const std::string& profile, const Options& options, const Words& set = {}, const Words& argv = {});
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    ~Service();
    // Inside, to its end.
    [[nodiscard]] Ended exec(const Words& argv, const Options& options = {}) const;
    // What the program has written.
    [[nodiscard]] std::string logs() const;
    Ended stop();
    [[nodiscard]] const std::string& name() const { return name_; }

   private:
    std::string name_;
};

// Runs a command of the host again and again until it ends with 0, at most for 20 seconds; the last end.
Ended until_ok(const Words& argv, const Options& options = {});

}  // namespace programs
