#include "base/error.h"

#include <cstring>

#include "base/text.h"

namespace sandbox {

Error&& Error::with(std::string_view context) && {
    message = cat(context, ": ", message);
    return std::move(*this);
}

std::string errno_text(int number) {
    // Not strerror: it would load the locale. The words are glibc's English ones.
    const char* words = strerrordesc_np(number);
    return words ? lower(words) : cat("error ", number);
}

tl::unexpected<Error> fail(std::string message, std::string hint) {
    return tl::unexpected<Error>(Error{std::move(message), std::move(hint), 0, {}, {}});
}

tl::unexpected<Error> fail_errno(std::string what, int number, std::string hint) {
    return tl::unexpected<Error>(Error{cat(what, ": ", errno_text(number)), std::move(hint), number, {}, {}});
}

}  // namespace sandbox
