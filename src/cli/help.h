// What help says of the verbs beside their options.
#pragma once

namespace CLI {
class App;
}

namespace sandbox {

// Puts the verbs that are declared into groups, and gives each examples and the name of its manual page.
void add_help_texts(CLI::App& app);

}  // namespace sandbox
