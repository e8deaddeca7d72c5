// The server role of the multiplexed test codec.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/mux_codec.h"
#include "tests/support/mux_wire.h"

namespace remora::http::test {
namespace {

using namespace mux;

class MuxServer final : public ServerCodec {
 public:
  MuxServer(Transport& transport, Requests& requests) : link_(transport), requests_(requests) {}

  void feed(std::string_view bytes) override {
    link_.feed(bytes, [this](const Frame& next) { take(next); });
  }
  void feed_end() override {
    peer_ended_ = true;
    reset_all(Error(ErrorCode::kEndOfStream, Side::kDownstream),
              [](const Stream& s) { return !s.request_ended; });
    settle();
  }
  void proceed() override { gone_.clear(); }
  void on_writable() override {
    for (Stream* stream : open()) {
      if (stream->receiver != nullptr && std::exchange(stream->blocked, false))
        stream->receiver->on_writable();
    }
  }
  void on_closed(const Error& error) override {
    link_.fate = Fate::kAbort;
    reset_all(Error(error.code, Side::kDownstream, Retry::kNo, error.detail),
              [](const Stream&) { return true; });
  }
  bool wants_input() const override { return link_.fate == Fate::kOpen && link_.unconsumed <= kWindow; }
  Fate fate() const override { return link_.fate; }
  std::size_t active() const override { return streams_.size(); }
  bool reading_head() const override { return false; }
  void drain() override {
    if (!std::exchange(draining_, true)) link_.write(0, Type::kGoAway, false, {});
    settle();
  }
  void fail(const Error& error) override {
    reset_all(error, [](const Stream& s) { return !s.request_ended; });
    settle();
  }

 private:
  struct Stream final : public ServerStream {
    Stream(MuxServer& c, std::uint32_t i) : codec(c), id(i) {}

    void send_informational(const ResponseHead& head) override {
      if (live()) codec.link_.write(id, Type::kInterim, false, write_head(head));
    }
    void send_response(const ResponseHead& head, bool end, bool) override {
      if (!live()) return;
      codec.link_.write(id, Type::kHead, end, write_head(head));
      if (end) codec.finish(*this);
    }
    void send_upgrade(const ResponseHead& head) override {
      if (!live()) return;
      tunnel = true;
      request_ended = false;
      codec.link_.write(id, Type::kUpgrade, false, write_head(head));
    }
    bool send_body(std::string_view bytes, bool end) override {
      if (!live() || response_ended) return true;
      const bool room = codec.link_.write_data(id, bytes, end);
      blocked = !room;
      response_ended = end;
      if (end && (!tunnel || request_ended)) codec.finish(*this);
      return room;
    }
    void send_trailers(const FieldList& trailers) override {
      if (!live()) return;
      codec.link_.write(id, Type::kTrailers, true, write_fields(trailers));
      codec.finish(*this);
    }
    void consume(std::size_t n) override { codec.link_.consume(held, n); }
    void reset() override {
      if (!live()) return;
      codec.link_.write(id, Type::kReset, false, {});
      codec.finish(*this);
    }
    bool live() const { return !finished; }

    MuxServer& codec;
    std::uint32_t id;
    std::size_t held = 0;
    Receiver* receiver = nullptr;
    bool request_ended = false;
    bool response_ended = false;
    bool tunnel = false;
    bool blocked = false;
    bool finished = false;
  };

  void take(const Frame& next) {
    if (next.type == Type::kHead) return take_head(next);
    const auto at = streams_.find(next.id);
    if (at == streams_.end()) return;  // answered already
    Stream& stream = *at->second;
    switch (next.type) {
      case Type::kData:
        link_.received(stream.held, next.payload.size());
        if (next.end) end_request(stream);
        return stream.receiver->on_body(next.payload, next.end);
      case Type::kTrailers: {
        FieldList trailers;
        read_fields(next.payload, trailers);
        end_request(stream);
        return stream.receiver->on_trailers(trailers);
      }
      case Type::kReset: {
        Receiver* const receiver = stream.receiver;
        finish(stream);
        return receiver->on_reset(Error(ErrorCode::kCancelled, Side::kDownstream));
      }
      default: return link_.close(Fate::kAbort);
    }
  }

  void take_head(const Frame& next) {
    if (draining_ || next.id <= last_id_) {
      link_.write(next.id, Type::kReset, false, {});
      return;
    }
    last_id_ = next.id;
    Stream& stream = *streams_.emplace(next.id, std::make_unique<Stream>(*this, next.id)).first->second;
    stream.request_ended = next.end;
    RequestHead head;
    read_head(next.payload, head);
    Receiver* const receiver = requests_.on_request(stream, head, next.end);
    stream.receiver = receiver;
  }

  void end_request(Stream& stream) {
    stream.request_ended = true;
    if (stream.tunnel && stream.response_ended) finish(stream);
  }

  // The handle stays valid until the end of the turn.
  void finish(Stream& stream) {
    stream.finished = true;
    link_.consume(stream.held, stream.held);
    const auto at = streams_.find(stream.id);
    gone_.push_back(std::move(at->second));
    streams_.erase(at);
    settle();
  }

  void settle() {
    const bool over = (draining_ || peer_ended_) && streams_.empty() && link_.fate == Fate::kOpen;
    if (over) link_.fate = Fate::kClose;
    link_.transport.codec_changed();
  }

  std::vector<Stream*> open() const {
    std::vector<Stream*> all;
    all.reserve(streams_.size());
    for (const auto& [id, stream] : streams_) all.push_back(stream.get());
    return all;
  }

  template <typename Which>
  void reset_all(const Error& error, Which&& which) {
    for (Stream* stream : open()) {
      if (stream->finished || !which(*stream)) continue;
      Receiver* const receiver = stream->receiver;
      finish(*stream);
      receiver->on_reset(error);
    }
  }

  Connection link_;
  Requests& requests_;
  std::map<std::uint32_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Stream>> gone_;
  std::uint32_t last_id_ = 0;
  bool draining_ = false;
  bool peer_ended_ = false;
};

}  // namespace

std::unique_ptr<ServerCodec> make_mux_server(Transport& transport, Requests& requests) {
  return std::make_unique<MuxServer>(transport, requests);
}

}  // namespace remora::http::test
