// Documents, pictures and sound: what people convert, and what came by mail.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "programs.h"

namespace {

using namespace programs;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// An ordinary user has been given no groups here: limits that need them are left out when told to.
const std::string without_groups = "policy.unsupported=warn";

const std::string png_begins = "\x89PNG\r\n";

// A PDF of one page with this as its content stream.
std::string pdf_of(const std::string& content, const std::string& filter = "") {
    const Words objects = {
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        cat("<< /Length ", content.size(), filter, " >>\nstream\n", content, "\nendstream"),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    };
    std::string text = "%PDF-1.4\n", table;
    for (std::size_t i = 0; i < objects.size(); ++i) {
        const std::string offset = std::to_string(text.size());
        table += cat(std::string(10 - offset.size(), '0'), offset, " 00000 n \n");
        text += cat(i + 1, " 0 obj\n", objects[i], "\nendobj\n");
    }
    return cat(text, "xref\n0 6\n0000000000 65535 f \n", table, "trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n", text.size(),
               "\n%%EOF\n");
}

std::string pdf_that_says(const std::string& words) { return pdf_of(cat("BT /F 24 Tf 20 100 Td (", words, ") Tj ET")); }

uid_t owner_of(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 ? status.st_uid : static_cast<uid_t>(-1);
}

// The host's own reader, which the profile under test has no part in.
std::string text_of(const std::string& pdf) { return run({"pdftotext", pdf, "-"}).out; }

// ---- pdf-text

TEST_F(Works, pdf_text_writes_the_text_beside_the_document) {
    folder().write("report.pdf", pdf_that_says("It is in the report"));
    const Ended done = up("pdf-text", {}, {"IN=report.pdf", "OUT=report.txt"});
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(read_text(folder() / "report.txt"), HasSubstr("It is in the report\n"));
}

TEST_F(Works, pdf_text_for_an_ordinary_user) {
    folder().write("in.pdf", pdf_that_says("It is mine"));
    const Ended done = up("pdf-text", {}, {without_groups}, as_tester());
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(read_text(folder() / "out.txt"), HasSubstr("It is mine"));
    EXPECT_EQ(owner_of(folder() / "out.txt"), 1000U);
}

TEST_F(Works, pdf_text_reads_standard_input) {
    Options options = here();
    options.input = pdf_that_says("It came through a pipe");
    EXPECT_THAT(up("pdf-text", {"pdftotext", "-", "-"}, {}, options).out, HasSubstr("It came through a pipe"));
}

TEST_F(Works, pdf_text_is_ended_when_a_document_fills_memory) {
    // Millions of letters, each in another place: what is twice in one is left out.
    const Ended packed = run({"perl", "-MCompress::Zlib", "-e",
                              "print compress('BT /F 9 Tf ' . join('', map { '1 0 0 1 ' . $_ * 7 % 397 . ' ' . $_ * 3 % 199 . "
                              "' Tm (AAAAAAAA) Tj ' } 1 .. 400000) . 'ET')"});
    ASSERT_TRUE(packed.ok()) << packed;
    folder().write("in.pdf", pdf_of(packed.out, " /Filter /FlateDecode"));
    const Ended full = up("pdf-text", {}, {"resources.memory.max=64Mi"});
    EXPECT_EQ(full.code, 128 + 9) << full;
}

TEST_F(Confined, pdf_text) { EXPECT_EQ(shortcomings("pdf-text", given_by_desktop()), ""); }

TEST_F(Confined, pdf_text_of_an_ordinary_user) {
    Given given = given_by_desktop();
    given.set = {without_groups};
    EXPECT_EQ(shortcomings("pdf-text", given, as_tester()), "");
}

// ---- qpdf

TEST_F(Works, qpdf_puts_a_document_in_order) {
    folder().write("in.pdf", pdf_that_says("Page one"));
    const Ended done = up("qpdf");
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(read_text(folder() / "out.pdf"), HasSubstr("/Linearized"));
    EXPECT_THAT(text_of(folder() / "out.pdf"), HasSubstr("Page one"));
}

TEST_F(Works, qpdf_joins_and_encrypts) {
    folder().write("a.pdf", pdf_that_says("Page one"));
    folder().write("b.pdf", pdf_that_says("Page two"));
    const Ended done =
        up("qpdf", {"qpdf", "--empty", "--pages", "a.pdf", "b.pdf", "--", "--encrypt", "open", "owner", "256", "--", "both.pdf"});
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_EQ(text_of(folder() / "both.pdf"), "");
    EXPECT_THAT(run({"pdftotext", "-upw", "open", folder() / "both.pdf", "-"}).out, AllOf(HasSubstr("Page one"), HasSubstr("Page two")));
}

TEST_F(Confined, qpdf) { EXPECT_EQ(shortcomings("qpdf", given_by_desktop()), ""); }

// ---- ghostscript

const char* const paper = "%!PS\n/Helvetica findfont 30 scalefont setfont 72 700 moveto (On paper) show showpage\n";

TEST_F(Works, ghostscript_makes_a_pdf) {
    folder().write("in.ps", paper);
    const Ended done = up("ghostscript");
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(text_of(folder() / "out.pdf"), HasSubstr("On paper"));
}

TEST_F(Works, ghostscript_makes_pictures_of_pages) {
    folder().write("in.ps", paper);
    const Ended done = up("ghostscript", {"gs", "-q", "-sDEVICE=png16m", "-r20", "-o", "page-%d.png", "in.ps"});
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(read_text(folder() / "page-1.png"), StartsWith(png_begins));
}

// A program that reads and writes files, and says of each whether it could.
const char* const nosy_paper = R"(%!PS
/try { stopped { (refused) } { (done) } ifelse print (\n) print clear } def
(read a secret: ) print { (/home/tester/secret) (r) file } try
(write to the system: ) print { (/etc/ghostscript.was.here) (w) file } try
(write to the folder: ) print { (/work/left) (w) file closefile } try
)";

TEST_F(Works, ghostscript_gives_a_hostile_program_nothing) {
    folder().write("in.ps", nosy_paper);
    const Ended safe = up("ghostscript");
    EXPECT_EQ(safe.out, "read a secret: refused\nwrite to the system: refused\nwrite to the folder: refused\n") << safe;
    // The same when its own safety is broken, as it has been more than once: the sandbox is still there.
    const Ended broken = up("ghostscript", {"gs", "-q", "-dNOSAFER", "-sDEVICE=pdfwrite", "-o", "out.pdf", "in.ps"});
    EXPECT_EQ(broken.out, "read a secret: refused\nwrite to the system: refused\nwrite to the folder: done\n") << broken;
    EXPECT_FALSE(exists("/etc/ghostscript.was.here"));
}

TEST_F(Works, ghostscript_is_ended_when_a_program_loops) {
    folder().write("in.ps", "%!PS\n{ } loop\n");
    EXPECT_EQ(up("ghostscript", {}, {"lifecycle.timeout=1s"}).code, 124);
}

TEST_F(Confined, ghostscript) { EXPECT_EQ(shortcomings("ghostscript", given_by_desktop()), ""); }

// ---- libreoffice

const char* const letter = R"(<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.text">
<office:body><office:text><text:p>Dear reader of the letter</text:p></office:text></office:body></office:document>
)";

TEST_F(Works, libreoffice_converts_a_letter) {
    folder().write("letter.fodt", letter);
    const Options tester = as_tester();
    const Ended done = up("libreoffice", {}, {without_groups, "IN=letter.fodt"}, tester);
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(text_of(folder() / "letter.pdf"), HasSubstr("Dear reader of the letter"));
    EXPECT_EQ(owner_of(folder() / "letter.pdf"), 1000U);
}

TEST_F(Works, libreoffice_converts_to_other_formats) {
    folder().write("letter.fodt", letter);
    const Ended done = up("libreoffice", {}, {"IN=letter.fodt", "TO=docx"});
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(run({"unzip", "-p", folder() / "letter.docx", "word/document.xml"}).out, HasSubstr("Dear reader of the letter"));
}

TEST_F(Confined, libreoffice) { EXPECT_EQ(shortcomings("libreoffice", given_by_desktop()), ""); }

// ---- chromium

TEST_F(Works, chromium_prints_a_page) {
    folder().write("in.html", "<h1 id=here></h1><script>here.textContent = 'Sum ' + (40 + 2)</script>\n");
    const Ended done = up("chromium", {}, {without_groups}, as_tester());
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(text_of(folder() / "out.pdf"), HasSubstr("Sum 42"));
    EXPECT_EQ(owner_of(folder() / "out.pdf"), 1000U);
}

TEST_F(Works, chromium_shows_a_hostile_page_nothing_of_the_host) {
    const Fd listening = bound(outside, SOCK_STREAM, Endpoint("0.0.0.0", port));
    folder().write("beside.html", "a file beside it");
    folder().write("in.html", cat("<p>The page</p><iframe src='beside.html'></iframe><iframe src='file:///home/tester/secret'></iframe>",
                                  "<img src='http://", outside_address, ":", port, "/i-am-read'>\n"));
    const Ended done = up("chromium");
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(text_of(folder() / "out.pdf"),
                AllOf(HasSubstr("The page"), HasSubstr("a file beside it"), Not(HasSubstr("the secret of"))));
    EXPECT_FALSE(readable(listening.get(), milliseconds(0))) << "somebody has connected";
}

TEST_F(Confined, chromium) { EXPECT_EQ(shortcomings("chromium", given_by_desktop()), ""); }

// ---- imagemagick, tesseract, optipng, exiftool

// Draws a picture of words into the folder.
void draw(const TempDir& folder, const std::string& words, const std::string& file) {
    const Ended drawn = run({"convert", "-size", "400x80", "xc:white", "-font", "DejaVu-Sans", "-pointsize", "40", "-draw",
                             cat("text 10,50 \"", words, "\""), folder / file});
    if (!drawn.ok()) throw std::runtime_error("cannot draw: " + drawn.err);
}

TEST_F(Works, imagemagick_converts_a_picture) {
    draw(folder(), "Hello", "in.png");
    const Ended done = up("imagemagick", {}, {without_groups}, as_tester());
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_EQ(run({"identify", "-format", "%m %wx%h", folder() / "out.jpg"}).out, "JPEG 400x80");
    EXPECT_EQ(owner_of(folder() / "out.jpg"), 1000U);
}

TEST_F(Works, imagemagick_changes_pictures_in_place) {
    draw(folder(), "One", "a.png");
    draw(folder(), "Two", "b.png");
    const Ended done = up("imagemagick", {"mogrify", "-resize", "50%", "a.png", "b.png"});
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_EQ(run({"identify", "-format", "%wx%h ", folder() / "a.png", folder() / "b.png"}).out, "200x40 200x40 ");
}

TEST_F(Confined, imagemagick) { EXPECT_EQ(shortcomings("imagemagick", given_by_desktop()), ""); }

TEST_F(Works, tesseract_reads_a_picture_that_imagemagick_drew) {
    const Ended drawn = up("imagemagick", {"convert", "-size", "400x80", "xc:white", "-font", "DejaVu-Sans", "-pointsize", "40", "-draw",
                                           "text 10,50 'Hello 42'", "in.png"});
    ASSERT_TRUE(drawn.ok()) << drawn;
    const Ended text = up("tesseract");
    EXPECT_THAT(text.out, StartsWith("Hello 42\n")) << text;
}

TEST_F(Works, tesseract_makes_a_pdf_to_search_in) {
    draw(folder(), "Hello 42", "scan.png");
    const Ended done = up("tesseract", {"tesseract", "scan.png", "scan", "pdf"});
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(text_of(folder() / "scan.pdf"), HasSubstr("Hello 42"));
}

TEST_F(Confined, tesseract) { EXPECT_EQ(shortcomings("tesseract", given_by_desktop()), ""); }

TEST_F(Works, optipng_makes_a_picture_smaller) {
    draw(folder(), "Hello", "in.png");
    const auto signature = [&] { return run({"identify", "-format", "%#", folder() / "in.png"}).out; };
    const std::string shown = signature();
    const std::size_t size = read_text(folder() / "in.png").size();
    const Ended done = up("optipng");
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_LT(read_text(folder() / "in.png").size(), size);
    EXPECT_EQ(signature(), shown);
}

TEST_F(Confined, optipng) { EXPECT_EQ(shortcomings("optipng", given_by_desktop()), ""); }

TEST_F(Works, exiftool_shows_and_takes_out_what_a_picture_says) {
    ASSERT_TRUE(run({"convert", "-size", "8x8", "xc:red", "-set", "comment", "taken at home", folder() / "in.jpg"}).ok());
    const Ended shown = up("exiftool");
    EXPECT_THAT(shown.out, AllOf(HasSubstr("taken at home"), HasSubstr("8x8"))) << shown;
    const Words take_out = {"exiftool", "-all=", "in.jpg"};
    EXPECT_FALSE(up("exiftool", take_out).ok());
    EXPECT_THAT(read_text(folder() / "in.jpg"), HasSubstr("taken at home"));
    const Ended taken = up("exiftool", take_out, {"MODE=rw"});
    EXPECT_TRUE(taken.ok()) << taken;
    EXPECT_THAT(read_text(folder() / "in.jpg"), Not(HasSubstr("taken at home")));
}

TEST_F(Confined, exiftool) { EXPECT_EQ(shortcomings("exiftool", given_by_untrusted()), ""); }

TEST_F(Confined, exiftool_that_writes) {
    Given given = given_by_desktop();
    given.set = {"MODE=rw"};
    EXPECT_EQ(shortcomings("exiftool", given), "");
}

// ---- graphviz, rsvg

TEST_F(Works, graphviz_draws_a_graph) {
    Options options = here();
    options.input = "digraph { begin -> end }";
    EXPECT_THAT(up("graphviz", {}, {}, options).out, AllOf(HasSubstr("<svg"), HasSubstr(">begin</text>"), HasSubstr(">end</text>")));
    EXPECT_THAT(up("graphviz", {"neato", "-Tpng"}, {}, options).out, StartsWith(png_begins));
}

TEST_F(Works, graphviz_is_ended_when_a_graph_takes_for_ever) {
    Options options = here();
    options.input = "digraph {";
    for (int from = 0; from < 300; ++from)
        for (int to = from + 1; to < 300; ++to) options.input += cat(from, "->", to, ";");
    options.input += "}";
    EXPECT_EQ(up("graphviz", {}, {"lifecycle.timeout=1s"}, options).code, 124);
}

TEST_F(Confined, graphviz) { EXPECT_EQ(shortcomings("graphviz", given_by_untrusted()), ""); }

std::string red_square(int size) {
    return cat("<svg xmlns='http://www.w3.org/2000/svg' width='", size, "' height='", size, "'>",
               "<rect width='100%' height='100%' fill='red'/></svg>");
}

TEST_F(Works, rsvg_draws_a_picture) {
    Options options = here();
    options.input = red_square(16);
    const Ended drawn = up("rsvg", {}, {}, options);
    folder().write("out.png", drawn.out);
    EXPECT_EQ(run({"convert", folder() / "out.png", "-format", "%wx%h %[pixel:p{8,8}]", "info:"}).out, "16x16 srgb(255,0,0)") << drawn.err;
}

TEST_F(Works, rsvg_is_ended_when_a_picture_fills_memory) {
    Options options = here();
    options.input = red_square(20000);  // 1.6 GB
    const Ended full = up("rsvg", {}, {}, options);
    EXPECT_EQ(full.code, 128 + 9) << full.err;
    EXPECT_EQ(full.out, "");
}

TEST_F(Confined, rsvg) { EXPECT_EQ(shortcomings("rsvg", given_by_untrusted()), ""); }

// ---- ffmpeg, sox, espeak-ng

TEST_F(Works, ffmpeg_converts_a_film) {
    const Ended made = up("ffmpeg", {"ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x48", "-f", "lavfi", "-i",
                                     "sine=d=1", "in.mkv"});
    ASSERT_TRUE(made.ok()) << made;
    const Ended done = up("ffmpeg", {}, {without_groups}, as_tester());
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_EQ(run({"ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width:format=format_name", "-of", "csv=p=0",
                   folder() / "out.mp4"})
                  .out,
              "h264,64\naac\n\"mov,mp4,m4a,3gp,3g2,mj2\"\n");
    EXPECT_EQ(owner_of(folder() / "out.mp4"), 1000U);
}

TEST_F(Works, ffmpeg_follows_no_playlist_to_the_network) {
    const Fd listening = bound(outside, SOCK_STREAM, Endpoint("0.0.0.0", port));
    folder().write("in.m3u8", cat("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://", outside_address, ":", port,
                                  "/i-am-read.ts\n#EXT-X-ENDLIST\n"));
    const Ended done = up("ffmpeg", {"ffmpeg", "-nostdin", "-protocol_whitelist", "file,http,tcp", "-i", "in.m3u8", "out.mp4"});
    EXPECT_FALSE(done.ok()) << done;
    EXPECT_THAT(done.err, HasSubstr("Network is unreachable"));
    EXPECT_FALSE(readable(listening.get(), milliseconds(0))) << "somebody has connected";
}

TEST_F(Confined, ffmpeg) { EXPECT_EQ(shortcomings("ffmpeg", given_by_desktop()), ""); }

TEST_F(Works, sox_converts_a_sound) {
    const Ended made = up("sox", {"sox", "-n", "in.wav", "synth", "1", "sine", "440", "gain", "-3"});
    ASSERT_TRUE(made.ok()) << made;
    const Ended done = up("sox", {}, {without_groups}, as_tester());
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_THAT(read_text(folder() / "out.flac"), StartsWith("fLaC"));
    EXPECT_EQ(run({"soxi", "-D", folder() / "out.flac"}).out, "1.000000\n");
}

TEST_F(Works, sox_measures_and_filters_streams) {
    Options options = here();
    options.input = std::string(8000, '\0');  // half a second of silence
    const Ended stat = up("sox", {"sox", "-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1", "-", "-n", "stat"}, {}, options);
    EXPECT_THAT(stat.err, AllOf(HasSubstr("Length (seconds):      0.500000"), HasSubstr("Maximum amplitude:     0.000000"))) << stat;
}

TEST_F(Confined, sox) { EXPECT_EQ(shortcomings("sox", given_by_desktop()), ""); }

TEST_F(Works, espeak_ng_speaks) {
    Options options = here();
    options.input = "one two three";
    const Ended spoken = up("espeak-ng", {}, {}, options);
    EXPECT_THAT(spoken.out, StartsWith("RIFF"));
    EXPECT_GT(spoken.out.size(), 20000U);  // half a second and more
    EXPECT_NE(up("espeak-ng", {}, {"VOICE=de"}, options).out, spoken.out);
}

TEST_F(Confined, espeak_ng) { EXPECT_EQ(shortcomings("espeak-ng", given_by_untrusted()), ""); }

}  // namespace
