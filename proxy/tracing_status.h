// What has become of the spans, for the metrics.
//
// A value; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remora::proxy {

struct TracingStatus {
  bool configured = false;       // there is, or was, a [tracing]
  std::uint64_t delivered = 0;   // spans that the collector has taken
  std::uint64_t ring_full = 0;   // lost because the control thread was late
  std::uint64_t queue_full = 0;  // ... because the collector was, or was away
  std::uint64_t rejected = 0;    // ... because the collector did not want them
  std::uint64_t exports_succeeded = 0;
  std::uint64_t exports_failed = 0;    // to be tried again
  std::uint64_t exports_rejected = 0;  // not to be
  std::size_t waiting = 0;             // spans in the queue, those under way included
};

}  // namespace remora::proxy
