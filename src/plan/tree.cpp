#include "plan/tree.h"

#include "base/text.h"

namespace sandbox {

void TargetTree::mount(const std::string& target, Ground ground, Slot slot, std::string host) {
    mounts_[target] = {ground, slot, std::move(host)};
}

Landing TargetTree::find(const std::string& path) const {
    std::string at = path;
    while (true) {
        if (const auto found = mounts_.find(at); found != mounts_.end()) {
            const std::string rest = at == "/" ? path : path.substr(at.size());
            return {found->second.ground, found->second.slot, found->second.host, rest.empty() ? "/" : rest};
        }
        if (at == "/" || at.empty()) return {};
        at.resize(at.rfind('/'));
        if (at.empty()) at = "/";
    }
}

}  // namespace sandbox
