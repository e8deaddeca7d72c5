#include "proxy/access_log.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/alloc_count.h"
#include "tests/support/log_writers.h"
#include "tests/support/pipe.h"

namespace remora::proxy {
namespace {

constexpr std::int64_t kNoon = 1'795'176'000'123;  // 2026-11-20T12:00:00.123Z

AccessRecord typical() {
  AccessRecord record;
  record.listener = "in";
  record.client = "10.0.0.7";
  record.method = "GET";
  record.host = "example.com";
  record.target = "/path?x=1";
  record.request_id = "5f3a9c0e";
  record.cluster = "app";
  record.upstream = "127.0.0.1:3000";
  record.status = 200;
  record.attempts = 1;
  record.bytes_in = 17;
  record.bytes_out = 64;
  record.duration = 1234us;
  record.connect = 100us;
  record.response = 1050us;
  return record;
}

std::string text_of(const AccessRecord& record) { return AccessLog::render(record, LogFormat::kText, kNoon); }
std::string json_of(const AccessRecord& record) { return AccessLog::render(record, LogFormat::kJson, kNoon); }

// The lines that an AccessLog writes to a pipe.
class Reader final {
 public:
  Reader() : writer_(test::writer_to(pipe_, {.quiet = true})) {}

  LogWriter& writer() { return *writer_; }
  std::string text() {
    writer_.reset();
    return pipe_.read_all();
  }

 private:
  test::Pipe pipe_;
  std::unique_ptr<LogWriter> writer_;
};

TEST_CASE("an access line has every field at its place") {
  CHECK(text_of(typical()) ==
        "2026-11-20T12:00:00.123Z in 10.0.0.7 \"GET example.com/path?x=1\" 200 - 1.234ms in=17 out=64 "
        "cluster=app "
        "upstream=127.0.0.1:3000 connect=0.100ms response=1.050ms attempts=1 id=5f3a9c0e\n");
}

TEST_CASE("what is not known of an exchange is a dash") {
  AccessRecord record;
  record.listener = "in";
  record.client = "::1";
  record.status = 400;
  record.flag = Flag::kDownstreamProtocolError;
  CHECK(text_of(record) ==
        "2026-11-20T12:00:00.123Z in ::1 \"-\" 400 DPE 0.000ms in=0 out=0 cluster=- upstream=- connect=- "
        "response=- "
        "attempts=0 id=-\n");
}

TEST_CASE("an access line in JSON has every field under its key, in a fixed order") {
  CHECK(
      json_of(typical()) ==
      R"({"time":"2026-11-20T12:00:00.123Z","listener":"in","client":"10.0.0.7","method":"GET","host":"example.com",)"
      R"("target":"/path?x=1","status":200,"flag":"-","duration_ms":1.234,"bytes_in":17,"bytes_out":64,)"
      R"("cluster":"app","upstream":"127.0.0.1:3000","connect_ms":0.100,"response_ms":1.050,"attempts":1,)"
      R"("request_id":"5f3a9c0e"})"
      "\n");
  const auto empty = nlohmann::json::parse(json_of({}));
  CHECK(empty["connect_ms"].is_null());
  CHECK(empty["response_ms"].is_null());
  CHECK(empty["cluster"] == "");
  CHECK(empty["flag"] == "-");
}

TEST_CASE("the trace stands at the end, where there is one") {
  AccessRecord record = typical();
  record.trace_id = "0af7651916cd43dd8448eb211c80319c";
  CHECK(text_of(record).ends_with(" id=5f3a9c0e trace=0af7651916cd43dd8448eb211c80319c\n"));
  CHECK(json_of(record).ends_with(R"("request_id":"5f3a9c0e","trace_id":"0af7651916cd43dd8448eb211c80319c"})"
                                  "\n"));
}

TEST_CASE("a request whose target is no path stays readable") {
  AccessRecord record = typical();
  record.method = "OPTIONS";
  record.target = "*";
  CHECK(text_of(record).find("\"OPTIONS example.com *\"") != std::string::npos);
}

TEST_CASE("no client can forge a field or a line of the access log") {
  AccessRecord record = typical();
  record.target = "/\" 200 - 0.001ms in=0\n2026-11-20T12:00:00.123Z in";
  record.host = "a\\\" b";
  record.request_id = "x upstream=10.9.9.9:1";
  const std::string line = text_of(record);
  CHECK(std::ranges::count(line, '\n') == 1);
  CHECK(line.find(R"("GET a\\\" b/\" 200 - 0.001ms in=0\n2026-11-20T12:00:00.123Z in" 200 - 1.234ms)") !=
        std::string::npos);
  CHECK(line.ends_with(" id=\"x upstream=10.9.9.9:1\"\n"));
  const auto json = nlohmann::json::parse(json_of(record));
  CHECK(json["target"] == record.target);
  CHECK(json["host"] == record.host);
  CHECK(json["request_id"] == record.request_id);
}

TEST_CASE("terminal escapes and broken UTF-8 are made visible") {
  AccessRecord record = typical();
  record.target = "/\x1b[2J\xff\xc2\x9b";
  CHECK(text_of(record).find(R"(example.com/\x1b[2J\xff\xc2\x9b")") != std::string::npos);
}

TEST_CASE("long values are cut and say so") {
  AccessRecord record = typical();
  const std::string target = "/" + std::string(60'000, 't');
  const std::string host(5'000, 'h');
  record.target = target;
  record.host = host;
  record.request_id = host;
  const std::string line = text_of(record);
  CHECK(line.find(std::string(1024, 'h') + ".../" + std::string(8191, 't') + "...\" 200") !=
        std::string::npos);
  CHECK(line.ends_with(" id=\"" + std::string(1024, 'h') + "...\"\n"));
  CHECK(nlohmann::json::parse(json_of(record))["target"].get<std::string>().size() == 8192 + 3);
}

TEST_CASE("the largest numbers fit") {
  AccessRecord record = typical();
  record.bytes_in = record.bytes_out = UINT64_MAX;
  record.status = record.attempts = UINT32_MAX;
  record.duration = record.connect = record.response = Duration::max();
  record.flag = Flag::kUpstreamProtocolError;
  CHECK(
      text_of(record).find(" UPE 9223372036854775.807ms in=18446744073709551615 out=18446744073709551615 ") !=
      std::string::npos);
  CHECK(nlohmann::json::accept(json_of(record)));
  record.duration = Duration{-5};
  CHECK(text_of(record).find(" 0.000ms ") != std::string::npos);
}

TEST_CASE("an access line of any bytes is one line and parses as JSON") {
  Random random(42);
  for (int round = 0; round < 3000; ++round) {
    std::array<std::string, 9> values;
    for (std::string& value : values) {
      value.resize(random.below(random.below(20) == 0 ? 9000 : 40));
      for (char& c : value) c = static_cast<char>(random.below(256));
    }
    const AccessRecord record{.listener = values[0],
                              .client = values[1],
                              .method = values[2],
                              .host = values[3],
                              .target = values[4],
                              .request_id = values[5],
                              .trace_id = values[6],
                              .cluster = values[7],
                              .upstream = values[8]};
    const std::string text = text_of(record);
    const std::string json = json_of(record);
    for (const std::string& line : {text, json}) {
      REQUIRE(line.back() == '\n');
      REQUIRE(std::ranges::none_of(line.begin(), line.end() - 1, [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == '\x7f';
      }));
    }
    REQUIRE(nlohmann::json::parse(json).size() == (values[6].empty() ? 17 : 18));
    REQUIRE_NOTHROW(static_cast<void>(nlohmann::json(text).dump()));
  }
}

TEST_CASE("the access log writes through its producer what it renders") {
  Reader reader;
  Random random(1);
  {
    AccessLog text(reader.writer().make_producer(), LogFormat::kText, 1.0);
    text.write(typical(), random);
    CHECK(reader.writer().flush());
    AccessLog json(reader.writer().make_producer(), LogFormat::kJson, 1.0);
    json.write(typical(), random);
  }
  const std::string lines = reader.text();
  const std::size_t second = lines.find('\n') + 1;
  CHECK(lines.substr(UtcStamp::kSize, second - UtcStamp::kSize) ==
        text_of(typical()).substr(UtcStamp::kSize));
  CHECK(nlohmann::json::parse(lines.substr(second))["upstream"] == "127.0.0.1:3000");
}

TEST_CASE("writing an access line allocates nothing") {
  Reader reader;
  Random random(1);
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    AccessLog log(reader.writer().make_producer(), format, 1.0);
    const AccessRecord record = typical();
    const test::AllocCount count;
    for (int i = 0; i < 50; ++i) log.write(record, random);
    const auto news = count.news();
    CHECK(news == 0);
  }
}

TEST_CASE("an access log that is off writes nothing") {
  AccessLog log(nullptr, LogFormat::kText, 1.0);
  Random random(1);
  log.write(typical(), random);
}

TEST_CASE("a sample leaves out exchanges, but none with a flag") {
  Reader reader;
  Random random(5);
  constexpr int kExchanges = 1000;
  {
    AccessLog log(reader.writer().make_producer(), LogFormat::kText, 0.1);
    AccessLog none(reader.writer().make_producer(), LogFormat::kText, 0.0);
    AccessRecord flagged = typical();
    flagged.flag = Flag::kUpstreamTimeout;
    for (int i = 0; i < kExchanges; ++i) {
      log.write(typical(), random);
      none.write(typical(), random);
    }
    for (int i = 0; i < 50; ++i) none.write(flagged, random);
    CHECK(reader.writer().dropped() == 0);
  }
  const std::string lines = reader.text();
  const auto total = std::ranges::count(lines, '\n');
  std::size_t with_flag = 0;
  for (std::size_t at = lines.find(" UT "); at != std::string::npos; at = lines.find(" UT ", at + 1))
    ++with_flag;
  CHECK(with_flag == 50);
  CHECK(total - 50 > kExchanges / 20);
  CHECK(total - 50 < kExchanges * 3 / 20);
}

}  // namespace
}  // namespace remora::proxy
