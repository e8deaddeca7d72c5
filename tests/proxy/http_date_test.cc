#include "proxy/http_date.h"

#include <doctest/doctest.h>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;
using remora::proxy::HttpDate;

TEST_CASE("a date is written as RFC 9110 wants it") {
  CHECK(HttpDate::format(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(HttpDate::format(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT");
}

TEST_CASE("the clock is read once a second at most") {
  static int reads = 0;
  HttpDate date(+[]() -> std::int64_t { return ++reads; });
  const TimePoint start{};
  CHECK(date.text(start) == "Thu, 01 Jan 1970 00:00:01 GMT");
  CHECK(date.text(start + 999ms) == "Thu, 01 Jan 1970 00:00:01 GMT");
  CHECK(date.text(start + 1s) == "Thu, 01 Jan 1970 00:00:02 GMT");
  CHECK(reads == 2);
}

TEST_CASE("Date is added where it is missing and kept where it is not") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  SUBCASE("missing") {
    World::answer(backend, std::string(kOk));
    client->send(kGet);
    w.settle();
    CHECK(count_of(client->received(), "\r\nDate: ") == 1);
  }
  SUBCASE("there") {
    World::answer(backend,
                  "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
    client->send(kGet);
    w.settle();
    CHECK(count_of(client->received(), "\r\nDate: ") == 1);
    CHECK(contains(client->received(), "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
  }
  SUBCASE("in a reply of our own") {
    client->send("GET / HTTP/1.1\r\n\r\n");
    w.settle();
    CHECK(status_of(client->received()) == 400);
    CHECK(count_of(client->received(), "\r\nDate: ") == 1);
  }
}
