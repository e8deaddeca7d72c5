// A whole worker in virtual time: what a request that goes well looks like on both sides.
#include "proxy/exchange.h"

#include <doctest/doctest.h>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

TEST_CASE("a request goes up and its response comes down") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto client = w.client();
  client->send(kGet);
  w.settle();
  REQUIRE(backend.size() == 1);
  const std::string up = backend[0].received();
  CHECK(up.starts_with("GET /a?b HTTP/1.1\r\n"));
  CHECK(contains(up, "\r\nHost: example.com\r\n"));
  CHECK(contains(up, "\r\nVia: 1.1 remora-test\r\n"));
  CHECK(contains(up, "\r\nX-Forwarded-For: 127.0.0.1\r\n"));
  CHECK(contains(up, "\r\nX-Forwarded-Proto: http\r\n"));
  CHECK(contains(up, "\r\nX-Request-Id: "));
  CHECK(status_of(client->received()) == 200);
  CHECK(client->received().ends_with("\r\n\r\nhi"));
  CHECK(w.worker().exchanges() == 0);
  const auto log = w.log();
  REQUIRE(log.size() == 1);
  CHECK(contains(log[0], R"("status":200)"));
  CHECK(contains(log[0], R"("upstream":"10.0.0.1:80")"));
}

TEST_CASE("keep-alive requests reuse one upstream connection") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto client = w.client();
  for (int i = 0; i < 10; ++i) {
    client->send(kGet);
    w.settle();
  }
  CHECK(backend.size() == 1);
  CHECK(count_of(client->received(), "HTTP/1.1 200") == 10);
  CHECK(w.log().size() == 10);
}

TEST_CASE("round robin alternates between endpoints") {
  World w(kTwoBackends);
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  World::answer(a, std::string(kOk));
  World::answer(b, std::string(kOk));
  auto client = w.client();
  for (int i = 0; i < 10; ++i) {
    client->send(kGet);
    w.settle();
  }
  CHECK(count_of(a[0].received(), "GET /a?b") == 5);
  CHECK(count_of(b[0].received(), "GET /a?b") == 5);
}

TEST_CASE("pipelined requests are answered in order") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  backend.when_accepted = [](RawPeer& peer) {
    peer.when_received = [](RawPeer& p) {
      const std::string got = p.take();
      const auto path = got.substr(4, got.find(' ', 4) - 4);
      p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(path.size()) + "\r\n\r\n" + path);
    };
  };
  auto client = w.client();
  std::string all;
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
    expected += "/" + std::to_string(i);
  }
  client->send(all);
  w.settle();
  std::string bodies;
  std::string rest = client->received();
  for (auto at = rest.find("\r\n\r\n"); at != std::string::npos; at = rest.find("\r\n\r\n")) {
    rest.erase(0, at + 4);
    bodies += rest.substr(0, rest.find("HTTP/1.1"));
  }
  CHECK(bodies == expected);
  CHECK(w.log().size() == 50);
}

TEST_CASE("a body is passed on with its length, chunked and close-delimited alike") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  SUBCASE("Content-Length up") {
    auto client = w.client();
    client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    w.settle();
    client->send("llo");
    w.settle();
    backend[0].send(kOk);
    w.settle();
    CHECK(contains(backend[0].received(), "\r\nContent-Length: 5\r\n"));
    CHECK(backend[0].received().ends_with("\r\n\r\nhello"));
    CHECK(status_of(client->received()) == 200);
  }
  SUBCASE("chunked up") {
    World::answer(backend, std::string(kOk));
    auto client = w.client();
    client->send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    w.settle();
    CHECK(contains(backend[0].received(), "\r\nTransfer-Encoding: chunked\r\n"));
    CHECK(contains(backend[0].received(), "hello"));
    CHECK(backend[0].received().ends_with("0\r\n\r\n"));
  }
  SUBCASE("close-delimited down becomes chunked") {
    backend.when_accepted = [](RawPeer& peer) {
      peer.when_received = [](RawPeer& p) {
        p.send("HTTP/1.1 200 OK\r\n\r\nall of it");
        p.end();
      };
    };
    auto client = w.client();
    client->send(kGet);
    w.settle();
    CHECK(contains(client->received(), "\r\nTransfer-Encoding: chunked\r\n"));
    CHECK(client->received().ends_with("0\r\n\r\n"));
    CHECK(contains(client->received(), "all of it"));
  }
}

TEST_CASE("an upgrade becomes a tunnel of bytes both ways, with half-close") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend,
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nglued");
  auto client = w.client();
  client->send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  w.settle();
  CHECK(status_of(client->received()) == 101);
  CHECK(contains(backend[0].received(), "\r\nUpgrade: websocket\r\n"));
  CHECK(client->received().ends_with("\r\n\r\nglued"));
  client->send("up");
  backend[0].send("down");
  w.settle();
  CHECK(backend[0].received().ends_with("up"));
  CHECK(client->received().ends_with("down"));
  client->end();
  w.settle();
  CHECK(backend[0].ended());
  CHECK_FALSE(client->finished());
  backend[0].send("last words");
  backend[0].end();
  w.settle();
  CHECK(client->received().ends_with("last words"));
  CHECK(client->ended());
  CHECK(w.worker().exchanges() == 0);
  CHECK(w.log().size() == 1);
}

TEST_CASE("an upgrade the upstream refuses is an ordinary response and the connection goes on") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
  auto client = w.client();
  client->send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  w.settle();
  CHECK(status_of(client->received()) == 426);
  client->take();
  client->send(kGet);
  w.settle();
  CHECK(status_of(client->received()) == 426);
}

TEST_CASE("every 1xx is forwarded before the response") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(
      backend,
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early "
      "Hints\r\nLink: </b>\r\n\r\n" +
          std::string(kOk));
  auto client = w.client();
  client->send(kGet);
  w.settle();
  CHECK(count_of(client->received(), "HTTP/1.1 103") == 2);
  CHECK(count_of(client->received(), "HTTP/1.1 100") == 1);
  CHECK(client->received().ends_with("hi"));
}

TEST_CASE("a client that half-closes after its request still gets the response") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  backend.when_accepted = [](RawPeer&) {};
  auto client = w.client();
  client->send(kGet);
  client->end();
  w.settle();
  REQUIRE(backend.size() == 1);
  backend[0].send(kOk);
  w.settle();
  CHECK(client->received().ends_with("hi"));
  CHECK(client->ended());
}

TEST_CASE("an early response ends the exchange and the upload is not passed on") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\nbegin");
  w.settle();
  CHECK(status_of(client->received()) == 413);
  CHECK(contains(client->received(), "Connection: close"));
  client->send(std::string(50'000, 'x'));
  w.settle();
  CHECK(backend[0].received().size() < 1000);
  CHECK(w.worker().exchanges() == 0);
}

TEST_CASE("requests wait for a connection that is slow to open, and their body with them") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  w.network().at(backend.address()).connect_delay = 500ms;
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
  client->send(std::string(200'000, 'x'));
  w.settle();
  CHECK(backend.size() == 0);
  w.run_for(600ms);
  CHECK(backend[0].received().size() > 200'000);
  CHECK(status_of(client->received()) == 200);
}

TEST_CASE("the same bytes in any split give the same exchange") {
  const std::string request = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
  const std::string response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n";
  for (std::size_t piece = 1; piece < 7; ++piece) {
    World w(kOneBackend);
    auto& backend = w.backend("10.0.0.1:80");
    World::answer(backend, response);
    auto& knobs = w.network().at(backend.address());
    knobs.client.read_limit = piece;
    w.network().at(*Address::parse("127.0.0.1:8080")).server.read_limit = piece;
    auto client = w.client();
    client->send(request);
    w.settle();
    CAPTURE(piece);
    CHECK(backend[0].received().ends_with("\r\n\r\nabc"));
    CHECK(status_of(client->received()) == 200);
    CHECK(client->received().ends_with("0\r\n\r\n"));
  }
}

TEST_CASE("the timeout ends with the response's head: a long download is not cut") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  for (int i = 0; i < 10; ++i) {
    w.run_for(14s);
    backend[0].send("x");
  }
  w.settle();
  CHECK(client->received().ends_with("\r\n\r\nxxxxxxxxxx"));
  CHECK(contains(w.log().at(0), R"("flag":"-")"));
}

TEST_CASE("the timeout begins with the request's end: a long upload is not cut") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n");
  for (int i = 0; i < 10; ++i) {
    w.run_for(14s);
    client->send("x");
  }
  w.run_for(14s);
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(client->received()) == 200);
}
