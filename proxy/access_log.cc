#include "proxy/access_log.h"

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstring>
#include <utility>

namespace remora::proxy {
namespace {

constexpr std::size_t kMaxTarget = 8192;
constexpr std::size_t kMaxValue = 1024;
constexpr std::string_view kCut = "...";
// More than all that is not a value of the record's strings: the time, the keys, the punctuation, eight
// numbers.
constexpr std::size_t kFixedRoom = 640;

// Writes one line to memory that is large enough: see room_for().
class Pen final {
 public:
  explicit Pen(char* out) : out_(out) {}

  void raw(std::string_view text) {
    std::memcpy(out_, text.data(), text.size());
    out_ += text.size();
  }
  void raw(char c) { *out_++ = c; }
  void stamp(UtcStamp& clock, std::int64_t unix_ms) { out_ = clock.write(out_, unix_ms); }

  template <std::unsigned_integral Number>
  void number(Number value) {
    out_ = std::to_chars(out_, out_ + 20, value).ptr;
  }

  // Milliseconds with three decimals.
  void milliseconds(Duration span) {
    const auto us = static_cast<std::uint64_t>(span.count() < 0 ? 0 : span.count());
    number(us / 1000);
    const auto rest = static_cast<unsigned>(us % 1000);
    const char digits[4] = {'.', static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10),
                            static_cast<char>('0' + rest % 10)};
    raw({digits, sizeof digits});
  }

  // A value that is `-` when there is none.
  void value(std::string_view text) {
    if (text.empty()) return raw('-');
    if (text.size() > kMaxValue) return quoted(text, kMaxValue);
    out_ = write_value(out_, text);
  }
  void escaped(std::string_view text, std::size_t most) {
    out_ = escape_text(out_, text.substr(0, most));
    if (text.size() > most) raw(kCut);
  }
  void json(std::string_view text, std::size_t most = kMaxValue) {
    raw('"');
    out_ = escape_json(out_, text.substr(0, most));
    if (text.size() > most) raw(kCut);
    raw('"');
  }

  char* end() const { return out_; }

 private:
  void quoted(std::string_view text, std::size_t most) {
    raw('"');
    escaped(text, most);
    raw('"');
  }

  char* out_;
};

std::size_t room_for(const AccessRecord& record) {
  const auto capped = [](std::string_view text, std::size_t most) { return std::min(text.size(), most); };
  std::size_t bytes = capped(record.target, kMaxTarget);
  for (const std::string_view text : {record.listener, record.client, record.method, record.host,
                                      record.request_id, record.trace_id, record.cluster, record.upstream}) {
    bytes += capped(text, kMaxValue);
  }
  return kFixedRoom + bytes * kMaxEscape;
}

// `GET example.com/path?query`; `- example.com` for TLS that was passed through to there; a target that is no
// path (`*`) stands apart.
void write_request(Pen& pen, const AccessRecord& record) {
  pen.raw('"');
  if (record.method.empty()) {
    pen.raw('-');
    if (!record.host.empty()) pen.raw(' ');
    pen.escaped(record.host, kMaxValue);
    return pen.raw('"');
  }
  pen.escaped(record.method, kMaxValue);
  pen.raw(' ');
  pen.escaped(record.host, kMaxValue);
  if (!record.target.starts_with('/')) pen.raw(' ');
  pen.escaped(record.target, kMaxTarget);
  pen.raw('"');
}

void write_optional(Pen& pen, Duration span) {
  if (span < Duration::zero()) return pen.raw('-');
  pen.milliseconds(span);
  pen.raw("ms");
}

void write_text(Pen& pen, const AccessRecord& record) {
  pen.raw(' ');
  pen.value(record.listener);
  pen.raw(' ');
  pen.value(record.client);
  pen.raw(' ');
  write_request(pen, record);
  pen.raw(' ');
  pen.number(record.status);
  pen.raw(' ');
  pen.raw(to_string(record.flag));
  pen.raw(' ');
  pen.milliseconds(record.duration);
  pen.raw("ms in=");
  pen.number(record.bytes_in);
  pen.raw(" out=");
  pen.number(record.bytes_out);
  pen.raw(" cluster=");
  pen.value(record.cluster);
  pen.raw(" upstream=");
  pen.value(record.upstream);
  pen.raw(" connect=");
  write_optional(pen, record.connect);
  pen.raw(" response=");
  write_optional(pen, record.response);
  pen.raw(" attempts=");
  pen.number(record.attempts);
  pen.raw(" id=");
  pen.value(record.request_id);
  if (!record.trace_id.empty()) {
    pen.raw(" trace=");
    pen.value(record.trace_id);
  }
  pen.raw('\n');
}

void json_optional(Pen& pen, Duration span) {
  if (span < Duration::zero()) return pen.raw("null");
  pen.milliseconds(span);
}

// After the time.
void write_json(Pen& pen, const AccessRecord& record) {
  pen.raw("\",\"listener\":");
  pen.json(record.listener);
  pen.raw(",\"client\":");
  pen.json(record.client);
  pen.raw(",\"method\":");
  pen.json(record.method);
  pen.raw(",\"host\":");
  pen.json(record.host);
  pen.raw(",\"target\":");
  pen.json(record.target, kMaxTarget);
  pen.raw(",\"status\":");
  pen.number(record.status);
  pen.raw(",\"flag\":");
  pen.json(to_string(record.flag));
  pen.raw(",\"duration_ms\":");
  pen.milliseconds(record.duration);
  pen.raw(",\"bytes_in\":");
  pen.number(record.bytes_in);
  pen.raw(",\"bytes_out\":");
  pen.number(record.bytes_out);
  pen.raw(",\"cluster\":");
  pen.json(record.cluster);
  pen.raw(",\"upstream\":");
  pen.json(record.upstream);
  pen.raw(",\"connect_ms\":");
  json_optional(pen, record.connect);
  pen.raw(",\"response_ms\":");
  json_optional(pen, record.response);
  pen.raw(",\"attempts\":");
  pen.number(record.attempts);
  pen.raw(",\"request_id\":");
  pen.json(record.request_id);
  if (!record.trace_id.empty()) {
    pen.raw(",\"trace_id\":");
    pen.json(record.trace_id);
  }
  pen.raw("}\n");
}

// Returns the end. `out` has room_for(record).
char* write_line(char* out, UtcStamp& stamp, const AccessRecord& record, LogFormat format,
                 std::int64_t unix_ms) {
  Pen pen(out);
  if (format == LogFormat::kJson) pen.raw("{\"time\":\"");
  pen.stamp(stamp, unix_ms);
  if (format == LogFormat::kJson) {
    write_json(pen, record);
  } else {
    write_text(pen, record);
  }
  return pen.end();
}

}  // namespace

AccessLog::AccessLog(std::unique_ptr<LogWriter::Producer> producer, LogFormat format, double sample)
    : producer_(std::move(producer)), format_(format), sample_(sample) {}

void AccessLog::write_at(const AccessRecord& record, std::int64_t unix_ms) {
  char* const out = producer_->reserve(room_for(record));
  if (out == nullptr) return;
  const char* const end = write_line(out, stamp_, record, format_, unix_ms);
  producer_->commit(static_cast<std::size_t>(end - out));
}

std::string AccessLog::render(const AccessRecord& record, LogFormat format, std::int64_t unix_ms) {
  std::string line(room_for(record), '\0');
  UtcStamp stamp;
  const char* const end = write_line(line.data(), stamp, record, format, unix_ms);
  line.resize(static_cast<std::size_t>(end - line.data()));
  return line;
}

}  // namespace remora::proxy
