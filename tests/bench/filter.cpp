// bench-filter RAW OCI: writes the launcher's default filter as an array of sock_filter, for the floor and bubblewrap, and
// as an OCI configuration's "seccomp" object, for crun. The latter names the calls that the former allows when all their
// arguments are zero: it has no conditions, so it costs crun a little less than the real list would.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/text.h"
#include "kernel/seccomp.h"

namespace {

constexpr unsigned default_capabilities[] = {CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID,      CAP_KILL,
                                             CAP_SETGID,  CAP_SETUID,       CAP_SETPCAP, CAP_SETFCAP,     CAP_NET_BIND_SERVICE,
                                             CAP_NET_RAW, CAP_SYS_CHROOT,   CAP_MKNOD,   CAP_AUDIT_WRITE, CAP_AUDIT_READ};

std::string oci_object(const std::vector<sock_filter>& filter) {
    std::string names;
    for (int number = 0; number < 1000; ++number) {
        char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
        if (name == nullptr) continue;
        const std::uint32_t verdict = sandbox::evaluate_seccomp(filter, {AUDIT_ARCH_X86_64, number, {}});
        if (verdict == SECCOMP_RET_ALLOW) names += sandbox::cat(names.empty() ? "" : ",", "\"", std::string(name), "\"");
        free(name);
    }
    return "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],"
           "\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\",\"names\":[" +
           names + "]}]}\n";
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 64;
    sandbox::SeccompRequest request;
    for (const unsigned bit : default_capabilities) request.capabilities |= std::uint64_t{1} << bit;
    const auto filter = sandbox::compile_seccomp(request);
    if (!filter) {
        fprintf(stderr, "bench-filter: %s\n", filter.error().message.c_str());
        return 1;
    }
    std::ofstream raw(argv[1], std::ios::binary), oci(argv[2], std::ios::binary);
    raw.write(reinterpret_cast<const char*>(filter->data()), static_cast<std::streamsize>(filter->size() * sizeof(sock_filter)));
    oci << oci_object(*filter);
    return raw.flush() && oci.flush() ? 0 : 1;
}
