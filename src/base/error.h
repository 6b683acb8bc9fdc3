// Errors of the host side are values that gain context while they rise.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "base/source.h"

namespace sandbox {

// Why something could not be done. `message` names the object and the kernel's reason in words; `hint` says what to
// do about it. `number` is the errno behind it, 0 if there is none. `also` holds what went wrong while cleaning up:
// it is printed beside the cause, never in its place.
struct [[nodiscard]] Error {
    std::string message;
    std::string hint;
    int number = 0;
    Position at{};
    std::vector<std::string> also;

    // "<context>: <message>"
    Error&& with(std::string_view context) &&;
};

template <class T>
using Result = tl::expected<T, Error>;

using Status = Result<void>;

// The kernel's reason in words, lower case: "no such file or directory".
[[nodiscard]] std::string errno_text(int number);

// An error with no errno behind it.
[[nodiscard]] tl::unexpected<Error> fail(std::string message, std::string hint = {});
// "<what>: <errno in words>"; call it directly after the failing call.
[[nodiscard]] tl::unexpected<Error> fail_errno(std::string what, int number, std::string hint = {});

// Hands the error of a Result on, for `if (!r) return pass(r);`
template <class T>
[[nodiscard]] tl::unexpected<Error> pass(Result<T>& result) {
    return tl::unexpected<Error>(std::move(result.error()));
}
template <class T>
[[nodiscard]] tl::unexpected<Error> pass(Result<T>& result, std::string_view context) {
    return tl::unexpected<Error>(std::move(result.error()).with(context));
}

}  // namespace sandbox
