// The server codec on arbitrary bytes. Held to: the verdict and everything written do not depend on how the
// bytes were split; what is handed over and forwarded is read back by a fresh codec as exactly the same one
// request; limits hold; nothing crashes.
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

constexpr H1Limits kLimits{.header_bytes = 2048, .header_fields = 20, .body_bytes = 4096};

[[noreturn]] void fail(std::string_view what, std::string_view a, std::string_view b) {
  std::cerr << what << "\n--- one\n" << a << "\n--- other\n" << b << "\n";
  std::abort();
}

std::string verdict(std::string_view bytes, bool split, RecordingRequests::Answer answer) {
  ServerWorld world(kLimits);
  world.requests.answer = answer;
  Random random(std::hash<std::string_view>()(bytes));
  while (!bytes.empty()) {
    const std::size_t size = split ? 1 + random.below(random.below(4) == 0 ? 64 : 3) : bytes.size();
    world.feed(bytes.substr(0, size));
    bytes.remove_prefix(std::min(size, bytes.size()));
  }
  const std::string before_end = world.result();
  world.feed_end();
  return before_end + world.result() + world.transport.written;
}

// Passes each request on as the proxy does, and reads back what it wrote.
class Forwarder final : public Requests, public Receiver {
 public:
  Receiver* on_request(ServerStream& stream, RequestHead& head, bool end) override {
    stream_ = &stream;
    written_.written.clear();
    codec_ = make_h1_client(written_, scratch_, kLimits);
    if (head.authority.empty()) head.authority = "default";
    head_ = head.method + " " + head.target + " [" + head.authority + "] 1.1";
    body_.clear();
    const Verdict verdict =
        prepare_request(head, {.peer = peer_, .peer_host = "10.0.0.7", .scheme = "http"}, random_);
    forwarding_ = verdict == Verdict::kForward;
    out_ = &codec_->start(responses_);
    if (forwarding_) out_->send_request(head, end);
    if (end) finish();
    return this;
  }
  void on_bad_request(ServerStream& stream, const Error&) override {
    ResponseHead head;
    head.status = 400;
    stream.send_response(head, true, true);
  }
  void on_body(std::string_view bytes, bool end) override {
    body_ += bytes;
    stream_->consume(bytes.size());
    if (forwarding_) out_->send_body(bytes, end);
    if (end) finish();
  }
  void on_trailers(const FieldList& trailers) override {
    if (forwarding_) out_->send_trailers(trailers);
    finish();
  }
  void on_writable() override {}
  void on_reset(const Error&) override { forwarding_ = false; }

 private:
  void finish() {
    if (forwarding_) read_back();
    ResponseHead head;
    head.status = 200;
    stream_->send_response(head, true, false);
  }
  void read_back() {
    ServerWorld world(H1Limits{.header_bytes = 16384});
    world.feed(written_.written);
    const std::string& log = world.requests.log;
    if (!log.starts_with(head_)) fail("another head was read back", head_, log);
    if (world.requests.requests != 1) fail("not one request was read back", written_.written, log);
    if (world.requests.bad != 0) fail("forwarded bytes are refused", written_.written, log);
    if (world.requests.received != body_.size()) fail("another body was read back", body_, log);
    if (!body_.empty() && log.find("\nbody " + body_ + "\n") == std::string::npos) {
      fail("another body was read back", body_, log);
    }
    if (world.codec->active() != 0) fail("the forwarded request has no end", written_.written, log);
  }

  RecordingTransport written_;
  RecordingResponses responses_;
  H1Scratch scratch_;
  std::unique_ptr<ClientCodec> codec_;
  ServerStream* stream_ = nullptr;
  ClientStream* out_ = nullptr;
  std::string head_;
  std::string body_;
  bool forwarding_ = false;
  Random random_{1};
  Address peer_;
};

void forward(std::string_view bytes) {
  RecordingTransport transport;
  Forwarder forwarder;
  H1Scratch scratch;
  const auto codec = make_h1_server(transport, forwarder, scratch, kLimits);
  codec->feed(bytes);
  while (std::exchange(transport.changed, false)) codec->proceed();
}

}  // namespace
}  // namespace remora::http::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace remora::http::test;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  using Answer = RecordingRequests::Answer;
  for (const Answer answer : {Answer::kAtEnd, Answer::kNever}) {
    const std::string whole = verdict(bytes, false, answer);
    const std::string split = verdict(bytes, true, answer);
    if (whole != split) fail("the verdict depends on the split", whole, split);
  }
  forward(bytes);
  return 0;
}
