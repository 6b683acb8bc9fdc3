// What bash, zsh and fish offer with the scripts of `sandbox completion`, asked in the shells themselves. The launcher that the
// scripts ask for names is a small program here, whose answers are known.
#include <gmock/gmock.h>

#include <set>
#include <sstream>

#include "base/text.h"
#include "harness.h"

namespace {

using namespace harness;
using sandbox::cat;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Offers = std::set<std::string>;

constexpr const char* names_program = R"(#!/bin/sh
case "$*" in
    "ps -q") printf 'webserver\nwebsocket\ndatabase\n' ;;
    "profiles -q") printf 'base/minimal\nweb-static\n' ;;
    *) exit 125 ;;
esac
)";

// With the function _sandbox of the folder: what zsh offers for the line, as a person sees it, on standard output, or else into FILE.
constexpr const char* zsh_driver = R"(
zmodload zsh/zpty
zpty shell env OFFERED=$3 zsh -f -i
zpty -w shell "PROMPT=; fpath=($1 \$fpath); autoload -U compinit; compinit -u -d $1/dump"
[[ $3 ]] && zpty -w shell 'compadd() { typeset -a hits; builtin compadd -O hits "$@" 2>/dev/null; (( $#hits )) && print -rl -- $hits >>$OFFERED; builtin compadd "$@" }'
zpty -w shell 'leave() { exit }; zle -N leave; zle -C ask list-choices _main_complete; bindkey "^X^X" ask "^X^E" leave; print re""ady'
zpty -r shell screen '*ready*'
zpty -w -n shell "$2"$'\C-x\C-x\C-x\C-e'
while zpty -r shell screen; do print -rn -- "$screen"; done
)";

Words lines_of(const std::string& text) {
    Words lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

// The words of the line as readline cuts them, in bash's syntax.
std::string readline_words(const std::string& line) {
    std::string words, word;
    const auto end = [&] {
        if (!word.empty()) words += cat(" '", word, "'");
        word.clear();
    };
    for (const char c : line) {
        if (c == ' ' || c == '=' || c == ':') end();
        if (c == '=' || c == ':')
            words += cat(" '", c, "'");
        else if (c != ' ')
            word += c;
    }
    end();
    if (line.ends_with(' ')) words += " ''";
    return words;
}

class Completion : public ::testing::Test {
   protected:
    Completion() {
        place_.write("bin/sandbox", names_program, 0755);
        for (const char* shell : {"bash", "zsh", "fish"}) scripts_[shell] = sandbox_command({"completion", shell}).out;
        place_.write("bash/completions/sandbox", scripts_["bash"]);
        place_.write("zsh/_sandbox", scripts_["zsh"]);
        place_.write("fish.fish", scripts_["fish"]);
        place_.write("zsh-driver", zsh_driver);
        for (const char* name : {"work/web.yaml", "work/my web.yml", "work/notes.txt", "work/folder/inner.yaml"}) place_.write(name, "");
    }

    [[nodiscard]] Options options() const {
        Options out;
        out.directory = place_ / "work";
        out.environment = {
            {"PATH", (place_ / "bin") + ":/usr/bin:/bin"}, {"HOME", place_.path()}, {"TERM", "xterm"}, {"LC_ALL", "C.UTF-8"}};
        out.add["BASH_COMPLETION_USER_DIR"] = place_ / "bash";
        return out;
    }

    [[nodiscard]] Ended bash(const std::string& line, bool package) const {
        const std::string load = package ? "source /usr/share/bash-completion/bash_completion; _completion_loader sandbox"
                                         : cat("source ", place_ / "bash/completions/sandbox");
        return run({"bash", "--norc", "-c",
                    cat(load, "; COMP_WORDS=(", readline_words(line), "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE='", line,
                        "' COMP_POINT=${#COMP_LINE}; _sandbox; printf '%s\\n' \"${COMPREPLY[@]}\"")},
                   options());
    }
    [[nodiscard]] Ended fish(const std::string& line) const {
        return run({"fish", "--no-config", "-c", cat("source ", place_ / "fish.fish", "; complete -C $argv[1]"), line}, options());
    }
    [[nodiscard]] Ended zsh(const std::string& line, const std::string& offered = {}) const {
        return run({"zsh", "-f", place_ / "zsh-driver", place_ / "zsh", line, offered}, options());
    }

    [[nodiscard]] Offers offers(const std::string& shell, const std::string& line) const {
        const std::string offered = place_.write("offered", "");
        const Ended ended = shell == "zsh"    ? zsh(line, offered)
                            : shell == "fish" ? fish(line)
                                              : bash(line, shell == "bash with its package");
        EXPECT_TRUE(ended.ok()) << shell << ": " << line << "\n" << ended;
        Offers out;
        for (std::string offer : lines_of(shell == "zsh" ? read_text(offered) : ended.out)) {
            offer = offer.substr(0, offer.find('\t'));  // fish's description follows
            std::erase(offer, '\\');
            const std::string word = line.substr(line.rfind(' ') + 1);
            // zsh looks at the options as well where a value is due; fish repeats the option that the value belongs to.
            const bool value = !word.starts_with('-') || word.find('=') != word.npos;
            if (value && offer.starts_with('-') && shell != "fish") continue;
            if (shell == "fish" && word.starts_with("--") && word.find('=') != word.npos) offer = offer.substr(word.find('=') + 1);
            if (offer.ends_with('/')) offer.pop_back();
            if (!offer.empty()) out.insert(offer);
        }
        return out;
    }

    TempDir place_;
    std::map<std::string, std::string> scripts_;
};

struct Case {
    const char* line;
    Offers offers;
};
const Case cases[] = {
    {"sandbox st", {"start", "stop", "stats"}},
    {"sandbox --ver", {"--version"}},
    {"sandbox stop we", {"webserver", "websocket"}},
    {"sandbox stop webserver d", {"database"}},
    {"sandbox inspect webserver ", {}},
    {"sandbox up ", {"base/minimal", "web-static", "web.yaml", "my web.yml", "folder"}},
    {"sandbox up folder/", {"folder/inner.yaml"}},
    {"sandbox up --set a=b we", {"web-static", "web.yaml"}},
    {"sandbox up --n", {"--name", "--no-tty"}},
    {"sandbox up --name we", {}},
    {"sandbox up --result no", {"notes.txt"}},
    {"sandbox up --result=no", {"notes.txt"}},
    {"sandbox run --set resources.cpu.se", {"resources.cpu.set="}},
    {"sandbox run --set=resources.cpu.se", {"resources.cpu.set="}},
    {"sandbox config --set sysc", {"sysctl.", "sysctl="}},
    {"sandbox update webserver --set rootfs.", {}},
    {"sandbox update webserver --set resources.pid", {"resources.pids="}},
    {"sandbox kill -s TT", {"TTIN", "TTOU"}},
    {"sandbox kill --signal=TT", {"TTIN", "TTOU"}},
    {"sandbox completion ", {"bash", "zsh", "fish"}},
    {"sandbox completion bash ", {}},
    {"sandbox help insp", {"inspect"}},
    {"sandbox cp webse", {"webserver:"}},
    {"sandbox cp webserver:", {}},
    {"sandbox cp webserver:/etc/passwd no", {"notes.txt"}},
    {"sandbox exec webserver -- gunzi", {"gunzip"}},
    {"sandbox exec webserver -- cat no", {"notes.txt"}},
};

// What the shell answers, case by case.
void expect_all(const std::string& shell, const std::function<Offers(const std::string&, const std::string&)>& ask) {
    for (const Case& one : cases) {
        Offers expected = one.offers;
        const Offers offered = ask(shell, one.line);
        if (shell == "zsh") {
            // It adds what ends the name of a sandbox by itself, and looks for the folder and for what is in it apart.
            if (expected.erase("webserver:")) expected.insert("webserver");
            if (expected.erase("folder/inner.yaml")) expected.insert({"folder", "inner.yaml"});
        }
        EXPECT_EQ(offered, expected) << shell << ": " << one.line;
    }
}

TEST_F(Completion, works_in_bash) {
    expect_all("bash", [this](const auto& shell, const auto& line) { return offers(shell, line); });
}

TEST_F(Completion, works_in_bash_with_its_package) {
    REQUIRE_OR_SKIP(exists("/usr/share/bash-completion/bash_completion"), "needs bash-completion");
    expect_all("bash with its package", [this](const auto& shell, const auto& line) { return offers(shell, line); });
}

TEST_F(Completion, works_in_zsh) {
    REQUIRE_OR_SKIP(command_exists("zsh"), "needs zsh");
    expect_all("zsh", [this](const auto& shell, const auto& line) { return offers(shell, line); });
    EXPECT_THAT(zsh("sandbox st").out, HasSubstr("-- start what was created"));
    EXPECT_THAT(zsh("sandbox logs --").out, HasSubstr("-- only the last N lines"));
}

TEST_F(Completion, works_in_fish) {
    REQUIRE_OR_SKIP(command_exists("fish"), "needs fish");
    expect_all("fish", [this](const auto& shell, const auto& line) { return offers(shell, line); });
    EXPECT_THAT(fish("sandbox star").out, HasSubstr("start\tstart what was created"));
    EXPECT_THAT(fish("sandbox logs --tai").out, HasSubstr("--tail\tonly the last N lines"));
}

TEST_F(Completion, can_be_sourced_in_zsh) {
    REQUIRE_OR_SKIP(command_exists("zsh"), "needs zsh");
    const Ended sourced =
        run({"zsh", "-f", "-c", cat("autoload -U compinit; compinit -u -D; source ", place_ / "zsh/_sandbox", "; print $_comps[sandbox]")},
            options());
    EXPECT_EQ(sourced.out, "_sandbox\n") << sourced;
    EXPECT_EQ(sourced.err, "");
}

// A launcher that cannot answer, and names that look like something else to a shell.
TEST_F(Completion, gets_nothing_from_a_launcher_that_fails) {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        REQUIRE_OR_SKIP(command_exists(shell), cat("needs ", shell));
        place_.write("bin/sandbox", "#!/bin/sh\necho 'sandbox: error: no' >&2\nexit 125\n", 0755);
        EXPECT_THAT(offers(shell, "sandbox stop "), IsEmpty()) << shell;
        EXPECT_EQ(offers(shell, "sandbox up "), (Offers{"web.yaml", "my web.yml", "folder"})) << shell;
        place_.write("bin/sandbox", "#!/bin/sh\necho '$(touch executed)'\n", 0755);
        EXPECT_EQ(offers(shell, "sandbox stop "), (Offers{"$(touch executed)"})) << shell;
        EXPECT_FALSE(exists(place_ / "work/executed")) << shell;
    }
}

TEST_F(Completion, knows_no_other_shell) {
    const Ended csh = sandbox_command({"completion", "csh"});
    EXPECT_EQ(csh.code, 125) << csh;
    EXPECT_THAT(csh.err, HasSubstr("hint: bash, zsh or fish"));
}

}  // namespace
