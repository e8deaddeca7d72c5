#include "proxy/local_reply.h"

#include <doctest/doctest.h>

#include <array>
#include <optional>

#include "tests/support/test_env.h"

using namespace remora;
using namespace remora::proxy;

namespace {

constexpr auto kLastCode = static_cast<int>(ErrorCode::kSystem);

struct Row {
  ErrorCode code;
  unsigned status;
  Flag flag;
};

// The part of a stream that a reply uses.
struct Sent final : http::ServerStream {
  void send_informational(const http::ResponseHead&) override {}
  void send_response(const http::ResponseHead& head, bool last, bool and_close) override {
    ++heads;
    status = head.status;
    flag = head.fields.get(http::FieldId::kXRemoraFlag).value_or("");
    type = head.fields.get(http::FieldId::kContentType).value_or("");
    date = head.fields.get(http::FieldId::kDate).value_or("");
    left_over = head.fields.get("X-Left-Over").has_value();
    allow = head.fields.get("Allow").value_or("");
    length = head.content_length;
    has_body = head.has_body;
    end = last;
    close = and_close;
  }
  void send_upgrade(const http::ResponseHead&) override {}
  bool send_body(std::string_view bytes, bool last) override {
    body += bytes;
    end = end || last;
    return true;
  }
  void send_trailers(const http::FieldList&) override {}
  void consume(std::size_t) override {}
  void reset() override {}

  int heads = 0;
  unsigned status = 0;
  std::string flag, type, allow, date, body;
  std::optional<std::uint64_t> length;
  bool has_body = false;
  bool left_over = false;
  bool end = false;
  bool close = false;
};

bool is_one_line(std::string_view text) { return text.size() > 1 && text.find('\n') == text.size() - 1; }

}  // namespace

TEST_CASE("every error of a client has a row, closes the connection and is never blamed on the upstream") {
  for (int code = 0; code <= kLastCode; ++code) {
    const LocalReply reply = reply_to_bad_request(Error(static_cast<ErrorCode>(code), Side::kDownstream));
    CAPTURE(code);
    CHECK(reply.status >= 400);
    CHECK(reply.status <= 505);
    CHECK(reply.close);
    CHECK(is_one_line(reply.reason));
    CHECK((reply.flag == Flag::kDownstreamProtocolError || reply.flag == Flag::kDownstreamLimit ||
           reply.flag == Flag::kDownstreamTimeout));
  }
  using enum ErrorCode;
  for (const Row& row : std::array<Row, 10>{{{kMalformedMessage, 400, Flag::kDownstreamProtocolError},
                                             {kForbiddenFraming, 400, Flag::kDownstreamProtocolError},
                                             {kUnsupportedCoding, 501, Flag::kDownstreamProtocolError},
                                             {kUnsupportedVersion, 505, Flag::kDownstreamProtocolError},
                                             {kMethodNotAllowed, 405, Flag::kDownstreamProtocolError},
                                             {kHeadersTooLarge, 431, Flag::kDownstreamLimit},
                                             {kUriTooLong, 414, Flag::kDownstreamLimit},
                                             {kBodyTooLarge, 413, Flag::kDownstreamLimit},
                                             {kTimedOut, 408, Flag::kDownstreamTimeout},
                                             {kInvalid, 400, Flag::kDownstreamProtocolError}}}) {
    const LocalReply reply = reply_to_bad_request(Error(row.code, Side::kDownstream));
    CAPTURE(static_cast<int>(row.code));
    CHECK(reply.status == row.status);
    CHECK(reply.flag == row.flag);
  }
}

TEST_CASE("every failure to connect is UF: 504 when it took too long, else 502") {
  for (int code = 0; code <= kLastCode; ++code) {
    const LocalReply reply = reply_to_connect_failure(Error(static_cast<ErrorCode>(code), Side::kUpstream));
    CAPTURE(code);
    CHECK(reply.flag == Flag::kUpstreamConnectFailure);
    CHECK(reply.status == (static_cast<ErrorCode>(code) == ErrorCode::kTimedOut ? 504U : 502U));
    CHECK_FALSE(reply.close);
    CHECK(is_one_line(reply.reason));
  }
}

TEST_CASE("every failure of an upstream has a row") {
  for (int code = 0; code <= kLastCode; ++code) {
    const auto error = static_cast<ErrorCode>(code);
    const LocalReply reply = reply_to_upstream_failure(Error(error, Side::kUpstream));
    CAPTURE(code);
    CHECK(is_one_line(reply.reason));
    CHECK_FALSE(reply.close);
    if (error == ErrorCode::kTimedOut) {
      CHECK(reply.status == 504);
      CHECK(reply.flag == Flag::kUpstreamTimeout);
    } else if (error == ErrorCode::kReset || error == ErrorCode::kEndOfStream ||
               error == ErrorCode::kCancelled) {
      CHECK(reply.status == 502);
      CHECK(reply.flag == Flag::kUpstreamClosed);
    } else {
      CHECK(reply.status == 502);
      CHECK(reply.flag == Flag::kUpstreamProtocolError);
    }
  }
}

TEST_CASE("every flag has a short name of its own") {
  for (std::size_t i = 0; i < kFlagCount; ++i) {
    const auto name = to_string(static_cast<Flag>(i));
    CHECK_FALSE(name.empty());
    CHECK(name.size() <= 3);
    for (std::size_t j = 0; j < i; ++j) CHECK(to_string(static_cast<Flag>(j)) != name);
  }
}

TEST_CASE("a local reply carries its flag, its reason, its length and the date") {
  testing::TestEnv t;
  Sent stream;
  t.scratch.response.fields.add("X-Left-Over", "from the exchange before");
  const auto sent = send_local_reply(t.env, stream, {503, Flag::kOverflow, "too many\n", true}, false);
  CHECK(sent == 9);
  CHECK(stream.heads == 1);
  CHECK(stream.status == 503);
  CHECK(stream.flag == "UO");
  CHECK(stream.type == "text/plain");
  CHECK(stream.date == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(stream.length == 9);
  CHECK(stream.body == "too many\n");
  CHECK(stream.end);
  CHECK(stream.close);
  CHECK_FALSE(stream.left_over);
}

TEST_CASE("a local reply to HEAD says the length of the body that it does not send") {
  testing::TestEnv t;
  Sent stream;
  CHECK(send_local_reply(t.env, stream, {404, Flag::kNoRoute, "no route\n"}, true) == 0);
  CHECK(stream.length == 9);
  CHECK_FALSE(stream.has_body);
  CHECK(stream.body.empty());
  CHECK(stream.end);
  CHECK_FALSE(stream.close);
}

TEST_CASE("405 names the methods that are allowed, as RFC 9110 section 15.5.6 demands") {
  testing::TestEnv t;
  Sent stream;
  send_local_reply(t.env, stream,
                   reply_to_bad_request(Error(ErrorCode::kMethodNotAllowed, Side::kDownstream)), false);
  CHECK(stream.status == 405);
  CHECK(stream.allow.find("GET") != std::string::npos);
  CHECK(stream.allow.find("CONNECT") == std::string::npos);
}

TEST_CASE("a whole reply without a body ends with its head") {
  testing::TestEnv t;
  Sent stream;
  http::ResponseHead head;
  head.status = 204;
  CHECK(send_whole(t.env, stream, head, {}, false, false) == 0);
  CHECK(stream.end);
  CHECK_FALSE(stream.has_body);
}
