// Spans on their way from a worker to the control thread: what is known of an exchange or an attempt at its
// end, in records of a few hundred bytes, in memory of a fixed size without a lock. A worker never waits:
// what finds no room is dropped and counted.
//
// Thread: write() the worker's, drain() the control thread's, dropped() any. Owner: WorkerThread; outlives
// both uses.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/log_ring.h"
#include "base/time.h"
#include "breaker/outcome.h"
#include "proxy/flag.h"

namespace remora::proxy {

struct SpanFacts {
  enum class Kind : std::uint8_t { kServer, kClient };  // of an exchange; of an attempt

  std::uint64_t trace_high = 0;
  std::uint64_t trace_low = 0;
  std::uint64_t id = 0;
  std::uint64_t parent = 0;  // 0: none
  TimePoint began{};
  TimePoint ended{};
  std::uint32_t resend = 0;  // of an attempt: how many there were before
  std::uint16_t status = 0;  // 0: none was sent, or came
  Kind kind = Kind::kServer;
  Flag flag = Flag::kNone;                             // of an exchange
  breaker::Result result = breaker::Result::kIgnored;  // of an attempt
  bool remote_parent = false;
  bool hedge = false;
  bool reused = false;  // the connection had been waiting in the pool
};

// The texts of a span. Longer ones are cut.
enum class SpanText : std::uint8_t {
  kMethod,
  kScheme,
  kAuthority,
  kPath,      // without the query, which may hold secrets
  kProtocol,  // "1.1"
  kPeer,      // of an exchange the client's host; of an attempt the endpoint's address
  kEndpoint,  // of an attempt: as configured
  kCluster,
  kListener,
  kState,  // the tracestate
  kCount,
};
inline constexpr std::size_t kSpanTexts = static_cast<std::size_t>(SpanText::kCount);

struct Span {
  SpanFacts facts;
  std::array<std::string_view, kSpanTexts> texts;
  std::string_view& operator[](SpanText which) { return texts[static_cast<std::size_t>(which)]; }
  std::string_view operator[](SpanText which) const { return texts[static_cast<std::size_t>(which)]; }
};

class SpanRing final {
 public:
  // The memory is touched as far as it is used.
  explicit SpanRing(std::size_t bytes = 512 * 1024) : ring_(bytes) {}

  // Copies the span, or drops it.
  void write(const Span& span);
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  // Calls take(record) for what has been written; the views are valid until it returns.
  template <typename Take>
  void drain(Take&& take) {
    for (std::string_view bytes = ring_.readable(); !bytes.empty(); bytes = ring_.readable()) {
      const std::size_t size = bytes.size();
      while (!bytes.empty()) {
        const std::string_view record = bytes.substr(0, record_size(bytes));
        bytes.remove_prefix(record.size());
        take(record);
      }
      ring_.consume(size);
    }
  }
  // The span in a record; its views are into it.
  static Span read(std::string_view record);

 private:
  static std::size_t record_size(std::string_view bytes);

  LogRing ring_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace remora::proxy
