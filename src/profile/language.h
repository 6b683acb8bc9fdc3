// The tables of all keys of the language.
#pragma once

#include "profile/fields.h"
#include "profile/profile.h"

namespace sandbox {

// The table that describes a struct's keys.
template <class S>
[[nodiscard]] const FieldTable& fields_of();

template <>
const FieldTable& fields_of<Profile>();
template <>
const FieldTable& fields_of<Rootfs>();
template <>
const FieldTable& fields_of<Overlay>();
template <>
const FieldTable& fields_of<RootTmpfs>();
template <>
const FieldTable& fields_of<Mount>();
template <>
const FieldTable& fields_of<File>();
template <>
const FieldTable& fields_of<Directory>();
template <>
const FieldTable& fields_of<Proc>();
template <>
const FieldTable& fields_of<Dev>();
template <>
const FieldTable& fields_of<Namespace>();
template <>
const FieldTable& fields_of<Namespaces>();
template <>
const FieldTable& fields_of<IdMap>();
template <>
const FieldTable& fields_of<Capabilities>();
template <>
const FieldTable& fields_of<Seccomp>();
template <>
const FieldTable& fields_of<Security>();
template <>
const FieldTable& fields_of<Device>();
template <>
const FieldTable& fields_of<Network>();
template <>
const FieldTable& fields_of<Bridge>();
template <>
const FieldTable& fields_of<Interface>();
template <>
const FieldTable& fields_of<Route>();
template <>
const FieldTable& fields_of<Port>();
template <>
const FieldTable& fields_of<Dns>();
template <>
const FieldTable& fields_of<Egress>();
template <>
const FieldTable& fields_of<Time>();
template <>
const FieldTable& fields_of<Process>();
template <>
const FieldTable& fields_of<MemoryLimits>();
template <>
const FieldTable& fields_of<CpuLimits>();
template <>
const FieldTable& fields_of<IoDevice>();
template <>
const FieldTable& fields_of<IoLimits>();
template <>
const FieldTable& fields_of<RdmaLimits>();
template <>
const FieldTable& fields_of<Resources>();
template <>
const FieldTable& fields_of<CgroupParent>();
template <>
const FieldTable& fields_of<Cgroup>();
template <>
const FieldTable& fields_of<Restart>();
template <>
const FieldTable& fields_of<Healthcheck>();
template <>
const FieldTable& fields_of<Hook>();
template <>
const FieldTable& fields_of<Hooks>();
template <>
const FieldTable& fields_of<Logging>();
template <>
const FieldTable& fields_of<Lifecycle>();

[[nodiscard]] inline const FieldTable& profile_fields() { return fields_of<Profile>(); }

// A mode as it is written in a profile: "bridge".
[[nodiscard]] std::string_view mode_name(NetworkMode mode);

// The newest version of the language.
constexpr std::int64_t language_version = 1;

}  // namespace sandbox
