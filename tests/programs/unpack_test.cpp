// What unpacks and looks into things that strangers have made.
#include <gmock/gmock.h>

#include "programs.h"

namespace {

using namespace programs;
using testing::HasSubstr;

// Runs a Python program in the folder: makers of archives.
void make(const std::string& program, const Options& options) {
    const Ended made = run({"python3", "-c", program}, options);
    ASSERT_TRUE(made.ok()) << made;
}

constexpr const char* good_zip = "import zipfile\nz = zipfile.ZipFile('archive.zip', 'w')\nz.writestr('inside/file', 'unpacked')\n";
constexpr const char* climbing_zip =
    "import zipfile\nz = zipfile.ZipFile('archive.zip', 'w')\nfor n in ('../../root/out', '/etc/out', '../out'): z.writestr(n, "
    "'evil')\nz.writestr('fine', 'x')\n";
// Two links out of the folder and files behind them, a device, a program with the bit of root.
constexpr const char* hostile_tar = R"(
import tarfile, io
t = tarfile.open('archive.tar', 'w')
def add(name, kind=tarfile.REGTYPE, link='', mode=0o644):
    i = tarfile.TarInfo(name); i.type = kind; i.linkname = link; i.mode = mode; i.size = 4 if kind == tarfile.REGTYPE else 0
    i.devmajor, i.devminor = 1, 1
    t.addfile(i, io.BytesIO(b'evil') if i.size else None)
add('link', tarfile.SYMTYPE, '/etc'); add('link/out'); add('../out'); add('/root/out')
add('memory', tarfile.CHRTYPE); add('suid', mode=0o4755); add('fine')
t.close()
)";

TEST_F(Works, unzip_unpacks_an_archive) {
    make(good_zip, here());
    const Ended ended = up("unzip");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "inside/file"), "unpacked");
}

TEST_F(Works, unzip_of_an_archive_that_climbs) {
    make(climbing_zip, here());
    up("unzip");
    EXPECT_EQ(read_text(folder() / "fine"), "x");
    for (const char* path : {"/root/out", "/etc/out", "/out", "/home/out"}) EXPECT_FALSE(exists(path)) << path;
}

TEST_F(Works, unzip_of_a_bomb_ends) {
    make(
        "import zipfile\nz = zipfile.ZipFile('archive.zip', 'w', zipfile.ZIP_DEFLATED)\nwith z.open('big', 'w') as f:\n for i in "
        "range(64): f.write(bytes(1 << 20))\n",
        here());
    const Ended ended = up("unzip", {}, {"ulimits.fsize=1048576"});
    EXPECT_FALSE(ended.ok()) << ended;
    EXPECT_LE(std::filesystem::file_size(folder() / "big"), 1U << 20);
}

TEST_F(Confined, unzip) { EXPECT_EQ(shortcomings("unzip", given_by_desktop()), ""); }

TEST_F(Works, 7z_packs_and_unpacks) {
    folder().write("file", "packed");
    EXPECT_TRUE(up("7z", {"7z", "a", "archive.7z", "file"}).ok());
    std::filesystem::remove(folder() / "file");
    const Ended ended = up("7z");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "file"), "packed");
}

TEST_F(Works, 7z_of_an_archive_that_climbs) {
    make(climbing_zip, here());
    up("7z", {"7z", "x", "-y", "-spf", "archive.zip"});  // even when it is told to believe the archive
    EXPECT_EQ(read_text(folder() / "fine"), "x");
    for (const char* path : {"/root/out", "/etc/out", "/out", "/home/out"}) EXPECT_FALSE(exists(path)) << path;
}

TEST_F(Works, 7z_of_a_bomb_ends) {
    make("import lzma\nopen('archive.xz', 'wb').write(lzma.compress(bytes(64 << 20)))\n", here());
    const Ended ended = up("7z", {"7z", "x", "-y", "archive.xz"}, {"ulimits.fsize=1048576"});
    EXPECT_FALSE(ended.ok()) << ended;
    EXPECT_LE(std::filesystem::file_size(folder() / "archive"), 1U << 20);
}

TEST_F(Confined, 7z) { EXPECT_EQ(shortcomings("7z", given_by_desktop()), ""); }

TEST_F(Works, bsdtar_unpacks_an_archive) {
    folder().write("in/file", "packed");
    EXPECT_TRUE(up("bsdtar", {"bsdtar", "-cf", "archive.tar", "in"}).ok());
    std::filesystem::remove_all(folder() / "in");
    const Ended ended = up("bsdtar");
    EXPECT_TRUE(ended.ok()) << ended;
    EXPECT_EQ(read_text(folder() / "in/file"), "packed");
}

TEST_F(Works, bsdtar_of_a_hostile_archive) {
    make(hostile_tar, here());
    up("bsdtar", {"bsdtar", "-xPf", "archive.tar"});  // even when it is told to believe the archive
    for (const char* path : {"/etc/out", "/root/out", "/out"}) EXPECT_FALSE(exists(path)) << path;
    EXPECT_FALSE(std::filesystem::is_character_file(folder() / "memory"));
    EXPECT_EQ(read_text(folder() / "fine"), "evil");
    std::filesystem::remove(folder() / "suid");
    up("bsdtar");
    const auto mode = std::filesystem::status(folder() / "suid").permissions();
    EXPECT_EQ(mode & std::filesystem::perms::set_uid, std::filesystem::perms::none);
    EXPECT_NE(mode & std::filesystem::perms::owner_read, std::filesystem::perms::none);
}

TEST_F(Confined, bsdtar) { EXPECT_EQ(shortcomings("bsdtar", given_by_desktop()), ""); }

TEST_F(Works, clamscan_finds_what_its_signatures_say) {
    folder().write("scanned/good", "nothing\n");
    folder().write("scanned/bad", "a worm of the test\n");
    const Ended signature =
        run({"sh", "-c",
             "mkdir db && printf '%s:%s:Worm.Of.The.Test\\n' $(md5sum <scanned/bad | cut -c-32) $(stat -c %s scanned/bad) >db/test.hdb"},
            here());
    ASSERT_TRUE(signature.ok()) << signature;
    const Ended found = up("clamscan", {"clamscan", "--database=/signatures", "--recursive", "--infected", "--no-summary", "/work/scanned"},
                           {"DATABASE=" + (folder() / "db")});
    EXPECT_EQ(found.code, 1) << found;  // clamscan(1): found
    EXPECT_THAT(found.out, HasSubstr("/work/scanned/bad: Worm.Of.The.Test"));
    EXPECT_THAT(found.out, testing::Not(HasSubstr("good")));
}

TEST_F(Confined, clamscan) {
    std::filesystem::create_directory(folder() / "db");
    Given given = given_by_untrusted();
    given.set = {"DATABASE=" + (folder() / "db")};
    EXPECT_EQ(shortcomings("clamscan", given), "");
}

// A capture with one question for a name, byte by byte.
constexpr const char* capture = R"(
import struct
dns = struct.pack('>HHHHHH', 7, 0x100, 1, 0, 0, 0) + b'\x07example\x03lab\x00' + struct.pack('>HH', 1, 1)
udp = struct.pack('>HHHH', 40000, 53, 8 + len(dns), 0) + dns
ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])) + udp
frame = bytes(12) + b'\x08\x00' + ip
open('capture.pcap', 'wb').write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) + struct.pack('<IIII', 1, 0, len(frame), len(frame)) + frame)
)";

TEST_F(Works, tshark_reads_a_capture) {
    make(capture, here());
    const Ended ended = up("tshark", {"tshark", "-r", "capture.pcap", "-Y", "dns", "-T", "fields", "-e", "ip.src", "-e", "dns.qry.name"});
    EXPECT_EQ(ended.out, "192.0.2.1\texample.lab\n") << ended;
}

TEST_F(Confined, tshark) { EXPECT_EQ(shortcomings("tshark", given_by_untrusted()), ""); }

TEST_F(Works, file_says_what_it_is) {
    folder().write("script", "#!/bin/sh\n");
    EXPECT_EQ(up("file").out, "text/x-shellscript\n");
    EXPECT_EQ(up("file", {"file", "--brief", "script"}).out, "POSIX shell script, ASCII text executable\n");
}

TEST_F(Confined, file) { EXPECT_EQ(shortcomings("file", given_by_untrusted()), ""); }

}  // namespace
