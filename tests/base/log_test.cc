#include "base/log.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/log_format.h"
#include "base/log_repeats.h"
#include "base/log_writer.h"
#include "base/random.h"
#include "tests/support/log_writers.h"
#include "tests/support/pipe.h"

namespace remora {
namespace {

template <typename Write>
std::string written(std::string_view text, Write write) {
  std::string out(escaped_room(text.size()), '\0');
  out.resize(static_cast<std::size_t>(write(out.data(), text) - out.data()));
  return out;
}

std::string text_of(std::string_view text) { return written(text, escape_text); }
std::string json_of(std::string_view text) { return written(text, escape_json); }
std::string value_of(std::string_view text) { return written(text, write_value); }

std::string stamp_of(std::int64_t unix_ms) {
  std::array<char, UtcStamp::kSize> out{};
  return {out.data(), static_cast<std::size_t>(UtcStamp().write(out.data(), unix_ms) - out.data())};
}

// What log_line() writes, with the log's own settings put back afterwards.
class Capture final {
 public:
  explicit Capture(LogFormat format) : level_(log_level()), writer_(test::writer_to(pipe_, {.quiet = true})) {
    set_log_sink(writer_.get(), format);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() {
    set_log_sink(nullptr, LogFormat::kText);
    set_log_level(level_);
  }

  // Everything logged so far; the log ends with it.
  std::string text() {
    set_log_sink(nullptr, LogFormat::kText);
    writer_.reset();
    return pipe_.read_all();
  }

 private:
  LogLevel level_;
  test::Pipe pipe_;
  std::unique_ptr<LogWriter> writer_;
};

TEST_CASE("a timestamp is RFC 3339 in UTC with milliseconds") {
  CHECK(stamp_of(0) == "1970-01-01T00:00:00.000Z");
  CHECK(stamp_of(1'795'176'000'123) == "2026-11-20T12:00:00.123Z");
  CHECK(stamp_of(951'782'400'000) == "2000-02-29T00:00:00.000Z");
  CHECK(stamp_of(-1) == "1969-12-31T23:59:59.999Z");
  CHECK(stamp_of(4'102'444'799'999) == "2099-12-31T23:59:59.999Z");
}

TEST_CASE("a timestamp outside of the years 0 to 9999 keeps its shape") {
  CHECK(stamp_of(INT64_MAX).substr(0, 19) == "9999-12-31T23:59:59");
  CHECK(stamp_of(INT64_MIN).substr(0, 19) == "0000-01-01T00:00:00");
}

TEST_CASE("a stamp that remembers its second gives what a fresh one gives") {
  UtcStamp stamp;
  std::array<char, UtcStamp::kSize> out{};
  for (const std::int64_t at : {1000, 1001, 1999, 2000, 999, 0, 1000, 86'400'000}) {
    stamp.write(out.data(), at);
    CHECK(std::string(out.data(), out.size()) == stamp_of(at));
  }
}

TEST_CASE("the wall clock runs in this century") {
  CHECK(wall_clock_ms() > 1'700'000'000'000);
  CHECK(wall_clock_ms() < 4'102'444'800'000);
}

TEST_CASE("plain text needs no escape, at any length") {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    CHECK(text_of(text) == text);
    CHECK(json_of(text) == text);
    text.push_back(static_cast<char>('!' + 2 + i % 50));
    if (text.back() == '\\') text.back() = '/';
  }
}

TEST_CASE("every byte that needs an escape gets it at every position of a word") {
  for (std::size_t position = 0; position < 20; ++position) {
    const std::string before(position, 'a');
    CHECK(text_of(before + "\"z") == before + "\\\"z");
    CHECK(text_of(before + "\\z") == before + "\\\\z");
    CHECK(text_of(before + "\nz") == before + "\\nz");
    CHECK(text_of(before + "\x1b[31m") == before + "\\x1b[31m");
    CHECK(text_of(before + "\x7fz") == before + "\\x7fz");
    CHECK(text_of(before + "\xffz") == before + "\\xffz");
    CHECK(json_of(before + "\x7fz") == before + "\\u007fz");
    CHECK(json_of(before + "\xffz") == before + "\\ufffdz");
    CHECK(json_of(before + "\r\t") == before + "\\r\\t");
    CHECK(json_of(before + std::string(1, '\0')) == before + "\\u0000");
  }
}

TEST_CASE("valid UTF-8 stays, broken and deceptive UTF-8 is escaped") {
  CHECK(text_of("größe 象 🐟") == "größe 象 🐟");
  CHECK(json_of("größe 象 🐟") == "größe 象 🐟");
  CHECK(text_of("\xc0\xaf") == "\\xc0\\xaf");           // overlong
  CHECK(text_of("\xe0\x80\x80") == "\\xe0\\x80\\x80");  // overlong
  CHECK(text_of("\xf0\x80\x80\x80") == "\\xf0\\x80\\x80\\x80");
  CHECK(text_of("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // a surrogate
  CHECK(text_of("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  CHECK(text_of("\xe8\xb1") == "\\xe8\\xb1");                    // cut short
  CHECK(text_of("\xc2\x9b"
                "31m") ==
        "\\xc2\\x9b"
        "31m");  // CSI as a C1 control
  CHECK(text_of("\u2028") == "\\xe2\\x80\\xa8");
  CHECK(text_of("\u202e") == "\\xe2\\x80\\xae");  // right-to-left override
  CHECK(json_of("\u2028") == "\\u2028");
  CHECK(json_of("\u202e") == "\\u202e");
  CHECK(json_of("\xc2\x9b") == "\\u009b");
}

TEST_CASE("one character, wherever it stands, decides whether a value is quoted") {
  for (std::size_t size = 1; size < 40; ++size) {
    for (std::size_t position = 0; position < size; ++position) {
      std::string value(size, 'a');
      CHECK(value_of(value) == value);
      for (const char c : {' ', '='}) {
        value[position] = c;
        CHECK(value_of(value) == '"' + value + '"');
      }
      for (const char c : {'!', '~', '<', '>', ':'}) {  // neighbours of those that are
        value[position] = c;
        CHECK(value_of(value) == value);
      }
      value[position] = '"';
      CHECK(value_of(value) == '"' + value.substr(0, position) + "\\\"" + value.substr(position + 1) + '"');
    }
  }
}

TEST_CASE("a value is quoted only when it must be") {
  CHECK(value_of("127.0.0.1:8080") == "127.0.0.1:8080");
  CHECK(value_of("[::1]:80") == "[::1]:80");
  CHECK(value_of("") == "\"\"");
  CHECK(value_of("two words") == "\"two words\"");
  CHECK(value_of("a=b") == "\"a=b\"");
  CHECK(value_of("say \"x\"") == "\"say \\\"x\\\"\"");
  CHECK(value_of("größe") == "\"größe\"");
  CHECK(value_of("a\nb") == "\"a\\nb\"");
}

TEST_CASE("escapes of random bytes fit into their room and make valid JSON of one line") {
  Random random(20261120);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random.below(24), '\0');
    for (char& c : bytes) c = static_cast<char>(random.below(3) == 0 ? random.below(128) : random.below(256));
    const std::string text = text_of(bytes);
    const std::string json = json_of(bytes);
    REQUIRE(text.size() <= bytes.size() * kMaxEscape);
    REQUIRE(json.size() <= bytes.size() * kMaxEscape);
    for (const char c : text + json) REQUIRE((static_cast<unsigned char>(c) >= 0x20 && c != '\x7f'));
    REQUIRE(nlohmann::json::accept('"' + json + '"'));
    REQUIRE(
        nlohmann::json::accept(nlohmann::json::array({text}).dump()));  // dump() refuses what is not UTF-8
  }
}

TEST_CASE("levels have names and back") {
  for (const auto level : {LogLevel::kTrace, LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn,
                           LogLevel::kError, LogLevel::kOff}) {
    CHECK(parse_log_level(to_string(level)) == level);
  }
  CHECK(parse_log_level("INFO") == std::nullopt);
  CHECK(parse_log_level("") == std::nullopt);
}

TEST_CASE("a text line is time, level, message and fields") {
  Capture log(LogFormat::kText);
  log_info("listening", {{"listener", "in"}, {"address", "127.0.0.1:8080"}});
  const std::string text = log.text();
  REQUIRE(text.size() > UtcStamp::kSize);
  CHECK(text[10] == 'T');
  CHECK(text[UtcStamp::kSize - 1] == 'Z');
  CHECK(text.substr(UtcStamp::kSize) == " info listening listener=in address=127.0.0.1:8080\n");
}

TEST_CASE("no value can start a line or a field of its own") {
  Capture log(LogFormat::kText);
  log_warn("bad\nrequest", {{"from", "x\n2026-11-20T12:00:00.000Z info ready"}, {"name", "a b=c \"d\""}});
  const std::string text = log.text();
  CHECK(text.find('\n') == text.size() - 1);
  CHECK(text.substr(UtcStamp::kSize) ==
        " warn bad\\nrequest from=\"x\\n2026-11-20T12:00:00.000Z info ready\" name=\"a b=c \\\"d\\\"\"\n");
}

TEST_CASE("a JSON line parses and has the same fields") {
  Capture log(LogFormat::kJson);
  log_error("cannot bind", {{"listener", "in \"x\""}, {"reason", "in\x01use\xff"}});
  const auto line = nlohmann::json::parse(log.text());
  CHECK(line["time"].get<std::string>().size() == UtcStamp::kSize);
  CHECK(line["level"] == "error");
  CHECK(line["message"] == "cannot bind");
  CHECK(line["listener"] == "in \"x\"");
  CHECK(line["reason"] == "in\x01use\xef\xbf\xbd");
}

TEST_CASE("lines below the level are not written") {
  Capture log(LogFormat::kText);
  set_log_level(LogLevel::kWarn);
  log_trace("a");
  log_debug("b");
  log_info("c");
  log_warn("d");
  log_error("e");
  set_log_level(LogLevel::kOff);
  log_error("f");
  log_line(LogLevel::kOff, "g", {});
  set_log_level(LogLevel::kTrace);
  log_trace("h");
  const std::string text = log.text();
  std::string seen;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    seen += text[text.find('\n', at) - 1];
  CHECK(seen == "deh");
}

TEST_CASE("of lines that repeat themselves only so many are written in an interval") {
  LogRepeats repeats;
  unsigned written = 0;
  for (int i = 0; i < 1000; ++i) written += repeats.may_write(1, "one", 5000 + i) ? 1U : 0U;
  CHECK(written == LogRepeats::kMost);
  CHECK(repeats.may_write(2, "two", 6000));  // another line has its own measure
  CHECK(repeats.take_left_out(6000).empty());
  CHECK(repeats.take_left_out(14'999).empty());
  const auto left_out = repeats.take_left_out(15'000);
  REQUIRE(left_out.size() == 1);
  CHECK(left_out[0].message == "one");
  CHECK(left_out[0].count == 1000 - LogRepeats::kMost);
  CHECK(repeats.take_left_out(15'000).empty());
  CHECK(repeats.may_write(1, "one", 15'000));
}

TEST_CASE("what was left out is told of whatever becomes of its line") {
  LogRepeats repeats;
  for (unsigned i = 0; i < LogRepeats::kMost + 3; ++i) repeats.may_write(1, "one", 0);
  std::int64_t now = 0;
  bool all = false;
  SUBCASE("another line takes its place") { repeats.may_write(1 + LogRepeats::kSlots, "other", 0); }
  SUBCASE("it comes again after the interval") { CHECK(repeats.may_write(1, "one", now = 10'000)); }
  SUBCASE("the clock is put back") { CHECK(repeats.may_write(1, "one", now = -5)); }
  SUBCASE("the log ends") { all = true; }
  const auto left_out = repeats.take_left_out(now, all);
  REQUIRE(left_out.size() == 1);
  CHECK(left_out[0].count == 3);
}

TEST_CASE("a message in a loop does not fill the log, and its end says how often it came") {
  Capture log(LogFormat::kText);
  set_log_level(LogLevel::kInfo);
  for (int i = 0; i < 500; ++i) log_warn("accepting paused", {{"listener", "in"}});
  for (int i = 0; i < 30; ++i)
    log_warn("accepting paused", {{"listener", std::to_string(i)}});  // none is the same
  const std::string text = log.text();
  std::size_t same = 0;
  for (std::size_t at = text.find("listener=in\n"); at != std::string::npos;
       at = text.find("listener=in\n", at + 1))
    ++same;
  CHECK(same == LogRepeats::kMost);
  for (int i = 0; i < 30; ++i) CHECK(text.find("listener=" + std::to_string(i) + "\n") != std::string::npos);
  CHECK(text.find("warn repeated lines were left out repeated=\"accepting paused\" count=480\n") !=
        std::string::npos);
}

}  // namespace
}  // namespace remora
