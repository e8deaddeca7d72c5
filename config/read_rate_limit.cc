// So many requests in so long a time: a listener's and a route's.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "config/draft.h"
#include "config/units.h"
#include "config/values.h"

namespace remora::config {

namespace {

constexpr double kLeastRequests = 0.001;
constexpr double kMostRequests = 1e9;
constexpr std::int64_t kMostBurst = 1'000'000'000;
constexpr double kMostPerSecond = 1e6;  // one in each unit of Duration
constexpr Duration kLongestRefill = 24h * 365;
constexpr std::int64_t kLeastKeys = 16;
constexpr std::int64_t kMostKeys = 1'048'576;

constexpr std::string_view kKeyRemedy = "write \"source\", or { header = \"X-Api-Key\" }";

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// What no single value shows: a rate too fast to be measured, or a bucket that takes forever to fill.
void check_rate(const TableReader& reader, const breaker::TokenBucket::Settings& bucket) {
  if (bucket.requests / seconds(bucket.per) > kMostPerSecond) {
    return reader.problem(
        "requests", fmt::format("{} in {} are more than {} a second, write fewer, or a longer per",
                                bucket.requests, in_quotes(format_duration(bucket.per)), kMostPerSecond));
  }
  const double burst = bucket.burst > 0 ? bucket.burst : std::max(1.0, std::ceil(bucket.requests));
  if (burst / bucket.requests * seconds(bucket.per) <= seconds(kLongestRefill)) return;
  reader.problem(
      bucket.burst > 0 ? "burst" : "requests",
      fmt::format("a burst of {} takes more than a year to come back at {} in {}, write more requests, "
                  "a shorter per, or a smaller burst",
                  burst, bucket.requests, in_quotes(format_duration(bucket.per))));
}

void read_key(const TableReader& reader, RateLimit& limit) {
  const auto* node = reader.find("key");
  if (node == nullptr) {
    if (reader.has("keys")) {
      reader.problem("keys",
                     "without a key there is one bucket for all, add key = \"source\" or remove keys");
    }
    return;
  }
  if (node->kind == Node::Kind::kBroken) return;
  if (node->kind == Node::Kind::kString) {
    limit.key = RateLimit::Key::kSourceAddress;
    if (node->text == "source") return;
    return reader.problem("key",
                          fmt::format("{} is not one of the choices, {}", in_quotes(node->text), kKeyRemedy));
  }
  if (node->kind != Node::Kind::kTable) {
    return reader.problem("key", fmt::format("{}, {}", describe(*node), kKeyRemedy));
  }
  limit.key = RateLimit::Key::kHeader;
  const auto key = reader.table("key");
  if (!key.has("header")) key.problem("header", "the key has no header, write header = \"X-Api-Key\"");
  const auto header = key.string("header", "\"X-Api-Key\"");
  if (!header) return;
  key.complain("header", check_field_name(*header));
  limit.header = *header;
}

}  // namespace

Rare<RateLimit> read_rate_limit(const TableReader& reader) {
  if (!reader.present()) return {};
  RateLimit limit;
  auto& bucket = limit.bucket;
  if (!reader.has("requests")) {
    reader.problem("requests", "the limit has no number of requests, write requests = 100");
  }
  reader.number("requests", bucket.requests, kLeastRequests, kMostRequests);
  reader.duration("per", bucket.per, 1ms, 24h);
  reader.integer("burst", bucket.burst, 0, kMostBurst);
  if (bucket.requests > 0 && !reader.wrong("per")) check_rate(reader, bucket);
  read_key(reader, limit);
  reader.integer("keys", limit.keys, kLeastKeys, kMostKeys);
  return limit;
}

}  // namespace remora::config
