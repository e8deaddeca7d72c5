#include "proxy/json_writer.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/log_format.h"

namespace remora::proxy {

// A comma, unless this is the first thing in its place.
void JsonWriter::separate() {
  if (out_.empty()) return;
  const char before = out_.back();
  if (before != '{' && before != '[' && before != ':') out_ += ',';
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  out_ += '"';
  out_ += name;
  out_ += "\":";
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  out_ += '"';
  const std::size_t at = out_.size();
  out_.resize(at + escaped_room(text.size()));
  char* const end = escape_json(out_.data() + at, text);
  out_.resize(static_cast<std::size_t>(end - out_.data()));
  out_ += '"';
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();
  constexpr double kMillion = 1e6;
  std::array<char, 32> digits{};
  const double rounded = std::abs(number) < 1e12 ? std::round(number * kMillion) / kMillion : number;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), rounded);
  return raw({digits.data(), written.ptr});
}

JsonWriter& JsonWriter::integer(std::uint64_t number) {
  std::array<char, 24> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  return raw({digits.data(), written.ptr});
}

JsonWriter& JsonWriter::raw(std::string_view text) {
  separate();
  out_ += text;
  return *this;
}

}  // namespace remora::proxy
