// The status file's JSON, in both directions.
#include "state/status.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sandbox {
namespace {

SandboxStatus with_network() {
    SandboxStatus status;
    status.name = "web";
    status.phase = SandboxPhase::running;
    status.network = "bridge";
    NetworkRecord& network = status.network_details.emplace();
    network.bridge = "sandbox0";
    network.host_link = "sb0123456789";
    network.host_network = 4026531840;
    network.host_link_index = 17;
    network.interface = "eth0";
    network.mac = "02:00:0a:58:00:0a";
    network.addresses = {"10.88.0.10/24", "fd00:88::a/64"};
    network.gateway = {"10.88.0.1", "fd00:88::1"};
    network.table = "inet sandbox-web";
    network.ports = {{"0.0.0.0", 8080, 1, 80, "tcp"}, {"::", 65535, 1, 65535, "udp"}};
    return status;
}

TEST(Status, KeepsTheNetworkOfASandbox) {
    const SandboxStatus status = with_network();
    const auto read = status_from_json(status_to_json(status));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->network_details, status.network_details);
    EXPECT_EQ(read->network, "bridge");
}

TEST(Status, OfASandboxWithoutNetworkHasNone) {
    SandboxStatus status;
    status.name = "web";
    const std::string text = status_to_json(status);
    EXPECT_EQ(text.find("network_details"), std::string::npos);
    const auto read = status_from_json(text);
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->network_details);
}

TEST(Status, WithADamagedNetworkIsDamaged) {
    for (const char* part : {"mac", "ports", "host_link_index"}) {
        auto json = nlohmann::ordered_json::parse(status_to_json(with_network()));
        json["network_details"].erase(part);
        EXPECT_FALSE(status_from_json(json.dump())) << part;
    }
}

TEST(Status, PortsAreToldAsText) {
    EXPECT_EQ(port_to_text({"0.0.0.0", 8080, 1, 80, "tcp"}), "0.0.0.0:8080->80/tcp");
    EXPECT_EQ(port_to_text({"::", 8000, 10, 9000, "udp"}), "[::]:8000-8009->9000-9009/udp");
}

}  // namespace
}  // namespace sandbox
