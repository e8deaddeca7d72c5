// What a request says of its trace, and how it is passed on: tables of fields in, fields out.
#include "proxy/trace_context.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

using namespace remora;
using namespace remora::proxy;
using Sampling = TraceContext::Sampling;

namespace {

constexpr std::string_view kTrace = "0af7651916cd43dd8448eb211c80319c";
constexpr std::string_view kSpan = "b7ad6b7169203331";
const std::string kW3c = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const config::TraceFormats kAll{.w3c = true, .b3 = true, .b3_multi = true};
const config::TraceFormats kB3{.w3c = false, .b3 = true, .b3_multi = false};
const config::TraceFormats kMulti{.w3c = false, .b3 = false, .b3_multi = true};

using Fields = std::vector<std::pair<std::string, std::string>>;

http::FieldList list(const Fields& fields) {
  http::FieldList out;
  for (const auto& [name, value] : fields) out.add(name, value);
  return out;
}

Fields plain(const http::FieldList& fields) {
  Fields out;
  fields.for_each([&](std::string_view name, std::string_view value, http::FieldId) {
    out.emplace_back(std::string(name), std::string(value));
  });
  return out;
}

TraceContext read(const Fields& fields, const config::TraceFormats& formats = {}) {
  http::FieldList given = list(fields);
  return read_trace(given, formats);
}

// "trace-span", or "" if there is none.
std::string ids(const TraceContext& context) {
  if (!context.known()) return {};
  std::string text(48, '\0');
  write_hex(write_hex(write_hex(text.data(), context.trace_high), context.trace_low), context.span);
  return text.insert(32, "-");
}

const std::string kIds = std::string(kTrace) + "-" + std::string(kSpan);

// What is left of tracestate after a valid traceparent; "-": nothing.
std::string state_after(const std::vector<std::string>& lines) {
  Fields fields{{"traceparent", kW3c}};
  for (const auto& line : lines) fields.emplace_back("tracestate", line);
  http::FieldList given = list(fields);
  read_trace(given, {});
  CHECK(given.count(http::FieldId::kTracestate) <= 1);
  return std::string(given.get(http::FieldId::kTracestate).value_or("-"));
}

}  // namespace

TEST_CASE("a traceparent is taken when it is exactly in form") {
  struct Row {
    std::string value;
    bool valid;
    Sampling sampling = Sampling::kYes;
  };
  const std::string trace(kTrace);
  const std::string span(kSpan);
  const std::vector<Row> rows{
      {kW3c, true},
      {"00-" + trace + "-" + span + "-00", true, Sampling::kNo},
      {"00-" + trace + "-" + span + "-ff", true},
      {"00-" + trace + "-" + span + "-02", true, Sampling::kNo},
      {"01-" + trace + "-" + span + "-01", true},
      {"fe-" + trace + "-" + span + "-00-what-comes-later", true, Sampling::kNo},
      {"01-" + trace + "-" + span + "-01.later", false},
      {"ff-" + trace + "-" + span + "-01", false},
      {"00-" + trace + "-" + span + "-01-", false},
      {"00-" + trace + "-" + span + "-01-later", false},
      {"00-" + trace + "-" + span + "-1", false},
      {"00-" + trace + "-" + span + "-0g", false},
      {"0-" + trace + "-" + span + "-01", false},
      {"0x-" + trace + "-" + span + "-01", false},
      {"00-" + std::string(32, '0') + "-" + span + "-01", false},
      {"00-" + trace + "-" + std::string(16, '0') + "-01", false},
      {"00-0AF7651916CD43DD8448EB211C80319C-" + span + "-01", false},
      {"00-" + trace + "-B7AD6B7169203331-01", false},
      {"00-" + trace.substr(1) + "-" + span + "-01", false},
      {"00-" + trace + "0-" + span + "-01", false},
      {"00_" + trace + "_" + span + "_01", false},
      {"", false},
      {"00-", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    const TraceContext context = read({{"Traceparent", row.value}});
    CHECK(ids(context) == (row.valid ? kIds : ""));
    CHECK(context.sampling == (row.valid ? row.sampling : Sampling::kUnsaid));
  }
}

TEST_CASE("of all bytes only the lower-case digits are digits, wherever they stand") {
  for (std::size_t at = 0; at < kW3c.size(); ++at) {
    if (kW3c[at] == '-' || at < 2) continue;
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      std::string value = kW3c;
      value[at] = c;
      const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      const TraceContext context = read({{"traceparent", value}});
      if (context.known() != digit) FAIL_CHECK(value);
      if (digit && at < 52 && ids(context) != value.substr(3, 49)) FAIL_CHECK(value);
    }
  }
}

TEST_CASE("several traceparents are none, and a tracestate without one goes") {
  for (const Fields& fields : {Fields{{"traceparent", kW3c}, {"traceparent", kW3c}, {"tracestate", "a=1"}},
                               Fields{{"tracestate", "a=1"}, {"tracestate", "b=1"}},
                               Fields{{"traceparent", "x"}, {"tracestate", "a=1"}}}) {
    http::FieldList given = list(fields);
    CHECK_FALSE(read_trace(given, {}).known());
    CHECK_FALSE(given.has(http::FieldId::kTracestate));
  }
}

TEST_CASE("a tracestate is passed on as it is, or as one field, or not at all") {
  const auto member = [](char key, std::size_t size) {
    return std::string(1, key) + "=" + std::string(size - 2, 'v');
  };
  std::string thirty_two = "k0=v";
  for (int i = 1; i < 32; ++i) thirty_two += ",k" + std::to_string(i) + "=v";
  CHECK(state_after({"a=1"}) == "a=1");
  CHECK(state_after({"a=1 , , b=\"2\";x\t,"}) == "a=1 , , b=\"2\";x\t,");
  CHECK(state_after({"tenant@system=1,0x@a=b,9_-*/=!~"}) == "tenant@system=1,0x@a=b,9_-*/=!~");
  CHECK(state_after({"a=1", "b=2,c=3"}) == "a=1,b=2,c=3");
  CHECK(state_after({"a=1", "", " b=2 "}) == "a=1,b=2");
  CHECK(state_after({thirty_two}) == thirty_two);
  CHECK(state_after({thirty_two + ",one=more"}) == "-");
  CHECK(state_after({thirty_two, "one=more"}) == "-");
  CHECK(state_after({member('a', 256) + "," + member('b', 255)}) ==
        member('a', 256) + "," + member('b', 255));
  // Beyond 512 bytes: the large members go first, the last of them before the others; then the last.
  CHECK(state_after({member('a', 200), member('b', 100), member('c', 100), member('d', 150)}) ==
        member('a', 200) + "," + member('b', 100) + "," + member('c', 100));
  CHECK(state_after({member('a', 128) + "," + member('b', 128) + "," + member('c', 128) + "," +
                     member('d', 127) + "," + member('e', 3)}) ==
        member('a', 128) + "," + member('b', 128) + "," + member('c', 128));
  for (const char* const wrong : {"", ",", "a", "=1", "a=", "A=1", "a b=1", "a.b=1", "@a=1", "a@=1", "a@1=1",
                                  "a@b@c=1", "_a=1", "a=1=2", "a=\x01", "a=\xc3\xa4", "a=1,b"}) {
    CAPTURE(wrong);
    CHECK(state_after({wrong}) == "-");
  }
  CHECK(state_after({std::string(256, 'k') + "=1"}) == std::string(256, 'k') + "=1");
  CHECK(state_after({std::string(257, 'k') + "=1"}) == "-");
  CHECK(state_after({"a=" + std::string(257, 'v')}) == "-");
}

TEST_CASE("B3 in one field says who the caller is, or only whether to sample") {
  struct Row {
    std::string value;
    std::string ids;
    Sampling sampling = Sampling::kUnsaid;
    bool debug = false;
  };
  const std::string both = kIds;
  const std::vector<Row> rows{
      {both, kIds},
      {both + "-1", kIds, Sampling::kYes},
      {both + "-0", kIds, Sampling::kNo},
      {both + "-d", kIds, Sampling::kYes, true},
      {both + "-1-05e3ac9a4f6e3b90", kIds, Sampling::kYes},
      {"8448eb211c80319c-b7ad6b7169203331-1", "00000000000000008448eb211c80319c-b7ad6b7169203331",
       Sampling::kYes},
      {"0", "", Sampling::kNo},
      {"1", "", Sampling::kYes},
      {"d", "", Sampling::kYes, true},
      {"x", ""},
      {"", ""},
      {"-", ""},
      {both + "-", ""},
      {both + "-2", ""},
      {both + "-1-", ""},
      {both + "-1-05e3", ""},
      {both + "-1x", ""},
      {"af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", ""},
      {"0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331", ""},
      {std::string(32, '0') + "-b7ad6b7169203331-1", ""},
      {std::string(kTrace) + "-0000000000000000-1", ""},
      {std::string(kTrace), ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    const TraceContext context = read({{"B3", row.value}}, kB3);
    CHECK(ids(context) == row.ids);
    CHECK(context.sampling == row.sampling);
    CHECK(context.debug == row.debug);
  }
  CHECK_FALSE(read({{"b3", kIds}, {"b3", kIds}}, kB3).known());
}

TEST_CASE("B3 in several fields says the same") {
  const std::pair<std::string, std::string> trace{"X-B3-TraceId", std::string(kTrace)};
  const std::pair<std::string, std::string> span{"x-b3-spanid", std::string(kSpan)};
  struct Row {
    Fields fields;
    std::string ids;
    Sampling sampling = Sampling::kUnsaid;
    bool debug = false;
  };
  const std::vector<Row> rows{
      {{trace, span}, kIds},
      {{trace, span, {"X-B3-Sampled", "1"}}, kIds, Sampling::kYes},
      {{trace, span, {"X-B3-Sampled", "0"}}, kIds, Sampling::kNo},
      {{trace, span, {"X-B3-Sampled", "true"}}, kIds, Sampling::kYes},
      {{trace, span, {"X-B3-Sampled", "maybe"}}, kIds},
      {{trace, span, {"X-B3-Sampled", "0"}, {"X-B3-Flags", "1"}}, kIds, Sampling::kYes, true},
      {{{"X-B3-Sampled", "0"}}, "", Sampling::kNo},
      {{trace}, ""},
      {{span}, ""},
      {{trace, trace, span}, ""},
      {{}, ""},
  };
  for (const Row& row : rows) {
    const TraceContext context = read(row.fields, kMulti);
    CHECK(ids(context) == row.ids);
    CHECK(context.sampling == row.sampling);
    CHECK(context.debug == row.debug);
  }
}

TEST_CASE("only the formats that are asked for are looked at, the first valid one is believed") {
  const std::string other = "11111111111111111111111111111111-2222222222222222-0";
  CHECK_FALSE(read({{"b3", kIds}}).known());
  CHECK_FALSE(read({{"traceparent", kW3c}}, kB3).known());
  CHECK(ids(read({{"b3", other}, {"traceparent", kW3c}}, kAll)) == kIds);
  CHECK(ids(read({{"b3", kIds}, {"traceparent", "00-x"}}, kAll)) == kIds);
}

TEST_CASE("a context is written in every format, in the place of what was there") {
  const TraceContext context = read({{"traceparent", kW3c}});
  http::FieldList fields = list({{"Traceparent", "x"},
                                 {"A", "b"},
                                 {"traceparent", "y"},
                                 {"X-B3-ParentSpanId", "z"},
                                 {"X-B3-Flags", "1"}});
  write_trace(fields, kAll, context);
  CHECK(plain(fields) == Fields{{"traceparent", kW3c},
                                {"A", "b"},
                                {"b3", kIds + "-1"},
                                {"X-B3-TraceId", std::string(kTrace)},
                                {"X-B3-SpanId", std::string(kSpan)},
                                {"X-B3-Sampled", "1"}});
  TraceContext debug = context;
  debug.debug = true;
  debug.random = true;
  write_trace(fields, kAll, debug);
  CHECK(fields.get("traceparent") == kW3c.substr(0, 53) + "03");
  CHECK(fields.get("b3") == kIds + "-d");
  CHECK(fields.get("X-B3-Flags") == "1");
  CHECK_FALSE(fields.get("X-B3-Sampled"));
}

TEST_CASE("what an operator has taken out is not written again") {
  const TraceContext context = read({{"traceparent", kW3c}});
  http::FieldList fields = list({{"traceparent", "x"}});
  rewrite_trace(fields, kAll, context);
  CHECK(plain(fields) == Fields{{"traceparent", kW3c}});
}

TEST_CASE("the sample is the share it is called, and the same for everybody") {
  Random random(7);
  int kept = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t id = random.next();
    const bool here = in_sample(id, 0.1);
    kept += here ? 1 : 0;
    CHECK(here == in_sample(id ^ 0xff00000000000000U, 0.1));  // of the low 56 bits only
    if (here) CHECK(in_sample(id, 0.2));
  }
  CHECK(kept > 9'500);
  CHECK(kept < 10'500);
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
    CHECK(in_sample(id, 1.0));
    CHECK_FALSE(in_sample(id, 0.0));
  }
}
