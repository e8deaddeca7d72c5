// What an HTTP check asks, and what the answers mean.
#include <doctest/doctest.h>

#include "proxy/probe_search.h"
#include "tests/proxy/probe_fixture.h"
#include "tests/support/mux_codec.h"
#include "tests/support/mux_wire.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::proxy;
using remora::testing::check_for;
using remora::testing::contains;
using remora::testing::HttpProbe;
using remora::testing::kOk;
using remora::testing::RawPeer;
using remora::testing::RawServer;
using remora::testing::with_body;

TEST_CASE("what an answer means to an HTTP check, whole and byte by byte") {
  struct Row {
    std::string_view answer;
    bool end;
    std::string_view result;
  };
  const Row rows[] = {
      {kOk, false, "passed"},
      {"HTTP/1.1 204 No Content\r\n\r\n", false, "passed"},
      {"HTTP/1.1 399 \r\nContent-Length: 0\r\n\r\n", false, "passed"},
      {"HTTP/1.0 200 OK\r\n\r\nto the end", true, "passed"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false, "passed"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", false, "passed"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
       false, "passed"},
      {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", false, "status 400"},
      {"HTTP/1.1 503 \r\nContent-Length: 4\r\n\r\nbusy", false, "status 503"},
      {"HTTP/1.1 503 \r\nContent-Length: 4\r\n\r\nb", true, "status 503"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", false, "status 500"},
      {"", true, "closed without an answer"},
      {"HTTP/1.1 2", true, "closed without an answer"},
      {"HTTP/1.1 100 Continue\r\n\r\n", true, "closed without an answer"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true, "closed in the middle of the answer"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", true,
       "closed in the middle of the answer"},
      {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false,
       "invalid response: 101 that was not asked for"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", false, "invalid response: "},
      {"SSH-2.0-OpenSSH_9.2\r\n\r\n", false, "invalid response: "},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, "invalid response: "},
  };
  for (const auto& row : rows) {
    CAPTURE(row.answer);
    for (const std::size_t piece : {std::size_t{65536}, std::size_t{1}}) {
      CAPTURE(piece);
      HttpProbe f;
      f.t.network.at(f.address).client.read_limit = piece;
      const std::string result = f.check(row.answer, row.end);
      CHECK(std::string_view(result).substr(0, row.result.size()) == row.result);
      if (!row.result.ends_with(": ")) CHECK(result == row.result);
      CHECK(f.judge.results.size() == 1);
    }
  }
}

TEST_CASE("an HTTP check asks as it was told to") {
  config::HealthCheck check;
  std::string_view at = "10.0.0.1:80";
  std::string_view request;
  SUBCASE("by default") {
    request = "GET / HTTP/1.1\r\nHost: app.example:80\r\nUser-Agent: remora-health-check\r\n\r\n";
  }
  SUBCASE("with all that can be said") {
    check.method = "HEAD";
    check.path = "/health?deep=1";
    check.host = "well.example";
    check.reuse_connection = false;
    request =
        "HEAD /health?deep=1 HTTP/1.1\r\nHost: well.example\r\nUser-Agent: "
        "remora-health-check\r\nConnection: "
        "close\r\n\r\n";
  }
  SUBCASE("with a method that usually has a body") {
    check.method = "POST";
    request =
        "POST / HTTP/1.1\r\nHost: app.example:80\r\nUser-Agent: remora-health-check\r\nContent-Length: "
        "0\r\n\r\n";
  }
  SUBCASE("over a Unix socket, whose path is no host") {
    at = "unix:/run/app.sock";
    request = "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: remora-health-check\r\n\r\n";
  }
  HttpProbe f(check, at);
  f.start();
  REQUIRE(f.server.size() == 1);
  CHECK(f.server[0].received() == request);
}

TEST_CASE("an HTTP check may go to a port of its own") {
  config::HealthCheck check;
  check.port = 9000;
  HttpProbe f(check);
  RawServer health(f.t.network, *Address::parse("10.0.0.1:9000"));
  f.start();
  CHECK(f.server.size() == 0);
  REQUIRE(health.size() == 1);
  CHECK(contains(health[0].received(), "\r\nHost: app.example:80\r\n"));
  health[0].send(kOk);
  f.t.settle();
  CHECK(f.result() == "passed");
}

TEST_CASE("only the configured statuses pass") {
  config::HealthCheck check;
  check.expect = StatusSet::range(429, 429);
  CHECK(HttpProbe(check).check(kOk) == "status 200");
  CHECK(HttpProbe(check).check("HTTP/1.1 429 \r\nContent-Length: 0\r\n\r\n") == "passed");
}

TEST_CASE("the answer to HEAD has no body, whatever its length says") {
  config::HealthCheck check;
  check.method = "HEAD";
  HttpProbe f(check);
  CHECK(f.check("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n") == "passed");
  CHECK(f.check("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n") == "passed");
  CHECK(f.server.size() == 1);
}

TEST_CASE("a body must contain what is expected of it") {
  struct Row {
    std::string_view body;
    std::string_view result;
  };
  const Row rows[] = {{"status: ok", "passed"},
                      {"not well", "body does not contain \"ok\""},
                      {"o", "body does not contain \"ok\""}};
  for (const auto& row : rows) {
    for (const std::size_t piece : {std::size_t{65536}, std::size_t{1}}) {
      HttpProbe f(check_for("ok"));
      f.t.network.at(f.address).client.read_limit = piece;
      CHECK(f.check(with_body(std::string(row.body))) == row.result);
    }
  }
  HttpProbe chunked(check_for("ok"));
  CHECK(chunked.check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n") ==
        "passed");
  HttpProbe none(check_for("ok"));
  CHECK(none.check("HTTP/1.1 204 \r\n\r\n") == "body does not contain \"ok\"");
  HttpProbe status(check_for("ok"));
  CHECK(status.check("HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nok") == "status 500");
}

TEST_CASE("a body of 64 KiB is read to its end, of a longer one no more than that") {
  const std::string most(ProbeSearch::kWindow - 2, '.');
  HttpProbe f(check_for("ok"));
  CHECK(f.check(with_body(most + "ok")) == "passed");
  CHECK(f.check(with_body(most + "ok")) == "passed");
  CHECK(f.server.size() == 1);

  CHECK(f.check(with_body(most + "ok" + most)) == "passed");
  CHECK(f.server[0].error().has_value());  // the rest is not wanted
  CHECK(f.check(with_body(most + ".ok" + most)) == "body does not contain \"ok\" in its first 64 KiB");
  CHECK(f.server.size() == 2);
  CHECK(f.server[1].error().has_value());
}

TEST_CASE("a body without end does not keep an HTTP check busy") {
  HttpProbe f;
  f.start();
  RawPeer& peer = f.server.last();
  peer.send("HTTP/1.1 200 OK\r\n\r\n");
  const std::string piece(1000, '.');
  std::size_t sent = 0;
  for (; f.judge.results.empty() && sent < 100; ++sent) {
    peer.send(piece);
    f.t.settle();
  }
  CHECK(f.result() == "passed");
  CHECK(sent == 66);  // the first that lies beyond 64 KiB
  CHECK(peer.error().has_value());
}

TEST_CASE("what comes behind too much of a body is nobody's") {
  HttpProbe f;
  std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 200; ++i) answer += "3e8\r\n" + std::string(1000, '.') + "\r\n";  // many in one read
  CHECK(f.check(answer) == "passed");
  CHECK(f.judge.results.size() == 1);
  CHECK(f.check(kOk) == "passed");
}

TEST_CASE("a protocol that switches unasked fails an HTTP check") {
  namespace mux = http::test::mux;
  HttpProbe f;
  f.t.env.codecs.client = [](http::Transport& transport, http::H1Scratch&, const http::H1Limits&) {
    return http::test::make_mux_client(transport);
  };
  f.start();
  mux::Frame request;
  REQUIRE(mux::next_frame(f.server.last().received(), request));
  http::ResponseHead head;
  head.status = 101;
  f.server.last().send(mux::frame(request.id, mux::Type::kUpgrade, false, mux::write_head(head)));
  f.t.settle();
  CHECK(f.result() == "status 101");
  CHECK(f.judge.results.size() == 1);
  CHECK(f.server.last().error().has_value());
}
