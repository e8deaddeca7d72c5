// The client codec on arbitrary bytes. The first byte says what was asked: 'G' GET, 'H' HEAD, 'U' an upgrade;
// in lower case the peer closes after the bytes. Held to: what is delivered does not depend on how the bytes
// were split; a response that was delivered whole is read back by a fresh codec with the same status and body
// when it was passed on; nothing crashes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>

#include "base/random.h"
#include "proxy/http/forwarding.h"
#include "tests/proxy/http/recorder.h"

namespace remora::http::test {
namespace {

constexpr H1Limits kLimits{.header_bytes = 2048, .header_fields = 20};

[[noreturn]] void fail(std::string_view what, std::string_view a, std::string_view b) {
  std::cerr << what << "\n--- one\n" << a << "\n--- other\n" << b << "\n";
  std::abort();
}

struct Asked {
  std::string_view method = "GET";
  bool upgrade = false;
  bool end = false;
};

Asked asked(char c) {
  Asked ask;
  ask.end = c >= 'a';
  if (c == 'H' || c == 'h') ask.method = "HEAD";
  ask.upgrade = c == 'U' || c == 'u';
  return ask;
}

std::string verdict(const Asked& ask, std::string_view bytes, bool split) {
  ClientWorld world(kLimits);
  world.ask(ask.method, ask.upgrade);
  Random random(std::hash<std::string_view>()(bytes));
  while (!bytes.empty()) {
    const std::size_t size = split ? 1 + random.below(random.below(4) == 0 ? 64 : 3) : bytes.size();
    world.feed(bytes.substr(0, size));
    bytes.remove_prefix(std::min(size, bytes.size()));
  }
  if (ask.end) world.codec->feed_end();
  const bool alive = world.codec->fate() == Codec::Fate::kOpen;
  return world.responses.log + (alive ? "alive\n" : "dead\n");
}

// Passes a response on as the proxy does.
class Forwarder final : public Responses {
 public:
  explicit Forwarder(std::string_view method) : head_only_(method == "HEAD") {
    down_.requests.answer = RecordingRequests::Answer::kNever;
    down_.feed(std::string(method) + " / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  void on_informational(ResponseHead& head) override {
    prepare_response(head);
    stream().send_informational(head);
  }
  void on_response(ResponseHead& head, bool end) override {
    status_ = head.status;
    prepare_response(head);
    stream().send_response(head, end, false);
    complete_ = end;
  }
  void on_upgrade(ResponseHead&) override { tunnel_ = true; }
  void on_body(std::string_view bytes, bool end) override {
    if (tunnel_) return;
    body_ += bytes;
    stream().send_body(bytes, end);
    complete_ = end;
  }
  void on_trailers(const FieldList& trailers) override {
    stream().send_trailers(trailers);
    complete_ = true;
  }
  void on_writable() override {}
  void on_reset(const Error&) override {
    if (status_ == 0) return;
    stream().reset();
    if (down_.codec->fate() != Codec::Fate::kAbort)
      fail("truncation is not visible", down_.transport.written, "");
  }

  void read_back() {
    if (!complete_) return;
    ClientWorld world(H1Limits{.header_bytes = 16384});
    world.ask(head_only_ ? "HEAD" : "GET");
    world.feed(down_.transport.written);
    const std::string& log = world.responses.log;
    const bool final = log.starts_with(std::to_string(status_)) ||
                       log.find("\n" + std::to_string(status_)) != std::string::npos;
    if (!final || !(log.ends_with("end\n") || log.find("\ntrailers") != std::string::npos)) {
      fail("another response was read back", down_.transport.written, log);
    }
    if (!body_.empty() && log.find("\nbody " + body_ + "\n") == std::string::npos)
      fail("another body was read back", body_, log);
    if (!world.codec->available()) fail("bytes behind the response", down_.transport.written, log);
  }

 private:
  ServerStream& stream() { return *down_.requests.stream; }

  bool head_only_;
  ServerWorld down_;
  std::string body_;
  std::uint16_t status_ = 0;
  bool complete_ = false;
  bool tunnel_ = false;
};

void forward(const Asked& ask, std::string_view bytes) {
  RecordingTransport transport;
  Forwarder forwarder(ask.method);
  H1Scratch scratch;
  const auto codec = make_h1_client(transport, scratch, kLimits);
  RequestHead head;
  head.method = ask.method;
  head.target = "/";
  head.upgrade = ask.upgrade;
  codec->start(forwarder).send_request(head, true);
  codec->feed(bytes);
  if (ask.end) codec->feed_end();
  forwarder.read_back();
}

}  // namespace
}  // namespace remora::http::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace remora::http::test;
  if (size == 0) return 0;
  const Asked ask = asked(static_cast<char>(data[0]));
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = verdict(ask, bytes, false);
  const std::string split = verdict(ask, bytes, true);
  if (whole != split) fail("the verdict depends on the split", whole, split);
  forward(ask, bytes);
  return 0;
}
