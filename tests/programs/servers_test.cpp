// Servers: each answers through the port that its profile publishes, or over the network that it gives.
#include <gmock/gmock.h>

#include "programs.h"

namespace {

using namespace programs;
using testing::HasSubstr;

Words curl(const std::string& url) { return {"curl", "--silent", "--show-error", "--fail", "--max-time", "5", url}; }

TEST_F(Works, nginx_serves_a_page_through_its_port) {
    folder().write("site/index.html", "the page\n");
    const Service nginx("nginx", here(), {"SITE=" + (folder() / "site")});
    const Ended page = until_ok(curl("http://127.0.0.1:8080/"));
    EXPECT_EQ(page.out, "the page\n") << page << nginx.logs();
    const Ended missing = run(curl("http://127.0.0.1:8080/missing"));
    EXPECT_EQ(missing.code, 22) << missing;  // curl(1): an error of HTTP
    EXPECT_THAT(nginx.exec({"ps", "-o", "user,args", "ax"}).out, HasSubstr("www-data nginx: worker process"));
}

TEST_F(Confined, nginx) { EXPECT_EQ(shortcomings("nginx", given_by_service()), ""); }

}  // namespace
