#include "proxy/http/message.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string>

#include "base/random.h"
#include "proxy/http/control_bytes.h"

namespace remora::http {
namespace {

std::string text(const FieldList& fields) {
  std::string all;
  fields.for_each([&all](std::string_view name, std::string_view value, FieldId) {
    all.append(name).append("=").append(value).append(";");
  });
  return all;
}

TEST_CASE("every known name is found in any case, and only itself") {
  for (unsigned i = 1; i < static_cast<unsigned>(FieldId::kCount); ++i) {
    const auto id = static_cast<FieldId>(i);
    const std::string name(field_name(id));
    CAPTURE(name);
    REQUIRE(!name.empty());
    CHECK(field_id(name) == id);
    std::string upper = name;
    std::string lower = name;
    std::transform(name.begin(), name.end(), upper.begin(),
                   [](char c) { return static_cast<char>(std::toupper(c)); });
    std::transform(name.begin(), name.end(), lower.begin(),
                   [](char c) { return static_cast<char>(std::tolower(c)); });
    CHECK(field_id(upper) == id);
    CHECK(field_id(lower) == id);
    CHECK(field_id(name + "x") != id);
    CHECK(field_id(name.substr(1)) != id);
    // Any other byte at any place makes another name; case folding must not take '@' for '`', '-' for CR, and
    // so on.
    for (std::size_t at = 0; at < name.size(); ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed = name;
        changed[at] = static_cast<char>(byte);
        CHECK((field_id(changed) == id) == equals_ignore_case(changed, name));
      }
    }
  }
  CHECK(field_id("") == FieldId::kOther);
  CHECK(field_id(std::string(100, 'x')) == FieldId::kOther);
  CHECK(field_name(FieldId::kOther).empty());
}

TEST_CASE("comparison without case is ASCII only") {
  CHECK(equals_ignore_case("aBc-1", "AbC-1"));
  CHECK(!equals_ignore_case("a", "ab"));
  CHECK(!equals_ignore_case("@", "`"));
  CHECK(!equals_ignore_case("[", "{"));
  CHECK(!equals_ignore_case("\xc3\xa9", "\xc3\x89"));
}

TEST_CASE("white space, tokens and field values") {
  CHECK(trim_ows(" \t a b\t ") == "a b");
  CHECK(trim_ows(" \t ").empty());
  CHECK(is_token("!#$%&'*+-.^_`|~09azAZ"));
  for (const std::string_view bad : {"", "a b", "a:", "(", "a\x80", "a\"", "a/b"}) CHECK(!is_token(bad));
  CHECK(is_field_value(""));
  CHECK(is_field_value("a\tb \xff"));
  for (const std::string_view bad : {"\n", "a\r", "a\x01", "\x7f"}) CHECK(!is_field_value(bad));
  CHECK(!is_field_value(std::string_view("\0", 1)));
}

TEST_CASE("control characters are found as by a plain loop, from every offset and at every length") {
  Random random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random.below(70), ' ');
    for (char& c : bytes) c = static_cast<char>(random.below(8) == 0 ? random.below(256) : 'a');
    for (std::size_t from = 0; from <= bytes.size(); from += 1 + random.below(5)) {
      ControlBytes controls(bytes, from);
      for (std::size_t i = from; i < bytes.size(); ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        if (byte >= 0x20 && byte != 0x7f) continue;
        REQUIRE(controls.next() == i);
      }
      REQUIRE(controls.next() == bytes.size());
      REQUIRE(controls.next() == bytes.size());
    }
  }
}

TEST_CASE("every byte is a control character or not, at every place") {
  for (std::size_t place = 0; place < ControlBytes::kBlock; ++place) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      std::string bytes(ControlBytes::kBlock, ' ');
      bytes[place] = static_cast<char>(byte);
      const bool control = byte < 0x20 || byte == 0x7f;
      REQUIRE(ControlBytes(bytes, 0).next() == (control ? place : bytes.size()));
      REQUIRE(MarkedBytes<':'>(bytes, 0).next() == (control || byte == ':' ? place : bytes.size()));
    }
  }
}

TEST_CASE("marks are gathered alike on every processor") {
  for (std::uint32_t bits = 0; bits < 1U << ControlBytes::kBlock; ++bits) {
    std::array<char, ControlBytes::kBlock> bytes{};
    for (unsigned i = 0; i < bytes.size(); ++i) bytes[i] = (bits >> i & 1U) != 0 ? -1 : 0;
    ControlBytes::Marks marks;
    std::memcpy(&marks, bytes.data(), sizeof marks);
    REQUIRE(ControlBytes::gather_portably(marks) == bits);
  }
}

TEST_CASE("lists are split at commas, without empty elements") {
  std::string all;
  for_each_element(" a, ,b ,,\tc d,", [&all](std::string_view element) { all.append(element).append("|"); });
  CHECK(all == "a|b|c d|");
}

TEST_CASE("a field list keeps order and spelling") {
  FieldList fields;
  fields.add("X-a", "1");
  fields.add("host", "h");
  fields.add("x-A", "2");
  fields.add(FieldId::kVia, "v");
  CHECK(text(fields) == "X-a=1;host=h;x-A=2;Via=v;");
  CHECK(fields.size() == 4);
  CHECK(fields.has(FieldId::kHost));
  CHECK(!fields.has(FieldId::kTe));
  CHECK(fields.get("X-A") == "1");
  CHECK(fields.get(FieldId::kVia) == "v");
  CHECK(!fields.get("y"));
  CHECK(!fields.get(FieldId::kTe));
  fields.clear();
  CHECK(fields.empty());
  CHECK(!fields.has(FieldId::kHost));
}

TEST_CASE("set replaces every field of a name at the place of the first") {
  FieldList fields;
  for (const char* value : {"1", "2"}) {
    fields.add("A", value);
    fields.add("Via", value);
  }
  fields.set("a", "x");
  fields.set(FieldId::kVia, "y");
  CHECK(text(fields) == "a=x;Via=y;");
  fields.set("Z", "z");
  fields.set(FieldId::kTe, "t");
  CHECK(text(fields) == "a=x;Via=y;Z=z;TE=t;");
  CHECK(fields.size() == 4);
}

TEST_CASE("remove takes away every field of a name and keeps look-up right") {
  FieldList fields;
  for (const char* value : {"1", "2"}) {
    fields.add("A", value);
    fields.add("Via", value);
  }
  CHECK(fields.count(FieldId::kVia) == 2);
  CHECK(fields.remove("VIA"));
  CHECK(!fields.remove(FieldId::kVia));
  CHECK(!fields.has(FieldId::kVia));
  CHECK(fields.count(FieldId::kVia) == 0);
  fields.remove_at(0);
  CHECK(text(fields) == "A=2;");
  fields.remove_at(0);
  CHECK(fields.size() == 1);
  CHECK(fields.remove("a"));
  CHECK(!fields.remove("a"));
  CHECK(fields.empty());
  fields.add("Via", "3");
  CHECK(fields.get(FieldId::kVia) == "3");
}

TEST_CASE("a moved or swapped list keeps its fields") {
  FieldList fields;
  fields.add("A", "1");
  FieldList other;
  std::swap(fields, other);
  CHECK(text(other) == "A=1;");
  CHECK(fields.empty());
  const FieldList third = std::move(other);
  CHECK(text(third) == "A=1;");
}

TEST_CASE("a request's path ends at its query") {
  RequestHead head;
  for (const auto& [target, path] :
       {std::pair("/a?b?c", "/a"), std::pair("/a", "/a"), std::pair("*", "*"), std::pair("/?", "/")}) {
    head.target = target;
    CHECK(head.path() == path);
  }
}

TEST_CASE("reason phrases") {
  CHECK(reason_phrase(200) == "OK");
  CHECK(reason_phrase(431) == "Request Header Fields Too Large");
  CHECK(reason_phrase(299).empty());
}

}  // namespace
}  // namespace remora::http
