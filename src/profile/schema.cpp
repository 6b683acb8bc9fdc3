// JSON Schema of the language.
#include "profile/language.h"
#include "profile/load.h"
#include "profile/print.h"

namespace sandbox {

std::string profile_schema() {
    Node schema = map_node();
    schema.add("$schema", text_node("https://json-schema.org/draft/2020-12/schema"));
    schema.add("title", text_node("sandbox profile"));
    schema.add("description", text_node("One sandbox, from its root directory to its last limit. See sandbox-profile(5)."));
    Node fields = schema_fields(profile_fields());
    for (Node::Entry& entry : fields.entries) schema.entries.push_back(std::move(entry));
    return print_json(schema);
}

}  // namespace sandbox
