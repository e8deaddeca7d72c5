// One line per finished exchange. Formatting is done by hand into a buffer of the worker's own; writing
// happens on the log's thread. A reader that stalls or a full disk costs lines, which are counted, never
// time.
//
// The fields, and what they mean, are in docs/logging.md. Values that a client chose cannot break out of
// their place: see base/log_format.h. A target longer than 8 KiB, or any other value longer than 1 KiB, is
// cut and ends with "...".
//
// Thread: one instance per worker. The only reader of the wall clock besides the operational log. Allocates
// nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/log_format.h"
#include "base/log_writer.h"
#include "base/random.h"
#include "base/time.h"
#include "proxy/flag.h"

namespace remora::proxy {

// What is known of an exchange at its end. Views are read during write() only.
struct AccessRecord {
  std::string_view listener;
  std::string_view client;  // peer address without port
  std::string_view method;  // empty when no request could be read
  std::string_view host;
  std::string_view target;
  std::string_view request_id;
  std::string_view trace_id;  // empty: none; its field is left out then
  std::string_view cluster;   // empty when none was chosen
  std::string_view upstream;  // address of the endpoint last tried; may be empty
  unsigned status = 0;        // 0: nothing was sent
  Flag flag = Flag::kNone;
  unsigned attempts = 0;
  std::uint64_t bytes_in = 0;   // body bytes received from the client
  std::uint64_t bytes_out = 0;  // body bytes sent to the client
  Duration duration{};          // first byte of the request's head handled to the end
  Duration connect{-1};         // time to connect; negative: a pooled connection, or none
  Duration response{-1};        // request sent to response head; negative: none came
};

class AccessLog final {
 public:
  // `sample`: share of the exchanges without a flag that are logged; flagged ones always are. `producer` may
  // be null: off.
  AccessLog(std::unique_ptr<LogWriter::Producer> producer, LogFormat format, double sample);

  // From the next line on.
  void set(LogFormat format, double sample) {
    format_ = format;
    sample_ = sample;
  }

  void write(const AccessRecord& record, Random& random) {
    if (producer_ == nullptr) return;
    if (sample_ < 1.0 && record.flag == Flag::kNone && random.unit() >= sample_) return;
    write_at(record, wall_clock_ms());
  }

  // The line of `record` as it would be written at that instant (milliseconds since 1970), '\n' included; for
  // tests.
  static std::string render(const AccessRecord& record, LogFormat format, std::int64_t unix_ms);

 private:
  void write_at(const AccessRecord& record, std::int64_t unix_ms);

  std::unique_ptr<LogWriter::Producer> producer_;
  LogFormat format_;
  double sample_;
  UtcStamp stamp_;
};

}  // namespace remora::proxy
