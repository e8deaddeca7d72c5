#include "proxy/http/h1_writer.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

#include "proxy/http/control_bytes.h"

namespace remora::http {
namespace {

constexpr std::size_t kLarge = 4096;  // body bytes worth not copying
constexpr std::size_t kLineRoom =
    192;  // for everything in a head that is neither field, target, method nor reason

constexpr std::uint64_t bit(FieldId id) { return std::uint64_t{1} << static_cast<unsigned>(id); }

// Never taken from a head's fields.
constexpr std::uint64_t kOwn = bit(FieldId::kConnection) | bit(FieldId::kKeepAlive) |
                               bit(FieldId::kProxyConnection) | bit(FieldId::kContentLength) |
                               bit(FieldId::kTransferEncoding);

// Writes into memory reserved beforehand.
class Cursor final {
 public:
  explicit Cursor(char* at) : at_(at) {}
  char* at() const { return at_; }

  void raw(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void raw(char c) { *at_++ = c; }
  template <std::size_t N>
  void literal(const char (&text)[N]) {
    std::memcpy(at_, text, N - 1);
    at_ += N - 1;
  }
  // Control characters as spaces.
  void clean(std::string_view text) {
    char* const from = at_;
    raw(text);
    ControlBytes controls(text, 0);
    for (std::size_t i = controls.next(); i < text.size(); i = controls.next()) {
      if (text[i] != '\t') from[i] = ' ';
    }
  }
  void number(std::uint64_t value) { at_ = std::to_chars(at_, at_ + 20, value).ptr; }

 private:
  char* at_;
};

// Three bytes for every one of them, should each need escaping.
void write_target(Cursor& to, std::string_view target) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : target) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f) {
      to.raw(c);
    } else {
      to.raw('%');
      to.raw(kHex[byte >> 4U]);
      to.raw(kHex[byte & 15U]);
    }
  }
}

// Fields in order, without those in `skip`. Neighbours that still lie as they came are copied together.
void write_fields(Cursor& to, const FieldList& fields, std::uint64_t skip) {
  const std::string_view storage = fields.storage();
  std::size_t run_at = 0;
  std::size_t run_end = 0;
  for (const Field& field : fields.raw()) {
    if (field.removed || (bit(field.id) & skip) != 0) continue;
    if (field.wire) {
      if (field.name_at != run_end) {
        to.raw(storage.substr(run_at, run_end - run_at));
        run_at = field.name_at;
      }
      run_end = std::size_t{field.value_at} + field.value_size + 2;
      continue;
    }
    to.raw(storage.substr(run_at, run_end - run_at));
    run_at = run_end = 0;
    if (field.id == FieldId::kOther && !is_token(fields.name(field))) continue;
    to.raw(fields.name(field));
    to.literal(": ");
    to.clean(fields.value(field));
    to.literal("\r\n");
  }
  to.raw(storage.substr(run_at, run_end - run_at));
}

std::size_t fields_room(const FieldList& fields) { return fields.bytes() + fields.raw().size() * 4; }

void write_connection(Cursor& to, const Delivery& delivery, bool te) {
  using Connection = Delivery::Connection;
  if (delivery.connection == Connection::kUnsaid && !delivery.upgrade && !te) return;
  to.literal("Connection: ");
  bool first = true;
  const auto say = [&](std::string_view option) {
    if (!first) to.literal(", ");
    to.raw(option);
    first = false;
  };
  if (delivery.connection == Connection::kClose) say("close");
  if (delivery.connection == Connection::kKeepAlive) say("keep-alive");
  if (delivery.upgrade) say("upgrade");
  if (te) say("TE");
  to.literal("\r\n");
}

void write_delivery(Cursor& to, const Delivery& delivery, bool te) {
  if (delivery.body == Delivery::Body::kLength) {
    to.literal("Content-Length: ");
    to.number(delivery.length);
    to.literal("\r\n");
  } else if (delivery.body == Delivery::Body::kChunked) {
    to.literal("Transfer-Encoding: chunked\r\n");
  }
  write_connection(to, delivery, te);
  to.literal("\r\n");
}

// The line before a chunk's bytes.
class ChunkLine final {
 public:
  explicit ChunkLine(std::size_t size) : at_(sizeof text_) {
    constexpr char kHex[] = "0123456789abcdef";
    text_[--at_] = '\n';
    text_[--at_] = '\r';
    do {
      text_[--at_] = kHex[size & 15U];
      size >>= 4U;
    } while (size != 0);
  }
  std::string_view view() const { return {text_ + at_, sizeof text_ - at_}; }

 private:
  char text_[18];  // 16 digits, CRLF
  std::size_t at_;
};

// Makes `out` as large as needed at most, lets fn write, and cuts it to what was written. Keeps the memory.
template <typename Fn>
void fill(std::string& out, std::size_t room, Fn&& fn) {
  out.resize_and_overwrite(room, [&](char* data, std::size_t) {
    Cursor to(data);
    fn(to);
    const auto size = static_cast<std::size_t>(to.at() - data);
    assert(size <= room);
    return size;
  });
}

}  // namespace

void write_request_head(const RequestHead& head, const Delivery& delivery, std::string& out) {
  const std::size_t room = kLineRoom + head.method.size() + head.target.size() * 3 + head.authority.size() +
                           fields_room(head.fields);
  fill(out, room, [&](Cursor& to) {
    for (const char c : head.method) to.raw(is_token({&c, 1}) ? c : '_');
    to.raw(' ');
    write_target(to, head.target);
    to.literal(" HTTP/1.1\r\nHost: ");
    to.clean(head.authority);
    to.literal("\r\n");
    write_fields(to, head.fields, kOwn | bit(FieldId::kHost));
    write_delivery(to, delivery, head.fields.has(FieldId::kTe));
  });
}

void write_response_head(const ResponseHead& head, const Delivery& delivery, std::string& out) {
  fill(out, kLineRoom + head.reason.size() + fields_room(head.fields), [&](Cursor& to) {
    to.literal("HTTP/1.1 ");
    const unsigned status = head.status % 1000U;
    to.raw(static_cast<char>('0' + status / 100));
    to.raw(static_cast<char>('0' + status / 10 % 10));
    to.raw(static_cast<char>('0' + status % 10));
    to.raw(' ');
    to.clean(head.reason);
    to.literal("\r\n");
    write_fields(to, head.fields, kOwn);
    write_delivery(to, delivery, false);
  });
}

void write_last_chunk(const FieldList& trailers, std::string& out) {
  fill(out, kLineRoom + fields_room(trailers), [&](Cursor& to) {
    to.literal("0\r\n");
    write_fields(to, trailers, kOwn);
    to.literal("\r\n");
  });
}

BodyWritten write_body(Transport& transport, bool chunked, std::uint64_t* left, std::string_view bytes,
                       bool end) {
  BodyWritten written;
  if (left != nullptr) {
    written.broken = bytes.size() > *left || (end && bytes.size() < *left);
    bytes = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(*left, bytes.size())));
    *left -= bytes.size();
  }
  if (chunked && !bytes.empty()) {
    const ChunkLine line(bytes.size());
    written.room = transport.write_through(line.view(), bytes, end ? "\r\n0\r\n\r\n" : "\r\n");
  } else if (chunked) {
    if (end) written.room = transport.write("0\r\n\r\n");
  } else if (bytes.size() >= kLarge) {
    written.room = transport.write_through({}, bytes, {});
  } else if (!bytes.empty()) {
    written.room = transport.write(bytes);
  }
  return written;
}

}  // namespace remora::http
