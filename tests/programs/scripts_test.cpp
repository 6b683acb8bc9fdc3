// Interpreters, compilers and tools of developers: each does its work in the caller's folder, or on what it is given.
#include <gmock/gmock.h>

#include "programs.h"

namespace {

using namespace programs;
using testing::HasSubstr;

TEST_F(Works, python3_runs_a_script_that_writes_a_file) {
    folder().write("script.py", "import json, sqlite3, ssl\nopen('out.json', 'w').write(json.dumps({'sum': sum(range(10))}))\n");
    const Ended ended = up("python3");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "out.json"), "{\"sum\": 45}");
}

TEST_F(Works, python3_of_an_ordinary_user_writes_files_of_the_user) {
    folder().write("script.py", "open('out', 'w').write('x')\n");
    const Options tester = as_tester();
    const Ended ended = up("python3", {}, {"policy.unsupported=warn"}, tester);
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(run({"stat", "-c", "%U", folder() / "out"}).out, "tester\n");
}

TEST_F(Confined, python3) { EXPECT_EQ(shortcomings("python3", given_by_desktop()), ""); }

TEST_F(Works, node_runs_a_script) {
    folder().write("script.js", "require('fs').writeFileSync('out', String([1, 2, 3].map(x => x * x)))\n");
    const Ended ended = up("node");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "out"), "1,4,9");
}

TEST_F(Confined, node) { EXPECT_EQ(shortcomings("node", given_by_desktop()), ""); }

TEST_F(Works, gcc_builds_a_program_and_runs_it) {
    folder().write("main.c", "#include <stdio.h>\nint main(void) { return puts(\"built\") < 0; }\n");
    folder().write("Makefile", "test: main\n\t./main >result\nmain: main.c\n\tgcc -O2 -o main main.c\n");
    const Ended ended = up("gcc");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "result"), "built\n");
}

TEST_F(Confined, gcc) { EXPECT_EQ(shortcomings("gcc", given_by_desktop()), ""); }

TEST_F(Works, git_clones_a_repository_and_runs_no_hook) {
    const std::string make =
        "git init --quiet --initial-branch=main theirs && cd theirs && echo it >file && git add file && "
        "git -c user.name=a -c user.email=a@b commit --quiet --message=first && "
        "mkdir -p template/hooks && printf '#!/bin/sh\\ntouch /work/hooked\\n' >template/hooks/post-checkout && "
        "chmod +x template/hooks/post-checkout";
    ASSERT_TRUE(run({"sh", "-c", make}, here()).ok());
    const Ended ended = up("git", {"git", "clone", "--quiet", "--template=/work/theirs/template", "/work/theirs", "mine"});
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "mine/file"), "it\n");
    EXPECT_FALSE(exists(folder() / "hooked"));  // a program of the folder is not run: it is noexec
    EXPECT_EQ(up("git", {"git", "-C", "mine", "log", "--format=%s"}).out, "first\n");
    // The same without a sandbox shows that there is a hook to be run.
    ASSERT_TRUE(
        run({"sh", "-c",
             "sed -i s,/work/,../, theirs/template/hooks/post-checkout && git clone --quiet --template=theirs/template theirs other"},
            here())
            .ok());
    EXPECT_TRUE(exists(folder() / "hooked"));
}

// What git runs for a repository's own configuration, without a question: `git status` is enough.
TEST_F(Works, git_status_of_a_hostile_repository_reaches_nothing) {
    const std::string command =
        cat("cat /root/secret /home/tester/secret >/work/seen 2>/dev/null; "
            "for address in ",
            host_address, " ", outside_address, "; do bash -c \"echo >/dev/tcp/$address/", port, "\" && echo $address >>/work/seen; done; ",
            "touch /srv/mark /work/ran; false");
    ASSERT_TRUE(run({"git", "init", "--quiet", "theirs"}, here()).ok());
    ASSERT_TRUE(run({"git", "-C", "theirs", "config", "core.fsmonitor", command}, here()).ok());
    const Endpoint everywhere("0.0.0.0", port);
    const Fd here_too = bound(host, SOCK_STREAM, everywhere), there = bound(outside, SOCK_STREAM, everywhere);
    const Ended ended = up("git", {"git", "-C", "theirs", "status", "--short"});
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_TRUE(exists(folder() / "ran")) << ended;
    EXPECT_EQ(read_text(folder() / "seen"), "");
    EXPECT_FALSE(exists("/srv/mark"));
}

TEST_F(Confined, git) { EXPECT_EQ(shortcomings("git", given_by_desktop()), ""); }

TEST_F(Works, curl_reaches_its_address_and_no_other) {
    folder().write("page", "the page\n");
    std::optional<Process> server;
    {
        const InNetwork in(outside);
        server.emplace(Process::start({"python3", "-u", "-m", "http.server", "80"}, here()));
        ASSERT_TRUE(server->expect("Serving HTTP on")) << server->err();
    }
    const Words set{cat("ADDRESS=", outside_address)};
    const Ended fetched = up("curl", {"curl", "--silent", "--show-error", "--remote-name", cat("http://", outside_address, "/page")}, set);
    EXPECT_TRUE(fetched.ok()) << fetched;
    std::filesystem::remove(folder() / "page");
    const Ended refused =
        up("curl", {"curl", "--silent", "--max-time", "5", cat("http://", outside_address, "/page")}, {"ADDRESS=192.0.2.99"});
    EXPECT_EQ(refused.code, 7) << refused;  // curl(1): failed to connect
    server->signal(SIGTERM);
    static_cast<void>(server->wait());
}

TEST_F(Confined, curl) { EXPECT_EQ(shortcomings("curl", given_by_desktop()), ""); }

TEST_F(Works, sqlite3_keeps_a_table_in_its_file) {
    Options options = here();
    options.input = "create table t(a); insert into t values (7), (8);";
    EXPECT_TRUE(up("sqlite3", {}, {"DB=my.db"}, options).ok());
    options.input = "select sum(a) from t;";
    EXPECT_EQ(up("sqlite3", {}, {"DB=my.db"}, options).out, "15\n");
}

TEST_F(Confined, sqlite3) { EXPECT_EQ(shortcomings("sqlite3", given_by_desktop()), ""); }

TEST_F(Works, ripgrep_finds_a_line_and_no_secret) {
    folder().write("a.txt", "one\nthe needle\n");
    EXPECT_EQ(up("ripgrep", {"rg", "--no-heading", "needle", "."}).out, "./a.txt:the needle\n");
    const Ended secret = up("ripgrep", {"rg", "secret", "/root", "/home", "/srv"});
    EXPECT_EQ(secret.out, "") << secret;
    EXPECT_FALSE(secret.ok());
}

TEST_F(Confined, ripgrep) { EXPECT_EQ(shortcomings("ripgrep", given_by_untrusted()), ""); }

TEST_F(Works, shellcheck_finds_a_mistake) {
    folder().write("script.sh", "#!/bin/sh\nrm $1\n");
    const Ended ended = up("shellcheck", {"shellcheck", "--format=gcc", "script.sh"});
    EXPECT_EQ(ended.code, 1) << ended;
    EXPECT_THAT(ended.out, HasSubstr("script.sh:2:4: note: Double quote"));
}

TEST_F(Confined, shellcheck) { EXPECT_EQ(shortcomings("shellcheck", given_by_untrusted()), ""); }

TEST_F(Works, php_runs_a_script) {
    folder().write("script.php", "<?php file_put_contents('out', strrev('olleh'));\n");
    const Ended ended = up("php");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "out"), "hello");
}

TEST_F(Confined, php) { EXPECT_EQ(shortcomings("php", given_by_desktop()), ""); }

TEST_F(Works, ruby_runs_a_script) {
    folder().write("script.rb", "require 'json'\nFile.write('out', JSON.generate({a: [1, 2]}))\n");
    const Ended ended = up("ruby");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "out"), "{\"a\":[1,2]}");
}

TEST_F(Confined, ruby) { EXPECT_EQ(shortcomings("ruby", given_by_desktop()), ""); }

TEST_F(Works, perl_runs_a_script) {
    folder().write("script.pl", "use strict; open my $f, '>', 'out' or die; print $f join ',', sort qw(b a c);\n");
    const Ended ended = up("perl");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "out"), "a,b,c");
}

TEST_F(Confined, perl) { EXPECT_EQ(shortcomings("perl", given_by_desktop()), ""); }

TEST_F(Works, ci_runner_leaves_its_result_and_not_a_trace_in_the_sources) {
    folder().write("src/ci.sh", "#!/bin/sh\nset -e\ngcc -o it it.c\n./it >/out/result\n");
    folder().write("src/it.c", "#include <stdio.h>\nint main(void) { return puts(\"checked\") < 0; }\n");
    ASSERT_TRUE(run({"chmod", "+x", folder() / "src/ci.sh"}).ok());
    std::filesystem::create_directory(folder() / "out");
    const Ended ended = up("ci-runner", {}, {"SOURCE=" + (folder() / "src"), "OUT=" + (folder() / "out")});
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "out/result"), "checked\n");
    EXPECT_FALSE(exists(folder() / "src/it"));
}

TEST_F(Confined, ci_runner) {
    Given given;
    given.scratch = {"/var/tmp", "/build"};
    given.writable = {"/out"};
    given.set = {"SOURCE=/usr/include", "OUT=" + folder().path()};
    EXPECT_EQ(shortcomings("ci-runner", given), "");
}

TEST_F(Works, coding_agent_changes_its_work_and_reaches_what_it_may) {
    folder().write("page", "the page\n");
    folder().write("work/main.py", "print('before')\n");
    std::optional<Process> server;
    {
        const InNetwork in(outside);
        server.emplace(Process::start({"python3", "-u", "-m", "http.server", "80"}, here()));
        ASSERT_TRUE(server->expect("Serving HTTP on")) << server->err();
    }
    Options caller = here();
    caller.add["SECRET_TOKEN"] = "of the caller";
    const Words set{"WORK=" + (folder() / "work"), cat("ALLOW=", outside_address, ":80/tcp")};
    const std::string job = cat("sed -i s/before/after/ main.py && python3 main.py >out; curl -s http://", outside_address,
                                "/page >page; env >env; ", "for address in ", host_address, " ", outside_address, " ", bridge_address,
                                "; do ", "timeout 2 bash -c \"echo >/dev/tcp/$address/", port, "\" && echo $address; done >seen; ",
                                "for name in ~/.ssh /home/tester/.ssh /root/secret; do [ -e $name ] && echo $name; done >>seen");
    const Endpoint everywhere("0.0.0.0", port);
    const Fd here_too = bound(host, SOCK_STREAM, everywhere), there = bound(outside, SOCK_STREAM, everywhere);
    const Ended ended = up("coding-agent", {"/bin/bash", "-c", job}, set, caller);
    EXPECT_EQ(read_text(folder() / "work/out"), "after\n") << ended;
    EXPECT_EQ(read_text(folder() / "work/page"), "the page\n") << ended;
    ASSERT_TRUE(exists(folder() / "work/seen")) << ended;
    EXPECT_EQ(read_text(folder() / "work/seen"), "") << ended;
    EXPECT_THAT(read_text(folder() / "work/env"), testing::Not(HasSubstr("SECRET_TOKEN")));
    server->signal(SIGTERM);
    static_cast<void>(server->wait());
}

TEST_F(Confined, coding_agent) { EXPECT_EQ(shortcomings("coding-agent", given_by_desktop()), ""); }

// A tree with a shell, in which the probe is found too.
void make_small_tree(const Options& options) {
    const Ended made =
        run({"sh", "-c",
             "mkdir -p tree/bin tree/usr/local/bin tree/etc tree/root tree/tmp tree/proc tree/sys tree/dev tree/var/lib tree/home && "
             "cp /bin/busybox tree/bin/ && cp /usr/local/bin/sandbox-probe tree/usr/local/bin/ && "
             "for name in sh bash ls cat chown; do ln -s busybox tree/bin/$name; done && echo debian >tree/etc/hostname"},
            options);
    ASSERT_TRUE(made.ok()) << made;
}

TEST_F(Works, debian_shell_changes_everything_and_nothing_stays) {
    make_small_tree(here());
    const Words set{"TREE=" + (folder() / "tree")};
    const Ended ended =
        up("debian-shell", {"/bin/sh", "-c", "echo changed >/etc/hostname; chown 33 /etc/hostname; ls -n /etc; cat /etc/hostname"}, set);
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_THAT(ended.out, HasSubstr("33"));
    EXPECT_THAT(ended.out, HasSubstr("changed\n"));
    EXPECT_EQ(read_text(folder() / "tree/etc/hostname"), "debian\n");
}

TEST_F(Confined, debian_shell) {
    make_small_tree(here());
    Given given;
    given.set = {"TREE=" + (folder() / "tree")};
    given.capabilities = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"};
    given.scratch = {"/", "/etc", "/usr", "/usr/local", "/var", "/var/lib", "/home", "/root"};
    EXPECT_EQ(shortcomings("debian-shell", given), "");
}

}  // namespace
