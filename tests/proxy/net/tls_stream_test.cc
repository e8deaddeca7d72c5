// TLS as a stream, beyond what the contract tests say of every stream: what arrives in pieces, what is cut
// off, who does not read, and who is who.
#include <doctest/doctest.h>

#include "tests/proxy/net/stream_pair.h"

using namespace remora;
using namespace remora::testing;

namespace {

// A client and a server end over the fake network, and what each of them was told.
struct Ends {
  explicit Ends(net::TlsClientSettings settings = {}, bool ask = false) {
    net::TlsServerSettings shown;
    shown.certificates = {{.certificate = files.certificate(), .key = files.key()}};
    if (ask) shown.client_ca = files.certificate();
    server_context = *net::TlsContext::server(shown, tickets);
    if (settings.verify && settings.ca.empty()) settings.ca = files.certificate();
    client_context = *net::TlsContext::client(settings);
  }

  struct Acceptor final : net::Acceptor {
    explicit Acceptor(Ends& owner) : ends(owner) {}
    void on_accept(std::unique_ptr<net::Stream> stream) override {
      ends.below_server = stream.get();
      auto tls = net::TlsStream::accept(ends.shared(), ends.server_context, std::move(stream));
      ends.server_tls = tls.get();
      ends.server = RawPeer::adopt(std::move(tls));
    }
    void on_accept_exhausted() override {}
    Ends& ends;
  };

  void connect(const std::string& name = "localhost") {
    client = RawPeer::dial([&](net::Stream::Events& events) {
      auto tls = net::TlsStream::connect(shared(), client_context, {.name = name, .sessions = sessions},
                                         world.network(), listener->address(), events);
      client_tls = tls.get();
      return tls;
    });
    world.run_a_while();
  }

  net::TlsStream::Shared shared() { return {.turn = world.turn(), .buffers = buffers}; }
  FakeStream& wire() { return FakeNetwork::end_of(*below_server); }

  FakeWorld world;
  BufferPool buffers;
  TestCertificate files;
  net::TlsTickets tickets;
  std::shared_ptr<const net::TlsContext> server_context;
  std::shared_ptr<const net::TlsContext> client_context;
  Ref<net::TlsSessions> sessions = Ref<net::TlsSessions>::make();
  Acceptor acceptor{*this};
  std::unique_ptr<net::Listener> listener =
      *world.network().listen(world.listen_address(), net::ListenOptions{}, acceptor);
  std::unique_ptr<RawPeer> client;
  std::unique_ptr<RawPeer> server;
  net::TlsStream* client_tls = nullptr;
  net::TlsStream* server_tls = nullptr;
  net::Stream* below_server = nullptr;
};

std::string failure(const Ends& ends) { return ends.client->error() ? ends.client->error()->detail : ""; }

}  // namespace

TEST_CASE("TLS does not care in which pieces its bytes arrive") {
  Ends ends;
  AddressKnobs& knobs = ends.world.network().at(ends.listener->address());
  knobs.client.read_limit = knobs.server.read_limit = 1;
  ends.connect();
  REQUIRE(ends.client->open());
  const std::string up = noise(40'000, 1);
  const std::string down = noise(40'000, 2);
  ends.client->send(up);
  ends.server->send(down);
  ends.client->end();
  ends.world.run_a_while();
  CHECK(ends.server->received() == up);
  CHECK(ends.server->ended());
  CHECK(ends.client->received() == down);
  CHECK_FALSE(ends.client->finished());
}

TEST_CASE("a connection that ends without close_notify has been cut off") {
  Ends ends;
  ends.connect();
  ends.server->send("some of it");
  ends.world.run_a_while();
  ends.below_server->end();  // FIN, and nothing before it
  ends.world.run_a_while();
  CHECK(ends.client->received() == "some of it");
  CHECK_FALSE(ends.client->ended());
  REQUIRE(ends.client->error());
  CHECK(ends.client->error()->code == ErrorCode::kReset);
  CHECK(failure(ends) == "the connection was cut off: no close_notify came");
}

TEST_CASE("destroying a TLS stream at rest says so") {
  Ends ends;
  ends.connect();
  ends.client->close();
  ends.world.run_a_while();
  CHECK(ends.server->ended());
  CHECK_FALSE(ends.server->error());
}

TEST_CASE("a handshake that is cut off or refused says why") {
  Ends ends;
  SUBCASE("the name is another one") {
    ends.connect("elsewhere.example");
    CHECK(failure(ends) == "TLS handshake: the server's certificate: hostname mismatch");
  }
  SUBCASE("the address is another one") {
    ends.connect("127.0.0.1");
    CHECK(failure(ends) == "TLS handshake: the server's certificate: IP address mismatch");
  }
  SUBCASE("the peer closes") {
    ends.world.network().at(ends.listener->address()).server.stall_reading = true;
    ends.connect();
    CHECK(ends.client_tls->in_handshake());
    ends.below_server->end();
    ends.world.run_a_while();
    CHECK(failure(ends) == "TLS handshake: the peer closed the connection");
  }
  SUBCASE("the peer resets") {
    ends.world.network().at(ends.listener->address()).server.stall_reading = true;
    ends.connect();
    ends.wire().break_connection();
    ends.world.run_a_while();
    CHECK(failure(ends) == "TLS handshake: the peer reset the connection");
  }
  REQUIRE(ends.client->error());
  CHECK(ends.client->error()->code == ErrorCode::kConnectFailed);
  CHECK_FALSE(ends.client->open());
}

TEST_CASE("an identity stands for the name, and is checked") {
  net::TlsClientSettings settings;
  SUBCASE("it is right") { settings.identity = "spiffe://test/app"; }
  SUBCASE("it is another one") { settings.identity = "spiffe://test/other"; }
  Ends ends(settings);
  ends.connect("elsewhere.example");
  if (settings.identity.ends_with("/app")) {
    CHECK(ends.client->open());
  } else {
    CHECK(failure(ends) == "TLS handshake: the server's certificate: it is not for spiffe://test/other");
  }
}

TEST_CASE("who shows a certificate is known by it") {
  Ends probe;
  net::TlsClientSettings settings;
  settings.own = {.certificate = probe.files.certificate(), .key = probe.files.key()};
  settings.verify = false;
  Ends ends(settings, true);
  SUBCASE("and refused if nobody trusted has issued it") {
    ends.connect();
    REQUIRE(ends.server->error());
    CHECK(ends.server->error()->detail == "TLS handshake: the client's certificate: self-signed certificate");
  }
  SUBCASE("with all its names") {
    settings.own = {.certificate = ends.files.certificate(), .key = ends.files.key()};
    ends.client_context = *net::TlsContext::client(settings);
    ends.connect();
    const auto peer = ends.server_tls->verified_peer();
    REQUIRE(peer);
    CHECK(peer->uris == std::vector<std::string>{"spiffe://test/app"});
    CHECK(peer->dns == std::vector<std::string>{"localhost"});
    CHECK(peer->subject == "CN=test");
    CHECK(peer->forwarded.ends_with(";Subject=\"CN=test\";URI=spiffe://test/app;DNS=localhost"));
    CHECK(ends.client_tls->verified_peer() == nullptr);
  }
}

TEST_CASE("the last bytes, and that they were the last, leave together") {
  Ends ends;
  ends.connect();
  REQUIRE(ends.server->open());
  auto& below = dynamic_cast<FakeStream&>(*ends.below_server);
  const std::size_t before = below.sends();
  const std::array<std::string_view, 2> pieces{"good", "bye"};
  ends.server_tls->send_last(pieces);
  CHECK(below.sends() == before + 1);
  ends.server_tls->end();
  ends.world.run_a_while();
  CHECK(below.sends() == before + 1);
  CHECK(ends.client->take() == "goodbye");
  CHECK(ends.client->ended());
  CHECK_FALSE(ends.client->error());
}

TEST_CASE("bytes that are the last before the handshake is done wait for it") {
  Ends ends;
  ends.connect();
  REQUIRE(ends.client->open());
  ends.client->close();
  ends.client = RawPeer::dial([&](net::Stream::Events& events) {
    auto tls =
        net::TlsStream::connect(ends.shared(), ends.client_context, {.name = "localhost", .sessions = {}},
                                ends.world.network(), ends.listener->address(), events);
    const std::array<std::string_view, 1> pieces{"early"};
    tls->send_last(pieces);
    tls->end();
    return tls;
  });
  ends.world.run_a_while();
  CHECK(ends.server->take() == "early");
  CHECK(ends.server->ended());
}

TEST_CASE("a session is resumed, once each, and not beyond its context or its key") {
  Ends ends;
  const auto connects = [&] {
    ends.connect();
    REQUIRE(ends.client->open());
    const bool resumed = ends.client_tls->resumed();
    CHECK(ends.server_tls->resumed() == resumed);
    ends.client->close();
    ends.world.run_a_while();
    return resumed;
  };
  CHECK_FALSE(connects());
  CHECK(ends.sessions->size() == 1);
  for (int i = 0; i < 3; ++i) {
    CHECK(connects());
    CHECK(ends.sessions->size() == 1);
  }
  SUBCASE("the next key still reads tickets of the one before") {
    ends.tickets.rotate();
    CHECK(connects());
  }
  SUBCASE("the one after that does not") {
    ends.tickets.rotate();
    ends.tickets.rotate();
    CHECK_FALSE(connects());
  }
  SUBCASE("another context begins anew") {
    net::TlsClientSettings settings;
    settings.ca = ends.files.certificate();
    ends.client_context = *net::TlsContext::client(settings);
    CHECK_FALSE(connects());
  }
}

TEST_CASE("a session of a client that nobody knew lets it in nowhere else") {
  Ends ends({}, true);
  net::TlsServerSettings server;
  server.certificates = {{.certificate = ends.files.certificate(), .key = ends.files.key()}};
  server.client_ca = ends.files.certificate();
  server.require_client_certificate = false;
  ends.server_context = *net::TlsContext::server(server, ends.tickets);
  ends.connect();
  REQUIRE(ends.client->open());
  REQUIRE(ends.sessions->size() == 1);
  server.require_client_certificate = true;  // at another listener, or here since a reload
  ends.server_context = *net::TlsContext::server(server, ends.tickets);
  ends.connect();
  CHECK_FALSE(ends.server->open());
  REQUIRE(ends.server->error());
  CHECK(ends.server->error()->detail == "TLS handshake: peer did not return a certificate");
}

TEST_CASE("a session ends with the certificate that was shown for it") {
  Ends ends;
  const TestCertificate expired(-1);
  net::TlsServerSettings server;
  server.certificates = {{.certificate = expired.certificate(), .key = expired.key()}};
  ends.server_context = *net::TlsContext::server(server, ends.tickets);
  net::TlsClientSettings trusting;
  trusting.verify = false;
  ends.client_context = *net::TlsContext::client(trusting);
  for (int i = 0; i < 2; ++i) {
    ends.connect();
    REQUIRE(ends.client->open());
    CHECK_FALSE(ends.client_tls->resumed());
    ends.client->close();
    ends.world.run_a_while();
  }
}

TEST_CASE("an endpoint without a name to verify is not asked for anything") {
  Ends ends;
  ends.connect("");
  CHECK_FALSE(ends.client->open());
  REQUIRE(ends.client->error());
  CHECK(ends.server == nullptr);
}

TEST_CASE("who pauses on the last bytes hears of the end once it resumes") {
  Ends ends;
  ends.connect();
  ends.server->when_received = [](RawPeer& peer) { peer.pause(); };
  // In one piece: the bytes, and close_notify without FIN.
  ends.wire().other()->knobs().stall_writing = true;
  ends.client->send("all of it");
  ends.client->end();
  ends.wire().other()->knobs().stall_writing = false;
  ends.world.run_a_while();
  CHECK(ends.server->received() == "all of it");
  CHECK_FALSE(ends.server->ended());
  ends.server->resume();
  ends.world.run_a_while();
  CHECK(ends.server->ended());
}

TEST_CASE("who is told to stop before the handshake is done is told to go on after it") {
  Ends ends;
  ends.client = RawPeer::dial([&](net::Stream::Events& events) {
    return net::TlsStream::connect(ends.shared(), ends.client_context, {.name = "localhost", .sessions = {}},
                                   ends.world.network(), ends.listener->address(), events);
  });
  const std::string much = noise(300'000);
  CHECK_FALSE(ends.client->send(much));
  ends.world.run_a_while();
  CHECK(ends.client->writable_count() == 1);
  CHECK(ends.client->drained_count() == 1);
  CHECK(ends.server->received() == much);
}

TEST_CASE("files that are no certificates are errors that name them") {
  const TestCertificate one;
  const TestCertificate other;
  net::TlsTickets tickets;
  const auto why = [&](const std::string& certificate, const std::string& key) {
    net::TlsServerSettings settings;
    settings.certificates = {{.certificate = certificate, .key = key}};
    const auto made = net::TlsContext::server(settings, tickets);
    return made ? std::string() : made.error().detail;
  };
  CHECK(why(one.certificate(), one.key()).empty());
  CHECK(why(one.certificate(), other.key()) ==
        other.key() + ": not the key of the certificate in " + one.certificate());
  CHECK(why(one.key(), one.key()) == one.key() + ": no PEM certificate is in it");
  CHECK(why(one.certificate(), one.certificate()) ==
        one.certificate() + ": no PEM private key without a passphrase is in it");
  CHECK(why("/nowhere", one.key()) == "/nowhere: No such file or directory");
  CHECK(why("/", one.key()) == "/: not a regular file");
}

TEST_CASE("an OCSP response is for its certificate, and of use until it ends") {
  const TestCertificate one;
  net::TlsTickets tickets;
  const auto made = [&](const std::string& response) {
    net::TlsServerSettings settings;
    settings.certificates = {{.certificate = one.certificate(), .key = one.key(), .ocsp = response}};
    return net::TlsContext::server(settings, tickets);
  };
  const auto right = made(one.response(3600));
  REQUIRE(right);
  const auto late = made(one.response(-1));
  REQUIRE(late);
  CHECK((*late)->warnings().size() == (*right)->warnings().size() + 1);
  CHECK((*late)->warnings().back() ==
        one.response(-1) + ": this OCSP response has expired, and is not shown");
  CHECK((*late)->content() != (*right)->content());
  const auto none = made(one.certificate());
  REQUIRE_FALSE(none);
  CHECK(none.error().detail == one.certificate() + ": no OCSP response in DER is in it");
}
