#include "state/address_pool.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "state/directory.h"
#include "state/words.h"

namespace sandbox {

namespace {

constexpr std::uint64_t v4_bytes = std::uint64_t{1} << 32;
constexpr std::uint64_t v6_first = std::uint64_t{1} << 41;
constexpr std::uint64_t v6_bytes = std::uint64_t{1} << 40;
constexpr std::uint64_t first_number = 2;  // 1 is the bridge's own

// From the address alone, so that a line of the text says which byte to look at.
std::uint64_t byte_of(const IpAddress& address) {
    const std::uint64_t low = host_part({address, address.is_v4() ? 0 : 64}, address);
    return address.is_v4() ? low : v6_first + low % v6_bytes;
}

// ---- the text

// What is behind the checksum of a line, if that is right.
std::optional<std::string_view> record_in(std::string_view line) {
    if (line.size() < 9) return {};
    const std::string_view record = line.substr(9);
    const std::string whole = checked_line(record);
    if (line != std::string_view(whole).substr(0, whole.size() - 1)) return {};
    return record;
}

void read_note(std::optional<std::string_view> rest, PoolText& pool) {
    const auto word = next_word(rest);
    const std::size_t equals = word ? word->find('=') : std::string_view::npos;
    if (equals == std::string_view::npos || rest) return;
    auto key = unescape_word(word->substr(0, equals));
    auto value = unescape_word(word->substr(equals + 1));
    if (key && value) pool.notes.emplace_back(std::move(*key), std::move(*value));
}

void read_last(std::optional<std::string_view> rest, PoolText& pool) {
    const auto subnet = next_word(rest);
    const auto number = next_word(rest);
    if (!subnet || !number || rest) return;
    const auto network = parse_ip_network(*subnet);
    const auto value = parse_int(*number);
    if (network && masked(*network) == *network && value && *value >= 0)
        pool.last.push_back({*network, static_cast<std::uint64_t>(*value)});
}

void read_member(std::optional<std::string_view> rest, PoolText& pool) {
    const auto name = next_word(rest);
    if (!name || !valid_name(*name)) return;
    PoolMember member{std::string(*name), {}};
    while (const auto word = next_word(rest)) {
        const auto address = parse_ip(*word);
        if (!address) return;
        member.addresses.push_back(*address);
    }
    pool.members.push_back(std::move(member));
}

}  // namespace

std::string format_pool(const PoolText& pool) {
    std::string out;
    for (const auto& [key, value] : pool.notes) out += checked_line(cat("note ", escape_word(key), '=', escape_word(value)));
    for (const PoolText::Last& last : pool.last) out += checked_line(cat("last ", to_text(last.subnet), ' ', last.number));
    for (const PoolMember& member : pool.members) {
        std::string record = cat("member ", member.sandbox);
        for (const IpAddress& address : member.addresses) record += cat(' ', to_text(address));
        out += checked_line(record);
    }
    return out + checked_line("end");
}

PoolText parse_pool(std::string_view text) {
    PoolText pool;
    for (const std::string_view line : split(text, '\n')) {
        std::optional<std::string_view> rest = record_in(line);
        if (rest == "end") break;
        const auto kind = next_word(rest);
        if (kind == "note") read_note(rest, pool);
        if (kind == "last") read_last(rest, pool);
        if (kind == "member") read_member(rest, pool);
    }
    return pool;
}

namespace {

// ---- the text and the locks together

struct View {
    std::string text;  // as it is in the file
    PoolText pool;     // without the lines of the dead
    Fd witness;
};

// Before any lock is taken: a dead line would live again by the lease of whoever has its address next.
Result<View> look(const SharedFile& file) {
    auto text = file.text();
    if (!text) return pass(text);
    auto witness = file.witness();
    if (!witness) return pass(witness);
    View view{std::move(*text), {}, std::move(*witness)};
    view.pool = parse_pool(view.text);
    std::vector<PoolMember> living;
    for (PoolMember& member : view.pool.members) {
        bool lives = false;
        for (const IpAddress& address : member.addresses) {
            auto locked = is_byte_locked(view.witness.get(), byte_of(address));
            if (!locked) return pass(locked, quote(file.name()));
            lives = lives || *locked;
        }
        if (lives) living.push_back(std::move(member));
    }
    view.pool.members = std::move(living);
    return view;
}

Status store(SharedFile& file, const View& view) {
    const std::string text = format_pool(view.pool);
    return text == view.text ? Status{} : file.replace_text(text);
}

// Leases the address if it is free. `ours_too`: one that this description has already is as good.
Result<bool> take(const SharedFile& file, const View& view, const IpAddress& address, bool ours_too) {
    const std::uint64_t byte = byte_of(address);
    auto locked = is_byte_locked(view.witness.get(), byte);
    if (!locked) return pass(locked, quote(file.name()));
    if (!*locked) return lock_byte(file.descriptor(), byte);
    if (!ours_too) return false;
    auto by_others = is_byte_locked(file.descriptor(), byte);
    if (!by_others) return pass(by_others, quote(file.name()));
    return !*by_others;
}

tl::unexpected<Error> fail_in_use(const View& view, const IpAddress& address) {
    Error error{cat(to_text(address), " is taken"), "give this sandbox another address, or let the network choose one", EADDRINUSE, {}, {}};
    for (const PoolMember& member : view.pool.members)
        if (std::ranges::find(member.addresses, address) != member.addresses.end())
            error.message += cat(" by sandbox ", quote(member.sandbox));
    return tl::unexpected<Error>(std::move(error));
}

Status check_subnet(const IpNetwork& subnet) {
    const bool v4 = subnet.address.is_v4();
    if (v4 ? subnet.prefix >= 8 && subnet.prefix <= 30 : subnet.prefix >= 48 && subnet.prefix <= 126) return {};
    return fail(cat("addresses cannot be given out in ", to_text(subnet)),
                v4 ? "the prefix of a subnet is 8 to 30" : "the prefix of a v6 subnet is 48 to 126");
}

// One that the pool may choose.
bool is_choice(const IpNetwork& subnet, const IpAddress& address) {
    if (!contains(subnet, address)) return false;
    const std::uint64_t number = host_part(subnet, address);
    return number >= first_number && number <= last_host(subnet);
}

// Neither the network's own nor, as only v4 has one, the broadcast address. A v6 host may have a number that the pool never reaches.
bool is_host(const IpNetwork& subnet, const IpAddress& address) {
    return address != subnet.address && (!address.is_v4() || host_part(subnet, address) <= last_host(subnet));
}

Result<IpAddress> lease_fixed(const SharedFile& file, const View& view, const IpNetwork& subnet, const IpAddress& address) {
    if (!contains(subnet, address)) return fail(cat(to_text(address), " is outside the subnet ", to_text(subnet)));
    if (!is_host(subnet, address)) return fail(cat(to_text(address), " is no host's address in ", to_text(subnet)));
    auto taken = take(file, view, address, true);
    if (!taken) return pass(taken);
    if (!*taken) return fail_in_use(view, address);
    return address;
}

// Where the choice goes on.
PoolText::Last& last_in(View& view, const IpNetwork& subnet) {
    const auto found = std::ranges::find(view.pool.last, subnet, &PoolText::Last::subnet);
    return found != view.pool.last.end() ? *found : view.pool.last.emplace_back(PoolText::Last{subnet, 0});
}

Result<IpAddress> lease_next(const SharedFile& file, View& view, const IpNetwork& subnet) {
    const std::uint64_t end = last_host(subnet);
    const std::uint64_t all = end - first_number + 1;
    std::uint64_t number = last_in(view, subnet).number;
    for (std::uint64_t tries = 0; tries < all; ++tries) {
        number = number < first_number || number >= end ? first_number : number + 1;
        const IpAddress address = host_of(subnet, number);
        auto taken = take(file, view, address, false);
        if (!taken) return pass(taken);
        if (!*taken) continue;
        last_in(view, subnet).number = number;
        return address;
    }
    return fail(cat("no address is left in ", to_text(subnet), " (", all, " of ", all, " in use)"),
                "give the network a larger subnet, or stop a sandbox that is in it (sandbox ps)");
}

Result<IpAddress> lease_any(const SharedFile& file, View& view, const IpNetwork& subnet, const std::optional<IpAddress>& preferred) {
    if (preferred && is_choice(subnet, *preferred)) {
        auto taken = take(file, view, *preferred, true);
        if (!taken) return pass(taken);
        if (*taken) return *preferred;
    }
    return lease_next(file, view, subnet);
}

}  // namespace

Result<IpAddress> AddressPool::lease(const IpNetwork& subnet, const LeaseWish& wish, std::optional<IpAddress> preferred) {
    if (auto fits = check_subnet(subnet); !fits) return pass(fits);
    const IpNetwork network = masked(subnet);
    auto view = look(file_);
    if (!view) return pass(view);
    auto address = wish.automatic ? lease_any(file_, *view, network, preferred) : lease_fixed(file_, *view, network, wish.address);
    if (!address) return address;
    if (auto stored = store(file_, *view); !stored) return pass(stored);
    return address;
}

Result<bool> AddressPool::is_leased(const IpAddress& address) const {
    auto witness = file_.witness();
    if (!witness) return pass(witness);
    return is_byte_locked(witness->get(), byte_of(address));
}

void AddressPool::give_back() {
    unlock_bytes(file_.descriptor(), 0, v4_bytes);
    unlock_bytes(file_.descriptor(), v6_first, v6_bytes);
}

Result<std::vector<PoolMember>> AddressPool::members() const {
    auto view = look(file_);
    if (!view) return pass(view);
    return std::move(view->pool.members);
}

Status AddressPool::enter(const PoolMember& self) {
    if (!valid_name(self.sandbox)) return fail(cat(quote(self.sandbox), " is not a name of a sandbox"));
    auto view = look(file_);
    if (!view) return pass(view);
    // A line that names one of these addresses is of somebody dead, whose lease this one has now.
    std::erase_if(view->pool.members, [&](const PoolMember& other) {
        return other.sandbox == self.sandbox || std::ranges::find_first_of(other.addresses, self.addresses) != other.addresses.end();
    });
    view->pool.members.push_back(self);
    return store(file_, *view);
}

Status AddressPool::withdraw(const std::string& sandbox) {
    auto view = look(file_);
    if (!view) return pass(view);
    std::erase_if(view->pool.members, [&](const PoolMember& member) { return member.sandbox == sandbox; });
    return store(file_, *view);
}

Result<Fields> AddressPool::notes() const {
    auto text = file_.text();
    if (!text) return pass(text);
    return parse_pool(*text).notes;
}

Status AddressPool::set_notes(const Fields& notes) {
    auto view = look(file_);
    if (!view) return pass(view);
    view->pool.notes = notes;
    return store(file_, *view);
}

}  // namespace sandbox
