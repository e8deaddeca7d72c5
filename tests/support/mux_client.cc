// The client role of the multiplexed test codec.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/mux_codec.h"
#include "tests/support/mux_wire.h"

namespace remora::http::test {
namespace {

using namespace mux;

class MuxClient final : public ClientCodec {
 public:
  MuxClient(Transport& transport, std::size_t exchanges) : link_(transport), most_(exchanges) {}

  void feed(std::string_view bytes) override {
    link_.feed(bytes, [this](const Frame& next) { take(next); });
  }
  void feed_end() override {
    const Fate fate = streams_.empty() ? Fate::kClose : Fate::kAbort;
    link_.close(fate);
    reset_all(ErrorCode::kEndOfStream, Retry::kNo, "closed");
  }
  void proceed() override { gone_.clear(); }
  void on_writable() override {
    for (Stream* stream : open()) {
      if (stream->responses != nullptr && std::exchange(stream->blocked, false))
        stream->responses->on_writable();
    }
  }
  void on_closed(const Error& error) override {
    link_.fate = Fate::kAbort;
    reset_all(error.code, error.retry, error.detail);
  }
  bool wants_input() const override { return link_.fate == Fate::kOpen && link_.unconsumed <= kWindow; }
  Fate fate() const override { return link_.fate; }
  std::size_t active() const override { return streams_.size(); }
  bool available() const override { return link_.fate == Fate::kOpen && !going_ && streams_.size() < most_; }
  ClientStream& start(Responses& responses) override {
    const std::uint32_t id = next_id_;
    next_id_ += 2;
    auto& stream = streams_.emplace(id, std::make_unique<Stream>(*this, id)).first->second;
    stream->responses = &responses;
    return *stream;
  }

 private:
  struct Stream final : public ClientStream {
    Stream(MuxClient& c, std::uint32_t i) : codec(c), id(i) {}

    void send_request(const RequestHead& head, bool end) override {
      if (finished) return;
      codec.link_.write(id, Type::kHead, end, write_head(head));
      if (end) end_request();
    }
    bool send_body(std::string_view bytes, bool end) override {
      if (finished || request_ended) return true;
      const bool room = codec.link_.write_data(id, bytes, end);
      blocked = !room;
      if (end) end_request();
      return room;
    }
    void send_trailers(const FieldList& trailers) override {
      if (finished || request_ended) return;
      codec.link_.write(id, Type::kTrailers, true, write_fields(trailers));
      end_request();
    }
    void consume(std::size_t n) override { codec.link_.consume(held, n); }
    void reset() override {
      if (finished) return;
      codec.link_.write(id, Type::kReset, false, {});
      codec.finish(*this);
    }
    void end_request() {
      request_ended = true;
      if (response_ended) codec.finish(*this);
    }

    MuxClient& codec;
    std::uint32_t id;
    std::size_t held = 0;
    Responses* responses = nullptr;
    bool request_ended = false;
    bool response_ended = false;
    bool answered = false;
    bool blocked = false;
    bool finished = false;
  };

  void take(const Frame& next) {
    if (next.type == Type::kGoAway) return go_away();
    const auto at = streams_.find(next.id);
    if (at == streams_.end()) return;  // given up already
    Stream& stream = *at->second;
    Responses& responses = *stream.responses;
    if (next.type == Type::kReset) {
      const Retry retry = stream.answered ? Retry::kNo : Retry::kYes;
      finish(stream);
      return responses.on_reset(Error(ErrorCode::kReset, Side::kUpstream, retry));
    }
    stream.answered = true;
    if (next.type == Type::kData) link_.received(stream.held, next.payload.size());
    if (next.end) end_response(stream);
    if (next.type == Type::kData) {
      return responses.on_body(next.payload, next.end);
    }
    if (next.type == Type::kTrailers) {
      FieldList trailers;
      read_fields(next.payload, trailers);
      return responses.on_trailers(trailers);
    }
    ResponseHead head;
    read_head(next.payload, head);
    if (next.type == Type::kHead) return responses.on_response(head, next.end);
    if (next.type == Type::kInterim) return responses.on_informational(head);
    stream.request_ended = false;
    responses.on_upgrade(head);
  }

  void go_away() {
    going_ = true;
    if (streams_.empty()) return link_.close(Fate::kClose);
    link_.transport.codec_changed();
  }

  void end_response(Stream& stream) {
    stream.response_ended = true;
    if (stream.request_ended) finish(stream);
  }

  void finish(Stream& stream) {
    stream.finished = true;
    link_.consume(stream.held, stream.held);
    const auto at = streams_.find(stream.id);
    gone_.push_back(std::move(at->second));
    streams_.erase(at);
    if (going_ && streams_.empty() && link_.fate == Fate::kOpen) link_.fate = Fate::kClose;
    link_.transport.codec_changed();
  }

  std::vector<Stream*> open() const {
    std::vector<Stream*> all;
    all.reserve(streams_.size());
    for (const auto& [id, stream] : streams_) all.push_back(stream.get());
    return all;
  }

  void reset_all(ErrorCode code, Retry given, const std::string& detail) {
    for (Stream* stream : open()) {
      if (stream->finished) continue;
      const Retry retry = stream->answered       ? Retry::kNo
                          : given == Retry::kYes ? Retry::kYes
                                                 : Retry::kIfReused;
      Responses& responses = *stream->responses;
      finish(*stream);
      responses.on_reset(Error(code, Side::kUpstream, retry, detail));
    }
  }

  Connection link_;
  std::size_t most_;
  std::map<std::uint32_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Stream>> gone_;
  std::uint32_t next_id_ = 1;
  bool going_ = false;
};

}  // namespace

std::unique_ptr<ClientCodec> make_mux_client(Transport& transport, std::size_t exchanges) {
  return std::make_unique<MuxClient>(transport, exchanges);
}

}  // namespace remora::http::test
