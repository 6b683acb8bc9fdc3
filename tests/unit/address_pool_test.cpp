// Leases of addresses by locks, and the text that says whose they are.
#include "state/address_pool.h"

#include <gmock/gmock.h>
#include <signal.h>

#include <cerrno>
#include <random>
#include <set>

#include "state/words.h"
#include "state_testing.h"

namespace sandbox {
namespace {

using namespace sandbox::testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* name = ".net.sandbox0";

IpNetwork net(const char* text) { return *parse_ip_network(text); }
IpAddress ip(const char* text) { return *parse_ip(text); }
LeaseWish fixed(const char* text) { return {false, ip(text)}; }

// One user: an open file description of its own, with the mutex held while it asks.
class User {
   public:
    explicit User(const TemporaryFolder& root) : file_(std::move(*SharedFile::open(root.fd(), name))) {}

    // The address as text, or the error.
    std::string lease(const char* subnet, const LeaseWish& wish = {}, const char* preferred = nullptr) {
        const auto held = file_.hold();
        const auto address = pool_.lease(net(subnet), wish, preferred ? std::optional(ip(preferred)) : std::nullopt);
        number_ = address ? 0 : address.error().number;
        hint_ = address ? "" : address.error().hint;
        return address ? to_text(*address) : address.error().message;
    }
    bool enter(const std::string& sandbox, std::vector<IpAddress> addresses) {
        const auto held = file_.hold();
        return pool_.enter({sandbox, std::move(addresses)}).has_value();
    }
    std::vector<std::string> names() {
        const auto held = file_.hold();
        std::vector<std::string> out;
        const auto members = pool_.members();
        for (const PoolMember& member : *members) out.push_back(member.sandbox);
        return out;
    }
    std::string text() { return *file_.text(); }
    SharedFile& file() { return file_; }
    AddressPool& pool() { return pool_; }
    [[nodiscard]] int number() const { return number_; }
    [[nodiscard]] const std::string& hint() const { return hint_; }

   private:
    SharedFile file_;
    AddressPool pool_{file_};
    int number_ = 0;
    std::string hint_;
};

TEST(AddressPool, GivesTheNextAndNotTheSameAgainAtOnce) {
    const TemporaryFolder root;
    User first(root), second(root), third(root);
    EXPECT_EQ(first.lease("10.88.0.1/24"), "10.88.0.2");
    EXPECT_EQ(second.lease("10.88.0.0/24"), "10.88.0.3");
    first.pool().give_back();
    EXPECT_EQ(third.lease("10.88.0.0/24"), "10.88.0.4");
    EXPECT_EQ(first.lease("10.88.0.0/24"), "10.88.0.5");
    // Another subnet of the bridge begins by itself.
    EXPECT_EQ(first.lease("10.89.0.0/24"), "10.89.0.2");
}

TEST(AddressPool, BeginsAgainAtTheEnd) {
    const TemporaryFolder root;
    User stays(root);
    EXPECT_EQ(stays.lease("10.88.0.0/29"), "10.88.0.2");
    for (const char* expected : {"10.88.0.3", "10.88.0.4", "10.88.0.5", "10.88.0.6", "10.88.0.3", "10.88.0.4"}) {
        User passing(root);
        EXPECT_EQ(passing.lease("10.88.0.0/29"), expected);
    }
}

TEST(AddressPool, SaysWhenNoneIsLeft) {
    const TemporaryFolder root;
    User first(root), second(root);
    EXPECT_EQ(first.lease("10.88.0.0/30"), "10.88.0.2");
    EXPECT_EQ(second.lease("10.88.0.0/30"), "no address is left in 10.88.0.0/30 (1 of 1 in use)");
    EXPECT_NE(second.hint().find("larger subnet"), std::string::npos);
    EXPECT_NE(second.hint().find("sandbox ps"), std::string::npos);
    first.pool().give_back();
    EXPECT_EQ(second.lease("10.88.0.0/30"), "10.88.0.2");
}

TEST(AddressPool, OneDescriptionHasDifferentAddressesUnlessItNamesThem) {
    const TemporaryFolder root;
    User user(root);
    EXPECT_EQ(user.lease("10.88.0.0/24"), "10.88.0.2");
    EXPECT_EQ(user.lease("10.88.0.0/24"), "10.88.0.3");
    EXPECT_EQ(user.lease("10.88.0.0/24", {}, "10.88.0.2"), "10.88.0.2");
    EXPECT_EQ(user.lease("10.88.0.0/24", fixed("10.88.0.3")), "10.88.0.3");
}

TEST(AddressPool, AFixedOneThatIsTakenNamesItsHolder) {
    const TemporaryFolder root;
    User web(root), other(root);
    EXPECT_EQ(web.lease("10.88.0.0/24", fixed("10.88.0.10")), "10.88.0.10");
    EXPECT_EQ(other.lease("10.88.0.0/24", fixed("10.88.0.10")), "10.88.0.10 is taken");
    ASSERT_TRUE(web.enter("web", {ip("10.88.0.10")}));
    EXPECT_EQ(other.lease("10.88.0.0/24", fixed("10.88.0.10")), "10.88.0.10 is taken by sandbox 'web'");
    EXPECT_EQ(other.number(), EADDRINUSE);
    EXPECT_EQ(other.lease("10.88.0.0/24", {}, "10.88.0.10"), "10.88.0.2");
}

TEST(AddressPool, RefusesWhatIsNoHostOfTheSubnet) {
    const TemporaryFolder root;
    User user(root);
    EXPECT_EQ(user.lease("10.88.0.0/24", fixed("10.89.0.10")), "10.89.0.10 is outside the subnet 10.88.0.0/24");
    EXPECT_EQ(user.lease("10.88.0.0/24", fixed("fd00::2")), "fd00::2 is outside the subnet 10.88.0.0/24");
    EXPECT_EQ(user.lease("10.88.0.0/24", fixed("10.88.0.0")), "10.88.0.0 is no host's address in 10.88.0.0/24");
    EXPECT_EQ(user.lease("10.88.0.0/24", fixed("10.88.0.255")), "10.88.0.255 is no host's address in 10.88.0.0/24");
    EXPECT_EQ(user.lease("fd00::/64", fixed("fd00::")), "fd00:: is no host's address in fd00::/64");
    for (const char* subnet : {"10.0.0.0/7", "10.88.0.0/31", "10.88.0.2/32", "fd00::/47", "fd00::/127"}) {
        EXPECT_THAT(user.lease(subnet), ::testing::StartsWith("addresses cannot be given out in ")) << subnet;
        EXPECT_NE(user.hint(), "");
    }
    EXPECT_EQ(user.lease("10.0.0.0/8"), "10.0.0.2");
}

TEST(AddressPool, PreferredIsTakenIfItIsFreeAndFits) {
    const TemporaryFolder root;
    User user(root);
    EXPECT_EQ(user.lease("10.88.0.0/24", {}, "10.88.0.77"), "10.88.0.77");
    for (const char* unfit : {"10.99.0.5", "10.88.0.1", "10.88.0.255", "fd00::5"}) {
        User other(root);
        EXPECT_THAT(other.lease("10.88.0.0/24", {}, unfit), ::testing::StartsWith("10.88.0.")) << unfit;
        EXPECT_NE(other.lease("10.88.0.0/24", {}, unfit), unfit);
    }
}

TEST(AddressPool, V6HasTheNumberOfTheV4OneOrTheNext) {
    const TemporaryFolder root;
    User first(root), second(root);
    const IpNetwork v6 = net("fd00:88::/64");
    EXPECT_EQ(first.lease("fd00:88::/64", {}, to_text(host_of(v6, 9)).c_str()), "fd00:88::9");
    EXPECT_EQ(second.lease("fd00:88::/64", {}, "fd00:88::9"), "fd00:88::2");
    EXPECT_EQ(second.lease("fd00:88::/48"), "fd00:88::3");
    EXPECT_EQ(second.lease("fd00:88::/64", fixed("fd00:88::ffff:0:0:1")), "fd00:88::ffff:0:0:1");
    // The same low 40 bits: one lock.
    EXPECT_EQ(first.lease("fd00:88::/64", fixed("fd00:88::1:ff00:0:1")), "fd00:88::1:ff00:0:1 is taken");
    const TemporaryFolder other_root;
    User last(other_root);
    EXPECT_EQ(last.lease("fd00:99::/126"), "fd00:99::2");
    EXPECT_EQ(last.lease("fd00:99::/126"), "fd00:99::3");
    EXPECT_EQ(last.lease("fd00:99::/126"), "no address is left in fd00:99::/126 (2 of 2 in use)");
}

TEST(AddressPool, TheKilledHaveGivenTheirsBack) {
    const TemporaryFolder root;
    User user(root);
    Signal entered;
    const pid_t other = start([&] {
        User mine(root);
        if (mine.lease("10.88.0.0/30") != "10.88.0.2" || !mine.enter("dead", {ip("10.88.0.2")})) return 1;
        entered.give();
        ::pause();
        return 0;
    });
    ASSERT_TRUE(entered.await());
    EXPECT_THAT(user.names(), ElementsAre("dead"));
    EXPECT_THAT(user.lease("10.88.0.0/30"), ::testing::StartsWith("no address is left"));
    ::kill(other, SIGKILL);
    EXPECT_EQ(wait_for(other), -SIGKILL);
    EXPECT_THAT(user.names(), IsEmpty());
    EXPECT_NE(user.text().find("dead"), std::string::npos);
    // Its line does not live again by the lease of the next one.
    EXPECT_EQ(user.lease("10.88.0.0/30"), "10.88.0.2");
    EXPECT_THAT(user.names(), IsEmpty());
    EXPECT_EQ(user.text().find("dead"), std::string::npos);
}

TEST(AddressPool, ACopyOfTheDescriptorKeepsTheLease) {
    const TemporaryFolder root;
    Signal end;
    pid_t child = 0;
    {
        User user(root);
        EXPECT_EQ(user.lease("10.88.0.0/30"), "10.88.0.2");
        child = start([&] { return end.await() ? 0 : 1; });
    }
    User next(root);
    EXPECT_THAT(next.lease("10.88.0.0/30"), ::testing::StartsWith("no address is left"));
    end.give();
    EXPECT_EQ(wait_for(child), 0);
    EXPECT_EQ(next.lease("10.88.0.0/30"), "10.88.0.2");
}

TEST(AddressPool, MembersComeAndGo) {
    const TemporaryFolder root;
    User web(root), db(root);
    web.lease("10.88.0.0/24");
    web.lease("fd00:88::/64");
    db.lease("10.88.0.0/24");
    ASSERT_TRUE(web.enter("web", {ip("10.88.0.2"), ip("fd00:88::2")}));
    ASSERT_TRUE(db.enter("db", {ip("10.88.0.3")}));
    ASSERT_TRUE(web.enter("web", {ip("10.88.0.2"), ip("fd00:88::2")}));
    {
        const auto held = db.file().hold();
        EXPECT_THAT(*db.pool().members(),
                    ElementsAre(PoolMember{"db", {ip("10.88.0.3")}}, PoolMember{"web", {ip("10.88.0.2"), ip("fd00:88::2")}}));
        ASSERT_TRUE(db.pool().withdraw("db"));
        ASSERT_TRUE(db.pool().withdraw("nobody"));
    }
    EXPECT_THAT(web.names(), ElementsAre("web"));
    web.pool().give_back();
    EXPECT_THAT(db.names(), IsEmpty());
    EXPECT_FALSE(db.enter("no name", {}));
}

TEST(AddressPool, NotesStayWhileMembersComeAndGo) {
    const TemporaryFolder root;
    const Fields notes{{"subnet", "10.88.0.0/24"}, {"alias", "sandbox a=b %\n"}, {"empty", ""}};
    {
        User first(root);
        const auto held = first.file().hold();
        EXPECT_THAT(*first.pool().notes(), IsEmpty());
        ASSERT_TRUE(first.pool().set_notes(notes));
    }
    User second(root);
    second.lease("10.88.0.0/24");
    ASSERT_TRUE(second.enter("web", {ip("10.88.0.2")}));
    const auto held = second.file().hold();
    EXPECT_EQ(*second.pool().notes(), notes);
    ASSERT_TRUE(second.pool().set_notes({{"subnet", "10.89.0.0/24"}}));
    EXPECT_EQ(*second.pool().notes(), (Fields{{"subnet", "10.89.0.0/24"}}));
    EXPECT_EQ(second.pool().members()->size(), 1u);
}

TEST(AddressPool, NoAddressIsHadTwiceAtATime) {
    const TemporaryFolder root;
    // Each address as a folder: made exclusively by whoever has it.
    const auto work = [&root](int times) {
        for (int i = 0; i < times; ++i) {
            User user(root);
            const std::string address = user.lease("10.88.0.0/29");
            if (::mkdir(root.path(address).c_str(), 0700) != 0 || ::rmdir(root.path(address).c_str()) != 0) return 1;
        }
        return 0;
    };
    const pid_t others[] = {start([&] { return work(200); }), start([&] { return work(200); })};
    for (const pid_t other : others) EXPECT_EQ(wait_for(other), 0);
}

// ---- the text

PoolText sample() {
    return {{{"bridge", "sandbox0"}, {"ours", "yes"}},
            {{net("10.88.0.0/24"), 7}, {net("fd00:88::/64"), std::uint64_t{1} << 61}},
            {{"web", {ip("10.88.0.2"), ip("fd00:88::2")}}, {"db", {ip("10.88.0.7")}}, {"none", {}}}};
}

TEST(PoolText, IsReadAsItWasWritten) {
    EXPECT_EQ(parse_pool(format_pool(sample())), sample());
    EXPECT_EQ(parse_pool(""), PoolText{});
    EXPECT_EQ(parse_pool(format_pool({})), PoolText{});
}

TEST(PoolText, WhatAnOlderTextLeftBehindIsNotRead) {
    const std::string old = format_pool(sample());
    std::string text = format_pool({{}, {}, {{"db", {ip("10.88.0.7")}}}});
    text += old.substr(text.size());
    EXPECT_EQ(parse_pool(text), (PoolText{{}, {}, {{"db", {ip("10.88.0.7")}}}}));
}

TEST(PoolText, ADamagedLineIsLeftOutAloneAndNothingIsInvented) {
    const std::string text = format_pool(sample());
    std::mt19937 random(1);
    for (int round = 0; round < 3000; ++round) {
        std::string damaged = text;
        const std::size_t at = random() % text.size();
        switch (random() % 4) {
            case 0: damaged[at] = static_cast<char>(random()); break;
            case 1: damaged.erase(at, 1 + random() % 20); break;
            case 2: damaged.insert(at, std::string(1 + random() % 5, static_cast<char>(random()))); break;
            default: damaged.resize(at); break;
        }
        const PoolText read = parse_pool(damaged);
        for (const auto& note : read.notes) EXPECT_THAT(sample().notes, ::testing::Contains(note));
        for (const auto& last : read.last) EXPECT_THAT(sample().last, ::testing::Contains(last));
        for (const auto& member : read.members) EXPECT_THAT(sample().members, ::testing::Contains(member));
    }
    std::string one = text;
    one[one.find("web")] = 'W';
    PoolText rest = sample();
    rest.members.erase(rest.members.begin());
    EXPECT_EQ(parse_pool(one), rest);
}

TEST(PoolText, LinesThatSayNothingAreLeftOut) {
    for (const char* record :
         {"", "note", "note x", "note a=b c", "note a=%zz", "last", "last 10.88.0.1/24 5", "last 10.88.0.0/24", "last 10.88.0.0/24 -1",
          "last 10.88.0.0/24 5 6", "member", "member No", "member web 10.88.0", "member web  10.88.0.2", "other"})
        EXPECT_EQ(parse_pool(checked_line(record)), PoolText{}) << record;
    EXPECT_EQ(parse_pool(std::string(100000, '\n')), PoolText{});
    EXPECT_EQ(parse_pool(std::string(1000, '\0')), PoolText{});
}

}  // namespace
}  // namespace sandbox
