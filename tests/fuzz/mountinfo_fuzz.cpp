// The mountinfo parser takes any text: no crash, and only mounts whose target is an absolute path come out.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "host/probe.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const sandbox::MountInfo& mount : sandbox::parse_mountinfo(text))
        if (mount.id < 0 || mount.parent < 0 || !mount.target.starts_with('/')) std::abort();
    return 0;
}
