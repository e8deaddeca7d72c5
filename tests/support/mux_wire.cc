#include "tests/support/mux_wire.h"

#include <charconv>

namespace remora::http::test::mux {
namespace {

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The length if known, then "+" for a body or "-" for none.
std::string write_length(bool has_body, const std::optional<std::uint64_t>& length) {
  return (length ? std::to_string(*length) : std::string()) + (has_body ? "+\n" : "-\n");
}

void read_length(std::string_view line, bool& has_body, std::optional<std::uint64_t>& length) {
  has_body = line.ends_with('+');
  line.remove_suffix(line.empty() ? 0 : 1);
  length.reset();
  if (!line.empty()) length = number(line);
}

}  // namespace

std::string frame(std::uint32_t id, Type type, bool end, std::string_view payload) {
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>(id >> shift & 0xffU);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(end ? kEnd : 0);
  bytes += static_cast<char>(payload.size() >> 8U);
  bytes += static_cast<char>(payload.size() & 0xffU);
  return bytes.append(payload);
}

bool next_frame(std::string_view bytes, Frame& out) {
  if (bytes.size() < kHeader) return false;
  const auto byte = [bytes](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i]));
  };
  const std::size_t size = byte(6) << 8U | byte(7);
  if (bytes.size() < kHeader + size) return false;
  out.id = byte(0) << 24U | byte(1) << 16U | byte(2) << 8U | byte(3);
  out.type = static_cast<Type>(byte(4));
  out.end = (byte(5) & kEnd) != 0;
  out.payload = bytes.substr(kHeader, size);
  return true;
}

std::string write_fields(const FieldList& fields) {
  std::string text;
  fields.for_each([&text](std::string_view name, std::string_view value, FieldId) {
    text.append(name).append(":").append(value).append("\n");
  });
  return text;
}

void read_fields(std::string_view text, FieldList& fields) {
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const std::size_t colon = std::min(line.find(':'), line.size());
    fields.add(line.substr(0, colon), line.substr(std::min(colon + 1, line.size())));
  }
}

std::string write_head(const RequestHead& head) {
  return head.method + "\n" + head.target + "\n" + head.authority + "\n" + (head.upgrade ? "1\n" : "0\n") +
         write_length(head.has_body, head.content_length) + write_fields(head.fields);
}

void read_head(std::string_view text, RequestHead& head) {
  head.method = take_line(text);
  head.target = take_line(text);
  head.authority = take_line(text);
  head.upgrade = take_line(text) == "1";
  read_length(take_line(text), head.has_body, head.content_length);
  head.version = {2, 0};
  read_fields(text, head.fields);
}

std::string write_head(const ResponseHead& head) {
  return std::to_string(head.status) + "\n" + head.reason + "\n" +
         write_length(head.has_body, head.content_length) + write_fields(head.fields);
}

void read_head(std::string_view text, ResponseHead& head) {
  head.status = static_cast<std::uint16_t>(number(take_line(text)));
  head.reason = take_line(text);
  read_length(take_line(text), head.has_body, head.content_length);
  head.version = {2, 0};
  read_fields(text, head.fields);
}

}  // namespace remora::http::test::mux
