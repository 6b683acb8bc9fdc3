#include "cli/cli.h"
namespace sandbox { int verb_cp(const std::string&, const std::string&) { return 1; } }
