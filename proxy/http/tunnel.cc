#include "proxy/http/tunnel.h"

#include <algorithm>
#include <utility>

namespace remora::http {
namespace {

constexpr std::uint64_t kWindow = 64 * 1024;  // bytes received and not consumed

// What both roles have in common.
//
//   begin()          receiver_ is there     -> bytes go both ways
//   an end each way                         -> the connection closes, flushed
//   reset(), or the connection fails        -> the connection is reset
template <typename Role, typename Handle>
class TunnelEnd : public Role, protected Handle {
 public:
  TunnelEnd(Transport& transport, Side peer) : transport_(transport), peer_(peer) {}

  // Codec
  void feed(std::string_view bytes) override {
    begin();
    if (receiver_ == nullptr || in_ended_) return;
    unconsumed_ += bytes.size();
    receiver_->on_body(bytes, false);
  }
  void feed_bulk(Bulk& bulk) override {
    if (receiver_ == nullptr || in_ended_) return;
    held_ = !receiver_->on_bulk(bulk) && bulk.moved > 0;
    if (held_) unconsumed_ += bulk.moved;
  }
  void feed_end() override {
    begin();
    if (receiver_ == nullptr || in_ended_) return;
    in_ended_ = true;
    Receiver* const receiver = receiver_;
    if (out_ended_) close(Codec::Fate::kClose);
    receiver->on_body({}, true);
  }
  void proceed() override { begin(); }
  void on_writable() override {
    if (receiver_ != nullptr && std::exchange(blocked_, false)) receiver_->on_writable();
  }
  void on_closed(const Error& error) override {
    Receiver* const receiver = receiver_;
    close(Codec::Fate::kAbort);
    if (receiver != nullptr) receiver->on_reset(Error(error.code, peer_, Retry::kNo, error.detail));
  }
  bool wants_input() const override { return !held_ && unconsumed_ <= kWindow; }
  Codec::Fate fate() const override { return fate_; }
  std::size_t active() const override { return receiver_ == nullptr ? 0 : 1; }

 protected:
  virtual void begin() = 0;

  // Sender
  bool send_body(std::string_view bytes, bool end) override {
    if (fate_ != Codec::Fate::kOpen || out_ended_) return true;
    const bool room = bytes.empty() || transport_.write_through({}, bytes, {});
    blocked_ = !room;
    if (!end) return room;
    out_ended_ = true;
    transport_.end();
    if (in_ended_) close(Codec::Fate::kClose);
    return room;
  }
  bool send_bulk(Bulk& bulk) override {
    if (fate_ != Codec::Fate::kOpen || out_ended_) return true;
    const bool room = transport_.write_bulk(bulk);
    if (!room) blocked_ = true;
    return room;
  }
  void send_trailers(const FieldList& /*trailers*/) override { send_body({}, true); }
  void consume(std::size_t n) override {
    const bool waited = !wants_input();
    unconsumed_ -= std::min<std::uint64_t>(n, unconsumed_);
    if (unconsumed_ == 0) held_ = false;
    if (waited && wants_input()) transport_.codec_changed();
  }
  void reset() override {
    if (fate_ == Codec::Fate::kOpen) close(Codec::Fate::kAbort);
  }

  void close(Codec::Fate fate) {
    receiver_ = nullptr;
    fate_ = fate;
    transport_.codec_changed();
  }

  Transport& transport_;
  Receiver* receiver_ = nullptr;

 private:
  Side peer_;
  std::uint64_t unconsumed_ = 0;
  bool held_ = false;  // the other side has not taken all that was moved: nothing more until it has
  Codec::Fate fate_ = Codec::Fate::kOpen;
  bool in_ended_ = false;
  bool out_ended_ = false;
  bool blocked_ = false;  // send_body returned false
};

class TunnelServer final : public TunnelEnd<ServerCodec, ServerStream> {
 public:
  TunnelServer(Transport& transport, Requests& requests, H1Scratch& scratch)
      : TunnelEnd(transport, Side::kDownstream), requests_(requests), scratch_(scratch) {}

  // ServerCodec
  bool reading_head() const override { return false; }
  void drain() override {}
  void fail(const Error& /*error*/) override { reset(); }

 private:
  void begin() override {
    if (std::exchange(begun_, true)) return;
    scratch_.request.clear();
    Receiver* const receiver = requests_.on_request(*this, scratch_.request, false);
    if (fate() == Fate::kOpen) receiver_ = receiver;  // unless it was refused inside the call
  }

  // ServerStream
  void send_informational(const ResponseHead& /*head*/) override {}
  void send_response(const ResponseHead& /*head*/, bool /*end*/, bool /*close*/) override { reset(); }
  void send_upgrade(const ResponseHead& /*head*/) override {}

  Requests& requests_;
  H1Scratch& scratch_;
  bool begun_ = false;
};

class TunnelClient final : public TunnelEnd<ClientCodec, ClientStream> {
 public:
  TunnelClient(Transport& transport, H1Scratch& scratch)
      : TunnelEnd(transport, Side::kUpstream), scratch_(scratch) {}

  // ClientCodec
  bool available() const override { return false; }
  ClientStream& start(Responses& responses) override {
    responses_ = &responses;
    receiver_ = &responses;
    transport_.codec_changed();  // for proceed(), once the request has been sent
    return *this;
  }

 private:
  void begin() override {
    if (receiver_ == nullptr || responses_ == nullptr) return;
    scratch_.response.clear();
    scratch_.response.status = 200;
    std::exchange(responses_, nullptr)->on_upgrade(scratch_.response);
  }

  // ClientStream
  void send_request(const RequestHead& /*head*/, bool end) override {
    if (end) send_body({}, true);
  }

  H1Scratch& scratch_;
  Responses* responses_ = nullptr;  // until it has been told
};

}  // namespace

std::unique_ptr<ServerCodec> make_tunnel_server(Transport& transport, Requests& requests,
                                                H1Scratch& scratch) {
  return std::make_unique<TunnelServer>(transport, requests, scratch);
}

std::unique_ptr<ClientCodec> make_tunnel_client(Transport& transport, H1Scratch& scratch) {
  return std::make_unique<TunnelClient>(transport, scratch);
}

}  // namespace remora::http
