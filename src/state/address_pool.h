// Which sandbox has which address on a bridge. The addresses are leased by locks on bytes of the bridge's shared file, so that a killed
// sandbox has given its own back; the text says whose they are, and what the first user noted for the last.
//
//   v4   byte k, k the address as a number: below 2^32
//   v6   byte 2^41 + the low 40 bits of the address; two addresses that differ only above those exclude each other
//
// Text: one record a line, "<crc32 of the rest, 8 hex> <rest>\n", words escaped as in the journal:
//   note <key>=<value>              what set_notes() wrote
//   last <subnet> <host number>     the last one that the pool chose there
//   member <sandbox> <address> ...
//   end                             what follows is the rest of an older text, whose writer was killed
// A damaged line is ignored.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ip.h"
#include "state/journal.h"
#include "state/shared_file.h"

namespace sandbox {

struct PoolMember {
    std::string sandbox;
    std::vector<IpAddress> addresses;
    friend bool operator==(const PoolMember&, const PoolMember&) = default;
};

struct LeaseWish {
    bool automatic = true;  // the pool chooses
    IpAddress address;      // else this one
};

// Each of these with the file's mutex held. A bridge's own address (host number 1) is never chosen, nor is it refused to whoever asks.
class AddressPool {
   public:
    explicit AddressPool(SharedFile& file) : file_(file) {}

    // Automatic: `preferred` if it is free (a restart keeps its address; the v6 address has the number of the v4 one), or else the next
    // free host number after the one chosen last, from 2 to last_host(), beginning again at its end: an address is not given again at
    // once. What this open file description has leased already counts as free when it is named, and as taken when it is not. The lock
    // lives as long as the file's descriptor or any copy of it. Prefixes: 8 to 30 for v4, 48 to 126 for v6.
    // Errors: taken (number EADDRINUSE), outside the subnet, none left.
    Result<IpAddress> lease(const IpNetwork& subnet, const LeaseWish& wish, std::optional<IpAddress> preferred = {});
    // Whether anybody has it, this open file description too.
    [[nodiscard]] Result<bool> is_leased(const IpAddress& address) const;
    // Gives back all that this open file description has leased.
    void give_back();

    // Those that live: some address of theirs is still locked. The lines of others go when the text is next written.
    [[nodiscard]] Result<std::vector<PoolMember>> members() const;
    // Writes its line, in place of one that it has; its addresses are leased before.
    Status enter(const PoolMember& self);
    Status withdraw(const std::string& sandbox);

    // What the first user noted for the last: subnets, whether the bridge is ours, its index and alias.
    [[nodiscard]] Result<Fields> notes() const;
    Status set_notes(const Fields& notes);

   private:
    SharedFile& file_;
};

// The text of a pool, in both directions. Reading takes anything, and leaves out what is damaged.
struct PoolText {
    struct Last {
        IpNetwork subnet;
        std::uint64_t number = 0;
        friend bool operator==(const Last&, const Last&) = default;
    };
    Fields notes;
    std::vector<Last> last;
    std::vector<PoolMember> members;
    friend bool operator==(const PoolText&, const PoolText&) = default;
};
[[nodiscard]] std::string format_pool(const PoolText& pool);
[[nodiscard]] PoolText parse_pool(std::string_view text);

}  // namespace sandbox
