// Who may ask the admin server: programs and its own pages may, pages of other sites may not.
#include "proxy/admin_guard.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace remora::proxy {
namespace {

const std::vector<std::string> kHosts{"remora.internal", "*.corp.example"};

bool host_passes(std::string authority) {
  http::RequestHead head;
  head.authority = std::move(authority);
  return !refuse_host(head, kHosts).has_value();
}

struct Field {
  const char* name;
  const char* value;
};

bool change_passes(std::string authority, const std::vector<Field>& fields) {
  http::RequestHead head;
  head.authority = std::move(authority);
  for (const Field& field : fields) head.fields.add(field.name, field.value);
  return !refuse_change(head).has_value();
}

TEST_CASE("addresses, localhost and configured names are known hosts") {
  for (const char* authority :
       {"127.0.0.1:9901", "127.0.0.1", "10.1.2.3:80", "[::1]:9901", "[::1]", "[fe80::1]:1", "localhost:9901",
        "LOCALHOST", "localhost.:9901", "app.localhost:9901", "remora.internal", "Remora.Internal:9901",
        "remora.internal.:80", "a.corp.example", "a.b.corp.example:9901", ""}) {
    CAPTURE(authority);
    CHECK(host_passes(authority));
  }
}

TEST_CASE("any other name may have been pointed here by a foreign page") {
  for (const char* authority :
       {"evil.example", "evil.example:9901", "localhost.evil.example", "evillocalhost",
        "127.0.0.1.evil.example", "corp.example", "evilcorp.example", "remora.internal.evil.example",
        "[::1].evil.example", "[", "[]", "]", "1.2.3", "0x7f000001", ".", ".localhost"}) {
    CAPTURE(authority);
    CHECK_FALSE(host_passes(authority));
  }
}

TEST_CASE("a program, which sends neither Origin nor Sec-Fetch-Site, may change things") {
  CHECK(change_passes("127.0.0.1:9901", {}));
  CHECK(change_passes("", {}));
}

TEST_CASE("a page of the admin server itself may change things") {
  CHECK(change_passes("localhost:9901",
                      {{"Origin", "http://localhost:9901"}, {"Sec-Fetch-Site", "same-origin"}}));
  CHECK(change_passes("127.0.0.1:9901", {{"Origin", "http://127.0.0.1:9901"}}));
  CHECK(change_passes("Remora.internal", {{"origin", "https://remora.internal"}}));
  CHECK(change_passes("localhost:9901", {{"Sec-Fetch-Site", "none"}}));
}

TEST_CASE("a page of another site, or of another port here, may not change anything") {
  const std::string host = "localhost:9901";
  for (const char* origin : {"http://evil.example", "null", "", "http://localhost:3000", "http://localhost",
                             "localhost:9901", "http://localhost:9901.evil.example", "http://localhost:9901/",
                             "ftp://localhost:9901", "http://evil.example@localhost:9901"}) {
    CAPTURE(origin);
    CHECK_FALSE(change_passes(host, {{"Origin", origin}}));
    CHECK_FALSE(change_passes(host, {{"Origin", origin}, {"Sec-Fetch-Site", "same-origin"}}));
  }
  for (const char* site : {"cross-site", "same-site", "", "Same-Origin "}) {
    CAPTURE(site);
    CHECK_FALSE(change_passes(host, {{"Sec-Fetch-Site", site}}));
    CHECK_FALSE(change_passes(host, {{"Origin", "http://localhost:9901"}, {"Sec-Fetch-Site", site}}));
  }
}

}  // namespace
}  // namespace remora::proxy
