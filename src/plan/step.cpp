#include "plan/step.h"

namespace sandbox {

Action::Action() = default;
Action::Action(Action&& other) noexcept = default;
Action& Action::operator=(Action&& other) noexcept = default;
Action::~Action() = default;

}  // namespace sandbox
