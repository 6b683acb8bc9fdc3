// Codecs of values that are written as one scalar: text, numbers, sizes, times, paths, words of a list.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "profile/decoder.h"
#include "profile/fields.h"
#include "profile/node.h"
#include "profile/profile.h"

namespace sandbox {

struct Scalar {
    static Shape shape() { return {}; }
};

// ---- schema parts

[[nodiscard]] Node type_schema(std::string_view type);  // {"type": type}
[[nodiscard]] Node pattern_schema(std::string_view pattern);
[[nodiscard]] Node list_schema(Node items);
[[nodiscard]] Node map_schema(Node values);
[[nodiscard]] Node any_of(std::vector<Node> schemas);
[[nodiscard]] Node words_schema(std::span<const std::string_view> words);

// ---- text

// The text of a scalar if it is text by YAML's rules; otherwise a wrong type is reported.
[[nodiscard]] const std::string* read_text(Decoder& decoder, const Node& node, std::string_view wanted);
// The text of any scalar as it was written: 60 is "60".
[[nodiscard]] const std::string* read_any_text(Decoder& decoder, const Node& node, std::string_view wanted);

struct String : Scalar {
    using Value = std::string;
    static void decode(Decoder&, const Node&, std::string&);
    static Node encode(const std::string&);
    static Node schema();
    static std::string describe();
};

// Text in places where numbers are ordinary: arguments, environment, labels, sysctl.
struct AnyText : Scalar {
    using Value = std::string;
    static void decode(Decoder&, const Node&, std::string&);
    static Node encode(const std::string&);
    static Node schema();
    static std::string describe();
};

// ---- booleans and numbers

// Nothing (and a diagnostic) when the node is no boolean.
[[nodiscard]] std::optional<bool> read_boolean(Decoder& decoder, const Node& node);

struct Boolean : Scalar {
    using Value = bool;
    static void decode(Decoder&, const Node&, bool&);
    static Node encode(bool);
    static Node schema();
    static std::string describe();
};

// A whole number within [least, most]; nothing (and a diagnostic) otherwise.
[[nodiscard]] std::optional<std::int64_t> read_integer(Decoder& decoder, const Node& node, std::int64_t least, std::int64_t most);
[[nodiscard]] Node integer_schema(std::int64_t least, std::int64_t most);

template <class T, std::int64_t least, std::int64_t most>
struct Integer : Scalar {
    using Value = T;
    static void decode(Decoder& decoder, const Node& node, T& out) {
        if (const auto number = read_integer(decoder, node, least, most)) out = static_cast<T>(*number);
    }
    static Node encode(T value) { return number_node(static_cast<std::int64_t>(value)); }
    static Node schema() { return integer_schema(least, most); }
    static std::string describe() { return "a whole number"; }
};

// 4294967295 is (uid_t)-1, "leave unchanged" to the kernel.
using Id = Integer<std::uint32_t, 0, 4294967294>;

// ---- quantities

struct Bytes : Scalar {
    using Value = std::uint64_t;
    static void decode(Decoder&, const Node&, std::uint64_t&);
    static Node encode(std::uint64_t);
    static Node schema();
    static std::string describe();
};

// Nanoseconds, not negative.
struct Duration : Scalar {
    using Value = std::int64_t;
    static void decode(Decoder&, const Node&, std::int64_t&);
    static Node encode(std::int64_t);
    static Node schema();
    static std::string describe();
};

// Nanoseconds with a sign.
struct Offset : Scalar {
    using Value = std::int64_t;
    static void decode(Decoder&, const Node&, std::int64_t&);
    static Node encode(std::int64_t);
    static Node schema();
    static std::string describe();
};

// Permission bits in octal, quoted or not.
struct Mode : Scalar {
    using Value = std::uint32_t;
    static void decode(Decoder&, const Node&, std::uint32_t&);
    static Node encode(std::uint32_t);
    static Node schema();
    static std::string describe();
};

// ---- paths

// The absolute normal form of a path on the host; nothing (and a diagnostic) otherwise.
[[nodiscard]] std::optional<std::string> read_host_path(Decoder& decoder, const Node& node, std::string_view text);
// The normal form of an absolute path inside; nothing (and a diagnostic) otherwise.
[[nodiscard]] std::optional<std::string> read_inside_path(Decoder& decoder, const Node& node, std::string_view text);

struct HostPath : Scalar {
    using Value = std::string;
    static void decode(Decoder&, const Node&, std::string&);
    static Node encode(const std::string&);
    static Node schema();
    static std::string describe();
};

// A path inside the sandbox.
struct InsidePath : Scalar {
    using Value = std::string;
    static void decode(Decoder&, const Node&, std::string&);
    static Node encode(const std::string&);
    static Node schema();
    static std::string describe();
};

// A host path, or a word that stands for itself: `upper: tmpfs`, `seccomp.profile: default`.
template <class Words>
struct WordOrPath : Scalar {
    using Value = std::string;
    static bool is_word(std::string_view text) {
        for (const std::string_view word : Words::words)
            if (text == word) return true;
        return false;
    }
    static void decode(Decoder& decoder, const Node& node, std::string& out) {
        if (node.is_scalar() && is_word(node.text))
            out = node.text;
        else
            HostPath::decode(decoder, node, out);
    }
    static Node encode(const std::string& value) { return text_node(value); }
    static Node schema() { return type_schema("string"); }
    static std::string describe() {
        std::string out;
        for (const std::string_view word : Words::words) {
            out += word;
            out += ", ";
        }
        return out + "or a path on the host";
    }
};

// ---- words

struct Word {
    std::string_view name;
    int value;
};

// The words of an enumeration: the first of a value is the one that is printed. `later` are refused by name.
template <class E>
struct Words;

[[nodiscard]] std::optional<int> read_word(Decoder& decoder, const Node& node, std::span<const Word> words,
                                           std::span<const std::string_view> later_words);
[[nodiscard]] std::string_view name_of(std::span<const Word> words, int value);
[[nodiscard]] Node word_schema(std::span<const Word> words);
[[nodiscard]] std::string describe_words(std::span<const Word> words);

template <class E>
struct Enum : Scalar {
    using Value = E;
    static std::span<const std::string_view> later_words() {
        if constexpr (requires { Words<E>::later; })
            return Words<E>::later;
        else
            return {};
    }
    static void decode(Decoder& decoder, const Node& node, E& out) {
        if (const auto value = read_word(decoder, node, Words<E>::words, later_words())) out = static_cast<E>(*value);
    }
    static Node encode(E value) { return text_node(std::string(name_of(Words<E>::words, static_cast<int>(value)))); }
    static Node schema() { return word_schema(Words<E>::words); }
    static std::string describe() { return describe_words(Words<E>::words); }
};

#define SANDBOX_WORDS(E, ...)                       \
    template <>                                     \
    struct Words<E> {                               \
        static constexpr Word words[]{__VA_ARGS__}; \
    }

template <class E>
constexpr Word word(std::string_view name, E value) {
    return {name, static_cast<int>(value)};
}

SANDBOX_WORDS(AccessMode, word("ro", AccessMode::ro), word("rw", AccessMode::rw));
SANDBOX_WORDS(Propagation, word("private", Propagation::private_), word("slave", Propagation::slave), word("shared", Propagation::shared));
SANDBOX_WORDS(IdmapMode, word("auto", IdmapMode::automatic), word("none", IdmapMode::none), word("container", IdmapMode::container),
              word("caller", IdmapMode::caller), word("chown", IdmapMode::chown));
SANDBOX_WORDS(MountType, word("bind", MountType::bind), word("tmpfs", MountType::tmpfs), word("overlay", MountType::overlay),
              word("proc", MountType::proc), word("sysfs", MountType::sysfs), word("mqueue", MountType::mqueue),
              word("devpts", MountType::devpts), word("cgroup", MountType::cgroup));
SANDBOX_WORDS(ProcMode, word("fresh", ProcMode::fresh), word("inherit", ProcMode::inherit), word("none", ProcMode::none));
SANDBOX_WORDS(DevMode, word("minimal", DevMode::minimal), word("host", DevMode::host), word("none", DevMode::none));
SANDBOX_WORDS(NamespaceMode, word("private", NamespaceMode::private_), word("host", NamespaceMode::host));
SANDBOX_WORDS(IdMapMode, word("auto", IdMapMode::automatic), word("caller", IdMapMode::caller), word("host", IdMapMode::host));
SANDBOX_WORDS(CapabilityBase, word("default", CapabilityBase::default_), word("none", CapabilityBase::none),
              word("all", CapabilityBase::all));
SANDBOX_WORDS(SeccompAction, word("errno", SeccompAction::errno_), word("kill", SeccompAction::kill), word("log", SeccompAction::log),
              word("trap", SeccompAction::trap));
SANDBOX_WORDS(DeviceType, word("auto", DeviceType::automatic), word("char", DeviceType::character), word("block", DeviceType::block),
              word("c", DeviceType::character), word("b", DeviceType::block));
SANDBOX_WORDS(SchedulerPolicy, word("other", SchedulerPolicy::other), word("batch", SchedulerPolicy::batch),
              word("idle", SchedulerPolicy::idle), word("fifo", SchedulerPolicy::fifo), word("rr", SchedulerPolicy::rr));
SANDBOX_WORDS(IoClass, word("none", IoClass::none), word("realtime", IoClass::realtime), word("best-effort", IoClass::best_effort),
              word("idle", IoClass::idle));
SANDBOX_WORDS(OomPolicy, word("kill", OomPolicy::kill), word("group", OomPolicy::group), word("pause", OomPolicy::pause));
SANDBOX_WORDS(CgroupManager, word("auto", CgroupManager::automatic), word("fs", CgroupManager::fs), word("systemd", CgroupManager::systemd),
              word("none", CgroupManager::none));
SANDBOX_WORDS(ProcView, word("host", ProcView::host), word("limits", ProcView::limits));
SANDBOX_WORDS(RestartPolicy, word("no", RestartPolicy::no), word("on-failure", RestartPolicy::on_failure),
              word("always", RestartPolicy::always));
SANDBOX_WORDS(HookPlace, word("host", HookPlace::host), word("sandbox", HookPlace::sandbox));
SANDBOX_WORDS(LogDriver, word("file", LogDriver::file), word("journald", LogDriver::journald), word("none", LogDriver::none));
SANDBOX_WORDS(StopTarget, word("main", StopTarget::main), word("all", StopTarget::all));
SANDBOX_WORDS(Submode, word("bridge", Submode::bridge), word("private", Submode::private_), word("vepa", Submode::vepa),
              word("passthru", Submode::passthru), word("l2", Submode::l2), word("l3", Submode::l3), word("l3s", Submode::l3s));
SANDBOX_WORDS(Protocol, word("tcp", Protocol::tcp), word("udp", Protocol::udp));
SANDBOX_WORDS(EgressMode, word("allow", EgressMode::allow), word("deny", EgressMode::deny));
#undef SANDBOX_WORDS

template <>
struct Words<NetworkMode> {
    static constexpr Word words[]{word("none", NetworkMode::none),       word("host", NetworkMode::host),
                                  word("bridge", NetworkMode::bridge),   word("container", NetworkMode::container),
                                  word("macvlan", NetworkMode::macvlan), word("ipvlan", NetworkMode::ipvlan),
                                  word("path", NetworkMode::path)};
    static constexpr std::string_view later[]{"user"};
};

}  // namespace sandbox
