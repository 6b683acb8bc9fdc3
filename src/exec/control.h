// The socket "control" in a sandbox's folder: how other commands ask its supervisor for something.
//
// SOCK_SEQPACKET (unix(7)), one request and one answer a connection. A request is a word and its arguments, separated by spaces:
//   start | stop | down | kill NUMBER main|all | pause | resume | wait
//   profile   keep the effective profile in the folder, if it is not there yet
// An answer is "ok", "exit CODE", or "error\nMESSAGE\nHINT". stop, down and wait are answered when everything has ended. Only the
// owner of the folder (0700) reaches it; there is no abstract name (CVE-2020-15257).
#pragma once

#include <poll.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sandbox {

// The supervisor's end.
class ControlServer {
   public:
    struct Request {
        std::size_t client;  // for answer()
        std::string text;
    };

    // Makes the socket in the folder.
    static Result<ControlServer> open(int folder);
    // Descriptors that poll(2) should wait for: the socket and the connections that have not asked yet.
    void add_to(std::vector<pollfd>& polls) const;
    // What has come, without waiting.
    [[nodiscard]] std::vector<Request> receive();
    // Ends the connection.
    void answer(std::size_t client, std::string_view text);
    // Keeps it for answer_waiting.
    void hold(std::size_t client);
    void answer_waiting(std::string_view text);

   private:
    struct Client {
        std::size_t number;
        Fd socket;
        bool waiting = false;
    };
    ControlServer() = default;
    Fd listener_;
    std::vector<Client> clients_;
    std::size_t next_ = 1;
};

// The asking end. An error with number ECONNREFUSED or ENOENT when nobody listens, ECONNRESET when the supervisor went without an
// answer; what the supervisor refuses is an error with its message and hint.
[[nodiscard]] Result<std::string> ask_supervisor(int folder, std::string_view request);

[[nodiscard]] std::string error_answer(const Error& error);

}  // namespace sandbox
