#include "proxy/http/h1_parser.h"

#include <llhttp.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>

#include "proxy/http/control_bytes.h"
#include "proxy/http/start_line.h"
#include "proxy/http/target.h"

namespace remora::http {
namespace {

constexpr std::uint32_t kChunkExcess = 16 * 1024;
constexpr std::uint32_t kChunkAllowance = 16;
constexpr std::uint8_t kMostDigits = 16;  // of a chunk size: more could only be leading zeros or too much
constexpr auto kLongestChunk = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool is_blank(char c) { return c == ' ' || c == '\t'; }

Fault malformed(std::string_view detail) { return Fault{ErrorCode::kMalformedMessage, detail}; }

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Fills `fields` from `block`: field lines that HeadScan has passed, and the empty line.
std::optional<Fault> split_fields(std::string_view block, FieldList& fields) {
  block.remove_suffix(2);
  fields.start(block);
  MarkedBytes<':'> marks(block, 0);
  for (std::size_t at = 0; at < block.size();) {
    const std::size_t colon = marks.next();
    if (block[colon] != ':') return malformed("invalid field line");
    std::size_t value_end = marks.next();
    while (block[value_end] != '\r') value_end = marks.next();
    const std::size_t next = marks.next() + 1;
    std::size_t value_at = colon + 1;
    while (is_blank(block[value_at])) ++value_at;
    while (value_end > value_at && is_blank(block[value_end - 1])) --value_end;
    const FieldId id = fields.add_at(at, colon - at, value_at, value_end - value_at);
    if (id == FieldId::kOther && !is_token(block.substr(at, colon - at))) {
      return malformed("invalid field line");
    }
    at = next;
  }
  return std::nullopt;
}

// What llhttp makes of the fields that decide where the body ends.
struct Opinion {
  bool complete = false;
  unsigned flags = 0;
  std::uint64_t length = 0;
};

int on_complete(llhttp_t* parser) {
  *static_cast<Opinion*>(parser->data) =
      Opinion{.complete = true, .flags = parser->flags, .length = parser->content_length};
  return 0;
}

// A parser that has seen a start line, and the settings it refers to. Copying it is cheaper than having each
// message's start line, already parsed, parsed again.
class Started final {
 public:
  Started(llhttp_type type, std::string_view line) {
    llhttp_settings_init(&settings_);
    settings_.on_headers_complete = on_complete;
    llhttp_init(&parser_, type, &settings_);
    llhttp_execute(&parser_, line.data(), line.size());
  }
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;
  ~Started() = default;
  const llhttp_t& parser() const { return parser_; }

 private:
  llhttp_settings_t settings_;
  llhttp_t parser_;
};

const llhttp_t& started(bool response) {
  // The method, target and status are of no consequence: what depends on them is decided before.
  static const Started kRequestParser(HTTP_REQUEST, "POST / HTTP/1.1\r\n");
  static const Started kResponseParser(HTTP_RESPONSE, "HTTP/1.1 200 OK\r\n");
  return (response ? kResponseParser : kRequestParser).parser();
}

static_assert(std::is_trivially_copyable_v<llhttp_t>);

llhttp_t* as_llhttp(std::byte* storage) { return std::launder(reinterpret_cast<llhttp_t*>(storage)); }

}  // namespace

// Fills `fields` from `block`, leaving llhttp at the start of the body, if there is one. Two opinions on the
// framing, llhttp's and read_framing's, must agree.
std::optional<Fault> H1Parser::parse_fields(std::string_view block, Shape shape, FieldList& fields,
                                            Framing& framing) {
  if (auto fault = split_fields(block, fields)) return fault;
  if (auto fault = read_framing(fields, shape.version, framing)) return fault;
  if (shape.bodiless || !(framing.chunked || framing.length)) return std::nullopt;

  static_assert(sizeof(llhttp_t) <= kLlhttpSize && alignof(llhttp_t) <= 8);
  auto* const parser = new (llhttp_) llhttp_t(started(shape.response));
  Opinion opinion;
  parser->data = &opinion;
  const std::string_view lines = fields.storage();
  bool fine = true;
  for (const Field& field : fields.raw()) {
    if (field.id != FieldId::kContentLength && field.id != FieldId::kTransferEncoding) continue;
    const std::size_t end = lines.find('\n', std::size_t{field.value_at} + field.value_size) + 1;
    fine = fine && feed(lines.substr(field.name_at, end - field.name_at));
  }
  fine = fine && feed("\r\n");
  parser->data = nullptr;
  const bool agreed = fine && opinion.complete && framing.chunked == ((opinion.flags & F_CHUNKED) != 0) &&
                      framing.length.has_value() == ((opinion.flags & F_CONTENT_LENGTH) != 0) &&
                      framing.length.value_or(0) == opinion.length;
  if (!agreed) return Fault{ErrorCode::kForbiddenFraming, "ambiguous framing"};
  return std::nullopt;
}

void H1Parser::begin_body(const Framing& framing, bool until_close) {
  stage_ = Stage::kDone;
  if (framing.chunked) {
    stage_ = Stage::kSize;
    excess_ = 0;
    digits_ = 0;
    half_line_end_ = false;
  } else if (framing.length.value_or(0) > 0) {
    stage_ = Stage::kLength;
    left_ = *framing.length;
  } else if (until_close) {
    stage_ = Stage::kUntilClose;
  }
}

std::optional<Fault> H1Parser::request(std::string_view bytes, RequestHead& head) {
  const std::size_t line_end = scan_.line_end();
  head.clear();
  if (auto fault = parse_request_line(bytes.substr(scan_.begin(), line_end - scan_.begin()), head))
    return fault;
  const std::string_view block = bytes.substr(line_end + 2, scan_.size() - line_end - 2);
  Framing framing;
  if (auto fault = parse_fields(block, Shape{head.version, false, false}, head.fields, framing)) return fault;
  if (auto fault = resolve_target(head)) return fault;
  connection_ = read_connection(head.fields);
  head.content_length = framing.length;
  head.has_body = framing.chunked || framing.length.value_or(0) > 0;
  head.upgrade = connection_.upgrade && head.version.at_least_1_1() && !head.has_body &&
                 head.fields.has(FieldId::kUpgrade) && is_forwardable_upgrade(head.fields);
  begin_body(framing, false);
  return std::nullopt;
}

std::optional<Fault> H1Parser::response(std::string_view bytes, Asked asked, ResponseHead& head) {
  const std::size_t line_end = scan_.line_end();
  head.clear();
  if (auto fault = parse_status_line(bytes.substr(0, line_end), head)) return fault;
  const bool bodiless = asked.head || head.status < 200 || head.status == 204 || head.status == 304;
  const std::string_view block = bytes.substr(line_end + 2, scan_.size() - line_end - 2);
  Framing framing;
  if (auto fault = parse_fields(block, Shape{head.version, true, bodiless}, head.fields, framing))
    return fault;
  connection_ = read_connection(head.fields);
  if (head.status == 101) {
    const bool agreed = asked.upgrade && connection_.upgrade && head.fields.has(FieldId::kUpgrade);
    if (!agreed) return malformed("101 that was not asked for");
  }
  if (head.status >= 200 && head.status != 204) head.content_length = framing.length;
  if (bodiless) {
    begin_body(Framing{}, false);
    return std::nullopt;
  }
  head.has_body = framing.length.value_or(1) > 0;
  begin_body(framing, !framing.chunked && !framing.length);
  return std::nullopt;
}

bool H1Parser::feed(std::string_view bytes) {
  return llhttp_execute(as_llhttp(llhttp_), bytes.data(), bytes.size()) == HPE_OK;
}

H1Parser::Step H1Parser::refuse(std::string_view detail) {
  fault_ = malformed(detail);
  return Step{Step::Kind::kFault, false, 0, {}};
}

bool H1Parser::charge(std::size_t raw) {
  excess_ += static_cast<std::uint32_t>(std::min<std::size_t>(raw, kChunkExcess + 1));
  return excess_ <= kChunkExcess;
}

H1Parser::Step H1Parser::next(std::string_view bytes, FieldList& trailers, const H1Limits& limits) {
  if (stage_ == Stage::kLength || stage_ == Stage::kUntilClose) return take_plain(bytes);
  return take_chunked(bytes, trailers, limits);
}

H1Parser::Step H1Parser::take_plain(std::string_view bytes) {
  if (bytes.empty()) return Step{};
  Step step{.kind = Step::Kind::kBytes, .end = false, .used = bytes.size(), .bytes = bytes};
  if (stage_ == Stage::kUntilClose) return step;
  if (left_ <= bytes.size()) {
    step.bytes = bytes.substr(0, static_cast<std::size_t>(left_));
    step.used = step.bytes.size();
    step.end = true;
    stage_ = Stage::kDone;
  }
  left_ -= step.used;
  return step;
}

H1Parser::Step H1Parser::take_chunked(std::string_view bytes, FieldList& trailers, const H1Limits& limits) {
  std::size_t used = 0;
  while (used < bytes.size()) {
    switch (stage_) {
      case Stage::kSize:
        if (!take_size(bytes, used)) return refuse("invalid chunk size");
        break;
      case Stage::kExtension:
        if (!take_extension(bytes, used)) return refuse("invalid or too large chunk extension");
        break;
      case Stage::kSizeEnd:
      case Stage::kDataEnd:
        if (!take_line_end(bytes, used)) return refuse("invalid chunk framing");
        break;
      case Stage::kData: {
        const std::string_view rest = bytes.substr(used);
        const std::string_view data =
            rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size())));
        if (!feed(data)) return refuse("invalid chunk framing");
        left_ -= data.size();
        if (left_ == 0) stage_ = Stage::kDataEnd;
        return Step{.kind = Step::Kind::kBytes, .end = false, .used = used + data.size(), .bytes = data};
      }
      case Stage::kTrailers: return take_trailers(bytes.substr(used), used, trailers, limits);
      default: return refuse("body after its end");
    }
  }
  return Step{Step::Kind::kMore, false, used, {}};
}

bool H1Parser::take_size(std::string_view bytes, std::size_t& used) {
  std::size_t end = used;
  while (end < bytes.size() && is_hex(bytes[end])) ++end;
  const std::size_t size = end - used;
  if (size > kMostDigits || digits_ + size > kMostDigits) return false;
  if (size > 0 && !feed(bytes.substr(used, size))) return false;
  digits_ = static_cast<std::uint8_t>(digits_ + size);
  used = end;
  if (end == bytes.size()) return true;
  if (digits_ == 0 || (bytes[end] != ';' && bytes[end] != '\r')) return false;
  stage_ = bytes[end] == ';' ? Stage::kExtension : Stage::kSizeEnd;
  return charge(digits_);
}

// Extensions are skipped: nobody has defined one, and they must not be forwarded (RFC 9112 section 7.1.1).
bool H1Parser::take_extension(std::string_view bytes, std::size_t& used) {
  const std::size_t end = find_control(bytes, used);
  if (!charge(end - used)) return false;
  used = end;
  if (end == bytes.size()) return true;
  if (bytes[end] == '\t') {
    ++used;
    return charge(1);
  }
  if (bytes[end] != '\r') return false;
  stage_ = Stage::kSizeEnd;
  return true;
}

bool H1Parser::take_line_end(std::string_view bytes, std::size_t& used) {
  const std::string_view expected = half_line_end_ ? "\n" : "\r\n";
  const std::string_view part = bytes.substr(used, expected.size());
  if (!expected.starts_with(part) || !feed(part)) return false;
  used += part.size();
  half_line_end_ = part.size() < expected.size();
  if (half_line_end_) return true;
  if (stage_ == Stage::kDataEnd) {
    stage_ = Stage::kSize;
    digits_ = 0;
    return true;
  }
  left_ = as_llhttp(llhttp_)->content_length;
  if (left_ > kLongestChunk || !charge(2)) return false;
  const std::uint64_t excused = kChunkAllowance + 2 * std::min<std::uint64_t>(left_, kChunkExcess);
  excess_ = excused >= excess_ ? 0 : excess_ - static_cast<std::uint32_t>(excused);
  stage_ = left_ == 0 ? Stage::kTrailers : Stage::kData;
  scan_.reset();
  return true;
}

H1Parser::Step H1Parser::take_trailers(std::string_view bytes, std::size_t used, FieldList& trailers,
                                       const H1Limits& limits) {
  switch (scan_.scan(bytes, HeadScan::Kind::kTrailers, limits)) {
    case HeadScan::Result::kMore: return Step{Step::Kind::kMore, false, used, {}};
    case HeadScan::Result::kFault: fault_ = scan_.fault(); return Step{Step::Kind::kFault, false, 0, {}};
    case HeadScan::Result::kDone: break;
  }
  const std::string_view block = bytes.substr(0, scan_.size());
  auto fault = split_fields(block, trailers);
  if (!fault) fault = filter_trailers(trailers);
  if (fault) {
    fault_ = *fault;
    return Step{Step::Kind::kFault, false, 0, {}};
  }
  if (!feed("\r\n")) return refuse("invalid chunk framing");
  stage_ = Stage::kDone;
  return Step{Step::Kind::kEnd, true, used + block.size(), {}};
}

}  // namespace remora::http
