// What the load generator (load.cc) remembers of each request, and what it prints in the end.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace remora::bench {

// How a request ended without a response that can be believed.
enum class Failure : std::uint8_t { kNone, kConnect, kReset, kClosed, kTimeout, kMalformed, kUnsent, kCount };
inline constexpr std::array<std::string_view, 7> kFailures{"none",    "connect",   "reset", "closed",
                                                           "timeout", "malformed", "unsent"};

// Written as it is to the records file; resilience_tools.py reads it.
struct Record {
  std::uint64_t due_us = 0;  // when it was sent, or, at a fixed rate, when it should have been
  std::uint32_t latency_us = 0;
  std::uint16_t status = 0;  // 0: it failed
  Failure failure = Failure::kNone;
  std::uint8_t flag = 0;  // index into the flags of the report; 0: none

  bool good() const { return status >= 200 && status < 400; }
};
static_assert(sizeof(Record) == 16);

class Report final {
 public:
  static constexpr std::uint64_t kSlotMicroseconds = 100'000;

  void add(const Record& record) { records_.push_back(record); }
  std::size_t size() const { return records_.size(); }
  const std::vector<Record>& records() const { return records_; }

  // The index of a flag; 0 for "".
  std::uint8_t flag(std::string_view name) {
    const auto found = std::ranges::find(flags_, name);
    if (found != flags_.end()) return static_cast<std::uint8_t>(found - flags_.begin());
    if (flags_.size() == 255) return 0;
    flags_.emplace_back(name);
    return static_cast<std::uint8_t>(flags_.size() - 1);
  }

  std::string json(std::uint64_t begun_us, std::uint64_t ended_us) {
    std::ranges::sort(records_, {}, &Record::due_us);
    std::map<std::string, std::uint64_t> statuses;
    std::map<std::string, std::uint64_t> failures;
    std::map<std::string, std::uint64_t> flags;
    for (const Record& record : records_) {
      if (record.status != 0) ++statuses[std::to_string(record.status)];
      if (record.failure != Failure::kNone) {
        ++failures[std::string(kFailures.at(static_cast<std::size_t>(record.failure)))];
      }
      if (record.flag != 0) ++flags[flags_[record.flag]];
    }
    std::string names;
    for (const std::string& flag : flags_) names += (names.empty() ? "\"" : ",\"") + flag + '"';
    return "{\"begun_us\":" + std::to_string(begun_us) + ",\"ended_us\":" + std::to_string(ended_us) +
           ",\"requests\":" + std::to_string(records_.size()) + ",\"statuses\":" + object(statuses) +
           ",\"failures\":" + object(failures) + ",\"flags\":" + object(flags) + ",\"flag_names\":[" + names +
           "],\"latency_us\":" + latencies() + ",\"slots\":[" + slots(begun_us) + "]}\n";
  }

 private:
  static std::string object(const std::map<std::string, std::uint64_t>& counts) {
    std::string text = "{";
    for (const auto& [name, count] : counts) {
      text += (text.size() > 1 ? ",\"" : "\"") + name + "\":" + std::to_string(count);
    }
    return text + '}';
  }

  static std::uint32_t percentile(std::vector<std::uint32_t>& sorted, double share) {
    if (sorted.empty()) return 0;
    const auto index = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
    return sorted[std::min(index, sorted.size() - 1)];
  }

  // Of the good responses.
  std::string latencies() const {
    std::vector<std::uint32_t> sorted;
    for (const Record& record : records_) {
      if (record.good()) sorted.push_back(record.latency_us);
    }
    std::ranges::sort(sorted);
    return "{\"p50\":" + std::to_string(percentile(sorted, 0.5)) +
           ",\"p90\":" + std::to_string(percentile(sorted, 0.9)) +
           ",\"p99\":" + std::to_string(percentile(sorted, 0.99)) +
           ",\"p999\":" + std::to_string(percentile(sorted, 0.999)) +
           ",\"max\":" + std::to_string(percentile(sorted, 1)) + '}';
  }

  // [good, others, p99 of the good] for each 100 ms, by when the requests were due.
  std::string slots(std::uint64_t begun_us) const {
    std::string text;
    std::vector<std::uint32_t> good;
    std::uint64_t others = 0;
    std::uint64_t end = begun_us + kSlotMicroseconds;
    const auto flush = [&] {
      std::ranges::sort(good);
      text += (text.empty() ? "[" : ",[") + std::to_string(good.size()) + ',' + std::to_string(others) + ',' +
              std::to_string(percentile(good, 0.99)) + ']';
      good.clear();
      others = 0;
      end += kSlotMicroseconds;
    };
    for (const Record& record : records_) {
      while (record.due_us >= end) flush();
      if (record.good()) {
        good.push_back(record.latency_us);
      } else {
        ++others;
      }
    }
    flush();
    return text;
  }

  std::vector<Record> records_;
  std::vector<std::string> flags_{""};
};

}  // namespace remora::bench
