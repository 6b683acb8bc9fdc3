#include "exec/scope.h"

namespace sandbox {

Result<std::string> make_scope(Recorder&, const std::string&, bool, pid_t) { return fail("to be written"); }

}  // namespace sandbox
