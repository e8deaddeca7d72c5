// Spans as the body of an OTLP/HTTP request, in its JSON form: ids in lower-case hexadecimal, 64-bit numbers
// as strings, attributes by OpenTelemetry's semantic conventions for HTTP.
//
// Pure; on the control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"

namespace remora::proxy {

// Who reports.
struct SpanSource {
  std::string_view service;
  std::string_view instance;  // differs from process to process
  std::string_view version;   // of Remora
};

// `records`: of a SpanRing. `epoch_us`: what the monotonic zero is, in microseconds since 1970.
std::string otlp_request(const SpanSource& source, std::span<const std::string> records,
                         std::int64_t epoch_us);

// How many spans of an accepted request the collector has not taken
// (ExportTraceServiceResponse.partialSuccess); 0 when the body does not say so.
std::uint64_t rejected_spans(std::string_view response_body);

}  // namespace remora::proxy
