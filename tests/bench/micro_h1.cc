// What the HTTP/1 codecs cost per exchange: nanoseconds to parse and to serialise heads, both roles, and for
// the header rules in between. Build with the release preset; run: build/release/bench_micro_h1 [rounds]
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/http/forwarding.h"
#include "proxy/http/h1.h"

namespace remora::http {
namespace {

constexpr std::string_view kSmallRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
constexpr std::string_view kSmallResponse =
    "HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\nContent-Type: "
    "text/plain\r\n"
    "Content-Length: 64\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123";
constexpr std::string_view kLargeRequest =
    "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\nHost: www.kittyhell.com\r\n"
    "User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) Gecko/20100401 "
    "Firefox/3.6.3 "
    "Pathtraq/0.9\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\nAccept-Encoding: gzip,deflate\r\n"
    "Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\nX-Request-Start: 115\r\nReferer: "
    "http://www.kittyhell.com/\r\n"
    "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; "
    "__utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx."
    "xxxxxxxxxx.xxxxxxxxxx.x; "
    "__utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com\r\n\r\n";

class NullTransport final : public Transport {
 public:
  bool write(std::string_view bytes) override { return take(bytes); }
  bool write_through(std::string_view prefix, std::string_view bytes, std::string_view suffix) override {
    return take(prefix) && take(bytes) && take(suffix);
  }
  void end() override {}
  void codec_changed() override {}
  std::size_t total = 0;

 private:
  bool take(std::string_view bytes) {
    total += bytes.size();
    return true;
  }
};

class Server final : public Requests, public Receiver {
 public:
  Receiver* on_request(ServerStream& from, RequestHead& head, bool) override {
    stream = &from;
    std::swap(request, head);
    return this;
  }
  void on_bad_request(ServerStream&, const Error&) override { std::abort(); }
  void on_body(std::string_view, bool) override {}
  void on_trailers(const FieldList&) override {}
  void on_writable() override {}
  void on_reset(const Error&) override { std::abort(); }
  ServerStream* stream = nullptr;
  RequestHead request;
};

class Client final : public Responses {
 public:
  void on_informational(ResponseHead&) override {}
  void on_response(ResponseHead& head, bool) override { std::swap(response, head); }
  void on_upgrade(ResponseHead&) override {}
  void on_body(std::string_view bytes, bool) override { body = bytes; }
  void on_trailers(const FieldList&) override {}
  void on_writable() override {}
  void on_reset(const Error&) override { std::abort(); }
  ResponseHead response;
  std::string_view body;
};

double seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <typename Fn>
double nanoseconds_per_call(long rounds, Fn&& fn) {
  for (long i = 0; i < rounds / 10; ++i) fn();
  const double start = seconds();
  for (long i = 0; i < rounds; ++i) fn();
  return (seconds() - start) * 1e9 / static_cast<double>(rounds);
}

struct Bench {
  NullTransport down;
  NullTransport up;
  H1Scratch scratch;
  H1Limits limits;
  Server server;
  Client client;
  std::unique_ptr<ServerCodec> server_codec = make_h1_server(down, server, scratch, limits);
  std::unique_ptr<ClientCodec> client_codec = make_h1_client(up, scratch, limits);
  Random random{1};
  Address peer;

  // One proxied exchange; the header rules only with `rules`.
  void exchange(std::string_view request, std::string_view response, bool rules) {
    server_codec->feed(request);
    if (rules) {
      prepare_request(server.request, {.peer = peer, .peer_host = "10.0.0.7", .scheme = "http"}, random);
    }
    client_codec->start(client).send_request(server.request, true);
    client_codec->feed(response);
    if (rules) prepare_response(client.response);
    server.stream->send_response(client.response, false, false);
    server.stream->send_body(client.body, true);
  }

  void serve(std::string_view request) {
    server_codec->feed(request);
    server.stream->send_response(client.response, false, false);
    server.stream->send_body(client.body, true);
  }
  void ask(std::string_view response) {
    client_codec->start(client).send_request(server.request, true);
    client_codec->feed(response);
  }
};

void run(const char* name, std::string_view request, std::string_view response, long rounds) {
  Bench bench;
  bench.exchange(request, response, false);
  const double server = nanoseconds_per_call(rounds, [&] { bench.serve(request); });
  const double client = nanoseconds_per_call(rounds, [&] { bench.ask(response); });
  const double both = nanoseconds_per_call(rounds, [&] { bench.exchange(request, response, false); });
  const double rules = nanoseconds_per_call(rounds, [&] { bench.exchange(request, response, true); });
  std::printf("%-28s server %6.0f ns  client %6.0f ns  both %6.0f ns  with header rules %6.0f ns\n", name,
              server, client, both, rules);
}

}  // namespace
}  // namespace remora::http

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 1000000;
  using namespace remora::http;
  run("small request and response", kSmallRequest, kSmallResponse, rounds);
  run("browser's request", kLargeRequest, kSmallResponse, rounds);
}
