#include "exec/advice.h"

#include <cerrno>

#include "base/text.h"

namespace sandbox {
namespace {

struct Advice {
    std::string_view step;  // beginning of the step's id
    int number;
    const char* text;
};

constexpr Advice table[] = {
    {"mount:", ELOOP, "a part of the target is a symbolic link in the root; kernel file systems go on real directories only"},
    {"mount:", ENOENT, "the target is missing in the root: make it there, or leave create at true"},
    {"mount:", ENOTDIR, "source and target must both be directories, or both be files"},
    {"fs.new:/proc", EPERM, "parts of the caller's own /proc are covered, so the kernel refuses a fresh one: say proc: {mode: inherit}"},
    {"fs.new:", EPERM, "the namespace that this file system shows belongs to another user namespace"},
    {"fs.new:", ENODEV, "this kernel does not have that file system"},
    {"overlay.", EINVAL, "the kernel log says why (dmesg); some file systems cannot be a layer"},
    {"overlay.", EPERM, "an overlay in a user namespace needs Linux 5.11 or later"},
    {"target:", EROFS, "the root is on a read-only file system: make the target there beforehand"},
    {"target:", EACCES, "the root's folder is not writable for the sandbox: make the target there beforehand"},
    {"mask:", ELOOP, "the path to be covered leads through a symbolic link"},
    {"ulimit:", EPERM, "a hard limit can be raised only with CAP_SYS_RESOURCE on the host: ask for no more than the caller has"},
    {"ulimit:", EINVAL, "the soft limit is above the hard one, or nofile is above fs.nr_open"},
    {"sysctl:net.core.", ENOENT,
     "older kernels (Linux 6.1 for one) have net.core only in network namespaces of the host's user namespace: as root say id_map: host"},
    {"sysctl:", ENOENT, "this kernel has no such parameter, or not in this namespace"},
    {"sysctl:", EACCES, "the kernel does not let a user namespace set it; as root, id_map: host may"},
    {"sysctl:", EPERM, "the kernel does not let a user namespace set it; as root, id_map: host may"},
    {"sysctl:", EINVAL, "the kernel does not take that value"},
    {"working-dir", ENOENT, "make the directory in the root, mount something there, or list it under dirs"},
    {"working-dir", ENOTDIR, "process.working_dir must be a directory"},
    {"working-dir", EACCES, "the user of the sandbox may not enter it"},
    {"groups", EPERM, "setgroups is denied in this user namespace; an ordinary user needs subordinate ids and newgidmap"},
    {"ids", EINVAL, "the id is not in the id map"},
    {"capabilities", EPERM, "the launcher does not have one of these capabilities itself"},
    {"seccomp", EINVAL, "the kernel does not take the filter"},
    {"hostname", EPERM, "the host name can be set only in a uts namespace of the sandbox's own"},
    {"time", EINVAL, "this kernel has no time namespaces (Linux 5.6), or the offset would make a clock negative"},
    {"time", ERANGE, "the offset would make a clock negative"},
    {"session", EPERM, "the terminal could not become the session's"},
};

}  // namespace

std::string advice_for(const Step& step, int number) {
    for (const Advice& advice : table)
        if (advice.number == number && std::string_view(step.id).starts_with(advice.step)) return advice.text;
    return {};
}

tl::unexpected<Error> command_failure(const Plan& plan, int number) {
    Error error{{}, {}, number, {}, {}};
    const Step& step = plan.steps.back();
    error.at = step.origin;
    const auto* exec = std::get_if<step::Execute>(&step.action);
    const std::string command = exec && !exec->argv.empty() ? exec->argv.front() : std::string();
    error.message = cat("process.command: ", quote(command), ": ", errno_text(number));
    if (number == ENOENT && exec && exec->candidates.size() > 1)
        error.hint = "it is in no directory of the sandbox's PATH; it is looked for in the sandbox's root, not on the host";
    else if (number == ENOENT)
        error.hint =
            "it is looked for in the sandbox's root, not on the host; a script's or program's own interpreter may be what is missing";
    else if (number == EACCES)
        error.hint = "the file must be executable for the sandbox's user, on a mount without noexec (exec: true)";
    else if (number == ENOEXEC)
        error.hint = "the file is neither a program for this machine nor a script with a #! line";
    return tl::unexpected<Error>(std::move(error));
}

}  // namespace sandbox
