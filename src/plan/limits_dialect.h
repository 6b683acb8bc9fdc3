// Inside limits*.cpp: where a translation puts what it finds.
#pragma once

#include "plan/limits.h"

namespace sandbox {

class Dialect {
   public:
    Dialect(Limits& out, const HostFacts& facts, std::string prefix);

    [[nodiscard]] CgroupVersion version(std::string_view controller) const;
    // Known to be missing in the controller's groups.
    [[nodiscard]] bool lacks(const std::string& controller, std::string_view file) const;
    // The file, or a refusal when the kernel is known not to have it.
    void set(const std::string& controller, std::string file, std::string value, std::string key, Position at, std::string text);
    void refuse(const std::string& controller, std::string key, Position at, std::string message, std::string hint);
    // Whether the controller can be used at all; the refusal otherwise.
    [[nodiscard]] bool usable(const std::string& controller, const std::string& key, Position at);
    void note(std::string text) { out_.notes.push_back(std::move(text)); }

   private:
    Limits& out_;
    const HostFacts& facts_;
    std::string prefix_;
};

// "64Mi", "infinity".
[[nodiscard]] std::string size_in_words(std::uint64_t bytes);

// `own`: of the sandbox itself, which has defaults; a parent has none.
void memory_v1(Dialect& d, const MemoryLimits& memory, bool own);
void memory_v2(Dialect& d, const MemoryLimits& memory, bool own);
// `device` is "MAJOR:MINOR ", or empty for every device.
void io_weight_v1(Dialect& d, std::uint64_t weight, const std::string& device, const std::string& key, Position at);
void io_weight_v2(Dialect& d, std::uint64_t weight, const std::string& device, const std::string& key, Position at);
void io_device_v1(Dialect& d, const IoDevice& device, const std::string& number, const std::string& key);
void io_device_v2(Dialect& d, const IoDevice& device, const std::string& number, const std::string& key);

}  // namespace sandbox
