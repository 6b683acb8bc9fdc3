#include "planning/lint.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "child/program.h"

namespace sandbox {
namespace {

// The slots that a step fills and the slots that must have been filled for it.
struct Use {
    std::vector<Slot> fills, needs;
    bool lasting = false;  // leaves something on the host that outlives descriptors and processes, or a process

    void need(Slot slot) {
        if (slot != no_slot) needs.push_back(slot);
    }
    void operator()(const step::CreateState&) { lasting = true; }
    void operator()(const step::LeaseIds& s) { fills = {s.slot}; }
    void operator()(const step::MakeHostDirectory&) { lasting = true; }
    void operator()(const step::LockTree& s) { fills = {s.slot}; }
    void operator()(const step::ShiftOwner&) { lasting = true; }
    void operator()(const step::OpenTree& s) { fills = {s.slot}; }
    void operator()(const step::OpenFile& s) { fills = {s.slot}; }
    void operator()(const step::CallerDescriptor& s) { fills = {s.slot}; }
    void operator()(const step::NullDescriptor& s) { fills = {s.slot}; }
    void operator()(const step::InputPipe& s) { fills = {s.slot}; }
    void operator()(const step::OutputPipe& s) { fills = {s.slot}; }
    void operator()(const step::MakeTarget& s) {
        if (s.slot != no_slot) needs = {s.slot};  // else it is looked up by its path
        lasting = true;
    }
    void operator()(const step::HostFilesystem& s) {
        fills = {s.slot};
        need(s.network);
    }
    void operator()(const step::BuildDev& s) { fills = {s.slot}; }
    void operator()(const step::RawTerminal&) { lasting = true; }
    void operator()(const step::Spawn& s) {
        for (const step::Join& join : s.joined) needs.push_back(join.slot);
        need(s.group);
        need(s.process);
        lasting = true;
    }
    void operator()(const step::MakeLogFolder&) { lasting = true; }
    void operator()(const step::LogPipe& s) { fills = {s.slot}; }
    void operator()(const step::RunHook&) {}
    void operator()(const step::ArmHook&) { lasting = true; }
    void operator()(const step::Hold&) {}
    void operator()(const step::ShareGroup&) { lasting = true; }
    void operator()(const step::EnableControllers&) { lasting = true; }
    void operator()(const step::MakeGroup& s) {
        fills = {s.slot};
        if (s.tasks != no_slot) fills.push_back(s.tasks);
        lasting = true;
    }
    void operator()(const step::SetGroup& s) { needs = {s.group}; }
    void operator()(const step::DelegateGroup& s) { needs = {s.group}; }
    void operator()(const step::FilterDevices& s) { needs = {s.group}; }
    void operator()(const step::MakeScope&) { lasting = true; }
    void operator()(const step::MakeLeaf&) { lasting = true; }
    void operator()(const step::EnterGroup& s) { needs = {s.group}; }
    void operator()(const step::HandDown&) {}
    void operator()(const step::JoinGroups& s) { needs = s.tasks; }
    void operator()(const step::OwnCgroupNamespace&) {}
    void operator()(const step::IdmapTree& s) { needs = {s.slot}; }
    void operator()(const step::BuildOverlay& s) {
        fills = {s.slot};
        needs = s.lower;
        need(s.upper_tree);
    }
    void operator()(const step::Release& s) { needs = s.slots; }
    void operator()(const step::Receive& s) { fills = s.slots; }
    void operator()(const step::NewFilesystem& s) { fills = {s.slot}; }
    void operator()(const step::OpenTreeInside& s) {
        fills = {s.slot};
        need(s.base);
    }
    void operator()(const step::Stage& s) { fills = {s.file, s.folder}; }
    void operator()(const step::Scratch& s) { needs = {s.slot}; }
    void operator()(const step::OverlayInside& s) {
        fills = {s.slot};
        needs = s.lower;
        need(s.upper);
        need(s.work);
    }
    void operator()(const step::AttachRoot& s) { needs = {s.slot}; }
    void operator()(const step::Mirror& s) { fills = {s.slot}; }
    void operator()(const step::MakeDirectory& s) { need(s.base); }
    void operator()(const step::MakeFile& s) { need(s.base); }
    void operator()(const step::MakeSymlink& s) { need(s.base); }
    void operator()(const step::Attach& s) { needs = {s.slot}; }
    void operator()(const step::SetMount& s) { needs = {s.slot}; }
    void operator()(const step::Mask& s) { needs = {s.file, s.folder}; }
    void operator()(const step::Sysctl& s) { needs = {s.proc}; }
    void operator()(const step::OpenTerminal& s) { fills = {s.slot}; }
    void operator()(const step::ShowConsole& s) { needs = {s.slot}; }
    void operator()(const step::Pivot& s) { needs = {s.slot}; }
    void operator()(const step::NewSession& s) { need(s.terminal); }
    void operator()(const step::PlaceDescriptors& s) {
        for (const auto& [slot, number] : s.places) needs.push_back(slot);
    }
    void operator()(const step::OpenProcess& s) { fills.push_back(s.slot); }
    void operator()(const step::OpenGroup& s) { fills.push_back(s.slot); }
    void operator()(const step::HoldPorts&) {}
    void operator()(const step::ShareBridge&) { lasting = true; }
    void operator()(const step::LeaseAddresses&) {}
    void operator()(const step::ForwardPackets&) { lasting = true; }
    void operator()(const step::WriteNames&) {}
    void operator()(const step::OpenNetwork& s) { fills = {s.slot}; }
    void operator()(const step::MakeTable&) { lasting = true; }
    void operator()(const step::MakeVeth&) { lasting = true; }
    void operator()(const step::MakeStacked&) {}
    void operator()(const step::ConfigureInterface&) {}
    void operator()(const step::ForwardPorts&) { lasting = true; }
    void operator()(const step::WriteIdMap&) {}
    void operator()(const step::TuneProcess&) {}
    void operator()(const step::SetPropagation&) {}
    void operator()(const step::ShareMounts&) {}
    void operator()(const step::WorkAs&) {}
    void operator()(const step::ReadOnlyPath&) {}
    void operator()(const step::SetHostname&) {}
    void operator()(const step::SetDomainname&) {}
    void operator()(const step::TimeOffsets&) {}
    void operator()(const step::LoopbackUp&) {}
    void operator()(const step::NewKeyring&) {}
    void operator()(const step::StartPayload&) {}
    void operator()(const step::WorkingDirectory&) {}
    void operator()(const step::SetUmask&) {}
    void operator()(const step::SetLimit&) {}
    void operator()(const step::SetPersonality&) {}
    void operator()(const step::SetGroups&) {}
    void operator()(const step::TrimBounding&) {}
    void operator()(const step::BecomeUser&) {}
    void operator()(const step::SetCapabilities&) {}
    void operator()(const step::NoNewPrivileges&) {}
    void operator()(const step::DieWithParent&) {}
    void operator()(const step::InstallSeccomp&) {}
    void operator()(const step::Execute&) {}
};

class Linter {
   public:
    Linter(const Plan& plan, const Sources& sources) : plan_(plan), sources_(sources) {}

    std::vector<std::string> run() {
        check_names();
        check_sides();
        check_slots();
        check_order();
        check_mirrors();
        check_json();
        return std::move(problems_);
    }

   private:
    void problem(std::string text) { problems_.push_back(std::move(text)); }

    void check_names() {
        std::set<std::string> seen;
        for (const Step& step : plan_.steps) {
            if (step.id.empty() || step.text.empty()) problem(cat("a step has no id or no text: ", step.id, step.text));
            if (!seen.insert(step.id).second) problem(cat(step.id, ": the id is used twice"));
            Use use;
            std::visit([&use](const auto& action) { use(action); }, step.action);
            if (use.lasting && step.undo.empty()) problem(cat(step.id, ": has a lasting effect and no undo"));
            if (!use.lasting && !step.undo.empty()) problem(cat(step.id, ": has an undo and no lasting effect"));
            if (step.side == Side::sandbox && !step.undo.empty()) problem(cat(step.id, ": a step of the sandbox has an undo"));
        }
    }

    // Everything of the host first; release hands over; then the sandbox.
    void check_sides() {
        bool released = false;
        for (const Step& step : plan_.steps) {
            if (step.side == Side::sandbox && !released) problem(cat(step.id, ": a step of the sandbox before release"));
            if (step.side == Side::host && released) problem(cat(step.id, ": a step of the host after release"));
            if (std::holds_alternative<step::Release>(step.action)) released = true;
        }
        if (!released) problem("nothing is released");
    }

    void check_slots() {
        std::map<Slot, const Step*> host, inside;
        std::set<std::string> locked;
        for (const Step& step : plan_.steps) {
            auto& table = step.side == Side::host ? host : inside;
            Use use;
            std::visit([&use](const auto& action) { use(action); }, step.action);
            for (const Slot slot : use.needs) check_need(step, slot, table);
            const bool receives = std::holds_alternative<step::Receive>(step.action);
            for (const Slot slot : use.fills) {
                if (slot < 0 || slot >= static_cast<Slot>(plan_.slots)) problem(cat(step.id, ": slot ", slot, " was never given out"));
                // What was sent may be missing exactly when the step that fills it was left out.
                const auto sent = receives ? host.find(slot) : host.end();
                if (!table.emplace(slot, sent != host.end() ? sent->second : &step).second)
                    problem(cat(step.id, ": slot ", slot, " is filled twice"));
            }
            if (const auto* lock = std::get_if<step::LockTree>(&step.action)) locked.insert(lock->path);
            if (const auto* target = std::get_if<step::MakeTarget>(&step.action); target && !locked.contains(target->host))
                problem(cat(step.id, ": made in a tree that is not locked"));
            if (const auto* overlay = std::get_if<step::OverlayInside>(&step.action)) check_layers(step, *overlay);
        }
        for (const Slot slot : plan_.kept)
            if (!inside.contains(slot)) problem(cat("slot ", slot, " is to be kept and never sent"));
    }

    void check_need(const Step& step, Slot slot, const std::map<Slot, const Step*>& table) {
        const auto found = table.find(slot);
        if (found == table.end()) return problem(cat(step.id, ": slot ", slot, " is not filled"));
        const bool forgiving = step.optional || std::holds_alternative<step::Release>(step.action);
        if (found->second->optional && !forgiving)
            problem(cat(step.id, ": needs slot ", slot, ", which ", found->second->id, " may leave empty"));
    }

    // Without layers by descriptor the child counts through the slots (program.h).
    void check_layers(const Step& step, const step::OverlayInside& s) {
        if (s.lower.empty()) return problem(cat(step.id, ": no layers"));
        for (std::size_t i = 0; i < s.lower.size(); ++i)
            if (s.lower[i] != s.lower.front() + static_cast<Slot>(i)) problem(cat(step.id, ": the slots of the layers have a gap"));
        if (s.upper != no_slot && s.work != s.upper + 1) problem(cat(step.id, ": work is not in the slot behind upper"));
    }

    template <class Action>
    [[nodiscard]] std::vector<std::size_t> all() const {
        std::vector<std::size_t> found;
        for (std::size_t i = 0; i < plan_.steps.size(); ++i)
            if (std::holds_alternative<Action>(plan_.steps[i].action)) found.push_back(i);
        return found;
    }

    template <class Action>
    void exactly_once(const char* name) {
        if (all<Action>().size() != 1) problem(cat(name, ": ", all<Action>().size(), " times in the plan, not once"));
    }

    // Every First comes before every Second.
    template <class First, class Second>
    void before(const char* first, const char* second) {
        const auto a = all<First>(), b = all<Second>();
        if (!a.empty() && !b.empty() && a.back() > b.front()) problem(cat(first, " comes after ", second));
    }

    void check_order() {
        const bool session = plan_.supervision.joins;  // in a sandbox that has its state already
        if (!session) exactly_once<step::CreateState>("state");
        exactly_once<step::Spawn>("clone");
        exactly_once<step::Release>("release");
        exactly_once<step::Receive>("receive");
        exactly_once<step::PlaceDescriptors>("descriptors");
        exactly_once<step::TrimBounding>("bounding");
        exactly_once<step::BecomeUser>("ids");
        exactly_once<step::SetCapabilities>("capabilities");
        exactly_once<step::DieWithParent>("parent-death");
        exactly_once<step::Execute>("exec");
        if (session) {
            exactly_once<step::OpenProcess>("sandbox.open");
            before<step::OpenProcess, step::Spawn>("opening the sandbox", "the clone");
        } else {
            check_first();
        }
        if (plan_.steps.empty() || !std::holds_alternative<step::Execute>(plan_.steps.back().action)) problem("exec is not the last thing");
        before<step::JoinGroups, step::WorkAs>("entering the groups", "working as another user");
        before<step::JoinGroups, step::OwnCgroupNamespace>("entering the groups", "the cgroup namespace");
        before<step::OwnCgroupNamespace, step::Pivot>("the cgroup namespace", "pivot");
        before<step::MakeScope, step::MakeGroup>("the scope", "the group in it");
        before<step::MakeLeaf, step::EnableControllers>("leaving the unit's group", "its handing out of controllers");
        before<step::EnterGroup, step::Release>("entering the group", "release");
        before<step::EnterGroup, step::HandDown>("leaving the scope itself", "its handing out of controllers");
        before<step::HandDown, step::SetGroup>("the scope's handing out of controllers", "limits");
        before<step::SetGroup, step::Release>("limits", "release");
        before<step::FilterDevices, step::Release>("the device filter", "release");
        before<step::LeaseIds, step::WriteIdMap>("the id lease", "the id maps");
        before<step::Spawn, step::WriteIdMap>("clone", "the id maps");
        before<step::Spawn, step::TuneProcess>("clone", "the tuning of the process");
        before<step::WriteIdMap, step::IdmapTree>("writing the id maps", "mapping a tree");
        before<step::IdmapTree, step::Release>("mapping a tree", "release");
        before<step::SetPropagation, step::AttachRoot>("stopping propagation", "mounting the root");
        before<step::AttachRoot, step::Mirror>("mounting the root", "mirrors");
        before<step::AttachRoot, step::Attach>("mounting the root", "mounting on it");
        before<step::Attach, step::Mask>("mounts", "masks");
        before<step::Attach, step::Pivot>("mounts", "pivot");
        before<step::SetMount, step::Pivot>("sealing", "pivot");
        before<step::Sysctl, step::Pivot>("kernel parameters", "pivot");
        before<step::Mask, step::Pivot>("masks", "pivot");
        before<step::Pivot, step::ShareMounts>("pivot", "sharing the mounts");
        before<step::Pivot, step::StartPayload>("pivot", "the payload's process");
        before<step::Pivot, step::PlaceDescriptors>("pivot", "the payload's descriptors");
        before<step::TimeOffsets, step::StartPayload>("the clocks", "the payload's process");
        before<step::PlaceDescriptors, step::WorkingDirectory>("closing descriptors", "the working directory");
        before<step::SetLimit, step::BecomeUser>("limits", "ids");
        before<step::TrimBounding, step::BecomeUser>("the bounding set", "ids");
        before<step::SetGroups, step::BecomeUser>("groups", "ids");
        before<step::BecomeUser, step::SetCapabilities>("ids", "capabilities");
        before<step::BecomeUser, step::DieWithParent>("ids", "parent-death");
        before<step::SetCapabilities, step::NoNewPrivileges>("capabilities", "no-new-privs");
        before<step::NoNewPrivileges, step::InstallSeccomp>("no-new-privs", "seccomp");
        check_network();
        const auto filters = all<step::InstallSeccomp>();
        if (filters.size() > 1 || (filters.size() == 1 && filters.front() + 2 != plan_.steps.size()))
            problem("seccomp is not the last thing before exec");
        if (all<step::AttachRoot>().size() != all<step::Pivot>().size()) problem("a root is mounted and not entered, or the reverse");
    }

    // Nothing is there yet when a port turns out to be another's.
    void check_first() {
        const std::size_t state = plan_.steps.empty() || !std::holds_alternative<step::HoldPorts>(plan_.steps.front().action) ? 0 : 1;
        if (plan_.steps.size() <= state || !std::holds_alternative<step::CreateState>(plan_.steps[state].action))
            problem("the state folder is not the first thing, or behind the ports");
        if (all<step::HoldPorts>().size() != state) problem("the ports are not held first of all");
    }

    void check_network() {
        before<step::CreateState, step::ShareBridge>("the state folder", "the bridge");
        before<step::ShareBridge, step::LeaseAddresses>("the bridge", "the lease of addresses");
        before<step::LeaseAddresses, step::WriteNames>("the lease of addresses", "the names");
        before<step::WriteNames, step::Spawn>("the names", "the clone");
        before<step::ForwardPackets, step::Spawn>("passing packets on", "the clone");
        before<step::OpenNetwork, step::Spawn>("opening another's network", "the clone");
        before<step::Spawn, step::MakeTable>("the clone", "the table");
        before<step::Spawn, step::MakeVeth>("the clone", "the link");
        before<step::Spawn, step::MakeStacked>("the clone", "the link");
        before<step::MakeTable, step::MakeVeth>("the table", "the link");
        before<step::MakeVeth, step::ConfigureInterface>("the link", "its addresses");
        before<step::MakeStacked, step::ConfigureInterface>("the link", "its addresses");
        before<step::ConfigureInterface, step::ForwardPorts>("addresses", "the process for ports");
        before<step::ForwardPorts, step::Release>("the process for ports", "release");
        if (all<step::HoldPorts>().size() != all<step::ForwardPorts>().size()) problem("ports are held and lead nowhere, or the reverse");
        if (all<step::MakeVeth>().size() + all<step::MakeStacked>().size() != all<step::ConfigureInterface>().size())
            problem("a link without addresses, or the reverse");
        if (all<step::MakeVeth>().size() != all<step::ShareBridge>().size()) problem("a pair without a bridge, or the reverse");
        check_filter();
    }

    // Who is confined has a link beside the bridge, rules before there is a link, and a host that passes its packets on.
    void check_filter() {
        bool confined = false, sends = false, routed = false, hairpin = false, configured = false;
        for (const Step& step : plan_.steps) {
            if (const auto* table = std::get_if<step::MakeTable>(&step.action)) {
                confined = table->confined;
                sends = !table->ports.empty();
                if (!table->confined && !table->allow.empty()) problem("rules that nobody keeps");
                if (!table->confined && !table->nat && table->ports.empty()) problem("a table without rules");
            }
            if (const auto* veth = std::get_if<step::MakeVeth>(&step.action)) {
                routed = veth->routed;
                hairpin = veth->hairpin;
            }
            if (const auto* inside = std::get_if<step::ConfigureInterface>(&step.action)) configured = inside->routed;
        }
        if (confined != routed || routed != configured) problem("confined, and a port of the bridge, or the reverse");
        if (sends != hairpin) problem("ports that are sent on, and no way back to oneself, or the reverse");
        if (!all<step::MakeTable>().empty() && all<step::ForwardPackets>().empty()) problem("a table, and nothing is passed on");
    }

    // A mirror shows clones of what was mounted before it: the mounts themselves are out of sight then, and making one
    // of them read-only has no effect any more.
    void check_mirrors() {
        std::map<Slot, std::string> places;
        std::set<Slot> hidden;
        for (const Step& step : plan_.steps) {
            if (const auto* attach = std::get_if<step::Attach>(&step.action)) places[attach->slot] = attach->target;
            if (const auto* mirror = std::get_if<step::Mirror>(&step.action)) {
                for (const auto& [slot, place] : places)
                    if (beneath(place, mirror->path)) hidden.insert(slot);
                places[mirror->slot] = mirror->path;
            }
            if (const auto* set = std::get_if<step::SetMount>(&step.action); set && hidden.contains(set->slot))
                problem(cat(step.id, ": changes a mount that a mirror hides"));
        }
    }

    void check_json() {
        const auto json = nlohmann::json::parse(plan_to_json(plan_, sources_), nullptr, false);
        if (json.is_discarded()) return problem("the plan as JSON is not JSON");
        const auto& steps = json["steps"];
        if (steps.size() != plan_.steps.size()) return problem(cat("the JSON has ", steps.size(), " steps, not ", plan_.steps.size()));
        for (std::size_t i = 0; i < steps.size(); ++i)
            if (steps[i]["id"] != plan_.steps[i].id || steps[i]["side"] != (plan_.steps[i].side == Side::host ? "host" : "sandbox"))
                problem(cat(plan_.steps[i].id, ": another step in the JSON"));
    }

    const Plan& plan_;
    const Sources& sources_;
    std::vector<std::string> problems_;
};

class ProgramLinter {
   public:
    explicit ProgramLinter(std::string_view bytes) : bytes_(bytes) {}

    std::vector<std::string> run() {
        if (!read_head()) return std::move(problems_);
        array<std::int32_t>("kept slots", head_.kept_offset, head_.kept_slots,
                            [this](std::int32_t slot) { check_slot("kept", slot, false); });
        for (std::uint32_t i = 0; i < head_.op_count; ++i) {
            ChildOp op{};
            std::memcpy(&op, bytes_.data() + sizeof head_ + i * sizeof op, sizeof op);
            where_ = cat("op ", i, " kind ", static_cast<int>(op.kind));
            check_op(op);
            if ((op.kind == OpKind::exec) != (i + 1 == head_.op_count)) problem("exec is not the last op");
        }
        return std::move(problems_);
    }

   private:
    void problem(std::string_view text) { problems_.push_back(cat(where_, ": ", text)); }

    bool read_head() {
        where_ = "head";
        if (bytes_.size() < sizeof head_) return problem("too short"), false;
        std::memcpy(&head_, bytes_.data(), sizeof head_);
        if (head_.magic != child_magic) problem("magic");
        if (head_.size != bytes_.size()) problem("size");
        if (head_.op_count == 0) problem("no ops");
        if (head_.pool_offset != sizeof head_ + std::uint64_t(head_.op_count) * sizeof(ChildOp) || head_.pool_offset >= bytes_.size() ||
            head_.pool_offset % 8 != 0)
            problem("pool offset");
        if (!problems_.empty()) return false;
        pool_ = bytes_.substr(head_.pool_offset);
        if (pool_.front() != '\0') problem("offset 0 is not the empty string");
        return problems_.empty();
    }

    // The string at an offset, which must end within the pool.
    void text(std::uint32_t offset) {
        if (offset >= pool_.size() || pool_.find('\0', offset) == std::string_view::npos) problem(cat("no string at ", offset));
    }

    template <class T, class Each>
    void array(const char* name, std::uint64_t offset, std::uint64_t count, Each each) {
        if (count && (offset % alignof(T) != 0 || offset > pool_.size() || count > (pool_.size() - offset) / sizeof(T)))
            return problem(cat(name, ": array of ", count, " at ", offset));
        for (std::uint64_t i = 0; i < count; ++i) {
            T item;
            std::memcpy(&item, pool_.data() + offset + i * sizeof(T), sizeof(T));
            each(item);
        }
    }

    // Offsets of strings that a 0 ends.
    std::uint64_t words(const char* name, std::uint32_t offset) {
        for (std::uint64_t count = 0;; ++count) {
            std::uint32_t item = 0;
            const std::uint64_t at = offset + count * sizeof item;
            if (at % sizeof item != 0 || at + sizeof item > pool_.size()) return problem(cat(name, " has no end")), count;
            std::memcpy(&item, pool_.data() + at, sizeof item);
            if (item == 0) return count;
            text(item);
        }
    }

    void check_slot(const char* name, std::int32_t slot, bool may_be_none) {
        if (slot >= static_cast<std::int32_t>(max_slots) || (slot < 0 && !(may_be_none && slot == no_slot)))
            problem(cat(name, ": slot ", slot));
    }

    void check_op(const ChildOp& op) {
        check_slot("slot", op.slot, true);
        check_slot("slot2", op.slot2, true);
        text(op.a);
        const auto ignore = [](const auto&) {};
        switch (op.kind) {
            case OpKind::receive:
                return array<std::int32_t>("slots", op.b, op.x, [this](std::int32_t slot) { check_slot("received", slot, false); });
            case OpKind::join_groups:
                return array<std::int32_t>("slots", op.b, op.x, [this](std::int32_t slot) { check_slot("joined", slot, false); });
            case OpKind::make_file: return array<char>("content", op.b, op.aux, ignore);
            case OpKind::descriptors:
                if (op.x > max_placed) problem("too many descriptors");
                return array<DescriptorPair>("descriptors", op.b, op.x,
                                             [this](const DescriptorPair& pair) { check_slot("placed", pair.slot, false); });
            case OpKind::rlimit: return array<std::uint64_t>("limits", op.b, 2, ignore);
            case OpKind::groups: return array<std::uint32_t>("groups", op.b, op.x, ignore);
            case OpKind::capabilities: return array<CapabilitySets>("sets", op.b, 1, ignore);
            case OpKind::seccomp:
                if (op.x == 0 || op.x > 4096) problem("the filter's length");
                if (op.aux) array<CapabilitySets>("sets after the filter", op.aux, 1, ignore);
                return array<std::uint64_t>("filter", op.b, op.x, ignore);
            case OpKind::exec: return check_exec(op);
            case OpKind::fs_set:
            case OpKind::make_symlink:
            case OpKind::sysctl:
            case OpKind::time_offsets:
            case OpKind::overlay_legacy: return text(op.b);
            default: return;
        }
    }

    void check_exec(const ChildOp& op) {
        ExecArguments arguments{};
        array<ExecArguments>("exec", op.b, 1, [&](const ExecArguments& found) { arguments = found; });
        if (words("candidates", arguments.candidates) == 0) problem("nothing to execute");
        const std::uint64_t argv = words("argv", arguments.argv), environment = words("environment", arguments.envp);
        if (argv == 0) problem("no arguments");
        if (argv + environment + 2 > max_exec_pointers) problem("more arguments than the child can take");
    }

    std::string_view bytes_, pool_;
    ChildProgram head_{};
    std::string where_;
    std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> lint(const Plan& plan, const Sources& sources) { return Linter(plan, sources).run(); }

std::vector<std::string> lint_program(std::string_view bytes) { return ProgramLinter(bytes).run(); }

}  // namespace sandbox
