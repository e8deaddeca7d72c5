// What stands on both sides of a codec in its tests: a transport that keeps what is written, and owners that
// write down what they are told, as text. Body pieces are joined, so that the text does not depend on how the
// input was split.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "proxy/http/codec.h"
#include "proxy/http/h1.h"

namespace remora::http::test {

class RecordingTransport final : public Transport {
 public:
  bool write(std::string_view bytes) override {
    written.append(bytes);
    ++writes;
    return room;
  }
  bool write_through(std::string_view prefix, std::string_view bytes, std::string_view suffix) override {
    written.append(prefix).append(bytes).append(suffix);
    ++writes;
    return room;
  }
  void end() override { ended = true; }
  void codec_changed() override { changed = true; }

  // Takes what was written so far.
  std::string take() { return std::exchange(written, {}); }

  std::string written;
  int writes = 0;
  bool room = true;
  bool ended = false;
  bool changed = false;
};

inline void append_fields(std::string& to, const FieldList& fields) {
  fields.for_each([&to](std::string_view name, std::string_view value, FieldId) {
    to.append(" | ").append(name).append(": ").append(value);
  });
}

inline std::string describe(const Error& error) {
  constexpr std::string_view kSides[] = {"downstream", "upstream", "internal"};
  constexpr std::string_view kRetries[] = {"no", "yes", "if-reused"};
  return std::string(to_string(error.code)) + " " + std::string(kSides[static_cast<int>(error.side)]) +
         " retry=" + std::string(kRetries[static_cast<int>(error.retry)]);
}

inline std::string describe_body(bool has_body, const std::optional<std::uint64_t>& length) {
  if (!has_body) return length ? " length=" + std::to_string(*length) + " no-body" : "";
  return length ? " length=" + std::to_string(*length) : " length=?";
}

// Writes down one half of an exchange.
class BodyLog {
 public:
  explicit BodyLog(std::string& log) : log_(log) {}

 protected:
  void body(std::string_view bytes, bool end) {
    body_ += bytes;
    if (end) {
      flush();
      log_ += "end\n";
    }
  }
  void flush() {
    if (!body_.empty()) log_ += "body " + std::exchange(body_, {}) + "\n";
  }
  std::string& log_;

 private:
  std::string body_;
};

// Serves every request in one way.
class RecordingRequests final : public Requests, public Receiver, private BodyLog {
 public:
  enum class Answer { kNever, kAtOnce, kAtEnd };

  RecordingRequests() : BodyLog(log) {}

  Receiver* on_request(ServerStream& from, RequestHead& head, bool end) override {
    log +=
        head.method + " " + head.target + " [" + head.authority + "] 1." + std::to_string(head.version.minor);
    log += describe_body(head.has_body, head.content_length);
    if (head.upgrade) log += " upgrade";
    append_fields(log, head.fields);
    log += "\n";
    ++requests;
    stream = &from;
    if (answer == Answer::kAtOnce || (answer == Answer::kAtEnd && end)) respond();
    return this;
  }
  void on_bad_request(ServerStream& from, const Error& error) override {
    flush();
    log += "bad " + describe(error) + "\n";
    ++bad;
    detail = error.detail;
    stream = &from;
    ResponseHead head;
    head.status = 400;
    head.reason = "Bad Request";
    if (answer_bad) stream->send_response(head, true, true);
    stream = nullptr;
  }
  void on_body(std::string_view bytes, bool end) override {
    body(bytes, end);
    received += bytes.size();
    if (consume && stream != nullptr) stream->consume(bytes.size());
    if (end && answer == Answer::kAtEnd) respond();
  }
  void on_trailers(const FieldList& trailers) override {
    flush();
    log += "trailers";
    append_fields(log, trailers);
    log += "\n";
    if (answer == Answer::kAtEnd) respond();
  }
  void on_writable() override { ++writable; }
  void on_reset(const Error& error) override {
    flush();
    log += "reset " + describe(error) + "\n";
    detail = error.detail;
    stream = nullptr;
  }

  // 200 with the body "ok".
  void respond() {
    if (stream == nullptr) return;
    ResponseHead head;
    head.status = 200;
    head.reason = "OK";
    head.has_body = true;
    head.content_length = 2;
    stream->send_response(head, false, false);
    std::exchange(stream, nullptr)->send_body("ok", true);
  }

  std::string log;
  std::string detail;
  ServerStream* stream = nullptr;
  Answer answer = Answer::kAtEnd;
  bool answer_bad = true;
  bool consume = true;
  int requests = 0;
  int bad = 0;
  int writable = 0;
  std::size_t received = 0;
};

class RecordingResponses final : public Responses, private BodyLog {
 public:
  RecordingResponses() : BodyLog(log) {}

  void on_informational(ResponseHead& head) override { log_head("interim ", head, false); }
  void on_response(ResponseHead& head, bool end) override { log_head("", head, end); }
  void on_upgrade(ResponseHead& head) override { log_head("upgrade ", head, false); }
  void on_body(std::string_view bytes, bool end) override {
    body(bytes, end);
    if (stream != nullptr && consume) stream->consume(bytes.size());
  }
  void on_trailers(const FieldList& trailers) override {
    flush();
    log += "trailers";
    append_fields(log, trailers);
    log += "\n";
  }
  void on_writable() override { ++writable; }
  void on_reset(const Error& error) override {
    flush();
    log += "reset " + describe(error) + "\n";
    detail = error.detail;
    stream = nullptr;
  }

  std::string log;
  std::string detail;
  ClientStream* stream = nullptr;
  bool consume = true;
  int writable = 0;

 private:
  void log_head(std::string_view kind, const ResponseHead& head, bool end) {
    log += std::string(kind) + std::to_string(head.status) + " " + head.reason + " 1." +
           std::to_string(head.version.minor);
    log += describe_body(head.has_body, head.content_length);
    append_fields(log, head.fields);
    log += end ? "\nend\n" : "\n";
  }
};

inline std::string_view to_string(Codec::Fate fate) {
  constexpr std::string_view kNames[] = {"open", "close", "finish", "abort"};
  return kNames[static_cast<int>(fate)];
}

// A server codec with everything around it. feed() also plays the end of the turn.
struct ServerWorld {
  explicit ServerWorld(H1Limits l = {})
      : limits(l), codec(make_h1_server(transport, requests, scratch, limits)) {}

  void feed(std::string_view bytes) {
    codec->feed(bytes);
    settle();
  }
  void feed_bytewise(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) feed(bytes.substr(i, 1));
  }
  void feed_end() {
    codec->feed_end();
    settle();
  }
  void settle() {
    while (std::exchange(transport.changed, false)) codec->proceed();
  }
  // The owner's notes and how the connection stands.
  std::string result() const { return requests.log + std::string(to_string(codec->fate())) + "\n"; }

  H1Limits limits;
  RecordingTransport transport;
  RecordingRequests requests;
  H1Scratch scratch;
  std::unique_ptr<ServerCodec> codec;
};

struct ClientWorld {
  explicit ClientWorld(H1Limits l = {}) : limits(l), codec(make_h1_client(transport, scratch, limits)) {}

  // Starts an exchange with this request.
  void ask(std::string_view method, bool upgrade = false) {
    RequestHead head;
    head.method = method;
    head.target = "/";
    head.authority = "a";
    head.upgrade = upgrade;
    if (upgrade) head.fields.add(FieldId::kUpgrade, "websocket");
    responses.stream = &codec->start(responses);
    responses.stream->send_request(head, true);
  }
  void feed(std::string_view bytes) { codec->feed(bytes); }
  std::string result() const {
    return responses.log + std::string(to_string(codec->fate())) +
           (codec->available() ? " available\n" : "\n");
  }

  H1Limits limits;
  RecordingTransport transport;
  RecordingResponses responses;
  H1Scratch scratch;
  std::unique_ptr<ClientCodec> codec;
};

}  // namespace remora::http::test
