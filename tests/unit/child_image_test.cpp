// The child has no library, no relocation and no symbol that somebody else would have to give: its image is looked at
// as the kernel does.
#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "child/image.h"

namespace sandbox {
namespace {

template <class T>
std::vector<T> table(std::uint64_t offset, std::size_t count) {
    const auto size = static_cast<std::uint64_t>(sandbox_child_image_end - sandbox_child_image);
    std::vector<T> out;
    if (offset > size || count > (size - offset) / sizeof(T)) {
        ADD_FAILURE() << "a table of the image lies outside it";
        return out;
    }
    out.resize(count);
    if (count) std::memcpy(out.data(), sandbox_child_image + offset, count * sizeof(T));
    return out;
}

Elf64_Ehdr head() { return table<Elf64_Ehdr>(0, 1).at(0); }
std::vector<Elf64_Phdr> segments() { return table<Elf64_Phdr>(head().e_phoff, head().e_phnum); }
std::vector<Elf64_Shdr> sections() { return table<Elf64_Shdr>(head().e_shoff, head().e_shnum); }

TEST(ChildImage, IsASmallExecutable) {
    EXPECT_LT(sandbox_child_image_end - sandbox_child_image, 32 << 10);
    EXPECT_EQ(std::memcmp(head().e_ident, ELFMAG, SELFMAG), 0);
    EXPECT_EQ(head().e_type, ET_DYN);  // at an address that nobody knows beforehand
    EXPECT_NE(head().e_entry, 0U);
}

TEST(ChildImage, NeedsNoInterpreterAndNoLibrary) {
    for (const Elf64_Phdr& segment : segments()) {
        EXPECT_NE(segment.p_type, static_cast<Elf64_Word>(PT_INTERP));
        EXPECT_NE(segment.p_type, static_cast<Elf64_Word>(PT_TLS));
        if (segment.p_type != PT_DYNAMIC) continue;
        for (const Elf64_Dyn& entry : table<Elf64_Dyn>(segment.p_offset, segment.p_filesz / sizeof(Elf64_Dyn))) {
            if (entry.d_tag == DT_NULL) break;
            EXPECT_NE(entry.d_tag, DT_NEEDED);
            EXPECT_NE(entry.d_tag, DT_TEXTREL);
            EXPECT_NE(entry.d_tag, DT_INIT);
            if (entry.d_tag == DT_RELASZ || entry.d_tag == DT_RELSZ || entry.d_tag == DT_PLTRELSZ || entry.d_tag == DT_INIT_ARRAYSZ) {
                EXPECT_EQ(entry.d_un.d_val, 0U) << "nothing would carry it out: there is no loader";
            }
        }
    }
}

TEST(ChildImage, HasNoSegmentThatIsWritableAndExecutable) {
    bool stack = false;
    for (const Elf64_Phdr& segment : segments()) {
        EXPECT_FALSE((segment.p_flags & PF_W) && (segment.p_flags & PF_X));
        if (segment.p_type == PT_GNU_STACK) stack = !(segment.p_flags & PF_X);
    }
    EXPECT_TRUE(stack) << "the stack can be executed";
}

TEST(ChildImage, HasNoRelocationsAndNoUndefinedSymbols) {
    for (const Elf64_Shdr& section : sections()) {
        if (section.sh_type == SHT_REL || section.sh_type == SHT_RELA) {
            EXPECT_EQ(section.sh_size, 0U) << "relocations";
        }
        if (section.sh_type != SHT_SYMTAB && section.sh_type != SHT_DYNSYM) continue;
        for (const Elf64_Sym& symbol : table<Elf64_Sym>(section.sh_offset, section.sh_size / sizeof(Elf64_Sym)))
            EXPECT_FALSE(symbol.st_shndx == SHN_UNDEF && symbol.st_name != 0) << "a symbol that nobody gives";
    }
}

}  // namespace
}  // namespace sandbox
