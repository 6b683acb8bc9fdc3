// The reference of all keys for sandbox-profile(5).
#include "base/text.h"
#include "profile/language.h"
#include "profile/load.h"
#include "profile/print.h"

namespace sandbox {
namespace {

// What man(7) would take for an instruction.
std::string escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else if (c == '\'')
            out += "\\(aq";
        else
            out += c;
    }
    return out.starts_with('.') ? cat("\\&", out) : out;
}

std::string one_line(std::string text) {
    if (!text.empty()) text.pop_back();
    return text;
}

void append_fields(std::string& out, const FieldTable& table, const std::string& above);

void append_field(std::string& out, const Field& field, const FieldTable& table, const std::string& above) {
    const std::string key = cat(above, field.name);
    out += cat(".TP\n.B ", escape(key), "\n", escape(field.doc), ".\n");
    if (field.due == Due::later) {
        out += "Not supported yet by this version.\n";
        return;
    }
    const Shape shape = field.shape();
    if (shape.kind != Shape::record || field.describe() != "a map") out += cat("Takes ", escape(field.describe()), ".\n");
    const Node standard = field.encode(table.defaults());
    if (field.due == Due::required)
        out += "Required.\n";
    else if (standard.is_scalar())
        out += cat("Default: ", escape(one_line(print_yaml(standard))), ".\n");
    if (shape.fields)
        append_fields(out, shape.fields(), cat(key, shape.kind == Shape::list ? "[]." : shape.kind == Shape::map ? ".NAME." : "."));
}

void append_fields(std::string& out, const FieldTable& table, const std::string& above) {
    for (const Field& field : table.fields) append_field(out, field, table, above);
}

}  // namespace

std::string profile_reference() {
    std::string out;
    append_fields(out, profile_fields(), "");
    return out;
}

}  // namespace sandbox
