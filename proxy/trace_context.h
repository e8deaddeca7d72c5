// The trace that a request belongs to, as its fields say: W3C Trace Context (traceparent, tracestate) and B3,
// in one field or in several. Reading believes nothing that is not exactly in form; writing allocates nothing
// once the list has room.
//
// Thread: any; pure but for the list.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/config.h"
#include "proxy/http/message.h"

namespace remora::proxy {

struct TraceContext {
  enum class Sampling : std::uint8_t { kUnsaid, kNo, kYes };

  std::uint64_t trace_high = 0;  // the 128 bits of the trace's id; all zero: there is none
  std::uint64_t trace_low = 0;
  std::uint64_t span = 0;  // the caller's, or ours when it is written
  Sampling sampling = Sampling::kUnsaid;
  bool debug = false;   // B3: recorded whatever anybody thinks
  bool random = false;  // W3C: the low 56 bits of the trace's id are random
  bool known() const { return (trace_high | trace_low) != 0; }
};

// What the request came with. The formats are asked in the order of TraceFormats' members, and the first
// valid one is believed; it may be one that says only whether to sample (B3). Fields that are not valid, or
// would contradict the one believed once we write ours, are removed: a tracestate without its traceparent
// among them (Trace Context section 2.2.3, 3.3).
TraceContext read_trace(http::FieldList& fields, const config::TraceFormats& formats);

// Writes the context in every format, in the place of what was there.
void write_trace(http::FieldList& fields, const config::TraceFormats& formats, const TraceContext& context);

// The same where a format's fields are still there: an operator's edits may have taken them out.
void rewrite_trace(http::FieldList& fields, const config::TraceFormats& formats, const TraceContext& context);

// Whether a trace of that id belongs to the share that is recorded: everybody who uses the same ratio and
// looks at the same bits decides alike (the low 56 bits, as OpenTelemetry does).
bool in_sample(std::uint64_t trace_low, double ratio);

// 16 lower-case hexadecimal digits. Returns the end.
char* write_hex(char* out, std::uint64_t value);

}  // namespace remora::proxy
