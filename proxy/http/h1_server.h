// The server role of HTTP/1: its state and what moves it. Used through make_h1_server (h1.h); the input half
// is in h1_server.cc, the output half in h1_server_output.cc.
//
//   in_        means                                        leaves by
//   kHead      between requests, or part of a head is here  a whole head: kBody or kDone
//   kBody      the request's body is coming                 its end: kDone; the response's end: kDiscard
//   kDone      the request is complete                      the response's end: kHead; 101: kTunnel
//   kDiscard   answered, the rest of the body is dropped    its end: kHead; too much of it: kClosed
//   kTunnel    bytes are the tunnel's                       the peer's FIN: kEnded
//   kEnded     the tunnel's peer sends no more              our end: kClosed
//   kClosed    nothing is read any more
//
//   out_: kIdle -> kWaiting (for the response's head) -> the body's framing -> kIdle, or -> kTunnel -> kEnded
//
// When the codec calls out, its state is already that of after the event, and afterwards it looks at its
// state again: the callee may have answered, reset or finished.
#pragma once

#include "proxy/http/h1.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_writer.h"
#include "proxy/http/kept_input.h"

namespace remora::http {

class H1Server final : public ServerCodec, private ServerStream {
 public:
  H1Server(Transport& transport, Requests& requests, H1Scratch& scratch, const H1Limits& limits)
      : transport_(transport),
        requests_(requests),
        scratch_(scratch),
        latest_limits_(limits),
        limits_(limits) {}

  // Codec
  void feed(std::string_view bytes) override;
  void feed_bulk(Bulk& bulk) override;
  void feed_end() override;
  void proceed() override;
  void on_writable() override;
  void on_closed(const Error& error) override;
  bool wants_input() const override;
  Fate fate() const override { return fate_; }
  std::size_t active() const override { return out_ == Out::kIdle ? 0 : 1; }

  // ServerCodec
  bool reading_head() const override {
    return in_ == In::kHead && out_ == Out::kIdle && !full_ && !input_.empty();
  }
  void drain() override;
  void fail(const Error& error) override;

 private:
  enum class In : std::uint8_t { kHead, kBody, kDone, kDiscard, kTunnel, kEnded, kClosed };
  enum class Out : std::uint8_t { kIdle, kWaiting, kNone, kLength, kChunked, kUntilClose, kTunnel, kEnded };

  // ServerStream
  void send_informational(const ResponseHead& head) override;
  void send_response(const ResponseHead& head, bool end, bool close) override;
  void send_upgrade(const ResponseHead& head) override;
  bool send_body(std::string_view bytes, bool end) override;
  bool send_bulk(Bulk& bulk) override;
  void send_trailers(const FieldList& trailers) override;
  void consume(std::size_t n) override;
  void reset() override;

  static constexpr std::uint64_t kWindow = 64 * 1024;          // bytes received and not consumed
  static constexpr std::uint64_t kMostDiscarded = 256 * 1024;  // of a request answered before its end

  std::size_t run(std::string_view bytes);
  std::size_t take_head(std::string_view bytes);
  std::size_t take_body(std::string_view bytes);
  void take_bytes(const H1Parser::Step& step);
  void refuse(const Error& error);
  void refuse_body(const Error& error);
  Delivery choose_delivery(const ResponseHead& head, bool end, bool close);
  bool may_discard_rest() const;
  bool send_framed(std::string_view bytes, bool end);
  bool send_tunnelled(std::string_view bytes, bool end);
  void finish();
  void end_tunnel();
  void close(Fate fate);
  Receiver* leave();

  Transport& transport_;
  Requests& requests_;
  H1Scratch& scratch_;
  const H1Limits& latest_limits_;
  H1Limits limits_;  // of the present request: those when its head came
  Receiver* receiver_ = nullptr;
  H1Parser parser_;
  KeptInput input_;
  std::uint64_t left_ = 0;      // response body bytes still owed under Content-Length
  std::uint64_t received_ = 0;  // request body bytes; while discarding: those discarded
  std::uint64_t unconsumed_ = 0;
  In in_ = In::kHead;
  Out out_ = Out::kIdle;
  Fate fate_ = Fate::kOpen;
  bool draining_ = false;
  bool peer_ended_ = false;
  // Of the current exchange:
  bool asked_head_ = false;  // HEAD
  bool peer_1_1_ = true;
  bool persistent_ = true;  // as far as is known
  bool final_ = false;      // the peer has said that it is its last
  bool upgrade_ = false;    // asked for
  bool expects_ = false;    // 100-continue, and none was sent yet
  bool blocked_ = false;    // send_body returned false
  bool held_ = false;       // of a tunnel: nothing more until what was moved has been taken
  bool full_ = false;       // the transport is above high water: no further request is begun
};

}  // namespace remora::http
