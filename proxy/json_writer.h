// Writes compact JSON straight into a string, for pages that are asked for every second: no tree is built.
// Keys are literals of ours; values may hold any bytes. Commas are its own affair; the nesting is the
// caller's.
//
//   JsonWriter out;
//   out.object().key("n").value(1).key("list").array().value("a").end_array().end_object();
//
// Thread: any; one at a time.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace remora::proxy {

class JsonWriter final {
 public:
  JsonWriter& object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  // A literal that needs no escaping.
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  // Rounded to six digits after the point; what is no number is null.
  JsonWriter& value(double number);
  JsonWriter& value(std::same_as<bool> auto truth) { return raw(truth ? "true" : "false"); }
  template <std::unsigned_integral Number>
    requires(!std::same_as<Number, bool>)
  JsonWriter& value(Number number) {
    return integer(number);
  }
  JsonWriter& null() { return raw("null"); }

  // A key with its value.
  template <typename Value>
  JsonWriter& pair(std::string_view name, const Value& of) {
    return key(name).value(of);
  }

  const std::string& text() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& raw(std::string_view text);
  JsonWriter& integer(std::uint64_t number);
  void separate();

  std::string out_;
};

}  // namespace remora::proxy
