// Writes the words of the language, taken from its schema, as a dictionary for libFuzzer: keys with their colon, and the
// values that are words. The argument is the file to write.
#include <cctype>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "profile/load.h"

namespace {

using nlohmann::json;
using Words = std::set<std::string>;

void collect(const json& schema, Words& words) {
    if (schema.is_array())
        for (const json& part : schema) collect(part, words);
    if (!schema.is_object()) return;
    for (const auto& [name, part] : schema.items()) {
        if (name == "properties")
            for (const auto& [key, value] : part.items()) words.insert(key + ": ");
        if (name == "enum")
            for (const json& value : part)
                if (value.is_string()) words.insert(value.get<std::string>());
        if (name == "const" && part.is_string()) words.insert(part.get<std::string>());
        collect(part, words);
    }
}

// A '"' and a '\' are escaped, and so is what is not printable.
std::string quote(const std::string& word) {
    std::string out = "\"";
    for (const char c : word) {
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, std::isprint(static_cast<unsigned char>(c)) && c != '"' && c != '\\' ? "%c" : "\\x%02X",
                      static_cast<unsigned char>(c));
        out += escaped;
    }
    return out + "\"";
}

}  // namespace

int main(int count, char** words) {
    if (count != 2) return std::fputs("usage: make-dictionary FILE\n", stderr), 2;
    // What the schema does not spell out: the syntax, variables, and the shapes of values.
    Words found{"version: 1\n",
                "---\n",
                "${",
                "}",
                "{",
                "[",
                ", ",
                "\n  - ",
                "\n  ",
                "&a ",
                "*a",
                "null",
                "~",
                "true",
                "false",
                "/",
                "..",
                "/dev",
                "/proc",
                "/sys/",
                "@",
                ":",
                "0",
                "-1",
                "1ms",
                "5s",
                "64Ki",
                "10Mi",
                "0644",
                "1000:1000",
                "65536",
                "4294967295",
                "18446744073709551615",
                "10.88.0.0/24",
                "10.88.0.7",
                "fd00:88::/64",
                "[::1]:8080:80",
                "8000-8010:9000-9010/udp",
                "default via ",
                "02:00:0a:58:00:0a",
                "/srv/a",
                "/missing",
                "a.txt",
                "seccomp.json"};
    collect(json::parse(sandbox::profile_schema()), found);
    std::ofstream file(words[1]);
    for (const std::string& word : found)
        if (!word.empty()) file << quote(word) << '\n';
    file.close();
    return file.good() ? 0 : 1;
}
