// The keys that --set can name, for shells that complete them.
#include "base/text.h"
#include "profile/language.h"
#include "profile/load.h"

namespace sandbox {
namespace {

void append_keys(std::vector<SettableKey>& out, const FieldTable& table, const std::string& above) {
    for (const Field& field : table.fields) {
        if (field.due == Due::later) continue;
        const std::string path = cat(above, field.name);
        const Shape shape = field.shape();
        const bool has_parts = shape.kind == Shape::record || shape.kind == Shape::map;
        if (!has_parts || field.describe() != "a map") out.push_back({cat(path, "="), field.doc});
        if (shape.kind == Shape::record)
            append_keys(out, shape.fields(), cat(path, "."));
        else if (shape.kind == Shape::map)
            out.push_back({cat(path, "."), field.doc});
    }
}

}  // namespace

std::vector<SettableKey> settable_keys() {
    std::vector<SettableKey> out;
    append_keys(out, profile_fields(), "");
    return out;
}

}  // namespace sandbox
